//! What sessions and uses say against what was meant.
//!
//! Knows how a session that EKS made can differ from its association, how long pods may go on with
//! credentials of before a change, which service accounts have credentials by two ways, and what
//! instances did. Each answer is a fact with its evidence. Refuses to say how bad it is: rules do.

use crate::aggregate::Use;
use crate::attribution::History;
use crate::session_name::{self, PodIdentityName};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::id::Region;
use rolecall_estate::{
    AssociationSpan, AttributionMethod, InstanceUse, Networks, Session, SessionAttribution, SessionKind, SpanDetail,
};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet};

/// How long a pod may use credentials that EKS gave it before an association changed.
#[must_use]
pub fn cache_window(has_target_role: bool) -> TimeDelta {
    if has_target_role { TimeDelta::minutes(59) } else { TimeDelta::hours(6) }
}

/// How a session that EKS made differs from its association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// No association of its service account is known at any time.
    NoAssociation,
    /// The association was made after the session.
    BeforeAssociation,
    /// The association ended so long before; a ghost, if that is past the cache window.
    AfterEnd {
        /// Since when it is gone, as far as was seen.
        ended: DateTime<Utc>,
        /// Whether credentials that pods still held cannot explain it.
        is_ghost: bool,
    },
    /// Another role than the association's.
    Role {
        /// The role that the association names.
        expected: String,
        /// Since when.
        since: DateTime<Utc>,
        /// Whether credentials that pods still held cannot explain it.
        is_ghost: bool,
    },
    /// It has tags, and the association sends none.
    TagsWhileOff,
    /// It has no tags, and the association sends them.
    TagsMissing,
    /// Its name belongs to another cluster than its tags.
    NameOfOtherCluster,
    /// Its name belongs to another pod than its tags.
    NameOfOtherPod,
}

/// How a session that EKS made differs from its association and from itself; nothing for sessions
/// that others made. `attribution` is the session's own.
#[must_use]
pub fn disagreements(session: &Session, attribution: &SessionAttribution, history: &History) -> Vec<Disagreement> {
    let is_target = session.kind == SessionKind::PodIdentityTarget;
    if !(is_target || session.kind == SessionKind::PodIdentity) || session.error.is_some() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let tag = |key: &str| session.tags.get(key).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(name) = session.session_name.as_deref().and_then(PodIdentityName::parse)
        && let Some(cluster) = tag("eks-cluster-name")
    {
        match (name.pod_in(cluster), tag("kubernetes-pod-name")) {
            (None, _) => found.push(Disagreement::NameOfOtherCluster),
            (Some(cut), Some(pod)) if session_name::cut(pod) != cut => found.push(Disagreement::NameOfOtherPod),
            (Some(_), _) => {}
        }
    }
    let has_tags = tag("kubernetes-service-account").is_some();
    match &attribution.association {
        Some(key) => {
            if let Some(span) = history.valid(key, session.at) {
                found.extend(role_disagreement(session, span, is_target, history));
                // Tags too stay as they were while pods hold what they had.
                let is_settled = |detail: &SpanDetail| {
                    let window = cache_window(is_target || detail.target_role_arn.is_some());
                    history.begin_of(span).is_none_or(|since| session.at.signed_duration_since(since) > window)
                };
                if let Some(detail) = span.detail.as_ref().filter(|detail| is_settled(detail)) {
                    if has_tags && detail.disable_session_tags {
                        found.push(Disagreement::TagsWhileOff);
                    }
                    if !has_tags && !is_target && !detail.disable_session_tags {
                        found.push(Disagreement::TagsMissing);
                    }
                }
            }
        }
        None if attribution.method == AttributionMethod::Tags => {
            found.push(history.absence(session, attribution));
        }
        None => {}
    }
    found
}

fn role_disagreement(
    session: &Session,
    span: &AssociationSpan,
    is_target: bool,
    history: &History,
) -> Option<Disagreement> {
    let detail = span.detail.as_ref()?;
    let role = session.role_arn.as_deref()?;
    let expected = if is_target { detail.target_role_arn.as_deref() } else { Some(detail.role_arn.as_str()) };
    if expected == Some(role) {
        return None;
    }
    let since = history.begin_of(span).unwrap_or(span.from);
    let window = cache_window(is_target || detail.target_role_arn.is_some());
    Some(Disagreement::Role {
        expected: expected.unwrap_or_default().to_owned(),
        since,
        is_ghost: session.at.signed_duration_since(since) > window,
    })
}

impl History {
    /// Why the association of a tagged session is not there.
    fn absence(&self, session: &Session, attribution: &SessionAttribution) -> Disagreement {
        let spans: Vec<&AssociationSpan> = self.spans_of(session, attribution);
        let ended = spans.iter().filter_map(|span| span.to).filter(|to| *to <= session.at).max();
        match ended {
            Some(ended) => {
                let has_target = spans
                    .iter()
                    .any(|span| span.detail.as_ref().is_some_and(|detail| detail.target_role_arn.is_some()));
                let is_ghost = session.at.signed_duration_since(ended) > cache_window(has_target);
                Disagreement::AfterEnd { ended, is_ghost }
            }
            None if spans.is_empty() => Disagreement::NoAssociation,
            None => Disagreement::BeforeAssociation,
        }
    }
}

/// One way in which a service account came by credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// How many sessions.
    pub sessions: u64,
    /// The last of them.
    pub last: DateTime<Utc>,
    /// Their roles.
    pub roles: BTreeSet<String>,
    /// One of the events, the last.
    pub event_id: String,
}

impl Credential {
    fn add(way: &mut Option<Self>, session: &Session) {
        let way = way.get_or_insert_with(|| Self {
            sessions: 0,
            last: session.at,
            roles: BTreeSet::new(),
            event_id: session.event_id.clone(),
        });
        way.sessions += 1;
        way.roles.extend(session.role_arn.clone());
        if (session.at, &session.event_id) >= (way.last, &way.event_id) {
            way.last = session.at;
            way.event_id.clone_from(&session.event_id);
        }
    }
}

/// A service account with sessions by IRSA and by Pod Identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BothCredentials {
    /// The account in whose trail the sessions stand.
    pub account_id: AccountId,
    /// The namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// By the cluster's OIDC provider.
    pub irsa: Credential,
    /// By associations.
    pub pod_identity: Credential,
}

/// Service accounts that were seen with both. SDKs take the web identity first, so that the
/// association is not what the pod works with.
///
/// Events of IRSA do not name the cluster: service accounts of one name in two clusters of an
/// account are not told apart.
#[must_use]
pub fn both_credentials<'s>(
    sessions: impl IntoIterator<Item = (&'s Session, &'s SessionAttribution)>,
) -> Vec<BothCredentials> {
    type Credentials = (Option<Credential>, Option<Credential>);
    let mut credentials: BTreeMap<(AccountId, &str, &str), Credentials> = BTreeMap::new();
    for (session, attribution) in sessions {
        if session.error.is_some() {
            continue;
        }
        let (Some(namespace), Some(service_account)) = (&attribution.namespace, &attribution.service_account) else {
            continue;
        };
        let (irsa, pod_identity) = credentials.entry((session.account_id, namespace, service_account)).or_default();
        match session.kind {
            SessionKind::WebIdentity => Credential::add(irsa, session),
            SessionKind::PodIdentity => Credential::add(pod_identity, session),
            _ => {}
        }
    }
    credentials
        .into_iter()
        .filter_map(|((account_id, namespace, service_account), (irsa, pod_identity))| {
            Some(BothCredentials {
                account_id,
                namespace: namespace.to_owned(),
                service_account: service_account.to_owned(),
                irsa: irsa?,
                pod_identity: pod_identity?,
            })
        })
        .collect()
}

/// What sessions of EC2 instances did, by account, region, role and action. A session is an
/// instance's by its name, which EC2 gives. Only calls of known actions count. What is withdrawn is
/// taken off: it is among the uses by its own event.
#[must_use]
pub fn instance_uses(uses: &[Use], withdrawn: &[Use]) -> Vec<InstanceUse> {
    let mut found: BTreeMap<(AccountId, &Region, &str, &str), InstanceUse> = BTreeMap::new();
    let of_instance = |one: &&Use| one.mapped && one.session_name.as_deref().is_some_and(session_name::is_instance_id);
    for one in uses.iter().filter(of_instance) {
        let key = (one.account_id, &one.region, one.role_arn.as_str(), one.action.as_str());
        let used = found.entry(key).or_insert_with(|| InstanceUse {
            account_id: one.account_id,
            region: one.region.clone(),
            role_arn: one.role_arn.clone(),
            action: one.action.clone(),
            calls: 0,
            denied: 0,
            first: one.first,
            last: one.last,
            networks: Networks::NONE,
        });
        used.calls = used.calls.saturating_add(one.count);
        used.denied = used.denied.saturating_add(one.denied);
        used.first = used.first.min(one.first);
        used.last = used.last.max(one.last);
        used.networks = used.networks.and(one.networks);
    }
    for one in withdrawn {
        let key = (one.account_id, &one.region, one.role_arn.as_str(), one.action.as_str());
        if let Some(used) = found.get_mut(&key).filter(|_| of_instance(&one)) {
            used.calls = used.calls.saturating_sub(one.count);
            used.denied = used.denied.saturating_sub(one.denied);
        }
    }
    found.into_values().collect()
}

/// Uses of pods' sessions from a class of network that is not among the expected ones, with what
/// was unexpected.
#[must_use]
pub fn unexpected_networks(uses: &[Use], expected: Networks) -> Vec<(&Use, Networks)> {
    uses.iter()
        .filter_map(|one| {
            let beyond = one.networks.without(expected);
            (beyond != Networks::NONE).then_some((one, beyond))
        })
        .collect()
}
