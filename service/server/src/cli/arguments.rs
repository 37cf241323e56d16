//! The command line.
//!
//! Knows words, options and exit codes: 0 done, 1 findings at or over `--fail-on`, 2 could not do
//! it. An option that a command cannot honour is refused, never ignored. Refuses to know how
//! anything is done: each command is a function of a file beside this one.

use super::{
    Context, Format, admin, baselines, compare, declared, demo, doctor, export, health, help, import, people, policies,
    scan, serve, simulate, webhooks, what_if,
};
use crate::config::Config;
use crate::database;
use crate::error::Error;
use crate::role::PersonRole;
use crate::telemetry::{self, LogFormat};
use crate::terminal;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::{Limit, Visibility};
use rolecall_iam::AccountId;
use rolecall_rules::Severity;
use rolecall_store::PersonAccess;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Policy audit and drift detection of EKS Pod Identity over many AWS accounts.
#[derive(Debug, Parser)]
#[command(name = "rolecall", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 findings at or over --fail-on, 2 could not do it.
AWS credentials, region and AWS_ENDPOINT_URL are taken from the environment as by every AWS SDK.";

const SIMULATE_CODES: &str = "Exit codes: 0 done, 1 an answer differs from the expected one (--check), \
2 a file or case could not be read. The format of cases: docs/simulate.md.";

const COMPARE_CODES: &str = "Exit codes: 0 done, 1 an answer differs from the expected one (--check) or more may be \
allowed (--no-wider), 2 a file or pair could not be read. The format of pairs: docs/compare.md.";

const WHAT_IF_CODES: &str = "Exit codes: 0 done, 1 something to fail on (--fail-on), 2 a change could not be read or \
applied. The format of changes: docs/what-if.md.";

const DECLARED_CODES: &str = "Exit codes: 0 done, 1 something to fail on (--fail-on), 2 a file could not be read. The \
formats of files: docs/declared.md.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Options {
    /// Configuration [default: ./rolecall.toml, else /etc/rolecall/rolecall.toml, else built-in defaults]
    #[arg(long, global = true, value_name = "FILE", env = "ROLECALL_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the private PostgreSQL and its binaries [default: the user's data folder, /var/lib/rolecall for root]
    #[arg(long, global = true, value_name = "DIR", env = "ROLECALL_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A PostgreSQL of your own, version 15 or later; no private one is started then
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Folder with `initdb` and `postgres` for the private PostgreSQL
    #[arg(long, global = true, value_name = "DIR", env = "ROLECALL_PG_BINDIR")]
    pg_bindir: Option<PathBuf>,
    /// How results are printed [default: text; for `export`: ndjson]
    #[arg(long, global = true, value_enum)]
    format: Option<Format>,
    /// What is logged to stderr: `warn`, `info`, `rolecall=debug`, … [default: warn; for `serve`: info]
    #[arg(long, global = true, value_name = "FILTER", env = "ROLECALL_LOG")]
    log: Option<String>,
    /// Format of log lines
    #[arg(long, global = true, value_enum, default_value = "pretty", env = "ROLECALL_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on one machine with a generated organization
    Demo {
        /// Exit after the summary
        #[arg(long)]
        once: bool,
        /// Where the dashboard listens [default: 127.0.0.1 and a free port]
        #[arg(long, value_name = "ADDR:PORT", conflicts_with = "once")]
        bind: Option<SocketAddr>,
    },
    /// Scan the configured accounts once
    Scan {
        /// Exit with 1 if a finding of at least this severity is open
        #[arg(long, value_name = "SEVERITY", value_parser = severity)]
        fail_on: Option<Severity>,
    },
    /// Run the dashboard, the API and scheduled scans
    Serve {
        /// What this process runs
        #[arg(long, value_enum, default_value = "all", env = "ROLECALL_ROLE")]
        role: serve::Role,
        /// Where to listen, instead of the configuration's server.bind
        #[arg(long, value_name = "ADDR:PORT", env = "ROLECALL_BIND")]
        bind: Option<SocketAddr>,
    },
    /// Import AWS CLI output, CloudTrail files or an estate folder, and evaluate it
    Import {
        /// Files and folders
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Exit with 1 if a finding of at least this severity is open
        #[arg(long, value_name = "SEVERITY", value_parser = severity)]
        fail_on: Option<Severity>,
        /// Also print CloudTrail figures: files, events, sessions, attribution, usage, unreadable records
        #[arg(long)]
        stats: bool,
        /// Declare the trail files complete, in every region, from the first to the last event of each
        /// account: a call without an event was not made
        #[arg(long)]
        complete_trail: bool,
        /// Declare the listings in the files complete: every role of the account, every association of
        /// the cluster. Items that they lack count as deleted. Listings with a next-page token, or
        /// that cannot be complete, stay gaps
        #[arg(long)]
        complete: bool,
        /// Date of the files, such as 2026-06-30T08:00:00Z, instead of the newest date in them: ages
        /// are counted up to this date
        #[arg(long, value_name = "TIME", value_parser = time)]
        as_of: Option<DateTime<Utc>>,
        /// Assumptions about data that is not provided: scp=none, rcp=none, organization=files (its
        /// accounts are those of the files), addons=none. Results that rest on one say so
        #[arg(long, value_name = "STATEMENT", value_delimiter = ',')]
        assume: Vec<Assumption>,
        /// Files and folders of infrastructure code, as `declared check` reads them, besides those of the
        /// configuration; may be given more than once
        #[arg(long, value_name = "PATH")]
        declared: Vec<PathBuf>,
    },
    /// Export rows as NDJSON or CSV; findings also as OCSF or ASFF
    Export {
        #[command(subcommand)]
        asked: export::Asked,
    },
    /// Evaluate requests as AWS would, with the reason
    #[command(after_help = SIMULATE_CODES)]
    Simulate(Box<simulate::Args>),
    /// Compare policies before and after a change, and prove the difference
    #[command(after_help = COMPARE_CODES)]
    Compare(Box<compare::Args>),
    /// Say what proposed changes would come to, before anybody makes them
    #[command(name = "what-if", after_help = WHAT_IF_CODES)]
    WhatIf(Box<what_if::Args>),
    /// Compare what infrastructure code declares with what is there
    Declared {
        #[command(subcommand)]
        what: Declared,
    },
    /// Approved states of resources
    Baselines {
        #[command(subcommand)]
        what: Baselines,
    },
    /// Check and test rules
    Policies {
        #[command(subcommand)]
        what: Policies,
        /// A folder with custom/, bindings/ and exceptions/, instead of the configuration's policies.dir
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Test each permission in each account and print the missing IAM statement
    Doctor,
    /// Apply database migrations
    Migrate,
    /// Print the OpenAPI document
    Openapi,
    /// Print a shell's completions, such as `source <(rolecall completions bash)`
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the man pages into a folder, such as /usr/local/share/man/man1
    Man {
        /// The folder; made where it is missing
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Sign-in links, sessions, roles, API tokens and the audit log
    Admin {
        #[command(subcommand)]
        what: Admin,
    },
    /// Check whether a running `serve` is ready
    Health {
        /// Where it listens, instead of the configuration's server.bind
        #[arg(long, value_name = "ADDR:PORT", env = "ROLECALL_BIND")]
        bind: Option<SocketAddr>,
    },
}

#[derive(Debug, Subcommand)]
enum Declared {
    /// Tell what is unmanaged, missing and different, with file and line
    #[command(after_help = DECLARED_CODES)]
    Check(Box<declared::Args>),
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Policies {
    /// Check every rule, binding, exception and baseline
    Check,
    /// Run the tests in the rules
    Test,
    /// Print the JSON Schema of rule files, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
enum Baselines {
    /// Write the baselines in force as files, one for each account, to be reviewed in version control
    Export {
        /// Only of this account
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<AccountId>,
        /// Only of this resource: its ARN, or an association's key
        #[arg(long, value_name = "RESOURCE")]
        resource: Option<String>,
        /// The folder, such as policies/baselines
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Print a one-time URL to sign in to the dashboard
    Login {
        /// Where the dashboard listens, instead of the configuration's server.bind
        #[arg(long, value_name = "ADDR:PORT", env = "ROLECALL_BIND")]
        bind: Option<SocketAddr>,
        /// The role of whoever follows it: viewer, triager, policy-admin or admin
        #[arg(long, default_value_t = PersonRole::Admin)]
        role: PersonRole,
        /// How whoever follows it is called
        #[arg(long, value_name = "NAME", default_value = "operator")]
        person: String,
        /// What they may see, such as `namespace:payments`; everything where none is given; may be given more than once
        #[arg(long = "limit", value_name = "LIMIT")]
        limits: Vec<Limit>,
    },
    /// Sessions of people
    Session {
        #[command(subcommand)]
        what: people::Session,
    },
    /// Roles that an operator gives to people, beside those of `[[auth.role]]`
    Role {
        #[command(subcommand)]
        what: people::Role,
    },
    /// Service accounts, which tokens belong to
    ServiceAccount {
        #[command(subcommand)]
        what: people::Account,
    },
    /// The audit log
    Audit {
        #[command(subcommand)]
        what: people::Audit,
    },
    /// API tokens
    Token {
        #[command(subcommand)]
        what: Token,
    },
    /// Input that is not read, since processes died at it
    SetAside {
        #[command(subcommand)]
        what: Aside,
    },
    /// Endpoints that receive events
    Webhook {
        #[command(subcommand)]
        what: Webhook,
    },
}

#[derive(Debug, Subcommand)]
enum Webhook {
    /// List the webhooks of the configuration, and how each stands
    List,
    /// Send a message that says only that messages arrive
    Test {
        /// The webhook's name in the configuration
        name: String,
    },
    /// Let a webhook that is disabled be served again, from where it stood
    Enable {
        /// The webhook's name in the configuration
        name: String,
    },
    /// Send messages again
    Replay {
        /// The webhook's name in the configuration
        name: String,
        /// One message, by its id
        #[arg(long, value_name = "ID", required_unless_present = "after")]
        delivery: Option<String>,
        /// All events after this one; a later one than the webhook's position leaves those between out
        #[arg(long, value_name = "EVENT", conflicts_with = "delivery", value_parser = clap::value_parser!(i64).range(0..))]
        after: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
enum Aside {
    /// List what is set aside
    List,
    /// Have the next scan or import try it again
    Retry {
        /// The name, as `list` prints it
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Create a token and print it once
    Create {
        /// The service account that it is of; made where there is none of this name
        #[arg(long)]
        name: String,
        /// What it may do, such as `findings:read`; may be given more than once
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// What it may see, such as `namespace:payments` or `account:111122223333`; everything where none is given;
        /// may be given more than once
        #[arg(long = "limit", value_name = "LIMIT")]
        limits: Vec<Limit>,
        /// Days until it expires
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
    },
    /// List tokens, without their secrets
    List,
    /// Create the token that takes another's place, and print it once; both are valid for a while
    Rotate {
        /// The token's id, as `list` prints it
        id: String,
        /// Days until the new one expires
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
        /// Hours until the other one ends
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=720))]
        overlap_hours: u16,
    },
    /// Revoke a token
    Revoke {
        /// The token's id, as `list` prints it
        id: String,
    },
}

/// A time, or a day, which stands for its end: what is of a day may be of any time of it.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let whole = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc));
    let day = || text.parse::<NaiveDate>().ok()?.and_hms_opt(23, 59, 59).map(|time| time.and_utc());
    whole.ok().or_else(day).ok_or_else(|| "write a time as 2026-06-30T08:00:00Z, or a day as 2026-06-30".to_owned())
}

fn severity(text: &str) -> Result<Severity, String> {
    text.parse::<Severity>().map_err(|error| {
        let names = Severity::WORST_FIRST.map(Severity::as_str).join(", ");
        format!("{error}; choose one of {names}")
    })
}

impl Options {
    fn format(&self, allowed: &[Format]) -> Result<Format, Error> {
        let default = allowed.first().copied().unwrap_or(Format::Text);
        match self.format {
            None => Ok(default),
            Some(format) if allowed.contains(&format) => Ok(format),
            Some(format) => Err(Error::Usage {
                what: format!("`--format {}` is not for this command", format.name()),
                remedy: format!("use {}", allowed.iter().map(|format| format.name()).collect::<Vec<_>>().join(" or ")),
            }),
        }
    }

    fn read_config(&self) -> Result<Config, Error> {
        let usual = ["rolecall.toml", "/etc/rolecall/rolecall.toml"].map(Path::new);
        let file = match &self.config {
            Some(file) => file.as_path(),
            None => match usual.into_iter().find(|file| file.exists()) {
                Some(file) => file,
                None => return Ok(Config::default()),
            },
        };
        let text = std::fs::read_to_string(file).map_err(|source| Error::File {
            doing: "read the configuration",
            path: file.to_owned(),
            source,
        })?;
        Config::parse(file, &text).map_err(Error::Config)
    }
}

const REPORT: &[Format] = &[Format::Text, Format::Json];

/// Runs the process's command line to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        // A reader that has seen enough, such as `head`, is no failure of ours.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.lines() {
                terminal::err(&format!("rolecall: {line}"));
            }
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let Cli { options, command } = cli;
    let quiet = if matches!(command, Command::Serve { .. }) { "info" } else { "warn" };
    let filter = options.log.as_deref().unwrap_or(quiet);
    telemetry::start(filter, options.log_format).map_err(|why| Error::Usage {
        what: format!("`--log {filter}` is not a filter: {why}"),
        remedy: "write a level such as `info`, or `rolecall=debug`".to_owned(),
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(dispatch(options, command))
}

async fn dispatch(options: Options, command: Command) -> Result<ExitCode, Error> {
    // Refused before anything is started.
    let format = match &command {
        Command::Export { asked } if asked.is_of_findings() => {
            options.format(&[Format::Ndjson, Format::Csv, Format::Ocsf, Format::Asff])?
        }
        Command::Export { .. } => options.format(&[Format::Ndjson, Format::Csv])?,
        Command::Openapi | Command::Policies { what: Policies::Schema, .. } => options.format(&[Format::Json])?,
        Command::Simulate(args) if !args.cases.is_empty() => options.format(&[Format::Ndjson])?,
        Command::Compare(args) if !args.cases.is_empty() => options.format(&[Format::Ndjson])?,
        Command::WhatIf(_) | Command::Declared { .. } | Command::Policies { what: Policies::Check, .. } => {
            options.format(&[Format::Text, Format::Json, Format::Sarif])?
        }
        _ => options.format(REPORT)?,
    };
    // Needs nothing but its files.
    if let Command::Simulate(args) = &command
        && !args.cases.is_empty()
    {
        return simulate::cases(args);
    }
    if let Command::Compare(args) = &command {
        return compare::run(args, format);
    }
    match &command {
        Command::Completions { shell } => return help::completions(*shell, Cli::command()),
        Command::Man { dir } => return help::man(dir, Cli::command()),
        _ => {}
    }
    let config = options.read_config()?;
    let context = Context {
        config,
        database: database::Options {
            url: options.database_url,
            data_dir: options.data_dir,
            bin_dir: options.pg_bindir,
        },
        format,
    };
    match command {
        Command::Demo { once, bind } => demo::run(context, once, bind).await,
        Command::Scan { fail_on } => scan::run(context, fail_on).await,
        Command::Serve { role, bind } => serve::run(context, role, bind).await,
        Command::Import { paths, fail_on, stats, complete_trail, complete, as_of, assume, declared } => {
            let options = crate::audit::import::ImportOptions { complete_trail, complete, as_of, assume };
            import::run(context, &paths, fail_on, stats, options, declared).await
        }
        Command::Simulate(args) => simulate::one_request(context, &args).await,
        Command::Compare(args) => compare::run(&args, format),
        Command::WhatIf(args) => what_if::run(context, &args).await,
        Command::Declared { what: Declared::Check(args) } => declared::check(context, &args).await,
        Command::Export { asked } => export::run(context, asked).await,
        Command::Policies { what, dir } => {
            let dir = dir.or_else(|| context.config.policies.dir.clone());
            match what {
                Policies::Check => policies::check(format, dir.as_deref(), &context.config.baselines),
                Policies::Test => policies::test(format, dir.as_deref()),
                Policies::Schema => policies::schema(),
            }
        }
        Command::Baselines { what: Baselines::Export { account, resource, dir } } => {
            baselines::export(context, account, resource, &dir).await
        }
        Command::Doctor => doctor::run(context).await,
        Command::Migrate => admin::migrate(context).await,
        Command::Openapi => admin::openapi(),
        Command::Completions { shell } => help::completions(shell, Cli::command()),
        Command::Man { dir } => help::man(&dir, Cli::command()),
        Command::Admin { what: Admin::Login { bind, role, person, limits } } => {
            let visibility = Visibility::of(limits.into_iter().collect());
            admin::login(context, bind, PersonAccess { person, role: role.to_string(), visibility }).await
        }
        Command::Admin { what: Admin::Session { what } } => people::session(context, what).await,
        Command::Admin { what: Admin::Role { what } } => people::role(context, what).await,
        Command::Admin { what: Admin::ServiceAccount { what } } => people::service_account(context, what).await,
        Command::Admin { what: Admin::Audit { what } } => people::audit(context, what).await,
        Command::Admin { what: Admin::Token { what } } => match what {
            Token::Create { name, scopes, limits, days } => {
                admin::create_token(context, &name, &scopes, limits, days).await
            }
            Token::Rotate { id, days, overlap_hours } => admin::rotate_token(context, &id, days, overlap_hours).await,
            Token::List => admin::list_tokens(context).await,
            Token::Revoke { id } => admin::revoke_token(context, &id).await,
        },
        Command::Admin { what: Admin::Webhook { what } } => match what {
            Webhook::List => webhooks::list(context).await,
            Webhook::Test { name } => webhooks::test(context, &name).await,
            Webhook::Enable { name } => webhooks::enable(context, &name).await,
            Webhook::Replay { name, delivery: Some(id), .. } => webhooks::replay_one(context, &name, &id).await,
            Webhook::Replay { name, after, .. } => webhooks::replay(context, &name, after.unwrap_or_default()).await,
        },
        Command::Admin { what: Admin::SetAside { what } } => match what {
            Aside::List => admin::list_set_aside(context).await,
            Aside::Retry { name } => admin::retry_set_aside(context, &name).await,
        },
        Command::Health { bind } => health::run(context, bind).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for words in [["rolecall", "--format", "json", "scan"], ["rolecall", "scan", "--format", "json"]] {
            assert_eq!(Cli::try_parse_from(words).unwrap().options.format, Some(Format::Json));
        }
    }
}
