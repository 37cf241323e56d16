//! ID tokens: whether the issuer signed one for us, for this sign-in, and now.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>. Signed by one of the asymmetric
//! algorithms of RFC 7518 and RFC 8037; `none` and shared secrets are refused, whatever the token says of itself.

use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

/// So far apart the clocks of issuer and service may be.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// Why an ID token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is no JWT.
    #[error("it is not a signed JWT: {0}")]
    Malformed(&'static str),
    /// It is signed in a way that is not believed.
    #[error("its algorithm `{0}` is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA")]
    Algorithm(String),
    /// The issuer's key set has no key for it; it may have been rotated.
    #[error("the issuer's key set has no key for it")]
    UnknownKey,
    /// The signature does not fit.
    #[error("its signature is not of the issuer's key")]
    Signature,
    /// A claim is not what it must be.
    #[error("its claim `{claim}` {why}")]
    Claim {
        /// Which.
        claim: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// What a believed ID token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(serde_json::Map<String, Value>);

impl Claims {
    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// A claim that is a list of texts, or one text.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the issuer says that it did not verify the e-mail address.
    #[must_use]
    pub fn email_is_unverified(&self) -> bool {
        matches!(self.0.get("email_verified"), Some(Value::Bool(false)))
            || self.text("email_verified").is_some_and(|text| text == "false")
    }

    fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        let value = self.0.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "a NumericDate with a fraction is rounded down")]
        let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))?;
        DateTime::from_timestamp(seconds, 0)
    }
}

/// The issuer's keys. <https://www.rfc-editor.org/rfc/rfc7517>
#[derive(Debug, Clone, Default, Deserialize)]
pub struct KeySet {
    keys: Vec<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn rsa(alg: &str) -> Option<&'static RsaParameters> {
    Some(match alg {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

impl Key {
    /// Whether the key is one to verify a token of this header with.
    fn fits(&self, header: &Header) -> bool {
        let kind = match header.alg.as_str() {
            "ES256" => self.kty == "EC" && self.crv.as_deref() == Some("P-256"),
            "ES384" => self.kty == "EC" && self.crv.as_deref() == Some("P-384"),
            "EdDSA" => self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519"),
            _ => self.kty == "RSA",
        };
        kind && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.alg.as_deref().is_none_or(|alg| alg == header.alg)
            && header.kid.as_ref().is_none_or(|kid| self.kid.as_ref().is_none_or(|own| own == kid))
    }

    fn verifies(&self, alg: &str, message: &[u8], signed: &[u8]) -> bool {
        let part = |part: &Option<String>| part.as_deref().and_then(decode);
        if let Some(parameters) = rsa(alg) {
            let (Some(n), Some(e)) = (part(&self.n), part(&self.e)) else { return false };
            return RsaPublicKeyComponents { n, e }.verify(parameters, message, signed).is_ok();
        }
        let Some(x) = part(&self.x) else { return false };
        if alg == "EdDSA" {
            return UnparsedPublicKey::new(&signature::ED25519, x).verify(message, signed).is_ok();
        }
        let Some(y) = part(&self.y) else { return false };
        // The uncompressed form of a point: SEC 1, 2.3.3.
        let point = [&[4_u8][..], &x, &y].concat();
        let algorithm =
            if alg == "ES384" { &signature::ECDSA_P384_SHA384_FIXED } else { &signature::ECDSA_P256_SHA256_FIXED };
        UnparsedPublicKey::new(algorithm, point).verify(message, signed).is_ok()
    }
}

impl KeySet {
    /// The claims of an ID token, if the issuer signed it for this client and this sign-in, and it holds now.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(
        &self,
        token: &str,
        issuer: &str,
        client_id: &str,
        nonce: &str,
        now: DateTime<Utc>,
    ) -> Result<Claims, IdTokenError> {
        let claims = self.signed(token)?;
        check(&claims, issuer, client_id, nonce, now)?;
        Ok(claims)
    }

    fn signed(&self, token: &str) -> Result<Claims, IdTokenError> {
        let malformed = IdTokenError::Malformed;
        let (message, signed) = token.rsplit_once('.').ok_or(malformed("it has no signature"))?;
        let (header, body) = message.split_once('.').ok_or(malformed("it has no body"))?;
        let header = decode(header).ok_or(malformed("its header is not base64url"))?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| malformed("its header is not JSON"))?;
        if rsa(&header.alg).is_none() && !matches!(header.alg.as_str(), "ES256" | "ES384" | "EdDSA") {
            return Err(IdTokenError::Algorithm(header.alg.chars().take(32).collect()));
        }
        let signed = decode(signed).ok_or(malformed("its signature is not base64url"))?;
        // A key of a kind that is not known here is none of ours.
        let keys = self.keys.iter().filter_map(|key| serde_json::from_value::<Key>(key.clone()).ok());
        let keys: Vec<Key> = keys.filter(|key| key.fits(&header)).collect();
        if keys.is_empty() {
            return Err(IdTokenError::UnknownKey);
        }
        if !keys.iter().any(|key| key.verifies(&header.alg, message.as_bytes(), &signed)) {
            return Err(IdTokenError::Signature);
        }
        let body = decode(body).ok_or(malformed("its body is not base64url"))?;
        serde_json::from_slice(&body).map(Claims).map_err(|_| malformed("its body is not a JSON object"))
    }
}

fn check(claims: &Claims, issuer: &str, client_id: &str, nonce: &str, now: DateTime<Utc>) -> Result<(), IdTokenError> {
    let wrong = |claim, why| Err(IdTokenError::Claim { claim, why });
    if claims.text("iss") != Some(issuer) {
        return wrong("iss", "is another issuer");
    }
    let audience = claims.texts("aud");
    if !audience.iter().any(|it| it == client_id) {
        return wrong("aud", "does not name this client");
    }
    match claims.text("azp") {
        None if audience.len() > 1 => return wrong("azp", "is missing, and there is more than one audience"),
        Some(azp) if azp != client_id => return wrong("azp", "names another client"),
        _ => {}
    }
    let Some(expires) = claims.time("exp") else { return wrong("exp", "is missing") };
    if now >= expires + LEEWAY {
        return wrong("exp", "has passed");
    }
    let Some(issued) = claims.time("iat") else { return wrong("iat", "is missing") };
    if issued > now + LEEWAY {
        return wrong("iat", "is still to come; are the clocks right?");
    }
    if claims.time("nbf").is_some_and(|from| from > now + LEEWAY) {
        return wrong("nbf", "is still to come; are the clocks right?");
    }
    if claims.text("nonce") != Some(nonce) {
        return wrong("nonce", "is of another sign-in");
    }
    if claims.text("sub").is_none() {
        return wrong("sub", "is missing");
    }
    Ok(())
}
