//! Whose findings and associations are, on pages, in the API and in what is downloaded.

use crate::support::{Client, Seen, app, look, observations};
use axum::http::StatusCode;
use rolecall::app::App;
use rolecall::audit::rules::Rules;
use rolecall::config::Config;
use rolecall::config::owners::OwnersConfig;
use rolecall::http::auth::token::Scope;
use rolecall_estate::Observation;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const READ: [Scope; 2] = [Scope::FindingsRead, Scope::InventoryRead];

fn items(answer: &Value) -> &Vec<Value> {
    answer["items"].as_array().unwrap()
}

async fn all(client: &Client, path: &str) -> Vec<Value> {
    let joint = if path.contains('?') { '&' } else { '?' };
    items(&client.json(&format!("/api/v1/{path}{joint}limit=1000")).await).clone()
}

/// How many things each owner has; under `true`, `false` and `unknown` how many have one.
fn counted(found: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for item in found {
        let owned = item["owned"].as_str().unwrap();
        assert_eq!(item["owner"].is_string(), owned == "true", "{item}");
        for name in [Some(owned), item["owner"].as_str()].into_iter().flatten() {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// The policies that ship, and a file of ownership rules.
fn with_rules(text: &str) -> Result<Rules, String> {
    let folder = std::env::temp_dir().join(format!("rolecall-owners-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    let file: PathBuf = folder.join("own.yaml");
    std::fs::write(&file, format!("apiVersion: rolecall/v1\nkind: Owners\nspec:\n  owners:\n{text}")).unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let owners = OwnersConfig { file: Some(file), ..OwnersConfig::default() };
    let rules = Rules::load_with(Some(&policies), &owners).map_err(|error| format!("{error:?}"));
    std::fs::remove_dir_all(folder).unwrap();
    rules
}

/// A service whose estate was looked at once for each of these.
async fn service(rules: Rules, each: &[Vec<Observation>]) -> App {
    let store = rolecall_store::testing::database().await.unwrap().store;
    let rules = Arc::new(rules);
    for observations in each {
        look(&store, &rules, observations).await;
    }
    let hub = rolecall_collect::Hub::Environment { profile: None, region: None, endpoint_url: None };
    App::new(store, rules, Config::default(), hub, false).await.unwrap()
}

#[tokio::test]
async fn findings_and_associations_are_filtered_by_owner_in_three_values() {
    let app = app(Seen::Gaps).await;
    let bot = Client::program(&app, &READ).await;
    for list in ["findings?include=folded", "associations"] {
        let found = all(&bot, list).await;
        let counts = counted(&found);
        assert!(counts["unknown"] > 0 && counts["true"] > 0, "{list}: {counts:?}");
        let joint = if list.contains('?') { '&' } else { '?' };
        for (name, count) in &counts {
            let query = match name.as_str() {
                "true" | "false" | "unknown" => format!("owned={name}"),
                owner => format!("owner={owner}"),
            };
            let narrowed = all(&bot, &format!("{list}{joint}{query}")).await;
            assert_eq!((narrowed.len(), &counted(&narrowed)[name]), (*count, count), "{list} {query}");
        }
        assert_eq!(all(&bot, &format!("{list}{joint}owner=nobody-of-this-name")).await, Vec::<Value>::new());
        // An assignee is not an owner.
        if list.starts_with("findings") {
            assert_eq!(all(&bot, &format!("{list}&assignee=shipping")).await, Vec::<Value>::new());
        }
        let because = &found.iter().find(|item| item["owned"] == "unknown").unwrap()["owner_because"];
        assert!(!because["reasons"].as_array().unwrap().is_empty(), "{because}");
    }
    for (path, expected) in [
        ("findings?owned=maybe", "unknown"),
        ("associations?owner=a&at=2026-01-01", "whose something is is told of the present only"),
        ("associations?ownr=a", "owner"),
    ] {
        let answer = bot.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text);
        assert!(answer.text.contains(expected), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn another_value_of_a_tag_is_another_owner_at_the_next_scan() {
    let before = observations();
    let mut after = before.clone();
    let mut moved = None;
    for observation in &mut after {
        for role in
            observation.roles.iter_mut().filter(|role| role.tags.get("owner").is_some_and(|it| it == "settlement"))
        {
            role.tags.insert("owner".to_owned(), "parcels".to_owned());
            moved.get_or_insert_with(|| role.arn.to_string());
        }
    }
    moved.expect("a role of settlement");
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let app = service(Rules::load(Some(&policies)).unwrap(), &[before, after]).await;
    let bot = Client::program(&app, &READ).await;
    assert_eq!(all(&bot, "findings?include=folded&owner=settlement").await, Vec::<Value>::new());
    let found = all(&bot, "findings?include=folded&owner=parcels").await;
    let first = found.first().expect("a finding of parcels");
    let events = bot.json(&format!("/api/v1/findings/{}/events", first["number"])).await;
    let steps: Vec<(&str, &Value)> =
        items(&events).iter().map(|it| (it["kind"].as_str().unwrap(), &it["detail"]["owner"])).collect();
    assert!(steps.contains(&("changed", &json!({"from": "settlement", "to": "parcels"}))), "{steps:?}");
    let fed = bot.json("/api/v1/events?after=0&limit=1000&kind=finding.changed").await;
    let told = items(&fed).iter().find(|it| it["fingerprint"] == first["fingerprint"]).unwrap();
    assert_eq!(told["finding"]["owner"], "parcels");
    // What opened had its owner from the begin on: no step says so.
    assert_eq!(items(&events).iter().filter(|it| it["kind"] == "changed").count(), 1);
    assert!(!all(&bot, "associations?owner=parcels").await.is_empty());
}

#[tokio::test]
async fn ownership_rules_go_before_tags_and_say_where_they_stand() {
    let rules = "    - {owner: data-science, contact: '#data', select: {accounts: ['123456789012']}}\n";
    let app = service(with_rules(rules).unwrap(), &[observations()]).await;
    let bot = Client::program(&app, &READ).await;
    let found = all(&bot, "findings?include=folded&account_id=123456789012").await;
    assert!(!found.is_empty());
    for item in &found {
        assert_eq!((&item["owner"], &item["owner_because"]["source"]), (&json!("data-science"), &json!("rule")));
        assert!(item["owner_because"]["rule"].as_str().unwrap().ends_with("own.yaml:5"), "{item}");
    }
    let person = Client::person(&app).await;
    let page = person.get(&format!("/findings/{}", found[0]["number"])).await.text;
    assert!(page.contains("#data") && page.contains("own.yaml:5"), "{page}");
    let refused = with_rules("    - {owner: a, select: {namespace: [x]}}\n").unwrap_err();
    assert!(refused.contains("own.yaml") && refused.contains("did you mean `namespaces`?"), "{refused}");
}

#[tokio::test]
async fn pages_and_downloads_say_whose_findings_are() {
    let app = app(Seen::Gaps).await;
    let person = Client::person(&app).await;
    let bot = Client::program(&app, &READ).await;
    let overview = person.get("/").await.text;
    let open = all(&bot, "findings?state=open,acknowledged").await;
    let unknown = open.iter().filter(|item| item["owned"] == "unknown").count();
    assert!(overview.contains("Owners with open findings") && overview.contains("href=\"/findings?owned=unknown\""));
    assert!(overview.contains(&format!("{unknown} of unknown owners")), "{unknown}");
    let grouped = person.get("/findings?group=owner").await.text;
    let named = open.iter().find_map(|item| item["owner"].as_str()).unwrap();
    assert!(grouped.contains(&format!("owner={named}\">{named}</a>")), "{named}");
    assert!(grouped.contains("Owner not known") && grouped.contains("owned=unknown\""));
    let list = person.get(&format!("/findings?owner={named}")).await.text;
    assert!(list.contains(&format!("Owner: {named}")));
    let associations = person.get("/associations?owned=unknown").await.text;
    assert!(associations.contains("Undetermined"));
    for list in ["findings", "associations"] {
        let answer = person.get(&format!("/download/{list}?format=csv&owner={named}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let mut read = csv::Reader::from_reader(answer.text.as_bytes());
        let at = read.headers().unwrap().iter().position(|name| name == "owner").unwrap();
        let rows: Vec<String> = read.records().map(|row| row.unwrap()[at].to_owned()).collect();
        assert!(!rows.is_empty() && rows.iter().all(|owner| owner == named), "{list}: {rows:?}");
    }
}
