//! Findings.

use super::verdict::{
    AssumptionJson, EvidenceJson, ExceptionJson, ParamJson, ReasonJson, SubjectJson, WorkloadJson, assumption,
};
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_store::{Finding, FindingEvent, FindingRow, SuppressionRow};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A finding that is listed under another.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartJson {
    pub(crate) number: i64,
    pub(crate) fingerprint: String,
    pub(crate) rule_id: String,
    pub(crate) severity: &'static str,
    pub(crate) state: &'static str,
    pub(crate) message: String,
}

impl From<FindingRow> for PartJson {
    fn from(row: FindingRow) -> Self {
        Self {
            number: row.number,
            fingerprint: row.fingerprint.0,
            rule_id: row.rule,
            severity: row.severity.as_str(),
            state: row.workflow.as_str(),
            message: row.message,
        }
    }
}

/// A finding with what decided it.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingDetailJson {
    #[serde(flatten)]
    pub(crate) finding: FindingJson,
    pub(crate) evidence: Vec<EvidenceJson>,
    pub(crate) params: BTreeMap<String, ParamJson>,
    /// The findings that are listed under this one, the worst first; at most 100.
    pub(crate) parts: Vec<PartJson>,
}

impl FindingDetailJson {
    /// The whole finding; `workloads` are all of them, `parts` what is listed under it.
    pub(crate) fn new(finding: Finding, workloads: Vec<Workload>, parts: Vec<FindingRow>) -> Self {
        Self {
            evidence: finding.evidence.into_iter().map(EvidenceJson::from).collect(),
            params: finding.params.into_iter().map(|(name, param)| (name, param.into())).collect(),
            parts: parts.into_iter().map(PartJson::from).collect(),
            finding: FindingRow { workloads, ..finding.row }.into(),
        }
    }
}

/// What suppresses a finding until a date, because somebody asked for it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SuppressionJson {
    /// `false_positive`, `risk_accepted`, `compensating_control` or `test`.
    pub(crate) reason: &'static str,
    /// Why, in the words of who asked.
    pub(crate) justification: String,
    /// When it ends. The finding opens then, if it still fails.
    pub(crate) until: DateTime<Utc>,
    /// Who asked: a person, or `token` with its name.
    pub(crate) requested_by: String,
    /// When it was asked for.
    pub(crate) requested_at: DateTime<Utc>,
    /// The other person who approved it; null where nobody else had to.
    pub(crate) approved_by: Option<String>,
}

impl From<SuppressionRow> for SuppressionJson {
    fn from(row: SuppressionRow) -> Self {
        Self {
            reason: row.reason.as_str(),
            justification: row.justification,
            until: row.until,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            approved_by: row.approved_by,
        }
    }
}

/// A finding.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingJson {
    /// For people; unique in the installation.
    pub(crate) number: i64,
    /// Identity: the same in every scan. Use it to avoid a second ticket.
    #[schema(example = "v1:mzxw6ytboi4dk5tbnruxg5dsmu")]
    pub(crate) fingerprint: String,
    /// The rule's immutable id.
    pub(crate) rule_id: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub(crate) severity: &'static str,
    /// What the severity follows from; null where it is the rule's own or a binding's.
    pub(crate) severity_because: Option<String>,
    pub(crate) subject: SubjectJson,
    /// How many workloads reach the role that the finding is about.
    pub(crate) workload_count: u64,
    /// These workloads, the nearest first: ten in a list, at most 1000 of one finding.
    pub(crate) workloads: Vec<WorkloadJson>,
    /// The fingerprint of the graver finding about the same statement under which this one is listed.
    pub(crate) part_of: Option<String>,
    /// How many findings that are not resolved are listed under this one.
    pub(crate) part_count: u64,
    /// What was stated and not seen, and the finding rests on.
    pub(crate) assumptions: Vec<AssumptionJson>,
    /// What the scanner last saw: `active`, `stale` (could not be decided) or `cleared`.
    pub(crate) detection: &'static str,
    /// `open`, `acknowledged`, `suppressed` or `resolved`.
    pub(crate) state: &'static str,
    /// Why it is resolved.
    pub(crate) resolution: Option<String>,
    /// One sentence.
    pub(crate) message: String,
    /// The exception from the policy files that suppresses it.
    pub(crate) exception: Option<ExceptionJson>,
    /// The suppression in force that a person or a program asked for.
    pub(crate) suppression: Option<SuppressionJson>,
    /// A suppression that awaits the approval of another person.
    pub(crate) suppression_request: Option<SuppressionJson>,
    /// The person or team that works on it.
    #[schema(example = "payments")]
    pub(crate) assignee: Option<String>,
    /// How it stands to its due date: `ok`, `due_soon`, `overdue`, or `paused` while it is suppressed; null where it is
    /// resolved or never due.
    #[schema(example = "due_soon")]
    pub(crate) due: Option<&'static str>,
    /// Until when it should be mended; null while the time stands still.
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// Why it could not be decided; empty unless stale.
    pub(crate) stale_reasons: Vec<ReasonJson>,
    pub(crate) first_seen_at: DateTime<Utc>,
    /// Begin of the present episode.
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) resolved_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) reopened_count: u32,
    pub(crate) first_scan: i64,
    pub(crate) last_scan: i64,
    /// Grows with every step; also the `ETag` of the finding, for `If-Match`.
    pub(crate) version: i64,
    /// The finding's page.
    #[schema(example = "/findings/17")]
    pub(crate) page: String,
}

impl From<FindingRow> for FindingJson {
    fn from(row: FindingRow) -> Self {
        let exception = row.exception.map(|e| ExceptionJson {
            name: e.name,
            owner: e.owner,
            reason: e.reason,
            ticket: e.ticket,
            expires: e.expires,
            origin: e.origin,
        });
        Self {
            page: format!("/findings/{}", row.number),
            number: row.number,
            fingerprint: row.fingerprint.0,
            rule_id: row.rule,
            severity: row.severity.as_str(),
            subject: row.subject.into(),
            detection: row.detection.as_str(),
            state: row.workflow.as_str(),
            resolution: row.resolution,
            message: row.message,
            severity_because: row.severity_because,
            workload_count: row.workload_count,
            workloads: row.workloads.into_iter().map(WorkloadJson::from).collect(),
            part_of: row.part_of.map(|head| head.0),
            part_count: row.parts,
            assumptions: row.assumptions.into_iter().map(assumption).collect(),
            exception,
            suppression: row.suppression.map(SuppressionJson::from),
            suppression_request: row.requested.map(SuppressionJson::from),
            assignee: row.assignee,
            due: row.due.map(|due| due.state.as_str()),
            due_at: row.due.and_then(|due| due.at),
            stale_reasons: row.stale_why.iter().map(ReasonJson::from).collect(),
            first_seen_at: row.first_seen_at,
            opened_at: row.opened_at,
            last_seen_at: row.last_seen_at,
            resolved_at: row.resolved_at,
            updated_at: row.updated_at,
            reopened_count: row.reopened_count,
            first_scan: row.first_run.0,
            last_scan: row.last_run.0,
            version: row.version,
        }
    }
}

/// A step of a finding's life.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventJson {
    /// Place in the one order of all steps.
    pub(crate) change_seq: i64,
    /// Of the scanner `opened`, `reopened`, `changed`, `seen_again`, `resolved`, `stale`, `suppressed` or
    /// `suppression_expired`; of people and programs `acknowledged`, `unacknowledged`, `suppressed`,
    /// `suppression_requested`, `suppression_declined`, `suppression_ended`, `assigned` or `commented`.
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    /// `scanner`, or who did it.
    pub(crate) actor: String,
    pub(crate) scan: Option<i64>,
    /// Values before and after.
    pub(crate) detail: serde_json::Value,
}

impl From<FindingEvent> for EventJson {
    fn from(e: FindingEvent) -> Self {
        let scan = e.run.map(|run| run.0);
        Self { change_seq: e.change_seq, kind: e.kind, at: e.at, actor: e.actor, scan, detail: e.detail }
    }
}
