//! `POST /api/v1/compare`: what a change of policies comes to, and what is refused.

use crate::api::is_problem;
use crate::support::{Client, Seen, app};
use axum::http::{Method, StatusCode};
use rolecall::http::auth::token::Scope;
use serde_json::{Value, json};

fn allows(action: &str) -> Value {
    json!({"policies": {"identity": [{"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": action, "Resource": "arn:aws:sqs:eu-west-1:111122223333:q"}}]}})
}

#[tokio::test]
async fn a_change_is_compared_and_shown_by_a_request() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let compared = async |before: Value, after: Value| {
        let pair =
            json!({"id": "q", "principal": "arn:aws:iam::111122223333:role/app", "before": before, "after": after});
        let answer = client.send(Method::POST, "/api/v1/compare", pair.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    };
    let wider = compared(allows("sqs:SendMessage"), allows("sqs:*")).await;
    assert_eq!((wider["id"].as_str(), wider["relation"].as_str()), (Some("q"), Some("widened")), "{wider}");
    assert_eq!(wider["gained"]["resource"], "arn:aws:sqs:eu-west-1:111122223333:q");
    assert!(wider["lost"].is_null() && wider["gained"]["context"].is_object());
    let narrower = compared(allows("sqs:*"), allows("sqs:SendMessage")).await;
    assert_eq!(
        (narrower["relation"].as_str(), &narrower["lost"]["action"]),
        (Some("narrowed"), &wider["gained"]["action"])
    );
    assert_eq!(compared(allows("sqs:SendMessage"), allows("SQS:sendmessage")).await["relation"], "equal");
    let broken = compared(json!({"policies": {"identity": ["{"]}}), allows("sqs:*")).await;
    assert_eq!(broken["relation"], "unknown");
    assert!(broken["because"].as_str().unwrap().starts_with("before: "), "{broken}");
}

#[tokio::test]
async fn a_pair_that_is_none_is_refused_with_the_place() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    for (pair, part) in [
        (json!({"before": allows("sqs:*")}), "missing field `after`"),
        (json!({"before": allows("sqs:*"), "after": 3}), "there is a number"),
        (json!({"before": allows("sqs:*"), "after": {"policies": {"scp": {}}}}), "there is an object"),
        (json!({"before": allows("sqs:*"), "after": allows("sqs:*"), "principal": "?"}), "`?` is no principal"),
        (
            json!({"before": allows("sqs:*"), "after": allows("sqs:*"), "resource_account": "1"}),
            "not an AWS account id",
        ),
        (json!({"befor": 1}), "unknown field `befor`"),
    ] {
        let answer = client.send(Method::POST, "/api/v1/compare", pair.to_string()).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{}", answer.text);
    }
    let place = json!({"before": allows("sqs:*"), "after": {"policies": {"scp": {}}}});
    let answer = client.send(Method::POST, "/api/v1/compare", place.to_string()).await;
    assert_eq!(answer.json()["errors"][0]["parameter"], "/after/policies/scp");
    let reader = Client::program(&app, &[Scope::FindingsRead]).await;
    assert_eq!(reader.send(Method::POST, "/api/v1/compare", "{}").await.status, StatusCode::FORBIDDEN);
}
