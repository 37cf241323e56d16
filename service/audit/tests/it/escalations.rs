//! Ways from a role to more, over whole estates: alone, over chains of roles and accounts, and
//! blocked by whatever may block them.

use crate::shipped::RULES;
use crate::small::{API, AWAY, DATA, HOME, OPEN, Small, allow};
use rolecall_audit::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::Outcome;

const ADMINISTRATOR: &str = "escalates-to-administrator";
const PRINCIPALS: &str = "takes-over-other-principals";
const RUNNING: &str = "takes-over-running-workloads";

const OPS: &str = "arn:aws:iam::111122223333:role/ops";
const MIDDLE: &str = "arn:aws:iam::111122223333:role/middle";
const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// The outcome for one role, with the finding's message where it fails.
fn outcome(small: &Small, rule: &str, role: &str) -> String {
    let now = "2026-11-23T00:00:00Z".parse().unwrap();
    let verdicts = evaluate(&small.0, &RULES, now).verdicts;
    let mut own = verdicts.into_iter().filter(|v| v.rule == rule && v.subject.key == role);
    match own.next().unwrap().outcome {
        Outcome::Fail { message, .. } => message,
        Outcome::Pass => "pass".to_owned(),
        Outcome::NotApplicable => "not applicable".to_owned(),
        Outcome::Unknown { why } => format!("unknown: {}", why.join("; ")),
        Outcome::Error { message } => panic!("{message}"),
    }
}

fn trusts(principal: &str) -> String {
    allow(&format!(r#""Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole""#))
}

fn service(name: &str) -> String {
    allow(&format!(r#""Principal":{{"Service":"{name}"}},"Action":"sts:AssumeRole""#))
}

fn may(actions: &str, resource: &str) -> String {
    allow(&format!(r#""Action":{actions},"Resource":"{resource}""#))
}

#[test]
fn a_role_that_writes_its_own_permissions() {
    let own = Small::new().may(&may(r#"["iam:Put*"]"#, "arn:aws:iam::*:role/a*"));
    assert_eq!(outcome(&own, ADMINISTRATOR, API), "role api makes itself an administrator by iam:PutRolePolicy");
    let other = Small::new().may(&may(r#""iam:PutRolePolicy""#, OPS));
    assert_eq!(outcome(&other, ADMINISTRATOR, API), "pass");
}

#[test]
fn an_administrator_has_nothing_to_gain() {
    let admin = Small::new().may(EVERYTHING);
    for rule in [ADMINISTRATOR, PRINCIPALS, RUNNING] {
        assert_eq!(outcome(&admin, rule, API), "pass");
    }
}

#[test]
fn a_chain_of_roles_over_two_accounts() {
    let chain = |last: &str| {
        Small::new()
            .may(&may(r#""sts:AssumeRole""#, MIDDLE))
            .role(MIDDLE, &trusts(HOME), &[("hop", &may(r#""sts:AssumeRole""#, "arn:aws:iam::*:role/*"))])
            .role(DATA, &trusts(MIDDLE), &[("all", last)])
    };
    let found = format!("role api makes itself an administrator by sts:AssumeRole through {MIDDLE}, {DATA}");
    assert_eq!(outcome(&chain(EVERYTHING), ADMINISTRATOR, API), found);
    assert_eq!(outcome(&chain(&may(r#""iam:PutRolePolicy""#, DATA)), ADMINISTRATOR, API), found);
    assert_eq!(outcome(&chain(&may(r#""s3:*""#, "*")), ADMINISTRATOR, API), "pass");
    // Assuming a role that leads nowhere is what roles are for.
    assert_eq!(outcome(&chain(&may(r#""s3:*""#, "*")), PRINCIPALS, API), "pass");

    let denied = may(r#""*""#, "*")
        .replace("}]}", &format!(r#"}},{{"Effect":"Deny","Action":"sts:*","Resource":"{DATA}"}}]}}"#));
    let blocked = chain(EVERYTHING).scp("no-hop", &denied, &[HOME]);
    assert_eq!(outcome(&blocked, ADMINISTRATOR, API), "pass");
    let closed = chain(EVERYTHING).role(DATA, &trusts(OPS), &[("all", EVERYTHING)]);
    assert_eq!(outcome(&closed, ADMINISTRATOR, API), "pass");
    let circle = chain(EVERYTHING).role(DATA, &trusts(OPS), &[("all", EVERYTHING)]).role(
        MIDDLE,
        &trusts(API),
        &[("hop", &may(r#""sts:AssumeRole""#, API))],
    );
    assert_eq!(outcome(&circle, ADMINISTRATOR, API), "pass");
}

#[test]
fn a_role_that_hands_an_administrator_to_a_service() {
    let pass = |resource: &str| {
        let passes = may(r#"["iam:PassRole"]"#, resource);
        let own = [
            ("pass", passes.as_str()),
            (
                "run",
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:CreateFunction","lambda:InvokeFunction"],"Resource":"*"}]}"#,
            ),
        ];
        Small::new().role(API, OPEN, &own).role(OPS, &service("lambda.amazonaws.com"), &[("all", EVERYTHING)])
    };
    let ways = "iam:PassRole + lambda:CreateFunction + lambda:InvokeFunction";
    assert_eq!(
        outcome(&pass("*"), ADMINISTRATOR, API),
        format!("role api makes itself an administrator by {ways} through {OPS}")
    );
    // No administrator is in reach: it still acts as whatever it may pass.
    let elsewhere = pass("arn:aws:iam::111122223333:role/team/*");
    assert_eq!(outcome(&elsewhere, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&elsewhere, PRINCIPALS, API), format!("role api can act as others by {ways}"));
    let unserved = pass("*").role(OPS, &service("ec2.amazonaws.com"), &[("all", EVERYTHING)]);
    assert_eq!(outcome(&unserved, ADMINISTRATOR, API), "pass");
}

#[test]
fn what_blocks_a_way_silences_it() {
    let run = may(r#""ssm:SendCommand""#, "*");
    let open = Small::new().may(&run);
    assert_eq!(outcome(&open, RUNNING, API), "role api can take over running workloads by ssm:SendCommand");
    let reads = may(r#""s3:*""#, "*");
    let arn = "arn:aws:iam::111122223333:policy/limit";
    assert_eq!(outcome(&open.clone().managed(arn, &reads).boundary(arn), RUNNING, API), "pass");
    assert_eq!(outcome(&open.clone().session_policy(&reads), RUNNING, API), "pass");
    assert_eq!(
        outcome(&open.clone().scp("reads", &reads, &["r-1"]), RUNNING, API),
        format!("role api can take over running workloads by ssm:SendCommand")
    );
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ssm:*","Resource":"*"}]}"#;
    assert_eq!(outcome(&open.scp("no", deny, &["ou-1"]), RUNNING, API), "pass");
}

#[test]
fn what_was_not_seen_is_not_passed() {
    let unseen = Small::new().attach("arn:aws:iam::111122223333:policy/gone");
    for rule in [ADMINISTRATOR, PRINCIPALS, RUNNING] {
        assert!(outcome(&unseen, rule, API).starts_with("unknown: "), "{rule}");
    }
    // A role of an account that was not listed may let it in, where its own policies reach so far.
    let reaching = |resource: &str| {
        let mut small = Small::new().may(&may(r#""sts:AssumeRole""#, resource));
        let scope = Scope::global(AWAY.parse().unwrap(), ScopeKind::Roles);
        let gap =
            |scope| Gap { scope, action: "iam:ListRoles".to_owned(), reason: GapReason::Denied, detail: String::new() };
        small.0.coverage.gap(gap(scope));
        outcome(&small, ADMINISTRATOR, API)
    };
    for resource in [DATA, "arn:aws:iam::*:role/*", "*"] {
        assert!(reaching(resource).starts_with("unknown: "), "{resource}: {}", reaching(resource));
    }
    assert_eq!(reaching(OPS), "pass");
    // A policy that cannot be read may deny what another allows.
    let own = Small::new().may(&may(r#""iam:CreateAccessKey""#, "*"));
    let beside =
        own.managed("arn:aws:iam::111122223333:policy/bad", "{").attach("arn:aws:iam::111122223333:policy/bad");
    assert!(outcome(&beside, PRINCIPALS, API).starts_with("unknown: "));
}
