//! What the process says of itself on stderr.
//!
//! Knows formats and filters. Refuses to know what is worth saying: the callers do, and none of
//! them logs a policy document, a token or a credential.

use crate::schedule::HEARTBEAT_LOG;
use crate::terminal::harmless;
use std::io::IsTerminal as _;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// A field of a line for people. What it holds may be somebody else's words.
fn field(to: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let text = harmless(&text);
    match field.name() {
        "message" => write!(to, "{text}"),
        name => write!(to, "{name}={text}"),
    }
}

/// The AWS SDK warns at length of what the command then says in one line, and the heartbeat tells
/// of its own insides; who wants to hear it names the crate in the filter.
const HUSHED: &str = "aws_config=error,aws_smithy_runtime=error,aws_smithy_runtime_api=error";

/// Starts logging to stderr.
///
/// # Errors
/// The filter's own words where it does not parse.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{HUSHED},{HEARTBEAT_LOG},{filter}")).map_err(|error| error.to_string())?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Pretty => {
            let colours = std::io::stderr().is_terminal();
            lines.with_ansi(colours).with_target(false).fmt_fields(debug_fn(field).delimited(" ")).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // Only a second start in one process can fail, and the first one's lines are as good.
    started.or(Ok(()))
}
