//! The audit log: what people, programs and operators did, as a chain of hashes.
//!
//! INVARIANT: an entry is written in the transaction of what it records, after everything else in it: the head's row
//! is the last that such a transaction locks, and is held until it ends. So numbers have no gaps, and their order is
//! that of the transactions. Refuses to know who may do what.

use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall_iam::Digest;
use serde_json::Value;
use sqlx::PgConnection;
use std::net::IpAddr;

/// Entries that are read at a time while the chain is verified.
const AT_A_TIME: i64 = 5_000;

rolecall_iam::vocabulary! {
    /// What kind of actor acts.
    pub enum ActorKind: "a kind of actor" {
        /// A person who signed in.
        Person = "person",
        /// A program with a token.
        Token = "token",
        /// Whoever runs a command on the machine of the service.
        Operator = "operator",
        /// Nobody yet: a sign-in that was refused.
        Anonymous = "anonymous",
        /// The service itself.
        Service = "service",
    }
}

rolecall_iam::vocabulary! {
    /// What was done.
    pub enum AuditAction: "an action of the audit log" {
        /// A person signed in, or was refused.
        SessionCreate = "session.create",
        /// A session ended: by signing out, or by somebody who ended it.
        SessionRevoke = "session.revoke",
        /// A one-time link was made.
        LoginCreate = "login.create",
        /// A service account was made.
        ServiceAccountCreate = "service_account.create",
        /// A service account and its tokens were taken back.
        ServiceAccountDisable = "service_account.disable",
        /// A token was made.
        TokenCreate = "token.create",
        /// A token got a successor.
        TokenRotate = "token.rotate",
        /// A token was taken back.
        TokenRevoke = "token.revoke",
        /// A token was used, and refused.
        TokenUse = "token.use",
        /// A person was given a role.
        RoleGrant = "role.grant",
        /// A person's role was taken back.
        RoleRevoke = "role.revoke",
        /// A finding was acknowledged.
        FindingAcknowledge = "finding.acknowledge",
        /// A finding was opened again, or its suppression ended.
        FindingOpen = "finding.open",
        /// A finding was suppressed.
        FindingSuppress = "finding.suppress",
        /// The suppression of a finding was asked for.
        FindingRequestSuppression = "finding.request_suppression",
        /// Another person approved the suppression of a finding.
        FindingApproveSuppression = "finding.approve_suppression",
        /// The suppression of a finding was declined or withdrawn.
        FindingDeclineSuppression = "finding.decline_suppression",
        /// A finding was assigned.
        FindingAssign = "finding.assign",
        /// A finding was commented on.
        FindingComment = "finding.comment",
        /// The ticket of a finding was reserved.
        TicketReserve = "ticket.reserve",
        /// The ticket of a finding was linked.
        TicketLink = "ticket.link",
        /// The ticket of a finding was taken away.
        TicketRemove = "ticket.remove",
        /// The reservation of a ticket was given back.
        TicketRelease = "ticket.release",
        /// A change was approved.
        ChangeApprove = "change.approve",
        /// The approval of a change was withdrawn.
        ChangeWithdrawApproval = "change.withdraw_approval",
        /// The state of a resource was approved as its baseline.
        BaselineCreate = "baseline.create",
        /// A baseline was withdrawn.
        BaselineWithdraw = "baseline.withdraw",
        /// A scan was started.
        ScanStart = "scan.start",
        /// Input that was set aside is to be read again.
        SetAsideRetry = "set_aside.retry",
        /// A message was sent to a webhook to see whether it arrives.
        WebhookTest = "webhook.test",
        /// A webhook that was disabled is served again.
        WebhookEnable = "webhook.enable",
        /// Messages of a webhook are sent again, or left out.
        WebhookReplay = "webhook.replay",
        /// A saved view was given to everybody.
        ViewShare = "view.share",
        /// A saved view is only of who saved it again.
        ViewUnshare = "view.unshare",
        /// A saved view that everybody has got another name.
        ViewRename = "view.rename",
        /// A saved view that everybody had was deleted.
        ViewDelete = "view.delete",
    }
}

rolecall_iam::vocabulary! {
    /// How it ended.
    pub enum AuditOutcome: "an outcome of an action" {
        /// It was done.
        Success = "success",
        /// It was refused.
        Failure = "failure",
    }
}

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Which kind.
    pub kind: ActorKind,
    /// How it is called.
    pub name: String,
    /// The address that the request came from; `None` where it was no request.
    pub source_ip: Option<IpAddr>,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl Actor {
    /// The service itself.
    #[must_use]
    pub fn service() -> Self {
        Self { kind: ActorKind::Service, name: "rolecall".to_owned(), source_ip: None, request_id: None }
    }

    /// Whoever runs a command on the machine of the service.
    #[must_use]
    pub fn operator(name: impl Into<String>) -> Self {
        Self { kind: ActorKind::Operator, name: name.into(), ..Self::service() }
    }
}

/// An act to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAuditEntry {
    /// What was done.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// On what.
    pub object: Option<String>,
    /// Values before and after; no secret.
    pub detail: Value,
}

impl NewAuditEntry {
    /// An act that was done.
    #[must_use]
    pub fn done(action: AuditAction, object: impl Into<String>, detail: Value) -> Self {
        Self { action, outcome: AuditOutcome::Success, object: Some(object.into()), detail }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Its place, from 1, without gaps.
    pub seq: i64,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor_kind: ActorKind,
    /// Who, by name.
    pub actor: String,
    /// What was done.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// On what.
    pub object: Option<String>,
    /// Values before and after.
    pub detail: Value,
    /// From where.
    pub source_ip: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// The hash of the entry before; zeros of the first.
    pub previous_hash: Digest,
    /// SHA-256 over the hash before and what this entry says.
    pub hash: Digest,
}

/// The last entry of the log: who keeps it elsewhere can prove later that no entry up to it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its number; 0 where there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: Digest,
}

/// Which entries. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// Of these actions.
    pub actions: Vec<AuditAction>,
    /// On this object.
    pub object: Option<String>,
    /// With this outcome.
    pub outcome: Option<AuditOutcome>,
    /// At or after.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

/// What verifying the chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditVerified {
    /// Every entry fits, up to this head.
    Complete(AuditHead),
    /// From this number on the log is not as it was written.
    Broken {
        /// The first entry that does not fit.
        seq: i64,
        /// Why.
        why: String,
    },
}

/// The columns as they are kept.
struct Record {
    seq: i64,
    at: DateTime<Utc>,
    actor_kind: String,
    actor: String,
    action: String,
    outcome: String,
    object: Option<String>,
    detail: String,
    source_ip: Option<String>,
    request_id: Option<String>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl Record {
    /// SHA-256 of the hash before, and the columns as one JSON array in this order. It is the format of every log
    /// that was written: a later one would need a number of its own.
    fn digest(&self) -> Digest {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let columns = serde_json::json!([
            self.seq,
            at,
            self.actor_kind,
            self.actor,
            self.action,
            self.outcome,
            self.object,
            self.detail,
            self.source_ip,
            self.request_id,
        ]);
        let mut bytes = self.previous_hash.clone();
        bytes.extend(columns.to_string().into_bytes());
        Digest::sha256(&bytes)
    }

    /// Why it does not follow an entry.
    fn misfit(&self, before: &AuditHead) -> Option<String> {
        if self.seq != before.seq + 1 {
            return Some(format!("entry {} is missing", before.seq + 1));
        }
        if self.previous_hash != before.hash.as_bytes() {
            return Some("it does not follow the entry before it".to_owned());
        }
        (self.hash != self.digest().as_bytes()).then(|| "it is not what was written".to_owned())
    }

    fn into_entry(self) -> Result<AuditEntry, Error> {
        const TABLE: &str = "audit_log";
        Ok(AuditEntry {
            actor_kind: parse::text(TABLE, &self.seq, &self.actor_kind)?,
            action: parse::text(TABLE, &self.seq, &self.action)?,
            outcome: parse::text(TABLE, &self.seq, &self.outcome)?,
            detail: parse::json_of(TABLE, &self.seq, &self.detail)?,
            previous_hash: parse::digest(TABLE, &self.seq, &self.previous_hash)?,
            hash: parse::digest(TABLE, &self.seq, &self.hash)?,
            seq: self.seq,
            at: self.at,
            actor: self.actor,
            object: self.object,
            source_ip: self.source_ip,
            request_id: self.request_id,
        })
    }
}

/// Appends entries to the log, in the transaction of what they record. Nothing that another transaction may hold is
/// locked after this.
pub(crate) async fn append(
    connection: &mut PgConnection,
    actor: &Actor,
    entries: &[NewAuditEntry],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let head = sqlx::query!(
        r#"select seq, hash, clock_timestamp() as "at!" from audit_log_head where account_id = $1 for update"#,
        INSTALLATION
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(head) = head else {
        return Err(Error::corrupt("audit_log_head", INSTALLATION.to_owned(), "the head of the audit log is gone"));
    };
    let (mut seq, mut hash) = (head.seq, head.hash);
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        seq += 1;
        let mut record = Record {
            seq,
            at: head.at,
            actor_kind: actor.kind.to_string(),
            actor: parse::storable(&actor.name),
            action: entry.action.to_string(),
            outcome: entry.outcome.to_string(),
            object: entry.object.as_deref().map(parse::storable),
            detail: parse::json_text(&entry.detail),
            source_ip: actor.source_ip.map(|ip| ip.to_canonical().to_string()),
            request_id: actor.request_id.as_deref().map(parse::storable),
            previous_hash: hash,
            hash: Vec::new(),
        };
        record.hash = record.digest().as_bytes().to_vec();
        hash = record.hash.clone();
        records.push(record);
    }
    let column = |of: fn(&Record) -> String| records.iter().map(of).collect::<Vec<_>>();
    let objects: Vec<Option<String>> = records.iter().map(|it| it.object.clone()).collect();
    let numbers: Vec<i64> = records.iter().map(|it| it.seq).collect();
    let previous: Vec<Vec<u8>> = records.iter().map(|it| it.previous_hash.clone()).collect();
    let hashes: Vec<Vec<u8>> = records.iter().map(|it| it.hash.clone()).collect();
    sqlx::query!(
        "insert into audit_log (account_id, seq, at, actor_kind, actor, action, outcome, object, detail, source_ip,
                                request_id, previous_hash, hash)
         select $1, w.seq, $2, $3, $4, w.action, w.outcome, w.object, w.detail, $5, $6, w.previous_hash, w.hash
         from unnest($7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[], $13::bytea[])
              as w (seq, action, outcome, object, detail, previous_hash, hash)",
        INSTALLATION,
        head.at,
        actor.kind.as_str(),
        parse::storable(&actor.name),
        actor.source_ip.map(|ip| ip.to_canonical().to_string()),
        actor.request_id.as_deref().map(parse::storable),
        &numbers,
        &column(|it| it.action.clone()),
        &column(|it| it.outcome.clone()),
        &objects as &[Option<String>],
        &column(|it| it.detail.clone()),
        &previous,
        &hashes
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("update audit_log_head set seq = $2, hash = $3 where account_id = $1", INSTALLATION, seq, hash)
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Writes an act down that changes nothing else here, such as a sign-in that was refused.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn write_audit_log(&self, entry: NewAuditEntry) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        append(&mut tx, &self.actor, &[entry]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The last entry of the log.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit_head(&self) -> Result<AuditHead, Error> {
        let row = sqlx::query!("select seq, hash from audit_log_head where account_id = $1", INSTALLATION)
            .fetch_optional(&self.pool)
            .await?;
        let none = AuditHead { seq: 0, hash: Digest::from([0; 32]) };
        row.map_or(Ok(none), |row| {
            Ok(AuditHead { seq: row.seq, hash: parse::digest("audit_log_head", INSTALLATION, &row.hash)? })
        })
    }

    /// A page of the log, the newest first: entries before a number.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn audit_log(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, Error> {
        let actions: Vec<String> = filter.actions.iter().map(ToString::to_string).collect();
        let rows = sqlx::query_as!(
            Record,
            "select seq, at, actor_kind, actor, action, outcome, object, detail, source_ip, request_id, previous_hash,
                    hash
             from audit_log
             where account_id = $1 and ($2::bigint is null or seq < $2)
               and ($3::text is null or actor = $3)
               and (cardinality($4::text[]) = 0 or action = any($4))
               and ($5::text is null or object = $5)
               and ($6::text is null or outcome = $6)
               and ($7::timestamptz is null or at >= $7)
               and ($8::timestamptz is null or at < $8)
             order by seq desc limit $9",
            INSTALLATION,
            before,
            filter.actor.as_ref(),
            &actions,
            filter.object.as_ref(),
            filter.outcome.map(AuditOutcome::as_str),
            filter.since,
            filter.until,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_entry).collect()
    }

    /// Reads the whole log and says whether every entry is as it was written, in its place. `known` is the hash of
    /// an entry that somebody kept elsewhere: that entry must be there, so that none before it was cut off.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn verify_audit_log(&self, known: Option<&Digest>) -> Result<AuditVerified, Error> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let mut last = AuditHead { seq: 0, hash: Digest::from([0; 32]) };
        let mut is_known = known.is_none_or(|known| *known == last.hash);
        loop {
            let rows = sqlx::query_as!(
                Record,
                "select seq, at, actor_kind, actor, action, outcome, object, detail, source_ip, request_id,
                        previous_hash, hash
                 from audit_log where account_id = $1 and seq > $2 order by seq limit $3",
                INSTALLATION,
                last.seq,
                AT_A_TIME
            )
            .fetch_all(&mut *tx)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                if let Some(why) = row.misfit(&last) {
                    let missing = row.seq != last.seq + 1;
                    let seq = if missing { last.seq + 1 } else { row.seq };
                    return Ok(AuditVerified::Broken { seq, why });
                }
                last = AuditHead { seq: row.seq, hash: parse::digest("audit_log", &row.seq, &row.hash)? };
                is_known |= known.is_some_and(|known| *known == last.hash);
            }
        }
        let strays = sqlx::query_scalar!("select min(seq) from audit_log where account_id <> $1", INSTALLATION)
            .fetch_one(&mut *tx)
            .await?;
        if let Some(seq) = strays {
            return Ok(AuditVerified::Broken { seq, why: "it belongs to another account than the log".to_owned() });
        }
        let head = sqlx::query!("select seq, hash from audit_log_head where account_id = $1", INSTALLATION)
            .fetch_optional(&mut *tx)
            .await?;
        tx.rollback().await?;
        let next = last.seq + 1;
        let broken = |why: &str| Ok(AuditVerified::Broken { seq: next, why: why.to_owned() });
        match head {
            None => broken("the head of the log is gone"),
            Some(head) if head.seq > last.seq => broken("entries at the end are missing"),
            Some(head) if head.seq < last.seq || head.hash != last.hash.as_bytes() => {
                broken("the head of the log is another than its last entry")
            }
            Some(_) if !is_known => broken("no entry has the hash that was kept: entries at the end are missing"),
            Some(_) => Ok(AuditVerified::Complete(last)),
        }
    }
}
