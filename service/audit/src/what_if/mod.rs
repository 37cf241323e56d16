//! What proposed changes would come to: for workloads, and for findings.
//!
//! A proposal is applied to an estate; the estate before and the one after are compared as two scans are
//! ([`crate::drift`]) and judged by the same rules. Refuses to know where an estate and proposals are kept,
//! and whether anybody will make the change.

mod apply;
mod fields;
mod plan;
mod proposal;
mod read;

pub(crate) use apply::PROPOSED;
pub use apply::{Applied, Touched, apply};
pub use plan::parse_plan;
pub use proposal::{AssociationPut, AssociationRef, ClusterKey, ClusterProposal, Named, Proposal, Proposed};
pub use read::{Defaults, parse};

use crate::cancel::{Cancel, Cancelled};
use crate::drift::{Affected, Change, Effect, Scans, State, changes};
use crate::evaluate::{Evaluation, evaluate_until};
use crate::finding::{Detection, Failure, FindingAction, KnownFinding, Resolution, Workflow, reconcile};
use crate::verdict::Fingerprint;
use chrono::{DateTime, Utc};
use rolecall_estate::coverage::{Coverage, Scope};
use rolecall_estate::{AssociationKey, Documents, Estate, Reason};
use rolecall_iam::{Context, Digest, PolicyRef, PolicySet};
use rolecall_rules::{Outcome, RuleSet, Severity, Subject, SubjectKind};
use std::collections::{BTreeMap, BTreeSet};

/// Where a proposal stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The file; empty where it came without one.
    pub file: String,
    /// RFC 6901 pointer of the proposal in the file; of a Terraform plan the resource's address.
    pub pointer: String,
}

/// A proposal that cannot be read, or cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}; {remedy}", .place.file, at(.place))]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

fn at(place: &Place) -> String {
    match (place.file.is_empty(), place.pointer.is_empty()) {
        (true, true) => "the proposal".to_owned(),
        (_, true) => String::new(),
        _ => format!(" at `{}`", place.pointer),
    }
}

/// A change that would be seen, and the proposal that it comes from.
#[derive(Debug, Clone)]
pub struct ProposedChange {
    /// The change, labelled as one between two scans.
    pub change: Change,
    /// The proposal's place.
    pub place: Place,
    /// The pointer in the file of the statement that decides, where the proposal has its document.
    pub statement: Option<String>,
}

/// A finding that would be opened, closed, or have another severity.
#[derive(Debug, Clone)]
pub struct FindingChange {
    /// Identity of the finding.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// Its severity afterwards; of a finding that would be closed, before.
    pub severity: Severity,
    /// Its severity before, where it was there and is another one.
    pub severity_before: Option<Severity>,
    /// Its message afterwards; of a finding that would be closed, before.
    pub message: String,
    /// Whether an exception covers it.
    pub is_suppressed: bool,
    /// Why it would be closed.
    pub resolution: Option<Resolution>,
    /// Why nobody knows whether it was there before; empty where that is known.
    pub unknown_before: Vec<Reason>,
    /// The proposal that it is shown at.
    pub place: Place,
    /// The pointer in the file of the statement that decides, where the proposal has its document.
    pub statement: Option<String>,
}

/// A rule that can be decided of a subject now, and could not be decided afterwards.
#[derive(Debug, Clone)]
pub struct Undecided {
    /// The rule.
    pub rule: String,
    /// The subject.
    pub subject: Subject,
    /// Why.
    pub why: Vec<Reason>,
}

/// What cannot be told of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The proposal's place.
    pub place: Place,
    /// What, and why.
    pub message: String,
}

/// What proposals would come to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The effect of all of them together.
    pub effect: Effect,
    /// The changes, roots before what follows from them.
    pub changes: Vec<ProposedChange>,
    /// Findings that would be opened, the worst first.
    pub opens: Vec<FindingChange>,
    /// Findings that would be closed, the worst first.
    pub closes: Vec<FindingChange>,
    /// Findings that would have another severity, the worst first.
    pub regrades: Vec<FindingChange>,
    /// What could not be decided any more.
    pub undecided: Vec<Undecided>,
    /// The workloads that the changes reach.
    pub workloads: Vec<Affected>,
    /// What cannot be told.
    pub notes: Vec<Note>,
    /// Proposals that cannot be applied; they count nowhere above.
    pub problems: Vec<Problem>,
}

/// Works out what proposals would come to. `now` is the time by which both estates are judged.
///
/// # Errors
/// Somebody wanted it to end before it was done.
pub fn what_if(
    estate: &Estate,
    rules: &RuleSet,
    proposed: &[Proposed],
    now: DateTime<Utc>,
    cancel: &Cancel,
) -> Result<Answer, Cancelled> {
    let Applied { estate: after, touched, mut notes, problems } = apply(estate, proposed);
    let listed = listed(&estate.coverage, &touched);
    let mut found = changes(&Scans {
        before: estate,
        after: &after,
        listed_before: &listed,
        listed_after: &listed,
        roles_of: None,
        pair: "what-if",
    });
    for touched in &touched {
        let Some(why) = touched.doubt(estate) else { continue };
        for change in found.iter_mut().filter(|change| change.resource == touched.resource) {
            change.unproved(&why);
        }
        notes.push(Note { place: touched.place.clone(), message: why });
    }
    cancel.check()?;
    let places = Places::new(&touched, &found);
    let before = evaluate_until(estate, &[], rules, now, cancel)?;
    let later = evaluate_until(&after, &[], rules, now, cancel)?;
    let written = Written { proposed, documents: &after.documents };
    let findings = findings(estate, &before, &after, &later, rules, (&places, &written));
    let mut effect = found.iter().map(|change| change.effect).reduce(Effect::and).unwrap_or(Effect::None);
    if !notes.is_empty() {
        effect = effect.and(Effect::Unknown);
    }
    Ok(Answer {
        effect,
        workloads: workloads(&found),
        opens: findings.opens,
        closes: findings.closes,
        regrades: findings.regrades,
        undecided: findings.undecided,
        changes: found
            .into_iter()
            .map(|change| {
                let place = places.of_change(&change);
                ProposedChange { statement: written.of_change(&place, &change), place, change }
            })
            .collect(),
        notes,
        problems,
    })
}

/// A proposal says that a thing is made or deleted, whatever the listings lack. What was there before where
/// nobody looked is a doubt of its own.
pub(crate) fn listed(coverage: &Coverage, touched: &[Touched]) -> Coverage {
    let stated: BTreeSet<&Scope> = touched.iter().filter_map(|it| it.presence.as_ref()).collect();
    let mut listed = Coverage::default();
    for (scope, gaps) in coverage.scopes() {
        listed.complete(scope.clone());
        if !stated.contains(scope) {
            gaps.iter().for_each(|gap| listed.gap(gap.clone()));
        }
    }
    stated.into_iter().for_each(|scope| listed.complete(scope.clone()));
    listed
}

/// What all changes come to for each workload.
fn workloads(changes: &[Change]) -> Vec<Affected> {
    let mut all: BTreeMap<&AssociationKey, Affected> = BTreeMap::new();
    for it in changes.iter().flat_map(|change| &change.affected) {
        match all.get_mut(&it.workload) {
            None => drop(all.insert(&it.workload, it.clone())),
            Some(known) => {
                known.effect = known.effect.and(it.effect);
                known.gained = known.gained.take().or_else(|| it.gained.clone());
                known.lost = known.lost.take().or_else(|| it.lost.clone());
                known.escalations.add(it.escalations.clone());
            }
        }
    }
    all.into_values().collect()
}

/// Which proposal a change, or a finding, comes from.
struct Places<'a> {
    by_resource: BTreeMap<&'a str, &'a Place>,
    by_workload: BTreeMap<String, Place>,
    first: Place,
}

impl<'a> Places<'a> {
    fn new(touched: &'a [Touched], changes: &[Change]) -> Self {
        let mut by_resource: BTreeMap<&str, &Place> = BTreeMap::new();
        for it in touched {
            by_resource.entry(&it.resource.name).or_insert(&it.place);
        }
        let first = touched.first().map(|it| it.place.clone()).unwrap_or_default();
        let mut places = Self { by_resource, by_workload: BTreeMap::new(), first };
        for change in changes {
            let place = places.of_change(change);
            for it in &change.affected {
                places.by_workload.entry(it.workload.to_string()).or_insert_with(|| place.clone());
            }
        }
        places
    }

    fn of_change(&self, change: &Change) -> Place {
        let own = self.by_resource.get(change.resource.name.as_str());
        // What follows from a policy names it as its part.
        let root = || change.part.as_deref().and_then(|part| self.by_resource.get(part));
        own.or_else(root).map_or_else(|| self.first.clone(), |place| (*place).clone())
    }

    fn of_subject(&self, subject: &Subject) -> Place {
        let names = [Some(&subject.key), subject.role_arn.as_ref(), subject.target_role_arn.as_ref()];
        let own = names.into_iter().flatten().find_map(|name| self.by_resource.get(name.as_str()).copied());
        own.or_else(|| self.by_workload.get(&subject.key)).unwrap_or(&self.first).clone()
    }
}

/// The documents of proposals, as they stand in their files.
struct Written<'a> {
    proposed: &'a [Proposed],
    documents: &'a Documents,
}

impl Written<'_> {
    /// Where a document stands in the proposal of a place.
    fn document(&self, place: &Place, digest: &Digest) -> Option<&str> {
        let of_place = self.proposed.iter().filter(|it| it.place == *place);
        of_place.filter_map(|it| it.documents.get(digest)).map(String::as_str).next()
    }

    /// The statement that allows what a change gains; where none does alone, the document.
    fn of_change(&self, place: &Place, change: &Change) -> Option<String> {
        let Some(State::Document(digest)) = &change.after else { return None };
        let at = self.document(place, digest)?;
        let allows = || {
            let (gained, document) = (change.gained.as_ref()?, self.documents.get(digest)?);
            let policy = PolicyRef::known("the proposed policy", document);
            let policies = PolicySet { identity: Some(vec![policy]), ..PolicySet::default() };
            let answer = policies.possible(&gained.action, &gained.resource, &Context::open());
            answer.by.first().map(|site| site.pointer().to_owned())
        };
        Some(format!("{at}{}", allows().unwrap_or_default()))
    }

    /// The first statement of a finding's evidence that a proposal holds.
    fn of_evidence(&self, place: &Place, failure: &Failure) -> Option<String> {
        failure.evidence.iter().find_map(|it| {
            let at = self.document(place, it.document.as_ref()?)?;
            Some(format!("{at}{}", it.pointer))
        })
    }
}

#[derive(Default)]
struct Findings {
    opens: Vec<FindingChange>,
    closes: Vec<FindingChange>,
    regrades: Vec<FindingChange>,
    undecided: Vec<Undecided>,
}

/// What becomes of findings, as after an audit of the estate afterwards that follows one of the estate as it
/// is.
fn findings(
    estate: &Estate,
    before: &Evaluation,
    after: &Estate,
    later: &Evaluation,
    rules: &RuleSet,
    (places, written): (&Places<'_>, &Written<'_>),
) -> Findings {
    let failures: BTreeMap<Fingerprint, Failure> = reconcile(&[], before, rules, estate)
        .into_iter()
        .filter_map(|action| match action {
            FindingAction::Open(failure) => Some((failure.fingerprint.clone(), failure)),
            _ => None,
        })
        .collect();
    let known: Vec<KnownFinding> = failures.values().map(known).collect();
    let unknown_before = unknowns(before);
    let change = |failure: &Failure| {
        let place = places.of_subject(&failure.subject);
        let statement = written.of_evidence(&place, failure);
        FindingChange {
            fingerprint: failure.fingerprint.clone(),
            rule: failure.rule.clone(),
            subject: failure.subject.clone(),
            severity: failure.severity,
            severity_before: None,
            message: failure.message.clone(),
            is_suppressed: failure.exception.is_some(),
            resolution: None,
            unknown_before: Vec::new(),
            place,
            statement,
        }
    };
    let mut out = Findings::default();
    for action in reconcile(&known, later, rules, after) {
        match action {
            FindingAction::Open(failure) | FindingAction::Reopen(failure) => {
                let key = (failure.rule.as_str(), failure.subject.kind, failure.subject.key.as_str());
                let unknown_before = unknown_before.get(&key).map(|why| why.to_vec()).unwrap_or_default();
                out.opens.push(FindingChange { unknown_before, ..change(&failure) });
            }
            FindingAction::Refresh { failure, .. } => {
                let was = failures.get(&failure.fingerprint).map(|was| was.severity);
                if was.is_some_and(|was| was != failure.severity) {
                    out.regrades.push(FindingChange { severity_before: was, ..change(&failure) });
                }
            }
            FindingAction::Resolve { fingerprint, why, .. } => {
                let Some(was) = failures.get(&fingerprint) else { continue };
                out.closes.push(FindingChange { resolution: Some(why), ..change(was) });
            }
            FindingAction::MarkStale { fingerprint, why } => {
                let Some(was) = failures.get(&fingerprint) else { continue };
                out.undecided.push(Undecided { rule: was.rule.clone(), subject: was.subject.clone(), why });
            }
        }
    }
    // What passes now, and nobody could say of it afterwards.
    let already_failing: BTreeSet<(String, SubjectKind, String)> =
        out.undecided.iter().map(|it| (it.rule.clone(), it.subject.kind, it.subject.key.clone())).collect();
    let subjects: BTreeSet<(SubjectKind, &str)> =
        before.verdicts.iter().map(|it| (it.subject.kind, it.subject.key.as_str())).collect();
    for verdict in &later.verdicts {
        let Outcome::Unknown { why } = &verdict.outcome else { continue };
        let (kind, key) = (verdict.subject.kind, verdict.subject.key.as_str());
        let decided_before = subjects.contains(&(kind, key));
        let was_unknown = unknown_before.contains_key(&(verdict.rule.as_str(), kind, key));
        if decided_before && !was_unknown && !already_failing.contains(&(verdict.rule.clone(), kind, key.to_owned())) {
            let (rule, subject) = (verdict.rule.clone(), verdict.subject.as_ref().clone());
            out.undecided.push(Undecided { rule, subject, why: why.clone() });
        }
    }
    for list in [&mut out.opens, &mut out.closes, &mut out.regrades] {
        list.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
    }
    out
}

fn known(failure: &Failure) -> KnownFinding {
    KnownFinding {
        fingerprint: failure.fingerprint.clone(),
        rule: failure.rule.clone(),
        subject: failure.subject.clone(),
        detection: Detection::Active,
        workflow: if failure.exception.is_some() { Workflow::Suppressed } else { Workflow::Open },
        evidence_digest: failure.evidence_digest,
        severity: failure.severity,
        message: failure.message.clone(),
        assumptions: failure.assumptions.clone(),
        happened_at: failure.happened_at,
        suppressed: false,
        owner: None,
    }
}

/// A rule and a subject.
type Judged<'a> = (&'a str, SubjectKind, &'a str);

fn unknowns(evaluation: &Evaluation) -> BTreeMap<Judged<'_>, &[Reason]> {
    let each = evaluation.verdicts.iter().filter_map(|verdict| match &verdict.outcome {
        Outcome::Unknown { why } => {
            Some(((verdict.rule.as_str(), verdict.subject.kind, verdict.subject.key.as_str()), why.as_slice()))
        }
        _ => None,
    });
    each.collect()
}

/// What makes a gate end with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    /// A workload, or whoever has a role, could do more.
    Widened,
    /// It is not proved what a change comes to, or a finding that can be decided now could not be any more.
    Unknown,
    /// A finding of at least this severity would be opened, or would come to have it.
    Severity(Severity),
}

impl std::str::FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "widened" => Ok(Self::Widened),
            "unknown" => Ok(Self::Unknown),
            text => text.parse().map(Self::Severity).map_err(|_| {
                let names = Severity::WORST_FIRST.map(Severity::as_str).join(", ");
                format!("`{text}` is nothing to fail on; choose one of widened, unknown, {names}")
            }),
        }
    }
}

impl Answer {
    /// Whether it is what somebody wants to fail on.
    #[must_use]
    pub fn matches(&self, fail_on: FailOn) -> bool {
        match fail_on {
            FailOn::Widened => {
                let widens = |effect: Effect| matches!(effect, Effect::Widened | Effect::Mixed);
                self.changes.iter().any(|it| widens(it.change.effect))
                    || self.workloads.iter().any(|it| widens(it.effect))
            }
            FailOn::Unknown => {
                let unknown = |it: &ProposedChange| it.change.effect == Effect::Unknown;
                let of_workload = |it: &Affected| it.effect == Effect::Unknown;
                self.changes.iter().any(unknown)
                    || self.changes.iter().flat_map(|it| &it.change.affected).any(of_workload)
                    || !self.notes.is_empty()
                    || !self.undecided.is_empty()
            }
            FailOn::Severity(least) => {
                let opens = self.opens.iter().any(|it| !it.is_suppressed && it.severity >= least);
                let rises = |it: &FindingChange| {
                    !it.is_suppressed && it.severity >= least && it.severity_before.is_some_and(|was| was < it.severity)
                };
                opens || self.regrades.iter().any(rises)
            }
        }
    }
}
