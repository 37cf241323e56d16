//! The feed: one order of all that happens, which no reader misses a part of.

use crate::findings::failure;
use crate::fixture::*;
use rolecall_audit::finding::FindingAction;
use rolecall_audit::finding::triage::{Comment, Triage};
use rolecall_rules::Severity;
use rolecall_store::testing::Database;
use rolecall_store::{DoneJudgement, Event, EventSubject, FeedBounds, FeedPart, RunId, RunOutcome, Store, TriagedBy};
use serde_json::json;
use sqlx::Row as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BY: TriagedBy<'static> = TriagedBy { who: "ann", approver_required: false };

async fn judge(store: &Store, run: RunId, names: &[&str]) {
    let actions: Vec<FindingAction> =
        names.iter().map(|name| FindingAction::Open(failure(name, Severity::High, "m"))).collect();
    store.apply(run, &actions, &[], &DoneJudgement::default(), at(1)).await.unwrap();
}

async fn part(store: &Store, after: i64, kinds: &[&str], limit: u32) -> (Vec<Event>, i64, bool) {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    match store.feed(after, &kinds, limit).await.unwrap() {
        FeedPart::Events { events, next, has_more } => (events, next, has_more),
        FeedPart::Gone(bounds) => panic!("{after} is gone: {bounds:?}"),
    }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn comment(words: &str) -> Triage {
    Triage { comment: Some(Comment::new(words).unwrap()), ..Triage::default() }
}

#[tokio::test]
async fn what_happens_comes_in_one_order_and_in_parts() {
    let database = database().await;
    let store = &database.store;
    assert_eq!(store.feed_bounds().await.unwrap(), FeedBounds { begin: 0, end: 0 });
    let run = begin(store, 0).await;
    judge(store, run, &["a", "b"]).await;
    store.finish_run(run, &RunOutcome::Done(json!({}))).await.unwrap();
    store.triage_finding("v1:a", &comment("x"), None, BY).await.unwrap().unwrap();
    let failed = begin(store, 5).await;
    store.finish_run(failed, &RunOutcome::Failed("AWS\0 refuses".to_owned(), json!({}))).await.unwrap();

    let (all, next, has_more) = part(store, 0, &[], 100).await;
    assert_eq!(
        kinds(&all),
        [
            "scan.started",
            "finding.opened",
            "finding.opened",
            "scan.ended",
            "finding.commented",
            "scan.started",
            "scan.ended"
        ]
    );
    assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    assert_eq!((next, has_more), (7, false));
    assert_eq!((&all[0].subject, all[0].run, all[0].account_id), (&EventSubject::Run(run), Some(run), None));
    assert_eq!(all[0].detail, json!({"kind": "scan", "trigger": "test"}));
    assert_eq!((all[1].run, all[1].account_id), (Some(run), Some(account())));
    assert_eq!((all[4].actor.as_str(), &all[4].detail), ("ann", &json!({"comment": "x"})));
    assert_eq!((&all[6].detail["state"], &all[6].detail["error"]), (&json!("failed"), &json!("AWS␀ refuses")));
    // In parts it is the same.
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let (events, next, has_more) = part(store, after, &[], 2).await;
        seen.extend(events);
        after = next;
        if !has_more {
            break;
        }
    }
    assert_eq!((seen, after), (all.clone(), 7));
    // A filter leaves some out, and goes on where everything was looked at.
    let (commented, next, has_more) = part(store, 0, &["finding.commented"], 10).await;
    assert_eq!((commented.as_slice(), next, has_more), (&all[4..5], 7, false));
    assert_eq!(part(store, 5, &["finding.commented"], 10).await, (Vec::new(), 7, false));
    for gone in [-1, 8] {
        assert!(matches!(store.feed(gone, &[], 10).await.unwrap(), FeedPart::Gone(_)), "{gone}");
    }
    // A run of which there is nothing to tell leaves nothing; its number is not given again.
    let empty = begin(store, 9).await;
    store.forget_run(empty).await.unwrap();
    assert_eq!(part(store, 7, &[], 10).await, (Vec::new(), 8, false));
    // What is dropped is told: whoever has read less far begins anew.
    let before = store.now().await.unwrap();
    assert_eq!(store.prune_feed(before).await.unwrap(), 4);
    assert_eq!(store.feed_bounds().await.unwrap(), FeedBounds { begin: 7, end: 8 });
    assert!(matches!(store.feed(6, &[], 10).await.unwrap(), FeedPart::Gone(FeedBounds { begin: 7, end: 8 })));
    assert_eq!(store.prune_feed(before).await.unwrap(), 0);
    assert_eq!(part(store, 7, &[], 10).await, (Vec::new(), 8, false));
}

/// Follows the feed until it is told to stop and has come to its end.
async fn follow(store: Store, done: Arc<AtomicBool>, limit: u32) -> Vec<i64> {
    let (mut read, mut after) = (Vec::new(), 0);
    loop {
        let was_done = done.load(Ordering::SeqCst);
        let (events, next, has_more) = part(&store, after, &[], limit).await;
        read.extend(events.iter().map(|event| event.seq));
        after = next;
        if was_done && !has_more && events.is_empty() {
            return read;
        }
        tokio::task::yield_now().await;
    }
}

async fn told(database: &Database) -> Vec<i64> {
    let mut connection = database.connect().await.unwrap();
    let all = "select change_seq as seq from finding_event union all select seq from event order by 1";
    let rows = sqlx::query(all).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get("seq")).collect()
}

/// Transactions of every sort run beside each other, and some take longer between their number and their commit:
/// with numbers of a sequence, readers would pass those by.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_miss_nothing_while_others_write() {
    const ROUNDS: usize = 25;
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    judge(store, run, &["a", "b", "c"]).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> =
        [1, 3, 50].map(|limit| tokio::spawn(follow(store.clone(), done.clone(), limit))).into_iter().collect();
    let mut writers = Vec::new();
    for name in ["v1:a", "v1:b", "v1:c"] {
        let store = store.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                store.triage_finding(name, &comment(&round.to_string()), None, BY).await.unwrap().unwrap();
            }
        }));
    }
    for _ in 0..2 {
        let store = store.clone();
        writers.push(tokio::spawn(async move {
            for minute in 0..ROUNDS {
                let run = begin(&store, i64::try_from(minute).unwrap()).await;
                store.finish_run(run, &RunOutcome::Done(json!({}))).await.unwrap();
            }
        }));
    }
    // Numbers that are never used: a transaction that is rolled back.
    let mut other = database.connect().await.unwrap();
    writers.push(tokio::spawn(async move {
        for _ in 0..ROUNDS {
            sqlx::raw_sql(
                "begin; update counter set value = value + 5 where name = 'change';
                 select pg_sleep(0.002); rollback;",
            )
            .execute(&mut other)
            .await
            .unwrap();
        }
    }));
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let told = told(&database).await;
    assert_eq!(told, (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(told.len(), 1 + 3 + 3 * ROUNDS + 2 * 2 * ROUNDS);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), told);
    }
}

/// The other way is no way: a reader that goes by numbers given outside the lock passes one by. This is what the test
/// above would find.
#[tokio::test]
async fn a_number_that_is_given_before_its_turn_is_passed_by() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let mut late = database.connect().await.unwrap();
    // What a sequence does: the number is taken, and nothing is locked.
    let late_insert = "begin; insert into event (account_id, seq, at, kind, subject, actor, detail)
        values ('000000000000', 2, now(), 'scan.started', '7', 'late', '{}')";
    sqlx::raw_sql(late_insert).execute(&mut late).await.unwrap();
    let mut connection = database.connect().await.unwrap();
    sqlx::raw_sql("update counter set value = 2 where name = 'change'").execute(&mut connection).await.unwrap();
    store.finish_run(run, &RunOutcome::Done(json!({}))).await.unwrap();
    let (read, next, _) = part(store, 0, &[], 10).await;
    assert_eq!((kinds(&read), next), (vec!["scan.started", "scan.ended"], 3));
    sqlx::raw_sql("commit").execute(&mut late).await.unwrap();
    assert_eq!(part(store, next, &[], 10).await, (Vec::new(), 3, false));
    assert_eq!(part(store, 0, &[], 10).await.0.len(), 3);
}
