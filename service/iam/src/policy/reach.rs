//! Which resources a statement reaches, and what it names on every resource.
//!
//! Knows how to compare what two statements reach: whether one covers the other (never wrongly yes)
//! and whether they have something in common (never wrongly no). Refuses to know conditions, and
//! which resources there are.

use crate::arn::ArnText;
use crate::catalogue::catalogue;
use crate::matching::action_set::ActionSet;
use crate::matching::arn_format::{BARE, S3_BARE, S3_PLACES, acting_on, with_stars};
use crate::matching::overlap::overlaps;
use crate::matching::pattern::ResourcePattern;
use crate::policy::ast::{Clause, Statement};

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
                if !left.is_empty() {
                    left = left.intersection(&acting_on(pattern));
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

    /// The steps of comparing it with another.
    pub(crate) fn weight(self) -> usize {
        match self {
            Self::All { .. } => 1,
            Self::Only(pattern) => of_pattern(pattern),
            Self::Both(a, b) => of_pattern(a) + of_pattern(b),
            Self::But(list) => 1 + list.iter().map(of_pattern).sum::<usize>(),
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
    let fixed = a.as_str().split(['*', '?', '$']).next().unwrap_or_default();
    // Most pairs differ before the first wildcard; AWS completes what is no whole ARN.
    let differ = !b.as_str().starts_with(fixed) && !a.is_incomplete() && !b.is_incomplete();
    !differ && (a.as_str() == b.as_str() || a.covers(b))
}

/// The steps of comparing a pattern with another: letter by letter, several times.
fn of_pattern(pattern: &ResourcePattern) -> usize {
    1 + pattern.as_str().len() / 8
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
            let own = ActionSet::service(service).intersection(named);
            if strict {
                ActionSet::from_numbers(own.numbers().filter(|number| covers_types(pattern, *number)))
            } else {
                own
            }
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
    let partition = ArnText(pattern.as_str()).partition().unwrap_or("*");
    let known = |name: &str| (name == "Partition").then(|| partition.to_owned());
    let mut types = action.resource_types();
    types.all(|used| pattern.covers(&ResourcePattern::new(&with_stars(used.resource_type.arn, known))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::arn_format::acts_on;

    #[test]
    fn a_pattern_fits_the_actions_of_its_service() {
        let fits = |pattern: &str, action: &str| {
            let pattern = ResourcePattern::new(pattern);
            Reach::Only(&pattern).fit(ActionSet::all()).contains(action)
        };
        assert!(fits("arn:aws:s3:::b/*", "s3:GetObject"));
        assert!(!fits("arn:aws:s3:::b/*", "ec2:RunInstances"));
        assert!(!fits("arn:aws:s3:::b/*", "s3:ListAllMyBuckets"));
        assert!(fits("arn:aws:s3:::*", "s3:ListAllMyBuckets"));
        assert!(fits("arn:aws:iam::111122223333:role/x", "iam:PassRole"));
        assert!(fits("arn:aws:*", "s3:GetObject") && fits("*role/x", "iam:PassRole"));
        assert!(!fits("arn:aws:nothing:::x", "s3:GetObject"), "what acts on objects acts on nothing else");
    }

    #[test]
    fn an_action_acts_on_resources_of_its_types() {
        let fits = |pattern: &str, action: &str| {
            let pattern = ResourcePattern::new(pattern);
            Reach::Only(&pattern).fit(ActionSet::all()).contains(action)
        };
        // Pattern, an action that can act there, one of the same service that cannot.
        let cases = [
            ("arn:aws:s3:::invoices/*", "s3:PutObject", "s3:ListBucket"),
            ("arn:aws:s3:::invoices", "s3:PutBucketPolicy", "s3:GetObject"),
            ("arn:aws:iam::111122223333:role/*", "iam:PassRole", "iam:CreateAccessKey"),
            ("arn:aws:iam::111122223333:role/team/*", "iam:PutRolePolicy", "iam:PutUserPolicy"),
            ("arn:*:iam::*:role/*", "iam:PutRolePolicy", "s3:GetObject"),
            ("arn:aws:iam::111122223333:user/${aws:username}", "iam:CreateAccessKey", "iam:PassRole"),
            ("arn:aws:iam::111122223333:policy/team/*", "iam:CreatePolicyVersion", "iam:AttachRolePolicy"),
            ("arn:aws:dynamodb:eu-west-1:111122223333:table/orders", "dynamodb:Scan", "dynamodb:GetRecords"),
            ("arn:aws:kms:eu-west-1:111122223333:alias/app-*", "kms:CreateAlias", "kms:Decrypt"),
            ("arn:aws:iam", "iam:CreateAccessKey", "s3:ListBucket"),
        ];
        for (pattern, can, cannot) in cases {
            assert!(fits(pattern, can), "{pattern} {can}");
            assert!(!fits(pattern, cannot), "{pattern} {cannot}");
        }
        let asked = [
            ("iam:PassRole", "arn:aws:iam::111122223333:role/x", true),
            ("iam:PassRole", "arn:aws:s3:::b", false),
            ("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1", true),
            ("ec2:RunInstances", "arn:aws:sqs:eu-west-1:111122223333:q", false),
            ("s3:ListBucket", "arn:aws:s3:::b", true),
            ("s3:ListBucket", "arn:aws:s3:::b/k", false),
            ("s3:ListAllMyBuckets", "arn:aws:s3:::b", true),
            ("new:Thing", "arn:aws:s3:::b", true),
            ("iam:PassRole", "*", true),
        ];
        for (action, resource, wanted) in asked {
            assert_eq!(acts_on(action, resource), wanted, "{action} on {resource}");
        }
    }
}
