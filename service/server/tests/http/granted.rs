//! Grants against use, over the demo estate: nothing is unused until a trail was read completely.

use crate::api::is_problem;
use crate::support::{Client, Seen, app};
use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use rolecall::http::auth::token::Scope;
use rolecall_cloudtrail::Use;
use rolecall_estate::{CompleteRange, EventScope, Networks};
use rolecall_iam::catalogue::catalogue;
use rolecall_iam::recording::{Shown, shown};
use rolecall_store::Store;
use serde_json::Value;
use std::collections::BTreeSet;

/// Names of the actions that some list of services holds.
fn names(services: &Value) -> Vec<String> {
    let of = |(service, names): (&String, &Value)| {
        let name = |one: &Value| one.as_str().or(one["name"].as_str()).unwrap().to_owned();
        names.as_array().unwrap().iter().map(|one| format!("{service}:{}", name(one))).collect::<Vec<_>>()
    };
    services.as_object().unwrap().iter().flat_map(of).collect()
}

/// Counts a call of the action with the role, and says that the account's trail was read completely.
async fn called(store: &Store, role: &str, action: &str) {
    let now = Utc::now();
    let account = role.split(':').nth(4).unwrap().parse().unwrap();
    let mut book = store.trail_writer();
    let mut trail_batch = book.open(&BTreeSet::from([account])).await.unwrap();
    let at = now - TimeDelta::days(3);
    let counted = Use {
        account_id: account,
        day: at.date_naive(),
        role_arn: role.to_owned(),
        region: "us-east-1".parse().unwrap(),
        access_key_id: Some("ASIAEXAMPLE".to_owned()),
        session_name: None,
        action: action.to_owned(),
        mapped: true,
        shape: None,
        count: 7,
        errors: 0,
        denied: 0,
        networks: Networks::NONE,
        source: None,
        first: at,
        last: at,
    };
    trail_batch.add(&[], &[counted]).await.unwrap();
    let whole = CompleteRange {
        source: "events".to_owned(),
        account_id: account,
        region: "us-east-1".parse().unwrap(),
        from: now - TimeDelta::days(120),
        to: now,
        event_scope: EventScope::Management,
        all_regions: true,
    };
    trail_batch.complete_ranges("events", &[whole], &[]).await.unwrap();
    trail_batch.commit().await.unwrap();
}

#[tokio::test]
async fn a_grant_is_unused_only_once_the_trail_was_read_completely() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let person = Client::person(&app).await;
    let listed = client.json("/api/v1/associations?limit=1000").await;
    let mut chosen = None;
    for item in listed["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap().to_owned();
        let answer = client.get(&format!("/api/v1/associations/{key}/unused-access")).await;
        assert!([200, 404, 409].contains(&answer.status.as_u16()), "{key}: {}", answer.text);
        if answer.status != StatusCode::OK {
            continue;
        }
        let granted = answer.json();
        let totals = &granted["totals"];
        assert_eq!(totals["granted"], totals["unknown"], "{key}: nothing was read, so nothing is known");
        assert_eq!(granted["window"]["is_complete"], false);
        let unknown: Vec<String> =
            granted["unknown"].as_array().unwrap().iter().flat_map(|open| names(&open["actions"])).collect();
        let told = |name: &&String| catalogue().find(name).is_some_and(|action| shown(action) == Shown::Management);
        let told: Vec<String> = unknown.iter().filter(told).cloned().collect();
        if told.len() > 1 && unknown.len() < 200 && chosen.is_none() {
            chosen = Some((key, granted["role_arn"].as_str().unwrap().to_owned(), told));
        }
    }
    let (key, role, told) = chosen.expect("an association with grants of management actions");
    let page = person.get(&format!("/unused-access?association={}", key.replace('/', "%2F"))).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("CloudTrail is incomplete for this period"));

    called(&app.store, &role, &told[0]).await;
    let path = format!("/api/v1/roles/{}/unused-access", role.replace('/', "%2F"));
    let granted = client.json(&path).await;
    assert_eq!(granted["window"]["is_complete"], true, "{}", granted["window"]);
    assert_eq!(granted["used"][0]["action"], told[0], "{granted}");
    assert_eq!(granted["used"][0]["count"], 7);
    let unused = names(&granted["unused"]);
    assert!(!unused.contains(&told[0]) && told.iter().skip(1).any(|name| unused.contains(name)), "{unused:?}");
    let page = person.get(&format!("/unused-access?role={}", role.replace('/', "%2F"))).await;
    assert!(
        page.text.contains("CloudTrail is complete for this period") && page.text.contains(&told[0]),
        "{}",
        page.text
    );

    // Nobody knows whose session it was: the association's own grants stay open there.
    let granted = client.json(&format!("/api/v1/associations/{key}/unused-access?days=30")).await;
    assert_eq!(granted["used"], serde_json::json!([]));
    let why = granted["unknown"].as_array().unwrap().iter().find(|open| names(&open["actions"]).contains(&told[0]));
    assert!(why.unwrap()["reason"]["text"].as_str().unwrap().contains("no workload is known of"), "{granted}");
}

#[tokio::test]
async fn what_cannot_be_weighed_says_why() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let nobody = "arn:aws:iam::111122223333:role%2Fnobody";
    for (path, status, code) in [
        (format!("/api/v1/roles/{nobody}/unused-access"), 404, "not_found"),
        ("/api/v1/roles/nonsense/unused-access".to_owned(), 404, "not_found"),
        ("/api/v1/associations/111122223333/eu-west-1/none/a/b/unused-access".to_owned(), 404, "not_found"),
        (format!("/api/v1/roles/{nobody}/unused-access?days=0"), 400, "invalid_parameter"),
    ] {
        is_problem(&client.get(&path).await, status, code);
    }
    let person = Client::person(&app).await;
    for path in ["/unused-access", "/unused-access?role=x&association=y"] {
        assert_eq!(person.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
}
