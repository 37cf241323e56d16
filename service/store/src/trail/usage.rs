//! What was used: by role, by association, by day.
//!
//! Calls are kept by access key while the key is young and by (role, association) after that; the
//! association of a key is read where it stands, so a tie that comes late moves all of a key's calls
//! at once. Refuses to know what was granted.

use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, NaiveDate, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use rolecall_iam::AccountId;

/// Whose use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageOf {
    /// Of all.
    All,
    /// Of one association, in whatever account and with whatever role of its chain.
    Association(String),
    /// Of one role.
    Role(String),
    /// Of one session, by its key.
    Key(String),
}

/// Which calls: from a day on, and up to a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageWindow {
    /// The first day; `None`: from the first that is kept.
    pub since: Option<NaiveDate>,
    /// The last moment; `None`: up to now. Calls are counted by day: of its day those of an action count whole whose
    /// first came before it, and none is told to have come later.
    pub until: Option<DateTime<Utc>>,
}

/// Calls of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseRow {
    /// In whose trail.
    pub account_id: AccountId,
    /// The role whose sessions called.
    pub role_arn: String,
    /// The association that the sessions come from, where that is known.
    pub association_id: Option<String>,
    /// The IAM action, or the event's source and name where none is known.
    pub action: String,
    /// What it was done to; `None` where all are taken together.
    pub shape: Option<String>,
    /// How often.
    pub calls: u64,
    /// How often in vain.
    pub errors: u64,
    /// How often refused, which is among the errors.
    pub denied: u64,
    /// The first time, in the window.
    pub first_at: DateTime<Utc>,
    /// The last time.
    pub last_at: DateTime<Utc>,
}

/// Sessions of one kind that are attributed by the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributionCount {
    /// Such as `pod_identity`.
    pub kind: String,
    /// What the tie rests on; `None` where it is due.
    pub attribution_method: Option<String>,
    /// Why there is none, or no certain one.
    pub why: Option<String>,
    /// How many.
    pub sessions: u64,
}

/// What was read of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayRow {
    /// In whose trail.
    pub account_id: AccountId,
    /// The events' region.
    pub region: String,
    /// In UTC.
    pub day: NaiveDate,
    /// Files.
    pub files: u64,
    /// Events.
    pub events: u64,
}

struct Record {
    account_id: String,
    role_arn: String,
    association_id: String,
    action: String,
    shape: Option<String>,
    calls: i64,
    errors: i64,
    denied: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

impl Record {
    fn into_row(self) -> Result<UseRow, Error> {
        Ok(UseRow {
            account_id: parse::account("trail_use", &self.account_id)?,
            role_arn: self.role_arn,
            association_id: Some(self.association_id).filter(|id| !id.is_empty()),
            action: self.action,
            shape: self.shape,
            calls: parse::count(self.calls),
            errors: parse::count(self.errors),
            denied: parse::count(self.denied),
            first_at: self.first_at,
            last_at: self.last_at,
        })
    }
}

impl UsageOf {
    fn columns(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        match self {
            Self::All => (None, None, None),
            Self::Association(id) => (Some(id), None, None),
            Self::Role(arn) => (None, Some(arn), None),
            Self::Key(key) => (None, None, Some(key)),
        }
    }
}

impl Store {
    /// What was used in a window, by role, association, action and, where asked, resource shape;
    /// a row at a time.
    #[must_use]
    pub fn usage(&self, of: &UsageOf, within: UsageWindow, shapes: bool) -> BoxStream<'_, Result<UseRow, Error>> {
        let (association, role, key) = of.columns();
        sqlx::query_as!(
            Record,
            r#"select u.account_id, r.text as role_arn, p.association_id, a.text as action, s.text as "shape?",
                      u.calls as "calls!", u.errors as "errors!", u.denied as "denied!",
                      u.first_at as "first_at!", u.last_at as "last_at!"
               from (
                   select t.account_id, q.role, q.association_id, t.action, case when $5 then t.shape end as shape,
                          sum(t.calls)::bigint as calls, sum(t.errors)::bigint as errors,
                          sum(t.denied)::bigint as denied,
                          min(t.first_at) as first_at, max(least(t.last_at, $6)) as last_at
                   from trail_use t
                   join trail_principal q on q.account_id = t.account_id and q.id = t.principal
                   where ($1::text is null or q.association_id = $1)
                     and ($2::text is null or exists (
                         select from trail_name n where n.account_id = q.account_id and n.id = q.role and n.text = $2))
                     and ($3::text is null or q.access_key_id = $3)
                     and ($4::date is null or t.day >= $4)
                     and ($6::timestamptz is null or t.day <= ($6 at time zone 'UTC')::date and t.first_at <= $6)
                   group by t.account_id, q.role, q.association_id, t.action, case when $5 then t.shape end) u
               cross join lateral (select u.association_id) p
               join trail_name r on r.account_id = u.account_id and r.id = u.role
               join trail_name a on a.account_id = u.account_id and a.id = u.action
               left join trail_name s on s.account_id = u.account_id and s.id = u.shape
               order by r.text, p.association_id, a.text, s.text, u.account_id"#,
            association,
            role,
            key,
            within.since,
            shapes,
            within.until
        )
        .fetch(&self.pool)
        .map(|row| row.map_err(Error::from).and_then(Record::into_row))
        .boxed()
    }

    /// When each action of a role was first and last used, however long ago.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn role_actions(&self, role_arn: &str) -> Result<Vec<UseRow>, Error> {
        let rows = sqlx::query_as!(
            Record,
            r#"select u.account_id, r.text as role_arn, '' as "association_id!", a.text as action,
                      null::text as "shape?", u.calls, u.errors, u.denied, u.first_at, u.last_at
               from trail_name r
               join role_action u on u.account_id = r.account_id and u.role = r.id
               join trail_name a on a.account_id = u.account_id and a.id = u.action
               where r.text = $1 order by a.text, u.account_id"#,
            role_arn
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_row).collect()
    }

    /// When each role last called anything.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn roles_last_called(&self) -> Result<Vec<(String, DateTime<Utc>)>, Error> {
        let rows = sqlx::query!(
            r#"select r.text as role_arn, max(u.last_at) as "last_at!"
               from role_action u join trail_name r on r.account_id = u.account_id and r.id = u.role
               group by r.text order by r.text"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.role_arn, row.last_at)).collect())
    }

    /// What was read of the days of a window, in these accounts; none: in all.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn trail_days(&self, accounts: &[AccountId], within: UsageWindow) -> Result<Vec<DayRow>, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            "select account_id, region, day, files, events from trail_day
             where (cardinality($1::text[]) = 0 or account_id = any($1)) and ($2::date is null or day >= $2)
               and ($3::timestamptz is null or day <= ($3 at time zone 'UTC')::date)
             order by account_id, region, day",
            &accounts,
            within.since,
            within.until
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(DayRow {
                    account_id: parse::account("trail_day", &row.account_id)?,
                    region: row.region,
                    day: row.day,
                    files: parse::count(row.files),
                    events: parse::count(row.events),
                })
            })
            .collect()
    }

    /// How many sessions there are, by kind and by what they are tied; those that are not, by why.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session_attribution_counts(&self) -> Result<Vec<AttributionCount>, Error> {
        let rows = sqlx::query!(
            r#"select kind, attribution_method, attribution_reason, count(*) as "count!" from session
               group by kind, attribution_method, attribution_reason order by kind, attribution_method, attribution_reason"#
        )
        .fetch_all(&self.pool)
        .await?;
        let counts = rows.into_iter().map(|row| AttributionCount {
            kind: row.kind,
            attribution_method: row.attribution_method,
            why: row.attribution_reason,
            sessions: parse::count(row.count),
        });
        Ok(counts.collect())
    }

    /// Drops the months of use, and what else is known of days and files, that lie before a day.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn drop_usage_before(&self, before: NaiveDate) -> Result<Vec<String>, Error> {
        let dropped = crate::partition::drop_before(&self.pool, "trail_use", before).await?;
        let at = before.and_time(chrono::NaiveTime::MIN).and_utc();
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "delete from trail_seen s using trail_day d
             where d.account_id = s.account_id and d.region = s.region and d.day = s.day and d.last_written_at < $1",
            at
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from trail_day where last_written_at < $1", at).execute(&mut *tx).await?;
        // Of files that lie in no trail's layout, the month in which they were read is all that is known:
        // what they told is older than that.
        sqlx::query!(
            "delete from trail_seen where account_id = $1 and region = '' and kind = 'file'
             and day < date_trunc('month', $2::date)",
            INSTALLATION,
            before
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from trail_complete_range where to_at < $1", at).execute(&mut *tx).await?;
        sqlx::query!("update trail_complete_range set from_at = $1 where from_at < $1", at).execute(&mut *tx).await?;
        sqlx::query!("delete from trail_principal where last_at < $1", at).execute(&mut *tx).await?;
        sqlx::query!("delete from trail_origin where last_at < $1", at).execute(&mut *tx).await?;
        sqlx::query!("delete from role_action where last_at < $1", at).execute(&mut *tx).await?;
        sqlx::query!("delete from instance_use where last_at < $1", at).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(dropped)
    }
}
