//! Privilege-escalation paths of a role, over whole estates: alone, over chains of roles and accounts, and
//! blocked by whatever may block them.

use crate::shipped::RULES;
use crate::small::{API, AWAY, DATA, HOME, OPEN, Small, allow};
use rolecall_audit::evaluate::evaluate;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{AttachedPolicy, ResourceKind};
use rolecall_rules::Outcome;

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
    let actions = "iam:PassRole + lambda:CreateFunction + lambda:InvokeFunction";
    assert_eq!(
        outcome(&pass("*"), ADMINISTRATOR, API),
        format!("role api makes itself an administrator by {actions} through {OPS}")
    );
    // No administrator is in reach: it still acts as whatever it may pass.
    let team = "arn:aws:iam::111122223333:role/team/job";
    let elsewhere = pass("arn:aws:iam::111122223333:role/team/*");
    let job = elsewhere.clone().role(team, &service("lambda.amazonaws.com"), &[("read", &may(r#""s3:Get*""#, "*"))]);
    assert_eq!(outcome(&job, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&job, PRINCIPALS, API), format!("role api can act as others by {actions}"));
    // A role that does not exist, or that the service may not assume, cannot be passed.
    assert_eq!(outcome(&elsewhere, PRINCIPALS, API), "pass");
    let unserved = pass("*").role(OPS, &service("ec2.amazonaws.com"), &[("all", EVERYTHING)]);
    assert_eq!(outcome(&unserved, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&unserved, PRINCIPALS, API), "pass");
    assert!(outcome(&elsewhere.gap(ScopeKind::Roles), PRINCIPALS, API).starts_with("unknown: "));
}

#[test]
fn everything_on_a_resource_is_no_way_to_more() {
    let nowhere = [
        (r#""*""#, r#"["arn:aws:s3:::orders","arn:aws:s3:::orders/*"]"#),
        (r#""iam:*""#, r#""arn:aws:s3:::orders""#),
        (r#""*""#, r#""arn:aws:dynamodb:*:111122223333:table/orders""#),
        (r#""*""#, r#""arn:aws:logs:*:111122223333:log-group:/orders:*""#),
        (r#""*""#, r#""arn:aws:sqs:eu-west-1:111122223333:orders""#),
        (r#"["iam:PassRole","lambda:*"]"#, r#""arn:aws:s3:::orders/*""#),
        (r#"["iam:CreateAccessKey","iam:CreateLoginProfile"]"#, r#""arn:aws:iam::111122223333:role/*""#),
    ];
    let others = Small::new().role(OPS, &service("lambda.amazonaws.com"), &[("all", EVERYTHING)]);
    for (actions, resources) in nowhere {
        let policy = allow(&format!(r#""Action":{actions},"Resource":{resources}"#));
        for rule in [ADMINISTRATOR, PRINCIPALS, RUNNING, "admin-equivalent", "pass-role-any"] {
            assert_eq!(outcome(&others.clone().may(&policy), rule, API), "pass", "{rule} {actions} on {resources}");
        }
    }
    let but = others.clone().may(&allow(r#""NotAction":"s3:DeleteBucket","Resource":"arn:aws:s3:::orders""#));
    assert_eq!(outcome(&but, ADMINISTRATOR, API), "pass");
    // On roles it is a path by IAM, and by nothing else.
    let roles = others.may(&may(r#""*""#, "arn:aws:iam::*:role/*"));
    let found = outcome(&roles, ADMINISTRATOR, API);
    assert!(found.starts_with("role api makes itself an administrator by iam:PutRolePolicy;"), "{found}");
    for service in ["ec2:", "lambda:", "sso:"] {
        assert!(!found.contains(service), "{found}");
        assert!(!outcome(&roles, PRINCIPALS, API).contains(service));
    }
}

#[test]
fn changing_whom_an_administrator_trusts_is_a_path() {
    let with = |actions: &str, resource: &str| {
        Small::new().may(&may(actions, resource)).role(OPS, &service("codebuild.amazonaws.com"), &[("all", EVERYTHING)])
    };
    let found = format!("role api makes itself an administrator by iam:UpdateAssumeRolePolicy through {OPS}");
    for resource in [OPS, "arn:aws:iam::*:role/o*", "*"] {
        assert_eq!(
            outcome(&with(r#""iam:UpdateAssumeRolePolicy""#, resource), ADMINISTRATOR, API),
            found,
            "{resource}"
        );
    }
    let both = with(r#"["iam:UpdateAssumeRolePolicy","sts:AssumeRole"]"#, "*");
    assert_eq!(outcome(&both, ADMINISTRATOR, API), found);
    // The role may name whom it likes: nothing lets it assume another role.
    let denied = both.scp("no", &may(r#""sts:AssumeRole""#, "*").replace("Allow", "Deny"), &[HOME]);
    assert_eq!(outcome(&denied, ADMINISTRATOR, API), "pass");
    let other = with(r#""iam:UpdateAssumeRolePolicy""#, "arn:aws:iam::111122223333:role/team/*");
    assert_eq!(outcome(&other, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&other, PRINCIPALS, API), "pass");
}

#[test]
fn a_way_needs_a_role_that_exists() {
    let ghosts = r#"["iam:AttachRolePolicy","iam:PutRolePolicy","sts:AssumeRole"]"#;
    let small = Small::new().may(&may(ghosts, "arn:aws:iam::111122223333:role/ghost-*"));
    assert_eq!(outcome(&small, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&small, PRINCIPALS, API), "pass");
    assert!(outcome(&small.clone().gap(ScopeKind::Roles), ADMINISTRATOR, API).starts_with("unknown: "));
    // One that exists must let it in, too.
    let ghost = "arn:aws:iam::111122223333:role/ghost-1";
    let closed = small.clone().role(ghost, &service("ec2.amazonaws.com"), &[]);
    assert_eq!(outcome(&closed, ADMINISTRATOR, API), "pass");
    let open = small.role(ghost, &trusts(HOME), &[]);
    assert_eq!(
        outcome(&open, ADMINISTRATOR, API),
        "role api makes itself an administrator by iam:PutRolePolicy + sts:AssumeRole; \
         iam:AttachRolePolicy + sts:AssumeRole"
    );
    // A policy's version helps where the policy is attached to a role that lets it in.
    let team = "arn:aws:iam::111122223333:policy/team";
    let versions = |attached: bool| {
        let mut small = Small::new()
            .may(&may(r#"["iam:CreatePolicyVersion","sts:AssumeRole"]"#, "*"))
            .managed(team, &may(r#""s3:GetObject""#, "*"))
            .role(OPS, &trusts(HOME), &[]);
        let policy = AttachedPolicy { arn: team.parse().unwrap(), name: "team".to_owned() };
        let ops = small.0.roles.iter_mut().find(|role| role.arn.as_str() == OPS).unwrap();
        ops.attached.extend(attached.then_some(policy));
        small
    };
    assert_eq!(outcome(&versions(false), ADMINISTRATOR, API), "pass");
    assert_eq!(
        outcome(&versions(true), ADMINISTRATOR, API),
        "role api makes itself an administrator by iam:CreatePolicyVersion + sts:AssumeRole"
    );
    // And taking away a boundary where there is one.
    let unbound = Small::new().may(&may(r#"["iam:DeleteRolePermissionsBoundary","sts:AssumeRole"]"#, OPS)).role(
        OPS,
        &trusts(HOME),
        &[],
    );
    assert_eq!(outcome(&unbound, PRINCIPALS, API), "pass");
}

#[test]
fn what_aws_keeps_for_itself_leads_nowhere() {
    let writes = r#"["iam:PutRolePolicy","iam:UpdateAssumeRolePolicy","iam:AttachRolePolicy","sts:AssumeRole"]"#;
    for path in [
        "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_0a1b2c3d",
        "aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
    ] {
        let role = format!("arn:aws:iam::111122223333:role/{path}");
        let kept =
            Small::new().may(&may(writes, &role)).role(&role, &service("x.amazonaws.com"), &[("all", EVERYTHING)]);
        for rule in [ADMINISTRATOR, PRINCIPALS, RUNNING] {
            assert_eq!(outcome(&kept, rule, API), "pass", "{rule} {path}");
        }
        // Nor by everything on every role, where these are the only administrators.
        let all = kept.may(&may(r#""iam:UpdateAssumeRolePolicy""#, "*"));
        assert_eq!(outcome(&all, ADMINISTRATOR, API), "pass", "{path}");
    }
    let versions = Small::new().may(&may(r#""iam:CreatePolicyVersion""#, "arn:aws:iam::aws:policy/*"));
    let versions = versions.attach("arn:aws:iam::aws:policy/ReadOnlyAccess");
    let versions = versions.managed("arn:aws:iam::aws:policy/ReadOnlyAccess", &may(r#""s3:Get*""#, "*"));
    assert_eq!(outcome(&versions, ADMINISTRATOR, API), "pass");
}

#[test]
fn identity_center_is_administered_from_few_accounts() {
    let power = allow(r#""NotAction":["iam:*","organizations:*","account:*"],"Resource":"*""#);
    let member = Small::new().may(&power);
    let found = outcome(&member, ADMINISTRATOR, API);
    assert!(found.starts_with("unknown: ") && found.contains("IAM Identity Center"), "{found}");
    let mut management = member;
    management
        .0
        .accounts
        .iter_mut()
        .filter(|account| account.id.to_string() == HOME)
        .for_each(|account| account.is_management = true);
    let found = outcome(&management, ADMINISTRATOR, API);
    assert!(found.starts_with("role api makes itself an administrator by sso:"), "{found}");
}

#[test]
fn a_node_may_ask_for_pods_credentials_by_their_tokens_only() {
    let node = Small::new().may(&may(r#"["eks-auth:AssumeRoleForPodIdentity","ec2:Describe*"]"#, "*"));
    for rule in [ADMINISTRATOR, PRINCIPALS, RUNNING] {
        assert_eq!(outcome(&node, rule, API), "pass");
    }
}

#[test]
fn an_open_role_is_its_own_fault_and_no_other_roles() {
    let star = allow(r#""Principal":"*","Action":"sts:AssumeRole""#);
    let open = Small::new().role(OPS, &star, &[("all", EVERYTHING)]).role(MIDDLE, &service("ec2.amazonaws.com"), &[]);
    assert_eq!(outcome(&open, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&open, ADMINISTRATOR, MIDDLE), "pass");
    let root = open.clone().role(OPS, &trusts(HOME), &[("all", EVERYTHING)]);
    assert_eq!(outcome(&root, ADMINISTRATOR, API), "pass");
    // With a permission of its own it is a path where an account is let in, and where the trust policy
    // names the role without. Into a role that lets in everyone anyone gets.
    let found = format!("role api makes itself an administrator by sts:AssumeRole through {OPS}");
    let all = may(r#""sts:AssumeRole""#, "*");
    assert_eq!(outcome(&root.clone().may(&all), ADMINISTRATOR, API), found);
    assert_eq!(outcome(&open.clone().may(&all), ADMINISTRATOR, API), "pass");
    let named = open.clone().role(OPS, &trusts(API), &[("all", EVERYTHING)]);
    assert_eq!(outcome(&named, ADMINISTRATOR, API), found);
    assert_eq!(outcome(&named, ADMINISTRATOR, MIDDLE), "pass");
    let denied = may(r#""sts:AssumeRole""#, "*").replace("Allow", "Deny");
    assert_eq!(outcome(&named.may(&denied), ADMINISTRATOR, API), "pass");
    // A condition on who asks names the role as well.
    let by_condition = |trusted: &str| {
        let condition = format!(r#""Condition":{{"ArnLike":{{"aws:PrincipalArn":"{trusted}"}}}}"#);
        allow(&format!(r#""Principal":{{"AWS":"*"}},"Action":"sts:AssumeRole",{condition}"#))
    };
    for (trusted, wanted) in [(API, found.as_str()), ("arn:aws:iam::111122223333:role/a*", &found), (MIDDLE, "pass")] {
        let small = open.clone().role(OPS, &by_condition(trusted), &[("all", EVERYTHING)]);
        assert_eq!(outcome(&small, ADMINISTRATOR, API), wanted, "{trusted}");
    }
    let root_and_condition = by_condition(API).replace(r#""AWS":"*""#, &format!(r#""AWS":"{HOME}""#));
    let small = open.role(OPS, &root_and_condition, &[("all", EVERYTHING)]);
    assert_eq!(outcome(&small, ADMINISTRATOR, API), "pass");
    let permitted = small.role(MIDDLE, &service("ec2.amazonaws.com"), &[("hop", &may(r#""sts:AssumeRole""#, "*"))]);
    assert_eq!(outcome(&permitted.clone().may(&may(r#""sts:AssumeRole""#, OPS)), ADMINISTRATOR, API), found);
    assert_eq!(outcome(&permitted, ADMINISTRATOR, MIDDLE), "pass");
}

#[test]
fn what_a_boundary_keeps_is_not_gained() {
    let arn = "arn:aws:iam::111122223333:policy/limit";
    let limit = may(r#"["s3:*","iam:PutRolePolicy"]"#, "*");
    let own = Small::new().may(&may(r#""iam:PutRolePolicy""#, API)).managed(arn, &limit).boundary(arn);
    assert_eq!(outcome(&own, ADMINISTRATOR, API), "pass");
    assert_eq!(outcome(&own, RUNNING, API), "role api can take over running workloads by iam:PutRolePolicy");
    let wide = Small::new().may(&may(r#""iam:PutRolePolicy""#, API)).managed(arn, EVERYTHING).boundary(arn);
    assert_eq!(outcome(&wide, ADMINISTRATOR, API), "role api makes itself an administrator by iam:PutRolePolicy");
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
        let gap = |scope| Gap {
            scope,
            action: "iam:ListRoles".to_owned(),
            reason: GapReason::Denied,
            detail: String::new(),
            day: None,
        };
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

#[test]
fn a_role_that_is_only_remembered_is_no_certain_step() {
    let chain = Small::new().may(&may(r#""sts:AssumeRole""#, OPS)).role(OPS, &trusts(API), &[("all", EVERYTHING)]);
    let retrust = Small::new().may(&may(r#"["iam:UpdateAssumeRolePolicy","sts:AssumeRole"]"#, OPS)).role(
        OPS,
        OPEN,
        &[("all", EVERYTHING)],
    );
    let passing = Small::new()
        .may(&may(r#"["iam:PassRole","lambda:CreateFunction","lambda:InvokeFunction"]"#, "*"))
        .role(OPS, &service("lambda.amazonaws.com"), &[("all", EVERYTHING)]);
    for (name, small) in [("assumed", chain), ("changed", retrust), ("passed", passing)] {
        assert!(outcome(&small, ADMINISTRATOR, API).starts_with("role api makes itself"), "{name}");
        // The latest listing was complete and lacks it: one such listing does not prove that it is gone.
        let mut remembered = small;
        remembered.0.unconfirmed.add(ResourceKind::Role, HOME.parse().unwrap(), OPS);
        let answer = outcome(&remembered, ADMINISTRATOR, API);
        assert!(answer.starts_with("unknown: ") && answer.contains(OPS), "{name}: {answer}");
    }
}
