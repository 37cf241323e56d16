//! Looks at a stand-in for AWS over real HTTP: whole, and with each thing that can go wrong.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, here as in a test function"
)]

mod complete;
mod complete_ranges;
mod doctor;
mod estate;
mod files;
mod gaps;
mod permissions;
mod trails;
