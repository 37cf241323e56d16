//! Runs begin, end, and die.

use crate::fixture::*;
use rolecall_audit::coverage::ScopeKind;
use rolecall_store::{RunOutcome, RunState};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_run_ends_with_its_report() {
    let database = database().await;
    let store = &database.store;
    let (first, second) = (begin(store, 0).await, begin(store, 1).await);
    assert!(second > first);
    store.finish_run(first, &RunOutcome::Done(json!({"roles": 2})), at(2)).await.unwrap();
    store.finish_run(second, &RunOutcome::Failed("no entry".into(), json!({})), at(3)).await.unwrap();
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
    store.renew_run(alive, at(120), Duration::from_secs(600)).await.unwrap();
    begin(store, 125).await;
    assert_eq!(store.run(dead).await.unwrap().unwrap().state, RunState::Interrupted);
    assert_eq!(store.run(alive).await.unwrap().unwrap().state, RunState::Running);
    assert!(store.renew_run(dead, at(126), Duration::from_secs(600)).await.is_err());
}

#[tokio::test]
async fn a_collecting_run_is_dead_as_soon_as_its_connection_is() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let mut snapshot = store.snapshot(run).await.unwrap();
    snapshot.save(&estate()).await.unwrap();
    assert_eq!(store.interrupt_dead_runs(at(1)).await.unwrap(), []);
    // As a killed process leaves it: the server notices that the connection is gone.
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and state = 'idle in transaction'";
    sqlx::query(kill).execute(&mut database.connect().await.unwrap()).await.unwrap();
    assert!(snapshot.commit().await.is_err());
    let mut dead = Vec::new();
    for _ in 0..200 {
        dead = store.interrupt_dead_runs(at(1)).await.unwrap();
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
        store.finish_run(run, &RunOutcome::Done(json!({})), at(30)).await.unwrap();
    }
    let running = begin(store, 40).await;
    assert_eq!(store.prune_runs(at(1000)).await.unwrap(), 2);
    let left: Vec<_> = store.runs(None, 10).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, [running, third]);
    assert_eq!(store.gaps_of_run(first).await.unwrap().len(), 0);
    // The latest look at the trails is the second run's.
    assert_eq!(store.gaps().await.unwrap().len(), 1);
    assert_eq!(store.prune_runs(at(1000)).await.unwrap(), 0);
}
