//! `[outgoing]`: who is told what happens.

use super::read::Reader;
use super::values::Secret;
use rolecall_iam::AccountId;
use rolecall_outgoing::{Cidr, HttpsUrl};
use rolecall_rules::Severity;
use rolecall_store::EVENT_KINDS;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What is told where nothing else is asked for.
const USUAL: [&str; 3] = ["finding.opened", "finding.reopened", "finding.resolved"];

/// `[outgoing]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutgoingConfig {
    /// Blocks of addresses that are no part of the internet, and may be sent to.
    pub allow_cidrs: Vec<Cidr>,
    /// `[[outgoing.webhooks]]`
    pub webhooks: Vec<WebhookConfig>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The name by which it is known up to where it was served.
    pub name: String,
    /// What it is sent.
    pub kind: WebhookKind,
    /// Where to.
    pub url: UrlSource,
    /// What messages are signed with: one, or two while it is rotated. None of a chat.
    pub secrets: Vec<SecretSource>,
    /// Certificate authorities that are trusted besides the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Which events.
    pub route: Route,
}

rolecall_iam::vocabulary! {
    /// What a webhook is sent.
    pub enum WebhookKind: "a kind of webhook" {
        /// JSON, signed as Standard Webhooks says.
        Standard = "standard",
        /// Messages in the form of Slack's incoming webhooks.
        Slack = "slack",
    }
}

/// Where an endpoint's address stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlSource {
    /// In the configuration.
    Given(HttpsUrl),
    /// Elsewhere, as whoever knows it may send there.
    Secret(SecretSource),
}

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

/// Which events. Empty lists and `None` leave out nothing; what an event does not have, it does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// Of these kinds.
    pub types: BTreeSet<String>,
    /// Of findings at least so grave.
    pub severity_min: Option<Severity>,
    /// Of these accounts.
    pub account_ids: BTreeSet<AccountId>,
    /// About workloads of these namespaces, or what they reach.
    pub namespaces: BTreeSet<String>,
    /// Of findings that these persons or teams work on.
    pub assignees: BTreeSet<String>,
}

impl SecretSource {
    /// The secret.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Self::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
            }
        };
        match text.trim() {
            "" => Err(format!("{self} is empty")),
            text => Ok(Secret::new(text.to_owned())),
        }
    }
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutgoing {
    allow_cidrs: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    webhooks: Vec<RawWebhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    name: Spanned<String>,
    kind: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    url_env: Option<String>,
    url_file: Option<PathBuf>,
    secret_env: Option<Vec<String>>,
    secret_files: Option<Vec<PathBuf>>,
    ca_file: Option<PathBuf>,
    types: Option<Vec<Spanned<String>>>,
    severity_min: Option<Spanned<String>>,
    account_ids: Option<Vec<Spanned<String>>>,
    namespaces: Option<Vec<String>>,
    assignees: Option<Vec<String>>,
}

impl Reader<'_> {
    pub(super) fn outgoing(&mut self, raw: RawOutgoing, base: &Path) -> OutgoingConfig {
        let mut outgoing = OutgoingConfig::default();
        for block in raw.allow_cidrs.into_iter().flatten() {
            match block.get_ref().parse() {
                Ok(block) => outgoing.allow_cidrs.push(block),
                Err(message) => {
                    let message: String = message;
                    let remedy = "write a block such as \"10.1.0.0/16\"";
                    self.problem(block.span().start, "outgoing.allow_cidrs", &message, remedy);
                }
            }
        }
        for raw in raw.webhooks {
            let at = raw.name.span().start;
            if outgoing.webhooks.iter().any(|other| other.name == *raw.name.get_ref()) {
                let message = format!("two webhooks are named `{}`", raw.name.get_ref());
                let remedy = "give each its own name, by which it is known up to where it was served";
                self.problem(at, "outgoing.webhooks.name", &message, remedy);
            }
            outgoing.webhooks.extend(self.webhook(raw, base));
        }
        outgoing
    }

    fn webhook(&mut self, raw: RawWebhook, base: &Path) -> Option<WebhookConfig> {
        let (at, name) = (raw.name.span().start, raw.name.into_inner());
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            let message = format!("`{}` cannot be a webhook's name", name.escape_debug());
            self.problem(at, "outgoing.webhooks.name", &message, "write up to 64 letters, digits and hyphens");
        }
        let mut kind = WebhookKind::Standard;
        let remedy = "write \"standard\" or \"slack\"";
        self.parsed("outgoing.webhooks.kind", raw.kind, &mut kind, remedy, |text| {
            text.parse().map_err(|_| format!("`{text}` is no kind of webhook"))
        });
        let secrets = raw.secret_env.into_iter().flatten().map(SecretSource::Env);
        let files = raw.secret_files.into_iter().flatten().map(|file| SecretSource::File(base.join(file)));
        let secrets: Vec<SecretSource> = secrets.chain(files).collect();
        match (kind, secrets.len()) {
            (WebhookKind::Standard, 1 | 2) | (WebhookKind::Slack, 0) => {}
            (WebhookKind::Standard, _) => self.problem(
                at,
                "outgoing.webhooks.secret_env",
                &format!("webhook `{name}` has {} signing secrets", secrets.len()),
                "name one environment variable in secret_env, or one file in secret_files; two while it is rotated",
            ),
            (WebhookKind::Slack, _) => self.problem(
                at,
                "outgoing.webhooks.secret_env",
                &format!("webhook `{name}` is of kind \"slack\", whose messages are not signed"),
                "leave out secret_env and secret_files",
            ),
        }
        let given = raw.url.map(|url| (url.span().start, url.get_ref().parse::<HttpsUrl>()));
        let elsewhere =
            [raw.url_env.map(SecretSource::Env), raw.url_file.map(|file| SecretSource::File(base.join(file)))];
        let elsewhere: Vec<SecretSource> = elsewhere.into_iter().flatten().collect();
        let url = match (given, elsewhere.as_slice()) {
            (Some((_, Ok(url))), []) => Some(UrlSource::Given(url)),
            (Some((at, Err(error))), []) => {
                let remedy = "write an address such as \"https://hooks.example.com/rolecall\"";
                self.problem(at, "outgoing.webhooks.url", &error.to_string(), remedy);
                None
            }
            (None, [source]) => Some(UrlSource::Secret(source.clone())),
            _ => {
                let message = format!("webhook `{name}` does not have one address");
                let remedy = "write one of url, url_env and url_file";
                self.problem(at, "outgoing.webhooks.url", &message, remedy);
                None
            }
        };
        let route = self.route("outgoing.webhooks", raw.types.as_deref(), raw.severity_min, raw.account_ids);
        let route = Route {
            namespaces: raw.namespaces.into_iter().flatten().collect(),
            assignees: raw.assignees.into_iter().flatten().collect(),
            ..route
        };
        Some(WebhookConfig { name, kind, url: url?, secrets, ca_file: raw.ca_file.map(|file| base.join(file)), route })
    }

    fn route(
        &mut self,
        field: &str,
        types: Option<&[Spanned<String>]>,
        severity_min: Option<Spanned<String>>,
        account_ids: Option<Vec<Spanned<String>>>,
    ) -> Route {
        let mut route = Route::default();
        for kind in types.into_iter().flatten() {
            let text = kind.get_ref().as_str();
            if EVENT_KINDS.contains(&text) {
                route.types.insert(text.to_owned());
            } else {
                let nearest = EVENT_KINDS.iter().max_by(|a, b| strsim::jaro(a, text).total_cmp(&strsim::jaro(b, text)));
                let message = format!("`{}` is no kind of event", text.escape_debug());
                let remedy = format!("the nearest is \"{}\"", nearest.copied().unwrap_or_default());
                self.problem(kind.span().start, &format!("{field}.types"), &message, &remedy);
            }
        }
        if types.is_none() {
            route.types = USUAL.iter().map(|kind| (*kind).to_owned()).collect();
        }
        let remedy = "write \"critical\", \"high\", \"medium\", \"low\" or \"info\"";
        self.parsed(&format!("{field}.severity_min"), severity_min, &mut route.severity_min, remedy, |text| {
            text.parse().map(Some).map_err(|_| format!("`{text}` is not a severity"))
        });
        for account in account_ids.into_iter().flatten() {
            match account.get_ref().parse::<AccountId>() {
                Ok(account) => drop(route.account_ids.insert(account)),
                Err(error) => {
                    let remedy = "write the 12 digits in quotes";
                    self.problem(account.span().start, &format!("{field}.account_ids"), &error.to_string(), remedy);
                }
            }
        }
        route
    }
}
