//! The command line: its words in `arguments`, and a file for each command.

mod address;
mod admin;
mod arguments;
mod baselines;
mod case_files;
mod compare;
mod declared;
mod demo;
mod doctor;
mod estate_args;
mod export;
mod filters;
mod finding;
mod global_options;
mod health;
mod help;
mod import;
mod limit;
mod lists;
mod people;
mod policies;
mod report;
mod sarif;
mod scan;
pub mod serve;
mod simulate;
mod webhooks;
mod what_if;
mod wrong_value;

use crate::audit::Summary;
use crate::config::Config;
use crate::database::{self, Database, Schema};
use crate::error::Error;
use crate::progress::Progress;
use crate::terminal;
use clap::ValueEnum;
use rolecall_rules::Severity;
use rolecall_store::Actor;
use std::io::Write as _;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

pub use arguments::main;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// One JSON object a line (`export`)
    Ndjson,
    /// RFC 4180 (`export`)
    Csv,
    /// SARIF 2.1.0 (`what-if`, `declared check`, `policies check`)
    Sarif,
    /// OCSF 1.8 events, one a line (`export findings`)
    Ocsf,
    /// Batches for `aws securityhub batch-import-findings`, one a line (`export findings`)
    Asff,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Sarif => "sarif",
            Self::Ocsf => "ocsf",
            Self::Asff => "asff",
        }
    }
}

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// Which database.
    pub database: database::Options,
    /// How to print.
    pub format: Format,
}

/// Opens the database, does the work, and closes the database however the work ended.
async fn with_database<T>(
    context: &Context,
    progress: &Progress,
    work: impl AsyncFnOnce(&Database) -> Result<T, Error>,
) -> Result<T, Error> {
    with_database_of(context, Schema::Check, progress, work).await
}

/// The same for a command that only reads or administers: a database must be there.
async fn with_existing_database<T>(
    context: &Context,
    progress: &Progress,
    work: impl AsyncFnOnce(&Database) -> Result<T, Error>,
) -> Result<T, Error> {
    with_database_of(context, Schema::Existing, progress, work).await
}

async fn with_database_of<T>(
    context: &Context,
    schema: Schema,
    progress: &Progress,
    work: impl AsyncFnOnce(&Database) -> Result<T, Error>,
) -> Result<T, Error> {
    let (mut database, _) = Database::open(&context.database, schema, progress).await?;
    // What a command does is done by whoever runs it.
    database.store = database.store.acting_as(Actor::operator(operator()));
    let result = work(&database).await;
    progress.done();
    database.close().await;
    result
}

/// Who runs this command, as the system's environment says.
fn operator() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(named).unwrap_or_else(|| "operator".to_owned())
}

/// Ends when somebody asks the process to: Ctrl-C, or SIGTERM.
#[must_use]
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        signal().await;
        asked.cancel();
    });
    token
}

#[cfg(unix)]
async fn signal() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Prints to stdout, for people.
fn print(text: &str) -> Result<(), Error> {
    terminal::out(text).map_err(Error::Output)
}

/// Prints a value as one JSON object.
fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Output(error.into()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

fn print_summary(format: Format, summary: &Summary) -> Result<(), Error> {
    if format == Format::Json { print_json(summary) } else { print(&summary.text()) }
}

/// 1 where a finding at or over the threshold is open.
fn verdict(summary: &Summary, fail_on: Option<Severity>) -> ExitCode {
    let failed = fail_on.is_some_and(|least| summary.findings.any_from(least));
    ExitCode::from(u8::from(failed))
}
