//! The job `events`: reads the queues of trails between scans, and scans the accounts whose resources calls changed.
//!
//! A reading that went well leaves no run behind; what it read is told by the sources.

use super::audit;
use crate::app::App;
use crate::audit::scan::settings;
use crate::audit::{ingest, rescan};
use crate::error::{Error, chain};
use crate::progress::Progress;
use crate::schedule::job::READS_AS;
use rolecall_collect::Plan;
use rolecall_collect::trails::{TrailConfig, TrailKind, open};
use rolecall_store::{NewRun, RunId, RunOutcome};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The reading shows that it lives by a lock; this is how long it may be silent once that is gone.
const LEASE: Duration = Duration::from_secs(60);

/// The sources that tell of new events as they come.
pub(in crate::work) fn queues(app: &App) -> impl Iterator<Item = &TrailConfig> {
    app.config.trails.iter().filter(|trail| matches!(trail.kind, TrailKind::Queue(_)))
}

pub(super) async fn run(app: &App, trigger: &str, cancel: CancellationToken) -> Result<(), Error> {
    let queues: Vec<&TrailConfig> = queues(app).collect();
    if queues.is_empty() {
        return Ok(());
    }
    let now = app.store.now().await?;
    let new = NewRun { kind: READS_AS.to_owned(), trigger: trigger.to_owned(), now, lease: LEASE };
    let run = app.store.begin_run(&new).await?;
    let life = app.store.live(run).await?;
    let result = tokio::select! {
        result = Box::pin(read(app, run, &queues)) => result,
        () = cancel.cancelled() => Err(Error::Interrupted),
    };
    drop(life);
    match result {
        Ok(()) => app.store.forget_run(run).await?,
        Err(error) => {
            let failed = RunOutcome::Failed(chain(&error), serde_json::Value::Null);
            app.store.finish_run(run, &failed).await?;
            return Err(error);
        }
    }
    let due = rescan::due(&app.store, app.config.schedule.rescan_distance).await?;
    if due.is_empty() {
        return rescan::tell(&app.store).await;
    }
    tracing::info!(accounts = due.len(), "calls changed what is watched: these accounts are scanned");
    Box::pin(audit::of_accounts(app, trigger, due, cancel)).await
}

async fn read(app: &App, run: RunId, queues: &[&TrailConfig]) -> Result<(), Error> {
    let plan = Plan::new(settings(&app.config.aws, app.hub.clone(), Vec::new())).map_err(Error::Plan)?;
    let progress = Progress::silent();
    for queue in queues {
        let now = app.store.now().await?;
        let told = match open(&plan, queue, Vec::new()).await {
            Ok(mut source) => match ingest::read(&app.store, run, &mut *source, "queue", now, &progress).await {
                // Another process reads it.
                Ok(_) | Err(Error::TrailShared { .. }) => continue,
                Err(error) => return Err(error),
            },
            Err(error) => chain(&error),
        };
        tracing::warn!(trail = queue.id, error = told, "a queue could not be opened");
        app.store.begin_source(&queue.id, "queue", now).await?;
        app.store.finish_source(&queue.id, Err(&told), now).await?;
    }
    Ok(())
}
