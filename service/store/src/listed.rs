//! What listings showed before, for those that an import brings.

use crate::snapshot::ResourceKind;
use crate::{Error, Store, parse};
use rolecall_audit::coverage::{GapReason, Scope, ScopeKind};
use rolecall_audit::id::{ClusterName, Region};
use rolecall_audit::import::Before;
use rolecall_iam::AccountId;
use std::collections::BTreeSet;

impl Store {
    /// The scopes whose latest look lost so much that the next one must confirm it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn held(&self) -> Result<BTreeSet<Scope>, Error> {
        let mut connection = self.pool.acquire().await?;
        let coverage = crate::coverage::latest(&mut connection).await?;
        Ok(coverage.gaps().filter(|gap| gap.reason == GapReason::Lost).map(|gap| gap.scope.clone()).collect())
    }

    /// What listings of these accounts showed that is not known to be gone, where a listing may be
    /// filtered or empty without saying so: roles, clusters, what is in them, providers, trails, the accounts'
    /// own policies, and what is of the organisation.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn listed(&self, accounts: &BTreeSet<AccountId>) -> Result<Vec<Before>, Error> {
        const TABLE: &str = "resource";
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"select account_id, kind, key, region, cluster, namespace, service_account,
                      coalesce(body -> 'addons' -> 0 is not null, false) as "addons!",
                      coalesce(body -> 'access_entries' -> 0 is not null, false) as "entries!"
               from resource
               where account_id = any($1) and seen_to is null
                 and (kind in ('role', 'cluster', 'association', 'oidc_provider', 'trail', 'org_policy', 'org_unit')
                      or kind = 'policy' and key not like 'arn:aws%:iam::aws:policy/%')
               order by account_id, kind, key"#,
            &accounts
        )
        .fetch_all(&self.pool)
        .await?;
        let mut listed = Vec::new();
        for row in rows {
            let account = parse::account(TABLE, &row.account_id)?;
            let kind = ResourceKind::read(&row.kind)?;
            let pod = match (&row.namespace, &row.service_account) {
                (Some(namespace), Some(name)) => {
                    Some((parse::text(TABLE, &row.key, namespace)?, parse::text(TABLE, &row.key, name)?))
                }
                _ => None,
            };
            let scope = kind.scope(account, row.region.as_deref(), row.cluster.as_deref());
            listed.extend(scope.map(|scope| Before { scope, pod }));
            if kind == ResourceKind::Cluster {
                // A cluster's key is `region/name`.
                let Some((region, name)) = row.key.split_once('/') else { continue };
                let (region, name): (Region, ClusterName) =
                    (parse::text(TABLE, &row.key, region)?, parse::text(TABLE, &row.key, name)?);
                let parts = [(row.addons, ScopeKind::Addons), (row.entries, ScopeKind::AccessEntries)];
                for (_, part) in parts.into_iter().filter(|(any, _)| *any) {
                    let scope = Scope::of_cluster(account, part, region.clone(), name.clone());
                    listed.push(Before { scope, pod: None });
                }
            }
        }
        Ok(listed)
    }
}
