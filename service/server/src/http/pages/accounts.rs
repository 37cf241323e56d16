//! `/accounts` and one account: what was seen of it and what was not, with what would mend it.

use super::baselines::BaselineCard;
use super::changes::History;
use super::estate::{PageContext, summary};
use super::list::{ListFrame, ListOf, select};
use super::parts::{GapLine, Seen, scope_anchor};
use super::tools::ListTools;
use crate::http::as_of::AT;
use crate::http::error::AppError;
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::list_pages::ACCOUNTS;
use crate::http::listing;
use crate::http::lists::Accounts;
use crate::http::query::query;
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery};
use chrono::{DateTime, Utc};
use rolecall_estate::coverage::ScopeKind;
use rolecall_iam::AccountId;
use rolecall_store::{AccountRow, CoverageRow, KindCoverage};
use std::collections::BTreeMap;

const PATH: &str = "/accounts";

query! {
    /// A page of one account shows it as of a moment.
    AtQuery = &[AT]
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
    /// `None`: they are not told of a time that has passed.
    findings: Option<u64>,
    findings_href: String,
    looked: Option<Stamp>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/accounts.html")]
pub(crate) struct AccountsPage {
    chrome: Chrome,
    seen: Seen,
    list: ListFrame,
    tools: ListTools,
    columns: Vec<&'static str>,
    lines: Vec<Line>,
    /// Of all accounts, beneath the first page of them.
    gaps: Vec<GapLine>,
    more_gaps: String,
}

/// So many gaps are shown of all accounts; an account's page shows all of its own.
const GAPS: u32 = 200;

/// `GET /accounts`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<AccountsPage, AppError> {
    let params = ACCOUNTS.parse(raw.as_deref())?;
    let context = PageContext::as_of(&app, &params, PATH, &mut chrome).await?;
    let tools = ListTools::load(&app, &chrome, &ACCOUNTS, &params).await?;
    let filter = filters::accounts(&params, context.as_of);
    let accounts = Accounts::load(&app.store, &filter);
    let (accounts, coverage, seen) = match context.as_of {
        None => tokio::try_join!(accounts, app.store.coverage_by_kind(), app.store.coverage_summary(GAPS))?,
        Some(as_of) => {
            let (accounts, coverage) = tokio::try_join!(accounts, app.store.coverage_at(as_of, &[]))?;
            let shown = usize::try_from(GAPS).unwrap_or(usize::MAX);
            (accounts, by_kind(&coverage), summary(&coverage, as_of, shown))
        }
    };
    let slice = listing::shown(&app, &params, &accounts).await?;
    let of = ListOf {
        page: &ACCOUNTS,
        api: "/api/v1/accounts",
        table: filters::ACCOUNTS,
        one: "account",
        many: "accounts",
        searched: "account name, id or organizational unit",
        params: &params,
    };
    let states = [("true", "Complete"), ("false", "Incomplete")].map(|(value, label)| (value.into(), label.into()));
    let selects = vec![select("complete", "Coverage", states, &params)];
    let list = ListFrame::new(&of, &chrome.origin(&app), selects, &slice, accounts.total(), &context.seen);
    // A column for each kind that was listed anywhere.
    let listed = |kind: &ScopeKind| coverage.iter().any(|row| row.kind == *kind);
    let kinds: Vec<ScopeKind> = ScopeKind::ALL.into_iter().filter(listed).collect();
    let mut of_account: BTreeMap<AccountId, Vec<KindCoverage>> = BTreeMap::new();
    for row in coverage {
        of_account.entry(row.account_id).or_default().push(row);
    }
    let coverage_of = |id: AccountId| of_account.get(&id).map_or(&[][..], Vec::as_slice);
    let is_first = !params.filters() && params.text("cursor").is_none();
    let more = seen.gap_count.saturating_sub(u64::try_from(seen.gaps.len()).unwrap_or(u64::MAX));
    Ok(AccountsPage {
        columns: kinds.iter().map(|kind| words::scope(*kind)).collect(),
        lines: slice.rows.iter().map(|(_, row)| Line::new(row, &kinds, &context, coverage_of(row.id))).collect(),
        gaps: seen.gaps.iter().filter(|_| is_first).map(|gap| GapLine::new(gap, &context.names)).collect(),
        list,
        more_gaps: if more == 0 { String::new() } else { words::count_u64(more) },
        seen: context.seen,
        tools,
        chrome,
    })
}

/// Listings counted by account and kind.
fn by_kind(coverage: &[CoverageRow]) -> Vec<KindCoverage> {
    let mut counted: BTreeMap<(AccountId, ScopeKind), (u64, u64)> = BTreeMap::new();
    for row in coverage {
        let (scopes, complete) = counted.entry((row.scope.account_id, row.scope.kind)).or_default();
        *scopes += 1;
        *complete += u64::from(row.complete);
    }
    let each = counted.into_iter();
    each.map(|((account_id, kind), (scopes, complete))| KindCoverage { account_id, kind, scopes, complete }).collect()
}

impl Line {
    fn new(row: &AccountRow, kinds: &[ScopeKind], context: &PageContext, coverage: &[KindCoverage]) -> Self {
        let ou = row.account.as_ref().and_then(|account| account.ou_path.clone());
        let cell = |kind: &ScopeKind| match coverage.iter().find(|listed| listed.kind == *kind) {
            None => Cell { state: "none", text: "not scanned".to_owned() },
            Some(KindCoverage { scopes, complete, .. }) if complete == scopes => {
                Cell { state: "complete", text: format!("{scopes} complete") }
            }
            Some(KindCoverage { scopes, complete, .. }) => {
                Cell { state: "gaps", text: format!("{} of {scopes} incomplete", scopes.saturating_sub(*complete)) }
            }
        };
        Self {
            href: context.href(&format!("/accounts/{}", row.id)),
            name: context.names.of(row.id),
            id: row.id.to_string(),
            ou: ou.unwrap_or_default(),
            cells: kinds.iter().map(cell).collect(),
            roles: words::count_u64(row.roles),
            associations: words::count_u64(row.associations),
            findings: row.open_findings,
            findings_href: format!("/findings?account_id={}", row.id),
            looked: row.last_look_at.map(|at| Stamp::new(at, context.now)),
        }
    }
}

/// Where a listing was read.
struct PlaceLine {
    anchor: String,
    /// A Region, with its cluster where there is one; empty: the account as a whole.
    text: String,
}

/// A listing of one account, or several of a kind that are all complete.
struct ScopeLine {
    scope: &'static str,
    places: Vec<PlaceLine>,
    complete: bool,
    gaps: Vec<GapLine>,
    /// The first of several. `None`: it is not told of a time that has passed.
    looked: Option<Stamp>,
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
    complete: usize,
    incomplete: usize,
    roles: String,
    clusters: String,
    associations: String,
    findings: String,
    scopes: Vec<ScopeLine>,
    statement: String,
    baseline: Option<BaselineCard>,
    history: History,
}

/// `GET /accounts/{id}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<AccountPage, AppError> {
    let params = AtQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("account `{id}`"));
    let wanted: AccountId = id.parse().map_err(|_| unknown())?;
    let context = PageContext::as_of(&app, &params, &format!("/accounts/{wanted}"), &mut chrome).await?;
    let only = [wanted];
    let (accounts, coverage) = match context.as_of {
        None => tokio::try_join!(app.store.accounts(), app.store.coverage(&only))?,
        Some(as_of) => tokio::try_join!(app.store.accounts_at(as_of), app.store.coverage_at(as_of, &only))?,
    };
    let row = accounts.iter().find(|row| row.id == wanted).ok_or_else(unknown)?;
    let scopes: Vec<&CoverageRow> = coverage.iter().collect();
    let account = row.account.as_ref();
    let history = History::of_account(&app, wanted, &context).await?;
    let baseline = match context.as_of {
        Some(_) => None,
        None => Some(BaselineCard::of_account(&app, wanted, &chrome, &context).await?),
    };
    Ok(AccountPage {
        baseline,
        history,
        name: context.names.of(wanted),
        ou: account.and_then(|a| a.ou_path.clone()).unwrap_or_default(),
        status: account.and_then(|a| a.status.clone()).unwrap_or_default(),
        management: account.is_some_and(|a| a.is_management),
        complete: scopes.iter().filter(|c| c.complete).count(),
        incomplete: scopes.iter().filter(|c| !c.complete).count(),
        roles: words::count_u64(row.roles),
        clusters: words::count_u64(row.clusters),
        associations: words::count_u64(row.associations),
        findings: row.open_findings.map_or_else(|| "–".to_owned(), words::count_u64),
        scopes: scope_lines(&scopes, &context),
        statement: missing_statement(&scopes),
        id,
        chrome,
    })
}

/// What is incomplete, each by itself, and then what is complete, by kind.
fn scope_lines(scopes: &[&CoverageRow], context: &PageContext) -> Vec<ScopeLine> {
    let (complete, incomplete): (Vec<&CoverageRow>, Vec<&CoverageRow>) = scopes.iter().partition(|row| row.complete);
    let kinds = ScopeKind::ALL.into_iter();
    let by_kind = kinds.map(|kind| complete.iter().copied().filter(|row| row.scope.kind == kind).collect());
    let groups = incomplete.into_iter().map(|row| vec![row]).chain(by_kind);
    groups.filter_map(|rows: Vec<&CoverageRow>| scope_line(&rows, context)).collect()
}

/// Listings of one kind; `None`: there is none.
fn scope_line(rows: &[&CoverageRow], context: &PageContext) -> Option<ScopeLine> {
    let first = rows.first()?;
    let place = |row: &&CoverageRow| {
        let region = row.scope.region.as_ref().map(ToString::to_string);
        let cluster = row.scope.cluster.as_ref().map(ToString::to_string);
        PlaceLine {
            anchor: scope_anchor(&row.scope),
            text: region.into_iter().chain(cluster).collect::<Vec<_>>().join(", "),
        }
    };
    let stamp = |at: Option<DateTime<Utc>>| at.map(|at| Stamp::new(at, context.now));
    Some(ScopeLine {
        scope: words::scope(first.scope.kind),
        places: rows.iter().map(place).collect(),
        complete: first.complete,
        gaps: rows.iter().flat_map(|row| &row.gaps).map(|gap| GapLine::new(gap, &context.names)).collect(),
        looked: stamp(rows.iter().filter_map(|row| row.looked_at).min()),
        last_complete: stamp(rows.iter().filter_map(|row| row.last_complete_at).min()),
    })
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
