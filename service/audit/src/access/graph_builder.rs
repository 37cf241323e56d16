//! Which role becomes which other: the steps of the graph of an estate's roles.
//!
//! What a set of policies allows over a group of roles is worked out once for all sets that say the
//! same of the action. A step that depends on something unseen is no step, and its reason is kept.
//! Refuses to follow roles of accounts that were not looked at, and to decide how bad it is.

use super::doors::{Admitted, Doors};
use super::graph::{By, FoundPath, Graph, Node, Place, Step};
use super::index::AccessIndex;
use super::permissions;
use super::stack;
use super::targets::{Holding, PASS, TargetFinder, Targets, customers_policies};
use super::trust::ASSUME;
use crate::index::{join, reasons};
use rolecall_estate::{Reason, Role};
use rolecall_iam::escalation::{self, EscalationOutcome, EscalationPath, Found, Holder};
use rolecall_iam::{AccountId, Arn, Digest, Grants, PolicyRef, PolicySet, Site, Sites, Steps, Truth};
use rolecall_rules::Reasons;
use std::cell::RefCell;
use std::collections::HashMap;

/// How many statements that allow a path are named.
const MOST_SITES: usize = 50;

/// The path of a role that assumes another.
pub(super) const ASSUMING: &str = "assume-role";

/// How many roles that a path reaches are named.
pub(crate) const NAMED: usize = 10;

/// A policy that allows everything.
const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

/// The graph of the estate's roles.
pub(crate) fn graph_of(index: &AccessIndex) -> Graph {
    let mut builder = Builder::new(index);
    // Where the work is to end nobody reads the graph any more.
    let all = (0..index.roles.len()).take_while(|_| !index.cancel.is_cancelled());
    let mut nodes: Vec<Node> = all.map(|at| builder.node(at)).collect();
    nodes.resize_with(index.roles.len(), Node::default);
    Graph::linked(nodes, builder.targets.doors.groups)
}

pub(super) struct Builder<'a> {
    pub(super) index: &'a AccessIndex,
    pub(super) targets: TargetFinder<'a>,
    /// Whether organization policies that were not seen are taken to refuse nothing.
    is_lenient: bool,
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
    fn new(index: &'a AccessIndex) -> Self {
        Self {
            index,
            is_lenient: false,
            targets: TargetFinder::new(index),
            free: HashMap::new(),
            everything: PolicyRef::known("everything", &rolecall_iam::Document::new(EVERYTHING)),
        }
    }

    /// As [`Builder::new`]; organization policies that were not seen are taken to refuse nothing.
    pub(super) fn lenient(index: &'a AccessIndex) -> Self {
        Self { is_lenient: true, ..Self::new(index) }
    }

    /// A role with its paths by all its sessions, and the steps that they make.
    pub(super) fn node(&mut self, at: usize) -> Node {
        let index = self.index;
        // Nobody but its service acts as a service-linked role.
        let Some(role) = index.roles.get(at).filter(|role| !stack::is_service_linked(role)) else {
            return Node::default();
        };
        // What it may do now was not seen.
        if let Some(why) = index.role_unseen(role) {
            return Node { missing: Some(why), is_blind: true, ..Node::default() };
        }
        let (sessions, unseen) = permissions::sessions_of(index, role);
        let own: Vec<Arn> = customers_policies(role).cloned().collect();
        let mut node = Node { is_blind: unseen.is_some(), missing: unseen, ..Node::default() };
        let all = permissions::steps_of_sessions();
        for session in sessions {
            if all.is_exceeded() {
                node.missing = join(node.missing.take(), reasons([all.why().to_string()]).as_ref());
                node.is_blind = true;
                break;
            }
            let mut policies = stack::policy_set(index, role, session);
            if self.is_lenient && stack::is_unseen(policies.scp.as_deref()) {
                policies.scp = None;
            }
            if permissions::answers_of(index, &policies).admin == Ok(true) {
                return Node { admin: true, ..Node::default() };
            }
            let holder = Holder { role: &role.arn, policies: &own, boundary: role.boundary.as_ref() };
            let taken = self.under(at, &policies, holder, &mut node);
            let _ = all.take(usize::try_from(taken).unwrap_or(usize::MAX));
        }
        node
    }

    /// Adds the paths that a role has under one set of policies; the steps that it took.
    pub(super) fn under(&mut self, at: usize, policies: &PolicySet, holder: Holder<'_>, node: &mut Node) -> u64 {
        let index = self.index;
        let Some(role) = index.roles.get(at) else { return 0 };
        let steps = Steps::new("the policies of the role");
        let found = escalation::find_within(policies, holder, &steps);
        let (certain, open): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.truth.is_true());
        node.open.extend(open.iter().map(|found| found.path.id));
        node.is_blind |= policies.unseen_identity().next().is_some();
        let why = open
            .iter()
            .flat_map(|found| Reason::of_truth(&found.truth))
            .chain(policies.unseen_identity().map(Reason::from));
        node.missing = join(node.missing.take(), reasons(why).as_ref());
        let deciding = RefCell::default();
        let holding = Holding { role, stack: policies, context: holder.context(), deciding };
        self.follow(at, &holding, certain, node);
        steps.taken()
    }

    /// Takes the paths that a stack has by its policies to the roles that they lead to.
    fn follow(&mut self, at: usize, holding: &Holding<'_>, found: Vec<Found>, node: &mut Node) {
        let assumes = found.iter().any(|found| found.path.actions().any(|action| action == ASSUME));
        let assumed = self.assumed(at, holding, assumes, node);
        let mut passed: HashMap<&'static str, Targets> = HashMap::new();
        let account = holding.role.arn.account_id();
        for found in found {
            let makes = writes_permissions(found.path);
            match found.path.outcome {
                EscalationOutcome::Own => {
                    let makes_admin = makes && self.is_free(holding.role, Some(holding.stack));
                    add(node, FoundPath { path: found.path, by: found.by, targets: Vec::new(), makes_admin });
                }
                EscalationOutcome::Role if found.path.is_of_identity_center() => match self.identity_center(account) {
                    Ok(true) => {
                        add(
                            node,
                            FoundPath { path: found.path, by: found.by, targets: Vec::new(), makes_admin: makes },
                        );
                    }
                    Ok(false) => {}
                    Err(why) => {
                        node.open.insert(found.path.id);
                        node.missing = join(node.missing.take(), Some(&why));
                    }
                },
                EscalationOutcome::Role => {
                    let each = found.path.steps.iter().map(|step| match step.action {
                        ASSUME => None,
                        action => Some(self.targets.changed(holding, action)),
                    });
                    let each: Vec<Option<Targets>> = each.collect();
                    let sets: Vec<&Targets> = each.iter().map(|set| set.as_ref().unwrap_or(&assumed)).collect();
                    if found.path.id == "update-trust" {
                        let over = sets.iter().flat_map(|set| &set.over);
                        let steps = over.filter(|over| !self.targets.is_empty(over.group));
                        let steps = steps.map(|over| Step { to: Place::Group(over.group), by: By::Retrusting });
                        node.steps.extend(steps);
                    }
                    self.lead(at, holding, &found, &sets, makes, node);
                }
                EscalationOutcome::PassedRole(service) => {
                    let targets = passed.remove(service).unwrap_or_else(|| {
                        let targets = self.targets.passed(holding, service);
                        let steps = targets.over.iter().filter(|over| !self.targets.is_empty(over.group));
                        let by = By::Passing(service);
                        node.steps.extend(steps.map(|over| Step { to: Place::Group(over.group), by }));
                        targets
                    });
                    self.lead(at, holding, &found, &[&targets], false, node);
                    passed.insert(service, targets);
                }
                EscalationOutcome::User | EscalationOutcome::Running | EscalationOutcome::Pods => {
                    add(node, FoundPath { path: found.path, by: found.by, targets: Vec::new(), makes_admin: makes });
                }
            }
        }
    }

    /// Keeps a path where some role is a target of all its steps; what keeps it from being certain, or
    /// from being none, goes to the reasons.
    fn lead(
        &mut self,
        at: usize,
        holding: &Holding<'_>,
        found: &Found,
        sets: &[&Targets],
        makes: bool,
        node: &mut Node,
    ) {
        let mut targets = Vec::new();
        let mut makes_admin = false;
        let least = sets.iter().min_by_key(|set| self.targets.len(set));
        let candidates: Vec<usize> = least.map_or_else(Vec::new, |set| self.targets.sure(set).collect());
        for target in candidates.into_iter().filter(|target| *target != at) {
            if !sets.iter().all(|set| self.targets.is_sure(set, target)) {
                continue;
            }
            let Some(role) = self.index.roles.get(target) else { continue };
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
            add(node, FoundPath { path: found.path, by, targets, makes_admin });
            return;
        }
        let mut open = sets.iter().flat_map(|set| TargetFinder::open(set)).filter(|target| *target != at);
        if open.any(|target| {
            sets.iter().all(|set| self.targets.is_sure(set, target) || TargetFinder::is_open(set, target))
        }) {
            node.open.insert(found.path.id);
            for why in sets.iter().flat_map(|set| set.over.iter().map(|over| &over.why).chain([&set.why])) {
                node.missing = join(node.missing.take(), why.as_ref());
            }
        }
        // A role that was not listed may be one.
        if let Some(unlisted) = &self.index.visibility(holding.role.arn.account_id()).roles {
            node.open.insert(found.path.id);
            node.missing = join(node.missing.take(), Some(unlisted));
        }
    }

    /// The statements that allow a path, on the first of its targets where its actions are on roles.
    fn evidence(&self, holding: &Holding<'_>, found: &Found, target: Option<&usize>) -> Vec<Site> {
        let Some(target) = target.and_then(|target| self.index.roles.get(*target)) else { return found.by.clone() };
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
        if self.index.accounts.get(&account).is_some_and(|account| account.is_management) {
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
            None => stack::ceilings(self.index, role),
        };
        whole.identity = Some(vec![self.everything.clone()]);
        let key = whole.own_digest();
        *self.free.entry(key).or_insert_with(|| !Grants::new(&whole).admin_equivalent().is_false())
    }

    /// The roles that the role becomes by assuming them.
    fn assumed(&mut self, at: usize, holding: &Holding<'_>, assumes: bool, node: &mut Node) -> Targets {
        let index = self.index;
        let mut targets = Targets::default();
        let account = holding.role.arn.account_id();
        if assumes {
            for group in self.targets.doors.open_to(account) {
                let over = self.targets.over(holding, ASSUME, None, group);
                // A role that lets in everyone is its own fault: getting in gains nothing that others lack.
                if !self.targets.is_empty(over.group) && !self.targets.doors.is_everyones(group) {
                    node.steps.push(Step { to: Place::Group(over.group), by: By::Assuming });
                }
                node.missing = join(node.missing.take(), over.why.as_ref());
                targets.over.push(over);
            }
            if let Some(group) = self.targets.doors.unsure() {
                let over = self.targets.over(holding, ASSUME, None, group);
                for role in self.targets.members(over.group).into_iter().chain(over.open.iter().copied()) {
                    targets.why = join(targets.why.take(), self.targets.doors.why(role));
                    targets.open.push(role);
                }
            }
            node.missing = join(node.missing.take(), targets.why.as_ref());
            let unlisted = self.targets.unlisted(holding);
            if unlisted.is_some() {
                node.open.insert(ASSUMING);
            }
            node.missing = join(node.missing.take(), unlisted.as_ref());
        }
        let mut candidates = self.targets.doors.naming(at).to_vec();
        if assumes {
            for group in self.targets.doors.vague(account) {
                let over = self.targets.over(holding, ASSUME, None, group);
                candidates.extend(self.targets.members(over.group).into_iter().chain(over.open.iter().copied()));
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let steps = Steps::for_others("the role and the roles that may let it in");
        let own = holding.stack.weight(ASSUME);
        let mut asked: HashMap<(Option<Digest>, AccountId), Option<Admitted>> = HashMap::new();
        for to in candidates.into_iter().filter(|to| *to != at) {
            let Some(target) = index.roles.get(to) else { continue };
            let key = (target.trust, target.arn.account_id());
            let weight = if asked.contains_key(&key) { 1 } else { Doors::weight(index, target) };
            if steps.take(weight).is_err() {
                let why = reasons([Reason::from(&steps.why())]);
                node.missing = join(node.missing.take(), why.as_ref());
                targets.why = join(targets.why.take(), why.as_ref());
                targets.open.push(to);
                continue;
            }
            let admitted = asked.entry(key).or_insert_with(|| Doors::admits(index, holding.role, target));
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
}

fn add(node: &mut Node, found: FoundPath) {
    if !node.paths.contains(&found) {
        node.paths.push(found);
    }
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
        graph_of(&AccessIndex::under_assumptions(&estate, &std::collections::BTreeSet::new()))
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
