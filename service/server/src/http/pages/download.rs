//! The rows that the filters of a list leave, as a file: what `rolecall export` prints.
//!
//! A file whose end could not be written is cut off, so that nobody takes it for the whole.

use crate::http::as_of;
use crate::http::error::{AppError, Code};
use crate::http::export::{Form, Rows, Sink, What, write};
use crate::http::list_pages::COLUMNS;
use crate::http::listing::Origin;
use crate::http::principal::{Principal, Scope};
use crate::http::query::{Kind, Param, Params, param};
use crate::http::visible::Visible;
use crate::outgoing::Place;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use clap::ValueEnum as _;
use tokio::sync::mpsc;

const FORMAT: &[Param] = &[param("format", Kind::Word(&["csv", "ndjson"]), "Of the file; CSV if not given.")];
/// Parts of a file that wait for whoever takes them.
const WAITING: usize = 4;

/// `GET /download/{list}`
pub(crate) async fn file(
    Visible(app): Visible,
    Path(list): Path<String>,
    RawQuery(raw): RawQuery,
    origin: Origin,
    Extension(who): Extension<Principal>,
) -> Result<Response, AppError> {
    let what = What::from_str(&list, false).map_err(|_| AppError::not_found(format!("the list `{list}`")))?;
    if what == What::AuditLog && !who.may(Scope::AuditRead) {
        return Err(AppError::new(Code::Forbidden, format!("this needs the scope `{}`", Scope::AuditRead)));
    }
    let columns = [param(COLUMNS, Kind::Words(what.columns()), "The only columns of the file; all if not given.")];
    let params = Params::parse(raw.as_deref(), &[what.filters(), FORMAT, &columns])?;
    // What is wrong with the time is said before the file begins.
    as_of::of(&app.store, &params).await?;
    let (form, kind, end) = match params.text("format") {
        Some("ndjson") => (Form::Ndjson, "application/x-ndjson", "ndjson"),
        _ => (Form::Csv, "text/csv; charset=utf-8", "csv"),
    };
    let name = format!("rolecall-{}-{}.{end}", what.name(), app.now().await?.format("%Y-%m-%d"));
    let (to, mut from) = mpsc::channel(WAITING);
    let mut rows =
        Rows::begin(form, what, params.list(COLUMNS), Sink::Answer(to.clone())).map_err(AppError::internal)?;
    tokio::spawn(async move {
        let base = origin.url("");
        let place = Place { rules: &app.rules, base: &base };
        let written = write(&place, (&app.store, app.whole()), what, &params, &mut rows).await;
        let ended = match written {
            Ok(()) => rows.end().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(list = what.name(), error = crate::error::chain(&error), "a download was cut off");
            // Nobody waits for it where the other side went away.
            let _gone = to.send(Err(std::io::Error::other("the rest could not be read"))).await;
        }
    });
    let parts = futures::stream::poll_fn(move |context| from.poll_recv(context));
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}
