//! Work in the background: who takes a job, and what it does.

pub mod deliver;
mod jobs;
mod prepare;
pub mod worker;
