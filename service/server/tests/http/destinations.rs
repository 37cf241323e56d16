//! A service with one destination, whatever its kind: what is waiting is sent, and what became of it is read.

use crate::support::Client;
use axum::http::{Method, StatusCode};
use rolecall::app::App;
use rolecall::http::auth::token::Scope;
use rolecall::outgoing::endpoint::Endpoint;
use rolecall::work::deliver::round;
use rolecall_store::testing::Database;
use serde_json::{Value, json};

/// What a program may that triages findings and looks after webhooks.
pub(crate) const BOT: [Scope; 3] = [Scope::FindingsRead, Scope::FindingsTriage, Scope::WebhooksManage];

/// The endpoint of a process that was started now.
fn endpoint(app: &App) -> Endpoint {
    Endpoint::new(&app.config.outgoing.webhooks[0], &app.config, &app.hub).unwrap()
}

/// Serves the webhook as a process does that was started now, until there is nothing to be sent.
pub(crate) async fn serve(app: &App) -> usize {
    let endpoint = endpoint(app);
    let (mut is_kept, mut sent) = (false, 0);
    loop {
        match round(app, &endpoint, &mut is_kept).await.unwrap() {
            0 => return sent,
            more => sent += more,
        }
    }
}

/// Has everything sent again, from the first event.
pub(crate) async fn replay(app: &App, bot: &Client) {
    serve(app).await;
    let path = format!("/api/v1/webhooks/{}/replay", app.config.outgoing.webhooks[0].name);
    let answer = bot.send(Method::POST, &path, json!({"after": 0}).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

/// What was sent to a webhook, or waits for it.
pub(crate) async fn deliveries(bot: &Client, webhook: &str) -> Vec<Value> {
    bot.json(&format!("/api/v1/webhooks/{webhook}/deliveries?limit=1000")).await["items"].as_array().unwrap().clone()
}

/// Changes some rows by hand.
pub(crate) async fn execute(database: &Database, statement: &'static str) {
    let mut connection = database.connect().await.unwrap();
    assert!(sqlx::query(statement).execute(&mut connection).await.unwrap().rows_affected() > 0, "{statement}");
}
