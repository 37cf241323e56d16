//! Keyset paging, the same for the API and the pages: one row more than asked says whether there is
//! a next page, and the last row's key becomes its cursor. Refuses to know rows.

use super::cursor;
use super::error::AppError;
use super::query::Params;
use crate::app::App;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A page's rows, and the cursor of the page after.
pub(crate) struct Slice<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) next: Option<String>,
}

/// The key after which the page begins.
pub(crate) fn after<K: DeserializeOwned>(app: &App, params: &Params, sort: &str) -> Result<Option<K>, AppError> {
    let read = |given| cursor::read(app.secrets.signing_key(), sort, &params.filter_hash(), given);
    params.text("cursor").map(read).transpose()
}

/// Cuts `limit + 1` rows down to a page.
pub(crate) fn slice<R, K: Serialize>(
    app: &App,
    params: &Params,
    sort: &str,
    mut rows: Vec<R>,
    limit: u32,
    key: impl Fn(&R) -> K,
) -> Result<Slice<R>, AppError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some(last) if more => Some(cursor::write(app.secrets.signing_key(), sort, &params.filter_hash(), &key(last))?),
        _ => None,
    };
    Ok(Slice { rows, next })
}

/// A page of a list that is held whole, in the order of its keys.
pub(crate) fn within<R>(
    app: &App,
    params: &Params,
    sort: &str,
    rows: Vec<R>,
    limit: u32,
    key: impl Fn(&R) -> String,
) -> Result<Slice<R>, AppError> {
    let after: Option<String> = after(app, params, sort)?;
    let mut keyed: Vec<(String, R)> = rows.into_iter().map(|row| (key(&row), row)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let rest = keyed.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).take(most).collect();
    let slice = slice(app, params, sort, rest, limit, |(key, _): &(String, R)| key.clone())?;
    Ok(Slice { rows: slice.rows.into_iter().map(|(_, row)| row).collect(), next: slice.next })
}

/// The address that people use, for requests that a page shows.
pub(crate) fn base(app: &App) -> String {
    let url = app.config.auth.public_url.as_ref().map(ToString::to_string);
    url.unwrap_or_else(|| format!("http://{}", app.config.server.bind))
}
