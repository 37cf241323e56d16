//! `/api/v1/change-events`: CloudTrail events of calls that change something.

use super::shape::{Listed, listed};
use crate::http::error::{AppError, Problem};
use crate::http::filters;
use crate::http::listing;
use crate::http::query::{CURSOR, LIMIT, api_query};
use crate::http::visible::Visible;
use axum::extract::RawQuery;
use axum::response::Response;
use chrono::{DateTime, Utc};
use rolecall_estate::ChangeEvent;
use serde::Serialize;
use utoipa::ToSchema;

api_query! {
    /// Query of change events, which are not counted.
    ChangeEventsQuery = filters::CHANGE_EVENTS, &[LIMIT, CURSOR]
}

/// A call that changed, or tried to change, what is watched: one CloudTrail record.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeEventJson {
    pub(crate) event_id: String,
    pub(crate) event_time: DateTime<Utc>,
    /// In whose trail the record stands.
    pub(crate) account_id: String,
    pub(crate) region: String,
    /// Such as `iam.amazonaws.com`.
    pub(crate) event_source: String,
    /// Such as `UpdateAssumeRolePolicy`.
    pub(crate) event_name: String,
    /// The ARN of the session issuer or principal, or the name of the AWS service.
    pub(crate) actor: Option<String>,
    /// `userIdentity.type`, such as `AssumedRole`.
    pub(crate) actor_type: String,
    /// The principal's ARN; of a session, that of the session.
    pub(crate) principal_arn: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) source_identity: Option<String>,
    /// The AWS service that called, for the principal or for itself.
    pub(crate) invoked_by: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// `console`, `terraform`, `cloudformation`, `eksctl`, `controller`, `cli`, `sdk`, `aws-service` or `other`.
    pub(crate) agent_class: &'static str,
    /// Null: the call succeeded.
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    /// Whether the call was refused for want of permission.
    pub(crate) denied: bool,
    pub(crate) resources: Vec<ChangedResourceJson>,
    /// `requestParameters`, policy documents included; what may be a secret is hidden.
    #[schema(value_type = Object)]
    pub(crate) request: serde_json::Value,
    /// Whether something was left out of the request because it was too long.
    pub(crate) request_truncated: bool,
}

/// A resource that a call names.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedResourceJson {
    /// CloudFormation type, such as `AWS::IAM::Role`.
    pub(crate) resource_type: String,
    /// The ARN; an association's key; an id of Organizations. A role's path may be missing.
    pub(crate) resource: String,
    pub(crate) association_id: Option<String>,
    /// Whether the call changes it; otherwise it is only named.
    pub(crate) changed: bool,
}

impl From<ChangeEvent> for ChangeEventJson {
    fn from(event: ChangeEvent) -> Self {
        let resources = event.resources.into_iter().map(|it| ChangedResourceJson {
            resource_type: it.resource_type,
            resource: it.resource,
            association_id: it.association_id,
            changed: it.is_changed,
        });
        Self {
            event_id: event.event_id,
            event_time: event.event_time,
            account_id: event.account_id.to_string(),
            region: event.region.to_string(),
            event_source: event.event_source,
            event_name: event.event_name,
            actor: event.actor.principal().map(str::to_owned),
            actor_type: event.actor.kind,
            principal_arn: event.actor.arn,
            session_name: event.actor.session_name,
            access_key_id: event.actor.access_key_id,
            source_identity: event.actor.source_identity,
            invoked_by: event.actor.invoked_by,
            source_ip: event.source_ip,
            user_agent: event.user_agent,
            agent_class: event.agent_class.as_str(),
            error_code: event.error_code,
            error_message: event.error_message,
            denied: event.is_denied,
            resources: resources.collect(),
            request: event.request,
            request_truncated: event.is_request_cut,
        }
    }
}

/// Calls that changed, or tried to change, roles, policies, identity providers, associations, add-ons, access
/// entries, clusters, the organization or trails, the newest first. Not counted: there may be very many.
#[utoipa::path(
    get, path = "/api/v1/change-events", tag = "changes", operation_id = "list_change_events",
    params(ChangeEventsQuery),
    responses((status = 200, body = Listed<ChangeEventJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = ChangeEventsQuery::parse(raw.as_deref())?;
    let slice = listing::page(&app, &params, &filters::change_events(&params), params.limit(100)).await?;
    listed("/api/v1/change-events", &params, slice, None, ChangeEventJson::from)
}
