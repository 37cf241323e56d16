//! How two scans of the same estate differ, thing by thing.
//!
//! Knows which fields are configuration (a status is none), what replaces what, and which difference
//! follows from which. Refuses to know what a difference comes to.

use super::{Resource, Scans, State};
use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::id::Region;
use rolecall_estate::{
    AccessEntry, Account, Addon, Association, AssociationKey, Cluster, InlinePolicy, ManagedPolicy, OrgPolicy, OrgUnit,
    Role, Tags, Trail,
};
use rolecall_iam::{AccountId, Arn, Digest};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ADDED: &str = "added";
pub(super) const REMOVED: &str = "removed";
pub(super) const RECREATED: &str = "recreated";
pub(super) const TRUST: &str = "trust_policy_changed";
pub(super) const INLINE_ADDED: &str = "inline_policy_added";
pub(super) const INLINE_CHANGED: &str = "inline_policy_changed";
pub(super) const INLINE_REMOVED: &str = "inline_policy_removed";
pub(super) const ATTACHED: &str = "policy_attached";
pub(super) const DETACHED: &str = "policy_detached";
pub(super) const BOUNDARY_SET: &str = "permissions_boundary_set";
pub(super) const BOUNDARY_CHANGED: &str = "permissions_boundary_changed";
pub(super) const BOUNDARY_REMOVED: &str = "permissions_boundary_removed";
pub(super) const TAGS: &str = "tags_changed";
pub(super) const PROFILE_ADDED: &str = "added_to_instance_profile";
pub(super) const PROFILE_REMOVED: &str = "removed_from_instance_profile";
pub(super) const DEFAULT_VERSION: &str = "default_version_changed";
pub(super) const ATTACHED_VERSION: &str = "attached_policy_version_changed";
pub(super) const BOUNDARY_VERSION: &str = "permissions_boundary_version_changed";
pub(super) const ROLE: &str = "role_changed";
pub(super) const TARGET_SET: &str = "target_role_set";
pub(super) const TARGET_CHANGED: &str = "target_role_changed";
pub(super) const TARGET_REMOVED: &str = "target_role_removed";
pub(super) const EXTERNAL_ID: &str = "external_id_changed";
pub(super) const SESSION_TAGS_OFF: &str = "session_tags_disabled";
pub(super) const SESSION_TAGS_ON: &str = "session_tags_enabled";
pub(super) const SESSION_POLICY_SET: &str = "session_policy_set";
pub(super) const SESSION_POLICY_CHANGED: &str = "session_policy_changed";
pub(super) const SESSION_POLICY_REMOVED: &str = "session_policy_removed";
pub(super) const OWNER: &str = "owner_changed";
pub(super) const FIELD: &str = "field_changed";
pub(super) const DOCUMENT: &str = "document_changed";
pub(super) const TARGET_ATTACHED: &str = "attached_to_target";
pub(super) const TARGET_DETACHED: &str = "detached_from_target";
pub(super) const MOVED: &str = "moved";
pub(super) const RENAMED: &str = "renamed";
pub(super) const STATUS: &str = "status_changed";
pub(super) const CHANGED: &str = "changed";
pub(super) const SELECTORS: &str = "event_selectors_changed";

pub(super) const KINDS: &[(&str, &str)] = &[
    (ADDED, "It is there now, and a complete listing before did not have it."),
    (REMOVED, "It is not there any more, as two complete listings show."),
    (RECREATED, "It was deleted and made anew under the same name: its unique id is another one."),
    (TRUST, "A role's trust policy."),
    (INLINE_ADDED, "An inline policy of a role."),
    (INLINE_CHANGED, "The document of an inline policy of a role."),
    (INLINE_REMOVED, "An inline policy of a role."),
    (ATTACHED, "A managed policy was attached to a role."),
    (DETACHED, "A managed policy was detached from a role."),
    (BOUNDARY_SET, "A role has a permissions boundary, and had none."),
    (BOUNDARY_CHANGED, "A role has another permissions boundary."),
    (BOUNDARY_REMOVED, "A role has no permissions boundary any more."),
    (TAGS, "Tags of a resource."),
    (PROFILE_ADDED, "A role was added to an instance profile."),
    (PROFILE_REMOVED, "A role was removed from an instance profile."),
    (DEFAULT_VERSION, "Another version of a managed policy is its default version."),
    (ATTACHED_VERSION, "A role follows: a policy attached to it has another default version."),
    (BOUNDARY_VERSION, "A role follows: its permissions boundary has another default version."),
    (ROLE, "An association's role."),
    (TARGET_SET, "An association has a target role, and had none."),
    (TARGET_CHANGED, "An association has another target role."),
    (TARGET_REMOVED, "An association has no target role any more."),
    (EXTERNAL_ID, "An association's external id."),
    (SESSION_TAGS_OFF, "An association's sessions have no session tags any more."),
    (SESSION_TAGS_ON, "An association's sessions have session tags."),
    (SESSION_POLICY_SET, "An association has a session policy, and had none."),
    (SESSION_POLICY_CHANGED, "The document of an association's session policy."),
    (SESSION_POLICY_REMOVED, "An association has no session policy any more."),
    (OWNER, "The add-on that owns an association."),
    (FIELD, "A field of a resource, named by `part`."),
    (DOCUMENT, "The document of a policy."),
    (TARGET_ATTACHED, "An organization policy was attached to a root, unit or account."),
    (TARGET_DETACHED, "An organization policy was detached from a root, unit or account."),
    (MOVED, "An account or organizational unit has another parent."),
    (RENAMED, "An organizational unit has another name."),
    (STATUS, "An account's status in the organization."),
    (CHANGED, "The configuration of an add-on or access entry."),
    (SELECTORS, "What a trail's event selectors take in."),
];

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) resource: Resource,
    pub(super) account_id: AccountId,
    pub(super) region: Option<Region>,
    pub(super) change: &'static str,
    pub(super) part: Option<String>,
    pub(super) before: Option<State>,
    pub(super) after: Option<State>,
    pub(super) aliases: Vec<String>,
    /// What it is about, for whoever labels it.
    pub(super) about: About,
}

/// What a difference is about, in the estate's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    Role(String),
    Policy(Arn),
    Association(AssociationKey),
    Addon { cluster: ClusterKey, name: String },
    AccessEntry { principal: String },
    Cluster(ClusterKey),
    OidcProvider(String),
    OrgPolicy,
    OrgUnit { id: String },
    Account(AccountId),
    Trail,
}

pub(super) type ClusterKey = (AccountId, Region, rolecall_estate::id::ClusterName);

/// Differences of one resource, as they are found.
struct Of<'a> {
    resource: Resource,
    account_id: AccountId,
    region: Option<&'a Region>,
    about: About,
    aliases: Vec<String>,
    out: &'a mut Vec<Difference>,
}

impl Of<'_> {
    fn note(&mut self, change: &'static str, part: Option<String>, before: Option<State>, after: Option<State>) {
        self.out.push(Difference {
            resource: self.resource.clone(),
            account_id: self.account_id,
            region: self.region.cloned(),
            change,
            part,
            before,
            after,
            aliases: self.aliases.clone(),
            about: self.about.clone(),
        });
    }

    fn presence<T: Serialize>(&mut self, presence: Option<Presence>, was: Option<&T>, is: Option<&T>) {
        let Some(presence) = presence else { return };
        let change = if presence == Presence::Added { ADDED } else { REMOVED };
        self.note(change, None, was.map(json), is.map(json));
    }

    /// A value that may be absent on either side, under the kinds for set, changed and removed.
    fn optional<T: PartialEq>(
        &mut self,
        kinds: [&'static str; 3],
        was: Option<&T>,
        is: Option<&T>,
        state: impl Fn(&T) -> State,
    ) {
        if was == is {
            return;
        }
        let [set, changed, removed] = kinds;
        let change = match (was, is) {
            (None, _) => set,
            (_, None) => removed,
            _ => changed,
        };
        self.note(change, None, was.map(&state), is.map(&state));
    }

    fn field<T: PartialEq + ToString>(&mut self, name: &str, was: Option<&T>, is: Option<&T>) {
        if was != is {
            let state = |value: &T| State::Text(value.to_string());
            self.note(FIELD, Some(name.to_owned()), was.map(state), is.map(state));
        }
    }

    fn tags(&mut self, was: &Tags, is: &Tags) {
        if was != is {
            self.note(TAGS, None, Some(json(was)), Some(json(is)));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Added,
    Removed,
}

fn json(value: &impl Serialize) -> State {
    State::Text(serde_json::to_string(value).unwrap_or_default())
}

fn text(value: &impl ToString) -> State {
    State::Text(value.to_string())
}

fn document(digest: &Digest) -> State {
    State::Document(*digest)
}

/// Every difference, in a fixed order: what others may follow from comes first.
pub(super) fn all(scans: &Scans<'_>) -> Vec<Difference> {
    let listed = ListedScopes { before: scans.listed_before, after: scans.listed_after };
    let mut out = Vec::new();
    organization(scans, listed, &mut out);
    policies(scans, listed, &mut out);
    roles(scans, listed, &mut out);
    providers(scans, listed, &mut out);
    clusters(scans, listed, &mut out);
    associations(scans, listed, &mut out);
    trails(scans, listed, &mut out);
    out
}

/// The difference that one follows from, where there is one.
pub(super) fn cause(index: usize, all: &[Difference]) -> Option<usize> {
    let it = all.get(index)?;
    let find = |of: &dyn Fn(&Difference) -> bool| all.iter().position(of);
    match &it.about {
        About::Association(key) if [ADDED, REMOVED, RECREATED].contains(&it.change) => {
            let place = (key.account_id, key.region.clone(), key.cluster.clone());
            let cluster = find(&|other| {
                other.about == About::Cluster(place.clone()) && [ADDED, REMOVED, RECREATED].contains(&other.change)
            });
            // A cluster that was just made has none of its associations by itself.
            let cluster = cluster.filter(|at| it.change != ADDED && all.get(*at).is_some_and(|c| c.change != ADDED));
            let owner = it.aliases.iter().find_map(|alias| alias.strip_prefix(OWNED_BY));
            let addon = owner.and_then(|owner| {
                find(&|other| {
                    matches!(&other.about, About::Addon { cluster, name } if *cluster == place && name == owner)
                })
            });
            cluster.or(addon)
        }
        // EKS makes the external id together with a target role.
        About::Association(_) if it.change == EXTERNAL_ID => find(&|other| {
            other.about == it.about && [TARGET_SET, TARGET_CHANGED, TARGET_REMOVED].contains(&other.change)
        }),
        // The add-ons and access entries of a cluster go and come with it.
        About::Addon { cluster, .. } if it.change != CHANGED => find(&|other| {
            other.about == About::Cluster(cluster.clone()) && [REMOVED, RECREATED].contains(&other.change)
        }),
        // An account whose unit was renamed or moved has another path, and is where it was.
        About::Account(_) if it.change == MOVED => {
            let unit = it.aliases.iter().find_map(|alias| alias.strip_prefix(STAYS_IN))?;
            find(&|other| {
                matches!(&other.about, About::OrgUnit { id } if id == unit) && [MOVED, RENAMED].contains(&other.change)
            })
        }
        _ => None,
    }
}

/// Prefixes of notes for [`cause`].
const OWNED_BY: &str = "owned by ";
const STAYS_IN: &str = "stays in ";

#[derive(Clone, Copy)]
struct ListedScopes<'a> {
    before: &'a Coverage,
    after: &'a Coverage,
}

impl ListedScopes<'_> {
    /// What may be said of a thing that one side lacks.
    fn presence(self, was_there: bool, scope: &Scope) -> Option<Presence> {
        let whole = |coverage: &Coverage| coverage.blind_spots(scope).is_empty();
        match was_there {
            true => (whole(self.before) && whole(self.after)).then_some(Presence::Removed),
            false => whole(self.before).then_some(Presence::Added),
        }
    }

    /// An association is also proven absent where its cluster is.
    fn association(self, was_there: bool, key: &AssociationKey) -> Option<Presence> {
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

    /// An account, which the organization's listing shows, whosever it is.
    fn member(self, was_there: bool) -> Option<Presence> {
        let whole = |coverage: &Coverage| {
            let mut listings = coverage.scopes().filter(|(scope, _)| scope.kind == ScopeKind::Organization).peekable();
            listings.peek().is_some() && listings.all(|(_, gaps)| gaps.is_empty())
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

fn organization(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    let (before, after) = (scans.before, scans.after);
    each(
        &before.org_policies,
        &after.org_policies,
        |p| (p.account_id, &p.id),
        |(account_id, id), was: Option<&OrgPolicy>, is: Option<&OrgPolicy>| {
            let Some(any) = is.or(was) else { return };
            let resource = Resource::org_policy(if is.is_some() { after } else { before }, account_id, id, any.kind);
            let mut of =
                Of { resource, account_id, region: None, about: About::OrgPolicy, aliases: vec![id.clone()], out };
            match (was, is) {
                (Some(was), Some(is)) => {
                    of.optional([DOCUMENT; 3], Some(&was.document), Some(&is.document), document);
                    of.field("name", Some(&was.name), Some(&is.name));
                    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
                        (was.targets.iter().collect(), is.targets.iter().collect());
                    for target in had.difference(&has) {
                        of.note(TARGET_DETACHED, Some((*target).clone()), Some(text(target)), None);
                    }
                    for target in has.difference(&had) {
                        of.note(TARGET_ATTACHED, Some((*target).clone()), None, Some(text(target)));
                    }
                }
                (was, is) => {
                    let scope = Scope::global(account_id, ScopeKind::OrgPolicies);
                    of.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
    each(
        &before.org_units,
        &after.org_units,
        |unit| (unit.account_id, &unit.id),
        |(account_id, id), was: Option<&OrgUnit>, is: Option<&OrgUnit>| {
            let resource = Resource::org_unit(if is.is_some() { after } else { before }, account_id, id);
            let about = About::OrgUnit { id: id.clone() };
            let mut of = Of { resource, account_id, region: None, about, aliases: vec![id.clone()], out };
            match (was, is) {
                (Some(was), Some(is)) if was.parent != is.parent => {
                    of.note(MOVED, None, Some(text(&was.path)), Some(text(&is.path)));
                }
                (Some(was), Some(is)) => {
                    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
                    if name(&was.path) != name(&is.path) {
                        of.note(RENAMED, None, Some(text(&was.path)), Some(text(&is.path)));
                    }
                }
                (was, is) => of.presence(listed.member(was.is_some()), was, is),
            }
        },
    );
    let unit_at = |units: &[OrgUnit], path: &Option<String>| {
        let path = path.as_ref()?;
        units.iter().find(|unit| unit.path == *path).map(|unit| unit.id.clone())
    };
    each(
        &before.accounts,
        &after.accounts,
        |a| a.id,
        |account_id, was: Option<&Account>, is: Option<&Account>| {
            let resource = Resource::account(if is.is_some() { after } else { before }, account_id);
            let mut of = Of {
                resource,
                account_id,
                region: None,
                about: About::Account(account_id),
                aliases: vec![account_id.to_string()],
                out,
            };
            match (was, is) {
                (Some(was), Some(is)) => {
                    if let (Some(from), Some(to)) = (&was.ou_path, &is.ou_path)
                        && from != to
                    {
                        let unit = unit_at(&before.org_units, &was.ou_path);
                        let stays = unit.filter(|unit| unit_at(&after.org_units, &is.ou_path).as_ref() == Some(unit));
                        of.aliases.extend(stays.map(|unit| format!("{STAYS_IN}{unit}")));
                        of.note(MOVED, None, Some(text(from)), Some(text(to)));
                        of.aliases.truncate(1);
                    }
                    if was.status.is_some() && is.status.is_some() {
                        of.optional([STATUS; 3], was.status.as_ref(), is.status.as_ref(), text);
                    }
                }
                // An account that only its files told of is no member that joined.
                (None, Some(only)) if only.ou_path.is_none() && !only.is_management => {}
                (was, is) => of.presence(listed.member(was.is_some()), was, is),
            }
        },
    );
}

fn policies(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.policies,
        &scans.after.policies,
        |p| (p.account_id, &p.arn),
        |(account_id, arn), was: Option<&ManagedPolicy>, is: Option<&ManagedPolicy>| {
            let mut of = Of {
                resource: Resource::new(super::ResourceType::ManagedPolicy, arn.as_str()),
                account_id,
                region: None,
                about: About::Policy(arn.clone()),
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                (Some(was), Some(is)) if was.policy_id != is.policy_id => {
                    of.note(RECREATED, None, was.document.as_ref().map(document), is.document.as_ref().map(document));
                }
                (Some(was), Some(is)) => {
                    // A document that one side could not be asked for says nothing.
                    let (Some(old), Some(new)) = (&was.document, &is.document) else { return };
                    if was.default_version != is.default_version {
                        let part = Some(format!("{} -> {}", was.default_version, is.default_version));
                        of.note(DEFAULT_VERSION, part, Some(document(old)), Some(document(new)));
                    } else if old != new {
                        of.note(DOCUMENT, None, Some(document(old)), Some(document(new)));
                    }
                }
                // AWS's own policies are listed where they are attached: the attachment is the change.
                _ if arn.account() == "aws" => {}
                (was, is) => {
                    let scope = Scope::global(account_id, ScopeKind::Policies);
                    let Some(presence) = listed.presence(was.is_some(), &scope) else { return };
                    let change = if presence == Presence::Added { ADDED } else { REMOVED };
                    let state = |it: Option<&ManagedPolicy>| it.and_then(|it| it.document.as_ref()).map(document);
                    of.note(change, None, state(was), state(is));
                }
            }
        },
    );
}

fn roles(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.roles,
        &scans.after.roles,
        |r| &r.arn,
        |arn, was: Option<&Role>, is: Option<&Role>| {
            let mut of = Of {
                resource: Resource::new(super::ResourceType::Role, arn.as_str()),
                account_id: arn.account_id(),
                region: None,
                about: About::Role(arn.to_string()),
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                // Whatever else differs came with the new one.
                (Some(was), Some(is)) if was.role_id != is.role_id => {
                    of.note(RECREATED, None, Some(json(was)), Some(json(is)));
                }
                (Some(was), Some(is)) => role(was, is, &mut of),
                (was, is) => {
                    let scope = Scope::global(arn.account_id(), ScopeKind::Roles);
                    of.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

fn role(was: &Role, is: &Role, of: &mut Of<'_>) {
    of.optional([TRUST; 3], was.trust.as_ref(), is.trust.as_ref(), document);
    each(
        &was.inline,
        &is.inline,
        |p| &p.name,
        |name, was: Option<&InlinePolicy>, is: Option<&InlinePolicy>| {
            let (old, new) = (was.map(|p| p.document), is.map(|p| p.document));
            if old == new {
                return;
            }
            let change = match (was, is) {
                (None, _) => INLINE_ADDED,
                (_, None) => INLINE_REMOVED,
                _ => INLINE_CHANGED,
            };
            of.note(change, Some(name.clone()), old.as_ref().map(document), new.as_ref().map(document));
        },
    );
    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
        (was.attached.iter().map(|p| &p.arn).collect(), is.attached.iter().map(|p| &p.arn).collect());
    for arn in had.difference(&has) {
        of.note(DETACHED, Some(arn.to_string()), Some(text(arn)), None);
    }
    for arn in has.difference(&had) {
        of.note(ATTACHED, Some(arn.to_string()), None, Some(text(arn)));
    }
    let boundary = [BOUNDARY_SET, BOUNDARY_CHANGED, BOUNDARY_REMOVED];
    of.optional(boundary, was.boundary.as_ref(), is.boundary.as_ref(), text);
    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
        (was.instance_profiles.iter().collect(), is.instance_profiles.iter().collect());
    for profile in had.difference(&has) {
        of.note(PROFILE_REMOVED, Some((*profile).clone()), Some(text(profile)), None);
    }
    for profile in has.difference(&had) {
        of.note(PROFILE_ADDED, Some((*profile).clone()), None, Some(text(profile)));
    }
    of.tags(&was.tags, &is.tags);
}

fn providers(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.oidc_providers,
        &scans.after.oidc_providers,
        |p| &p.arn,
        |arn, was, is| {
            let (Some(account_id), true) = (arn.account_id(), was.is_some() != is.is_some()) else { return };
            let mut of = Of {
                resource: Resource::new(super::ResourceType::OidcProvider, arn.as_str()),
                account_id,
                region: None,
                about: About::OidcProvider(arn.to_string()),
                aliases: Vec::new(),
                out,
            };
            let scope = Scope::global(account_id, ScopeKind::OidcProviders);
            of.presence(listed.presence(was.is_some(), &scope), was, is);
        },
    );
}

fn clusters(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.clusters,
        &scans.after.clusters,
        |c| (c.account_id, &c.region, &c.name),
        |(account_id, region, name), was: Option<&Cluster>, is: Option<&Cluster>| {
            let Some(any) = is.or(was) else { return };
            let key = (account_id, region.clone(), name.clone());
            let mut of = Of {
                resource: Resource::new(super::ResourceType::Cluster, &any.arn),
                account_id,
                region: Some(region),
                about: About::Cluster(key.clone()),
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                (Some(was), Some(is)) => {
                    let made = (was.created_at, is.created_at);
                    if let (Some(old), Some(new)) = made
                        && old != new
                    {
                        of.note(RECREATED, None, Some(text(&old.to_rfc3339())), Some(text(&new.to_rfc3339())));
                        return;
                    }
                    cluster(was, is, &mut of);
                    addons(was, is, &key, out);
                    entries(was, is, out);
                }
                (was, is) => {
                    let scope = Scope::regional(account_id, ScopeKind::Clusters, region.clone());
                    of.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

/// A field that one scan did not come to see is no change: only what both have is compared.
fn cluster(was: &Cluster, is: &Cluster, of: &mut Of<'_>) {
    let fields = [
        ("version", &was.version, &is.version),
        ("role_arn", &was.role_arn, &is.role_arn),
        ("oidc_issuer", &was.oidc_issuer, &is.oidc_issuer),
        ("authentication_mode", &was.authentication_mode, &is.authentication_mode),
    ];
    for (name, old, new) in fields {
        if let (Some(old), Some(new)) = (old, new) {
            of.field(name, Some(old), Some(new));
        }
    }
    if let (Some(old), Some(new)) = (was.auto_mode, is.auto_mode) {
        of.field("auto_mode", Some(&old), Some(&new));
    }
    of.tags(&was.tags, &is.tags);
}

/// `None` is "not looked at": no listing to compare with.
fn addons(was: &Cluster, is: &Cluster, key: &ClusterKey, out: &mut Vec<Difference>) {
    let (Some(old), Some(new)) = (&was.addons, &is.addons) else { return };
    each(
        old,
        new,
        |addon| &addon.name,
        |name, had: Option<&Addon>, has: Option<&Addon>| {
            let mut of = Of {
                resource: Resource::addon(is, name),
                account_id: is.account_id,
                region: Some(&is.region),
                about: About::Addon { cluster: key.clone(), name: name.clone() },
                aliases: Vec::new(),
                out,
            };
            match (had, has) {
                (None, has) => of.note(ADDED, None, None, has.map(json)),
                (had, None) => of.note(REMOVED, None, had.map(json), None),
                (Some(had), Some(has)) => {
                    // Health and progress are no configuration.
                    let plain = |it: &Addon| Addon { status: None, health_issues: Vec::new(), ..it.clone() };
                    let described = had.version.is_some() && has.version.is_some();
                    if described && plain(had) != plain(has) {
                        of.note(CHANGED, None, Some(json(&plain(had))), Some(json(&plain(has))));
                    }
                }
            }
        },
    );
}

fn entries(was: &Cluster, is: &Cluster, out: &mut Vec<Difference>) {
    let (Some(old), Some(new)) = (&was.access_entries, &is.access_entries) else { return };
    each(
        old,
        new,
        |entry| &entry.principal_arn,
        |principal, had: Option<&AccessEntry>, has: Option<&AccessEntry>| {
            if had == has {
                return;
            }
            let mut of = Of {
                resource: Resource::access_entry(is, principal),
                account_id: is.account_id,
                region: Some(&is.region),
                about: About::AccessEntry { principal: principal.clone() },
                aliases: Vec::new(),
                out,
            };
            let change = match (had, has) {
                (None, _) => ADDED,
                (_, None) => REMOVED,
                _ => CHANGED,
            };
            of.note(change, None, had.map(json), has.map(json));
        },
    );
}

fn associations(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.associations,
        &scans.after.associations,
        |a| &a.key,
        |key, was: Option<&Association>, is: Option<&Association>| {
            let owner = is.or(was).and_then(|it| it.owner_arn.as_deref());
            let owner = owner.and_then(|arn| arn.split('/').nth(2)).map(|addon| format!("{OWNED_BY}{addon}"));
            let ids = [was, is].into_iter().flatten().map(|it| it.association_id.clone());
            let mut of = Of {
                resource: Resource::association(key),
                account_id: key.account_id,
                region: Some(&key.region),
                about: About::Association(key.clone()),
                aliases: ids.chain(owner).collect(),
                out,
            };
            match (was, is) {
                // Whatever else differs came with the new one.
                (Some(was), Some(is)) if was.association_id != is.association_id => {
                    of.note(RECREATED, None, Some(json(was)), Some(json(is)));
                }
                (Some(was), Some(is)) => association(was, is, &mut of),
                (was, is) => of.presence(listed.association(was.is_some(), key), was, is),
            }
        },
    );
}

fn association(was: &Association, is: &Association, of: &mut Of<'_>) {
    of.optional([OWNER; 3], was.owner_arn.as_ref(), is.owner_arn.as_ref(), text);
    // An association that could not be described on one side says nothing about its detail.
    let (Some(was), Some(is)) = (&was.detail, &is.detail) else { return };
    of.optional([ROLE; 3], Some(&was.role_arn), Some(&is.role_arn), text);
    let target = [TARGET_SET, TARGET_CHANGED, TARGET_REMOVED];
    of.optional(target, was.target_role_arn.as_ref(), is.target_role_arn.as_ref(), text);
    of.optional([EXTERNAL_ID; 3], was.external_id.as_ref(), is.external_id.as_ref(), text);
    if was.disable_session_tags != is.disable_session_tags {
        let change = if is.disable_session_tags { SESSION_TAGS_OFF } else { SESSION_TAGS_ON };
        let state = |off: bool| State::Text(if off { "off" } else { "on" }.to_owned());
        of.note(change, None, Some(state(was.disable_session_tags)), Some(state(is.disable_session_tags)));
    }
    let policy = [SESSION_POLICY_SET, SESSION_POLICY_CHANGED, SESSION_POLICY_REMOVED];
    of.optional(policy, was.policy.as_ref(), is.policy.as_ref(), document);
    let names: BTreeSet<&String> = was.extra.keys().chain(is.extra.keys()).collect();
    for name in names {
        of.field(name, was.extra.get(name), is.extra.get(name));
    }
    of.tags(&was.tags, &is.tags);
}

fn trails(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.trails,
        &scans.after.trails,
        |t| (t.account_id, &t.region, &t.arn),
        |(account_id, region, arn), was: Option<&Trail>, is: Option<&Trail>| {
            let mut of = Of {
                resource: Resource::new(super::ResourceType::Trail, arn),
                account_id,
                region: Some(region),
                about: About::Trail,
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                (Some(was), Some(is)) => trail(was, is, &mut of),
                (was, is) => {
                    let scope = Scope::regional(account_id, ScopeKind::Trails, region.clone());
                    of.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

fn trail(was: &Trail, is: &Trail, of: &mut Of<'_>) {
    of.field("bucket", was.bucket.as_ref(), is.bucket.as_ref());
    of.field("multi_region", Some(&was.is_multi_region), Some(&is.is_multi_region));
    of.field("organization", Some(&was.is_organization), Some(&is.is_organization));
    if let (Some(old), Some(new)) = (&was.recorded, &is.recorded)
        && old != new
    {
        of.note(SELECTORS, None, Some(json(old)), Some(json(new)));
    } else if let (Some(old), Some(new)) = (was.records_read_only_management, is.records_read_only_management)
        && old != new
    {
        let state = |it: bool| State::Text(format!("read-only management events: {it}"));
        of.note(SELECTORS, None, Some(state(old)), Some(state(new)));
    }
}
