//! Associations whose pods seem to work with the role of their node.
//!
//! Knows which calls instances made, what an association's pods may do, and what a node does of
//! itself: whatever AWS's own policies for nodes allow. What instances did beyond that, and an
//! association without a session may do, was done by pods that did not get their own credentials.
//! Where calls were not read completely, or are not recorded, that none was found says nothing.

use super::answer::{Listed, Partial, why};
use super::index::AccessIndex;
use super::stack::policy_set;
use super::trail::LAG;
use super::unused::unseen_in;
use crate::index::join;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{
    Association, AssociationDetail, Cause, CompleteRange, EventScope, InstanceUse, ManagedPolicy, Networks, Reason,
};
use rolecall_iam::{Grants, PolicyRef, PolicySet, Truth, recording};
use rolecall_rules::Reasons;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// AWS's policies for what nodes do of themselves.
const OF_NODES: [&str; 7] = [
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
    "CloudWatchAgentServerPolicy",
];
/// Calls are judged so far back where nobody says since when sessions were read.
const LOOK_BACK: TimeDelta = TimeDelta::days(7);
/// What instances did that an association's pods may do, where these have no session of their own.
pub(crate) fn of_association(
    index: &AccessIndex,
    association: &Association,
    detail: &AssociationDetail,
) -> Listed<NodeFallback> {
    let key = &association.key;
    if index.trail.has_session(key) {
        return Ok(Partial::empty());
    }
    let since = index.trail.since.or_else(|| Some(index.trail.memory.at? - LOOK_BACK));
    // What pods did before there was an association to give them credentials proves nothing.
    let from = detail.created_at.max(since).unwrap_or(DateTime::<Utc>::MIN_UTC);
    if let Some(why) = index.sessions_unseen(key.account_id, &key.region, from) {
        return Err(why);
    }
    if index.trail.may_have_session(&association.association_id) {
        return Err(Reasons::one("a session can be of this association or of others"));
    }
    let (Some(at), Some(since)) = (index.trail.memory.at, since) else {
        return Err(Reasons::one("calls of instances were not counted"));
    };
    let arn = detail.target_role_arn.as_deref().unwrap_or(&detail.role_arn);
    let role = match (index.role_exists(arn), index.role(arn)) {
        (Err(why), _) => return Err(why),
        (_, None) => return Ok(Partial::empty()),
        (_, Some(role)) => role,
    };
    let pods = index.grants.get(&policy_set(index, role, detail.policy.as_ref()));
    let nodes = of_nodes(index);
    let mut found: BTreeMap<&str, NodeFallback> = BTreeMap::new();
    let mut doubt: Option<Reasons> = None;
    for used in index
        .trail
        .memory
        .instances
        .iter()
        .filter(|used| used.account_id == key.account_id && used.region == key.region && used.last > from)
    {
        let answer = pods.allows(&used.action).truth;
        let own = nodes.allows(&used.action).truth;
        match (&answer, &own) {
            (Truth::False, _) | (_, Truth::True) => {}
            (Truth::True, Truth::False) => {
                found.entry(&used.role_arn).or_insert_with(|| NodeFallback::new(used, from)).add(used);
            }
            (open, Truth::False) | (_, open) => doubt = join(doubt, Some(&why(open))),
        }
    }
    let unseen = calls_unseen(index, association, (since, at), &pods, &nodes);
    let missing = match (unseen, doubt) {
        (Some(unseen), doubt) => join(Some(unseen), doubt.as_ref()),
        (None, doubt) => doubt,
    };
    Ok(Partial { items: found.into_values().collect(), missing })
}

/// What AWS's policies for nodes allow, those that any role of the estate has.
fn of_nodes(index: &AccessIndex) -> Arc<Grants> {
    let names = |policy: &&ManagedPolicy| {
        let name = policy.arn.resource().rsplit('/').next().unwrap_or_default();
        policy.arn.account() == "aws" && OF_NODES.contains(&name)
    };
    let mut met = BTreeSet::new();
    let documents = index.policies.iter().filter(names).filter(|policy| met.insert(policy.arn.as_str()));
    let policies = documents.map(|policy| {
        let source = policy.arn.to_string();
        match policy.document.as_ref().and_then(|digest| index.documents.get(digest)) {
            Some(document) => PolicyRef::known(&source, document),
            None => PolicyRef::missing(&source, "its document is not in the estate"),
        }
    });
    index.grants.get(&PolicySet { identity: Some(policies.collect()), ..PolicySet::default() })
}

/// Why an instance may have done unseen what the association's pods may do. What CloudTrail never
/// records is left out: no trail would ever answer.
fn calls_unseen(
    index: &AccessIndex,
    association: &Association,
    (since, at): (DateTime<Utc>, DateTime<Utc>),
    pods: &Grants,
    nodes: &Grants,
) -> Option<Reasons> {
    let key = &association.key;
    let here = |range: &&CompleteRange| {
        range.account_id == key.account_id
            && range.region == key.region
            && range.event_scope != EventScope::Sessions
            && range.from <= since
            && range.to + LAG >= at
    };
    let beyond = pods.possibly_allowed().minus(nodes.certainly_allowed()).minus(recording::unrecorded());
    let mut why = Reason::new(
        format!("the trail of {} in account {} since {} is incomplete", key.region, key.account_id, since.to_rfc3339()),
        Cause::Gap(Scope::regional(key.account_id, ScopeKind::Sessions, key.region.clone())),
    );
    for range in index.trail.memory.complete_ranges.iter().filter(here) {
        match unseen_in(&index.trails, range, &beyond) {
            None => return None,
            Some(unseen) => why = unseen,
        }
    }
    Some(Reasons::one(why))
}

/// Calls with a node's role that pods of an association may have made.
#[derive(Debug)]
pub(crate) struct NodeFallback {
    pub node_role: String,
    pub since: DateTime<Utc>,
    pub actions: BTreeMap<String, u64>,
    pub calls: u64,
    pub denied: u64,
    pub last: DateTime<Utc>,
    pub networks: Networks,
}

impl NodeFallback {
    fn new(used: &InstanceUse, since: DateTime<Utc>) -> Self {
        Self {
            node_role: used.role_arn.clone(),
            since,
            actions: BTreeMap::new(),
            calls: 0,
            denied: 0,
            last: used.last,
            networks: used.networks,
        }
    }

    fn add(&mut self, used: &InstanceUse) {
        let calls = self.actions.entry(used.action.clone()).or_default();
        *calls = calls.saturating_add(used.calls);
        self.calls = self.calls.saturating_add(used.calls);
        self.denied = self.denied.saturating_add(used.denied);
        self.last = self.last.max(used.last);
        self.networks = self.networks.and(used.networks);
    }
}
