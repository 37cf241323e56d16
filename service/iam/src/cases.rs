//! Evaluation cases: a request, the policies of every layer, and what it should come to.
//!
//! Knows the neutral case format (`docs/simulate.md`): reads a file of cases, one case or JSON
//! lines, makes a request and layers of each, decides it and says why in one sentence. One broken
//! case never stops the others. Refuses to know where a file lies and how an answer is printed.
//!
//! A policy that does not parse is a layer that was not seen; it is never taken to be empty.

use crate::arn::AccountId;
use crate::condition::Context;
use crate::decide::{Decision, decide};
use crate::document::Document;
use crate::explain::explain;
use crate::layer::{Layer, Layers, Level};
use crate::request::{Request, Requester};
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// Why a case cannot be decided, or a text holds no cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: case `{id}`: {message} at `{pointer}`")]
pub struct CaseError {
    /// The file, as the caller names it.
    pub file: String,
    /// The case's id; its place in the file where it has none.
    pub id: String,
    /// RFC 6901 pointer within the file; for JSON lines, within the line.
    pub pointer: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

impl CaseError {
    /// The line that stands for the case among the answers.
    #[must_use]
    pub fn answer(&self) -> CaseAnswer {
        let because = format!("the case could not be read: {} at `{}`", self.message, self.pointer);
        CaseAnswer { id: self.id.clone(), decision: "Error", because }
    }
}

/// What a case comes to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CaseAnswer {
    /// The case's id.
    pub id: String,
    /// `Allow`, `Deny(explicit)`, `Deny(implicit)` or `Unknown`; `Error` where the case is broken.
    pub decision: &'static str,
    /// Why, in one sentence.
    pub because: String,
}

/// A case, ready to be decided.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id; its place in the file where it has none.
    pub id: String,
    /// The request.
    pub request: Request,
    /// The policies.
    pub layers: Layers,
    /// What it should come to, as written: a decision, or `Deny` for either kind.
    pub expected: Option<String>,
    /// Of which kind it is, such as `condition/stringlike`; empty where it is not said.
    pub category: String,
    /// Why that is expected, and from where it is known; empty where it is not said.
    pub reason: String,
}

/// Where a case stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The file is this case.
    Whole,
    /// An element of the array, from 0.
    Element(usize),
    /// A line, from 1.
    Line(usize),
}

impl Place {
    pub(crate) fn pointer(self) -> String {
        match self {
            Self::Whole | Self::Line(_) => String::new(),
            Self::Element(n) => format!("/{n}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("1"),
            Self::Element(n) => write!(f, "/{n}"),
            Self::Line(n) => write!(f, "line {n}"),
        }
    }
}

/// Reads cases and hands them on one by one, in their order: a JSON array of cases, one case, or
/// one case a line.
///
/// Memory does not grow with the number of cases. What comes after a syntax error is read on where
/// cases stand on lines of their own; the rest of an array is lost.
pub fn each(file: &str, bytes: &[u8], call: impl FnMut(Result<Case, CaseError>)) {
    each_read(file, bytes, Case::read, call);
}

/// As [`each`], for cases of any kind.
pub(crate) fn each_read<T>(
    file: &str,
    bytes: &[u8],
    read: impl Fn(&str, Place, &Value) -> Result<T, CaseError>,
    mut call: impl FnMut(Result<T, CaseError>),
) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace());
    match start.and_then(|at| bytes.get(at)) {
        Some(b'[') => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            let mut count = 0;
            let elements = Elements(|n, value: Value| {
                count = n + 1;
                call(read(file, Place::Element(n), &value));
            });
            let end = json.deserialize_seq(elements).and_then(|()| json.end());
            if let Err(error) = end {
                call(Err(syntax(file, Place::Element(count), &error)));
            }
        }
        Some(_) => lines(file, bytes, &read, &mut call),
        None => call(Err(CaseError {
            file: file.to_owned(),
            id: "1".to_owned(),
            pointer: String::new(),
            message: "there is no case".to_owned(),
            remedy: "give a JSON array of cases, one case, or one case a line".to_owned(),
        })),
    }
}

/// Every case of a text.
///
/// # Errors
/// Each broken case stands in its place.
#[must_use]
pub fn read(file: &str, bytes: &[u8]) -> Vec<Result<Case, CaseError>> {
    let mut out = Vec::new();
    each(file, bytes, |case| out.push(case));
    out
}

fn syntax(file: &str, place: Place, error: &serde_json::Error) -> CaseError {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    let (lines, remedy) = match place {
        Place::Line(line) => (line - 1, "correct the JSON there"),
        _ => (0, "correct the JSON there: what follows it is not read"),
    };
    CaseError {
        file: file.to_owned(),
        id: place.to_string(),
        pointer: place.pointer(),
        // Where a case begins on a later line, the parser counts from there.
        message: format!("{} in line {}, column {}", said, lines + error.line(), error.column()),
        remedy: remedy.to_owned(),
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(usize, Value)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of cases")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut n = 0;
        while let Some(value) = seq.next_element()? {
            (self.0)(n, value);
            n += 1;
        }
        Ok(())
    }
}

/// Cases one after another, each over as many lines as it likes.
fn lines<T>(
    file: &str,
    bytes: &[u8],
    read: &impl Fn(&str, Place, &Value) -> Result<T, CaseError>,
    call: &mut impl FnMut(Result<T, CaseError>),
) {
    let (mut rest, mut line, mut first) = (bytes, 1, true);
    loop {
        let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let (space, tail) = rest.split_at_checked(blank).unwrap_or((rest, &[]));
        line += count_lines(space);
        if tail.is_empty() {
            return;
        }
        let mut values = serde_json::Deserializer::from_slice(tail).into_iter::<Value>();
        let value = values.next();
        let used = values.byte_offset();
        let after = tail.get(used..).unwrap_or_default();
        match value {
            Some(Ok(value)) => {
                let alone = first && after.iter().all(u8::is_ascii_whitespace);
                let place = if alone { Place::Whole } else { Place::Line(line) };
                call(read(file, place, &value));
                line += count_lines(tail.get(..used).unwrap_or_default());
                rest = after;
            }
            Some(Err(error)) => {
                call(Err(syntax(file, Place::Line(line), &error)));
                // The next case begins where a line begins with a brace.
                let next = memchr::memmem::find(tail, b"\n{").map_or(tail.len(), |at| at + 1);
                let (skipped, tail) = tail.split_at_checked(next).unwrap_or((tail, &[]));
                line += count_lines(skipped);
                rest = tail;
            }
            None => return,
        }
        first = false;
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

impl Case {
    fn read(file: &str, place: Place, value: &Value) -> Result<Self, CaseError> {
        let id = id_of(place, value);
        build(&id, value).map_err(|problem| problem.of(file, place, &id))
    }

    /// Decides it.
    #[must_use]
    pub fn decide(&self) -> Decision<'_> {
        decide(&self.request, &self.layers)
    }

    /// Decides it, and says why.
    #[must_use]
    pub fn answer(&self) -> CaseAnswer {
        let explanation = explain(&self.request, &self.layers);
        CaseAnswer { id: self.id.clone(), decision: explanation.outcome.as_str(), because: explanation.because }
    }

    /// Whether a decision is the expected one; `None` where none is expected.
    #[must_use]
    pub fn agrees(&self, decision: &str) -> Option<bool> {
        let expected = self.expected.as_deref()?;
        Some(expected == decision || (expected == "Deny" && decision.starts_with("Deny(")))
    }
}

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

fn object<'a>(value: Option<&'a Value>, pointer: &str) -> Result<&'a Map<String, Value>, Problem> {
    match value {
        Some(Value::Object(map)) => Ok(map),
        Some(other) => Err(problem(pointer, format!("there is {}", kind(other)), "give an object")),
        None => Err(problem(pointer, "it is missing", "give an object")),
    }
}

fn text(map: &Map<String, Value>, name: &str, pointer: &str) -> Result<String, Problem> {
    let pointer = format!("{pointer}/{name}");
    match member(map, name) {
        // An empty action or resource is one that only a star names; an empty principal is nobody.
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(other) => Err(problem(pointer, format!("there is {}", kind(other)), "give a text")),
        None => Err(problem(pointer, "it is missing", "give a text")),
    }
}

fn build(id: &str, value: &Value) -> Result<Case, Problem> {
    let case = object(Some(value), "")?;
    let policies = match member(case, "policies") {
        None => &Map::new(),
        some => object(some, "/policies")?,
    };
    let mut layers = layers(policies)?;
    unseen(case, &mut layers)?;
    let said = |name: &str| case.get(name).and_then(Value::as_str).unwrap_or_default();
    let reason = match (said("reason"), said("source")) {
        (reason, "") => reason.to_owned(),
        (reason, source) => format!("{reason} ({source})"),
    };
    let expected = match member(case, "expected") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => {
            let remedy = "give Allow, Deny(explicit), Deny(implicit), Deny or Unknown";
            return Err(problem("/expected", format!("there is {}", kind(other)), remedy));
        }
    };
    Ok(Case {
        id: id.to_owned(),
        request: request(case)?,
        layers,
        expected,
        category: said("category").to_owned(),
        reason,
    })
}

fn request(case: &Map<String, Value>) -> Result<Request, Problem> {
    let request = object(member(case, "request"), "/request")?;
    let principal = principal(request)?;
    let action = text(request, "action", "/request")?;
    let on_nothing = matches!(request.get("wildcard_only_action"), Some(Value::Bool(true)));
    let resource = match member(request, "resource") {
        None if on_nothing => "*".to_owned(),
        _ => text(request, "resource", "/request")?,
    };
    // A name without an account, such as a bucket's, is taken to be of the requester's account.
    let owner = match account(request)? {
        Some(account) => Some(account),
        None if resource.split(':').nth(4).is_some_and(|own| own.parse::<AccountId>().is_ok()) => None,
        None => principal.account_id(),
    };
    let context = context(case, request)?;
    let request = Request::new(principal, &action, &resource, owner, context);
    Ok(if on_nothing { request.on_no_resource() } else { request })
}

fn principal(request: &Map<String, Value>) -> Result<Requester, Problem> {
    read_principal(request, "/request")
}

/// The member `principal` of an object.
pub(crate) fn read_principal(request: &Map<String, Value>, within: &str) -> Result<Requester, Problem> {
    let remedy = "give an ARN, an account id, `anonymous`, a service such as `pods.eks.amazonaws.com`, \
                  or the ARN of an identity provider";
    let at = format!("{within}/principal");
    // As a policy would write it: {"Service": "…"}.
    let (kind, text) = match member(request, "principal") {
        Some(Value::Object(map)) => match map.iter().next() {
            Some((kind, Value::String(text))) if map.len() == 1 => (kind.as_str(), text.trim()),
            _ => return Err(problem(at, "it names not one principal", remedy)),
        },
        _ => ("", &*text(request, "principal", within)?),
    };
    let read = match kind {
        "Federated" => Some(Requester::federated(text)),
        "Service" => Some(Requester::service(text)),
        _ => Requester::read(text),
    };
    // The hosts of the older identity providers look like services.
    let hosts = ["accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"];
    match read {
        Some(Requester::Service(host)) if hosts.contains(&host.as_str()) => Ok(Requester::federated(&host)),
        Some(principal) => Ok(principal),
        None => Err(problem(at, format!("`{text}` is no principal"), remedy)),
    }
}

fn account(request: &Map<String, Value>) -> Result<Option<AccountId>, Problem> {
    read_account(request, "/request")
}

/// The member `resource_account` of an object.
pub(crate) fn read_account(request: &Map<String, Value>, within: &str) -> Result<Option<AccountId>, Problem> {
    let text = match member(request, "resource_account") {
        None => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        // A number has lost its leading zeros.
        Some(Value::Number(number)) => format!("{number:0>12}"),
        Some(other) => other.to_string(),
    };
    let bad = |error| problem(format!("{within}/resource_account"), format!("{error}"), "give an account id as a text");
    text.parse().map(Some).map_err(bad)
}

fn context(case: &Map<String, Value>, request: &Map<String, Value>) -> Result<Context, Problem> {
    let (place, open) = match member(request, "open_context") {
        Some(open) => ("/request/open_context", Some(open)),
        None => ("/open_context", member(case, "open_context")),
    };
    let mut context = match open {
        None | Some(Value::Bool(false)) => Context::closed(),
        Some(Value::Bool(true)) => Context::open(),
        Some(Value::Array(keys)) => {
            let keys: Option<Vec<&str>> = keys.iter().map(Value::as_str).collect();
            let bad = || problem(place, "a key is no text", "give true, or a list of condition keys");
            Context::open_under(&keys.ok_or_else(bad)?)
        }
        Some(other) => {
            let message = format!("there is {}", kind(other));
            return Err(problem(place, message, "give true, or a list of condition keys"));
        }
    };
    let given = match member(request, "context") {
        None => &Map::new(),
        some => object(some, "/request/context")?,
    };
    for (key, value) in given {
        let at = || format!("/request/context/{}", key.replace('~', "~0").replace('/', "~1"));
        context = match value {
            Value::Null => context.absent(key),
            Value::Array(list) => {
                let values: Result<Vec<String>, Problem> =
                    list.iter().enumerate().map(|(n, v)| scalar(v, || format!("{}/{n}", at()))).collect();
                context.set_list(key, values?)
            }
            one => context.set(key, [scalar(one, at)?]),
        };
    }
    Ok(context)
}

fn scalar(value: &Value, at: impl Fn() -> String) -> Result<String, Problem> {
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

pub(crate) fn layers(policies: &Map<String, Value>) -> Result<Layers, Problem> {
    Ok(Layers {
        identity: documents(policies, "identity", "identity policy")?,
        boundary: documents(policies, "boundary", "permissions boundary")?,
        session: documents(policies, "session", "session policy")?,
        scp: levels(policies, "scp", "SCP")?.map(Into::into),
        rcp: levels(policies, "rcp", "RCP")?.map(Into::into),
        resource: only(policies, "resource", "resource policy")?,
        trust: only(policies, "trust", "trust policy")?,
        endpoint: documents(policies, "vpc_endpoint", "VPC endpoint policy")?,
    })
}

/// A policy: a document, its text (percent-encoded or not), or either within what AWS's APIs wrap
/// around it.
pub(crate) fn document(value: &Value, source: &str, at: &str) -> Result<Layer, Problem> {
    match value {
        Value::String(text) => Ok(Layer::known(source, &Document::read(text))),
        Value::Object(map) => {
            let wrapped = ["PolicyDocument", "Document", "Policy"].iter().find_map(|name| map.get(*name));
            match wrapped.filter(|_| !map.contains_key("Statement")) {
                Some(inner) => document(inner, source, at),
                None => Ok(Layer::known(source, &Document::read(&value.to_string()))),
            }
        }
        other => Err(problem(at, format!("there is {}", kind(other)), "give a policy document, or its text")),
    }
}

fn documents(policies: &Map<String, Value>, name: &str, source: &str) -> Result<Option<Vec<Layer>>, Problem> {
    let at = format!("/policies/{name}");
    match member(policies, name) {
        None => Ok(None),
        Some(Value::Array(list)) => list_of(list, source, "", &at).map(Some),
        Some(one) => Ok(Some(vec![document(one, source, &at)?])),
    }
}

pub(crate) fn list_of(list: &[Value], source: &str, place: &str, at: &str) -> Result<Vec<Layer>, Problem> {
    let named = |n: usize| match list.len() {
        1 => format!("{source}{place}"),
        _ => format!("{source} {}{place}", n + 1),
    };
    list.iter().enumerate().map(|(n, value)| document(value, &named(n), &format!("{at}/{n}"))).collect()
}

fn only(policies: &Map<String, Value>, name: &str, source: &str) -> Result<Option<Layer>, Problem> {
    let at = format!("/policies/{name}");
    match documents(policies, name, source)? {
        None => Ok(None),
        Some(list) if list.len() > 1 => {
            Err(problem(at, format!("there are {} policies", list.len()), "give one: a resource has one policy"))
        }
        Some(list) => Ok(list.into_iter().next()),
    }
}

fn levels(policies: &Map<String, Value>, name: &str, source: &str) -> Result<Option<Vec<Level>>, Problem> {
    let at = format!("/policies/{name}");
    let remedy = "give a list of levels from the root down, each as {\"level\": …, \"policies\": […]}";
    let list = match member(policies, name) {
        None => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(problem(at, format!("there is {}", kind(other)), remedy)),
    };
    let level = |(n, value): (usize, &Value)| {
        let at = format!("{at}/{n}");
        let Value::Object(map) = value else {
            return Err(problem(at, format!("there is {}", kind(value)), remedy));
        };
        let name = match map.get("level").or_else(|| map.get("name")) {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(name)) => name.to_string(),
            _ => format!("level {}", n + 1),
        };
        let policies = match member(map, "policies") {
            _ if map.get("policies").is_some_and(Value::is_null) => Vec::new(),
            Some(Value::Array(list)) => list_of(list, source, &format!(" of `{name}`"), &format!("{at}/policies"))?,
            Some(other) => return Err(problem(format!("{at}/policies"), format!("there is {}", kind(other)), remedy)),
            None => return Err(problem(format!("{at}/policies"), "it is missing", remedy)),
        };
        Ok(Level { name: name.into(), policies })
    };
    list.iter().enumerate().map(level).collect::<Result<_, _>>().map(Some)
}

/// Adds what is in play but was not seen.
pub(crate) fn unseen(case: &Map<String, Value>, layers: &mut Layers) -> Result<(), Problem> {
    let remedy = "give a list of identity, boundary, session, scp, rcp, resource, trust and vpc_endpoint";
    let list = match member(case, "unseen") {
        None => return Ok(()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(problem("/unseen", format!("there is {}", kind(other)), remedy)),
    };
    let missing = |source: &str| Layer::missing(source, "the case says so");
    for (n, name) in list.iter().enumerate() {
        let at = format!("/unseen/{n}");
        let below = |levels: &mut Option<Arc<[Level]>>, source: &str| {
            let level = Level { name: "an unseen level".into(), policies: vec![missing(source)] };
            let seen = levels.iter().flat_map(|levels| levels.iter()).cloned();
            *levels = Some(seen.chain([level]).collect());
        };
        let alone = |layer: &mut Option<Layer>, source: &str| {
            if layer.is_some() {
                return Err(problem(at.clone(), "its policy is given as well", "leave out one of the two"));
            }
            *layer = Some(missing(source));
            Ok(())
        };
        match name.as_str().unwrap_or_default() {
            "identity" => layers.identity.get_or_insert_default().push(missing("identity policy")),
            "boundary" => layers.boundary.get_or_insert_default().push(missing("permissions boundary")),
            "session" => layers.session.get_or_insert_default().push(missing("session policy")),
            "vpc_endpoint" => layers.endpoint.get_or_insert_default().push(missing("VPC endpoint policy")),
            "scp" => below(&mut layers.scp, "SCP"),
            "rcp" => below(&mut layers.rcp, "RCP"),
            "resource" => alone(&mut layers.resource, "resource policy")?,
            "trust" => alone(&mut layers.trust, "trust policy")?,
            _ => return Err(problem(at, format!("`{name}` is no layer"), remedy)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Case, CaseError> {
        let mut cases = read("f.json", text.as_bytes());
        assert_eq!(cases.len(), 1, "{cases:?}");
        cases.remove(0)
    }

    const CASE: &str = r#"{"id":"a","request":{"principal":"arn:aws:iam::111122223333:user/alice","action":"s3:GetObject",
        "resource":"arn:aws:s3:::b/k","resource_account":"111122223333","context":{"aws:SecureTransport":true,"k":7}},
        "policies":{"identity":[{"Version":"2012-10-17","Statement":{"Sid":"Read","Effect":"Allow","Action":"s3:*",
        "Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"},"NumericEquals":{"k":"7"}}}}]},
        "expected":"Allow","note":"fields that are not known are passed over"}"#;

    #[test]
    fn a_case_is_decided_and_says_why() {
        let case = one(CASE).unwrap();
        let answer = case.answer();
        assert_eq!(answer.decision, "Allow", "{answer:?}");
        assert!(answer.because.contains("Read") && answer.because.contains("identity policy"), "{}", answer.because);
        assert_eq!(case.agrees("Allow"), Some(true));
        assert_eq!(case.agrees("Unknown"), Some(false));
    }

    #[test]
    fn deny_agrees_with_either_kind() {
        let case = one(&CASE.replace(r#""expected":"Allow""#, r#""expected":"Deny""#)).unwrap();
        assert_eq!(
            ["Deny(explicit)", "Deny(implicit)", "Allow", "Unknown"].map(|d| case.agrees(d)),
            [Some(true), Some(true), Some(false), Some(false)]
        );
    }

    #[test]
    fn a_file_is_a_list_a_case_or_lines() {
        let flat = CASE.replace('\n', " ");
        for (text, count) in [
            (format!("[{CASE},{CASE}]"), 2),
            (format!("\u{feff} {CASE}\n"), 1),
            (format!("{flat}\n\n{flat}\n{flat}"), 3),
            (format!("{CASE}\n{CASE}"), 2),
            ("[]".to_owned(), 0),
        ] {
            let cases = read("f", text.as_bytes());
            assert_eq!(cases.len(), count, "{text}");
            assert!(cases.iter().all(Result::is_ok), "{cases:?}");
        }
    }

    #[test]
    fn a_broken_case_stops_no_other() {
        let flat = CASE.replace('\n', " ");
        let broken = CASE.replace(r#""action":"s3:GetObject","#, "");
        let cases = read("f", format!("[{CASE},{broken},7,{CASE}]").as_bytes());
        let error = cases[1].as_ref().unwrap_err();
        assert_eq!((error.id.as_str(), error.pointer.as_str()), ("a", "/1/request/action"));
        assert_eq!(error.answer().decision, "Error");
        assert_eq!(cases[2].as_ref().unwrap_err().id, "/2");
        assert!(cases[0].is_ok() && cases[3].is_ok());

        let cases = read("f", format!("{flat}\n{{\"id\": oops}}\n{flat}\n").as_bytes());
        assert_eq!(cases.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(cases[1].as_ref().unwrap_err().id, "line 2");

        let cases = read("f", format!("[{CASE}, {{]").as_bytes());
        assert_eq!(cases.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
        assert_eq!(read("f", b" \n")[0].as_ref().unwrap_err().message, "there is no case");
        assert!(read("f", b"[\xff]")[0].is_err());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let replaced = |from: &str, to: &str| {
            assert!(CASE.contains(from), "{from}");
            one(&CASE.replace(from, to)).unwrap_err().pointer
        };
        assert_eq!(replaced("arn:aws:iam::111122223333:user/alice", "alice"), "/request/principal");
        assert_eq!(
            replaced(r#""resource_account":"111122223333""#, r#""resource_account":"12""#),
            "/request/resource_account"
        );
        assert_eq!(replaced(r#""k":7"#, r#""k/x":{}"#), "/request/context/k~1x");
        assert_eq!(replaced(r#""policies":{"#, r#""policies":{"scp":[{"level":"root"}],"#), "/policies/scp/0/policies");
        assert_eq!(replaced(r#""policies":{"#, r#""policies":{"session":[3],"#), "/policies/session/0");
        assert_eq!(replaced(r#""policies":{"#, r#""unseen":["iam"],"policies":{"#), "/unseen/0");
        assert_eq!(replaced(r#""policies":{"#, r#""open_context":3,"policies":{"#), "/open_context");
        assert_eq!(replaced(r#""expected":"Allow""#, r#""expected":1"#), "/expected");
    }

    #[test]
    fn a_policy_may_come_as_text_and_wrapped() {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let quoted = serde_json::to_string(policy).unwrap();
        let encoded = serde_json::to_string(&policy.replace('"', "%22").replace('{', "%7B")).unwrap();
        for form in [policy, &quoted, &encoded, &format!(r#"{{"PolicyName":"x","PolicyDocument":{quoted}}}"#)] {
            let case = one(&CASE.replace(r#""policies":{"#, &format!(r#""policies":{{"session":[{form}],"#))).unwrap();
            assert_eq!(case.answer().decision, "Deny(explicit)", "{form}");
        }
        let case = one(&CASE.replace(r#""policies":{"#, r#""policies":{"boundary":["{]"],"#)).unwrap();
        assert_eq!(case.answer().decision, "Unknown");
    }
}
