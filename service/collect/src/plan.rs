//! What to look at, and how hard: the settings of one scan, checked before the first call.
//!
//! Refuses to know where the settings came from.

use aws_credential_types::Credentials;
use chrono::TimeDelta;
use rolecall_estate::Account;
use rolecall_estate::id::{Region, SessionName};
use rolecall_iam::{AccountId, RoleArn};
use std::collections::BTreeSet;
use std::time::Duration;

/// Whose credentials begin the scan.
#[derive(Debug, Clone)]
pub enum Hub {
    /// Those of the SDK's usual environment: variables, profiles, SSO, containers, instances.
    /// `AWS_ENDPOINT_URL` and `AWS_REGION` count here too.
    Environment {
        /// A profile of the AWS configuration files, over `AWS_PROFILE`.
        profile: Option<String>,
        /// The hub's region, over `AWS_REGION` and the profile's.
        region: Option<Region>,
        /// One endpoint for every service, over `AWS_ENDPOINT_URL`.
        endpoint_url: Option<String>,
    },
    /// These keys, and nothing of the environment.
    Keys(Keys),
}

/// Fixed credentials.
#[derive(Debug, Clone)]
pub struct Keys {
    /// One endpoint for every service; `None`: AWS's own.
    pub endpoint_url: Option<String>,
    /// The hub's region.
    pub region: Region,
    /// The keys; their secret parts do not show in debug output.
    pub credentials: Credentials,
}

impl Default for Hub {
    fn default() -> Self {
        Self::Environment { profile: None, region: None, endpoint_url: None }
    }
}

impl Hub {
    /// Fixed keys against one endpoint, as a stand-in for AWS wants them.
    #[must_use]
    pub fn keys(endpoint_url: &str, region: Region, access_key_id: &str, secret_access_key: &str) -> Self {
        Self::Keys(Keys {
            endpoint_url: Some(endpoint_url.to_owned()),
            region,
            credentials: Credentials::new(access_key_id, secret_access_key, None, None, "rolecall"),
        })
    }
}

/// An account named by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The account.
    pub account_id: AccountId,
    /// What people call it.
    pub name: Option<String>,
    /// The role to assume there, where it is not the usual one.
    pub role_arn: Option<RoleArn>,
    /// The external id to send, where it is not the usual one.
    pub external_id: Option<String>,
}

/// Which accounts to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Accounts {
    /// All active accounts of the hub's organisation.
    #[default]
    Organization,
    /// These, and no others.
    Listed(Vec<Target>),
    /// The hub's own account.
    HubOnly,
}

/// Which regions to look at in each account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Regions {
    /// Those that are enabled in the account.
    #[default]
    Found,
    /// These, and no others.
    Listed(Vec<Region>),
}

/// The settings of a scan, before they are checked. `Default` is the whole organisation by the
/// usual role.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose credentials begin the scan.
    pub hub: Hub,
    /// Which accounts.
    pub accounts: Accounts,
    /// Of those, only these; `None`: all of them. What is not among them stays as it was.
    pub only: Option<BTreeSet<AccountId>>,
    /// Accounts seen in earlier looks: still looked at when the organisation's list is refused.
    pub known_accounts: Vec<Account>,
    /// The role to assume in each account; a path may precede the name.
    pub role_name: String,
    /// The external id to send with it.
    pub external_id: Option<String>,
    /// The role session name, such as `rolecall-` and the run's id.
    pub session_name: String,
    /// Which regions.
    pub regions: Regions,
    /// Accounts looked at side by side, 1 to 256.
    pub max_concurrent_accounts: usize,
    /// Calls under way per account, 1 to 256.
    pub max_concurrent_calls: usize,
    /// How long one attempt at a call may take, 1 s to 5 min.
    pub call_timeout: Duration,
    /// How long one listing may take, 1 s to 7 days: past it, it has a gap.
    pub listing_deadline: Duration,
    /// How long an account may take, 1 s to 7 days: past it, what is left of it is not called any more.
    pub account_deadline: Duration,
    /// How long all accounts may take, 1 s to 7 days.
    pub run_deadline: Duration,
    /// Attempts per call, 1 to 20, by the SDK's adaptive retry.
    pub attempts: u32,
    /// How far back to read sessions, up to 90 days; zero: not at all.
    pub trail_lookback: TimeDelta,
    /// `LookupEvents` requests a second per account and region, 1 to 1,000. AWS allows 2.
    pub lookups_per_second: u32,
    /// How many events to read per account, region and event name before the reading stops with a gap.
    pub max_lookup_events: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hub: Hub::default(),
            accounts: Accounts::default(),
            only: None,
            known_accounts: Vec::new(),
            role_name: "RolecallReadOnly".to_owned(),
            external_id: None,
            session_name: "rolecall".to_owned(),
            regions: Regions::default(),
            max_concurrent_accounts: 8,
            max_concurrent_calls: 16,
            call_timeout: Duration::from_secs(20),
            listing_deadline: Duration::from_secs(15 * 60),
            account_deadline: Duration::from_secs(60 * 60),
            run_deadline: Duration::from_secs(6 * 60 * 60),
            attempts: 5,
            trail_lookback: TimeDelta::days(1),
            lookups_per_second: 2,
            max_lookup_events: 50_000,
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {message}; {remedy}")]
pub struct PlanError {
    /// The field of [`Settings`].
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would make it right.
    pub remedy: &'static str,
}

/// Settings that were checked.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) settings: Settings,
}

impl Plan {
    /// Checks the settings.
    ///
    /// # Errors
    /// All settings that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Vec<PlanError>> {
        let mut errors = Vec::new();
        let mut check = |right: bool, field, message: String, remedy| {
            if !right {
                errors.push(PlanError { field, message, remedy });
            }
        };
        let Settings { role_name, session_name, external_id, accounts, .. } = &settings;
        let role_charset = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
        check(
            !role_name.is_empty()
                && role_name.len() <= 512
                && role_name.chars().all(role_charset)
                && !role_name.starts_with('/')
                && !role_name.ends_with('/'),
            "role_name",
            format!("`{role_name}` is not a role's name"),
            "give the name as IAM shows it, such as `RolecallReadOnly` or `audit/RolecallReadOnly`",
        );
        check(
            session_name.parse::<SessionName>().is_ok(),
            "session_name",
            format!("`{session_name}` is not a role session name"),
            "give 2 to 64 letters, digits and `_+=,.@-`",
        );
        let targets: &[Target] = if let Accounts::Listed(targets) = accounts { targets } else { &[] };
        for id in external_id.iter().chain(targets.iter().filter_map(|target| target.external_id.as_ref())) {
            check(
                (2..=1224).contains(&id.len())
                    && id.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c)),
                "external_id",
                "not an external id".to_owned(),
                "give 2 to 1,224 letters, digits and `_+=,.@:/-`",
            );
        }
        if let Accounts::Listed(targets) = accounts {
            check(
                !targets.is_empty(),
                "accounts",
                "the list is empty".to_owned(),
                "list an account, or leave the list out",
            );
            let mut seen = std::collections::BTreeSet::new();
            for target in targets {
                check(
                    seen.insert(target.account_id),
                    "accounts",
                    format!("account {} is listed twice", target.account_id),
                    "list it once",
                );
                check(
                    target.role_arn.as_ref().is_none_or(|role| role.account_id() == target.account_id),
                    "accounts",
                    format!("the role of account {} is in another account", target.account_id),
                    "name a role of the account itself",
                );
            }
        }
        if let Regions::Listed(regions) = &settings.regions {
            check(
                !regions.is_empty(),
                "regions",
                "the list is empty".to_owned(),
                "list a region, or leave the list out",
            );
        }
        for (field, value) in [
            ("max_concurrent_accounts", settings.max_concurrent_accounts),
            ("max_concurrent_calls", settings.max_concurrent_calls),
        ] {
            check((1..=256).contains(&value), field, format!("{value} is out of range"), "give 1 to 256");
        }
        check(
            (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&settings.call_timeout),
            "call_timeout",
            format!("{:?} is out of range", settings.call_timeout),
            "give 1 second to 5 minutes",
        );
        for (field, length) in [
            ("listing_deadline", settings.listing_deadline),
            ("account_deadline", settings.account_deadline),
            ("run_deadline", settings.run_deadline),
        ] {
            check(
                (Duration::from_secs(1)..=Duration::from_secs(7 * 86_400)).contains(&length),
                field,
                format!("{length:?} is out of range"),
                "give 1 second to 7 days",
            );
        }
        check(
            (1..=20).contains(&settings.attempts),
            "attempts",
            format!("{} is out of range", settings.attempts),
            "give 1 to 20",
        );
        check(
            (TimeDelta::zero()..=TimeDelta::days(90)).contains(&settings.trail_lookback),
            "trail_lookback",
            format!("{} is out of range", settings.trail_lookback),
            "give up to 90 days, which is as long as CloudTrail keeps events",
        );
        check(
            (1..=1000).contains(&settings.lookups_per_second),
            "lookups_per_second",
            format!("{} is out of range", settings.lookups_per_second),
            "give 1 to 1,000; AWS allows 2",
        );
        check(
            settings.max_lookup_events > 0,
            "max_lookup_events",
            "zero events".to_owned(),
            "give a positive number, or set `trail_lookback` to zero to read none",
        );
        if errors.is_empty() { Ok(Self { settings }) } else { Err(errors) }
    }

    /// What was checked.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(settings: Settings) -> Vec<&'static str> {
        Plan::new(settings).err().unwrap_or_default().iter().map(|error| error.field).collect()
    }

    #[test]
    fn the_default_is_a_plan() {
        assert_eq!(fields(Settings::default()), [""; 0]);
    }

    #[test]
    fn every_bad_setting_is_named() {
        let id: AccountId = "111122223333".parse().unwrap();
        let target = Target {
            account_id: id,
            name: None,
            role_arn: Some("arn:aws:iam::444455556666:role/x".parse().unwrap()),
            external_id: Some("a b".to_owned()),
        };
        let settings = Settings {
            role_name: "/x".to_owned(),
            session_name: "a b".to_owned(),
            accounts: Accounts::Listed(vec![target.clone(), target]),
            regions: Regions::Listed(Vec::new()),
            max_concurrent_accounts: 0,
            max_concurrent_calls: 1000,
            call_timeout: Duration::ZERO,
            listing_deadline: Duration::ZERO,
            account_deadline: Duration::ZERO,
            run_deadline: Duration::MAX,
            attempts: 0,
            trail_lookback: TimeDelta::days(91),
            lookups_per_second: 0,
            max_lookup_events: 0,
            ..Settings::default()
        };
        assert_eq!(
            fields(settings),
            [
                "role_name",
                "session_name",
                "external_id",
                "external_id",
                "accounts",
                "accounts",
                "accounts",
                "regions",
                "max_concurrent_accounts",
                "max_concurrent_calls",
                "call_timeout",
                "listing_deadline",
                "account_deadline",
                "run_deadline",
                "attempts",
                "trail_lookback",
                "lookups_per_second",
                "max_lookup_events"
            ]
        );
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let hub = Hub::keys("http://127.0.0.1:1", "eu-west-1".parse().unwrap(), "AKIAX", "very-secret");
        assert!(!format!("{hub:?}").contains("very-secret"));
    }
}
