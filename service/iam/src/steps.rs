//! How much work an analysis of one subject may take.
//!
//! Who may write policies can write some whose analysis takes very long: many patterns that all meet
//! each other, many statements that each must be asked. Every analysis counts its steps, and comes to
//! unknown, with this as the reason, where it would take more than it may. A step is about the
//! comparison of one pattern with one text. Steps are counted, not timed: the same policies have the
//! same answer on every machine.

use crate::truth::Why;
use std::cell::Cell;

/// So many steps one analysis of one subject may take: more than twice of what a role needs that has twenty
/// policies of many hands under as many SCPs as AWS allows, as a test holds.
pub(crate) const MOST: u64 = 1_000_000;

/// So many steps it may take to compare one subject with all others of the estate: each may be made so
/// that all others have to be looked at.
const MOST_OF_OTHERS: u64 = 200_000;

/// The steps of putting one question, whatever is asked.
pub(crate) const OF_ASKING: usize = 64;

/// The steps that an analysis may still take.
#[derive(Debug)]
pub struct Steps {
    most: u64,
    taken: Cell<u64>,
    /// Whose steps they are, for the reason.
    of: &'static str,
}

/// An analysis would have taken more steps than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded;

impl Steps {
    /// As many as one analysis may take. `of`: what is judged, such as `the policies of the role`.
    #[must_use]
    pub fn new(of: &'static str) -> Self {
        Self::with_limit(MOST, of)
    }

    /// As many as comparing one subject with all others may take.
    #[must_use]
    pub fn for_others(of: &'static str) -> Self {
        Self::with_limit(MOST_OF_OTHERS, of)
    }

    /// So many.
    #[must_use]
    pub fn with_limit(most: u64, of: &'static str) -> Self {
        Self { most, taken: Cell::new(0), of }
    }

    /// How many were taken, those among them that were asked for when there were no more.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// How many there are in all.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Whether more were asked for than there are.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.taken.get() > self.most
    }

    /// Takes steps before the work is done.
    ///
    /// # Errors
    /// There are not as many left.
    pub fn take(&self, count: usize) -> Result<(), Exceeded> {
        self.taken.set(self.taken.get().saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        if self.is_exceeded() { Err(Exceeded) } else { Ok(()) }
    }

    /// Why there is no answer.
    #[must_use]
    pub fn why(&self) -> Why {
        self.why_of(self.most)
    }

    /// Why there is no answer to a question that may take only some of the steps.
    pub(crate) fn why_of(&self, steps: u64) -> Why {
        Why::Exceeded { of: self.of, steps }
    }
}

/// The steps of comparing one pattern, or one value of a condition, with a text of common length.
pub(crate) fn of_text(text: &str) -> usize {
    1 + text.len() / 32
}

/// Whose steps are counted.
pub(crate) const POLICIES: &str = "the policies of the role";
