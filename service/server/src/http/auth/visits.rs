//! When people are here: noted with their requests, each person's every few minutes at most.
//!
//! Refuses to know what is shown of it.

use crate::app::App;
use crate::error::chain;
use chrono::TimeDelta;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So often, at most, is a person's request noted by one process.
const NOTED_EVERY: Duration = Duration::from_secs(180);
/// After so long without a request a visit is over.
const OVER_AFTER: TimeDelta = TimeDelta::minutes(30);
/// So many people are told apart before all are noted again.
const MOST: usize = 10_000;

/// Whose requests this process noted, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visits(Arc<Mutex<HashMap<String, Instant>>>);

impl Visits {
    /// Notes a request of a person. A page does without where the database fails: it says so itself.
    pub(super) async fn note(&self, app: &App, person: &str) {
        if !self.is_due(person, Instant::now()) {
            return;
        }
        let noted = async { app.store.note_visit(person, app.now().await?, OVER_AFTER).await };
        if let Err(error) = noted.await {
            tracing::warn!(error = chain(&error), "a visit could not be noted");
        }
    }

    fn is_due(&self, person: &str, now: Instant) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(person).is_some_and(|at| now.duration_since(*at) < NOTED_EVERY) {
            return false;
        }
        if noted.len() >= MOST {
            noted.clear();
        }
        noted.insert(person.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_is_noted_once_in_a_while() {
        let (visits, now) = (Visits::default(), Instant::now());
        let due = |person: &str, after: u64| visits.is_due(person, now + Duration::from_secs(after));
        let said = [("a", 0), ("a", 1), ("b", 1), ("a", 179), ("a", 180), ("b", 180), ("a", 359), ("b", 181)]
            .map(|(person, after)| due(person, after));
        assert_eq!(said, [true, false, true, false, true, false, false, true]);
    }
}
