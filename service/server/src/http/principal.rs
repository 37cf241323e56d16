//! Who sent a request, and what a route requires of them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

macro_rules! scopes {
    ($($name:ident $text:literal $about:literal;)*) => {
        /// What a token may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $(#[doc = $about] $name,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, such as `findings:read`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

scopes! {
    FindingsRead "findings:read" "Read findings.";
    InventoryRead "inventory:read" "Read accounts, roles, associations, sessions, their use, coverage and how far trails were read.";
    PoliciesRead "policies:read" "Read rules and their results.";
    ScansRead "scans:read" "Read scans.";
    ScansWrite "scans:write" "Start a scan.";
    ChangesApprove "changes:approve" "Approve changes, and withdraw that.";
    MetricsRead "metrics:read" "Read `/metrics`.";
    Admin "admin" "Everything.";
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|v| v.as_str() == s).ok_or_else(|| {
            let known = Self::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", ");
            format!("`{s}` is not a scope; known are {known}")
        })
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
    },
    /// A person. People may read everything, start a run and approve changes.
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
        let token =
            |scopes: &[Scope]| Principal::Token { name: "bot".to_owned(), scopes: scopes.iter().copied().collect() };
        assert!(token(&[Scope::FindingsRead]).may(Scope::FindingsRead));
        assert!(!token(&[Scope::FindingsRead]).may(Scope::InventoryRead));
        assert!(Scope::ALL.iter().all(|scope| token(&[Scope::Admin]).may(*scope)));
        assert!(Scope::ALL.iter().all(|scope| !token(&[]).may(*scope)));
    }
}
