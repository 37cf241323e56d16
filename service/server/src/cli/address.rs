//! Addresses to listen on, as people write them.

use std::net::{IpAddr, SocketAddr};

/// An address with a port. What is not one is answered with the one that was probably meant.
///
/// # Errors
/// What is wrong, and what would be right.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let meant = meant(text.trim()).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        format!("it needs an IP address and a port: write `{meant}`")
    })
}

fn meant(text: &str) -> Option<String> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(SocketAddr::from((ip, 8080)).to_string());
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().ok()?;
    match host {
        "" | "localhost" => Some(format!("127.0.0.1:{port}")),
        "*" => Some(format!("0.0.0.0:{port}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_answered_with_the_one_that_was_meant() {
        for (text, meant) in [
            ("18099", "127.0.0.1:18099"),
            (":18099", "127.0.0.1:18099"),
            ("localhost:80", "127.0.0.1:80"),
            ("*:80", "0.0.0.0:80"),
            ("10.0.0.1", "10.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("[::1]", "[::1]:8080"),
            ("example.org:80", "127.0.0.1:8080"),
            ("99999", "127.0.0.1:8080"),
            ("", "127.0.0.1:8080"),
        ] {
            let error = socket(text).unwrap_err();
            assert!(error.ends_with(&format!("write `{meant}`")), "{text}: {error}");
            meant.parse::<SocketAddr>().unwrap();
        }
        assert_eq!(socket("[::1]:80").unwrap().port(), 80);
    }
}
