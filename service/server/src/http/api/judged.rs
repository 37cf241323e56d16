//! `/api/v1`: rules with their results, and scans.

use super::shape::{
    Listed, ReasonJson, RuleJson, RuleParamJson, RuleResultsJson, ScanJson, ScanRequestedJson, counts, listed,
};
use crate::app::RunNow;
use crate::http::error::{AppError, Problem};
use crate::http::filters;
use crate::http::listing;
use crate::http::lists::Scans;
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, LIMIT, TOTAL, api_query};
use crate::http::rule_text::{self, RuleText};
use crate::http::visible::Visible;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use rolecall_store::{RuleResults, Total};

api_query! {
    /// Query of rules.
    RulesQuery = filters::RULES, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// Query of scans, which are not counted.
    RunsQuery = &[LIMIT, CURSOR]
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// The rules in force with their results in the latest scan.
#[utoipa::path(
    get, path = "/api/v1/rules", tag = "rules", operation_id = "list_rules", params(RulesQuery),
    responses((status = 200, body = Listed<RuleJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn rules(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = RulesQuery::parse(raw.as_deref())?;
    let rows = rule_text::rules(&app);
    let total = counts(&params).then(|| Total::Exact(u64::try_from(rows.len()).unwrap_or(u64::MAX)));
    let results = app.store.latest_results().await?;
    let key = rule_text::key(params.text("sort").unwrap_or("id"), &results);
    let slice = listing::within(&app, &params, "id", rows, params.limit(100), key)?;
    listed("/api/v1/rules", &params, slice, total, |rule| {
        let of_rule = results.get(&rule.id);
        shape(rule, of_rule)
    })
}

/// One rule, also by an id that it took the place of.
#[utoipa::path(
    get, path = "/api/v1/rules/{id}", tag = "rules", operation_id = "get_rule", params(("id" = String, Path)),
    responses((status = 200, body = RuleJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn rule(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<RuleJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let rule = rule_text::rule(&app, &id).ok_or_else(|| AppError::not_found(format!("rule `{id}`")))?;
    let results = app.store.latest_results().await?;
    let of_rule = results.get(&rule.id);
    Ok(Json(shape(rule, of_rule)))
}

fn shape(rule: RuleText, of_rule: Option<&RuleResults>) -> RuleJson {
    let results = of_rule.map(|it| RuleResultsJson {
        pass: it.pass,
        fail: it.fail,
        unknown: it.unknown,
        error: it.error,
        not_applicable: it.not_applicable,
    });
    let reasons = of_rule.into_iter().flat_map(|it| &it.reasons);
    let param = |p: rule_text::ParamText| RuleParamJson {
        name: p.name,
        type_name: p.type_name,
        about: p.about,
        default: p.default,
    };
    RuleJson {
        id: rule.id,
        title: rule.title,
        severity: rule.severity.as_str(),
        category: rule.category,
        subject_kind: rule.subject.as_str(),
        description: rule.description,
        risk: rule.risk,
        remediation: rule.remedy_text,
        references: rule.references,
        applies: rule.applies,
        expression: rule.expression,
        params: rule.params.into_iter().map(param).collect(),
        origin: rule.origin,
        digest: rule.digest,
        results,
        unknown_reasons: reasons.map(ReasonJson::from).collect(),
    }
}

/// Scans, newest first.
#[utoipa::path(
    get, path = "/api/v1/scans", tag = "scans", operation_id = "list_scans", params(RunsQuery),
    responses((status = 200, body = Listed<ScanJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn runs(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = RunsQuery::parse(raw.as_deref())?;
    let slice = listing::page(&app, &params, &Scans, params.limit(100)).await?;
    listed("/api/v1/scans", &params, slice, None, ScanJson::from)
}

/// Requests a scan. One at a time is queued or running.
#[utoipa::path(
    post, path = "/api/v1/scans", tag = "scans", operation_id = "start_scan",
    responses((status = 202, body = ScanRequestedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn start(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    RawQuery(raw): RawQuery,
) -> Result<(StatusCode, Json<ScanRequestedJson>), AppError> {
    NoQuery::parse(raw.as_deref())?;
    let answer = match app.run_now(&who.label(), who.actor()).await? {
        RunNow::Queued(job) => ScanRequestedJson { state: "queued", job_id: Some(job.to_string()) },
        RunNow::AlreadyWaiting => ScanRequestedJson { state: "already_waiting", job_id: None },
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// One scan with its report.
#[utoipa::path(
    get, path = "/api/v1/scans/{id}", tag = "scans", operation_id = "get_scan", params(("id" = i64, Path)),
    responses((status = 200, body = ScanJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn run(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ScanJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("scan `{id}`"));
    let run = app.store.run(id.parse().map_err(|_| unknown())?).await?;
    Ok(Json(run.ok_or_else(unknown)?.into()))
}
