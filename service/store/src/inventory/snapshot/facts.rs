//! Facts of an observation as rows: kind, key, body, and the columns that pages ask for.
//!
//! Knows how to put a fact into one order, so that the same estate always has the same digests,
//! and how to complete a fact of which this scan saw only a part by what was known before.

use super::Key;
use crate::parse;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{
    Account, Addon, Association, Cluster, ManagedPolicy, Observation, OidcProvider, ResourceKind, Role, Trail,
};
use rolecall_iam::{AccountId, Digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};

rolecall_iam::vocabulary! {
    /// What a resource is.
    pub(crate) enum Kind: "a kind of resource" {
        Account = "account",
        Role = "role",
        Policy = "policy",
        OidcProvider = "oidc_provider",
        Cluster = "cluster",
        Association = "association",
        Trail = "trail",
        OrgPolicy = "org_policy",
        OrgUnit = "org_unit",
    }
}

impl Kind {
    /// The kind of resource that a mark of this kind is of.
    pub(super) fn resource(self) -> ResourceKind {
        match self {
            Self::Account => ResourceKind::Account,
            Self::Role => ResourceKind::Role,
            Self::Policy => ResourceKind::Policy,
            Self::OidcProvider => ResourceKind::OidcProvider,
            Self::Cluster => ResourceKind::Cluster,
            Self::Association => ResourceKind::Association,
            Self::Trail => ResourceKind::Trail,
            Self::OrgPolicy => ResourceKind::OrgPolicy,
            Self::OrgUnit => ResourceKind::OrgUnit,
        }
    }

    /// The listing that would show a resource of this kind; `None` where no listing does.
    pub(crate) fn scope(self, account: AccountId, region: Option<&str>, cluster: Option<&str>) -> Option<Scope> {
        let region = || region.and_then(|text| text.parse().ok());
        match self {
            // An account is looked at one by one; only a person can say that it left.
            Self::Account => None,
            Self::Role => Some(Scope::global(account, ScopeKind::Roles)),
            Self::Policy => Some(Scope::global(account, ScopeKind::Policies)),
            Self::OidcProvider => Some(Scope::global(account, ScopeKind::OidcProviders)),
            Self::OrgPolicy => Some(Scope::global(account, ScopeKind::OrgPolicies)),
            Self::OrgUnit => Some(Scope::global(account, ScopeKind::Organization)),
            Self::Cluster => Some(Scope::regional(account, ScopeKind::Clusters, region()?)),
            Self::Trail => Some(Scope::regional(account, ScopeKind::Trails, region()?)),
            Self::Association => {
                Some(Scope::of_cluster(account, ScopeKind::Associations, region()?, cluster?.parse().ok()?))
            }
        }
    }
}

/// A fact, ready to be compared and kept.
pub(super) struct Fact {
    pub(super) account: AccountId,
    pub(super) kind: Kind,
    pub(super) name_key: String,
    pub(super) digest: Digest,
    pub(super) body: String,
    pub(super) documents: Vec<Digest>,
    pub(super) name: Option<String>,
    pub(super) region: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) service_account: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) target_role_arn: Option<String>,
}

impl Fact {
    fn new((account, kind, name_key): Key, body: &impl Serialize) -> Self {
        let text = parse::json_text(body);
        Self {
            account,
            kind,
            name_key,
            digest: Digest::sha256(text.as_bytes()),
            body: text,
            documents: Vec::new(),
            name: None,
            region: None,
            cluster: None,
            namespace: None,
            service_account: None,
            role_arn: None,
            target_role_arn: None,
        }
    }

    pub(super) fn key(&self) -> Key {
        (self.account, self.kind, self.name_key.clone())
    }
}

/// The key of a fact, by its name.
fn keyed(account: AccountId, kind: Kind, name: &str) -> Key {
    (account, kind, parse::storable(name))
}

/// A cluster's key within its account.
pub(super) fn cluster_key(region: &str, name: &str) -> String {
    format!("{region}/{name}")
}

/// The account that stands for facts which name none.
fn owner(seen: &Observation) -> Option<AccountId> {
    let named = seen.account.as_ref().map(|account| account.id);
    named.or_else(|| seen.coverage.scopes().next().map(|(scope, _)| scope.account_id))
}

/// Every account that facts of this observation belong to.
pub(super) fn accounts(seen: &Observation) -> BTreeSet<AccountId> {
    let mut found: BTreeSet<AccountId> = owner(seen).into_iter().collect();
    found.extend(seen.roles.iter().map(|role| role.arn.account_id()));
    found.extend(seen.policies.iter().map(|policy| policy.account_id));
    found.extend(seen.oidc_providers.iter().filter_map(|provider| provider.arn.account_id()));
    found.extend(seen.clusters.iter().map(|cluster| cluster.account_id));
    found.extend(seen.associations.iter().map(|association| association.key.account_id));
    found.extend(seen.trails.iter().map(|trail| trail.account_id));
    found.extend(seen.org_policies.iter().map(|policy| policy.account_id));
    found.extend(seen.org_units.iter().map(|unit| unit.account_id));
    found
}

/// Keys of facts that this scan saw only a part of.
pub(super) fn partial(seen: &Observation) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    if let Some(account) = &seen.account
        && (account.name.is_none() || account.ou_path.is_none() || account.status.is_none())
    {
        keys.push((account.id, Kind::Account, account.id.to_string()));
    }
    keys.extend(seen.policies.iter().filter(|policy| policy.document.is_none()).map(policy_key));
    keys.extend(seen.clusters.iter().filter(|cluster| cluster_is_partial(seen, cluster)).map(key_of_cluster));
    keys.extend(seen.associations.iter().filter(|association| association.detail.is_none()).map(association_key));
    let providers = seen.oidc_providers.iter().filter(|provider| provider.detail.is_none());
    keys.extend(providers.filter_map(|provider| provider_key(seen, provider)));
    let trails = seen.trails.iter();
    let half_seen = |trail: &&Trail| {
        trail.records_read_only_management.is_none() || trail.recorded.is_none() || trail.status.is_none()
    };
    keys.extend(trails.filter(half_seen).map(trail_key));
    keys
}

fn policy_key(policy: &ManagedPolicy) -> Key {
    keyed(policy.account_id, Kind::Policy, policy.arn.as_str())
}

/// `None` where neither the ARN nor the observation says whose it is.
fn provider_key(seen: &Observation, provider: &OidcProvider) -> Option<Key> {
    let account = provider.arn.account_id().or_else(|| owner(seen))?;
    Some(keyed(account, Kind::OidcProvider, provider.arn.as_str()))
}

fn key_of_cluster(cluster: &Cluster) -> Key {
    (cluster.account_id, Kind::Cluster, cluster_key(cluster.region.as_str(), cluster.name.as_str()))
}

fn association_key(association: &Association) -> Key {
    (association.key.account_id, Kind::Association, association.key.to_string())
}

fn trail_key(trail: &Trail) -> Key {
    keyed(trail.account_id, Kind::Trail, &trail.arn)
}

/// The part of a resource that has a call, or a file, of its own.
pub(super) fn described(kind: Kind) -> Option<ResourceKind> {
    match kind {
        Kind::Policy => Some(ResourceKind::PolicyDocument),
        Kind::Cluster => Some(ResourceKind::ClusterAddons),
        Kind::Association => Some(ResourceKind::AssociationDetail),
        Kind::Trail => Some(ResourceKind::TrailSelectors),
        _ => None,
    }
}

/// Resources that this scan saw without the part that has a call of its own, where it looked for it:
/// whatever is kept of that part is remembered.
pub(super) fn undescribed(seen: &Observation, previous: &HashMap<Key, serde_json::Value>) -> BTreeSet<Key> {
    let asked = |scope: Scope| seen.coverage.gaps_of(&scope).is_none_or(speaks);
    let policies = seen
        .policies
        .iter()
        .filter(|policy| policy.document.is_none() && asked(Scope::global(policy.account_id, ScopeKind::Policies)));
    let associations = seen.associations.iter().filter(|association| {
        let key = &association.key;
        let scope = |kind| Scope::of_cluster(key.account_id, kind, key.region.clone(), key.cluster.clone());
        association.detail.is_none() && asked(scope(ScopeKind::AssociationDetails))
    });
    let trails = seen.trails.iter().filter(|trail| {
        (trail.recorded.is_none() || trail.records_read_only_management.is_none())
            && asked(Scope::regional(trail.account_id, ScopeKind::Trails, trail.region.clone()))
    });
    let clusters = seen.clusters.iter().filter(|cluster| {
        let scope = |kind| Scope::of_cluster(cluster.account_id, kind, cluster.region.clone(), cluster.name.clone());
        let remembered = |known: Cluster| {
            let listed = cluster.addons.iter().flatten();
            let listed: BTreeSet<&str> = listed.map(|addon| addon.name.as_str()).collect();
            known.addons.iter().flatten().any(|addon| !listed.contains(addon.name.as_str()))
        };
        let lacks = || match cluster.addons {
            None => true,
            // A listing that broke off: what it lacks stays as it was known.
            Some(_) => {
                part_has_gaps(seen, cluster, ScopeKind::Addons)
                    && before::<Cluster>(previous, &key_of_cluster(cluster)).is_some_and(remembered)
            }
        };
        asked(scope(ScopeKind::Addons)) && lacks()
    });
    let described = policies.map(policy_key).chain(associations.map(association_key));
    described.chain(trails.map(trail_key)).chain(clusters.map(key_of_cluster)).collect()
}

/// Whether what was noted of a scope is of a look at it: a source that does not hold it says nothing.
pub(super) fn speaks(gaps: &[Gap]) -> bool {
    gaps.is_empty() || gaps.iter().any(|gap| gap.reason != GapReason::NotProvided)
}

fn cluster_is_partial(seen: &Observation, cluster: &Cluster) -> bool {
    let bare = |addons: &Vec<Addon>| addons.iter().any(|addon| addon.version.is_none());
    cluster.addons.as_ref().is_none_or(bare)
        || cluster.access_entries.is_none()
        || clusters_have_gaps(seen, cluster)
        || part_has_gaps(seen, cluster, ScopeKind::Addons)
        || part_has_gaps(seen, cluster, ScopeKind::AccessEntries)
}

/// Whether a listing of a cluster's parts was not read to its end.
fn part_has_gaps(seen: &Observation, cluster: &Cluster, kind: ScopeKind) -> bool {
    let scope = Scope::of_cluster(cluster.account_id, kind, cluster.region.clone(), cluster.name.clone());
    seen.coverage.gaps_of(&scope).is_some_and(|gaps| !gaps.is_empty())
}

/// Whether a cluster was perhaps not described.
fn clusters_have_gaps(seen: &Observation, cluster: &Cluster) -> bool {
    let Cluster { account_id, region, name, .. } = cluster;
    let details = Scope::of_cluster(*account_id, ScopeKind::ClusterDetails, region.clone(), name.clone());
    match seen.coverage.gaps_of(&details) {
        Some(gaps) => !gaps.is_empty(),
        None => !seen.coverage.is_complete(&Scope::regional(*account_id, ScopeKind::Clusters, region.clone())),
    }
}

/// Every fact of an observation by its key. `previous` holds the bodies of [`partial`] ones.
pub(super) fn of(seen: &Observation, previous: &HashMap<Key, serde_json::Value>) -> BTreeMap<Key, Fact> {
    let mut facts = Vec::new();
    if let Some(account) = &seen.account {
        let key = (account.id, Kind::Account, account.id.to_string());
        let whole = with_account(account.clone(), before(previous, &key));
        let mut fact = Fact::new(key, &whole);
        fact.name.clone_from(&whole.name);
        facts.push(fact);
    }
    facts.extend(seen.roles.iter().map(role));
    for policy in &seen.policies {
        let key = policy_key(policy);
        let whole = with_policy(policy.clone(), before(previous, &key));
        let mut fact = Fact::new(key, &whole);
        fact.documents.extend(whole.document);
        fact.name = Some(whole.name);
        facts.push(fact);
    }
    for provider in &seen.oidc_providers {
        let Some(key) = provider_key(seen, provider) else { continue };
        let mut whole = provider.clone();
        whole.detail = whole.detail.or_else(|| before::<OidcProvider>(previous, &key)?.detail);
        facts.push(Fact::new(key, &whole));
    }
    for cluster in &seen.clusters {
        let key = key_of_cluster(cluster);
        let cut = Cut {
            description: clusters_have_gaps(seen, cluster),
            addons: part_has_gaps(seen, cluster, ScopeKind::Addons),
            entries: part_has_gaps(seen, cluster, ScopeKind::AccessEntries),
        };
        let whole = with_cluster(cluster.clone(), before(previous, &key), cut);
        let mut fact = Fact::new(key, &whole);
        fact.name = Some(cluster.name.to_string());
        fact.region = Some(cluster.region.to_string());
        fact.cluster = Some(cluster.name.to_string());
        fact.role_arn = whole.role_arn;
        facts.push(fact);
    }
    facts.extend(seen.associations.iter().map(|found| association(found, previous)));
    for trail in &seen.trails {
        let key = trail_key(trail);
        let mut whole = trail.clone();
        if let Some(known) = before::<Trail>(previous, &key) {
            whole.records_read_only_management =
                whole.records_read_only_management.or(known.records_read_only_management);
            whole.recorded = whole.recorded.or(known.recorded);
            whole.status = whole.status.or(known.status);
        }
        let mut fact = Fact::new(key, &whole);
        fact.name = Some(trail.name.clone());
        fact.region = Some(trail.region.to_string());
        facts.push(fact);
    }
    for policy in &seen.org_policies {
        let mut whole = policy.clone();
        whole.targets.sort();
        let mut fact = Fact::new(keyed(policy.account_id, Kind::OrgPolicy, &policy.id), &whole);
        fact.documents.push(policy.document);
        fact.name = Some(policy.name.clone());
        facts.push(fact);
    }
    for unit in &seen.org_units {
        let mut fact = Fact::new(keyed(unit.account_id, Kind::OrgUnit, &unit.id), unit);
        fact.name = Some(unit.path.clone());
        facts.push(fact);
    }
    facts.into_iter().map(|fact| (fact.key(), fact)).collect()
}

fn role(found: &Role) -> Fact {
    let mut whole = found.clone();
    whole.inline.sort_by(|a, b| a.name.cmp(&b.name));
    whole.attached.sort_by(|a, b| a.arn.cmp(&b.arn));
    whole.instance_profiles.sort();
    let mut fact = Fact::new(keyed(whole.arn.account_id(), Kind::Role, whole.arn.as_str()), &whole);
    fact.name = Some(whole.arn.name().to_owned());
    fact.role_arn = Some(whole.arn.to_string());
    fact.documents.extend(whole.trust);
    fact.documents.extend(whole.inline.iter().map(|policy| policy.document));
    fact
}

fn association(found: &Association, previous: &HashMap<Key, serde_json::Value>) -> Fact {
    let key = association_key(found);
    let mut whole = found.clone();
    if whole.detail.is_none()
        && let Some(known) = before::<Association>(previous, &key)
        // Made anew: what the old one was says nothing.
        && known.association_id == whole.association_id
    {
        whole.detail = known.detail;
    }
    let mut fact = Fact::new(key, &whole);
    fact.name = Some(found.association_id.clone());
    fact.region = Some(found.key.region.to_string());
    fact.cluster = Some(found.key.cluster.to_string());
    fact.namespace = Some(found.key.namespace.to_string());
    fact.service_account = Some(found.key.service_account.to_string());
    if let Some(detail) = whole.detail {
        fact.documents.extend(detail.policy);
        fact.role_arn = Some(detail.role_arn);
        fact.target_role_arn = detail.target_role_arn;
    }
    fact
}

/// A body that an earlier version wrote and this one cannot read completes nothing.
fn before<T: DeserializeOwned>(previous: &HashMap<Key, serde_json::Value>, key: &Key) -> Option<T> {
    previous.get(key).and_then(|body| serde_json::from_value(body.clone()).ok())
}

fn with_account(mut account: Account, known: Option<Account>) -> Account {
    if let Some(known) = known {
        if account.ou_path.is_none() {
            // Not from the organisation this time, so it cannot say who manages it either.
            account.is_management |= known.is_management;
        }
        account.name = account.name.or(known.name);
        account.ou_path = account.ou_path.or(known.ou_path);
        account.status = account.status.or(known.status);
        account.organization_id = account.organization_id.or(known.organization_id);
    }
    account
}

fn with_policy(mut policy: ManagedPolicy, known: Option<ManagedPolicy>) -> ManagedPolicy {
    if let Some(known) = known
        && policy.document.is_none()
        && known.default_version == policy.default_version
        && known.policy_id == policy.policy_id
    {
        policy.document = known.document;
    }
    policy
}

/// An add-on that was listed and not described is as it was last known.
fn with_addon(addon: Addon, known: &[Addon]) -> Addon {
    let bare = addon.version.is_none() && addon.status.is_none();
    let described = known.iter().find(|known| bare && known.name == addon.name);
    described.cloned().unwrap_or(addon)
}

/// What of a cluster was not read to its end: it stays as it was known.
#[derive(Clone, Copy)]
struct Cut {
    description: bool,
    addons: bool,
    entries: bool,
}

/// What was listed, with what is known beside it where the listing broke off.
fn joined<T>(listed: Vec<T>, known: Vec<T>, cut: bool, name: impl Fn(&T) -> &String) -> Vec<T> {
    let mut all = listed;
    if cut {
        let more: Vec<T> = known.into_iter().filter(|known| all.iter().all(|it| name(it) != name(known))).collect();
        all.extend(more);
    }
    all
}

fn with_cluster(mut cluster: Cluster, known: Option<Cluster>, cut: Cut) -> Cluster {
    if let Some(known) = known
        // Made anew: what the old one was says nothing.
        && (cluster.created_at.is_none() || cluster.created_at == known.created_at)
    {
        cluster.addons = match (cluster.addons.take(), known.addons) {
            (Some(listed), Some(known)) => {
                let listed = listed.into_iter().map(|addon| with_addon(addon, &known)).collect();
                Some(joined(listed, known, cut.addons, |addon| &addon.name))
            }
            (listed, known) => listed.or(known),
        };
        cluster.access_entries = match (cluster.access_entries.take(), known.access_entries) {
            (Some(listed), Some(known)) => Some(joined(listed, known, cut.entries, |entry| &entry.principal_arn)),
            (listed, known) => listed.or(known),
        };
        if cut.description {
            cluster.created_at = cluster.created_at.or(known.created_at);
            cluster.version = cluster.version.or(known.version);
            cluster.status = cluster.status.or(known.status);
            cluster.role_arn = cluster.role_arn.or(known.role_arn);
            cluster.oidc_issuer = cluster.oidc_issuer.or(known.oidc_issuer);
            cluster.authentication_mode = cluster.authentication_mode.or(known.authentication_mode);
            cluster.auto_mode = cluster.auto_mode.or(known.auto_mode);
            if cluster.tags.is_empty() {
                cluster.tags = known.tags;
            }
        }
    }
    if let Some(addons) = &mut cluster.addons {
        addons.sort_by(|a, b| a.name.cmp(&b.name));
        for addon in addons {
            addon.association_arns.sort();
            addon.health_issues.sort();
        }
    }
    if let Some(entries) = &mut cluster.access_entries {
        entries.sort_by(|a, b| a.principal_arn.cmp(&b.principal_arn));
        for entry in entries {
            entry.groups.sort();
            entry.policies.sort_by(|a, b| (&a.arn, &a.namespaces).cmp(&(&b.arn, &b.namespaces)));
        }
    }
    cluster
}
