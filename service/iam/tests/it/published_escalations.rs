//! Every published escalation path is one of our paths, and is found where just its permissions are
//! granted, each by a policy of its own.

use crate::shared;
use rolecall_iam::escalation::{self, Holder};
use rolecall_iam::{Arn, Document, PolicyRef, PolicySet, RoleArn};
use std::collections::BTreeSet;

#[test]
fn every_published_path_is_found() {
    let Some(folder) = shared("privesc") else { return };
    let text = std::fs::read_to_string(folder.join("pathfinding-paths.json")).unwrap();
    let published: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = published.as_object().unwrap().values().find_map(|value| value.as_array()).unwrap();
    let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
    let own: Arn = "arn:aws:iam::111122223333:policy/own".parse().unwrap();
    let mut missing = Vec::new();
    for path in paths {
        let required = path["required"].as_array().unwrap().iter();
        let required: BTreeSet<&str> = required.map(|one| one["permission"].as_str().unwrap()).collect();
        let layer = |action: &&str| {
            let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": "*"});
            let text = serde_json::json!({"Version": "2012-10-17", "Statement": statement}).to_string();
            PolicyRef::known(&format!("inline policy {action}"), &Document::new(&text))
        };
        let stack = PolicySet { identity: Some(required.iter().map(layer).collect()), ..PolicySet::default() };
        let found =
            escalation::find(&stack, Holder { role: &role, policies: std::slice::from_ref(&own), boundary: None });
        let exact = |found: &escalation::Found| found.path.actions().collect::<BTreeSet<_>>() == required;
        if !found.iter().any(|found| exact(found) && found.truth.is_true()) {
            missing.push(path["id"].to_string());
        }
    }
    println!("{} of {} published paths found", paths.len() - missing.len(), paths.len());
    assert_eq!(paths.len(), 65);
    assert!(missing.is_empty(), "not found: {}", missing.join(", "));
}
