//! Rows become domain values here: text from the database is parsed, and what does not parse is a
//! corrupt row with its table and key.

use crate::Error;
use rolecall_iam::{AccountId, Digest};
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::str::FromStr;

/// A text column that must parse.
pub(crate) fn text<T>(table: &'static str, key: &(impl Display + ?Sized), value: &str) -> Result<T, Error>
where
    T: FromStr,
    T::Err: Display,
{
    value.parse().map_err(|why: T::Err| Error::corrupt(table, key.to_string(), why.to_string()))
}

/// An account id column.
pub(crate) fn account(table: &'static str, value: &str) -> Result<AccountId, Error> {
    text(table, value, value)
}

/// A digest column.
pub(crate) fn digest(table: &'static str, key: &(impl Display + ?Sized), value: &[u8]) -> Result<Digest, Error> {
    <[u8; 32]>::try_from(value)
        .map(Digest::from)
        .map_err(|_| Error::corrupt(table, key.to_string(), "the digest has not 32 bytes"))
}

/// A jsonb column that must have a shape.
pub(crate) fn json<T: DeserializeOwned>(
    table: &'static str,
    key: &(impl Display + ?Sized),
    value: serde_json::Value,
) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|why| Error::corrupt(table, key.to_string(), why.to_string()))
}

/// An enum that is kept by its snake-case serde name.
pub(crate) fn name<T: DeserializeOwned>(
    table: &'static str,
    key: &(impl Display + ?Sized),
    value: &str,
) -> Result<T, Error> {
    json(table, key, serde_json::Value::String(value.to_owned()))
}

/// A count that the database gives as `bigint`.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// A limit for the database.
pub(crate) fn limit(value: u32) -> i64 {
    i64::from(value)
}

/// JSON of a value whose `Serialize` cannot fail (string keys only).
pub(crate) fn to_json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
}
