//! Writes what a step came to.

use super::life::Event;
use super::{CHUNK, STATEMENT_BYTES};
use crate::work::runs::RunId;
use crate::{Error, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::evaluate::RuleTally;
use rolecall_audit::finding::FindingAction;
use serde_json::Value;
use sqlx::{Postgres, Transaction};

/// Notes when what failing findings are about happened, where they are about what happened.
pub(super) async fn write_happened(
    tx: &mut Transaction<'static, Postgres>,
    actions: &[FindingAction],
) -> Result<(), Error> {
    let failures = actions.iter().filter_map(|action| match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            Some((failure, failure.happened_at?))
        }
        FindingAction::Resolve { .. } | FindingAction::MarkStale { .. } => None,
    });
    let (mut accounts, mut fingerprints, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for (failure, at) in failures {
        accounts.push(failure.subject.account_id.to_string());
        fingerprints.push(failure.fingerprint.0.clone());
        times.push(at);
    }
    if times.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update finding f set happened_at = w.at
         from unnest($1::text[], $2::text[], $3::timestamptz[]) as w (account_id, fingerprint, at)
         where f.account_id = w.account_id and f.fingerprint = w.fingerprint and f.happened_at is distinct from w.at",
        &accounts,
        &fingerprints,
        &times
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Rows as JSON arrays, none larger than [`STATEMENT_BYTES`] unless it has one row alone.
pub(super) fn statements(rows: Vec<Value>) -> Vec<String> {
    let mut statements = Vec::new();
    let mut array = String::new();
    for row in rows {
        let text = parse::json_text(&row);
        if !array.is_empty() && array.len() + text.len() > STATEMENT_BYTES {
            array.push(']');
            statements.push(std::mem::take(&mut array));
        }
        array.push(if array.is_empty() { '[' } else { ',' });
        array.push_str(&text);
    }
    if !array.is_empty() {
        array.push(']');
        statements.push(array);
    }
    statements
}

pub(super) async fn write_shown(tx: &mut Transaction<'static, Postgres>, rows: String) -> Result<(), Error> {
    // One JSON array instead of forty arrays: `jsonb_populate_recordset` types it by the table itself.
    sqlx::query!(
        "insert into finding (account_id, fingerprint, number, rule, severity, severity_rank, severity_because, part_of,
                assumptions, workloads, first_workloads, subject_kind, subject_key, region, cluster, namespace,
                service_account, role_arn, target_role_arn, detection, workflow, resolution, message, evidence, evidence_digest, params, exception,
                stale_why, first_seen_at, opened_at, last_seen_at, resolved_at, updated_at, reopened_count, first_run,
                last_run, version, change_seq, suppressed_at, paused_seconds, owner, owned, owner_because)
         select account_id, fingerprint, number, rule, severity, severity_rank, severity_because, part_of,
                assumptions, workloads, first_workloads, subject_kind, subject_key, region, cluster, namespace,
                service_account, role_arn, target_role_arn, detection, workflow, resolution, message, evidence, evidence_digest, params,
                nullif(exception, 'null'), stale_why, first_seen_at, opened_at, last_seen_at, resolved_at, updated_at,
                reopened_count, first_run, last_run, version, change_seq, suppressed_at, paused_seconds, owner, owned,
                owner_because
         from jsonb_populate_recordset(null::finding, $1::text::jsonb)
         on conflict (account_id, fingerprint) do update set
                severity = excluded.severity, severity_rank = excluded.severity_rank,
                severity_because = excluded.severity_because, part_of = excluded.part_of,
                assumptions = excluded.assumptions, workloads = excluded.workloads,
                first_workloads = excluded.first_workloads, region = excluded.region,
                cluster = excluded.cluster, namespace = excluded.namespace,
                service_account = excluded.service_account, role_arn = excluded.role_arn,
                target_role_arn = excluded.target_role_arn, detection = excluded.detection,
                workflow = excluded.workflow, resolution = excluded.resolution, message = excluded.message,
                evidence = excluded.evidence, evidence_digest = excluded.evidence_digest, params = excluded.params,
                exception = excluded.exception, stale_why = excluded.stale_why, opened_at = excluded.opened_at,
                last_seen_at = excluded.last_seen_at, resolved_at = excluded.resolved_at,
                updated_at = excluded.updated_at, reopened_count = excluded.reopened_count,
                last_run = excluded.last_run, version = excluded.version, change_seq = excluded.change_seq,
                suppressed_at = excluded.suppressed_at, paused_seconds = excluded.paused_seconds",
        rows
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn write_moved(tx: &mut Transaction<'static, Postgres>, rows: String) -> Result<(), Error> {
    sqlx::query!(
        "update finding f set part_of = w.part_of, detection = w.detection, workflow = w.workflow,
                resolution = w.resolution, stale_why = w.stale_why, last_seen_at = w.last_seen_at,
                resolved_at = w.resolved_at, updated_at = w.updated_at, last_run = w.last_run, version = w.version,
                change_seq = w.change_seq, suppressed_at = w.suppressed_at, paused_seconds = w.paused_seconds
         from jsonb_populate_recordset(null::finding, $1::text::jsonb) w
         where f.account_id = w.account_id and f.fingerprint = w.fingerprint",
        rows
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn write_workloads(tx: &mut Transaction<'static, Postgres>, reached: &[Reached]) -> Result<(), Error> {
    if reached.is_empty() {
        return Ok(());
    }
    let fingerprints: Vec<String> = reached.iter().map(|finding| finding.fingerprint.clone()).collect();
    sqlx::query!("delete from finding_workload where fingerprint = any($1)", &fingerprints).execute(&mut **tx).await?;
    let each: Vec<_> = reached.iter().flat_map(|finding| finding.workloads.iter().map(move |w| (finding, w))).collect();
    for some in each.chunks(10 * CHUNK) {
        let column = |of: &dyn Fn(&Reached, &rolecall_audit::access::reach::Workload) -> String| {
            some.iter().map(|(finding, workload)| of(finding, workload)).collect::<Vec<String>>()
        };
        sqlx::query!(
            "insert into finding_workload (account_id, fingerprint, association, cluster_account_id, region, cluster,
                    namespace, service_account, via, open_rank)
             select w.*, finding_open_rank(f.workflow, f.part_of, f.severity_rank)
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[]) as w (account_id, fingerprint, association, cluster_account_id, region, cluster,
                                           namespace, service_account, via)
             join finding f on f.account_id = w.account_id and f.fingerprint = w.fingerprint",
            &column(&|finding, _| finding.account.clone()),
            &column(&|finding, _| finding.fingerprint.clone()),
            &column(&|_, workload| workload.association.to_string()),
            &column(&|_, workload| workload.association.account_id.to_string()),
            &column(&|_, workload| workload.association.region.to_string()),
            &column(&|_, workload| workload.association.cluster.to_string()),
            &column(&|_, workload| workload.association.namespace.to_string()),
            &column(&|_, workload| workload.association.service_account.to_string()),
            &column(&|_, workload| workload.via.as_str().to_owned()),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn write_events(
    tx: &mut Transaction<'static, Postgres>,
    events: &[(i64, Event)],
    run: Option<RunId>,
    who: &str,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&Event) -> String| events.iter().map(|(_, event)| of(event)).collect::<Vec<String>>();
    let numbers: Vec<i64> = events.iter().map(|(seq, _)| *seq).collect();
    sqlx::query!(
        "insert into finding_event (account_id, change_seq, fingerprint, run_id, at, kind, actor, detail)
         select w.account_id, w.seq, w.fingerprint, $6, $7, w.kind, $8, w.detail::jsonb
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
              as w (account_id, fingerprint, kind, detail, seq)",
        &column(&|event| event.account.clone()),
        &column(&|event| event.fingerprint.clone()),
        &column(&|event| event.kind.to_owned()),
        &column(&|event| parse::json_text(&event.detail)),
        &numbers,
        run.map(|run| run.0),
        now,
        parse::storable(who)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn write_tallies(
    tx: &mut Transaction<'static, Postgres>,
    tallies: &[RuleTally],
    run: RunId,
) -> Result<(), Error> {
    if tallies.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&RuleTally) -> u64| {
        tallies.iter().map(|tally| i64::try_from(of(tally)).unwrap_or(i64::MAX)).collect::<Vec<i64>>()
    };
    let accounts: Vec<String> = tallies.iter().map(|tally| tally.account_id.to_string()).collect();
    let rules: Vec<String> = tallies.iter().map(|tally| tally.rule.clone()).collect();
    let reasons: Vec<String> = tallies.iter().map(|tally| parse::json_text(&tally.reasons)).collect();
    sqlx::query!(
        "insert into rule_tally (account_id, run_id, rule, pass, fail, not_applicable, unknown, error, reasons, assumed)
         select w.account_id, $9, w.rule, w.pass, w.fail, w.not_applicable, w.unknown, w.error, w.reasons::jsonb, w.assumed
         from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
                     $10::bigint[])
              as w (account_id, rule, pass, fail, not_applicable, unknown, error, reasons, assumed)
         on conflict (account_id, run_id, rule) do update set
             pass = excluded.pass, fail = excluded.fail, not_applicable = excluded.not_applicable,
             unknown = excluded.unknown, error = excluded.error, reasons = excluded.reasons,
             assumed = excluded.assumed",
        &accounts,
        &rules,
        &column(&|tally| tally.pass),
        &column(&|tally| tally.fail),
        &column(&|tally| tally.not_applicable),
        &column(&|tally| tally.unknown),
        &column(&|tally| tally.error),
        &reasons,
        run.0,
        &column(&|tally| tally.assumed)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A finding with the workloads that reach it now.
pub(super) struct Reached {
    pub(super) account: String,
    pub(super) fingerprint: String,
    pub(super) workloads: Vec<rolecall_audit::access::reach::Workload>,
}
