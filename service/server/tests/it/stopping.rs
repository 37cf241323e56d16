//! A process that is asked to end in the middle of its work.

use crate::support::Harness;
use chrono::Utc;
use rolecall::app::App;
use rolecall::config::{AwsConfig, Config, ScheduleConfig};
use rolecall::work::worker::Worker;
use rolecall_collect::Hub;
use rolecall_sandbox::{HUB_ACCESS_KEY, SECRET};
use rolecall_store::{JobState, NewRun, RunOutcome, RunState};
use std::time::Duration;

/// Stops of a worker; `ROLECALL_STOPS=60` makes so many.
fn stops() -> u64 {
    std::env::var("ROLECALL_STOPS").ok().and_then(|stops| stops.parse().ok()).unwrap_or(8)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_leaves_no_scan_alive_and_the_next_begins_at_once() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(Utc::now())).await;
    let store = &harness.store;
    let config = Config {
        aws: AwsConfig { lookups_per_second: 1000, ..AwsConfig::default() },
        schedule: ScheduleConfig { enabled: false, ..Config::default().schedule },
        ..Config::default()
    };
    let mut stopped = 0;
    for n in 0..stops() {
        let hub = Hub::keys(harness.sandbox.endpoint(), "us-east-1".parse().unwrap(), HUB_ACCESS_KEY, SECRET);
        let app = App::new(store.clone(), harness.rules.clone(), config.clone(), hub, true).await.unwrap();
        let worker = Worker::start(app.clone()).await.unwrap();
        app.run_now("somebody", rolecall_store::Actor::operator("somebody")).await.unwrap();
        // At other steps each time.
        tokio::time::sleep(Duration::from_millis(n * 277 % 2_500)).await;
        worker.stop().await;
        let runs = store.runs(None, 5).await.unwrap();
        assert!(runs.iter().all(|run| run.state != RunState::Running), "stop {n}: {runs:#?}");
        stopped += u64::from(runs.first().is_some_and(|run| run.state == RunState::Failed));
        let jobs = store.jobs(5).await.unwrap();
        assert!(jobs.iter().all(|job| job.state != JobState::Running), "stop {n}: {jobs:#?}");

        let new = NewRun {
            kind: "scan".to_owned(),
            trigger: "test".to_owned(),
            now: store.now().await.unwrap(),
            lease: Duration::from_secs(60),
        };
        let run = store.begin_run(&new).await.unwrap();
        let snapshot = store.snapshot(run).await.unwrap_or_else(|error| panic!("stop {n}: {error}"));
        drop(snapshot);
        store
            .finish_run(run, &RunOutcome::Failed("it was a test's".to_owned(), serde_json::Value::Null))
            .await
            .unwrap();
    }
    assert!(stopped > 0, "some were stopped in the middle");
}
