//! Clocks that are set, ahead and back: what is due goes on as soon as they are right.

use crate::support::Harness;
use axum::body::Body;
use axum::http::Request;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::app::App;
use rolecall::config::{AwsConfig, Config, ScheduleConfig};
use rolecall::http::auth::token::{Scope, mint};
use rolecall::schedule::clock::Condition;
use rolecall::work::worker::Worker;
use rolecall_collect::Hub;
use rolecall_estate::Visibility;
use rolecall_sandbox::{HUB_ACCESS_KEY, SECRET};
use rolecall_store::{JobState, Limits, NewJob, NewToken, RunState, Store};
use std::time::Duration;
use tower::ServiceExt as _;

/// A harness whose database has a clock that can be set.
struct Timed {
    harness: Harness,
    store: Store,
}

impl Timed {
    async fn new() -> Self {
        let harness = Harness::over(rolecall_sandbox::demo::estate(Utc::now())).await;
        let mut connection = harness.database.connect().await.unwrap();
        for sql in [
            "create table set_by (by interval)",
            "insert into set_by values ('0')",
            "create function public.now() returns timestamptz language sql stable
             as 'select pg_catalog.now() + (select by from public.set_by)'",
            "create function public.clock_timestamp() returns timestamptz language sql volatile
             as 'select pg_catalog.clock_timestamp() + (select by from public.set_by)'",
            "do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$",
        ] {
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
        let store = Store::connect(&harness.url, Limits::default()).await.unwrap();
        Self { harness, store }
    }

    async fn set(&self, days: i32) {
        let mut connection = self.harness.database.connect().await.unwrap();
        sqlx::query("update set_by set by = make_interval(days => $1)")
            .bind(days)
            .execute(&mut connection)
            .await
            .unwrap();
    }

    /// A process that is started now.
    async fn app(&self) -> App {
        let config = Config {
            aws: AwsConfig { lookups_per_second: 1000, ..AwsConfig::default() },
            schedule: ScheduleConfig { cron: "* * * * *".parse().unwrap(), ..Config::default().schedule },
            ..Config::default()
        };
        let region = "us-east-1".parse().unwrap();
        let hub = Hub::keys(self.harness.sandbox.endpoint(), region, HUB_ACCESS_KEY, SECRET);
        App::new(self.store.clone(), self.harness.rules.clone(), config, hub, true).await.unwrap()
    }

    /// Slots of both schedules that were claimed, and their jobs done, some days ago.
    async fn went_on_until(&self, ago: TimeDelta) {
        for kind in ["audit", "cleanup"] {
            let payload = serde_json::json!({});
            let (kind, dedupe_key) = (kind.to_owned(), String::new());
            let job = NewJob { kind, dedupe_key, payload, priority: 0, delay: Duration::ZERO, max_attempts: 1 };
            let slot = self.store.now().await.unwrap() - ago;
            self.store.claim_slot(&job.kind, slot, &job).await.unwrap().unwrap();
            let claimed = self.store.claim_job(&[job.kind], "before", Duration::from_secs(60)).await.unwrap().unwrap();
            self.store.finish_job(&claimed, Ok(()), Duration::ZERO).await.unwrap();
        }
    }

    /// When audits that ended as they should began.
    async fn audits(&self) -> Vec<DateTime<Utc>> {
        let runs = self.store.runs(None, 20).await.unwrap();
        runs.iter().filter(|run| run.state == RunState::Done).map(|run| run.started_at).collect()
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        for _ in 0..1_200 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (jobs, runs) = (self.store.jobs(10).await.unwrap(), self.store.runs(None, 5).await.unwrap());
        panic!("not even after two minutes: {what}; {jobs:#?} {runs:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clock_a_month_ahead_left_behind_holds_nothing_up() {
    let timed = Timed::new().await;
    assert_eq!(timed.app().await.overdue().await.unwrap(), None, "nothing was ever due");
    timed.went_on_until(TimeDelta::days(2)).await;
    let ready = timed.app().await.readiness().await;
    assert!(ready.overdue.is_some_and(|due| (Utc::now() - due) < TimeDelta::hours(1)), "{ready:?}");
    // A process that begins while the clock is wrong has nothing to know it by.
    timed.set(30).await;
    let wrong = Worker::start(timed.app().await).await.unwrap();
    wrong.stop().await;
    let ahead = timed.store.last_slot("audit").await.unwrap().unwrap();
    assert!(ahead > Utc::now() + TimeDelta::days(29), "{ahead}");
    timed.set(0).await;
    let app = timed.app().await;
    let worker = Worker::start(app.clone()).await.unwrap();
    let recent = |at: &DateTime<Utc>| (Utc::now() - *at).abs() < TimeDelta::hours(1);
    timed.until("an audit", async || timed.audits().await.iter().any(recent)).await;
    let cleaned = async || {
        let jobs = timed.store.jobs(20).await.unwrap();
        jobs.iter().any(|job| {
            job.kind == "cleanup"
                && job.state == JobState::Done
                && recent(&job.finished_at.unwrap())
                && job.owner.is_none()
                && job.max_attempts == 3
        })
    };
    timed.until("a cleanup", cleaned).await;
    assert!(recent(&timed.store.last_slot("audit").await.unwrap().unwrap()));
    assert_eq!(app.overdue().await.unwrap(), None);
    worker.stop().await;
    let mut connection = timed.harness.database.connect().await.unwrap();
    let to_come: i64 = sqlx::query_scalar("select count(*) from schedule_slot where slot > now() + interval '1 hour'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(to_come, 0, "when its day comes, each slot is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_is_noticed_before_anything_is_started_by_it() {
    let timed = Timed::new().await;
    let app = timed.app().await;
    let worker = Worker::start(app.clone()).await.unwrap();
    assert_eq!(app.readiness().await.clock, Some(Condition::Even));
    timed.set(30).await;
    app.run_now("somebody", rolecall_store::Actor::operator("somebody")).await.unwrap();
    timed.until("the clock is doubted", async || !app.clock.condition().is_trusted()).await;
    let ready = app.readiness().await;
    assert!(ready.is_ready(), "{ready:?}");
    let told = ready.clock.unwrap().to_string();
    assert!(told.starts_with("warning: ") && told.contains("ahead"), "{told}");
    let begun = timed.store.runs(None, 10).await.unwrap();
    assert!(begun.iter().all(|run| run.started_at < Utc::now() + TimeDelta::hours(1)), "{begun:?}");

    timed.set(0).await;
    timed.until("an audit", async || !timed.audits().await.is_empty()).await;
    assert_eq!(app.readiness().await.clock, Some(Condition::Even));
    worker.stop().await;
    let slots = [timed.store.last_slot("audit").await.unwrap(), timed.store.last_slot("cleanup").await.unwrap()];
    assert!(slots.iter().flatten().all(|slot| *slot < Utc::now() + TimeDelta::hours(1)), "{slots:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_tokens_come_in_by_the_clock_of_the_database() {
    let timed = Timed::new().await;
    let status = async |app: &App, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::get(path).header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = rolecall::http::router(app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let cookie = answer.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
        (answer.status().as_u16(), cookie.unwrap_or_default())
    };
    // A replica whose own clock is a month back, as this process's is then.
    timed.set(30).await;
    let app = timed.app().await;
    let now = timed.store.now().await.unwrap();
    let minted = mint(&[Scope::FindingsRead], 30, now - TimeDelta::days(31)).unwrap();
    let token = NewToken {
        public_id: minted.public_id.clone(),
        name: "bot".to_owned(),
        hash: minted.hash.as_bytes().to_vec(),
        scopes: vec![Scope::FindingsRead.to_string()],
        visibility: Visibility::Everything,
        created_at: now - TimeDelta::days(31),
        expires_at: minted.expires_at,
    };
    assert!(timed.store.create_token(&token).await.unwrap());
    let bearer = format!("Bearer {}", minted.text);
    let (answered, _) = status(&app, "/api/v1/findings", &[("authorization", &bearer)]).await;
    assert_eq!(answered, 401, "it ended yesterday");

    let link = rolecall::http::auth::login_url(&app, "127.0.0.1:8080".parse().unwrap()).await.unwrap();
    let path = link.strip_prefix("http://127.0.0.1:8080").unwrap();
    let (answered, cookie) = status(&app, path, &[]).await;
    assert_eq!(answered, 303, "a link is good for ten minutes of that clock");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(status(&app, "/findings", &[("cookie", &cookie)]).await.0, 200);
    timed.set(60).await;
    assert_eq!(status(&timed.app().await, "/findings", &[("cookie", &cookie)]).await.0, 303, "it has ended since");
}
