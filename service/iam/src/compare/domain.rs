//! The values of a condition key that some conditions can tell apart.
//!
//! Knows, for each kind of operator, a finite set of values such that every value there is passes and
//! fails the same conditions as one of them. What a value comes to is asked of the conditions
//! themselves. Refuses to know which conditions count together.

use super::automaton::{Asked, MOST_STATES, Steps, together};
use crate::catalogue::{KeyKind, Service, catalogue};
use crate::condition::Condition;
use crate::condition::operator::{Compares, Quantifier};
use crate::condition::scalar::{Moment, Network, Number};
use crate::context::Context;
use crate::context::OF_SEVERAL_VALUES;
use crate::matching::glob::{Glob, Mode};
use crate::version::Version;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// So many lists of values are tried for a key of several values.
const MOST_LISTS: usize = 4_096;

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Held {
    Absent,
    One(String),
    List(Vec<String>),
}

impl Held {
    pub(super) fn put(&self, context: Context, key: &str) -> Context {
        match self {
            Self::Absent => context.absent(key),
            Self::One(value) => context.set(key, [value.as_str()]),
            Self::List(values) => context.set_list(key, values.iter().map(String::as_str)),
        }
    }
}

/// The values of a key.
#[derive(Debug, Default)]
pub(super) struct Domain {
    pub(super) values: Vec<Held>,
    /// Whether there may be others that pass and fail other conditions.
    pub(super) partial: bool,
}

/// A condition in the version of its policy.
pub(super) type Asking<'a> = (&'a Condition, Version);

const BOOLEANS: [&str; 4] =
    ["aws:multifactorauthpresent", "aws:principalisawsservice", "aws:securetransport", "aws:viaawsservice"];

static KINDS: LazyLock<HashMap<String, KeyKind>> = LazyLock::new(|| {
    let keys = catalogue().all_services().iter().flat_map(Service::condition_keys);
    keys.map(|key| (key.name.to_ascii_lowercase(), key.kind)).collect()
});

fn is_boolean(key: &str) -> bool {
    BOOLEANS.contains(&key) || KINDS.get(key) == Some(&KeyKind::Bool)
}

fn takes_lists(key: &str, conditions: &[Asking<'_>]) -> bool {
    OF_SEVERAL_VALUES.contains(&key)
        || conditions.iter().any(|(condition, _)| condition.operator.quantifier() != Quantifier::Single)
        || KINDS.get(key).is_some_and(|kind| kind.is_multivalued())
}

impl Domain {
    /// The values of a key, in lower case, that the conditions can tell apart.
    pub(super) fn new(key: &str, conditions: &[Asking<'_>], base: &Context) -> Self {
        let mut values = Values::default();
        let kinds: BTreeSet<Compares> = conditions.iter().filter_map(|(condition, _)| condition.compares()).collect();
        let has = |kind| kinds.contains(&kind);
        let texts = has(Compares::Text) || has(Compares::Arn) || has(Compares::Bytes);
        if is_boolean(key) {
            values.add(["true", "false"]);
        } else {
            if texts {
                values.texts(conditions, !has(Compares::Text) && !has(Compares::Bytes), base);
            }
            if has(Compares::Number) {
                values.numbers(conditions);
            }
            if has(Compares::Date) {
                values.dates(conditions);
            }
            if has(Compares::Network) {
                values.networks(conditions);
            }
            if has(Compares::Bool) {
                values.add(if texts { &["true", "false", "tRUE", "fALSE"][..] } else { &["true", "false"][..] });
            }
            values.add(["other"].into_iter().filter(|_| values.all.is_empty()).collect::<Vec<_>>());
            let typed = [Compares::Number, Compares::Date, Compares::Network].into_iter().filter(|kind| has(*kind));
            values.partial |= typed.count() + usize::from(texts) > 1;
        }
        let ones: Vec<String> = values.all;
        let mut out = Self { values: vec![Held::Absent], partial: values.partial };
        out.values.extend(ones.iter().cloned().map(Held::One));
        if takes_lists(key, conditions) {
            out.lists(key, conditions, base, &ones);
        }
        out
    }

    /// Adds lists: each that passes and fails other conditions than those before it.
    fn lists(&mut self, key: &str, conditions: &[Asking<'_>], base: &Context, ones: &[String]) {
        let passes = |list: &[String]| -> Vec<bool> {
            let context = base.clone().set_list(key, list.iter().map(String::as_str));
            conditions.iter().map(|(condition, language)| condition.holds(&context, *language).is_true()).collect()
        };
        if ones.iter().any(String::is_empty) {
            self.values.push(Held::List(vec![String::new()]));
        }
        let (mut seen, mut kept): (HashSet<Vec<bool>>, Vec<Vec<String>>) = Default::default();
        let mut next = 0;
        let mut open: Vec<Vec<String>> = vec![Vec::new()];
        while let Some(list) = open.get(next).cloned() {
            next += 1;
            for one in ones.iter().filter(|one| !one.is_empty() && !list.contains(one)) {
                let longer: Vec<String> = list.iter().cloned().chain([one.clone()]).collect();
                if seen.insert(passes(&longer)) {
                    kept.push(longer.clone());
                    open.push(longer);
                }
            }
            if kept.len() > MOST_LISTS {
                self.partial = true;
                break;
            }
        }
        self.values.extend(kept.into_iter().map(Held::List));
    }
}

/// Single values while they are collected.
#[derive(Default)]
struct Values {
    all: Vec<String>,
    partial: bool,
}

impl Values {
    fn add<S: AsRef<str>>(&mut self, values: impl IntoIterator<Item = S>) {
        for value in values {
            if !self.all.iter().any(|known| known == value.as_ref()) {
                self.all.push(value.as_ref().to_owned());
            }
        }
    }

    fn texts(&mut self, conditions: &[Asking<'_>], arns: bool, base: &Context) {
        let globs: Vec<&Glob> =
            conditions.iter().flat_map(|(condition, language)| condition.texts(*language)).collect();
        let mut unique: Vec<&Glob> = Vec::new();
        globs.into_iter().for_each(|glob| {
            if !unique.contains(&glob) {
                unique.push(glob);
            }
        });
        let steps: Vec<Steps> = unique.iter().map(|glob| Steps::filled(glob, base)).collect();
        let fill = |steps: &Steps| ["example", ""].map(|fill| steps.example(fill));
        let bytes = conditions.iter().filter(|(condition, _)| condition.compares() == Some(Compares::Bytes));
        self.add(bytes.flat_map(|(condition, _)| &condition.values));
        self.add(steps.iter().map(|steps| steps.example("example")));
        let fresh = if arns { "arn:aws:other:::other" } else { "other" };
        let names = (0..1_000).map(|n| if n == 0 { fresh.to_owned() } else { format!("{fresh}{n}") });
        self.add(names.filter(|name| !steps.iter().any(|s| s.matches(name))).take(1));
        for (glob, steps) in unique.iter().zip(&steps).filter(|(glob, _)| glob.folds()) {
            let text = if glob.is_exact() { steps.example("") } else { continue };
            let swap = |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            let mixed = text.chars().enumerate().map(|(n, c)| if n % 2 == 0 { swap(c) } else { c }).collect();
            self.add([text.to_lowercase(), text.to_uppercase(), text.chars().map(swap).collect(), mixed]);
        }
        if unique.iter().all(|glob| glob.is_exact() && glob.variables().next().is_none()) {
            return;
        }
        self.add(steps.iter().flat_map(fill));
        let arn = Steps::generous(&Glob::plain("*:*:*:*:*:*", Mode::Wild));
        let mut all = steps;
        all.push(arn.clone());
        let universe = if arns { std::slice::from_ref(&arn) } else { &[] };
        let asked = Asked { patterns: &all, universe, forbidden: &[], wanted: &[], without: &[] };
        let mut left = MOST_STATES;
        match together(&asked, &mut left) {
            Some(found) => self.add(found.into_iter().map(|found| found.text)),
            None => self.partial = true,
        }
    }

    fn numbers(&mut self, conditions: &[Asking<'_>]) {
        let mut known: Vec<&str> = values_of(conditions, Compares::Number).collect();
        known.retain(|text| Number::parse(text).is_some());
        known.sort_by(|a, b| match (Number::parse(a), Number::parse(b)) {
            (Some(a), Some(b)) => a.order(b),
            _ => std::cmp::Ordering::Equal,
        });
        let float = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.abs() < 1e15);
        self.partial |= known.iter().any(|text| float(text).is_none());
        let numbers: Vec<f64> = known.iter().filter_map(|text| float(text)).collect();
        let ends = numbers.first().map(|n| n - 1.0).into_iter().chain(numbers.last().map(|n| n + 1.0));
        self.add(ends.map(|n| n.to_string()));
        self.add(known.iter().map(|text| text.trim()));
        for pair in numbers.windows(2) {
            if let [a, b] = pair
                && a < b
            {
                let middle = f64::midpoint(*a, *b);
                let whole = middle.floor();
                let between = if whole > *a { whole } else { middle };
                self.partial |= !(between > *a && between < *b);
                self.add([between.to_string()]);
            }
        }
    }

    fn dates(&mut self, conditions: &[Asking<'_>]) {
        const SECOND: i128 = 1_000_000_000;
        let nanos = |text: &str| {
            let (seconds, nanos) = Moment::parse(text)?.parts();
            Some(i128::from(seconds) * SECOND + i128::from(nanos))
        };
        let mut known: Vec<i128> = values_of(conditions, Compares::Date).filter_map(nanos).collect();
        known.sort_unstable();
        known.dedup();
        let between = known.windows(2).filter_map(|pair| match pair {
            [a, b] if b - a > SECOND => Some(a + SECOND),
            [a, b] => Some(i128::midpoint(*a, *b)),
            _ => None,
        });
        let ends = known.first().map(|n| n - SECOND).into_iter().chain(known.last().map(|n| n + SECOND));
        let all: Vec<i128> = ends.chain(known.iter().copied()).chain(between).collect();
        for moment in all {
            let seconds = i64::try_from(moment.div_euclid(SECOND)).unwrap_or_default();
            let rest = u32::try_from(moment.rem_euclid(SECOND)).unwrap_or_default();
            let text = chrono::DateTime::from_timestamp(seconds, rest)
                .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
            match text.filter(|text| nanos(text) == Some(moment)) {
                Some(text) => self.add([text]),
                None => self.partial = true,
            }
        }
    }

    /// Between two neighbouring beginnings of networks, or ends, all addresses are alike.
    fn networks(&mut self, conditions: &[Asking<'_>]) {
        let (mut four, mut six) = (BTreeSet::from([0_u32]), BTreeSet::from([0_u128]));
        for network in values_of(conditions, Compares::Network).filter_map(Network::parse) {
            match network {
                Network::V4 { start, mask } => {
                    four.insert(start);
                    four.extend((start | !mask).checked_add(1));
                }
                Network::V6 { start, mask } => {
                    six.insert(start);
                    six.extend((start | !mask).checked_add(1));
                }
            }
        }
        // The second address of a range looks more like one that a host has.
        let host = |first: &u32| if four.contains(&(first | 1)) { *first } else { first | 1 };
        self.add(four.iter().map(|ip| Ipv4Addr::from_bits(host(ip)).to_string()));
        let host = |first: &u128| if six.contains(&(first | 1)) { *first } else { first | 1 };
        self.add(six.iter().map(|ip| Ipv6Addr::from_bits(host(ip)).to_string()));
    }
}

fn values_of<'a>(conditions: &'a [Asking<'a>], kind: Compares) -> impl Iterator<Item = &'a str> {
    let of_kind = conditions.iter().filter(move |(condition, _)| condition.compares() == Some(kind));
    of_kind.flat_map(|(condition, _)| condition.values.iter().map(String::as_str))
}
