//! The values that rules compute with, and what it means not to know one.
//!
//! `Unknown` is a value like any other and carries its reasons; a list may be known in part. Cloning
//! any value costs at most one reference count. Refuses to know which objects there are.

use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::Reason;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// At most so many reasons are kept of one unknown.
const REASONS_KEPT: usize = 16;

/// Why something is not known: reasons, sorted, without repetition.
///
/// INVARIANT: never empty, at most `REASONS_KEPT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reasons(Arc<Vec<Reason>>);

impl Reasons {
    /// One reason.
    #[must_use]
    pub fn one(why: impl Into<Reason>) -> Self {
        Self(Arc::new(vec![why.into()]))
    }

    /// Several reasons; `None` where there is none.
    #[must_use]
    pub fn several(why: impl IntoIterator<Item = impl Into<Reason>>) -> Option<Self> {
        let mut list: Vec<Reason> = why.into_iter().map(Into::into).collect();
        list.sort();
        list.dedup();
        list.truncate(REASONS_KEPT);
        if list.is_empty() { None } else { Some(Self(Arc::new(list))) }
    }

    /// Both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        if Arc::ptr_eq(&self.0, &other.0) || self == other {
            return self.clone();
        }
        Self::several(self.0.iter().chain(other.0.iter()).cloned()).unwrap_or_else(|| self.clone())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        self.0.iter()
    }

    /// The reasons as they go into an outcome.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Reason> {
        self.0.to_vec()
    }

    /// All of them as one, for a sentence that holds them.
    #[must_use]
    pub fn joined(&self) -> Reason {
        Reason::joined(self.iter())
    }
}

/// Something with typed fields, as the schema declares them.
///
/// Fields are asked for by their index in the declaration, which the checker resolved at load.
pub trait Object: Any + Send + Sync + fmt::Debug {
    /// The field's value, of the declared type, `Null` for an absent optional one, or `Unknown`.
    fn get(&self, field: usize) -> Value;

    /// What this object answers when the method is called on it, in place of the schema's function.
    /// Only objects made of test fixtures state answers.
    fn answer(&self, method: &str) -> Option<Value> {
        let _ = method;
        None
    }
}

/// A list, known whole or in part.
#[derive(Clone, Debug)]
pub struct List {
    items: Arc<[Value]>,
    missing: Option<Reasons>,
}

impl List {
    /// A list of which every element is there. Elements may themselves be unknown.
    #[must_use]
    pub fn whole(items: impl Into<Arc<[Value]>>) -> Self {
        Self { items: items.into(), missing: None }
    }

    /// A list that has at least these elements, and perhaps others.
    #[must_use]
    pub fn partial(items: impl Into<Arc<[Value]>>, why: Reasons) -> Self {
        Self { items: items.into(), missing: Some(why) }
    }

    /// The elements that were seen.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    /// Why there may be more elements; `None` where there are not.
    #[must_use]
    pub fn missing(&self) -> Option<&Reasons> {
        self.missing.as_ref()
    }
}

/// A value of the rule language.
#[derive(Clone, Debug)]
pub enum Value {
    /// Absent.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Text.
    Str(Arc<str>),
    /// A moment.
    Timestamp(DateTime<Utc>),
    /// A span of time.
    Duration(TimeDelta),
    /// A list, perhaps known only in part.
    List(List),
    /// A map by text.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
    /// An object of the schema.
    Object(Arc<dyn Object>),
    /// A compiled pattern, from a parameter of type `regex`.
    Regex(Arc<regex::Regex>),
    /// JSON that rules may pass on as evidence and not look into.
    Json(Arc<serde_json::Value>),
    /// Not known, and why.
    Unknown(Reasons),
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(s: impl Into<Arc<str>>) -> Self {
        Self::Str(s.into())
    }

    /// Not known, for one reason.
    #[must_use]
    pub fn unknown(why: impl Into<Reason>) -> Self {
        Self::Unknown(Reasons::one(why))
    }

    /// An object.
    #[must_use]
    pub fn object(object: impl Object) -> Self {
        Self::Object(Arc::new(object))
    }

    /// A list of which every element is there.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Self::List(List::whole(items.into_iter().collect::<Vec<_>>()))
    }

    /// A list that is complete, or partial where there are reasons.
    #[must_use]
    pub fn list_seen(items: impl IntoIterator<Item = Value>, missing: Option<Reasons>) -> Self {
        let items: Arc<[Value]> = items.into_iter().collect::<Vec<_>>().into();
        Self::List(List { items, missing })
    }

    /// A list of texts.
    #[must_use]
    pub fn texts<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::list(items.into_iter().map(|s| Self::Str(Arc::from(s.as_ref()))))
    }

    /// The value, or `Null`.
    #[must_use]
    pub fn optional(value: Option<impl Into<Value>>) -> Self {
        value.map_or(Self::Null, Into::into)
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(s) = self { Some(s) } else { None }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

    /// The number, if it is a whole one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(n) = self { Some(*n) } else { None }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The object as the Rust type behind it: what native functions begin with.
    #[must_use]
    pub fn downcast<T: Object>(&self) -> Option<&T> {
        let Self::Object(object) = self else { return None };
        let any: &dyn Any = object.as_ref();
        any.downcast_ref()
    }

    /// What the value is called in messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Double(_) => "a double",
            Self::Str(_) => "a string",
            Self::Timestamp(_) => "a timestamp",
            Self::Duration(_) => "a duration",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Object(_) => "an object",
            Self::Regex(_) => "a regex",
            Self::Json(_) => "json",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The value as JSON; objects and unknowns become their description.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(n) => (*n).into(),
            Self::Double(n) => (*n).into(),
            Self::Str(s) => s.as_ref().into(),
            Self::Timestamp(t) => t.to_rfc3339().into(),
            Self::Duration(d) => super::text::print_duration(*d).into(),
            Self::List(list) => list.items.iter().map(Self::to_json).collect(),
            Self::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect())
            }
            Self::Object(_) => "an object".into(),
            Self::Regex(regex) => regex.as_str().into(),
            Self::Json(json) => json.as_ref().clone(),
            Self::Unknown(why) => serde_json::json!({ "unknown": why.to_vec() }),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(value: Arc<str>) -> Self {
        Self::Str(value)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(value: DateTime<Utc>) -> Self {
        Self::Timestamp(value)
    }
}

impl From<TimeDelta> for Value {
    fn from(value: TimeDelta) -> Self {
        Self::Duration(value)
    }
}

/// Two values are the same if they print the same; objects, if they are one and the same.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::List(a), Self::List(b)) => a.items == b.items && a.missing == b.missing,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b),
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            (Self::Json(a), Self::Json(b)) => a == b,
            (Self::Unknown(a), Self::Unknown(b)) => a == b,
            _ => false,
        }
    }
}
