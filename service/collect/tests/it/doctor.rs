//! What is missing is told before a scan finds out.

use crate::estate::{HUB, WORK, estate, sandbox, sandbox_of, settings};
use rolecall_collect::{Answer, Holder, PermissionUse, Plan, Probe, actions, doctor, missing_statement};
use rolecall_estate::coverage::GapReason;
use std::collections::BTreeSet;

/// Without those that only a configured trail or a configured destination of messages needs.
fn of_looks() -> Vec<PermissionUse> {
    actions()
        .into_iter()
        .filter(|permission| ![Holder::Trails, Holder::Outgoing].contains(&permission.holder))
        .collect()
}

fn of<'p>(probes: &'p [Probe], account: &str) -> Vec<&'p Probe> {
    probes.iter().filter(|probe| probe.account_id.to_string() == account).collect()
}

#[tokio::test]
async fn every_permission_is_tried_once_in_every_account() {
    let sandbox = sandbox().await;
    let plan = Plan::new(settings(&sandbox)).unwrap();
    let probes = doctor(&plan).await.unwrap();
    let names = |probes: &[&Probe]| probes.iter().map(|probe| probe.permission.action).collect::<Vec<_>>();
    let all: Vec<&str> = of_looks().iter().map(|permission| permission.action).collect();
    let member: Vec<&str> = of_looks()
        .iter()
        .filter(|permission| permission.holder != Holder::Management)
        .map(|permission| permission.action)
        .collect();
    assert_eq!(names(&of(&probes, HUB)), all);
    assert_eq!(names(&of(&probes, WORK)), member);
    let not_granted: Vec<_> = probes.iter().filter(|probe| probe.answer != Answer::Granted).collect();
    assert_eq!(not_granted, Vec::<&Probe>::new());
}

#[tokio::test]
async fn an_account_without_organisation_lacks_no_permission() {
    let mut alone = estate();
    alone.organization = None;
    let sandbox = sandbox_of(alone).await;
    let probes = doctor(&Plan::new(settings(&sandbox)).unwrap()).await.unwrap();
    assert_eq!(of(&probes, HUB).len(), of_looks().len());
    assert_eq!(missing_statement(&probes), None);
}

#[tokio::test]
async fn what_is_denied_is_what_the_statement_grants() {
    let sandbox = sandbox().await;
    let plan = Plan::new(settings(&sandbox)).unwrap();
    for permission in of_looks().into_iter().filter(|permission| permission.action != "sts:AssumeRole") {
        sandbox.faults().clear();
        sandbox.faults().deny(permission.action);
        let probes = doctor(&plan).await.unwrap();
        let denied: BTreeSet<&str> = probes
            .iter()
            .filter(|probe| matches!(probe.answer, Answer::Failed { reason: GapReason::Denied, .. }))
            .map(|probe| probe.permission.action)
            .collect();
        assert_eq!(denied, [permission.action].into());
        let statement = missing_statement(&probes).unwrap();
        assert_eq!(statement["Statement"][0]["Action"], serde_json::json!([permission.action]));
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_entered_needs_only_the_entry() {
    let sandbox = sandbox().await;
    sandbox.faults().deny_in("sts:AssumeRole", WORK);
    let plan = Plan::new(settings(&sandbox)).unwrap();
    let probes = doctor(&plan).await.unwrap();
    let work = of(&probes, WORK);
    let tried: Vec<_> =
        work.iter().filter(|probe| probe.answer != Answer::NotTried).map(|probe| probe.permission.action).collect();
    assert_eq!(tried, ["sts:AssumeRole"]);
    let only: Vec<Probe> = work.into_iter().cloned().collect();
    let statement = missing_statement(&only).unwrap();
    assert_eq!(statement["Statement"][0]["Action"], "sts:AssumeRole");
    assert_eq!(statement["Statement"][0]["Resource"], serde_json::json!(["arn:*:iam::222222222222:role/*"]));
    assert_eq!(statement["Statement"].as_array().unwrap().len(), 1);
    assert_eq!(missing_statement(&[]), None);
}
