//! Clusters for pages, the API and exports, with what is known around each.

use super::as_of::AsOf;
use crate::count::{Total, total};
use crate::parse::JsonText;
use crate::parse::severity_of;
use crate::{Error, Store, parse};
use rolecall_estate::Cluster;
use rolecall_estate::id::{ClusterName, Region};
use rolecall_iam::AccountId;
use rolecall_rules::Severity;
use serde::{Deserialize, Serialize};

/// Which clusters. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default)]
pub struct ClusterFilter {
    /// Of these accounts.
    pub accounts: Vec<AccountId>,
    /// In this region.
    pub region: Option<String>,
    /// Whose name or ARN holds this text, in any case.
    pub q: Option<String>,
    /// As they were at a moment; `None`: as they are.
    pub as_of: Option<AsOf>,
}

/// The last cluster of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAfter {
    /// Its account.
    pub account_id: AccountId,
    /// `region/name`.
    pub key: String,
    /// Its open findings.
    #[serde(default)]
    pub findings: u64,
}

rolecall_iam::vocabulary! {
    /// In which order; ties go by account, Region and name.
    #[derive(Default)]
    pub enum ClusterSort: "an order of clusters" {
        /// By account, Region and name.
        #[default]
        Key = "key",
        /// The most open findings first. All clusters are counted for each page: an estate has hundreds.
        OpenFindings = "open_findings",
    }
}

/// A cluster and what is known around it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterRow {
    /// The cluster.
    pub cluster: Cluster,
    /// Whether its add-ons were listed to the end: one that is not there does not exist.
    pub has_all_addons: bool,
    /// The same of its access entries.
    pub has_all_access_entries: bool,
    /// Pod Identity associations in it.
    pub associations: u64,
    /// Namespaces that have one.
    pub namespaces: u64,
    /// Findings that are open or acknowledged: about it and what is in it, and about roles that its
    /// workloads reach. `None` of a moment that has passed.
    pub open_findings: Option<u64>,
    /// The worst severity among them; `None` where there is none.
    pub worst: Option<Severity>,
}

impl ClusterRow {
    /// The key of this row in the list.
    #[must_use]
    pub fn after(&self) -> ClusterAfter {
        let Cluster { account_id, region, name, .. } = &self.cluster;
        ClusterAfter {
            account_id: *account_id,
            key: format!("{region}/{name}"),
            findings: self.open_findings.unwrap_or_default(),
        }
    }
}

struct Record {
    key: String,
    body: JsonText,
    addons_complete: Option<bool>,
    entries_complete: Option<bool>,
    associations: i64,
    namespaces: i64,
    findings: Option<i64>,
    worst: Option<i16>,
}

impl Record {
    fn into_row(self) -> Result<ClusterRow, Error> {
        Ok(ClusterRow {
            cluster: parse::json("resource", &self.key, &self.body)?,
            has_all_addons: self.addons_complete == Some(true),
            has_all_access_entries: self.entries_complete == Some(true),
            associations: parse::count(self.associations),
            namespaces: parse::count(self.namespaces),
            open_findings: self.findings.map(parse::count),
            worst: self.worst.map(severity_of),
        })
    }
}

/// A namespace of a cluster that has associations, or findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRow {
    /// Its name.
    pub namespace: String,
    /// Pod Identity associations in it.
    pub associations: u64,
    /// Findings that are open or acknowledged: about what is in it, and about roles that its workloads
    /// reach. `None` of a moment that has passed.
    pub open_findings: Option<u64>,
    /// The worst severity among them; `None` where there is none.
    pub worst: Option<Severity>,
}

/// The columns of [`Record`], written once; `$1` is the run of a moment that has passed, or null.
macro_rules! select_clusters {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select c.key, c.body as "body: JsonText",
                      (select s.complete from coverage_state s where s.account_id = c.account_id and s.scope = 'addons'
                         and s.region = k.region and s.cluster = k.name and ($1::bigint is null or s.run_id <= $1)
                       order by s.run_id desc limit 1) as addons_complete,
                      (select s.complete from coverage_state s where s.account_id = c.account_id and s.scope = 'access_entries'
                         and s.region = k.region and s.cluster = k.name and ($1::bigint is null or s.run_id <= $1)
                       order by s.run_id desc limit 1) as entries_complete,
                      a.associations as "associations!", a.namespaces as "namespaces!",
                      case when $1::bigint is null then f.findings end as findings, f.worst
               from resource c
               cross join lateral (select split_part(c.key, '/', 1) as region, split_part(c.key, '/', 2) as name) k
               cross join lateral (
                   select count(*) as associations, count(distinct namespace) as namespaces from resource
                   where kind = 'association' and account_id = c.account_id
                     and region = k.region and cluster = k.name
                     and case when $1::bigint is null then seen_to is null
                              else seen_from <= $1 and (seen_to is null or seen_to > $1) end) a
               cross join lateral (
                   select count(*) as findings, max(severity_rank) as worst from (
                       select o.account_id, o.fingerprint, o.severity_rank from finding o
                       where $1::bigint is null and o.cluster = k.name and o.region = k.region and o.account_id = c.account_id
                         and o.part_of is null and o.workflow in ('open', 'acknowledged')
                       union
                       select o.account_id, o.fingerprint, o.severity_rank from finding_workload w
                       join finding o on o.account_id = w.account_id and o.fingerprint = w.fingerprint
                       where $1::bigint is null and w.cluster = k.name and w.region = k.region and w.cluster_account_id = c.account_id
                         and o.part_of is null and o.workflow in ('open', 'acknowledged')) found) f
               where c.kind = 'cluster'
                 and case when $1::bigint is null then c.seen_to is null
                          else c.seen_from <= $1 and (c.seen_to is null or c.seen_to > $1) end "# + $tail
            $(, $arg)*
        )
    };
}

impl Store {
    /// A page of clusters, by account, region and name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn clusters(
        &self,
        filter: &ClusterFilter,
        after: Option<&ClusterAfter>,
        limit: u32,
    ) -> Result<Vec<ClusterRow>, Error> {
        let accounts: Vec<String> = filter.accounts.iter().map(ToString::to_string).collect();
        let rows = select_clusters!(
            "and (cardinality($2::text[]) = 0 or c.account_id = any($2))
             and ($3::text is null or k.region = $3)
             and ($4::text is null or position(lower($4) in lower(c.body ->> 'arn')) > 0)
             and ($5::text is null or (c.account_id, c.key) > ($5, $6))
             order by c.account_id, c.key limit $7",
            filter.as_of.map(|as_of| as_of.run().0),
            &accounts,
            filter.region,
            filter.q,
            after.map(|last| last.account_id.to_string()),
            after.map(|last| last.key.clone()),
            parse::limit(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_row).collect()
    }

    /// A page of clusters in an order. Of a moment that has passed no findings are told: all have as many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn clusters_in_order(
        &self,
        filter: &ClusterFilter,
        sort: ClusterSort,
        after: Option<&ClusterAfter>,
        limit: u32,
    ) -> Result<Vec<ClusterRow>, Error> {
        if sort == ClusterSort::Key || filter.as_of.is_some() {
            return self.clusters(filter, after, limit).await;
        }
        let accounts: Vec<String> = filter.accounts.iter().map(ToString::to_string).collect();
        let rows = select_clusters!(
            "and (cardinality($2::text[]) = 0 or c.account_id = any($2))
             and ($3::text is null or k.region = $3)
             and ($4::text is null or position(lower($4) in lower(c.body ->> 'arn')) > 0)
             and ($5::text is null or f.findings < $7 or (f.findings = $7 and (c.account_id, c.key) > ($5, $6)))
             order by f.findings desc, c.account_id, c.key limit $8",
            None::<i64>,
            &accounts,
            filter.region,
            filter.q,
            after.map(|last| last.account_id.to_string()),
            after.map(|last| last.key.clone()),
            after.map(|last| i64::try_from(last.findings).unwrap_or(i64::MAX)),
            parse::limit(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_row).collect()
    }

    /// How many clusters a filter leaves; exact up to 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_clusters(&self, filter: &ClusterFilter) -> Result<Total, Error> {
        let accounts: Vec<String> = filter.accounts.iter().map(ToString::to_string).collect();
        let found = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
             select 1 from resource c where c.kind = 'cluster'
             and case when $4::bigint is null then c.seen_to is null
                      else c.seen_from <= $4 and (c.seen_to is null or c.seen_to > $4) end
             and (cardinality($1::text[]) = 0 or c.account_id = any($1))
             and ($2::text is null or split_part(c.key, '/', 1) = $2)
             and ($3::text is null or position(lower($3) in lower(c.body ->> 'arn')) > 0)
             limit 10001) as found"#,
            &accounts,
            filter.region,
            filter.q,
            filter.as_of.map(|as_of| as_of.run().0)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total(found))
    }

    /// One cluster, as it is or as it was at a moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn cluster(
        &self,
        account: AccountId,
        region: &Region,
        name: &ClusterName,
        as_of: Option<AsOf>,
    ) -> Result<Option<ClusterRow>, Error> {
        select_clusters!(
            "and c.account_id = $2 and c.key = $3",
            as_of.map(|as_of| as_of.run().0),
            account.to_string(),
            format!("{region}/{name}")
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Record::into_row)
        .transpose()
    }

    /// The namespaces of a cluster, by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn namespaces(
        &self,
        account: AccountId,
        region: &Region,
        name: &ClusterName,
        as_of: Option<AsOf>,
    ) -> Result<Vec<NamespaceRow>, Error> {
        let rows = sqlx::query!(
            r#"with found as (
                   select o.namespace, o.account_id, o.fingerprint, o.severity_rank from finding o
                   where $4::bigint is null and o.account_id = $1 and o.region = $2 and o.cluster = $3 and o.namespace is not null
                     and o.part_of is null and o.workflow in ('open', 'acknowledged')
                   union
                   select w.namespace, o.account_id, o.fingerprint, o.severity_rank from finding_workload w
                   join finding o on o.account_id = w.account_id and o.fingerprint = w.fingerprint
                   where $4::bigint is null and w.cluster_account_id = $1 and w.region = $2 and w.cluster = $3
                     and o.part_of is null and o.workflow in ('open', 'acknowledged')),
               findings as (select namespace, count(*) as findings, max(severity_rank) as worst from found group by 1),
               associations as (
                   select namespace, count(*) as associations from resource
                   where kind = 'association' and account_id = $1 and region = $2 and cluster = $3
                     and case when $4::bigint is null then seen_to is null
                              else seen_from <= $4 and (seen_to is null or seen_to > $4) end
                   group by 1)
               select coalesce(a.namespace, f.namespace) as "namespace!",
                      coalesce(a.associations, 0) as "associations!", coalesce(f.findings, 0) as "findings!", f.worst
               from associations a full join findings f on f.namespace = a.namespace
               order by 1"#,
            account.to_string(),
            region.as_str(),
            name.as_str(),
            as_of.map(|as_of| as_of.run().0)
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| NamespaceRow {
            namespace: row.namespace,
            associations: parse::count(row.associations),
            open_findings: as_of.is_none().then(|| parse::count(row.findings)),
            worst: row.worst.map(severity_of),
        });
        Ok(rows.collect())
    }
}
