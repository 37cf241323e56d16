//! The worker: takes jobs, one at a time, and says how they ended.
//!
//! Knows due slots, leases, retries and shutdown; what is due is told by the database's clock, how
//! long a lease is held by time that passes here. Refuses to know what a job does. Any number of
//! replicas may run one: a slot is claimed once in the whole fleet, a job is held by one worker
//! under a lease, and a worker that lost its lease stops and has no say in the job's end.

use super::deliver::Deliveries;
use super::jobs;
use crate::app::App;
use crate::config::Cron;
use crate::error::{Error, chain};
use crate::schedule::clock::Condition;
use crate::schedule::job;
use crate::schedule::{Heartbeat, Timetable};
use chrono::{DateTime, Utc};
use rand::RngExt as _;
use rolecall_store::{Job, TakenBack};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(60);
const RENEW: Duration = Duration::from_secs(20);
/// Between looks at the queue when nobody rings.
const IDLE: Duration = Duration::from_secs(15);
/// After a failure.
const RETRY: Duration = Duration::from_secs(60);
/// For a job to stop when the process is asked to; Kubernetes kills after 30 s.
pub const GRACE: Duration = Duration::from_secs(25);

/// A schedule and the job that it starts. Its name is the job's kind.
struct Scheduled {
    kind: &'static str,
    timetable: Timetable,
    jitter: Duration,
}

fn schedules(app: &App) -> Vec<Scheduled> {
    let audits = &app.config.schedule;
    let audit = audits.enabled.then(|| Scheduled {
        kind: job::AUDIT,
        timetable: Timetable::of_audits(audits),
        jitter: audits.jitter,
    });
    let cleanup = Scheduled {
        kind: job::CLEANUP,
        timetable: Timetable::new(Cron::daily(), chrono_tz::UTC),
        jitter: Duration::ZERO,
    };
    // Only a queue tells of new events as they come.
    let events = (audits.enabled && jobs::queues(app).next().is_some()).then(|| Scheduled {
        kind: job::EVENTS,
        timetable: Timetable::new(audits.events_cron.clone(), audits.timezone),
        jitter: Duration::ZERO,
    });
    audit.into_iter().chain(events).chain([cleanup]).collect()
}

/// A running worker.
pub struct Worker {
    heartbeat: Heartbeat,
    work: JoinHandle<()>,
    deliveries: Deliveries,
    stop: CancellationToken,
}

impl Worker {
    /// Starts the heartbeat, takes jobs and serves webhooks until it is stopped.
    ///
    /// # Errors
    /// Where the heartbeat does not start, or a secret of a webhook cannot be read.
    pub async fn start(app: App) -> Result<Self, Error> {
        let deliveries = Deliveries::start(&app)?;
        let begun: Begun = Arc::default();
        tick(&app, &begun).await;
        let beating = app.clone();
        let heartbeat = Heartbeat::start(move || {
            let (app, begun) = (beating.clone(), begun.clone());
            async move { tick(&app, &begun).await }
        })
        .await
        .map_err(Error::Heartbeat)?;
        let stop = CancellationToken::new();
        let work = tokio::spawn(work(app, stop.clone()));
        Ok(Self { heartbeat, work, deliveries, stop })
    }

    /// Takes no more jobs, asks the one at work to end, and gives it back untried.
    pub async fn stop(self) {
        self.stop.cancel();
        self.heartbeat.stop().await;
        let ended = async { tokio::join!(self.work, self.deliveries.stop()) };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("the work under way did not end in time; its lease will run out");
        }
    }
}

/// When the worker began, by the database's clock; that may not answer at first.
type Begun = Arc<OnceCell<DateTime<Utc>>>;

/// Starts what is due. A slot that nobody could claim is left to the next tick.
async fn tick(app: &App, begun: &OnceCell<DateTime<Utc>>) {
    match look_at_the_clock(app).await {
        Ok(Some(now)) => {
            let begun = *begun.get_or_init(async || now).await;
            match app.store.end_suppressions(now).await {
                Ok(0) => {}
                Ok(ended) => tracing::info!(ended, "suppressions have ended"),
                Err(error) => tracing::warn!(error = chain(&error), "suppressions could not be ended"),
            }
            for scheduled in schedules(app) {
                if let Err(error) = start_due(app, &scheduled, begun, now).await {
                    let error = chain(&error);
                    tracing::warn!(schedule = scheduled.kind, error, "the schedule could not be read");
                }
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(error = chain(&error), "the schedule could not be read"),
    }
    app.heartbeat.beat(Utc::now());
}

/// What the database's clock tells; `None` while it is not to be believed.
async fn look_at_the_clock(app: &App) -> Result<Option<DateTime<Utc>>, Error> {
    let now = app.store.now().await?;
    let (condition, news) = app.clock.observe(Instant::now(), now, Utc::now());
    match (news, condition) {
        (true, Condition::Even) => tracing::info!("the clocks are as they should be"),
        (true, off) => tracing::warn!(clock = %off, "the clocks are not as they should be"),
        (false, _) => {}
    }
    if !condition.is_trusted() {
        return Ok(None);
    }
    let longest = app.config.schedule.jitter.max(RETRY);
    let back = app.store.take_back(longest, LEASE).await?;
    if back != TakenBack::default() {
        let TakenBack { slots, jobs, leases } = back;
        tracing::warn!(slots, jobs, leases, "what was noted while the clock ran ahead was taken back");
    }
    Ok(Some(now))
}

/// Starts the latest slot that is due, if nobody has yet. However many were missed, one run makes
/// up for them all; what came before the first start of an installation was not missed.
async fn start_due(app: &App, scheduled: &Scheduled, begun: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Error> {
    let Some(slot) = scheduled.timetable.latest(now) else { return Ok(()) };
    let claimed = app.store.last_slot(scheduled.kind).await?;
    if claimed.map_or(slot < begun, |claimed| slot <= claimed) {
        return Ok(());
    }
    let put_off = match u64::try_from(scheduled.jitter.as_millis()) {
        Ok(limit @ 1..) => Duration::from_millis(rand::rng().random_range(0..limit)),
        _ => Duration::ZERO,
    };
    let job = job::scheduled(scheduled.kind, put_off);
    match app.store.claim_slot(scheduled.kind, slot, &job).await? {
        Some(id) => {
            tracing::info!(job.id = %id, job.kind = scheduled.kind, %slot, "a scheduled job is due");
            app.job_notify.notify_one();
        }
        None => tracing::debug!(job.kind = scheduled.kind, %slot, "the slot is taken, or its job still waits or runs"),
    }
    Ok(())
}

async fn work(app: App, stop: CancellationToken) {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "rolecall".to_owned());
    let owner = format!("{host}-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    let kinds = [job::AUDIT, job::CHANGES, job::CLEANUP, job::EVENTS].map(str::to_owned);
    while !stop.is_cancelled() {
        // By a clock that was just set, all that is kept for a time would be too old.
        let claimed = match app.clock.condition().is_trusted() {
            true => app.store.claim_job(&kinds, &owner, LEASE).await,
            false => Ok(None),
        };
        match claimed {
            Ok(Some(job)) => {
                execute(&app, &job, &stop).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = chain(&error), "the queue could not be read"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.job_notify.notified() => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

async fn execute(app: &App, job: &Job, stop: &CancellationToken) {
    tracing::info!(job.id = %job.id, job.kind, job.attempt, "a job begins");
    let cancel = stop.child_token();
    let result = tokio::select! {
        result = jobs::run(app, job, cancel.clone()) => result,
        () = lease_lost(app, job) => {
            // The work was dropped where it stood; what it had not committed is gone with it.
            tracing::warn!(job.id = %job.id, "the job's lease was lost, so its work was dropped");
            return;
        }
    };
    let noted = match &result {
        Err(error) if error.is_interruption() && stop.is_cancelled() => app.store.release_job(job).await,
        Ok(()) => app.store.finish_job(job, Ok(()), RETRY).await,
        Err(error) => {
            let why = chain(error);
            tracing::error!(job.id = %job.id, job.kind, error = why, "a job failed");
            app.store.finish_job(job, Err(&why), RETRY).await
        }
    };
    match noted {
        Ok(true) => {}
        Ok(false) => tracing::warn!(job.id = %job.id, "the job was no longer ours when it ended"),
        Err(error) => tracing::warn!(job.id = %job.id, error = chain(&error), "the job's end could not be noted"),
    }
}

/// Holds the lease; ends when it is lost, or must have run out.
async fn lease_lost(app: &App, job: &Job) {
    let mut until = tokio::time::Instant::now() + LEASE;
    loop {
        tokio::time::sleep(RENEW).await;
        let asked = tokio::time::Instant::now();
        match tokio::time::timeout_at(until, app.store.renew_job(job, LEASE)).await {
            Ok(Ok(true)) => until = asked + LEASE,
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => tracing::warn!(job.id = %job.id, error = chain(&error), "the lease was not renewed"),
        }
    }
}
