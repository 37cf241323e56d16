//! What all handlers share.

use crate::faults::Faults;
use crate::world::World;

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) faults: Faults,
}
