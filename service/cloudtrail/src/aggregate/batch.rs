//! Events that were read and are not yet added up: each text once, rows as numbers.

use super::NONE;
use super::result::TrailDay;
use crate::action::{Meaning, meaning};
use crate::denial::is_denial;
use crate::event::{Caller, Event};
use crate::problem::{Fault, ProblemKind, Tally};
use crate::reader::Sink;
use crate::shape;
use chrono::{DateTime, Days, NaiveDate, Utc};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use rolecall_estate::id::Region;
use rolecall_estate::{ChangeEvent, Networks, Session};
use rolecall_iam::AccountId;
use std::hash::BuildHasher as _;

/// An event that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) fingerprint: u64,
    pub(super) place: u32,
    pub(super) pattern: u32,
    pub(super) session: u32,
    pub(super) failed: bool,
    pub(super) denied: bool,
    /// A network activity event: its fingerprint is that of its request, [`shape::by_network`].
    pub(super) network: bool,
}

/// A call that can have a network activity event too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Requested {
    pub(super) place: u32,
    /// The fingerprint of the call's row.
    pub(super) call: u64,
    pub(super) request: u64,
}

impl Row {
    pub(super) fn key(&self) -> (u32, u64) {
        (self.place, self.fingerprint)
    }
}

/// A role's session, as calls name it.
#[derive(Debug)]
pub(super) struct Principal {
    pub(super) access_key_id: Option<Box<str>>,
    pub(super) role_arn: Box<str>,
    pub(super) session_name: Option<Box<str>>,
    pub(super) origins: Vec<OriginUse>,
}

/// Calls of a session from one place by one program.
#[derive(Debug)]
pub(super) struct OriginUse {
    pub(super) from: OriginKey,
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    /// Of the first call.
    pub(super) event_action: u32,
    pub(super) source: Option<Box<str>>,
}

/// From where and by what a call came. Numbers of [`Batch::words`], or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OriginKey {
    /// A place of the same account and region: the first.
    pub(super) place: u32,
    pub(super) network: u32,
    pub(super) endpoint: u32,
    pub(super) agent: u32,
    /// All others, when there are too many.
    pub(super) is_rest: bool,
}

/// What an event's names mean to IAM.
#[derive(Debug)]
pub(super) struct EventAction {
    pub(super) source: Box<str>,
    name: Box<str>,
    pub(super) actions: Vec<Box<str>>,
    pub(super) mapped: bool,
    /// Mapped, or known to need no permission.
    pub(super) is_known: bool,
}

/// What of an event's uses does not depend on how often it is delivered.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) place: u32,
    pub(super) principal: u32,
    pub(super) event_action: u32,
    pub(super) shape: u32,
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    pub(super) networks: Networks,
    pub(super) source: Option<Box<str>>,
}

/// What was read, told apart but not yet added up.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) latest: Option<DateTime<Utc>>,
    pub(super) rows: Vec<Row>,
    pub(super) requested: Vec<Requested>,
    pub(super) sessions: Vec<Session>,
    /// With the keys of their rows.
    pub(super) changes: Vec<((u32, u64), ChangeEvent)>,
    pub(super) places: Vec<TrailDay>,
    pub(super) place_names: HashMap<TrailDay, u32>,
    /// The last event's place: most often the next one's too.
    pub(super) last_place: Option<(Box<str>, u32)>,
    pub(super) principals: Vec<Principal>,
    pub(super) principal_names: HashTable<u32>,
    pub(super) last_principal: Option<u32>,
    pub(super) event_actions: Vec<EventAction>,
    pub(super) event_action_names: HashTable<u32>,
    pub(super) shapes: Vec<Box<str>>,
    pub(super) shape_names: HashTable<u32>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) pattern_names: HashMap<(u32, u32, u32, u32), u32>,
    pub(super) hasher: DefaultHashBuilder,
    pub(super) folded: String,
    pub(super) sources: HashMap<Box<str>, (Networks, u32)>,
    /// By user agent: its family.
    pub(super) agents: HashMap<Box<str>, u32>,
    pub(super) last_agent: (String, u32),
    /// Networks, VPC endpoints and families of user agents, each text once.
    pub(super) words: Vec<Box<str>>,
    pub(super) word_names: HashMap<Box<str>, u32>,
    /// By place: the first of the same account and region.
    pub(super) regions: Vec<u32>,
    pub(super) region_names: HashMap<(AccountId, Region), u32>,
    pub(super) others: HashMap<Box<str>, u64>,
    pub(super) copies: u64,
    /// Bytes of kept texts.
    pub(super) text: usize,
}

pub(super) fn at<T>(list: &[T], index: u32) -> Option<&T> {
    list.get(usize::try_from(index).ok()?)
}

pub(super) fn at_mut<T>(list: &mut [T], index: u32) -> Option<&mut T> {
    list.get_mut(usize::try_from(index).ok()?)
}

/// The number of a thing: the same for equal things, found without making one.
pub(super) fn number<T>(
    list: &mut Vec<T>,
    names: &mut HashTable<u32>,
    hash: u64,
    equals: impl Fn(&T) -> bool,
    hash_of: impl Fn(&T) -> u64,
    make: impl FnOnce() -> T,
) -> u32 {
    if let Some(found) = names.find(hash, |index| at(list, *index).is_some_and(&equals)) {
        return *found;
    }
    let new = u32::try_from(list.len()).unwrap_or(NONE);
    list.push(make());
    names.insert_unique(hash, new, |index| at(list, *index).map_or(0, &hash_of));
    new
}

impl Sink for Batch {
    fn event(&mut self, event: &Event<'_>, tally: &mut Tally) -> Result<(), Fault> {
        if event.is_not_a_call()? {
            self.other("insight");
            return Ok(());
        }
        let session = event.session()?;
        let caller = event.caller();
        let in_own_trail = match (event.account_name(), event.caller_account()) {
            (Ok((_, recipient)), Some(own)) => recipient == own,
            _ => true,
        };
        if caller.is_some() && !in_own_trail {
            self.copies += 1;
        }
        let caller = caller.filter(|_| in_own_trail);
        if caller.is_none() {
            self.other(event.kind_of_principal());
        }
        if let Some(version) = event.unknown_version() {
            let version: String = version.chars().take(16).collect();
            tally.note(
                ProblemKind::Version,
                "/eventVersion",
                &format!("version {version} is not known; the record was read as version 1"),
            );
        }
        let change = event.change_call();
        if session.is_none() && caller.is_none() && change.is_none() {
            return Ok(());
        }
        let is_network = event.is_network_activity();
        let id = event.event_id()?;
        let when = event.when()?;
        if when.is_local {
            tally.note(ProblemKind::LocalTime, "/eventTime", "a time written for people was read as UTC");
        }
        if self.latest.is_some_and(|latest| latest.checked_add_days(Days::new(1)).is_some_and(|bound| when.at > bound))
        {
            let message = format!("{} is still to come", when.at.to_rfc3339());
            return Err(Fault::new(ProblemKind::Time, "/eventTime", message, "set right the clock that wrote it"));
        }
        let place = self.place(event, when.at.date_naive())?;
        let (_, account) = event.account_name()?;
        let change = match (change, at(&self.places, place)) {
            (Some(call), Some(place)) => Some(event.change(call, (place.account_id, &place.region), when.at)?),
            _ => None,
        };
        let (networks, network) = self.networks(event.source_address(), event.came_by_endpoint());
        let pattern =
            caller.map(|caller| self.pattern(event, &caller, place, when.at, networks)).transpose()?.unwrap_or(NONE);
        if pattern != NONE {
            self.seen_from(event, pattern, network, when.at);
        }
        let session = session.map_or(NONE, |session| {
            self.sessions.push(session);
            u32::try_from(self.sessions.len() - 1).unwrap_or(NONE)
        });
        // Only what goes through an endpoint has a network activity event, and from a private address
        // nothing reaches AWS by another way.
        let by_endpoint = networks.has(Networks::ENDPOINT) || networks.has(Networks::PRIVATE);
        let request = event.request_id().filter(|_| pattern != NONE && (is_network || by_endpoint));
        let request = request.map(|id| shape::request_mark(account, event.call().map_or("", |(source, _)| source), id));
        let own = shape::fingerprint(account, id);
        let fingerprint = match request {
            Some(request) if is_network => shape::by_network(request),
            Some(request) => {
                self.requested.push(Requested { place, call: own, request });
                own
            }
            None => own,
        };
        if let Some(change) = change {
            self.text += event.change_weight();
            self.changes.push(((place, fingerprint), change));
        }
        let error = event.error();
        self.rows.push(Row {
            fingerprint,
            place,
            pattern,
            session,
            failed: error.is_some(),
            denied: error.is_some_and(is_denial),
            network: is_network && request.is_some(),
        });
        Ok(())
    }
}

/// No source is kept that is longer, in bytes.
pub(super) const LONGEST_SOURCE: usize = 64;

/// No text that makes a use may be longer, in bytes.
const LONGEST: usize = 2048;

pub(super) fn kept(text: &str, field: &str) -> Result<(), Fault> {
    if text.len() <= LONGEST {
        return Ok(());
    }
    let message = format!("{} bytes long, where AWS has no more than {LONGEST}", text.len());
    Err(Fault::new(ProblemKind::Field, field, message, "keep the field as CloudTrail wrote it"))
}

impl Batch {
    fn other(&mut self, kind: &str) {
        if let Some(n) = self.others.get_mut(kind) {
            *n += 1;
        } else {
            let kind = if self.others.len() < 64 { kind } else { "more" };
            *self.others.entry(kind.chars().take(32).collect::<String>().into()).or_default() += 1;
        }
    }

    pub(super) fn place(&mut self, event: &Event<'_>, day: NaiveDate) -> Result<u32, Fault> {
        let (_, account) = event.account_name()?;
        let region = event.region_name()?;
        if let Some((last, number)) = &self.last_place
            && last.strip_prefix(account).is_some_and(|last| last == region)
            && at(&self.places, *number).is_some_and(|place| place.day == day)
        {
            return Ok(*number);
        }
        let parsed: Region = region.parse().map_err(|_| {
            let shown: String = region.chars().take(32).collect();
            let message = format!("`{shown}` is not an AWS region");
            Fault::new(ProblemKind::Field, "/awsRegion", message, "keep the region as CloudTrail wrote it")
        })?;
        let place = TrailDay { account_id: event.account()?, region: parsed, day };
        let number = if let Some(number) = self.place_names.get(&place) {
            *number
        } else {
            let number = u32::try_from(self.places.len()).unwrap_or(NONE);
            let region = (place.account_id, place.region.clone());
            self.regions.push(*self.region_names.entry(region).or_insert(number));
            self.places.push(place.clone());
            self.place_names.insert(place, number);
            number
        };
        self.last_place = Some((format!("{account}{region}").into(), number));
        Ok(number)
    }

    pub(super) fn pattern(
        &mut self,
        event: &Event<'_>,
        caller: &Caller<'_>,
        place: u32,
        at_time: DateTime<Utc>,
        networks: Networks,
    ) -> Result<u32, Fault> {
        let principal = self.principal(caller)?;
        let event_action = self.event_action(event)?;
        let shape = self.shape(event);
        let source = event.source_address();
        let source = source.filter(|source| source.len() <= LONGEST_SOURCE);
        let key = (place, principal, event_action, shape);
        let number = *self.pattern_names.entry(key).or_insert_with(|| {
            self.patterns.push(Pattern {
                place,
                principal,
                event_action,
                shape,
                first: at_time,
                last: at_time,
                networks,
                source: source.map(Box::from),
            });
            u32::try_from(self.patterns.len() - 1).unwrap_or(NONE)
        });
        // Least, greatest and union stay the same when an event comes twice.
        if let Some(pattern) = at_mut(&mut self.patterns, number) {
            pattern.first = pattern.first.min(at_time);
            pattern.last = pattern.last.max(at_time);
            pattern.networks = pattern.networks.and(networks);
            if let Some(source) = source
                && pattern.source.as_deref().is_none_or(|own| source < own)
            {
                pattern.source = Some(source.into());
            }
        }
        Ok(number)
    }
}

impl Batch {
    pub(super) fn event_action(&mut self, event: &Event<'_>) -> Result<u32, Fault> {
        let (source, name) = event.call()?;
        kept(source, "/eventSource")?;
        kept(name, "/eventName")?;
        let hasher = &self.hasher;
        Ok(number(
            &mut self.event_actions,
            &mut self.event_action_names,
            hasher.hash_one((source, name)),
            |event_action| &*event_action.name == name && &*event_action.source == source,
            |event_action| hasher.hash_one((&*event_action.source, &*event_action.name)),
            || {
                let own = || vec![format!("{source}:{name}").into()];
                let (actions, mapped, is_known) = match meaning(source, name) {
                    Meaning::Actions(actions) => (actions, true, true),
                    Meaning::Free => (own(), false, true),
                    Meaning::Unknown => (own(), false, false),
                };
                EventAction { source: source.into(), name: name.into(), actions, mapped, is_known }
            },
        ))
    }

    pub(super) fn shape(&mut self, event: &Event<'_>) -> u32 {
        let mut folded = std::mem::take(&mut self.folded);
        let known = event.shape(&mut folded);
        let hasher = &self.hasher;
        let text = &mut self.text;
        let number = if known {
            number(
                &mut self.shapes,
                &mut self.shape_names,
                hasher.hash_one(&*folded),
                |shape| **shape == *folded,
                |shape| hasher.hash_one(&**shape),
                || {
                    *text += folded.len() + 32;
                    folded.as_str().into()
                },
            )
        } else {
            NONE
        };
        self.folded = folded;
        number
    }
}
