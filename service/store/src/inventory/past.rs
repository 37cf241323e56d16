//! Accounts and coverage as they were at a moment.

use crate::inventory::accounts::{AccountRow, CoverageSummary};
use crate::inventory::as_of::AsOf;
use crate::inventory::coverage::{self, CoverageRow};
use crate::parse::JsonText;
use crate::{Error, Store, parse};
use rolecall_estate::coverage::Gap;
use rolecall_iam::AccountId;

impl Store {
    /// How every listing stood at a moment, of some accounts or (empty) of all, by account and scope. A listing that
    /// nobody had read by then is not among them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage_at(&self, as_of: AsOf, accounts: &[AccountId]) -> Result<Vec<CoverageRow>, Error> {
        let mut connection = self.pool.acquire().await?;
        coverage::rows_at(&mut connection, as_of.run(), accounts).await
    }

    /// What listings did and did not show at a moment, with the first `shown` gaps.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage_summary_at(&self, as_of: AsOf, shown: u32) -> Result<CoverageSummary, Error> {
        let rows = sqlx::query!(
            r#"with state as materialized (
                   select distinct on (account_id, scope, region, cluster) account_id, scope, region, cluster, complete
                   from coverage_state where run_id <= $1
                   order by account_id, scope, region, cluster, run_id desc),
               summed as (
                   select count(*) as scopes, count(distinct account_id) as accounts,
                          count(*) filter (where not complete) as incomplete
                   from state where complete is not null),
               gapped as (
                   select g.account_id, g.scope, g.region, g.cluster, g.id, g.action, g.reason, g.detail, g.day,
                          count(*) over () as number
                   from state s
                   join lateral (
                       select max(x.run_id) as run_id from coverage_gap x
                       where x.account_id = s.account_id and x.scope = s.scope and x.region = s.region
                         and x.cluster = s.cluster and x.run_id <= $1) latest on true
                   join coverage_gap g
                     on g.account_id = s.account_id and g.scope = s.scope and g.region = s.region
                    and g.cluster = s.cluster and g.run_id = latest.run_id
                   where not s.complete
                   order by g.account_id, g.scope, g.region, g.cluster, g.id limit $2)
               select s.scopes as "scopes!", s.accounts as "accounts!", s.incomplete as "incomplete!",
                      coalesce(g.number, 0) as "number!", g.account_id as "account_id?", g.scope as "scope?",
                      g.region as "region?", g.cluster as "cluster?", g.action as "action?", g.reason as "reason?",
                      g.detail as "detail?", g.day as "day?"
               from summed s left join gapped g on true
               order by g.account_id, g.scope, g.region, g.cluster, g.id"#,
            as_of.run().0,
            parse::limit(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut summary = CoverageSummary::default();
        for row in rows {
            summary.scopes = parse::count(row.scopes);
            summary.accounts = parse::count(row.accounts);
            summary.incomplete = parse::count(row.incomplete);
            summary.last_look_at = (summary.scopes > 0).then(|| as_of.scanned_at());
            summary.gap_count = parse::count(row.number);
            let place = row.account_id.zip(row.scope).zip(row.region).zip(row.cluster);
            let said = row.action.zip(row.reason).zip(row.detail);
            if let (Some((((account, scope), region), cluster)), Some(((action, reason), detail))) = (place, said) {
                let scope = coverage::read_scope(&account, &scope, &region, &cluster)?;
                let reason = coverage::read_reason(&reason)?;
                summary.gaps.push(Gap { scope, action, reason, detail, day: row.day });
            }
        }
        Ok(summary)
    }

    /// Every account that was known or had been looked at by a moment, by id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn accounts_at(&self, as_of: AsOf) -> Result<Vec<AccountRow>, Error> {
        if self.is_limited() {
            return self.accounts_seen(Some(as_of.run())).await;
        }
        let rows = sqlx::query!(
            r#"with counts as (
                   select distinct on (account_id, kind) account_id, kind, number from resource_count
                   where run_id <= $1 order by account_id, kind, run_id desc),
               resources as (
                   select account_id, max(number) filter (where kind = 'role') as roles,
                          max(number) filter (where kind = 'cluster') as clusters,
                          max(number) filter (where kind = 'association') as associations
                   from counts group by account_id having max(number) > 0),
               looks as (
                   select account_id, count(*) filter (where complete) as complete,
                          count(*) filter (where not complete) as gaps
                   from (select distinct on (account_id, scope, region, cluster) account_id, complete
                         from coverage_state where run_id <= $1
                         order by account_id, scope, region, cluster, run_id desc) as state
                   where complete is not null group by account_id)
               select coalesce(r.account_id, l.account_id) as "account_id!", a.body as "body?: JsonText",
                      coalesce(r.roles, 0) as "roles!", coalesce(r.clusters, 0) as "clusters!",
                      coalesce(r.associations, 0) as "associations!",
                      coalesce(l.complete, 0) as "complete!", coalesce(l.gaps, 0) as "gaps!"
               from resources r full join looks l on l.account_id = r.account_id
               left join resource a on a.account_id = coalesce(r.account_id, l.account_id) and a.kind = 'account'
                    and a.key = a.account_id and a.seen_from <= $1 and (a.seen_to is null or a.seen_to > $1)
               order by 1"#,
            as_of.run().0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AccountRow {
                    id: parse::account("resource", &row.account_id)?,
                    account: row.body.map(|body| parse::json("resource", &row.account_id, &body)).transpose()?,
                    roles: parse::count(row.roles),
                    clusters: parse::count(row.clusters),
                    associations: parse::count(row.associations),
                    open_findings: None,
                    complete_scopes: parse::count(row.complete),
                    gap_scopes: parse::count(row.gaps),
                    last_look_at: None,
                })
            })
            .collect()
    }
}
