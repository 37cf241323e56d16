//! What is declared against an estate: each status, and what a difference comes to.

use crate::shipped::check as check_rule;
use crate::small::{API, BOUND, Small, allow};
use rolecall_audit::declared::{Report, Row, Status, check};
use rolecall_audit::drift::Effect;
use rolecall_declared::{Defaults, Reader};
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::declared::Declared;

const POLICY: &str = "arn:aws:iam::111122223333:policy/p";
const WORKLOAD: &str = "111122223333/eu-west-1/prod/pay/api";
const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;

fn read(file: &str, text: &str) -> Declared {
    let mut reader = Reader::new(Defaults {
        account: Some("111122223333".parse().unwrap()),
        region: Some("eu-west-1".parse().unwrap()),
        partition: Some("aws".to_owned()),
    });
    reader.file(file, text.as_bytes());
    reader.finish()
}

/// A state with these resources, by type and values.
fn state(resources: &[(&str, serde_json::Value)]) -> Declared {
    let resources: Vec<serde_json::Value> = resources
        .iter()
        .enumerate()
        .map(|(at, (kind, values))| {
            serde_json::json!({"address": format!("{kind}.r{at}"), "mode": "managed", "type": kind, "values": values})
        })
        .collect();
    let root = serde_json::json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}});
    let declared = read("state.json", &serde_json::to_string_pretty(&root).unwrap());
    assert_eq!(declared.problems, []);
    declared
}

fn role(trust: &str) -> (&'static str, serde_json::Value) {
    ("aws_iam_role", serde_json::json!({"name": "api", "path": "/", "assume_role_policy": trust, "arn": API}))
}

fn own(document: &str) -> (&'static str, serde_json::Value) {
    ("aws_iam_role_policy", serde_json::json!({"name": "own", "role": "api", "policy": document}))
}

fn association(service_account: &str, role: &str) -> (&'static str, serde_json::Value) {
    let values = serde_json::json!({"cluster_name": "prod", "namespace": "pay", "service_account": service_account,
        "role_arn": role, "region": "eu-west-1", "disable_session_tags": false});
    ("aws_eks_pod_identity_association", values)
}

/// Status, name, and the parts with their effects.
fn told(report: &Report) -> Vec<String> {
    let part = |row: &Row| -> String {
        let parts = row.differences.iter().map(|it| format!(" {}={}", it.part, it.effect.as_str()));
        let unknown = row.unknown.iter().map(|it| format!(" ({it})"));
        parts.chain(unknown).collect()
    };
    report.rows.iter().map(|row| format!("{} {}{}", row.status.as_str(), row.resource.name, part(row))).collect()
}

#[track_caller]
fn expect(small: &Small, declared: &Declared, expected: &[&str]) {
    assert_eq!(told(&check(&small.0, declared)), expected);
}

#[test]
fn what_is_written_another_way_is_the_same() {
    let rewritten = r#"{"Version":"2012-10-17","Statement":[
        {"Sid":"B","Effect":"Allow","Action":["s3:getobject"],"Resource":["arn:aws:s3:::orders/*"]},
        {"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/2026/*"}]}"#;
    let declared = state(&[role(BOUND), own(rewritten), association("api", API)]);
    expect(&Small::new(), &declared, &[&format!("same {API}"), &format!("same {WORKLOAD}")]);
}

#[test]
fn each_difference_says_what_it_comes_to() {
    let wide = allow(r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#);
    let open = crate::small::OPEN;
    let small = Small::new().managed(POLICY, &allow(r#""Action":"*","Resource":"*""#));
    let of = |resources: &[(&str, serde_json::Value)]| state(resources);
    let cases = [
        (small.clone(), of(&[role(BOUND), own(&wide)]), "inline policy own=narrowed"),
        (small.clone().may(&wide), of(&[role(BOUND), own(&allow(READ))]), "inline policy own=widened"),
        (small.clone(), of(&[role(open), own(&allow(READ))]), "trust policy=narrowed"),
        (
            small.clone().trust(open).role(API, open, &[("own", &allow(READ))]),
            of(&[role(BOUND), own(&allow(READ))]),
            "trust policy=widened",
        ),
        (
            small.clone().attach(POLICY),
            of(&[role(BOUND), own(&allow(READ))]),
            "attached policy arn:aws:iam::111122223333:policy/p=widened",
        ),
        (small.clone(), of(&[role(BOUND)]), "inline policy own=widened"),
        (
            small.clone(),
            of(&[
                role(BOUND),
                own(&allow(READ)),
                ("aws_iam_role_policy_attachment", serde_json::json!({"role": "api", "policy_arn": POLICY})),
            ]),
            "attached policy arn:aws:iam::111122223333:policy/p=narrowed",
        ),
        (small.clone().boundary(POLICY), of(&[role(BOUND), own(&allow(READ))]), "permissions boundary=none"),
    ];
    for (small, declared, expected) in cases {
        let report = check(&small.0, &declared);
        let row = report.rows.iter().find(|row| row.resource.name == API).unwrap();
        let parts: Vec<String> =
            row.differences.iter().map(|it| format!("{}={}", it.part, it.effect.as_str())).collect();
        assert_eq!((row.status, parts), (Status::Different, vec![expected.to_owned()]), "{:?}", row.unknown);
        // Each widening is shown by a request.
        let shown = row.differences.iter().all(|it| it.effect != Effect::Widened || it.gained.is_some());
        assert!(shown, "{expected}");
        assert!(row.place.as_ref().is_some_and(|place| place.line > 1));
    }
}

#[test]
fn split_policies_that_come_to_the_same_are_the_same() {
    let first = allow(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#);
    let second = allow(r#""Action":"sqs:SendMessage","Resource":"*""#);
    let both = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*"},
        {"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}"#;
    let small = Small::new().role(API, BOUND, &[("first", &first), ("second", &second)]);
    let declared = state(&[role(BOUND), own(both)]);
    expect(&small, &declared, &[&format!("same {API}")]);
}

#[test]
fn missing_and_unmanaged_need_complete_listings() {
    let other = "arn:aws:iam::111122223333:role/other";
    let small = Small::new().role(other, BOUND, &[]).association("pay", "other", other);
    let declared = state(&[role(BOUND), own(&allow(READ)), association("api", API), association("gone", API)]);
    expect(
        &small,
        &declared,
        &[
            "missing 111122223333/eu-west-1/prod/pay/gone",
            &format!("unmanaged {other}"),
            "unmanaged 111122223333/eu-west-1/prod/pay/other",
            &format!("same {API}"),
            &format!("same {WORKLOAD}"),
        ],
    );
    let unseen = told(&check(&small.cut(ScopeKind::Associations).0, &declared));
    assert!(
        unseen.iter().any(|it| it.starts_with("unknown 111122223333/eu-west-1/prod/pay/gone (associations of account")),
        "{unseen:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_leaves_unknown_what_is_unmanaged() {
    let mut reader = Reader::new(Defaults { account: Some("111122223333".parse().unwrap()), ..Defaults::default() });
    reader.file("a.yaml", b"apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: prod, region: eu-west-1}\niam:\n  podIdentityAssociations:\n  - {namespace: pay, serviceAccountName: x, roleARN: 'arn:aws:iam::111122223333:role/api'}\n");
    reader.file("b.json", b"{");
    let told = told(&check(&Small::new().0, &reader.finish()));
    assert_eq!(
        told,
        [
            "missing 111122223333/eu-west-1/prod/pay/x",
            "unknown 111122223333/eu-west-1/prod/pay/api (what b.json:1 declares could not be read)",
        ]
    );
}

#[test]
fn what_an_expression_leaves_open_is_unknown_or_different() {
    let template = |role: &str| {
        format!(
            "Resources:\n  A:\n    Type: AWS::EKS::PodIdentityAssociation\n    Properties: {{ClusterName: prod, \
             Namespace: pay, ServiceAccount: api, RoleArn: {role}}}\n"
        )
    };
    let report = |role: &str| told(&check(&Small::new().0, &read("t.yaml", &template(role))));
    let open = report(r#"!Sub "arn:aws:iam::${AWS::AccountId}:role/${Name}""#);
    assert_eq!(open, [format!("unknown {WORKLOAD} (its role: `Name` is known when it is deployed)")]);
    let different = report(r#"!Sub "arn:aws:iam::${AWS::AccountId}:role/other-${Name}""#);
    assert_eq!(different, [format!("different {WORKLOAD} role=unknown")]);
}

#[test]
fn a_role_whose_name_is_made_is_found_by_what_it_contains() {
    let made = "arn:aws:iam::111122223333:role/stack-ApiRole-1A2B3C";
    let small = Small::new().role(made, BOUND, &[]).detail(|detail| detail.role_arn = made.to_owned());
    let text = format!(
        "Resources:\n  ApiRole:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument: {BOUND}\n  A:\n    \
         Type: AWS::EKS::PodIdentityAssociation\n    Properties: {{ClusterName: prod, Namespace: pay, ServiceAccount: \
         api, RoleArn: !GetAtt ApiRole.Arn}}\n"
    );
    expect(&small, &read("t.yaml", &text), &[&format!("same {made}"), &format!("same {WORKLOAD}")]);
}

#[test]
fn another_association_is_different_in_each_field() {
    let other = "arn:aws:iam::111122223333:role/other";
    let small = Small::new().role(other, BOUND, &[("all", &allow(r#""Action":"*","Resource":"*""#))]);
    let small = small.detail(|detail| {
        detail.role_arn = other.to_owned();
        detail.disable_session_tags = true;
        detail.tags.insert("team".to_owned(), "pay".to_owned());
    });
    let mut declared = association("api", API);
    declared.1["tags"] = serde_json::json!({"team": "web"});
    declared.1["policy"] = allow(READ).into();
    expect(
        &small,
        &state(&[declared]),
        &[&format!(
            "different {WORKLOAD} role=widened disableSessionTags=unknown session policy=widened tag team=none"
        )],
    );
}

/// The small estate, judged with what is declared.
fn judged(mut small: Small, declared: Declared) -> Small {
    small.0.declared = Some(std::sync::Arc::new(declared));
    small
}

#[test]
fn only_the_clusters_that_are_declared_are_asked_for() {
    let other = "arn:aws:iam::111122223333:role/other";
    let mut small = Small::new().role(other, BOUND, &[]).cluster("dev").association("pay", "other", other);
    let elsewhere = small.0.associations.last_mut().unwrap();
    elsewhere.key.cluster = "dev".parse().unwrap();
    // A repository that declares one cluster says nothing of another, nor of the roles that only its pods get.
    let of_prod = state(&[role(BOUND), own(&allow(READ)), association("api", API)]);
    expect(&small, &of_prod, &[&format!("same {API}"), &format!("same {WORKLOAD}")]);
    // One that declares roles alone is asked for the roles of every cluster.
    let roles = state(&[role(BOUND), own(&allow(READ))]);
    expect(&small, &roles, &[&format!("unmanaged {other}"), &format!("same {API}")]);
}

#[test]
fn what_could_not_be_read_any_more_is_remembered() {
    let before = state(&[role(BOUND), own(&allow(READ)), association("api", API)]);
    let of = |files: &dyn Fn(&mut Reader)| {
        let mut reader = Reader::new(Defaults::default());
        files(&mut reader);
        reader.finish().remembering(&before)
    };
    let small = Small::new().association("pay", "web", API);
    let web = "111122223333/eu-west-1/prod/pay/web";
    let why = "what declares it could not be read any more: state.json: it cannot be read: it is gone";
    let gone = "what state.json:1 declares could not be read";
    let expected =
        [format!("unknown {API} ({why})"), format!("unknown {WORKLOAD} ({why})"), format!("unknown {web} ({gone})")];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect(&small, &of(&|reader| reader.unread("state.json", "it is gone")), &expected);
    // It stays so, however often it is looked for.
    let mut reader = Reader::new(Defaults::default());
    reader.unread("state.json", "it is gone");
    let again = reader.finish().remembering(&of(&|reader| reader.unread("state.json", "it is gone")));
    expect(&small, &again, &expected);
    // A file that is gone from a folder that was read, or that declares nothing any more, declares nothing.
    expect(&small, &of(&|_| {}), &[]);
    expect(&small, &of(&|reader| reader.file("state.json", b"[]")), &[]);
    expect(&small, &of(&|reader| reader.unread("other/state.json", "it is gone")), &[]);
}

#[test]
fn what_is_kept_comes_back_as_it_was() {
    let template = "Parameters: {Name: {Type: String}}\nResources:\n  R:\n    Type: AWS::IAM::Role\n    Properties:\n      \
        RoleName: !Sub \"a-${Name}\"\n      AssumeRolePolicyDocument: {Statement: [{Effect: Allow}]}\n      Policies:\n      \
        - {PolicyName: own, PolicyDocument: not a policy}\n";
    for declared in [state(&[role(BOUND), own(&allow(READ)), association("api", API)]), read("t.yaml", template)] {
        let text = serde_json::to_string(&declared).unwrap();
        let again: Declared = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{again:?}"), format!("{declared:?}"));
        assert_eq!(told(&check(&Small::new().0, &again)), told(&check(&Small::new().0, &declared)));
    }
}

#[test]
fn rules_judge_what_is_declared() {
    let all = || state(&[role(BOUND), own(&allow(READ)), association("api", API)]);
    let with = |resources: &[(&str, serde_json::Value)]| state(resources);
    let wide = allow(r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#);
    let unread = || {
        let mut reader = Reader::new(Defaults::default());
        reader.unread("state.json", "it is gone");
        reader.finish().remembering(&all())
    };
    let second = || Small::new().association("pay", "web", API);
    let without = Small::new();
    check_rule(
        "association-not-declared",
        &[
            ("nothing is declared", without.clone(), ""),
            ("both are declared", judged(second(), with(&[association("api", API), association("web", API)])), "PP"),
            ("one is not", judged(second(), all()), "PF"),
            ("an add-on owns the other", judged(owned(second()), all()), "P"),
            ("a file could not be read", judged(second(), unread()), "UU"),
            ("another cluster is declared", judged(Small::new(), with(&[elsewhere()])), ""),
        ],
    );
    check_rule(
        "association-differs-from-declaration",
        &[
            ("nothing is declared", without.clone(), ""),
            ("as declared", judged(Small::new(), all()), "P"),
            ("another role", judged(Small::new(), with(&[association("api", OTHER)])), "F"),
            ("a file could not be read", judged(Small::new(), unread()), "U"),
        ],
    );
    check_rule(
        "role-differs-from-declaration",
        &[
            ("nothing is declared", without.clone(), ""),
            ("as declared", judged(Small::new(), all()), "P"),
            ("a policy allows more", judged(Small::new().may(&wide), all()), "F"),
            ("a file could not be read", judged(Small::new(), unread()), "U"),
        ],
    );
    check_rule(
        "role-not-declared",
        &[
            ("nothing is declared", without.clone(), ""),
            ("declared", judged(Small::new(), all()), "P"),
            ("pods get one that is not", judged(Small::new(), with(&[named("web"), association("api", API)])), "F"),
            ("no pod gets it", judged(Small::new().role(OTHER, BOUND, &[]), all()), "P"),
            ("no role is declared", judged(Small::new(), with(&[association("api", API)])), ""),
        ],
    );
    check_rule(
        "declared-resource-missing",
        &[
            ("nothing is declared", without, ""),
            ("all is there", judged(Small::new(), all()), "P"),
            ("an association is not", judged(Small::new(), with(&[association("gone", API)])), "F"),
            ("a role is not", judged(Small::new(), with(&[named("gone")])), "F"),
            (
                "associations were not seen",
                judged(Small::new().cut(ScopeKind::Associations), with(&[association("gone", API)])),
                "U",
            ),
        ],
    );
}

const OTHER: &str = "arn:aws:iam::111122223333:role/other";

fn named(name: &str) -> (&'static str, serde_json::Value) {
    let arn = format!("arn:aws:iam::111122223333:role/{name}");
    ("aws_iam_role", serde_json::json!({"name": name, "path": "/", "assume_role_policy": BOUND, "arn": arn}))
}

fn elsewhere() -> (&'static str, serde_json::Value) {
    let (kind, mut values) = association("api", API);
    values["cluster_name"] = "dev".into();
    (kind, values)
}

fn owned(mut small: Small) -> Small {
    small.0.associations.last_mut().unwrap().owner_arn =
        Some("arn:aws:eks:eu-west-1:111122223333:addon/prod/a/b".to_owned());
    small
}

#[test]
fn a_finding_says_where_it_is_declared_and_what_is_different() {
    let wide = allow(r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#);
    let small = judged(Small::new().may(&wide), state(&[role(BOUND), own(&allow(READ)), association("api", API)]));
    let verdicts = crate::shipped::verdicts(&small, "role-differs-from-declaration");
    let [verdict] = verdicts.as_slice() else { panic!("{verdicts:?}") };
    let rolecall_rules::Outcome::Fail { message, evidence, .. } = &verdict.outcome else { panic!("{verdict:?}") };
    assert_eq!(verdict.severity, rolecall_rules::Severity::High);
    let place = message.strip_prefix("role api is not as ").and_then(|rest| rest.split_once(" declares it: "));
    let (place, words) = place.unwrap();
    assert!(place.starts_with("state.json:"), "{message}");
    assert!(words.starts_with("inline policy own allows more than declared, such as s3:DeleteObject"), "{message}");
    let [evidence] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert!(evidence.source.starts_with("state.json:"), "{evidence:?}");
    assert_eq!(evidence.value["file"], "state.json");
    assert!(evidence.value["line"].as_u64().is_some_and(|line| line > 1), "{evidence:?}");
    assert!(evidence.value["gained"].as_str().unwrap().contains("s3:DeleteObject"), "{evidence:?}");
}
