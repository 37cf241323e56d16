//! Runs: one look at the estate, or one judgement of it, each with a number and an end.
//!
//! Knows which run is alive, by the database's clock, which all processes share. Refuses to know what a run does; its report is the caller's JSON.

use crate::audit_log::{ActorKind, AuditAction, NewAuditEntry, append};
use crate::work::feed::NewEvents;
use crate::work::jobs::interval;
pub use crate::work::run_id::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::assumption::Assumption;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// What is said about a run at its beginning.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Such as `scan` or `import`.
    pub kind: String,
    /// Who or what began it, such as `cli`, `schedule` or a token's name.
    pub trigger: String,
    /// Of what moment it is: [`Store::now`] where that is now.
    pub now: DateTime<Utc>,
    /// How long it counts as alive without [`Store::renew_run`].
    pub lease: Duration,
}

rolecall_iam::vocabulary! {
    /// Where a run stands.
    pub enum RunState: "a state of a run" {
        /// Under way.
        Running = "running",
        /// Ended as it should.
        Done = "done",
        /// Ended with an error.
        Failed = "failed",
        /// Its process went away; nothing of an uncommitted snapshot is kept.
        Interrupted = "interrupted",
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub enum RunOutcome {
    /// As it should, with a report.
    Done(serde_json::Value),
    /// With an error, one line, and what there is of a report.
    Failed(String, serde_json::Value),
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Such as `scan` or `import`.
    pub kind: String,
    /// Who or what began it.
    pub trigger: String,
    /// Where it stands.
    pub state: RunState,
    /// Begun.
    pub started_at: DateTime<Utc>,
    /// Ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When its snapshot became visible; `None` where it has none.
    pub snapshot_at: Option<DateTime<Utc>>,
    /// The caller's report.
    pub report: serde_json::Value,
    /// Why it failed.
    pub error: Option<String>,
}

struct Record {
    id: i64,
    kind: String,
    trigger: String,
    state: String,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    snapshot_at: Option<DateTime<Utc>>,
    report: serde_json::Value,
    error: Option<String>,
}

impl Record {
    fn into_run(self) -> Result<Run, Error> {
        let state = parse::text("run", &self.id, &self.state)?;
        let Self { id, kind, trigger, started_at, finished_at, snapshot_at, report, error, .. } = self;
        Ok(Run { id: RunId(id), kind, trigger, state, started_at, finished_at, snapshot_at, report, error })
    }
}

/// Key of the advisory lock that lives as long as a run's snapshot transaction. Only a quicker
/// proof of death than the lease: nothing is wrong where a pooler swallows it.
pub(crate) fn life_key(run: RunId) -> i64 {
    0x726f_6c65_0000_0000 | run.0
}

impl Store {
    /// Begins a run and gives it its number. Runs whose process went away are first marked
    /// interrupted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin_run(&self, new: &NewRun) -> Result<RunId, Error> {
        self.interrupt_dead_runs().await?;
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let id = sqlx::query_scalar!(
            "update counter set value = value + 1 where account_id = $1 and name = 'run' returning value",
            INSTALLATION
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into run (account_id, id, kind, trigger, state, started_at, lease_until)
             values ($1, $2, $3, $4, 'running', $5, clock_timestamp() + $6)",
            INSTALLATION,
            id,
            new.kind,
            new.trigger,
            new.now,
            interval(new.lease)
        )
        .execute(&mut *tx)
        .await?;
        let detail = json!({ "kind": new.kind, "trigger": new.trigger });
        told.tell(INSTALLATION, "scan.started", &id.to_string(), &new.trigger, &detail);
        told.write(&mut tx, self.behind).await?;
        // A scan that was asked for over HTTP, or that is due, was written down when it was queued, or is nobody's.
        if self.actor.kind == ActorKind::Operator {
            let act = NewAuditEntry::done(AuditAction::ScanStart, id.to_string(), detail);
            append(&mut tx, &self.actor, &[act]).await?;
        }
        tx.commit().await?;
        Ok(RunId(id))
    }

    /// Says that a run is still alive, and for how long that holds.
    ///
    /// # Errors
    /// [`Error::NoRun`] where it is not running (any more).
    pub async fn renew_run(&self, run: RunId, lease: Duration) -> Result<(), Error> {
        let done = sqlx::query!(
            "update run set lease_until = clock_timestamp() + $3 where account_id = $1 and id = $2 and state = 'running'",
            INSTALLATION,
            run.0,
            interval(lease)
        )
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 0 { Err(Error::NoRun(run)) } else { Ok(()) }
    }

    /// Ends a run.
    ///
    /// # Errors
    /// [`Error::NoRun`] where there is none of that number.
    pub async fn finish_run(&self, run: RunId, outcome: &RunOutcome) -> Result<(), Error> {
        let (state, error, report) = match outcome {
            RunOutcome::Done(report) => (RunState::Done, None, report),
            RunOutcome::Failed(error, report) => (RunState::Failed, Some(error.as_str()), report),
        };
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let done = sqlx::query!(
            "update run set state = $3, error = $4, report = $5::text::jsonb,
                    finished_at = clock_timestamp() - $6::interval
             where account_id = $1 and id = $2",
            INSTALLATION,
            run.0,
            state.as_str(),
            error.map(parse::storable),
            parse::json_text(report),
            interval(self.behind)
        )
        .execute(&mut *tx)
        .await?;
        // A run that ends by itself died at nothing.
        sqlx::query!("delete from attempt where account_id = $1 and run_id = $2", INSTALLATION, run.0)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() > 0 {
            let detail = json!({ "state": state.as_str(), "error": error });
            told.tell(INSTALLATION, "scan.ended", &run.to_string(), "scanner", &detail);
            told.write(&mut tx, self.behind).await?;
        }
        tx.commit().await?;
        if done.rows_affected() == 0 { Err(Error::NoRun(run)) } else { Ok(()) }
    }

    /// Marks runs whose process went away as interrupted, and says which. A run is dead when its
    /// lease has run out, or when it was collecting and its transaction is gone.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn interrupt_dead_runs(&self) -> Result<Vec<RunId>, Error> {
        let suspects = sqlx::query!(
            r#"select id, lease_until < clock_timestamp() as "expired!",
                      (collecting_since is not null and snapshot_at is null) as "collecting!"
               from run where account_id = $1 and state = 'running' order by id"#,
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        let mut dead = Vec::new();
        for suspect in suspects {
            let run = RunId(suspect.id);
            if suspect.expired || (suspect.collecting && self.transaction_is_gone(run).await?) {
                let mut tx = self.pool.begin().await?;
                let mut told = NewEvents::begin(&mut tx).await?;
                let marked = sqlx::query_scalar!(
                    r#"update run set state = 'interrupted', finished_at = clock_timestamp(),
                            error = 'the process that ran it went away'
                       where account_id = $1 and id = $2 and state = 'running' returning error as "error!""#,
                    INSTALLATION,
                    run.0
                )
                .fetch_optional(&mut *tx)
                .await?;
                if let Some(error) = marked {
                    let detail = json!({ "state": RunState::Interrupted.as_str(), "error": error });
                    told.tell(INSTALLATION, "scan.ended", &run.to_string(), "scanner", &detail);
                    told.write(&mut tx, Duration::ZERO).await?;
                    dead.push(run);
                }
                tx.commit().await?;
            }
        }
        Ok(dead)
    }

    async fn transaction_is_gone(&self, run: RunId) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let gone = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "gone!""#, life_key(run))
            .fetch_one(&mut *tx)
            .await?;
        // A run that committed its snapshot in this instant let the lock go as well.
        let committed = sqlx::query_scalar!(
            r#"select snapshot_at is not null as "committed!" from run where account_id = $1 and id = $2"#,
            INSTALLATION,
            run.0
        )
        .fetch_optional(&mut *tx)
        .await?
        .unwrap_or(true);
        tx.rollback().await?;
        Ok(gone && !committed)
    }

    /// Forgets a run that kept no snapshot and about which there is nothing to tell, with the event that it began.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_run(&self, run: RunId) -> Result<(), Error> {
        sqlx::query!(
            "with gone as (delete from run where account_id = $1 and id = $2 and snapshot_at is null returning id)
             delete from event e using gone
             where e.account_id = $1 and e.kind = 'scan.started' and e.subject = gone.id::text",
            INSTALLATION,
            run.0
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Runs from the newest, before a number where one is given.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn runs(&self, before: Option<RunId>, limit: u32) -> Result<Vec<Run>, Error> {
        let rows = sqlx::query_as!(
            Record,
            "select id, kind, trigger, state, started_at, finished_at, snapshot_at, report, error
             from run where account_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3",
            INSTALLATION,
            before.map(|run| run.0),
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_run).collect()
    }

    /// One run.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn run(&self, run: RunId) -> Result<Option<Run>, Error> {
        sqlx::query_as!(
            Record,
            "select id, kind, trigger, state, started_at, finished_at, snapshot_at, report, error
             from run where account_id = $1 and id = $2",
            INSTALLATION,
            run.0
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Record::into_run)
        .transpose()
    }

    /// The newest run that ended as it should.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn last_done_run(&self) -> Result<Option<Run>, Error> {
        if self.is_limited() {
            return self.last_done_run_bare().await;
        }
        sqlx::query_as!(
            Record,
            "select id, kind, trigger, state, started_at, finished_at, snapshot_at, report, error
             from run where account_id = $1 and state = 'done' order by id desc limit 1",
            INSTALLATION
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Record::into_run)
        .transpose()
    }

    /// The same without who began it and what it reports: that is of every account.
    async fn last_done_run_bare(&self) -> Result<Option<Run>, Error> {
        sqlx::query_as!(
            Record,
            r#"select id, kind, '' as "trigger!", state, started_at, finished_at, snapshot_at, '{}'::jsonb as "report!",
                      null as error
               from run where account_id = $1 and state = 'done' order by id desc limit 1"#,
            INSTALLATION
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Record::into_run)
        .transpose()
    }

    /// Whether a run of a kind ended as it should after a moment, or is alive now.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn has_run_since(&self, kind: &str, since: DateTime<Utc>) -> Result<bool, Error> {
        let has_run = sqlx::query_scalar!(
            r#"select exists (select from run where account_id = $1 and kind = $2
                   and ((state = 'done' and finished_at >= $3) or (state = 'running' and lease_until >= clock_timestamp())))
               as "has_run!""#,
            INSTALLATION,
            kind,
            since
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(has_run)
    }

    /// Notes under which assumptions a run is judged.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn note_assumed(&self, run: RunId, assumed: &BTreeSet<Assumption>) -> Result<(), Error> {
        sqlx::query!(
            "update run set assumed = $3::text::jsonb where account_id = $1 and id = $2",
            INSTALLATION,
            run.0,
            parse::json_text(assumed)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets runs begun before a moment, with their gaps and tallies, and says how many. The
    /// newest run that ended as it should, the newest that judged, the newest tallies and the gaps of the latest looks
    /// stay. Intervals of resources and findings are not history of runs: they stay too.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_runs(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        let mut tx = self.pool.begin().await?;
        let old = sqlx::query_scalar!(
            "delete from run r where account_id = $1 and started_at < $2 and state <> 'running'
                and id < (select max(id) from run d where d.account_id = $1 and d.state = 'done')
                and id <> (select coalesce(max(id), 0) from run d where d.account_id = $1 and d.judged_at is not null)
             returning id",
            INSTALLATION,
            before
        )
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from coverage_gap g where run_id = any($1) and not exists (
                select from coverage c where c.account_id = g.account_id and c.scope = g.scope
                   and c.region = g.region and c.cluster = g.cluster and c.last_run = g.run_id)",
            &old
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from rule_tally where run_id = any($1) and run_id < (select max(run_id) from rule_tally)",
            &old
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(parse::count(i64::try_from(old.len()).unwrap_or(i64::MAX)))
    }
}
