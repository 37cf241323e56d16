//! The listings that a scan reads, each in its place.
//!
//! A scope is a listing that is either complete or not: all roles of an account, all associations of a
//! cluster.

use crate::id::{ClusterName, Region};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt;

rolecall_iam::vocabulary! {
    /// What a scope lists.
    pub enum ScopeKind: "a kind of listing" {
        /// Stepping into the account at all (`sts:AssumeRole`). A gap here is a gap in every scope.
        Entry = "entry",
        /// The organisation's accounts, roots and OUs.
        Organization = "organization",
        /// SCPs and RCPs and their targets.
        OrgPolicies = "org_policies",
        /// Roles, their inline policies and attachments.
        Roles = "roles",
        /// Managed policies and their documents.
        Policies = "policies",
        /// OIDC providers.
        OidcProviders = "oidc_providers",
        /// OIDC providers: the settings of each.
        OidcProviderDetails = "oidc_provider_details",
        /// Clusters of a region: the listing.
        Clusters = "clusters",
        /// The description of a cluster.
        ClusterDetails = "cluster_details",
        /// Associations of a cluster: the listing.
        Associations = "associations",
        /// Associations of a cluster: the description of each.
        AssociationDetails = "association_details",
        /// Add-ons of a cluster.
        Addons = "addons",
        /// Access entries of a cluster.
        AccessEntries = "access_entries",
        /// Trails of a region and their selectors.
        Trails = "trails",
        /// AssumeRole events of a region.
        Sessions = "sessions",
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
