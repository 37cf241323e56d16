//! Associations for pages, the API and exports, with what is known around each.

use crate::count::{Total, total};
use crate::inventory::as_of::AsOf;
use crate::parse::severity_of;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::{Association, AssociationKey};
use rolecall_iam::AccountId;
use rolecall_rules::Severity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which associations. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default)]
pub struct AssociationFilter {
    /// Of these accounts.
    pub accounts: Vec<AccountId>,
    /// In this region.
    pub region: Option<String>,
    /// In this cluster.
    pub cluster: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of this service account.
    pub service_account: Option<String>,
    /// With this role, as the role or as the target role.
    pub role_arn: Option<String>,
    /// Whose key or roles hold this text, in any case.
    pub q: Option<String>,
    /// As it was at this moment; `None`: as it is.
    pub as_of: Option<AsOf>,
}

/// The last association of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationAfter {
    /// Its key as text, which begins with the account.
    pub key: String,
}

/// An association and what is known around it.
#[derive(Debug, Clone, PartialEq)]
pub struct AssociationRow {
    /// The association.
    pub association: Association,
    /// Whether the role is in the estate; `None` where the association has no known role.
    pub role_exists: Option<bool>,
    /// Whether the target role is in the estate; `None` where it has none.
    pub target_role_exists: Option<bool>,
    /// Findings that are open or acknowledged: about it, and about roles that it reaches; `None` of a moment that has
    /// passed.
    pub open_findings: Option<u64>,
    /// Of these, those about roles that it reaches; `None` of a moment that has passed.
    pub open_role_findings: Option<u64>,
    /// The worst severity among them; `None` where there is none.
    pub worst: Option<Severity>,
    /// Sessions of its role from the moment asked for on; several associations may share a role.
    pub role_sessions: u64,
    /// The last of those.
    pub role_last_session: Option<DateTime<Utc>>,
}

impl AssociationRow {
    /// The key of this row in the list.
    #[must_use]
    pub fn after(&self) -> AssociationAfter {
        AssociationAfter { key: self.association.key.to_string() }
    }
}

/// What an association is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationName {
    /// Its key, as [`rolecall_estate::AssociationKey`] prints it.
    pub key: String,
    /// Whether the latest scan found it.
    pub present: bool,
}

struct Record {
    key: String,
    body: serde_json::Value,
    role_arn: Option<String>,
    target_role_arn: Option<String>,
    role_exists: bool,
    target_role_exists: bool,
    own_findings: Option<i64>,
    role_findings: Option<i64>,
    worst: Option<i16>,
    sessions: i64,
    last_session: Option<DateTime<Utc>>,
}

impl Record {
    fn into_row(self) -> Result<AssociationRow, Error> {
        Ok(AssociationRow {
            role_exists: self.role_arn.map(|_| self.role_exists),
            target_role_exists: self.target_role_arn.map(|_| self.target_role_exists),
            open_findings: self.own_findings.zip(self.role_findings).map(|(own, role)| parse::count(own + role)),
            open_role_findings: self.role_findings.map(parse::count),
            worst: self.worst.map(severity_of),
            role_sessions: parse::count(self.sessions),
            role_last_session: self.last_session,
            association: parse::json("resource", &self.key, self.body)?,
        })
    }
}

/// The columns of [`Record`], written once; `$1` is the moment from which sessions count.
macro_rules! select_associations {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select a.key, a.body, a.role_arn, a.target_role_arn,
                      exists (select from resource r where r.kind = 'role' and r.key = a.role_arn
                                 and r.seen_to is null) as "role_exists!",
                      exists (select from resource r where r.kind = 'role' and r.key = a.target_role_arn
                                 and r.seen_to is null) as "target_role_exists!",
                      own.found as own_findings, reached.found as role_findings,
                      greatest(own.worst, reached.worst) as worst,
                      s.sessions as "sessions!", s.last_session
               from resource a
               left join lateral (
                   select count(*) as sessions, max(at) as last_session from session s
                   where s.account_id = a.account_id and s.role_arn = a.role_arn and s.at >= $1) s on true
               cross join lateral (
                   select count(*) as found, max(f.severity_rank) as worst from finding f
                   where f.account_id = a.account_id and f.subject_kind = 'association' and f.subject_key = a.key
                     and f.part_of is null and f.workflow in ('open', 'acknowledged')) own
               cross join lateral (
                   select count(*) as found, max(f.severity_rank) as worst from finding_workload w
                   join finding f on f.account_id = w.account_id and f.fingerprint = w.fingerprint
                   where w.association = a.key and f.part_of is null
                     and f.workflow in ('open', 'acknowledged')) reached
               where a.kind = 'association' and a.seen_to is null "# + $tail
            $(, $arg)*
        )
    };
}

/// As [`select_associations`], of a moment that has passed: `$1` as there, `$2` is its run, `$3` the moment.
macro_rules! select_associations_at {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select a.key, a.body, a.role_arn, a.target_role_arn,
                      exists (select from resource r where r.kind = 'role' and r.key = a.role_arn
                                 and r.seen_from <= $2 and (r.seen_to is null or r.seen_to > $2)) as "role_exists!",
                      exists (select from resource r where r.kind = 'role' and r.key = a.target_role_arn
                                 and r.seen_from <= $2 and (r.seen_to is null or r.seen_to > $2))
                          as "target_role_exists!",
                      null::bigint as own_findings, null::bigint as role_findings, null::smallint as worst,
                      s.sessions as "sessions!", s.last_session
               from resource a
               left join lateral (
                   select count(*) as sessions, max(at) as last_session from session s
                   where s.account_id = a.account_id and s.role_arn = a.role_arn and s.at >= $1 and s.at <= $3) s on true
               where a.kind = 'association' and a.seen_from <= $2 and (a.seen_to is null or a.seen_to > $2) "# + $tail
            $(, $arg)*
        )
    };
}

impl Store {
    /// A page of associations, by account, region, cluster, namespace and service account.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn associations(
        &self,
        filter: &AssociationFilter,
        after: Option<&AssociationAfter>,
        limit: u32,
        sessions_since: DateTime<Utc>,
    ) -> Result<Vec<AssociationRow>, Error> {
        let accounts: Vec<String> = filter.accounts.iter().map(ToString::to_string).collect();
        let after = after.map(|last| last.key.clone());
        if let Some(as_of) = filter.as_of {
            let rows = select_associations_at!(
                "and (cardinality($4::text[]) = 0 or a.account_id = any($4))
             and ($5::text is null or a.region = $5)
             and ($6::text is null or a.cluster = $6)
             and ($7::text is null or a.namespace = $7)
             and ($8::text is null or a.service_account = $8)
             and ($9::text is null or a.role_arn = $9 or a.target_role_arn = $9)
             and ($10::text is null or position(lower($10) in
                  lower(a.key || ' ' || coalesce(a.role_arn, '') || ' ' || coalesce(a.target_role_arn, ''))) > 0)
             and ($11::text is null or a.key > $11)
             order by a.key limit $12",
                sessions_since,
                as_of.run().0,
                as_of.at(),
                &accounts,
                filter.region,
                filter.cluster,
                filter.namespace,
                filter.service_account,
                filter.role_arn,
                filter.q,
                after,
                parse::limit(limit),
            )
            .fetch_all(&self.pool)
            .await?;
            return rows.into_iter().map(Record::into_row).collect();
        }
        let rows = select_associations!(
            "and (cardinality($2::text[]) = 0 or a.account_id = any($2))
             and ($3::text is null or a.region = $3)
             and ($4::text is null or a.cluster = $4)
             and ($5::text is null or a.namespace = $5)
             and ($6::text is null or a.service_account = $6)
             and ($7::text is null or a.role_arn = $7 or a.target_role_arn = $7)
             and ($8::text is null or position(lower($8) in
                  lower(a.key || ' ' || coalesce(a.role_arn, '') || ' ' || coalesce(a.target_role_arn, ''))) > 0)
             and ($9::text is null or a.key > $9)
             order by a.key limit $10",
            sessions_since,
            &accounts,
            filter.region,
            filter.cluster,
            filter.namespace,
            filter.service_account,
            filter.role_arn,
            filter.q,
            after,
            parse::limit(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_row).collect()
    }

    /// How many associations a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_associations(&self, filter: &AssociationFilter) -> Result<Total, Error> {
        let accounts: Vec<String> = filter.accounts.iter().map(ToString::to_string).collect();
        if let Some(as_of) = filter.as_of {
            let found = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
             select 1 from resource a where a.kind = 'association' and a.seen_from <= $8 and (a.seen_to is null or a.seen_to > $8)
             and (cardinality($1::text[]) = 0 or a.account_id = any($1))
             and ($2::text is null or a.region = $2)
             and ($3::text is null or a.cluster = $3)
             and ($4::text is null or a.namespace = $4)
             and ($5::text is null or a.service_account = $5)
             and ($6::text is null or a.role_arn = $6 or a.target_role_arn = $6)
             and ($7::text is null or position(lower($7) in
                  lower(a.key || ' ' || coalesce(a.role_arn, '') || ' ' || coalesce(a.target_role_arn, ''))) > 0)
             limit 10001) as found"#,
            &accounts,
            filter.region,
            filter.cluster,
            filter.namespace,
            filter.service_account,
            filter.role_arn,
            filter.q,
            as_of.run().0
        )
        .fetch_one(&self.pool)
        .await?;
            return Ok(total(found));
        }
        let found = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
             select 1 from resource a where a.kind = 'association' and a.seen_to is null
             and (cardinality($1::text[]) = 0 or a.account_id = any($1))
             and ($2::text is null or a.region = $2)
             and ($3::text is null or a.cluster = $3)
             and ($4::text is null or a.namespace = $4)
             and ($5::text is null or a.service_account = $5)
             and ($6::text is null or a.role_arn = $6 or a.target_role_arn = $6)
             and ($7::text is null or position(lower($7) in
                  lower(a.key || ' ' || coalesce(a.role_arn, '') || ' ' || coalesce(a.target_role_arn, ''))) > 0)
             limit 10001) as found"#,
            &accounts,
            filter.region,
            filter.cluster,
            filter.namespace,
            filter.service_account,
            filter.role_arn,
            filter.q
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total(found))
    }

    /// What associations of these ids are called, and where; also of those that are gone.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn association_names(&self, ids: &[String]) -> Result<BTreeMap<String, AssociationName>, Error> {
        let rows = sqlx::query!(
            r#"select distinct on (body ->> 'association_id') body ->> 'association_id' as "id!", key,
                      seen_to is null as "present!"
               from resource where kind = 'association' and body ->> 'association_id' = any($1)
               order by body ->> 'association_id', (seen_to is null) desc, seen_from desc"#,
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        let names = rows.into_iter().map(|row| (row.id, AssociationName { key: row.key, present: row.present }));
        Ok(names.collect())
    }

    /// One association, as it is or as it was at a moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn association(
        &self,
        key: &AssociationKey,
        sessions_since: DateTime<Utc>,
        as_of: Option<AsOf>,
    ) -> Result<Option<AssociationRow>, Error> {
        if let Some(as_of) = as_of {
            return select_associations_at!(
                "and a.account_id = $4 and a.key = $5",
                sessions_since,
                as_of.run().0,
                as_of.at(),
                key.account_id.to_string(),
                key.to_string()
            )
            .fetch_optional(&self.pool)
            .await?
            .map(Record::into_row)
            .transpose();
        }
        select_associations!(
            "and a.account_id = $2 and a.key = $3",
            sessions_since,
            key.account_id.to_string(),
            key.to_string()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Record::into_row)
        .transpose()
    }
}
