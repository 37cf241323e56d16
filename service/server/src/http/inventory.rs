//! What pages and API of the inventory ask alike. Refuses to know how an answer is shown.

use crate::app::App;
use chrono::{DateTime, Duration, Utc};
use rolecall_estate::{AssociationKey, Role};
use rolecall_iam::Digest;
use rolecall_store::PolicyRow;

/// From when on sessions count on the pages and in the API.
pub(super) fn sessions_since(app: &App, now: DateTime<Utc>) -> DateTime<Utc> {
    now - Duration::days(i64::from(app.config.aws.trail_lookback_days))
}

/// The key that a path spells.
pub(super) fn read_key(path: &str) -> Option<AssociationKey> {
    path.parse().ok()
}

/// The addresses of every document that a role names.
pub(super) fn digests(role: &Role, policies: &[PolicyRow]) -> Vec<Digest> {
    let inline = role.inline.iter().map(|policy| policy.document);
    let managed = policies.iter().filter_map(|row| row.policy.document);
    role.trust.into_iter().chain(inline).chain(managed).collect()
}
