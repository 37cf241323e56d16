//! What the sessions of a role may do, by all ways in that are known.
//!
//! Sets of policies of the same content are worked out once.

use super::answer::{Listed, Partial};
use super::data::ALL_READS;
use super::grant::{self, GrantAnswers, StatementGrant};
use super::index::AccessIndex;
use super::role_trust;
use super::stack::policy_set;
use crate::index::{join, reasons};
use rolecall_estate::{Reason, Role};
use rolecall_iam::catalogue::catalogue;
use rolecall_iam::{ActionSet, Arn, Digest, Document, Grants, Level, PolicyRef, PolicySet, Steps, Truth, Why};
use rolecall_rules::Reasons;
use std::sync::Arc;

/// So many steps all sessions of one role may take together: twice as many as one of them.
const STEPS_OF_SESSIONS: u64 = 2_000_000;

/// What a role's session may do.
fn answers(index: &AccessIndex, role: &Role, session: Option<&Digest>) -> Arc<GrantAnswers> {
    answers_of(index, &policy_set(index, role, session))
}

/// What a set of policies grants, worked out once for each content.
pub(crate) fn answers_of(index: &AccessIndex, policies: &PolicySet) -> Arc<GrantAnswers> {
    let key = policies.own_digest();
    if let Some(answers) = index.granted().get(&key) {
        return Arc::clone(answers);
    }
    let answers = Arc::new(GrantAnswers::new(&Grants::new(policies)));
    index.granted().insert(key, Arc::clone(&answers));
    answers
}

/// What an association's pods may do with a role under their session policy.
pub(crate) fn of_session(index: &AccessIndex, role: &Role, session: Option<&Digest>) -> Arc<GrantAnswers> {
    answers(index, role, session)
}

/// The session policies that every session of a role has one of, and why there may be a session
/// with another; `None` alone where some session has none.
///
/// Where nobody but Pod Identity can assume the role, and every association of it has a session
/// policy, its sessions never have more than those policies let through.
pub(crate) fn sessions_of<'a>(index: &'a AccessIndex, role: &Role) -> (Vec<Option<&'a Digest>>, Option<Reasons>) {
    let named = index.associations_of(role.arn.as_str());
    let associations = named.iter().filter_map(|at| index.associations.get(*at));
    let details: Vec<_> = associations.filter_map(|association| association.detail.as_ref()).collect();
    // With a target role the session policy binds the second hop, not this role.
    let narrowed = details.iter().all(|d| d.policy.is_some() && d.target_role_arn.is_none());
    let only_pods = match role_trust::answers(index, role) {
        Ok(answers) => answers.only_pods(),
        Err(why) => Truth::unknown(Why::NotSeen((&why).into())),
    };
    if details.is_empty() || !narrowed || only_pods.is_false() {
        return (vec![None], None);
    }
    // Whoever else may come, or come by another association, may have the whole.
    let visibility = index.visibility(role.arn.account_id());
    let (_, remembered) = index.confirmed(named);
    let unseen = join(join(remembered, visibility.associations.as_ref()), visibility.details.as_ref());
    let unseen = join(unseen, reasons(Reason::of_truth(&only_pods)).as_ref());
    (details.into_iter().map(|detail| detail.policy.as_ref()).collect(), unseen)
}

/// The steps that all sessions of one role may take together.
pub(crate) fn steps_of_sessions() -> Steps {
    Steps::with_limit(STEPS_OF_SESSIONS, "the policies of the role under the session policies of all its associations")
}

/// The permissions of a role by every way in that is known.
pub(crate) fn of_role(index: &AccessIndex, role: &Role) -> Arc<GrantAnswers> {
    let Some(at) = index.role_index(role.arn.as_str()) else { return work_out(index, role) };
    if let Some(found) = index.granted_to_roles().get(&at) {
        return Arc::clone(found);
    }
    let permissions = work_out(index, role);
    index.granted_to_roles().insert(at, Arc::clone(&permissions));
    permissions
}

fn work_out(index: &AccessIndex, role: &Role) -> Arc<GrantAnswers> {
    let (sessions, mut unseen) = sessions_of(index, role);
    let whole = answers(index, role, None);
    if sessions.iter().all(Option::is_none) {
        return whole;
    }
    let all = steps_of_sessions();
    let mut each: Vec<Arc<GrantAnswers>> = Vec::new();
    for session in sessions {
        if all.is_exceeded() {
            // The session policies that are left are as good as not seen.
            unseen = join(unseen, Some(&Reasons::one(&all.why())));
            break;
        }
        let answers = answers(index, role, session);
        let _ = all.take(usize::try_from(answers.steps).unwrap_or(usize::MAX));
        each.push(answers);
    }
    Arc::new(GrantAnswers::union_of(&whole, &each, unseen.as_ref()))
}

/// The actions that read data of what an ARN pattern names, as a policy that allows nothing else.
///
/// # Errors
/// The pattern is no ARN, or nothing is known of which reading data is.
pub(crate) fn reading(pattern: &str) -> Result<(ActionSet, PolicyRef), String> {
    let arn: Arn = pattern.parse().map_err(|_| format!("`{pattern}` is not an ARN"))?;
    let service = catalogue().service(arn.service()).map(ActionSet::from_range);
    let actions = service.map(|service| service.intersection(&ALL_READS)).filter(|actions| !actions.is_empty());
    let actions = actions.ok_or_else(|| format!("`{pattern}` names nothing of which reading data is known"))?;
    let ceiling = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions.names(), "Resource": pattern }],
    });
    Ok((actions, PolicyRef::known("the data that is asked about", &Document::new(&ceiling.to_string()))))
}

/// The grants that are left of a role's policies under a ceiling that allows only these actions.
pub(crate) fn granted_under(
    index: &AccessIndex,
    role: &Role,
    actions: &ActionSet,
    ceiling: &PolicyRef,
) -> Listed<Arc<StatementGrant>> {
    let (sessions, mut missing) = sessions_of(index, role);
    let mut items = Vec::new();
    for session in sessions {
        let mut policies = policy_set(index, role, session);
        let levels = policies.scp.iter().flat_map(|levels| levels.iter()).cloned();
        let ceiling = Level::new(ceiling.source(), vec![ceiling.clone()]);
        policies.scp = Some(levels.chain([ceiling]).collect());
        let grants = Grants::new(&policies);
        match grant::statements(&grants.granting(actions), grants.unseen_grants()) {
            Ok(found) => {
                items.extend(found.items);
                missing = join(missing, found.missing.as_ref());
            }
            Err(why) => missing = join(missing, Some(&why)),
        }
    }
    grant::dedup(&mut items);
    Ok(Partial { items, missing })
}
