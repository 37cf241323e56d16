//! Reading coverage: scopes as they are kept, and the gaps of their latest scan.

use crate::{Error, parse};
use rolecall_estate::coverage::{Coverage, Gap, GapReason, Scope};
use sqlx::PgConnection;

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

/// The latest look at every scope.
pub(crate) async fn latest(connection: &mut PgConnection) -> Result<Coverage, Error> {
    let mut coverage = Coverage::default();
    let scopes = sqlx::query!("select account_id, scope, region, cluster from coverage where complete")
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
         where not c.complete order by g.account_id, g.id"
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
