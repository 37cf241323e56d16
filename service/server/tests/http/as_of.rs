//! The inventory as of times that have passed: an estate of three scans, read at each.

use crate::support::{Client, REFUSED, look, observations, refused};
use axum::http::{Method, StatusCode};
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall::app::App;
use rolecall::audit::rules::Rules;
use rolecall::config::Config;
use rolecall::http::auth::token::Scope as Grant;
use rolecall_estate::Observation;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use serde_json::{Value, json};
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

/// Access as it was: who could assume a role, what a request was decided by, what was used.
#[tokio::test]
async fn access_is_decided_by_what_was_known_then() {
    let Scans { app, at: [before, first, second, third] } = scans().await;
    let client = Client::program(&app, &[Grant::InventoryRead]).await;
    let post = async |path: &str, body: Value| client.send(Method::POST, path, body.to_string()).await;
    let assumable =
        async |role: &str, at: &str| client.json(&format!("/api/v1/roles/{}/assumable-by{at}", encoded(role))).await;
    let workloads = |answer: &Value| -> Vec<(String, String)> {
        let items = answer["workloads"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        items.map(|item| (text(&item["association"]), text(&item["via"]))).collect()
    };
    let former = client.json(&format!("/api/v1/associations/{CHANGED}?at={first}")).await["detail"]["role_arn"].clone();
    let former = former.as_str().unwrap();
    let direct = (CHANGED.to_owned(), "role".to_owned());
    let (was, is) =
        (assumable(former, &format!("?at={first}")).await, assumable(former, &format!("?at={second}")).await);
    assert!(workloads(&was).contains(&direct), "{was}");
    assert!(was["principals"].to_string().contains("pods.eks.amazonaws.com") && was["missing"] == json!([]), "{was}");
    assert!(!workloads(&is).contains(&direct), "{is}");
    assert_eq!(assumable(former, "").await["workloads"], is["workloads"]);
    // The role that the association names now asks for the tags of another service account.
    let now = assumable(OTHER, "").await;
    assert!(!workloads(&now).is_empty() && !workloads(&now).contains(&direct), "{now}");

    // A role that is gone could be assumed while it was there.
    let gone = format!("/api/v1/roles/{}/assumable-by", encoded(GONE));
    assert_eq!(client.get(&gone).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get(&format!("{gone}?at={second}")).await.status, StatusCode::NOT_FOUND);
    assert!(!workloads(&assumable(GONE, &format!("?at={first}")).await).is_empty());

    // Pods act as the role that their association named then.
    let question = json!({"principal": CHANGED, "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"});
    let decided = async |at: &str| {
        let answer = post(&format!("/api/v1/simulate{at}"), question.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["principal"].as_str().unwrap().to_owned()
    };
    assert_ne!(decided(&format!("?at={first}")).await, OTHER);
    assert_eq!((decided(&format!("?at={second}")).await, decided("").await), (OTHER.to_owned(), OTHER.to_owned()));

    // What was used, and granted, until then.
    for what in ["usage", "unused-access"] {
        for of in [format!("roles/{}", encoded(OTHER)), format!("associations/{CHANGED}")] {
            client.json(&format!("/api/v1/{of}/{what}?at={first}&days=30")).await;
        }
    }
    let unused = |at: &str| format!("/api/v1/associations/{CHANGED}/unused-access{at}");
    let granted = async |at: &str| client.json(&unused(at)).await["role_arn"].clone();
    assert_ne!(granted(&format!("?at={first}")).await, OTHER);
    assert_eq!(granted(&format!("?at={second}")).await, OTHER);
    let until = client.json(&unused(&format!("?at={first}"))).await["window"]["until"].clone();
    assert!(until.as_str().unwrap().parse::<DateTime<Utc>>().unwrap() <= first.parse::<DateTime<Utc>>().unwrap());

    for at in [before.as_str(), "2999-01-01", "soon"] {
        for path in [gone.as_str(), &unused(""), &format!("/api/v1/associations/{CHANGED}/usage")] {
            assert_eq!(client.get(&format!("{path}?at={at}")).await.status, StatusCode::BAD_REQUEST, "{path} {at}");
        }
        let answer = post(&format!("/api/v1/simulate?at={at}"), question.clone()).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["parameter"]), (StatusCode::BAD_REQUEST, &json!("at")));
    }

    // Pages say of which time they are, and lead on to the same time.
    let person = Client::person(&app).await;
    for path in [
        format!("/assumable-by?role={OTHER}"),
        format!("/unused-access?role={OTHER}"),
        "/usage?days=30".to_owned(),
        format!("/simulate?principal={CHANGED}&action=s3:GetObject"),
    ] {
        let answer = person.get(&format!("{path}&at={third}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert!(answer.text.contains("As of ") && answer.text.contains("href=\"/roles?at="), "{path}");
        assert!(!person.get(&path).await.text.contains("As of 2"), "{path}");
        assert_eq!(person.get(&format!("{path}&at={before}")).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let role = person.get(&format!("/roles/{OTHER}?at={second}")).await.text;
    for link in ["/assumable-by?role=", "/simulate?principal=", "/unused-access?role="] {
        let link = role.split(&format!("href=\"{link}")).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert!(link.contains("at="), "{link}");
    }
}

/// What a scan did not show stays unknown of that time, after a later one showed it again.
#[tokio::test]
async fn what_was_not_confirmed_then_decides_nothing_of_that_time() {
    let store = rolecall_store::testing::database().await.unwrap().store;
    let rules = Arc::new(Rules::load(None).unwrap());
    let seen = observations();
    let role = seen.iter().flat_map(|it| &it.roles).find(|role| role.arn.account_id().to_string() == REFUSED);
    let role = role.unwrap().arn.to_string();
    let mut at = Vec::new();
    for observations in [seen.clone(), refused(seen.clone()), seen] {
        look(&store, &rules, &observations).await;
        at.push(written(store.now().await.unwrap()));
    }
    let hub = rolecall_collect::Hub::Environment { profile: None, region: None, endpoint_url: None };
    let app = App::new(store, rules, Config::default(), hub, false).await.unwrap();
    let client = Client::program(&app, &[Grant::InventoryRead]).await;
    let question = json!({"principal": role, "action": "iam:GetRole", "resource": role, "closed": true}).to_string();
    let decided = async |at: &str| {
        let answer = client.send(Method::POST, &format!("/api/v1/simulate{at}"), question.clone()).await.json();
        (answer["decision"].as_str().unwrap().to_owned(), answer["notes"].to_string())
    };
    let at: Vec<String> = at.iter().map(|at| format!("?at={at}")).collect();
    let [first, second, third] = at.as_slice() else { panic!("three scans") };
    let known = decided("").await;
    assert_ne!(known.0, "Unknown", "{known:?}");
    assert_eq!((decided(first).await, decided(third).await), (known.clone(), known));
    let then = decided(second).await;
    assert!(then.0 == "Unknown" && then.1.contains("as it was last seen"), "{then:?}");
    let path = format!("/api/v1/roles/{}/assumable-by", encoded(&role));
    let missing = async |at: &str| client.json(&format!("{path}{at}")).await["missing"].clone();
    assert_eq!((missing(first).await, missing("").await), (json!([]), json!([])));
    assert_eq!(missing(second).await[0]["kind"], "gap");
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
