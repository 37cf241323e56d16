//! Where events come from: how far each source was read, how it went, and what could not be read.

use super::TrailBatch;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_iam::AccountId;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// So many problems of a source are kept; all are counted.
const KEPT: i64 = 1_000;

rolecall_iam::vocabulary! {
    /// Where a source stands.
    pub enum SourceState: "a state of a source" {
        /// Being read.
        Reading = "reading",
        /// Read to its end the last time.
        Idle = "idle",
        /// Its reading stopped with an error.
        Failed = "failed",
    }
}

/// What one batch adds to a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// Files, or answers.
    pub files: u64,
    /// Events counted.
    pub events: u64,
    /// Bytes as they were fetched.
    pub bytes: u64,
    /// Events counted before.
    pub duplicates: u64,
    /// Records that could not be read.
    pub malformed: u64,
    /// The newest event.
    pub newest_event_at: Option<DateTime<Utc>>,
    /// Files or messages known to wait.
    pub waiting: Option<u64>,
}

/// A source as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its name.
    pub name: String,
    /// Such as `s3`.
    pub kind: String,
    /// Where it stands.
    pub state: SourceState,
    /// When its reading last began.
    pub started_at: DateTime<Utc>,
    /// When that ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was last read to its end.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// All that was ever read of it.
    pub total: SourceReport,
    /// Why its reading stopped.
    pub error: Option<String>,
}

/// How far one range of a source was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailCursor {
    /// Whose events.
    pub account_id: AccountId,
    /// Of which region.
    pub region: String,
    /// Up to where, in the source's own words.
    pub position: String,
    /// Objects that lie under earlier days do not come again.
    pub from_day: Option<NaiveDate>,
}

/// Something that could not be read, as it is kept of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailProblem {
    /// The source's name.
    pub source: String,
    /// The file or message.
    pub file: String,
    /// Where in it: a line or a JSON pointer; empty for all of it.
    pub place: String,
    /// One of a few words, such as `gzip`.
    pub kind: String,
    /// What is wrong, and what would make it right.
    pub message: String,
    /// When it was met.
    pub at: DateTime<Utc>,
}

impl TrailProblem {
    /// The same for the same problem, however often it is met.
    fn id(&self) -> Uuid {
        let mut hash = Sha256::new();
        for part in [&self.source, &self.file, &self.place, &self.kind, &self.message] {
            hash.update(part.as_bytes());
            hash.update([0xff]);
        }
        let mut id = [0; 16];
        id.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        uuid::Builder::from_custom_bytes(id).into_uuid()
    }
}

impl TrailBatch<'_> {
    /// Adds a batch to its source.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn progress(&mut self, source: &str, report: &SourceReport) -> Result<(), Error> {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        sqlx::query!(
            "update trail_source set files = files + $3, events = events + $4, bytes = bytes + $5,
                    duplicates = duplicates + $6, malformed = malformed + $7,
                    newest_event_at = greatest(newest_event_at, $8), waiting = coalesce($9, waiting)
             where account_id = $1 and name = $2",
            INSTALLATION,
            source,
            signed(report.files),
            signed(report.events),
            signed(report.bytes),
            signed(report.duplicates),
            signed(report.malformed),
            report.newest_event_at,
            report.waiting.map(signed)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Notes how far a range of a source was read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn cursor(&mut self, source: &str, cursor: &TrailCursor, now: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query!(
            "insert into trail_cursor (account_id, source, region, position, from_day, updated_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (account_id, source, region) do update set position = excluded.position,
                 from_day = excluded.from_day, updated_at = excluded.updated_at",
            cursor.account_id.to_string(),
            source,
            cursor.region,
            cursor.position,
            cursor.from_day,
            now
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Notes what could not be read of files, in place of what was noted of them before: a file that
    /// was mended has no problem any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn problems_of(
        &mut self,
        source: &str,
        files: &[String],
        problems: &[TrailProblem],
    ) -> Result<(), Error> {
        let files: Vec<String> = files.iter().map(|file| parse::storable(file)).collect();
        let still: Vec<Uuid> = problems.iter().map(TrailProblem::id).collect();
        sqlx::query!(
            "delete from trail_problem
             where account_id = $1 and source = $2 and file = any($3) and kind <> 'set_aside' and id <> all($4)",
            INSTALLATION,
            source,
            &files,
            &still
        )
        .execute(&mut *self.tx)
        .await?;
        self.problems(problems).await
    }

    /// Notes what could not be read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn problems(&mut self, problems: &[TrailProblem]) -> Result<(), Error> {
        if problems.is_empty() {
            return Ok(());
        }
        write_problems(&mut self.tx, problems).await
    }
}

async fn write_problems(connection: &mut sqlx::PgConnection, problems: &[TrailProblem]) -> Result<(), Error> {
    let column = |of: &dyn Fn(&TrailProblem) -> &str| -> Vec<String> {
        problems.iter().map(|problem| parse::storable(of(problem))).collect()
    };
    let ids: Vec<Uuid> = problems.iter().map(TrailProblem::id).collect();
    let times: Vec<DateTime<Utc>> = problems.iter().map(|problem| problem.at).collect();
    sqlx::query!(
        "insert into trail_problem (account_id, id, source, file, place, kind, message, at)
         select $1, w.id, w.source, w.file, w.place, w.kind, w.message, w.at
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
              as w (id, source, file, place, kind, message, at)
         on conflict do nothing",
        INSTALLATION,
        &ids,
        &column(&|problem| &problem.source),
        &column(&|problem| &problem.file),
        &column(&|problem| &problem.place),
        &column(&|problem| &problem.kind),
        &column(&|problem| &problem.message),
        &times
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct Record {
    name: String,
    kind: String,
    state: String,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    caught_up_at: Option<DateTime<Utc>>,
    newest_event_at: Option<DateTime<Utc>>,
    files: i64,
    events: i64,
    bytes: i64,
    duplicates: i64,
    malformed: i64,
    waiting: Option<i64>,
    error: Option<String>,
}

impl Store {
    /// Says that a source is being read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin_source(&self, name: &str, kind: &str, now: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query!(
            "insert into trail_source (account_id, name, kind, state, started_at) values ($1, $2, $3, 'reading', $4)
             on conflict (account_id, name) do update set kind = excluded.kind, state = 'reading',
                 started_at = excluded.started_at, finished_at = null, error = null",
            INSTALLATION,
            name,
            kind,
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says how the reading of a source ended: `Ok` where it was read to its end.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finish_source(&self, name: &str, result: Result<(), &str>, now: DateTime<Utc>) -> Result<(), Error> {
        let state = if result.is_ok() { SourceState::Idle } else { SourceState::Failed };
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "update trail_source set state = $3, finished_at = $4, error = $5,
                    caught_up_at = case when $5::text is null then $4 else caught_up_at end,
                    waiting = case when $5::text is null then null else waiting end
             where account_id = $1 and name = $2",
            INSTALLATION,
            name,
            state.as_str(),
            now,
            result.err().map(parse::storable)
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from trail_problem where account_id = $1 and source = $2 and id in (
                 select id from trail_problem where account_id = $1 and source = $2 order by at desc, id offset $3)",
            INSTALLATION,
            name,
            KEPT
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Every source that was ever read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sources(&self) -> Result<Vec<SourceRow>, Error> {
        let rows = sqlx::query_as!(
            Record,
            "select name, kind, state, started_at, finished_at, caught_up_at, newest_event_at, files, events, bytes,
                    duplicates, malformed, waiting, error
             from trail_source where account_id = $1 order by name",
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SourceRow {
                    state: parse::text("trail_source", &row.name, &row.state)?,
                    total: SourceReport {
                        files: parse::count(row.files),
                        events: parse::count(row.events),
                        bytes: parse::count(row.bytes),
                        duplicates: parse::count(row.duplicates),
                        malformed: parse::count(row.malformed),
                        newest_event_at: row.newest_event_at,
                        waiting: row.waiting.map(parse::count),
                    },
                    name: row.name,
                    kind: row.kind,
                    started_at: row.started_at,
                    finished_at: row.finished_at,
                    caught_up_at: row.caught_up_at,
                    error: row.error,
                })
            })
            .collect()
    }

    /// How far a source was read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn cursors(&self, source: &str) -> Result<Vec<TrailCursor>, Error> {
        let rows = sqlx::query!(
            "select account_id, region, position, from_day from trail_cursor where source = $1
             order by account_id, region",
            source
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let account_id = parse::account("trail_cursor", &row.account_id)?;
                Ok(TrailCursor { account_id, region: row.region, position: row.position, from_day: row.from_day })
            })
            .collect()
    }

    /// What could not be read, the newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn trail_problems(&self, source: Option<&str>, limit: u32) -> Result<Vec<TrailProblem>, Error> {
        let rows = sqlx::query_as!(
            TrailProblem,
            "select source, file, place, kind, message, at from trail_problem
             where account_id = $1 and ($2::text is null or source = $2) order by at desc, id limit $3",
            INSTALLATION,
            source,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Notes what could not be read and belongs to no batch, such as a message set aside.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn add_trail_problems(&self, problems: &[TrailProblem]) -> Result<(), Error> {
        if problems.is_empty() {
            return Ok(());
        }
        let mut connection = self.pool.acquire().await?;
        write_problems(&mut connection, problems).await
    }
}
