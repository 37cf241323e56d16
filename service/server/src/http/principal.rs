//! Who sent a request, and what a route requires of them.

use rolecall_estate::Visibility;
use std::collections::BTreeSet;

rolecall_iam::vocabulary! {
    /// What a token may do.
    pub enum Scope: "a scope" {
        /// Read findings.
        FindingsRead = "findings:read",
        /// Acknowledge, suppress, open, assign and comment on findings.
        FindingsTriage = "findings:triage",
        /// Reserve, link and take away the tickets of findings.
        TicketsWrite = "tickets:write",
        /// Read accounts, roles, associations, sessions, their use, coverage and how far trails were read.
        InventoryRead = "inventory:read",
        /// Read rules and their results.
        PoliciesRead = "policies:read",
        /// Read scans.
        ScansRead = "scans:read",
        /// Start a scan.
        ScansWrite = "scans:write",
        /// Approve changes, and withdraw that.
        ChangesApprove = "changes:approve",
        /// Read `/metrics`.
        MetricsRead = "metrics:read",
        /// Everything.
        Admin = "admin",
    }
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
    },
    /// A person. People may read everything, start a run, approve changes and work on findings.
    Person {
        /// Who.
        name: String,
        /// What every form of theirs must send back.
        form_token: String,
        /// Whether there is a session of ours to end.
        can_sign_out: bool,
        /// What they may see.
        visibility: Visibility,
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

    pub(super) fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Token { scopes, .. } => scopes.contains(&scope) || scopes.contains(&Scope::Admin),
            Self::Person { .. } => scope != Scope::Admin,
        }
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
        };
        assert!(token(&[Scope::FindingsRead]).may(Scope::FindingsRead));
        assert!(!token(&[Scope::FindingsRead]).may(Scope::InventoryRead));
        assert!(Scope::ALL.iter().all(|scope| token(&[Scope::Admin]).may(*scope)));
        assert!(Scope::ALL.iter().all(|scope| !token(&[]).may(*scope)));
    }
}
