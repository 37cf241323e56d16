//! The queue between replicas.

use crate::fixture::*;
use rolecall_store::{JobState, NewJob, Store};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn job(key: &str, max_attempts: u16) -> NewJob {
    NewJob {
        kind: "scan".into(),
        dedupe_key: key.into(),
        payload: json!({"key": key}),
        priority: 0,
        run_at: at(0),
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
