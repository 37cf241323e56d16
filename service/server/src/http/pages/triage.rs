//! The forms by which people work on findings: one at a time on its page, and many from the list after a look at what
//! would become of each.

use super::parts::plural;
use crate::http::error::{AppError, Code, FieldError};
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::principal::Principal;
use crate::http::query::{instant, is_local, pairs, query};
use crate::http::tickets;
use crate::http::triage::{self, Asked, AskedSuppression};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::finding::triage::{DEFAULT_DAYS, LONGEST_DAYS, SuppressionReason};
use rolecall_store::{SuppressionRow, TriageOf, TriagedAll};

query! {
    /// Query of the form that works on a list: its filters.
    BulkQuery = filters::FINDINGS
}

/// The reasons of a suppression, as a person reads them.
pub(super) const REASONS: [(&str, &str); 4] = [
    ("risk_accepted", "Risk accepted"),
    ("false_positive", "False positive"),
    ("compensating_control", "Compensating control"),
    ("test", "Test"),
];

/// The words for a reason.
pub(super) fn reason(reason: SuppressionReason) -> &'static str {
    REASONS.iter().find(|(word, _)| *word == reason.as_str()).map_or("", |(_, label)| label)
}

/// What a form for a suppression offers.
pub(super) struct SuppressForm {
    pub(super) reasons: [(&'static str, &'static str); 4],
    pub(super) tomorrow: String,
    pub(super) usual: String,
    pub(super) latest: String,
}

impl SuppressForm {
    pub(super) fn at(now: DateTime<Utc>) -> Self {
        let day = |days: i64| (now + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
        Self { reasons: REASONS, tomorrow: day(1), usual: day(DEFAULT_DAYS), latest: day(LONGEST_DAYS) }
    }
}

/// A suppression, in words.
pub(super) struct SuppressionLine {
    pub(super) reason: &'static str,
    pub(super) justification: String,
    pub(super) until: Stamp,
    pub(super) requested_by: String,
    pub(super) requested: Stamp,
    pub(super) approved_by: String,
}

impl SuppressionLine {
    pub(super) fn new(row: &SuppressionRow, now: DateTime<Utc>) -> Self {
        Self {
            reason: reason(row.reason),
            justification: row.justification.clone(),
            until: Stamp::new(row.until, now),
            requested_by: row.requested_by.clone(),
            requested: Stamp::new(row.requested_at, now),
            approved_by: row.approved_by.clone().unwrap_or_default(),
        }
    }
}

fn sent(body: &str, name: &str) -> String {
    pairs(body).find(|(field, _)| field == name).map(|(_, value)| value).unwrap_or_default()
}

fn wrong(parameter: &str, message: String) -> AppError {
    AppError::of_fields(Code::InvalidParameter, vec![FieldError { parameter: parameter.to_owned(), message }])
}

/// What a form asks of findings.
fn asked(body: &str) -> Result<Asked, AppError> {
    let comment = Some(sent(body, "comment")).filter(|text| !text.trim().is_empty());
    let state = |word: &str| Asked { state: Some(word.to_owned()), comment: comment.clone(), ..Asked::default() };
    Ok(match sent(body, "step").as_str() {
        "acknowledge" => state("acknowledged"),
        "open" => state("open"),
        "suppress" => {
            let until = sent(body, "until");
            let until = match until.trim() {
                "" => None,
                day => Some(
                    instant(day)
                        .ok_or_else(|| wrong("until", format!("`until`: `{day}` is not a day such as 2026-01-31")))?,
                ),
            };
            let suppression =
                AskedSuppression { reason: sent(body, "reason"), justification: sent(body, "justification"), until };
            Asked { suppression: Some(suppression), ..state("suppressed") }
        }
        "assign" => {
            let name = Some(sent(body, "assignee")).filter(|name| !name.trim().is_empty());
            Asked { assignee: Some(name), comment, ..Asked::default() }
        }
        "comment" => Asked { comment: Some(sent(body, "comment")), ..Asked::default() },
        other => {
            let known = "acknowledge, open, suppress, assign, comment, link-ticket, unlink-ticket";
            return Err(wrong("step", format!("`step`: `{}` is not one of {known}", other.escape_debug())));
        }
    })
}

/// `POST /findings/{number}/triage`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(number): Path<String>,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let version = sent(&body, "version").parse().ok();
    let number = match sent(&body, "step").as_str() {
        "approve" => triage::decide(&app, &number, true, &who).await?,
        "decline" => triage::decide(&app, &number, false, &who).await?,
        "link-ticket" => {
            let [system, key, url] = ["system", "key", "url"].map(|name| sent(&body, name).trim().to_owned());
            tickets::link(&app, &number, &system, (&key, &url), None, &who).await?
        }
        "unlink-ticket" => tickets::remove(&app, &number, &sent(&body, "system"), None, &who).await?,
        _ => triage::one(&app, &number, asked(&body)?, version, &who).await?,
    };
    Ok(Redirect::to(&format!("/findings/{number}")))
}

/// A finding that does not take a step, and why.
struct Left {
    href: String,
    name: String,
    why: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/triage.html")]
struct BulkPage {
    chrome: Chrome,
    title: String,
    is_done: bool,
    processed: Vec<(String, String)>,
    left: Vec<Left>,
    action: String,
    fields: Vec<(String, String)>,
    button: String,
    back: String,
}

/// What is asked, with how many.
fn title(body: &str, count: usize, is_done: bool) -> String {
    let findings = plural(count, "finding", "findings");
    let verb = match (sent(body, "step").as_str(), is_done) {
        ("acknowledge", false) => "Acknowledge",
        ("acknowledge", true) => "Acknowledged:",
        ("open", false) => "Open",
        ("open", true) => "Opened:",
        ("suppress", false) => "Suppress",
        ("suppress", true) => "Suppressed:",
        ("assign", false) => "Assign",
        ("assign", true) => "Assigned:",
        (_, false) => "Comment on",
        (_, true) => "Commented on:",
    };
    format!("{verb} {findings}")
}

/// `POST /findings/triage`: says what would become of the findings that are selected, or of all that match, and does
/// it once that is confirmed.
pub(crate) async fn many(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    chrome: Chrome,
    body: String,
) -> Result<Response, AppError> {
    let params = BulkQuery::parse(raw.as_deref())?;
    let ids: Vec<String> = pairs(&body).filter(|(name, _)| name == "id").map(|(_, id)| id).collect();
    let of = match sent(&body, "all").as_str() {
        "" if ids.is_empty() => return Err(wrong("id", "no finding is selected; select some in the list".to_owned())),
        "" => TriageOf::Ids(ids),
        _ => {
            let expected = sent(&body, "expected").parse().unwrap_or_default();
            TriageOf::Filter(Box::new(filters::findings(&params)), expected)
        }
    };
    let is_done = sent(&body, "confirmed") == "yes";
    let TriagedAll::Done { processed, unprocessed } = triage::many(&app, &of, asked(&body)?, !is_done, &who).await?
    else {
        return Err(AppError::new(Code::Conflict, Code::Conflict.meaning()));
    };
    let back = sent(&body, "back");
    let back = if is_local(&back) { back } else { "/findings".to_owned() };
    if is_done && unprocessed.is_empty() {
        return Ok(Redirect::to(&back).into_response());
    }
    let kept = |name: &str| !matches!(name, "form_token" | "confirmed");
    let left = unprocessed.into_iter().map(|(id, why)| Left {
        href: format!("/findings/{id}"),
        name: format!("Finding {id}"),
        why: triage::refused(why).1,
    });
    let named = |number: &i64| (format!("/findings/{number}"), words::count(*number));
    let page = BulkPage {
        title: title(&body, processed.len(), is_done),
        button: title(&body, processed.len(), false),
        is_done,
        processed: processed.iter().map(named).collect(),
        left: left.collect(),
        action: params.link("/findings/triage"),
        fields: pairs(&body).filter(|(name, value)| kept(name) && !value.is_empty()).collect(),
        back,
        chrome,
    };
    Ok(page.into_response())
}
