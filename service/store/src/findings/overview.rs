//! The numbers of the overview: open findings by severity, rule and account, and their trend.

use crate::totals::StepsState;
use crate::work::runs::{Run, RunId};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rolecall_audit::owner::Owned;
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

/// Open findings of an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerOpen {
    /// The owner.
    pub owner: String,
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
    /// Findings that were not resolved at its end, by the severity that they have now.
    pub by_severity: BTreeMap<Severity, u64>,
}

impl TrendDay {
    /// Findings of a severity that were not resolved at its end.
    #[must_use]
    pub fn of(&self, severity: Severity) -> u64 {
        self.by_severity.get(&severity).copied().unwrap_or(0)
    }

    /// Findings that were not resolved at its end.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.by_severity.values().sum()
    }
}

/// A week of the trend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendWeek {
    /// Its first day, in UTC.
    pub monday: NaiveDate,
    /// Findings opened or reopened in it.
    pub opened: u64,
    /// Findings resolved in it.
    pub resolved: u64,
    /// How long half of those had been open at most, without such as came back since; `None`: none was resolved.
    pub median_age: Option<TimeDelta>,
}

/// The trend of findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trends {
    /// Days, from the oldest; days without any step are there too.
    pub days: Vec<TrendDay>,
    /// Weeks, from the oldest.
    pub weeks: Vec<TrendWeek>,
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
    /// By owner, the worst and most first.
    pub owners: Vec<OwnerOpen>,
    /// Of nobody.
    pub unowned: u64,
    /// Whose they are is not known.
    pub owner_unknown: u64,
    /// The newest run that ended as it should.
    pub last_run: Option<Run>,
    /// Findings that run opened or reopened.
    pub opened_by_last_run: u64,
    /// Findings that run resolved.
    pub resolved_by_last_run: u64,
}

/// What is not resolved, counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenFindings {
    open: BTreeMap<Severity, u64>,
    stale: u64,
    suppressed: u64,
    rules: Vec<RuleOpen>,
    accounts: Vec<AccountOpen>,
    owners: Vec<OwnerOpen>,
    unowned: u64,
    owner_unknown: u64,
}

/// How often rules gave each answer in a run, over all accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// It holds.
    pub pass: u64,
    /// It does not.
    pub fail: u64,
    /// What it takes to tell was not seen.
    pub unknown: u64,
    /// The rule could not be asked.
    pub error: u64,
}

impl Store {
    /// The numbers of the overview.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let OpenFindings { open, stale, suppressed, rules, accounts, owners, unowned, owner_unknown } =
            self.open_findings().await?;
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
            owners,
            unowned,
            owner_unknown,
            last_run,
            opened_by_last_run: opened,
            resolved_by_last_run: resolved,
        })
    }

    /// What is not resolved, by severity, rule and account, kept as long as no finding changes.
    async fn open_findings(&self) -> Result<OpenFindings, Error> {
        let state = self.findings_state().await?;
        if let Some(kept) = self.numbers.open.of(&state) {
            return Ok(kept);
        }
        let rows = sqlx::query!(
            r#"select severity_rank as "rank?", rule as "rule?", account_id as "account_id?", owner, owned,
                      max(severity_rank) filter (where workflow in ('open', 'acknowledged')) as "worst?",
                      count(*) filter (where workflow in ('open', 'acknowledged')) as "open!",
                      count(*) filter (where workflow in ('open', 'acknowledged') and detection = 'stale') as "stale!",
                      count(*) filter (where workflow = 'suppressed') as "suppressed!"
               from finding where workflow <> 'resolved' and part_of is null
               group by grouping sets ((severity_rank), (rule), (account_id), (owner, owned))"#
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = OpenFindings {
            open: Severity::WORST_FIRST.into_iter().map(|severity| (severity, 0)).collect(),
            ..OpenFindings::default()
        };
        for row in rows {
            let open = parse::count(row.open);
            match (row.rank, row.rule, row.account_id, row.worst) {
                (Some(rank), ..) => {
                    *found.open.entry(parse::severity_of(rank)).or_default() += open;
                    found.stale += parse::count(row.stale);
                    found.suppressed += parse::count(row.suppressed);
                }
                (None, Some(rule), _, Some(worst)) => {
                    found.rules.push(RuleOpen { rule, worst: parse::severity_of(worst), open });
                }
                (None, None, Some(account_id), Some(worst)) => {
                    let account_id = parse::account("finding", &account_id)?;
                    found.accounts.push(AccountOpen { account_id, worst: parse::severity_of(worst), open });
                }
                (None, None, None, Some(worst)) => match row.owner {
                    Some(owner) => found.owners.push(OwnerOpen { owner, worst: parse::severity_of(worst), open }),
                    None if row.owned.as_deref() == Some(Owned::No.as_str()) => found.unowned += open,
                    None => found.owner_unknown += open,
                },
                // All of it is suppressed.
                (None, .., None) => {}
            }
        }
        found.owners.sort_by(|a, b| (b.worst, b.open, &a.owner).cmp(&(a.worst, a.open, &b.owner)));
        found.rules.sort_by(|a, b| (b.worst, b.open, &a.rule).cmp(&(a.worst, a.open, &b.rule)));
        found.accounts.sort_by(|a, b| (b.worst, b.open, a.account_id).cmp(&(a.worst, a.open, b.account_id)));
        self.numbers.open.keep(state, found.clone());
        Ok(found)
    }

    /// How many findings a run opened (or reopened) and resolved, without those listed under another.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn opened_and_resolved(&self, run: RunId) -> Result<(u64, u64), Error> {
        if !self.is_limited() {
            let row = sqlx::query!(
                r#"select coalesce(sum(opened), 0)::bigint as "opened!", coalesce(sum(resolved), 0)::bigint as "resolved!"
                   from finding_step_count where account_id = $1 and run_id = $2"#,
                INSTALLATION,
                run.0
            )
            .fetch_one(&self.pool)
            .await?;
            return Ok((parse::count(row.opened), parse::count(row.resolved)));
        }
        // What is kept counts what is not seen, too.
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

    /// Opened, resolved and open findings of the last days, and what was opened and resolved in the last weeks, from the
    /// oldest. Findings that are now listed under another are left out of all. Worked out once as long as none is
    /// opened or resolved.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn trends(&self, now: DateTime<Utc>, days: u16, weeks: u16) -> Result<Trends, Error> {
        // What is counted with limited eyes is kept for nobody.
        if self.is_limited() {
            return Ok(Trends { days: self.trend(now, days).await?, weeks: self.trend_weeks(now, weeks).await? });
        }
        let asked = (now.date_naive(), days, weeks, self.steps_state().await?);
        if let Some(kept) = self.numbers.trends.of(&asked) {
            return Ok(kept);
        }
        let found = Trends { days: self.trend(now, days).await?, weeks: self.trend_weeks(now, weeks).await? };
        self.numbers.trends.keep(asked, found.clone());
        Ok(found)
    }

    /// Moves with every run that judged, and with every finding that was opened or resolved by another.
    async fn steps_state(&self) -> Result<StepsState, Error> {
        let state = sqlx::query!(
            r#"select coalesce(sum(version), 0)::bigint as "steps!",
                      (select id from run where judged_at is not null order by id desc limit 1) as run
               from finding_step_count where account_id = $1"#,
            INSTALLATION
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((state.steps, state.run))
    }

    /// The days of [`Store::trends`]: told back from what is open now, so that what happened before them is not read.
    async fn trend(&self, now: DateTime<Utc>, days: u16) -> Result<Vec<TrendDay>, Error> {
        let back = chrono::Days::new(u64::from(days.saturating_sub(1)));
        let Some(first) = now.date_naive().checked_sub_days(back) else { return Ok(Vec::new()) };
        let left = sqlx::query!(
            r#"select severity_rank, count(*) as "open!" from finding
               where workflow <> 'resolved' and part_of is null group by severity_rank"#
        )
        .fetch_all(&self.pool)
        .await?;
        let mut open: BTreeMap<Severity, u64> = BTreeMap::new();
        for row in left {
            *open.entry(parse::severity_of(row.severity_rank)).or_default() += parse::count(row.open);
        }
        let rows = sqlx::query!(
            r#"select (e.at at time zone 'UTC')::date as "day!", f.severity_rank,
                      count(*) filter (where e.kind in ('opened', 'reopened')) as "opened!",
                      count(*) filter (where e.kind = 'resolved') as "resolved!"
               from finding_event e join finding f on f.account_id = e.account_id and f.fingerprint = e.fingerprint
               where e.at >= $1 and e.kind in ('opened', 'reopened', 'resolved') and f.part_of is null
               group by 1, 2 order by 1 desc"#,
            first.and_time(chrono::NaiveTime::MIN).and_utc()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut steps = rows.into_iter().peekable();
        let mut found = Vec::with_capacity(usize::from(days));
        // From the latest step back to the first day; later ones than today are undone before it.
        let mut day = Some(now.date_naive());
        let mut later: Vec<(Severity, u64, u64)> = Vec::new();
        while let Some(at) = day.filter(|at| *at >= first) {
            while let Some(row) = steps.next_if(|row| row.day > at) {
                later.push((
                    parse::severity_of(row.severity_rank),
                    parse::count(row.opened),
                    parse::count(row.resolved),
                ));
            }
            for (severity, opened, resolved) in later.drain(..) {
                let count = open.entry(severity).or_default();
                *count = (*count + resolved).saturating_sub(opened);
            }
            let mut this = TrendDay { day: at, opened: 0, resolved: 0, by_severity: open.clone() };
            while let Some(row) = steps.next_if(|row| row.day == at) {
                let (opened, resolved) = (parse::count(row.opened), parse::count(row.resolved));
                this.opened += opened;
                this.resolved += resolved;
                later.push((parse::severity_of(row.severity_rank), opened, resolved));
            }
            found.push(this);
            day = at.pred_opt();
        }
        found.reverse();
        Ok(found)
    }

    async fn trend_weeks(&self, now: DateTime<Utc>, weeks: u16) -> Result<Vec<TrendWeek>, Error> {
        let today = now.date_naive();
        let monday = today.week(chrono::Weekday::Mon).first_day();
        let back = chrono::Days::new(7 * u64::from(weeks.saturating_sub(1)));
        let Some(first) = monday.checked_sub_days(back) else { return Ok(Vec::new()) };
        let rows = sqlx::query!(
            r#"select date_trunc('week', e.at at time zone 'UTC')::date as "monday!",
                      count(*) filter (where e.kind in ('opened', 'reopened')) as "opened!",
                      count(*) filter (where e.kind = 'resolved') as "resolved!",
                      percentile_disc(0.5) within group (order by extract(epoch from e.at - f.opened_at)::bigint)
                          filter (where e.kind = 'resolved' and f.opened_at <= e.at) as age
               from finding_event e join finding f on f.account_id = e.account_id and f.fingerprint = e.fingerprint
               where e.at >= $1 and e.kind in ('opened', 'reopened', 'resolved') and f.part_of is null
               group by 1"#,
            first.and_time(chrono::NaiveTime::MIN).and_utc()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut known: BTreeMap<NaiveDate, TrendWeek> = BTreeMap::new();
        for row in rows {
            let week = TrendWeek {
                monday: row.monday,
                opened: parse::count(row.opened),
                resolved: parse::count(row.resolved),
                median_age: row.age.and_then(TimeDelta::try_seconds),
            };
            known.insert(row.monday, week);
        }
        let none = |monday| TrendWeek { monday, opened: 0, resolved: 0, median_age: None };
        Ok(first
            .iter_weeks()
            .take(usize::from(weeks))
            .map(|monday| known.remove(&monday).unwrap_or_else(|| none(monday)))
            .collect())
    }

    /// How often rules gave each answer in the newest run that judged; `None`: there is none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn latest_answers(&self) -> Result<Option<Answers>, Error> {
        let state = self.findings_state().await?;
        if let Some(kept) = self.numbers.answers.of(&state) {
            return Ok(kept);
        }
        let row = sqlx::query!(
            "select sum(pass)::bigint as pass, sum(fail)::bigint as fail, sum(unknown)::bigint as unknown,
                    sum(error)::bigint as error
             from rule_tally where run_id = (select max(run_id) from rule_tally)"
        )
        .fetch_one(&self.pool)
        .await?;
        let answers = row.pass.map(|pass| Answers {
            pass: parse::count(pass),
            fail: parse::count(row.fail.unwrap_or_default()),
            unknown: parse::count(row.unknown.unwrap_or_default()),
            error: parse::count(row.error.unwrap_or_default()),
        });
        self.numbers.answers.keep(state, answers);
        Ok(answers)
    }
}
