//! What accounts have: snapshots as they are written, and as they are read again.

pub(crate) mod access_flow;
pub(crate) mod accounts;
pub(crate) mod approval;
pub(crate) mod as_of;
pub(crate) mod associations;
pub(crate) mod baselines;
pub(crate) mod changes;
pub(crate) mod clusters;
pub(crate) mod coverage;
pub(crate) mod declared;
pub(crate) mod estate;
pub(crate) mod event_changes;
pub(crate) mod listed;
pub(crate) mod open_changes;
pub(crate) mod past;
pub(crate) mod roles;
pub(crate) mod shown;
pub(crate) mod snapshot;
pub(crate) mod workload_history;
