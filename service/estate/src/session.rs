//! Sessions that CloudTrail recorded, and to which pod each belongs. Refuses to know how records are read, and
//! by which rules a session is attributed.

use crate::activity::AssociationSpan;
use crate::id::Region;
use crate::resource::{AssociationKey, Tags};
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};

rolecall_iam::vocabulary! {
    /// How a session came to be.
    pub enum SessionKind: "a kind of session" {
        /// STS `AssumeRole` by `pods.eks.amazonaws.com`.
        PodIdentity = "pod_identity",
        /// STS `AssumeRole` by a session of an association role, into its target role.
        PodIdentityTarget = "pod_identity_target",
        /// STS `AssumeRoleWithWebIdentity`.
        WebIdentity = "web_identity",
        /// STS `AssumeRoleWithSAML`.
        Saml = "saml",
        /// STS `AssumeRole` by another AWS service.
        Service = "service",
        /// Any other STS `AssumeRole`.
        AssumeRole = "assume_role",
        /// `eks-auth:AssumeRoleForPodIdentity`: the agent's request, which names no role.
        AgentRequest = "agent_request",
    }
}

/// One AssumeRole-like event: a session, or the refusal of one. Never holds a session token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// CloudTrail's event id; unique with `account_id`.
    pub event_id: String,
    /// The account in whose trail it was recorded (`recipientAccountId`).
    pub account_id: AccountId,
    /// The event's region.
    pub region: Region,
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub kind: SessionKind,
    /// The role asked for, where the event names one.
    pub role_arn: Option<String>,
    /// The session name, as given; `None` where the event has none.
    pub session_name: Option<String>,
    /// The new access key id.
    pub access_key_id: Option<String>,
    /// Who asked: a service name, an ARN, or a web identity's user name.
    pub principal: String,
    /// CloudTrail's `userIdentity.type`.
    pub principal_type: String,
    /// The access key id that the caller used.
    pub parent_access_key_id: Option<String>,
    /// Where the call came from.
    pub source_ip: Option<String>,
    /// The VPC endpoint that it came through.
    #[serde(default)]
    pub vpc_endpoint: Option<VpcEndpoint>,
    /// Session tags (own and incoming transitive ones).
    pub tags: Tags,
    /// The external id sent.
    pub external_id: Option<String>,
    /// Seconds asked for.
    pub duration_seconds: Option<u32>,
    /// Percentage of the packed limit used.
    pub packed_policy_size: Option<u8>,
    /// The error code of a refused call.
    pub error: Option<String>,
    /// The cluster that the event or its tags name.
    pub cluster: Option<String>,
    /// To which pod it belongs; `None` until that is worked out.
    #[serde(default)]
    pub attribution: Option<Box<SessionAttribution>>,
}

/// A VPC endpoint, as CloudTrail names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// `vpce-…`.
    pub id: String,
    /// Its owner, where the event says so.
    pub account_id: Option<String>,
}

rolecall_iam::vocabulary! {
    /// How a session was attributed to its pod.
    #[derive(Default)]
    pub enum AttributionMethod: "an attribution method" {
        /// By session tags that EKS set.
        Tags = "tags",
        /// By its access key id: another account's record of the same session is attributed.
        AccessKey = "access_key",
        /// By the session that opened it.
        Chain = "chain",
        /// By its role and name, which fit one association alone.
        Name = "name",
        /// By its role and name, which fit several: they are named.
        Ambiguous = "ambiguous",
        /// Not at all; the reason says why.
        #[default]
        None = "none",
    }
}

/// To which pod a session belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAttribution {
    /// By what.
    pub method: AttributionMethod,
    /// The association that was valid at that moment.
    pub association: Option<AssociationKey>,
    /// Its id.
    pub association_id: Option<String>,
    /// The cluster.
    pub cluster: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The service account.
    pub service_account: Option<String>,
    /// The pod's name; cut to ten characters where only the session's name tells it.
    pub pod: Option<String>,
    /// Ids of the associations that it can be, where they are several.
    pub candidates: Vec<String>,
    /// The access key id of the session that opened this one, where that session is known.
    pub parent: Option<String>,
    /// How many sessions lie between the pod's own and this one.
    pub depth: u8,
    /// Why it is not attributed, or not to an association.
    pub reason: Option<String>,
}

impl SessionAttribution {
    /// To no pod, with the reason.
    #[must_use]
    pub fn unattributed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// To the association that this is a time of.
    #[must_use]
    pub fn by(method: AttributionMethod, span: &AssociationSpan, pod: Option<String>) -> Self {
        Self {
            method,
            association: Some(span.key.clone()),
            association_id: Some(span.association_id.clone()),
            cluster: Some(span.key.cluster.to_string()),
            namespace: Some(span.key.namespace.to_string()),
            service_account: Some(span.key.service_account.to_string()),
            pod,
            ..Self::default()
        }
    }

    /// Whether it belongs to a pod, though perhaps not known to which.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        !matches!(self.method, AttributionMethod::None)
    }
}
