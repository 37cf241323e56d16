//! Who can do something to a resource: every workload and role, in three values.

use crate::small::{API, AWAY, BOUND, HOME, Small, allow, id};
use rolecall_audit::access::simulate::{AskError, Question, WhatIf};
use rolecall_audit::access::who_can::{Permission, WhoCan, who_can};
use rolecall_estate::coverage::ScopeKind;

const READER: &str = "arn:aws:iam::111122223333:role/reader";
const TABLE: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders";

fn question(action: &str, resource: &str) -> Question {
    Question {
        principal: String::new(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        resource_account: None,
        context: Vec::new(),
        closed: false,
        what_if: WhatIf::default(),
    }
}

fn asked(small: &Small, action: &str, resource: &str) -> WhoCan {
    who_can(&small.0, &question(action, resource)).unwrap()
}

fn told(found: &WhoCan) -> Vec<String> {
    let workloads = found.workloads.iter().map(|it| format!("{} {}", it.principal, it.permission.as_str()));
    workloads.chain(found.roles.iter().map(|it| format!("{} {}", it.principal, it.permission.as_str()))).collect()
}

#[test]
fn whoever_is_allowed_is_listed_and_nobody_else() {
    let small = Small::new()
        .role(READER, BOUND, &[("own", &allow(r#""Action":"dynamodb:GetItem","Resource":"*""#))])
        .association("data", "reader", READER);
    let found = asked(&small, "dynamodb:GetItem", TABLE);
    let workload = "111122223333/eu-west-1/prod/data/reader allowed";
    assert_eq!(told(&found), [workload.to_owned(), format!("{READER} allowed")]);
    assert_eq!((found.asked_workloads, found.asked_roles), (2, 2));
    assert!(found.resource_policy_unknown, "a table can have a policy");
    assert!(found.missing.is_empty(), "{found:#?}");
    // What pods of one association may do is what the role that they end up with may do.
    assert_eq!(found.workloads[0].role_arn, READER);
    assert_eq!(told(&asked(&small, "dynamodb:DeleteTable", TABLE)), [""; 0]);
}

#[test]
fn another_account_waits_for_the_policy_of_the_resource() {
    let small = Small::new();
    let away = question("s3:GetObject", "arn:aws:s3:::orders/1");
    let away = Question { resource_account: Some(id(AWAY)), ..away };
    let found = who_can(&small.0, &away).unwrap();
    assert!(found.workloads.iter().all(|it| it.permission == Permission::AllowedWithResourcePolicy), "{found:#?}");
    assert_eq!(found.workloads.len(), 1);
    let bare = WhatIf { resource: Some(Vec::new()), ..WhatIf::default() };
    assert_eq!(told(&who_can(&small.0, &Question { what_if: bare, ..away }).unwrap()), [""; 0]);
}

#[test]
fn what_was_not_seen_is_said() {
    let small = Small::new();
    let gap = asked(&small.clone().gap(ScopeKind::Roles), "s3:GetObject", "arn:aws:s3:::orders/1");
    assert!(!gap.missing.is_empty());
    let scps = asked(&small.clone().gap(ScopeKind::OrgPolicies), "s3:GetObject", "arn:aws:s3:::orders/1");
    assert!(
        scps.workloads.iter().all(|it| it.permission == Permission::Unknown && !it.unknown.is_empty()),
        "{scps:#?}"
    );
    // A role that was not seen: what its pods can do is not known.
    let mut gone = small.clone();
    gone.0.roles.retain(|role| role.arn.as_str() != API);
    let gone = asked(&gone, "s3:GetObject", "arn:aws:s3:::orders/1");
    assert!(gone.workloads.iter().all(|it| it.permission == Permission::Unknown), "{gone:#?}");
    // One that was not described is not one that cannot.
    let mut bare = small.clone();
    bare.0.associations[0].detail = None;
    let bare = asked(&bare, "dynamodb:GetItem", TABLE);
    assert_eq!(told(&bare), ["111122223333/eu-west-1/prod/pay/api unknown"]);
    assert!(!bare.workloads[0].unknown.is_empty());
}

#[test]
fn a_service_control_policy_refuses_everybody_below_it() {
    let refuse = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;
    let small = Small::new().scp("guard", refuse, &[HOME]);
    assert_eq!(told(&asked(&small, "s3:GetObject", "arn:aws:s3:::orders/1")), [""; 0]);
}

#[test]
fn the_region_of_the_resource_is_the_one_that_is_asked() {
    let only = |region: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"*","Resource":"*",
                "Condition":{{"StringNotEquals":{{"aws:RequestedRegion":"{region}"}}}}}}}}"#
        )
    };
    let small = Small::new()
        .role(READER, BOUND, &[("own", &allow(r#""Action":"dynamodb:GetItem","Resource":"*""#))])
        .association("data", "reader", READER);
    let allowed = ["111122223333/eu-west-1/prod/data/reader allowed".to_owned(), format!("{READER} allowed")];
    assert_eq!(
        told(&asked(&small.clone().scp("here", &only("eu-west-1"), &["r-1"]), "dynamodb:GetItem", TABLE)),
        allowed
    );
    assert_eq!(told(&asked(&small.scp("there", &only("us-east-1"), &["r-1"]), "dynamodb:GetItem", TABLE)), [""; 0]);
}

#[test]
fn what_is_no_action_is_refused() {
    let error = who_can(&Small::new().0, &question("GetObject", "*")).unwrap_err();
    assert!(matches!(error, AskError::Action(_)));
}
