//! `/`: how things stand, and first of all what was not seen.

use super::estate::PageContext;
use super::flow::FlowCard;
use super::parts::{Bar, FindingLine, Seen, SeverityMark, bar, plural};
use super::runs::RunLine;
use crate::app::App;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::inventory::sessions_since;
use crate::http::query::{encode, query};
use crate::http::rule_text::titles;
use crate::http::view::trend::{Trend, trend, weeks};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::drift::Effect;
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::priority::{Priority, Standing, own_association};
use rolecall_rules::Severity;
use rolecall_store::{
    Answers, ChangeFilter, Counts, FindingFilter, FindingRow, FindingSort, MOST_APPROVED, Overview, RunState, Total,
};
use std::collections::{BTreeMap, BTreeSet};

query! {
    /// The overview takes no parameter.
    NoQuery = &[]
}

/// Open findings of a severity.
pub(super) struct Tile {
    pub(super) severity: SeverityMark,
    pub(super) count: String,
    pub(super) href: String,
    pub(super) none: bool,
}

/// A row of a ranking.
pub(super) struct Rank {
    pub(super) href: String,
    pub(super) label: String,
    pub(super) sub: String,
    pub(super) n: String,
    pub(super) severity: SeverityMark,
    pub(super) bar: Bar,
}

/// So many days and weeks the trends go back.
pub(super) const DAYS: u16 = 30;
pub(super) const WEEKS: u16 = 12;
/// So many are shown as what to fix first.
const FIRST: usize = 8;
/// Out of so many of the gravest.
const GRAVEST: u32 = 500;

/// A finding to fix first, and why it stands there.
struct Urgent {
    line: FindingLine,
    because: Vec<String>,
}

/// What to fix first.
struct FixFirst {
    lines: Vec<Urgent>,
    /// How many of the gravest are left out, since AWS made the roles.
    expected: usize,
}

/// A number with its word and where it leads.
pub(super) struct Figure {
    pub(super) n: String,
    pub(super) word: &'static str,
    pub(super) href: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/overview.html")]
pub(crate) struct OverviewPage {
    chrome: Chrome,
    /// Webhooks to which nothing is sent.
    disabled: Vec<String>,
    seen: Seen,
    /// The newest scan, where it did not end as it should: what is shown is older.
    failed: Option<RunLine>,
    /// Trail files and records that cannot be read; empty where all can.
    unread: String,
    tiles: Vec<Tile>,
    first: FixFirst,
    changes: Vec<Figure>,
    /// Changes of resources in a week, by effect.
    week: Vec<Figure>,
    since: Option<Stamp>,
    visit: Option<VisitCard>,
    trend: Option<Trend>,
    weeks: Option<Trend>,
    flow: Option<FlowCard>,
    rules: Vec<Rank>,
    accounts: Vec<Rank>,
    owners: Vec<Rank>,
    /// Open findings that nobody is known to own.
    unowned: Vec<Figure>,
    answers: Bar,
    answer_words: Vec<(&'static str, String)>,
    last_run: Option<RunLine>,
    estate: Vec<Figure>,
}

/// `GET /`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<OverviewPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let context = PageContext::load(&app).await?;
    let overview = app.store.overview().await?;
    let trends = app.store.trends(context.now, DAYS, WEEKS).await?;
    let given = app.store.latest_answers().await?.unwrap_or_default();
    let counts = app.store.counts().await?;
    let (answers, answer_words) = answers(given);
    Ok(OverviewPage {
        tiles: tiles(&overview),
        disabled: app.disabled_webhooks().await?,
        failed: failed(&app, &context).await?,
        unread: unread(&app).await?,
        first: fix_first(&app, &context).await?,
        changes: changes(&overview),
        week: week(&app, &context).await?,
        visit: VisitCard::load(&app, chrome.person.as_deref(), &context).await?,
        chrome,
        since: overview.last_run.as_ref().map(|run| Stamp::new(run.started_at, context.now)),
        trend: trend(&trends.days),
        weeks: weeks(&trends.weeks),
        flow: FlowCard::load(&app, &context).await?,
        rules: rules(&overview, &titles(&app)),
        accounts: accounts(&overview, &context),
        owners: owners(&overview),
        unowned: unowned(&overview),
        answers,
        answer_words,
        last_run: overview.last_run.as_ref().map(|run| RunLine::new(run, context.now)),
        estate: estate(&counts),
        seen: context.seen,
    })
}

/// The newest scan, where it failed or was interrupted. Whoever has limits does not see scans.
async fn failed(app: &App, context: &PageContext) -> Result<Option<RunLine>, AppError> {
    if app.store.is_limited() {
        return Ok(None);
    }
    let newest = app.store.runs(None, 1).await?.into_iter().next();
    let newest = newest.filter(|run| matches!(run.state, RunState::Failed | RunState::Interrupted));
    Ok(newest.map(|run| RunLine::new(&run, context.now)))
}

/// What changed since a person was here last.
struct VisitCard {
    /// When this visit began.
    began: Stamp,
    /// When the visit before was over; `None`: there was none.
    previous: Option<Stamp>,
    /// Changes by effect, and those that nobody approved.
    changes: Vec<Figure>,
    findings: Vec<Figure>,
}

impl VisitCard {
    async fn load(app: &App, person: Option<&str>, context: &PageContext) -> Result<Option<Self>, AppError> {
        let Some(person) = person else { return Ok(None) };
        let Some(visit) = app.whole().visit(person).await? else { return Ok(None) };
        let mut card = Self {
            began: Stamp::new(visit.began_at, context.now),
            previous: visit.previous_at.map(|at| Stamp::new(at, context.now)),
            changes: Vec::new(),
            findings: Vec::new(),
        };
        let Some(since) = visit.previous_at else { return Ok(Some(card)) };
        card.changes = by_effect(app, since).await?;
        let given = words::rfc3339(since);
        let figure = |total: Total, word, href| {
            let n = match total {
                Total::Exact(n) => words::count_u64(n),
                Total::AtLeast(n) => format!("{}+", words::count_u64(n)),
            };
            Figure { n, word, href }
        };
        let unapproved = ChangeFilter { since: Some(since), ..ChangeFilter::default() };
        let unapproved = match app.store.changes_to_approve(&unapproved).await? {
            counted if counted > u64::from(MOST_APPROVED) => Total::AtLeast(u64::from(MOST_APPROVED)),
            counted => Total::Exact(counted),
        };
        let href = format!("/changes?approval=none,expired,withdrawn&since={given}");
        card.changes.push(figure(unapproved, "not approved", href));
        let new = FindingFilter { first_seen_after: Some(since), ..FindingFilter::default() };
        let resolved = FindingFilter {
            workflow: vec![Workflow::Resolved],
            updated_since: Some(since),
            ..FindingFilter::default()
        };
        let href = format!("/findings?state=open,acknowledged,suppressed,resolved&first_seen_after={given}");
        card.findings.push(figure(app.store.count_findings(&new).await?, "new", href));
        let href = format!("/findings?state=resolved&updated_since={given}");
        card.findings.push(figure(app.store.count_findings(&resolved).await?, "resolved", href));
        Ok(Some(card))
    }
}

/// So many unreadable records are counted.
const UNREAD: u32 = 100;

/// How many trail files and records cannot be read. Ingestion is of everything, and told to nobody with limits.
async fn unread(app: &App) -> Result<String, AppError> {
    if app.store.is_limited() {
        return Ok(String::new());
    }
    let problems = app.store.trail_problems(None, UNREAD).await?.len();
    let most = usize::try_from(UNREAD).unwrap_or(usize::MAX);
    Ok(match problems {
        0 => String::new(),
        n if n >= most => format!("{most} or more CloudTrail files or records cannot be read"),
        n => format!("{} cannot be read", plural(n, "CloudTrail file or record", "CloudTrail files or records")),
    })
}

async fn fix_first(app: &App, context: &PageContext) -> Result<FixFirst, AppError> {
    let open = vec![Workflow::Open, Workflow::Acknowledged];
    let filter = FindingFilter { workflow: open, ..FindingFilter::default() };
    let rows = app.store.findings(&filter, FindingSort::Severity, None, GRAVEST).await?;
    let own = rows.iter().filter_map(|row| own_association(&row.subject));
    let reaching = rows.iter().flat_map(|row| &row.workloads).map(|workload| workload.association.clone());
    let keys: BTreeSet<_> = own.chain(reaching).collect();
    let used = app.store.used_associations(&keys, sessions_since(app, context.now)).await?;
    let place = |row: &FindingRow| {
        let standing = Standing {
            severity: row.severity,
            subject: &row.subject,
            workloads: &row.workloads,
            workload_count: row.workload_count,
            opened_at: row.opened_at,
        };
        Priority::new(standing, &used)
    };
    let mut placed: Vec<(Priority, &FindingRow)> = rows.iter().map(|row| (place(row), row)).collect();
    let expected = placed.extract_if(.., |(place, _)| place.is_expected()).count();
    placed.sort_by(|a, b| a.0.cmp(&b.0));
    let titles = titles(app);
    let urgent = |(place, row): (Priority, &FindingRow)| {
        let title = titles.get(&row.rule).cloned().unwrap_or_else(|| row.rule.clone());
        let days = app.config.aws.trail_lookback_days;
        let because = [
            place.is_used().then(|| format!("used by pods in the last {days} days")),
            place.crosses_accounts().then(|| "across accounts".to_owned()),
            (row.workload_count > 1).then(|| format!("{} workloads", words::count_u64(row.workload_count))),
        ];
        Urgent {
            line: FindingLine::new(row, title, &context.names, context.now),
            because: because.into_iter().flatten().collect(),
        }
    };
    Ok(FixFirst { lines: placed.into_iter().take(FIRST).map(urgent).collect(), expected })
}

pub(super) fn tiles(overview: &Overview) -> Vec<Tile> {
    let tile = |severity: Severity| {
        let n = overview.open.get(&severity).copied().unwrap_or(0);
        Tile {
            severity: severity.into(),
            count: words::count_u64(n),
            href: format!("/findings?severity={}", severity.as_str()),
            none: n == 0,
        }
    };
    Severity::WORST_FIRST.into_iter().map(tile).collect()
}

fn changes(overview: &Overview) -> Vec<Figure> {
    let Some(run) = &overview.last_run else { return Vec::new() };
    let since = words::rfc3339(run.started_at);
    let figure = |n: u64, word, href| Figure { n: words::count_u64(n), word, href };
    vec![
        figure(overview.opened_by_last_run, "new or reopened", format!("/findings?updated_since={since}")),
        figure(overview.resolved_by_last_run, "resolved", format!("/findings?state=resolved&updated_since={since}")),
        figure(overview.stale, "undetermined", "/findings?detection=stale".to_owned()),
        figure(overview.suppressed, "suppressed", "/findings?state=suppressed".to_owned()),
    ]
}

/// Changes of resources in the last seven days, by what they come to; those that follow from others left out.
async fn week(app: &App, context: &PageContext) -> Result<Vec<Figure>, AppError> {
    by_effect(app, context.now - TimeDelta::days(7)).await
}

/// Changes of resources since a moment, by what they come to.
pub(super) async fn by_effect(app: &App, since: DateTime<Utc>) -> Result<Vec<Figure>, AppError> {
    let found = app.store.changes_since(since).await?;
    let since = words::rfc3339(since);
    let words = [
        (Effect::Widened, "widened"),
        (Effect::Mixed, "mixed"),
        (Effect::Narrowed, "narrowed"),
        (Effect::Unknown, "unknown"),
        (Effect::None, "without effect"),
    ];
    let figure = |(effect, word): (Effect, &'static str)| {
        let n = found.get(effect.as_str()).copied().filter(|n| *n > 0)?;
        let href = format!("/changes?effect={}&since={since}", effect.as_str());
        Some(Figure { n: words::count_u64(n), word, href })
    };
    Ok(words.into_iter().filter_map(figure).collect())
}

const SHOWN: usize = 7;

pub(super) fn rules(overview: &Overview, titles: &BTreeMap<String, String>) -> Vec<Rank> {
    let most = overview.rules.iter().map(|rule| rule.open).max().unwrap_or(0);
    let rank = |rule: &rolecall_store::RuleOpen| Rank {
        href: format!("/findings?rule_id={}", encode(&rule.rule)),
        label: titles.get(&rule.rule).cloned().unwrap_or_else(|| rule.rule.clone()),
        sub: String::new(),
        n: words::count_u64(rule.open),
        severity: rule.worst.into(),
        bar: bar(&[(class(rule.worst), "open", rule.open)], most),
    };
    overview.rules.iter().take(SHOWN).map(rank).collect()
}

pub(super) fn accounts(overview: &Overview, context: &PageContext) -> Vec<Rank> {
    let most = overview.accounts.iter().map(|account| account.open).max().unwrap_or(0);
    let rank = |account: &rolecall_store::AccountOpen| Rank {
        href: format!("/findings?account_id={}", account.account_id),
        label: context.names.of(account.account_id),
        sub: account.account_id.to_string(),
        n: words::count_u64(account.open),
        severity: account.worst.into(),
        bar: bar(&[(class(account.worst), "open", account.open)], most),
    };
    overview.accounts.iter().take(SHOWN).map(rank).collect()
}

fn owners(overview: &Overview) -> Vec<Rank> {
    let most = overview.owners.iter().map(|owner| owner.open).max().unwrap_or(0);
    let rank = |owner: &rolecall_store::OwnerOpen| Rank {
        href: format!("/findings?owner={}", encode(&owner.owner)),
        label: owner.owner.clone(),
        sub: String::new(),
        n: words::count_u64(owner.open),
        severity: owner.worst.into(),
        bar: bar(&[(class(owner.worst), "open", owner.open)], most),
    };
    overview.owners.iter().take(SHOWN).map(rank).collect()
}

fn unowned(overview: &Overview) -> Vec<Figure> {
    let figures = [(overview.unowned, "of nobody", "false"), (overview.owner_unknown, "of unknown owners", "unknown")];
    let figure = |(n, word, owned): (u64, &'static str, &str)| {
        let href = format!("/findings?owned={owned}");
        (n > 0).then(|| Figure { n: words::count_u64(n), word, href })
    };
    figures.into_iter().filter_map(figure).collect()
}

fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "c-critical",
        Severity::High => "c-high",
        Severity::Medium => "c-medium",
        Severity::Low => "c-low",
        Severity::Info => "c-info",
    }
}

fn answers(given: Answers) -> (Bar, Vec<(&'static str, String)>) {
    let Answers { pass, fail, unknown, error } = given;
    let shares = [
        ("c-pass", "pass", pass),
        ("c-fail", "fail", fail),
        ("unknown", "unknown", unknown),
        ("c-error", "error", error),
    ];
    let words = shares.map(|(class, word, n)| (class, format!("{} {word}", words::count_u64(n)))).to_vec();
    (bar(&shares, pass + fail + unknown + error), words)
}

fn estate(counts: &Counts) -> Vec<Figure> {
    let figure = |n: u64, word, href: &str| Figure { n: words::count_u64(n), word, href: href.to_owned() };
    vec![
        figure(counts.accounts, "accounts", "/accounts"),
        figure(counts.clusters, "clusters", "/clusters"),
        figure(counts.associations, "associations", "/associations"),
        figure(counts.roles, "roles", "/roles"),
        figure(counts.policies, "managed policies", ""),
        figure(counts.documents, "documents", ""),
        figure(counts.sessions, "sessions", ""),
        figure(counts.gaps, "gaps", "/accounts"),
    ]
}
