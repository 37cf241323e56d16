//! The database of this process: the one that was given, or a private one of our own.
//!
//! Knows which of the two, and that a private one is started again where it dies, and stopped when
//! the work is done. Refuses to know SQL.

pub mod place;

use crate::error::{Error, chain};
use crate::progress::Progress;
use rolecall_store::{Limits, Store};
use std::path::{Path, PathBuf};

/// Which database the options name.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--database-url`: a PostgreSQL of the operator's own.
    pub url: Option<String>,
    /// `--data-dir`: where the private one and its binaries are.
    pub data_dir: Option<PathBuf>,
    /// `--pg-bindir`: its binaries, where they are elsewhere.
    pub bin_dir: Option<PathBuf>,
}

/// An open database.
pub struct Database {
    /// The door to it.
    pub store: Store,
    server: Option<rolecall_postgres::Server>,
}

/// What is done about a schema that is not up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Brought up to date, whatever it is.
    Migrate,
    /// Made in an empty database and in a private one; otherwise it must be up to date, since other
    /// processes of an older version may be using it.
    Check,
    /// As [`Schema::Check`], and there must be a database already: who reads from a new one by a mistyped
    /// option would take its emptiness for an answer.
    Existing,
}

impl Database {
    /// Opens the database that the options name.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do.
    pub async fn open(named: &Options, schema: Schema, progress: &Progress) -> Result<(Self, usize), Error> {
        let limits = Limits::default();
        let (store, server) = match &named.url {
            Some(url) => (Store::connect(url, limits).await?, None),
            None => {
                progress.step("Starting the private PostgreSQL");
                let folder = place::data_dir(named.data_dir.clone());
                if schema == Schema::Existing && !rolecall_postgres::has_cluster(&folder) {
                    return Err(no_database(&folder));
                }
                let mut options = rolecall_postgres::Options::new(folder);
                options.bin_dir = named.bin_dir.clone();
                let server = rolecall_postgres::start(&options).await?;
                match Store::connect_with(server.options(), limits).await {
                    Ok(store) => (store, Some(server)),
                    Err(error) => {
                        stop(server).await;
                        return Err(error.into());
                    }
                }
            }
        };
        let private = server.is_some();
        let database = Self { store, server };
        let ready = match (schema, database.store.check_schema().await) {
            (_, Ok(())) => Ok(0),
            (Schema::Migrate, Err(rolecall_store::Error::SchemaOlder { .. })) => database.store.migrate().await,
            (Schema::Existing, Err(rolecall_store::Error::SchemaOlder { found: 0, .. })) => {
                database.close().await;
                return Err(Error::Usage {
                    what: "the database holds nothing of Rolecall".to_owned(),
                    remedy: "check the database URL, or begin with `rolecall scan` or `rolecall import`".to_owned(),
                });
            }
            (Schema::Check | Schema::Existing, Err(rolecall_store::Error::SchemaOlder { found, .. }))
                if private || found == 0 =>
            {
                database.store.migrate().await
            }
            (_, Err(error)) => Err(error),
        };
        match ready {
            Ok(migrations) => Ok((database, migrations)),
            Err(error) => {
                database.close().await;
                Err(error.into())
            }
        }
    }

    /// Starts a private server again as often as it dies. Ends only where that does not help any more.
    pub async fn supervise(&self) -> Error {
        match &self.server {
            Some(server) => server.supervise().await.into(),
            // Another's server is started again by others.
            None => std::future::pending().await,
        }
    }

    /// Closes the connections, and stops the server if it is ours and nobody else uses it.
    pub async fn close(self) {
        self.store.close().await;
        if let Some(server) = self.server {
            stop(server).await;
        }
    }
}

/// A data folder without a database. The demo keeps its own in a folder below.
fn no_database(folder: &Path) -> Error {
    let demo = folder.join("demo");
    let remedy = if rolecall_postgres::has_cluster(&demo) {
        format!("the demo's database is there: give `--data-dir {}`", demo.display())
    } else {
        "check --data-dir, or begin with `rolecall scan` or `rolecall import`".to_owned()
    };
    Error::Usage { what: format!("there is no database in {}", folder.display()), remedy }
}

async fn stop(server: rolecall_postgres::Server) {
    if let Err(error) = server.stop().await {
        tracing::warn!(error = chain(&error), "the private PostgreSQL did not stop cleanly");
    }
}
