//! Who may come in, and to what.
//!
//! Everything needs a credential unless [`need`] says otherwise, and what it does not know needs
//! the most. Programs bring tokens; people bring a session cookie that a one-time link gave them,
//! or the name that a trusted proxy gives. Refuses to know what an address does.

mod gate;
mod sign_in;
pub mod token;

pub(crate) use gate::gate;
pub use sign_in::{LoginError, login_url};
pub(crate) use sign_in::{is_local, sign_in, sign_out};

use axum::http::Method;
use std::collections::BTreeSet;
use token::Scope;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A program.
    Token {
        /// How people call it, such as `ticket-bot`.
        name: String,
        /// What it may do.
        scopes: BTreeSet<Scope>,
    },
    /// A person. People may read everything and start a run.
    Person {
        /// Who.
        name: String,
        /// What every form of theirs must send back.
        form_token: String,
        /// Whether there is a session of ours to end.
        can_sign_out: bool,
    },
}

impl Principal {
    /// How the principal is called in logs and records.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Token { name, .. } => format!("token {name}"),
            Self::Person { name, .. } => name.clone(),
        }
    }

    fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Token { scopes, .. } => scopes.contains(&scope) || scopes.contains(&Scope::Admin),
            Self::Person { .. } => scope != Scope::Admin,
        }
    }
}

/// What an address asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the short list of addresses that are open to everybody.
    Nothing,
    /// Any valid credential.
    Anyone,
    /// A person.
    Person,
    /// A credential with this scope.
    Scope(Scope),
}

/// What a request needs. An address that is not named here needs `admin` under `/api`, and a
/// person elsewhere.
#[must_use]
pub fn need(method: &Method, path: &str) -> Need {
    let reads = *method == Method::GET || *method == Method::HEAD;
    if reads && (matches!(path, "/livez" | "/readyz" | "/login") || path.starts_with("/static/")) {
        return Need::Nothing;
    }
    if path == "/metrics" {
        return Need::Scope(Scope::MetricsRead);
    }
    let Some(rest) = path.strip_prefix("/api") else { return Need::Person };
    let resource = rest.strip_prefix("/v1/").unwrap_or_default().split('/').next().unwrap_or_default();
    match resource {
        "findings" if reads => Need::Scope(Scope::FindingsRead),
        "accounts" | "associations" | "roles" | "sessions" | "coverage" | "ingestion" if reads => {
            Need::Scope(Scope::InventoryRead)
        }
        // They change nothing: what is in their bodies is only decided.
        "simulate" | "compare" => Need::Scope(Scope::InventoryRead),
        "rules" if reads => Need::Scope(Scope::PoliciesRead),
        "scans" if reads => Need::Scope(Scope::ScansRead),
        "scans" => Need::Scope(Scope::ScansWrite),
        "openapi.json" if reads => Need::Anyone,
        _ => Need::Scope(Scope::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_needs_the_most() {
        for (method, path, want) in [
            (Method::GET, "/livez", Need::Nothing),
            (Method::GET, "/static/app.css", Need::Nothing),
            (Method::GET, "/login", Need::Nothing),
            (Method::POST, "/login", Need::Person),
            (Method::GET, "/", Need::Person),
            (Method::GET, "/apiary", Need::Scope(Scope::Admin)),
            (Method::GET, "/new-page", Need::Person),
            (Method::GET, "/livezz", Need::Person),
            (Method::GET, "/metrics", Need::Scope(Scope::MetricsRead)),
            (Method::GET, "/api/v1/findings", Need::Scope(Scope::FindingsRead)),
            (Method::GET, "/api/v1/findings/17", Need::Scope(Scope::FindingsRead)),
            (Method::POST, "/api/v1/simulate", Need::Scope(Scope::InventoryRead)),
            (Method::POST, "/api/v1/compare", Need::Scope(Scope::InventoryRead)),
            (Method::PATCH, "/api/v1/findings/17", Need::Scope(Scope::Admin)),
            (Method::POST, "/api/v1/scans", Need::Scope(Scope::ScansWrite)),
            (Method::GET, "/api/v1/new", Need::Scope(Scope::Admin)),
            (Method::GET, "/api/v2/findings", Need::Scope(Scope::Admin)),
            (Method::GET, "/api", Need::Scope(Scope::Admin)),
        ] {
            assert_eq!(need(&method, path), want, "{method} {path}");
        }
    }

    #[test]
    fn a_token_does_what_its_scopes_say_and_no_more() {
        let token =
            |scopes: &[Scope]| Principal::Token { name: "bot".to_owned(), scopes: scopes.iter().copied().collect() };
        assert!(token(&[Scope::FindingsRead]).may(Scope::FindingsRead));
        assert!(!token(&[Scope::FindingsRead]).may(Scope::InventoryRead));
        assert!(Scope::ALL.iter().all(|scope| token(&[Scope::Admin]).may(*scope)));
        assert!(Scope::ALL.iter().all(|scope| !token(&[]).may(*scope)));
    }
}
