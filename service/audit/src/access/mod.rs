//! Typed answers about access: what a role's policies grant, whom a trust policy admits, which roles
//! become which others, who used what.
//!
//! The modules stand in layers, and each imports only lower ones. What an answer is made of
//! (`answer`, `trust`, `pods_request`, `data`, `grant`, `graph`, `session_group`, `origins`, `trail`) does
//! not know the estate; `index` holds an estate's index with the answers that were asked for before; the
//! others ask. Rule values are made of these answers in `facts`. Refuses to know rules, and to decide
//! what is bad.

pub(crate) mod answer;
pub(crate) mod associations;
pub mod assumable_by;
mod attributions;
pub(crate) mod callers;
pub(crate) mod data;
mod doors;
pub(crate) mod escalation;
pub(crate) mod fallback;
pub(crate) mod grant;
mod graph;
mod graph_builder;
pub(crate) mod index;
mod origins;
pub(crate) mod permissions;
pub(crate) mod pods_request;
pub mod reach;
pub(crate) mod role_trust;
pub(crate) mod session_group;
pub(crate) mod sessions;
pub mod simulate;
pub(crate) mod stack;
pub(crate) mod tag_conditions;
mod targets;
pub(crate) mod trail;
pub(crate) mod trust;
pub mod unused;
pub(crate) mod unused_grants;
pub mod usage;
pub(crate) mod uses;
pub mod who_can;
