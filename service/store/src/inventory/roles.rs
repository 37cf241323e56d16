//! Roles, their managed policies and documents, for pages, the API and exports.

use crate::count::{Total, total};
use crate::inventory::as_of::AsOf;
use crate::inventory::estate;
use crate::parse::JsonText;
use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::{Documents, ManagedPolicy, Role};
use rolecall_iam::{AccountId, Digest, RoleArn};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// Which roles. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RoleFilter {
    /// Of these accounts.
    pub accounts: Vec<AccountId>,
    /// Only those that an association names, as role or as target role (`true`), or only others.
    pub associated: Option<bool>,
    /// Whose ARN holds this text, in any case.
    pub q: Option<String>,
    /// As it was at this moment; `None`: as it is.
    pub as_of: Option<AsOf>,
}

/// The last role of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAfter {
    /// Its ARN.
    pub arn: String,
    /// When IAM last saw it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<DateTime<Utc>>,
}

rolecall_iam::vocabulary! {
    /// In which order; ties go to the ARN.
    #[derive(Default)]
    pub enum RoleSort: "an order of roles" {
        /// By ARN.
        #[default]
        Arn = "arn",
        /// The one that IAM saw used last first; those of which no use is known come last.
        LastUsed = "last_used",
        /// Those of which no use is known first, then the one whose use is the longest ago.
        LongestUnused = "longest_unused",
    }
}

/// A role and what is known around it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleRow {
    /// The role.
    pub role: Role,
    /// When IAM last saw it used; of a moment that has passed only where that was before.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Where that was.
    pub last_used_region: Option<String>,
    /// When CloudTrail last recorded that a session of it was opened.
    pub last_session_at: Option<DateTime<Utc>>,
    /// Associations that name it, as role or as target role.
    pub associations: u64,
    /// Findings that concern it and are open or acknowledged; `None` of a moment that has passed.
    pub open_findings: Option<u64>,
}

impl RoleRow {
    /// The key of this row in the list.
    #[must_use]
    pub fn after(&self) -> RoleAfter {
        RoleAfter { arn: self.role.arn.to_string(), used: self.last_used_at }
    }
}

/// A managed policy that is attached to a role.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRow {
    /// The policy.
    pub policy: ManagedPolicy,
    /// Whether it is the role's permissions boundary.
    pub is_boundary: bool,
}

struct Record {
    key: String,
    body: JsonText,
    last_used_at: Option<DateTime<Utc>>,
    last_used_region: Option<String>,
    last_session_at: Option<DateTime<Utc>>,
    associations: i64,
    open_findings: Option<i64>,
}

impl Record {
    fn into_row(self) -> Result<RoleRow, Error> {
        Ok(RoleRow {
            last_used_at: self.last_used_at,
            last_used_region: self.last_used_region,
            last_session_at: self.last_session_at,
            associations: parse::count(self.associations),
            open_findings: self.open_findings.map(parse::count),
            role: parse::json("resource", &self.key, &self.body)?,
        })
    }
}

/// Roles with the columns of [`Record`], as they are or as of a moment: one text, and a plan for each of the two, since
/// only where the text says so can PostgreSQL take the indexes of what is there now. `$1` is the moment's run and `$2`
/// the moment, null for now. Given: the store, how rows are fetched, the moment, and how the statement ends.
macro_rules! roles {
    ($store:expr, $fetch:ident, $as_of:expr, $tail:literal $(, $arg:expr)* $(,)?) => {
        match $as_of {
            None => roles!(@ $store, $fetch, $as_of, "$1::bigint is null and r.seen_to is null", "a.seen_to is null",
                           $tail $(, $arg)*),
            Some(_) => roles!(@ $store, $fetch, $as_of, "r.seen_from <= $1 and (r.seen_to is null or r.seen_to > $1)",
                              "a.seen_from <= $1 and (a.seen_to is null or a.seen_to > $1)", $tail $(, $arg)*),
        }
    };
    (@ $store:expr, $fetch:ident, $as_of:expr, $role:literal, $association:literal, $tail:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            Record,
            r#"select r.key, r.body as "body: JsonText", u.at as "last_used_at?", u.region as "last_used_region?",
                      o.at as "last_session_at?", n.associations as "associations!", f.findings as "open_findings?"
               from resource r
               left join role_last_used u on u.account_id = r.account_id and u.role_arn = r.key
                                          and ($2::timestamptz is null or u.at <= $2)
               left join lateral (
                   select s.at from session s
                   where s.account_id = r.account_id and s.role_arn = r.key and s.error is null
                     and ($2::timestamptz is null or s.at <= $2)
                   order by s.at desc limit 1) o on true
               cross join lateral (
                   select (select count(*) from resource a
                           where a.kind = 'association' and a.role_arn = r.key and "# + $association + r#")
                        + (select count(*) from resource a
                           where a.kind = 'association' and a.target_role_arn = r.key
                             and a.role_arn is distinct from r.key and "# + $association + r#") as associations) n
               left join lateral (
                   select count(*) as findings from finding f
                   where (f.role_arn = r.key or f.target_role_arn = r.key)
                     and f.part_of is null and f.workflow in ('open', 'acknowledged')) f on $1::bigint is null
               where r.kind = 'role' and "# + $role + " " + $tail,
            $as_of.map(|as_of| as_of.run().0),
            $as_of.map(AsOf::at)
            $(, $arg)*
        )
        .$fetch(&mut *$store.pool.acquire().await?)
        .await
    };
}

/// A query over the roles of a filter, whose conditions and five parameters are written once; as with [`roles`]. `$head`
/// says what is read of each, `$tail` follows, and its own parameters count from `$6`. PostgreSQL plans a statement with
/// optional conditions anew for each request, which for all columns takes longer than reading them: a page asks for its
/// ARNs first.
macro_rules! of_filter {
    ($store:expr, $fetch:ident, $filter:expr, $head:literal, $tail:literal $(, $arg:expr)* $(,)?) => {
        match $filter.as_of {
            None => of_filter!(@ $store, $fetch, $filter, $head, "$1::bigint is null and r.seen_to is null",
                               "a.seen_to is null", $tail $(, $arg)*),
            Some(_) => of_filter!(@ $store, $fetch, $filter, $head,
                                  "r.seen_from <= $1 and (r.seen_to is null or r.seen_to > $1)",
                                  "a.seen_from <= $1 and (a.seen_to is null or a.seen_to > $1)", $tail $(, $arg)*),
        }
    };
    (@ $store:expr, $fetch:ident, $filter:expr, $head:literal, $role:literal, $association:literal, $tail:literal
     $(, $arg:expr)*) => {
        sqlx::query_scalar!(
            $head + " from resource r
             left join role_last_used u on u.account_id = r.account_id and u.role_arn = r.key
                                        and ($2::timestamptz is null or u.at <= $2)
             where r.kind = 'role' and " + $role + "
               and (cardinality($3::text[]) = 0 or r.account_id = any($3))
               and ($4::bool is null or $4 = (
                   exists (select from resource a
                           where a.kind = 'association' and a.role_arn = r.key and " + $association + ")
                   or exists (select from resource a
                              where a.kind = 'association' and a.target_role_arn = r.key and " + $association + ")))
               and ($5::text is null or position(lower($5) in lower(r.key)) > 0) " + $tail,
            $filter.as_of.map(|as_of| as_of.run().0),
            $filter.as_of.map(AsOf::at),
            &$filter.accounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            $filter.associated,
            $filter.q
            $(, $arg)*
        )
        .$fetch(&mut *$store.pool.acquire().await?)
        .await
    };
}

impl Store {
    /// A page of roles, by ARN.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn roles(
        &self,
        filter: &RoleFilter,
        after: Option<&RoleAfter>,
        limit: u32,
    ) -> Result<Vec<RoleRow>, Error> {
        let from = after.map(|last| last.arn.as_str());
        let arns = if *filter == RoleFilter::default() {
            // Without conditions the plan is kept.
            sqlx::query_scalar!(
                "select key from resource where kind = 'role' and seen_to is null and key > $1 order by key limit $2",
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
                "select r.key",
                "and ($6::text is null or r.key > $6) order by r.key limit $7",
                from,
                parse::limit(limit),
            )?
        };
        self.roles_by_arns(filter.as_of, &arns).await
    }

    /// A page of roles in an order.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn roles_in_order(
        &self,
        filter: &RoleFilter,
        sort: RoleSort,
        after: Option<&RoleAfter>,
        limit: u32,
    ) -> Result<Vec<RoleRow>, Error> {
        // Roles of which a use is known and those of which none is are two lists, one behind the other: each has an
        // index for its order.
        let is_used = after.map(|after| after.used.is_some());
        let rest = |rows: &[RoleRow]| limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        match sort {
            RoleSort::Arn => self.roles(filter, after, limit).await,
            RoleSort::LastUsed => {
                let mut rows = match is_used {
                    Some(false) => Vec::new(),
                    None | Some(true) => self.used_roles(filter, after, limit).await?,
                };
                if rest(&rows) > 0 {
                    let after = after.filter(|after| after.used.is_none());
                    rows.extend(self.roles_without_use(filter, after, rest(&rows)).await?);
                }
                Ok(rows)
            }
            RoleSort::LongestUnused => {
                let mut rows = match is_used {
                    Some(true) => Vec::new(),
                    None | Some(false) => self.roles_without_use(filter, after, limit).await?,
                };
                if rest(&rows) > 0 {
                    let after = after.filter(|after| after.used.is_some());
                    rows.extend(self.long_unused_roles(filter, after, rest(&rows)).await?);
                }
                Ok(rows)
            }
        }
    }

    /// Roles by their ARNs, in the order of these.
    async fn roles_by_arns(&self, as_of: Option<AsOf>, arns: &[String]) -> Result<Vec<RoleRow>, Error> {
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let rows = roles!(self, fetch_all, as_of, "and r.key = any($3)", arns)?;
        let mut by_arn: HashMap<String, Record> = rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        arns.iter().filter_map(|arn| by_arn.remove(arn)).map(Record::into_row).collect()
    }

    /// Roles of which a use is known, the latest first.
    async fn used_roles(
        &self,
        filter: &RoleFilter,
        after: Option<&RoleAfter>,
        limit: u32,
    ) -> Result<Vec<RoleRow>, Error> {
        let arns = of_filter!(
            self,
            fetch_all,
            filter,
            "select r.key",
            "and (u.at, u.role_arn) < (coalesce($6::timestamptz, 'infinity'::timestamptz), coalesce($7::text, ''))
             order by u.at desc, u.role_arn desc limit $8",
            after.and_then(|last| last.used),
            after.map(|last| last.arn.clone()),
            parse::limit(limit),
        )?;
        self.roles_by_arns(filter.as_of, &arns).await
    }

    /// Roles of which a use is known, the longest ago first.
    async fn long_unused_roles(
        &self,
        filter: &RoleFilter,
        after: Option<&RoleAfter>,
        limit: u32,
    ) -> Result<Vec<RoleRow>, Error> {
        let arns = of_filter!(
            self,
            fetch_all,
            filter,
            "select r.key",
            "and (u.at, u.role_arn) > (coalesce($6::timestamptz, '-infinity'::timestamptz), coalesce($7::text, ''))
             order by u.at, u.role_arn limit $8",
            after.and_then(|last| last.used),
            after.map(|last| last.arn.clone()),
            parse::limit(limit),
        )?;
        self.roles_by_arns(filter.as_of, &arns).await
    }

    /// Roles of which no use is known, by ARN.
    async fn roles_without_use(
        &self,
        filter: &RoleFilter,
        after: Option<&RoleAfter>,
        limit: u32,
    ) -> Result<Vec<RoleRow>, Error> {
        let arns = of_filter!(
            self,
            fetch_all,
            filter,
            "select r.key",
            "and u.at is null and r.key > coalesce($6::text, '') order by r.key limit $7",
            after.map(|last| last.arn.clone()),
            parse::limit(limit),
        )?;
        self.roles_by_arns(filter.as_of, &arns).await
    }

    /// How many roles a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_roles(&self, filter: &RoleFilter) -> Result<Total, Error> {
        let state = self.snapshot_state().await?;
        if let Some(total) = self.numbers.roles.of(filter, &state) {
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
        self.numbers.roles.keep(filter, state, total);
        Ok(total)
    }

    /// One role, as it is or as it was at a moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn role(&self, arn: &RoleArn, as_of: Option<AsOf>) -> Result<Option<RoleRow>, Error> {
        let account = arn.account_id().to_string();
        let found = roles!(self, fetch_optional, as_of, "and r.account_id = $3 and r.key = $4", account, arn.as_str())?;
        found.map(Record::into_row).transpose()
    }

    /// Which of these ARNs are roles of the inventory, as it is or as it was at a moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn roles_among(&self, arns: &[RoleArn], as_of: Option<AsOf>) -> Result<BTreeSet<String>, Error> {
        let accounts: Vec<String> = arns.iter().map(|arn| arn.account_id().to_string()).collect();
        let keys: Vec<String> = arns.iter().map(ToString::to_string).collect();
        let found = sqlx::query_scalar!(
            "select r.key from unnest($1::text[], $2::text[]) as asked (account_id, key)
             join resource r on r.account_id = asked.account_id and r.key = asked.key
             where r.kind = 'role'
               and case when $3::bigint is null then r.seen_to is null
                        else r.seen_from <= $3 and (r.seen_to is null or r.seen_to > $3) end",
            &accounts,
            &keys,
            as_of.map(|as_of| as_of.run().0)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().collect())
    }

    /// The managed policies that a role names and that were seen, attached ones first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn policies_of(&self, role: &Role, as_of: Option<AsOf>) -> Result<Vec<PolicyRow>, Error> {
        let boundary = role.boundary.as_ref().map(ToString::to_string);
        let mut arns: Vec<String> = role.attached.iter().map(|policy| policy.arn.to_string()).collect();
        arns.extend(boundary.clone());
        let account = role.arn.account_id().to_string();
        let bodies = sqlx::query_scalar!(
            r#"select body as "body: JsonText" from resource
             where account_id = $1 and kind = 'policy' and key = any($2)
               and case when $3::bigint is null then seen_to is null
                        else seen_from <= $3 and (seen_to is null or seen_to > $3) end order by key"#,
            account,
            &arns,
            as_of.map(|as_of| as_of.run().0)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::new();
        for body in bodies {
            let policy: ManagedPolicy = parse::json("resource", &account, &body)?;
            if role.attached.iter().any(|attached| attached.arn == policy.arn) {
                found.push(PolicyRow { policy: policy.clone(), is_boundary: false });
            }
            if boundary.as_deref() == Some(policy.arn.as_str()) {
                found.push(PolicyRow { policy, is_boundary: true });
            }
        }
        found.sort_by_key(|row| row.is_boundary);
        Ok(found)
    }

    /// Documents by their addresses; those that are not kept are left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn documents(&self, digests: &[Digest]) -> Result<Documents, Error> {
        let wanted: BTreeSet<Digest> = digests.iter().copied().collect();
        let mut connection = self.pool.acquire().await?;
        estate::documents(&mut connection, &wanted).await
    }
}
