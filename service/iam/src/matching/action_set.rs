//! Sets of the catalogue's actions, as bits.
//!
//! A set is a list of the blocks of 64 numbers that are not empty, behind a map of which ones those
//! are: a handful of actions takes a few words, thousands take 2.8 KiB, and membership is one count of
//! bits. Sets are shared, never changed: a union that adds nothing is the old set. Refuses to know
//! what the actions mean, and actions that the catalogue does not list.

use crate::catalogue::{AccessLevel, Action, catalogue};
use crate::matching::pattern::ActionPattern;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// How many words say which blocks are there: room for 32,768 actions.
const MAP: usize = 8;
const BLOCKS: usize = MAP * 64;

/// A set of the catalogue's actions. Cloning it copies a reference.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ActionSet {
    /// The map, then the blocks that are not empty in their order; `None` where all are.
    words: Option<Arc<[u64]>>,
}

static ALL: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::from_range(0..catalogue().actions().len()));

static LEVELS: LazyLock<Vec<ActionSet>> = LazyLock::new(|| {
    let of =
        |level| ActionSet::from_numbers(catalogue().actions().iter().filter(|a| a.level == level).map(|a| a.number));
    AccessLevel::ALL.into_iter().map(of).collect()
});

/// The actions of each service, in the order of the catalogue.
static SERVICES: LazyLock<Vec<(&'static str, ActionSet)>> =
    LazyLock::new(|| catalogue().services().map(|(prefix, _)| (prefix, ActionSet::service(prefix))).collect());

/// A set while it is made: every block, empty or not, and between which ones those lie that are not:
/// most sets are of one service.
struct Open {
    blocks: [u64; BLOCKS],
    first: usize,
    behind: usize,
}

impl Open {
    fn new() -> Self {
        Self { blocks: [0; BLOCKS], first: BLOCKS, behind: 0 }
    }

    fn insert(&mut self, number: usize) {
        self.put(number / 64, 1 << (number % 64));
    }

    fn put(&mut self, block: usize, bits: u64) {
        if let Some(own) = self.blocks.get_mut(block) {
            *own |= bits;
            self.first = self.first.min(block);
            self.behind = self.behind.max(block + 1);
        }
    }

    fn add(&mut self, set: &ActionSet) {
        for (block, bits) in set.blocks() {
            self.put(block, bits);
        }
    }

    fn close(&self) -> ActionSet {
        let mut words = Vec::with_capacity(MAP + self.behind.saturating_sub(self.first));
        words.resize(MAP, 0);
        let blocks = self.blocks.iter().enumerate().take(self.behind).skip(self.first);
        for (block, bits) in blocks.filter(|(_, bits)| **bits != 0) {
            if let Some(map) = words.get_mut(block / 64) {
                *map |= 1 << (block % 64);
            }
            words.push(*bits);
        }
        ActionSet::of_words(&words)
    }
}

impl ActionSet {
    /// Every action of the catalogue.
    #[must_use]
    pub fn all() -> &'static Self {
        &ALL
    }

    /// The actions of this level.
    #[must_use]
    pub fn level(level: AccessLevel) -> &'static Self {
        let place = AccessLevel::ALL.iter().position(|own| *own == level);
        place.and_then(|place| LEVELS.get(place)).unwrap_or(&ALL)
    }

    /// The actions with these numbers.
    #[must_use]
    pub fn from_numbers(numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut open = Open::new();
        numbers.into_iter().for_each(|number| open.insert(number));
        open.close()
    }

    /// The actions with these names, in any letter case; those that are not listed are left out.
    #[must_use]
    pub fn from_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self::from_numbers(names.into_iter().filter_map(|name| catalogue().number(name)))
    }

    /// The actions of a service; none where it is not listed.
    #[must_use]
    pub fn service(prefix: &str) -> Self {
        catalogue().service(prefix).map(Self::from_range).unwrap_or_default()
    }

    /// The actions with the numbers of a range.
    #[must_use]
    pub fn from_range(range: Range<usize>) -> Self {
        Self::from_numbers(range)
    }

    fn of_words(words: &[u64]) -> Self {
        Self { words: (words.len() > MAP).then(|| words.into()) }
    }

    fn split(&self) -> (&[u64], &[u64]) {
        self.words.as_deref().and_then(|words| words.split_at_checked(MAP)).unwrap_or((&[], &[]))
    }

    /// The blocks that are not empty.
    fn blocks(&self) -> impl Iterator<Item = (usize, u64)> {
        let (map, words) = self.split();
        let places = map.iter().enumerate().flat_map(|(n, map)| ones(*map).map(move |bit| n * 64 + bit));
        places.zip(words.iter().copied())
    }

    /// Goes through the blocks of both, in order, until told to stop.
    fn walk(&self, other: &Self, mut each: impl FnMut(usize, u64, u64) -> bool) {
        let ((left, a), (right, b)) = (self.split(), other.split());
        let (mut a, mut b) = (a.iter(), b.iter());
        for n in 0..MAP {
            let (left, right) = (left.get(n).copied().unwrap_or(0), right.get(n).copied().unwrap_or(0));
            for bit in ones(left | right) {
                let next = |map: u64, words: &mut std::slice::Iter<'_, u64>| {
                    if map >> bit & 1 == 1 { words.next().copied().unwrap_or(0) } else { 0 }
                };
                let (x, y) = (next(left, &mut a), next(right, &mut b));
                if !each(n * 64 + bit, x, y) {
                    return;
                }
            }
        }
    }

    fn combine(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = Vec::with_capacity(MAP + self.split().1.len().max(other.split().1.len()));
        words.resize(MAP, 0);
        self.walk(other, |block, a, b| {
            let bits = of(a, b);
            if bits != 0 {
                if let Some(map) = words.get_mut(block / 64) {
                    *map |= 1 << (block % 64);
                }
                words.push(bits);
            }
            true
        });
        Self::of_words(&words)
    }

    fn same(&self, other: &Self) -> bool {
        match (&self.words, &other.words) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.includes(other) {
            return self.clone();
        }
        if other.includes(self) {
            return other.clone();
        }
        self.combine(other, |a, b| a | b)
    }

    /// What is in any.
    #[must_use]
    pub fn union_of<'s>(sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let mut sets = sets.into_iter();
        let Some(mut whole) = sets.next().cloned() else { return Self::default() };
        let mut open: Option<Box<Open>> = None;
        for set in sets {
            match &mut open {
                Some(open) => open.add(set),
                None if whole.includes(set) => {}
                None if set.includes(&whole) => whole = set.clone(),
                None => {
                    let mut made = Box::new(Open::new());
                    made.add(&whole);
                    made.add(set);
                    open = Some(made);
                }
            }
        }
        open.map_or(whole, |open| open.close())
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        if other.includes(self) {
            return self.clone();
        }
        self.combine(other, |a, b| a & b)
    }

    /// What is in this one only.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        if self.intersects(other) { self.combine(other, |a, b| a & !b) } else { self.clone() }
    }

    /// Whether everything in the other is in this one.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        if self.same(other) || other.is_empty() {
            return true;
        }
        let mut includes = true;
        self.walk(other, |_, a, b| {
            includes = b & !a == 0;
            includes
        });
        includes
    }

    /// Whether something is in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        if self.is_empty() || other.is_empty() {
            return false;
        }
        let mut intersects = false;
        self.walk(other, |_, a, b| {
            intersects = a & b != 0;
            !intersects
        });
        intersects
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_none()
    }

    /// How many actions are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.split().1.iter().map(|bits| usize::try_from(bits.count_ones()).unwrap_or_default()).sum()
    }

    /// Whether the action with this number is in it.
    #[must_use]
    pub fn contains_number(&self, number: usize) -> bool {
        let (map, words) = self.split();
        let (n, bit) = (number / 4096, number / 64 % 64);
        let Some(own) = map.get(n).filter(|own| **own >> bit & 1 == 1) else { return false };
        let before = map.iter().take(n).copied().chain([own & ((1 << bit) - 1)]);
        let place: u32 = before.map(u64::count_ones).sum();
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        words.get(place).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    /// Whether the action, in any letter case, is in it.
    #[must_use]
    pub fn contains(&self, action: &str) -> bool {
        catalogue().number(action).is_some_and(|number| self.contains_number(number))
    }

    /// The numbers of its actions, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.blocks().flat_map(|(block, bits)| ones(bits).map(move |bit| block * 64 + bit))
    }

    /// Its actions, in the catalogue's order (by service, then by name).
    pub fn iter(&self) -> impl Iterator<Item = &'static Action> {
        self.numbers().filter_map(|number| catalogue().actions().get(number))
    }

    /// The names of its actions.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(|action| action.name).collect()
    }

    /// Its actions of this access level.
    #[must_use]
    pub fn of_level(&self, level: AccessLevel) -> Self {
        self.intersection(Self::level(level))
    }

    /// The prefixes of the services that it has actions of.
    #[must_use]
    pub fn services(&self) -> Vec<&'static str> {
        let within = SERVICES.iter().filter(|(_, whole)| self.intersects(whole));
        within.map(|(prefix, _)| *prefix).collect()
    }

    /// Of each service all of whose actions are in the set: these.
    pub(crate) fn services_whole_in(set: &Self) -> impl Iterator<Item = &'static Self> + '_ {
        SERVICES.iter().map(|(_, whole)| whole).filter(|whole| !whole.is_empty() && set.includes(whole))
    }

    /// Bytes that its blocks take, shared or not.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.words.as_ref().map_or(0, |words| 16 + words.len() * 8)
    }

    /// The steps of finding the actions that a pattern names.
    pub(crate) fn naming_steps(pattern: &ActionPattern) -> usize {
        let Some(range) = pattern.service().and_then(|service| catalogue().service(service)) else { return 1 };
        let (_, wild) = fixed_and_wild(pattern.as_str());
        if wild.is_empty() || wild == "*" { 4 } else { 4 + range.len() }
    }

    /// The actions that a pattern names.
    #[must_use]
    pub fn named_by(pattern: &ActionPattern) -> Self {
        let Some(service) = pattern.service() else { return ALL.clone() };
        let Some(range) = catalogue().service(service) else { return Self::default() };
        if pattern.is_whole_service() {
            return Self::from_range(range);
        }
        if !pattern.has_wildcard() {
            return Self::from_numbers(catalogue().number(pattern.as_str()));
        }
        let (fixed, wild) = fixed_and_wild(pattern.as_str());
        let actions = catalogue().actions().get(range).unwrap_or_default();
        // The names lie sorted: only those with the same beginning can match.
        let first = actions.partition_point(|action| begin(action, fixed) == Ordering::Less);
        let from = actions.get(first..).unwrap_or_default();
        let same = from.get(..from.partition_point(|action| begin(action, fixed) == Ordering::Equal));
        let same = same.unwrap_or_default();
        if wild == "*" {
            return Self::from_numbers(same.iter().map(|action| action.number));
        }
        let wild = Wild::new(pattern.as_str());
        Self::from_numbers(same.iter().map(|action| action.number).filter(|number| wild.matches(*number)))
    }
}

/// The name of an action or a pattern in lower case, and which letters it has.
struct Name {
    text: Box<[u8]>,
    letters: u64,
}

static NAMES: LazyLock<Vec<Name>> =
    LazyLock::new(|| catalogue().actions().iter().map(|action| Name::new(action.short_name())).collect());

impl Name {
    fn new(name: &str) -> Self {
        let text: Box<[u8]> = name.bytes().map(|b| b.to_ascii_lowercase()).collect();
        let letters = text.iter().filter(|b| !matches!(b, b'*' | b'?')).fold(0, |all, b| all | 1 << (b % 64));
        Self { text, letters }
    }
}

/// A pattern of actions with wildcards, to be compared with many names of the catalogue.
struct Wild(Name);

impl Wild {
    fn new(pattern: &str) -> Self {
        Self(Name::new(pattern.split_once(':').map_or(pattern, |(_, name)| name)))
    }

    /// Whether it matches the name after the colon. Most names lack some letter of the pattern.
    fn matches(&self, number: usize) -> bool {
        let Some(name) = NAMES.get(number) else { return false };
        self.0.letters & !name.letters == 0 && like(&self.0.text, &name.text)
    }
}

/// Whether the pattern matches, going back to the latest star where it does not go on.
fn like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), name.get(read)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, read));
            }
            (Some(b'?'), Some(_)) => (at, read) = (at + 1, read + 1),
            (Some(a), Some(b)) if a == b => (at, read) = (at + 1, read + 1),
            (_, left) => match &mut star {
                Some((after, from)) if left.is_some() => {
                    *from += 1;
                    (at, read) = (*after, *from);
                }
                _ => return false,
            },
        }
    }
}

/// The name of a pattern up to its first wildcard, and the rest.
fn fixed_and_wild(pattern: &str) -> (&str, &str) {
    let name = pattern.split_once(':').map_or(pattern, |(_, name)| name);
    name.split_at_checked(name.find(['*', '?']).unwrap_or(name.len())).unwrap_or((name, ""))
}

/// How the beginning of an action's name compares, letter case aside.
fn begin(action: &Action, fixed: &str) -> Ordering {
    let name = action.short_name().bytes().take(fixed.len()).map(|b| b.to_ascii_lowercase());
    name.cmp(fixed.bytes().map(|b| b.to_ascii_lowercase()))
}

fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| usize::try_from(bits.trailing_zeros()).unwrap_or_default())?;
        bits &= bits - 1;
        Some(bit)
    })
}

impl std::fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.len() {
            0..=20 => f.debug_set().entries(self.names()).finish(),
            many => write!(f, "{{{many} actions}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn numbers() -> impl Strategy<Value = BTreeSet<usize>> {
        let some = prop::collection::btree_set(0..22_000_usize, 0..40);
        let run = (0..21_000_usize, 0..1_000_usize).prop_map(|(from, len)| (from..from + len).collect());
        prop_oneof![some, run]
    }

    proptest! {
        #[test]
        fn it_is_a_set(a in numbers(), b in numbers(), n in 0..22_000_usize) {
            let (x, y) = (ActionSet::from_numbers(a.iter().copied()), ActionSet::from_numbers(b.iter().copied()));
            let is = |set: &ActionSet, wanted: &mut dyn Iterator<Item = usize>| set.numbers().eq(wanted);
            prop_assert!(is(&x, &mut a.iter().copied()));
            prop_assert!(is(&x.union(&y), &mut a.union(&b).copied()));
            prop_assert!(is(&ActionSet::union_of([&x, &y, &x]), &mut a.union(&b).copied()));
            prop_assert!(is(&x.intersection(&y), &mut a.intersection(&b).copied()));
            prop_assert!(is(&x.minus(&y), &mut a.difference(&b).copied()));
            prop_assert_eq!(x.includes(&y), a.is_superset(&b));
            prop_assert_eq!(x.intersects(&y), !a.is_disjoint(&b));
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.contains_number(n), a.contains(&n));
            prop_assert!(a.iter().all(|n| x.contains_number(*n)));
            prop_assert_eq!(&x.minus(&y).union(&x.intersection(&y)), &x);
        }
    }

    #[test]
    fn a_pattern_names_what_it_matches() {
        let patterns = [
            "*",
            "s3:*",
            "S3:get*",
            "s3:Get*Tagging",
            "ec2:?escribe*",
            "iam:PassRole",
            "iam:passrole",
            "s3:*Object",
            "x:*",
            "s3:zz*",
            "s3:*T*a*g*",
            "s3:G?t*Acl",
            "s3:*",
            "s3:**",
            "s3:*ü*",
            "ec2:*?*?*s",
            "iam:???Role",
        ];
        for text in patterns {
            let pattern = ActionPattern::new(text);
            let wanted: Vec<usize> =
                catalogue().actions().iter().filter(|a| pattern.matches(a.name)).map(|a| a.number).collect();
            assert!(ActionSet::named_by(&pattern).numbers().eq(wanted), "{text}");
        }
    }

    #[test]
    fn the_catalogue_fits_and_levels_part_it() {
        assert!(catalogue().actions().len() < BLOCKS * 64);
        assert_eq!(AccessLevel::ALL.iter().map(|l| ActionSet::level(*l).len()).sum::<usize>(), ActionSet::all().len());
        let iam = ActionSet::service("IAM");
        assert_eq!(iam.services(), ["iam"]);
        assert!(iam.of_level(AccessLevel::PermissionsManagement).contains("iam:putrolepolicy"));
        assert!(ActionSet::service("nowhere").is_empty() && !iam.contains("nowhere:X"));
    }
}
