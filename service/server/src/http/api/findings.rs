//! `/api/v1/findings`

use super::shape::{EventJson, FindingDetailJson, FindingJson, Listed, counts, listed};
use crate::app::App;
use crate::http::error::{AppError, Problem};
use crate::http::filters;
use crate::http::listing;
use crate::http::query::{CURSOR, LIMIT, TOTAL, api_query};
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use rolecall_audit::verdict::Fingerprint;
use rolecall_store::{Finding, FindingFilter, FindingSort};

/// So many workloads of one finding are given.
const WORKLOADS: u32 = 1000;
/// So many findings that are listed under one are given with it.
const PARTS: u32 = 100;

api_query! {
    /// Query of the list.
    FindingsQuery = filters::FINDINGS, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// Findings, by default of every state, the worst first. Evidence each is given with the finding itself.
///
/// Findings that are listed under a graver one about the same statement are left out; `include=folded` gives them too.
#[utoipa::path(
    get, path = "/api/v1/findings", tag = "findings", operation_id = "list_findings", params(FindingsQuery),
    responses((status = 200, body = Listed<FindingJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(State(app): State<App>, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = FindingsQuery::read(raw.as_deref())?;
    let list = filters::findings_in_order(&params);
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    let total = if counts(&params) { Some(app.store.count_findings(&list.filter).await?) } else { None };
    listed("/api/v1/findings", &params, slice, total, FindingJson::from)
}

/// One finding, by its number or its fingerprint.
#[utoipa::path(
    get, path = "/api/v1/findings/{id}", tag = "findings", operation_id = "get_finding",
    params(("id" = String, Path, description = "Number or fingerprint")),
    responses((status = 200, body = FindingDetailJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<FindingDetailJson>, AppError> {
    NoQuery::read(raw.as_deref())?;
    let found = find(&app, &id).await?;
    let workloads = app.store.workloads_of(&found.row, WORKLOADS).await?;
    let under = FindingFilter { part_of: Some(found.row.fingerprint.clone()), ..FindingFilter::default() };
    let parts = app.store.findings(&under, FindingSort::Severity, None, PARTS).await?;
    Ok(Json(FindingDetailJson::new(found, workloads, parts)))
}

/// A finding's life, from its first step.
#[utoipa::path(
    get, path = "/api/v1/findings/{id}/events", tag = "findings", operation_id = "list_finding_events",
    params(("id" = String, Path, description = "Number or fingerprint")),
    responses((status = 200, body = Listed<EventJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Listed<EventJson>>, AppError> {
    NoQuery::read(raw.as_deref())?;
    let events = app.store.finding_events(&find(&app, &id).await?.row).await?;
    let total = rolecall_store::Total::Exact(u64::try_from(events.len()).unwrap_or(u64::MAX));
    let items = events.into_iter().map(EventJson::from).collect();
    Ok(Json(Listed { items, next_cursor: None, total: Some(total.into()) }))
}

async fn find(app: &App, id: &str) -> Result<Finding, AppError> {
    let found = match id.parse() {
        Ok(number) => app.store.finding(number).await?,
        Err(_) => app.store.finding_by_fingerprint(&Fingerprint(id.to_owned())).await?,
    };
    found.ok_or_else(|| AppError::not_found(format!("finding `{id}`")))
}
