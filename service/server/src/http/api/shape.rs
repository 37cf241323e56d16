//! Shapes of the API's answers, and how rows become them.
//!
//! Absent is `null`, names are `snake_case`, instants RFC 3339 in UTC. INVARIANT: no domain type is
//! serialised here but through a field of these.

mod finding;
mod inventory;
mod owner;
mod verdict;

use crate::http::error::AppError;
use crate::http::filters::session_kind;
use crate::http::listing::Slice;
use crate::http::query::Params;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
pub(crate) use finding::SuppressionJson;
pub(in crate::http::api) use finding::{EventJson, FindingDetailJson, FindingJson};
pub(crate) use inventory::AccountJson;
pub(in crate::http::api) use inventory::{AssociationJson, CoverageJson, ManagedPolicyJson, RoleDetailJson, RoleJson};
use rolecall_estate::Session;
use rolecall_store::{Run, Total};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
pub(in crate::http::api) use verdict::{ReasonJson, SubjectJson};

/// So many bytes has an item of a list at most, as a rule.
const ITEM: usize = 2_048;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the list goes on; null at its end. Also in `Link`, as `rel="next"`.
    pub(crate) next_cursor: Option<String>,
    /// How many items there are in all; null with `total=none`.
    pub(crate) total: Option<TotalCount>,
}

/// How many items there are in all.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotalCount {
    /// The count.
    pub(crate) count: u64,
    /// `exact`, or `at_least` where counting stopped.
    #[serde(rename = "type")]
    pub(crate) kind: TotalKind,
}

/// Whether all were counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TotalKind {
    /// All were counted.
    Exact,
    /// There are more.
    AtLeast,
}

impl From<Total> for TotalCount {
    fn from(total: Total) -> Self {
        match total {
            Total::Exact(count) => Self { count, kind: TotalKind::Exact },
            Total::AtLeast(count) => Self { count, kind: TotalKind::AtLeast },
        }
    }
}

/// The answer of a list.
pub(crate) fn listed<R, T: Serialize>(
    path: &str,
    params: &Params,
    slice: Slice<R>,
    total: Option<Total>,
    item: impl Fn(R) -> T,
) -> Result<Response, AppError> {
    let link = slice.next.as_ref().map(|cursor| params.with("cursor", cursor).link(path));
    let items: Vec<T> = slice.rows.into_iter().map(item).collect();
    // Room for the whole: a text that grows is copied time and again.
    let mut text = Vec::with_capacity(ITEM * (items.len() + 1));
    let body = Listed { items, next_cursor: slice.next, total: total.map(TotalCount::from) };
    serde_json::to_writer(&mut text, &body).map_err(AppError::internal)?;
    let mut response = ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    if let Some(link) = link {
        let value = HeaderValue::try_from(format!("<{link}>; rel=\"next\"")).map_err(AppError::internal)?;
        response.headers_mut().insert(header::LINK, value);
    }
    Ok(response)
}

/// Whether the caller wants items counted.
pub(crate) fn counts(params: &Params) -> bool {
    params.text("total") != Some("none")
}

/// An AssumeRole, or the refusal of one.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionJson {
    pub(crate) event_id: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) at: DateTime<Utc>,
    /// Such as `pod_identity`.
    pub(crate) kind: &'static str,
    pub(crate) role_arn: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) access_key_id: Option<String>,
    /// Who asked.
    pub(crate) principal: String,
    pub(crate) principal_type: String,
    pub(crate) parent_access_key_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) external_id: Option<String>,
    pub(crate) duration_seconds: Option<u32>,
    pub(crate) packed_policy_size: Option<u8>,
    /// The error code of a refused call.
    pub(crate) error: Option<String>,
    /// The cluster that tags, event or attribution name.
    pub(crate) cluster: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) service_account: Option<String>,
    /// The pod, or the part of its name that is known.
    pub(crate) pod: Option<String>,
    /// The association that was valid at that moment.
    pub(crate) association_id: Option<String>,
    /// How the session was attributed: `tags`, `access_key`, `chain`, `name`, `ambiguous` or `none`; null while it
    /// is not attributed yet.
    pub(crate) attribution_method: Option<String>,
    /// Why there is no attribution, or no certain one.
    pub(crate) attribution_reason: Option<String>,
    /// Ids of the associations that it can belong to, where there are several.
    pub(crate) candidates: Vec<String>,
    /// How many sessions lie between it and the one that EKS opened.
    pub(crate) depth: u8,
}

impl From<Session> for SessionJson {
    fn from(mut s: Session) -> Self {
        let attribution = s.attribution.take();
        let attribution_method = attribution.as_ref().map(|found| found.method.as_str().to_owned());
        let attribution = attribution.unwrap_or_default();
        Self {
            namespace: attribution.namespace,
            service_account: attribution.service_account,
            pod: attribution.pod,
            association_id: attribution.association_id,
            attribution_method,
            attribution_reason: attribution.reason,
            candidates: attribution.candidates,
            depth: attribution.depth,
            event_id: s.event_id,
            account_id: s.account_id.to_string(),
            region: s.region.to_string(),
            at: s.at,
            kind: session_kind(s.kind),
            role_arn: s.role_arn,
            session_name: s.session_name,
            access_key_id: s.access_key_id,
            principal: s.principal,
            principal_type: s.principal_type,
            parent_access_key_id: s.parent_access_key_id,
            source_ip: s.source_ip,
            tags: s.tags,
            external_id: s.external_id,
            duration_seconds: s.duration_seconds,
            packed_policy_size: s.packed_policy_size,
            error: s.error,
            cluster: s.cluster,
        }
    }
}

/// A scan: one collection of AWS or of files, with its evaluation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScanJson {
    pub(crate) id: i64,
    /// Such as `scan` or `import`.
    pub(crate) kind: String,
    /// Who or what began it.
    pub(crate) trigger: String,
    /// `running`, `done`, `failed` or `interrupted`.
    pub(crate) state: &'static str,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// When what it saw became visible; null where it saw nothing to its end.
    pub(crate) snapshot_at: Option<DateTime<Utc>>,
    pub(crate) report: serde_json::Value,
    pub(crate) error: Option<String>,
}

impl From<Run> for ScanJson {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.0,
            kind: run.kind,
            trigger: run.trigger,
            state: run.state.as_str(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            snapshot_at: run.snapshot_at,
            report: run.report,
            error: run.error,
        }
    }
}

/// The result of requesting a scan.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScanRequestedJson {
    /// `queued`, or `already_waiting` where one is queued or running.
    pub(crate) state: &'static str,
    /// The job, if one was queued. The scan has its number once a worker has started it.
    pub(crate) job_id: Option<String>,
}

/// How often a rule gave each answer.
#[derive(Serialize, ToSchema, Default)]
pub(crate) struct RuleResultsJson {
    pub(crate) pass: u64,
    pub(crate) fail: u64,
    /// Something that the rule needs was not seen.
    pub(crate) unknown: u64,
    pub(crate) error: u64,
    pub(crate) not_applicable: u64,
}

/// A parameter as the rule declares it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleParamJson {
    pub(crate) name: String,
    /// Such as `list(string)`.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) about: String,
    /// As JSON text.
    pub(crate) default: String,
}

/// A rule and its results in the latest scan.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleJson {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: &'static str,
    pub(crate) category: String,
    pub(crate) subject_kind: &'static str,
    pub(crate) description: String,
    pub(crate) risk: String,
    pub(crate) remediation: String,
    pub(crate) references: Vec<String>,
    /// When the rule concerns a subject; empty: always.
    pub(crate) applies: String,
    /// When it fails.
    pub(crate) expression: String,
    pub(crate) params: Vec<RuleParamJson>,
    /// File and line.
    pub(crate) origin: String,
    pub(crate) digest: String,
    /// Null where it was not judged yet.
    pub(crate) results: Option<RuleResultsJson>,
    /// Why some results are `unknown`.
    pub(crate) unknown_reasons: Vec<ReasonJson>,
}
