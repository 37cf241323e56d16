//! `/api/v1/simulate`: may this principal do this to that resource, and why.

use super::shape::ReasonJson;
use crate::http::as_of::{self, AT};
use crate::http::error::{AppError, Code, FieldError, Problem};
use crate::http::query::api_query;
use crate::http::visible::Visible;
use crate::query::simulate::{self, Answer, SimulateError};
use axum::Json;
use axum::body::Bytes;
use axum::extract::RawQuery;
use rolecall_audit::access::simulate::{AskError, Given, Question, WhatIf};
use rolecall_estate::Reason;
use rolecall_iam::{Document, Explanation, PolicyExplanation, RequiredChange, StatementMatch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

api_query! {
    /// The body says the rest.
    SimulateQuery = &[AT]
}

/// A request to be decided.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulateJson {
    /// An ARN, a service, `anonymous`, or a pod's association as
    /// `account/region/cluster/namespace/service-account`.
    #[schema(example = "111122223333/eu-west-1/prod/payments/api")]
    principal: String,
    /// The action.
    #[schema(example = "s3:GetObject", max_length = 128, pattern = "^[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+$")]
    action: String,
    /// The resource's ARN; `*` where the action acts on none.
    #[serde(default = "everything")]
    #[schema(example = "arn:aws:s3:::orders/2026/11/1.json")]
    resource: String,
    /// The resource's account, where its ARN does not name it.
    #[serde(default)]
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    resource_account: Option<String>,
    /// Condition keys: a text, or a list of texts for a key of several values.
    #[serde(default)]
    context: BTreeMap<String, ValuesJson>,
    /// Whether keys that are not given are absent; otherwise they are not known.
    #[serde(default)]
    closed: bool,
    /// Documents in the place of what is stored.
    #[serde(default)]
    policies: PoliciesJson,
}

fn everything() -> String {
    "*".to_owned()
}

/// A condition key's value or values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum ValuesJson {
    /// A key with one value.
    One(String),
    /// A key that takes several.
    Several(Vec<String>),
}

/// Documents in the place of what is stored; an empty list stands for none of that type.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PoliciesJson {
    /// Instead of the principal's own policies.
    identity: Option<Vec<serde_json::Value>>,
    /// Instead of the permissions boundary.
    boundary: Option<Vec<serde_json::Value>>,
    /// Instead of the session policy.
    session: Option<Vec<serde_json::Value>>,
    /// Instead of all SCPs, as one level.
    scp: Option<Vec<serde_json::Value>>,
    /// Instead of all RCPs, as one level.
    rcp: Option<Vec<serde_json::Value>>,
    /// The policy on the resource: one at most.
    resource: Option<Vec<serde_json::Value>>,
    /// Instead of the trust policy of the role that is asked for: one at most.
    trust: Option<Vec<serde_json::Value>>,
    /// Policies of the VPC endpoint that the request goes through.
    vpc_endpoint: Option<Vec<serde_json::Value>>,
}

impl PoliciesJson {
    fn what_if(self) -> WhatIf {
        let given_as = |name: &str, documents: Option<Vec<serde_json::Value>>| {
            let given = |(n, value): (usize, serde_json::Value)| Given {
                name: format!("policies.{name}[{n}]"),
                document: Document::new(&match value {
                    serde_json::Value::String(text) => text,
                    object => object.to_string(),
                }),
            };
            documents.map(|documents| documents.into_iter().enumerate().map(given).collect())
        };
        WhatIf {
            identity: given_as("identity", self.identity),
            boundary: given_as("boundary", self.boundary),
            session: given_as("session", self.session),
            scp: given_as("scp", self.scp),
            rcp: given_as("rcp", self.rcp),
            resource: given_as("resource", self.resource),
            trust: given_as("trust", self.trust),
            vpc_endpoint: given_as("vpc_endpoint", self.vpc_endpoint),
        }
    }
}

/// The answer to a request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SimulatedJson {
    /// `Allow`, `Deny(explicit)`, `Deny(implicit)` or `Unknown`.
    #[schema(example = "Deny(implicit)")]
    decision: String,
    /// Why, in one sentence.
    because: String,
    /// Why it is unknown; empty otherwise.
    reasons: Vec<ReasonJson>,
    /// The principal, as policies see it.
    principal: String,
    /// The action.
    action: String,
    /// The resource, as policies see it.
    resource: String,
    /// What was taken as given.
    notes: Vec<String>,
    /// The effect of each policy that applies, and of each level of an organization, in the order in
    /// which AWS evaluates them.
    policies: Vec<PolicyResultJson>,
    /// The smallest change that would allow a denied request: all of these together. Empty where it is
    /// allowed or unknown.
    minimal_changes: Vec<RequiredChangeJson>,
}

/// The effect of one policy, or of one level of an organization.
#[derive(Debug, Serialize, ToSchema)]
struct PolicyResultJson {
    /// `identity`, `boundary`, `session`, `scp`, `rcp`, `resource`, `trust` or `vpc_endpoint`.
    policy_type: String,
    /// How people call it.
    name: String,
    /// `allow`, `explicit_deny`, `implicit_deny`, `unknown` or `not_applicable`.
    effect: String,
    /// Why, in one sentence.
    because: String,
    /// The statements that match, or may match.
    statements: Vec<StatementJson>,
}

/// A statement that matches, or may match.
#[derive(Debug, Serialize, ToSchema)]
struct StatementJson {
    /// The policy.
    source: String,
    /// Its content address.
    document: Option<String>,
    /// Its place in the policy.
    index: usize,
    /// Its Sid.
    sid: Option<String>,
    /// RFC 6901 pointer of the statement.
    pointer: String,
    /// `Allow` or `Deny`.
    effect: &'static str,
    /// Whether it certainly matches.
    certain: bool,
}

/// One thing that would have to change.
#[derive(Debug, Serialize, ToSchema)]
struct RequiredChangeJson {
    /// The type of the policy that denies it: as in `policies`.
    policy_type: String,
    /// In one sentence.
    text: String,
    /// The same as data; its `kind` says which shape it has.
    #[schema(value_type = Object)]
    change: serde_json::Value,
}

/// The snake-case name of a plain enum, as serde writes it.
fn name(value: impl Serialize) -> Result<String, AppError> {
    match serde_json::to_value(value).map_err(AppError::internal)? {
        serde_json::Value::String(name) => Ok(name),
        other => Ok(other.to_string()),
    }
}

impl From<StatementMatch> for StatementJson {
    fn from(statement: StatementMatch) -> Self {
        let StatementMatch { source, document, index, sid, pointer, denies, certain } = statement;
        let effect = if denies { "Deny" } else { "Allow" };
        Self { source, document: document.map(|d| d.to_string()), index, sid, pointer, effect, certain }
    }
}

fn policy_result(answer: PolicyExplanation) -> Result<PolicyResultJson, AppError> {
    Ok(PolicyResultJson {
        policy_type: name(answer.policy_type)?,
        name: answer.name,
        effect: name(answer.effect)?,
        because: answer.because,
        statements: answer.statements.into_iter().map(StatementJson::from).collect(),
    })
}

fn required_change(required: RequiredChange) -> Result<RequiredChangeJson, AppError> {
    let change = serde_json::to_value(required.change).map_err(AppError::internal)?;
    Ok(RequiredChangeJson { policy_type: name(required.policy_type)?, text: required.text, change })
}

/// Evaluates one request as AWS would, against the policies of the latest scan, or those that were known at a time, or
/// the documents given in their place. Missing policies make the answer `Unknown`.
#[utoipa::path(
    post, path = "/api/v1/simulate", tag = "inventory", operation_id = "simulate", params(SimulateQuery),
    request_body = SimulateJson,
    responses((status = 200, body = SimulatedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn simulate(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    body: Bytes,
) -> Result<Json<SimulatedJson>, AppError> {
    let params = SimulateQuery::parse(raw.as_deref())?;
    let asked: SimulateJson = serde_json::from_slice(&body).map_err(|error| {
        AppError::new(Code::InvalidParameter, format!("the body is no request to be decided: {error}"))
    })?;
    let field = |parameter: &str, message: String| {
        let error = FieldError { parameter: parameter.to_owned(), message };
        AppError::of_fields(Code::InvalidParameter, vec![error])
    };
    let resource_account = asked
        .resource_account
        .map(|account| {
            account
                .parse()
                .map_err(|_| field("/resource_account", format!("`{account}` is no account id: give twelve digits")))
        })
        .transpose()?;
    let values = |values| match values {
        ValuesJson::One(one) => vec![one],
        ValuesJson::Several(several) => several,
    };
    let question = Question {
        principal: asked.principal,
        action: asked.action,
        resource: asked.resource,
        resource_account,
        context: asked.context.into_iter().map(|(key, given)| (key, values(given))).collect(),
        closed: asked.closed,
        what_if: asked.policies.what_if(),
    };
    let as_of = as_of::of(&app.store, &params).await?;
    let answer =
        simulate::answer_seen(&app.store, app.whole(), &question, as_of).await.map_err(|error| match error {
            SimulateError::Store(error) => error.into(),
            SimulateError::Ask(error @ AskError::Action(_)) => field("/action", error.to_string()),
            SimulateError::Ask(error) => field("/principal", error.to_string()),
        })?;
    let Answer { explanation, principal, resource, notes } = answer;
    let Explanation { outcome, because, reasons, policies, minimal_changes } = explanation;
    Ok(Json(SimulatedJson {
        decision: outcome.as_str().to_owned(),
        because,
        reasons: reasons.iter().map(|why| ReasonJson::from(&Reason::from(why))).collect(),
        principal,
        action: question.action,
        resource,
        notes,
        policies: policies.into_iter().map(policy_result).collect::<Result<_, _>>()?,
        minimal_changes: minimal_changes.into_iter().map(required_change).collect::<Result<_, _>>()?,
    }))
}
