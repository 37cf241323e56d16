//! The filters of a list as options: those of the API, by the same names with hyphens.
//!
//! Refuses to know what is filtered.

use crate::http::query::{Param, Params};
use clap::{Arg, ArgAction, ArgMatches};

/// A filter as an option: `severity_min` is `--severity-min`.
pub(super) fn option(param: &'static Param) -> Arg {
    let kind = param.kind;
    let read = move |text: &str| match kind.is_empty(text) {
        true => Err("it has no value; leave the option out to not filter by it".to_owned()),
        false => kind.parse(text).map(|_| text.to_owned()),
    };
    Arg::new(param.name)
        .long(param.name.replace('_', "-"))
        .value_name(kind.placeholder())
        .help(param.about)
        .help_heading("Filters")
        .action(if kind.is_list() { ArgAction::Append } else { ArgAction::Set })
        .value_parser(read)
}

/// The values that were given for a filter.
pub(super) fn given(matches: &ArgMatches, param: &'static Param) -> impl Iterator<Item = (String, String)> {
    let values = matches.get_many::<String>(param.name).unwrap_or_default();
    values.map(|value| (param.name.to_owned(), value.clone()))
}

/// The filters that were given, checked together.
///
/// # Errors
/// What is wrong with them; `help` is the command that tells what is right.
pub(super) fn checked(
    given: Vec<(String, String)>,
    table: &'static [Param],
    help: &str,
) -> Result<Params, crate::error::Error> {
    Params::from_pairs(given, &[table])
        .map_err(|error| crate::error::Error::Usage { what: error.detail, remedy: format!("see `{help} --help`") })
}
