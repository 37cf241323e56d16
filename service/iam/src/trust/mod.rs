//! Who may assume a role: what its trust policy says, which accounts and identity providers outside
//! the organization it admits.

mod external_access;
mod federation;
mod trust_policy;

pub use external_access::{ExternalAccess, Organization};
pub use federation::{FederatedAccess, Tenancy};
pub use trust_policy::{Admission, Limit, STS_ACTIONS, Trust, Who};
