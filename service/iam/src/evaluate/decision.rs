//! What a decision says: the outcome, the reasons where it is unknown, a statement that decided.

use crate::evaluate::policy_set::PolicyRef;
use crate::policy::ast::Statement;
use crate::policy::policy_type::PolicyType;
use crate::truth::Why;
use std::sync::Arc;

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is allowed.
    Allow,
    /// A Deny certainly refuses it.
    DenyExplicit,
    /// It is certainly refused, and no Deny is certain: something that must allow it does not.
    DenyImplicit,
    /// Something that was not seen or not understood, or a key that is left open, decides.
    Unknown,
}

impl Outcome {
    /// `Allow`, `Deny(explicit)`, `Deny(implicit)` or `Unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::DenyExplicit => "Deny(explicit)",
            Self::DenyImplicit => "Deny(implicit)",
            Self::Unknown => "Unknown",
        }
    }
}

/// A statement that decided.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    /// The layer that it stands in.
    pub kind: PolicyType,
    /// The policy that holds it.
    pub layer: &'a PolicyRef,
    /// The statement.
    pub statement: &'a Arc<Statement>,
}

/// What a request comes to, and why.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// The answer.
    pub outcome: Outcome,
    /// Why it is unknown: sorted, without repetitions; empty otherwise.
    pub reasons: Vec<Why>,
    /// The Deny that refuses it, or an Allow that grants it. `evaluate::explain` tells all of them.
    pub by: Option<Decider<'a>>,
}
