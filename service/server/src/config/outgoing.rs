//! `[outgoing]`: who is told what happens.

use super::read::Reader;
use super::values::{Cron, Secret};
use rolecall_collect::publish::{Destination, DestinationError};
use rolecall_collect::trails::Entry;
use rolecall_iam::AccountId;
use rolecall_outgoing::{Cidr, HttpsUrl, MailAddress, Security};
use rolecall_rules::Severity;
use rolecall_store::EVENT_KINDS;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What is told where nothing else is asked for.
const USUAL: [&str; 3] = ["finding.opened", "finding.reopened", "finding.resolved"];

/// So many findings that a scan opens are told one by one.
const SUMMARY_ABOVE: u64 = 100;

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
    pub receiver: Receiver,
    /// Which events.
    pub route: Route,
    /// More events of one kind and scan than this are told by one message.
    pub summary_above: u64,
}

rolecall_iam::vocabulary! {
    /// What a webhook is sent.
    pub enum WebhookKind: "a kind of webhook" {
        /// JSON, signed as Standard Webhooks says.
        Standard = "standard",
        /// Messages in the form of Slack's incoming webhooks.
        Slack = "slack",
        /// The same JSON, to a topic of Amazon SNS.
        Sns = "sns",
        /// The same JSON, as an event of an event bus.
        EventBridge = "eventbridge",
        /// Digests by e-mail, on a schedule.
        Email = "email",
    }
}

/// What takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// An endpoint.
    Https {
        /// Its address.
        url: UrlSource,
        /// What messages are signed with: one, or two while it is rotated. None of a chat.
        secrets: Vec<SecretSource>,
        /// Certificate authorities that are trusted besides the system's, in PEM.
        ca_file: Option<PathBuf>,
    },
    /// A topic or an event bus.
    Aws {
        /// Which.
        destination: Destination,
        /// The role to assume for it, where the hub's own principal may not.
        entry: Option<Entry>,
    },
    /// People, by e-mail.
    Email(Box<EmailConfig>),
}

/// Digests by e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailConfig {
    /// Who sends them, and who gets them.
    pub addresses: Addresses,
    /// The relay's name and port.
    pub host: (String, u16),
    /// How TLS begins.
    pub security: Security,
    /// The name and the password for it, where it wants any.
    pub login: Option<(String, SecretSource)>,
    /// Certificate authorities that are trusted besides the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// When they are sent.
    pub digest: DigestConfig,
}

/// Who sends mail, and who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Who sends it.
    pub from: MailAddress,
    /// Who gets it.
    pub to: Vec<MailAddress>,
}

/// When a digest is sent, and what of.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestConfig {
    /// When, in the time zone of `[schedule]`.
    pub cron: Cron,
    /// So many events of each kind are listed; the others are counted.
    pub most_listed: usize,
    /// Whether one is sent where nothing happened.
    pub send_empty: bool,
}

impl Eq for DigestConfig {}

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
    /// Of findings of these owners.
    pub owners: BTreeSet<String>,
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
    topic_arn: Option<Spanned<String>>,
    event_bus_arn: Option<Spanned<String>>,
    role_arn: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    to: Option<Vec<Spanned<String>>>,
    smtp_host: Option<Spanned<String>>,
    smtp_port: Option<u16>,
    smtp_tls: Option<Spanned<String>>,
    smtp_user: Option<String>,
    smtp_password_env: Option<String>,
    smtp_password_file: Option<PathBuf>,
    cron: Option<Spanned<String>>,
    most_listed: Option<Spanned<i64>>,
    send_empty: Option<bool>,
    types: Option<Vec<Spanned<String>>>,
    severity_min: Option<Spanned<String>>,
    account_ids: Option<Vec<Spanned<String>>>,
    namespaces: Option<Vec<String>>,
    assignees: Option<Vec<String>>,
    summary_above: Option<Spanned<u64>>,
    owners: Option<Vec<String>>,
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

    fn webhook(&mut self, mut raw: RawWebhook, base: &Path) -> Option<WebhookConfig> {
        let (at, name) = (raw.name.span().start, raw.name.get_ref().clone());
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            let message = format!("`{}` cannot be a webhook's name", name.escape_debug());
            self.problem(at, "outgoing.webhooks.name", &message, "write up to 64 letters, digits and hyphens");
        }
        let mut kind = WebhookKind::Standard;
        let kinds = WebhookKind::ALL.map(|kind| format!("\"{kind}\"")).join(", ");
        self.parsed("outgoing.webhooks.kind", raw.kind.take(), &mut kind, &format!("write one of {kinds}"), |text| {
            text.parse().map_err(|_| format!("`{}` is no kind of webhook", text.escape_debug()))
        });
        self.no_options_of_others(&raw, &name, kind);
        let route =
            self.route("outgoing.webhooks", raw.types.as_deref(), raw.severity_min.take(), raw.account_ids.take());
        let set = |list: &mut Option<Vec<String>>| list.take().into_iter().flatten().collect();
        let route = Route {
            namespaces: set(&mut raw.namespaces),
            assignees: set(&mut raw.assignees),
            owners: set(&mut raw.owners),
            ..route
        };
        let summary_above = raw.summary_above.take().map_or(SUMMARY_ABOVE, Spanned::into_inner);
        let receiver = match kind {
            WebhookKind::Standard | WebhookKind::Slack => self.https(raw, &name, kind, base),
            WebhookKind::Sns | WebhookKind::EventBridge => self.aws_destination(raw, &name, kind),
            WebhookKind::Email => self.email(raw, &name, base),
        };
        Some(WebhookConfig { name, kind, receiver: receiver?, route, summary_above })
    }

    /// An option that a kind has no use for would be taken for one that counts.
    fn no_options_of_others(&mut self, raw: &RawWebhook, name: &str, kind: WebhookKind) {
        use WebhookKind::{Email, EventBridge, Slack, Sns, Standard};
        let https = &[Standard, Slack][..];
        let is_given = [
            ("url", raw.url.is_some(), https),
            ("url_env", raw.url_env.is_some(), https),
            ("url_file", raw.url_file.is_some(), https),
            // Of a chat, these have a message of their own.
            ("secret_env", raw.secret_env.is_some(), https),
            ("secret_files", raw.secret_files.is_some(), https),
            ("ca_file", raw.ca_file.is_some(), &[Standard, Slack, Email]),
            ("topic_arn", raw.topic_arn.is_some(), &[Sns]),
            ("event_bus_arn", raw.event_bus_arn.is_some(), &[EventBridge]),
            ("role_arn", raw.role_arn.is_some(), &[Sns, EventBridge]),
            ("external_id", raw.external_id.is_some(), &[Sns, EventBridge]),
            ("from", raw.from.is_some(), &[Email]),
            ("to", raw.to.is_some(), &[Email]),
            ("smtp_host", raw.smtp_host.is_some(), &[Email]),
            ("smtp_port", raw.smtp_port.is_some(), &[Email]),
            ("smtp_tls", raw.smtp_tls.is_some(), &[Email]),
            ("smtp_user", raw.smtp_user.is_some(), &[Email]),
            ("smtp_password_env", raw.smtp_password_env.is_some(), &[Email]),
            ("smtp_password_file", raw.smtp_password_file.is_some(), &[Email]),
            ("cron", raw.cron.is_some(), &[Email]),
            ("most_listed", raw.most_listed.is_some(), &[Email]),
            ("send_empty", raw.send_empty.is_some(), &[Email]),
            // A digest is one message already.
            ("summary_above", raw.summary_above.is_some(), &[Standard, Slack, Sns, EventBridge]),
        ];
        for (option, _, _) in is_given.into_iter().filter(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind)) {
            let message = format!("webhook `{name}` is of kind \"{kind}\", which has no `{option}`");
            let field = format!("outgoing.webhooks.{option}");
            self.problem(raw.name.span().start, &field, &message, "leave it out, or write another kind");
        }
    }

    fn aws_destination(&mut self, raw: RawWebhook, name: &str, kind: WebhookKind) -> Option<Receiver> {
        let at = raw.name.span().start;
        let (option, text, example) = if kind == WebhookKind::Sns {
            ("topic_arn", raw.topic_arn, "arn:aws:sns:eu-west-1:111122223333:findings")
        } else {
            ("event_bus_arn", raw.event_bus_arn, "arn:aws:events:eu-west-1:111122223333:event-bus/default")
        };
        let field = format!("outgoing.webhooks.{option}");
        let remedy = format!("write an ARN such as \"{example}\"");
        let entry = self.entry("outgoing.webhooks", raw.role_arn, raw.external_id);
        let Some(text) = text else {
            self.problem(at, &field, &format!("webhook `{name}` of kind \"{kind}\" has no `{option}`"), &remedy);
            return None;
        };
        let mut destination = None;
        self.parsed(&field, Some(text), &mut destination, &remedy, |text| {
            let read: Destination = text.parse().map_err(|error: DestinationError| error.to_string())?;
            let fits = read.is_topic() == (kind == WebhookKind::Sns);
            if fits { Ok(Some(read)) } else { Err(format!("`{read}` is no destination of kind \"{kind}\"")) }
        });
        Some(Receiver::Aws { destination: destination?, entry })
    }

    fn email(&mut self, raw: RawWebhook, name: &str, base: &Path) -> Option<Receiver> {
        let at = raw.name.span().start;
        let field = |option: &str| format!("outgoing.webhooks.{option}");
        let remedy = "write an address such as \"Security <security@example.com>\"";
        let parse = |text: &str| text.parse::<MailAddress>().map(Some).map_err(|error| error.to_string());
        let mut from = None;
        if raw.from.is_none() {
            self.problem(at, &field("from"), &format!("webhook `{name}` does not say who sends its mail"), remedy);
        }
        self.parsed(&field("from"), raw.from, &mut from, remedy, parse);
        let mut to = Vec::new();
        let given = raw.to.unwrap_or_default();
        if given.is_empty() {
            self.problem(at, &field("to"), &format!("webhook `{name}` has nobody to send mail to"), remedy);
        }
        for text in given {
            let mut address = None;
            self.parsed(&field("to"), Some(text), &mut address, remedy, parse);
            to.extend(address);
        }
        let mut security = Security::StartTls;
        let remedy = "write \"starttls\" or \"implicit\"; nothing is sent without TLS";
        self.parsed(&field("smtp_tls"), raw.smtp_tls, &mut security, remedy, |text| match text {
            "starttls" => Ok(Security::StartTls),
            "implicit" => Ok(Security::Implicit),
            other => Err(format!("`{}` does not say how TLS begins", other.escape_debug())),
        });
        let port = raw.smtp_port.unwrap_or(if security == Security::StartTls { 587 } else { 465 });
        let mut host = None;
        let remedy = "write the name or the address of the relay, such as \"smtp.example.com\"";
        if raw.smtp_host.is_none() {
            self.problem(at, &field("smtp_host"), &format!("webhook `{name}` names no relay"), remedy);
        }
        self.parsed(&field("smtp_host"), raw.smtp_host, &mut host, remedy, |text| {
            let fits = (1..=253).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
            if fits { Ok(Some(text.to_owned())) } else { Err(format!("`{}` is no host", text.escape_debug())) }
        });
        let passwords = [
            raw.smtp_password_env.map(SecretSource::Env),
            raw.smtp_password_file.map(|file| SecretSource::File(base.join(file))),
        ];
        let passwords: Vec<SecretSource> = passwords.into_iter().flatten().collect();
        let login = match (raw.smtp_user, passwords.as_slice()) {
            (None, []) => None,
            (Some(user), [password]) => Some((user, password.clone())),
            _ => {
                let message = format!("webhook `{name}` does not have both a user and one password for its relay");
                let remedy = "write smtp_user and one of smtp_password_env and smtp_password_file, or none of them";
                self.problem(at, &field("smtp_user"), &message, remedy);
                None
            }
        };
        let mut digest = DigestConfig { cron: Cron::morning(), most_listed: 100, send_empty: false };
        let remedy = "write five fields, such as \"0 8 * * *\" or \"0 8 * * mon\"";
        self.parsed(&field("cron"), raw.cron, &mut digest.cron, remedy, str::parse);
        self.number(&field("most_listed"), raw.most_listed, &mut digest.most_listed, 1..=1000, "");
        digest.send_empty = raw.send_empty.unwrap_or_default();
        let ca_file = raw.ca_file.map(|file| base.join(file));
        let addresses = Addresses { from: from?, to };
        let host = (host?, port);
        Some(Receiver::Email(Box::new(EmailConfig { addresses, host, security, login, ca_file, digest })))
    }

    fn https(&mut self, raw: RawWebhook, name: &str, kind: WebhookKind, base: &Path) -> Option<Receiver> {
        let at = raw.name.span().start;
        let secrets = raw.secret_env.into_iter().flatten().map(SecretSource::Env);
        let files = raw.secret_files.into_iter().flatten().map(|file| SecretSource::File(base.join(file)));
        let secrets: Vec<SecretSource> = secrets.chain(files).collect();
        match (kind, secrets.len()) {
            (WebhookKind::Slack, 0) => {}
            (WebhookKind::Slack, _) => self.problem(
                at,
                "outgoing.webhooks.secret_env",
                &format!("webhook `{name}` is of kind \"slack\", whose messages are not signed"),
                "leave out secret_env and secret_files",
            ),
            (_, 1 | 2) => {}
            (_, _) => self.problem(
                at,
                "outgoing.webhooks.secret_env",
                &format!("webhook `{name}` has {} signing secrets", secrets.len()),
                "name one environment variable in secret_env, or one file in secret_files; two while it is rotated",
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
        let ca_file = raw.ca_file.map(|file| base.join(file));
        Some(Receiver::Https { url: url?, secrets, ca_file })
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
