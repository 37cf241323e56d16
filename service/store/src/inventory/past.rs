//! Accounts and coverage as they were at a moment.

use crate::inventory::accounts::{AccountRow, CoverageRow};
use crate::inventory::as_of::AsOf;
use crate::inventory::coverage;
use crate::work::runs::RunId;
use crate::{Error, Store, parse};
use rolecall_estate::coverage::{Gap, Scope};
use rolecall_iam::AccountId;
use std::collections::BTreeMap;

impl Store {
    /// How every listing stood at a moment, of some accounts or (empty) of all, by account and scope. A listing that
    /// nobody had read by then is not among them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage_at(&self, as_of: AsOf, accounts: &[AccountId]) -> Result<Vec<CoverageRow>, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"with state as materialized (
                   select distinct on (account_id, scope, region, cluster)
                          account_id, scope, region, cluster, run_id, complete
                   from coverage_state
                   where run_id <= $1 and (cardinality($2::text[]) = 0 or account_id = any($2))
                   order by account_id, scope, region, cluster, run_id desc)
               select s.account_id as "account_id!", s.scope as "scope!", s.region as "region!", s.cluster as "cluster!",
                      s.run_id as "run_id!", s.complete as "complete!", g.action as "action?", g.reason as "reason?",
                      g.detail as "detail?", g.day as "day?"
               from state s
               left join lateral (
                   select max(x.run_id) as run_id from coverage_gap x
                   where x.account_id = s.account_id and x.scope = s.scope and x.region = s.region
                     and x.cluster = s.cluster and x.run_id <= $1) latest on not s.complete
               left join coverage_gap g
                 on g.account_id = s.account_id and g.scope = s.scope and g.region = s.region and g.cluster = s.cluster
                and g.run_id = latest.run_id
               where s.complete is not null
               order by s.account_id, s.scope, s.region, s.cluster, g.id"#,
            as_of.run().0,
            &accounts
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: Vec<CoverageRow> = Vec::new();
        for row in rows {
            let scope = coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
            if found.last().is_none_or(|last| last.scope != scope) {
                found.push(CoverageRow {
                    scope: scope.clone(),
                    complete: row.complete,
                    gaps: Vec::new(),
                    looked_at: None,
                    run: RunId(row.run_id),
                    last_complete_at: None,
                });
            }
            let gap = row.action.zip(row.reason).zip(row.detail);
            if let (Some(last), Some(((action, reason), detail))) = (found.last_mut(), gap) {
                let reason = coverage::read_reason(&reason)?;
                last.gaps.push(Gap { scope, action, reason, detail, day: row.day });
            }
        }
        Ok(found)
    }

    /// Every account that was known or had been looked at by a moment, by id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn accounts_at(&self, as_of: AsOf) -> Result<Vec<AccountRow>, Error> {
        let rows = sqlx::query!(
            r#"select r.account_id, count(*) filter (where kind = 'role') as "roles!",
                      count(*) filter (where kind = 'cluster') as "clusters!",
                      count(*) filter (where kind = 'association') as "associations!",
                      (array_agg(body) filter (where kind = 'account'))[1] as "body?"
               from resource r
               where seen_from <= $1 and (seen_to is null or seen_to > $1)
               group by r.account_id order by r.account_id"#,
            as_of.run().0
        )
        .fetch_all(&self.pool)
        .await?;
        let mut accounts: BTreeMap<AccountId, AccountRow> = BTreeMap::new();
        for row in rows {
            let id = parse::account("resource", &row.account_id)?;
            let mut account = nothing_of(id);
            account.account = row.body.map(|body| parse::json("resource", &row.account_id, body)).transpose()?;
            account.roles = parse::count(row.roles);
            account.clusters = parse::count(row.clusters);
            account.associations = parse::count(row.associations);
            accounts.insert(id, account);
        }
        for CoverageRow { scope: Scope { account_id, .. }, complete, .. } in self.coverage_at(as_of, &[]).await? {
            let account = accounts.entry(account_id).or_insert_with(|| nothing_of(account_id));
            if complete { account.complete_scopes += 1 } else { account.gap_scopes += 1 }
        }
        Ok(accounts.into_values().collect())
    }
}

fn nothing_of(id: AccountId) -> AccountRow {
    AccountRow {
        id,
        account: None,
        roles: 0,
        clusters: 0,
        associations: 0,
        open_findings: None,
        complete_scopes: 0,
        gap_scopes: 0,
        last_look_at: None,
    }
}
