//! The least that a list of findings over HTTP can cost: axum, one indexed statement, fifty rows of plain columns,
//! JSON. `cargo xtask bench load` measures the API beside it.
//!
//! `bare SOCKET_FOLDER PORT BIND`. Refuses to know who asks, filters, cursors, counts and whatever is in another table.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// A finding's plain columns.
#[derive(Serialize, sqlx::FromRow)]
struct Row {
    number: i64,
    fingerprint: String,
    rule: String,
    severity: String,
    account_id: String,
    subject_kind: String,
    subject_key: String,
    region: Option<String>,
    cluster: Option<String>,
    namespace: Option<String>,
    service_account: Option<String>,
    role_arn: Option<String>,
    target_role_arn: Option<String>,
    detection: String,
    workflow: String,
    resolution: Option<String>,
    message: String,
    assignee: Option<String>,
    first_seen_at: DateTime<Utc>,
    opened_at: DateTime<Utc>,
    last_seen_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    reopened_count: i32,
    first_run: i64,
    last_run: Option<i64>,
    version: i64,
}

const LIST: &str = "select number, fingerprint, rule, severity, account_id, subject_kind, subject_key, region, cluster, \
     namespace, service_account, role_arn, target_role_arn, detection, workflow, resolution, message, assignee, \
     first_seen_at, opened_at, last_seen_at, resolved_at, updated_at, reopened_count, first_run, last_run, version \
     from finding where part_of is null order by severity_rank desc, number desc limit 50";

async fn list(State(pool): State<PgPool>) -> Result<Json<Vec<Row>>, StatusCode> {
    let rows = sqlx::query_as(LIST).fetch_all(&pool).await;
    rows.map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [socket, port, bind] = given.as_slice() else { return Err("bare SOCKET_FOLDER PORT BIND".into()) };
    let options = rolecall_store::PgConnectOptions::new().socket(socket).port(port.parse()?);
    let options = options.username("rolecall").database("rolecall");
    // As many connections as the service has, and none is asked whether it lives.
    let pool = PgPoolOptions::new().max_connections(10).test_before_acquire(false).connect_with(options).await?;
    let listener = tokio::net::TcpListener::bind(bind).await?;
    axum::serve(listener, Router::new().route("/", get(list)).with_state(pool)).await?;
    Ok(())
}
