//! A listing that lost much at once, through whole scans: held, held again where the next one lacks
//! something else, and believed once two in a row lack the same.

use crate::support::Harness;
use chrono::Utc;
use rolecall_sandbox::Estate;
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::Range;

const ROLES: usize = 200;

/// An account of the demo's.
fn account(estate: &Estate) -> String {
    let largest = estate.accounts.iter().max_by_key(|(_, account)| account.roles.len());
    largest.map(|(id, _)| id.clone()).unwrap()
}

fn arn(account: &str, n: usize) -> String {
    format!("arn:aws:iam::{account}:role/batch-{n:03}")
}

fn create(estate: &mut Estate, account: &str, roles: Range<usize>) {
    for n in roles {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "batch.amazonaws.com"}, "Action": "sts:AssumeRole",
        }]});
        let role = json!({
            "Path": "/", "RoleName": format!("batch-{n:03}"), "RoleId": format!("AROABATCH{n:03}"),
            "Arn": arn(account, n), "CreateDate": "2025-01-02T03:04:05Z", "AssumeRolePolicyDocument": trust,
            "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": [], "Tags": [],
            "RoleLastUsed": {},
        });
        estate.create_role(role, Utc::now()).unwrap();
    }
}

fn delete(estate: &mut Estate, account: &str, roles: Range<usize>) {
    for n in roles {
        estate.delete_role(&arn(account, n), Utc::now()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_loss_counts_once_two_scans_in_a_row_lack_the_same() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(Utc::now())).await;
    let account = account(&harness.sandbox.estate());
    harness.sandbox.mutate(|estate| create(estate, &account, 0..ROLES));
    let scan = async || {
        let summary = harness.audit().await.unwrap();
        let known = harness.store.listed(&BTreeSet::from([account.parse().unwrap()])).await.unwrap();
        let known = known.iter().filter(|thing| thing.name.contains(":role/batch-")).count();
        let lost: Vec<String> = summary.unseen.into_iter().map(|gap| gap.reason).collect();
        (known, lost)
    };
    let lost = "lost".to_owned();
    assert_eq!(scan().await, (ROLES, vec![]));

    harness.sandbox.mutate(|estate| delete(estate, &account, 0..130));
    assert_eq!(scan().await, (ROLES, vec![lost.clone()]), "held: perhaps the listing was thinned out");

    harness.sandbox.mutate(|estate| {
        create(estate, &account, 0..130);
        delete(estate, &account, 130..ROLES);
    });
    assert_eq!(scan().await, (ROLES, vec![lost.clone()]), "held again: it is not what was lacking before");

    assert_eq!(scan().await, (130, vec![]), "two in a row lack the same");
}
