//! Coverage: which listings are complete, and what the others lack.

use super::facts;
use super::facts::Kind;
use super::{Before, Key, SnapshotWriter};
use crate::{Error, parse};
use chrono::NaiveDate;
use rolecall_estate::coverage::{Coverage, Gap, Scope};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl SnapshotWriter {
    /// Writes how far scopes were read. What a source does not hold is no look: the latest one stays.
    pub(super) async fn coverage(&mut self, seen: &Coverage, before: &BTreeMap<Scope, Before>) -> Result<u64, Error> {
        let told = |scope: &Scope, gaps: &[Gap]| facts::speaks(gaps) || !before.contains_key(scope);
        let scopes: Vec<_> = seen.scopes().filter(|(scope, gaps)| told(scope, gaps)).collect();
        let part = |of: &dyn Fn(&Scope) -> String| scopes.iter().map(|(scope, _)| of(scope)).collect::<Vec<String>>();
        let complete: Vec<bool> = scopes.iter().map(|(_, gaps)| gaps.is_empty()).collect();
        // How it stood before is still in `coverage`. What one scan of a run did not read stays unread in the run.
        sqlx::query!(
            "insert into coverage_state as t (account_id, scope, region, cluster, run_id, complete)
             select w.account_id, w.scope, w.region, w.cluster, $6::bigint, w.complete
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
                  as w (account_id, scope, region, cluster, complete)
             left join coverage c on c.account_id = w.account_id and c.scope = w.scope and c.region = w.region
                                 and c.cluster = w.cluster
             where c.account_id is null
                or c.complete <> w.complete and (c.last_run <> $6::bigint or not w.complete)
             on conflict (account_id, scope, region, cluster, run_id) do update
             set complete = excluded.complete and coalesce(t.complete, true)",
            &part(&|scope| scope.account_id.to_string()),
            &part(&|scope| scope.kind.as_str().to_owned()),
            &part(&|scope| scope.region.as_ref().map(ToString::to_string).unwrap_or_default()),
            &part(&|scope| scope.cluster.as_ref().map(ToString::to_string).unwrap_or_default()),
            &complete,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "insert into coverage as c (account_id, scope, region, cluster, last_run, last_at, complete,
                                        last_complete_run, last_complete_at)
             select w.account_id, w.scope, w.region, w.cluster, $6::bigint, $7::timestamptz, w.complete,
                    case when w.complete then $6::bigint end, case when w.complete then $7::timestamptz end
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
                  as w (account_id, scope, region, cluster, complete)
             on conflict (account_id, scope, region, cluster) do update set
                 last_run = excluded.last_run,
                 last_at = excluded.last_at,
                 complete = excluded.complete and (c.complete or c.last_run <> excluded.last_run),
                 last_complete_run = coalesce(excluded.last_complete_run, c.last_complete_run),
                 last_complete_at = coalesce(excluded.last_complete_at, c.last_complete_at)",
            &part(&|scope| scope.account_id.to_string()),
            &part(&|scope| scope.kind.as_str().to_owned()),
            &part(&|scope| scope.region.as_ref().map(ToString::to_string).unwrap_or_default()),
            &part(&|scope| scope.cluster.as_ref().map(ToString::to_string).unwrap_or_default()),
            &complete,
            self.run.0,
            self.at
        )
        .execute(&mut *self.tx)
        .await?;

        let gaps: Vec<_> = scopes.iter().flat_map(|(_, gaps)| gaps.iter()).collect();
        if !gaps.is_empty() {
            let part = |of: &dyn Fn(&Scope) -> String| gaps.iter().map(|gap| of(&gap.scope)).collect::<Vec<String>>();
            let ids: Vec<Uuid> = gaps.iter().map(|_| Uuid::now_v7()).collect();
            let actions: Vec<String> = gaps.iter().map(|gap| parse::storable(&gap.action)).collect();
            let reasons: Vec<String> = gaps.iter().map(|gap| gap.reason.as_str().to_owned()).collect();
            let details: Vec<String> = gaps.iter().map(|gap| parse::storable(&gap.detail)).collect();
            let days: Vec<Option<NaiveDate>> = gaps.iter().map(|gap| gap.day).collect();
            sqlx::query!(
                "insert into coverage_gap (account_id, run_id, id, scope, region, cluster, action, reason, detail, day)
                 select w.account_id, $9, w.id, w.scope, w.region, w.cluster, w.action, w.reason, w.detail, w.day
                 from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                             $10::date[])
                      as w (account_id, id, scope, region, cluster, action, reason, detail, day)
                 where not exists (
                     select from coverage_gap g
                     where g.account_id = w.account_id and g.run_id = $9 and g.scope = w.scope and g.region = w.region
                       and g.cluster = w.cluster and g.action = w.action and g.reason = w.reason
                       and g.detail = w.detail and g.day is not distinct from w.day)",
                &part(&|scope| scope.account_id.to_string()),
                &ids,
                &part(&|scope| scope.kind.as_str().to_owned()),
                &part(&|scope| scope.region.as_ref().map(ToString::to_string).unwrap_or_default()),
                &part(&|scope| scope.cluster.as_ref().map(ToString::to_string).unwrap_or_default()),
                &actions,
                &reasons,
                &details,
                self.run.0,
                &days as &[Option<NaiveDate>]
            )
            .execute(&mut *self.tx)
            .await?;
        }

        Ok(gaps.len() as u64)
    }

    /// A cluster that is gone has nothing left to look at; its scopes must not stay as gaps.
    pub(super) async fn forget_clusters(&mut self, gone: &BTreeSet<Key>) -> Result<(), Error> {
        let clusters: Vec<&Key> = gone.iter().filter(|key| key.1 == Kind::Cluster).collect();
        if clusters.is_empty() {
            return Ok(());
        }
        let accounts: Vec<String> = clusters.iter().map(|key| key.0.to_string()).collect();
        let keys: Vec<String> = clusters.iter().map(|key| key.2.clone()).collect();
        sqlx::query!(
            "with ended as (
                 delete from coverage c using unnest($1::text[], $2::text[]) as w (account_id, key)
                 where c.account_id = w.account_id and c.cluster <> '' and c.region || '/' || c.cluster = w.key
                 returning c.account_id, c.scope, c.region, c.cluster)
             insert into coverage_state (account_id, scope, region, cluster, run_id, complete)
             select account_id, scope, region, cluster, $3, null from ended
             on conflict (account_id, scope, region, cluster, run_id) do update set complete = null",
            &accounts,
            &keys,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
