//! What a running Rolecall holds: one value, cheap to clone, given to every handler and job.
//!
//! Knows the parts and nothing of what they do. Refuses to know HTTP, SQL, AWS and the command line.

use crate::config::Config;
use crate::error::Error;
use crate::jobs;
use crate::rules::Rules;
use crate::schedule::{Pulse, TICK_LIMIT_SECONDS, Timetable};
use chrono::Utc;
use rand::Rng as _;
use rolecall_collect::Hub;
use rolecall_store::Store;
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// The parts of a running Rolecall.
#[derive(Clone)]
pub struct App {
    /// What is remembered.
    pub store: Store,
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Keys that this installation made for itself.
    pub secrets: Arc<Secrets>,
    /// Shows that the heartbeat of this process beats; silent where no worker runs in it.
    pub pulse: Pulse,
    /// Whether a worker runs in this process.
    pub works: bool,
    /// Whose credentials audits begin with.
    pub hub: Hub,
    /// Rung when a job may be waiting.
    pub(crate) bell: Arc<Notify>,
}

/// Whether the service can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether the database answers; if not, why.
    pub database: Result<(), String>,
    /// Whether the heartbeat beats; `None` where no worker runs in this process.
    pub heartbeat: Option<bool>,
}

impl Readiness {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.database.is_ok() && self.heartbeat != Some(false)
    }
}

/// What came of asking for an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNow {
    /// It waits, and a worker takes it within seconds.
    Queued(Uuid),
    /// One already waits or runs.
    AlreadyWaiting,
}

impl App {
    /// Puts the parts together, and fetches the keys that all replicas share.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn new(store: Store, rules: Arc<Rules>, config: Config, hub: Hub, works: bool) -> Result<Self, Error> {
        let secrets = Secrets::of(&store).await?;
        Ok(Self {
            store,
            rules,
            config: Arc::new(config),
            secrets: Arc::new(secrets),
            pulse: Pulse::default(),
            works,
            hub,
            bell: Arc::default(),
        })
    }

    /// Asks for an audit. `requested_by` is shown with the run.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn run_now(&self, requested_by: &str) -> Result<RunNow, Error> {
        let job = jobs::audit_now(requested_by, Utc::now());
        let queued = self.store.enqueue(&job).await?;
        self.bell.notify_one();
        Ok(queued.map_or(RunNow::AlreadyWaiting, RunNow::Queued))
    }

    /// Whether the service can do its work.
    pub async fn readiness(&self) -> Readiness {
        let database = match self.store.check_schema().await {
            Ok(()) => Ok(()),
            Err(error) => Err(crate::error::chain(&error)),
        };
        let late = |last: chrono::DateTime<Utc>| (Utc::now() - last).num_seconds() > TICK_LIMIT_SECONDS;
        let heartbeat = self.works.then(|| !self.pulse.last().is_none_or(late));
        Readiness { database, heartbeat }
    }

    /// The next times at which an audit starts by itself, where it does.
    #[must_use]
    pub fn next_audits(&self, count: usize) -> Vec<chrono::DateTime<Utc>> {
        let schedule = &self.config.schedule;
        if !schedule.enabled {
            return Vec::new();
        }
        let timetable = Timetable::of_audits(schedule);
        std::iter::successors(timetable.next(Utc::now()), |slot| timetable.next(*slot)).take(count).collect()
    }
}

/// Keys that this installation made for itself; the same for every replica.
pub struct Secrets {
    signing_key: [u8; 32],
}

impl Secrets {
    /// The keys kept in the database; made there if this is the first time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn of(store: &Store) -> Result<Self, Error> {
        let mut fresh = [0_u8; 32];
        rand::rng().fill_bytes(&mut fresh);
        let kept = store.shared_key("signing", &fresh).await?;
        let signing_key = kept.try_into().map_err(|_| Error::Usage {
            what: "the signing key in the database is not 32 bytes long".to_owned(),
            remedy: "delete the row `signing` of the table `shared_key`".to_owned(),
        })?;
        Ok(Self { signing_key })
    }

    /// Signs cursors and form tokens.
    #[must_use]
    pub fn signing_key(&self) -> &[u8; 32] {
        &self.signing_key
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}
