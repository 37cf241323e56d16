//! `/api/v1`: one session's story, what was used, and how far trails were read.

use super::shape::SessionJson;
use crate::app::App;
use crate::http::as_of::{self, AT};
use crate::http::error::{AppError, Problem};
use crate::http::inventory::read_key;
use crate::http::query::{Kind, Param, Params, api_query, param};
use crate::http::visible::Visible;
use crate::query::usage::seen_usage;
use axum::Json;
use axum::extract::{Path, RawQuery};
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::TryStreamExt as _;
use rolecall_estate::{CompleteRange, EventScope};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, DayRow, SourceRow, UsageOf, UsageWindow, UseRow};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

const DAYS: Param = param("days", Kind::Number(1, 800), "How many days back; 90 if not given.");
const SHAPES: Param = param("shapes", Kind::Flag, "Whether calls are told apart by what they were done to.");

api_query! {
    /// Query of what was used.
    UsageQuery = &[DAYS, SHAPES, AT]
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// So many problems of trails are shown.
const PROBLEMS: u32 = 100;

/// Calls of one action.
#[derive(Serialize, ToSchema)]
pub(crate) struct UseJson {
    pub(crate) account_id: String,
    pub(crate) role_arn: String,
    /// The association that the sessions come from, where that is known.
    pub(crate) association_id: Option<String>,
    /// The IAM action such as `s3:GetObject`; the event's source and name where none is known.
    pub(crate) action: String,
    /// What it was done to, without what changes from call to call; null where all are taken together, or where
    /// nobody says.
    pub(crate) resource_shape: Option<String>,
    pub(crate) count: u64,
    pub(crate) errors: u64,
    /// Errors that were refusals.
    pub(crate) denied: u64,
    pub(crate) first_seen: DateTime<Utc>,
    pub(crate) last_seen: DateTime<Utc>,
}

impl From<UseRow> for UseJson {
    fn from(row: UseRow) -> Self {
        Self {
            account_id: row.account_id.to_string(),
            role_arn: row.role_arn,
            association_id: row.association_id,
            action: row.action,
            resource_shape: row.shape.filter(|shape| !shape.is_empty()),
            count: row.calls,
            errors: row.errors,
            denied: row.denied,
            first_seen: row.first_at,
            last_seen: row.last_at,
        }
    }
}

/// What was read of a region's trail.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrailReadJson {
    pub(crate) account_id: String,
    pub(crate) region: String,
    /// Days of which anything was read.
    pub(crate) days: u64,
    pub(crate) first_day: NaiveDate,
    pub(crate) last_day: NaiveDate,
    pub(crate) files: u64,
    pub(crate) events: u64,
}

/// What was used in a window, and what was read of it. What is not listed was not seen: whether it was not used
/// depends on what was read.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageJson {
    /// The first day of the window.
    pub(crate) since: NaiveDate,
    pub(crate) items: Vec<UseJson>,
    /// What was read of the trails in which the calls would stand.
    pub(crate) read: Vec<TrailReadJson>,
    /// Whether trails record data events, such as reading an object: `unknown` here; `granted` tells it of each action.
    pub(crate) data_events: &'static str,
}

/// A session with all that is known of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionDetailJson {
    pub(crate) session: SessionJson,
    /// The sessions from which it follows, the first one first.
    pub(crate) parent_sessions: Vec<SessionJson>,
    /// The sessions that follow from it, by time.
    pub(crate) chained_sessions: Vec<SessionJson>,
    /// Whether more follow from it than are given.
    pub(crate) has_more: bool,
    /// Calls by its key, as long as they are kept by key.
    pub(crate) calls: Vec<UseJson>,
}

/// CloudTrail ingestion.
#[derive(Serialize, ToSchema)]
pub(crate) struct IngestionJson {
    pub(crate) sources: Vec<TrailSourceJson>,
    /// Of which ranges of time nothing is missing that CloudTrail delivered: only there is a call
    /// that is not known a call that was not made.
    pub(crate) complete_ranges: Vec<CompleteRangeJson>,
    /// What processes died at more than once, so that nothing reads it; `rolecall admin set-aside retry` has
    /// it tried again.
    pub(crate) set_aside: Vec<SetAsideJson>,
    /// What could not be read, the newest first.
    pub(crate) problems: Vec<TrailProblemJson>,
}

/// A unit of input that is set aside.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetAsideJson {
    /// `trail` (a CloudTrail file), `file` (an imported file) or `judging` (the rules on an account).
    pub(crate) kind: &'static str,
    pub(crate) source: String,
    /// Where it lies, or the account.
    pub(crate) unit: String,
    /// How many processes died at it.
    pub(crate) deaths: u64,
    /// When the last of them began with it.
    pub(crate) at: DateTime<Utc>,
}

/// A time range of a region's trail without missing events.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompleteRangeJson {
    pub(crate) source: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) from: DateTime<Utc>,
    /// Up to, and without, this moment.
    pub(crate) to: DateTime<Utc>,
    /// Which events the source has: `sessions` (those that begin sessions), `management` (every management event), `bucket`
    /// (what trails deliver to the bucket) or `stated` (files of which somebody said that they are all).
    pub(crate) event_scope: &'static str,
    /// The bucket's name.
    pub(crate) bucket: Option<String>,
    /// Whether the source would have shown another region of the account, had it any events.
    pub(crate) all_regions: bool,
}

fn range_json(row: CompleteRange) -> CompleteRangeJson {
    let (holds, bucket) = match row.event_scope {
        EventScope::Sessions => ("sessions", None),
        EventScope::Management => ("management", None),
        EventScope::Bucket(bucket) => ("bucket", Some(bucket)),
        EventScope::Stated => ("stated", None),
    };
    CompleteRangeJson {
        source: row.source,
        account_id: row.account_id.to_string(),
        region: row.region.to_string(),
        from: row.from,
        to: row.to,
        event_scope: holds,
        bucket,
        all_regions: row.all_regions,
    }
}

/// One source of trail files.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrailSourceJson {
    pub(crate) name: String,
    /// Such as `s3`.
    pub(crate) kind: String,
    /// `reading`, `idle` or `failed`.
    pub(crate) state: &'static str,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// When it was last read to its end.
    pub(crate) caught_up_at: Option<DateTime<Utc>>,
    /// The newest event that was counted.
    pub(crate) newest_event_at: Option<DateTime<Utc>>,
    /// Seconds from that event to now.
    pub(crate) lag_seconds: Option<i64>,
    /// Files or messages known to wait; null where nobody says.
    pub(crate) backlog: Option<u64>,
    pub(crate) files: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Events that had been counted before.
    pub(crate) duplicates: u64,
    pub(crate) malformed: u64,
    /// Why its reading stopped.
    pub(crate) error: Option<String>,
}

/// Something that could not be read.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrailProblemJson {
    pub(crate) source: String,
    /// The file or message.
    pub(crate) file: String,
    /// Where in it: a line or a JSON pointer; empty for all of it.
    pub(crate) place: String,
    /// `record`, `file` or `set_aside`.
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) at: DateTime<Utc>,
}

fn source(row: SourceRow, now: DateTime<Utc>) -> TrailSourceJson {
    TrailSourceJson {
        name: row.name,
        kind: row.kind,
        state: row.state.as_str(),
        started_at: row.started_at,
        finished_at: row.finished_at,
        caught_up_at: row.caught_up_at,
        newest_event_at: row.total.newest_event_at,
        lag_seconds: row.total.newest_event_at.map(|at| (now - at).num_seconds()),
        backlog: row.total.waiting,
        files: row.total.files,
        events: row.total.events,
        bytes: row.total.bytes,
        duplicates: row.total.duplicates,
        malformed: row.total.malformed,
        error: row.error,
    }
}

/// One session with its chain and its calls.
#[utoipa::path(
    get, path = "/api/v1/sessions/{account_id}/{event_id}", tag = "inventory", operation_id = "get_session",
    params(("account_id" = String, Path), ("event_id" = String, Path)),
    responses((status = 200, body = SessionDetailJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn session(
    Visible(app): Visible,
    Path((account_id, event_id)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Json<SessionDetailJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("session `{account_id}/{event_id}`"));
    let account: AccountId = account_id.parse().map_err(|_| unknown())?;
    let session = app.store.session(account, &event_id).await?.ok_or_else(unknown)?;
    let calls = match session.access_key_id.clone() {
        Some(key) => {
            app.whole()
                .usage(&UsageOf::Key(key), UsageWindow::default(), true)
                .map_ok(UseJson::from)
                .try_collect()
                .await?
        }
        None => Vec::new(),
    };
    let mut chain = app.store.chain(session).await?;
    let session = chain.up.pop().ok_or_else(unknown)?;
    Ok(Json(SessionDetailJson {
        session: session.into(),
        parent_sessions: chain.up.into_iter().map(SessionJson::from).collect(),
        chained_sessions: chain.down.into_iter().map(SessionJson::from).collect(),
        has_more: chain.more,
        calls,
    }))
}

/// What the sessions of an association used.
#[utoipa::path(
    get, path = "/api/v1/associations/{account_id}/{region}/{cluster}/{namespace}/{service_account}/usage",
    tag = "inventory", operation_id = "get_association_usage",
    params(
        ("account_id" = String, Path), ("region" = String, Path), ("cluster" = String, Path),
        ("namespace" = String, Path), ("service_account" = String, Path), UsageQuery
    ),
    responses((status = 200, body = UsageJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn of_association(
    Visible(app): Visible,
    Path((account_id, region, cluster, namespace, service_account)): Path<(String, String, String, String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Json<UsageJson>, AppError> {
    let params = UsageQuery::parse(raw.as_deref())?;
    let path = [account_id, region, cluster, namespace, service_account].join("/");
    let unknown = || AppError::not_found(format!("association `{path}`"));
    let key = read_key(&path).ok_or_else(unknown)?;
    let as_of = as_of::of(&app.store, &params).await?;
    let now = as_of.map_or_else(Utc::now, AsOf::at);
    let row = app.store.association(&key, now, as_of).await?.ok_or_else(unknown)?;
    let mut accounts = BTreeSet::from([key.account_id]);
    if let Some(detail) = &row.association.detail {
        let roles = [Some(&detail.role_arn), detail.target_role_arn.as_ref()];
        accounts.extend(roles.into_iter().flatten().filter_map(|arn| Some(arn.parse::<RoleArn>().ok()?.account_id())));
    }
    usage(&app, &params, UsageOf::Association(row.association.association_id), accounts, as_of).await
}

/// What the sessions of a role used, whoever opened them; for a credential with limits, those of what it sees.
#[utoipa::path(
    get, path = "/api/v1/roles/{arn}/usage", tag = "inventory", operation_id = "get_role_usage",
    params(("arn" = String, Path, description = "The ARN, with its slashes as %2F"), UsageQuery),
    responses((status = 200, body = UsageJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn of_role(
    Visible(app): Visible,
    Path(arn): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<UsageJson>, AppError> {
    let params = UsageQuery::parse(raw.as_deref())?;
    let wanted: RoleArn = arn.parse().map_err(|_| AppError::not_found(format!("role `{arn}`")))?;
    let accounts = BTreeSet::from([wanted.account_id()]);
    let as_of = as_of::of(&app.store, &params).await?;
    if app.store.is_limited() && app.store.shown_roles(std::slice::from_ref(&arn)).await?.is_empty() {
        return Err(AppError::not_found(format!("role `{arn}`")));
    }
    usage(&app, &params, UsageOf::Role(arn), accounts, as_of).await
}

async fn usage(
    app: &App,
    params: &Params,
    of: UsageOf,
    accounts: BTreeSet<AccountId>,
    as_of: Option<AsOf>,
) -> Result<Json<UsageJson>, AppError> {
    let days = params.text("days").and_then(|days| days.parse().ok()).unwrap_or(90);
    let until = as_of.map(AsOf::at);
    let today = until.unwrap_or_else(Utc::now).date_naive();
    let since = today.checked_sub_days(Days::new(days)).unwrap_or(today);
    let within = UsageWindow { since: Some(since), until };
    let shapes = params.flag("shapes").unwrap_or(false);
    let items = seen_usage(app, &of, within, shapes).await?.map_ok(UseJson::from).try_collect().await?;
    let accounts: Vec<AccountId> = accounts.into_iter().collect();
    let read = app.store.trail_days(&accounts, within).await?;
    Ok(Json(UsageJson { since, items, read: regions(read), data_events: "unknown" }))
}

fn regions(days: Vec<DayRow>) -> Vec<TrailReadJson> {
    let mut regions: BTreeMap<(AccountId, String), TrailReadJson> = BTreeMap::new();
    for row in days {
        let region = regions.entry((row.account_id, row.region.clone())).or_insert_with(|| TrailReadJson {
            account_id: row.account_id.to_string(),
            region: row.region.clone(),
            days: 0,
            first_day: row.day,
            last_day: row.day,
            files: 0,
            events: 0,
        });
        region.days += 1;
        region.first_day = region.first_day.min(row.day);
        region.last_day = region.last_day.max(row.day);
        region.files += row.files;
        region.events += row.events;
    }
    regions.into_values().collect()
}

/// Progress of each CloudTrail source, complete ranges, and unreadable records.
#[utoipa::path(
    get, path = "/api/v1/ingestion", tag = "inventory", operation_id = "get_ingestion",
    responses((status = 200, body = IngestionJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn ingestion(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Json<IngestionJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let now = Utc::now();
    let sources = app.store.sources().await?.into_iter().map(|row| source(row, now)).collect();
    let problems = app.store.trail_problems(None, PROBLEMS).await?.into_iter().map(|problem| TrailProblemJson {
        source: problem.source,
        file: problem.file,
        place: problem.place,
        kind: problem.kind,
        message: problem.message,
        at: problem.at,
    });
    let complete_ranges = app.store.complete_ranges(&[]).await?.into_iter().map(range_json).collect();
    let set_aside = app.store.set_aside().await?.into_iter().map(|aside| SetAsideJson {
        kind: aside.kind.as_str(),
        source: aside.source,
        unit: aside.unit,
        deaths: aside.deaths,
        at: aside.at,
    });
    let set_aside = set_aside.collect();
    Ok(Json(IngestionJson { sources, complete_ranges, set_aside, problems: problems.collect() }))
}
