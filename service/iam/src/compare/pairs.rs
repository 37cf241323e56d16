//! Pairs of policies to be compared, as files hold them (`docs/compare.md`).
//!
//! Knows the forms in which a side can be given. A broken pair is unknown with the reason, and stops
//! no other.

use super::{Asker, Comparison, Relation, Witness, compare};
use crate::cases::CaseError;
use crate::cases::case::{read_account, read_principal};
use crate::cases::file::{Place, each_read};
use crate::cases::json::{Problem, id_of, kind, member, problem};
use crate::cases::policies::{document, layers, list_of, unseen};
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::policy::ast::Statement;
use crate::policy::document::Document;
use serde::Serialize;
use serde_json::{Map, Value};

/// Two stacks of policies.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Its id; its place in the file where it has none.
    pub id: String,
    /// Who asks, and whose the resources are, where that is said.
    pub asker: Asker,
    /// What was there.
    pub before: PolicySet,
    /// What is there.
    pub after: PolicySet,
    /// What the comparison should come to, as written.
    pub expected: Option<String>,
}

/// What a pair comes to: one line of `rolecall compare --cases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairAnswer {
    /// The pair's id.
    pub id: String,
    /// The relation.
    pub relation: Relation,
    /// A request that is allowed after and was not before.
    pub gained: Option<Witness>,
    /// A request that was allowed before and no longer is.
    pub lost: Option<Witness>,
    /// Why, in a sentence.
    pub because: String,
}

impl PairAnswer {
    /// The answer for a pair that could not be read.
    #[must_use]
    pub fn broken(error: &CaseError) -> Self {
        let because = format!("the pair could not be read: {} at `{}`", error.message, error.pointer);
        Self { id: error.id.clone(), relation: Relation::Unknown, gained: None, lost: None, because }
    }
}

impl Pair {
    fn parse(file: &str, place: Place, value: &Value) -> Result<Self, CaseError> {
        let id = id_of(place, value);
        Self::build(&id, value).map_err(|problem| problem.of(file, place, &id))
    }

    fn build(id: &str, value: &Value) -> Result<Self, Problem> {
        let Value::Object(map) = value else {
            return Err(problem("", format!("there is {}", kind(value)), "give an object"));
        };
        let principal = match member(map, "principal") {
            None => None,
            Some(_) => Some(read_principal(map, "")?),
        };
        let side = |name: &str| {
            let at = format!("/{name}");
            let remedy = "give an object such as {\"policies\": {\"identity\": […]}}";
            let value = member(map, name).ok_or_else(|| problem(&*at, "it is missing", remedy))?;
            stack(value).map_err(|problem| problem.within(&at))
        };
        let expected = ["expected", "relation"].iter().find_map(|name| map.get(*name)?.as_str());
        let expected = expected.map(str::to_owned);
        let asker = Asker { principal, resource_account: read_account(map, "")? };
        Ok(Self { id: id.to_owned(), asker, before: side("before")?, after: side("after")?, expected })
    }

    /// One pair.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn new(value: &Value) -> Result<Self, CaseError> {
        Self::parse("", Place::Whole, value)
    }

    /// Compares its two sides.
    #[must_use]
    pub fn answer(&self) -> PairAnswer {
        let Comparison { relation, gained, lost, because } = compare(&self.asker, &self.before, &self.after);
        PairAnswer { id: self.id.clone(), relation, gained, lost, because }
    }
}

/// Reads pairs and hands them on one by one: a JSON array of pairs, one pair, or one pair a line.
pub fn each(file: &str, bytes: &[u8], call: impl FnMut(Result<Pair, CaseError>)) {
    each_read(file, bytes, Pair::parse, call);
}

/// One side, from the text of a file.
///
/// # Errors
/// What is wrong, and where.
pub fn side(file: &str, text: &str) -> Result<PolicySet, CaseError> {
    let plain = text.trim_start_matches('\u{feff}').trim_start();
    let value = match serde_json::from_str::<Value>(plain) {
        Ok(value) => value,
        // A policy may be percent-encoded; what is no JSON at all is a document that cannot be read.
        Err(_) => Value::from(text),
    };
    stack(&value).map_err(|problem| problem.of(file, Place::Whole, file))
}

const LAYERS: [&str; 8] = ["identity", "boundary", "session", "scp", "rcp", "resource", "trust", "vpc_endpoint"];

/// The layers of one side: `{"policies": {…}}`, the policies alone, a role as
/// `GetAccountAuthorizationDetails` lists it, a list of identity policies, or one policy.
fn stack(value: &Value) -> Result<PolicySet, Problem> {
    match value {
        Value::Object(map) if map.contains_key("policies") => {
            let mut out = match member(map, "policies") {
                None => PolicySet::default(),
                Some(Value::Object(policies)) => layers(policies)?,
                Some(other) => return Err(problem("/policies", format!("there is {}", kind(other)), "give an object")),
            };
            unseen(map, &mut out)?;
            Ok(out)
        }
        Value::Object(map) if map.contains_key("RolePolicyList") || map.contains_key("AssumeRolePolicyDocument") => {
            role(map)
        }
        Value::Object(map) if LAYERS.iter().any(|name| map.contains_key(*name)) => layers(map).map_err(|problem| {
            Problem { pointer: problem.pointer.trim_start_matches("/policies").to_owned(), ..problem }
        }),
        Value::Array(list) => {
            let identity = list_of(list, "identity policy", "", "")?;
            Ok(PolicySet { identity: Some(identity), ..PolicySet::default() })
        }
        other => alone(other),
    }
}

/// One policy: what names principals stands on a resource, or on a role.
fn alone(value: &Value) -> Result<PolicySet, Problem> {
    let read = document(value, "policy", "")?;
    let statements = read.policy().map(|policy| policy.statements.as_slice()).unwrap_or_default();
    let on_resource = statements.iter().any(|statement| statement.principals.is_some());
    let on_role = on_resource && statements.iter().all(|statement| statement.resources.is_none());
    let for_role = |statement: &Statement| {
        statement.actions.elements().iter().all(|pattern| pattern.is_all() || pattern.service() == Some("sts"))
    };
    if on_role && statements.iter().all(|statement| for_role(statement)) {
        return Ok(PolicySet { trust: Some(document(value, "trust policy", "")?), ..PolicySet::default() });
    }
    if on_resource {
        return Ok(PolicySet { resource: Some(document(value, "resource policy", "")?), ..PolicySet::default() });
    }
    Ok(PolicySet { identity: Some(vec![document(value, "identity policy", "")?]), ..PolicySet::default() })
}

/// A role with its inline policies; of attached policies such a list has only the names.
fn role(map: &Map<String, Value>) -> Result<PolicySet, Problem> {
    let mut identity = Vec::new();
    let list = |name: &str| map.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (n, policy) in list("RolePolicyList").iter().enumerate() {
        let name = policy.get("PolicyName").and_then(Value::as_str).unwrap_or("without a name");
        identity.push(document(policy, &format!("inline policy {name}"), &format!("/RolePolicyList/{n}"))?);
    }
    let missing = |arn: &str| PolicyRef::missing(arn, "the role names it, and the file does not hold it");
    for policy in list("AttachedManagedPolicies") {
        identity.push(missing(policy.get("PolicyArn").and_then(Value::as_str).unwrap_or("attached policy")));
    }
    let boundary = map.get("PermissionsBoundary").and_then(|boundary| boundary.get("PermissionsBoundaryArn"));
    let trust = map.get("AssumeRolePolicyDocument").map(|value| match value {
        Value::String(text) => PolicyRef::known("trust policy", &Document::new(text)),
        other => PolicyRef::known("trust policy", &Document::new(&other.to_string())),
    });
    Ok(PolicySet {
        identity: Some(identity),
        boundary: boundary.and_then(Value::as_str).map(|arn| vec![missing(arn)]),
        trust,
        ..PolicySet::default()
    })
}
