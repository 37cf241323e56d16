//! The estate, indexed once, with what was not seen of it turned into reasons.
//!
//! Knows where a role, policy, cluster or association lies and whether its listing may be trusted.
//! Refuses to judge any of them.

use chrono::{DateTime, Days, NaiveTime, Utc};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Coverage, Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{
    Account, Association, Cause, Cluster, Documents, Estate, ManagedPolicy, OrgPolicy, OrgPolicyKind, OrgUnit, Reason,
    ResourceKind, Role, RoleLastUsed, Trail, Unconfirmed,
};
use rolecall_iam::trust::Organization;
use rolecall_iam::{AccountId, Arn, Level, PolicyRef};
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

/// What of an account was not seen whole, by listing. `None`: seen whole.
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

/// A cluster's place.
pub(crate) type ClusterKey = (AccountId, Region, ClusterName);

/// What of a cluster was not seen whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterVisibility {
    pub associations: Option<Reasons>,
    pub details: Option<Reasons>,
    pub addons: Option<Reasons>,
}

/// A level of the organisation and the policies attached there.
pub(crate) type OrgLevel<'a> = (String, Vec<&'a OrgPolicy>);

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
    org: OrganizationFacts,
    oidc_providers: HashSet<Box<str>>,
}

/// What is known of the organisation.
#[derive(Debug, Default)]
struct OrganizationFacts {
    /// The listed organization's id, `o-…`, where an account with a place in it names it.
    id: Option<String>,
    policies: Vec<OrgPolicy>,
    units: Vec<OrgUnit>,
    /// Why membership is not known whole; `None` where it is, or where nobody was to be asked.
    membership: Option<Reasons>,
    /// Whether the organisation was listed whole.
    listed: bool,
    /// For SCPs and RCPs, whether they were listed whole, and why not; as with `membership`.
    scps: Asked,
    rcps: Asked,
}

/// Whether something was listed whole, and why not where it was asked for.
type Asked = (bool, Option<Reasons>);

impl OrganizationFacts {
    fn listing(&self, kind: OrgPolicyKind) -> &Asked {
        match kind {
            OrgPolicyKind::Scp => &self.scps,
            OrgPolicyKind::Rcp => &self.rcps,
        }
    }
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
            org: OrganizationFacts::new(estate),
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

    /// Works out what was not seen, once for each account and cluster.
    fn note_unseen(&mut self) {
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
        let told = reasons(self.coverage.blind_spots(&scope));
        Some(told.unwrap_or_else(|| {
            let text = format!("association {first} was listed, but not described");
            Reasons::one(Reason::new(text, Cause::Gap(scope)))
        }))
    }

    /// Whether a whole listing of clusters lacks this one: its old scopes say nothing any more.
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
        // A listing that was whole for the first time, and lacked it: the next one decides.
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

    /// Whether a role exists: true where the latest scan showed it, false where a whole listing lacks it.
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

    /// Whether an account belongs to the organisation or the estate; unknown where no whole list of the
    /// organisation's accounts was seen, unless the estate's accounts are stated to be all of them.
    pub(crate) fn account_known(&self, account: AccountId) -> Result<bool, Reasons> {
        if self.accounts.contains_key(&account) {
            return Ok(true);
        }
        if self.org.listed || self.assumed.contains(&Assumption::OrganizationIsFiles) {
            return Ok(false);
        }
        Err(self.org.membership.clone().unwrap_or_else(|| {
            let assumption = Assumption::OrganizationIsFiles;
            let text = format!("{}: account {account} may belong to it", assumption.missing());
            Reasons::one(Reason::new(text, Cause::Assumption(assumption)))
        }))
    }

    /// The organization that an account belongs to, for condition keys such as `aws:PrincipalOrgID`.
    pub(crate) fn organization(&self, account: AccountId) -> Organization {
        let Some(owner) = self.accounts.get(&account) else {
            return Organization::NotSeen(format!("account {account} is not in the estate"));
        };
        // All accounts with a place in the listed organization are in the same one.
        let listed = self.org.id.as_ref().filter(|_| owner.ou_path.is_some() || owner.is_management);
        match owner.organization_id.as_ref().or(listed) {
            Some(id) => Organization::Known(id.clone()),
            // Every organization has a root and a management account.
            None if self.org.listed
                && self.org.units.is_empty()
                && self.accounts.len() == 1
                && !owner.is_management =>
            {
                Organization::None
            }
            None => Organization::NotSeen(format!("the organization id of account {account} was not seen")),
        }
    }

    /// Whether an account has an OIDC provider, as far as whole listings show.
    pub(crate) fn oidc_provider_exists(&self, account: AccountId, arn: &str) -> Result<bool, Reasons> {
        if self.oidc_providers.contains(arn) {
            return Ok(true);
        }
        let unseen = reasons(self.coverage.blind_spots(&Scope::global(account, ScopeKind::OidcProviders)));
        unless(unseen.as_ref(), || false)
    }

    /// The account's OU path; `None` where its place is not known.
    pub(crate) fn ou_path(&self, account: AccountId) -> Option<&str> {
        let known = self.accounts.get(&account).and_then(|a| a.ou_path.as_deref());
        // An account outside a listed organisation stands alone, at the root of nothing.
        known.or_else(|| self.org.listed.then_some("/"))
    }

    /// The assumption by which no policy of a kind binds an account, where that was not seen.
    pub(crate) fn assumes_no_policies(&self, account: AccountId, kind: OrgPolicyKind) -> Option<Assumption> {
        let assumption = match kind {
            OrgPolicyKind::Scp => Assumption::NoScps,
            OrgPolicyKind::Rcp => Assumption::NoRcps,
        };
        let is_known = self.org.listing(kind).0
            || self.org.policies.iter().any(|policy| policy.kind == kind)
            || self.accounts.get(&account).is_some_and(|owner| owner.is_management);
        (!is_known && self.assumed.contains(&assumption)).then_some(assumption)
    }

    /// The SCPs that bind an account, one list for each level from the root down to the account. As
    /// [`EstateIndex::org_levels`].
    pub(crate) fn scps(&self, account: AccountId) -> Result<Vec<Vec<&OrgPolicy>>, Reasons> {
        Ok(self.org_levels(account, OrgPolicyKind::Scp)?.into_iter().map(|(_, policies)| policies).collect())
    }

    /// The organisation's policies of a kind that bind an account, by level, each with its name: a
    /// path of the organisation, or the account. Empty where none bind it: in the management account,
    /// and where there is no organisation.
    ///
    /// # Errors
    /// Why they are not known: a policy that nobody provided may forbid anything. Where none is known
    /// and none is stated to be ([`Assumption`]), the answer is that there are none.
    pub(crate) fn org_levels(&self, account: AccountId, kind: OrgPolicyKind) -> Result<Vec<OrgLevel<'_>>, Reasons> {
        let org = &self.org;
        let Some(owner) = self.accounts.get(&account) else {
            return Err(Reasons::one(format!("account {account} is not in the estate")));
        };
        if owner.is_management {
            return Ok(Vec::new());
        }
        let (name, assumption) = match kind {
            OrgPolicyKind::Scp => ("SCPs", Assumption::NoScps),
            OrgPolicyKind::Rcp => ("RCPs", Assumption::NoRcps),
        };
        let (listed, unseen) = org.listing(kind);
        if !listed {
            if self.assumes_no_policies(account, kind).is_some() {
                return Ok(Vec::new());
            }
            return Err(unseen.clone().unwrap_or_else(|| {
                let text = format!("{}: {name} above account {account} may forbid it", assumption.missing());
                Reasons::one(Reason::new(text, Cause::Assumption(assumption)))
            }));
        }
        // No organisation, or one without policies of this kind.
        if org.policies.iter().all(|policy| policy.kind != kind) {
            return Ok(Vec::new());
        }
        let Some(path) = &owner.ou_path else {
            return Err(org.membership.clone().unwrap_or_else(|| {
                Reasons::one(format!(
                    "account {account} was not found in the organization, so which {name} bind it is not known"
                ))
            }));
        };
        let all = || org.policies.iter().filter(|p| p.kind == kind);
        if all().all(|p| p.targets.is_empty()) {
            return Ok(Vec::new());
        }
        let Some(mut unit) = org.units.iter().find(|u| u.path == *path) else {
            let why = format!("OU {path} of account {account} is not among the organisation's units");
            return Err(org.membership.clone().unwrap_or_else(|| Reasons::one(why)));
        };
        let mut nodes = vec![(account.to_string(), format!("account {account}"))];
        for _ in 0..org.units.len() {
            nodes.push((unit.id.clone(), unit.path.clone()));
            match unit.parent.as_ref().and_then(|id| org.units.iter().find(|u| u.id == *id)) {
                Some(parent) => unit = parent,
                None => break,
            }
        }
        // AWS keeps at least one policy of a kind on every node: a node without any is one whose
        // `FullAWSAccess` the source left out.
        let levels = nodes.into_iter().rev().map(|(node, name)| {
            let policies: Vec<&OrgPolicy> = all().filter(|p| p.targets.contains(&node)).collect();
            (name, policies)
        });
        Ok(levels.filter(|(_, policies)| !policies.is_empty()).collect())
    }

    /// As [`EstateIndex::org_levels`], with what the policies say.
    pub(crate) fn org_policy_levels(&self, account: AccountId, kind: OrgPolicyKind) -> Result<Vec<Level>, Reasons> {
        let name = if kind == OrgPolicyKind::Scp { "SCP" } else { "RCP" };
        let layer = |policy: &OrgPolicy| {
            let source = format!("{name} {}", policy.name);
            self.documents.get(&policy.document).map_or_else(
                || PolicyRef::missing(&source, "its document is not in the estate"),
                |document| PolicyRef::known(&source, document),
            )
        };
        let level = |(name, policies): OrgLevel<'_>| Level {
            name: name.into(),
            policies: policies.into_iter().map(layer).collect(),
        };
        Ok(self.org_levels(account, kind)?.into_iter().map(level).collect())
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

impl OrganizationFacts {
    fn new(estate: &Estate) -> Self {
        let (listed, membership) = asked(&estate.coverage, ScopeKind::Organization);
        let policies_of = |kind: OrgPolicyKind| {
            let others = OrgPolicyKind::ALL.into_iter().find(|other| *other != kind).map(OrgPolicyKind::listing);
            asked_but(&estate.coverage, ScopeKind::OrgPolicies, others)
        };
        let mut policies = estate.org_policies.clone();
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        let members = estate.accounts.iter().filter(|account| account.ou_path.is_some());
        let id = members.filter_map(|account| account.organization_id.clone()).min();
        let (scps, rcps) = (policies_of(OrgPolicyKind::Scp), policies_of(OrgPolicyKind::Rcp));
        Self { id, policies, units: estate.org_units.clone(), membership, listed, scps, rcps }
    }
}

/// Whether the organisation was listed whole.
pub(crate) fn organisation_listed(estate: &Estate) -> bool {
    asked(&estate.coverage, ScopeKind::Organization).0
}

/// Whether the organisation was asked and answered whole, and why not where it was asked.
fn asked(coverage: &Coverage, kind: ScopeKind) -> Asked {
    asked_but(coverage, kind, None)
}

/// As [`asked`], whatever a call that concerns something else left out.
fn asked_but(coverage: &Coverage, kind: ScopeKind, other: Option<&str>) -> Asked {
    let mut answered = false;
    let mut why = Vec::new();
    for (_, gaps) in coverage.scopes().filter(|(scope, _)| scope.kind == kind) {
        let gaps: Vec<&Gap> = gaps.iter().filter(|gap| Some(&*gap.action) != other).collect();
        if gaps.is_empty() || gaps.iter().any(|gap| gap.reason != GapReason::NotProvided) {
            answered = true;
            why.extend(gaps.into_iter().map(Reason::from));
        }
    }
    let why = reasons(why);
    (answered && why.is_none(), why)
}
