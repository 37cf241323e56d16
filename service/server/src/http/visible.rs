//! The service as whoever asks may see it: what handlers get, and the rare door to the whole.
//!
//! INVARIANT: the router's state gives no handler a store. [`Visible`] gives one that shows what the principal may see;
//! a handler that asks for anything else by `State` does not compile. What a handler writes is written down as done by
//! the principal, whether it thinks of that or not. Refuses to know who may see what.

use super::error::{AppError, Code};
use super::limits;
use super::principal::Principal;
use crate::app::App;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use rolecall_iam::RoleArn;
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
            Some(principal) => Ok(Self(service.0.visible_to(principal.visibility()).acting_as(&principal.actor()))),
            // A route that is open to everybody asks for what only somebody may see.
            None => Err(AppError::internal(NoPrincipal)),
        }
    }
}

/// Whether all calls of a role are seen: what was not used by those that are may have been used by others.
pub(crate) async fn role_is_whole(app: &App, arn: &str) -> Result<(), AppError> {
    if !app.store.is_limited() {
        return Ok(());
    }
    let role: RoleArn = arn.parse().map_err(|_| AppError::not_found(format!("role `{arn}`")))?;
    if app.store.shown_accounts().await?.contains(&role.account_id()) {
        return Ok(());
    }
    if app.store.shown_roles(&[arn.to_owned()]).await?.is_empty() {
        return Err(AppError::not_found(format!("role `{arn}`")));
    }
    Err(AppError::new(Code::Forbidden, limits::ROLE_USE))
}

#[derive(Debug, thiserror::Error)]
#[error("a route without a principal asks for what is stored")]
struct NoPrincipal;

/// The whole service, whoever asks: for routes that show nothing of an estate, and for such as nobody with limits
/// comes to.
pub(crate) struct Unlimited(pub(crate) App);

impl FromRequestParts<Service> for Unlimited {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Infallible> {
        let principal = parts.extensions.get::<Principal>();
        Ok(Self(principal.map_or_else(|| service.0.clone(), |who| service.0.acting_as(&who.actor()))))
    }
}
