//! Reading coverage: scopes as they are kept, and the gaps of their latest scan, or as a run left them.

use crate::work::runs::RunId;
use crate::{Error, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::coverage::{Coverage, Gap, GapReason, Scope};
use rolecall_iam::AccountId;
use sqlx::PgConnection;

/// The latest look at a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct CoverageRow {
    /// The scope.
    pub scope: Scope,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Its gaps; empty where complete.
    pub gaps: Vec<Gap>,
    /// When it was looked at; `None` of a moment that has passed.
    pub looked_at: Option<DateTime<Utc>>,
    /// By which run; of a moment that has passed: since which run it stood so.
    pub run: RunId,
    /// When it was last read to its end; `None`: never, and of a moment that has passed.
    pub last_complete_at: Option<DateTime<Utc>>,
}

/// A scope from its columns; '' stands for none.
pub(crate) fn read_scope(account: &str, kind: &str, region: &str, cluster: &str) -> Result<Scope, Error> {
    const TABLE: &str = "coverage";
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(Scope {
        account_id: parse::account(TABLE, account)?,
        kind: parse::text(TABLE, account, kind)?,
        region: some(region).map(|text| parse::text(TABLE, account, &text)).transpose()?,
        cluster: some(cluster).map(|text| parse::text(TABLE, account, &text)).transpose()?,
    })
}

pub(crate) fn read_reason(reason: &str) -> Result<GapReason, Error> {
    parse::text("coverage_gap", reason, reason)
}

/// The latest look at every scope; of some accounts: at theirs, and at those of what is known of every account.
pub(crate) async fn latest(connection: &mut PgConnection, accounts: Option<&[String]>) -> Result<Coverage, Error> {
    let mut coverage = Coverage::default();
    let scopes = sqlx::query!(
        "select account_id, scope, region, cluster from coverage
         where complete and ($1::text[] is null or account_id = any($1)
                             or scope in ('entry', 'organization', 'org_policies', 'trails'))",
        accounts
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in scopes {
        coverage.complete(read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?);
    }
    let gaps = sqlx::query!(
        "select g.account_id, g.scope, g.region, g.cluster, g.action, g.reason, g.detail, g.day
         from coverage c join coverage_gap g
           on g.account_id = c.account_id and g.scope = c.scope and g.region = c.region and g.cluster = c.cluster
          and g.run_id = c.last_run
         where not c.complete and ($1::text[] is null or c.account_id = any($1)
                                   or c.scope in ('entry', 'organization', 'org_policies', 'trails'))
         order by g.account_id, g.id",
        accounts
    )
    .fetch_all(connection)
    .await?;
    for row in gaps {
        let scope = read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
        let reason = read_reason(&row.reason)?;
        coverage.gap(Gap { scope, action: row.action, reason, detail: row.detail, day: row.day });
    }
    Ok(coverage)
}

/// How every listing stood when a run was done, of some accounts or (empty) of all, by account and scope.
pub(crate) async fn rows_at(
    connection: &mut PgConnection,
    run: RunId,
    accounts: &[AccountId],
) -> Result<Vec<CoverageRow>, Error> {
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
        run.0,
        &accounts
    )
    .fetch_all(connection)
    .await?;
    let mut found: Vec<CoverageRow> = Vec::new();
    for row in rows {
        let scope = read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
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
            let reason = read_reason(&reason)?;
            last.gaps.push(Gap { scope, action, reason, detail, day: row.day });
        }
    }
    Ok(found)
}

/// The coverage of every scope as a run left it.
pub(crate) async fn left_by(connection: &mut PgConnection, run: RunId) -> Result<Coverage, Error> {
    let mut coverage = Coverage::default();
    for row in rows_at(connection, run, &[]).await? {
        if row.complete {
            coverage.complete(row.scope);
        }
        row.gaps.into_iter().for_each(|gap| coverage.gap(gap));
    }
    Ok(coverage)
}
