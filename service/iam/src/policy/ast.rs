//! The syntax tree of a policy document.
//!
//! Knows the elements of the policy grammar, as they are written. Refuses to know what the elements
//! match, and how a document is read or written.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>.

use crate::condition::Condition;
use crate::matching::pattern::{ActionPattern, ResourcePattern};
use crate::version::Version;
use serde_json::Value;
use std::sync::Arc;

/// A document's content.
#[derive(Debug, Clone)]
pub struct Policy {
    /// As written; `None` counts as [`Version::V2008`].
    pub version: Option<Version>,
    /// The `Id` element.
    pub id: Option<String>,
    /// The statements in their order.
    pub statements: Vec<Arc<Statement>>,
    /// Whether `Statement` is one object rather than a list of them.
    pub single: bool,
}

/// Allow or Deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Refuses, whatever else grants.
    Deny,
}

/// A list that names what is meant, or what is not meant (`NotAction`, `NotResource`, `NotPrincipal`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause<T> {
    /// These.
    In(Vec<T>),
    /// All but these.
    NotIn(Vec<T>),
}

impl<T> Clause<T> {
    /// The elements, whichever way they count.
    #[must_use]
    pub fn elements(&self) -> &[T] {
        match self {
            Self::In(list) | Self::NotIn(list) => list,
        }
    }

    /// Whether this is the `Not…` form.
    #[must_use]
    pub fn is_not(&self) -> bool {
        matches!(self, Self::NotIn(_))
    }

    /// Whether something is meant, given which elements match it.
    pub fn holds(&self, mut matches: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::In(list) => list.iter().any(&mut matches),
            Self::NotIn(list) => !list.iter().any(&mut matches),
        }
    }
}

/// An element of `Principal` or `NotPrincipal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// `"*"`, or `{"AWS": "*"}`, which means the same.
    Everyone,
    /// An account id, an ARN, or a unique id.
    Aws(String),
    /// A service such as `pods.eks.amazonaws.com`.
    Service(String),
    /// An OIDC or SAML provider's ARN, or a web identity host.
    Federated(String),
    /// An S3 canonical user id.
    CanonicalUser(String),
    /// A type that this version does not know.
    Other {
        /// The type, as written.
        kind: String,
        /// The value, as written.
        value: String,
    },
}

/// One statement.
#[derive(Debug)]
pub struct Statement {
    /// Position in the document, from 0.
    pub index: usize,
    /// `/Statement/0`; `/Statement` where the document holds one object.
    pub pointer: String,
    /// The `Sid` element.
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// `None` where the policy's holder is meant, as in identity policies.
    pub principals: Option<Clause<Principal>>,
    /// The actions.
    pub actions: Clause<ActionPattern>,
    /// `None` where the resource that holds the policy is meant, as in trust policies.
    pub resources: Option<Clause<ResourcePattern>>,
    /// The conditions, which must all hold.
    pub conditions: Vec<Condition>,
    /// The statement as it is written.
    pub value: Value,
}

impl Statement {
    /// Whether it names the action.
    #[must_use]
    pub fn names_action(&self, action: &str) -> bool {
        self.actions.holds(|pattern| pattern.matches(action))
    }

    /// Whether it names every resource.
    pub(crate) fn is_on_everything(&self) -> bool {
        self.resources
            .as_ref()
            .is_none_or(|clause| !clause.is_not() && clause.elements().iter().any(|pattern| pattern.as_str() == "*"))
    }

    /// Whether it allows every action on everything to everyone, whatever the context.
    pub(crate) fn allows_everything(&self) -> bool {
        let everyone =
            |clause: &Clause<Principal>| !clause.is_not() && clause.elements().contains(&Principal::Everyone);
        let every_action = |pattern: &ActionPattern| matches!(pattern.as_str(), "*" | "*:*");
        self.effect == Effect::Allow
            && self.conditions.is_empty()
            && self.principals.as_ref().is_none_or(everyone)
            && !self.actions.is_not()
            && self.actions.elements().iter().any(every_action)
            && self.is_on_everything()
    }

    /// Whether it may hold for one role of an account and not for another.
    pub(crate) fn tells_roles_apart(&self) -> bool {
        let of_role = |condition: &Condition| {
            ["aws:PrincipalArn", "aws:userid"].iter().any(|key| condition.key.eq_ignore_ascii_case(key))
                || condition.values.iter().any(|value| value.contains("${"))
        };
        let variable = self.resources.iter().flat_map(Clause::elements).any(ResourcePattern::has_variable);
        variable || self.conditions.iter().any(of_role)
    }
}

impl Policy {
    /// The version in force.
    #[must_use]
    pub fn language(&self) -> Version {
        self.version.unwrap_or(Version::V2008)
    }
}
