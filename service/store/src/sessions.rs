//! Sessions: one row an AssumeRole, in monthly partitions that are made as they are written to.
//!
//! Knows how to write each event once, and how to let old months go. Refuses to know what a
//! session means.

use crate::runs::RunId;
use crate::{Error, Store, error, parse};
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use rolecall_audit::estate::{Session, SessionKind};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use std::collections::BTreeSet;

/// Rows of one statement: enough to be quick, few enough to stay small in memory.
const CHUNK: usize = 2_000;

/// Which sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of these accounts; empty: all.
    pub accounts: Vec<AccountId>,
    /// Of this role.
    pub role_arn: Option<String>,
    /// Of this kind.
    pub kind: Option<SessionKind>,
    /// Whose session name holds this text.
    pub session_name: Option<String>,
    /// Whose principal holds this text.
    pub principal: Option<String>,
    /// Of this cluster.
    pub cluster: Option<String>,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// The last session of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAfter {
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its account.
    pub account_id: AccountId,
    /// Its event.
    pub event_id: String,
}

impl SessionAfter {
    /// The key of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self { at: session.at, account_id: session.account_id, event_id: session.event_id.clone() }
    }
}

struct Record {
    account_id: String,
    event_id: String,
    at: DateTime<Utc>,
    region: String,
    kind: String,
    role_arn: Option<String>,
    session_name: Option<String>,
    access_key_id: Option<String>,
    principal: String,
    principal_type: String,
    parent_access_key_id: Option<String>,
    source_ip: Option<String>,
    tags: serde_json::Value,
    external_id: Option<String>,
    duration_seconds: Option<i64>,
    packed_policy_size: Option<i16>,
    error: Option<String>,
    cluster: Option<String>,
}

impl Record {
    fn into_session(self) -> Result<Session, Error> {
        const TABLE: &str = "session";
        let key = self.event_id.clone();
        Ok(Session {
            account_id: parse::account(TABLE, &self.account_id)?,
            at: self.at,
            region: parse::text(TABLE, &key, &self.region)?,
            kind: parse::name(TABLE, &key, &self.kind)?,
            role_arn: self.role_arn,
            session_name: self.session_name,
            access_key_id: self.access_key_id,
            principal: self.principal,
            principal_type: self.principal_type,
            parent_access_key_id: self.parent_access_key_id,
            source_ip: self.source_ip,
            tags: parse::json(TABLE, &key, self.tags)?,
            external_id: self.external_id,
            duration_seconds: self.duration_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
            packed_policy_size: self.packed_policy_size.and_then(|size| u8::try_from(size).ok()),
            error: self.error,
            cluster: self.cluster,
            event_id: key,
        })
    }
}

/// The name that the column `kind` holds.
pub(crate) fn kind_name(kind: SessionKind) -> String {
    parse::to_json(&kind).as_str().unwrap_or_default().to_owned()
}

fn first_of_month(at: DateTime<Utc>) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(at.year(), at.month(), 1)
}

fn partition_name(month: NaiveDate) -> String {
    format!("session_{:04}_{:02}", month.year(), month.month())
}

/// Writes the sessions that are not there yet, and counts them.
pub(crate) async fn write(
    tx: &mut Transaction<'static, Postgres>,
    pool: &PgPool,
    made: &mut BTreeSet<String>,
    run: RunId,
    sessions: &[Session],
) -> Result<u64, Error> {
    let months: BTreeSet<NaiveDate> = sessions.iter().filter_map(|session| first_of_month(session.at)).collect();
    for month in months {
        let name = partition_name(month);
        if made.insert(name.clone()) {
            make_partition(pool, month).await?;
            // A transaction that holds its lock on `session` already reads no invalidations when it
            // takes that lock again, and would not know a partition attached meanwhile. Taking a
            // new lock reads them.
            let notice = format!("lock table {name} in row exclusive mode");
            sqlx::query(AssertSqlSafe(notice)).execute(&mut **tx).await?;
        }
    }
    let mut written = 0;
    for chunk in sessions.chunks(CHUNK) {
        written += write_chunk(tx, run, chunk).await?;
    }
    Ok(written)
}

/// Makes a month's partition, on a connection of its own: a table that is attached takes a lock
/// which neither readers nor the long snapshot transaction mind.
async fn make_partition(pool: &PgPool, month: NaiveDate) -> Result<(), Error> {
    let name = partition_name(month);
    let there = sqlx::query_scalar!(
        r#"select exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid
                          where i.inhparent = 'session'::regclass and c.relname = $1) as "there!""#,
        name
    )
    .fetch_one(pool)
    .await?;
    let (false, Some(next)) = (there, month.checked_add_months(Months::new(1))) else {
        return Ok(());
    };
    // SQL is put together in this module alone: a table's name cannot be a parameter. It is made
    // of a year and a month, never of input.
    let create = format!("create table {name} (like session including defaults)");
    let attach = format!("alter table session attach partition {name} for values from ('{month}') to ('{next}')");
    let mut tx = pool.begin().await?;
    let created = sqlx::query(AssertSqlSafe(create)).execute(&mut *tx).await;
    match created {
        // Another process was quicker.
        Err(why) if error::has_code(&why, error::DUPLICATE_TABLE) || error::has_code(&why, error::UNIQUE_VIOLATION) => {
            tx.rollback().await?;
            return Ok(());
        }
        other => other?,
    };
    sqlx::query(AssertSqlSafe(attach)).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

async fn write_chunk(tx: &mut Transaction<'static, Postgres>, run: RunId, chunk: &[Session]) -> Result<u64, Error> {
    fn column<'a, T>(chunk: &'a [Session], of: impl Fn(&'a Session) -> T) -> Vec<T> {
        chunk.iter().map(of).collect()
    }
    let clean = |text: &Option<String>| text.as_deref().map(parse::clean);
    let accounts = column(chunk, |s| s.account_id.to_string());
    let events = column(chunk, |s| parse::clean(&s.event_id));
    let times = column(chunk, |s| s.at);
    let regions = column(chunk, |s| s.region.to_string());
    let kinds = column(chunk, |s| kind_name(s.kind));
    let roles = column(chunk, |s| clean(&s.role_arn));
    let names = column(chunk, |s| clean(&s.session_name));
    let keys = column(chunk, |s| clean(&s.access_key_id));
    let principals = column(chunk, |s| parse::clean(&s.principal));
    let types = column(chunk, |s| parse::clean(&s.principal_type));
    let parents = column(chunk, |s| clean(&s.parent_access_key_id));
    let sources = column(chunk, |s| clean(&s.source_ip));
    let tags = column(chunk, |s| parse::json_text(&s.tags));
    let external = column(chunk, |s| clean(&s.external_id));
    let durations = column(chunk, |s| s.duration_seconds.map(i64::from));
    let packed = column(chunk, |s| s.packed_policy_size.map(i16::from));
    let errors = column(chunk, |s| clean(&s.error));
    let clusters = column(chunk, |s| clean(&s.cluster));
    let done = sqlx::query!(
        "insert into session (account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                              principal_type, parent_access_key_id, source_ip, tags, external_id, duration_seconds,
                              packed_policy_size, error, cluster, first_run)
         select w.account_id, w.event_id, w.at, w.region, w.kind, w.role_arn, w.session_name, w.access_key_id,
                w.principal, w.principal_type, w.parent_access_key_id, w.source_ip, w.tags::jsonb, w.external_id,
                w.duration_seconds, w.packed_policy_size, w.error, w.cluster, $19
         from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                     $15::bigint[], $16::smallint[], $17::text[], $18::text[])
              as w (account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                    principal_type, parent_access_key_id, source_ip, tags, external_id, duration_seconds,
                    packed_policy_size, error, cluster)
         on conflict (account_id, event_id, at) do nothing",
        &accounts,
        &events,
        &times,
        &regions,
        &kinds,
        &roles as &[Option<String>],
        &names as &[Option<String>],
        &keys as &[Option<String>],
        &principals,
        &types,
        &parents as &[Option<String>],
        &sources as &[Option<String>],
        &tags,
        &external as &[Option<String>],
        &durations as &[Option<i64>],
        &packed as &[Option<i16>],
        &errors as &[Option<String>],
        &clusters as &[Option<String>],
        run.0
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Every session from a moment on, the oldest first.
pub(crate) async fn since(connection: &mut PgConnection, at: DateTime<Utc>) -> Result<Vec<Session>, Error> {
    let rows = sqlx::query_as!(
        Record,
        "select account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                principal_type, parent_access_key_id, source_ip, tags, external_id, duration_seconds,
                packed_policy_size, error, cluster
         from session where at >= $1 order by at, account_id, event_id",
        at
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Record::into_session).collect()
}

impl Store {
    /// Sessions from the newest, after the last of the page before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionAfter>,
        limit: u32,
    ) -> Result<Vec<Session>, Error> {
        let accounts: Vec<String> = filter.accounts.iter().map(ToString::to_string).collect();
        let rows = sqlx::query_as!(
            Record,
            "select account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                    principal_type, parent_access_key_id, source_ip, tags, external_id, duration_seconds,
                    packed_policy_size, error, cluster
             from session
             where (cardinality($1::text[]) = 0 or account_id = any($1))
               and ($2::text is null or role_arn = $2)
               and ($3::text is null or kind = $3)
               and ($4::text is null or position(lower($4) in lower(session_name)) > 0)
               and ($5::text is null or position(lower($5) in lower(principal)) > 0)
               and ($6::text is null or cluster = $6)
               and ($7::timestamptz is null or at >= $7)
               and ($8::timestamptz is null or at < $8)
               and ($9::timestamptz is null or at <= $9)
               and ($9::timestamptz is null or at < $9 or (account_id, event_id) > ($10, $11))
             order by at desc, account_id, event_id
             limit $12",
            &accounts,
            filter.role_arn,
            filter.kind.map(kind_name),
            filter.session_name,
            filter.principal,
            filter.cluster,
            filter.since,
            filter.until,
            after.map(|last| last.at),
            after.map(|last| last.account_id.to_string()),
            after.map(|last| last.event_id.clone()),
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_session).collect()
    }

    /// Drops the months that lie wholly before a moment, and names them. Readers are not held up.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn drop_sessions_before(&self, before: DateTime<Utc>) -> Result<Vec<String>, Error> {
        let Some(keep) = first_of_month(before).map(partition_name) else { return Ok(Vec::new()) };
        let names = sqlx::query_scalar!(
            r#"select c.relname::text as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
               where i.inhparent = 'session'::regclass order by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        let mut dropped = Vec::new();
        // Names sort as their months do.
        for name in names.into_iter().filter(|name| *name < keep) {
            let detach = format!("alter table session detach partition {name} concurrently");
            sqlx::query(AssertSqlSafe(detach)).execute(&self.pool).await?;
            sqlx::query(AssertSqlSafe(format!("drop table {name}"))).execute(&self.pool).await?;
            dropped.push(name);
        }
        Ok(dropped)
    }
}
