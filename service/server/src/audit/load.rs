//! The stored estate as rules judge it.
//!
//! One road for audits and for questions about proposed changes, so that both judge the same.

use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::{Documents, Estate};
use rolecall_store::Store;
use std::collections::BTreeSet;
use std::time::Duration;

/// How the stored estate is judged.
#[derive(Debug, Clone)]
pub struct Judging {
    /// Sessions from this moment on are judged.
    pub since: DateTime<Utc>,
    /// Since when the source of trails tells all; `None` where nobody can say.
    pub read_since: Option<DateTime<Utc>>,
    /// The time by which it is judged.
    pub now: DateTime<Utc>,
    /// What happened longer before is not kept.
    pub kept: Duration,
    /// What is stated where nobody provided it.
    pub assumed: BTreeSet<Assumption>,
}

/// Loads the estate with everything that rules ask for; `written` are documents that the snapshot of this
/// process has just written, and that need not be read again.
///
/// # Errors
/// Where the database fails.
pub async fn load(store: &Store, judging: &Judging, written: Documents) -> Result<Estate, Error> {
    let mut estate = store.estate_with(judging.since, written).await?;
    estate.sessions_since = judging.read_since;
    let kept = TimeDelta::from_std(judging.kept).unwrap_or(TimeDelta::MAX);
    estate.sessions_kept_since = judging.now.checked_sub_signed(kept);
    estate.assumed.clone_from(&judging.assumed);
    Ok(estate)
}
