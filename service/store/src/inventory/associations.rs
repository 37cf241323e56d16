//! Associations for pages, the API and exports, with what is known around each.

use crate::count::{Total, total};
use crate::inventory::as_of::AsOf;
use crate::parse::JsonText;
use crate::parse::severity_of;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::owner::{Owned, Owner};
use rolecall_estate::{Association, AssociationKey};
use rolecall_iam::AccountId;
use rolecall_rules::Severity;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which associations. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
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
    /// Of one of these owners; of the present only.
    pub owners: Vec<String>,
    /// Whether they have an owner; of the present only.
    pub owned: Option<Owned>,
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
    /// Whose it is; `None` where that was not determined yet, and of a moment that has passed.
    pub owner: Option<Owner>,
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
    body: JsonText,
    role_arn: Option<String>,
    target_role_arn: Option<String>,
    role_exists: bool,
    target_role_exists: bool,
    own_findings: Option<i64>,
    role_findings: Option<i64>,
    worst: Option<i16>,
    sessions: i64,
    last_session: Option<DateTime<Utc>>,
    owner: Option<JsonText>,
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
            owner: self.owner.map(|owner| parse::json("association_owner", &self.key, &owner)).transpose()?,
            association: parse::json("resource", &self.key, &self.body)?,
        })
    }
}

/// Associations with the columns of [`Record`], as they are or as of a moment: one text, and a plan for each of the two,
/// since only where the text says so can PostgreSQL take the indexes of what is there now. `$1` is the moment's run and
/// `$2` the moment, null for now; `$3` the moment from which sessions count. Given: the store, how rows are fetched, the
/// moment, and how the statement ends.
macro_rules! associations {
    ($store:expr, $fetch:ident, $as_of:expr, $tail:literal $(, $arg:expr)* $(,)?) => {
        match $as_of {
            None => associations!(@ $store, $fetch, $as_of, "$1::bigint is null and a.seen_to is null",
                                  "r.seen_to is null", $tail $(, $arg)*),
            Some(_) => associations!(@ $store, $fetch, $as_of,
                                     "a.seen_from <= $1 and (a.seen_to is null or a.seen_to > $1)",
                                     "r.seen_from <= $1 and (r.seen_to is null or r.seen_to > $1)", $tail $(, $arg)*),
        }
    };
    (@ $store:expr, $fetch:ident, $as_of:expr, $association:literal, $role:literal, $tail:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            Record,
            r#"select a.key, a.body as "body: JsonText", a.role_arn, a.target_role_arn,
                      -- A limit keeps PostgreSQL from reading every role for a page.
                      coalesce((select true from resource r where r.kind = 'role' and r.key = a.role_arn
                                and "# + $role + r#" limit 1), false) as "role_exists!",
                      coalesce((select true from resource r where r.kind = 'role' and r.key = a.target_role_arn
                                and "# + $role + r#" limit 1), false) as "target_role_exists!",
                      own.found as "own_findings?", reached.found as "role_findings?",
                      greatest(own.worst, reached.worst) as worst,
                      s.sessions as "sessions!", s.last_session,
                      -- What has the tag, and what was not seen, may be out of sight.
                      case when row_security_active('association_owner') then o.owner_because - array['resource', 'why']
                           else o.owner_because end as "owner: JsonText"
               from resource a
               left join association_owner o on $1::bigint is null and o.account_id = a.account_id and o.association = a.key
               cross join lateral (
                   select count(*) as sessions, max(at) as last_session from session s
                   where s.account_id = a.account_id and s.role_arn = a.role_arn and s.at >= $3
                     and ($2::timestamptz is null or s.at <= $2)) s
               left join lateral (
                   select count(*) as found, max(f.severity_rank) as worst from finding f
                   where f.account_id = a.account_id and f.subject_kind = 'association' and f.subject_key = a.key
                     and f.part_of is null and f.workflow in ('open', 'acknowledged')) own on $1::bigint is null
               left join lateral (
                   select count(*) as found, max(w.open_rank) as worst from finding_workload w
                   where w.association = a.key and w.open_rank is not null) reached on $1::bigint is null
               where a.kind = 'association' and "# + $association + " " + $tail,
            $as_of.map(|as_of| as_of.run().0),
            $as_of.map(AsOf::at)
            $(, $arg)*
        )
        .$fetch(&mut *$store.pool.acquire().await?)
        .await
    };
}

/// A query over the associations of a filter, whose conditions and ten parameters are written once; as with
/// [`associations`]. `$head` says what is read of each, `$tail` follows, and its own parameters count from `$11`.
/// PostgreSQL plans a statement with optional conditions anew for each request, which for all columns takes longer than
/// reading them: a page asks for its keys first.
macro_rules! of_filter {
    ($store:expr, $fetch:ident, $filter:expr, $head:literal, $tail:literal $(, $arg:expr)* $(,)?) => {
        match $filter.as_of {
            None => of_filter!(@ $store, $fetch, $filter, $head, "$1::bigint is null and a.seen_to is null",
                               $tail $(, $arg)*),
            Some(_) => of_filter!(@ $store, $fetch, $filter, $head,
                                  "a.seen_from <= $1 and (a.seen_to is null or a.seen_to > $1)", $tail $(, $arg)*),
        }
    };
    (@ $store:expr, $fetch:ident, $filter:expr, $head:literal, $association:literal, $tail:literal
     $(, $arg:expr)*) => {
        sqlx::query_scalar!(
            $head + " from resource a
             left join association_owner o on $1::bigint is null and o.account_id = a.account_id
                                          and o.association = a.key
             where a.kind = 'association' and (cardinality($2::text[]) = 0 or a.account_id = any($2))
               and ($3::text is null or a.region = $3)
               and ($4::text is null or a.cluster = $4)
               and ($5::text is null or a.namespace = $5)
               and ($6::text is null or a.service_account = $6)
               and ($7::text is null or a.role_arn = $7 or a.target_role_arn = $7)
               and ($8::text is null or position(lower($8) in
                    lower(a.key || ' ' || coalesce(a.role_arn, '') || ' ' || coalesce(a.target_role_arn, ''))) > 0)
               and (cardinality($9::text[]) = 0 or o.owner = any($9))
               and ($10::text is null or coalesce(o.owned, 'unknown') = $10)
               and " + $association + " " + $tail,
            $filter.as_of.map(|as_of| as_of.run().0),
            &$filter.accounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            $filter.region,
            $filter.cluster,
            $filter.namespace,
            $filter.service_account,
            $filter.role_arn,
            $filter.q,
            &$filter.owners,
            $filter.owned.map(rolecall_audit::owner::Owned::as_str)
            $(, $arg)*
        )
        .$fetch(&mut *$store.pool.acquire().await?)
        .await
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
        let from = after.map(|last| last.key.as_str());
        let keys = if *filter == AssociationFilter::default() {
            // Without conditions the plan is kept.
            sqlx::query_scalar!(
                "select key from resource where kind = 'association' and seen_to is null and key > $1
                 order by key limit $2",
                from.unwrap_or_default(),
                parse::limit(limit)
            )
            .fetch_all(&mut *self.pool.acquire().await?)
            .await?
        } else {
            of_filter!(
                self,
                fetch_all,
                filter,
                "select a.key",
                "and ($11::text is null or a.key > $11) order by a.key limit $12",
                from,
                parse::limit(limit),
            )?
        };
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows =
            associations!(self, fetch_all, filter.as_of, "and a.key = any($4) order by a.key", sessions_since, &keys)?;
        rows.into_iter().map(Record::into_row).collect()
    }

    /// How many associations a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_associations(&self, filter: &AssociationFilter) -> Result<Total, Error> {
        let state = self.snapshot_state().await?;
        if let Some(total) = self.numbers.associations.of(filter, &state) {
            return Ok(total);
        }
        let found = of_filter!(
            self,
            fetch_one,
            filter,
            r#"select count(*) as "count!" from (select 1"#,
            "limit 10001) as found"
        )?;
        let total = total(found);
        self.numbers.associations.keep(filter, state, total);
        Ok(total)
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

    /// Of these associations, those to whose pods EKS gave credentials from a moment on.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn used_associations(
        &self,
        keys: &BTreeSet<AssociationKey>,
        since: DateTime<Utc>,
    ) -> Result<BTreeSet<AssociationKey>, Error> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let used = sqlx::query_scalar!(
            "select a.key from resource a
             where a.kind = 'association' and a.seen_to is null and a.key = any($1)
               and exists (select from session s where s.account_id = a.account_id
                           and s.association_id = a.body ->> 'association_id' and s.at >= $2 and s.error is null)",
            &keys,
            since
        )
        .fetch_all(&self.pool)
        .await?;
        used.into_iter().map(|key| parse::text("resource", &key, &key)).collect()
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
        let found = associations!(
            self,
            fetch_optional,
            as_of,
            "and a.account_id = $4 and a.key = $5",
            sessions_since,
            key.account_id.to_string(),
            key.to_string()
        )?;
        found.map(Record::into_row).transpose()
    }
}
