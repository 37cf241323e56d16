//! Which workloads a finding concerns.

use crate::shipped::RULES;
use crate::small::{API, DATA, OPEN, Small, allow};
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Via;
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::{Failure, FindingAction, reconcile};
use rolecall_rules::SubjectKind;

const ALL: &str = r#""Action":"*","Resource":"*""#;

fn opened(small: &Small) -> Vec<Failure> {
    let now: DateTime<Utc> = "2026-11-23T00:00:00Z".parse().unwrap();
    let actions = reconcile(&[], &evaluate(&small.0, &RULES, now), &RULES, &small.0);
    let each = actions.into_iter().filter_map(|action| match action {
        FindingAction::Open(failure) => Some(failure),
        _ => None,
    });
    each.collect()
}

/// `namespace/service account` and the way, of each workload.
fn workloads(failure: &Failure) -> Vec<(String, Via)> {
    let name = |w: &rolecall_audit::access::reach::Workload| {
        (format!("{}/{}", w.association.namespace, w.association.service_account), w.via)
    };
    failure.workloads.iter().map(name).collect()
}

#[test]
fn a_finding_on_a_role_names_every_pod_that_holds_it() {
    let small = Small::new().may(&allow(ALL)).association("billing", "invoices", API);
    let found = opened(&small);
    let on_role: Vec<_> = found.iter().filter(|f| f.subject.kind == SubjectKind::Role).collect();
    assert!(!on_role.is_empty());
    for failure in on_role {
        let both = [("billing/invoices".to_owned(), Via::Direct), ("pay/api".to_owned(), Via::Direct)];
        assert_eq!(workloads(failure), both, "{}", failure.rule);
    }
    // An association names its workload by itself.
    assert!(found.iter().filter(|f| f.subject.kind == SubjectKind::Association).all(|f| f.workloads.is_empty()));
}

#[test]
fn a_finding_on_a_target_role_names_the_pods_that_go_on_to_it() {
    let small = Small::new().target(OPEN).role(DATA, OPEN, &[("all", &allow(ALL))]);
    let found = opened(&small);
    let on_target: Vec<_> = found.iter().filter(|f| f.subject.key == DATA).collect();
    assert!(!on_target.is_empty());
    for failure in on_target {
        assert_eq!(workloads(failure), [("pay/api".to_owned(), Via::Target)], "{}", failure.rule);
    }
    // Of two ways to one role, the nearest counts.
    let both = small.association("etl", "load", DATA).detail(|detail| detail.role_arn = DATA.to_owned());
    let found = opened(&both);
    let on_target = found.iter().find(|f| f.subject.key == DATA).unwrap();
    let direct = [("etl/load".to_owned(), Via::Direct), ("pay/api".to_owned(), Via::Direct)];
    assert_eq!(workloads(on_target), direct);
}

#[test]
fn a_finding_on_a_role_names_the_pods_whose_roles_may_assume_it() {
    const HOP: &str = "arn:aws:iam::111122223333:role/hop";
    const END: &str = "arn:aws:iam::111122223333:role/end";
    let may_assume = |role: &str| allow(&format!(r#""Action":"sts:AssumeRole","Resource":"{role}""#));
    let trusts = |role: &str| allow(&format!(r#""Principal":{{"AWS":"{role}"}},"Action":"sts:AssumeRole""#));
    let root = allow(r#""Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole""#);
    let small = Small::new().may(&may_assume(HOP)).role(HOP, &root, &[("on", &may_assume(END))]).role(
        END,
        &trusts(HOP),
        &[("all", &allow(ALL))],
    );
    let found = opened(&small);
    let on_end = found.iter().find(|f| f.subject.key == END).unwrap();
    assert_eq!(workloads(on_end), [("pay/api".to_owned(), Via::Chain)]);
    // A role that nothing lets on is the end of it.
    let closed = small.role(END, &root, &[("all", &allow(ALL))]).role(HOP, &root, &[("on", &may_assume(DATA))]);
    let found = opened(&closed);
    assert_eq!(workloads(found.iter().find(|f| f.subject.key == END).unwrap()), []);
}

#[test]
fn a_finding_on_a_policy_names_the_pods_of_its_roles() {
    const WIDE: &str = "arn:aws:iam::111122223333:policy/wide";
    let small = Small::new().managed(WIDE, &allow(ALL)).attach(WIDE);
    let found = opened(&small);
    let on_policy: Vec<_> = found.iter().filter(|f| f.subject.kind == SubjectKind::Policy).collect();
    for failure in on_policy {
        assert_eq!(workloads(failure), [("pay/api".to_owned(), Via::Direct)], "{}", failure.rule);
    }
}

#[test]
fn a_pod_that_comes_or_goes_changes_what_its_role_s_findings_show() {
    let one = opened(&Small::new().may(&allow(ALL)));
    let two = opened(&Small::new().may(&allow(ALL)).association("billing", "invoices", API));
    let on_role = |failure: &&Failure| failure.subject.kind == SubjectKind::Role;
    let pairs: Vec<_> = one
        .iter()
        .filter(on_role)
        .filter_map(|before| Some((before, two.iter().find(|after| after.fingerprint == before.fingerprint)?)))
        .collect();
    assert!(!pairs.is_empty());
    for (before, after) in pairs {
        assert_ne!(before.evidence_digest, after.evidence_digest, "{}", before.rule);
    }
}
