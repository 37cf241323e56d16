//! How a fact is declared: name, type, sentence and code in one place, so that none can drift.

use crate::access::answer::{self, Known, Listed, Partial};
use chrono::{DateTime, Utc};
use rolecall_iam::{Digest, Document, DocumentError, Site, Truth};
use rolecall_rules::{Evidence, Object, ObjectType, Reasons, Type, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A field of an object that rules see.
pub(super) struct Def<T> {
    name: &'static str,
    ty: fn() -> Type,
    doc: &'static str,
    fixture: Option<fn() -> Value>,
    get: fn(&T) -> Value,
}

impl<T> Def<T> {
    pub(super) const fn new(name: &'static str, ty: fn() -> Type, doc: &'static str, get: fn(&T) -> Value) -> Self {
        Self { name, ty, doc, fixture: None, get }
    }

    /// What a test fixture has that does not state the field.
    pub(super) const fn or(self, fixture: fn() -> Value) -> Self {
        Self { fixture: Some(fixture), ..self }
    }
}

/// An object that rules see.
pub(super) trait Facts: fmt::Debug + Send + Sync + Sized + 'static {
    const NAME: &'static str;
    const DOC: &'static str;
    const FIELDS: &'static [Def<Self>];

    fn object_type() -> ObjectType {
        Self::FIELDS.iter().fold(ObjectType::new(Self::NAME, Self::DOC), |object, field| match field.fixture {
            None => object.field(field.name, (field.ty)(), field.doc),
            Some(fixture) => object.field_with(field.name, (field.ty)(), field.doc, fixture()),
        })
    }

    fn into_value(self) -> Value {
        Value::object(View(self))
    }
}

/// The door between facts and the engine.
#[derive(Debug)]
pub(super) struct View<T>(pub(super) T);

impl<T: Facts> Object for View<T> {
    fn get(&self, field: usize) -> Value {
        match T::FIELDS.get(field) {
            Some(def) => (def.get)(&self.0),
            None => Value::unknown(format!("{} has no field {field}", T::NAME)),
        }
    }
}

/// Text of any kind.
pub(super) fn text(s: &str) -> Value {
    Value::text(s)
}

/// Text that may be absent.
pub(super) fn maybe(s: Option<&str>) -> Value {
    s.map_or(Value::Null, text)
}

/// A number of things.
pub(super) fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What the engine of the policy language answers.
pub(super) fn truth(truth: &Truth) -> Value {
    flag(answer::known(truth))
}

/// Whether something is so.
pub(super) fn flag(known: Known<bool>) -> Value {
    known.map_or_else(Value::Unknown, Value::Bool)
}

/// A moment.
pub(super) fn moment(known: &Known<DateTime<Utc>>) -> Value {
    match known {
        Ok(at) => (*at).into(),
        Err(why) => Value::Unknown(why.clone()),
    }
}

/// A value, or why there is none.
pub(super) fn value(known: Known<Value>) -> Value {
    known.unwrap_or_else(Value::Unknown)
}

/// A value, unless there are reasons not to believe it.
pub(super) fn unless(why: Option<&Reasons>, value: impl FnOnce() -> Value) -> Value {
    why.map_or_else(value, |why| Value::Unknown(why.clone()))
}

/// A list of objects, known whole or in part.
pub(super) fn objects<T: Facts>(found: Partial<T>) -> Value {
    Value::list_seen(found.items.into_iter().map(Facts::into_value), found.missing)
}

/// As [`objects`], or why nothing can be said.
pub(super) fn listed<T: Facts>(found: Listed<T>) -> Value {
    found.map_or_else(Value::Unknown, objects)
}

/// The digest of a document, as text.
pub(super) fn digest(digest: Option<&Digest>) -> Value {
    digest.map_or(Value::Null, |digest| text(&digest.to_string()))
}

/// Tags of a resource, as a map.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Value {
    Value::Map(Arc::new(tags.iter().map(|(key, value)| (Arc::from(key.as_str()), text(value))).collect()))
}

/// A statement that decided, as evidence.
pub(super) fn evidence(label: &str, site: &Site) -> Evidence {
    Evidence {
        label: label.to_owned(),
        document: Some(site.document),
        source: site.source.to_string(),
        pointer: site.pointer().to_owned(),
        value: site.value().clone(),
    }
}

/// Statements that decided, as a list of evidence.
pub(super) fn evidences(label: &str, sites: &[Site]) -> Value {
    Value::list(sites.iter().map(|site| Value::object(evidence(label, site))))
}

/// A fact that no document holds, as evidence.
pub(super) fn fact(label: &str, source: String, value: serde_json::Value) -> Value {
    Value::object(Evidence { label: label.to_owned(), document: None, source, pointer: String::new(), value })
}

/// A document that does not parse, as evidence: its whole text and the place.
pub(super) fn unreadable(source: &str, document: &Document, error: &DocumentError) -> Value {
    Value::object(Evidence {
        label: format!("cannot be read: {error}"),
        document: Some(document.digest),
        source: source.to_owned(),
        pointer: error.pointer.clone(),
        value: document.text.chars().take(2_000).collect::<String>().into(),
    })
}
