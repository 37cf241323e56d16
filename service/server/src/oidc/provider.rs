//! One identity provider: what it tells about itself, the way there, and what it gives for a code.

use super::client::{Client, Form};
use super::id_token::{Claims, IdTokenError, KeySet};
use crate::config::auth::{OidcConfig, is_protected};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rolecall_iam::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// For so long what the provider tells about itself is believed without asking again.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// Why a sign-in did not come about.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider cannot be asked, or answers something else.
    #[error("{what}: {why}")]
    Provider {
        /// What was asked for.
        what: &'static str,
        /// What came.
        why: String,
    },
    /// The provider gives nothing for the code.
    #[error("the token endpoint refused the code: {0}")]
    Refused(String),
    /// What it gives is not believed.
    #[error("the ID token is not believed: {0}")]
    IdToken(#[from] IdTokenError),
}

fn provider(what: &'static str) -> impl Fn(String) -> OidcError {
    move |why| OidcError::Provider { what, why }
}

/// What the provider tells about itself.
/// <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata>
#[derive(Debug, Clone, Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    /// Where people sign out, where the provider has such a page.
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Clone)]
struct Known {
    at: Instant,
    endpoints: Endpoints,
    keys: KeySet,
}

/// What only the browser and this service know of a sign-in that is under way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Attempt {
    /// Comes back with the code.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves to the token endpoint that the code was asked for here.
    pub verifier: String,
}

/// An identity provider.
pub struct Provider {
    config: OidcConfig,
    client: Client,
    secret: Option<String>,
    redirect: String,
    known: Mutex<Option<Known>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct TokenProblem {
    error: String,
}

impl Provider {
    /// The provider of a configuration. `redirect` is where it sends people back to.
    ///
    /// # Errors
    /// Where the client's secret or the certificates cannot be read; the text names the setting.
    pub fn new(config: &OidcConfig, redirect: String) -> Result<Self, String> {
        let pem = config.ca_file.as_ref().map(std::fs::read).transpose();
        let pem = pem.map_err(|error| format!("`auth.oidc.ca_file`: {error}"))?;
        Ok(Self {
            client: Client::new(pem.as_deref()).map_err(|error| format!("`auth.oidc.ca_file`: {error}"))?,
            secret: config.secret()?,
            config: config.clone(),
            redirect,
            known: Mutex::default(),
        })
    }

    /// The address where a person signs in.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn authorization_url(&self, attempt: &Attempt) -> Result<String, OidcError> {
        let endpoint = self.known(false).await?.endpoints.authorization_endpoint;
        let challenge = URL_SAFE_NO_PAD.encode(Digest::sha256(attempt.verifier.as_bytes()).as_bytes());
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &self.redirect),
            ("scope", &self.config.scopes.join(" ")),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(with_query(&endpoint, &query))
    }

    /// The address where a person signs out of the provider, where it has one; from there they come back to `then`.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn end_session_url(&self, then: &str) -> Result<Option<String>, OidcError> {
        let query = form(&[("client_id", &self.config.client_id), ("post_logout_redirect_uri", then)]);
        Ok(self.known(false).await?.endpoints.end_session_endpoint.map(|endpoint| with_query(&endpoint, &query)))
    }

    /// Whether an answer's `iss` is of this provider: RFC 9207, so that the code of one provider is not given to
    /// another.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn is_of_issuer(&self, iss: Option<&str>) -> Result<bool, OidcError> {
        Ok(match iss {
            Some(iss) => iss == self.config.issuer.as_str(),
            None => !self.known(false).await?.endpoints.authorization_response_iss_parameter_supported,
        })
    }

    /// Who signed in: what the ID token that the provider gives for a code says.
    ///
    /// # Errors
    /// Where the provider gives none, or one that is not believed.
    pub async fn redeem(&self, code: &str, attempt: &Attempt, now: DateTime<Utc>) -> Result<Claims, OidcError> {
        let known = self.known(false).await?;
        let methods = known.endpoints.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let is_post = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("code_verifier", &attempt.verifier),
        ];
        let basic = match &self.secret {
            None => {
                fields.push(("client_id", &self.config.client_id));
                None
            }
            Some(secret) if is_post => {
                fields.extend([("client_id", self.config.client_id.as_str()), ("client_secret", secret)]);
                None
            }
            // RFC 6749, 2.3.1: each part is form-encoded first.
            Some(secret) => {
                let pair = format!("{}:{}", encode(&self.config.client_id), encode(secret));
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
        };
        let what = "the provider's token endpoint";
        let sent = Form { body: form(&fields), authorization: basic.as_deref() };
        let answer = self.client.send(&known.endpoints.token_endpoint, Some(sent)).await;
        let (status, body) = answer.map_err(provider(what))?;
        if !status.is_success() {
            let said = serde_json::from_slice::<TokenProblem>(&body).map_or_else(|_| String::new(), |it| it.error);
            let said: String = said.chars().filter(|c| !c.is_control()).take(100).collect();
            return Err(OidcError::Refused(format!("{status} {said}")));
        }
        let tokens: Tokens = serde_json::from_slice(&body).map_err(|error| provider(what)(error.to_string()))?;
        let token = tokens.id_token.ok_or_else(|| provider(what)("the answer has no `id_token`".to_owned()))?;
        let verify = |keys: &KeySet| {
            keys.verify(&token, self.config.issuer.as_str(), &self.config.client_id, &attempt.nonce, now)
        };
        match verify(&known.keys) {
            // The issuer may have changed its keys since they were read.
            Err(IdTokenError::UnknownKey | IdTokenError::Signature) => Ok(verify(&self.known(true).await?.keys)?),
            other => Ok(other?),
        }
    }

    /// What the provider tells about itself, and its keys; asked again where that is old, or `anew`.
    async fn known(&self, anew: bool) -> Result<Known, OidcError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| !anew && known.at.elapsed() < FRESH) {
            return Ok(known.clone());
        }
        let read = self.read().await;
        match (read, known.as_ref()) {
            (Ok(read), _) => {
                *known = Some(read.clone());
                Ok(read)
            }
            // What was told before holds while the provider does not answer; not where its keys are in question.
            (Err(error), Some(old)) if !anew => {
                tracing::warn!(error = crate::error::chain(&error), "the identity provider's metadata is old");
                Ok(old.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn read(&self) -> Result<Known, OidcError> {
        let issuer = self.config.issuer.as_str();
        let what = "the provider's metadata";
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let endpoints: Endpoints = self.json(&url, what).await?;
        if endpoints.issuer != issuer {
            let why =
                format!("it says that its issuer is `{}`, and `auth.oidc.issuer` is `{issuer}`", endpoints.issuer);
            return Err(provider(what)(why));
        }
        let all = [&endpoints.authorization_endpoint, &endpoints.token_endpoint, &endpoints.jwks_uri];
        if let Some(plain) = all.into_iter().chain(&endpoints.end_session_endpoint).find(|url| !is_protected(url)) {
            return Err(provider(what)(format!("`{plain}` is not protected by https")));
        }
        let keys = self.json(&endpoints.jwks_uri, "the provider's key set").await?;
        Ok(Known { at: Instant::now(), endpoints, keys })
    }

    async fn json<T: DeserializeOwned>(&self, url: &str, what: &'static str) -> Result<T, OidcError> {
        let (status, body) = self.client.send(url, None).await.map_err(provider(what))?;
        if !status.is_success() {
            return Err(provider(what)(format!("`{url}` answers {status}")));
        }
        serde_json::from_slice(&body).map_err(|error| provider(what)(format!("`{url}`: {error}")))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

fn with_query(endpoint: &str, query: &str) -> String {
    format!("{endpoint}{}{query}", if endpoint.contains('?') { '&' } else { '?' })
}
