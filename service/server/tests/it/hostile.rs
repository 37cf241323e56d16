//! A service that is told to end, or killed, while it judges policies that were written to take long.

use crate::kills::{known, same};
use crate::support::{Folder, Harness, Serving, run_beside, signal};
use chrono::Utc;
use rolecall::schedule::job;
use rolecall_sandbox::Estate;
use rolecall_store::{JobState, RunState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

#[expect(dead_code, reason = "the bench needs more of it")]
#[path = "../../../audit/benches/hostile/kinds.rs"]
mod kinds;

/// Roles with every kind of nuisance in one, as large as IAM takes them.
const KIND: &str = "combined-of-20";
/// So many of them.
const ROLES: usize = 5;

/// The demo's estate, and such roles in one of its accounts.
fn estate() -> Estate {
    let mut estate = rolecall_sandbox::demo::estate(Utc::now());
    let kind = kinds::KINDS.iter().find(|kind| kind.name == KIND).unwrap();
    let hostile = kinds::estate(kind, 7);
    let (id, account) = estate.accounts.iter_mut().find(|(_, account)| !account.regions.is_empty()).unwrap();
    let text = |digest| hostile.documents.get(digest).unwrap().text.to_string();
    let home = |arn: &str| arn.replace("111122223333", id);
    let at = "2026-01-02T03:04:05Z";
    for policy in &hostile.policies {
        account.policies.push(json!({
            "PolicyName": policy.name, "PolicyId": format!("ANPA{}", policy.name), "Path": "/",
            "Arn": home(policy.arn.as_str()), "DefaultVersionId": "v1", "AttachmentCount": 1, "IsAttachable": true,
            "CreateDate": at, "UpdateDate": at,
            "PolicyVersionList": [{
                "Document": text(policy.document.as_ref().unwrap()), "VersionId": "v1", "IsDefaultVersion": true,
                "CreateDate": at
            }],
        }));
    }
    for role in hostile.roles.iter().take(ROLES) {
        let inline = role.inline.iter().map(|it| json!({"PolicyName": it.name, "PolicyDocument": text(&it.document)}));
        let attached =
            role.attached.iter().map(|it| json!({"PolicyName": it.name, "PolicyArn": home(it.arn.as_str())}));
        let mut made = json!({
            "Path": "/", "RoleName": role.arn.as_str().rsplit('/').next(), "RoleId": role.role_id,
            "Arn": home(role.arn.as_str()), "CreateDate": at, "InstanceProfileList": [],
            "AssumeRolePolicyDocument": text(role.trust.as_ref().unwrap()),
            "RolePolicyList": inline.collect::<Vec<_>>(), "AttachedManagedPolicies": attached.collect::<Vec<_>>(),
        });
        if let Some(boundary) = &role.boundary {
            made["PermissionsBoundary"] = json!({
                "PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": home(boundary.as_str())
            });
        }
        account.roles.push(made);
    }
    estate
}

fn configured(harness: &Harness, folder: &Folder, words: &[&str]) -> Command {
    let text = "[aws]\ntrail_lookback_days = 2\nlookups_per_second = 1000\n[schedule]\nenabled = false\n";
    let config = folder.write("rolecall.toml", text);
    let mut command = harness.rolecall(folder);
    command.arg("--config").arg(config).args(words);
    command
}

/// A service in which accounts are being judged.
async fn judging(harness: &Harness, folder: &Folder) -> Serving {
    let command = configured(harness, folder, &["serve", "--bind", "127.0.0.1:0"]);
    let serving = tokio::task::spawn_blocking(move || Serving::start(command)).await.unwrap();
    let mut connection = harness.database.connect().await.unwrap();
    loop {
        let judging = "select exists (select from attempt a join run r on r.id = a.run_id
                                      where a.kind = 'judging' and a.unit = 'all accounts' and r.state = 'running')";
        if sqlx::query_scalar(judging).fetch_one(&mut connection).await.unwrap() {
            return serving;
        }
        let runs = harness.store.runs(None, 1).await.unwrap();
        assert!(runs.iter().all(|run| run.state != RunState::Done), "it is judged in no time: {runs:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_while_it_judges_hostile_policies_owes_that_and_does_it_at_its_next_start() {
    let (estate, folder) = (estate(), Folder::new());
    let harness = Harness::over(estate.clone()).await;
    let ended = run_beside(configured(&harness, &folder, &["scan"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let wanted = known(&harness.database).await;
    let about_one = |row: &&Value| row.to_string().contains("hostile-0000");
    assert!(wanted["findings"].iter().filter(about_one).count() > 0, "{:#?}", wanted["findings"]);

    let harness = Harness::over(estate).await;
    let store = &harness.store;
    store.enqueue(&job::audit_now("test")).await.unwrap().unwrap();

    // Told to end, it does so in the time that it has, and says what is kept.
    let serving = judging(&harness, &folder).await;
    let ended = tokio::task::spawn_blocking(|| serving.stop()).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains("did not end in time"), "{ended:?}");
    let run = store.runs(None, 1).await.unwrap().remove(0);
    let why = "stopped before the end; what it read is kept, and the next audit judges it";
    assert_eq!((run.state, run.error.as_deref()), (RunState::Failed, Some(why)));
    assert_eq!(store.owed().await.unwrap().len(), 1);
    let job = store.jobs(1).await.unwrap().remove(0);
    assert_eq!((job.state, job.attempt), (JobState::Queued, 0), "it is given back untried");
    assert_eq!(known(&harness.database).await["findings"], Vec::<Value>::new());

    // Killed, it says nothing, and owes the same.
    let serving = judging(&harness, &folder).await;
    signal("-KILL", serving.id());
    let ended = tokio::task::spawn_blocking(|| serving.ended()).await.unwrap();
    assert_eq!(ended.code, None, "{ended:?}");
    assert!(!store.owed().await.unwrap().is_empty());
    assert_eq!(known(&harness.database).await["findings"], Vec::<Value>::new());

    // Its lease runs out, and the next start does what is owed.
    let mut connection = harness.database.connect().await.unwrap();
    let run_out = "update job set lease_until = now() where state = 'running'";
    assert_eq!(sqlx::query(run_out).execute(&mut connection).await.unwrap().rows_affected(), 1);
    let command = configured(&harness, &folder, &["serve", "--bind", "127.0.0.1:0"]);
    let serving = tokio::task::spawn_blocking(move || Serving::start(command)).await.unwrap();
    while store.jobs(1).await.unwrap()[0].state != JobState::Done {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = tokio::task::spawn_blocking(|| serving.stop()).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((store.owed().await.unwrap(), store.set_aside().await.unwrap()), (Vec::new(), Vec::new()));
    let states: Vec<RunState> = store.runs(None, 5).await.unwrap().into_iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Done, RunState::Interrupted, RunState::Failed]);
    let known = known(&harness.database).await;
    for what in ["findings", "gaps", "usage"] {
        let part = |all: &BTreeMap<&'static str, Vec<Value>>| BTreeMap::from([(what, all[what].clone())]);
        same(&part(&known), &part(&wanted), "a stop and a kill");
    }
}
