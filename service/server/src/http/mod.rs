//! The dashboard and the JSON API.
//!
//! Knows addresses, shapes, words for people, and who may come in. A request passes the edge (id,
//! headers, form of failures), the gate (who asks, and may they), the border (can its texts be read
//! and kept), and then one handler that reads, asks the store once or a few times, and fills a shape. Refuses to know SQL, AWS and what makes
//! a finding.

mod api;
pub mod assets;
pub mod auth;
mod border;
pub mod cursor;
pub mod edge;
pub mod error;
mod filters;
pub mod front;
mod health;
mod listing;
mod metrics;
mod pages;
pub mod query;
mod rule_text;
pub mod view;

pub use api::openapi;
pub use pages::PAGES;

use crate::app::App;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use std::time::Duration;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// The largest body that any address reads.
const MAX_BODY: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Every page and every endpoint, with everything in front of them.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(pages::router())
        .merge(api::router())
        .route("/metrics", get(metrics::metrics))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        // Only what holds no secret is compressed: a page has a form token beside words of the caller.
        .route("/static/{name}", get(assets::serve).layer(CompressionLayer::new()))
        .fallback(edge::no_such_address)
        .layer(from_fn(border::border))
        .layer(from_fn_with_state(app.clone(), auth::gate))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(from_fn_with_state(app.clone(), edge::edge))
        .with_state(app)
}
