//! A wish that long work ends before it is done.
//!
//! Judging a large estate takes seconds to minutes on a thread that nobody can stop from outside. It
//! looks here between subjects, each of which takes a bounded number of steps. Refuses to know who
//! wishes it, and why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The wish, shared by whoever may have it and whoever works. Without one the work goes on to its end.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// The work was ended before it was done: there is no result, not even in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("judging was stopped before it was done")]
pub struct Cancelled;

/// Has the wish when it is dropped: when whoever waits for the work stops waiting.
#[derive(Debug)]
pub struct CancelOnDrop(Cancel);

impl Cancel {
    /// Has it from now on.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A guard that has it when it is dropped.
    #[must_use]
    pub fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    pub(crate) fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
