//! Who can do something to a resource: each workload and each role of an estate is asked as
//! [`super::simulate`] asks one.
//!
//! Policies on resources are not collected. What the policies of a principal allow in the resource's own account is
//! allowed; in another account it waits for the resource's policy. That such a policy may refuse these, or let in
//! others, is said beside the answer. Refuses to know users, and whoever else has no policies in the estate.

use super::answer::Known;
use super::associations::{self, caller_may, hop};
use super::index::AccessIndex;
use super::simulate::{AskError, Asked, Question, ask_of};
use super::stack::is_service_linked;
use super::trust::ASSUME;
use crate::index::join;
use rolecall_estate::{Association, AssociationKey, Estate, Reason, Role};
use rolecall_iam::{Arn, Document, Outcome, PolicyRef, RoleArn, decide};
use rolecall_rules::Reasons;
use std::sync::LazyLock;

/// How far a principal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Its policies allow it.
    Allowed,
    /// Its policies allow it; the resource is in another account, whose policy on it must allow it, too.
    AllowedWithResourcePolicy,
    /// Whether it may is not known.
    Unknown,
}

impl Permission {
    /// The snake-case name, as the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::AllowedWithResourcePolicy => "allowed_with_resource_policy",
            Self::Unknown => "unknown",
        }
    }
}

/// A principal that can, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted<P> {
    /// It.
    pub principal: P,
    /// The role whose policies decide; of a workload the role that its pods end up with, empty where that was not seen.
    pub role_arn: String,
    /// How far it gets.
    pub permission: Permission,
    /// What decided, in one sentence.
    pub because: String,
    /// Why it is not known; empty where it is.
    pub unknown: Vec<Reason>,
}

/// Who can do something to a resource. Whoever is not listed cannot, unless `missing` says why it is not known.
#[derive(Debug, Clone)]
pub struct WhoCan {
    /// Workloads, by key.
    pub workloads: Vec<Permitted<AssociationKey>>,
    /// Roles but for service-linked ones, by ARN.
    pub roles: Vec<Permitted<RoleArn>>,
    /// How many workloads were asked.
    pub asked_workloads: usize,
    /// How many roles were asked.
    pub asked_roles: usize,
    /// Why there may be others; empty where there are none.
    pub missing: Vec<Reason>,
    /// Whether a policy on the resource may refuse these, or let in others.
    pub resource_policy_unknown: bool,
}

const REQUESTED_REGION: &str = "aws:RequestedRegion";

/// Stands for a policy on the resource that refuses nobody.
static LETS_IN: LazyLock<Document> = LazyLock::new(|| {
    Document::new(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#,
    )
});

/// Asks every workload and role of an estate. The question's principal is not read; where it says nothing of the
/// resource's policy, none is taken to be there.
///
/// # Errors
/// Where the action is none.
pub fn who_can(estate: &Estate, question: &Question) -> Result<WhoCan, AskError> {
    let index = AccessIndex::new(estate);
    let is_open = question.what_if.resource.is_none();
    let mut question = question.clone();
    if is_open {
        question.what_if.resource = Some(Vec::new());
    }
    let given = question.context.iter().any(|(key, _)| key.eq_ignore_ascii_case(REQUESTED_REGION));
    if let Some(region) = region_of(&question.resource).filter(|_| !given) {
        question.context.push((REQUESTED_REGION.to_owned(), vec![region]));
    }
    let mut asking = Asking { index: &index, question, is_open, waits_for_resource: false };
    let (mut workloads, mut roles) = (Vec::new(), Vec::new());
    for association in index.associations.iter() {
        workloads.extend(asking.workload(association)?);
    }
    let own = || index.roles.iter().filter(|role| !is_service_linked(role));
    for role in own() {
        roles.extend(asking.role(role)?);
    }
    workloads.sort_by(|a, b| (a.permission, &a.principal).cmp(&(b.permission, &b.principal)));
    roles.sort_by(|a, b| (a.permission, &a.principal).cmp(&(b.permission, &b.principal)));
    let mut missing: Option<Reasons> = None;
    for account in index.accounts.keys() {
        let visibility = index.visibility(*account);
        for why in [&visibility.roles, &visibility.associations, &visibility.details] {
            missing = join(missing, why.as_ref());
        }
    }
    Ok(WhoCan {
        workloads,
        roles,
        asked_workloads: index.associations.len(),
        asked_roles: own().count(),
        missing: each(missing.as_ref()),
        resource_policy_unknown: is_open && asking.waits_for_resource,
    })
}

/// The Region in a resource's ARN: that of the endpoint that is asked for it.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requestedregion>
fn region_of(resource: &str) -> Option<String> {
    let arn: Arn = resource.parse().ok()?;
    Some(arn.region().to_owned()).filter(|region| !region.is_empty())
}

struct Asking<'a> {
    index: &'a AccessIndex,
    question: Question,
    /// Whether the question says nothing of the resource's policy.
    is_open: bool,
    /// Whether such a policy could decide.
    waits_for_resource: bool,
}

impl Asking<'_> {
    fn role(&mut self, role: &Role) -> Result<Option<Permitted<RoleArn>>, AskError> {
        self.question.principal = role.arn.to_string();
        let asked = ask_of(self.index, &self.question)?;
        let role_arn = role.arn.to_string();
        Ok(self.permitted(asked).map(|(permission, because, unknown)| Permitted {
            principal: role.arn.clone(),
            role_arn,
            permission,
            because,
            unknown,
        }))
    }

    /// `None` where its pods cannot, or get no credentials.
    fn workload(&mut self, association: &Association) -> Result<Option<Permitted<AssociationKey>>, AskError> {
        // Of one that EKS refused to describe nobody knows the role: it is asked all the same, and is unknown.
        let ends_with =
            association.detail.as_ref().map(|detail| detail.target_role_arn.as_ref().unwrap_or(&detail.role_arn));
        let role_arn = ends_with.cloned().unwrap_or_default();
        self.question.principal = association.key.to_string();
        let permitted = |permission, because, unknown| Permitted {
            principal: association.key.clone(),
            role_arn: role_arn.clone(),
            permission,
            because,
            unknown,
        };
        let asked = match ask_of(self.index, &self.question) {
            Ok(asked) => asked,
            Err(error @ AskError::Action(_)) => return Err(error),
            // Its role was not seen: what its pods can do is not known.
            Err(error) => {
                let because = error.to_string();
                return Ok(Some(permitted(Permission::Unknown, because.clone(), vec![Reason::from(because)])));
            }
        };
        let Some((permission, because, unknown)) = self.permitted(asked) else { return Ok(None) };
        Ok(match self.begins(association) {
            Ok(false) => None,
            Ok(true) => Some(permitted(permission, because, unknown)),
            Err(why) => {
                let unknown = unknown.into_iter().chain(why.iter().cloned()).collect();
                Some(permitted(Permission::Unknown, "whether its pods get the role is not known".to_owned(), unknown))
            }
        })
    }

    /// Whether pods get the credentials that the association promises.
    fn begins(&self, association: &Association) -> Known<bool> {
        let Some(detail) = &association.detail else { return Ok(false) };
        if associations::refusal(self.index, association, detail)?.is_some() {
            return Ok(false);
        }
        if detail.target_role_arn.is_none() {
            return Ok(true);
        }
        match hop(self.index, association, detail)? {
            None => Ok(false),
            Some(hop) => {
                let is_admitted = super::answer::known(&hop.admitted)?;
                Ok(is_admitted && caller_may(self.index, ASSUME, association, detail)?)
            }
        }
    }

    fn permitted(&mut self, mut asked: Asked) -> Option<(Permission, String, Vec<Reason>)> {
        let on_resources = asked.request.action().on_resources() && asked.policies.trust.is_none();
        self.waits_for_resource |= on_resources;
        let mut permission = match decide(&asked.request, &asked.policies).outcome {
            Outcome::Allow => Permission::Allowed,
            Outcome::Unknown => Permission::Unknown,
            Outcome::DenyExplicit => return None,
            Outcome::DenyImplicit => {
                let owner = asked.request.resource_account();
                let is_foreign = owner.is_some() && owner != asked.request.principal().account_id();
                if !(self.is_open && on_resources && is_foreign) {
                    return None;
                }
                asked.policies.resource = Some(PolicyRef::known("policy of the resource", &LETS_IN));
                match decide(&asked.request, &asked.policies).outcome {
                    Outcome::Allow => Permission::AllowedWithResourcePolicy,
                    Outcome::Unknown => Permission::Unknown,
                    Outcome::DenyExplicit | Outcome::DenyImplicit => return None,
                }
            }
        };
        let explanation = asked.explain();
        let unknown: Vec<Reason> = explanation.reasons.iter().map(Reason::from).collect();
        if !unknown.is_empty() && explanation.outcome == Outcome::Unknown {
            permission = Permission::Unknown;
        }
        let unknown = if permission == Permission::Unknown { unknown } else { Vec::new() };
        Some((permission, explanation.because, unknown))
    }
}

fn each(why: Option<&Reasons>) -> Vec<Reason> {
    why.into_iter().flat_map(Reasons::iter).cloned().collect()
}
