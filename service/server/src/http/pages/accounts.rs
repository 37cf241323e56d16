//! `/accounts` and one account: what was seen of it and what was not, with what would mend it.

use super::estate::Around;
use super::parts::{GapLine, Seen};
use crate::app::App;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::query;
use crate::http::view::words::{self, Stamp};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use rolecall_estate::coverage::ScopeKind;
use rolecall_iam::AccountId;
use rolecall_store::{AccountRow, CoverageRow};

query! {
    /// The pages take no parameter.
    NoQuery = &[]
}

/// What was seen of one kind of listing in one account.
struct Cell {
    /// `whole`, `gaps` or `none`.
    state: &'static str,
    text: String,
}

/// A row of the matrix.
struct Line {
    href: String,
    name: String,
    id: String,
    ou: String,
    cells: Vec<Cell>,
    roles: String,
    associations: String,
    findings: u64,
    findings_href: String,
    looked: Option<Stamp>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/accounts.html")]
pub(crate) struct AccountsPage {
    chrome: Chrome,
    seen: Seen,
    columns: Vec<&'static str>,
    lines: Vec<Line>,
    gaps: Vec<GapLine>,
}

/// `GET /accounts`
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<AccountsPage, AppError> {
    NoQuery::read(raw.as_deref())?;
    let around = Around::load(&app).await?;
    let (accounts, coverage) = tokio::try_join!(app.store.accounts(), app.store.coverage(&[]))?;
    // A column for each kind that was looked at anywhere.
    let looked_at = |kind: &ScopeKind| coverage.iter().any(|row| row.scope.kind == *kind);
    let kinds: Vec<ScopeKind> = ScopeKind::ALL.into_iter().filter(looked_at).collect();
    let gaps = coverage.iter().flat_map(|row| &row.gaps);
    Ok(AccountsPage {
        columns: kinds.iter().map(|kind| words::scope(*kind)).collect(),
        lines: accounts.iter().map(|row| Line::of(row, &kinds, &around, &coverage)).collect(),
        gaps: gaps.map(|gap| GapLine::of(gap, &around.names)).collect(),
        seen: around.seen,
        chrome,
    })
}

impl Line {
    fn of(row: &AccountRow, kinds: &[ScopeKind], around: &Around, coverage: &[CoverageRow]) -> Self {
        let ou = row.account.as_ref().and_then(|account| account.ou_path.clone());
        let cell = |kind: &ScopeKind| {
            let scopes: Vec<&CoverageRow> =
                coverage.iter().filter(|c| c.scope.account_id == row.id && c.scope.kind == *kind).collect();
            let whole = scopes.iter().filter(|c| c.complete).count();
            match (whole, scopes.len()) {
                (_, 0) => Cell { state: "none", text: "not scanned".to_owned() },
                (whole, all) if whole == all => Cell { state: "whole", text: format!("{all} complete") },
                (whole, all) => Cell { state: "gaps", text: format!("{} of {all} incomplete", all - whole) },
            }
        };
        Self {
            href: format!("/accounts/{}", row.id),
            name: around.names.of(row.id),
            id: row.id.to_string(),
            ou: ou.unwrap_or_default(),
            cells: kinds.iter().map(cell).collect(),
            roles: words::count_u64(row.roles),
            associations: words::count_u64(row.associations),
            findings: row.open_findings,
            findings_href: format!("/findings?account_id={}", row.id),
            looked: row.last_look_at.map(|at| Stamp::of(at, around.now)),
        }
    }
}

/// A listing of one account.
struct ScopeLine {
    scope: &'static str,
    region: String,
    cluster: String,
    complete: bool,
    gaps: Vec<GapLine>,
    looked: Stamp,
    last_complete: Option<Stamp>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/account.html")]
pub(crate) struct AccountPage {
    chrome: Chrome,
    name: String,
    id: String,
    ou: String,
    status: String,
    management: bool,
    whole: usize,
    incomplete: usize,
    roles: String,
    clusters: String,
    associations: String,
    findings: String,
    scopes: Vec<ScopeLine>,
    statement: String,
}

/// `GET /accounts/{id}`
pub(crate) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<AccountPage, AppError> {
    NoQuery::read(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("account `{id}`"));
    let wanted: AccountId = id.parse().map_err(|_| unknown())?;
    let around = Around::load(&app).await?;
    let only = [wanted];
    let (accounts, coverage) = tokio::try_join!(app.store.accounts(), app.store.coverage(&only))?;
    let row = accounts.iter().find(|row| row.id == wanted).ok_or_else(unknown)?;
    let scopes: Vec<&CoverageRow> = coverage.iter().collect();
    let account = row.account.as_ref();
    Ok(AccountPage {
        name: around.names.of(wanted),
        ou: account.and_then(|a| a.ou_path.clone()).unwrap_or_default(),
        status: account.and_then(|a| a.status.clone()).unwrap_or_default(),
        management: account.is_some_and(|a| a.is_management),
        whole: scopes.iter().filter(|c| c.complete).count(),
        incomplete: scopes.iter().filter(|c| !c.complete).count(),
        roles: words::count_u64(row.roles),
        clusters: words::count_u64(row.clusters),
        associations: words::count_u64(row.associations),
        findings: words::count_u64(row.open_findings),
        scopes: scope_lines(&scopes, &around),
        statement: missing_statement(&scopes),
        id,
        chrome,
    })
}

fn scope_lines(scopes: &[&CoverageRow], around: &Around) -> Vec<ScopeLine> {
    let text = |part: Option<String>| part.unwrap_or_default();
    let line = |row: &&CoverageRow| ScopeLine {
        scope: words::scope(row.scope.kind),
        region: text(row.scope.region.as_ref().map(ToString::to_string)),
        cluster: text(row.scope.cluster.as_ref().map(ToString::to_string)),
        complete: row.complete,
        gaps: row.gaps.iter().map(|gap| GapLine::of(gap, &around.names)).collect(),
        looked: Stamp::of(row.looked_at, around.now),
        last_complete: row.last_complete_at.map(|at| Stamp::of(at, around.now)),
    };
    let mut lines: Vec<ScopeLine> = scopes.iter().map(line).collect();
    lines.sort_by_key(|line| line.complete);
    lines
}

/// The IAM statement that would let refused calls through; empty where none was refused.
fn missing_statement(scopes: &[&CoverageRow]) -> String {
    use rolecall_estate::coverage::GapReason;
    let refused = scopes.iter().flat_map(|row| &row.gaps).filter(|gap| gap.reason == GapReason::Denied);
    let actions: std::collections::BTreeSet<&str> =
        refused.map(|gap| gap.action.as_str()).filter(|a| a.contains(':')).collect();
    if actions.is_empty() {
        return String::new();
    }
    let statement = serde_json::json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    serde_json::to_string_pretty(&statement).unwrap_or_default()
}
