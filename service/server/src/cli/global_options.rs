//! Which of the global options each command takes.
//!
//! An option that means nothing for a command is not in its help, its man page and its completions, and is refused
//! where somebody gives it all the same. From the environment it is not given for one command, and does no harm.
//! Refuses to know what an option does.

use super::Format;
use crate::error::Error;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, ValueEnum as _};

const TEXT: &[Format] = &[Format::Text];
const JSON: &[Format] = &[Format::Json];
const REPORT: &[Format] = &[Format::Text, Format::Json];
const CASES: &[Format] = &[Format::Text, Format::Json, Format::Ndjson];
const CHECK: &[Format] = &[Format::Text, Format::Json, Format::Sarif];
const ROWS: &[Format] = &[Format::Ndjson, Format::Csv];
const FINDINGS: &[Format] = &[Format::Ndjson, Format::Csv, Format::Ocsf, Format::Asff];
const EVERY: &[Format] =
    &[Format::Text, Format::Json, Format::Ndjson, Format::Csv, Format::Sarif, Format::Ocsf, Format::Asff];

/// What a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takes {
    config: bool,
    database: bool,
    log: bool,
    /// The default first. One alone is not worth an option.
    pub(super) formats: &'static [Format],
}

impl Takes {
    const fn all(formats: &'static [Format]) -> Self {
        Self { config: true, database: true, log: true, formats }
    }

    /// Of files alone.
    const fn without_database(self) -> Self {
        Self { database: false, ..self }
    }

    /// Of what stands on the command line alone.
    const fn nothing(formats: &'static [Format]) -> Self {
        Self { config: false, database: false, log: false, formats }
    }

    /// What the command of these words takes.
    pub(super) fn new(path: &[&str]) -> Self {
        match path {
            [] => Self::all(EVERY),
            ["completions" | "man", ..] => Self::nothing(TEXT),
            ["openapi"] | ["policies", "schema"] => Self::nothing(JSON),
            ["export"] | ["export", "findings"] => Self::all(FINDINGS),
            ["export", _] => Self::all(ROWS),
            ["policies"] | ["policies", "check"] => Self::all(CHECK).without_database(),
            ["policies", _] | ["health"] => Self::all(REPORT).without_database(),
            ["compare"] => Self { log: true, ..Self::nothing(CASES) },
            ["simulate"] => Self::all(CASES),
            ["what-if"] | ["declared", ..] => Self::all(CHECK),
            _ => Self::all(REPORT),
        }
    }

    fn has(&self, option: &str) -> bool {
        match option {
            "config" => self.config,
            "data_dir" | "database_url" | "pg_bindir" => self.database,
            "log" | "log_format" => self.log,
            "format" => self.formats.len() > 1,
            _ => true,
        }
    }
}

/// The command line with the global options that each command takes.
pub(super) fn fit(command: Command) -> Command {
    let options: Vec<Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    fit_below(command, &[], &options)
}

fn fit_below(command: Command, path: &[&str], options: &[Arg]) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
        command.mut_subcommand(name, |below| {
            let takes = Takes::new(&path);
            let below = fit_below(below, &path, options);
            // What a command declares itself is not handed down to it.
            options.iter().filter_map(|option| fitted(option, takes)).fold(below, Command::arg)
        })
    })
}

/// The option as a command has it, where that is otherwise than all have it.
fn fitted(option: &Arg, takes: Takes) -> Option<Arg> {
    let option = option.clone();
    match option.get_id().as_str() {
        name if !takes.has(name) => Some(option.hide(true)),
        "format" => {
            let default = takes.formats.first().map_or("", |format| format.name());
            let values = takes.formats.iter().filter_map(Format::to_possible_value);
            let read = PossibleValuesParser::new(values).try_map(|name| Format::from_str(&name, false));
            Some(option.help(format!("How results are printed [default: {default}]")).value_parser(read))
        }
        _ => None,
    }
}

/// What the command that was called takes.
///
/// # Errors
/// An option that means nothing for it.
pub(super) fn taken(matches: &ArgMatches) -> Result<Takes, Error> {
    let (mut path, mut last) = (Vec::new(), matches);
    while let Some((name, below)) = last.subcommand() {
        path.push(name);
        last = below;
    }
    let takes = Takes::new(&path);
    let given =
        |name: &&str| last.try_get_raw(name).is_ok() && last.value_source(name) == Some(ValueSource::CommandLine);
    let wrong = ["config", "data_dir", "database_url", "pg_bindir", "log", "log_format"]
        .into_iter()
        .filter(given)
        .find(|name| !takes.has(name));
    match wrong {
        None => Ok(takes),
        Some(name) => Err(Error::Usage {
            what: format!("`--{}` means nothing for `rolecall {}`", name.replace('_', "-"), path.join(" ")),
            remedy: "leave it out".to_owned(),
        }),
    }
}
