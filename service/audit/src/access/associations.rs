//! The roles of an association: whether EKS gets to them, and what its pods may do in the end.

use super::answer::{Known, known};
use super::grant::GrantAnswers;
use super::index::AccessIndex;
use super::permissions;
use super::pods_request::{self, Hop, Refusal};
use super::role_trust;
use super::stack::policy_set;
use super::trust::{TAG, TrustAnswers};
use crate::index::ClusterKey;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Association, AssociationDetail, AssociationKey, Cause, Reason, Role};
use rolecall_iam::{ArnError, ArnText, Context};
use rolecall_rules::Reasons;
use std::sync::Arc;

/// The place of an association's cluster.
pub(crate) fn cluster_of(association: &Association) -> ClusterKey {
    let key = &association.key;
    (key.account_id, key.region.clone(), key.cluster.clone())
}

/// A listing of an association's cluster that is incomplete.
pub(crate) fn gap(key: &AssociationKey, kind: ScopeKind) -> Cause {
    Cause::Gap(Scope::of_cluster(key.account_id, kind, key.region.clone(), key.cluster.clone()))
}

/// What only describing the association shows.
pub(crate) fn detail<'a>(index: &AccessIndex, association: &'a Association) -> Known<&'a AssociationDetail> {
    if let Some(why) = index.detail_unseen(association) {
        return Err(why);
    }
    // The refused call says more than that nothing is there.
    if association.detail.is_none()
        && let Some(why) = index.cluster_visibility(&cluster_of(association)).and_then(|it| it.details.clone())
    {
        return Err(why);
    }
    let missing = || {
        let text = format!("association {} was listed, but not described", association.key);
        Reasons::one(Reason::new(text, gap(&association.key, ScopeKind::AssociationDetails)))
    };
    association.detail.as_ref().ok_or_else(missing)
}

fn cluster_arn(index: &AccessIndex, association: &Association) -> String {
    let key = &association.key;
    let listed = index.cluster_index(&cluster_of(association)).and_then(|at| index.clusters.get(at));
    listed.map_or_else(
        || {
            // The association's own ARN holds the partition.
            let partition = ArnText(&association.arn).partition().unwrap_or("aws");
            format!("arn:{partition}:eks:{}:{}:cluster/{}", key.region, key.account_id, key.cluster)
        },
        |cluster| cluster.arn.clone(),
    )
}

/// A role with its trust policy; `None` where it is known to be missing.
pub(crate) fn trusting<'a>(index: &'a AccessIndex, arn: &str) -> Known<Option<(&'a Role, Arc<TrustAnswers>)>> {
    index.role_exists(arn)?;
    match index.role(arn) {
        None => Ok(None),
        Some(role) => role_trust::answers(index, role).map(|answers| Some((role, answers))).map_err(Reasons::one),
    }
}

/// What the target role's trust policy makes of the association's hop; `None` where there is no hop to
/// judge.
pub(crate) fn hop(index: &AccessIndex, association: &Association, detail: &AssociationDetail) -> Known<Option<Hop>> {
    let Some(target) = &detail.target_role_arn else { return Ok(None) };
    let Some((_, answers)) = trusting(index, target)? else { return Ok(None) };
    let role_arn = detail.role_arn.parse().map_err(|error: ArnError| Reasons::one(error.to_string()))?;
    let role_id = index.role(&detail.role_arn).map(|role| role.role_id.as_str());
    let cluster = cluster_arn(index, association);
    Ok(Some(pods_request::hop(&answers, &role_arn, role_id, &association.key, detail, &cluster)))
}

/// Whether the association role's own policies allow it an STS action on the target role; true where
/// there is no hop to judge.
pub(crate) fn caller_may(
    index: &AccessIndex,
    action: &str,
    association: &Association,
    detail: &AssociationDetail,
) -> Known<bool> {
    let Some(hop) = hop(index, association, detail)? else { return Ok(true) };
    let Some(target) = &detail.target_role_arn else { return Ok(true) };
    index.role_exists(&detail.role_arn)?;
    let Some(role) = index.role(&detail.role_arn) else { return Ok(true) };
    // In one account a trust policy that names the role is enough.
    let via_account = if action == TAG { hop.tag_via_account } else { hop.assume_via_account };
    if ArnText(target).account() == ArnText(&detail.role_arn).account() && !via_account {
        return Ok(true);
    }
    let policies = policy_set(index, role, None);
    known(&policies.possible(action, target, &Context::open()).truth)
}

/// What the role's trust policy refuses of the association's own request; `None` where it can get
/// through, or where there is no role.
pub(crate) fn refusal(
    index: &AccessIndex,
    association: &Association,
    detail: &AssociationDetail,
) -> Known<Option<Refusal>> {
    let Some((_, answers)) = trusting(index, &detail.role_arn)? else { return Ok(None) };
    let cluster = cluster_arn(index, association);
    pods_request::refusal(&answers, &association.key, detail, &cluster).map_err(|open| super::answer::why(&open))
}

/// What the pods may do in the end: by the target role where there is one, under the session policy.
pub(crate) fn permissions(index: &AccessIndex, detail: &AssociationDetail) -> Known<Arc<GrantAnswers>> {
    let arn = detail.target_role_arn.as_deref().unwrap_or(&detail.role_arn);
    index.role_exists(arn)?;
    let role = index.role(arn).ok_or_else(|| Reasons::one(format!("role {arn} does not exist")))?;
    Ok(permissions::of_session(index, role, detail.policy.as_ref()))
}
