//! The queue between replicas.

use crate::fixture::*;
use rolecall_store::{JobState, Limits, NewJob, RunId, Store, TakenBack};
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn job(key: &str, max_attempts: u16) -> NewJob {
    NewJob {
        kind: "scan".into(),
        dedupe_key: key.into(),
        payload: json!({"key": key}),
        priority: 0,
        delay: Duration::ZERO,
        max_attempts,
    }
}

async fn claim(store: &Store, owner: &str, lease: Duration) -> Option<rolecall_store::Job> {
    store.claim_job(&["scan".to_owned()], owner, lease).await.unwrap()
}

#[tokio::test]
async fn two_claimers_never_get_the_same_job() {
    let database = database().await;
    for n in 0..40 {
        database.store.enqueue(&job(&n.to_string(), 1)).await.unwrap().unwrap();
    }
    let claimers = (0..6).map(|n| {
        let store = database.store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            while let Some(job) = claim(&store, &format!("worker-{n}"), MINUTE).await {
                mine.push(job.id);
            }
            mine
        })
    });
    let mut all = Vec::new();
    for claimer in claimers.collect::<Vec<_>>() {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 40);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

#[tokio::test]
async fn a_slot_starts_one_job_in_the_whole_fleet() {
    let database = database().await;
    let store = &database.store;
    let claims = (0..5).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.claim_slot("audit", at(0), &job("audit", 1)).await.unwrap() })
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        won += usize::from(claim.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
    assert_eq!(store.last_slot("audit").await.unwrap(), Some(at(0)));
    // The job of the slot before still waits: the slot is used up all the same.
    assert_eq!(store.claim_slot("audit", at(60), &job("audit", 1)).await.unwrap(), None);
    assert_eq!(store.last_slot("audit").await.unwrap(), Some(at(60)));
    assert_eq!(store.jobs(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_whose_lease_ran_out_goes_to_another_and_the_first_is_fenced_off() {
    let database = database().await;
    let store = &database.store;
    store.enqueue(&job("a", 2)).await.unwrap().unwrap();
    let first = claim(store, "one", Duration::ZERO).await.unwrap();
    let second = claim(store, "two", MINUTE).await.unwrap();
    assert_eq!((second.id, second.attempt), (first.id, 2));
    assert!(!store.renew_job(&first, MINUTE).await.unwrap());
    assert!(!store.finish_job(&first, Ok(()), MINUTE).await.unwrap());
    assert!(store.renew_job(&second, Duration::ZERO).await.unwrap());
    // Its tries are used up.
    assert_eq!(claim(store, "three", MINUTE).await, None);
    assert_eq!(store.jobs(10).await.unwrap()[0].state, JobState::Failed);
}

#[tokio::test]
async fn a_failed_try_waits_and_is_tried_again_until_the_tries_are_used_up() {
    let database = database().await;
    let store = &database.store;
    store.enqueue(&job("a", 2)).await.unwrap().unwrap();
    assert_eq!(store.enqueue(&job("a", 2)).await.unwrap(), None);
    let first = claim(store, "one", MINUTE).await.unwrap();
    assert_eq!(first.payload, json!({"key": "a"}));
    assert!(store.finish_job(&first, Err("throttled"), Duration::ZERO).await.unwrap());
    let second = claim(store, "one", MINUTE).await.unwrap();
    assert!(store.release_job(&second).await.unwrap());
    let third = claim(store, "one", MINUTE).await.unwrap();
    assert_eq!(third.attempt, 2);
    assert!(store.finish_job(&third, Err("throttled"), Duration::ZERO).await.unwrap());
    let ended = store.jobs(10).await.unwrap().remove(0);
    assert_eq!((ended.state, ended.error.as_deref()), (JobState::Failed, Some("throttled")));
    // Ended, so the key is free again.
    assert!(store.enqueue(&job("a", 2)).await.unwrap().is_some());
    let done = claim(store, "one", MINUTE).await.unwrap();
    assert!(store.finish_job(&done, Ok(()), MINUTE).await.unwrap());
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    assert_eq!(store.prune_jobs(tomorrow).await.unwrap(), 2);
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let database = database().await;
    let store = &database.store;
    assert!(store.hold_lease("audit", "one", MINUTE).await.unwrap());
    assert!(!store.hold_lease("audit", "two", MINUTE).await.unwrap());
    assert!(store.hold_lease("audit", "one", MINUTE).await.unwrap());
    store.release_lease("audit", "two").await.unwrap();
    assert!(!store.hold_lease("audit", "two", MINUTE).await.unwrap());
    store.release_lease("audit", "one").await.unwrap();
    assert!(store.hold_lease("audit", "two", Duration::ZERO).await.unwrap());
    assert!(store.hold_lease("audit", "one", MINUTE).await.unwrap());
}

/// Notes things as they are noted while the clock is ahead by so many days.
async fn ahead(database: &rolecall_store::testing::Database, days: u32, sql: &str) {
    let sql = sql.replace("now()", &format!("(now() + interval '{days} days')"));
    sqlx::query(AssertSqlSafe(sql)).execute(&mut database.connect().await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_slot_that_is_still_to_come_neither_blocks_nor_counts() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    let (past, to_come) = (now - chrono::TimeDelta::hours(1), now + chrono::TimeDelta::days(30));
    assert_eq!(store.claim_slot("audit", to_come, &job("a", 1)).await.unwrap(), None, "nobody can claim it");
    assert_eq!(store.last_slot("audit").await.unwrap(), None);
    ahead(&database, 30, "insert into schedule_slot (name, slot, claimed_at) values ('audit', now(), now())").await;
    assert_eq!(store.last_slot("audit").await.unwrap(), None);
    assert!(store.claim_slot("audit", past, &job("a", 1)).await.unwrap().is_some());
    let claimed = store.last_slot("audit").await.unwrap().unwrap();
    assert!((claimed - past).abs() < chrono::TimeDelta::milliseconds(1));
    // When its day comes, the slot is free.
    let back = store.take_back(MINUTE, MINUTE).await.unwrap();
    assert_eq!(back, TakenBack { slots: 1, jobs: 0, leases: 0 });
    assert_eq!(store.last_slot("audit").await.unwrap(), Some(claimed));
    assert_eq!(store.take_back(MINUTE, MINUTE).await.unwrap(), TakenBack::default());
}

#[tokio::test]
async fn jobs_and_leases_of_a_clock_that_ran_ahead_are_taken_back() {
    let database = database().await;
    let store = &database.store;
    let put_off = NewJob { delay: MINUTE, ..job("put off", 1) };
    for job in [job("waits", 1), job("held", 2), put_off] {
        store.enqueue(&job).await.unwrap().unwrap();
    }
    let of = |key: &str| format!("where dedupe_key = '{key}'");
    ahead(&database, 30, &format!("update job set run_at = now(), created_at = now() {}", of("waits"))).await;
    let held = claim(store, "one", MINUTE).await.unwrap();
    assert_eq!(held.dedupe_key, "held");
    ahead(&database, 30, &format!("update job set lease_until = now() {}", of("held"))).await;
    let run = begin(store, 0).await;
    ahead(&database, 30, "update run set lease_until = now()").await;
    assert_eq!(claim(store, "two", MINUTE).await, None, "nothing is due for a month");

    let back = store.take_back(MINUTE, Duration::ZERO).await.unwrap();
    assert_eq!(back, TakenBack { slots: 0, jobs: 1, leases: 2 });
    let due = [claim(store, "two", MINUTE).await.unwrap(), claim(store, "two", MINUTE).await.unwrap()];
    assert_eq!(
        due.map(|job| job.dedupe_key).into_iter().collect::<BTreeSet<_>>(),
        ["held", "waits"].map(str::to_owned).into()
    );
    assert_eq!(claim(store, "two", MINUTE).await, None, "what is put off is not yet due");
    assert_eq!(store.interrupt_dead_runs().await.unwrap(), [run]);
}

/// A request that its client gives up, or a scan that is stopped, may be in the middle of `BEGIN`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_after_a_transaction_that_nobody_waits_for_is_committed() {
    let database = database().await;
    let one = Limits { connections: 1, wait: Duration::from_secs(30) };
    let store = Store::connect_with(database.options(), one).await.unwrap();
    store.ping().await.unwrap();
    for polls in 0..6 {
        let mut beginning = Box::pin(store.live(RunId(1)));
        for _ in 0..polls {
            if futures::poll!(beginning.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(beginning);
        let written = store.enqueue(&job(&polls.to_string(), 1)).await.unwrap();
        let seen: Vec<_> = database.store.jobs(10).await.unwrap().into_iter().map(|job| job.id).collect();
        assert!(written.is_some_and(|id| seen.contains(&id)), "given up after {polls} polls: {written:?} of {seen:?}");
    }
}
