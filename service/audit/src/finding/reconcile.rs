//! What becomes of kept findings after an audit, and which findings are new.
//!
//! Only a pass, or a subject proven gone, resolves; an unknown leaves a finding as it was and marks it
//! stale.

use super::{Failure, FindingAction, KnownFinding, Resolution, Workflow};
use crate::evaluate::Evaluation;
use crate::verdict::{Fingerprint, Verdict};
use chrono::{DateTime, Utc};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Cause, Estate, Reason};
use rolecall_rules::{Outcome, Rule, RuleSet, Subject, SubjectKind};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Which finding each failing one is listed under, after every chain is followed to its end.
///
/// `wanted` says it step by step; `alone` are the failing findings that an exception covers or somebody suppressed:
/// they are listed by themselves, and nothing is listed under them, as what is accepted must hide nothing.
fn heads(
    wanted: &BTreeMap<Fingerprint, Fingerprint>,
    failing: &BTreeSet<Fingerprint>,
    alone: &BTreeSet<Fingerprint>,
) -> BTreeMap<Fingerprint, Fingerprint> {
    let next = |of: &Fingerprint| {
        let head = wanted.get(of).filter(|_| !alone.contains(of))?;
        (failing.contains(head) && !alone.contains(head)).then_some(head)
    };
    let each = failing.iter().filter_map(|member| {
        let mut head = next(member)?;
        let mut passed = BTreeSet::from([member]);
        while passed.insert(head) {
            match next(head) {
                Some(further) => head = further,
                None => return Some((member.clone(), head.clone())),
            }
        }
        // A circle has no head.
        None
    });
    each.collect()
}

/// What becomes of the kept findings after an audit, and which findings are new.
///
/// `known` are the kept findings, resolved ones among them; `estate` and `rules` are those that
/// `evaluation` was made of.
#[must_use]
pub fn reconcile(
    known: &[KnownFinding],
    evaluation: &Evaluation,
    rules: &RuleSet,
    estate: &Estate,
) -> Vec<FindingAction> {
    let mut by_id: HashMap<&str, &Rule> = HashMap::new();
    for rule in rules.rules() {
        for old in &rule.meta().supersedes {
            by_id.entry(old).or_insert(rule);
        }
    }
    by_id.extend(rules.rules().iter().map(|rule| (rule.id(), rule.as_ref())));
    let root = |id: &str| by_id.get(id).map_or_else(|| id.to_owned(), |rule| rule.root().to_owned());
    let active = |id: &str, subject: &Subject| {
        by_id
            .get(id)
            .is_some_and(|rule| rule.is_enabled(subject, crate::index::ou_path(estate, subject.account_id).as_deref()))
    };
    decide(known, evaluation, root, active, estate)
}

/// Everything the verdicts say about one rule and one subject.
#[derive(Default)]
struct Judged {
    passed: bool,
    failed: bool,
    not_applicable: bool,
    undecided: BTreeSet<Reason>,
    /// What answers rest on that was stated and not seen.
    assumed: BTreeSet<Assumption>,
}

/// Decides what happens to every kept finding, and which are new.
///
/// `root` gives the id under which a rule's findings are known, `active` whether the rule is in force
/// for a subject.
///
/// What happened stays so: a finding on sessions is decided again only while the sessions on which it
/// rests are among those that are judged, and ends with what is kept of them.
///
/// INVARIANT: nothing resolves without a verdict reached on complete facts, a subject proven gone
/// by complete listings, a rule that is no longer in force, or the end of what is kept of an event. An
/// answer that rests on an assumption resolves only a finding that was found under it.
fn decide(
    known: &[KnownFinding],
    evaluation: &Evaluation,
    root: impl Fn(&str) -> String,
    active: impl Fn(&str, &Subject) -> bool,
    estate: &Estate,
) -> Vec<FindingAction> {
    let by_fingerprint: BTreeMap<&Fingerprint, &KnownFinding> = known.iter().map(|k| (&k.fingerprint, k)).collect();
    let unresolved = || known.iter().filter(|finding| finding.workflow != Workflow::Resolved);
    // What is said of anything else decides about no kept finding.
    let kept: HashSet<(SubjectKind, &str)> =
        unresolved().map(|finding| (finding.subject.kind, finding.subject.key.as_str())).collect();
    let mut judged: BTreeMap<(String, SubjectKind, &str), Judged> = BTreeMap::new();
    let mut failures: BTreeMap<Fingerprint, (&Verdict, String)> = BTreeMap::new();
    for verdict in &evaluation.verdicts {
        let subject = (verdict.subject.kind, verdict.subject.key.as_str());
        let is_kept = kept.contains(&subject);
        if !is_kept && !matches!(verdict.outcome, Outcome::Fail { .. }) {
            continue;
        }
        let root = root(&verdict.rule);
        if let Some(fingerprint) = verdict.fingerprint(&root) {
            failures.entry(fingerprint).or_insert_with(|| (verdict, root.clone()));
        }
        if !is_kept {
            continue;
        }
        let entry = judged.entry((root, subject.0, subject.1)).or_default();
        entry.assumed.extend(&verdict.assumptions);
        match &verdict.outcome {
            Outcome::Fail { .. } => entry.failed = true,
            Outcome::Pass => entry.passed = true,
            Outcome::NotApplicable => entry.not_applicable = true,
            Outcome::Unknown { why } => entry.undecided.extend(why.iter().cloned()),
            Outcome::Error { message } => entry.undecided.extend([Reason::from(format!("the rule failed: {message}"))]),
        }
    }
    let excepted = failures.iter().filter(|(_, (verdict, _))| verdict.exception.is_some());
    let suppressed = known.iter().filter(|finding| finding.suppressed).map(|finding| &finding.fingerprint);
    let alone = excepted.map(|(fingerprint, _)| fingerprint).chain(suppressed).cloned().collect();
    let heads = heads(&evaluation.listed_under, &failures.keys().cloned().collect(), &alone);
    let failing: BTreeMap<Fingerprint, Failure> = failures
        .into_iter()
        .filter_map(|(fingerprint, (verdict, root))| {
            let workloads = evaluation.reach.of_subject(&verdict.subject);
            let part_of = heads.get(&fingerprint).cloned();
            Some((fingerprint, Failure::new(verdict, &root, part_of, workloads)?))
        })
        .collect();

    let mut actions = Vec::new();
    for finding in unresolved().filter(|finding| !failing.contains_key(&finding.fingerprint)) {
        let fingerprint = finding.fingerprint.clone();
        let subject = &finding.subject;
        let in_force = active(&finding.rule, subject);
        if let Some(happened) = finding.happened_at.filter(|_| in_force) {
            let before = |moment: Option<DateTime<Utc>>| moment.is_some_and(|moment| happened < moment);
            if before(estate.sessions_kept_since) {
                actions.push(FindingAction::Resolve { fingerprint, why: Resolution::Expired, by: None });
                continue;
            }
            // Nothing that is judged now tells of it.
            let is_judged = judged.contains_key(&(root(&finding.rule), subject.kind, subject.key.as_str()));
            if before(estate.sessions_judged_since) || !is_judged {
                continue;
            }
        }
        let change = evaluation.changes.get(&subject.key).filter(|_| subject.kind == SubjectKind::Change);
        if let (true, Some(Some(by))) = (in_force, change) {
            actions.push(FindingAction::Resolve { fingerprint, why: Resolution::Reversed, by: Some(by.clone()) });
            continue;
        }
        actions.push(match judged.get(&(root(&finding.rule), subject.kind, subject.key.as_str())) {
            _ if !in_force => FindingAction::Resolve { fingerprint, why: Resolution::RuleDisabled, by: None },
            Some(j) if !j.undecided.is_empty() => {
                FindingAction::MarkStale { fingerprint, why: j.undecided.iter().cloned().collect() }
            }
            // What was stated and not seen takes away nothing that was found without it.
            Some(j) if j.assumed.iter().any(|assumption| !finding.assumptions.contains(assumption)) => {
                let beyond = j.assumed.iter().filter(|assumption| !finding.assumptions.contains(assumption));
                let why = beyond.map(|assumption| {
                    let text = format!("it would be resolved only by the assumption that {}", assumption.sentence());
                    Reason::new(text, Cause::Assumption(*assumption))
                });
                FindingAction::MarkStale { fingerprint, why: why.collect() }
            }
            // Failing in another way only: this way it passes.
            Some(j) if j.passed || j.failed => {
                FindingAction::Resolve { fingerprint, why: Resolution::Passed, by: None }
            }
            Some(j) if j.not_applicable => {
                FindingAction::Resolve { fingerprint, why: Resolution::NotApplicable, by: None }
            }
            _ => match presence(estate, subject) {
                Presence::Gone => FindingAction::Resolve { fingerprint, why: Resolution::SubjectGone, by: None },
                Presence::Present => {
                    let text = format!("the audit reached no verdict about {} {}", subject.kind.as_str(), subject.key);
                    FindingAction::MarkStale { fingerprint, why: vec![text.into()] }
                }
                Presence::NotSeen(why) => FindingAction::MarkStale { fingerprint, why },
            },
        });
    }
    for (fingerprint, failure) in failing {
        actions.push(match by_fingerprint.get(&fingerprint) {
            None => FindingAction::Open(failure),
            Some(k) if k.workflow == Workflow::Resolved => FindingAction::Reopen(failure),
            Some(k) => {
                let changed = k.evidence_digest != failure.evidence_digest
                    || k.severity != failure.severity
                    || k.message != failure.message;
                FindingAction::Refresh { failure, changed }
            }
        });
    }
    actions
}

/// Whether a subject is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Presence {
    /// It is in the estate.
    Present,
    /// It is not, and complete listings show it.
    Gone,
    /// It is not, and nothing follows; why.
    NotSeen(Vec<Reason>),
}

/// Where a subject is, as far as the latest scans show.
fn presence(estate: &Estate, subject: &Subject) -> Presence {
    let coverage = &estate.coverage;
    let account = subject.account_id;
    let region = subject.region.as_deref().and_then(|r| r.parse().ok());
    let cluster = subject.cluster.as_deref().and_then(|c| c.parse().ok());
    let key = subject.key.as_str();
    let found = match subject.kind {
        SubjectKind::Role => estate.roles.iter().any(|r| r.arn.as_str() == key),
        SubjectKind::Policy => estate.policies.iter().any(|p| p.arn.as_str() == key),
        SubjectKind::Association => estate.associations.iter().any(|a| a.key.to_string() == key),
        SubjectKind::Cluster => estate.clusters.iter().any(|c| c.arn == key),
        SubjectKind::Account => estate.accounts.iter().any(|a| a.id.to_string() == key),
        // Shapes of sessions are subjects only in the window that is judged, changes only while they are open.
        SubjectKind::Session | SubjectKind::Change => false,
    };
    if found {
        return Presence::Present;
    }
    let every = |kind: ScopeKind, mine: &dyn Fn(&Scope) -> bool| -> Vec<Reason> {
        let scopes: Vec<_> = coverage.scopes().filter(|(s, _)| s.kind == kind && mine(s)).collect();
        if scopes.is_empty() {
            return vec![Scope::global(account, kind).never_scanned()];
        }
        scopes.iter().flat_map(|(scope, _)| coverage.blind_spots(scope)).collect()
    };
    let blind = match (subject.kind, region, cluster) {
        (SubjectKind::Role, ..) => coverage.blind_spots(&Scope::global(account, ScopeKind::Roles)),
        (SubjectKind::Policy, ..) => coverage.blind_spots(&Scope::global(account, ScopeKind::Policies)),
        (SubjectKind::Cluster, Some(region), _) => {
            coverage.blind_spots(&Scope::regional(account, ScopeKind::Clusters, region))
        }
        (SubjectKind::Association, Some(region), Some(cluster)) => {
            let clusters = coverage.blind_spots(&Scope::regional(account, ScopeKind::Clusters, region.clone()));
            let listed =
                estate.clusters.iter().any(|c| c.account_id == account && c.region == region && c.name == cluster);
            // Where the cluster is gone, so are its associations; nobody lists those of no cluster.
            if listed || !clusters.is_empty() {
                let own = Scope::of_cluster(account, ScopeKind::Associations, region, cluster);
                let own = coverage.blind_spots(&own);
                if listed || own.is_empty() { own } else { clusters }
            } else {
                Vec::new()
            }
        }
        (SubjectKind::Account, ..) => every(ScopeKind::Organization, &|_| true),
        (SubjectKind::Session, ..) => every(ScopeKind::Sessions, &|s| s.account_id == account),
        (SubjectKind::Change, ..) => vec![format!("change {key} was not judged").into()],
        (SubjectKind::Cluster | SubjectKind::Association, ..) => {
            vec![format!("{} {key} names no place that can be scanned", subject.kind.as_str()).into()]
        }
    };
    if blind.is_empty() { Presence::Gone } else { Presence::NotSeen(blind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> BTreeMap<Fingerprint, Fingerprint> {
        let name = |text: &str| Fingerprint(text.to_owned());
        pairs.iter().map(|(member, head)| (name(member), name(head))).collect()
    }

    fn set(text: &str) -> BTreeSet<Fingerprint> {
        text.split_whitespace().map(|name| Fingerprint(name.to_owned())).collect()
    }

    #[test]
    fn a_finding_is_listed_under_one_that_is_itself_listed_alone() {
        let wanted = names(&[("a", "b"), ("b", "c"), ("d", "gone"), ("e", "f"), ("f", "e"), ("g", "c")]);
        let failing = set("a b c d e f g");
        assert_eq!(heads(&wanted, &failing, &set("")), names(&[("a", "c"), ("b", "c"), ("g", "c")]));
        // What an exception covers is listed, and hides nothing.
        assert_eq!(heads(&wanted, &failing, &set("c")), names(&[("a", "b")]));
        assert_eq!(heads(&wanted, &failing, &set("b g")), names(&[]));
    }
}
