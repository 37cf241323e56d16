//! Findings.

use super::owner::OwnerBecauseJson;
use super::verdict::{
    AssumptionJson, EvidenceJson, ExceptionJson, ParamJson, ReasonJson, SubjectJson, WorkloadJson, assumption,
};
use crate::app::App;
use crate::http::error::AppError;
use crate::http::listing::Origin;
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::owner::{Owned, Owner};
use rolecall_store::{Finding, FindingEvent, FindingRow, SuppressionRow, TicketRow};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A finding that is listed under another.
#[derive(Clone, Serialize, ToSchema)]
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
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct FindingDetailJson {
    #[serde(flatten)]
    pub(crate) finding: FindingJson,
    /// The parameters of the rule that were in force, by name.
    pub(crate) params: BTreeMap<String, ParamJson>,
    /// The findings that are listed under this one, the worst first; at most 100.
    pub(crate) parts: Vec<PartJson>,
}

impl FindingDetailJson {
    /// The whole finding; `workloads` are all of them, `parts` what is listed under it.
    pub(crate) fn new(
        app: &App,
        origin: &Origin,
        finding: Finding,
        workloads: Vec<Workload>,
        parts: Vec<FindingRow>,
    ) -> Self {
        let evidence = finding.evidence.into_iter().map(EvidenceJson::from).collect();
        let shown = FindingJson::new(app, origin, FindingRow { workloads, ..finding.row });
        Self {
            finding: FindingJson { evidence: Some(evidence), ..shown },
            params: finding.params.into_iter().map(|(name, param)| (name, param.into())).collect(),
            parts: parts.into_iter().map(PartJson::from).collect(),
        }
    }
}

/// What suppresses a finding until a date, because somebody asked for it.
#[derive(Clone, Serialize, ToSchema)]
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

/// The ticket of a finding in another system, or the reservation of one.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct TicketJson {
    /// How the installation calls the system.
    #[schema(example = "jira")]
    pub(crate) system: String,
    /// How the system calls the ticket; null while one is only reserved.
    #[schema(example = "SEC-1204")]
    pub(crate) key: Option<String>,
    /// Where people read it.
    #[schema(example = "https://tracker.example/browse/SEC-1204")]
    pub(crate) url: Option<String>,
    /// What it is marked with.
    #[schema(example = "rolecall-Q7gd0TmzR5uWcKx2")]
    pub(crate) idempotency_key: String,
    /// When it was linked.
    pub(crate) linked_at: Option<DateTime<Utc>>,
    /// Who linked it.
    #[schema(example = "token ticket-bot")]
    pub(crate) linked_by: Option<String>,
    /// The worker that reserved it last.
    #[schema(example = "ticket-bot-0")]
    pub(crate) holder: Option<String>,
    /// Until when that holds; null where there is a ticket.
    pub(crate) lease_until: Option<DateTime<Utc>>,
}

impl TicketJson {
    /// A ticket or a reservation; none where a reservation was given back.
    fn new(row: TicketRow) -> Option<Self> {
        (row.key.is_some() || row.lease_until.is_some()).then_some(Self {
            system: row.system,
            key: row.key,
            url: row.url,
            idempotency_key: row.idempotency_key,
            linked_at: row.linked_at,
            linked_by: row.linked_by,
            holder: row.holder,
            lease_until: row.lease_until,
        })
    }
}

/// A finding.
#[derive(Clone, Serialize, ToSchema)]
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
    /// The rule's title; its id where the rule is there no more.
    #[schema(example = "The trust policy admits every pod of the account")]
    pub(crate) title: String,
    /// What to do about it; null where the rule does not say, or is there no more.
    pub(crate) remediation: Option<String>,
    /// What it is about.
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
    /// What the scanner last saw: `active`, `stale` (undetermined) or `cleared`.
    pub(crate) detection: &'static str,
    /// `open`, `acknowledged`, `suppressed` or `resolved`.
    pub(crate) state: &'static str,
    /// Why it is resolved.
    pub(crate) resolution: Option<String>,
    /// One sentence.
    pub(crate) message: String,
    /// The statements and facts that decided; null in a list without `include=evidence`.
    pub(crate) evidence: Option<Vec<EvidenceJson>>,
    /// Its tickets in other systems, and reservations of such.
    pub(crate) tickets: Vec<TicketJson>,
    /// The exception from the policy files that suppresses it.
    pub(crate) exception: Option<ExceptionJson>,
    /// The suppression in force that a person or a program asked for.
    pub(crate) suppression: Option<SuppressionJson>,
    /// A suppression that awaits the approval of another person.
    pub(crate) suppression_request: Option<SuppressionJson>,
    /// The person or team that works on it.
    #[schema(example = "payments")]
    pub(crate) assignee: Option<String>,
    /// Whose it is; null where nobody's, and where that is not known.
    #[schema(example = "payments")]
    pub(crate) owner: Option<String>,
    /// `true`: somebody's; `false`: nobody's, as ownership rules and tags show; `unknown`: what decides it was not seen.
    #[schema(example = "true")]
    pub(crate) owned: &'static str,
    /// What says so; null where it was not determined yet.
    pub(crate) owner_because: Option<OwnerBecauseJson>,
    /// How it stands to its due date: `ok`, `due_soon`, `overdue`, or `paused` while it is suppressed; null where it is
    /// resolved or never due.
    #[schema(example = "due_soon")]
    pub(crate) due: Option<&'static str>,
    /// Until when it should be mended; null while the time stands still.
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// Why it is undetermined; empty unless stale.
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
    /// The whole address of its page.
    #[schema(example = "https://rolecall.example/findings/17")]
    pub(crate) url: String,
}

impl FindingJson {
    /// Findings of a list, with what decided them where that is asked for.
    pub(crate) async fn each(
        app: &App,
        origin: &Origin,
        rows: Vec<FindingRow>,
        evidence: bool,
    ) -> Result<Vec<Self>, AppError> {
        if !evidence {
            return Ok(rows.into_iter().map(|row| Self::new(app, origin, row)).collect());
        }
        let found = app.store.decided(rows).await?;
        let shape = |found: Finding| Self {
            evidence: Some(found.evidence.into_iter().map(EvidenceJson::from).collect()),
            ..Self::new(app, origin, found.row)
        };
        Ok(found.into_iter().map(shape).collect())
    }

    /// A finding without its evidence.
    pub(crate) fn new(app: &App, origin: &Origin, row: FindingRow) -> Self {
        let rule = app.rules.set.rule(&row.rule);
        let meta = rule.as_ref().map(|rule| rule.meta());
        let remediation = meta.map(|meta| meta.remediation.text.trim().to_owned()).filter(|text| !text.is_empty());
        let title = meta.map_or_else(|| row.rule.clone(), |meta| meta.title.clone());
        let exception = row.exception.map(|e| ExceptionJson {
            name: e.name,
            owner: e.owner,
            reason: e.reason,
            ticket: e.ticket,
            expires: e.expires,
            origin: e.origin,
        });
        Self {
            title,
            remediation,
            evidence: None,
            tickets: row.tickets.into_iter().filter_map(TicketJson::new).collect(),
            url: origin.url(&format!("/findings/{}", row.number)),
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
            owner: row.owner.as_ref().and_then(Owner::name).map(str::to_owned),
            owned: row.owner.as_ref().map_or(Owned::Unknown, Owner::owned).as_str(),
            owner_because: row.owner.as_ref().map(OwnerBecauseJson::from),
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
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct EventJson {
    /// Place in the one order of all steps.
    pub(crate) change_seq: i64,
    /// Of the scanner `opened`, `reopened`, `changed`, `seen_again`, `resolved`, `stale`, `suppressed` or
    /// `suppression_expired`; of people and programs `acknowledged`, `unacknowledged`, `suppressed`,
    /// `suppression_requested`, `suppression_declined`, `suppression_ended`, `assigned`, `commented`,
    /// `ticket_reserved`, `ticket_linked`, `ticket_released` or `ticket_removed`.
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
