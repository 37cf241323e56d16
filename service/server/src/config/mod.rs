//! What an operator decides: which accounts, when, which rules, who may look.
//!
//! Knows the shape of `rolecall.toml` and turns it, whole, into checked values with defaults; all
//! problems are reported at once, each with file, line, field and remedy. Refuses to know process
//! options (database, bind address overrides, log format: those are the command line's) and what
//! the values are used for.

pub mod auth;
pub mod outgoing;
pub mod owners;
mod read;
mod trails;
mod values;

use crate::signature::PublicKey;
use auth::AuthConfig;
use outgoing::OutgoingConfig;
use owners::OwnersConfig;
use read::{RawPolicies, Reader};
use rolecall_audit::finding::triage::due::DueDays;
use rolecall_collect::trails::TrailConfig;
use rolecall_estate::FileProblem;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, RoleArn};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;
pub use values::{Cron, Secret};

/// The name of imported files among the sources of trails: no configured source may have it.
pub const IMPORTED: &str = "import";

/// The folder of baselines in the folder of policies.
pub const BASELINES: &str = "baselines";

/// The configuration, checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Which accounts are audited, and how they are entered.
    pub aws: AwsConfig,
    /// Where CloudTrail's files are read from. The places of those of kind "lookup" are not the
    /// configuration's to know.
    pub trails: Vec<TrailConfig>,
    /// When audits run by themselves.
    pub schedule: ScheduleConfig,
    /// What is stated where nobody provides it.
    pub assume: BTreeSet<Assumption>,
    /// Where infrastructure code is.
    pub declared: DeclaredConfig,
    /// Where an operator's own rules, bindings and exceptions are.
    pub policies: PoliciesConfig,
    /// What decides whose findings and associations are.
    pub owners: OwnersConfig,
    /// How findings are worked on.
    pub triage: TriageConfig,
    /// Where files of baselines are, and with which keys baselines are signed and verified.
    pub baselines: BaselinesConfig,
    /// Who is told what happens.
    pub outgoing: OutgoingConfig,
    /// Where the dashboard listens.
    pub server: ServerConfig,
    /// How long what grows is kept.
    pub retention: RetentionConfig,
    /// Who may look.
    pub auth: AuthConfig,
}

/// `[aws]`
#[derive(Debug, Clone, PartialEq)]
pub struct AwsConfig {
    /// The role that is assumed in every account but the hub's own.
    pub role_name: String,
    /// Sent with every `AssumeRole`.
    pub external_id: Option<Secret>,
    /// Session names are this, a hyphen and the run's id.
    pub session_name_prefix: String,
    /// A profile of the AWS configuration files, over `AWS_PROFILE`.
    pub profile: Option<String>,
    /// The hub's region, over `AWS_REGION` and the profile's.
    pub region: Option<Region>,
    /// Regions to look at; empty: those that each account has enabled.
    pub regions: Vec<Region>,
    /// Accounts in work at the same time.
    pub concurrency: usize,
    /// Calls under way at the same time in each account.
    pub concurrent_calls: usize,
    /// For one attempt at a call.
    pub call_timeout: Duration,
    /// For one listing, all its pages; past it, it is shown as not seen.
    pub listing_deadline: Duration,
    /// For one account.
    pub account_deadline: Duration,
    /// For the accounts of one run together.
    pub run_deadline: Duration,
    /// Attempts at a call before it is given up and becomes a gap.
    pub attempts: u32,
    /// `LookupEvents` requests a second for each account and region.
    pub lookups_per_second: u32,
    /// How far back AssumeRole events are read and judged; CloudTrail keeps 90 days.
    pub trail_lookback_days: u16,
    /// Listed accounts; empty: those of the organisation.
    pub accounts: Vec<ListedAccount>,
}

/// An account of `[[aws.accounts]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// The account.
    pub id: AccountId,
    /// How people call it.
    pub name: Option<String>,
    /// The role to assume there, where it is not the usual one.
    pub role_arn: Option<RoleArn>,
    /// The external id to send, where it is not the usual one.
    pub external_id: Option<Secret>,
}

/// `[schedule]`
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleConfig {
    /// Whether `serve` starts audits by itself.
    pub enabled: bool,
    /// When an audit starts.
    pub cron: Cron,
    /// The zone that the cron expression speaks of, daylight saving included.
    pub timezone: chrono_tz::Tz,
    /// A start is put off by up to this, evenly spread.
    pub jitter: Duration,
    /// When the queues of trails are read between scans.
    pub events_cron: Cron,
    /// After a scan of an account, no call starts another one of it for so long.
    pub rescan_distance: Duration,
}

/// `[declared]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeclaredConfig {
    /// Files and folders, read at every scan; `None`: what was read last stands.
    pub paths: Option<Vec<PathBuf>>,
    /// The folder from which files below it are named: the configuration's. Empty: they are named as they are given.
    pub base: PathBuf,
    /// The account of what does not name one.
    pub account: Option<AccountId>,
    /// The region of what does not name one.
    pub region: Option<Region>,
}

/// `[policies]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoliciesConfig {
    /// A folder with `custom/`, `bindings/` and `exceptions/`, added to the built-in rules.
    pub dir: Option<PathBuf>,
}

/// `[triage]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TriageConfig {
    /// Whether a suppression holds only once another person than who asked for it approved it.
    pub approver_required: bool,
    /// Until when findings should be mended.
    pub due: DueDays,
}

/// `[baselines]`, and the folder of the files, which is `[policies]`'s.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaselinesConfig {
    /// `baselines/` in the folder of policies; `None`: no files are read.
    pub folder: Option<PathBuf>,
    /// The private key that baselines are signed with, in PEM; `None`: they are not signed.
    pub signing_key_file: Option<PathBuf>,
    /// The keys whose signatures count in files; empty: files count without a signature, too.
    pub trusted_keys: Vec<PublicKey>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Values of `Host` that are answered besides the loopback names, the bind address and the
    /// public URL's host.
    pub allowed_hosts: Vec<String>,
    /// Requests to the API that one credential has in a minute; 0: any number.
    pub requests_per_minute: u32,
}

/// `[retention]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Sessions, and what they used, older than this are dropped.
    pub sessions: Duration,
    /// Calls of a session older than this are kept by role and association only.
    pub session_calls: Duration,
    /// A day of a trail to which nothing was added for this long no longer tells its events apart.
    pub trail_days: Duration,
    /// Runs and ended jobs older than this are dropped.
    pub runs: Duration,
    /// Deliveries of webhooks that ended longer ago are dropped.
    pub deliveries: Duration,
}

impl Default for AwsConfig {
    fn default() -> Self {
        Self {
            role_name: "RolecallReadOnly".to_owned(),
            external_id: None,
            session_name_prefix: "rolecall".to_owned(),
            profile: None,
            region: None,
            regions: Vec::new(),
            concurrency: 8,
            concurrent_calls: 16,
            call_timeout: Duration::from_secs(20),
            listing_deadline: Duration::from_secs(15 * 60),
            account_deadline: Duration::from_secs(60 * 60),
            run_deadline: Duration::from_secs(6 * 60 * 60),
            attempts: 5,
            lookups_per_second: 2,
            trail_lookback_days: 7,
            accounts: Vec::new(),
        }
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            cron: Cron::daily(),
            timezone: chrono_tz::UTC,
            jitter: Duration::ZERO,
            events_cron: Cron::five_minutes(),
            rescan_distance: Duration::from_secs(15 * 60),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 8080)), allowed_hosts: Vec::new(), requests_per_minute: 6_000 }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            sessions: days(400),
            session_calls: days(30),
            trail_days: days(14),
            runs: days(400),
            deliveries: days(30),
        }
    }
}

impl Config {
    /// Reads a configuration's text. Relative paths in it are taken from `file`'s folder.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<FileProblem>> {
        let mut reader = Reader { file: file.display().to_string(), text, problems: Vec::new() };
        let (table, syntax) = DeTable::parse_recoverable(text);
        if !syntax.is_empty() {
            for error in syntax {
                reader.problem(
                    error.span().map_or(0, |span| span.start),
                    "(syntax)",
                    error.message(),
                    "see https://toml.io",
                );
            }
            return Err(reader.problems);
        }
        let mut config = Self::default();
        for (name, section) in table.into_inner() {
            let at = name.span().start;
            match name.get_ref().as_ref() {
                "aws" => reader.section("aws", section, |reader, raw| reader.aws(raw, &mut config.aws)),
                "trails" => {
                    reader.section("trails", section, |reader, raw| config.trails = reader.trails(raw));
                }
                "schedule" => {
                    reader.section("schedule", section, |reader, raw| reader.schedule(raw, &mut config.schedule));
                }
                "assume" => reader.section("assume", section, |reader, raw| config.assume = reader.assume(raw)),
                "declared" => reader.section("declared", section, |reader, raw| {
                    let base = file.parent().unwrap_or_else(|| Path::new(""));
                    config.declared = reader.declared(raw, base);
                }),
                "policies" => reader.section("policies", section, |_, raw: RawPolicies| {
                    let base = file.parent().unwrap_or_else(|| Path::new(""));
                    config.policies.dir = raw.dir.map(|dir| base.join(dir));
                    config.baselines.folder = config.policies.dir.as_ref().map(|dir| dir.join(BASELINES));
                }),
                "baselines" => reader.section("baselines", section, |reader, raw| {
                    let base = file.parent().unwrap_or_else(|| Path::new(""));
                    reader.baselines(raw, base, &mut config.baselines);
                }),
                "owners" => reader.section("owners", section, |reader, raw| {
                    let base = file.parent().unwrap_or_else(|| Path::new(""));
                    config.owners = reader.owners(raw, base);
                }),
                "triage" => reader.section("triage", section, |reader, raw| reader.triage(raw, &mut config.triage)),
                "outgoing" => reader.section("outgoing", section, |reader, raw| {
                    let base = file.parent().unwrap_or_else(|| Path::new(""));
                    config.outgoing = reader.outgoing(raw, base);
                }),
                "server" => reader.section("server", section, |reader, raw| reader.server(raw, &mut config.server)),
                "retention" => {
                    reader.section("retention", section, |reader, raw| reader.retention(raw, &mut config.retention));
                }
                "auth" => reader.section("auth", section, |reader, raw: AuthConfig| {
                    for message in raw.check().err().unwrap_or_default() {
                        reader.problem(at, "auth", &message, "see [auth] in config.example.toml");
                    }
                    config.auth = raw;
                }),
                other => {
                    let known = [
                        "aws",
                        "trails",
                        "schedule",
                        "assume",
                        "declared",
                        "policies",
                        "baselines",
                        "owners",
                        "triage",
                        "outgoing",
                        "server",
                        "retention",
                        "auth",
                    ];
                    let nearest =
                        known.into_iter().max_by(|a, b| strsim::jaro(a, other).total_cmp(&strsim::jaro(b, other)));
                    let remedy = format!("the nearest section is [{}]", nearest.unwrap_or("aws"));
                    reader.problem(at, other, "no such section", &remedy);
                }
            }
        }
        reader.problems.sort_by_key(|problem| problem.line);
        if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
    }
}

#[cfg(test)]
mod tests;
