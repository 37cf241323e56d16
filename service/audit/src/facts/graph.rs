//! The estate's roles as a graph: which role becomes which other, and by what.
//!
//! Knows, of every role, its privilege-escalation paths and the roles that they lead to. Roles that
//! are entered alike (all that an account may change, all that trust an account, all that a service
//! may be passed) are one place in the graph, and what a stack allows over such a place is worked out
//! once for all stacks that say the same of the action: the graph grows with the roles, not with
//! their pairs. A step that depends on something unseen is no step, and its reason is kept. Refuses
//! to follow roles of accounts that were not looked at, and to decide how bad it is.

use super::CachedIndex;
use super::doors::{Admitted, Doors};
use super::permissions;
use crate::index::{join, reasons};
use rolecall_estate::{Reason, Role};
use rolecall_iam::escalation::{self, EscalationOutcome, EscalationPath, Found, Holder};
use rolecall_iam::{
    AccountId, Arn, Context, Digest, Exceeded, Grants, PolicyRef, PolicySet, ResourcePattern, Site, Sites, Steps, Truth,
};
use rolecall_rules::Reasons;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

pub(super) const ASSUME: &str = "sts:AssumeRole";
const PASS: &str = "iam:PassRole";
const RETRUST: &str = "iam:UpdateAssumeRolePolicy";

/// How many statements that allow a path are named.
const MOST_SITES: usize = 50;

/// How many roles that a path reaches are named.
pub(super) const NAMED: usize = 10;

/// A policy that allows everything.
const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

/// Where a step leads: to a role, or to any of several roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Role(usize),
    Group(usize),
}

/// By what a role becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
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
pub(super) struct Step {
    pub to: Place,
    pub by: By,
}

/// A path that a role has, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Led {
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
pub(super) struct Node {
    /// Whether it is as good as an administrator by what it holds.
    pub admin: bool,
    /// The paths that it has for certain.
    pub paths: Vec<Led>,
    pub steps: Vec<Step>,
    /// Why it may have others, or may reach others.
    missing: Option<Reasons>,
    /// The next step of the shortest chain to a role that is, or makes itself, an administrator.
    pub toward: Option<Step>,
}

impl Node {
    fn is_strong(&self) -> bool {
        self.admin || self.paths.iter().any(|led| led.makes_admin)
    }
}

/// The roles, and the groups of those that are entered alike.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    /// Each sorted.
    groups: Vec<Arc<[usize]>>,
    /// Of each group, the role in it that is nearest to an administrator.
    nearest: Vec<Option<usize>>,
}

impl Graph {
    pub(super) fn new(world: &CachedIndex) -> Self {
        let mut builder = Builder::of(world);
        // Where the work is to end nobody reads the graph any more.
        let all = (0..world.roles.len()).take_while(|_| !world.cancel.is_cancelled());
        let mut nodes: Vec<Node> = all.map(|index| builder.node(index)).collect();
        nodes.resize_with(world.roles.len(), Node::default);
        let mut graph = Self { nodes, groups: builder.doors.groups, nearest: Vec::new() };
        let into = graph.backwards();
        graph.lead(&into);
        graph.spread_missing(&into);
        graph
    }

    /// The role that a step of a chain leads to.
    pub(super) fn next(&self, step: Step) -> Option<usize> {
        match step.to {
            Place::Role(role) => Some(role),
            Place::Group(group) => *self.nearest.get(group)?,
        }
    }

    /// The roles that these roles become by assuming, themselves included, over any number of steps.
    pub(super) fn assumed_from(&self, start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
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
    pub(super) fn missing(&self, index: usize) -> Option<Reasons> {
        self.nodes.get(index)?.missing.clone()
    }
}

fn group(step: &Step) -> Option<usize> {
    match step.to {
        Place::Group(group) => Some(group),
        Place::Role(_) => None,
    }
}

/// The roles of a group on which a stack allows an action.
#[derive(Debug, Clone)]
struct Over {
    /// The group of those on which it certainly does.
    group: usize,
    /// Those on which something unseen decides, and why.
    open: Arc<[usize]>,
    why: Option<Reasons>,
}

/// The roles on which one step of a path can be taken.
#[derive(Debug, Default)]
struct Targets {
    over: Vec<Over>,
    roles: Vec<usize>,
    open: Vec<usize>,
    why: Option<Reasons>,
}

/// A stack of a role, and what is asked of it.
struct Holding<'a> {
    role: &'a Role,
    stack: &'a PolicySet,
    context: Context,
    /// What decides about each action, as far as it was asked for.
    deciding: RefCell<HashMap<&'static str, Digest>>,
}

impl Holding<'_> {
    /// The address of what decides about an action; see [`PolicySet::deciding`].
    fn deciding(&self, action: &'static str) -> Digest {
        let work_out = || Digest::sha256(self.stack.deciding(action, &self.role.arn).as_bytes());
        *self.deciding.borrow_mut().entry(action).or_insert_with(work_out)
    }
}

struct Builder<'a> {
    world: &'a CachedIndex,
    doors: Doors,
    /// By what decides, the action, the service that a role is passed to, and the group.
    over: HashMap<(Digest, &'static str, Option<&'static str>, usize), Over>,
    /// Why roles of accounts that were not listed whole may let it in, by what decides.
    unlisted: HashMap<Digest, Option<Reasons>>,
    incomplete: Vec<(AccountId, Reasons)>,
    /// Whether a role would be an administrator if its own policies allowed everything, by all else.
    free: HashMap<Digest, bool>,
    everything: PolicyRef,
}

/// Whether whoever has the path on a role writes what that role, or it itself, may do.
fn writes_permissions(path: &EscalationPath) -> bool {
    let grants = |action: &str| {
        [
            "iam:PutRolePolicy",
            "iam:AttachRolePolicy",
            "iam:CreatePolicyVersion",
            "sso:PutInlinePolicyToPermissionSet",
            "sso:AttachManagedPolicyToPermissionSet",
        ]
        .contains(&action)
    };
    let with_keys = path.steps.len() > 1
        && path.actions().any(|action| matches!(action, "iam:PutUserPolicy" | "iam:AttachUserPolicy"));
    matches!(path.outcome, EscalationOutcome::Own | EscalationOutcome::Role) && path.actions().any(grants) || with_keys
}

impl<'a> Builder<'a> {
    fn of(world: &'a CachedIndex) -> Self {
        let incomplete =
            world.accounts.keys().filter_map(|account| Some((*account, world.visibility(*account).roles.clone()?)));
        Self {
            world,
            doors: Doors::new(world),
            over: HashMap::new(),
            unlisted: HashMap::new(),
            incomplete: incomplete.collect(),
            free: HashMap::new(),
            everything: PolicyRef::known("everything", &rolecall_iam::Document::new(EVERYTHING)),
        }
    }

    fn node(&mut self, index: usize) -> Node {
        let world = self.world;
        // Nobody but its service acts as a service-linked role.
        let Some(role) = world.roles.get(index).filter(|role| !permissions::is_service_linked(role)) else {
            return Node::default();
        };
        // What it may do now was not seen.
        if let Some(why) = world.role_unseen(role) {
            return Node { missing: Some(why), ..Node::default() };
        }
        let (sessions, unseen) = permissions::sessions_of(world, role);
        let own: Vec<Arn> = customers_policies(role).cloned().collect();
        let mut node = Node { missing: unseen, ..Node::default() };
        let all = permissions::steps_of_sessions();
        for session in sessions {
            if all.is_exceeded() {
                node.missing = join(node.missing.take(), reasons([all.why().to_string()]).as_ref());
                break;
            }
            let stack = permissions::stack(world, role, session);
            if permissions::answers_of(world, &stack).admin().as_bool() == Some(true) {
                return Node { admin: true, ..Node::default() };
            }
            let holder = Holder { role: &role.arn, policies: &own, boundary: role.boundary.as_ref() };
            let steps = Steps::new("the policies of the role");
            let found = escalation::find_within(&stack, holder, &steps);
            let _ = all.take(usize::try_from(steps.taken()).unwrap_or(usize::MAX));
            let (certain, open): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.truth.is_true());
            let why = open
                .iter()
                .flat_map(|found| Reason::of_truth(&found.truth))
                .chain(stack.unseen_identity().map(Reason::from));
            node.missing = join(node.missing.take(), reasons(why).as_ref());
            let deciding = RefCell::default();
            let holding = Holding { role, stack: &stack, context: holder.context(), deciding };
            self.follow(index, &holding, certain, &mut node);
        }
        node
    }

    /// Takes the paths that a stack has by its policies to the roles that they lead to.
    fn follow(&mut self, index: usize, holding: &Holding<'_>, found: Vec<Found>, node: &mut Node) {
        let assumes = found.iter().any(|found| found.path.actions().any(|action| action == ASSUME));
        let assumed = self.assumed(index, holding, assumes, node);
        let mut passed: HashMap<&'static str, Targets> = HashMap::new();
        let account = holding.role.arn.account_id();
        for found in found {
            let makes = writes_permissions(found.path);
            match found.path.outcome {
                EscalationOutcome::Own => {
                    let makes_admin = makes && self.is_free(holding.role, Some(holding.stack));
                    add(node, Led { path: found.path, by: found.by, targets: Vec::new(), makes_admin });
                }
                EscalationOutcome::Role if found.path.is_of_identity_center() => match self.identity_center(account) {
                    Ok(true) => {
                        add(node, Led { path: found.path, by: found.by, targets: Vec::new(), makes_admin: makes });
                    }
                    Ok(false) => {}
                    Err(why) => node.missing = join(node.missing.take(), Some(&why)),
                },
                EscalationOutcome::Role => {
                    let each = found.path.steps.iter().map(|step| match step.action {
                        ASSUME => None,
                        action => Some(self.changed(holding, action)),
                    });
                    let each: Vec<Option<Targets>> = each.collect();
                    let sets: Vec<&Targets> = each.iter().map(|set| set.as_ref().unwrap_or(&assumed)).collect();
                    if found.path.id == "update-trust" {
                        let over = sets.iter().flat_map(|set| &set.over);
                        let steps = over.filter(|over| !self.is_empty(over.group));
                        let steps = steps.map(|over| Step { to: Place::Group(over.group), by: By::Retrusting });
                        node.steps.extend(steps);
                    }
                    self.lead(index, holding, &found, &sets, makes, node);
                }
                EscalationOutcome::PassedRole(service) => {
                    let targets = passed.remove(service).unwrap_or_else(|| {
                        let targets = self.passed(holding, service);
                        let steps = targets.over.iter().filter(|over| !self.is_empty(over.group));
                        let by = By::Passing(service);
                        node.steps.extend(steps.map(|over| Step { to: Place::Group(over.group), by }));
                        targets
                    });
                    self.lead(index, holding, &found, &[&targets], false, node);
                    passed.insert(service, targets);
                }
                EscalationOutcome::User | EscalationOutcome::Running | EscalationOutcome::Pods => {
                    add(node, Led { path: found.path, by: found.by, targets: Vec::new(), makes_admin: makes });
                }
            }
        }
    }

    /// Keeps a path where some role is a target of all its steps; what keeps it from being certain, or
    /// from being none, goes to the reasons.
    fn lead(
        &mut self,
        index: usize,
        holding: &Holding<'_>,
        found: &Found,
        sets: &[&Targets],
        makes: bool,
        node: &mut Node,
    ) {
        let mut targets = Vec::new();
        let mut makes_admin = false;
        let least = sets.iter().min_by_key(|set| self.len(set));
        let candidates: Vec<usize> = least.map_or_else(Vec::new, |set| self.sure(set).collect());
        for target in candidates.into_iter().filter(|target| *target != index) {
            if !sets.iter().all(|set| self.is_sure(set, target)) {
                continue;
            }
            let Some(role) = self.world.roles.get(target) else { continue };
            let free = makes && !makes_admin && self.is_free(role, None);
            makes_admin |= free;
            if targets.len() < NAMED {
                targets.push(target);
            } else if free {
                targets.pop();
                targets.push(target);
            }
            if targets.len() == NAMED && (makes_admin || !makes) {
                break;
            }
        }
        if !targets.is_empty() {
            let by = self.evidence(holding, found, targets.first());
            add(node, Led { path: found.path, by, targets, makes_admin });
            return;
        }
        let mut open = sets.iter().flat_map(|set| Self::open(set)).filter(|target| *target != index);
        if open.any(|target| sets.iter().all(|set| self.is_sure(set, target) || Self::is_open(set, target))) {
            for why in sets.iter().flat_map(|set| set.over.iter().map(|over| &over.why).chain([&set.why])) {
                node.missing = join(node.missing.take(), why.as_ref());
            }
        }
        // A role that was not listed may be one.
        node.missing = join(node.missing.take(), self.world.visibility(holding.role.arn.account_id()).roles.as_ref());
    }

    /// The statements that allow a path, on the first of its targets where its actions are on roles.
    fn evidence(&self, holding: &Holding<'_>, found: &Found, target: Option<&usize>) -> Vec<Site> {
        let Some(target) = target.and_then(|target| self.world.roles.get(*target)) else { return found.by.clone() };
        let mut by: Vec<Site> = Vec::new();
        for step in &found.path.steps {
            let sites = match step.action {
                PASS | ASSUME => {
                    let context = match found.path.outcome {
                        EscalationOutcome::PassedRole(service) if step.action == PASS => {
                            holding.context.clone().set("iam:PassedToService", [service])
                        }
                        _ => holding.context.clone(),
                    };
                    holding.stack.possible(step.action, target.arn.as_str(), &context).by
                }
                _ => Vec::new(),
            };
            by.extend(sites);
        }
        by.extend(found.by.iter().cloned());
        let mut unique = Sites::default();
        unique.add(by);
        unique.list.truncate(MOST_SITES);
        unique.list
    }

    /// Whether IAM Identity Center is administered from an account.
    fn identity_center(&self, account: AccountId) -> Result<bool, Reasons> {
        if self.world.accounts.get(&account).is_some_and(|account| account.is_management) {
            return Ok(true);
        }
        let why = "whether it is the management account, or administers IAM Identity Center for it, was not seen";
        Err(Reasons::one(format!("account {account}: {why}")))
    }

    /// Whether the role would be an administrator if its own policies allowed everything: not under a
    /// boundary, session policy or SCP that holds it back. A role that somebody else becomes has no
    /// session policy.
    fn is_free(&mut self, role: &Role, stack: Option<&PolicySet>) -> bool {
        let mut whole = match stack {
            Some(stack) => stack.clone(),
            None => permissions::ceilings(self.world, role),
        };
        whole.identity = Some(vec![self.everything.clone()]);
        let key = whole.own_digest();
        *self.free.entry(key).or_insert_with(|| !Grants::new(&whole).admin_equivalent().is_false())
    }

    /// The roles that the role becomes by assuming them.
    fn assumed(&mut self, index: usize, holding: &Holding<'_>, assumes: bool, node: &mut Node) -> Targets {
        let world = self.world;
        let mut targets = Targets::default();
        let account = holding.role.arn.account_id();
        if assumes {
            for group in self.doors.open_to(account) {
                let over = self.over(holding, ASSUME, None, group);
                // A role that lets in everyone is its own fault: getting in gains nothing that others lack.
                if !self.is_empty(over.group) && !self.doors.is_everyones(group) {
                    node.steps.push(Step { to: Place::Group(over.group), by: By::Assuming });
                }
                node.missing = join(node.missing.take(), over.why.as_ref());
                targets.over.push(over);
            }
            if let Some(group) = self.doors.unsure() {
                let over = self.over(holding, ASSUME, None, group);
                for role in self.members(over.group).into_iter().chain(over.open.iter().copied()) {
                    targets.why = join(targets.why.take(), self.doors.why(role));
                    targets.open.push(role);
                }
            }
            node.missing = join(node.missing.take(), targets.why.as_ref());
            let unlisted = self.unlisted(holding);
            node.missing = join(node.missing.take(), unlisted.as_ref());
        }
        let mut candidates = self.doors.naming(index).to_vec();
        if assumes {
            for group in self.doors.vague(account) {
                let over = self.over(holding, ASSUME, None, group);
                candidates.extend(self.members(over.group).into_iter().chain(over.open.iter().copied()));
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let steps = Steps::for_others("the role and the roles that may let it in");
        let own = holding.stack.weight(ASSUME);
        let mut asked: HashMap<(Option<Digest>, AccountId), Option<Admitted>> = HashMap::new();
        for to in candidates.into_iter().filter(|to| *to != index) {
            let Some(target) = world.roles.get(to) else { continue };
            let key = (target.trust, target.arn.account_id());
            let weight = if asked.contains_key(&key) { 1 } else { Doors::weight(world, target) };
            if steps.take(weight).is_err() {
                let why = reasons([Reason::from(&steps.why())]);
                node.missing = join(node.missing.take(), why.as_ref());
                targets.why = join(targets.why.take(), why.as_ref());
                targets.open.push(to);
                continue;
            }
            let admitted = asked.entry(key).or_insert_with(|| Doors::admits(world, holding.role, target));
            let Some(admitted) = admitted else { continue };
            // The last one that there are steps for is asked to its end.
            let _ = steps.take(own);
            match admitted.reaches(holding.stack, target) {
                Truth::True => {
                    let by = if admitted.by_trust { By::Trust } else { By::Assuming };
                    node.steps.push(Step { to: Place::Role(to), by });
                    targets.roles.push(to);
                }
                Truth::False => {}
                truth => {
                    let why = reasons(Reason::of_truth(&truth));
                    node.missing = join(node.missing.take(), why.as_ref());
                    targets.why = join(targets.why.take(), why.as_ref());
                    targets.open.push(to);
                }
            }
        }
        targets
    }

    /// The roles that the role may change by an action.
    fn changed(&mut self, holding: &Holding<'_>, action: &'static str) -> Targets {
        let account = holding.role.arn.account_id();
        let group = self.doors.changeable(account);
        let over = group.map(|group| self.over(holding, action, None, group));
        let mut targets = Targets { over: over.into_iter().collect(), ..Targets::default() };
        if let Some(group) = self.doors.remembered() {
            let over = self.over(holding, action, None, group);
            self.leave_open(&over, account, &mut targets);
        }
        targets
    }

    /// The roles of an account on which a stack allows an action, of those that may be none of its targets.
    fn leave_open(&self, over: &Over, account: AccountId, targets: &mut Targets) {
        let roles = self.members(over.group).into_iter().chain(over.open.iter().copied());
        for role in roles.filter(|role| self.is_of(*role, account)) {
            targets.why = join(targets.why.take(), self.doors.why(role));
            targets.open.push(role);
        }
    }

    /// The roles that the role may pass to a service.
    fn passed(&mut self, holding: &Holding<'_>, service: &'static str) -> Targets {
        let account = holding.role.arn.account_id();
        let group = self.doors.served(account, service);
        let over = group.map(|group| self.over(holding, PASS, Some(service), group));
        let mut targets = Targets { over: over.into_iter().collect(), ..Targets::default() };
        if let Some(group) = self.doors.unsure() {
            let over = self.over(holding, PASS, Some(service), group);
            self.leave_open(&over, account, &mut targets);
        }
        targets
    }

    fn is_of(&self, role: usize, account: AccountId) -> bool {
        self.world.roles.get(role).is_some_and(|role| role.arn.account_id() == account)
    }

    fn members(&self, group: usize) -> Vec<usize> {
        self.doors.groups.get(group).map_or_else(Vec::new, |roles| roles.to_vec())
    }

    fn is_empty(&self, group: usize) -> bool {
        self.doors.groups.get(group).is_none_or(|roles| roles.is_empty())
    }

    fn len(&self, targets: &Targets) -> usize {
        let groups = targets.over.iter().filter_map(|over| self.doors.groups.get(over.group));
        targets.roles.len() + groups.map(|roles| roles.len()).sum::<usize>()
    }

    fn sure<'t>(&'t self, targets: &'t Targets) -> impl Iterator<Item = usize> + 't {
        let groups = targets.over.iter().filter_map(|over| self.doors.groups.get(over.group));
        targets.roles.iter().copied().chain(groups.flat_map(|roles| roles.iter().copied()))
    }

    fn is_sure(&self, targets: &Targets, role: usize) -> bool {
        let mut groups = targets.over.iter().filter_map(|over| self.doors.groups.get(over.group));
        targets.roles.contains(&role) || groups.any(|roles| roles.binary_search(&role).is_ok())
    }

    fn open(targets: &Targets) -> impl Iterator<Item = usize> + '_ {
        targets.open.iter().copied().chain(targets.over.iter().flat_map(|over| over.open.iter().copied()))
    }

    fn is_open(targets: &Targets, role: usize) -> bool {
        targets.open.contains(&role) || targets.over.iter().any(|over| over.open.binary_search(&role).is_ok())
    }

    /// What a stack allows over a group, worked out once for all stacks that say the same.
    fn over(
        &mut self,
        holding: &Holding<'_>,
        action: &'static str,
        service: Option<&'static str>,
        group: usize,
    ) -> Over {
        let mut deciding = holding.deciding(action).as_bytes().to_vec();
        if action == RETRUST {
            deciding.extend(holding.deciding(ASSUME).as_bytes());
        }
        // Roles of another account are other resources, whose patterns are filled in otherwise.
        deciding.extend(holding.role.arn.account_id().to_string().bytes());
        let key = (Digest::sha256(&deciding), action, service, group);
        if let Some(over) = self.over.get(&key) {
            return over.clone();
        }
        let over = self.worked_out(holding, action, service, group);
        self.over.insert(key, over.clone());
        over
    }

    fn worked_out(
        &mut self,
        holding: &Holding<'_>,
        action: &'static str,
        service: Option<&'static str>,
        group: usize,
    ) -> Over {
        let whole = Over { group, open: [].into(), why: None };
        let roles = self.doors.groups.get(group).cloned().unwrap_or_default();
        let of_policy = escalation::is_of_policy(action);
        let of_boundary = action == "iam:DeleteRolePermissionsBoundary";
        let is_whole = holding.stack.is_unlimited(action)
            && !of_policy
            && !of_boundary
            && (action != RETRUST || holding.stack.is_unrefused_everywhere(ASSUME));
        if roles.is_empty() || is_whole {
            return whole;
        }
        let candidates = if of_policy { roles.to_vec() } else { self.candidates(holding, action, &roles) };
        let (mut sure, mut open, mut why) = (Vec::new(), Vec::new(), None);
        let steps = Steps::for_others("the policies of the role for each role that it may act on");
        let weight = holding.stack.weight(action);
        for index in candidates {
            let Some(target) = self.world.roles.get(index) else { continue };
            if of_boundary && target.boundary.is_none() {
                continue;
            }
            let truth = match steps.take(weight) {
                Ok(()) => allowed(holding, action, service, target),
                Err(Exceeded) => Truth::unknown(steps.why()),
            };
            match truth {
                Truth::True => sure.push(index),
                Truth::False => {}
                truth => {
                    open.push(index);
                    why = join(why, reasons(Reason::of_truth(&truth)).as_ref());
                }
            }
        }
        let group = if sure.len() == roles.len() { group } else { self.doors.group(sure) };
        Over { group, open: open.into(), why }
    }

    /// The roles of a group that the patterns of a stack may name, sorted.
    fn candidates(&self, holding: &Holding<'_>, action: &'static str, roles: &[usize]) -> Vec<usize> {
        let Some(patterns) = holding.stack.patterns(action, &holding.role.arn) else { return roles.to_vec() };
        let mut found: BTreeSet<usize> = BTreeSet::new();
        let steps = Steps::for_others("the patterns of roles");
        let arn = |index: &usize| self.world.roles.get(*index).map_or("", |role| role.arn.as_str());
        for pattern in patterns {
            let fixed = pattern.split(['*', '?', '$']).next().unwrap_or_default();
            let from = roles.partition_point(|index| arn(index) < fixed);
            let compiled = ResourcePattern::new(&pattern);
            let among = roles.get(from..).unwrap_or_default();
            let among = among.get(..among.partition_point(|index| arn(index).starts_with(fixed))).unwrap_or_default();
            if steps.take(among.len().saturating_mul(1 + pattern.len() / 32)).is_err() {
                return roles.to_vec();
            }
            // What a variable stands for, the stack knows.
            found.extend(among.iter().filter(|index| compiled.has_variable() || compiled.matches(arn(index))));
        }
        found.into_iter().collect()
    }

    /// Why a role of an account that was not listed whole may let the role in.
    fn unlisted(&mut self, holding: &Holding<'_>) -> Option<Reasons> {
        if self.incomplete.is_empty() {
            return None;
        }
        let own = holding.role.arn.account_id();
        let mut deciding = own.to_string().into_bytes();
        deciding.extend(holding.deciding(ASSUME).as_bytes());
        let key = Digest::sha256(&deciding);
        if let Some(why) = self.unlisted.get(&key) {
            return why.clone();
        }
        let patterns = holding.stack.patterns(ASSUME, &holding.role.arn);
        let patterns = patterns.unwrap_or_else(|| vec!["arn:aws:iam::*:role/*".to_owned()]);
        let mut why = None;
        let (steps, weight) =
            (Steps::for_others("the policies of the role for each account"), holding.stack.weight(ASSUME));
        for (account, unseen) in &self.incomplete {
            let there = patterns.iter().filter_map(|pattern| in_account(pattern, *account));
            let mut there = there.flat_map(|pattern| ["anything", ""].map(|with| pattern.replace('*', with)));
            let context = &holding.context;
            // Where there are no steps left to tell, it may.
            let may = |role: String| {
                steps.take(weight).is_err() || !holding.stack.possible(ASSUME, &role, context).truth.is_false()
            };
            if there.any(may) {
                why = join(why, Some(unseen));
            }
        }
        self.unlisted.insert(key, why.clone());
        why
    }
}

/// The pattern of a role's ARN with this account filled in; `None` where it names another.
fn in_account(pattern: &str, account: AccountId) -> Option<String> {
    match pattern.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        [arn, partition, service, region, named, name] => {
            let id = account.to_string();
            let fits = ResourcePattern::new(named).matches(&id);
            fits.then(|| format!("{arn}:{partition}:{service}:{region}:{id}:{name}"))
        }
        _ => Some(format!("arn:aws:iam::{account}:role/*")),
    }
}

/// The policies attached to a role that the customer made.
pub(super) fn customers_policies(role: &Role) -> impl Iterator<Item = &Arn> {
    role.attached.iter().map(|policy| &policy.arn).filter(|arn| arn.account() != "aws")
}

fn add(node: &mut Node, led: Led) {
    if !node.paths.contains(&led) {
        node.paths.push(led);
    }
}

/// Whether a stack allows an action on a role.
fn allowed(holding: &Holding<'_>, action: &'static str, service: Option<&'static str>, target: &Role) -> Truth {
    let stack = holding.stack;
    let on = |resource: &str, context: &Context| stack.possible(action, resource, context).truth;
    if escalation::is_of_policy(action) {
        return customers_policies(target)
            .map(|policy| on(policy.as_str(), &holding.context))
            .fold(Truth::False, Truth::or);
    }
    let context = holding.context.clone();
    match (action, service) {
        (PASS, Some(service)) => on(target.arn.as_str(), &context.set("iam:PassedToService", [service])),
        (PASS | ASSUME, _) => on(target.arn.as_str(), &context),
        (RETRUST, _) => {
            let assumed = stack.unrefused(ASSUME, target.arn.as_str(), &context);
            on(target.arn.as_str(), &tagged(context, target)).and(assumed)
        }
        _ => {
            let context = escalation::changing(context, target.boundary.as_ref());
            on(target.arn.as_str(), &tagged(context, target))
        }
    }
}

/// With the tags of the role that is acted on.
fn tagged(context: Context, target: &Role) -> Context {
    let prefixes = ["aws:ResourceTag/", "iam:ResourceTag/"];
    prefixes.into_iter().fold(context, |context, prefix| {
        let with = |context: Context, (key, value): (&String, &String)| {
            context.set(&format!("{prefix}{key}"), [value.as_str()])
        };
        target.tags.iter().fold(context.absent_under(prefix), with)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rolecall_estate::coverage::{Scope, ScopeKind};
    use rolecall_estate::{Account, Estate, InlinePolicy, Tags};

    /// An account in which every role lets the whole account in and may assume, change and pass all.
    fn crowd(roles: usize) -> Graph {
        let id: AccountId = "111122223333".parse().unwrap();
        let mut estate = Estate::default();
        // No SCP binds the management account.
        estate.accounts.push(Account { is_management: true, ..Account::new(id) });
        estate.coverage.complete(Scope::global(id, ScopeKind::Roles));
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
            "Principal":{"AWS":"111122223333","Service":"lambda.amazonaws.com"}}]}"#;
        for n in 0..roles {
            let may = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Resource":"*","Action":["s3:Get{n}*",
                "sts:AssumeRole","iam:UpdateAssumeRolePolicy","iam:PassRole","lambda:*"]}},
                {{"Effect":"Allow","Resource":"arn:aws:iam::*:role/r-{n:04}","Action":"iam:DeleteRolePolicy"}}]}}"#
            );
            let (trust, document) = (Some(estate.documents.read(trust)), estate.documents.read(&may));
            estate.roles.push(Role {
                arn: format!("arn:aws:iam::111122223333:role/r-{n:04}").parse().unwrap(),
                role_id: format!("AROA{n:016}"),
                created_at: None,
                trust,
                inline: vec![InlinePolicy { name: "own".to_owned(), document }],
                attached: Vec::new(),
                boundary: None,
                instance_profiles: Vec::new(),
                tags: Tags::new(),
            });
        }
        let facts = crate::facts::Facts::under(&estate, &std::collections::BTreeSet::new());
        Graph::new(&facts.world)
    }

    fn size(graph: &Graph) -> usize {
        let steps: usize = graph.nodes.iter().map(|node| node.steps.len()).sum();
        steps + graph.groups.iter().map(|group| group.len()).sum::<usize>()
    }

    #[test]
    fn the_graph_grows_with_the_roles_and_not_with_their_pairs() {
        let (small, large) = (crowd(100), crowd(400));
        assert!(small.nodes.iter().all(|node| node.steps.len() >= 3 && !node.paths.is_empty()));
        assert_eq!(size(&large), 4 * size(&small));
        assert_eq!(large.assumed_from([0]).len(), 400);
    }
}
