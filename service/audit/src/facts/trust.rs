//! Who may assume a role, as facts, and whether an association's own request would be let through.
//!
//! Knows what a request of EKS Pod Identity looks like: its service principal, its source and its
//! six session tags. Asks the policy language's engine; compares no texts. Refuses to decide which
//! answer is bad.

use super::CachedIndex;
use super::view::{Def, Facts, evidence, evidences, text, truth};
use crate::index::{join, unless};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{AssociationDetail, AssociationKey, Cause, OrgPolicyKind, Reason, Role};
use rolecall_iam::trust::{Admission, ExternalAccess, FederatedAccess, Organization, STS_ACTIONS, Tenancy, Trust, Who};
use rolecall_iam::{
    AccountId, Answer, Context, Digest, DocumentError, Effect, Level, PolicyRef, Requester, Steps, Truth, Why,
};
use rolecall_rules::{Type, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The service principal of EKS Pod Identity.
pub(super) const PODS: &str = "pods.eks.amazonaws.com";

pub(super) const ASSUME: &str = "sts:AssumeRole";
pub(super) const TAG: &str = "sts:TagSession";

/// The session tags that EKS sends, under the condition keys that hold them.
pub(super) const TAGS: [&str; 6] = [
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-service-account",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
];

/// Keys that say from where a service's call comes.
const SOURCES: [&str; 4] = ["aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:SourceOrgPaths"];

/// Answers about trust policies, by document and by the account whose RCPs have a say in it.
#[derive(Debug, Default)]
pub(super) struct Memo(Mutex<MemoInner>);

#[derive(Debug, Default)]
struct MemoInner {
    answers: HashMap<(Digest, Option<AccountId>), Arc<TrustAnswers>>,
    /// Who outside is let in by a trust policy, by the account that owns the role.
    outside: HashMap<(Digest, AccountId), Arc<Vec<ExternalAccess>>>,
    /// RCPs above an account that may refuse a call of AWS STS.
    rcps: HashMap<AccountId, Option<Arc<[Level]>>>,
}

/// What one trust policy says.
#[derive(Debug)]
pub(super) struct TrustAnswers {
    pub trust: Trust,
    document: Digest,
    admissions: Result<Vec<Admission>, DocumentError>,
    federated: Result<Vec<FederatedAccess>, DocumentError>,
    pods: Answer,
    pods_tag: Answer,
    pods_unlimited: Answer,
    pods_of_any_cluster: Truth,
}

impl TrustAnswers {
    fn new(document: Digest, trust: Trust) -> Self {
        let pods = Requester::service(PODS);
        // A statement that only limits `sts:TagSession` limits nothing: tags can be switched off.
        let keys: Vec<String> = SOURCES.iter().map(ToString::to_string).chain(request_tags()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let limited = trust.constrained_by(&pods, &[ASSUME], &keys);
        let untagged = SOURCES.iter().fold(pods.context(), |context, key| context.set(key, [foreign(key)]));
        // The role's own side is not foreign, so that `${aws:ResourceOrgID}` does not agree by chance.
        let untagged = untagged
            .set("aws:ResourceAccount", ["999999999999"])
            .set("aws:ResourceOrgID", ["o-home"])
            .set("aws:ResourceOrgPaths", ["o-home/r-home/"]);
        let untagged = trust.admits_in(&pods, ASSUME, &untagged.absent_under("aws:RequestTag/"));
        let foreign = Answer { truth: !limited.foreign.truth, by: limited.foreign.by };
        let pods_unlimited = Answer {
            truth: foreign.truth.clone().or(untagged.truth.clone()),
            by: if untagged.truth.is_true() { untagged.by } else { foreign.by },
        };
        let cluster = ["aws:RequestTag/eks-cluster-arn", "aws:RequestTag/eks-cluster-name"];
        let cluster: Vec<&str> = SOURCES.into_iter().chain(cluster).collect();
        let pods_of_any_cluster = !trust.constrained_by(&pods, &[ASSUME], &cluster).foreign.truth;
        Self {
            admissions: trust.admissions().map_err(Clone::clone),
            federated: trust.federated_access().map_err(Clone::clone),
            pods: trust.admits(&pods, ASSUME),
            pods_tag: trust.admits(&pods, TAG),
            pods_unlimited,
            pods_of_any_cluster,
            document,
            trust,
        }
    }

    /// Every principal that an Allow names; why there is no saying where the policy cannot be read.
    pub(super) fn admissions(&self) -> Result<&[Admission], &DocumentError> {
        self.admissions.as_deref()
    }

    /// Whether Pod Identity, and nobody else, may assume the role.
    pub(super) fn only_pods(&self) -> Truth {
        match &self.admissions {
            Err(error) => unreadable(error),
            Ok(list) => {
                let others = list.iter().filter(|a| !is_pods(&a.who));
                let others = others.fold(Truth::False, |any, a| any.or(a.possible.clone()));
                self.names_pods(list).and(!others)
            }
        }
    }

    /// Whether a statement names EKS Pod Identity, and can let it in.
    fn names_pods(&self, list: &[Admission]) -> Truth {
        let named = list.iter().filter(|a| is_pods(&a.who) && a.actions.contains(ASSUME));
        let possible = named.fold(Truth::False, |any, a| any.or(a.possible.clone()));
        possible.and(self.pods.truth.clone())
    }

    /// Whether a role can be let in, so that an association of it can reach this role as its target.
    fn admits_roles(&self) -> Truth {
        match &self.admissions {
            Err(error) => unreadable(error),
            Ok(list) => {
                let is_role = |who: &Who| {
                    matches!(
                        who,
                        Who::Anyone | Who::AllBut(_) | Who::Account(_) | Who::Role(_) | Who::Session(_) | Who::Other(_)
                    )
                };
                let roles = list.iter().filter(|a| is_role(&a.who) && a.actions.contains(ASSUME));
                roles.fold(Truth::False, |any, a| any.or(a.possible.clone()))
            }
        }
    }

    /// Whether pods can get to the role by the trust policy alone: by EKS Pod Identity, or by a hop from
    /// an association's role.
    pub(super) fn pods_by_trust(&self) -> (Truth, Truth) {
        let named = match &self.admissions {
            Err(error) => unreadable(error),
            Ok(list) => self.names_pods(list),
        };
        (named, self.admits_roles())
    }
}

fn is_pods(who: &Who) -> bool {
    matches!(who, Who::Service(name) if name.eq_ignore_ascii_case(PODS))
}

fn unreadable(error: &DocumentError) -> Truth {
    Truth::unknown(Why::NotUnderstood(format!("the trust policy could not be read: {error}")))
}

fn request_tags() -> impl Iterator<Item = String> {
    TAGS.iter().map(|tag| format!("aws:RequestTag/{tag}"))
}

fn foreign(key: &str) -> &'static str {
    match key {
        "aws:SourceArn" => "arn:aws:eks:xx-nowhere-1:000000000000:cluster/nowhere",
        "aws:SourceAccount" => "000000000000",
        "aws:SourceOrgPaths" => "o-nowhere/r-nowhere/",
        _ => "o-nowhere",
    }
}

/// What a role's trust policy says; the reason where it was not seen.
pub(super) fn answers(world: &CachedIndex, role: &Role) -> Result<Arc<TrustAnswers>, Reason> {
    let digest = role.trust.ok_or_else(|| {
        let listing = Scope::global(role.arn.account_id(), ScopeKind::Roles);
        Reason::new(format!("the trust policy of {} was not seen", role.arn), Cause::Gap(listing))
    })?;
    let mut memo = world.trusts.0.lock().unwrap_or_else(PoisonError::into_inner);
    let account = role.arn.account_id();
    let rcps = memo.rcps.entry(account).or_insert_with(|| rcps_on_sts(world, account)).clone();
    let key = (digest, rcps.as_ref().map(|_| account));
    if let Some(answers) = memo.answers.get(&key) {
        return Ok(Arc::clone(answers));
    }
    let document =
        world.documents.get(&digest).ok_or_else(|| format!("the trust policy of {} is not in the estate", role.arn))?;
    let trust = Trust::new("trust policy", document);
    let answers = Arc::new(TrustAnswers::new(digest, rcps.map_or(trust.clone(), |rcps| trust.under(rcps))));
    memo.answers.insert(key, Arc::clone(&answers));
    Ok(answers)
}

/// The RCPs above an account, where one of them was not seen or may refuse a call of AWS STS. Where
/// nobody provided RCPs, answers are about the trust policy alone: what it says is wrong with it or
/// not, whatever else may stand in the way.
fn rcps_on_sts(world: &CachedIndex, account: AccountId) -> Option<Arc<[Level]>> {
    let levels = world.org_policy_levels(account, OrgPolicyKind::Rcp).ok()?;
    let refuses = |layer: &PolicyRef| {
        layer.policy().is_none_or(|policy| {
            let mut denies = policy.statements.iter().filter(|statement| statement.effect == Effect::Deny);
            denies.any(|statement| STS_ACTIONS.iter().any(|action| statement.names_action(action)))
        })
    };
    levels.iter().flat_map(|level| &level.policies).any(refuses).then(|| levels.into())
}

/// A role's trust policy.
#[derive(Debug)]
pub(super) struct TrustFacts {
    pub world: Arc<CachedIndex>,
    /// The account of the role whose trust policy it is.
    pub account: AccountId,
    pub answers: Arc<TrustAnswers>,
}

impl Facts for TrustFacts {
    const NAME: &'static str = "Trust";
    const DOC: &'static str = "Who may assume a role, by its trust policy.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "admissions",
            || Type::list(Type::object("Admission")),
            "Every principal that an Allow statement names and that can succeed.",
            |t| match &t.answers.admissions {
                Ok(list) => Value::list(
                    list.iter()
                        .filter(|a| !a.possible.is_false())
                        .map(|a| AdmissionFacts { world: Arc::clone(&t.world), admission: a.clone() }.into_value()),
                ),
                Err(error) => truth(&unreadable(error)),
            },
        ),
        Def::<Self>::new(
            "deleted_principals",
            || Type::list(Type::object("Admission")),
            "Unique ids of roles and users that were deleted: IAM shows them in place of the principals.",
            TrustFacts::deleted_principals,
        ),
        Def::<Self>::new(
            "external_access",
            || Type::list(Type::object("ExternalAccess")),
            "Principals outside the organization and the estate that can be let in, conditions considered.",
            TrustFacts::external_access,
        ),
        Def::<Self>::new(
            "federated_access",
            || Type::list(Type::object("FederatedAccess")),
            "Identity providers whose tokens or assertions can be taken.",
            TrustFacts::federated_access,
        ),
        Def::<Self>::new(
            "open_to_account",
            || Type::Bool,
            "Whether every principal of the role's own account is let in without a permission of its own.",
            |t| truth(&t.open_to_account().truth),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "open_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that let every principal of the account in.",
            |t| evidences("admits every principal of the account", &t.open_to_account().by),
        ),
        Def::<Self>::new(
            "let_in",
            || Type::optional(Type::String),
            "Who of the account is let in without a permission of its own: how many roles, and how many Pod Identity associations use them; absent where not every principal is.",
            TrustFacts::let_in,
        ),
        Def::<Self>::new(
            "names_pods",
            || Type::Bool,
            "Whether a statement names EKS Pod Identity and can let it in; a `Principal` of `*` does not name it.",
            |t| truth(&t.answers.pods_by_trust().0),
        ),
        Def::<Self>::new(
            "admits_pods",
            || Type::Bool,
            "Whether EKS Pod Identity can be admitted for `sts:AssumeRole` by some request.",
            |t| truth(&t.answers.pods.truth),
        ),
        Def::<Self>::new(
            "pods_may_tag",
            || Type::Bool,
            "Whether EKS Pod Identity can be admitted for `sts:TagSession` by some request.",
            |t| truth(&t.answers.pods_tag.truth),
        ),
        Def::<Self>::new(
            "pods_unlimited",
            || Type::Bool,
            "Whether a request of EKS Pod Identity is let through whose source and session tags are foreign or absent.",
            |t| truth(&t.answers.pods_unlimited.truth),
        ),
        Def::<Self>::new(
            "pods_of_any_cluster",
            || Type::Bool,
            "Whether pods of a foreign cluster are let through, by some namespace and service account.",
            |t| truth(&t.answers.pods_of_any_cluster),
        ),
        Def::<Self>::new(
            "pods_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that let EKS Pod Identity through.",
            |t| {
                let by = if t.answers.pods_unlimited.by.is_empty() {
                    &t.answers.pods.by
                } else {
                    &t.answers.pods_unlimited.by
                };
                evidences("admits EKS Pod Identity", by)
            },
        ),
        Def::<Self>::new(
            "only_pods",
            || Type::Bool,
            "Whether EKS Pod Identity, and nobody else, can be admitted.",
            |t| truth(&t.answers.only_pods()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "admits_anyone",
            || Type::Bool,
            "Whether a principal of any AWS account is let through, whoever it is.",
            TrustFacts::admits_anyone,
        )
        .or(|| Value::Bool(false)),
    ];
}

impl TrustFacts {
    fn deleted_principals(&self) -> Value {
        let list = match &self.answers.admissions {
            Ok(list) => list,
            Err(error) => return truth(&unreadable(error)),
        };
        let gone = list.iter().filter(|a| match &a.who {
            Who::DeadId(id) => self.world.role_by_id(id).is_none(),
            _ => false,
        });
        let facts = gone.map(|a| AdmissionFacts { world: Arc::clone(&self.world), admission: a.clone() }.into_value());
        Value::list(facts)
    }

    /// Whether each principal outside that can be let in belongs neither to the organization nor to the
    /// estate.
    pub(super) fn outsiders(&self) -> Vec<Value> {
        match self.outside() {
            Ok(list) => {
                let each = list.iter().cloned().map(|access| ExternalFacts { world: Arc::clone(&self.world), access });
                each.map(|external| external.outside()).collect()
            }
            Err(unknown) => vec![unknown],
        }
    }

    fn outside(&self) -> Result<Arc<Vec<ExternalAccess>>, Value> {
        let key = (self.answers.document, self.account);
        let memo = || self.world.trusts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memo().outside.get(&key) {
            return Ok(Arc::clone(known));
        }
        let organization = self.world.organization(self.account);
        let inside = |account| matches!(self.world.account_known(account), Value::Bool(true));
        let found = self.answers.trust.external_access(self.account, &organization, inside);
        let found = Arc::new(found.map_err(|error| truth(&unreadable(error)))?);
        memo().outside.insert(key, Arc::clone(&found));
        Ok(found)
    }

    fn external_access(&self) -> Value {
        match self.outside() {
            Ok(list) => Value::list(
                list.iter()
                    .cloned()
                    .map(|access| ExternalFacts { world: Arc::clone(&self.world), access }.into_value()),
            ),
            Err(unknown) => unknown,
        }
    }

    fn admits_anyone(&self) -> Value {
        match self.outside() {
            Ok(list) => {
                let anyone = list.iter().filter(|access| access.principal == "*" && access.organizations.is_empty());
                truth(&anyone.fold(Truth::False, |any, access| any.or(access.admitted.clone())))
            }
            Err(unknown) => unknown,
        }
    }

    fn federated_access(&self) -> Value {
        match &self.answers.federated {
            Ok(list) => Value::list(list.iter().map(|access| {
                let (world, account) = (Arc::clone(&self.world), self.account);
                FederatedFacts { world, account, access: access.clone() }.into_value()
            })),
            Err(error) => truth(&unreadable(error)),
        }
    }

    /// A principal of the account that no policy names, in the account's own organization.
    fn home_context(&self, caller: &Requester) -> Context {
        let context = caller.context().set("aws:ResourceAccount", [self.account.to_string()]);
        match self.world.organization(self.account) {
            Organization::Known(id) => {
                context.set("aws:PrincipalOrgID", [id.as_str()]).set("aws:ResourceOrgID", [id.as_str()])
            }
            Organization::None => context.absent("aws:PrincipalOrgID").absent("aws:PrincipalOrgPaths"),
            Organization::NotSeen(why) => context.unknown("aws:PrincipalOrgID", &why),
        }
    }

    fn open_to_account(&self) -> Answer {
        match format!("arn:aws:iam::{}:role/nowhere", self.account).parse::<rolecall_iam::Arn>() {
            Ok(arn) => {
                let caller = Requester::principal(&arn);
                let context = self.home_context(&caller).set("aws:userid", ["AROANOWHERENOWHERE:nowhere"]);
                self.answers.trust.admits_by_name(&caller, ASSUME, &context)
            }
            Err(_) => Answer::bare(Truth::False),
        }
    }

    fn let_in(&self) -> Value {
        match self.open_to_account().truth {
            Truth::False => return Value::Null,
            Truth::Unknown(why) => return truth(&Truth::Unknown(why)),
            Truth::True => {}
        }
        let own = self.world.roles.iter().filter(|role| role.arn.account_id() == self.account);
        let own = own.filter(|role| !super::permissions::is_service_linked(role));
        // Where the policy does not tell roles apart, each is let in as the one that nobody names is.
        let apart = self.answers.trust.tells_roles_apart();
        let (steps, weight) =
            (Steps::for_others("the trust policy for each role of its account"), self.answers.trust.weight());
        if apart && steps.take(weight.saturating_mul(own.clone().count())).is_err() {
            return Value::unknown(&steps.why());
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
        let users: std::collections::BTreeSet<usize> = admitted
            .iter()
            .flat_map(|role| {
                let arn = role.arn.as_str();
                self.world.associations_of(arn).iter().chain(self.world.associations_into(arn)).copied()
            })
            .collect();
        let visibility = self.world.visibility(self.account);
        let least = if visibility.roles.is_some() || visibility.associations.is_some() { "at least " } else { "" };
        let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        text(&format!(
            "{least}{} of account {}, which {} use",
            many(admitted.len(), "role"),
            self.account,
            many(users.len(), "Pod Identity association"),
        ))
    }
}

/// A principal outside the organization that a trust policy lets in.
#[derive(Debug)]
pub(super) struct ExternalFacts {
    world: Arc<CachedIndex>,
    access: ExternalAccess,
}

impl Facts for ExternalFacts {
    const NAME: &'static str = "ExternalAccess";
    const DOC: &'static str =
        "A principal outside the organization that a trust policy can let in, conditions considered.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "who",
            || Type::String,
            "The principal in words: any AWS principal, any of an organization, an account or an ARN.",
            |e| text(&e.who()),
        ),
        Def::<Self>::new(
            "account_id",
            || Type::optional(Type::String),
            "The principal's account; absent where principals of any account are let in.",
            |e| e.access.account_id.map_or(Value::Null, |id| text(&id.to_string())),
        ),
        Def::<Self>::new(
            "organization_ids",
            || Type::list(Type::String),
            "The foreign organizations to which conditions limit it; empty where to none.",
            |e| Value::texts(&e.access.organizations),
        ),
        Def::<Self>::new(
            "outside",
            || Type::Bool,
            "Whether it is let in and belongs neither to the organization nor to the estate.",
            ExternalFacts::outside,
        ),
        Def::<Self>::new(
            "external_id",
            || Type::Bool,
            "Whether every way in asks for a certain `sts:ExternalId`.",
            |e| truth(&e.access.external_id),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that let it in.",
            |e| evidences("admits", &e.access.by),
        ),
    ];
}

impl ExternalFacts {
    fn outside(&self) -> Value {
        match self.access.account_id.map(|id| self.world.account_known(id)) {
            Some(Value::Bool(true)) => Value::Bool(false),
            Some(Value::Unknown(why)) => match truth(&self.access.admitted) {
                Value::Unknown(more) => Value::Unknown(why.and(&more)),
                _ => Value::Unknown(why),
            },
            _ => truth(&self.access.admitted),
        }
    }

    fn who(&self) -> String {
        let access = &self.access;
        let organizations = access.organizations.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
        let of = |what: &str| match organizations.as_str() {
            "" => what.to_owned(),
            named => format!("{what} of organization {named}"),
        };
        match (access.principal.as_str(), access.account_id) {
            ("*", _) if organizations.is_empty() => "any AWS principal".to_owned(),
            ("*", _) => of("any principal"),
            (principal, Some(account)) if principal == account.to_string() => of(&format!("account {account}")),
            (principal, _) => of(principal),
        }
    }
}

/// An identity provider whose tokens or assertions a trust policy takes.
#[derive(Debug)]
pub(super) struct FederatedFacts {
    world: Arc<CachedIndex>,
    account: AccountId,
    access: FederatedAccess,
}

impl FederatedFacts {
    /// Whether the account has the provider: AWS's own are everywhere, others must be in the role's account.
    fn exists(&self) -> Value {
        match &self.access.provider {
            Who::Oidc(arn) if arn.account_id() != Some(self.account) => Value::Bool(false),
            Who::Saml(arn) if arn.account_id() != Some(self.account) => Value::Bool(false),
            Who::Oidc(arn) => self.world.oidc_provider_exists(self.account, arn.as_str()),
            Who::Saml(_) => Value::unknown("SAML providers are not collected"),
            _ => Value::Bool(true),
        }
    }
}

impl Facts for FederatedFacts {
    const NAME: &'static str = "FederatedAccess";
    const DOC: &'static str = "An identity provider whose tokens or assertions a trust policy can take.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "provider",
            || Type::String,
            "The provider, as the policy names it.",
            |f| text(&f.access.provider.text()),
        ),
        Def::<Self>::new(
            "issuer",
            || Type::String,
            "The issuer of the tokens, without `https://`; of a SAML provider, its name.",
            |f| text(&f.access.issuer),
        ),
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`shared` (an issuer that AWS names as shared by many organizations), `cluster` (an EKS cluster), `saml`, or `unlisted`.",
            |f| {
                text(match f.access.tenancy {
                    Tenancy::Shared => "shared",
                    Tenancy::Cluster => "cluster",
                    Tenancy::Saml => "saml",
                    Tenancy::Unlisted => "unlisted",
                })
            },
        ),
        Def::<Self>::new(
            "shared",
            || Type::Bool,
            "Whether the issuer serves other organizations too; not known of an issuer that AWS does not name.",
            |f| match f.access.tenancy {
                Tenancy::Shared => Value::Bool(true),
                Tenancy::Cluster | Tenancy::Saml => Value::Bool(false),
                Tenancy::Unlisted => Value::unknown(format!(
                    "whether `{}` issues tokens to other organizations is not known",
                    f.access.issuer
                )),
            },
        ),
        Def::<Self>::new(
            "admits_stranger",
            || Type::Bool,
            "Whether a token is taken whose subject, and where it tells tenants apart audience, the policy does not name; of a cluster, one of another namespace.",
            |f| truth(&f.access.outside_caller),
        ),
        Def::<Self>::new(
            "example",
            || Type::optional(Type::String),
            "What such a token says, such as `sub repo:nowhere/nowhere:ref:refs/heads/main`.",
            |f| super::view::maybe(f.access.example.as_deref()),
        ),
        Def::<Self>::new(
            "any_audience",
            || Type::Bool,
            "Whether a token or assertion for another audience is taken.",
            |f| truth(&f.access.any_audience),
        ),
        Def::<Self>::new(
            "provider_exists",
            || Type::Bool,
            "Whether the role's account has the provider, without which nobody gets in.",
            Self::exists,
        ),
        Def::<Self>::new(
            "provider_missing",
            || Type::Bool,
            "Whether it is certain that the role's account does not have the provider.",
            |f| Value::Bool(matches!(f.exists(), Value::Bool(false))),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that take its tokens or assertions.",
            |f| evidences("admits", &f.access.by),
        ),
    ];
}

/// One principal that a trust policy names.
#[derive(Debug)]
pub(super) struct AdmissionFacts {
    world: Arc<CachedIndex>,
    admission: Admission,
}

impl Facts for AdmissionFacts {
    const NAME: &'static str = "Admission";
    const DOC: &'static str = "One principal that one statement of a trust policy admits.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`anyone`, `all_but`, `account`, `role`, `user`, `session`, `service`, `oidc`, `saml`, `provider` or `other`.",
            |a| text(who_kind(&a.admission.who)),
        ),
        Def::<Self>::new(
            "who",
            || Type::String,
            "The principal, as a policy writes it.",
            |a| text(&a.admission.who.text()),
        ),
        Def::<Self>::new(
            "account_id",
            || Type::optional(Type::String),
            "The account that the principal belongs to, where it has one.",
            |a| a.admission.who.account_id().map_or(Value::Null, |id| text(&id.to_string())),
        ),
        Def::<Self>::new(
            "account_known",
            || Type::Bool,
            "Whether that account belongs to the organisation or the estate; true where it has none.",
            |a| a.admission.who.account_id().map_or(Value::Bool(true), |id| a.world.account_known(id)),
        ),
        Def::<Self>::new(
            "conditional",
            || Type::Bool,
            "Whether a condition that can fail stands before it.",
            |a| a.admission.conditional.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "may_tag",
            || Type::Bool,
            "Whether the statement allows `sts:TagSession` too.",
            |a| a.admission.actions.contains(TAG).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "is_association_role",
            || Type::Bool,
            "Whether only association roles are meant, whose session tags EKS set and nobody can replace.",
            Self::is_association_role,
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The statement and where it stands.",
            |a| Value::object(evidence("admits", &a.admission.site)),
        ),
    ];
}

impl AdmissionFacts {
    fn is_association_role(&self) -> Value {
        let named: Vec<&str> = match &self.admission.who {
            Who::Role(arn) => vec![arn.as_str()],
            // An account may be narrowed to roles by a condition, as AWS's own guide does.
            Who::Account(_) => {
                let conditions = self.admission.site.statement.conditions.iter();
                let narrowing = conditions.filter(|condition| {
                    condition.key.eq_ignore_ascii_case("aws:PrincipalArn") && !condition.operator.is_negated()
                });
                narrowing.flat_map(|condition| condition.values.iter().map(String::as_str)).collect()
            }
            _ => Vec::new(),
        };
        if named.is_empty() {
            return Value::Bool(false);
        }
        if named.iter().all(|arn| !self.world.associations_of(arn).is_empty()) {
            return Value::Bool(true);
        }
        let account = self.admission.who.account_id().map(|account| self.world.visibility(account));
        let unseen = account.and_then(|visibility| join(visibility.associations.clone(), visibility.details.as_ref()));
        unless(unseen.as_ref(), || Value::Bool(false))
    }
}

fn who_kind(who: &Who) -> &'static str {
    match who {
        Who::Anyone => "anyone",
        Who::AllBut(_) => "all_but",
        Who::Account(_) => "account",
        Who::Role(_) => "role",
        Who::User(_) => "user",
        Who::Session(_) => "session",
        Who::Service(_) => "service",
        Who::Oidc(_) => "oidc",
        Who::Saml(_) => "saml",
        Who::Provider(_) => "provider",
        Who::DeadId(_) | Who::Other(_) => "other",
    }
}

/// Which part of what an association's request brings a trust policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Pod Identity is not admitted whatever the request brings.
    NotAdmitted,
    /// The policy needs session tags, and the association does not send them.
    TagsOff,
    /// The policy needs other session tags than the association sends.
    Tags,
    /// The policy needs another source than the cluster.
    Source,
    /// Anything else.
    Other,
}

impl Refusal {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotAdmitted => "not_admitted",
            Self::TagsOff => "session_tags_disabled",
            Self::Tags => "tags",
            Self::Source => "source",
            Self::Other => "other",
        }
    }
}

/// Whether a trust policy can let an association's request through, by its source and tags, and
/// what it refuses where it cannot.
pub(super) fn refusal(
    answers: &TrustAnswers,
    key: &AssociationKey,
    detail: &AssociationDetail,
    cluster_arn: &str,
) -> Result<Option<Refusal>, Truth> {
    let pods = Requester::service(PODS);
    let sourced = |context: Context| {
        context.set("aws:SourceAccount", [key.account_id.to_string()]).set("aws:SourceArn", [cluster_arn])
    };
    let tagged = |context: Context| tagged(context, key, detail, cluster_arn);
    let possible = |context: &Context| {
        let assume = answers.trust.admits_in(&pods, ASSUME, context).truth;
        // Where tags are sent, tagging is asked for as well; a policy that never admits tagging is
        // its own finding.
        if detail.disable_session_tags || answers.pods_tag.truth.is_false() {
            assume
        } else {
            assume.and(answers.trust.admits_in(&pods, TAG, context).truth)
        }
    };
    let decide = |context: Context| match possible(&context) {
        Truth::True => Ok(true),
        Truth::False => Ok(false),
        unknown @ Truth::Unknown(_) => Err(unknown),
    };
    if decide(sourced(tagged(pods.context())))? {
        return Ok(None);
    }
    Ok(Some(if !decide(pods.context())? {
        Refusal::NotAdmitted
    } else if decide(sourced(pods.context()))? {
        if detail.disable_session_tags { Refusal::TagsOff } else { Refusal::Tags }
    } else if decide(tagged(pods.context()))? {
        Refusal::Source
    } else {
        Refusal::Other
    }))
}

/// What EKS asks for a session with, of tags: the association's own, or none.
fn tagged(context: Context, key: &AssociationKey, detail: &AssociationDetail, cluster_arn: &str) -> Context {
    if detail.disable_session_tags {
        return context
            .absent_under("aws:RequestTag/")
            .absent("aws:TagKeys")
            .absent("sts:TransitiveTagKeys")
            .absent("sts:ExternalId");
    }
    own_tags("aws:RequestTag/", context, key, cluster_arn).set("aws:TagKeys", TAGS).set("sts:TransitiveTagKeys", TAGS)
}

/// What EKS asks for a session of an association's role with.
pub(crate) fn pods_request(key: &AssociationKey, detail: &AssociationDetail, cluster_arn: &str) -> Context {
    let context = Requester::service(PODS).context();
    let context = context.set("aws:SourceAccount", [key.account_id.to_string()]).set("aws:SourceArn", [cluster_arn]);
    tagged(context, key, detail, cluster_arn)
}

/// What EKS asks for a session of the target role with, by one of the association's role.
pub(crate) fn hop_request(
    caller: &Requester,
    key: &AssociationKey,
    detail: &AssociationDetail,
    cluster_arn: &str,
) -> Context {
    let mut own = caller.context();
    own = if detail.disable_session_tags {
        own.absent_under("aws:RequestTag/")
            .absent_under("aws:PrincipalTag/kubernetes-")
            .absent_under("aws:PrincipalTag/eks-")
    } else {
        let own = own_tags("aws:RequestTag/", own, key, cluster_arn);
        own_tags("aws:PrincipalTag/", own, key, cluster_arn)
    };
    // That EKS sends the external id where tags are on is not written anywhere: it stays open then.
    if let (true, Some(external_id)) = (detail.disable_session_tags, &detail.external_id) {
        own = own.set("sts:ExternalId", [external_id.as_str()]);
    }
    own
}

fn own_tags(prefix: &str, context: Context, key: &AssociationKey, cluster_arn: &str) -> Context {
    let known = [
        ("eks-cluster-arn", cluster_arn),
        ("eks-cluster-name", key.cluster.as_str()),
        ("kubernetes-namespace", key.namespace.as_str()),
        ("kubernetes-service-account", key.service_account.as_str()),
    ];
    known.iter().fold(context, |context, (tag, value)| context.set(&format!("{prefix}{tag}"), [*value]))
}

/// What a target role's trust policy makes of the hop from an association role.
#[derive(Debug)]
pub(super) struct Hop {
    /// Whether the association role can be admitted by the association's own request.
    pub admitted: Truth,
    /// The same for `sts:TagSession`; not asked where no tags are sent.
    pub may_tag: Truth,
    /// Whether the role is admitted only by its account, so that its own policies must allow it too.
    pub assume_via_account: bool,
    /// The same for `sts:TagSession`.
    pub tag_via_account: bool,
    /// Whether a hop is let through that another workload of the role could make: with a foreign
    /// external id and foreign session tags.
    pub unlimited: Answer,
}

/// Judges the hop into a target role.
pub(super) fn hop(
    target: &TrustAnswers,
    role: &rolecall_iam::RoleArn,
    role_id: Option<&str>,
    key: &AssociationKey,
    detail: &AssociationDetail,
    cluster_arn: &str,
) -> Hop {
    let caller = Requester::role(role);
    let caller = role_id.map_or(caller.clone(), |id| caller.with_unique_id(id));
    let own = hop_request(&caller, key, detail, cluster_arn);
    let via_account = |action| target.trust.admits_by_account_only(&caller, action, &own);
    let keys: Vec<String> = std::iter::once("sts:ExternalId".to_owned())
        .chain(
            ["aws:RequestTag/", "aws:PrincipalTag/"]
                .iter()
                .flat_map(|prefix| TAGS.iter().map(move |tag| format!("{prefix}{tag}"))),
        )
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let limit = target.trust.constrained_by(&caller, &[ASSUME], &keys);
    Hop {
        admitted: target.trust.admits_in(&caller, ASSUME, &own).truth,
        may_tag: if detail.disable_session_tags {
            Truth::True
        } else {
            target.trust.admits_in(&caller, TAG, &own).truth
        },
        assume_via_account: via_account(ASSUME),
        tag_via_account: via_account(TAG),
        unlimited: Answer { truth: !limit.foreign.truth, by: limit.foreign.by },
    }
}

impl TrustFacts {
    /// The statements that say something about EKS Pod Identity, whatever it is.
    pub(super) fn concerning_pods(&self) -> Vec<rolecall_iam::Site> {
        let mut sites = self.answers.pods.by.clone();
        sites.extend(self.answers.pods_tag.by.iter().filter(|site| !self.answers.pods.by.contains(site)).cloned());
        sites
    }
}
