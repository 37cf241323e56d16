//! `findings`, `workloads`, `roles`, `sessions`, `changes` and `accounts`: lists for people in a terminal.
//!
//! The filters and the order are the API's. What was not seen is said beside each list, so that an empty one is not
//! taken for a good one. Refuses to know how a table is drawn.

use super::{Context, Format, filters as options, finding, print_json, with_existing_database};
use crate::error::Error;
use crate::http::as_of;
use crate::http::filters;
use crate::http::listing::{self, Listing};
use crate::http::lists::Associations;
use crate::http::query::{Param, Params};
use crate::progress::Progress;
use crate::terminal::{self, Cell, Table, Tone};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Arg, ArgMatches};
use futures::TryStreamExt as _;
use rolecall_estate::Session;
use rolecall_estate::coverage::ScopeKind;
use rolecall_iam::{AccountId, RoleArn};
use rolecall_rules::Severity;
use rolecall_store::{
    AccountRow, AsOf, AssociationRow, ChangeRow, CoverageSummary, FindingRow, KindCoverage, RoleRow, Store, Total,
};
use serde_json::{Map, Value, json};
use std::pin::pin;
use std::process::ExitCode;

/// Rows where nobody says how many.
const LIMIT: &str = "100";
/// Rows asked for at a time.
const PAGE: u32 = 500;
/// The states of a finding that is to be worked on: what is shown where no state is asked for.
const OPEN: [&str; 2] = ["open", "acknowledged"];

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Findings,
    Workloads,
    Roles,
    Sessions,
    Changes,
    Accounts,
}

impl List {
    const ALL: [Self; 6] =
        [Self::Findings, Self::Workloads, Self::Roles, Self::Sessions, Self::Changes, Self::Accounts];

    fn name(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Workloads => "workloads",
            Self::Roles => "roles",
            Self::Sessions => "sessions",
            Self::Changes => "changes",
            Self::Accounts => "accounts",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Findings => "List findings that are open or acknowledged, the worst first; or show one",
            Self::Workloads => "List Pod Identity associations: which service account gets which role",
            Self::Roles => "List IAM roles",
            Self::Sessions => "List AssumeRole events with the pod that each is attributed to, the newest first",
            Self::Changes => "List what changed, whom it reaches and who made it, the latest first",
            Self::Accounts => "List accounts with what was seen of each",
        }
    }

    fn filters(self) -> &'static [Param] {
        match self {
            Self::Findings => filters::FINDINGS,
            Self::Workloads => filters::ASSOCIATIONS,
            Self::Roles => filters::ROLES,
            Self::Sessions => filters::SESSIONS,
            Self::Changes => filters::CHANGES,
            Self::Accounts => &[as_of::AT],
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    list: List,
    given: Vec<(String, String)>,
    limit: u32,
    /// A finding's number or fingerprint.
    finding: Option<String>,
}

impl clap::Subcommand for Asked {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        List::ALL.into_iter().fold(command, |command, list| {
            let limit = Arg::new("limit")
                .long("limit")
                .value_name("NUMBER")
                .help("How many rows at most")
                .default_value(LIMIT)
                .value_parser(clap::value_parser!(u32).range(1..));
            let mut below = clap::Command::new(list.name()).about(list.about()).arg(limit);
            if list == List::Findings {
                let number = Arg::new("finding")
                    .value_name("FINDING")
                    .help("Show this finding alone: its number or fingerprint")
                    .conflicts_with_all(list.filters().iter().map(|param| param.name));
                below = below.arg(number);
            }
            if list == List::Workloads {
                below = below.visible_alias("associations");
            }
            command.subcommand(below.args(list.filters().iter().map(options::option)))
        })
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        List::ALL.iter().any(|list| list.name() == name)
    }
}

impl clap::FromArgMatches for Asked {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let list = List::ALL.into_iter().find(|list| list.name() == name).ok_or_else(missing)?;
        let given = list.filters().iter().flat_map(|param| options::given(matches, param)).collect();
        let finding = matches.try_get_one::<String>("finding").ok().flatten().cloned();
        let limit = matches.get_one::<u32>("limit").copied().ok_or_else(missing)?;
        Ok(Self { list, given, limit, finding })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The rows of a list, and what is to be known about them.
struct Found {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Field>>,
    /// How many there are in all; `None` where they are not counted.
    total: Option<Total>,
    /// Whether there are more.
    has_more: bool,
}

/// A field of a row: as JSON, and as a cell.
struct Field {
    value: Value,
    cell: Cell,
}

/// Runs the command.
///
/// # Errors
/// What stopped it.
pub async fn run(context: Context, asked: Asked) -> Result<ExitCode, Error> {
    let Asked { list, given, limit, finding } = asked;
    if let Some(id) = finding {
        return finding::run(context, &id).await;
    }
    let params = options::checked(given, list.filters(), &format!("rolecall {}", list.name()))?;
    let of_open = list == List::Findings && params.list("state").is_empty();
    let params = if of_open { params.defaulting("state", &OPEN) } else { params };
    let (found, coverage) = with_existing_database(&context, &Progress::silent(), async |database| {
        let store = database.store.with_due_days(context.config.triage.due);
        let as_of = as_of::of(&store, &params).await.map_err(as_of::usage_error)?;
        let coverage = match as_of {
            None => store.coverage_summary(0).await?,
            Some(as_of) => store.coverage_summary_at(as_of, 0).await?,
        };
        Ok((read(&store, list, &params, as_of, limit).await?, coverage))
    })
    .await?;
    let what = if of_open { "findings that are open or acknowledged" } else { list.name() };
    if context.format == Format::Json {
        print_json(&found.json(&coverage))?;
    } else {
        let rows = found.rows.iter().map(|row| row.iter().map(|field| field.cell.clone()).collect()).collect();
        Table { columns: found.columns.clone(), rows }.write().map_err(Error::Output)?;
        // Beside the rows, and not among them: what reads the rows takes no sentence for one.
        terminal::err(&found.words(what));
        coverage_words(&coverage).iter().for_each(|line| terminal::err(line));
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(store: &Store, list: List, params: &Params, as_of: Option<AsOf>, limit: u32) -> Result<Found, Error> {
    match list {
        List::Findings => {
            let list = filters::findings_in_order(params);
            let total = store.count_findings(&list.filter).await?;
            Found::new(store, &list, limit, FINDING, finding_row).await.map(|found| found.of(total))
        }
        List::Workloads => {
            let list =
                Associations { filter: filters::associations(params, as_of), sessions_since: DateTime::<Utc>::MAX_UTC };
            let total = store.count_associations(&list.filter).await?;
            Found::new(store, &list, limit, WORKLOAD, workload_row).await.map(|found| found.of(total))
        }
        List::Roles => {
            let list = filters::roles_in_order(params, as_of);
            let total = store.count_roles(&list.filter).await?;
            Found::new(store, &list, limit, ROLE, role_row).await.map(|found| found.of(total))
        }
        List::Sessions => Found::new(store, &filters::sessions_in_order(params), limit, SESSION, session_row).await,
        List::Changes => Found::new(store, &filters::changes_in_order(params), limit, CHANGE, change_row).await,
        List::Accounts => {
            let (accounts, seen) = match as_of {
                None => (store.accounts().await?, store.coverage_by_kind().await?),
                Some(as_of) => (store.accounts_at(as_of).await?, by_kind(store, as_of).await?),
            };
            let shown = accounts.iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
            let rows: Vec<_> = shown.map(|row| account_row(row, &seen)).collect();
            let total = Total::Exact(u64::try_from(accounts.len()).unwrap_or(u64::MAX));
            let has_more = accounts.len() > rows.len();
            Ok(Found { columns: ACCOUNT.to_vec(), rows, total: Some(total), has_more })
        }
    }
}

async fn by_kind(store: &Store, as_of: AsOf) -> Result<Vec<KindCoverage>, Error> {
    let rows = store.coverage_at(as_of, &[]).await?;
    let one = |row: &rolecall_store::CoverageRow| KindCoverage {
        account_id: row.scope.account_id,
        kind: row.scope.kind,
        scopes: 1,
        complete: u64::from(row.complete),
    };
    Ok(rows.iter().map(one).collect())
}

impl Found {
    async fn new<L: Listing>(
        store: &Store,
        list: &L,
        limit: u32,
        columns: &[&'static str],
        row: impl Fn(&L::Row) -> Vec<Field>,
    ) -> Result<Self, Error> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut rows, mut has_more) = (Vec::new(), false);
        let mut pages = pin!(listing::all(store, list, limit.saturating_add(1).min(PAGE)));
        while let Some(page) = pages.try_next().await? {
            let left = most.saturating_sub(rows.len());
            has_more = page.len() > left;
            rows.extend(page.iter().take(left).map(&row));
            if has_more {
                break;
            }
        }
        Ok(Self { columns: columns.to_vec(), rows, total: None, has_more })
    }

    fn of(self, total: Total) -> Self {
        Self { total: Some(total), ..self }
    }

    fn json(&self, coverage: &CoverageSummary) -> Value {
        let item = |row: &Vec<Field>| {
            let fields =
                self.columns.iter().zip(row).map(|(column, field)| ((*column).to_owned(), field.value.clone()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        let total = self.total.map(|total| match total {
            Total::Exact(count) => json!({ "count": count, "type": "exact" }),
            Total::AtLeast(count) => json!({ "count": count, "type": "at_least" }),
        });
        json!({
            "items": self.rows.iter().map(item).collect::<Vec<_>>(),
            "has_more": self.has_more,
            "total": total,
            "coverage": {
                "listings": coverage.scopes,
                "incomplete_listings": coverage.incomplete,
                "scanned_at": coverage.last_look_at,
            },
        })
    }

    /// How many rows are shown, of how many.
    fn words(&self, what: &str) -> String {
        let shown = self.rows.len();
        match (self.total, self.has_more) {
            (_, false) => format!("{shown} {what}"),
            (Some(Total::Exact(all)), true) => format!("{shown} of {all} {what}; `--limit {all}` shows all"),
            (Some(Total::AtLeast(all)), true) => format!("{shown} of {all} {what} or more; `--limit` shows more"),
            (None, true) => format!("{shown} {what}, and more; `--limit` shows more"),
        }
    }
}

/// What was not seen, and where it is told.
fn coverage_words(coverage: &CoverageSummary) -> Option<String> {
    if coverage.last_look_at.is_none() {
        return Some("Nothing was scanned yet: run `rolecall scan`, or `rolecall import PATH`".to_owned());
    }
    let CoverageSummary { incomplete, scopes, .. } = coverage;
    (*incomplete > 0).then(|| {
        format!(
            "{incomplete} of {scopes} listings incomplete, so that something may be missing here: \
             `rolecall export gaps --format csv` tells which"
        )
    })
}

const FINDING: &[&str] = &["number", "severity", "state", "rule_id", "subject", "message"];

fn finding_row(row: &FindingRow) -> Vec<Field> {
    vec![
        number(row.number),
        Field::new(row.severity.as_str()).toned(severity_tone(row.severity)),
        Field::new(row.workflow.as_str()),
        Field::new(&row.rule),
        Field::new(&row.subject.key),
        Field::new(&row.message),
    ]
}

fn severity_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical | Severity::High => Tone::Bad,
        Severity::Medium => Tone::Warning,
        Severity::Low | Severity::Info => Tone::Dim,
    }
}

const WORKLOAD: &[&str] = &[
    "account_id",
    "region",
    "cluster",
    "namespace",
    "service_account",
    "role_arn",
    "target_role_arn",
    "open_findings",
    "worst_severity",
];

fn workload_row(row: &AssociationRow) -> Vec<Field> {
    let key = &row.association.key;
    let detail = row.association.detail.as_ref();
    let worst = Field::optional(row.worst.map(Severity::as_str));
    vec![
        Field::new(&key.account_id),
        Field::new(&key.region),
        Field::new(&key.cluster),
        Field::new(&key.namespace),
        Field::new(&key.service_account),
        // Null where the association was listed and could not be described.
        Field::role(detail.map(|detail| detail.role_arn.as_str()), key.account_id),
        Field::role(detail.and_then(|detail| detail.target_role_arn.as_deref()), key.account_id),
        Field::count(row.open_findings),
        row.worst.map_or(Tone::Plain, severity_tone).of(worst),
    ]
}

const ROLE: &[&str] = &["account_id", "role_arn", "associations", "last_used_at", "last_session_at", "open_findings"];

fn role_row(row: &RoleRow) -> Vec<Field> {
    let account = row.role.arn.account_id();
    vec![
        Field::new(&account),
        Field::role(Some(&row.role.arn.to_string()), account),
        Field::count(Some(row.associations)),
        Field::time(row.last_used_at),
        Field::time(row.last_session_at),
        Field::count(row.open_findings),
    ]
}

const SESSION: &[&str] = &[
    "time",
    "kind",
    "account_id",
    "role_arn",
    "cluster",
    "namespace",
    "service_account",
    "pod",
    "attribution_method",
    "error",
];

fn session_row(row: &Session) -> Vec<Field> {
    let attribution = row.attribution.as_deref().cloned().unwrap_or_default();
    vec![
        Field::time(Some(row.at)),
        Field::new(filters::session_kind(row.kind)),
        Field::new(&row.account_id),
        Field::role(row.role_arn.as_deref(), row.account_id),
        Field::optional(row.cluster.as_deref()),
        Field::optional(attribution.namespace.as_deref()),
        Field::optional(attribution.service_account.as_deref()),
        Field::optional(attribution.pod.as_deref()),
        Field::optional(row.attribution.as_ref().map(|found| found.method.as_str())),
        Tone::Warning.of(Field::optional(row.error.as_deref())),
    ]
}

const CHANGE: &[&str] = &["change_id", "detected_at", "effect", "change", "resource", "workloads", "actor", "approval"];

fn change_row(row: &ChangeRow) -> Vec<Field> {
    let change = &row.change;
    let effect = change.effect.as_str();
    let tone = match effect {
        "widened" | "mixed" => Tone::Bad,
        "unknown" => Tone::Warning,
        _ => Tone::Plain,
    };
    vec![
        Field::new(&change.id),
        Field::time(Some(row.detected_at)),
        Field::new(effect).toned(tone),
        Field::new(&change.change),
        Field::new(&change.resource.name),
        Field::count(u64::try_from(change.affected.len()).ok()),
        Field::optional(row.attributed.actor()),
        Field::optional(row.approval.as_ref().map(|step| step.state.as_str())),
    ]
}

const ACCOUNT: &[&str] = &[
    "account_id",
    "name",
    "roles",
    "clusters",
    "associations",
    "open_findings",
    "listings",
    "incomplete_listings",
    "scanned_at",
];

fn account_row(row: &AccountRow, seen: &[KindCoverage]) -> Vec<Field> {
    // None that was seen, where not all was seen, is not none.
    let counted = |count: u64, kind: ScopeKind| {
        let of_kind = || seen.iter().filter(|it| it.account_id == row.id && it.kind == kind);
        let is_complete = of_kind().next().is_some() && of_kind().all(|it| it.complete == it.scopes);
        if count > 0 || is_complete { Field::count(Some(count)) } else { Field::unknown() }
    };
    let incomplete = Field::count(Some(row.gap_scopes));
    vec![
        Field::new(&row.id),
        Field::optional(row.account.as_ref().and_then(|account| account.name.as_deref())),
        counted(row.roles, ScopeKind::Roles),
        counted(row.clusters, ScopeKind::Clusters),
        counted(row.associations, ScopeKind::Associations),
        Field::count(row.open_findings),
        Field::count(Some(row.complete_scopes.saturating_add(row.gap_scopes))),
        if row.gap_scopes > 0 { Tone::Warning.of(incomplete) } else { incomplete },
        Field::time(row.last_look_at),
    ]
}

fn number(number: i64) -> Field {
    Field { value: json!(number), cell: cell(number.to_string(), true) }
}

fn cell(shown: String, is_number: bool) -> Cell {
    Cell { shown, exact: None, tone: Tone::Plain, is_number }
}

impl Tone {
    fn of(self, field: Field) -> Field {
        field.toned(self)
    }
}

impl Field {
    fn new(text: &(impl ToString + ?Sized)) -> Self {
        let text = text.to_string();
        Self { value: json!(text), cell: cell(text, false) }
    }

    fn toned(mut self, tone: Tone) -> Self {
        self.cell.tone = tone;
        self
    }

    /// What is absent: an empty cell for programs, a hyphen for people.
    fn absent(shown: &str) -> Self {
        Self { value: Value::Null, cell: Cell { exact: Some(String::new()), ..cell(shown.to_owned(), false) } }
    }

    /// What was not seen.
    fn unknown() -> Self {
        Self::absent("unknown").toned(Tone::Warning)
    }

    fn optional(text: Option<&str>) -> Self {
        text.map_or_else(|| Self::absent("-"), Self::new)
    }

    fn count(count: Option<u64>) -> Self {
        let known = |count: u64| Self { value: json!(count), cell: cell(count.to_string(), true) };
        count.map_or_else(|| Self::absent("-"), known)
    }

    fn time(at: Option<DateTime<Utc>>) -> Self {
        let known = |at: DateTime<Utc>| {
            let exact = at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let shown = at.format("%Y-%m-%d %H:%M").to_string();
            Self { value: json!(exact), cell: Cell { exact: Some(exact), ..cell(shown, false) } }
        };
        at.map_or_else(|| Self::absent("-"), known)
    }

    /// A role of the account by its path and name, any other by its ARN.
    fn role(exact: Option<&str>, account: AccountId) -> Self {
        let Some(exact) = exact else { return Self::absent("-") };
        let is_own = exact.parse::<RoleArn>().is_ok_and(|arn| arn.account_id() == account);
        let name = exact.split_once(":role/").map(|(_, name)| name).filter(|_| is_own);
        let (exact, shown) = (exact.to_owned(), name.unwrap_or(exact).to_owned());
        Self { value: json!(exact), cell: Cell { exact: Some(exact), ..cell(shown, false) } }
    }
}
