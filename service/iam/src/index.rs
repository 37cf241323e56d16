//! Which statements of a policy name which action, worked out once for a policy.
//!
//! Knows, for every action of the catalogue, the statements that name it: the actions' numbers fall
//! into runs over which these are the same. An action that is not listed is matched against every
//! statement. Refuses to know resources, principals and conditions; it only puts the statements
//! that ask for none of them first, since they decide at once.

use crate::catalogue::catalogue;
use crate::document::{Clause, Effect, Policy, Statement};
use crate::pattern::ActionPattern;
use crate::request::ActionName;
use std::collections::HashMap;

/// The statements that name an action, as positions in the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Candidates {
    pub(crate) deny: Box<[u32]>,
    pub(crate) allow: Box<[u32]>,
}

/// A policy's statements by action.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// Where each run of action numbers begins; the first begins at 0.
    starts: Box<[u32]>,
    /// The candidates of each run, as a position in `candidates`.
    runs: Box<[u32]>,
    candidates: Box<[Candidates]>,
}

/// A set of action numbers, one bit each.
struct Bits(Vec<u64>);

impl Bits {
    fn new(actions: usize) -> Self {
        Self(vec![0; actions.div_ceil(64)])
    }

    fn set(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn add(&mut self, pattern: &ActionPattern) {
        let Some(service) = pattern.service() else {
            self.0.fill(u64::MAX);
            return;
        };
        if !pattern.has_wildcard() {
            if let Some(number) = catalogue().number(pattern.as_str()) {
                self.set(number);
            }
            return;
        }
        let Some(range) = catalogue().service(service) else { return };
        let whole = pattern.is_whole_service();
        for (number, action) in range.clone().zip(catalogue().actions().get(range).unwrap_or_default()) {
            if whole || pattern.matches_name(action.short_name()) {
                self.set(number);
            }
        }
    }

    fn of(statement: &Statement, actions: usize) -> Self {
        let mut bits = Self::new(actions);
        for pattern in statement.actions.elements() {
            bits.add(pattern);
        }
        if statement.actions.is_not() {
            bits.0.iter_mut().for_each(|word| *word = !*word);
        }
        bits
    }

    /// Marks where membership changes from one number to the next.
    fn mark_changes(&self, changes: &mut Self) {
        let mut last = 0;
        for (word, change) in self.0.iter().zip(&mut changes.0) {
            *change |= word ^ (word << 1 | last);
            last = word >> 63;
        }
    }
}

/// Whether a statement matches every request of its actions.
pub(crate) fn is_unlimited(statement: &Statement) -> bool {
    let everything = match &statement.resources {
        None => true,
        Some(Clause::In(list)) => list.iter().any(|pattern| pattern.as_str() == "*"),
        Some(Clause::NotIn(_)) => false,
    };
    everything && statement.conditions.is_empty()
}

fn position(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Index {
    pub(crate) fn of(policy: &Policy) -> Self {
        let actions = catalogue().actions().len();
        let mut order: Vec<(u32, &Statement)> =
            policy.statements.iter().enumerate().map(|(at, statement)| (position(at), &**statement)).collect();
        order.sort_by_key(|(_, statement)| !is_unlimited(statement));
        let sets: Vec<(u32, Effect, Bits)> =
            order.iter().map(|(at, statement)| (*at, statement.effect, Bits::of(statement, actions))).collect();
        let mut changes = Bits::new(actions);
        changes.set(0);
        for (_, _, bits) in &sets {
            bits.mark_changes(&mut changes);
        }
        let (mut starts, mut runs) = (Vec::new(), Vec::new());
        let mut known: HashMap<Candidates, u32> = HashMap::new();
        let mut candidates = Vec::new();
        let words = changes.0.iter().enumerate();
        let numbers = words.flat_map(|(at, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(word.trailing_zeros()).unwrap_or(64);
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit)
            })
        });
        for number in numbers.take_while(|number| *number < actions) {
            let with = |wanted: Effect| {
                let named = sets.iter().filter(|(_, effect, bits)| *effect == wanted && bits.has(number));
                named.map(|(at, _, _)| *at).collect()
            };
            let found = Candidates { deny: with(Effect::Deny), allow: with(Effect::Allow) };
            let at = *known.entry(found).or_insert_with_key(|found| {
                candidates.push(found.clone());
                position(candidates.len() - 1)
            });
            starts.push(position(number));
            runs.push(at);
        }
        Self { starts: starts.into(), runs: runs.into(), candidates: candidates.into() }
    }

    /// The statements that name a listed action.
    pub(crate) fn listed(&self, number: usize) -> Option<&Candidates> {
        let number = u32::try_from(number).ok()?;
        let run = self.starts.partition_point(|start| *start <= number).checked_sub(1)?;
        let at = usize::try_from(*self.runs.get(run)?).ok()?;
        self.candidates.get(at)
    }
}

impl Policy {
    /// The statements that name an action, each effect by itself: those that ask for nothing else
    /// first.
    pub(crate) fn naming<'a>(&'a self, action: &ActionName, scratch: &'a mut Option<Candidates>) -> &'a Candidates {
        let listed = action.number().and_then(|number| self.index.get_or_init(|| Index::of(self)).listed(number));
        if let Some(found) = listed {
            return found;
        }
        let with = |wanted: Effect| {
            let each = self.statements.iter().enumerate();
            let named = each.filter(|(_, s)| s.effect == wanted && s.names_action(action.as_str()));
            named.map(|(at, _)| position(at)).collect()
        };
        scratch.insert(Candidates { deny: with(Effect::Deny), allow: with(Effect::Allow) })
    }

    /// The statement at a position.
    pub(crate) fn at(&self, position: u32) -> Option<&std::sync::Arc<Statement>> {
        self.statements.get(usize::try_from(position).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statements: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap()
    }

    #[test]
    fn the_index_names_what_the_patterns_name() {
        let policy = policy(
            r#"{"Effect":"Allow","Action":["s3:Get*","EC2:describeinstances","iam:*","nosuch:*"],"Resource":"arn:aws:s3:::b"},
            {"Effect":"Deny","NotAction":["iam:*","s3:*","sts:Assume?ole"],"Resource":"*"},
            {"Effect":"Allow","Action":"*","Resource":"*"},
            {"Effect":"Allow","NotAction":[],"Resource":"*","Condition":{"Bool":{"a:b":"true"}}}"#,
        );
        let names = catalogue().actions().iter().map(|action| action.name);
        for name in names.chain(["nosuch:Thing", "iam:Unheard", "s3:GetMore", "nocolon"]) {
            let mut scratch = None;
            let found = policy.naming(&ActionName::new(name), &mut scratch);
            let mut all: Vec<u32> = found.deny.iter().chain(&found.allow).copied().collect();
            all.sort_unstable();
            let each = policy.statements.iter().enumerate().filter(|(_, s)| s.names_action(name));
            assert_eq!(all, each.map(|(at, _)| position(at)).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn what_decides_at_once_comes_first() {
        let policy = policy(
            r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},
            {"Effect":"Allow","Action":"s3:*","Resource":"*"}"#,
        );
        let mut scratch = None;
        assert_eq!(*policy.naming(&ActionName::new("s3:GetObject"), &mut scratch).allow, [1, 0]);
    }
}
