//! A call that is read from a queue starts a scan of its account alone.

use crate::changes::{changes, served};
use crate::mutations::{HOME, before, event, more, role, role_arn};
use crate::subsets::ACCOUNTS;
use crate::support::{Folder, Harness, Serving};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::schedule::job;
use rolecall_audit::drift::{Attribution, SeenIn};
use rolecall_store::{ChangeRow, Store};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const BUCKET: &str = "org-trail";

/// A trail's file with the call of a moment, and the notification of it.
fn deliver(harness: &Harness, queue: &str, number: usize, at: DateTime<Utc>, document: &Value) {
    let request = json!({"roleName": "w1", "policyName": "own", "policyDocument": document.to_string()});
    let record = event(at, number, &("iam", "PutRolePolicy", request), None);
    let file = format!("{HOME}_CloudTrail_us-east-1_{}_{number:016}.json.gz", at.format("%Y%m%dT%H%MZ"));
    let key = format!("AWSLogs/{HOME}/CloudTrail/us-east-1/{}/{file}", at.format("%Y/%m/%d"));
    let text = json!({"Records": [record]}).to_string();
    assert!(harness.sandbox.put_object(BUCKET, &key, text.as_bytes()));
    let told = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "awsRegion": "us-east-1",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": text.len()}}}]});
    assert!(harness.sandbox.send_message(queue, &told.to_string()));
}

/// Has a worker do the job, and waits until changes are as many.
async fn told(store: &Store, serving: &mut Option<Serving>, number: usize) -> Vec<ChangeRow> {
    store.enqueue(&job::scheduled(job::EVENTS, Duration::ZERO)).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..200 {
        found = changes(store).await;
        if found.len() >= number {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let log = serving.take().map(|it| tokio::task::block_in_place(|| it.stop().err));
    let (runs, jobs) = (store.runs(None, 5).await.unwrap(), store.jobs(5).await.unwrap());
    panic!("{}\n{found:#?} {runs:#?} {jobs:#?} {:#?}", log.unwrap_or_default(), store.sources().await.unwrap())
}

/// When each account's listings were read last.
async fn looked_at(store: &Store) -> BTreeMap<String, Option<DateTime<Utc>>> {
    let accounts = store.accounts().await.unwrap();
    accounts.into_iter().map(|account| (account.id.to_string(), account.last_look_at)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_queue_tells_of_starts_a_scan_of_its_account() {
    let first = before();
    let mut harness = Harness::over(served(&first)).await;
    let store = harness.store.clone();
    harness.store = store.behind(Duration::from_secs(7_200));
    harness.audit().await.unwrap();
    harness.store = store.clone();
    let (looked, scans) = (looked_at(&store).await, store.runs(None, 10).await.unwrap().len());
    let complete = |rows: Vec<rolecall_store::AccountRow>| -> Vec<(String, u64, u64)> {
        rows.into_iter().map(|row| (row.id.to_string(), row.complete_scopes, row.gap_scopes)).collect()
    };
    let coverage = complete(store.accounts().await.unwrap());

    harness.sandbox.make_bucket(BUCKET, "us-east-1");
    let queue = harness.sandbox.make_queue(HOME, "trail", Duration::from_secs(30));
    deliver(&harness, &queue, 1, Utc::now() - TimeDelta::minutes(90), &more());
    let mut second = first.clone();
    role(&mut second, "w1")["RolePolicyList"][0]["PolicyDocument"] = more();
    harness.sandbox.mutate(|estate| *estate = served(&second));

    let folder = Folder::new();
    let text = format!(
        "[aws]\nlookups_per_second = 1000\n[schedule]\nenabled = false\nrescan_distance = \"1h\"\n[[trails]]\nname = \
         \"queue\"\nkind = \"sqs\"\nqueue_url = \"{queue}\"\nbucket = \"{BUCKET}\"\nwait = \"0s\"\n"
    );
    let config = folder.write("rolecall.toml", &text);
    let mut command = harness.rolecall(&folder);
    command.arg("--config").arg(config).args(["serve", "--bind", "127.0.0.1:0"]);
    command.env("RUST_LOG", "debug,hyper=info,aws_smithy=info,aws_config=info,sqlx=info");
    let mut serving = tokio::task::spawn_blocking(move || Some(Serving::start(command))).await.unwrap();
    let rows = told(&store, &mut serving, 1).await;
    let [row] = rows.as_slice() else { panic!("{rows:#?}") };
    assert_eq!((row.change.resource.name.as_str(), row.seen_in), (role_arn("w1").as_str(), SeenIn::Snapshots));
    assert_eq!(row.attributed.attribution, Attribution::Exact, "{row:#?}");
    assert_eq!(harness.sandbox.messages(&queue), (0, 0));
    // Its account was scanned and no other; the reading itself left no scan.
    let runs = store.runs(None, 10).await.unwrap();
    assert_eq!((runs.len(), runs[0].kind.as_str()), (scans + 1, job::RESCANS_AS), "{runs:#?}");
    let now = looked_at(&store).await;
    assert!(now[HOME] > looked[HOME]);
    assert_eq!(now[ACCOUNTS[1]], looked[ACCOUNTS[1]]);
    assert_eq!(complete(store.accounts().await.unwrap()), coverage);

    // It was just scanned: the next call is told from its event, and the account left alone.
    deliver(
        &harness,
        &queue,
        2,
        Utc::now() + TimeDelta::seconds(1),
        &json!({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
        }),
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rows = told(&store, &mut serving, 2).await;
    let row = rows.iter().find(|row| row.seen_in == SeenIn::Events).unwrap();
    assert_eq!((row.change.administrator, row.ended.clone()), (Some(true), None));
    assert_eq!(store.runs(None, 10).await.unwrap().len(), scans + 1);
    assert_eq!(looked_at(&store).await, now);
    tokio::task::spawn_blocking(|| serving.map(Serving::stop)).await.unwrap();
}
