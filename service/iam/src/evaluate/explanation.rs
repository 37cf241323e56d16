//! What an explanation of a decision holds.

use crate::digest::Digest;
use crate::evaluate::decision::Outcome;
use crate::policy::policy_type::PolicyType;
use crate::truth::Why;
use serde::Serialize;
use std::fmt;

/// The effect of one policy on a request, or of policies that count together. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyEffect {
    /// It allows the request.
    Allow,
    /// A Deny of it refuses the request.
    ExplicitDeny,
    /// No statement of it matches, which denies the request where it must allow.
    ImplicitDeny,
    /// It depends on something that is not known.
    Unknown,
    /// It does not apply to this request.
    NotApplicable,
}

/// A statement that matches, or may match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementMatch {
    /// How people call the policy.
    pub source: String,
    /// The policy's document.
    pub document: Option<Digest>,
    /// The statement's position in it, from 0.
    pub index: usize,
    /// The statement's `Sid`.
    pub sid: Option<String>,
    /// RFC 6901 pointer of the statement.
    pub pointer: String,
    /// Whether it is a Deny.
    pub denies: bool,
    /// Whether it certainly matches.
    pub certain: bool,
}

/// The effect of one policy, of policies that count together, or of one level of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyExplanation {
    /// The type of the policies.
    pub policy_type: PolicyType,
    /// How people call it: with the level's name, or the policy's.
    pub name: String,
    /// The effect.
    pub effect: PolicyEffect,
    /// Why, in one sentence without a full stop.
    pub because: String,
    /// The statements that match or may match.
    pub statements: Vec<StatementMatch>,
}

/// What one part of a refusal comes down to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A Deny matches.
    Denied {
        /// The statement.
        statement: StatementMatch,
    },
    /// No Allow of the layer names the action.
    ActionNotNamed {
        /// The action.
        action: String,
    },
    /// Nothing at all is in a place that must allow.
    NoPolicy,
    /// The nearest Allow names other principals.
    Principal {
        /// The statement.
        statement: StatementMatch,
        /// Whom it names.
        wanted: Vec<String>,
        /// Who asks.
        got: String,
    },
    /// The nearest Allow names other resources.
    Resource {
        /// The statement.
        statement: StatementMatch,
        /// What it names; with `NotResource`, what it leaves out.
        wanted: Vec<String>,
        /// What is asked for.
        got: String,
    },
    /// A condition of the nearest Allow does not hold.
    Condition {
        /// The statement.
        statement: StatementMatch,
        /// RFC 6901 pointer of the condition.
        pointer: String,
        /// The operator.
        operator: String,
        /// The condition key.
        key: String,
        /// The values that it asks for.
        wanted: Vec<String>,
        /// The values that the request has; `None` where it does not have the key.
        got: Option<Vec<String>>,
    },
    /// AWS itself refuses.
    Never,
}

/// One thing that would have to change for the request to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequiredChange {
    /// The type of the policy that denies it, or must allow it and does not.
    pub policy_type: PolicyType,
    /// What it comes down to.
    pub change: Change,
    /// In one sentence without a full stop.
    pub text: String,
}

/// Why a request is decided as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub outcome: Outcome,
    /// Why, in one sentence without a full stop.
    pub because: String,
    /// Why it is unknown; empty otherwise.
    pub reasons: Vec<Why>,
    /// The effect of each policy that was given, in the order in which AWS evaluates them.
    pub policies: Vec<PolicyExplanation>,
    /// The smallest change that allows a denied request: all of these together; empty otherwise.
    pub minimal_changes: Vec<RequiredChange>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.outcome.as_str(), self.because)?;
        for policy in &self.policies {
            writeln!(f, "  {}: {}", policy.name, policy.because)?;
        }
        if !self.minimal_changes.is_empty() {
            writeln!(f, "  to be allowed:")?;
        }
        self.minimal_changes.iter().try_for_each(|change| writeln!(f, "    {}", change.text))
    }
}
