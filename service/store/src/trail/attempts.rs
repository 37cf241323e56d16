//! Attempts at units of input, and units that are set aside.
//!
//! Knows that an attempt is kept before the work on its unit begins, goes with its success or with a run
//! that ends by itself, and that what a run leaves behind which is not under way is a death of its
//! process. Refuses to know what a unit is.

use super::TrailBatch;
use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::work::runs::{RunId, life_key};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::BTreeMap;

/// A unit that was in the work of so many processes that died is set aside.
const DEATHS: i64 = 2;

rolecall_iam::vocabulary! {
    /// What is worked on.
    pub enum UnitKind: "a kind of unit" {
        /// A file of a trail that is read.
        Trail = "trail",
        /// A file of an estate that is imported.
        File = "file",
        /// An account that is judged, or all of them together.
        Judging = "judging",
    }
}

/// Units of one kind and source, as worked on by one run.
#[derive(Debug, Clone)]
pub struct Attempts {
    store: Store,
    run: RunId,
    kind: UnitKind,
    source: String,
}

/// A unit: where it lies, and what tells one content of it from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Where it lies, or the account.
    pub name: String,
    /// Such as a size or an entity tag; empty where nothing is known.
    pub version: String,
}

impl Unit {
    /// A unit of one content.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: String::new() }
    }
}

/// What is known of a unit that a process died at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspect {
    /// One did, among others: it is to be tried alone.
    Once,
    /// As many did as set it aside.
    SetAside {
        /// How many.
        deaths: u64,
    },
}

/// A unit that is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// What it is.
    pub kind: UnitKind,
    /// Its source.
    pub source: String,
    /// Where it lies, or the account.
    pub unit: String,
    /// How many processes died at it.
    pub deaths: u64,
    /// When the last of them began with it.
    pub at: DateTime<Utc>,
}

/// A run that shows that it lives by more than its lease, until it is dropped.
#[derive(Debug)]
pub struct Life(
    #[expect(dead_code, reason = "the lock lives as long as the transaction")] Transaction<'static, Postgres>,
);

impl Store {
    /// Attempts of a run at units of a source.
    #[must_use]
    pub fn attempts(&self, run: RunId, kind: UnitKind, source: &str) -> Attempts {
        Attempts { store: self.clone(), run, kind, source: source.to_owned() }
    }

    /// Shows that a run lives for as long as the answer is held, whatever becomes of its process.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn live(&self, run: RunId) -> Result<Life, Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(r#"select pg_advisory_xact_lock($1) as "locked?: ()""#, life_key(run)).fetch_one(&mut *tx).await?;
        Ok(Life(tx))
    }

    /// Every unit that is set aside, the latest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_aside(&self) -> Result<Vec<SetAside>, Error> {
        let rows = sqlx::query!(
            r#"select a.kind, a.source, a.unit, count(*) as "deaths!", max(a.at) as "at!"
               from attempt a left join run r on r.account_id = a.account_id and r.id = a.run_id
               where a.account_id = $1 and coalesce(r.state, '') <> 'running'
               group by a.kind, a.source, a.unit, a.version having count(*) >= $2
               order by max(a.at) desc, a.kind, a.source, a.unit"#,
            INSTALLATION,
            DEATHS
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let kind = parse::text("attempt", &row.unit, &row.kind)?;
                let deaths = parse::count(row.deaths);
                Ok(SetAside { kind, source: row.source, unit: row.unit, deaths, at: row.at })
            })
            .collect()
    }

    /// Has a unit tried again by the next run, and what lies beside it in a bucket listed again. Whether
    /// any process died at it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retry(&self, unit: &str) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let sources = sqlx::query_scalar!(
            "delete from attempt where account_id = $1 and unit = $2 returning source",
            INSTALLATION,
            parse::indexed(unit)
        )
        .fetch_all(&mut *tx)
        .await?;
        // A listing goes on from what it reached, which lies beyond what was set aside: the source is
        // listed anew, and what was read is known by its marks.
        sqlx::query!(
            "delete from trail_cursor c using trail_damage d
             where c.account_id = d.account_id and c.region = d.region and c.source = any($1) and d.location = $2",
            &sources,
            parse::storable(unit)
        )
        .execute(&mut *tx)
        .await?;
        if !sources.is_empty() {
            let act = NewAuditEntry::done(AuditAction::SetAsideRetry, unit, json!({ "sources": sources }));
            append(&mut tx, &self.actor, &[act]).await?;
        }
        tx.commit().await?;
        Ok(!sources.is_empty())
    }
}

impl Attempts {
    /// Which of these units processes died at.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn suspects(&self, units: &[Unit]) -> Result<BTreeMap<String, Suspect>, Error> {
        if units.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.note_the_dead().await?;
        let (names, versions) = columns(units);
        let rows = sqlx::query!(
            r#"select w.place as "place!", count(*) as "deaths!"
               from unnest($4::text[], $5::text[]) with ordinality as w (unit, version, place)
               join attempt a on a.account_id = $1 and a.kind = $2 and a.source = $3 and a.unit = w.unit
                    and a.version = w.version
               left join run r on r.account_id = a.account_id and r.id = a.run_id
               where coalesce(r.state, '') <> 'running'
               group by w.place"#,
            INSTALLATION,
            self.kind.as_str(),
            self.source,
            &names,
            &versions
        )
        .fetch_all(&self.store.pool)
        .await?;
        let suspect = |deaths| match deaths >= DEATHS {
            true => Suspect::SetAside { deaths: parse::count(deaths) },
            false => Suspect::Once,
        };
        let named = rows.into_iter().filter_map(|row| {
            let unit = units.get(usize::try_from(row.place).ok()?.checked_sub(1)?)?;
            Some((unit.name.clone(), suspect(row.deaths)))
        });
        Ok(named.collect())
    }

    /// Runs whose process is gone, though their lease still holds: they are not under way.
    async fn note_the_dead(&self) -> Result<(), Error> {
        let running = sqlx::query_scalar!(
            "select distinct r.id from attempt a join run r on r.account_id = a.account_id and r.id = a.run_id
             where a.account_id = $1 and a.kind = $2 and a.source = $3 and r.state = 'running' and r.id <> $4",
            INSTALLATION,
            self.kind.as_str(),
            self.source,
            self.run.0
        )
        .fetch_all(&self.store.pool)
        .await?;
        for run in running {
            // Whoever works on such a unit holds this lock.
            let mut tx = self.store.pool.begin().await?;
            let is_gone =
                sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "gone!""#, life_key(RunId(run)))
                    .fetch_one(&mut *tx)
                    .await?;
            if is_gone {
                sqlx::query!(
                    "update run set state = 'interrupted', finished_at = clock_timestamp(),
                            error = 'the process that ran it went away'
                     where account_id = $1 and id = $2 and state = 'running'",
                    INSTALLATION,
                    run
                )
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Says that the work on these units begins.
    ///
    /// # Errors
    /// Where the database fails; then it may not begin.
    pub async fn begin(&self, units: &[Unit]) -> Result<(), Error> {
        if units.is_empty() {
            return Ok(());
        }
        let (names, versions) = columns(units);
        sqlx::query!(
            "insert into attempt (account_id, kind, source, unit, version, run_id)
             select distinct on (w.unit) $1, $2, $3, w.unit, w.version, $4::bigint
             from unnest($5::text[], $6::text[]) as w (unit, version)
             on conflict do nothing",
            INSTALLATION,
            self.kind.as_str(),
            self.source,
            self.run.0,
            &names,
            &versions
        )
        .execute(&self.store.pool)
        .await?;
        Ok(())
    }

    /// Says that the work on these units is done, whatever came of it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn done(&self, units: &[Unit]) -> Result<(), Error> {
        if units.is_empty() {
            return Ok(());
        }
        let mut connection = self.store.pool.acquire().await?;
        self.done_within(&mut connection, units).await
    }

    async fn done_within(&self, connection: &mut PgConnection, units: &[Unit]) -> Result<(), Error> {
        sqlx::query!(
            "delete from attempt where account_id = $1 and kind = $2 and source = $3 and unit = any($4)",
            INSTALLATION,
            self.kind.as_str(),
            self.source,
            &columns(units).0
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl TrailBatch<'_> {
    /// Says that the work on units is done, with this batch.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attempted(&mut self, attempts: &Attempts, units: &[Unit]) -> Result<(), Error> {
        attempts.done_within(&mut self.tx, units).await
    }
}

fn columns(units: &[Unit]) -> (Vec<String>, Vec<String>) {
    units.iter().map(|unit| (parse::indexed(&unit.name), parse::storable(&unit.version))).unzip()
}
