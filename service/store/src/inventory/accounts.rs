//! Accounts, coverage and gaps for pages and exports, and how much there is of everything.
//!
//! A page that shows names or a notice of coverage asks for those alone: counting everything costs as
//! much as the estate is large.

use crate::inventory::coverage::{self, CoverageRow};
use crate::parse::JsonText;
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::Account;
use rolecall_estate::coverage::{Gap, Scope, ScopeKind};
use rolecall_iam::AccountId;
use serde::Serialize;
use std::collections::BTreeMap;

/// An account and how well it is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountRow {
    /// The id.
    pub id: AccountId,
    /// What is known of it; `None` where it could not even be entered.
    pub account: Option<Account>,
    /// Roles seen.
    pub roles: u64,
    /// Clusters seen.
    pub clusters: u64,
    /// Associations seen.
    pub associations: u64,
    /// Findings that are open or acknowledged and not listed under another; `None` of a moment that has passed.
    pub open_findings: Option<u64>,
    /// Scopes whose latest scan is complete.
    pub complete_scopes: u64,
    /// Scopes whose latest scan has gaps.
    pub gap_scopes: u64,
    /// The latest look at any of its scopes.
    pub last_look_at: Option<DateTime<Utc>>,
}

impl AccountRow {
    /// Whether anything of it was listed, and all that was, to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gap_scopes == 0 && self.complete_scopes > 0
    }
}

/// The latest listings of one kind in one account, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindCoverage {
    /// The account.
    pub account_id: AccountId,
    /// What was listed.
    pub kind: ScopeKind,
    /// Scopes of this kind: one for each Region, cluster or account.
    pub scopes: u64,
    /// Of these, read to their end.
    pub complete: u64,
}

/// The latest listings of sessions that are alike, for the days that they reach over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionListings {
    /// When they were read.
    pub read_at: DateTime<Utc>,
    /// Whether they were read to their end.
    pub complete: bool,
    /// Whether they came from imported files, which end where they end.
    pub imported: bool,
    /// How many there are.
    pub scopes: u64,
}

/// A gap of the latest scan, for exports.
#[derive(Debug, Clone, PartialEq)]
pub struct GapRow {
    /// The gap.
    pub gap: Gap,
    /// The run that met it.
    pub run: RunId,
    /// When.
    pub looked_at: DateTime<Utc>,
}

/// The latest looks at all scopes, summed up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CoverageSummary {
    /// Scopes that were looked at.
    pub scopes: u64,
    /// Accounts that they belong to.
    pub accounts: u64,
    /// Scopes that were not read to their end.
    pub incomplete: u64,
    /// The latest look at any; `None`: nothing was looked at yet.
    pub last_look_at: Option<DateTime<Utc>>,
    /// All gaps.
    pub gap_count: u64,
    /// The first gaps, by account and scope.
    pub gaps: Vec<Gap>,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Accounts known, or looked at.
    pub accounts: u64,
    /// Roles.
    pub roles: u64,
    /// Managed policies, each once for every account in which it was seen.
    pub policies: u64,
    /// Clusters.
    pub clusters: u64,
    /// Associations.
    pub associations: u64,
    /// Sessions.
    pub sessions: u64,
    /// Documents, each text once for every account that holds it.
    pub documents: u64,
    /// Gaps of the latest looks.
    pub gaps: u64,
}

impl Store {
    /// Every account that is known or was looked at, by id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, Error> {
        if self.is_limited() {
            return self.accounts_seen(None).await;
        }
        let rows = sqlx::query!(
            r#"with counts as (
                   select distinct on (account_id, kind) account_id, kind, number from resource_count
                   order by account_id, kind, run_id desc),
               resources as (
                   select account_id, max(number) filter (where kind = 'role') as roles,
                          max(number) filter (where kind = 'cluster') as clusters,
                          max(number) filter (where kind = 'association') as associations
                   from counts group by account_id having max(number) > 0),
               looks as (
                   select account_id, count(*) filter (where complete) as complete,
                          count(*) filter (where not complete) as gaps, max(last_at) as last_at
                   from coverage group by account_id),
               open as (
                   select account_id, count(*) as findings from finding
                   where workflow in ('open', 'acknowledged') and part_of is null group by account_id)
               select coalesce(r.account_id, l.account_id) as "account_id!", a.body as "body?: JsonText",
                      coalesce(r.roles, 0) as "roles!", coalesce(r.clusters, 0) as "clusters!",
                      coalesce(r.associations, 0) as "associations!", coalesce(o.findings, 0) as "findings!",
                      coalesce(l.complete, 0) as "complete!", coalesce(l.gaps, 0) as "gaps!", l.last_at as "last_at?"
               from resources r full join looks l on l.account_id = r.account_id
               left join open o on o.account_id = coalesce(r.account_id, l.account_id)
               left join resource a on a.account_id = coalesce(r.account_id, l.account_id) and a.kind = 'account'
                    and a.seen_to is null
               order by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AccountRow {
                    id: parse::account("resource", &row.account_id)?,
                    account: row.body.map(|body| parse::json("resource", &row.account_id, &body)).transpose()?,
                    roles: parse::count(row.roles),
                    clusters: parse::count(row.clusters),
                    associations: parse::count(row.associations),
                    open_findings: Some(parse::count(row.findings)),
                    complete_scopes: parse::count(row.complete),
                    gap_scopes: parse::count(row.gaps),
                    last_look_at: row.last_at,
                })
            })
            .collect()
    }

    /// The accounts of which something is seen, at the end of a run or now. What is kept of their numbers counts what is
    /// not seen, too: each resource is counted.
    pub(super) async fn accounts_seen(&self, run: Option<RunId>) -> Result<Vec<AccountRow>, Error> {
        let rows = sqlx::query!(
            r#"with resources as (
                   select account_id, count(*) filter (where kind = 'role') as roles,
                          count(*) filter (where kind = 'cluster') as clusters,
                          count(*) filter (where kind = 'association') as associations,
                          (array_agg(body) filter (where kind = 'account'))[1] as body
                   from resource
                   where case when $1::bigint is null then seen_to is null
                              else seen_from <= $1 and (seen_to is null or seen_to > $1) end
                   group by account_id),
               looks as (
                   select account_id, count(*) filter (where complete) as complete,
                          count(*) filter (where not complete) as gaps
                   from (select distinct on (account_id, scope, region, cluster) account_id, complete
                         from coverage_state where $1::bigint is null or run_id <= $1
                         order by account_id, scope, region, cluster, run_id desc) as state
                   where complete is not null group by account_id),
               open as (
                   select account_id, count(*) as findings from finding
                   where workflow in ('open', 'acknowledged') and part_of is null group by account_id)
               select coalesce(r.account_id, l.account_id) as "account_id!", r.body as "body?: JsonText",
                      coalesce(r.roles, 0) as "roles!", coalesce(r.clusters, 0) as "clusters!",
                      coalesce(r.associations, 0) as "associations!", coalesce(o.findings, 0) as "findings!",
                      coalesce(l.complete, 0) as "complete!", coalesce(l.gaps, 0) as "gaps!",
                      case when $1::bigint is null
                           then (select max(c.last_at) from coverage c
                                 where c.account_id = coalesce(r.account_id, l.account_id)) end as "last_at?"
               from resources r full join looks l on l.account_id = r.account_id
               left join open o on o.account_id = coalesce(r.account_id, l.account_id)
               order by 1"#,
            run.map(|run| run.0)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AccountRow {
                    id: parse::account("resource", &row.account_id)?,
                    account: row.body.map(|body| parse::json("resource", &row.account_id, &body)).transpose()?,
                    roles: parse::count(row.roles),
                    clusters: parse::count(row.clusters),
                    associations: parse::count(row.associations),
                    open_findings: run.is_none().then(|| parse::count(row.findings)),
                    complete_scopes: parse::count(row.complete),
                    gap_scopes: parse::count(row.gaps),
                    last_look_at: row.last_at,
                })
            })
            .collect()
    }

    /// Every account that is known or was looked at, by id, with its name where that is known.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn account_names(&self) -> Result<Vec<(AccountId, Option<String>)>, Error> {
        let state = self.snapshot_state().await?;
        if let Some(kept) = self.numbers.account_names.of(&state) {
            return Ok(kept);
        }
        let rows = sqlx::query!(
            r#"select coalesce(a.account_id, c.account_id) as "account_id!", a.name as "name?"
               from (select account_id, body ->> 'name' as name from resource
                     where kind = 'account' and seen_to is null) a
               full join (select distinct account_id from coverage) c on c.account_id = a.account_id
               order by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        let names = rows.into_iter().map(|row| Ok((parse::account("resource", &row.account_id)?, row.name)));
        let names: Vec<_> = names.collect::<Result<_, Error>>()?;
        self.numbers.account_names.keep(state, names.clone());
        Ok(names)
    }

    /// What the latest looks did and did not see, with the first `shown` gaps.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage_summary(&self, shown: u32) -> Result<CoverageSummary, Error> {
        let state = (self.snapshot_state().await?, shown);
        if let Some(kept) = self.numbers.coverage.of(&state) {
            return Ok(kept);
        }
        let summary = self.summed_coverage(shown).await?;
        self.numbers.coverage.keep(state, summary.clone());
        Ok(summary)
    }

    async fn summed_coverage(&self, shown: u32) -> Result<CoverageSummary, Error> {
        let sum = sqlx::query!(
            r#"select coalesce(sum(scopes), 0)::bigint as "scopes!", count(*) as "accounts!",
                      coalesce(sum(incomplete), 0)::bigint as "incomplete!", max(last_at) as "last_at?"
               from (select count(*) as scopes, count(*) filter (where not complete) as incomplete, max(last_at) as last_at
                     from coverage group by account_id) as of_account"#
        )
        .fetch_one(&self.pool)
        .await?;
        let mut summary = CoverageSummary {
            scopes: parse::count(sum.scopes),
            accounts: parse::count(sum.accounts),
            incomplete: parse::count(sum.incomplete),
            last_look_at: sum.last_at,
            ..CoverageSummary::default()
        };
        if summary.incomplete == 0 {
            return Ok(summary);
        }
        let rows = sqlx::query!(
            r#"select g.account_id, g.scope, g.region, g.cluster, g.action, g.reason, g.detail, g.day,
                      count(*) over () as "all!"
               from coverage c join coverage_gap g
                 on g.account_id = c.account_id and g.scope = c.scope and g.region = c.region and g.cluster = c.cluster
                and g.run_id = c.last_run
               where not c.complete
               order by g.account_id, g.scope, g.region, g.cluster, g.id limit $1"#,
            parse::limit(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            summary.gap_count = parse::count(row.all);
            let scope = coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
            let reason = coverage::read_reason(&row.reason)?;
            summary.gaps.push(Gap { scope, action: row.action, reason, detail: row.detail, day: row.day });
        }
        Ok(summary)
    }

    /// The latest listings by account and kind.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage_by_kind(&self) -> Result<Vec<KindCoverage>, Error> {
        let rows = sqlx::query!(
            r#"select account_id, scope, count(*) as "scopes!", count(*) filter (where complete) as "complete!"
               from coverage group by account_id, scope order by account_id, scope"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(KindCoverage {
                    account_id: parse::account("coverage", &row.account_id)?,
                    kind: parse::text("coverage", &row.account_id, &row.scope)?,
                    scopes: parse::count(row.scopes),
                    complete: parse::count(row.complete),
                })
            })
            .collect()
    }

    /// The latest listings of sessions, by time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session_listings(&self) -> Result<Vec<SessionListings>, Error> {
        let rows = sqlx::query!(
            r#"select c.last_at, c.complete, coalesce(r.kind = 'import', false) as "imported!", count(*) as "scopes!"
               from coverage c left join run r on r.account_id = $1 and r.id = c.last_run
               where c.scope = 'sessions' group by 1, 2, 3 order by 1, 2, 3"#,
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        let listings = rows.into_iter().map(|row| SessionListings {
            read_at: row.last_at,
            complete: row.complete,
            imported: row.imported,
            scopes: parse::count(row.scopes),
        });
        Ok(listings.collect())
    }

    /// The names of all clusters in which anything was listed.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn cluster_names(&self) -> Result<Vec<String>, Error> {
        let names = sqlx::query_scalar!("select distinct cluster from coverage where cluster <> '' order by cluster");
        Ok(names.fetch_all(&self.pool).await?)
    }

    /// Every scope that was ever listed, without its gaps.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn scopes(&self) -> Result<Vec<Scope>, Error> {
        let rows = sqlx::query!(
            "select account_id, scope, region, cluster from coverage order by account_id, scope, region, cluster"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster))
            .collect()
    }

    /// What is known of every account, by id; without those that could never be entered.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn known_accounts(&self) -> Result<Vec<Account>, Error> {
        let rows = sqlx::query!(
            r#"select key, body as "body: JsonText" from resource
                   where kind = 'account' and seen_to is null order by key"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| parse::json("resource", &row.key, &row.body)).collect()
    }

    /// The latest look at every scope, of some accounts or (empty) of all, by account and scope.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn coverage(&self, accounts: &[AccountId]) -> Result<Vec<CoverageRow>, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let mut gaps: BTreeMap<Scope, Vec<Gap>> = BTreeMap::new();
        for found in self.gap_rows(&accounts).await? {
            gaps.entry(found.gap.scope.clone()).or_default().push(found.gap);
        }
        let rows = sqlx::query!(
            "select account_id, scope, region, cluster, last_run, last_at, complete, last_complete_at from coverage
             where cardinality($1::text[]) = 0 or account_id = any($1)
             order by account_id, scope, region, cluster",
            &accounts
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let scope = coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
                Ok(CoverageRow {
                    complete: row.complete,
                    gaps: gaps.remove(&scope).unwrap_or_default(),
                    looked_at: Some(row.last_at),
                    run: RunId(row.last_run),
                    last_complete_at: row.last_complete_at,
                    scope,
                })
            })
            .collect()
    }

    /// Every gap of the latest look at every scope, by account and scope.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn gaps(&self, accounts: &[AccountId]) -> Result<Vec<GapRow>, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        self.gap_rows(&accounts).await
    }

    async fn gap_rows(&self, accounts: &[String]) -> Result<Vec<GapRow>, Error> {
        let rows = sqlx::query!(
            "select g.account_id, g.scope, g.region, g.cluster, g.action, g.reason, g.detail, g.day, c.last_run, c.last_at
             from coverage c join coverage_gap g
               on g.account_id = c.account_id and g.scope = c.scope and g.region = c.region and g.cluster = c.cluster
              and g.run_id = c.last_run
             where not c.complete and (cardinality($1::text[]) = 0 or c.account_id = any($1))
             order by g.account_id, g.scope, g.region, g.cluster, g.id",
            accounts
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let scope = coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
                let reason = coverage::read_reason(&row.reason)?;
                let gap = Gap { scope, action: row.action, reason, detail: row.detail, day: row.day };
                Ok(GapRow { gap, run: RunId(row.last_run), looked_at: row.last_at })
            })
            .collect()
    }

    /// The gaps that one run met, by account and scope.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn gaps_of_run(&self, run: RunId) -> Result<Vec<Gap>, Error> {
        let rows = sqlx::query!(
            "select account_id, scope, region, cluster, action, reason, detail, day from coverage_gap
             where run_id = $1 order by account_id, scope, region, cluster, id",
            run.0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let scope = coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
                let reason = coverage::read_reason(&row.reason)?;
                Ok(Gap { scope, action: row.action, reason, detail: row.detail, day: row.day })
            })
            .collect()
    }

    /// How much there is of everything.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn counts(&self) -> Result<Counts, Error> {
        let sessions = sqlx::query_scalar!(r#"select count(*) as "count!" from session"#).fetch_one(&self.pool).await?;
        let state = self.snapshot_state().await?;
        let counts = match self.numbers.counts.of(&state) {
            Some(kept) => kept,
            None => {
                let counts = self.counted().await?;
                self.numbers.counts.keep(state, counts);
                counts
            }
        };
        Ok(Counts { sessions: parse::count(sessions), ..counts })
    }

    /// What snapshots changed, counted: by the numbers that they keep, or, as these count what is not seen, too, by the
    /// resources that are.
    async fn counted(&self) -> Result<Counts, Error> {
        if !self.is_limited() {
            let row = sqlx::query!(
                r#"with latest as (
                       select distinct on (account_id, kind) account_id, kind, number from resource_count
                       order by account_id, kind, run_id desc)
                   select (select count(*) from (select account_id from latest where number > 0
                                                 union select account_id from coverage) as a) as "accounts!",
                          coalesce(sum(number) filter (where kind = 'role'), 0)::bigint as "roles!",
                          coalesce(sum(number) filter (where kind = 'policy'), 0)::bigint as "policies!",
                          coalesce(sum(number) filter (where kind = 'cluster'), 0)::bigint as "clusters!",
                          coalesce(sum(number) filter (where kind = 'association'), 0)::bigint as "associations!",
                          (select count(*) from document) as "documents!",
                          (select count(*) from coverage c join coverage_gap g
                              on g.account_id = c.account_id and g.scope = c.scope and g.region = c.region
                             and g.cluster = c.cluster and g.run_id = c.last_run where not c.complete) as "gaps!"
                   from latest"#
            )
            .fetch_one(&self.pool)
            .await?;
            return Ok(Counts {
                accounts: parse::count(row.accounts),
                roles: parse::count(row.roles),
                policies: parse::count(row.policies),
                clusters: parse::count(row.clusters),
                associations: parse::count(row.associations),
                sessions: 0,
                documents: parse::count(row.documents),
                gaps: parse::count(row.gaps),
            });
        }
        let row = sqlx::query!(
            r#"select (select count(*) from (select account_id from resource where seen_to is null
                                             union select account_id from coverage) as a) as "accounts!",
                      count(*) filter (where kind = 'role') as "roles!",
                      count(*) filter (where kind = 'policy') as "policies!",
                      count(*) filter (where kind = 'cluster') as "clusters!",
                      count(*) filter (where kind = 'association') as "associations!",
                      (select count(*) from document) as "documents!",
                      (select count(*) from coverage c join coverage_gap g
                          on g.account_id = c.account_id and g.scope = c.scope and g.region = c.region
                         and g.cluster = c.cluster and g.run_id = c.last_run where not c.complete) as "gaps!"
               from resource where seen_to is null"#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Counts {
            accounts: parse::count(row.accounts),
            roles: parse::count(row.roles),
            policies: parse::count(row.policies),
            clusters: parse::count(row.clusters),
            associations: parse::count(row.associations),
            sessions: 0,
            documents: parse::count(row.documents),
            gaps: parse::count(row.gaps),
        })
    }
}
