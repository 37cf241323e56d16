//! What changed between scans: which resources a snapshot opened and closed, and the changes worked out of
//! that.
//!
//! Knows that a snapshot which changed anything owes its changes, and that the debt goes in the transaction
//! that keeps them. Refuses to know what a change means and who made it.

use crate::inventory::snapshot::{ResourceKind as Kind, marks_beside};
use crate::inventory::{coverage, estate};
use crate::parse::JsonText;
use crate::work::feed::NewEvents;
use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{ApprovalStep, Attributed, Change, Ended, SeenIn};
use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::{AssociationKey, Estate};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use std::collections::{BTreeMap, BTreeSet};

/// Two scans to compare: what differs between them, and what it takes to know what that means.
#[derive(Debug, Clone)]
pub struct ChangedScan {
    /// The later scan.
    pub run: RunId,
    /// The estate before it, as far as a change may matter to it.
    pub before: Estate,
    /// The estate after it.
    pub after: Estate,
    /// Listings that were complete before it.
    pub listed_before: Coverage,
    /// Listings that are complete with it.
    pub listed_after: Coverage,
    /// The accounts of which both estates have every role; `None`: of all.
    pub roles_of: Option<BTreeSet<AccountId>>,
    /// Between which moments the changes of each account were made.
    pub windows: BTreeMap<AccountId, (Option<DateTime<Utc>>, DateTime<Utc>)>,
}

/// A change as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeRow {
    /// The scan that shows it.
    pub run: RunId,
    /// What changed.
    pub change: Change,
    /// The date of the scan.
    pub detected_at: DateTime<Utc>,
    /// Between which moments it was made.
    pub since: Option<DateTime<Utc>>,
    /// See `since`.
    pub until: DateTime<Utc>,
    /// Who made it, as far as events tell.
    pub attributed: Attributed,
    /// When it takes hold, at the latest.
    pub effective_at: DateTime<Utc>,
    /// The last step of its approval; of a change that follows from another, of that one's.
    pub approval: Option<ApprovalStep>,
    /// Whether scans show it, or its call alone.
    pub seen_in: SeenIn,
    /// When it was over, where no scan shows it.
    pub ended: Option<Ended>,
}

/// Which changes; empty fields ask for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Of these accounts.
    pub account_id: Vec<String>,
    /// By their effect.
    pub effect: Vec<String>,
    /// By the ARN of who made them.
    pub actor: Vec<String>,
    /// That reach this workload.
    pub workload: Option<AssociationKey>,
    /// Of this resource.
    pub resource: Option<String>,
    /// That open one of these privilege-escalation paths, by id; `administrator`: any to an administrator.
    pub opens: Vec<String>,
    /// That close one of these.
    pub closes: Vec<String>,
    /// Of these types.
    pub resource_type: Vec<String>,
    /// By what changed.
    pub change: Vec<String>,
    /// By how far it is known who made them.
    pub attribution: Vec<String>,
    /// By what shows them.
    pub seen_in: Vec<String>,
    /// By their approval: its states, and `none`.
    pub approval: Vec<String>,
    /// Only those that follow from no other.
    pub roots: bool,
    /// Detected at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Detected before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// A place in the list of changes, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeAfter {
    /// The date of the scan.
    pub detected_at: DateTime<Utc>,
    /// The change.
    pub id: String,
}

impl ChangeRow {
    /// Its place in the list.
    #[must_use]
    pub fn after(&self) -> ChangeAfter {
        ChangeAfter { detected_at: self.detected_at, id: self.change.id.clone() }
    }
}

struct Row {
    run_id: i64,
    body: JsonText,
    detected_at: DateTime<Utc>,
    since: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    effective_at: DateTime<Utc>,
    attribution: String,
    attribution_because: String,
    is_trail_complete: bool,
    events: JsonText,
    seen_in: String,
    ended_at: Option<DateTime<Utc>>,
    ended_by: Option<String>,
    id: String,
    approval: Option<String>,
    approval_at: Option<DateTime<Utc>>,
    approval_who: Option<String>,
    approval_reason: Option<String>,
    approval_ticket: Option<String>,
    approval_until: Option<DateTime<Utc>>,
    approval_baseline: Option<String>,
}

/// A query for changes with the last steps of their approvals; the list of columns is written once.
macro_rules! select_changes {
    ($first:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select c.id, c.run_id,
                      case when row_security_active('change') then limited_change_body(c.body::jsonb)::json
                           else c.body end as "body!: JsonText",
                      c.detected_at, c.since, c.until, c.effective_at, c.attribution,
                      case when row_security_active('change')
                           then limited_words(c.attribution_because, array[c.resource])
                           else c.attribution_because end as "attribution_because!", c.is_trail_complete, c.events as "events: JsonText", c.seen_in, c.ended_at,
                      c.ended_by, a.state as "approval?", a.at as "approval_at?",
                      a.who as "approval_who?", a.reason as "approval_reason?", a.ticket as "approval_ticket?",
                      a.until as "approval_until?", a.baseline as "approval_baseline?"
               from change c
               left join change_approval a on a.account_id = c.account_id
                                          and a.change_id = coalesce(c.caused_by, c.id)
               "# + $first $(+ $more)*
            $(, $arg)*
        )
    };
}

/// The ids of changes, and nothing else. PostgreSQL plans a statement with optional conditions anew for each request, which
/// for all columns takes longer than reading them.
macro_rules! select_ids {
    ($first:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_scalar!(
            "select c.id from change c
             left join change_approval a on a.account_id = c.account_id and a.change_id = coalesce(c.caused_by, c.id)
             " + $first $(+ $more)*
            $(, $arg)*
        )
    };
}

macro_rules! count_changes {
    ($first:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_scalar!(
            r#"select count(*) as "number!" from (
                   select from change c
                   left join change_approval a on a.account_id = c.account_id
                                              and a.change_id = coalesce(c.caused_by, c.id)
                   "# + $first $(+ $more)*
            $(, $arg)*
        )
    };
}

/// A query over the changes of a filter, whose condition and fifteen parameters are written once;
/// `$tail` follows them, and its own parameters count from `$16`.
macro_rules! of_filter {
    ($query:ident!, $filter:ident, $tail:literal $(, $arg:expr)* $(,)?) => {
        $query!(
            "where (cardinality($1::text[]) = 0 or c.account_id = any($1))
               and (cardinality($2::text[]) = 0 or c.effect = any($2))
               and (cardinality($3::text[]) = 0 or c.actor = any($3))
               and ($4::text is null
                    -- Whether a change reaches a workload is not told of one that is not seen.
                    or c.affected @> array[$4::text]
                       and (not row_security_active('change') or $4 in (select key from limited_association)))
               and ($5::text is null or c.resource = $5)
               and (cardinality($6::text[]) = 0 or c.resource_type = any($6))
               and (cardinality($7::text[]) = 0 or c.change = any($7))
               and (cardinality($8::text[]) = 0 or c.attribution = any($8))
               and ($9::timestamptz is null or c.detected_at >= $9)
               and ($10::timestamptz is null or c.detected_at < $10)
               and (cardinality($11::text[]) = 0 or coalesce(a.state, 'none') = any($11))
               and (not $12 or c.caused_by is null)
               and (cardinality($13::text[]) = 0 or c.seen_in = any($13))
               and (cardinality($14::text[]) = 0 or exists (
                       select from jsonb_array_elements(
                           case when row_security_active('change') then limited_change_body(c.body::jsonb)
                                else c.body::jsonb end
                           #> '{escalations,opens}') as it
                       where it ->> 'path' = any($14)
                          or it ->> 'to_administrator' = 'true' and 'administrator' = any($14)))
               and (cardinality($15::text[]) = 0 or exists (
                       select from jsonb_array_elements(
                           case when row_security_active('change') then limited_change_body(c.body::jsonb)
                                else c.body::jsonb end
                           #> '{escalations,closes}') as it
                       where it ->> 'path' = any($15)
                          or it ->> 'to_administrator' = 'true' and 'administrator' = any($15)))
             " + $tail,
            &$filter.account_id,
            &$filter.effect,
            &$filter.actor,
            $filter.workload.as_ref().map(ToString::to_string),
            $filter.resource.as_ref(),
            &$filter.resource_type,
            &$filter.change,
            &$filter.attribution,
            $filter.since,
            $filter.until,
            &$filter.approval,
            $filter.roots,
            &$filter.seen_in,
            &$filter.opens,
            &$filter.closes,
            $($arg,)*
        )
    };
}

fn from_row(row: Row) -> Result<ChangeRow, Error> {
    const TABLE: &str = "change";
    let approval = match (row.approval, row.approval_at, row.approval_who, row.approval_reason) {
        (Some(state), Some(at), Some(who), Some(reason)) => Some(ApprovalStep {
            state: parse::text("approval", &row.id, &state)?,
            at,
            who,
            reason,
            ticket: row.approval_ticket,
            until: row.approval_until,
            baseline: row.approval_baseline,
        }),
        _ => None,
    };
    Ok(ChangeRow {
        approval,
        run: RunId(row.run_id),
        change: parse::json(TABLE, &row.id, &row.body)?,
        detected_at: row.detected_at,
        since: row.since,
        until: row.until,
        attributed: Attributed {
            attribution: parse::text(TABLE, &row.id, &row.attribution)?,
            because: row.attribution_because,
            calls: parse::json(TABLE, &row.id, &row.events)?,
            is_trail_complete: row.is_trail_complete,
        },
        effective_at: row.effective_at,
        seen_in: parse::text(TABLE, &row.id, &row.seen_in)?,
        ended: row.ended_at.map(|at| Ended { at, by: row.ended_by }),
    })
}

impl Store {
    /// The runs whose changes are not worked out yet, the oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn owed_changes(&self) -> Result<Vec<RunId>, Error> {
        let rows =
            sqlx::query_scalar!("select run_id from owed_change where account_id = $1 order by run_id", INSTALLATION)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(RunId).collect())
    }

    /// The estate before and after a run, as far as what it changed may matter: all workloads with their
    /// roles, policies and the organization, and whatever the run changed.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn changed_scan(&self, run: RunId) -> Result<ChangedScan, Error> {
        const TABLE: &str = "changed_resource";
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let touched = sqlx::query!(
            "select account_id, kind, key, region, cluster, listed_before, since, until
             from changed_resource where run_id = $1",
            run.0
        )
        .fetch_all(&mut *tx)
        .await?;
        let (mut listed_before, mut listed_after) = (Coverage::default(), Coverage::default());
        let mut windows: BTreeMap<AccountId, (Option<DateTime<Utc>>, DateTime<Utc>)> = BTreeMap::new();
        for row in &touched {
            let account = parse::account(TABLE, &row.account_id)?;
            windows.entry(account).or_insert((row.since, row.until));
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let kind = parse::text("resource", &row.kind, &row.kind)?;
            let scope = match kind {
                Kind::Account => Some(Scope::global(account, ScopeKind::Organization)),
                kind => kind.scope(account, text(&row.region).as_deref(), text(&row.cluster).as_deref()),
            };
            if let (Some(scope), true) = (scope, row.listed_before) {
                listed_before.complete(scope.clone());
                listed_after.complete(scope);
            }
        }
        let roles_of = estate::roles_of_change(&mut tx, run).await?;
        let is_whole = roles_of.is_none();
        let mut before = estate::of_change(&mut tx, run, true, is_whole).await?;
        let mut after = estate::of_change(&mut tx, run, false, is_whole).await?;
        // What one scan and the next could not see is the same for both sides: only what was written differs.
        after.coverage = coverage::latest(&mut tx, None).await?;
        after.unconfirmed = marks_beside(&mut tx, None, None).await?;
        after.assumed = estate::assumed(&mut tx, None).await?;
        tx.rollback().await?;
        before.coverage = after.coverage.clone();
        before.unconfirmed = after.unconfirmed.clone();
        before.assumed = after.assumed.clone();
        Ok(ChangedScan { run, before, after, listed_before, listed_after, roles_of, windows })
    }

    /// Keeps the changes of a run, and settles what it owed.
    ///
    /// # Errors
    /// Where the database fails; then the run still owes them.
    pub async fn keep_changes(&self, run: RunId, changes: &[ChangeRow]) -> Result<u64, Error> {
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        let owed = sqlx::query!("delete from owed_change where account_id = $1 and run_id = $2", INSTALLATION, run.0)
            .execute(&mut *tx)
            .await?;
        // Another process has kept them.
        if owed.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(0);
        }
        let mut kept = 0;
        for row in changes {
            let change = &row.change;
            let affected: Vec<String> = change.affected.iter().map(|it| it.workload.to_string()).collect();
            let done = sqlx::query!(
                "insert into change (account_id, id, run_id, resource_type, resource, change, effect, affected,
                                     detected_at, since, until, body, attribution, attribution_because, event_time,
                                     effective_at, actor, events, is_trail_complete)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json, $13, $14, $15, $16, $17,
                         $18::text::jsonb, $19)
                 on conflict (account_id, id) do nothing",
                change.account_id.to_string(),
                change.id,
                run.0,
                change.resource.kind.as_str(),
                parse::storable(&change.resource.name),
                change.change,
                change.effect.as_str(),
                &affected,
                row.detected_at,
                row.since,
                row.until,
                parse::json_text(change),
                row.attributed.attribution.as_str(),
                parse::storable(&row.attributed.because),
                row.attributed.event_time(),
                row.effective_at,
                row.attributed.actor().map(parse::storable),
                parse::json_text(&row.attributed.calls),
                row.attributed.is_trail_complete
            )
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() > 0 {
                kept += 1;
                tell(&mut told, "change.detected", row);
            }
        }
        told.write(&mut tx, self.behind).await?;
        tx.commit().await?;
        Ok(kept)
    }

    /// Changes of which it is not known who made them, made at this moment or later: events may have come
    /// since.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn unattributed_changes(&self, since: DateTime<Utc>) -> Result<Vec<ChangeRow>, Error> {
        let rows =
            select_changes!("where c.attribution <> 'exact' and c.until >= $1 order by c.detected_at, c.id", since)
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(from_row).collect()
    }

    /// Keeps who made a change. Rules may ask for that, so it is judged again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attribute_change(&self, row: &ChangeRow) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let mut told = NewEvents::begin(&mut tx).await?;
        sqlx::query!(
            "update change set attribution = $3, attribution_because = $4, event_time = $5, effective_at = $6,
                               actor = $7, events = $8::text::jsonb, is_trail_complete = $9, passed_under = null
             where account_id = $1 and id = $2",
            row.change.account_id.to_string(),
            row.change.id,
            row.attributed.attribution.as_str(),
            parse::storable(&row.attributed.because),
            row.attributed.event_time(),
            row.effective_at,
            row.attributed.actor().map(parse::storable),
            parse::json_text(&row.attributed.calls),
            row.attributed.is_trail_complete
        )
        .execute(&mut *tx)
        .await?;
        tell(&mut told, "change.updated", row);
        told.write(&mut tx, self.behind).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A page of changes, the latest first.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn changes(
        &self,
        filter: &ChangeFilter,
        after: Option<&ChangeAfter>,
        limit: u32,
    ) -> Result<Vec<ChangeRow>, Error> {
        page(&mut *self.pool.acquire().await?, filter, after, limit).await
    }

    /// A page of changes, the oldest first.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn oldest_changes(
        &self,
        filter: &ChangeFilter,
        after: Option<&ChangeAfter>,
        limit: u32,
    ) -> Result<Vec<ChangeRow>, Error> {
        let mut connection = self.pool.acquire().await?;
        let ids = of_filter!(
            select_ids!,
            filter,
            "and ($16::timestamptz is null or (c.detected_at, c.id) > ($16, $17::text))
             order by c.detected_at, c.id
             limit $18",
            after.map(|after| after.detected_at),
            after.map(|after| after.id.as_str()),
            parse::limit(limit),
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut rows = by_ids(&mut *connection, &ids).await?;
        rows.reverse();
        Ok(rows)
    }

    /// The changes of these ids that there are, in no order.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn changes_by_ids(&self, ids: &[String]) -> Result<Vec<ChangeRow>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = select_changes!("where c.id = any($1) order by c.id", ids).fetch_all(&self.pool).await?;
        rows.into_iter().map(from_row).collect()
    }

    /// One change.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn change(&self, id: &str) -> Result<Option<ChangeRow>, Error> {
        one(&self.pool, id).await
    }

    /// How many changes since a moment, by effect.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn changes_since(&self, since: DateTime<Utc>) -> Result<BTreeMap<String, u64>, Error> {
        let rows = sqlx::query!(
            r#"select effect, count(*) as "number!" from change
               where detected_at >= $1 and caused_by is null group by effect"#,
            since
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.effect, parse::count(row.number))).collect())
    }
}

/// Tells what happened to a change.
pub(super) fn tell(told: &mut NewEvents, kind: &'static str, row: &ChangeRow) {
    let change = &row.change;
    let detail = json!({
        "change": change.change, "effect": change.effect.as_str(), "resource": change.resource.name,
        "attribution": row.attributed.attribution.as_str(),
    });
    told.tell(&change.account_id.to_string(), kind, &change.id, "scanner", &detail);
}

pub(super) async fn page(
    connection: &mut PgConnection,
    filter: &ChangeFilter,
    after: Option<&ChangeAfter>,
    limit: u32,
) -> Result<Vec<ChangeRow>, Error> {
    let (at, id) = (after.map(|after| after.detected_at), after.map(|after| after.id.as_str()));
    let ids = if *filter == ChangeFilter::default() {
        // Without conditions the plan is kept.
        sqlx::query_scalar!(
            "select id from change
             where (detected_at, id) < (coalesce($1::timestamptz, 'infinity'::timestamptz), coalesce($2::text, ''))
             order by detected_at desc, id desc limit $3",
            at,
            id,
            i64::from(limit)
        )
        .fetch_all(&mut *connection)
        .await?
    } else {
        of_filter!(
            select_ids!,
            filter,
            "and ($16::timestamptz is null or (c.detected_at, c.id) < ($16, $17::text))
             order by c.detected_at desc, c.id desc
             limit $18",
            at,
            id,
            i64::from(limit),
        )
        .fetch_all(&mut *connection)
        .await?
    };
    by_ids(connection, &ids).await
}

/// How many changes a filter has, counted up to a limit.
pub(super) async fn count(executor: impl PgExecutor<'_>, filter: &ChangeFilter, limit: u32) -> Result<u64, Error> {
    let number =
        of_filter!(count_changes!, filter, "limit $16) as counted", i64::from(limit)).fetch_one(executor).await?;
    Ok(parse::count(number))
}

pub(super) async fn one(executor: impl PgExecutor<'_>, id: &str) -> Result<Option<ChangeRow>, Error> {
    let row = select_changes!("where c.id = $1", id).fetch_optional(executor).await?;
    row.map(from_row).transpose()
}

/// Changes by their ids, the latest first.
pub(super) async fn by_ids(executor: impl PgExecutor<'_>, ids: &[String]) -> Result<Vec<ChangeRow>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows =
        select_changes!("where c.id = any($1) order by c.detected_at desc, c.id desc", ids).fetch_all(executor).await?;
    rows.into_iter().map(from_row).collect()
}

/// The changes of an account that scans show, made at a moment or later.
pub(super) async fn of_account(
    executor: impl PgExecutor<'_>,
    account: AccountId,
    since: DateTime<Utc>,
) -> Result<Vec<ChangeRow>, Error> {
    let rows = select_changes!(
        "where c.account_id = $1 and c.until >= $2 and c.seen_in = 'snapshots' order by c.run_id, c.id",
        account.to_string(),
        since
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(from_row).collect()
}

/// The changes that are to be judged by rules of a digest; see [`Store::open_changes`]. What no scan has shown
/// yet the next one shows, and is judged then.
pub(super) async fn open_rows(
    executor: impl PgExecutor<'_>,
    rules: &str,
    since: DateTime<Utc>,
) -> Result<Vec<ChangeRow>, Error> {
    let rows = select_changes!(
        "where c.caused_by is null and (c.seen_in = 'snapshots' or c.ended_at is not null)
           and ((c.passed_under is distinct from $1 and (c.detected_at >= $2 or a.state is not null))
                or exists (select from finding f
                           where f.account_id = c.account_id and f.subject_kind = 'change' and f.subject_key = c.id
                             and f.workflow <> 'resolved'))
         order by c.run_id, c.id",
        rules,
        since
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(from_row).collect()
}

/// See [`Store::changes_of_baselines`]. An add-on or access entry has the baseline of its cluster. What was
/// over before a scan led to no state that is there.
pub(super) async fn of_baselines(executor: impl PgExecutor<'_>) -> Result<Vec<ChangeRow>, Error> {
    let rows = select_changes!(
        "where c.caused_by is null and c.seen_in = 'snapshots'
           and exists (
               select from baseline b
               where b.account_id = c.account_id and b.ended_at is null and (b.until is null or b.until > now())
                 and (b.resource = c.resource and b.resource_type = c.resource_type
                      or b.resource_type = 'AWS::EKS::Cluster'
                         and (c.resource_type = 'AWS::EKS::Addon'
                              and starts_with(c.resource, replace(b.resource, ':cluster/', ':addon/') || '/')
                              or c.resource_type = 'AWS::EKS::AccessEntry'
                              and starts_with(c.resource, replace(b.resource, ':cluster/', ':access-entry/') || '/')))
                 and (a.state is null or a.state = 'expired' or a.state = 'withdrawn' and a.at < b.at))
         order by c.run_id, c.id"
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(from_row).collect()
}

/// The changes of the same resources that later scans show, the oldest first. What was over before a scan took the
/// place of nothing that is there.
pub(super) async fn later_than(executor: impl PgExecutor<'_>, ids: &[String]) -> Result<Vec<ChangeRow>, Error> {
    let rows = select_changes!(
        "where exists (select from change of where of.id = any($1) and of.account_id = c.account_id
                         and of.resource_type = c.resource_type and of.resource = c.resource
                         and of.run_id < c.run_id)
           and c.seen_in = 'snapshots'
         order by c.run_id, c.id",
        ids
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(from_row).collect()
}
