//! Which resources a statement reaches, and which of the catalogue's actions can act there.
//!
//! Knows how to compare what two statements reach: whether one covers the other (never wrongly yes)
//! and whether they have something in common (never wrongly no). Refuses to know conditions, and
//! which resources there are.

use crate::action_set::ActionSet;
use crate::catalogue::catalogue;
use crate::document::{Clause, Statement};
use crate::pattern::ResourcePattern;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A part of what a statement reaches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach<'a> {
    /// Every resource; also the place of actions that act on none, where it is spelt `*`.
    All {
        /// Whether actions that act on no resource are reached.
        star: bool,
    },
    /// What the pattern matches.
    Only(&'a ResourcePattern),
    /// What both patterns match.
    Both(&'a ResourcePattern, &'a ResourcePattern),
    /// All but what the patterns match.
    But(&'a [ResourcePattern]),
}

/// Actions that can be limited to resources.
static LIMITABLE: LazyLock<ActionSet> =
    LazyLock::new(|| ActionSet::of(catalogue().actions().iter().filter(|a| a.on_resources).map(|a| a.number)));

/// Actions that act on no resource; those of S3 are asked for on `arn:aws:s3:::*`, others on `*`.
static BARE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::all().minus(&LIMITABLE).minus(&S3_BARE));
static S3_BARE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::of_service("s3").minus(&LIMITABLE));
const S3_PLACES: [&str; 3] = ["arn:aws:s3:::*", "arn:aws-cn:s3:::*", "arn:aws-us-gov:s3:::*"];

/// The actions that have resources with this service in their ARN.
static BY_ARN: LazyLock<HashMap<&'static str, ActionSet>> = LazyLock::new(|| {
    let mut numbers: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for action in catalogue().actions() {
        for used in action.resource_types() {
            let service = used.resource_type.arn.split(':').nth(2).unwrap_or_default();
            numbers.entry(service).or_default().push(action.number);
        }
    }
    // A template may leave the service open, or be no ARN.
    let (named, open): (Vec<_>, Vec<_>) =
        numbers.into_iter().partition(|(service, _)| !service.is_empty() && !service.contains('$'));
    let open = ActionSet::of(open.into_iter().flat_map(|(_, numbers)| numbers));
    named.into_iter().map(|(service, numbers)| (service, ActionSet::of(numbers).union(&open))).collect()
});

/// Actions that can be limited to resources.
pub(crate) fn limitable() -> &'static ActionSet {
    &LIMITABLE
}

/// What a statement reaches, part by part; none where it reaches nothing.
pub(crate) fn reaches(statement: &Statement) -> Vec<Reach<'_>> {
    let star = |list: &[ResourcePattern]| list.iter().any(|pattern| pattern.matches("*"));
    match &statement.resources {
        None => vec![Reach::All { star: true }],
        Some(Clause::In(list)) if list.iter().any(ResourcePattern::is_everything) => {
            vec![Reach::All { star: star(list) }]
        }
        Some(Clause::In(list)) => list.iter().map(Reach::Only).collect(),
        Some(Clause::NotIn(list)) if list.is_empty() => vec![Reach::All { star: true }],
        Some(Clause::NotIn(list)) if list.iter().any(|p| p.is_everything() && p.matches("*")) => Vec::new(),
        Some(Clause::NotIn(list)) => vec![Reach::But(list)],
    }
}

impl<'a> Reach<'a> {
    /// What of a set of actions can act on something within reach. Never too little.
    pub(crate) fn fit(self, actions: &ActionSet) -> ActionSet {
        match self {
            Self::All { star: true } => actions.clone(),
            Self::All { star: false } => actions.minus(&BARE),
            Self::But(list) => {
                if list.iter().any(|pattern| pattern.matches("*")) {
                    actions.minus(&BARE)
                } else {
                    actions.clone()
                }
            }
            Self::Both(one, other) => Self::Only(one).fit(&Self::Only(other).fit(actions)),
            Self::Only(pattern) => {
                let mut left = actions.minus(&BARE).minus(&S3_BARE);
                if let Some(own) = arn_service(pattern).and_then(|service| BY_ARN.get(service)) {
                    left = left.intersection(own);
                }
                if pattern.matches("*") {
                    left = left.union(&actions.intersection(&BARE));
                }
                if S3_PLACES.iter().any(|place| pattern.matches(place)) {
                    left = left.union(&actions.intersection(&S3_BARE));
                }
                left
            }
        }
    }

    /// Something that holds all that both reach; `None` where they have nothing in common.
    pub(crate) fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::All { star: a }, Self::All { star: b }) => Some(Self::All { star: a && b }),
            (Self::All { .. }, narrow) | (narrow, Self::All { .. }) => Some(narrow),
            (Self::Only(a), Self::Only(b)) if covers(a, b) => Some(Self::Only(b)),
            (Self::Only(a), Self::Only(b)) if covers(b, a) => Some(Self::Only(a)),
            (Self::Only(a), Self::Only(b)) => overlaps(a.as_str(), b.as_str()).then_some(Self::Both(a, b)),
            // Of more than two patterns two are kept.
            (Self::Both(a, b), narrow) => match (Self::Only(a).meet(narrow)?, Self::Only(b).meet(narrow)?) {
                (Self::Only(one), Self::Only(other)) => Some(Self::Both(one, other)),
                (Self::Both(..), Self::Both(..)) => Some(self),
                (other, _) => Some(other),
            },
            (narrow, Self::Both(a, b)) => Self::Both(a, b).meet(narrow),
            (Self::But(but), Self::Only(only)) | (Self::Only(only), Self::But(but)) => {
                (!but.iter().any(|pattern| pattern.covers(only))).then_some(Self::Only(only))
            }
            (Self::But(_), Self::But(_)) => Some(self),
        }
    }

    /// Whether a policy variable has a say in it.
    pub(crate) fn has_variable(self) -> bool {
        match self {
            Self::All { .. } => false,
            Self::Only(pattern) => pattern.has_variable(),
            Self::Both(a, b) => a.has_variable() || b.has_variable(),
            Self::But(list) => list.iter().any(ResourcePattern::has_variable),
        }
    }

    /// Whether all that the other reaches is within reach, where both are read in one version of the
    /// language. Never wrongly yes.
    pub(crate) fn covers(self, other: Self) -> bool {
        match (self, other) {
            // What it may lack are the actions on no resource: sets leave those out by themselves.
            (Self::All { .. }, _) => true,
            (own, Self::Both(a, b)) => own.covers(Self::Only(a)) || own.covers(Self::Only(b)),
            (Self::Only(a), Self::Only(b)) => covers(a, b),
            (Self::Both(a, b), other) => Self::Only(a).covers(other) && Self::Only(b).covers(other),
            // What a variable without a value comes to in `NotResource` is not relied on.
            (Self::But(_), _) if self.has_variable() => false,
            (Self::But(but), Self::Only(only)) => !but.iter().any(|p| overlaps(p.as_str(), only.as_str())),
            (Self::But(but), Self::But(other)) => but.iter().all(|own| other.iter().any(|p| covers(p, own))),
            (Self::Only(_), Self::All { .. } | Self::But(_)) | (Self::But(_), Self::All { .. }) => false,
        }
    }
}

/// The same text is the same resource for one request, variables included.
fn covers(a: &ResourcePattern, b: &ResourcePattern) -> bool {
    a.as_str() == b.as_str() || a.covers(b)
}

/// The service that every ARN of the pattern has; `None` where it leaves it open.
fn arn_service(pattern: &ResourcePattern) -> Option<&str> {
    let mut segments = pattern.as_str().splitn(4, ':');
    let mut fixed = || segments.next().filter(|s| !s.contains(['*', '?', '$']));
    let (_, _, service) = (fixed().filter(|s| *s == "arn")?, fixed()?, fixed()?);
    segments.next().map(|_| service)
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

/// The actions that a statement names on every resource they can act on.
///
/// Strict is what a Deny or a certain Allow takes: in every account, and every type of resource that
/// the action has. Otherwise every resource of one account is every resource.
pub(crate) fn on_everything(statement: &Statement, named: &ActionSet, strict: bool) -> ActionSet {
    let parts = reaches(statement);
    let each = parts.iter().map(|part| match part {
        Reach::All { star } if *star || strict => part.fit(named),
        Reach::All { .. } => named.clone(),
        // Two patterns at once are only met in ceilings.
        Reach::But(_) | Reach::Both(..) if strict => ActionSet::default(),
        Reach::But(_) | Reach::Both(..) => named.clone(),
        Reach::Only(pattern) => {
            let Some(service) = every_resource_of(pattern, strict) else { return ActionSet::default() };
            let own = ActionSet::of_service(service).intersection(named);
            if strict { ActionSet::of(own.numbers().filter(|number| covers_types(pattern, *number))) } else { own }
        }
    });
    ActionSet::union_of(&each.collect::<Vec<_>>())
}

/// Whether the pattern matches every resource of every type that the action has.
fn covers_types(pattern: &ResourcePattern, number: usize) -> bool {
    let Some(action) = catalogue().actions().get(number) else { return false };
    if !action.on_resources {
        return pattern.matches("*") || (action.service() == "s3" && pattern.matches("arn:aws:s3:::*"));
    }
    let partition = pattern.as_str().split(':').nth(1).unwrap_or("*");
    let mut types = action.resource_types();
    types.all(|used| {
        let mut arn = String::new();
        let mut rest = used.resource_type.arn;
        while let Some((before, tail)) = rest.split_once("${") {
            let (name, tail) = tail.split_once('}').unwrap_or((tail, ""));
            arn.push_str(before);
            arn.push_str(if name == "Partition" { partition } else { "*" });
            rest = tail;
        }
        arn.push_str(rest);
        pattern.covers(&ResourcePattern::read(&arn))
    })
}

/// One step of a pattern, its wildcards taken as wide as they can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Char(char),
    One,
    Any,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let variable = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')).map(|(_, tail)| tail);
        rest = variable.unwrap_or_else(|| rest.get(c.len_utf8()..).unwrap_or_default());
        steps.push(match c {
            _ if variable.is_some() => Step::Any,
            '*' => Step::Any,
            '?' => Step::One,
            c => Step::Char(c),
        });
    }
    steps
}

/// Whether some text may match both patterns. Never wrongly no.
pub(crate) fn overlaps(a: &str, b: &str) -> bool {
    let (a, b) = (steps(a), steps(b));
    let differ = |pair: (&Step, &Step)| matches!(pair, (Step::Char(x), Step::Char(y)) if x != y);
    let fixed = |pair: &(&Step, &Step)| *pair.0 != Step::Any && *pair.1 != Step::Any;
    // Most pairs differ before their first star, or after their last.
    if a.iter().zip(&b).take_while(fixed).any(differ)
        || a.iter().rev().zip(b.iter().rev()).take_while(fixed).any(differ)
    {
        return false;
    }
    // Which beginnings of `b` can go with the beginning of `a` so far.
    let mut reached: Vec<bool> = Vec::with_capacity(b.len() + 1);
    reached.push(true);
    for step in &b {
        reached.push(*step == Step::Any && reached.last().copied().unwrap_or_default());
    }
    for x in &a {
        let mut next: Vec<bool> = Vec::with_capacity(reached.len());
        next.push(*x == Step::Any && reached.first().copied().unwrap_or_default());
        for (y, pair) in b.iter().zip(reached.windows(2)) {
            let (diagonal, above) =
                (pair.first().copied().unwrap_or_default(), pair.last().copied().unwrap_or_default());
            let left = next.last().copied().unwrap_or_default();
            let together = match (x, y) {
                (Step::Char(x), Step::Char(y)) => diagonal && x == y,
                (Step::Any, Step::Any) => diagonal || above || left,
                (Step::Any, _) => left || above,
                (_, Step::Any) => above || left,
                _ => diagonal,
            };
            next.push(together);
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_and_cannot_have_something_in_common() {
        let cases = [
            ("arn:aws:s3:::a/*", "arn:aws:s3:::b/*", false),
            ("arn:aws:s3:::a*", "arn:aws:s3:::*b", true),
            ("arn:aws:s3:::a", "arn:aws:s3:::a", true),
            ("arn:aws:s3:::a", "arn:aws:s3:::a?", false),
            ("*", "anything", true),
            ("*-prod", "*-test", false),
            ("a*b*c", "a?c", true),
            ("a*bb*c", "a?c", false),
            ("a*b*c", "a??c", true),
            ("role/${aws:username}", "role/ann", true),
            ("role/${aws:username}-x", "role/ann", false),
            ("", "*", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (a, b, wanted) in cases {
            assert_eq!(overlaps(a, b), wanted, "{a} {b}");
            assert_eq!(overlaps(b, a), wanted, "{b} {a}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_matches_both_is_never_missed(
            a in "[ab:*?]{0,8}", b in "[ab:*?]{0,8}", text in "[ab:]{0,6}",
        ) {
            if crate::pattern::like(&a, &text) && crate::pattern::like(&b, &text) {
                prop_assert!(overlaps(&a, &b), "{} {} {}", a, b, text);
            }
        }
    }

    #[test]
    fn a_pattern_fits_the_actions_of_its_service() {
        let fits = |pattern: &str, action: &str| {
            let pattern = ResourcePattern::read(pattern);
            Reach::Only(&pattern).fit(ActionSet::all()).contains(action)
        };
        assert!(fits("arn:aws:s3:::b/*", "s3:GetObject"));
        assert!(!fits("arn:aws:s3:::b/*", "ec2:RunInstances"));
        assert!(!fits("arn:aws:s3:::b/*", "s3:ListAllMyBuckets"));
        assert!(fits("arn:aws:s3:::*", "s3:ListAllMyBuckets"));
        assert!(fits("arn:aws:iam::111122223333:role/x", "iam:PassRole"));
        assert!(fits("arn:aws:*", "s3:GetObject") && fits("*role/x", "iam:PassRole"));
        assert!(fits("arn:aws:nothing:::x", "s3:GetObject"), "an ARN of a service that is not known");
    }
}
