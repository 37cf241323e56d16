//! The life of findings: what an audit decided is done to the kept ones, in one transaction.
//!
//! Knows the steps and their events. Reads and writes some hundred findings at a time, so that
//! neither a statement nor the memory grows with the estate; a finding that says what it said before
//! is not written at all. Refuses to decide whether a rule fails; that is the audit's.
//! The scanner moves `detection`, and of `workflow` only resolve, reopen and what an exception
//! suppresses; what people set stays.

use crate::findings::owed::{self, DoneJudgement};
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::evaluate::RuleTally;
use rolecall_audit::finding::{Detection, Failure, FindingAction, Workflow};
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::Reason;
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, HashMap, HashSet};

/// So many actions are taken at once.
const CHUNK: usize = 500;
/// So many bytes of JSON go into one statement, or one row where that is larger.
const STATEMENT_BYTES: usize = 4 << 20;
/// So many workloads that came or went are named in a step.
const NAMED: usize = 20;

/// What one `apply` did. What is listed under another finding counts as folded, and nowhere else.
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
    /// Listed under another finding, whatever became of them.
    pub folded: u64,
}

struct Event {
    account: String,
    fingerprint: String,
    kind: &'static str,
    detail: Value,
}

/// What decides the next step of a finding's life, and what the step changes.
#[derive(Debug, Clone)]
struct Life {
    account_id: String,
    fingerprint: String,
    number: i64,
    rule: String,
    severity: String,
    severity_because: Option<String>,
    part_of: Option<String>,
    assumptions: Value,
    message: String,
    evidence_digest: Vec<u8>,
    params: Value,
    exception: Option<Value>,
    detection: String,
    workflow: String,
    resolution: Option<String>,
    stale_why: Value,
    first_seen_at: DateTime<Utc>,
    opened_at: DateTime<Utc>,
    /// Absent where the latest run that judged has seen it failing.
    last_seen_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    reopened_count: i32,
    first_run: i64,
    last_run: Option<i64>,
    version: i64,
    change_seq: i64,
}

/// The columns of [`Life`], written once.
macro_rules! select_lives {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Life,
            "select f.account_id, f.fingerprint, f.number, f.rule, f.severity, f.severity_because, f.part_of,
                    f.assumptions, f.message, f.evidence_digest, f.params, f.exception, f.detection, f.workflow,
                    f.resolution, f.stale_why, f.first_seen_at, f.opened_at, f.last_seen_at, f.resolved_at, f.updated_at,
                    f.reopened_count, f.first_run, f.last_run, f.version, f.change_seq
             from finding f " + $tail
            $(, $arg)*
        )
    };
}

/// The run that judged before this one, and when.
#[derive(Debug, Clone, Copy)]
struct Judged {
    run: i64,
    at: DateTime<Utc>,
}

impl Store {
    /// Does everything that an audit decided, and keeps its tallies, or does nothing.
    ///
    /// `actions` holds one for every kept finding that is not resolved and is about how things are, as
    /// [`rolecall_audit::finding::reconcile`] makes them: a finding that fails as before is not written,
    /// and counts as seen by this run. One about what happened may have none; it was then last seen by
    /// the run before. An action that comes too late (open what is open, resolve what is
    /// resolved) is taken for what it means on the finding as it stands. What the audit owed and has
    /// judged goes with it.
    ///
    /// # Errors
    /// Where the database fails; then nothing is done.
    pub async fn apply(
        &self,
        run: RunId,
        actions: &[FindingAction],
        tallies: &[RuleTally],
        done: &DoneJudgement,
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
        let before = sqlx::query!(
            r#"select id, judged_at as "at!" from run where judged_at is not null order by id desc limit 1"#
        )
        .fetch_optional(&mut *tx)
        .await?
        .map(|row| Judged { run: row.id, at: row.at });

        let mut step = Step { run, now, before, number: counter("finding"), ..Step::new(counter("change")) };
        for chunk in actions.chunks(CHUNK) {
            let mut known = lives(&mut tx, chunk).await?;
            let changed = chunk
                .iter()
                .filter_map(failure_of)
                .filter(|failure| known.get(&failure.fingerprint.0).is_some_and(|life| !is_same(life, failure)));
            let changed: Vec<String> = changed.map(|failure| failure.fingerprint.0.clone()).collect();
            step.workloads = workloads(&mut tx, &changed).await?;
            for action in chunk {
                let life = known.remove(&fingerprint_of(action).0);
                step.take(action, life);
            }
            step.write_down(&mut tx).await?;
            write_happened(&mut tx, chunk).await?;
        }
        if let Some(before) = before {
            missing_since(&mut tx, actions, before).await?;
        }
        // A finding is not hidden under one that is itself no longer listed.
        let orphans = select_lives!(
            "where f.part_of is not null and f.workflow <> 'resolved' and not exists (
                 select from finding head where head.fingerprint = f.part_of
                     and head.workflow in ('open', 'acknowledged'))"
        )
        .fetch_all(&mut *tx)
        .await?;
        for orphan in orphans {
            step.list_alone(orphan);
        }
        step.write_down(&mut tx).await?;

        write_tallies(&mut tx, tallies, run).await?;
        sqlx::query!("update run set judged_at = $3 where account_id = $1 and id = $2", INSTALLATION, run.0, now)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "update counter c set value = w.value
             from unnest($2::text[], $3::bigint[]) as w (name, value) where c.account_id = $1 and c.name = w.name",
            INSTALLATION,
            &["change".to_owned(), "finding".to_owned()],
            &[step.seq, step.number]
        )
        .execute(&mut *tx)
        .await?;
        owed::delete_done(&mut tx, done).await?;
        tx.commit().await?;
        Ok(step.counts)
    }
}

async fn lives(connection: &mut PgConnection, actions: &[FindingAction]) -> Result<HashMap<String, Life>, Error> {
    let wanted: Vec<String> = actions.iter().map(|action| fingerprint_of(action).0.clone()).collect();
    let found = select_lives!("where f.fingerprint = any($1)", &wanted).fetch_all(connection).await?;
    Ok(found.into_iter().map(|life| (life.fingerprint.clone(), life)).collect())
}

/// The kept workloads of some findings: association and way, by fingerprint.
async fn workloads(
    connection: &mut PgConnection,
    fingerprints: &[String],
) -> Result<HashMap<String, BTreeMap<String, String>>, Error> {
    let mut found: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    if fingerprints.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query!(
        "select fingerprint, association, via from finding_workload where fingerprint = any($1)",
        fingerprints
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        found.entry(row.fingerprint).or_default().insert(row.association, row.via);
    }
    Ok(found)
}

/// Findings about what happened stay without an action where nothing that is judged now tells of
/// them: the run before was the last to see them.
async fn missing_since(
    tx: &mut Transaction<'static, Postgres>,
    actions: &[FindingAction],
    before: Judged,
) -> Result<(), Error> {
    let current =
        sqlx::query_scalar!("select fingerprint from finding where happened_at is not null and last_seen_at is null")
            .fetch_all(&mut **tx)
            .await?;
    let taken: HashSet<&str> = actions.iter().map(|action| fingerprint_of(action).0.as_str()).collect();
    let left: Vec<String> = current.into_iter().filter(|found| !taken.contains(found.as_str())).collect();
    if left.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update finding set last_seen_at = $2, last_run = $3 where fingerprint = any($1)",
        &left,
        before.at,
        before.run
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
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

fn failure_of(action: &FindingAction) -> Option<&Failure> {
    match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            Some(failure)
        }
        FindingAction::Resolve { .. } | FindingAction::MarkStale { .. } => None,
    }
}

/// Whether the finding shows what it showed before: [`Failure::evidence_digest`] covers all the rest.
fn is_same(life: &Life, failure: &Failure) -> bool {
    life.evidence_digest == failure.evidence_digest.as_bytes()
}

/// The state of one `apply`.
struct Step {
    run: RunId,
    now: DateTime<Utc>,
    before: Option<Judged>,
    /// The last number given to a finding.
    number: i64,
    /// The last number given to a change.
    seq: i64,
    counts: ApplyCounts,
    /// What is kept of the workloads of the findings that change, until the next chunk.
    workloads: HashMap<String, BTreeMap<String, String>>,
    events: Vec<(i64, Event)>,
    /// Findings that show something new, as rows of the table.
    shown: Vec<Value>,
    /// Findings whose life went on, and that show what they showed.
    moved: Vec<Value>,
    /// The workloads of the findings that have others than before.
    reached: Vec<Reached>,
}

/// A finding with the workloads that reach it now.
struct Reached {
    account: String,
    fingerprint: String,
    workloads: Vec<rolecall_audit::access::reach::Workload>,
}

impl Step {
    fn new(seq: i64) -> Self {
        Self {
            run: RunId(0),
            now: DateTime::UNIX_EPOCH,
            before: None,
            number: 0,
            seq,
            counts: ApplyCounts::default(),
            workloads: HashMap::new(),
            events: Vec::new(),
            shown: Vec::new(),
            moved: Vec::new(),
            reached: Vec::new(),
        }
    }

    fn take(&mut self, action: &FindingAction, before: Option<Life>) {
        match (action, before) {
            (
                FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. },
                None,
            ) => {
                self.open(failure);
            }
            (
                FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. },
                Some(life),
            ) => {
                if life.workflow == Workflow::Resolved.as_str() {
                    self.reopen(failure, life);
                } else {
                    self.refresh(failure, life);
                }
            }
            (FindingAction::Resolve { why, .. }, Some(mut life)) => {
                if life.workflow != Workflow::Resolved.as_str() {
                    self.last_seen_before(&mut life);
                    let from = std::mem::replace(&mut life.workflow, Workflow::Resolved.as_str().to_owned());
                    life.detection = Detection::Cleared.as_str().to_owned();
                    life.resolution = Some(why.as_str().to_owned());
                    life.resolved_at = Some(self.now);
                    life.stale_why = json!([]);
                    self.count(life.part_of.is_some(), |counts| &mut counts.resolved);
                    self.event(&mut life, "resolved", json!({ "why": why.as_str(), "from": from }));
                    self.move_on(life);
                }
            }
            (FindingAction::MarkStale { why, .. }, Some(mut life)) => {
                let texts: Vec<&str> = why.iter().map(Reason::text).collect();
                let texts = json!({ "why": texts });
                let why = json!(why);
                if life.workflow == Workflow::Resolved.as_str() {
                    return;
                }
                self.count(life.part_of.is_some(), |counts| &mut counts.stale);
                self.last_seen_before(&mut life);
                let was = std::mem::replace(&mut life.detection, Detection::Stale.as_str().to_owned());
                if was != Detection::Stale.as_str() || life.stale_why != why {
                    self.event(&mut life, "stale", texts);
                    life.stale_why = why;
                    self.move_on(life);
                }
            }
            // Nothing is known of it, so nothing can end.
            (FindingAction::Resolve { .. } | FindingAction::MarkStale { .. }, None) => {}
        }
    }

    fn count(&mut self, folded: bool, of: fn(&mut ApplyCounts) -> &mut u64) {
        let counter = if folded { &mut self.counts.folded } else { of(&mut self.counts) };
        *counter += 1;
    }

    fn open(&mut self, failure: &Failure) {
        self.number += 1;
        let mut life = Life::new(failure, self.number, self.run.0, self.now);
        life.show(failure);
        self.count(failure.part_of.is_some(), |counts| &mut counts.opened);
        self.event(&mut life, "opened", json!({ "severity": failure.severity.as_str(), "message": failure.message }));
        self.except(&mut life, failure);
        self.show(life, failure, !failure.workloads.is_empty());
    }

    fn reopen(&mut self, failure: &Failure, mut life: Life) {
        let resolution = life.resolution.take();
        life.workflow = Workflow::Open.as_str().to_owned();
        life.resolved_at = None;
        life.opened_at = self.now;
        life.reopened_count += 1;
        life.exception = None;
        seen(&mut life);
        let reached = self.reach(&life, failure).is_some();
        life.show(failure);
        self.count(failure.part_of.is_some(), |counts| &mut counts.reopened);
        self.event(&mut life, "reopened", json!({ "was_resolved_as": resolution, "message": failure.message }));
        self.except(&mut life, failure);
        self.show(life, failure, reached);
    }

    fn refresh(&mut self, failure: &Failure, mut life: Life) {
        let was_stale = life.detection == Detection::Stale.as_str();
        let was_seen = life.last_seen_at.is_none();
        let mut changes = differences(&life, failure);
        let same_exception = life.exception == failure.exception.as_ref().map(parse::to_json);
        let same_params = life.params == parse::to_json(&failure.params);
        let folded = failure.part_of.is_some();
        if was_seen && changes.is_empty() && same_exception && same_params {
            self.count(folded, |counts| &mut counts.unchanged);
            return;
        }
        let reached = self.reach(&life, failure);
        let others = reached.is_some();
        if let Some(reached) = reached {
            changes.insert("workloads".to_owned(), reached);
        }
        seen(&mut life);
        life.show(failure);
        if changes.is_empty() {
            self.count(folded, |counts| &mut counts.unchanged);
        } else {
            self.count(folded, |counts| &mut counts.changed);
        }
        if was_stale {
            self.event(&mut life, "seen_again", json!({}));
        }
        if !changes.is_empty() {
            self.event(&mut life, "changed", Value::Object(changes));
        }
        if !same_exception {
            self.except(&mut life, failure);
        }
        self.show(life, failure, others);
    }

    /// What differs between the workloads that are kept and those that reach the finding now.
    fn reach(&self, life: &Life, failure: &Failure) -> Option<Value> {
        if is_same(life, failure) {
            return None;
        }
        let none = BTreeMap::new();
        let before = self.workloads.get(&life.fingerprint).unwrap_or(&none);
        let now: BTreeMap<String, String> =
            failure.workloads.iter().map(|w| (w.association.to_string(), w.via.as_str().to_owned())).collect();
        if *before == now {
            return None;
        }
        let only = |some: &BTreeMap<String, String>, other: &BTreeMap<String, String>| -> Vec<String> {
            some.keys().filter(|key| !other.contains_key(*key)).take(NAMED).cloned().collect()
        };
        Some(json!({
            "from": before.len(), "to": now.len(), "added": only(&now, before), "removed": only(before, &now),
        }))
    }

    /// Brings the exception in force into the workflow. What a person suppressed stays so.
    fn except(&mut self, life: &mut Life, failure: &Failure) {
        let suppressed = life.workflow == Workflow::Suppressed.as_str();
        match &failure.exception {
            Some(exception) => {
                let detail = parse::to_json(exception);
                if !suppressed || life.exception.is_some() {
                    self.event(life, "suppressed", json!({ "exception": &detail, "from": life.workflow }));
                }
                if !suppressed {
                    self.counts.suppressed += 1;
                    life.workflow = Workflow::Suppressed.as_str().to_owned();
                }
                life.exception = Some(detail);
            }
            None => {
                if let Some(exception) = life.exception.take()
                    && suppressed
                {
                    life.workflow = Workflow::Open.as_str().to_owned();
                    self.event(life, "suppression_expired", json!({ "exception": exception }));
                }
            }
        }
    }

    /// The finding under which this one was listed is no longer listed itself.
    fn list_alone(&mut self, mut life: Life) {
        let head = life.part_of.take();
        self.event(&mut life, "changed", json!({ "part_of": { "from": head, "to": null } }));
        self.move_on(life);
    }

    /// From here on the latest run does not see it failing: the one before was the last to.
    fn last_seen_before(&self, life: &mut Life) {
        if life.last_seen_at.is_none() {
            life.last_seen_at = Some(self.before.map_or(life.updated_at, |before| before.at));
            life.last_run = Some(self.before.map_or(life.first_run, |before| before.run));
        }
    }

    fn event(&mut self, life: &mut Life, kind: &'static str, detail: Value) {
        let (account, fingerprint) = (life.account_id.clone(), life.fingerprint.clone());
        self.seq += 1;
        life.change_seq = self.seq;
        self.events.push((self.seq, Event { account, fingerprint, kind, detail }));
    }

    /// Writes what the failure shows, and with it the workloads where others reach it than before.
    fn show(&mut self, mut life: Life, failure: &Failure, reached: bool) {
        if reached {
            self.reached.push(Reached {
                account: life.account_id.clone(),
                fingerprint: life.fingerprint.clone(),
                workloads: failure.workloads.clone(),
            });
        }
        life.version += 1;
        life.updated_at = self.now;
        self.shown.push(life.row(failure));
    }

    /// Writes the life alone.
    fn move_on(&mut self, mut life: Life) {
        life.version += 1;
        life.updated_at = self.now;
        self.moved.push(life.steps());
    }

    /// Writes what the steps since the last time came to.
    async fn write_down(&mut self, tx: &mut Transaction<'static, Postgres>) -> Result<(), Error> {
        for rows in statements(std::mem::take(&mut self.shown)) {
            write_shown(tx, rows).await?;
        }
        for rows in statements(std::mem::take(&mut self.moved)) {
            write_moved(tx, rows).await?;
        }
        write_workloads(tx, &std::mem::take(&mut self.reached)).await?;
        write_events(tx, &std::mem::take(&mut self.events), self.run, self.now).await
    }
}

fn seen(life: &mut Life) {
    life.detection = Detection::Active.as_str().to_owned();
    life.stale_why = json!([]);
    life.last_seen_at = None;
    life.last_run = None;
}

impl Life {
    /// A finding that was never seen before.
    fn new(failure: &Failure, number: i64, run: i64, now: DateTime<Utc>) -> Self {
        Self {
            account_id: failure.subject.account_id.to_string(),
            fingerprint: failure.fingerprint.0.clone(),
            number,
            rule: failure.rule.clone(),
            severity: String::new(),
            severity_because: None,
            part_of: None,
            assumptions: json!([]),
            message: String::new(),
            evidence_digest: Vec::new(),
            params: json!({}),
            exception: None,
            detection: Detection::Active.as_str().to_owned(),
            workflow: Workflow::Open.as_str().to_owned(),
            resolution: None,
            stale_why: json!([]),
            first_seen_at: now,
            opened_at: now,
            last_seen_at: None,
            resolved_at: None,
            updated_at: now,
            reopened_count: 0,
            first_run: run,
            last_run: None,
            version: 0,
            change_seq: 0,
        }
    }

    /// What the failure says goes into the record; its life stays.
    fn show(&mut self, failure: &Failure) {
        failure.severity.as_str().clone_into(&mut self.severity);
        self.severity_because.clone_from(&failure.severity_because);
        self.part_of = failure.part_of.as_ref().map(|head| head.0.clone());
        self.assumptions = parse::to_json(&failure.assumptions);
        self.message.clone_from(&failure.message);
        self.evidence_digest = failure.evidence_digest.as_bytes().to_vec();
        self.params = parse::to_json(&failure.params);
    }

    /// The columns of life, as `jsonb_populate_recordset` reads a row of the table.
    fn steps(&self) -> Value {
        json!({
            "account_id": self.account_id, "fingerprint": self.fingerprint, "part_of": self.part_of,
            "detection": self.detection, "workflow": self.workflow, "resolution": self.resolution,
            "stale_why": self.stale_why, "last_seen_at": self.last_seen_at, "resolved_at": self.resolved_at,
            "updated_at": self.updated_at, "last_run": self.last_run, "version": self.version,
            "change_seq": self.change_seq,
        })
    }

    /// All columns, as `jsonb_populate_recordset` reads a row of the table.
    fn row(&self, failure: &Failure) -> Value {
        let digest: String = self.evidence_digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let subject = &failure.subject;
        let shown = json!({
            "number": self.number, "rule": self.rule, "severity": self.severity,
            "severity_rank": parse::severity_rank(failure.severity), "severity_because": self.severity_because,
            "assumptions": self.assumptions, "workloads": failure.workloads.len(),
            "subject_kind": subject.kind.as_str(), "subject_key": subject.key, "region": subject.region,
            "cluster": subject.cluster, "namespace": subject.namespace, "service_account": subject.service_account,
            "role_arn": subject.role_arn, "target_role_arn": subject.target_role_arn, "message": self.message,
            "evidence": failure.evidence, "evidence_digest": format!("\\x{digest}"), "params": self.params,
            "exception": self.exception, "first_seen_at": self.first_seen_at, "opened_at": self.opened_at,
            "reopened_count": self.reopened_count, "first_run": self.first_run,
        });
        let mut row = self.steps();
        if let (Value::Object(row), Value::Object(shown)) = (&mut row, shown) {
            row.extend(shown);
        }
        row
    }
}

fn differences(life: &Life, failure: &Failure) -> serde_json::Map<String, Value> {
    let mut changes = serde_json::Map::new();
    let mut note = |what: &str, from: Value, to: Value| {
        if from != to {
            changes.insert(what.to_owned(), json!({ "from": from, "to": to }));
        }
    };
    note("severity", json!(life.severity), json!(failure.severity.as_str()));
    note("severity_because", json!(life.severity_because), json!(failure.severity_because));
    note("part_of", json!(life.part_of), json!(failure.part_of));
    note("assumptions", life.assumptions.clone(), parse::to_json(&failure.assumptions));
    note("message", json!(life.message), json!(failure.message));
    let before = parse::digest("finding", &life.fingerprint, &life.evidence_digest);
    note(
        "evidence_digest",
        json!(before.map(|digest| digest.to_string()).unwrap_or_default()),
        json!(failure.evidence_digest.to_string()),
    );
    changes
}

/// Rows as JSON arrays, none larger than [`STATEMENT_BYTES`] unless it has one row alone.
fn statements(rows: Vec<Value>) -> Vec<String> {
    let mut statements = Vec::new();
    let mut array = String::new();
    for row in rows {
        let text = parse::json_text(&row);
        if !array.is_empty() && array.len() + text.len() > STATEMENT_BYTES {
            array.push(']');
            statements.push(std::mem::take(&mut array));
        }
        array.push(if array.is_empty() { '[' } else { ',' });
        array.push_str(&text);
    }
    if !array.is_empty() {
        array.push(']');
        statements.push(array);
    }
    statements
}

async fn write_shown(tx: &mut Transaction<'static, Postgres>, rows: String) -> Result<(), Error> {
    // One JSON array instead of forty arrays: `jsonb_populate_recordset` types it by the table itself.
    sqlx::query!(
        "insert into finding (account_id, fingerprint, number, rule, severity, severity_rank, severity_because, part_of,
                assumptions, workloads, subject_kind, subject_key, region, cluster, namespace, service_account, role_arn,
                target_role_arn, detection, workflow, resolution, message, evidence, evidence_digest, params, exception,
                stale_why, first_seen_at, opened_at, last_seen_at, resolved_at, updated_at, reopened_count, first_run,
                last_run, version, change_seq)
         select account_id, fingerprint, number, rule, severity, severity_rank, severity_because, part_of,
                assumptions, workloads, subject_kind, subject_key, region, cluster, namespace, service_account, role_arn,
                target_role_arn, detection, workflow, resolution, message, evidence, evidence_digest, params,
                nullif(exception, 'null'), stale_why, first_seen_at, opened_at, last_seen_at, resolved_at, updated_at,
                reopened_count, first_run, last_run, version, change_seq
         from jsonb_populate_recordset(null::finding, $1::text::jsonb)
         on conflict (account_id, fingerprint) do update set
                severity = excluded.severity, severity_rank = excluded.severity_rank,
                severity_because = excluded.severity_because, part_of = excluded.part_of,
                assumptions = excluded.assumptions, workloads = excluded.workloads, region = excluded.region,
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

async fn write_moved(tx: &mut Transaction<'static, Postgres>, rows: String) -> Result<(), Error> {
    sqlx::query!(
        "update finding f set part_of = w.part_of, detection = w.detection, workflow = w.workflow,
                resolution = w.resolution, stale_why = w.stale_why, last_seen_at = w.last_seen_at,
                resolved_at = w.resolved_at, updated_at = w.updated_at, last_run = w.last_run, version = w.version,
                change_seq = w.change_seq
         from jsonb_populate_recordset(null::finding, $1::text::jsonb) w
         where f.account_id = w.account_id and f.fingerprint = w.fingerprint",
        rows
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_workloads(tx: &mut Transaction<'static, Postgres>, reached: &[Reached]) -> Result<(), Error> {
    if reached.is_empty() {
        return Ok(());
    }
    let fingerprints: Vec<String> = reached.iter().map(|finding| finding.fingerprint.clone()).collect();
    sqlx::query!("delete from finding_workload where fingerprint = any($1)", &fingerprints).execute(&mut **tx).await?;
    let each: Vec<_> = reached.iter().flat_map(|finding| finding.workloads.iter().map(move |w| (finding, w))).collect();
    for some in each.chunks(10 * CHUNK) {
        let column = |of: &dyn Fn(&Reached, &rolecall_audit::access::reach::Workload) -> String| {
            some.iter().map(|(finding, workload)| of(finding, workload)).collect::<Vec<String>>()
        };
        sqlx::query!(
            "insert into finding_workload (account_id, fingerprint, association, cluster_account_id, region, cluster,
                    namespace, service_account, via)
             select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::text[], $9::text[])",
            &column(&|finding, _| finding.account.clone()),
            &column(&|finding, _| finding.fingerprint.clone()),
            &column(&|_, workload| workload.association.to_string()),
            &column(&|_, workload| workload.association.account_id.to_string()),
            &column(&|_, workload| workload.association.region.to_string()),
            &column(&|_, workload| workload.association.cluster.to_string()),
            &column(&|_, workload| workload.association.namespace.to_string()),
            &column(&|_, workload| workload.association.service_account.to_string()),
            &column(&|_, workload| workload.via.as_str().to_owned()),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_events(
    tx: &mut Transaction<'static, Postgres>,
    events: &[(i64, Event)],
    run: RunId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&Event) -> String| events.iter().map(|(_, event)| of(event)).collect::<Vec<String>>();
    let numbers: Vec<i64> = events.iter().map(|(seq, _)| *seq).collect();
    sqlx::query!(
        "insert into finding_event (account_id, change_seq, fingerprint, run_id, at, kind, actor, detail)
         select w.account_id, w.seq, w.fingerprint, $6, $7, w.kind, 'scanner', w.detail::jsonb
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
              as w (account_id, fingerprint, kind, detail, seq)",
        &column(&|event| event.account.clone()),
        &column(&|event| event.fingerprint.clone()),
        &column(&|event| event.kind.to_owned()),
        &column(&|event| parse::json_text(&event.detail)),
        &numbers,
        run.0,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_tallies(
    tx: &mut Transaction<'static, Postgres>,
    tallies: &[RuleTally],
    run: RunId,
) -> Result<(), Error> {
    if tallies.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&RuleTally) -> u64| {
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
