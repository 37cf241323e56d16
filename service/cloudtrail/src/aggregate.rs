//! What many files tell together: sessions, and calls of role sessions added up.
//!
//! CloudTrail delivers at least once, late and in no order. So a batch is read first, and settled
//! only when it is known which of its events were counted before: each event that counts is known
//! again by its [`TrailDay`] and its fingerprint. What was settled is saved together with the new
//! fingerprints, in one transaction; then a crash anywhere, files read twice, split or in any order
//! give the same sessions and the same uses.
//!
//! A call that went through a VPC endpoint may be told twice: by its own event, and by the network
//! activity event of the endpoint, which knows less of it. Both have the request's id; the call's own
//! event counts, and the other only where there is none. Where the call's event comes in a later
//! batch, what was counted for the other is taken back.
//!
//! Memory grows with distinct uses, and by 24 bytes with each call; of calls that can have a network
//! activity event, by 48. Refuses to know where
//! fingerprints are kept, and which pod a session belongs to.

use super::action::{Meaning, meaning};
use super::denial::is_denial;
use super::event::{Caller, Event};
use super::origin;
use super::reader::{Inflater, MAX_DECOMPRESSED, Reader, Reading, Sink};
use super::shape;
use crate::problem::{Fault, ProblemKind, ReadProblem, Tally};
use chrono::{DateTime, Days, NaiveDate, Utc};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use rolecall_estate::id::Region;
use rolecall_estate::{ChangeEvent, Networks, Origin, Session};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

/// So many distinct unmapped events are named in the statistics.
const MAX_UNMAPPED: usize = 500;
/// So many sources are remembered with their class.
const MAX_SOURCES: usize = 4_096;
/// No `use` or session of a row.
const NONE: u32 = u32::MAX;

/// An account's events of a day in a region: what fingerprints are kept by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrailDay {
    /// The account in whose trail the events stand.
    pub account_id: AccountId,
    /// Their region.
    pub region: Region,
    /// Their day, in UTC.
    pub day: NaiveDate,
}

/// Bounds of reading.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many bytes a gzipped file may grow to.
    pub max_decompressed: u64,
    /// Now, as the caller has it. An event of more than a day later is refused by name: a clock is
    /// wrong, and it would stay in view for ever. `None`: any time is taken.
    pub latest: Option<DateTime<Utc>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_decompressed: MAX_DECOMPRESSED, latest: None }
    }
}

/// Calls of one session of a role, of one action on one shape of resource, in one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The account in whose trail the calls stand, which is the caller's own.
    pub account_id: AccountId,
    /// Where.
    pub region: Region,
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The key that was used.
    pub access_key_id: Option<String>,
    /// The role whose session called, with its path where the events tell it.
    pub role_arn: String,
    /// The session's name.
    pub session_name: Option<String>,
    /// The IAM action such as `s3:GetObject`; where there is none or it is not known, CloudTrail's
    /// own names as `source.amazonaws.com:EventName`. A call that may have been any of several
    /// actions is a use of each.
    pub action: String,
    /// Whether `action` is an IAM action of the catalogue.
    pub mapped: bool,
    /// The resource's ARN with its variable parts folded; `None` where the events name none.
    pub shape: Option<String>,
    /// How many calls.
    pub count: u64,
    /// How many of them failed, for whatever reason.
    pub errors: u64,
    /// How many of the errors were refusals for want of permission.
    pub denied: u64,
    /// The first call.
    pub first: DateTime<Utc>,
    /// The last call.
    pub last: DateTime<Utc>,
    /// Classes of network that they came from.
    pub networks: Networks,
    /// One address that they came from: the least, as text.
    pub source: Option<String>,
}

/// What makes two uses one.
pub type UseKey<'u> =
    (AccountId, &'u Region, NaiveDate, Option<&'u str>, &'u str, Option<&'u str>, &'u str, Option<&'u str>);

impl Use {
    /// What makes two uses one.
    #[must_use]
    pub fn key(&self) -> UseKey<'_> {
        (
            self.account_id,
            &self.region,
            self.day,
            self.access_key_id.as_deref(),
            &self.role_arn,
            self.session_name.as_deref(),
            &self.action,
            self.shape.as_deref(),
        )
    }

    /// Adds other calls of the same key. In any order and grouping the sum is the same.
    pub fn absorb(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.errors = self.errors.saturating_add(other.errors);
        self.denied = self.denied.saturating_add(other.denied);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.networks = self.networks.and(other.networks);
        if other.source.is_some()
            && self.source.as_ref().is_none_or(|own| other.source.as_ref().is_some_and(|o| o < own))
        {
            self.source.clone_from(&other.source);
        }
    }
}

/// What was read, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Files.
    pub files: u64,
    /// Their bytes as they came.
    pub bytes: u64,
    /// Records that were read, duplicates too.
    pub events: u64,
    /// Records that could not be read.
    pub malformed: u64,
    /// Events that count and were there before, in this batch or an earlier one.
    pub duplicates: u64,
    /// Calls of role sessions that are counted, sessions that they opened too.
    pub calls: u64,
    /// Calls that are recorded in the account of the resource as well, and counted in the caller's.
    pub copies: u64,
    /// Network activity events of calls that are counted by their own event.
    pub network: u64,
    /// Calls of others, by `userIdentity.type`: counted and not kept.
    pub others: BTreeMap<String, u64>,
    /// Sessions by kind.
    pub sessions: BTreeMap<String, u64>,
    /// Refused requests for a session.
    pub refused: u64,
    /// Distinct uses.
    pub uses: u64,
    /// Calls that change, or tried to change, what is watched: those that are new.
    pub change_events: u64,
    /// How many of these were refused or failed.
    pub failed_change_events: u64,
    /// Calls whose IAM action is not known, by CloudTrail's names.
    pub unmapped: BTreeMap<String, u64>,
    /// Problems by kind.
    pub problems: BTreeMap<ProblemKind, u64>,
}

impl std::ops::AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        fn add<K: Ord + Clone>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, n) in from {
                *to.entry(key.clone()).or_default() += n;
            }
        }
        self.files += other.files;
        self.bytes += other.bytes;
        self.events += other.events;
        self.malformed += other.malformed;
        self.duplicates += other.duplicates;
        self.calls += other.calls;
        self.copies += other.copies;
        self.network += other.network;
        self.refused += other.refused;
        self.uses += other.uses;
        self.change_events += other.change_events;
        self.failed_change_events += other.failed_change_events;
        add(&mut self.others, &other.others);
        add(&mut self.sessions, &other.sessions);
        add(&mut self.unmapped, &other.unmapped);
        add(&mut self.problems, &other.problems);
    }
}

/// A batch that is settled: what is new in it.
#[derive(Debug, Clone, Default)]
pub struct AggregatedBatch {
    /// Sessions, by time.
    pub sessions: Vec<Session>,
    /// Uses, one for each key, in the order of the keys.
    pub uses: Vec<Use>,
    /// Uses that an earlier batch counted by their network activity events, and that are among
    /// `uses` by their own: to be taken off. None has a shape.
    pub withdrawn: Vec<Use>,
    /// Where the calls of the sessions came from that have new ones, in the order of the keys.
    pub origins: Vec<Origin>,
    /// Calls that change, or tried to change, what is watched, by time.
    pub changes: Vec<ChangeEvent>,
    /// Fingerprints to keep, sorted: of events, and of requests of which other events can come.
    pub fingerprints: BTreeMap<TrailDay, Vec<u64>>,
    /// How many events are new.
    pub events: BTreeMap<TrailDay, u64>,
    /// What was read, in numbers.
    pub stats: Stats,
    /// What could not be read: the first hundred.
    pub problems: Vec<ReadProblem>,
    /// Files that were not read whole, or are no trail files, by the names that the caller gave
    /// them, with what is wrong with each first. All of them, while only some problems are named.
    pub unread: BTreeMap<String, String>,
    /// Files of which single records could not be read: they count as read, but not as read whole.
    pub damaged: BTreeSet<String>,
}

/// An event that counts.
#[derive(Debug, Clone, Copy)]
struct Row {
    fingerprint: u64,
    place: u32,
    pattern: u32,
    session: u32,
    failed: bool,
    denied: bool,
    /// A network activity event: its fingerprint is that of its request, [`shape::by_network`].
    network: bool,
}

/// A call that can have a network activity event too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Requested {
    place: u32,
    /// The fingerprint of the call's row.
    call: u64,
    request: u64,
}

impl Row {
    fn key(&self) -> (u32, u64) {
        (self.place, self.fingerprint)
    }
}

/// A role's session, as calls name it.
#[derive(Debug)]
struct Principal {
    access_key_id: Option<Box<str>>,
    role_arn: Box<str>,
    session_name: Option<Box<str>>,
    origins: Vec<OriginUse>,
}

/// Calls of a session from one place by one program.
#[derive(Debug)]
struct OriginUse {
    from: OriginKey,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    /// Of the first call.
    event_action: u32,
    source: Option<Box<str>>,
}

/// From where and by what a call came. Numbers of [`Batch::words`], or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OriginKey {
    /// A place of the same account and region: the first.
    place: u32,
    network: u32,
    endpoint: u32,
    agent: u32,
    /// All others, when there are too many.
    is_rest: bool,
}

/// What an event's names mean to IAM.
#[derive(Debug)]
struct EventAction {
    source: Box<str>,
    name: Box<str>,
    actions: Vec<Box<str>>,
    mapped: bool,
    /// Mapped, or known to need no permission.
    is_known: bool,
}

/// What of an event's uses does not depend on how often it is delivered.
#[derive(Debug)]
struct Pattern {
    place: u32,
    principal: u32,
    event_action: u32,
    shape: u32,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    networks: Networks,
    source: Option<Box<str>>,
}

/// Reads files into sessions and uses.
#[derive(Debug)]
pub struct EventAggregator {
    limits: Limits,
    inflater: Inflater,
    tally: Tally,
    files: u64,
    bytes: u64,
    batch: Batch,
}

/// What was read, told apart but not yet added up.
#[derive(Debug, Default)]
struct Batch {
    latest: Option<DateTime<Utc>>,
    rows: Vec<Row>,
    requested: Vec<Requested>,
    sessions: Vec<Session>,
    /// With the keys of their rows.
    changes: Vec<((u32, u64), ChangeEvent)>,
    places: Vec<TrailDay>,
    place_names: HashMap<TrailDay, u32>,
    /// The last event's place: most often the next one's too.
    last_place: Option<(Box<str>, u32)>,
    principals: Vec<Principal>,
    principal_names: HashTable<u32>,
    last_principal: Option<u32>,
    event_actions: Vec<EventAction>,
    event_action_names: HashTable<u32>,
    shapes: Vec<Box<str>>,
    shape_names: HashTable<u32>,
    patterns: Vec<Pattern>,
    pattern_names: HashMap<(u32, u32, u32, u32), u32>,
    hasher: DefaultHashBuilder,
    folded: String,
    sources: HashMap<Box<str>, (Networks, u32)>,
    /// By user agent: its family.
    agents: HashMap<Box<str>, u32>,
    last_agent: (String, u32),
    /// Networks, VPC endpoints and families of user agents, each text once.
    words: Vec<Box<str>>,
    word_names: HashMap<Box<str>, u32>,
    /// By place: the first of the same account and region.
    regions: Vec<u32>,
    region_names: HashMap<(AccountId, Region), u32>,
    others: HashMap<Box<str>, u64>,
    copies: u64,
    /// Bytes of kept texts.
    text: usize,
}

/// A file that is read piece by piece, as far as it was read.
#[derive(Debug)]
pub struct TrailFile<'r>(Reading<'r>);

impl<'r> TrailFile<'r> {
    /// A file of which nothing was read yet, gzipped or plain.
    #[must_use]
    pub fn new(name: &str, source: impl std::io::Read + Send + 'r) -> Self {
        Self(Reading::new(name, Box::new(source)))
    }
}

impl EventAggregator {
    /// An empty batch.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inflater: Inflater::default(),
            tally: Tally::default(),
            files: 0,
            bytes: 0,
            batch: Batch { latest: limits.latest, ..Batch::default() },
        }
    }

    /// Reads a file that is at hand, gzipped or plain. What cannot be read of it is counted and named.
    pub fn read(&mut self, name: &str, bytes: &[u8]) {
        self.files += 1;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Reader::new(name, &mut self.batch, &mut self.tally, self.limits.max_decompressed)
            .bytes(&mut self.inflater, bytes);
    }

    /// Reads a file piece by piece, within the same bound of memory whatever its size.
    ///
    /// # Errors
    /// The source failed. What came before is read, so the batch is not to be saved.
    pub fn read_from(&mut self, name: &str, source: &mut (dyn std::io::Read + Send)) -> std::io::Result<()> {
        let mut reading = TrailFile::new(name, source);
        while self.read_piece(&mut reading)? {}
        Ok(())
    }

    /// Reads a piece of a file: all of one that is small. `false` after the last. Pieces of one file may
    /// go to several batches; the last knows what was wrong with any.
    ///
    /// # Errors
    /// The source failed. What came before is read.
    pub fn read_piece(&mut self, file: &mut TrailFile<'_>) -> std::io::Result<bool> {
        self.files += u64::from(file.0.is_at_start());
        let goes_on = file.0.piece(&mut self.inflater, &mut self.batch, &mut self.tally, self.limits.max_decompressed);
        self.bytes += file.0.bytes();
        goes_on
    }

    /// Records read so far, those that do not count too.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.tally.events
    }

    /// Whether nothing was read that would have to be saved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.rows.is_empty()
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let batch = &self.batch;
        batch.rows.len() * size_of::<Row>()
            + batch.requested.len() * size_of::<Requested>()
            + batch.sessions.len() * (size_of::<Session>() + 1024)
            + batch.changes.len() * (size_of::<ChangeEvent>() + 1024)
            + batch.patterns.len() * (size_of::<Pattern>() + 48)
            + batch.text
            + self.inflater.held()
    }

    /// By what the events that count are known again; sorted, each once.
    #[must_use]
    pub fn fingerprints(&mut self) -> BTreeMap<TrailDay, Vec<u64>> {
        self.batch.rows.sort_unstable_by_key(Row::key);
        let mut out: BTreeMap<TrailDay, Vec<u64>> = BTreeMap::new();
        for rows in self.batch.rows.chunk_by(|a, b| a.place == b.place) {
            if let Some(place) = rows.first().and_then(|row| at(&self.batch.places, row.place)) {
                // Whether the call of a network activity event was counted.
                let calls = rows.iter().filter(|row| row.network).map(|row| shape::by_network(row.fingerprint));
                out.insert(place.clone(), rows.iter().map(|row| row.fingerprint).chain(calls).collect());
            }
        }
        for asked in &self.batch.requested {
            if let Some(list) = at(&self.batch.places, asked.place).and_then(|place| out.get_mut(place)) {
                list.extend([asked.request, shape::by_network(asked.request)]);
            }
        }
        for list in out.values_mut() {
            list.sort_unstable();
            list.dedup();
        }
        out
    }

    /// Adds up what is new. `counted` holds, sorted, those fingerprints that were counted before;
    /// it need not hold others, and may.
    #[must_use]
    pub fn finish_batch(self, counted: &BTreeMap<TrailDay, Vec<u64>>) -> AggregatedBatch {
        self.batch.finish_batch(counted, self.tally, self.files, self.bytes)
    }
}

fn at<T>(list: &[T], index: u32) -> Option<&T> {
    list.get(usize::try_from(index).ok()?)
}

fn at_mut<T>(list: &mut [T], index: u32) -> Option<&mut T> {
    list.get_mut(usize::try_from(index).ok()?)
}

/// The number of a thing: the same for equal things, found without making one.
fn number<T>(
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
const LONGEST_SOURCE: usize = 64;

/// No text that makes a use may be longer, in bytes.
const LONGEST: usize = 2048;

fn kept(text: &str, field: &str) -> Result<(), Fault> {
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

    fn place(&mut self, event: &Event<'_>, day: NaiveDate) -> Result<u32, Fault> {
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

    fn pattern(
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

    /// The class of a source, which is most often one that was seen before, and its network.
    fn networks(&mut self, source: Option<&str>, by_endpoint: bool) -> (Networks, u32) {
        let Some(text) = source.filter(|text| text.len() <= LONGEST_SOURCE) else {
            return (Networks::of(source, by_endpoint), NONE);
        };
        let (class, network) = match self.sources.get(text) {
            Some(class) => *class,
            None => {
                if self.sources.len() >= MAX_SOURCES {
                    self.sources.clear();
                }
                let network = origin::network(text).map_or(NONE, |network| self.word(&network));
                let class = (Networks::of(Some(text), false), network);
                self.sources.insert(text.into(), class);
                class
            }
        };
        (if by_endpoint { class.and(Networks::ENDPOINT) } else { class }, network)
    }

    fn word(&mut self, text: &str) -> u32 {
        if let Some(number) = self.word_names.get(text) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(NONE);
        self.text += text.len() * 2 + 64;
        self.words.push(text.into());
        self.word_names.insert(text.into(), number);
        number
    }

    /// The family of a user agent, which is most often that of the call before.
    fn agent(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NONE;
        }
        if self.last_agent.0 == text {
            return self.last_agent.1;
        }
        let number = match self.agents.get(text) {
            Some(number) => *number,
            None => {
                if self.agents.len() >= MAX_SOURCES {
                    self.agents.clear();
                }
                let number = origin::family(text).map_or(NONE, |family| self.word(&family));
                self.agents.insert(text.into(), number);
                number
            }
        };
        self.last_agent.0.clear();
        self.last_agent.0.push_str(text);
        self.last_agent.1 = number;
        number
    }

    /// Notes from where a session called. What AWS's services call for it is from nowhere.
    fn seen_from(&mut self, event: &Event<'_>, pattern: u32, network: u32, time: DateTime<Utc>) {
        let Some((place, principal, event_action)) =
            at(&self.patterns, pattern).map(|p| (p.place, p.principal, p.event_action))
        else {
            return;
        };
        let endpoint = event.vpc_endpoint().filter(|id| id.len() <= LONGEST_SOURCE);
        if network == NONE && endpoint.is_none() {
            return;
        }
        let endpoint = endpoint.map_or(NONE, |id| self.word(id));
        let agent = event.user_agent().map_or(NONE, |agent| self.agent(agent));
        let place = at(&self.regions, place).copied().unwrap_or(place);
        let mut from = OriginKey { place, network, endpoint, agent, is_rest: false };
        let source = event.source_address().filter(|_| network != NONE);
        let Some(principal) = at_mut(&mut self.principals, principal) else { return };
        if principal.origins.len() >= origin::MOST && !principal.origins.iter().any(|seen| seen.from == from) {
            from = OriginKey { place: from.place, network: NONE, endpoint: NONE, agent: NONE, is_rest: true };
        }
        match principal.origins.iter_mut().find(|seen| seen.from == from) {
            Some(seen) => {
                if time <= seen.first {
                    let name = |event_action: u32| {
                        at(&self.event_actions, event_action).and_then(|event_action| event_action.actions.first())
                    };
                    if time < seen.first || name(event_action) < name(seen.event_action) {
                        seen.event_action = event_action;
                    }
                    seen.first = time;
                }
                seen.last = seen.last.max(time);
                if let Some(source) = source
                    && seen.source.as_deref().is_none_or(|own| source < own)
                {
                    seen.source = Some(source.into());
                }
            }
            None => {
                self.text += size_of::<OriginUse>() + 32;
                let source = source.map(Box::from);
                principal.origins.push(OriginUse { from, first: time, last: time, event_action, source });
            }
        }
    }

    /// The origins of sessions with calls that count.
    fn origins(&self, counts: &[(u64, u64, u64)]) -> Vec<Origin> {
        let counted = self.patterns.iter().zip(counts).filter(|(_, count)| count.0 > 0);
        let callers: BTreeSet<u32> = counted.map(|(pattern, _)| pattern.principal).collect();
        let word = |number: u32| at(&self.words, number).map(ToString::to_string);
        let mut origins = Vec::new();
        for principal in callers.into_iter().filter_map(|number| at(&self.principals, number)) {
            origins.extend(principal.origins.iter().filter_map(|seen| {
                let place = at(&self.places, seen.from.place)?;
                Some(Origin {
                    account_id: place.account_id,
                    access_key_id: principal.access_key_id.as_deref().map(str::to_owned),
                    role_arn: principal.role_arn.to_string(),
                    region: place.region.clone(),
                    network: word(seen.from.network),
                    endpoint: word(seen.from.endpoint),
                    agent: word(seen.from.agent),
                    first: seen.first,
                    last: seen.last,
                    action: at(&self.event_actions, seen.event_action)?.actions.first()?.to_string(),
                    source: seen.source.as_deref().map(str::to_owned),
                    is_rest: seen.from.is_rest,
                })
            }));
        }
        origins.sort_by(|a, b| a.key().cmp(&b.key()));
        // Sessions of one key and role can have several names.
        origins.dedup_by(|next, kept| {
            let same = next.key() == kept.key();
            if same {
                kept.absorb(next);
            }
            same
        });
        origins
    }

    fn principal(&mut self, caller: &Caller<'_>) -> Result<u32, Fault> {
        let (role, name) = role_and_name(caller)?;
        let equals = |principal: &Principal| {
            principal.access_key_id.as_deref() == caller.access_key_id
                && principal.session_name.as_deref() == name
                && role.is(&principal.role_arn)
        };
        if let Some(last) = self.last_principal
            && at(&self.principals, last).is_some_and(equals)
        {
            return Ok(last);
        }
        for (text, field) in [
            (caller.access_key_id.unwrap_or_default(), "/userIdentity/accessKeyId"),
            (caller.arn, "/userIdentity/arn"),
            (caller.issuer.unwrap_or_default(), "/userIdentity/sessionContext/sessionIssuer/arn"),
            (name.unwrap_or_default(), "/userIdentity/principalId"),
        ] {
            kept(text, field)?;
        }
        let hasher = &self.hasher;
        let hash = hasher.hash_one((caller.access_key_id, name));
        let text = &mut self.text;
        let number = number(
            &mut self.principals,
            &mut self.principal_names,
            hash,
            equals,
            |p| hasher.hash_one((p.access_key_id.as_deref(), p.session_name.as_deref())),
            || {
                *text += caller.arn.len() * 2 + 160;
                Principal {
                    access_key_id: caller.access_key_id.map(Box::from),
                    role_arn: role.text().into(),
                    session_name: name.map(Box::from),
                    origins: Vec::new(),
                }
            },
        );
        self.last_principal = Some(number);
        Ok(number)
    }

    fn event_action(&mut self, event: &Event<'_>) -> Result<u32, Fault> {
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

    fn shape(&mut self, event: &Event<'_>) -> u32 {
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

    fn finish_batch(
        mut self,
        counted: &BTreeMap<TrailDay, Vec<u64>>,
        tally: Tally,
        files: u64,
        bytes: u64,
    ) -> AggregatedBatch {
        let rows = std::mem::take(&mut self.rows);
        let read = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let mut rows = self.unique(rows, counted);
        let new = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let paired = self.pair(&mut rows, counted);
        let changes = self.changes(&rows);
        let mut stats = Stats {
            files,
            bytes,
            events: tally.events,
            malformed: tally.malformed,
            duplicates: read - new,
            network: paired.told,
            copies: self.copies,
            change_events: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            failed_change_events: u64::try_from(changes.iter().filter(|change| change.error_code.is_some()).count())
                .unwrap_or(u64::MAX),
            others: self.others.iter().map(|(kind, n)| (kind.to_string(), *n)).collect(),
            problems: tally.kinds.clone(),
            ..Stats::default()
        };
        let mut counts: Vec<(u64, u64, u64)> = vec![(0, 0, 0); self.patterns.len()];
        let mut fingerprints: BTreeMap<TrailDay, Vec<u64>> = BTreeMap::new();
        let mut opened: Vec<u32> = Vec::new();
        let mut fresh: Vec<Vec<u64>> = self.places.iter().map(|_| Vec::new()).collect();
        let mut events: BTreeMap<TrailDay, u64> = BTreeMap::new();
        for row in &rows {
            if let Some(list) = at_mut(&mut fresh, row.place) {
                list.push(row.fingerprint);
            }
            if let Some((count, errors, denied)) = at_mut(&mut counts, row.pattern) {
                *count += 1;
                *errors += u64::from(row.failed);
                *denied += u64::from(row.denied);
                stats.calls += 1;
            }
            if row.session != NONE {
                opened.push(row.session);
            }
        }
        for (place, list) in self.places.iter().zip(&fresh).filter(|(_, list)| !list.is_empty()) {
            events.insert(place.clone(), u64::try_from(list.len()).unwrap_or(u64::MAX));
        }
        for (place, mark) in paired.marks {
            if let Some(list) = at_mut(&mut fresh, place) {
                list.push(mark);
            }
        }
        for list in &mut fresh {
            list.sort_unstable();
        }
        for (place, list) in self.places.iter().zip(fresh) {
            if !list.is_empty() {
                fingerprints.insert(place.clone(), list);
            }
        }
        stats.calls -= paired.taken_back.min(stats.calls);
        let uses = self.uses(&counts, &mut stats);
        let origins = self.origins(&counts);
        opened.sort_unstable();
        let mut next = opened.into_iter().peekable();
        let mut sessions: Vec<Session> = Vec::new();
        for (index, session) in std::mem::take(&mut self.sessions).into_iter().enumerate() {
            if u32::try_from(index).is_ok_and(|index| next.next_if_eq(&index).is_some()) {
                *stats.sessions.entry(session.kind.as_str().to_owned()).or_default() += 1;
                stats.refused += u64::from(session.error.is_some());
                sessions.push(session);
            }
        }
        sessions.sort_by(|a, b| (a.at, a.account_id, &a.event_id).cmp(&(b.at, b.account_id, &b.event_id)));
        stats.uses = u64::try_from(uses.len()).unwrap_or(u64::MAX);
        AggregatedBatch {
            sessions,
            uses,
            withdrawn: paired.withdrawn,
            origins,
            changes,
            fingerprints,
            events,
            stats,
            problems: tally.problems,
            unread: tally.unread,
            damaged: tally.damaged,
        }
    }

    /// The change events of rows that count, each once, by time.
    fn changes(&mut self, rows: &[Row]) -> Vec<ChangeEvent> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by_key(|(key, _)| *key);
        changes.dedup_by_key(|(key, _)| *key);
        let new = changes.into_iter().filter(|(key, _)| rows.binary_search_by_key(key, Row::key).is_ok());
        let mut changes: Vec<ChangeEvent> = new.map(|(_, change)| change).collect();
        changes.sort_by(|a, b| {
            (a.event_time, a.account_id, &a.region, &a.event_id).cmp(&(
                b.event_time,
                b.account_id,
                &b.region,
                &b.event_id,
            ))
        });
        changes
    }

    /// Rows that were not counted before, each event once, by place and fingerprint.
    fn unique(&self, mut rows: Vec<Row>, counted: &BTreeMap<TrailDay, Vec<u64>>) -> Vec<Row> {
        rows.sort_unstable_by_key(Row::key);
        rows.dedup_by_key(|row| row.key());
        let (mut place, mut before) = (NONE, [].iter().peekable());
        rows.retain(|row| {
            if row.place != place {
                place = row.place;
                let known = at(&self.places, place).and_then(|place| counted.get(place));
                before = known.map(Vec::as_slice).unwrap_or_default().iter().peekable();
            }
            while before.next_if(|known| **known < row.fingerprint).is_some() {}
            before.peek().is_none_or(|known| **known != row.fingerprint)
        });
        rows
    }

    /// Drops network activity events whose call counts by its own event, and says what an earlier
    /// batch counted by the network activity events of calls that are new.
    fn pair(&mut self, rows: &mut Vec<Row>, counted: &BTreeMap<TrailDay, Vec<u64>>) -> Paired {
        let mut requested = std::mem::take(&mut self.requested);
        requested.retain(|asked| rows.binary_search_by_key(&(asked.place, asked.call), Row::key).is_ok());
        requested.sort_unstable_by_key(|asked| (asked.place, asked.request, asked.call));
        // One request can be several calls; its network activity event is one of them.
        requested.dedup_by_key(|asked| (asked.place, asked.request));
        let was_counted = |place: u32, mark: u64| {
            let known = at(&self.places, place).and_then(|place| counted.get(place));
            known.is_some_and(|known| known.binary_search(&mark).is_ok())
        };
        let mut paired = Paired::default();
        rows.retain(|row| {
            let request = shape::by_network(row.fingerprint);
            let is_told = row.network
                && (requested
                    .binary_search_by_key(&(row.place, request), |asked| (asked.place, asked.request))
                    .is_ok()
                    || was_counted(row.place, request));
            paired.told += u64::from(is_told);
            !is_told
        });
        for asked in requested {
            if was_counted(asked.place, asked.request) {
                continue;
            }
            paired.marks.push((asked.place, asked.request));
            if !was_counted(asked.place, shape::by_network(asked.request)) {
                continue;
            }
            let row = rows.binary_search_by_key(&(asked.place, asked.call), Row::key).ok().and_then(|at| rows.get(at));
            let pattern = row.and_then(|row| at(&self.patterns, row.pattern));
            if let Some(pattern) = pattern {
                paired.told += 1;
                paired.taken_back += 1;
                // The endpoint let it pass: what the service refused is its own event's to tell.
                paired.withdrawn.extend(self.uses_of(pattern, NONE, (1, 0, 0)));
            }
        }
        added_up(&mut paired.withdrawn);
        paired
    }

    fn uses(&self, counts: &[(u64, u64, u64)], stats: &mut Stats) -> Vec<Use> {
        let mut uses = Vec::new();
        for (pattern, count) in self.patterns.iter().zip(counts) {
            if count.0 == 0 {
                continue;
            }
            if let Some(event_action) =
                at(&self.event_actions, pattern.event_action).filter(|event_action| !event_action.is_known)
            {
                for action in &event_action.actions {
                    if stats.unmapped.len() < MAX_UNMAPPED || stats.unmapped.contains_key(&**action) {
                        *stats.unmapped.entry(action.to_string()).or_default() += count.0;
                    }
                }
            }
            uses.extend(self.uses_of(pattern, pattern.shape, *count));
        }
        // Several events of CloudTrail's may be one action of IAM's.
        added_up(&mut uses);
        uses
    }

    /// The uses that calls of a pattern are, with their number, how many of them failed and how many
    /// were refused.
    fn uses_of(&self, pattern: &Pattern, shape: u32, (count, errors, denied): (u64, u64, u64)) -> Vec<Use> {
        let (Some(place), Some(principal), Some(event_action)) = (
            at(&self.places, pattern.place),
            at(&self.principals, pattern.principal),
            at(&self.event_actions, pattern.event_action),
        ) else {
            return Vec::new();
        };
        let used = |action: &str| Use {
            account_id: place.account_id,
            region: place.region.clone(),
            day: place.day,
            access_key_id: principal.access_key_id.as_deref().map(str::to_owned),
            role_arn: principal.role_arn.to_string(),
            session_name: principal.session_name.as_deref().map(str::to_owned),
            action: action.to_owned(),
            mapped: event_action.mapped,
            shape: at(&self.shapes, shape).map(ToString::to_string),
            count,
            errors,
            denied,
            first: pattern.first,
            last: pattern.last,
            networks: pattern.networks,
            source: pattern.source.as_deref().map(str::to_owned),
        };
        event_action.actions.iter().map(|action| used(action)).collect()
    }
}

/// What calls and the network activity events of the same requests come to.
#[derive(Debug, Default)]
struct Paired {
    /// Network activity events whose calls count by their own events.
    told: u64,
    /// Of these, those that an earlier batch counted.
    taken_back: u64,
    /// By place: the marks of requests whose calls are new.
    marks: Vec<(u32, u64)>,
    /// What the earlier batches counted for them.
    withdrawn: Vec<Use>,
}

/// Sorts uses by their keys and makes one of those that have the same.
fn added_up(uses: &mut Vec<Use>) {
    uses.sort_by(|a, b| a.key().cmp(&b.key()));
    uses.dedup_by(|next, kept| {
        let same = next.key() == kept.key();
        if same {
            kept.absorb(next);
        }
        same
    });
}

/// A role's ARN, as the record has it or as its session's ARN tells it.
#[derive(Clone, Copy)]
enum RoleText<'c> {
    Whole(&'c str),
    /// Partition, account and name, of a session's ARN: the path is not in it.
    OfSession(&'c str, &'c str, &'c str),
}

impl RoleText<'_> {
    fn is(self, text: &str) -> bool {
        match self {
            Self::Whole(own) => own == text,
            Self::OfSession(partition, account, name) => {
                let rest = text.strip_prefix("arn:").and_then(|rest| rest.strip_prefix(partition));
                let rest = rest.and_then(|rest| rest.strip_prefix(":iam::")?.strip_prefix(account));
                rest.and_then(|rest| rest.strip_prefix(":role/")).is_some_and(|rest| rest == name)
            }
        }
    }

    fn text(self) -> String {
        match self {
            Self::Whole(text) => text.to_owned(),
            Self::OfSession(partition, account, name) => format!("arn:{partition}:iam::{account}:role/{name}"),
        }
    }
}

fn role_and_name<'c>(caller: &Caller<'c>) -> Result<(RoleText<'c>, Option<&'c str>), Fault> {
    let of_session = match shape::parts(caller.arn) {
        Some(["arn", partition, "sts", _, account, resource]) => resource
            .strip_prefix("assumed-role/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(role, name)| (RoleText::OfSession(partition, account, role), name)),
        _ => None,
    };
    let name = of_session.map(|(_, name)| name).or_else(|| caller.principal_id.split_once(':').map(|(_, name)| name));
    let role = caller.issuer.map(RoleText::Whole).or_else(|| of_session.map(|(role, _)| role)).ok_or_else(|| {
        Fault::new(
            ProblemKind::Missing,
            "/userIdentity/sessionContext/sessionIssuer/arn",
            "missing, and the session's own ARN does not tell the role",
            "the role's ARN is needed",
        )
    })?;
    Ok((role, name.filter(|name| !name.is_empty())))
}
