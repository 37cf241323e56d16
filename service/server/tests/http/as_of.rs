//! The inventory as of times that have passed: an estate of three scans, read at each.

use crate::support::{Client, REFUSED, look, observations, refused};
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall::app::App;
use rolecall::audit::rules::Rules;
use rolecall::config::Config;
use rolecall::http::auth::token::Scope as Grant;
use rolecall_estate::Observation;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use std::path::Path;
use std::sync::Arc;

/// A role that the second scan does not show any more, though an association names it.
const GONE: &str = "arn:aws:iam::777788889999:role/pods/search-query";
const CHANGED: &str = "444455556666/eu-west-1/payments-prod-euw1/payments/api";
const CLUSTER: &str = "payments-prod-euw1";
const OTHER: &str = "arn:aws:iam::444455556666:role/pods/ledger-balances";

fn encoded(arn: &str) -> String {
    arn.replace('/', "%2F")
}

fn changed(mut observations: Vec<Observation>) -> Vec<Observation> {
    for observation in &mut observations {
        observation.roles.retain(|role| role.arn.as_str() != GONE);
        for cluster in observation.clusters.iter_mut().filter(|cluster| cluster.name.as_str() == CLUSTER) {
            cluster.version = Some("1.99".to_owned());
        }
        for association in &mut observation.associations {
            if association.key.to_string() == CHANGED {
                association.detail.as_mut().unwrap().role_arn = OTHER.to_owned();
            }
        }
    }
    observations
}

/// The moment after a scan, as a query has it.
fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

struct Scans {
    app: App,
    /// Before any, and after the first, the second and the third.
    at: [String; 4],
}

async fn scans() -> Scans {
    let store = rolecall_store::testing::database().await.unwrap().store;
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let rules = Arc::new(Rules::load(Some(&policies)).unwrap());
    let before = written(store.now().await.unwrap());
    let first = observations();
    look(&store, &rules, &first).await;
    let after_first = written(store.now().await.unwrap());
    let second = changed(first);
    look(&store, &rules, &second).await;
    let after_second = written(store.now().await.unwrap());
    look(&store, &rules, &refused(second)).await;
    let after_third = written(store.now().await.unwrap());
    let hub = rolecall_collect::Hub::Environment { profile: None, region: None, endpoint_url: None };
    let app = App::new(store, rules, Config::default(), hub, false).await.unwrap();
    Scans { app, at: [before, after_first, after_second, after_third] }
}

#[tokio::test]
async fn the_api_tells_the_inventory_of_each_time() {
    let Scans { app, at: [before, first, second, third] } = scans().await;
    let client = Client::program(&app, &[Grant::InventoryRead]).await;
    let role = format!("/api/v1/roles/{}", encoded(GONE));
    let was = client.json(&format!("{role}?at={first}")).await;
    assert_eq!((&was["arn"], &was["open_findings"]), (&GONE.into(), &serde_json::Value::Null));
    for at in [&second, &third] {
        assert_eq!(client.get(&format!("{role}?at={at}")).await.status, StatusCode::NOT_FOUND, "{at}");
    }
    assert_eq!(client.get(&role).await.status, StatusCode::NOT_FOUND);

    let association = async |at: &str| {
        let found = client.json(&format!("/api/v1/associations/{CHANGED}{at}")).await;
        found["detail"]["role_arn"].as_str().unwrap().to_owned()
    };
    let now = association("").await;
    assert_eq!(now, OTHER);
    assert_eq!(association(&format!("?at={second}")).await, OTHER);
    assert_ne!(association(&format!("?at={first}")).await, OTHER);

    let version = async |at: &str| {
        let found = client.json(&format!("/api/v1/clusters/444455556666/eu-west-1/{CLUSTER}{at}")).await;
        assert_eq!(found["open_findings"].is_null(), !at.is_empty(), "{at}");
        found["version"].as_str().unwrap().to_owned()
    };
    assert_eq!((version("").await.as_str(), version(&format!("?at={second}")).await.as_str()), ("1.99", "1.99"));
    assert_ne!(version(&format!("?at={first}")).await, "1.99");

    let of = async |list: &str, at: &str| {
        let found = client.json(&format!("/api/v1/{list}at={at}&limit=1000")).await;
        found["items"].as_array().unwrap().clone()
    };
    let arns = async |at: &str| -> Vec<String> {
        of("roles?", at).await.iter().map(|role| role["arn"].as_str().unwrap().to_owned()).collect()
    };
    let (were, are) = (arns(&first).await, arns(&second).await);
    let gone: Vec<&String> = were.iter().filter(|arn| !are.contains(arn)).collect();
    assert_eq!((gone, are.iter().all(|arn| were.contains(arn))), (vec![&GONE.to_owned()], true));
    assert_eq!(of("roles?", &second).await, of("roles?", &third).await, "a refused listing proves nothing gone");
    // The changed association names its former role no more.
    let free = "roles?associated=false&";
    assert_eq!(of(free, &first).await.len() + 1, of(free, &second).await.len());
    let with = |role: &str| format!("associations?role_arn={role}&");
    assert_eq!(of(&with(OTHER), &first).await.len() + 1, of(&with(OTHER), &second).await.len());

    let versions = async |at: &str| -> Vec<String> {
        of("clusters?", at).await.iter().map(|it| it["version"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let is_new = |version: &&String| *version == "1.99";
    assert_eq!(versions(&first).await.iter().filter(is_new).count(), 0);
    assert_eq!(versions(&second).await.iter().filter(is_new).count(), 1);
    assert_eq!(versions(&first).await.len(), versions(&third).await.len());

    // What was not seen at a time is a gap of that time.
    let gaps = async |at: &str| of("coverage?complete=false&", at).await.len();
    assert_eq!((gaps(&first).await, gaps(&second).await, gaps(&third).await), (0, 0, 2));
    let coverage = of("coverage?complete=false&", &third).await;
    assert!(
        coverage.iter().all(|it| it["account_id"] == REFUSED && it["gaps"][0]["reason"] == "denied"),
        "{coverage:?}"
    );
    assert_eq!(of("coverage?", &first).await.len(), of("coverage?", &third).await.len());
    let account = async |at: &str| {
        let accounts = of("accounts?", at).await;
        accounts.into_iter().find(|it| it["id"] == REFUSED).unwrap()
    };
    assert_eq!(account(&second).await["gap_scopes"], 0);
    assert_eq!(account(&third).await["gap_scopes"], 2);
    assert_eq!(account(&first).await["roles"].as_u64().unwrap(), account(&second).await["roles"].as_u64().unwrap() + 1);

    // A time of which nothing can be told is refused.
    for (at, why) in [
        (before.as_str(), "is before the first scan"),
        ("2999-01-01T00:00:00Z", "is still to come"),
        ("2999-01-01", "is still to come"),
        ("1999-01-01", "is before the first scan"),
        ("soon", "is not a time such as"),
    ] {
        for path in ["accounts?", "clusters?", "coverage?", "roles?", "associations?"] {
            let answer = client.get(&format!("/api/v1/{path}at={at}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {at}: {}", answer.text);
            assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains(why), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn pages_keep_to_the_time_that_they_show() {
    let Scans { app, at: [before, first, second, third] } = scans().await;
    let client = Client::person(&app).await;
    let page = async |path: String| {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.text
    };
    let given = first.replace('+', "%2B");
    for path in [
        "/accounts".to_owned(),
        format!("/accounts/{REFUSED}"),
        "/clusters".to_owned(),
        format!("/clusters/444455556666/eu-west-1/{CLUSTER}"),
        "/roles".to_owned(),
        "/associations".to_owned(),
    ] {
        let text = page(format!("{path}?at={given}")).await;
        assert!(text.contains("As of "), "{path}");
        assert!(text.contains(&format!("href=\"{path}\"")), "{path} links to now");
        for section in ["accounts", "clusters", "roles", "associations"] {
            assert!(text.contains(&format!("href=\"/{section}?at=")), "{path} leads to {section} of that time");
        }
        assert!(!page(path.clone()).await.contains("As of "), "{path}");
    }
    let role = |at: &str| format!("/roles/{}?at={at}", encoded(GONE));
    assert!(page(role(&first)).await.contains(GONE));
    assert_eq!(client.get(&role(&second)).await.status, StatusCode::NOT_FOUND);
    let association = page(format!("/associations/{CHANGED}?at={first}")).await;
    assert!(association.contains("As of ") && !association.contains("ledger-balances"), "the role of that time");
    assert!(page(format!("/associations/{CHANGED}?at={second}")).await.contains("ledger-balances"));
    // A gap of that time is told.
    assert!(page(format!("/accounts/{REFUSED}?at={third}")).await.contains("listings are incomplete"));
    assert!(page(format!("/accounts/{REFUSED}?at={second}")).await.contains("Coverage complete"));
    let refused = client.get(&format!("/roles?at={before}")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("before the first scan"), "{}", refused.text);
}

/// A list of add-ons that broke off says nothing of one that is not in it.
#[tokio::test]
async fn an_incomplete_list_of_addons_is_no_lack_of_one() {
    let store = rolecall_store::testing::database().await.unwrap().store;
    let rules = Arc::new(Rules::load(None).unwrap());
    let mut seen = observations();
    for observation in &mut seen {
        let mut clusters = observation.clusters.iter_mut().filter(|cluster| cluster.name.as_str() == CLUSTER);
        let scope = clusters.next().map(|cluster| {
            cluster.addons.as_mut().unwrap().retain(|addon| addon.name != "eks-pod-identity-agent");
            let (account, region, name) = (cluster.account_id, cluster.region.clone(), cluster.name.clone());
            Scope::of_cluster(account, ScopeKind::Addons, region, name)
        });
        if let Some(scope) = scope {
            let (action, detail) = ("eks:ListAddons".to_owned(), "not authorized".to_owned());
            observation.coverage.gap(Gap { scope, action, reason: GapReason::Denied, detail, day: None });
        }
    }
    look(&store, &rules, &seen).await;
    let after = written(store.now().await.unwrap());
    look(&store, &rules, &observations()).await;
    let hub = rolecall_collect::Hub::Environment { profile: None, region: None, endpoint_url: None };
    let app = App::new(store, rules, Config::default(), hub, false).await.unwrap();
    let person = Client::person(&app).await;
    let program = Client::program(&app, &[Grant::InventoryRead]).await;
    let path = format!("/clusters/444455556666/eu-west-1/{CLUSTER}");
    let complete = async |at: &str| program.json(&format!("/api/v1{path}{at}")).await["addons_complete"].clone();
    let page = async |at: &str| person.get(&format!("{path}{at}")).await.text;
    let then = format!("?at={after}");
    assert_eq!((complete(&then).await, complete("").await), (false.into(), true.into()));
    let (was, is) = (page(&then).await, page("").await);
    assert!(was.contains("Not seen") && was.contains("Add-ons may be missing") && !was.contains("No add-on"), "{was}");
    assert!(is.contains("Active") && !is.contains("may be missing"), "{is}");
    // Where the list is complete, the agent is not there.
    let other = person.get("/clusters/123456789012/eu-west-1/analytics-dev").await.text;
    assert!(other.contains("No add-on"), "{other}");
}
