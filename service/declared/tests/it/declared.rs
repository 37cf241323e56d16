//! Each format, read into what it declares.

use proptest::prelude::*;
use rolecall_declared::{Defaults, Item, Reader, plan};
use rolecall_estate::declared::{Declared, Known, Reference, Resource, Role, RoleName};
use rolecall_iam::Document;

const SAMPLES: [(&str, &str); 5] = [
    ("state.json", include_str!("../samples/state.json")),
    ("plan.json", include_str!("../samples/plan.json")),
    ("template.yaml", include_str!("../samples/template.yaml")),
    ("cluster.yaml", include_str!("../samples/cluster.yaml")),
    ("manifests.yaml", include_str!("../samples/manifests.yaml")),
];

fn sample(name: &str) -> &'static str {
    SAMPLES.into_iter().find(|(known, _)| *known == name).unwrap().1
}

fn defaults() -> Defaults {
    Defaults {
        account: Some("111122223333".parse().unwrap()),
        region: Some("eu-west-1".parse().unwrap()),
        partition: None,
    }
}

fn read_text(name: &str, text: &str) -> Declared {
    let mut reader = Reader::new(defaults());
    reader.file(name, text.as_bytes());
    reader.finish()
}

fn document(document: &Known<Document>) -> String {
    match document {
        Ok(document) => document.statements().iter().map(|it| format!("{:?}", it.effect)).collect::<Vec<_>>().join("+"),
        Err(why) => format!("({why})"),
    }
}

fn reference(reference: &Reference) -> String {
    reference.text.to_string()
}

fn role(role: &Role) -> String {
    let name = match &role.name {
        RoleName::Given(name) => name.to_string(),
        RoleName::Made { contains, .. } => format!("*{contains}*"),
    };
    let mut out = format!("role {name}");
    if !role.is_whole {
        out.push_str(" (part)");
    }
    if let Some(trust) = &role.trust {
        out.push_str(&format!(" trust={}", document(trust)));
    }
    for it in &role.inline {
        let mark = if it.is_certain { "" } else { "?" };
        out.push_str(&format!(" inline{mark} {}@{}={}", it.name, it.place.line, document(&it.document)));
    }
    for it in &role.attached {
        let mark = if it.is_certain { "" } else { "?" };
        out.push_str(&format!(" attached{mark} {}", reference(&it.policy)));
    }
    if let Some(boundary) = &role.boundary {
        out.push_str(&format!(" boundary {}", reference(boundary)));
    }
    for why in &role.open {
        out.push_str(&format!(" open: {why}"));
    }
    out
}

fn resource(resource: &Resource) -> String {
    match resource {
        Resource::Role(it) => role(it),
        Resource::Policy(it) => format!("policy {}{} {}", it.path, it.name, document(&it.document)),
        Resource::OidcProvider(it) => format!("provider {}", it.issuer),
        Resource::Association(it) => {
            let account = it.account.map_or_else(|| "?".to_owned(), |id| id.to_string());
            let region = it.region.as_ref().map_or("?", |region| region.as_str());
            let mut out = format!(
                "{account}/{region}/{}/{}/{} {}",
                it.cluster,
                it.namespace,
                it.service_account,
                reference(&it.role)
            );
            if let Some(target) = &it.target_role {
                out.push_str(&format!(" target {}", reference(target)));
            }
            if it.disable_session_tags == Ok(true) {
                out.push_str(" no-tags");
            }
            if let Some(policy) = &it.session_policy {
                out.push_str(&format!(" session={}", document(policy)));
            }
            out
        }
    }
}

fn told(declared: &Declared) -> Vec<String> {
    let line = |it: &rolecall_estate::declared::Declaration| {
        format!("{} {}: {}", it.place.line, it.place.address, resource(&it.resource))
    };
    declared.declarations.iter().map(line).collect()
}

#[test]
fn terraform_state() {
    let declared = read_text("state.json", sample("state.json"));
    assert_eq!(declared.problems, []);
    let told = told(&declared);
    let expected = [
        "14 aws_iam_policy.orders: policy /orders Allow",
        "37 module.api.aws_iam_role.this: role api trust=Allow inline own@55=Allow attached arn:aws:iam::111122223333:policy/orders",
        "75 module.api.aws_eks_pod_identity_association.this: 111122223333/eu-west-1/prod/pay/api arn:aws:iam::111122223333:role/api",
    ];
    for (told, expected) in told.iter().zip(expected) {
        let without_line = |text: &str| text.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap();
        let strip = |text: String| regex_lines(&text);
        assert_eq!(strip(without_line(told)), strip(without_line(expected)));
    }
    assert_eq!(told.len(), 3);
    // The line is that of the resource in the file.
    for it in &declared.declarations {
        let text = sample("state.json").lines().nth(it.place.line).unwrap();
        assert!(text.contains(&it.place.address), "{}: {text}", it.place.line);
    }
}

/// Without the line of an inline policy.
fn regex_lines(text: &str) -> String {
    let mut out = String::new();
    for part in text.split('@') {
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() && !out.is_empty()));
    }
    out
}

#[test]
fn a_state_file_of_version_4() {
    let text = r#"{"version": 4, "terraform_version": "1.9.8", "serial": 3, "lineage": "x", "resources": [
        {"mode": "managed", "type": "aws_eks_pod_identity_association", "name": "it", "module": "module.a", "instances": [
            {"index_key": "b.c", "attributes": {"cluster_name": "prod", "namespace": "pay", "service_account": "api",
             "role_arn": "arn:aws:iam::111122223333:role/api", "association_arn": "arn:aws:eks:eu-central-1:444455556666:podidentityassociation/prod/a-1"}}]}]}"#;
    assert_eq!(
        told(&read_text("terraform.tfstate", text)),
        [
            "3 module.a.aws_eks_pod_identity_association.it[\"b.c\"]: 444455556666/eu-central-1/prod/pay/api arn:aws:iam::111122223333:role/api"
        ]
    );
}

#[test]
fn a_plan_says_what_is_there_afterwards() {
    let declared = read_text("plan.json", sample("plan.json"));
    assert_eq!(declared.problems, []);
    let told: Vec<String> = told(&declared).iter().map(|it| regex_lines(it.split_once(": ").unwrap().1)).collect();
    assert_eq!(
        told,
        [
            "role worker trust=Allow attached arn:aws:iam::111122223333:policy/worker",
            "policy /worker Allow",
            "111122223333/eu-west-1/prod/pay/worker arn:aws:iam::111122223333:role/worker",
            "role api (part) inline own=Allow",
        ]
    );
    let (planned, problems) = plan("plan.json", sample("plan.json").as_bytes(), &defaults()).unwrap();
    assert_eq!(problems, []);
    let counts: Vec<(String, usize, usize)> =
        planned.iter().map(|it| (format!("{:?}", it.action), it.before.len(), it.after.len())).collect();
    let counts: Vec<(&str, usize, usize)> = counts.iter().map(|(a, b, c)| (a.as_str(), *b, *c)).collect();
    assert_eq!(
        counts,
        [("Create", 0, 1), ("Create", 0, 1), ("Create", 0, 1), ("Create", 0, 1), ("Update", 1, 1), ("Delete", 1, 0)]
    );
    assert!(matches!(planned.last().unwrap().before.first(), Some(Item::Attached { .. })));
    assert!(plan("state.json", sample("state.json").as_bytes(), &defaults()).is_none());
}

#[test]
fn a_template_keeps_open_what_is_decided_when_it_is_deployed() {
    let declared = read_text("template.yaml", sample("template.yaml"));
    let problems: Vec<String> = declared.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("template.yaml:") && problems[0].contains("Type: it is missing"), "{problems:?}");
    let line = declared.problems[0].line;
    assert!(sample("template.yaml").lines().nth(line - 1).unwrap().contains("Properties: {}"), "{line}");
    let told: Vec<String> = told(&declared).iter().map(|it| regex_lines(it.split_once(": ").unwrap().1)).collect();
    assert_eq!(
        told,
        [
            "role api trust=Allow inline own=Allow open: whether it is there depends on the condition `IsProd`",
            "role *-WorkerRole-* trust= attached arn:aws:iam::111122223333:policy/shared",
            "policy /shared (the value of the parameter `Bucket` is not in the template)",
            "111122223333/eu-west-1/prod/pay/api arn:aws:iam::111122223333:role/api",
            "111122223333/eu-west-1/…/pay/worker arn:aws:iam::111122223333:role/… target …",
        ]
    );
}

#[test]
fn a_template_in_json_is_the_same() {
    let text = r#"{"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": {"Fn::Sub": ["${A}-${!B}-${AWS::Region}", {"A": {"Ref": "AWS::AccountId"}}]},
        "AssumeRolePolicyDocument": {"Statement": [{"Fn::If": ["X", {"Effect": "Allow"}, {"Ref": "AWS::NoValue"}]}]},
        "PermissionsBoundary": {"Fn::ImportValue": "edge"}}},
      "A": {"Type": "AWS::EKS::PodIdentityAssociation", "Properties": {"ClusterName": "prod", "Namespace": "pay",
        "ServiceAccount": {"Fn::FindInMap": ["Names", "a", "b"]}, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "DisableSessionTags": "true"}}},
      "Mappings": {"Names": {"a": {"b": "api"}}}}"#;
    assert_eq!(
        told(&read_text("t.json", text)),
        [
            "1 Resources.Role: role 111122223333-${B}-eu-west-1 trust=(`If` is decided when it is deployed) boundary …",
            "5 Resources.A: 111122223333/eu-west-1/prod/pay/api arn:aws:iam::111122223333:role/111122223333-${B}-eu-west-1 no-tags",
        ]
    );
}

#[test]
fn an_eksctl_config() {
    let declared = read_text("cluster.yaml", sample("cluster.yaml"));
    let problems: Vec<String> = declared.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("namespace: it is missing"), "{problems:?}");
    let told: Vec<String> = told(&declared).iter().map(|it| regex_lines(it.split_once(": ").unwrap().1)).collect();
    assert_eq!(
        told,
        [
            "111122223333/eu-west-1/prod/pay/api arn:aws:iam::111122223333:role/api",
            "role worker trust=Allow attached arn:aws:iam::111122223333:policy/p boundary \
             arn:aws:iam::111122223333:policy/edge open: what eksctl attaches for the well-known policies autoScaler is its own",
            "111122223333/eu-west-1/prod/pay/worker arn:aws:iam::111122223333:role/worker",
            "role *eksctl-prod-podidentityrole-pay-mailer-* trust=Allow inline …=Allow",
            "111122223333/eu-west-1/prod/pay/mailer … target arn:aws:iam::444455556666:role/data no-tags",
            "role *eksctl-prod-addon-vpc-cni-podidentityrole-aws-node-* trust=Allow attached \
             arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy",
            "111122223333/eu-west-1/prod/…/aws-node …",
        ]
    );
}

#[test]
fn manifests_of_ack_and_crossplane() {
    let declared = read_text("manifests.yaml", sample("manifests.yaml"));
    assert_eq!(declared.problems, []);
    let told: Vec<String> = told(&declared).iter().map(|it| regex_lines(it.split_once(": ").unwrap().1)).collect();
    assert_eq!(
        told,
        [
            "role api trust=Allow inline own=Allow inline mine=(`BUCKET` is to be filled in) attached \
             arn:aws:iam::aws:policy/ReadOnlyAccess attached arn:aws:iam::111122223333:policy/orders",
            "policy /orders Allow",
            "111122223333/eu-west-1/prod/pay/api arn:aws:iam::111122223333:role/api no-tags session=Allow",
            "role worker trust= inline own= attached arn:aws:iam::aws:policy/ReadOnlyAccess",
            "111122223333/eu-west-1/prod/pay/… arn:aws:iam::111122223333:role/worker",
        ]
    );
    let unplaced: Vec<String> = declared.unplaced.iter().map(|it| format!("{} {}", it.place.address, it.why)).collect();
    assert_eq!(unplaced, ["RolePolicyAttachment/by-label `role` is selected by labels"]);
}

#[test]
fn what_cannot_be_read_has_its_file_line_and_field() {
    for (name, text, expected) in [
        (
            "a.json",
            "{\n\"Resources\": {\n\"A\": }}",
            "a.json:3: a JSON value is expected; correct it; the rest is read",
        ),
        (
            "b.yaml",
            "Resources: [1]\nAWSTemplateFormatVersion: x\n",
            "b.yaml:1: Resources: it is a list; give a map of resources",
        ),
        (
            "c.yaml",
            "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata:\n  name: a\n  region: Paris\n",
            "c.yaml:5: metadata.region: it is no region of AWS; give one such as eu-west-1",
        ),
        (
            "d.json",
            "{\"resource_changes\": [\n{\"mode\": \"managed\"}]}",
            "d.json:2: address: it is missing; give it as the format has it; the rest is read",
        ),
    ] {
        let problems: Vec<String> = read_text(name, text).problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.first().map(String::as_str), Some(expected));
    }
    let mut reader = Reader::new(defaults());
    reader.file("e.yaml", &[0xff, 0xfe]);
    reader.file("f.yaml", b"kind: Deployment\napiVersion: apps/v1\n");
    let declared = reader.finish();
    assert_eq!(declared.problems[0].to_string(), "e.yaml:1: it is no text in UTF-8; save it in UTF-8");
    assert_eq!(declared.passed_over, ["f.yaml"]);
}

proptest! {
    /// Whatever is cut out of a sample, it is read or named, with a line that the file has.
    #[test]
    fn any_damage_is_read_or_named(which in 0..SAMPLES.len(), from in 0..6000_usize, len in 0..60_usize, put in "[\\[\\]{}:,\"!&*\\- a\\n]{0,4}") {
        let (name, text) = SAMPLES[which];
        let mut chars: Vec<char> = text.chars().collect();
        let from = from.min(chars.len());
        let to = (from + len).min(chars.len());
        chars.splice(from..to, put.chars());
        let text: String = chars.into_iter().collect();
        let declared = read_text(name, &text);
        let lines = text.lines().count() + 1;
        for problem in &declared.problems {
            prop_assert!((1..=lines).contains(&problem.line), "{problem}");
        }
        for it in &declared.declarations {
            prop_assert!((1..=lines).contains(&it.place.line), "{:?}", it.place);
        }
    }
}
