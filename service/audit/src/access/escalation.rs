//! Where a role's permissions lead: its privilege-escalation paths, and the roles it reaches by them.
//!
//! Knows each path of a role, and the shortest chain from it to an administrator, with the statements
//! that make each step. The graph is worked out once when first asked for; [`PathFinder`] follows single roles
//! without it, under policies that are not theirs. Refuses to decide how bad it is.

use super::answer::{Listed, Partial};
use super::graph::{By, Graph, Node, Place, Step};
pub(crate) use super::graph_builder::NAMED;
use super::graph_builder::{ASSUMING, Builder, graph_of};
use super::index::AccessIndex;
use super::permissions;
use super::role_trust;
use super::stack::{is_service_linked, policy_set};
use super::trust::ASSUME;
use crate::index::join;
use rolecall_estate::Reason;
use rolecall_iam::escalation::{EscalationOutcome, EscalationPath, Holder};
use rolecall_iam::{AccountId, Arn, Context, PolicySet, Requester, Site, Sites};
use rolecall_rules::Reasons;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

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
        By::Assuming => paths.find(|path| path.id == ASSUMING),
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

/// The paths of one role under one set of policies.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// Whether it is as good as an administrator by what it holds; then no paths are listed.
    pub is_administrator: bool,
    /// Its own paths, and the shortest chain of roles to an administrator.
    pub found: Vec<Escalation>,
    /// Whether a chain to an administrator may be there that was not found.
    pub is_chain_open: bool,
    open: BTreeSet<&'static str>,
    is_blind: bool,
    /// Why there may be others.
    pub missing: Option<Reasons>,
}

impl Paths {
    /// Of a role of which nothing is known.
    pub(crate) fn unknown(why: impl Into<Reason>) -> Self {
        Self { is_blind: true, is_chain_open: true, missing: Some(Reasons::one(why)), ..Self::default() }
    }

    /// Whether it may have a path, by its id, that was not found.
    pub(crate) fn may_have(&self, path: &str) -> bool {
        self.is_blind || self.open.contains(path)
    }

    /// The paths that it may have and that were not found; none where it may have any.
    pub(crate) fn open(&self) -> impl Iterator<Item = &'static str> {
        self.open.iter().copied()
    }

    /// Whether it may have any path.
    pub(crate) fn is_blind(&self) -> bool {
        self.is_blind
    }
}

/// Of so many roles it is asked at most where their paths lead.
const ROLES_FOLLOWED: usize = 2_000;

/// The paths of single roles of an estate, under policies that need not be their own.
///
/// Only the roles that one leads to are asked for theirs. Organization policies that were not seen are taken
/// to refuse nothing.
pub(crate) struct PathFinder<'a> {
    builder: Builder<'a>,
    nodes: HashMap<usize, Rc<Node>>,
}

impl<'a> PathFinder<'a> {
    /// Of an estate that has all roles of these accounts; `None`: of every account.
    pub(crate) fn new(index: &'a AccessIndex, roles_of: Option<&BTreeSet<AccountId>>) -> Self {
        let mut builder = Builder::lenient(index);
        let left_out = index.accounts.keys().filter(|account| roles_of.is_some_and(|whole| !whole.contains(*account)));
        let left_out: Vec<_> = left_out.map(|account| (*account, Reasons::one(why_left_out(*account)))).collect();
        builder.targets.incomplete.extend(left_out);
        Self { builder, nodes: HashMap::new() }
    }

    /// The ARNs of the roles that a role's trust policy names.
    pub(crate) fn named_by(&self, role: &str) -> Vec<String> {
        let index = self.builder.index;
        let at = index.role_index(role);
        at.into_iter().flat_map(|at| self.builder.targets.doors.named_by(at)).map(|at| arn(index, at)).collect()
    }

    /// The paths of a role whose sessions have these policies. `policies` are the customer's policies that are
    /// attached to it.
    pub(crate) fn paths(&mut self, role: &str, stack: &PolicySet, policies: &[Arn], boundary: Option<&Arn>) -> Paths {
        let index = self.builder.index;
        let Some((at, held)) = index.role_index(role).and_then(|at| Some((at, index.roles.get(at)?))) else {
            return Paths::unknown(format!("the role {role} is not in the estate"));
        };
        if is_service_linked(held) {
            return Paths::default();
        }
        if permissions::answers_of(index, stack).admin == Ok(true) {
            return Paths { is_administrator: true, ..Paths::default() };
        }
        let mut node = Node::default();
        self.builder.under(at, stack, Holder { role: &held.arn, policies, boundary }, &mut node);
        let (chain, unsure) = self.chain(at, &node);
        let is_chain_open = chain.is_none() && unsure.is_some();
        let mut found: Vec<Escalation> = chain.into_iter().collect();
        found.extend(node.paths.into_iter().map(|path| Escalation {
            path: Some(path.path),
            to_admin: path.makes_admin,
            through: Vec::new(),
            targets: path.targets.iter().map(|target| arn(index, *target)).collect(),
            is_chain: false,
            evidence: path.by,
        }));
        let missing = join(node.missing, unsure.as_ref());
        Paths { is_administrator: false, found, is_chain_open, open: node.open, is_blind: node.is_blind, missing }
    }

    /// The shortest chain of roles from one to another that is, or makes itself, an administrator; and why there
    /// may be one that was not found.
    fn chain(&mut self, start: usize, node: &Node) -> (Option<Escalation>, Option<Reasons>) {
        let index = self.builder.index;
        let mut unsure: Option<Reasons> = node.missing.clone();
        let mut entered: BTreeSet<usize> = BTreeSet::new();
        // From which role each was reached, and by what.
        let mut from: HashMap<usize, (usize, By)> = HashMap::new();
        let mut queue: VecDeque<usize> = VecDeque::new();
        let mut steps: Vec<Step> = node.steps.clone();
        let mut at = start;
        loop {
            for step in steps {
                let roles: Arc<[usize]> = match step.to {
                    Place::Role(role) => [role].into(),
                    Place::Group(group) if entered.insert(group) => {
                        self.builder.targets.doors.groups.get(group).cloned().unwrap_or_default()
                    }
                    Place::Group(_) => continue,
                };
                for role in roles.iter().copied().filter(|role| *role != start) {
                    if let Entry::Vacant(place) = from.entry(role) {
                        place.insert((at, step.by));
                        queue.push_back(role);
                    }
                }
            }
            let Some(next) = queue.pop_front() else { return (None, unsure) };
            let Some(found) = self.node(next) else {
                let why = format!("more than {ROLES_FOLLOWED} roles would have to be followed");
                return (None, join(unsure, Some(&Reasons::one(why))));
            };
            if found.is_strong() {
                return (Some(chain_of(index, node, start, next, &from)), None);
            }
            unsure = join(unsure, found.missing.as_ref());
            steps = found.steps.clone();
            at = next;
        }
    }

    fn node(&mut self, at: usize) -> Option<Rc<Node>> {
        if let Some(known) = self.nodes.get(&at) {
            return Some(Rc::clone(known));
        }
        if self.nodes.len() >= ROLES_FOLLOWED {
            return None;
        }
        let node = Rc::new(self.builder.node(at));
        self.nodes.insert(at, Rc::clone(&node));
        Some(node)
    }
}

fn why_left_out(account: AccountId) -> String {
    format!("the roles of account {account} are left out of the comparison: the estate has too many")
}

/// A chain, told from its end.
fn chain_of(
    index: &AccessIndex,
    node: &Node,
    start: usize,
    end: usize,
    from: &HashMap<usize, (usize, By)>,
) -> Escalation {
    let mut through = vec![end];
    let mut first = None;
    while let Some((before, by)) = through.last().and_then(|at| from.get(at)) {
        first = Some(Step { to: Place::Role(*through.last().unwrap_or(&end)), by: *by });
        if *before == start {
            break;
        }
        through.push(*before);
    }
    through.reverse();
    let through: Vec<String> = through.into_iter().map(|at| arn(index, at)).collect();
    Escalation {
        path: first.and_then(|step| path(node, step)),
        to_admin: true,
        targets: through.last().cloned().into_iter().collect(),
        through,
        is_chain: true,
        evidence: Vec::new(),
    }
}
