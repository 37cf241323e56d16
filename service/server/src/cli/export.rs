//! `export`: what is known, a row at a time, in memory that does not grow with the store.

use super::{Context, Format, with_existing_database};
use crate::audit::rules::Rules;
use crate::error::Error;
use crate::http::base_url;
use crate::http::export::{Form, Rows, Sink, What, write};
use crate::http::query::{Param, Params};
use crate::outgoing::Place;
use crate::progress::Progress;
use clap::ValueEnum as _;
use std::process::ExitCode;

/// What is asked for: the rows, and what they are filtered by.
#[derive(Debug)]
pub struct Asked {
    what: What,
    given: Vec<(String, String)>,
}

impl Asked {
    /// Whether findings are asked for, which other formats have a form for.
    pub(super) fn is_of_findings(&self) -> bool {
        self.what == What::Findings
    }
}

fn options(what: What) -> impl Iterator<Item = (&'static Param, clap::Arg)> {
    // Rows come in the order that costs least.
    what.filters().iter().filter(|param| param.name != "sort").map(|param| (param, option(param)))
}

/// A filter as an option: `severity_min` is `--severity-min`.
fn option(param: &'static Param) -> clap::Arg {
    let kind = param.kind;
    let read = move |text: &str| match kind.is_empty(text) {
        true => Err("it has no value; leave the option out to not filter by it".to_owned()),
        false => kind.parse(text).map(|_| text.to_owned()),
    };
    clap::Arg::new(param.name)
        .long(param.name.replace('_', "-"))
        .value_name(kind.placeholder())
        .help(param.about)
        .help_heading("Filters")
        .action(if kind.is_list() { clap::ArgAction::Append } else { clap::ArgAction::Set })
        .value_parser(read)
}

impl clap::Subcommand for Asked {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        What::value_variants().iter().fold(command, |command, what| {
            let Some(name) = what.to_possible_value() else { return command };
            let about = name.get_help().cloned().unwrap_or_default();
            let options = options(*what).map(|(_, option)| option);
            command.subcommand(clap::Command::new(name.get_name().to_owned()).about(about).args(options))
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
        let values = |param: &'static Param| {
            let values = matches.get_many::<String>(param.name).unwrap_or_default();
            values.map(|value| (param.name.to_owned(), value.clone()))
        };
        Ok(Self { what, given: options(what).flat_map(|(param, _)| values(param)).collect() })
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
    let Asked { what, given } = asked;
    let params = Params::from_pairs(given, &[what.filters()]).map_err(|error| Error::Usage {
        what: error.detail,
        remedy: format!("see `rolecall export {} --help`", what.name()),
    })?;
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
        let store = database.store.with_due_days(context.config.triage.due);
        let mut out = Rows::begin(form, what.columns(), Sink::Stdout(std::io::stdout()))?;
        write(&Place { rules: &rules, base: &base }, &store, what, &params, &mut out).await?;
        out.end().await
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
