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
}
