//! Decides a request by every policy, and settles open condition keys that make no difference.

use crate::evaluate::decision::{Decision, Outcome};
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::open_keys::resolve_open_keys;
use crate::evaluate::policy_set::PolicySet;
use crate::evaluate::request::Request;
use crate::evaluate::view::View;

/// Decides a request by all layers.
#[must_use]
pub fn decide<'a>(request: &Request, layers: &'a PolicySet) -> Decision<'a> {
    let decision = Evaluation::new(request, View::new(request, layers)).decide();
    if decision.outcome != Outcome::Unknown {
        return decision;
    }
    resolve_open_keys(request, layers, &decision.reasons).unwrap_or(decision)
}
