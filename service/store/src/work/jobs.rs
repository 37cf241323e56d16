//! Jobs, schedule slots and leases: any number of replicas share the work.
//!
//! Knows who holds what until when, by the database's clock, which all replicas share. Refuses to
//! know what a job does.

use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::types::PgInterval;
use std::time::Duration;
use uuid::Uuid;

/// A moment so much later than the database's clock is still to come, and none of ours.
const AHEAD: Duration = Duration::from_secs(60);

/// What was noted while the database's clock ran ahead, and was taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// Slots that are still to come.
    pub slots: u64,
    /// Jobs that waited for a moment far off.
    pub jobs: u64,
    /// Leases that reached too far.
    pub leases: u64,
}

/// A job to be done.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What kind of work.
    pub kind: String,
    /// At most one job of a kind and key waits or runs at a time.
    pub dedupe_key: String,
    /// The work's input.
    pub payload: serde_json::Value,
    /// Greater goes first.
    pub priority: i32,
    /// So long from now, and not before.
    pub delay: Duration,
    /// After so many tries it has failed.
    pub max_attempts: u16,
}

rolecall_iam::vocabulary! {
    /// Where a job stands.
    pub enum JobState: "a state of a job" {
        /// Waits.
        Queued = "queued",
        /// Somebody is on it.
        Running = "running",
        /// Done.
        Done = "done",
        /// Tried as often as it may be.
        Failed = "failed",
    }
}

/// A job as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Identity.
    pub id: Uuid,
    /// What kind of work.
    pub kind: String,
    /// At most one of a kind and key waits or runs at a time.
    pub dedupe_key: String,
    /// The work's input.
    pub payload: serde_json::Value,
    /// Which try this is; with `owner` it says whether a result still counts.
    pub attempt: u16,
    /// Tries allowed.
    pub max_attempts: u16,
    /// Where it stands.
    pub state: JobState,
    /// Who is on it.
    pub owner: Option<String>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// Enqueued.
    pub created_at: DateTime<Utc>,
    /// The last try began.
    pub started_at: Option<DateTime<Utc>>,
    /// Ended.
    pub finished_at: Option<DateTime<Utc>>,
}

struct Record {
    id: Uuid,
    kind: String,
    dedupe_key: String,
    payload: serde_json::Value,
    attempts: i32,
    max_attempts: i32,
    state: String,
    lease_owner: Option<String>,
    error: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Record {
    fn into_job(self) -> Result<Job, Error> {
        Ok(Job {
            id: self.id,
            state: parse::text("job", &self.id, &self.state)?,
            kind: self.kind,
            dedupe_key: self.dedupe_key,
            payload: self.payload,
            attempt: u16::try_from(self.attempts).unwrap_or(u16::MAX),
            max_attempts: u16::try_from(self.max_attempts).unwrap_or(u16::MAX),
            owner: self.lease_owner,
            error: self.error,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

pub(crate) fn interval(length: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(length.as_micros()).unwrap_or(i64::MAX) }
}

impl Store {
    /// What the database's clock tells, less what [`Store::behind`] says.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn now(&self) -> Result<DateTime<Utc>, Error> {
        let asked = sqlx::query_scalar!(r#"select clock_timestamp() - $1::interval as "now!""#, interval(self.behind));
        Ok(asked.fetch_one(&self.pool).await?)
    }

    /// Takes back what was noted while the database's clock ran ahead: slots that are still to come,
    /// jobs that wait for longer than any is put off, and leases that reach further than any is given
    /// for. Such a lease is shortened: who lives renews it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn take_back(&self, longest_delay: Duration, lease: Duration) -> Result<TakenBack, Error> {
        let slots = sqlx::query!(
            "delete from schedule_slot where account_id = $1 and slot > now() + $2",
            INSTALLATION,
            interval(AHEAD)
        )
        .execute(&self.pool)
        .await?;
        let jobs = sqlx::query!(
            "update job set run_at = now() where account_id = $1 and state = 'queued' and run_at > now() + $2",
            INSTALLATION,
            interval(longest_delay.saturating_add(AHEAD))
        )
        .execute(&self.pool)
        .await?;
        let of_jobs = sqlx::query!(
            "update job set lease_until = now() + $2
             where account_id = $1 and state = 'running' and lease_until > now() + $3",
            INSTALLATION,
            interval(lease),
            interval(lease.saturating_add(AHEAD))
        )
        .execute(&self.pool)
        .await?;
        let of_runs = sqlx::query!(
            "update run set lease_until = now() + $2
             where account_id = $1 and state = 'running' and lease_until > now() + $3",
            INSTALLATION,
            interval(lease),
            interval(lease.saturating_add(AHEAD))
        )
        .execute(&self.pool)
        .await?;
        Ok(TakenBack {
            slots: slots.rows_affected(),
            jobs: jobs.rows_affected(),
            leases: of_jobs.rows_affected() + of_runs.rows_affected(),
        })
    }

    /// Claims a slot of a schedule and enqueues its job, once in the whole fleet. `None` where
    /// another replica was first, where the job of an earlier slot still waits or runs, or where the
    /// slot is still to come.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn claim_slot(&self, schedule: &str, slot: DateTime<Utc>, job: &NewJob) -> Result<Option<Uuid>, Error> {
        let mut tx = self.pool.begin().await?;
        let claimed = sqlx::query!(
            "insert into schedule_slot (account_id, name, slot, claimed_at)
             select $1, $2, $3, now() where $3 <= now() + $4
             on conflict (account_id, name, slot) do nothing",
            INSTALLATION,
            schedule,
            slot,
            interval(AHEAD)
        )
        .execute(&mut *tx)
        .await?;
        if claimed.rows_affected() == 0 {
            return Ok(None);
        }
        let id = insert_job(&mut tx, job).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The newest slot of a schedule that anybody claimed. One that is still to come is none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn last_slot(&self, schedule: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let slot = sqlx::query_scalar!(
            "select max(slot) from schedule_slot where account_id = $1 and name = $2 and slot <= now() + $3",
            INSTALLATION,
            schedule,
            interval(AHEAD)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(slot)
    }

    /// Enqueues a job; `None` where one of its kind and key already waits or runs.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn enqueue(&self, job: &NewJob) -> Result<Option<Uuid>, Error> {
        let mut connection = self.pool.acquire().await?;
        insert_job(&mut connection, job).await
    }

    /// Enqueues a scan that somebody asks for; `None` where one already waits or runs.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn start_scan(&self, job: &NewJob) -> Result<Option<Uuid>, Error> {
        let mut tx = self.pool.begin().await?;
        let id = insert_job(&mut tx, job).await?;
        if let Some(id) = id {
            let act = NewAuditEntry::done(AuditAction::ScanStart, id.to_string(), json!({ "job": job.kind }));
            append(&mut tx, &self.actor, &[act]).await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// Takes the next due job of these kinds, if there is one, for the length of a lease. Jobs
    /// whose lease ran out wait again first, or have failed after their last try.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn claim_job(&self, kinds: &[String], owner: &str, lease: Duration) -> Result<Option<Job>, Error> {
        sqlx::query!(
            "update job set state = case when attempts >= max_attempts then 'failed' else 'queued' end,
                    finished_at = case when attempts >= max_attempts then now() end,
                    error = 'the process that ran it went away', lease_owner = null, lease_until = null
             where account_id = $1 and state = 'running' and lease_until < now()",
            INSTALLATION
        )
        .execute(&self.pool)
        .await?;
        sqlx::query_as!(
            Record,
            "update job set state = 'running', lease_owner = $2, lease_until = now() + $3, attempts = attempts + 1,
                    started_at = now()
             where account_id = $1 and id = (
                 select id from job where account_id = $1 and state = 'queued' and run_at <= now() and kind = any($4)
                 order by priority desc, run_at, id for update skip locked limit 1)
             returning id, kind, dedupe_key, payload, attempts, max_attempts, state, lease_owner, error, created_at,
                       started_at, finished_at",
            INSTALLATION,
            owner,
            interval(lease),
            kinds
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Record::into_job)
        .transpose()
    }

    /// Holds on to a job. `false`: it is no longer ours, and its result must not be kept.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn renew_job(&self, job: &Job, lease: Duration) -> Result<bool, Error> {
        let done = sqlx::query!(
            "update job set lease_until = now() + $5
             where account_id = $1 and id = $2 and state = 'running' and lease_owner = $3 and attempts = $4",
            INSTALLATION,
            job.id,
            job.owner,
            i32::from(job.attempt),
            interval(lease)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends a try. An error lets the job wait for `retry_after` and be tried again, until its
    /// tries are used up. `false`: it was no longer ours.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finish_job(&self, job: &Job, outcome: Result<(), &str>, retry_after: Duration) -> Result<bool, Error> {
        let done = sqlx::query!(
            "update job set lease_owner = null, lease_until = null, error = $5,
                    state = case when $5::text is null then 'done' when attempts >= max_attempts then 'failed'
                                 else 'queued' end,
                    run_at = case when $5::text is null or attempts >= max_attempts then run_at else now() + $6 end,
                    finished_at = case when $5::text is null or attempts >= max_attempts then now() end
             where account_id = $1 and id = $2 and state = 'running' and lease_owner = $3 and attempts = $4",
            INSTALLATION,
            job.id,
            job.owner,
            i32::from(job.attempt),
            outcome.err().map(crate::parse::storable),
            interval(retry_after)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives a job back untried, as on shutdown.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_job(&self, job: &Job) -> Result<bool, Error> {
        let done = sqlx::query!(
            "update job set state = 'queued', lease_owner = null, lease_until = null, attempts = attempts - 1
             where account_id = $1 and id = $2 and state = 'running' and lease_owner = $3 and attempts = $4",
            INSTALLATION,
            job.id,
            job.owner,
            i32::from(job.attempt)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Jobs from the newest.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn jobs(&self, limit: u32) -> Result<Vec<Job>, Error> {
        let rows = sqlx::query_as!(
            Record,
            "select id, kind, dedupe_key, payload, attempts, max_attempts, state, lease_owner, error, created_at,
                    started_at, finished_at
             from job where account_id = $1 order by created_at desc, id desc limit $2",
            INSTALLATION,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_job).collect()
    }

    /// Takes, or holds on to, work that only one process may do. `false`: another has it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn hold_lease(&self, name: &str, owner: &str, length: Duration) -> Result<bool, Error> {
        let held = sqlx::query!(
            "insert into lease as l (account_id, name, owner, until) values ($1, $2, $3, now() + $4)
             on conflict (account_id, name) do update set owner = excluded.owner, until = excluded.until
             where l.owner = excluded.owner or l.until < now()",
            INSTALLATION,
            name,
            owner,
            interval(length)
        )
        .execute(&self.pool)
        .await?;
        Ok(held.rows_affected() > 0)
    }

    /// Lets a lease go, if it is ours.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_lease(&self, name: &str, owner: &str) -> Result<(), Error> {
        sqlx::query!("delete from lease where account_id = $1 and name = $2 and owner = $3", INSTALLATION, name, owner)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets ended jobs and slots that are older than a moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_jobs(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        let jobs = sqlx::query!("delete from job where account_id = $1 and finished_at < $2", INSTALLATION, before)
            .execute(&self.pool)
            .await?;
        // The newest slot stays: it says how far a schedule has come.
        sqlx::query!(
            "delete from schedule_slot s where account_id = $1 and claimed_at < $2 and slot <
                 (select max(slot) from schedule_slot n where n.account_id = $1 and n.name = s.name)",
            INSTALLATION,
            before
        )
        .execute(&self.pool)
        .await?;
        Ok(jobs.rows_affected())
    }
}

async fn insert_job(connection: &mut sqlx::PgConnection, job: &NewJob) -> Result<Option<Uuid>, Error> {
    let id = sqlx::query_scalar!(
        "insert into job (account_id, id, kind, dedupe_key, payload, priority, run_at, max_attempts, state, created_at)
         values ($1, $2, $3, $4, $5, $6, now() + $7, $8, 'queued', now())
         on conflict do nothing returning id",
        INSTALLATION,
        Uuid::now_v7(),
        job.kind,
        job.dedupe_key,
        job.payload,
        job.priority,
        interval(job.delay),
        i32::from(job.max_attempts)
    )
    .fetch_optional(connection)
    .await?;
    Ok(id)
}
