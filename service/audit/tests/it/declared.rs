//! What is declared against an estate: each status, and what a difference comes to.

use crate::small::{API, BOUND, Small, allow};
use rolecall_audit::declared::{Report, Row, Status, check};
use rolecall_audit::drift::Effect;
use rolecall_declared::{Declared, Defaults, Reader};
use rolecall_estate::coverage::ScopeKind;

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
