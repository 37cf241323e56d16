//! What of trails could not be read, by the day of which it is: each run tells it as long as it judges
//! that day.

use super::TrailBatch;
use crate::{Error, Store, parse};
use chrono::NaiveDate;
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;

/// A file of which not everything was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Whose events it has.
    pub account_id: AccountId,
    /// Of which region.
    pub region: Region,
    /// Of which day; the day on which it was read where nobody knows.
    pub day: NaiveDate,
    /// Whether it lies under that day, so that it holds events of no later one and of none long before.
    pub lies_there: bool,
    /// CloudTrail's own name of the file, whatever source it came by; otherwise where it lies.
    pub file: String,
    /// Where it lay when it was read.
    pub location: String,
    /// Why it was not read completely.
    pub reason: GapReason,
    /// The same in words.
    pub detail: String,
}

impl TrailBatch<'_> {
    /// Notes which files were not read completely, in place of what was noted of all of these files before:
    /// one that was read completely since is damaged no more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn damage(&mut self, read: &[String], damaged: &[Damage]) -> Result<(), Error> {
        let read: Vec<String> = read.iter().map(|file| parse::indexed(file)).collect();
        sqlx::query!("delete from trail_damage where file = any($1)", &read).execute(&mut *self.tx).await?;
        // In one order, so that two writers never wait for each other.
        let mut rows: Vec<&Damage> = damaged.iter().collect();
        rows.sort_by_key(|damage| (damage.account_id, damage.region.as_str(), damage.day, damage.file.as_str()));
        for damage in rows {
            sqlx::query!(
                "insert into trail_damage (account_id, region, day, file, location, reason, detail, lies_there)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)
                 on conflict (account_id, region, day, file) do update set location = excluded.location,
                     reason = excluded.reason, detail = excluded.detail, lies_there = excluded.lies_there",
                damage.account_id.to_string(),
                damage.region.as_str(),
                damage.day,
                parse::indexed(&damage.file),
                parse::storable(&damage.location),
                damage.reason.as_str(),
                parse::storable(&damage.detail),
                damage.lies_there
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}

impl Store {
    /// Damage of days from one on, one for each account, region and day, the latest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn trail_damage(&self, from: NaiveDate) -> Result<Vec<Damage>, Error> {
        let rows = sqlx::query!(
            "select distinct on (account_id, region, day, lies_there)
                    account_id, region, day, file, location, reason, detail, lies_there
             from trail_damage where day >= $1 order by account_id, region, day desc, lies_there, file",
            from
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Damage {
                    account_id: parse::account("trail_damage", &row.account_id)?,
                    region: parse::text("trail_damage", &row.file, &row.region)?,
                    day: row.day,
                    lies_there: row.lies_there,
                    reason: parse::text("trail_damage", &row.file, &row.reason)?,
                    file: row.file,
                    location: row.location,
                    detail: row.detail,
                })
            })
            .collect()
    }

    /// Forgets damage of days before one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_damage_before(&self, day: NaiveDate) -> Result<(), Error> {
        sqlx::query!("delete from trail_damage where day < $1", day).execute(&self.pool).await?;
        Ok(())
    }
}
