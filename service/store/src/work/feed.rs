//! The feed: all that happened to findings, changes and scans, in one order that no reader can miss a part of.
//!
//! Numbers come from one counter, whose row is locked until the transaction that takes them has committed. So
//! transactions appear in the order of their numbers, and whoever has read up to one never sees a lower number come
//! later; a sequence, or a time, does not give that. INVARIANT: a transaction that tells events locks the counter
//! before anything that another one of them may hold. Refuses to know what an event means.

use crate::audit_log::{AuditAction, NewAuditEntry};
use crate::work::jobs::interval;
use crate::work::run_id::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::verdict::Fingerprint;
use rolecall_iam::AccountId;
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;

/// So many numbers are looked through at once, whatever the filter leaves of them.
const LOOKED_THROUGH: i64 = 50_000;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSubject {
    /// A finding.
    Finding(Fingerprint),
    /// A change, by its id.
    Change(String),
    /// A scan.
    Run(RunId),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the one order.
    pub seq: i64,
    /// Such as `finding.opened`, one of [`KINDS`].
    pub kind: String,
    /// About what.
    pub subject: EventSubject,
    /// Of which account; `None` where it belongs to none.
    pub account_id: Option<AccountId>,
    /// In which scan, where it was one.
    pub run: Option<RunId>,
    /// When.
    pub at: DateTime<Utc>,
    /// `scanner`, or who did it.
    pub actor: String,
    /// Values before and after.
    pub detail: Value,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedPart {
    /// What came after a number.
    Events {
        /// In their order.
        events: Vec<Event>,
        /// Up to here everything was looked at; where to go on.
        next: i64,
        /// Whether there is more already.
        has_more: bool,
    },
    /// The number is not one that can be gone on from.
    Gone(FeedBounds),
}

/// From where to where the feed is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedBounds {
    /// Whoever has read up to here misses nothing.
    pub begin: i64,
    /// The last number that was given.
    pub end: i64,
}

macro_rules! kinds {
    ($($kind:literal)*) => {
        /// Every kind of event.
        pub const KINDS: &[&str] = &[$($kind),*];
    };
}

kinds! {
    "finding.opened" "finding.reopened" "finding.changed" "finding.seen_again" "finding.stale" "finding.resolved"
    "finding.acknowledged" "finding.unacknowledged" "finding.suppressed" "finding.suppression_requested"
    "finding.suppression_declined" "finding.suppression_ended" "finding.suppression_expired" "finding.assigned"
    "finding.commented" "finding.ticket_reserved" "finding.ticket_linked" "finding.ticket_removed" "finding.ticket_released"
    "change.detected" "change.updated" "change.approved" "change.approval_withdrawn" "change.removed"
    "scan.started" "scan.ended"
}

/// Events of one transaction that is under way.
pub(crate) struct NewEvents {
    seq: i64,
    rows: Vec<Row>,
}

struct Row {
    account: String,
    kind: &'static str,
    subject: String,
    actor: String,
    detail: String,
}

impl NewEvents {
    /// Locks the counter: no other transaction numbers anything until this one ends.
    pub(crate) async fn begin(connection: &mut PgConnection) -> Result<Self, Error> {
        let seq = sqlx::query_scalar!(
            "select value from counter where account_id = $1 and name = 'change' for update",
            INSTALLATION
        )
        .fetch_one(connection)
        .await?;
        Ok(Self { seq, rows: Vec::new() })
    }

    pub(crate) fn tell(&mut self, account: &str, kind: &'static str, subject: &str, actor: &str, detail: &Value) {
        self.rows.push(Row {
            account: account.to_owned(),
            kind,
            subject: subject.to_owned(),
            actor: parse::storable(actor).to_string(),
            detail: parse::json_text(detail),
        });
    }

    /// What of it somebody did, for the audit log.
    pub(crate) fn acts(&self) -> Vec<NewAuditEntry> {
        let act = |row: &Row| {
            let action = match row.kind {
                "change.approved" => AuditAction::ChangeApprove,
                "change.approval_withdrawn" => AuditAction::ChangeWithdrawApproval,
                _ => return None,
            };
            let detail = serde_json::from_str(&row.detail).unwrap_or_default();
            Some(NewAuditEntry::done(action, row.subject.clone(), detail))
        };
        self.rows.iter().filter_map(act).collect()
    }

    /// Writes what was told, dated so much behind the database's clock.
    pub(crate) async fn write(self, connection: &mut PgConnection, behind: Duration) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let column =
            |of: &dyn Fn(&Row) -> &str| self.rows.iter().map(|row| of(row).to_owned()).collect::<Vec<String>>();
        sqlx::query!(
            "with told as (
                 insert into event (account_id, seq, at, kind, subject, actor, detail)
                 select w.account_id, $6 + w.place, clock_timestamp() - $7::interval, w.kind, w.subject, w.actor,
                        w.detail::jsonb
                 from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                      with ordinality as w (account_id, kind, subject, actor, detail, place)
                 returning 1)
             update counter set value = value + (select count(*) from told) where account_id = $8 and name = 'change'",
            &column(&|row| &row.account),
            &column(&|row| row.kind),
            &column(&|row| &row.subject),
            &column(&|row| &row.actor),
            &column(&|row| &row.detail),
            self.seq,
            interval(behind),
            INSTALLATION
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Store {
    /// From where to where the feed is whole.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn feed_bounds(&self) -> Result<FeedBounds, Error> {
        let mut connection = self.pool.acquire().await?;
        bounds(&mut connection).await
    }

    /// What happened after a number, in its order: at most `limit` events of these kinds, of all where none is named.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn feed(&self, after: i64, kinds: &[String], limit: u32) -> Result<FeedPart, Error> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let bounds = bounds(&mut tx).await?;
        if !(bounds.begin..=bounds.end).contains(&after) {
            return Ok(FeedPart::Gone(bounds));
        }
        let until = bounds.end.min(after.saturating_add(LOOKED_THROUGH));
        let limit = parse::limit(limit);
        let rows = sqlx::query!(
            r#"select seq as "seq!", account_id as "account_id!", at as "at!", kind as "kind!", actor as "actor!",
                      fingerprint, subject, run_id, detail as "detail!"
               from ((select change_seq as seq, account_id, at, 'finding.' || kind as kind, actor, fingerprint,
                             null as subject, run_id,
                             case when row_security_active('finding_event')
                                  then limited_detail(account_id, fingerprint, detail) else detail end as detail
                      from finding_event
                      where change_seq > $1 and change_seq <= $2
                        and (cardinality($3::text[]) = 0 or 'finding.' || kind = any($3))
                      order by change_seq limit $4)
                     union all
                     (select seq, account_id, at, kind, actor, null, subject, null, detail
                      from event
                      where seq > $1 and seq <= $2 and (cardinality($3::text[]) = 0 or kind = any($3))
                      order by seq limit $4)) told
               order by seq limit $4"#,
            after,
            until,
            kinds,
            limit
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.rollback().await?;
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            const TABLE: &str = "event";
            let of_run = row.kind.starts_with("scan.");
            let subject = match (row.fingerprint, row.subject) {
                (Some(fingerprint), _) => EventSubject::Finding(Fingerprint(fingerprint)),
                (None, Some(run)) if of_run => EventSubject::Run(parse::text(TABLE, &row.seq, &run)?),
                (None, Some(change)) => EventSubject::Change(change),
                (None, None) => return Err(Error::corrupt(TABLE, row.seq.to_string(), "it is about nothing")),
            };
            let run = match &subject {
                EventSubject::Run(run) => Some(*run),
                EventSubject::Finding(_) | EventSubject::Change(_) => row.run_id.map(RunId),
            };
            let account = (row.account_id != INSTALLATION).then(|| parse::account(TABLE, &row.account_id));
            events.push(Event {
                seq: row.seq,
                kind: row.kind,
                subject,
                account_id: account.transpose()?,
                run,
                at: row.at,
                actor: row.actor,
                detail: row.detail,
            });
        }
        let next = if is_full { events.last().map_or(until, |event| event.seq) } else { until };
        Ok(FeedPart::Events { events, next, has_more: next < bounds.end })
    }

    /// Drops what is told of changes and scans from before a moment, and says how much that was. The feed begins
    /// after it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_feed(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        let dropped = sqlx::query!(
            r#"with dropped as (delete from event where at < $2 returning seq),
                    begin as (
                 update counter set value = greatest(value, (select max(seq) from dropped))
                 where account_id = $1 and name = 'feed_begin' and exists (select from dropped))
               select count(*) as "count!" from dropped"#,
            INSTALLATION,
            before
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(parse::count(dropped.count))
    }
}

async fn bounds(connection: &mut PgConnection) -> Result<FeedBounds, Error> {
    let bounds = sqlx::query!(
        r#"select max(value) filter (where name = 'feed_begin') as "begin!",
                  max(value) filter (where name = 'change') as "end!"
           from counter where account_id = $1 and name in ('feed_begin', 'change')"#,
        INSTALLATION
    )
    .fetch_one(connection)
    .await?;
    Ok(FeedBounds { begin: bounds.begin, end: bounds.end })
}
