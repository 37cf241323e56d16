//! The estate as one scan observed it, and as it stood at one moment.
//!
//! Refuses to know where a snapshot is kept.

use crate::activity::{AssociationSpan, TrailMemory};
use crate::assumption::Assumption;
use crate::coverage::{Coverage, Gap, GapReason};
use crate::declared::Declared;
use crate::resource::{
    Account, Association, Cluster, Documents, ManagedPolicy, OidcProvider, OrgPolicy, OrgUnit, Role, RoleLastUsed,
    Trail,
};
use crate::session::Session;
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// What was seen: of one account in one scan, or of all accounts at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every document that the facts name.
    pub documents: Documents,
    /// Roles.
    pub roles: Vec<Role>,
    /// Last use of roles.
    pub last_used: Vec<RoleLastUsed>,
    /// Managed policies.
    pub policies: Vec<ManagedPolicy>,
    /// OIDC providers.
    pub oidc_providers: Vec<OidcProvider>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Associations.
    pub associations: Vec<Association>,
    /// Trails.
    pub trails: Vec<Trail>,
    /// Sessions: those that a scan read, or those of the window that is judged.
    pub sessions: Vec<Session>,
    /// Organization policies, under the account that was asked for them.
    pub org_policies: Vec<OrgPolicy>,
    /// Roots and OUs, under the account that was asked for them.
    pub org_units: Vec<OrgUnit>,
    /// Which listings are complete, and what the others lack, each as its latest scan left it.
    pub coverage: Coverage,
}

impl Snapshot {
    /// Takes over what was seen of another account.
    pub fn absorb(&mut self, other: Self) {
        let Self {
            documents,
            roles,
            last_used,
            policies,
            oidc_providers,
            clusters,
            associations,
            trails,
            sessions,
            org_policies,
            org_units,
            coverage,
        } = other;
        self.documents.absorb(documents);
        self.roles.extend(roles);
        self.last_used.extend(last_used);
        self.policies.extend(policies);
        self.oidc_providers.extend(oidc_providers);
        self.clusters.extend(clusters);
        self.associations.extend(associations);
        self.trails.extend(trails);
        self.sessions.extend(sessions);
        self.org_policies.extend(org_policies);
        self.org_units.extend(org_units);
        self.coverage.absorb(coverage);
    }
}

/// Everything observed of one account in one scan, before it is stored.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The account, where it is known.
    pub account: Option<Account>,
    /// Of what date files are that it was read from: the newest date in them. `None`: it is of now.
    pub as_of: Option<DateTime<Utc>>,
    /// What was seen of it.
    pub snapshot: Snapshot,
}

impl From<Snapshot> for Observation {
    /// What was seen of no account in particular, now.
    fn from(snapshot: Snapshot) -> Self {
        Self { account: None, as_of: None, snapshot }
    }
}

/// An observation is used as its snapshot, whose fields it had to repeat otherwise.
impl Deref for Observation {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl DerefMut for Observation {
    fn deref_mut(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }
}

rolecall_iam::vocabulary! {
    /// A kind of resource, or of description of one, that a scan shows or does not show.
    pub enum ResourceKind: "a kind of resource" {
        /// An account.
        Account = "account",
        /// A role; its key is the ARN.
        Role = "role",
        /// A managed policy; its key is the ARN.
        Policy = "policy",
        /// The document of a managed policy; its key is the policy's.
        PolicyDocument = "policy_document",
        /// An OIDC provider; its key is the ARN.
        OidcProvider = "oidc_provider",
        /// A cluster; its key is `region/name`.
        Cluster = "cluster",
        /// The add-ons of a cluster; their key is the cluster's.
        ClusterAddons = "cluster_addons",
        /// An association; its key is `AssociationKey`'s text.
        Association = "association",
        /// The description of an association; its key is the association's.
        AssociationDetail = "association_detail",
        /// A trail; its key is the ARN.
        Trail = "trail",
        /// What a trail's selectors take in; its key is the trail's.
        TrailSelectors = "trail_selectors",
        /// A service or resource control policy; its key is the id.
        OrgPolicy = "org_policy",
        /// A root or organisational unit; its key is the id.
        OrgUnit = "org_unit",
    }
}

/// Resources, and descriptions of resources, that are remembered from an earlier scan and that the
/// latest scan of their listing did not show, while nothing proves them gone.
///
/// Everything else of an [`Estate`] was seen in the latest scan, whatever its listing lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unconfirmed(BTreeMap<(ResourceKind, AccountId), BTreeSet<String>>);

impl Unconfirmed {
    /// Notes one. The account is the one that the resource is kept under.
    pub fn add(&mut self, kind: ResourceKind, account: AccountId, key: impl Into<String>) {
        self.0.entry((kind, account)).or_default().insert(key.into());
    }

    /// Whether the latest scan did not show it.
    #[must_use]
    pub fn contains(&self, kind: ResourceKind, account: AccountId, key: &str) -> bool {
        self.0.get(&(kind, account)).is_some_and(|keys| keys.contains(key))
    }

    /// Whether the latest scan showed everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, by kind, account and key.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceKind, AccountId, &str)> {
        self.0.iter().flat_map(|((kind, account), keys)| keys.iter().map(|key| (*kind, *account, key.as_str())))
    }
}

/// The estate as it stood at one moment: what the store gives back, and what rules judge.
#[derive(Debug, Clone, Default)]
pub struct Estate {
    /// Accounts.
    pub accounts: Vec<Account>,
    /// What was seen of all of them.
    pub snapshot: Snapshot,
    /// Since when `sessions` holds all that the trails have, where they were read completely; `None`
    /// where nobody can say.
    pub sessions_since: Option<DateTime<Utc>>,
    /// From when on `sessions` holds every session that is kept; `None`: all of them.
    pub sessions_judged_since: Option<DateTime<Utc>>,
    /// What happened before this moment is not kept any more; `None`: everything is.
    pub sessions_kept_since: Option<DateTime<Utc>>,
    /// Associations as scans found them over time, those that are gone too. Empty: of the past only
    /// the dates of the present ones are known.
    pub association_history: Vec<AssociationSpan>,
    /// What is remembered of trails beyond `sessions`.
    pub memory: TrailMemory,
    /// Of what date is what is known of each account: the time of its latest scan, or the newest date
    /// in its files. Ages are counted up to there; an account without one is of now.
    pub as_of: BTreeMap<AccountId, DateTime<Utc>>,
    /// What of all this the latest scan did not show.
    pub unconfirmed: Unconfirmed,
    /// What is stated of the rest, which nobody provided.
    pub assumed: BTreeSet<Assumption>,
    /// What infrastructure code declares; `None`: nobody gave any.
    pub declared: Option<Arc<Declared>>,
}

/// An estate is used as its snapshot, whose fields it had to repeat otherwise.
impl Deref for Estate {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl DerefMut for Estate {
    fn deref_mut(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }
}

impl Estate {
    /// The estate without what is known of some accounts, each with the reason: nothing was seen of them,
    /// so that nothing is decided from what is not there.
    #[must_use]
    pub fn without(&self, accounts: &BTreeMap<AccountId, String>) -> Self {
        let mut left = self.clone();
        if accounts.is_empty() {
            return left;
        }
        let kept = |account: &AccountId| !accounts.contains_key(account);
        left.roles.retain(|it| kept(&it.arn.account_id()));
        left.last_used.retain(|it| kept(&it.role.account_id()));
        left.policies.retain(|it| kept(&it.account_id));
        left.oidc_providers.retain(|it| it.arn.account_id().is_none_or(|account| kept(&account)));
        left.clusters.retain(|it| kept(&it.account_id));
        left.associations.retain(|it| kept(&it.key.account_id));
        left.association_history.retain(|it| kept(&it.key.account_id));
        left.trails.retain(|it| kept(&it.account_id));
        left.sessions.retain(|it| kept(&it.account_id));
        for scope in self.coverage.scopes().map(|(scope, _)| scope).filter(|scope| !kept(&scope.account_id)) {
            let detail = accounts.get(&scope.account_id).cloned().unwrap_or_default();
            let action = "rolecall:Evaluate".to_owned();
            left.coverage.gap(Gap { scope: scope.clone(), action, reason: GapReason::SetAside, detail, day: None });
        }
        left
    }

    /// What observations of one moment show, of each account one.
    #[must_use]
    pub fn observed(observations: impl IntoIterator<Item = Observation>) -> Self {
        let mut estate = Self::default();
        for seen in observations {
            if let (Some(account), Some(as_of)) = (&seen.account, seen.as_of) {
                estate.as_of.insert(account.id, as_of);
            }
            estate.accounts.extend(seen.account);
            estate.snapshot.absorb(seen.snapshot);
        }
        estate
    }

    /// The trails, without what the latest scan did not confirm of what they record.
    #[must_use]
    pub fn confirmed_trails(&self) -> Vec<Trail> {
        let remembered = |trail: &Trail| {
            [ResourceKind::Trail, ResourceKind::TrailSelectors]
                .iter()
                .any(|kind| self.unconfirmed.contains(*kind, trail.account_id, &trail.arn))
        };
        let as_seen = |trail: &Trail| match remembered(trail) {
            true => Trail { records_read_only_management: None, recorded: None, ..trail.clone() },
            false => trail.clone(),
        };
        self.trails.iter().map(as_seen).collect()
    }
}
