//! The job `cleanup`: forgets what is older than the configuration wants to keep.

use crate::app::App;
use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

pub(super) async fn run(app: &App) -> Result<(), Error> {
    let retention = &app.config.retention;
    let months = app.store.drop_sessions_before(before(retention.sessions)).await?;
    let jobs = app.store.prune_jobs(before(retention.runs)).await?;
    let runs = app.store.prune_runs(before(retention.runs)).await?;
    tracing::info!(months = months.len(), jobs, runs, "what is too old was forgotten");
    Ok(())
}

fn before(age: Duration) -> DateTime<Utc> {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    Utc::now().checked_sub_signed(age).unwrap_or(DateTime::UNIX_EPOCH)
}
