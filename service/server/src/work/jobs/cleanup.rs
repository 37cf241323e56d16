//! The job `cleanup`: forgets what is older than the configuration wants to keep.

use crate::app::App;
use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// Calls whose session is not attributed wait so many times longer for it than those of attributed ones.
const PATIENCE: u32 = 3;

pub(super) async fn run(app: &App) -> Result<(), Error> {
    let now = app.store.now().await?;
    let before = |age| before(now, age);
    let retention = &app.config.retention;
    let months = app.store.drop_sessions_before(before(retention.sessions)).await?;
    let used = app.store.drop_usage_before(before(retention.sessions).date_naive()).await?;
    let changes = app.store.drop_change_events_before(before(retention.sessions)).await?;
    let (attributed, unattributed) = (retention.session_calls, retention.session_calls.saturating_mul(PATIENCE));
    let keys = app.store.roll_up_access_keys(before(attributed), before(unattributed)).await?;
    let days = app.store.close_days(before(retention.trail_days), now).await?;
    app.store.forget_damage_before(before(retention.sessions).date_naive()).await?;
    let jobs = app.store.prune_jobs(before(retention.runs)).await?;
    let runs = app.store.prune_runs(before(retention.runs)).await?;
    let answers = app.store.forget_keys(crate::http::ANSWERS_KEPT).await?;
    let events = app.store.prune_feed(before(retention.runs)).await?;
    let deliveries = app.store.prune_deliveries(before(retention.deliveries)).await?;
    let months = months.len() + used.len() + changes.len();
    // Whoever keeps the log elsewhere can tell later whether the audit log was cut off.
    let head = app.store.audit_head().await?;
    tracing::info!(audit.entries = head.seq, audit.head = %head.hash, "the head of the audit log");
    tracing::info!(months, keys, days, jobs, runs, events, answers, deliveries, "what is too old was forgotten");
    Ok(())
}

fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(age).unwrap_or(DateTime::UNIX_EPOCH)
}
