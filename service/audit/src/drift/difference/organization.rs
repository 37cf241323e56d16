//! Differences of an organization: its policies, units and accounts.

use super::kind;
use super::note::{About, Difference, ListedScopes, Notes, STAYS_IN, document, each, text};
use crate::drift::{Resource, Scans};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Account, OrgPolicy, OrgUnit};
use std::collections::BTreeSet;

pub(super) fn organization(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    let (before, after) = (scans.before, scans.after);
    each(
        &before.org_policies,
        &after.org_policies,
        |p| (p.account_id, &p.id),
        |(account_id, id), was: Option<&OrgPolicy>, is: Option<&OrgPolicy>| {
            let Some(any) = is.or(was) else { return };
            let resource = Resource::org_policy(if is.is_some() { after } else { before }, account_id, id, any.kind);
            let mut notes =
                Notes { resource, account_id, region: None, about: About::OrgPolicy, aliases: vec![id.clone()], out };
            match (was, is) {
                (Some(was), Some(is)) => {
                    notes.optional([kind::DOCUMENT; 3], Some(&was.document), Some(&is.document), document);
                    notes.field("name", Some(&was.name), Some(&is.name));
                    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
                        (was.targets.iter().collect(), is.targets.iter().collect());
                    for target in had.difference(&has) {
                        notes.note(kind::TARGET_DETACHED, Some((*target).clone()), Some(text(target)), None);
                    }
                    for target in has.difference(&had) {
                        notes.note(kind::TARGET_ATTACHED, Some((*target).clone()), None, Some(text(target)));
                    }
                }
                (was, is) => {
                    let scope = Scope::global(account_id, ScopeKind::OrgPolicies);
                    notes.presence(listed.presence(was.is_some(), &scope), was, is);
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
            let mut notes = Notes { resource, account_id, region: None, about, aliases: vec![id.clone()], out };
            match (was, is) {
                (Some(was), Some(is)) if was.parent != is.parent => {
                    notes.note(kind::MOVED, None, Some(text(&was.path)), Some(text(&is.path)));
                }
                (Some(was), Some(is)) => {
                    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
                    if name(&was.path) != name(&is.path) {
                        notes.note(kind::RENAMED, None, Some(text(&was.path)), Some(text(&is.path)));
                    }
                }
                (was, is) => notes.presence(listed.member(was.is_some()), was, is),
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
            let mut notes = Notes {
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
                        notes.aliases.extend(stays.map(|unit| format!("{STAYS_IN}{unit}")));
                        notes.note(kind::MOVED, None, Some(text(from)), Some(text(to)));
                        notes.aliases.truncate(1);
                    }
                    if was.status.is_some() && is.status.is_some() {
                        notes.optional([kind::STATUS; 3], was.status.as_ref(), is.status.as_ref(), text);
                    }
                }
                // An account that only its files told of is no member that joined.
                (None, Some(only)) if only.ou_path.is_none() && !only.is_management => {}
                (was, is) => notes.presence(listed.member(was.is_some()), was, is),
            }
        },
    );
}
