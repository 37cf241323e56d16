//! `/exceptions`: everything that suppresses findings, with its end.

use super::list::{Chip, Empty, Pager, Select, carried, chips, curl, select, select_or};
use super::parts::{Badge, badge, plural};
use super::tools::ListTools;
use super::triage::reason;
use crate::http::error::AppError;
use crate::http::exceptions::{ExceptionRow, Exceptions, SOON};
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::list_pages::EXCEPTIONS;
use crate::http::listing;
use crate::http::query::encode;
use crate::http::rule_text::titles;
use crate::http::view::words::Stamp;
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, Utc};
use rolecall_store::SuppressionState;
use std::collections::BTreeMap;

const PATH: &str = "/exceptions";

/// What suppresses findings, in a row.
pub(super) struct Line {
    pub(super) state: Badge,
    pub(super) ends_soon: bool,
    pub(super) until: Stamp,
    /// The finding's page; empty of a file.
    pub(super) href: String,
    pub(super) title: String,
    pub(super) rules: String,
    pub(super) why: String,
    pub(super) justification: String,
    pub(super) by: String,
    pub(super) approved_by: String,
    pub(super) origin: String,
    pub(super) findings: String,
    pub(super) findings_href: String,
    pub(super) ended: String,
}

impl Line {
    pub(super) fn new(row: &ExceptionRow, titles: &BTreeMap<String, String>, now: DateTime<Utc>) -> Self {
        let (state, until, ends_soon) = (row.state(), Stamp::new(row.until(), now), row.ends_soon(now));
        let state = match state {
            SuppressionState::Requested => badge("accent", "Awaits approval"),
            SuppressionState::Scheduled => badge("", "Begins later"),
            SuppressionState::InForce => badge("", "In force"),
            SuppressionState::Ended => badge("ok", "Ended"),
        };
        let name = |rule: &String| titles.get(rule).unwrap_or(rule).clone();
        match row {
            ExceptionRow::File(file) => Self {
                state,
                ends_soon,
                until,
                href: String::new(),
                title: file.name.clone(),
                rules: file.rules.iter().map(name).collect::<Vec<_>>().join("; "),
                why: file.ticket.clone().unwrap_or_default(),
                justification: file.reason.clone(),
                by: file.owner.clone(),
                approved_by: String::new(),
                origin: file.origin.clone(),
                findings: plural(usize::try_from(file.findings).unwrap_or(usize::MAX), "finding", "findings"),
                findings_href: format!(
                    "/findings?state=suppressed&rule_id={}",
                    file.rules.iter().map(|rule| encode(rule)).collect::<Vec<_>>().join(",")
                ),
                ended: String::new(),
            },
            ExceptionRow::Asked(asked) => Self {
                state,
                ends_soon,
                until,
                href: format!("/findings/{}", asked.finding),
                title: asked.message.clone(),
                rules: name(&asked.rule),
                why: reason(asked.suppression.reason).to_owned(),
                justification: asked.suppression.justification.clone(),
                by: asked.suppression.requested_by.clone(),
                approved_by: asked.suppression.approved_by.clone().unwrap_or_default(),
                origin: String::new(),
                findings: format!("finding {}", asked.finding),
                findings_href: format!("/findings/{}", asked.finding),
                ended: ended(asked.ended_because.as_deref(), asked.ended_by.as_deref()),
            },
        }
    }
}

/// Why a suppression ended, and by whom.
fn ended(because: Option<&str>, by: Option<&str>) -> String {
    let because = match because {
        Some("expired") => "its time was over",
        Some("opened") => "the finding was opened",
        Some("replaced") => "another took its place",
        Some("declined") => "it was declined",
        Some("withdrawn") => "it was withdrawn",
        _ => return String::new(),
    };
    by.map_or_else(|| because.to_owned(), |by| format!("{because} by {by}"))
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/exceptions.html")]
pub(crate) struct ExceptionsPage {
    chrome: Chrome,
    selects: Vec<Select>,
    carried: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    tools: ListTools,
    lines: Vec<Line>,
    empty: Option<Empty>,
    pager: Pager,
    curl: String,
}

/// `GET /exceptions`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<ExceptionsPage, AppError> {
    let given = EXCEPTIONS.parse(raw.as_deref())?;
    // Without a state the page shows what holds, or may hold; the address and the API say so themselves.
    let is_default = given.list("state").is_empty();
    let params =
        if is_default { given.defaulting("state", &["in_force", "requested", "scheduled"]) } else { given.clone() };
    let list = Exceptions::new(&app.store, &app.rules, &params).await?;
    let slice = listing::shown(&app, &params, &list).await?;
    let titles = titles(&app);
    let states = [
        ("in_force", "In force"),
        ("requested", "Awaits approval"),
        ("ended", "Ended"),
        ("ended,in_force,requested,scheduled", "All"),
    ];
    let states = states.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let sources = [("asked", "People and programs"), ("file", "Policy files")];
    let sources = sources.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let soon = [(SOON.to_string(), format!("Within {SOON} days"))];
    let none = || Empty {
        class: "",
        title: "No exception".to_owned(),
        text:
            "Nothing suppresses a finding. A finding is suppressed on its page, or by an exception in the policy files."
                .to_owned(),
        href: "/findings".to_owned(),
        link: "Findings".to_owned(),
    };
    Ok(ExceptionsPage {
        selects: vec![
            select_or("state", "State", "In force or awaiting", states, &given),
            select("source", "By", sources, &given),
            select("ending_within_days", "Ends", soon, &given),
        ],
        carried: carried(&given, &["state", "source", "ending_within_days"]),
        chips: chips(PATH, &given, &["state"]),
        tools: ListTools::load(&app, &chrome, &EXCEPTIONS, &given).await?,
        lines: slice.rows.iter().map(|row| Line::new(row, &titles, list.now)).collect(),
        empty: slice.rows.is_empty().then(none),
        pager: Pager::new(
            PATH,
            &given,
            &slice.turns,
            plural(slice.rows.len(), "exception on this page", "exceptions on this page"),
        )
        .with_downloads(PATH, &params),
        curl: curl(&chrome.origin(&app), "/api/v1/exceptions", &params, filters::EXCEPTIONS),
        chrome,
    })
}
