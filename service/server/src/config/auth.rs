//! Who may come in, as configured, and on which addresses that is enough.
//!
//! Without configuration people come in by one-time links on a loopback address. A public bind
//! needs a decision, made in `[auth]`; without one the service refuses to start. Refuses to know
//! requests.

use crate::role::PersonRole;
use rolecall_estate::{Limit, Visibility};
use rolecall_outgoing::Cidr;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// How people come in. Programs always come in by token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// One-time links, on loopback only: what holds where nothing is configured.
    #[default]
    Loopback,
    /// One-time links, on any address; needs `public_url`.
    Link,
    /// Nobody: tokens only, no pages.
    Tokens,
    /// People sign in at an identity provider by OpenID Connect; needs `public_url`, `[auth.oidc]` and `[[auth.role]]`.
    Oidc,
    /// A proxy in front has identified the person; needs `proxy_header` and `proxy_from`.
    Proxy,
}

/// The `[auth]` table of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// How people come in.
    pub mode: AuthMode,
    /// The address that people use, such as `https://rolecall.example.com`. Its host becomes an
    /// allowed `Host`; with `https` cookies are `Secure`.
    pub public_url: Option<PublicUrl>,
    /// The header in which the proxy names the person, such as `x-forwarded-user`.
    pub proxy_header: Option<String>,
    /// The header in which the proxy lists the person's groups, separated by commas.
    pub proxy_groups_header: Option<String>,
    /// Addresses of proxies in front, such as `10.0.0.0/8`: what their headers say of a client is believed.
    pub proxy_from: Vec<Cidr>,
    /// Which groups have which role.
    pub role: Vec<RoleMapping>,
    /// The identity provider.
    pub oidc: Option<OidcConfig>,
}

/// `[auth.oidc]`: where people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The issuer, exactly as its metadata names it.
    pub issuer: IssuerUrl,
    /// What the provider knows this service as.
    pub client_id: String,
    /// The environment variable that holds the client's secret.
    pub client_secret_env: Option<String>,
    /// The file that holds the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// The scopes that are asked for.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists a person's groups.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// The claim of the ID token that names a person.
    #[serde(default = "default_person_claim")]
    pub person_claim: String,
    /// Certificate authorities that are trusted beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn default_groups_claim() -> String {
    "groups".to_owned()
}

fn default_person_claim() -> String {
    "email".to_owned()
}

impl OidcConfig {
    /// The client's secret; `None` for a client that has none.
    ///
    /// # Errors
    /// Where it cannot be read; the text names the setting, and never the secret.
    pub fn secret(&self) -> Result<Option<String>, String> {
        let read = match (&self.client_secret_env, &self.client_secret_file) {
            (None, None) => return Ok(None),
            (Some(name), _) => std::env::var(name)
                .map_err(|_| format!("`auth.oidc.client_secret_env`: the environment has no `{name}`"))?,
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|error| format!("`auth.oidc.client_secret_file`: {}: {error}", path.display()))?,
        };
        let secret = read.trim().to_owned();
        if secret.is_empty() { Err("the client's secret of `auth.oidc` is empty".to_owned()) } else { Ok(Some(secret)) }
    }
}

/// The address of an issuer: `https`, but for this machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, for people.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}

impl FromStr for IssuerUrl {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        if is_protected(s) && !s.contains(['?', '#', '@']) {
            return Ok(Self(s.to_owned()));
        }
        Err(format!("`{s}` is not the address of an issuer, such as `https://login.example.com/realms/main`"))
    }
}

/// Whether nobody between can read along: https, or this machine itself.
#[must_use]
pub fn is_protected(url: &str) -> bool {
    let Ok(url) = url.parse::<axum::http::Uri>() else { return false };
    let host = host_of(url.authority().map_or("", |authority| authority.as_str()));
    match url.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_loopback_name(host),
        _ => false,
    }
}

/// An `[[auth.role]]`: what the people of a group may do and see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleMapping {
    /// The group, as the identity provider or the proxy names it.
    pub group: String,
    /// The role that its people have.
    pub role: PersonRole,
    /// What they see; everything where there is none.
    #[serde(default)]
    pub limits: BTreeSet<Limit>,
}

impl AuthConfig {
    /// Whether cookies are `Secure` and carry the `__Host-` prefix.
    #[must_use]
    pub fn https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.https)
    }

    /// What the people of these groups may do and see: the highest role of any of them, and what any group with that
    /// role sees. `None` where no group has a role.
    #[must_use]
    pub fn role_of(&self, groups: &[String]) -> Option<(PersonRole, Visibility)> {
        let mapped = || self.role.iter().filter(|mapping| groups.contains(&mapping.group));
        let highest = mapped().map(|mapping| mapping.role).max()?;
        let mut limits = BTreeSet::new();
        for mapping in mapped().filter(|mapping| mapping.role == highest) {
            if mapping.limits.is_empty() {
                return Some((highest, Visibility::Everything));
            }
            limits.extend(mapping.limits.iter().cloned());
        }
        Some((highest, Visibility::Only(limits)))
    }

    /// Every fault of the table, each with its remedy.
    ///
    /// # Errors
    /// The faults, one sentence each.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        let proxy = self.mode == AuthMode::Proxy;
        if proxy && (self.proxy_header.is_none() || self.proxy_from.is_empty()) {
            wrong.push("`auth.mode = \"proxy\"` needs `auth.proxy_header` and `auth.proxy_from`".to_owned());
        }
        for (name, header) in
            [("auth.proxy_header", &self.proxy_header), ("auth.proxy_groups_header", &self.proxy_groups_header)]
        {
            let Some(header) = header else { continue };
            if !proxy {
                wrong.push(format!("`{name}` needs `auth.mode = \"proxy\"`"));
            }
            if axum::http::HeaderName::from_str(header).is_err() {
                wrong.push(format!("`{name}`: `{header}` is not a header's name"));
            }
        }
        if proxy && self.role.is_empty() != self.proxy_groups_header.is_none() {
            wrong.push("`auth.proxy_groups_header` and `[[auth.role]]` need each other".to_owned());
        }
        wrong.extend(self.check_oidc());
        match (&self.public_url, self.mode) {
            (None, AuthMode::Link | AuthMode::Oidc) => {
                let mode = if self.mode == AuthMode::Oidc { "oidc" } else { "link" };
                wrong.push(format!("`auth.mode = \"{mode}\"` needs `auth.public_url`, the address that people use"));
            }
            (Some(url), AuthMode::Link | AuthMode::Oidc | AuthMode::Proxy) if !url.https && !url.loopback() => {
                wrong.push(format!("`auth.public_url` is `{url}`: cookies need `https`, except on localhost"));
            }
            _ => {}
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl AuthConfig {
    fn check_oidc(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_oidc = self.mode == AuthMode::Oidc;
        if !is_oidc && self.mode != AuthMode::Proxy && !self.role.is_empty() {
            wrong.push("`[[auth.role]]` needs `auth.mode = \"oidc\"`, or \"proxy\"".to_owned());
        }
        let Some(oidc) = &self.oidc else {
            if is_oidc {
                wrong.push("`auth.mode = \"oidc\"` needs `[auth.oidc]` with `issuer` and `client_id`".to_owned());
            }
            return wrong;
        };
        if !is_oidc {
            wrong.push("`[auth.oidc]` needs `auth.mode = \"oidc\"`".to_owned());
        }
        if is_oidc && self.role.is_empty() {
            wrong.push("`auth.mode = \"oidc\"` needs `[[auth.role]]`: without one nobody has a role".to_owned());
        }
        if oidc.client_secret_env.is_some() && oidc.client_secret_file.is_some() {
            wrong.push("`auth.oidc` has `client_secret_env` and `client_secret_file`; give one of them".to_owned());
        }
        if !oidc.scopes.iter().any(|scope| scope == "openid") {
            wrong.push("`auth.oidc.scopes` lacks `openid`".to_owned());
        }
        wrong
    }
}

/// Whether the service may listen on an address.
///
/// # Errors
/// The lines that say why not and what would make it right.
pub fn bind_allowed(addr: SocketAddr, config: &AuthConfig) -> Result<(), String> {
    config.check().map_err(|wrong| wrong.join("\n"))?;
    if addr.ip().is_loopback() || config.mode != AuthMode::Loopback {
        return Ok(());
    }
    Err(format!(
        "{addr} can be reached from other machines, and no authentication is configured; do one of these:\n\
         - listen on 127.0.0.1 (the default)\n\
         - set in [auth]: mode = \"oidc\", public_url, [auth.oidc] and [[auth.role]], for an identity provider\n\
         - set in [auth]: mode = \"proxy\", proxy_header and proxy_from, where a proxy identifies people\n\
         - set in [auth]: mode = \"link\" and public_url, for one-time links; or mode = \"tokens\" for programs only"
    ))
}

/// Scheme and authority of the address that people use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    https: bool,
    authority: String,
}

impl PublicUrl {
    /// `host` or `host:port`, in lower case.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    fn loopback(&self) -> bool {
        is_loopback_name(host_of(&self.authority))
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("`{s}` is not an address such as `https://rolecall.example.com`");
        let (scheme, rest) = s.split_once("://").ok_or_else(wrong)?;
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let authority = rest.trim_end_matches('/').to_ascii_lowercase();
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ', ',']) {
            return Err(wrong());
        }
        Ok(Self { https, authority })
    }
}

/// The host of an authority, without its port and without brackets.
#[must_use]
pub fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Whether a host is this machine by name or address.
#[must_use]
pub fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

macro_rules! deserialize_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
deserialize_text!(PublicUrl, IssuerUrl);

#[cfg(test)]
mod tests {
    use super::*;

    const OIDC: &str = "mode = 'oidc'\npublic_url = 'https://a.example'\n[[role]]\ngroup = 'sec'\nrole = 'viewer'\n\
                        [oidc]\nissuer = 'https://login.example'\nclient_id = 'rolecall'\n";

    fn config(text: &str) -> AuthConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_public_bind_needs_a_decision() {
        let (inside, outside) = ("127.0.0.1:8080".parse().unwrap(), "0.0.0.0:8080".parse().unwrap());
        for (text, inside_ok, outside_ok) in [
            ("", true, false),
            ("public_url = 'https://a.example'", true, false),
            ("mode = 'link'\npublic_url = 'https://a.example'", true, true),
            ("mode = 'link'\npublic_url = 'http://localhost:8080'", true, true),
            ("mode = 'link'\npublic_url = 'http://a.example'", false, false),
            ("mode = 'link'", false, false),
            ("mode = 'tokens'", true, true),
            ("mode = 'proxy'\nproxy_header = 'x-user'\nproxy_from = ['10.0.0.0/8']", true, true),
            ("mode = 'proxy'\nproxy_header = 'x-user'", false, false),
            ("mode = 'proxy'\nproxy_header = 'x user'\nproxy_from = ['10.0.0.0/8']", false, false),
            ("proxy_header = 'x-user'", false, false),
            (OIDC, true, true),
            (&OIDC.replace("'https://a.example'", "'http://a.example'"), false, false),
            (&OIDC.replace("[[role]]\ngroup = 'sec'\nrole = 'viewer'", ""), false, false),
            (&OIDC.replace("mode = 'oidc'", "mode = 'link'"), false, false),
            ("mode = 'oidc'\npublic_url = 'https://a.example'", false, false),
            ("[[role]]\ngroup = 'sec'\nrole = 'viewer'", false, false),
            (
                "mode = 'proxy'\nproxy_header = 'x-user'\nproxy_from = ['10.0.0.0/8']\nproxy_groups_header = 'x-g'",
                false,
                false,
            ),
        ] {
            assert_eq!(bind_allowed(inside, &config(text)).is_ok(), inside_ok, "inside: {text}");
            assert_eq!(bind_allowed(outside, &config(text)).is_ok(), outside_ok, "outside: {text}");
        }
    }

    #[test]
    fn misspelt_and_malformed_settings_do_not_load() {
        let issuer = OIDC.replace("https://login", "http://login");
        let key = OIDC.replace("client_id", "client_secret = 'x'\nclient_id");
        let limit = OIDC.replace("'viewer'", "'viewer'\nlimits = ['pod:x']");
        let role = OIDC.replace("'viewer'", "'owner'");
        for text in [&issuer, &key, &limit, &role] {
            assert!(toml::from_str::<AuthConfig>(text).is_err(), "{text}");
        }
        for text in ["mod = 'tokens'", "mode = 'none'", "public_url = 'a.example'", "proxy_from = ['10.0.0.0/33']"] {
            assert!(toml::from_str::<AuthConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_read_out_of_authorities() {
        for (authority, host) in [("a.example:8080", "a.example"), ("[::1]:80", "::1"), ("127.0.0.1", "127.0.0.1")] {
            assert_eq!(host_of(authority), host);
        }
        assert!(is_loopback_name("LOCALHOST") && is_loopback_name("127.0.0.9") && is_loopback_name("::1"));
        assert!(!is_loopback_name("localhost.evil.example"));
    }

    #[test]
    fn the_highest_role_of_the_groups_counts_with_what_it_sees() {
        let config = config(
            "[[role]]\ngroup = 'all'\nrole = 'viewer'\n\
             [[role]]\ngroup = 'pay'\nrole = 'triager'\nlimits = ['namespace:payments']\n\
             [[role]]\ngroup = 'web'\nrole = 'triager'\nlimits = ['namespace:web']\n\
             [[role]]\ngroup = 'sec'\nrole = 'triager'\n",
        );
        let seen = |limits: &[&str]| Visibility::of(limits.iter().map(|limit| limit.parse().unwrap()).collect());
        for (groups, role) in [
            (&["other"][..], None),
            (&[], None),
            (&["all"], Some((PersonRole::Viewer, seen(&[])))),
            (&["all", "pay"], Some((PersonRole::Triager, seen(&["namespace:payments"])))),
            (&["web", "pay"], Some((PersonRole::Triager, seen(&["namespace:payments", "namespace:web"])))),
            (&["web", "sec"], Some((PersonRole::Triager, seen(&[])))),
        ] {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(config.role_of(&groups), role, "{groups:?}");
        }
    }
}
