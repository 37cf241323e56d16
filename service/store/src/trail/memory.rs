//! What is remembered of trails beyond their sessions: what instances did, and when each association
//! and role was last counted.
//!
//! Refuses to know what any of it says of an association or a role.

use super::TrailBatch;
use super::complete_range::complete_ranges;
use super::origin;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::{InstanceUse, Networks, TrailMemory, Used};
use sqlx::PgConnection;
use std::collections::BTreeMap;

impl TrailBatch<'_> {
    /// Adds what instances did, once for each account, region, role and action.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn instances(&mut self, uses: &[InstanceUse]) -> Result<(), Error> {
        if uses.is_empty() {
            return Ok(());
        }
        fn column<T>(uses: &[InstanceUse], of: impl Fn(&InstanceUse) -> T) -> Vec<T> {
            uses.iter().map(of).collect()
        }
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        sqlx::query!(
            "insert into instance_use as u (account_id, region, role_arn, action, calls, denied, first_at, last_at,
                                            networks)
             select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
                                  $7::timestamptz[], $8::timestamptz[], $9::smallint[])
             on conflict (account_id, region, role_arn, action) do update set
                 calls = u.calls + excluded.calls, denied = u.denied + excluded.denied,
                 first_at = least(u.first_at, excluded.first_at), last_at = greatest(u.last_at, excluded.last_at),
                 networks = u.networks | excluded.networks",
            &column(uses, |used| used.account_id.to_string()),
            &column(uses, |used| used.region.to_string()),
            &column(uses, |used| parse::indexed(&used.role_arn)),
            &column(uses, |used| parse::indexed_beside(&used.action)),
            &column(uses, |used| signed(used.calls)),
            &column(uses, |used| signed(used.denied)),
            &column(uses, |used| used.first),
            &column(uses, |used| used.last),
            &column(uses, |used| i16::from(used.networks.bits()))
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

impl Store {
    /// What is remembered, as of now.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn trail_memory(&self, now: DateTime<Utc>) -> Result<TrailMemory, Error> {
        let mut connection = self.pool.acquire().await?;
        memory(&mut connection, now).await
    }
}

/// See [`Store::trail_memory`].
pub(crate) async fn memory(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<TrailMemory, Error> {
    // The last session of each by an index: there may be millions in all.
    let roles = sqlx::query!(
        r#"select a.key, greatest(s.at, u.at) as "at!" from resource a
           left join lateral (
               select at from session where account_id = a.account_id and role_arn = a.key and error is null
               order by at desc limit 1) s on true
           left join (
               select n.text as role_arn, max(r.last_at) as at
               from role_action r join trail_name n on n.account_id = r.account_id and n.id = r.role
               group by n.text) u on u.role_arn = a.key
           where a.kind = 'role' and a.seen_to is null and (s.at is not null or u.at is not null)
           order by a.key"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let associations = sqlx::query!(
        r#"select a.id as "id!", greatest(s.at, p.at) as "at!" from (
               select account_id, body ->> 'association_id' as id from resource
               where kind = 'association' and seen_to is null) a
           left join lateral (
               select at from session where account_id = a.account_id and association_id = a.id and error is null
               order by at desc limit 1) s on true
           left join (
               select association_id, max(last_at) as at from trail_principal
               where association_id <> '' group by association_id) p on p.association_id = a.id
           where s.at is not null or p.at is not null
           order by a.id"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let instances = sqlx::query!(
        "select account_id, region, role_arn, action, calls, denied, first_at, last_at, networks from instance_use
         order by account_id, region, role_arn, action"
    )
    .fetch_all(&mut *connection)
    .await?;
    let instances = instances.into_iter().map(|row| {
        const TABLE: &str = "instance_use";
        Ok(InstanceUse {
            account_id: parse::account(TABLE, &row.account_id)?,
            region: parse::text(TABLE, &row.account_id, &row.region)?,
            role_arn: row.role_arn,
            action: row.action,
            calls: parse::count(row.calls),
            denied: parse::count(row.denied),
            first: row.first_at,
            last: row.last_at,
            networks: Networks::from_bits(u8::try_from(row.networks).unwrap_or_default()),
        })
    });
    let rows = sqlx::query!(
        r#"select n.text as role_arn, a.text as action, u.calls, u.errors, u.denied, u.first_at, u.last_at
           from trail_name n
           join role_action u on u.account_id = n.account_id and u.role = n.id
           join trail_name a on a.account_id = u.account_id and a.id = u.action
           where exists (select from resource r where r.kind = 'association' and r.seen_to is null
                         and (r.role_arn = n.text or r.target_role_arn = n.text))
           order by n.text, a.text"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut calls: BTreeMap<String, Vec<Used>> = BTreeMap::new();
    for row in rows {
        calls.entry(row.role_arn.clone()).or_default().push(Used {
            role_arn: row.role_arn,
            is_own: true,
            action: row.action,
            calls: parse::count(row.calls),
            errors: parse::count(row.errors),
            denied: parse::count(row.denied),
            first: row.first_at,
            last: row.last_at,
        });
    }
    Ok(TrailMemory {
        at: Some(now),
        calls,
        origins: Vec::new(),
        used_from: origin::used_from(connection).await?,
        complete_ranges: complete_ranges(connection, &[]).await?,
        associations: associations.into_iter().map(|row| (row.id, row.at)).collect(),
        roles: roles.into_iter().map(|row| (row.key, row.at)).collect(),
        instances: instances.collect::<Result<_, Error>>()?,
    })
}
