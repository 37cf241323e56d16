//! From where sessions were used: by session while its calls are kept so, by role and association
//! after that.
//!
//! Refuses to know which places are expected.

use super::TrailBatch;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::{Origin, UsedFrom};
use sqlx::PgConnection;

/// Rows of one statement.
const CHUNK: usize = 5_000;

impl TrailBatch<'_> {
    /// Adds from where the sessions called whose calls were added. What comes twice changes nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn origins(&mut self, origins: &[Origin]) -> Result<(), Error> {
        fn column<T>(origins: &[Origin], of: impl Fn(&Origin) -> T) -> Vec<T> {
            origins.iter().map(of).collect()
        }
        let beside = |text: &Option<String>| text.as_deref().map(parse::indexed_beside).unwrap_or_default();
        for chunk in origins.chunks(CHUNK) {
            sqlx::query!(
                "insert into trail_origin as o (account_id, principal, region, network, endpoint, agent, is_rest,
                                                first_at, last_at, action, source)
                 select w.account_id, p.id, w.region, w.network, w.endpoint, w.agent, w.is_rest, w.first_at, w.last_at,
                        w.action, w.source
                 from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::bool[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[])
                      as w (account_id, role_arn, access_key_id, region, network, endpoint, agent, is_rest, first_at,
                            last_at, action, source)
                 join trail_name r on r.account_id = w.account_id and r.text = w.role_arn
                 -- Apart, so that the role stands in the index's condition: by account and key alone the whole
                 -- account's part of the index would be read for each row.
                 cross join lateral (select p.id from trail_principal p where p.account_id = w.account_id
                      and p.role = r.id and p.access_key_id = w.access_key_id
                      and (p.access_key_id <> '' or p.association_id = '') offset 0) p
                 on conflict (account_id, principal, region, network, endpoint, agent, is_rest) do update set
                     first_at = least(o.first_at, excluded.first_at), last_at = greatest(o.last_at, excluded.last_at),
                     action = case when (excluded.first_at, excluded.action) < (o.first_at, o.action)
                                   then excluded.action else o.action end,
                     source = least(o.source, excluded.source)",
                &column(chunk, |origin| origin.account_id.to_string()),
                &column(chunk, |origin| parse::indexed(&origin.role_arn)),
                &column(chunk, |origin| origin.access_key_id.as_deref().map(parse::indexed).unwrap_or_default()),
                &column(chunk, |origin| origin.region.to_string()),
                &column(chunk, |origin| beside(&origin.network)),
                &column(chunk, |origin| beside(&origin.endpoint)),
                &column(chunk, |origin| beside(&origin.agent)),
                &column(chunk, |origin| origin.is_rest),
                &column(chunk, |origin| origin.first),
                &column(chunk, |origin| origin.last),
                &column(chunk, |origin| parse::storable(&origin.action)),
                &column(chunk, |origin| origin.source.as_deref().map(parse::storable)) as &[Option<String>]
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl Store {
    /// From where sessions of pods were used that were opened from a moment on.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn session_origins(&self, since: DateTime<Utc>) -> Result<Vec<Origin>, Error> {
        let mut connection = self.pool.acquire().await?;
        of_sessions(&mut connection, since).await
    }
}

/// See [`Store::session_origins`].
pub(crate) async fn of_sessions(connection: &mut PgConnection, since: DateTime<Utc>) -> Result<Vec<Origin>, Error> {
    let rows = sqlx::query!(
        "select o.account_id, p.access_key_id, r.text as role_arn, o.region, o.network, o.endpoint, o.agent,
                o.is_rest, o.first_at, o.last_at, o.action, o.source
         from (select distinct access_key_id from session
               where at >= $1 and access_key_id is not null and error is null
                 and kind in ('pod_identity', 'pod_identity_target')) s
         join trail_principal p on p.access_key_id = s.access_key_id and p.access_key_id <> ''
         join trail_name r on r.account_id = p.account_id and r.id = p.role
         join trail_origin o on o.account_id = p.account_id and o.principal = p.id
         order by p.access_key_id, o.account_id, r.text, o.region, o.network, o.endpoint, o.agent, o.is_rest",
        since
    )
    .fetch_all(connection)
    .await?;
    let origins = rows.into_iter().map(|row| {
        const TABLE: &str = "trail_origin";
        Ok(Origin {
            account_id: parse::account(TABLE, &row.account_id)?,
            region: parse::text(TABLE, &row.access_key_id, &row.region)?,
            access_key_id: Some(row.access_key_id),
            role_arn: row.role_arn,
            network: some(row.network),
            endpoint: some(row.endpoint),
            agent: some(row.agent),
            first: row.first_at,
            last: row.last_at,
            action: row.action,
            source: row.source,
            is_rest: row.is_rest,
        })
    });
    origins.collect()
}

/// From where sessions of pods were used, by role and association, however long ago.
pub(crate) async fn used_from(connection: &mut PgConnection) -> Result<Vec<UsedFrom>, Error> {
    let rows = sqlx::query!(
        r#"select p.association_id, r.text as role_arn, o.region, o.network, o.endpoint, o.agent,
                  max(o.last_at) as "last_at!",
                  (array_agg(p.id order by o.first_at, p.id))[1:5] as "sessions!",
                  (array_agg(o.first_at order by o.first_at, p.id))[1:5] as "firsts!"
           from trail_origin o
           join trail_principal p on p.account_id = o.account_id and p.id = o.principal
           join trail_name r on r.account_id = p.account_id and r.id = p.role
           where not o.is_rest and (p.association_id <> '' or exists (
               select from resource a where a.kind = 'association'
               and (a.role_arn = r.text or a.target_role_arn = r.text)))
           group by p.association_id, r.text, o.region, o.network, o.endpoint, o.agent
           order by r.text, p.association_id, o.region, o.network, o.endpoint, o.agent"#
    )
    .fetch_all(connection)
    .await?;
    let used = rows.into_iter().map(|row| {
        Ok(UsedFrom {
            region: parse::text("trail_origin", &row.role_arn, &row.region)?,
            association_id: some(row.association_id),
            role_arn: row.role_arn,
            network: some(row.network),
            endpoint: some(row.endpoint),
            agent: some(row.agent),
            last: row.last_at,
            sessions: row.sessions.into_iter().zip(row.firsts).collect(),
        })
    });
    used.collect()
}
