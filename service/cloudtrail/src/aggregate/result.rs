//! What a batch comes to: sessions, uses and change events, and what was read in numbers.

use crate::problem::{ProblemKind, ReadProblem};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_estate::id::Region;
use rolecall_estate::{ChangeEvent, Networks, Origin, Session};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Files that were not read completely, or are no trail files, by the names that the caller gave
    /// them, with what is wrong with each first. All of them, while only some problems are named.
    pub unread: BTreeMap<String, String>,
    /// Files of which single records could not be read: they count as read, but not as read completely.
    pub damaged: BTreeSet<String>,
}
