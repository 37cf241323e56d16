//! Approvals of changes: every step with who, when and why.
//!
//! Knows that an approval and the question whether the change is still there are one transaction, and that
//! of many changes either all are approved or none. Refuses to know who may approve.

use crate::audit_log::append;
use crate::inventory::changes::{ChangeFilter, ChangeRow, count, later_than, page};
use crate::work::feed::NewEvents;
use crate::{Error, Store, parse};
use rolecall_audit::drift::{Approval, ApprovalState, ApprovalStep, Change, Withdrawal, replaced_by};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// So many changes are approved together.
pub const MOST_APPROVED: u32 = 1_000;

/// What became of an approval of one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Approved {
    /// It is approved.
    Done(Box<ChangeRow>),
    /// There is no such change.
    Absent,
    /// It follows from this change, and is approved with it.
    Follows(String),
    /// What it brought is not there any more, because of this later change.
    Replaced(Box<ChangeRow>),
}

/// What became of an approval of all changes of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum AllApproved {
    /// These are approved.
    Done(Vec<String>),
    /// There are so many, and not as many as were expected.
    Unexpected(u64),
    /// What these brought is not there any more; beside each the later change. None is approved.
    Replaced(Vec<(String, ChangeRow)>),
}

/// What became of a withdrawal.
#[derive(Debug, Clone, PartialEq)]
pub enum Withdrawn {
    /// It is withdrawn.
    Done(Box<ChangeRow>),
    /// There is no such change.
    Absent,
    /// It follows from this change, whose approval is its own.
    Follows(String),
    /// It is not approved.
    NotApproved,
}

impl Store {
    /// Approves a change, if what it brought is still there.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn approve_change(&self, id: &str, approval: &Approval, who: &str) -> Result<Approved, Error> {
        if !self.shows_change(id).await? {
            return Ok(Approved::Absent);
        }
        let mut tx = self.pool.of_owner().begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let Some(row) = locked(&mut tx, id).await? else { return Ok(Approved::Absent) };
        if let Some(root) = row.change.caused_by {
            return Ok(Approved::Follows(root));
        }
        if let Some((_, later)) = replaced(&mut tx, std::slice::from_ref(&row)).await?.pop() {
            return Ok(Approved::Replaced(Box::new(later)));
        }
        approve(&mut tx, &[row], approval, who, None, &mut told).await?;
        let acts = told.acts();
        told.write(&mut tx, self.behind).await?;
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        let row = self.change(id).await?;
        Ok(row.map_or(Approved::Absent, |row| Approved::Done(Box::new(row))))
    }

    /// The changes of a filter that can be approved: those that are not approved and follow from no other.
    /// At most one more than [`MOST_APPROVED`].
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn changes_to_approve(&self, filter: &ChangeFilter) -> Result<u64, Error> {
        let Some(filter) = approvable(filter) else { return Ok(0) };
        count(&self.pool, &filter, MOST_APPROVED + 1).await
    }

    /// Approves every change of a filter that is not approved and follows from no other, if there are as
    /// many as expected and what they brought is still there; else none.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn approve_changes(
        &self,
        filter: &ChangeFilter,
        expected: u64,
        approval: &Approval,
        who: &str,
    ) -> Result<AllApproved, Error> {
        let filter = approvable(filter);
        let seen = match &filter {
            Some(filter) if self.is_limited() => {
                page(&mut *self.pool.acquire().await?, filter, None, MOST_APPROVED + 1).await?
            }
            _ => Vec::new(),
        };
        let mut tx = self.pool.of_owner().begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let rows = match &filter {
            _ if self.is_limited() => seen,
            Some(filter) => page(&mut tx, filter, None, MOST_APPROVED + 1).await?,
            None => Vec::new(),
        };
        let found = rows.len() as u64;
        if found != expected || found > u64::from(MOST_APPROVED) {
            return Ok(AllApproved::Unexpected(found));
        }
        lock(&mut tx, &rows.iter().map(|row| row.change.id.clone()).collect::<Vec<_>>()).await?;
        let replaced = replaced(&mut tx, &rows).await?;
        if !replaced.is_empty() {
            return Ok(AllApproved::Replaced(replaced));
        }
        approve(&mut tx, &rows, approval, who, None, &mut told).await?;
        let acts = told.acts();
        told.write(&mut tx, self.behind).await?;
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        Ok(AllApproved::Done(rows.into_iter().map(|row| row.change.id).collect()))
    }

    /// Withdraws the approval of a change.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn withdraw_approval(&self, id: &str, why: &Withdrawal, who: &str) -> Result<Withdrawn, Error> {
        if !self.shows_change(id).await? {
            return Ok(Withdrawn::Absent);
        }
        let mut tx = self.pool.of_owner().begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let Some(row) = locked(&mut tx, id).await? else { return Ok(Withdrawn::Absent) };
        if let Some(root) = row.change.caused_by {
            return Ok(Withdrawn::Follows(root));
        }
        if row.approval.is_none_or(|step| step.state != ApprovalState::Approved) {
            return Ok(Withdrawn::NotApproved);
        }
        let account = row.change.account_id.to_string();
        judge_again(&mut tx, &[id.to_owned()]).await?;
        sqlx::query!("update approval set is_last = false where account_id = $1 and change_id = $2", account, id)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "insert into approval (account_id, change_id, number, step, who, reason)
             select $1, $2, coalesce(max(number), 0) + 1, 'withdrawn', $3, $4
             from approval where account_id = $1 and change_id = $2",
            account,
            id,
            parse::storable(who),
            parse::storable(why.reason())
        )
        .execute(&mut *tx)
        .await?;
        told.tell(&account, "change.approval_withdrawn", id, who, &json!({ "reason": why.reason() }));
        let acts = told.acts();
        told.write(&mut tx, self.behind).await?;
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        let row = self.change(id).await?;
        Ok(row.map_or(Withdrawn::Absent, |row| Withdrawn::Done(Box::new(row))))
    }

    /// Whether this store shows a change: what its approval does to others is not for the eyes of whoever approves.
    async fn shows_change(&self, id: &str) -> Result<bool, Error> {
        if !self.is_limited() {
            return Ok(true);
        }
        let found = sqlx::query_scalar!(r#"select exists (select from change where id = $1) as "there!""#, id);
        Ok(found.fetch_one(&self.pool).await?)
    }

    /// Every step of a change's approval, the first one first.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn approval_steps(&self, id: &str) -> Result<Vec<ApprovalStep>, Error> {
        let rows = sqlx::query!(
            r#"select case when step = 'withdrawn' then 'withdrawn' when until <= now() then 'expired'
                           else 'approved' end as "state!", at, who, reason, ticket, until, baseline
               from approval where change_id = $1 order by number"#,
            id
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ApprovalStep {
                    state: parse::text("approval", id, &row.state)?,
                    at: row.at,
                    who: row.who,
                    reason: row.reason,
                    ticket: row.ticket,
                    until: row.until,
                    baseline: row.baseline,
                })
            })
            .collect()
    }
}

/// The changes of a filter that can be approved; `None` where it asks for approved ones only.
fn approvable(filter: &ChangeFilter) -> Option<ChangeFilter> {
    let approved = ApprovalState::Approved.as_str();
    let approval: Vec<String> = match filter.approval.as_slice() {
        [] => ["none", "expired", "withdrawn"].map(str::to_owned).to_vec(),
        asked => asked.iter().filter(|state| *state != approved).cloned().collect(),
    };
    (!approval.is_empty()).then(|| ChangeFilter { approval, roots: true, ..filter.clone() })
}

/// Holds changes until the transaction ends.
async fn lock(connection: &mut PgConnection, ids: &[String]) -> Result<(), Error> {
    sqlx::query!("select id from change where id = any($1) order by id for update", ids).fetch_all(connection).await?;
    Ok(())
}

/// What was judged under another approval is judged again, and so is what these took the place of.
pub(super) async fn judge_again(connection: &mut PgConnection, ids: &[String]) -> Result<(), Error> {
    sqlx::query!(
        "update change c set passed_under = null
         from change of
         where of.id = any($1) and of.account_id = c.account_id and of.resource_type = c.resource_type
           and of.resource = c.resource and of.run_id >= c.run_id and c.passed_under is not null",
        ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn locked(connection: &mut PgConnection, id: &str) -> Result<Option<ChangeRow>, Error> {
    lock(connection, &[id.to_owned()]).await?;
    one(connection, id).await
}

async fn one(connection: &mut PgConnection, id: &str) -> Result<Option<ChangeRow>, Error> {
    crate::inventory::changes::one(connection, id).await
}

/// The changes of these whose result is not there any more, with the later change that took its place.
pub(super) async fn replaced(
    connection: &mut PgConnection,
    rows: &[ChangeRow],
) -> Result<Vec<(String, ChangeRow)>, Error> {
    let ids: Vec<String> = rows.iter().map(|row| row.change.id.clone()).collect();
    let later = later_than(connection, &ids).await?;
    let mut of_resource: BTreeMap<_, Vec<&ChangeRow>> = BTreeMap::new();
    for row in &later {
        of_resource.entry((row.change.account_id, &row.change.resource)).or_default().push(row);
    }
    let mut replaced = Vec::new();
    // What was over before a scan could show it is approved as what it was.
    for row in rows.iter().filter(|row| row.ended.is_none()) {
        let key = (row.change.account_id, &row.change.resource);
        let after = of_resource.get(&key).into_iter().flatten().filter(|it| it.run > row.run);
        let changes: Vec<&Change> = after.map(|it| &it.change).collect();
        if let Some(by) = replaced_by(&row.change, changes) {
            replaced
                .extend(later.iter().find(|it| it.change.id == by.id).map(|it| (row.change.id.clone(), it.clone())));
        }
    }
    Ok(replaced)
}

/// Approves changes, by themselves or with a baseline.
pub(super) async fn approve(
    connection: &mut PgConnection,
    rows: &[ChangeRow],
    approval: &Approval,
    who: &str,
    baseline: Option<&str>,
    told: &mut NewEvents,
) -> Result<(), Error> {
    let unique: BTreeSet<(String, &str)> =
        rows.iter().map(|row| (row.change.account_id.to_string(), row.change.id.as_str())).collect();
    let (accounts, ids): (Vec<String>, Vec<String>) =
        unique.into_iter().map(|(account, id)| (account, id.to_owned())).unzip();
    judge_again(connection, &ids).await?;
    sqlx::query!(
        "update approval a set is_last = false from unnest($1::text[], $2::text[]) as it (account_id, id)
         where a.account_id = it.account_id and a.change_id = it.id and a.is_last",
        &accounts,
        &ids
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into approval (account_id, change_id, number, step, who, reason, ticket, until, baseline)
         select it.account_id, it.id,
                1 + coalesce((select max(a.number) from approval a
                              where a.account_id = it.account_id and a.change_id = it.id), 0),
                'approved', $3, $4, $5, $6, $7
         from unnest($1::text[], $2::text[]) as it (account_id, id)",
        &accounts,
        &ids,
        parse::storable(who),
        parse::storable(approval.reason()),
        approval.ticket().map(parse::storable),
        approval.until(),
        baseline
    )
    .execute(&mut *connection)
    .await?;
    let detail = json!({ "reason": approval.reason(), "until": approval.until(), "baseline": baseline });
    for (account, id) in accounts.iter().zip(&ids) {
        told.tell(account, "change.approved", id, who, &detail);
    }
    Ok(())
}
