//! Who asks, and the condition keys that AWS sets for each kind of requester.
//!
//! Keys that are derived, always: `aws:PrincipalArn`, `aws:PrincipalAccount`, `aws:PrincipalType`,
//! `aws:PrincipalIsAWSService`, `aws:PrincipalServiceName`, `aws:PrincipalServiceNamesList`,
//! `aws:username`, `aws:userid` (where the unique id is known). Only for a context that leaves nothing
//! open: the role ARN of a role session, taken to have no path. Source:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>.

use crate::arn::{AccountId, Arn, RoleArn};
use crate::context::{Context, ContextValue};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// Nobody that AWS knows: an unsigned request.
    Anonymous,
    /// An AWS service, such as `pods.eks.amazonaws.com`.
    Service(String),
    /// A role (standing for its sessions), a user, a session, a federated user, or an account's root.
    Principal {
        /// Its ARN.
        arn: Arn,
        /// Its unique id (`AROA…`, `AIDA…`), where it is known; of a session, its role's.
        unique_id: Option<String>,
    },
    /// Somebody whom an identity provider vouches for: the provider's ARN or host.
    Federated(String),
    /// Some AWS principal of no account that is named anywhere, whose own policies allow it.
    Outsider,
}

/// What kind of principal asks, as far as decisions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Anonymous,
    Service,
    Root,
    User,
    Role,
    Session,
    FederatedUser,
    Federated,
    Outsider,
    Other,
}

impl Requester {
    /// An AWS service.
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self::Service(name.to_owned())
    }

    /// A role, and every session of it.
    #[must_use]
    pub fn role(arn: &RoleArn) -> Self {
        Self::Principal { arn: arn.arn().clone(), unique_id: None }
    }

    /// A principal by its ARN.
    #[must_use]
    pub fn principal(arn: &Arn) -> Self {
        Self::Principal { arn: arn.clone(), unique_id: None }
    }

    /// The same principal, known by its unique id too.
    #[must_use]
    pub fn with_unique_id(self, id: &str) -> Self {
        match self {
            Self::Principal { arn, .. } => Self::Principal { arn, unique_id: Some(id.to_owned()) },
            other => other,
        }
    }

    /// Somebody whom an identity provider vouches for.
    #[must_use]
    pub fn federated(provider: &str) -> Self {
        Self::Federated(provider.to_owned())
    }

    /// A requester as people write it: `anonymous`, an ARN, an identity provider's ARN, or the name
    /// of a service. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "anonymous" || text == "*" {
            return Some(Self::Anonymous);
        }
        if let Ok(arn) = text.parse::<Arn>() {
            let provider = ["oidc-provider/", "saml-provider/"].iter().any(|p| arn.resource().starts_with(p));
            return Some(if provider { Self::federated(text) } else { Self::principal(&arn) });
        }
        if let Ok(account) = text.parse::<AccountId>() {
            return format!("arn:aws:iam::{account}:root").parse().ok().map(|arn: Arn| Self::principal(&arn));
        }
        let name = text.contains('.') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        name.then(|| Self::service(text))
    }

    /// As a policy would write it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Service(name) | Self::Federated(name) => name,
            Self::Principal { arn, .. } => arn.as_str(),
            Self::Outsider => "some principal of another account",
        }
    }

    /// The account that it belongs to, where it has one.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Principal { arn, .. } => arn.account_id(),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Anonymous => Kind::Anonymous,
            Self::Service(_) => Kind::Service,
            Self::Federated(_) => Kind::Federated,
            Self::Outsider => Kind::Outsider,
            Self::Principal { arn, .. } => {
                let kind = arn.resource().split('/').next().unwrap_or_default();
                match (arn.service(), kind) {
                    ("iam" | "sts", "root") => Kind::Root,
                    ("iam", "role") => Kind::Role,
                    ("iam", "user") => Kind::User,
                    ("sts", "assumed-role") => Kind::Session,
                    ("sts", "federated-user") => Kind::FederatedUser,
                    _ => Kind::Other,
                }
            }
        }
    }

    /// The name, without its path, of the role that it is or is a session of.
    pub(crate) fn role_name(&self) -> Option<&str> {
        let Self::Principal { arn, .. } = self else { return None };
        match self.kind() {
            Kind::Role => arn.resource().rsplit('/').next(),
            Kind::Session => arn.resource().strip_prefix("assumed-role/")?.split('/').next(),
            _ => None,
        }
    }

    /// What is known of a request of this requester before anything else is: keys that its kind
    /// always or never has. All others stay open.
    #[must_use]
    pub fn context(&self) -> Context {
        match self {
            // A service sends no keys of its own: those of other prefixes describe web identities,
            // SAML subjects, or what a role session runs on.
            Self::Service(_) => self.known(Context::open_under(&["aws:", "sts:", "iam:"])),
            Self::Principal { .. } => self.known(Context::open().absent_under("saml:")),
            Self::Anonymous | Self::Federated(_) | Self::Outsider => self.known(Context::open()),
        }
    }

    /// Adds what is known of this requester to a context that does not say otherwise.
    pub(crate) fn known(&self, context: Context) -> Context {
        let nobody = |context: Context| {
            context
                .or_absent("aws:PrincipalArn")
                .or_absent("aws:PrincipalAccount")
                .or_absent("aws:PrincipalOrgID")
                .or_absent("aws:PrincipalOrgPaths")
                .or_absent("aws:MultiFactorAuthPresent")
                .or_absent("aws:MultiFactorAuthAge")
                .or_absent("aws:username")
                .absent_under("aws:PrincipalTag/")
        };
        match self {
            Self::Service(name) => {
                let context = nobody(context)
                    .or_set("aws:PrincipalIsAWSService", "true")
                    .or_set("aws:PrincipalServiceName", name)
                    .or_absent("sts:ExternalId");
                // A service may have several names: AWS sends them as a list.
                let list = "aws:PrincipalServiceNamesList";
                if context.names(list) { context } else { context.set_list(list, [name.as_str()]) }
            }
            Self::Anonymous => nobody(context)
                .or_set("aws:PrincipalIsAWSService", "false")
                .or_set("aws:PrincipalType", "Anonymous")
                .or_absent("aws:PrincipalServiceName"),
            Self::Principal { arn, unique_id } => {
                let context = context
                    .or_set("aws:PrincipalIsAWSService", "false")
                    .or_set("aws:PrincipalAccount", arn.account())
                    .or_absent("aws:PrincipalServiceName");
                self.known_principal(context, arn, unique_id.as_deref())
            }
            Self::Federated(_) | Self::Outsider => context.or_set("aws:PrincipalIsAWSService", "false"),
        }
    }

    fn known_principal(&self, context: Context, arn: &Arn, unique_id: Option<&str>) -> Context {
        let typed = |context: Context, kind: &str| context.or_set("aws:PrincipalType", kind);
        let name = || arn.resource().rsplit('/').next().unwrap_or_default();
        match self.kind() {
            // A policy that names an account's root means anyone in it: nothing more is known.
            Kind::Root | Kind::Other => context,
            Kind::User => {
                let context = typed(context, "User").or_set("aws:username", name());
                let context = unique_id.map_or(context.clone(), |id| context.or_set("aws:userid", id));
                context.or_set("aws:PrincipalArn", arn.as_str())
            }
            Kind::Role => {
                let context = typed(context, "AssumedRole").or_absent("aws:username");
                context.or_set("aws:PrincipalArn", arn.as_str())
            }
            Kind::Session => {
                let context = typed(context, "AssumedRole").or_absent("aws:username");
                let context = match unique_id {
                    Some(id) => context.or_set("aws:userid", &format!("{id}:{}", name())),
                    None => context,
                };
                // The ARN of a session lacks its role's path: an open context leaves it open.
                match (context.get("aws:PrincipalArn"), self.role_name()) {
                    (ContextValue::Absent, Some(role)) => {
                        let role = format!("arn:{}:iam::{}:role/{role}", arn.partition(), arn.account());
                        context.or_set("aws:PrincipalArn", &role)
                    }
                    _ => context,
                }
            }
            _ => {
                let context = typed(context, "FederatedUser").or_absent("aws:username");
                context.or_set("aws:PrincipalArn", arn.as_str())
            }
        }
    }
}
