//! What rules came to: in each account, and in all of them.

use crate::parse::JsonText;
use crate::work::runs::RunId;
use crate::{Error, Store, parse};
use rolecall_audit::evaluate::RuleTally;
use rolecall_estate::Reason;
use std::collections::{BTreeMap, BTreeSet};

/// What a rule came to in all accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleResults {
    /// Subjects that pass.
    pub pass: u64,
    /// Subjects that fail.
    pub fail: u64,
    /// Subjects that the rule does not concern.
    pub not_applicable: u64,
    /// Subjects about which nothing can be said.
    pub unknown: u64,
    /// Subjects on which the rule itself failed.
    pub error: u64,
    /// Why not known, each reason once.
    pub reasons: BTreeSet<Reason>,
}

impl Store {
    /// How often each rule gave each answer in each account, in a run; by rule and account. Of one rule, where it is
    /// given.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tallies(&self, run: RunId, rule: Option<&str>) -> Result<Vec<RuleTally>, Error> {
        let rows = sqlx::query!(
            r#"select account_id, rule, pass, fail, not_applicable, unknown, error, assumed,
                      case when row_security_active('rule_tally') then limited_reasons(reasons) else reasons end
                          as "reasons!: JsonText"
               from rule_tally where run_id = $1 and ($2::text is null or rule = $2) order by rule, account_id"#,
            run.0,
            rule
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RuleTally {
                    account_id: parse::account("rule_tally", &row.account_id)?,
                    reasons: parse::json("rule_tally", &row.rule, &row.reasons)?,
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
    pub async fn latest_tallies(&self, rule: Option<&str>) -> Result<Option<(RunId, Vec<RuleTally>)>, Error> {
        let latest = sqlx::query_scalar!("select max(run_id) from rule_tally").fetch_one(&self.pool).await?;
        match latest.map(RunId) {
            Some(run) => Ok(Some((run, self.tallies(run, rule).await?))),
            None => Ok(None),
        }
    }

    /// What each rule came to in the newest run that has tallies, by rule; nothing where none has. A rule that judged
    /// no account is not in it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn latest_results(&self) -> Result<BTreeMap<String, RuleResults>, Error> {
        let rows = sqlx::query!(
            r#"with latest as materialized (
                   select rule, pass, fail, not_applicable, unknown, error, reasons from rule_tally
                   where run_id = (select max(run_id) from rule_tally)),
               why as (
                   select rule, jsonb_agg(distinct reason) as reasons
                   from latest, jsonb_array_elements(reasons) as reason group by rule)
               select l.rule, sum(l.pass)::bigint as "pass!", sum(l.fail)::bigint as "fail!",
                      sum(l.not_applicable)::bigint as "not_applicable!", sum(l.unknown)::bigint as "unknown!",
                      sum(l.error)::bigint as "error!",
                      (select case when row_security_active('rule_tally') then limited_reasons(w.reasons)
                                   else w.reasons end
                       from why w where w.rule = l.rule) as "reasons: JsonText"
               from latest l group by l.rule order by l.rule"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let reasons = row.reasons.map(|reasons| parse::json("rule_tally", &row.rule, &reasons)).transpose()?;
                let results = RuleResults {
                    pass: parse::count(row.pass),
                    fail: parse::count(row.fail),
                    not_applicable: parse::count(row.not_applicable),
                    unknown: parse::count(row.unknown),
                    error: parse::count(row.error),
                    reasons: reasons.unwrap_or_default(),
                };
                Ok((row.rule, results))
            })
            .collect()
    }
}
