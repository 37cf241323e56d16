//! Runs begin, end, and die.

use crate::fixture::*;
use rolecall_estate::coverage::ScopeKind;
use rolecall_store::{NewRun, RunOutcome, RunState};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_run_ends_with_its_report() {
    let database = database().await;
    let store = &database.store;
    let (first, second) = (begin(store, 0).await, begin(store, 1).await);
    assert!(second > first);
    store.finish_run(first, &RunOutcome::Done(json!({"roles": 2}))).await.unwrap();
    store.finish_run(second, &RunOutcome::Failed("no entry".into(), json!({}))).await.unwrap();
    let runs = store.runs(None, 10).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| (run.id, run.state)).collect::<Vec<_>>(),
        [(second, RunState::Failed), (first, RunState::Done)]
    );
    assert_eq!(runs[0].error.as_deref(), Some("no entry"));
    assert_eq!(store.runs(Some(second), 10).await.unwrap(), [store.last_done_run().await.unwrap().unwrap()]);
}

#[tokio::test]
async fn a_run_whose_lease_ran_out_is_interrupted_by_the_next() {
    let database = database().await;
    let store = &database.store;
    let dead = begin(store, 0).await;
    let alive = begin(store, 1).await;
    store.renew_run(dead, Duration::ZERO).await.unwrap();
    begin(store, 2).await;
    assert_eq!(store.run(dead).await.unwrap().unwrap().state, RunState::Interrupted);
    assert_eq!(store.run(alive).await.unwrap().unwrap().state, RunState::Running);
    assert!(store.renew_run(dead, Duration::from_secs(600)).await.is_err());
}

#[tokio::test]
async fn processes_whose_clocks_are_apart_leave_each_other_alone() {
    let database = database().await;
    let store = &database.store;
    // Two minutes apart, and leases of one; each begins, and lives, while the other does.
    let begin = async |minute: i64| {
        let lease = Duration::from_secs(60);
        let new = NewRun { kind: "scan".into(), trigger: "test".into(), now: at(minute), lease };
        store.begin_run(&new).await.unwrap()
    };
    let mut runs = Vec::new();
    for minute in [2, 0, 2, 0] {
        runs.push(begin(minute).await);
        for run in &runs {
            store.renew_run(*run, Duration::from_secs(60)).await.unwrap();
        }
    }
    assert_eq!(store.interrupt_dead_runs().await.unwrap(), []);
    assert!(store.runs(None, 10).await.unwrap().iter().all(|run| run.state == RunState::Running));
    assert!(store.has_run_since("scan", at(0)).await.unwrap(), "they are alive");
}

#[tokio::test]
async fn what_ran_since_is_what_ended_well_or_lives() {
    let database = database().await;
    let store = &database.store;
    let before = store.now().await.unwrap();
    let has_run = async || store.has_run_since("scan", before).await.unwrap();
    assert!(!has_run().await);
    let run = begin(store, 0).await;
    store.finish_run(run, &RunOutcome::Failed("no entry".into(), json!({}))).await.unwrap();
    assert!(!has_run().await, "it failed");
    let run = begin(store, 0).await;
    assert!(has_run().await, "it lives");
    store.renew_run(run, Duration::ZERO).await.unwrap();
    assert!(!has_run().await, "it is dead");
    let run = begin(store, 0).await;
    store.finish_run(run, &RunOutcome::Done(json!({}))).await.unwrap();
    assert!(has_run().await);
    assert!(!store.has_run_since("scan", store.now().await.unwrap()).await.unwrap(), "that was before");
    assert!(!store.has_run_since("import", before).await.unwrap());
}

#[tokio::test]
async fn a_collecting_run_is_dead_as_soon_as_its_connection_is() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let mut snapshot = store.snapshot(run).await.unwrap();
    snapshot.save(&estate()).await.unwrap();
    assert_eq!(store.interrupt_dead_runs().await.unwrap(), []);
    // As a killed process leaves it: the server notices that the connection is gone.
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and state = 'idle in transaction'";
    sqlx::query(kill).execute(&mut database.connect().await.unwrap()).await.unwrap();
    assert!(snapshot.commit().await.is_err());
    let mut dead = Vec::new();
    for _ in 0..200 {
        dead = store.interrupt_dead_runs().await.unwrap();
        if !dead.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(dead, [run]);
    assert_eq!(store.counts().await.unwrap().roles, 0);
    look(store, 5, &estate()).await;
    assert_eq!(store.counts().await.unwrap().roles, 2);
}

#[tokio::test]
async fn old_runs_go_and_what_still_speaks_stays() {
    let database = database().await;
    let store = &database.store;
    let mut blind = estate();
    blind.coverage.gap(gap(ScopeKind::Trails));
    let mut sighted = estate();
    sighted.coverage = Default::default();
    sighted.coverage.complete(scope(ScopeKind::Roles));
    let (first, _) = look(store, 0, &blind).await;
    let (second, _) = look(store, 10, &blind).await;
    let (third, _) = look(store, 20, &sighted).await;
    for run in [first, second, third] {
        store.finish_run(run, &RunOutcome::Done(json!({}))).await.unwrap();
    }
    let running = begin(store, 40).await;
    assert_eq!(store.prune_runs(at(1000)).await.unwrap(), 2);
    let left: Vec<_> = store.runs(None, 10).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, [running, third]);
    assert_eq!(store.gaps_of_run(first).await.unwrap().len(), 0);
    // The latest look at the trails is the second run's.
    assert_eq!(store.gaps(&[]).await.unwrap().len(), 1);
    assert_eq!(store.prune_runs(at(1000)).await.unwrap(), 0);
}
