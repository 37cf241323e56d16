//! One file while it is read: what was found in it, and what is wrong with it.

use crate::Defaults;
use crate::resource::{Found, Item};
use crate::tree::{Node, Value};
use rolecall_estate::FileProblem;
use rolecall_estate::declared::{Format, Known, Place, Text, Unresolved};
use rolecall_iam::Document;

/// So many problems are named of all files; the others are only counted.
const MAX_NAMED: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) file: &'a str,
    pub(crate) defaults: &'a Defaults,
    pub(crate) found: &'a mut Vec<Found>,
    pub(crate) problems: &'a mut Problems,
}

/// What is wrong with files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems {
    pub(crate) named: Vec<FileProblem>,
    pub(crate) unnamed: u64,
}

impl Problems {
    pub(crate) fn add(&mut self, problem: FileProblem) {
        match self.named.len() < MAX_NAMED {
            true => self.named.push(problem),
            false => self.unnamed += 1,
        }
    }
}

impl Reading<'_> {
    pub(crate) fn place(&self, line: usize, address: &str) -> Place {
        Place { file: self.file.to_owned(), line, address: address.to_owned() }
    }

    pub(crate) fn problem(&mut self, line: usize, field: &str, message: impl Into<String>, remedy: &str) {
        self.problems.add(FileProblem {
            file: self.file.to_owned(),
            line,
            field: field.to_owned(),
            message: message.into(),
            remedy: remedy.to_owned(),
        });
    }

    /// A text that the format cannot do without.
    pub(crate) fn needs<'n>(&mut self, node: &'n Node, field: &str) -> Option<&'n str> {
        let text = node.get(field).and_then(Node::text);
        if text.is_none() {
            let what = node.get(field).map_or("it is missing", |_| "it is no text");
            self.problem(node.line, field, what, "give it as the format has it; the rest is read");
        }
        text
    }

    pub(crate) fn found(
        &mut self,
        place: Place,
        format: Format,
        key: String,
        condition: Option<Unresolved>,
        item: Item,
    ) {
        self.found.push(Found { place, format, key, condition, item });
    }
}

/// A document from its text. One that is no policy is not known, and says why.
pub(crate) fn document_of(text: &str) -> Known<Document> {
    let document = Document::new(text);
    match &document.parsed {
        Ok(_) => Ok(document),
        Err(error) => Err(Unresolved(format!("its document is no policy: {error}"))),
    }
}

/// A document from a tree, whose texts `text` resolves; `Ok(None)` leaves a value out.
pub(crate) fn document(node: &Node, text: &mut impl FnMut(&Node) -> Option<Known<Option<Text>>>) -> Known<Document> {
    let json = json(node, text)?.unwrap_or(serde_json::Value::Null);
    document_of(&match json {
        serde_json::Value::String(text) => text,
        json => json.to_string(),
    })
}

fn json(node: &Node, text: &mut impl FnMut(&Node) -> Option<Known<Option<Text>>>) -> Known<Option<serde_json::Value>> {
    if let Some(resolved) = text(node) {
        return match resolved? {
            None => Ok(None),
            Some(text) => Ok(Some(text.resolved()?.into())),
        };
    }
    Ok(Some(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => number.clone().into(),
        },
        Value::Text(text) => text.clone().into(),
        Value::List(items) => {
            let mut out = Vec::new();
            for item in items {
                out.extend(json(item, text)?);
            }
            out.into()
        }
        Value::Map(entries) => {
            let mut out = serde_json::Map::new();
            for (key, node) in entries {
                if let Some(value) = json(node, text)? {
                    out.insert(key.clone(), value);
                }
            }
            out.into()
        }
        Value::Tagged(name, _) => return Err(Unresolved(format!("`!{name}` is decided when it is deployed"))),
    }))
}
