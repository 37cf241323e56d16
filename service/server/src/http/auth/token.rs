//! API tokens: `rlc_<8 public>_<43 secret>_<6 checksum>`.
//!
//! The public part finds the row, the secret proves, the checksum lets a scanner tell a real token
//! from a look-alike. Only the SHA-256 of the whole text is kept: the secret has 256 bits, so a
//! slow hash would buy nothing. Refuses to know where tokens are kept.

use chrono::{DateTime, Duration, Utc};
use rand::distr::{Alphanumeric, SampleString as _};
use rolecall_iam::Digest;
use rolecall_store::TokenSuccessor;

pub use crate::http::principal::Scope;

/// The longest life of a token, in days.
pub const MAX_DAYS: i64 = 365;

/// A new token. The text is shown once and kept nowhere.
#[derive(Clone)]
pub struct Minted {
    /// The whole token, for the person who asked.
    pub text: String,
    /// Its public part, which names it in lists and logs.
    pub public_id: String,
    /// What is kept.
    pub hash: Digest,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Why a token is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// No expiry within the bounds.
    #[error("a token lives 1 to {MAX_DAYS} days, not {0}")]
    Days(i64),
    /// No scope.
    #[error("a token needs at least one scope, such as `findings:read`")]
    NoScope,
}

/// Makes a token.
///
/// # Errors
/// If it would live too long, or could do nothing.
pub fn mint(scopes: &[Scope], days: i64, now: DateTime<Utc>) -> Result<Minted, MintError> {
    let minted = minted(days, now)?;
    if scopes.is_empty() { Err(MintError::NoScope) } else { Ok(minted) }
}

fn minted(days: i64, now: DateTime<Utc>) -> Result<Minted, MintError> {
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(MintError::Days(days));
    }
    let public_id = random(8);
    let body = format!("rlc_{public_id}_{}", random(43));
    let text = format!("{body}_{}", checksum(&body));
    let hash = Digest::sha256(text.as_bytes());
    Ok(Minted { text, public_id, hash, expires_at: now + Duration::days(days) })
}

/// Makes the token that takes another's place; the other one is valid for so many hours more.
///
/// # Errors
/// If it would live too long.
pub fn successor(days: i64, overlap_hours: i64, now: DateTime<Utc>) -> Result<(Minted, TokenSuccessor), MintError> {
    let minted = minted(days, now)?;
    let successor = TokenSuccessor {
        public_id: minted.public_id.clone(),
        hash: minted.hash.as_bytes().to_vec(),
        created_at: now,
        expires_at: minted.expires_at,
        other_until: now + Duration::hours(overlap_hours),
    };
    Ok((minted, successor))
}

/// Random letters and digits from the operating system's generator.
#[must_use]
pub fn random(letters: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), letters)
}

/// The public part of a text that has a token's shape and checksum.
#[must_use]
pub fn public_id(text: &str) -> Option<&str> {
    let (body, sum) = text.rsplit_once('_')?;
    let (public, secret) = body.strip_prefix("rlc_")?.split_once('_')?;
    let plain = |s: &str, len: usize| s.len() == len && s.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain(public, 8) && plain(secret, 43) && checksum(body) == sum).then_some(public)
}

/// Six base62 digits of a SHA-256: enough to rule out chance, no secret.
fn checksum(body: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Digest::sha256(body.as_bytes());
    let mut number = digest.as_bytes().iter().take(8).fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let mut out = String::with_capacity(6);
    for _ in 0..6 {
        let digit = usize::try_from(number % 62).ok().and_then(|at| DIGITS.get(at)).copied().unwrap_or(b'0');
        out.push(char::from(digit));
        number /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_minted_token_is_recognised_and_nothing_near_it_is() {
        let minted = mint(&[Scope::FindingsRead], 90, now()).unwrap();
        assert_eq!(minted.text.len(), 4 + 8 + 1 + 43 + 1 + 6);
        assert_eq!(public_id(&minted.text), Some(minted.public_id.as_str()));
        assert_eq!(minted.hash, Digest::sha256(minted.text.as_bytes()));
        for at in 0..minted.text.len() {
            let mut other = minted.text.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(public_id(&String::from_utf8(other).unwrap()), None, "at {at}");
        }
        for text in ["", "rlc_", "rlc___", "rlc_12345678_short_000000"] {
            assert_eq!(public_id(text), None);
        }
    }

    #[test]
    fn a_token_must_end_and_must_be_for_something() {
        assert_eq!(mint(&[Scope::Admin], 0, now()).err(), Some(MintError::Days(0)));
        assert_eq!(mint(&[Scope::Admin], 366, now()).err(), Some(MintError::Days(366)));
        assert_eq!(mint(&[], 30, now()).err(), Some(MintError::NoScope));
        assert_eq!(mint(&[Scope::Admin], 365, now()).unwrap().expires_at, now() + Duration::days(365));
    }

    #[test]
    fn scopes_read_back() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>().unwrap(), scope);
        }
        assert!("findings".parse::<Scope>().unwrap_err().words.contains(&"findings:read"));
    }
}
