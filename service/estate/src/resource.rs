//! What can be observed: accounts, roles, policies, clusters, associations, sessions, trails.
//!
//! Plain facts in AWS's own terms, the same whether they came over the wire, from a file or from
//! the store. Documents are named by digest and held once, in [`Documents`]. What could not be
//! parsed stays as text. Refuses to know where a fact came from and what it means.

use crate::id::{ClusterName, Namespace, Region, ServiceAccount};
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
        self.add(Document::new(text))
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

    /// Keeps those whose address is wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Digest) -> bool) {
        self.0.retain(|digest, _| wanted(digest));
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

impl Addon {
    /// An add-on of which no more than its name is known.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self {
            name,
            version: None,
            status: None,
            service_account_role_arn: None,
            association_arns: Vec::new(),
            health_issues: Vec::new(),
        }
    }
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
    /// A cluster of which no more than its name is known.
    #[must_use]
    pub fn new(account_id: AccountId, region: Region, name: ClusterName) -> Self {
        Self {
            arn: format!("arn:{}:eks:{region}:{account_id}:cluster/{name}", region.partition()),
            account_id,
            region,
            name,
            created_at: None,
            version: None,
            status: None,
            role_arn: None,
            oidc_issuer: None,
            authentication_mode: None,
            auto_mode: None,
            addons: None,
            access_entries: None,
            tags: Tags::new(),
        }
    }

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
    /// Its settings; `None` where nothing told them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<OidcProviderDetail>,
}

/// The settings of an IAM OIDC identity provider, as `GetOpenIDConnectProvider` says them.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProviderDetail {
    /// The client ids (audiences) whose tokens AWS STS takes.
    pub client_ids: BTreeSet<String>,
    /// The certificate thumbprints of the provider's server.
    pub thumbprints: BTreeSet<String>,
    /// Resource tags.
    pub tags: Tags,
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
    /// Whether it is logging; `None` where that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TrailStatus>,
}

/// Whether a trail delivers events, as `GetTrailStatus` says.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetTrailStatus.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailStatus {
    /// Whether it is logging now.
    pub is_logging: bool,
    /// When logging was last started.
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    /// When logging was last stopped.
    #[serde(default)]
    pub stopped_at: Option<DateTime<Utc>>,
}

impl Trail {
    /// Whether it is logging; `None` where that could not be read.
    #[must_use]
    pub fn is_logging(&self) -> Option<bool> {
        self.status.as_ref().map(|status| status.is_logging)
    }

    /// Whether it is known that it was not logging for all of the time from one moment to another. Only the last
    /// start and the last stop are told.
    #[must_use]
    pub fn is_interrupted(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        let Some(TrailStatus { is_logging, started_at, stopped_at }) = &self.status else { return false };
        if !is_logging {
            return stopped_at.is_none_or(|at| at < to);
        }
        let stopped_before = stopped_at.is_none_or(|at| at < to);
        stopped_before && started_at.is_some_and(|at| at > from)
    }
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

impl OrgPolicyKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Scp, Self::Rcp];

    /// AWS Organizations' word for it.
    #[must_use]
    pub fn policy_type(self) -> &'static str {
        match self {
            Self::Scp => "SERVICE_CONTROL_POLICY",
            Self::Rcp => "RESOURCE_CONTROL_POLICY",
        }
    }

    /// The call that lists policies of this kind, as the action of a gap that concerns no other kind:
    /// `ListPolicies` answers for one kind at a time.
    #[must_use]
    pub fn listing(self) -> &'static str {
        match self {
            Self::Scp => "organizations:ListPolicies SERVICE_CONTROL_POLICY",
            Self::Rcp => "organizations:ListPolicies RESOURCE_CONTROL_POLICY",
        }
    }
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

impl OrgUnit {
    /// A root of the organization.
    #[must_use]
    pub fn root(account_id: AccountId, id: String) -> Self {
        Self { account_id, id, parent: None, path: "/".to_owned() }
    }

    /// An OU below this one.
    #[must_use]
    pub fn child(&self, id: String, name: &str) -> Self {
        let path = format!("{}/{name}", self.path.trim_end_matches('/'));
        Self { account_id: self.account_id, id, parent: Some(self.id.clone()), path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_interrupted_where_its_last_stop_or_start_says_so() {
        let at = |hour: u32| Some(format!("2026-11-20T{hour:02}:00:00Z").parse().unwrap());
        // Asked about the time from ten to twelve.
        for (is_logging, started_at, stopped_at, expected) in [
            (true, None, None, false),
            (true, at(8), None, false),
            (true, at(8), at(7), false),
            (true, at(11), at(9), true),
            (true, at(13), at(11), true),
            (true, at(14), at(13), false),
            (true, at(11), None, true),
            (false, at(8), at(11), true),
            (false, at(8), at(13), false),
            (false, at(8), None, true),
        ] {
            let trail = Trail {
                account_id: "111122223333".parse().unwrap(),
                region: "eu-west-1".parse().unwrap(),
                arn: "arn:aws:cloudtrail:eu-west-1:111122223333:trail/t".to_owned(),
                name: "t".to_owned(),
                bucket: None,
                is_multi_region: true,
                is_organization: false,
                records_read_only_management: None,
                recorded: None,
                status: Some(TrailStatus { is_logging, started_at, stopped_at }),
            };
            let found = trail.is_interrupted(at(10).unwrap(), at(12).unwrap());
            assert_eq!(found, expected, "{is_logging} {started_at:?} {stopped_at:?}");
            assert!(!Trail { status: None, ..trail }.is_interrupted(at(10).unwrap(), at(12).unwrap()));
        }
    }
}
