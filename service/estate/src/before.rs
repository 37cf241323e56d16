//! What files list, beside what is remembered of the same places.
//!
//! A list of associations that was filtered by namespace looks like any other, and so does a list from
//! which everything was filtered. Where it differs from what was seen before as a filter would make it
//! differ, it proves nothing gone. Refuses to know where anything is remembered.

use crate::coverage::{Gap, GapReason, Scope, ScopeKind};
use crate::id::{Namespace, ServiceAccount};
use crate::snapshot::Observation;
use std::collections::{BTreeMap, BTreeSet};

/// Something that was listed before, and is not known to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// The listing that would show it.
    pub scope: Scope,
    /// What it is told by in that listing: a cluster's name, an association's key, another thing's ARN
    /// or id. Empty for parts that are not told apart.
    pub name: String,
    /// Whether the latest look at the listing lacked it.
    pub was_missing: bool,
    /// An association's namespace and service account.
    pub pod: Option<(Namespace, ServiceAccount)>,
}

impl Before {
    /// Something of a listing, whatever its name.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, name: String::new(), was_missing: false, pod: None }
    }
}

/// Takes the proof from listings that may have been filtered: those that show nothing where there was
/// something, and those of associations that show one namespace, or one service account, and have
/// lost all others. What they show stays seen.
pub fn doubt(observations: &mut [Observation], before: &[Before]) {
    let mut by_scope: BTreeMap<&Scope, Vec<&Before>> = BTreeMap::new();
    for known in before {
        by_scope.entry(&known.scope).or_default().push(known);
    }
    for seen in observations {
        for (scope, known) in &by_scope {
            if !seen.coverage.is_complete(scope) {
                continue;
            }
            let Some(detail) = filtered(seen, scope, known) else { continue };
            let action = action(scope.kind).to_owned();
            seen.coverage.gap(Gap { scope: (*scope).clone(), action, reason: GapReason::Unproven, detail, day: None });
            for cluster in seen.clusters.iter_mut().filter(|cluster| scope.cluster.as_ref() == Some(&cluster.name)) {
                match scope.kind {
                    ScopeKind::Addons => cluster.addons = None,
                    ScopeKind::AccessEntries => cluster.access_entries = None,
                    _ => {}
                }
            }
        }
    }
}

/// Why a listing looks as if it had been filtered.
fn filtered(seen: &Observation, scope: &Scope, known: &[&Before]) -> Option<String> {
    let (region, cluster) = (scope.region.as_ref(), scope.cluster.as_ref());
    let own = seen.clusters.iter().filter(|c| Some(&c.region) == region && Some(&c.name) == cluster);
    let mut pods: BTreeSet<(&Namespace, &ServiceAccount)> = BTreeSet::new();
    let shown = match scope.kind {
        ScopeKind::Associations => {
            let own = seen.associations.iter().map(|a| &a.key);
            let own = own.filter(|key| Some(&key.region) == region && Some(&key.cluster) == cluster);
            pods.extend(own.map(|key| (&key.namespace, &key.service_account)));
            !pods.is_empty()
        }
        ScopeKind::Clusters => seen.clusters.iter().any(|c| Some(&c.region) == region),
        ScopeKind::Addons => own.filter_map(|c| c.addons.as_ref()).any(|list| !list.is_empty()),
        ScopeKind::AccessEntries => own.filter_map(|c| c.access_entries.as_ref()).any(|list| !list.is_empty()),
        // `--filter` leaves out AWS's policies, or those of the account.
        ScopeKind::Policies => seen.policies.iter().any(|policy| policy.arn.account_id().is_some()),
        ScopeKind::OidcProviders => !seen.oidc_providers.is_empty(),
        ScopeKind::OrgPolicies => !seen.org_policies.is_empty(),
        ScopeKind::Organization => !seen.org_units.is_empty(),
        ScopeKind::Trails => seen.trails.iter().any(|trail| Some(&trail.region) == region),
        _ => true,
    };
    if !shown {
        return Some(format!("nothing is listed, where {} were seen before: it may have been filtered", known.len()));
    }
    let missing =
        || known.iter().filter_map(|known| known.pod.as_ref()).filter(|pod| !pods.contains(&(&pod.0, &pod.1)));
    if scope.kind != ScopeKind::Associations || missing().next().is_none() {
        return None;
    }
    let namespaces: BTreeSet<&Namespace> = pods.iter().map(|pod| pod.0).collect();
    let accounts: BTreeSet<&ServiceAccount> = pods.iter().map(|pod| pod.1).collect();
    let only = match (namespaces.first(), accounts.first()) {
        (Some(only), _) if namespaces.len() == 1 && missing().all(|pod| pod.0 != **only) => {
            format!("namespace {only}")
        }
        (_, Some(only)) if accounts.len() == 1 && missing().all(|pod| pod.1 != **only) => {
            format!("service account {only}")
        }
        _ => return None,
    };
    Some(format!("all that is listed is of {only}, and others were seen before: it may have been filtered"))
}

pub(crate) fn action(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Associations => "eks:ListPodIdentityAssociations",
        ScopeKind::Addons => "eks:ListAddons",
        ScopeKind::AccessEntries => "eks:ListAccessEntries",
        ScopeKind::Policies => "iam:GetAccountAuthorizationDetails",
        ScopeKind::OidcProviders => "iam:ListOpenIDConnectProviders",
        ScopeKind::OrgPolicies => "organizations:ListPolicies",
        ScopeKind::Organization => "organizations:ListAccounts",
        ScopeKind::Trails => "cloudtrail:DescribeTrails",
        _ => "eks:ListClusters",
    }
}
