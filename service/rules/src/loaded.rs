//! What was read of rules, bindings and exceptions, before it is a set.

use crate::binding::Exception;
use crate::rule::Rule;
use crate::yaml::LoadError;
use rolecall_iam::Digest;
use std::sync::Arc;

/// What was read.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) rules: Vec<Rule>,
    pub(super) exceptions: Vec<Arc<Exception>>,
    /// Digests of bindings and exceptions.
    pub(super) digests: Vec<Digest>,
    pub(super) errors: Vec<LoadError>,
}
