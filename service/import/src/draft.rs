//! What was seen of one account, before it is an observation with its coverage.

use super::listing::{Listing, Page};
use super::{iam, listing};
use chrono::{DateTime, Utc};
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{
    AccessEntry, Account, Addon, Association, AssociationKey, Cluster, Observation, OrgPolicyKind, Snapshot,
};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An account of which nothing is known but what records of these regions tell: all else is a gap.
#[must_use]
pub fn named_by_records(account: AccountId, regions: &BTreeSet<Region>) -> Observation {
    let draft = AccountDraft { held: true, record_regions: regions.clone(), ..AccountDraft::default() };
    Observation { as_of: None, ..draft.finish(account, true, false) }
}

/// What was seen of one account, before it is an observation.
#[derive(Debug, Default)]
pub(super) struct AccountDraft {
    pub(super) observation: Observation,
    /// The region that the list of accounts names for it.
    pub(super) home: Option<Region>,
    /// Whether any file but the list of accounts holds something of it.
    pub(super) held: bool,
    /// The pages of every listing of which there are any.
    pub(super) listings: BTreeMap<Listing, Vec<Page>>,
    pub(super) trail_regions: BTreeSet<Region>,
    /// Of which there are records, that may not be all.
    pub(super) record_regions: BTreeSet<Region>,
    /// The newest date in its files.
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) clusters: BTreeMap<(Region, ClusterName), Cluster>,
    pub(super) associations: BTreeMap<AssociationKey, Association>,
    /// By their names.
    pub(super) addons: BTreeMap<(Region, ClusterName), BTreeMap<String, Addon>>,
    /// By their principals.
    pub(super) access_entries: BTreeMap<(Region, ClusterName), BTreeMap<String, AccessEntry>>,
    /// Each once, however many records of a file are wrong.
    pub(super) gaps: BTreeMap<(Scope, String), Gap>,
    /// Where each role and policy stands among those of the observation, by its ARN.
    pub(super) role_at: HashMap<Box<str>, usize>,
    pub(super) policy_at: HashMap<Box<str>, usize>,
}

impl AccountDraft {
    pub(super) fn note(&mut self, gap: Gap) {
        self.gaps.entry((gap.scope.clone(), gap.detail.clone())).or_insert(gap);
    }

    /// Turns what was seen, and what was not, into an observation with its coverage.
    pub(super) fn finish(mut self, account: AccountId, of_organization: bool, complete: bool) -> Observation {
        let mut observation = std::mem::take(&mut self.observation);
        let out = &mut observation.snapshot;
        self.check_details(account, out, complete);
        let listings = std::mem::take(&mut self.listings);
        let pages = |listing: &Listing| listings.get(listing).into_iter().flatten();
        // A trail that could not be read may be one of any region.
        let unread = self.gaps.values().find(|gap| gap.scope.kind == ScopeKind::Trails);
        let unread = unread.map(|gap| (gap.reason, gap.detail.clone()));
        let coverage = &mut out.coverage;
        for gap in std::mem::take(&mut self.gaps).into_values() {
            coverage.gap(gap);
        }
        let mut say = |scope: Scope, seen: Result<(), (GapReason, String)>, action: &str| {
            match seen {
                Ok(()) => coverage.complete(scope),
                // That it is one page, or thinned, is worth knowing beside any other gap.
                Err((reason, detail))
                    if matches!(reason, GapReason::Truncated | GapReason::Filtered)
                        || coverage.gaps_of(&scope).is_none_or(<[Gap]>::is_empty) =>
                {
                    coverage.gap(Gap { scope, action: action.to_owned(), reason, detail, day: None });
                }
                Err(_) => {}
            }
        };
        let provided = |seen: bool| if seen { Ok(()) } else { Err(not_provided()) };
        let global = |kind| Scope::global(account, kind);
        let completeness = |listing: Listing, shown: bool| {
            listing::completeness(&pages(&listing).collect::<Vec<_>>(), shown, complete)
        };
        let everywhere = |kind, shown: bool| completeness((kind, None, None), shown);
        say(global(ScopeKind::Entry), provided(self.held), "sts:AssumeRole");
        say(global(ScopeKind::Roles), everywhere(ScopeKind::Roles, !out.roles.is_empty()), iam::ACTION);
        say(global(ScopeKind::Policies), everywhere(ScopeKind::Policies, !out.policies.is_empty()), iam::ACTION);
        let oidc = everywhere(ScopeKind::OidcProviders, !out.oidc_providers.is_empty());
        // Where nothing tells of providers, one gap says so.
        if oidc.is_ok() || !out.oidc_providers.is_empty() {
            let described = out.oidc_providers.iter().all(|provider| provider.detail.is_some());
            let details = if described { oidc.clone() } else { Err(not_provided()) };
            say(global(ScopeKind::OidcProviderDetails), details, "iam:GetOpenIDConnectProvider");
        }
        say(global(ScopeKind::OidcProviders), oidc, "iam:ListOpenIDConnectProviders");
        if of_organization {
            let tree = everywhere(ScopeKind::Organization, !out.org_units.is_empty());
            say(global(ScopeKind::Organization), tree, "organizations:ListAccounts");
            // Without their targets, policies would seem to bind nothing.
            let attached = out.org_policies.iter().any(|policy| !policy.targets.is_empty());
            let policies = match everywhere(ScopeKind::OrgPolicies, !out.org_policies.is_empty()) {
                Ok(()) if !out.org_policies.is_empty() && !attached => Err(not_provided()),
                policies => policies,
            };
            let listed = policies.is_ok();
            say(global(ScopeKind::OrgPolicies), policies, "organizations:ListPolicies");
            // AWS lists one kind at a time, and has a policy of each kind that is in use: a kind without any
            // may be in the answer that nobody gave.
            for kind in OrgPolicyKind::ALL {
                let any = |kind: OrgPolicyKind| out.org_policies.iter().any(|policy| policy.kind == kind);
                if listed && !complete && !out.org_policies.is_empty() && !any(kind) {
                    say(global(ScopeKind::OrgPolicies), Err(not_provided()), kind.listing());
                }
            }
        }

        let in_clusters = self.clusters.keys().map(|(region, _)| region);
        let in_associations = self.associations.keys().map(|key| &key.region);
        let regions: BTreeSet<Region> = in_clusters
            .chain(in_associations)
            .chain(listings.keys().filter_map(|(_, region, _)| region.as_ref()))
            .chain(&self.trail_regions)
            .chain(&self.record_regions)
            .chain(&self.home)
            .cloned()
            .collect();
        let regional = |kind, region: &Region| Scope::regional(account, kind, region.clone());
        let trails = unread.map_or_else(|| everywhere(ScopeKind::Trails, !out.trails.is_empty()), Err);
        for region in &regions {
            let shown = self.clusters.keys().any(|(known, _)| known == region);
            let listed = completeness((ScopeKind::Clusters, Some(region.clone()), None), shown);
            say(regional(ScopeKind::Clusters, region), listed, "eks:ListClusters");
            let sessions = if self.record_regions.contains(region) && !self.trail_regions.contains(region) {
                Err((GapReason::Unproven, "records of it were given, and nothing shows that they are all".to_owned()))
            } else {
                provided(self.trail_regions.contains(region))
            };
            say(regional(ScopeKind::Sessions, region), sessions, "cloudtrail:LookupEvents");
            say(regional(ScopeKind::Trails, region), trails.clone(), "cloudtrail:DescribeTrails");
        }
        if regions.is_empty() {
            say(global(ScopeKind::Clusters), provided(false), "eks:ListClusters");
            say(global(ScopeKind::Sessions), provided(false), "cloudtrail:LookupEvents");
            say(global(ScopeKind::Trails), trails, "cloudtrail:DescribeTrails");
        }

        let mut all_clusters = self.clusters;
        let described = |key: &AssociationKey| (key.region.clone(), key.cluster.clone());
        let named = listings.keys().filter_map(|(_, region, cluster)| Some((region.clone()?, cluster.clone()?)));
        let clusters: BTreeSet<(Region, ClusterName)> =
            all_clusters.keys().cloned().chain(self.associations.keys().map(described)).chain(named).collect();
        for (region, cluster) in clusters {
            let own: Vec<&Association> =
                self.associations.values().filter(|a| a.key.region == region && a.key.cluster == cluster).collect();
            let scope = |kind| Scope::of_cluster(account, kind, region.clone(), cluster.clone());
            let known = all_clusters.contains_key(&(region.clone(), cluster.clone()));
            say(scope(ScopeKind::ClusterDetails), provided(known), "eks:DescribeCluster");
            // A list of the region tells of each of its clusters.
            let listed = |kind, shown: bool| {
                let (in_region, in_cluster) =
                    ((kind, Some(region.clone()), None), (kind, Some(region.clone()), Some(cluster.clone())));
                listing::completeness(&pages(&in_region).chain(pages(&in_cluster)).collect::<Vec<_>>(), shown, complete)
            };
            let associations = listed(ScopeKind::Associations, !own.is_empty());
            let detailed = match &associations {
                _ if own.iter().any(|a| a.detail.is_none()) => Err(not_provided()),
                Err(why) if own.is_empty() => Err(why.clone()),
                _ => Ok(()),
            };
            say(scope(ScopeKind::Associations), associations, "eks:ListPodIdentityAssociations");
            say(scope(ScopeKind::AssociationDetails), detailed, "eks:DescribePodIdentityAssociation");
            let key = (region.clone(), cluster.clone());
            let addons = listed(ScopeKind::Addons, self.addons.contains_key(&key));
            let entries = listed(ScopeKind::AccessEntries, self.access_entries.contains_key(&key));
            if let Some(own) = all_clusters.get_mut(&key) {
                // Those of a listing that is not complete were seen.
                let known = self.addons.remove(&key).map(|known| known.into_values().collect());
                own.addons = known.or_else(|| addons.is_ok().then(Vec::new));
                let known = self.access_entries.remove(&key).map(|known| known.into_values().collect());
                own.access_entries = known.or_else(|| entries.is_ok().then(Vec::new));
            }
            say(scope(ScopeKind::Addons), addons, "eks:ListAddons");
            say(scope(ScopeKind::AccessEntries), entries, "eks:ListAccessEntries");
        }

        observation.account.get_or_insert(Account::new(account));
        out.clusters = all_clusters.into_values().collect();
        out.associations = self.associations.into_values().collect();
        let newest = self.newest.into_iter().chain(newest(out)).max();
        observation.as_of = Some(newest.unwrap_or(DateTime::UNIX_EPOCH));
        observation
    }
}

fn not_provided() -> (GapReason, String) {
    (GapReason::NotProvided, "no file holds it".to_owned())
}

/// The newest date that the facts themselves have.
pub(super) fn newest(seen: &Snapshot) -> Option<DateTime<Utc>> {
    let roles = seen.roles.iter().filter_map(|role| role.created_at);
    let used = seen.last_used.iter().map(|used| used.at);
    let policies = seen.policies.iter().filter_map(|policy| policy.updated_at);
    let clusters = seen.clusters.iter().filter_map(|cluster| cluster.created_at);
    let associations = seen.associations.iter().filter_map(|association| association.detail.as_ref());
    let associations = associations.flat_map(|detail| detail.created_at.into_iter().chain(detail.modified_at));
    let sessions = seen.sessions.iter().map(|session| session.at);
    roles.chain(used).chain(policies).chain(clusters).chain(associations).chain(sessions).max()
}
