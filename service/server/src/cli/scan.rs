//! `scan`: one audit of the configured accounts.

use super::{Context, on_signal, print_summary, verdict, with_database};
use crate::audit::rules::Rules;
use crate::audit::run::Audit;
use crate::audit::scan::{collect_and_read, settings};
use crate::error::Error;
use crate::progress::Progress;
use chrono::TimeDelta;
use rolecall_collect::Hub;
use rolecall_rules::Severity;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command.
///
/// # Errors
/// What stopped it.
pub async fn run(context: Context, fail_on: Option<Severity>) -> Result<ExitCode, Error> {
    let rules = Arc::new(Rules::configured(&context.config)?);
    let progress = Progress::stderr();
    let cancel = on_signal();
    let summary = with_database(&context, &progress, async |database| {
        let aws = &context.config.aws;
        let audit = Audit {
            store: database.store.clone(),
            rules: rules.clone(),
            kind: "scan",
            trigger: "command line".to_owned(),
            window: TimeDelta::days(aws.trail_lookback_days.into()),
            kept: context.config.retention.sessions,
            assumed: context.config.assume.clone(),
            declared: context.config.declared.clone(),
            baselines: context.config.baselines.clone(),
            figures: false,
            progress: progress.clone(),
            cancel: cancel.clone(),
        };
        let known = database.store.known_accounts().await?;
        let (store, trails) = (&database.store, &context.config.trails);
        audit
            .run(|run, sender| {
                collect_and_read(store, trails, settings(aws, Hub::default(), known), run, sender, &progress)
            })
            .await
    })
    .await?;
    print_summary(context.format, &summary)?;
    Ok(verdict(&summary, fail_on))
}
