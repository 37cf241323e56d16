//! The fields of a proposal, each read once with its pointer.

use super::{Named, Place, Problem};
use rolecall_iam::{AccountId, Arn, Digest, Document, RoleArn};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// `none` takes a thing away.
pub(super) const NONE: &str = "none";

/// An object of a file.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: Place,
    /// The documents that were read, by where they stand.
    documents: RefCell<BTreeMap<Digest, String>>,
}

/// A step of an RFC 6901 pointer.
pub(super) fn step(pointer: &str, name: impl std::fmt::Display) -> String {
    format!("{pointer}/{}", name.to_string().replace('~', "~0").replace('/', "~1"))
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, place: &Place) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self { map, place: place.clone(), documents: RefCell::default() }),
            other => Err(Problem {
                place: place.clone(),
                message: format!("a proposal is an object, and this is {}", kind(other)),
                remedy: "see the formats in docs/what-if.md".to_owned(),
            }),
        }
    }

    /// The documents that were read, by where they stand.
    pub(super) fn into_documents(self) -> BTreeMap<Digest, String> {
        self.documents.into_inner()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn problem(&self, name: &str, message: impl Into<String>, remedy: impl Into<String>) -> Problem {
        let pointer = if name.is_empty() { self.place.pointer.clone() } else { step(&self.place.pointer, name) };
        Problem {
            place: Place { file: self.place.file.clone(), pointer },
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// Refuses what does not belong here: a field that is not read would count for nothing.
    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Problem> {
        match self.map.keys().find(|name| !allowed.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(self.problem(
                name,
                format!("`{name}` is no field of this proposal"),
                format!("use {}", allowed.join(", ")),
            )),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(other) => Err(self.problem(name, format!("it is {}", kind(other)), "give a text that is not empty")),
        }
    }

    pub(super) fn needed(&self, name: &str, remedy: &str) -> Result<&'a str, Problem> {
        self.text(name)?.ok_or_else(|| self.problem(name, format!("`{name}` is missing"), remedy))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.problem(name, format!("it is {}", kind(other)), "give true or false")),
        }
    }

    /// A text that is parsed, such as an ARN.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str, text: &str, remedy: &str) -> Result<T, Problem> {
        text.parse().map_err(|_| self.problem(name, format!("`{text}` cannot be read"), remedy))
    }

    pub(super) fn arn(&self, name: &str) -> Result<Arn, Problem> {
        let remedy = "give the ARN of a managed policy, such as arn:aws:iam::111122223333:policy/orders";
        let arn: Arn = self.parsed(name, self.needed(name, remedy)?, remedy)?;
        let is_policy = arn.service() == "iam" && arn.resource().starts_with("policy/");
        if is_policy { Ok(arn) } else { Err(self.problem(name, format!("`{arn}` is no managed policy"), remedy)) }
    }

    /// A role's ARN, as text.
    pub(super) fn role_arn(&self, name: &str, text: &str) -> Result<String, Problem> {
        let remedy = "give the ARN of a role, such as arn:aws:iam::111122223333:role/orders";
        self.parsed::<RoleArn>(name, text, remedy).map(|arn| arn.to_string())
    }

    /// A role by ARN or by name.
    pub(super) fn role(&self, name: &str, account: Option<AccountId>) -> Result<Named, Problem> {
        let text = self.needed(name, "name the role, by its ARN or its name")?;
        if !text.starts_with("arn:") {
            return Ok(Named::Name { account, name: text.to_owned() });
        }
        let arn: RoleArn = self.parsed(name, text, "give the ARN of a role")?;
        Ok(Named::Arn(arn.arn().clone()))
    }

    /// A policy document, as JSON or as a text that holds it.
    pub(super) fn document(&self, name: &str) -> Result<Option<Document>, Problem> {
        let document = match self.value(name) {
            None => return Ok(None),
            Some(Value::String(text)) => Document::new(text),
            Some(value @ Value::Object(_)) => Document::new(&value.to_string()),
            Some(other) => {
                let message = format!("it is {}", kind(other));
                return Err(self.problem(name, message, "give a policy document, as an object or as a text"));
            }
        };
        match &document.parsed {
            Ok(_) => {
                let pointer = step(&self.place.pointer, name);
                self.documents.borrow_mut().entry(document.digest).or_insert(pointer);
                Ok(Some(document))
            }
            Err(error) => {
                let mut problem = self.problem(name, format!("no policy: {}", error.message), &error.remedy);
                problem.place.pointer.push_str(&error.pointer);
                Err(problem)
            }
        }
    }

    pub(super) fn needed_document(&self, name: &str) -> Result<Document, Problem> {
        self.document(name)?
            .ok_or_else(|| self.problem(name, format!("`{name}` is missing"), "give the policy document"))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
