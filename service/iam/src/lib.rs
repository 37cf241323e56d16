//! The AWS IAM policy language: names, documents, matching, decisions.
//!
//! Knows: ARNs and account ids, policy documents of every kind, wildcards, conditions, which
//! statement allows or denies what, and the catalogue of actions with their access level.
//! Refuses to know: Pod Identity, EKS, rules, severity, where a document came from, what time it is.
//!
//! Everything here is pure: no I/O, no clock, no environment, no logging. An answer that depends
//! on something unknown is `Unknown` with the reason, never a guess.

pub mod access;
pub mod action_set;
pub mod arn;
pub mod cases;
pub mod catalogue;
pub mod cloudtrail;
pub mod compare;
mod completion;
pub mod condition;
mod context;
pub mod decide;
pub mod digest;
pub mod document;
pub mod escalation;
pub mod explain;
pub mod external_access;
pub mod federation;
mod glob;
pub mod grants;
mod index;
pub mod kind;
pub mod layer;
pub mod pattern;
mod reach;
pub mod recording;
pub mod request;
mod scalar;
pub mod steps;
pub mod trust;
pub mod truth;

pub use action_set::ActionSet;
pub use arn::{AccountId, Arn, ArnError, RoleArn};
pub use cloudtrail::{EventActions, actions_of_event};
pub use compare::{Asker, Comparison, Relation, compare};
pub use condition::{Condition, Context};
pub use decide::{Decision, Outcome, decide};
pub use digest::Digest;
pub use document::{Document, DocumentError, Effect, Policy, Principal, Statement, Version};
pub use explain::{Explanation, explain};
pub use grants::{GrantSets, Grants, GrantsCache};
pub use layer::{Layer, LayerKind, Layers, Level};
pub use request::{ActionName, Request, Requester, ResourceName};
pub use truth::{Answer, Site, Truth, Why};
