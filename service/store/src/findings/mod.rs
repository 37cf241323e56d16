//! Findings: their life, their lists and counts, and the judgement that is owed.

pub(crate) mod apply;
pub(crate) mod filter;
pub(crate) mod overview;
pub(crate) mod owed;
pub(crate) mod read;
pub(crate) mod totals;
