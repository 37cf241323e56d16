//! What was changed and changed back between two scans, told from its calls: through files and through scans.

use crate::changes::{changes, history, import_of, served};
use crate::mutations::{Call, Files, HOME, ROLE, before, more, put_trail, role, role_arn, workload};
use crate::support::{Folder, Harness, Serving, rolecall, run};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rolecall_audit::drift::{Approval, Effect, SeenIn};
use rolecall_store::testing::database;
use rolecall_store::{ChangeFilter, ChangeRow, FindingFilter, FindingSort, Store};
use serde_json::{Value, json};
use std::time::Duration;

fn put(name: &str, document: &Value) -> Call {
    let request = json!({"roleName": name, "policyName": "own", "policyDocument": document.to_string()});
    (("iam", "PutRolePolicy", request), None)
}

fn read() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*"}
    ]})
}

fn everything() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
}

/// A row as `RESOURCE EFFECT SHOWN-BY FROM-UNTIL`, by the number of its call and of the one that undid it.
fn told(rows: &[ChangeRow]) -> Vec<String> {
    let mut told: Vec<String> = rows
        .iter()
        .map(|row| {
            let name = row.change.resource.name.rsplit('/').next().unwrap();
            let call = row.attributed.calls.first().map_or("", |call| call.event_id.trim_start_matches("change-"));
            let until = match &row.ended {
                None => "",
                Some(ended) => ended.by.as_deref().unwrap_or("scan").trim_start_matches("change-"),
            };
            format!("{name} {} {} {call}-{until}", row.change.effect.as_str(), row.seen_in)
        })
        .collect();
    told.sort();
    told
}

fn with_trail(files: &Files, from: DateTime<Utc>, calls: &[Call]) -> Files {
    let mut files = files.clone();
    put_trail(&mut files, from, calls);
    files
}

/// So many hours ago, to the second.
fn hours_ago(hours: i64) -> DateTime<Utc> {
    (Utc::now() - TimeDelta::hours(hours)).trunc_subsecs(0)
}

async fn findings(store: &Store) -> Vec<(String, String)> {
    let found = store.findings(&FindingFilter::default(), FindingSort::Severity, None, 1_000).await.unwrap();
    let of_changes = found.into_iter().filter(|it| it.subject.kind.as_str() == "change");
    let mut found: Vec<_> = of_changes.map(|it| (it.rule, it.workflow.as_str().to_owned())).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_imports_do_not_show_is_told_from_its_calls() {
    let database = database().await.unwrap();
    let store = &database.store;
    let first = before();
    import_of(store, &first).await;
    let calls = [
        put("w1", &more()),
        put("w2", &everything()),
        put("w1", &read()),
        put("w2", &read()),
        // Refused: an attempt is no change.
        (("iam", "PutRolePolicy", json!({"roleName": "w3"})), Some("AccessDenied")),
    ];
    let from = hours_ago(2);
    let second = with_trail(&first, from, &calls);
    import_of(store, &second).await;
    let expected = ["w1 widened events 0-2", "w2 widened events 1-3"];
    let rows = changes(store).await;
    assert_eq!(told(&rows), expected);
    let of = |name: &str| rows.iter().find(|row| row.change.resource.name == role_arn(name)).unwrap();
    let (w1, w2) = (of("w1"), of("w2"));
    assert_eq!(w1.attributed.event_time(), Some(from));
    assert_eq!(w1.ended.as_ref().unwrap().at, from + TimeDelta::seconds(2));
    assert_eq!(w1.attributed.actor(), Some(role_arn("deployer").as_str()));
    assert_eq!(w1.change.gained.as_ref().unwrap().action, "s3:DeleteObject");
    let reached: Vec<String> = w1.change.affected.iter().map(|it| it.workload.to_string()).collect();
    assert_eq!(reached, [workload("w1")]);
    assert_eq!(w2.change.administrator, Some(true));
    // What was over is a finding where it was critical, and only there.
    let open = [("change-grants-administrator".to_owned(), "open".to_owned())];
    assert_eq!(findings(store).await, open);

    // The same files again, and the same calls: the same rows.
    let ids = |rows: &[ChangeRow]| rows.iter().map(|row| row.change.id.clone()).collect::<Vec<_>>();
    import_of(store, &second).await;
    let again = changes(store).await;
    assert_eq!((told(&again), ids(&again)), (told(&rows), ids(&rows)));
    assert_eq!(findings(store).await, open);

    let home = Folder::new();
    let of_installation = |arguments: &[&str]| {
        let mut command = rolecall(home.path());
        command.env("DATABASE_URL", &database.url).args(arguments);
        command
    };
    let exported = run(&mut of_installation(&["export", "changes", "--format", "ndjson", "--seen-in", "events"]));
    let exported: Vec<Value> = exported.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = exported.iter().find(|row| row["resource"] == role_arn("w1").as_str()).unwrap();
    assert_eq!(exported.len(), 2);
    assert_eq!((&row["seen_in"], &row["ended_by"]), (&json!("events"), &json!("change-2")));
    let at = |name: &str| row[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((at("event_time"), at("ended_at")), (from, from + TimeDelta::seconds(2)));
    let create = ["admin", "token", "create", "--name", "t", "--scope", "inventory:read", "--days", "1"];
    let token = run(&mut of_installation(&create)).out.trim().to_owned();
    let serving = Serving::start(of_installation(&["serve", "--bind", "127.0.0.1:0", "--role", "web"]));
    let (status, body) = serving.get_with("/api/v1/changes?seen_in=events", &format!("Authorization: Bearer {token}"));
    let answered: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, answered["items"].as_array().unwrap()), (200, &exported));
    serving.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_after_the_latest_scan_is_told_until_a_scan_shows_what_it_did() {
    let database = database().await.unwrap();
    let store = &database.store;
    let first = before();
    import_of(store, &first).await;
    let calls = [put("w1", &more()), put("w2", &more())];
    // The files are of before the calls, and the trail is of after them.
    import_of(store, &with_trail(&first, hours_ago(3), &calls)).await;
    let rows = changes(store).await;
    assert_eq!(told(&rows), ["w1 widened events 0-", "w2 widened events 1-"]);
    assert_eq!(findings(store).await, [], "the next scan shows it, and it is judged then");
    let approval = Approval::new("meant", None, None, Utc::now()).unwrap();
    let w1 = rows.iter().find(|row| row.change.resource.name == role_arn("w1")).unwrap();
    store.approve_change(&w1.change.id, &approval, "lead").await.unwrap();

    // The next scan shows one of them; the other was undone by a call that came late.
    let mut second = first.clone();
    role(&mut second, "w1")["RolePolicyList"][0]["PolicyDocument"] = more();
    let later = [put("w2", &read()), put("w4", &read())];
    let mut third = with_trail(&second, hours_ago(1), &later);
    // Both trails have events of the same numbers.
    for file in third.values_mut().filter(|file| file.get("Records").is_some()) {
        for record in file["Records"].as_array_mut().unwrap() {
            let id = record["eventID"].as_str().unwrap().replace("change-", "later-");
            record["eventID"] = id.into();
        }
    }
    import_of(store, &third).await;
    let rows = changes(store).await;
    assert_eq!(told(&rows), ["w1 widened snapshots 0-", "w2 widened events 1-later-0"]);
    let w1 = rows.iter().find(|row| row.change.resource.name == role_arn("w1")).unwrap();
    assert_eq!(w1.approval.as_ref().map(|step| step.reason.as_str()), Some("meant"), "{w1:#?}");
    assert_eq!(w1.change.effect, Effect::Widened);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_scans_do_not_show_is_told_from_its_calls() {
    let first = before();
    let mut harness = Harness::over(served(&first)).await;
    let store = harness.store.clone();
    harness.store = store.behind(Duration::from_secs(7_200));
    let trails = history();
    harness.audit_with(&trails).await.unwrap();
    harness.store = store.clone();
    let calls = [put("w1", &everything()), put("w1", &read()), put("w2", &more())];
    let mut second = first.clone();
    role(&mut second, "w2")["RolePolicyList"][0]["PolicyDocument"] = more();
    put_trail(&mut second, Utc::now() - TimeDelta::hours(1), &calls);
    harness.sandbox.mutate(|estate| *estate = served(&second));
    harness.audit_with(&trails).await.unwrap();
    let expected = ["w1 widened events 0-1", "w2 widened snapshots 2-"];
    assert_eq!(told(&changes(&store).await), expected);
    harness.audit_with(&trails).await.unwrap();
    assert_eq!(told(&changes(&store).await), expected, "the same again changes nothing");
    let alone = ChangeFilter { seen_in: vec![SeenIn::Events.as_str().to_owned()], ..ChangeFilter::default() };
    let alone = store.changes(&alone, None, 10).await.unwrap();
    assert_eq!((alone.len(), alone[0].change.resource.kind.as_str()), (1, ROLE));
    assert_eq!(alone[0].change.account_id.to_string(), HOME);
}
