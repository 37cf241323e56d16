//! Lists with keyset paging, the same for a page, the API and an export: one row more than asked says
//! whether there is a next page, and the last row's key becomes its cursor. Refuses to know what a row
//! shows.

use super::cursor;
use super::error::{AppError, Code};
use super::query::Params;
use super::visible::Service;
use crate::app::App;
use crate::config::Config;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use futures::Stream;
use rolecall_store::{Error as StoreError, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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

/// A page for people: its rows, and where the pages around it begin.
pub(crate) struct Shown<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) turns: Turns,
}

/// The cursors of the pages around a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    /// `None`: it is the last.
    pub(crate) next: Option<String>,
    /// `None`: there is none, or it is too far back to be remembered; `Some(None)`: the first page, which has no
    /// cursor.
    pub(crate) previous: Option<Option<String>>,
}

/// Rows of a page for people, where nothing else is asked for, and the most.
const ROWS: u32 = 50;
const MOST_ROWS: u32 = 250;
/// So many pages back a cursor remembers where they began.
const REMEMBERED: usize = 10;

/// Where a page for people begins, and where the pages before it did: keysets lead forward alone.
#[derive(Serialize, Deserialize)]
struct Place {
    after: serde_json::Value,
    before: Vec<serde_json::Value>,
    /// The first page is 1, and has no place.
    number: u32,
}

impl Place {
    /// The place of the page after this one, which is the first where there is no place.
    fn next(place: Option<&Self>, after: serde_json::Value) -> Self {
        let mut before: Vec<serde_json::Value> = Vec::new();
        let mut number = 2;
        if let Some(place) = place {
            let known = place.before.len().saturating_add(1);
            before.extend(place.before.iter().skip(known.saturating_sub(REMEMBERED)).cloned());
            before.push(place.after.clone());
            number = place.number.saturating_add(1);
        }
        Self { after, before, number }
    }

    /// The place of the page before; `Some(None)` is the first page.
    fn previous(&self) -> Option<Option<Self>> {
        let mut before = self.before.clone();
        match before.pop() {
            Some(after) => Some(Some(Self { after, before, number: self.number.saturating_sub(1) })),
            None if self.number == 2 => Some(None),
            None => None,
        }
    }
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

/// The page for people that the parameters' cursor leads to, with as many rows as their `limit` says.
pub(crate) async fn shown<L: Listing>(app: &App, params: &Params, list: &L) -> Result<Shown<L::Row>, AppError> {
    shown_by(app, params, list, params.limit(ROWS).min(MOST_ROWS)).await
}

/// The same, with so many rows.
pub(crate) async fn shown_by<L: Listing>(
    app: &App,
    params: &Params,
    list: &L,
    limit: u32,
) -> Result<Shown<L::Row>, AppError> {
    // The API's cursors hold a key alone: one is not taken for the other.
    let order = format!("{}, pages", list.order());
    let place: Option<Place> = after(app, params, &order)?;
    let key = place.as_ref().map(|place| serde_json::from_value::<L::After>(place.after.clone())).transpose();
    let key = key.map_err(|_| AppError::new(Code::CursorMismatch, "the cursor is of another version; start again"))?;
    let mut rows = list.rows(&app.store, key.as_ref(), limit.saturating_add(1)).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > most;
    rows.truncate(most);
    let cursor = |place: &Place| cursor::write(app.secrets.signing_key(), &order, &params.filter_hash(), place);
    let next = match rows.last() {
        Some(last) if has_more => {
            let after = serde_json::to_value(list.key(last)).map_err(AppError::internal)?;
            Some(cursor(&Place::next(place.as_ref(), after))?)
        }
        _ => None,
    };
    let previous = place.as_ref().and_then(Place::previous);
    let previous = previous.map(|place| place.as_ref().map(cursor).transpose()).transpose()?;
    Ok(Shown { rows, turns: Turns { next, previous } })
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

impl FromRequestParts<Service> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Infallible> {
        let app = service.whole();
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
        Ok(Self(origin(app, host)))
    }
}

/// Scheme and authority of this service: of the public URL, of what a request was sent to, or of what it listens on.
pub(crate) fn origin(app: &App, host: Option<&str>) -> String {
    match (&app.config.auth.public_url, host) {
        (None, Some(host)) => format!("http://{host}"),
        (Some(_), _) | (None, None) => base_url(&app.config),
    }
}

/// The same where there is no request: as the configuration tells it.
pub(crate) fn base_url(config: &Config) -> String {
    let url = config.auth.public_url.as_ref().map(ToString::to_string);
    url.unwrap_or_else(|| format!("http://{}", config.server.bind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_back_the_way_they_came() {
        let mut places: Vec<Option<Place>> = vec![None];
        for page in 1..30 {
            let next = Place::next(places.last().unwrap().as_ref(), serde_json::json!(page));
            assert!(next.before.len() <= REMEMBERED);
            places.push(Some(next));
        }
        for (n, place) in places.iter().enumerate().skip(1) {
            let before = place.as_ref().unwrap().previous().unwrap();
            let expected = places[n - 1].as_ref();
            assert_eq!(before.as_ref().map(|it| it.number), expected.map(|it| it.number));
            assert_eq!(before.as_ref().map(|it| &it.after), expected.map(|it| &it.after));
        }
        // Further back than is remembered there is the first page alone.
        let mut place = places.pop().unwrap().unwrap();
        for _ in 0..REMEMBERED {
            place = place.previous().unwrap().unwrap();
        }
        assert!(place.previous().is_none());
    }
}
