//! Addresses of endpoints: `https` alone, without credentials in them.

use hyper::Uri;
use std::fmt;
use std::str::FromStr;

/// An address such as `https://hooks.example.com/rolecall`. Its path may be a secret: [`fmt::Debug`] and
/// [`HttpsUrl::shown`] leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsUrl {
    host: String,
    port: u16,
    target: String,
}

/// A text that is no address of an endpoint; the text is not repeated, as it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not parse.
    #[error("it is not an address such as https://hooks.example.com/rolecall")]
    Form,
    /// It is of another scheme.
    #[error("it is not https")]
    Scheme,
    /// It holds a name and a password.
    #[error("it holds a user's name; endpoints verify signatures instead")]
    User,
}

impl FromStr for HttpsUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.trim().parse().map_err(|_| UrlError::Form)?;
        match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => {}
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Form),
        }
        let authority = uri.authority().ok_or(UrlError::Form)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = match authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => Some(443),
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        match port {
            Some(port) if !host.is_empty() && !text.trim().contains('#') => Ok(Self { host, port, target }),
            _ => Err(UrlError::Form),
        }
    }
}

impl HttpsUrl {
    /// The host's name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 where none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    #[must_use]
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Host and port, as the header `Host` has them.
    #[must_use]
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }

    /// The address without what may be secret in it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("https://{}/{}", self.authority(), if self.target == "/" { "" } else { "…" })
    }
}

impl fmt::Debug for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for (text, authority, target, shown) in [
            ("https://a.example", "a.example", "/", "https://a.example/"),
            ("https://A.example:8443/x?y=1", "a.example:8443", "/x?y=1", "https://a.example:8443/…"),
            ("https://[::1]/x", "[::1]", "/x", "https://[::1]/…"),
            ("HTTPS://a.example:443/", "a.example", "/", "https://a.example/"),
        ] {
            let url: HttpsUrl = text.parse().unwrap();
            assert_eq!((url.authority().as_str(), url.target(), url.shown().as_str()), (authority, target, shown));
            assert_eq!(format!("{url:?}"), shown);
        }
        for (text, wrong) in [
            ("http://a.example", UrlError::Scheme),
            ("ftp://a.example", UrlError::Scheme),
            ("https://user:pass@a.example/", UrlError::User),
            ("https://a.example@b.example/", UrlError::User),
            ("a.example", UrlError::Form),
            ("https://", UrlError::Form),
            ("https://a.example:0/", UrlError::Form),
            ("https://a.example:99999/", UrlError::Form),
            ("https://a.example/ x", UrlError::Form),
            ("https://a.example/#x", UrlError::Form),
            ("/x", UrlError::Form),
            ("", UrlError::Form),
        ] {
            assert_eq!(text.parse::<HttpsUrl>(), Err(wrong), "{text}");
        }
    }
}
