//! The service as whoever asks may see it: what handlers get, and the rare door to the whole.
//!
//! INVARIANT: the router's state gives no handler a store. [`Visible`] gives one that shows what the principal may see;
//! a handler that asks for anything else by `State` does not compile. Refuses to know who may see what.

use super::error::AppError;
use super::principal::Principal;
use crate::app::App;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;

/// What the router holds.
#[derive(Clone)]
pub(crate) struct Service(App);

impl Service {
    pub(crate) fn new(app: App) -> Self {
        Self(app)
    }

    /// The whole service, for extractors.
    pub(super) fn whole(&self) -> &App {
        &self.0
    }
}

/// The service with a store that shows what the principal may see.
pub(crate) struct Visible(pub(crate) App);

impl FromRequestParts<Service> for Visible {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, AppError> {
        match parts.extensions.get::<Principal>() {
            Some(principal) => Ok(Self(service.0.visible_to(principal.visibility()))),
            // A route that is open to everybody asks for what only somebody may see.
            None => Err(AppError::internal(NoPrincipal)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a route without a principal asks for what is stored")]
struct NoPrincipal;

/// The whole service, whoever asks: for routes that show nothing of an estate, and for such as nobody with limits
/// comes to.
pub(crate) struct Unlimited(pub(crate) App);

impl FromRequestParts<Service> for Unlimited {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, service: &Service) -> Result<Self, Infallible> {
        Ok(Self(service.0.clone()))
    }
}
