//! Ed25519 keys (RFC 8032): read from where an operator keeps them, to sign baselines and to verify them.
//!
//! INVARIANT: a private key is neither printed nor kept anywhere but in memory.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rolecall_audit::drift::baseline::Signature;
use rolecall_collect::trails;
use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// A key file has some hundred bytes.
const LARGEST: u64 = 16 * 1024;

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Whether a signature of these bytes is its own.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = String;

    /// Reads PEM (`BEGIN PUBLIC KEY`), or the 32 bytes in Base64.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it is not an Ed25519 public key".to_owned();
        let bytes = match pem(text, "PUBLIC KEY") {
            Some(der) => der.strip_prefix(SPKI.as_slice()).ok_or_else(wrong)?.to_vec(),
            None => STANDARD.decode(text.trim()).map_err(|_| wrong())?,
        };
        Ok(Self(bytes.try_into().map_err(|_| wrong())?))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// Reads a file of PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// A file that cannot be read, that others than its owner and group may read, or that is no such key.
    pub fn read(path: &Path) -> Result<Self, std::io::Error> {
        let wrong = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
        let file = trails::open_file(path)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if file.metadata()?.permissions().mode() & 0o027 != 0 {
                return Err(wrong("others may read or change it; run `chmod 600` on it"));
            }
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text)?;
        Self::from_pem(&text).ok_or_else(|| {
            wrong("it is not an Ed25519 private key in PEM; make one with `openssl genpkey -algorithm ed25519`")
        })
    }

    fn from_pem(text: &str) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pem(text, "PRIVATE KEY")?).ok()?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature { key: self.public.to_string(), value: STANDARD.encode(self.pair.sign(bytes)) }
    }
}

/// Whose signature of the bytes it is.
///
/// # Errors
/// Where it is none: why, in words.
pub fn signer(bytes: &[u8], signature: &Signature) -> Result<PublicKey, String> {
    let key: PublicKey = signature.key.parse()?;
    let value = STANDARD.decode(&signature.value).map_err(|_| "the signature is not Base64".to_owned())?;
    if key.verifies(bytes, &value) { Ok(key) } else { Err("the signature does not fit the contents".to_owned()) }
}

/// The bytes of the first PEM block of a label (RFC 7468).
fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new key as files hold it: the private key and the public one.
    fn files() -> (String, String) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let block = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
        };
        let spki = [&SPKI[..], pair.public_key().as_ref()].concat();
        (block("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()), block("PUBLIC KEY", &spki))
    }

    #[test]
    fn a_key_signs_and_its_public_half_verifies() {
        let (private, public) = files();
        let key = SigningKey::from_pem(&private).unwrap();
        let public: PublicKey = public.parse().unwrap();
        assert_eq!(key.public(), public);
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
        let signature = key.sign(b"text");
        assert_eq!(signer(b"text", &signature).unwrap(), public);
        assert!(signer(b"Text", &signature).unwrap_err().contains("does not fit"));
        let other = Signature { value: "AAAA".into(), ..signature };
        assert!(signer(b"text", &other).is_err());
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (private, public) = files();
        for text in ["", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", &private] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
        assert!(SigningKey::from_pem(&public).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("rolecall-key-{}.pem", std::process::id()));
        std::fs::write(&path, files().0).unwrap();
        for (mode, is_read) in [(0o600, true), (0o440, true), (0o644, false), (0o660, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let found = SigningKey::read(&path);
            assert_eq!(found.is_ok(), is_read, "{mode:o}: {found:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(SigningKey::read(&path).is_err());
    }
}
