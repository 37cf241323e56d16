//! Baselines: approved states of resources, how the resources stand against them, and the changes that are approved
//! with them.
//!
//! Knows that one baseline of a resource is in force at most, and that what was approved with a baseline is withdrawn
//! with it, in one transaction. Refuses to know how states are compared and who may approve.

use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::inventory::approval::{approve, judge_again, replaced};
use crate::inventory::changes::{self, ChangeRow};
use crate::parse::JsonText;
use crate::work::feed::NewEvents;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::baseline::{Baseline, BaselineState, Compared, entry, parse_entry};
use rolecall_audit::drift::{Approval, Resource, Withdrawal};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A baseline that is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBaseline {
    /// The approved state.
    pub baseline: Baseline,
    /// How the resource stands against it.
    pub compared: Compared,
    /// The public key whose signature was verified.
    pub signed_by: Option<String>,
    /// The file that it was read from.
    pub file: Option<String>,
}

/// A baseline as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineRow {
    /// Its name.
    pub id: String,
    /// The account that the resource is kept under.
    pub account_id: AccountId,
    /// Of what.
    pub resource: Resource,
    /// The digest of the approved state.
    pub digest: String,
    /// The approved state, as it stands in a file.
    pub body: Value,
    /// When it was approved.
    pub at: DateTime<Utc>,
    /// By whom.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The ticket that it stands in.
    pub ticket: Option<String>,
    /// When it ends.
    pub until: Option<DateTime<Utc>>,
    /// The public key whose signature was verified.
    pub signed_by: Option<String>,
    /// The file that it was read from.
    pub file: Option<String>,
    /// How the resource stands against it; `expired` where its end has passed.
    pub state: BaselineState,
    /// How it stood at the latest scan.
    pub compared: Compared,
    /// When it was compared.
    pub compared_at: DateTime<Utc>,
    /// When it was withdrawn, or another one took its place; by whom, and why.
    pub ended: Option<(DateTime<Utc>, String, String)>,
}

/// Which baselines in force; empty fields ask for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaselineFilter {
    /// Of these accounts.
    pub account_id: Vec<String>,
    /// Of this resource.
    pub resource: Option<String>,
    /// Of these types.
    pub resource_type: Vec<String>,
    /// In these states.
    pub state: Vec<String>,
}

/// A place in the list of baselines: what differs first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineAfter {
    /// The place of the state.
    pub rank: i32,
    /// The account.
    pub account_id: String,
    /// The type.
    pub resource_type: String,
    /// The resource.
    pub resource: String,
}

impl BaselineRow {
    /// Its place in the list.
    #[must_use]
    pub fn after(&self) -> BaselineAfter {
        let rank = BaselineState::ALL.iter().position(|state| *state == self.state).unwrap_or_default();
        BaselineAfter {
            rank: i32::try_from(rank).unwrap_or_default() + 1,
            account_id: self.account_id.to_string(),
            resource_type: self.resource.kind.as_str().to_owned(),
            resource: self.resource.name.clone(),
        }
    }

    /// The approved state.
    ///
    /// # Errors
    /// Where this version cannot read it: why, in a sentence.
    pub fn baseline(&self) -> Result<Baseline, String> {
        parse_entry(self.account_id, self.body.clone())
    }
}

/// What became of the withdrawal of a baseline.
#[derive(Debug, Clone, PartialEq)]
pub enum BaselineWithdrawn {
    /// It is withdrawn.
    Done(Box<BaselineRow>),
    /// There is no such baseline.
    Absent,
    /// It is not in force any more.
    Ended(Box<BaselineRow>),
}

struct Row {
    account_id: String,
    id: String,
    resource_type: String,
    resource: String,
    digest: String,
    body: Value,
    at: DateTime<Utc>,
    who: String,
    reason: String,
    ticket: Option<String>,
    until: Option<DateTime<Utc>>,
    signed_by: Option<String>,
    file: Option<String>,
    ended_at: Option<DateTime<Utc>>,
    ended_by: Option<String>,
    ended_because: Option<String>,
    state: String,
    compared: JsonText,
    compared_at: DateTime<Utc>,
}

/// A query for baselines; the list of columns is written once.
macro_rules! select_baselines {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select b.account_id, b.id, b.resource_type, b.resource, b.digest, b.body, b.at, b.who, b.reason, b.ticket,
                      b.until, b.signed_by, b.file, b.ended_at, b.ended_by, b.ended_because,
                      case when b.until <= now() then 'expired' else b.state end as "state!",
                      case when row_security_active('baseline') then limited_compared(b.compared, b.resource)
                           else b.compared end as "compared!: JsonText", b.compared_at
               from baseline b "# + $tail
            $(, $arg)*
        )
    };
}

fn from_row(row: Row) -> Result<BaselineRow, Error> {
    const TABLE: &str = "baseline";
    let ended = match (row.ended_at, row.ended_by, row.ended_because) {
        (Some(at), Some(by), Some(because)) => Some((at, by, because)),
        _ => None,
    };
    Ok(BaselineRow {
        account_id: parse::account(TABLE, &row.account_id)?,
        resource: Resource { kind: parse::text(TABLE, &row.id, &row.resource_type)?, name: row.resource },
        state: parse::text(TABLE, &row.id, &row.state)?,
        compared: parse::json(TABLE, &row.id, &row.compared)?,
        id: row.id,
        digest: row.digest,
        body: row.body,
        at: row.at,
        who: row.who,
        reason: row.reason,
        ticket: row.ticket,
        until: row.until,
        signed_by: row.signed_by,
        file: row.file,
        compared_at: row.compared_at,
        ended,
    })
}

/// A baseline as the columns of its row.
fn given(new: &NewBaseline) -> Value {
    let NewBaseline { baseline, compared, signed_by, file } = new;
    json!({
        "account_id": baseline.account_id.to_string(),
        "id": baseline.id(),
        "resource_type": baseline.resource.kind.as_str(),
        "resource": baseline.resource.name,
        "digest": baseline.digest.to_string(),
        "body": entry(baseline),
        "at": baseline.at,
        "who": baseline.by,
        "reason": baseline.approval.reason(),
        "ticket": baseline.approval.ticket(),
        "until": baseline.approval.until(),
        "signed_by": signed_by,
        "file": file,
        "state": compared.state.as_str(),
        "compared": compared,
    })
}

/// A baseline that was kept, for the audit log.
fn created(new: &NewBaseline) -> NewAuditEntry {
    let NewBaseline { baseline, signed_by, file, .. } = new;
    let detail = json!({
        "resource": baseline.resource.name,
        "resource_type": baseline.resource.kind.as_str(),
        "account_id": baseline.account_id.to_string(),
        "digest": baseline.digest.to_string(),
        "reason": baseline.approval.reason(),
        "ticket": baseline.approval.ticket(),
        "until": baseline.approval.until(),
        "signed_by": signed_by,
        "file": file,
    });
    NewAuditEntry::done(AuditAction::BaselineCreate, baseline.id(), detail)
}

impl Store {
    /// Keeps baselines, of each resource one at most. One that is known stays as it is, also where it was withdrawn;
    /// one that is older than the one in force is kept as ended. Says which are new and in force.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_baselines(&self, baselines: &[NewBaseline]) -> Result<Vec<String>, Error> {
        if baselines.is_empty() {
            return Ok(Vec::new());
        }
        let given: Vec<Value> = baselines.iter().map(given).collect();
        let given = parse::json_text(&given);
        let mut tx = self.pool.begin().await?;
        sqlx::query!("lock table baseline in share row exclusive mode").execute(&mut *tx).await?;
        sqlx::query!(
            "update baseline b set file = it.file
             from jsonb_to_recordset($1::text::jsonb) as it (account_id text, id text, file text)
             where b.account_id = it.account_id and b.id = it.id and it.file is not null",
            given
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update baseline b set ended_at = now(), ended_by = it.who,
                                   ended_because = 'a later baseline took its place'
             from jsonb_to_recordset($1::text::jsonb)
                      as it (account_id text, id text, resource_type text, resource text, at timestamptz, who text)
             where b.account_id = it.account_id and b.resource_type = it.resource_type and b.resource = it.resource
               and b.ended_at is null and b.at <= it.at
               and not exists (select from baseline k where k.account_id = it.account_id and k.id = it.id)",
            given
        )
        .execute(&mut *tx)
        .await?;
        let kept = sqlx::query!(
            r#"insert into baseline (account_id, id, resource_type, resource, digest, body, at, who, reason, ticket, until,
                                     signed_by, file, state, compared, ended_at, ended_by, ended_because)
               select it.account_id, it.id, it.resource_type, it.resource, it.digest, it.body, it.at, it.who, it.reason,
                      it.ticket, it.until, it.signed_by, it.file, it.state, it.compared,
                      case when later.is_any then now() end, case when later.is_any then it.who end,
                      case when later.is_any then 'a later baseline is in force' end
               from jsonb_to_recordset($1::text::jsonb)
                        as it (account_id text, id text, resource_type text, resource text, digest text, body jsonb,
                               at timestamptz, who text, reason text, ticket text, until timestamptz, signed_by text,
                               file text, state text, compared jsonb)
               cross join lateral (
                   select exists (select from baseline b
                                  where b.account_id = it.account_id and b.resource_type = it.resource_type
                                    and b.resource = it.resource and b.ended_at is null) as is_any) later
               where not exists (select from baseline k where k.account_id = it.account_id and k.id = it.id)
               returning id, ended_at is null as "in_force!""#,
            given
        )
        .fetch_all(&mut *tx)
        .await?;
        let acts: Vec<NewAuditEntry> = kept
            .iter()
            .filter_map(|row| baselines.iter().find(|new| new.baseline.id() == row.id))
            .map(created)
            .collect();
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        Ok(kept.into_iter().filter(|row| row.in_force).map(|row| row.id).collect())
    }

    /// Ends the baselines in force that were read from a file, and that the files do not have any more. Says how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn end_baselines_of_files(&self, present: &[String]) -> Result<u64, Error> {
        let gone = sqlx::query_scalar!(
            "select id from baseline where ended_at is null and file is not null and id <> all($1)",
            present
        )
        .fetch_all(&self.pool)
        .await?;
        let mut ended = 0;
        for id in gone {
            let mut tx = self.pool.begin().await?;
            let mut told = NewEvents::begin(&mut tx).await?;
            end(&mut tx, &id, "files", "its file does not have it any more", &mut told).await?;
            let acts = withdrawn(&id, "its file does not have it any more", &told);
            told.write(&mut tx, self.behind).await?;
            append(&mut tx, &self.actor, &acts).await?;
            tx.commit().await?;
            ended += 1;
        }
        Ok(ended)
    }

    /// Every baseline in force, of some accounts or, where none is named, of all.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn baselines_in_force(&self, accounts: &[AccountId]) -> Result<Vec<BaselineRow>, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let rows = select_baselines!(
            "where b.ended_at is null and (cardinality($1::text[]) = 0 or b.account_id = any($1))
             order by b.account_id, b.resource_type, b.resource",
            &accounts
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(from_row).collect()
    }

    /// Keeps how resources stand against their baselines.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_compared(&self, compared: &[(String, Compared)]) -> Result<(), Error> {
        let ids: Vec<String> = compared.iter().map(|(id, _)| id.clone()).collect();
        let states: Vec<String> = compared.iter().map(|(_, it)| it.state.to_string()).collect();
        let bodies: Vec<String> = compared.iter().map(|(_, it)| parse::json_text(it)).collect();
        sqlx::query!(
            "update baseline b set state = it.state, compared = it.body::jsonb, compared_at = now()
             from unnest($1::text[], $2::text[], $3::text[]) as it (id, state, body)
             where b.id = it.id",
            &ids,
            &states,
            &bodies
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A page of the baselines in force: what differs first, then by account, type and name.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn baselines(
        &self,
        filter: &BaselineFilter,
        after: Option<&BaselineAfter>,
        limit: u32,
    ) -> Result<Vec<BaselineRow>, Error> {
        let ranks: Vec<String> = BaselineState::ALL.iter().map(ToString::to_string).collect();
        let rows = select_baselines!(
            "where b.ended_at is null
               and (cardinality($1::text[]) = 0 or b.account_id = any($1))
               and ($2::text is null or b.resource = $2)
               and (cardinality($3::text[]) = 0 or b.resource_type = any($3))
               and (cardinality($4::text[]) = 0
                    or case when b.until <= now() then 'expired' else b.state end = any($4))
               and ($5::integer is null
                    or (array_position($10::text[], case when b.until <= now() then 'expired' else b.state end),
                        b.account_id, b.resource_type, b.resource) > ($5, $6::text, $7::text, $8::text))
             order by array_position($10::text[], case when b.until <= now() then 'expired' else b.state end),
                      b.account_id, b.resource_type, b.resource
             limit $9",
            &filter.account_id,
            filter.resource.as_ref(),
            &filter.resource_type,
            &filter.state,
            after.map(|it| it.rank),
            after.map(|it| it.account_id.as_str()),
            after.map(|it| it.resource_type.as_str()),
            after.map(|it| it.resource.as_str()),
            parse::limit(limit),
            &ranks
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many baselines in force are in each state.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn count_baselines(&self) -> Result<Vec<(BaselineState, u64)>, Error> {
        let rows = sqlx::query!(
            r#"select case when until <= now() then 'expired' else state end as "state!", count(*) as "number!"
               from baseline where ended_at is null group by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| Ok((parse::text("baseline", &row.state, &row.state)?, parse::count(row.number))))
            .collect()
    }

    /// One baseline, in force or not.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn baseline(&self, id: &str) -> Result<Option<BaselineRow>, Error> {
        let row = select_baselines!("where b.id = $1", id).fetch_optional(&self.pool).await?;
        row.map(from_row).transpose()
    }

    /// Withdraws a baseline, and the approvals that were given with it.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn withdraw_baseline(&self, id: &str, why: &Withdrawal, who: &str) -> Result<BaselineWithdrawn, Error> {
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let row = select_baselines!("where b.id = $1 for update", id).fetch_optional(&mut *tx).await?;
        let Some(row) = row.map(from_row).transpose()? else { return Ok(BaselineWithdrawn::Absent) };
        if row.ended.is_some() {
            return Ok(BaselineWithdrawn::Ended(Box::new(row)));
        }
        end(&mut tx, id, who, why.reason(), &mut told).await?;
        let acts = withdrawn(id, why.reason(), &told);
        told.write(&mut tx, self.behind).await?;
        append(&mut tx, &self.actor, &acts).await?;
        let row = select_baselines!("where b.id = $1", id).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(row
            .map(from_row)
            .transpose()?
            .map_or(BaselineWithdrawn::Absent, |row| BaselineWithdrawn::Done(Box::new(row))))
    }

    /// The changes of resources with a baseline in force whose result is there, that are not approved, and whose
    /// approval was not withdrawn since the baseline was taken; those that follow from no other. The oldest first.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn changes_of_baselines(&self) -> Result<Vec<ChangeRow>, Error> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let mut rows = changes::of_baselines(&mut *tx).await?;
        let gone: BTreeSet<String> = replaced(&mut tx, &rows).await?.into_iter().map(|(id, _)| id).collect();
        tx.rollback().await?;
        rows.retain(|row| !gone.contains(&row.change.id));
        Ok(rows)
    }

    /// Approves changes with a baseline.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn approve_with_baseline(
        &self,
        baseline: &str,
        rows: &[ChangeRow],
        approval: &Approval,
        who: &str,
    ) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        approve(&mut tx, rows, approval, who, Some(baseline), &mut told).await?;
        let acts = told.acts();
        told.write(&mut tx, self.behind).await?;
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The withdrawal of a baseline and of the approvals that were given with it, for the audit log.
fn withdrawn(id: &str, why: &str, told: &NewEvents) -> Vec<NewAuditEntry> {
    let mut acts = vec![NewAuditEntry::done(AuditAction::BaselineWithdraw, id, json!({ "reason": why }))];
    acts.extend(told.acts());
    acts
}

/// Ends a baseline with the approvals that were given with it.
async fn end(
    connection: &mut sqlx::PgConnection,
    id: &str,
    who: &str,
    why: &str,
    told: &mut NewEvents,
) -> Result<(), Error> {
    sqlx::query!(
        "update baseline set ended_at = now(), ended_by = $2, ended_because = $3 where id = $1",
        id,
        parse::storable(who),
        parse::storable(why)
    )
    .execute(&mut *connection)
    .await?;
    let given = sqlx::query!(
        "update approval set is_last = false where baseline = $1 and is_last and step = 'approved'
         returning account_id, change_id, number",
        id
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<String> = given.iter().map(|row| row.change_id.clone()).collect();
    judge_again(connection, &ids).await?;
    for row in given {
        sqlx::query!(
            "insert into approval (account_id, change_id, number, step, who, reason, baseline)
             values ($1, $2, $3, 'withdrawn', $4, $5, $6)",
            row.account_id,
            row.change_id,
            row.number + 1,
            parse::storable(who),
            parse::storable(why),
            id
        )
        .execute(&mut *connection)
        .await?;
        let detail = json!({ "reason": why, "baseline": id });
        told.tell(&row.account_id, "change.approval_withdrawn", &row.change_id, who, &detail);
    }
    Ok(())
}
