//! Trail files from a bucket, a queue and `LookupEvents`, with all that can happen on the way.

use crate::estate::{HUB, WORK, estate, now, sandbox, session_record, settings};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_cloudtrail::change::names_in;
use rolecall_collect::trails::{
    ByQueue, Cursor, Events, FinishedBatch, InBucket, Limits, LookupConfig, Outcome, SetAside, TrailConfig, TrailGap,
    TrailKind, TrailSource, doctor, open,
};
use rolecall_collect::{Answer, Plan, Settings};
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_estate::{CompleteRange, EventScope};
use rolecall_iam::AccountId;
use rolecall_sandbox::change::{ChangeCall, by_role};
use rolecall_sandbox::estate::Event;
use rolecall_sandbox::{Fault, FaultKind, Faults, Options, Sandbox};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const BUCKET: &str = "org-trail";

/// A log file's name: of an account and region, on a day, by a number.
fn name(account: &str, region: &str, day: &str, n: u32) -> String {
    let plain = day.replace('/', "");
    format!("{account}_CloudTrail_{region}_{plain}T{:02}{:02}Z_{n:016}.json.gz", n / 60 % 24, n % 60)
}

pub(crate) fn key(account: &str, region: &str, day: &str, n: u32) -> String {
    format!("AWSLogs/o-exampleorg/{account}/CloudTrail/{region}/{day}/{}", name(account, region, day, n))
}

pub(crate) fn put(sandbox: &Sandbox, key: &str) {
    assert!(sandbox.put_object(BUCKET, key, key.as_bytes()));
}

pub(crate) fn in_bucket() -> InBucket {
    InBucket {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        region: None,
        entry: None,
        regions: BTreeSet::new(),
        lookback: TimeDelta::days(30),
        late_days: 2,
    }
}

pub(crate) fn config(kind: TrailKind, batch_objects: usize) -> TrailConfig {
    TrailConfig { id: "org".to_owned(), kind, limits: Limits { batch_objects, ..Limits::default() } }
}

/// What a consumer keeps: everything of one batch at once, or nothing.
#[derive(Default)]
pub(crate) struct Kept {
    /// Contents, as often as they were counted.
    pub(crate) read: BTreeMap<String, usize>,
    marks: BTreeSet<String>,
    cursors: BTreeMap<(String, String), Cursor>,
    pub(crate) gaps: Vec<TrailGap>,
    set_aside: Vec<SetAside>,
    pub(crate) whole: BTreeMap<(String, String), CompleteRange>,
}

impl Kept {
    pub(crate) fn cursors(&self) -> Vec<Cursor> {
        self.cursors.values().cloned().collect()
    }

    /// Reads until there is nothing more, or stops dead before (`false`) or after (`true`) the
    /// commit of a batch.
    pub(crate) async fn pass(&mut self, source: &mut dyn TrailSource, dies: Option<(usize, bool)>) -> bool {
        self.pass_at(source, now(), dies).await
    }

    pub(crate) async fn pass_at(
        &mut self,
        source: &mut dyn TrailSource,
        now: DateTime<Utc>,
        dies: Option<(usize, bool)>,
    ) -> bool {
        let mut number = 0;
        while let Some(batch) = source.next(now).await {
            number += 1;
            let (mut outcomes, mut contents, mut marks) = (Vec::new(), Vec::new(), Vec::new());
            for object in &batch.objects {
                if object.identity.as_ref().is_some_and(|identity| self.marks.contains(identity)) {
                    outcomes.push(Outcome::Known);
                    continue;
                }
                outcomes.push(match source.fetch(object).await {
                    Err(missed) => Outcome::Missed(missed),
                    Ok(body) if body.starts_with(b"torn") => Outcome::Unreadable("no gzip".to_owned()),
                    Ok(body) => {
                        contents.push(String::from_utf8(body.to_vec()).unwrap());
                        marks.extend(object.identity.clone());
                        Outcome::Read
                    }
                });
            }
            let settlement = source.finish_batch(batch, outcomes);
            if dies == Some((number, false)) {
                return false;
            }
            self.commit(contents, marks, &settlement);
            if dies == Some((number, true)) {
                return false;
            }
            let gaps = source.acknowledge(settlement).await;
            self.gaps.extend(gaps);
        }
        true
    }

    pub(crate) fn commit(&mut self, contents: Vec<String>, marks: Vec<String>, settlement: &FinishedBatch) {
        for content in contents {
            *self.read.entry(content).or_default() += 1;
        }
        self.marks.extend(marks);
        for cursor in &settlement.cursors {
            let stretch = (cursor.account_id.to_string(), cursor.region.to_string());
            self.cursors.insert(stretch, cursor.clone());
        }
        self.marks.extend(settlement.set_aside.iter().filter_map(|aside| aside.identity.clone()));
        self.gaps.extend(settlement.gaps.iter().cloned());
        self.set_aside.extend(settlement.set_aside.iter().cloned());
        let nothing = |account_id: AccountId, region: &Region| CompleteRange {
            source: "org".to_owned(),
            account_id,
            region: region.clone(),
            from: DateTime::UNIX_EPOCH,
            to: DateTime::UNIX_EPOCH,
            event_scope: EventScope::Stated,
            all_regions: false,
        };
        for incomplete in &settlement.incomplete {
            let stretch = (incomplete.account_id.to_string(), incomplete.region.to_string());
            let kept =
                self.whole.remove(&stretch).unwrap_or_else(|| nothing(incomplete.account_id, &incomplete.region));
            self.whole.insert(stretch, kept.without(incomplete.day));
        }
        for told in &settlement.complete_ranges {
            let stretch = (told.account_id.to_string(), told.region.to_string());
            let kept = self.whole.remove(&stretch).unwrap_or_else(|| nothing(told.account_id, &told.region));
            self.whole.insert(stretch, kept.then(told.clone()));
        }
    }

    fn assert_read_once(&self, keys: &BTreeSet<String>) {
        assert_eq!(self.read.keys().cloned().collect::<BTreeSet<_>>(), *keys);
        assert!(self.read.values().all(|times| *times == 1), "{:?}", self.read);
    }
}

pub(crate) async fn opened(sandbox: &Sandbox, trail: &TrailConfig, cursors: Vec<Cursor>) -> Box<dyn TrailSource> {
    open(&Plan::new(settings(sandbox)).unwrap(), trail, cursors).await.unwrap()
}

/// A bucket with files of two accounts and three ranges, and with what is to be passed over.
pub(crate) fn filled(sandbox: &Sandbox) -> BTreeSet<String> {
    sandbox.make_bucket(BUCKET, "eu-west-1");
    let mut keys = BTreeSet::new();
    for (account, region) in [(HUB, "us-east-1"), (WORK, "us-east-1"), (WORK, "eu-west-1")] {
        for day in ["2026/11/20", "2026/11/22", "2026/11/23"] {
            keys.extend((0..5).map(|n| key(account, region, day, n * 7)));
        }
    }
    for key in &keys {
        put(sandbox, key);
    }
    put(sandbox, &key(WORK, "eu-west-1", "2026/10/01", 1));
    put(
        sandbox,
        &format!(
            "AWSLogs/o-exampleorg/{WORK}/CloudTrail-Digest/eu-west-1/2026/11/23/{WORK}_CloudTrail-Digest_eu-west-1_t_eu-west-1_20261123T000000Z.json.gz"
        ),
    );
    put(sandbox, &format!("AWSLogs/o-exampleorg/{WORK}/CloudTrail/eu-west-1/2026/11/23/README"));
    put(sandbox, "elsewhere/x.json.gz");
    keys
}

#[tokio::test]
async fn a_bucket_is_read_once_over_any_page_size_and_again_for_the_price_of_the_listing() {
    for (page, batch) in [(1000, 500), (2, 4), (1, 1)] {
        let sandbox = sandbox().await;
        let keys = filled(&sandbox);
        sandbox.faults().inject(Fault::page_size("s3:ListBucket", page));
        let mut kept = Kept::default();
        let trail = config(TrailKind::Bucket(in_bucket()), batch);
        let mut source = opened(&sandbox, &trail, Vec::new()).await;
        assert!(kept.pass(source.as_mut(), None).await);
        kept.assert_read_once(&keys);
        assert_eq!(kept.gaps, []);
        let progress = source.progress();
        assert_eq!((progress.fetched, progress.ignored), (keys.len() as u64, 1));
        assert_eq!(progress.newest.unwrap().to_rfc3339(), "2026-11-23T00:28:00+00:00");

        // The same source again, and one that begins where the cursors are.
        for again in [false, true] {
            if again {
                source = opened(&sandbox, &trail, kept.cursors()).await;
            }
            sandbox.reset_calls();
            assert!(kept.pass(source.as_mut(), None).await);
            kept.assert_read_once(&keys);
            assert_eq!(sandbox.calls().of("s3:GetObject"), 0);
            if page == 1000 {
                // The root, the organisation, two accounts, three ranges and the oldest file of each; and a
                // new source asks first in the hub's own region, where the bucket is not.
                assert_eq!(sandbox.calls().of("s3:ListBucket"), 10 + u64::from(again));
            }
        }
        assert!(
            kept.cursors().iter().all(|cursor| cursor.from_day == "2026-11-21".parse().ok()),
            "{:?}",
            kept.cursors()
        );
    }
}

#[tokio::test]
async fn a_crash_at_any_point_changes_nothing_of_what_is_counted() {
    for after_commit in [false, true] {
        for dies in [1, 2, 7, 11, 12] {
            let sandbox = sandbox().await;
            let keys = filled(&sandbox);
            let trail = config(TrailKind::Bucket(in_bucket()), 4);
            let mut kept = Kept::default();
            let mut source = opened(&sandbox, &trail, Vec::new()).await;
            assert!(!kept.pass(source.as_mut(), Some((dies, after_commit))).await);
            let mut source = opened(&sandbox, &trail, kept.cursors()).await;
            assert!(kept.pass(source.as_mut(), None).await);
            kept.assert_read_once(&keys);
        }
    }
}

#[tokio::test]
async fn late_files_of_the_last_days_are_found_and_older_ones_are_not_looked_for() {
    let sandbox = sandbox().await;
    let mut keys = filled(&sandbox);
    let trail = config(TrailKind::Bucket(in_bucket()), 500);
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    let late = key(WORK, "eu-west-1", "2026/11/21", 3);
    let fresh = key(WORK, "eu-west-1", "2026/11/24", 3);
    let new_region = key(WORK, "sa-east-1", "2026/11/01", 3);
    for key in [&late, &fresh, &new_region] {
        put(&sandbox, key);
        keys.insert(key.clone());
    }
    put(&sandbox, &key(WORK, "eu-west-1", "2026/11/19", 9));
    let mut source = opened(&sandbox, &trail, kept.cursors()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
}

#[tokio::test]
async fn only_the_regions_asked_for_are_listed() {
    let sandbox = sandbox().await;
    let keys = filled(&sandbox);
    let only = InBucket { regions: ["us-east-1".parse().unwrap()].into(), ..in_bucket() };
    let mut source = opened(&sandbox, &config(TrailKind::Bucket(only), 500), Vec::new()).await;
    let mut kept = Kept::default();
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys.into_iter().filter(|key| key.contains("/us-east-1/")).collect());
}

#[tokio::test]
async fn a_file_that_was_missed_holds_its_stretch_and_is_read_later() {
    let sandbox = sandbox().await;
    let keys = filled(&sandbox);
    sandbox.faults().inject(Fault::deny("kms:Decrypt").times(1));
    let trail = config(TrailKind::Bucket(in_bucket()), 500);
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    let [gap] = kept.gaps.as_slice() else { panic!("{:?}", kept.gaps) };
    assert_eq!((gap.action.as_str(), gap.reason), ("kms:Decrypt", GapReason::Denied));
    assert!(gap.location.starts_with("s3://org-trail/AWSLogs/") && gap.region.is_some());
    assert_eq!((kept.read.len(), kept.cursors.len()), (keys.len() - 1, 2), "the stretch of the missed file stays");

    let mut source = opened(&sandbox, &trail, kept.cursors()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
    assert_eq!(kept.cursors.len(), 3);
}

#[tokio::test]
async fn what_is_refused_is_a_gap_that_names_its_action_and_the_rest_is_read() {
    let sandbox = sandbox().await;
    let keys = filled(&sandbox);
    for action in ["s3:ListBucket", "s3:GetObject"] {
        sandbox.faults().clear();
        sandbox.faults().deny(action);
        let mut kept = Kept::default();
        let mut source = opened(&sandbox, &config(TrailKind::Bucket(in_bucket()), 500), Vec::new()).await;
        assert!(kept.pass(source.as_mut(), None).await);
        assert!(
            !kept.gaps.is_empty()
                && kept.gaps.iter().all(|gap| gap.action == action && gap.reason == GapReason::Denied)
        );
        assert!(kept.read.is_empty() && kept.cursors.is_empty());
    }
    // One listing of many, torn: the others are read, and the torn one next time.
    sandbox.faults().clear();
    let mut kept = Kept::default();
    let trail = config(TrailKind::Bucket(in_bucket()), 500);
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    source.next(now()).await.unwrap();
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    sandbox.faults().inject(Fault::page_size("s3:ListBucket", 1));
    sandbox.faults().inject(Fault::new(FaultKind::CutBody, "s3:ListBucket").times(1));
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), kept.gaps[0].reason), (1, GapReason::Malformed), "{:?}", kept.gaps);
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
}

#[tokio::test]
async fn an_object_that_broke_off_is_fetched_again() {
    let sandbox = sandbox().await;
    let keys = filled(&sandbox);
    sandbox.faults().inject(Fault::new(FaultKind::CutBody, "s3:GetObject").times(2));
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &config(TrailKind::Bucket(in_bucket()), 500), Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
    assert_eq!(kept.gaps, []);
}

#[tokio::test]
async fn an_object_that_is_gone_or_unreadable_is_set_aside_once_and_holds_nothing_up() {
    let sandbox = sandbox().await;
    let mut keys = filled(&sandbox);
    let incomplete = key(WORK, "us-east-1", "2026/11/22", 999);
    sandbox.put_object(BUCKET, &incomplete, b"torn");
    let gone = key(HUB, "us-east-1", "2026/11/22", 0);
    let trail = config(TrailKind::Bucket(in_bucket()), 500);
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    let mut kept = Kept::default();
    let batch = source.next(now()).await.unwrap();
    sandbox.remove_object(BUCKET, &gone);
    keys.remove(&gone);
    let mut outcomes = Vec::new();
    for object in &batch.objects {
        outcomes.push(match source.fetch(object).await {
            Err(missed) => {
                assert!(missed.gone);
                Outcome::Missed(missed)
            }
            Ok(body) if body.starts_with(b"torn") => Outcome::Unreadable("no gzip".to_owned()),
            Ok(_) => Outcome::Read,
        });
    }
    let settlement = source.finish_batch(batch, outcomes);
    kept.commit(Vec::new(), Vec::new(), &settlement);
    let aside: BTreeSet<&str> = kept.set_aside.iter().map(|aside| aside.id.as_str()).collect();
    assert_eq!(aside, [format!("s3://{BUCKET}/{gone}").as_str(), &format!("s3://{BUCKET}/{incomplete}")].into());
    assert!(kept.gaps.is_empty() && kept.cursors.len() == 3);
    let mut source = opened(&sandbox, &trail, kept.cursors()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!(kept.set_aside.len(), 2, "a mark keeps it from coming again");
}

#[tokio::test]
async fn a_bucket_without_a_trail_is_no_empty_trail() {
    let sandbox = sandbox().await;
    sandbox.make_bucket(BUCKET, "us-east-1");
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &config(TrailKind::Bucket(in_bucket()), 500), Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), kept.gaps[0].reason), (1, GapReason::NotProvided));
}

fn by_queue(url: &str) -> ByQueue {
    ByQueue {
        url: url.to_owned(),
        bucket: BUCKET.to_owned(),
        region: None,
        entry: None,
        wait: Duration::ZERO,
        visibility: Duration::from_secs(600),
        max_receives: 2,
    }
}

fn told_of(key: &str) -> Value {
    let encoded = key.replace('=', "%3D");
    json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "awsRegion": "eu-west-1",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": encoded, "size": key.len()}}}]})
}

fn queued(sandbox: &Sandbox) -> (String, BTreeSet<String>) {
    let keys = filled(sandbox);
    let url = sandbox.make_queue(WORK, "trail", Duration::from_secs(30));
    for (n, key) in keys.iter().enumerate() {
        let told = told_of(key);
        let body = match n % 3 {
            0 => told.to_string(),
            1 => json!({"Type": "Notification", "Message": told.to_string()}).to_string(),
            _ => json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {
                "bucket": {"name": BUCKET}, "object": {"key": key, "size": key.len()}}})
            .to_string(),
        };
        assert!(sandbox.send_message(&url, &body));
    }
    (url, keys)
}

#[tokio::test]
async fn a_queue_is_read_to_its_end_and_emptied() {
    let sandbox = sandbox().await;
    let (url, keys) = queued(&sandbox);
    sandbox.send_message(&url, &json!({"Service": "Amazon S3", "Event": "s3:TestEvent"}).to_string());
    let digest = told_of("AWSLogs/1/x_CloudTrail-Digest_eu-west-1_t_eu-west-1_20261123T000000Z.json.gz");
    sandbox.send_message(&url, &digest.to_string());
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &config(TrailKind::Queue(by_queue(&url)), 20), Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
    assert_eq!(sandbox.messages(&url), (0, 0));
    let progress = source.progress();
    assert_eq!((progress.ignored, progress.waiting, progress.set_aside), (1, Some(0), 0));
    assert_eq!((kept.gaps, kept.set_aside), (vec![], vec![]));
    assert!(kept.whole.is_empty(), "a queue does not say what it never told of");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_is_counted_once() {
    for after_commit in [false, true] {
        let sandbox = sandbox().await;
        let (url, keys) = queued(&sandbox);
        let trail = config(TrailKind::Queue(by_queue(&url)), 10);
        let mut kept = Kept::default();
        for dies in [1, 2, 3] {
            let mut source = opened(&sandbox, &trail, Vec::new()).await;
            assert!(!kept.pass(source.as_mut(), Some((dies, after_commit))).await);
            drop(source);
            sandbox.lapse_visibility(&url);
        }
        let mut source = opened(&sandbox, &trail, Vec::new()).await;
        assert!(kept.pass(source.as_mut(), None).await);
        kept.assert_read_once(&keys);
        assert_eq!(sandbox.messages(&url), (0, 0));
    }
}

#[tokio::test]
async fn a_message_that_nothing_helps_is_shown_and_then_deleted() {
    let sandbox = sandbox().await;
    sandbox.make_bucket(BUCKET, "us-east-1");
    let url = sandbox.make_queue(WORK, "trail", Duration::from_secs(30));
    let incomplete = key(WORK, "eu-west-1", "2026/11/23", 1);
    sandbox.put_object(BUCKET, &incomplete, b"torn");
    let mut elsewhere = told_of(&incomplete);
    elsewhere["Records"][0]["s3"]["bucket"]["name"] = json!("somebody-elses");
    let mut unread = told_of(&incomplete);
    unread["Records"][0]["s3"]["object"]["size"] = json!(4);
    let bodies = [
        "{\"key\": \"ASIAABCDEFGHIJKLMNOP\"".to_owned(),
        elsewhere.to_string(),
        told_of(&key(WORK, "eu-west-1", "2026/11/23", 2)).to_string(),
        unread.to_string(),
    ];
    for body in &bodies {
        sandbox.send_message(&url, body);
    }
    let trail = config(TrailKind::Queue(by_queue(&url)), 20);
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(!kept.pass(source.as_mut(), Some((1, false))).await);
    assert_eq!(sandbox.messages(&url), (0, 4), "nothing is deleted that was not stored");
    drop(source);
    sandbox.lapse_visibility(&url);

    // The second receipt is the last for a file that cannot be read.
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!(sandbox.messages(&url), (0, 0));
    assert_eq!(kept.set_aside.len(), 4, "{:?}", kept.set_aside);
    assert_eq!(source.progress().set_aside, 4);
    let why = |part: &str| kept.set_aside.iter().filter(|aside| aside.reason.contains(part)).count();
    for part in ["not JSON", "`somebody-elses`", "NoSuchKey", "no gzip"] {
        assert_eq!(why(part), 1, "{part}: {:?}", kept.set_aside);
    }
    assert!(kept.set_aside.iter().all(|aside| aside.received == 2 && !aside.excerpt.contains("ASIA")));
}

#[tokio::test]
async fn a_refused_object_keeps_its_message_and_a_refused_queue_is_a_gap() {
    let sandbox = sandbox().await;
    let (url, keys) = queued(&sandbox);
    let trail = config(TrailKind::Queue(by_queue(&url)), 100);
    let mut kept = Kept::default();
    sandbox.faults().inject(Fault::deny("s3:GetObject").times(1));
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), kept.gaps[0].action.as_str()), (1, "s3:GetObject"));
    assert_eq!(sandbox.messages(&url), (0, 1));
    drop(source);
    sandbox.lapse_visibility(&url);

    sandbox.faults().deny("sqs:ReceiveMessage");
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await, "a refusal ends the pass");
    assert_eq!((kept.gaps.len(), kept.gaps[1].action.as_str()), (2, "sqs:ReceiveMessage"));
    sandbox.faults().clear();
    sandbox.faults().inject(Fault::deny("sqs:DeleteMessage").times(1));
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), kept.gaps[2].action.as_str()), (3, "sqs:DeleteMessage"));
    sandbox.lapse_visibility(&url);
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
    assert_eq!(sandbox.messages(&url), (0, 0));
}

#[tokio::test]
async fn a_message_in_work_is_kept_and_one_that_was_let_go_is_not() {
    let sandbox = sandbox().await;
    let (url, keys) = queued(&sandbox);
    let quick = ByQueue { visibility: Duration::from_secs(3), ..by_queue(&url) };
    let mut source = opened(&sandbox, &config(TrailKind::Queue(quick), 100), Vec::new()).await;
    let batch = source.next(now()).await.unwrap();
    assert_eq!(batch.objects.len(), keys.len());
    // Its time would be up more than once.
    while sandbox.calls().of("sqs:ChangeMessageVisibility") < 6 * 5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sandbox.messages(&url), (0, keys.len()));
    drop(batch);
    while sandbox.messages(&url).0 < keys.len() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_queue_is_waited_for() {
    let sandbox = Arc::new(sandbox().await);
    sandbox.make_bucket(BUCKET, "us-east-1");
    let url = sandbox.make_queue(WORK, "trail", Duration::from_secs(30));
    let patient = ByQueue { wait: Duration::from_secs(20), ..by_queue(&url) };
    let mut source = opened(&sandbox, &config(TrailKind::Queue(patient), 100), Vec::new()).await;
    let (later, to) = (sandbox.clone(), url.clone());
    tokio::spawn(async move {
        while later.calls().of("sqs:ReceiveMessage") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        later.send_message(&to, &told_of(&key(WORK, "eu-west-1", "2026/11/23", 1)).to_string());
    });
    assert_eq!(source.next(now()).await.unwrap().objects.len(), 1);
}

/// Sessions in WORK's `eu-west-1`: `n` of them, one every `apart`, the last half an hour ago.
pub(crate) fn with_sessions(n: i64, apart: TimeDelta) -> rolecall_sandbox::Estate {
    let mut estate = estate();
    let events = &mut estate.accounts.get_mut(WORK).unwrap().region("eu-west-1").events;
    events.clear();
    events.extend((0..n).map(|i| event(i, now() - TimeDelta::minutes(45) - apart * i32::try_from(i).unwrap())));
    estate
}

fn event(i: i64, at: DateTime<Utc>) -> Arc<Event> {
    let id = format!("00000000-0000-4000-8000-{i:012}");
    let name = ["AssumeRole", "AssumeRoleForPodIdentity", "AssumeRoleWithWebIdentity"][usize::try_from(i % 3).unwrap()];
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Arc::new(Event::of_record(&session_record(&id, "eu-west-1", &at, name)).unwrap())
}

pub(crate) fn looked(lookback: TimeDelta) -> TrailConfig {
    let places = [(WORK.parse().unwrap(), "eu-west-1".parse().unwrap())].into();
    config(
        TrailKind::Lookup(LookupConfig { places, events: Events::Sessions, lookback, overlap: TimeDelta::minutes(30) }),
        500,
    )
}

pub(crate) fn fast(sandbox: &Sandbox) -> Plan {
    Plan::new(Settings { lookups_per_second: 1000, ..settings(sandbox) }).unwrap()
}

#[tokio::test]
async fn changes_are_looked_up_by_name_and_iams_where_they_are_recorded() {
    let at = now() - TimeDelta::hours(5);
    let call = |service: &'static str, operation: &'static str, region: &'static str| ChangeCall {
        service,
        operation,
        input: json!({"RoleName": "api", "clusterName": "shop"}),
        output: Value::Null,
        at,
        account: WORK,
        region,
        by: by_role(&format!("arn:aws:iam::{WORK}:role/deployer"), "ana", at),
        address: "198.51.100.7",
        user_agent: "aws-cli/2.17.0",
        from_console: false,
        error: None,
    };
    let cases = [
        ("iam", "PutRolePolicy", "us-east-1", true),
        ("organizations", "MoveAccount", "us-east-1", true),
        ("eks", "CreatePodIdentityAssociation", "eu-west-1", true),
        ("cloudtrail", "StopLogging", "eu-west-1", true),
        ("iam", "GetRole", "us-east-1", false),
        ("eks", "DescribeCluster", "eu-west-1", false),
    ];
    let mut estate = with_sessions(3, TimeDelta::minutes(5));
    let mut expected = BTreeSet::new();
    for (service, operation, region, is_change) in cases {
        let event = Event::of_record(&call(service, operation, region).record()).unwrap();
        if is_change {
            expected.insert(event.id.clone());
        }
        estate.accounts.get_mut(WORK).unwrap().region(region).events.push(Arc::new(event));
    }
    let options = Options { now: Some(now()), lookups_per_second: None, ..Options::default() };
    let sandbox = Sandbox::start_with(estate, Faults::none(), options).await.unwrap();
    let mut trail = looked(TimeDelta::days(4));
    let names = |region: &str| u64::try_from(names_in(&region.parse().unwrap()).count()).unwrap();
    // A window of a day and one of the other three, however many names are asked for.
    let requests = [2 * 3, 2 * (3 + names("eu-west-1") + names("us-east-1"))];
    for ((events, changes), requests) in
        [(Events::Sessions, BTreeSet::new()), (Events::Changes, expected)].into_iter().zip(requests)
    {
        if let TrailKind::Lookup(looked) = &mut trail.kind {
            looked.events = events;
        }
        let mut kept = Kept::default();
        let mut source = open(&fast(&sandbox), &trail, Vec::new()).await.unwrap();
        let before = sandbox.calls().of("cloudtrail:LookupEvents");
        assert!(kept.pass(source.as_mut(), None).await);
        assert_eq!(sandbox.calls().of("cloudtrail:LookupEvents") - before, requests, "{events:?}");
        // Of the region where IAM's changes alone are asked for, nothing is complete.
        let whole: Vec<_> =
            kept.whole.values().map(|whole| (whole.region.to_string(), whole.event_scope.clone())).collect();
        assert_eq!(whole, [("eu-west-1".to_owned(), EventScope::Sessions)]);
        let (sessions, found): (BTreeSet<String>, BTreeSet<String>) =
            ids(&kept).into_iter().partition(|id| id.starts_with("00000000-0000-4000-8000-"));
        assert_eq!((sessions.len(), found), (3, changes), "{events:?}");
        assert_eq!(kept.gaps, []);
    }
}

/// Event ids of all answers that were read, as often as they were.
fn ids(kept: &Kept) -> Vec<String> {
    let of_answer = |text: &String| {
        let answer: Value = serde_json::from_str(text).unwrap();
        let ids = answer["Events"].as_array().unwrap().iter().map(|event| {
            let record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
            assert_eq!(record["eventID"], event["EventId"]);
            event["EventId"].as_str().unwrap().to_owned()
        });
        ids.collect::<Vec<_>>()
    };
    kept.read.iter().flat_map(|(text, times)| vec![of_answer(text); *times].concat()).collect()
}

#[tokio::test]
async fn lookups_under_throttling_lose_nothing() {
    let options = Options { now: Some(now()), lookups_per_second: NonZeroU32::new(40), ..Options::default() };
    let estate = with_sessions(400, TimeDelta::minutes(15));
    let sandbox = Sandbox::start_with(estate, Faults::none(), options).await.unwrap();
    // Asked more than twice as fast as is allowed, with some throttling on top, and with little patience
    // in the SDK, so that the source's own is needed, too.
    sandbox.faults().inject(Fault::throttle("cloudtrail:LookupEvents").times(4));
    let plan = Plan::new(Settings { lookups_per_second: 100, attempts: 2, ..settings(&sandbox) }).unwrap();
    let mut source = open(&plan, &looked(TimeDelta::days(6)), Vec::new()).await.unwrap();
    let mut kept = Kept::default();
    let mut passes = 0;
    loop {
        kept.gaps.clear();
        assert!(kept.pass(source.as_mut(), None).await);
        passes += 1;
        if kept.gaps.is_empty() {
            break;
        }
        assert!(passes < 20 && kept.gaps.iter().all(|gap| gap.reason == GapReason::Throttled), "{:?}", kept.gaps);
        source = open(&plan, &looked(TimeDelta::days(6)), kept.cursors()).await.unwrap();
    }
    assert_eq!(ids(&kept).into_iter().collect::<BTreeSet<_>>().len(), 400);
}

#[tokio::test]
async fn a_lookup_goes_on_from_its_cursor_less_the_overlap() {
    let sandbox = Sandbox::start_with(
        with_sessions(40, TimeDelta::hours(1)),
        Faults::none(),
        Options { now: Some(now()), lookups_per_second: None, ..Options::default() },
    )
    .await
    .unwrap();
    let plan = fast(&sandbox);
    let mut kept = Kept::default();
    let mut source = open(&plan, &looked(TimeDelta::days(3)), Vec::new()).await.unwrap();
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!(ids(&kept).len(), 40);
    let [cursor] = &kept.cursors()[..] else { panic!("{:?}", kept.cursors) };
    assert_eq!(cursor.position, "2026-11-23T11:30:00Z");
    assert_eq!(source.progress().newest, Some(now() - TimeDelta::minutes(30)));

    // Late ones, one of them within the overlap, and nothing older is asked for again.
    sandbox.mutate(|estate| {
        let events = &mut estate.accounts.get_mut(WORK).unwrap().region("eu-west-1").events;
        events.push(event(1000, now() - TimeDelta::minutes(20)));
        events.push(event(1001, now() - TimeDelta::minutes(40)));
    });
    let mut again = Kept { cursors: kept.cursors.clone(), ..Kept::default() };
    let mut source = open(&plan, &looked(TimeDelta::days(3)), kept.cursors()).await.unwrap();
    assert!(again.pass(source.as_mut(), None).await);
    assert_eq!(ids(&again), ["00000000-0000-4000-8000-000000001000"]);
}

#[tokio::test]
async fn a_lookup_that_dies_or_is_refused_loses_nothing() {
    let options = Options { now: Some(now()), lookups_per_second: None, ..Options::default() };
    let sandbox =
        Sandbox::start_with(with_sessions(600, TimeDelta::minutes(5)), Faults::none(), options).await.unwrap();
    let plan = fast(&sandbox);
    let trail = TrailConfig { limits: Limits { batch_objects: 2, ..Limits::default() }, ..looked(TimeDelta::days(4)) };
    for dies in 1..6 {
        let mut kept = Kept::default();
        let mut source = open(&plan, &trail, Vec::new()).await.unwrap();
        assert!(!kept.pass(source.as_mut(), Some((dies, dies % 2 == 0))).await);
        let mut source = open(&plan, &trail, kept.cursors()).await.unwrap();
        assert!(kept.pass(source.as_mut(), None).await);
        assert_eq!(ids(&kept).into_iter().collect::<BTreeSet<_>>().len(), 600);
    }
    let mut kept = Kept::default();
    let mut source = open(&plan, &trail, Vec::new()).await.unwrap();
    assert!(!kept.pass(source.as_mut(), Some((3, true))).await);
    sandbox.faults().inject(Fault::deny("cloudtrail:LookupEvents").times(1));
    assert!(kept.pass(source.as_mut(), None).await);
    let [gap] = kept.gaps.as_slice() else { panic!("{:?}", kept.gaps) };
    assert_eq!((gap.action.as_str(), gap.reason), ("cloudtrail:LookupEvents", GapReason::Denied));
    assert_eq!(gap.account_id.map(|id| id.to_string()).as_deref(), Some(WORK));
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!(ids(&kept).into_iter().collect::<BTreeSet<_>>().len(), 600);
}

#[tokio::test]
async fn an_account_that_cannot_be_entered_is_a_gap_of_its_lookups() {
    let sandbox = sandbox().await;
    sandbox.faults().deny_in("sts:AssumeRole", WORK);
    let mut source = open(&fast(&sandbox), &looked(TimeDelta::days(1)), Vec::new()).await.unwrap();
    let mut kept = Kept::default();
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), kept.gaps[0].action.as_str()), (1, "sts:AssumeRole"));
}

#[tokio::test]
async fn a_role_for_the_trail_is_used_and_one_that_is_refused_is_a_gap() {
    let sandbox = sandbox().await;
    let keys = filled(&sandbox);
    let entry = rolecall_collect::trails::Entry {
        role_arn: format!("arn:aws:iam::{WORK}:role/RolecallReadOnly").parse().unwrap(),
        external_id: None,
    };
    let trail = config(TrailKind::Bucket(InBucket { entry: Some(entry), ..in_bucket() }), 500);
    let mut kept = Kept::default();
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    kept.assert_read_once(&keys);
    assert_eq!(sandbox.calls().in_account(WORK, "s3:GetObject"), keys.len() as u64);
    sandbox.faults().deny("sts:AssumeRole");
    let mut source = opened(&sandbox, &trail, Vec::new()).await;
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), kept.gaps[0].action.as_str()), (1, "sts:AssumeRole"));
}

#[tokio::test]
async fn the_doctor_finds_what_a_trail_lacks() {
    let sandbox = sandbox().await;
    let (url, _) = queued(&sandbox);
    let trails = [config(TrailKind::Bucket(in_bucket()), 1), config(TrailKind::Queue(by_queue(&url)), 1)];
    let plan = Plan::new(settings(&sandbox)).unwrap();
    let failed = |probes: Vec<rolecall_collect::Probe>| {
        let failed = probes.into_iter().filter(|probe| matches!(probe.answer, Answer::Failed { .. }));
        failed.map(|probe| probe.permission.action).collect::<BTreeSet<_>>()
    };
    assert_eq!(failed(doctor(&plan, &trails).await.unwrap()), BTreeSet::new());
    for permission in rolecall_collect::actions() {
        if permission.holder == rolecall_collect::Holder::Trails {
            sandbox.faults().clear();
            sandbox.faults().deny(permission.action);
            assert_eq!(failed(doctor(&plan, &trails).await.unwrap()), [permission.action].into());
        }
    }
}
