//! The steps of asking a statement about a request; see [`crate::steps`].

use crate::matching::pattern::ResourcePattern;
use crate::policy::ast::{Clause, Statement};
use crate::steps::of_text;

/// The steps of asking whether a statement that names the action matches a request.
pub(crate) fn of_statement(statement: &Statement) -> usize {
    let resources = statement.resources.iter().flat_map(Clause::elements);
    let principals = statement.principals.iter().map(|clause| clause.elements().len());
    let values = statement.conditions.iter().flat_map(|condition| &condition.values);
    // Variables are looked up, and those whose value is open are told by name.
    let of_pattern = |pattern: &ResourcePattern| {
        of_text(pattern.as_str()).saturating_mul(if pattern.has_variable() { 4 } else { 1 })
    };
    1 + resources.map(of_pattern).sum::<usize>()
        + principals.sum::<usize>()
        + statement.conditions.len()
        + values.map(|value| of_text(value)).sum::<usize>()
}
