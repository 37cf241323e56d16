//! Rolecall: audits EKS Pod Identity over many AWS accounts.
//!
//! The shell around the pure crates: what is loaded, when it is judged, and where the answer is
//! told. Knows the command line, the configuration, HTTP, the clock and the order of the walk.
//! Refuses to know SQL (`rolecall-store`), AWS calls (`rolecall-collect`) and what makes a finding
//! (`rolecall-audit` and `policies/`).

mod abort;
pub mod app;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod database;
pub mod error;
pub mod http;
pub mod ingest;
mod jobs;
pub mod owed;
pub mod pipeline;
pub mod place;
pub mod progress;
pub mod rules;
pub mod runner;
pub mod schedule;
pub mod simulate;
pub mod summary;
pub mod telemetry;
pub mod terminal;
pub mod ties;
mod weigh;
