//! Tokens that were refused, as the audit log has them.
//!
//! INVARIANT: anybody can cause these, so that of each cause (a token's id, or an address where none is known) one entry
//! a minute is written, with the number of refusals since the one before, and of all causes so many a minute. A request
//! is refused whether or not that can be written down. Refuses to know why a token is refused.

use crate::app::App;
use crate::http::principal::{RequestSource, Scope};
use axum::http::Method;
use rolecall_store::{Actor, ActorKind, AuditAction, AuditOutcome, NewAuditEntry};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

/// Entries a minute, of all causes.
const WRITTEN: u32 = 60;

/// Why a token lets nobody in.
pub(super) enum TokenRefusal {
    /// It does not have the form of a token.
    Malformed,
    /// There is none with this id and secret.
    Unknown { id: String },
    /// It was valid once.
    Ended { id: String, name: String, why: &'static str },
}

/// What a token lacks for a request.
pub(super) struct Lacks<'a> {
    pub(super) scope: Scope,
    pub(super) scopes: &'a BTreeSet<Scope>,
    pub(super) method: &'a Method,
    /// As the route is declared: what stands in an address is the caller's choice.
    pub(super) path: &'a str,
}

/// Writes down that a token was refused.
pub(super) async fn token(app: &App, source: &RequestSource, why: &TokenRefusal) {
    let address = || source.ip.map_or_else(|| "no address".to_owned(), |ip| ip.to_canonical().to_string());
    let (cause, object, name, why) = match why {
        TokenRefusal::Malformed => (format!("malformed {}", address()), None, None, "it is not a token"),
        // An id that somebody made up is no cause of its own: there are as many as anybody likes.
        TokenRefusal::Unknown { id } => {
            (format!("unknown {}", address()), Some(id), None, "no token has this id and secret")
        }
        TokenRefusal::Ended { id, name, why } => (format!("ended {id}"), Some(id), Some(name), *why),
    };
    let actor = actor(name.map(String::as_str), source);
    write(app, &cause, actor, object.cloned(), json!({ "why": why })).await;
}

/// Writes down that a token was refused for want of a scope.
pub(super) async fn scope(app: &App, name: &str, source: &RequestSource, lacks: &Lacks<'_>) {
    let cause = format!("scope {name} {}", lacks.scope);
    let scopes: Vec<&str> = lacks.scopes.iter().map(|scope| scope.as_str()).collect();
    let detail = json!({
        "why": format!("it lacks the scope `{}`", lacks.scope), "scopes": scopes,
        "request": format!("{} {}", lacks.method, lacks.path),
    });
    write(app, &cause, actor(Some(name), source), None, detail).await;
}

fn actor(name: Option<&str>, source: &RequestSource) -> Actor {
    Actor {
        kind: if name.is_some() { ActorKind::Token } else { ActorKind::Anonymous },
        name: name.unwrap_or("anonymous").to_owned(),
        source_ip: source.ip,
        request_id: source.request_id.clone(),
    }
}

async fn write(app: &App, cause: &str, actor: Actor, object: Option<String>, mut detail: Value) {
    let Some(refusals) = app.refusals.count(cause, Instant::now()) else { return };
    let standing = app.rates.count("refused tokens", WRITTEN, Instant::now());
    if standing.is_some_and(|standing| standing.wait.is_some()) {
        return tracing::warn!(cause, refusals, "a token was refused");
    }
    if let Some(fields) = detail.as_object_mut() {
        fields.insert("refusals".to_owned(), refusals.into());
    }
    let entry = NewAuditEntry { action: AuditAction::TokenUse, outcome: AuditOutcome::Failure, object, detail };
    if let Err(error) = app.store.acting_as(actor).write_audit_log(entry).await {
        tracing::warn!(cause, error = crate::error::chain(&error), "a refused token is not in the audit log");
    }
}
