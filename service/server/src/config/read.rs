//! The sections as they are written, and their problems.

use super::values::{DURATION, Secret, duration, positive};
use super::{
    AwsConfig, BaselinesConfig, DeclaredConfig, ListedAccount, RetentionConfig, ScheduleConfig, ServerConfig,
    TriageConfig,
};
use rolecall_collect::trails::Entry;
use rolecall_estate::FileProblem;
use rolecall_estate::assumption::Assumption;
use rolecall_iam::{AccountId, ArnError, RoleArn};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::ValueDeserializer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAws {
    role_name: Option<Spanned<String>>,
    pub(super) external_id: Option<Spanned<String>>,
    pub(super) session_name_prefix: Option<Spanned<String>>,
    profile: Option<String>,
    pub(super) region: Option<Spanned<String>>,
    pub(super) regions: Option<Vec<Spanned<String>>>,
    pub(super) concurrency: Option<Spanned<i64>>,
    concurrent_calls: Option<Spanned<i64>>,
    pub(super) call_timeout: Option<Spanned<String>>,
    listing_deadline: Option<Spanned<String>>,
    account_deadline: Option<Spanned<String>>,
    pub(super) run_deadline: Option<Spanned<String>>,
    attempts: Option<Spanned<i64>>,
    lookups_per_second: Option<Spanned<i64>>,
    trail_lookback_days: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) accounts: Vec<RawAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccount {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) role_arn: Option<Spanned<String>>,
    pub(super) external_id: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSchedule {
    enabled: Option<bool>,
    pub(super) cron: Option<Spanned<String>>,
    pub(super) timezone: Option<Spanned<String>>,
    jitter: Option<Spanned<String>>,
    events_cron: Option<Spanned<String>>,
    rescan_distance: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAssume {
    pub(super) scp: Option<Spanned<String>>,
    rcp: Option<Spanned<String>>,
    organization: Option<Spanned<String>>,
    addons: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeclared {
    pub(super) paths: Option<Vec<Spanned<String>>>,
    pub(super) account: Option<Spanned<String>>,
    pub(super) region: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicies {
    pub(super) dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTriage {
    approver_required: Option<bool>,
    due: Option<RawDue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDue {
    critical: Option<Spanned<i64>>,
    high: Option<Spanned<i64>>,
    medium: Option<Spanned<i64>>,
    low: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBaselines {
    signing_key_file: Option<PathBuf>,
    trusted_keys: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    bind: Option<Spanned<String>>,
    allowed_hosts: Option<Vec<Spanned<String>>>,
    requests_per_minute: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetention {
    sessions: Option<Spanned<String>>,
    session_calls: Option<Spanned<String>>,
    trail_days: Option<Spanned<String>>,
    runs: Option<Spanned<String>>,
    deliveries: Option<Spanned<String>>,
}

pub(super) struct Reader<'a> {
    pub(super) file: String,
    pub(super) text: &'a str,
    pub(super) problems: Vec<FileProblem>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, at: usize, field: &str, message: &str, remedy: &str) {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = message.trim().replace('\n', ", ");
        self.problems.push(FileProblem {
            file: self.file.clone(),
            line,
            field: field.to_owned(),
            message,
            remedy: remedy.to_owned(),
        });
    }

    pub(super) fn section<'i, T: Deserialize<'i>>(
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
    pub(super) fn parsed<T>(
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
    pub(super) fn number<T: TryFrom<i64> + PartialOrd + fmt::Display>(
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

    pub(super) fn aws(&mut self, raw: RawAws, aws: &mut AwsConfig) {
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

    /// The role by which something of AWS is reached that the hub's own principal may not reach.
    pub(super) fn entry(
        &mut self,
        section: &str,
        role_arn: Option<Spanned<String>>,
        id: Option<Spanned<String>>,
    ) -> Option<Entry> {
        if let (None, Some(id)) = (&role_arn, &id) {
            let remedy = "name the role that demands it in `role_arn`, or leave it out";
            let field = format!("{section}.external_id");
            self.problem(id.span().start, &field, "there is no role to send it for", remedy);
        }
        let (mut role, mut secret) = (None, None);
        let remedy = "write the ARN of a role that may do what this takes";
        self.parsed(&format!("{section}.role_arn"), role_arn, &mut role, remedy, |text| {
            text.parse::<RoleArn>().map(Some).map_err(|error: ArnError| error.to_string())
        });
        self.parsed(&format!("{section}.external_id"), id, &mut secret, EXTERNAL_ID, external_id);
        let external_id = secret.map(|secret| secret.reveal().to_owned());
        role.map(|role_arn| Entry { role_arn, external_id })
    }

    pub(super) fn assume(&mut self, raw: RawAssume) -> BTreeSet<Assumption> {
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
                    self.problem(value.span().start, &format!("assume.{name}"), &message.to_string(), remedy);
                }
            }
        }
        stated
    }

    pub(super) fn declared(&mut self, raw: RawDeclared, base: &Path) -> DeclaredConfig {
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

    pub(super) fn baselines(&mut self, raw: RawBaselines, base: &Path, baselines: &mut BaselinesConfig) {
        baselines.signing_key_file = raw.signing_key_file.map(|file| base.join(file));
        for key in raw.trusted_keys.into_iter().flatten() {
            match key.get_ref().parse() {
                Ok(key) => baselines.trusted_keys.push(key),
                Err(message) => {
                    let message: String = message;
                    let remedy = "write an Ed25519 public key: its PEM, or its 32 bytes in Base64";
                    self.problem(key.span().start, "baselines.trusted_keys", &message, remedy);
                }
            }
        }
    }

    pub(super) fn schedule(&mut self, raw: RawSchedule, schedule: &mut ScheduleConfig) {
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
        self.parsed(
            "schedule.events_cron",
            raw.events_cron,
            &mut schedule.events_cron,
            "write five fields: minute hour day month weekday",
            str::parse,
        );
        let distance = &mut schedule.rescan_distance;
        self.parsed("schedule.rescan_distance", raw.rescan_distance, distance, DURATION, duration);
    }

    pub(super) fn triage(&mut self, raw: RawTriage, triage: &mut TriageConfig) {
        if let Some(required) = raw.approver_required {
            triage.approver_required = required;
        }
        let Some(RawDue { critical, high, medium, low }) = raw.due else { return };
        let due = &mut triage.due;
        for (field, raw, place) in [
            ("triage.due.critical", critical, &mut due.critical),
            ("triage.due.high", high, &mut due.high),
            ("triage.due.medium", medium, &mut due.medium),
            ("triage.due.low", low, &mut due.low),
        ] {
            self.number(field, raw, place, 0..=3650, "; 0: never due");
        }
    }

    pub(super) fn server(&mut self, raw: RawServer, server: &mut ServerConfig) {
        self.parsed(
            "server.bind",
            raw.bind,
            &mut server.bind,
            "write an address and a port such as \"127.0.0.1:8080\"",
            |text| text.parse().map_err(|_| format!("`{text}` is not an address with a port")),
        );
        self.number(
            "server.requests_per_minute",
            raw.requests_per_minute,
            &mut server.requests_per_minute,
            0..=10_000_000,
            "; 0 is any number",
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

    pub(super) fn retention(&mut self, raw: RawRetention, retention: &mut RetentionConfig) {
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
        let deliveries = &mut retention.deliveries;
        self.parsed("retention.deliveries", raw.deliveries, deliveries, DURATION, |text| positive(duration(text)?));
    }
}

const ROLE_NAME: &str = "write 1 to 64 letters, digits and +=,.@-_";
pub(super) const EXTERNAL_ID: &str = "write 2 to 1224 letters, digits and _+=,.@:/-";
const PREFIX: &str = "write \"rolecall\", or \"rolecall-\" and more letters, digits and _+=,.@-: 27 at most, as the run's id \
                      follows and 64 is the limit";

pub(super) fn external_id(text: &str) -> Result<Option<Secret>, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    // The text itself may be meant to stay secret.
    if (2..=1224).contains(&text.len()) && text.bytes().all(fits) {
        Ok(Some(Secret::new(text.to_owned())))
    } else {
        Err("not an external id".to_owned())
    }
}
