//! How associations lead from namespaces by roles to accounts, added up.
//!
//! Refuses to know how it is drawn.

use crate::{Error, Store, parse};
use rolecall_iam::AccountId;

/// Associations of one namespace with one role, that end up in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// The namespace, of whatever cluster.
    pub namespace: String,
    /// The association role.
    pub role_arn: String,
    /// The account of the target role or, where there is none, of the role; `None`: its ARN names none.
    pub account_id: Option<AccountId>,
    /// How many.
    pub associations: u64,
}

/// All associations with a known role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessFlow {
    /// The most first; of many only so many as were asked for.
    pub rows: Vec<FlowRow>,
    /// How many associations there are with a known role.
    pub associations: u64,
    /// How many there are whose role is not known.
    pub without_role: u64,
}

impl Store {
    /// The associations of the latest scan by namespace, role and account, the most first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn access_flow(&self, limit: u32) -> Result<AccessFlow, Error> {
        let rows = sqlx::query!(
            r#"select namespace as "namespace!", role_arn,
                      split_part(coalesce(target_role_arn, role_arn), ':', 5) as account, count(*) as "number!",
                      (sum(count(*)) filter (where role_arn is not null) over ())::bigint as known,
                      (sum(count(*)) filter (where role_arn is null) over ())::bigint as unknown
               from resource
               where kind = 'association' and seen_to is null and namespace is not null
               group by 1, 2, 3 order by (role_arn is null), 4 desc, 1, 2, 3 limit $1"#,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut flow = AccessFlow::default();
        for row in rows {
            flow.associations = row.known.map_or(0, parse::count);
            flow.without_role = row.unknown.map_or(0, parse::count);
            if let Some(role_arn) = row.role_arn {
                let account_id = row.account.and_then(|id| id.parse().ok());
                let associations = parse::count(row.number);
                flow.rows.push(FlowRow { namespace: row.namespace, role_arn, account_id, associations });
            }
        }
        Ok(flow)
    }
}
