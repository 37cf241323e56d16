//! The job `audit`: the same walk as `rolecall scan`.

use crate::app::App;
use crate::audit::run::Audit;
use crate::audit::scan::{collect_and_read, settings};
use crate::error::Error;
use crate::progress::Progress;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(app: &App, trigger: &str, cancel: CancellationToken) -> Result<(), Error> {
    let aws = &app.config.aws;
    let progress = Progress::silent();
    let audit = Audit {
        store: app.store.clone(),
        rules: app.rules.clone(),
        kind: crate::schedule::job::AUDITS_AS,
        trigger: trigger.to_owned(),
        window: TimeDelta::days(aws.trail_lookback_days.into()),
        kept: app.config.retention.sessions,
        assumed: app.config.assume.clone(),
        declared: app.config.declared.clone(),
        figures: false,
        progress: progress.clone(),
        cancel,
    };
    let known = app.store.known_accounts().await?;
    let (store, trails) = (&app.store, &app.config.trails);
    audit
        .run(|run, sender| {
            collect_and_read(store, trails, settings(aws, app.hub.clone(), known), run, sender, &progress)
        })
        .await?;
    Ok(())
}
