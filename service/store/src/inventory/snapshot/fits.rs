//! What can be kept of an observation.
//!
//! A fact is found by its names, so they stand in indexes, which take them up to a length that no name
//! of AWS reaches. A fact whose name is longer is not kept, and its listing gets a gap: it was there,
//! and what is said of the listing as a whole is unknown.

use crate::parse;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{
    Association, Cluster, ManagedPolicy, Observation, OidcProvider, OrgPolicy, OrgUnit, Role, RoleLastUsed, Trail,
};
use std::borrow::Cow;

/// The observation without what cannot be kept, and with a gap for each listing that held such a fact.
pub(super) fn kept(seen: &Observation) -> Cow<'_, Observation> {
    let mut gaps = Vec::new();
    misfits(&seen.roles, &mut gaps);
    misfits(&seen.last_used, &mut gaps);
    misfits(&seen.policies, &mut gaps);
    misfits(&seen.oidc_providers, &mut gaps);
    misfits(&seen.clusters, &mut gaps);
    misfits(&seen.associations, &mut gaps);
    misfits(&seen.trails, &mut gaps);
    misfits(&seen.org_policies, &mut gaps);
    misfits(&seen.org_units, &mut gaps);
    if gaps.is_empty() {
        return Cow::Borrowed(seen);
    }
    let mut kept = seen.clone();
    kept.roles.retain(fits);
    kept.last_used.retain(fits);
    kept.policies.retain(fits);
    kept.oidc_providers.retain(fits);
    kept.clusters.retain(fits);
    kept.associations.retain(fits);
    kept.trails.retain(fits);
    kept.org_policies.retain(fits);
    kept.org_units.retain(fits);
    gaps.into_iter().for_each(|gap| kept.coverage.gap(gap));
    Cow::Owned(kept)
}

fn fits(fact: &impl Named) -> bool {
    fact.names().into_iter().all(parse::is_indexable)
}

fn misfits<T: Named>(facts: &[T], gaps: &mut Vec<Gap>) {
    for fact in facts {
        let long = fact.names().into_iter().find(|name| !parse::is_indexable(name));
        // An ARN that names no account is of whoever was looked at, and is kept nowhere without it.
        if let (Some(name), Some(scope)) = (long, fact.listing()) {
            let head: String = name.chars().take(80).collect();
            let (length, most) = (name.len(), parse::INDEXED);
            let detail = format!("a name of {length} bytes, where {most} are the most that is kept, begins `{head}`");
            gaps.push(Gap { scope, action: T::LISTED_BY.to_owned(), reason: GapReason::Malformed, detail, day: None });
        }
    }
}

/// A fact that is found by names.
trait Named {
    /// What lists it, for the gap.
    const LISTED_BY: &'static str;

    /// Every name that stands in an index.
    fn names(&self) -> Vec<&str>;

    /// The listing that showed it.
    fn listing(&self) -> Option<Scope>;
}

impl Named for Role {
    const LISTED_BY: &'static str = "iam:GetAccountAuthorizationDetails";

    fn names(&self) -> Vec<&str> {
        vec![self.arn.as_str()]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::global(self.arn.account_id(), ScopeKind::Roles))
    }
}

impl Named for RoleLastUsed {
    const LISTED_BY: &'static str = Role::LISTED_BY;

    fn names(&self) -> Vec<&str> {
        vec![self.role.as_str()]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::global(self.role.account_id(), ScopeKind::Roles))
    }
}

impl Named for ManagedPolicy {
    const LISTED_BY: &'static str = "iam:GetAccountAuthorizationDetails";

    fn names(&self) -> Vec<&str> {
        vec![self.arn.as_str()]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::global(self.account_id, ScopeKind::Policies))
    }
}

impl Named for OidcProvider {
    const LISTED_BY: &'static str = "iam:ListOpenIDConnectProviders";

    fn names(&self) -> Vec<&str> {
        vec![self.arn.as_str()]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::global(self.arn.account_id()?, ScopeKind::OidcProviders))
    }
}

impl Named for Cluster {
    const LISTED_BY: &'static str = "eks:ListClusters";

    fn names(&self) -> Vec<&str> {
        self.role_arn.as_deref().into_iter().collect()
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::regional(self.account_id, ScopeKind::Clusters, self.region.clone()))
    }
}

impl Named for Association {
    const LISTED_BY: &'static str = "eks:ListPodIdentityAssociations";

    fn names(&self) -> Vec<&str> {
        let detail = self.detail.as_ref();
        let roles = detail.into_iter().flat_map(|detail| [Some(&detail.role_arn), detail.target_role_arn.as_ref()]);
        roles.flatten().map(String::as_str).chain([self.association_id.as_str()]).collect()
    }

    fn listing(&self) -> Option<Scope> {
        let key = &self.key;
        Some(Scope::of_cluster(key.account_id, ScopeKind::Associations, key.region.clone(), key.cluster.clone()))
    }
}

impl Named for Trail {
    const LISTED_BY: &'static str = "cloudtrail:DescribeTrails";

    fn names(&self) -> Vec<&str> {
        vec![&self.arn]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::regional(self.account_id, ScopeKind::Trails, self.region.clone()))
    }
}

impl Named for OrgPolicy {
    const LISTED_BY: &'static str = "organizations:ListPolicies";

    fn names(&self) -> Vec<&str> {
        vec![&self.id]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::global(self.account_id, ScopeKind::OrgPolicies))
    }
}

impl Named for OrgUnit {
    const LISTED_BY: &'static str = "organizations:ListAccounts";

    fn names(&self) -> Vec<&str> {
        vec![&self.id]
    }

    fn listing(&self) -> Option<Scope> {
        Some(Scope::global(self.account_id, ScopeKind::Organization))
    }
}
