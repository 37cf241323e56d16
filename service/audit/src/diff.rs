//! How two looks at the same estate differ.
//!
//! Knows that *removed* needs both looks to have listed the place whole, and that *added* needs
//! the earlier one to have: a thing seen for the first time where nobody looked before is no
//! change. Refuses to know which changes matter, and who made them.

use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{
    AccessEntry, Account, Addon, Association, AssociationKey, Cluster, Estate, InlinePolicy, ManagedPolicy, OrgPolicy,
    Role, Trail,
};
use rolecall_iam::{AccountId, Arn, Digest, RoleArn};
use serde::Serialize;
use std::collections::BTreeMap;

/// A difference between an earlier and a later look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Of an account.
    Account {
        /// Which.
        account_id: AccountId,
        /// What.
        what: AccountChange,
    },
    /// Of a role.
    Role {
        /// Which.
        role: RoleArn,
        /// What.
        what: RoleChange,
    },
    /// Of a managed policy as seen in an account.
    Policy {
        /// Where it was seen.
        account_id: AccountId,
        /// Which.
        policy: Arn,
        /// What.
        what: PolicyChange,
    },
    /// Of an OIDC provider.
    OidcProvider {
        /// Which.
        provider: Arn,
        /// What.
        what: Presence,
    },
    /// Of a cluster.
    Cluster {
        /// Owner.
        account_id: AccountId,
        /// Where.
        region: Region,
        /// Which.
        cluster: ClusterName,
        /// What.
        what: ClusterChange,
    },
    /// Of an association.
    Association {
        /// Which.
        key: AssociationKey,
        /// What.
        what: AssociationChange,
    },
    /// Of a trail.
    Trail {
        /// The account in which it was seen.
        account_id: AccountId,
        /// Home region.
        region: Region,
        /// Which.
        arn: String,
        /// What.
        what: TrailChange,
    },
    /// Of a service or resource control policy.
    OrgPolicy {
        /// The organisation's management account.
        account_id: AccountId,
        /// `p-…`.
        id: String,
        /// What.
        what: OrgPolicyChange,
    },
}

/// There now, or not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Not there before, as a whole listing shows.
    Added,
    /// Not there any more, as whole listings on both sides show.
    Removed,
}

/// A value before and after; `None` where there was none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Changed<T> {
    /// Before.
    pub before: T,
    /// After.
    pub after: T,
}

/// A digest of a document, or none.
type Document = Option<Digest>;

/// What can change about an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountChange {
    /// Joined or left the organisation.
    Presence(Presence),
    /// Moved to another OU.
    Moved(Changed<Option<String>>),
    /// Its status in the organisation.
    Status(Changed<Option<String>>),
}

/// What can change about a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleChange {
    /// Made or deleted.
    Presence(Presence),
    /// Deleted and made anew: same ARN, other unique id. Trust policies that named it are broken.
    Recreated(Changed<String>),
    /// The trust policy.
    Trust(Changed<Document>),
    /// An inline policy, by name.
    Inline {
        /// The policy's name.
        name: String,
        /// Its document.
        document: Changed<Document>,
    },
    /// A managed policy attached.
    Attached {
        /// Which.
        policy: Arn,
        /// Added or removed.
        presence: Presence,
    },
    /// The permissions boundary.
    Boundary(Changed<Option<Arn>>),
    /// An instance profile that holds the role.
    InstanceProfile {
        /// Which.
        profile: String,
        /// Added or removed.
        presence: Presence,
    },
    /// A tag.
    Tag {
        /// Its key.
        key: String,
        /// Its value.
        value: Changed<Option<String>>,
    },
}

/// What can change about a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyChange {
    /// Made or deleted, or an AWS policy put to use or out of it.
    Presence(Presence),
    /// The document in force.
    Document(Changed<Document>),
    /// The version in force.
    DefaultVersion(Changed<String>),
}

/// What can change about a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterChange {
    /// Made or deleted.
    Presence(Presence),
    /// Deleted and made anew under the same ARN.
    Recreated,
    /// A field, by its name, as text.
    Field {
        /// Such as `version`.
        name: &'static str,
        /// Its value.
        value: Changed<Option<String>>,
    },
    /// An add-on.
    Addon {
        /// Its name.
        name: String,
        /// Its version and state as text; `None` where there is none.
        value: Changed<Option<String>>,
    },
    /// An access entry.
    AccessEntry {
        /// Its principal.
        principal: String,
        /// Its groups and policies as text; `None` where there is none.
        value: Changed<Option<String>>,
    },
    /// A tag.
    Tag {
        /// Its key.
        key: String,
        /// Its value.
        value: Changed<Option<String>>,
    },
}

/// What can change about an association.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssociationChange {
    /// Made or deleted.
    Presence(Presence),
    /// Deleted and made anew: same service account, other association id.
    Recreated(Changed<String>),
    /// The association role.
    Role(Changed<String>),
    /// The target role.
    TargetRole(Changed<Option<String>>),
    /// The external id.
    ExternalId(Changed<Option<String>>),
    /// Whether session tags are off.
    SessionTagsDisabled(Changed<bool>),
    /// The session policy.
    SessionPolicy(Changed<Document>),
    /// The add-on that owns it.
    Owner(Changed<Option<String>>),
    /// A field that this version does not know, as JSON text.
    Extra {
        /// Its name.
        name: String,
        /// Its value.
        value: Changed<Option<String>>,
    },
    /// A tag.
    Tag {
        /// Its key.
        key: String,
        /// Its value.
        value: Changed<Option<String>>,
    },
}

/// What can change about a trail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrailChange {
    /// Made or deleted.
    Presence(Presence),
    /// The bucket.
    Bucket(Changed<Option<String>>),
    /// Whether it records read-only management events.
    RecordsReadOnly(Changed<bool>),
    /// Whether it covers all regions.
    MultiRegion(Changed<bool>),
    /// Whether it records every management event that reads, but for those of sources left out.
    ManagementReads(Changed<bool>),
    /// Whether it records every other management event, but for those of sources left out.
    ManagementWrites(Changed<bool>),
    /// Whether it leaves out the management events of a source.
    Excluded {
        /// Such as `kms.amazonaws.com`.
        source: String,
        /// Left out, or not any more.
        presence: Presence,
    },
    /// Whether it records the data events of every resource of a type.
    Data {
        /// Such as `AWS::S3::Object`.
        resource_type: String,
        /// Recorded, or not any more.
        presence: Presence,
    },
}

/// What can change about an organisation's policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrgPolicyChange {
    /// Made or deleted.
    Presence(Presence),
    /// Its document.
    Document(Changed<Digest>),
    /// A target.
    Target {
        /// Id of the root, OU or account.
        id: String,
        /// Attached or detached.
        presence: Presence,
    },
}

/// Every difference, in a fixed order.
#[must_use]
pub fn diff(before: &Estate, after: &Estate) -> Vec<Change> {
    let sight = Sight { before: &before.coverage, after: &after.coverage };
    let mut changes = Vec::new();
    accounts(before, after, &mut changes);
    each(
        &before.roles,
        &after.roles,
        |r| &r.arn,
        |arn, was, is| match (was, is) {
            (Some(was), Some(is)) => {
                let mut found = Vec::new();
                role(was, is, &mut found);
                changes.extend(found.into_iter().map(|what| Change::Role { role: arn.clone(), what }));
            }
            (was, _) => {
                let scope = Scope::global(arn.account_id(), ScopeKind::Roles);
                let what = sight.presence(was.is_some(), &scope).map(RoleChange::Presence);
                changes.extend(what.map(|what| Change::Role { role: arn.clone(), what }));
            }
        },
    );
    each(
        &before.policies,
        &after.policies,
        |p| (p.account_id, &p.arn),
        |(account_id, arn), was, is| {
            let mut found = Vec::new();
            match (was, is) {
                (Some(was), Some(is)) => policy(was, is, &mut found),
                (was, _) => {
                    let scope = Scope::global(account_id, ScopeKind::Policies);
                    found.extend(sight.presence(was.is_some(), &scope).map(PolicyChange::Presence));
                }
            }
            changes.extend(found.into_iter().map(|what| Change::Policy { account_id, policy: arn.clone(), what }));
        },
    );
    each(
        &before.oidc_providers,
        &after.oidc_providers,
        |p| &p.arn,
        |arn, was, is| {
            if let (Some(account_id), true) = (arn.account_id(), was.is_some() != is.is_some()) {
                let scope = Scope::global(account_id, ScopeKind::OidcProviders);
                let what = sight.presence(was.is_some(), &scope);
                changes.extend(what.map(|what| Change::OidcProvider { provider: arn.clone(), what }));
            }
        },
    );
    each(
        &before.clusters,
        &after.clusters,
        |c| (c.account_id, &c.region, &c.name),
        |(account_id, region, name), was, is| {
            let mut found = Vec::new();
            match (was, is) {
                (Some(was), Some(is)) => cluster(was, is, &mut found),
                (was, _) => {
                    let scope = Scope::regional(account_id, ScopeKind::Clusters, region.clone());
                    found.extend(sight.presence(was.is_some(), &scope).map(ClusterChange::Presence));
                }
            }
            let place = |what| Change::Cluster { account_id, region: region.clone(), cluster: name.clone(), what };
            changes.extend(found.into_iter().map(place));
        },
    );
    each(
        &before.associations,
        &after.associations,
        |a| &a.key,
        |key, was, is| {
            let mut found = Vec::new();
            match (was, is) {
                (Some(was), Some(is)) => association(was, is, &mut found),
                (was, _) => found.extend(sight.association(was.is_some(), key).map(AssociationChange::Presence)),
            }
            changes.extend(found.into_iter().map(|what| Change::Association { key: key.clone(), what }));
        },
    );
    each(
        &before.trails,
        &after.trails,
        |t| (t.account_id, &t.region, &t.arn),
        |(account_id, region, arn), was, is| {
            let mut found = Vec::new();
            match (was, is) {
                (Some(was), Some(is)) => trail(was, is, &mut found),
                (was, _) => {
                    let scope = Scope::regional(account_id, ScopeKind::Trails, region.clone());
                    found.extend(sight.presence(was.is_some(), &scope).map(TrailChange::Presence));
                }
            }
            let place = |what| Change::Trail { account_id, region: region.clone(), arn: arn.clone(), what };
            changes.extend(found.into_iter().map(place));
        },
    );
    each(
        &before.org_policies,
        &after.org_policies,
        |p| (p.account_id, &p.id),
        |(account_id, id), was, is| {
            let mut found = Vec::new();
            match (was, is) {
                (Some(was), Some(is)) => org_policy(was, is, &mut found),
                (was, _) => {
                    let scope = Scope::global(account_id, ScopeKind::OrgPolicies);
                    found.extend(sight.presence(was.is_some(), &scope).map(OrgPolicyChange::Presence));
                }
            }
            changes.extend(found.into_iter().map(|what| Change::OrgPolicy { account_id, id: id.clone(), what }));
        },
    );
    changes
}

struct Sight<'a> {
    before: &'a Coverage,
    after: &'a Coverage,
}

impl Sight<'_> {
    /// What may be said of a thing that one side lacks.
    fn presence(&self, was_there: bool, scope: &Scope) -> Option<Presence> {
        let whole = |coverage: &Coverage| coverage.blind_spots(scope).is_empty();
        match was_there {
            true => (whole(self.before) && whole(self.after)).then_some(Presence::Removed),
            false => whole(self.before).then_some(Presence::Added),
        }
    }

    /// An association is also proven absent where its cluster is.
    fn association(&self, was_there: bool, key: &AssociationKey) -> Option<Presence> {
        let (account_id, region) = (key.account_id, key.region.clone());
        let clusters = Scope::regional(account_id, ScopeKind::Clusters, region.clone());
        let own = Scope::of_cluster(account_id, ScopeKind::Associations, region, key.cluster.clone());
        let whole = |coverage: &Coverage| {
            coverage.blind_spots(&own).is_empty()
                || (coverage.gaps_of(&own).is_none() && coverage.blind_spots(&clusters).is_empty())
        };
        match was_there {
            true => (whole(self.before) && whole(self.after)).then_some(Presence::Removed),
            false => whole(self.before).then_some(Presence::Added),
        }
    }
}

/// Walks two lists side by side, by key.
fn each<'a, T, K: Ord>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&'a T) -> K,
    mut see: impl FnMut(K, Option<&'a T>, Option<&'a T>),
) {
    let mut both: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for was in before {
        both.entry(key(was)).or_default().0 = Some(was);
    }
    for is in after {
        both.entry(key(is)).or_default().1 = Some(is);
    }
    for (key, (was, is)) in both {
        see(key, was, is);
    }
}

fn changed<T: PartialEq + Clone>(before: &T, after: &T) -> Option<Changed<T>> {
    (before != after).then(|| Changed { before: before.clone(), after: after.clone() })
}

fn text_changes<'a>(
    before: impl IntoIterator<Item = (&'a String, String)>,
    after: impl IntoIterator<Item = (&'a String, String)>,
) -> Vec<(String, Changed<Option<String>>)> {
    let mut both: BTreeMap<&String, Changed<Option<String>>> = BTreeMap::new();
    let none = || Changed { before: None, after: None };
    for (key, value) in before {
        both.entry(key).or_insert_with(none).before = Some(value);
    }
    for (key, value) in after {
        both.entry(key).or_insert_with(none).after = Some(value);
    }
    both.into_iter().filter(|(_, c)| c.before != c.after).map(|(key, c)| (key.clone(), c)).collect()
}

fn tags(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, String)> {
    map.iter().map(|(key, value)| (key, value.clone()))
}

fn presences<'a, T: Ord + 'a>(
    before: impl Iterator<Item = &'a T>,
    after: impl Iterator<Item = &'a T>,
) -> Vec<(&'a T, Presence)> {
    let before: std::collections::BTreeSet<&T> = before.collect();
    let after: std::collections::BTreeSet<&T> = after.collect();
    let removed = before.difference(&after).map(|t| (*t, Presence::Removed));
    let added = after.difference(&before).map(|t| (*t, Presence::Added));
    removed.chain(added).collect()
}

fn accounts(before: &Estate, after: &Estate, changes: &mut Vec<Change>) {
    let organisation = |estate: &Estate| {
        let mut scopes = estate.coverage.scopes().filter(|(scope, _)| scope.kind == ScopeKind::Organization).peekable();
        scopes.peek().is_some() && scopes.all(|(scope, _)| estate.coverage.blind_spots(scope).is_empty())
    };
    let (knew, knows) = (organisation(before), organisation(after));
    each(
        &before.accounts,
        &after.accounts,
        |a| a.id,
        |account_id, was: Option<&Account>, is: Option<&Account>| {
            let mut found = Vec::new();
            match (was, is) {
                (Some(was), Some(is)) => {
                    found.extend(changed(&was.ou_path, &is.ou_path).map(AccountChange::Moved));
                    found.extend(changed(&was.status, &is.status).map(AccountChange::Status));
                }
                (None, Some(_)) if knew => found.push(AccountChange::Presence(Presence::Added)),
                (Some(_), None) if knew && knows => found.push(AccountChange::Presence(Presence::Removed)),
                _ => {}
            }
            changes.extend(found.into_iter().map(|what| Change::Account { account_id, what }));
        },
    );
}

fn role(was: &Role, is: &Role, found: &mut Vec<RoleChange>) {
    found.extend(changed(&was.role_id, &is.role_id).map(RoleChange::Recreated));
    found.extend(changed(&was.trust, &is.trust).map(RoleChange::Trust));
    each(
        &was.inline,
        &is.inline,
        |p| &p.name,
        |name, was: Option<&InlinePolicy>, is: Option<&InlinePolicy>| {
            let document = changed(&was.map(|p| p.document), &is.map(|p| p.document));
            found.extend(document.map(|document| RoleChange::Inline { name: name.clone(), document }));
        },
    );
    let attached = presences(was.attached.iter().map(|p| &p.arn), is.attached.iter().map(|p| &p.arn));
    found.extend(attached.into_iter().map(|(arn, presence)| RoleChange::Attached { policy: arn.clone(), presence }));
    found.extend(changed(&was.boundary, &is.boundary).map(RoleChange::Boundary));
    let profiles = presences(was.instance_profiles.iter(), is.instance_profiles.iter());
    found.extend(
        profiles
            .into_iter()
            .map(|(profile, presence)| RoleChange::InstanceProfile { profile: profile.clone(), presence }),
    );
    let tags = text_changes(tags(&was.tags), tags(&is.tags));
    found.extend(tags.into_iter().map(|(key, value)| RoleChange::Tag { key, value }));
}

fn policy(was: &ManagedPolicy, is: &ManagedPolicy, found: &mut Vec<PolicyChange>) {
    found.extend(changed(&was.document, &is.document).map(PolicyChange::Document));
    found.extend(changed(&was.default_version, &is.default_version).map(PolicyChange::DefaultVersion));
}

fn cluster(was: &Cluster, is: &Cluster, found: &mut Vec<ClusterChange>) {
    if was.created_at != is.created_at {
        found.push(ClusterChange::Recreated);
    }
    let bool_text = |b: &Option<bool>| b.map(|b| b.to_string());
    let fields = [
        ("version", was.version.clone(), is.version.clone()),
        ("status", was.status.clone(), is.status.clone()),
        ("role_arn", was.role_arn.clone(), is.role_arn.clone()),
        ("oidc_issuer", was.oidc_issuer.clone(), is.oidc_issuer.clone()),
        ("authentication_mode", was.authentication_mode.clone(), is.authentication_mode.clone()),
        ("auto_mode", bool_text(&was.auto_mode), bool_text(&is.auto_mode)),
    ];
    for (name, before, after) in fields {
        found.extend(changed(&before, &after).map(|value| ClusterChange::Field { name, value }));
    }
    // `None` means "not looked at": no listing to compare with.
    if let (Some(was), Some(is)) = (&was.addons, &is.addons) {
        let changes = text_changes(was.iter().map(addon_text), is.iter().map(addon_text));
        found.extend(changes.into_iter().map(|(name, value)| ClusterChange::Addon { name, value }));
    }
    if let (Some(was), Some(is)) = (&was.access_entries, &is.access_entries) {
        let changes = text_changes(was.iter().map(entry_text), is.iter().map(entry_text));
        found.extend(changes.into_iter().map(|(principal, value)| ClusterChange::AccessEntry { principal, value }));
    }
    let tags = text_changes(tags(&was.tags), tags(&is.tags));
    found.extend(tags.into_iter().map(|(key, value)| ClusterChange::Tag { key, value }));
}

fn addon_text(addon: &Addon) -> (&String, String) {
    (&addon.name, serde_json::to_string(addon).unwrap_or_default())
}

fn entry_text(entry: &AccessEntry) -> (&String, String) {
    (&entry.principal_arn, serde_json::to_string(entry).unwrap_or_default())
}

fn association(was: &Association, is: &Association, found: &mut Vec<AssociationChange>) {
    found.extend(changed(&was.association_id, &is.association_id).map(AssociationChange::Recreated));
    found.extend(changed(&was.owner_arn, &is.owner_arn).map(AssociationChange::Owner));
    // An association that could not be described on one side says nothing about its detail.
    let (Some(was), Some(is)) = (&was.detail, &is.detail) else { return };
    found.extend(changed(&was.role_arn, &is.role_arn).map(AssociationChange::Role));
    found.extend(changed(&was.target_role_arn, &is.target_role_arn).map(AssociationChange::TargetRole));
    found.extend(changed(&was.external_id, &is.external_id).map(AssociationChange::ExternalId));
    let tags_off = changed(&was.disable_session_tags, &is.disable_session_tags);
    found.extend(tags_off.map(AssociationChange::SessionTagsDisabled));
    found.extend(changed(&was.policy, &is.policy).map(AssociationChange::SessionPolicy));
    let json = |map: &'_ BTreeMap<String, serde_json::Value>| -> BTreeMap<String, String> {
        map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
    };
    let extra = text_changes(tags(&json(&was.extra)), tags(&json(&is.extra)));
    found.extend(extra.into_iter().map(|(name, value)| AssociationChange::Extra { name, value }));
    let tags = text_changes(tags(&was.tags), tags(&is.tags));
    found.extend(tags.into_iter().map(|(key, value)| AssociationChange::Tag { key, value }));
}

fn trail(was: &Trail, is: &Trail, found: &mut Vec<TrailChange>) {
    found.extend(changed(&was.bucket, &is.bucket).map(TrailChange::Bucket));
    found.extend(changed(&was.is_multi_region, &is.is_multi_region).map(TrailChange::MultiRegion));
    if let (Some(was), Some(is)) = (was.records_read_only_management, is.records_read_only_management) {
        found.extend(changed(&was, &is).map(TrailChange::RecordsReadOnly));
    }
    if let (Some(was), Some(is)) = (&was.recorded, &is.recorded) {
        found.extend(changed(&was.management_reads, &is.management_reads).map(TrailChange::ManagementReads));
        found.extend(changed(&was.management_writes, &is.management_writes).map(TrailChange::ManagementWrites));
        let excluded = presences(was.excluded_sources.iter(), is.excluded_sources.iter());
        found.extend(
            excluded.into_iter().map(|(source, presence)| TrailChange::Excluded { source: source.clone(), presence }),
        );
        let data = presences(was.data.iter(), is.data.iter());
        found.extend(
            data.into_iter().map(|(kind, presence)| TrailChange::Data { resource_type: kind.clone(), presence }),
        );
    }
}

fn org_policy(was: &OrgPolicy, is: &OrgPolicy, found: &mut Vec<OrgPolicyChange>) {
    found.extend(changed(&was.document, &is.document).map(OrgPolicyChange::Document));
    let targets = presences(was.targets.iter(), is.targets.iter());
    found.extend(targets.into_iter().map(|(id, presence)| OrgPolicyChange::Target { id: id.clone(), presence }));
}
