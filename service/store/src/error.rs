//! What can go wrong between us and the database, in words a person can act on.
//!
//! Knows SQLSTATEs and where a connection was to go. Refuses to show a password.

use sqlx::postgres::PgConnectOptions;
use std::io::ErrorKind;

pub(crate) const UNDEFINED_TABLE: &str = "42P01";
pub(crate) const DUPLICATE_TABLE: &str = "42P07";
pub(crate) const UNIQUE_VIOLATION: &str = "23505";
const TOO_MANY_CONNECTIONS: &str = "53300";
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text given is no database URL.
    #[error("the database URL is not valid: {why}; one such as `postgresql://user@host/rolecall` is needed")]
    Url {
        /// What is wrong with it; never the URL itself, which may hold a password.
        why: String,
    },
    /// Nothing listens there.
    #[error("nothing answers at {place}: start PostgreSQL there, or correct the database URL")]
    Refused {
        /// Host and port, or socket.
        place: String,
    },
    /// The host cannot be found or reached.
    #[error("cannot reach {place}: {why}")]
    Unreachable {
        /// Host and port, or socket.
        place: String,
        /// What the system said.
        why: String,
    },
    /// No answer in time.
    #[error("no answer from {place} within {seconds} s")]
    NoAnswer {
        /// Host and port, or socket.
        place: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The server does not let us in.
    #[error("{place} refuses the sign-in: {why}; check user and password in the database URL")]
    SignIn {
        /// Host and port, or socket.
        place: String,
        /// What the server said.
        why: String,
    },
    /// The server has no such database.
    #[error("{place} has no such database: {why}; create it with `createdb`, or correct the database URL")]
    NoDatabase {
        /// Host and port, or socket.
        place: String,
        /// What the server said.
        why: String,
    },
    /// The schema was made by a later version.
    #[error("the database has schema {found}, this program knows {known}: run a newer rolecall")]
    SchemaNewer {
        /// In the database.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// The schema is missing or of an earlier version.
    #[error("the database has schema {found}, this program needs {known}: run `rolecall migrate`")]
    SchemaOlder {
        /// In the database.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// A migration failed.
    #[error("cannot bring the schema up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Another run is writing its snapshot.
    #[error("another run is collecting into this database: wait until it has ended")]
    SnapshotBusy,
    /// A later run has already written its snapshot.
    #[error("run {run} is older than a snapshot that is already here: begin a new run")]
    SnapshotOutdated {
        /// The run that came late.
        run: crate::RunId,
    },
    /// There is no run of that number.
    #[error("there is no run {0}")]
    NoRun(crate::RunId),
    /// A row that this program cannot read.
    #[error("{table} holds a row that cannot be read: {key}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// Which row.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// The connection broke, or the server went away, before or in the middle of the work.
    #[error("the database is away: {why}")]
    Lost {
        /// What was noticed.
        why: String,
    },
    /// The database answers, and no connection to it became free in time.
    #[error("all connections to the database are busy")]
    Busy,
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(why) => Self::Lost { why: why.to_string() },
            sqlx::Error::PoolClosed => Self::Lost { why: "the connections were closed".to_owned() },
            sqlx::Error::WorkerCrashed => Self::Lost { why: "the connection's task ended".to_owned() },
            sqlx::Error::Database(why) => match why.code().as_deref() {
                // Going down, starting, or a connection that was ended; a connection that broke.
                Some(code) if code.starts_with("57P") || code.starts_with("08") => {
                    Self::Lost { why: why.message().to_owned() }
                }
                Some(TOO_MANY_CONNECTIONS) => Self::Busy,
                _ => Self::Database(sqlx::Error::Database(why)),
            },
            other => Self::Database(other),
        }
    }
}

impl Error {
    /// What a failed first connection means.
    pub(crate) fn connecting(place: String, error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(why) => match why.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::Refused { place },
                _ => Self::Unreachable { place, why: why.to_string() },
            },
            sqlx::Error::Database(why) => {
                let text = why.message().to_owned();
                match why.code().as_deref().unwrap_or_default() {
                    code if code.starts_with("28") => Self::SignIn { place, why: text },
                    "3D000" => Self::NoDatabase { place, why: text },
                    _ => Self::Unreachable { place, why: text },
                }
            }
            sqlx::Error::Configuration(why) => Self::Url { why: why.to_string() },
            other => Self::Unreachable { place, why: other.to_string() },
        }
    }

    pub(crate) fn corrupt(table: &'static str, key: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Corrupt { table, key: key.into(), why: why.into() }
    }
}

/// Whether a statement failed with this SQLSTATE.
pub(crate) fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|e| e.code().map(|found| found == code)).unwrap_or(false)
}

/// Reads a database URL.
pub(crate) fn read_url(url: &str) -> Result<PgConnectOptions, Error> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(Error::Url { why: "it does not begin with `postgresql://`".to_owned() });
    }
    url.parse().map_err(|why: sqlx::Error| Error::Url {
        why: match why {
            sqlx::Error::Configuration(inner) => inner.to_string(),
            other => other.to_string(),
        },
    })
}

/// Where a connection goes, for messages.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        for bad in ["mysql://u:secret@h/db", "secret", "postgresql://u:secret@host:notaport/db"] {
            let text = read_url(bad).unwrap_err().to_string();
            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("postgresql://user@host/rolecall"), "{text}");
        }
    }
}
