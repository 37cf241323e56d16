//! Work in the background: who takes a job, and what it does.

mod jobs;
pub mod worker;
