//! The command line.
//!
//! Knows words, options and exit codes: 0 done, 1 findings at or over `--fail-on`, 2 could not do
//! it. An option that a command cannot honour is refused, never ignored. Refuses to know how
//! anything is done: each command is a function of a file beside this one.

use super::{
    Context, Format, address, admin, baselines, compare, declared, demo, doctor, export, global_options, health, help,
    import, lists, people, policies, report, scan, serve, simulate, webhooks, what_if, wrong_value,
};
use crate::audit::rules::OWNERS;
use crate::config::Config;
use crate::database;
use crate::error::Error;
use crate::role::PersonRole;
use crate::telemetry::{self, LogFormat};
use crate::terminal;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
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
        #[arg(long, value_name = "ADDR:PORT", conflicts_with = "once", value_parser = address::socket)]
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
        #[arg(long, value_name = "ADDR:PORT", env = "ROLECALL_BIND", value_parser = address::socket)]
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
    #[command(flatten)]
    List(lists::Asked),
    /// Reports for auditors
    Report {
        #[command(subcommand)]
        what: Report,
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
    /// Print the man page, or write one for each command into a folder
    Man {
        /// The folder, such as /usr/local/share/man/man1; made where it is missing
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Sign-in links, sessions, roles, API tokens and the audit log
    Admin {
        #[command(subcommand)]
        what: Admin,
    },
    /// Check whether a running `serve` is ready
    Health {
        /// Where it listens, instead of the configuration's server.bind
        #[arg(long, value_name = "ADDR:PORT", env = "ROLECALL_BIND", value_parser = address::socket)]
        bind: Option<SocketAddr>,
    },
}

#[derive(Debug, Subcommand)]
enum Report {
    /// Who could assume a role and who did, or which roles a workload could get and used, in a period
    #[command(after_help = "With --format json the output is what the digest is over: `| sha256sum` gives the digest \
that the text and the printed page bear (docs/reports.md).")]
    Access(Box<report::Args>),
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
        #[arg(long, value_name = "ADDR:PORT", env = "ROLECALL_BIND", value_parser = address::socket)]
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

impl Options {
    /// Ownership rules beside the private database hold where the configuration has none: so what the demo decided
    /// stays when its folder is served later.
    fn name_owners(&self, config: &mut Config) {
        let has_own =
            config.owners.file.is_some() || config.policies.dir.as_ref().is_some_and(|dir| dir.join(OWNERS).is_file());
        let beside = self.data_dir.as_ref().map(|dir| dir.join(OWNERS)).filter(|file| file.is_file());
        if !has_own && self.database_url.is_none() {
            config.owners.file = beside;
        }
    }
}

/// Runs the process's command line to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let ran = command().try_get_matches().map_err(|error| refused(&error)).and_then(|matches| {
        let taken = global_options::taken(&matches)?;
        run(Cli::from_arg_matches(&matches).map_err(|error| refused(&error))?, taken.formats)
    });
    match ran {
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

/// What a wrong value of an option is told by; help, the version and other faults of the words end the process.
fn refused(error: &clap::Error) -> Error {
    wrong_value::of(error).unwrap_or_else(|| error.exit())
}

/// The command line, with the options that each command takes.
fn command() -> clap::Command {
    global_options::fit(Cli::command())
}

fn run(cli: Cli, formats: &[Format]) -> Result<ExitCode, Error> {
    let Cli { options, command } = cli;
    let quiet = if matches!(command, Command::Serve { .. }) { "info" } else { "warn" };
    let filter = options.log.as_deref().unwrap_or(quiet);
    telemetry::start(filter, options.log_format).map_err(|why| Error::Usage {
        what: format!("`--log {filter}` is not a filter: {why}"),
        remedy: "write a level such as `info`, or `rolecall=debug`".to_owned(),
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(dispatch(options, command, formats))
}

async fn dispatch(options: Options, command: Command, formats: &[Format]) -> Result<ExitCode, Error> {
    // Refused before anything is started.
    let format = match &command {
        Command::Simulate(args) if !args.cases.is_empty() => options.format(&[Format::Ndjson])?,
        Command::Compare(args) if !args.cases.is_empty() => options.format(&[Format::Ndjson])?,
        Command::Simulate(_) | Command::Compare(_) => options.format(&[Format::Text, Format::Json])?,
        _ => options.format(formats)?,
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
        Command::Completions { shell } => return help::completions(*shell, self::command()),
        Command::Man { out } => return help::man(out.as_deref(), self::command()),
        Command::Openapi => return admin::openapi(),
        Command::Policies { what: Policies::Schema, .. } => return policies::schema(),
        _ => {}
    }
    let mut config = options.read_config()?;
    options.name_owners(&mut config);
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
        Command::List(asked) => lists::run(context, asked).await,
        Command::Report { what: Report::Access(args) } => report::access(context, *args).await,
        Command::Policies { what, dir } => {
            let dir = dir.or_else(|| context.config.policies.dir.clone());
            match what {
                Policies::Check => {
                    policies::check(format, dir.as_deref(), &context.config.baselines, &context.config.owners)
                }
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
        Command::Completions { shell } => help::completions(shell, self::command()),
        Command::Man { out } => help::man(out.as_deref(), self::command()),
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
        command().debug_assert();
    }

    /// What is offered is taken, and what is not is refused, before the command and after it.
    #[test]
    fn options_that_mean_nothing_for_a_command_are_refused() {
        let taken = |words: &[&str]| {
            let matches = command().try_get_matches_from(words).unwrap();
            global_options::taken(&matches).map(|_| ()).map_err(|error| error.to_string())
        };
        for words in [
            &["rolecall", "openapi", "--data-dir", "x"][..],
            &["rolecall", "--data-dir", "x", "openapi"],
            &["rolecall", "policies", "--config", "x", "schema"],
            &["rolecall", "policies", "check", "--pg-bindir", "x"],
            &["rolecall", "completions", "bash", "--log", "info"],
            &["rolecall", "health", "--database-url", "x"],
        ] {
            let refused = taken(words).unwrap_err();
            assert!(refused.contains("means nothing for `rolecall "), "{words:?}: {refused}");
        }
        for words in [
            &["rolecall", "--data-dir", "x", "--format", "json", "findings", "--log", "info"][..],
            &["rolecall", "policies", "--format", "sarif", "check", "--config", "x"],
            &["rolecall", "admin", "token", "list", "--data-dir", "x"],
        ] {
            assert_eq!(taken(words), Ok(()), "{words:?}");
        }
    }

    #[test]
    fn the_help_of_a_command_begins_with_its_own_options() {
        let help = |words: &[&str]| {
            let words = ["rolecall"].iter().chain(words).chain(&["--help"]);
            let shown = command().try_get_matches_from(words).unwrap_err();
            shown.to_string()
        };
        for (words, offered, not_offered) in [
            (&["scan"][..], &["--fail-on", "Global options", "--data-dir", "json"][..], &["sarif", "ndjson"][..]),
            (&["openapi"], &["--help"], &["Global options", "--data-dir", "--format", "--log"]),
            (&["policies", "test"], &["--dir", "--config"], &["--data-dir", "--database-url", "sarif"]),
            (&["export", "findings"], &["--severity", "asff", "--data-dir"], &["sarif"]),
            (&["findings"], &["--severity", "--limit", "[FINDING]", "json"], &["sarif", "csv"]),
        ] {
            let text = help(words);
            for part in offered {
                assert!(text.contains(part), "{words:?} lacks {part}:\n{text}");
            }
            for part in not_offered {
                assert!(!text.contains(part), "{words:?} offers {part}:\n{text}");
            }
            if let Some((own, _)) = text.split_once("Global options") {
                assert!(own.contains("Options:") && !own.contains("--data-dir"), "{text}");
            }
        }
    }

    #[test]
    fn ownership_rules_beside_the_private_database_hold_where_no_others_are_named() {
        let folder = std::env::temp_dir().join(format!("rolecall-owners-{}", uuid::Uuid::new_v4()));
        let (demo, policies) = (folder.join("demo"), folder.join("policies"));
        for dir in [&demo, &policies] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::write(demo.join(OWNERS), "").unwrap();
        let named = |data_dir: &Path, config: &Config| {
            let words = [Path::new("rolecall"), Path::new("--data-dir"), data_dir, Path::new("serve")];
            let mut config = config.clone();
            let mut options = Cli::try_parse_from(words).unwrap().options;
            options.database_url = None;
            options.name_owners(&mut config);
            config.owners.file
        };
        let mut config = Config::default();
        assert_eq!(named(&demo, &config), Some(demo.join(OWNERS)));
        assert_eq!(named(&folder, &config), None);
        config.policies.dir = Some(policies.clone());
        assert_eq!(named(&demo, &config), Some(demo.join(OWNERS)));
        std::fs::write(policies.join(OWNERS), "").unwrap();
        assert_eq!(named(&demo, &config), None, "those of the folder of policies hold");
        config.owners.file = Some(folder.join("own.yaml"));
        assert_eq!(named(&demo, &config), Some(folder.join("own.yaml")));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_wrong_value_is_told_in_one_line_with_what_is_possible() {
        for (words, said) in [
            (
                &["export", "findings", "--format", "xml"][..],
                "`--format xml`: not one of ndjson, csv, ocsf, asff; choose one of these",
            ),
            (&["scan", "--format", "jsn"], "`--format jsn`: not one of text, json; did you mean `json`?"),
            (&["completions", "tcsh"], "`tcsh` for <SHELL>: not one of bash, "),
            (
                &["findings", "--severity", "hihg"],
                "`--severity hihg`: `hihg` is not one of critical, high, medium, low, info; did you mean `high`?; see",
            ),
            (&["scan", "--fail-on", "worst"], "choose one of critical, high, medium, low, info; see `--help`"),
            (&["serve", "--bind", "here"], "`--bind here`: "),
        ] {
            let error = command().try_get_matches_from(["rolecall"].iter().chain(words)).unwrap_err();
            let lines = wrong_value::of(&error).unwrap().lines();
            assert!(lines.len() == 1 && !lines[0].contains('\n') && lines[0].contains(said), "{words:?}: {lines:?}");
        }
        let unknown = command().try_get_matches_from(["rolecall", "scan", "--colour"]).unwrap_err();
        assert!(wrong_value::of(&unknown).is_none(), "{unknown}");
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for words in [["rolecall", "--format", "json", "scan"], ["rolecall", "scan", "--format", "json"]] {
            assert_eq!(Cli::try_parse_from(words).unwrap().options.format, Some(Format::Json));
        }
    }
}
