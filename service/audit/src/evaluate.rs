//! Every rule on every subject, and what came of it.
//!
//! Refuses to know what becomes of findings: that is [`crate::finding`]'s.

use crate::estate::Estate;
use crate::facts::{Facts, Judged};
use crate::finding::{Fingerprint, Outcome, SubjectKind, Verdict};
use crate::reach::Reach;
use crate::rules::{RuleSet, Times};
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many reasons are kept of a rule in an account.
const REASONS_KEPT: usize = 50;

/// What an audit decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// One for each rule and subject, by rule and subject.
    pub verdicts: Vec<Verdict>,
    /// The same counted, one for each rule and account, by rule and account.
    pub tallies: Vec<RuleTally>,
    /// The failing verdicts that say no more than a graver one does about the same statement, each
    /// with that one: its finding is listed under the other.
    pub listed_under: BTreeMap<Fingerprint, Fingerprint>,
    /// Which workloads reach which role.
    pub reach: Reach,
}

/// How often a rule came to which answer in an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTally {
    /// The rule's slug.
    pub rule: String,
    /// The account of the subjects.
    pub account_id: AccountId,
    /// Subjects that pass.
    pub pass: u32,
    /// Subjects that fail.
    pub fail: u32,
    /// Subjects that the rule does not concern.
    pub not_applicable: u32,
    /// Subjects about which nothing can be said; at least one where the listing of the subjects
    /// themselves was not seen whole.
    pub unknown: u32,
    /// Subjects on which the rule itself failed.
    pub error: u32,
    /// Why not known, each reason once.
    pub reasons: Vec<String>,
}

/// Judges every subject of the estate by every rule.
///
/// A subject whose own listing was not seen whole in the latest look is unknown to every rule; only
/// sessions that were recorded stay recorded, so that a failing one fails whatever else was missed.
/// `now` is the time by the clock; ages are counted up to the date of what is known of an account.
#[must_use]
pub fn evaluate(estate: &Estate, rules: &RuleSet, now: DateTime<Utc>) -> Evaluation {
    let facts = Facts::of(estate);
    let mut subjects: BTreeMap<SubjectKind, Vec<Judged>> = BTreeMap::new();
    let mut evaluation = Evaluation { reach: Reach::new(estate), ..Evaluation::default() };
    evaluation.reach.follow(|role| facts.assumed_from(role));
    for rule in rules.rules() {
        let kind = rule.subject();
        let mut counts: BTreeMap<AccountId, Count> = BTreeMap::new();
        for judged in subjects.entry(kind).or_insert_with(|| facts.subjects(kind)).iter() {
            let as_of = estate.as_of.get(&judged.subject.account_id).map_or(now, |as_of| now.min(*as_of));
            let times = Times { as_of, now };
            let Some(judgement) = rule.judge(&judged.object, &judged.subject, judged.ou_path.as_deref(), times) else {
                continue;
            };
            let count = counts.entry(judged.subject.account_id).or_default();
            for outcome in as_seen(judgement.outcomes, judged) {
                count.add(&outcome);
                let graded = outcome.graded();
                let severity = graded.map_or(judgement.severity, |graded| graded.severity);
                let severity_because = graded.map(|graded| graded.because.clone());
                evaluation.verdicts.push(Verdict {
                    rule: rule.id().to_owned(),
                    subject: judged.subject.clone(),
                    outcome,
                    severity,
                    severity_because,
                    assumptions: Vec::new(),
                    params: Arc::clone(&judgement.params),
                    exception: judgement.exception.clone(),
                    happened_at: judged.happened,
                });
            }
        }
        for account in facts.accounts() {
            let Some(why) = facts.unlisted(kind, account) else { continue };
            // What was not listed may be subjects of a rule that is in force for the account.
            if rule.is_enabled(&facts.anything(kind, account), facts.ou_path(account)) {
                let count = counts.entry(account).or_default();
                count.unknown = count.unknown.max(1);
                count.reasons.extend(why.to_vec());
            }
        }
        evaluation.tallies.extend(counts.into_iter().map(|(account_id, count)| RuleTally {
            rule: rule.id().to_owned(),
            account_id,
            pass: count.pass,
            fail: count.fail,
            not_applicable: count.not_applicable,
            unknown: count.unknown,
            error: count.error,
            reasons: count.reasons.into_iter().take(REASONS_KEPT).collect(),
        }));
    }
    evaluation
}

/// What may be said of a subject that the latest look did or did not show.
fn as_seen(outcomes: Vec<Outcome>, judged: &Judged) -> Vec<Outcome> {
    let Some(why) = &judged.unseen else { return outcomes };
    let unknown = Outcome::Unknown { why: why.to_vec() };
    if judged.subject.kind != SubjectKind::Session {
        return vec![unknown];
    }
    let mut kept: Vec<Outcome> = outcomes.into_iter().filter(|o| matches!(o, Outcome::Fail { .. })).collect();
    if kept.is_empty() {
        kept.push(unknown);
    }
    kept
}

#[derive(Default)]
struct Count {
    pass: u32,
    fail: u32,
    not_applicable: u32,
    unknown: u32,
    error: u32,
    reasons: BTreeSet<String>,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail { .. } => &mut self.fail,
            Outcome::NotApplicable => &mut self.not_applicable,
            Outcome::Unknown { .. } => &mut self.unknown,
            Outcome::Error { .. } => &mut self.error,
        };
        *counter = counter.saturating_add(1);
        match outcome {
            Outcome::Unknown { why } => self.reasons.extend(why.iter().cloned()),
            Outcome::Error { message } => self.reasons.extend([message.clone()]),
            _ => {}
        }
    }
}
