//! Where a role's permissions lead: its privilege-escalation paths, and the roles it reaches by them.
//!
//! Knows how to tell what the graph of the estate's roles holds: each path of a role, and the shortest
//! chain from it to an administrator, with the statements that make each step. The graph is worked out
//! once when first asked for. Refuses to decide how bad it is.

use super::CachedIndex;
use super::graph::{ASSUME, By, Graph, Node, Step};
use super::permissions;
use super::trust;
use super::view::{Def, Facts, evidence, text};
use rolecall_iam::escalation::{EscalationOutcome, EscalationPath};
use rolecall_iam::{Context, Requester, Site, Sites};
use rolecall_rules::{Type, Value};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// The graph, worked out when first asked for.
#[derive(Debug, Default)]
pub(super) struct Memo(OnceLock<Graph>);

fn graph(world: &CachedIndex) -> &Graph {
    world.escalations.0.get_or_init(|| Graph::new(world))
}

/// The roles that these roles become by assuming one after the other, for certain; themselves included.
pub(super) fn assumed_from(world: &CachedIndex, start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    graph(world).assumed_from(start)
}

/// One privilege-escalation path of a role.
#[derive(Debug)]
pub(super) struct EscalationFacts {
    /// The path; `None` where another role lets it in.
    path: Option<&'static EscalationPath>,
    to_admin: bool,
    /// The roles of the path, in order.
    through: Vec<String>,
    /// The roles that it may end at, where it ends at roles of the estate.
    targets: Vec<String>,
    evidence: Vec<Value>,
}

/// The privilege-escalation paths of a role, and why there may be others.
pub(super) fn of_role(world: &CachedIndex, index: usize) -> Value {
    let graph = graph(world);
    let Some(node) = graph.nodes.get(index) else { return Value::unknown("the role is not in the estate") };
    let mut items: Vec<EscalationFacts> = Vec::new();
    items.extend(chain(world, graph, index));
    items.extend(node.paths.iter().map(|led| EscalationFacts {
        path: Some(led.path),
        to_admin: led.makes_admin,
        through: Vec::new(),
        targets: led.targets.iter().map(|target| arn(world, *target)).collect(),
        evidence: led.by.iter().map(|site| Value::object(evidence("allows a part of it", site))).collect(),
    }));
    Value::list_seen(items.into_iter().map(Facts::into_value), graph.missing(index))
}

fn arn(world: &CachedIndex, index: usize) -> String {
    world.roles.get(index).map(|role| role.arn.to_string()).unwrap_or_default()
}

/// The path that a step is taken by; `None` where the trust policy alone lets it in.
fn path(node: &Node, step: Step) -> Option<&'static EscalationPath> {
    let mut paths = node.paths.iter().map(|led| led.path);
    match step.by {
        By::Assuming => paths.find(|path| path.id == "assume-role"),
        By::Trust => None,
        By::Retrusting => paths.find(|path| path.id == "update-trust"),
        By::Passing(service) => paths.find(|path| path.outcome == EscalationOutcome::PassedRole(service)),
    }
}

/// The shortest chain of roles to one that is, or makes itself, an administrator.
fn chain(world: &CachedIndex, graph: &Graph, start: usize) -> Option<EscalationFacts> {
    let first = graph.nodes.get(start)?.toward?;
    let mut through = Vec::new();
    let mut sites = Sites::default();
    let (mut at, mut toward) = (start, Some(first));
    while let Some(step) = toward {
        let next = graph.next(step)?;
        let node = graph.nodes.get(at)?;
        sites.add(allowing(world, node, at, next, step));
        through.push(arn(world, next));
        toward = graph.nodes.get(next)?.toward;
        at = next;
        if through.len() > graph.nodes.len() {
            return None;
        }
    }
    Some(EscalationFacts {
        path: path(graph.nodes.get(start)?, first),
        to_admin: true,
        targets: through.last().cloned().into_iter().collect(),
        through,
        evidence: sites.list.iter().map(|site| Value::object(evidence("is a step of the chain", site))).collect(),
    })
}

/// The statements that allow a step from one role to another.
fn allowing(world: &CachedIndex, node: &Node, from: usize, to: usize, step: Step) -> Vec<Site> {
    let (Some(role), Some(target)) = (world.roles.get(from), world.roles.get(to)) else { return Vec::new() };
    let caller = Requester::role(&role.arn).with_unique_id(&role.role_id);
    let context = caller.context();
    let (sessions, _) = permissions::sessions_of(world, role);
    let own = |action: &str, context: &Context| {
        let stacks = sessions.iter().map(|session| permissions::stack(world, role, *session));
        let mut answers = stacks.map(|stack| stack.possible(action, target.arn.as_str(), context));
        answers.find(|answer| answer.truth.is_true()).map(|answer| answer.by).unwrap_or_default()
    };
    let admitting = || {
        let answers = trust::answers(world, target).ok();
        answers.map(|answers| answers.trust.admits_in(&caller, ASSUME, &context).by).unwrap_or_default()
    };
    match step.by {
        By::Assuming => admitting().into_iter().chain(own(ASSUME, &context)).collect(),
        By::Trust => admitting(),
        By::Retrusting => own("iam:UpdateAssumeRolePolicy", &context),
        By::Passing(service) => {
            let led = node.paths.iter().find(|led| led.path.outcome == EscalationOutcome::PassedRole(service));
            let pass = own("iam:PassRole", &context.set("iam:PassedToService", [service]));
            led.into_iter().flat_map(|led| led.by.iter().cloned()).chain(pass).collect()
        }
    }
}

impl Facts for EscalationFacts {
    const NAME: &'static str = "Escalation";
    const DOC: &'static str = "A privilege-escalation path of a role, after every boundary, SCP and Deny.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "path",
            || Type::String,
            "A stable name of the path, such as `lambda-create-invoke`.",
            |e| text(e.path.map_or("trusted-by-role", |path| path.id)),
        ),
        Def::<Self>::new(
            "actions",
            || Type::String,
            "The actions that it takes, in one line.",
            |e| text(&e.path.map_or_else(|| ASSUME.to_owned(), ToString::to_string)),
        ),
        Def::<Self>::new(
            "outcome",
            || Type::String,
            "What it leads to: `own_permissions`, `another_role`, `a_user`, `a_passed_role`, `a_running_role` or `pods`.",
            |e| text(e.path.map_or("another_role", |path| path.outcome.as_str())),
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
