//! Findings for pages, the API and exports: filters, keyset pages, events.
//!
//! Knows one order for each sort, with the finding's number as tie-break. Refuses to know cursors'
//! wire form; who serves pages signs it.

use crate::findings::severity_rank;
use crate::runs::RunId;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use futures::stream::{BoxStream, StreamExt};
use rolecall_audit::finding::{
    Detection, EffectiveParam, Evidence, ExceptionRef, Failure, Fingerprint, Severity, Subject, SubjectKind, Workflow,
};
use rolecall_iam::{AccountId, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;

/// Totals are counted so far, and then said to be `at least`.
const COUNTED: i64 = 10_000;

/// Which findings. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default)]
pub struct FindingFilter {
    /// People's side.
    pub workflow: Vec<Workflow>,
    /// The scanner's side.
    pub detection: Vec<Detection>,
    /// Any of these.
    pub severity: Vec<Severity>,
    /// This bad or worse.
    pub severity_min: Option<Severity>,
    /// Of these accounts.
    pub accounts: Vec<AccountId>,
    /// Of these rules.
    pub rules: Vec<String>,
    /// About these kinds of subject.
    pub subject_kinds: Vec<SubjectKind>,
    /// About this subject.
    pub subject_key: Option<String>,
    /// In this region.
    pub region: Option<String>,
    /// In this cluster.
    pub cluster: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of this service account.
    pub service_account: Option<String>,
    /// Concerning this role, as the role or as the target role.
    pub role_arn: Option<String>,
    /// Changed at or after.
    pub updated_since: Option<DateTime<Utc>>,
    /// First seen at or after.
    pub first_seen_after: Option<DateTime<Utc>>,
    /// Whose message, subject or rule holds this text, in any case.
    pub q: Option<String>,
}

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

/// How many there are in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "count", rename_all = "snake_case")]
pub enum Total {
    /// So many.
    Exact(u64),
    /// So many, and more.
    AtLeast(u64),
}

/// A finding as it is kept.
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
    /// What decided.
    pub evidence: Vec<Evidence>,
    /// Digest of the evidence.
    pub evidence_digest: Digest,
    /// Parameters in force.
    pub params: BTreeMap<String, EffectiveParam>,
    /// The exception in force, if any.
    pub exception: Option<ExceptionRef>,
    /// Why it could not be decided; empty unless stale.
    pub stale_why: Vec<String>,
    /// First seen ever.
    pub first_seen_at: DateTime<Utc>,
    /// Begin of this episode.
    pub opened_at: DateTime<Utc>,
    /// Last seen failing.
    pub last_seen_at: DateTime<Utc>,
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
            FindingSort::LastSeen => self.last_seen_at.timestamp_micros(),
            FindingSort::Opened => self.opened_at.timestamp_micros(),
            FindingSort::Number => self.number,
        };
        FindingAfter { value, number: self.number }
    }
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

pub(crate) struct Record {
    pub(crate) account_id: String,
    pub(crate) fingerprint: String,
    pub(crate) number: i64,
    pub(crate) rule: String,
    pub(crate) severity: String,
    pub(crate) severity_rank: i16,
    pub(crate) subject_kind: String,
    pub(crate) subject_key: String,
    pub(crate) region: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) service_account: Option<String>,
    pub(crate) role_arn: Option<String>,
    pub(crate) target_role_arn: Option<String>,
    pub(crate) detection: String,
    pub(crate) workflow: String,
    pub(crate) resolution: Option<String>,
    pub(crate) message: String,
    pub(crate) evidence: Value,
    pub(crate) evidence_digest: Vec<u8>,
    pub(crate) params: Value,
    pub(crate) exception: Option<Value>,
    pub(crate) stale_why: Value,
    pub(crate) first_seen_at: DateTime<Utc>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) resolved_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) reopened_count: i32,
    pub(crate) first_run: i64,
    pub(crate) last_run: i64,
    pub(crate) version: i64,
    pub(crate) change_seq: i64,
}

/// The columns of [`Record`], written once; `$tail` is the rest of the statement.
macro_rules! select_findings {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            "select account_id, fingerprint, number, rule, severity, severity_rank, subject_kind, subject_key, region,
                    cluster, namespace, service_account, role_arn, target_role_arn, detection, workflow, resolution,
                    message, evidence, evidence_digest, params, exception, stale_why, first_seen_at, opened_at,
                    last_seen_at, resolved_at, updated_at, reopened_count, first_run, last_run, version, change_seq
             from finding " + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// How many findings there are, up to a limit that `$tail` gives.
macro_rules! count_findings {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_scalar!(
            r#"select count(*) as "count!" from (select 1 from finding "# + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// A query over the findings of a filter, whose condition and sixteen parameters are written once;
/// `$tail` follows them, and its own parameters count from `$17`.
macro_rules! of_filter {
    ($query:ident!, $bound:ident, $filter:ident, $tail:literal $(, $arg:expr)* $(,)?) => {
        $query!(
            "where (cardinality($1::text[]) = 0 or workflow = any($1))
               and (cardinality($2::text[]) = 0 or detection = any($2))
               and (cardinality($3::text[]) = 0 or severity = any($3))
               and ($4::smallint is null or severity_rank >= $4)
               and (cardinality($5::text[]) = 0 or account_id = any($5))
               and (cardinality($6::text[]) = 0 or rule = any($6))
               and (cardinality($7::text[]) = 0 or subject_kind = any($7))
               and ($8::text is null or subject_key = $8)
               and ($9::text is null or region = $9)
               and ($10::text is null or cluster = $10)
               and ($11::text is null or namespace = $11)
               and ($12::text is null or service_account = $12)
               and ($13::text is null or role_arn = $13 or target_role_arn = $13)
               and ($14::timestamptz is null or updated_at >= $14)
               and ($15::timestamptz is null or first_seen_at >= $15)
               and ($16::text is null or position(lower($16) in lower(message || ' ' || subject_key || ' ' || rule)) > 0)
             " + $tail,
            &$bound.workflow,
            &$bound.detection,
            &$bound.severity,
            $bound.severity_min,
            &$bound.accounts,
            &$filter.rules,
            &$bound.kinds,
            $filter.subject_key,
            $filter.region,
            $filter.cluster,
            $filter.namespace,
            $filter.service_account,
            $filter.role_arn,
            $filter.updated_since,
            $filter.first_seen_after,
            $filter.q,
            $($arg,)*
        )
    };
}

impl Record {
    /// A finding that was never seen before.
    pub(crate) fn blank(failure: &Failure, number: i64, run: i64, now: DateTime<Utc>) -> Self {
        Self {
            account_id: failure.subject.account_id.to_string(),
            fingerprint: failure.fingerprint.0.clone(),
            number,
            rule: failure.rule.clone(),
            severity: String::new(),
            severity_rank: 0,
            subject_kind: failure.subject.kind.as_str().to_owned(),
            subject_key: failure.subject.key.clone(),
            region: None,
            cluster: None,
            namespace: None,
            service_account: None,
            role_arn: None,
            target_role_arn: None,
            detection: Detection::Active.as_str().to_owned(),
            workflow: Workflow::Open.as_str().to_owned(),
            resolution: None,
            message: String::new(),
            evidence: json!([]),
            evidence_digest: Vec::new(),
            params: json!({}),
            exception: None,
            stale_why: json!([]),
            first_seen_at: now,
            opened_at: now,
            last_seen_at: now,
            resolved_at: None,
            updated_at: now,
            reopened_count: 0,
            first_run: run,
            last_run: run,
            version: 0,
            change_seq: 0,
        }
    }

    /// As `jsonb_populate_recordset` reads a row of the table.
    pub(crate) fn into_json(self) -> Value {
        let digest: String = self.evidence_digest.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "account_id": self.account_id, "fingerprint": self.fingerprint, "number": self.number, "rule": self.rule,
            "severity": self.severity, "severity_rank": self.severity_rank, "subject_kind": self.subject_kind,
            "subject_key": self.subject_key, "region": self.region, "cluster": self.cluster,
            "namespace": self.namespace, "service_account": self.service_account, "role_arn": self.role_arn,
            "target_role_arn": self.target_role_arn, "detection": self.detection, "workflow": self.workflow,
            "resolution": self.resolution, "message": self.message, "evidence": self.evidence,
            "evidence_digest": format!("\\x{digest}"), "params": self.params, "exception": self.exception,
            "stale_why": self.stale_why, "first_seen_at": self.first_seen_at, "opened_at": self.opened_at,
            "last_seen_at": self.last_seen_at, "resolved_at": self.resolved_at, "updated_at": self.updated_at,
            "reopened_count": self.reopened_count, "first_run": self.first_run, "last_run": self.last_run,
            "version": self.version, "change_seq": self.change_seq,
        })
    }

    pub(crate) fn into_row(self) -> Result<FindingRow, Error> {
        const TABLE: &str = "finding";
        let key = self.fingerprint.clone();
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
        Ok(FindingRow {
            number: self.number,
            rule: self.rule,
            severity: parse::name(TABLE, &key, &self.severity)?,
            subject,
            detection: parse::name(TABLE, &key, &self.detection)?,
            workflow: parse::name(TABLE, &key, &self.workflow)?,
            resolution: self.resolution,
            message: self.message,
            evidence: parse::json(TABLE, &key, self.evidence)?,
            evidence_digest: parse::digest(TABLE, &key, &self.evidence_digest)?,
            params: parse::json(TABLE, &key, self.params)?,
            exception: self.exception.map(|value| parse::json(TABLE, &key, value)).transpose()?,
            stale_why: parse::json(TABLE, &key, self.stale_why)?,
            first_seen_at: self.first_seen_at,
            opened_at: self.opened_at,
            last_seen_at: self.last_seen_at,
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

pub(crate) async fn all(pool: &PgPool) -> Result<Vec<Record>, Error> {
    Ok(select_findings!("order by account_id, fingerprint").fetch_all(pool).await?)
}

pub(crate) async fn by_fingerprints(connection: &mut PgConnection, wanted: &[String]) -> Result<Vec<Record>, Error> {
    Ok(select_findings!("where fingerprint = any($1)", wanted).fetch_all(connection).await?)
}

/// A filter as the statements take it.
struct Bound {
    workflow: Vec<String>,
    detection: Vec<String>,
    severity: Vec<String>,
    severity_min: Option<i16>,
    accounts: Vec<String>,
    kinds: Vec<String>,
}

impl Bound {
    fn of(filter: &FindingFilter) -> Self {
        Self {
            workflow: filter.workflow.iter().map(|v| v.as_str().to_owned()).collect(),
            detection: filter.detection.iter().map(|v| v.as_str().to_owned()).collect(),
            severity: filter.severity.iter().map(|v| v.as_str().to_owned()).collect(),
            severity_min: filter.severity_min.map(severity_rank),
            accounts: filter.accounts.iter().map(ToString::to_string).collect(),
            kinds: filter.subject_kinds.iter().map(|v| v.as_str().to_owned()).collect(),
        }
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
        let rows = of_filter!(
            select_findings!,
            bound,
            filter,
            "and ($18::bigint is null or
                    (case $17::text when 'severity' then severity_rank
                                    when 'last_seen' then (extract(epoch from last_seen_at) * 1000000)::bigint
                                    when 'opened' then (extract(epoch from opened_at) * 1000000)::bigint
                                    else number end, number) < ($18, $19::bigint))
             order by case $17::text when 'severity' then severity_rank
                                     when 'last_seen' then (extract(epoch from last_seen_at) * 1000000)::bigint
                                     when 'opened' then (extract(epoch from opened_at) * 1000000)::bigint
                                     else number end desc, number desc
             limit $20",
            sort.as_str(),
            after.map(|last| last.value),
            after.map(|last| last.number),
            parse::limit(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_row).collect()
    }

    /// All findings of a filter, by number, one by one: for exports of any length.
    pub fn export_findings(&self, filter: &FindingFilter) -> BoxStream<'_, Result<FindingRow, Error>> {
        let bound = Bound::of(filter);
        let filter = filter.clone();
        of_filter!(
            select_findings!,
            bound,
            filter,
            "order by number",
        )
        .fetch(&self.pool)
        .map(|row| row.map_err(Error::from).and_then(Record::into_row))
        .boxed()
    }

    /// How many findings a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_findings(&self, filter: &FindingFilter) -> Result<Total, Error> {
        let bound = Bound::of(filter);
        let found = of_filter!(count_findings!, bound, filter, "limit $17) as found", COUNTED + 1)
            .fetch_one(&self.pool)
            .await?;
        Ok(total(found))
    }

    /// A finding by its number.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding(&self, number: i64) -> Result<Option<FindingRow>, Error> {
        select_findings!("where number = $1", number)
            .fetch_optional(&self.pool)
            .await?
            .map(Record::into_row)
            .transpose()
    }

    /// A finding by its fingerprint.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding_by_fingerprint(&self, fingerprint: &Fingerprint) -> Result<Option<FindingRow>, Error> {
        select_findings!("where fingerprint = $1", fingerprint.0)
            .fetch_optional(&self.pool)
            .await?
            .map(Record::into_row)
            .transpose()
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

/// A count that stopped one after [`COUNTED`].
pub(crate) fn total(found: i64) -> Total {
    if found > COUNTED { Total::AtLeast(parse::count(COUNTED)) } else { Total::Exact(parse::count(found)) }
}
