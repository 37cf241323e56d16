//! Findings for pages, the API and exports: filters, keyset pages, events.
//!
//! Knows one order for each sort, with the finding's number as tie-break, and one statement for each
//! order and each kind of filter, so that an index serves it. A list reads no evidence. Refuses to
//! know cursors' wire form; who serves pages signs it.

mod bound;
mod record;
mod row;

use crate::count::{COUNTED, Total, total};
use crate::findings::filter::FindingFilter;
use crate::parse::JsonText;
use crate::totals::FindingsState;
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use bound::{Bound, Family, Start};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use record::{
    Record, count_findings, of_filter, of_place, of_short_page, of_state, of_unresolved_page, page_of, select_findings,
    select_numbers, with_conditions, workload,
};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::finding::{KnownFinding, Workflow};
use rolecall_audit::verdict::Fingerprint;
use rolecall_rules::Subject;
pub use row::{Finding, FindingAfter, FindingEvent, FindingRow, FindingSort};
use sqlx::PgConnection;
use std::collections::HashMap;

/// Findings that an export reads at once.
const EXPORTED: i64 = 500;
/// So many findings are a short page, one more than is shown among them.
const SHORT: i64 = 201;

/// Findings by their numbers, in the order of these.
async fn of_numbers(connection: &mut PgConnection, numbers: &[i64]) -> Result<Vec<Record>, Error> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let records = select_findings!(
        "from unnest($1::bigint[]) with ordinality as wanted (number, place)
         join finding f on f.number = wanted.number order by wanted.place",
        numbers
    );
    Ok(records.fetch_all(connection).await?)
}

impl Store {
    /// A page of findings.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn findings(
        &self,
        filter: &FindingFilter,
        sort: FindingSort,
        after: Option<FindingAfter>,
        limit: u32,
    ) -> Result<Vec<FindingRow>, Error> {
        let bound = Bound::new(filter, &self.due_days);
        let (from, limit) = (Start::new(after, filter, sort), parse::limit(limit));
        // Not by way of the pool, which hands rows on one by one.
        let mut connection = self.pool.acquire().await?;
        let records = match Family::of_page(filter, sort) {
            Family::State
                if limit <= SHORT && !bound.states.iter().any(|state| state == Workflow::Resolved.as_str()) =>
            {
                page_of!(
                    select_findings!,
                    of_unresolved_page!(bound),
                    ["$4", "$5", "$6", "$7"; "201"],
                    &mut *connection,
                    sort,
                    from,
                    limit
                )
            }
            Family::State if limit <= SHORT => {
                page_of!(select_findings!, of_short_page!(bound), ["$4", "$5", "$6", "$7"; "201"], &mut *connection, sort, from, limit)
            }
            Family::State => {
                page_of!(select_findings!, of_state!(bound), ["$4", "$5", "$6", "$7"], &mut *connection, sort, from, limit)
            }
            Family::Filter => {
                let numbers = page_of!(
                    select_numbers!,
                    of_filter!(bound, filter),
                    ["$23", "$24", "$25", "$26"],
                    &mut *connection,
                    sort,
                    from,
                    limit
                );
                of_numbers(&mut connection, &numbers).await?
            }
            Family::Place => {
                let numbers = page_of!(
                    select_numbers!,
                    of_place!(bound, filter),
                    ["$34", "$35", "$36", "$37"],
                    &mut *connection,
                    sort,
                    from,
                    limit
                );
                of_numbers(&mut connection, &numbers).await?
            }
        };
        drop(connection);
        records.into_iter().map(|record| record.into_row(&self.due_days)).collect()
    }

    /// All findings of a filter with what decided them, by number, some hundred at once: for exports
    /// of any length.
    pub fn export_findings(&self, filter: &FindingFilter) -> BoxStream<'_, Result<Finding, Error>> {
        let filter = filter.clone();
        stream::try_unfold((filter, 0), async move |(filter, after)| {
            let bound = Bound::new(&filter, &self.due_days);
            let records = match Family::new(&filter) {
                Family::Place => {
                    of_place!(
                        select_findings!,
                        bound,
                        filter,
                        "and f.number > $34::bigint order by f.number limit $35",
                        after,
                        EXPORTED,
                    )
                    .fetch_all(&self.pool)
                    .await?
                }
                Family::State | Family::Filter => {
                    of_filter!(
                        select_findings!,
                        bound,
                        filter,
                        "and f.number > $23::bigint order by f.number limit $24",
                        after,
                        EXPORTED,
                    )
                    .fetch_all(&self.pool)
                    .await?
                }
            };
            let Some(last) = records.last().map(|record| record.number) else { return Ok::<_, Error>(None) };
            let rows =
                records.into_iter().map(|record| record.into_row(&self.due_days)).collect::<Result<Vec<_>, Error>>()?;
            let found = self.decided(rows).await?;
            Ok(Some((stream::iter(found.into_iter().map(Ok)), (filter, last))))
        })
        .try_flatten()
        .boxed()
    }

    /// How many findings a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_findings(&self, filter: &FindingFilter) -> Result<Total, Error> {
        let state = self.findings_state().await?;
        // What is due becomes so by time alone.
        let is_kept = filter.due.is_empty();
        if let Some(total) = self.numbers.findings.of(filter, &state).filter(|_| is_kept) {
            return Ok(total);
        }
        let bound = Bound::new(filter, &self.due_days);
        let found = match Family::new(filter) {
            Family::State => {
                of_state!(count_findings!, bound, "limit $4) as found", COUNTED + 1).fetch_one(&self.pool).await?
            }
            Family::Filter => {
                of_filter!(count_findings!, bound, filter, "limit $23) as found", COUNTED + 1)
                    .fetch_one(&self.pool)
                    .await?
            }
            Family::Place => {
                of_place!(count_findings!, bound, filter, "limit $34) as found", COUNTED + 1)
                    .fetch_one(&self.pool)
                    .await?
            }
        };
        let total = total(found);
        if is_kept {
            self.numbers.findings.keep(filter, state, total);
        }
        Ok(total)
    }

    /// Moves with every change of any finding.
    pub(super) async fn findings_state(&self) -> Result<FindingsState, Error> {
        let state = sqlx::query!(
            "select value, (select id from run where judged_at is not null order by id desc limit 1) as run
             from counter where account_id = $1 and name = 'change'",
            INSTALLATION
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((state.value, state.run))
    }

    /// A finding by its number.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding(&self, number: i64) -> Result<Option<Finding>, Error> {
        let record = select_findings!("from finding f where f.number = $1", number).fetch_optional(&self.pool).await?;
        self.one(record).await
    }

    /// A finding by its fingerprint.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding_by_fingerprint(&self, fingerprint: &Fingerprint) -> Result<Option<Finding>, Error> {
        let record = select_findings!("from finding f where f.fingerprint = $1", fingerprint.0)
            .fetch_optional(&self.pool)
            .await?;
        self.one(record).await
    }

    /// The findings of these fingerprints that there are, in no order.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn findings_by_fingerprints(&self, fingerprints: &[String]) -> Result<Vec<FindingRow>, Error> {
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let records = select_findings!("from finding f where f.fingerprint = any($1)", fingerprints)
            .fetch_all(&self.pool)
            .await?;
        records.into_iter().map(|record| record.into_row(&self.due_days)).collect()
    }

    /// The findings that are listed under one, the worst first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn parts_of(&self, head: &Fingerprint, limit: u32) -> Result<Vec<FindingRow>, Error> {
        let records = select_findings!(
            "from finding f where f.part_of = $1 order by f.severity_rank desc, f.number desc limit $2",
            head.0,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        records.into_iter().map(|record| record.into_row(&self.due_days)).collect()
    }

    async fn one(&self, record: Option<Record>) -> Result<Option<Finding>, Error> {
        let rows = record.map(|record| record.into_row(&self.due_days)).transpose()?.into_iter().collect();
        Ok(self.decided(rows).await?.pop())
    }

    /// Findings with what decided them, in the order of the rows.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decided(&self, rows: Vec<FindingRow>) -> Result<Vec<Finding>, Error> {
        let wanted: Vec<String> = rows.iter().map(|row| row.fingerprint.0.clone()).collect();
        let found = sqlx::query!(
            r#"select fingerprint, evidence_digest, params as "params: JsonText",
                      case when row_security_active('finding') then limited_evidence(account_id, fingerprint, evidence)
                           else evidence end as "evidence!: JsonText"
               from finding where fingerprint = any($1)"#,
            &wanted
        )
        .fetch_all(&self.pool)
        .await?;
        let mut by_fingerprint: HashMap<String, _> =
            found.into_iter().map(|found| (found.fingerprint.clone(), found)).collect();
        let each = rows.into_iter().filter_map(|row| {
            let found = by_fingerprint.remove(&row.fingerprint.0)?;
            let key = &row.fingerprint.0;
            let read = || {
                Ok(Finding {
                    evidence: parse::json("finding", key, &found.evidence)?,
                    evidence_digest: parse::digest("finding", key, &found.evidence_digest)?,
                    params: parse::json("finding", key, &found.params)?,
                    row: row.clone(),
                })
            };
            Some(read())
        });
        each.collect()
    }

    /// The workloads that reach the role of a finding, the nearest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn workloads_of(&self, finding: &FindingRow, limit: u32) -> Result<Vec<Workload>, Error> {
        // The row has the first of them.
        if u64::try_from(finding.workloads.len()) == Ok(finding.workload_count) {
            return Ok(finding.workloads.clone());
        }
        let key = &finding.fingerprint.0;
        let rows = sqlx::query!(
            "select association, via from finding_workload where account_id = $1 and fingerprint = $2
             order by array_position('{direct,target,chain}'::text[], via), association limit $3",
            finding.subject.account_id.to_string(),
            key,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| workload(key, &row.association, &row.via)).collect()
    }

    /// Every kept finding, as the audit needs it.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn known_findings(&self) -> Result<Vec<KnownFinding>, Error> {
        let mut rows = sqlx::query!(
            r#"select account_id, fingerprint, rule, severity, subject_kind, subject_key, region, cluster, namespace,
                    service_account, role_arn, target_role_arn, detection, workflow, message, evidence_digest,
                    assumptions as "assumptions: JsonText", happened_at, owner_because as "owner_because: JsonText",
                    exists (select from suppression s where s.account_id = f.account_id
                            and s.fingerprint = f.fingerprint and s.in_force_at is not null and s.ended_at is null)
                        as "suppressed!"
             from finding f order by account_id, fingerprint"#
        )
        .fetch(&self.pool);
        let mut known = Vec::new();
        while let Some(row) = rows.try_next().await? {
            const TABLE: &str = "finding";
            let key = row.fingerprint;
            known.push(KnownFinding {
                rule: row.rule,
                subject: Subject {
                    kind: parse::text(TABLE, &key, &row.subject_kind)?,
                    key: row.subject_key,
                    account_id: parse::account(TABLE, &row.account_id)?,
                    region: row.region,
                    cluster: row.cluster,
                    namespace: row.namespace,
                    service_account: row.service_account,
                    role_arn: row.role_arn,
                    target_role_arn: row.target_role_arn,
                },
                detection: parse::text(TABLE, &key, &row.detection)?,
                workflow: parse::text(TABLE, &key, &row.workflow)?,
                evidence_digest: parse::digest(TABLE, &key, &row.evidence_digest)?,
                severity: parse::text(TABLE, &key, &row.severity)?,
                message: row.message,
                assumptions: parse::json(TABLE, &key, &row.assumptions)?,
                happened_at: row.happened_at,
                suppressed: row.suppressed,
                owner: row.owner_because.map(|owner| parse::json(TABLE, &key, &owner)).transpose()?,
                fingerprint: Fingerprint(key),
            });
        }
        Ok(known)
    }

    /// The steps of a finding's life, from the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn finding_events(&self, finding: &FindingRow) -> Result<Vec<FindingEvent>, Error> {
        let rows = sqlx::query!(
            r#"select account_id, change_seq, fingerprint, run_id, at, kind, actor,
                    case when row_security_active('finding_event') then limited_detail(account_id, fingerprint, detail)
                         else detail end as "detail!"
             from finding_event
             where account_id = $1 and fingerprint = $2 order by change_seq"#,
            finding.subject.account_id.to_string(),
            finding.fingerprint.0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(FindingEvent {
                    change_seq: row.change_seq,
                    account_id: parse::account("finding_event", &row.account_id)?,
                    fingerprint: Fingerprint(row.fingerprint),
                    run: row.run_id.map(RunId),
                    at: row.at,
                    kind: row.kind,
                    actor: row.actor,
                    detail: row.detail,
                })
            })
            .collect()
    }
}
