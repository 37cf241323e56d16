//! One audit: what is read, in which transaction it is kept, and when it is judged.
//!
//! Knows the order load → call a pure function → save. Refuses to know what makes a finding
//! (`rolecall-audit`), when an audit is due (`schedule`) and who asked for it (`cli`, `work`).

mod abort;
pub mod attribute;
pub mod baselines;
pub(crate) mod changes;
pub mod declared;
mod drift;
mod files;
pub mod import;
pub mod ingest;
pub mod ingested;
pub mod load;
mod owed;
mod replay;
pub(crate) mod rescan;
pub mod rules;
pub mod run;
pub mod scan;
mod summary;

pub use summary::{BySeverity, Summary};
