//! `/api/v1/compare`: whether a change of policies lets more through, less, or the same.

use crate::http::error::{AppError, Code, FieldError, Problem};
use crate::http::query::api_query;
use axum::Json;
use axum::body::Bytes;
use axum::extract::RawQuery;
use rolecall_iam::compare::Witness;
use rolecall_iam::compare::pairs::{Pair, PairAnswer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// The body says it all.
    NoQuery = &[]
}

/// Two stacks of policies to be compared.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareJson {
    /// What the answer is to be called.
    #[serde(default)]
    #[schema(example = "payments-api")]
    id: Option<String>,
    /// Who asks: an ARN, a service, `anonymous`. Left out it is a session of some role and, where
    /// policies on a resource are compared, everyone whom they name.
    #[serde(default)]
    #[schema(example = "arn:aws:iam::111122223333:role/payments-api")]
    principal: Option<String>,
    /// Whose the resources are whose ARNs do not name an account.
    #[serde(default)]
    resource_account: Option<String>,
    /// What was there: `{"policies": {…}}` as evaluation cases have them.
    #[schema(value_type = Object)]
    before: serde_json::Value,
    /// What is there, in the same form.
    #[schema(value_type = Object)]
    after: serde_json::Value,
}

/// How what is allowed after stands to what was allowed before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ComparedJson {
    /// As it was given.
    id: Option<String>,
    /// `equal`, `narrowed`, `widened`, `mixed` or `unknown`; all but the last are proved.
    #[schema(example = "widened")]
    relation: String,
    /// A request that is allowed after and was not before.
    gained: Option<WitnessJson>,
    /// A request that was allowed before and no longer is.
    lost: Option<WitnessJson>,
    /// Why, in a sentence.
    because: String,
}

/// A request that one side allows and the other does not.
#[derive(Debug, Serialize, ToSchema)]
struct WitnessJson {
    /// The action.
    action: String,
    /// The resource's ARN, or `*`.
    resource: String,
    /// The condition keys that matter, each with a text or a list of texts; all others are absent, but
    /// for those that follow from the principal.
    #[schema(value_type = Object)]
    context: serde_json::Value,
    /// Who asks, where the question left that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
}

impl From<Witness> for WitnessJson {
    fn from(witness: Witness) -> Self {
        let Witness { action, resource, context, principal } = witness;
        Self { action, resource, context: context.into(), principal }
    }
}

/// Compares two stacks of policies as the sets of requests that they allow. Nothing stored is read.
#[utoipa::path(
    post, path = "/api/v1/compare", tag = "inventory", operation_id = "compare", request_body = CompareJson,
    responses((status = 200, body = ComparedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn compare(RawQuery(raw): RawQuery, body: Bytes) -> Result<Json<ComparedJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let asked: CompareJson = serde_json::from_slice(&body).map_err(|error| {
        AppError::new(Code::InvalidParameter, format!("the body is no pair of policies to be compared: {error}"))
    })?;
    let id = asked.id.clone();
    let pair = serde_json::to_value(&asked).map_err(AppError::internal)?;
    let pair = Pair::new(&pair).map_err(|error| {
        let message = format!("{}: {}", error.message, error.remedy);
        let error = FieldError { parameter: error.pointer, message };
        AppError::of_fields(Code::InvalidParameter, vec![error])
    })?;
    // It may take a while, and waits for nothing.
    let answer = tokio::task::spawn_blocking(move || pair.answer()).await.map_err(AppError::internal)?;
    let PairAnswer { id: _, relation, gained, lost, because } = answer;
    Ok(Json(ComparedJson {
        id,
        relation: relation.as_str().to_owned(),
        gained: gained.map(WitnessJson::from),
        lost: lost.map(WitnessJson::from),
        because,
    }))
}
