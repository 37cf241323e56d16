//! Work that is done in the background: what there is, and when it comes by itself.
//!
//! A job takes no more input than who asked for it, and doing it twice does no harm.

mod audit;
mod changes;
mod cleanup;
mod events;

use crate::app::App;
use crate::error::Error;
use crate::schedule::job::{AUDIT, CHANGES, CLEANUP, EVENTS};
use chrono::Utc;
use rolecall_store::Job;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use events::queues;

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
        CHANGES => changes::run(app).await,
        CLEANUP => cleanup::run(app).await,
        EVENTS => Box::pin(events::run(app, trigger, cancel)).await,
        other => Err(Error::Usage {
            what: format!("no job is called `{other}`"),
            remedy: "run the same version of rolecall on every replica".to_owned(),
        }),
    }
}
