//! Scans and jobs: what is to be done, by whom, and how it ended.

pub(crate) mod idempotency;
pub(crate) mod jobs;
pub(crate) mod runs;
