//! Connections, and what it means that none is to be had.
//!
//! A pool that gives no connection in time says only that: all may be busy, or the database may be
//! gone. Whoever waits here is told which, and soon: a database that does not answer is asked about
//! once for all who wait. Refuses to know what is asked over a connection.
//!
//! Whoever may not see everything is served over connections of another role, to which the policies of the tables
//! show what the settings of the connection name (`migrations/0054_limited.sql`). INVARIANT: such a connection is
//! given out only once the settings of whoever takes it are set, in the place of those of whoever had it before.

use crate::error::place;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use rolecall_estate::Limit;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    Connection as _, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr, Transaction,
};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// So long is waited for a connection before it is asked whether the database answers at all.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same where it did not answer the last time.
const IMPATIENCE: Duration = Duration::from_millis(50);
/// For a database to answer that; and so long its answer holds for all who wait.
const PROBE: Duration = Duration::from_secs(1);
/// A connection that lay idle for longer is asked whether it lives before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// Rows that are read ahead of whoever takes them.
const AHEAD: usize = 64;

/// The connections to one database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    inner: PgPool,
    /// Connections of the role that sees what it is set to see, and no more.
    limited: PgPool,
    /// What is set on them; `None`: the owner's connections are taken.
    settings: Option<Arc<Settings>>,
    probed: Arc<Mutex<Option<Probed>>>,
}

/// When it was last asked whether the database answers, and why it did not.
#[derive(Debug, Clone)]
struct Probed {
    at: Instant,
    failed: Option<(ErrorKind, String)>,
}

/// What a connection may see, as the policies of the tables read it.
#[derive(Debug, Default)]
struct Settings {
    accounts: Vec<String>,
    units: Vec<String>,
    clusters: Vec<String>,
    namespaces: Vec<String>,
}

impl Settings {
    fn new(limits: &BTreeSet<Limit>) -> Self {
        let mut settings = Self::default();
        for limit in limits {
            match limit {
                Limit::OrganizationalUnit(id) => settings.units.push(id.to_string()),
                Limit::Account(id) => settings.accounts.push(id.to_string()),
                Limit::Cluster(place) => settings.clusters.push(place.to_string()),
                Limit::Namespace { cluster: Some(place), namespace } => {
                    settings.namespaces.push(format!("{place}/{namespace}"));
                }
                Limit::Namespace { cluster: None, namespace } => settings.namespaces.push(namespace.to_string()),
            }
        }
        settings
    }

    async fn set(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "select set_config('rolecall.accounts', ($1::text[] || limited_unit_accounts($2::text[]))::text, false)
                        as accounts,
                    set_config('rolecall.units', $2::text[]::text, false) as units,
                    set_config('rolecall.clusters', $3::text[]::text, false) as clusters,
                    set_config('rolecall.namespaces', $4::text[]::text, false) as namespaces",
            &self.accounts,
            &self.units,
            &self.clusters,
            &self.namespaces
        )
        .fetch_one(connection)
        .await?;
        Ok(())
    }
}

impl Pool {
    /// Opens no connection yet.
    pub(crate) fn new(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        // A connection that was used a moment ago is not asked whether it lives before each statement:
        // that would double the ways to the database.
        let options = options.test_before_acquire(false).before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
        // PostgreSQL takes subplans that a limit ends early, and those of the policies, for dearer than they are, and
        // would compile them anew for each statement, which takes from 40 ms to seconds.
        let limited = options
            .clone()
            .max_connections(options.get_max_connections().div_ceil(2))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query!(
                        "select set_config('role', 'rolecall_limited', false) as role,
                                set_config('jit', 'off', false) as jit"
                    )
                    .fetch_one(connection)
                    .await?;
                    Ok(())
                })
            })
            .connect_lazy_with(connect.clone());
        let inner = options
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query!("select set_config('jit', 'off', false) as jit").fetch_one(connection).await?;
                    Ok(())
                })
            })
            .connect_lazy_with(connect);
        Self { inner, limited, settings: None, probed: Arc::default() }
    }

    /// Connections that see what these limits name, and no more. What is limited already is not widened.
    pub(crate) fn limited_to(&self, limits: &BTreeSet<Limit>) -> Self {
        let settings = self.settings.clone().unwrap_or_else(|| Arc::new(Settings::new(limits)));
        Self { settings: Some(settings), ..self.clone() }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.settings.is_some()
    }

    /// The owner's connections, whatever may be seen: for what is changed after it was found with the eyes of whoever
    /// changes it.
    pub(crate) fn of_owner(&self) -> Self {
        Self { settings: None, ..self.clone() }
    }

    /// The pool itself, for what takes no other; what it says when it gives no connection is not told apart.
    pub(crate) fn inner(&self) -> &PgPool {
        &self.inner
    }

    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.or_gone(self.connection()).await
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let Some(settings) = &self.settings else { return self.inner.acquire().await };
        let mut connection = self.limited.acquire().await?;
        settings.set(&mut connection).await?;
        Ok(connection)
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.or_gone(self.begun(None)).await
    }

    pub(crate) async fn begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.or_gone(self.begun(Some(statement.into_sql_str()))).await
    }

    /// A transaction that is begun to its end, though whoever asked for it waits no more: then it is rolled
    /// back at once. The driver rolls back only what it saw begin: a connection that came back in the middle
    /// of `BEGIN` would stay in a transaction that nobody knows of, and what is written over it next would
    /// never be committed.
    async fn begun(&self, statement: Option<SqlStr>) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let connection = self.connection().await?;
        let beginning = tokio::spawn(Transaction::begin(connection, statement));
        beginning.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Waits for what is under way, then closes all connections.
    pub(crate) async fn close(&self) {
        self.limited.close().await;
        self.inner.close().await;
    }

    /// What was waited for, or that the database is gone.
    async fn or_gone<T>(&self, waited_for: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let mut waited_for = std::pin::pin!(waited_for);
        let failed = |probed: &Probed| probed.failed.is_some();
        let gone = self.probed.try_lock().is_ok_and(|probed| probed.as_ref().is_some_and(failed));
        let mut wait = if gone { IMPATIENCE } else { PATIENCE };
        loop {
            match tokio::time::timeout(wait, waited_for.as_mut()).await {
                Ok(ended) => return ended,
                Err(_) => self.probe().await?,
            }
            wait = PATIENCE;
        }
    }

    /// Whether the database answers at all.
    async fn probe(&self) -> Result<(), sqlx::Error> {
        let mut probed = self.probed.lock().await;
        let failed = match probed.as_ref().filter(|probed| probed.at.elapsed() < PROBE) {
            Some(known) => known.failed.clone(),
            None => {
                let options = self.inner.connect_options();
                let failed = unreachable(&options).await;
                *probed = Some(Probed { at: Instant::now(), failed: failed.clone() });
                failed
            }
        };
        match failed {
            Some((kind, why)) => Err(sqlx::Error::Io(std::io::Error::new(kind, why))),
            None => Ok(()),
        }
    }
}

/// Why a database does not answer; `None` where it does. One that lets nobody more in does.
async fn unreachable(options: &PgConnectOptions) -> Option<(ErrorKind, String)> {
    let place = place(options);
    match tokio::time::timeout(PROBE, PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => {
            drop(connection.close().await);
            None
        }
        Ok(Err(sqlx::Error::Io(why))) => Some((why.kind(), format!("nothing answers at {place}: {why}"))),
        // It is starting, recovering or going down.
        Ok(Err(sqlx::Error::Database(why))) if why.code().is_some_and(|code| code.starts_with("57P")) => {
            Some((ErrorKind::NotConnected, format!("{place} does not serve: {}", why.message())))
        }
        Ok(Err(_)) => None,
        Err(_) => Some((ErrorKind::TimedOut, format!("no answer from {place} within {} s", PROBE.as_secs()))),
    }
}

impl<'p> Executor<'p> for &Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let (mut to, rows) = futures::channel::mpsc::channel(AHEAD);
        let reading = async move {
            match pool.acquire().await {
                Ok(mut connection) => {
                    let mut read = connection.fetch_many(query);
                    while let Some(row) = read.next().await {
                        // Nobody takes them any more.
                        if to.send(row).await.is_err() {
                            break;
                        }
                    }
                }
                Err(error) => drop(to.send(Err(error)).await),
            }
        };
        stream::select(reading.into_stream().filter_map(async |()| None), rows).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        async move { pool.acquire().await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move { pool.acquire().await?.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>> {
        let pool = self.clone();
        async move { pool.acquire().await?.describe(sql).await }.boxed()
    }
}
