//! The dashboard and the JSON API.
//!
//! Knows addresses, shapes, words for people, and who may come in. A request passes the edge (id,
//! headers, form of failures), the gate (who asks, and may they), the border (can its texts be read
//! and kept), and then one handler that reads, asks the store once or a few times, and fills a shape. Refuses to know SQL, AWS and what makes
//! a finding.

mod again;
pub(crate) mod api;
mod approval;
pub(crate) mod as_of;
pub mod assets;
pub mod auth;
mod baselines;
mod border;
mod contract;
pub mod cursor;
mod docs;
pub mod edge;
pub mod error;
mod examples;
pub(crate) mod exceptions;
pub(crate) mod export;
mod fields;
pub(crate) mod filters;
mod frame;
pub mod front;
mod health;
mod inventory;
mod limits;
pub(crate) mod list_pages;
pub(crate) mod listing;
pub(crate) mod lists;
mod metrics;
mod packed;
mod pages;
pub mod principal;
pub mod query;
mod rated;
mod reference;
mod remediation;
mod routes;
pub(crate) mod rule_text;
mod tickets;
mod tokens;
mod triage;
pub mod view;
mod views;
mod visible;
pub(crate) mod webhooks;
mod who_can;
mod whole;

pub(crate) use again::KEPT as ANSWERS_KEPT;
pub(crate) use api::audit_log::AuditEntryJson;
pub(crate) use api::baselines::BaselineJson;
pub(crate) use api::change_events::ChangeEventJson;
pub(crate) use api::changes::ChangeJson;
pub(crate) use api::clusters::ClusterJson;
pub(crate) use api::exceptions::ExceptionItemJson;
pub(crate) use api::{AccountJson, SuppressionJson};
pub(crate) use auth::IDLE as SESSION_IDLE;
pub(crate) use listing::base_url;
pub use routes::Sample;
pub(crate) use webhooks::test_delivery;

use crate::app::App;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Json, Router};
use principal::{AccessRequirement, Scope};
use routes::Routes;
use std::sync::Arc;
use std::time::Duration;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::OpenApi;

/// The largest body that any address reads.
const MAX_BODY: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

fn routes() -> Routes {
    let (nothing, credential) = (AccessRequirement::Nothing, AccessRequirement::Credential);
    let routes = api::routes(pages::routes(Routes::new(api::document())));
    // These hold no secret, and are compressed for everybody; pages are not (`packed`).
    let assets = get(assets::serve).layer(CompressionLayer::new());
    routes
        .other(Method::GET, "/login", nothing, get(auth::sign_in))
        .other(Method::GET, "/login/oidc", nothing, get(auth::authorize))
        .other(Method::GET, "/login/callback", nothing, get(auth::callback))
        .other(Method::GET, "/login/end", nothing, get(auth::end_at_provider))
        .own_form("/logout", "/logout", post(auth::sign_out))
        .other(Method::GET, "/static/{name}", nothing, assets)
        .other(Method::GET, "/livez", nothing, get(health::livez))
        .other(Method::GET, "/readyz", nothing, get(health::readyz))
        .other(Method::GET, "/metrics", AccessRequirement::Scope(Scope::MetricsRead), get(metrics::metrics))
        .of_everything(limits::METRICS)
        .page("/docs", "/docs", get(docs::first))
        .page("/docs/{chapter}", "/docs/tutorial", get(docs::page))
        .page("/docs/api", "/docs/api", get(reference::page))
        .other(
            Method::GET,
            "/api/v1/openapi.json",
            credential,
            get(async || Json(openapi())).layer(CompressionLayer::new()),
        )
}

/// The contract of the API, as `openapi.json` holds it.
#[must_use]
pub fn openapi() -> OpenApi {
    routes().into_contract()
}

/// The pages and forms, for tests that walk all of them.
#[must_use]
pub fn pages() -> Vec<Sample> {
    routes().into_samples()
}

/// Every page and every endpoint, with everything in front of them.
pub fn router(app: App) -> Router {
    let (router, table) = routes().into_router(&app);
    router
        .fallback(edge::no_such_address)
        .layer(from_fn(border::border))
        .layer(from_fn_with_state(app.clone(), rated::rated))
        .layer(from_fn_with_state((app.clone(), Arc::new(table), auth::Visits::default()), auth::gate))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(from_fn_with_state(app.clone(), edge::edge))
        .with_state(visible::Service::new(app))
}
