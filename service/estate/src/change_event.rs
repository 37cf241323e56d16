//! Calls that change what is watched, as CloudTrail records them.
//!
//! Refuses to know how a record is read, and what a change means.

use crate::id::Region;
use chrono::{DateTime, Utc};
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
    /// Whether the error says that permission was wanting.
    pub is_denied: bool,
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
    let Some(["arn", partition, service, region, account, rest]) = parts(resource) else {
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

/// The [`resource_key`] of what a person or a program names by itself: an ARN, an association's key or id,
/// an id of Organizations.
#[must_use]
pub fn named_key(resource: &str) -> String {
    resource_type(resource).map_or_else(|| resource.to_owned(), |kind| resource_key(kind, resource))
}

/// The CloudFormation type of what an ARN names, if it is of a kind that is watched.
#[must_use]
pub fn resource_type(arn: &str) -> Option<&'static str> {
    let ["arn", _, service, _, _, rest] = parts(arn)? else { return None };
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

/// The six parts of an ARN, the last with all colons that follow.
fn parts(arn: &str) -> Option<[&str; 6]> {
    let mut parts = arn.splitn(6, ':');
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?])
}

rolecall_iam::vocabulary! {
    /// With what kind of program a call was made.
    pub enum AgentClass: "a class of user agent" {
        /// The AWS Management Console, by a person.
        Console = "console",
        /// Terraform or `OpenTofu`.
        Terraform = "terraform",
        /// CloudFormation, for a stack.
        CloudFormation = "cloudformation",
        /// `eksctl`.
        Eksctl = "eksctl",
        /// A controller in a Kubernetes cluster: ACK, Crossplane, Cluster API, Karpenter and others.
        Controller = "controller",
        /// The AWS CLI, or AWS Tools for PowerShell.
        Cli = "cli",
        /// A program with an AWS SDK.
        Sdk = "sdk",
        /// An AWS service, for itself or on behalf of a principal.
        AwsService = "aws-service",
        /// None of these, or the record does not tell.
        Other = "other",
    }
}
