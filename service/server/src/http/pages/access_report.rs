//! `/reports/access`: the auditor's sheet on a role or a workload, made to be printed.
//!
//! What was not seen stands first, and an empty table says that it is empty and why that may be. Shows what the API
//! answers, with links. Refuses to know what could and what did happen.

use super::changes::ChangeLine;
use super::estate::PageContext;
use super::parts::{Badge, ReasonLine, association_href, badge, role_href};
use crate::http::api::access_report::{AccessReportJson, Asked, Canonical, REPORT, ReportSessionsJson, WhenJson};
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::{encode, query};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, Utc};
use rolecall_audit::report::{About, ReportSubject};

/// So many rows of a table are shown; the JSON has all.
const SHOWN: usize = 200;

query! {
    /// Query of the sheet.
    SheetQuery = REPORT
}

/// Where the sheet of a role is asked for.
pub(super) fn of_role(arn: &str) -> String {
    format!("/reports?role={}", encode(arn))
}

/// Where the sheet of a workload is asked for.
pub(super) fn of_workload(key: &str) -> String {
    format!("/reports?workload={}", encode(key))
}

/// A row of who could.
struct CouldRow {
    name: String,
    href: String,
    sub: String,
    how: String,
    certain: Badge,
    when: String,
    reasons: Vec<String>,
}

/// A row of who did.
struct DidRow {
    name: String,
    href: String,
    sub: String,
    role: String,
    role_href: String,
    kind: &'static str,
    sessions: String,
    sessions_href: String,
    refused: String,
    refused_href: String,
    first: Stamp,
    last: Stamp,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/access_report.html")]
pub(crate) struct SheetPage {
    chrome: Chrome,
    is_role: bool,
    subject: String,
    subject_href: String,
    name: String,
    since: Stamp,
    until: Stamp,
    made_at: Stamp,
    made_by: String,
    as_of: Option<Stamp>,
    scans: usize,
    digest: String,
    json: String,
    is_limited: bool,
    answer: String,
    is_complete: bool,
    sessions_missing: Vec<ReasonLine>,
    could_missing: Vec<ReasonLine>,
    did: Vec<DidRow>,
    more_did: usize,
    principals: Vec<CouldRow>,
    workloads: Vec<CouldRow>,
    more_workloads: usize,
    roles: Vec<CouldRow>,
    more_roles: usize,
    obtainable: Vec<CouldRow>,
    more_obtainable: usize,
    changes: Vec<ChangeLine>,
    more_changes: bool,
}

/// `GET /reports/access`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<SheetPage, AppError> {
    let params = SheetQuery::parse(raw.as_deref())?;
    let context = PageContext::load(&app).await?;
    let asked = Asked::new(&params, app.store.now().await?)?;
    let found = asked.report_seen(&app).await?;
    let report = AccessReportJson::from(&found);
    let Canonical { digest, .. } = report.canonical().map_err(AppError::internal)?;
    let (is_role, subject, subject_href, name) = match &asked.subject {
        ReportSubject::Role(arn) => (true, arn.to_string(), role_href(arn.as_str()), arn.name().to_owned()),
        ReportSubject::Workload(key) => {
            let text = key.to_string();
            let href = association_href(&text);
            (false, text, href, format!("{}/{}", key.namespace, key.service_account))
        }
    };
    let given = if is_role { "role" } else { "workload" };
    let (since, until) = (words::rfc3339(report.since), words::rfc3339(report.until));
    let period = Linked { since: since.clone(), until: until.clone(), now: context.now };
    let missing = |about: About| {
        ReasonLine::each(found.report.not_seen.iter().filter(|it| it.about == about).map(|it| &it.reason))
    };
    Ok(SheetPage {
        is_role,
        name,
        subject_href,
        since: Stamp::new(report.since, context.now),
        until: Stamp::new(report.until, context.now),
        made_at: Stamp::new(context.now, context.now),
        made_by: chrome.person.clone().unwrap_or_default(),
        as_of: report.as_of.map(|at| Stamp::new(at, context.now)),
        scans: report.scans.len(),
        digest: digest.to_string(),
        json: format!("/api/v1/reports/access?{given}={}&since={since}&until={until}", encode(&subject)),
        subject,
        is_limited: report.is_limited,
        answer: report.answer.clone(),
        is_complete: report.is_complete,
        sessions_missing: missing(About::Sessions),
        could_missing: missing(About::Configuration),
        more_did: report.sessions.len().saturating_sub(SHOWN),
        did: report.sessions.iter().take(SHOWN).map(|row| period.did(row)).collect(),
        principals: report
            .principals
            .iter()
            .map(|row| CouldRow {
                name: row.principal.clone(),
                sub: if row.conditional { "with conditions" } else { "without conditions" }.to_owned(),
                how: row.actions.join(", "),
                ..could(&row.when)
            })
            .collect(),
        more_workloads: report.workloads.len().saturating_sub(SHOWN),
        workloads: report
            .workloads
            .iter()
            .take(SHOWN)
            .map(|row| CouldRow {
                href: association_href(&row.association),
                how: how(row.via, &row.through_role_arn),
                ..workload(&row.association, could(&row.when))
            })
            .collect(),
        more_roles: report.roles.len().saturating_sub(SHOWN),
        roles: report
            .roles
            .iter()
            .take(SHOWN)
            .map(|row| CouldRow {
                href: role_href(&row.role_arn),
                name: words::short_name(&row.role_arn).to_owned(),
                sub: row.role_arn.clone(),
                how: if row.by_trust_policy {
                    "the trust policy alone"
                } else {
                    "the trust policy and its own policies"
                }
                .to_owned(),
                ..could(&row.when)
            })
            .collect(),
        more_obtainable: report.obtainable_roles.len().saturating_sub(SHOWN),
        obtainable: report
            .obtainable_roles
            .iter()
            .take(SHOWN)
            .map(|row| CouldRow {
                href: role_href(&row.role_arn),
                name: words::short_name(&row.role_arn).to_owned(),
                sub: row.role_arn.clone(),
                how: how(row.via, &row.through_role_arn),
                ..could(&row.when)
            })
            .collect(),
        more_changes: found.more_changes || found.changes.len() > SHOWN,
        changes: found.changes.iter().take(SHOWN).map(|row| ChangeLine::new(row, &context)).collect(),
        chrome,
    })
}

fn could(when: &WhenJson) -> CouldRow {
    let at = |at: &DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let (first, last) =
        (when.seen_at.first().map(at).unwrap_or_default(), when.seen_at.last().map(at).unwrap_or_default());
    CouldRow {
        name: String::new(),
        href: String::new(),
        sub: String::new(),
        how: String::new(),
        certain: if when.unknown_reasons.is_empty() { badge("", "Could") } else { badge("unseen", "Unknown") },
        when: match (when.throughout, when.seen_at.len()) {
            (true, _) => "in every scan that was read".to_owned(),
            (false, 1) => format!("in the scan of {first}"),
            (false, n) => format!("in {n} scans, from {first} to {last}"),
        },
        reasons: when.unknown_reasons.clone(),
    }
}

fn how(via: &str, through: &str) -> String {
    match via {
        "role" => "role of the association".to_owned(),
        "target_role" => format!("target role of the association, by way of {through}"),
        _ => format!("assumed with {through}"),
    }
}

/// A workload by its name and place, from its key.
fn workload(key: &str, row: CouldRow) -> CouldRow {
    let (name, sub) = place(key);
    CouldRow { name, sub, ..row }
}

fn place(key: &str) -> (String, String) {
    let parts: Vec<&str> = key.splitn(5, '/').collect();
    match parts.as_slice() {
        [account, region, cluster, namespace, name] => {
            (format!("{namespace}/{name}"), format!("cluster {cluster}, {region}, {account}"))
        }
        _ => (key.to_owned(), String::new()),
    }
}

/// A period whose sessions are linked to.
struct Linked {
    since: String,
    until: String,
    now: DateTime<Utc>,
}

impl Linked {
    fn did(&self, row: &ReportSessionsJson) -> DidRow {
        let (name, sub, href) = match (&row.association, &row.principal) {
            (Some(key), _) => {
                let (name, sub) = place(key);
                (name, sub, association_href(key))
            }
            (None, Some(principal)) => (principal.clone(), "other principal".to_owned(), String::new()),
            (None, None) => {
                let known = [&row.namespace, &row.service_account].into_iter().flatten();
                let known: Vec<&str> = known.map(String::as_str).collect();
                let cluster = row.cluster.as_ref().map(|cluster| format!(", cluster {cluster}")).unwrap_or_default();
                let name = if known.is_empty() { "pods".to_owned() } else { known.join("/") };
                (name, format!("attributed to no one workload{cluster}"), String::new())
            }
        };
        let mut filters = format!("/sessions?since={}&until={}", self.since, self.until);
        let given = [
            ("role_arn", &row.role_arn),
            ("cluster", &row.cluster),
            ("namespace", &row.namespace),
            ("service_account", &row.service_account),
            ("principal", &row.principal),
        ];
        for (parameter, value) in given {
            if let Some(value) = value {
                filters = format!("{filters}&{parameter}={}", encode(value));
            }
        }
        filters = format!("{filters}&kind={}", row.kind);
        let some = |n: u64| if n == 0 { String::new() } else { words::count_u64(n) };
        DidRow {
            name,
            href,
            sub,
            role: row.role_arn.as_deref().map(words::short_name).unwrap_or_default().to_owned(),
            role_href: row.role_arn.as_deref().map(role_href).unwrap_or_default(),
            kind: row.kind_words,
            sessions: words::count_u64(row.sessions),
            sessions_href: format!("{filters}&failed=false"),
            refused: some(row.refused),
            refused_href: format!("{filters}&failed=true"),
            first: Stamp::new(row.first, self.now),
            last: Stamp::new(row.last, self.now),
        }
    }
}
