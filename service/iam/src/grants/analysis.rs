//! What a stack of policies allows, over all requests at once.
//!
//! Each Allow of the identity policies is taken through every ceiling and every Deny, as a set of the
//! catalogue's actions for each part of what it reaches. What comes out can happen: on some resource,
//! for some value of the condition keys. A second set holds what is certain: on every resource,
//! whatever the keys. Between the two lies what a condition, a resource or something unseen decides.
//!
//! An action is only left out where no request can be allowed: a Deny takes away what it covers
//! without a condition, or under conditions that the Allow asks for too; a ceiling what it has no
//! resource in common with. Where that cannot be told the action stays. Refuses to know resource
//! policies, the contradictions of different conditions, and which of the answers is bad.

use crate::arn::{ArnText, RoleArn};
use crate::catalogue::{AccessLevel, Action, catalogue};
use crate::condition::Condition;
use crate::context::Context;
use crate::evaluate::policy_set::PolicyRef;
use crate::evaluate::policy_set::PolicySet;
use crate::grants::grant::{Admin, AdminBy, Grant, GrantSets, Granted, PassRole, PassRoles};
use crate::grants::limits::{Deny, Limits, Passed, sets};
use crate::matching::action_set::ActionSet;
use crate::matching::arn_format::limitable;
use crate::matching::pattern::{ActionPattern, ResourcePattern};
use crate::policy::ast::{Clause, Effect, Statement};
use crate::policy::compiled::CompiledStatement;
use crate::policy::reach::{Reach, reaches};
use crate::policy::site::Answer;
use crate::steps::{Exceeded, POLICIES, Steps};
use crate::truth::{Truth, Why};
use crate::version::Version;
use std::collections::HashSet;
use std::sync::LazyLock;

/// So many actions are compared with a pattern one by one.
const FEW: usize = 32;

/// Actions that change something and can be limited to resources.
static CHANGES: LazyLock<ActionSet> = LazyLock::new(|| writes().intersection(limitable()));

static WRITES: LazyLock<ActionSet> = LazyLock::new(|| {
    let levels = AccessLevel::ALL.into_iter().filter(|level| level.changes());
    ActionSet::union_of(levels.map(ActionSet::level))
});

static IAM: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::service("iam"));

/// With any one of these on every resource, a role can give itself all the rest.
static SELF_GRANTS: LazyLock<ActionSet> = LazyLock::new(|| {
    ActionSet::from_names([
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:AttachGroupPolicy",
        "iam:CreatePolicyVersion",
        "iam:PutRolePolicy",
        "iam:PutUserPolicy",
        "iam:PutGroupPolicy",
        "iam:UpdateAssumeRolePolicy",
    ])
});

static PASS_ROLE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::from_names(["iam:PassRole"]));

/// The actions that change something: write, tagging, permissions management.
#[must_use]
pub fn writes() -> &'static ActionSet {
    &WRITES
}

/// One Allow of the identity policies, and what is left of it.
#[derive(Debug, Clone)]
struct Entry {
    layer: usize,
    statement: CompiledStatement,
    /// After the ceilings, on some resource.
    under: ActionSet,
    /// After the Denies too.
    left: ActionSet,
    /// On every resource, conditions aside.
    everywhere: ActionSet,
    /// Which of its patterns name nothing that the catalogue has, and get through as they are.
    passing: Box<[usize]>,
}

impl Entry {
    /// Its patterns that name nothing that the catalogue has, and get through as they are.
    fn passing(&self) -> impl Iterator<Item = &ActionPattern> {
        let elements = self.statement.actions.elements();
        self.passing.iter().filter_map(|place| elements.get(*place))
    }

    /// Those of them that may be of an action, or a service, that is newer than the catalogue.
    fn unlisted(&self) -> impl Iterator<Item = &ActionPattern> {
        self.passing().filter(|pattern| pattern.may_name_an_action())
    }

    /// Whether the statement names every resource, or all but some.
    fn names_everything(&self) -> bool {
        self.statement
            .resources
            .as_ref()
            .is_none_or(|clause| clause.is_not() || clause.elements().iter().any(ResourcePattern::is_everything))
    }
}

/// What a stack allows. Worked out once for a stack; questions are operations on sets.
#[derive(Debug, Clone)]
pub struct Grants {
    stack: PolicySet,
    entries: Vec<Entry>,
    possible: ActionSet,
    everywhere: ActionSet,
    certain: ActionSet,
    /// Why identity policies may allow or deny more than was seen.
    unseen_grants: Vec<Why>,
    /// Why a ceiling may take away something that was seen.
    unseen_limits: Vec<Why>,
    steps: u64,
}

impl Grants {
    /// Works out the sets. Where that would take too many steps every answer is unknown for that reason.
    #[must_use]
    pub fn new(stack: &PolicySet) -> Self {
        Self::within(stack, &Steps::new(POLICIES))
    }

    /// As [`Grants::new`], in no more than these steps.
    #[must_use]
    pub fn within(stack: &PolicySet, steps: &Steps) -> Self {
        let mut grants = match Self::worked_out(stack, steps) {
            Ok(grants) => grants,
            Err(Exceeded) => Self {
                stack: stack.clone(),
                entries: Vec::new(),
                possible: ActionSet::default(),
                everywhere: ActionSet::default(),
                certain: ActionSet::default(),
                unseen_grants: vec![steps.why()],
                unseen_limits: vec![steps.why()],
                steps: 0,
            },
        };
        grants.steps = steps.taken();
        grants
    }

    fn worked_out(stack: &PolicySet, steps: &Steps) -> Result<Self, Exceeded> {
        steps.take(stack.compiling_steps())?;
        let limits = Limits::new(stack, &sets, &|statement| statement.certainly_everywhere().clone());
        let generous = |layers: &[PolicyRef]| {
            let allows = layers.iter().flat_map(|layer| layer.statements(Effect::Allow));
            ActionSet::union_of(allows.map(CompiledStatement::everywhere))
        };
        let every = stack.ceilings().zip(&limits.ceilings).filter(|(_, ceiling)| !ceiling.unseen);
        let every = every.map(|(layers, _)| generous(layers)).reduce(|a, b| a.intersection(&b));
        let all = |deny: &&Deny<'_, ActionSet>| matches!(deny.part.0, Reach::All { .. });
        let denies: Vec<_> = limits.denies.iter().filter(all).collect();
        let mut entries = Vec::new();
        for (number, layer) in stack.identity().iter().enumerate() {
            let language = layer.policy.as_ref().map_or(Version::V2008, |policy| policy.language());
            for statement in layer.statements(Effect::Allow) {
                let Passed { under, left } = limits.pass(statement, language, &sets, steps)?;
                let mut wide = statement.everywhere().minus(&limits.denied);
                if let Some(every) = &every {
                    wide = wide.intersection(every);
                }
                steps.take(denies.len())?;
                for deny in &denies {
                    if wide.intersects(&deny.part.1) && deny.follows(statement, language) {
                        wide = wide.minus(&deny.part.1);
                    }
                }
                let everywhere = wide.intersection(&left);
                let passing = passing(stack, statement, language, steps)?;
                let statement = statement.clone();
                entries.push(Entry { layer: number, statement, under, left, everywhere, passing });
            }
        }
        let blind = |layers: &mut dyn Iterator<Item = &PolicyRef>| {
            let mut why: Vec<Why> = layers.filter_map(PolicyRef::unread).cloned().collect();
            why.sort();
            why.dedup();
            why
        };
        let unseen_grants = blind(&mut stack.identity().iter());
        let unseen_limits = blind(&mut stack.ceilings().flatten());
        let seen = unseen_grants.is_empty() && unseen_limits.is_empty();
        Ok(Self {
            possible: ActionSet::union_of(entries.iter().map(|entry| &entry.left)),
            everywhere: ActionSet::union_of(entries.iter().map(|entry| &entry.everywhere)),
            certain: if seen { certain(stack) } else { ActionSet::default() },
            entries,
            unseen_grants,
            unseen_limits,
            stack: stack.clone(),
            steps: 0,
        })
    }

    /// How many steps it took to work out the sets.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The sets alone.
    #[must_use]
    pub fn sets(&self) -> GrantSets {
        GrantSets {
            possible: self.possible.clone(),
            everywhere: self.everywhere.clone(),
            certain: self.certain.clone(),
            admin: self.admin_equivalent(),
        }
    }

    pub(super) fn each_set(&mut self, each: &mut impl FnMut(&mut ActionSet)) {
        for entry in &mut self.entries {
            [&mut entry.under, &mut entry.left, &mut entry.everywhere].into_iter().for_each(&mut *each);
        }
        self.entries.shrink_to_fit();
        [&mut self.possible, &mut self.everywhere, &mut self.certain].into_iter().for_each(each);
    }

    /// The stack that this is of.
    #[must_use]
    pub fn stack(&self) -> &PolicySet {
        &self.stack
    }

    /// The actions that can be allowed: on some resource, for some value of the condition keys, if
    /// what was not seen does not stand against it.
    #[must_use]
    pub fn actions(&self) -> &ActionSet {
        &self.possible
    }

    /// The actions that are allowed on every resource, whatever the condition keys.
    #[must_use]
    pub fn certainly_allowed(&self) -> &ActionSet {
        &self.certain
    }

    /// The actions that a condition, a resource or something unseen decides about.
    #[must_use]
    pub fn possibly_allowed(&self) -> ActionSet {
        self.possible.minus(&self.certain)
    }

    /// The actions that are allowed on every resource they act on, in one account at least, by
    /// statements with or without a condition.
    #[must_use]
    pub fn on_every_resource(&self) -> &ActionSet {
        &self.everywhere
    }

    /// The actions that change something and can be allowed.
    #[must_use]
    pub fn writes(&self) -> ActionSet {
        self.possible.intersection(writes())
    }

    /// The actions of a level that can be allowed.
    #[must_use]
    pub fn by_level(&self, level: AccessLevel) -> ActionSet {
        self.possible.of_level(level)
    }

    /// The services of which some action can be allowed, those that the catalogue does not have
    /// included, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        let unlisted = self.entries.iter().flat_map(Entry::unlisted).filter_map(ActionPattern::service);
        let mut services: Vec<&str> = self.possible.services().into_iter().chain(unlisted).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// Patterns that get through every ceiling and Deny and that name nothing the catalogue knows, as
    /// written, sorted.
    #[must_use]
    pub fn unlisted_patterns(&self) -> Vec<String> {
        let patterns = self.entries.iter().flat_map(Entry::unlisted).map(ToString::to_string);
        let patterns: std::collections::BTreeSet<String> = patterns.collect();
        patterns.into_iter().collect()
    }

    /// Whether all of these actions can be allowed, each somewhere.
    #[must_use]
    pub fn can(&self, actions: &ActionSet) -> Truth {
        self.certain(self.possible.includes(actions))
    }

    /// Whether it is as good as an administrator; see [`Grants::admin`].
    #[must_use]
    pub fn admin_equivalent(&self) -> Truth {
        self.admin().answer.truth
    }

    /// Why parts of the stack were not seen or not read; empty where everything was.
    pub fn unseen(&self) -> impl Iterator<Item = &Why> {
        self.unseen_grants.iter().chain(&self.unseen_limits)
    }

    /// Why identity policies may allow more than was seen.
    #[must_use]
    pub fn unseen_grants(&self) -> &[Why] {
        &self.unseen_grants
    }

    /// What was found stands unless an unseen ceiling takes it away; what was not found may stand in
    /// an identity policy that was not seen, and that a ceiling which was seen does not rule out.
    fn certain(&self, found: bool) -> Truth {
        let unseen = if found { &self.unseen_limits } else { &self.unseen_grants };
        if unseen.is_empty() { found.into() } else { Truth::Unknown(unseen.clone()) }
    }

    fn granted(&self, of: impl Fn(&Entry) -> Option<Grant>) -> Granted {
        let grants: Vec<Grant> = self.entries.iter().filter_map(of).collect();
        Granted { truth: self.certain(!grants.is_empty()), grants }
    }

    fn grant(&self, entry: &Entry, patterns: Vec<String>, actions: ActionSet) -> Option<Grant> {
        let nothing: HashSet<&str> = entry.statement.patterns_of_nothing().map(ActionPattern::as_str).collect();
        let unlisted = |pattern: &&String| nothing.contains(pattern.as_str());
        let all_but = entry.statement.actions.is_not();
        let conditions = entry.statement.conditions.iter().filter(|condition| !condition.is_always_true());
        Some(Grant {
            site: self.stack.identity().get(entry.layer)?.site(entry.statement.shared())?,
            conditional: entry.statement.is_conditional(),
            all_but,
            unlisted: if all_but { Vec::new() } else { patterns.iter().filter(unlisted).cloned().collect() },
            patterns,
            everywhere: entry.everywhere.intersection(&actions),
            names_everything: entry.names_everything(),
            limits_resources: conditions.into_iter().any(Condition::is_on_resource),
            actions,
        })
    }

    /// Statements that allow some of these actions on some resource, by some value of the conditions.
    #[must_use]
    pub fn granting(&self, actions: &ActionSet) -> Granted {
        self.granted(|entry| self.part(entry, entry.left.intersection(actions)))
    }

    /// Statements that allow some of these actions on every resource that they act on, by some value
    /// of the conditions.
    #[must_use]
    pub fn granting_everywhere(&self, actions: &ActionSet) -> Granted {
        self.granted(|entry| self.part(entry, entry.everywhere.intersection(actions)))
    }

    /// A statement, and what is asked of it; `None` where that is nothing.
    fn part(&self, entry: &Entry, actions: ActionSet) -> Option<Grant> {
        if actions.is_empty() {
            return None;
        }
        let elements = entry.statement.actions.elements().iter();
        let all_but = entry.statement.actions.is_not();
        // A few actions are sooner compared with the pattern than all that the pattern names are found.
        let few: Option<Vec<&'static str>> = (actions.len() <= FEW).then(|| actions.names());
        let names = |pattern: &&ActionPattern| match &few {
            Some(few) => few.iter().any(|action| pattern.matches(action)),
            None => ActionSet::named_by(pattern).intersects(&actions),
        };
        let named = elements.filter(|pattern| all_but || names(pattern));
        self.grant(entry, named.map(ToString::to_string).collect(), actions)
    }

    /// Whether something that is not in the catalogue gets through every ceiling and Deny, as far as
    /// that can be told.
    fn lets_through(&self, entry: &Entry, names: &impl Fn(&CompiledStatement) -> bool) -> Truth {
        let layer = self.stack.identity().get(entry.layer);
        let language = layer.and_then(|layer| layer.policy.as_ref().ok()).map_or(Version::V2008, |p| p.language());
        let steps = Steps::new(POLICIES);
        let passes = lets_through(&self.stack, &entry.statement, language, names, &steps);
        passes.map_or_else(|Exceeded| Truth::unknown(steps.why()), Truth::from)
    }

    /// Whether some service that is whole in the pattern passes the ceilings whole, and not every
    /// action of it is denied.
    fn keeps_a_whole_service(entry: &Entry, named: &ActionSet) -> bool {
        let granted = ActionSet::union_of(entry.statement.actions_fitting());
        ActionSet::services_whole_in(named).any(|whole| {
            let granted = granted.intersection(whole);
            entry.under.includes(&granted) && entry.left.intersects(&granted)
        })
    }

    /// Allow statements with `*` or `service:*` as an action, where the wildcard is still one after
    /// every ceiling and Deny.
    #[must_use]
    pub fn wildcard_actions(&self) -> Granted {
        self.granted(|entry| {
            let Clause::In(list) = &entry.statement.actions else { return None };
            let wild = list.iter().filter(|p| p.is_whole_service()).filter(|p| {
                let named = ActionSet::named_by(p);
                if named.is_empty() {
                    entry.passing().any(|passing| passing.as_str() == p.as_str())
                } else {
                    Self::keeps_a_whole_service(entry, &named)
                }
            });
            let wild: Vec<&ActionPattern> = wild.collect();
            if wild.is_empty() {
                return None;
            }
            let named: Vec<ActionSet> = wild.iter().map(|p| ActionSet::named_by(p)).collect();
            let left = entry.left.intersection(&ActionSet::union_of(&named));
            self.grant(entry, wild.iter().map(ToString::to_string).collect(), left)
        })
    }

    /// Allow statements with `NotAction`, which grant whatever they do not name, of today and of
    /// later, where some service is still whole in them.
    #[must_use]
    pub fn allow_not_action(&self) -> Granted {
        self.granted(|entry| {
            let named = entry.statement.actions_named();
            if !entry.statement.actions.is_not() || !Self::keeps_a_whole_service(entry, named) {
                return None;
            }
            self.grant(entry, patterns(&entry.statement), entry.left.clone())
        })
    }

    /// Whether the role is as good as an administrator: everything, or all of IAM, on every
    /// resource, by one statement or several together.
    #[must_use]
    pub fn admin(&self) -> Admin {
        let none = || Admin { answer: Answer::bare(self.certain(false)), by: None, conditional: false };
        if !self.everywhere.intersects(&SELF_GRANTS) {
            return none();
        }
        let limits = self.wide_limits();
        for conditional in [false, true] {
            let entries: Vec<&Entry> = self
                .entries
                .iter()
                .filter(|e| (conditional || !e.statement.is_conditional()) && !e.everywhere.is_empty())
                .collect();
            let all = ActionSet::union_of(entries.iter().map(|e| e.statement.everywhere()));
            let under = limits.as_ref().map_or_else(|| all.clone(), |limits| all.intersection(limits));
            let left = ActionSet::union_of(entries.iter().map(|e| &e.everywhere));
            if !under.includes(&IAM) || !left.intersects(&SELF_GRANTS) {
                continue;
            }
            let everything = under.includes(ActionSet::all());
            let whole: &ActionSet = if everything { ActionSet::all() } else { &IAM };
            let wide = |e: &&&Entry| e.statement.everywhere().includes(whole);
            let alone: Vec<&Entry> = entries.iter().filter(wide).copied().collect();
            let together = entries.iter().filter(|e| e.statement.everywhere().intersects(whole)).copied();
            let by: Vec<&Entry> = if alone.is_empty() { together.collect() } else { alone };
            let by =
                by.into_iter().filter_map(|e| self.stack.identity().get(e.layer)?.site(e.statement.shared())).collect();
            let answer = Answer { truth: self.certain(true), by };
            let by = if everything { AdminBy::Everything } else { AdminBy::Iam };
            return Admin { answer, by: Some(by), conditional };
        }
        none()
    }

    /// What every ceiling that was seen lets through on every resource; `None` where there is none.
    fn wide_limits(&self) -> Option<ActionSet> {
        let seen = self.stack.ceilings().filter(|layers| layers.iter().all(|layer| layer.policy.is_ok()));
        let each = seen.map(|layers| {
            let allows = layers.iter().flat_map(|layer| layer.statements(Effect::Allow));
            ActionSet::union_of(allows.map(CompiledStatement::everywhere))
        });
        each.reduce(|a, b| a.intersection(&b))
    }

    /// Statements that allow writing, tagging or managing permissions on every resource, by actions
    /// that could be limited to resources. What the catalogue does not list counts by its name: it
    /// writes unless it says that it reads.
    #[must_use]
    pub fn broad_writes(&self) -> Granted {
        self.granted(|entry| {
            let actions = entry.everywhere.intersection(&CHANGES);
            let unlisted = entry.unlisted().filter(|p| entry.names_everything() && !reads(p.as_str()));
            let unlisted: Vec<String> = unlisted.map(ToString::to_string).collect();
            if actions.is_empty() && unlisted.is_empty() {
                return None;
            }
            let mut grant = self.grant(entry, patterns(&entry.statement), actions)?;
            grant.unlisted = unlisted;
            Some(grant)
        })
    }

    /// Statements that allow `iam:PassRole` for every role, and whether the service that the role
    /// is passed to is limited.
    #[must_use]
    pub fn pass_role(&self) -> PassRoles {
        let mut grants = Vec::new();
        // As everywhere here, an identity policy that was not read is not taken to deny.
        let read = self.stack.identity().iter().filter(|layer| layer.policy.is_ok()).cloned().collect();
        let stack = PolicySet { identity: Some(read), ..self.stack.clone() };
        let steps = Steps::new(POLICIES);
        let weight = stack.weight("iam:PassRole");
        for entry in self.entries.iter().filter(|entry| entry.left.intersects(&PASS_ROLE)) {
            let statement = &entry.statement;
            let Some(probe) = any_role(statement) else { continue };
            if steps.take(weight).is_err() {
                return PassRoles { truth: Truth::unknown(steps.why()), grants: Vec::new() };
            }
            let ask = |context: &Context| stack.possible_by(statement.shared(), "iam:PassRole", &probe, context);
            if ask(&Context::open()).is_false() {
                continue;
            }
            let elsewhere = ask(&Context::open().set("iam:PassedToService", ["nowhere.amazonaws.com"]));
            let own = statement.conditions.iter().filter(|c| c.key.eq_ignore_ascii_case("iam:PassedToService"));
            let positive = own.filter(|c| !c.operator.is_negated());
            let patterns = statement.actions.elements().iter().filter(|p| p.matches("iam:PassRole"));
            let patterns = patterns.map(ToString::to_string).collect();
            if let Some(grant) = self.grant(entry, patterns, PASS_ROLE.clone()) {
                let passed_to = positive.flat_map(|c| c.values.iter().cloned()).collect();
                grants.push(PassRole { grant, service_limited: !elsewhere, passed_to });
            }
        }
        PassRoles { truth: self.certain(!grants.is_empty()), grants }
    }

    /// Whether the role may pass this role to this service, for some value of the other keys.
    #[must_use]
    pub fn passes(&self, role: &RoleArn, service: &str) -> Answer {
        self.allows_on("iam:PassRole", role.as_str(), &Context::open().set("iam:PassedToService", [service]))
    }

    /// Whether an action is allowed on this resource, for some value of the keys that the context
    /// leaves open. `resource` is an ARN, or `*` for actions that act on no resource.
    #[must_use]
    pub fn allows_on(&self, action: &str, resource: &str, context: &Context) -> Answer {
        let listed = catalogue().number(action);
        let ruled_out = listed.is_some_and(|number| !self.possible.contains_number(number));
        if ruled_out && self.unseen_grants.is_empty() {
            return Answer::bare(Truth::False);
        }
        let bare = listed.and_then(|number| catalogue().actions().get(number)).filter(|action| !action.on_resources);
        let resource = match bare.map(Action::service) {
            Some("s3") if !resource.starts_with("arn:") => "arn:aws:s3:::*",
            Some("s3") | None => resource,
            Some(_) => "*",
        };
        self.stack.possible(action, resource, context)
    }

    /// Whether an action is allowed on some resource, by some value of the conditions, and by which
    /// statements. Works for actions that the catalogue does not have, too.
    #[must_use]
    pub fn allows(&self, action: &str) -> Granted {
        if let Some(number) = catalogue().number(action) {
            let holds = |entry: &&Entry| entry.left.contains_number(number);
            let each = self.entries.iter().filter(holds);
            let each = each.filter_map(|e| self.grant(e, patterns(&e.statement), ActionSet::from_numbers([number])));
            let grants: Vec<Grant> = each.collect();
            return Granted { truth: self.certain(!grants.is_empty()), grants };
        }
        let (mut grants, mut open) = (Vec::new(), Truth::False);
        for entry in self.entries.iter().filter(|entry| entry.statement.names_action(action)) {
            match self.lets_through(entry, &|s| s.names_action(action)) {
                Truth::True => grants.extend(self.grant(entry, patterns(&entry.statement), ActionSet::default())),
                truth => open = open.or(truth),
            }
        }
        let found = self.certain(!grants.is_empty());
        Granted { truth: if grants.is_empty() { found.or(open) } else { found }, grants }
    }
}

/// Whether something that is not in the catalogue gets from a statement through every ceiling and Deny.
fn lets_through(
    stack: &PolicySet,
    statement: &CompiledStatement,
    language: Version,
    names: &impl Fn(&CompiledStatement) -> bool,
    steps: &Steps,
) -> Result<bool, Exceeded> {
    let of = |statement: &CompiledStatement| {
        if names(statement) { vec![true; reaches(statement).len()] } else { Vec::new() }
    };
    let denied = |statement: &CompiledStatement| {
        names(statement) && reaches(statement).iter().any(|reach| matches!(reach, Reach::All { .. }))
    };
    let limits = stack.ceilings().flatten().chain(stack.identity());
    let statements = limits.flat_map(PolicyRef::compiled);
    steps.take(1 + statements.map(|statement| 1 + statement.actions.elements().len() / 4).sum::<usize>())?;
    Ok(Limits::new(stack, &of, &denied).pass(statement, language, &of, steps)?.left)
}

/// Which patterns of an Allow name nothing that the catalogue has, and get through as they are.
fn passing(
    stack: &PolicySet,
    statement: &CompiledStatement,
    language: Version,
    steps: &Steps,
) -> Result<Box<[usize]>, Exceeded> {
    let mut passing = Vec::new();
    if statement.actions.is_not() {
        return Ok(passing.into());
    }
    for place in statement.places_of_nothing() {
        let Some(pattern) = statement.actions.elements().get(*place) else { continue };
        if lets_through(stack, statement, language, &|s| names_pattern(s, pattern), steps)? {
            passing.push(*place);
        }
    }
    Ok(passing.into())
}

/// What is allowed on every resource whatever the keys: by statements without conditions alone, and
/// nothing of it named by any Deny.
pub(super) fn certain(stack: &PolicySet) -> ActionSet {
    let plain = |layers: &[PolicyRef]| {
        let allows = layers.iter().flat_map(|layer| layer.statements(Effect::Allow));
        let plain = allows.filter(|s| !s.is_conditional() && s.principals.is_none());
        ActionSet::union_of(plain.map(CompiledStatement::certainly_everywhere))
    };
    let allowed =
        stack.ceilings().fold(plain(stack.identity()), |allowed, ceiling| allowed.intersection(&plain(ceiling)));
    let denies = stack.own_policies().flat_map(|layer| layer.statements(Effect::Deny));
    allowed.minus(&ActionSet::union_of(denies.flat_map(|s| s.actions_fitting().iter())))
}

pub(super) fn patterns(statement: &Statement) -> Vec<String> {
    statement.actions.elements().iter().map(ToString::to_string).collect()
}

/// Whether a statement names everything that a pattern of unlisted actions does.
fn names_pattern(statement: &Statement, pattern: &ActionPattern) -> bool {
    match &statement.actions {
        Clause::In(list) => list.iter().any(|own| own.covers(pattern)),
        Clause::NotIn(list) => !list.iter().any(|own| own.is_all() || own.service() == pattern.service()),
    }
}

/// Whether a name says that it only reads.
fn reads(action: &str) -> bool {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    ["Get", "List", "Describe", "Search", "BatchGet", "View", "Lookup", "Head"]
        .iter()
        .any(|verb| name.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb)))
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
        let probe = named(&fixed(ArnText(text).partition(), "aws"), &fixed(ArnText(text).account(), "000000000000"));
        (pattern.is_every_of_type() && pattern.matches(&probe)).then_some(probe)
    })
}
