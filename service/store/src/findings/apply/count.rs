//! What is kept beside findings so that lists and the overview need not count: how many steps each run took on each day,
//! and whether there is anything around a finding to look for.
//!
//! Knows that a finding which is listed under another is in none of the numbers, with all of its steps. Refuses to know
//! what a step means.

use super::life::Event;
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Postgres, Transaction};

/// Under which finding each of some findings is about to be listed.
pub(super) struct Places {
    accounts: Vec<String>,
    fingerprints: Vec<String>,
    heads: Vec<Option<String>>,
}

impl Places {
    /// Of rows of the table `finding` as JSON.
    pub(super) fn new<'a>(rows: impl Iterator<Item = &'a Value>) -> Self {
        let mut places = Self { accounts: Vec::new(), fingerprints: Vec::new(), heads: Vec::new() };
        for row in rows {
            let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
            places.accounts.push(text("account_id").unwrap_or_default());
            places.fingerprints.push(text("fingerprint").unwrap_or_default());
            places.heads.push(text("part_of"));
        }
        places
    }
}

/// Takes the steps so far of findings that come to be listed under another out of the count, and puts those back that
/// come to be listed by themselves. Before the findings are written.
pub(super) async fn count_moved(tx: &mut Transaction<'static, Postgres>, places: &Places) -> Result<(), Error> {
    if places.fingerprints.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into finding_step_count as c (account_id, run_id, day, opened, resolved, version)
         select $1, coalesce(e.run_id, 0), (e.at at time zone 'UTC')::date,
                coalesce(sum(m.sign) filter (where e.kind in ('opened', 'reopened')), 0),
                coalesce(sum(m.sign) filter (where e.kind = 'resolved'), 0), 1
         from (select f.account_id, f.fingerprint, case when w.part_of is null then 1 else -1 end as sign
               from unnest($2::text[], $3::text[], $4::text[]) as w (account_id, fingerprint, part_of)
               join finding f on f.account_id = w.account_id and f.fingerprint = w.fingerprint
               where (w.part_of is null) <> (f.part_of is null)) m
         join finding_event e on e.account_id = m.account_id and e.fingerprint = m.fingerprint
         where e.kind in ('opened', 'reopened', 'resolved')
         group by 2, 3
         on conflict (account_id, run_id, day) do update
         set opened = c.opened + excluded.opened, resolved = c.resolved + excluded.resolved,
             version = c.version + 1",
        INSTALLATION,
        &places.accounts,
        &places.fingerprints,
        &places.heads as &[Option<String>]
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps with the workloads of findings whether these count. After the findings and their workloads are
/// written.
pub(super) async fn keep_open_ranks(tx: &mut Transaction<'static, Postgres>, places: &Places) -> Result<(), Error> {
    if places.fingerprints.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update finding_workload w set open_rank = r.rank
         from unnest($1::text[], $2::text[]) as p (account_id, fingerprint)
         join finding f on f.account_id = p.account_id and f.fingerprint = p.fingerprint and f.workloads > 0
         cross join lateral (select finding_open_rank(f.workflow, f.part_of, f.severity_rank) as rank) r
         where w.account_id = f.account_id and w.fingerprint = f.fingerprint and w.open_rank is distinct from r.rank",
        &places.accounts,
        &places.fingerprints
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Counts new steps of findings that are listed by themselves. After the findings are written. Another severity is no step,
/// and moves the version all the same: steps are counted by the severity that a finding has.
pub(super) async fn count_steps(
    tx: &mut Transaction<'static, Postgres>,
    events: &[(i64, Event)],
    run: Option<RunId>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let counted = || {
        events.iter().filter(|(_, event)| match event.kind {
            "opened" | "reopened" | "resolved" => true,
            "changed" => event.detail.get("severity").is_some(),
            _ => false,
        })
    };
    if counted().next().is_none() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&Event) -> String| counted().map(|(_, event)| of(event)).collect::<Vec<String>>();
    sqlx::query!(
        "insert into finding_step_count as c (account_id, run_id, day, opened, resolved, version)
         select $1, $2, ($3::timestamptz at time zone 'UTC')::date,
                count(*) filter (where w.kind in ('opened', 'reopened')), count(*) filter (where w.kind = 'resolved'), 1
         from unnest($4::text[], $5::text[], $6::text[]) as w (account_id, fingerprint, kind)
         join finding f on f.account_id = w.account_id and f.fingerprint = w.fingerprint
         where f.part_of is null
         having count(*) > 0
         on conflict (account_id, run_id, day) do update
         set opened = c.opened + excluded.opened, resolved = c.resolved + excluded.resolved,
             version = c.version + 1",
        INSTALLATION,
        run.map_or(0, |run| run.0),
        now,
        &column(&|event| event.account.clone()),
        &column(&|event| event.fingerprint.clone()),
        &column(&|event| event.kind.to_owned())
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes which findings have others listed under them. After the findings are written: what is listed under one may be
/// written before it, and after it.
pub(super) async fn note_parts(tx: &mut Transaction<'static, Postgres>, places: &Places) -> Result<(), Error> {
    if places.fingerprints.is_empty() {
        return Ok(());
    }
    let heads: Vec<String> = places.fingerprints.iter().chain(places.heads.iter().flatten()).cloned().collect();
    sqlx::query!(
        "update finding f set had_part = true
         where f.fingerprint = any($1) and not f.had_part and exists (select from finding p where p.part_of = f.fingerprint)",
        &heads
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes which findings have tickets and suppressions. After these are written.
pub(super) async fn note_related(
    tx: &mut Transaction<'static, Postgres>,
    events: &[(i64, Event)],
) -> Result<(), Error> {
    let around =
        events.iter().filter(|(_, event)| event.kind.starts_with("ticket_") || event.kind.starts_with("suppress"));
    let fingerprints: Vec<String> = around.map(|(_, event)| event.fingerprint.clone()).collect();
    if fingerprints.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update finding f
         set had_ticket = f.had_ticket or exists (
                 select from finding_ticket t where t.account_id = f.account_id and t.fingerprint = f.fingerprint),
             had_suppression = f.had_suppression or exists (
                 select from suppression s where s.account_id = f.account_id and s.fingerprint = f.fingerprint)
         where f.fingerprint = any($1) and not (f.had_ticket and f.had_suppression)",
        &fingerprints
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
