//! What listings showed before, for those that an import brings.

use crate::inventory::snapshot::ResourceKind;
use crate::{Error, Store, parse};
use rolecall_estate::before::Before;
use rolecall_estate::coverage::{GapReason, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_iam::AccountId;
use std::collections::BTreeSet;

impl Store {
    /// The scopes whose latest scan lost so much that the next one must lack the same.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn held(&self) -> Result<BTreeSet<Scope>, Error> {
        let mut connection = self.pool.acquire().await?;
        let coverage = crate::inventory::coverage::latest(&mut connection, None).await?;
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
            r#"select r.account_id, r.kind, r.key, r.region, r.cluster, r.namespace, r.service_account,
                      coalesce(r.body -> 'addons' -> 0 is not null, false) as "addons!",
                      coalesce(r.body -> 'access_entries' -> 0 is not null, false) as "entries!",
                      u.key is not null as "was_missing!"
               from resource r
               left join unconfirmed u on u.account_id = r.account_id and u.kind = r.kind and u.key = r.key
               where r.account_id = any($1) and r.seen_to is null
                 and (r.kind in ('role', 'cluster', 'association', 'oidc_provider', 'trail', 'org_policy', 'org_unit')
                      or r.kind = 'policy' and r.key not like 'arn:aws%:iam::aws:policy/%')
               order by r.account_id, r.kind, r.key"#,
            &accounts
        )
        .fetch_all(&self.pool)
        .await?;
        let mut listed = Vec::new();
        for row in rows {
            let account = parse::account(TABLE, &row.account_id)?;
            let kind: ResourceKind = parse::text("resource", &row.kind, &row.kind)?;
            let pod = match (&row.namespace, &row.service_account) {
                (Some(namespace), Some(name)) => {
                    Some((parse::text(TABLE, &row.key, namespace)?, parse::text(TABLE, &row.key, name)?))
                }
                _ => None,
            };
            let scope = kind.scope(account, row.region.as_deref(), row.cluster.as_deref());
            // A cluster's key is `region/name`.
            let cluster = (kind == ResourceKind::Cluster).then(|| row.key.split_once('/')).flatten();
            let name = cluster.map_or(row.key.as_str(), |(_, name)| name).to_owned();
            listed.extend(scope.map(|scope| Before { scope, name, was_missing: row.was_missing, pod }));
            if let Some((region, name)) = cluster {
                let (region, name): (Region, ClusterName) =
                    (parse::text(TABLE, &row.key, region)?, parse::text(TABLE, &row.key, name)?);
                let parts = [(row.addons, ScopeKind::Addons), (row.entries, ScopeKind::AccessEntries)];
                for (_, part) in parts.into_iter().filter(|(any, _)| *any) {
                    let scope = Scope::of_cluster(account, part, region.clone(), name.clone());
                    listed.push(Before::new(scope));
                }
            }
        }
        Ok(listed)
    }
}
