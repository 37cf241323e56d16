//! What rules say where one fact is not known and another one decided.
//!
//! Every failing test of every rule is judged again with each of its facts unknown in turn, down to
//! the facts of list elements. Where the rule fails all the same, its message must say what decided.

use super::eval::{self, Context, MOST_STEPS};
use super::ir::{ELEMENT, NOW, SUBJECT};
use super::rule::{Expect, Rule, Test};
use super::schema::{Schema, Type};
use super::set::RuleSet;
use super::value::{List, Object, Reasons, Value};
use crate::verdict::Outcome;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An object with one field replaced.
#[derive(Debug)]
struct Masked {
    of: Arc<dyn Object>,
    field: usize,
    value: Value,
    read: Arc<AtomicBool>,
}

impl Object for Masked {
    fn get(&self, field: usize) -> Value {
        if field != self.field {
            return self.of.get(field);
        }
        if matches!(self.value, Value::Unknown(_)) {
            self.read.store(true, Ordering::Relaxed);
        }
        self.value.clone()
    }

    fn answer(&self, method: &str) -> Option<Value> {
        self.of.answer(method)
    }
}

struct Variant {
    path: String,
    subject: Value,
    /// Whether the fact that is not known was asked for.
    read: Arc<AtomicBool>,
    /// Whether the fact is a text, without which a message may have nothing to say.
    is_text: bool,
}

fn list_type(ty: &Type) -> Option<&Type> {
    match ty {
        Type::List(of) => Some(of),
        Type::Optional(of) => list_type(of),
        _ => None,
    }
}

fn object_name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Object(name) => Some(name),
        Type::Optional(of) => object_name(of),
        _ => None,
    }
}

/// Every way to make one fact of an object unknown.
fn variants(schema: &Schema, name: &str, object: &Arc<dyn Object>, path: &str) -> Vec<Variant> {
    let Some(ty) = schema.object(name) else { return Vec::new() };
    let mut out = Vec::new();
    for (index, field) in ty.fields.iter().enumerate() {
        let path = format!("{path}.{}", field.name);
        let with = |value: Value, read: &Arc<AtomicBool>| {
            Value::Object(Arc::new(Masked { of: Arc::clone(object), field: index, value, read: Arc::clone(read) }))
        };
        let value = object.get(index);
        if matches!(value, Value::Unknown(_)) {
            continue;
        }
        let read = Arc::new(AtomicBool::new(false));
        let subject = with(Value::unknown("not seen"), &read);
        out.push(Variant { path: path.clone(), subject, read, is_text: field.ty == Type::String });
        match &value {
            Value::Object(inner) => {
                for inner in variants(schema, object_name(&field.ty).unwrap_or_default(), inner, &path) {
                    out.push(Variant { subject: with(inner.subject, &inner.read), ..inner });
                }
            }
            Value::List(list) => {
                let read = Arc::new(AtomicBool::new(true));
                let part = Value::list_seen(list.items().iter().cloned(), Some(Reasons::one("not all seen")));
                out.push(Variant { path: format!("{path} in part"), subject: with(part, &read), read, is_text: false });
                let Some(of) = list_type(&field.ty).and_then(object_name) else { continue };
                for (at, item) in list.items().iter().enumerate() {
                    let Value::Object(item) = item else { continue };
                    for inner in variants(schema, of, item, &format!("{path}[{at}]")) {
                        let masked =
                            |(n, item): (usize, &Value)| if n == at { inner.subject.clone() } else { item.clone() };
                        let list =
                            Value::List(List::whole(list.items().iter().enumerate().map(masked).collect::<Vec<_>>()));
                        out.push(Variant { subject: with(list, &inner.read), ..inner });
                    }
                }
            }
            _ => {}
        }
    }
    out
}

fn failures(rule: &Rule, subject: &Value, test: &Test) -> Vec<String> {
    let outcomes = rule.decide(subject, &test.params, test.now);
    let fails = outcomes.into_iter().filter_map(|outcome| match outcome {
        Outcome::Fail { message, .. } => Some(message),
        _ => None,
    });
    fails.collect()
}

/// Whether `match` asks for the fact that is not known.
fn is_read(rule: &Rule, variant: &Variant, test: &Test) -> bool {
    variant.read.store(false, Ordering::Relaxed);
    let (steps, now) = (Cell::new(MOST_STEPS), Value::Timestamp(test.now));
    let cx = Context::new(&test.params, &steps);
    let cx = cx.with(SUBJECT, &variant.subject);
    let cx = cx.with(NOW, &now);
    let elements = match rule.program.each.as_ref().map(|each| eval::eval(each, &cx)) {
        Some(Ok(Value::List(list))) => list.items().to_vec(),
        _ => vec![Value::Null],
    };
    for element in &elements {
        let _ = eval::eval(&rule.program.fails, &cx.with(ELEMENT, element));
    }
    variant.read.load(Ordering::Relaxed)
}

fn is_whole(message: &str) -> bool {
    let torn = ["(not known)", "  ", " ,", ", ,", ": ,", ": ;", "``", "''", "\"\""];
    let ends = [' ', ',', ':', ';', '/'];
    !message.is_empty()
        && !torn.iter().any(|part| message.contains(part))
        && !message.starts_with(ends)
        && !message.ends_with(ends)
}

/// What [`messages`] found.
#[derive(Debug, Default)]
pub struct Messages {
    /// How many messages were about a fact that was asked for and did not decide.
    pub judged: usize,
    /// The messages that do not say what decided, each with its rule, test and unknown fact.
    pub vague: Vec<String>,
}

/// Judges the failing tests of all rules with each of their facts unknown in turn, and finds messages
/// that then do not say what decided.
#[must_use]
pub fn messages(rules: &RuleSet, schema: &Schema) -> Messages {
    let mut found = Messages::default();
    for rule in rules.rules() {
        let Some(kind) = schema.subject(rule.subject()) else { continue };
        for test in rule.tests.iter().filter(|test| test.expect == Expect::Fail) {
            let plain = failures(rule, &test.subject, test);
            let Value::Object(subject) = &test.subject else { continue };
            for variant in variants(schema, &kind.name, subject, rule.subject().as_str()) {
                for message in failures(rule, &variant.subject, test) {
                    let title = message == rule.meta.title && !plain.contains(&message);
                    let decides = title && !variant.is_text && is_read(rule, &variant, test);
                    found.judged += usize::from(is_read(rule, &variant, test));
                    if !is_whole(&message) || decides {
                        let (id, test, path) = (rule.id(), &test.name, &variant.path);
                        found.vague.push(format!("{id}, {test}, {path} unknown: {message:?}"));
                    }
                }
            }
        }
    }
    found
}
