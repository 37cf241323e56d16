//! Associations whose pods seem to work with the role of their node.
//!
//! Knows which calls instances made, what an association's pods may do, and what a node does of
//! itself: whatever AWS's own policies for nodes allow. What instances did beyond that, and an
//! association without a session may do, was done by pods that did not get their own credentials.
//! Where calls were not read whole, or are not recorded, that none was found says nothing.

use super::CachedIndex;
use super::attributions::LAG;
use super::permissions;
use super::view::{Def, Facts, count, fact, text};
use crate::unused::{Covered, ReadRegion, unseen_calls};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::{Association, AssociationDetail, CompleteRange, EventScope, InstanceUse, Trail};
use rolecall_iam::{ActionSet, Grants, PolicyRef, PolicySet, Truth, recording};
use rolecall_rules::{Reasons, Type, Value};
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
/// So many actions are shown.
const SHOWN: usize = 12;

/// What instances did that an association's pods may do, where these have no session of their own.
pub(super) fn of(world: &CachedIndex, association: &Association, detail: &AssociationDetail) -> Value {
    let key = &association.key;
    if world.trail.has_session(key) {
        return Value::list([]);
    }
    let since = world.trail.since.or_else(|| Some(world.trail.memory.at? - LOOK_BACK));
    // What pods did before there was an association to give them credentials proves nothing.
    let from = detail.created_at.max(since).unwrap_or(DateTime::<Utc>::MIN_UTC);
    if let Some(why) = world.sessions_unseen(key.account_id, &key.region, from) {
        return Value::Unknown(why);
    }
    if world.trail.may_have_session(&association.association_id) {
        return Value::unknown("a session can be of this association or of others");
    }
    let (Some(at), Some(since)) = (world.trail.memory.at, since) else {
        return Value::unknown("calls of instances were not counted");
    };
    let arn = detail.target_role_arn.as_deref().unwrap_or(&detail.role_arn);
    let role = match (world.role_exists(arn), world.role(arn)) {
        (Value::Unknown(why), _) => return Value::Unknown(why),
        (_, None) => return Value::list([]),
        (_, Some(role)) => role,
    };
    let pods = world.grants.get(&permissions::stack(world, role, detail.policy.as_ref()));
    let nodes = of_nodes(world);
    let mut found: BTreeMap<&str, NodeFallback> = BTreeMap::new();
    let mut doubt: Option<Reasons> = None;
    for used in world
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
            (open, Truth::False) | (_, open) => doubt = crate::index::join(doubt, Some(&super::view::why(open))),
        }
    }
    let unseen = calls_unseen(world, association, (since, at), &pods, &nodes);
    let missing = match (unseen, doubt) {
        (Some(unseen), doubt) => crate::index::join(Some(unseen), doubt.as_ref()),
        (None, doubt) => doubt,
    };
    Value::list_seen(found.into_values().map(Facts::into_value), missing)
}

/// What AWS's policies for nodes allow, those that any role of the estate has.
fn of_nodes(world: &CachedIndex) -> Arc<Grants> {
    let names = |policy: &&rolecall_estate::ManagedPolicy| {
        let name = policy.arn.resource().rsplit('/').next().unwrap_or_default();
        policy.arn.account() == "aws" && OF_NODES.contains(&name)
    };
    let mut met = BTreeSet::new();
    let documents = world.policies.iter().filter(names).filter(|policy| met.insert(policy.arn.as_str()));
    let layers = documents.map(|policy| {
        let source = policy.arn.to_string();
        match policy.document.as_ref().and_then(|digest| world.documents.get(digest)) {
            Some(document) => PolicyRef::known(&source, document),
            None => PolicyRef::missing(&source, "its document is not in the estate"),
        }
    });
    world.grants.get(&PolicySet { identity: Some(layers.collect()), ..PolicySet::default() })
}

/// Why an instance may have done unseen what the association's pods may do. What CloudTrail never
/// records is left out: no trail would ever answer.
fn calls_unseen(
    world: &CachedIndex,
    association: &Association,
    (since, at): (DateTime<Utc>, DateTime<Utc>),
    pods: &Grants,
    nodes: &Grants,
) -> Option<Reasons> {
    let key = &association.key;
    let here = |whole: &&CompleteRange| {
        whole.account_id == key.account_id
            && whole.region == key.region
            && whole.event_scope != EventScope::Sessions
            && whole.from <= since
            && whole.to + LAG >= at
    };
    let beyond = pods.possibly_allowed().minus(nodes.certainly_allowed()).minus(recording::unrecorded());
    let mut why =
        format!("the trail of {} in account {} since {} is incomplete", key.region, key.account_id, since.to_rfc3339());
    for whole in world.trail.memory.whole.iter().filter(here) {
        match unseen_in(&world.trails, whole, &beyond) {
            None => return None,
            Some(unseen) => why = unseen,
        }
    }
    Some(Reasons::one(why))
}

/// Why calls of some of these actions may be missing from what was read whole.
pub(super) fn unseen_in(trails: &[Trail], whole: &CompleteRange, actions: &ActionSet) -> Option<String> {
    let read = ReadRegion { region: whole.region.clone(), whole: Some(whole.clone()) };
    let covered = Covered {
        account_id: whole.account_id,
        since: whole.from,
        until: whole.to,
        regions: vec![read],
        gaps: Vec::new(),
    };
    unseen_calls(trails, &covered, actions).into_iter().find_map(|(why, set)| {
        let open = set.intersection(actions);
        let first = open.iter().next()?.name;
        Some(match open.len() {
            1 => format!("{first}: {why}"),
            n => format!("{first} and {} more: {why}", n - 1),
        })
    })
}

/// Calls with a node's role that pods of an association may have made.
#[derive(Debug)]
pub(super) struct NodeFallback {
    node_role: String,
    since: DateTime<Utc>,
    actions: BTreeMap<String, u64>,
    calls: u64,
    denied: u64,
    last: DateTime<Utc>,
    networks: rolecall_estate::Networks,
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

    fn evidence(&self) -> Value {
        let shown: BTreeMap<&str, u64> =
            self.actions.iter().take(SHOWN).map(|(action, calls)| (action.as_str(), *calls)).collect();
        let value = serde_json::json!({
            "nodeRole": self.node_role,
            "callsByAction": shown,
            "actions": self.actions.len(),
            "refused": self.denied,
            "networks": self.networks.names().collect::<Vec<_>>(),
            "from": self.since.to_rfc3339(),
            "lastCall": self.last.to_rfc3339(),
        });
        fact("instances did what these pods may do", format!("sessions of instances with {}", self.node_role), value)
    }
}

impl Facts for NodeFallback {
    const NAME: &'static str = "NodeFallback";
    const DOC: &'static str =
        "Calls with the role of a node that an association's pods may make, and that nodes do not make of themselves.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("node_role", || Type::String, "The role of the instances.", |f| text(&f.node_role)),
        Def::<Self>::new(
            "actions",
            || Type::list(Type::String),
            "What was done or tried.",
            |f| Value::texts(f.actions.keys()),
        ),
        Def::<Self>::new(
            "calls",
            || Type::Int,
            "So many calls were counted of these actions, those of before the window too.",
            |f| count(usize::try_from(f.calls).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new(
            "refused",
            || Type::Int,
            "So many of them were refused for want of permission.",
            |f| count(usize::try_from(f.denied).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(0)),
        Def::<Self>::new("last_at", || Type::Timestamp, "The last of them.", |f| f.last.into()),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "What was counted.", Self::evidence),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trail_would_not_show_is_told() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let why = |event_scope, names: &[&str]| {
            let whole = CompleteRange {
                source: "org".to_owned(),
                account_id: "111122223333".parse().unwrap(),
                region: "eu-west-1".parse().unwrap(),
                from: at,
                to: at,
                event_scope,
                all_regions: true,
            };
            unseen_in(&[], &whole, &ActionSet::from_names(names.iter().copied()))
        };
        assert_eq!(why(EventScope::Management, &["kms:Decrypt", "ec2:RunInstances"]), None);
        for (holds, names, expected) in [
            (EventScope::Management, ["s3:GetObject", "s3:PutObject"], "s3:GetObject and 1 more: data events"),
            (EventScope::Bucket("b".to_owned()), ["kms:Decrypt", "kms:Decrypt"], "kms:Decrypt: what the trails of"),
            (EventScope::Stated, ["kms:Decrypt", "kms:Decrypt"], "no trail was seen to record it"),
        ] {
            let why = why(holds, &names).unwrap();
            assert!(why.contains(expected), "{why}");
        }
    }
}
