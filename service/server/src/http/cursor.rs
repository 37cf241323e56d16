//! Cursors: where a list goes on, signed so that nobody can make one up.
//!
//! A cursor is the base64url of `{v, s, f, k}` (version, sort, hash of the filters, last key) and
//! of an HMAC-SHA256 over it. One that was altered, or that comes with another sort or other
//! filters, is refused: it would skip or repeat rows without anybody noticing. Refuses to know
//! what the key means.

use super::error::{AppError, Code};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// An HMAC under a key of one purpose, so that a signature for one thing proves nothing elsewhere.
#[must_use]
pub fn seal(key: &[u8; 32], purpose: &str, message: &[u8]) -> [u8; 32] {
    // HMAC takes a key of its block's size; a shorter one is filled up with zeros.
    let mut block = [0_u8; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mac = Hmac::<Sha256>::new(&block.into());
    let sized = |text: &[u8]| u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes();
    let mac = mac.chain_update(sized(purpose.as_bytes())).chain_update(purpose).chain_update(message);
    mac.finalize().into_bytes().into()
}

/// Whether two byte strings are equal, in a time that does not depend on where they differ.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    a.ct_eq(b).into()
}

#[derive(Serialize, Deserialize)]
struct Payload<K> {
    v: u8,
    s: String,
    f: String,
    k: K,
}

/// The cursor after `last`, for this sort and these filters.
///
/// # Errors
/// If the key cannot be written as JSON, which is a fault of ours.
pub fn write<K: Serialize>(key: &[u8; 32], sort: &str, filters: &str, last: &K) -> Result<String, AppError> {
    let payload = Payload { v: 1, s: sort.to_owned(), f: filters.to_owned(), k: last };
    let json = serde_json::to_vec(&payload).map_err(AppError::internal)?;
    let mac = seal(key, "cursor", &json);
    Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(mac)))
}

/// The key that a cursor holds.
///
/// # Errors
/// `cursor_mismatch` if the cursor is not ours, was altered, or belongs to another sort or filters.
pub fn read<K: DeserializeOwned>(key: &[u8; 32], sort: &str, filters: &str, cursor: &str) -> Result<K, AppError> {
    let refuse = |why: &str| AppError::new(Code::CursorMismatch, format!("the cursor {why}; start again without it"));
    let parts = cursor
        .split_once('.')
        .and_then(|(json, mac)| Some((URL_SAFE_NO_PAD.decode(json).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?)));
    let (json, mac) = parts.ok_or_else(|| refuse("is not one of ours"))?;
    if !same(&seal(key, "cursor", &json), &mac) {
        return Err(refuse("was altered"));
    }
    let payload: Payload<K> = serde_json::from_slice(&json).map_err(|_| refuse("is of another list or version"))?;
    if payload.v != 1 || payload.s != sort || payload.f != filters {
        return Err(refuse("belongs to another sort or other filters"));
    }
    Ok(payload.k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn a_cursor_reads_back_under_its_own_sort_and_filters_only() {
        let cursor = write(&KEY, "severity", "abc", &(4_u8, 17_i64)).unwrap();
        assert_eq!(read::<(u8, i64)>(&KEY, "severity", "abc", &cursor).unwrap(), (4, 17));
        for (key, sort, filters) in
            [(KEY, "number", "abc"), (KEY, "severity", "abd"), (KEY, "severity", ""), ([8; 32], "severity", "abc")]
        {
            assert_eq!(read::<(u8, i64)>(&key, sort, filters, &cursor).unwrap_err().code, Code::CursorMismatch);
        }
    }

    #[test]
    fn a_seal_is_of_one_purpose() {
        assert_ne!(seal(&KEY, "cursor", b"x"), seal(&KEY, "form", b"x"));
        assert_ne!(seal(&KEY, "a", b"bc"), seal(&KEY, "ab", b"c"));
    }

    proptest! {
        #[test]
        fn no_single_changed_character_passes(at in 0_usize..200, to in proptest::char::range('!', '~')) {
            let cursor = write(&KEY, "severity", "abc", &(4_u8, 17_i64)).unwrap();
            let mut letters: Vec<char> = cursor.chars().collect();
            let at = at % letters.len();
            prop_assume!(letters[at] != to);
            letters[at] = to;
            let altered: String = letters.into_iter().collect();
            prop_assert!(read::<(u8, i64)>(&KEY, "severity", "abc", &altered).is_err());
        }

        #[test]
        fn no_text_makes_it_fail_otherwise(text in ".{0,80}") {
            prop_assert_eq!(read::<(u8, i64)>(&KEY, "s", "f", &text).unwrap_err().code, Code::CursorMismatch);
        }
    }
}
