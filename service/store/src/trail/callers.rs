//! Who got the sessions of a role or of a workload over a time, added up by caller.
//!
//! A session that the caller's account and the role's account both recorded is counted once, by its access key. Refuses
//! to know whether these are all.

use crate::trail::sessions::kind_name;
use crate::{Error, Store, parse};
use rolecall_audit::report::{Caller, Period, ReportSubject, SessionGroup};
use rolecall_estate::{AssociationKey, AttributionMethod, SessionKind};
use rolecall_iam::AccountId;

impl Store {
    /// Sessions of a role or a workload in a period, by caller, the most first; and whether there are more callers than
    /// so many. Requests of the nodes' agents are not among them, as they name no role. Of a workload, with those of
    /// pods that got one of its `roles` and are attributed to no one workload: they may be its own. `accounts` are those
    /// in whose trails they may stand.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn session_groups(
        &self,
        of: &ReportSubject,
        roles: &[String],
        accounts: &[AccountId],
        period: Period,
        limit: u32,
    ) -> Result<(Vec<SessionGroup>, bool), Error> {
        const TABLE: &str = "session";
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let (role, ids) = match of {
            ReportSubject::Role(arn) => (Some(arn.to_string()), Vec::new()),
            ReportSubject::Workload(key) => (None, self.association_ids(key).await?),
        };
        let rows = sqlx::query!(
            r#"with found as (
                   -- Each of the three has an index.
                   select * from session where $1::text is not null and account_id = any($2) and role_arn = $1
                   union all
                   select * from session where $1::text is null and account_id = any($2) and association_id = any($3)
                   union all
                   select * from session where $1::text is null and account_id = any($2) and role_arn = any($8)
                                           and association_id is null and kind in ('pod_identity', 'pod_identity_target')),
               named as (
                   select role_arn, kind, access_key_id, event_id, error, at, association_id,
                          case when association_id is not null then coalesce(association_account_id, account_id) end as association_account,
                          case when association_id is not null then coalesce(association_region, region) end as association_region,
                          case when association_id is not null or kind in ('pod_identity', 'pod_identity_target')
                               then cluster end as cluster,
                          case when association_id is not null or kind in ('pod_identity', 'pod_identity_target')
                               then namespace end as namespace,
                          case when association_id is not null or kind in ('pod_identity', 'pod_identity_target')
                               then service_account end as service_account,
                          case when association_id is null then coalesce(attribution_method, 'none') end as method,
                          case when association_id is not null or kind in ('pod_identity', 'pod_identity_target') then ''
                               when principal like '%:assumed-role/%'
                               then split_part(principal, '/', 1) || '/' || split_part(principal, '/', 2)
                               else principal end as principal
                   from found
                   where at >= $4 and at < $5 and kind <> $6)
               select role_arn, kind as "kind!", association_account, association_region, cluster, namespace,
                      service_account, method, principal as "principal!", (association_id is not null) as "attributed!",
                      count(distinct coalesce(access_key_id, event_id)) filter (where error is null) as "sessions!",
                      count(*) filter (where error is not null) as "refused!", min(at) as "first!", max(at) as "last!"
               from named
               group by role_arn, kind, association_account, association_region, cluster, namespace, service_account,
                        method, principal, association_id is not null
               order by 11 desc, 12 desc, role_arn, association_account, cluster, namespace, service_account, principal
               limit $7"#,
            role,
            &accounts,
            &ids,
            period.since,
            period.until,
            kind_name(SessionKind::AgentRequest),
            parse::limit(limit.saturating_add(1)),
            roles
        )
        .fetch_all(&self.pool)
        .await?;
        let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        let groups = rows.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(|row| {
            let kind: SessionKind = parse::text(TABLE, "kind", &row.kind)?;
            let is_pods = matches!(kind, SessionKind::PodIdentity | SessionKind::PodIdentityTarget);
            let key = || {
                Some(AssociationKey {
                    account_id: row.association_account.as_deref()?.parse().ok()?,
                    region: row.association_region.as_deref()?.parse().ok()?,
                    cluster: row.cluster.as_deref()?.parse().ok()?,
                    namespace: row.namespace.as_deref()?.parse().ok()?,
                    service_account: row.service_account.as_deref()?.parse().ok()?,
                })
            };
            let caller = match key().filter(|_| row.attributed) {
                Some(key) => Caller::Workload(key),
                None if is_pods || row.attributed => Caller::Pods {
                    method: match row.method.as_deref() {
                        Some("ambiguous") => AttributionMethod::Ambiguous,
                        _ => AttributionMethod::None,
                    },
                    cluster: row.cluster,
                    namespace: row.namespace,
                    service_account: row.service_account,
                },
                None => Caller::Principal(row.principal),
            };
            Ok(SessionGroup {
                role_arn: row.role_arn,
                caller,
                kind,
                sessions: parse::count(row.sessions),
                refused: parse::count(row.refused),
                first: row.first,
                last: row.last,
            })
        });
        Ok((groups.collect::<Result<_, Error>>()?, more))
    }

    /// The ids that an association had: EKS gives another one to each that is made anew.
    async fn association_ids(&self, key: &AssociationKey) -> Result<Vec<String>, Error> {
        let ids = sqlx::query_scalar!(
            r#"select distinct body ->> 'association_id' as "id!" from resource
               where account_id = $1 and kind = 'association' and key = $2"#,
            key.account_id.to_string(),
            key.to_string()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids)
    }
}
