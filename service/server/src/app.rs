//! What a running Rolecall holds: one value, cheap to clone, given to every handler and job.
//!
//! Knows the parts and nothing of what they do. Refuses to know HTTP, SQL, AWS and the command line.

use crate::audit::rules::Rules;
use crate::config::Config;
use crate::error::Error;
use crate::feed::FeedWatch;
use crate::oidc::Provider;
use crate::rate::{Rates, Refusals};
use crate::schedule::clock::{Clock, Condition, DatabaseTime};
use crate::schedule::job;
use crate::schedule::{HeartbeatLog, Timetable};
use crate::signature::SigningKey;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng as _;
use rolecall_collect::Hub;
use rolecall_estate::Visibility;
use rolecall_store::{Actor, Store};
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// The parts of a running Rolecall.
#[derive(Clone)]
pub struct App {
    /// What is remembered, as far as whoever this is for may see it.
    pub store: Store,
    /// All that is remembered.
    whole: Store,
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Keys that this installation made for itself.
    pub secrets: Arc<Secrets>,
    /// The key that baselines are signed with, if one is configured.
    pub signing_key: Option<Arc<SigningKey>>,
    /// Shows that the heartbeat of this process beats; silent where no worker runs in it.
    pub heartbeat: HeartbeatLog,
    /// How the clocks stand, as the heartbeat of this process finds them.
    pub clock: Clock,
    /// Where people sign in, where that is at an identity provider.
    pub oidc: Option<Arc<Provider>>,
    /// What the database's clock tells.
    time: DatabaseTime,
    /// Whether a worker runs in this process.
    pub works: bool,
    /// Whose credentials audits begin with.
    pub hub: Hub,
    /// Whoever waits for what happens next.
    pub feed: FeedWatch,
    /// How often each credential has asked.
    pub rates: Rates,
    /// Refusals that are written to the audit log.
    pub refusals: Refusals,
    /// Rung when a job may be waiting.
    pub(crate) job_notify: Arc<Notify>,
}

/// Whoever asks whether the service is ready asks every few seconds, and waits a second at most.
const READY_WITHIN: std::time::Duration = std::time::Duration::from_millis(900);

/// An audit that is due this long, and the longest that it is put off, should have begun.
const LATE: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// What is wrong with the database, in words that may be told to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It did not answer soon enough.
    #[error("no answer within 900 ms")]
    NoAnswer,
    /// It cannot be reached.
    #[error("it cannot be reached")]
    Away,
    /// It is reached, and has no connection to give.
    #[error("all connections are busy")]
    Busy,
    /// Its tables are of another version of this program.
    #[error("its schema is of another version")]
    Schema,
    /// It refuses what it is asked.
    #[error("it refuses a statement; the log says which")]
    Refuses,
}

impl Trouble {
    fn new(error: &rolecall_store::Error) -> Self {
        use rolecall_store::Error;
        match error {
            Error::Busy => Self::Busy,
            Error::SchemaOlder { .. } | Error::SchemaNewer { .. } => Self::Schema,
            Error::Lost { .. } | Error::Refused { .. } | Error::Unreachable { .. } | Error::NoAnswer { .. } => {
                Self::Away
            }
            other => {
                tracing::warn!(error = crate::error::chain(other), "the service is not ready");
                Self::Refuses
            }
        }
    }
}

/// Whether the service can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether the database answers; if not, why.
    pub database: Result<(), Trouble>,
    /// Whether the heartbeat beats; `None` where no worker runs in this process.
    pub heartbeat: Option<bool>,
    /// How the clocks stand; `None` where no worker runs in this process.
    pub clock: Option<Condition>,
    /// When the last audit was due that did not run; `None` where it ran, or nobody can say.
    pub overdue: Option<DateTime<Utc>>,
    /// How many units of input are set aside.
    pub set_aside: usize,
    /// How many webhooks are disabled; `None` where none is configured, or nobody can say.
    pub disabled_webhooks: Option<usize>,
}

impl Readiness {
    /// Whether it can answer, and start what is due. An audit that did not run is a warning: who takes
    /// the service away for it takes away what tells of it.
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
    /// Where the database fails, or the configured key cannot be read.
    pub async fn new(store: Store, rules: Arc<Rules>, config: Config, hub: Hub, works: bool) -> Result<Self, Error> {
        let secrets = Secrets::new(&store).await?;
        let read = |path: &std::path::PathBuf| {
            SigningKey::read(path).map(Arc::new).map_err(|source| Error::File {
                doing: "read the signing key of baselines",
                path: path.clone(),
                source,
            })
        };
        let signing_key = config.baselines.signing_key_file.as_ref().map(read).transpose()?;
        let oidc = match (&config.auth.oidc, &config.auth.public_url) {
            (Some(oidc), Some(url)) => {
                let provider = Provider::new(oidc, format!("{url}/login/callback"));
                Some(Arc::new(provider.map_err(|what| Error::Usage {
                    what,
                    remedy: "see `[auth.oidc]` of the configuration".to_owned(),
                })?))
            }
            _ => None,
        };
        let store = store.with_due_days(config.triage.due);
        Ok(Self {
            oidc,
            signing_key,
            whole: store.clone(),
            store,
            rules,
            config: Arc::new(config),
            secrets: Arc::new(secrets),
            heartbeat: HeartbeatLog::default(),
            clock: Clock::default(),
            time: DatabaseTime::default(),
            works,
            hub,
            feed: FeedWatch::default(),
            rates: Rates::default(),
            refusals: Refusals::default(),
            job_notify: Arc::default(),
        })
    }

    /// The same for somebody who may see so much.
    #[must_use]
    pub(crate) fn visible_to(&self, visibility: &Visibility) -> Self {
        Self { store: self.whole.limited_to(visibility), ..self.clone() }
    }

    /// The same for what this actor does.
    #[must_use]
    pub(crate) fn acting_as(&self, actor: &Actor) -> Self {
        let acting = |store: &Store| store.acting_as(actor.clone());
        Self { store: acting(&self.store), whole: acting(&self.whole), ..self.clone() }
    }

    /// All that is remembered, whoever this is for. What is asked of it by a handler was seen through `store` first,
    /// and names nothing else; a test holds the list of those who ask.
    pub(crate) fn whole(&self) -> &Store {
        &self.whole
    }

    /// The time by which people and tokens come in and go: the database's, as all replicas share it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn now(&self) -> Result<DateTime<Utc>, rolecall_store::Error> {
        self.time.now(&self.whole).await
    }

    /// Asks for an audit. `requested_by` is shown with the run.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn run_now(&self, requested_by: &str, actor: Actor) -> Result<RunNow, Error> {
        let queued = self.whole.acting_as(actor).start_scan(&job::audit_now(requested_by)).await?;
        self.job_notify.notify_one();
        Ok(queued.map_or(RunNow::AlreadyWaiting, RunNow::Queued))
    }

    /// Asks for changes to be judged again. Where that already waits, once is enough.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn judge_changes(&self, requested_by: &str) -> Result<(), Error> {
        self.whole.enqueue(&job::changes_again(requested_by)).await?;
        self.job_notify.notify_one();
        Ok(())
    }

    /// Whether the service can do its work.
    pub async fn readiness(&self) -> Readiness {
        let asked = tokio::time::timeout(READY_WITHIN, self.whole.check_schema()).await;
        let database = match asked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Trouble::new(&error)),
            Err(_) => Err(Trouble::NoAnswer),
        };
        let overdue = match database {
            Ok(()) => tokio::time::timeout(READY_WITHIN, self.overdue()).await.ok().and_then(Result::ok).flatten(),
            Err(_) => None,
        };
        let set_aside = match database {
            Ok(()) => tokio::time::timeout(READY_WITHIN, self.whole.set_aside()).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        let disabled_webhooks = match database {
            Ok(()) if !self.config.outgoing.webhooks.is_empty() => {
                tokio::time::timeout(READY_WITHIN, self.disabled_webhooks()).await.ok().and_then(Result::ok)
            }
            _ => None,
        };
        Readiness {
            disabled_webhooks: disabled_webhooks.map(|names| names.len()),
            set_aside: set_aside.map_or(0, |units| units.len()),
            database,
            heartbeat: self.works.then(|| self.heartbeat.beats()),
            clock: self.works.then(|| self.clock.condition()),
            overdue,
        }
    }

    /// The names of the configured webhooks that are disabled.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn disabled_webhooks(&self) -> Result<Vec<String>, rolecall_store::Error> {
        let configured = &self.config.outgoing.webhooks;
        if configured.is_empty() {
            return Ok(Vec::new());
        }
        let disabled = self.store.disabled_webhooks().await?;
        Ok(configured.iter().map(|it| it.name.clone()).filter(|name| disabled.contains(name)).collect())
    }

    /// When the last audit was due, where since then none ended as it should and none is under way.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn overdue(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let schedule = &self.config.schedule;
        let late = TimeDelta::from_std(schedule.jitter.saturating_add(LATE)).unwrap_or(TimeDelta::MAX);
        let Some(by) = self.whole.now().await?.checked_sub_signed(late) else { return Ok(None) };
        let due = if schedule.enabled { Timetable::of_audits(schedule).latest(by) } else { None };
        let Some(due) = due else { return Ok(None) };
        // Before its first slot an installation has missed none.
        let begun = self.whole.last_slot(job::AUDIT).await?.is_some();
        let has_run = !begun || self.whole.has_run_since(job::AUDITS_AS, due).await?;
        Ok((!has_run).then_some(due))
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
    pub async fn new(store: &Store) -> Result<Self, Error> {
        let mut fresh = [0_u8; 32];
        rand::rng().fill_bytes(&mut fresh);
        let kept = store.shared_key("signing", &fresh).await?;
        let signing_key = kept.try_into().map_err(|_| Error::Usage {
            what: "the signing key in the database is not 32 bytes long".to_owned(),
            remedy: "delete the row `signing` of the table `shared_key`".to_owned(),
        })?;
        Ok(Self { signing_key })
    }

    /// Tells this installation from others that a browser reaches under the same host name.
    pub(crate) fn installation(&self) -> String {
        let digest = rolecall_iam::Digest::sha256(&[b"installation".as_slice(), &self.signing_key].concat());
        digest.to_string().chars().take(8).collect()
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
