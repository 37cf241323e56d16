//! A policy document as AWS holds it: its text, its address, and its statements where it parses.
//!
//! Knows how to take a text in every form that AWS hands out (plain or percent-encoded JSON), every
//! form of the policy grammar, and one canonical form. Refuses to drop what it cannot read: a
//! document that does not parse is a fact with a reason. Refuses to know what a document is
//! attached to, so it asks no element that only one kind of policy needs.

use crate::action_set::ActionSet;
use crate::condition::{Condition, Operator};
use crate::digest::Digest;
use crate::grants::Named;
use crate::index::Index;
use crate::pattern::{ActionPattern, ResourcePattern};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

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

/// A policy document, addressed by its content.
///
/// The address is the SHA-256 of the canonical form, or of the text where the text does not parse.
#[derive(Debug, Clone)]
pub struct Document {
    /// Content address.
    pub digest: Digest,
    /// The decoded text, as AWS returned it.
    pub text: Arc<str>,
    /// What it says, or why it cannot be said.
    pub parsed: Result<Arc<Policy>, DocumentError>,
}

impl Document {
    /// Reads a document, percent-encoded or plain. Never fails: what does not parse is kept.
    ///
    /// A text is percent-decoded only where it is not JSON as it stands; `+` is never a space.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let looks_like_json = |s: &str| s.trim_start().starts_with(['{', '[']);
        if text.contains('%') && !looks_like_json(text) {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            if let Ok(decoded) = decoded
                && looks_like_json(&decoded)
            {
                return Self::plain(&decoded);
            }
        }
        Self::plain(text)
    }

    fn plain(text: &str) -> Self {
        let parsed = Policy::parse(text).map(Arc::new);
        let digest = match &parsed {
            Ok(policy) => Digest::of(policy.canonical().as_bytes()),
            Err(_) => Digest::of(text.as_bytes()),
        };
        Self { digest, text: text.into(), parsed }
    }

    /// The statements, where the document parses.
    #[must_use]
    pub fn statements(&self) -> &[Arc<Statement>] {
        self.parsed.as_ref().map_or(&[], |policy| &policy.statements)
    }

    /// The canonical form; the text itself where it does not parse.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.parsed.as_ref().map_or_else(|_| self.text.to_string(), |policy| policy.canonical())
    }
}

/// The version of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `2008-10-17`, also where none is written: policy variables are plain text.
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// A document's content.
#[derive(Debug, Clone)]
pub struct Policy {
    /// As written; `None` counts as [`Version::V2008`].
    pub version: Option<Version>,
    /// The `Id` element.
    pub id: Option<String>,
    /// The statements in their order.
    pub statements: Vec<Arc<Statement>>,
    /// Whether `Statement` is one object rather than a list of them.
    pub single: bool,
    /// Its statements by action, worked out once, when first asked for.
    pub(crate) index: OnceLock<Index>,
}

/// Allow or Deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Refuses, whatever else grants.
    Deny,
}

/// A list that names what is meant, or what is not meant (`NotAction`, `NotResource`, `NotPrincipal`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause<T> {
    /// These.
    In(Vec<T>),
    /// All but these.
    NotIn(Vec<T>),
}

impl<T> Clause<T> {
    /// The elements, whichever way they count.
    #[must_use]
    pub fn elements(&self) -> &[T] {
        match self {
            Self::In(list) | Self::NotIn(list) => list,
        }
    }

    /// Whether this is the `Not…` form.
    #[must_use]
    pub fn is_not(&self) -> bool {
        matches!(self, Self::NotIn(_))
    }

    /// Whether something is meant, given which elements match it.
    pub fn holds(&self, mut matches: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::In(list) => list.iter().any(&mut matches),
            Self::NotIn(list) => !list.iter().any(&mut matches),
        }
    }
}

/// An element of `Principal` or `NotPrincipal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// `"*"`, or `{"AWS": "*"}`, which means the same.
    Everyone,
    /// An account id, an ARN, or a unique id.
    Aws(String),
    /// A service such as `pods.eks.amazonaws.com`.
    Service(String),
    /// An OIDC or SAML provider's ARN, or a web identity host.
    Federated(String),
    /// An S3 canonical user id.
    CanonicalUser(String),
    /// A type that this version does not know.
    Other {
        /// The type, as written.
        kind: String,
        /// The value, as written.
        value: String,
    },
}

/// One statement.
#[derive(Debug)]
pub struct Statement {
    /// Position in the document, from 0.
    pub index: usize,
    /// `/Statement/0`; `/Statement` where the document holds one object.
    pub pointer: String,
    /// The `Sid` element.
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// `None` where the policy's holder is meant, as in identity policies.
    pub principals: Option<Clause<Principal>>,
    /// The actions.
    pub actions: Clause<ActionPattern>,
    /// `None` where the resource that holds the policy is meant, as in trust policies.
    pub resources: Option<Clause<ResourcePattern>>,
    /// The conditions, which must all hold.
    pub conditions: Vec<Condition>,
    /// The statement as it is written.
    pub value: Value,
    /// The catalogue's actions that it names, and where patterns stand that name none of them, worked
    /// out once, when first asked for.
    pub(crate) actions_named: OnceLock<(ActionSet, Box<[usize]>)>,
    /// What it names in the catalogue's terms, as well.
    pub(crate) named: OnceLock<Box<Named>>,
}

impl Statement {
    /// Whether it names the action.
    #[must_use]
    pub fn names_action(&self, action: &str) -> bool {
        self.actions.holds(|pattern| pattern.matches(action))
    }
}

impl Policy {
    /// The version in force.
    #[must_use]
    pub fn language(&self) -> Version {
        self.version.unwrap_or(Version::V2008)
    }

    /// Parses a plain text.
    ///
    /// # Errors
    /// Whatever is not a policy document, with the place and the remedy.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let value = read_json(text)?;
        policy(value)
    }

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
struct Object<'a> {
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
fn text(text: &str, out: &mut String) {
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
    Ok(Policy { version, id, statements, single, index: OnceLock::new() })
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
        Ok(texts(value, path, false)?.iter().map(|t| ResourcePattern::read(t)).collect())
    })?;
    let principals = clause(map, path, "Principal", "NotPrincipal", principals)?;
    let conditions = match map.get("Condition") {
        None => Vec::new(),
        Some(value) => conditions(value, &path.to("Condition"))?,
    };
    Ok(Statement {
        index,
        pointer: path.to_string(),
        sid,
        effect,
        principals,
        actions,
        resources,
        conditions,
        value,
        actions_named: OnceLock::new(),
        named: OnceLock::new(),
    })
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
    Ok(list.iter().map(|text| ActionPattern::read(text)).collect())
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
            out.push(Condition::new(Operator::read(operator), key, values, path.to_string()));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> DocumentError {
        Document::read(text).parsed.unwrap_err()
    }

    const PLAIN: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}"#;

    #[test]
    fn a_percent_encoded_text_is_decoded_and_a_plain_one_is_not() {
        let encoded = percent_encoding::utf8_percent_encode(PLAIN, percent_encoding::NON_ALPHANUMERIC).to_string();
        assert_eq!(Document::read(&encoded).digest, Document::read(PLAIN).digest);
        assert_eq!(&*Document::read(&encoded).text, PLAIN);
        let percent = PLAIN.replace("s3:Get*", "s3:Get%2A+");
        assert_eq!(Document::read(&percent).statements()[0].actions.elements()[0].as_str(), "s3:Get%2A+");
    }

    #[test]
    fn the_address_ignores_what_does_not_matter() {
        let same = [
            r#"{"Statement":[{"Resource":["*"],"Action":["S3:get*","s3:Get*"],"Effect":"Allow"}],"Version":"2012-10-17"}"#,
            r#" { "Version" : "2012-10-17", "Statement": [ {"Effect":"Allow","Action":["s3:GET*"],"Resource":"*"} ] }"#,
        ];
        for text in same {
            assert_eq!(Document::read(text).digest, Document::read(PLAIN).digest, "{text}");
        }
        let other = [
            PLAIN.replace("Get", "Put"),
            PLAIN.replace("2012-10-17", "2008-10-17"),
            PLAIN.replace("[{", "{").replace("}]", "}"),
            PLAIN.replace("\"Resource\":\"*\"", "\"Resource\":\"*\",\"Sid\":\"x\""),
        ];
        for text in other {
            assert_ne!(Document::read(&text).digest, Document::read(PLAIN).digest, "{text}");
        }
    }

    #[test]
    fn a_single_statement_has_its_own_pointer() {
        let one =
            Document::read(r#"{"Statement":{"Effect":"Deny","NotAction":[],"NotResource":"x","NotPrincipal":"*"}}"#);
        let statement = &one.statements()[0];
        assert_eq!(statement.pointer, "/Statement");
        assert_eq!((statement.actions.is_not(), statement.effect), (true, Effect::Deny));
        assert_eq!(Document::read(PLAIN).statements()[0].pointer, "/Statement/0");
    }

    #[test]
    fn principals_of_every_kind_are_kept() {
        let text = r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{
            "AWS":["*","111122223333"],"Service":"pods.eks.amazonaws.com","Federated":["f"],"CanonicalUser":"c","New":"n"}}]}"#;
        let document = Document::read(text);
        let principals = document.statements()[0].principals.as_ref().unwrap().elements().to_vec();
        assert_eq!(principals.len(), 6);
        assert!(principals.contains(&Principal::Everyone));
        assert!(principals.contains(&Principal::Other { kind: "New".into(), value: "n".into() }));
        assert_eq!(Document::read(&document.canonical()).digest, document.digest);
    }

    #[test]
    fn a_refusal_names_the_place_and_the_remedy() {
        let base =
            |inner: &str| format!(r#"{{"Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{inner}]}}"#);
        let cases = [
            (String::new(), "", "empty"),
            ("{".into(), "", "EOF"),
            ("[]".into(), "", "JSON object"),
            ("{}".into(), "", "no `Statement`"),
            (r#"{"Version":"2013-01-01","Statement":[]}"#.into(), "/Version", "version"),
            (r#"{"Statement":[],"Statements":[]}"#.into(), "/Statements", "no element"),
            (r#"{"Statement":[],"Statement":[]}"#.into(), "/Statement", "twice"),
            (base("1"), "/Statement/1", "statement"),
            (base(r#"{"Effect":"allow","Action":"*"}"#), "/Statement/1/Effect", "effect"),
            (base(r#"{"effect":"Allow","Action":"*"}"#), "/Statement/1/effect", "no element"),
            (base(r#"{"Effect":"Allow"}"#), "/Statement/1", "no action"),
            (base(r#"{"Effect":"Allow","Action":"*","NotAction":"*"}"#), "/Statement/1", "both"),
            (base(r#"{"Effect":"Allow","Action":"*","Resource":[1]}"#), "/Statement/1/Resource/0", "not a text"),
            (base(r#"{"Effect":"Allow","Action":"*","Principal":["me"]}"#), "/Statement/1/Principal", "principal"),
            (
                base(r#"{"Effect":"Allow","Action":"*","Condition":{"Bool":{"a/b":"1","a/b":"2"}}}"#),
                "/Statement/1/Condition/Bool/a~1b",
                "twice",
            ),
            (
                base(r#"{"Effect":"Allow","Action":"*","Condition":{"Bool":{"a:b":null}}}"#),
                "/Statement/1/Condition/Bool/a:b",
                "not a text",
            ),
        ];
        for (text, pointer, message) in cases {
            let error = refused(&text);
            assert_eq!(error.pointer, pointer, "{text}: {error}");
            assert!(error.message.contains(message) && !error.remedy.is_empty(), "{text}: {error}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(refused(&format!(r#"{{"Statement":{deep}}}"#)).message.contains("deep"));
        assert!(refused(&" ".repeat(MAX_BYTES + 1)).message.contains("bytes"));
    }
}
