//! `/api/v1/changes`: what changed, whom it reaches, who made it, and whether it is approved.

use super::shape::{Listed, listed};
use crate::http::approval::{self, Asked};
use crate::http::error::{AppError, Code, Problem};
use crate::http::filters;
use crate::http::listing;
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, Kind, LIMIT, api_query, param};
use crate::http::visible::Visible;
use crate::http::whole;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{Access, Affected, ApprovalStep, RoleEscalation, State as Of};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_store::ChangeRow;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// Query of changes, which are not counted.
    ChangesQuery = filters::CHANGES, &[LIMIT, CURSOR]
}
api_query! {
    /// Query of an approval of many changes.
    ApproveQuery = filters::CHANGES
}
api_query! {
    /// Query of a withdrawal.
    WithdrawQuery = &[param("reason", Kind::Text, "Why; 1,000 characters at most.").required()]
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// Access that was gained or lost, in words and as a request that shows it.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct AccessJson {
    /// In words.
    pub(crate) words: String,
    pub(crate) action: String,
    /// An ARN, or `*`.
    pub(crate) resource: String,
    /// The condition keys that matter.
    pub(crate) context: serde_json::Value,
    /// Who asks, where it is not the workload.
    pub(crate) principal: Option<String>,
}

impl From<Access> for AccessJson {
    fn from(it: Access) -> Self {
        let Access { words, action, resource, context, principal } = it;
        Self { words, action, resource, context: serde_json::Value::Object(context), principal }
    }
}

/// How whoever has a role gets further: it is an administrator, or has a privilege-escalation path.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct RoleEscalationJson {
    /// The role's ARN.
    pub(crate) role: String,
    /// `administrator`, `trusted-by-role`, or the name of a path.
    #[schema(example = "lambda-create-invoke")]
    pub(crate) path: String,
    /// The role that it ends at, where it ends at a role of the estate.
    pub(crate) target: Option<String>,
    /// The roles on the way, the target included, where there is more than one.
    pub(crate) through: Vec<String>,
    /// Whether it ends at an administrator, or at permissions that the role writes itself.
    pub(crate) to_administrator: bool,
    /// The actions that it takes, and where it leads.
    pub(crate) words: String,
}

impl From<RoleEscalation> for RoleEscalationJson {
    fn from(it: RoleEscalation) -> Self {
        let words = it.words();
        let RoleEscalation { role, path, target, through, to_administrator } = it;
        Self { role, path, target, through, to_administrator, words }
    }
}

pub(super) fn escalations(list: &[RoleEscalation]) -> Vec<RoleEscalationJson> {
    list.iter().cloned().map(RoleEscalationJson::from).collect()
}

/// A change.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct ChangeJson {
    pub(crate) change_id: String,
    /// CloudFormation's name of the type.
    #[schema(example = "AWS::IAM::Role")]
    pub(crate) resource_type: String,
    /// The ARN; of an association `account/region/cluster/namespace/service account`.
    pub(crate) resource: String,
    pub(crate) account_id: String,
    pub(crate) region: Option<String>,
    /// What changed, such as `trust_policy_changed`.
    pub(crate) change: String,
    /// `widened`, `narrowed`, `mixed`, `none` or `unknown`.
    pub(crate) effect: &'static str,
    pub(crate) gained: Option<AccessJson>,
    pub(crate) lost: Option<AccessJson>,
    /// The privilege-escalation paths, and administrators, that it opens.
    pub(crate) opens: Vec<RoleEscalationJson>,
    /// Those that it closes.
    pub(crate) closes: Vec<RoleEscalationJson>,
    /// The workloads that it reaches: `account/region/cluster/namespace/service account`.
    pub(crate) affected: Vec<String>,
    /// The change that this one follows from.
    pub(crate) caused_by: Option<String>,
    /// The date of the scan that shows it.
    pub(crate) detected_at: DateTime<Utc>,
    /// When it was made, where one event is known that made it.
    pub(crate) event_time: Option<DateTime<Utc>>,
    /// When it takes hold at the latest for pods that have credentials from before it. Where no event is known, from
    /// the date of the scan.
    pub(crate) effective_at: DateTime<Utc>,
    /// The ARN of who made it: of the principal, or of the role whose session called.
    pub(crate) actor: Option<String>,
    /// The CloudTrail event; of several candidates all, separated by commas.
    pub(crate) event_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// `exact`, `candidates` or `none`.
    pub(crate) attribution: &'static str,
    /// `snapshots`: two scans differ by it; `events`: no scan shows it, and it is told from its call alone.
    pub(crate) seen_in: &'static str,
    /// Of a change that no scan shows: when a later call undid it; where no such call is known, the date of the scan
    /// that does not show it. Null where no scan could show it yet.
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// The CloudTrail event of the call that undid it.
    pub(crate) ended_by: Option<String>,
    /// `approved`, `expired` or `withdrawn`; null where nobody approved it. What follows from another change is
    /// approved with it.
    pub(crate) approval: Option<&'static str>,
    /// When it was approved, or its approval withdrawn.
    pub(crate) approval_at: Option<DateTime<Utc>>,
    /// Who did.
    pub(crate) approval_by: Option<String>,
    /// Why.
    pub(crate) approval_reason: Option<String>,
    pub(crate) approval_ticket: Option<String>,
    /// When the approval ends; null where it does not.
    pub(crate) approval_until: Option<DateTime<Utc>>,
    /// The `baseline_id` of the baseline that it was approved with; null where it was approved by itself.
    pub(crate) approval_baseline: Option<String>,
}

impl From<&ChangeRow> for ChangeJson {
    fn from(row: &ChangeRow) -> Self {
        let (change, made) = (&row.change, &row.attributed);
        let step = row.approval.as_ref();
        let ids: Vec<&str> = made.calls.iter().map(|call| call.event_id.as_str()).collect();
        Self {
            change_id: change.id.clone(),
            resource_type: change.resource.kind.as_str().to_owned(),
            resource: change.resource.name.clone(),
            account_id: change.account_id.to_string(),
            region: change.region.as_ref().map(ToString::to_string),
            change: change.change.clone(),
            effect: change.effect.as_str(),
            gained: change.gained.clone().map(AccessJson::from),
            lost: change.lost.clone().map(AccessJson::from),
            opens: escalations(&change.escalations.opens),
            closes: escalations(&change.escalations.closes),
            affected: change.affected.iter().map(|it| it.workload.to_string()).collect(),
            caused_by: change.caused_by.clone(),
            detected_at: row.detected_at,
            event_time: made.event_time(),
            effective_at: row.effective_at,
            actor: made.actor().map(str::to_owned),
            event_id: (!ids.is_empty()).then(|| ids.join(",")),
            source_ip: made.same(|call| call.source_ip.as_deref()).map(str::to_owned),
            user_agent: made.same(|call| call.user_agent.as_deref()).map(str::to_owned),
            attribution: made.attribution.as_str(),
            seen_in: row.seen_in.as_str(),
            ended_at: row.ended.as_ref().map(|it| it.at),
            ended_by: row.ended.as_ref().and_then(|it| it.by.clone()),
            approval: step.map(|it| it.state.as_str()),
            approval_at: step.map(|it| it.at),
            approval_by: step.map(|it| it.who.clone()),
            approval_reason: step.map(|it| it.reason.clone()),
            approval_ticket: step.and_then(|it| it.ticket.clone()),
            approval_until: step.and_then(|it| it.until),
            approval_baseline: step.and_then(|it| it.baseline.clone()),
        }
    }
}

/// What a change comes to for one workload.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct AffectedJson {
    /// `account/region/cluster/namespace/service account`.
    pub(crate) workload: String,
    pub(crate) effect: &'static str,
    pub(crate) gained: Option<AccessJson>,
    pub(crate) lost: Option<AccessJson>,
    /// The privilege-escalation paths, and administrators, that it opens for this one.
    pub(crate) opens: Vec<RoleEscalationJson>,
    /// Those that it closes.
    pub(crate) closes: Vec<RoleEscalationJson>,
}

impl From<Affected> for AffectedJson {
    fn from(it: Affected) -> Self {
        Self {
            workload: it.workload.to_string(),
            effect: it.effect.as_str(),
            gained: it.gained.map(AccessJson::from),
            lost: it.lost.map(AccessJson::from),
            opens: escalations(&it.escalations.opens),
            closes: escalations(&it.escalations.closes),
        }
    }
}

/// A thing before or after a change: a policy document by the SHA-256 of its canonical form, or a value.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct StateJson {
    pub(crate) document: Option<String>,
    pub(crate) value: Option<String>,
}

impl From<Of> for StateJson {
    fn from(it: Of) -> Self {
        match it {
            Of::Document(digest) => Self { document: Some(digest.to_string()), value: None },
            Of::Text(text) => Self { document: None, value: Some(text) },
        }
    }
}

/// A call that made a change, or may have.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct CallJson {
    pub(crate) event_id: String,
    pub(crate) event_time: DateTime<Utc>,
    #[schema(example = "iam.amazonaws.com")]
    pub(crate) event_source: String,
    #[schema(example = "UpdateAssumeRolePolicy")]
    pub(crate) event_name: String,
    pub(crate) actor: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// The kind of program, such as `terraform`.
    pub(crate) agent_class: String,
}

impl From<ChangeEvent> for CallJson {
    fn from(call: ChangeEvent) -> Self {
        Self {
            actor: call.actor.principal().map(str::to_owned),
            agent_class: call.agent_class.as_str().to_owned(),
            event_id: call.event_id,
            event_time: call.event_time,
            event_source: call.event_source,
            event_name: call.event_name,
            source_ip: call.source_ip,
            user_agent: call.user_agent,
        }
    }
}

/// A change with all that is known of it.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct ChangeDetailJson {
    #[serde(flatten)]
    pub(crate) change: ChangeJson,
    /// Which part of the resource: a policy's name or ARN, a field.
    pub(crate) part: Option<String>,
    pub(crate) before: Option<StateJson>,
    pub(crate) after: Option<StateJson>,
    /// Why the effect is what it is.
    pub(crate) because: String,
    /// What it comes to for each workload.
    pub(crate) workloads: Vec<AffectedJson>,
    /// `at_once`, `next_credentials` or `next_credentials_of_target_role`.
    pub(crate) takes_hold: &'static str,
    /// Whether it makes an administrator (`true`) or ends that (`false`).
    pub(crate) administrator: Option<bool>,
    /// Why it may open or close other privilege-escalation paths; null where those are all.
    pub(crate) escalations_unknown: Option<String>,
    /// Why the attribution is what it is; of `none`, whether the trail could have shown the call.
    pub(crate) attribution_because: String,
    /// The calls that made it, or may have.
    pub(crate) calls: Vec<CallJson>,
    /// The scan that shows it; of one that no scan shows, the latest when it was told.
    pub(crate) scan: i64,
    /// The date of the scan before.
    pub(crate) since: Option<DateTime<Utc>>,
}

impl From<ChangeRow> for ChangeDetailJson {
    fn from(row: ChangeRow) -> Self {
        Self {
            change: ChangeJson::from(&row),
            scan: row.run.0,
            since: row.since,
            part: row.change.part,
            before: row.change.before.map(StateJson::from),
            after: row.change.after.map(StateJson::from),
            because: row.change.because,
            workloads: row.change.affected.into_iter().map(AffectedJson::from).collect(),
            takes_hold: row.change.takes_hold.as_str(),
            administrator: row.change.administrator,
            escalations_unknown: row.change.escalations.unknown,
            attribution_because: row.attributed.because,
            calls: row.attributed.calls.into_iter().map(CallJson::from).collect(),
        }
    }
}

/// Changes of resources, with what they come to for workloads and who made them.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "changes", operation_id = "list_changes", params(ChangesQuery),
    responses((status = 200, body = Listed<ChangeJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = ChangesQuery::parse(raw.as_deref())?;
    let slice = listing::page(&app, &params, &filters::changes_in_order(&params), params.limit(100)).await?;
    listed("/api/v1/changes", &params, slice, None, |row| ChangeJson::from(&row))
}

/// One change.
#[utoipa::path(
    get, path = "/api/v1/changes/{id}", tag = "changes", operation_id = "get_change",
    params(("id" = String, Path, description = "`change_id`")),
    responses((status = 200, body = ChangeDetailJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ChangeDetailJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let row = app.store.change(&id).await?;
    Ok(Json(row.ok_or_else(|| AppError::not_found(format!("change `{id}`")))?.into()))
}

/// An approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalJson {
    /// Why; 1,000 characters at most.
    #[schema(example = "The new queue of the invoices team", min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
    /// The ticket that it stands in; 200 characters at most.
    #[serde(default)]
    #[schema(example = "SEC-1204", max_length = 200)]
    ticket: Option<String>,
    /// When it ends, within a year; left out it does not.
    #[serde(default)]
    until: Option<DateTime<Utc>>,
}

/// An approval of many changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalsJson {
    /// How many changes are to be approved, from 1 to 1,000: those of the filter that are not approved and follow
    /// from no other. With another number none is.
    #[schema(example = 12, minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "whole::number")]
    expected: u64,
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
}

/// What was approved.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct ApprovedJson {
    /// The `change_id` of each.
    approved: Vec<String>,
}

/// A step of a change's approval.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct ApprovalStepJson {
    /// `approved`, `expired` or `withdrawn`.
    approval: &'static str,
    at: DateTime<Utc>,
    /// Who took it: a person, or `token` with its name.
    by: String,
    reason: String,
    ticket: Option<String>,
    until: Option<DateTime<Utc>>,
    /// The `baseline_id` of the baseline that it was approved with.
    baseline: Option<String>,
}

impl From<ApprovalStep> for ApprovalStepJson {
    fn from(step: ApprovalStep) -> Self {
        let ApprovalStep { state, at, who, reason, ticket, until, baseline } = step;
        Self { approval: state.as_str(), at, by: who, reason, ticket, until, baseline }
    }
}

fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, AppError> {
    serde_json::from_slice(bytes)
        .map_err(|error| AppError::new(Code::InvalidParameter, format!("the body is no approval: {error}")))
}

/// Every step of a change's approval, the first one first.
#[utoipa::path(
    get, path = "/api/v1/changes/{id}/approval", tag = "changes", operation_id = "list_approval_steps",
    params(("id" = String, Path, description = "`change_id`")),
    responses((status = 200, body = Listed<ApprovalStepJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn steps(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Listed<ApprovalStepJson>>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    app.store.change(&id).await?.ok_or_else(|| AppError::not_found(format!("change `{id}`")))?;
    let steps = app.store.approval_steps(&id).await?;
    let total = rolecall_store::Total::Exact(u64::try_from(steps.len()).unwrap_or(u64::MAX));
    let items = steps.into_iter().map(ApprovalStepJson::from).collect();
    Ok(Json(Listed { items, next_cursor: None, total: Some(total.into()) }))
}

/// Approves a change. Where what it brought is not there any more the answer is 409 and says what changed.
#[utoipa::path(
    post, path = "/api/v1/changes/{id}/approval", tag = "changes", operation_id = "approve_change",
    params(("id" = String, Path, description = "`change_id`")), request_body = ApprovalJson,
    responses((status = 200, body = ChangeJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn approve(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Json<ChangeJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let ApprovalJson { reason, ticket, until } = body(&bytes)?;
    let row = approval::approve(&app, &id, &Asked { reason, ticket, until }, &who).await?;
    Ok(Json(ChangeJson::from(&row)))
}

/// Withdraws the approval of a change.
#[utoipa::path(
    delete, path = "/api/v1/changes/{id}/approval", tag = "changes", operation_id = "withdraw_approval",
    params(("id" = String, Path, description = "`change_id`"), WithdrawQuery),
    responses((status = 200, body = ChangeJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn withdraw(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
) -> Result<Json<ChangeJson>, AppError> {
    let params = WithdrawQuery::parse(raw.as_deref())?;
    let row = approval::withdraw(&app, &id, params.text("reason").unwrap_or_default(), &who).await?;
    Ok(Json(ChangeJson::from(&row)))
}

/// Approves all changes of a filter that are not approved and follow from no other, if they are as many as expected.
/// Where what one of them brought is not there any more, none is approved and the answer is 409.
#[utoipa::path(
    post, path = "/api/v1/changes/approvals", tag = "changes", operation_id = "approve_changes", params(ApproveQuery),
    request_body = ApprovalsJson,
    responses((status = 200, body = ApprovedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn approve_all(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Json<ApprovedJson>, AppError> {
    let filter = filters::changes(&ApproveQuery::parse(raw.as_deref())?);
    let ApprovalsJson { expected, reason, ticket, until } = body(&bytes)?;
    let approved = approval::approve_all(&app, &filter, expected, &Asked { reason, ticket, until }, &who).await?;
    Ok(Json(ApprovedJson { approved }))
}
