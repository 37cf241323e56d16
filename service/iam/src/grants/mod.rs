//! The actions that the policies of a role grant, over all requests at once.

mod analysis;
mod cache;
mod grant;
mod limits;

pub use analysis::{Grants, writes};
pub use cache::GrantsCache;
pub use grant::{Admin, AdminBy, Grant, GrantSets, Granted, PassRole, PassRoles};
