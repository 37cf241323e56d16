//! What can stop a command, and what to do about it.
//!
//! One line for each thing that is wrong: what, why (the chain of sources), and the remedy.

use rolecall_estate::FileProblem;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not go together.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A configuration with problems.
    #[error("the configuration has {} problems", .0.len())]
    Config(Vec<FileProblem>),
    /// A file or folder.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// Such as `read the configuration`.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {addr}")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// An address that other machines can reach, with nobody at the door.
    #[error("{0}")]
    PublicBind(String),
    /// The service stopped listening.
    #[error("the service ended")]
    Serve(#[source] std::io::Error),
    /// No answer from a service.
    #[error("no answer from {addr}")]
    Silent {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] rolecall_store::Error),
    /// The private PostgreSQL.
    #[error(transparent)]
    Embedded(#[from] rolecall_postgres::EmbeddedError),
    /// AWS, before anything could be looked at.
    #[error(transparent)]
    Aws(#[from] rolecall_collect::CannotStart),
    /// Settings that the collectors cannot use.
    #[error("the scan configuration has {} problems", .0.len())]
    Plan(Vec<rolecall_collect::PlanError>),
    /// A request that cannot be decided.
    #[error(transparent)]
    Question(#[from] rolecall_audit::access::simulate::AskError),
    /// The stand-in for AWS.
    #[error("the AWS stand-in does not start")]
    Sandbox(#[from] rolecall_sandbox::Error),
    /// Rules with problems.
    #[error("the rules have {} problems", .0.len())]
    Rules(Vec<rolecall_rules::LoadError>),
    /// Not one file held anything.
    #[error("nothing was read")]
    NothingRead {
        /// What is wrong with the files.
        problems: Vec<String>,
    },
    /// A later audit has already stored what it saw.
    #[error("a later audit has finished before this one: its findings stand")]
    Overtaken,
    /// Two workers read the same files of a day whose events are no longer told apart.
    #[error("another worker has read files of `{source_name}` at the same time")]
    TrailShared {
        /// The source.
        source_name: String,
    },
    /// Somebody asked us to stop.
    #[error("stopped before the end")]
    Interrupted,
    /// An audit that did not come to its findings.
    #[error("{}; {}", chain(.why), ended(*.kept))]
    Ended {
        /// Why.
        why: Box<Error>,
        /// Whether what it read is kept.
        kept: bool,
    },
    /// Work on a thread of its own died.
    #[error("evaluation stopped unexpectedly")]
    Judging(#[source] tokio::task::JoinError),
    /// Processes died at judging, and at none of the accounts by itself.
    #[error("rules are not evaluated, as {deaths} processes died at it; no account by itself is the cause")]
    JudgingSetAside {
        /// How many.
        deaths: u64,
    },
    /// What is due is told by a clock that was just set.
    #[error("the clock is not trusted: {0}")]
    Clock(crate::schedule::clock::Condition),
    /// The heartbeat does not start.
    #[error("the scheduler does not start")]
    Heartbeat(#[source] crate::schedule::HeartbeatError),
    /// Nobody reads what we print.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    /// No threads.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

fn ended(kept: bool) -> &'static str {
    if kept { "what it read is kept, and the next audit judges it" } else { "nothing of it is kept" }
}

impl Error {
    /// Says what becomes of what an audit read before this ended it. That nothing is kept is said to
    /// whoever stopped it; another error speaks for itself.
    #[must_use]
    pub fn ended(self, kept: bool) -> Self {
        if kept || self.is_interruption() { Self::Ended { why: Box::new(self), kept } } else { self }
    }

    /// Whether somebody asked us to stop.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Ended { why, .. } => why.is_interruption(),
            _ => false,
        }
    }

    /// What to do about it, where we know.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Usage { remedy, .. } => Some(remedy.clone()),
            Self::File { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some("check the path".to_owned()),
                std::io::ErrorKind::PermissionDenied => Some("check its permissions, or run as its owner".to_owned()),
                _ => None,
            },
            Self::Bind { source, .. } => match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    Some("stop the process that holds the port, or choose another with --bind".to_owned())
                }
                std::io::ErrorKind::PermissionDenied => {
                    Some("ports under 1024 need privileges; choose another with --bind".to_owned())
                }
                _ => Some("choose an address of this machine with --bind".to_owned()),
            },
            Self::Ended { why, .. } => why.remedy(),
            Self::Silent { .. } => Some("is `rolecall serve` running, and does it listen there?".to_owned()),
            Self::JudgingSetAside { .. } => {
                Some("give it more memory, then run `rolecall admin set-aside retry \"all accounts\"`".to_owned())
            }
            Self::TrailShared { .. } => Some("read it again: nothing was counted twice".to_owned()),
            Self::NothingRead { .. } => Some(
                "give files that the AWS CLI printed (get-account-authorization-details, associations, CloudTrail), \
                 or an estate's folder"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// What to print: one line for each thing that is wrong.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Config(problems) => problems.iter().map(ToString::to_string).collect(),
            Self::Plan(problems) => problems.iter().map(ToString::to_string).collect(),
            Self::Rules(problems) => problems.iter().map(ToString::to_string).collect(),
            Self::Ended { why, kept } if !why.is_interruption() => {
                let mut lines = why.lines();
                lines.push(ended(*kept).to_owned());
                lines
            }
            Self::PublicBind(text) => text.lines().map(str::to_owned).collect(),
            other => {
                let mut line = chain(other);
                if let Some(remedy) = other.remedy() {
                    line.push_str("; ");
                    line.push_str(&remedy);
                }
                vec![line]
            }
        }
    }
}

/// An error and its sources on one line. A source that only repeats what was said is left out.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = one_line(&error.to_string());
    let mut source = error.source();
    while let Some(error) = source {
        let text = one_line(&error.to_string());
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = error.source();
    }
    line
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
