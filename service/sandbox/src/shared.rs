//! What all handlers share.

use crate::faults::Faults;
use crate::state::State;

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) state: State,
    pub(crate) faults: Faults,
}
