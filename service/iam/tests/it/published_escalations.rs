//! Every published escalation path is one of our paths, and is found where just its permissions are
//! granted, each by a policy of its own.

use crate::shared;
use rolecall_iam::escalation::{self, Holder};
use rolecall_iam::{Arn, Document, PolicyRef, PolicySet, RoleArn};
use std::collections::BTreeSet;

/// Well-known paths, each by the permissions that it takes.
const KNOWN: [&[&str]; 24] = [
    &["iam:CreatePolicyVersion"],
    &["iam:CreateAccessKey"],
    &["iam:CreateLoginProfile"],
    &["iam:UpdateLoginProfile"],
    &["iam:PutRolePolicy"],
    &["iam:PutUserPolicy"],
    &["iam:PutGroupPolicy"],
    &["iam:AttachRolePolicy"],
    &["iam:AttachUserPolicy"],
    &["iam:AttachGroupPolicy"],
    &["iam:AddUserToGroup"],
    &["iam:UpdateAssumeRolePolicy"],
    &["sts:AssumeRole"],
    &["iam:PassRole", "ec2:RunInstances"],
    &["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"],
    &["iam:PassRole", "lambda:CreateFunction", "lambda:CreateEventSourceMapping"],
    &["iam:PassRole", "glue:CreateDevEndpoint"],
    &["iam:PassRole", "cloudformation:CreateStack"],
    &["iam:PassRole", "codebuild:CreateProject", "codebuild:StartBuild"],
    &["iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:RunTask"],
    &["lambda:UpdateFunctionCode"],
    &["codebuild:StartBuild"],
    &["ssm:SendCommand"],
    &["ssm:StartSession"],
];

/// Whether a role that has just these permissions, each by a policy of its own, has the path of exactly them.
fn is_found(required: &BTreeSet<&str>) -> bool {
    let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
    let own: Arn = "arn:aws:iam::111122223333:policy/own".parse().unwrap();
    let policy = |action: &&str| {
        let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": "*"});
        let text = serde_json::json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        PolicyRef::known(&format!("inline policy {action}"), &Document::new(&text))
    };
    let policies = PolicySet { identity: Some(required.iter().map(policy).collect()), ..PolicySet::default() };
    let holder = Holder { role: &role, policies: std::slice::from_ref(&own), boundary: None };
    let exact = |found: &escalation::Found| found.path.actions().collect::<BTreeSet<_>>() == *required;
    escalation::find(&policies, holder).iter().any(|found| exact(found) && found.truth.is_true())
}

#[test]
fn every_well_known_path_is_found() {
    for required in KNOWN {
        assert!(is_found(&required.iter().copied().collect()), "{required:?}");
        // Without one of its permissions it is none.
        let fewer: BTreeSet<&str> = required.iter().copied().skip(1).collect();
        let exact = KNOWN.iter().any(|known| known.iter().copied().collect::<BTreeSet<_>>() == fewer);
        assert!(fewer.is_empty() || exact || !is_found(&fewer) || required.len() > 2, "{fewer:?}");
    }
    let Some(folder) = shared("privesc") else { return };
    let text = std::fs::read_to_string(folder.join("pathfinding-paths.json")).unwrap();
    let published: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = published.as_object().unwrap().values().find_map(|value| value.as_array()).unwrap();
    let is_missing = |path: &&serde_json::Value| {
        let required = path["required"].as_array().unwrap().iter();
        !is_found(&required.map(|one| one["permission"].as_str().unwrap()).collect())
    };
    let missing: Vec<String> = paths.iter().filter(is_missing).map(|path| path["id"].to_string()).collect();
    assert_eq!(paths.len(), 65);
    assert!(missing.is_empty(), "not found: {}", missing.join(", "));
}
