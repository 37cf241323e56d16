//! `/api/v1/audit-log`: what people, programs and operators did.

use super::shape::{Listed, listed};
use crate::http::error::{AppError, Problem};
use crate::http::filters;
use crate::http::listing;
use crate::http::query::{CURSOR, LIMIT, api_query};
use crate::http::visible::Visible;
use axum::extract::RawQuery;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall_store::AuditEntry;
use serde::Serialize;
use utoipa::ToSchema;

api_query! {
    /// Query of the audit log, which is not counted: the newest number says how many there are.
    AuditLogQuery = filters::AUDIT_LOG, &[LIMIT, CURSOR]
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEntryJson {
    /// Its place in the log, from 1, without gaps.
    #[schema(example = 1042)]
    pub(crate) seq: i64,
    /// When, to the microsecond, as it was hashed.
    #[schema(example = "2026-11-30T14:25:40.123456Z")]
    pub(crate) at: String,
    /// `person`, `token`, `operator`, `anonymous` or `service`.
    pub(crate) actor_kind: &'static str,
    /// Who: a person, or the service account of a token.
    #[schema(example = "ann@example.com")]
    pub(crate) actor: String,
    /// What was done, such as `finding.suppress`.
    #[schema(example = "finding.suppress")]
    pub(crate) action: &'static str,
    /// `success` or `failure`.
    pub(crate) outcome: &'static str,
    /// On what, such as the number of a finding; null where the action says all.
    pub(crate) object: Option<String>,
    /// Values before and after.
    #[schema(value_type = Object)]
    pub(crate) detail: serde_json::Value,
    /// The address that the request came from.
    pub(crate) source_ip: Option<String>,
    /// The id of the request, as its answer had it in `X-Request-Id`.
    pub(crate) request_id: Option<String>,
    /// The hash of the entry before; zeros of the first.
    pub(crate) previous_hash: String,
    /// SHA-256 over the hash before and what this entry says.
    pub(crate) hash: String,
}

impl From<AuditEntry> for AuditEntryJson {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: precise(entry.at),
            actor_kind: entry.actor_kind.as_str(),
            actor: entry.actor,
            action: entry.action.as_str(),
            outcome: entry.outcome.as_str(),
            object: entry.object,
            detail: entry.detail,
            source_ip: entry.source_ip,
            request_id: entry.request_id,
            previous_hash: entry.previous_hash.to_string(),
            hash: entry.hash.to_string(),
        }
    }
}

fn precise(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What people, programs and operators did, the newest first.
#[utoipa::path(
    get, path = "/api/v1/audit-log", tag = "access", operation_id = "list_audit_log", params(AuditLogQuery),
    responses((status = 200, body = Listed<AuditEntryJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = AuditLogQuery::parse(raw.as_deref())?;
    let slice = listing::page(&app, &params, &filters::audit_log(&params), params.limit(100)).await?;
    listed("/api/v1/audit-log", &params, slice, None, AuditEntryJson::from)
}
