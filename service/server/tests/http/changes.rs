//! Changes are approved by programs with the scope and by people with a form, and what is not there any more by
//! nobody.

use crate::api::is_problem;
use crate::support::{Client, Seen, app, look, observations};
use axum::http::{Method, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::app::App;
use rolecall::http::auth::token::Scope;
use rolecall_audit::drift::{Attributed, Attribution, Scans, SeenIn, changes};
use rolecall_estate::{Observation, Role};
use rolecall_store::ChangeRow;
use serde_json::{Value, json};

/// Looks at an estate in which three roles may do this, and gives the ids of what changed.
pub(crate) async fn allow(app: &App, seen: &mut [Observation], action: &str, at: DateTime<Utc>) -> Vec<String> {
    allow_some(app, seen, action, at, |_| true).await
}

/// As [`allow`], three roles of a kind.
pub(crate) async fn allow_some(
    app: &App,
    seen: &mut [Observation],
    action: &str,
    at: DateTime<Utc>,
    is_wanted: impl Fn(&Role) -> bool,
) -> Vec<String> {
    let text =
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"*"}}}}"#);
    let mut left = 3;
    for observation in seen.iter_mut() {
        let document = observation.documents.read(&text);
        for role in &mut observation.roles {
            if left > 0 && !role.inline.is_empty() && is_wanted(role) {
                role.inline[0].document = document;
                left -= 1;
            }
        }
    }
    assert_eq!(left, 0, "there are roles to change");
    look(&app.store, &app.rules, seen).await;
    let mut ids = Vec::new();
    for run in app.store.owed_changes().await.unwrap() {
        let scan = app.store.changed_scan(run).await.unwrap();
        let found = changes(&Scans {
            before: &scan.before,
            after: &scan.after,
            listed_before: &scan.listed_before,
            listed_after: &scan.listed_after,
            roles_of: scan.roles_of.as_ref(),
            pair: &run.0.to_string(),
        });
        let row = |change| ChangeRow {
            seen_in: SeenIn::Snapshots,
            ended: None,
            run,
            change,
            detected_at: at,
            since: None,
            until: at,
            attributed: Attributed {
                attribution: Attribution::None,
                because: "No event".into(),
                calls: vec![],
                is_trail_complete: false,
            },
            effective_at: at,
            approval: None,
        };
        let rows: Vec<ChangeRow> = found.into_iter().map(row).collect();
        app.store.keep_changes(run, &rows).await.unwrap();
        ids.extend(rows.into_iter().filter(|row| row.change.part.is_some()).map(|row| row.change.id));
    }
    ids
}

pub(crate) async fn changed() -> (App, Vec<Observation>, Vec<String>) {
    let app = app(Seen::Nothing).await;
    let mut seen = observations();
    let now = Utc::now();
    allow(&app, &mut seen, "s3:GetObject", now - TimeDelta::hours(2)).await;
    let ids = allow(&app, &mut seen, "s3:*", now - TimeDelta::hours(1)).await;
    assert_eq!(ids.len(), 3, "{ids:?}");
    (app, seen, ids)
}

async fn items(client: &Client, query: &str) -> Vec<Value> {
    client.json(&format!("/api/v1/changes?{query}")).await["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_change_is_approved_and_withdrawn_with_the_scope() {
    let (app, mut seen, ids) = changed().await;
    let program = Client::program(&app, &[Scope::InventoryRead, Scope::ChangesApprove]).await;
    let reader = Client::program(&app, &[Scope::InventoryRead]).await;
    let path = format!("/api/v1/changes/{}/approval", ids[0]);
    let said = |value: Value| value.to_string();
    let good = said(json!({"reason": "New queue", "ticket": "SEC-1"}));
    for (method, path) in
        [(Method::POST, path.as_str()), (Method::DELETE, &path), (Method::POST, "/api/v1/changes/approvals")]
    {
        is_problem(&reader.send(method, path, good.clone()).await, 403, "forbidden");
    }
    let late = Utc::now() + TimeDelta::days(400);
    for (body, parameter) in [
        (said(json!({"reason": " "})), "reason"),
        (said(json!({"reason": "x", "ticket": "x".repeat(201)})), "ticket"),
        (said(json!({"reason": "x", "until": late})), "until"),
        (said(json!({"reason": "x", "until": Utc::now() - TimeDelta::hours(1)})), "until"),
    ] {
        let answer = program.send(Method::POST, &path, body).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{}", answer.text);
    }
    for body in ["", "{}", "[]", r#"{"reason":"x","unitl":"2027-01-01T00:00:00Z"}"#] {
        is_problem(&program.send(Method::POST, &path, body).await, 400, "invalid_parameter");
    }
    is_problem(&program.send(Method::POST, "/api/v1/changes/chg_0/approval", good.clone()).await, 404, "not_found");
    is_problem(&program.get("/api/v1/changes/chg_0/approval").await, 404, "not_found");
    is_problem(&program.send(Method::DELETE, &format!("{path}?reason=x"), "").await, 409, "conflict");
    assert!(items(&program, "").await.iter().all(|item| item["approval"].is_null()));

    let answer = program.send(Method::POST, &path, good.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let approved = items(&program, "approval=approved").await;
    assert_eq!(approved, [answer.json()]);
    assert_eq!(approved[0]["change_id"], *ids[0]);
    assert_eq!(
        ["approval", "approval_by", "approval_reason", "approval_ticket", "approval_until"]
            .map(|name| &approved[0][name]),
        [&json!("approved"), &json!("token bot"), &json!("New queue"), &json!("SEC-1"), &Value::Null]
    );
    assert_eq!(items(&program, "approval=none").await.len(), 2);
    assert_eq!(items(&program, "approval=approved,none").await.len(), 3);

    is_problem(&program.send(Method::DELETE, &path, "").await, 400, "invalid_parameter");
    let withdrawn = program.send(Method::DELETE, &format!("{path}?reason=wrong+queue"), "").await;
    assert_eq!((withdrawn.status, &withdrawn.json()["approval"]), (StatusCode::OK, &json!("withdrawn")));
    let steps = program.json(&path).await;
    let told: Vec<_> = steps["items"].as_array().unwrap().iter().map(|it| (&it["approval"], &it["reason"])).collect();
    assert_eq!(told, [(&json!("approved"), &json!("New queue")), (&json!("withdrawn"), &json!("wrong queue"))]);

    let back = allow(&app, &mut seen, "s3:GetObject", Utc::now()).await;
    let refused = program.send(Method::POST, &path, good).await;
    is_problem(&refused, 409, "conflict");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("inline_policy_changed") && back.iter().any(|id| detail.contains(id)), "{detail}");
}

#[tokio::test]
async fn a_list_is_approved_together_or_not_at_all() {
    let (app, mut seen, ids) = changed().await;
    let program = Client::program(&app, &[Scope::Admin]).await;
    let approve = async |query: &str, expected: usize| {
        let body = json!({"expected": expected, "reason": "Release 12"}).to_string();
        program.send(Method::POST, &format!("/api/v1/changes/approvals?{query}"), body).await
    };
    let one = items(&program, "").await.into_iter().find(|item| item["change_id"] == *ids[1]).unwrap();
    let resource = format!("resource={}", one["resource"].as_str().unwrap());
    is_problem(&approve("", 2).await, 409, "conflict");
    is_problem(&approve(&resource, 0).await, 400, "invalid_parameter");
    is_problem(&approve("limit=1", 1).await, 400, "unknown_parameter");
    assert!(items(&program, "approval=approved").await.is_empty());
    assert_eq!(approve(&resource, 1).await.json(), json!({"approved": [ids[1]]}));
    is_problem(&approve(&resource, 1).await, 409, "conflict");

    allow(&app, &mut seen, "s3:GetObject", Utc::now()).await;
    let refused = approve("", 5).await;
    is_problem(&refused, 409, "conflict");
    let named: Vec<_> = refused.json()["errors"].as_array().unwrap().iter().map(|it| it["parameter"].clone()).collect();
    assert_eq!(named.len(), 2, "{}", refused.text);
    assert!([&ids[0], &ids[2]].iter().all(|id| named.contains(&json!(id))), "{named:?}");
    assert_eq!(items(&program, "approval=approved").await.len(), 1);
}

#[tokio::test]
async fn a_person_approves_on_the_page_of_the_change() {
    let (app, _, ids) = changed().await;
    let person = Client::person(&app).await.with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let page = format!("/changes/{}", ids[0]);
    let shown = person.get(&page).await;
    let selector = scraper::Selector::parse("input[name=form_token]").unwrap();
    let token = shown.html().select(&selector).next().unwrap().attr("value").unwrap().to_owned();
    let send =
        async |path: &str, fields: &str| person.send(Method::POST, path, format!("form_token={token}&{fields}")).await;
    let approval = format!("{page}/approval");
    assert_eq!(person.send(Method::POST, &approval, "reason=x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&approval, "reason=").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send(&approval, "reason=x&until=soon").await.status, StatusCode::BAD_REQUEST);
    let day = (Utc::now() + TimeDelta::days(30)).format("%Y-%m-%d");
    let answer = send(&approval, &format!("reason=New+queue&ticket=SEC-7&until={day}")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, page.as_str()), "{}", answer.text);
    let shown = person.get(&page).await.text;
    assert!(["New queue", "SEC-7", "Withdraw approval"].iter().all(|text| shown.contains(text)), "{shown}");
    assert!(person.get("/changes?approval=approved").await.text.contains(&page));

    let answer = send(&format!("{page}/withdrawal"), "reason=a+mistake").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let shown = person.get(&page).await.text;
    assert!(shown.contains("a mistake") && shown.contains("Approval withdrawn"), "{shown}");

    assert!(person.get("/changes").await.text.contains("Approve 3 of these changes"));
    assert_eq!(send("/changes/approvals", "expected=2&reason=x").await.status, StatusCode::CONFLICT);
    let answer = send("/changes/approvals?effect=widened,mixed,none,unknown", "expected=3&reason=Release").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert!(!person.get("/changes").await.text.contains("of these changes"));
}

#[tokio::test]
async fn a_workload_s_history_has_what_it_rests_on() {
    let app = app(Seen::Nothing).await;
    let (mut seen, now) = (observations(), Utc::now());
    let of_pods = |role: &Role| role.arn.path() == "/pods/";
    allow_some(&app, &mut seen, "s3:GetObject", now, of_pods).await;
    let ids = allow_some(&app, &mut seen, "s3:*", now, of_pods).await;
    let program = Client::program(&app, &[Scope::InventoryRead]).await;
    let person = Client::person(&app).await;
    let page = async |key: &str| {
        let answer = person.get(&format!("/workload-history?association={key}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.text
    };
    let listed = program.json("/api/v1/associations?limit=1000").await;
    let key_of = |item: &Value| item["key"].as_str().unwrap().to_owned();
    let mut with_history = 0;
    for id in &ids {
        let role = program.json(&format!("/api/v1/changes/{id}")).await["resource"].as_str().unwrap().to_owned();
        for item in listed["items"].as_array().unwrap() {
            let detail = &item["detail"];
            let holds = detail["role_arn"] == *role || detail["target_role_arn"] == *role;
            let text = page(&key_of(item)).await;
            if holds {
                with_history += 1;
                assert!(text.contains(&format!("href=\"/changes/{id}\"")), "{role} of {}", key_of(item));
                let part = if detail["role_arn"] == *role { "Role," } else { "Target role," };
                assert!(text.contains(part), "{part} {text}");
            } else if !program.json(&format!("/api/v1/changes/{id}")).await["affected"]
                .to_string()
                .contains(&key_of(item))
            {
                assert!(!text.contains(&format!("href=\"/changes/{id}\"")), "{role} and {}", key_of(item));
            }
        }
    }
    assert!(with_history > 0, "some of the changed roles have workloads");
    assert_eq!(person.get("/workload-history").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_overview_counts_from_the_visit_before() {
    let database = rolecall_store::testing::database().await.unwrap();
    let app =
        crate::support::app_over(database.store.clone(), Seen::Nothing, rolecall::config::Config::default()).await;
    let person = Client::person(&app).await;
    let card = async || {
        let text = person.get("/").await.text;
        text.split("id=\"visit-h\"").nth(1).unwrap().split("</section>").next().unwrap().to_owned()
    };
    assert!(card().await.contains("first visit"));
    let mut seen = observations();
    let now = Utc::now();
    allow(&app, &mut seen, "s3:GetObject", now).await;
    assert_eq!(allow(&app, &mut seen, "s3:*", now).await.len(), 3);
    assert!(card().await.contains("first visit"), "the visit goes on");

    // Half an hour without a request: the next one begins a visit. A fresh router stands for a later process.
    let mut connection = database.connect().await.unwrap();
    let earlier =
        "update visit set seen_at = seen_at - interval '31 minutes', began_at = began_at - interval '31 minutes'";
    sqlx::query(earlier).execute(&mut connection).await.unwrap();
    let person = Client::person(&app).await;
    let text = person.get("/").await.text;
    let card = text.split("id=\"visit-h\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(!card.contains("first visit") && card.contains("not approved"), "{card}");
    for link in card.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let answer = person.get(&link.replace("&amp;", "&").replace("&#38;", "&")).await;
        assert_eq!(answer.status, StatusCode::OK, "{link}: {}", answer.text);
    }
    assert!(card.contains(">3 not approved<"), "{card}");
}
