//! A moment that has passed.
//!
//! The inventory of a moment is that of the latest snapshot before it. Resources are kept as intervals of runs, and
//! so is whether a listing was complete; what of a scan is kept of the latest only (when IAM last saw a role used,
//! findings, when a listing was read) is not told of a moment that has passed.

use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store};
use chrono::{DateTime, Utc};

/// A moment that has passed, with the snapshot that was the latest then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    at: DateTime<Utc>,
    run: RunId,
    scanned_at: DateTime<Utc>,
}

impl AsOf {
    /// The moment that was asked for.
    #[must_use]
    pub fn at(self) -> DateTime<Utc> {
        self.at
    }

    /// The run whose snapshot was the latest.
    #[must_use]
    pub fn run(self) -> RunId {
        self.run
    }

    /// When that snapshot was made.
    #[must_use]
    pub fn scanned_at(self) -> DateTime<Utc> {
        self.scanned_at
    }
}

/// Why there is nothing to tell of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotThen {
    /// It is still to come.
    Future,
    /// It is before the first scan that is kept; `None`: there is none.
    BeforeFirst(Option<DateTime<Utc>>),
}

impl Store {
    /// The snapshot that was the latest at a moment, or why there is none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn as_of(&self, at: DateTime<Utc>) -> Result<Result<AsOf, NotThen>, Error> {
        let row = sqlx::query!(
            r#"select t.now as "now!", (select min(snapshot_at) from run where account_id = $1) as first,
                      s.id as "id?", s.snapshot_at as "snapshot_at?"
               from (select clock_timestamp() as now) t
               left join lateral (select id, snapshot_at from run where account_id = $1 and snapshot_at <= $2
                                  order by id desc limit 1) s on true"#,
            INSTALLATION,
            at
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(match row.id.zip(row.snapshot_at) {
            _ if at > row.now => Err(NotThen::Future),
            Some((id, scanned_at)) => Ok(AsOf { at, run: RunId(id), scanned_at }),
            None => Err(NotThen::BeforeFirst(row.first)),
        })
    }
}
