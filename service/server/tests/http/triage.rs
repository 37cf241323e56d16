//! Findings are worked on by programs with the scope and by people with forms.

use crate::api::is_problem;
use crate::support::{Answer, Client, Seen, app, app_with};
use axum::http::{Method, StatusCode, header};
use chrono::{TimeDelta, Utc};
use rolecall::app::App;
use rolecall::config::{Config, TriageConfig};
use rolecall::http::auth::token::Scope;
use serde_json::{Value, json};

const TRIAGE: [Scope; 2] = [Scope::FindingsRead, Scope::FindingsTriage];

async fn patch(client: &Client, id: impl std::fmt::Display, body: Value) -> Answer {
    client.send(Method::PATCH, &format!("/api/v1/findings/{id}"), body.to_string()).await
}

async fn numbers(client: &Client, query: &str) -> Vec<i64> {
    let list = client.json(&format!("/api/v1/findings?limit=1000&{query}")).await;
    list["items"].as_array().unwrap().iter().map(|item| item["number"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_program_works_on_a_finding_with_the_scope() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &TRIAGE).await;
    let reader = Client::program(&app, &[Scope::FindingsRead]).await;
    let id = numbers(&program, "state=open").await[0];
    let path = format!("/api/v1/findings/{id}");
    for (method, path) in [
        (Method::PATCH, path.as_str()),
        (Method::POST, &format!("{path}/comments")),
        (Method::POST, "/api/v1/findings/bulk-update"),
    ] {
        is_problem(&reader.send(method, path, r#"{"comment":"x"}"#).await, 403, "forbidden");
    }
    let day = |days: i64| Utc::now() + TimeDelta::days(days);
    let suppress = |until: Value| {
        let suppression = json!({"reason": "risk_accepted", "justification": "x", "until": until});
        json!({"state": "suppressed", "suppression": suppression})
    };
    for (body, parameter) in [
        (json!({"state": "resolved"}), "state"),
        (json!({"state": "done"}), "state"),
        (json!({"state": "suppressed"}), "suppression"),
        (json!({"state": "open", "suppression": {"reason": "test", "justification": "x"}}), "suppression"),
        (json!({"state": "suppressed", "suppression": {"reason": "why", "justification": "x"}}), "reason"),
        (json!({"state": "suppressed", "suppression": {"reason": "test", "justification": " "}}), "justification"),
        (suppress(json!(day(400))), "until"),
        (suppress(json!(day(-1))), "until"),
        (json!({"assignee": " "}), "assignee"),
        (json!({"comment": "x".repeat(4_001)}), "comment"),
    ] {
        let answer = patch(&program, id, body.clone()).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{body}: {}", answer.text);
    }
    for body in ["", "{}", "[]", r#"{"workflow":"open"}"#, r#"{"assignee":7}"#] {
        is_problem(&program.send(Method::PATCH, &path, body).await, 400, "invalid_parameter");
    }
    is_problem(&patch(&program, 0, json!({"comment": "x"})).await, 404, "not_found");
    let before = program.get(&path).await;
    let tag = before.header("etag").to_owned();
    assert!(tag.starts_with(&format!("\"{}-", before.json()["version"])), "{tag}");
    assert_eq!(before.json()["due"].as_str(), Some("ok"), "{}", before.text);

    let expecting = |tag: &str| program.clone().with(header::IF_MATCH, tag);
    let answer = patch(&expecting(&tag), id, json!({"state": "acknowledged", "assignee": "payments"})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let now = answer.json();
    assert_eq!((&now["state"], &now["assignee"]), (&json!("acknowledged"), &json!("payments")));
    assert_ne!(answer.header("etag"), tag);
    for stale in [&tag, "\"x\"", "W/\"1\""] {
        is_problem(&patch(&expecting(stale), id, json!({"comment": "x"})).await, 412, "precondition_failed");
    }
    assert_eq!(patch(&expecting("*"), id, json!({"comment": "x"})).await.status, StatusCode::OK);
    assert_eq!(numbers(&program, "assignee=payments").await, [id]);
    assert_eq!(numbers(&program, "assigned=true").await, [id]);
    assert!(!numbers(&program, "assigned=false").await.contains(&id));
    assert_eq!(numbers(&program, "state=acknowledged").await, [id]);

    let answer = patch(&program, id, suppress(Value::Null)).await;
    let now = answer.json();
    assert_eq!((&now["state"], &now["due"], &now["due_at"]), (&json!("suppressed"), &json!("paused"), &Value::Null));
    let kept = &now["suppression"];
    assert_eq!(
        ["reason", "justification", "requested_by", "approved_by"].map(|name| &kept[name]),
        [&json!("risk_accepted"), &json!("x"), &json!("token bot"), &Value::Null]
    );
    let refused = patch(&program, id, json!({"state": "acknowledged"})).await;
    is_problem(&refused, 409, "conflict");
    let items = program.json("/api/v1/exceptions?source=asked").await;
    let items = items["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["finding"], &items[0]["state"]), (1, &json!(id), &json!("in_force")));
    assert_eq!(items[0]["ends_soon"], false);
    assert_eq!(program.json("/api/v1/exceptions?ending_within_days=14&source=asked").await["items"], json!([]));

    let answer = patch(&program, id, json!({"state": "open", "assignee": null})).await;
    assert_eq!((&answer.json()["state"], &answer.json()["assignee"]), (&json!("open"), &Value::Null));
    let comments = format!("{path}/comments");
    is_problem(&program.send(Method::POST, &comments, r#"{"comment":""}"#).await, 400, "invalid_parameter");
    let said = program.send(Method::POST, &comments, r#"{"comment":"SEC-12"}"#).await;
    assert_eq!((said.status, &said.json()["detail"]["comment"]), (StatusCode::CREATED, &json!("SEC-12")));
    let events = program.json(&format!("{path}/events")).await;
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[kinds.len() - 7..],
        ["acknowledged", "assigned", "commented", "suppressed", "suppression_ended", "assigned", "commented"]
    );
}

#[tokio::test]
async fn many_findings_take_a_step_together() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &TRIAGE).await;
    let bulk = async |query: &str, body: Value| {
        program.send(Method::POST, &format!("/api/v1/findings/bulk-update{query}"), body.to_string()).await
    };
    let open = numbers(&program, "state=open&severity=high").await;
    assert!(open.len() > 2, "{open:?}");
    let acknowledge = json!({"state": "acknowledged"});
    for (query, body) in [
        ("", json!({"set": acknowledge})),
        ("", json!({"ids": [], "set": acknowledge})),
        ("", json!({"ids": vec![1; 501], "set": acknowledge})),
        ("", json!({"ids": [1]})),
        ("?severity=high", json!({"ids": [1], "set": acknowledge})),
        ("?severity=high", json!({"set": acknowledge})),
        ("?severity=high", json!({"expected": 0, "set": acknowledge})),
        ("?severity=", json!({"expected": 1, "set": acknowledge})),
    ] {
        is_problem(&bulk(query, body).await, 400, "invalid_parameter");
    }
    is_problem(&bulk("?limit=1", json!({"expected": 1, "set": acknowledge})).await, 400, "unknown_parameter");
    let query = "?severity=high&state=open";
    is_problem(&bulk(query, json!({"expected": open.len() + 1, "set": acknowledge})).await, 409, "conflict");
    let mut body = json!({"expected": open.len(), "set": acknowledge, "comment": "release 12", "dry_run": true});
    let dry = bulk(query, body.clone()).await.json();
    assert_eq!((&dry["dry_run"], dry["processed"].as_array().unwrap().len()), (&json!(true), open.len()));
    assert_eq!(numbers(&program, "state=acknowledged").await, Vec::<i64>::new());
    body["dry_run"] = json!(false);
    let done = bulk(query, body).await.json();
    assert_eq!((&done["processed"], &done["unprocessed"]), (&dry["processed"], &json!([])));
    assert_eq!(numbers(&program, "state=acknowledged").await.len(), open.len());

    let mixed = bulk("", json!({"ids": [open[0], "v1:none", 0], "set": {"assignee": "team"}})).await.json();
    assert_eq!(mixed["processed"], json!([open[0]]));
    let left = mixed["unprocessed"].as_array().unwrap();
    assert_eq!(left.iter().map(|it| &it["id"]).collect::<Vec<_>>(), [&json!("v1:none"), &json!("0")]);
    assert_eq!((&left[0]["problem"]["code"], &left[0]["problem"]["status"]), (&json!("not_found"), &json!(404)));
}

#[tokio::test]
async fn what_an_address_does_not_have_is_told_from_what_one_may_not() {
    let app = app(Seen::Nothing).await;
    let bot = Client::program(&app, &[Scope::FindingsRead]).await;
    for (method, path, status, code) in [
        ("PUT", "/api/v1/findings/1", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/changes", 405, "method_not_allowed"),
        ("PATCH", "/api/v1/scans", 405, "method_not_allowed"),
        ("OPTIONS", "/api/v1/roles", 405, "method_not_allowed"),
        ("POST", "/metrics", 405, "method_not_allowed"),
        ("GET", "/api/v1/events-of-nothing", 404, "not_found"),
        ("PATCH", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/changes", 403, "forbidden"),
        ("POST", "/api/v1/scans", 403, "forbidden"),
    ] {
        let answer = bot.send(method.parse().unwrap(), path, "").await;
        is_problem(&answer, status, code);
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{method} {path}");
    }
    let none = Client::unauthenticated(&app);
    is_problem(&none.send(Method::PUT, "/api/v1/findings/1", "").await, 401, "unauthenticated");
}

async fn form(app: &App) -> (Client, String) {
    let person = Client::person(app).await.with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let shown = person.get("/findings").await;
    let selector = scraper::Selector::parse("form#triage input[name=form_token]").unwrap();
    let token = shown.html().select(&selector).next().unwrap().attr("value").unwrap().to_owned();
    (person, token)
}

#[tokio::test]
async fn a_person_works_on_a_finding_on_its_page() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &TRIAGE).await;
    let id = numbers(&program, "state=open").await[0];
    let (person, token) = form(&app).await;
    let page = format!("/findings/{id}");
    let path = format!("{page}/triage");
    let send = async |fields: &str| person.send(Method::POST, &path, format!("form_token={token}&{fields}")).await;
    assert_eq!(person.send(Method::POST, &path, "step=acknowledge").await.status, StatusCode::FORBIDDEN);
    assert_eq!(send("step=dance").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send("step=acknowledge&version=0").await.status, StatusCode::PRECONDITION_FAILED);
    for (fields, texts) in [
        ("step=acknowledge", &["Acknowledged", "Open again"][..]),
        ("step=assign&assignee=payments+team", &["payments team", "Assigned"]),
        ("step=comment&comment=SEC-1%0Asoon", &["SEC-1\nsoon"]),
        (
            "step=suppress&reason=compensating_control&justification=An+SCP+denies+it",
            &["Suppressed until", "Compensating control: An SCP denies it", "End the suppression"],
        ),
        ("step=open", &["Suppression ended", "Acknowledge</button>"]),
    ] {
        let answer = send(fields).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, page.as_str()),
            "{}",
            answer.text
        );
        let shown = person.get(&page).await.text;
        assert!(texts.iter().all(|text| shown.contains(text)), "{fields}: {shown}");
    }
    assert_eq!(send("step=suppress&reason=test&justification=").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send("step=suppress&reason=test&justification=x&until=soon").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_person_links_a_ticket_on_the_findings_page_and_unlinks_it() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &TRIAGE).await;
    let id = numbers(&program, "state=open").await[0];
    let (person, token) = form(&app).await;
    let page = format!("/findings/{id}");
    let path = format!("{page}/triage");
    let send = async |fields: &str| person.send(Method::POST, &path, format!("form_token={token}&{fields}")).await;
    let unlinked = person.get(&page).await.text;
    assert!(unlinked.contains("Link the ticket") && !unlinked.contains("unlink-ticket"), "{unlinked}");
    let link = "step=link-ticket&system=jira&key=SEC-1204&url=https://tracker.example/browse/SEC-1204";
    for (fields, status, says) in [
        (
            "step=link-ticket&system=Jira&key=SEC-1&url=https://t.example/1",
            StatusCode::BAD_REQUEST,
            "lower-case letters",
        ),
        ("step=link-ticket&system=jira&key=SEC-1&url=javascript:alert(1)", StatusCode::BAD_REQUEST, "begins with"),
        ("step=unlink-ticket&system=jira", StatusCode::NOT_FOUND, "a ticket or reservation"),
        (link, StatusCode::SEE_OTHER, ""),
        ("step=link-ticket&system=jira&key=SEC-2&url=https://t.example/2", StatusCode::CONFLICT, "SEC-1204"),
    ] {
        let answer = send(fields).await;
        assert_eq!(answer.status, status, "{fields}: {}", answer.text);
        assert!(answer.text.contains(says), "{fields}: {}", answer.text);
    }
    let linked = person.get(&page).await.text;
    let link = r#"href="https://tracker.example/browse/SEC-1204" rel="noreferrer">SEC-1204</a>"#;
    assert!(linked.contains(link) && linked.contains("unlink-ticket"), "{linked}");
    assert_eq!(program.json(&format!("/api/v1{page}")).await["tickets"][0]["key"], "SEC-1204");
    assert_eq!(send("step=unlink-ticket&system=jira").await.status, StatusCode::SEE_OTHER);
    let events = program.json(&format!("/api/v1{page}/events")).await;
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["ticket_linked", "ticket_removed"]);
    let log = app.store.audit_log(&rolecall_store::AuditFilter::default(), None, 100).await.unwrap();
    let of_tickets: Vec<&str> =
        log.iter().map(|it| it.action.as_str()).filter(|it| it.starts_with("ticket.")).collect();
    assert_eq!(of_tickets, ["ticket.remove", "ticket.link"], "{log:?}");
}

#[tokio::test]
async fn a_person_works_on_a_list_after_a_look_at_what_would_become_of_it() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &TRIAGE).await;
    let (person, token) = form(&app).await;
    let open = numbers(&program, "state=open&severity=critical").await;
    let send = async |query: &str, fields: &str| {
        person.send(Method::POST, &format!("/findings/triage{query}"), format!("form_token={token}&{fields}")).await
    };
    let some = format!("id={}&id={}&step=acknowledge", open[0], open[1]);
    let look = send("", &some).await;
    assert!(
        look.text.contains("Acknowledge 2 findings") && look.text.contains("Nothing has changed yet"),
        "{}",
        look.text
    );
    assert_eq!(numbers(&program, "state=acknowledged").await, Vec::<i64>::new());
    let done = send("", &format!("{some}&confirmed=yes&back=/findings?severity=critical")).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/findings?severity=critical"));
    assert_eq!(numbers(&program, "state=acknowledged").await.len(), 2);
    assert_eq!(send("", "step=acknowledge").await.status, StatusCode::BAD_REQUEST);

    let query = "?severity=critical&state=open,acknowledged";
    let all = format!("all=yes&expected={}&step=assign&assignee=team", open.len());
    let look = send(query, &all).await;
    assert!(look.text.contains(&format!("Assign {} findings", open.len())), "{}", look.text);
    assert_eq!(send(query, &format!("{all}&confirmed=yes")).await.header("location"), "/findings");
    assert_eq!(numbers(&program, "assignee=team").await.len(), open.len());
    assert_eq!(send("?severity=high", &all).await.status, StatusCode::CONFLICT);
    // Some stay as they are: the answer says which and why.
    let suppress = format!("id={}&step=suppress&reason=test&justification=x", open[0]);
    assert_eq!(send("", &format!("{suppress}&confirmed=yes")).await.status, StatusCode::SEE_OTHER);
    let mixed = send("", &format!("{some}&confirmed=yes")).await;
    assert!(
        mixed.text.contains("it is suppressed; open it first") && mixed.text.contains("Left as they are"),
        "{}",
        mixed.text
    );
    let shown = person.get("/exceptions").await.text;
    assert!(shown.contains(&format!("/findings/{}", open[0])) && shown.contains("In force"), "{shown}");
    assert!(person.get("/exceptions?state=ended").await.text.contains("No exception"));
}

#[tokio::test]
async fn what_needs_approval_waits_for_another_person() {
    let triage = TriageConfig { approver_required: true, ..TriageConfig::default() };
    let app = app_with(Seen::Complete, Config { triage, ..Config::default() }).await;
    let program = Client::program(&app, &TRIAGE).await;
    let id = numbers(&program, "state=open").await[0];
    let (person, token) = form(&app).await;
    let path = format!("/findings/{id}/triage");
    let send = async |fields: &str| person.send(Method::POST, &path, format!("form_token={token}&{fields}")).await;
    assert_eq!(send("step=approve").await.status, StatusCode::CONFLICT);
    // A person asks, and cannot approve it.
    let ask = "step=suppress&reason=test&justification=x";
    assert_eq!(send(ask).await.status, StatusCode::SEE_OTHER);
    assert!(person.get(&format!("/findings/{id}")).await.text.contains("Another person approves it"));
    assert_eq!(send("step=approve").await.status, StatusCode::FORBIDDEN);
    assert_eq!(send("step=decline").await.status, StatusCode::SEE_OTHER);
    // A program asks, and a person approves it.
    let body = json!({"state": "suppressed", "suppression": {"reason": "test", "justification": "x"}});
    let answer = patch(&program, id, body).await.json();
    assert_eq!((&answer["state"], &answer["suppression"]), (&json!("open"), &Value::Null));
    assert_eq!(answer["suppression_request"]["requested_by"], "token bot");
    assert!(person.get("/exceptions").await.text.contains("Awaits approval"));
    assert_eq!(send("step=approve").await.status, StatusCode::SEE_OTHER);
    let now = program.json(&format!("/api/v1/findings/{id}")).await;
    assert_eq!((&now["state"], &now["suppression"]["approved_by"]), (&json!("suppressed"), &json!("operator")));
}
