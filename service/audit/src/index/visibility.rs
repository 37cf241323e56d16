//! What of an estate was not seen, as reasons: by account, by cluster, and for one thing.

use super::{ClusterKey, EstateIndex, cluster_key, join, reasons};
use chrono::{DateTime, Days, NaiveTime, Utc};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{GapReason, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{Association, Cause, Cluster, ManagedPolicy, Reason, ResourceKind, Role, Trail};
use rolecall_iam::AccountId;
use rolecall_rules::Reasons;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Why listings of an account are incomplete, by listing. `None`: complete.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountVisibility {
    pub roles: Option<Reasons>,
    pub policies: Option<Reasons>,
    /// Some cluster may exist that is not in the estate.
    pub clusters: Option<Reasons>,
    /// Some association may exist that is not in the estate.
    pub associations: Option<Reasons>,
    /// Some association's description is not known.
    pub details: Option<Reasons>,
    pub trails: Option<Reasons>,
    pub sessions: Option<Reasons>,
}

/// Why listings of a cluster are incomplete.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterVisibility {
    pub associations: Option<Reasons>,
    pub details: Option<Reasons>,
    pub addons: Option<Reasons>,
}

impl EstateIndex {
    /// Works out what was not seen, once for each account and cluster.
    pub(super) fn note_unseen(&mut self) {
        let mut regional: BTreeMap<(AccountId, ScopeKind), Vec<Scope>> = BTreeMap::new();
        let mut places: BTreeSet<ClusterKey> = self.clusters.iter().map(cluster_key).collect();
        places.extend(self.by_cluster.keys().cloned());
        for (scope, _) in self.coverage.scopes() {
            match (&scope.region, &scope.cluster) {
                (Some(region), Some(cluster)) if !self.cluster_gone(scope.account_id, region, cluster) => {
                    places.insert((scope.account_id, region.clone(), cluster.clone()));
                }
                (_, None) => regional.entry((scope.account_id, scope.kind)).or_default().push(scope.clone()),
                _ => {}
            }
        }
        let blind = |scope: &Scope| self.coverage.blind_spots(scope);
        let mut of_account: BTreeMap<AccountId, (Option<Reasons>, Option<Reasons>)> = BTreeMap::new();
        let mut cluster_visibility: HashMap<ClusterKey, ClusterVisibility> = HashMap::with_capacity(places.len());
        for place in places {
            let (account_id, region, cluster) = place.clone();
            let of = |kind| reasons(blind(&Scope::of_cluster(account_id, kind, region.clone(), cluster.clone())));
            let visibility = ClusterVisibility {
                associations: of(ScopeKind::Associations),
                details: self.undescribed(&place),
                addons: self.addons_unseen(&place),
            };
            let (associations, details) = of_account.entry(account_id).or_default();
            *associations = join(associations.take(), visibility.associations.as_ref());
            *details = join(details.take(), visibility.details.as_ref());
            cluster_visibility.insert(place, visibility);
        }
        let visibility = self
            .accounts
            .keys()
            .map(|&account| {
                let every = |kind: ScopeKind| match regional.get(&(account, kind)) {
                    Some(scopes) => reasons(scopes.iter().flat_map(blind)),
                    // A scope that does not exist says that nobody looked.
                    None => reasons(blind(&Scope::global(account, kind))),
                };
                let (associations, details) = of_account.remove(&account).unwrap_or_default();
                let clusters = every(ScopeKind::Clusters);
                let visibility = AccountVisibility {
                    roles: reasons(blind(&Scope::global(account, ScopeKind::Roles))),
                    policies: reasons(blind(&Scope::global(account, ScopeKind::Policies))),
                    associations: join(clusters.clone(), associations.as_ref()),
                    details,
                    clusters,
                    trails: every(ScopeKind::Trails),
                    sessions: every(ScopeKind::Sessions),
                };
                (account, visibility)
            })
            .collect();
        self.visibility = visibility;
        self.cluster_visibility = cluster_visibility;
        let never = Reasons::one("the account is not in the estate");
        self.nowhere = AccountVisibility {
            roles: Some(never.clone()),
            policies: Some(never.clone()),
            clusters: Some(never.clone()),
            associations: Some(never.clone()),
            details: Some(never.clone()),
            trails: Some(never.clone()),
            sessions: Some(never),
        };
    }

    /// Why a cluster may have other add-ons than the estate knows of.
    fn addons_unseen(&self, (account_id, region, cluster): &ClusterKey) -> Option<Reasons> {
        let scope = Scope::of_cluster(*account_id, ScopeKind::Addons, region.clone(), cluster.clone());
        let gaps = self.coverage.gaps_of(&scope).unwrap_or_default();
        if gaps.is_empty() || gaps.iter().any(|gap| gap.reason != GapReason::NotProvided) {
            return reasons(self.coverage.blind_spots(&scope));
        }
        if self.assumed.contains(&Assumption::NoAddons) {
            return None;
        }
        let text = format!("{}: cluster {cluster} of account {account_id} in {region}", Assumption::NoAddons.missing());
        Some(Reasons::one(Reason::new(text, Cause::Assumption(Assumption::NoAddons))))
    }

    /// Whether a cluster whose add-ons nobody provided is stated to have none.
    pub(crate) fn assumes_no_addons(&self) -> bool {
        self.assumed.contains(&Assumption::NoAddons)
    }

    /// Why some association of a cluster may have another role than the estate knows of.
    fn undescribed(&self, place: &ClusterKey) -> Option<Reasons> {
        let indices = self.by_cluster.get(place).into_iter().flatten();
        let open = indices.filter_map(|index| self.associations.get(*index)).filter(|association| {
            let key = &association.key;
            association.detail.is_none()
                || self.unconfirmed.contains(ResourceKind::AssociationDetail, key.account_id, &key.to_string())
        });
        let first = open.map(|association| association.key.to_string()).next()?;
        let (account_id, region, cluster) = place.clone();
        let scope = Scope::of_cluster(account_id, ScopeKind::AssociationDetails, region, cluster);
        let gaps = reasons(self.coverage.blind_spots(&scope));
        Some(gaps.unwrap_or_else(|| {
            let text = format!("association {first} was listed, but not described");
            Reasons::one(Reason::new(text, Cause::Gap(scope)))
        }))
    }

    /// Whether a complete listing of clusters lacks this one: its old scopes say nothing any more.
    fn cluster_gone(&self, account_id: AccountId, region: &Region, cluster: &ClusterName) -> bool {
        !self.cluster_at.contains_key(&(account_id, region.clone(), cluster.clone()))
            && self.coverage.blind_spots(&Scope::regional(account_id, ScopeKind::Clusters, region.clone())).is_empty()
    }

    pub(crate) fn visibility(&self, account: AccountId) -> &AccountVisibility {
        self.visibility.get(&account).unwrap_or(&self.nowhere)
    }

    pub(crate) fn cluster_visibility(&self, key: &ClusterKey) -> Option<&ClusterVisibility> {
        self.cluster_visibility.get(key)
    }

    /// Why a resource that the estate has may not be there any more, or not as it was: the latest
    /// scan of its listing did not show it. `listing`: what that scan did not see.
    fn unseen(&self, kind: ResourceKind, account: AccountId, key: &str, listing: Option<&Reasons>) -> Option<Reasons> {
        if !self.unconfirmed.contains(kind, account, key) {
            return None;
        }
        // A listing that was complete for the first time, and lacked it: the next one decides.
        let once = || Reasons::one(format!("{key} was not in the latest listing, and it is not proven to be gone"));
        Some(listing.cloned().unwrap_or_else(once))
    }

    /// Why a role may not be as the estate has it.
    pub(crate) fn role_unseen(&self, role: &Role) -> Option<Reasons> {
        let account = role.arn.account_id();
        self.unseen(ResourceKind::Role, account, role.arn.as_str(), self.visibility(account).roles.as_ref())
    }

    /// Why a managed policy may not be as the estate has it.
    pub(crate) fn policy_unseen(&self, policy: &ManagedPolicy) -> Option<Reasons> {
        let (account, key) = (policy.account_id, policy.arn.as_str());
        let listing = self.visibility(account).policies.as_ref();
        let unseen = |kind| self.unseen(kind, account, key, listing);
        unseen(ResourceKind::Policy).or_else(|| unseen(ResourceKind::PolicyDocument))
    }

    /// Why a cluster may not be there, or not as the estate has it.
    pub(crate) fn cluster_unseen(&self, cluster: &Cluster) -> Option<Reasons> {
        if self.unconfirmed.is_empty() {
            return None;
        }
        let scope = Scope::regional(cluster.account_id, ScopeKind::Clusters, cluster.region.clone());
        let listing = reasons(self.coverage.blind_spots(&scope));
        self.unseen(ResourceKind::Cluster, cluster.account_id, &cluster.key(), listing.as_ref())
    }

    /// Why what only describing a cluster shows is not known.
    pub(crate) fn cluster_undescribed(&self, cluster: &Cluster) -> Option<Reasons> {
        let Cluster { account_id, region, name, .. } = cluster;
        let scope = Scope::of_cluster(*account_id, ScopeKind::ClusterDetails, region.clone(), name.clone());
        let gaps = self.coverage.gaps_of(&scope).unwrap_or_default();
        let refused = reasons(gaps);
        join(self.cluster_unseen(cluster), refused.as_ref())
    }

    /// Whether the latest scan showed the add-ons that the estate has of a cluster, though perhaps not
    /// all of them.
    pub(crate) fn addons_shown(&self, cluster: &Cluster) -> bool {
        self.cluster_unseen(cluster).is_none()
            && !self.unconfirmed.contains(ResourceKind::ClusterAddons, cluster.account_id, &cluster.key())
    }

    /// Why an association may not be there.
    pub(crate) fn association_unseen(&self, association: &Association) -> Option<Reasons> {
        self.association_part(association, ResourceKind::Association, |visibility| visibility.associations.as_ref())
    }

    /// Why the description of an association may not be as the estate has it; `None` for one that
    /// was never described, too.
    pub(crate) fn detail_unseen(&self, association: &Association) -> Option<Reasons> {
        self.association_part(association, ResourceKind::AssociationDetail, |visibility| visibility.details.as_ref())
    }

    fn association_part(
        &self,
        association: &Association,
        kind: ResourceKind,
        of: impl Fn(&ClusterVisibility) -> Option<&Reasons>,
    ) -> Option<Reasons> {
        if self.unconfirmed.is_empty() {
            return None;
        }
        let key = &association.key;
        let place = (key.account_id, key.region.clone(), key.cluster.clone());
        let listing = self.cluster_visibility(&place).and_then(of);
        self.unseen(kind, key.account_id, &key.to_string(), listing)
    }

    /// Those of some associations that the latest scan showed, and why others may be there still.
    pub(crate) fn confirmed(&self, indices: &[usize]) -> (Vec<usize>, Option<Reasons>) {
        let mut unseen = None;
        let shown = indices.iter().copied().filter(|index| {
            let why = self.associations.get(*index).and_then(|association| {
                join(self.association_unseen(association), self.detail_unseen(association).as_ref())
            });
            unseen = join(unseen.take(), why.as_ref());
            why.is_none()
        });
        (shown.collect(), unseen)
    }

    /// Why a trail may not be there any more, or not record what the estate has of it.
    pub(crate) fn trail_unseen(&self, trail: &Trail) -> Option<Reasons> {
        let listing = self.visibility(trail.account_id).trails.as_ref();
        let unseen = |kind| self.unseen(kind, trail.account_id, &trail.arn, listing);
        unseen(ResourceKind::Trail).or_else(|| unseen(ResourceKind::TrailSelectors))
    }

    /// Why sessions of a region may exist after a moment that the estate does not have.
    pub(crate) fn sessions_unseen(&self, account: AccountId, region: &Region, after: DateTime<Utc>) -> Option<Reasons> {
        let scope = Scope::regional(account, ScopeKind::Sessions, region.clone());
        reasons(self.coverage.blind_spots_on(&scope, |day| day >= after.date_naive()))
    }

    /// The end of the latest day of which sessions of a region may be missing, where days are all that
    /// is missing, and why.
    pub(crate) fn last_day_unseen(&self, account: AccountId, region: &Region) -> Option<(DateTime<Utc>, Reasons)> {
        let scope = Scope::regional(account, ScopeKind::Sessions, region.clone());
        let day = self.coverage.gaps_of(&scope)?.iter().filter_map(|gap| gap.day).max()?;
        let end = day.and_time(NaiveTime::MIN).and_utc().checked_add_days(Days::new(1))?;
        Some((end, self.sessions_unseen(account, region, day.and_time(NaiveTime::MIN).and_utc())?))
    }
}
