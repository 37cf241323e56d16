//! How many findings a list has in all, kept as long as no finding changes.
//!
//! Counting ten thousand rows costs more than reading the page that is shown of them, and pages are
//! read far more often than findings change. Every change of a finding is numbered, and every audit
//! that judged is a run: while neither number moves, a count stays true. Refuses to know filters'
//! meaning and SQL.

use crate::count::Total;
use crate::findings::filter::FindingFilter;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many lists' totals are kept; then all are forgotten, as filters are whatever callers write.
const KEPT: usize = 1_000;

/// A state of all findings: the last change's number, and the last run that judged.
pub(crate) type FindingsState = (i64, Option<i64>);

/// Totals by filter, each as of the state in which it was counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals(Arc<Mutex<HashMap<FindingFilter, (FindingsState, Total)>>>);

impl Totals {
    /// The total of a list in this state, where it was counted.
    pub(crate) fn of(&self, filter: &FindingFilter, state: FindingsState) -> Option<Total> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.get(filter).filter(|(counted, _)| *counted == state).map(|(_, total)| *total)
    }

    /// Keeps a total. The state was read before the list was counted, so that a change in between
    /// leaves a total behind that nobody asks for.
    pub(crate) fn keep(&self, filter: &FindingFilter, state: FindingsState, total: Total) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if totals.len() >= KEPT && !totals.contains_key(filter) {
            totals.clear();
        }
        totals.insert(filter.clone(), (state, total));
    }
}
