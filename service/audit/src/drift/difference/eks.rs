//! Differences of clusters, of what is in them, and of associations.

use super::kind;
use super::note::{About, ClusterKey, Difference, ListedScopes, Notes, OWNED_BY, document, each, json, text};
use crate::drift::{Resource, ResourceType, Scans, State};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{AccessEntry, Addon, Association, Cluster};
use std::collections::BTreeSet;

pub(super) fn clusters(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.clusters,
        &scans.after.clusters,
        |c| (c.account_id, &c.region, &c.name),
        |(account_id, region, name), was: Option<&Cluster>, is: Option<&Cluster>| {
            let Some(any) = is.or(was) else { return };
            let key = (account_id, region.clone(), name.clone());
            let mut notes = Notes {
                resource: Resource::new(ResourceType::Cluster, &any.arn),
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
                        notes.note(kind::RECREATED, None, Some(text(&old.to_rfc3339())), Some(text(&new.to_rfc3339())));
                        return;
                    }
                    cluster(was, is, &mut notes);
                    addons(was, is, &key, out);
                    entries(was, is, out);
                }
                (was, is) => {
                    let scope = Scope::regional(account_id, ScopeKind::Clusters, region.clone());
                    notes.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

/// A field that one scan did not come to see is no change: only what both have is compared.
fn cluster(was: &Cluster, is: &Cluster, notes: &mut Notes<'_>) {
    let fields = [
        ("version", &was.version, &is.version),
        ("role_arn", &was.role_arn, &is.role_arn),
        ("oidc_issuer", &was.oidc_issuer, &is.oidc_issuer),
        ("authentication_mode", &was.authentication_mode, &is.authentication_mode),
    ];
    for (name, old, new) in fields {
        if let (Some(old), Some(new)) = (old, new) {
            notes.field(name, Some(old), Some(new));
        }
    }
    if let (Some(old), Some(new)) = (was.auto_mode, is.auto_mode) {
        notes.field("auto_mode", Some(&old), Some(&new));
    }
    notes.tags(&was.tags, &is.tags);
}

/// `None` is "not looked at": no listing to compare with.
fn addons(was: &Cluster, is: &Cluster, key: &ClusterKey, out: &mut Vec<Difference>) {
    let (Some(old), Some(new)) = (&was.addons, &is.addons) else { return };
    each(
        old,
        new,
        |addon| &addon.name,
        |name, had: Option<&Addon>, has: Option<&Addon>| {
            let mut notes = Notes {
                resource: Resource::addon(is, name),
                account_id: is.account_id,
                region: Some(&is.region),
                about: About::Addon { cluster: key.clone(), name: name.clone() },
                aliases: Vec::new(),
                out,
            };
            match (had, has) {
                (None, has) => notes.note(kind::ADDED, None, None, has.map(json)),
                (had, None) => notes.note(kind::REMOVED, None, had.map(json), None),
                (Some(had), Some(has)) => {
                    // Health and progress are no configuration.
                    let plain = |it: &Addon| Addon { status: None, health_issues: Vec::new(), ..it.clone() };
                    let described = had.version.is_some() && has.version.is_some();
                    if described && plain(had) != plain(has) {
                        notes.note(kind::CHANGED, None, Some(json(&plain(had))), Some(json(&plain(has))));
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
            // AWS lists groups and policies in any order.
            let sorted = |entry: &AccessEntry| {
                let mut entry = entry.clone();
                entry.groups.sort();
                entry.policies.iter_mut().for_each(|policy| policy.namespaces.sort());
                entry.policies.sort_by(|a, b| a.arn.cmp(&b.arn));
                entry
            };
            if had == has || had.map(sorted) == has.map(sorted) {
                return;
            }
            let mut notes = Notes {
                resource: Resource::access_entry(is, principal),
                account_id: is.account_id,
                region: Some(&is.region),
                about: About::AccessEntry { principal: principal.clone() },
                aliases: Vec::new(),
                out,
            };
            let change = match (had, has) {
                (None, _) => kind::ADDED,
                (_, None) => kind::REMOVED,
                _ => kind::CHANGED,
            };
            notes.note(change, None, had.map(json), has.map(json));
        },
    );
}

pub(super) fn associations(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.associations,
        &scans.after.associations,
        |a| &a.key,
        |key, was: Option<&Association>, is: Option<&Association>| {
            let owner = is.or(was).and_then(|it| it.owner_arn.as_deref());
            let owner = owner.and_then(|arn| arn.split('/').nth(2)).map(|addon| format!("{OWNED_BY}{addon}"));
            let ids = [was, is].into_iter().flatten().map(|it| it.association_id.clone());
            let mut notes = Notes {
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
                    notes.note(kind::RECREATED, None, Some(json(was)), Some(json(is)));
                }
                (Some(was), Some(is)) => association(was, is, &mut notes),
                (was, is) => notes.presence(listed.association(was.is_some(), key), was, is),
            }
        },
    );
}

fn association(was: &Association, is: &Association, notes: &mut Notes<'_>) {
    notes.optional([kind::OWNER; 3], was.owner_arn.as_ref(), is.owner_arn.as_ref(), text);
    // An association that could not be described on one side says nothing about its detail.
    let (Some(was), Some(is)) = (&was.detail, &is.detail) else { return };
    notes.optional([kind::ROLE; 3], Some(&was.role_arn), Some(&is.role_arn), text);
    let target = [kind::TARGET_SET, kind::TARGET_CHANGED, kind::TARGET_REMOVED];
    notes.optional(target, was.target_role_arn.as_ref(), is.target_role_arn.as_ref(), text);
    notes.optional([kind::EXTERNAL_ID; 3], was.external_id.as_ref(), is.external_id.as_ref(), text);
    if was.disable_session_tags != is.disable_session_tags {
        let change = if is.disable_session_tags { kind::SESSION_TAGS_OFF } else { kind::SESSION_TAGS_ON };
        let state = |off: bool| State::Text(if off { "off" } else { "on" }.to_owned());
        notes.note(change, None, Some(state(was.disable_session_tags)), Some(state(is.disable_session_tags)));
    }
    let policy = [kind::SESSION_POLICY_SET, kind::SESSION_POLICY_CHANGED, kind::SESSION_POLICY_REMOVED];
    notes.optional(policy, was.policy.as_ref(), is.policy.as_ref(), document);
    let names: BTreeSet<&String> = was.extra.keys().chain(is.extra.keys()).collect();
    for name in names {
        notes.field(name, was.extra.get(name), is.extra.get(name));
    }
    notes.tags(&was.tags, &is.tags);
}
