//! What an operator decides: which accounts, when, which rules, who may look.
//!
//! Knows the shape of `rolecall.toml` and turns it, whole, into checked values with defaults; all
//! problems are reported at once, each with file, line, field and remedy. Refuses to know process
//! options (database, bind address overrides, log format: those are the command line's) and what
//! the values are used for.

pub mod auth;
mod trails;

use auth::AuthConfig;
use rolecall_collect::trails::TrailConfig;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, RoleArn};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, ValueDeserializer};

/// The name of imported files among the sources of trails: no configured source may have it.
pub const IMPORTED: &str = "import";

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

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Values of `Host` that are answered besides the loopback names, the bind address and the
    /// public URL's host.
    pub allowed_hosts: Vec<String>,
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
}

/// A cron expression of five fields.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
}

impl Cron {
    /// A quiet hour of every day.
    #[must_use]
    pub fn daily() -> Self {
        #[expect(clippy::expect_used, reason = "a constant, covered by the test of the example file")]
        let cron = "0 3 * * *".parse().expect("five fields");
        cron
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed expression.
    #[must_use]
    pub fn pattern(&self) -> &croner::Cron {
        &self.pattern
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Disallowed)
            .year(croner::parser::Year::Disallowed)
            .build();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let pattern = parser.parse(&text).map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
        match pattern.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH, true) {
            Ok(_) => Ok(Self { text, pattern }),
            Err(_) => Err(format!("`{text}` never comes")),
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
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
        Self { enabled: true, cron: Cron::daily(), timezone: chrono_tz::UTC, jitter: Duration::ZERO }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 8080)), allowed_hosts: Vec::new() }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { sessions: days(400), session_calls: days(30), trail_days: days(14), runs: days(400) }
    }
}

/// Something wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Dotted, such as `aws.call_timeout`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, message, remedy } = self;
        write!(f, "{file}:{line} {field}: {message}; {remedy}")
    }
}

impl Config {
    /// Reads a configuration's text. Relative paths in it are taken from `file`'s folder.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn read(file: &Path, text: &str) -> Result<Self, Vec<Problem>> {
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
                    let known =
                        ["aws", "trails", "schedule", "assume", "declared", "policies", "server", "retention", "auth"];
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAws {
    role_name: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
    session_name_prefix: Option<Spanned<String>>,
    profile: Option<String>,
    region: Option<Spanned<String>>,
    regions: Option<Vec<Spanned<String>>>,
    concurrency: Option<Spanned<i64>>,
    concurrent_calls: Option<Spanned<i64>>,
    call_timeout: Option<Spanned<String>>,
    listing_deadline: Option<Spanned<String>>,
    account_deadline: Option<Spanned<String>>,
    run_deadline: Option<Spanned<String>>,
    attempts: Option<Spanned<i64>>,
    lookups_per_second: Option<Spanned<i64>>,
    trail_lookback_days: Option<Spanned<i64>>,
    #[serde(default)]
    accounts: Vec<RawAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccount {
    id: Spanned<String>,
    name: Option<String>,
    role_arn: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchedule {
    enabled: Option<bool>,
    cron: Option<Spanned<String>>,
    timezone: Option<Spanned<String>>,
    jitter: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAssume {
    scp: Option<Spanned<String>>,
    rcp: Option<Spanned<String>>,
    organization: Option<Spanned<String>>,
    addons: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeclared {
    paths: Option<Vec<Spanned<String>>>,
    account: Option<Spanned<String>>,
    region: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicies {
    dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    bind: Option<Spanned<String>>,
    allowed_hosts: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetention {
    sessions: Option<Spanned<String>>,
    session_calls: Option<Spanned<String>>,
    trail_days: Option<Spanned<String>>,
    runs: Option<Spanned<String>>,
}

struct Reader<'a> {
    file: String,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, field: &str, message: &str, remedy: &str) {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = message.trim().replace('\n', ", ");
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            field: field.to_owned(),
            message,
            remedy: remedy.to_owned(),
        });
    }

    fn section<'i, T: Deserialize<'i>>(
        &mut self,
        name: &str,
        value: Spanned<toml::de::DeValue<'i>>,
        take: impl FnOnce(&mut Self, T),
    ) {
        let whole = value.span().start;
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(raw) => take(self, raw),
            Err(error) => {
                let at = error.span().map_or(whole, |span| span.start);
                let remedy = format!("see [{name}] in config.example.toml");
                self.problem(at, name, error.message(), &remedy);
            }
        }
    }

    /// Takes a value over into its place if it parses and is allowed.
    fn parsed<T>(
        &mut self,
        field: &str,
        raw: Option<Spanned<String>>,
        place: &mut T,
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) {
        let Some(raw) = raw else { return };
        match parse(raw.get_ref()) {
            Ok(value) => *place = value,
            Err(message) => self.problem(raw.span().start, field, &message, remedy),
        }
    }

    /// Takes a number over if it lies in the range.
    fn number<T: TryFrom<i64> + PartialOrd + fmt::Display>(
        &mut self,
        field: &str,
        raw: Option<Spanned<i64>>,
        place: &mut T,
        range: RangeInclusive<T>,
        why: &str,
    ) {
        let Some(raw) = raw else { return };
        match T::try_from(*raw.get_ref()).ok().filter(|number| range.contains(number)) {
            Some(number) => *place = number,
            None => {
                let remedy = format!("write a number from {} to {}{why}", range.start(), range.end());
                self.problem(raw.span().start, field, "out of range", &remedy);
            }
        }
    }

    fn aws(&mut self, raw: RawAws, aws: &mut AwsConfig) {
        self.parsed("aws.role_name", raw.role_name, &mut aws.role_name, ROLE_NAME, |text| {
            let fits = (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b));
            if fits { Ok(text.to_owned()) } else { Err(format!("`{text}` is not a role's name")) }
        });
        self.parsed("aws.external_id", raw.external_id, &mut aws.external_id, EXTERNAL_ID, external_id);
        self.parsed("aws.session_name_prefix", raw.session_name_prefix, &mut aws.session_name_prefix, PREFIX, |text| {
            let fits = (1..=27).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
            if !fits {
                return Err(format!("`{text}` cannot begin a session name"));
            }
            // The trust policy that ships lets in sessions whose names begin so, and no others.
            let let_in = format!("{text}-").starts_with("rolecall-");
            if let_in {
                Ok(text.to_owned())
            } else {
                Err(format!("the trust of policies/aws/member-trust.json refuses sessions named `{text}-…`"))
            }
        });
        for region in raw.regions.unwrap_or_default() {
            match region.get_ref().parse() {
                Ok(listed) if aws.regions.contains(&listed) => {
                    let message = format!("region {listed} is listed twice");
                    self.problem(region.span().start, "aws.regions", &message, "leave one of them out");
                }
                Ok(region) => aws.regions.push(region),
                Err(error) => {
                    let error: rolecall_estate::id::IdError = error;
                    self.problem(
                        region.span().start,
                        "aws.regions",
                        &error.to_string(),
                        "write region codes, or leave it out to use those that are enabled",
                    );
                }
            }
        }
        aws.profile = raw.profile;
        self.parsed("aws.region", raw.region, &mut aws.region, "write a region code such as \"eu-west-1\"", |text| {
            text.parse().map(Some).map_err(|error: rolecall_estate::id::IdError| error.to_string())
        });
        self.number("aws.concurrency", raw.concurrency, &mut aws.concurrency, 1..=256, "");
        self.number("aws.concurrent_calls", raw.concurrent_calls, &mut aws.concurrent_calls, 1..=256, "");
        self.parsed("aws.call_timeout", raw.call_timeout, &mut aws.call_timeout, DURATION, |text| {
            let timeout = duration(text)?;
            let fits = (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&timeout);
            if fits { Ok(timeout) } else { Err(format!("`{text}` is not between \"1s\" and \"5m\"")) }
        });
        for (field, raw, place) in [
            ("aws.listing_deadline", raw.listing_deadline, &mut aws.listing_deadline),
            ("aws.account_deadline", raw.account_deadline, &mut aws.account_deadline),
            ("aws.run_deadline", raw.run_deadline, &mut aws.run_deadline),
        ] {
            self.parsed(field, raw, place, DURATION, |text| {
                let length = duration(text)?;
                let fits = (Duration::from_secs(1)..=Duration::from_secs(7 * 86_400)).contains(&length);
                if fits { Ok(length) } else { Err(format!("`{text}` is not between \"1s\" and \"7d\"")) }
            });
        }
        self.number("aws.attempts", raw.attempts, &mut aws.attempts, 1..=20, "");
        self.number(
            "aws.lookups_per_second",
            raw.lookups_per_second,
            &mut aws.lookups_per_second,
            1..=1000,
            "; AWS allows 2",
        );
        let why = "; CloudTrail looks up no further back";
        self.number("aws.trail_lookback_days", raw.trail_lookback_days, &mut aws.trail_lookback_days, 1..=90, why);
        let mut seen = BTreeSet::new();
        for account in raw.accounts {
            let at = account.id.span().start;
            let id = match account.id.get_ref().parse::<AccountId>() {
                Ok(id) => id,
                Err(error) => {
                    self.problem(at, "aws.accounts.id", &error.to_string(), "write the 12 digits in quotes");
                    continue;
                }
            };
            if !seen.insert(id) {
                let message = format!("account {id} is listed twice");
                self.problem(at, "aws.accounts.id", &message, "leave one of them out");
            }
            let mut listed = ListedAccount { id, name: account.name, role_arn: None, external_id: None };
            let remedy = "write the ARN of a role of this account";
            self.parsed("aws.accounts.role_arn", account.role_arn, &mut listed.role_arn, remedy, |text| {
                let arn: RoleArn = text.parse().map_err(|error: rolecall_iam::ArnError| error.to_string())?;
                let own = arn.account_id() == id;
                if own { Ok(Some(arn)) } else { Err(format!("`{text}` is not in account {id}")) }
            });
            let place = &mut listed.external_id;
            self.parsed("aws.accounts.external_id", account.external_id, place, EXTERNAL_ID, external_id);
            aws.accounts.push(listed);
        }
    }

    fn assume(&mut self, raw: RawAssume) -> BTreeSet<Assumption> {
        let RawAssume { scp, rcp, organization, addons } = raw;
        let mut stated = BTreeSet::new();
        for (name, value) in [("scp", scp), ("rcp", rcp), ("organization", organization), ("addons", addons)] {
            let Some(value) = value else { continue };
            match format!("{name}={}", value.get_ref()).parse::<Assumption>() {
                Ok(assumption) => {
                    stated.insert(assumption);
                }
                Err(message) => {
                    let remedy = "write what the message names, or leave it out";
                    self.problem(value.span().start, &format!("assume.{name}"), &message, remedy);
                }
            }
        }
        stated
    }

    fn declared(&mut self, raw: RawDeclared, base: &Path) -> DeclaredConfig {
        let RawDeclared { paths, account, region } = raw;
        let mut declared = DeclaredConfig::default();
        for path in paths.iter().flatten().filter(|path| path.get_ref().is_empty()) {
            self.problem(path.span().start, "declared.paths", "it is empty", "name a file or a folder");
        }
        if paths.is_some() {
            declared.base = base.to_owned();
        }
        declared.paths = paths.map(|paths| paths.into_iter().map(|path| base.join(path.into_inner())).collect());
        self.parsed("declared.account", account, &mut declared.account, "write the 12 digits in quotes", |text| {
            text.parse::<AccountId>().map(Some).map_err(|error| error.to_string())
        });
        let remedy = "write a region code such as \"eu-west-1\"";
        self.parsed("declared.region", region, &mut declared.region, remedy, |text| {
            text.parse().map(Some).map_err(|error: rolecall_estate::id::IdError| error.to_string())
        });
        declared
    }

    fn schedule(&mut self, raw: RawSchedule, schedule: &mut ScheduleConfig) {
        if let Some(enabled) = raw.enabled {
            schedule.enabled = enabled;
        }
        self.parsed(
            "schedule.cron",
            raw.cron,
            &mut schedule.cron,
            "write five fields: minute hour day month weekday",
            str::parse,
        );
        self.parsed(
            "schedule.timezone",
            raw.timezone,
            &mut schedule.timezone,
            "write an IANA name such as \"Europe/London\"",
            |text| text.parse().map_err(|_| format!("`{text}` is not a time zone")),
        );
        self.parsed("schedule.jitter", raw.jitter, &mut schedule.jitter, DURATION, duration);
    }

    fn server(&mut self, raw: RawServer, server: &mut ServerConfig) {
        self.parsed(
            "server.bind",
            raw.bind,
            &mut server.bind,
            "write an address and a port such as \"127.0.0.1:8080\"",
            |text| text.parse().map_err(|_| format!("`{text}` is not an address with a port")),
        );
        for host in raw.allowed_hosts.unwrap_or_default() {
            let text = host.get_ref();
            if text.is_empty() || text.contains(['/', ' ', '*']) {
                self.problem(
                    host.span().start,
                    "server.allowed_hosts",
                    &format!("`{text}` is not a host"),
                    "write a host name, with its port where it is not the scheme's own",
                );
            } else {
                server.allowed_hosts.push(text.to_ascii_lowercase());
            }
        }
    }

    fn retention(&mut self, raw: RawRetention, retention: &mut RetentionConfig) {
        self.parsed("retention.sessions", raw.sessions, &mut retention.sessions, DURATION, |text| {
            positive(duration(text)?)
        });
        self.parsed("retention.session_calls", raw.session_calls, &mut retention.session_calls, DURATION, |text| {
            positive(duration(text)?)
        });
        self.parsed("retention.trail_days", raw.trail_days, &mut retention.trail_days, DURATION, |text| {
            positive(duration(text)?)
        });
        self.parsed("retention.runs", raw.runs, &mut retention.runs, DURATION, |text| positive(duration(text)?));
    }
}

const ROLE_NAME: &str = "write 1 to 64 letters, digits and +=,.@-_";
const EXTERNAL_ID: &str = "write 2 to 1224 letters, digits and _+=,.@:/-";
const PREFIX: &str = "write \"rolecall\", or \"rolecall-\" and more letters, digits and _+=,.@-: 27 at most, as the run's id \
                      follows and 64 is the limit";
const DURATION: &str = "write a number with its unit: \"500ms\", \"30s\", \"5m\", \"12h\" or \"90d\"";

fn external_id(text: &str) -> Result<Option<Secret>, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    // The text itself may be meant to stay secret.
    if (2..=1224).contains(&text.len()) && text.bytes().all(fits) {
        Ok(Some(Secret::new(text.to_owned())))
    } else {
        Err("not an external id".to_owned())
    }
}

fn positive(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() { Err("nothing would be left of it".to_owned()) } else { Ok(duration) }
}

/// Reads `500ms`, `30s`, `5m`, `12h`, `90d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // A century is more than any clock of ours is asked to add.
    number.checked_mul(millis).filter(|ms| *ms <= 3_155_760_000_000).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../config.example.toml");

    fn problems(text: &str) -> Vec<String> {
        Config::read(Path::new("rolecall.toml"), text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_example_states_every_default() {
        assert_eq!(Config::read(Path::new("config.example.toml"), EXAMPLE).unwrap(), Config::default());
    }

    #[test]
    fn what_is_nested_without_end_is_a_problem() {
        for levels in [90, 25_000, 200_000] {
            let texts = [
                format!("[aws]\nregions = {}{}", "[".repeat(levels), "]".repeat(levels)),
                format!("[aws]\nregions = {}", "[".repeat(levels)),
                format!("x = {}1{}", "{a=".repeat(levels), "}".repeat(levels)),
                format!("{}x = 1", "a.".repeat(levels)),
                format!("[{}x]", "a.".repeat(levels)),
                format!("[[{}x]]\n{}y = 1", "a.".repeat(levels), "b.".repeat(levels)),
                // Each line is shallow.
                (0..levels.min(2_000)).map(|n| format!("[{}x]\n", "a.".repeat(n.min(70)))).collect(),
            ];
            for text in texts {
                assert!(!problems(&text).is_empty(), "{levels}");
            }
        }
    }

    #[test]
    fn every_commented_option_of_the_example_is_one() {
        let is_option = |line: &&str| {
            line.starts_with("# ") && (line.contains(" = ") || line.contains("[[") || *line == "# [declared]")
        };
        let text: String = EXAMPLE
            .lines()
            .map(|line| if is_option(&line) { line.trim_start_matches("# ") } else { line })
            .map(|line| format!("{line}\n"))
            .collect();
        // `auth` has options that exclude each other; its own tests read them.
        let text = text.split("[auth]").next().unwrap();
        let config = Config::read(Path::new("/etc/rolecall/rolecall.toml"), text).unwrap();
        assert_eq!(config.aws.accounts.len(), 1);
        assert_eq!(config.trails.len(), 3);
        assert_eq!(config.policies.dir.as_deref(), Some(Path::new("/etc/rolecall/policies")));
        assert!(config.aws.external_id.is_some());
        assert_eq!(config.declared.paths, Some(vec!["/etc/rolecall/infra/".into()]));
        assert!(config.declared.account.is_some() && config.declared.region.is_some());
    }

    #[test]
    fn all_problems_are_reported_at_once_with_line_field_and_remedy() {
        let found = problems(
            "[aws]\ncall_timeout = \"soon\"\nconcurrency = 0\nregions = [\"eu-west-1\", \"Ireland\"]\n\n\
             [[aws.accounts]]\nid = \"12\"\n\n[schedule]\ncron = \"0 0 3 * * *\"\ntimezone = \"Mars\"\n\n\
             [server]\nbint = \"127.0.0.1:1\"\n\n[polcies]\n",
        );
        let expected = [
            ("rolecall.toml:2 aws.call_timeout: `soon` is not a length of time; ", "\"30s\""),
            ("rolecall.toml:3 aws.concurrency: out of range; ", "1 to 256"),
            ("rolecall.toml:4 aws.regions: `Ireland` ", "leave it out"),
            ("rolecall.toml:7 aws.accounts.id: ", "12 digits"),
            ("rolecall.toml:10 schedule.cron: ", "five fields"),
            ("rolecall.toml:11 schedule.timezone: `Mars` is not a time zone; ", "Europe/London"),
            ("rolecall.toml:14 server: unknown field `bint`", "config.example.toml"),
            ("rolecall.toml:16 polcies: no such section; ", "[policies]"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (line, (start, remedy)) in found.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(remedy), "{line}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_says_where() {
        let found = problems("[aws]\nrole_name = RolecallReadOnly\n");
        assert!(found.iter().any(|line| line.starts_with("rolecall.toml:2 ")), "{found:?}");
    }

    #[test]
    fn an_account_listed_twice_is_refused() {
        let found = problems("[[aws.accounts]]\nid = \"111122223333\"\n[[aws.accounts]]\nid = \"111122223333\"\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("rolecall.toml:4") && found[0].contains("twice"), "{found:?}");
    }

    #[test]
    fn what_aws_or_another_source_would_refuse_is_refused_here() {
        let cases = [
            ("[aws]\nsession_name_prefix = \"audit\"\n", "aws.session_name_prefix", "\"rolecall\""),
            ("[aws]\nregions = [\"eu-west-1\", \"eu-west-1\"]\n", "aws.regions", "leave one of them out"),
            ("[aws]\nrun_deadline = \"8d\"\n", "aws.run_deadline", "between"),
            ("[[trails]]\nname = \"import\"\nkind = \"lookup\"\n", "trails.name", "another name"),
        ];
        for (text, field, remedy) in cases {
            let found = problems(text);
            assert!(found.len() == 1 && found[0].contains(field) && found[0].contains(remedy), "{text}: {found:?}");
        }
        for prefix in ["rolecall", "rolecall-prod"] {
            let text = format!("[aws]\nsession_name_prefix = \"{prefix}\"\n");
            assert!(Config::read(Path::new("x"), &text).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn what_is_assumed_is_one_of_a_closed_set() {
        let read = |text: &str| Config::read(Path::new("rolecall.toml"), text);
        let stated = read("[assume]\nscp = \"none\"\norganization = \"files\"\n").unwrap().assume;
        assert_eq!(stated, [Assumption::NoScps, Assumption::OrganizationIsFiles].into());
        let found = problems("[assume]\nscp = \"all\"\nmfa = \"none\"\n");
        assert!(found[0].contains("unknown field `mfa`"), "{found:?}");
        let found = problems("[assume]\nscp = \"all\"\n");
        assert!(
            found[0].starts_with("rolecall.toml:2 assume.scp: `scp=all`") && found[0].contains("scp=none"),
            "{found:?}"
        );
    }

    #[test]
    fn a_day_that_never_comes_is_refused() {
        assert!("0 0 29 2 *".parse::<Cron>().is_ok());
        assert!("0 0 30 2 *".parse::<Cron>().unwrap_err().contains("never"));
    }

    #[test]
    fn lengths_of_time() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("0s", 0), ("5m", 300_000), ("12h", 43_200_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "5 m", "-5m", "5w", "1.5h", "99999999999999999999d", "99999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config = Config::read(Path::new("x"), "[aws]\nexternal_id = \"hunter-2\"\n").unwrap();
        assert!(!format!("{config:?}").contains("hunter"));
    }
}
