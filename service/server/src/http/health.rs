//! Whether the process lives, and whether it can do its work. Open to everybody, so they say no more.

use super::error::PassThrough;
use crate::http::visible::Unlimited;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// `GET /livez`: the process answers.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers, and the heartbeat beats where this process has one. Warnings
/// about clocks and audits stand beside: taking the service away would help neither.
pub(crate) async fn readyz(Unlimited(app): Unlimited) -> Response {
    let readiness = app.readiness().await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |ok: bool| if ok { "ok" } else { "failing" };
    let heartbeat = readiness.heartbeat.map_or("elsewhere", word);
    let database = match readiness.database {
        Ok(()) => "ok".to_owned(),
        Err(trouble) => format!("failing: {trouble}"),
    };
    let clock = readiness.clock.map_or("elsewhere".to_owned(), |condition| condition.to_string());
    let audits = readiness.overdue.map_or("ok".to_owned(), |due| {
        format!("warning: the one due at {} has not run; the log and /scans say why", due.format("%Y-%m-%dT%H:%MZ"))
    });
    let aside = match readiness.set_aside {
        0 => "ok".to_owned(),
        units => format!("warning: {units} set aside; /ingestion says which, and what to do"),
    };
    let mut text =
        format!("database {database}\nheartbeat {heartbeat}\nclock {clock}\nscans {audits}\ninput {aside}\n");
    match readiness.disabled_webhooks {
        None => {}
        Some(0) => text.push_str("webhooks ok\n"),
        Some(disabled) => {
            let line = format!("webhooks warning: {disabled} disabled; /settings/webhooks says which, and why\n");
            text.push_str(&line);
        }
    }
    let mut answer = (status, text).into_response();
    answer.extensions_mut().insert(PassThrough);
    answer
}
