//! What a change is of, under the names that AWS has for it.
//!
//! Types are CloudFormation's. A resource is named by its ARN; an association by its key, since its id is
//! another one after it was made anew.

use rolecall_estate::{AssociationKey, Cluster, Estate, OrgPolicyKind};
use rolecall_iam::{AccountId, ArnText};
use serde::{Deserialize, Serialize};

rolecall_iam::vocabulary! {
    /// A kind of resource, by CloudFormation's name of its type.
    pub enum ResourceType: "a type of resource of which changes are kept" {
        /// An IAM role.
        Role = "AWS::IAM::Role",
        /// A managed policy.
        ManagedPolicy = "AWS::IAM::ManagedPolicy",
        /// An IAM OIDC identity provider.
        OidcProvider = "AWS::IAM::OIDCProvider",
        /// A Pod Identity association.
        Association = "AWS::EKS::PodIdentityAssociation",
        /// An add-on of an EKS cluster.
        Addon = "AWS::EKS::Addon",
        /// An access entry of an EKS cluster.
        AccessEntry = "AWS::EKS::AccessEntry",
        /// An EKS cluster.
        Cluster = "AWS::EKS::Cluster",
        /// A service or resource control policy.
        OrgPolicy = "AWS::Organizations::Policy",
        /// An organizational unit.
        OrgUnit = "AWS::Organizations::OrganizationalUnit",
        /// An account of the organization.
        Account = "AWS::Organizations::Account",
        /// A CloudTrail trail.
        Trail = "AWS::CloudTrail::Trail",
    }
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    /// Its type.
    pub kind: ResourceType,
    /// Its ARN, or an association's key. An organization policy whose organization is not known goes by
    /// its id.
    pub name: String,
}

impl Resource {
    /// The cluster that it belongs to.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        match self.kind {
            ResourceType::Association => self.name.split('/').nth(2),
            ResourceType::Cluster | ResourceType::Addon | ResourceType::AccessEntry => self.name.split('/').nth(1),
            _ => None,
        }
    }

    pub(crate) fn new(kind: ResourceType, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }

    pub(crate) fn association(key: &AssociationKey) -> Self {
        Self::new(ResourceType::Association, &key.to_string())
    }

    /// The ARN that EKS gives an add-on, without the id at its end, which no listing shows.
    pub(crate) fn addon(cluster: &Cluster, name: &str) -> Self {
        Self::new(ResourceType::Addon, &of_cluster(cluster, "addon", name))
    }

    /// The ARN that EKS gives an access entry, without the id at its end, which no listing shows.
    pub(crate) fn access_entry(cluster: &Cluster, principal: &str) -> Self {
        let mut parts = principal.splitn(6, ':').skip(4);
        let (account, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (kind, name) = rest.split_once('/').unwrap_or(("role", rest));
        let name = name.rsplit('/').next().unwrap_or(name);
        let entry = format!("{kind}/{account}/{name}");
        Self::new(ResourceType::AccessEntry, &of_cluster(cluster, "access-entry", &entry))
    }

    pub(crate) fn org_policy(estate: &Estate, account: AccountId, id: &str, kind: OrgPolicyKind) -> Self {
        let kind = match kind {
            OrgPolicyKind::Scp => "service_control_policy",
            OrgPolicyKind::Rcp => "resource_control_policy",
        };
        let name = match organization(estate) {
            Some(_) if id == "p-FullAWSAccess" || id == "p-RCPFullAWSAccess" => {
                format!("arn:aws:organizations::aws:policy/{kind}/{id}")
            }
            Some(organization) => format!("arn:aws:organizations::{account}:policy/{organization}/{kind}/{id}"),
            None => id.to_owned(),
        };
        Self::new(ResourceType::OrgPolicy, &name)
    }

    pub(crate) fn org_unit(estate: &Estate, account: AccountId, id: &str) -> Self {
        let kind = if id.starts_with("r-") { "root" } else { "ou" };
        let name = organization(estate)
            .map_or_else(|| id.to_owned(), |it| format!("arn:aws:organizations::{account}:{kind}/{it}/{id}"));
        Self::new(ResourceType::OrgUnit, &name)
    }

    pub(crate) fn account(estate: &Estate, id: AccountId) -> Self {
        let manager = estate.accounts.iter().find(|account| account.is_management).map(|account| account.id);
        let name = match (organization(estate), manager) {
            (Some(organization), Some(manager)) => {
                format!("arn:aws:organizations::{manager}:account/{organization}/{id}")
            }
            _ => id.to_string(),
        };
        Self::new(ResourceType::Account, &name)
    }
}

/// `arn:…:cluster/NAME` as the ARN of something of the cluster.
fn of_cluster(cluster: &Cluster, kind: &str, name: &str) -> String {
    let Cluster { account_id, region, name: of, arn, .. } = cluster;
    let partition = ArnText(arn).partition().unwrap_or("aws");
    format!("arn:{partition}:eks:{region}:{account_id}:{kind}/{of}/{name}")
}

fn organization(estate: &Estate) -> Option<&str> {
    estate.accounts.iter().filter_map(|account| account.organization_id.as_deref()).min()
}
