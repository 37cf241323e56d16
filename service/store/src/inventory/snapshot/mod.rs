//! Writing what was seen: one transaction for a whole run, nothing written for what did not change.
//!
//! Knows intervals: a version opens when first seen, and closes when another version is seen or
//! when its scope was read to its end without it, now and at least once before. Refuses to close
//! anything on a look that had gaps. What a look should have shown and did not show, and what it did
//! not come to, is marked as unconfirmed until it is seen again.

mod facts;
mod fits;
mod unconfirmed;

use crate::pool::Pool;
use crate::trail::sessions;
use crate::work::jobs::interval;
use crate::work::runs::{RunId, life_key};
use crate::{Error, INSTALLATION, Store, error, parse};
use chrono::{DateTime, NaiveDate, Utc};
use facts::{Fact, Kind};
use rolecall_estate::coverage::{Coverage, Gap, Scope, ScopeKind};
use rolecall_estate::{Documents, Observation};
use rolecall_iam::{AccountId, Digest};
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

pub(crate) use facts::Kind as ResourceKind;
pub(crate) use unconfirmed::marks_beside;

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
        Ok(self.counts)
    }

    async fn known(&mut self, accounts: &[String]) -> Result<HashMap<Key, Current>, Error> {
        let rows = sqlx::query!(
            "select account_id, kind, key, seen_from, digest, region, cluster from resource
             where account_id = any($1) and seen_to is null",
            accounts
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            let key = (parse::account("resource", &row.account_id)?, Kind::read(&row.kind)?, row.key);
            let digest = parse::digest("resource", &key.2, &row.digest)?;
            let current = Current { seen_from: row.seen_from, digest, region: row.region, cluster: row.cluster };
            known.insert(key, current);
        }
        Ok(known)
    }

    /// Every scope that is kept of some accounts.
    async fn scopes_before(&mut self, accounts: &[String]) -> Result<BTreeMap<Scope, Before>, Error> {
        let rows = sqlx::query!(
            "select account_id, scope, region, cluster, last_run, last_complete_run from coverage
             where account_id = any($1)",
            accounts
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let run = self.run.0;
        let each = rows.into_iter().map(|row| {
            let scope = crate::inventory::coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
            let before = Before {
                by_this_run: row.last_run == run,
                was_complete: row.last_complete_run.is_some_and(|complete| complete < run),
            };
            Ok((scope, before))
        });
        each.collect()
    }

    /// The kept bodies of those resources of which this look saw only a part.
    async fn bodies(
        &mut self,
        partial: &[Key],
        known: &HashMap<Key, Current>,
    ) -> Result<HashMap<Key, serde_json::Value>, Error> {
        let wanted: Vec<&Key> = partial.iter().filter(|key| known.contains_key(*key)).collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let (accounts, kinds, keys) = columns(wanted.iter().copied());
        let rows = sqlx::query!(
            "select r.account_id, r.kind, r.key, r.body
             from unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             join resource r on r.account_id = w.account_id and r.kind = w.kind and r.key = w.key and r.seen_to is null",
            &accounts,
            &kinds,
            &keys
        )
        .fetch_all(&mut *self.tx)
        .await?;
        rows.into_iter()
            .map(|row| {
                let key = (parse::account("resource", &row.account_id)?, Kind::read(&row.kind)?, row.key);
                Ok((key, row.body))
            })
            .collect()
    }

    /// Sends only the texts that are not there: on an unchanged estate, none.
    async fn documents(&mut self, seen: &Observation, facts: &BTreeMap<Key, Fact>) -> Result<u64, Error> {
        let named: BTreeSet<(AccountId, Digest)> =
            facts.values().flat_map(|fact| fact.documents.iter().map(|digest| (fact.account, *digest))).collect();
        if named.is_empty() {
            return Ok(0);
        }
        let accounts: Vec<String> = named.iter().map(|(account, _)| account.to_string()).collect();
        let digests: Vec<Vec<u8>> = named.iter().map(|(_, digest)| digest.as_bytes().to_vec()).collect();
        let missing = sqlx::query!(
            r#"select w.account_id as "account_id!", w.digest as "digest!"
               from unnest($1::text[], $2::bytea[]) as w (account_id, digest)
               where not exists (select from document d where d.account_id = w.account_id and d.digest = w.digest)"#,
            &accounts,
            &digests
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let (mut accounts, mut digests, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for row in missing {
            let digest = parse::digest("document", &row.account_id, &row.digest)?;
            // A digest without its text stays a name: what needs the text is unknown, not wrong.
            if let Some(document) = seen.documents.get(&digest) {
                accounts.push(row.account_id);
                digests.push(row.digest);
                texts.push(parse::storable_document(&document.text));
                self.written.add(document.clone());
            }
        }
        if accounts.is_empty() {
            return Ok(0);
        }
        let done = sqlx::query!(
            "insert into document (account_id, digest, text, first_run)
             select w.account_id, w.digest, w.text, $4
             from unnest($1::text[], $2::bytea[], $3::text[]) as w (account_id, digest, text)
             on conflict (account_id, digest) do nothing",
            &accounts,
            &digests,
            &texts,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }

    async fn close(&mut self, closed: &BTreeSet<Key>, known: &HashMap<Key, Current>) -> Result<(), Error> {
        if closed.is_empty() {
            return Ok(());
        }
        // What this same run opened has no interval yet: it is taken back.
        let is_new = |key: &&Key| known.get(*key).is_some_and(|current| current.seen_from == self.run.0);
        let (new, old): (Vec<&Key>, Vec<&Key>) = closed.iter().partition(is_new);
        let (accounts, kinds, keys) = columns(old.into_iter());
        sqlx::query!(
            "update resource r set seen_to = $4
             from unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             where r.account_id = w.account_id and r.kind = w.kind and r.key = w.key and r.seen_to is null",
            &accounts,
            &kinds,
            &keys,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        if new.is_empty() {
            return Ok(());
        }
        let (accounts, kinds, keys) = columns(new.into_iter());
        sqlx::query!(
            "delete from resource r
             using unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             where r.account_id = w.account_id and r.kind = w.kind and r.key = w.key and r.seen_from = $4",
            &accounts,
            &kinds,
            &keys,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn open(&mut self, facts: &[&Fact]) -> Result<(), Error> {
        if facts.is_empty() {
            return Ok(());
        }
        fn column<'a, T>(facts: &[&'a Fact], of: impl Fn(&'a Fact) -> T) -> Vec<T> {
            facts.iter().map(|fact| of(fact)).collect()
        }
        let (accounts, kinds, keys) = (
            column(facts, |f| f.account.to_string()),
            column(facts, |f| f.kind.as_str().to_owned()),
            column(facts, |f| f.name_key.clone()),
        );
        let digests = column(facts, |f| f.digest.as_bytes().to_vec());
        let bodies = column(facts, |f| f.body.clone());
        let (names, regions) = (
            column(facts, |f| f.name.as_deref().map(parse::storable)),
            column(facts, |f| f.region.as_deref().map(parse::storable)),
        );
        let (clusters, namespaces) = (
            column(facts, |f| f.cluster.as_deref().map(parse::storable)),
            column(facts, |f| f.namespace.as_deref().map(parse::storable)),
        );
        let service_accounts = column(facts, |f| f.service_account.as_deref().map(parse::storable));
        let (roles, targets) = (
            column(facts, |f| f.role_arn.as_deref().map(parse::storable)),
            column(facts, |f| f.target_role_arn.as_deref().map(parse::storable)),
        );
        sqlx::query!(
            "insert into resource (account_id, kind, key, seen_from, digest, body, name, region, cluster, namespace,
                                   service_account, role_arn, target_role_arn)
             select w.account_id, w.kind, w.key, $13, w.digest, w.body::jsonb, w.name, w.region, w.cluster, w.namespace,
                    w.service_account, w.role_arn, w.target_role_arn
             from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
                  as w (account_id, kind, key, digest, body, name, region, cluster, namespace, service_account,
                        role_arn, target_role_arn)",
            &accounts,
            &kinds,
            &keys,
            &digests,
            &bodies,
            &names as &[Option<String>],
            &regions as &[Option<String>],
            &clusters as &[Option<String>],
            &namespaces as &[Option<String>],
            &service_accounts as &[Option<String>],
            &roles as &[Option<String>],
            &targets as &[Option<String>],
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn last_used(&mut self, seen: &Observation, gone: &BTreeSet<Key>) -> Result<(), Error> {
        // By the name that is kept, so that no name is written twice.
        let latest: BTreeMap<String, _> =
            seen.last_used.iter().map(|used| (parse::storable(used.role.as_str()), used)).collect();
        if !latest.is_empty() {
            let accounts: Vec<String> = latest.values().map(|used| used.role.account_id().to_string()).collect();
            let roles: Vec<String> = latest.keys().cloned().collect();
            let times: Vec<DateTime<Utc>> = latest.values().map(|used| used.at).collect();
            let regions: Vec<Option<String>> =
                latest.values().map(|used| used.region.as_deref().map(parse::storable)).collect();
            sqlx::query!(
                "insert into role_last_used (account_id, role_arn, at, region)
                 select w.account_id, w.role_arn, w.at, w.region
                 from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) as w (account_id, role_arn, at, region)
                 on conflict (account_id, role_arn) do update set at = excluded.at, region = excluded.region
                 where role_last_used.at <> excluded.at or role_last_used.region is distinct from excluded.region",
                &accounts,
                &roles,
                &times,
                &regions as &[Option<String>]
            )
            .execute(&mut *self.tx)
            .await?;
        }
        // A listing that names a role without a last use says: not used in 400 days. One that was cut
        // off says so only where it tells of last uses at all.
        let tells: BTreeSet<AccountId> = latest.values().map(|used| used.role.account_id()).collect();
        let unused = seen.roles.iter().filter(|role| {
            let account = role.arn.account_id();
            !latest.contains_key(&parse::storable(role.arn.as_str()))
                && (tells.contains(&account) || seen.coverage.is_complete(&Scope::global(account, ScopeKind::Roles)))
        });
        let mut none: Vec<(String, String)> =
            unused.map(|role| (role.arn.account_id().to_string(), parse::storable(role.arn.as_str()))).collect();
        none.extend(
            gone.iter().filter(|key| key.1 == Kind::Role).map(|(account, _, key)| (account.to_string(), key.clone())),
        );
        let (accounts, roles): (Vec<String>, Vec<String>) = none.into_iter().unzip();
        sqlx::query!(
            "delete from role_last_used u using unnest($1::text[], $2::text[]) as w (account_id, role_arn)
             where u.account_id = w.account_id and u.role_arn = w.role_arn",
            &accounts,
            &roles
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Notes what this run changed: new versions of what was known, what is gone, and what is new where an
    /// earlier run had listed everything. What is seen first where nobody looked before is no change.
    async fn note_changed(
        &mut self,
        seen: &Observation,
        opened: &[&Fact],
        gone: &BTreeSet<Key>,
        known: &HashMap<Key, Current>,
        before: &BTreeMap<Scope, Before>,
    ) -> Result<(), Error> {
        let was_complete = |scope: &Scope| before.get(scope).is_some_and(|before| before.was_complete);
        let mut changed: Vec<(Key, Option<String>, Option<String>, bool)> = Vec::new();
        let mut new_accounts: Vec<&Fact> = Vec::new();
        for fact in opened {
            let (key, region, cluster) = (fact.key(), fact.region.clone(), fact.cluster.clone());
            if known.get(&key).is_some_and(|current| current.seen_from != self.run.0) {
                changed.push((key, region, cluster, true));
                continue;
            }
            if fact.kind == Kind::Account {
                new_accounts.push(fact);
                continue;
            }
            let scope = fact.kind.scope(fact.account, region.as_deref(), cluster.as_deref());
            // A cluster that is new had no associations, where all clusters were listed.
            let listed = scope.is_some_and(|scope| {
                was_complete(&scope)
                    || (fact.kind == Kind::Association
                        && !before.contains_key(&scope)
                        && region.as_deref().and_then(|region| region.parse().ok()).is_some_and(|region| {
                            was_complete(&Scope::regional(fact.account, ScopeKind::Clusters, region))
                        }))
            });
            if listed {
                changed.push((key, region, cluster, true));
            }
        }
        if !new_accounts.is_empty() && self.organization_was_listed().await? {
            changed.extend(new_accounts.into_iter().map(|fact| (fact.key(), None, None, true)));
        }
        let was_there = |key: &&Key| known.get(*key).is_some_and(|current| current.seen_from != self.run.0);
        changed.extend(gone.iter().filter(was_there).map(|key| {
            let row = known.get(key);
            (key.clone(), row.and_then(|row| row.region.clone()), row.and_then(|row| row.cluster.clone()), true)
        }));
        if changed.is_empty() {
            return Ok(());
        }
        let asked: Vec<String> = changed.iter().map(|(key, ..)| key.0.to_string()).collect();
        let since: Vec<Option<DateTime<Utc>>> =
            asked.iter().map(|account| self.dates.get(account).copied().flatten()).collect();
        let (accounts, kinds, keys) = columns(changed.iter().map(|(key, ..)| key));
        let regions: Vec<String> = changed.iter().map(|(_, region, ..)| region.clone().unwrap_or_default()).collect();
        let clusters: Vec<String> = changed.iter().map(|(_, _, it, _)| it.clone().unwrap_or_default()).collect();
        let listed: Vec<bool> = changed.iter().map(|(.., listed)| *listed).collect();
        sqlx::query!(
            "insert into changed_resource (account_id, run_id, kind, key, region, cluster, listed_before, since, until)
             select w.account_id, $8, w.kind, w.key, w.region, w.cluster, w.listed_before, w.since,
                    case when $9::timestamptz > coalesce(w.since, '-infinity') then $9
                         else clock_timestamp() - $10::interval end
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::timestamptz[])
                  as w (account_id, kind, key, region, cluster, listed_before, since)
             on conflict (account_id, run_id, kind, key) do nothing",
            &accounts,
            &kinds,
            &keys,
            &regions,
            &clusters,
            &listed,
            &since as &[Option<DateTime<Utc>>],
            self.run.0,
            seen.as_of,
            interval(self.behind)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Whether a run before this one read the organization's accounts to their end.
    async fn organization_was_listed(&mut self) -> Result<bool, Error> {
        let listed = sqlx::query_scalar!(
            r#"select exists (select from coverage where scope = 'organization' and last_complete_run < $1) as "it!""#,
            self.run.0
        )
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(listed)
    }

    /// Notes of what date accounts are known, before this run says another.
    async fn dates_before(&mut self, accounts: &[String]) -> Result<(), Error> {
        let unknown: Vec<String> =
            accounts.iter().filter(|account| !self.dates.contains_key(*account)).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!("select account_id, at from account_date where account_id = any($1)", &unknown)
            .fetch_all(&mut *self.tx)
            .await?;
        self.dates.extend(unknown.into_iter().map(|account| (account, None)));
        self.dates.extend(rows.into_iter().map(|row| (row.account_id, Some(row.at))));
        Ok(())
    }

    /// Keeps of what date the accounts are. It never goes back: an older file tells nothing of how old
    /// a newer one is.
    async fn date(&mut self, seen: &Observation, accounts: &[String]) -> Result<(), Error> {
        let dated: Vec<String> = match seen.as_of {
            Some(_) => accounts.to_vec(),
            // An account that could not be entered is as old as it was.
            None => {
                let complete = seen.coverage.scopes().filter(|(_, gaps)| gaps.is_empty());
                let complete: BTreeSet<AccountId> = complete.map(|(scope, _)| scope.account_id).collect();
                complete.iter().map(ToString::to_string).collect()
            }
        };
        if dated.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into account_date as d (account_id, at)
             select w.account_id, $2 from unnest($1::text[]) as w (account_id)
             on conflict (account_id) do update set at = excluded.at where d.at < excluded.at",
            &dated,
            seen.as_of.unwrap_or(self.at)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Writes how far scopes were read. What a source does not hold is no look: the latest one stays.
    async fn coverage(&mut self, seen: &Coverage, before: &BTreeMap<Scope, Before>) -> Result<u64, Error> {
        let told = |scope: &Scope, gaps: &[Gap]| facts::speaks(gaps) || !before.contains_key(scope);
        let scopes: Vec<_> = seen.scopes().filter(|(scope, gaps)| told(scope, gaps)).collect();
        let part = |of: &dyn Fn(&Scope) -> String| scopes.iter().map(|(scope, _)| of(scope)).collect::<Vec<String>>();
        let complete: Vec<bool> = scopes.iter().map(|(_, gaps)| gaps.is_empty()).collect();
        sqlx::query!(
            "insert into coverage as c (account_id, scope, region, cluster, last_run, last_at, complete,
                                        last_complete_run, last_complete_at)
             select w.account_id, w.scope, w.region, w.cluster, $6::bigint, $7::timestamptz, w.complete,
                    case when w.complete then $6::bigint end, case when w.complete then $7::timestamptz end
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
                  as w (account_id, scope, region, cluster, complete)
             on conflict (account_id, scope, region, cluster) do update set
                 last_run = excluded.last_run,
                 last_at = excluded.last_at,
                 complete = excluded.complete and (c.complete or c.last_run <> excluded.last_run),
                 last_complete_run = coalesce(excluded.last_complete_run, c.last_complete_run),
                 last_complete_at = coalesce(excluded.last_complete_at, c.last_complete_at)",
            &part(&|scope| scope.account_id.to_string()),
            &part(&|scope| scope.kind.as_str().to_owned()),
            &part(&|scope| scope.region.as_ref().map(ToString::to_string).unwrap_or_default()),
            &part(&|scope| scope.cluster.as_ref().map(ToString::to_string).unwrap_or_default()),
            &complete,
            self.run.0,
            self.at
        )
        .execute(&mut *self.tx)
        .await?;

        let gaps: Vec<_> = scopes.iter().flat_map(|(_, gaps)| gaps.iter()).collect();
        if !gaps.is_empty() {
            let part = |of: &dyn Fn(&Scope) -> String| gaps.iter().map(|gap| of(&gap.scope)).collect::<Vec<String>>();
            let ids: Vec<Uuid> = gaps.iter().map(|_| Uuid::now_v7()).collect();
            let actions: Vec<String> = gaps.iter().map(|gap| parse::storable(&gap.action)).collect();
            let reasons: Vec<String> = gaps.iter().map(|gap| gap.reason.as_str().to_owned()).collect();
            let details: Vec<String> = gaps.iter().map(|gap| parse::storable(&gap.detail)).collect();
            let days: Vec<Option<NaiveDate>> = gaps.iter().map(|gap| gap.day).collect();
            sqlx::query!(
                "insert into coverage_gap (account_id, run_id, id, scope, region, cluster, action, reason, detail, day)
                 select w.account_id, $9, w.id, w.scope, w.region, w.cluster, w.action, w.reason, w.detail, w.day
                 from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                             $10::date[])
                      as w (account_id, id, scope, region, cluster, action, reason, detail, day)
                 where not exists (
                     select from coverage_gap g
                     where g.account_id = w.account_id and g.run_id = $9 and g.scope = w.scope and g.region = w.region
                       and g.cluster = w.cluster and g.action = w.action and g.reason = w.reason
                       and g.detail = w.detail and g.day is not distinct from w.day)",
                &part(&|scope| scope.account_id.to_string()),
                &ids,
                &part(&|scope| scope.kind.as_str().to_owned()),
                &part(&|scope| scope.region.as_ref().map(ToString::to_string).unwrap_or_default()),
                &part(&|scope| scope.cluster.as_ref().map(ToString::to_string).unwrap_or_default()),
                &actions,
                &reasons,
                &details,
                self.run.0,
                &days as &[Option<NaiveDate>]
            )
            .execute(&mut *self.tx)
            .await?;
        }

        Ok(gaps.len() as u64)
    }

    /// A cluster that is gone has nothing left to look at; its scopes must not stay as gaps.
    async fn forget_clusters(&mut self, gone: &BTreeSet<Key>) -> Result<(), Error> {
        let clusters: Vec<&Key> = gone.iter().filter(|key| key.1 == Kind::Cluster).collect();
        if clusters.is_empty() {
            return Ok(());
        }
        let accounts: Vec<String> = clusters.iter().map(|key| key.0.to_string()).collect();
        let keys: Vec<String> = clusters.iter().map(|key| key.2.clone()).collect();
        sqlx::query!(
            "delete from coverage c using unnest($1::text[], $2::text[]) as w (account_id, key)
             where c.account_id = w.account_id and c.cluster <> '' and c.region || '/' || c.cluster = w.key",
            &accounts,
            &keys
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
