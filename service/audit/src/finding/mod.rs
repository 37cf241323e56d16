//! What a finding is, when two are the same, and how its life goes on from one audit to the next.
//!
//! The scanner owns *detection*, people own *workflow*. Only a pass, or a subject proven gone,
//! resolves; an unknown leaves a finding as it was and marks it stale. Refuses to know SQL, HTTP
//! and tickets.

use crate::evaluate::Evaluation;
use crate::reach::Workload;
use crate::verdict::{Fingerprint, Verdict};
use chrono::{DateTime, Utc};
use rolecall_estate::Estate;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_iam::Digest;
use rolecall_rules::{EffectiveParam, Evidence, ExceptionRef, Outcome, Rule, RuleSet, Severity, Subject, SubjectKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the scanner last saw of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detection {
    /// The rule fails.
    Active,
    /// The rule could not be decided in the latest audit; the last answer was a fail.
    Stale,
    /// The rule passes, or the subject is gone.
    Cleared,
}

impl Detection {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stale => "stale",
            Self::Cleared => "cleared",
        }
    }
}

/// What people made of a finding, except that the scanner resolves and reopens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workflow {
    /// To be looked at.
    Open,
    /// Somebody is on it.
    Acknowledged,
    /// Accepted until a date.
    Suppressed,
    /// Done.
    Resolved,
}

impl Workflow {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Suppressed => "suppressed",
            Self::Resolved => "resolved",
        }
    }
}

/// What is known of a finding before an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownFinding {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// Scanner's side.
    pub detection: Detection,
    /// People's side.
    pub workflow: Workflow,
    /// [`Failure::evidence_digest`] as last seen.
    pub evidence_digest: rolecall_iam::Digest,
    /// Severity last given.
    pub severity: Severity,
    /// Message last given.
    pub message: String,
    /// What was stated and not seen, and it rests on.
    pub assumptions: Vec<Assumption>,
    /// [`Failure::happened_at`] as last seen.
    pub happened_at: Option<DateTime<Utc>>,
}

/// Why a finding was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The rule passes now.
    Passed,
    /// The subject is gone, as complete listings show.
    SubjectGone,
    /// The rule does not concern the subject any more, as seen.
    NotApplicable,
    /// The rule was removed or switched off.
    RuleDisabled,
    /// It happened so long ago that what was recorded of it is not kept any more.
    Expired,
}

impl Resolution {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::SubjectGone => "subject_gone",
            Self::NotApplicable => "not_applicable",
            Self::RuleDisabled => "rule_disabled",
            Self::Expired => "expired",
        }
    }
}

/// Everything that a failing verdict says about a finding, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// After bindings.
    pub severity: Severity,
    /// What the severity follows from, where it is neither the rule's own nor a binding's.
    pub severity_because: Option<String>,
    /// The graver finding about the same statement under which this one is listed. It fails in the
    /// same audit, is covered by no exception, and is listed under no other.
    pub part_of: Option<Fingerprint>,
    /// What was stated and not seen, and the finding rests on.
    pub assumptions: Vec<Assumption>,
    /// The workloads that reach the role concerned, by association.
    pub workloads: Vec<Workload>,
    /// One sentence.
    pub message: String,
    /// What decided.
    pub evidence: Vec<Evidence>,
    /// Digest of what the finding shows besides message and severity.
    pub evidence_digest: rolecall_iam::Digest,
    /// Parameters in force.
    pub params: BTreeMap<String, EffectiveParam>,
    /// The exception in force, if any: the finding is then suppressed, not hidden.
    pub exception: Option<ExceptionRef>,
    /// When the newest of the events happened on which it rests; `None` where it is about how things
    /// are, and not about what happened.
    pub happened_at: Option<DateTime<Utc>>,
}

/// What is to be done to the kept findings after an audit. Applied in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum FindingAction {
    /// New.
    Open(Failure),
    /// Resolved before, and fails again.
    Reopen(Failure),
    /// Still fails. `changed` says whether evidence, message, severity or exception differ.
    Refresh {
        /// What it says now.
        failure: Failure,
        /// Whether anything that people see differs.
        changed: bool,
    },
    /// Passed, or gone.
    Resolve {
        /// Which.
        fingerprint: Fingerprint,
        /// Why.
        why: Resolution,
    },
    /// Could not be decided: stays as it is, marked stale.
    MarkStale {
        /// Which.
        fingerprint: Fingerprint,
        /// Why not decided.
        why: Vec<String>,
    },
}

impl Failure {
    /// What a failing verdict says, under the rule's root id; `None` for other verdicts. `part_of` is
    /// the finding under which it is listed, `workloads` are those that reach the role concerned.
    #[must_use]
    pub fn of(verdict: &Verdict, root: &str, part_of: Option<Fingerprint>, workloads: Vec<Workload>) -> Option<Self> {
        let Outcome::Fail { message, evidence, .. } = &verdict.outcome else { return None };
        let shown = serde_json::json!({
            "evidence": evidence,
            "exception": verdict.exception,
            "severity_because": verdict.severity_because,
            "part_of": part_of,
            "assumptions": verdict.assumptions,
            "workloads": workloads,
        });
        Some(Self {
            fingerprint: verdict.fingerprint(root)?,
            rule: verdict.rule.clone(),
            subject: verdict.subject.clone(),
            severity: verdict.severity,
            severity_because: verdict.severity_because.clone(),
            part_of,
            assumptions: verdict.assumptions.clone(),
            workloads,
            message: message.clone(),
            evidence: evidence.clone(),
            evidence_digest: Digest::of(shown.to_string().as_bytes()),
            params: verdict.params.as_ref().clone(),
            exception: verdict.exception.clone(),
            happened_at: verdict.happened_at.map(|at| newest_event(evidence).unwrap_or(at)),
        })
    }
}

/// Which finding each failing one is listed under, after every chain is followed to its end.
///
/// `wanted` says it step by step; `alone` are the failing findings that an exception covers: they are
/// listed by themselves, and nothing is listed under them, as what is accepted must hide nothing.
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

/// When the newest of the events in the evidence happened.
fn newest_event(evidence: &[Evidence]) -> Option<DateTime<Utc>> {
    let times = evidence.iter().filter_map(|one| one.value.get("eventTime")?.as_str()?.parse().ok());
    times.max()
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
            .is_some_and(|rule| rule.is_enabled(subject, crate::facts::ou_path(estate, subject.account_id).as_deref()))
    };
    settle(known, evaluation, root, active, estate)
}

/// Everything the verdicts say about one rule and one subject.
#[derive(Default)]
struct Judged {
    passed: bool,
    failed: bool,
    not_applicable: bool,
    undecided: BTreeSet<String>,
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
/// by whole listings, a rule that is no longer in force, or the end of what is kept of an event. An
/// answer that rests on an assumption resolves only a finding that was found under it.
fn settle(
    known: &[KnownFinding],
    evaluation: &Evaluation,
    root: impl Fn(&str) -> String,
    active: impl Fn(&str, &Subject) -> bool,
    estate: &Estate,
) -> Vec<FindingAction> {
    let by_fingerprint: BTreeMap<&Fingerprint, &KnownFinding> = known.iter().map(|k| (&k.fingerprint, k)).collect();
    let mut judged: BTreeMap<(String, SubjectKind, &str), Judged> = BTreeMap::new();
    let mut failures: BTreeMap<Fingerprint, (&Verdict, String)> = BTreeMap::new();
    for verdict in &evaluation.verdicts {
        let root = root(&verdict.rule);
        if let Some(fingerprint) = verdict.fingerprint(&root) {
            failures.entry(fingerprint).or_insert_with(|| (verdict, root.clone()));
        }
        let entry = judged.entry((root, verdict.subject.kind, &verdict.subject.key)).or_default();
        entry.assumed.extend(&verdict.assumptions);
        match &verdict.outcome {
            Outcome::Fail { .. } => entry.failed = true,
            Outcome::Pass => entry.passed = true,
            Outcome::NotApplicable => entry.not_applicable = true,
            Outcome::Unknown { why } => entry.undecided.extend(why.iter().cloned()),
            Outcome::Error { message } => entry.undecided.extend([format!("the rule failed: {message}")]),
        }
    }
    let excepted = failures.iter().filter(|(_, (verdict, _))| verdict.exception.is_some());
    let alone = excepted.map(|(fingerprint, _)| fingerprint.clone()).collect();
    let heads = heads(&evaluation.listed_under, &failures.keys().cloned().collect(), &alone);
    let failing: BTreeMap<Fingerprint, Failure> = failures
        .into_iter()
        .filter_map(|(fingerprint, (verdict, root))| {
            let workloads = evaluation.reach.of_subject(&verdict.subject);
            let part_of = heads.get(&fingerprint).cloned();
            Some((fingerprint, Failure::of(verdict, &root, part_of, workloads)?))
        })
        .collect();

    let mut actions = Vec::new();
    for finding in known.iter().filter(|k| !failing.contains_key(&k.fingerprint) && k.workflow != Workflow::Resolved) {
        let fingerprint = finding.fingerprint.clone();
        let subject = &finding.subject;
        let in_force = active(&finding.rule, subject);
        if let Some(happened) = finding.happened_at.filter(|_| in_force) {
            let before = |moment: Option<DateTime<Utc>>| moment.is_some_and(|moment| happened < moment);
            if before(estate.sessions_kept_since) {
                actions.push(FindingAction::Resolve { fingerprint, why: Resolution::Expired });
                continue;
            }
            // Nothing that is judged now tells of it.
            let is_judged = judged.contains_key(&(root(&finding.rule), subject.kind, subject.key.as_str()));
            if before(estate.sessions_judged_since) || !is_judged {
                continue;
            }
        }
        actions.push(match judged.get(&(root(&finding.rule), subject.kind, subject.key.as_str())) {
            _ if !in_force => FindingAction::Resolve { fingerprint, why: Resolution::RuleDisabled },
            Some(j) if !j.undecided.is_empty() => {
                FindingAction::MarkStale { fingerprint, why: j.undecided.iter().cloned().collect() }
            }
            // What was stated and not seen takes away nothing that was found without it.
            Some(j) if j.assumed.iter().any(|assumption| !finding.assumptions.contains(assumption)) => {
                let beyond = j.assumed.iter().filter(|assumption| !finding.assumptions.contains(assumption));
                let why = beyond.map(|assumption| {
                    format!("it would be resolved only by the assumption that {}", assumption.sentence())
                });
                FindingAction::MarkStale { fingerprint, why: why.collect() }
            }
            // Failing in another way only: this way it passes.
            Some(j) if j.passed || j.failed => FindingAction::Resolve { fingerprint, why: Resolution::Passed },
            Some(j) if j.not_applicable => FindingAction::Resolve { fingerprint, why: Resolution::NotApplicable },
            _ => match whereabouts(estate, subject) {
                Whereabouts::Gone => FindingAction::Resolve { fingerprint, why: Resolution::SubjectGone },
                Whereabouts::Present => {
                    let why =
                        vec![format!("the audit reached no verdict about {} {}", subject.kind.as_str(), subject.key)];
                    FindingAction::MarkStale { fingerprint, why }
                }
                Whereabouts::NotSeen(why) => FindingAction::MarkStale { fingerprint, why },
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
enum Whereabouts {
    /// It is in the estate.
    Present,
    /// It is not, and whole listings show it.
    Gone,
    /// It is not, and nothing follows; why.
    NotSeen(Vec<String>),
}

/// Where a subject is, as far as the latest looks show.
fn whereabouts(estate: &Estate, subject: &Subject) -> Whereabouts {
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
        // Shapes of sessions are subjects only in the window that is judged.
        SubjectKind::Session => false,
    };
    if found {
        return Whereabouts::Present;
    }
    let every = |kind: ScopeKind, mine: &dyn Fn(&Scope) -> bool| -> Vec<String> {
        let scopes: Vec<_> = coverage.scopes().filter(|(s, _)| s.kind == kind && mine(s)).collect();
        if scopes.is_empty() {
            return vec![format!("{kind} of account {account} incomplete: never scanned")];
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
        (SubjectKind::Cluster | SubjectKind::Association, ..) => {
            vec![format!("{} {key} names no place that can be scanned", subject.kind.as_str())]
        }
    };
    if blind.is_empty() { Whereabouts::Gone } else { Whereabouts::NotSeen(blind) }
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
