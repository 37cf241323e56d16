//! Finds the privilege-escalation paths that a role has.

use crate::escalation::path::{EscalationOutcome, EscalationPath, On, paths};
use crate::escalation::questions::{Asked, Holder};
use crate::evaluate::policy_set::PolicySet;
use crate::policy::site::{Site, Sites};
use crate::steps::{POLICIES, Steps};
use crate::truth::Truth;

/// A path that a role has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path.
    pub path: &'static EscalationPath,
    /// True, or unknown with the reasons; never false.
    pub truth: Truth,
    /// The statements that allow its actions, fifty of them at most.
    pub by: Vec<Site>,
}

/// So many statements that allow a path are named: any one of many would do.
const MOST_SITES: usize = 50;

/// The paths that a role has by its stack, in the order of the table.
///
/// A condition that can hold for some request counts as holding. A path that is unknown only because
/// of policies that were not seen or read is among them with the reasons, unless the policies that
/// were seen give no hint of it.
///
/// A path of which it would take too many steps to tell is unknown for that reason.
#[must_use]
pub fn find(stack: &PolicySet, holder: Holder<'_>) -> Vec<Found> {
    find_within(stack, holder, &Steps::new(POLICIES))
}

/// As [`find`], in no more than these steps.
#[must_use]
pub fn find_within(stack: &PolicySet, holder: Holder<'_>, steps: &Steps) -> Vec<Found> {
    if steps.take(stack.compiling_steps()).is_err() {
        let unknown = |path| Found { path, truth: Truth::unknown(steps.why()), by: Vec::new() };
        return paths().iter().map(unknown).collect();
    }
    let fitting = stack.actions_fitting();
    let hinted = |path: &&EscalationPath| path.actions().all(|action| fitting.contains(action));
    let mut hinted = paths().iter().filter(hinted).peekable();
    if hinted.peek().is_none() {
        return Vec::new();
    }
    let mut asked = Asked::new(stack, holder, steps);
    hinted.filter_map(|path| walk(path, &mut asked)).collect()
}

fn walk(path: &'static EscalationPath, asked: &mut Asked<'_>) -> Option<Found> {
    let passed_to = if let EscalationOutcome::PassedRole(service) = path.outcome { Some(service) } else { None };
    let (mut truth, mut by) = (Truth::True, Sites::default());
    let mut rest = path.steps.iter().peekable();
    while let Some(step) = rest.next() {
        let service = passed_to.filter(|_| step.action == "iam:PassRole");
        let answer = match (step.on, rest.peek()) {
            (On::Own, _) => asked.own(step.action),
            // Both on one resource: asked together, once.
            (_, Some(next)) if next.on == On::Same => {
                let next = next.action;
                rest.next();
                asked.on_one(step.action, next)
            }
            _ => asked.somewhere(step.action, service),
        };
        truth = truth.and(answer.truth);
        if truth.is_false() {
            return None;
        }
        by.add(answer.by);
    }
    by.list.truncate(MOST_SITES);
    Some(Found { path, truth, by: by.list })
}
