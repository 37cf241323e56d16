//! The dashboard and the JSON API.

pub mod auth;

use crate::app::App;

/// Every page and every endpoint.
pub fn router(app: App) -> axum::Router {
    axum::Router::new().with_state(app)
}
