//! What Rolecall remembers: the estate over time, findings, runs, jobs and who may enter.
//!
//! Knows: tables, transactions, locks, and how to run a private PostgreSQL where none is given.
//! Refuses to know: AWS calls, rules, severities' meaning, HTTP. It decides nothing about an
//! estate; it keeps what it is told and gives it back.
//!
//! All SQL of the project stands in this crate, beside the function that runs it.

mod access;
mod audit_log;
mod count;
mod error;

mod findings;
mod inventory;
mod kept;
mod parse;
mod partition;
mod pool;
#[cfg(feature = "testing")]
pub mod testing;
mod totals;
mod trail;
mod work;

pub use access::tokens::{ApiToken, NewToken, ServiceAccount, TokenSuccessor};
pub use access::views::{MOST_VIEWS, SavedView, ViewKept, ViewStep};
pub use access::{NewLogin, PersonAccess, RoleGrant, Visit, WebSession};
pub use audit_log::{
    Actor, ActorKind, AuditAction, AuditEntry, AuditFilter, AuditHead, AuditOutcome, AuditVerified, NewAuditEntry,
};
pub use count::Total;
pub use error::Error;
pub use findings::apply::ApplyCounts;
pub use findings::filter::{FindingFilter, FindingVia};
pub use findings::overview::{AccountOpen, Answers, Overview, OwnerOpen, RuleOpen, TrendDay, TrendWeek, Trends};
pub use findings::owed::{DoneJudgement, Owed};
pub use findings::read::{Finding, FindingAfter, FindingEvent, FindingRow, FindingSort};
pub use findings::results::RuleResults;
pub use findings::suppressions::{
    SuppressedFinding, SuppressionAfter, SuppressionFilter, SuppressionRow, SuppressionState,
};
pub use findings::tickets::{NotTicketed, Reserved, TicketFilter, TicketRow};
pub use findings::triage::{MOST_TRIAGED, NotDecided, NotTriaged, TriageOf, TriagedAll, TriagedBy};
pub use inventory::access_flow::{AccessFlow, FlowRow};
pub use inventory::accounts::{AccountRow, Counts, CoverageSummary, GapRow, KindCoverage, SessionListings};
pub use inventory::approval::{AllApproved, Approved, MOST_APPROVED, Withdrawn};
pub use inventory::as_of::{AsOf, NotThen};
pub use inventory::associations::{AssociationAfter, AssociationFilter, AssociationName, AssociationRow};
pub use inventory::baselines::{BaselineAfter, BaselineFilter, BaselineRow, BaselineWithdrawn, NewBaseline};
pub use inventory::changes::{ChangeAfter, ChangeFilter, ChangeRow, ChangedScan};
pub use inventory::clusters::{ClusterAfter, ClusterFilter, ClusterRow, ClusterSort, NamespaceRow};
pub use inventory::coverage::CoverageRow;
pub use inventory::event_changes::{AccountScan, OwedReplay};
pub use inventory::open_changes::PassedChanges;
pub use inventory::roles::{PolicyRow, RoleAfter, RoleFilter, RoleRow, RoleSort};
pub use inventory::snapshot::{SaveCounts, SnapshotWriter};
pub use inventory::workload_history::{WorkloadChange, WorkloadPart};
/// How to connect, where a URL does not say enough (a unix socket in a directory).
pub use sqlx::postgres::PgConnectOptions;
pub use trail::attempts::{Attempts, Life, SetAside, Suspect, Unit, UnitKind};
pub use trail::attribution::{DueSessions, SessionKey};
pub use trail::sessions::{Chain, SessionAfter, SessionDay, SessionFilter};
pub use trail::usage::{AttributionCount, DayRow, UsageOf, UsageWindow, UseRow};
pub use trail::{
    BatchCounts, ChangeEventAfter, ChangeEventFilter, Damage, DayCounts, FileMark, SourceReport, SourceRow,
    SourceState, TrailBatch, TrailCursor, TrailProblem, TrailWriter,
};
pub use work::feed::{Event, EventSubject, FeedBounds, FeedPart, KINDS as EVENT_KINDS};

pub use work::idempotency::{KeptAnswer, TakenKey};
pub use work::jobs::{Job, JobState, NewJob, TakenBack};
pub use work::runs::{NewRun, Run, RunId, RunOutcome, RunState};
pub use work::webhooks::{
    Advance, Attempted, ClaimedDelivery, DeliveryAfter, DeliveryRow, DeliveryState, Disabled, NewDelivery,
    WebhookPosition, WebhookRow,
};

use findings::overview::OpenFindings;
use kept::Kept;
use pool::Pool;
use rolecall_audit::finding::triage::due::DueDays;
use rolecall_estate::Visibility;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::time::Duration;
use totals::{FindingsState, Totals, TrendAsked};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The account id of rows that belong to the installation and to no AWS account.
pub(crate) const INSTALLATION: &str = "000000000000";

/// The account of what belongs to none.
pub(crate) fn installation() -> rolecall_iam::AccountId {
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    let account = INSTALLATION.parse().expect("twelve digits");
    account
}

/// How long to wait and how many connections to hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections held at once.
    pub connections: u32,
    /// How long to try before giving up: for the first connection, and for a free one later.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 10, wait: Duration::from_secs(10) }
    }
}

/// Numbers and names that pages show, with the states that they are of.
#[derive(Debug, Default)]
struct KeptNumbers {
    findings: Totals<FindingFilter, FindingsState>,
    roles: Totals<RoleFilter, i64>,
    associations: Totals<AssociationFilter, i64>,
    open: Kept<FindingsState, OpenFindings>,
    answers: Kept<FindingsState, Option<Answers>>,
    trends: Kept<TrendAsked, Trends>,
    account_names: Kept<i64, Vec<(rolecall_iam::AccountId, Option<String>)>>,
    coverage: Kept<(i64, u32), CoverageSummary>,
    counts: Kept<i64, Counts>,
}

/// The door to the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    numbers: Arc<KeptNumbers>,
    behind: Duration,
    due_days: DueDays,
    /// Whoever does what is done by it.
    actor: Arc<Actor>,
}

impl Store {
    /// The same database for a scan of a moment that has passed: [`Store::now`] is so much behind the
    /// database's clock, and what the scan begins, sees and ends is dated by that. Leases are not: they
    /// go by the clock itself.
    #[must_use]
    pub fn behind(&self, behind: Duration) -> Self {
        Self { behind, ..self.clone() }
    }

    /// The same database, with these due dates of findings instead of the usual ones.
    #[must_use]
    pub fn with_due_days(&self, due_days: DueDays) -> Self {
        Self { due_days, ..self.clone() }
    }

    /// The same database, for what this actor does: that is written to the audit log.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    /// The same database as somebody may see it. What is outside is not there: lists, counts and answers are those of
    /// a database without it. Of what only the whole tells (scans, sources of events, calls, jobs, credentials)
    /// nothing can be read: asking for it fails. What is changed over it must be seen by it.
    #[must_use]
    pub fn limited_to(&self, visibility: &Visibility) -> Self {
        match visibility {
            Visibility::Everything => self.clone(),
            // What was counted with other eyes is none.
            Visibility::Only(limits) => {
                Self { pool: self.pool.limited_to(limits), numbers: Arc::default(), ..self.clone() }
            }
        }
    }

    /// Whether it shows less than there is.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.pool.is_limited()
    }

    /// Connects to the database that a URL names, and asks it one question.
    ///
    /// # Errors
    /// One of the `Error`s that say what is wrong with the URL, the server or the credentials.
    pub async fn connect(url: &str, limits: Limits) -> Result<Self, Error> {
        Self::connect_with(error::read_url(url)?, limits).await
    }

    /// Connects by options, and asks the server one question.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_with(options: PgConnectOptions, limits: Limits) -> Result<Self, Error> {
        let place = error::place(&options);
        // The pool keeps trying a server that refuses; a person wants to know at once.
        let first = tokio::time::timeout(limits.wait, <sqlx::PgConnection as sqlx::Connection>::connect_with(&options));
        match first.await {
            Ok(Ok(connection)) => drop(sqlx::Connection::close(connection).await),
            Ok(Err(why)) => return Err(Error::connecting(place, why)),
            Err(_) => return Err(Error::NoAnswer { place, seconds: limits.wait.as_secs() }),
        }
        let pool = PgPoolOptions::new().max_connections(limits.connections).acquire_timeout(limits.wait);
        let pool = Pool::new(pool, options.application_name("rolecall"));
        Ok(Self {
            pool,
            numbers: Arc::default(),
            behind: Duration::ZERO,
            due_days: DueDays::default(),
            actor: Arc::new(Actor::service()),
        })
    }

    /// Brings the schema up to date, and says how many migrations that took.
    ///
    /// # Errors
    /// [`Error::SchemaNewer`] where a later version of the program has been here.
    pub async fn migrate(&self) -> Result<usize, Error> {
        let applied = self.applied().await?;
        newer(reached(&applied))?;
        MIGRATIONS.run(self.pool.inner()).await.map_err(Error::Migrate)?;
        Ok(MIGRATIONS.iter().filter(|m| !applied.contains(&m.version)).count())
    }

    /// Checks that the schema is the one this program was built for.
    ///
    /// # Errors
    /// [`Error::SchemaOlder`] or [`Error::SchemaNewer`], each with its remedy.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let found = reached(&self.applied().await?);
        newer(found)?;
        let known = latest();
        if found < known { Err(Error::SchemaOlder { found, known }) } else { Ok(()) }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Waits for what is under way, then closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The versions of the migrations in the database, the lowest first; none where there is no table of them.
    async fn applied(&self) -> Result<Vec<i64>, Error> {
        let found = sqlx::query_scalar!("select version from _sqlx_migrations where success order by version")
            .fetch_all(&self.pool)
            .await;
        match found {
            Err(sqlx::Error::Database(why)) if why.code().as_deref() == Some(error::UNDEFINED_TABLE) => Ok(Vec::new()),
            other => Ok(other?),
        }
    }
}

/// The version of a schema: the newest migration before which none is missing, since a later number may have been
/// applied before a lower one. 0 where there is none.
fn reached(applied: &[i64]) -> i64 {
    let newest = applied.last().copied().unwrap_or_default();
    let missing = MIGRATIONS.iter().map(|m| m.version).filter(|version| !applied.contains(version)).min();
    match missing {
        Some(missing) if missing < newest && newest <= latest() => {
            applied.iter().copied().filter(|version| *version < missing).max().unwrap_or_default()
        }
        _ => newest,
    }
}

fn latest() -> i64 {
    MIGRATIONS.iter().map(|m| m.version).max().unwrap_or_default()
}

fn newer(found: i64) -> Result<(), Error> {
    let known = latest();
    if found > known { Err(Error::SchemaNewer { found, known }) } else { Ok(()) }
}
