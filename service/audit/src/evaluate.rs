//! Every rule on every subject, and what came of it.
//!
//! Refuses to know what becomes of findings: that is [`crate::finding`]'s.

use crate::access::reach::{Changed, Reach};
use crate::cancel::{Cancel, Cancelled};
use crate::drift::{OpenChange, ResourceType};
use crate::facts::{Judged, SubjectIndex};
use crate::verdict::{Fingerprint, Verdict};
use chrono::{DateTime, Utc};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::{Estate, Reason};
use rolecall_iam::AccountId;
use rolecall_rules::{Judgement, Outcome, Rule, RuleSet, Severity, Subject, SubjectKind, Times};
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
    /// The changes that were judged, by id, each with the later one that took it back.
    pub changes: BTreeMap<String, Option<String>>,
    /// So many verdicts are unknown for want of what could be stated and is not, by what that is.
    pub could_be_assumed: BTreeMap<Assumption, u32>,
}

/// How often a rule came to which answer in an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTally {
    /// The rule's slug.
    pub rule: String,
    /// The account of the subjects.
    pub account_id: AccountId,
    /// Subjects that pass.
    pub pass: u64,
    /// Subjects that fail.
    pub fail: u64,
    /// Subjects that the rule does not concern.
    pub not_applicable: u64,
    /// Subjects about which nothing can be said; at least one where the listing of the subjects
    /// themselves was not seen completely.
    pub unknown: u64,
    /// Subjects on which the rule itself failed.
    pub error: u64,
    /// Of those that pass, fail or are not concerned: answers that rest on an assumption.
    pub assumed: u64,
    /// Why not known, each reason once.
    pub reasons: Vec<Reason>,
}

/// Judges every subject of the estate by every rule.
///
/// What is stated of the estate ([`Estate::assumed`]) counts only where a verdict is unknown without it,
/// and the verdict says so.
///
/// A subject that the latest scan showed is judged, whatever else its listing lacks; one that is only
/// remembered is unknown to every rule. Sessions that were recorded stay recorded: a failing one fails
/// whatever else was missed, and passes only where all were read.
/// `now` is the time by the clock; ages are counted up to the date of what is known of an account.
#[must_use]
pub fn evaluate(estate: &Estate, rules: &RuleSet, now: DateTime<Utc>) -> Evaluation {
    // Nobody has this one.
    evaluate_until(estate, &[], rules, now, &Cancel::default()).unwrap_or_default()
}

/// Judges changes alone, by the rules about changes.
///
/// # Errors
/// Somebody wanted it to end before it was done.
pub fn evaluate_changes(
    estate: &Estate,
    changes: &[Arc<OpenChange>],
    rules: &RuleSet,
    now: DateTime<Utc>,
    cancel: &Cancel,
) -> Result<Evaluation, Cancelled> {
    judge_all(estate, changes, rules, now, cancel, |kind| kind == SubjectKind::Change)
}

/// As [`evaluate`], with changes between scans, as long as nobody wants it to end.
///
/// # Errors
/// Somebody wanted it to end before it was done.
pub fn evaluate_until(
    estate: &Estate,
    changes: &[Arc<OpenChange>],
    rules: &RuleSet,
    now: DateTime<Utc>,
    cancel: &Cancel,
) -> Result<Evaluation, Cancelled> {
    judge_all(estate, changes, rules, now, cancel, |_| true)
}

fn judge_all(
    estate: &Estate,
    changes: &[Arc<OpenChange>],
    rules: &RuleSet,
    now: DateTime<Utc>,
    cancel: &Cancel,
    wanted: impl Fn(SubjectKind) -> bool,
) -> Result<Evaluation, Cancelled> {
    let facts = SubjectIndex::new(estate, &BTreeSet::new(), cancel).with_changes(changes);
    let mut stated = Stated { estate, changes, now, cancel, by_assumptions: BTreeMap::new() };
    let mut subjects: BTreeMap<SubjectKind, Vec<Judged>> = BTreeMap::new();
    let over: BTreeSet<&str> =
        changes.iter().filter(|open| open.ended.is_some()).map(|open| open.change.id.as_str()).collect();
    let mut evaluation = Evaluation { reach: Reach::new(estate), ..Evaluation::default() };
    if wanted(SubjectKind::Role) {
        evaluation.reach.follow(|role| facts.assumed_from(role));
    }
    for open in changes {
        let change = &open.change;
        let of = match change.resource.kind {
            ResourceType::Role => Changed::Role(&change.resource.name),
            ResourceType::ManagedPolicy => Changed::Policy(&change.resource.name),
            _ => Changed::Other,
        };
        evaluation.reach.note_change(&change.id, of, change.affected.iter().map(|it| &it.workload));
        evaluation.changes.insert(open.change.id.clone(), open.reversed_by().map(str::to_owned));
    }
    cancel.check()?;
    // Most rules give one answer about each subject.
    let mut answers = 0;
    for kind in rules.rules().iter().map(|rule| rule.subject()).filter(|kind| wanted(*kind)) {
        answers += subjects.entry(kind).or_insert_with(|| facts.subjects(kind)).len();
    }
    evaluation.verdicts.reserve(answers);
    for rule in rules.rules().iter().filter(|rule| wanted(rule.subject())) {
        let kind = rule.subject();
        let mut counts: BTreeMap<AccountId, Count> = BTreeMap::new();
        for (index, judged) in subjects.entry(kind).or_insert_with(|| facts.subjects(kind)).iter().enumerate() {
            let Some(judgement) = judge(rule, judged, times(estate, judged, now)) else { continue };
            cancel.check()?;
            let count = counts.entry(judged.subject.account_id).or_default();
            let (judgement, assumptions) = stated.decide(rule, index, judgement);
            let exception = judgement.exception.map(Arc::new);
            let mut assumptions = assumptions.into_iter();
            let is_over = kind == SubjectKind::Change && over.contains(judged.subject.key.as_str());
            for outcome in judgement.outcomes {
                let assumptions = assumptions.next().unwrap_or_default();
                let graded = outcome.graded().map(|graded| graded.severity);
                // What was over before a scan could show it is looked into where it was critical.
                if is_over && graded.unwrap_or(judgement.severity) != Severity::Critical {
                    continue;
                }
                count.add(&outcome, !assumptions.is_empty());
                note_missing(&mut evaluation.could_be_assumed, &estate.assumed, &outcome);
                let graded = outcome.graded();
                let severity = graded.map_or(judgement.severity, |graded| graded.severity);
                let severity_because = graded.map(|graded| graded.because.clone());
                evaluation.verdicts.push(Verdict {
                    rule: rule.id().to_owned(),
                    subject: Arc::clone(&judged.subject),
                    outcome,
                    severity,
                    severity_because,
                    assumptions,
                    params: Arc::clone(&judgement.params),
                    exception: exception.clone(),
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
                count.reasons.extend(why.iter().cloned());
            }
        }
        evaluation.tallies.extend(counts.into_iter().map(|(account_id, count)| RuleTally {
            rule: rule.id().to_owned(),
            account_id,
            pass: count.pass.into(),
            fail: count.fail.into(),
            not_applicable: count.not_applicable.into(),
            unknown: count.unknown.into(),
            error: count.error.into(),
            assumed: count.assumed.into(),
            reasons: count.reasons.into_iter().take(REASONS_KEPT).collect(),
        }));
    }
    evaluation.listed_under = crate::grouping::listed_under(&evaluation.verdicts, rules);
    cancel.check()?;
    Ok(evaluation)
}

/// What one rule says about one subject, with what is stated of the estate; nothing where there is no such subject.
pub(crate) fn outcomes_of(estate: &Estate, rule: &Rule, subject: &Subject, now: DateTime<Utc>) -> Vec<Outcome> {
    let facts = SubjectIndex::new(estate, &estate.assumed, &Cancel::default());
    let judged = facts.subjects(rule.subject()).into_iter().find(|judged| judged.subject.key == subject.key);
    let judgement = judged.and_then(|judged| judge(rule, &judged, times(estate, &judged, now)));
    judgement.map(|judgement| judgement.outcomes).unwrap_or_default()
}

/// By which times a subject is judged.
fn times(estate: &Estate, judged: &Judged, now: DateTime<Utc>) -> Times {
    let as_of = estate.as_of.get(&judged.subject.account_id).map_or(now, |as_of| now.min(*as_of));
    Times { as_of, now }
}

/// A rule's answer about a subject, as far as the latest scan showed the subject.
fn judge(rule: &Rule, judged: &Judged, times: Times) -> Option<Judgement> {
    let mut judgement = rule.judge(&judged.object, &judged.subject, judged.ou_path.as_deref(), times)?;
    judgement.outcomes = as_seen(judgement.outcomes, judged);
    Some(judgement)
}

/// Facts under one set of statements, and the subjects that were asked for.
type AssumedFacts = (SubjectIndex, BTreeMap<SubjectKind, Vec<Judged>>);

/// The same estate under what is stated of it.
///
/// A verdict rests on an assumption exactly where it is another without it. So nothing is asked here
/// before an answer without assumptions is unknown.
struct Stated<'a> {
    estate: &'a Estate,
    changes: &'a [Arc<OpenChange>],
    now: DateTime<Utc>,
    cancel: &'a Cancel,
    by_assumptions: BTreeMap<BTreeSet<Assumption>, AssumedFacts>,
}

impl<'a> Stated<'a> {
    /// The judgement under the fewest assumptions that settle it as all of them do, and for each of
    /// its outcomes those that it rests on; nothing where it rests on none.
    fn decide(&mut self, rule: &Rule, index: usize, plain: Judgement) -> (Judgement, Vec<Vec<Assumption>>) {
        let is_open = plain.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown { .. }));
        if self.estate.assumed.is_empty() || !is_open {
            return (plain, Vec::new());
        }
        let mut needed = self.estate.assumed.clone();
        let Some(mut settled) = self.under(&needed, rule, index).filter(|it| answers(it) != answers(&plain)) else {
            return (plain, Vec::new());
        };
        for assumption in &self.estate.assumed {
            let mut fewer = needed.clone();
            fewer.remove(assumption);
            let same = self.under(&fewer, rule, index).filter(|it| answers(it) == answers(&settled));
            if let Some(same) = same {
                (needed, settled) = (fewer, same);
            }
        }
        let before = answers(&plain);
        let rests = |answer: Answer<'_>| {
            if before.contains(&answer) { Vec::new() } else { needed.iter().copied().collect() }
        };
        let assumptions = answers(&settled).into_iter().map(rests).collect();
        (settled, assumptions)
    }

    fn under(&mut self, assumed: &BTreeSet<Assumption>, rule: &Rule, index: usize) -> Option<Judgement> {
        let kind = rule.subject();
        let make =
            || (SubjectIndex::new(self.estate, assumed, self.cancel).with_changes(self.changes), BTreeMap::new());
        let (facts, subjects) = self.by_assumptions.entry(assumed.clone()).or_insert_with(make);
        // What is stated changes no subject, so the same place holds the same one.
        let judged = subjects.entry(kind).or_insert_with(|| facts.subjects(kind)).get(index)?;
        judge(rule, judged, times(self.estate, judged, self.now))
    }
}

/// What an outcome says, without its words.
type Answer<'a> = (u8, &'a [String]);

fn answers(judgement: &Judgement) -> Vec<Answer<'_>> {
    let answer = |outcome: &'_ Outcome| -> u8 {
        match outcome {
            Outcome::Pass => 0,
            Outcome::Fail { .. } => 1,
            Outcome::NotApplicable => 2,
            Outcome::Unknown { .. } => 3,
            Outcome::Error { .. } => 4,
        }
    };
    let each = judgement.outcomes.iter().map(|outcome| match outcome {
        Outcome::Fail { discriminator, .. } => (answer(outcome), discriminator.as_slice()),
        _ => (answer(outcome), [].as_slice()),
    });
    each.collect()
}

/// Counts an unknown verdict under what could be stated for it.
fn note_missing(missing: &mut BTreeMap<Assumption, u32>, assumed: &BTreeSet<Assumption>, outcome: &Outcome) {
    let Outcome::Unknown { why } = outcome else { return };
    for assumption in Assumption::ALL.into_iter().filter(|assumption| !assumed.contains(assumption)) {
        if why.iter().any(|why| why.contains(assumption.missing())) {
            let count = missing.entry(assumption).or_default();
            *count = count.saturating_add(1);
        }
    }
}

/// What may be said of a subject that the latest scan did or did not show.
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
    assumed: u32,
    reasons: BTreeSet<Reason>,
}

impl Count {
    fn add(&mut self, outcome: &Outcome, assumed: bool) {
        self.assumed = self.assumed.saturating_add(u32::from(assumed));
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
            Outcome::Error { message } => self.reasons.extend([Reason::from(message.as_str())]),
            _ => {}
        }
    }
}
