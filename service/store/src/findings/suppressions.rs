//! The suppressions that people and programs asked for, as a list: those that hold, await approval or have ended.
//!
//! Refuses to know exceptions of policy files.

use crate::{Error, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::triage::SuppressionReason;
use rolecall_iam::AccountId;
use rolecall_rules::{Severity, SubjectKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

rolecall_iam::vocabulary! {
    /// What a suppression is now.
    pub enum SuppressionState: "a state of a suppression" {
        /// It awaits another person's approval.
        Requested = "requested",
        /// It begins later; only an exception of a policy file does.
        Scheduled = "scheduled",
        /// It holds.
        InForce = "in_force",
        /// It has ended.
        Ended = "ended",
    }
}

/// A suppression that is in force, or awaits approval.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SuppressionRow {
    /// Why, in one word.
    pub reason: SuppressionReason,
    /// Why.
    pub justification: String,
    /// When it ends.
    pub until: DateTime<Utc>,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// The other person who approved it; `None` where nobody else had to, or has yet.
    pub approved_by: Option<String>,
    /// From when it suppresses; `None` while it awaits approval.
    pub in_force_at: Option<DateTime<Utc>>,
}

/// Which suppressions. Empty lists and `None` leave out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuppressionFilter {
    /// In one of these states.
    pub states: Vec<SuppressionState>,
    /// Of findings of these rules.
    pub rules: Vec<String>,
    /// Ending, or ended, before.
    pub until_before: Option<DateTime<Utc>>,
}

/// A suppression in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressedFinding {
    /// The finding's number.
    pub finding: i64,
    /// The finding's identity.
    pub fingerprint: String,
    /// Whose finding.
    pub account_id: AccountId,
    /// Which of the finding's suppressions, from 1.
    pub number: i32,
    /// The rule that fails.
    pub rule: String,
    /// The finding's severity.
    pub severity: Severity,
    /// The finding's sentence.
    pub message: String,
    /// The finding's kind of subject.
    pub subject_kind: SubjectKind,
    /// The finding's subject.
    pub subject_key: String,
    /// The finding's workflow state.
    pub workflow: Workflow,
    /// What was asked for.
    pub suppression: SuppressionRow,
    /// What it is now.
    pub state: SuppressionState,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who ended it; `None` where its time was over.
    pub ended_by: Option<String>,
    /// Why it ended: `expired`, `opened`, `replaced`, `declined` or `withdrawn`.
    pub ended_because: Option<String>,
}

/// The last suppression of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionAfter {
    /// When it ends.
    pub until: DateTime<Utc>,
    /// Its account, finding and number; `None`: before every one that ends then.
    pub key: Option<(String, String, i32)>,
}

impl SuppressedFinding {
    /// Whether it suppresses the finding now: one that is resolved needs no suppression.
    #[must_use]
    pub fn suppresses(&self) -> bool {
        self.state == SuppressionState::InForce && self.workflow == Workflow::Suppressed
    }

    /// The key of this suppression in the list.
    #[must_use]
    pub fn after(&self) -> SuppressionAfter {
        let key = (self.account_id.to_string(), self.fingerprint.clone(), self.number);
        SuppressionAfter { until: self.suppression.until, key: Some(key) }
    }
}

impl Store {
    /// A page of suppressions, the first to end first.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn suppressions(
        &self,
        filter: &SuppressionFilter,
        after: Option<&SuppressionAfter>,
        limit: u32,
    ) -> Result<Vec<SuppressedFinding>, Error> {
        let states: Vec<String> = filter.states.iter().map(|state| state.as_str().to_owned()).collect();
        let key = after.and_then(|after| after.key.clone());
        let (account, fingerprint, number) = key.unwrap_or_else(|| (String::new(), String::new(), 0));
        let rows = sqlx::query!(
            r#"select s.account_id, s.fingerprint, s.number, s.reason, s.justification, s.until, s.requested_by,
                      s.requested_at, s.approved_by, s.in_force_at, s.ended_at, s.ended_by, s.ended_because,
                      case when s.ended_at is not null then 'ended' when s.in_force_at is null then 'requested'
                           else 'in_force' end as "state!",
                      f.number as finding, f.rule, f.severity,
                      case when row_security_active('finding') then limited_text(f.account_id, f.fingerprint, f.message)
                           else f.message end as "message!",
                      f.subject_kind, f.subject_key, f.workflow
               from suppression s join finding f on f.account_id = s.account_id and f.fingerprint = s.fingerprint
               where (cardinality($1::text[]) = 0
                      or case when s.ended_at is not null then 'ended' when s.in_force_at is null then 'requested'
                              else 'in_force' end = any($1))
                 and (cardinality($2::text[]) = 0 or f.rule = any($2))
                 and ($3::timestamptz is null or s.until < $3)
                 and ($4::timestamptz is null
                      or (s.until, s.account_id, s.fingerprint, s.number) > ($4, $5::text, $6::text, $7::int))
               order by s.until, s.account_id, s.fingerprint, s.number limit $8"#,
            &states,
            &filter.rules,
            filter.until_before,
            after.map(|after| after.until),
            account,
            fingerprint,
            number,
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                const TABLE: &str = "suppression";
                let key = row.fingerprint;
                Ok(SuppressedFinding {
                    finding: row.finding,
                    account_id: parse::account(TABLE, &row.account_id)?,
                    number: row.number,
                    rule: row.rule,
                    severity: parse::text(TABLE, &key, &row.severity)?,
                    message: row.message,
                    subject_kind: parse::text(TABLE, &key, &row.subject_kind)?,
                    subject_key: row.subject_key,
                    workflow: parse::text(TABLE, &key, &row.workflow)?,
                    suppression: SuppressionRow {
                        reason: parse::text(TABLE, &key, &row.reason)?,
                        justification: row.justification,
                        until: row.until,
                        requested_by: row.requested_by,
                        requested_at: row.requested_at,
                        approved_by: row.approved_by,
                        in_force_at: row.in_force_at,
                    },
                    state: parse::text(TABLE, &key, &row.state)?,
                    ended_at: row.ended_at,
                    ended_by: row.ended_by,
                    ended_because: row.ended_because,
                    fingerprint: key,
                })
            })
            .collect()
    }

    /// How many findings each exception of the policy files suppresses, by its name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn excepted_findings(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows = sqlx::query!(
            r#"select exception ->> 'name' as "name!", count(*) as "findings!" from finding
               where workflow = 'suppressed' and exception is not null group by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.name, parse::count(row.findings))).collect())
    }
}
