//! `export`: what is known, a row at a time, in memory that does not grow with the store.

use super::limit::Limited;
use super::{Context, Format, filters, with_existing_database};
use crate::audit::rules::Rules;
use crate::error::Error;
use crate::http::base_url;
use crate::http::export::{Form, Rows, Sink, What, write};
use crate::http::query::Param;
use crate::outgoing::Place;
use crate::progress::Progress;
use clap::{Args as _, ValueEnum as _};
use std::process::ExitCode;

/// What is asked for: the rows, and what they are filtered by.
#[derive(Debug)]
pub struct Asked {
    what: What,
    given: Vec<(String, String)>,
    limited: Limited,
}

/// Whether the rows may be those of a part of the estate: nobody with limits reads the others.
fn can_be_limited(what: What) -> bool {
    what != What::AuditLog
}

fn options(what: What) -> impl Iterator<Item = (&'static Param, clap::Arg)> {
    // Rows come in the order that costs least.
    what.filters().iter().filter(|param| param.name != "sort").map(|param| (param, filters::option(param)))
}

impl clap::Subcommand for Asked {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        What::value_variants().iter().fold(command, |command, what| {
            let Some(name) = what.to_possible_value() else { return command };
            let about = name.get_help().cloned().unwrap_or_default();
            let options = options(*what).map(|(_, option)| option);
            let export = clap::Command::new(name.get_name().to_owned()).about(about).args(options);
            command.subcommand(if can_be_limited(*what) { Limited::augment_args(export) } else { export })
        })
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        What::from_str(name, false).is_ok()
    }
}

impl clap::FromArgMatches for Asked {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let what = What::from_str(name, false).map_err(|_| missing())?;
        let limited = if can_be_limited(what) { Limited::from_arg_matches(matches)? } else { Limited::default() };
        let given = options(what).flat_map(|(param, _)| filters::given(matches, param)).collect();
        Ok(Self { what, given, limited })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// What stopped it. Rows already printed are complete.
pub async fn run(context: Context, asked: Asked) -> Result<ExitCode, Error> {
    let Asked { what, given, limited } = asked;
    let params = filters::checked(given, what.filters(), &format!("rolecall export {}", what.name()))?;
    let progress = Progress::silent();
    with_existing_database(&context, &progress, async |database| {
        let form = match context.format {
            Format::Csv => Form::Csv,
            Format::Ocsf => Form::Ocsf,
            Format::Asff => Form::Asff,
            Format::Text | Format::Json | Format::Ndjson | Format::Sarif => Form::Ndjson,
        };
        // Rules of the policy files name what findings and exceptions are of; the others have none.
        let with_rules = matches!(what, What::Findings | What::Exceptions);
        let dir = context.config.policies.dir.as_deref().filter(|_| with_rules);
        let (rules, base) = (Rules::load(dir)?, base_url(&context.config));
        let store = limited.of(&database.store.with_due_days(context.config.triage.due));
        let mut out = Rows::begin(form, what, &[], Sink::Stdout(std::io::stdout()))?;
        write(&Place { rules: &rules, base: &base }, (&store, &database.store), what, &params, &mut out).await?;
        out.end().await
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
