//! `/api/v1/tokens`: the tokens of service accounts.

use super::findings::body;
use super::shape::Listed;
use crate::http::again::HoldsSecret;
use crate::http::auth::token::Minted;
use crate::http::error::{AppError, Problem};
use crate::http::principal::Principal;
use crate::http::query::api_query;
use crate::http::tokens::{self, Asked};
use crate::http::visible::Visible;
use crate::http::whole;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_store::ApiToken;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// Query of what takes none.
    NoQuery = &[]
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenJson {
    /// The part of the token that may be seen.
    #[schema(example = "Ab3dEf9h")]
    id: String,
    /// The service account that it is of.
    #[schema(example = "ticket-bot")]
    service_account: String,
    /// Whom to ask about the service account.
    owner: String,
    /// `valid`, `expired` or `revoked`.
    state: &'static str,
    /// What it may do.
    scopes: Vec<String>,
    /// What it may see; null: everything.
    limits: Option<Vec<String>>,
    /// Who made it.
    created_by: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends.
    expires_at: DateTime<Utc>,
    /// When it was last used, to the minute; null where it never was.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    revoked_at: Option<DateTime<Utc>>,
    /// The id of the token that takes its place.
    replaced_by: Option<String>,
}

impl TokenJson {
    fn new(token: ApiToken, now: DateTime<Utc>) -> Self {
        Self {
            state: tokens::state(&token, now),
            limits: token.visibility.limits(),
            id: token.public_id,
            service_account: token.name,
            owner: token.owner,
            scopes: token.scopes,
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
            replaced_by: token.replaced_by,
        }
    }
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTokenJson {
    /// The service account that it is of; made where there is none of this name.
    #[schema(
        example = "ticket-bot",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*\S[^\x00-\x1f\x7f-\x9f]*$"
    )]
    service_account: String,
    /// Of a service account that is made: whom to ask about it; whoever makes it where it is left out.
    owner: Option<String>,
    /// Of a service account that is made: what it is for.
    description: Option<String>,
    /// What the token may do.
    scopes: Vec<String>,
    /// What it may see, such as `namespace:payments`; everything where it is left out.
    #[serde(default)]
    limits: Vec<String>,
    /// Days until it ends, 1 to 365; 90 where it is left out.
    #[schema(example = 90, minimum = 1, maximum = 365)]
    #[serde(default, deserialize_with = "whole::or_none")]
    days: Option<i64>,
}

/// How a token is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationJson {
    /// Days until the new token ends, 1 to 365; 90 where it is left out.
    #[schema(example = 90, minimum = 1, maximum = 365)]
    #[serde(default, deserialize_with = "whole::or_none")]
    days: Option<i64>,
    /// Hours until the other token ends, 0 to 720, if it does not end before; 24 where it is left out.
    #[schema(example = 24, minimum = 0, maximum = 720)]
    #[serde(default, deserialize_with = "whole::or_none")]
    overlap_hours: Option<i64>,
}

/// A token that was made. It is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct MintedTokenJson {
    /// The whole token. It is kept nowhere.
    token: String,
    /// The part of the token that may be seen.
    id: String,
    /// When it ends.
    expires_at: DateTime<Utc>,
}

fn made(minted: Minted) -> Response {
    let body = MintedTokenJson { token: minted.text, id: minted.public_id, expires_at: minted.expires_at };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.extensions_mut().insert(HoldsSecret);
    response
}

/// Every token, the newest first, also those that have ended.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "access", operation_id = "list_tokens",
    responses((status = 200, body = Listed<TokenJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Json<Listed<TokenJson>>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let now = app.now().await?;
    let items = app.store.tokens().await?.into_iter().map(|token| TokenJson::new(token, now)).collect();
    Ok(Json(Listed { items, next_cursor: None, total: None }))
}

/// Makes a token of a service account.
///
/// The answer has the token, and no later one does: with an `Idempotency-Key` a request that is sent again makes another
/// token.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "access", operation_id = "create_token", request_body = NewTokenJson,
    responses((status = 201, body = MintedTokenJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn create(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    RawQuery(raw): RawQuery,
    bytes: Bytes,
) -> Result<Response, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let NewTokenJson { service_account, owner, description, scopes, limits, days } = body(&bytes)?;
    let asked = Asked { service_account, owner, description, scopes, limits, days };
    Ok(made(tokens::create(&app, asked, &who).await?))
}

/// Makes the token that takes another's place, with its scopes and limits; both are valid for a while.
#[utoipa::path(
    post, path = "/api/v1/tokens/{id}/rotate", tag = "access", operation_id = "rotate_token",
    params(("id" = String, Path, description = "The token's id.")), request_body = RotationJson,
    responses((status = 201, body = MintedTokenJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn rotate(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    bytes: Bytes,
) -> Result<Response, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let RotationJson { days, overlap_hours } = body(&bytes)?;
    Ok(made(tokens::rotate(&app, &id, days, overlap_hours, &who).await?))
}

/// Takes a token back at once.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "access", operation_id = "revoke_token",
    params(("id" = String, Path, description = "The token's id.")),
    responses((status = 204, description = "It is valid no more."), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn revoke(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<StatusCode, AppError> {
    NoQuery::parse(raw.as_deref())?;
    tokens::revoke(&app, &id, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}
