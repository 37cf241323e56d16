//! The same trail in any files, in any order, twice, torn off in the middle: the same sessions and
//! the same use.

use crate::support::{Folder, Harness, import};
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use rolecall::audit::Summary;
use rolecall::audit::attribute::attribute_due_sessions;
use rolecall::audit::import::ImportOptions;
use rolecall::audit::ingest;
use rolecall::config::Config;
use rolecall::progress::Progress;
use rolecall_collect::trails::{self, Batch, Body, FinishedBatch, Missed, Object, Outcome, TrailGap, TrailSource};
use rolecall_estate::{ChangeEvent, EventScope, Session};
use rolecall_store::testing::{Database, database};
use rolecall_store::{ChangeEventFilter, RunId, SessionFilter, UsageOf, UsageWindow, UseRow};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ACCOUNT: &str = "111122223333";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 8, 0, 0).unwrap()
}

/// A pod's session: open before any call.
fn pod(n: u64) -> Value {
    let at = now() - TimeDelta::hours(10) - TimeDelta::minutes(i64::try_from(n * 13).unwrap());
    json!({
        "eventVersion": "1.08", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": "eu-west-1",
        "sourceIPAddress": "pods.eks.amazonaws.com", "eventID": format!("session-{n}"),
        "requestParameters": {
            "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/pod-{}", n % 2),
            "roleSessionName": "eks-prod-api-498124c2-a555-40bf-9059-ca9a26821eb0",
            "tags": [{"key": "kubernetes-namespace", "value": "payments"}]
        },
        "responseElements": {"credentials": {"accessKeyId": format!("ASIAPOD{n}")}},
        "eventType": "AwsApiCall", "recipientAccountId": ACCOUNT, "eventCategory": "Management"
    })
}

/// A hop that another opened, and that says to be earlier than what it came from.
fn skewed(n: u64) -> Value {
    let mut event = call(n);
    let at = now() - TimeDelta::minutes(i64::try_from(n * 7).unwrap()) - TimeDelta::seconds(9);
    event["eventTime"] = at.format("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    event["eventID"] = format!("skewed-{n}").into();
    event["userIdentity"]["accessKeyId"] = format!("ASIAHOP{n}").into();
    event["responseElements"] = json!({"credentials": {"accessKeyId": format!("ASIASKEWED{n}")}});
    event
}

/// The record of a hop in the account of its role.
fn copied(n: u64) -> Value {
    let mut event = call(n);
    event["eventID"] = format!("copied-{n}").into();
    event["userIdentity"] = json!({
        "type": "AWSAccount", "principalId": "AROAEXAMPLE:eks-prod-api", "accountId": ACCOUNT
    });
    event["recipientAccountId"] = "444455556666".into();
    event
}

/// A call by a pod's session; every fifth is another hop.
fn call(n: u64) -> Value {
    let key = n % 5;
    let at = now() - TimeDelta::minutes(i64::try_from(n * 7).unwrap());
    let role = format!("pod-{}", key % 2);
    let mut event = json!({
        "eventVersion": "1.09", "eventSource": "s3.amazonaws.com",
        "eventName": if n.is_multiple_of(3) { "GetObject" } else { "PutObject" },
        "userIdentity": {
            "type": "AssumedRole", "accountId": ACCOUNT, "accessKeyId": format!("ASIAPOD{key}"),
            "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/eks-prod-api"),
            "principalId": "AROAEXAMPLE:eks-prod-api",
            "sessionContext": {"sessionIssuer": {
                "type": "Role", "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "accountId": ACCOUNT
            }}
        },
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": "eu-west-1",
        "sourceIPAddress": "10.0.0.9", "eventID": format!("call-{n}"), "requestID": format!("request-{n}"),
        "requestParameters": {"bucketName": format!("bucket-{}", n % 4), "key": "a/b"},
        "responseElements": null, "recipientAccountId": ACCOUNT, "eventCategory": "Data"
    });
    if n % 4 == 1 {
        event["errorCode"] = "AccessDenied".into();
    }
    if n.is_multiple_of(5) {
        event["eventSource"] = "sts.amazonaws.com".into();
        event["eventName"] = "AssumeRole".into();
        event["requestParameters"] = json!({
            "roleArn": "arn:aws:iam::444455556666:role/further", "roleSessionName": "further"
        });
        event["responseElements"] = json!({"credentials": {"accessKeyId": format!("ASIAHOP{n}")}});
    }
    event
}

/// What the VPC endpoint tells of a call that went through it.
fn passed(n: u64) -> Value {
    let mut event = call(n);
    event["eventID"] = format!("passed-{n}").into();
    event["eventType"] = "AwsVpceEvent".into();
    event["eventCategory"] = "NetworkActivity".into();
    event["vpcEndpointId"] = "vpce-0a1".into();
    let fields = event.as_object_mut().unwrap();
    for field in ["requestParameters", "responseElements", "errorCode"] {
        fields.remove(field);
    }
    event
}

/// A change of a role, by a pod's session or by a person; every third is refused.
fn change(n: u64) -> Value {
    let mut event = call(n);
    event["eventID"] = format!("change-{n}").into();
    event["eventSource"] = "iam.amazonaws.com".into();
    event["eventName"] = "PutRolePolicy".into();
    event["requestParameters"] = json!({"roleName": format!("pod-{n}"), "policyName": "p", "policyDocument": "{}"});
    event["eventCategory"] = "Management".into();
    if n.is_multiple_of(2) {
        event["userIdentity"] =
            json!({"type": "IAMUser", "accountId": ACCOUNT, "arn": format!("arn:aws:iam::{ACCOUNT}:user/ana")});
    }
    event
}

fn trail(calls: u64) -> Vec<Value> {
    let hops = || (0..calls).filter(|n| n.is_multiple_of(5));
    let told = (0..5).map(pod).chain((0..calls).map(call));
    let passed = (0..calls).skip(2).step_by(4).map(passed);
    told.chain(hops().map(skewed)).chain(hops().step_by(2).map(copied)).chain(passed).collect()
}

async fn read(database: &Database, id: &str, files: Vec<PathBuf>, batch: usize) -> rolecall::audit::ingested::Ingested {
    let limits = trails::Limits { batch_objects: batch, ..trails::Limits::default() };
    let mut source = trails::files(id, files, limits);
    ingest::read(&database.store, RunId(0), &mut *source, rolecall::audit::ingested::FILES, now(), &Progress::silent())
        .await
        .unwrap()
}

type Known = (Vec<Session>, Vec<UseRow>, Vec<ChangeEvent>);

async fn known(database: &Database) -> Known {
    let sessions = database.store.sessions(&SessionFilter::default(), None, 1000).await.unwrap();
    let uses = database.store.usage(&UsageOf::All, UsageWindow::default(), true).try_collect().await.unwrap();
    let changes = database.store.change_events(&ChangeEventFilter::default(), None, 1000).await.unwrap();
    (sessions, uses, changes)
}

async fn whole(events: &[Value]) -> Known {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let file = folder.write("whole.json", &json!({ "Records": events }).to_string());
    read(&database, "whole", vec![file], 10).await;
    attribute_due_sessions(&database.store).await.unwrap();
    known(&database).await
}

/// How a trail is delivered.
#[derive(Debug, Clone)]
struct Delivery {
    /// For each event the files that hold it, of eight.
    files: Vec<Vec<usize>>,
    /// In which order files are read, and how many at a time.
    order: Vec<usize>,
    batch: usize,
    /// After how many microseconds each of the first attempts is torn off.
    incomplete: Vec<u64>,
}

fn deliveries(events: usize) -> impl Strategy<Value = Delivery> {
    let files = prop::collection::vec(prop::collection::vec(0_usize..8, 1..4), events);
    let order = Just((0..8).collect::<Vec<usize>>()).prop_shuffle();
    (files, order, 1_usize..5, prop::collection::vec(0_u64..60_000, 0..4))
        .prop_map(|(files, order, batch, incomplete)| Delivery { files, order, batch, incomplete })
}

async fn deliver(events: &[Value], delivery: &Delivery) -> Known {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let mut held: Vec<Vec<&Value>> = vec![Vec::new(); 8];
    for (event, files) in events.iter().zip(&delivery.files) {
        for file in files {
            held[*file].push(event);
        }
    }
    let paths: Vec<PathBuf> = delivery
        .order
        .iter()
        .map(|n| folder.write(&format!("{n}.json"), &json!({ "Records": held[*n] }).to_string()))
        .collect();
    for after in &delivery.incomplete {
        // Dropped where it stands, as a process that is killed would.
        let attempt = read(&database, "torn", paths.clone(), delivery.batch);
        let _torn = tokio::time::timeout(Duration::from_micros(*after), attempt).await;
    }
    let mut left = paths.clone();
    let late = left.split_off(4);
    read(&database, "first", late, delivery.batch).await;
    attribute_due_sessions(&database.store).await.unwrap();
    read(&database, "second", left, delivery.batch).await;
    attribute_due_sessions(&database.store).await.unwrap();
    let again = read(&database, "again", paths, 100).await;
    assert_eq!((again.known, again.stats.events, again.uses_written), (8, 0, 0), "a second pass reads nothing");
    attribute_due_sessions(&database.store).await.unwrap();
    known(&database).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]
    #[test]
    fn any_delivery_comes_to_the_same(delivery in deliveries(110)) {
        let events: Vec<Value> = trail(60).into_iter().chain((0..12).map(change)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (expected, found) = runtime.block_on(async {
            (whole(&events).await, deliver(&events, &delivery).await)
        });
        prop_assert_eq!(expected.2.len(), 12);
        prop_assert_eq!(expected, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_reads_the_trails_of_the_configuration() {
    let text = "[[trails]]\nname = \"org\"\nkind = \"s3\"\nbucket = \"org-trail\"\nlookback_days = 3\n";
    let config = Config::parse(Path::new("rolecall.toml"), text).unwrap();
    let harness = Harness::over(rolecall_sandbox::demo::estate(Utc::now())).await;
    let demo = rolecall_sandbox::demo::estate(Utc::now());
    let places = demo.accounts.iter().flat_map(|(id, account)| account.regions.iter().map(move |it| (id, it)));
    let (account, region) =
        places.filter(|(_, (_, region))| !region.clusters.is_empty()).map(|(id, (name, _))| (id, name)).next().unwrap();
    let read = || async { harness.store.session(account.parse().unwrap(), "only-in-the-bucket").await.unwrap() };
    let names = |summary: &Summary| summary.unseen.iter().any(|gap| gap.action == "s3:ListBucket");
    let unknown = || async {
        let (_, tallies) = harness.store.latest_tallies(None).await.unwrap().unwrap();
        let of_sessions = tallies.into_iter().filter(|tally| tally.rule.starts_with("session-"));
        of_sessions.filter(|tally| tally.reasons.iter().any(|why| why.contains("s3:ListBucket"))).count()
    };

    // The very first audit says so already, where nothing is known yet but what it saw itself.
    harness.sandbox.make_bucket("org-trail", "us-east-1");
    harness.sandbox.faults().deny("s3:ListBucket");
    let refused = harness.audit_with(&config.trails).await.unwrap();
    assert!(names(&refused), "{:?}", refused.unseen);
    assert!(unknown().await > 0, "rules on sessions say what they miss");
    assert_eq!(read().await, None);

    harness.sandbox.faults().clear();
    let at = Utc::now() - TimeDelta::hours(5);
    let mut event = pod(0);
    event["eventID"] = "only-in-the-bucket".into();
    event["eventTime"] = at.format("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    event["awsRegion"] = region.as_str().into();
    event["recipientAccountId"] = account.as_str().into();
    event["requestParameters"]["roleArn"] = format!("arn:aws:iam::{account}:role/nowhere").into();
    let file = format!("{account}_CloudTrail_{region}_{}_0123456789abcdef.json.gz", at.format("%Y%m%dT%H%MZ"));
    let key = format!("AWSLogs/{account}/CloudTrail/{region}/{}/{file}", at.format("%Y/%m/%d"));
    assert!(harness.sandbox.put_object("org-trail", &key, json!({"Records": [event]}).to_string().as_bytes()));
    let seen = harness.audit_with(&config.trails).await.unwrap();
    assert!(!names(&seen), "{:?}", seen.unseen);
    assert_eq!(unknown().await, 0);
    let session = read().await.expect("the bucket's session is there");
    assert_eq!((session.region.as_str(), session.access_key_id.as_deref()), (region.as_str(), Some("ASIAPOD0")));
    let source = harness.store.sources().await.unwrap().remove(0);
    assert_eq!((source.name.as_str(), source.kind.as_str(), source.total.files), ("org", "s3", 1));
    assert_eq!(source.error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_file_is_read_again_however_many_are_torn() {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let text = |n: u64| json!({ "Records": [call(n)] }).to_string();
    let incomplete = |n: u64| text(n).get(..300).unwrap().to_owned();
    let files = 150;
    let paths: Vec<PathBuf> = (0..files).map(|n| folder.write(&format!("{n:03}.json"), &incomplete(n))).collect();
    let first = read(&database, "torn", paths.clone(), 1_000).await;
    assert_eq!((first.stats.files, first.stats.calls), (files, 0));
    let second = read(&database, "torn", paths, 1_000).await;
    assert_eq!((second.known, second.stats.files), (0, files), "none of them was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_named_and_the_rest_counts() {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let mut events = trail(20);
    events.push(json!({"eventName": "AssumeRole", "eventSource": "sts.amazonaws.com"}));
    let good = folder.write("good.json", &json!({ "Records": events }).to_string());
    let text = json!({ "Records": trail(30) }).to_string();
    let incomplete = folder.write("torn.json", text.get(..text.len() * 2 / 3).unwrap());
    let read_all = || read(&database, "broken", vec![good.clone(), incomplete.clone()], 10);
    let first = read_all().await;
    assert!(first.stats.malformed >= 2, "{:?}", first.stats);
    assert!(first.stats.duplicates > 0, "{:?}", first.stats);
    assert!(first.problems.iter().any(|problem| problem.file.ends_with("torn.json")), "{:?}", first.problems);
    let problems = database.store.trail_problems(Some("broken"), 100).await.unwrap().len();
    assert!(problems >= 2);
    let before = known(&database).await;
    let second = read_all().await;
    assert_eq!((second.known, second.uses_written), (1, 0), "the torn file is looked at again, and adds nothing");
    assert_eq!(known(&database).await, before);
    assert_eq!(database.store.trail_problems(Some("broken"), 100).await.unwrap().len(), problems);
    let sources = database.store.sources().await.unwrap();
    assert_eq!((sources[0].name.as_str(), sources[0].kind.as_str()), ("broken", rolecall::audit::ingested::FILES));
    assert!(sources[0].total.malformed >= 2 && sources[0].caught_up_at.is_some(), "{:?}", sources[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_complete_but_for_the_day_of_a_record_that_cannot_be_read() {
    let text = "[[trails]]\nname = \"org\"\nkind = \"s3\"\nbucket = \"org-trail\"\nlookback_days = 10\n";
    let config = Config::parse(Path::new("rolecall.toml"), text).unwrap();
    let harness = Harness::over(rolecall_sandbox::demo::estate(Utc::now())).await;
    harness.sandbox.make_bucket("org-trail", "us-east-1");
    let put = |at: DateTime<Utc>, n: u64, records: Vec<Value>| {
        let file = format!("{ACCOUNT}_CloudTrail_eu-west-1_{}_{n:016}.json.gz", at.format("%Y%m%dT%H%MZ"));
        let key = format!("AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/{}/{file}", at.format("%Y/%m/%d"));
        assert!(harness.sandbox.put_object("org-trail", &key, json!({ "Records": records }).to_string().as_bytes()));
    };
    let whole = || async {
        Box::pin(harness.audit_with(&config.trails)).await.unwrap();
        let [whole] = &harness.store.complete_ranges(&[]).await.unwrap()[..] else { panic!("one stretch") };
        assert_eq!((whole.account_id.to_string(), whole.region.as_str()), (ACCOUNT.to_owned(), "eu-west-1"));
        assert_eq!((whole.source.as_str(), &whole.event_scope), ("org", &EventScope::Bucket("org-trail".to_owned())));
        assert!(whole.all_regions && Utc::now() - whole.to < TimeDelta::minutes(90));
        whole.from
    };
    let days_ago = |days: i64| Utc::now().date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc() - TimeDelta::days(days);
    put(days_ago(4), 1, trail(3));
    put(days_ago(2), 2, trail(6));
    assert_eq!(whole().await, days_ago(4), "nothing is known of what was before its oldest file");
    put(days_ago(40), 3, trail(0));
    assert_eq!(whole().await, days_ago(4), "and it never becomes more");
    let mut broken = call(7);
    broken["eventTime"] = "sometime".into();
    put(days_ago(3), 4, vec![call(8), broken]);
    let seen = Box::pin(harness.audit_with(&config.trails)).await.unwrap();
    let told = seen.unseen.iter().filter(|gap| gap.action == "rolecall:ReadTrail" && gap.scope == "sessions");
    let told: Vec<_> = told.map(|gap| (gap.account_id.as_str(), gap.region.as_deref())).collect();
    assert_eq!(told, [(ACCOUNT, Some("eu-west-1"))], "{:?}", seen.unseen);
    let next = days_ago(2).date_naive().and_hms_opt(0, 0, 0).unwrap().and_utc();
    assert_eq!(whole().await, next);
    assert_eq!(whole().await, next, "the file is known by now, and what it lacks is not forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_record_that_cannot_be_read_is_a_gap_until_it_is_mended() {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let name = format!("AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/03/02/one.json");
    let mut broken = call(7);
    broken["eventTime"] = "sometime".into();
    folder.write(&name, &json!({ "Records": [pod(0), broken] }).to_string());
    let gaps = || async {
        let summary = Box::pin(import(&database.store, folder.path(), ImportOptions::default())).await.unwrap();
        let of_file = summary.unseen.into_iter().filter(|gap| gap.detail.ends_with("one.json"));
        of_file.map(|gap| gap.scope).collect::<Vec<_>>()
    };
    let first = gaps().await;
    assert_eq!(first.len(), 1);
    assert_eq!(gaps().await, first, "the file is known by now, and its record still is not read");
    folder.write(&name, &json!({ "Records": [pod(0), call(7)] }).to_string());
    assert_eq!(gaps().await.len(), 0);
    assert_eq!(gaps().await.len(), 0);
}

/// Files that are taken away once they were listed.
struct Vanishing(Box<dyn TrailSource>, Vec<PathBuf>);

impl TrailSource for Vanishing {
    fn id(&self) -> &str {
        self.0.id()
    }
    fn next(&mut self, now: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>> {
        Box::pin(async move {
            let batch = self.0.next(now).await;
            self.1.drain(..).for_each(|path| std::fs::remove_file(path).unwrap());
            batch
        })
    }
    fn fetch<'a>(&'a self, object: &'a Object) -> BoxFuture<'a, Result<Body, Missed>> {
        self.0.fetch(object)
    }
    fn finish_batch(&mut self, batch: Batch, outcomes: Vec<Outcome>) -> FinishedBatch {
        self.0.finish_batch(batch, outcomes)
    }
    fn acknowledge(&mut self, settlement: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>> {
        self.0.acknowledge(settlement)
    }
    fn progress(&self) -> trails::Progress {
        self.0.progress()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_and_what_is_broken_leaves_a_gap_in_its_place() {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let name = |n: u64, region: &str| {
        format!("AWSLogs/{ACCOUNT}/CloudTrail/{region}/{ACCOUNT}_CloudTrail_{region}_20261120T0000Z_{n:016}.json.gz")
    };
    let text = json!({ "Records": trail(4) }).to_string();
    let mut paths = vec![folder.write(&name(0, "eu-west-1"), &text)];
    let gone = folder.write(&name(1, "eu-west-2"), &text);
    paths.push(gone.clone());
    // More problems than are named come before the last place's.
    let noise = json!({ "Records": vec![json!({"eventName": "AssumeRole"}); 300] }).to_string();
    paths.push(folder.write(&name(2, "eu-west-3"), &noise));
    for n in 3..6 {
        paths.push(folder.write(&name(n, "us-east-1"), text.get(..text.len() - 9).unwrap()));
    }
    let mut source = Vanishing(trails::files("v", paths, trails::Limits::default()), vec![gone]);
    let read = ingest::read(
        &database.store,
        RunId(0),
        &mut source,
        rolecall::audit::ingested::FILES,
        now(),
        &Progress::silent(),
    )
    .await
    .unwrap();
    let regions = ["eu-west-1", "eu-west-2", "eu-west-3", "us-east-1"];
    let places = regions.map(|region| (ACCOUNT.parse().unwrap(), region.parse().unwrap())).into();
    let coverage = read.coverage(&places);
    let gaps: Vec<_> = coverage.gaps().map(|gap| (gap.scope.region.as_ref().unwrap().as_str(), &*gap.detail)).collect();
    assert_eq!(gaps.iter().map(|(region, _)| *region).collect::<Vec<_>>(), regions.split_at(1).1, "{gaps:?}");
    assert!(gaps[2].1.ends_with("nor of 2 other files"), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_any_size_is_committed_piece_by_piece_and_is_one_file() {
    let (database, folder) = (database().await.unwrap(), Folder::new());
    let count = 9_000;
    let mut records: Vec<Value> = (0..count).map(pod).collect();
    records.insert(5, json!({"eventName": "AssumeRole"}));
    records.iter_mut().for_each(|record| record["padding"] = "PADDING".into());
    let text = json!({ "Records": records }).to_string().replace("PADDING", &"x".repeat(6_000));
    let path = folder.write("large.json", &text);
    let first = read(&database, "large", vec![path.clone()], 10).await;
    assert_eq!((first.stats.files, first.stats.events, first.stats.malformed), (1, count, 1), "{:?}", first.stats);
    assert_eq!(first.sessions_written, count);
    assert_eq!(first.broken.values().map(|broken| broken.files).sum::<u64>(), 1, "what the first piece lacks is told");
    let second = read(&database, "large", vec![path], 10).await;
    assert_eq!((second.known, second.stats.files, second.sessions_written), (1, 0, 0));
    // Torn off in a later piece: what came before counts, and it is not known as read.
    let incomplete = folder.write("torn.json", text.get(..text.len() - 9).unwrap());
    for _ in 0..2 {
        let again = read(&database, "torn", vec![incomplete.clone()], 10).await;
        assert_eq!((again.known, again.stats.files, again.sessions_written), (0, 1, 0));
        assert_eq!(again.stats.duplicates, count - 1);
    }
}
