//! Giving the estate back, as it is now or as a run left it.

use crate::inventory::as_of::AsOf;
use crate::inventory::snapshot::{ResourceKind as Kind, marks_beside};
use crate::inventory::{coverage, declared};
use crate::parse::JsonText;
use crate::trail::{attribution, memory, origin, sessions};
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_cloudtrail::AssociationQuery;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::{Documents, Estate, RoleLastUsed};
use rolecall_iam::{AccountId, Digest, Document};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An estate of more roles is compared without the roles of accounts in which nothing of theirs changed, but for
/// those of workloads.
const MOST_ROLES: i64 = 20_000;

struct Row {
    kind: String,
    key: String,
    body: JsonText,
}

/// The resources of some accounts and of what is of every account, as far as the text says when they were there; of
/// the two texts each has the indexes of its own.
macro_rules! resources {
    ($tx:expr, $accounts:expr, $run:expr, $seen:literal) => {
        sqlx::query_as!(
            Row,
            r#"select kind, key, body as "body: JsonText" from resource
               where (account_id = any($1) or kind in ('account', 'org_policy', 'org_unit', 'trail')) and "#
                + $seen
                + " order by kind, key, account_id",
            &$accounts,
            $run.map(|run| run.0)
        )
        .fetch_all(&mut *$tx)
        .await?
    };
}

impl Store {
    /// The estate as last seen, with the sessions from a moment on, the associations over time that they
    /// can be of, what is remembered of trails, what infrastructure code declares, and the latest coverage of every
    /// scope: all of one instant.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn estate(&self, sessions_since: DateTime<Utc>) -> Result<Estate, Error> {
        self.estate_with(sessions_since, Documents::default()).await
    }

    /// As [`Store::estate`]; documents that a snapshot of this process has just written
    /// ([`SnapshotWriter::take_written`](crate::SnapshotWriter::take_written)) are not read again.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn estate_with(&self, sessions_since: DateTime<Utc>, written: Documents) -> Result<Estate, Error> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let rows = sqlx::query_as!(
            Row,
            r#"select kind, key, body as "body: JsonText" from resource where seen_to is null order by kind, key, account_id"#
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut estate = assemble(&mut tx, rows, written).await?;
        let used = sqlx::query!("select role_arn, at, region from role_last_used order by role_arn")
            .fetch_all(&mut *tx)
            .await?;
        for row in used {
            let role = parse::text("role_last_used", &row.role_arn, &row.role_arn)?;
            estate.last_used.push(RoleLastUsed { role, at: row.at, region: row.region });
        }
        estate.sessions = sessions::since(&mut tx, sessions_since).await?;
        estate.sessions_judged_since = Some(sessions_since);
        let query = AssociationQuery::new(&estate.sessions, &|_| false);
        estate.association_history = attribution::spans(&mut tx, &query).await?;
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "at!""#).fetch_one(&mut *tx).await?;
        estate.memory = memory::memory(&mut tx, now).await?;
        estate.memory.origins = origin::of_sessions(&mut tx, sessions_since).await?;
        estate.coverage = coverage::latest(&mut tx, None).await?;
        estate.as_of = dates(&mut tx).await?;
        estate.unconfirmed = marks_beside(&mut tx, None, None).await?;
        estate.declared = declared::latest(&mut tx).await?.map(Arc::new);
        tx.rollback().await?;
        Ok(estate)
    }

    /// What is known of some accounts, with the organisation above them and every trail: enough to
    /// decide requests, and to know what trails record of them. As it is, or as it was known at a moment: with the
    /// coverage of that moment, as far as it is of these accounts or of what is known of every account, and what was not
    /// confirmed then.
    /// Without sessions and last use. What the run was judged under is assumed here too.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn estate_of(&self, accounts: &BTreeSet<AccountId>, as_of: Option<AsOf>) -> Result<Estate, Error> {
        let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
        let run = as_of.map(AsOf::run);
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let rows = match run {
            None => resources!(tx, accounts, run, "$2::bigint is null and seen_to is null"),
            Some(_) => resources!(tx, accounts, run, "seen_from <= $2 and (seen_to is null or seen_to > $2)"),
        };
        let mut estate = assemble(&mut tx, rows, Documents::default()).await?;
        match run {
            None => {
                estate.coverage = coverage::latest(&mut tx, Some(&accounts)).await?;
                estate.as_of = dates(&mut tx).await?;
            }
            Some(run) => estate.coverage = coverage::left_by(&mut tx, run).await?,
        }
        estate.unconfirmed = marks_beside(&mut tx, Some(&accounts), run).await?;
        estate.assumed = assumed(&mut tx, run).await?;
        tx.rollback().await?;
        Ok(estate)
    }

    /// The resources as a run's snapshot left them. Without sessions, last use and coverage: of
    /// the past only the gaps are kept, so nothing may be concluded from what is not there.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn estate_at(&self, run: RunId) -> Result<Estate, Error> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let rows = sqlx::query_as!(
            Row,
            r#"select kind, key, body as "body: JsonText" from resource
               where seen_from <= $1 and (seen_to is null or seen_to > $1) order by kind, key, account_id"#,
            run.0
        )
        .fetch_all(&mut *tx)
        .await?;
        let estate = assemble(&mut tx, rows, Documents::default()).await?;
        tx.rollback().await?;
        Ok(estate)
    }
}

/// The estate before a run or after it, as far as what the run changed may matter: every association, managed
/// policy, account and trail, the organization's units and policies, the roles that associations name on either
/// side, whatever the run changed, and the roles of accounts in which it changed roles, associations, managed
/// policies or OIDC providers; with `is_whole` every role.
pub(crate) async fn of_change(
    connection: &mut PgConnection,
    run: RunId,
    before: bool,
    is_whole: bool,
) -> Result<Estate, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"with touched as materialized (select account_id, kind, key from changed_resource where run_id = $1),
              wide as materialized (
                  select distinct account_id from touched
                  where kind in ('role', 'association', 'policy', 'oidc_provider')),
              named as materialized (
                  select role_arn as key from resource
                  where kind = 'association' and seen_from <= $1 and (seen_to is null or seen_to >= $1)
                  union
                  select target_role_arn from resource
                  where kind = 'association' and seen_from <= $1 and (seen_to is null or seen_to >= $1))
         select r.kind, r.key, r.body as "body: JsonText" from resource r
         where case when $2 then r.seen_from < $1 and (r.seen_to is null or r.seen_to >= $1)
                    else r.seen_from <= $1 and (r.seen_to is null or r.seen_to > $1) end
           and (r.kind in ('association', 'account', 'org_policy', 'org_unit', 'policy', 'trail')
                or r.kind = 'role' and ($3
                                        or r.key in (select key from named where key is not null)
                                        or r.account_id in (select account_id from wide))
                or (r.account_id, r.kind, r.key) in (select account_id, kind, key from touched))
         order by r.kind, r.key, r.account_id"#,
        run.0,
        before,
        is_whole
    )
    .fetch_all(&mut *connection)
    .await?;
    assemble(connection, rows, Documents::default()).await
}

/// The accounts of which [`of_change`] has every role; `None`: of all, which it is asked for where there are few
/// enough.
pub(crate) async fn roles_of_change(
    connection: &mut PgConnection,
    run: RunId,
) -> Result<Option<BTreeSet<AccountId>>, Error> {
    let roles = sqlx::query_scalar!(
        r#"select count(*) as "number!" from (
               select from resource where kind = 'role' and seen_to is null limit $1) as counted"#,
        MOST_ROLES + 1
    )
    .fetch_one(&mut *connection)
    .await?;
    if roles <= MOST_ROLES {
        return Ok(None);
    }
    let accounts = sqlx::query_scalar!(
        "select distinct account_id from changed_resource
         where run_id = $1 and kind in ('role', 'association', 'policy', 'oidc_provider')",
        run.0
    )
    .fetch_all(&mut *connection)
    .await?;
    accounts.iter().map(|account| parse::account("changed_resource", account)).collect::<Result<_, _>>().map(Some)
}

/// The estate as a run left it, as far as calls about the resources of some accounts may matter; see
/// [`Store::estate_left_by`].
pub(crate) async fn left_by(connection: &mut PgConnection, run: RunId, accounts: &[String]) -> Result<Estate, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"with named as materialized (
                  select role_arn as key from resource
                  where kind = 'association' and seen_from <= $1 and (seen_to is null or seen_to > $1)
                  union
                  select target_role_arn from resource
                  where kind = 'association' and seen_from <= $1 and (seen_to is null or seen_to > $1))
         select r.kind, r.key, r.body as "body: JsonText" from resource r
         where r.seen_from <= $1 and (r.seen_to is null or r.seen_to > $1)
           and (r.kind in ('association', 'account', 'org_policy', 'org_unit', 'policy')
                or r.account_id = any($2)
                or r.kind = 'role' and r.key in (select key from named where key is not null))
         order by r.kind, r.key, r.account_id"#,
        run.0,
        accounts
    )
    .fetch_all(&mut *connection)
    .await?;
    assemble(connection, rows, Documents::default()).await
}

/// Of what date each account is known.
async fn dates(connection: &mut PgConnection) -> Result<BTreeMap<AccountId, DateTime<Utc>>, Error> {
    let rows = sqlx::query!("select account_id, at from account_date").fetch_all(connection).await?;
    rows.into_iter().map(|row| Ok((parse::account("account_date", &row.account_id)?, row.at))).collect()
}

/// What the latest run was judged under, or the latest up to one.
pub(crate) async fn assumed(connection: &mut PgConnection, run: Option<RunId>) -> Result<BTreeSet<Assumption>, Error> {
    let latest = sqlx::query_scalar!(
        r#"select assumed as "assumed: JsonText" from run
           where account_id = $1 and snapshot_at is not null and ($2::bigint is null or id <= $2)
           order by id desc limit 1"#,
        INSTALLATION,
        run.map(|run| run.0)
    )
    .fetch_optional(connection)
    .await?;
    latest.map_or_else(|| Ok(BTreeSet::new()), |assumed| parse::json("run", "assumed", &assumed))
}

async fn assemble(connection: &mut PgConnection, rows: Vec<Row>, known: Documents) -> Result<Estate, Error> {
    let mut estate = Estate::default();
    for Row { kind, key, body } in rows {
        const TABLE: &str = "resource";
        match parse::text("resource", &kind, &kind)? {
            Kind::Account => estate.accounts.push(parse::json(TABLE, &key, &body)?),
            Kind::Role => estate.roles.push(parse::json(TABLE, &key, &body)?),
            Kind::Policy => estate.policies.push(parse::json(TABLE, &key, &body)?),
            Kind::OidcProvider => estate.oidc_providers.push(parse::json(TABLE, &key, &body)?),
            Kind::Cluster => estate.clusters.push(parse::json(TABLE, &key, &body)?),
            Kind::Association => estate.associations.push(parse::json(TABLE, &key, &body)?),
            Kind::Trail => estate.trails.push(parse::json(TABLE, &key, &body)?),
            Kind::OrgPolicy => estate.org_policies.push(parse::json(TABLE, &key, &body)?),
            Kind::OrgUnit => estate.org_units.push(parse::json(TABLE, &key, &body)?),
        }
    }
    let named = named(&estate);
    let known = alone(connection, known, &named).await?;
    let others = named.into_iter().filter(|digest| known.get(digest).is_none()).collect();
    estate.documents = documents(connection, &others).await?;
    estate.documents.absorb(known);
    Ok(estate)
}

/// Every document that the facts name.
fn named(estate: &Estate) -> BTreeSet<Digest> {
    let mut named = BTreeSet::new();
    for role in &estate.roles {
        named.extend(role.trust);
        named.extend(role.inline.iter().map(|policy| policy.document));
    }
    named.extend(estate.policies.iter().filter_map(|policy| policy.document));
    named.extend(estate.associations.iter().filter_map(|found| found.detail.as_ref()?.policy));
    named.extend(estate.org_policies.iter().map(|policy| policy.document));
    named
}

/// Of documents that were just written, those that are wanted and that one account alone has: of several
/// accounts' texts [`documents`] gives one, which need not be the one that was written.
async fn alone(
    connection: &mut PgConnection,
    mut written: Documents,
    wanted: &BTreeSet<Digest>,
) -> Result<Documents, Error> {
    written.retain(|digest| wanted.contains(digest));
    if written.is_empty() {
        return Ok(written);
    }
    let digests: Vec<Vec<u8>> = written.iter().map(|document| document.digest.as_bytes().to_vec()).collect();
    let shared = sqlx::query_scalar!(
        "select digest from document where digest = any($1) group by digest having count(*) <> 1",
        &digests
    )
    .fetch_all(connection)
    .await?;
    let shared: BTreeSet<Vec<u8>> = shared.into_iter().collect();
    written.retain(|digest| !shared.contains(digest.as_bytes().as_slice()));
    Ok(written)
}

/// Documents by address: one text where many accounts hold the same.
pub(crate) async fn documents(connection: &mut PgConnection, named: &BTreeSet<Digest>) -> Result<Documents, Error> {
    let digests: Vec<Vec<u8>> = named.iter().map(|digest| digest.as_bytes().to_vec()).collect();
    let rows = sqlx::query!(
        "select distinct on (digest) digest, text from document where digest = any($1) order by digest, account_id",
        &digests
    )
    .fetch_all(connection)
    .await?;
    let mut documents = Documents::default();
    for row in rows {
        let mut document = Document::new(&parse::document(row.text));
        // The facts name it by the address under which it was kept, whatever later versions of
        // the canonical form would call it.
        document.digest = parse::digest("document", "text", &row.digest)?;
        documents.add(document);
    }
    Ok(documents)
}
