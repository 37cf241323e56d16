//! Writing what was seen: one transaction for a whole run, nothing written for what did not change.
//!
//! Knows intervals: a version opens when first seen, and closes when another version is seen or
//! when its scope was read to its end without it, now and at least once before. Refuses to close
//! anything on a scan that had gaps. What a scan should have shown and did not show, and what it did
//! not come to, is marked as unconfirmed until it is seen again.

mod dates;
mod facts;
mod fits;
mod read;
mod rows;
mod scopes;
mod unconfirmed;

use crate::pool::Pool;
use crate::trail::sessions;
use crate::work::jobs::interval;
use crate::work::runs::{RunId, life_key};
use crate::{Error, INSTALLATION, Store, error, parse};
use chrono::{DateTime, Utc};
use facts::{Fact, Kind};
use rolecall_estate::coverage::{Coverage, Scope};
use rolecall_estate::{Documents, Observation};
use rolecall_iam::{AccountId, Digest};
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

pub(crate) use facts::Kind as ResourceKind;
pub(crate) use unconfirmed::marks_beside;

/// After so many rows were written at once, the planner's statistics are made anew: plans for tables that were
/// empty a moment ago read each row of them for each row of another, until autovacuum comes by.
pub(crate) const ANALYZED_FROM: u64 = 1_000;

/// What one `save` wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SaveCounts {
    /// Documents that were not there before.
    pub documents_written: u64,
    /// Versions opened: new resources and new versions of known ones.
    pub resources_opened: u64,
    /// Versions closed: replaced or gone.
    pub resources_closed: u64,
    /// Resources that are new, changed or gone.
    pub resources_changed: u64,
    /// Sessions that were not there before.
    pub sessions_written: u64,
    /// Gaps noted.
    pub gaps: u64,
}

impl std::ops::AddAssign for SaveCounts {
    fn add_assign(&mut self, other: Self) {
        self.documents_written += other.documents_written;
        self.resources_opened += other.resources_opened;
        self.resources_closed += other.resources_closed;
        self.resources_changed += other.resources_changed;
        self.sessions_written += other.sessions_written;
        self.gaps += other.gaps;
    }
}

/// An open snapshot: one transaction. Dropped without [`SnapshotWriter::commit`] it leaves nothing.
#[derive(Debug)]
pub struct SnapshotWriter {
    pub(crate) tx: Transaction<'static, Postgres>,
    pool: Pool,
    run: RunId,
    at: DateTime<Utc>,
    /// As [`Store::behind`] says.
    behind: Duration,
    partitions: BTreeSet<String>,
    counts: SaveCounts,
    /// What the run looked at so far.
    looked: Coverage,
    /// Scopes of earlier runs that this one did not come to yet.
    left: BTreeSet<Scope>,
    /// Resources of scopes that this run did not come to yet.
    unvisited: BTreeMap<Key, Scope>,
    /// Documents that this run wrote, as they were read.
    written: Documents,
    /// Of what date accounts were known before this run.
    dates: BTreeMap<String, Option<DateTime<Utc>>>,
    /// Accounts and kinds of which resources came or went.
    recounted: BTreeSet<(AccountId, Kind)>,
}

type Key = (AccountId, Kind, String);

/// What is kept of a scope.
#[derive(Clone, Copy)]
struct Before {
    by_this_run: bool,
    /// Whether a run before this one read it to its end.
    was_complete: bool,
}

struct Current {
    seen_from: i64,
    digest: Digest,
    region: Option<String>,
    cluster: Option<String>,
}

impl Store {
    /// Opens the snapshot of a run. One at a time: what two looks saw cannot be interleaved.
    ///
    /// # Errors
    /// [`Error::SnapshotBusy`] while another is open, [`Error::SnapshotOutdated`] after a later
    /// run's, [`Error::NoRun`] where the run is not running.
    pub async fn snapshot(&self, run: RunId) -> Result<SnapshotWriter, Error> {
        let mut tx = self.pool.begin().await?;
        // A snapshot that was just dropped may still be on its way out.
        sqlx::query!("select set_config('lock_timeout', '1s', true)").fetch_one(&mut *tx).await?;
        let last = sqlx::query_scalar!(
            "select value from counter where account_id = $1 and name = 'snapshot' for update",
            INSTALLATION
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(|why| {
            if error::has_code(&why, error::LOCK_NOT_AVAILABLE) { Error::SnapshotBusy } else { why.into() }
        })?;
        sqlx::query!("select set_config('lock_timeout', '0', true)").fetch_one(&mut *tx).await?;
        if last >= run.0 {
            tx.rollback().await?;
            return Err(Error::SnapshotOutdated { run });
        }
        sqlx::query!(r#"select pg_advisory_xact_lock($1) as "locked?: ()""#, life_key(run)).fetch_one(&mut *tx).await?;
        // Outside the transaction: others are to see that this run is collecting.
        let at = sqlx::query_scalar!(
            "update run set collecting_since = now() where account_id = $1 and id = $2 and state = 'running'
             returning started_at",
            INSTALLATION,
            run.0
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(Error::NoRun(run))?;
        let pool = self.pool.clone();
        Ok(SnapshotWriter {
            tx,
            pool,
            run,
            at,
            behind: self.behind,
            partitions: BTreeSet::new(),
            counts: SaveCounts::default(),
            looked: Coverage::default(),
            left: BTreeSet::new(),
            unvisited: BTreeMap::new(),
            written: Documents::default(),
            dates: BTreeMap::new(),
            recounted: BTreeSet::new(),
        })
    }
}

impl SnapshotWriter {
    /// Writes what differs from what is kept. May be called once for each account.
    ///
    /// # Errors
    /// Where the database fails; the snapshot must then be dropped.
    pub async fn save(&mut self, seen: &Observation) -> Result<SaveCounts, Error> {
        let seen = &*fits::kept(seen);
        let accounts = accounts_of(seen);
        let known = self.known(&accounts).await?;
        let scopes = self.scopes_before(&accounts).await?;
        let previous = self.bodies(&facts::partial(seen), &known).await?;
        let facts = facts::of(seen, &previous);

        let mut counts = SaveCounts { documents_written: self.documents(seen, &facts).await?, ..SaveCounts::default() };
        let mut opened: Vec<&Fact> = Vec::new();
        let mut closed: BTreeSet<Key> = BTreeSet::new();
        let mut seen_keys: HashSet<Key> = HashSet::with_capacity(facts.len());
        for fact in facts.values() {
            let key = fact.key();
            match known.get(&key) {
                Some(current) if current.digest == fact.digest => {}
                Some(_) => {
                    closed.insert(key.clone());
                    opened.push(fact);
                }
                None => opened.push(fact),
            }
            seen_keys.insert(key);
        }
        let gone = gone(seen, &known, &seen_keys, &scopes);
        counts.resources_opened = parse::count(i64::try_from(opened.len()).unwrap_or(i64::MAX));
        counts.resources_changed = counts.resources_opened + gone.len() as u64;
        let came = opened.iter().map(|fact| fact.key()).filter(|key| !known.contains_key(key));
        self.recounted.extend(came.chain(gone.iter().cloned()).map(|(account, kind, _)| (account, kind)));
        closed.extend(gone.iter().cloned());
        counts.resources_closed = closed.len() as u64;

        self.close(&closed, &known).await?;
        self.open(&opened).await?;
        self.last_used(seen, &gone).await?;
        self.dates_before(&accounts).await?;
        self.note_changed(seen, &opened, &gone, &known, &scopes).await?;
        self.date(seen, &accounts).await?;
        counts.gaps = self.coverage(&seen.coverage, &scopes).await?;
        self.forget_clusters(&gone).await?;
        self.mark(seen, &accounts, (&known, &previous), &seen_keys, &gone).await?;
        self.note_left(seen, &scopes, &gone);
        counts.sessions_written =
            sessions::write(&mut self.tx, &self.pool, &mut self.partitions, self.run, &seen.sessions).await?;
        self.counts += counts;
        Ok(counts)
    }

    /// What was written so far.
    #[must_use]
    pub fn counts(&self) -> SaveCounts {
        self.counts
    }

    /// The documents that were written so far and not taken yet: text for text what is kept.
    #[must_use]
    pub fn take_written(&mut self) -> Documents {
        std::mem::take(&mut self.written)
    }

    /// Makes everything saved visible at once.
    ///
    /// # Errors
    /// Where the database fails; then nothing is visible.
    pub async fn commit(mut self) -> Result<SaveCounts, Error> {
        self.unreached().await?;
        self.count().await?;
        sqlx::query!(
            "insert into owed_change (account_id, run_id)
             select $1, $2 where exists (select from changed_resource where run_id = $2)",
            INSTALLATION,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "update counter set value = $2 where account_id = $1 and name = 'snapshot'",
            INSTALLATION,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "update run set snapshot_at = clock_timestamp() - $3::interval where account_id = $1 and id = $2",
            INSTALLATION,
            self.run.0,
            interval(self.behind)
        )
        .execute(&mut *self.tx)
        .await?;
        self.tx.commit().await?;
        if self.counts.resources_changed >= ANALYZED_FROM {
            sqlx::query!("analyze resource, resource_count, document, coverage, coverage_state, coverage_gap")
                .execute(&self.pool)
                .await?;
        }
        Ok(self.counts)
    }

    /// Counts what there is now of the kinds of which resources came or went.
    async fn count(&mut self) -> Result<(), Error> {
        let (accounts, kinds): (Vec<String>, Vec<String>) =
            self.recounted.iter().map(|(account, kind)| (account.to_string(), kind.as_str().to_owned())).unzip();
        sqlx::query!(
            "insert into resource_count (account_id, kind, run_id, number)
             select w.account_id, w.kind, $3, (select count(*) from resource r where r.account_id = w.account_id
                                               and r.kind = w.kind and r.seen_to is null)
             from unnest($1::text[], $2::text[]) as w (account_id, kind)",
            &accounts,
            &kinds,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// What is kept, was not seen, and is proven gone.
fn gone(
    seen: &Observation,
    known: &HashMap<Key, Current>,
    seen_keys: &HashSet<Key>,
    before: &BTreeMap<Scope, Before>,
) -> BTreeSet<Key> {
    let proven =
        |scope: &Scope| seen.coverage.is_complete(scope) && before.get(scope).is_some_and(|before| before.was_complete);
    let missing = || known.iter().filter(|(key, _)| !seen_keys.contains(*key));
    let mut gone: BTreeSet<Key> = missing()
        .filter(|(key, row)| {
            key.1.scope(key.0, row.region.as_deref(), row.cluster.as_deref()).is_some_and(|scope| proven(&scope))
        })
        .map(|(key, _)| key.clone())
        .collect();
    // The associations of a cluster go with it: nobody can list them any more.
    let clusters: BTreeSet<(AccountId, String)> =
        gone.iter().filter(|key| key.1 == Kind::Cluster).map(|key| (key.0, key.2.clone())).collect();
    if !clusters.is_empty() {
        let orphans = missing().filter(|(key, row)| {
            let of = facts::cluster_key(row.region.as_deref().unwrap_or(""), row.cluster.as_deref().unwrap_or(""));
            key.1 == Kind::Association && clusters.contains(&(key.0, of))
        });
        gone.extend(orphans.map(|(key, _)| key.clone()));
    }
    gone
}

fn accounts_of(seen: &Observation) -> Vec<String> {
    let mut accounts: BTreeSet<AccountId> = facts::accounts(seen);
    accounts.extend(seen.coverage.scopes().map(|(scope, _)| scope.account_id));
    accounts.into_iter().map(|account| account.to_string()).collect()
}

fn columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut accounts, mut kinds, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (account, kind, key) in keys {
        accounts.push(account.to_string());
        kinds.push(kind.as_str().to_owned());
        names.push(key.clone());
    }
    (accounts, kinds, names)
}
