//! The job `audit`: the same walk as `rolecall scan`, of all accounts or of some.

use crate::app::App;
use crate::audit::rescan;
use crate::audit::run::Audit;
use crate::audit::scan::{collect_and_read, settings};
use crate::error::Error;
use crate::progress::Progress;
use crate::schedule::job::{AUDITS_AS, RESCANS_AS};
use chrono::TimeDelta;
use rolecall_iam::AccountId;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(app: &App, trigger: &str, cancel: CancellationToken) -> Result<(), Error> {
    let progress = Progress::silent();
    let known = app.store.known_accounts().await?;
    let (store, trails) = (&app.store, &app.config.trails);
    audit(app, AUDITS_AS, trigger, &progress, cancel)
        .run(|run, sender| {
            let settings = settings(&app.config.aws, app.hub.clone(), known);
            collect_and_read(store, trails, settings, run, sender, &progress)
        })
        .await?;
    Ok(())
}

/// Scans some accounts.
pub(super) async fn of_accounts(
    app: &App,
    trigger: &str,
    accounts: BTreeSet<AccountId>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    let progress = Progress::silent();
    let known = app.store.known_accounts().await?;
    let audit = audit(app, RESCANS_AS, trigger, &progress, cancel);
    Box::pin(audit.run(|run, sender| {
        let settings = settings(&app.config.aws, app.hub.clone(), known);
        Box::pin(rescan::collect(&app.store, accounts, settings, run, sender, &progress))
    }))
    .await?;
    Ok(())
}

fn audit(app: &App, kind: &'static str, trigger: &str, progress: &Progress, cancel: CancellationToken) -> Audit {
    Audit {
        store: app.store.clone(),
        rules: app.rules.clone(),
        kind,
        trigger: trigger.to_owned(),
        window: TimeDelta::days(app.config.aws.trail_lookback_days.into()),
        kept: app.config.retention.sessions,
        assumed: app.config.assume.clone(),
        declared: app.config.declared.clone(),
        baselines: app.config.baselines.clone(),
        figures: false,
        progress: progress.clone(),
        cancel,
    }
}
