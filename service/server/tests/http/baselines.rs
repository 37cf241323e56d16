//! The present state of a resource or of an account is approved by programs with the scope and by people with a form;
//! a state that nobody looked at is not.

use crate::api::is_problem;
use crate::changes::{allow, changed};
use crate::support::{Client, Seen, app, look};
use axum::http::{Method, StatusCode, header};
use chrono::{TimeDelta, Utc};
use rolecall::http::auth::token::Scope;
use serde_json::{Value, json};

const BASELINES: &str = "/api/v1/baselines";

async fn items(client: &Client, path: &str) -> Vec<Value> {
    client.json(path).await["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_state_is_approved_and_withdrawn_with_the_scope() {
    let (app, mut seen, ids) = changed().await;
    let program = Client::program(&app, &[Scope::InventoryRead, Scope::ChangesApprove]).await;
    let reader = Client::program(&app, &[Scope::InventoryRead]).await;
    let change = program.json(&format!("/api/v1/changes/{}", ids[0])).await;
    let role = change["resource"].as_str().unwrap().to_owned();
    let good = json!({"resource": role, "reason": "Reviewed", "ticket": "SEC-1"});
    let post = async |body: &Value| program.send(Method::POST, BASELINES, body.to_string()).await;
    is_problem(&reader.send(Method::POST, BASELINES, good.to_string()).await, 403, "forbidden");
    is_problem(&reader.send(Method::DELETE, &format!("{BASELINES}/bl_0?reason=x"), "").await, 403, "forbidden");
    let late = Utc::now() + TimeDelta::days(400);
    for (body, parameter) in [
        (json!({"resource": role, "reason": " "}), "reason"),
        (json!({"resource": role, "reason": "x", "until": late}), "until"),
        (json!({"reason": "x"}), "resource"),
        (json!({"resource": "p-guard", "reason": "x"}), "account_id"),
        (json!({"account_id": "444455556666", "reason": "x", "expected_digest": "00"}), "expected_digest"),
    ] {
        let answer = post(&body).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{}", answer.text);
    }
    for body in
        [json!({}), json!([]), json!({"resource": role, "raeson": "x"}), json!({"account_id": "1", "reason": "x"})]
    {
        is_problem(&post(&body).await, 400, "invalid_parameter");
    }
    is_problem(
        &post(&json!({"resource": "arn:aws:iam::444455556666:role/none", "reason": "x"})).await,
        404,
        "not_found",
    );
    is_problem(&program.get("/api/v1/baselines/bl_0").await, 404, "not_found");
    is_problem(&program.send(Method::DELETE, &format!("{BASELINES}/bl_0?reason=x"), "").await, 404, "not_found");

    // With the digest of what was looked at, and of nothing else.
    let stale = json!({"resource": role, "reason": "x", "expected_digest": "0".repeat(64)});
    let refused = post(&stale).await;
    is_problem(&refused, 409, "conflict");
    assert!(items(&program, BASELINES).await.is_empty());
    let answer = post(&good).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let taken = answer.json();
    assert_eq!(taken["skipped"], json!([]));
    let baseline = taken["baselines"][0].clone();
    let told = ["state", "resource", "approved_by", "reason", "ticket", "signed_by", "until"].map(|it| &baseline[it]);
    let (null, by) = (Value::Null, json!("token bot"));
    assert_eq!(told, [&json!("matches"), &json!(role), &by, &json!("Reviewed"), &json!("SEC-1"), &null, &null]);
    assert!(refused.text.contains(baseline["digest"].as_str().unwrap()), "{}", refused.text);
    let again = json!({"resource": role, "reason": "x", "expected_digest": baseline["digest"]});
    assert_eq!(post(&again).await.status, StatusCode::OK);
    assert_eq!(items(&program, BASELINES).await.len(), 1, "a later one takes the place of the first");
    let baseline = items(&program, BASELINES).await.remove(0);
    let id = baseline["baseline_id"].as_str().unwrap().to_owned();
    let path = format!("{BASELINES}/{id}");
    let detail = program.json(&path).await;
    assert_eq!((&detail["differing_parts"], &detail["entry"]["digest"]), (&json!([]), &baseline["digest"]));

    // The change that led there is approved with the first one; the others are as they were.
    let approved = items(&program, "/api/v1/changes?approval=approved").await;
    assert_eq!(approved.iter().map(|it| &it["change_id"]).collect::<Vec<_>>(), [&json!(ids[0])]);
    assert_eq!(approved[0]["approval_baseline"], taken["baselines"][0]["baseline_id"]);
    for (query, number) in [
        ("state=matches", 1),
        ("state=differs,removed,unknown,expired", 0),
        ("resource_type=AWS::IAM::Role", 1),
        ("account_id=999999999999", 0),
    ] {
        assert_eq!(items(&program, &format!("{BASELINES}?{query}")).await.len(), number, "{query}");
    }
    is_problem(&program.get("/api/v1/baselines?state=open").await, 400, "invalid_parameter");

    is_problem(&program.send(Method::DELETE, &path, "").await, 400, "invalid_parameter");
    let withdrawn = program.send(Method::DELETE, &format!("{path}?reason=a+mistake"), "").await;
    assert_eq!(withdrawn.json()["ended_because"], "a mistake", "{}", withdrawn.text);
    is_problem(&program.send(Method::DELETE, &format!("{path}?reason=x"), "").await, 409, "conflict");
    assert!(items(&program, BASELINES).await.is_empty());

    // What the latest scan did not show is not approved.
    for observation in &mut seen {
        observation.roles.retain(|it| it.arn.as_str() != role);
        let scopes: Vec<_> = observation.coverage.scopes().map(|(scope, _)| scope.clone()).collect();
        for scope in scopes {
            observation.coverage.gap(rolecall_estate::coverage::Gap {
                scope,
                action: "iam:GetAccountAuthorizationDetails".into(),
                reason: rolecall_estate::coverage::GapReason::Denied,
                detail: String::new(),
                day: None,
            });
        }
    }
    look(&app.store, &app.rules, &seen).await;
    let refused = post(&good).await;
    is_problem(&refused, 409, "conflict");
    assert!(refused.text.contains("did not show it"), "{}", refused.text);
}

#[tokio::test]
async fn an_account_is_approved_as_a_whole() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &[Scope::Admin]).await;
    let body = json!({"account_id": "444455556666", "reason": "Reviewed"});
    let answer = program.send(Method::POST, BASELINES, body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let number = answer.json()["baselines"].as_array().unwrap().len();
    assert!(number > 20, "{number}");
    let mut found = Vec::new();
    let mut path = format!("{BASELINES}?limit=7&state=matches");
    loop {
        let page = program.json(&path).await;
        found.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{BASELINES}?limit=7&state=matches&cursor={cursor}");
    }
    assert_eq!(found.len(), number);
    let person = Client::person(&app).await;
    let account = person.get("/accounts/444455556666").await.text;
    assert!(account.contains("Every resource with a baseline matches it."), "{account}");
}

#[tokio::test]
async fn a_person_approves_on_the_page_of_the_resource() {
    let (app, mut seen, ids) = changed().await;
    let person = Client::person(&app).await.with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let reader = Client::program(&app, &[Scope::InventoryRead]).await;
    let change = reader.json(&format!("/api/v1/changes/{}", ids[0])).await;
    let role = change["resource"].as_str().unwrap().to_owned();
    assert!(person.get(&format!("/changes/{}", ids[0])).await.text.contains("present state as baseline"));
    let page = format!("/roles/{role}");
    let fields = async || {
        let html = person.get(&page).await.html();
        let form = scraper::Selector::parse("#baseline input[type=hidden]").unwrap();
        let fields = html.select(&form).map(|it| {
            let text = it.attr("value").unwrap().to_owned();
            format!("{}={}", it.attr("name").unwrap(), rolecall::http::query::encode(&text))
        });
        fields.collect::<Vec<_>>().join("&")
    };
    let shown = fields().await;
    let send = async |fields: &str| person.send(Method::POST, "/baselines", fields.to_owned()).await;
    assert_eq!(send(&format!("resource={role}&reason=x")).await.status, StatusCode::FORBIDDEN, "no form token");
    assert_eq!(send(&format!("{shown}&reason=")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send(&format!("{shown}&reason=x&until=soon")).await.status, StatusCode::BAD_REQUEST);
    let answer = send(&format!("{shown}&reason=Reviewed&ticket=SEC-7&until=")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, page.as_str()), "{}", answer.text);
    assert!(person.get(&page).await.text.contains("Matches"));
    let list = person.get("/baselines").await.text;
    assert!(["Reviewed", "SEC-7", "Not signed", "1 matches"].iter().all(|it| list.contains(it)), "{list}");
    assert!(person.get(&format!("/changes/{}", ids[0])).await.text.contains("with the baseline"));

    // What was shown is not there any more.
    allow(&app, &mut seen, "s3:PutObject", Utc::now()).await;
    assert_eq!(send(&format!("{shown}&reason=x")).await.status, StatusCode::CONFLICT);

    let id = reader.json(BASELINES).await["items"][0]["baseline_id"].as_str().unwrap().to_owned();
    let one = format!("/baselines/{id}");
    let shown = person.get(&one).await.text;
    assert!(shown.contains("Withdraw baseline") && shown.contains("Approved state"), "{shown}");
    let token = fields().await.split('&').find(|it| it.starts_with("form_token")).unwrap().to_owned();
    let answer = person.send(Method::POST, &format!("{one}/withdrawal"), format!("{token}&reason=a+mistake")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let shown = person.get(&one).await.text;
    assert!(shown.contains("Not in force any more") && shown.contains("a mistake"), "{shown}");
    assert!(person.get("/baselines").await.text.contains("No baseline"));
}
