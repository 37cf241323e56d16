//! What a finding is, when two are the same, and how its life goes on from one audit to the next.
//!
//! The scanner owns *detection*, people own *workflow*. Only a pass, or a subject proven gone,
//! resolves; an unknown leaves a finding as it was and marks it stale. Refuses to know SQL, HTTP
//! and tickets.

mod owners;
pub mod priority;
mod reconcile;
pub mod ticket;
pub mod triage;

pub use owners::finding_owners;
pub use reconcile::reconcile;

use crate::access::reach::Workload;
use crate::owner::Owner;
use crate::verdict::{Fingerprint, Verdict};
use chrono::{DateTime, Utc};
use rolecall_estate::Reason;
use rolecall_estate::assumption::Assumption;
use rolecall_iam::Digest;
use rolecall_rules::{EffectiveParam, Evidence, ExceptionRef, Outcome, Severity, Subject};
use std::collections::BTreeMap;

rolecall_iam::vocabulary! {
    /// What the scanner last saw of a finding.
    pub enum Detection: "a detection" {
        /// The rule fails.
        Active = "active",
        /// The rule could not be decided in the latest audit; the last answer was a fail.
        Stale = "stale",
        /// The rule passes, or the subject is gone.
        Cleared = "cleared",
    }
}

rolecall_iam::vocabulary! {
    /// What people made of a finding, except that the scanner resolves and reopens.
    pub enum Workflow: "a workflow state" {
        /// To be looked at.
        Open = "open",
        /// Somebody is on it.
        Acknowledged = "acknowledged",
        /// Accepted until a date.
        Suppressed = "suppressed",
        /// Done.
        Resolved = "resolved",
    }
}

/// What is known of a finding before an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownFinding {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// Scanner's side.
    pub detection: Detection,
    /// People's side.
    pub workflow: Workflow,
    /// [`Failure::evidence_digest`] as last seen.
    pub evidence_digest: rolecall_iam::Digest,
    /// Severity last given.
    pub severity: Severity,
    /// Message last given.
    pub message: String,
    /// What was stated and not seen, and it rests on.
    pub assumptions: Vec<Assumption>,
    /// [`Failure::happened_at`] as last seen.
    pub happened_at: Option<DateTime<Utc>>,
    /// Whether a suppression that somebody asked for is in force for it.
    pub suppressed: bool,
    /// Whose it is, as last decided.
    pub owner: Option<Owner>,
}

rolecall_iam::vocabulary! {
    /// Why a finding was resolved.
    pub enum Resolution: "a resolution" {
        /// The rule passes now.
        Passed = "passed",
        /// The subject is gone, as complete listings show.
        SubjectGone = "subject_gone",
        /// The rule does not concern the subject any more, as seen.
        NotApplicable = "not_applicable",
        /// The rule was removed or switched off.
        RuleDisabled = "rule_disabled",
        /// It happened so long ago that what was recorded of it is not kept any more.
        Expired = "expired",
        /// It is about a change, and a later one took it back.
        Reversed = "reversed",
    }
}

/// Everything that a failing verdict says about a finding, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// After bindings.
    pub severity: Severity,
    /// What the severity follows from, where it is neither the rule's own nor a binding's.
    pub severity_because: Option<String>,
    /// The graver finding about the same statement under which this one is listed. It fails in the
    /// same audit, is covered by no exception, and is listed under no other.
    pub part_of: Option<Fingerprint>,
    /// What was stated and not seen, and the finding rests on.
    pub assumptions: Vec<Assumption>,
    /// The workloads that reach the role concerned, by association.
    pub workloads: Vec<Workload>,
    /// One sentence.
    pub message: String,
    /// What decided.
    pub evidence: Vec<Evidence>,
    /// Digest of what the finding shows besides message and severity.
    pub evidence_digest: rolecall_iam::Digest,
    /// Parameters in force.
    pub params: BTreeMap<String, EffectiveParam>,
    /// The exception in force, if any: the finding is then suppressed, not hidden.
    pub exception: Option<ExceptionRef>,
    /// When the newest of the events happened on which it rests; `None` where it is about how things
    /// are, and not about what happened.
    pub happened_at: Option<DateTime<Utc>>,
}

/// What is to be done to the kept findings after an audit. Applied in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum FindingAction {
    /// New.
    Open(Failure),
    /// Resolved before, and fails again.
    Reopen(Failure),
    /// Still fails. `changed` says whether evidence, message, severity or exception differ.
    Refresh {
        /// What it says now.
        failure: Failure,
        /// Whether anything that people see differs.
        changed: bool,
    },
    /// Passed, or gone.
    Resolve {
        /// Which.
        fingerprint: Fingerprint,
        /// Why.
        why: Resolution,
        /// Of a change that was taken back: the later change.
        by: Option<String>,
    },
    /// Could not be decided: stays as it is, marked stale.
    MarkStale {
        /// Which.
        fingerprint: Fingerprint,
        /// Why not decided.
        why: Vec<Reason>,
    },
}

impl Failure {
    /// What a failing verdict says, under the rule's root id; `None` for other verdicts. `part_of` is
    /// the finding under which it is listed, `workloads` are those that reach the role concerned.
    #[must_use]
    pub fn new(verdict: &Verdict, root: &str, part_of: Option<Fingerprint>, workloads: Vec<Workload>) -> Option<Self> {
        let Outcome::Fail { message, evidence, .. } = &verdict.outcome else { return None };
        let shown = serde_json::json!({
            "evidence": evidence,
            "exception": verdict.exception,
            "severity_because": verdict.severity_because,
            "part_of": part_of,
            "assumptions": verdict.assumptions,
            "workloads": workloads,
        });
        Some(Self {
            fingerprint: verdict.fingerprint(root)?,
            rule: verdict.rule.clone(),
            subject: verdict.subject.as_ref().clone(),
            severity: verdict.severity,
            severity_because: verdict.severity_because.clone(),
            part_of,
            assumptions: verdict.assumptions.clone(),
            workloads,
            message: message.clone(),
            evidence: evidence.clone(),
            evidence_digest: Digest::sha256(shown.to_string().as_bytes()),
            params: verdict.params.as_ref().clone(),
            exception: verdict.exception.as_deref().cloned(),
            happened_at: verdict.happened_at.map(|at| newest_event(evidence).unwrap_or(at)),
        })
    }
}

/// When the newest of the events in the evidence happened.
fn newest_event(evidence: &[Evidence]) -> Option<DateTime<Utc>> {
    let times = evidence.iter().filter_map(|one| one.value.get("eventTime")?.as_str()?.parse().ok());
    times.max()
}
