//! The rules about changes that ship, over estates before and after: what fails, what an approval or a later change
//! ends, and what cannot be known.

use crate::shipped::RULES;
use crate::small::{API, BOUND, REGION, Small, allow};
use crate::{findings, policies};
use chrono::{DateTime, Utc};
use rolecall_audit::cancel::Cancel;
use rolecall_audit::drift::{
    ApprovalState, ApprovalStep, Attributed, Attribution, Change, EarlierCalls, Later, OpenChange, Scans, Standing,
    changes, standing,
};
use rolecall_audit::evaluate::{Evaluation, evaluate_changes};
use rolecall_audit::finding::{FindingAction, Resolution, reconcile};
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{Actor, AgentClass, ChangeEvent, Recorded, TrailStatus};
use rolecall_rules::{Outcome, RuleSet, SourceFile};
use serde_json::Value;
use std::sync::Arc;

const POLICY: &str = "arn:aws:iam::111122223333:policy/p";
const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;
const READ_AND_DELETE: &str = r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#;

fn now() -> DateTime<Utc> {
    findings::now()
}

fn between(before: &Small, after: &Small) -> Vec<Change> {
    changes(&Scans {
        before: &before.0,
        after: &after.0,
        listed_before: &before.0.coverage,
        listed_after: &after.0.coverage,
        roles_of: None,
        pair: "1-2",
    })
}

fn open(change: Change) -> OpenChange {
    OpenChange {
        effective_at: change.effective_at(now()),
        change,
        detected_at: now(),
        attributed: Attributed {
            attribution: Attribution::None,
            because: "the trail was not read completely".into(),
            calls: vec![],
            is_trail_complete: false,
        },
        approval: None,
        standing: Standing::There,
        earlier: EarlierCalls::default(),
        ended: None,
    }
}

fn step(state: ApprovalState) -> ApprovalStep {
    ApprovalStep {
        state,
        at: now(),
        who: "lead".into(),
        reason: "meant".into(),
        ticket: None,
        until: None,
        baseline: None,
    }
}

/// The changes that are judged: those that follow from no other.
fn roots(before: &Small, after: &Small) -> Vec<OpenChange> {
    between(before, after).into_iter().filter(|change| change.caused_by.is_none()).map(open).collect()
}

fn evaluate(after: &Small, changes: &[OpenChange], rules: &RuleSet) -> Evaluation {
    let changes: Vec<Arc<OpenChange>> = changes.iter().cloned().map(Arc::new).collect();
    evaluate_changes(&after.0, &changes, rules, now(), &Cancel::default()).unwrap()
}

/// The rules that fail, and those that are unknown.
fn told(evaluation: &Evaluation) -> (Vec<&str>, Vec<&str>) {
    let of = |wanted: fn(&Outcome) -> bool| {
        let found = evaluation.verdicts.iter().filter(|verdict| wanted(&verdict.outcome));
        let mut rules: Vec<&str> = found.map(|verdict| verdict.rule.as_str()).collect();
        rules.dedup();
        rules
    };
    let errors = of(|outcome| matches!(outcome, Outcome::Error { .. }));
    assert!(errors.is_empty(), "{errors:?}");
    (of(|outcome| matches!(outcome, Outcome::Fail { .. })), of(|outcome| matches!(outcome, Outcome::Unknown { .. })))
}

/// The built-in rules with bindings that name what is protected.
fn bound() -> RuleSet {
    let mut files = policies::files("builtin");
    let text = |rule: &str, params: &str| {
        format!(
            "apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: {rule}-here}}\nspec:\n  rules: [{rule}]\n  params: {params}\n"
        )
    };
    for (rule, params) in [
        ("change-reaches-protected-resource", r#"{protected: ["arn:aws:s3:::orders/*"]}"#),
        ("change-associates-protected-role", r#"{roles: ["arn:aws:iam::*:role/admin*"]}"#),
    ] {
        files.push(SourceFile { path: format!("{rule}.yaml"), text: text(rule, params) });
    }
    policies::load(&files)
}

#[test]
fn each_kind_of_change_fails_its_rules() {
    let small = Small::new();
    let trusting = |principal: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"]}},{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
        )
    };
    let ceiling = allow(r#""Action":"ec2:*","Resource":"*""#);
    let bounded = small.clone().managed(POLICY, &ceiling).boundary(POLICY);
    let mut stopped = small.clone();
    stopped.0.trails[0].recorded =
        Some(Recorded { management_reads: true, management_writes: true, ..Recorded::default() });
    let mut less = stopped.clone();
    less.0.trails[0].recorded = Some(Recorded { management_writes: true, ..Recorded::default() });
    let logging = |is_logging: bool| {
        let mut small = small.clone();
        small.0.trails[0].status = Some(TrailStatus { is_logging, started_at: None, stopped_at: None });
        small
    };
    let guarded = |text: &str| small.clone().scp("guard", text, &["r-1"]);
    let deny = |action: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"{action}","Resource":"*"}}}}"#)
    };
    let cases: Vec<(&str, Small, Small, Vec<&str>)> = vec![
        ("more access", small.clone(), small.clone().may(&allow(READ_AND_DELETE)), vec!["change-widens-access"]),
        ("less access", small.clone().may(&allow(READ_AND_DELETE)), small.clone().may(&allow(READ)), vec![]),
        (
            "an administrator",
            small.clone(),
            small.clone().may(&allow(r#""Action":"*","Resource":"*""#)),
            vec!["change-grants-administrator", "change-widens-access"],
        ),
        (
            "an account outside",
            small.clone(),
            small.clone().role(API, &trusting("999988887777"), &[("own", &allow(READ))]),
            vec!["change-trusts-external-account", "change-widens-access", "change-widens-trust-policy"],
        ),
        (
            "a role of the own account",
            small.clone(),
            small.clone().role(API, &trusting("111122223333"), &[("own", &allow(READ))]),
            vec!["change-widens-access", "change-widens-trust-policy"],
        ),
        (
            "no boundary",
            bounded,
            small.clone().managed(POLICY, &ceiling),
            vec!["change-removes-boundary", "change-widens-access"],
        ),
        ("a trail that records less", stopped.clone(), less.clone(), vec!["change-trail-records-less"]),
        ("a trail that records more", less, stopped, vec![]),
        ("a trail that is stopped", logging(true), logging(false), vec!["change-trail-records-less"]),
        ("a trail that is started", logging(false), logging(true), vec![]),
        (
            "an SCP that refuses less",
            guarded(&deny("s3:*")),
            guarded(&deny("ec2:*")),
            vec!["change-loosens-organization-policy", "change-widens-access"],
        ),
    ];
    for (name, before, after, expected) in cases {
        let roots = roots(&before, &after);
        assert_eq!(roots.len(), 1, "{name}: {roots:#?}");
        let evaluation = evaluate(&after, &roots, &RULES);
        assert_eq!(told(&evaluation).0, expected, "{name}: {:#?}", roots[0].change);
        // Whoever approves the change ends all of them.
        let approved: Vec<OpenChange> =
            roots.iter().map(|it| OpenChange { approval: Some(step(ApprovalState::Approved)), ..it.clone() }).collect();
        assert_eq!(told(&evaluate(&after, &approved, &RULES)).0, Vec::<&str>::new(), "{name}");
        for state in [ApprovalState::Expired, ApprovalState::Withdrawn] {
            let ended: Vec<OpenChange> =
                roots.iter().map(|it| OpenChange { approval: Some(step(state)), ..it.clone() }).collect();
            assert_eq!(told(&evaluate(&after, &ended, &RULES)).0, expected, "{name} {state}");
        }
    }
}

#[test]
fn one_policy_over_many_workloads_is_one_finding_with_all_of_them() {
    let many = |document: &str| {
        let mut small = Small::new().managed(POLICY, document).attach(POLICY);
        for n in 0..50 {
            small = small.association("many", &format!("w{n:02}"), API);
        }
        small
    };
    let (before, mut after) = (many(&allow(READ)), many(&allow(READ_AND_DELETE)));
    after.0.policies.iter_mut().filter(|it| it.arn.as_str() == POLICY).for_each(|it| it.default_version = "v2".into());
    let roots = roots(&before, &after);
    let evaluation = evaluate(&after, &roots, &RULES);
    let actions = reconcile(&[], &evaluation, &RULES, &after.0);
    let [FindingAction::Open(failure)] = actions.as_slice() else { panic!("one finding: {actions:#?}") };
    assert_eq!((failure.rule.as_str(), failure.workloads.len()), ("change-widens-access", 51));
    assert_eq!(failure.subject.key, roots[0].change.id);
    assert!(failure.message.contains("s3:DeleteObject"), "{}", failure.message);
}

#[test]
fn what_is_protected_stays_a_finding_though_it_is_approved() {
    let rules = bound();
    let small = Small::new().may(&allow(r#""Action":"sqs:ListQueues","Resource":"*""#));
    let failing = |after: &Small| {
        let approved: Vec<OpenChange> = roots(&small, after)
            .into_iter()
            .map(|it| OpenChange { approval: Some(step(ApprovalState::Approved)), ..it })
            .collect();
        let evaluation = evaluate(after, &approved, &rules);
        let (failed, unknown) = told(&evaluation);
        (failed.join(" "), unknown.join(" "))
    };
    let protected = "change-reaches-protected-resource".to_owned();
    assert_eq!(failing(&small.clone().may(&allow(READ))), (protected.clone(), String::new()));
    // Another bucket: what the workload may not do now it has not gained.
    let other = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*""#;
    assert_eq!(failing(&small.clone().may(&allow(other))), (String::new(), String::new()));
    // The gain that is shown is of something else, and the protected objects may be part of it.
    let both = r#""Action":["iam:PassRole","s3:GetObject"],"Resource":["arn:aws:iam::111122223333:role/x","arn:aws:s3:::orders/*"]"#;
    let (failed, unknown) = failing(&small.clone().may(&allow(both)));
    assert!(failed == protected || unknown == protected, "{failed} {unknown}");
}

#[test]
fn an_association_to_a_protected_role_fails() {
    let rules = bound();
    let admin = "arn:aws:iam::111122223333:role/admin";
    let small = Small::new().role(admin, BOUND, &[("own", &allow(READ))]);
    let after = small.clone().association("pay", "batch", admin);
    let evaluation = evaluate(&after, &roots(&small, &after), &rules);
    assert!(told(&evaluation).0.contains(&"change-associates-protected-role"), "{:?}", told(&evaluation));
    assert!(!told(&evaluate(&after, &roots(&small, &after), &RULES)).0.contains(&"change-associates-protected-role"));
}

#[test]
fn what_is_not_proved_is_unknown_and_an_approval_settles_it() {
    let (before, after) = (Small::new(), Small::new().may("{"));
    let roots = roots(&before, &after);
    let evaluation = evaluate(&after, &roots, &RULES);
    assert_eq!(told(&evaluation).0, Vec::<&str>::new());
    assert!(told(&evaluation).1.contains(&"change-widens-access"), "{:?}", told(&evaluation));
    let approved = OpenChange { approval: Some(step(ApprovalState::Approved)), ..roots[0].clone() };
    assert_eq!(told(&evaluate(&after, &[approved], &RULES)), (vec![], vec![]));
    // Nobody saw the accounts of the organization: the account may be one of them.
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"999988887777"},"Action":"sts:AssumeRole"}]}"#;
    let after = Small::new().trust(trust).gap(ScopeKind::Organization);
    let evaluation = evaluate(&after, &self::roots(&Small::new(), &after), &RULES);
    assert!(told(&evaluation).1.contains(&"change-trusts-external-account"), "{:?}", told(&evaluation));
}

fn call(agent: AgentClass) -> ChangeEvent {
    ChangeEvent {
        event_id: "e".into(),
        event_time: now(),
        account_id: crate::small::id("111122223333"),
        region: REGION.parse().unwrap(),
        event_source: "iam.amazonaws.com".into(),
        event_name: "PutRolePolicy".into(),
        actor: Actor { arn: Some("arn:aws:iam::111122223333:user/dev".into()), ..Actor::default() },
        source_ip: None,
        user_agent: None,
        agent_class: agent,
        error_code: None,
        is_denied: false,
        error_message: None,
        resources: vec![],
        request: Value::Null,
        is_request_cut: false,
    }
}

#[test]
fn a_console_change_counts_where_code_manages_the_resource() {
    const RULE: &str = "change-outside-infrastructure-code";
    let plain = |small: Small| small;
    let stack = |mut small: Small| {
        small.change_role(|role| drop(role.tags.insert("aws:cloudformation:stack-name".into(), "pay".into())));
        small
    };
    let (small, stack): (&dyn Fn(Small) -> Small, &dyn Fn(Small) -> Small) = (&plain, &stack);
    let calls = |agents: &[AgentClass], from_creation: bool| EarlierCalls {
        agents: agents.to_vec(),
        is_from_creation: from_creation,
    };
    let none = || calls(&[], false);
    let by = |agent| (Attribution::Exact, vec![call(agent)], false);
    let (console, terraform) = (AgentClass::Console, AgentClass::Terraform);
    for (name, base, (attribution, made, complete), earlier, expected) in [
        ("a stack has it", stack, by(console), none(), "F"),
        ("Terraform made it", small, by(console), calls(&[terraform], true), "F"),
        ("a person made it", small, by(console), calls(&[console], true), "P"),
        ("nobody knows who made it", small, by(console), none(), "U"),
        ("by the code itself", stack, by(terraform), none(), "P"),
        ("a complete trail has no call", stack, (Attribution::None, vec![], true), none(), "P"),
        ("the trail could not show one", stack, (Attribution::None, vec![], false), none(), "U"),
    ] {
        let (before, after) = (base(Small::new()), base(Small::new().may(&allow(READ_AND_DELETE))));
        let mut roots = roots(&before, &after);
        roots[0].attributed =
            Attributed { attribution, because: "because".into(), calls: made, is_trail_complete: complete };
        roots[0].earlier = earlier;
        let evaluation = evaluate(&after, &roots, &RULES);
        let (failed, unknown) = told(&evaluation);
        let letter = match (failed.contains(&RULE), unknown.contains(&RULE)) {
            (true, _) => "F",
            (_, true) => "U",
            _ => "P",
        };
        assert_eq!(letter, expected, "{name}");
    }
}

#[test]
fn a_change_is_over_where_a_later_one_takes_it_back_and_not_where_it_is_only_another() {
    let small = Small::new();
    let (first, second, third) = (
        small.clone(),
        small.clone().may(&allow(READ_AND_DELETE)),
        small.clone().may(&allow(r#""Action":"s3:*","Resource":"*""#)),
    );
    let one = |before: &Small, after: &Small, id: &str| Change { id: id.into(), ..between(before, after).remove(0) };
    let (widened, back) = (one(&first, &second, "widened"), one(&second, &first, "back"));
    let (further, again) = (one(&second, &third, "further"), one(&first, &second, "again"));
    let gone =
        Change { change: "removed".into(), before: None, after: None, part: None, id: "gone".into(), ..back.clone() };
    let plain = |change| Later { change, approval: None };
    assert_eq!(standing(&widened, []), Standing::There);
    assert_eq!(standing(&widened, [plain(&back)]), Standing::Reversed("back".into()));
    // Who brings it again makes another change; this one stays over.
    assert_eq!(standing(&widened, [plain(&back), plain(&again)]), Standing::Reversed("back".into()));
    assert_eq!(standing(&widened, [plain(&gone)]), Standing::Reversed("gone".into()));
    let superseded = |approval| Standing::Superseded { by: "further".into(), approval };
    assert_eq!(standing(&widened, [plain(&further)]), superseded(None));
    let given = step(ApprovalState::Approved);
    let approved = standing(&widened, [Later { change: &further, approval: Some(&given) }]);
    assert_eq!(approved, superseded(Some(given)));

    let judged = |standing| OpenChange { standing, ..open(widened.clone()) };
    let failing = |standing| told(&evaluate(&third, &[judged(standing)], &RULES)).0.len();
    assert_eq!(failing(superseded(None)), 1);
    assert_eq!(failing(approved), 0);
    assert_eq!(failing(Standing::Reversed("back".into())), 0);

    // A finding says which change took it back.
    let evaluation = evaluate(&second, &[judged(Standing::There)], &RULES);
    let opened = reconcile(&[], &evaluation, &RULES, &second.0);
    let known: Vec<_> = opened
        .iter()
        .filter_map(|action| match action {
            FindingAction::Open(failure) => Some(findings::kept(failure)),
            _ => None,
        })
        .collect();
    let evaluation = evaluate(&first, &[judged(Standing::Reversed("back".into()))], &RULES);
    let actions = reconcile(&known, &evaluation, &RULES, &first.0);
    let [FindingAction::Resolve { why, by, .. }] = actions.as_slice() else { panic!("{actions:#?}") };
    assert_eq!((*why, by.as_deref()), (Resolution::Reversed, Some("back")));
    // One that was not loaded is stale, and never resolved.
    let actions = reconcile(&known, &evaluate(&first, &[], &RULES), &RULES, &first.0);
    assert!(matches!(actions.as_slice(), [FindingAction::MarkStale { .. }]), "{actions:#?}");
}
