//! What was worked out of a state of the store, kept as long as the state is the same.
//!
//! Every snapshot and every step of a finding moves a counter in its own transaction: while the counter stands, what was
//! read of the rows that it moves with is true. Refuses to know what is kept.

use crate::{Error, INSTALLATION, Store};
use std::sync::{Arc, Mutex, PoisonError};

/// A value with the state that it was worked out of. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Kept<S, V>(Arc<Mutex<Option<(S, V)>>>);

impl<S, V> Clone for Kept<S, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, V> Default for Kept<S, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S: PartialEq, V: Clone> Kept<S, V> {
    /// The value of this state, where it was worked out.
    pub(crate) fn of(&self, state: &S) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(of, _)| of == state).map(|(_, value)| value.clone())
    }

    /// Keeps a value, in the place of the one before. The state was read before what the value is made of, so that a
    /// change in between leaves a value behind that nobody asks for.
    pub(crate) fn keep(&self, state: S, value: V) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, value));
    }
}

impl Store {
    /// Moves with every snapshot: with every change of what the inventory holds and of what was seen.
    pub(crate) async fn snapshot_state(&self) -> Result<i64, Error> {
        let state =
            sqlx::query_scalar!("select value from counter where account_id = $1 and name = 'snapshot'", INSTALLATION)
                .fetch_one(&self.pool)
                .await?;
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;

    #[test]
    fn a_value_is_of_its_state_alone() {
        let kept: Kept<i64, &str> = Kept::default();
        assert_eq!(kept.of(&1), None);
        kept.keep(1, "one");
        assert_eq!((kept.of(&1), kept.of(&2)), (Some("one"), None));
        kept.clone().keep(2, "two");
        assert_eq!((kept.of(&1), kept.of(&2)), (None, Some("two")));
    }
}
