//! The statements that read findings: the columns once, the conditions of a filter once.

use super::row::FindingRow;
use crate::findings::suppressions::SuppressionRow;
use crate::findings::tickets::TicketRow;
use crate::parse::JsonText;
use crate::work::runs::RunId;
use crate::{Error, parse};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::finding::triage::due::{DueDays, Elapsed};
use rolecall_audit::verdict::Fingerprint;
use rolecall_rules::Subject;

pub(super) struct Record {
    pub(super) account_id: String,
    pub(super) fingerprint: String,
    pub(super) number: i64,
    pub(super) rule: String,
    pub(super) severity: String,
    pub(super) severity_because: Option<String>,
    pub(super) part_of: Option<String>,
    pub(super) parts: i64,
    pub(super) assumptions: JsonText,
    pub(super) workload_count: i32,
    pub(super) workloads: Option<Vec<String>>,
    pub(super) subject_kind: String,
    pub(super) subject_key: String,
    pub(super) region: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) service_account: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) target_role_arn: Option<String>,
    pub(super) detection: String,
    pub(super) workflow: String,
    pub(super) resolution: Option<String>,
    pub(super) message: String,
    pub(super) exception: Option<JsonText>,
    pub(super) stale_why: JsonText,
    pub(super) first_seen_at: DateTime<Utc>,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) last_seen_at: DateTime<Utc>,
    pub(super) seen_by_latest: bool,
    pub(super) resolved_at: Option<DateTime<Utc>>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) reopened_count: i32,
    pub(super) assignee: Option<String>,
    pub(super) owner: Option<JsonText>,
    pub(super) paused_seconds: i64,
    pub(super) suppressions: Option<JsonText>,
    pub(super) tickets: Option<JsonText>,
    pub(super) now: DateTime<Utc>,
    pub(super) first_run: i64,
    pub(super) last_run: i64,
    pub(super) version: i64,
    pub(super) change_seq: i64,
}

/// The columns of [`Record`], written once, of `finding` as `f`; `$tail` is the rest of the statement. What is asked in a
/// `select` of its own is asked once, and not of each row.
macro_rules! select_findings {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select f.account_id, f.fingerprint, f.number, f.rule, f.severity,
                      case when (select row_security_active('finding'))
                           then limited_text(f.account_id, f.fingerprint, f.severity_because)
                           else f.severity_because end as severity_because,
                      f.part_of,
                      case when f.had_part then (
                          select count(*) from finding p where p.part_of = f.fingerprint and p.workflow <> 'resolved')
                          else 0 end as "parts!",
                      f.assumptions as "assumptions: JsonText",
                      -- The column counts those that whoever asks may not see, too.
                      case when f.workloads > 0 and (select row_security_active('finding_workload')) then (
                          select count(*)::int from finding_workload w
                          where w.account_id = f.account_id and w.fingerprint = f.fingerprint)
                          else f.workloads end as "workload_count!",
                      -- Of some of them it may not be told, too.
                      case when f.workloads = 0 then null
                           when f.first_workloads is not null and not (select row_security_active('finding_workload'))
                           then f.first_workloads
                           else array(
                               select w.via || ' ' || w.association from finding_workload w
                               where w.account_id = f.account_id and w.fingerprint = f.fingerprint
                               order by array_position('{direct,target,chain}'::text[], w.via), w.association limit 10)
                           end as workloads,
                      f.subject_kind, f.subject_key, f.region, f.cluster, f.namespace, f.service_account, f.role_arn,
                      f.target_role_arn, f.detection, f.workflow, f.resolution,
                      case when (select row_security_active('finding')) then limited_text(f.account_id, f.fingerprint, f.message)
                           else f.message end as "message!",
                      f.exception as "exception: JsonText",
                      case when (select row_security_active('finding')) then limited_reasons(f.stale_why)
                           else f.stale_why end as "stale_why!: JsonText",
                      f.first_seen_at, f.opened_at,
                      coalesce(f.last_seen_at, (select judged_at from run where judged_at is not null
                                                order by id desc limit 1), f.updated_at) as "last_seen_at!",
                      f.last_seen_at is null as "seen_by_latest!",
                      f.resolved_at, f.updated_at, f.reopened_count, f.assignee, f.paused_seconds,
                      -- What has the tag, and what was not seen, may be out of sight.
                      case when (select row_security_active('finding')) then f.owner_because - array['resource', 'why']
                           else f.owner_because end as "owner: JsonText",
                      case when f.had_suppression then (
                          select json_agg(row_to_json(s)) from suppression s
                          where s.account_id = f.account_id and s.fingerprint = f.fingerprint and s.ended_at is null) end
                          as "suppressions: JsonText",
                      case when f.had_ticket then (
                          select json_agg(row_to_json(t) order by t.system) from finding_ticket t
                          where t.account_id = f.account_id and t.fingerprint = f.fingerprint) end as "tickets: JsonText",
                      now() as "now!", f.first_run,
                      coalesce(f.last_run, (select id from run where judged_at is not null order by id desc limit 1),
                               f.first_run) as "last_run!",
                      f.version, f.change_seq "# + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// The numbers of findings, and nothing else. PostgreSQL plans a statement with optional conditions anew for each request,
/// since what is asked for decides which index serves; for all columns that takes longer than reading them.
macro_rules! select_numbers {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_scalar!(
            "select f.number " + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// How many findings there are, up to a limit that `$tail` gives.
macro_rules! count_findings {
    ($first:literal $(+ $tail:literal)* $(, $arg:expr)* $(,)?) => {
        sqlx::query_scalar!(
            r#"select count(*) as "count!" from (select 1 "# + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

/// The findings that are listed by themselves, by people's side and severity alone: what pages and bots ask for most.
/// Parameters of `$tail` count from `$4`.
macro_rules! of_state {
    ($query:ident!, $bound:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            "from finding f where f.part_of is null and f.workflow = any($1::text[])
               and (cardinality($2::smallint[]) = 0 or f.severity_rank = any($2)) and f.severity_rank >= $3 "
                + $tail $(+ $more)*,
            &$bound.states,
            &$bound.ranks,
            $bound.least_rank,
            $($arg,)*
        )
    };
}

/// The same for a page of at most `SHORT` findings. The number is written into the statement, so that
/// PostgreSQL knows without the parameters how little there is to read, and keeps its plan: otherwise it
/// plans anew for each page, which costs more than reading it.
macro_rules! of_short_page {
    ($query:ident!, $bound:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            "from (select * from finding f where f.part_of is null and f.workflow = any($1::text[])
                   and (cardinality($2::smallint[]) = 0 or f.severity_rank = any($2)) and f.severity_rank >= $3 "
                + $tail $(+ $more)*,
            &$bound.states,
            &$bound.ranks,
            $bound.least_rank,
            $($arg,)*
        )
    };
}

/// The same for states that leave out what is resolved, which the statement says, so that the index of those serves the
/// plan that is kept.
macro_rules! of_unresolved_page {
    ($query:ident!, $bound:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            "from (select * from finding f where f.part_of is null and f.workflow <> 'resolved'
                   and f.workflow = any($1::text[])
                   and (cardinality($2::smallint[]) = 0 or f.severity_rank = any($2)) and f.severity_rank >= $3 "
                + $tail $(+ $more)*,
            &$bound.states,
            &$bound.ranks,
            $bound.least_rank,
            $($arg,)*
        )
    };
}

/// The findings of a filter that names no place; its condition and parameters are written once.
/// Parameters of `$tail` count from `$23`.
macro_rules! of_filter {
    ($query:ident!, $bound:ident, $filter:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        with_conditions!($query!, $bound, $filter, "from finding f ", $tail $(+ $more)* $(, $arg)*)
    };
}

/// The findings of a filter that names a place or a way: those whose subject is there, and those on
/// roles that a workload there reaches. Parameters of `$tail` count from `$34`.
macro_rules! of_place {
    ($query:ident!, $bound:ident, $filter:ident, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        with_conditions!(
            $query!,
            $bound,
            $filter,
            "from (
                 select o.account_id, o.fingerprint from finding o
                 where $23::bool
                   and ($24::text is null or o.region = $24)
                   and ($25::text is null or o.cluster = $25)
                   and ($26::text is null or o.namespace = $26)
                   and ($27::text is null or o.service_account = $27)
                   and ($28::text is null or o.subject_key = $28
                        or (o.subject_kind = 'session' and o.cluster = $29 and o.namespace = $30
                            and o.service_account = $31))
                   and ($33::text is null or (o.account_id = $33 and o.cluster is not null))
                   and (num_nonnulls($24, $25, $26, $27, $28, $33) > 0 or o.namespace is not null)
                   -- As below, so that an index of those that are not resolved serves.
                   and (cardinality($1::text[]) = 0 or o.workflow = any($1))
                   and (cardinality($3::text[]) = 0 or o.severity = any($3))
                   and ($4::smallint is null or o.severity_rank >= $4)
                 union
                 select w.account_id, w.fingerprint from finding_workload w
                 where w.via = any($32::text[])
                   and ($24::text is null or w.region = $24)
                   and ($25::text is null or w.cluster = $25)
                   and ($26::text is null or w.namespace = $26)
                   and ($27::text is null or w.service_account = $27)
                   and ($28::text is null or w.association = $28)
                   and ($33::text is null or w.cluster_account_id = $33)
             ) place join finding f on f.account_id = place.account_id and f.fingerprint = place.fingerprint ",
            $tail $(+ $more)*,
            $bound.own,
            $filter.region,
            $filter.cluster,
            $filter.namespace,
            $filter.service_account,
            $bound.association,
            $filter.association.as_ref().map(|key| key.cluster.to_string()),
            $filter.association.as_ref().map(|key| key.namespace.to_string()),
            $filter.association.as_ref().map(|key| key.service_account.to_string()),
            &$bound.ways,
            $bound.cluster_account
            $(, $arg)*
        )
    };
}

macro_rules! with_conditions {
    ($query:ident!, $bound:ident, $filter:ident, $from:literal, $tail:literal $(+ $more:literal)* $(, $arg:expr)* $(,)?) => {
        $query!(
            $from + "where (cardinality($1::text[]) = 0 or f.workflow = any($1))
               and (cardinality($2::text[]) = 0 or f.detection = any($2))
               and (cardinality($3::text[]) = 0 or f.severity = any($3))
               and ($4::smallint is null or f.severity_rank >= $4)
               and (cardinality($5::text[]) = 0
                    or case when cardinality($5) = 1 then f.account_id = ($5)[1] else f.account_id = any($5) end)
               and (cardinality($6::text[]) = 0
                    or case when cardinality($6) = 1 then f.rule = ($6)[1] else f.rule = any($6) end)
               and (cardinality($7::text[]) = 0 or f.subject_kind = any($7))
               and ($8::text is null or f.subject_key = $8)
               and ($9::text is null or f.role_arn = $9 or f.target_role_arn = $9)
               and ($10::timestamptz is null or f.updated_at >= $10)
               and ($11::timestamptz is null or f.first_seen_at >= $11)
               and ($12::text is null
                    or position(lower($12) in lower(
                        case when row_security_active('finding')
                             then limited_text(f.account_id, f.fingerprint, f.message) else f.message end
                        || ' ' || f.subject_key || ' ' || f.rule)) > 0)
               and ($13::bool or f.part_of is null)
               and ($14::text is null or f.part_of = $14)
               and (cardinality($15::text[]) = 0
                    or case when cardinality($15) = 1 then f.assignee = ($15)[1] else f.assignee = any($15) end)
               and ($16::bool is null or (f.assignee is not null) = $16)
               and (cardinality($17::text[]) = 0
                    or case when f.workflow = 'resolved' or ($18::int[])[f.severity_rank + 1] = 0 then null
                            when f.workflow = 'suppressed' then 'paused'
                            when f.opened_at + make_interval(secs => f.paused_seconds)
                                 + make_interval(hours => ($18::int[])[f.severity_rank + 1]) <= now() then 'overdue'
                            when f.opened_at + make_interval(secs => f.paused_seconds)
                                 + make_interval(hours => ($18::int[])[f.severity_rank + 1]
                                                          - ($19::int[])[f.severity_rank + 1]) <= now() then 'due_soon'
                            else 'ok' end = any($17))
               and ($20::text is null
                    -- A subselect that is no `exists`: PostgreSQL would read all tickets for that.
                    or case when $20 = 'none' then not f.had_ticket
                                 or (select true from finding_ticket t
                                     where t.account_id = f.account_id and t.fingerprint = f.fingerprint
                                       and t.key is not null limit 1) is null
                            when $20 = 'any' then f.had_ticket
                                 and (select true from finding_ticket t
                                      where t.account_id = f.account_id and t.fingerprint = f.fingerprint
                                        and t.key is not null limit 1)
                            else f.had_ticket
                                 and (select true from finding_ticket t
                                      where t.account_id = f.account_id and t.fingerprint = f.fingerprint
                                        and t.key is not null and t.system = $20 limit 1) end)
               and (cardinality($21::text[]) = 0
                    or case when cardinality($21) = 1 then f.owner = ($21)[1] else f.owner = any($21) end)
               and ($22::text is null or coalesce(f.owned, 'unknown') = $22)
             " + $tail $(+ $more)*,
            &$bound.workflow,
            &$bound.detection,
            &$bound.severity,
            $bound.severity_min,
            &$bound.accounts,
            &$filter.rules,
            &$bound.kinds,
            $filter.subject_key,
            $filter.role_arn,
            $filter.updated_since,
            $filter.first_seen_after,
            $filter.q,
            $bound.folded,
            $bound.part_of,
            &$filter.assignees,
            $filter.assigned,
            &$bound.due,
            &$bound.due_hours,
            &$bound.soon_hours,
            $bound.ticket,
            &$filter.owners,
            $bound.owned,
            $($arg,)*
        )
    };
}

/// A page of a family of statements, in each order that there is: each order has its own index. `$select` gives what is
/// read of each finding.
/// `$a`, `$b`, `$c` and `$d` are the parameters of the family's tail; `$most`, where the family reads from a
/// list of its own, is how long that one is.
macro_rules! page_of {
    ($select:ident!, $of:ident!($($known:ident),*), [$a:literal, $b:literal, $c:literal, $d:literal $(; $most:literal)?], $pool:expr, $sort:ident, $from:ident, $limit:ident) => {
        match $sort {
            FindingSort::Severity => {
                $of!(
                    $select!,
                    $($known,)*
                    "and (f.severity_rank, f.number) < (" + $a + "::smallint, " + $b + "::bigint)
                     order by f.severity_rank desc, f.number desc limit "
                        $(+ $most + ") f order by f.severity_rank desc, f.number desc limit ")? + $c,
                    $from.rank,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::LastSeen => {
                $of!(
                    $select!,
                    $($known,)*
                    "and (coalesce(f.last_seen_at, 'infinity'::timestamptz), f.number)
                         < (coalesce(" + $a + "::timestamptz, 'infinity'::timestamptz), " + $b + "::bigint)
                     order by coalesce(f.last_seen_at, 'infinity'::timestamptz) desc, f.number desc limit "
                        $(+ $most + ") f order by coalesce(f.last_seen_at, 'infinity'::timestamptz) desc,
                                    f.number desc limit ")? + $c,
                    $from.at,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Opened => {
                $of!(
                    $select!,
                    $($known,)*
                    "and (f.opened_at, f.number) < (coalesce(" + $a + "::timestamptz, 'infinity'::timestamptz), " + $b
                        + "::bigint) order by f.opened_at desc, f.number desc limit "
                        $(+ $most + ") f order by f.opened_at desc, f.number desc limit ")? + $c,
                    $from.at,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::FirstSeen => {
                $of!(
                    $select!,
                    $($known,)*
                    "and (f.first_seen_at, f.number) < (coalesce(" + $a + "::timestamptz, 'infinity'::timestamptz), "
                        + $b + "::bigint) order by f.first_seen_at desc, f.number desc limit "
                        $(+ $most + ") f order by f.first_seen_at desc, f.number desc limit ")? + $c,
                    $from.at,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Oldest => {
                $of!(
                    $select!,
                    $($known,)*
                    "and (f.opened_at, f.number) > (coalesce(" + $a + "::timestamptz, '-infinity'::timestamptz), " + $b
                        + "::bigint) order by f.opened_at, f.number limit "
                        $(+ $most + ") f order by f.opened_at, f.number limit ")? + $c,
                    $from.at,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Account => {
                $of!(
                    $select!,
                    $($known,)*
                    "and f.account_id >= " + $a + "::text and (f.account_id > " + $a
                        + "::text or (f.severity_rank, f.number) < (" + $b + "::smallint, " + $c + "::bigint))
                     order by f.account_id, f.severity_rank desc, f.number desc limit "
                        $(+ $most + ") f order by f.account_id, f.severity_rank desc, f.number desc limit ")? + $d,
                    $from.text,
                    $from.rank,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Rule => {
                $of!(
                    $select!,
                    $($known,)*
                    "and f.rule >= " + $a + "::text and (f.rule > " + $a
                        + "::text or (f.severity_rank, f.number) < (" + $b + "::smallint, " + $c + "::bigint))
                     order by f.rule, f.severity_rank desc, f.number desc limit "
                        $(+ $most + ") f order by f.rule, f.severity_rank desc, f.number desc limit ")? + $d,
                    $from.text,
                    $from.rank,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
            FindingSort::Number => {
                $of!(
                    $select!,
                    $($known,)*
                    "and f.number < " + $a + "::bigint order by f.number desc limit "
                        $(+ $most + ") f order by f.number desc limit ")? + $b,
                    $from.number,
                    $limit
                )
                .fetch_all($pool)
                .await?
            }
        }
    };
}

impl Record {
    pub(super) fn into_row(self, due: &DueDays) -> Result<FindingRow, Error> {
        const TABLE: &str = "finding";
        let key = self.fingerprint;
        let subject = Subject {
            kind: parse::text(TABLE, &key, &self.subject_kind)?,
            key: self.subject_key,
            account_id: parse::account(TABLE, &self.account_id)?,
            region: self.region,
            cluster: self.cluster,
            namespace: self.namespace,
            service_account: self.service_account,
            role_arn: self.role_arn,
            target_role_arn: self.target_role_arn,
        };
        let suppressions: Vec<SuppressionRow> = match self.suppressions {
            Some(open) => parse::json("suppression", &key, &open)?,
            None => Vec::new(),
        };
        let tickets: Vec<TicketRow> = match self.tickets {
            Some(tickets) => parse::json("finding_ticket", &key, &tickets)?,
            None => Vec::new(),
        };
        let (in_force, requested): (Vec<_>, Vec<_>) =
            suppressions.into_iter().partition(|suppression| suppression.in_force_at.is_some());
        let severity = parse::text(TABLE, &key, &self.severity)?;
        let workflow = parse::text(TABLE, &key, &self.workflow)?;
        let elapsed = Elapsed {
            opened_at: self.opened_at,
            paused: TimeDelta::try_seconds(self.paused_seconds).unwrap_or_default(),
        };
        let workloads = self.workloads.iter().flatten().map(|named| {
            let (via, association) = named.split_once(' ').unwrap_or_default();
            workload(&key, association, via)
        });
        Ok(FindingRow {
            number: self.number,
            rule: self.rule,
            severity,
            severity_because: self.severity_because,
            part_of: self.part_of.map(Fingerprint),
            parts: parse::count(self.parts),
            assumptions: parse::json(TABLE, &key, &self.assumptions)?,
            workload_count: parse::count(self.workload_count.into()),
            workloads: workloads.collect::<Result<_, Error>>()?,
            subject,
            detection: parse::text(TABLE, &key, &self.detection)?,
            workflow,
            assignee: self.assignee,
            owner: self.owner.map(|owner| parse::json(TABLE, &key, &owner)).transpose()?,
            due: due.due(severity, workflow, elapsed, self.now),
            suppression: in_force.into_iter().next(),
            requested: requested.into_iter().next(),
            tickets,
            resolution: self.resolution,
            message: self.message,
            exception: self.exception.map(|value| parse::json(TABLE, &key, &value)).transpose()?,
            stale_why: parse::json(TABLE, &key, &self.stale_why)?,
            first_seen_at: self.first_seen_at,
            opened_at: self.opened_at,
            last_seen_at: self.last_seen_at,
            seen_by_latest: self.seen_by_latest,
            resolved_at: self.resolved_at,
            updated_at: self.updated_at,
            reopened_count: u32::try_from(self.reopened_count).unwrap_or_default(),
            first_run: RunId(self.first_run),
            last_run: RunId(self.last_run),
            version: self.version,
            change_seq: self.change_seq,
            fingerprint: Fingerprint(key),
        })
    }
}

pub(super) fn workload(fingerprint: &str, association: &str, via: &str) -> Result<Workload, Error> {
    const TABLE: &str = "finding_workload";
    let corrupt = || Error::corrupt(TABLE, fingerprint.to_owned(), format!("`{association}` is no association's key"));
    Ok(Workload {
        association: association.parse().map_err(|_| corrupt())?,
        via: parse::text(TABLE, fingerprint, via)?,
    })
}

pub(super) use {
    count_findings, of_filter, of_place, of_short_page, of_state, of_unresolved_page, page_of, select_findings,
    select_numbers, with_conditions,
};
