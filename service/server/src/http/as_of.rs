//! A moment that has passed, as a request names it.
//!
//! Parsed once, here: the rest of a request knows the snapshot that it means. Refuses to know what is shown of it.

use super::error::{AppError, Code, FieldError};
use super::query::{Kind, Param, Params, encode, moment, param};
use crate::error::Error;
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall_store::{AsOf, NotThen, Store};

/// The parameter, the same for pages, API and export.
pub(crate) const AT: Param = param(
    "at",
    Kind::Moment,
    "As it was known at this time, an RFC 3339 instant, or a day, which stands for its last moment in UTC. Findings and \
     owners are not told of a time that has passed.",
);

/// Why a request cannot be answered as of a moment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AsOfError {
    /// The database fails.
    #[error(transparent)]
    Store(#[from] rolecall_store::Error),
    /// There is nothing to tell of it.
    #[error("{0}")]
    Never(String),
}

impl From<AsOfError> for AppError {
    fn from(error: AsOfError) -> Self {
        match error {
            AsOfError::Store(error) => error.into(),
            AsOfError::Never(message) => {
                let fault = FieldError { parameter: AT.name.to_owned(), message };
                Self::of_fields(Code::InvalidParameter, vec![fault])
            }
        }
    }
}

/// What a command says that named such a moment.
pub(crate) fn usage_error(error: AsOfError) -> Error {
    match error {
        AsOfError::Store(error) => error.into(),
        AsOfError::Never(what) => Error::Usage { what, remedy: "name another time with --at".to_owned() },
    }
}

/// The moment that parameters name; `None`: now.
pub(crate) async fn of(store: &Store, params: &Params) -> Result<Option<AsOf>, AsOfError> {
    let Some(given) = params.text(AT.name) else { return Ok(None) };
    if !params.list("owner").is_empty() || !params.list("owned").is_empty() {
        let message = "`at`: whose something is is told of the present only; leave out `at`, or `owner` and `owned`";
        return Err(AsOfError::Never(message.to_owned()));
    }
    named(store, given).await.map(Some)
}

/// The moment that a text names.
pub(crate) async fn named(store: &Store, given: &str) -> Result<AsOf, AsOfError> {
    let unread = || AT.kind.parse(given).err().unwrap_or_default();
    let at = moment(given).ok_or_else(|| AsOfError::Never(format!("`at`: {}", unread())))?;
    match store.as_of(at).await? {
        Ok(as_of) => Ok(as_of),
        Err(NotThen::Future) => {
            Err(AsOfError::Never(format!("`at`: `{given}` is still to come; leave it out for the latest scan")))
        }
        Err(NotThen::BeforeFirst(None)) => Err(AsOfError::Never("`at`: no scan has finished yet".to_owned())),
        Err(NotThen::BeforeFirst(Some(first))) => {
            let first = written(first);
            Err(AsOfError::Never(format!("`at`: `{given}` is before the first scan that is kept, of {first}")))
        }
    }
}

/// What a page says of a moment that has passed, and how its links keep to it.
#[derive(Debug, Clone)]
pub(crate) struct AsOfBanner {
    /// The moment.
    pub(crate) at: String,
    /// When the snapshot was made that it shows.
    pub(crate) scanned_at: String,
    /// The same page as of now.
    pub(crate) now: String,
    /// What links to the inventory end with.
    pub(crate) suffix: String,
}

impl AsOfBanner {
    /// Of a page at `path`, whose query is `params`.
    pub(crate) fn new(as_of: AsOf, path: &str, params: &Params) -> Self {
        Self::leading_back(as_of, params.text(AT.name).unwrap_or_default(), params.without(AT.name).link(path))
    }

    /// Of a page that was asked for as of `given`, with the address of the same as of now.
    pub(crate) fn leading_back(as_of: AsOf, given: &str, now: String) -> Self {
        Self {
            at: written(as_of.at()),
            scanned_at: written(as_of.scanned_at()),
            now,
            suffix: format!("?{}={}", AT.name, encode(given)),
        }
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
