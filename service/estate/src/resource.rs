//! What can be observed: accounts, roles, policies, clusters, associations, sessions, trails.
//!
//! Plain facts in AWS's own terms, the same whether they came over the wire, from a file or from
//! the store. Documents are named by digest and held once, in [`Documents`]. What could not be
//! parsed stays as text. Refuses to know where a fact came from and what it means.

use crate::assumption::Assumption;
use crate::id::{ClusterName, Namespace, Region, ServiceAccount};
use crate::trail::{AssociationSpan, Networks, Origin, Whole};
use crate::weigh::Used;
use chrono::{DateTime, Utc};
use rolecall_iam::{AccountId, Arn, Digest, Document, RoleArn};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Resource tags.
pub type Tags = BTreeMap<String, String>;

/// Documents by their content address; each text is held, and parsed, once.
#[derive(Debug, Clone, Default)]
pub struct Documents(BTreeMap<Digest, Document>);

impl Documents {
    /// Reads a text, keeps it, and returns its address.
    pub fn read(&mut self, text: &str) -> Digest {
        self.add(Document::read(text))
    }

    /// Keeps a document and returns its address. The first text of an address stays.
    pub fn add(&mut self, document: Document) -> Digest {
        let digest = document.digest;
        self.0.entry(digest).or_insert(document);
        digest
    }

    /// The document at an address.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<&Document> {
        self.0.get(digest)
    }

    /// All of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Document> {
        self.0.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over another set.
    pub fn absorb(&mut self, other: Self) {
        for document in other.0.into_values() {
            self.add(document);
        }
    }
}

/// An AWS account of the estate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// Its name in the organisation or in the configuration.
    pub name: Option<String>,
    /// OU path such as `/workloads/prod`; `/` for the root; `None` where not known.
    pub ou_path: Option<String>,
    /// Organisations' own status, such as `ACTIVE`.
    pub status: Option<String>,
    /// Whether this is the organisation's management account (SCPs do not bind it).
    pub is_management: bool,
    /// The organisation's id, `o-…`; `None` where not known.
    #[serde(default)]
    pub organization_id: Option<String>,
}

impl Account {
    /// An account of which nothing but its id is known.
    #[must_use]
    pub fn new(id: AccountId) -> Self {
        Self { id, name: None, ou_path: None, status: None, is_management: false, organization_id: None }
    }
}

/// An inline policy of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlinePolicy {
    /// The policy's name within the role.
    pub name: String,
    /// Its document.
    pub document: Digest,
}

/// A managed policy attached to a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedPolicy {
    /// The policy's ARN.
    pub arn: Arn,
    /// The policy's name.
    pub name: String,
}

/// An IAM role, as `GetAccountAuthorizationDetails` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The role's ARN; its account owns the role.
    pub arn: RoleArn,
    /// The unique id (`AROA…`): changes when a role is deleted and made anew.
    pub role_id: String,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// Its trust policy.
    pub trust: Option<Digest>,
    /// Inline policies, by name.
    pub inline: Vec<InlinePolicy>,
    /// Attached managed policies, by ARN.
    pub attached: Vec<AttachedPolicy>,
    /// The permissions boundary's policy ARN.
    pub boundary: Option<Arn>,
    /// Instance profiles that hold it, by ARN.
    pub instance_profiles: Vec<String>,
    /// Resource tags.
    pub tags: Tags,
}

/// When and where IAM last saw a role used (trailing 400 days). Kept apart from [`Role`], since it
/// changes without the role changing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleLastUsed {
    /// The role.
    pub role: RoleArn,
    /// Last use.
    pub at: DateTime<Utc>,
    /// Where.
    pub region: Option<String>,
}

/// A managed policy: a customer's own, or one of AWS's in use in the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// The account in which it was seen; AWS's own policies are seen in many.
    pub account_id: AccountId,
    /// Its ARN; the account segment is `aws` for AWS's own.
    pub arn: Arn,
    /// Its name.
    pub name: String,
    /// Unique id (`ANPA…`).
    pub policy_id: String,
    /// The version in force.
    pub default_version: String,
    /// The document of the version in force.
    pub document: Option<Digest>,
    /// When the policy last changed.
    pub updated_at: Option<DateTime<Utc>>,
}

/// An add-on of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addon {
    /// Such as `eks-pod-identity-agent`.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Such as `ACTIVE` or `DEGRADED`.
    pub status: Option<String>,
    /// The IRSA role of the add-on, if any.
    pub service_account_role_arn: Option<String>,
    /// Associations that the add-on owns, by ARN.
    pub association_arns: Vec<String>,
    /// Codes of the health issues that EKS reports.
    pub health_issues: Vec<String>,
}

/// Who may enter a cluster by an access entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessEntry {
    /// The IAM principal.
    pub principal_arn: String,
    /// Kubernetes groups.
    pub groups: Vec<String>,
    /// Such as `STANDARD` or `EC2_LINUX`.
    pub kind: Option<String>,
    /// Associated EKS access policies, by ARN, with their scope (`cluster`, or namespaces).
    pub policies: Vec<AccessPolicy>,
}

/// An EKS access policy of an access entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// The policy.
    pub arn: String,
    /// Empty: the whole cluster.
    pub namespaces: Vec<String>,
}

/// An EKS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Owner.
    pub account_id: AccountId,
    /// Where.
    pub region: Region,
    /// Name, unique per account and region.
    pub name: ClusterName,
    /// Its ARN.
    pub arn: String,
    /// When it was made: the ARN is reused when a cluster is deleted and made anew.
    pub created_at: Option<DateTime<Utc>>,
    /// Kubernetes version.
    pub version: Option<String>,
    /// Such as `ACTIVE`.
    pub status: Option<String>,
    /// The cluster's own IAM role.
    pub role_arn: Option<String>,
    /// The OIDC issuer, which IRSA roles trust.
    pub oidc_issuer: Option<String>,
    /// `API`, `API_AND_CONFIG_MAP`, `CONFIG_MAP`.
    pub authentication_mode: Option<String>,
    /// EKS Auto Mode: the Pod Identity agent is built in. `None` where not said.
    pub auto_mode: Option<bool>,
    /// Add-ons; `None` where not looked at or refused.
    pub addons: Option<Vec<Addon>>,
    /// Access entries; `None` where not looked at or refused.
    pub access_entries: Option<Vec<AccessEntry>>,
    /// Resource tags.
    pub tags: Tags,
}

impl Cluster {
    /// Its key within its account: `region/name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.region, self.name)
    }
}

/// What makes an association the same association: EKS allows one per service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AssociationKey {
    /// The cluster's account.
    pub account_id: AccountId,
    /// The cluster's region.
    pub region: Region,
    /// The cluster.
    pub cluster: ClusterName,
    /// The namespace.
    pub namespace: Namespace,
    /// The service account.
    pub service_account: ServiceAccount,
}

impl std::fmt::Display for AssociationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account_id, region, cluster, namespace, service_account } = self;
        write!(f, "{account_id}/{region}/{cluster}/{namespace}/{service_account}")
    }
}

impl std::str::FromStr for AssociationKey {
    type Err = String;

    /// Reads what [`std::fmt::Display`] writes.
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("`{s}` is not `account/region/cluster/namespace/service account`");
        let mut parts = s.split('/');
        let mut part = || parts.next().ok_or_else(wrong);
        let key = Self {
            account_id: part()?.parse().map_err(|_| wrong())?,
            region: part()?.parse().map_err(|_| wrong())?,
            cluster: part()?.parse().map_err(|_| wrong())?,
            namespace: part()?.parse().map_err(|_| wrong())?,
            service_account: part()?.parse().map_err(|_| wrong())?,
        };
        if parts.next().is_none() { Ok(key) } else { Err(wrong()) }
    }
}

/// A Pod Identity association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// Identity.
    pub key: AssociationKey,
    /// `a-…`; changes when the association is deleted and made anew.
    pub association_id: String,
    /// Its ARN.
    pub arn: String,
    /// What `DescribePodIdentityAssociation` adds to the listing; `None` where it was refused.
    pub detail: Option<AssociationDetail>,
    /// The add-on that owns it, by ARN.
    pub owner_arn: Option<String>,
}

/// The part of an association that only describing it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationDetail {
    /// The association role, as AWS gave it.
    pub role_arn: String,
    /// The second role, in any account.
    pub target_role_arn: Option<String>,
    /// Made by EKS for the hop to the target role.
    pub external_id: Option<String>,
    /// `true`: the six session tags are not sent.
    pub disable_session_tags: bool,
    /// The session policy.
    pub policy: Option<Digest>,
    /// Resource tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// Fields that this version does not know, as they came.
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// An IAM OIDC identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProvider {
    /// Its ARN; its account owns it.
    pub arn: Arn,
}

/// A CloudTrail trail and whether it can record the events that we need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// The account in which it was seen.
    pub account_id: AccountId,
    /// Home region.
    pub region: Region,
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The bucket it writes to.
    pub bucket: Option<String>,
    /// Whether it covers all regions.
    pub is_multi_region: bool,
    /// Whether it covers the organisation.
    pub is_organization: bool,
    /// Whether its selectors record read-only management events, as `AssumeRole` is one; `None`
    /// where the selectors could not be read.
    pub records_read_only_management: Option<bool>,
    /// What its selectors take in; `None` where they could not be read.
    #[serde(default)]
    pub recorded: Option<Recorded>,
}

/// What a trail's selectors take in. What they take in only in part (some resources, some operations)
/// does not count: a call that is not there proves nothing then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Every read-only management event, but for those of `excluded_sources`.
    pub management_reads: bool,
    /// Every other management event, but for those of `excluded_sources`.
    pub management_writes: bool,
    /// Event sources whose management events are left out: `kms.amazonaws.com`.
    pub excluded_sources: BTreeSet<String>,
    /// Resource types (`AWS::S3::Object`) of which the data events of every resource are recorded.
    pub data: BTreeSet<String>,
}

/// Which kind of organisation policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrgPolicyKind {
    /// Service control policy.
    Scp,
    /// Resource control policy.
    Rcp,
}

/// A service or resource control policy and where it is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgPolicy {
    /// The organisation's management account (or the account that was asked).
    pub account_id: AccountId,
    /// `p-…`.
    pub id: String,
    /// SCP or RCP.
    pub kind: OrgPolicyKind,
    /// Its name.
    pub name: String,
    /// Its document.
    pub document: Digest,
    /// Ids of roots, OUs and accounts that it is attached to.
    pub targets: Vec<String>,
}

/// A root or organisational unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgUnit {
    /// The organisation's management account (or the account that was asked).
    pub account_id: AccountId,
    /// `r-…` or `ou-…`.
    pub id: String,
    /// Its parent; `None` for a root.
    pub parent: Option<String>,
    /// Path such as `/workloads/prod`.
    pub path: String,
}

/// How a session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// STS `AssumeRole` by `pods.eks.amazonaws.com`.
    PodIdentity,
    /// STS `AssumeRole` by a session of an association role, into its target role.
    PodIdentityTarget,
    /// STS `AssumeRoleWithWebIdentity`.
    WebIdentity,
    /// STS `AssumeRoleWithSAML`.
    Saml,
    /// STS `AssumeRole` by another AWS service.
    Service,
    /// Any other STS `AssumeRole`.
    AssumeRole,
    /// `eks-auth:AssumeRoleForPodIdentity`: the agent's request, which names no role.
    AgentRequest,
}

impl SessionKind {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodIdentity => "pod_identity",
            Self::PodIdentityTarget => "pod_identity_target",
            Self::WebIdentity => "web_identity",
            Self::Saml => "saml",
            Self::Service => "service",
            Self::AssumeRole => "assume_role",
            Self::AgentRequest => "agent_request",
        }
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
}

/// A VPC endpoint, as CloudTrail names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// `vpce-…`.
    pub id: String,
    /// Its owner, where the event says so.
    pub account_id: Option<String>,
}

/// Calls of one action by sessions of EC2 instances with one role, in one region; all that were
/// counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceUse {
    /// The instances' account.
    pub account_id: AccountId,
    /// Where they called.
    pub region: Region,
    /// Their role.
    pub role_arn: String,
    /// The IAM action.
    pub action: String,
    /// How many calls.
    pub calls: u64,
    /// How many of them were refused for want of permission.
    pub denied: u64,
    /// The first call.
    pub first: DateTime<Utc>,
    /// The last call.
    pub last: DateTime<Utc>,
    /// Classes of network that they came from.
    pub networks: Networks,
}

/// What is remembered of trails beyond the sessions that are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailMemory {
    /// When it was asked for; `None`: nobody asked, so that what is not there says nothing.
    pub at: Option<DateTime<Utc>>,
    /// Which stretches were read whole.
    pub whole: Vec<Whole>,
    /// When credentials of an association were last counted as given or used, by its id.
    pub associations: BTreeMap<String, DateTime<Utc>>,
    /// When a role's were, by its ARN.
    pub roles: BTreeMap<String, DateTime<Utc>>,
    /// What instances did.
    pub instances: Vec<InstanceUse>,
    /// All calls of roles that associations name, by role and action.
    pub calls: BTreeMap<String, Vec<Used>>,
    /// From where the sessions of pods that are judged were used.
    pub origins: Vec<Origin>,
    /// From where all sessions of pods were used, by workload.
    pub used_from: Vec<UsedFrom>,
}

/// From where, and by what program, sessions of one workload were used, however long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedFrom {
    /// The association's id, where the sessions are attributed to one.
    pub association_id: Option<String>,
    /// The role.
    pub role_arn: String,
    /// The region of the calls.
    pub region: Region,
    /// As in [`Origin::network`].
    pub network: Option<String>,
    /// As in [`Origin::endpoint`].
    pub endpoint: Option<String>,
    /// As in [`Origin::agent`].
    pub agent: Option<String>,
    /// The last call.
    pub last: DateTime<Utc>,
    /// The first sessions that were used so, at most five, by their first call: the number of each,
    /// unique for the role, and that call.
    pub sessions: Vec<(i32, DateTime<Utc>)>,
}

/// Everything observed of one account in one look, before it is stored.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The account, where it is known.
    pub account: Option<Account>,
    /// Every document that the facts name.
    pub documents: Documents,
    /// Roles.
    pub roles: Vec<Role>,
    /// Last use of roles.
    pub last_used: Vec<RoleLastUsed>,
    /// Managed policies.
    pub policies: Vec<ManagedPolicy>,
    /// OIDC providers.
    pub oidc_providers: Vec<OidcProvider>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Associations.
    pub associations: Vec<Association>,
    /// Trails.
    pub trails: Vec<Trail>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// Organisation policies, where this account was asked for them.
    pub org_policies: Vec<OrgPolicy>,
    /// Roots and OUs, where this account was asked for them.
    pub org_units: Vec<OrgUnit>,
    /// What was looked at, and what could not be seen.
    pub coverage: crate::coverage::Coverage,
    /// Of what date files are that it was read from: the newest date in them. `None`: it is of now.
    pub as_of: Option<DateTime<Utc>>,
}

/// A kind of resource, or of description of one, that a scan shows or does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// An account.
    Account,
    /// A role; its key is the ARN.
    Role,
    /// A managed policy; its key is the ARN.
    Policy,
    /// The document of a managed policy; its key is the policy's.
    PolicyDocument,
    /// An OIDC provider; its key is the ARN.
    OidcProvider,
    /// A cluster; its key is `region/name`.
    Cluster,
    /// The add-ons of a cluster; their key is the cluster's.
    ClusterAddons,
    /// An association; its key is [`AssociationKey`]'s text.
    Association,
    /// The description of an association; its key is the association's.
    AssociationDetail,
    /// A trail; its key is the ARN.
    Trail,
    /// What a trail's selectors take in; its key is the trail's.
    TrailSelectors,
    /// A service or resource control policy; its key is the id.
    OrgPolicy,
    /// A root or organisational unit; its key is the id.
    OrgUnit,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Account,
        Self::Role,
        Self::Policy,
        Self::PolicyDocument,
        Self::OidcProvider,
        Self::Cluster,
        Self::ClusterAddons,
        Self::Association,
        Self::AssociationDetail,
        Self::Trail,
        Self::TrailSelectors,
        Self::OrgPolicy,
        Self::OrgUnit,
    ];

    /// The snake-case name that the store uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Role => "role",
            Self::Policy => "policy",
            Self::PolicyDocument => "policy_document",
            Self::OidcProvider => "oidc_provider",
            Self::Cluster => "cluster",
            Self::ClusterAddons => "cluster_addons",
            Self::Association => "association",
            Self::AssociationDetail => "association_detail",
            Self::Trail => "trail",
            Self::TrailSelectors => "trail_selectors",
            Self::OrgPolicy => "org_policy",
            Self::OrgUnit => "org_unit",
        }
    }
}

/// Resources, and descriptions of resources, that are remembered from an earlier scan and that the
/// latest scan of their listing did not show, while nothing proves them gone.
///
/// Everything else of an [`Estate`] was seen in the latest scan, whatever its listing lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unconfirmed(BTreeMap<(ResourceKind, AccountId), BTreeSet<String>>);

impl Unconfirmed {
    /// Notes one. The account is the one that the resource is kept under.
    pub fn add(&mut self, kind: ResourceKind, account: AccountId, key: impl Into<String>) {
        self.0.entry((kind, account)).or_default().insert(key.into());
    }

    /// Whether the latest scan did not show it.
    #[must_use]
    pub fn contains(&self, kind: ResourceKind, account: AccountId, key: &str) -> bool {
        self.0.get(&(kind, account)).is_some_and(|keys| keys.contains(key))
    }

    /// Whether the latest scan showed everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, by kind, account and key.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceKind, AccountId, &str)> {
        self.0.iter().flat_map(|((kind, account), keys)| keys.iter().map(|key| (*kind, *account, key.as_str())))
    }
}

/// The estate as it stood at one moment: what the store gives back, and what rules judge.
#[derive(Debug, Clone, Default)]
pub struct Estate {
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Every document that the facts name.
    pub documents: Documents,
    /// Roles of all accounts.
    pub roles: Vec<Role>,
    /// Last use of roles.
    pub last_used: Vec<RoleLastUsed>,
    /// Managed policies of all accounts.
    pub policies: Vec<ManagedPolicy>,
    /// OIDC providers.
    pub oidc_providers: Vec<OidcProvider>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Associations.
    pub associations: Vec<Association>,
    /// Trails.
    pub trails: Vec<Trail>,
    /// Sessions of the window that is judged.
    pub sessions: Vec<Session>,
    /// Since when `sessions` holds all that the trails have, where they were read whole; `None`
    /// where nobody can say.
    pub sessions_since: Option<DateTime<Utc>>,
    /// From when on `sessions` holds every session that is kept; `None`: all of them.
    pub sessions_judged_since: Option<DateTime<Utc>>,
    /// What happened before this moment is not kept any more; `None`: everything is.
    pub sessions_kept_since: Option<DateTime<Utc>>,
    /// Associations as looks found them over time, those that are gone too. Empty: of the past only
    /// the dates of the present ones are known.
    pub association_history: Vec<AssociationSpan>,
    /// What is remembered of trails beyond `sessions`.
    pub memory: TrailMemory,
    /// Organisation policies.
    pub org_policies: Vec<OrgPolicy>,
    /// Roots and OUs.
    pub org_units: Vec<OrgUnit>,
    /// The state of the latest look at every scope.
    pub coverage: crate::coverage::Coverage,
    /// Of what date is what is known of each account: the time of its latest scan, or the newest date
    /// in its files. Ages are counted up to there; an account without one is of now.
    pub as_of: BTreeMap<AccountId, DateTime<Utc>>,
    /// What of all this the latest scan did not show.
    pub unconfirmed: Unconfirmed,
    /// What is stated of the rest, which nobody provided.
    pub assumed: BTreeSet<Assumption>,
}

impl Estate {
    /// The trails, without what the latest scan did not confirm of what they record.
    pub(crate) fn trails_as_seen(&self) -> Vec<Trail> {
        let remembered = |trail: &Trail| {
            [ResourceKind::Trail, ResourceKind::TrailSelectors]
                .iter()
                .any(|kind| self.unconfirmed.contains(*kind, trail.account_id, &trail.arn))
        };
        let as_seen = |trail: &Trail| match remembered(trail) {
            true => Trail { records_read_only_management: None, recorded: None, ..trail.clone() },
            false => trail.clone(),
        };
        self.trails.iter().map(as_seen).collect()
    }
}
