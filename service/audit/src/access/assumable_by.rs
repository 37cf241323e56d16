//! Who can assume a role: whom its trust policy lets in, and which roles and workloads of the estate get in by it.
//!
//! A role gets in where the trust policy lets it in and, unless that policy names it in its own account, its own
//! policies, boundary and SCPs allow it ([IAM: policy evaluation for requests within one account and across
//! accounts](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html)).
//! A workload gets in with the role that its association names, with the target role, or by the role that its pods
//! end up with. Each answer has three values. Refuses to follow more than one such step, and to say how bad it is.

use super::answer::{Known, known};
use super::associations::{self, caller_may, hop};
use super::doors::Doors;
use super::index::AccessIndex;
use super::role_trust;
use super::stack::{is_service_linked, policy_set};
use super::trust::{ASSUME, PODS, TrustAnswers};
use crate::index::join;
use rolecall_estate::{Association, AssociationDetail, AssociationKey, Cause, Estate, Reason, Role};
use rolecall_iam::trust::{Admission, Who};
use rolecall_iam::{AccountId, Digest, RoleArn, Steps};
use rolecall_rules::Reasons;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who can assume a role.
#[derive(Debug, Clone)]
pub struct AssumableBy {
    /// The role.
    pub role_arn: RoleArn,
    /// Whom the trust policy lets in, in the order of its statements.
    pub principals: Vec<TrustedPrincipal>,
    /// The roles of the estate that can assume it, by ARN.
    pub roles: Vec<AssumingRole>,
    /// The workloads whose pods get to it, by key.
    pub workloads: Vec<AssumingWorkload>,
    /// Why there may be others; empty where there are none.
    pub missing: Vec<Reason>,
}

/// A principal that a statement of the trust policy lets in, or may let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPrincipal {
    /// As the policy has it; an account by its id, everyone as `*`.
    pub principal: String,
    /// `anyone`, `all_but`, `account`, `role`, `user`, `session`, `service`, `oidc_provider`, `saml_provider`,
    /// `provider`, or `other`.
    pub kind: &'static str,
    /// The STS actions that it is let in by.
    pub actions: Vec<&'static str>,
    /// Whether a condition stands in the way that can fail.
    pub conditional: bool,
    /// RFC 6901 pointer of the statement in the trust policy.
    pub pointer: String,
    /// Its Sid.
    pub sid: Option<String>,
    /// Why it may not be let in; empty where it is, as far as the trust policy goes.
    pub unknown: Vec<Reason>,
}

/// A role of the estate that can assume the role, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumingRole {
    /// The role that assumes.
    pub role_arn: RoleArn,
    /// Whether the trust policy alone lets it in, without a permission of its own.
    pub by_trust_policy: bool,
    /// Why it may not; empty where it can.
    pub unknown: Vec<Reason>,
}

/// How a workload gets to a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssumingVia {
    /// Its association names the role.
    Role,
    /// Its association names it as the target role.
    TargetRole,
    /// The role that its pods end up with can assume it.
    AssumeRole,
}

impl AssumingVia {
    /// The snake-case name, as the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::TargetRole => "target_role",
            Self::AssumeRole => "assume_role",
        }
    }
}

/// A workload whose pods get to the role, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumingWorkload {
    /// Its association.
    pub association: AssociationKey,
    /// How.
    pub via: AssumingVia,
    /// The role that its pods come with; with [`AssumingVia::Role`] the role itself.
    pub through: String,
    /// Why it may not; empty where it does.
    pub unknown: Vec<Reason>,
}

/// A role that the pods of a workload get, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObtainableRole {
    /// The role.
    pub role_arn: String,
    /// How.
    pub via: AssumingVia,
    /// The role that its pods come with; with [`AssumingVia::Role`] the role itself.
    pub through: String,
    /// Why it may not; empty where it does.
    pub unknown: Vec<Reason>,
}

/// The roles that the pods of a workload get.
#[derive(Debug, Clone)]
pub struct ObtainableRoles {
    /// By ARN.
    pub roles: Vec<ObtainableRole>,
    /// Why there may be others; empty where there are none in the accounts of the estate.
    pub missing: Vec<Reason>,
}

/// A role that the estate does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not among the roles that were seen")]
pub struct NoRole(pub RoleArn);

/// The accounts whose roles and associations the answer needs: the role's own, and those that the trust policy
/// names; every account of the estate where it lets in everyone.
#[must_use]
pub fn accounts(estate: &Estate, arn: &RoleArn) -> BTreeSet<AccountId> {
    let index = AccessIndex::new(estate);
    let mut accounts = BTreeSet::from([arn.account_id()]);
    let answers = index.role(arn.as_str()).and_then(|role| role_trust::answers(&index, role).ok());
    for admission in answers.iter().flat_map(admitted) {
        match &admission.who {
            Who::Anyone | Who::AllBut(_) | Who::Other(_) => accounts.extend(index.accounts.keys().copied()),
            who if takes_roles(who) => accounts.extend(who.account_id()),
            _ => {}
        }
    }
    accounts
}

/// Who can assume a role of an estate that has the [`accounts`] of the question.
///
/// # Errors
/// Where the estate does not have the role.
pub fn assumable_by(estate: &Estate, arn: &RoleArn) -> Result<AssumableBy, NoRole> {
    let wanted = accounts(estate, arn);
    let index = AccessIndex::new(estate);
    let Some(role) = index.role(arn.as_str()) else { return Err(NoRole(arn.clone())) };
    let mut missing = index.role_unseen(role);
    let answers = match role_trust::answers(&index, role) {
        Ok(answers) => answers,
        Err(why) => {
            let missing = each(join(missing, Some(&Reasons::one(why))).as_ref());
            let (principals, roles, workloads) = (Vec::new(), Vec::new(), Vec::new());
            return Ok(AssumableBy { role_arn: arn.clone(), principals, roles, workloads, missing });
        }
    };
    if let Err(error) = answers.admissions() {
        let text = format!("the trust policy could not be read: {error}");
        missing = join(missing, Some(&Reasons::one(Reason::new(text, Cause::Document))));
    }
    let further = admitted(&answers).any(|admission| takes_roles(&admission.who));
    let pods = admitted(&answers).any(|admission| is_pods(&admission.who) || is_open(&admission.who));
    for account in &wanted {
        let visibility = index.visibility(*account);
        if further {
            missing = join(missing, visibility.roles.as_ref());
        }
        if further || pods {
            missing = join(join(missing, visibility.associations.as_ref()), visibility.details.as_ref());
        }
    }
    let mut question = Question { index: &index, role, missing };
    let roles = if further { question.roles() } else { Vec::new() };
    let workloads = question.workloads(&roles);
    Ok(AssumableBy {
        role_arn: arn.clone(),
        principals: admitted(&answers).map(principal).collect(),
        roles: roles.into_iter().filter_map(|(at, found)| Some(found.of(index.roles.get(at)?))).collect(),
        workloads,
        missing: each(question.missing.as_ref()),
    })
}

/// The roles that the pods of a workload get: those that its association names, and those that they can assume with
/// the role that they end up with. Of roles in one more step, and in accounts that the estate lacks, it says nothing.
/// `None`: the estate does not have the association.
#[must_use]
pub fn obtainable_by(estate: &Estate, key: &AssociationKey) -> Option<ObtainableRoles> {
    let index = AccessIndex::new(estate);
    let association = index.associations.iter().find(|association| association.key == *key)?;
    let unseen = index.association_unseen(association);
    let Some(detail) = &association.detail else {
        let missing = join(unseen, index.detail_unseen(association).as_ref());
        return Some(ObtainableRoles { roles: Vec::new(), missing: each(missing.as_ref()) });
    };
    let unseen = join(unseen, index.detail_unseen(association).as_ref());
    let last = detail.target_role_arn.as_ref().unwrap_or(&detail.role_arn);
    let assuming = BTreeSet::from([last.as_str()]);
    let mut missing: Option<Reasons> = None;
    for account in index.accounts.keys() {
        missing = join(missing, index.visibility(*account).roles.as_ref());
    }
    let steps = Steps::for_others("the trust policy of each role that the workload may assume");
    let mut found = Vec::new();
    for role in index.roles.iter().filter(|role| !is_service_linked(role)) {
        if steps.take(Doors::weight(&index, role)).is_err() {
            missing = join(missing, Some(&Reasons::one(&steps.why())));
            break;
        }
        let question = Question { index: &index, role, missing: None };
        let Some((via, through, gets_in)) = question.path_of(association, detail, &assuming) else { continue };
        let unknown = match gets_in {
            Ok(false) => continue,
            Ok(true) => unseen.clone(),
            Err(why) => join(Some(why), unseen.as_ref()),
        };
        found.push(ObtainableRole { role_arn: role.arn.to_string(), via, through, unknown: each(unknown.as_ref()) });
    }
    found.sort_by(|a, b| a.role_arn.cmp(&b.role_arn));
    Some(ObtainableRoles { roles: found, missing: each(missing.as_ref()) })
}

/// What lets a role in, and why it may not.
struct Found {
    by_trust_policy: bool,
    unknown: Option<Reasons>,
}

impl Found {
    fn of(self, role: &Role) -> AssumingRole {
        let Self { by_trust_policy, unknown } = self;
        AssumingRole { role_arn: role.arn.clone(), by_trust_policy, unknown: each(unknown.as_ref()) }
    }
}

struct Question<'a> {
    index: &'a AccessIndex,
    role: &'a Role,
    missing: Option<Reasons>,
}

impl Question<'_> {
    /// The roles that can, or may, by their place in the index.
    fn roles(&mut self) -> Vec<(usize, Found)> {
        let steps = Steps::for_others("the trust policy for each role that it may let in");
        let weight = Doors::weight(self.index, self.role);
        let mut found = Vec::new();
        for (at, caller) in self.index.roles.iter().enumerate() {
            if caller.arn == self.role.arn || is_service_linked(caller) {
                continue;
            }
            if steps.take(weight).is_err() {
                self.missing = join(self.missing.take(), Some(&Reasons::one(&steps.why())));
                break;
            }
            found.extend(self.reached(caller, None).map(|reached| (at, reached)));
        }
        found
    }

    /// What lets sessions of a role in, under a session policy; `None` where nothing does.
    fn reached(&self, caller: &Role, session: Option<&Digest>) -> Option<Found> {
        let admitted = Doors::admits(self.index, caller, self.role)?;
        let truth = admitted.reaches(&policy_set(self.index, caller, session), self.role);
        let seen = known(&truth);
        let unknown = match (seen, self.index.role_unseen(caller)) {
            (Ok(false), _) => return None,
            (Ok(true), unseen) => unseen,
            (Err(why), unseen) => join(Some(why), unseen.as_ref()),
        };
        Some(Found { by_trust_policy: admitted.by_trust, unknown })
    }

    /// The workloads whose pods get to the role, in the order of their keys.
    fn workloads(&mut self, roles: &[(usize, Found)]) -> Vec<AssumingWorkload> {
        let assuming: BTreeSet<&str> =
            roles.iter().filter_map(|(at, _)| Some(self.index.roles.get(*at)?.arn.as_str())).collect();
        let mut found: Vec<AssumingWorkload> = Vec::new();
        for association in self.index.associations.iter() {
            let unseen = self.index.association_unseen(association);
            // Of one that was not described only what was known of it before is left.
            let Some(detail) = &association.detail else { continue };
            let unseen = join(unseen, self.index.detail_unseen(association).as_ref());
            let Some((via, through, gets_in)) = self.path_of(association, detail, &assuming) else { continue };
            let unknown = match gets_in {
                Ok(false) => continue,
                Ok(true) => unseen,
                Err(why) => join(Some(why), unseen.as_ref()),
            };
            let association = association.key.clone();
            found.push(AssumingWorkload { association, via, through, unknown: each(unknown.as_ref()) });
        }
        found.sort_by(|a, b| a.association.cmp(&b.association));
        found
    }

    /// How an association leads to the role, through which role, and whether its pods get in.
    fn path_of(
        &self,
        association: &Association,
        detail: &AssociationDetail,
        assuming: &BTreeSet<&str>,
    ) -> Option<(AssumingVia, String, Known<bool>)> {
        let arn = self.role.arn.as_str();
        let begins = || {
            let refused = associations::refusal(self.index, association, detail)?;
            Ok(refused.is_none() && self.index.role(&detail.role_arn).is_some())
        };
        if detail.role_arn == arn {
            return Some((AssumingVia::Role, arn.to_owned(), begins()));
        }
        let hops = || match hop(self.index, association, detail)? {
            None => Ok(false),
            Some(hop) => both(known(&hop.admitted), caller_may(self.index, ASSUME, association, detail)),
        };
        if detail.target_role_arn.as_deref() == Some(arn) {
            return Some((AssumingVia::TargetRole, detail.role_arn.clone(), both(begins(), hops())));
        }
        let last = detail.target_role_arn.as_ref().unwrap_or(&detail.role_arn);
        if !assuming.contains(last.as_str()) {
            return None;
        }
        let comes = if detail.target_role_arn.is_some() { both(begins(), hops()) } else { begins() };
        let caller = self.index.role(last)?;
        let found = self.reached(caller, detail.policy.as_ref())?;
        let may = found.unknown.map_or(Ok(true), Err);
        Some((AssumingVia::AssumeRole, last.clone(), both(comes, may)))
    }
}

/// Both: a no decides.
fn both(a: Known<bool>, b: Known<bool>) -> Known<bool> {
    match (a, b) {
        (Ok(false), _) | (_, Ok(false)) => Ok(false),
        (Ok(true), Ok(true)) => Ok(true),
        (Err(why), Err(more)) => Err(why.and(&more)),
        (Err(why), Ok(true)) | (Ok(true), Err(why)) => Err(why),
    }
}

/// Those whom the trust policy may let in; none where it cannot be read.
fn admitted(answers: &Arc<TrustAnswers>) -> impl Iterator<Item = &Admission> {
    let all = answers.admissions().unwrap_or_default();
    all.iter().filter(|admission| !admission.possible.is_false() && !admission.actions.is_empty())
}

fn is_pods(who: &Who) -> bool {
    matches!(who, Who::Service(name) if name.eq_ignore_ascii_case(PODS))
}

fn is_open(who: &Who) -> bool {
    matches!(who, Who::Anyone | Who::AllBut(_) | Who::Other(_))
}

/// Whether a role may come by an admission.
fn takes_roles(who: &Who) -> bool {
    is_open(who) || matches!(who, Who::Account(_) | Who::Role(_) | Who::Session(_))
}

fn principal(admission: &Admission) -> TrustedPrincipal {
    TrustedPrincipal {
        principal: admission.who.text(),
        kind: kind(&admission.who),
        actions: admission.actions.iter().copied().collect(),
        conditional: admission.conditional,
        pointer: admission.site.pointer().to_owned(),
        sid: admission.site.sid().map(str::to_owned),
        unknown: Reason::of_truth(&admission.possible),
    }
}

fn kind(who: &Who) -> &'static str {
    match who {
        Who::Anyone => "anyone",
        Who::AllBut(_) => "all_but",
        Who::Account(_) => "account",
        Who::Role(_) => "role",
        Who::User(_) => "user",
        Who::Session(_) => "session",
        Who::Service(_) => "service",
        Who::Oidc(_) => "oidc_provider",
        Who::Saml(_) => "saml_provider",
        Who::Provider(_) => "provider",
        Who::DeadId(_) | Who::Other(_) => "other",
    }
}

fn each(why: Option<&Reasons>) -> Vec<Reason> {
    why.into_iter().flat_map(Reasons::iter).cloned().collect()
}
