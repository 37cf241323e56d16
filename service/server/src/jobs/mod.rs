//! Work that is done in the background: what there is, and when it comes by itself.
//!
//! A job takes no more input than who asked for it, and doing it twice does no harm.

use chrono::{DateTime, Utc};
use rolecall_store::NewJob;

/// An audit of the configured accounts.
pub const AUDIT: &str = "audit";
/// An audit that somebody asked for.
#[must_use]
pub fn audit_now(requested_by: &str, now: DateTime<Utc>) -> NewJob {
    new(AUDIT, requested_by, 10, now)
}

fn new(kind: &str, trigger: &str, priority: i32, run_at: DateTime<Utc>) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        dedupe_key: String::new(),
        payload: serde_json::json!({ "trigger": trigger }),
        priority,
        run_at,
        max_attempts: 3,
    }
}
