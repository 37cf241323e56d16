//! Fields of JSON records: taken out by name, refused by pointer.
//!
//! Knows the spellings in which AWS prints times, tags and documents. Refuses to know what a record
//! means.

use chrono::{DateTime, Utc};
use rolecall_estate::Tags;
use rolecall_estate::aws::FieldError;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::str::FromStr;

/// Why a field, or the record that needs it, could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// JSON pointer within the file.
    pub(super) field: String,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), remedy: remedy.into() }
    }
}

pub(super) type Read<T> = Result<T, Fault>;

/// A JSON object and where it is.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) pointer: String,
}

impl<'a> Item<'a> {
    pub(super) fn new(value: &'a Value, pointer: impl Into<String>) -> Read<Self> {
        let pointer = pointer.into();
        match value.as_object() {
            Some(map) => Ok(Self { map, pointer }),
            None => Err(Fault::new(pointer, "not an object", "give the record as AWS printed it")),
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"))
    }

    /// The value of a key. Null and an empty text count as absent: AWS has neither, and controllers
    /// write both for what is not set.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    fn wrong(&self, key: &str, what: &str) -> Fault {
        Fault::new(self.at(key), format!("not {what}"), "give the record as AWS printed it")
    }

    pub(super) fn maybe_text(&self, key: &str) -> Read<Option<&'a str>> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a text"))).transpose()
    }

    pub(super) fn text(&self, key: &str) -> Read<&'a str> {
        let missing = || Fault::new(self.at(key), "missing", "give the record as AWS printed it");
        self.maybe_text(key)?.ok_or_else(missing)
    }

    /// The text as it stands, an empty one too; null counts as absent.
    pub(super) fn owned(&self, key: &str) -> Read<Option<String>> {
        let value = self.map.get(key).filter(|value| !value.is_null());
        value.map(|value| value.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a text"))).transpose()
    }

    /// An error of a field of this record.
    pub(super) fn fault(&self, error: &FieldError) -> Fault {
        Fault::new(format!("{}{}", self.pointer, error.field), &*error.message, "give the record as AWS printed it")
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Read<T> {
        self.text(key)?
            .parse()
            .map_err(|error: T::Err| Fault::new(self.at(key), error.to_string(), "give the record as AWS printed it"))
    }

    pub(super) fn flag(&self, key: &str) -> Read<Option<bool>> {
        self.get(key).map(|value| value.as_bool().ok_or_else(|| self.wrong(key, "true or false"))).transpose()
    }

    /// The objects of a list; an absent list is empty.
    pub(super) fn items(&self, key: &str) -> Read<Vec<Item<'a>>> {
        Ok(self.maybe_items(key)?.unwrap_or_default())
    }

    /// The objects of a list, where there is one.
    pub(super) fn maybe_items(&self, key: &str) -> Read<Option<Vec<Item<'a>>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| self.wrong(key, "a list"))?;
        let items = list.iter().enumerate().map(|(i, value)| Item::new(value, format!("{}/{i}", self.at(key))));
        items.collect::<Read<_>>().map(Some)
    }

    /// Something of each object of a list, where there is one.
    pub(super) fn each<T>(&self, key: &str, of: impl Fn(&Item<'a>) -> Read<T>) -> Read<Option<Vec<T>>> {
        self.maybe_items(key)?.map(|items| items.iter().map(of).collect()).transpose()
    }

    /// The texts of a list; an absent list is empty.
    pub(super) fn texts(&self, key: &str) -> Read<Vec<String>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| self.wrong(key, "a list"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a list of texts"));
        list.iter().map(text).collect()
    }

    /// An object within.
    pub(super) fn maybe_item(&self, key: &str) -> Read<Option<Item<'a>>> {
        self.get(key).map(|value| Item::new(value, self.at(key))).transpose()
    }

    /// A time: RFC 3339, or seconds since 1970.
    pub(super) fn time(&self, key: &str) -> Read<Option<DateTime<Utc>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let time = match value {
            Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc)),
            Value::Number(seconds) => from_seconds(&seconds.to_string()),
            _ => None,
        };
        time.map(Some).ok_or_else(|| self.wrong(key, "a time such as 2026-01-31T08:00:00Z"))
    }

    /// Tags as IAM prints them (`[{Key, Value}]`) or as EKS does (`{key: value}`).
    pub(super) fn tags(&self, key: &str) -> Read<Tags> {
        match self.get(key) {
            Some(Value::Object(map)) => map
                .iter()
                .map(|(tag, value)| Some((tag.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong(key, "tags with texts for values")),
            _ => {
                let value = |tag: &Item<'_>| match tag.map.get("Value").and_then(Value::as_str) {
                    // A tag may have no value.
                    Some("") => Ok(String::new()),
                    _ => tag.text("Value").map(str::to_owned),
                };
                self.items(key)?.iter().map(|tag| Ok((tag.text("Key")?.to_owned(), value(tag)?))).collect()
            }
        }
    }

    /// A policy document as text, whether it came as text or as JSON.
    pub(super) fn document(&self, key: &str) -> Read<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ Value::Object(_)) => Ok(Some(value.to_string())),
            Some(_) => Err(self.wrong(key, "a policy document")),
        }
    }
}

/// Seconds since 1970 with their fraction, as version 1 of the AWS CLI prints times.
fn from_seconds(text: &str) -> Option<DateTime<Utc>> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds = format!("{fraction:0<9.9}").parse().ok()?;
    DateTime::from_timestamp(seconds.parse().ok()?, nanoseconds)
}
