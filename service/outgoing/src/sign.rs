//! Signatures of Standard Webhooks 1.0: <https://www.standardwebhooks.com>.
//!
//! What is signed is `{id}.{timestamp}.{body}`, with HMAC-SHA256. While a secret is rotated a message has a signature
//! by each, so that a receiver that knows either of them accepts it.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;

/// Secrets come with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that messages are signed with. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// A text that is no signing secret; the text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It lacks its prefix.
    #[error("a signing secret begins with `whsec_`")]
    Prefix,
    /// The rest is no Base64.
    #[error("after `whsec_` a signing secret is Base64")]
    Base64,
    /// Too short to be safe, or longer than the specification allows.
    #[error("a signing secret has 24 to 64 bytes, and this one {0}")]
    Length(usize),
}

impl FromStr for SigningSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
        let key = LENIENT.decode(encoded).map_err(|_| SecretError::Base64)?;
        if (24..=64).contains(&key.len()) { Ok(Self(key)) } else { Err(SecretError::Length(key.len())) }
    }
}

/// The value of `webhook-signature`: one signature for each secret. `timestamp` is in seconds since 1970.
#[must_use]
pub fn signature(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let sign = |secret: &SigningSecret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    secrets.iter().filter_map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn another_implementation_verifies_what_is_signed() {
        let other = format!("whsec_{}", STANDARD.encode([7_u8; 32]));
        let secrets: Vec<SigningSecret> = [&other, SECRET].iter().map(|text| text.parse().unwrap()).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let body = br#"{"type":"finding.opened","data":{"title":"A \u00fc"}}"#;
        let signed = signature(&secrets, "msg_1", i64::try_from(now).unwrap(), body);
        assert_eq!(signed.split(' ').count(), 2);
        let verify = |secret: &str, id: &str, body: &[u8]| {
            let mut headers = standardwebhooks_headers();
            headers.insert("webhook-id", id.parse().unwrap());
            headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
            headers.insert("webhook-signature", signed.parse().unwrap());
            standardwebhooks::Webhook::new(secret).unwrap().verify(body, &headers).is_ok()
        };
        assert!(verify(SECRET, "msg_1", body) && verify(&other, "msg_1", body));
        assert!(!verify(SECRET, "msg_2", body) && !verify(SECRET, "msg_1", b"{}"));
        assert!(!verify(&format!("whsec_{}", STANDARD.encode([8_u8; 32])), "msg_1", body));
    }

    fn standardwebhooks_headers() -> hyper::HeaderMap {
        hyper::HeaderMap::new()
    }

    #[test]
    fn secrets_are_read_strictly_and_not_shown() {
        for (text, wrong) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            ("whsec_*", SecretError::Base64),
            ("whsec_AAAA", SecretError::Length(3)),
            ("whsec_", SecretError::Length(0)),
        ] {
            assert_eq!(text.parse::<SigningSecret>(), Err(wrong), "{text}");
        }
        assert!(format!("whsec_{}", STANDARD.encode([1_u8; 65])).parse::<SigningSecret>().is_err());
        let secret: SigningSecret = format!("{SECRET}\n").parse().unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
        // Without its padding it is the same.
        let padded = format!("whsec_{}", STANDARD.encode([9_u8; 25]));
        assert_eq!(padded.parse::<SigningSecret>(), padded.trim_end_matches('=').parse());
    }
}
