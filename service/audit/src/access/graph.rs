//! The estate's roles as a graph: which role becomes which other, and by what.
//!
//! Roles that are entered alike (all that an account may change, all that trust an account, all that a
//! service may be passed) are one place in the graph, so that it grows with the roles, not with their
//! pairs. Refuses to know how a step is found: that is the builder's.

use crate::index::join;
use rolecall_estate::Reason;
use rolecall_iam::Site;
use rolecall_iam::escalation::EscalationPath;
use rolecall_rules::Reasons;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Where a step leads: to a role, or to any of several roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Role(usize),
    Group(usize),
}

/// By what a role becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// It assumes the role.
    Assuming,
    /// The role's trust policy names it: that alone lets it in.
    Trust,
    /// It changes the role's trust policy, and assumes it.
    Retrusting,
    /// It hands the role to this service, through which it acts.
    Passing(&'static str),
}

/// A step from a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub to: Place,
    pub by: By,
}

/// A path that a role has, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundPath {
    pub path: &'static EscalationPath,
    /// The statements that allow its actions.
    pub by: Vec<Site>,
    /// Some of the roles that it reaches, where it reaches roles of the estate.
    pub targets: Vec<usize>,
    /// Whether whoever has it makes itself an administrator by it alone.
    pub makes_admin: bool,
}

/// A role in the graph.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Whether it is as good as an administrator by what it holds.
    pub admin: bool,
    /// The paths that it has for certain.
    pub paths: Vec<FoundPath>,
    pub steps: Vec<Step>,
    /// The paths, by id, that it may have or not.
    pub open: BTreeSet<&'static str>,
    /// Whether it may have any path: something that may allow more was not seen.
    pub is_blind: bool,
    /// Why it may have others, or may reach others.
    pub missing: Option<Reasons>,
    /// The next step of the shortest chain to a role that is, or makes itself, an administrator.
    pub toward: Option<Step>,
}

impl Node {
    /// Whether it is, or makes itself, an administrator.
    pub(crate) fn is_strong(&self) -> bool {
        self.admin || self.paths.iter().any(|found| found.makes_admin)
    }
}

/// The roles, and the groups of those that are entered alike.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    /// Each sorted.
    pub groups: Vec<Arc<[usize]>>,
    /// Of each group, the role in it that is nearest to an administrator.
    nearest: Vec<Option<usize>>,
}

impl Graph {
    /// The graph of these roles and groups, with what follows from how they are linked.
    pub(crate) fn linked(nodes: Vec<Node>, groups: Vec<Arc<[usize]>>) -> Self {
        let mut graph = Self { nodes, groups, nearest: Vec::new() };
        let into = graph.backwards();
        graph.lead(&into);
        graph.spread_missing(&into);
        graph
    }

    /// The role that a step of a chain leads to.
    pub(crate) fn next(&self, step: Step) -> Option<usize> {
        match step.to {
            Place::Role(role) => Some(role),
            Place::Group(group) => *self.nearest.get(group)?,
        }
    }

    /// The roles that these roles become by assuming, themselves included, over any number of steps.
    pub(crate) fn assumed_from(&self, start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut entered = vec![false; self.groups.len()];
        let mut open: Vec<usize> = start.into_iter().collect();
        while let Some(at) = open.pop() {
            if !reached.insert(at) {
                continue;
            }
            let steps = self.nodes.get(at).into_iter().flat_map(|node| &node.steps);
            for step in steps.filter(|step| matches!(step.by, By::Assuming | By::Trust)) {
                match step.to {
                    Place::Role(role) => open.push(role),
                    Place::Group(group) => {
                        let first = entered.get_mut(group).is_some_and(|entered| !std::mem::replace(entered, true));
                        let roles = self.groups.get(group).filter(|_| first);
                        open.extend(roles.into_iter().flat_map(|roles| roles.iter()));
                    }
                }
            }
        }
        reached
    }

    fn number(&self, place: Place) -> usize {
        match place {
            Place::Role(role) => role,
            Place::Group(group) => self.nodes.len() + group,
        }
    }

    /// The places from which one step leads to each place; roles first, then groups.
    fn backwards(&self) -> Vec<Vec<Place>> {
        let mut into: Vec<Vec<Place>> = vec![Vec::new(); self.nodes.len() + self.groups.len()];
        let mut add = |to: usize, from: Place| {
            if let Some(list) = into.get_mut(to).filter(|list| list.last() != Some(&from)) {
                list.push(from);
            }
        };
        for (index, node) in self.nodes.iter().enumerate() {
            node.steps.iter().for_each(|step| add(self.number(step.to), Place::Role(index)));
        }
        let entered: BTreeSet<usize> = self.nodes.iter().flat_map(|node| &node.steps).filter_map(group).collect();
        for group in entered {
            let roles = self.groups.get(group).into_iter().flat_map(|roles| roles.iter());
            roles.for_each(|role| add(*role, Place::Group(group)));
        }
        into
    }

    /// Marks, from the strong roles backwards, by which step every role comes nearer to one.
    fn lead(&mut self, into: &[Vec<Place>]) {
        self.nearest = vec![None; self.groups.len()];
        let mut queue: VecDeque<Place> = (0..self.nodes.len())
            .filter(|n| self.nodes.get(*n).is_some_and(Node::is_strong))
            .map(Place::Role)
            .collect();
        while let Some(near) = queue.pop_front() {
            for from in into.get(self.number(near)).into_iter().flatten() {
                match (*from, near) {
                    (Place::Group(group), Place::Role(role)) => {
                        // A group is no step of its own: what leads to it is as near as what leads to the role.
                        if let Some(nearest) = self.nearest.get_mut(group).filter(|nearest| nearest.is_none()) {
                            *nearest = Some(role);
                            queue.push_front(Place::Group(group));
                        }
                    }
                    (Place::Role(role), _) => {
                        let node = self.nodes.get_mut(role).filter(|node| !node.is_strong() && node.toward.is_none());
                        if let Some(node) = node {
                            node.toward = node.steps.iter().find(|step| step.to == near).copied();
                            queue.push_back(Place::Role(role));
                        }
                    }
                    (Place::Group(_), Place::Group(_)) => {}
                }
            }
        }
    }

    /// Why a role may have paths that are not listed: what its own policies and those of roles that it
    /// reaches leave open. Reasons are kept up to their limit; what reaches a role that has as many
    /// has them too, so that each place is passed by no more reasons than are kept.
    fn spread_missing(&mut self, into: &[Vec<Place>]) {
        let mut at: BTreeMap<Reason, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for why in node.missing.iter().flat_map(Reasons::iter) {
                at.entry(why.clone()).or_default().push(index);
            }
        }
        let mut known: Vec<Option<Reasons>> = vec![None; into.len()];
        for (why, roles) in at {
            let why = Reasons::one(why);
            let mut open: Vec<usize> = roles;
            while let Some(place) = open.pop() {
                let Some(known) = known.get_mut(place) else { continue };
                let more = join(known.clone(), Some(&why));
                if more == *known {
                    continue;
                }
                *known = more;
                open.extend(into.get(place).into_iter().flatten().map(|from| self.number(*from)));
            }
        }
        for (node, known) in self.nodes.iter_mut().zip(known) {
            node.missing = known;
        }
    }

    /// Why a role may have paths that are not listed, over all roles that it reaches.
    pub(crate) fn missing(&self, index: usize) -> Option<Reasons> {
        self.nodes.get(index)?.missing.clone()
    }
}

fn group(step: &Step) -> Option<usize> {
    match step.to {
        Place::Group(group) => Some(group),
        Place::Role(_) => None,
    }
}
