//! Reads a policy document from JSON, with the place and the remedy of whatever is wrong.
//!
//! Knows every form of the policy grammar, and bounds size and depth. Refuses to drop or repair what
//! it cannot read. Refuses to know what a document is attached to, so it asks no element that only
//! one type of policy needs.

use crate::condition::Condition;
use crate::condition::operator::Operator;
use crate::matching::pattern::{ActionPattern, ResourcePattern};
use crate::policy::ast::{Clause, Effect, Policy, Principal, Statement};
use crate::version::Version;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Longest text that is parsed, in bytes: over ten times AWS's longest kind of policy.
pub const MAX_BYTES: usize = 512 * 1024;

/// Deepest nesting that is parsed; the grammar needs six levels.
pub const MAX_DEPTH: usize = 24;

/// Why a document does not parse, with the JSON pointer of the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{message} at `{pointer}`")]
pub struct DocumentError {
    /// RFC 6901 pointer to the offending element; empty for the whole document.
    pub pointer: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

impl DocumentError {
    fn at(path: &Path<'_>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { pointer: path.to_string(), message: message.into(), remedy: remedy.into() }
    }
}

/// One step into a document.
#[derive(Debug, Clone)]
enum Step<K> {
    Key(K),
    Index(usize),
}

impl<K: AsRef<str>> fmt::Display for Step<K> {
    /// As a part of an RFC 6901 pointer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "/{}", key.as_ref().replace('~', "~0").replace('/', "~1")),
            Self::Index(index) => write!(f, "/{index}"),
        }
    }
}

impl<'a> From<&'a str> for Step<&'a str> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&'a String> for Step<&'a str> {
    fn from(key: &'a String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<&str> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A place in a document while it is read; as text it is an RFC 6901 pointer. Costs nothing until
/// somebody asks for the text.
struct Path<'a> {
    parent: Option<(&'a Path<'a>, Step<&'a str>)>,
}

impl<'a> Path<'a> {
    const ROOT: Path<'static> = Path { parent: None };

    fn to(&'a self, step: impl Into<Step<&'a str>>) -> Self {
        Path { parent: Some((self, step.into())) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parent {
            None => Ok(()),
            Some((parent, step)) => write!(f, "{parent}{step}"),
        }
    }
}

fn read_json(text: &str) -> Result<Value, DocumentError> {
    let whole =
        |message: String, remedy: &str| DocumentError { pointer: String::new(), message, remedy: remedy.into() };
    if text.len() > MAX_BYTES {
        let message = format!("the document has {} bytes, more than the {MAX_BYTES} that are read", text.len());
        return Err(whole(message, "check that this is a policy document: AWS takes none of this size"));
    }
    if text.trim().is_empty() {
        return Err(whole("the document is empty".into(), "give a JSON policy document"));
    }
    let place = RefCell::new(Vec::new());
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Seed { place: &place }.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| {
        let pointer = place.borrow().iter().map(|step: &Step<String>| step.to_string()).collect();
        DocumentError {
            pointer,
            message: error.to_string(),
            remedy: "correct the JSON there: AWS takes no comments, no trailing commas and no repeated keys".into(),
        }
    })
}

/// Reads JSON as `serde_json` does, but refuses a key that comes twice, and knows where it is.
struct Seed<'a> {
    place: &'a RefCell<Vec<Step<String>>>,
}

impl Seed<'_> {
    fn inside<T, E>(&self, step: Step<String>, read: impl FnOnce(Seed<'_>) -> Result<T, E>) -> Result<T, E> {
        self.place.borrow_mut().push(step);
        let value = read(Seed { place: self.place })?;
        self.place.borrow_mut().pop();
        Ok(value)
    }

    fn check_depth<E: de::Error>(&self) -> Result<(), E> {
        if self.place.borrow().len() > MAX_DEPTH {
            return Err(E::custom(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut list = Vec::new();
        while let Some(value) = self.inside(Step::Index(list.len()), |seed| seq.next_element_seed(seed))? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.inside(Step::Key(key.clone()), |seed| {
                if object.contains_key(&key) {
                    return Err(de::Error::custom(format!("the key `{key}` is there twice")));
                }
                let value = map.next_value_seed(seed)?;
                object.insert(key, value);
                Ok(())
            })?;
        }
        Ok(object.into())
    }
}

impl Policy {
    /// Parses a plain text.
    ///
    /// # Errors
    /// Whatever is not a policy document, with the place and the remedy.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let value = read_json(text)?;
        policy(value)
    }
}

type Read<T> = Result<T, DocumentError>;

/// Turns JSON into a policy.
fn policy(mut text: Value) -> Read<Policy> {
    let root = Path::ROOT;
    let map = expect_object(&text, &root, "a policy document")?;
    for key in map.keys() {
        if !matches!(key.as_str(), "Version" | "Id" | "Statement") {
            let remedy = "a policy document has `Version`, `Id` and `Statement` only, spelt like this";
            return Err(DocumentError::at(&root.to(key), format!("`{key}` is no element of a policy"), remedy));
        }
    }
    let version = match map.get("Version") {
        None => None,
        Some(Value::String(v)) if v == "2012-10-17" => Some(Version::V2012),
        Some(Value::String(v)) if v == "2008-10-17" => Some(Version::V2008),
        Some(_) => {
            let remedy = "write \"2012-10-17\" (or the older \"2008-10-17\")";
            return Err(DocumentError::at(&root.to("Version"), "no version of the policy language", remedy));
        }
    };
    let id = map.get("Id").map(|v| expect_text(v, &root.to("Id"))).transpose()?;
    let path = root.to("Statement");
    let (statements, single) = match text.get_mut("Statement").map(Value::take) {
        Some(Value::Array(list)) => {
            let read = |(i, value)| statement(value, i, &path.to(i)).map(Arc::new);
            (list.into_iter().enumerate().map(read).collect::<Read<_>>()?, false)
        }
        Some(one @ Value::Object(_)) => (vec![Arc::new(statement(one, 0, &path)?)], true),
        Some(_) => {
            let remedy = "give one statement object, or a list of them";
            return Err(DocumentError::at(&path, "neither a statement nor a list", remedy));
        }
        None => {
            let remedy = "add `Statement` with at least one statement";
            return Err(DocumentError::at(&root, "the policy has no `Statement`", remedy));
        }
    };
    Ok(Policy { version, id, statements, single })
}

fn expect_object<'v>(value: &'v Value, path: &Path<'_>, what: &str) -> Read<&'v Map<String, Value>> {
    value.as_object().ok_or_else(|| {
        DocumentError::at(path, format!("{what} is a JSON object, and this is not one"), format!("give {what}"))
    })
}

fn expect_text(value: &Value, path: &Path<'_>) -> Read<String> {
    let refused = || DocumentError::at(path, "not a text", "put the value in quotes");
    value.as_str().map(str::to_owned).ok_or_else(refused)
}

/// One value or a list of them; numbers and booleans count as their text where `loose`.
fn texts(value: &Value, path: &Path<'_>, loose: bool) -> Read<Vec<String>> {
    let one = |value: &Value, path: &Path<'_>| match value {
        Value::Bool(b) if loose => Ok(b.to_string()),
        Value::Number(n) if loose => Ok(n.to_string()),
        other => expect_text(other, path),
    };
    match value {
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| one(v, &path.to(i))).collect(),
        single => Ok(vec![one(single, path)?]),
    }
}

const STATEMENT_KEYS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

fn statement(value: Value, index: usize, path: &Path<'_>) -> Read<Statement> {
    let map = expect_object(&value, path, "a statement")?;
    for key in map.keys() {
        if !STATEMENT_KEYS.contains(&key.as_str()) {
            let near = STATEMENT_KEYS.iter().find(|known| known.eq_ignore_ascii_case(key));
            let remedy = match near {
                Some(known) => format!("write `{known}`: element names are case-sensitive"),
                None => format!("a statement has only {}", STATEMENT_KEYS.join(", ")),
            };
            return Err(DocumentError::at(&path.to(key), format!("`{key}` is no element of a statement"), remedy));
        }
    }
    let effect = match map.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => {
            let remedy = "write \"Allow\" or \"Deny\", spelt like this";
            return Err(DocumentError::at(&path.to("Effect"), "the statement's effect is missing or unknown", remedy));
        }
    };
    let sid = map.get("Sid").map(|v| expect_text(v, &path.to("Sid"))).transpose()?;
    let Some(actions) = clause(map, path, "Action", "NotAction", actions)? else {
        let remedy = "add `Action` or `NotAction`";
        return Err(DocumentError::at(path, "the statement names no action", remedy));
    };
    let resources = clause(map, path, "Resource", "NotResource", |value, path| {
        Ok(texts(value, path, false)?.iter().map(|t| ResourcePattern::new(t)).collect())
    })?;
    let principals = clause(map, path, "Principal", "NotPrincipal", principals)?;
    let conditions = match map.get("Condition") {
        None => Vec::new(),
        Some(value) => conditions(value, &path.to("Condition"))?,
    };
    Ok(Statement { index, pointer: path.to_string(), sid, effect, principals, actions, resources, conditions, value })
}

fn clause<T>(
    map: &Map<String, Value>,
    path: &Path<'_>,
    positive: &str,
    negative: &str,
    read: impl FnOnce(&Value, &Path<'_>) -> Read<Vec<T>>,
) -> Read<Option<Clause<T>>> {
    match (map.get(positive), map.get(negative)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Clause::In(read(value, &path.to(positive))?))),
        (None, Some(value)) => Ok(Some(Clause::NotIn(read(value, &path.to(negative))?))),
        (Some(_), Some(_)) => {
            let message = format!("both `{positive}` and `{negative}`");
            Err(DocumentError::at(path, message, "keep one of the two, or split the statement"))
        }
    }
}

fn actions(value: &Value, path: &Path<'_>) -> Read<Vec<ActionPattern>> {
    let list = texts(value, path, false)?;
    Ok(list.iter().map(|text| ActionPattern::new(text)).collect())
}

fn principals(value: &Value, path: &Path<'_>) -> Read<Vec<Principal>> {
    let map = match value {
        Value::String(s) if s == "*" => return Ok(vec![Principal::Everyone]),
        // Some resource policies have it.
        Value::String(s) => return Ok(vec![Principal::Aws(s.clone())]),
        Value::Object(map) => map,
        _ => {
            let remedy = "write \"*\", or an object such as {\"Service\": \"pods.eks.amazonaws.com\"}";
            return Err(DocumentError::at(path, "not a principal", remedy));
        }
    };
    let mut out = Vec::new();
    for (kind, value) in map {
        for text in texts(value, &path.to(kind), false)? {
            out.push(match kind.as_str() {
                "AWS" if text == "*" => Principal::Everyone,
                "AWS" => Principal::Aws(text),
                "Service" => Principal::Service(text),
                "Federated" => Principal::Federated(text),
                "CanonicalUser" => Principal::CanonicalUser(text),
                other => Principal::Other { kind: other.to_owned(), value: text },
            });
        }
    }
    Ok(out)
}

fn conditions(value: &Value, path: &Path<'_>) -> Read<Vec<Condition>> {
    let mut out = Vec::new();
    for (operator, keys) in expect_object(value, path, "a condition block")? {
        let path = path.to(operator);
        for (key, values) in expect_object(keys, &path, "the keys of a condition operator")? {
            let path = path.to(key);
            let values = texts(values, &path, true)?;
            out.push(Condition::new(Operator::new(operator), key, values, path.to_string()));
        }
    }
    Ok(out)
}
