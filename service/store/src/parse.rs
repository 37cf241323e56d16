//! Rows become domain values here: text from the database is parsed, and what does not parse is a
//! corrupt row with its table and key.

use crate::Error;
use rolecall_iam::{AccountId, Digest};
use rolecall_rules::Severity;
use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Postgres, Type, TypeInfo as _, ValueRef as _};
use std::fmt::Display;
use std::str::FromStr;

/// The first byte of a jsonb value as PostgreSQL sends it.
const JSONB_VERSION: u8 = 1;

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

/// The text of a jsonb column. It is parsed once, into the shape that it must have: a tree of values between costs more
/// than the text and the shape together.
#[derive(Debug, Clone)]
pub(crate) struct JsonText(String);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <serde_json::Value as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <serde_json::Value as Type<Postgres>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Postgres> for JsonText {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let is_binary = value.format() == PgValueFormat::Binary && value.type_info().name() == "JSONB";
        let bytes = value.as_bytes()?;
        let text = match (is_binary, bytes) {
            (false, text) | (true, [JSONB_VERSION, text @ ..]) => text,
            (true, _) => return Err("a version of jsonb that this program does not read".into()),
        };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }
}

/// A jsonb column that must have a shape.
pub(crate) fn json<T: DeserializeOwned>(
    table: &'static str,
    key: &(impl Display + ?Sized),
    column: &JsonText,
) -> Result<T, Error> {
    json_of(table, key, &column.0)
}

/// A value that is kept as JSON, from its text.
pub(crate) fn json_of<T: DeserializeOwned>(
    table: &'static str,
    key: &(impl Display + ?Sized),
    text: &str,
) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|why| Error::corrupt(table, key.to_string(), why.to_string()))
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

/// The longest name, in bytes, that stands in an index. An entry of a B-tree has room for 2,704 bytes,
/// and what stands beside the name is short; the longest ARN of AWS has 2,048.
pub(crate) const INDEXED: usize = 2_048;
/// The longest text where several stand in one entry.
const INDEXED_BESIDE: usize = 512;
/// Begins an escape in a document that is kept: the picture of NUL.
const ESCAPE: char = '\u{2400}';

/// JSON text that PostgreSQL takes, in one order: its texts are [`storable`], and keys are sorted, so
/// that what comes back from jsonb has the same text again.
pub(crate) fn json_text(value: &impl serde::Serialize) -> String {
    let mut value = to_json(value);
    value.sort_all_objects();
    let text = value.to_string();
    if text.contains("\\u0000") { storable_json(value).to_string() } else { text }
}

fn storable_json(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(storable(&text)),
        Value::Array(items) => items.into_iter().map(storable_json).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (storable(&key), storable_json(value))).collect()
        }
        other => other,
    }
}

/// Text that PostgreSQL takes. It cannot hold NUL: `␀`, the picture of it, stands in its place. What
/// was read back and is written again stays as it is.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "␀")
}

/// A document's text, as PostgreSQL takes it, which [`document`] gives back as it was: NUL is kept as
/// `␀0`, and `␀` twice.
pub(crate) fn storable_document(text: &str) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text.to_owned();
    }
    let mut kept = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => kept.extend([ESCAPE, '0']),
            ESCAPE => kept.extend([ESCAPE, ESCAPE]),
            other => kept.push(other),
        }
    }
    kept
}

/// The text of a document that was made storable.
pub(crate) fn document(kept: String) -> String {
    if !kept.contains(ESCAPE) {
        return kept;
    }
    let mut text = String::with_capacity(kept.len());
    let mut rest = kept.chars().peekable();
    while let Some(c) = rest.next() {
        let second = if c == ESCAPE { rest.next_if(|next| matches!(*next, '0' | ESCAPE)) } else { None };
        text.push(if second == Some('0') { '\0' } else { c });
    }
    text
}

/// Whether a name can stand in an index as it is.
pub(crate) fn is_indexable(name: &str) -> bool {
    name.len() <= INDEXED && storable(name).len() <= INDEXED
}

/// Storable text of an index. What is too long keeps its beginning, and the digest of the whole in the
/// place of the rest: two texts that differ stay two.
pub(crate) fn indexed(text: &str) -> String {
    at_most(INDEXED, storable(text))
}

/// Storable text that stands in an index beside other texts.
pub(crate) fn indexed_beside(text: &str) -> String {
    at_most(INDEXED_BESIDE, storable(text))
}

fn at_most(limit: usize, text: String) -> String {
    if text.len() <= limit {
        return text;
    }
    let end = format!("\u{2026}sha256:{}", Digest::sha256(text.as_bytes()));
    let head = text.floor_char_boundary(limit.saturating_sub(end.len()));
    format!("{}{end}", text.get(..head).unwrap_or_default())
}

/// The rank that the column `severity_rank` holds.
pub(crate) fn severity_rank(severity: Severity) -> i16 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

/// The severity of a rank that the column `severity_rank` holds.
pub(crate) fn severity_of(rank: i16) -> Severity {
    match rank {
        4.. => Severity::Critical,
        3 => Severity::High,
        2 => Severity::Medium,
        1 => Severity::Low,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_real_nul_is_escaped() {
        assert_eq!(json_text(&json!({"b": "x\u{0}y", "a\u{0}": 1})), r#"{"a␀":1,"b":"x␀y"}"#);
        assert_eq!(json_text(&json!("a \\u0000 that is only text")), r#""a \\u0000 that is only text""#);
    }

    #[test]
    fn a_document_comes_back_and_a_name_stays() {
        for text in ["", "a", "\0", "a\0b", "␀", "␀0", "\0␀\0", "␀␀0", "0\0␀"] {
            let kept = storable_document(text);
            assert!(!kept.contains('\0'));
            assert_eq!(document(kept), text);
            let name = storable(text);
            assert!(!name.contains('\0') && storable(&name) == name);
        }
        assert_eq!(document("a ␀ alone".to_owned()), "a ␀ alone");
    }

    #[test]
    fn a_long_text_is_cut_and_stays_itself() {
        for (a, b) in [("x".repeat(3000), "x".repeat(3001)), ("é".repeat(2000), "\0".repeat(2000))] {
            let (a, b) = (indexed(&a), indexed(&b));
            assert!(a.len() <= INDEXED && b.len() <= INDEXED && a != b, "{a} {b}");
        }
        assert_eq!(indexed("as it is"), "as it is");
        assert!(indexed_beside(&"x".repeat(600)).len() <= INDEXED_BESIDE);
    }
}
