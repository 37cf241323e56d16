//! Tickets of findings in other systems: who may file one, and which there are.
//!
//! Knows that of several who want to file for one finding one gets it, until its lease ends, and that whoever comes
//! later is told how a ticket of an earlier one would be marked. The lease goes by the database's clock. Refuses to
//! know the systems.

use crate::audit_log::{Actor, append};
use crate::findings::apply::{Life, Step, keep_numbers, named};
use crate::parse::JsonText;
use crate::{Error, Store, parse};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::finding::ticket::{Reservation, Ticket, TicketSystem};
use rolecall_iam::Digest;
use serde::Deserialize;
use serde_json::json;
use sqlx::{Postgres, Transaction};

/// A finding's ticket in one system, or the reservation of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TicketRow {
    /// In which system.
    pub system: String,
    /// What the ticket is marked with.
    pub idempotency_key: String,
    /// The worker that reserved it last; `None` where nobody did, or it gave it back.
    pub holder: Option<String>,
    /// Whose credential that one has.
    pub reserved_by: Option<String>,
    /// When it reserved it.
    pub reserved_at: Option<DateTime<Utc>>,
    /// Until when that holds.
    pub lease_until: Option<DateTime<Utc>>,
    /// How often it was reserved.
    pub reservations: u32,
    /// How the system calls the ticket; `None` where there is none yet.
    pub key: Option<String>,
    /// Where people read it.
    pub url: Option<String>,
    /// Who linked it.
    pub linked_by: Option<String>,
    /// When.
    pub linked_at: Option<DateTime<Utc>>,
}

/// Which findings, by their tickets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TicketFilter {
    /// Without a ticket.
    None,
    /// With a ticket in any system.
    Any,
    /// With a ticket in this one.
    In(String),
}

/// What a reservation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The ticket to be.
    pub ticket: TicketRow,
    /// Who reserved it before, and when, where somebody did: there may be a ticket that is not linked.
    pub before: Option<(Option<String>, Option<DateTime<Utc>>)>,
}

/// Why a finding's ticket is not reserved, linked or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTicketed {
    /// There is no such finding.
    Absent,
    /// There is no ticket and no reservation.
    NoTicket,
    /// Somebody else holds it.
    Held(Box<TicketRow>),
    /// There is a ticket already.
    Filed(Box<TicketRow>),
}

/// The columns of [`TicketRow`] with the reservation's digest.
struct Kept {
    row: TicketRow,
    token: Option<Vec<u8>>,
}

impl Kept {
    fn is_held(&self, now: DateTime<Utc>) -> bool {
        self.row.lease_until.is_some_and(|until| until > now)
    }

    fn is_by(&self, token: Option<&Digest>) -> bool {
        self.token.is_some() && self.token.as_deref() == token.map(|digest| digest.as_bytes().as_slice())
    }
}

impl Store {
    /// Reserves the ticket of a finding. `token` is the digest of what the holder shows later, `fresh` what a ticket
    /// is marked with where nothing was reserved before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn reserve_ticket(
        &self,
        id: &str,
        asked: &Reservation,
        token: &Digest,
        fresh: &str,
        who: &str,
    ) -> Result<Result<Reserved, NotTicketed>, Error> {
        let ids = self.seen(vec![id.to_owned()]).await?;
        let (mut tx, mut step) = self.begin_triage(who).await?;
        let Some(mut life) = named(&mut tx, &ids).await?.pop() else {
            return Ok(Err(NotTicketed::Absent));
        };
        let known = kept(&mut tx, &life, asked.system()).await?;
        let who = parse::storable(who);
        let holder = parse::storable(asked.holder());
        if let Some(known) = &known {
            let is_own = known.row.holder.as_ref() == Some(&holder) && known.row.reserved_by.as_ref() == Some(&who);
            if known.row.key.is_some() {
                return Ok(Err(NotTicketed::Filed(Box::new(known.row.clone()))));
            }
            if known.is_held(step.now) && !is_own {
                return Ok(Err(NotTicketed::Held(Box::new(known.row.clone()))));
            }
        }
        let until = step.now + TimeDelta::from_std(asked.lease()).unwrap_or_default();
        let kept = sqlx::query_scalar!(
            r#"insert into finding_ticket as t (account_id, fingerprint, system, idempotency_key, holder, reserved_by,
                                              reserved_at, lease_until, token_digest, reservations)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)
               on conflict (account_id, fingerprint, system) do update
               set holder = excluded.holder, reserved_by = excluded.reserved_by, reserved_at = excluded.reserved_at,
                   lease_until = excluded.lease_until, token_digest = excluded.token_digest,
                   reservations = t.reservations + 1
               returning to_jsonb(t) as "row!: JsonText""#,
            life.account_id,
            life.fingerprint,
            asked.system().as_str(),
            fresh,
            holder,
            who,
            step.now,
            until,
            token.as_bytes().as_slice()
        )
        .fetch_one(&mut *tx)
        .await?;
        let ticket: TicketRow = parse::json("finding_ticket", &life.fingerprint, &kept)?;
        let detail = json!({ "system": asked.system().as_str(), "holder": holder, "until": until });
        step.event(&mut life, "ticket_reserved", detail);
        step.move_on(life);
        finish(tx, step, &self.actor).await?;
        let before = known.filter(|known| known.row.reservations > 0);
        Ok(Ok(Reserved { ticket, before: before.map(|known| (known.row.holder, known.row.reserved_at)) }))
    }

    /// Links a ticket to a finding. With a reservation only its holder does; once its lease has ended, so long as
    /// nobody else has reserved it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn link_ticket(
        &self,
        id: &str,
        system: &TicketSystem,
        ticket: &Ticket,
        token: Option<&Digest>,
        fresh: &str,
        who: &str,
    ) -> Result<Result<i64, NotTicketed>, Error> {
        let ids = self.seen(vec![id.to_owned()]).await?;
        let (mut tx, mut step) = self.begin_triage(who).await?;
        let Some(mut life) = named(&mut tx, &ids).await?.pop() else {
            return Ok(Err(NotTicketed::Absent));
        };
        let number = life.number;
        let (key, url) = (parse::storable(ticket.key()), parse::storable(ticket.url()));
        match kept(&mut tx, &life, system).await? {
            Some(known) if known.row.key.is_some() => {
                // Whoever does not know whether the link came through sends it again.
                if known.row.key.as_ref() == Some(&key) && known.row.url.as_ref() == Some(&url) {
                    return Ok(Ok(number));
                }
                return Ok(Err(NotTicketed::Filed(Box::new(known.row))));
            }
            Some(known) if (token.is_some() || known.is_held(step.now)) && !known.is_by(token) => {
                return Ok(Err(NotTicketed::Held(Box::new(known.row))));
            }
            None if token.is_some() => return Ok(Err(NotTicketed::NoTicket)),
            Some(_) | None => {}
        }
        sqlx::query!(
            "insert into finding_ticket as t (account_id, fingerprint, system, idempotency_key, key, url, linked_by,
                                              linked_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (account_id, fingerprint, system) do update
             set key = excluded.key, url = excluded.url, linked_by = excluded.linked_by,
                 linked_at = excluded.linked_at, lease_until = null, token_digest = null",
            life.account_id,
            life.fingerprint,
            system.as_str(),
            fresh,
            key,
            url,
            parse::storable(who),
            step.now
        )
        .execute(&mut *tx)
        .await?;
        step.event(&mut life, "ticket_linked", json!({ "system": system.as_str(), "key": key, "url": url }));
        step.move_on(life);
        finish(tx, step, &self.actor).await?;
        Ok(Ok(number))
    }

    /// Takes a ticket away from a finding, or gives a reservation back, which its holder alone does while it holds.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn remove_ticket(
        &self,
        id: &str,
        system: &TicketSystem,
        token: Option<&Digest>,
        who: &str,
    ) -> Result<Result<i64, NotTicketed>, Error> {
        let ids = self.seen(vec![id.to_owned()]).await?;
        let (mut tx, mut step) = self.begin_triage(who).await?;
        let Some(mut life) = named(&mut tx, &ids).await?.pop() else {
            return Ok(Err(NotTicketed::Absent));
        };
        let number = life.number;
        let Some(known) = kept(&mut tx, &life, system).await? else { return Ok(Err(NotTicketed::NoTicket)) };
        let detail = json!({ "system": system.as_str(), "key": known.row.key, "holder": known.row.holder });
        if known.row.key.is_some() {
            sqlx::query!(
                "delete from finding_ticket where account_id = $1 and fingerprint = $2 and system = $3",
                life.account_id,
                life.fingerprint,
                system.as_str()
            )
            .execute(&mut *tx)
            .await?;
            step.event(&mut life, "ticket_removed", detail);
        } else if known.is_held(step.now) && !known.is_by(token) {
            return Ok(Err(NotTicketed::Held(Box::new(known.row))));
        } else if known.row.lease_until.is_none() {
            return Ok(Err(NotTicketed::NoTicket));
        } else {
            // What was reserved stays known: a ticket may have been filed all the same.
            sqlx::query!(
                "update finding_ticket set lease_until = null, token_digest = null
                 where account_id = $1 and fingerprint = $2 and system = $3",
                life.account_id,
                life.fingerprint,
                system.as_str()
            )
            .execute(&mut *tx)
            .await?;
            step.event(&mut life, "ticket_released", detail);
        }
        step.move_on(life);
        finish(tx, step, &self.actor).await?;
        Ok(Ok(number))
    }
}

async fn kept(
    tx: &mut Transaction<'static, Postgres>,
    life: &Life,
    system: &TicketSystem,
) -> Result<Option<Kept>, Error> {
    let found = sqlx::query!(
        r#"select to_jsonb(t) as "row!: JsonText", token_digest from finding_ticket t
           where account_id = $1 and fingerprint = $2 and system = $3"#,
        life.account_id,
        life.fingerprint,
        system.as_str()
    )
    .fetch_optional(&mut **tx)
    .await?;
    found
        .map(|found| {
            Ok(Kept { row: parse::json("finding_ticket", &life.fingerprint, &found.row)?, token: found.token_digest })
        })
        .transpose()
}

/// A ticket changes nothing about what is listed under what.
async fn finish(mut tx: Transaction<'static, Postgres>, mut step: Step, actor: &Actor) -> Result<(), Error> {
    let acts = step.acts();
    step.write_down(&mut tx).await?;
    keep_numbers(&mut tx, &step).await?;
    append(&mut tx, actor, &acts).await?;
    tx.commit().await?;
    Ok(())
}
