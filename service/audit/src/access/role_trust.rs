//! The trust policies of the estate's roles: who may assume a role, by its account's organization.

use super::answer::{Known, known, why};
use super::index::AccessIndex;
use super::stack::is_service_linked;
use super::trust::{ASSUME, TrustAnswers, unreadable};
use crate::index::{join, unless};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Cause, OrgPolicyKind, Reason, Role};
use rolecall_iam::trust::{Admission, ExternalAccess, FederatedAccess, Organization, STS_ACTIONS, Trust, Who};
use rolecall_iam::{AccountId, Answer, Context, DocumentError, Effect, Level, PolicyRef, Requester, Steps, Truth};
use rolecall_rules::Reasons;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a role's trust policy says; the reason where it was not seen.
pub(crate) fn answers(index: &AccessIndex, role: &Role) -> Result<Arc<TrustAnswers>, Reason> {
    let digest = role.trust.ok_or_else(|| {
        let listing = Scope::global(role.arn.account_id(), ScopeKind::Roles);
        Reason::new(format!("the trust policy of {} was not seen", role.arn), Cause::Gap(listing))
    })?;
    let mut cache = index.trusts();
    let account = role.arn.account_id();
    let rcps = cache.rcps.entry(account).or_insert_with(|| rcps_on_sts(index, account)).clone();
    let key = (digest, rcps.as_ref().map(|_| account));
    if let Some(answers) = cache.answers.get(&key) {
        return Ok(Arc::clone(answers));
    }
    let document =
        index.documents.get(&digest).ok_or_else(|| format!("the trust policy of {} is not in the estate", role.arn))?;
    let trust = Trust::new("trust policy", document);
    let answers = Arc::new(TrustAnswers::new(digest, rcps.map_or(trust.clone(), |rcps| trust.under(rcps))));
    cache.answers.insert(key, Arc::clone(&answers));
    Ok(answers)
}

/// The RCPs above an account, where one of them was not seen or may refuse a call of AWS STS. Where
/// nobody provided RCPs, answers are about the trust policy alone: what it says is wrong with it or
/// not, whatever else may stand in the way.
fn rcps_on_sts(index: &AccessIndex, account: AccountId) -> Option<Arc<[Level]>> {
    let levels = index.org_policy_levels(account, OrgPolicyKind::Rcp).ok()?;
    let refuses = |policy: &PolicyRef| {
        policy.policy().is_none_or(|policy| {
            let mut denies = policy.statements.iter().filter(|statement| statement.effect == Effect::Deny);
            denies.any(|statement| STS_ACTIONS.iter().any(|action| statement.names_action(action)))
        })
    };
    levels.iter().flat_map(|level| &level.policies).any(refuses).then(|| levels.into())
}

/// The trust policy of one role.
#[derive(Debug)]
pub(crate) struct RoleTrust {
    pub index: Arc<AccessIndex>,
    /// The account of the role.
    pub account: AccountId,
    pub answers: Arc<TrustAnswers>,
}

/// Who of an account is let in without a permission of its own.
#[derive(Debug)]
pub(crate) struct LetIn {
    /// Whether there may be more of either.
    pub at_least: bool,
    pub roles: usize,
    /// Associations that use one of these roles.
    pub associations: usize,
}

fn open(error: &DocumentError) -> Reasons {
    why(&unreadable(error))
}

impl RoleTrust {
    /// Every principal that an Allow names.
    pub(crate) fn admissions(&self) -> Known<&[Admission]> {
        self.answers.admissions().map_err(open)
    }

    /// The identity providers whose tokens or assertions can be taken.
    pub(crate) fn federated(&self) -> Known<&[FederatedAccess]> {
        self.answers.federated.as_deref().map_err(open)
    }

    /// The unique ids of roles and users that were deleted.
    pub(crate) fn deleted_principals(&self) -> Known<Vec<&Admission>> {
        let gone = |admission: &&Admission| match &admission.who {
            Who::DeadId(id) => self.index.role_by_id(id).is_none(),
            _ => false,
        };
        Ok(self.admissions()?.iter().filter(gone).collect())
    }

    /// Whether each principal outside that can be let in belongs neither to the organization nor to the
    /// estate.
    pub(crate) fn outsiders(&self) -> Vec<Known<bool>> {
        match self.outside() {
            Ok(list) => list.iter().map(|access| is_outside(&self.index, access)).collect(),
            Err(why) => vec![Err(why)],
        }
    }

    /// Principals outside the organization and the estate that can be let in.
    pub(crate) fn outside(&self) -> Known<Arc<Vec<ExternalAccess>>> {
        let key = (self.answers.document, self.account);
        if let Some(found) = self.index.trusts().outside.get(&key) {
            return Ok(Arc::clone(found));
        }
        let organization = self.index.organization(self.account);
        let inside = |account| matches!(self.index.account_known(account), Ok(true));
        let found = self.answers.trust.external_access(self.account, &organization, inside);
        let found = Arc::new(found.map_err(open)?);
        self.index.trusts().outside.insert(key, Arc::clone(&found));
        Ok(found)
    }

    /// Whether a principal of any account is let in, whoever it is.
    pub(crate) fn admits_anyone(&self) -> Known<bool> {
        let outside = self.outside()?;
        let anyone = outside.iter().filter(|access| access.principal == "*" && access.organizations.is_empty());
        known(&anyone.fold(Truth::False, |any, access| any.or(access.admitted.clone())))
    }

    /// A principal of the account that no policy names, in the account's own organization.
    fn home_context(&self, caller: &Requester) -> Context {
        let context = caller.context().set("aws:ResourceAccount", [self.account.to_string()]);
        match self.index.organization(self.account) {
            Organization::Known(id) => {
                context.set("aws:PrincipalOrgID", [id.as_str()]).set("aws:ResourceOrgID", [id.as_str()])
            }
            Organization::None => context.absent("aws:PrincipalOrgID").absent("aws:PrincipalOrgPaths"),
            Organization::NotSeen(why) => context.unknown("aws:PrincipalOrgID", &why),
        }
    }

    /// Whether every principal of the account is let in without a permission of its own.
    pub(crate) fn open_to_account(&self) -> Answer {
        match format!("arn:aws:iam::{}:role/nowhere", self.account).parse::<rolecall_iam::Arn>() {
            Ok(arn) => {
                let caller = Requester::principal(&arn);
                let context = self.home_context(&caller).set("aws:userid", ["AROANOWHERENOWHERE:nowhere"]);
                self.answers.trust.admits_by_name(&caller, ASSUME, &context)
            }
            Err(_) => Answer::bare(Truth::False),
        }
    }

    /// Who of the account is let in without a permission of its own; `None` where not everybody is.
    pub(crate) fn let_in(&self) -> Known<Option<LetIn>> {
        if !known(&self.open_to_account().truth)? {
            return Ok(None);
        }
        let own = self.index.roles.iter().filter(|role| role.arn.account_id() == self.account);
        let own = own.filter(|role| !is_service_linked(role));
        // Where the policy does not tell roles apart, each is let in as the one that nobody names is.
        let apart = self.answers.trust.tells_roles_apart();
        let (steps, weight) =
            (Steps::for_others("the trust policy for each role of its account"), self.answers.trust.weight());
        if apart && steps.take(weight.saturating_mul(own.clone().count())).is_err() {
            return Err(Reasons::one(&steps.why()));
        }
        let admitted: Vec<&Role> = own
            .filter(|role| {
                if !apart {
                    return true;
                }
                let caller = Requester::role(&role.arn).with_unique_id(&role.role_id);
                let context = self.home_context(&caller);
                !self.answers.trust.admits_by_name(&caller, ASSUME, &context).truth.is_false()
            })
            .collect();
        let users: BTreeSet<usize> = admitted
            .iter()
            .flat_map(|role| {
                let arn = role.arn.as_str();
                self.index.associations_of(arn).iter().chain(self.index.associations_into(arn)).copied()
            })
            .collect();
        let visibility = self.index.visibility(self.account);
        let at_least = visibility.roles.is_some() || visibility.associations.is_some();
        Ok(Some(LetIn { at_least, roles: admitted.len(), associations: users.len() }))
    }

    /// Whether the account has an identity provider: AWS's own are everywhere, others must be in the
    /// role's account.
    pub(crate) fn provider_exists(index: &AccessIndex, account: AccountId, provider: &Who) -> Known<bool> {
        match provider {
            Who::Oidc(arn) | Who::Saml(arn) if arn.account_id() != Some(account) => Ok(false),
            Who::Oidc(arn) => index.oidc_provider_exists(account, arn.as_str()),
            Who::Saml(_) => Err(Reasons::one("SAML providers are not collected")),
            _ => Ok(true),
        }
    }
}

/// Whether a principal is let in and belongs neither to the organization nor to the estate.
pub(crate) fn is_outside(index: &AccessIndex, access: &ExternalAccess) -> Known<bool> {
    match access.account_id.map(|id| index.account_known(id)) {
        Some(Ok(true)) => Ok(false),
        Some(Err(unseen)) => match known(&access.admitted) {
            Err(more) => Err(unseen.and(&more)),
            Ok(_) => Err(unseen),
        },
        _ => known(&access.admitted),
    }
}

/// Whether only association roles are meant by an admission, whose session tags EKS set and nobody can
/// replace.
pub(crate) fn admits_association_roles(index: &AccessIndex, admission: &Admission) -> Known<bool> {
    let named: Vec<&str> = match &admission.who {
        Who::Role(arn) => vec![arn.as_str()],
        // An account may be narrowed to roles by a condition, as AWS's own guide does.
        Who::Account(_) => {
            let conditions = admission.site.statement.conditions.iter();
            let narrowing = conditions.filter(|condition| {
                condition.key.eq_ignore_ascii_case("aws:PrincipalArn") && !condition.operator.is_negated()
            });
            narrowing.flat_map(|condition| condition.values.iter().map(String::as_str)).collect()
        }
        _ => Vec::new(),
    };
    if named.is_empty() {
        return Ok(false);
    }
    if named.iter().all(|arn| !index.associations_of(arn).is_empty()) {
        return Ok(true);
    }
    let account = admission.who.account_id().map(|account| index.visibility(account));
    let unseen = account.and_then(|visibility| join(visibility.associations.clone(), visibility.details.as_ref()));
    unless(unseen.as_ref(), || false)
}
