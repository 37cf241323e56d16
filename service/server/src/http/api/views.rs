//! `/api/v1/views`: saved views, of whoever asks and of all.

use super::findings::body;
use super::shape::Listed;
use crate::http::error::{AppError, Problem};
use crate::http::listing::Origin;
use crate::http::principal::Principal;
use crate::http::query::api_query;
use crate::http::views::{self, Asked, address, short_address};
use crate::http::visible::Visible;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_store::{SavedView, ViewStep};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// Query of what takes none.
    NoQuery = &[]
}

/// A list with its filters, order and columns, under a name.
#[derive(Serialize, ToSchema)]
pub(super) struct SavedViewJson {
    /// The last part of its short address.
    #[schema(example = "overdue-criticals-kqzwtf")]
    id: String,
    /// How people call it.
    #[schema(
        example = "Overdue criticals",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*\S[^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    /// Its short address.
    url: String,
    /// The list.
    #[schema(example = "/findings")]
    path: String,
    /// What is asked of the list.
    #[schema(example = "severity=critical&due=overdue")]
    query: String,
    /// Whether everybody has it.
    shared: bool,
    /// Who saved it.
    owner: String,
    /// When it was saved.
    created_at: DateTime<Utc>,
    /// When it was last renamed, shared or taken back.
    updated_at: DateTime<Utc>,
    /// Why it cannot be opened: the list no longer knows what it asks for. Null where it can.
    problem: Option<String>,
}

impl SavedViewJson {
    fn new(view: SavedView, origin: &Origin) -> Self {
        Self {
            url: origin.url(&short_address(&view)),
            problem: address(&view).err().map(|error| error.detail),
            id: view.slug,
            name: view.name,
            path: view.path,
            query: view.query,
            shared: view.shared,
            owner: view.owner,
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// A view to be saved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewViewJson {
    /// Its name, 1 to 100 characters; one's own views have different names.
    #[schema(example = "Overdue criticals")]
    name: String,
    /// The path and query of a list page.
    #[schema(
        example = "/findings?severity=critical&due=overdue",
        pattern = r"^/(findings|exceptions|changes|baselines|associations|clusters|roles|sessions|accounts|rules)(\?[!-~]*)?$"
    )]
    address: String,
    /// Whether everybody is to have it; needs `findings:triage`.
    #[serde(default)]
    shared: bool,
}

/// The views of whoever asks, and those that everybody has, by name.
#[utoipa::path(
    get, path = "/api/v1/views", tag = "views", operation_id = "list_views",
    responses((status = 200, body = Listed<SavedViewJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    RawQuery(raw): RawQuery,
    origin: Origin,
) -> Result<Json<Listed<SavedViewJson>>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let items = app.store.saved_views(&who.label()).await?;
    let items = items.into_iter().map(|view| SavedViewJson::new(view, &origin)).collect();
    Ok(Json(Listed { items, next_cursor: None, total: None }))
}

/// Saves a view: for whoever asks, or for everybody.
///
/// What the address asks for is checked as its list checks it.
#[utoipa::path(
    post, path = "/api/v1/views", tag = "views", operation_id = "create_view", request_body = NewViewJson,
    responses((status = 201, body = SavedViewJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn create(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    RawQuery(raw): RawQuery,
    origin: Origin,
    bytes: Bytes,
) -> Result<(StatusCode, Json<SavedViewJson>), AppError> {
    NoQuery::parse(raw.as_deref())?;
    let NewViewJson { name, address, shared } = body(&bytes)?;
    let view = views::save(&app, Asked { name, address, shared }, &who).await?;
    Ok((StatusCode::CREATED, Json(SavedViewJson::new(view, &origin))))
}

/// Deletes a view: one's own; of those that everybody has, anybody's with the scope `admin`.
#[utoipa::path(
    delete, path = "/api/v1/views/{id}", tag = "views", operation_id = "delete_view",
    params(("id" = String, Path, description = "The view's id.")),
    responses((status = 204, description = "It is no more."), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn delete(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<StatusCode, AppError> {
    NoQuery::parse(raw.as_deref())?;
    views::change(&app, &id, ViewStep::Delete, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}
