//! The steps that analyses may take: enough for every role that somebody has, and an end for those that
//! somebody made to be dear.

use crate::corpora;
use crate::corpus::{documents, files};
use proptest::prelude::*;
use rolecall_iam::catalogue::catalogue;
use rolecall_iam::escalation::{Holder, find_within};
use rolecall_iam::trust::{Organization, Trust};
use rolecall_iam::{
    Document, Grants, Level, Outcome, PolicyRef, PolicySet, RoleArn, Steps, Truth, Why, explain_within,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Less than half of the steps that one analysis may take.
const LESS_THAN_HALF: u64 = 400_000;

fn role() -> RoleArn {
    "arn:aws:iam::111122223333:role/app".parse().unwrap()
}

fn layer(statements: &[Value]) -> PolicyRef {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    PolicyRef::known("inline policy p", &Document::new(&text))
}

fn is_exceeded(why: &Why) -> bool {
    matches!(why, Why::Exceeded { .. })
}

/// The steps of both analyses of a stack.
fn steps(stack: &PolicySet) -> u64 {
    let role = role();
    let found = Steps::new("the policies of the role");
    drop(find_within(stack, Holder { role: &role, policies: &[], boundary: None }, &found));
    let granted = Grants::new(stack).steps();
    granted.max(found.taken())
}

/// The policies of many hands: one by one, and as roles that have twenty of them under five SCPs at each of
/// six levels.
#[test]
fn what_people_write_takes_a_part_of_the_steps_that_there_are() {
    let mut texts = Vec::new();
    for folder in corpora(&["scp-rcp", "iam-authz", "estate-small", "policy-lint", "field", "trust-policies"]) {
        for path in files(&folder).iter().filter(|p| p.extension().is_none_or(|e| e == "json")) {
            if let Ok(value) = serde_json::from_slice(&std::fs::read(path).unwrap()) {
                documents(&value, &mut texts);
            }
        }
    }
    assert!(texts.len() > 500, "{}", texts.len());
    let layers: Vec<PolicyRef> = texts.iter().map(|text| PolicyRef::known("policy", &Document::new(text))).collect();
    let mut most = 0;
    for layer in &layers {
        most = most.max(steps(&PolicySet { identity: Some(vec![layer.clone()]), ..PolicySet::default() }));
    }
    let of_all = |stack: &mut PolicySet| {
        let mut left = layers.iter().cloned();
        stack.scp = Some((0..6).map(|n| Level::new(&n.to_string(), left.by_ref().take(5).collect())).collect());
        stack.boundary = left.next().map(|layer| vec![layer]);
    };
    for identity in layers.chunks(20) {
        let mut stack = PolicySet { identity: Some(identity.to_vec()), ..PolicySet::default() };
        of_all(&mut stack);
        most = most.max(steps(&stack));
    }
    assert!(most < LESS_THAN_HALF, "{most} steps");
}

/// Look-alikes of AWS's widest managed policies, twenty at once, under boundaries as wide.
#[test]
fn wide_policies_take_a_part_of_the_steps_that_there_are() {
    let reads: BTreeSet<String> = catalogue()
        .actions()
        .iter()
        .filter_map(|action| {
            let verbs = ["Get", "List", "Describe", "Search", "BatchGet"];
            let verb = verbs.iter().find(|verb| action.short_name().starts_with(*verb))?;
            Some(format!("{}:{verb}*", action.service()))
        })
        .collect();
    let wide = [
        json!({"Effect": "Allow", "Action": reads, "Resource": "*"}),
        json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}),
    ];
    let mut identity = vec![layer(&wide), layer(&[json!({"Effect": "Allow", "Action": "*", "Resource": "*"})])];
    for service in catalogue().all_services().iter().filter(|service| service.actions.len() > 100).take(18) {
        let prefix = service.prefix;
        let buckets: Vec<String> = (0..20).map(|n| format!("arn:aws:{prefix}:*:*:{prefix}-{n}/*")).collect();
        identity.push(layer(&[
            json!({"Effect": "Allow", "Action": format!("{prefix}:*"), "Resource": buckets}),
            json!({"Effect": "Allow", "Action": [format!("{prefix}:*Tags"), format!("{prefix}:*Tag*")], "Resource": "*"}),
            json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/service-role/*",
                "Condition": {"StringEquals": {"iam:PassedToService": format!("{prefix}.amazonaws.com")}}}),
            json!({"Effect": "Deny", "Action": format!("{prefix}:Delete*"), "Resource": "*"}),
        ]));
    }
    let level = || vec![identity[1].clone(), identity[5].clone(), identity[9].clone()];
    let scp = (0..6).map(|n| Level::new(&n.to_string(), level())).collect();
    let stack = PolicySet {
        boundary: Some(vec![identity[1].clone()]),
        identity: Some(identity),
        scp: Some(scp),
        ..PolicySet::default()
    };
    let most = steps(&stack);
    assert!(most < LESS_THAN_HALF, "{most} steps");
}

/// Patterns that are dear in one path or another, and the action that they are allowed for.
fn hostile(kind: usize, n: usize) -> (Value, Value) {
    let word = |n: usize| format!("{:05}", n * 7_919 % 99_991);
    match kind {
        0 => (json!("iam:*"), json!(format!("arn:aws:iam::*:role/*{}*{}*", word(n), word(n + 1)))),
        1 => (json!(format!("ec2:*{}*{}*e*", n % 7, n % 5)), json!("*")),
        2 => (json!("iam:*"), json!(format!("arn:*:*:*:*:*{}*", word(n)))),
        3 => (json!(["iam:PutUserPolicy", "iam:PutRolePolicy"]), json!(format!("arn:aws:iam::*:user/*{}*a", word(n)))),
        4 => (json!("sts:AssumeRole"), json!(format!("arn:aws:iam::*:role/${{aws:PrincipalTag/t{n}}}*"))),
        5 => (json!(format!("new{n}:*a*")), json!("*")),
        _ => (json!("iam:PassRole"), json!(format!("arn:aws:iam::*:role/{}", "*a".repeat(n % 400)))),
    }
}

/// A stack of many such statements, every other a Deny where `denies`.
fn stack(kind: usize, statements: usize, denies: bool) -> PolicySet {
    let each = (0..statements).map(|n| {
        let (action, resource) = hostile(kind, n);
        let effect = if denies && n % 2 == 1 { "Deny" } else { "Allow" };
        json!({"Effect": effect, "Action": action, "Resource": resource})
    });
    PolicySet { identity: Some(vec![layer(&each.collect::<Vec<_>>())]), ..PolicySet::default() }
}

/// The answers about a stack: what is granted, and its paths, as texts.
fn told(stack: &PolicySet, most: u64) -> (Grants, Vec<(&'static str, Truth)>) {
    let role = role();
    let holder = Holder { role: &role, policies: &[], boundary: None };
    let of = "the policies of the role";
    let found = find_within(stack, holder, &Steps::with_limit(most, of));
    (
        Grants::within(stack, &Steps::with_limit(most, of)),
        found.into_iter().map(|found| (found.path.id, found.truth)).collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Fewer steps make no other answer, only an unknown one with the reason, each time the same.
    #[test]
    fn an_end_of_steps_is_unknown_and_nothing_else(
        kind in 0..7_usize, statements in 1..12_usize, denies in any::<bool>(), most in 0..20_000_u64,
    ) {
        let stack = stack(kind, statements, denies);
        let (whole, all) = told(&stack, u64::MAX);
        let (grants, paths) = told(&stack, most);
        prop_assert_eq!(&told(&stack, most).1, &paths);
        for (id, truth) in &all {
            prop_assert!(paths.iter().any(|(other, _)| other == id), "{} is gone with {} steps", id, most);
            let own = paths.iter().find(|(other, _)| other == id).map(|(_, truth)| truth);
            let is_cut = own.is_some_and(|own| matches!(own, Truth::Unknown(why) if why.iter().any(is_exceeded)));
            prop_assert!(is_cut || own == Some(truth), "{}: {:?} and {:?}", id, truth, own);
        }
        for (id, truth) in &paths {
            let is_cut = matches!(truth, Truth::Unknown(why) if why.iter().any(is_exceeded));
            prop_assert!(is_cut || all.contains(&(*id, truth.clone())), "{} is new with {} steps", id, most);
        }
        if grants.unseen().any(is_exceeded) {
            prop_assert!(matches!(grants.admin_equivalent(), Truth::Unknown(_)));
            prop_assert!(matches!(grants.wildcard_actions().truth, Truth::Unknown(_)));
            prop_assert!(matches!(grants.allows("iam:PassRole").truth, Truth::Unknown(_)));
            prop_assert!(grants.actions().is_empty() && grants.certainly_allowed().is_empty());
        } else {
            prop_assert_eq!(grants.sets(), whole.sets());
        }
    }
}

/// However dear, an analysis takes no more steps than there are, but for those of its last question.
#[test]
fn what_is_dear_comes_to_an_end() {
    for kind in 0..7 {
        let stack = stack(kind, 400, true);
        let role = role();
        let holder = Holder { role: &role, policies: &[], boundary: None };
        let [of_ways, of_grants] = [0; 2].map(|_| Steps::with_limit(20_000, "the policies of the role"));
        let found = find_within(&stack, holder, &of_ways);
        let grants = Grants::within(&stack, &of_grants);
        let cut = found.iter().any(|found| matches!(&found.truth, Truth::Unknown(why) if why.iter().any(is_exceeded)));
        assert!(cut || !of_ways.is_exceeded(), "{kind}");
        assert_eq!(grants.unseen().any(is_exceeded), of_grants.is_exceeded(), "{kind}");
        assert!(cut || of_grants.is_exceeded(), "{kind} is not dear: {} {}", of_ways.taken(), of_grants.taken());
        assert!(!grants.admin_equivalent().is_true());
    }
}

/// A trust policy of many statements: principals of many accounts, of organizations, by patterns of ARNs.
fn trust(statements: usize) -> Trust {
    let each = (0..statements).map(|n| {
        let effect = if n % 9 == 8 { "Deny" } else { "Allow" };
        let (key, value) = match n % 3 {
            0 => ("aws:PrincipalArn", format!("arn:aws:iam::*:role/*{n}*")),
            1 => ("aws:PrincipalOrgID", format!("o-{n:010}")),
            _ => ("aws:PrincipalAccount", format!("{:012}", 222_200_000_000 + n)),
        };
        json!({"Effect": effect, "Principal": {"AWS": "*", "Federated": format!("host{n}.example.com")},
            "Action": "sts:*", "Condition": {"StringLike": {key: value}}})
    });
    let text = json!({"Version": "2012-10-17", "Statement": each.collect::<Vec<_>>()}).to_string();
    Trust::new("trust policy", &Document::new(&text))
}

#[test]
fn a_trust_policy_that_is_dear_comes_to_unknown_and_never_to_nobody() {
    let outside = |trust: &Trust| {
        let organization = Organization::Known("o-home000000".to_owned());
        trust.external_access("111122223333".parse().unwrap(), &organization, |_| false).unwrap()
    };
    let anyone = |trust: &Trust| outside(trust).into_iter().find(|access| access.principal == "*").unwrap();
    let few = anyone(&trust(8));
    assert!(few.admitted.is_true());
    let many = anyone(&trust(1_000));
    assert!(matches!(&many.admitted, Truth::Unknown(why) if why.iter().any(is_exceeded)), "{:?}", many.admitted);
    assert!(many.organizations.is_empty());
    let admissions = trust(1_000).admissions().unwrap();
    assert!(admissions.iter().any(|a| matches!(&a.possible, Truth::Unknown(why) if why.iter().any(is_exceeded))));
    assert!(admissions.iter().all(|a| !a.possible.is_false()));
    let federated = trust(1_000).federated_access().unwrap();
    assert!(
        federated
            .last()
            .is_some_and(|a| matches!(&a.outside_caller, Truth::Unknown(why) if why.iter().any(is_exceeded)))
    );
}

/// A request to a role with these statements.
fn told_of(statements: &[Value], resource: &str, steps: &Steps) -> rolecall_iam::Explanation {
    let who = rolecall_iam::Requester::role(&role());
    let owner = "111122223333".parse().ok();
    let request = rolecall_iam::Request::new(who, "iam:PassRole", resource, owner, rolecall_iam::Context::open());
    let layers = PolicySet { identity: Some(vec![layer(statements)]), ..PolicySet::default() };
    explain_within(&request, &layers, steps)
}

#[test]
fn a_request_whose_policies_are_dear_is_unknown_with_the_reason() {
    let resource = "arn:aws:iam::111122223333:role/x";
    let allow = json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"});
    let of = || Steps::new("the policies that decide the request");
    let plain = told_of(std::slice::from_ref(&allow), resource, &of());
    assert_eq!(plain.outcome, Outcome::Allow);
    let refused = told_of(std::slice::from_ref(&allow), resource, &Steps::with_limit(1, "the policies"));
    assert_eq!((refused.outcome, refused.policies.len()), (Outcome::Unknown, 0));
    assert!(refused.because.contains("more than 1 steps"), "{}", refused.because);
    let patterns: Vec<String> = (0..3_000).map(|n| format!("arn:*:*:*:*:*{n:05}*{n:05}*")).collect();
    let dear = json!({"Effect": "Deny", "Action": "iam:*", "Resource": patterns});
    let told = told_of(&[allow, dear], resource, &of());
    assert_eq!(told.outcome, Outcome::Unknown);
    assert!(told.reasons.iter().all(|why| why.to_string().contains("steps to judge")) && !told.reasons.is_empty());
}
