//! Steps of people and programs in findings' workflow, and the suppressions that they ask for.
//!
//! Knows that a step, its event and its suppression are one transaction, numbered among the scanner's steps, and that
//! of many findings each is taken or refused by itself. Refuses to know which steps there are and who may take them.

use crate::audit_log::{Actor, AuditAction, NewAuditEntry, append};
use crate::findings::apply::{Life, Step, end, locked, named};
use crate::findings::filter::FindingFilter;
use crate::findings::read::FindingSort;
use crate::{Error, Store, parse};
use chrono::{DateTime, TimeDelta};
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::triage::{Refused, Suppression, Triage, WorkflowStep};
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use std::collections::HashMap;

/// So many findings take a step together.
pub const MOST_TRIAGED: u32 = 500;

/// Who takes a step.
#[derive(Debug, Clone, Copy)]
pub struct TriagedBy<'a> {
    /// As it is shown.
    pub who: &'a str,
    /// Whether a suppression awaits another person's approval.
    pub approver_required: bool,
}

/// Why a finding did not take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTriaged {
    /// There is no such finding.
    Absent,
    /// It is at this version, and not at the one that was expected.
    Changed(i64),
    /// Its workflow has no such step.
    Refused(Refused),
}

/// Which findings take a step together.
#[derive(Debug, Clone)]
pub enum TriageOf {
    /// Those of these numbers and fingerprints.
    Ids(Vec<String>),
    /// Those of a filter, if there are as many as expected.
    Filter(Box<FindingFilter>, u64),
}

/// What became of a step of many findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriagedAll {
    /// Each took it, or did not.
    Done {
        /// The numbers of those that took it.
        processed: Vec<i64>,
        /// The others, as they were named.
        unprocessed: Vec<(String, NotTriaged)>,
    },
    /// There are so many, and not as many as were expected; one more than [`MOST_TRIAGED`] at most.
    Unexpected(u64),
}

/// Why a suppression is neither approved nor declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDecided {
    /// There is no such finding.
    Absent,
    /// No suppression awaits approval.
    NotRequested,
    /// Whoever asked for it cannot approve it.
    SamePerson,
    /// The finding cannot be suppressed as it is now.
    Refused(Refused),
}

impl Store {
    /// Takes steps of one finding, by its number or fingerprint, if it is at the version expected, and gives its
    /// number. All are taken or none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn triage_finding(
        &self,
        id: &str,
        asked: &Triage,
        version: Option<i64>,
        by: TriagedBy<'_>,
    ) -> Result<Result<i64, NotTriaged>, Error> {
        let ids = self.seen(vec![id.to_owned()]).await?;
        let (mut tx, mut step) = self.begin_triage(by.who).await?;
        let Some(life) = named(&mut tx, &ids).await?.pop() else {
            return Ok(Err(NotTriaged::Absent));
        };
        if version.is_some_and(|version| version != life.version) {
            return Ok(Err(NotTriaged::Changed(life.version)));
        }
        let number = life.number;
        if let Err(refused) = take(&mut tx, &mut step, life, asked, by).await? {
            return Ok(Err(NotTriaged::Refused(refused)));
        }
        finish(tx, step, &self.actor).await?;
        Ok(Ok(number))
    }

    /// Takes steps of many findings. `dry_run`: says what would become of it, and keeps nothing.
    ///
    /// # Errors
    /// Where the database fails; then nothing is done.
    pub async fn triage_findings(
        &self,
        of: &TriageOf,
        asked: &Triage,
        by: TriagedBy<'_>,
        dry_run: bool,
    ) -> Result<TriagedAll, Error> {
        let ids = match of {
            TriageOf::Ids(ids) => ids.clone(),
            TriageOf::Filter(filter, expected) => {
                let rows = self.findings(filter, FindingSort::Number, None, MOST_TRIAGED + 1).await?;
                let found = rows.len() as u64;
                if found != *expected || found > u64::from(MOST_TRIAGED) {
                    return Ok(TriagedAll::Unexpected(found));
                }
                rows.into_iter().map(|row| row.number.to_string()).collect()
            }
        };
        let seen = self.seen(ids.clone()).await?;
        let (mut tx, mut step) = self.begin_triage(by.who).await?;
        let found = named(&mut tx, &seen).await?;
        let names = found
            .iter()
            .flat_map(|life| [life.number.to_string(), life.fingerprint.clone()].map(|id| (id, life.number)));
        let numbers: HashMap<String, i64> = names.collect();
        let mut lives: HashMap<i64, Life> = found.into_iter().map(|life| (life.number, life)).collect();
        let (mut processed, mut unprocessed) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(number) = numbers.get(&id).copied() else {
                unprocessed.push((id, NotTriaged::Absent));
                continue;
            };
            // One that is named twice takes the step once.
            let Some(life) = lives.remove(&number) else { continue };
            match take(&mut tx, &mut step, life, asked, by).await? {
                Ok(()) => processed.push(number),
                Err(refused) => unprocessed.push((id, NotTriaged::Refused(refused))),
            }
        }
        if !dry_run {
            finish(tx, step, &self.actor).await?;
        }
        Ok(TriagedAll::Done { processed, unprocessed })
    }

    /// Approves the suppression of a finding that awaits it, by another person than who asked, or declines it; whoever
    /// asked may only decline, which withdraws it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decide_suppression(
        &self,
        id: &str,
        approve: bool,
        who: &str,
    ) -> Result<Result<i64, NotDecided>, Error> {
        let ids = self.seen(vec![id.to_owned()]).await?;
        let (mut tx, mut step) = self.begin_triage(who).await?;
        let Some(mut life) = named(&mut tx, &ids).await?.pop() else {
            return Ok(Err(NotDecided::Absent));
        };
        let pending = sqlx::query!(
            "select number, reason, justification, until, requested_by, requested_at from suppression
             where account_id = $1 and fingerprint = $2 and ended_at is null and in_force_at is null and until > $3",
            life.account_id,
            life.fingerprint,
            step.now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(pending) = pending else { return Ok(Err(NotDecided::NotRequested)) };
        let number = life.number;
        let is_same = pending.requested_by == parse::storable(who);
        let shown = json!({
            "reason": pending.reason, "justification": pending.justification, "until": pending.until,
            "requested_by": pending.requested_by,
        });
        if !approve {
            let because = if is_same { "withdrawn" } else { "declined" };
            end_suppression(&mut tx, &life, Open::Pending, because, &step).await?;
            step.event(&mut life, "suppression_declined", json!({ "suppression": shown, "because": because }));
            step.move_on(life);
            finish(tx, step, &self.actor).await?;
            return Ok(Ok(number));
        }
        if is_same {
            return Ok(Err(NotDecided::SamePerson));
        }
        let wanted = Suppression::new(
            parse::text("suppression", &life.fingerprint, &pending.reason)?,
            &pending.justification,
            Some(pending.until),
            pending.requested_at,
        );
        let Ok(wanted) = wanted else {
            return Err(Error::corrupt("suppression", life.fingerprint.clone(), "it is none that can be asked for"));
        };
        let standing = match life.standing().after(&WorkflowStep::Suppress(wanted)) {
            Ok(standing) => standing,
            Err(refused) => return Ok(Err(NotDecided::Refused(refused))),
        };
        end_suppression(&mut tx, &life, Open::InForce, "replaced", &step).await?;
        sqlx::query!(
            "update suppression set approved_by = $4, in_force_at = $5
             where account_id = $1 and fingerprint = $2 and number = $3",
            life.account_id,
            life.fingerprint,
            pending.number,
            parse::storable(who),
            step.now
        )
        .execute(&mut *tx)
        .await?;
        let from = life.workflow.clone();
        life.stand(standing, step.now);
        life.part_of = None;
        let approved = json!({ "suppression": &shown, "from": &from });
        step.event(&mut life, "suppressed", json!({ "suppression": shown, "from": from }));
        step.move_on(life);
        let act = NewAuditEntry::done(AuditAction::FindingApproveSuppression, number.to_string(), approved);
        finish_as(tx, step, &self.actor, &[act]).await?;
        Ok(Ok(number))
    }

    /// Those of these numbers and fingerprints that name a finding which this store shows: what a step does to other
    /// findings, such as those listed under one, is not for the eyes of whoever takes it.
    pub(in crate::findings) async fn seen(&self, ids: Vec<String>) -> Result<Vec<String>, Error> {
        if !self.is_limited() {
            return Ok(ids);
        }
        let numbers: Vec<i64> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(sqlx::query_scalar!(
            "select fingerprint from finding where number = any($1) or fingerprint = any($2)",
            &numbers,
            &ids
        )
        .fetch_all(&self.pool)
        .await?)
    }

    pub(in crate::findings) async fn begin_triage(
        &self,
        who: &str,
    ) -> Result<(Transaction<'static, Postgres>, Step), Error> {
        let mut tx = self.pool.of_owner().begin().await?;
        let mut step = locked(&mut tx, DateTime::UNIX_EPOCH).await?;
        // Whoever waited for a scan takes the step after it.
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *tx).await?;
        step.now = now - TimeDelta::from_std(self.behind).unwrap_or_default();
        step.who = Some(who.to_owned());
        Ok((tx, step))
    }
}

/// Writes what the steps came to, lists alone what no listed finding heads any more, and commits.
async fn finish(tx: Transaction<'static, Postgres>, step: Step, actor: &Actor) -> Result<(), Error> {
    let acts = step.acts();
    finish_as(tx, step, actor, &acts).await
}

/// The same, where the audit log has another word for it than the findings' history.
async fn finish_as(
    mut tx: Transaction<'static, Postgres>,
    mut step: Step,
    actor: &Actor,
    acts: &[NewAuditEntry],
) -> Result<(), Error> {
    step.write_down(&mut tx).await?;
    end(&mut tx, &mut step).await?;
    append(&mut tx, actor, acts).await?;
    tx.commit().await?;
    Ok(())
}

/// Which of a finding's suppressions that have not ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    InForce,
    Pending,
}

/// Ends a suppression, if there is one, and gives what it said.
async fn end_suppression(
    tx: &mut Transaction<'static, Postgres>,
    life: &Life,
    which: Open,
    because: &str,
    step: &Step,
) -> Result<Option<Value>, Error> {
    Ok(sqlx::query_scalar!(
        r#"update suppression set ended_at = $4, ended_by = $5, ended_because = $6
           where account_id = $1 and fingerprint = $2 and ended_at is null and (in_force_at is not null) = $3
           returning jsonb_build_object('reason', reason, 'justification', justification, 'until', until,
                                        'requested_by', requested_by) as "shown!""#,
        life.account_id,
        life.fingerprint,
        which == Open::InForce,
        step.now,
        step.who.as_deref().map(parse::storable),
        because
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// Takes all that is asked of one finding, or refuses it before anything is done.
async fn take(
    tx: &mut Transaction<'static, Postgres>,
    step: &mut Step,
    mut life: Life,
    asked: &Triage,
    by: TriagedBy<'_>,
) -> Result<Result<(), Refused>, Error> {
    let mut is_changed = false;
    if let Some(wanted) = &asked.step {
        match workflow_step(tx, step, &mut life, wanted, by).await? {
            Ok(changed) => is_changed |= changed,
            Err(refused) => return Ok(Err(refused)),
        }
    }
    if let Some(assignee) = &asked.assignee {
        let assignee = assignee.as_ref().map(|name| parse::storable(name.as_str()));
        let before = sqlx::query_scalar!(
            "select assignee from finding where account_id = $1 and fingerprint = $2",
            life.account_id,
            life.fingerprint
        )
        .fetch_one(&mut **tx)
        .await?;
        if before != assignee {
            sqlx::query!(
                "update finding set assignee = $3 where account_id = $1 and fingerprint = $2",
                life.account_id,
                life.fingerprint,
                assignee
            )
            .execute(&mut **tx)
            .await?;
            step.event(&mut life, "assigned", json!({ "from": before, "to": assignee }));
            is_changed = true;
        }
    }
    if let Some(comment) = &asked.comment {
        step.event(&mut life, "commented", json!({ "comment": comment.as_str() }));
        is_changed = true;
    }
    if is_changed {
        step.move_on(life);
    }
    Ok(Ok(()))
}

/// Takes a step of the workflow, and says whether anything changed by it.
async fn workflow_step(
    tx: &mut Transaction<'static, Postgres>,
    step: &mut Step,
    life: &mut Life,
    wanted: &WorkflowStep,
    by: TriagedBy<'_>,
) -> Result<Result<bool, Refused>, Error> {
    let before = life.standing();
    let after = match before.after(wanted) {
        Ok(after) => after,
        Err(refused) => return Ok(Err(refused)),
    };
    let from = before.workflow.as_str();
    match wanted {
        WorkflowStep::Acknowledge if after == before => Ok(Ok(false)),
        WorkflowStep::Acknowledge => {
            life.stand(after, step.now);
            step.event(life, "acknowledged", json!({ "from": from }));
            Ok(Ok(true))
        }
        WorkflowStep::Open => {
            let pending = end_suppression(tx, life, Open::Pending, "withdrawn", step).await?;
            let ended = end_suppression(tx, life, Open::InForce, "opened", step).await?;
            life.stand(after, step.now);
            if let Some(pending) = &pending {
                let detail = json!({ "suppression": pending, "because": "withdrawn" });
                step.event(life, "suppression_declined", detail);
            }
            match &ended {
                Some(ended) => step.event(life, "suppression_ended", json!({ "suppression": ended, "from": from })),
                None if before.workflow == Workflow::Acknowledged => {
                    step.event(life, "unacknowledged", json!({ "from": from }));
                }
                None => {}
            }
            Ok(Ok(after != before || pending.is_some()))
        }
        WorkflowStep::Suppress(suppression) => {
            end_suppression(tx, life, Open::Pending, "replaced", step).await?;
            let in_force = !by.approver_required;
            if in_force {
                end_suppression(tx, life, Open::InForce, "replaced", step).await?;
            }
            insert(tx, life, suppression, in_force, step).await?;
            let detail = json!({
                "suppression": {
                    "reason": suppression.reason().as_str(), "justification": suppression.justification(),
                    "until": suppression.until(),
                },
                "from": from,
            });
            if in_force {
                life.stand(after, step.now);
                life.part_of = None;
                step.event(life, "suppressed", detail);
            } else {
                step.event(life, "suppression_requested", detail);
            }
            Ok(Ok(true))
        }
    }
}

async fn insert(
    tx: &mut Transaction<'static, Postgres>,
    life: &Life,
    suppression: &Suppression,
    in_force: bool,
    step: &Step,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into suppression (account_id, fingerprint, number, reason, justification, until, requested_by,
                requested_at, in_force_at)
         select $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7, $8
         from suppression where account_id = $1 and fingerprint = $2",
        life.account_id,
        life.fingerprint,
        suppression.reason().as_str(),
        parse::storable(suppression.justification()),
        suppression.until(),
        parse::storable(step.who.as_deref().unwrap_or_default()),
        step.now,
        in_force.then_some(step.now)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
