//! A webhook, ready to be sent to: its address, its secrets, whom it trusts.

use crate::config::outgoing::{Route, SecretSource, UrlSource, WebhookConfig, WebhookKind};
use crate::error::Error;
use chrono::{DateTime, Utc};
use rolecall_outgoing::{Cidr, Client, HttpsUrl, Outcome, SigningSecret};

/// A webhook, ready to be sent to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name in the configuration.
    pub name: String,
    /// What it is sent.
    pub kind: WebhookKind,
    /// Which events.
    pub route: Route,
    url: HttpsUrl,
    secrets: Vec<SigningSecret>,
    client: Client,
}

impl Endpoint {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// A secret, an address or a file that cannot be read, with the webhook's name.
    pub fn new(config: &WebhookConfig, allowed: &[Cidr]) -> Result<Self, Error> {
        let wrong = |what: String, option: &str| Error::Usage {
            what: format!("webhook `{}`: {what}", config.name),
            remedy: format!("mend {option} of the webhook in [outgoing], or what it names"),
        };
        let read = |source: &SecretSource, option: &str| source.read().map_err(|what| wrong(what, option));
        let url = match &config.url {
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
        let secrets = config.secrets.iter().map(secret).collect::<Result<_, _>>()?;
        let authorities = config.ca_file.as_ref().map(|path| {
            std::fs::read(path).map_err(|source| Error::File {
                doing: "read the certificate authorities",
                path: path.clone(),
                source,
            })
        });
        let authorities = authorities.transpose()?;
        let client =
            Client::new(allowed, authorities.as_deref()).map_err(|error| wrong(error.to_string(), "ca_file"))?;
        Ok(Self { name: config.name.clone(), kind: config.kind, route: config.route.clone(), url, secrets, client })
    }

    /// Sends a message; `id` is the same in every attempt.
    pub async fn send(&self, id: &str, now: DateTime<Utc>, body: &str) -> Outcome {
        self.client.post(&self.url, &self.secrets, id, now, body).await
    }
}
