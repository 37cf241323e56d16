//! What a difference between two states comes to: whether more or less is allowed, and a request that shows it.
//!
//! The words that changes between scans, proposed changes and declared state share.

use rolecall_iam::compare::{Relation, Witness};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

rolecall_iam::vocabulary! {
    /// What a change comes to for whom it reaches.
    pub enum Effect: "an effect" {
        /// More is allowed, and nothing less.
        Widened = "widened",
        /// Less is allowed, and nothing more.
        Narrowed = "narrowed",
        /// Some more and some less.
        Mixed = "mixed",
        /// The same requests are allowed.
        None = "none",
        /// It is not proved; the change's sentence says why.
        Unknown = "unknown",
    }
}

impl Effect {
    /// The effect on several together. What is known of some stands beside what is not known of others
    /// only where it is both a gain and a loss.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Mixed, _) | (_, Self::Mixed) => Self::Mixed,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::None, it) | (it, Self::None) => it,
            _ => Self::Mixed,
        }
    }
}

impl From<Relation> for Effect {
    fn from(relation: Relation) -> Self {
        match relation {
            Relation::Equal => Self::None,
            Relation::Narrowed => Self::Narrowed,
            Relation::Widened => Self::Widened,
            Relation::Mixed => Self::Mixed,
            Relation::Unknown => Self::Unknown,
        }
    }
}

/// Access that was gained or lost: in words, and as a request that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The request as words, such as `s3:GetObject on arn:aws:s3:::orders/*`.
    pub words: String,
    /// The action of the request.
    pub action: String,
    /// Its resource: an ARN, or `*`.
    pub resource: String,
    /// The condition keys that matter.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Who asks, where that is not the workload itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
}

impl Access {
    pub(crate) fn new(witness: Witness) -> Self {
        let Witness { action, resource, context, principal } = witness;
        Self { words: String::new(), action, resource, context, principal }.in_words()
    }

    /// The same request on another resource.
    pub(crate) fn on(self, resource: &str) -> Self {
        Self { resource: resource.to_owned(), ..self }.in_words()
    }

    fn in_words(self) -> Self {
        let Self { action, resource, context, principal, .. } = self;
        let who = principal.as_ref().map(|who| format!("{who}: ")).unwrap_or_default();
        let given = match context.len() {
            0 => String::new(),
            _ => format!(" with {}", Value::Object(context.clone())),
        };
        let words = format!("{who}{action} on {resource}{given}");
        Self { words, action, resource, context, principal }
    }

    pub(crate) fn described(words: String, action: &str, resource: &str) -> Self {
        Self { words, action: action.to_owned(), resource: resource.to_owned(), context: Map::new(), principal: None }
    }
}
