//! Findings: their life, what people do with them, their tickets, lists and counts, what rules came to, and the judgement that is owed.

pub(crate) mod apply;
pub(crate) mod filter;
pub(crate) mod overview;
pub(crate) mod owed;
pub(crate) mod read;
pub(crate) mod results;
pub(crate) mod suppressions;
pub(crate) mod tickets;
pub(crate) mod triage;
