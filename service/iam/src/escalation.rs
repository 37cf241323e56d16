//! Ways from some permissions to more: the table of them, and which ones a role has.
//!
//! Knows `data/escalation.txt`, and how to ask a role's whole stack for each action of a way: on the
//! role itself, on some resource of a type that the action acts on, or on the same resource as the
//! action before. Statements may be split over any number of policies; a boundary, SCP, session
//! policy or Deny that takes an action away takes the way away. Refuses to know which roles and
//! workloads there are, and what the account may do in its organisation: who is gained, and through
//! how many roles, the estate says.

use crate::access::{ActionSet, Stack};
use crate::arn::{Arn, RoleArn};
use crate::catalogue::{Action, ResourceUse, catalogue};
use crate::condition::{Condition, Context};
use crate::document::{Clause, Effect, Statement};
use crate::layer::Layer;
use crate::pattern::ResourcePattern;
use crate::reach::with_stars;
use crate::request::{ActionName, Requester};
use crate::steps::{self, Exceeded, Steps};
use crate::truth::{Answer, Site, Sites, Truth, Why};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

/// Whose steps are counted.
pub(crate) const POLICIES: &str = "the policies of the role";

/// What a way gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gain {
    /// The role changes its own permissions.
    Own,
    /// It becomes, or changes, another role.
    Role,
    /// It becomes, or changes, a user.
    User,
    /// It starts something as a role that this service may assume.
    PassedRole(&'static str),
    /// It takes over something that already runs as a role.
    Running,
    /// It gets the credentials of pods with associations.
    Pods,
}

impl Gain {
    /// The snake-case name, without the service.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own_permissions",
            Self::Role => "another_role",
            Self::User => "a_user",
            Self::PassedRole(_) => "a_passed_role",
            Self::Running => "a_running_role",
            Self::Pods => "pods",
        }
    }
}

/// On what an action of a way must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// On some resource.
    Some,
    /// On the role itself, or on a customer's policy that is attached to it.
    Own,
    /// On a resource on which the action before it is allowed too.
    Same,
}

/// One action of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The action.
    pub action: &'static str,
    /// On what.
    pub on: On,
}

/// One way.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    /// A stable slug.
    pub id: &'static str,
    /// What it gains.
    pub gain: Gain,
    /// What it takes, all of it; `iam:PassRole` first where a role is passed.
    pub steps: Vec<Step>,
}

impl Way {
    /// The actions that it takes.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.action)
    }

    /// Whether it works only in the organisation's management account, and in a member account to
    /// which the administration of IAM Identity Center is delegated. Source: IAM Identity Center user
    /// guide, "Delegated administration".
    #[must_use]
    pub fn is_of_identity_center(&self) -> bool {
        self.actions().any(|action| action.starts_with("sso:"))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, action) in self.actions().enumerate() {
            write!(f, "{}{action}", if n == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
    let lines = include_str!("../data/escalation.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(way).collect()
});

/// Every way that is known, in the order of the table.
#[must_use]
pub fn ways() -> &'static [Way] {
    &WAYS
}

fn way(line: &'static str) -> Option<Way> {
    let mut words = line.split(' ');
    let id = words.next()?;
    let gain = match words.next()? {
        "own" => Gain::Own,
        "role" => Gain::Role,
        "user" => Gain::User,
        "running" => Gain::Running,
        "pods" => Gain::Pods,
        passed => Gain::PassedRole(passed.strip_prefix("pass:")?),
    };
    let pass = matches!(gain, Gain::PassedRole(_)).then_some(Step { action: "iam:PassRole", on: On::Some });
    let step = |word: &'static str| match word.split_once('@') {
        None => Step { action: word, on: On::Some },
        Some((action, "own")) => Step { action, on: On::Own },
        Some((action, _)) => Step { action, on: On::Same },
    };
    Some(Way { id, gain, steps: pass.into_iter().chain(words.map(step)).collect() })
}

/// Whose permissions are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The role.
    pub role: &'a RoleArn,
    /// The policies attached to it that the customer made: AWS's own cannot be changed.
    pub policies: &'a [Arn],
    /// Its permissions boundary, where it has one.
    pub boundary: Option<&'a Arn>,
}

impl Holder<'_> {
    /// What is known of its requests: what its kind always has, and all else open.
    #[must_use]
    pub fn context(&self) -> Context {
        Requester::role(self.role).context()
    }
}

/// The context of a change of a role: the keys that AWS takes from that role.
#[must_use]
pub fn changing(context: Context, boundary: Option<&Arn>) -> Context {
    context.set("iam:PermissionsBoundary", boundary.map(Arn::as_str))
}

/// A way that a role has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The way.
    pub way: &'static Way,
    /// True, or unknown with the reasons; never false.
    pub truth: Truth,
    /// The statements that allow its actions, fifty of them at most.
    pub by: Vec<Site>,
}

/// An action, and the service that a role is passed to by it.
type Call = (&'static str, Option<&'static str>);

/// So many statements that allow a way are named: any one of many would do.
const MOST_SITES: usize = 50;
/// One question may take this part of all steps, so that a dear one leaves some to the others.
const SHARE: u64 = 8;

/// Patterns of resources on which an action is worth asking for.
#[derive(Debug, Clone, Default)]
struct Places {
    patterns: Arc<[String]>,
    /// Whether there are more.
    is_cut: bool,
}

/// Answers about one stack, each worked out once.
#[derive(Debug)]
struct Asked<'a> {
    stack: &'a Stack,
    holder: Holder<'a>,
    context: Context,
    steps: &'a Steps,
    /// Those that all questions before the one at hand took.
    before: u64,
    somewhere: HashMap<Call, Answer>,
    places: HashMap<&'static str, Places>,
    weights: HashMap<&'static str, usize>,
}

impl Asked<'_> {
    /// A new question.
    fn begin(&mut self) {
        self.before = self.steps.taken();
    }

    fn take(&self, steps: usize) -> Result<(), Exceeded> {
        self.steps.take(steps)?;
        if self.steps.taken() - self.before > self.steps.most() / SHARE { Err(Exceeded) } else { Ok(()) }
    }

    /// Why the question at hand has no answer.
    fn why(&self) -> Why {
        if self.steps.is_exceeded() { self.steps.why() } else { self.steps.why_of(self.steps.most() / SHARE) }
    }

    /// The steps of asking about an action once.
    fn weight(&mut self, action: &'static str) -> usize {
        let stack = self.stack;
        *self.weights.entry(action).or_insert_with(|| stack.weight(action))
    }

    fn ask(&mut self, action: &'static str, resource: &str, context: &Context) -> Result<Answer, Exceeded> {
        let weight = self.weight(action);
        self.take(weight.saturating_mul(steps::of_text(resource)))?;
        // Most questions of a long list are in vain; which statements say so, nobody asks.
        if self.stack.is_impossible(action, resource, context) {
            return Ok(Answer::bare(Truth::False));
        }
        Ok(self.stack.possible(action, resource, context))
    }

    fn places(&mut self, action: &'static str) -> Places {
        if let Some(places) = self.places.get(action) {
            return places.clone();
        }
        let places = self.stack.places(action, self.holder.role, &|steps| self.take(steps));
        self.places.insert(action, places.clone());
        places
    }

    /// Whether an action is allowed on some resource that it acts on.
    fn somewhere(&mut self, action: &'static str, passed_to: Option<&'static str>) -> Answer {
        if let Some(answer) = self.somewhere.get(&(action, passed_to)) {
            return answer.clone();
        }
        self.begin();
        let context = match passed_to {
            Some(service) => self.context.clone().set("iam:PassedToService", [service]),
            None => self.context.clone(),
        };
        let places = self.places(action);
        let mut best = Best::of(places.is_cut);
        let resources = places.patterns.iter().flat_map(|pattern| filled(pattern));
        for resource in resources {
            if best.is_settled_by(self.ask(action, &resource, &context)) {
                break;
            }
        }
        let answer = best.answer(|| self.why());
        self.somewhere.insert((action, passed_to), answer.clone());
        answer
    }

    /// Whether two actions are allowed on some resource that they have in common.
    fn on_one(&mut self, first: &'static str, second: &'static str) -> Answer {
        self.begin();
        let (a, b) = (self.places(first), self.places(second));
        let mut best = Best::of(a.is_cut || b.is_cut);
        let starts = Starts::of(&b.patterns);
        let mut seen: HashSet<String> = HashSet::new();
        for one in a.patterns.iter() {
            for other in starts.beside(one) {
                if self.take(of_meeting(one, other)).is_err() {
                    return best.cut().answer(|| self.why());
                }
                let Some(both) = meet(one, other) else { continue };
                for resource in filled(&both) {
                    if seen.contains(&resource) {
                        continue;
                    }
                    if best.is_settled_by(self.ask_both(first, second, &resource)) {
                        return best.answer(|| self.why());
                    }
                    seen.insert(resource);
                }
            }
        }
        best.answer(|| self.why())
    }

    fn ask_both(&mut self, first: &'static str, second: &'static str, resource: &str) -> Result<Answer, Exceeded> {
        let context = self.context.clone();
        let one = self.ask(first, resource, &context)?;
        if one.truth.is_false() {
            return Ok(one);
        }
        let two = self.ask(second, resource, &context)?;
        Ok(Answer { truth: one.truth.and(two.truth), by: one.by.into_iter().chain(two.by).collect() })
    }

    fn own(&mut self, action: &'static str) -> Answer {
        self.begin();
        let mut best = Best::of(false);
        // What acts on policies acts on those that are attached; all else on the role.
        if is_of_policy(action) {
            let context = self.context.clone();
            for arn in self.holder.policies {
                if best.is_settled_by(self.ask(action, arn.as_str(), &context)) {
                    break;
                }
            }
            return best.answer(|| self.why());
        }
        let context = changing(self.context.clone(), self.holder.boundary);
        best.is_settled_by(self.ask(action, self.holder.role.as_str(), &context));
        best.answer(|| self.why())
    }
}

/// Whether the action changes a policy rather than a role.
#[must_use]
pub fn is_of_policy(action: &str) -> bool {
    matches!(action, "iam:CreatePolicyVersion" | "iam:SetDefaultPolicyVersion")
}

/// The most certain of several answers so far; no where there is none, and unknown where not all were
/// asked.
struct Best {
    answer: Answer,
    is_cut: bool,
}

impl Best {
    fn of(is_cut: bool) -> Self {
        Self { answer: Answer::bare(Truth::False), is_cut }
    }

    fn cut(self) -> Self {
        Self { is_cut: true, ..self }
    }

    /// Takes an answer in; whether no other can change anything, or be asked for.
    fn is_settled_by(&mut self, answer: Result<Answer, Exceeded>) -> bool {
        let Ok(answer) = answer else {
            self.is_cut = true;
            return true;
        };
        match (&self.answer.truth, &answer.truth) {
            (_, Truth::True) | (Truth::False, Truth::Unknown(_)) => self.answer = answer,
            _ => {}
        }
        self.answer.truth.is_true()
    }

    fn answer(self, why: impl FnOnce() -> Why) -> Answer {
        if !self.is_cut {
            return self.answer;
        }
        Answer { truth: self.answer.truth.or(Truth::unknown(why())), by: self.answer.by }
    }
}

/// Patterns by the text before their first wildcard: those that may have something in common with a
/// pattern begin as it does, as far as both are fixed.
struct Starts<'p> {
    sorted: Vec<(&'p str, &'p str)>,
    lengths: BTreeSet<usize>,
}

fn fixed(pattern: &str) -> &str {
    pattern.split(['*', '?', '$']).next().unwrap_or_default()
}

impl<'p> Starts<'p> {
    fn of(patterns: &'p [String]) -> Self {
        let mut sorted: Vec<(&str, &str)> = patterns.iter().map(|p| (fixed(p), p.as_str())).collect();
        sorted.sort_unstable();
        let lengths = sorted.iter().map(|(start, _)| start.len()).collect();
        Self { sorted, lengths }
    }

    /// The patterns that may have something in common with this one; the same pattern first.
    fn beside(&self, pattern: &str) -> Vec<&'p str> {
        let own = fixed(pattern);
        let from = |start: &str| self.sorted.partition_point(|(other, _)| *other < start);
        let run = |first: usize, fits: &dyn Fn(&str) -> bool| {
            let rest = self.sorted.get(first..).unwrap_or_default().iter();
            rest.take_while(|(start, _)| fits(start)).map(|(_, text)| *text).collect::<Vec<_>>()
        };
        let shorter = self.lengths.iter().take_while(|len| **len < own.len()).filter_map(|len| own.get(..*len));
        let mut found = run(from(own), &|start| start.starts_with(own));
        found.extend(shorter.flat_map(|start| run(from(start), &|other| other == start)));
        if let Some(same) = found.iter().position(|other| *other == pattern) {
            found.swap(0, same);
        }
        found
    }
}

/// The steps of looking for what two patterns have in common.
fn of_meeting(a: &str, b: &str) -> usize {
    1 + a.len().saturating_mul(b.len()) / 64
}

/// The ways that a role has by its stack, in the order of the table.
///
/// A condition that can hold for some request counts as holding. A way that is unknown only because
/// of policies that were not seen or read is among them with the reasons, unless the policies that
/// were seen give no hint of it.
///
/// A way of which it would take too many steps to tell is unknown for that reason.
#[must_use]
pub fn find(stack: &Stack, holder: Holder<'_>) -> Vec<Found> {
    find_within(stack, holder, &Steps::of(POLICIES))
}

/// As [`find`], in no more than these steps.
#[must_use]
pub fn find_within(stack: &Stack, holder: Holder<'_>, steps: &Steps) -> Vec<Found> {
    if steps.take(stack.reading()).is_err() {
        let unknown = |way| Found { way, truth: Truth::unknown(steps.why()), by: Vec::new() };
        return ways().iter().map(unknown).collect();
    }
    let fitting = stack.actions_fitting();
    let hinted = |way: &&Way| way.actions().all(|action| fitting.contains(action));
    let mut hinted = ways().iter().filter(hinted).peekable();
    if hinted.peek().is_none() {
        return Vec::new();
    }
    let context = holder.context();
    let mut asked = Asked {
        stack,
        holder,
        context,
        steps,
        before: 0,
        somewhere: HashMap::new(),
        places: HashMap::new(),
        weights: HashMap::new(),
    };
    hinted.filter_map(|way| walk(way, &mut asked)).collect()
}

fn walk(way: &'static Way, asked: &mut Asked<'_>) -> Option<Found> {
    let passed_to = if let Gain::PassedRole(service) = way.gain { Some(service) } else { None };
    let (mut truth, mut by) = (Truth::True, Sites::default());
    let mut rest = way.steps.iter().peekable();
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
    Some(Found { way, truth, by: by.list })
}

impl Stack {
    /// The catalogue's actions that some Allow of an identity policy names, where they can act on what
    /// it reaches.
    fn actions_fitting(&self) -> ActionSet {
        let allows = self.identity.iter().flat_map(|layer| layer.statements(Effect::Allow));
        ActionSet::union_of(allows.flat_map(|statement| statement.actions_fitting()))
    }

    /// Why identity policies may allow more than was seen, as sentences.
    pub fn unseen_identity(&self) -> impl Iterator<Item = String> {
        self.identity.iter().filter_map(|layer| layer.policy.as_ref().err().map(ToString::to_string))
    }

    /// Patterns of resources on which a role is let through by an Allow of every layer, in its own
    /// account but for `sts:AssumeRole`. Whether it is allowed there is for the stack to say.
    /// `None` where there are too many to tell.
    #[must_use]
    pub fn patterns(&self, action: &'static str, role: &RoleArn) -> Option<Vec<String>> {
        let steps = Steps::of(POLICIES);
        let places = self.places(action, role, &|count| steps.take(count));
        (!places.is_cut).then(|| places.patterns.to_vec())
    }

    /// The steps of asking about an action once.
    #[must_use]
    pub fn weight(&self, action: &str) -> usize {
        let name = ActionName::new(action);
        let naming = self.layers().flat_map(|layer| layer.naming(&name));
        naming.map(|statement| steps::of_statement(statement)).fold(steps::OF_ASKING, usize::saturating_add)
    }

    fn places(&self, action: &'static str, role: &RoleArn, take: &dyn Fn(usize) -> Result<(), Exceeded>) -> Places {
        let name = ActionName::new(action);
        let named = |layers: &[Layer]| -> Vec<String> {
            let mut patterns: Vec<String> = Vec::new();
            for statement in layers.iter().flat_map(|layer| layer.naming(&name)) {
                match (statement.effect, &statement.resources) {
                    (Effect::Deny, _) => {}
                    (_, None | Some(Clause::NotIn(_))) => patterns.push("*".to_owned()),
                    (_, Some(Clause::In(list))) => patterns.extend(list.iter().map(|p| p.as_str().to_owned())),
                }
            }
            patterns.sort();
            patterns.dedup();
            patterns
        };
        let mut found = Meeting { patterns: named(&self.identity), is_cut: false, take };
        let forms = forms(action, role);
        if !forms.is_empty() {
            found.meet(&forms);
        }
        for layers in self.ceilings() {
            let ceiling = named(layers);
            // A ceiling that was not seen lets everything through; the answer is unknown then anyway.
            if !ceiling.is_empty() && !ceiling.iter().any(|pattern| pattern == "*") {
                found.meet(&ceiling);
            }
        }
        Places { patterns: found.patterns.into(), is_cut: found.is_cut }
    }

    /// Whether nothing but the action itself decides: no Deny names it, and every layer allows it on
    /// every resource without a condition. False where that is not certain.
    #[must_use]
    pub fn is_unlimited(&self, action: &str) -> bool {
        allows_everywhere(&self.identity, &ActionName::new(action)) && self.is_unrefused_everywhere(action)
    }

    /// Whether no Deny names the action, and every ceiling allows it on every resource without a
    /// condition. False where that is not certain.
    #[must_use]
    pub fn is_unrefused_everywhere(&self, action: &str) -> bool {
        let name = ActionName::new(action);
        refuses_nothing(&self.identity, &name) && self.ceilings().all(|layers| allows_everywhere(layers, &name))
    }

    /// What decides about an action: the statements that name it, layer by layer, as a text. Two
    /// stacks of which it is the same answer alike whatever the resource; roles of one account as
    /// well, unless a statement tells them apart, which adds the role.
    #[must_use]
    pub fn deciding(&self, action: &str, role: &RoleArn) -> String {
        let name = ActionName::new(action);
        let (mut text, mut of_role) = (String::new(), false);
        let mut layers = |layers: &[Layer], text: &mut String| {
            let mut lines: Vec<String> = Vec::new();
            for layer in layers {
                let policy = match &layer.policy {
                    Ok(policy) => policy,
                    Err(why) => {
                        lines.push(why.to_string());
                        continue;
                    }
                };
                for statement in layer.naming(&name) {
                    of_role |= tells_roles_apart(statement);
                    let (effect, language) = (statement.effect, policy.language());
                    let resources = statement.resources.as_ref().map(|clause| (clause.is_not(), texts(clause)));
                    let conditions = statement.conditions.iter().map(|c| (c.operator.as_str(), &c.key, &c.values));
                    let conditions: Vec<_> = conditions.collect();
                    lines.push(format!("{effect:?} {language:?} {resources:?} {conditions:?}"));
                }
            }
            lines.sort();
            lines.dedup();
            let _ = writeln!(text, "{}", lines.join("\n"));
        };
        layers(&self.identity, &mut text);
        for ceiling in self.ceilings() {
            text.push('|');
            layers(ceiling, &mut text);
        }
        if of_role {
            text.push_str(role.as_str());
        }
        text
    }
}

/// Whether every policy was read, and no Deny of them names the action.
fn refuses_nothing(layers: &[Layer], action: &ActionName) -> bool {
    layers.iter().all(|layer| layer.policy.is_ok() && layer.naming(action).iter().all(|s| s.effect == Effect::Allow))
}

/// Whether, besides, an Allow of them names the action on every resource without a condition.
fn allows_everywhere(layers: &[Layer], action: &ActionName) -> bool {
    let plain = |s: &Statement| s.effect == Effect::Allow && s.conditions.is_empty() && s.is_on_everything();
    refuses_nothing(layers, action) && layers.iter().any(|layer| layer.naming(action).into_iter().any(|s| plain(s)))
}

fn texts<T: fmt::Display>(clause: &Clause<T>) -> Vec<String> {
    clause.elements().iter().map(ToString::to_string).collect()
}

/// Whether a statement may hold for one role of an account and not for another.
pub(crate) fn tells_roles_apart(statement: &Statement) -> bool {
    let of_role = |condition: &Condition| {
        ["aws:PrincipalArn", "aws:userid"].iter().any(|key| condition.key.eq_ignore_ascii_case(key))
            || condition.values.iter().any(|value| value.contains("${"))
    };
    let variable = statement.resources.iter().flat_map(Clause::elements).any(ResourcePattern::has_variable);
    variable || statement.conditions.iter().any(of_role)
}

/// The forms of the resources that an action acts on, in the role's partition and account; other
/// accounts' too for `sts:AssumeRole`. Where it always needs some type of resource, only such types:
/// `ssm:SendCommand` may name a bucket for its output, and needs a document. None for an action that
/// acts on no resource or is not listed.
fn forms(action: &str, role: &RoleArn) -> Vec<String> {
    let types: Vec<ResourceUse> = catalogue().find(action).into_iter().flat_map(Action::resource_types).collect();
    let needs = types.iter().any(|used| used.required);
    let known = |name: &str| match name {
        "Partition" => Some(role.arn().partition().to_owned()),
        "Account" if action != "sts:AssumeRole" => Some(role.account_id().to_string()),
        _ => None,
    };
    let types = types.into_iter().filter(|used| used.required || !needs);
    types.map(|used| with_stars(used.resource_type.arn, known)).collect()
}

/// Patterns while they are met with others.
struct Meeting<'t> {
    patterns: Vec<String>,
    is_cut: bool,
    take: &'t dyn Fn(usize) -> Result<(), Exceeded>,
}

impl Meeting<'_> {
    /// Keeps what is in one of these patterns too.
    fn meet(&mut self, others: &[String]) {
        let starts = Starts::of(others);
        let mut met: BTreeSet<String> = BTreeSet::new();
        'all: for one in &self.patterns {
            for other in starts.beside(one) {
                if (self.take)(of_meeting(one, other)).is_err() {
                    self.is_cut = true;
                    break 'all;
                }
                met.extend(meet(one, other));
            }
        }
        self.patterns = met.into_iter().collect();
    }
}

/// A pattern that matches only what both match; `None` where they have nothing in common.
///
/// Where several such patterns are needed to name all of it, this is one of them. Whole ARNs meet
/// segment by segment.
fn meet(a: &str, b: &str) -> Option<String> {
    match (a, b) {
        (one, "*") | ("*", one) => return Some(one.to_owned()),
        (a, b) if a == b => return Some(a.to_owned()),
        _ => {}
    }
    let segments = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (left, right) = (segments(a), segments(b));
    if left.len() < 6 || right.len() < 6 {
        return meet_text(a, b);
    }
    let each: Option<Vec<String>> = left.iter().zip(&right).map(|(a, b)| meet_text(a, b)).collect();
    Some(each?.join(":"))
}

fn meet_text(a: &str, b: &str) -> Option<String> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Beginnings and ends without a wildcard tell most pairs apart.
    let plain = |(x, y): &(&char, &char)| !matches!((x, y), ('*' | '?', _) | (_, '*' | '?'));
    let differ = |(x, y): (&char, &char)| x != y;
    if a.iter().zip(&b).take_while(plain).any(differ)
        || a.iter().rev().zip(b.iter().rev()).take_while(plain).any(differ)
    {
        return None;
    }
    // What is left to try: how much of each is used up, and what was written so far, as the place of
    // its last letter. A place that was tried once and led nowhere leads nowhere again.
    let width = b.len() + 1;
    let mut tried = vec![false; (a.len() + 1) * width];
    let mut letters: Vec<(usize, char)> = Vec::new();
    let mut open: Vec<(usize, usize, Option<usize>)> = vec![(0, 0, None)];
    while let Some((i, j, written)) = open.pop() {
        let Some(tried) = tried.get_mut(i * width + j).filter(|tried| !**tried) else { continue };
        *tried = true;
        let mut with = |c: char| {
            letters.push((written.unwrap_or(usize::MAX), c));
            Some(letters.len() - 1)
        };
        // The last one pushed is tried first.
        match (a.get(i).copied(), b.get(j).copied()) {
            (None, None) => return Some(spelt(&letters, written)),
            (Some('*'), Some('*')) => {
                let written = with('*');
                open.extend([(i + 1, j, written), (i, j + 1, written), (i + 1, j + 1, written)]);
            }
            (Some('*'), other) => {
                open.push((i + 1, j, written));
                open.extend(other.map(|c| (i, j + 1, with(c))));
            }
            (other, Some('*')) => {
                open.push((i, j + 1, written));
                open.extend(other.map(|c| (i + 1, j, with(c))));
            }
            (Some(x), Some('?')) => open.push((i + 1, j + 1, with(x))),
            (Some('?'), Some(y)) => open.push((i + 1, j + 1, with(y))),
            (Some(x), Some(y)) if x == y => open.push((i + 1, j + 1, with(x))),
            _ => {}
        }
    }
    None
}

/// The text that ends at a place, each letter with the place of the one before it.
fn spelt(letters: &[(usize, char)], last: Option<usize>) -> String {
    let mut text = Vec::new();
    let mut at = last;
    while let Some((before, letter)) = at.and_then(|at| letters.get(at)) {
        text.push(*letter);
        at = Some(*before);
    }
    text.into_iter().rev().collect()
}

/// Resources that a pattern matches: its wildcards and variables filled in, with nothing and with
/// something.
fn filled(pattern: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((_, tail)) = after.split_once('}') else { break };
        plain.push_str(before);
        plain.push('x');
        rest = tail;
    }
    plain.push_str(rest);
    let with = |text: &str| plain.replace('*', text).replace('?', "x");
    let mut found = vec![with("anything"), with("")];
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use std::collections::BTreeSet;

    fn layer(name: &str, statements: &serde_json::Value) -> Layer {
        let text = serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        Layer::known(name, &Document::read(&text))
    }

    fn allow(actions: &[&str], resource: &str) -> serde_json::Value {
        serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource})
    }

    fn deny(actions: &[&str], resource: &str) -> serde_json::Value {
        serde_json::json!({"Effect": "Deny", "Action": actions, "Resource": resource})
    }

    fn own_policy() -> Arn {
        "arn:aws:iam::111122223333:policy/own".parse().unwrap()
    }

    fn ids(stack: &Stack) -> BTreeSet<&'static str> {
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = find(stack, Holder { role: &role, policies: &[own_policy()], boundary: None });
        found.into_iter().filter(|f| f.truth.is_true()).map(|f| f.way.id).collect()
    }

    fn of(identity: Vec<Layer>) -> Stack {
        Stack { identity, ..Stack::default() }
    }

    #[test]
    fn the_table_is_whole_and_every_action_in_it_exists() {
        let lines = include_str!("../data/escalation.txt").lines();
        let wanted = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(ways().len(), wanted);
        let ids: BTreeSet<_> = ways().iter().map(|way| way.id).collect();
        assert_eq!(ids.len(), wanted);
        for way in ways() {
            assert!(way.actions().all(|action| catalogue().find(action).is_some()), "{}", way.id);
            assert!(!way.steps.is_empty());
        }
    }

    #[test]
    fn each_way_is_found_where_all_of_it_is_granted_over_split_policies_and_not_with_a_part() {
        for way in ways() {
            let actions: Vec<&str> = way.actions().collect();
            let each = |missing: Option<usize>| {
                let kept = actions.iter().enumerate().filter(|(n, _)| Some(*n) != missing);
                of(kept.map(|(n, action)| layer(&format!("policy {n}"), &allow(&[action], "*"))).collect())
            };
            assert!(ids(&each(None)).contains(way.id), "{} was not found", way.id);
            for (missing, action) in actions.iter().enumerate() {
                assert!(!ids(&each(Some(missing))).contains(way.id), "{} without {action}", way.id);
            }
        }
    }

    #[test]
    fn each_way_is_gone_where_any_of_it_is_taken_away() {
        for way in ways() {
            let actions: Vec<&str> = way.actions().collect();
            let granted = vec![layer("inline policy all", &allow(&actions, "*"))];
            for action in &actions {
                let others: Vec<&str> = actions.iter().copied().filter(|a| a != action).collect();
                let rest = layer("others", &allow(if others.is_empty() { &["a4b:GetDevice"] } else { &others }, "*"));
                let mut denied = granted.clone();
                denied.push(layer("deny", &deny(&[action], "*")));
                let full = layer("FullAWSAccess", &allow(&["*"], "*"));
                let scp_deny = layer("SCP no", &deny(&[action], "*"));
                let blocked = [
                    ("deny", of(denied)),
                    ("boundary", Stack { identity: granted.clone(), boundary: Some(rest.clone()), ..Stack::default() }),
                    ("session", Stack { identity: granted.clone(), session: Some(rest.clone()), ..Stack::default() }),
                    (
                        "scp",
                        Stack {
                            identity: granted.clone(),
                            scps: vec![vec![full.clone()], vec![rest]],
                            ..Stack::default()
                        },
                    ),
                    (
                        "scp deny",
                        Stack { identity: granted.clone(), scps: vec![vec![full, scp_deny]], ..Stack::default() },
                    ),
                ];
                for (by, stack) in blocked {
                    assert!(!ids(&stack).contains(way.id), "{} though {action} is blocked by {by}", way.id);
                }
            }
        }
    }

    #[test]
    fn own_ways_need_the_role_itself_and_passing_needs_the_service() {
        let on = |action: &str, resource: &str| ids(&of(vec![layer("p", &allow(&[action], resource))]));
        assert!(on("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/app").contains("put-role-policy"));
        assert!(on("iam:PutRolePolicy", "arn:aws:iam::*:role/a*").contains("put-role-policy"));
        assert!(!on("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/other").contains("put-role-policy"));
        assert!(on("iam:CreatePolicyVersion", own_policy().as_str()).contains("create-policy-version"));
        assert!(!on("iam:CreatePolicyVersion", "arn:aws:iam::111122223333:policy/x").contains("create-policy-version"));
        let pass = |service: &str| {
            let pass = serde_json::json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": service}}});
            ids(&of(vec![layer("p", &serde_json::json!([pass, allow(&["lambda:*", "eks:*"], "*")]))]))
        };
        let lambda = pass("lambda.amazonaws.com");
        assert!(lambda.contains("lambda-create-invoke") && !lambda.contains("pod-create-association"), "{lambda:?}");
        let pods = pass("pods.eks.amazonaws.com");
        assert!(!pods.contains("lambda-create-invoke") && pods.contains("pod-create-association"), "{pods:?}");
    }

    #[test]
    fn an_action_acts_on_resources_of_its_types_only() {
        let on = |action: &str, resources: &[&str]| {
            let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": resources});
            ids(&of(vec![layer("p", &statement)]))
        };
        // Whatever is allowed there, none of it is a way.
        let nowhere: [(&str, &[&str]); 8] = [
            ("*", &["arn:aws:s3:::invoices", "arn:aws:s3:::invoices/*"]),
            ("iam:*", &["arn:aws:s3:::invoices"]),
            ("*", &["arn:aws:dynamodb:eu-west-1:111122223333:table/orders"]),
            ("*", &["arn:aws:logs:eu-west-1:111122223333:log-group:/app:*"]),
            ("*", &["arn:aws:sqs:eu-west-1:111122223333:orders"]),
            ("iam:PassRole", &["arn:aws:s3:::invoices/*"]),
            ("iam:CreateAccessKey", &["arn:aws:iam::111122223333:role/*"]),
            ("iam:*", &["arn:aws:iam::444455556666:role/*", "arn:aws:iam::444455556666:user/*"]),
        ];
        for (action, resources) in nowhere {
            assert_eq!(on(action, resources), BTreeSet::new(), "{action} on {resources:?}");
        }
        let not_action =
            serde_json::json!({"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "arn:aws:s3:::b"});
        assert_eq!(ids(&of(vec![layer("p", &not_action)])), BTreeSet::new());
        let roles = on("*", &["arn:aws:iam::*:role/*"]);
        assert!(roles.contains("put-role-policy") && roles.contains("update-trust"), "{roles:?}");
        let kinds: BTreeSet<&str> =
            ways().iter().filter(|way| roles.contains(way.id)).map(|way| way.gain.as_str()).collect();
        assert_eq!(kinds, BTreeSet::from(["own_permissions", "another_role"]));
        assert!(!roles.iter().any(|id| id.starts_with("sso-")), "{roles:?}");
        let portal = on("aws-portal:View*", &["*"]);
        assert_eq!(portal, BTreeSet::new());
    }

    #[test]
    fn what_aws_keeps_for_itself_is_no_way() {
        let on = |action: &str, resource: &str| ids(&of(vec![layer("p", &allow(&[action], resource))]));
        for path in ["aws-reserved/sso.amazonaws.com/*", "aws-reserved/*", "aws-service-role/*"] {
            let role = format!("arn:aws:iam::111122223333:role/{path}");
            assert_eq!(on("iam:UpdateAssumeRolePolicy", &role), BTreeSet::new(), "{path}");
            assert_eq!(on("iam:*", &role).iter().filter(|id| id.contains("policy")).count(), 0, "{path}");
        }
        assert!(!on("iam:CreatePolicyVersion", "arn:aws:iam::aws:policy/*").contains("create-policy-version-assume"));
    }

    #[test]
    fn what_a_role_is_or_has_decides_its_own_ways() {
        let when = |action: &str, resource: &str, condition: serde_json::Value| {
            let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": resource,
                "Condition": condition});
            of(vec![layer("p", &statement)])
        };
        // A role has no user name, so that it has no keys of its own.
        let keys = of(vec![layer("p", &allow(&["iam:CreateAccessKey"], "arn:aws:iam::*:user/${aws:username}"))]);
        assert_eq!(ids(&keys), BTreeSet::new());
        let own = when(
            "iam:PutRolePolicy",
            "*",
            serde_json::json!({"ArnEquals": {
            "aws:PrincipalArn": "arn:aws:iam::111122223333:role/other"}}),
        );
        assert_eq!(ids(&own), BTreeSet::new());
        let limit: Arn = "arn:aws:iam::111122223333:policy/limit".parse().unwrap();
        let bounded = when(
            "iam:PutRolePolicy",
            "*",
            serde_json::json!({"StringEquals": {
            "iam:PermissionsBoundary": limit.as_str()}}),
        );
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = |boundary: Option<&Arn>| find(&bounded, Holder { role: &role, policies: &[], boundary }).len();
        assert_eq!((found(None), found(Some(&limit))), (0, 1));
    }

    /// What is found of two ways: to write users' policies, and to do so with keys of the same user.
    fn of_users(first: &[String], second: &[String]) -> [Option<Truth>; 2] {
        let many = |users: &[String], action: &str| {
            layer("p", &serde_json::json!({"Effect": "Allow", "Action": action, "Resource": users}))
        };
        let stack = of(vec![many(first, "iam:PutUserPolicy"), many(second, "iam:CreateAccessKey")]);
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = find(&stack, Holder { role: &role, policies: &[], boundary: None });
        let of = |id: &str| found.iter().find(|found| found.way.id == id).map(|found| found.truth.clone());
        [of("put-user-policy"), of("put-user-policy-key")]
    }

    fn users(number: usize, name: impl Fn(usize) -> String) -> Vec<String> {
        (0..number).map(|n| format!("arn:aws:iam::111122223333:user/{}", name(n))).collect()
    }

    #[test]
    fn long_lists_of_names_are_told_apart() {
        let names = users(900, |n| format!("{n:04}a"));
        assert_eq!(of_users(&names, &users(900, |n| format!("{n:04}b"))), [Some(Truth::True), None]);
        let with_one = [users(899, |n| format!("{n:04}b")), users(1, |_| "0899a".to_owned())].concat();
        assert_eq!(of_users(&names, &with_one), [Some(Truth::True), Some(Truth::True)]);
    }

    #[test]
    fn what_takes_too_many_steps_is_unknown_and_leaves_the_rest_as_it_is() {
        // All of these meet each other but for the last letter.
        let globs = |last: char| users(900, move |n| format!("*{n:03}*{:03}*{last}", n * 7 % 1_000));
        let [plain, on_one] = of_users(&globs('a'), &globs('b'));
        assert_eq!(plain, Some(Truth::True));
        let Some(Truth::Unknown(why)) = on_one else { panic!("{on_one:?}") };
        assert!(matches!(*why, [Why::Exceeded { of: POLICIES, .. }]), "{why:?}");
        assert!(why[0].to_string().contains("would take more than"), "{}", why[0]);
    }

    #[test]
    fn every_way_is_unknown_where_the_policies_cannot_be_read_in_the_steps_there_are() {
        let all = of(vec![layer("p", &allow(&["*"], "*"))]);
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let holder = Holder { role: &role, policies: &[], boundary: None };
        for most in [0, 1, 10, 100] {
            let steps = Steps::up_to(most, POLICIES);
            let found = find_within(&all, holder, &steps);
            assert_eq!(found.len(), find(&all, holder).len().max(found.len()), "{most}");
            let is_cut =
                |truth: &Truth| matches!(truth, Truth::Unknown(why) if matches!(**why, [Why::Exceeded { .. }]));
            assert!(found.iter().all(|f| f.truth.is_true() || is_cut(&f.truth)), "{most}");
        }
    }

    #[test]
    fn a_pattern_is_met_with_those_alone_that_begin_like_it() {
        let patterns: Vec<String> =
            ["", "a", "ab", "ab*", "a*", "*", "b*", "abc", "ac", "ab?"].map(str::to_owned).into();
        let starts = Starts::of(&patterns);
        for one in &patterns {
            let beside: BTreeSet<&str> = starts.beside(one).into_iter().collect();
            assert_eq!(starts.beside(one).first(), Some(&one.as_str()));
            for other in &patterns {
                assert!(meet(one, other).is_none() || beside.contains(other.as_str()), "{one} {other}");
            }
        }
        assert!(!starts.beside("ab").iter().any(|other| ["ac", "b*"].contains(other)));
    }

    #[test]
    fn a_pair_on_one_resource_needs_one_resource() {
        let both = |a: &str, b: &str| {
            ids(&of(vec![
                layer("a", &allow(&["iam:PutUserPolicy"], a)),
                layer("b", &allow(&["iam:CreateAccessKey"], b)),
            ]))
        };
        let user = |name: &str| format!("arn:aws:iam::111122223333:user/{name}");
        assert!(both(&user("a*"), &user("*b")).contains("put-user-policy-key"));
        assert!(!both(&user("x"), &user("y")).contains("put-user-policy-key"));
    }

    #[test]
    fn a_boundary_on_other_resources_takes_the_way_away_and_on_overlapping_ones_it_does_not() {
        let under = |resource: &str| {
            let identity = vec![layer("p", &allow(&["iam:UpdateAssumeRolePolicy"], "arn:aws:iam::*:role/app-*"))];
            let boundary = Some(layer("b", &allow(&["iam:*"], resource)));
            ids(&Stack { identity, boundary, ..Stack::default() })
        };
        assert!(under("arn:aws:iam::*:role/*-prod").contains("update-trust"));
        assert!(under("arn:aws:iam::111122223333:role/*").contains("update-trust"));
        assert!(!under("arn:aws:iam::*:role/team/*").contains("update-trust"));
    }

    #[test]
    fn what_two_patterns_have_in_common() {
        for (a, b, wanted) in [
            ("abc", "abc", Some("abc")),
            ("a*", "*c", Some("a*c")),
            ("a?c", "ab*", Some("abc")),
            ("role/app-*", "role/*-prod", Some("role/app-*-prod")),
            ("*x", "*y*", Some("*y*x")),
            ("a*", "b*", None),
            ("a", "a?", None),
            ("*", "*", Some("*")),
        ] {
            assert_eq!(meet(a, b).as_deref(), wanted, "{a} and {b}");
        }
    }
}
