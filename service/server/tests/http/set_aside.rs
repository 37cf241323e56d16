//! Input that is set aside, wherever the service tells it.

use crate::support::*;
use axum::http::StatusCode;
use rolecall::http::auth::token::Scope;
use rolecall_store::{NewRun, RunId, Store, Unit, UnitKind};
use serde_json::json;
use std::time::Duration;

/// A process that begins with a unit and goes away.
async fn dies_at(store: &Store, kind: UnitKind, source: &str, unit: &str) -> RunId {
    let now = store.now().await.unwrap();
    let new = NewRun { kind: "scan".into(), trigger: "test".into(), now, lease: Duration::ZERO };
    let run = store.begin_run(&new).await.unwrap();
    store.attempts(run, kind, source).begin(&[Unit::named(unit)]).await.unwrap();
    assert_eq!(store.interrupt_dead_runs().await.unwrap(), [run]);
    run
}

#[tokio::test]
async fn what_processes_died_at_twice_is_told_to_programs_and_to_people_until_it_is_tried_again() {
    let app = app(Seen::Complete).await;
    let (person, stranger) = (Client::person(&app).await, Client::unauthenticated(&app));
    let program = Client::program(&app, &[Scope::Admin]).await;
    let units = [
        (UnitKind::Trail, "org-trail", "AWSLogs/111122223333/<b>x</b>.json.gz", "CloudTrail file"),
        (UnitKind::File, "files", "iam/111122223333/gaad.json", "Imported file"),
        (UnitKind::Judging, "scan", "111122223333", "Evaluation of rules"),
    ];
    let told = async || {
        let page = person.get("/ingestion").await;
        let ready = stranger.get("/readyz").await;
        assert_eq!((page.status, ready.status), (StatusCode::OK, StatusCode::OK), "{}", ready.text);
        (program.json("/api/v1/ingestion").await["set_aside"].clone(), page.html(), ready.text)
    };
    let cells = |page: &scraper::Html| -> Vec<Vec<String>> {
        let row = scraper::Selector::parse("section[aria-labelledby=aside-h] tbody tr").unwrap();
        let cell = scraper::Selector::parse("th, td").unwrap();
        let text = |cell: scraper::ElementRef<'_>| cell.text().collect::<String>().trim().to_owned();
        page.select(&row).map(|row| row.select(&cell).map(text).collect()).collect()
    };

    for (kind, source, unit, _) in units {
        dies_at(&app.store, kind, source, unit).await;
    }
    let (api, page, ready) = told().await;
    assert_eq!((api, cells(&page)), (json!([]), Vec::<Vec<String>>::new()), "one death makes suspects");
    assert!(ready.contains("input ok"), "{ready}");

    for (kind, source, unit, _) in units {
        dies_at(&app.store, kind, source, unit).await;
    }
    let (api, page, ready) = told().await;
    assert!(ready.contains("input warning: 3 set aside; /ingestion says which"), "{ready}");
    let (api, rows) = (api.as_array().unwrap().clone(), cells(&page));
    assert_eq!((api.len(), rows.len()), (3, 3), "{api:?} {rows:?}");
    for (kind, source, unit, named) in units {
        let of = |item: &&serde_json::Value| item["unit"] == unit;
        let item = api.iter().find(of).unwrap_or_else(|| panic!("{unit} in {api:?}"));
        assert_eq!((&item["kind"], &item["source"], &item["deaths"]), (&json!(kind), &json!(source), &json!(2)));
        let row = rows.iter().find(|row| row[0] == unit).unwrap_or_else(|| panic!("{unit} in {rows:?}"));
        assert_eq!((row[1].as_str(), row[2].as_str(), row[3].as_str()), (named, source, "2"));
    }
    assert!(page.root_element().text().collect::<String>().contains("rolecall admin set-aside retry NAME"));

    for (n, (.., unit, _)) in units.into_iter().enumerate() {
        assert!(app.store.retry(unit).await.unwrap());
        let (api, page, ready) = told().await;
        let left = 2 - n;
        assert_eq!((api.as_array().unwrap().len(), cells(&page).len()), (left, left), "after {unit}");
        assert_eq!(ready.contains("input ok"), left == 0, "{ready}");
    }
    assert!(!app.store.retry("nothing").await.unwrap());
}

/// A run that is under way, and one that ended by itself, died at nothing.
#[tokio::test]
async fn what_is_worked_on_now_or_failed_by_itself_is_not_set_aside() {
    let app = app(Seen::Nothing).await;
    let store = &app.store;
    dies_at(store, UnitKind::File, "files", "a.json").await;
    let now = store.now().await.unwrap();
    for ends in [true, false] {
        let lease = Duration::from_secs(600);
        let new = NewRun { kind: "scan".into(), trigger: "test".into(), now, lease };
        let run = store.begin_run(&new).await.unwrap();
        store.attempts(run, UnitKind::File, "files").begin(&[Unit::named("a.json")]).await.unwrap();
        if ends {
            let failed = rolecall_store::RunOutcome::Failed("it was a test's".into(), serde_json::Value::Null);
            store.finish_run(run, &failed).await.unwrap();
        }
        assert_eq!(store.set_aside().await.unwrap(), []);
    }
    assert!(Client::unauthenticated(&app).get("/readyz").await.text.contains("input ok"));
}
