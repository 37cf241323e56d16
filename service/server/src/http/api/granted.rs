//! `/api/v1/…/unused-access`: what a workload may do, compared with what it did.

use super::shape::ReasonJson;
use crate::http::as_of::{self, AT};
use crate::http::error::{AppError, Code, Problem};
use crate::http::inventory::read_key;
use crate::http::query::{Kind, Param, Params, api_query, param};
use crate::http::visible::{Visible, role_is_whole};
use crate::query::unused::{DAYS, Failure, usage_report};
use axum::Json;
use axum::extract::{Path, RawQuery};
use chrono::{DateTime, Utc};
use rolecall_audit::access::unused::{Covered, GrantedPath, UsageReport, UsedAction};
use rolecall_audit::access::usage::{UsageError, UsageSubject};
use rolecall_estate::EventScope;
use rolecall_iam::catalogue::AccessLevel;
use rolecall_iam::{ActionSet, Truth};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

const WINDOW: Param = param("days", Kind::Number(1, 400), "How many days back; 90 if not given.");

api_query! {
    /// Query of unused access.
    GrantedQuery = &[WINDOW, AT]
}

/// What a role's whole stack of policies allows, and what of it was used. Every granted action is in `used`, in
/// `unused`, or in one of `unknown`.
#[derive(Serialize, ToSchema)]
pub(super) struct UnusedAccessJson {
    /// The role whose policies grant: of an association with a target role, that one.
    role_arn: String,
    window: PeriodJson,
    totals: CountsJson,
    by_level: BTreeMap<&'static str, CountsJson>,
    by_service: BTreeMap<&'static str, CountsJson>,
    /// Granted, called, and allowed at least once.
    used: Vec<UsedActionJson>,
    /// Granted, and not called within the window, as far as can be known; by service.
    unused: BTreeMap<&'static str, Vec<UnusedJson>>,
    /// Granted, and unknown whether it was used.
    unknown: Vec<UnknownActionsJson>,
    /// Allowed calls that the known policies do not allow.
    used_outside_grants: Vec<UsedActionJson>,
    /// Called, and denied each time.
    denied: Vec<UsedActionJson>,
    /// Events whose action is not known: the event's source and name, with the number of calls.
    unmapped: BTreeMap<String, u64>,
    /// Patterns that are granted and name nothing that is known.
    unlisted_patterns: Vec<String>,
    /// Policies that are missing, so that more or less may be granted.
    missing_policies: Vec<ReasonJson>,
    /// Privilege-escalation paths of the role.
    escalation_paths: Vec<EscalationPathJson>,
}

/// The window, and whether a call within it would have been seen.
#[derive(Serialize, ToSchema)]
struct PeriodJson {
    /// In whose trail the calls stand.
    account_id: String,
    since: DateTime<Utc>,
    /// Up to when the trail is complete.
    until: DateTime<Utc>,
    /// Whether the trail of the period is complete, in every region.
    is_complete: bool,
    /// Why it was not.
    gaps: Vec<ReasonJson>,
    regions: Vec<RegionRangeJson>,
}

/// The complete range of one region's trail.
#[derive(Serialize, ToSchema)]
struct RegionRangeJson {
    region: String,
    source: Option<String>,
    /// What the source has: `management`, `bucket` or `stated`.
    event_scope: Option<&'static str>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

/// How many actions.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
struct CountsJson {
    granted: usize,
    used: usize,
    unused: usize,
    unknown: usize,
}

/// An action that was called.
#[derive(Serialize, ToSchema)]
struct UsedActionJson {
    action: &'static str,
    /// `list`, `read`, `write`, `tagging` or `permissions_management`.
    level: &'static str,
    /// Whether it is allowed on every resource, whatever the condition keys.
    is_certain: bool,
    count: u64,
    errors: u64,
    denied: u64,
    first_seen: DateTime<Utc>,
    last_seen: DateTime<Utc>,
}

/// An action that was granted and not used.
#[derive(Serialize, ToSchema)]
struct UnusedJson {
    /// The action's name, without the service.
    name: &'static str,
    level: &'static str,
    /// Whether it manages permissions, or is part of a privilege-escalation path.
    at_risk: bool,
}

/// Actions of which it is unknown whether they were used, and why.
#[derive(Serialize, ToSchema)]
struct UnknownActionsJson {
    reason: ReasonJson,
    count: usize,
    /// Names without the service, by service.
    actions: BTreeMap<&'static str, Vec<&'static str>>,
}

/// A privilege-escalation path.
#[derive(Serialize, ToSchema)]
struct EscalationPathJson {
    id: &'static str,
    /// What it leads to.
    outcome: &'static str,
    /// `true`, or `unknown`.
    is_open: &'static str,
    /// What it takes.
    actions: Vec<&'static str>,
    /// What of that was not used: without any one of them the path is closed.
    unused: Vec<&'static str>,
}

impl From<UsageReport> for UnusedAccessJson {
    fn from(usage_report: UsageReport) -> Self {
        let (used, unknown, risk) =
            (usage_report.used_set(), usage_report.unknown_set(), usage_report.unused_at_risk());
        let count = |within: &ActionSet| CountsJson {
            granted: usage_report.granted.intersection(within).len(),
            used: used.intersection(within).len(),
            unused: usage_report.unused.intersection(within).len(),
            unknown: unknown.intersection(within).len(),
        };
        let services = usage_report.granted.services().into_iter();
        let mut unused: BTreeMap<&'static str, Vec<UnusedJson>> = BTreeMap::new();
        for action in usage_report.unused.iter() {
            unused.entry(action.service()).or_default().push(UnusedJson {
                name: action.short_name(),
                level: action.level.as_str(),
                at_risk: risk.contains_number(action.number),
            });
        }
        let open = usage_report.unknown.iter().map(|open| {
            let mut actions: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
            for action in open.actions.iter() {
                actions.entry(action.service()).or_default().push(action.short_name());
            }
            UnknownActionsJson { reason: ReasonJson::from(&open.why), count: open.actions.len(), actions }
        });
        let called = |actions: &[UsedAction]| actions.iter().map(UsedActionJson::from).collect();
        Self {
            role_arn: usage_report.role_arn.as_str().to_owned(),
            totals: count(ActionSet::all()),
            by_level: AccessLevel::ALL.into_iter().map(|l| (l.as_str(), count(ActionSet::level(l)))).collect(),
            by_service: services.map(|service| (service, count(&ActionSet::service(service)))).collect(),
            used: called(&usage_report.used),
            unused,
            unknown: open.collect(),
            used_outside_grants: called(&usage_report.used_outside_grants),
            denied: called(&usage_report.refused),
            unmapped: usage_report.unmapped.iter().map(|used| (used.action.clone(), used.calls)).collect(),
            unlisted_patterns: usage_report.unlisted.clone(),
            missing_policies: usage_report.unseen.iter().map(ReasonJson::from).collect(),
            escalation_paths: usage_report.escalation_paths.iter().map(EscalationPathJson::from).collect(),
            window: usage_report.covered.into(),
        }
    }
}

impl From<Covered> for PeriodJson {
    fn from(covered: Covered) -> Self {
        Self {
            account_id: covered.account_id.to_string(),
            since: covered.since,
            until: covered.until,
            is_complete: covered.gaps.is_empty(),
            regions: covered
                .regions
                .iter()
                .map(|read| RegionRangeJson {
                    region: read.region.to_string(),
                    source: read.complete.as_ref().map(|range| range.source.clone()),
                    event_scope: read.complete.as_ref().map(|range| holds(&range.event_scope)),
                    from: read.complete.as_ref().map(|range| range.from),
                    to: read.complete.as_ref().map(|range| range.to),
                })
                .collect(),
            gaps: covered.gaps.iter().map(ReasonJson::from).collect(),
        }
    }
}

fn holds(holds: &EventScope) -> &'static str {
    match holds {
        EventScope::Sessions => "sessions",
        EventScope::Management => "management",
        EventScope::Bucket(_) => "bucket",
        EventScope::Stated => "stated",
    }
}

impl From<&UsedAction> for UsedActionJson {
    fn from(used: &UsedAction) -> Self {
        Self {
            action: used.action.name,
            level: used.action.level.as_str(),
            is_certain: used.is_certain,
            count: used.used.calls,
            errors: used.used.errors,
            denied: used.used.denied,
            first_seen: used.used.first,
            last_seen: used.used.last,
        }
    }
}

impl From<&GrantedPath> for EscalationPathJson {
    fn from(path: &GrantedPath) -> Self {
        Self {
            id: path.found.path.id,
            outcome: path.found.path.outcome.as_str(),
            is_open: if matches!(path.found.truth, Truth::True) { "true" } else { "unknown" },
            actions: path.found.path.actions().collect(),
            unused: path.unused.clone(),
        }
    }
}

impl From<Failure> for AppError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::Usage(error @ UsageError::NotDescribed(_)) => Self::new(Code::Conflict, error.to_string()),
            Failure::Usage(UsageError::Association(key)) => Self::not_found(format!("association `{key}`")),
            Failure::Usage(UsageError::Role(arn)) => Self::not_found(format!("role `{arn}`")),
            Failure::Stopped(error) => Self::internal(error),
        }
    }
}

fn days(params: &Params) -> u16 {
    params.text("days").and_then(|days| days.parse().ok()).unwrap_or(DAYS)
}

/// What the pods of an association may do, against what they did.
#[utoipa::path(
    get, path = "/api/v1/associations/{account_id}/{region}/{cluster}/{namespace}/{service_account}/unused-access",
    tag = "inventory", operation_id = "get_association_unused_access",
    params(
        ("account_id" = String, Path), ("region" = String, Path), ("cluster" = String, Path),
        ("namespace" = String, Path), ("service_account" = String, Path), GrantedQuery
    ),
    responses((status = 200, body = UnusedAccessJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn of_association(
    Visible(app): Visible,
    Path((account_id, region, cluster, namespace, service_account)): Path<(String, String, String, String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Json<UnusedAccessJson>, AppError> {
    let params = GrantedQuery::parse(raw.as_deref())?;
    let path = [account_id, region, cluster, namespace, service_account].join("/");
    let key = read_key(&path).ok_or_else(|| AppError::not_found(format!("association `{path}`")))?;
    let as_of = as_of::of(&app.store, &params).await?;
    if app.store.association(&key, Utc::now(), as_of).await?.is_none() && app.store.is_limited() {
        return Err(AppError::not_found(format!("association `{path}`")));
    }
    // What of the organization decides it is looked for in all that is stored.
    Ok(Json(usage_report(app.whole(), UsageSubject::Pods(key), days(&params), as_of).await?.into()))
}

/// What a role may do, against what its sessions did.
#[utoipa::path(
    get, path = "/api/v1/roles/{arn}/unused-access", tag = "inventory", operation_id = "get_role_unused_access",
    params(("arn" = String, Path, description = "The ARN, with its slashes as %2F"), GrantedQuery),
    responses((status = 200, body = UnusedAccessJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn of_role(
    Visible(app): Visible,
    Path(arn): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<UnusedAccessJson>, AppError> {
    let params = GrantedQuery::parse(raw.as_deref())?;
    let as_of = as_of::of(&app.store, &params).await?;
    role_is_whole(&app, &arn).await?;
    Ok(Json(usage_report(app.whole(), UsageSubject::Role(arn), days(&params), as_of).await?.into()))
}
