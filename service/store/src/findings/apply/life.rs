//! A finding while it is judged: as it was, and what changes of it.

use crate::{Error, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::{Via, Workload};
use rolecall_audit::finding::triage::Standing;
use rolecall_audit::finding::{Detection, Failure, FindingAction, Workflow};
use rolecall_audit::verdict::Fingerprint;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::HashMap;

/// So many workloads of a finding are kept with its row.
const FIRST_WORKLOADS: usize = 10;

pub(super) struct Event {
    pub(super) account: String,
    pub(super) fingerprint: String,
    pub(super) number: i64,
    pub(super) kind: &'static str,
    pub(super) detail: Value,
}

/// What decides the next step of a finding's life, and what the step changes.
#[derive(Debug, Clone)]
pub(in crate::findings) struct Life {
    pub(in crate::findings) account_id: String,
    pub(in crate::findings) fingerprint: String,
    pub(in crate::findings) number: i64,
    pub(in crate::findings) rule: String,
    pub(in crate::findings) severity: String,
    pub(in crate::findings) severity_because: Option<String>,
    pub(in crate::findings) part_of: Option<String>,
    pub(in crate::findings) assumptions: Value,
    pub(in crate::findings) message: String,
    pub(in crate::findings) evidence_digest: Vec<u8>,
    pub(in crate::findings) params: Value,
    pub(in crate::findings) exception: Option<Value>,
    pub(in crate::findings) detection: String,
    pub(in crate::findings) workflow: String,
    pub(in crate::findings) resolution: Option<String>,
    pub(in crate::findings) stale_why: Value,
    pub(in crate::findings) first_seen_at: DateTime<Utc>,
    pub(in crate::findings) opened_at: DateTime<Utc>,
    /// Absent where the latest run that judged has seen it failing.
    pub(in crate::findings) last_seen_at: Option<DateTime<Utc>>,
    pub(in crate::findings) resolved_at: Option<DateTime<Utc>>,
    pub(in crate::findings) updated_at: DateTime<Utc>,
    pub(in crate::findings) reopened_count: i32,
    /// Since when it is suppressed.
    pub(in crate::findings) suppressed_at: Option<DateTime<Utc>>,
    /// For how long it was before, in this episode.
    pub(in crate::findings) paused_seconds: i64,
    /// Whether a suppression that somebody asked for is in force.
    pub(in crate::findings) suppression: bool,
    pub(in crate::findings) first_run: i64,
    pub(in crate::findings) last_run: Option<i64>,
    pub(in crate::findings) version: i64,
    pub(in crate::findings) change_seq: i64,
}

/// The columns of [`Life`], written once.
macro_rules! select_lives {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Life,
            r#"select f.account_id, f.fingerprint, f.number, f.rule, f.severity, f.severity_because, f.part_of,
                    f.assumptions, f.message, f.evidence_digest, f.params, f.exception, f.detection, f.workflow,
                    f.resolution, f.stale_why, f.first_seen_at, f.opened_at, f.last_seen_at, f.resolved_at, f.updated_at,
                    f.reopened_count, f.suppressed_at, f.paused_seconds,
                    exists (select from suppression s where s.account_id = f.account_id
                            and s.fingerprint = f.fingerprint and s.in_force_at is not null and s.ended_at is null)
                        as "suppression!",
                    f.first_run, f.last_run, f.version, f.change_seq
             from finding f "# + $tail
            $(, $arg)*
        )
    };
}

/// The run that judged before this one, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) run: i64,
    pub(super) at: DateTime<Utc>,
}

pub(super) async fn lives(
    connection: &mut PgConnection,
    actions: &[FindingAction],
) -> Result<HashMap<String, Life>, Error> {
    let wanted: Vec<String> = actions.iter().map(|action| fingerprint_of(action).0.clone()).collect();
    let found = select_lives!("where f.fingerprint = any($1)", &wanted).fetch_all(connection).await?;
    Ok(found.into_iter().map(|life| (life.fingerprint.clone(), life)).collect())
}

/// The findings that numbers and fingerprints name, each once.
pub(in crate::findings) async fn named(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<Life>, Error> {
    let numbers: Vec<i64> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let found = select_lives!("where f.number = any($1) or f.fingerprint = any($2)", &numbers, ids);
    Ok(found.fetch_all(connection).await?)
}

/// Whether the finding shows what it showed before: [`Failure::evidence_digest`] covers all the rest.
pub(super) fn is_same(life: &Life, failure: &Failure) -> bool {
    life.evidence_digest == failure.evidence_digest.as_bytes()
}

pub(super) fn seen(life: &mut Life) {
    life.detection = Detection::Active.as_str().to_owned();
    life.stale_why = json!([]);
    life.last_seen_at = None;
    life.last_run = None;
}

impl Life {
    /// A finding that was never seen before.
    pub(super) fn new(failure: &Failure, number: i64, run: i64, now: DateTime<Utc>) -> Self {
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
            suppressed_at: None,
            paused_seconds: 0,
            suppression: false,
            first_run: run,
            last_run: None,
            version: 0,
            change_seq: 0,
        }
    }

    /// Where it stands on people's side.
    pub(in crate::findings) fn standing(&self) -> Standing {
        // The table takes no other word.
        let workflow = self.workflow.parse().unwrap_or(Workflow::Open);
        Standing { workflow, exception: self.exception.is_some(), suppression: self.suppression }
    }

    /// Moves it on people's side. While it is suppressed its time stands still.
    pub(in crate::findings) fn stand(&mut self, standing: Standing, now: DateTime<Utc>) {
        standing.workflow.as_str().clone_into(&mut self.workflow);
        self.suppression = standing.suppression;
        if standing.workflow == Workflow::Suppressed {
            self.suppressed_at.get_or_insert(now);
        } else if let Some(since) = self.suppressed_at.take() {
            self.paused_seconds += (now - since).num_seconds().max(0);
        }
    }

    /// What the failure says goes into the record; its life stays.
    pub(super) fn show(&mut self, failure: &Failure) {
        failure.severity.as_str().clone_into(&mut self.severity);
        self.severity_because.clone_from(&failure.severity_because);
        self.part_of = failure.part_of.as_ref().map(|head| head.0.clone());
        self.assumptions = parse::to_json(&failure.assumptions);
        self.message.clone_from(&failure.message);
        self.evidence_digest = failure.evidence_digest.as_bytes().to_vec();
        self.params = parse::to_json(&failure.params);
    }

    /// The columns of life, as `jsonb_populate_recordset` reads a row of the table.
    pub(super) fn steps(&self) -> Value {
        json!({
            "account_id": self.account_id, "fingerprint": self.fingerprint, "part_of": self.part_of,
            "detection": self.detection, "workflow": self.workflow, "resolution": self.resolution,
            "stale_why": self.stale_why, "last_seen_at": self.last_seen_at, "resolved_at": self.resolved_at,
            "updated_at": self.updated_at, "last_run": self.last_run, "version": self.version,
            "change_seq": self.change_seq, "suppressed_at": self.suppressed_at,
            "paused_seconds": self.paused_seconds,
        })
    }

    /// All columns, as `jsonb_populate_recordset` reads a row of the table.
    pub(super) fn row(&self, failure: &Failure) -> Value {
        let digest: String = self.evidence_digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let subject = &failure.subject;
        let shown = json!({
            "number": self.number, "rule": self.rule, "severity": self.severity,
            "severity_rank": parse::severity_rank(failure.severity), "severity_because": self.severity_because,
            "assumptions": self.assumptions, "workloads": failure.workloads.len(),
            "first_workloads": first_workloads(&failure.workloads),
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

/// The first of the workloads that reach a finding, the nearest first, as the column of that name has them.
fn first_workloads(workloads: &[Workload]) -> Option<Vec<String>> {
    let mut all: Vec<(Via, String)> = workloads.iter().map(|w| (w.via, w.association.to_string())).collect();
    all.sort();
    let named = all.iter().take(FIRST_WORKLOADS).map(|(via, association)| format!("{} {association}", via.as_str()));
    (!all.is_empty()).then(|| named.collect())
}

pub(super) fn differences(life: &Life, failure: &Failure) -> serde_json::Map<String, Value> {
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

pub(in crate::findings) use select_lives;

pub(super) fn fingerprint_of(action: &FindingAction) -> &Fingerprint {
    match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            &failure.fingerprint
        }
        FindingAction::Resolve { fingerprint, .. } | FindingAction::MarkStale { fingerprint, .. } => fingerprint,
    }
}
