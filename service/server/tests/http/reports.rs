//! The access report on the demo estate: its numbers counted here from what the trail holds, its digest, and what it
//! says where nothing was read.

use crate::api::is_problem;
use crate::support::{Client, Seen, app, app_over, demo_files, look, observed};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::audit::attribute::attribute_due_sessions;
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use rolecall_estate::{Observation, Session, SessionKind};
use rolecall_store::testing::database;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const ROLE: &str = "arn:aws:iam::777788889999:role/pods/search-query";
const WORKLOAD: &str = "777788889999/eu-west-1/commerce-prod-euw1/search/query";

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn address(subject: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> String {
    format!("/api/v1/reports/access?{subject}&since={}&until={}", day(since), day(until))
}

/// The sessions that the demo's files record, as the files have them.
fn recorded(seen: &[Observation]) -> Vec<Session> {
    seen.iter().flat_map(|observation| observation.sessions.clone()).collect()
}

fn midnight(at: DateTime<Utc>) -> DateTime<Utc> {
    at.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

#[tokio::test]
async fn who_did_is_what_the_trail_records() {
    let database = database().await.expect("a database");
    let app = app_over(database.store.clone(), Seen::Nothing, Config::default()).await;
    let seen = observed(&demo_files());
    look(&app.store, &app.rules, &seen).await;
    attribute_due_sessions(&app.store).await.unwrap();
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let until = midnight(Utc::now()) + TimeDelta::days(1);
    let since = until - TimeDelta::days(14);

    let mut checked = 0;
    let roles: BTreeSet<String> = recorded(&seen).into_iter().filter_map(|session| session.role_arn).collect();
    for role in roles {
        let own: Vec<Session> = recorded(&seen)
            .into_iter()
            .filter(|it| it.role_arn.as_deref() == Some(&role) && since <= it.at && it.at < until)
            .filter(|it| it.kind != SessionKind::AgentRequest)
            .collect();
        let keys: BTreeSet<String> = own
            .iter()
            .filter(|it| it.error.is_none())
            .map(|it| it.access_key_id.clone().unwrap_or_else(|| it.event_id.clone()))
            .collect();
        let refused: BTreeSet<&str> =
            own.iter().filter(|it| it.error.is_some()).map(|it| it.event_id.as_str()).collect();
        let report = client.json(&address(&format!("role={role}"), since, until)).await;
        let sum = |name: &str| -> u64 {
            report["sessions"].as_array().unwrap().iter().map(|it| it[name].as_u64().unwrap()).sum()
        };
        // A key that two callers share would be counted for each; there is none in the demo.
        assert_eq!(sum("sessions"), u64::try_from(keys.len()).unwrap(), "{role}: {report}");
        assert_eq!(sum("refused"), u64::try_from(refused.len()).unwrap(), "{role}");
        // By namespace, as the tags say that EKS set.
        let mut tagged: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for it in own.iter().filter(|it| it.error.is_none() && it.kind == SessionKind::PodIdentity) {
            if let (Some(namespace), Some(key)) = (it.tags.get("kubernetes-namespace"), &it.access_key_id) {
                tagged.entry(namespace).or_default().insert(key);
            }
        }
        for (namespace, keys) in tagged {
            let rows = report["sessions"].as_array().unwrap().iter();
            let told: u64 = rows
                .filter(|it| it["namespace"] == namespace && it["kind"] == "pod_identity")
                .map(|it| it["sessions"].as_u64().unwrap())
                .sum();
            assert_eq!(told, u64::try_from(keys.len()).unwrap(), "{role} {namespace}: {report}");
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked} namespaces were compared");
}

#[tokio::test]
async fn a_report_tells_who_could_who_did_and_what_was_not_seen() {
    let database = database().await.expect("a database");
    let app = app_over(database.store.clone(), Seen::Nothing, Config::default()).await;
    look(&app.store, &app.rules, &observed(&demo_files())).await;
    attribute_due_sessions(&app.store).await.unwrap();
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let until = midnight(Utc::now()) + TimeDelta::days(1);
    let asked = address(&format!("role={ROLE}"), until - TimeDelta::days(8), until);
    let report = client.json(&asked).await;
    let workloads: Vec<&str> =
        report["workloads"].as_array().unwrap().iter().map(|it| it["association"].as_str().unwrap()).collect();
    assert_eq!(workloads, [WORKLOAD], "{report}");
    assert_eq!(report["principals"][0]["principal"], "pods.eks.amazonaws.com");
    assert_eq!(report["scans"].as_array().unwrap().len(), 1);
    let not_seen: Vec<(&str, &str)> = report["not_seen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["about"].as_str().unwrap(), it["text"].as_str().unwrap()))
        .collect();
    assert!(not_seen.iter().any(|(about, text)| *about == "configuration" && text.contains("no scan was made before")));
    let trail = "the CloudTrail events of account 777788889999 are not known to be complete";
    assert!(not_seen.iter().any(|(about, text)| *about == "sessions" && text.starts_with(trail)), "{not_seen:?}");
    assert_eq!(report["is_complete"], false);
    let answer = report["answer"].as_str().unwrap();
    assert!(
        answer.starts_with("In this period the role was assumed by 1 workload (search/query in cluster "),
        "{answer}"
    );
    assert!(answer.contains("Coverage of sessions is not complete: the CloudTrail events of account 777788889999"));

    // The digest is over the bytes, and the same question has the same answer.
    let answer = client.get(&asked).await;
    let digest = Sha256::digest(answer.text.as_bytes());
    let written: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(client.get(&asked).await.text, answer.text);
    assert!(answer.header("repr-digest").starts_with("sha-256=:"));
    let names: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert!(names.is_sorted() && !answer.text.ends_with('\n'), "{names:?}");
    let person = Client::person(&app).await;
    let page = person.get(&asked.replace("/api/v1", "")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains(&written), "the page bears the digest of the JSON that it links");

    // Of the workload: what it could get, and what it used.
    let of_workload = client.json(&asked.replace(&format!("role={ROLE}"), &format!("workload={WORKLOAD}"))).await;
    assert!(
        of_workload["obtainable_roles"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["role_arn"] == ROLE && it["via"] == "role")
    );
    let used = |report: &Value| -> u64 {
        let rows = report["sessions"].as_array().unwrap().iter();
        rows.filter(|it| it["association"] == WORKLOAD && it["role_arn"] == ROLE)
            .map(|it| it["sessions"].as_u64().unwrap())
            .sum()
    };
    assert!(used(&report) > 0);
    assert_eq!(used(&of_workload), used(&report));
}

#[tokio::test]
async fn a_period_without_scans_and_trails_is_not_taken_for_one_without_use() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    // The role was scanned today, and nothing is known of these days.
    let path = format!("/api/v1/reports/access?role={ROLE}&since=2026-01-01&until=2026-01-08");
    let report = client.json(&path).await;
    assert_eq!((&report["is_complete"], &report["as_of"]), (&false.into(), &Value::Null), "{report}");
    for list in ["sessions", "workloads", "principals", "scans"] {
        assert_eq!(report[list], serde_json::json!([]), "{list}");
    }
    let not_seen = report["not_seen"].to_string();
    assert!(not_seen.contains("no scan was made by the end of the period"), "{not_seen}");
    let answer = report["answer"].as_str().unwrap();
    assert!(answer.starts_with("No session of the role is known in this period. Coverage of sessions is not complete"));
    assert!(answer.ends_with("This does not show that there was none."), "{answer}");
    let person = Client::person(&app).await;
    let page = person.get(&path.replace("/api/v1", "")).await.text;
    let (unseen, empty) =
        (page.find("id=\"unseen-h\"").unwrap(), page.find("No session and no refused attempt").unwrap());
    assert!(unseen < empty, "what was not seen stands before an empty table");
    for (query, parameter) in [
        ("role=nobody".to_owned(), "role"),
        (format!("role={ROLE}&since=2026-02-01&until=2026-01-01"), "since"),
        (format!("role={ROLE}&since=2098-01-01&until=2099-01-01"), "since"),
        (format!("role={ROLE}&workload={WORKLOAD}"), "workload"),
        ("workload=a/b".to_owned(), "workload"),
    ] {
        let answer = client.get(&format!("/api/v1/reports/access?{query}")).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{query}");
    }
    let neither = client.get("/api/v1/reports/access").await;
    is_problem(&neither, 400, "bad_request");
    is_problem(&client.get(&format!("/api/v1/reports/access?role={ROLE}-none")).await, 404, "not_found");
}

#[tokio::test]
async fn an_access_report_tells_a_limited_person_what_they_see_and_that_there_may_be_more() {
    let app = app(Seen::Complete).await;
    let limit = "namespace:777788889999/eu-west-1/commerce-prod-euw1/search";
    let limited = Client::limited(&app, &[Scope::InventoryRead], &[limit]).await;
    let whole = Client::program(&app, &[Scope::InventoryRead]).await;
    for subject in [format!("role={ROLE}"), format!("workload={WORKLOAD}")] {
        let path = format!("/api/v1/reports/access?{subject}");
        let (seen, all) = (limited.json(&path).await, whole.json(&path).await);
        assert_eq!((&seen["is_limited"], &all["is_limited"]), (&true.into(), &false.into()), "{subject}");
        assert_eq!(seen["is_complete"], false, "{subject}");
        let not_seen = seen["not_seen"].to_string();
        for said in ["roles and workloads that the person who asks may not see", "sessions that the person who asks"] {
            assert!(not_seen.contains(said), "{subject}: {not_seen}");
        }
        for list in ["workloads", "roles", "obtainable_roles", "sessions"] {
            let (few, many) = (seen[list].as_array().unwrap(), all[list].as_array().unwrap());
            assert!(few.iter().all(|row| many.contains(row)), "{subject} {list}: {seen} {all}");
        }
        let own = if subject.starts_with("role") { &seen["workloads"] } else { &seen["obtainable_roles"] };
        assert!(!own.as_array().unwrap().is_empty(), "{subject}: {seen}");
    }
    let other = "role=arn:aws:iam::444455556666:role/pods/settlement-uploads";
    is_problem(&limited.get(&format!("/api/v1/reports/access?{other}")).await, 404, "not_found");
    assert_eq!(whole.get(&format!("/api/v1/reports/access?{other}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_that_print_hold_what_lists_hold() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    for path in ["/reports", "/reports/summary", "/reports/exceptions", "/", "/findings"] {
        let answer = person.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.text.contains("class=\"print-head\""), "{path} says on paper where it is from");
    }
    let overview = person.get("/").await.text;
    assert!(overview.contains("id=\"flow-h\"") && overview.contains("class=\"c-flow\""), "where access leads");
    assert!(overview.contains("id=\"trend-h\"") && overview.contains("class=\"c-critical\""), "by severity");
    assert!(overview.contains("id=\"weeks-h\""));
}
