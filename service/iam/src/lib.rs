//! The AWS IAM policy language: names, documents, matching, decisions.
//!
//! Knows: ARNs and account ids, policy documents of every kind, wildcards, conditions, which
//! statement allows or denies what, and the catalogue of actions with their access level.
//! Refuses to know: Pod Identity, EKS, rules, severity, where a document came from, what time it is.
//!
//! Everything here is pure: no I/O, no clock, no environment, no logging. An answer that depends
//! on something unknown is `Unknown` with the reason, never a guess.

mod arn;
pub mod cases;
pub mod catalogue;
pub mod compare;
mod condition;
mod context;
mod digest;
pub mod escalation;
mod evaluate;
pub mod grants;
mod matching;
mod policy;
pub mod recording;
mod steps;
pub mod trust;
mod truth;
mod version;
pub mod vocabulary;

pub use arn::{AccountId, Arn, ArnError, ArnText, RoleArn};
pub use catalogue::action_name::ActionName;
pub use catalogue::cloudtrail::{EventActions, actions_of_event};
pub use compare::{Asker, Comparison, Relation, compare};
pub use condition::Condition;
pub use condition::operator::{Operator, Quantifier};
pub use context::{Context, ContextValue};
pub use digest::{Digest, DigestError};
pub use evaluate::decide::decide;
pub use evaluate::decision::{Decider, Decision, Outcome};
pub use evaluate::explain::{explain, explain_within};
pub use evaluate::explanation::{Change, Explanation, PolicyEffect, PolicyExplanation, RequiredChange, StatementMatch};
pub use evaluate::policy_set::{Level, PolicyRef, PolicySet};
pub use evaluate::request::{Request, ResourceName};
pub use evaluate::requester::Requester;
pub use grants::{GrantSets, Grants, GrantsCache};
pub use matching::action_set::ActionSet;
pub use matching::pattern::{ActionPattern, ResourcePattern, like};
pub use policy::ast::{Clause, Effect, Policy, Principal, Statement};
pub use policy::compiled::CompiledPolicy;
pub use policy::document::Document;
pub use policy::lint;
pub use policy::parse::{DocumentError, MAX_BYTES, MAX_DEPTH};
pub use policy::policy_type::PolicyType;
pub use policy::site::{Answer, Site, Sites};
pub use steps::{Exceeded, Steps};
pub use truth::{NotSeen, Truth, Why};
pub use version::Version;
