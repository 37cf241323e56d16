//! What is left of an Allow after every ceiling and every Deny of a policy set.

use crate::condition::Condition;
use crate::evaluate::policy_set::PolicyRef;
use crate::evaluate::policy_set::PolicySet;
use crate::matching::action_set::ActionSet;
use crate::policy::ast::Effect;
use crate::policy::compiled::CompiledStatement;
use crate::policy::reach::{Reach, reaches};
use crate::steps::{Exceeded, Steps};
use crate::version::Version;

/// So many parts of one Allow are told apart; beyond, its resources are no longer looked at.
const MOST_PARTS: usize = 128;

/// What is asked about: sets of listed actions, or whether one name gets through.
pub(super) trait Share: Clone {
    fn and(&self, other: &Self) -> Self;
    fn meets(&self, other: &Self) -> bool;
    fn minus(&self, other: &Self) -> Self;
    fn any<'s>(shares: impl IntoIterator<Item = &'s Self>) -> Self
    where
        Self: 's;
    fn is_none(&self) -> bool;
}

impl Share for ActionSet {
    fn and(&self, other: &Self) -> Self {
        self.intersection(other)
    }

    fn meets(&self, other: &Self) -> bool {
        self.intersects(other)
    }

    fn minus(&self, other: &Self) -> Self {
        Self::minus(self, other)
    }

    fn any<'s>(shares: impl IntoIterator<Item = &'s Self>) -> Self {
        Self::union_of(shares)
    }

    fn is_none(&self) -> bool {
        self.is_empty()
    }
}

impl Share for bool {
    fn and(&self, other: &Self) -> Self {
        *self && *other
    }

    fn meets(&self, other: &Self) -> bool {
        *self && *other
    }

    fn minus(&self, other: &Self) -> Self {
        *self && !*other
    }

    fn any<'s>(shares: impl IntoIterator<Item = &'s Self>) -> Self {
        shares.into_iter().any(|share| *share)
    }

    fn is_none(&self) -> bool {
        !*self
    }
}

pub(super) type Part<'a, S> = (Reach<'a>, S);

/// The parts of a statement, with what is asked about in each.
fn parts<'a, S: Share>(
    statement: &'a CompiledStatement,
    of: &impl Fn(&CompiledStatement) -> Vec<S>,
) -> Vec<Part<'a, S>> {
    let shares = of(statement);
    if shares.iter().all(Share::is_none) {
        return Vec::new();
    }
    reaches(statement).into_iter().zip(shares).filter(|(_, share)| !share.is_none()).collect()
}

pub(super) fn sets(statement: &CompiledStatement) -> Vec<ActionSet> {
    statement.actions_fitting().to_vec()
}

/// What policies that count together let through.
pub(super) struct Ceiling<'a, S> {
    /// Something of it was not seen: then it takes nothing away.
    pub(super) unseen: bool,
    /// On every resource.
    open: S,
    narrow: Vec<Part<'a, S>>,
}

pub(super) struct Deny<'a, S> {
    pub(super) part: Part<'a, S>,
    /// What must hold for it, beyond what always does.
    conditions: &'a [Condition],
    language: Version,
}

/// Every ceiling and Deny of a stack.
pub(super) struct Limits<'a, S> {
    pub(super) ceilings: Vec<Ceiling<'a, S>>,
    /// Denied on every resource, without a condition.
    pub(super) denied: S,
    pub(super) denies: Vec<Deny<'a, S>>,
}

/// What is left of an Allow.
pub(super) struct Passed<S> {
    /// After the ceilings.
    pub(super) under: S,
    /// After the Denies too.
    pub(super) left: S,
}

impl<'a, S: Share> Limits<'a, S> {
    pub(super) fn new(
        stack: &'a PolicySet,
        of: &impl Fn(&CompiledStatement) -> Vec<S>,
        denied: &impl Fn(&CompiledStatement) -> S,
    ) -> Self {
        let ceiling = |layers: &'a [PolicyRef]| {
            let allows = layers.iter().flat_map(|layer| layer.statements(Effect::Allow));
            let (open, narrow): (Vec<_>, Vec<_>) =
                allows.flat_map(|s| parts(s, of)).partition(|(reach, _)| matches!(reach, Reach::All { star: true }));
            let open = S::any(open.iter().map(|(_, share)| share));
            Ceiling { unseen: layers.iter().any(|layer| layer.policy.is_err()), open, narrow }
        };
        let (mut whole, mut denies) = (Vec::new(), Vec::new());
        for layer in stack.own_policies() {
            let language = layer.policy.as_ref().map_or(Version::V2008, |policy| policy.language());
            // A Deny that names principals has no place here: whom it binds is not known.
            for statement in layer.statements(Effect::Deny).filter(|s| s.principals.is_none()) {
                if !statement.is_conditional() {
                    whole.push(denied(statement));
                }
                let all = |(reach, _): &Part<'_, S>| matches!(reach, Reach::All { .. });
                let each = parts(statement, of).into_iter().filter(|part| statement.is_conditional() || !all(part));
                denies.extend(each.map(|part| Deny { part, conditions: &statement.conditions, language }));
            }
        }
        Self { ceilings: stack.ceilings().map(ceiling).collect(), denied: S::any(&whole), denies }
    }

    pub(super) fn pass(
        &self,
        statement: &CompiledStatement,
        language: Version,
        of: &impl Fn(&CompiledStatement) -> Vec<S>,
        steps: &Steps,
    ) -> Result<Passed<S>, Exceeded> {
        let mut left = parts(statement, of);
        for ceiling in self.ceilings.iter().filter(|ceiling| !ceiling.unseen) {
            left = ceiling.pass(left, steps)?;
        }
        let under = S::any(left.iter().map(|(_, share)| share));
        for (reach, share) in &mut left {
            *share = share.minus(&self.denied);
            steps.take(1 + self.denies.len() / 2)?;
            for deny in &self.denies {
                let read_alike = deny.language == language || !deny.part.0.has_variable();
                if !share.meets(&deny.part.1) {
                    continue;
                }
                steps.take(reach.weight() + deny.part.0.weight())?;
                if read_alike && deny.part.0.covers(*reach) && deny.follows(statement, language) {
                    *share = share.minus(&deny.part.1);
                }
            }
        }
        Ok(Passed { under, left: S::any(left.iter().map(|(_, share)| share)) })
    }
}

impl<'a, S: Share> Ceiling<'a, S> {
    fn pass<'p>(&'p self, parts: Vec<Part<'p, S>>, steps: &Steps) -> Result<Vec<Part<'p, S>>, Exceeded>
    where
        'a: 'p,
    {
        let mut left = Vec::with_capacity(parts.len());
        for (reach, share) in parts {
            let open = share.and(&self.open);
            let rest = share.minus(&self.open);
            if !open.is_none() {
                left.push((reach, open));
            }
            if rest.is_none() {
                continue;
            }
            steps.take(1 + self.narrow.len() / 2)?;
            let mut met: Vec<Part<'p, S>> = Vec::new();
            for (other, let_through) in self.narrow.iter().filter(|(_, let_through)| rest.meets(let_through)) {
                steps.take(reach.weight() + other.weight())?;
                met.extend(reach.meet(*other).map(|both| (both, rest.and(let_through))));
            }
            if left.len() + met.len() > MOST_PARTS {
                // Without a look at the resources it can only be too much.
                let whole = S::any(met.iter().map(|(_, share)| share));
                left.push((reach, whole));
            } else {
                left.extend(met);
            }
        }
        Ok(left)
    }
}

impl<S> Deny<'_, S> {
    /// Whether it denies whenever the Allow allows: each of its conditions always holds, or is one of
    /// the Allow's own.
    pub(super) fn follows(&self, allow: &CompiledStatement, language: Version) -> bool {
        self.conditions.iter().all(|condition| {
            condition.is_always_true()
                || (self.language == language && allow.conditions.iter().any(|own| same_condition(own, condition)))
        })
    }
}

fn same_condition(a: &Condition, b: &Condition) -> bool {
    a.operator.is_known()
        && a.operator.as_str().eq_ignore_ascii_case(b.operator.as_str())
        && a.key.eq_ignore_ascii_case(&b.key)
        && a.values == b.values
}
