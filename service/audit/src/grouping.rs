//! One cause, one finding: what several rules say about one statement is listed under the gravest.
//!
//! A finding is listed under another of the same subject where its rule says so (`part_of`), or where
//! every statement that it rests on is one that graver findings rest on as well. What keeps pods from
//! working is no repetition of what endangers them, so `availability` stands apart. Nothing is resolved
//! by it: a finding that is listed under another has its own life, and is listed by itself once the
//! other is gone. Refuses to know what is kept of findings.

use crate::verdict::{Fingerprint, Verdict};
use rolecall_iam::Digest;
use rolecall_rules::{Evidence, Outcome, Rule, RuleSet, Severity, SubjectKind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The category of rules about what keeps pods from working.
const AVAILABILITY: &str = "availability";

/// A statement of a document.
type Statement<'a> = (Digest, &'a str);

/// A failing verdict that no exception covers, in the order from the gravest.
struct Failing<'a> {
    order: (Reverse<Severity>, &'a str, Fingerprint),
    rule: &'a Rule,
    statements: BTreeSet<Statement<'a>>,
}

impl Failing<'_> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.order.2
    }

    /// Whether the rule says that what it finds is part of what the other finds.
    fn is_declared_under(&self, other: &Self) -> bool {
        self.rule.part_of().iter().any(|id| other.rule.is_known_as(id))
    }
}

/// The failing verdicts that are listed under another, each with that one.
///
/// A verdict under an exception is listed by itself, and nothing is listed under it: what is accepted
/// must hide nothing.
pub(crate) fn listed_under(verdicts: &[Verdict], rules: &RuleSet) -> BTreeMap<Fingerprint, Fingerprint> {
    let rules: HashMap<&str, &Rule> = rules.rules().iter().map(|rule| (rule.id(), rule.as_ref())).collect();
    let mut subjects: BTreeMap<(SubjectKind, &str), Vec<Failing<'_>>> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.exception.is_none()) {
        let (Outcome::Fail { evidence, discriminator, .. }, Some(rule)) =
            (&verdict.outcome, rules.get(verdict.rule.as_str()))
        else {
            continue;
        };
        let subject = &verdict.subject;
        let fingerprint = Fingerprint::new(rule.root(), subject.kind, &subject.key, discriminator);
        let order = (Reverse(verdict.severity), rule.root(), fingerprint);
        let apart = rule.meta().category == AVAILABILITY;
        let failing = Failing { order, rule, statements: if apart { BTreeSet::new() } else { statements(evidence) } };
        subjects.entry((subject.kind, &subject.key)).or_default().push(failing);
    }
    let mut under = BTreeMap::new();
    for failing in subjects.values_mut().filter(|failing| failing.len() > 1) {
        failing.sort_by(|a, b| a.order.cmp(&b.order));
        group(failing, &mut under);
    }
    under
}

/// Groups the findings about one subject, which stand in their order.
fn group(failing: &[Failing<'_>], under: &mut BTreeMap<Fingerprint, Fingerprint>) {
    let declared = |member: &Failing<'_>| failing.iter().find(|head| member.is_declared_under(head));
    let mut listed: Vec<&Failing<'_>> = Vec::new();
    let mut covered: BTreeSet<Statement<'_>> = BTreeSet::new();
    for member in failing {
        if let Some(head) = declared(member) {
            under.insert(member.fingerprint().clone(), head.fingerprint().clone());
            continue;
        }
        let repeats = !member.statements.is_empty() && member.statements.is_subset(&covered);
        let head = listed.iter().find(|head| !head.statements.is_disjoint(&member.statements)).filter(|_| repeats);
        if let Some(head) = head {
            under.insert(member.fingerprint().clone(), head.fingerprint().clone());
        } else {
            covered.extend(&member.statements);
            listed.push(member);
        }
    }
}

/// The statements that evidence shows; a fact of no document is none.
fn statements(evidence: &[Evidence]) -> BTreeSet<Statement<'_>> {
    let shown = evidence.iter().filter(|evidence| !evidence.pointer.is_empty());
    shown.filter_map(|evidence| Some((evidence.document?, evidence.pointer.as_str()))).collect()
}
