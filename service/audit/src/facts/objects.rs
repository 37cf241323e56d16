//! The objects of an estate that facts lead to from each other: a role to its associations, and these back
//! to their roles.
//!
//! Only handles; the fields of each are in its own module, so that none of these imports another.

use crate::access::index::AccessIndex;
use rolecall_iam::AccountId;
use std::sync::Arc;

/// A role of the estate.
#[derive(Debug, Clone)]
pub(super) struct RoleFacts {
    pub index: Arc<AccessIndex>,
    pub at: usize,
}

/// An association of the estate.
#[derive(Debug, Clone)]
pub(super) struct AssociationFacts {
    pub index: Arc<AccessIndex>,
    pub at: usize,
}

/// A cluster of the estate.
#[derive(Debug)]
pub(super) struct ClusterFacts {
    pub index: Arc<AccessIndex>,
    pub at: usize,
}

/// An account of the estate.
#[derive(Debug)]
pub(super) struct AccountFacts {
    pub index: Arc<AccessIndex>,
    pub id: AccountId,
}
