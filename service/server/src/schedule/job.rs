//! The kinds of work that are done in the background, and how each is asked for.

use rolecall_store::NewJob;
use std::time::Duration;

/// An audit of the configured accounts.
pub const AUDIT: &str = "audit";
/// The kind of run that it is.
pub const AUDITS_AS: &str = "scan";
/// Reading the queues of trails between scans, and scanning the accounts whose resources calls changed.
pub const EVENTS: &str = "events";
/// The kind of run that reads queues between scans.
pub const READS_AS: &str = "events";
/// The kind of run that scans accounts because of calls.
pub const RESCANS_AS: &str = "rescan";
/// Judging changes again, without a scan.
pub const CHANGES: &str = "changes";
/// Forgetting what is older than the configuration wants to keep.
pub const CLEANUP: &str = "cleanup";

/// An audit that somebody asked for.
#[must_use]
pub fn audit_now(requested_by: &str) -> NewJob {
    new(AUDIT, requested_by, 10, Duration::ZERO)
}

/// Judging changes again, since an approval was given, withdrawn or has ended.
#[must_use]
pub fn changes_again(requested_by: &str) -> NewJob {
    new(CHANGES, requested_by, 20, Duration::ZERO)
}

/// A job that its schedule started, to be put off for a while.
#[must_use]
pub fn scheduled(kind: &str, delay: Duration) -> NewJob {
    new(kind, "schedule", 0, delay)
}

fn new(kind: &str, trigger: &str, priority: i32, delay: Duration) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        dedupe_key: String::new(),
        payload: serde_json::json!({ "trigger": trigger }),
        priority,
        delay,
        max_attempts: 3,
    }
}
