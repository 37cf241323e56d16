//! Whoever may see a part of the estate reads nothing outside it, by any route.
//!
//! Two organizations stand in one store: the demo's, and the same under other names. Whoever is limited to a namespace
//! of the first may read no name of the second anywhere, and of the first nothing that is another namespace's.

use crate::api::is_problem;
use crate::changes::allow_some;
use crate::support::{Answer, Client, Seen, app_over, demo_files, look, observed};
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use chrono::{TimeDelta, Utc};
use rolecall::app::App;
use rolecall::audit::attribute::attribute_due_sessions;
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use rolecall_estate::{Observation, Session};
use rolecall_import::InputFile;
use rolecall_store::testing::{Database, database};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Ends every name of the second organization.
const MARK: &str = "zqx";
/// The accounts of the demo, and what they are in the second organization.
const ACCOUNTS: [(&str, &str); 4] = [
    ("111122223333", "611162226333"),
    ("123456789012", "623456789062"),
    ("444455556666", "644465556666"),
    ("777788889999", "677768889999"),
];
const ROLE: &str = "arn:aws:iam::777788889999:role/pods/search-query";
/// Shared with workloads of other namespaces.
const SHARED: &str = "arn:aws:iam::777788889999:role/platform-shared-cache";
const OWN: &str = "777788889999/eu-west-1/commerce-prod-euw1/search/query";
const NAMESPACE: &str = "namespace:777788889999/eu-west-1/commerce-prod-euw1/search";

/// Each name of a text that is to be another one is that.
fn renamed(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    while let Some(first) = rest.chars().next() {
        // Documents are percent-encoded, and their names begin after the digits.
        let length = match first {
            '%' => 3.min(rest.len()),
            c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (taken, left) = rest.split_at(length);
        out.push_str(names.get(taken).map_or(taken, String::as_str));
        rest = left;
    }
    out
}

/// The second organization: the first under other names.
fn others(files: &[InputFile], seen: &[Observation]) -> Vec<Observation> {
    let mut names: BTreeMap<String, String> = ACCOUNTS.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let mut mark = |name: &str| drop(names.insert(name.to_owned(), format!("{name}{MARK}")));
    for observation in seen {
        for association in &observation.associations {
            let key = &association.key;
            mark(key.cluster.as_str());
            mark(key.namespace.as_str());
            mark(&association.association_id);
        }
        observation.roles.iter().for_each(|role| mark(role.arn.name()));
        observation.org_units.iter().for_each(|unit| mark(&unit.id));
        observation.account.iter().filter_map(|account| account.organization_id.as_ref()).for_each(|id| mark(id));
    }
    let copied: Vec<InputFile> = files
        .iter()
        .filter(|file| !file.path.starts_with("trail/"))
        .map(|file| InputFile {
            path: renamed(&file.path, &names),
            bytes: renamed(std::str::from_utf8(&file.bytes).unwrap(), &names).into_bytes(),
        })
        .collect();
    let mut found = observed(&copied);
    let mut sessions: Vec<Session> = Vec::new();
    for session in seen.iter().flat_map(|observation| &observation.sessions) {
        let text = renamed(&serde_json::to_string(session).unwrap(), &names);
        let mut session: Session = serde_json::from_str(&text).unwrap();
        session.event_id.push_str(MARK);
        for key in [&mut session.access_key_id, &mut session.parent_access_key_id].into_iter().flatten() {
            key.truncate(17);
            key.push_str("ZQX");
        }
        sessions.push(session);
    }
    for observation in &mut found {
        let account = observation.account.as_ref().map(|account| account.id);
        let (own, left) = sessions.into_iter().partition(|session| Some(session.account_id) == account);
        observation.sessions = own;
        sessions = left;
    }
    assert!(found.iter().map(|observation| observation.sessions.len()).sum::<usize>() > 500, "with their sessions");
    found
}

/// Both organizations, with changes of roles on both sides and what people did.
async fn both() -> (Database, App) {
    let database = database().await.expect("a database");
    let app = app_over(database.store.clone(), Seen::Nothing, Config::default()).await;
    let files = demo_files();
    let mut seen = observed(&files);
    seen.extend(others(&files, &seen));
    look(&app.store, &app.rules, &seen).await;
    attribute_due_sessions(&app.store).await.unwrap();
    let changed = |role: &rolecall_estate::Role| {
        ["search-query", "search-queryzqx", "platform-shared-cache"].contains(&role.arn.name())
    };
    for (action, hours) in [("s3:GetObject", 2), ("s3:*", 1)] {
        allow_some(&app, &mut seen, action, Utc::now() - TimeDelta::hours(hours), changed).await;
    }
    (database, app)
}

/// Every path of the contract that answers to `GET`.
fn paths() -> Vec<String> {
    let document = serde_json::to_value(rolecall::http::openapi()).unwrap();
    let all = document["paths"].as_object().unwrap().clone();
    all.into_iter().filter(|(_, item)| item.get("get").is_some()).map(|(path, _)| path).collect()
}

fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace(':', "%3A")
}

fn strings<'a>(items: &'a Value, name: &str) -> BTreeSet<&'a str> {
    items["items"].as_array().unwrap().iter().filter_map(|item| item[name].as_str()).collect()
}

/// What an address is asked for by somebody who may see all, with the ids of both sides.
struct Ids {
    findings: Vec<(i64, String)>,
    changes: Vec<String>,
    associations: Vec<String>,
    roles: Vec<String>,
    sessions: Vec<(String, String)>,
    clusters: Vec<(String, String, String)>,
}

async fn ids(all: &Client) -> Ids {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let items = async |path: &str| all.json(path).await["items"].as_array().unwrap().clone();
    let states = "state=open,acknowledged,suppressed,resolved";
    let mut findings = Vec::new();
    let mut next = format!("/api/v1/findings?limit=500&include=folded&{states}");
    loop {
        let page = all.json(&next).await;
        findings.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("/api/v1/findings?limit=500&include=folded&{states}&cursor={cursor}"),
            None => break,
        }
    }
    Ids {
        findings: findings.iter().map(|it| (it["number"].as_i64().unwrap(), text(it, "fingerprint"))).collect(),
        changes: items("/api/v1/changes?limit=1000").await.iter().map(|it| text(it, "change_id")).collect(),
        associations: items("/api/v1/associations?limit=1000").await.iter().map(|it| text(it, "key")).collect(),
        roles: items("/api/v1/roles?limit=1000").await.iter().map(|it| text(it, "arn")).collect(),
        sessions: items("/api/v1/sessions?limit=1000")
            .await
            .iter()
            .map(|it| (text(it, "account_id"), text(it, "event_id")))
            .collect(),
        clusters: items("/api/v1/clusters")
            .await
            .iter()
            .map(|it| (text(it, "account_id"), text(it, "region"), text(it, "name")))
            .collect(),
    }
}

/// What is of neither the limited namespace nor anything that it rests on.
fn outside(ids: &Ids) -> BTreeSet<String> {
    let mut marks: BTreeSet<String> = ACCOUNTS.iter().map(|(_, other)| (*other).to_owned()).collect();
    marks.insert(MARK.to_owned());
    marks.insert(MARK.to_uppercase());
    for place in ["payments-prod-euw1", "payments-dr-euc1", "analytics-dev", "commerce-edge-use1"] {
        marks.insert(place.to_owned());
    }
    // A workload of another namespace, also where it shares a role.
    marks.extend(ids.associations.iter().filter(|key| !is_own(key)).cloned());
    marks
}

fn is_own(key: &str) -> bool {
    key.starts_with("777788889999/eu-west-1/commerce-prod-euw1/search/")
}

/// What is told of outside. A refusal, and the form of a page, say what was asked for, and nothing else of it.
fn leaks(answer: &Answer, address: &str, id: &str, marks: &BTreeSet<String>) -> Vec<String> {
    let mut text = answer.text.clone();
    if answer.status != StatusCode::OK || (address.contains('?') && !address.starts_with("/api")) {
        let decoded = percent_encoding::percent_decode_str(address).decode_utf8().unwrap();
        text = text.replace("%2F", "/").replace("%3A", ":");
        for given in [address, &decoded, id.rsplit('=').next().unwrap_or_default()] {
            text = if given.is_empty() { text } else { text.replace(given, "") };
        }
    }
    let text = with_plain_cursors(&text).replace("%2F", "/").replace("%3A", ":").replace("&#47;", "/");
    let around = |mark: &str| {
        let (before, after) = text.split_once(mark)?;
        let before: Vec<char> = before.chars().rev().take(120).collect();
        let (before, after): (String, String) = (before.iter().rev().collect(), after.chars().take(120).collect());
        Some(format!("{address}: …{before}{mark}{after}…"))
    };
    marks.iter().filter_map(|mark| around(mark)).collect()
}

/// The text with what each cursor says in its place: a signature may hold any three letters by chance.
fn with_plain_cursors(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let (token, end) = piece.split_at(piece.rfind(|c| !is_part(c)).unwrap_or(piece.len()));
        let said = token.rsplit_once('.').filter(|(said, signature)| said.len() > 12 && signature.len() == 43);
        match said.and_then(|(said, _)| URL_SAFE_NO_PAD.decode(said).ok()) {
            Some(said) => out.push_str(&String::from_utf8_lossy(&said)),
            None => out.push_str(token),
        }
        out.push_str(end);
    }
    out
}

#[test]
fn what_a_cursor_says_is_read_and_its_signature_is_not() {
    let said = URL_SAFE_NO_PAD.encode(r#"{"after":"eu-zqx"}"#);
    let shown = with_plain_cursors(&format!("cursor={said}.{}zqx\"", "A".repeat(40)));
    assert_eq!(shown, r#"cursor={"after":"eu-zqx"}""#);
}

/// The addresses of a path of the contract, with the id in each: with every id that there is.
fn addresses(path: &str, ids: &Ids) -> Vec<(String, String)> {
    if path == "/api/v1/who-can" {
        let asked = ["action=s3:GetObject", "action=sts:AssumeRole&resource=*"];
        return asked.map(|query| (format!("{path}?{query}"), String::new())).to_vec();
    }
    if path == "/api/v1/reports/access" {
        let of = |name: &str, id: &String| (format!("{path}?{name}={}", encoded(id)), id.clone());
        let workloads = ids.associations.iter().map(|key| of("workload", key));
        return workloads.chain(ids.roles.iter().map(|arn| of("role", arn))).collect();
    }
    let Some((before, _)) = path.split_once("/{") else {
        let at = Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
        let each = [String::new(), "?limit=1000".to_owned(), "?limit=2".to_owned(), format!("?limit=1000&at={at}")];
        return each.map(|query| (format!("{path}{query}"), String::new())).to_vec();
    };
    let after = path.rsplit_once('}').map_or("", |(_, after)| after);
    let of = |ids: Vec<String>| {
        let each = ids.into_iter().map(|id| {
            let given = if id.starts_with("arn:") || id.starts_with("v1:") { encoded(&id) } else { id.clone() };
            (format!("{before}/{given}{after}"), id)
        });
        each.collect()
    };
    match before.trim_start_matches("/api/v1/") {
        "findings" => {
            let each = ids.findings.iter().flat_map(|(number, print)| [number.to_string(), print.clone()]);
            of(each.collect())
        }
        "changes" => of(ids.changes.clone()),
        "baselines" => of(vec!["bl_0".to_owned()]),
        "rules" => of(vec!["wildcard-action".to_owned(), "shared-role".to_owned()]),
        "scans" => of(vec!["1".to_owned()]),
        "webhooks" => of(vec!["w".to_owned()]),
        "associations" => of(ids.associations.clone()),
        "roles" => of(ids.roles.clone()),
        "sessions" => of(ids.sessions.iter().map(|(account, event)| format!("{account}/{event}")).collect()),
        "clusters" => of(ids.clusters.iter().map(|(a, region, name)| format!("{a}/{region}/{name}")).collect()),
        other => panic!("{path}: no sample of `{other}`"),
    }
}

/// Paths of the API that nobody with limits comes to.
const REFUSED: &[&str] = &[
    "/api/v1/audit-log",
    "/api/v1/webhooks",
    "/api/v1/webhooks/{webhook}/deliveries",
    "/api/v1/ingestion",
    "/api/v1/scans",
    "/api/v1/scans/{id}",
    "/api/v1/tokens",
];

/// Asks for everything that the API has, and gives what is told of outside.
async fn walk(limited: &Client, ids: &Ids, marks: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths() {
        for (address, id) in addresses(&path, ids) {
            let answer = limited.get(&address).await;
            found.extend(leaks(&answer, &address, &id, marks));
            match answer.status {
                StatusCode::OK => assert!(!REFUSED.contains(&path.as_str()), "{address}"),
                // What others do with a role decides what of it is not used.
                StatusCode::FORBIDDEN if path == "/api/v1/roles/{arn}/unused-access" => {}
                StatusCode::FORBIDDEN => assert!(REFUSED.contains(&path.as_str()), "{address}: {}", answer.text),
                StatusCode::NOT_FOUND => is_problem(&answer, 404, "not_found"),
                StatusCode::BAD_REQUEST if address.contains("limit=") => {}
                other => found.push(format!("{address}: {other} {}", answer.text)),
            }
        }
    }
    found
}

#[tokio::test]
async fn nothing_outside_a_limit_is_read_by_any_route_of_the_api() {
    let (database, app) = both().await;
    let all = Client::program(&app, &[Scope::Admin]).await;
    let limited = Client::limited(&app, &[Scope::Admin], &[NAMESPACE]).await;
    let ids = ids(&all).await;
    let marks = outside(&ids);
    assert!(ids.associations.iter().any(|key| key.contains(MARK)) && ids.changes.len() > 5, "{:?}", ids.changes);
    let found = walk(&limited, &ids, &marks).await;
    assert!(found.is_empty(), "{} leaks\n{}", found.len(), found[..found.len().min(25)].join("\n"));

    // A place in a list that somebody read who may see all, and filters by what is not seen.
    for list in ["findings", "associations", "roles", "sessions", "changes", "clusters"] {
        let first = all.json(&format!("/api/v1/{list}?limit=3")).await;
        let Some(cursor) = first["next_cursor"].as_str() else { continue };
        let address = format!("/api/v1/{list}?limit=3&cursor={cursor}");
        let answer = limited.get(&address).await;
        assert_eq!(answer.status, StatusCode::OK, "{list}: {}", answer.text);
        assert_eq!(leaks(&answer, &address, "", &marks), [""; 0]);
    }
    for query in [
        "findings?q=checkout",
        "findings?namespace=checkout",
        "findings?association=777788889999/eu-west-1/commerce-prod-euw1/checkout/cache-warmer",
        "associations?namespace=checkout",
        "changes?workload=777788889999/eu-west-1/commerce-prod-euw1/checkout/orders",
        "sessions?role_arn=arn:aws:iam::777788889999:role/pods/checkout-orders",
        "events?after=0&limit=1000&kind=scan.started",
        "baselines",
        "change-events",
    ] {
        let found = limited.json(&format!("/api/v1/{query}")).await;
        assert_eq!(found["items"], json!([]), "{query}");
    }

    // What is theirs is there, whole.
    let own: Vec<&str> = ids.associations.iter().map(String::as_str).filter(|key| is_own(key)).collect();
    let seen = limited.json("/api/v1/associations?limit=1000").await;
    assert_eq!(strings(&seen, "key"), own.iter().copied().collect());
    assert_eq!(seen["total"]["count"], json!(own.len()), "{seen}");
    let roles = limited.json("/api/v1/roles?limit=1000").await;
    let details = seen["items"].as_array().unwrap().iter().map(|item| item["detail"]["role_arn"].as_str().unwrap());
    assert_eq!(strings(&roles, "arn"), details.collect(), "{SHARED} among them");
    let role = limited.json(&format!("/api/v1/roles/{}", encoded(ROLE))).await;
    assert_eq!(role["documents"], all.json(&format!("/api/v1/roles/{}", encoded(ROLE))).await["documents"]);
    let changed = limited.json("/api/v1/changes").await;
    assert_eq!(strings(&changed, "resource"), [ROLE, SHARED].into());
    let findings = limited.json("/api/v1/findings?limit=1000").await;
    assert!(findings["items"].as_array().unwrap().len() > 2, "{findings}");
    let ways = findings["items"].as_array().unwrap().iter().flat_map(|it| it["workloads"].as_array().unwrap());
    assert!(ways.clone().count() > 0 && ways.clone().all(|it| it["namespace"] == "search"), "{findings}");
    let sessions = limited.json("/api/v1/sessions?limit=1000").await;
    assert_eq!(strings(&sessions, "namespace"), ["search"].into());
    let events = limited.json("/api/v1/events?after=0&limit=1000").await;
    assert!(strings(&events, "kind").is_superset(&["finding.opened", "change.detected"].into()), "{events}");

    // A policy that is not there would have shown.
    let mut owner = database.connect().await.unwrap();
    sqlx::raw_sql("create policy slip on finding_workload for select to rolecall_limited using (true)")
        .execute(&mut owner)
        .await
        .unwrap();
    let ids = Ids { sessions: Vec::new(), roles: Vec::new(), associations: Vec::new(), ..ids };
    let found = walk(&limited, &ids, &marks).await;
    assert!(found.iter().any(|leak| leak.contains("checkout/cache-warmer")), "{found:?}");
}

/// What of both organizations a limit does not show: names of the second one, and workloads that are not listed.
async fn hidden_from(limited: &Client, ids: &Ids) -> BTreeSet<String> {
    let shown = limited.json("/api/v1/associations?limit=1000").await;
    let shown = strings(&shown, "key");
    assert!(!shown.is_empty() && shown.len() < ids.associations.len(), "{shown:?}");
    let mut marks: BTreeSet<String> = ACCOUNTS.iter().map(|(_, other)| (*other).to_owned()).collect();
    marks.extend([MARK.to_owned(), MARK.to_uppercase()]);
    marks.extend(ids.associations.iter().filter(|key| !shown.contains(key.as_str())).cloned());
    marks
}

#[tokio::test]
async fn nothing_outside_is_read_by_any_route_whatever_kind_of_limit_it_is() {
    let (_database, app) = both().await;
    let all = Client::program(&app, &[Scope::Admin]).await;
    let ids = ids(&all).await;
    let every = |of: &[String]| -> Vec<String> { of.iter().step_by(6).cloned().collect() };
    let some = Ids {
        findings: ids.findings.iter().step_by(9).cloned().collect(),
        changes: ids.changes.clone(),
        associations: every(&ids.associations),
        roles: every(&ids.roles).into_iter().chain([ROLE.to_owned(), SHARED.to_owned()]).collect(),
        sessions: ids.sessions.iter().step_by(40).cloned().collect(),
        clusters: ids.clusters.clone(),
    };
    let organization = rolecall_sandbox::demo::estate(Utc::now()).organization.unwrap();
    let unit = organization.members.into_iter().find(|member| member.id == "444455556666").unwrap().parent;
    for limit in [
        format!("ou:{unit}"),
        "account:777788889999".to_owned(),
        "cluster:777788889999/eu-west-1/commerce-prod-euw1".to_owned(),
        NAMESPACE.to_owned(),
    ] {
        let limited = Client::limited(&app, &[Scope::Admin], &[&limit]).await;
        let marks = hidden_from(&limited, &ids).await;
        let found = walk(&limited, &some, &marks).await;
        assert!(found.is_empty(), "{limit}: {} leaks\n{}", found.len(), found[..found.len().min(25)].join("\n"));
        // A place in a list of somebody who may see all, and every filter that names something of the other organization.
        for list in ["findings", "associations", "roles", "sessions", "changes", "clusters"] {
            let first = all.json(&format!("/api/v1/{list}?limit=3")).await;
            let Some(cursor) = first["next_cursor"].as_str() else { continue };
            let answer = limited.get(&format!("/api/v1/{list}?limit=3&cursor={cursor}")).await;
            assert_eq!((answer.status, leaks(&answer, "/api", "", &marks)), (StatusCode::OK, vec![]), "{list} {limit}");
        }
        let role = "arn:aws:iam::677768889999:role/pods/checkout-orderszqx";
        let workload = "677768889999/eu-west-1/commerce-prod-euw1zqx/checkoutzqx/orderszqx";
        for (lists, filter, value) in [
            (
                &["findings", "associations", "roles", "sessions", "changes", "clusters", "baselines"][..],
                "account_id",
                "677768889999",
            ),
            (&["findings", "associations", "sessions"], "namespace", "checkoutzqx"),
            (&["findings", "associations", "sessions"], "cluster", "commerce-prod-euw1zqx"),
            (&["findings", "associations", "sessions"], "role_arn", role),
            (&["findings", "associations", "roles", "clusters"], "q", "zqx"),
            (&["findings"], "association", workload),
            (&["changes"], "workload", workload),
            (&["changes", "baselines", "change-events"], "resource", role),
        ] {
            for list in lists {
                let found = limited.json(&format!("/api/v1/{list}?{filter}={value}")).await;
                assert_eq!(found["items"], json!([]), "{list} by {filter} with {limit}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_worked_out_over_everything_is_shown_as_far_as_it_is_seen() {
    let (_database, app) = both().await;
    let all = Client::program(&app, &[Scope::Admin]).await;
    let limited = Client::limited(&app, &[Scope::Admin], &[NAMESPACE]).await;
    let account = Client::limited(&app, &[Scope::Admin], &["account:777788889999"]).await;

    // Who gets to a role: one's own by name, the others by number.
    let path = format!("/api/v1/roles/{}/assumable-by", encoded(SHARED));
    let (whole, part) = (all.json(&path).await, limited.json(&path).await);
    let workloads = |answer: &Value| answer["workloads"].as_array().unwrap().len() as u64;
    assert_eq!(part["principals"], whole["principals"], "the trust policy is seen");
    assert!(workloads(&part) > 0 && workloads(&part) < workloads(&whole), "{part}");
    assert_eq!(workloads(&part) + part["workloads_not_shown"].as_u64().unwrap(), workloads(&whole));
    assert_eq!((&whole["workloads_not_shown"], &whole["roles_not_shown"]), (&json!(0), &json!(0)));

    // What was called: of one's own associations, and of an account's roles by whoever sees the account.
    let calls = |answer: &Value| answer["items"].as_array().unwrap().clone();
    let path = format!("/api/v1/roles/{}/usage", encoded(ROLE));
    let (whole, part) = (calls(&all.json(&path).await), calls(&limited.json(&path).await));
    assert_eq!(calls(&account.json(&path).await), whole);
    assert!(part.len() <= whole.len() && part.iter().all(|it| !it["association_id"].is_null()), "{part:?}");

    // What nobody used is known of a role only with all of its calls.
    let path = format!("/api/v1/roles/{}/unused-access", encoded(ROLE));
    is_problem(&limited.get(&path).await, 403, "forbidden");
    let (whole, part) = (all.json(&path).await, account.json(&path).await);
    assert_eq!((&part["totals"], &part["unused"]), (&whole["totals"], &whole["unused"]));
    let other =
        format!("/api/v1/roles/{}/unused-access", encoded("arn:aws:iam::777788889999:role/pods/checkout-orders"));
    is_problem(&limited.get(&other).await, 404, "not_found");
}

#[tokio::test]
async fn what_is_outside_a_limit_is_asked_and_changed_as_if_it_were_not_there() {
    let (_database, app) = both().await;
    let all = Client::program(&app, &[Scope::Admin]).await;
    let limited = Client::limited(&app, &[Scope::Admin], &[NAMESPACE]).await;
    let before = all.get("/api/v1/events?after=0&limit=1000").await.text;
    let ids = ids(&all).await;
    let number = |item: &Value| item["number"].as_i64().unwrap();
    let seen: BTreeSet<i64> = limited.json("/api/v1/findings?limit=1000&include=folded").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    let other = ids.findings.iter().find(|(number, _)| !seen.contains(number)).unwrap();
    let change = all.json("/api/v1/changes").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["resource"].as_str().unwrap().contains(MARK))
        .unwrap()["change_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask = |principal: &str, resource: &str| {
        json!({"principal": principal, "action": "sts:AssumeRole", "resource": resource}).to_string()
    };
    let (said, tag) = (json!({"comment": "x"}).to_string(), axum::http::header::IF_MATCH);
    for id in [other.0.to_string(), other.1.clone()] {
        for client in
            [limited.clone(), limited.clone().with(tag.clone(), "*"), limited.clone().with(tag.clone(), "\"1-x\"")]
        {
            let answer = client.send(Method::PATCH, &format!("/api/v1/findings/{id}"), said.clone()).await;
            is_problem(&answer, 404, "not_found");
        }
        let reserve = json!({"system": "jira", "holder": "w"}).to_string();
        let link = json!({"key": "SEC-1", "url": "https://example.com/SEC-1"}).to_string();
        for (method, path, body) in [
            (Method::POST, "comments", said.clone()),
            (Method::POST, "tickets", reserve),
            (Method::PUT, "tickets/jira", link),
            (Method::DELETE, "tickets/jira", String::new()),
        ] {
            let path = format!("/api/v1/findings/{id}/{path}");
            is_problem(&limited.send(method, &path, body).await, 404, "not_found");
        }
    }
    let many = json!({"ids": [other.0.to_string()], "comment": "x"}).to_string();
    let answer = limited.send(Method::POST, "/api/v1/findings/bulk-update", many).await.json();
    assert_eq!(answer["processed"], json!([]), "{answer}");
    let approve = json!({"reason": "x"}).to_string();
    let path = format!("/api/v1/changes/{change}/approval");
    is_problem(&limited.send(Method::POST, &path, approve).await, 404, "not_found");
    is_problem(&limited.send(Method::DELETE, &format!("{path}?reason=x"), "").await, 404, "not_found");
    let approve = json!({"reason": "x", "expected": 1}).to_string();
    let answer = limited.send(Method::POST, &format!("/api/v1/changes/approvals?resource={ROLE}zqx"), approve).await;
    is_problem(&answer, 409, "conflict");
    for (principal, resource) in [
        ("777788889999/eu-west-1/commerce-prod-euw1/checkout/orders", "*"),
        ("arn:aws:iam::777788889999:role/pods/checkout-orders", "*"),
        (OWN, "arn:aws:iam::777788889999:role/pods/checkout-orders"),
    ] {
        let answer = limited.send(Method::POST, "/api/v1/simulate", ask(principal, resource)).await;
        is_problem(&answer, 400, "invalid_parameter");
        let gone = ask(&principal.replace("orders", "none"), &resource.replace("orders", "none"));
        let gone = limited.send(Method::POST, "/api/v1/simulate", gone).await;
        let detail =
            |answer: &Answer| answer.json()["errors"][0]["message"].as_str().unwrap().replace("none", "orders");
        assert_eq!(detail(&answer), detail(&gone), "what is not seen is told as what is not there");
    }
    assert_eq!(all.get("/api/v1/events?after=0&limit=1000").await.text, before, "nothing was done");

    // What is theirs they may ask, and change.
    let simulated = limited.send(Method::POST, "/api/v1/simulate", ask(OWN, "*")).await;
    let whole = all.send(Method::POST, "/api/v1/simulate", ask(OWN, "*")).await;
    assert_eq!((simulated.status, &simulated.text), (StatusCode::OK, &whole.text), "SCPs decide as ever");
    let own = seen.first().unwrap();
    let answer = limited.send(Method::PATCH, &format!("/api/v1/findings/{own}"), said).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let mine = limited.json("/api/v1/changes").await["items"][0]["change_id"].as_str().unwrap().to_owned();
    let approve = json!({"reason": "x"}).to_string();
    let answer = limited.send(Method::POST, &format!("/api/v1/changes/{mine}/approval"), approve).await;
    assert_eq!((answer.status, &answer.json()["approval"]), (StatusCode::OK, &json!("approved")), "{}", answer.text);
}

#[tokio::test]
async fn a_limit_names_an_ou_an_account_a_cluster_or_a_namespace() {
    let (_database, app) = both().await;
    let all = Client::program(&app, &[Scope::Admin]).await;
    let every: Vec<String> = ids(&all).await.associations;
    let organization = rolecall_sandbox::demo::estate(Utc::now()).organization.unwrap();
    let unit = organization.members.into_iter().find(|member| member.id == "444455556666").unwrap().parent;
    let under = |prefix: &str| every.iter().filter(|key| key.starts_with(prefix)).count();
    for (limits, expected) in [
        (vec!["account:777788889999"], under("777788889999/")),
        (
            vec!["cluster:777788889999/us-east-1/commerce-edge-use1"],
            under("777788889999/us-east-1/commerce-edge-use1/"),
        ),
        (vec!["namespace:payments"], every.iter().filter(|key| key.split('/').nth(3) == Some("payments")).count()),
        (vec!["namespace:nothing"], 0),
        (vec![], 0),
        (vec!["account:123456789012", NAMESPACE], under("123456789012/") + every.iter().filter(|k| is_own(k)).count()),
    ] {
        let limited = Client::limited(&app, &[Scope::Admin], &limits).await;
        let found = limited.json("/api/v1/associations?limit=1000").await;
        assert_eq!(
            (found["items"].as_array().unwrap().len(), &found["total"]["count"]),
            (expected, &json!(expected)),
            "{limits:?}"
        );
    }
    let limited = Client::limited(&app, &[Scope::Admin], &[&format!("ou:{unit}")]).await;
    let found = limited.json("/api/v1/associations?limit=1000").await;
    assert!(strings(&found, "account_id").contains("444455556666"), "{unit}: {found}");
    assert!(!found.to_string().contains(MARK), "another organization has units of the same path");
}

/// A person whose session has these limits.
async fn limited_person(app: &App, database: &Database, limit: &str) -> Client {
    let person = Client::person(app).await;
    let mut owner = database.connect().await.unwrap();
    let limits = vec![limit.to_owned()];
    let done = sqlx::query("update web_session set limits = $1").bind(limits).execute(&mut owner).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    person
}

/// Pages that nobody with limits comes to.
const REFUSED_PAGES: &[&str] = &[
    "/ingestion",
    "/scans",
    "/scans/1",
    "/settings/audit-log",
    "/settings/tokens",
    "/settings/webhooks",
    "/settings/webhooks/w",
];

/// The addresses of a page, with the id in each.
fn page_addresses(sample: &str, ids: &Ids) -> Vec<(String, String)> {
    let of = |before: &str, ids: Vec<String>| {
        ids.into_iter().map(|id| (format!("{before}{}", id.replace(' ', "%20")), id)).collect()
    };
    let plain = |queries: &[&str]| queries.iter().map(|query| (format!("{sample}{query}"), String::new())).collect();
    match sample {
        "/findings/1" => of("/findings/", ids.findings.iter().map(|(number, _)| number.to_string()).collect()),
        "/changes/chg_0" => of("/changes/", ids.changes.clone()),
        "/baselines/bl_0" => of("/baselines/", vec!["bl_0".to_owned()]),
        "/associations/111122223333/eu-west-1/c/n/s" => of("/associations/", ids.associations.clone()),
        "/clusters/111122223333/eu-west-1/c" => {
            of("/clusters/", ids.clusters.iter().map(|(a, region, name)| format!("{a}/{region}/{name}")).collect())
        }
        "/roles/arn:aws:iam::111122223333:role/r" => of("/roles/", ids.roles.clone()),
        "/accounts/111122223333" => {
            of("/accounts/", ACCOUNTS.iter().flat_map(|(a, b)| [(*a).to_owned(), (*b).to_owned()]).collect())
        }
        "/rules/r" => of("/rules/", vec!["wildcard-action".to_owned(), "shared-role".to_owned()]),
        "/scans/1" => of("/scans/", vec!["1".to_owned()]),
        "/sessions/111122223333/e" => {
            of("/sessions/", ids.sessions.iter().map(|(account, event)| format!("{account}/{event}")).collect())
        }
        "/search?q=api" => {
            let asked = [MARK, "cache-warmer", "checkout", "677768889999", "a-", "search", "platform-shared-cache"];
            let asked = asked.map(str::to_owned).into_iter();
            let keys = ids.associations.iter().step_by(7).chain(ids.roles.iter().step_by(11)).cloned();
            of("/search?q=", asked.chain(keys).chain(ids.changes.clone()).collect())
        }
        "/who-can?action=s3:GetObject" => plain(&["", "&resource=*"]),
        "/reports/access?role=arn:aws:iam::111122223333:role/r" => {
            let workloads = ids.associations.iter().map(|key| format!("workload={key}"));
            let roles = ids.roles.iter().map(|arn| format!("role={arn}"));
            of("/reports/access?", workloads.chain(roles).collect())
        }
        "/assumable-by" => of("/assumable-by?role=", ids.roles.clone()),
        "/unused-access" => {
            let associations = ids.associations.iter().map(|key| format!("association={key}"));
            of("/unused-access?", associations.chain(ids.roles.iter().map(|arn| format!("role={arn}"))).collect())
        }
        "/workload-history" => of("/workload-history?association=", ids.associations.clone()),
        "/simulate" => {
            let ask = |id: &String| {
                let asked =
                    format!("/simulate?principal={}&action=s3:GetObject&resource=arn:aws:s3:::x/y", encoded(id));
                (asked, id.clone())
            };
            ids.associations.iter().chain(&ids.roles).map(ask).collect()
        }
        "/"
        | "/accounts"
        | "/clusters"
        | "/settings/webhooks"
        | "/docs"
        | "/docs/api"
        | "/docs/tutorial"
        | "/ingestion"
        | "/problems"
        | "/reports"
        | "/reports/exceptions"
        | "/reports/summary"
        | "/rules"
        | "/scans"
        | "/sessions/names"
        | "/settings"
        | "/settings/audit-log"
        | "/settings/sessions"
        | "/settings/tokens"
        | "/settings/views"
        | "/usage"
        | "/v/v" => plain(&[""]),
        "/associations" | "/baselines" | "/roles" | "/sessions" | "/exceptions" => plain(&["", "?limit=1000"]),
        "/findings" => {
            let mut asked: Vec<_> = plain(&["", "?limit=1000", "?sort=opened", "?state=resolved"]);
            asked.extend(of("/findings?namespace=", vec!["checkoutzqx".to_owned()]));
            asked.extend(of("/findings?q=", vec!["checkout".to_owned()]));
            asked
        }
        "/changes" => {
            let mut asked = plain(&["", "?approval=none"]);
            asked.extend(of("/changes?workload=", ids.associations.clone()));
            asked
        }
        "/download/findings" => {
            let lists =
                ["findings", "associations", "roles", "clusters", "sessions", "changes", "exceptions", "gaps", "usage"];
            of("/download/", lists.map(str::to_owned).to_vec())
        }
        "/settings/webhooks/w" => plain(&[""]),
        other => panic!("{other}: no sample"),
    }
}

#[tokio::test]
async fn nothing_outside_a_limit_is_read_on_any_page() {
    let (database, app) = both().await;
    let ids = ids(&Client::program(&app, &[Scope::Admin]).await).await;
    let person = limited_person(&app, &database, NAMESPACE).await;
    let marks = outside(&ids);
    let mut found = Vec::new();
    for (method, sample) in rolecall::http::pages() {
        if method != Method::GET {
            continue;
        }
        for (address, id) in page_addresses(sample, &ids) {
            let answer = person.get(&address).await;
            // The page of a workload's history says the places that it is asked for.
            let asked = if sample == "/workload-history" { id.split('/').collect() } else { vec![id.as_str()] };
            let without = |text: String, part: &str| if part.is_empty() { text } else { text.replace(part, "") };
            let text = match sample {
                "/workload-history" => asked.into_iter().fold(answer.text.clone(), without),
                _ => answer.text.clone(),
            };
            let told = Answer { status: answer.status, headers: answer.headers.clone(), text };
            // Its examples are of the generated organization, written into the program.
            if sample != "/docs/api" {
                found.extend(leaks(&told, &address, &id, &marks));
            }
            match answer.status {
                StatusCode::OK => assert!(!REFUSED_PAGES.contains(&sample), "{address}"),
                StatusCode::FORBIDDEN if address.contains("/unused-access?role=") => {}
                StatusCode::FORBIDDEN => assert!(REFUSED_PAGES.contains(&sample), "{address}: {}", answer.text),
                StatusCode::NOT_FOUND | StatusCode::SEE_OTHER => {}
                StatusCode::BAD_REQUEST if sample == "/simulate" || address.contains("limit=") => {}
                other => found.push(format!("{address}: {other}")),
            }
        }
    }
    assert!(found.is_empty(), "{} leaks\n{}", found.len(), found[..found.len().min(25)].join("\n"));
}

/// The rows that `rolecall export` prints of a list with a limit.
async fn exported(database: &Database, list: &str, limit: &str) -> Answer {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rolecall"));
    command.args(["export", list, "--limit", limit]).env("DATABASE_URL", &database.url).env_remove("ROLECALL_CONFIG");
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(ended.status.success(), "{list} {limit}: {}", String::from_utf8_lossy(&ended.stderr));
    Answer { status: StatusCode::OK, headers: Default::default(), text: String::from_utf8(ended.stdout).unwrap() }
}

#[tokio::test]
async fn the_command_line_exports_what_a_token_of_the_same_limit_reads() {
    let (database, app) = both().await;
    let ids = ids(&Client::program(&app, &[Scope::Admin]).await).await;
    let marks = outside(&ids);
    for limit in [NAMESPACE, "account:123456789012", "cluster:777788889999/us-east-1/commerce-edge-use1"] {
        let limited = Client::limited(&app, &[Scope::Admin], &[limit]).await;
        for (list, row, item, query) in [
            ("findings", "fingerprint", "fingerprint", "&state=open,acknowledged,suppressed,resolved"),
            ("associations", "association_id", "association_id", ""),
            ("clusters", "arn", "arn", ""),
            ("roles", "role_arn", "arn", ""),
            ("sessions", "event_id", "event_id", ""),
            ("changes", "change_id", "change_id", ""),
        ] {
            let printed = exported(&database, list, limit).await;
            if limit == NAMESPACE {
                assert_eq!(leaks(&printed, list, "", &marks), [""; 0], "{list}");
            }
            let rows: Vec<Value> = printed.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let rows: BTreeSet<&str> = rows.iter().map(|it| it[row].as_str().unwrap()).collect();
            let answer = limited.json(&format!("/api/v1/{list}?limit=1000{query}")).await;
            assert_eq!(rows, strings(&answer, item), "{list} with {limit}");
            assert!(!rows.is_empty() || matches!(list, "changes" | "sessions" | "clusters"), "{list} with {limit}");
        }
    }
}
