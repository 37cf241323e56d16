//! Findings for pages, the API and exports: filters, keyset pages, events.
//!
//! Knows one order for each sort, with the finding's number as tie-break, and one statement for each
//! order and each kind of filter, so that an index serves it. A list reads no evidence. Refuses to
//! know cursors' wire form; who serves pages signs it.

use crate::count::{COUNTED, Total, total};
use crate::findings::filter::{FindingFilter, FindingVia};
use crate::findings::totals::FindingsState;
use crate::parse::severity_rank;
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rolecall_audit::access::reach::{Via, Workload};
use rolecall_audit::finding::{Detection, KnownFinding, Workflow};
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::Reason;
use rolecall_estate::assumption::Assumption;
use rolecall_iam::{AccountId, Digest};
use rolecall_rules::{EffectiveParam, Evidence, ExceptionRef, Severity, Subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Findings that an export reads at once.
const EXPORTED: i64 = 500;
/// So many findings are a short page, one more than is shown among them.
const SHORT: i64 = 201;

/// In which order; ties go to the greater number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSort {
    /// The worst first.
    #[default]
    Severity,
    /// The last seen first.
    LastSeen,
    /// The newest episode first.
    Opened,
    /// The greatest number first.
    Number,
}

impl FindingSort {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::LastSeen => "last_seen",
            Self::Opened => "opened",
            Self::Number => "number",
        }
    }
}

/// The last finding of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingAfter {
    /// What it was sorted by.
    pub value: i64,
    /// Its number.
    pub number: i64,
}

/// A finding in a list: what it says, without what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingRow {
    /// For people; unique in the installation.
    pub number: i64,
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// After bindings.
    pub severity: Severity,
    /// What the severity follows from, where it is neither the rule's own nor a binding's.
    pub severity_because: Option<String>,
    /// The graver finding about the same statement under which this one is listed.
    pub part_of: Option<Fingerprint>,
    /// How many findings that are not resolved are listed under this one.
    pub parts: u64,
    /// What was stated and not seen, and the finding rests on.
    pub assumptions: Vec<Assumption>,
    /// How many workloads reach the role concerned.
    pub workload_count: u64,
    /// The first of them, the nearest first.
    pub workloads: Vec<Workload>,
    /// About what.
    pub subject: Subject,
    /// The scanner's side.
    pub detection: Detection,
    /// People's side.
    pub workflow: Workflow,
    /// Why it was resolved, as [`rolecall_audit::finding::Resolution`] names it.
    pub resolution: Option<String>,
    /// One sentence.
    pub message: String,
    /// The exception in force, if any.
    pub exception: Option<ExceptionRef>,
    /// Why it could not be decided; empty unless stale.
    pub stale_why: Vec<Reason>,
    /// First seen ever.
    pub first_seen_at: DateTime<Utc>,
    /// Begin of this episode.
    pub opened_at: DateTime<Utc>,
    /// Last seen failing.
    pub last_seen_at: DateTime<Utc>,
    /// Whether that was by the latest run that judged.
    pub seen_by_latest: bool,
    /// Resolved.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Last step of its life; being seen again unchanged is none.
    pub updated_at: DateTime<Utc>,
    /// How often it came back.
    pub reopened_count: u32,
    /// The run that first saw it.
    pub first_run: RunId,
    /// The run that last saw it failing.
    pub last_run: RunId,
    /// Grows with every step.
    pub version: i64,
    /// The place of its last step in the order of all changes.
    pub change_seq: i64,
}

impl FindingRow {
    /// The key of this finding in a sorted list.
    #[must_use]
    pub fn after(&self, sort: FindingSort) -> FindingAfter {
        let value = match sort {
            FindingSort::Severity => i64::from(severity_rank(self.severity)),
            // Ahead of all others, whichever run is the latest when the next page is read.
            FindingSort::LastSeen if self.seen_by_latest => i64::MAX,
            FindingSort::LastSeen => self.last_seen_at.timestamp_micros(),
            FindingSort::Opened => self.opened_at.timestamp_micros(),
            FindingSort::Number => self.number,
        };
        FindingAfter { value, number: self.number }
    }
}

/// A finding with what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What a list shows of it.
    pub row: FindingRow,
    /// What decided.
    pub evidence: Vec<Evidence>,
    /// Digest of what it shows besides message and severity.
    pub evidence_digest: Digest,
    /// Parameters in force.
    pub params: BTreeMap<String, EffectiveParam>,
}

/// A step in a finding's life.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingEvent {
    /// Place in the order of all changes.
    pub change_seq: i64,
    /// Whose account.
    pub account_id: AccountId,
    /// Whose step.
    pub fingerprint: Fingerprint,
    /// The run, where the scanner did it.
    pub run: Option<RunId>,
    /// When.
    pub at: DateTime<Utc>,
    /// `opened`, `reopened`, `changed`, `seen_again`, `resolved`, `stale`, `suppressed`,
    /// `suppression_expired`.
    pub kind: String,
    /// `scanner`, or who did it.
    pub actor: String,
    /// Values before and after.
    pub detail: Value,
}

struct Record {
    account_id: String,
    fingerprint: String,
    number: i64,
    rule: String,
    severity: String,
    severity_because: Option<String>,
    part_of: Option<String>,
    parts: i64,
    assumptions: Value,
    workload_count: i32,
    workloads: Option<Value>,
    subject_kind: String,
    subject_key: String,
    region: Option<String>,
    cluster: Option<String>,
    namespace: Option<String>,
    service_account: Option<String>,
    role_arn: Option<String>,
    target_role_arn: Option<String>,
    detection: String,
    workflow: String,
    resolution: Option<String>,
    message: String,
    exception: Option<Value>,
    stale_why: Value,
    first_seen_at: DateTime<Utc>,
    opened_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    seen_by_latest: bool,
    resolved_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    reopened_count: i32,
    first_run: i64,
    last_run: i64,
    version: i64,
    change_seq: i64,
}

/// The columns of [`Record`], written once, of `finding` as `f`; `$tail` is the rest of the statement.
macro_rules! select_findings {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select f.account_id, f.fingerprint, f.number, f.rule, f.severity, f.severity_because, f.part_of,
                      (select count(*) from finding p where p.part_of = f.fingerprint and p.workflow <> 'resolved')
                          as "parts!",
                      f.assumptions, f.workloads as workload_count,
                      case when f.workloads > 0 then (
                          select jsonb_agg(jsonb_build_array(w.association, w.via)) from (
                              select association, via from finding_workload w
                              where w.account_id = f.account_id and w.fingerprint = f.fingerprint
                              order by array_position('{direct,target,chain}'::text[], via), association limit 10) w) end
                          as workloads,
                      f.subject_kind, f.subject_key, f.region, f.cluster, f.namespace, f.service_account, f.role_arn,
                      f.target_role_arn, f.detection, f.workflow, f.resolution, f.message, f.exception, f.stale_why,
                      f.first_seen_at, f.opened_at,
                      coalesce(f.last_seen_at, (select judged_at from run where judged_at is not null
                                                order by id desc limit 1), f.updated_at) as "last_seen_at!",
                      f.last_seen_at is null as "seen_by_latest!",
                      f.resolved_at, f.updated_at, f.reopened_count, f.first_run,
                      coalesce(f.last_run, (select id from run where judged_at is not null order by id desc limit 1),
                               f.first_run) as "last_run!",
                      f.version, f.change_seq "# + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// How many findings there are, up to a limit that `$tail` gives.
macro_rules! count_findings {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_scalar!(
            r#"select count(*) as "count!" from (select 1 "# + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// The findings that are listed by themselves, by people's side alone: what pages and bots ask for most.
/// Parameters of `$tail` count from `$2`.
macro_rules! of_state {
    ($query:ident!, $bound:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            "from finding f where f.part_of is null and f.workflow = any($1::text[]) " + $tail $(+ $more)*,
            &$bound.states,
            $($arg,)*
        )
    };
}

/// The same for a page of at most [`SHORT`] findings. The number is written into the statement, so that
/// PostgreSQL knows without the parameters how little there is to read, and keeps its plan: otherwise it
/// plans anew for each page, which costs more than reading it.
macro_rules! of_short_page {
    ($query:ident!, $bound:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            "from (select * from finding f where f.part_of is null and f.workflow = any($1::text[]) "
                + $tail $(+ $more)*,
            &$bound.states,
            $($arg,)*
        )
    };
}

/// The findings of a filter that names no place; its condition and parameters are written once.
/// Parameters of `$tail` count from `$15`.
macro_rules! of_filter {
    ($query:ident!, $bound:ident, $filter:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        with_conditions!($query!, $bound, $filter, "from finding f ", $tail $(+ $more)* $(, $arg)*)
    };
}

/// The findings of a filter that names a place or a way: those whose subject is there, and those on
/// roles that a workload there reaches. Parameters of `$tail` count from `$25`.
macro_rules! of_place {
    ($query:ident!, $bound:ident, $filter:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        with_conditions!(
            $query!,
            $bound,
            $filter,
            "from (
                 select o.account_id, o.fingerprint from finding o
                 where $15::bool
                   and ($16::text is null or o.region = $16)
                   and ($17::text is null or o.cluster = $17)
                   and ($18::text is null or o.namespace = $18)
                   and ($19::text is null or o.service_account = $19)
                   and ($20::text is null or o.subject_key = $20
                        or (o.subject_kind = 'session' and o.cluster = $21 and o.namespace = $22
                            and o.service_account = $23))
                   and (num_nonnulls($16, $17, $18, $19, $20) > 0 or o.namespace is not null)
                 union
                 select w.account_id, w.fingerprint from finding_workload w
                 where w.via = any($24::text[])
                   and ($16::text is null or w.region = $16)
                   and ($17::text is null or w.cluster = $17)
                   and ($18::text is null or w.namespace = $18)
                   and ($19::text is null or w.service_account = $19)
                   and ($20::text is null or w.association = $20)
             ) place join finding f on f.account_id = place.account_id and f.fingerprint = place.fingerprint ",
            $tail $(+ $more)*,
            $bound.own,
            $filter.region,
            $filter.cluster,
            $filter.namespace,
            $filter.service_account,
            $bound.association,
            $filter.association.as_ref().map(|key| key.cluster.to_string()),
            $filter.association.as_ref().map(|key| key.namespace.to_string()),
            $filter.association.as_ref().map(|key| key.service_account.to_string()),
            &$bound.ways
            $(, $arg)*
        )
    };
}

macro_rules! with_conditions {
    ($query:ident!, $bound:ident, $filter:ident, $from:literal, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            $from + "where (cardinality($1::text[]) = 0 or f.workflow = any($1))
               and (cardinality($2::text[]) = 0 or f.detection = any($2))
               and (cardinality($3::text[]) = 0 or f.severity = any($3))
               and ($4::smallint is null or f.severity_rank >= $4)
               and (cardinality($5::text[]) = 0 or f.account_id = any($5))
               and (cardinality($6::text[]) = 0 or f.rule = any($6))
               and (cardinality($7::text[]) = 0 or f.subject_kind = any($7))
               and ($8::text is null or f.subject_key = $8)
               and ($9::text is null or f.role_arn = $9 or f.target_role_arn = $9)
               and ($10::timestamptz is null or f.updated_at >= $10)
               and ($11::timestamptz is null or f.first_seen_at >= $11)
               and ($12::text is null
                    or position(lower($12) in lower(f.message || ' ' || f.subject_key || ' ' || f.rule)) > 0)
               and ($13::bool or f.part_of is null)
               and ($14::text is null or f.part_of = $14)
             " + $tail $(+ $more)*,
            &$bound.workflow,
            &$bound.detection,
            &$bound.severity,
            $bound.severity_min,
            &$bound.accounts,
            &$filter.rules,
            &$bound.kinds,
            $filter.subject_key,
            $filter.role_arn,
            $filter.updated_since,
            $filter.first_seen_after,
            $filter.q,
            $bound.folded,
            $bound.part_of,
            $($arg,)*
        )
    };
}

/// A page of a family of statements, in each order that there is: each order has its own index.
/// `$a`, `$b` and `$c` are the parameters of the family's tail; `$most`, where the family reads from a
/// list of its own, is how long that one is.
macro_rules! page_of {
    ($of:ident!($($known:ident),*), [$a:literal, $b:literal, $c:literal $(; $most:literal)?], $pool:expr, $sort:ident, $from:ident, $limit:ident) => {
        match $sort {
            FindingSort::Severity => {
                $of!(
                    select_findings!,
                    $($known,)*
                    "and (f.severity_rank, f.number) < (" + $a + "::smallint, " + $b + "::bigint)
                     order by f.severity_rank desc, f.number desc limit "
                        $(+ $most + ") f order by f.severity_rank desc, f.number desc limit ")? + $c,
                    $from.rank,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::LastSeen => {
                $of!(
                    select_findings!,
                    $($known,)*
                    "and (coalesce(f.last_seen_at, 'infinity'::timestamptz), f.number)
                         < (coalesce(" + $a + "::timestamptz, 'infinity'::timestamptz), " + $b + "::bigint)
                     order by coalesce(f.last_seen_at, 'infinity'::timestamptz) desc, f.number desc limit "
                        $(+ $most + ") f order by coalesce(f.last_seen_at, 'infinity'::timestamptz) desc,
                                    f.number desc limit ")? + $c,
                    $from.at,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Opened => {
                $of!(
                    select_findings!,
                    $($known,)*
                    "and (f.opened_at, f.number) < (coalesce(" + $a + "::timestamptz, 'infinity'::timestamptz), " + $b
                        + "::bigint) order by f.opened_at desc, f.number desc limit "
                        $(+ $most + ") f order by f.opened_at desc, f.number desc limit ")? + $c,
                    $from.at,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Number => {
                $of!(
                    select_findings!,
                    $($known,)*
                    "and f.number < " + $a + "::bigint order by f.number desc limit "
                        $(+ $most + ") f order by f.number desc limit ")? + $b,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
        }
    };
}

impl Record {
    fn into_row(self) -> Result<FindingRow, Error> {
        const TABLE: &str = "finding";
        let key = self.fingerprint;
        let subject = Subject {
            kind: parse::name(TABLE, &key, &self.subject_kind)?,
            key: self.subject_key,
            account_id: parse::account(TABLE, &self.account_id)?,
            region: self.region,
            cluster: self.cluster,
            namespace: self.namespace,
            service_account: self.service_account,
            role_arn: self.role_arn,
            target_role_arn: self.target_role_arn,
        };
        let shown: Vec<(String, String)> = match self.workloads {
            Some(shown) => parse::json("finding_workload", &key, shown)?,
            None => Vec::new(),
        };
        let workloads = shown.iter().map(|(association, via)| workload(&key, association, via));
        Ok(FindingRow {
            number: self.number,
            rule: self.rule,
            severity: parse::name(TABLE, &key, &self.severity)?,
            severity_because: self.severity_because,
            part_of: self.part_of.map(Fingerprint),
            parts: parse::count(self.parts),
            assumptions: parse::json(TABLE, &key, self.assumptions)?,
            workload_count: parse::count(self.workload_count.into()),
            workloads: workloads.collect::<Result<_, Error>>()?,
            subject,
            detection: parse::name(TABLE, &key, &self.detection)?,
            workflow: parse::name(TABLE, &key, &self.workflow)?,
            resolution: self.resolution,
            message: self.message,
            exception: self.exception.map(|value| parse::json(TABLE, &key, value)).transpose()?,
            stale_why: parse::json(TABLE, &key, self.stale_why)?,
            first_seen_at: self.first_seen_at,
            opened_at: self.opened_at,
            last_seen_at: self.last_seen_at,
            seen_by_latest: self.seen_by_latest,
            resolved_at: self.resolved_at,
            updated_at: self.updated_at,
            reopened_count: u32::try_from(self.reopened_count).unwrap_or_default(),
            first_run: RunId(self.first_run),
            last_run: RunId(self.last_run),
            version: self.version,
            change_seq: self.change_seq,
            fingerprint: Fingerprint(key),
        })
    }
}

fn workload(fingerprint: &str, association: &str, via: &str) -> Result<Workload, Error> {
    const TABLE: &str = "finding_workload";
    let corrupt = || Error::corrupt(TABLE, fingerprint.to_owned(), format!("`{association}` is no association's key"));
    Ok(Workload {
        association: association.parse().map_err(|_| corrupt())?,
        via: parse::name(TABLE, fingerprint, via)?,
    })
}

/// A filter as the statements take it.
struct Bound {
    workflow: Vec<String>,
    /// The same, with every state where none is asked for.
    states: Vec<String>,
    detection: Vec<String>,
    severity: Vec<String>,
    severity_min: Option<i16>,
    accounts: Vec<String>,
    kinds: Vec<String>,
    folded: bool,
    part_of: Option<String>,
    /// Whether findings count whose own subject is in the place.
    own: bool,
    /// The ways by which a workload may reach the role of a finding that counts.
    ways: Vec<String>,
    association: Option<String>,
}

impl Bound {
    fn of(filter: &FindingFilter) -> Self {
        let workflow: Vec<String> = filter.workflow.iter().map(|v| v.as_str().to_owned()).collect();
        let all = [Workflow::Open, Workflow::Acknowledged, Workflow::Suppressed, Workflow::Resolved];
        let any = filter.via.is_empty();
        let through =
            |way: Via| any || filter.via.iter().any(|v| *v == FindingVia::Role || *v == FindingVia::Reach(way));
        let ways = [Via::Direct, Via::Target, Via::Chain].into_iter().filter(|way| through(*way));
        Self {
            states: if workflow.is_empty() { all.map(|v| v.as_str().to_owned()).into() } else { workflow.clone() },
            workflow,
            detection: filter.detection.iter().map(|v| v.as_str().to_owned()).collect(),
            severity: filter.severity.iter().map(|v| v.as_str().to_owned()).collect(),
            severity_min: filter.severity_min.map(severity_rank),
            accounts: filter.accounts.iter().map(ToString::to_string).collect(),
            kinds: filter.subject_kinds.iter().map(|v| v.as_str().to_owned()).collect(),
            folded: filter.folded || filter.part_of.is_some(),
            part_of: filter.part_of.as_ref().map(|head| head.0.clone()),
            own: any || filter.via.contains(&FindingVia::Subject),
            ways: ways.map(|way| way.as_str().to_owned()).collect(),
            association: filter.association.as_ref().map(ToString::to_string),
        }
    }
}

/// Which family of statements serves a filter.
enum Family {
    State,
    Filter,
    Place,
}

impl Family {
    fn of(filter: &FindingFilter) -> Self {
        // Every field is named: a new one must be put in its place.
        let FindingFilter {
            workflow: _,
            detection,
            severity,
            severity_min,
            accounts,
            rules,
            subject_kinds,
            subject_key,
            region,
            cluster,
            namespace,
            service_account,
            association,
            via,
            role_arn,
            part_of,
            folded,
            updated_since,
            first_seen_after,
            q,
        } = filter;
        let place = [region, cluster, namespace, service_account].into_iter().any(Option::is_some);
        if place || association.is_some() || !via.is_empty() {
            return Self::Place;
        }
        let texts = [subject_key, role_arn, q].into_iter().any(Option::is_some);
        let times = [updated_since, first_seen_after].into_iter().any(Option::is_some);
        let lists = detection.is_empty() && severity.is_empty() && accounts.is_empty();
        let plain = lists && rules.is_empty() && subject_kinds.is_empty() && severity_min.is_none();
        if plain && !texts && !times && part_of.is_none() && !folded { Self::State } else { Self::Filter }
    }
}

/// Where a page begins, as each order takes it; without a page before, ahead of everything.
struct Start {
    rank: i16,
    /// `None` is ahead of every instant.
    at: Option<DateTime<Utc>>,
    number: i64,
}

impl Start {
    fn of(after: Option<FindingAfter>) -> Self {
        let ahead = FindingAfter { value: i64::MAX, number: i64::MAX };
        let FindingAfter { value, number } = after.unwrap_or(ahead);
        let at = DateTime::from_timestamp_micros(value).filter(|_| value != i64::MAX);
        Self { rank: i16::try_from(value).unwrap_or(i16::MAX), at, number }
    }
}

impl Store {
    /// A page of findings.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn findings(
        &self,
        filter: &FindingFilter,
        sort: FindingSort,
        after: Option<FindingAfter>,
        limit: u32,
    ) -> Result<Vec<FindingRow>, Error> {
        let bound = Bound::of(filter);
        let (from, limit) = (Start::of(after), parse::limit(limit));
        let records = match Family::of(filter) {
            Family::State if limit <= SHORT => {
                page_of!(of_short_page!(bound), ["$2", "$3", "$4"; "201"], &self.pool, sort, from, limit)
            }
            Family::State => page_of!(of_state!(bound), ["$2", "$3", "$4"], &self.pool, sort, from, limit),
            Family::Filter => page_of!(of_filter!(bound, filter), ["$15", "$16", "$17"], &self.pool, sort, from, limit),
            Family::Place => page_of!(of_place!(bound, filter), ["$25", "$26", "$27"], &self.pool, sort, from, limit),
        };
        records.into_iter().map(Record::into_row).collect()
    }

    /// All findings of a filter with what decided them, by number, some hundred at once: for exports
    /// of any length.
    pub fn export_findings(&self, filter: &FindingFilter) -> BoxStream<'_, Result<Finding, Error>> {
        let filter = filter.clone();
        stream::try_unfold((filter, 0), async move |(filter, after)| {
            let bound = Bound::of(&filter);
            let records = match Family::of(&filter) {
                Family::Place => {
                    of_place!(
                        select_findings!,
                        bound,
                        filter,
                        "and f.number > $25::bigint order by f.number limit $26",
                        after,
                        EXPORTED,
                    )
                    .fetch_all(&self.pool)
                    .await?
                }
                Family::State | Family::Filter => {
                    of_filter!(
                        select_findings!,
                        bound,
                        filter,
                        "and f.number > $15::bigint order by f.number limit $16",
                        after,
                        EXPORTED,
                    )
                    .fetch_all(&self.pool)
                    .await?
                }
            };
            let Some(last) = records.last().map(|record| record.number) else { return Ok::<_, Error>(None) };
            let rows = records.into_iter().map(Record::into_row).collect::<Result<Vec<_>, Error>>()?;
            let found = self.decided(rows).await?;
            Ok(Some((stream::iter(found.into_iter().map(Ok)), (filter, last))))
        })
        .try_flatten()
        .boxed()
    }

    /// How many findings a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_findings(&self, filter: &FindingFilter) -> Result<Total, Error> {
        let state = self.findings_state().await?;
        if let Some(total) = self.totals.of(filter, state) {
            return Ok(total);
        }
        let bound = Bound::of(filter);
        let found = match Family::of(filter) {
            Family::State => {
                of_state!(count_findings!, bound, "limit $2) as found", COUNTED + 1).fetch_one(&self.pool).await?
            }
            Family::Filter => {
                of_filter!(count_findings!, bound, filter, "limit $15) as found", COUNTED + 1)
                    .fetch_one(&self.pool)
                    .await?
            }
            Family::Place => {
                of_place!(count_findings!, bound, filter, "limit $25) as found", COUNTED + 1)
                    .fetch_one(&self.pool)
                    .await?
            }
        };
        let total = total(found);
        self.totals.keep(filter, state, total);
        Ok(total)
    }

    /// Moves with every change of any finding.
    async fn findings_state(&self) -> Result<FindingsState, Error> {
        let state = sqlx::query!(
            "select value, (select id from run where judged_at is not null order by id desc limit 1) as run
             from counter where account_id = $1 and name = 'change'",
            INSTALLATION
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((state.value, state.run))
    }

    /// A finding by its number.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding(&self, number: i64) -> Result<Option<Finding>, Error> {
        let record = select_findings!("from finding f where f.number = $1", number).fetch_optional(&self.pool).await?;
        self.one(record).await
    }

    /// A finding by its fingerprint.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding_by_fingerprint(&self, fingerprint: &Fingerprint) -> Result<Option<Finding>, Error> {
        let record = select_findings!("from finding f where f.fingerprint = $1", fingerprint.0)
            .fetch_optional(&self.pool)
            .await?;
        self.one(record).await
    }

    async fn one(&self, record: Option<Record>) -> Result<Option<Finding>, Error> {
        let rows = record.map(Record::into_row).transpose()?.into_iter().collect();
        Ok(self.decided(rows).await?.pop())
    }

    /// Findings with what decided them, in the order of the rows.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decided(&self, rows: Vec<FindingRow>) -> Result<Vec<Finding>, Error> {
        let wanted: Vec<String> = rows.iter().map(|row| row.fingerprint.0.clone()).collect();
        let found = sqlx::query!(
            "select fingerprint, evidence, evidence_digest, params from finding where fingerprint = any($1)",
            &wanted
        )
        .fetch_all(&self.pool)
        .await?;
        let mut by_fingerprint: HashMap<String, _> =
            found.into_iter().map(|found| (found.fingerprint.clone(), found)).collect();
        let each = rows.into_iter().filter_map(|row| {
            let found = by_fingerprint.remove(&row.fingerprint.0)?;
            let key = &row.fingerprint.0;
            let read = || {
                Ok(Finding {
                    evidence: parse::json("finding", key, found.evidence)?,
                    evidence_digest: parse::digest("finding", key, &found.evidence_digest)?,
                    params: parse::json("finding", key, found.params)?,
                    row: row.clone(),
                })
            };
            Some(read())
        });
        each.collect()
    }

    /// The workloads that reach the role of a finding, the nearest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn workloads_of(&self, finding: &FindingRow, limit: u32) -> Result<Vec<Workload>, Error> {
        let key = &finding.fingerprint.0;
        let rows = sqlx::query!(
            "select association, via from finding_workload where account_id = $1 and fingerprint = $2
             order by array_position('{direct,target,chain}'::text[], via), association limit $3",
            finding.subject.account_id.to_string(),
            key,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| workload(key, &row.association, &row.via)).collect()
    }

    /// Every kept finding, as the audit needs it.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn known_findings(&self) -> Result<Vec<KnownFinding>, Error> {
        let mut rows = sqlx::query!(
            "select account_id, fingerprint, rule, severity, subject_kind, subject_key, region, cluster, namespace,
                    service_account, role_arn, target_role_arn, detection, workflow, message, evidence_digest,
                    assumptions, happened_at
             from finding order by account_id, fingerprint"
        )
        .fetch(&self.pool);
        let mut known = Vec::new();
        while let Some(row) = rows.try_next().await? {
            const TABLE: &str = "finding";
            let key = row.fingerprint;
            known.push(KnownFinding {
                rule: row.rule,
                subject: Subject {
                    kind: parse::name(TABLE, &key, &row.subject_kind)?,
                    key: row.subject_key,
                    account_id: parse::account(TABLE, &row.account_id)?,
                    region: row.region,
                    cluster: row.cluster,
                    namespace: row.namespace,
                    service_account: row.service_account,
                    role_arn: row.role_arn,
                    target_role_arn: row.target_role_arn,
                },
                detection: parse::name(TABLE, &key, &row.detection)?,
                workflow: parse::name(TABLE, &key, &row.workflow)?,
                evidence_digest: parse::digest(TABLE, &key, &row.evidence_digest)?,
                severity: parse::name(TABLE, &key, &row.severity)?,
                message: row.message,
                assumptions: parse::json(TABLE, &key, row.assumptions)?,
                happened_at: row.happened_at,
                fingerprint: Fingerprint(key),
            });
        }
        Ok(known)
    }

    /// The steps of a finding's life, from the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding_events(&self, finding: &FindingRow) -> Result<Vec<FindingEvent>, Error> {
        let rows = sqlx::query!(
            "select account_id, change_seq, fingerprint, run_id, at, kind, actor, detail from finding_event
             where account_id = $1 and fingerprint = $2 order by change_seq",
            finding.subject.account_id.to_string(),
            finding.fingerprint.0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(FindingEvent {
                    change_seq: row.change_seq,
                    account_id: parse::account("finding_event", &row.account_id)?,
                    fingerprint: Fingerprint(row.fingerprint),
                    run: row.run_id.map(RunId),
                    at: row.at,
                    kind: row.kind,
                    actor: row.actor,
                    detail: row.detail,
                })
            })
            .collect()
    }
}
