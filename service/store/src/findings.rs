//! The life of findings: what an audit decided is done to the kept ones, in one transaction.
//!
//! Knows the steps and their events. Refuses to decide whether a rule fails; that is the audit's.
//! The scanner moves `detection`, and of `workflow` only resolve, reopen and what an exception
//! suppresses; what people set stays.

use crate::finding_reads::Record;
use crate::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::finding::{Detection, Failure, FindingAction, Fingerprint, KnownFinding, Severity, Workflow};
use rolecall_iam::AccountId;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeMap, HashMap};

/// How often a rule gave each answer in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The rule.
    pub rule: String,
    /// The account.
    pub account_id: AccountId,
    /// Subjects that pass.
    pub pass: u64,
    /// Subjects that fail.
    pub fail: u64,
    /// Subjects that the rule does not concern.
    pub not_applicable: u64,
    /// Subjects that could not be decided.
    pub unknown: u64,
    /// Subjects on which the rule itself failed.
    pub error: u64,
    /// Answers that rest on an assumption, among those that pass, fail or do not concern their subject.
    pub assumed: u64,
    /// Why not decided, each reason once.
    pub reasons: Vec<String>,
}

/// What one `apply` did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyCounts {
    /// New findings.
    pub opened: u64,
    /// Resolved before, failing again.
    pub reopened: u64,
    /// Failing as before, but saying something else.
    pub changed: u64,
    /// Failing as before.
    pub unchanged: u64,
    /// Resolved.
    pub resolved: u64,
    /// Not decided this time.
    pub stale: u64,
    /// Of those above, newly suppressed by an exception.
    pub suppressed: u64,
}

struct Event {
    account: String,
    fingerprint: String,
    kind: &'static str,
    detail: Value,
}

fn rank(severity: Severity) -> i16 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

/// The rank that the column `severity_rank` holds.
pub(crate) fn severity_rank(severity: Severity) -> i16 {
    rank(severity)
}

impl Store {
    /// Every kept finding, as the audit needs it.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn known_findings(&self) -> Result<Vec<KnownFinding>, Error> {
        let rows = crate::finding_reads::all(&self.pool).await?;
        let happened = sqlx::query!(
            r#"select fingerprint, happened_at as "happened_at!" from finding where happened_at is not null"#
        )
        .fetch_all(&self.pool)
        .await?;
        let happened: HashMap<String, DateTime<Utc>> =
            happened.into_iter().map(|row| (row.fingerprint, row.happened_at)).collect();
        rows.into_iter()
            .map(|record| {
                let row = record.into_row()?;
                let happened_at = happened.get(&row.fingerprint.0).copied();
                Ok(KnownFinding {
                    fingerprint: row.fingerprint,
                    rule: row.rule,
                    subject: row.subject,
                    detection: row.detection,
                    workflow: row.workflow,
                    evidence_digest: row.evidence_digest,
                    severity: row.severity,
                    message: row.message,
                    happened_at,
                    assumptions: Vec::new(),
                })
            })
            .collect()
    }

    /// Does everything that an audit decided, and keeps its tallies, or does nothing.
    ///
    /// An action that comes too late (open what is open, resolve what is resolved) is taken for
    /// what it means on the finding as it stands.
    ///
    /// # Errors
    /// Where the database fails; then nothing is done.
    pub async fn apply(
        &self,
        run: RunId,
        actions: &[FindingAction],
        tallies: &[Tally],
        now: DateTime<Utc>,
    ) -> Result<ApplyCounts, Error> {
        let mut tx = self.pool.begin().await?;
        // The lock orders those who apply, so that changes are numbered in the order they appear.
        let counters = sqlx::query!(
            "select name, value from counter where account_id = $1 and name in ('change', 'finding')
             order by name for update",
            INSTALLATION
        )
        .fetch_all(&mut *tx)
        .await?;
        let counter = |name: &str| counters.iter().find(|row| row.name == name).map_or(0, |row| row.value);

        let fingerprints: Vec<String> = actions.iter().map(|action| fingerprint_of(action).0.clone()).collect();
        let mut known: HashMap<String, Record> = crate::finding_reads::by_fingerprints(&mut tx, &fingerprints)
            .await?
            .into_iter()
            .map(|record| (record.fingerprint.clone(), record))
            .collect();

        let mut step = Step {
            run,
            now,
            number: counter("finding"),
            counts: ApplyCounts::default(),
            events: Vec::new(),
            written: BTreeMap::new(),
            touched: Vec::new(),
        };
        for action in actions {
            let before = known.remove(&fingerprint_of(action).0);
            step.take(action, before);
        }
        let Step { number, counts, events, mut written, touched, .. } = step;

        let mut seq = counter("change");
        for event in &events {
            seq += 1;
            if let Some(record) = written.get_mut(&event.fingerprint) {
                record.change_seq = seq;
            }
        }
        write(&mut tx, written.into_values().collect()).await?;
        touch(&mut tx, &touched, run, now).await?;
        write_events(&mut tx, &events, counter("change"), run, now).await?;
        write_tallies(&mut tx, tallies, run).await?;
        write_happened(&mut tx, actions).await?;
        sqlx::query!(
            "update counter c set value = w.value
             from unnest($2::text[], $3::bigint[]) as w (name, value) where c.account_id = $1 and c.name = w.name",
            INSTALLATION,
            &["change".to_owned(), "finding".to_owned()],
            &[seq, number]
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(counts)
    }
}

/// Notes when what failing findings are about happened, where they are about what happened.
async fn write_happened(tx: &mut Transaction<'static, Postgres>, actions: &[FindingAction]) -> Result<(), Error> {
    let failures = actions.iter().filter_map(|action| match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            Some((failure, failure.happened_at?))
        }
        FindingAction::Resolve { .. } | FindingAction::MarkStale { .. } => None,
    });
    let (mut accounts, mut fingerprints, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for (failure, at) in failures {
        accounts.push(failure.subject.account_id.to_string());
        fingerprints.push(failure.fingerprint.0.clone());
        times.push(at);
    }
    if times.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update finding f set happened_at = w.at
         from unnest($1::text[], $2::text[], $3::timestamptz[]) as w (account_id, fingerprint, at)
         where f.account_id = w.account_id and f.fingerprint = w.fingerprint and f.happened_at is distinct from w.at",
        &accounts,
        &fingerprints,
        &times
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn fingerprint_of(action: &FindingAction) -> &Fingerprint {
    match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            &failure.fingerprint
        }
        FindingAction::Resolve { fingerprint, .. } | FindingAction::MarkStale { fingerprint, .. } => fingerprint,
    }
}

/// The state of one `apply`.
struct Step {
    run: RunId,
    now: DateTime<Utc>,
    number: i64,
    counts: ApplyCounts,
    events: Vec<Event>,
    written: BTreeMap<String, Record>,
    touched: Vec<(String, String)>,
}

impl Step {
    fn take(&mut self, action: &FindingAction, before: Option<Record>) {
        match (action, before) {
            (
                FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. },
                None,
            ) => {
                self.open(failure);
            }
            (
                FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. },
                Some(record),
            ) => {
                if record.workflow == Workflow::Resolved.as_str() {
                    self.reopen(failure, record);
                } else {
                    self.refresh(failure, record);
                }
            }
            (FindingAction::Resolve { why, .. }, Some(mut record)) => {
                if record.workflow != Workflow::Resolved.as_str() {
                    let from = std::mem::replace(&mut record.workflow, Workflow::Resolved.as_str().to_owned());
                    record.detection = Detection::Cleared.as_str().to_owned();
                    record.resolution = Some(why.as_str().to_owned());
                    record.resolved_at = Some(self.now);
                    record.stale_why = json!([]);
                    self.counts.resolved += 1;
                    self.event(&record, "resolved", json!({ "why": why.as_str(), "from": from }));
                    self.write(record);
                }
            }
            (FindingAction::MarkStale { why, .. }, Some(mut record)) => {
                let why = json!(why);
                if record.workflow == Workflow::Resolved.as_str() {
                    return;
                }
                self.counts.stale += 1;
                let was = std::mem::replace(&mut record.detection, Detection::Stale.as_str().to_owned());
                if was != Detection::Stale.as_str() || record.stale_why != why {
                    self.event(&record, "stale", json!({ "why": &why }));
                    record.stale_why = why;
                    self.write(record);
                }
            }
            // Nothing is known of it, so nothing can end.
            (FindingAction::Resolve { .. } | FindingAction::MarkStale { .. }, None) => {}
        }
    }

    fn open(&mut self, failure: &Failure) {
        self.number += 1;
        let mut record = Record::blank(failure, self.number, self.run.0, self.now);
        fill(&mut record, failure);
        self.counts.opened += 1;
        self.event(&record, "opened", json!({ "severity": failure.severity.as_str(), "message": failure.message }));
        self.except(&mut record, failure);
        self.write(record);
    }

    fn reopen(&mut self, failure: &Failure, mut record: Record) {
        let resolution = record.resolution.take();
        record.workflow = Workflow::Open.as_str().to_owned();
        record.resolved_at = None;
        record.opened_at = self.now;
        record.reopened_count += 1;
        record.exception = None;
        self.seen(&mut record);
        fill(&mut record, failure);
        self.counts.reopened += 1;
        self.event(&record, "reopened", json!({ "was_resolved_as": resolution, "message": failure.message }));
        self.except(&mut record, failure);
        self.write(record);
    }

    fn refresh(&mut self, failure: &Failure, mut record: Record) {
        let was_stale = record.detection == Detection::Stale.as_str();
        let changes = differences(&record, failure);
        let same_exception = record.exception == failure.exception.as_ref().map(parse::to_json);
        if !was_stale && changes.is_empty() && same_exception && record.params == parse::to_json(&failure.params) {
            self.counts.unchanged += 1;
            self.touched.push((record.account_id, record.fingerprint));
            return;
        }
        self.seen(&mut record);
        fill(&mut record, failure);
        if changes.is_empty() {
            self.counts.unchanged += 1;
        } else {
            self.counts.changed += 1;
        }
        if was_stale {
            self.event(&record, "seen_again", json!({}));
        }
        if !changes.is_empty() {
            self.event(&record, "changed", Value::Object(changes));
        }
        if !same_exception {
            self.except(&mut record, failure);
        }
        self.write(record);
    }

    /// Brings the exception in force into the workflow. What a person suppressed stays so.
    fn except(&mut self, record: &mut Record, failure: &Failure) {
        let suppressed = record.workflow == Workflow::Suppressed.as_str();
        match &failure.exception {
            Some(exception) => {
                let detail = parse::to_json(exception);
                if !suppressed || record.exception.is_some() {
                    self.event(record, "suppressed", json!({ "exception": &detail, "from": record.workflow }));
                }
                if !suppressed {
                    self.counts.suppressed += 1;
                    record.workflow = Workflow::Suppressed.as_str().to_owned();
                }
                record.exception = Some(detail);
            }
            None => {
                if let Some(exception) = record.exception.take()
                    && suppressed
                {
                    record.workflow = Workflow::Open.as_str().to_owned();
                    self.event(record, "suppression_expired", json!({ "exception": exception }));
                }
            }
        }
    }

    fn seen(&self, record: &mut Record) {
        record.detection = Detection::Active.as_str().to_owned();
        record.stale_why = json!([]);
        record.last_seen_at = self.now;
        record.last_run = self.run.0;
    }

    fn event(&mut self, record: &Record, kind: &'static str, detail: Value) {
        let (account, fingerprint) = (record.account_id.clone(), record.fingerprint.clone());
        self.events.push(Event { account, fingerprint, kind, detail });
    }

    fn write(&mut self, mut record: Record) {
        record.version += 1;
        record.updated_at = self.now;
        self.written.insert(record.fingerprint.clone(), record);
    }
}

/// What the failure says goes into the record; its life stays.
fn fill(record: &mut Record, failure: &Failure) {
    record.severity = failure.severity.as_str().to_owned();
    record.severity_rank = rank(failure.severity);
    record.message.clone_from(&failure.message);
    record.evidence = parse::to_json(&failure.evidence);
    record.evidence_digest = failure.evidence_digest.as_bytes().to_vec();
    record.params = parse::to_json(&failure.params);
    record.region.clone_from(&failure.subject.region);
    record.cluster.clone_from(&failure.subject.cluster);
    record.namespace.clone_from(&failure.subject.namespace);
    record.service_account.clone_from(&failure.subject.service_account);
    record.role_arn.clone_from(&failure.subject.role_arn);
    record.target_role_arn.clone_from(&failure.subject.target_role_arn);
}

fn differences(record: &Record, failure: &Failure) -> serde_json::Map<String, Value> {
    let mut changes = serde_json::Map::new();
    let mut note = |what: &str, from: &str, to: &str| {
        if from != to {
            changes.insert(what.to_owned(), json!({ "from": from, "to": to }));
        }
    };
    note("severity", &record.severity, failure.severity.as_str());
    note("message", &record.message, &failure.message);
    let before = parse::digest("finding", &record.fingerprint, &record.evidence_digest);
    note(
        "evidence_digest",
        &before.map(|digest| digest.to_string()).unwrap_or_default(),
        &failure.evidence_digest.to_string(),
    );
    changes
}

async fn write(tx: &mut Transaction<'static, Postgres>, records: Vec<Record>) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    // One JSON array instead of thirty arrays: `jsonb_to_recordset` types it by the table itself.
    let rows: Vec<Value> = records.into_iter().map(Record::into_json).collect();
    let rows = parse::json_text(&rows);
    sqlx::query!(
        "insert into finding (account_id, fingerprint, number, rule, severity, severity_rank, subject_kind, subject_key,
                region, cluster, namespace, service_account, role_arn, target_role_arn, detection, workflow, resolution,
                message, evidence, evidence_digest, params, exception, stale_why, first_seen_at, opened_at,
                last_seen_at, resolved_at, updated_at, reopened_count, first_run, last_run, version, change_seq)
         select account_id, fingerprint, number, rule, severity, severity_rank, subject_kind, subject_key,
                region, cluster, namespace, service_account, role_arn, target_role_arn, detection, workflow, resolution,
                message, evidence, evidence_digest, params, nullif(exception, 'null'), stale_why, first_seen_at,
                opened_at, last_seen_at, resolved_at, updated_at, reopened_count, first_run, last_run, version,
                change_seq
         from jsonb_populate_recordset(null::finding, $1::text::jsonb)
         on conflict (account_id, fingerprint) do update set
                severity = excluded.severity, severity_rank = excluded.severity_rank, region = excluded.region,
                cluster = excluded.cluster, namespace = excluded.namespace,
                service_account = excluded.service_account, role_arn = excluded.role_arn,
                target_role_arn = excluded.target_role_arn, detection = excluded.detection,
                workflow = excluded.workflow, resolution = excluded.resolution, message = excluded.message,
                evidence = excluded.evidence, evidence_digest = excluded.evidence_digest, params = excluded.params,
                exception = excluded.exception, stale_why = excluded.stale_why, opened_at = excluded.opened_at,
                last_seen_at = excluded.last_seen_at, resolved_at = excluded.resolved_at,
                updated_at = excluded.updated_at, reopened_count = excluded.reopened_count,
                last_run = excluded.last_run, version = excluded.version, change_seq = excluded.change_seq",
        rows
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn touch(
    tx: &mut Transaction<'static, Postgres>,
    keys: &[(String, String)],
    run: RunId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let (accounts, fingerprints): (Vec<String>, Vec<String>) = keys.iter().cloned().unzip();
    sqlx::query!(
        "update finding f set last_seen_at = $3, last_run = $4
         from unnest($1::text[], $2::text[]) as w (account_id, fingerprint)
         where f.account_id = w.account_id and f.fingerprint = w.fingerprint",
        &accounts,
        &fingerprints,
        now,
        run.0
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_events(
    tx: &mut Transaction<'static, Postgres>,
    events: &[Event],
    after: i64,
    run: RunId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&Event) -> String| events.iter().map(of).collect::<Vec<String>>();
    sqlx::query!(
        "insert into finding_event (account_id, change_seq, fingerprint, run_id, at, kind, actor, detail)
         select w.account_id, $5 + w.n, w.fingerprint, $6, $7, w.kind, 'scanner', w.detail::jsonb
         from unnest($1::text[], $2::text[], $3::text[], $4::text[])
              with ordinality as w (account_id, fingerprint, kind, detail, n)",
        &column(&|event| event.account.clone()),
        &column(&|event| event.fingerprint.clone()),
        &column(&|event| event.kind.to_owned()),
        &column(&|event| parse::json_text(&event.detail)),
        after,
        run.0,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_tallies(tx: &mut Transaction<'static, Postgres>, tallies: &[Tally], run: RunId) -> Result<(), Error> {
    if tallies.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&Tally) -> u64| {
        tallies.iter().map(|tally| i64::try_from(of(tally)).unwrap_or(i64::MAX)).collect::<Vec<i64>>()
    };
    let accounts: Vec<String> = tallies.iter().map(|tally| tally.account_id.to_string()).collect();
    let rules: Vec<String> = tallies.iter().map(|tally| tally.rule.clone()).collect();
    let reasons: Vec<String> = tallies.iter().map(|tally| parse::json_text(&tally.reasons)).collect();
    sqlx::query!(
        "insert into rule_tally (account_id, run_id, rule, pass, fail, not_applicable, unknown, error, reasons, assumed)
         select w.account_id, $9, w.rule, w.pass, w.fail, w.not_applicable, w.unknown, w.error, w.reasons::jsonb, w.assumed
         from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
                     $10::bigint[])
              as w (account_id, rule, pass, fail, not_applicable, unknown, error, reasons, assumed)
         on conflict (account_id, run_id, rule) do update set
             pass = excluded.pass, fail = excluded.fail, not_applicable = excluded.not_applicable,
             unknown = excluded.unknown, error = excluded.error, reasons = excluded.reasons,
             assumed = excluded.assumed",
        &accounts,
        &rules,
        &column(&|tally| tally.pass),
        &column(&|tally| tally.fail),
        &column(&|tally| tally.not_applicable),
        &column(&|tally| tally.unknown),
        &column(&|tally| tally.error),
        &reasons,
        run.0,
        &column(&|tally| tally.assumed)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
