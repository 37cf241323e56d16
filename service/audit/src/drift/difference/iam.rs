//! Differences of roles, managed policies and identity providers.

use super::kind;
use super::note::{About, Difference, ListedScopes, Notes, Presence, document, each, json, text};
use crate::drift::{Resource, ResourceType, Scans, State};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{InlinePolicy, ManagedPolicy, OidcProvider, OidcProviderDetail, Role};
use std::collections::BTreeSet;

pub(super) fn policies(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.policies,
        &scans.after.policies,
        |p| (p.account_id, &p.arn),
        |(account_id, arn), was: Option<&ManagedPolicy>, is: Option<&ManagedPolicy>| {
            let mut notes = Notes {
                resource: Resource::new(ResourceType::ManagedPolicy, arn.as_str()),
                account_id,
                region: None,
                about: About::Policy(arn.clone()),
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                (Some(was), Some(is)) if is_other(&was.policy_id, &is.policy_id) => {
                    notes.note(
                        kind::RECREATED,
                        None,
                        was.document.as_ref().map(document),
                        is.document.as_ref().map(document),
                    );
                }
                (Some(was), Some(is)) => {
                    // A document that one side could not be asked for says nothing.
                    let (Some(old), Some(new)) = (&was.document, &is.document) else { return };
                    if was.default_version != is.default_version {
                        let part = Some(format!("{} -> {}", was.default_version, is.default_version));
                        notes.note(kind::DEFAULT_VERSION, part, Some(document(old)), Some(document(new)));
                    } else if old != new {
                        notes.note(kind::DOCUMENT, None, Some(document(old)), Some(document(new)));
                    }
                }
                // AWS's own policies are listed where they are attached: the attachment is the change.
                _ if arn.account() == "aws" => {}
                (was, is) => {
                    let scope = Scope::global(account_id, ScopeKind::Policies);
                    let Some(presence) = listed.presence(was.is_some(), &scope) else { return };
                    let change = if presence == Presence::Added { kind::ADDED } else { kind::REMOVED };
                    let state = |it: Option<&ManagedPolicy>| it.and_then(|it| it.document.as_ref()).map(document);
                    notes.note(change, None, state(was), state(is));
                }
            }
        },
    );
}

pub(super) fn roles(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.roles,
        &scans.after.roles,
        |r| &r.arn,
        |arn, was: Option<&Role>, is: Option<&Role>| {
            let mut notes = Notes {
                resource: Resource::new(ResourceType::Role, arn.as_str()),
                account_id: arn.account_id(),
                region: None,
                about: About::Role(arn.to_string()),
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                // Whatever else differs came with the new one.
                (Some(was), Some(is)) if was.role_id != is.role_id => {
                    notes.note(kind::RECREATED, None, Some(json(was)), Some(json(is)));
                }
                (Some(was), Some(is)) => role(was, is, &mut notes),
                (was, is) => {
                    let scope = Scope::global(arn.account_id(), ScopeKind::Roles);
                    notes.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

/// Whether two ids are of different things; an id that one side does not tell says nothing.
fn is_other(was: &str, is: &str) -> bool {
    !was.is_empty() && !is.is_empty() && was != is
}

fn role(was: &Role, is: &Role, notes: &mut Notes<'_>) {
    notes.optional([kind::TRUST; 3], was.trust.as_ref(), is.trust.as_ref(), document);
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
                (None, _) => kind::INLINE_ADDED,
                (_, None) => kind::INLINE_REMOVED,
                _ => kind::INLINE_CHANGED,
            };
            notes.note(change, Some(name.clone()), old.as_ref().map(document), new.as_ref().map(document));
        },
    );
    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
        (was.attached.iter().map(|p| &p.arn).collect(), is.attached.iter().map(|p| &p.arn).collect());
    for arn in had.difference(&has) {
        notes.note(kind::DETACHED, Some(arn.to_string()), Some(text(arn)), None);
    }
    for arn in has.difference(&had) {
        notes.note(kind::ATTACHED, Some(arn.to_string()), None, Some(text(arn)));
    }
    let boundary = [kind::BOUNDARY_SET, kind::BOUNDARY_CHANGED, kind::BOUNDARY_REMOVED];
    notes.optional(boundary, was.boundary.as_ref(), is.boundary.as_ref(), text);
    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
        (was.instance_profiles.iter().collect(), is.instance_profiles.iter().collect());
    for profile in had.difference(&has) {
        notes.note(kind::PROFILE_REMOVED, Some((*profile).clone()), Some(text(profile)), None);
    }
    for profile in has.difference(&had) {
        notes.note(kind::PROFILE_ADDED, Some((*profile).clone()), None, Some(text(profile)));
    }
    notes.tags(&was.tags, &is.tags);
}

pub(super) fn providers(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.oidc_providers,
        &scans.after.oidc_providers,
        |p| &p.arn,
        |arn, was: Option<&OidcProvider>, is: Option<&OidcProvider>| {
            let Some(account_id) = arn.account_id() else { return };
            let mut notes = Notes {
                resource: Resource::new(ResourceType::OidcProvider, arn.as_str()),
                account_id,
                region: None,
                about: About::OidcProvider(arn.to_string()),
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                // What one side could not be asked for says nothing.
                (Some(was), Some(is)) => {
                    if let (Some(was), Some(is)) = (&was.detail, &is.detail) {
                        provider(was, is, &mut notes);
                    }
                }
                (was, is) => {
                    let scope = Scope::global(account_id, ScopeKind::OidcProviders);
                    notes.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

fn provider(was: &OidcProviderDetail, is: &OidcProviderDetail, notes: &mut Notes<'_>) {
    for id in was.client_ids.difference(&is.client_ids) {
        notes.note(kind::CLIENT_ID_REMOVED, Some(id.clone()), Some(State::Text(id.clone())), None);
    }
    for id in is.client_ids.difference(&was.client_ids) {
        notes.note(kind::CLIENT_ID_ADDED, Some(id.clone()), None, Some(State::Text(id.clone())));
    }
    if was.thumbprints != is.thumbprints {
        notes.note(kind::THUMBPRINTS, None, Some(json(&was.thumbprints)), Some(json(&is.thumbprints)));
    }
    notes.tags(&was.tags, &is.tags);
}
