//! Sessions of one shape as one subject: what is kept of them.

use chrono::{DateTime, NaiveDate, Utc};
use rolecall_estate::id::Region;
use rolecall_estate::{Origin, Reason, SessionKind, VpcEndpoint};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Sessions of one kind, from one principal, into one role, for one workload, with names of one shape.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub key: GroupKey,
    pub count: u32,
    pub refused: u32,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    pub regions: BTreeSet<Region>,
    /// Days under which a trail has its events.
    pub days: BTreeSet<NaiveDate>,
    /// One event for each distinct name without its random part, by that part.
    pub names: BTreeMap<String, Observed>,
    /// Whether there were more distinct names than are kept.
    pub more_names: bool,
    /// Sessions whose name contradicts the tags of the same event.
    pub contradictions: u32,
    /// One such event.
    pub contradiction: Option<Observed>,
    /// How sessions differ from what associations explain, with one event each.
    pub faults: BTreeMap<Fault, (u32, Observed)>,
    /// The fullest packed policy among them, in percent, and its event.
    pub packed: Option<(u8, Observed)>,
    /// One event for each place that asked; services have none.
    pub sources: BTreeMap<Place, (u32, Observed)>,
    /// Whether there were more places than are kept.
    pub more_sources: bool,
    /// From where and by what they were used.
    pub uses: BTreeMap<UseKey, UseSeen>,
    /// Whether there were more uses than are kept.
    pub more_uses: bool,
    /// Why EKS may have made them all the same.
    pub perhaps_by_eks: Option<Reason>,
}

/// From where a session was asked for: an address, and the VPC endpoint that it came through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub address: Option<IpAddr>,
    pub endpoint: Option<VpcEndpoint>,
}

/// What makes sessions one subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub account_id: AccountId,
    pub role_arn: Option<Arc<str>>,
    pub kind: SessionKind,
    /// Without what changes from session to session.
    pub principal: String,
    pub cluster: Option<String>,
    pub namespace: Option<String>,
    pub service_account: Option<String>,
    pub shape: Option<String>,
    /// Whether EKS itself made the sessions, as far as associations were seen.
    pub by_eks: bool,
}

/// One event, as evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub event_id: String,
    pub at: DateTime<Utc>,
    pub region: Region,
    pub name: String,
    pub principal: String,
    pub source_ip: Option<String>,
    pub vpc_endpoint: Option<VpcEndpoint>,
    pub count: u32,
}

impl GroupKey {
    /// Immutable identity: the role, then what tells its sessions apart.
    pub(crate) fn text(&self) -> String {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {} {}/{}/{} {}",
            self.role_arn.as_deref().unwrap_or("-"),
            kind_name(self.kind),
            self.principal,
            or_dash(&self.cluster),
            or_dash(&self.namespace),
            or_dash(&self.service_account),
            or_dash(&self.shape),
        )
    }
}

/// The snake-case name of a kind.
pub(crate) fn kind_name(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::PodIdentity => "pod_identity",
        SessionKind::PodIdentityTarget => "pod_identity_target",
        SessionKind::WebIdentity => "web_identity",
        SessionKind::Saml => "saml",
        SessionKind::Service => "service",
        SessionKind::AssumeRole => "assume_role",
        SessionKind::AgentRequest => "agent_request",
    }
}

/// A way in which a session that EKS opened differs from what associations explain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub kind: &'static str,
    pub what: String,
    /// Why it may have an explanation that nobody saw.
    pub why_not_known: Option<Reason>,
}

/// What makes uses of a group one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UseKey {
    pub endpoint: Option<String>,
    pub network: Option<String>,
    pub region: String,
    pub agent: Option<String>,
}

/// Uses of a group of sessions from one place by one program; the first of them.
#[derive(Debug, Clone)]
pub(crate) struct UseSeen {
    pub origin: Origin,
    pub observed: Observed,
    pub pod: Option<String>,
    pub new: New,
    pub sessions: u32,
    pub last: DateTime<Utc>,
}

/// What of a use is new, or why nobody can say.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub place: Result<bool, String>,
    pub region: Result<bool, String>,
    pub program: Result<bool, String>,
}
