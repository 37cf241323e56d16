//! How many rows a list has in all, kept as long as nothing changes that it counts.
//!
//! Counting ten thousand rows costs more than reading the page that is shown of them, and pages are
//! read far more often than findings change. Every change of a finding is numbered, every audit that judged is a
//! run, and so is every snapshot: while the numbers stand, a count stays true. Refuses to know filters'
//! meaning and SQL.

use crate::count::Total;
use chrono::NaiveDate;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// So many lists' totals are kept; then all are forgotten, as filters are whatever callers write.
const KEPT: usize = 1_000;

/// A state of all findings: the last change's number, and the last run that judged.
pub(crate) type FindingsState = (i64, Option<i64>);

/// How often the numbers of steps were written, and the last run that judged.
pub(crate) type StepsState = (i64, Option<i64>);

/// Until which day a trend goes, over how many days and weeks, and of which state it is.
pub(crate) type TrendAsked = (NaiveDate, u16, u16, StepsState);

/// Totals by filter, each as of the state in which it was counted. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Totals<F, S>(Arc<Mutex<HashMap<F, (S, Total)>>>);

impl<F, S> Clone for Totals<F, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F, S> Default for Totals<F, S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<F: Eq + Hash + Clone, S: PartialEq> Totals<F, S> {
    /// The total of a list in this state, where it was counted.
    pub(crate) fn of(&self, filter: &F, state: &S) -> Option<Total> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.get(filter).filter(|(counted, _)| counted == state).map(|(_, total)| *total)
    }

    /// Keeps a total. The state was read before the list was counted, so that a change in between
    /// leaves a total behind that nobody asks for.
    pub(crate) fn keep(&self, filter: &F, state: S, total: Total) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if totals.len() >= KEPT && !totals.contains_key(filter) {
            totals.clear();
        }
        totals.insert(filter.clone(), (state, total));
    }
}
