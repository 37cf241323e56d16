//! Work that is done in the background: what there is, and when it comes by itself.
//!
//! A job takes no more input than who asked for it, and doing it twice does no harm.

mod audit;
mod cleanup;

use crate::app::App;
use crate::error::Error;
use chrono::Utc;
use rolecall_store::{Job, NewJob};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// An audit of the configured accounts.
pub const AUDIT: &str = "audit";
/// The kind of run that it is.
pub const AUDITS_AS: &str = "scan";
/// Forgetting what is older than the configuration wants to keep.
pub const CLEANUP: &str = "cleanup";

/// An audit that somebody asked for.
#[must_use]
pub fn audit_now(requested_by: &str) -> NewJob {
    new(AUDIT, requested_by, 10, Duration::ZERO)
}

/// A job that its schedule started, to be put off for a while.
#[must_use]
pub fn scheduled(kind: &str, delay: Duration) -> NewJob {
    new(kind, "schedule", 0, delay)
}

fn new(kind: &str, trigger: &str, priority: i32, delay: Duration) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        dedupe_key: String::new(),
        payload: serde_json::json!({ "trigger": trigger }),
        priority,
        delay,
        max_attempts: 3,
    }
}

/// Does a job.
///
/// # Errors
/// Why it could not be done; [`Error::Interrupted`] where `cancel` ended it.
pub async fn run(app: &App, job: &Job, cancel: CancellationToken) -> Result<(), Error> {
    // The heartbeat looks only now and then.
    let (condition, _) = app.clock.observe(Instant::now(), app.store.now().await?, Utc::now());
    if !condition.is_trusted() {
        return Err(Error::Clock(condition));
    }
    let trigger = job.payload.get("trigger").and_then(serde_json::Value::as_str).unwrap_or("schedule");
    match job.kind.as_str() {
        AUDIT => audit::run(app, trigger, cancel).await,
        CLEANUP => cleanup::run(app).await,
        other => Err(Error::Usage {
            what: format!("no job is called `{other}`"),
            remedy: "run the same version of rolecall on every replica".to_owned(),
        }),
    }
}
