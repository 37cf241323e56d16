//! One question to an estate: may this principal do this to that resource, and why?
//!
//! Knows how to put the policies together that decide: the policies of a role or of a pod's session,
//! those of the organisation above it and above the resource, the trust policy of a role that is
//! asked for, and whatever the asker puts in their place. What the estate does not hold, such as
//! the policy on a bucket, counts as not seen wherever it can matter. Refuses to decide: the policy
//! language does.

use super::index::AccessIndex;
use super::stack::{own_policies, trust_policy};
use rolecall_estate::id::{ClusterName, Namespace, Region, ServiceAccount};
use rolecall_estate::{Association, AssociationKey, Estate, OrgPolicyKind, Role};
use rolecall_iam::{
    AccountId, Arn, Context, ContextValue, Document, Explanation, Level, PolicyRef, PolicySet, Request, Requester,
    explain,
};
use rolecall_iam::{ArnText, trust::Organization};
use rolecall_rules::Reasons;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Services whose resources can have policies of their own, by the prefix of their actions: for
/// these a decision waits for that policy.
const WITH_RESOURCE_POLICIES: [&str; 34] = [
    "acm-pca",
    "apigateway",
    "aoss",
    "backup",
    "bedrock",
    "cloudtrail",
    "codeartifact",
    "codebuild",
    "dynamodb",
    "ecr",
    "ecr-public",
    "elasticfilesystem",
    "es",
    "events",
    "execute-api",
    "glacier",
    "glue",
    "iot",
    "kafka",
    "kinesis",
    "kms",
    "lambda",
    "lex",
    "logs",
    "mediastore",
    "rekognition",
    "s3",
    "s3express",
    "secretsmanager",
    "ses",
    "signer",
    "sns",
    "sqs",
    "vpc-lattice",
];

/// IAM's actions have at most 128 characters.
pub const LONGEST_ACTION: usize = 128;

/// Whether a text is an action, as `service:Name`. What stands for several, such as `s3:Get*`, is a pattern of actions: no
/// request has it.
#[must_use]
pub fn is_action(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    };
    let parts = text.split_once(':');
    text.len() <= LONGEST_ACTION && parts.is_some_and(|(service, name)| plain(service) && plain(name))
}

/// A document that stands in for what the estate holds, and how people call it.
#[derive(Debug, Clone)]
pub struct Given {
    /// How people call it, such as a file's name.
    pub name: String,
    /// The document.
    pub document: Document,
}

/// What stands in for what the estate holds. `None` leaves the policies as they are; an empty list takes
/// it out.
#[derive(Debug, Clone, Default)]
pub struct WhatIf {
    /// Instead of the principal's own policies.
    pub identity: Option<Vec<Given>>,
    /// Instead of the permissions boundary.
    pub boundary: Option<Vec<Given>>,
    /// Instead of the session policy.
    pub session: Option<Vec<Given>>,
    /// Instead of all SCPs: one level, whatever the organisation looks like.
    pub scp: Option<Vec<Given>>,
    /// Instead of all RCPs, as with SCPs.
    pub rcp: Option<Vec<Given>>,
    /// The policy on the resource.
    pub resource: Option<Vec<Given>>,
    /// Instead of the trust policy of the role that is asked for.
    pub trust: Option<Vec<Given>>,
    /// The policy of the VPC endpoint; none is in play otherwise.
    pub vpc_endpoint: Option<Vec<Given>>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// An ARN, a service, `anonymous`, or a pod's association as
    /// `account/region/cluster/namespace/service-account`.
    pub principal: String,
    /// The action.
    pub action: String,
    /// The resource's ARN, or `*`.
    pub resource: String,
    /// The resource's account, where its ARN does not name it.
    pub resource_account: Option<AccountId>,
    /// Condition keys with their values.
    pub context: Vec<(String, Vec<String>)>,
    /// Whether keys that are not given are absent, rather than not known.
    pub closed: bool,
    /// What stands in for the estate's policies.
    pub what_if: WhatIf,
}

/// Why a question cannot be put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Neither an ARN, nor a service, nor an association's key.
    #[error(
        "`{0}` is no principal: give an ARN, a service such as pods.eks.amazonaws.com, `anonymous`, or a pod as account/region/cluster/namespace/service-account"
    )]
    Principal(String),
    /// A pod's association that the estate does not have, or has without its role.
    #[error("{0}")]
    Association(String),
    /// A principal that the estate does not have.
    #[error("{0} is not among the roles that were seen; give its policies, or run an audit of its account")]
    Role(String),
    /// Users are not collected.
    #[error("{0} is not a role, and no other principals are collected; give its policies")]
    NotCollected(String),
    /// Not an action.
    #[error("`{0}` is no action: give service:Name, such as s3:GetObject")]
    Action(String),
}

/// A question with everything that decides it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// The policies.
    pub policies: PolicySet,
    /// What a reader should know: whom a pod's request comes from, and what was taken as given.
    pub notes: Vec<String>,
}

impl Asked {
    /// The answer, policy type by policy type.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        explain(&self.request, &self.policies)
    }
}

/// Accounts that the question needs of an estate: those that its texts name, and those that its
/// association leads to, as far as the estate has it.
#[must_use]
pub fn accounts(estate: &Estate, question: &Question) -> BTreeSet<AccountId> {
    let mut accounts: BTreeSet<AccountId> =
        [&question.principal, &question.resource].into_iter().filter_map(|text| ArnText(text).account_id()).collect();
    accounts.extend(question.resource_account);
    if let Some(key) = read_key(&question.principal) {
        accounts.insert(key.account_id);
        let detail = estate.associations.iter().find(|a| a.key == key).and_then(|a| a.detail.as_ref());
        let roles = detail.into_iter().flat_map(|d| std::iter::once(&d.role_arn).chain(&d.target_role_arn));
        accounts.extend(roles.filter_map(|arn| ArnText(arn).account_id()));
    }
    accounts
}

/// The key of an association, as its `Display` writes it.
fn read_key(text: &str) -> Option<AssociationKey> {
    let mut parts = text.split('/');
    let key = AssociationKey {
        account_id: parts.next()?.parse().ok()?,
        region: parts.next()?.parse::<Region>().ok()?,
        cluster: parts.next()?.parse::<ClusterName>().ok()?,
        namespace: parts.next()?.parse::<Namespace>().ok()?,
        service_account: parts.next()?.parse::<ServiceAccount>().ok()?,
    };
    parts.next().is_none().then_some(key)
}

/// Puts a question to an estate.
///
/// # Errors
/// Texts that name nothing, and principals that the estate does not have and whose policies were
/// not given.
pub fn ask(estate: &Estate, question: &Question) -> Result<Asked, AskError> {
    ask_of(&AccessIndex::new(estate), question)
}

/// As [`ask`], of an estate that is indexed.
pub(super) fn ask_of(index: &AccessIndex, question: &Question) -> Result<Asked, AskError> {
    if !is_action(&question.action) {
        let shown = question.action.chars().take(LONGEST_ACTION).collect();
        return Err(AskError::Action(shown));
    }
    let mut notes = Vec::new();
    let mut context = if question.closed { Context::closed() } else { Context::open() };
    for (key, values) in &question.context {
        context = match values.as_slice() {
            [one] => context.set(key, [one.as_str()]),
            several => context.set_list(key, several.iter().map(String::as_str)),
        };
    }
    let Caller { requester, policies, account } = caller(index, question, &mut context, &mut notes)?;
    let owner = question.resource_account.or_else(|| owner_of(&question.resource)).or(account);
    for (key, account) in [("aws:PrincipalOrgID", account), ("aws:ResourceOrgID", owner)] {
        context = match account {
            Some(account) => organization_id(index, context, key, account),
            None => context,
        };
    }
    // AWS sends these of every account that is in an organisation, and roots' ids are not kept.
    for key in ["aws:PrincipalOrgPaths", "aws:ResourceOrgPaths"] {
        if account.is_some() && matches!(context.get(key), ContextValue::Absent) {
            context = context.unknown(key, &format!("the value of `{key}` is not collected; give it"));
        }
    }
    let request = Request::new(requester, &question.action, &question.resource, question.resource_account, context);
    let mut policies = policies;
    above(index, &request, account, &mut policies, &mut notes);
    on_resource(index, &request, question, &mut policies);
    stand_in(&question.what_if, &mut policies);
    if question.what_if.vpc_endpoint.is_none() {
        notes.push("no VPC endpoint is taken to be in the way".to_owned());
    }
    Ok(Asked { request, policies, notes })
}

/// The organization of an account under a condition key, where the question does not say otherwise.
fn organization_id(index: &AccessIndex, context: Context, key: &str, account: AccountId) -> Context {
    if context.names(key) {
        return context;
    }
    match index.organization(account) {
        Organization::Known(id) => context.set(key, [id]),
        Organization::None => context.absent(key),
        Organization::NotSeen(why) if matches!(context.get(key), ContextValue::Absent) => {
            context.unknown(key, &format!("the value of `{key}` is not known: {why}; give it"))
        }
        Organization::NotSeen(_) => context,
    }
}

/// The account in a resource's ARN.
fn owner_of(resource: &str) -> Option<AccountId> {
    resource.parse::<Arn>().ok()?.account_id()
}

struct Caller {
    requester: Requester,
    policies: PolicySet,
    account: Option<AccountId>,
}

fn caller(
    index: &AccessIndex,
    question: &Question,
    context: &mut Context,
    notes: &mut Vec<String>,
) -> Result<Caller, AskError> {
    if let Some(key) = read_key(&question.principal) {
        return pod(index, &key, context, notes);
    }
    let requester =
        Requester::parse(&question.principal).ok_or_else(|| AskError::Principal(question.principal.clone()))?;
    let Requester::Principal { arn, .. } = &requester else {
        return Ok(Caller { requester, policies: PolicySet::default(), account: None });
    };
    let account = arn.account_id();
    let given = || question.what_if.identity.is_some();
    let role = match (arn.service(), arn.resource().split('/').next().unwrap_or_default()) {
        ("iam", "role") => index.role_or_unseen(arn.as_str()).0,
        ("sts", "assumed-role") => {
            let name = arn.resource().split('/').nth(1).unwrap_or_default();
            account.and_then(|account| index.role_named(account, name))
        }
        // The root user has no policies of its own and may do everything that nothing above forbids.
        ("iam", "root") => {
            let document =
                Document::new(r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
            let policies =
                PolicySet { identity: Some(vec![PolicyRef::known("root user", &document)]), ..PolicySet::default() };
            return Ok(Caller { requester, policies, account });
        }
        _ if given() => return Ok(Caller { policies: PolicySet::default(), account, requester }),
        _ => return Err(AskError::NotCollected(question.principal.clone())),
    };
    let Some(role) = role else {
        if given() {
            return Ok(Caller { policies: PolicySet::default(), account, requester });
        }
        return Err(AskError::Role(question.principal.clone()));
    };
    *context = role_tags(context.clone(), role);
    let requester = requester.with_unique_id(&role.role_id);
    let mut policies = own_policies(index, role, None);
    last_seen("role", index.role_or_unseen(role.arn.as_str()).1.as_ref(), &mut policies, notes);
    Ok(Caller { requester, policies, account })
}

/// What was not seen in the latest scan may say otherwise by now: nothing is allowed by it.
fn last_seen(what: &str, unseen: Option<&Reasons>, policies: &mut PolicySet, notes: &mut Vec<String>) {
    let Some(why) = unseen.map(Reasons::joined) else { return };
    policies.identity = Some(vec![PolicyRef::missing(&format!("{what} of today"), &why)]);
    notes.push(format!("the {what} is known only as it was last seen: {why}"));
}

/// A role's own tags are tags of its sessions, unless a session tag takes their place.
fn role_tags(context: Context, role: &Role) -> Context {
    role.tags.iter().fold(context, |context, (key, value)| context.or_set(&format!("aws:PrincipalTag/{key}"), value))
}

/// The session that a pod ends up with: of the association's role, or of its target role.
fn pod(
    index: &AccessIndex,
    key: &AssociationKey,
    context: &mut Context,
    notes: &mut Vec<String>,
) -> Result<Caller, AskError> {
    let none = |what: &str| AskError::Association(format!("{what} {key}"));
    let (association, unseen) = index.association_or_unseen(key);
    let association = association.ok_or_else(|| none("no association was seen for"))?;
    let detail = association.detail.as_ref().ok_or_else(|| none("EKS refused to describe the association of"))?;
    let arn = detail.target_role_arn.as_ref().unwrap_or(&detail.role_arn);
    let role = index.role_or_unseen(arn).0.ok_or_else(|| AskError::Role(arn.clone()))?;
    // EKS sends its own tags or none, and nobody else can add to them.
    let mut tagged = context.clone().absent_under("aws:PrincipalTag/");
    if !detail.disable_session_tags {
        tagged = session_tags(tagged, association);
    }
    *context = role_tags(tagged, role);
    notes.push(match &detail.target_role_arn {
        None => format!("pods of {key} act as {arn}"),
        Some(_) => {
            let by = &detail.role_arn;
            format!("pods of {key} act as {arn}, by way of {by}; whether that one may assume it is not asked here")
        }
    });
    let mut policies = own_policies(index, role, detail.policy.as_ref());
    last_seen("role", index.role_or_unseen(arn).1.as_ref(), &mut policies, notes);
    last_seen("association", unseen.as_ref(), &mut policies, notes);
    Ok(Caller {
        requester: Requester::role(&role.arn).with_unique_id(&role.role_id),
        policies,
        account: Some(role.arn.account_id()),
    })
}

/// The tags that EKS gives a pod's session; those that tell one pod from another are not known.
fn session_tags(mut context: Context, association: &Association) -> Context {
    let AssociationKey { account_id, region, cluster, namespace, service_account } = &association.key;
    let partition = association.arn.parse::<Arn>().map_or_else(|_| "aws".to_owned(), |arn| arn.partition().to_owned());
    let cluster_arn = format!("arn:{partition}:eks:{region}:{account_id}:cluster/{cluster}");
    let tags = [
        ("eks-cluster-arn", cluster_arn.as_str()),
        ("eks-cluster-name", cluster.as_str()),
        ("kubernetes-namespace", namespace.as_str()),
        ("kubernetes-service-account", service_account.as_str()),
    ];
    for tag in ["kubernetes-pod-name", "kubernetes-pod-uid"] {
        let key = format!("aws:PrincipalTag/{tag}");
        if matches!(context.get(&key), ContextValue::Absent) {
            context = context.unknown(&key, &format!("`{key}` differs from pod to pod"));
        }
    }
    tags.into_iter().fold(context, |context, (tag, value)| context.or_set(&format!("aws:PrincipalTag/{tag}"), value))
}

/// What the organisation says, above the principal and above the resource.
fn above(
    index: &AccessIndex,
    request: &Request,
    account: Option<AccountId>,
    policies: &mut PolicySet,
    notes: &mut Vec<String>,
) {
    let stated = [(account, OrgPolicyKind::Scp), (request.resource_account(), OrgPolicyKind::Rcp)];
    let stated = stated.into_iter().filter_map(|(account, kind)| index.assumes_no_policies(account?, kind));
    notes.extend(stated.map(|assumption| format!("it is assumed that {}", assumption.sentence())));
    policies.scp = account.and_then(|account| index.levels_or_missing(account, OrgPolicyKind::Scp)).map(Arc::from);
    policies.rcp =
        request.resource_account().and_then(|owner| index.levels_or_missing(owner, OrgPolicyKind::Rcp)).map(Arc::from);
}

/// The policy on the resource, and the trust policy where the resource is a role to be assumed.
fn on_resource(index: &AccessIndex, request: &Request, question: &Question, policies: &mut PolicySet) {
    let service = request.action().service();
    let assumes = service == "sts" && request.resource().as_str().contains(":role/");
    if assumes {
        policies.trust = Some(match index.role_or_unseen(&question.resource) {
            (Some(role), None) => trust_policy(index, role),
            (_, Some(why)) => PolicyRef::missing("trust policy", &why.joined()),
            (None, None) => PolicyRef::missing("trust policy", "the role is not among those that were seen"),
        });
        return;
    }
    let own = request.resource_account().is_some() && request.resource_account() == request.principal().account_id();
    if request.action().on_resources() && (WITH_RESOURCE_POLICIES.contains(&service) || !own) {
        policies.resource = Some(PolicyRef::missing(
            "policy of the resource",
            "such policies are not collected; give it, or say that there is none",
        ));
    }
}

fn policy_ref(given: &Given) -> PolicyRef {
    PolicyRef::known(&given.name, &given.document)
}

fn stand_in(what_if: &WhatIf, policies: &mut PolicySet) {
    let list = |given: &Option<Vec<Given>>, place: &mut Option<Vec<PolicyRef>>| {
        if let Some(given) = given {
            *place = Some(given.iter().map(policy_ref).collect());
        }
    };
    list(&what_if.identity, &mut policies.identity);
    list(&what_if.boundary, &mut policies.boundary);
    list(&what_if.session, &mut policies.session);
    list(&what_if.vpc_endpoint, &mut policies.vpc_endpoint);
    let levels = |given: &Option<Vec<Given>>, place: &mut Option<Arc<[Level]>>| {
        if let Some(given) = given {
            let level = Level { name: "as given".into(), policies: given.iter().map(policy_ref).collect() };
            *place = (!given.is_empty()).then(|| Arc::from([level]));
        }
    };
    levels(&what_if.scp, &mut policies.scp);
    levels(&what_if.rcp, &mut policies.rcp);
    let single = |given: &Option<Vec<Given>>, place: &mut Option<PolicyRef>| {
        if let Some(given) = given {
            *place = given.first().map(policy_ref);
        }
    };
    single(&what_if.resource, &mut policies.resource);
    single(&what_if.trust, &mut policies.trust);
}
