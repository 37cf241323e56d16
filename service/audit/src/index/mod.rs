//! The estate, indexed once, with what was not seen of it turned into reasons.
//!
//! Knows where a role, policy, cluster or association lies and whether its listing may be trusted.
//! Refuses to judge any of them.

mod organization;
mod visibility;

pub(crate) use organization::ou_path;
pub(crate) use visibility::{AccountVisibility, ClusterVisibility};

use chrono::{DateTime, Utc};
use organization::OrganizationIndex;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{
    Account, Association, Cluster, Documents, Estate, ManagedPolicy, Reason, ResourceKind, Role, RoleLastUsed, Trail,
    Unconfirmed,
};
use rolecall_iam::{AccountId, Arn};
use rolecall_rules::Reasons;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Reasons together; `None` where there are none.
pub(crate) fn reasons(why: impl IntoIterator<Item = impl Into<Reason>>) -> Option<Reasons> {
    Reasons::several(why)
}

/// Both, where there are any.
pub(crate) fn join(a: Option<Reasons>, b: Option<&Reasons>) -> Option<Reasons> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (None, b) => b.cloned(),
        (a, None) => a,
    }
}

/// What is known, unless there are reasons not to believe it.
///
/// # Errors
/// These reasons.
pub(crate) fn unless<T>(why: Option<&Reasons>, known: impl FnOnce() -> T) -> Result<T, Reasons> {
    match why {
        Some(why) => Err(why.clone()),
        None => Ok(known()),
    }
}

/// A cluster's place.
pub(crate) type ClusterKey = (AccountId, Region, ClusterName);

/// The estate without its sessions, indexed.
#[derive(Debug)]
pub(crate) struct EstateIndex {
    pub accounts: BTreeMap<AccountId, Account>,
    pub roles: Vec<Role>,
    pub policies: Vec<ManagedPolicy>,
    pub clusters: Vec<Cluster>,
    pub associations: Vec<Association>,
    pub trails: Vec<Trail>,
    pub documents: Documents,
    pub coverage: Coverage,
    unconfirmed: Unconfirmed,
    assumed: BTreeSet<Assumption>,
    last_used: HashMap<Box<str>, RoleLastUsed>,
    /// Accounts of which some role's last use is known: there, its absence says something.
    last_used_in: BTreeSet<AccountId>,
    role_at: HashMap<Box<str>, usize>,
    role_by_id: HashMap<Box<str>, usize>,
    policy_at: HashMap<(AccountId, Arn), usize>,
    aws_policy_at: HashMap<Arn, usize>,
    cluster_at: HashMap<ClusterKey, usize>,
    by_role: HashMap<Box<str>, Vec<usize>>,
    by_target: HashMap<Box<str>, Vec<usize>>,
    by_cluster: HashMap<ClusterKey, Vec<usize>>,
    visibility: BTreeMap<AccountId, AccountVisibility>,
    cluster_visibility: HashMap<ClusterKey, ClusterVisibility>,
    nowhere: AccountVisibility,
    org: OrganizationIndex,
    oidc_providers: HashSet<Box<str>>,
}

impl EstateIndex {
    pub(crate) fn new(estate: &Estate, assumed: &BTreeSet<Assumption>) -> Self {
        let coverage = estate.coverage.clone();
        let mut roles = estate.roles.clone();
        roles.sort_by(|a, b| a.arn.cmp(&b.arn));
        let mut policies = estate.policies.clone();
        policies.sort_by(|a, b| (a.account_id, &a.arn).cmp(&(b.account_id, &b.arn)));
        let mut clusters = estate.clusters.clone();
        clusters.sort_by_cached_key(cluster_key);
        let mut associations = estate.associations.clone();
        associations.sort_by(|a, b| a.key.cmp(&b.key));
        let mut trails = estate.confirmed_trails();
        trails.sort_by(|a, b| (a.account_id, &a.region, &a.arn).cmp(&(b.account_id, &b.region, &b.arn)));
        let mut accounts: BTreeMap<_, _> = estate.accounts.iter().map(|a| (a.id, a.clone())).collect();
        let looked_at = coverage.scopes().map(|(scope, _)| scope.account_id);
        let owners = roles.iter().map(|r| r.arn.account_id()).chain(associations.iter().map(|a| a.key.account_id));
        // Some accounts are named by their records alone.
        let recorded = estate.sessions.iter().map(|session| session.account_id);
        for id in looked_at.chain(owners).chain(recorded).collect::<BTreeSet<_>>() {
            accounts.entry(id).or_insert(Account::new(id));
        }

        let mut by_role: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut by_target: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut by_cluster: HashMap<ClusterKey, Vec<usize>> = HashMap::new();
        for (index, association) in associations.iter().enumerate() {
            let key = &association.key;
            let place = (key.account_id, key.region.clone(), key.cluster.clone());
            by_cluster.entry(place).or_default().push(index);
            let Some(detail) = &association.detail else { continue };
            by_role.entry(detail.role_arn.as_str().into()).or_default().push(index);
            if let Some(target) = &detail.target_role_arn {
                by_target.entry(target.as_str().into()).or_default().push(index);
            }
        }
        let mut index = Self {
            last_used_in: estate.last_used.iter().map(|used| used.role.account_id()).collect(),
            last_used: estate.last_used.iter().map(|u| (u.role.as_str().into(), u.clone())).collect(),
            role_at: roles.iter().enumerate().map(|(i, r)| (r.arn.as_str().into(), i)).collect(),
            role_by_id: roles.iter().enumerate().map(|(i, r)| (r.role_id.as_str().into(), i)).collect(),
            policy_at: policies.iter().enumerate().map(|(i, p)| ((p.account_id, p.arn.clone()), i)).collect(),
            aws_policy_at: aws_policies(&policies, &estate.unconfirmed),
            cluster_at: clusters.iter().enumerate().map(|(i, c)| (cluster_key(c), i)).collect(),
            by_role,
            by_target,
            by_cluster,
            visibility: BTreeMap::new(),
            cluster_visibility: HashMap::new(),
            nowhere: AccountVisibility::default(),
            org: OrganizationIndex::new(estate),
            oidc_providers: estate.oidc_providers.iter().map(|provider| provider.arn.as_str().into()).collect(),
            accounts,
            roles,
            policies,
            clusters,
            associations,
            trails,
            documents: estate.documents.clone(),
            unconfirmed: estate.unconfirmed.clone(),
            assumed: assumed.clone(),
            coverage,
        };
        index.note_unseen();
        index
    }

    pub(crate) fn role_index(&self, arn: &str) -> Option<usize> {
        self.role_at.get(arn).copied()
    }

    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(self.role_index(arn)?)
    }

    pub(crate) fn role_by_id(&self, id: &str) -> Option<&Role> {
        self.roles.get(*self.role_by_id.get(id)?)
    }

    pub(crate) fn last_used(&self, arn: &str) -> Option<&RoleLastUsed> {
        self.last_used.get(arn)
    }

    /// When IAM last saw the role used; `Ok(None)`: not within the 400 days that IAM remembers.
    pub(crate) fn used_by_iam(&self, role: &Role) -> Result<Option<DateTime<Utc>>, Reasons> {
        let account = role.arn.account_id();
        if let Some(why) = self.role_unseen(role) {
            return Err(why);
        }
        match self.last_used(role.arn.as_str()) {
            Some(used) => Ok(Some(used.at)),
            None if self.last_used_in.contains(&account) => Ok(None),
            // A source that leaves last use out looks the same as an account that nobody uses.
            None => Err(Reasons::one(format!("when IAM last saw roles of account {account} used was not seen"))),
        }
    }

    /// A managed policy as an account sees it; AWS's own are the same in every account.
    pub(crate) fn policy(&self, account: AccountId, arn: &Arn) -> Option<&ManagedPolicy> {
        let own = self.policy_at.get(&(account, arn.clone()));
        let shared = self.aws_policy_at.get(arn);
        self.policies.get(*if arn.account() == "aws" { shared.or(own) } else { own }?)
    }

    pub(crate) fn cluster_index(&self, key: &ClusterKey) -> Option<usize> {
        self.cluster_at.get(key).copied()
    }

    /// Associations that name the role as association role.
    pub(crate) fn associations_of(&self, role: &str) -> &[usize] {
        self.by_role.get(role).map_or(&[], Vec::as_slice)
    }

    /// Associations that name the role as target role.
    pub(crate) fn associations_into(&self, role: &str) -> &[usize] {
        self.by_target.get(role).map_or(&[], Vec::as_slice)
    }

    /// Associations of a cluster.
    pub(crate) fn associations_in(&self, key: &ClusterKey) -> &[usize] {
        self.by_cluster.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a role exists: true where the latest scan showed it, false where a complete listing lacks it.
    pub(crate) fn role_exists(&self, arn: &str) -> Result<bool, Reasons> {
        let Ok(parsed) = arn.parse::<rolecall_iam::RoleArn>() else {
            return Err(Reasons::one(format!("`{arn}` is not the ARN of a role")));
        };
        let account = parsed.account_id();
        if !self.accounts.contains_key(&account) {
            return Err(Reasons::one(format!("account {account} of role {arn} is not in the estate")));
        }
        match self.role(arn) {
            Some(role) => unless(self.role_unseen(role).as_ref(), || true),
            None => unless(self.visibility(account).roles.as_ref(), || false),
        }
    }

    /// Whether an account has an OIDC provider, as far as complete listings show.
    pub(crate) fn oidc_provider_exists(&self, account: AccountId, arn: &str) -> Result<bool, Reasons> {
        if self.oidc_providers.contains(arn) {
            return Ok(true);
        }
        let unseen = reasons(self.coverage.blind_spots(&Scope::global(account, ScopeKind::OidcProviders)));
        unless(unseen.as_ref(), || false)
    }
}

/// Where AWS's own policies are, which are the same in every account: one that the latest scan
/// showed, where there is one.
fn aws_policies(policies: &[ManagedPolicy], unconfirmed: &Unconfirmed) -> HashMap<Arn, usize> {
    let mut at: HashMap<Arn, usize> = HashMap::new();
    let shown = |policy: &ManagedPolicy| {
        [ResourceKind::Policy, ResourceKind::PolicyDocument]
            .iter()
            .all(|kind| !unconfirmed.contains(*kind, policy.account_id, policy.arn.as_str()))
    };
    for (index, policy) in policies.iter().enumerate().filter(|(_, policy)| policy.arn.account() == "aws") {
        let known = at.get(&policy.arn).and_then(|known| policies.get(*known));
        let better = |known: &ManagedPolicy| {
            (shown(policy), policy.document.is_some()) > (shown(known), known.document.is_some())
        };
        if known.is_none_or(better) {
            at.insert(policy.arn.clone(), index);
        }
    }
    at
}

pub(crate) fn cluster_key(cluster: &Cluster) -> ClusterKey {
    (cluster.account_id, cluster.region.clone(), cluster.name.clone())
}
