//! A migrated database of its own for each test.
//!
//! The first test process starts a private PostgreSQL below the workspace's `target`, the others
//! find it running; nobody stops it, so the next run starts at once. A database is a copy of a
//! template that is migrated once for each version of the schema. `ROLECALL_TEST_DATABASE_URL`
//! names a server (and a user who may create databases) to use instead.

use crate::{Error, Limits, MIGRATIONS, Store};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// A database that is nobody else's. A later test process drops it, not this one.
#[derive(Debug, Clone)]
pub struct Database {
    /// Connected to it.
    pub store: Store,
    /// Its address, for programs under test.
    pub url: String,
    options: PgConnectOptions,
}

impl Database {
    /// A connection of its own, for what the store does not offer.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn connect(&self) -> Result<PgConnection, Error> {
        Ok(PgConnection::connect_with(&self.options).await?)
    }

    /// How to connect to it.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

/// Why there is no database for a test.
#[derive(Debug, thiserror::Error)]
#[error("no database for the test: {0}")]
pub struct NoDatabase(String);

fn because(why: impl Display) -> NoDatabase {
    NoDatabase(why.to_string())
}

/// A migrated database of its own.
///
/// # Errors
/// Where there is no PostgreSQL to be had; the text says how to get one.
pub async fn database() -> Result<Database, NoDatabase> {
    let (server, url) = server().await?;
    let mut admin = PgConnection::connect_with(&server.clone().database("postgres")).await.map_err(because)?;
    let template = template(&mut admin, &server).await?;
    clear(&mut admin).await?;
    let name = format!("test_{}_{}", minutes(), Uuid::new_v4().simple());
    let create = format!("create database {name} template {template}");
    sqlx::query(AssertSqlSafe(create)).execute(&mut admin).await.map_err(because)?;
    admin.close().await.map_err(because)?;
    let options = server.database(&name);
    let limits = Limits { connections: 8, wait: Duration::from_secs(30) };
    let store = Store::connect_with(options.clone(), limits).await.map_err(because)?;
    Ok(Database { store, url: url(&name), options })
}

type MakeUrl = Box<dyn Fn(&str) -> String + Send>;

async fn server() -> Result<(PgConnectOptions, MakeUrl), NoDatabase> {
    if let Ok(given) = std::env::var("ROLECALL_TEST_DATABASE_URL") {
        let options = crate::error::read_url(&given).map_err(because)?;
        let (base, query) = match given.split_once('?') {
            Some((base, query)) => (base.to_owned(), format!("?{query}")),
            None => (given, String::new()),
        };
        let authority = base.rsplit_once('/').map_or(base.clone(), |(authority, _)| authority.to_owned());
        return Ok((options, Box::new(move |name| format!("{authority}/{name}{query}"))));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    let server =
        rolecall_postgres::start(&rolecall_postgres::Options::new(target.join("test-pg"))).await.map_err(because)?;
    let (options, url) = (server.options(), server.url());
    // Left running for the next process; dropping our share stops nothing.
    drop(server);
    Ok((options, Box::new(move |name| url.replacen("/rolecall?", &format!("/{name}?"), 1))))
}

/// The template of this schema. The first to come makes it, under an advisory lock.
async fn template(admin: &mut PgConnection, server: &PgConnectOptions) -> Result<String, NoDatabase> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for migration in MIGRATIONS.iter() {
        hash.update(&*migration.checksum);
    }
    let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("template_{hash}");
    sqlx::query("select pg_advisory_lock(7260)").execute(&mut *admin).await.map_err(because)?;
    let exists = sqlx::query_scalar!(r#"select exists (select from pg_database where datname = $1) as "there!""#, name)
        .fetch_one(&mut *admin)
        .await
        .map_err(because)?;
    if !exists {
        let new = format!("{name}_new");
        for sql in [format!("drop database if exists {new}"), format!("create database {new}")] {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *admin).await.map_err(because)?;
        }
        let store = Store::connect_with(server.clone().database(&new), Limits::default()).await.map_err(because)?;
        store.migrate().await.map_err(because)?;
        store.close().await;
        let rename = format!("alter database {new} rename to {name}");
        sqlx::query(AssertSqlSafe(rename)).execute(&mut *admin).await.map_err(because)?;
    }
    sqlx::query("select pg_advisory_unlock(7260)").execute(&mut *admin).await.map_err(because)?;
    Ok(name)
}

/// Minutes of the system's clock: how old a test's database is stands in its name.
fn minutes() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs() / 60
}

/// Drops the databases of tests that are over (old, and nobody is connected to them) once there
/// are many. The first drop waits for a checkpoint of all that tests ever wrote, which takes
/// seconds; so it is done seldom, by one process, and for all of them at once.
async fn clear(admin: &mut PgConnection) -> Result<(), NoDatabase> {
    const MANY: usize = 150;
    let old = i64::try_from(minutes().saturating_sub(15)).unwrap_or_default();
    let left = sqlx::query_scalar!(
        r#"select datname::text as "name!" from pg_database d
           where datname like 'test\_%' and split_part(datname, '_', 2)::bigint < $1
             and not exists (select from pg_stat_activity a where a.datname = d.datname)"#,
        old
    )
    .fetch_all(&mut *admin)
    .await
    .map_err(because)?;
    if left.len() < MANY {
        return Ok(());
    }
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_lock(7261) as "ours!""#)
        .fetch_one(&mut *admin)
        .await
        .map_err(because)?;
    // The lock goes with the connection.
    for name in left.into_iter().filter(|_| ours) {
        // A test that is being looked at by hand keeps its database.
        drop(sqlx::query(AssertSqlSafe(format!("drop database if exists {name}"))).execute(&mut *admin).await);
    }
    Ok(())
}
