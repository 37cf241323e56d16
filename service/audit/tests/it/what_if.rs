//! Proposed changes: what they would come to, against the same change made; and what is refused.

use crate::findings::now;
use crate::shipped::RULES;
use crate::small::{API, BOUND, DATA, Small, allow};
use rolecall_audit::cancel::Cancel;
use rolecall_audit::drift::Effect;
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::{FindingAction, reconcile};
use rolecall_audit::verdict::Fingerprint;
use rolecall_audit::what_if::{Answer, Defaults, FailOn, apply, parse, parse_plan, what_if};
use rolecall_estate::coverage::ScopeKind;
use rolecall_rules::Severity;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const POLICY: &str = "arn:aws:iam::111122223333:policy/p";
const WORKLOAD: &str = "111122223333/eu-west-1/prod/pay/api";
const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;
const READ_AND_DELETE: &str = r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#;

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn defaults() -> Defaults {
    Defaults { account: Some("111122223333".parse().unwrap()), region: Some("eu-west-1".parse().unwrap()) }
}

#[track_caller]
fn ask(small: &Small, changes: &Value) -> Answer {
    let (proposed, problems) = parse("f.json", changes, &defaults());
    assert_eq!(problems, []);
    what_if(&small.0, &RULES, &proposed, now(), &Cancel::default()).unwrap()
}

/// Type of change, effect, and whether the workload is reached.
fn told(answer: &Answer) -> Vec<(&str, Effect, bool)> {
    let reached = |it: &rolecall_audit::what_if::ProposedChange| {
        it.change.affected.iter().any(|it| it.workload.to_string() == WORKLOAD)
    };
    answer.changes.iter().map(|it| (it.change.change.as_str(), it.change.effect, reached(it))).collect()
}

/// An estate, a proposal, and each change that it comes to: its kind, its effect, and whether it reaches the
/// workload.
type Case<'a> = (&'a Small, Value, &'a [(&'a str, Effect, bool)]);

#[test]
fn each_kind_of_proposal_is_the_change_that_it_proposes() {
    let small = Small::new().managed(POLICY, &allow(READ));
    let attached = small.clone().attach(POLICY);
    let bounded = small.clone().boundary(POLICY);
    let wider = document(&allow(READ_AND_DELETE));
    let all = document(&allow(r#""Action":"*","Resource":"*""#));
    let nothing = document(&allow(r#""Action":"ec2:DescribeVpcs","Resource":"*""#));
    let closed = document(&allow(r#""Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole""#));
    let second = "111122223333/eu-west-1/prod/pay/second";
    let cases: Vec<Case<'_>> = vec![
        (
            &small,
            json!({"kind": "inline_policy", "resource": API, "name": "own", "document": wider}),
            &[("inline_policy_changed", Effect::Widened, true)],
        ),
        (
            &small,
            json!({"RoleName": "api", "PolicyName": "own", "PolicyDocument": wider.to_string()}),
            &[("inline_policy_changed", Effect::Widened, true)],
        ),
        (
            &small,
            json!({"kind": "inline_policy", "action": "delete", "resource": "api", "name": "own"}),
            &[("inline_policy_removed", Effect::Narrowed, true)],
        ),
        (
            &small,
            json!({"kind": "inline_policy", "resource": API, "name": "own", "document": document(&allow(READ))}),
            &[],
        ),
        (
            &small,
            json!({"RoleName": "api", "PolicyDocument": closed}),
            &[("trust_policy_changed", Effect::Mixed, true)],
        ),
        (
            &small,
            json!({"kind": "attached_policy", "resource": API, "policy": POLICY}),
            &[("policy_attached", Effect::None, true)],
        ),
        (
            &attached,
            json!({"kind": "attached_policy", "action": "delete", "resource": API, "policy": POLICY}),
            &[("policy_detached", Effect::None, true)],
        ),
        (
            &attached,
            json!({"PolicyArn": POLICY, "PolicyDocument": wider, "SetAsDefault": true}),
            &[
                ("default_version_changed", Effect::Widened, true),
                ("attached_policy_version_changed", Effect::Widened, true),
            ],
        ),
        (
            &bounded,
            json!({"kind": "permissions_boundary", "action": "delete", "resource": API}),
            &[("permissions_boundary_removed", Effect::None, true)],
        ),
        (
            &small,
            json!({"clusterName": "prod", "namespace": "pay", "serviceAccount": "second", "roleArn": API}),
            &[("added", Effect::Widened, false)],
        ),
        (
            &small,
            json!({"kind": "association", "resource": WORKLOAD, "session_policy": nothing}),
            &[("session_policy_set", Effect::Narrowed, true)],
        ),
        (
            &small,
            json!({"kind": "association", "action": "delete", "resource": WORKLOAD}),
            &[("removed", Effect::Narrowed, true)],
        ),
        (
            &small,
            json!({"kind": "organization_policy", "resource": "p-FullAWSAccess", "document": nothing}),
            &[("document_changed", Effect::Narrowed, true)],
        ),
        (
            &small,
            json!({"changes": [
                {"kind": "role", "resource": "arn:aws:iam::111122223333:role/new", "document": document(BOUND)},
                {"kind": "inline_policy", "resource": "new", "name": "all", "document": all},
                {"kind": "association", "resource": second, "role": "arn:aws:iam::111122223333:role/new"}]}),
            &[("added", Effect::Widened, false), ("added", Effect::Widened, false)],
        ),
    ];
    for (small, changes, expected) in cases {
        let answer = ask(small, &changes);
        assert!(answer.problems.is_empty() && answer.notes.is_empty(), "{changes}: {answer:#?}");
        assert_eq!(told(&answer), expected, "{changes}");
    }
}

#[test]
fn findings_are_those_of_an_audit_after_the_change() {
    let small = Small::new();
    let admin = allow(r#""Action":"*","Resource":"*""#);
    let failing = |small: &Small| -> BTreeSet<Fingerprint> {
        let actions = reconcile(&[], &evaluate(&small.0, &RULES, now()), &RULES, &small.0);
        let open = actions.into_iter().filter_map(|action| match action {
            FindingAction::Open(failure) => Some(failure.fingerprint),
            _ => None,
        });
        open.collect()
    };
    let made = small.clone().may(&admin);
    let (was, is) = (failing(&small), failing(&made));
    let put = json!({"kind": "inline_policy", "resource": API, "name": "own", "document": document(&admin)});
    let answer = ask(&small, &put);
    let opened: BTreeSet<Fingerprint> = answer.opens.iter().map(|it| it.fingerprint.clone()).collect();
    assert_eq!(opened, is.difference(&was).cloned().collect());
    assert!(answer.opens.iter().any(|it| it.rule == "admin-equivalent"), "{answer:#?}");
    assert!(answer.opens.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
    assert!(answer.closes.is_empty(), "{answer:#?}");
    // Whether somebody uses what is privileged only now, no trail was read to tell.
    assert!(answer.undecided.iter().all(|it| it.rule.ends_with("-unused")), "{answer:#?}");

    // What decides is the one statement of the document.
    let of_rule = answer.opens.iter().find(|it| it.rule == "admin-equivalent").unwrap();
    assert_eq!(of_rule.statement.as_deref(), Some("/document/Statement/0"));
    assert_eq!(answer.changes[0].statement.as_deref(), Some("/document/Statement/0"));
    let two = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*"},
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::orders/*"}]});
    let changes = json!({"changes": [
        {"kind": "inline_policy", "resource": API, "name": "own", "document": two},
        {"kind": "inline_policy", "resource": API, "name": "more", "action": "delete"}]});
    let wider = ask(&small, &changes);
    assert_eq!(wider.changes[0].statement.as_deref(), Some("/changes/0/document/Statement/1"), "{wider:#?}");

    // And back.
    let back = json!({"kind": "inline_policy", "resource": API, "name": "own", "document": document(&allow(READ))});
    let answer = ask(&made, &back);
    let closed: BTreeSet<Fingerprint> = answer.closes.iter().map(|it| it.fingerprint.clone()).collect();
    assert_eq!(closed, is.difference(&was).cloned().collect());
    assert!(answer.opens.is_empty());
}

#[test]
fn a_gate_fails_on_what_was_asked_for_and_nothing_else() {
    let small = Small::new();
    let put = |policy: &str| {
        let put =
            json!({"kind": "inline_policy", "resource": API, "name": "own", "document": document(&allow(policy))});
        ask(&small, &put)
    };
    let matches = |answer: &Answer| {
        ["widened", "unknown", "critical", "high"].map(|what| answer.matches(what.parse::<FailOn>().unwrap()))
    };
    assert_eq!(matches(&put(READ)), [false; 4]);
    // Whether the new permission is used, no trail was read to tell: that rule is undecided then.
    let more = put(READ_AND_DELETE);
    assert!(more.undecided.iter().all(|it| it.rule.ends_with("-unused")), "{more:#?}");
    assert_eq!(matches(&more), [true, !more.undecided.is_empty(), false, false]);
    let admin = put(r#""Action":"*","Resource":"*""#);
    assert!(admin.matches(FailOn::Widened) && admin.matches(FailOn::Severity(Severity::High)), "{admin:#?}");
    let narrower = put(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/1""#);
    assert_eq!(matches(&narrower), [false; 4]);
    assert_eq!("sometimes".parse::<FailOn>().unwrap_err().matches("widened").count(), 1);
}

#[test]
fn what_nobody_saw_stays_unknown_and_says_why() {
    // Whether the association is there already, nobody knows.
    let small = Small::new().cut(ScopeKind::Associations);
    let made = json!({"clusterName": "prod", "namespace": "pay", "serviceAccount": "second", "roleArn": API});
    let answer = ask(&small, &made);
    assert_eq!(answer.effect, Effect::Unknown, "{answer:#?}");
    assert_eq!(told(&answer), [("added", Effect::Unknown, false)]);
    assert!(answer.matches(FailOn::Unknown) && !answer.matches(FailOn::Widened));
    assert!(answer.notes[0].message.contains("is there already"), "{answer:#?}");

    // What the policy allows now was not seen.
    let mut small = Small::new().managed(POLICY, &allow(READ)).attach(POLICY);
    small.0.policies[0].document = None;
    let answer =
        ask(&small, &json!({"kind": "managed_policy", "resource": POLICY, "document": document(&allow(READ))}));
    assert_eq!((answer.effect, answer.notes.len()), (Effect::Unknown, 1), "{answer:#?}");
}

#[test]
fn what_cannot_be_read_is_named_with_its_pointer_and_the_rest_is_read() {
    let good = json!({"kind": "inline_policy", "resource": API, "name": "own", "document": document(&allow(READ))});
    let cases = [
        (json!({"kind": "inline"}), "/changes/0/kind", "no kind of change"),
        (json!({"kind": "inline_policy", "resource": API, "name": "x"}), "/changes/0/document", "missing"),
        (json!({"kind": "inline_policy", "resource": API, "document": {}}), "/changes/0/name", "missing"),
        (
            json!({"kind": "trust_policy", "resource": API, "document": {"Statement": [{"Effect": "Maybe"}]}}),
            "/changes/0/document/Statement/0/Effect",
            "no policy",
        ),
        (json!({"kind": "role", "resource": "api", "document": {}}), "/changes/0/resource", "cannot be read"),
        (json!({"kind": "role", "resource": API, "policy": POLICY}), "/changes/0/policy", "no field"),
        (json!({"kind": "role", "resource": API, "action": "move"}), "/changes/0/action", "no action"),
        (json!({"kind": "attached_policy", "resource": API, "policy": API}), "/changes/0/policy", "no managed policy"),
        (json!({"kind": "association", "resource": "prod/pay"}), "/changes/0/resource", "cannot be read"),
        (json!({"PolicyArn": POLICY, "PolicyDocument": {}}), "/changes/0/SetAsDefault", "default version"),
        (json!({"RoleName": "api", "Surprise": 1}), "/changes/0", "nobody knows"),
        (json!("text"), "/changes/0", "a proposal is an object"),
    ];
    for (bad, pointer, message) in cases {
        let (proposed, problems) = parse("f.json", &json!({"changes": [bad, good]}), &defaults());
        assert_eq!((proposed.len(), problems.len()), (1, 1), "{bad}: {problems:?}");
        let problem = &problems[0];
        assert_eq!(problem.place.pointer, pointer, "{bad}: {problem}");
        assert!(problem.message.contains(message), "{bad}: {problem}");
        assert!(problem.to_string().starts_with("f.json at `/changes/0") && !problem.remedy.is_empty(), "{problem}");
    }
    let nowhere = Defaults::default();
    let made = json!({"clusterName": "prod", "namespace": "pay", "serviceAccount": "second", "roleArn": API});
    assert!(parse("f", &made, &nowhere).1[0].message.contains("in which region"));
}

#[test]
fn what_names_nothing_that_is_there_is_not_applied() {
    let small = Small::new();
    let read_policy = document(&allow(READ));
    let cases = [
        json!({"kind": "inline_policy", "resource": "absent", "name": "x", "document": read_policy}),
        json!({"kind": "inline_policy", "action": "delete", "resource": API, "name": "absent"}),
        json!({"kind": "attached_policy", "action": "delete", "resource": API, "policy": POLICY}),
        json!({"kind": "managed_policy", "action": "delete", "resource": POLICY}),
        json!({"kind": "association", "action": "delete", "resource": "111122223333/eu-west-1/prod/pay/absent"}),
        json!({"kind": "association", "resource": "111122223333/eu-west-1/prod/pay/absent"}),
        json!({"clusterName": "prod", "associationId": "a-absent", "roleArn": API}),
        json!({"kind": "organization_policy", "action": "delete", "resource": "p-absent"}),
        json!({"kind": "role", "action": "delete", "resource": "arn:aws:iam::444455556666:role/absent"}),
    ];
    for bad in cases {
        let good = json!({"kind": "inline_policy", "resource": API, "name": "more", "document": read_policy});
        let (proposed, problems) = parse("f.json", &json!([bad, good]), &defaults());
        assert_eq!((proposed.len(), problems.len()), (2, 0), "{bad}: {problems:?}");
        let applied = apply(&small.0, &proposed);
        assert_eq!((applied.problems.len(), applied.touched.len()), (1, 1), "{bad}: {:?}", applied.problems);
        assert_eq!(applied.problems[0].place.pointer, "/0", "{bad}");
    }
    // A name that two accounts have.
    let two = Small::new().role("arn:aws:iam::444455556666:role/api", BOUND, &[]).role(DATA, BOUND, &[]);
    let (proposed, _) =
        parse("f", &json!({"RoleName": "api", "PolicyName": "x", "PolicyDocument": read_policy}), &Defaults::default());
    let refused = apply(&two.0, &proposed).problems;
    assert!(refused[0].message.contains("several accounts"), "{refused:?}");
}

const PLAN: &str = include_str!("../../../declared/tests/samples/plan.json");

#[test]
fn a_terraform_plan_is_what_it_would_do() {
    let small = Small::new().managed(POLICY, &allow(READ)).attach(POLICY);
    let (proposed, problems) = parse_plan("plan.json", PLAN.as_bytes(), &defaults()).unwrap();
    assert_eq!(problems, []);
    let answer = what_if(&small.0, &RULES, &proposed, now(), &Cancel::default()).unwrap();
    assert_eq!(answer.problems, []);
    assert_eq!(answer.notes, []);
    let mut told: Vec<(&str, &str, Effect)> = answer
        .changes
        .iter()
        .map(|it| (it.place.pointer.as_str(), it.change.change.as_str(), it.change.effect))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("aws_iam_role_policy.own", "inline_policy_changed", Effect::Widened),
            ("aws_iam_role_policy.own", "policy_detached", Effect::None),
            ("module.worker.aws_eks_pod_identity_association.this", "added", Effect::Widened),
            ("module.worker.aws_iam_policy.this[0]", "added", Effect::None),
            ("module.worker.aws_iam_role.this[0]", "added", Effect::Widened),
        ]
    );
    let reached: Vec<String> = answer.workloads.iter().map(|it| it.workload.to_string()).collect();
    assert_eq!(reached, [WORKLOAD, "111122223333/eu-west-1/prod/pay/worker"]);
    assert!(answer.matches("widened".parse().unwrap()));
    assert!(parse_plan("c.json", b"{\"kind\": \"role\"}", &defaults()).is_none());
}

#[test]
fn what_a_plan_knows_after_apply_is_unknown() {
    let plan = json!({"format_version": "1.2", "resource_changes": [{
        "address": "aws_iam_role_policy.own", "mode": "managed", "type": "aws_iam_role_policy", "name": "own",
        "change": {"actions": ["update"], "before": {"name": "own", "role": "api", "policy": "{}"},
            "after": {"name": "own", "role": "api"}, "after_unknown": {"policy": true}}}]});
    let (proposed, problems) = parse_plan("plan.json", plan.to_string().as_bytes(), &defaults()).unwrap();
    assert_eq!(problems, []);
    let answer = what_if(&Small::new().0, &RULES, &proposed, now(), &Cancel::default()).unwrap();
    assert_eq!((answer.effect, answer.problems.len()), (Effect::Unknown, 0));
    assert!(answer.notes[0].message.contains("known after apply"), "{:?}", answer.notes);
    assert!(answer.matches("unknown".parse().unwrap()));
}
