//! Deliveries to webhooks: up to where each has been served, what is to be sent, and what came of it.
//!
//! Knows that an event becomes at most one delivery of a webhook, and that a delivery is sent by one process at a
//! time. Refuses to know addresses, secrets, and which events a webhook wants.

use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::work::jobs::interval;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

rolecall_iam::vocabulary! {
    /// Where a delivery stands.
    pub enum DeliveryState: "a state of a delivery" {
        /// It is sent, or sent again, as soon as it is due.
        Waiting = "waiting",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was sent as often as it may be.
        Failed = "failed",
    }
}

rolecall_iam::vocabulary! {
    /// Why nothing is sent to a webhook.
    pub enum Disabled: "a reason of a disabled webhook" {
        /// Its endpoint answered that it wants no more (410).
        Gone = "gone",
        /// The last attempt of a message failed.
        Failed = "failed",
    }
}

/// What is kept of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its name in the configuration.
    pub name: String,
    /// The event up to which its deliveries are there.
    pub position: i64,
    /// Since when it is disabled, and why.
    pub disabled: Option<(DateTime<Utc>, Disabled)>,
    /// How many deliveries wait.
    pub waiting: u64,
    /// How many failed.
    pub failed: u64,
    /// When the endpoint last took one.
    pub last_delivered_at: Option<DateTime<Utc>>,
}

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookPosition {
    /// The event up to which its deliveries are there.
    pub position: i64,
    /// How many deliveries wait.
    pub waiting: u64,
    /// Since when it is kept.
    pub created_at: DateTime<Utc>,
    /// The slot of its last letter; `None` before the first.
    pub digested_at: Option<DateTime<Utc>>,
}

/// A step of a webhook in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The event after which it stands.
    pub from: i64,
    /// The event after which it stands then.
    pub to: i64,
    /// The slot whose letter this is, where it is one.
    pub slot: Option<DateTime<Utc>>,
    /// The slot of the letter before.
    pub last_slot: Option<DateTime<Utc>>,
}

/// A delivery that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// `webhook-id`.
    pub id: String,
    /// The event; `None` of a test.
    pub seq: Option<i64>,
    /// Such as `finding.opened`.
    pub kind: String,
    /// The page of what it is about; empty where it has none.
    pub page: String,
    /// What is sent.
    pub body: String,
}

/// A delivery that somebody sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// `webhook-id`.
    pub id: String,
    /// What is sent.
    pub body: String,
    /// How many attempts were made before.
    pub attempts: u32,
    /// Shows that it is the sender's.
    pub lease: Uuid,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// It was taken.
    Delivered,
    /// It was not, and is sent again after so long.
    Again(Duration),
    /// It was not, and is not sent again; the webhook is disabled.
    GivenUp(Disabled),
}

/// A delivery as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// `webhook-id`.
    pub id: String,
    /// The event; `None` of a test.
    pub seq: Option<i64>,
    /// Such as `finding.opened`.
    pub kind: String,
    /// The page of what it is about; empty where it has none.
    pub page: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is sent next, while it waits.
    pub due_at: DateTime<Utc>,
    /// When it was sent last.
    pub last_at: Option<DateTime<Utc>>,
    /// What the endpoint answered then.
    pub last_status: Option<u16>,
    /// Why there was no answer, or why it was not taken.
    pub last_error: Option<String>,
}

/// The key of a delivery in a list, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAfter {
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: String,
}

impl Store {
    /// Begins to keep a webhook, if it is not kept: it is served from the present end of the feed on.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_webhook(&self, name: &str) -> Result<(), Error> {
        sqlx::query!(
            "insert into webhook (account_id, name, position)
             select account_id, $2, value from counter where account_id = $1 and name = 'change'
             on conflict do nothing",
            INSTALLATION,
            name
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What is kept of webhooks, by name.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn webhooks(&self) -> Result<BTreeMap<String, WebhookRow>, Error> {
        let rows = sqlx::query!(
            r#"select w.name, w.position, w.disabled_at, w.disabled_because, d.waiting as "waiting!",
                      d.failed as "failed!", d.last
               from webhook w cross join lateral (
                   select count(*) filter (where state = 'waiting') as waiting,
                          count(*) filter (where state = 'failed') as failed,
                          max(last_at) filter (where state = 'delivered') as last
                   from webhook_delivery where account_id = w.account_id and webhook = w.name) d
               where w.account_id = $1"#,
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        let mut webhooks = BTreeMap::new();
        for row in rows {
            let disabled = match (row.disabled_at, row.disabled_because) {
                (Some(at), Some(why)) => Some((at, parse::text("webhook", &row.name, &why)?)),
                _ => None,
            };
            let kept = WebhookRow {
                name: row.name.clone(),
                position: row.position,
                disabled,
                waiting: parse::count(row.waiting),
                failed: parse::count(row.failed),
                last_delivered_at: row.last,
            };
            webhooks.insert(row.name, kept);
        }
        Ok(webhooks)
    }

    /// The names of the webhooks that are disabled.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn disabled_webhooks(&self) -> Result<Vec<String>, Error> {
        let names = sqlx::query_scalar!(
            "select name from webhook where account_id = $1 and disabled_at is not null order by name",
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(names)
    }

    /// Where a webhook stands that is not disabled.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn webhook_position(&self, name: &str) -> Result<Option<WebhookPosition>, Error> {
        let row = sqlx::query!(
            r#"select position, created_at, digested_at,
                      (select count(*) from webhook_delivery d where d.account_id = w.account_id
                       and d.webhook = w.name and d.state = 'waiting') as "waiting!"
               from webhook w where account_id = $1 and name = $2 and disabled_at is null"#,
            INSTALLATION,
            name
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| WebhookPosition {
            position: row.position,
            waiting: parse::count(row.waiting),
            created_at: row.created_at,
            digested_at: row.digested_at,
        }))
    }

    /// Moves a webhook on in the feed, with the deliveries that the events between are. Where another process has
    /// moved it, nothing happens, and the answer is no. A delivery that is there, of an event that is gone through
    /// again, is sent again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn advance_webhook(&self, name: &str, step: Advance, deliveries: &[NewDelivery]) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let moved = sqlx::query!(
            "update webhook set position = $4, digested_at = coalesce($5, digested_at)
             where account_id = $1 and name = $2 and position = $3 and disabled_at is null
               and digested_at is not distinct from $6",
            INSTALLATION,
            name,
            step.from,
            step.to,
            step.slot,
            step.last_slot
        )
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        let column =
            |of: &dyn Fn(&NewDelivery) -> &str| deliveries.iter().map(|it| of(it).to_owned()).collect::<Vec<_>>();
        let seqs: Vec<Option<i64>> = deliveries.iter().map(|delivery| delivery.seq).collect();
        sqlx::query!(
            "insert into webhook_delivery as d (account_id, webhook, id, seq, type, page, body)
             select $1, $2, n.id, n.seq, n.type, n.page, n.body
             from unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[]) as n (id, seq, type, page, body)
             on conflict (account_id, id) do update
             set state = 'waiting', attempts = 0, due_at = clock_timestamp(), lease = null, lease_until = null,
                 body = excluded.body",
            INSTALLATION,
            name,
            &column(&|it| &it.id),
            &seqs as &[Option<i64>],
            &column(&|it| &it.kind),
            &column(&|it| &it.page),
            &column(&|it| &it.body)
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Makes a delivery that is no event's. No where the webhook is not kept.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn test_webhook(&self, name: &str, delivery: &NewDelivery) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let made = sqlx::query!(
            "insert into webhook_delivery (account_id, webhook, id, seq, type, page, body)
             select account_id, name, $3, null, $4, $5, $6 from webhook where account_id = $1 and name = $2",
            INSTALLATION,
            name,
            delivery.id,
            delivery.kind,
            delivery.page,
            delivery.body
        )
        .execute(&mut *tx)
        .await?;
        self.write_down(tx, made.rows_affected(), AuditAction::WebhookTest, name, json!({ "id": delivery.id })).await
    }

    /// Takes deliveries of a webhook that are due, the earliest first; nobody else gets them before the lease ends.
    /// None of a webhook that is disabled.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn claim_deliveries(
        &self,
        name: &str,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>, Error> {
        let mine = Uuid::new_v4();
        let rows = sqlx::query!(
            "update webhook_delivery set lease = $4, lease_until = clock_timestamp() + $5::interval
             where (account_id, id) in (
                 select d.account_id, d.id
                 from webhook_delivery d join webhook w on w.account_id = d.account_id and w.name = d.webhook
                 where d.account_id = $1 and d.webhook = $2 and d.state = 'waiting' and d.due_at <= clock_timestamp()
                   and (d.lease_until is null or d.lease_until <= clock_timestamp()) and w.disabled_at is null
                 order by d.due_at, d.seq limit $3 for update of d skip locked)
             returning id, body, attempts",
            INSTALLATION,
            name,
            parse::limit(most),
            mine,
            interval(lease)
        )
        .fetch_all(&self.pool)
        .await?;
        let attempts = |made: i32| u32::try_from(made).unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|row| ClaimedDelivery { id: row.id, body: row.body, attempts: attempts(row.attempts), lease: mine })
            .collect())
    }

    /// Notes what came of an attempt. No where the lease is another's by now: that one notes its own.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn note_attempt(
        &self,
        delivery: &ClaimedDelivery,
        attempted: &Attempted,
        status: Option<u16>,
        error: Option<&str>,
    ) -> Result<bool, Error> {
        let (state, wait, disabled) = match attempted {
            Attempted::Delivered => (DeliveryState::Delivered, Duration::ZERO, None),
            Attempted::Again(wait) => (DeliveryState::Waiting, *wait, None),
            Attempted::GivenUp(why) => (DeliveryState::Failed, Duration::ZERO, Some(why.as_str())),
        };
        let noted = sqlx::query!(
            r#"with noted as (
                   update webhook_delivery
                   set state = $4, attempts = attempts + 1, due_at = clock_timestamp() + $5::interval,
                       last_at = clock_timestamp(), last_status = $6, last_error = $7, lease = null, lease_until = null
                   where account_id = $1 and id = $2 and lease = $3 returning account_id, webhook),
               off as (
                   update webhook w set disabled_at = clock_timestamp(), disabled_because = $8
                   from noted where $8::text is not null and w.account_id = noted.account_id and w.name = noted.webhook
                     and w.disabled_at is null)
               select count(*) as "count!" from noted"#,
            INSTALLATION,
            delivery.id,
            delivery.lease,
            state.as_str(),
            interval(wait),
            status.map(i32::from),
            error.map(|text| parse::storable(text).to_string()),
            disabled
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(noted.count > 0)
    }

    /// Lets a webhook be served again, from where it stood. No where it was not disabled.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn enable_webhook(&self, name: &str) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let enabled = sqlx::query!(
            "update webhook set disabled_at = null, disabled_because = null
             where account_id = $1 and name = $2 and disabled_at is not null",
            INSTALLATION,
            name
        )
        .execute(&mut *tx)
        .await?;
        self.write_down(tx, enabled.rows_affected(), AuditAction::WebhookEnable, name, json!({})).await
    }

    /// Sends a delivery again, as if it were new. No where there is none of that id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn replay_delivery(&self, name: &str, id: &str) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let replayed = sqlx::query!(
            "update webhook_delivery set state = 'waiting', attempts = 0, due_at = clock_timestamp(), lease = null,
                    lease_until = null
             where account_id = $1 and webhook = $2 and id = $3",
            INSTALLATION,
            name,
            parse::storable(id)
        )
        .execute(&mut *tx)
        .await?;
        self.write_down(tx, replayed.rows_affected(), AuditAction::WebhookReplay, name, json!({ "id": id })).await
    }

    /// Goes on after another event: an earlier one, and all events since are gone through again; or a later one, and
    /// those before are left out. No where the webhook is not kept.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn replay_webhook(&self, name: &str, after: i64) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let moved = sqlx::query!(
            "update webhook set position = $3 where account_id = $1 and name = $2",
            INSTALLATION,
            name,
            after
        )
        .execute(&mut *tx)
        .await?;
        self.write_down(tx, moved.rows_affected(), AuditAction::WebhookReplay, name, json!({ "after": after })).await
    }

    /// Ends a step of somebody in the audit log, where it changed anything, and says whether it did.
    async fn write_down(
        &self,
        mut tx: Transaction<'_, Postgres>,
        changed: u64,
        action: AuditAction,
        name: &str,
        detail: Value,
    ) -> Result<bool, Error> {
        if changed > 0 {
            append(&mut tx, &self.actor, &[NewAuditEntry::done(action, name, detail)]).await?;
        }
        tx.commit().await?;
        Ok(changed > 0)
    }

    /// Deliveries of a webhook, the newest first; in these states, or in any where none is named.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn deliveries(
        &self,
        name: &str,
        states: &[DeliveryState],
        after: Option<&DeliveryAfter>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, Error> {
        let states: Vec<String> = states.iter().map(|state| state.as_str().to_owned()).collect();
        let rows = sqlx::query!(
            r#"select id, seq, type as kind, page, state, attempts, created_at, due_at, last_at, last_status, last_error
               from webhook_delivery
               where account_id = $1 and webhook = $2 and (cardinality($3::text[]) = 0 or state = any($3))
                 and ($4::timestamptz is null or (created_at, id) < ($4, $5))
               order by created_at desc, id desc limit $6"#,
            INSTALLATION,
            name,
            &states,
            after.map(|after| after.created_at),
            after.map(|after| after.id.clone()),
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in rows {
            deliveries.push(DeliveryRow {
                state: parse::text("webhook_delivery", &row.id, &row.state)?,
                id: row.id,
                seq: row.seq,
                kind: row.kind,
                page: row.page,
                attempts: u32::try_from(row.attempts).unwrap_or_default(),
                created_at: row.created_at,
                due_at: row.due_at,
                last_at: row.last_at,
                last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
                last_error: row.last_error,
            });
        }
        Ok(deliveries)
    }

    /// Drops deliveries that no longer wait and were made before a moment, and says how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune_deliveries(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        let dropped = sqlx::query!("delete from webhook_delivery where state <> 'waiting' and created_at < $1", before)
            .execute(&self.pool)
            .await?;
        Ok(dropped.rows_affected())
    }
}
