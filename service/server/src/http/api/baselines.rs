//! `/api/v1/baselines`: approved states of resources, and how the resources stand against them.

use super::changes::{AccessJson, AffectedJson, StateJson};
use super::shape::{Listed, listed};
use crate::http::approval::Asked;
use crate::http::baselines::{self, AskedState};
use crate::http::error::{AppError, Code, Problem};
use crate::http::filters;
use crate::http::listing;
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, Kind, LIMIT, api_query, param};
use crate::http::visible::Visible;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{Change, Effect};
use rolecall_iam::AccountId;
use rolecall_store::BaselineRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// Query of the list.
    BaselinesQuery = filters::BASELINES, &[LIMIT, CURSOR]
}
api_query! {
    /// Query of a withdrawal.
    BaselineWithdrawQuery = &[param("reason", Kind::Text, "Why it is withdrawn; 1,000 characters at most.").required()]
}
api_query! {
    /// One baseline takes no parameter.
    NoQuery = &[]
}

/// A baseline.
#[derive(Serialize, ToSchema)]
pub(crate) struct BaselineJson {
    pub(crate) baseline_id: String,
    /// The CloudFormation type.
    #[schema(example = "AWS::IAM::Role")]
    pub(crate) resource_type: String,
    /// Its ARN; of an association `account/region/cluster/namespace/service account`.
    pub(crate) resource: String,
    pub(crate) account_id: String,
    /// `matches`, `differs`, `removed`, `unknown` or `expired`.
    pub(crate) state: &'static str,
    /// What the difference comes to: `widened`, `narrowed`, `mixed`, `none` or `unknown`; null where nothing differs.
    pub(crate) effect: Option<&'static str>,
    /// Why the state is what it is.
    pub(crate) because: String,
    /// How many parts differ.
    pub(crate) differences: usize,
    /// When it was compared with the estate.
    pub(crate) compared_at: DateTime<Utc>,
    /// The SHA-256 of the canonical form of the approved state.
    pub(crate) digest: String,
    pub(crate) approved_at: DateTime<Utc>,
    /// A person, or `token` with its name.
    pub(crate) approved_by: String,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    /// When it ends; null where it does not.
    pub(crate) until: Option<DateTime<Utc>>,
    /// The Ed25519 public key whose signature was verified, in Base64; null where it is not signed.
    pub(crate) signed_by: Option<String>,
    /// The file that has it; null where it was approved here and no file has it.
    pub(crate) file: Option<String>,
    /// When it was withdrawn, or another baseline of the resource took its place.
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) ended_by: Option<String>,
    pub(crate) ended_because: Option<String>,
}

impl From<&BaselineRow> for BaselineJson {
    fn from(row: &BaselineRow) -> Self {
        let ended = row.ended.clone();
        Self {
            baseline_id: row.id.clone(),
            resource_type: row.resource.kind.as_str().to_owned(),
            resource: row.resource.name.clone(),
            account_id: row.account_id.to_string(),
            state: row.state.as_str(),
            effect: row.compared.effect.map(Effect::as_str),
            because: row.compared.because.clone(),
            differences: row.compared.differences.len(),
            compared_at: row.compared_at,
            digest: row.digest.clone(),
            approved_at: row.at,
            approved_by: row.who.clone(),
            reason: row.reason.clone(),
            ticket: row.ticket.clone(),
            until: row.until,
            signed_by: row.signed_by.clone(),
            file: row.file.clone(),
            ended_at: ended.as_ref().map(|(at, ..)| *at),
            ended_by: ended.as_ref().map(|(_, by, _)| by.clone()),
            ended_because: ended.map(|(.., because)| because),
        }
    }
}

/// A part of a resource that differs from its baseline.
#[derive(Serialize, ToSchema)]
pub(crate) struct DifferenceJson {
    /// Of what: the resource itself, or an add-on or access entry of the cluster.
    pub(crate) resource: String,
    /// What differs, by the names of changes, such as `trust_policy_changed`.
    pub(crate) change: String,
    pub(crate) part: Option<String>,
    pub(crate) effect: &'static str,
    pub(crate) gained: Option<AccessJson>,
    pub(crate) lost: Option<AccessJson>,
    pub(crate) because: String,
    /// As it was approved.
    pub(crate) approved: Option<StateJson>,
    /// As it is.
    pub(crate) present: Option<StateJson>,
    pub(crate) workloads: Vec<AffectedJson>,
}

impl From<Change> for DifferenceJson {
    fn from(change: Change) -> Self {
        Self {
            resource: change.resource.name,
            change: change.change,
            part: change.part,
            effect: change.effect.as_str(),
            gained: change.gained.map(AccessJson::from),
            lost: change.lost.map(AccessJson::from),
            because: change.because,
            approved: change.before.map(StateJson::from),
            present: change.after.map(StateJson::from),
            workloads: change.affected.into_iter().map(AffectedJson::from).collect(),
        }
    }
}

/// A baseline with what differs from it.
#[derive(Serialize, ToSchema)]
pub(crate) struct BaselineDetailJson {
    #[serde(flatten)]
    pub(crate) baseline: BaselineJson,
    pub(crate) differing_parts: Vec<DifferenceJson>,
    /// The approved state, as it stands in a file.
    #[schema(value_type = Object)]
    pub(crate) entry: serde_json::Value,
}

/// Baselines in force: what differs first.
#[utoipa::path(
    get, path = "/api/v1/baselines", tag = "changes", operation_id = "list_baselines", params(BaselinesQuery),
    responses((status = 200, body = Listed<BaselineJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = BaselinesQuery::parse(raw.as_deref())?;
    let slice = listing::page(&app, &params, &filters::baselines(&params), params.limit(100)).await?;
    listed("/api/v1/baselines", &params, slice, None, |row| BaselineJson::from(&row))
}

/// One baseline, in force or not.
#[utoipa::path(
    get, path = "/api/v1/baselines/{id}", tag = "changes", operation_id = "get_baseline",
    params(("id" = String, Path, description = "`baseline_id`")),
    responses((status = 200, body = BaselineDetailJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<BaselineDetailJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let row = app.store.baseline(&id).await?.ok_or_else(|| AppError::not_found(format!("baseline `{id}`")))?;
    Ok(Json(BaselineDetailJson {
        baseline: BaselineJson::from(&row),
        differing_parts: row.compared.differences.into_iter().map(DifferenceJson::from).collect(),
        entry: row.body,
    }))
}

/// An approval of the present state of a resource, or of every resource of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBaselineJson {
    /// An ARN, or an association's key. Without it every resource of the account is approved.
    #[serde(default)]
    #[schema(example = "arn:aws:iam::111122223333:role/api")]
    resource: Option<String>,
    /// The account; of a resource whose name tells it, it may be left out.
    #[serde(default)]
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    account_id: Option<String>,
    /// Why; 1,000 characters at most.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
    /// The ticket that it stands in; 200 characters at most.
    #[serde(default)]
    #[schema(example = "SEC-1204", max_length = 200)]
    ticket: Option<String>,
    /// When it ends, within a year; left out it does not.
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    /// The digest of the state that is approved. Where the state has another one, the answer is 409.
    #[serde(default)]
    expected_digest: Option<String>,
}

/// What was approved.
#[derive(Serialize, ToSchema)]
pub(super) struct TakenJson {
    baselines: Vec<BaselineJson>,
    /// Resources that were not approved, as the latest scan did not show all of them.
    skipped: Vec<SkippedJson>,
}

/// A resource that was not approved.
#[derive(Serialize, ToSchema)]
pub(super) struct SkippedJson {
    resource_type: &'static str,
    resource: String,
    because: String,
}

/// Approves the present state of a resource, or of every resource of an account, and with it the changes that led
/// there.
#[utoipa::path(
    post, path = "/api/v1/baselines", tag = "changes", operation_id = "create_baselines", request_body = NewBaselineJson,
    responses((status = 200, body = TakenJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn create(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Json<TakenJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let NewBaselineJson { resource, account_id, reason, ticket, until, expected_digest } =
        serde_json::from_slice(&bytes)
            .map_err(|error| AppError::new(Code::InvalidParameter, format!("the body is no approval: {error}")))?;
    let account_id: Option<AccountId> = account_id
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| AppError::new(Code::InvalidParameter, format!("`account_id`: {error}")))?;
    let wanted = AskedState { resource, account_id, expected_digest, asked: Asked { reason, ticket, until } };
    let taken = baselines::take(&app, wanted, &who).await?;
    let skipped = taken.skipped.into_iter().map(|(resource, because)| SkippedJson {
        resource_type: resource.kind.as_str(),
        resource: resource.name,
        because,
    });
    Ok(Json(TakenJson { baselines: taken.rows.iter().map(BaselineJson::from).collect(), skipped: skipped.collect() }))
}

/// Withdraws a baseline, and the approvals of changes that were given with it.
#[utoipa::path(
    delete, path = "/api/v1/baselines/{id}", tag = "changes", operation_id = "withdraw_baseline",
    params(("id" = String, Path, description = "`baseline_id`"), BaselineWithdrawQuery),
    responses((status = 200, body = BaselineJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn withdraw(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
) -> Result<Json<BaselineJson>, AppError> {
    let params = BaselineWithdrawQuery::parse(raw.as_deref())?;
    let row = baselines::withdraw(&app, &id, params.text("reason").unwrap_or_default(), &who).await?;
    Ok(Json(BaselineJson::from(&row)))
}
