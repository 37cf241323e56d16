//! Differences of trails.

use super::kind;
use super::note::{About, Difference, ListedScopes, Notes, each, json};
use crate::drift::{Resource, ResourceType, Scans, State};
use rolecall_estate::Trail;
use rolecall_estate::coverage::{Scope, ScopeKind};

pub(super) fn trails(scans: &Scans<'_>, listed: ListedScopes<'_>, out: &mut Vec<Difference>) {
    each(
        &scans.before.trails,
        &scans.after.trails,
        |t| (t.account_id, &t.region, &t.arn),
        |(account_id, region, arn), was: Option<&Trail>, is: Option<&Trail>| {
            let mut notes = Notes {
                resource: Resource::new(ResourceType::Trail, arn),
                account_id,
                region: Some(region),
                about: About::Trail,
                aliases: Vec::new(),
                out,
            };
            match (was, is) {
                (Some(was), Some(is)) => trail(was, is, &mut notes),
                (was, is) => {
                    let scope = Scope::regional(account_id, ScopeKind::Trails, region.clone());
                    notes.presence(listed.presence(was.is_some(), &scope), was, is);
                }
            }
        },
    );
}

fn trail(was: &Trail, is: &Trail, notes: &mut Notes<'_>) {
    notes.field("bucket", was.bucket.as_ref(), is.bucket.as_ref());
    notes.field("multi_region", Some(&was.is_multi_region), Some(&is.is_multi_region));
    notes.field("organization", Some(&was.is_organization), Some(&is.is_organization));
    let logging = |it: bool| Some(State::Text(it.to_string()));
    match (was.is_logging(), is.is_logging()) {
        (Some(true), Some(false)) => notes.note(kind::LOGGING_STOPPED, None, logging(true), logging(false)),
        (Some(false), Some(true)) => notes.note(kind::LOGGING_STARTED, None, logging(false), logging(true)),
        _ => {}
    }
    if let (Some(old), Some(new)) = (&was.recorded, &is.recorded)
        && old != new
    {
        notes.note(kind::SELECTORS, None, Some(json(old)), Some(json(new)));
    } else if let (Some(old), Some(new)) = (was.records_read_only_management, is.records_read_only_management)
        && old != new
    {
        let state = |it: bool| State::Text(format!("read-only management events: {it}"));
        notes.note(kind::SELECTORS, None, Some(state(old)), Some(state(new)));
    }
}
