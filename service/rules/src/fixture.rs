//! Values from YAML, read by their type: parameters, and the objects of embedded tests.
//!
//! A fixture states what a test is about. What it does not state is empty, absent or, where neither
//! makes sense, unknown, so that no test passes by accident. Refuses to know what a test expects.

use super::literal;
use super::schema::{ObjectType, Schema, Type};
use super::text;
use super::value::{Object, Reasons, Value};
use super::yaml::{At, Kind, LoadError, Node, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An object that a test states.
#[derive(Debug)]
struct Fixture {
    fields: Vec<Value>,
    answers: BTreeMap<String, Value>,
}

impl Object for Fixture {
    fn get(&self, field: usize) -> Value {
        self.fields.get(field).cloned().unwrap_or(Value::Null)
    }

    fn answer(&self, method: &str) -> Option<Value> {
        let stated = self.answers.get(method).cloned();
        Some(stated.unwrap_or_else(|| Value::Unknown(unstated(&format!("`{method}()`")))))
    }
}

/// Reads typed values and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) source: Source<'a>,
    pub(super) schema: &'a Schema,
    pub(super) errors: &'a mut Vec<LoadError>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: At, field: &str, message: String, remedy: &str) -> Value {
        self.errors.push(self.source.error(at, field, message, remedy));
        Value::Null
    }

    /// A value of the type. `field` is where it stands, for messages.
    pub(super) fn value(&mut self, node: &Node, ty: &Type, field: &str) -> Value {
        if let Kind::Map(entries) = &node.kind
            && entries.iter().any(|(key, _, _)| key.starts_with('$'))
        {
            return self.unknown(node, ty, field);
        }
        match (ty, &node.kind) {
            (Type::Optional(_), Kind::Null) | (Type::Null, Kind::Null) => Value::Null,
            (Type::Optional(of), _) => self.value(node, of, field),
            (Type::Bool, Kind::Bool(b)) => Value::Bool(*b),
            (Type::Int, Kind::Int(n)) => Value::Int(*n),
            (Type::Double, Kind::Double(n)) => Value::Double(*n),
            (Type::Double, Kind::Int(_)) => match self.source.raw(node.at).parse() {
                Ok(n) => Value::Double(n),
                Err(_) => self.wrong(node.at, field, "the number cannot be read".to_owned(), "write it as in `1.5`"),
            },
            (Type::String, Kind::Text(text)) => Value::text(text.as_str()),
            // An account id without quotes is digits to YAML; the digits are what was meant.
            (Type::String, Kind::Int(_) | Kind::Double(_)) => Value::text(self.source.raw(node.at)),
            (Type::Regex, Kind::Text(text)) => match literal::regex(text) {
                Ok(regex) => Value::Regex(regex),
                Err(why) => {
                    self.wrong(node.at, field, format!("the pattern cannot be read: {why}"), "correct the pattern")
                }
            },
            (Type::Duration, Kind::Text(text)) => match text::read_duration(text) {
                Ok(duration) => Value::Duration(duration),
                Err(why) => self.wrong(node.at, field, why, ""),
            },
            (Type::Timestamp, Kind::Text(text)) => match literal::read_timestamp(text) {
                Ok(moment) => Value::Timestamp(moment),
                Err(why) => self.wrong(node.at, field, why, ""),
            },
            (Type::List(of), Kind::List(items)) => {
                let items: Vec<Value> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.value(item, of, &format!("{field}[{index}]")))
                    .collect();
                Value::list(items)
            }
            (Type::Map(of), Kind::Map(entries)) => {
                let mut map = BTreeMap::new();
                for (key, _, item) in entries {
                    map.insert(Arc::from(key.as_str()), self.value(item, of, &format!("{field}.{key}")));
                }
                Value::Map(Arc::new(map))
            }
            (Type::Object(name), Kind::Map(entries)) => match self.schema.object(name) {
                Some(object) => self.object(object, entries, field),
                None => Value::Null,
            },
            (Type::Json, _) => Value::Json(Arc::new(node.to_json())),
            (ty, kind) => {
                let message = format!("{ty} is needed, {} is given", kind.name());
                self.wrong(node.at, field, message, "correct the value")
            }
        }
    }

    /// `{$unknown: why}`, or `{$seen: […], $unknown: why}` for a list known in part.
    fn unknown(&mut self, node: &Node, ty: &Type, field: &str) -> Value {
        let Kind::Map(entries) = &node.kind else { return Value::Null };
        if let Some((key, at, _)) = entries.iter().find(|(key, _, _)| key != "$unknown" && key != "$seen") {
            let message = format!("`{key}` does not stand beside `$unknown`");
            return self.wrong(*at, field, message, "write `{$unknown: why}` or `{$seen: […], $unknown: why}`");
        }
        let Some(why) = node.get("$unknown").and_then(Node::text) else {
            return self.wrong(
                node.at,
                field,
                "`$unknown` with a reason is needed".to_owned(),
                "say why it is not known",
            );
        };
        let why = Reasons::one(why);
        let Some(seen) = node.get("$seen") else { return Value::Unknown(why) };
        match self.value(seen, ty, field) {
            Value::List(list) => Value::list_seen(list.items().iter().cloned(), Some(why)),
            _ => {
                self.wrong(seen.at, field, format!("`$seen` is for lists, and this is {ty}"), "write `{$unknown: why}`")
            }
        }
    }

    fn object(&mut self, object: &ObjectType, entries: &[(String, At, Node)], place: &str) -> Value {
        let mut stated: BTreeMap<&str, Value> = BTreeMap::new();
        let mut answers = BTreeMap::new();
        let schema = self.schema;
        for (key, at, node) in entries {
            let inner = format!("{place}.{key}");
            if let Some(method) = key.strip_suffix("()") {
                let found = schema.functions().iter().find(|function| {
                    function.name.as_ref() == method
                        && function
                            .receiver
                            .iter()
                            .chain(function.params.iter().map(|(_, ty)| ty))
                            .any(|ty| matches!(ty, Type::Object(name) if *name == object.name))
                });
                match found {
                    Some(function) => {
                        let result = function.result.clone();
                        answers.insert(method.to_owned(), self.value(node, &result, &inner));
                    }
                    None => {
                        let message = format!("no function `{method}` takes {}", object.name);
                        self.wrong(*at, &inner, message, "see `rolecall policies schema`");
                    }
                }
                continue;
            }
            match object.find(key) {
                Some((_, field)) => {
                    stated.insert(key, self.value(node, &field.ty, &inner));
                }
                None => {
                    let near = text::closest(key, object.fields.iter().map(|field| field.name.as_ref()));
                    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    let message = format!("type {} has no field `{key}`{hint}", object.name);
                    self.wrong(*at, place, message, "see `rolecall policies schema`");
                }
            }
        }
        let fields = object
            .fields
            .iter()
            .map(|field| match (stated.remove(field.name.as_ref()), &field.fixture, &field.ty) {
                (Some(value), _, _) => value,
                (None, Some(value), _) => value.clone(),
                (None, None, Type::Optional(_) | Type::Null) => Value::Null,
                (None, None, Type::List(_)) => Value::list([]),
                (None, None, Type::Map(_)) => Value::Map(Arc::default()),
                (None, None, _) => Value::Unknown(unstated(&format!("`{place}.{}`", field.name))),
            })
            .collect();
        Value::object(Fixture { fields, answers })
    }
}

/// What is said of a fact that a test does not state.
fn unstated(what: &str) -> Reasons {
    Reasons::one(format!("the test does not state {what}"))
}
