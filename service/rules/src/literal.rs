//! Patterns and moments as they are written in rules.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::sync::Arc;

/// Compiled patterns may take so much memory, in bytes.
const REGEX_SIZE: usize = 1024 * 1024;

/// Compiles a pattern within the size limit.
pub(super) fn regex(pattern: &str) -> Result<Arc<regex::Regex>, String> {
    if pattern.len() > 1024 {
        return Err(format!("the pattern has {} bytes; at most 1024 are read", pattern.len()));
    }
    regex::RegexBuilder::new(pattern).size_limit(REGEX_SIZE).build().map(Arc::new).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern compiles to more than 1 MiB".to_owned(),
        // The engine's message draws the pattern over several lines and ends with what is wrong.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            last.trim_start_matches("error: ").to_owned()
        }
    })
}

/// Whether a pattern is found in a text, as `matches` of the rule language finds it.
///
/// # Errors
/// Says what is wrong with the pattern.
pub fn pattern_matches(pattern: &str, text: &str) -> Result<bool, String> {
    regex(pattern).map(|compiled| compiled.is_match(text))
}

/// Reads a moment: RFC 3339, or a date, which means its beginning in UTC.
pub(super) fn read_timestamp(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.with_timezone(&Utc))
        .map_err(|_| format!("`{text}` is not a moment; write it as in `2026-11-30` or `2026-11-30T12:00:00Z`"))
}
