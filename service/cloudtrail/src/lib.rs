//! CloudTrail records into sessions, and into what was done with them.
//!
//! Knows every wrapping in which records come: a trail file (`{"Records": […]}`), a bare array,
//! JSON lines, values one after the other, one record, the answer of `LookupEvents`, the envelopes of
//! EventBridge, CloudWatch Logs and Filebeat, lines of an export with a time before; each gzipped or
//! not, in UTF-8 or with the mark of UTF-16; which records are
//! sessions: STS `AssumeRole`, `AssumeRoleWithWebIdentity`, `AssumeRoleWithSAML` and eks-auth
//! `AssumeRoleForPodIdentity`, granted or refused; how calls of role sessions add up to uses; and
//! to which association a session belongs. Reads in one pass and borrows from the bytes, so that a
//! file costs little more than its decompressed size.
//!
//! A record that cannot be read is counted and named; the others are kept. Session tokens are never
//! copied out of the bytes. Refuses to know where the bytes came from and where the result is kept.

mod action;
mod aggregate;
mod attribution;
pub mod change;
mod denial;
mod depth;
pub mod encoding;
mod event;
pub mod evidence;
mod json;
mod origin;
mod problem;
mod reader;
mod records;
pub mod selectors;
pub mod session_name;
mod shape;
#[cfg(test)]
mod tests;

pub use aggregate::{AggregatedBatch, EventAggregator, Limits, Stats, TrailDay, TrailFile, Use, UseKey};
pub use attribution::{AssociationQuery, History, attribute_sessions, best};
pub use denial::is_denial;
pub use origin::neighbourhood;
pub use problem::{ProblemKind, ReadProblem};
pub use reader::MAX_DECOMPRESSED;
pub use records::{TrailRead, begins_as_records, plain_head, read_bounded, read_event, read_file};
