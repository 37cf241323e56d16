//! Who sent a request, and what a route requires of them.

use crate::app::App;
pub use crate::role::{PersonRole, Scope};
use rolecall_estate::Visibility;
use rolecall_store::{Actor, ActorKind, Store};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestSource {
    /// The address of whoever is connected to us.
    pub ip: Option<IpAddr>,
    /// The id of the request.
    pub request_id: Option<String>,
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A program.
    Token {
        /// How people call it, such as `ticket-bot`.
        name: String,
        /// What it may do.
        scopes: BTreeSet<Scope>,
        /// What it may see.
        visibility: Visibility,
        /// From where.
        source: RequestSource,
    },
    /// A person.
    Person {
        /// Who.
        name: String,
        /// What they may do.
        role: PersonRole,
        /// What every form of theirs must send back.
        form_token: String,
        /// Whether there is a session of ours to end.
        can_sign_out: bool,
        /// What they may see.
        visibility: Visibility,
        /// The id of the session of ours, where there is one.
        session: Option<String>,
        /// From where.
        source: RequestSource,
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

    /// What the principal may see.
    #[must_use]
    pub fn visibility(&self) -> &Visibility {
        match self {
            Self::Token { visibility, .. } | Self::Person { visibility, .. } => visibility,
        }
    }

    /// Whether the principal may do what a scope names. What is about the whole installation is of nobody who sees a
    /// part of it only.
    pub(super) fn may(&self, scope: Scope) -> bool {
        let of_all = matches!(scope, Scope::Admin | Scope::AuditRead | Scope::MetricsRead | Scope::WebhooksManage);
        let has = match self {
            Self::Token { scopes, .. } => scopes.contains(&scope) || scopes.contains(&Scope::Admin),
            Self::Person { role, .. } => role.scopes().contains(&scope),
        };
        has && (!of_all || self.visibility().is_everything())
    }

    /// The principal as the audit log has it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let (kind, name, source) = match self {
            Self::Token { name, source, .. } => (ActorKind::Token, name, source),
            Self::Person { name, source, .. } => (ActorKind::Person, name, source),
        };
        Actor { kind, name: name.clone(), source_ip: source.ip, request_id: source.request_id.clone() }
    }

    /// The store, for what this principal does.
    pub(super) fn store(&self, app: &App) -> Store {
        app.store.acting_as(self.actor())
    }
}

/// What a route requires of whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessRequirement {
    /// Nothing: open to everybody.
    Nothing,
    /// Any valid credential.
    Credential,
    /// A person who signed in.
    Person,
    /// A credential with this scope.
    Scope(Scope),
    /// A person who signed in, in a role with this scope.
    PersonWith(Scope),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_what_its_scopes_say_and_no_more() {
        let token = |scopes: &[Scope]| Principal::Token {
            name: "bot".to_owned(),
            scopes: scopes.iter().copied().collect(),
            visibility: Visibility::Everything,
            source: RequestSource::default(),
        };
        assert!(token(&[Scope::FindingsRead]).may(Scope::FindingsRead));
        assert!(!token(&[Scope::FindingsRead]).may(Scope::InventoryRead));
        assert!(Scope::ALL.iter().all(|scope| token(&[Scope::Admin]).may(*scope)));
        assert!(Scope::ALL.iter().all(|scope| !token(&[]).may(*scope)));
    }

    #[test]
    fn who_sees_a_part_manages_nothing_of_the_whole() {
        let person = |visibility| Principal::Person {
            name: "ann".to_owned(),
            role: PersonRole::Admin,
            form_token: String::new(),
            can_sign_out: true,
            visibility,
            session: None,
            source: RequestSource::default(),
        };
        let limited = person(Visibility::of(["namespace:payments".parse().unwrap()].into()));
        for scope in Scope::ALL {
            let of_all = [Scope::Admin, Scope::AuditRead, Scope::MetricsRead, Scope::WebhooksManage].contains(&scope);
            assert!(person(Visibility::Everything).may(scope));
            assert_eq!(limited.may(scope), !of_all, "{scope}");
        }
    }
}
