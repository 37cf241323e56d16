//! What infrastructure code declares of roles and associations, as facts.
//!
//! Where nobody gave any code, or it declares nothing of the place, there is no such fact: a rule that asks for it
//! does not concern the subject.

use super::view::{Def, Facts, count, fact, maybe, text};
use crate::access::index::AccessIndex;
use crate::declared::{Difference, Row, Status};
use crate::label::{Access, Effect};
use crate::resource::ResourceType;
use rolecall_estate::declared::{Format, Place};
use rolecall_iam::AccountId;
use rolecall_rules::{Reasons, Type, Value};
use std::sync::Arc;

/// A value of more bytes is not repeated in a sentence.
const SHORT: usize = 100;

/// What is declared of a role or an association; `null` where nothing is and nothing has to be.
pub(super) fn of(index: &AccessIndex, kind: ResourceType, name: &str) -> Value {
    let row = index.declared.of(kind, name);
    row.map_or(Value::Null, |row| DeclaredFacts(Arc::clone(row)).into_value())
}

/// What of an account is declared and not there.
pub(super) fn missing(index: &AccessIndex, account: AccountId) -> Value {
    let (rows, undecided) = index.declared.missing(account);
    let why = Reasons::several(undecided.iter().cloned());
    Value::list_seen(rows.iter().map(|row| MissingFacts(Arc::clone(row)).into_value()), why)
}

/// A resource, as it is declared and as it is there.
#[derive(Debug)]
pub(super) struct DeclaredFacts(Arc<Row>);

impl DeclaredFacts {
    fn why(&self) -> Option<Reasons> {
        Reasons::several(self.0.unknown.iter().cloned())
    }

    fn unknown(&self) -> Value {
        self.why().map_or_else(|| Value::unknown("it is not decided"), Value::Unknown)
    }
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}

fn place_json(place: Option<&Place>) -> serde_json::Value {
    place.map_or(
        serde_json::Value::Null,
        |place| serde_json::json!({"file": place.file, "line": place.line, "address": place.address}),
    )
}

/// Where a resource is declared, as evidence.
fn declared_here(row: &Row) -> Value {
    let source = row.place.as_ref().map_or_else(|| "infrastructure code".to_owned(), at);
    let mut value = place_json(row.place.as_ref());
    if let (Some(format), Some(fields)) = (row.format, value.as_object_mut()) {
        fields.insert("format".to_owned(), format.as_str().into());
    }
    let label = if row.place.is_some() { "declared here" } else { "declared nowhere" };
    fact(label, source, value)
}

impl Facts for DeclaredFacts {
    const NAME: &'static str = "Declared";
    const DOC: &'static str = "How a resource stands to what infrastructure code declares.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "is_declared",
            || Type::Bool,
            "Whether it is declared.",
            |d| d.0.is_declared.map_or_else(|| d.unknown(), Value::Bool),
        ),
        Def::<Self>::new(
            "status",
            || Type::String,
            "`same`, `different` or `not_declared`.",
            |d| match d.0.status {
                Status::Unmanaged => text("not_declared"),
                Status::Unknown => d.unknown(),
                status => text(status.as_str()),
            },
        ),
        Def::<Self>::new(
            "file",
            || Type::optional(Type::String),
            "The file that declares it.",
            |d| maybe(d.0.place.as_ref().map(|place| place.file.as_str())),
        ),
        Def::<Self>::new(
            "line",
            || Type::optional(Type::Int),
            "The line of the file, from 1.",
            |d| d.0.place.as_ref().map_or(Value::Null, |place| count(place.line)),
        ),
        Def::<Self>::new(
            "place",
            || Type::String,
            "File and line, as `main.tf.json:12`; empty where it is declared nowhere.",
            |d| text(&d.0.place.as_ref().map(at).unwrap_or_default()),
        )
        .or(|| text("")),
        Def::<Self>::new(
            "format",
            || Type::optional(Type::String),
            "The format of the file, such as `Terraform state`.",
            |d| maybe(d.0.format.map(Format::as_str)),
        ),
        Def::<Self>::new(
            "differences",
            || Type::list(Type::object("DeclaredDifference")),
            "What is not as it is declared.",
            |d| {
                let each =
                    (0..d.0.differences.len()).map(|index| DifferenceFacts(Arc::clone(&d.0), index).into_value());
                Value::list_seen(each, d.why())
            },
        ),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "Where it is declared.", |d| declared_here(&d.0)),
    ];
}

/// A part of a resource that is not as it is declared.
#[derive(Debug)]
pub(super) struct DifferenceFacts(Arc<Row>, usize);

impl DifferenceFacts {
    fn get(&self) -> Option<&Difference> {
        self.0.differences.get(self.1)
    }

    fn with(&self, fact: impl FnOnce(&Difference) -> Value) -> Value {
        self.get().map_or_else(|| Value::unknown("there is no such difference"), fact)
    }
}

/// A difference in words.
fn words(difference: &Difference) -> String {
    let Difference { part, declared, actual, effect, gained, lost, .. } = difference;
    let example =
        |access: &Option<Access>| access.as_ref().map(|it| format!(", such as {}", it.words)).unwrap_or_default();
    match effect {
        Effect::Widened => return format!("{part} allows more than declared{}", example(gained)),
        Effect::Narrowed => return format!("{part} allows less than declared{}", example(lost)),
        Effect::Mixed => {
            let (more, less) = (example(gained), example(lost));
            return format!("{part} allows more than declared{more}, and less{less}");
        }
        Effect::None | Effect::Unknown => {}
    }
    let value = |value: &Option<String>| match value {
        None => Some("nothing".to_owned()),
        Some(value) if value.len() <= SHORT => Some(value.clone()),
        Some(_) => None,
    };
    match (value(actual), value(declared)) {
        (Some(actual), Some(declared)) => format!("{part} is {actual} and declared as {declared}"),
        _ => format!("{part} is not as declared"),
    }
}

impl Facts for DifferenceFacts {
    const NAME: &'static str = "DeclaredDifference";
    const DOC: &'static str = "A part of a resource that is not as infrastructure code declares it.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "part",
            || Type::String,
            "Which part, such as `trust policy` or `role`.",
            |d| d.with(|it| text(&it.part)),
        ),
        Def::<Self>::new(
            "effect",
            || Type::String,
            "What the estate allows, compared with what is declared: `widened`, `narrowed`, `mixed`, `none` or `unknown`.",
            |d| d.with(|it| text(it.effect.as_str())),
        ),
        Def::<Self>::new("words", || Type::String, "The difference in words.", |d| d.with(|it| text(&words(it)))),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "What is declared, what is there, and the file and line.",
            |d| {
                d.with(|it| {
                    let place = it.place.as_ref().or(d.0.place.as_ref());
                    let source = place.map_or_else(|| "infrastructure code".to_owned(), at);
                    let words = |access: &Option<Access>| access.as_ref().map(|it| it.words.clone());
                    let mut value = place_json(place);
                    if let Some(fields) = value.as_object_mut() {
                        fields.extend([
                            ("part".to_owned(), it.part.as_str().into()),
                            ("declared".to_owned(), it.declared.clone().into()),
                            ("actual".to_owned(), it.actual.clone().into()),
                            ("effect".to_owned(), it.effect.as_str().into()),
                            ("gained".to_owned(), words(&it.gained).into()),
                            ("lost".to_owned(), words(&it.lost).into()),
                        ]);
                    }
                    fact(&format!("{} is not as declared", it.part), source, value)
                })
            },
        ),
    ];
}

/// A role or an association that is declared and not there.
#[derive(Debug)]
pub(super) struct MissingFacts(Arc<Row>);

impl Facts for MissingFacts {
    const NAME: &'static str = "MissingResource";
    const DOC: &'static str = "A role or an association that infrastructure code declares and that is not there.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`role` or `association`.",
            |m| text(if m.0.resource.kind == ResourceType::Role { "role" } else { "association" }),
        ),
        Def::<Self>::new(
            "name",
            || Type::String,
            "The role's name, or account, region, cluster, namespace and service account of the association.",
            |m| text(&m.0.resource.name),
        ),
        Def::<Self>::new(
            "place",
            || Type::String,
            "File and line, as `main.tf.json:12`.",
            |m| text(&m.0.place.as_ref().map(at).unwrap_or_default()),
        ),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "Where it is declared.", |m| declared_here(&m.0)),
    ];
}
