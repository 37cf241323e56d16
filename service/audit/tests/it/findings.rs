//! The life of findings: identities that never change, what opens, stays, goes stale and resolves.

use crate::shipped::RULES;
use crate::small::{API, CLUSTER, HOME, OPEN, REGION, Small, UUID, action_of, allow, id};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::{Detection, Failure, FindingAction, KnownFinding, Resolution, Workflow, reconcile};
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{AttachedPolicy, Estate, SessionKind};
use rolecall_rules::{Outcome, RuleSet, SourceFile, SubjectKind};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

/// What the store keeps of findings, by identity.
pub(crate) type Kept = BTreeMap<Fingerprint, KnownFinding>;

pub(crate) fn kept(failure: &Failure) -> KnownFinding {
    KnownFinding {
        fingerprint: failure.fingerprint.clone(),
        rule: failure.rule.clone(),
        subject: failure.subject.clone(),
        detection: Detection::Active,
        workflow: Workflow::Open,
        evidence_digest: failure.evidence_digest,
        severity: failure.severity,
        message: failure.message.clone(),
        assumptions: failure.assumptions.clone(),
        happened_at: failure.happened_at,
        suppressed: false,
        owner: None,
    }
}

/// Does what the store does with the actions.
pub(crate) fn apply(kept_before: &Kept, actions: &[FindingAction]) -> Kept {
    let mut after = kept_before.clone();
    for action in actions {
        match action {
            FindingAction::Open(failure) | FindingAction::Reopen(failure) => {
                after.insert(failure.fingerprint.clone(), kept(failure));
            }
            FindingAction::Refresh { failure, .. } => {
                let workflow = after[&failure.fingerprint].workflow;
                after.insert(failure.fingerprint.clone(), KnownFinding { workflow, ..kept(failure) });
            }
            FindingAction::Resolve { fingerprint, .. } => {
                let finding = after.get_mut(fingerprint).unwrap();
                (finding.workflow, finding.detection) = (Workflow::Resolved, Detection::Cleared);
            }
            FindingAction::MarkStale { fingerprint, .. } => {
                after.get_mut(fingerprint).unwrap().detection = Detection::Stale;
            }
        }
    }
    after
}

pub(crate) fn audit(known: &Kept, rules: &RuleSet, estate: &Estate) -> Vec<FindingAction> {
    let known: Vec<KnownFinding> = known.values().cloned().collect();
    reconcile(&known, &evaluate(estate, rules, now()), rules, estate)
}

pub(crate) fn first(small: &Small) -> Kept {
    apply(&Kept::new(), &audit(&Kept::new(), &RULES, &small.0))
}

pub(crate) fn resolutions(actions: &[FindingAction]) -> Vec<Resolution> {
    let each = actions.iter().filter_map(|action| match action {
        FindingAction::Resolve { why, .. } => Some(*why),
        _ => None,
    });
    each.collect()
}

/// An estate with something wrong for as many rules as fit into one.
fn bad() -> Small {
    let hop = allow(
        r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/api"},"Action":["sts:AssumeRole","sts:TagSession"]"#,
    );
    let everything = allow(r#""Action":"*","Resource":"*""#);
    let mut bad = Small::new().target(&hop).role(API, OPEN, &[("own", &everything)]);
    bad = bad.association("order", "default", API).association("order", "lost", "arn:aws:iam::111122223333:role/gone");
    bad = bad.session(
        SessionKind::AssumeRole,
        "arn:aws:iam::111122223333:user/eve",
        &format!("eks-prod-api-{UUID}"),
        &[],
    );
    bad = bad.session(SessionKind::PodIdentity, "pods.eks.amazonaws.com", "api", &[]);
    bad.0.clusters[0].addons = Some(Vec::new());
    bad.0.trails[0].records_read_only_management = Some(false);
    bad
}

#[test]
fn fingerprints_never_change() {
    let of = |rule: &str, kind, key: &str, more: &[&str]| {
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        Fingerprint::new(rule, kind, key, &more).0
    };
    let golden = [
        of("wildcard-action", SubjectKind::Role, API, &[]),
        of("default-service-account", SubjectKind::Association, "111122223333/eu-west-1/prod/pay/default", &[]),
        of("wildcard-action", SubjectKind::Role, API, &["s3:*"]),
        of("x", SubjectKind::Account, "quote \" and ünïcode", &[]),
    ];
    insta::assert_debug_snapshot!(golden);
    for fingerprint in &golden {
        let text = fingerprint.strip_prefix("v1:").unwrap();
        assert!(
            text.len() == 26 && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)),
            "{text}"
        );
    }
}

#[test]
fn the_parts_of_a_fingerprint_do_not_run_together() {
    let of = |key: &str, more: &str| Fingerprint::new("r", SubjectKind::Role, key, &[more.to_owned()]);
    assert_ne!(of("ab", "c"), of("a", "bc"));
    assert_ne!(of("a\",\"b", "c"), of("a", "b\",\"c"));
}

#[test]
fn the_findings_of_a_small_estate() {
    let mut lines: Vec<String> = first(&bad())
        .values()
        .map(|f| format!("{} {} {} | {}", f.severity.as_str(), f.rule, f.subject.key, f.message))
        .collect();
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_put_right_resolves_and_comes_back_as_reopened() {
    let before = first(&bad());
    let actions = audit(&before, &RULES, &Small::new().0);
    let after = apply(&before, &actions);
    // What happened is not put right.
    let is_right = |finding: &KnownFinding| (finding.workflow == Workflow::Resolved) == finding.happened_at.is_none();
    assert!(after.values().all(is_right), "{actions:#?}");
    let again = audit(&after, &RULES, &bad().0);
    assert_eq!(again.len(), before.len());
    let as_it_was = |action: &FindingAction| match action {
        FindingAction::Reopen(failure) => failure.happened_at.is_none(),
        FindingAction::Refresh { failure, changed: false } => failure.happened_at.is_some(),
        _ => false,
    };
    assert!(again.iter().all(as_it_was), "{again:#?}");
}

#[test]
fn a_resolved_finding_is_left_alone_by_whatever_does_not_fail() {
    let before = first(&bad());
    let resolved = apply(&before, &audit(&before, &RULES, &Small::new().0));
    assert_eq!(audit(&resolved, &RULES, &Small::new().0), []);
    assert_eq!(audit(&resolved, &RULES, &Small::new().gap(ScopeKind::Entry).0), []);
}

#[test]
fn a_refresh_says_whether_anything_that_people_see_differs() {
    let before = first(&bad());
    let unchanged = audit(&before, &RULES, &bad().0);
    assert!(unchanged.iter().all(|a| matches!(a, FindingAction::Refresh { changed: false, .. })), "{unchanged:#?}");
    let more = allow(r#""Action":["*","s3:GetObject"],"Resource":"*""#);
    let changed = audit(&before, &RULES, &bad().role(API, OPEN, &[("own", &more)]).0);
    let of = |rule: &str| {
        let found = changed.iter().find_map(|action| match action {
            FindingAction::Refresh { failure, changed } if failure.rule == rule => Some(*changed),
            _ => None,
        });
        found.unwrap()
    };
    assert!(of("admin-equivalent") && !of("default-service-account"));
}

#[test]
fn a_subject_is_gone_only_where_a_complete_listing_lacks_it() {
    let before = first(&bad());
    let mut without = bad();
    without.0.roles.clear();
    without.0.associations.clear();
    let gone = resolutions(&audit(&before, &RULES, &without.0));
    assert!(gone.contains(&Resolution::SubjectGone));
    let hidden = without.gap(ScopeKind::Roles).gap(ScopeKind::Associations);
    let actions = audit(&before, &RULES, &hidden.0);
    let of_lost = |kind: SubjectKind| {
        let lost = before.values().filter(move |f| f.subject.kind == kind).map(|f| f.fingerprint.clone());
        lost.collect::<BTreeSet<_>>()
    };
    for kind in [SubjectKind::Role, SubjectKind::Association] {
        for lost in of_lost(kind) {
            let stale = actions
                .iter()
                .any(|a| matches!(a, FindingAction::MarkStale { fingerprint, .. } if *fingerprint == lost));
            assert!(stale, "{actions:#?}");
        }
    }
}

#[test]
fn the_associations_of_a_deleted_cluster_are_gone() {
    let before = first(&bad());
    let mut without = bad();
    without.0.clusters.clear();
    without.0.associations.clear();
    let actions = audit(&before, &RULES, &without.0);
    for finding in before.values().filter(|f| matches!(f.subject.kind, SubjectKind::Association | SubjectKind::Cluster))
    {
        let why = Resolution::SubjectGone;
        assert!(
            actions.contains(&FindingAction::Resolve { fingerprint: finding.fingerprint.clone(), why, by: None }),
            "{finding:?}"
        );
    }
}

#[test]
fn what_happened_stays_so_until_nothing_is_kept_of_it() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let pods = "pods.eks.amazonaws.com";
    let wrong = Small::new().session(SessionKind::PodIdentity, pods, "api", &[]);
    let known: Kept = first(&wrong).into_iter().filter(|(_, finding)| finding.rule == "session-name-grammar").collect();
    let happened = wrong.0.sessions[0].at;
    assert_eq!(known.values().map(|finding| finding.happened_at).collect::<Vec<_>>(), [Some(happened)]);
    let of_sessions = |small: &Small| -> Vec<FindingAction> {
        let of_known = |action: &FindingAction| match action {
            FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
                known.contains_key(&failure.fingerprint)
            }
            FindingAction::Resolve { fingerprint, .. } | FindingAction::MarkStale { fingerprint, .. } => {
                known.contains_key(fingerprint)
            }
        };
        audit(&known, &RULES, &small.0).into_iter().filter(of_known).collect()
    };
    let later = |judged: &str| {
        let mut later = Small::new();
        later.0.sessions_judged_since = Some(at(judged));
        later
    };
    let repeated = of_sessions(&wrong);
    assert!(matches!(repeated.as_slice(), [FindingAction::Refresh { changed: false, .. }]), "{repeated:?}");
    // The window moved on, and every listing is complete.
    assert_eq!(of_sessions(&later("2026-11-21T00:00:00Z")), []);
    // Other sessions of the same role and principal are right.
    let mut others = wrong.clone();
    others.0.sessions[0].at = at("2026-11-22T00:00:00Z");
    others.0.sessions[0].session_name = Some(format!("eks-prod-api-{UUID}"));
    others.0.sessions_judged_since = Some(at("2026-11-21T00:00:00Z"));
    assert_eq!(of_sessions(&others), []);
    // What is kept ends behind it.
    let mut forgotten = later("2026-11-21T00:00:00Z");
    forgotten.0.sessions_kept_since = Some(at("2026-11-19T00:00:00Z"));
    assert_eq!(of_sessions(&forgotten), []);
    forgotten.0.sessions_kept_since = Some(at("2026-11-21T00:00:00Z"));
    assert_eq!(resolutions(&of_sessions(&forgotten)), [Resolution::Expired]);
    // A rule that is off says nothing of what happened either.
    let none = crate::policies::load(&[]);
    let actions = reconcile(
        &known.values().cloned().collect::<Vec<_>>(),
        &evaluate(&later("2026-11-21T00:00:00Z").0, &none, now()),
        &none,
        &later("2026-11-21T00:00:00Z").0,
    );
    assert_eq!(resolutions(&actions), [Resolution::RuleDisabled]);
}

#[test]
fn sessions_that_are_judged_again_are_decided_again() {
    let pods = "pods.eks.amazonaws.com";
    let tags =
        [("kubernetes-namespace", "pay"), ("kubernetes-service-account", "batch"), ("eks-cluster-name", CLUSTER)];
    let arn = format!("arn:aws:eks:{REGION}:{HOME}:cluster/{CLUSTER}");
    let mut all: Vec<(&str, &str)> = tags.to_vec();
    all.push(("eks-cluster-arn", &arn));
    let name = format!("eks-prod-api-7d9f6c-{UUID}");
    let lost = Small::new().session(SessionKind::PodIdentity, pods, &name, &all);
    let known: Kept =
        first(&lost).into_iter().filter(|(_, finding)| finding.rule == "session-without-association").collect();
    assert_eq!(known.len(), 1);
    let explained = lost.clone().association("pay", "batch", API);
    let actions = audit(&known, &RULES, &explained.0);
    assert_eq!(resolutions(&actions), [Resolution::Passed]);
}

#[test]
fn a_rule_that_is_no_more_resolves_its_findings_and_a_renamed_one_keeps_them() {
    let before = first(&bad());
    let mut files = crate::policies::files("builtin");
    files.retain(|file| !file.path.contains("default-service-account"));
    let rules = crate::policies::load(&files);
    assert_eq!(resolutions(&audit(&before, &rules, &bad().0)), [Resolution::RuleDisabled]);

    let mut files = crate::policies::files("builtin");
    for file in &mut files {
        file.text = file.text.replace(
            "  id: default-service-account\n",
            "  id: no-default-account\n  supersedes: [default-service-account]\n",
        );
    }
    let renamed = crate::policies::load(&files);
    let actions = audit(&before, &renamed, &bad().0);
    assert!(actions.iter().all(|action| matches!(action, FindingAction::Refresh { .. })), "{actions:#?}");
    // What happened stays so.
    let lasting = before.values().filter(|finding| finding.happened_at.is_none()).count();
    assert_eq!(resolutions(&audit(&before, &renamed, &Small::new().0)).len(), lasting);
}

#[test]
fn a_binding_that_switches_a_rule_off_resolves_what_it_covers() {
    let before = first(&bad());
    let mut files = crate::policies::files("builtin");
    files.push(SourceFile {
        path: "off.yaml".to_owned(),
        text: "apiVersion: rolecall/v1\nkind: Binding\nmetadata: {name: off}\nspec:\n  rules: [default-service-account]\n  select: {namespaces: [order]}\n  enabled: false\n".to_owned(),
    });
    let rules = crate::policies::load(&files);
    assert_eq!(resolutions(&audit(&before, &rules, &bad().0)), [Resolution::RuleDisabled]);
}

/// Rules whose facts hang on a scope, so that they must say unknown where it has a gap.
fn depends(kind: ScopeKind) -> &'static [&'static str] {
    const ROLES: &[&str] = &[
        "admin-equivalent",
        "wildcard-action",
        "wildcard-resource",
        "pass-role-any",
        "trust-without-source",
        "trust-admits-outsider",
        "association-role-missing",
        "target-role-without-external-id",
        "chained-hop-not-allowed",
        "unreadable-policy-document",
    ];
    match kind {
        ScopeKind::Entry => {
            &["wildcard-action", "default-service-account", "agent-addon-missing", "association-role-missing"]
        }
        ScopeKind::Organization => &["trust-admits-outsider"],
        ScopeKind::OrgPolicies => &["admin-equivalent", "wildcard-action", "wildcard-resource", "pass-role-any"],
        ScopeKind::Roles => ROLES,
        ScopeKind::Policies => &["wildcard-action", "admin-equivalent"],
        ScopeKind::OidcProviders | ScopeKind::OidcProviderDetails | ScopeKind::AccessEntries => &[],
        ScopeKind::ClusterDetails => &["agent-addon-missing"],
        ScopeKind::Clusters => &["agent-addon-missing", "default-service-account"],
        ScopeKind::Associations => {
            &["default-service-account", "association-role-missing", "target-role-without-external-id"]
        }
        ScopeKind::AssociationDetails => {
            &["association-role-missing", "target-role-without-external-id", "trust-lacks-tag-session"]
        }
        ScopeKind::Addons => &["agent-addon-missing"],
        ScopeKind::Trails => &["trail-misses-read-only-events"],
        ScopeKind::Sessions => &["session-name-grammar", "session-name-imitation"],
    }
}

/// The bad estate, made to hang on every kind of scope.
fn hanging() -> Small {
    let managed = "arn:aws:iam::111122223333:policy/all";
    let outside_caller = allow(r#""Principal":{"AWS":"999988887777"},"Action":"sts:AssumeRole""#);
    let shared = "arn:aws:iam::111122223333:role/shared";
    let mut hanging =
        bad().managed(managed, &allow(r#""Action":"*","Resource":"*""#)).role(shared, &outside_caller, &[]);
    let attached = AttachedPolicy { arn: managed.parse().unwrap(), name: String::new() };
    hanging.0.roles.iter_mut().find(|role| role.arn.as_str() == shared).unwrap().attached.push(attached);
    hanging
}

#[test]
fn whatever_is_refused_nothing_resolves_and_the_rules_say_why() {
    let before = first(&hanging());
    assert!(before.len() > 10);
    for kind in ScopeKind::ALL {
        for estate in [hanging().gap(kind), {
            // The worst case: what was refused has vanished from the estate too.
            let mut blind = hanging().gap(kind);
            match kind {
                ScopeKind::Roles => blind.0.roles.clear(),
                ScopeKind::Policies => blind.0.policies.clear(),
                ScopeKind::Clusters => blind.0.clusters.clear(),
                ScopeKind::Associations => blind.0.associations.clear(),
                ScopeKind::AssociationDetails => blind.0.associations.iter_mut().for_each(|a| a.detail = None),
                ScopeKind::Addons => blind.0.clusters[0].addons = None,
                ScopeKind::Trails => blind.0.trails.clear(),
                ScopeKind::Sessions => blind.0.sessions.clear(),
                ScopeKind::OrgPolicies => blind.0.org_policies.clear(),
                _ => {}
            }
            blind
        }] {
            let actions = audit(&before, &RULES, &estate.0);
            assert_eq!(resolutions(&actions), [], "{kind}: {actions:#?}");
            let evaluation = evaluate(&estate.0, &RULES, now());
            for rule in depends(kind) {
                let unknown: Vec<&str> = evaluation
                    .tallies
                    .iter()
                    .filter(|tally| tally.rule == *rule && tally.account_id == id(HOME) && tally.unknown > 0)
                    .flat_map(|tally| tally.reasons.iter().map(rolecall_estate::Reason::text))
                    .collect();
                assert!(unknown.iter().any(|why| why.contains(action_of(kind))), "{kind}: {rule}: {unknown:?}");
            }
        }
    }
}

#[test]
fn a_listing_that_was_refused_is_counted_even_where_no_subject_is_known() {
    let mut empty = Small::new().gap(ScopeKind::Associations);
    empty.0.associations.clear();
    let evaluation = evaluate(&empty.0, &RULES, now());
    let tally = evaluation.tallies.iter().find(|t| t.rule == "default-service-account" && t.account_id == id(HOME));
    let tally = tally.unwrap();
    assert_eq!((tally.pass, tally.unknown), (0, 1));
    assert!(tally.reasons[0].contains("eks:ListPodIdentityAssociations"), "{:?}", tally.reasons);
}

/// Ways in which an estate can differ from the bad one.
#[derive(Debug, Clone)]
struct Variation {
    gaps: BTreeSet<ScopeKind>,
    good: bool,
    without_roles: bool,
    without_associations: bool,
    without_sessions: bool,
}

impl Variation {
    fn estate(&self, gaps: bool) -> Estate {
        let mut small = if self.good { Small::new() } else { bad() };
        if self.without_roles {
            small.0.roles.clear();
        }
        if self.without_associations {
            small.0.associations.clear();
        }
        if self.without_sessions {
            small.0.sessions.clear();
        }
        if gaps {
            small = self.gaps.iter().fold(small, |small, kind| small.gap(*kind));
        }
        small.0
    }
}

fn variation() -> impl Strategy<Value = Variation> {
    let gaps = proptest::collection::btree_set(proptest::sample::select(ScopeKind::ALL.to_vec()), 0..4);
    (gaps, any::<[bool; 4]>()).prop_map(|(gaps, [good, without_roles, without_associations, without_sessions])| {
        Variation { gaps, good, without_roles, without_associations, without_sessions }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Auditing the same estate again changes nothing.
    #[test]
    fn an_audit_repeated_changes_nothing(v in variation()) {
        let before = first(&bad());
        let estate = v.estate(true);
        let once = apply(&before, &audit(&before, &RULES, &estate));
        let again = audit(&once, &RULES, &estate);
        let moves = |action: &FindingAction| {
            !matches!(action, FindingAction::MarkStale { .. } | FindingAction::Refresh { changed: false, .. })
        };
        prop_assert!(!again.iter().any(moves), "{:#?}", again);
        prop_assert_eq!(apply(&once, &again), once);
    }

    /// Seeing less never resolves what seeing more would not have resolved.
    #[test]
    fn less_coverage_never_resolves_more(v in variation()) {
        let before = first(&bad());
        let resolved = |estate: &Estate| {
            let actions = audit(&before, &RULES, estate);
            actions.iter().filter_map(|a| match a {
                FindingAction::Resolve { fingerprint, .. } => Some(fingerprint.clone()),
                _ => None,
            }).collect::<BTreeSet<_>>()
        };
        prop_assert!(resolved(&v.estate(true)).is_subset(&resolved(&v.estate(false))));
    }

    /// No finding resolves about which a verdict is unknown.
    #[test]
    fn an_unknown_never_resolves(v in variation()) {
        let before = first(&bad());
        let estate = v.estate(true);
        let evaluation = evaluate(&estate, &RULES, now());
        let known: Vec<KnownFinding> = before.values().cloned().collect();
        for action in reconcile(&known, &evaluation, &RULES, &estate) {
            let FindingAction::Resolve { fingerprint, .. } = action else { continue };
            let finding = &before[&fingerprint];
            let unknown = evaluation.verdicts.iter().any(|verdict| {
                verdict.rule == finding.rule && verdict.subject.key == finding.subject.key
                    && matches!(verdict.outcome, Outcome::Unknown { .. } | Outcome::Error { .. })
            });
            prop_assert!(!unknown, "{finding:?}");
        }
    }
}
