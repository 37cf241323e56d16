//! A request: who asks to do what to which resource, and what is known of its condition keys.
//!
//! Adds the condition keys that AWS always sets where the given context says nothing:
//! `aws:ResourceAccount`, and, where nothing is left open, `aws:ViaAWSService` as `false`. Refuses to
//! know the clock, the network, and the tags of anything: whoever asks says those.

use crate::arn::{AccountId, Arn, ArnText};
use crate::catalogue::action_name::ActionName;
use crate::context::{Context, ContextValue};
use crate::evaluate::requester::{Kind, Requester};
use crate::matching::glob::overlap::Asked;

/// Services whose resources resource control policies bind, by prefix, in order: the list of AWS
/// Organizations' page on them, of 2026-09-26.
#[rustfmt::skip]
const UNDER_RCP: [&str; 62] = [
    "aoss", "appconfig", "appstream", "autoscaling", "autoscaling-plans", "budgets",
    "clouddirectory", "cloudfront", "cloudsearch", "cloudtrail-data", "codeartifact", "codebuild",
    "codecommit", "codepipeline", "cognito-identity", "cognito-idp", "comprehend", "comprehendmedical",
    "compute-optimizer", "cost-optimization-hub", "dax", "dsql", "dynamodb", "ecr",
    "ecr-public", "events", "firehose", "fis", "fms", "gamelift",
    "health", "inspector-scan", "kendra", "kinesisvideo", "kms", "logs",
    "memorydb", "networkmonitor", "notifications", "opensearch", "pca-connector-ad", "personalize",
    "polly", "pricing", "resource-groups", "rolesanywhere", "s3", "secretsmanager",
    "servicediscovery", "signin", "sqs", "sts", "support", "swf",
    "textract", "timestream-influxdb", "transcribe", "transfer", "translate", "wafv2",
    "workspaces", "xray",
];

/// Whether resource control policies bind the resources of a service, by its prefix in lower case.
pub(crate) fn takes_rcps(service: &str) -> bool {
    UNDER_RCP.binary_search(&service).is_ok()
}

/// The name of the resource that is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName {
    text: Box<str>,
    owner: Owner,
    /// Where more than one resource is named.
    asked: Option<Box<Asked>>,
}

/// Whose the resource is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// This account's.
    Account(AccountId),
    /// The requester's own: `*`, and what AWS itself owns.
    Own,
    /// The name does not say, as in `arn:aws:s3:::bucket`.
    Unsaid,
}

impl ResourceName {
    /// An ARN, or `*`. With a `*` in it, it asks whether some resource of these is allowed: an
    /// Allow counts if it names some of them, a Deny only if it names them all.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let asked = text.contains('*').then(|| Box::new(Asked::new(text)));
        Self { asked, ..Self::literal(text) }
    }

    /// A name that is compared as it stands.
    fn literal(text: &str) -> Self {
        let arn = text.parse::<Arn>().ok();
        let owner = match &arn {
            _ if text == "*" => Owner::Own,
            Some(arn) if arn.account() == "aws" => Owner::Own,
            Some(arn) => arn.account_id().map_or(Owner::Unsaid, Owner::Account),
            None => Owner::Unsaid,
        };
        Self { text: text.into(), owner, asked: None }
    }

    /// The resources that it names, where it names more than one.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        self.asked.as_deref()
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// One request. Made once, decided as often as there are policies to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    principal: Requester,
    action: ActionName,
    resource: ResourceName,
    context: Context,
    kind: Kind,
    account: Option<AccountId>,
    owner: Option<AccountId>,
    service_linked: bool,
    rules: Rules,
}

/// Why AWS refuses a request whatever the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Never {
    /// Nobody assumes a role as an account's root.
    Root,
    /// The role is an AWS service's own: only that service changes it.
    ServiceLinkedRole,
    /// The role is one that AWS keeps for itself, such as those of IAM Identity Center.
    ReservedRole,
    /// The policy is one that AWS manages.
    AwsPolicy,
    /// The name is one that AWS keeps for the keys that it manages.
    AwsAlias,
}

impl Never {
    /// Why, as a sentence.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Root => "AWS lets nobody assume a role as an account's root",
            Self::ServiceLinkedRole => "AWS lets nobody but the service change a service-linked role",
            Self::ReservedRole => "AWS lets nobody change a role under the path /aws-reserved/",
            Self::AwsPolicy => "AWS lets nobody change a policy that AWS manages",
            Self::AwsAlias => "AWS lets nobody change an alias that begins with alias/aws/",
        }
    }

    /// Whom no policy can help, by the action in lower case and the resource.
    ///
    /// Sources: the error `UnmodifiableEntity` in the IAM API reference, by action; IAM user guide,
    /// "Create a service-linked role" (its description can be edited) and "Managed policies and inline
    /// policies"; re:Post, "I get a 'Cannot perform the operation on the protected role' error"; KMS
    /// API reference, `CreateAlias`.
    fn new(principal: &Requester, action: &str, resource: &str) -> Option<Self> {
        // A service changes what is its own.
        if matches!(principal, Requester::Service(_)) {
            return None;
        }
        let (service, name) = action.split_once(':')?;
        match service {
            "sts" => (name == "assumerole" && principal.kind() == Kind::Root).then_some(Self::Root),
            "iam" if CHANGES_OF_POLICIES.contains(&name) => {
                (ArnText(resource).account() == Some("aws")).then_some(Self::AwsPolicy)
            }
            "iam" if CHANGES_OF_ROLES.contains(&name) => {
                let path = resource.splitn(6, ':').nth(5)?.strip_prefix("role/")?;
                // IAM lets nobody choose these two paths.
                if path.starts_with("aws-reserved/") {
                    return Some(Self::ReservedRole);
                }
                let described = matches!(name, "updaterole" | "updateroledescription");
                (path.starts_with("aws-service-role/") && !described).then_some(Self::ServiceLinkedRole)
            }
            "kms" if matches!(name, "createalias" | "updatealias" | "deletealias") => {
                let name = resource.splitn(6, ':').nth(5)?;
                name.starts_with("alias/aws/").then_some(Self::AwsAlias)
            }
            _ => None,
        }
    }
}

/// The actions that IAM refuses on roles that AWS keeps for itself.
pub(crate) const CHANGES_OF_ROLES: [&str; 10] = [
    "attachrolepolicy",
    "deleterole",
    "deleterolepermissionsboundary",
    "deleterolepolicy",
    "detachrolepolicy",
    "putrolepermissionsboundary",
    "putrolepolicy",
    "updateassumerolepolicy",
    "updaterole",
    "updateroledescription",
];

/// The actions that IAM refuses on policies that AWS manages.
pub(crate) const CHANGES_OF_POLICIES: [&str; 6] = [
    "createpolicyversion",
    "deletepolicy",
    "deletepolicyversion",
    "setdefaultpolicyversion",
    "tagpolicy",
    "untagpolicy",
];

/// What AWS does differently for some actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rules {
    /// A role's trust policy may decide on it.
    may_be_for_role: bool,
    /// The policy on the resource must allow, even within one account.
    needs_resource_policy: bool,
    /// Resource control policies bind what it acts on.
    under_rcp: bool,
    /// AWS allows it whatever the policies say.
    never_refused: bool,
    /// AWS refuses it whatever the policies say.
    never_allowed: Option<Never>,
}

impl Rules {
    fn new(principal: &Requester, action: &ActionName, resource: &ResourceName) -> Self {
        let lower = action.lower();
        let assumes = matches!(lower, "sts:assumerole" | "sts:assumerolewithsaml" | "sts:assumerolewithwebidentity");
        let adds = matches!(lower, "sts:tagsession" | "sts:setsourceidentity" | "sts:setcontext");
        let key = || resource.text.splitn(6, ':').nth(5).is_some_and(|name| name.starts_with("key/"));
        let is_principal = matches!(principal, Requester::Principal { .. });
        Self {
            may_be_for_role: assumes || adds,
            needs_resource_policy: assumes
                || (adds && resource.text.contains(":role/"))
                || (action.service() == "kms" && key()),
            under_rcp: takes_rcps(action.service()),
            never_refused: is_principal && lower == "sts:getcalleridentity",
            never_allowed: Never::new(principal, lower, &resource.text),
        }
    }
}

impl Request {
    /// Puts a request together. `resource_account` is the account that owns the resource, where it
    /// is known other than by the resource's ARN. The context gets the keys that AWS always sets
    /// and that it does not mention.
    #[must_use]
    pub fn new(
        principal: Requester,
        action: &str,
        resource: &str,
        resource_account: Option<AccountId>,
        context: Context,
    ) -> Self {
        let context = principal.known(context);
        let request = Self {
            owner: resource_account,
            resource: ResourceName::new(resource),
            ..Self::plain(principal, action, resource, context)
        };
        let request = if request.action.on_resources { request } else { request.on_no_resource() };
        request.complete(resource_account)
    }

    /// A request whose context is complete as it is, on the resource with this very name.
    pub(crate) fn plain(principal: Requester, action: &str, resource: &str, context: Context) -> Self {
        let (kind, account) = (principal.kind(), principal.account_id());
        let (action, resource) = (ActionName::new(action), ResourceName::literal(resource));
        let rules = Rules::new(&principal, &action, &resource);
        Self { principal, action, resource, context, kind, account, owner: None, service_linked: false, rules }
    }

    fn complete(mut self, resource_account: Option<AccountId>) -> Self {
        self.owner = resource_account.or(match self.resource.owner {
            Owner::Account(id) => Some(id),
            Owner::Own => self.account,
            Owner::Unsaid => None,
        });
        if let Some(owner) = self.owner {
            self.context = self.context.or_set("aws:ResourceAccount", &owner.to_string());
        }
        if self.kind != Kind::Service && self.context.get("aws:ViaAWSService") == ContextValue::Absent {
            self.context = self.context.or_set("aws:ViaAWSService", "false");
        }
        self.service_linked = self.is_service_linked();
        self
    }

    /// The same request of an action that acts on no resource of its own: only `*` matches it.
    #[must_use]
    pub fn on_no_resource(mut self) -> Self {
        self.action.on_resources = false;
        // S3 is the exception: its documentation limits such actions to `arn:aws:s3:::*`.
        let partition = match &self.principal {
            Requester::Principal { arn, .. } => arn.partition(),
            _ => "aws",
        };
        let text = if self.action.service() == "s3" { format!("arn:{partition}:s3:::*") } else { "*".to_owned() };
        let owner = match self.resource.owner {
            Owner::Account(id) => Owner::Account(id),
            _ => Owner::Own,
        };
        self.resource = ResourceName { owner, ..ResourceName::new(&text) };
        self.rules = Rules::new(&self.principal, &self.action, &self.resource);
        let given = self.owner;
        self.complete(given)
    }

    fn is_service_linked(&self) -> bool {
        let path = |arn: &str| arn.contains(":role/aws-service-role/");
        match (self.kind, &self.principal) {
            (Kind::Role, Requester::Principal { arn, .. }) => path(arn.as_str()),
            (Kind::Session, _) => {
                let Some(name) = self.principal.role_name() else { return false };
                match self.context.get("aws:PrincipalArn") {
                    ContextValue::Known(values) | ContextValue::List(values) if values.iter().any(|arn| path(arn)) => {
                        true
                    }
                    // IAM keeps these names for service-linked roles.
                    _ => name.starts_with("AWSServiceRoleFor"),
                }
            }
            _ => false,
        }
    }

    /// The same request with another context.
    pub(crate) fn with_context(mut self, change: impl FnOnce(Context) -> Context) -> Self {
        self.context = change(self.context);
        self
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &Requester {
        &self.principal
    }

    /// What is asked.
    #[must_use]
    pub fn action(&self) -> &ActionName {
        &self.action
    }

    /// The resource, as policies see it: `*` for an action that acts on none.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        &self.resource
    }

    /// The condition keys, with those that AWS always sets.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The account that owns the resource, where it is known.
    #[must_use]
    pub fn resource_account(&self) -> Option<AccountId> {
        self.owner
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the requester has policies of its own.
    pub(crate) fn has_own_policies(&self) -> bool {
        matches!(self.principal, Requester::Principal { .. } | Requester::Outsider)
    }

    pub(crate) fn is_never_refused(&self) -> bool {
        self.rules.never_refused
    }

    pub(crate) fn never_allowed(&self) -> Option<Never> {
        self.rules.never_allowed
    }

    pub(crate) fn is_under_rcp(&self) -> bool {
        self.rules.under_rcp
    }

    pub(crate) fn may_be_for_role(&self) -> bool {
        self.rules.may_be_for_role
    }

    pub(crate) fn needs_resource_policy(&self) -> bool {
        self.rules.needs_resource_policy
    }

    pub(crate) fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// Whether the requester is a role that a service made for itself.
    #[must_use]
    pub fn is_service_linked_role(&self) -> bool {
        self.service_linked
    }
}
