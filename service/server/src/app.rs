//! What a running Rolecall holds: one value, cheap to clone, given to every handler and job.
//!
//! Knows the parts and nothing of what they do. Refuses to know HTTP, SQL, AWS and the command line.

use crate::config::Config;
use std::sync::Arc;

/// The parts of a running Rolecall.
#[derive(Clone)]
pub struct App {
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Keys that this installation made for itself.
    pub secrets: Arc<Secrets>,
}

/// Keys that this installation made for itself; the same for every replica.
pub struct Secrets {
    signing_key: [u8; 32],
}

impl Secrets {
    /// Wraps the key kept in the database.
    #[must_use]
    pub fn new(signing_key: [u8; 32]) -> Self {
        Self { signing_key }
    }

    /// Signs cursors and form tokens.
    #[must_use]
    pub fn signing_key(&self) -> &[u8; 32] {
        &self.signing_key
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}
