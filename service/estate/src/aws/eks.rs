//! Descriptions of clusters, and of what they hold.
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html>

use super::{FieldError, non_empty, parsed, text};
use crate::id::Region;
use crate::resource::{
    AccessEntry, AccessPolicy, Addon, Association, AssociationDetail, AssociationKey, Cluster, Documents, Tags,
};
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde_json::Value;
use std::collections::BTreeMap;

/// `cluster` of `DescribeCluster`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct ClusterDescription {
    pub name: Option<String>,
    pub arn: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub version: Option<String>,
    pub status: Option<String>,
    pub role_arn: Option<String>,
    /// `identity.oidc.issuer`.
    pub oidc_issuer: Option<String>,
    /// `accessConfig.authenticationMode`.
    pub authentication_mode: Option<String>,
    /// `computeConfig.enabled`.
    pub auto_mode: Option<bool>,
    pub tags: Tags,
}

impl ClusterDescription {
    /// The cluster, without its add-ons and access entries.
    ///
    /// # Errors
    /// The name is missing or none.
    pub fn into_cluster(self, account_id: AccountId, region: Region) -> Result<Cluster, FieldError> {
        let named = Cluster::new(account_id, region, parsed(self.name, "/name")?);
        Ok(Cluster {
            arn: non_empty(self.arn).unwrap_or_else(|| named.arn.clone()),
            created_at: self.created_at,
            version: non_empty(self.version),
            status: non_empty(self.status),
            role_arn: non_empty(self.role_arn),
            oidc_issuer: non_empty(self.oidc_issuer),
            authentication_mode: non_empty(self.authentication_mode),
            auto_mode: self.auto_mode,
            tags: self.tags,
            ..named
        })
    }
}

/// One of `associations` of `ListPodIdentityAssociations`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct AssociationSummary {
    pub cluster_name: Option<String>,
    pub namespace: Option<String>,
    pub service_account: Option<String>,
    pub association_arn: Option<String>,
    pub association_id: Option<String>,
    pub owner_arn: Option<String>,
}

impl AssociationSummary {
    /// The association, without its description. An ARN that is not given is made of the rest.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn into_association(self, account_id: AccountId, region: Region) -> Result<Association, FieldError> {
        let association_id = text(self.association_id, "/associationId")?;
        let key = AssociationKey {
            account_id,
            cluster: parsed(self.cluster_name, "/clusterName")?,
            namespace: parsed(self.namespace, "/namespace")?,
            service_account: parsed(self.service_account, "/serviceAccount")?,
            region,
        };
        let (partition, region, cluster) = (key.region.partition(), &key.region, &key.cluster);
        let arn = non_empty(self.association_arn).unwrap_or_else(|| {
            format!("arn:{partition}:eks:{region}:{account_id}:podidentityassociation/{cluster}/{association_id}")
        });
        Ok(Association { association_id, arn, detail: None, owner_arn: non_empty(self.owner_arn), key })
    }
}

/// What `association` of `DescribePodIdentityAssociation` adds to its summary.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct AssociationDescription {
    pub role_arn: Option<String>,
    pub target_role_arn: Option<String>,
    pub external_id: Option<String>,
    pub disable_session_tags: Option<bool>,
    pub policy: Option<String>,
    pub tags: Tags,
    pub created_at: Option<DateTime<Utc>>,
    pub modified_at: Option<DateTime<Utc>>,
    /// See [`unknown_association_fields`].
    pub extra: BTreeMap<String, Value>,
}

impl AssociationDescription {
    /// The description; `None` where it names no role, as a summary does not.
    pub fn into_detail(self, documents: &mut Documents) -> Option<AssociationDetail> {
        Some(AssociationDetail {
            role_arn: non_empty(self.role_arn)?,
            target_role_arn: non_empty(self.target_role_arn),
            external_id: non_empty(self.external_id),
            disable_session_tags: self.disable_session_tags.unwrap_or(false),
            policy: non_empty(self.policy).map(|policy| documents.read(&policy)),
            tags: self.tags,
            created_at: self.created_at,
            modified_at: self.modified_at,
            extra: self.extra,
        })
    }
}

/// The fields of a description of an association that [`AssociationSummary`] and [`AssociationDescription`] have
/// no place for.
pub fn unknown_association_fields(fields: impl IntoIterator<Item = (String, Value)>) -> BTreeMap<String, Value> {
    const KNOWN: [&str; 14] = [
        "clusterName",
        "namespace",
        "serviceAccount",
        "roleArn",
        "associationArn",
        "associationId",
        "tags",
        "createdAt",
        "modifiedAt",
        "ownerArn",
        "disableSessionTags",
        "targetRoleArn",
        "externalId",
        "policy",
    ];
    fields.into_iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())).collect()
}

/// `addon` of `DescribeAddon`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct AddonDescription {
    pub addon_name: Option<String>,
    pub addon_version: Option<String>,
    pub status: Option<String>,
    pub service_account_role_arn: Option<String>,
    pub pod_identity_associations: Vec<String>,
    /// The `code` of each of `health.issues`.
    pub health_issues: Vec<Option<String>>,
}

impl AddonDescription {
    /// The add-on, with its lists sorted: EKS promises no order. A health issue without a code says nothing.
    ///
    /// # Errors
    /// The name is missing.
    pub fn into_addon(self) -> Result<Addon, FieldError> {
        let mut association_arns = self.pod_identity_associations;
        association_arns.sort();
        let mut health_issues: Vec<String> = self.health_issues.into_iter().filter_map(non_empty).collect();
        health_issues.sort();
        Ok(Addon {
            name: text(self.addon_name, "/addonName")?,
            version: non_empty(self.addon_version),
            status: non_empty(self.status),
            service_account_role_arn: non_empty(self.service_account_role_arn),
            association_arns,
            health_issues,
        })
    }
}

/// `accessEntry` of `DescribeAccessEntry`, with what `ListAssociatedAccessPolicies` answers of it.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct AccessEntryDescription {
    pub principal_arn: Option<String>,
    pub kubernetes_groups: Vec<String>,
    /// `type`.
    pub kind: Option<String>,
    pub associated_access_policies: Vec<AssociatedAccessPolicy>,
}

/// One of `associatedAccessPolicies`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct AssociatedAccessPolicy {
    pub policy_arn: Option<String>,
    /// `accessScope.namespaces`.
    pub namespaces: Vec<String>,
}

impl AccessEntryDescription {
    /// The access entry.
    ///
    /// # Errors
    /// It has no principal, or one of its policies has no ARN: without that policy the entry would seem to allow
    /// less than it does.
    pub fn into_entry(self) -> Result<AccessEntry, FieldError> {
        let mut policies = Vec::new();
        for (i, policy) in self.associated_access_policies.into_iter().enumerate() {
            let arn = text(policy.policy_arn, &format!("/associatedAccessPolicies/{i}/policyArn"))?;
            policies.push(AccessPolicy { arn, namespaces: policy.namespaces });
        }
        Ok(AccessEntry {
            principal_arn: text(self.principal_arn, "/principalArn")?,
            groups: self.kubernetes_groups,
            kind: non_empty(self.kind),
            policies,
        })
    }
}
