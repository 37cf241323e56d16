//! One case of the case format: a request, the policies of each type, and the expected decision.

use crate::arn::{AccountId, ArnText};
use crate::cases::answer::{CaseAnswer, CaseError};
use crate::cases::file::Place;
use crate::cases::json::{Problem, id_of, kind, member, object, problem, scalar, text};
use crate::cases::policies::{layers, unseen};
use crate::context::Context;
use crate::evaluate::decide::decide;
use crate::evaluate::decision::Decision;
use crate::evaluate::explain::explain;
use crate::evaluate::policy_set::PolicySet;
use crate::evaluate::request::Request;
use crate::evaluate::requester::Requester;
use serde_json::{Map, Value};

/// A case, ready to be decided.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id; its place in the file where it has none.
    pub id: String,
    /// The request.
    pub request: Request,
    /// The policies.
    pub layers: PolicySet,
    /// What it should come to, as written: a decision, or `Deny` for either kind.
    pub expected: Option<String>,
    /// Of which kind it is, such as `condition/stringlike`; empty where it is not said.
    pub category: String,
    /// Why that is expected, and from where it is known; empty where it is not said.
    pub reason: String,
}

impl Case {
    pub(super) fn parse(file: &str, place: Place, value: &Value) -> Result<Self, CaseError> {
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

pub(super) fn build(id: &str, value: &Value) -> Result<Case, Problem> {
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

pub(super) fn request(case: &Map<String, Value>) -> Result<Request, Problem> {
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
        None if ArnText(&resource).account_id().is_some() => None,
        None => principal.account_id(),
    };
    let context = context(case, request)?;
    let request = Request::new(principal, &action, &resource, owner, context);
    Ok(if on_nothing { request.on_no_resource() } else { request })
}

pub(super) fn principal(request: &Map<String, Value>) -> Result<Requester, Problem> {
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
        _ => Requester::parse(text),
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

pub(super) fn context(case: &Map<String, Value>, request: &Map<String, Value>) -> Result<Context, Problem> {
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
