//! The policies that we ask people to grant are exactly what we call.

use rolecall_collect::{Holder, actions};
use std::collections::BTreeSet;
use std::path::Path;

fn granted(file: &str) -> Option<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/aws").join(file);
    let policy: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let actions = policy["Statement"].as_array()?.iter().map(|statement| &statement["Action"]);
    let each = actions.flat_map(|action| action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]));
    Some(each.map(|action| action.as_str().unwrap().to_owned()).collect())
}

#[test]
fn no_more_is_asked_for_than_is_called_and_no_less() {
    let called = |holders: &[Holder]| {
        let of_these = actions().into_iter().filter(|permission| holders.contains(&permission.holder));
        of_these.map(|permission| permission.action.to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(granted("member-role.json").expect("the member role's policy"), called(&[Holder::Member]));
    assert_eq!(granted("hub-role.json").expect("the hub role's policy"), called(&[Holder::Hub, Holder::Management]));
    assert_eq!(granted("hub-trails.json").expect("the policy for trails"), called(&[Holder::Trails]));
    assert_eq!(granted("hub-outgoing.json").expect("the policy for messages"), called(&[Holder::Outgoing]));
}

#[test]
fn the_stack_template_grants_what_the_policy_file_grants() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/cloudformation/rolecall-member.yaml");
    let template = std::fs::read_to_string(path).unwrap();
    let (_, document) = template.split_once("PolicyDocument:\n            Version").expect("the role's own policy");
    let words = document.split_whitespace().filter(|word| {
        word.split_once(':').is_some_and(|(service, action)| {
            !action.is_empty()
                && service.bytes().all(|b| b.is_ascii_lowercase())
                && action.starts_with(char::is_uppercase)
        })
    });
    let stated: BTreeSet<String> = words.map(str::to_owned).collect();
    assert_eq!(stated, granted("member-role.json").expect("the member role's policy"));
}

#[test]
fn the_hub_steps_into_its_own_organisation_only() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/aws/hub-role.json");
    let policy: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let steps = policy["Statement"].as_array().unwrap().iter().filter(|of| of["Action"] == "sts:AssumeRole");
    let bounds: Vec<&serde_json::Value> =
        steps.map(|of| &of["Condition"]["StringEquals"]["aws:ResourceOrgID"]).collect();
    assert_eq!(bounds, ["ORGANIZATION_ID"]);
}
