//! Which statements of a policy name which action, worked out once for a policy.
//!
//! Knows, for every action of the catalogue, the statements that name it: the actions' numbers fall
//! into runs over which these are the same. An action that is not listed is matched against every
//! statement. Refuses to know resources, principals and conditions; it only puts the statements
//! that ask for none of them first, since they decide at once.

use crate::catalogue::catalogue;
use crate::matching::action_set::ActionSet;
use crate::policy::ast::{Clause, Effect, Policy, Principal, Statement};
use std::collections::HashMap;

/// Whether a statement asks for anything but its actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asks {
    /// Resources, conditions, or certain principals.
    Something,
    /// Nothing, and it names no principals.
    Nothing,
    /// Nothing, and it names everyone.
    Anyone,
}

/// A statement that names an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    /// Its position in the policy.
    pub(crate) at: u32,
    pub(crate) asks: Asks,
}

/// The statements that name an action.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Candidates<'a> {
    pub(crate) deny: &'a [Candidate],
    pub(crate) allow: &'a [Candidate],
}

/// From how many runs on a coarse table makes them faster to find.
const MANY: usize = 64;

/// So many members of sets are kept: a policy of IAM's largest size has fewer.
const MOST_MEMBERS: usize = 1_000_000;

/// A policy's statements by action.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// Where each run of action numbers begins, and which of the sets it has; the first begins at 0.
    runs: Box<[(u32, u32)]>,
    /// For a policy of many runs: how many of them begin before each 64th number.
    coarse: Box<[u32]>,
    /// Where in the members the Denies of a set begin, the Allows begin, and the Allows end.
    sets: Box<[(u32, u32, u32)]>,
    members: Box<[Candidate]>,
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

    fn of(set: &ActionSet, actions: usize) -> Self {
        let mut bits = Self::new(actions);
        set.numbers().for_each(|number| bits.set(number));
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

impl Asks {
    fn new(statement: &Statement) -> Self {
        let everything = match &statement.resources {
            None => true,
            Some(Clause::In(list)) => list.iter().any(|pattern| pattern.as_str() == "*"),
            Some(Clause::NotIn(_)) => false,
        };
        match &statement.principals {
            _ if !everything || !statement.conditions.is_empty() => Self::Something,
            None => Self::Nothing,
            Some(Clause::In(list)) if list.contains(&Principal::Everyone) => Self::Anyone,
            Some(_) => Self::Something,
        }
    }
}

fn position(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn place(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The positions of the statements of one effect that are wanted: first those that ask for nothing.
fn members(policy: &Policy, effect: Effect, wanted: impl Fn(usize, &Statement) -> bool) -> Vec<Candidate> {
    let each = policy.statements.iter().enumerate().filter(|(at, s)| s.effect == effect && wanted(*at, s));
    let mut out: Vec<Candidate> =
        each.map(|(at, statement)| Candidate { at: position(at), asks: Asks::new(statement) }).collect();
    out.sort_by_key(|candidate| candidate.asks == Asks::Something);
    out
}

impl Index {
    /// Of a policy whose statements overlap too much to be kept by action.
    fn none() -> Self {
        Self { runs: Box::default(), coarse: Box::default(), sets: Box::default(), members: Box::default() }
    }

    /// Of a policy, and the actions that each of its statements names.
    pub(super) fn new<'s>(policy: &Policy, named: impl Iterator<Item = &'s ActionSet>) -> Self {
        let actions = catalogue().actions().len();
        let named: Vec<Bits> = named.map(|set| Bits::of(set, actions)).collect();
        let mut changes = Bits::new(actions);
        changes.set(0);
        for bits in &named {
            bits.mark_changes(&mut changes);
        }
        let mut known: HashMap<[Vec<Candidate>; 2], u32> = HashMap::new();
        let (mut runs, mut sets, mut all) = (Vec::new(), Vec::new(), Vec::new());
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
            if all.len() > MOST_MEMBERS {
                return Self::none();
            }
            let with =
                |effect| members(policy, effect, |at, _| named.get(at).is_some_and(|bits: &Bits| bits.has(number)));
            let set = *known.entry([with(Effect::Deny), with(Effect::Allow)]).or_insert_with_key(|[deny, allow]| {
                let from = position(all.len());
                all.extend(deny);
                let middle = position(all.len());
                all.extend(allow);
                sets.push((from, middle, position(all.len())));
                position(sets.len() - 1)
            });
            runs.push((position(number), set));
        }
        let blocks = if runs.len() > MANY { 1 + actions / 64 } else { 0 };
        let before = |block: usize| position(runs.partition_point(|(start, _)| place(*start) < block * 64));
        let coarse = (0..=blocks).filter(|_| blocks > 0).map(before).collect();
        Self { coarse, runs: runs.into(), sets: sets.into(), members: all.into() }
    }

    /// The statements that name a listed action.
    pub(crate) fn listed(&self, number: usize) -> Option<Candidates<'_>> {
        let block = self.coarse.get(number / 64).zip(self.coarse.get(number / 64 + 1));
        let (first, last) = block.map_or((0, self.runs.len()), |(from, to)| (place(*from), place(*to)));
        let number = u32::try_from(number).ok()?;
        let within = self.runs.get(first..last)?.partition_point(|(start, _)| *start <= number);
        let (_, set) = self.runs.get((first + within).checked_sub(1)?)?;
        let (from, middle, to) = *self.sets.get(place(*set))?;
        let of = |from: u32, to: u32| self.members.get(place(from)..place(to));
        Some(Candidates { deny: of(from, middle)?, allow: of(middle, to)? })
    }
}

/// The statements that are wanted, by a look at each: Denies, then Allows.
pub(super) fn unlisted(policy: &Policy, wanted: impl Fn(usize, &Statement) -> bool) -> [Vec<Candidate>; 2] {
    [Effect::Deny, Effect::Allow].map(|effect| members(policy, effect, &wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::action_name::ActionName;
    use crate::policy::compiled::CompiledPolicy;

    fn policy(statements: &str) -> CompiledPolicy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap().into()
    }

    #[test]
    fn the_index_names_what_the_patterns_name() {
        let services = catalogue().services().map(|(service, _)| format!("{service}:*e*"));
        let often: Vec<String> = services.chain(["s3:Put*".to_owned()]).collect();
        let few = policy(
            r#"{"Effect":"Allow","Action":["s3:Get*","EC2:describeinstances","iam:*","nosuch:*"],"Resource":"arn:aws:s3:::b"},
            {"Effect":"Deny","NotAction":["iam:*","s3:*","sts:Assume?ole"],"Resource":"*"},
            {"Effect":"Allow","Action":"*","Resource":"*"},
            {"Effect":"Allow","NotAction":[],"Resource":"*","Condition":{"Bool":{"a:b":"true"}}}"#,
        );
        agrees(&few);
        let many = policy(&format!(r#"{{"Effect":"Allow","Action":["{}"],"Resource":"*"}}"#, often.join("\",\"")));
        agrees(&many);
    }

    /// Whether the index gives what the statements' own patterns give.
    fn agrees(policy: &CompiledPolicy) {
        let names = catalogue().actions().iter().map(|action| action.name);
        for name in names.chain(["nosuch:Thing", "iam:Unheard", "s3:GetMore", "nocolon"]) {
            let mut scratch = Default::default();
            let found = policy.naming(&ActionName::new(name), &mut scratch);
            let mut all: Vec<u32> = found.deny.iter().chain(found.allow).map(|c| c.at).collect();
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
        let mut scratch = Default::default();
        let allow = policy.naming(&ActionName::new("s3:GetObject"), &mut scratch).allow;
        assert_eq!(
            allow.iter().map(|c| (c.at, c.asks)).collect::<Vec<_>>(),
            [(1, Asks::Nothing), (0, Asks::Something)]
        );
    }
}
