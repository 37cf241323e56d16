//! What a role's policies let it do: identity policies under a boundary, a session policy and SCPs.
//!
//! Two ways of asking. [`Stack::decide`] decides one request. [`Access`] answers for all requests at
//! once, by sets over the catalogue's actions: a grant counts unless a ceiling or an unconditional
//! Deny takes it away; a condition marks it, and does not hide it. Refuses to know resource policies
//! and which of the answers is bad.

use crate::catalogue::{AccessLevel, catalogue};
use crate::condition::{Condition, Context};
use crate::decide::{Ask, Evaluation, Levels, Sites, View};
use crate::document::{Clause, Effect, Statement};
pub use crate::layer::Layer;
use crate::pattern::{ActionPattern, ResourcePattern};
use crate::request::{Request, Requester};
use crate::truth::{Answer, Decision, Site, Truth, Why};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// A set of the catalogue's actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionSet {
    /// Blocks of 64 numbers that are not empty, by block.
    blocks: Vec<(usize, u64)>,
}

static ALL: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::of_range(0..catalogue().actions().len()));

/// Actions that change something and can be limited to resources.
static CHANGES: LazyLock<ActionSet> = LazyLock::new(|| {
    let each = catalogue().actions().iter().enumerate();
    ActionSet::of_sorted(each.filter(|(_, a)| a.level.changes() && a.on_resources).map(|(number, _)| number))
});

static IAM: LazyLock<ActionSet> =
    LazyLock::new(|| catalogue().service("iam").map(ActionSet::of_range).unwrap_or_default());

/// With any one of these on every resource, a role can give itself all the rest.
static SELF_GRANTS: LazyLock<ActionSet> = LazyLock::new(|| {
    let names = [
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:AttachGroupPolicy",
        "iam:CreatePolicyVersion",
        "iam:PutRolePolicy",
        "iam:PutUserPolicy",
        "iam:PutGroupPolicy",
        "iam:UpdateAssumeRolePolicy",
    ];
    let mut numbers: Vec<usize> = names.iter().filter_map(|name| catalogue().number(name)).collect();
    numbers.sort_unstable();
    ActionSet::of_sorted(numbers.into_iter())
});

impl ActionSet {
    /// Every action of the catalogue.
    #[must_use]
    pub fn all() -> &'static Self {
        &ALL
    }

    fn of_range(range: Range<usize>) -> Self {
        Self::of_sorted(range)
    }

    fn of_sorted(numbers: impl Iterator<Item = usize>) -> Self {
        let mut blocks: Vec<(usize, u64)> = Vec::new();
        for number in numbers {
            let bit = 1_u64 << (number % 64);
            match blocks.last_mut() {
                Some((block, bits)) if *block == number / 64 => *bits |= bit,
                _ => blocks.push((number / 64, bit)),
            }
        }
        Self { blocks }
    }

    fn combine(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let (mut a, mut b) = (self.blocks.iter().peekable(), other.blocks.iter().peekable());
        let mut blocks = Vec::with_capacity(self.blocks.len().max(other.blocks.len()));
        loop {
            let (block, bits) = match (a.peek(), b.peek()) {
                (None, None) => return Self { blocks },
                (Some(&&(x, p)), Some(&&(y, q))) if x == y => {
                    a.next();
                    b.next();
                    (x, of(p, q))
                }
                (Some(&&(x, p)), None) => {
                    a.next();
                    (x, of(p, 0))
                }
                (Some(&&(x, p)), Some(&&(y, _))) if x < y => {
                    a.next();
                    (x, of(p, 0))
                }
                (_, Some(&&(y, q))) => {
                    b.next();
                    (y, of(0, q))
                }
            };
            if bits != 0 {
                blocks.push((block, bits));
            }
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// What is in this one only.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// Whether everything in the other is in this one.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.minus(self).is_empty()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many actions are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|(_, bits)| usize::try_from(bits.count_ones()).unwrap_or_default()).sum()
    }

    /// Whether the action, in any letter case, is in it.
    #[must_use]
    pub fn contains(&self, action: &str) -> bool {
        let Some(number) = catalogue().number(action) else { return false };
        let block = self.blocks.binary_search_by_key(&(number / 64), |(block, _)| *block);
        block.ok().and_then(|at| self.blocks.get(at)).is_some_and(|(_, bits)| bits >> (number % 64) & 1 == 1)
    }

    /// Its actions, in the catalogue's order (by service).
    pub fn iter(&self) -> impl Iterator<Item = &'static crate::catalogue::Action> {
        let numbers = self.blocks.iter().flat_map(|(block, bits)| {
            (0..64_usize).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| block * 64 + bit)
        });
        numbers.filter_map(|number| catalogue().actions().get(number))
    }

    /// The names of its actions.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(|action| action.name).collect()
    }

    /// Its actions of this access level.
    #[must_use]
    pub fn of_level(&self, level: AccessLevel) -> Vec<&'static str> {
        self.iter().filter(|action| action.level == level).map(|action| action.name).collect()
    }

    fn named_by(pattern: &ActionPattern) -> Self {
        let Some(service) = pattern.service() else { return ALL.clone() };
        let Some(range) = catalogue().service(service) else { return Self::default() };
        if pattern.is_whole_service() {
            return Self::of_range(range);
        }
        if !pattern.has_wildcard() {
            return Self::of_sorted(catalogue().number(pattern.as_str()).into_iter());
        }
        let actions = catalogue().actions().get(range.clone()).unwrap_or_default();
        let named = actions.iter().zip(range).filter(|(action, _)| pattern.matches_name(action.short_name()));
        Self::of_sorted(named.map(|(_, number)| number))
    }
}

impl Statement {
    /// The catalogue's actions that the statement names, worked out once.
    pub fn actions_named(&self) -> &ActionSet {
        self.named.get_or_init(|| {
            let elements = self.actions.elements().iter().map(ActionSet::named_by);
            let union = elements.fold(ActionSet::default(), |all, one| all.union(&one));
            if self.actions.is_not() { ALL.minus(&union) } else { union }
        })
    }

    /// The actions that it names on every resource they can act on.
    ///
    /// A Deny or a ceiling must name them in every account (`strict`); for a grant, every resource
    /// of one account is every resource.
    fn actions_on_everything(&self, strict: bool) -> ActionSet {
        let reach = match &self.resources {
            None => return self.actions_named().clone(),
            Some(Clause::NotIn(but)) if strict && !but.is_empty() => return ActionSet::default(),
            Some(Clause::NotIn(_)) => return self.actions_named().clone(),
            Some(Clause::In(list)) => list,
        };
        if reach.iter().any(ResourcePattern::is_everything) {
            return self.actions_named().clone();
        }
        let mut wide = ActionSet::default();
        for service in reach.iter().filter_map(|pattern| every_resource_of(pattern, strict)) {
            let actions = catalogue().service(service).map(ActionSet::of_range).unwrap_or_default();
            wide = wide.union(&actions);
        }
        wide.intersection(self.actions_named())
    }

    fn is_conditional(&self) -> bool {
        !self.conditions.iter().all(Condition::is_always_true)
    }
}

/// The service of which the pattern names every resource: `arn:aws:s3:::*`, `arn:aws:sqs:*`.
fn every_resource_of(pattern: &ResourcePattern, strict: bool) -> Option<&str> {
    if pattern.has_variable() {
        return None;
    }
    let open = |s: &&str| s.is_empty() || s.bytes().all(|b| b == b'*');
    let account = |s: &&str| open(s) || (!strict && s.bytes().all(|b| b.is_ascii_digit()));
    match pattern.as_str().splitn(6, ':').collect::<Vec<_>>().as_slice() {
        ["arn", _, service, region, owner, "*"] if open(region) && account(owner) => Some(service),
        ["arn", _, service, rest @ .., "*"] if rest.iter().all(open) => Some(service),
        _ => None,
    }
}

/// The policies that bind a role's session.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// Inline and attached policies: what any of them allows is allowed.
    pub identity: Vec<Layer>,
    /// The permissions boundary.
    pub boundary: Option<Layer>,
    /// The session policy.
    pub session: Option<Layer>,
    /// The SCPs of each level from the root down; empty where SCPs are not asked about.
    pub scps: Vec<Vec<Layer>>,
}

impl Stack {
    /// The layers that only limit, each with the policies that count together.
    pub(crate) fn ceilings(&self) -> impl Iterator<Item = &[Layer]> {
        let single = self.boundary.iter().chain(&self.session).map(std::slice::from_ref);
        single.chain(self.scps.iter().map(Vec::as_slice))
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.identity.iter().chain(self.ceilings().flatten())
    }

    /// Decides one request of the role's session, resource policies aside. `resource` is an ARN, or
    /// `*` for actions that act on no resource.
    #[must_use]
    pub fn decide(&self, action: &str, resource: &str, context: &Context) -> Decision {
        self.ask(action, resource, context, None, Ask::Whether)
    }

    /// Whether the request is allowed for some value of the keys that the context leaves open.
    #[must_use]
    pub fn possible(&self, action: &str, resource: &str, context: &Context) -> Answer {
        let decision = self.ask(action, resource, context, None, Ask::Possibly);
        Answer { truth: decision.allowed, by: decision.by }
    }

    fn ask(
        &self,
        action: &str,
        resource: &str,
        context: &Context,
        only: Option<&Arc<Statement>>,
        ask: Ask,
    ) -> Decision {
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let view = View {
            identity: Some(&self.identity),
            boundary: self.boundary.as_slice(),
            session: self.session.as_slice(),
            scp: Levels::Bare(&self.scps),
            own_side: true,
            ..View::NOTHING
        };
        let evaluation = Evaluation { ask, only, ..Evaluation::new(&request, view) };
        let mut sites = Sites::default();
        let gathered = evaluation.gather(&mut sites);
        let allowed = evaluation.allowed(&gathered).and(!gathered.denied.clone());
        let explicit_deny = gathered.denied.is_true();
        let by = sites.deciding(explicit_deny, allowed.is_true());
        Decision { allowed, explicit_deny, via_account: false, by }
    }
}

/// A statement that grants what was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The statement.
    pub site: Site,
    /// Whether a condition that can fail stands before it.
    pub conditional: bool,
    /// The patterns concerned, as written.
    pub patterns: Vec<String>,
    /// The catalogue's actions concerned, after every ceiling and Deny.
    pub actions: ActionSet,
}

/// The grants that answer a question, and whether the answer is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// True: there are such grants. Unknown: a policy that was not seen or read may add or deny.
    pub truth: Truth,
    /// The grants that were seen, even where the answer is unknown.
    pub grants: Vec<Grant>,
}

/// What makes a role as good as an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminBy {
    /// Every action on every resource.
    Everything,
    /// All of IAM on every resource: it can give itself the rest.
    Iam,
}

/// Whether the role is as good as an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Whether, and the statements that make it so together.
    pub answer: Answer,
    /// How; `None` where it is not.
    pub by: Option<AdminBy>,
    /// Whether it takes a statement with a condition.
    pub conditional: bool,
}

/// A statement that lets the role pass every role to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassRole {
    /// The grant of `iam:PassRole`.
    pub grant: Grant,
    /// True: some service may be refused. False: any service may be passed a role.
    pub service_limited: Truth,
    /// The values of `iam:PassedToService` in the statement's own conditions.
    pub passed_to: Vec<String>,
}

/// The grants of `iam:PassRole` on every role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassRoles {
    /// As in [`Grants`].
    pub truth: Truth,
    /// The grants that were seen.
    pub grants: Vec<PassRole>,
}

/// What the policies that count together as one ceiling let through.
#[derive(Debug)]
struct Ceiling<'a> {
    layers: &'a [Layer],
    /// On some resource.
    some: ActionSet,
    /// On every resource.
    every: ActionSet,
}

/// What a stack allows, over all requests. Made once for a stack; every question is cheap.
#[derive(Debug)]
pub struct Access<'a> {
    stack: &'a Stack,
    ceilings: Vec<Ceiling<'a>>,
    /// What the ceilings all let through, on some resource and on every one.
    some: Option<ActionSet>,
    every: Option<ActionSet>,
    /// What a Deny refuses on every resource without a condition.
    denied: ActionSet,
    /// Why identity policies may allow or deny more than was seen.
    unseen_grants: Vec<Why>,
    /// Why something may be denied that was not seen.
    unseen_limits: Vec<Why>,
}

impl<'a> Access<'a> {
    /// Works out the sets.
    #[must_use]
    pub fn of(stack: &'a Stack) -> Self {
        let ceilings: Vec<Ceiling<'a>> = stack
            .ceilings()
            .map(|layers| {
                let allows = || layers.iter().flat_map(|layer| layer.statements(Effect::Allow));
                let none = ActionSet::default;
                // A ceiling that is not there to be seen lets everything through, for now: the
                // answer is then unknown anyway.
                let unseen = layers.iter().any(|layer| layer.policy.is_err());
                let start = if unseen { ALL.clone() } else { none() };
                Ceiling {
                    layers,
                    some: allows().fold(start.clone(), |set, s| set.union(s.actions_named())),
                    every: allows().fold(start, |set, s| set.union(&s.actions_on_everything(false))),
                }
            })
            .collect();
        let some = ceilings.iter().map(|c| c.some.clone()).reduce(|a, b| a.intersection(&b));
        let every = ceilings.iter().map(|c| c.every.clone()).reduce(|a, b| a.intersection(&b));
        let denies = stack.layers().flat_map(|layer| layer.statements(Effect::Deny)).filter(|s| !s.is_conditional());
        let denied = denies.fold(ActionSet::default(), |set, s| set.union(&s.actions_on_everything(true)));
        let blind = |layers: &mut dyn Iterator<Item = &Layer>| {
            let mut why: Vec<Why> = layers.filter_map(|layer| layer.policy.as_ref().err().cloned()).collect();
            why.sort();
            why.dedup();
            why
        };
        let unseen_grants = blind(&mut stack.identity.iter());
        let unseen_limits = blind(&mut stack.layers());
        Self { stack, ceilings, some, every, denied, unseen_grants, unseen_limits }
    }

    /// Found and not found are certain only where nothing unseen can turn them.
    fn certain(&self, found: bool) -> Truth {
        let unseen = if found { &self.unseen_limits } else { &self.unseen_grants };
        if unseen.is_empty() { found.into() } else { Truth::Unknown(unseen.clone()) }
    }

    fn grants(&self, of: impl Fn(&Layer, &Arc<Statement>) -> Option<Grant>) -> Grants {
        let each =
            self.stack.identity.iter().flat_map(|layer| layer.statements(Effect::Allow).map(move |s| (layer, s)));
        let grants: Vec<Grant> = each.filter_map(|(layer, statement)| of(layer, statement)).collect();
        Grants { truth: self.certain(!grants.is_empty()), grants }
    }

    fn grant(layer: &Layer, statement: &Arc<Statement>, patterns: Vec<String>, actions: ActionSet) -> Option<Grant> {
        Some(Grant { site: layer.site(statement)?, conditional: statement.is_conditional(), patterns, actions })
    }

    /// What of a set of granted actions is left on some resource.
    fn left(&self, granted: &ActionSet) -> ActionSet {
        let granted = granted.minus(&self.denied);
        self.some.as_ref().map_or_else(|| granted.clone(), |some| granted.intersection(some))
    }

    /// What of a set of actions granted on every resource is left there.
    fn left_on_everything(&self, granted: &ActionSet) -> ActionSet {
        let granted = granted.minus(&self.denied);
        self.every.as_ref().map_or_else(|| granted.clone(), |every| granted.intersection(every))
    }

    /// Whether some service that is whole in the grant is still whole under the ceilings, and not
    /// denied as a whole.
    fn keeps_a_whole_service(&self, granted: &ActionSet) -> bool {
        catalogue().services().any(|(_, range)| {
            let service = ActionSet::of_range(range);
            !service.is_empty()
                && granted.includes(&service)
                && self.some.as_ref().is_none_or(|some| some.includes(&service))
                && !self.denied.includes(&service)
        })
    }

    /// Whether a pattern for a service that the catalogue does not have gets through as it is.
    fn keeps_unlisted(&self, pattern: &ActionPattern) -> bool {
        let names = |s: &Arc<Statement>| match &s.actions {
            Clause::In(list) => list.iter().any(|p| p.covers(pattern)),
            Clause::NotIn(list) => !list.iter().any(|p| p.service().is_none_or(|own| Some(own) == pattern.service())),
        };
        let let_through =
            |c: &Ceiling<'_>| c.layers.iter().any(|l| l.policy.is_err() || l.statements(Effect::Allow).any(names));
        let denied = self.stack.layers().flat_map(|layer| layer.statements(Effect::Deny)).any(|s| {
            let everything = s
                .resources
                .as_ref()
                .is_none_or(|r| !r.is_not() && r.elements().iter().any(ResourcePattern::is_everything));
            !s.is_conditional() && everything && names(s)
        });
        self.ceilings.iter().all(let_through) && !denied
    }

    /// Allow statements with `*` or `service:*` as an action, where the wildcard is still one after
    /// every ceiling and Deny.
    #[must_use]
    pub fn wildcard_actions(&self) -> Grants {
        self.grants(|layer, statement| {
            let Clause::In(list) = &statement.actions else { return None };
            let wild = list.iter().filter(|p| p.is_whole_service()).filter(|p| {
                let named = ActionSet::named_by(p);
                if named.is_empty() { self.keeps_unlisted(p) } else { self.keeps_a_whole_service(&named) }
            });
            let wild: Vec<&ActionPattern> = wild.collect();
            if wild.is_empty() {
                return None;
            }
            let actions = wild.iter().fold(ActionSet::default(), |all, p| all.union(&ActionSet::named_by(p)));
            Self::grant(layer, statement, wild.iter().map(ToString::to_string).collect(), self.left(&actions))
        })
    }

    /// Allow statements with `NotAction`, which grant whatever they do not name, of today and of
    /// later, where some service is still whole in them.
    #[must_use]
    pub fn allow_not_action(&self) -> Grants {
        self.grants(|layer, statement| {
            let named = statement.actions_named();
            if !statement.actions.is_not() || !self.keeps_a_whole_service(named) {
                return None;
            }
            let patterns = statement.actions.elements().iter().map(ToString::to_string).collect();
            Self::grant(layer, statement, patterns, self.left(named))
        })
    }

    /// Whether the role is as good as an administrator: everything, or all of IAM, on every
    /// resource, by one statement or several together.
    #[must_use]
    pub fn admin(&self) -> Admin {
        for conditional in [false, true] {
            let granted = self.grants(|layer, statement| {
                let actions = statement.actions_on_everything(false);
                let relevant = (conditional || !statement.is_conditional()) && !actions.is_empty();
                if relevant { Self::grant(layer, statement, Vec::new(), actions) } else { None }
            });
            let all = granted.grants.iter().fold(ActionSet::default(), |set, g| set.union(&g.actions));
            let under = self.every.as_ref().map_or_else(|| all.clone(), |every| all.intersection(every));
            if !under.includes(&IAM) || under.minus(&self.denied).intersection(&SELF_GRANTS).is_empty() {
                continue;
            }
            let everything = under.includes(&ALL);
            let whole: &ActionSet = if everything { &ALL } else { &IAM };
            let alone: Vec<&Grant> = granted.grants.iter().filter(|g| g.actions.includes(whole)).collect();
            let together = granted.grants.iter().filter(|g| !g.actions.intersection(whole).is_empty());
            let by = if alone.is_empty() { together.collect() } else { alone };
            let answer = Answer { truth: self.certain(true), by: by.into_iter().map(|g| g.site.clone()).collect() };
            let by = if everything { AdminBy::Everything } else { AdminBy::Iam };
            return Admin { answer, by: Some(by), conditional };
        }
        Admin { answer: Answer::bare(self.certain(false)), by: None, conditional: false }
    }

    /// Statements that allow writing, tagging or managing permissions on every resource, by actions
    /// that could be limited to resources.
    #[must_use]
    pub fn broad_writes(&self) -> Grants {
        self.grants(|layer, statement| {
            let granted = statement.actions_on_everything(false).intersection(&CHANGES);
            let actions = self.left_on_everything(&granted);
            if actions.is_empty() {
                return None;
            }
            let patterns = statement.actions.elements().iter().map(ToString::to_string).collect();
            Self::grant(layer, statement, patterns, actions)
        })
    }

    /// Statements that allow `iam:PassRole` for every role, and whether the service that the role
    /// is passed to is limited.
    #[must_use]
    pub fn pass_role(&self) -> PassRoles {
        let mut grants = Vec::new();
        for layer in &self.stack.identity {
            for statement in layer.statements(Effect::Allow).filter(|s| s.names_action("iam:PassRole")) {
                let Some(probe) = any_role(statement) else { continue };
                let ask = |context: Context| {
                    self.stack.ask("iam:PassRole", &probe, &context, Some(statement), Ask::Possibly).allowed
                };
                if ask(Context::open()).is_false() {
                    continue;
                }
                let elsewhere = ask(Context::open().set("iam:PassedToService", ["nowhere.amazonaws.com"]));
                let own = statement.conditions.iter().filter(|c| c.key.eq_ignore_ascii_case("iam:PassedToService"));
                let positive = own.filter(|c| !c.operator.is_negated());
                let actions = ActionSet::of_sorted(catalogue().number("iam:PassRole").into_iter());
                let patterns = statement.actions.elements().iter().filter(|p| p.matches("iam:PassRole"));
                let patterns = patterns.map(ToString::to_string).collect();
                if let Some(grant) = Self::grant(layer, statement, patterns, actions) {
                    let passed_to = positive.flat_map(|c| c.values.iter().cloned()).collect();
                    grants.push(PassRole { grant, service_limited: !elsewhere, passed_to });
                }
            }
        }
        PassRoles { truth: self.certain(!grants.is_empty()), grants }
    }

    /// The catalogue's actions that are allowed on some resource, by some value of the conditions.
    #[must_use]
    pub fn actions(&self) -> ActionSet {
        let allows = self.stack.identity.iter().flat_map(|layer| layer.statements(Effect::Allow));
        self.left(&allows.fold(ActionSet::default(), |set, s| set.union(s.actions_named())))
    }

    /// Whether an action is allowed on some resource, by some value of the conditions. Works for
    /// actions that the catalogue does not have, too.
    #[must_use]
    pub fn allows(&self, action: &str) -> Grants {
        let let_through = self.ceilings.iter().all(|c| {
            c.layers.iter().any(|l| l.policy.is_err() || l.statements(Effect::Allow).any(|s| s.names_action(action)))
        });
        let denied = self.stack.layers().flat_map(|layer| layer.statements(Effect::Deny)).any(|s| {
            let everything = match &s.resources {
                None => true,
                Some(Clause::NotIn(but)) => but.is_empty(),
                Some(Clause::In(list)) => {
                    let service = action.split(':').next();
                    list.iter()
                        .any(|p| p.is_everything() || (service.is_some() && every_resource_of(p, true) == service))
                }
            };
            everything && !s.is_conditional() && s.names_action(action)
        });
        self.grants(|layer, statement| {
            if !let_through || denied || !statement.names_action(action) {
                return None;
            }
            let actions = ActionSet::of_sorted(catalogue().number(action).into_iter());
            let patterns = statement.actions.elements().iter().map(ToString::to_string).collect();
            Self::grant(layer, statement, patterns, actions)
        })
    }

    /// Why parts of the stack were not seen or not read; empty where everything was.
    #[must_use]
    pub fn unseen(&self) -> &[Why] {
        &self.unseen_limits
    }
}

/// The ARN of a role that nobody has, where the statement names every role of some account.
fn any_role(statement: &Statement) -> Option<String> {
    let named = |partition: &str, account: &str| format!("arn:{partition}:iam::{account}:role/nowhere");
    let list = match &statement.resources {
        None | Some(Clause::NotIn(_)) => return Some(named("aws", "000000000000")),
        Some(Clause::In(list)) => list,
    };
    list.iter().find_map(|pattern| {
        if pattern.is_everything() {
            return Some(named("aws", "000000000000"));
        }
        let text = pattern.as_str();
        let fixed = |segment: Option<&str>, otherwise: &str| match segment {
            Some(s) if !s.is_empty() && !s.contains(['*', '?']) => s.to_owned(),
            _ => otherwise.to_owned(),
        };
        let probe = named(&fixed(text.split(':').nth(1), "aws"), &fixed(text.split(':').nth(4), "000000000000"));
        (pattern.is_every_of_type() && pattern.matches(&probe)).then_some(probe)
    })
}
