//! Readers of the JSON of a case, with the place and the remedy of whatever is wrong.

use crate::cases::answer::CaseError;
use crate::cases::file::Place;
use serde_json::{Map, Value};

/// The id of a case; its place in the file where it has none.
pub(crate) fn id_of(place: Place, value: &Value) -> String {
    match value.get("id") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => place.to_string(),
    }
}

/// What is wrong within a case.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Within the case.
    pub(crate) pointer: String,
    pub(crate) message: String,
    pub(crate) remedy: &'static str,
}

impl Problem {
    pub(crate) fn of(self, file: &str, place: Place, id: &str) -> CaseError {
        CaseError {
            file: file.to_owned(),
            id: id.to_owned(),
            pointer: format!("{}{}", place.pointer(), self.pointer),
            message: self.message,
            remedy: self.remedy.to_owned(),
        }
    }

    /// The same within something else.
    pub(crate) fn within(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }
}

pub(crate) fn problem(pointer: impl Into<String>, message: impl Into<String>, remedy: &'static str) -> Problem {
    Problem { pointer: pointer.into(), message: message.into(), remedy }
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A member that is there and not null.
pub(crate) fn member<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).filter(|value| !value.is_null())
}

pub(super) fn object<'a>(value: Option<&'a Value>, pointer: &str) -> Result<&'a Map<String, Value>, Problem> {
    match value {
        Some(Value::Object(map)) => Ok(map),
        Some(other) => Err(problem(pointer, format!("there is {}", kind(other)), "give an object")),
        None => Err(problem(pointer, "it is missing", "give an object")),
    }
}

pub(super) fn text(map: &Map<String, Value>, name: &str, pointer: &str) -> Result<String, Problem> {
    let pointer = format!("{pointer}/{name}");
    match member(map, name) {
        // An empty action or resource is one that only a star names; an empty principal is nobody.
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(other) => Err(problem(pointer, format!("there is {}", kind(other)), "give a text")),
        None => Err(problem(pointer, "it is missing", "give a text")),
    }
}

pub(super) fn scalar(value: &Value, at: impl Fn() -> String) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        other => {
            let message = format!("there is {}", kind(other));
            Err(problem(at(), message, "give a text, a number, a boolean, or a list of these"))
        }
    }
}
