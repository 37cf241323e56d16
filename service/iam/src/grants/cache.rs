//! Granted actions of many policy sets, each worked out once.

use crate::digest::Digest;
use crate::evaluate::policy_set::PolicySet;
use crate::grants::analysis::Grants;
use crate::matching::action_set::ActionSet;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Grants by the content of their stack, each worked out once.
///
/// Equal sets are kept once: many roles have the same managed policies under the same SCPs.
#[derive(Debug, Default)]
pub struct GrantsCache {
    grants: Mutex<HashMap<Digest, Arc<Grants>>>,
    sets: Mutex<HashSet<ActionSet>>,
}

impl GrantsCache {
    /// The grants of the stack.
    #[must_use]
    pub fn get(&self, stack: &PolicySet) -> Arc<Grants> {
        let digest = stack.own_digest();
        if let Some(grants) = self.lock().get(&digest) {
            return Arc::clone(grants);
        }
        // Two at once may both work it out; they come to the same.
        let mut grants = Grants::new(stack);
        {
            let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
            grants.each_set(&mut |set| match sets.get(set) {
                Some(known) => *set = known.clone(),
                None => {
                    sets.insert(set.clone());
                }
            });
        }
        let grants = Arc::new(grants);
        self.lock().insert(digest, Arc::clone(&grants));
        grants
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Grants>>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many different stacks it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
