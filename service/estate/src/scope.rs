//! The listings that a scan reads, each in its place.
//!
//! A scope is a listing that is either complete or not: all roles of an account, all associations of a
//! cluster.

use crate::id::{ClusterName, Region};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a scope lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// Stepping into the account at all (`sts:AssumeRole`). A gap here is a gap in every scope.
    Entry,
    /// The organisation's accounts, roots and OUs.
    Organization,
    /// SCPs and RCPs and their targets.
    OrgPolicies,
    /// Roles, their inline policies and attachments.
    Roles,
    /// Managed policies and their documents.
    Policies,
    /// OIDC providers.
    OidcProviders,
    /// Clusters of a region: the listing.
    Clusters,
    /// The description of a cluster.
    ClusterDetails,
    /// Associations of a cluster: the listing.
    Associations,
    /// Associations of a cluster: the description of each.
    AssociationDetails,
    /// Add-ons of a cluster.
    Addons,
    /// Access entries of a cluster.
    AccessEntries,
    /// Trails of a region and their selectors.
    Trails,
    /// AssumeRole events of a region.
    Sessions,
}

impl ScopeKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Entry,
        Self::Organization,
        Self::OrgPolicies,
        Self::Roles,
        Self::Policies,
        Self::OidcProviders,
        Self::Clusters,
        Self::ClusterDetails,
        Self::Associations,
        Self::AssociationDetails,
        Self::Addons,
        Self::AccessEntries,
        Self::Trails,
        Self::Sessions,
    ];

    /// The snake-case name that the store and the API use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Organization => "organization",
            Self::OrgPolicies => "org_policies",
            Self::Roles => "roles",
            Self::Policies => "policies",
            Self::OidcProviders => "oidc_providers",
            Self::Clusters => "clusters",
            Self::ClusterDetails => "cluster_details",
            Self::Associations => "associations",
            Self::AssociationDetails => "association_details",
            Self::Addons => "addons",
            Self::AccessEntries => "access_entries",
            Self::Trails => "trails",
            Self::Sessions => "sessions",
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One listing in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The account.
    pub account_id: AccountId,
    /// What is listed.
    pub kind: ScopeKind,
    /// The region; `None` for global services.
    pub region: Option<Region>,
    /// The cluster, for scopes of one cluster.
    pub cluster: Option<ClusterName>,
}

impl Scope {
    /// A scope of a global service.
    #[must_use]
    pub fn global(account_id: AccountId, kind: ScopeKind) -> Self {
        Self { account_id, kind, region: None, cluster: None }
    }

    /// A scope of a region.
    #[must_use]
    pub fn regional(account_id: AccountId, kind: ScopeKind, region: Region) -> Self {
        Self { account_id, kind, region: Some(region), cluster: None }
    }

    /// A scope of a cluster.
    #[must_use]
    pub fn of_cluster(account_id: AccountId, kind: ScopeKind, region: Region, cluster: ClusterName) -> Self {
        Self { account_id, kind, region: Some(region), cluster: Some(cluster) }
    }

    /// The scopes without which this one cannot be looked at, the nearest first: the clusters of the
    /// region, the regions of the account, the way into the account.
    #[must_use]
    pub fn depends_on(&self) -> Vec<Self> {
        let account = |kind| Self::global(self.account_id, kind);
        let mut above = Vec::new();
        if let Some(region) = &self.region {
            // Sessions are read where there are clusters.
            if self.cluster.is_some() || self.kind == ScopeKind::Sessions {
                above.push(Self::regional(self.account_id, ScopeKind::Clusters, region.clone()));
            }
            above.push(account(ScopeKind::Clusters));
        }
        // The organisation is asked without stepping into an account.
        if !matches!(self.kind, ScopeKind::Entry | ScopeKind::Organization | ScopeKind::OrgPolicies) {
            above.push(account(ScopeKind::Entry));
        }
        above
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id, kind, region, cluster } = self;
        write!(f, "{kind} of account {account_id}")?;
        if let Some(region) = region {
            write!(f, " in {region}")?;
        }
        if let Some(cluster) = cluster {
            write!(f, ", cluster {cluster}")?;
        }
        Ok(())
    }
}
