//! Saved views: kept with the form of a list, listed at `/settings/views`, opened at `/v/{slug}`.

use crate::http::error::{AppError, Code};
use crate::http::frame::Chrome;
use crate::http::principal::{Principal, Scope};
use crate::http::query::{pairs, query};
use crate::http::view::words::Stamp;
use crate::http::views::{self, Asked, address, list_name, short_address};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Redirect;
use chrono::{DateTime, Utc};
use rolecall_store::{SavedView, ViewStep};

query! {
    /// The pages take no parameter.
    NoQuery = &[]
}

/// A view, in a row.
struct Line {
    slug: String,
    name: String,
    href: String,
    list: String,
    /// What it asks for, as `name value`.
    asked: Vec<String>,
    /// Why it cannot be opened; empty where it can.
    problem: String,
    /// Who gave it to everybody; empty of what is one's own.
    owner: String,
    shared: bool,
    may_change: bool,
    may_share: bool,
    saved: Stamp,
}

impl Line {
    fn new(view: SavedView, who: &Principal, now: DateTime<Utc>) -> Self {
        let is_own = view.owner == who.label();
        Self {
            href: short_address(&view),
            list: list_name(&view),
            asked: pairs(&view.query).map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect(),
            problem: address(&view).err().map(|error| error.detail).unwrap_or_default(),
            may_change: is_own || who.may(Scope::Admin),
            may_share: is_own && who.may(Scope::FindingsTriage),
            saved: Stamp::new(view.created_at, now),
            owner: if is_own { String::new() } else { view.owner },
            shared: view.shared,
            slug: view.slug,
            name: view.name,
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/views.html")]
pub(crate) struct ViewsPage {
    chrome: Chrome,
    lines: Vec<Line>,
}

/// `GET /settings/views`: one's own, and what everybody has.
pub(crate) async fn list(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<ViewsPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let now = app.now().await?;
    let found = app.store.saved_views(&who.label()).await?;
    Ok(ViewsPage { lines: found.into_iter().map(|view| Line::new(view, &who, now)).collect(), chrome })
}

fn sent(body: &str, name: &str) -> String {
    pairs(body).find(|(given, _)| given == name).map(|(_, value)| value).unwrap_or_default()
}

/// `POST /views`: keeps the list that a person looks at, and shows it again.
pub(crate) async fn save(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let asked =
        Asked { name: sent(&body, "name"), address: sent(&body, "address"), shared: sent(&body, "shared") == "yes" };
    let view = views::save(&app, asked, &who).await?;
    Ok(Redirect::to(&short_address(&view)))
}

/// `POST /settings/views/{slug}`
pub(crate) async fn act(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(slug): Path<String>,
    body: String,
) -> Result<Redirect, AppError> {
    let step = match sent(&body, "step").as_str() {
        "rename" => ViewStep::Rename(sent(&body, "name")),
        "share" => ViewStep::Share(true),
        "unshare" => ViewStep::Share(false),
        "delete" => ViewStep::Delete,
        other => {
            let detail = format!(
                "`step`: `{}` is not one of rename, share, unshare, delete",
                other.chars().take(60).collect::<String>().escape_debug()
            );
            return Err(AppError::new(Code::InvalidParameter, detail));
        }
    };
    views::change(&app, &slug, step, &who).await?;
    Ok(Redirect::to("/settings/views"))
}

/// `GET /v/{slug}`
pub(crate) async fn open(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(slug): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Redirect, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let found = app.store.saved_view(&slug, &who.label()).await?;
    let view = found.ok_or_else(|| AppError::not_found(format!("saved view `{slug}`, as one of yours or of all,")))?;
    Ok(Redirect::to(&address(&view)?))
}
