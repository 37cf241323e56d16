//! The canonical text of a policy, which its content address is taken of.

use crate::condition::Condition;
use crate::matching::pattern::ResourcePattern;
use crate::policy::ast::Policy;
use crate::policy::ast::{Clause, Effect, Principal, Statement};
use crate::version::Version;
use serde_json::Value;
use std::collections::BTreeMap;

impl Policy {
    /// The canonical text: sorted keys, every list sorted and without repetitions but for the
    /// statements (whose order pointers need), actions in lower case. Two documents with the same
    /// canonical text mean the same, and a pointer into one is a pointer into the other.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        let mut object = Object::open(&mut out);
        if let Some(id) = &self.id {
            text(id, object.key("Id"));
        }
        let place = object.key("Statement");
        match self.statements.as_slice() {
            [only] if self.single => only.write_canonical(place),
            list => {
                place.push('[');
                for (n, statement) in list.iter().enumerate() {
                    if n > 0 {
                        place.push(',');
                    }
                    statement.write_canonical(place);
                }
                place.push(']');
            }
        }
        if let Some(version) = self.version {
            let version = match version {
                Version::V2008 => "2008-10-17",
                Version::V2012 => "2012-10-17",
            };
            text(version, object.key("Version"));
        }
        object.close();
        out
    }
}

/// A JSON object that is being written; keys are given in their order.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Writes a key, and gives the place of its value.
    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(',');
        }
        text(key, self.out);
        self.out.push(':');
        self.out
    }

    fn close(self) {
        self.out.push('}');
    }
}

/// Writes a text as JSON does.
pub(super) fn text(text: &str, out: &mut String) {
    let plain = |b: &u8| *b >= 0x20 && *b != b'"' && *b != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// Writes texts as a list, sorted and without repetitions.
fn sorted<S: AsRef<str> + Ord>(mut items: Vec<S>, out: &mut String) {
    items.sort_unstable();
    items.dedup();
    out.push('[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        text(item.as_ref(), out);
    }
    out.push(']');
}

impl Statement {
    fn write_canonical(&self, out: &mut String) {
        let actions = |out: &mut String| {
            sorted(self.actions.elements().iter().map(|a| a.as_str().to_ascii_lowercase()).collect(), out);
        };
        let principals = |out: &mut String| {
            if let Some(clause) = &self.principals {
                canonical_principals(clause.elements(), out);
            }
        };
        let resources = |out: &mut String| {
            if let Some(clause) = &self.resources {
                sorted(clause.elements().iter().map(ResourcePattern::as_str).collect(), out);
            }
        };
        let (named, left_out) = (!self.actions.is_not(), self.actions.is_not());
        let is = |clause: Option<bool>, not: bool| clause == Some(not);
        let principal = self.principals.as_ref().map(Clause::is_not);
        let resource = self.resources.as_ref().map(Clause::is_not);
        // In the order of the keys.
        let mut object = Object::open(out);
        if named {
            actions(object.key("Action"));
        }
        if !self.conditions.is_empty() {
            canonical_conditions(&self.conditions, object.key("Condition"));
        }
        text(if self.effect == Effect::Allow { "Allow" } else { "Deny" }, object.key("Effect"));
        if left_out {
            actions(object.key("NotAction"));
        }
        if is(principal, true) {
            principals(object.key("NotPrincipal"));
        }
        if is(resource, true) {
            resources(object.key("NotResource"));
        }
        if is(principal, false) {
            principals(object.key("Principal"));
        }
        if is(resource, false) {
            resources(object.key("Resource"));
        }
        if let Some(sid) = &self.sid {
            text(sid, object.key("Sid"));
        }
        object.close();
    }
}

fn canonical_conditions(conditions: &[Condition], out: &mut String) {
    let mut operators: BTreeMap<&str, BTreeMap<&str, &Condition>> = BTreeMap::new();
    for condition in conditions {
        operators.entry(condition.operator.as_str()).or_default().insert(&condition.key, condition);
    }
    let mut object = Object::open(out);
    for (operator, keys) in operators {
        let mut inner = Object::open(object.key(operator));
        for (key, condition) in keys {
            sorted(condition.values.iter().map(String::as_str).collect(), inner.key(key));
        }
        inner.close();
    }
    object.close();
}

fn canonical_principals(principals: &[Principal], out: &mut String) {
    if matches!(principals, [Principal::Everyone]) {
        return text("*", out);
    }
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for principal in principals {
        let (kind, value) = match principal {
            Principal::Everyone => ("AWS", "*"),
            Principal::Aws(v) => ("AWS", v.as_str()),
            Principal::Service(v) => ("Service", v.as_str()),
            Principal::Federated(v) => ("Federated", v.as_str()),
            Principal::CanonicalUser(v) => ("CanonicalUser", v.as_str()),
            Principal::Other { kind, value } => (kind.as_str(), value.as_str()),
        };
        kinds.entry(kind).or_default().push(value);
    }
    let mut object = Object::open(out);
    for (kind, values) in kinds {
        sorted(values, object.key(kind));
    }
    object.close();
}
