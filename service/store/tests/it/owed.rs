//! What is owed is settled by who knew of it, judged as far back, and told it.

use crate::fixture::*;
use rolecall_store::{DoneJudgement, RunId, Store};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Owes what a part would, and commits it or not.
async fn part(store: &Store, since: Option<i64>, told: bool, kept: bool) -> Uuid {
    let mut books = store.trail_writer();
    let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
    let told = told.then(|| json!({"named": []}));
    let id = trail_batch.owe(since.map(at), told.as_ref()).await.unwrap();
    if kept {
        trail_batch.commit().await.unwrap();
    }
    id
}

async fn judge(store: &Store, run: RunId, judged_since: i64, owed: &[Uuid]) {
    judge_and_report(store, run, judged_since, owed, &[]).await;
}

async fn judge_and_report(store: &Store, run: RunId, judged_since: i64, owed: &[Uuid], told: &[Uuid]) {
    let done = DoneJudgement {
        judged_since: at(judged_since),
        owed: owed.to_vec(),
        reported: told.to_vec(),
        ..DoneJudgement::default()
    };
    store.apply(run, &[], &[], &done, at(0)).await.unwrap();
}

async fn left(store: &Store) -> Vec<Uuid> {
    store.owed().await.unwrap().into_iter().map(|debt| debt.id).collect()
}

#[tokio::test]
async fn a_debt_comes_with_its_part_and_goes_with_the_findings_of_who_knew_it() {
    let database = database().await;
    let store = &database.store;
    part(store, Some(-10), false, false).await;
    assert_eq!(left(store).await, Vec::<Uuid>::new(), "what is not kept owes nothing");
    let run = begin(store, 0).await;
    let (near, far, none) = (
        part(store, Some(-10), false, true).await,
        part(store, Some(-600), false, true).await,
        part(store, None, false, true).await,
    );
    judge(store, run, -60, &[near, far]).await;
    assert_eq!(left(store).await, [far, none], "one was judged; one reaches further back; one was not known");
    judge(store, run, -600, &[far]).await;
    judge(store, run, -60, &[none]).await;
    assert_eq!(left(store).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn what_is_to_be_told_stays_until_an_audit_that_told_it_ends() {
    let database = database().await;
    let store = &database.store;
    let debt = part(store, Some(-10), true, true).await;
    let run = begin(store, 0).await;
    judge(store, run, -60, &[debt]).await;
    assert_eq!(left(store).await, [debt], "judged, and not told");

    let mut dropped = store.snapshot(run).await.unwrap();
    dropped.owe(at(-120)).await.unwrap();
    drop(dropped);
    let run = begin(store, 1).await;
    assert_eq!(left(store).await, [debt], "a snapshot that is dropped owes nothing");

    let mut snapshot = store.snapshot(run).await.unwrap();
    let own = snapshot.owe(at(-120)).await.unwrap();
    snapshot.commit().await.unwrap();
    let owed = store.owed().await.unwrap();
    let since: Vec<_> = owed.iter().map(|debt| (debt.id, debt.since, debt.unreported.is_some())).collect();
    assert_eq!(since, [(debt, Some(at(-10)), true), (own, Some(at(-120)), false)]);
    judge_and_report(store, run, -120, &[debt, own], &[debt]).await;
    assert_eq!(left(store).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn a_gap_that_is_told_twice_in_a_run_is_one() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let mut snapshot = store.snapshot(run).await.unwrap();
    let mut seen = rolecall_estate::Observation::default();
    seen.coverage.gap(gap(rolecall_estate::coverage::ScopeKind::Sessions));
    for _ in 0..2 {
        snapshot.save(&seen).await.unwrap();
    }
    snapshot.commit().await.unwrap();
    let rows = store.coverage(&[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.gaps.len()).collect::<Vec<_>>(), [1]);
}
