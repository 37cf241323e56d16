//! Accounts and coverage as they were at a moment.

use crate::inventory::accounts::{AccountRow, CoverageSummary};
use crate::inventory::as_of::AsOf;
use crate::inventory::coverage::{self, CoverageRow};
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
        let mut connection = self.pool.acquire().await?;
        coverage::rows_at(&mut connection, as_of.run(), accounts).await
    }

    /// What listings did and did not show at a moment, with the first `shown` gaps.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage_summary_at(&self, as_of: AsOf, shown: u32) -> Result<CoverageSummary, Error> {
        let sum = sqlx::query!(
            r#"with state as (
                   select distinct on (account_id, scope, region, cluster) account_id, complete
                   from coverage_state where run_id <= $1
                   order by account_id, scope, region, cluster, run_id desc)
               select count(*) as "scopes!", count(distinct account_id) as "accounts!",
                      count(*) filter (where not complete) as "incomplete!"
               from state where complete is not null"#,
            as_of.run().0
        )
        .fetch_one(&self.pool)
        .await?;
        let mut summary = CoverageSummary {
            scopes: parse::count(sum.scopes),
            accounts: parse::count(sum.accounts),
            incomplete: parse::count(sum.incomplete),
            last_look_at: (sum.scopes > 0).then(|| as_of.scanned_at()),
            ..CoverageSummary::default()
        };
        if summary.incomplete > 0 {
            let gaps = self.coverage_at(as_of, &[]).await?.into_iter().flat_map(|row| row.gaps);
            let gaps: Vec<Gap> = gaps.collect();
            summary.gap_count = u64::try_from(gaps.len()).unwrap_or(u64::MAX);
            summary.gaps = gaps.into_iter().take(usize::try_from(shown).unwrap_or(usize::MAX)).collect();
        }
        Ok(summary)
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
