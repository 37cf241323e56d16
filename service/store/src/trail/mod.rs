//! Counting what CloudTrail tells: each event once, one transaction a batch.
//!
//! Knows which events and files were counted before, by their marks; the dictionaries that keep
//! rows narrow; and that one writer at a time counts for an account. What a batch changes becomes
//! visible as a whole or not at all, so whoever delivers may acknowledge after [`TrailBatch::commit`]
//! and deliver again after anything else. Refuses to know what an event means.
//!
//! An open day knows each event by its mark. A closed day ([`Store::close_days`]) knows its files
//! only: what comes for it in a file that was not read is counted as it comes.

pub(crate) mod attempts;
pub(crate) mod attribution;
mod callers;
mod change;
mod complete_range;
mod damage;
mod dictionary;
mod marks;
pub(crate) mod memory;
pub(crate) mod origin;
mod seen;
pub(crate) mod sessions;
mod source;
pub(crate) mod usage;
mod write;

pub use change::{ChangeEventAfter, ChangeEventFilter};
pub use damage::Damage;
pub use seen::FileMark;
pub use source::{SourceReport, SourceRow, SourceState, TrailCursor, TrailProblem};
pub use write::{BatchCounts, DayCounts};

use crate::pool::Pool;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use dictionary::Names;
use rolecall_iam::AccountId;
use seen::Segments;
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Opens batches, one after the other, and remembers between them what cannot change: the numbers
/// of texts and the marks of written sets.
#[derive(Debug)]
pub struct TrailWriter {
    pool: Pool,
    names: Names,
    segments: Segments,
    partitions: BTreeSet<String>,
}

/// One open batch: a transaction that holds the row of each account that it counts for. Dropped
/// without [`TrailBatch::commit`] it leaves nothing.
#[derive(Debug)]
pub struct TrailBatch<'b> {
    book: &'b mut TrailWriter,
    pub(crate) tx: Transaction<'static, Postgres>,
    /// The numbers given so far.
    accounts: BTreeMap<AccountId, Given>,
    pending: PendingCommit,
}

/// What becomes true with the commit.
#[derive(Debug, Default)]
struct PendingCommit {
    names: Vec<(AccountId, String, i32)>,
    partitions: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Given {
    names: i32,
    principals: i32,
    changed: bool,
}

impl Store {
    /// A writer of trail batches.
    #[must_use]
    pub fn trail_writer(&self) -> TrailWriter {
        TrailWriter {
            pool: self.pool.clone(),
            names: Names::default(),
            segments: Segments::default(),
            partitions: BTreeSet::new(),
        }
    }
}

impl TrailWriter {
    /// Begins a batch that counts for these accounts, when nobody else does.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn open(&mut self, accounts: &BTreeSet<AccountId>) -> Result<TrailBatch<'_>, Error> {
        let mut tx = self.pool.begin().await?;
        let mut given = BTreeMap::new();
        // In one order, so that two writers never wait for each other; one statement an account, so
        // that each lock is a matter of one machine.
        for account in accounts {
            let id = account.to_string();
            sqlx::query!("insert into trail_account (account_id) values ($1) on conflict do nothing", id)
                .execute(&mut *tx)
                .await?;
            let row = sqlx::query!("select names, principals from trail_account where account_id = $1 for update", id)
                .fetch_one(&mut *tx)
                .await?;
            given.insert(*account, Given { names: row.names, principals: row.principals, changed: false });
        }
        Ok(TrailBatch { book: self, tx, accounts: given, pending: PendingCommit::default() })
    }
}

impl TrailBatch<'_> {
    /// Makes the batch visible as a whole.
    ///
    /// # Errors
    /// Where the database fails; then nothing of it is.
    pub async fn commit(mut self) -> Result<(), Error> {
        for (account, given) in &self.accounts {
            if given.changed {
                sqlx::query!(
                    "update trail_account set names = $2, principals = $3 where account_id = $1",
                    account.to_string(),
                    given.names,
                    given.principals
                )
                .execute(&mut *self.tx)
                .await?;
            }
        }
        self.tx.commit().await?;
        for (account, text, id) in self.pending.names {
            self.book.names.know(account, text, id);
        }
        self.book.partitions.extend(self.pending.partitions);
        Ok(())
    }
}

impl Store {
    /// Closes the days to which nothing was added since a moment: their events' marks are dropped,
    /// those of their files stay. Says how many days that were.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn close_days(&self, idle_since: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Error> {
        let due = sqlx::query!(
            "select account_id, region, day from trail_day where closed_at is null and last_written_at < $1
             order by account_id, region, day",
            idle_since
        )
        .fetch_all(&self.pool)
        .await?;
        let mut closed = 0;
        for row in due {
            let mut tx = self.pool.begin().await?;
            sqlx::query!("select names from trail_account where account_id = $1 for update", row.account_id)
                .fetch_optional(&mut *tx)
                .await?;
            let done = sqlx::query!(
                "update trail_day set closed_at = $5
                 where account_id = $1 and region = $2 and day = $3 and closed_at is null and last_written_at < $4",
                row.account_id,
                row.region,
                row.day,
                idle_since,
                now
            )
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() > 0 {
                sqlx::query!(
                    "delete from trail_seen where account_id = $1 and region = $2 and day = $3 and kind = 'event'",
                    row.account_id,
                    row.region,
                    row.day
                )
                .execute(&mut *tx)
                .await?;
                closed += 1;
            }
            tx.commit().await?;
        }
        Ok(closed)
    }

    /// Rolls up what access keys did that were last used before a moment into their roles and
    /// associations, and says how many keys that were. What they did is kept by day; which session
    /// did it is not.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn roll_up_access_keys(
        &self,
        attributed_before: DateTime<Utc>,
        unattributed_before: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let accounts = sqlx::query_scalar!(
            "select distinct account_id from trail_principal
             where access_key_id <> '' and last_at < case when association_id = '' then $2::timestamptz else $1::timestamptz end order by 1",
            attributed_before,
            unattributed_before
        )
        .fetch_all(&self.pool)
        .await?;
        let mut folded = 0;
        for account in accounts {
            folded += self.roll_up_account(&account, attributed_before, unattributed_before).await?;
        }
        Ok(folded)
    }

    async fn roll_up_account(
        &self,
        account: &str,
        attributed_before: DateTime<Utc>,
        unattributed_before: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let mut tx = self.pool.begin().await?;
        let given =
            sqlx::query_scalar!("select principals from trail_account where account_id = $1 for update", account)
                .fetch_one(&mut *tx)
                .await?;
        let old = sqlx::query!(
            "select id, role, association_id from trail_principal
             where account_id = $1 and access_key_id <> ''
               and last_at < case when association_id = '' then $3::timestamptz else $2::timestamptz end
             order by id",
            account,
            attributed_before,
            unattributed_before
        )
        .fetch_all(&mut *tx)
        .await?;
        if old.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let known = sqlx::query!(
            "select id, role, association_id from trail_principal where account_id = $1 and access_key_id = ''",
            account
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut into: BTreeMap<(i32, String), i32> =
            known.into_iter().map(|row| ((row.role, row.association_id), row.id)).collect();
        let mut next = given;
        let (mut from, mut to): (Vec<i32>, Vec<i32>) = (Vec::new(), Vec::new());
        for row in &old {
            let target = into.entry((row.role, row.association_id.clone())).or_insert_with(|| {
                next += 1;
                next
            });
            from.push(row.id);
            to.push(*target);
        }
        sqlx::query!(
            "insert into trail_principal as p (account_id, id, role, access_key_id, association_id, first_at, last_at,
                                               calls, errors, denied, networks, source)
             select $1, w.into_id, o.role, '', o.association_id, min(o.first_at), max(o.last_at), sum(o.calls)::bigint,
                    sum(o.errors)::bigint, sum(o.denied)::bigint, bit_or(o.networks), min(o.source)
             from unnest($2::int[], $3::int[]) as w (id, into_id)
             join trail_principal o on o.account_id = $1 and o.id = w.id
             group by w.into_id, o.role, o.association_id
             on conflict (account_id, id) do update set
                 first_at = least(p.first_at, excluded.first_at), last_at = greatest(p.last_at, excluded.last_at),
                 calls = p.calls + excluded.calls, errors = p.errors + excluded.errors,
                 denied = p.denied + excluded.denied, networks = p.networks | excluded.networks,
                 source = least(p.source, excluded.source)",
            account,
            &from,
            &to
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "with moved as (
                 delete from trail_use u using unnest($2::int[], $3::int[]) as w (id, into_id)
                 where u.account_id = $1 and u.principal = w.id
                 returning u.first_at, u.last_at, u.calls, u.errors, u.denied, u.day, w.into_id, u.action, u.shape)
             insert into trail_use as t (first_at, last_at, calls, errors, denied, day, principal, action, shape, account_id)
             select min(first_at), max(last_at), sum(calls)::bigint, sum(errors)::bigint, sum(denied)::bigint, day, into_id, action, shape, $1
             from moved group by day, into_id, action, shape
             on conflict (account_id, principal, action, shape, day) do update set
                 first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
                 calls = t.calls + excluded.calls, errors = t.errors + excluded.errors,
                 denied = t.denied + excluded.denied",
            account,
            &from,
            &to
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "with moved as (
                 delete from trail_origin o using unnest($2::int[], $3::int[]) as w (id, into_id)
                 where o.account_id = $1 and o.principal = w.id
                 returning w.into_id, o.region, o.network, o.endpoint, o.agent, o.is_rest, o.first_at, o.last_at,
                           o.action, o.source)
             insert into trail_origin as o (account_id, principal, region, network, endpoint, agent, is_rest, first_at,
                                            last_at, action, source)
             select $1, into_id, region, network, endpoint, agent, is_rest, min(first_at), max(last_at),
                    (array_agg(action order by first_at, action))[1], min(source)
             from moved group by into_id, region, network, endpoint, agent, is_rest
             on conflict (account_id, principal, region, network, endpoint, agent, is_rest) do update set
                 first_at = least(o.first_at, excluded.first_at), last_at = greatest(o.last_at, excluded.last_at),
                 action = case when (excluded.first_at, excluded.action) < (o.first_at, o.action)
                               then excluded.action else o.action end,
                 source = least(o.source, excluded.source)",
            account,
            &from,
            &to
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from trail_principal where account_id = $1 and id = any($2)", account, &from)
            .execute(&mut *tx)
            .await?;
        sqlx::query!("update trail_account set principals = $2 where account_id = $1", account, next)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(parse::count(i64::try_from(from.len()).unwrap_or(i64::MAX)))
    }
}
