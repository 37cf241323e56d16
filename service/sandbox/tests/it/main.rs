//! The sandbox as the unmodified AWS SDK sees it.

#![expect(clippy::unwrap_used, reason = "helpers are tests too: one that cannot go on stops where it is")]

mod demo;
mod faults;
mod services;
mod storage;
mod support;
