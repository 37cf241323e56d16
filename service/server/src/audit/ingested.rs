//! What the reading of trails came to, and what of it could not be read.

use crate::error::Error;
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_cloudtrail::{ReadProblem, Stats};
use rolecall_collect::trails::TrailGap;
use rolecall_estate::coverage::{Coverage, Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use rolecall_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The kind of a source of files on this machine.
pub const FILES: &str = "files";
/// The kind by which a problem of a file is kept that is one page of several.
pub const PAGE: &str = "page";
/// What fails where a trail cannot be read.
pub(crate) const READ_TRAIL: &str = "rolecall:ReadTrail";
/// What is said of a file that was not read completely.
pub(crate) const NOT_ALL: &str = "not all of it could be read";
/// So many problems are given back by name; all are stored.
const NAMED: usize = 1_000;

/// What the reading of sources came to.
#[derive(Debug, Clone, Default)]
pub struct Ingested {
    /// What was read.
    pub stats: Stats,
    /// Files that had been read before.
    pub known: u64,
    /// Sessions that the store did not have.
    pub sessions_written: u64,
    /// Rows of use that were made or added to.
    pub uses_written: u64,
    /// Change events that the store did not have.
    pub changes_written: u64,
    /// The oldest session that was read.
    pub oldest: Option<DateTime<Utc>>,
    /// Accounts in whose trails sessions and calls stand that were read.
    pub named: BTreeMap<AccountId, Named>,
    /// What could not be read, by name.
    pub problems: Vec<ReadProblem>,
    /// What was not seen of the sources.
    pub gaps: Vec<TrailGap>,
    /// Files of this machine that had been read before, and had something that could not be: each with
    /// the kind that the problem was kept by.
    pub known_broken: BTreeSet<(String, String)>,
    /// The judgement that was owed with what was kept: it is all told here.
    pub owed: Vec<Uuid>,
    /// Where files lie of which not everything could be read. However many problems there are, each place
    /// is among them.
    pub broken: BTreeMap<BrokenPlace, Broken>,
}

/// Whose events a file of a trail has, and the day under which it lies; `None`: nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokenPlace {
    /// The account and its region.
    pub of: Option<(AccountId, Region)>,
    /// The day.
    pub day: Option<NaiveDate>,
}

/// Files of a place of which not everything could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The first of them.
    pub file: String,
    /// How many there are.
    pub files: u64,
}

/// What records tell of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Where.
    pub regions: BTreeSet<Region>,
    /// The newest of them.
    pub newest: DateTime<Utc>,
}

impl Ingested {
    pub(super) fn name(
        &mut self,
        account: AccountId,
        regions: impl IntoIterator<Item = Region>,
        newest: DateTime<Utc>,
    ) {
        let named = self.named.entry(account).or_insert(Named { regions: BTreeSet::new(), newest });
        named.regions.extend(regions);
        named.newest = named.newest.max(newest);
    }

    /// Adds what another source came to.
    pub fn absorb(&mut self, other: Self) {
        self.stats += &other.stats;
        self.known += other.known;
        self.sessions_written += other.sessions_written;
        self.uses_written += other.uses_written;
        self.changes_written += other.changes_written;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        for (account, named) in other.named {
            self.name(account, named.regions, named.newest);
        }
        let room = NAMED.saturating_sub(self.problems.len());
        self.problems.extend(other.problems.into_iter().take(room));
        self.gaps.extend(other.gaps);
        self.known_broken.extend(other.known_broken);
        self.owed.extend(other.owed);
        for (place, broken) in other.broken {
            self.note_broken(place, broken);
        }
    }

    pub(super) fn note_broken(&mut self, place: BrokenPlace, broken: Broken) {
        let files = broken.files;
        self.broken.entry(place).and_modify(|known| known.files += files).or_insert(broken);
    }

    /// What was not read of files, as gaps.
    pub(crate) fn unread(&self) -> impl Iterator<Item = TrailGap> {
        self.broken.iter().map(|(place, broken)| {
            let (account_id, region) = place.of.clone().unzip();
            let (action, reason) = (READ_TRAIL.to_owned(), GapReason::Malformed);
            let detail = match broken.files {
                1 => NOT_ALL.to_owned(),
                files => format!("{NOT_ALL}, nor of {} other files", files - 1),
            };
            TrailGap { account_id, region, day: place.day, action, reason, detail, location: broken.file.clone() }
        })
    }

    /// What was not seen, as coverage of sessions. A gap that names no account or no region is one of
    /// all of these places that it may hide.
    #[must_use]
    pub fn coverage(&self, places: &BTreeSet<(AccountId, Region)>) -> Coverage {
        let mut coverage = Coverage::default();
        for gap in self.gaps.iter().cloned().chain(self.unread()) {
            let hides = |place: &&(AccountId, Region)| {
                gap.account_id.is_none_or(|id| id == place.0) && gap.region.as_ref().is_none_or(|r| *r == place.1)
            };
            let mut scopes: Vec<Scope> = places
                .iter()
                .filter(hides)
                .map(|(id, region)| Scope::regional(*id, ScopeKind::Sessions, region.clone()))
                .collect();
            if let (true, Some(account_id)) = (scopes.is_empty(), gap.account_id) {
                let region = gap.region.clone();
                scopes.push(Scope { account_id, kind: ScopeKind::Sessions, region, cluster: None });
            }
            for scope in scopes {
                let detail = format!("{}: {}", gap.location, gap.detail);
                coverage.gap(Gap { scope, action: gap.action.clone(), reason: gap.reason, detail, day: gap.day });
            }
        }
        coverage
    }
}

/// Places of which something was looked at: sessions are judged there.
#[derive(Debug, Clone, Default)]
pub struct Places {
    accounts: BTreeSet<AccountId>,
    sessions: BTreeSet<(AccountId, Region)>,
    pub(super) with_clusters: BTreeSet<(AccountId, Region)>,
}

impl Places {
    /// Adds the place of a listing.
    pub fn note(&mut self, scope: &Scope) {
        self.accounts.insert(scope.account_id);
        let place = scope.region.as_ref().map(|region| (scope.account_id, region.clone()));
        match (scope.kind, place) {
            (ScopeKind::Sessions, Some(place)) => drop(self.sessions.insert(place)),
            (ScopeKind::Associations, Some(place)) => drop(self.with_clusters.insert(place)),
            _ => {}
        }
    }

    /// Accounts of which anything was looked at.
    pub(crate) fn accounts(&self) -> &BTreeSet<AccountId> {
        &self.accounts
    }

    /// Adds those that the store knows.
    pub(crate) async fn with_known(mut self, store: &Store) -> Result<Self, Error> {
        for scope in store.scopes().await? {
            self.note(&scope);
        }
        Ok(self)
    }

    pub(crate) fn all(self) -> BTreeSet<(AccountId, Region)> {
        self.sessions.into_iter().chain(self.with_clusters).collect()
    }
}

/// Why a unit of input is not worked on.
pub(crate) fn set_aside(deaths: u64) -> String {
    format!(
        "set aside, as {deaths} processes died at it; `rolecall admin set-aside retry` with its name lets the next \
         scan or import try it again"
    )
}
