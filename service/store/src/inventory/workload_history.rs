//! What a workload rested on over time, and what changed of it.
//!
//! A workload rests on its association, the roles that it named, and their managed policies and boundaries, each as
//! long as it was so; and on whatever else a change was found to reach it by, such as an SCP.

use crate::inventory::as_of::AsOf;
use crate::inventory::changes::{self, ChangeRow};
use crate::{Error, Store, parse};
use rolecall_estate::AssociationKey;

rolecall_iam::vocabulary! {
    /// What a resource is to a workload.
    pub enum WorkloadPart: "a part of a workload" {
        /// Its association.
        Association = "association",
        /// The role that its association names.
        Role = "role",
        /// The target role that its association names.
        TargetRole = "target_role",
        /// A managed policy that is attached to one of the roles.
        Policy = "policy",
        /// The permissions boundary of one of the roles.
        Boundary = "boundary",
    }
}

/// A change in the history of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadChange {
    /// The change.
    pub row: ChangeRow,
    /// What the changed resource was to the workload; `None` where the change reaches it otherwise.
    pub part: Option<WorkloadPart>,
}

impl Store {
    /// The latest changes of what a workload rested on and of what reached it, the latest first; up to a moment, or
    /// up to now.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn workload_history(
        &self,
        key: &AssociationKey,
        as_of: Option<AsOf>,
        limit: u32,
    ) -> Result<Vec<WorkloadChange>, Error> {
        let found = sqlx::query!(
            r#"with version as materialized (
                   select role_arn, target_role_arn, seen_from, seen_to from resource
                   where account_id = $1 and kind = 'association' and key = $2),
               named as (
                   select role_arn as key, 'role' as part, seen_from, seen_to from version where role_arn is not null
                   union all
                   select target_role_arn, 'target_role', seen_from, seen_to from version where target_role_arn is not null),
               held as (
                   select p.arn as key, p.part, greatest(n.seen_from, r.seen_from) as seen_from,
                          least(n.seen_to, r.seen_to) as seen_to
                   from named n
                   join resource r on r.kind = 'role' and r.key = n.key
                    and r.seen_from <= coalesce(n.seen_to, r.seen_from) and n.seen_from <= coalesce(r.seen_to, n.seen_from)
                   cross join lateral (
                       select r.body ->> 'boundary' as arn, 'boundary' as part
                       union all
                       select a ->> 'arn', 'policy'
                       from jsonb_array_elements(case when jsonb_typeof(r.body -> 'attached') = 'array'
                                                      then r.body -> 'attached' else '[]' end) a) p
                   where p.arn is not null),
               part as (
                   select $2 as key, 'association' as part, 0::bigint as seen_from, null::bigint as seen_to
                   union all select * from named
                   union all select * from held),
               reached as (
                   -- Whether a change reaches a workload is not told of one that is not seen.
                   select c.id, c.detected_at, null::text as part from change c
                   where c.affected @> array[$2] and (not row_security_active('change') or exists (select from version))
                   union all
                   select c.id, c.detected_at, p.part from part p
                   -- Parts are few, which PostgreSQL does not know: the offset keeps it from reading all changes.
                   cross join lateral (
                       select id, detected_at from change
                       where resource = p.key and run_id >= p.seen_from and run_id <= coalesce(p.seen_to, run_id)
                       offset 0) c)
               select id as "id!", min(part) as part from reached
               where $3::timestamptz is null or detected_at <= $3
               group by id, detected_at order by detected_at desc, id desc limit $4"#,
            key.account_id.to_string(),
            key.to_string(),
            as_of.map(AsOf::at),
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let ids: Vec<String> = found.iter().map(|row| row.id.clone()).collect();
        let rows = changes::by_ids(&self.pool, &ids).await?;
        rows.into_iter()
            .map(|row| {
                let part = found.iter().find(|it| it.id == row.change.id).and_then(|it| it.part.as_deref());
                let part = part.map(|part| parse::text("change", &row.change.id, part)).transpose()?;
                Ok(WorkloadChange { row, part })
            })
            .collect()
    }
}
