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

/// JSON text that PostgreSQL takes, in one order: NUL, which jsonb cannot hold, is replaced, and
/// keys are sorted, so that what comes back from jsonb has the same text again.
pub(crate) fn json_text(value: &impl serde::Serialize) -> String {
    let mut value = to_json(value);
    value.sort_all_objects();
    let text = value.to_string();
    if text.contains("\\u0000") { without_nul(value).to_string() } else { text }
}

fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(clean(&text)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (clean(&key), without_nul(value))).collect(),
        other => other,
    }
}

/// Text that PostgreSQL takes: it cannot hold NUL.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_real_nul_is_replaced() {
        assert_eq!(json_text(&json!({"b": "x\u{0}y", "a\u{0}": 1})), "{\"a\u{fffd}\":1,\"b\":\"x\u{fffd}y\"}");
        assert_eq!(json_text(&json!("a \\u0000 that is only text")), r#""a \\u0000 that is only text""#);
    }
}
