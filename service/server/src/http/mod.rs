//! The dashboard and the JSON API.

pub mod auth;
pub mod cursor;
pub mod error;
pub mod query;
pub mod view;

use crate::app::App;

/// Every page and every endpoint.
pub fn router(app: App) -> axum::Router {
    axum::Router::new().with_state(app)
}
