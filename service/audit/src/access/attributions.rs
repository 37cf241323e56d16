//! How sessions that EKS opened differ from what associations explain.
//!
//! An association that nobody saw, or an attribution that is not certain, leaves it open.

use super::index::AccessIndex;
use super::session_group::Fault;
use crate::index::join;
use chrono::{DateTime, Utc};
use rolecall_cloudtrail::evidence;
use rolecall_cloudtrail::evidence::Disagreement;
use rolecall_estate::{AttributionMethod, Reason, Session, SessionAttribution, SessionKind};
use rolecall_iam::Arn;

const EARLIER_UNSEEN: &str = "what association there was before this one was not seen";

/// How a session differs from what associations explain; nothing for sessions that others opened.
pub(crate) fn faults(index: &AccessIndex, session: &Session, attribution: &SessionAttribution) -> Vec<Fault> {
    let is_target = session.kind == SessionKind::PodIdentityTarget;
    if !(is_target || session.kind == SessionKind::PodIdentity) || session.error.is_some() {
        return Vec::new();
    }
    let found = evidence::disagreements(session, attribution, &index.trail.history);
    let mut faults: Vec<Fault> =
        found.into_iter().filter_map(|disagreement| fault(index, session, attribution, disagreement)).collect();
    match &attribution.association {
        // Tags attribute a session, unless a better record does.
        Some(key) if attribution.method != AttributionMethod::Tags => {
            let tagged = |tag: &str, is: &str| {
                let value = session.tags.get(tag).filter(|value| !value.is_empty() && *value != is)?;
                Some(format!("its tag {tag} is `{value}`, and the association's is `{is}`"))
            };
            let differing = tagged("eks-cluster-name", key.cluster.as_str())
                .or_else(|| tagged("kubernetes-namespace", key.namespace.as_str()))
                .or_else(|| tagged("kubernetes-service-account", key.service_account.as_str()));
            faults.extend(differing.map(|what| Fault { kind: "tags", what, why_not_known: None }));
        }
        None if attribution.method == AttributionMethod::None => {
            let why_not_known = unseen_by_role(index, session, is_target).or_else(|| {
                // As of a session with tags whose association was made later.
                let role = session.role_arn.as_deref()?;
                let made_later =
                    index.trail.history.leads_later(role, session.session_name.as_deref(), is_target, session.at);
                made_later.then(|| Reason::from(EARLIER_UNSEEN))
            });
            let what = attribution.reason.clone().unwrap_or_else(|| "no association explains it".to_owned());
            faults.push(Fault { kind: "no_association", what, why_not_known });
        }
        _ => {}
    }
    faults
}

fn fault(
    index: &AccessIndex,
    session: &Session,
    attribution: &SessionAttribution,
    disagreement: Disagreement,
) -> Option<Fault> {
    let who = || {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".to_owned());
        format!(
            "{}/{} on {}",
            part(&attribution.namespace),
            part(&attribution.service_account),
            part(&attribution.cluster)
        )
    };
    let role = session.role_arn.as_deref().unwrap_or("no role");
    let details_unseen = || {
        let key = attribution.association.as_ref()?;
        let place = (key.account_id, key.region.clone(), key.cluster.clone());
        let of_cluster = index.associations_in(&place).iter().filter_map(|at| index.associations.get(*at));
        let why = match of_cluster.into_iter().find(|association| association.key == *key) {
            Some(found) if found.detail.is_some() => {
                join(index.association_unseen(found), index.detail_unseen(found).as_ref())
            }
            _ => {
                let visibility = index.cluster_visibility(&place)?;
                join(visibility.associations.clone(), visibility.details.as_ref())
            }
        };
        why.map(|why| why.joined())
    };
    let (kind, what, why_not_known) = match disagreement {
        Disagreement::NoAssociation => {
            ("no_association", format!("no association of {} is known", who()), unseen_by_tags(index, session))
        }
        Disagreement::BeforeAssociation => {
            ("no_association", format!("the association of {} was made later", who()), Some(EARLIER_UNSEEN.into()))
        }
        Disagreement::AfterEnd { ended, is_ghost: true } => {
            ("after_end", format!("the association of {} was gone since {}", who(), ended.to_rfc3339()), None)
        }
        Disagreement::Role { expected, since, is_ghost } => {
            let is_dated = since < DateTime::<Utc>::MAX_UTC;
            if is_dated && !is_ghost {
                return None;
            }
            let key = attribution.association.as_ref()?;
            let expected = if expected.is_empty() { "no target role" } else { expected.as_str() };
            let undated = || (!is_dated).then(|| Reason::from("since when the association is as it is was not seen"));
            let why = details_unseen().or_else(undated);
            if index.trail.history.led_to(key, role, session.at) {
                let what = format!(
                    "it is of {role}, which the association of {} left for {expected} on {}",
                    who(),
                    since.to_rfc3339()
                );
                ("after_end", what, why)
            } else {
                ("role", format!("it is of {role}, and the association of {} has {expected}", who()), why)
            }
        }
        Disagreement::TagsWhileOff => {
            ("tags", format!("it has session tags, and the association of {} sends none", who()), details_unseen())
        }
        Disagreement::TagsMissing => {
            ("tags", format!("it has no session tags, and the association of {} sends them", who()), details_unseen())
        }
        // A pod may still hold what it had; and what a name says has a rule of its own.
        Disagreement::AfterEnd { is_ghost: false, .. }
        | Disagreement::NameOfOtherCluster
        | Disagreement::NameOfOtherPod => return None,
    };
    Some(Fault { kind, what, why_not_known })
}

/// Why an association that the tags name may exist unseen.
fn unseen_by_tags(index: &AccessIndex, session: &Session) -> Option<Reason> {
    let arn = session.tags.get("eks-cluster-arn").and_then(|arn| arn.parse::<Arn>().ok());
    let account = arn.as_ref().and_then(Arn::account_id).unwrap_or(session.account_id);
    let region = arn.as_ref().map_or(session.region.as_str(), Arn::region);
    let cluster = session.tags.get("eks-cluster-name");
    let place = region.parse().ok().zip(cluster.and_then(|name| name.parse().ok()));
    if !index.accounts.contains_key(&account) {
        return Some(format!("account {account} is not in the estate").into());
    }
    let visibility = place.and_then(|(region, cluster)| index.cluster_visibility(&(account, region, cluster)));
    let why = match visibility {
        Some(visibility) => visibility.associations.clone(),
        // A cluster that is not there any more: gone with what it held, if the listing is complete.
        None => index.visibility(account).clusters.clone(),
    };
    why.map(|why| why.joined())
}

/// Why an association may exist unseen from whose role EKS went on to the session's.
pub(crate) fn unseen_by_caller(index: &AccessIndex, session: &Session) -> Option<Reason> {
    unseen_by_role(index, session, true)
}

/// Why an association that leads to the session's role may exist unseen.
fn unseen_by_role(index: &AccessIndex, session: &Session, is_target: bool) -> Option<Reason> {
    let arn = if is_target { Some(session.principal.as_str()) } else { session.role_arn.as_deref() };
    let Some(account) = arn.and_then(|arn| arn.parse::<Arn>().ok()).and_then(|arn| arn.account_id()) else {
        return Some("the account of the association is not known".into());
    };
    let visibility = index.visibility(account);
    join(visibility.associations.clone(), visibility.details.as_ref()).map(|why| why.joined())
}
