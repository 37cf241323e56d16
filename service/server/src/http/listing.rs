//! Lists with keyset paging, the same for a page, the API and an export: one row more than asked says
//! whether there is a next page, and the last row's key becomes its cursor. Refuses to know what a row
//! shows.

use super::cursor;
use super::error::AppError;
use super::query::Params;
use crate::app::App;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use futures::Stream;
use rolecall_store::{Error as StoreError, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;

/// A list as it is asked for: its filter and its order.
pub(crate) trait Listing: Sync {
    /// A row.
    type Row: Send;
    /// The key of a row in the order of the list.
    type After: Serialize + DeserializeOwned + Send + Sync;

    /// The name of the order; a cursor of another one is refused.
    fn order(&self) -> &'static str;

    /// The key of a row.
    fn key(&self, row: &Self::Row) -> Self::After;

    /// Rows after a key.
    fn rows(
        &self,
        store: &Store,
        after: Option<&Self::After>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;
}

/// A page's rows, and the cursor of the page after.
pub(crate) struct Slice<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) next: Option<String>,
}

/// The page of a list that the parameters' cursor leads to.
pub(crate) async fn page<L: Listing>(
    app: &App,
    params: &Params,
    list: &L,
    limit: u32,
) -> Result<Slice<L::Row>, AppError> {
    let after: Option<L::After> = after(app, params, list.order())?;
    let rows = list.rows(&app.store, after.as_ref(), limit.saturating_add(1)).await?;
    slice(app, params, list.order(), rows, limit, |row| list.key(row))
}

/// Every row of a list, so many at a time.
pub(crate) fn all<'a, L: Listing>(
    store: &'a Store,
    list: &'a L,
    at_a_time: u32,
) -> impl Stream<Item = Result<Vec<L::Row>, StoreError>> + 'a {
    futures::stream::try_unfold(None, move |after: Option<L::After>| async move {
        let rows = list.rows(store, after.as_ref(), at_a_time).await?;
        let last = rows.last().map(|row| list.key(row));
        Ok(last.map(|last| (rows, Some(last))))
    })
}

/// A page of a list that is held whole, in the order of its keys.
pub(crate) fn within<R>(
    app: &App,
    params: &Params,
    order: &str,
    rows: Vec<R>,
    limit: u32,
    key: impl Fn(&R) -> String,
) -> Result<Slice<R>, AppError> {
    let after: Option<String> = after(app, params, order)?;
    let mut keyed: Vec<(String, R)> = rows.into_iter().map(|row| (key(&row), row)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let rest = keyed.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).take(most).collect();
    let slice = slice(app, params, order, rest, limit, |(key, _): &(String, R)| key.clone())?;
    Ok(Slice { rows: slice.rows.into_iter().map(|(_, row)| row).collect(), next: slice.next })
}

/// The key after which the page begins.
fn after<K: DeserializeOwned>(app: &App, params: &Params, order: &str) -> Result<Option<K>, AppError> {
    let read = |given| cursor::read(app.secrets.signing_key(), order, &params.filter_hash(), given);
    params.text("cursor").map(read).transpose()
}

/// Cuts `limit + 1` rows down to a page.
fn slice<R, K: Serialize>(
    app: &App,
    params: &Params,
    order: &str,
    mut rows: Vec<R>,
    limit: u32,
    key: impl Fn(&R) -> K,
) -> Result<Slice<R>, AppError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some(last) if more => Some(cursor::write(app.secrets.signing_key(), order, &params.filter_hash(), &key(last))?),
        _ => None,
    };
    Ok(Slice { rows, next })
}

/// Where this service is reached: the public URL, or what the request itself was sent to, whose name is checked.
#[derive(Debug, Clone)]
pub(crate) struct Origin(String);

impl Origin {
    /// The whole address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromRequestParts<App> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
        Ok(Self(match (&app.config.auth.public_url, host) {
            (None, Some(host)) => format!("http://{host}"),
            (Some(_), _) | (None, None) => base(app),
        }))
    }
}

/// The address that people use, for requests that a page shows.
pub(crate) fn base(app: &App) -> String {
    let url = app.config.auth.public_url.as_ref().map(ToString::to_string);
    url.unwrap_or_else(|| format!("http://{}", app.config.server.bind))
}
