//! Answers about the policies of one role, each worked out once and within the steps there are.

use crate::arn::{Arn, RoleArn};
use crate::context::Context;
use crate::escalation::patterns::{Exclusions, Starts, filled, meet, of_meeting};
use crate::escalation::policies::Places;
use crate::evaluate::policy_set::PolicySet;
use crate::evaluate::requester::Requester;
use crate::policy::site::Answer;
use crate::steps::{self, Exceeded, Steps};
use crate::truth::{Truth, Why};
use std::collections::{BTreeSet, HashMap, HashSet};

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

/// Whether the action changes a policy rather than a role.
#[must_use]
pub fn is_of_policy(action: &str) -> bool {
    matches!(action, "iam:CreatePolicyVersion" | "iam:SetDefaultPolicyVersion")
}

/// An action, and the service that a role is passed to by it.
type Call = (&'static str, Option<&'static str>);

/// One question may take this part of all steps, so that a dear one leaves some to the others.
const SHARE: u64 = 8;

/// Answers about one stack, each worked out once.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    stack: &'a PolicySet,
    holder: Holder<'a>,
    context: Context,
    steps: &'a Steps,
    /// Those that all questions before the one at hand took.
    before: u64,
    somewhere: HashMap<Call, Answer>,
    places: HashMap<&'static str, Places>,
    weights: HashMap<&'static str, usize>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(stack: &'a PolicySet, holder: Holder<'a>, steps: &'a Steps) -> Self {
        Self {
            stack,
            holder,
            context: holder.context(),
            steps,
            before: 0,
            somewhere: HashMap::new(),
            places: HashMap::new(),
            weights: HashMap::new(),
        }
    }

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
    pub(super) fn somewhere(&mut self, action: &'static str, passed_to: Option<&'static str>) -> Answer {
        if let Some(answer) = self.somewhere.get(&(action, passed_to)) {
            return answer.clone();
        }
        self.begin();
        let context = match passed_to {
            Some(service) => self.context.clone().set("iam:PassedToService", [service]),
            None => self.context.clone(),
        };
        let places = self.places(action);
        let mut best = Best::new(places.is_cut);
        let resources = places.patterns.iter().flat_map(|pattern| filled(pattern));
        for resource in resources {
            if best.is_decided_by(self.ask(action, &resource, &context)) {
                break;
            }
        }
        if best.answer.truth.is_false() && !best.is_cut {
            self.beside_exclusions(&[action], &places.patterns, &context, &mut best, |asked, resource| {
                asked.ask(action, resource, &context)
            });
        }
        let answer = best.answer(|| self.why());
        self.somewhere.insert((action, passed_to), answer.clone());
        answer
    }

    /// Whether two actions are allowed on some resource that they have in common.
    pub(super) fn on_one(&mut self, first: &'static str, second: &'static str) -> Answer {
        self.begin();
        let (a, b) = (self.places(first), self.places(second));
        let mut best = Best::new(a.is_cut || b.is_cut);
        let starts = Starts::new(&b.patterns);
        let (mut seen, mut common): (HashSet<String>, BTreeSet<String>) = Default::default();
        for one in a.patterns.iter() {
            for other in starts.beside(one) {
                if self.take(of_meeting(one, other)).is_err() {
                    return best.cut().answer(|| self.why());
                }
                let Some(both) = meet(one, other) else { continue };
                common.insert(both.clone());
                for resource in filled(&both) {
                    if seen.contains(&resource) {
                        continue;
                    }
                    if best.is_decided_by(self.ask_both(first, second, &resource)) {
                        return best.answer(|| self.why());
                    }
                    seen.insert(resource);
                }
            }
        }
        if best.answer.truth.is_false() && !best.is_cut {
            let common: Vec<String> = common.into_iter().collect();
            let context = self.context.clone();
            self.beside_exclusions(&[first, second], &common, &context, &mut best, |asked, resource| {
                asked.ask_both(first, second, resource)
            });
        }
        best.answer(|| self.why())
    }

    /// Asks on resources that the patterns match and that exclusions may leave.
    fn beside_exclusions(
        &mut self,
        actions: &[&'static str],
        patterns: &[String],
        context: &Context,
        best: &mut Best,
        ask: impl Fn(&mut Self, &str) -> Result<Answer, Exceeded>,
    ) {
        let mut exclusions = Exclusions::default();
        for action in actions {
            // Where a Deny takes everything away there is nothing beside it.
            let Some(found) = self.stack.exclusions(action, context) else { return };
            exclusions.add(found);
        }
        for pattern in patterns {
            if self.take(1).is_err() {
                best.is_cut = true;
                return;
            }
            if !exclusions.may_leave_others(pattern) {
                continue;
            }
            let Ok(narrowed) = exclusions.narrowed(pattern, &|steps| self.take(steps)) else {
                best.is_cut = true;
                return;
            };
            for resource in narrowed.iter().flat_map(|pattern| exclusions.filled(pattern)) {
                if best.is_decided_by(ask(self, &resource)) {
                    return;
                }
            }
        }
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

    pub(super) fn own(&mut self, action: &'static str) -> Answer {
        self.begin();
        let mut best = Best::new(false);
        // What acts on policies acts on those that are attached; all else on the role.
        if is_of_policy(action) {
            let context = self.context.clone();
            for arn in self.holder.policies {
                if best.is_decided_by(self.ask(action, arn.as_str(), &context)) {
                    break;
                }
            }
            return best.answer(|| self.why());
        }
        let context = changing(self.context.clone(), self.holder.boundary);
        best.is_decided_by(self.ask(action, self.holder.role.as_str(), &context));
        best.answer(|| self.why())
    }
}

/// The most certain of several answers so far; no where there is none, and unknown where not all were
/// asked.
struct Best {
    answer: Answer,
    is_cut: bool,
}

impl Best {
    fn new(is_cut: bool) -> Self {
        Self { answer: Answer::bare(Truth::False), is_cut }
    }

    fn cut(self) -> Self {
        Self { is_cut: true, ..self }
    }

    /// Takes an answer in; whether no other can change anything, or be asked for.
    fn is_decided_by(&mut self, answer: Result<Answer, Exceeded>) -> bool {
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
