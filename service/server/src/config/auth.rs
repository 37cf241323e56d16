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
        if !proxy && !self.role.is_empty() {
            wrong.push("`[[auth.role]]` needs `auth.mode = \"proxy\"` with `auth.proxy_groups_header`".to_owned());
        }
        match (&self.public_url, self.mode) {
            (None, AuthMode::Link) => {
                wrong.push("`auth.mode = \"link\"` needs `auth.public_url`, the address that people use".to_owned());
            }
            (Some(url), AuthMode::Link | AuthMode::Proxy) if !url.https && !url.loopback() => {
                wrong.push(format!("`auth.public_url` is `{url}`: cookies need `https`, except on localhost"));
            }
            _ => {}
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
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
deserialize_text!(PublicUrl);

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(bind_allowed(inside, &config(text)).is_ok(), inside_ok, "inside: {text}");
            assert_eq!(bind_allowed(outside, &config(text)).is_ok(), outside_ok, "outside: {text}");
        }
    }

    #[test]
    fn misspelt_and_malformed_settings_do_not_load() {
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
}
