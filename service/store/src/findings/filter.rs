//! Which findings: what pages, the API and exports narrow a list by.

use crate::findings::tickets::TicketFilter;
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Via;
use rolecall_audit::finding::triage::due::DueState;
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_audit::owner::Owned;
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::AssociationKey;
use rolecall_iam::AccountId;
use rolecall_rules::{Severity, SubjectKind};

/// Which findings. Empty lists and `None` leave out nothing.
///
/// A finding is in a place (region, cluster, namespace, service account) where its subject is there, or
/// where a workload that reaches the role concerned is there; `via` narrows that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
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
    /// In a cluster of this account.
    pub cluster_account: Option<AccountId>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of this service account.
    pub service_account: Option<String>,
    /// About this association, or about a role that it reaches.
    pub association: Option<AssociationKey>,
    /// How the workload comes into it; empty: in any way.
    pub via: Vec<FindingVia>,
    /// Concerning this role, as the role or as the target role.
    pub role_arn: Option<String>,
    /// Listed under this finding.
    pub part_of: Option<Fingerprint>,
    /// Also those that are listed under another finding.
    pub folded: bool,
    /// Changed at or after.
    pub updated_since: Option<DateTime<Utc>>,
    /// First seen at or after.
    pub first_seen_after: Option<DateTime<Utc>>,
    /// Of one of these assignees.
    pub assignees: Vec<String>,
    /// With an assignee, or without.
    pub assigned: Option<bool>,
    /// Of one of these owners.
    pub owners: Vec<String>,
    /// Whether they have an owner.
    pub owned: Option<Owned>,
    /// Standing to their due date in one of these ways.
    pub due: Vec<DueState>,
    /// With a ticket, or without.
    pub ticket: Option<TicketFilter>,
    /// Whose message, subject or rule holds this text, in any case.
    pub q: Option<String>,
}

/// How a workload comes into a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingVia {
    /// The finding is about the workload itself: its association, or a session of it.
    Subject,
    /// The finding is about a role that the workload reaches, in any way.
    Role,
    /// The finding is about a role that the workload reaches in this way.
    Reach(Via),
}

impl FindingVia {
    /// Every way.
    pub const ALL: [Self; 5] =
        [Self::Subject, Self::Role, Self::Reach(Via::Direct), Self::Reach(Via::Target), Self::Reach(Via::Chain)];

    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Role => "role",
            Self::Reach(via) => via.as_str(),
        }
    }
}
