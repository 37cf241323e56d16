//! `/api/v1/findings`

use super::shape::{EventJson, FindingDetailJson, FindingJson, Listed, counts, listed};
use crate::app::App;
use crate::http::error::{AppError, Code, Problem};
use crate::http::filters;
use crate::http::listing::{self, Origin, Slice};
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, LIMIT, TOTAL, api_query};
use crate::http::triage::{self, Asked, AskedSuppression};
use crate::http::visible::Visible;
use crate::http::whole;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_audit::verdict::Fingerprint;
use rolecall_store::{Finding, TriageOf, TriagedAll};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// So many workloads of one finding are given.
const WORKLOADS: u32 = 1000;
/// So many findings that are listed under one are given with it.
const PARTS: u32 = 100;
/// The version of no finding.
const NO_VERSION: i64 = -1;

api_query! {
    /// Query of the list.
    FindingsQuery = filters::FINDINGS, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// Query of steps of many findings: the filters of the list.
    BulkQuery = filters::FINDINGS
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// Findings, by default of every state, the worst first.
///
/// `include=evidence` gives what decided them, too: all that a ticket says, in one request.
/// Findings that are listed under a graver one about the same statement are left out; `include=folded` gives them too.
#[utoipa::path(
    get, path = "/api/v1/findings", tag = "findings", operation_id = "list_findings", params(FindingsQuery),
    responses((status = 200, body = Listed<FindingJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery, origin: Origin) -> Result<Response, AppError> {
    let params = FindingsQuery::parse(raw.as_deref())?;
    let list = filters::findings_in_order(&params);
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    let total = if counts(&params) { Some(app.store.count_findings(&list.filter).await?) } else { None };
    let evidence = params.list("include").iter().any(|word| word == "evidence");
    let rows = FindingJson::each(&app, &origin, slice.rows, evidence).await?;
    listed("/api/v1/findings", &params, Slice { rows, next: slice.next }, total, |item| item)
}

/// One finding, by its number or its fingerprint.
#[utoipa::path(
    get, path = "/api/v1/findings/{id}", tag = "findings", operation_id = "get_finding",
    params(("id" = String, Path, description = "Number or fingerprint")),
    responses((status = 200, body = FindingDetailJson, headers(("ETag" = String, description = "The finding's version and a digest of the answer, for `If-Match` and `If-None-Match`"))), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    origin: Origin,
) -> Result<Response, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let found = find(&app, &id).await?;
    let workloads = app.store.workloads_of(&found.row, WORKLOADS).await?;
    let parts = app.store.parts_of(&found.row.fingerprint, PARTS).await?;
    Ok((etag(&found), Json(FindingDetailJson::new(&app, &origin, found, workloads, parts))).into_response())
}

/// A finding's life, from its first step.
#[utoipa::path(
    get, path = "/api/v1/findings/{id}/events", tag = "findings", operation_id = "list_finding_events",
    params(("id" = String, Path, description = "Number or fingerprint")),
    responses((status = 200, body = Listed<EventJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn events(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Listed<EventJson>>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let events = app.store.finding_events(&find(&app, &id).await?.row).await?;
    let total = rolecall_store::Total::Exact(u64::try_from(events.len()).unwrap_or(u64::MAX));
    let items = events.into_iter().map(EventJson::from).collect();
    Ok(Json(Listed { items, next_cursor: None, total: Some(total.into()) }))
}

/// A suppression that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuppressJson {
    /// `false_positive`, `risk_accepted`, `compensating_control` or `test`.
    #[schema(example = "compensating_control", pattern = "^(false_positive|risk_accepted|compensating_control|test)$")]
    reason: String,
    /// Why; 1,000 characters at most.
    #[schema(
        example = "An SCP denies the action outside the pipeline",
        min_length = 1,
        max_length = 1000,
        pattern = r"\S"
    )]
    justification: String,
    /// When it ends, within 365 days; in 90 days if left out.
    #[serde(default)]
    until: Option<DateTime<Utc>>,
}

/// What is to become of a finding. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TriageJson {
    /// `open`, `acknowledged` or `suppressed`.
    #[serde(default)]
    #[schema(example = "acknowledged", pattern = "^(open|acknowledged|suppressed)$")]
    state: Option<String>,
    /// The person or team that works on it, in 200 characters at most; null: nobody any more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "payments", min_length = 1, max_length = 200, pattern = r"\S")]
    assignee: Option<Option<String>>,
    /// With the state `suppressed`: why, and until when.
    #[serde(default)]
    suppression: Option<SuppressJson>,
    /// What is said of it; 4,000 characters at most.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 4000, pattern = r"\S")]
    comment: Option<String>,
}

/// A comment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentJson {
    /// 4,000 characters at most.
    #[schema(
        example = "The pipeline's role is replaced in release 12",
        min_length = 1,
        max_length = 4000,
        pattern = r"\S"
    )]
    comment: String,
}

/// A finding by its number or its fingerprint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum FindingIdJson {
    /// Its number.
    Number(i64),
    /// Its fingerprint, or its number as text.
    Text(String),
}

/// What is to become of each of several findings. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TriageSetJson {
    /// `open`, `acknowledged` or `suppressed`.
    #[serde(default)]
    #[schema(example = "acknowledged", pattern = "^(open|acknowledged|suppressed)$")]
    state: Option<String>,
    /// The person or team that works on them, in 200 characters at most; null: nobody any more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "payments", min_length = 1, max_length = 200, pattern = r"\S")]
    assignee: Option<Option<String>>,
    /// With the state `suppressed`: why, and until when.
    #[serde(default)]
    suppression: Option<SuppressJson>,
}

/// Steps of many findings: of those that `ids` names, or of those that the query leaves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkUpdateJson {
    /// The findings, from 1 to 500. With them the query is empty.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 500)]
    ids: Option<Vec<FindingIdJson>>,
    /// With a query: how many findings it leaves, from 1 to 500. With another number nothing is done.
    #[serde(default, deserialize_with = "whole::or_none")]
    #[schema(example = 12, minimum = 1, maximum = 500)]
    expected: Option<u64>,
    /// What is to become of each.
    #[serde(default)]
    set: Option<TriageSetJson>,
    /// What is said of each; 4,000 characters at most.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 4000, pattern = r"\S")]
    comment: Option<String>,
    /// Only say what would become of each, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What became of steps of many findings.
#[derive(Serialize, ToSchema)]
pub(super) struct BulkUpdatedJson {
    /// Whether nothing was changed, as it was only asked what would be.
    dry_run: bool,
    /// The numbers of those that took the steps.
    processed: Vec<i64>,
    /// Those that did not.
    unprocessed: Vec<UnprocessedJson>,
}

/// A finding that did not take its steps.
#[derive(Serialize, ToSchema)]
pub(super) struct UnprocessedJson {
    /// As the request named it; of a query its number.
    id: String,
    /// Why not.
    problem: ItemProblemJson,
}

/// Why one of many was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct ItemProblemJson {
    /// Where the code is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems#conflict")]
    kind: String,
    /// Short title, the same for every occurrence of the code.
    title: &'static str,
    /// The HTTP status that a request for this one alone had.
    #[schema(example = 409)]
    status: u16,
    /// The word to match on.
    #[schema(example = "conflict")]
    code: &'static str,
    /// One sentence about this one.
    detail: String,
}

/// A field that is there, also where it is null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

pub(super) fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, AppError> {
    serde_json::from_slice(bytes).map_err(|error| {
        AppError::new(Code::InvalidParameter, format!("the body is none that this address takes: {error}"))
    })
}

impl From<SuppressJson> for AskedSuppression {
    fn from(it: SuppressJson) -> Self {
        Self { reason: it.reason, justification: it.justification, until: it.until }
    }
}

/// Acknowledges, suppresses or opens a finding, assigns it, or says something of it: all that is asked, or nothing.
///
/// With `If-Match` only if the finding is at that version; else 412. Without, the last word stands. What the finding's
/// state does not allow is a 409.
#[utoipa::path(
    patch, path = "/api/v1/findings/{id}", tag = "findings", operation_id = "update_finding",
    params(
        ("id" = String, Path, description = "Number or fingerprint"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the finding as it was read")
    ),
    request_body = TriageJson,
    responses(
        (status = 200, body = FindingJson, headers(("ETag" = String, description = "The finding's version, quoted"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn update(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    origin: Origin,
    headers: HeaderMap,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Response, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let TriageJson { state, assignee, suppression, comment } = body(&bytes)?;
    let asked = Asked { state, assignee, suppression: suppression.map(AskedSuppression::from), comment };
    let version = if_match(&headers)?;
    let number = triage::one(&app, &id, asked, version, &who).await?;
    answer(&app, &number.to_string(), &origin).await
}

/// A finding as it is after a step.
pub(super) async fn answer(app: &App, id: &str, origin: &Origin) -> Result<Response, AppError> {
    let found = find(app, id).await?;
    Ok((etag(&found), Json(FindingJson::new(app, origin, found.row))).into_response())
}

/// Says something of a finding.
#[utoipa::path(
    post, path = "/api/v1/findings/{id}/comments", tag = "findings", operation_id = "comment_on_finding",
    params(("id" = String, Path, description = "Number or fingerprint")), request_body = CommentJson,
    responses((status = 201, body = EventJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn comment(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Response, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let CommentJson { comment } = body(&bytes)?;
    let asked = Asked { comment: Some(comment), ..Asked::default() };
    let number = triage::one(&app, &id, asked, None, &who).await?;
    let events = app.store.finding_events(&find(&app, &number.to_string()).await?.row).await?;
    let said = events.into_iter().rev().find(|event| event.kind == "commented" && event.actor == who.label());
    let said = said.ok_or_else(|| AppError::not_found(format!("finding `{id}`")))?;
    Ok((StatusCode::CREATED, Json(EventJson::from(said))).into_response())
}

/// Takes steps of many findings: each takes them or is refused by itself.
///
/// Which findings: those that `ids` names, or those that the query leaves, which has the parameters of the list; then
/// `expected` says how many they are, and with another number the answer is 409 and nothing is done. `dry_run` answers
/// the same and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/findings/bulk-update", tag = "findings", operation_id = "update_findings",
    params(BulkQuery), request_body = BulkUpdateJson,
    responses((status = 200, body = BulkUpdatedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn update_all(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Json<BulkUpdatedJson>, AppError> {
    let params = BulkQuery::parse(raw.as_deref())?;
    let BulkUpdateJson { ids, expected, set, comment, dry_run } = body(&bytes)?;
    let wrong = |detail: &str| Err(AppError::new(Code::InvalidParameter, detail));
    let of = match (ids, expected) {
        (Some(_), _) if params.filters() => return wrong("give `ids` or a query, not both"),
        (Some(ids), _) => TriageOf::Ids(ids.into_iter().map(FindingIdJson::into_text).collect()),
        (None, _) if !params.filters() => return wrong("give `ids`, or a query that says which findings"),
        (None, None) => return wrong("`expected` is missing; give how many findings the query leaves"),
        (None, Some(expected)) => TriageOf::Filter(Box::new(filters::findings(&params)), expected),
    };
    let (state, assignee, suppression) =
        set.map_or((None, None, None), |set| (set.state, set.assignee, set.suppression));
    let asked = Asked { state, assignee, suppression: suppression.map(AskedSuppression::from), comment };
    let TriagedAll::Done { processed, unprocessed } = triage::many(&app, &of, asked, dry_run, &who).await? else {
        return Err(AppError::new(Code::Conflict, Code::Conflict.meaning()));
    };
    let unprocessed = unprocessed.into_iter().map(|(id, why)| {
        let (code, detail) = triage::refused(why);
        let problem = ItemProblemJson {
            kind: format!("/problems#{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            code: code.as_str(),
            detail,
        };
        UnprocessedJson { id, problem }
    });
    Ok(Json(BulkUpdatedJson { dry_run, processed, unprocessed: unprocessed.collect() }))
}

impl FindingIdJson {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// The version as an entity tag.
fn etag(found: &Finding) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", found.row.version))]
}

/// The version that a request expects; `None`: any. A tag that is none of ours is that of no version. Behind the
/// version stands what the item showed beside it, which no step depends on.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, AppError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let given = value.to_str().unwrap_or_default().trim();
    if given == "*" {
        return Ok(None);
    }
    if given.contains(',') {
        return Err(AppError::new(Code::InvalidParameter, "`If-Match` names one `ETag`"));
    }
    let tag = given.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let version = tag.and_then(|tag| tag.split('-').next()?.parse().ok());
    Ok(Some(version.unwrap_or(NO_VERSION)))
}

pub(super) async fn find(app: &App, id: &str) -> Result<Finding, AppError> {
    let found = match id.parse() {
        Ok(number) => app.store.finding(number).await?,
        Err(_) => app.store.finding_by_fingerprint(&Fingerprint(id.to_owned())).await?,
    };
    found.ok_or_else(|| AppError::not_found(format!("finding `{id}`")))
}
