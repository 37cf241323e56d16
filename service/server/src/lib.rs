//! Rolecall: audits EKS Pod Identity over many AWS accounts.
//!
//! The shell around the pure crates: what is loaded, when it is judged, and where the answer is
//! told. Knows the command line, the configuration, HTTP, the clock and the order of the walk.
//! Refuses to know SQL (`rolecall-store`), AWS calls (`rolecall-collect`) and what makes a finding
//! (`rolecall-audit` and `policies/`).

pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
pub mod database;
pub mod error;
pub mod feed;
pub mod http;
pub mod oidc;
pub mod outgoing;
pub mod progress;
mod query;
pub mod rate;
pub mod role;
pub mod schedule;
pub mod signature;
pub mod telemetry;
pub mod terminal;
pub mod work;
