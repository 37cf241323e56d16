//! `POST /api/v1/what-if`: what proposed changes would come to, and what is refused.

use crate::api::is_problem;
use crate::support::{Client, Seen, app};
use axum::http::{Method, StatusCode};
use rolecall::http::auth::token::Scope;
use serde_json::{Value, json};

/// An association's role, of the stored estate.
async fn some_role(client: &Client) -> String {
    let listed = client.json("/api/v1/associations").await;
    let items = listed["items"].as_array().unwrap();
    items.iter().find_map(|it| it["detail"]["role_arn"].as_str()).unwrap_or_else(|| panic!("{listed}")).to_owned()
}

fn admin(role: &str) -> Value {
    json!({"kind": "inline_policy", "resource": role, "name": "proposed", "document":
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}})
}

#[tokio::test]
async fn a_proposed_change_is_answered_and_changes_nothing() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::InventoryRead, Scope::FindingsRead]).await;
    let role = some_role(&client).await;
    let findings = client.json("/api/v1/findings").await["total"].clone();
    let asked = json!({"changes": [admin(&role)]}).to_string();
    let answer = client.send(Method::POST, "/api/v1/what-if", asked.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let answer = answer.json();
    assert_eq!((&answer["effect"], &answer["changes"][0]["resource"]), (&"widened".into(), &role.into()), "{answer}");
    assert_eq!(answer["changes"][0]["proposal"], json!({"file": null, "pointer": "/changes/0"}));
    assert!(!answer["workloads"].as_array().unwrap().is_empty());
    assert!(answer["opens"].as_array().unwrap().iter().any(|it| it["rule_id"] == "admin-equivalent"), "{answer}");
    // Asked again it is the same: nothing was kept.
    let again = client.send(Method::POST, "/api/v1/what-if", asked).await.json();
    assert_eq!(again, answer);
    assert_eq!(client.json("/api/v1/findings").await["total"], findings);
}

#[tokio::test]
async fn what_cannot_be_read_or_applied_is_refused_by_its_pointer() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    for (body, pointer) in [
        (json!({"changes": [{"kind": "trust_policy", "resource": "api"}]}), "/changes/0/document"),
        (json!({"changes": [admin("absent")]}), "/changes/0"),
        (json!({"changes": [], "account": "12"}), "/account"),
    ] {
        let answer = client.send(Method::POST, "/api/v1/what-if", body.to_string()).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], pointer, "{}", answer.text);
    }
    let odd = client.send(Method::POST, "/api/v1/what-if", r#"{"change":[]}"#).await;
    is_problem(&odd, 400, "invalid_parameter");
    let reader = Client::program(&app, &[Scope::FindingsRead]).await;
    assert_eq!(reader.send(Method::POST, "/api/v1/what-if", "{}").await.status, StatusCode::FORBIDDEN);
}
