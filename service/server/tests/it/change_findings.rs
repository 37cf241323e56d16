//! A change that nobody approved is a finding, from the scan that shows it until it is approved or taken back.

use crate::changes::import_of;
use crate::mutations::{before, more, role, role_arn, workload};
use crate::support::{Folder, Serving, rolecall, run};
use rolecall_audit::finding::Workflow;
use rolecall_store::testing::{Database, database};
use rolecall_store::{ChangeFilter, ChangeRow, FindingFilter, FindingRow, FindingSort};
use serde_json::{Value, json};
use std::time::Duration;

const RULE: &str = "change-widens-access";

async fn findings(database: &Database) -> Vec<FindingRow> {
    let filter = FindingFilter {
        rules: vec![RULE.to_owned()],
        workflow: vec![Workflow::Open, Workflow::Resolved],
        ..FindingFilter::default()
    };
    let mut rows = database.store.findings(&filter, FindingSort::Severity, None, 100).await.unwrap();
    rows.sort_by_key(|row| row.number);
    rows
}

async fn states(database: &Database) -> Vec<(String, Option<String>)> {
    let rows = findings(database).await;
    rows.into_iter().map(|row| (row.workflow.as_str().to_owned(), row.resolution)).collect()
}

async fn change(database: &Database, kind: &str) -> ChangeRow {
    let filter = ChangeFilter { change: vec![kind.to_owned()], roots: true, ..ChangeFilter::default() };
    database.store.changes(&filter, None, 1).await.unwrap().remove(0)
}

/// Waits until a worker has judged.
async fn until(database: &Database, expected: &[(&str, Option<&str>)]) {
    let wanted: Vec<(String, Option<String>)> =
        expected.iter().map(|(state, why)| ((*state).to_owned(), why.map(str::to_owned))).collect();
    let mut found = Vec::new();
    for _ in 0..600 {
        found = states(database).await;
        if found == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_a_finding_until_it_is_approved_or_taken_back() {
    let database = database().await.unwrap();
    let first = before();
    import_of(&database.store, &first).await;
    assert_eq!(states(&database).await, [], "a first look shows no change");

    let mut second = first.clone();
    role(&mut second, "w1")["RolePolicyList"][0]["PolicyDocument"] = more();
    import_of(&database.store, &second).await;
    let widened = change(&database, "inline_policy_changed").await;
    let rows = findings(&database).await;
    let [finding] = rows.as_slice() else { panic!("{rows:#?}") };
    assert_eq!(finding.subject.key, widened.change.id);
    assert!(finding.message.contains("s3:DeleteObject"), "{}", finding.message);
    assert_eq!(finding.workload_count, 1);
    let open = [("open", None)];
    until(&database, &open).await;
    // The same again: it is the same finding.
    import_of(&database.store, &second).await;
    until(&database, &open).await;

    let home = Folder::new();
    let of_installation = |arguments: &[&str]| {
        let mut command = rolecall(home.path());
        command.env("DATABASE_URL", &database.url).args(arguments);
        command
    };
    let create = ["admin", "token", "create", "--name", "t", "--days", "1", "--scope", "findings:read"];
    let create = [&create[..], &["--scope", "inventory:read", "--scope", "changes:approve"]].concat();
    let token = run(&mut of_installation(&create)).out.trim().to_owned();
    let serving = Serving::start(of_installation(&["serve", "--bind", "127.0.0.1:0"]));
    let bearer = format!("Authorization: Bearer {token}");
    let ask = |path: &str| -> Value {
        let (status, body) = serving.get_with(path, &bearer);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    // Its workloads are those of the change.
    let key = workload("w1");
    let place: Vec<&str> = key.split('/').collect();
    let listed = |namespace: &str| {
        let path = format!("/api/v1/findings?rule_id={RULE}&namespace={namespace}&cluster={}", place[2]);
        ask(&path)["items"].as_array().unwrap().len()
    };
    assert_eq!((listed(place[3]), listed("nowhere")), (1, 0));
    assert_eq!(ask("/api/v1/findings?subject_kind=change")["items"].as_array().unwrap().len(), 1);

    let approval = format!("/api/v1/changes/{}/approval", widened.change.id);
    let end = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let (status, body) =
        serving.send("POST", &approval, &bearer, &json!({"reason": "New export", "until": end}).to_string());
    assert_eq!(status, 200, "{body}");
    until(&database, &[("resolved", Some("passed"))]).await;

    // It is withdrawn.
    let (status, body) = serving.send("DELETE", &format!("{approval}?reason=mistake"), &bearer, "");
    assert_eq!(status, 200, "{body}");
    until(&database, &open).await;

    // It is approved again, and that ends.
    let (status, body) =
        serving.send("POST", &approval, &bearer, &json!({"reason": "New export", "until": end}).to_string());
    assert_eq!(status, 200, "{body}");
    until(&database, &[("resolved", Some("passed"))]).await;
    let mut connection = database.connect().await.unwrap();
    sqlx::query("update approval set until = now() - interval '1 minute' where until is not null")
        .execute(&mut connection)
        .await
        .unwrap();
    import_of(&database.store, &second).await;
    until(&database, &open).await;

    // It is taken back, which the finding says.
    import_of(&database.store, &first).await;
    let back = change(&database, "inline_policy_changed").await;
    assert_ne!(back.change.id, widened.change.id);
    until(&database, &[("resolved", Some("reversed"))]).await;
    let finding = findings(&database).await.remove(0);
    let events = database.store.finding_events(&finding).await.unwrap();
    assert_eq!(events.last().unwrap().detail["change"], back.change.id);
    assert_eq!(back.change.resource.name, role_arn("w1"));
    serving.stop();
}
