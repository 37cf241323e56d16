//! Changes that are told from calls alone: what must be told again, what it takes, and what came of it.
//!
//! Knows that new calls and new scans of an account owe it, and that what is owed goes in the transaction that
//! keeps what came of it. Refuses to know what a call did.

use crate::inventory::changes::{ChangeRow, of_account, tell};
use crate::inventory::estate;
use crate::inventory::{coverage, snapshot::marks_beside};
use crate::work::feed::NewEvents;
use crate::work::jobs::interval;
use crate::work::runs::RunId;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::Estate;
use rolecall_iam::{AccountId, Document};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::time::Duration;

/// Calls of an account that must be told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedReplay {
    /// The account.
    pub account_id: AccountId,
    /// From when on.
    pub since: DateTime<Utc>,
    number: i64,
}

/// A scan of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountScan {
    /// The run.
    pub run: RunId,
    /// When it began to read the account; of files their date.
    pub begun_at: DateTime<Utc>,
    /// Of what date what it left is.
    pub at: DateTime<Utc>,
}

impl Store {
    /// The accounts whose calls must be told again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn owed_replays(&self) -> Result<Vec<OwedReplay>, Error> {
        let rows = sqlx::query!(
            r#"select o.account_id, o.number, least(o.since, (
                   select min(c.event_time) from change c
                   where c.account_id = o.account_id and c.seen_in = 'events' and c.ended_at is null)) as "since!"
               from owed_replay o order by o.account_id"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let account_id = parse::account("owed_replay", &row.account_id)?;
                Ok(OwedReplay { account_id, since: row.since, number: row.number })
            })
            .collect()
    }

    /// The scans of an account by which calls from a moment on are told, the oldest first: the two before it, and
    /// those after.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn scans_of(&self, account: AccountId, since: DateTime<Utc>) -> Result<Vec<AccountScan>, Error> {
        let rows = sqlx::query!(
            "select run_id, begun_at, at from account_scan
             where account_id = $1
               and run_id >= coalesce((select min(run_id) from (
                       select run_id from account_scan where account_id = $1 and at < $2
                       order by run_id desc limit 2) as before), 0)
             order by run_id",
            account.to_string(),
            since
        )
        .fetch_all(&self.pool)
        .await?;
        let scan = |run, begun_at, at| AccountScan { run: RunId(run), begun_at, at };
        Ok(rows.into_iter().map(|row| scan(row.run_id, row.begun_at, row.at)).collect())
    }

    /// The estate as a run left it, as far as calls about the resources of some accounts may matter, with the
    /// coverage of now: every association, managed policy, account, and the organization, the roles that
    /// associations name, and all roles of these accounts.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn estate_left_by(&self, run: RunId, accounts: &BTreeSet<AccountId>) -> Result<Estate, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let mut estate = estate::left_by(&mut tx, run, &accounts).await?;
        estate.coverage = coverage::latest(&mut tx, None).await?;
        estate.unconfirmed = marks_beside(&mut tx, None, None).await?;
        estate.assumed = estate::assumed(&mut tx, None).await?;
        tx.rollback().await?;
        Ok(estate)
    }

    /// The accounts in which a call of IAM, EKS or Organizations changed something after their last scan, where
    /// no scan of them began within this time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn accounts_to_rescan(&self, distance: Duration) -> Result<BTreeSet<AccountId>, Error> {
        let rows = sqlx::query_scalar!(
            "select s.account_id
             from (select distinct on (account_id) account_id, begun_at from account_scan
                   order by account_id, run_id desc) as s
             where s.begun_at <= clock_timestamp() - $1::interval
               and exists (select from change_event e
                           where e.account_id = s.account_id and e.at > s.begun_at and e.error_code is null
                             and e.event_source in ('iam.amazonaws.com', 'eks.amazonaws.com',
                                                    'organizations.amazonaws.com'))",
            interval(distance)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|account| parse::account("account_scan", account)).collect()
    }

    /// The changes of an account's resources that scans show, made at this moment or later.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn changes_shown(&self, account: AccountId, since: DateTime<Utc>) -> Result<Vec<ChangeRow>, Error> {
        of_account(&self.pool, account, since).await
    }

    /// Keeps what is told from the calls of an account from a moment on, with the documents that it names, in
    /// place of what was told of them before, and settles what was owed. What is not told any more is what a scan
    /// shows by now: that change takes over its approval. Says how many are new.
    ///
    /// # Errors
    /// Where the database fails; then it is owed still.
    pub async fn keep_event_changes(
        &self,
        owed: &OwedReplay,
        from: Option<DateTime<Utc>>,
        rows: &[(ChangeRow, Vec<Document>)],
    ) -> Result<u64, Error> {
        let account = owed.account_id.to_string();
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let ids: Vec<String> = rows.iter().map(|(row, _)| row.change.id.clone()).collect();
        if let Some(from) = from {
            forget(&mut tx, &account, from, &ids, &mut told).await?;
        }
        let mut kept = 0;
        for (row, documents) in rows {
            match keep(&mut tx, row).await? {
                Kept::New => {
                    kept += 1;
                    tell(&mut told, "change.detected", row);
                }
                Kept::Updated => tell(&mut told, "change.updated", row),
                Kept::Same => {}
            }
            for document in documents {
                sqlx::query!(
                    "insert into document (account_id, digest, text, first_run) values ($1, $2, $3, $4)
                     on conflict (account_id, digest) do nothing",
                    account,
                    document.digest.as_bytes().as_slice(),
                    parse::storable_document(&document.text),
                    row.run.0
                )
                .execute(&mut *tx)
                .await?;
            }
        }
        sqlx::query!("delete from owed_replay where account_id = $1 and number = $2", account, owed.number)
            .execute(&mut *tx)
            .await?;
        told.write(&mut tx, self.behind).await?;
        tx.commit().await?;
        Ok(kept)
    }
}

/// What became of a change that is kept.
enum Kept {
    New,
    Updated,
    Same,
}

/// Forgets what was told from calls and is told no more.
async fn forget(
    connection: &mut PgConnection,
    account: &str,
    from: DateTime<Utc>,
    kept: &[String],
    told: &mut NewEvents,
) -> Result<(), Error> {
    sqlx::query!(
        "with gone as (
             select id, change, events -> 0 ->> 'event_id' as event_id from change
             where account_id = $1 and seen_in = 'events' and event_time >= $2 and id <> all($3)),
         shown as (
             select distinct on (g.id) g.id as old, c.id as new from gone g
             join change c on c.account_id = $1 and c.seen_in = 'snapshots' and c.attribution = 'exact'
                          and c.events @> jsonb_build_array(jsonb_build_object('event_id', g.event_id))
             where not exists (select from approval b where b.account_id = $1 and b.change_id = c.id)
             order by g.id, c.change = g.change desc, c.id)
         update approval a set change_id = s.new from shown s where a.account_id = $1 and a.change_id = s.old",
        account,
        from,
        kept
    )
    .execute(&mut *connection)
    .await?;
    let gone = sqlx::query!(
        "delete from change
         where account_id = $1 and seen_in = 'events' and event_time >= $2 and id <> all($3)
         returning id, change, effect, resource",
        account,
        from,
        kept
    )
    .fetch_all(connection)
    .await?;
    for row in gone {
        let detail = json!({ "change": row.change, "effect": row.effect, "resource": row.resource });
        told.tell(account, "change.removed", &row.id, "scanner", &detail);
    }
    Ok(())
}

/// Keeps one, and says what became of it. When it was first told, and by which scan, stays.
async fn keep(connection: &mut PgConnection, row: &ChangeRow) -> Result<Kept, Error> {
    let change = &row.change;
    let affected: Vec<String> = change.affected.iter().map(|it| it.workload.to_string()).collect();
    let found = sqlx::query!(
        r#"with before as (select effect, body, ended_at, ended_by, effective_at from change
                        where account_id = $1 and id = $2)
         insert into change as c (account_id, id, run_id, resource_type, resource, change, effect, affected,
                                  detected_at, since, until, body, attribution, attribution_because, event_time,
                                  effective_at, actor, events, is_trail_complete, seen_in, ended_at, ended_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json, $13, $14, $15, $16, $17,
                 $18::text::jsonb, $19, 'events', $20, $21)
         on conflict (account_id, id) do update
         set effect = excluded.effect, affected = excluded.affected, body = excluded.body,
             effective_at = excluded.effective_at, ended_at = excluded.ended_at, ended_by = excluded.ended_by,
             passed_under = case when (c.ended_at, c.ended_by, c.body::text)
                                      is distinct from (excluded.ended_at, excluded.ended_by, excluded.body::text)
                                 then null else c.passed_under end
         returning xmax = 0 as "is_new!",
                   exists (select from before b
                           where (b.effect, b.body::text, b.ended_at, b.ended_by, b.effective_at)
                                 is not distinct from (c.effect, c.body::text, c.ended_at, c.ended_by, c.effective_at))
                       as "is_same!""#,
        change.account_id.to_string(),
        change.id,
        row.run.0,
        change.resource.kind.as_str(),
        parse::storable(&change.resource.name),
        change.change,
        change.effect.as_str(),
        &affected,
        row.detected_at,
        row.since,
        row.until,
        parse::json_text(change),
        row.attributed.attribution.as_str(),
        parse::storable(&row.attributed.because),
        row.attributed.event_time(),
        row.effective_at,
        row.attributed.actor().map(parse::storable),
        parse::json_text(&row.attributed.calls),
        row.attributed.is_trail_complete,
        row.ended.as_ref().map(|it| it.at),
        row.ended.as_ref().and_then(|it| it.by.clone())
    )
    .fetch_one(connection)
    .await?;
    Ok(match (found.is_new, found.is_same) {
        (true, _) => Kept::New,
        (false, true) => Kept::Same,
        (false, false) => Kept::Updated,
    })
}
