//! Sessions gathered by shape, so that ten thousand sessions of one kind are one subject.
//!
//! Knows which events belong together: same role, same principal, same workload, names of the same
//! shape. Keeps counts and a few examples. Refuses to decide whether a name is right.

use super::answer::Known;
use super::attributions;
use super::index::AccessIndex;
use super::session_group::{Group, GroupKey, Observed, Place};
use super::trail::LAG;
use crate::index::join;
use rolecall_cloudtrail::session_name;
use rolecall_cloudtrail::session_name::PodIdentityName;
use rolecall_estate::{Association, Reason, Session, SessionAttribution, SessionKind};
use rolecall_iam::Arn;
use rolecall_rules::Reasons;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many distinct names are kept of a group, one event each.
const NAMES_KEPT: usize = 200;
/// So many ways to differ from associations are kept of a group; a group is of one role and workload.
const FAULTS_KEPT: usize = 50;
/// So many places are kept of a group, one event each.
const SOURCES_KEPT: usize = 200;

/// Gathers sessions; the answer is in the order of the keys and does not depend on theirs.
pub(crate) fn gather(
    index: &AccessIndex,
    sessions: &[Session],
    attributed: &[Cow<'_, SessionAttribution>],
) -> Vec<Group> {
    let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
    let mut ordered: Vec<(&Session, &SessionAttribution)> =
        sessions.iter().zip(attributed.iter().map(AsRef::as_ref)).collect();
    ordered.sort_by(|(a, _), (b, _)| (a.at, &a.event_id, a.account_id).cmp(&(b.at, &b.event_id, b.account_id)));
    ordered.dedup_by(|(a, _), (b, _)| a.event_id == b.event_id && a.account_id == b.account_id);
    for (session, attribution) in ordered {
        let key = key_of(index, session);
        let group = groups.entry(key.clone()).or_insert_with(|| Group {
            key,
            count: 0,
            refused: 0,
            first: session.at,
            last: session.at,
            regions: BTreeSet::new(),
            days: BTreeSet::new(),
            names: BTreeMap::new(),
            more_names: false,
            contradictions: 0,
            contradiction: None,
            faults: BTreeMap::new(),
            packed: None,
            sources: BTreeMap::new(),
            more_sources: false,
            uses: BTreeMap::new(),
            more_uses: false,
            perhaps_by_eks: None,
        });
        if !group.key.by_eks && group.perhaps_by_eks.is_none() {
            group.perhaps_by_eks = perhaps_by_eks(index, session);
        }
        group.count = group.count.saturating_add(1);
        group.refused = group.refused.saturating_add(u32::from(session.error.is_some()));
        group.last = session.at;
        group.days.extend([session.at, session.at + LAG].map(|at| at.date_naive()));
        if !group.regions.contains(&session.region) {
            group.regions.insert(session.region.clone());
        }
        let observed = || Observed {
            event_id: session.event_id.clone(),
            at: session.at,
            region: session.region.clone(),
            name: session.session_name.clone().unwrap_or_default(),
            principal: session.principal.clone(),
            source_ip: session.source_ip.clone(),
            vpc_endpoint: session.vpc_endpoint.clone(),
            count: 1,
        };
        if session.error.is_none() {
            index.trail.origins.note(group, session.access_key_id.as_deref(), attribution, &observed);
        }
        for fault in attributions::faults(index, session, attribution) {
            if let Some((count, last)) = group.faults.get_mut(&fault) {
                *count = count.saturating_add(1);
                *last = observed();
            } else if group.faults.len() < FAULTS_KEPT {
                group.faults.insert(fault, (1, observed()));
            }
        }
        if let Some(size) = session.packed_policy_size
            && group.packed.as_ref().is_none_or(|(fullest, _)| size > *fullest)
        {
            group.packed = Some((size, observed()));
        }
        let place = Place {
            address: session.source_ip.as_deref().and_then(|source| source.parse().ok()),
            endpoint: session.vpc_endpoint.clone(),
        };
        if place.address.is_some() || place.endpoint.is_some() {
            if let Some((count, last)) = group.sources.get_mut(&place) {
                *count = count.saturating_add(1);
                *last = observed();
            } else if group.sources.len() < SOURCES_KEPT {
                group.sources.insert(place, (1, observed()));
            } else {
                group.more_sources = true;
            }
        }
        let Some(name) = &session.session_name else { continue };
        if contradicts(session, name) {
            group.contradictions = group.contradictions.saturating_add(1);
            group.contradiction.get_or_insert_with(observed);
        }
        let stem = stem(name);
        if let Some(seen) = group.names.get_mut(stem) {
            seen.count = seen.count.saturating_add(1);
        } else if group.names.len() < NAMES_KEPT {
            group.names.insert(stem.to_owned(), observed());
        } else {
            group.more_names = true;
        }
    }
    groups.into_values().collect()
}

/// A name without the part that is random.
fn stem(name: &str) -> &str {
    match PodIdentityName::parse(name) {
        Some(parsed) => name.strip_suffix(parsed.uuid()).unwrap_or(name),
        None => name,
    }
}

fn key_of(index: &AccessIndex, session: &Session) -> GroupKey {
    let tag = |key: &str| session.tags.get(key).filter(|value| !value.is_empty()).cloned();
    GroupKey {
        account_id: session.account_id,
        role_arn: session.role_arn.as_deref().map(Arc::from),
        kind: session.kind,
        principal: principal_shape(&session.principal),
        cluster: tag("eks-cluster-name").or_else(|| session.cluster.clone()),
        namespace: tag("kubernetes-namespace"),
        service_account: tag("kubernetes-service-account"),
        shape: session.session_name.as_deref().map(|name| session_name::shape(name).into_owned()),
        by_eks: by_eks(index, session),
    }
}

/// A principal without its session's name: all sessions of a role are one principal.
fn principal_shape(principal: &str) -> String {
    let role_session = principal
        .parse::<Arn>()
        .ok()
        .filter(|arn| arn.service() == "sts" && arn.resource().starts_with("assumed-role/"))
        .and_then(|_| principal.rsplit_once('/'));
    if let Some((role, _)) = role_session {
        return role.to_owned();
    }
    match principal.split_once(':') {
        Some((id, _)) if id.starts_with("AROA") => id.to_owned(),
        _ => principal.to_owned(),
    }
}

/// Whether EKS itself opened the session: by its service principal, or as the hop from an
/// association role into the target role of the same association.
///
/// AWS sets the source of calls that its services make, so a caller cannot forge it. Everything
/// else in the event the caller chooses, except its own principal.
fn by_eks(index: &AccessIndex, session: &Session) -> bool {
    if matches!(session.kind, SessionKind::PodIdentity | SessionKind::AgentRequest) {
        return true;
    }
    if !matches!(session.kind, SessionKind::PodIdentityTarget | SessionKind::AssumeRole) {
        return false;
    }
    if session.source_ip.as_deref() == Some("pods.eks.amazonaws.com") {
        return true;
    }
    let Some(target) = &session.role_arn else { return false };
    let caller = principal_shape(&session.principal);
    index.associations_into(target).iter().filter_map(|at| index.associations.get(*at)).any(|association| {
        let Some(role_arn) = association.detail.as_ref().map(|d| d.role_arn.as_str()) else { return false };
        is_session_of(&caller, role_arn) || index.role_by_id(&caller).is_some_and(|role| role.arn.as_str() == role_arn)
    })
}

/// Why a session that no association explains may be EKS's hop to a target role: it is named as EKS
/// names sessions, a role's session asked for it, and that role's associations were not all seen.
fn perhaps_by_eks(index: &AccessIndex, session: &Session) -> Option<Reason> {
    let is_hop = session.kind == SessionKind::PodIdentityTarget
        || (session.kind == SessionKind::AssumeRole
            && session.session_name.as_deref().is_some_and(|name| PodIdentityName::parse(name).is_some()));
    let caller = session.principal.parse::<Arn>().ok()?;
    let by_role = caller.service() == "sts" && caller.resource().starts_with("assumed-role/");
    (is_hop && by_role).then(|| attributions::unseen_by_caller(index, session)).flatten()
}

/// Whether `arn:aws:sts::1:assumed-role/NAME` is the session form of the role's ARN.
fn is_session_of(principal: &str, role: &str) -> bool {
    let (Ok(principal), Ok(role)) = (principal.parse::<Arn>(), role.parse::<rolecall_iam::RoleArn>()) else {
        return false;
    };
    principal.account_id() == Some(role.account_id())
        && principal.resource().strip_prefix("assumed-role/") == Some(role.name())
}

/// Whether a Pod Identity name disagrees with the tags that EKS set in the same event.
fn contradicts(session: &Session, name: &str) -> bool {
    let Some(parsed) = PodIdentityName::parse(name) else { return false };
    let tag = |key: &str| session.tags.get(key).map(String::as_str);
    let pod = tag("kubernetes-pod-name");
    match tag("eks-cluster-name") {
        Some(cluster) => match (parsed.pod_in(cluster), pod) {
            (None, _) => true,
            (Some(cut), Some(pod)) => session_name::cut(pod) != cut,
            (Some(_), None) => false,
        },
        None => pod.is_some_and(|pod| !parsed.readings().any(|reading| reading.pod == session_name::cut(pod))),
    }
}

/// Associations that can have led to the sessions: by the tags where there are any, else by the
/// role and the cluster's part of the name.
pub(crate) fn candidates(index: &AccessIndex, group: &Group) -> Vec<usize> {
    let key = &group.key;
    let Some(role) = key.role_arn.as_deref() else { return Vec::new() };
    let own = index.associations_of(role).iter().chain(index.associations_into(role));
    let agrees = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|wanted| wanted == has);
    let fits = |association: &Association| {
        let at = &association.key;
        let by_name = key.cluster.is_some()
            || group.names.values().any(|observed| {
                PodIdentityName::parse(&observed.name).is_none_or(|name| name.pod_in(at.cluster.as_str()).is_some())
            });
        agrees(&key.cluster, at.cluster.as_str())
            && agrees(&key.namespace, at.namespace.as_str())
            && agrees(&key.service_account, at.service_account.as_str())
            && by_name
    };
    let mut found: Vec<usize> = own.copied().filter(|at| index.associations.get(*at).is_some_and(fits)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Why associations can have led to the sessions that nobody saw.
pub(crate) fn unseen_associations(index: &AccessIndex, group: &Group) -> Option<Reasons> {
    let visibility = index.visibility(group.key.account_id);
    join(visibility.associations.clone(), visibility.details.as_ref())
}

/// The namespace by the tags, else by the candidates where they agree.
pub(crate) fn namespace(index: &AccessIndex, group: &Group) -> Known<Option<String>> {
    if let Some(namespace) = &group.key.namespace {
        return Ok(Some(namespace.clone()));
    }
    if group.key.role_arn.is_none() {
        return Ok(None);
    }
    if let Some(why) = unseen_associations(index, group) {
        return Err(why);
    }
    let mut namespaces: Vec<&str> = candidates(index, group)
        .into_iter()
        .filter_map(|at| index.associations.get(at))
        .map(|association| association.key.namespace.as_str())
        .collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    match namespaces.as_slice() {
        [one] => Ok(Some((*one).to_owned())),
        _ => Ok(None),
    }
}
