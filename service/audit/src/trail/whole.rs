//! Which stretches of a trail were read whole: from one moment to another nothing is missing of what
//! CloudTrail delivered there. Only within such a stretch is a call that is not there a call that was
//! not made. Refuses to know what a trail's selectors leave out.

use crate::id::Region;
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};

/// A stretch of the trail of an account's region that one source read whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// The name of the source.
    pub source: String,
    /// Whose events.
    pub account_id: AccountId,
    /// Of which region.
    pub region: Region,
    /// The first moment of which nothing is missing.
    pub from: DateTime<Utc>,
    /// Up to, and without, this moment.
    pub to: DateTime<Utc>,
    /// Which events it would have had.
    pub holds: Holds,
    /// Whether the source would have shown another region of the account, had it any events.
    pub all_regions: bool,
}

/// Which events a source has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Those that begin sessions: `LookupEvents`, asked for them alone.
    Sessions,
    /// Every management event: `LookupEvents`.
    Management,
    /// What the trails record that deliver to this bucket.
    Bucket(String),
    /// Whatever the trail records, of which nobody says what it is: files that somebody says are whole.
    Stated,
}
