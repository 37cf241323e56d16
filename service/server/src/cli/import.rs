//! `import`: an audit of files that others wrote.

use super::{Context, on_signal, print_summary, verdict, with_database};
use crate::audit::import::{Files, ImportOptions, Problems, read};
use crate::audit::rules::Rules;
use crate::audit::run::Audit;
use crate::error::Error;
use crate::progress::Progress;
use chrono::TimeDelta;
use rolecall_rules::Severity;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command.
///
/// # Errors
/// What stopped it; [`Error::NothingRead`] where no file held anything; [`Error::Usage`] where the
/// trail is said to be complete and no file is of one.
pub async fn run(
    context: Context,
    paths: &[PathBuf],
    fail_on: Option<Severity>,
    stats: bool,
    options: ImportOptions,
    code: Vec<PathBuf>,
) -> Result<ExitCode, Error> {
    let rules = Arc::new(Rules::configured(&context.config)?);
    let files = Files::find(paths)?;
    if files.is_empty() {
        let problems = Problems::default();
        files.name_unread(&problems);
        problems.print();
        return Err(Error::NothingRead { problems: problems.lines() });
    }
    if options.complete_trail && !files.has_trail() {
        return Err(Error::Usage {
            what: "--complete-trail is said of trail files, and none of these files is one".to_owned(),
            remedy: "give the trail's folder or files too, or leave --complete-trail out".to_owned(),
        });
    }
    let mut declared = context.config.declared.clone();
    if !code.is_empty() {
        declared.paths.get_or_insert_default().extend(code);
    }
    let progress = Progress::stderr();
    let cancel = on_signal();
    let problems = Problems::default();
    let result = with_database(&context, &progress, async |database| {
        let audit = Audit {
            store: database.store.clone(),
            rules: rules.clone(),
            kind: "import",
            trigger: "command line".to_owned(),
            window: TimeDelta::days(context.config.aws.trail_lookback_days.into()),
            kept: context.config.retention.sessions,
            assumed: context.config.assume.iter().copied().chain(options.assume.iter().copied()).collect(),
            declared: declared.clone(),
            baselines: context.config.baselines.clone(),
            figures: stats,
            progress: progress.clone(),
            cancel: cancel.clone(),
        };
        let (files, problems, store) = (files.clone(), problems.clone(), database.store.clone());
        audit.run(|run, sender| read(run, files, options.clone(), store, sender, progress.clone(), problems)).await
    })
    .await;
    problems.print();
    let summary = result?;
    print_summary(context.format, &summary)?;
    Ok(verdict(&summary, fail_on))
}
