//! The life of findings: what an audit decided is done to the kept ones, in one transaction.
//!
//! Knows the steps and their events. Reads and writes some hundred findings at a time, so that
//! neither a statement nor the memory grows with the estate; a finding that says what it said before
//! is not written at all. Refuses to decide whether a rule fails; that is the audit's.
//! The scanner moves `detection`, and of `workflow` only resolve, reopen and what an exception
//! suppresses; what people set stays, until a suppression ends.

mod count;
pub(super) mod life;
mod owners;
pub(super) mod step;
mod write;

use crate::findings::owed::{self, DoneJudgement};
use crate::inventory::open_changes::{PassedChanges, note_passed};
use crate::inventory::snapshot::ANALYZED_FROM;
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store};
use chrono::{DateTime, Utc};
use life::{Judged, fingerprint_of, is_same, lives};
pub(in crate::findings) use life::{Life, named, select_lives};
use rolecall_audit::evaluate::RuleTally;
use rolecall_audit::finding::FindingAction;
use rolecall_audit::owner::OwnerChange;
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, HashMap, HashSet};
pub(in crate::findings) use step::Step;
use step::failure_of;
use write::{write_happened, write_tallies};

/// So many actions are taken at once.
const CHUNK: usize = 500;
/// So many bytes of JSON go into one statement, or one row where that is larger.
const STATEMENT_BYTES: usize = 4 << 20;
/// So many workloads that came or went are named in a step.
const NAMED: usize = 20;

/// What one `apply` did. What is listed under another finding counts as folded, and nowhere else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyCounts {
    /// New findings.
    pub opened: u64,
    /// Resolved before, failing again.
    pub reopened: u64,
    /// Failing as before, but saying something else.
    pub changed: u64,
    /// Failing as before.
    pub unchanged: u64,
    /// Resolved.
    pub resolved: u64,
    /// Not decided this time.
    pub stale: u64,
    /// Of those above, newly suppressed by an exception.
    pub suppressed: u64,
    /// Listed under another finding, whatever became of them.
    pub folded: u64,
}

impl Store {
    /// Does everything that an audit decided, and keeps its tallies, or does nothing.
    ///
    /// `actions` holds one for every kept finding that is not resolved and is about how things are, as
    /// [`rolecall_audit::finding::reconcile`] makes them: a finding that fails as before is not written,
    /// and counts as seen by this run. One about what happened may have none; it was then last seen by
    /// the run before. An action that comes too late (open what is open, resolve what is
    /// resolved) is taken for what it means on the finding as it stands. What the audit owed and has
    /// judged goes with it.
    ///
    /// # Errors
    /// Where the database fails; then nothing is done.
    pub async fn apply(
        &self,
        run: RunId,
        actions: &[FindingAction],
        tallies: &[RuleTally],
        done: &DoneJudgement,
        now: DateTime<Utc>,
    ) -> Result<ApplyCounts, Error> {
        let mut tx = self.pool.begin().await?;
        let owners = owners::by_fingerprint(&done.owners.findings);
        let mut step = Step { run, owners, ..locked(&mut tx, now).await? };
        expire(&mut tx, &mut step).await?;
        take_all(&mut tx, &mut step, actions).await?;
        owners::write_of_findings(&mut tx, &mut step).await?;
        owners::write_of_associations(&mut tx, &done.owners).await?;
        if let Some(before) = step.before {
            missing_since(&mut tx, actions, before).await?;
        }
        end(&mut tx, &mut step).await?;
        write_tallies(&mut tx, tallies, run).await?;
        sqlx::query!("update run set judged_at = $3 where account_id = $1 and id = $2", INSTALLATION, run.0, now)
            .execute(&mut *tx)
            .await?;
        owed::delete_done(&mut tx, done).await?;
        note_passed(&mut tx, &done.passed).await?;
        tx.commit().await?;
        if step.counts.opened >= ANALYZED_FROM {
            sqlx::query!("analyze finding, finding_workload, finding_event, event").execute(&self.pool).await?;
        }
        Ok(step.counts)
    }

    /// Does what came of judging changes alone, or nothing: every other finding stays as the latest run that
    /// judged left it, and so do the tallies.
    ///
    /// # Errors
    /// Where the database fails; then nothing is done.
    pub async fn apply_changes(
        &self,
        actions: &[FindingAction],
        passed: &PassedChanges,
        owned: &[OwnerChange],
        now: DateTime<Utc>,
    ) -> Result<ApplyCounts, Error> {
        let mut tx = self.pool.begin().await?;
        let step = locked(&mut tx, now).await?;
        // Nothing was judged yet: whoever judges first judges changes, too.
        let Some(before) = step.before else { return Ok(ApplyCounts::default()) };
        let mut step = Step { run: RunId(before.run), owners: owners::by_fingerprint(owned), ..step };
        expire(&mut tx, &mut step).await?;
        take_all(&mut tx, &mut step, actions).await?;
        owners::write_of_findings(&mut tx, &mut step).await?;
        end(&mut tx, &mut step).await?;
        note_passed(&mut tx, passed).await?;
        tx.commit().await?;
        Ok(step.counts)
    }

    /// Ends the suppressions whose end has come, and opens their findings again; says how many.
    ///
    /// # Errors
    /// Where the database fails; then nothing is done.
    pub async fn end_suppressions(&self, now: DateTime<Utc>) -> Result<u64, Error> {
        let due = sqlx::query_scalar!(
            r#"select exists (select from suppression where ended_at is null and until <= $1) as "due!""#,
            now
        );
        if !due.fetch_one(&self.pool).await? {
            return Ok(0);
        }
        let mut tx = self.pool.begin().await?;
        let mut step = Step { who: Some("scanner".to_owned()), ..locked(&mut tx, now).await? };
        let ended = expire(&mut tx, &mut step).await?;
        end(&mut tx, &mut step).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

/// Ends the suppressions whose end has come.
async fn expire(tx: &mut Transaction<'static, Postgres>, step: &mut Step) -> Result<u64, Error> {
    let ended = sqlx::query!(
        r#"update suppression s set ended_at = $1, ended_because = 'expired'
           where ended_at is null and until <= $1
           returning s.account_id, s.fingerprint, s.in_force_at is not null as "held!",
                     jsonb_build_object('reason', s.reason, 'justification', s.justification, 'until', s.until,
                                        'requested_by', s.requested_by) as "shown!""#,
        step.now
    )
    .fetch_all(&mut **tx)
    .await?;
    let fingerprints: Vec<String> = ended.iter().map(|row| row.fingerprint.clone()).collect();
    let found = select_lives!("where f.fingerprint = any($1)", &fingerprints).fetch_all(&mut **tx).await?;
    let mut lives: HashMap<String, Life> = found.into_iter().map(|life| (life.fingerprint.clone(), life)).collect();
    for row in &ended {
        let Some(life) = lives.get_mut(&row.fingerprint) else { continue };
        let from = life.workflow.clone();
        if row.held {
            life.stand(life.standing().after_suppression(), step.now);
        }
        let detail = serde_json::json!({ "suppression": row.shown, "from": from, "to": life.workflow });
        step.event(life, if row.held { "suppression_expired" } else { "suppression_declined" }, detail);
    }
    lives.into_values().for_each(|life| step.move_on(life));
    step.write_down(tx).await?;
    Ok(ended.len() as u64)
}

/// Begins after everybody else who applies: changes are numbered in the order they appear.
pub(super) async fn locked(tx: &mut Transaction<'static, Postgres>, now: DateTime<Utc>) -> Result<Step, Error> {
    let counters = sqlx::query!(
        "select name, value from counter where account_id = $1 and name in ('change', 'finding')
         order by name for update",
        INSTALLATION
    )
    .fetch_all(&mut **tx)
    .await?;
    let counter = |name: &str| counters.iter().find(|row| row.name == name).map_or(0, |row| row.value);
    let before =
        sqlx::query!(r#"select id, judged_at as "at!" from run where judged_at is not null order by id desc limit 1"#)
            .fetch_optional(&mut **tx)
            .await?
            .map(|row| Judged { run: row.id, at: row.at });
    Ok(Step { now, before, number: counter("finding"), ..Step::new(counter("change")) })
}

async fn take_all(
    tx: &mut Transaction<'static, Postgres>,
    step: &mut Step,
    actions: &[FindingAction],
) -> Result<(), Error> {
    for chunk in actions.chunks(CHUNK) {
        let mut known = lives(tx, chunk).await?;
        let changed = chunk
            .iter()
            .filter_map(failure_of)
            .filter(|failure| known.get(&failure.fingerprint.0).is_some_and(|life| !is_same(life, failure)));
        let changed: Vec<String> = changed.map(|failure| failure.fingerprint.0.clone()).collect();
        step.workloads = workloads(tx, &changed).await?;
        for action in chunk {
            let life = known.remove(&fingerprint_of(action).0);
            step.take(action, life);
        }
        step.write_down(tx).await?;
        write_happened(tx, chunk).await?;
    }
    Ok(())
}

/// Lists alone what was listed under a finding that is no longer listed itself and what somebody suppressed, and keeps
/// the numbers.
pub(super) async fn end(tx: &mut Transaction<'static, Postgres>, step: &mut Step) -> Result<(), Error> {
    // A finding is not hidden under one that is itself no longer listed.
    let orphans = select_lives!(
        "where f.part_of is not null and f.workflow <> 'resolved' and (f.workflow = 'suppressed' or not exists (
             select from finding head where head.fingerprint = f.part_of
                 and head.workflow in ('open', 'acknowledged')))"
    )
    .fetch_all(&mut **tx)
    .await?;
    for orphan in orphans {
        step.list_alone(orphan);
    }
    step.write_down(tx).await?;
    keep_numbers(tx, step).await
}

/// Keeps the numbers that were given.
pub(super) async fn keep_numbers(tx: &mut Transaction<'static, Postgres>, step: &Step) -> Result<(), Error> {
    sqlx::query!(
        "update counter c set value = w.value
         from unnest($2::text[], $3::bigint[]) as w (name, value) where c.account_id = $1 and c.name = w.name",
        INSTALLATION,
        &["change".to_owned(), "finding".to_owned()],
        &[step.seq, step.number]
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The kept workloads of some findings: association and way, by fingerprint.
async fn workloads(
    connection: &mut PgConnection,
    fingerprints: &[String],
) -> Result<HashMap<String, BTreeMap<String, String>>, Error> {
    let mut found: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    if fingerprints.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query!(
        "select fingerprint, association, via from finding_workload where fingerprint = any($1)",
        fingerprints
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        found.entry(row.fingerprint).or_default().insert(row.association, row.via);
    }
    Ok(found)
}

/// Findings about what happened stay without an action where nothing that is judged now tells of
/// them: the run before was the last to see them.
async fn missing_since(
    tx: &mut Transaction<'static, Postgres>,
    actions: &[FindingAction],
    before: Judged,
) -> Result<(), Error> {
    let current =
        sqlx::query_scalar!("select fingerprint from finding where happened_at is not null and last_seen_at is null")
            .fetch_all(&mut **tx)
            .await?;
    let taken: HashSet<&str> = actions.iter().map(|action| fingerprint_of(action).0.as_str()).collect();
    let left: Vec<String> = current.into_iter().filter(|found| !taken.contains(found.as_str())).collect();
    if left.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update finding set last_seen_at = $2, last_run = $3 where fingerprint = any($1)",
        &left,
        before.at,
        before.run
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
