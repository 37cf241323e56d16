//! Where a role's permissions lead: its privilege-escalation paths, and the roles it reaches by them.
//!
//! Knows each path of a role, and the shortest chain from it to an administrator, with the statements
//! that make each step. The graph is worked out once when first asked for. Refuses to decide how bad it
//! is.

use super::answer::{Listed, Partial};
use super::graph::{By, Graph, Node, Step};
use super::graph_builder::graph_of;
use super::index::AccessIndex;
use super::permissions;
use super::role_trust;
use super::stack::policy_set;
use super::trust::ASSUME;
use rolecall_iam::escalation::{EscalationOutcome, EscalationPath};
use rolecall_iam::{Context, Requester, Site, Sites};
use rolecall_rules::Reasons;
use std::collections::BTreeSet;

fn graph(index: &AccessIndex) -> &Graph {
    index.graph.get_or_init(|| graph_of(index))
}

/// The roles that these roles become by assuming one after the other, for certain; themselves included.
pub(crate) fn assumed_from(index: &AccessIndex, start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    graph(index).assumed_from(start)
}

/// One privilege-escalation path of a role.
#[derive(Debug)]
pub(crate) struct Escalation {
    /// The path; `None` where another role lets it in.
    pub path: Option<&'static EscalationPath>,
    pub to_admin: bool,
    /// The roles of the path, in order.
    pub through: Vec<String>,
    /// The roles that it may end at, where it ends at roles of the estate.
    pub targets: Vec<String>,
    /// Whether it is the chain to an administrator, and not a path of the role itself.
    pub is_chain: bool,
    /// The statements that allow it.
    pub evidence: Vec<Site>,
}

/// The privilege-escalation paths of a role, and why there may be others.
pub(crate) fn of_role(index: &AccessIndex, at: usize) -> Listed<Escalation> {
    let graph = graph(index);
    let Some(node) = graph.nodes.get(at) else { return Err(Reasons::one("the role is not in the estate")) };
    let mut items: Vec<Escalation> = Vec::new();
    items.extend(chain(index, graph, at));
    items.extend(node.paths.iter().map(|found| Escalation {
        path: Some(found.path),
        to_admin: found.makes_admin,
        through: Vec::new(),
        targets: found.targets.iter().map(|target| arn(index, *target)).collect(),
        is_chain: false,
        evidence: found.by.clone(),
    }));
    Ok(Partial { items, missing: graph.missing(at) })
}

fn arn(index: &AccessIndex, at: usize) -> String {
    index.roles.get(at).map(|role| role.arn.to_string()).unwrap_or_default()
}

/// The path that a step is taken by; `None` where the trust policy alone lets it in.
fn path(node: &Node, step: Step) -> Option<&'static EscalationPath> {
    let mut paths = node.paths.iter().map(|found| found.path);
    match step.by {
        By::Assuming => paths.find(|path| path.id == "assume-role"),
        By::Trust => None,
        By::Retrusting => paths.find(|path| path.id == "update-trust"),
        By::Passing(service) => paths.find(|path| path.outcome == EscalationOutcome::PassedRole(service)),
    }
}

/// The shortest chain of roles to one that is, or makes itself, an administrator.
fn chain(index: &AccessIndex, graph: &Graph, start: usize) -> Option<Escalation> {
    let first = graph.nodes.get(start)?.toward?;
    let mut through = Vec::new();
    let mut sites = Sites::default();
    let (mut at, mut toward) = (start, Some(first));
    while let Some(step) = toward {
        let next = graph.next(step)?;
        let node = graph.nodes.get(at)?;
        sites.add(allowing(index, node, at, next, step));
        through.push(arn(index, next));
        toward = graph.nodes.get(next)?.toward;
        at = next;
        if through.len() > graph.nodes.len() {
            return None;
        }
    }
    Some(Escalation {
        path: path(graph.nodes.get(start)?, first),
        to_admin: true,
        targets: through.last().cloned().into_iter().collect(),
        through,
        is_chain: true,
        evidence: sites.list,
    })
}

/// The statements that allow a step from one role to another.
fn allowing(index: &AccessIndex, node: &Node, from: usize, to: usize, step: Step) -> Vec<Site> {
    let (Some(role), Some(target)) = (index.roles.get(from), index.roles.get(to)) else { return Vec::new() };
    let caller = Requester::role(&role.arn).with_unique_id(&role.role_id);
    let context = caller.context();
    let (sessions, _) = permissions::sessions_of(index, role);
    let own = |action: &str, context: &Context| {
        let stacks = sessions.iter().map(|session| policy_set(index, role, *session));
        let mut answers = stacks.map(|stack| stack.possible(action, target.arn.as_str(), context));
        answers.find(|answer| answer.truth.is_true()).map(|answer| answer.by).unwrap_or_default()
    };
    let admitting = || {
        let answers = role_trust::answers(index, target).ok();
        answers.map(|answers| answers.trust.admits_in(&caller, ASSUME, &context).by).unwrap_or_default()
    };
    match step.by {
        By::Assuming => admitting().into_iter().chain(own(ASSUME, &context)).collect(),
        By::Trust => admitting(),
        By::Retrusting => own("iam:UpdateAssumeRolePolicy", &context),
        By::Passing(service) => {
            let found = node.paths.iter().find(|found| found.path.outcome == EscalationOutcome::PassedRole(service));
            let pass = own("iam:PassRole", &context.set("iam:PassedToService", [service]));
            found.into_iter().flat_map(|found| found.by.iter().cloned()).chain(pass).collect()
        }
    }
}
