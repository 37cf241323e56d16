//! `/api/v1/events`: all that happened, in one order.

use super::changes::ChangeJson;
use super::shape::FindingJson;
use crate::app::App;
use crate::http::error::{AppError, Code, Problem};
use crate::http::listing::Origin;
use crate::http::principal::{Principal, Scope};
use crate::http::query::{Kind, Params, api_query, param};
use crate::http::visible::Visible;
use axum::extract::RawQuery;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_store::{EVENT_KINDS, Event, EventSubject, FeedPart};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// The longest wait, in seconds: well within the time that any request has.
const LONGEST_WAIT: u32 = 20;

api_query! {
    /// Query of the feed.
    EventsQuery = &[
        param(
            "after",
            Kind::Position,
            "`next_after` of the answer before. Without it the answer has no events, and says where the feed ends: \
             begin there.",
        ),
        param("limit", Kind::Number(1, 1000), "Events at most; 100 if not given."),
        param(
            "wait",
            Kind::Number(0, LONGEST_WAIT),
            "Where there is no event yet, so many seconds are waited for one; not at all if not given.",
        ),
        param(
            "kind",
            Kind::Words(EVENT_KINDS),
            "Events of these kinds only. Without it, those of all kinds that the token's scopes allow.",
        ),
        param("include", Kind::Words(&["evidence"]), "`evidence`: findings with what decided them."),
    ]
}

/// A part of the feed.
#[derive(Serialize, ToSchema)]
pub(super) struct FeedJson {
    /// What happened, in its order.
    items: Vec<FeedEventJson>,
    /// Where to go on: keep it once every item is worked on.
    #[schema(example = 48_213)]
    next_after: i64,
    /// Whether there is more already.
    #[schema(example = false)]
    has_more: bool,
    /// Up to this number events are not kept: whoever has read less far begins anew.
    #[schema(example = 0)]
    begins_after: i64,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub(super) struct FeedEventJson {
    /// Its place in the one order of all events. Numbers that a filter leaves out are missing; no lower one comes later.
    #[schema(example = 48_213)]
    seq: i64,
    /// Such as `finding.opened`, `change.detected` or `scan.ended`.
    #[schema(example = "finding.opened")]
    kind: String,
    /// When.
    at: DateTime<Utc>,
    /// `scanner`, or who did it.
    #[schema(example = "scanner")]
    actor: String,
    /// Of which AWS account; null where it belongs to none.
    #[schema(example = "111122223333")]
    account_id: Option<String>,
    /// The scan that it is about, or in which it was found.
    #[schema(example = 12)]
    scan: Option<i64>,
    /// The finding that it is about, by its fingerprint.
    #[schema(example = "v1:mzxw6ytboi4dk5tbnruxg5dsmu")]
    fingerprint: Option<String>,
    /// The change that it is about.
    change_id: Option<String>,
    /// Values before and after.
    detail: serde_json::Value,
    /// The finding as it is now, which may be further than this event.
    finding: Option<FindingJson>,
    /// The change as it is now; null where it is not told any more.
    change: Option<ChangeJson>,
}

/// All that happened to findings, changes and scans, in one order: whoever goes on from `next_after` misses nothing.
///
/// No lower number appears once a higher one was read. Begin without `after`, then read the lists, then go on from
/// `next_after`: what happens meanwhile comes in the feed. Where `after` is older than what is kept, or of another
/// database, the answer is 410 `gone`: begin anew. Events of changes need the scope `inventory:read`, those of scans
/// `scans:read`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events", params(EventsQuery),
    responses((status = 200, body = FeedJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    origin: Origin,
    Extension(who): Extension<Principal>,
) -> Result<Json<FeedJson>, AppError> {
    let params = EventsQuery::parse(raw.as_deref())?;
    let kinds = kinds(&params, &who)?;
    let bounds = app.store.feed_bounds().await?;
    let Some(mut after) = params.text("after").and_then(|after| after.parse().ok()) else {
        let (next_after, begins_after) = (bounds.end, bounds.begin);
        return Ok(Json(FeedJson { items: Vec::new(), next_after, has_more: false, begins_after }));
    };
    let seconds: u64 = params.text("wait").and_then(|wait| wait.parse().ok()).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        let (events, next, has_more) = match app.store.feed(after, &kinds, params.limit(100)).await? {
            FeedPart::Events { events, next, has_more } => (events, next, has_more),
            FeedPart::Gone(bounds) => {
                let detail = format!(
                    "`after` is {after}, and the feed is whole from {} to {}; begin anew without `after`",
                    bounds.begin, bounds.end
                );
                return Err(AppError::new(Code::Gone, detail));
            }
        };
        if events.is_empty() && !has_more && seconds > 0 && app.feed.moved(&app.store, next, until).await? {
            after = next;
            continue;
        }
        let evidence = params.list("include").iter().any(|word| word == "evidence");
        let items = shapes(&app, &origin, events, evidence).await?;
        return Ok(Json(FeedJson { items, next_after: next, has_more, begins_after: bounds.begin }));
    }
}

/// The kinds that are asked for; empty: all.
fn kinds(params: &Params, who: &Principal) -> Result<Vec<String>, AppError> {
    let scope = |kind: &str| match kind.split_once('.') {
        Some(("change", _)) => Scope::InventoryRead,
        Some(("scan", _)) => Scope::ScansRead,
        _ => Scope::FindingsRead,
    };
    let asked = params.list("kind");
    if let Some(kind) = asked.iter().find(|kind| !who.may(scope(kind))) {
        return Err(AppError::new(Code::Forbidden, format!("`{kind}` needs the scope `{}`", scope(kind))));
    }
    if !asked.is_empty() || EVENT_KINDS.iter().all(|kind| who.may(scope(kind))) {
        return Ok(asked.to_vec());
    }
    Ok(EVENT_KINDS.iter().filter(|kind| who.may(scope(kind))).map(|kind| (*kind).to_owned()).collect())
}

async fn shapes(
    app: &App,
    origin: &Origin,
    events: Vec<Event>,
    evidence: bool,
) -> Result<Vec<FeedEventJson>, AppError> {
    let (mut fingerprints, mut changes) = (BTreeSet::new(), BTreeSet::new());
    for event in &events {
        match &event.subject {
            EventSubject::Finding(fingerprint) => drop(fingerprints.insert(fingerprint.0.clone())),
            EventSubject::Change(id) => drop(changes.insert(id.clone())),
            EventSubject::Run(_) => {}
        }
    }
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    let rows = app.store.findings_by_fingerprints(&fingerprints).await?;
    let findings: HashMap<String, FindingJson> = FindingJson::each(app, origin, rows, evidence)
        .await?
        .into_iter()
        .map(|finding| (finding.fingerprint.clone(), finding))
        .collect();
    let changes: Vec<String> = changes.into_iter().collect();
    let changes = app.store.changes_by_ids(&changes).await?;
    let changes: HashMap<String, ChangeJson> =
        changes.iter().map(|row| (row.change.id.clone(), ChangeJson::from(row))).collect();
    let shape = |event: Event| {
        let (fingerprint, change_id) = match event.subject {
            EventSubject::Finding(fingerprint) => (Some(fingerprint.0), None),
            EventSubject::Change(id) => (None, Some(id)),
            EventSubject::Run(_) => (None, None),
        };
        FeedEventJson {
            finding: fingerprint.as_ref().and_then(|id| findings.get(id)).cloned(),
            change: change_id.as_ref().and_then(|id| changes.get(id)).cloned(),
            seq: event.seq,
            kind: event.kind,
            at: event.at,
            actor: event.actor,
            account_id: event.account_id.map(|id| id.to_string()),
            scan: event.run.map(|run| run.0),
            fingerprint,
            change_id,
            detail: event.detail,
        }
    };
    Ok(events.into_iter().map(shape).collect())
}
