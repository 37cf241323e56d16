//! A webhook, ready to be sent to: where it is, its secrets, whom it trusts.

use super::attributes::attributes;
use super::letter::Letter;
use crate::audit::scan::settings;
use crate::config::Config;
use crate::config::outgoing::{Addresses, Receiver, Route, SecretSource, UrlSource, WebhookConfig, WebhookKind};
use crate::error::Error;
use crate::schedule::Timetable;
use chrono::{DateTime, Utc};
use rolecall_collect::publish::{Published, Publisher};
use rolecall_collect::{Hub, Plan, Settings};
use rolecall_outgoing::{Client, HttpsUrl, Login, MAIL_TIMEOUT, Mail, Outcome, Posted, Relay, SigningSecret, TIMEOUT};
use std::path::Path;
use std::time::Duration;

/// A webhook, ready to be sent to.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name in the configuration.
    pub name: String,
    /// What it is sent.
    pub kind: WebhookKind,
    /// Which events.
    pub route: Route,
    /// More events of one kind and scan than this are told by one message.
    pub summary_above: u64,
    /// When it is told by a digest, and how; `None`: message by message, as they come.
    pub digest: Option<DigestSchedule>,
    sender: Sender,
}

/// When a digest is due.
#[derive(Debug, Clone)]
pub struct DigestSchedule {
    /// When.
    pub timetable: Timetable,
    /// So many events of each kind are listed.
    pub most_listed: usize,
    /// Whether one is sent where nothing happened.
    pub send_empty: bool,
}

#[derive(Debug)]
enum Sender {
    Https { url: HttpsUrl, secrets: Vec<SigningSecret>, client: Client },
    Aws(Box<Publisher>),
    Email(Box<(Relay, Addresses)>),
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// What follows.
    pub verdict: Verdict,
}

/// What an answer means for the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Taken,
    /// It was taken, and some did not get it.
    TakenInPart(String),
    /// Nothing more is wanted, for a reason.
    Gone(&'static str),
    /// It was not taken.
    NotTaken {
        /// Why.
        why: String,
        /// How long the endpoint wants to be left alone.
        retry_after: Option<Duration>,
    },
}

impl Sent {
    fn not_taken(why: String) -> Self {
        Self { status: None, verdict: Verdict::NotTaken { why, retry_after: None } }
    }
}

impl From<Posted> for Sent {
    fn from(posted: Posted) -> Self {
        match posted {
            Posted::Taken { status, refused } => {
                // Sent again, it would come twice to those who have it.
                let verdict = match refused.as_slice() {
                    [] => Verdict::Taken,
                    [first, ..] => Verdict::TakenInPart(format!("not for {} addresses: {first}", refused.len())),
                };
                Self { status: Some(status), verdict }
            }
            Posted::NotTaken { status, why } => Self { status, verdict: Verdict::NotTaken { why, retry_after: None } },
        }
    }
}

impl From<Outcome> for Sent {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Taken(answer) => Self { status: Some(answer.status), verdict: Verdict::Taken },
            Outcome::Gone(answer) => {
                Self { status: Some(answer.status), verdict: Verdict::Gone("the endpoint wants no more messages") }
            }
            Outcome::Refused(answer) => {
                let redirects = (300..400).contains(&answer.status);
                let why = if redirects { "redirects are not followed" } else { "it was not taken" };
                let verdict = Verdict::NotTaken { why: why.to_owned(), retry_after: answer.retry_after };
                Self { status: Some(answer.status), verdict }
            }
            Outcome::NoAnswer(why) => Self::not_taken(why),
        }
    }
}

impl Endpoint {
    /// Reads what the configuration of a webhook names. `hub` is whose credentials AWS is called with.
    ///
    /// # Errors
    /// A secret, an address or a file that cannot be read, with the webhook's name.
    pub fn new(webhook: &WebhookConfig, config: &Config, hub: &Hub) -> Result<Self, Error> {
        let wrong = |what: String, option: &str| Error::Usage {
            what: format!("webhook `{}`: {what}", webhook.name),
            remedy: format!("mend {option} of the webhook in [outgoing], or what it names"),
        };
        let read = |source: &SecretSource, option: &str| source.read().map_err(|what| wrong(what, option));
        let sender = match &webhook.receiver {
            Receiver::Https { url, secrets, ca_file } => {
                let url = match url {
                    UrlSource::Given(url) => url.clone(),
                    UrlSource::Secret(source) => {
                        let text = read(source, "url_env or url_file")?;
                        let parsed = text.reveal().parse();
                        parsed.map_err(|error| wrong(format!("{source}: {error}"), "url_env or url_file"))?
                    }
                };
                let option = "secret_env or secret_files";
                let secret = |source| {
                    let text = read(source, option)?;
                    text.reveal().parse().map_err(|error| wrong(format!("{source}: {error}"), option))
                };
                let secrets = secrets.iter().map(secret).collect::<Result<_, _>>()?;
                let authorities = authorities(ca_file.as_deref())?;
                let client = Client::new(&config.outgoing.allow_cidrs, authorities.as_deref());
                let client = client.map_err(|error| wrong(error.to_string(), "ca_file"))?;
                Sender::Https { url, secrets, client }
            }
            Receiver::Aws { destination, entry } => {
                let settings = settings(&config.aws, hub.clone(), Vec::new());
                let session_name = format!("{}-outgoing", settings.session_name);
                let plan = Plan::new(Settings { session_name, ..settings });
                let plan = plan.map_err(Error::Plan)?;
                Sender::Aws(Box::new(Publisher::new(plan, destination.clone(), entry.clone())))
            }
            Receiver::Email(email) => {
                let login = match &email.login {
                    None => None,
                    Some((user, source)) => {
                        let password = read(source, "smtp_password_env or smtp_password_file")?;
                        Some(Login { user: user.clone(), password: password.reveal().to_owned() })
                    }
                };
                let authorities = authorities(email.ca_file.as_deref())?;
                let host = (email.host.0.as_str(), email.host.1);
                let relay =
                    Relay::new(host, email.security, login, &config.outgoing.allow_cidrs, authorities.as_deref());
                let relay = relay.map_err(|error| wrong(error.to_string(), "ca_file"))?;
                Sender::Email(Box::new((relay, email.addresses.clone())))
            }
        };
        let digest = match &webhook.receiver {
            Receiver::Email(email) => Some(DigestSchedule {
                timetable: Timetable::new(email.digest.cron.clone(), config.schedule.timezone),
                most_listed: email.digest.most_listed,
                send_empty: email.digest.send_empty,
            }),
            Receiver::Https { .. } | Receiver::Aws { .. } => None,
        };
        let (name, route) = (webhook.name.clone(), webhook.route.clone());
        Ok(Self { name, kind: webhook.kind, route, summary_above: webhook.summary_above, digest, sender })
    }

    /// The longest that an attempt takes.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self.sender {
            Sender::Https { .. } | Sender::Aws(_) => TIMEOUT,
            Sender::Email(_) => MAIL_TIMEOUT,
        }
    }

    /// Sends a message; `id` is the same in every attempt.
    pub async fn send(&self, id: &str, now: DateTime<Utc>, body: &str) -> Sent {
        match &self.sender {
            Sender::Https { url, secrets, client } => client.post(url, secrets, id, now, body).await.into(),
            Sender::Aws(publisher) => {
                let (kind, attributes) = attributes(body);
                let message = Published { id, kind: &kind, at: now, body, attributes: &attributes };
                match tokio::time::timeout(TIMEOUT, publisher.publish(message)).await {
                    // The SDK takes an answer for one that is of status 200.
                    Ok(Ok(())) => Sent { status: Some(200), verdict: Verdict::Taken },
                    Ok(Err(refused)) => Sent::not_taken(refused.to_string()),
                    Err(_) => Sent::not_taken(format!("no answer within {} s", TIMEOUT.as_secs())),
                }
            }
            Sender::Email(to) => {
                let (relay, Addresses { from, to }) = to.as_ref();
                let letter: Letter = match serde_json::from_str(body) {
                    Ok(letter) => letter,
                    // The webhook was of another kind when it was made.
                    Err(_) => return Sent::not_taken("it is no letter, and cannot be sent by e-mail".to_owned()),
                };
                let Letter { timestamp, subject, text, .. } = &letter;
                let mail = Mail { from, to, id, at: *timestamp, subject, text }.formatted();
                relay.post(from, to, &mail).await.into()
            }
        }
    }
}

/// What a file of certificate authorities holds.
fn authorities(ca_file: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
    let read = |path: &Path| {
        let doing = "read the certificate authorities";
        std::fs::read(path).map_err(|source| Error::File { doing, path: path.to_owned(), source })
    };
    ca_file.map(read).transpose()
}
