//! A value that an option does not take, told as all wrong input is: one line with what is wrong and what is possible.
//!
//! Refuses to know which options there are.

use crate::error::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;

/// What is wrong with an option's value, where that is what is wrong.
pub(super) fn of(error: &clap::Error) -> Option<Error> {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // As the help shows it: `--format <FORMAT>`, or `<SHELL>` where it has no name.
    let argument = text(ContextKind::InvalidArg)?;
    let option = argument.split(' ').next().filter(|name| name.starts_with('-'));
    let given = match (option, text(ContextKind::InvalidValue).unwrap_or_default()) {
        (Some(option), "") => format!("`{option}` has no value"),
        (Some(option), value) => format!("`{option} {value}`"),
        (None, value) => format!("`{value}` for {argument}"),
    };
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) if !words.is_empty() => words.join(", "),
        _ => {
            let what = error.source().map_or(given.clone(), |why| format!("{given}: {why}"));
            return Some(Error::Usage { what, remedy: "see `--help`".to_owned() });
        }
    };
    let meant = match error.get(ContextKind::SuggestedValue) {
        Some(ContextValue::String(near)) => format!("did you mean `{near}`?"),
        _ => "choose one of these".to_owned(),
    };
    Some(Error::Usage { what: format!("{given}: not one of {possible}"), remedy: meant })
}
