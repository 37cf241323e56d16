//! What an estate is, what was seen of it, and what is wrong with it.
//!
//! Knows: roles, associations, clusters, sessions and what was *not* seen of them; what changed between two scans; the rule language and the findings it yields. Refuses to know: AWS calls, tables, HTTP,
//! the clock ("now" is an argument), files, logging.

pub mod access;
pub mod cancel;
pub mod declared;
pub mod drift;
pub mod evaluate;
pub mod facts;
pub mod finding;
mod grouping;
mod index;
mod label;
pub mod owner;
pub mod remediation;
pub mod replay;
pub mod report;
mod resource;
pub mod verdict;
pub mod what_if;
