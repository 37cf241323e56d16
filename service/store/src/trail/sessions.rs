//! Sessions: one row an AssumeRole, in monthly partitions that are made as they are written to.
//!
//! Knows how to write each event once, how sessions follow from each other, and how to let old
//! months go. Refuses to know what a session means.

use crate::pool::Pool;
use crate::work::runs::RunId;
use crate::{Error, Store, parse, partition};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_estate::{AssociationKey, Session, SessionAttribution, SessionKind, VpcEndpoint};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::BTreeSet;

/// Rows of one statement: enough to be quick, few enough to stay small in memory.
const CHUNK: usize = 2_000;

/// Which sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of these accounts; empty: all.
    pub accounts: Vec<AccountId>,
    /// Of this role.
    pub role_arn: Option<String>,
    /// Of these kinds; empty: all.
    pub kinds: Vec<SessionKind>,
    /// Whose session name holds this text.
    pub session_name: Option<String>,
    /// Whose principal holds this text.
    pub principal: Option<String>,
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this namespace.
    pub namespace: Option<String>,
    /// Of this service account.
    pub service_account: Option<String>,
    /// Attributed to this association.
    pub association_id: Option<String>,
    /// With this access key.
    pub access_key_id: Option<String>,
    /// Whether attributed to one association.
    pub attributed: Option<bool>,
    /// The attribution method.
    pub attribution_method: Option<String>,
    /// Whether the call was refused or failed.
    pub failed: Option<bool>,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// The last session of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAfter {
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its account.
    pub account_id: AccountId,
    /// Its event.
    pub event_id: String,
}

impl SessionAfter {
    /// The key of a session.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self { at: session.at, account_id: session.account_id, event_id: session.event_id.clone() }
    }
}

/// Sessions of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionDay {
    /// In UTC.
    pub day: NaiveDate,
    /// Those that are attributed to one association.
    pub attributed: u64,
    /// Those that several associations can have led to.
    pub ambiguous: u64,
    /// All others.
    pub unattributed: u64,
}

/// How sessions follow from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The first session that is known, then those from which the one asked for follows; it is the last.
    pub up: Vec<Session>,
    /// Sessions that its key opened, and what their keys opened, by time.
    pub down: Vec<Session>,
    /// Whether there are more below than are given.
    pub more: bool,
}

/// A chain is followed over so many hops; AWS lets each last an hour, so none is longer in earnest.
const HOPS: usize = 16;
/// So many sessions below one are given.
const BELOW: usize = 500;

pub(crate) struct Record {
    pub(crate) account_id: String,
    pub(crate) event_id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) region: String,
    pub(crate) kind: String,
    pub(crate) role_arn: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) principal: String,
    pub(crate) principal_type: String,
    pub(crate) parent_access_key_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) vpc_endpoint: Option<String>,
    pub(crate) vpc_endpoint_account: Option<String>,
    pub(crate) tags: parse::JsonText,
    pub(crate) external_id: Option<String>,
    pub(crate) duration_seconds: Option<i64>,
    pub(crate) packed_policy_size: Option<i16>,
    pub(crate) error: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) service_account: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) association_id: Option<String>,
    pub(crate) association_account_id: Option<String>,
    pub(crate) association_region: Option<String>,
    pub(crate) attribution_method: Option<String>,
    pub(crate) attribution_reason: Option<String>,
    pub(crate) attribution_depth: i16,
    pub(crate) candidates: parse::JsonText,
}

/// The columns of [`Record`], written once.
macro_rules! select_sessions {
    ($first:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::trail::sessions::Record,
            r#"select account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                    principal_type, parent_access_key_id, source_ip, vpc_endpoint, vpc_endpoint_account, tags as "tags: crate::parse::JsonText",
                    external_id, duration_seconds, packed_policy_size, error, cluster, namespace, service_account, pod,
                    association_id, association_account_id, association_region, attribution_method,
                    attribution_reason, attribution_depth, candidates as "candidates: crate::parse::JsonText"
             from session "# + $first $(+ $more)*
            $(, $arg)*
        )
    };
}
pub(crate) use select_sessions;

macro_rules! count_session_days {
    ($first:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query!(
            r#"select (at at time zone 'UTC')::date as "day!",
                      count(*) filter (where association_id is not null) as "attributed!",
                      count(*) filter (where association_id is null and attribution_method = 'ambiguous') as "ambiguous!",
                      count(*) filter (where association_id is null and attribution_method is distinct from 'ambiguous') as "unattributed!"
               from session "# + $first $(+ $more)*
            $(, $arg)*
        )
    };
}

/// A query over the sessions of a filter, whose condition and fifteen parameters are written once;
/// `$tail` follows them, and its own parameters count from `$16`.
macro_rules! of_filter {
    ($query:ident!, $filter:ident, $tail:literal $(, $arg:expr)* $(,)?) => {
        $query!(
            "where (cardinality($1::text[]) = 0 or account_id = any($1))
               and ($2::text is null or role_arn = $2)
               and (cardinality($3::text[]) = 0 or kind = any($3))
               and ($4::text is null or position(lower($4) in lower(session_name)) > 0)
               and ($5::text is null or position(lower($5) in lower(principal)) > 0)
               and ($6::text is null or cluster = $6)
               and ($7::timestamptz is null or at >= $7)
               and ($8::timestamptz is null or at < $8)
               and ($9::text is null or namespace = $9)
               and ($10::text is null or service_account = $10)
               and ($11::text is null or association_id = $11)
               and ($12::text is null or access_key_id = $12)
               and ($13::bool is null or (association_id is not null) = $13)
               and ($14::text is null or attribution_method = $14)
               and ($15::bool is null or (error is not null) = $15)
             " + $tail,
            &$filter.accounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            $filter.role_arn,
            &$filter.kinds.iter().map(|kind| kind_name(*kind)).collect::<Vec<_>>(),
            $filter.session_name,
            $filter.principal,
            $filter.cluster,
            $filter.since,
            $filter.until,
            $filter.namespace,
            $filter.service_account,
            $filter.association_id,
            $filter.access_key_id,
            $filter.attributed,
            $filter.attribution_method,
            $filter.failed,
            $($arg,)*
        )
    };
}

impl Record {
    fn attribution(&self) -> Result<Option<SessionAttribution>, Error> {
        const TABLE: &str = "session";
        let key = &self.event_id;
        let Some(method) = &self.attribution_method else { return Ok(None) };
        Ok(Some(SessionAttribution {
            method: parse::text(TABLE, key, method)?,
            association: self.association_id.as_ref().and_then(|_| self.association()),
            association_id: self.association_id.clone(),
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            service_account: self.service_account.clone(),
            pod: self.pod.clone(),
            candidates: parse::json(TABLE, key, &self.candidates)?,
            parent: self.parent_access_key_id.clone(),
            depth: u8::try_from(self.attribution_depth).unwrap_or_default(),
            reason: self.attribution_reason.clone(),
        }))
    }

    /// The key of the association that the session is attributed to. Sessions that were attributed before
    /// its account and Region were kept are of the association's own.
    fn association(&self) -> Option<AssociationKey> {
        Some(AssociationKey {
            account_id: self.association_account_id.as_ref().unwrap_or(&self.account_id).parse().ok()?,
            region: self.association_region.as_ref().unwrap_or(&self.region).parse().ok()?,
            cluster: self.cluster.as_deref()?.parse().ok()?,
            namespace: self.namespace.as_deref()?.parse().ok()?,
            service_account: self.service_account.as_deref()?.parse().ok()?,
        })
    }

    pub(crate) fn into_session(self) -> Result<Session, Error> {
        const TABLE: &str = "session";
        let attribution = self.attribution()?.map(Box::new);
        let key = self.event_id.clone();
        Ok(Session {
            account_id: parse::account(TABLE, &self.account_id)?,
            at: self.at,
            region: parse::text(TABLE, &key, &self.region)?,
            kind: parse::text(TABLE, &key, &self.kind)?,
            role_arn: self.role_arn,
            session_name: self.session_name,
            access_key_id: self.access_key_id,
            principal: self.principal,
            principal_type: self.principal_type,
            parent_access_key_id: self.parent_access_key_id,
            source_ip: self.source_ip,
            vpc_endpoint: self.vpc_endpoint.map(|id| VpcEndpoint { id, account_id: self.vpc_endpoint_account }),
            tags: parse::json(TABLE, &key, &self.tags)?,
            external_id: self.external_id,
            duration_seconds: self.duration_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
            packed_policy_size: self.packed_policy_size.and_then(|size| u8::try_from(size).ok()),
            error: self.error,
            cluster: self.cluster,
            attribution,
            event_id: key,
        })
    }
}

/// The name that the column `kind` holds.
pub(crate) fn kind_name(kind: SessionKind) -> String {
    parse::to_json(&kind).as_str().unwrap_or_default().to_owned()
}

/// Writes the sessions that are not there yet, and counts them.
pub(crate) async fn write(
    tx: &mut Transaction<'static, Postgres>,
    pool: &Pool,
    made: &mut BTreeSet<String>,
    run: RunId,
    sessions: &[Session],
) -> Result<u64, Error> {
    let months: BTreeSet<NaiveDate> =
        sessions.iter().filter_map(|session| partition::first_of_month(session.at.date_naive())).collect();
    for month in months {
        partition::ensure(tx, pool, made, "session", month).await?;
    }
    let mut written = 0;
    for chunk in sessions.chunks(CHUNK) {
        written += write_chunk(tx, run, chunk).await?;
    }
    Ok(written)
}

async fn write_chunk(tx: &mut Transaction<'static, Postgres>, run: RunId, chunk: &[Session]) -> Result<u64, Error> {
    fn column<'a, T>(chunk: &'a [Session], of: impl Fn(&'a Session) -> T) -> Vec<T> {
        chunk.iter().map(of).collect()
    }
    let plain = |text: &Option<String>| text.as_deref().map(parse::storable);
    let indexed = |text: &Option<String>| text.as_deref().map(parse::indexed);
    let accounts = column(chunk, |s| s.account_id.to_string());
    let events = column(chunk, |s| parse::indexed(&s.event_id));
    let times = column(chunk, |s| s.at);
    let regions = column(chunk, |s| s.region.to_string());
    let kinds = column(chunk, |s| kind_name(s.kind));
    let roles = column(chunk, |s| indexed(&s.role_arn));
    let names = column(chunk, |s| plain(&s.session_name));
    let keys = column(chunk, |s| indexed(&s.access_key_id));
    let principals = column(chunk, |s| parse::storable(&s.principal));
    let types = column(chunk, |s| parse::storable(&s.principal_type));
    let parents = column(chunk, |s| indexed(&s.parent_access_key_id));
    let sources = column(chunk, |s| plain(&s.source_ip));
    let tags = column(chunk, |s| parse::json_text(&s.tags));
    let external = column(chunk, |s| plain(&s.external_id));
    let durations = column(chunk, |s| s.duration_seconds.map(i64::from));
    let packed = column(chunk, |s| s.packed_policy_size.map(i16::from));
    let errors = column(chunk, |s| plain(&s.error));
    let clusters = column(chunk, |s| s.cluster.as_deref().map(parse::indexed_beside));
    let endpoints = column(chunk, |s| s.vpc_endpoint.as_ref().map(|endpoint| parse::storable(&endpoint.id)));
    let owners = column(chunk, |s| s.vpc_endpoint.as_ref().and_then(|endpoint| plain(&endpoint.account_id)));
    let done = sqlx::query!(
        "insert into session (account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                              principal_type, parent_access_key_id, source_ip, tags, external_id, duration_seconds,
                              packed_policy_size, error, cluster, vpc_endpoint, vpc_endpoint_account, first_run)
         select w.account_id, w.event_id, w.at, w.region, w.kind, w.role_arn, w.session_name, w.access_key_id,
                w.principal, w.principal_type, w.parent_access_key_id, w.source_ip, w.tags::jsonb, w.external_id,
                w.duration_seconds, w.packed_policy_size, w.error, w.cluster, w.vpc_endpoint, w.vpc_endpoint_account,
                $19
         from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                     $15::bigint[], $16::smallint[], $17::text[], $18::text[], $20::text[], $21::text[])
              as w (account_id, event_id, at, region, kind, role_arn, session_name, access_key_id, principal,
                    principal_type, parent_access_key_id, source_ip, tags, external_id, duration_seconds,
                    packed_policy_size, error, cluster, vpc_endpoint, vpc_endpoint_account)
         on conflict (account_id, event_id, at) do nothing",
        &accounts,
        &events,
        &times,
        &regions,
        &kinds,
        &roles as &[Option<String>],
        &names as &[Option<String>],
        &keys as &[Option<String>],
        &principals,
        &types,
        &parents as &[Option<String>],
        &sources as &[Option<String>],
        &tags,
        &external as &[Option<String>],
        &durations as &[Option<i64>],
        &packed as &[Option<i16>],
        &errors as &[Option<String>],
        &clusters as &[Option<String>],
        run.0,
        &endpoints as &[Option<String>],
        &owners as &[Option<String>]
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() > 0 {
        // Sessions that came before their parent, or before another account's record of themselves,
        // are to be looked at again.
        let keys: Vec<String> = keys.into_iter().flatten().collect();
        sqlx::query!(
            "update session set attribution_due = true
             where (parent_access_key_id = any($1) or access_key_id = any($1)) and not attribution_due",
            &keys
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(done.rows_affected())
}

/// Every session from a moment on, the oldest first.
pub(crate) async fn since(connection: &mut PgConnection, at: DateTime<Utc>) -> Result<Vec<Session>, Error> {
    let rows = select_sessions!("where at >= $1 order by at, account_id, event_id", at).fetch_all(connection).await?;
    rows.into_iter().map(Record::into_session).collect()
}

impl Store {
    /// Sessions from the newest, after the last of the page before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionAfter>,
        limit: u32,
    ) -> Result<Vec<Session>, Error> {
        let rows = of_filter!(
            select_sessions!,
            filter,
            "and ($16::timestamptz is null or at <= $16)
             and ($16::timestamptz is null or at < $16 or (account_id, event_id) > ($17, $18))
             order by at desc, account_id, event_id
             limit $19",
            after.map(|last| last.at),
            after.map(|last| last.account_id.to_string()),
            after.map(|last| last.event_id.clone()),
            parse::limit(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_session).collect()
    }

    /// A page of sessions, the oldest first: the other order backwards.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn oldest_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionAfter>,
        limit: u32,
    ) -> Result<Vec<Session>, Error> {
        let rows = of_filter!(
            select_sessions!,
            filter,
            "and ($16::timestamptz is null or at >= $16)
             and ($16::timestamptz is null or at > $16 or (account_id, event_id) < ($17, $18))
             order by at, account_id desc, event_id desc
             limit $19",
            after.map(|last| last.at),
            after.map(|last| last.account_id.to_string()),
            after.map(|last| last.event_id.clone()),
            parse::limit(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_session).collect()
    }

    /// How many sessions there are of each day, by whether they are attributed; days without any are left
    /// out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session_days(&self, filter: &SessionFilter) -> Result<Vec<SessionDay>, Error> {
        let rows = of_filter!(count_session_days!, filter, "group by 1 order by 1").fetch_all(&self.pool).await?;
        let days = rows.into_iter().map(|row| SessionDay {
            day: row.day,
            attributed: parse::count(row.attributed),
            ambiguous: parse::count(row.ambiguous),
            unattributed: parse::count(row.unattributed),
        });
        Ok(days.collect())
    }

    /// One session.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session(&self, account_id: AccountId, event_id: &str) -> Result<Option<Session>, Error> {
        let row = select_sessions!("where account_id = $1 and event_id = $2", account_id.to_string(), event_id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(Record::into_session).transpose()
    }

    /// From which sessions a session follows, and which follow from it, in whatever accounts. A
    /// session recorded in two accounts is given once.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn chain(&self, of: Session) -> Result<Chain, Error> {
        let mut met: BTreeSet<String> = of.access_key_id.iter().cloned().collect();
        let mut parent = of.parent_access_key_id.clone();
        let mut keys: Vec<String> = of.access_key_id.iter().cloned().collect();
        let mut up = vec![of];
        while let Some(key) = parent.take().filter(|key| met.insert(key.clone()) && up.len() < HOPS) {
            let row = select_sessions!(
                "where access_key_id = $1 order by (association_id is null), at, account_id limit 1",
                key
            )
            .fetch_optional(&self.pool)
            .await?;
            if let Some(row) = row.map(Record::into_session).transpose()? {
                parent.clone_from(&row.parent_access_key_id);
                up.push(row);
            }
        }
        up.reverse();
        let (mut down, mut more): (Vec<Session>, bool) = (Vec::new(), false);
        for _ in 0..HOPS {
            let room = BELOW.saturating_sub(down.len());
            let limit = i64::try_from(room.saturating_add(1)).unwrap_or(i64::MAX);
            let rows = select_sessions!(
                "where parent_access_key_id = any($1) order by at, account_id, event_id limit $2",
                &keys,
                limit
            )
            .fetch_all(&self.pool)
            .await?;
            more |= rows.len() > room;
            keys.clear();
            for row in rows.into_iter().take(room) {
                let row = row.into_session()?;
                match &row.access_key_id {
                    Some(key) if !met.insert(key.clone()) => continue,
                    Some(key) => keys.push(key.clone()),
                    None => {}
                }
                down.push(row);
            }
            if keys.is_empty() || more {
                break;
            }
        }
        down.sort_by(|a, b| (a.at, &a.event_id).cmp(&(b.at, &b.event_id)));
        Ok(Chain { up, down, more })
    }

    /// Drops the months that lie wholly before a moment, and names them. Readers are not held up.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn drop_sessions_before(&self, before: DateTime<Utc>) -> Result<Vec<String>, Error> {
        partition::drop_before(&self.pool, "session", before.date_naive()).await
    }
}
