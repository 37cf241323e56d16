//! Work that is done in the background: what there is, and when it comes by itself.
//!
//! A job takes no more input than who asked for it, and doing it twice does no harm.

mod audit;
mod cleanup;

use crate::app::App;
use crate::error::Error;
use chrono::{DateTime, Utc};
use rolecall_store::{Job, NewJob};
use tokio_util::sync::CancellationToken;

/// An audit of the configured accounts.
pub const AUDIT: &str = "audit";
/// Forgetting what is older than the configuration wants to keep.
pub const CLEANUP: &str = "cleanup";

/// An audit that somebody asked for.
#[must_use]
pub fn audit_now(requested_by: &str, now: DateTime<Utc>) -> NewJob {
    new(AUDIT, requested_by, 10, now)
}

/// A job that its schedule started.
#[must_use]
pub fn scheduled(kind: &str, run_at: DateTime<Utc>) -> NewJob {
    new(kind, "schedule", 0, run_at)
}

fn new(kind: &str, trigger: &str, priority: i32, run_at: DateTime<Utc>) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        dedupe_key: String::new(),
        payload: serde_json::json!({ "trigger": trigger }),
        priority,
        run_at,
        max_attempts: 3,
    }
}

/// Does a job.
///
/// # Errors
/// Why it could not be done; [`Error::Interrupted`] where `cancel` ended it.
pub async fn run(app: &App, job: &Job, cancel: CancellationToken) -> Result<(), Error> {
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
