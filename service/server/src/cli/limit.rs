//! `--limit`: a command reads what somebody with these limits may see.
//!
//! The words are those of tokens and roles. Refuses to know what is read.

use rolecall_estate::{Limit, Visibility};
use rolecall_store::Store;

/// The option of a command that reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Limited {
    /// Read only what somebody with this limit may see, such as `namespace:payments` or `account:111122223333`;
    /// several add up
    #[arg(long = "limit", value_name = "LIMIT", value_delimiter = ',', help_heading = "Filters")]
    limits: Vec<Limit>,
}

impl Limited {
    /// The store as far as it may be seen.
    pub(super) fn of(&self, store: &Store) -> Store {
        store.limited_to(&Visibility::of(self.limits.iter().cloned().collect()))
    }
}
