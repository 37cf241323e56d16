//! `/reports`: the form of the auditor's sheet, the one-page summary, and the register of exceptions; made to be printed.
//!
//! Numbers come from the same questions that the overview and the lists ask. Refuses to know anything of its own.

use super::estate::PageContext;
use super::exceptions::Line;
use super::overview::{self, Figure, Rank, Tile};
use super::parts::{Seen, plural};
use crate::http::error::AppError;
use crate::http::exceptions::Exceptions;
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::listing::Listing as _;
use crate::http::query::{Kind, param, query};
use crate::http::rule_text::titles;
use crate::http::view::trend::{Trend, trend, weeks};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::TimeDelta;
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::triage::due::DueState;
use rolecall_store::{AssociationFilter, FindingFilter, Total};

/// So many exceptions are in the register.
const REGISTER: u32 = 1_000;
/// So many associations are proposed by the form.
const PROPOSED: u32 = 300;

query! {
    /// A page without parameters.
    NoQuery = &[]
}

query! {
    /// Query of the forms: what they hold at first.
    FormQuery = &[
        param("role", Kind::Text, "The ARN of a role."),
        param("workload", Kind::Text, "A workload, as account/region/cluster/namespace/service account."),
    ]
}

query! {
    /// Query of the register: the filters of the list.
    RegisterQuery = filters::EXCEPTIONS
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/reports.html")]
pub(crate) struct ReportsPage {
    chrome: Chrome,
    since: String,
    /// What the forms hold at first.
    role: String,
    workload: String,
    workloads: Vec<String>,
    roles: Vec<String>,
}

/// `GET /reports`
pub(crate) async fn home(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<ReportsPage, AppError> {
    let params = FormQuery::parse(raw.as_deref())?;
    let now = app.store.now().await?;
    let rows = app.store.associations(&AssociationFilter::default(), None, PROPOSED, now).await?;
    let details = rows.iter().filter_map(|row| row.association.detail.as_ref());
    let mut roles: Vec<String> = details
        .flat_map(|detail| [Some(&detail.role_arn), detail.target_role_arn.as_ref()])
        .flatten()
        .cloned()
        .collect();
    roles.sort();
    roles.dedup();
    Ok(ReportsPage {
        chrome,
        since: (now - TimeDelta::days(7)).format("%Y-%m-%d").to_string(),
        role: params.text("role").unwrap_or_default().to_owned(),
        workload: params.text("workload").unwrap_or_default().to_owned(),
        workloads: rows.iter().map(|row| row.association.key.to_string()).collect(),
        roles,
    })
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/report_summary.html")]
pub(crate) struct SummaryPage {
    chrome: Chrome,
    made_at: Stamp,
    is_limited: bool,
    seen: Seen,
    scanned: Option<Stamp>,
    tiles: Vec<Tile>,
    figures: Vec<Figure>,
    trend: Option<Trend>,
    weeks: Option<Trend>,
    rules: Vec<Rank>,
    accounts: Vec<Rank>,
    week: Vec<Figure>,
}

/// `GET /reports/summary`
pub(crate) async fn summary(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<SummaryPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let context = PageContext::load(&app).await?;
    let found = app.store.overview().await?;
    let trends = app.store.trends(context.now, overview::DAYS, overview::WEEKS).await?;
    let open = || vec![Workflow::Open, Workflow::Acknowledged];
    let figure = |total: Total, word, href: &str| Figure {
        n: match total {
            Total::Exact(n) => words::count_u64(n),
            Total::AtLeast(n) => format!("{}+", words::count_u64(n)),
        },
        word,
        href: href.to_owned(),
    };
    let overdue = FindingFilter { workflow: open(), due: vec![DueState::Overdue], ..FindingFilter::default() };
    let week = context.now - TimeDelta::days(7);
    let given = words::rfc3339(week);
    let new = FindingFilter { first_seen_after: Some(week), ..FindingFilter::default() };
    let resolved =
        FindingFilter { workflow: vec![Workflow::Resolved], updated_since: Some(week), ..FindingFilter::default() };
    let states = "open,acknowledged,suppressed,resolved";
    let figures = vec![
        figure(app.store.count_findings(&overdue).await?, "overdue", "/findings?due=overdue"),
        figure(
            app.store.count_findings(&new).await?,
            "new in 7 days",
            &format!("/findings?state={states}&first_seen_after={given}"),
        ),
        figure(
            app.store.count_findings(&resolved).await?,
            "resolved in 7 days",
            &format!("/findings?state=resolved&updated_since={given}"),
        ),
        figure(Total::Exact(found.stale), "undetermined", "/findings?detection=stale"),
        figure(Total::Exact(found.suppressed), "suppressed", "/reports/exceptions"),
    ];
    Ok(SummaryPage {
        made_at: Stamp::new(context.now, context.now),
        is_limited: app.store.is_limited(),
        scanned: found.last_run.as_ref().map(|run| Stamp::new(run.started_at, context.now)),
        tiles: overview::tiles(&found),
        figures,
        trend: trend(&trends.days),
        weeks: weeks(&trends.weeks),
        rules: overview::rules(&found, &titles(&app)),
        accounts: overview::accounts(&found, &context),
        week: overview::by_effect(&app, week).await?,
        seen: context.seen,
        chrome,
    })
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/report_exceptions.html")]
pub(crate) struct RegisterPage {
    chrome: Chrome,
    made_at: Stamp,
    is_limited: bool,
    which: &'static str,
    lines: Vec<Line>,
    total: String,
    is_cut: bool,
}

/// `GET /reports/exceptions`
pub(crate) async fn exceptions(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<RegisterPage, AppError> {
    let given = RegisterQuery::parse(raw.as_deref())?;
    let is_default = !given.filters();
    let params = if is_default { given.defaulting("state", &["in_force", "requested", "scheduled"]) } else { given };
    let list = Exceptions::new(&app.store, &app.rules, &params).await?;
    let mut rows = list.rows(&app.store, None, REGISTER + 1).await?;
    let most = usize::try_from(REGISTER).unwrap_or(usize::MAX);
    let is_cut = rows.len() > most;
    rows.truncate(most);
    let titles = titles(&app);
    Ok(RegisterPage {
        made_at: Stamp::new(list.now, list.now),
        is_limited: app.store.is_limited(),
        which: if is_default { "In force, awaiting approval, or still to begin" } else { "As filtered" },
        total: plural(rows.len(), "exception", "exceptions"),
        lines: rows.iter().map(|row| Line::new(row, &titles, list.now)).collect(),
        is_cut,
        chrome,
    })
}
