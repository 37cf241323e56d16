//! The privilege-escalation paths that a change between two scans opens and closes, for whom it reaches.

use crate::small::{API, AWAY, BOUND, DATA, HOME, Small, allow};
use rolecall_audit::drift::{Change, Effect, RoleEscalation, Scans, changes};
use rolecall_estate::coverage::ScopeKind;
use rolecall_iam::AccountId;
use std::collections::BTreeSet;

const OPS: &str = "arn:aws:iam::111122223333:role/ops";
const MIDDLE: &str = "arn:aws:iam::111122223333:role/middle";
const POLICY: &str = "arn:aws:iam::111122223333:policy/p";
const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;
const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

fn trusts(principal: &str) -> String {
    allow(&format!(r#""Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole""#))
}

fn service(name: &str) -> String {
    allow(&format!(r#""Principal":{{"Service":"{name}"}},"Action":"sts:AssumeRole""#))
}

fn may(actions: &str, resource: &str) -> String {
    allow(&format!(r#""Action":{actions},"Resource":"{resource}""#))
}

fn between(before: &Small, after: &Small) -> Vec<Change> {
    of_accounts(before, after, None)
}

fn of_accounts(before: &Small, after: &Small, roles_of: Option<&BTreeSet<AccountId>>) -> Vec<Change> {
    changes(&Scans {
        before: &before.0,
        after: &after.0,
        listed_before: &before.0.coverage,
        listed_after: &after.0.coverage,
        roles_of,
        pair: "1-2",
    })
}

/// `ROLE PATH`, then `> TARGET` where there is one, then `!` where it ends at an administrator.
fn told(list: &[RoleEscalation]) -> Vec<String> {
    let name = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    list.iter()
        .map(|it| {
            let target = it.target.as_deref().map(|target| format!(" > {}", name(target))).unwrap_or_default();
            format!("{} {}{target}{}", name(&it.role), it.path, if it.to_administrator { " !" } else { "" })
        })
        .collect()
}

#[track_caller]
fn only(found: &[Change]) -> &Change {
    let roots: Vec<&Change> = found.iter().filter(|it| it.caused_by.is_none()).collect();
    let [one] = roots[..] else { panic!("{found:#?}") };
    one
}

#[test]
fn each_path_is_opened_by_what_grants_it_and_closed_by_what_takes_it() {
    // An administrator that EC2 and Lambda may assume, that nobody else may, and a role that reads.
    let served =
        allow(r#""Principal":{"Service":["ec2.amazonaws.com","lambda.amazonaws.com"]},"Action":"sts:AssumeRole""#);
    let base = Small::new().role(OPS, &served, &[("all", EVERYTHING)]);
    let plain = base.clone().may(&allow(READ));
    let with = |actions: &str, resource: &str| {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{READ}}},
               {{"Effect":"Allow","Action":{actions},"Resource":{resource}}}]}}"#
        );
        base.clone().may(&policy)
    };
    let own = format!(r#""{API}""#);
    let ops = format!(r#""{OPS}""#);
    let held = |small: Small| small.managed(POLICY, &allow(READ)).attach(POLICY);
    let on_policy = |action: &str| held(with(&format!(r#""{action}""#), &format!(r#""{POLICY}""#)));
    let chained = |resource: &str| {
        let hop = may(r#""sts:AssumeRole""#, DATA);
        with(r#""sts:AssumeRole""#, resource).role(MIDDLE, &trusts(HOME), &[("hop", &hop)]).role(
            DATA,
            &trusts(MIDDLE),
            &[("all", EVERYTHING)],
        )
    };
    let cases: Vec<(&str, Small, Small, Vec<&str>)> = vec![
        ("writes itself", plain.clone(), with(r#""iam:PutRolePolicy""#, &own), vec!["api put-role-policy !"]),
        (
            "attaches to itself",
            plain.clone(),
            with(r#""iam:AttachRolePolicy""#, &own),
            vec!["api attach-role-policy !"],
        ),
        (
            "writes a policy that it has",
            held(plain.clone()),
            on_policy("iam:CreatePolicyVersion"),
            vec!["api create-policy-version !"],
        ),
        (
            "chooses another version of a policy that it has",
            held(plain.clone()),
            on_policy("iam:SetDefaultPolicyVersion"),
            vec!["api set-default-policy-version"],
        ),
        (
            "changes whom an administrator trusts",
            plain.clone(),
            with(r#"["iam:UpdateAssumeRolePolicy","sts:AssumeRole"]"#, &ops),
            vec!["api update-trust > ops !"],
        ),
        (
            "hands an administrator to EC2",
            plain.clone(),
            with(r#"["iam:PassRole","ec2:RunInstances"]"#, r#""*""#),
            vec!["api run-instance > ops !"],
        ),
        (
            "hands an administrator to Lambda",
            plain.clone(),
            with(r#"["iam:PassRole","lambda:CreateFunction","lambda:InvokeFunction"]"#, r#""*""#),
            vec!["api lambda-create-invoke > ops !"],
        ),
        (
            "assumes a role that assumes an administrator",
            chained(r#""arn:aws:s3:::none""#),
            chained(&format!(r#""{MIDDLE}""#)),
            vec!["api assume-role > middle", "api assume-role > data !"],
        ),
        (
            "makes keys of users",
            plain.clone(),
            with(r#""iam:CreateAccessKey""#, r#""*""#),
            vec!["api create-access-key"],
        ),
        ("enters instances", plain.clone(), with(r#""ssm:StartSession""#, r#""*""#), vec!["api ssm-session"]),
        ("does everything", plain.clone(), base.clone().may(EVERYTHING), vec!["api administrator !"]),
        ("deletes objects", plain.clone(), with(r#""s3:DeleteObject""#, r#""*""#), vec![]),
        (
            "reads more, where it writes itself already",
            with(r#""iam:PutRolePolicy""#, &own),
            with(r#"["iam:PutRolePolicy","s3:GetObject"]"#, r#""*""#),
            vec![],
        ),
    ];
    for (name, before, after, opens) in cases {
        let found = between(&before, &after);
        let change = only(&found);
        assert_eq!(change.escalations.unknown, None, "{name}: {change:#?}");
        if name.starts_with("reads more") {
            assert!(!told(&change.escalations.opens).contains(&"api put-role-policy !".to_owned()), "{name}");
            continue;
        }
        assert_eq!(told(&change.escalations.opens), opens, "{name}");
        assert_eq!(change.escalations.closes, [], "{name}");
        let [workload] = &change.affected[..] else { panic!("{change:#?}") };
        assert_eq!(workload.escalations, change.escalations, "{name}");
        let back = between(&after, &before);
        let back = only(&back);
        assert_eq!(told(&back.escalations.closes), opens, "{name}");
        assert_eq!(back.escalations.opens, [], "{name}");
        assert_eq!(back.administrator, (name == "does everything").then_some(false), "{name}");
    }
}

#[test]
fn a_change_of_something_else_opens_a_path_for_whom_it_reaches() {
    let put = may(r#""iam:PutRolePolicy""#, API);
    let limit = allow(READ);
    let small = Small::new().may(&put);
    let bounded = small.clone().managed(POLICY, &limit).boundary(POLICY);
    let mut freed = bounded.clone();
    freed.change_role(|role| role.boundary = None);
    let versions = |document: &str, version: &str| {
        let mut small = Small::new().managed(POLICY, document).attach(POLICY);
        version.clone_into(&mut small.0.policies[0].default_version);
        small
    };
    let deny = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:*","Resource":"*"}}"#;
    let refused = small.clone().scp("guard", deny, &["r-1"]);
    let other = Small::new().role(OPS, BOUND, &[("all", EVERYTHING)]);
    let led = other.clone().detail(|detail| OPS.clone_into(&mut detail.role_arn));
    let session = Small::new().may(&put).session_policy(&limit);
    let closed = Small::new().role(OPS, &service("ec2.amazonaws.com"), &[("all", EVERYTHING)]);
    let named = Small::new().role(OPS, &trusts(API), &[("all", EVERYTHING)]);
    for (name, before, after, opens) in [
        ("a boundary that goes", &bounded, &freed, "api put-role-policy !"),
        ("a new version of a policy", &versions(&limit, "v1"), &versions(&put, "v2"), "api put-role-policy !"),
        ("an SCP that goes", &refused, &small, "api put-role-policy !"),
        ("another role of an association", &other, &led, "ops administrator !"),
        ("a wider session policy", &session, &session.clone().session_policy(&put), "api put-role-policy"),
        ("a trust policy that names the role", &closed, &named, "api trusted-by-role > ops !"),
    ] {
        let found = between(before, after);
        let change = found.iter().find(|it| it.caused_by.is_none() && it.effect != Effect::None).unwrap();
        assert_eq!(told(&change.escalations.opens), [opens], "{name}: {found:#?}");
        let back = between(after, before);
        let closes = back.iter().find(|it| it.caused_by.is_none() && it.effect != Effect::None).unwrap();
        assert_eq!(told(&closes.escalations.closes), [opens], "{name}: {back:#?}");
        for follower in found.iter().filter(|it| it.caused_by.is_some()) {
            assert_eq!(told(&follower.escalations.opens), [opens], "{name}");
        }
    }
    // A role that no pod has.
    let alone = Small::new().role(OPS, &service("ec2.amazonaws.com"), &[("own", &limit)]);
    let more = Small::new().role(OPS, &service("ec2.amazonaws.com"), &[("own", &may(r#""iam:PutRolePolicy""#, OPS))]);
    let found = between(&alone, &more);
    assert_eq!(told(&only(&found).escalations.opens), ["ops put-role-policy !"]);
}

#[test]
fn of_several_changes_of_one_scan_the_one_that_grants_it_opens_it() {
    let before = Small::new().managed(POLICY, &may(r#""iam:PutRolePolicy""#, API));
    let after = before.clone().may(&may(r#"["s3:GetObject","s3:PutObject"]"#, "arn:aws:s3:::orders/*")).attach(POLICY);
    let found = between(&before, &after);
    let opens = |kind: &str| told(&found.iter().find(|it| it.change == kind).unwrap().escalations.opens);
    assert_eq!(opens("inline_policy_changed"), Vec::<String>::new());
    assert_eq!(opens("policy_attached"), ["api put-role-policy !"]);
    // Neither opens it alone: the boundary goes, and what it held back comes.
    let before = Small::new().managed(POLICY, &allow(READ)).boundary(POLICY);
    let mut after = before.clone();
    after.change_role(|role| role.boundary = None);
    let both = may(r#"["iam:PutRolePolicy","s3:GetObject"]"#, "*");
    let document = after.0.documents.read(&both);
    after.change_role(|role| role.inline[0].document = document);
    for change in between(&before, &after) {
        assert_eq!(told(&change.escalations.opens), ["api put-role-policy !"], "{change:#?}");
    }
}

#[test]
fn what_was_not_seen_leaves_open_what_is_opened() {
    let pass = may(r#"["iam:PassRole","lambda:CreateFunction","lambda:InvokeFunction"]"#, "*");
    let (before, after) = (Small::new().may(&allow(READ)), Small::new().may(&pass));
    let unknown = |found: &[Change]| {
        let change = only(found);
        assert_eq!(change.escalations.opens, [], "{change:#?}");
        change.escalations.unknown.clone()
    };
    assert_eq!(unknown(&between(&before, &after)), None, "there is no role that Lambda may assume");
    let gap = |small: &Small| small.clone().cut(ScopeKind::Roles);
    let why = unknown(&between(&gap(&before), &gap(&after))).unwrap();
    assert!(why.contains("iam:GetAccountAuthorizationDetails"), "{why}");
    // A policy that cannot be read may have allowed it already.
    let broken = |small: Small| small.managed(POLICY, "{").attach(POLICY);
    let put = may(r#""iam:PutRolePolicy""#, API);
    let found = between(&broken(Small::new().may(&allow(READ))), &broken(Small::new().may(&put)));
    let why = unknown(&found);
    assert!(why.as_ref().is_some_and(|why| why.contains("policy/p")), "{why:?}");
    // The roles of another account are not in the comparison, and may let the role in.
    let home = BTreeSet::from([HOME.parse().unwrap()]);
    let assume = |resource: &str| Small::new().may(&may(r#""sts:AssumeRole""#, resource));
    let there = assume(&format!("arn:aws:iam::{AWAY}:role/*"));
    let why = unknown(&of_accounts(&before, &there, Some(&home))).unwrap();
    assert!(why.contains(&format!("the roles of account {AWAY} are left out")), "{why}");
    assert_eq!(unknown(&of_accounts(&before, &assume(&format!("arn:aws:iam::{HOME}:role/*")), Some(&home))), None);
    assert_eq!(unknown(&between(&before, &there)), None);
}
