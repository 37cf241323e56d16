//! The complete range of each Region's trail, by source.
//!
//! Refuses to know how ranges join: `estate` does.

use super::TrailBatch;
use crate::work::jobs::interval;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::{CompleteRange, EventScope, IncompleteDay};
use rolecall_iam::AccountId;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::Duration;

const TABLE: &str = "trail_complete_range";
/// A range that reaches this much further than the database's clock was told by one that was wrong:
/// events may be a day ahead.
const AHEAD: Duration = Duration::from_secs(2 * 86_400);

struct Record {
    account_id: String,
    region: String,
    source: String,
    from_at: DateTime<Utc>,
    to_at: DateTime<Utc>,
    event_scope: String,
    bucket: Option<String>,
    all_regions: bool,
}

impl Record {
    fn into_range(self) -> Result<CompleteRange, Error> {
        let event_scope = match (self.event_scope.as_str(), self.bucket) {
            ("sessions", None) => EventScope::Sessions,
            ("management", None) => EventScope::Management,
            ("bucket", Some(bucket)) => EventScope::Bucket(bucket),
            ("stated", None) => EventScope::Stated,
            (other, _) => return Err(Error::corrupt(TABLE, self.source, format!("`{other}` is nothing to hold"))),
        };
        Ok(CompleteRange {
            account_id: parse::account(TABLE, &self.account_id)?,
            region: parse::text(TABLE, &self.account_id, &self.region)?,
            source: self.source,
            from: self.from_at,
            to: self.to_at,
            event_scope,
            all_regions: self.all_regions,
        })
    }
}

/// The columns `holds` and `bucket`.
fn columns(event_scope: &EventScope) -> (&'static str, Option<&str>) {
    match event_scope {
        EventScope::Sessions => ("sessions", None),
        EventScope::Management => ("management", None),
        EventScope::Bucket(bucket) => ("bucket", Some(bucket)),
        EventScope::Stated => ("stated", None),
    }
}

#[derive(Default)]
struct NewRanges<'n> {
    ranges: Vec<&'n CompleteRange>,
    incomplete: Vec<&'n IncompleteDay>,
}

impl TrailBatch<'_> {
    /// Notes the ranges that a source read completely, and the days of which it gave something up. Those
    /// days stay out, whatever a later range covers.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn complete_ranges(
        &mut self,
        source: &str,
        ranges: &[CompleteRange],
        incomplete: &[IncompleteDay],
    ) -> Result<(), Error> {
        // In one order, so that two writers never wait for each other; by account, as all that is
        // written of a batch.
        let mut new_ranges: BTreeMap<AccountId, BTreeMap<&str, NewRanges<'_>>> = BTreeMap::new();
        for range in ranges {
            new_ranges
                .entry(range.account_id)
                .or_default()
                .entry(range.region.as_str())
                .or_default()
                .ranges
                .push(range);
        }
        for day in incomplete {
            new_ranges.entry(day.account_id).or_default().entry(day.region.as_str()).or_default().incomplete.push(day);
        }
        for (account, regions) in new_ranges {
            self.complete_ranges_of(source, account, &regions).await?;
        }
        Ok(())
    }

    async fn complete_ranges_of(
        &mut self,
        source: &str,
        account: AccountId,
        regions: &BTreeMap<&str, NewRanges<'_>>,
    ) -> Result<(), Error> {
        let id = account.to_string();
        let names: Vec<String> = regions.keys().map(ToString::to_string).collect();
        // A row that is there can be locked; one that is only about to be could be lost to another's.
        sqlx::query!(
            "insert into trail_complete_range (account_id, region, source, from_at, to_at, event_scope, all_regions)
             select $1, w.region, $2, $4, $4, 'stated', false from unnest($3::text[]) as w (region)
             on conflict do nothing",
            id,
            source,
            &names,
            DateTime::UNIX_EPOCH
        )
        .execute(&mut *self.tx)
        .await?;
        // Nobody knows how far it was read by then.
        sqlx::query!(
            "update trail_complete_range set from_at = least(from_at, now()), to_at = least(from_at, now())
             where account_id = $1 and source = $2 and region = any($3) and to_at > now() + $4",
            id,
            source,
            &names,
            interval(AHEAD)
        )
        .execute(&mut *self.tx)
        .await?;
        let kept = sqlx::query_as!(
            Record,
            "select account_id, region, source, from_at, to_at, event_scope, bucket, all_regions from trail_complete_range
             where account_id = $1 and source = $2 and region = any($3) order by region for update",
            id,
            source,
            &names
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let mut after = Vec::with_capacity(kept.len());
        for kept in kept {
            let mut kept = kept.into_range()?;
            if let Some(new_ranges) = regions.get(kept.region.as_str()) {
                kept = new_ranges.incomplete.iter().fold(kept, |kept, incomplete| kept.without(incomplete.day));
                kept = new_ranges.ranges.iter().fold(kept, |kept, range| kept.then((*range).clone()));
            }
            after.push(kept);
        }
        let regions: Vec<String> = after.iter().map(|range| range.region.to_string()).collect();
        let from: Vec<DateTime<Utc>> = after.iter().map(|range| range.from).collect();
        let to: Vec<DateTime<Utc>> = after.iter().map(|range| range.to).collect();
        let event_scope: Vec<String> = after.iter().map(|range| columns(&range.event_scope).0.to_owned()).collect();
        let buckets: Vec<Option<String>> =
            after.iter().map(|range| columns(&range.event_scope).1.map(parse::storable)).collect();
        let all: Vec<bool> = after.iter().map(|range| range.all_regions).collect();
        sqlx::query!(
            "update trail_complete_range t
             set from_at = w.from_at, to_at = w.to_at, event_scope = w.event_scope, bucket = w.bucket, all_regions = w.all_regions
             from unnest($3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::bool[])
                  as w (region, from_at, to_at, event_scope, bucket, all_regions)
             where t.account_id = $1 and t.source = $2 and t.region = w.region",
            id,
            source,
            &regions,
            &from,
            &to,
            &event_scope,
            &buckets as &[Option<String>],
            &all
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

impl Store {
    /// What was read completely of the trails of these accounts; none: of all. A region of which nothing
    /// is complete is not among it: then no range of its source speaks for all regions, as that one
    /// would pass for a region without events.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn complete_ranges(&self, accounts: &[AccountId]) -> Result<Vec<CompleteRange>, Error> {
        let mut connection = self.pool.acquire().await?;
        complete_ranges(&mut connection, accounts).await
    }
}

/// See [`Store::complete_ranges`].
pub(crate) async fn complete_ranges(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<Vec<CompleteRange>, Error> {
    let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let rows = sqlx::query_as!(
        Record,
        r#"select t.account_id, t.region, t.source, t.from_at, t.to_at, t.event_scope, t.bucket,
                  t.all_regions and not exists (
                      select from trail_complete_range e
                      where e.account_id = t.account_id and e.source = t.source and (e.from_at >= e.to_at or e.to_at > now() + $2)
                  ) as "all_regions!"
           from trail_complete_range t
           where (cardinality($1::text[]) = 0 or t.account_id = any($1)) and t.from_at < t.to_at
                 and t.to_at <= now() + $2
           order by t.account_id, t.region, t.source"#,
        &accounts,
        interval(AHEAD)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Record::into_range).collect()
}
