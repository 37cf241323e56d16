//! Change events, from trail files to the API and the export.

use crate::api::is_problem;
use crate::support::{Client, Seen, app_over};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use rolecall_sandbox::change::{CALLS, ChangeCall, by_role, by_user};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const ACCOUNT: &str = "111122223333";

fn call(n: usize, service: &'static str, operation: &'static str, at: DateTime<Utc>) -> ChangeCall<'static> {
    let document = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{n}]}}");
    let input = match service {
        "eks" => {
            json!({"clusterName": "shop", "namespace": "shop", "serviceAccount": format!("sa-{n}"), "addonName": "vpc-cni"})
        }
        _ => {
            json!({"RoleName": format!("Role-{n}"), "PolicyDocument": document, "PolicyId": format!("p-{n}"), "Name": "main"})
        }
    };
    ChangeCall {
        service,
        operation,
        input,
        output: Value::Null,
        at: at - TimeDelta::minutes(i64::try_from(n).unwrap()),
        account: ACCOUNT,
        region: "eu-west-1",
        by: if n.is_multiple_of(2) {
            by_role(&format!("arn:aws:iam::{ACCOUNT}:role/ci/deployer"), "ana", at)
        } else {
            by_user(ACCOUNT, "bob")
        },
        address: "198.51.100.7",
        user_agent: "APN/1.0 HashiCorp/1.0 Terraform/1.9.5",
        from_console: false,
        error: (n % 7 == 3).then_some(("AccessDenied", "not authorized")),
    }
}

fn rolecall(url: &str, home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    command.env_clear().env("HOME", home).env("DATABASE_URL", url).current_dir(home).args(arguments);
    let ended = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}", text(ended.stderr));
    text(ended.stdout)
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn walked(client: &Client, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.json(&format!("/api/v1/change-events?limit=20{query}{cursor}")).await;
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_and_the_export_give_what_the_trail_told() {
    let database = rolecall_store::testing::database().await.unwrap();
    let home = std::env::temp_dir().join(format!("rolecall-changes-{}", uuid::Uuid::new_v4()));
    let lies = home.join(format!("trail/AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/11/03"));
    std::fs::create_dir_all(&lies).unwrap();
    let at = Utc::now() - TimeDelta::hours(2);
    let records: Vec<Value> =
        CALLS.iter().enumerate().map(|(n, (service, operation))| call(n, service, operation, at).record()).collect();
    // Each twice, in another file.
    for (n, records) in [&records[..50], &records[30..], &records[..]].into_iter().enumerate() {
        let name = format!("{ACCOUNT}_CloudTrail_eu-west-1_20261103T0000Z_{n:016}.json");
        std::fs::write(lies.join(name), json!({ "Records": records }).to_string()).unwrap();
    }
    let failed = (0..CALLS.len()).filter(|n| n % 7 == 3).count();
    let import = ["--format", "json", "import", "--stats", "trail"];
    let (url, folder) = (database.url.clone(), home.clone());
    let summary: Value = tokio::task::spawn_blocking(move || {
        let summary = serde_json::from_str(&rolecall(&url, &folder, &import)).unwrap();
        rolecall(&url, &folder, &import);
        summary
    })
    .await
    .unwrap();
    let trail = &summary["trail"];
    assert_eq!(
        [&trail["read"]["change_events"], &trail["read"]["failed_change_events"], &trail["change_events_written"]],
        [&json!(CALLS.len()), &json!(failed), &json!(CALLS.len())]
    );

    let (url, folder) = (database.url.clone(), home.clone());
    let (ndjson, csv) = tokio::task::spawn_blocking(move || {
        let export = |format| rolecall(&url, &folder, &["export", "change-events", "--format", format]);
        (export("ndjson"), export("csv"))
    })
    .await
    .unwrap();
    let exported = rows(&ndjson);
    assert_eq!(exported.len(), CALLS.len());
    let app = app_over(database.store.clone(), Seen::Nothing, Config::default()).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    assert_eq!(walked(&client, "").await, exported, "the API and the export agree");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(head.iter().collect::<Vec<_>>(), exported[0].as_object().unwrap().keys().collect::<Vec<_>>());
    let cells: Vec<(String, String)> =
        reader.records().map(|row| row.unwrap()).map(|row| (row[0].to_owned(), row[20].to_owned())).collect();
    let expected = exported.iter().map(|row| {
        let request = &row["request"];
        let text = if request.is_null() { String::new() } else { request.to_string() };
        (row["event_id"].as_str().unwrap().to_owned(), text)
    });
    assert_eq!(cells, expected.collect::<Vec<_>>());
    // As CloudTrail told it, by time, the newest first.
    for (row, record) in exported.iter().zip(&records) {
        assert_eq!(
            [
                &row["event_id"],
                &row["event_name"],
                &row["request"],
                &row["error_code"],
                &row["account_id"],
                &row["region"]
            ],
            [
                &record["eventID"],
                &record["eventName"],
                &record["requestParameters"],
                record.get("errorCode").unwrap_or(&Value::Null),
                &record["recipientAccountId"],
                &record["awsRegion"]
            ]
        );
        assert_eq!(row["agent_class"], "terraform");
    }

    let since = (at - TimeDelta::minutes(10)).format("%Y-%m-%dT%H:%M:%SZ");
    for (query, expected) in [
        (format!("account_id={ACCOUNT}"), CALLS.len()),
        ("account_id=444455556666".to_owned(), 0),
        ("denied=true".to_owned(), failed),
        ("denied=false".to_owned(), CALLS.len() - failed),
        ("event_name=PutRolePolicy".to_owned(), 1),
        ("actor=user/bob".to_owned(), CALLS.len() / 2),
        ("actor=role/CI/deployer".to_owned(), CALLS.len().div_ceil(2)),
        // Whatever the path and the letter case.
        (format!("resource=arn:aws:iam::{ACCOUNT}:role/team/rOLE-7"), 1),
        (format!("resource={ACCOUNT}/eu-west-1/shop/shop/sa-32"), 1),
        ("resource=p-53".to_owned(), 1),
        ("resource=a-none".to_owned(), 0),
        ("resource_type=AWS::CloudTrail::Trail".to_owned(), 6),
        (format!("since={since}"), 11),
        (format!("until={since}"), CALLS.len() - 11),
        (format!("since={since}&denied=true&event_name={}", CALLS[3].1), 1),
    ] {
        let found = walked(&client, &format!("&{query}")).await;
        assert_eq!(found.len(), expected, "{query}");
        assert!(found.iter().all(|row| exported.contains(row)), "{query}");
    }
    is_problem(&client.get("/api/v1/change-events?denied=perhaps").await, 400, "invalid_parameter");
    is_problem(&client.get("/api/v1/change-events?actr=x").await, 400, "unknown_parameter");
    let page = client.json("/api/v1/change-events?limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let other = client.get(&format!("/api/v1/change-events?limit=1&denied=true&cursor={cursor}")).await;
    is_problem(&other, 400, "cursor_mismatch");
    let without = Client::program(&app, &[Scope::FindingsRead]).await;
    assert_eq!(without.get("/api/v1/change-events").await.status.as_u16(), 403);
    std::fs::remove_dir_all(&home).unwrap();
}
