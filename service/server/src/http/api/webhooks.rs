//! `/api/v1/webhooks`: how webhooks stand, what was sent to them, and what is sent again.

use super::findings::body;
use super::shape::{Listed, listed};
use crate::http::error::{AppError, Problem};
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, LIMIT, api_query};
use crate::http::visible::Visible;
use crate::http::webhooks::{self, Deliveries, Webhook};
use crate::http::whole;
use crate::http::{filters, listing};
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_store::{DeliveryRow, DeliveryState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// Query of webhooks.
    WebhooksQuery = &[LIMIT, CURSOR]
}
api_query! {
    /// Query of deliveries, which are not counted.
    DeliveriesQuery = filters::DELIVERIES, &[LIMIT, CURSOR]
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// A webhook of the configuration, and how it stands.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookJson {
    /// Its name in the configuration.
    #[schema(example = "soc")]
    name: String,
    /// What it is sent, and by what: `standard`, `slack`, `sns`, `eventbridge` or
    /// `email`.
    #[schema(example = "standard")]
    kind: &'static str,
    /// Where to: an address without the path, the ARN of a topic or an event bus, or addresses of people; null where the
    /// whole address is a secret.
    #[schema(example = "https://hooks.example.com/…")]
    url: Option<String>,
    /// The kinds of events that it is sent.
    types: Vec<String>,
    /// Only of findings at least so grave; null: of any severity.
    #[schema(example = "high")]
    severity_min: Option<&'static str>,
    /// Only of these accounts; empty: of all.
    account_ids: Vec<String>,
    /// Only about workloads of these namespaces, or what they reach; empty: of all.
    namespaces: Vec<String>,
    /// Only of findings that these persons or teams work on; empty: of any.
    assignees: Vec<String>,
    /// Only events of findings of these owners; of any where it is empty.
    owners: Vec<String>,
    /// `active`, or `disabled`: nothing is sent until it is enabled.
    #[schema(example = "active")]
    state: &'static str,
    /// Since when it is disabled.
    disabled_at: Option<DateTime<Utc>>,
    /// Why: `gone`, its endpoint wants no more (410); `failed`, it took no attempt of a message.
    disabled_because: Option<&'static str>,
    /// The event of the feed up to which its deliveries are there; null until a worker has seen it.
    #[schema(example = 48_213)]
    position: Option<i64>,
    /// How many numbers of the feed it has not gone through.
    #[schema(example = 0)]
    behind: i64,
    /// Deliveries that wait.
    #[schema(example = 0)]
    waiting: u64,
    /// Deliveries that failed.
    #[schema(example = 0)]
    failed: u64,
    /// When its endpoint last took one.
    last_delivered_at: Option<DateTime<Utc>>,
}

impl From<&Webhook<'_>> for WebhookJson {
    fn from(webhook: &Webhook<'_>) -> Self {
        let (config, row) = (webhook.config, webhook.row.as_ref());
        let disabled = row.and_then(|row| row.disabled);
        Self {
            name: config.name.clone(),
            kind: config.kind.as_str(),
            url: webhook.url(),
            types: config.route.types.iter().cloned().collect(),
            severity_min: config.route.severity_min.map(rolecall_rules::Severity::as_str),
            account_ids: config.route.account_ids.iter().map(ToString::to_string).collect(),
            namespaces: config.route.namespaces.iter().cloned().collect(),
            assignees: config.route.assignees.iter().cloned().collect(),
            owners: config.route.owners.iter().cloned().collect(),
            state: if disabled.is_some() { "disabled" } else { "active" },
            disabled_at: disabled.map(|(at, _)| at),
            disabled_because: disabled.map(|(_, why)| why.as_str()),
            position: row.map(|row| row.position),
            behind: webhook.behind,
            waiting: row.map_or(0, |row| row.waiting),
            failed: row.map_or(0, |row| row.failed),
            last_delivered_at: row.and_then(|row| row.last_delivered_at),
        }
    }
}

/// A message to a webhook.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryJson {
    /// `webhook-id` of the message: the same in every attempt.
    #[schema(example = "msg_2f1b9c0d8e7a4b6f93d5c1e0a7b8f642")]
    id: String,
    /// The event of the feed; null of a test.
    #[schema(example = 48_213)]
    seq: Option<i64>,
    /// Such as `finding.opened`, or `webhook.test`.
    #[serde(rename = "type")]
    #[schema(example = "finding.opened")]
    kind: String,
    /// The page of what it is about; empty where it has none.
    #[schema(example = "/findings/17")]
    page: String,
    /// `waiting`, `delivered` or `failed`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// How often it was sent.
    #[schema(example = 1)]
    attempts: u32,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it is sent next; null unless it waits.
    due_at: Option<DateTime<Utc>>,
    /// When it was sent last.
    last_at: Option<DateTime<Utc>>,
    /// The status of the answer then, of HTTP or of SMTP; null where there was none.
    #[schema(example = 204)]
    last_status: Option<u16>,
    /// Why it was not taken then, or not for everybody.
    last_error: Option<String>,
}

impl From<DeliveryRow> for DeliveryJson {
    fn from(row: DeliveryRow) -> Self {
        Self {
            due_at: (row.state == DeliveryState::Waiting).then_some(row.due_at),
            id: row.id,
            seq: row.seq,
            kind: row.kind,
            page: row.page,
            state: row.state.as_str(),
            attempts: row.attempts,
            created_at: row.created_at,
            last_at: row.last_at,
            last_status: row.last_status,
            last_error: row.last_error,
        }
    }
}

/// From where on a webhook is served.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayJson {
    /// The number of an event: all events after it are gone through. An earlier one than `position` sends them again,
    /// under the same ids; a later one leaves those between out.
    #[schema(example = 48_000, minimum = 0)]
    #[serde(deserialize_with = "whole::number")]
    after: i64,
}

/// A message that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct QueuedJson {
    /// Its `webhook-id`.
    #[schema(example = "msg_2f1b9c0d8e7a4b6f93d5c1e0a7b8f642")]
    id: String,
}

/// The webhooks of the configuration, by name, and how each stands.
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks", params(WebhooksQuery),
    responses((status = 200, body = Listed<WebhookJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = WebhooksQuery::parse(raw.as_deref())?;
    let all = webhooks::webhooks(&app).await?;
    let slice = listing::within(&app, &params, "name", all, params.limit(100), |it| it.config.name.clone())?;
    listed("/api/v1/webhooks", &params, slice, None, |webhook| WebhookJson::from(&webhook))
}

/// The messages to a webhook, the newest first.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook}/deliveries", tag = "webhooks", operation_id = "list_webhook_deliveries",
    params(("webhook" = String, Path), DeliveriesQuery),
    responses((status = 200, body = Listed<DeliveryJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn deliveries(
    Visible(app): Visible,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, AppError> {
    let params = DeliveriesQuery::parse(raw.as_deref())?;
    let list = Deliveries::new(&app, &name, &params)?;
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    listed(&format!("/api/v1/webhooks/{name}/deliveries"), &params, slice, None, DeliveryJson::from)
}

/// Sends a message that says only that messages arrive, with the type `webhook.test`.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("webhook" = String, Path)),
    responses((status = 202, body = QueuedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn test(
    Visible(app): Visible,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
) -> Result<(StatusCode, Json<QueuedJson>), AppError> {
    NoQuery::parse(raw.as_deref())?;
    let id = webhooks::send_test(&app, &name, &who).await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedJson { id })))
}

/// Lets a webhook that is disabled be served again, from where it stood: what happened meanwhile is sent.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/enable", tag = "webhooks", operation_id = "enable_webhook",
    params(("webhook" = String, Path)),
    responses((status = 200, body = WebhookJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn enable(
    Visible(app): Visible,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
) -> Result<Json<WebhookJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    webhooks::enable(&app, &name, &who).await?;
    Ok(Json(WebhookJson::from(&webhooks::webhook(&app, &name).await?)))
}

/// Goes through the feed again after an event, or leaves events out.
///
/// 410 `gone`: the feed is not complete after that event.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/replay", tag = "webhooks", operation_id = "replay_webhook",
    params(("webhook" = String, Path)), request_body = ReplayJson,
    responses((status = 200, body = WebhookJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn replay(
    Visible(app): Visible,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Json<WebhookJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let ReplayJson { after } = body(&bytes)?;
    webhooks::replay_after(&app, &name, after, &who).await?;
    Ok(Json(WebhookJson::from(&webhooks::webhook(&app, &name).await?)))
}

/// Sends a message again, under the same id.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/deliveries/{id}/replay", tag = "webhooks",
    operation_id = "replay_webhook_delivery",
    params(("webhook" = String, Path), ("id" = String, Path, description = "`id` of the delivery")),
    responses((status = 202, body = QueuedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn replay_delivery(
    Visible(app): Visible,
    Path((name, id)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
) -> Result<(StatusCode, Json<QueuedJson>), AppError> {
    NoQuery::parse(raw.as_deref())?;
    webhooks::replay_one(&app, &name, &id, &who).await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedJson { id })))
}
