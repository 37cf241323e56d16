//! Calls that change what is watched: one CloudTrail record, one change event.
//!
//! Knows which calls of IAM, EKS, Organizations, CloudTrail and EC2 change a role, a policy, an identity
//! provider, an association, an add-on, an access entry, a cluster, an organization or a trail; which
//! resources each names, and by which of its parameters; who called, through whose session and with what
//! program. A call that was refused or failed is a change event too, with its error. Documents are kept as
//! the caller wrote them; what may be a secret is not. Refuses to know what the change means.

mod agent;
mod kinds;
mod request;

pub use agent::AgentClass;
pub(super) use agent::{Program, class_of};
pub(super) use kinds::{Call, call_of, is_watched};
pub(super) use request::{Parameters, Read};

use chrono::{DateTime, Utc};
use rolecall_estate::AssociationKey;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call that changes, or tried to change, what is watched. One CloudTrail record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// `eventID`; unique with account and region.
    pub event_id: String,
    /// `eventTime`.
    pub event_time: DateTime<Utc>,
    /// `recipientAccountId`: in whose trail the record stands.
    pub account_id: AccountId,
    /// `awsRegion`. IAM and Organizations are recorded in one region of their partition.
    pub region: Region,
    /// `eventSource`, such as `iam.amazonaws.com`.
    pub event_source: String,
    /// `eventName`, such as `UpdateAssumeRolePolicy`.
    pub event_name: String,
    /// Who called.
    pub actor: Actor,
    /// `sourceIPAddress`: an address, or the name of the AWS service that called.
    pub source_ip: Option<String>,
    /// `userAgent`, at most 1,024 bytes of it.
    pub user_agent: Option<String>,
    /// With what kind of program.
    pub agent_class: AgentClass,
    /// `errorCode`; `None` where the call succeeded.
    pub error_code: Option<String>,
    /// `errorMessage`, at most 1,024 bytes of it.
    pub error_message: Option<String>,
    /// What the call names. Empty where the record does not tell.
    pub resources: Vec<ChangedResource>,
    /// `requestParameters`, policy documents included, at most 64 KiB of texts and 16 levels. What may be a
    /// secret reads `HIDDEN_DUE_TO_SECURITY_REASONS`. Null where the record has none.
    pub request: Value,
    /// Whether something was left out of `request` because it was too long or too deep, by CloudTrail or
    /// here.
    pub is_request_cut: bool,
}

impl ChangeEvent {
    /// Whether the call was refused for want of permission.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.error_code.as_deref().is_some_and(crate::aggregate::is_denial)
    }
}

/// Who called.
/// Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `userIdentity.type`, such as `AssumedRole`; empty where the record has none.
    pub kind: String,
    /// The principal's ARN; of a session, that of the session.
    pub arn: Option<String>,
    /// Of a role's session: the role's ARN.
    pub session_issuer_arn: Option<String>,
    /// Of a role's session: its name.
    pub session_name: Option<String>,
    /// The principal's account.
    pub account_id: Option<String>,
    /// The access key that signed the call.
    pub access_key_id: Option<String>,
    /// The source identity that was set when the session, or one before it in the chain, began.
    pub source_identity: Option<String>,
    /// The AWS service that called on behalf of the principal, or for itself.
    pub invoked_by: Option<String>,
}

impl Actor {
    /// The ARN by which the actor is known: the session issuer's, else the principal's own; for an AWS
    /// service its name. `None` where the record tells none of them.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        [&self.session_issuer_arn, &self.arn, &self.invoked_by].into_iter().find_map(|name| name.as_deref())
    }
}

/// A resource that a call names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangedResource {
    /// Its CloudFormation type name, such as `AWS::IAM::Role`.
    pub resource_type: String,
    /// Its ARN; an association's key `ACCOUNT/REGION/CLUSTER/NAMESPACE/SERVICE-ACCOUNT` where the record
    /// tells it; the id of an Organizations resource, whose ARN the record does not tell. IAM's calls name a
    /// role without its path, so compare by [`resource_key`].
    pub resource: String,
    /// An association's `a-…` id.
    pub association_id: Option<String>,
    /// Whether the call changes this resource. The others are only named: the managed policy that is
    /// attached to a role, the unit that an account is moved to.
    pub is_changed: bool,
}

impl ChangedResource {
    fn new(resource_type: &str, resource: impl Into<String>) -> Self {
        let resource_type = resource_type.to_owned();
        Self { resource_type, resource: resource.into(), association_id: None, is_changed: true }
    }

    fn only_named(self) -> Self {
        Self { is_changed: false, ..self }
    }

    /// By what it is the same resource as another: [`resource_key`].
    #[must_use]
    pub fn key(&self) -> String {
        resource_key(&self.resource_type, &self.resource)
    }
}

/// By what two names are of the same resource, although one of them tells less. A role, an instance
/// profile and a customer managed policy are their account and name in lower case, since IAM allows a name
/// once in an account whatever its path and letter case; an add-on and an access entry are known without the
/// id at the end of their ARNs; a resource of Organizations by its id. Others are their own text.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
#[must_use]
pub fn resource_key(resource_type: &str, resource: &str) -> String {
    let Some(["arn", partition, service, region, account, rest]) = super::shape::parts(resource) else {
        return resource.to_owned();
    };
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    match resource_type {
        "AWS::IAM::Role" | "AWS::IAM::ManagedPolicy" | "AWS::IAM::InstanceProfile" => {
            let kind = rest.split('/').next().unwrap_or_default();
            format!("arn:{partition}:{service}::{account}:{kind}/{}", last(rest).to_lowercase())
        }
        "AWS::EKS::Addon" => {
            let parts: Vec<&str> = rest.split('/').take(3).collect();
            format!("arn:{partition}:{service}:{region}:{account}:{}", parts.join("/"))
        }
        "AWS::EKS::AccessEntry" => {
            // access-entry/CLUSTER/(role|user)/ACCOUNT/NAME/ID
            let parts: Vec<&str> = rest.split('/').take(5).collect();
            format!("arn:{partition}:{service}:{region}:{account}:{}", parts.join("/"))
        }
        "AWS::Organizations::Policy"
        | "AWS::Organizations::Account"
        | "AWS::Organizations::OrganizationalUnit"
        | "AWS::Organizations::Organization" => last(rest),
        _ => resource.to_owned(),
    }
}

/// What a call's resources are told by, besides its parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'t> {
    pub(super) account: AccountId,
    pub(super) region: &'t Region,
    pub(super) request: &'t Value,
    /// `responseElements`, and of an event that is no call `serviceEventDetails`.
    pub(super) response: &'t Value,
    pub(super) details: &'t Value,
    pub(super) error_message: Option<&'t str>,
}

impl Told<'_> {
    fn partition(&self) -> &'static str {
        let region = self.region.as_str();
        let prefixes =
            [("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-iso-", "aws-iso"), ("us-isob-", "aws-iso-b")];
        prefixes.into_iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
    }

    fn iam(&self, kind: &str, path: &str, name: &str) -> String {
        let slash = if path.starts_with('/') && path.ends_with('/') { path } else { "/" };
        format!("arn:{}:iam::{}:{kind}{slash}{name}", self.partition(), self.account)
    }

    fn regional(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition(), self.region, self.account)
    }

    fn association(&self, cluster: &str, namespace: &str, service_account: &str) -> Option<AssociationKey> {
        Some(AssociationKey {
            account_id: self.account,
            region: self.region.clone(),
            cluster: cluster.parse().ok()?,
            namespace: namespace.parse().ok()?,
            service_account: service_account.parse().ok()?,
        })
    }

    /// A parameter's text: of what was asked for.
    fn asked(&self, name: &str) -> Option<&str> {
        text(self.request, name)
    }

    /// A text of the answer, by the names of the objects on the way.
    fn answered(&self, path: &[&str]) -> Option<&str> {
        within(self.response, path)
    }
}

/// A member of an object, whatever the letter case of its name: CloudTrail's differs from service to
/// service.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    member(value, name)?.as_str().filter(|text| !text.is_empty() && text.len() <= 2048)
}

fn within<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    let (name, parents) = path.split_last()?;
    text(parents.iter().try_fold(value, |value, name| member(value, name))?, name)
}

/// The CloudFormation type of what an ARN names, if it is of a kind that is watched.
fn type_of(arn: &str) -> Option<&'static str> {
    let ["arn", _, service, _, _, rest] = super::shape::parts(arn)? else { return None };
    let kind = rest.split('/').next()?;
    Some(match (service, kind) {
        ("iam", "role") => "AWS::IAM::Role",
        ("iam", "policy") => "AWS::IAM::ManagedPolicy",
        ("iam", "instance-profile") => "AWS::IAM::InstanceProfile",
        ("iam", "oidc-provider") => "AWS::IAM::OIDCProvider",
        ("iam", "saml-provider") => "AWS::IAM::SAMLProvider",
        ("eks", "cluster") => "AWS::EKS::Cluster",
        ("eks", "podidentityassociation") => "AWS::EKS::PodIdentityAssociation",
        ("eks", "addon") => "AWS::EKS::Addon",
        ("eks", "access-entry") => "AWS::EKS::AccessEntry",
        ("eks", "nodegroup") => "AWS::EKS::Nodegroup",
        ("eks", "fargateprofile") => "AWS::EKS::FargateProfile",
        ("organizations", "policy") => "AWS::Organizations::Policy",
        ("organizations", "account") => "AWS::Organizations::Account",
        ("organizations", "ou") => "AWS::Organizations::OrganizationalUnit",
        ("organizations", "root" | "organization") => "AWS::Organizations::Organization",
        ("cloudtrail", "trail") => "AWS::CloudTrail::Trail",
        ("ec2", "instance") => "AWS::EC2::Instance",
        _ => return None,
    })
}

/// What a call named, from what was told of it. A refused call often has no parameters: then AWS's message
/// names the resource.
pub(super) fn resources(call: Call, told: &Told<'_>) -> Vec<ChangedResource> {
    let mut found = kinds::resources(call, told);
    if found.is_empty() {
        found.extend(told.error_message.and_then(|message| refused_on(message, told)));
    }
    found.retain(|resource| resource.resource.len() <= 2048);
    found.sort_by(|a, b| {
        (&a.resource_type, &a.resource, !a.is_changed).cmp(&(&b.resource_type, &b.resource, !b.is_changed))
    });
    found.dedup_by(|next, kept| next.resource_type == kept.resource_type && next.resource == kept.resource);
    found
}

/// The resource of a refusal: `… is not authorized to perform: iam:PutRolePolicy on resource: role api …`.
fn refused_on(message: &str, told: &Told<'_>) -> Option<ChangedResource> {
    let (_, after) = message.split_once(" on resource: ")?;
    let mut words = after.split_whitespace();
    let first = words.next()?.trim_end_matches(['.', ',']);
    if let Some(kind) = type_of(first) {
        return Some(of_arn(kind, first));
    }
    let name = words.next()?.trim_end_matches(['.', ',']);
    Some(match first {
        "role" => ChangedResource::new("AWS::IAM::Role", told.iam("role", "/", name)),
        "policy" if name.starts_with("arn:") => ChangedResource::new("AWS::IAM::ManagedPolicy", name),
        _ => return None,
    })
}

/// A resource of a known ARN.
fn of_arn(kind: &str, arn: &str) -> ChangedResource {
    let association_id = (kind == "AWS::EKS::PodIdentityAssociation")
        .then(|| arn.rsplit('/').next().unwrap_or_default().to_owned())
        .filter(|id| id.starts_with("a-"));
    ChangedResource { association_id, ..ChangedResource::new(kind, arn) }
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn beginning(text: &str, longest: usize) -> String {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
