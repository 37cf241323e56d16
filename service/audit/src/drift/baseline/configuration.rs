//! What of a resource is its configuration: what drift compares, in one order, without statuses and dates.

use super::canonical;
use crate::resource::{Resource, ResourceType};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{
    Addon, Association, AssociationDetail, Cluster, Estate, ManagedPolicy, OidcProvider, OrgPolicy, ResourceKind, Role,
    Trail,
};
use rolecall_iam::{AccountId, Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The configuration of a resource, by its CloudFormation type. A cluster's has its add-ons and access entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "configuration")]
pub enum Configuration {
    /// An IAM role.
    #[serde(rename = "AWS::IAM::Role")]
    Role(Box<Role>),
    /// A managed policy.
    #[serde(rename = "AWS::IAM::ManagedPolicy")]
    ManagedPolicy(Box<ManagedPolicy>),
    /// An IAM OIDC identity provider.
    #[serde(rename = "AWS::IAM::OIDCProvider")]
    OidcProvider(Box<OidcProvider>),
    /// A Pod Identity association.
    #[serde(rename = "AWS::EKS::PodIdentityAssociation")]
    Association(Box<Association>),
    /// An EKS cluster.
    #[serde(rename = "AWS::EKS::Cluster")]
    Cluster(Box<Cluster>),
    /// A service or resource control policy.
    #[serde(rename = "AWS::Organizations::Policy")]
    OrgPolicy(Box<OrgPolicy>),
    /// A CloudTrail trail.
    #[serde(rename = "AWS::CloudTrail::Trail")]
    Trail(Box<Trail>),
}

impl Configuration {
    /// The address of the state: the SHA-256 of its canonical form. Policy documents go into it by the SHA-256 of
    /// their canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // A trail that is logging has the digest that it had before its status was read.
        let value = match self {
            Self::Trail(it) if it.is_logging() == Some(true) => {
                serde_json::to_value(Self::Trail(Box::new(Trail { status: None, ..(**it).clone() })))
            }
            it => serde_json::to_value(it),
        };
        let value = value.unwrap_or_default();
        Digest::sha256(canonical(&value).as_bytes())
    }

    /// The type of the resource.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Role(_) => ResourceType::Role,
            Self::ManagedPolicy(_) => ResourceType::ManagedPolicy,
            Self::OidcProvider(_) => ResourceType::OidcProvider,
            Self::Association(_) => ResourceType::Association,
            Self::Cluster(_) => ResourceType::Cluster,
            Self::OrgPolicy(_) => ResourceType::OrgPolicy,
            Self::Trail(_) => ResourceType::Trail,
        }
    }

    /// The documents that it names.
    pub(super) fn documents(&self) -> BTreeSet<Digest> {
        match self {
            Self::Role(it) => it.trust.into_iter().chain(it.inline.iter().map(|policy| policy.document)).collect(),
            Self::ManagedPolicy(it) => it.document.into_iter().collect(),
            Self::Association(it) => it.detail.as_ref().and_then(|it| it.policy).into_iter().collect(),
            Self::OrgPolicy(it) => BTreeSet::from([it.document]),
            Self::OidcProvider(_) | Self::Cluster(_) | Self::Trail(_) => BTreeSet::new(),
        }
    }

    /// The account that it is kept under and its name, as far as the configuration itself tells: an organization
    /// policy's ARN does not stand in it.
    pub(super) fn identity(&self) -> (Option<AccountId>, Option<String>) {
        match self {
            Self::Role(it) => (Some(it.arn.account_id()), Some(it.arn.to_string())),
            Self::ManagedPolicy(it) => (Some(it.account_id), Some(it.arn.to_string())),
            Self::OidcProvider(it) => (it.arn.account_id(), Some(it.arn.to_string())),
            Self::Association(it) => (Some(it.key.account_id), Some(it.key.to_string())),
            Self::Cluster(it) => (Some(it.account_id), Some(it.arn.clone())),
            Self::OrgPolicy(it) => (Some(it.account_id), None),
            Self::Trail(it) => (Some(it.account_id), Some(it.arn.clone())),
        }
    }

    /// The same without what is no configuration, and every set in one order.
    #[must_use]
    pub fn normal(mut self) -> Self {
        match &mut self {
            Self::Role(it) => {
                it.created_at = None;
                it.inline.sort_by(|a, b| a.name.cmp(&b.name));
                it.attached.sort_by(|a, b| a.arn.cmp(&b.arn));
                it.instance_profiles.sort();
            }
            Self::ManagedPolicy(it) => it.updated_at = None,
            Self::OidcProvider(_) => {}
            Self::Trail(it) => {
                if let Some(status) = &mut it.status {
                    (status.started_at, status.stopped_at) = (None, None);
                }
            }
            Self::Association(it) => {
                if let Some(detail) = &mut it.detail {
                    let AssociationDetail { created_at, modified_at, .. } = detail;
                    (*created_at, *modified_at) = (None, None);
                }
            }
            Self::Cluster(it) => {
                it.status = None;
                for addon in it.addons.iter_mut().flatten() {
                    let Addon { status, health_issues, association_arns, .. } = addon;
                    *status = None;
                    health_issues.clear();
                    association_arns.sort();
                }
                if let Some(addons) = &mut it.addons {
                    addons.sort_by(|a, b| a.name.cmp(&b.name));
                }
                for entry in it.access_entries.iter_mut().flatten() {
                    entry.groups.sort();
                    entry.policies.iter_mut().for_each(|policy| policy.namespaces.sort());
                    entry.policies.sort_by(|a, b| (&a.arn, &a.namespaces).cmp(&(&b.arn, &b.namespaces)));
                }
                if let Some(entries) = &mut it.access_entries {
                    entries.sort_by(|a, b| a.principal_arn.cmp(&b.principal_arn));
                }
            }
            Self::OrgPolicy(it) => it.targets.sort(),
        }
        self
    }
}

/// A resource as an estate has it.
pub(super) struct Present<'e> {
    pub(super) account_id: AccountId,
    pub(super) resource: Resource,
    of: Of<'e>,
}

#[derive(Clone, Copy)]
enum Of<'e> {
    Role(&'e Role),
    ManagedPolicy(&'e ManagedPolicy),
    OidcProvider(&'e OidcProvider),
    Association(&'e Association),
    Cluster(&'e Cluster),
    OrgPolicy(&'e OrgPolicy),
    Trail(&'e Trail),
}

impl Present<'_> {
    pub(super) fn configuration(&self) -> Configuration {
        match self.of {
            Of::Role(it) => Configuration::Role(Box::new(it.clone())),
            Of::ManagedPolicy(it) => Configuration::ManagedPolicy(Box::new(it.clone())),
            Of::OidcProvider(it) => Configuration::OidcProvider(Box::new(it.clone())),
            Of::Association(it) => Configuration::Association(Box::new(it.clone())),
            Of::Cluster(it) => Configuration::Cluster(Box::new(it.clone())),
            Of::OrgPolicy(it) => Configuration::OrgPolicy(Box::new(it.clone())),
            Of::Trail(it) => Configuration::Trail(Box::new(it.clone())),
        }
        .normal()
    }

    /// Why the state is not known whole: the latest scan did not show it, or not all of it.
    pub(super) fn unseen(&self, estate: &Estate) -> Option<String> {
        let remembered = |kind, key: &str| estate.unconfirmed.contains(kind, self.account_id, key);
        let (is_remembered, is_part) = match self.of {
            Of::Role(it) => (remembered(ResourceKind::Role, it.arn.as_str()), it.trust.is_none()),
            Of::ManagedPolicy(it) => (
                remembered(ResourceKind::Policy, it.arn.as_str())
                    || remembered(ResourceKind::PolicyDocument, it.arn.as_str()),
                it.document.is_none(),
            ),
            Of::OidcProvider(it) => (remembered(ResourceKind::OidcProvider, it.arn.as_str()), false),
            Of::Association(it) => {
                let key = it.key.to_string();
                (
                    remembered(ResourceKind::Association, &key) || remembered(ResourceKind::AssociationDetail, &key),
                    it.detail.is_none(),
                )
            }
            Of::Cluster(it) => (
                remembered(ResourceKind::Cluster, &it.key()) || remembered(ResourceKind::ClusterAddons, &it.key()),
                it.addons.is_none()
                    || it.access_entries.is_none()
                    || [ScopeKind::Addons, ScopeKind::AccessEntries].into_iter().any(|kind| {
                        let scope = Scope::of_cluster(it.account_id, kind, it.region.clone(), it.name.clone());
                        estate.coverage.gaps_of(&scope).is_some_and(|gaps| !gaps.is_empty())
                    }),
            ),
            Of::OrgPolicy(it) => (remembered(ResourceKind::OrgPolicy, &it.id), false),
            Of::Trail(it) => (
                remembered(ResourceKind::Trail, &it.arn) || remembered(ResourceKind::TrailSelectors, &it.arn),
                it.recorded.is_none(),
            ),
        };
        match (is_remembered, is_part) {
            (true, _) => Some("the latest scan did not show it".to_owned()),
            (false, true) => Some("the latest scan did not see all of it".to_owned()),
            (false, false) => None,
        }
    }
}

/// Every resource that can have a baseline, by type and in the order of the estate.
pub(super) fn present(estate: &Estate) -> Vec<Present<'_>> {
    let mut out = Vec::new();
    let mut add = |account_id, resource, of| out.push(Present { account_id, resource, of });
    for it in &estate.roles {
        add(it.arn.account_id(), Resource::new(ResourceType::Role, it.arn.as_str()), Of::Role(it));
    }
    for it in &estate.policies {
        add(it.account_id, Resource::new(ResourceType::ManagedPolicy, it.arn.as_str()), Of::ManagedPolicy(it));
    }
    for it in &estate.oidc_providers {
        let Some(account) = it.arn.account_id() else { continue };
        add(account, Resource::new(ResourceType::OidcProvider, it.arn.as_str()), Of::OidcProvider(it));
    }
    for it in &estate.clusters {
        add(it.account_id, Resource::new(ResourceType::Cluster, &it.arn), Of::Cluster(it));
    }
    for it in &estate.associations {
        add(it.key.account_id, Resource::association(&it.key), Of::Association(it));
    }
    for it in &estate.org_policies {
        add(it.account_id, Resource::org_policy(estate, it.account_id, &it.id, it.kind), Of::OrgPolicy(it));
    }
    for it in &estate.trails {
        add(it.account_id, Resource::new(ResourceType::Trail, &it.arn), Of::Trail(it));
    }
    out
}

/// Whether an estate that lacks the resource proves that it is not there.
pub(super) fn is_proven_absent(estate: &Estate, of: &Configuration) -> bool {
    let is_complete = |scope: Scope| estate.coverage.blind_spots(&scope).is_empty();
    match of {
        Configuration::Role(it) => is_complete(Scope::global(it.arn.account_id(), ScopeKind::Roles)),
        Configuration::ManagedPolicy(it) => is_complete(Scope::global(it.account_id, ScopeKind::Policies)),
        Configuration::OidcProvider(it) => {
            it.arn.account_id().is_some_and(|account| is_complete(Scope::global(account, ScopeKind::OidcProviders)))
        }
        Configuration::Association(it) => {
            let key = &it.key;
            let own =
                Scope::of_cluster(key.account_id, ScopeKind::Associations, key.region.clone(), key.cluster.clone());
            let clusters = Scope::regional(key.account_id, ScopeKind::Clusters, key.region.clone());
            // Without the cluster there is no listing of its associations.
            (estate.coverage.gaps_of(&own).is_none() && is_complete(clusters)) || is_complete(own)
        }
        Configuration::Cluster(it) => {
            is_complete(Scope::regional(it.account_id, ScopeKind::Clusters, it.region.clone()))
        }
        Configuration::OrgPolicy(it) => is_complete(Scope::global(it.account_id, ScopeKind::OrgPolicies)),
        Configuration::Trail(it) => is_complete(Scope::regional(it.account_id, ScopeKind::Trails, it.region.clone())),
    }
}
