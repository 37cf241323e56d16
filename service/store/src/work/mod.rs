//! Scans and jobs: what is to be done, by whom, and how it ended; and all that happens, in one order.

pub(crate) mod feed;
pub(crate) mod idempotency;
pub(crate) mod jobs;
mod run_id;
pub(crate) mod runs;
pub(crate) mod webhooks;
