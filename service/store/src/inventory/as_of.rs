//! A moment that has passed.
//!
//! The inventory of a moment is that of the latest snapshot before it. Resources are kept as intervals of runs, and
//! so is whether a listing was complete; what of a scan is kept of the latest only (when IAM last saw a role used,
//! findings, when a listing was read) is not told of a moment that has passed.

use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store};
use chrono::{DateTime, Utc};

/// A moment that has passed, with the snapshot that was the latest then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

    /// The first snapshots after a moment, and before another, that show a change of one of these roles or of an
    /// association that names one of them or is one of `associations`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn scans_of_change(
        &self,
        roles: &[String],
        associations: &[String],
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<AsOf>, Error> {
        let rows = sqlx::query!(
            r#"with version as (
                   select seen_from, seen_to from resource where kind = 'role' and key = any($2)
                   union all
                   select seen_from, seen_to from resource where kind = 'association' and role_arn = any($2)
                   union all
                   select seen_from, seen_to from resource where kind = 'association' and target_role_arn = any($2)
                   union all
                   select seen_from, seen_to from resource where kind = 'association' and key = any($3)),
               step as (select seen_from as id from version union select seen_to from version)
               select r.id, r.snapshot_at as "snapshot_at!" from step
               join run r on r.account_id = $1 and r.id = step.id
               where r.snapshot_at > $4 and r.snapshot_at < $5 order by r.id limit $6"#,
            INSTALLATION,
            roles,
            associations,
            since,
            until,
            crate::parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let as_of = |id, at| AsOf { at, run: RunId(id), scanned_at: at };
        Ok(rows.into_iter().map(|row| as_of(row.id, row.snapshot_at)).collect())
    }
}
