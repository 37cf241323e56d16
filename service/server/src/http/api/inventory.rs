//! `/api/v1`: accounts, coverage, associations, roles, sessions.

use super::shape::{
    AccountJson, AssociationJson, CoverageJson, Listed, ManagedPolicyJson, RoleDetailJson, RoleJson, SessionJson,
    counts, listed,
};
use crate::http::as_of::{self, AT};
use crate::http::error::{AppError, Problem};
use crate::http::filters;
use crate::http::inventory::{digests, read_key, sessions_since};
use crate::http::listing;
use crate::http::lists::{Accounts, Associations};
use crate::http::query::{CURSOR, LIMIT, TOTAL, api_query};
use crate::http::visible::Visible;
use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use chrono::Utc;
use rolecall_iam::RoleArn;
use rolecall_store::{AsOf, CoverageRow, PolicyRow, Total};

api_query! {
    /// Query of accounts.
    AccountsQuery = filters::ACCOUNTS, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// Query of coverage.
    CoverageQuery = filters::COVERAGE, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// Query of associations.
    AssociationsQuery = filters::ASSOCIATIONS, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// Query of roles.
    RolesQuery = filters::ROLES, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// Query of sessions, which are not counted.
    SessionsQuery = filters::SESSIONS, &[LIMIT, CURSOR]
}
api_query! {
    /// One thing is asked for as of a moment.
    OneQuery = &[AT]
}

fn all<R>(params: &crate::http::query::Params, rows: &[R]) -> Option<Total> {
    counts(params).then(|| Total::Exact(u64::try_from(rows.len()).unwrap_or(u64::MAX)))
}

/// Every account that is known or was scanned.
#[utoipa::path(
    get, path = "/api/v1/accounts", tag = "inventory", operation_id = "list_accounts", params(AccountsQuery),
    responses((status = 200, body = Listed<AccountJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn accounts(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = AccountsQuery::parse(raw.as_deref())?;
    let as_of = as_of::of(&app.store, &params).await?;
    let list = Accounts::load(&app.store, &filters::accounts(&params, as_of)).await?;
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    let total = counts(&params).then(|| list.total());
    listed("/api/v1/accounts", &params, slice, total, |(_, row)| AccountJson::from(row))
}

/// The latest scan of every listing: complete, or with its gaps.
#[utoipa::path(
    get, path = "/api/v1/coverage", tag = "inventory", operation_id = "list_coverage", params(CoverageQuery),
    responses((status = 200, body = Listed<CoverageJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn coverage(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = CoverageQuery::parse(raw.as_deref())?;
    let (kinds, complete) = (filters::scopes(&params), params.flag("complete"));
    let accounts = params.parsed("account_id");
    let mut rows = match as_of::of(&app.store, &params).await? {
        None => app.store.coverage(&accounts).await?,
        Some(as_of) => app.store.coverage_at(as_of, &accounts).await?,
    };
    rows.retain(|row| kinds.is_empty() || kinds.contains(&row.scope.kind));
    rows.retain(|row| complete.is_none_or(|complete| complete == row.complete));
    let total = all(&params, &rows);
    let slice = listing::within(&app, &params, "scope", rows, params.limit(100), scope_key)?;
    listed("/api/v1/coverage", &params, slice, total, CoverageJson::from)
}

fn scope_key(row: &CoverageRow) -> String {
    let part = |text: Option<String>| text.unwrap_or_default();
    let region = part(row.scope.region.as_ref().map(ToString::to_string));
    let cluster = part(row.scope.cluster.as_ref().map(ToString::to_string));
    format!("{}/{}/{region}/{cluster}", row.scope.account_id, row.scope.kind)
}

/// Pod Identity associations.
#[utoipa::path(
    get, path = "/api/v1/associations", tag = "inventory", operation_id = "list_associations", params(AssociationsQuery),
    responses((status = 200, body = Listed<AssociationJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn associations(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = AssociationsQuery::parse(raw.as_deref())?;
    let as_of = as_of::of(&app.store, &params).await?;
    let now = as_of.map_or_else(Utc::now, AsOf::at);
    let filter = filters::associations(&params, as_of);
    let list = Associations { filter, sessions_since: sessions_since(&app, now) };
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    let total = if counts(&params) { Some(app.store.count_associations(&list.filter).await?) } else { None };
    listed("/api/v1/associations", &params, slice, total, AssociationJson::from)
}

/// One association.
#[utoipa::path(
    get, path = "/api/v1/associations/{account_id}/{region}/{cluster}/{namespace}/{service_account}",
    tag = "inventory", operation_id = "get_association",
    params(
        ("account_id" = String, Path), ("region" = String, Path), ("cluster" = String, Path),
        ("namespace" = String, Path), ("service_account" = String, Path), OneQuery
    ),
    responses((status = 200, body = AssociationJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn association(
    Visible(app): Visible,
    Path((account_id, region, cluster, namespace, service_account)): Path<(String, String, String, String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Json<AssociationJson>, AppError> {
    let params = OneQuery::parse(raw.as_deref())?;
    let path = [account_id, region, cluster, namespace, service_account].join("/");
    let unknown = || AppError::not_found(format!("association `{path}`"));
    let key = read_key(&path).ok_or_else(unknown)?;
    let as_of = as_of::of(&app.store, &params).await?;
    let now = as_of.map_or_else(Utc::now, AsOf::at);
    let row = app.store.association(&key, sessions_since(&app, now), as_of).await?;
    Ok(Json(row.ok_or_else(unknown)?.into()))
}

/// IAM roles, by ARN if no other order is asked for.
#[utoipa::path(
    get, path = "/api/v1/roles", tag = "inventory", operation_id = "list_roles", params(RolesQuery),
    responses((status = 200, body = Listed<RoleJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn roles(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = RolesQuery::parse(raw.as_deref())?;
    let list = filters::roles_in_order(&params, as_of::of(&app.store, &params).await?);
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    let total = if counts(&params) { Some(app.store.count_roles(&list.filter).await?) } else { None };
    listed("/api/v1/roles", &params, slice, total, RoleJson::from)
}

/// One role with its policies and documents.
#[utoipa::path(
    get, path = "/api/v1/roles/{arn}", tag = "inventory", operation_id = "get_role",
    params(("arn" = String, Path, description = "The ARN, with its slashes as %2F"), OneQuery),
    responses((status = 200, body = RoleDetailJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn role(
    Visible(app): Visible,
    Path(arn): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<RoleDetailJson>, AppError> {
    let params = OneQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("role `{arn}`"));
    let wanted: RoleArn = arn.parse().map_err(|_| unknown())?;
    let as_of = as_of::of(&app.store, &params).await?;
    let row = app.store.role(&wanted, as_of).await?.ok_or_else(unknown)?;
    let policies = app.store.policies_of(&row.role, as_of).await?;
    let documents = app.store.documents(&digests(&row.role, &policies)).await?;
    let texts = documents.iter().map(|d| (d.digest.to_string(), d.text.to_string())).collect();
    let managed_policies = policies.into_iter().map(managed).collect();
    Ok(Json(RoleDetailJson { role: row.into(), managed_policies, documents: texts }))
}

fn managed(row: PolicyRow) -> ManagedPolicyJson {
    ManagedPolicyJson {
        arn: row.policy.arn.to_string(),
        name: row.policy.name,
        default_version: row.policy.default_version,
        document: row.policy.document.map(|digest| digest.to_string()),
        is_boundary: row.is_boundary,
    }
}

/// AssumeRole events, the newest first. Not counted: there may be very many.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "inventory", operation_id = "list_sessions", params(SessionsQuery),
    responses((status = 200, body = Listed<SessionJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn sessions(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = SessionsQuery::parse(raw.as_deref())?;
    let slice = listing::page(&app, &params, &filters::sessions_in_order(&params), params.limit(100)).await?;
    listed("/api/v1/sessions", &params, slice, None, SessionJson::from)
}
