//! A finding as it is read.

use crate::findings::suppressions::SuppressionRow;
use crate::findings::tickets::TicketRow;
use crate::parse::severity_rank;
use crate::work::runs::RunId;
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::finding::triage::due::Due;
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_audit::owner::Owner;
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::Reason;
use rolecall_estate::assumption::Assumption;
use rolecall_iam::{AccountId, Digest};
use rolecall_rules::{EffectiveParam, Evidence, ExceptionRef, Severity, Subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

rolecall_iam::vocabulary! {
    /// In which order; ties go to the greater number, but to the smaller where the oldest come first.
    #[derive(Default)]
    pub enum FindingSort: "an order of findings" {
        /// The worst first.
        #[default]
        Severity = "severity",
        /// The last seen first.
        LastSeen = "last_seen",
        /// The first seen last comes first.
        FirstSeen = "first_seen",
        /// The newest episode first.
        Opened = "opened",
        /// The oldest episode first.
        Oldest = "oldest",
        /// By account, the worst of each first.
        Account = "account",
        /// By rule, the worst of each first.
        Rule = "rule",
        /// The greatest number first.
        Number = "number",
    }
}

/// The last finding of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingAfter {
    /// What it was sorted by; in the orders by a text, within that text.
    pub value: i64,
    /// The text that it was sorted by; empty in the other orders.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
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
    /// Who works on it.
    pub assignee: Option<String>,
    /// Whose it is; `None` where that was not determined yet.
    pub owner: Option<Owner>,
    /// Until when it should be mended; `None` where it is resolved or never due.
    pub due: Option<Due>,
    /// The suppression in force that somebody asked for.
    pub suppression: Option<SuppressionRow>,
    /// A suppression that awaits approval.
    pub requested: Option<SuppressionRow>,
    /// Its tickets in other systems, and reservations of such, by system.
    pub tickets: Vec<TicketRow>,
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
        let text = match sort {
            FindingSort::Account => self.subject.account_id.to_string(),
            FindingSort::Rule => self.rule.clone(),
            _ => String::new(),
        };
        let value = match sort {
            FindingSort::Severity | FindingSort::Account | FindingSort::Rule => i64::from(severity_rank(self.severity)),
            // Ahead of all others, whichever run is the latest when the next page is read.
            FindingSort::LastSeen if self.seen_by_latest => i64::MAX,
            FindingSort::LastSeen => self.last_seen_at.timestamp_micros(),
            FindingSort::FirstSeen => self.first_seen_at.timestamp_micros(),
            FindingSort::Opened | FindingSort::Oldest => self.opened_at.timestamp_micros(),
            FindingSort::Number => self.number,
        };
        FindingAfter { value, text, number: self.number }
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
    /// Of the scanner `opened`, `reopened`, `changed`, `seen_again`, `resolved`, `stale`, `suppressed`,
    /// `suppression_expired`; of people `acknowledged`, `unacknowledged`, `suppressed`, `suppression_requested`,
    /// `suppression_declined`, `suppression_ended`, `assigned`, `commented`, `ticket_reserved`, `ticket_linked`,
    /// `ticket_released`, `ticket_removed`.
    pub kind: String,
    /// `scanner`, or who did it.
    pub actor: String,
    /// Values before and after.
    pub detail: Value,
}
