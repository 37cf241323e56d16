//! Where a role's permissions lead: the ways it has to more, and the roles it reaches by them.
//!
//! Knows the estate's roles as a graph, worked out once when first asked for: a role may assume
//! another, or hand it to a service and act through it. The ways themselves are the policy
//! language's. A step that depends on something unseen is no step, and its reason is kept, so that
//! nothing passes by it. Refuses to follow roles of accounts that were not looked at, and to decide
//! how bad it is.

use super::view::{Def, Facts, evidence, text};
use super::world::{World, join, reasons};
use super::{permissions, trust};
use crate::estate::Role;
use crate::rules::{Reasons, Type, Value};
use rolecall_iam::access::Stack;
use rolecall_iam::escalation::{self, Found, Gain, Holder, Way};
use rolecall_iam::trust::Who;
use rolecall_iam::{AccountId, Arn, Context, Requester, RoleArn, Site, Truth};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::OnceLock;

const ASSUME: &str = "sts:AssumeRole";

/// How many roles that a way reaches are named.
const NAMED: usize = 10;

/// The graph, worked out when first asked for.
#[derive(Debug, Default)]
pub(super) struct Memo(OnceLock<Vec<Node>>);

/// A role in the graph.
#[derive(Debug, Default)]
struct Node {
    /// Whether it is as good as an administrator by what it holds.
    admin: bool,
    /// The ways that it has for certain.
    ways: Vec<Found>,
    /// Why it may have others, or may reach others.
    missing: Option<Reasons>,
    steps: Vec<Step>,
    /// The next step of the shortest chain to a role that is, or makes itself, an administrator.
    toward: Option<usize>,
}

/// A step from one role to another.
#[derive(Debug)]
struct Step {
    to: usize,
    /// Its place among the node's ways; `None` where it is let in without a permission of its own.
    way: Option<usize>,
    by: Vec<Site>,
}

/// Whether whoever has the way can give itself everything that nothing limits from above.
fn makes_an_administrator(way: &Way) -> bool {
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
    let with_keys = way.steps.len() > 1
        && way.actions().any(|action| matches!(action, "iam:PutUserPolicy" | "iam:AttachUserPolicy"));
    matches!(way.gain, Gain::Own | Gain::Role) && way.actions().any(grants) || with_keys
}

impl Node {
    fn is_strong(&self) -> bool {
        self.admin || self.ways.iter().any(|found| makes_an_administrator(found.way))
    }
}

/// Who may assume which roles, by who is named.
#[derive(Debug, Default)]
struct Doors {
    by_role: HashMap<RoleArn, Vec<usize>>,
    by_account: HashMap<AccountId, Vec<usize>>,
    anyone: Vec<usize>,
    by_service: HashMap<(AccountId, String), Vec<usize>>,
    /// Roles whose trust policy was not seen or read.
    closed: Vec<(usize, String)>,
}

impl Doors {
    fn of(world: &World) -> Self {
        let mut doors = Self::default();
        for (index, role) in world.roles.iter().enumerate() {
            let answers = match trust::answers(world, role) {
                Ok(answers) => answers,
                Err(why) => {
                    doors.closed.push((index, why));
                    continue;
                }
            };
            let admissions = match answers.trust.admissions() {
                Ok(admissions) => admissions,
                Err(error) => {
                    doors.closed.push((index, format!("the trust policy of {} cannot be read: {error}", role.arn)));
                    continue;
                }
            };
            let assuming = admissions.into_iter().filter(|a| a.actions.contains(ASSUME) && !a.possible.is_false());
            for admission in assuming {
                let list = match admission.who {
                    Who::Role(arn) => match arn.as_str().parse::<RoleArn>() {
                        Ok(arn) => doors.by_role.entry(arn).or_default(),
                        Err(_) => continue,
                    },
                    Who::Account(account) => doors.by_account.entry(account).or_default(),
                    Who::Service(name) => {
                        doors.by_service.entry((role.arn.account_id(), name.to_ascii_lowercase())).or_default()
                    }
                    Who::Anyone | Who::AllBut(_) => &mut doors.anyone,
                    _ => continue,
                };
                if list.last() != Some(&index) {
                    list.push(index);
                }
            }
        }
        doors
    }

    /// Roles whose trust policy names the role, its account, or everyone.
    fn open_to(&self, role: &RoleArn) -> impl Iterator<Item = usize> {
        let named = self.by_role.get(role).into_iter().flatten();
        let account = self.by_account.get(&role.account_id()).into_iter().flatten();
        named.chain(account).chain(&self.anyone).copied()
    }
}

fn graph(world: &World) -> &[Node] {
    world.escalations.0.get_or_init(|| {
        let doors = Doors::of(world);
        let mut nodes: Vec<Node> = world.roles.iter().map(|role| node(world, &doors, role)).collect();
        lead(&mut nodes);
        nodes
    })
}

fn node(world: &World, doors: &Doors, role: &Role) -> Node {
    // Nobody but its service acts as a service-linked role.
    if permissions::is_service_linked(role) {
        return Node::default();
    }
    let (sessions, unseen) = permissions::sessions_of(world, role);
    let own: Vec<Arn> = role.attached.iter().map(|p| p.arn.clone()).filter(|arn| arn.account() != "aws").collect();
    let mut node = Node { missing: unseen, ..Node::default() };
    for session in sessions {
        if permissions::answers(world, role, session).admin().as_bool() == Some(true) {
            return Node { admin: true, ..Node::default() };
        }
        let stack = permissions::stack(world, role, session);
        let found = escalation::find(&stack, Holder { role: &role.arn, policies: &own });
        let (ways, open): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.truth.is_true());
        let why = open.iter().flat_map(|found| found.truth.reasons()).chain(stack.unseen_identity());
        node.missing = join(node.missing.take(), reasons(why).as_ref());
        node.ways.extend(ways.into_iter().filter(|found| !node.ways.contains(found)).collect::<Vec<_>>());
        assuming(world, doors, role, &stack, &mut node);
        passing(world, doors, role, &stack, &mut node);
    }
    node
}

/// Roles that the role may assume.
fn assuming(world: &World, doors: &Doors, role: &Role, stack: &Stack, node: &mut Node) {
    let caller = Requester::role(&role.arn).with_unique_id(&role.role_id);
    let way = node.ways.iter().position(|found| found.way.id == "assume-role");
    for to in doors.open_to(&role.arn) {
        let Some(target) = world.roles.get(to).filter(|target| target.arn != role.arn) else { continue };
        let Ok(answers) = trust::answers(world, target) else { continue };
        let own = stack.possible(ASSUME, target.arn.as_str(), &Context::open());
        let context = caller.context();
        let admits = answers.trust.admits_in(&caller, ASSUME, &context);
        let delegated = target.arn.account_id() != role.arn.account_id()
            || answers.trust.decide(&caller, ASSUME, &context).via_account;
        let truth = if delegated { admits.truth.and(own.truth) } else { admits.truth };
        match truth {
            Truth::True => {
                let by = admits.by.into_iter().chain(own.by).collect();
                node.steps.push(Step { to, way, by });
            }
            Truth::False => {}
            unknown @ Truth::Unknown(_) => {
                node.missing = join(node.missing.take(), reasons(unknown.reasons()).as_ref());
            }
        }
    }
    unlisted(world, role, stack, node);
    for (closed, why) in &doors.closed {
        let allowed = |target: &Role| {
            way.is_some() && !stack.possible(ASSUME, target.arn.as_str(), &Context::open()).truth.is_false()
        };
        if world.roles.get(*closed).is_some_and(allowed) {
            node.missing = join(node.missing.take(), Some(&Reasons::one(why.clone())));
        }
    }
}

/// Accounts of the estate whose roles were not listed whole: one of theirs may let the role in.
fn unlisted(world: &World, role: &Role, stack: &Stack, node: &mut Node) {
    let unseen = world.accounts.keys().filter(|account| **account != role.arn.account_id());
    let unseen = unseen.filter_map(|account| Some((account, world.sight(*account).roles.as_ref()?)));
    for (account, why) in unseen {
        let there =
            stack.witnesses(ASSUME).into_iter().map(|resource| match resource.splitn(6, ':').collect::<Vec<_>>()[..] {
                [arn, partition, service, region, _, name] => {
                    format!("{arn}:{partition}:{service}:{region}:{account}:{name}")
                }
                _ => format!("arn:aws:iam::{account}:role/anything"),
            });
        let mut there = there.collect::<Vec<_>>().into_iter();
        if there.any(|resource| !stack.possible(ASSUME, &resource, &Context::open()).truth.is_false()) {
            node.missing = join(node.missing.take(), Some(why));
        }
    }
}

/// Roles that the role may hand to a service, where it can also act through that service.
fn passing(world: &World, doors: &Doors, role: &Role, stack: &Stack, node: &mut Node) {
    let mut steps = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for (index, found) in node.ways.iter().enumerate() {
        let Gain::PassedRole(service) = found.way.gain else { continue };
        // Another way through the same service leads to the same roles.
        if done.contains(&service) {
            continue;
        }
        done.push(service);
        let context = Context::open().set("iam:PassedToService", [service]);
        for to in doors.by_service.get(&(role.arn.account_id(), service.to_owned())).into_iter().flatten() {
            let Some(target) = world.roles.get(*to).filter(|target| target.arn != role.arn) else { continue };
            let pass = stack.possible("iam:PassRole", target.arn.as_str(), &context);
            if pass.truth.is_true() {
                steps.push(Step { to: *to, way: Some(index), by: found.by.iter().cloned().chain(pass.by).collect() });
            }
        }
    }
    node.steps.extend(steps);
}

/// Marks, from the strong roles backwards, by which step every role comes nearer to one.
fn lead(nodes: &mut [Node]) {
    let mut into: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (from, node) in nodes.iter().enumerate() {
        for (step, edge) in node.steps.iter().enumerate() {
            into.entry(edge.to).or_default().push((from, step));
        }
    }
    let mut queue: VecDeque<usize> = (0..nodes.len()).filter(|n| nodes.get(*n).is_some_and(Node::is_strong)).collect();
    while let Some(strong) = queue.pop_front() {
        for (from, step) in into.get(&strong).into_iter().flatten() {
            if let Some(node) = nodes.get_mut(*from).filter(|node| !node.is_strong() && node.toward.is_none()) {
                node.toward = Some(*step);
                queue.push_back(*from);
            }
        }
    }
}

/// One way from a role to more.
#[derive(Debug)]
pub(super) struct EscalationFacts {
    /// The way; `None` where another role lets it in.
    way: Option<&'static Way>,
    to_admin: bool,
    /// The roles on the way, in order.
    through: Vec<String>,
    /// The roles that it may end at, where it ends at roles of the estate.
    targets: Vec<String>,
    evidence: Vec<Value>,
}

/// The ways of a role to more, and why there may be others.
pub(super) fn of_role(world: &World, index: usize) -> Value {
    let nodes = graph(world);
    let Some(node) = nodes.get(index) else { return Value::unknown("the role is not in the estate") };
    let arn = |index: usize| world.roles.get(index).map(|role| role.arn.to_string()).unwrap_or_default();
    let mut items: Vec<EscalationFacts> = Vec::new();
    items.extend(chain(nodes, index, &arn));
    for (n, found) in node.ways.iter().enumerate() {
        let targets: Vec<String> =
            node.steps.iter().filter(|step| step.way == Some(n)).take(NAMED).map(|step| arn(step.to)).collect();
        // A role that lets nobody of this account in is not gained by a permission to assume it.
        if found.way.id == "assume-role" && targets.is_empty() {
            continue;
        }
        items.push(EscalationFacts {
            way: Some(found.way),
            to_admin: makes_an_administrator(found.way),
            through: Vec::new(),
            targets,
            evidence: found.by.iter().map(|site| Value::object(evidence("allows a part of it", site))).collect(),
        });
    }
    Value::list_seen(items.into_iter().map(Facts::into_value), missing(nodes, index))
}

/// The shortest chain of roles to one that is, or makes itself, an administrator.
fn chain(nodes: &[Node], start: usize, arn: &impl Fn(usize) -> String) -> Option<EscalationFacts> {
    let first = nodes.get(start)?;
    let way = |node: &Node, step: &Step| step.way.and_then(|n| node.ways.get(n)).map(|found| found.way);
    let mut through = Vec::new();
    let mut sites: Vec<Site> = Vec::new();
    let mut at = first;
    while let Some(step) = at.toward.and_then(|step| at.steps.get(step)) {
        through.push(arn(step.to));
        sites.extend(step.by.iter().filter(|site| !sites.contains(site)).cloned().collect::<Vec<_>>());
        at = nodes.get(step.to)?;
        if through.len() > nodes.len() {
            return None;
        }
    }
    let step = first.toward.and_then(|step| first.steps.get(step))?;
    Some(EscalationFacts {
        way: way(first, step),
        to_admin: true,
        targets: through.last().cloned().into_iter().collect(),
        through,
        evidence: sites.iter().map(|site| Value::object(evidence("is a step of the chain", site))).collect(),
    })
}

/// Why a role may have ways that are not listed: its own policies, and those of roles that it reaches.
fn missing(nodes: &[Node], start: usize) -> Option<Reasons> {
    let mut seen = vec![false; nodes.len()];
    let mut open = vec![start];
    let mut why = None;
    while let Some(at) = open.pop() {
        let (Some(node), Some(seen)) = (nodes.get(at), seen.get_mut(at)) else { continue };
        if std::mem::replace(seen, true) {
            continue;
        }
        why = join(why, node.missing.as_ref());
        open.extend(node.steps.iter().map(|step| step.to));
    }
    why
}

impl Facts for EscalationFacts {
    const NAME: &'static str = "Escalation";
    const DOC: &'static str = "A way from a role's permissions to more, after every boundary, SCP and Deny.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "way",
            || Type::String,
            "A stable name of the way, such as `lambda-create-invoke`.",
            |e| text(e.way.map_or("trusted-by-role", |way| way.id)),
        ),
        Def::<Self>::new(
            "actions",
            || Type::String,
            "The actions that it takes, in one line.",
            |e| text(&e.way.map_or_else(|| ASSUME.to_owned(), ToString::to_string)),
        ),
        Def::<Self>::new(
            "gain",
            || Type::String,
            "What it gains: `own_permissions`, `another_role`, `a_user`, `a_passed_role`, `a_running_role` or `pods`.",
            |e| text(e.way.map_or("another_role", |way| way.gain.as_str())),
        )
        .or(|| text("another_role")),
        Def::<Self>::new(
            "to_administrator",
            || Type::Bool,
            "Whether it ends at an administrator, or at permissions that the role writes itself.",
            |e| e.to_admin.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "through",
            || Type::list(Type::String),
            "The roles of the chain, in order; empty where it takes no other role.",
            |e| Value::texts(&e.through),
        ),
        Def::<Self>::new(
            "targets",
            || Type::list(Type::String),
            "Roles of the estate that it ends at, at most ten.",
            |e| Value::texts(&e.targets),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that allow it.",
            |e| Value::list(e.evidence.iter().cloned()),
        ),
    ];
}
