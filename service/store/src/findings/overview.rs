//! The numbers of the overview: open findings by severity, rule and account, their trend, tallies.

use crate::work::runs::{Run, RunId};
use crate::{Error, Store, parse};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_audit::evaluate::RuleTally;
use rolecall_iam::AccountId;
use rolecall_rules::Severity;
use std::collections::BTreeMap;

/// Open findings of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOpen {
    /// The rule.
    pub rule: String,
    /// The worst severity among them.
    pub worst: Severity,
    /// Open or acknowledged.
    pub open: u64,
}

/// Open findings of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountOpen {
    /// The account.
    pub account_id: AccountId,
    /// The worst severity among them.
    pub worst: Severity,
    /// Open or acknowledged.
    pub open: u64,
}

/// A day of the trend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendDay {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// Findings opened or reopened on it.
    pub opened: u64,
    /// Findings resolved on it.
    pub resolved: u64,
    /// Findings that were not resolved at its end.
    pub open: u64,
}

/// What the overview shows. Findings that are listed under another are in none of the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Open or acknowledged, by severity; every severity is there.
    pub open: BTreeMap<Severity, u64>,
    /// Of those, such as could not be decided in the latest audit.
    pub stale: u64,
    /// Suppressed.
    pub suppressed: u64,
    /// By rule, the worst and most first.
    pub rules: Vec<RuleOpen>,
    /// By account, the worst and most first.
    pub accounts: Vec<AccountOpen>,
    /// The newest run that ended as it should.
    pub last_run: Option<Run>,
    /// Findings that run opened or reopened.
    pub opened_by_last_run: u64,
    /// Findings that run resolved.
    pub resolved_by_last_run: u64,
}

impl Store {
    /// The numbers of the overview.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let by_severity = sqlx::query!(
            r#"select severity_rank, count(*) filter (where workflow in ('open', 'acknowledged')) as "open!",
                      count(*) filter (where workflow in ('open', 'acknowledged') and detection = 'stale') as "stale!",
                      count(*) filter (where workflow = 'suppressed') as "suppressed!"
               from finding where workflow <> 'resolved' and part_of is null group by severity_rank"#
        )
        .fetch_all(&self.pool)
        .await?;
        let mut open: BTreeMap<Severity, u64> =
            Severity::WORST_FIRST.into_iter().map(|severity| (severity, 0)).collect();
        let (mut stale, mut suppressed) = (0, 0);
        for row in by_severity {
            *open.entry(parse::severity_of(row.severity_rank)).or_default() += parse::count(row.open);
            stale += parse::count(row.stale);
            suppressed += parse::count(row.suppressed);
        }
        let rules = sqlx::query!(
            r#"select rule, max(severity_rank) as "worst!", count(*) as "open!" from finding
               where workflow in ('open', 'acknowledged') and part_of is null group by rule order by 2 desc, 3 desc, 1"#
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| RuleOpen { rule: row.rule, worst: parse::severity_of(row.worst), open: parse::count(row.open) })
        .collect();
        let accounts = sqlx::query!(
            r#"select account_id, max(severity_rank) as "worst!", count(*) as "open!" from finding
               where workflow in ('open', 'acknowledged') and part_of is null group by account_id order by 2 desc, 3 desc, 1"#
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| {
            let account_id = parse::account("finding", &row.account_id)?;
            Ok(AccountOpen { account_id, worst: parse::severity_of(row.worst), open: parse::count(row.open) })
        })
        .collect::<Result<_, Error>>()?;
        let last_run = self.last_done_run().await?;
        let (opened, resolved) = match &last_run {
            Some(run) => self.opened_and_resolved(run.id).await?,
            None => (0, 0),
        };
        Ok(Overview {
            open,
            stale,
            suppressed,
            rules,
            accounts,
            last_run,
            opened_by_last_run: opened,
            resolved_by_last_run: resolved,
        })
    }

    /// How many findings a run opened (or reopened) and resolved, without those listed under another.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn opened_and_resolved(&self, run: RunId) -> Result<(u64, u64), Error> {
        let row = sqlx::query!(
            r#"select count(*) filter (where e.kind in ('opened', 'reopened')) as "opened!",
                      count(*) filter (where e.kind = 'resolved') as "resolved!"
               from finding_event e join finding f on f.account_id = e.account_id and f.fingerprint = e.fingerprint
               where e.run_id = $1 and f.part_of is null"#,
            run.0
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((parse::count(row.opened), parse::count(row.resolved)))
    }

    /// Opened, resolved and open findings of the last days, from the oldest; days without any
    /// step are there too. Findings that are now listed under another are left out of all days.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn trend(&self, now: DateTime<Utc>, days: u16) -> Result<Vec<TrendDay>, Error> {
        let today = now.date_naive();
        let rows = sqlx::query!(
            r#"select (e.at at time zone 'UTC')::date as "day!",
                      count(*) filter (where e.kind in ('opened', 'reopened')) as "opened!",
                      count(*) filter (where e.kind = 'resolved') as "resolved!"
               from finding_event e join finding f on f.account_id = e.account_id and f.fingerprint = e.fingerprint
               where e.kind in ('opened', 'reopened', 'resolved') and f.part_of is null group by 1 order by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        let Some(first) = today.checked_sub_days(chrono::Days::new(u64::from(days.saturating_sub(1)))) else {
            return Ok(Vec::new());
        };
        let mut open: u64 = 0;
        let mut steps: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        for row in rows {
            let (opened, resolved) = (parse::count(row.opened), parse::count(row.resolved));
            if row.day < first {
                open = (open + opened).saturating_sub(resolved);
            } else {
                steps.insert(row.day, (opened, resolved));
            }
        }
        Ok(first
            .iter_days()
            .take(usize::from(days))
            .map(|day| {
                let (opened, resolved) = steps.get(&day).copied().unwrap_or_default();
                open = (open + opened).saturating_sub(resolved);
                TrendDay { day, opened, resolved, open }
            })
            .collect())
    }

    /// How often each rule gave each answer in each account, in a run; by rule and account.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tallies(&self, run: RunId) -> Result<Vec<RuleTally>, Error> {
        let rows = sqlx::query!(
            "select account_id, rule, pass, fail, not_applicable, unknown, error, assumed, reasons from rule_tally
             where run_id = $1 order by rule, account_id",
            run.0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RuleTally {
                    account_id: parse::account("rule_tally", &row.account_id)?,
                    reasons: parse::json("rule_tally", &row.rule, row.reasons)?,
                    rule: row.rule,
                    pass: parse::count(row.pass),
                    fail: parse::count(row.fail),
                    not_applicable: parse::count(row.not_applicable),
                    unknown: parse::count(row.unknown),
                    error: parse::count(row.error),
                    assumed: parse::count(row.assumed),
                })
            })
            .collect()
    }

    /// The tallies of the newest run that has any, with its number.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn latest_tallies(&self) -> Result<Option<(RunId, Vec<RuleTally>)>, Error> {
        let latest = sqlx::query_scalar!("select max(run_id) from rule_tally").fetch_one(&self.pool).await?;
        match latest.map(RunId) {
            Some(run) => Ok(Some((run, self.tallies(run).await?))),
            None => Ok(None),
        }
    }
}
