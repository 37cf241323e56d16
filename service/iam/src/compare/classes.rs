//! The actions that two stacks can tell apart, one for each kind.
//!
//! Knows that two actions which the same lists name, and for which AWS has the same rules, are decided
//! alike; and that there are actions that the catalogue does not list, of its services and of others.

use super::automaton::{Asked, MOST_STATES, Steps, together};
use super::stack::{Actions, Both, Changes};
use crate::catalogue::action_name::ActionName;
use crate::catalogue::{AccessLevel, Action, catalogue};
use crate::evaluate::request::{CHANGES_OF_POLICIES, CHANGES_OF_ROLES, takes_rcps};
use crate::evaluate::requester::Kind;
use crate::matching::action_set::ActionSet;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

/// Actions for which AWS has rules of their own: each is a kind by itself.
static SPECIAL: LazyLock<ActionSet> = LazyLock::new(|| {
    let iam = CHANGES_OF_ROLES.iter().chain(&CHANGES_OF_POLICIES).map(|name| format!("iam:{name}"));
    let kms = ["CreateAlias", "UpdateAlias", "DeleteAlias"].iter().map(|name| format!("kms:{name}"));
    let names: Vec<String> = iam.chain(kms).collect();
    let sts = ActionSet::service("sts");
    ActionSet::from_names(names.iter().map(String::as_str)).union(&sts)
});

static BARE: LazyLock<ActionSet> = LazyLock::new(|| {
    ActionSet::from_numbers(catalogue().actions().iter().filter(|a| !a.on_resources).map(|a| a.number))
});

static KMS: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::service("kms"));
static S3: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::service("s3"));
static CALLER: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::from_names(["sts:GetCallerIdentity"]));

/// The actions of services that take RCPs.
static UNDER_RCP: LazyLock<ActionSet> = LazyLock::new(|| {
    let services = catalogue().services().filter(|(prefix, _)| takes_rcps(prefix));
    ActionSet::union_of(&services.map(|(_, range)| ActionSet::from_range(range)).collect::<Vec<_>>())
});

/// Actions that are decided alike, by one of them.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) action: ActionName,
    /// For each list of actions, whether it names them.
    pub(super) holds: Vec<bool>,
}

/// How much an action says about what somebody may do: what it does, then how well its service is known.
fn gravity(action: &Action) -> (u8, usize) {
    let level = match action.level {
        AccessLevel::PermissionsManagement => 3,
        AccessLevel::Write => 2,
        AccessLevel::Read => 1,
        AccessLevel::List | AccessLevel::Tagging => 0,
    };
    (level, WELL_KNOWN.iter().rev().position(|service| *service == action.service()).map_or(0, |at| at + 1))
}

/// Services that everybody knows, the gravest first.
const WELL_KNOWN: [&str; 12] =
    ["iam", "secretsmanager", "kms", "s3", "dynamodb", "lambda", "ec2", "rds", "eks", "ssm", "sqs", "sns"];

/// What stands for a list in a sum: two sums of these hardly ever agree by chance.
fn mark(number: usize) -> u128 {
    const ODD: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
    let mut state = u128::try_from(number).unwrap_or_default().wrapping_add(1).wrapping_mul(ODD);
    for shift in [61, 47] {
        state = (state ^ state >> shift).wrapping_mul(ODD);
    }
    state ^ state >> 64
}

/// Lists of actions, with the listed actions of each.
struct Lists<'b, 'a> {
    both: &'b Both<'a>,
    sets: Vec<ActionSet>,
}

impl Lists<'_, '_> {
    fn all(&self) -> impl Iterator<Item = (&Actions<'_>, &ActionSet)> {
        self.both.actions.all.iter().zip(&self.sets)
    }

    fn holds_number(&self, number: usize) -> Vec<bool> {
        self.all().map(|(list, set)| list.not != set.contains_number(number)).collect()
    }

    fn holds_name(&self, name: &str) -> Vec<bool> {
        self.all().map(|(list, _)| list.holds(name)).collect()
    }

    /// The listed actions that a changed list names.
    fn changed(&self, changes: &Changes) -> ActionSet {
        if changes.everything {
            return ActionSet::all().clone();
        }
        let named = changes.actions.iter().filter_map(|at| {
            let (list, set) = (self.both.actions.get(*at)?, self.sets.get(*at)?);
            Some(if list.not { ActionSet::all().minus(set) } else { set.clone() })
        });
        ActionSet::union_of(&named.collect::<Vec<_>>())
    }

    fn listed(&self, changes: &Changes, never_refused: bool) -> Vec<Class> {
        let mut relevant = self.changed(changes);
        if never_refused {
            relevant = relevant.minus(&CALLER);
        }
        let mut marks: Vec<u128> = vec![0; catalogue().actions().len()];
        let mut add = |set: &ActionSet, with: u128| {
            for number in relevant.intersection(set).numbers() {
                if let Some(own) = marks.get_mut(number) {
                    *own = own.wrapping_add(with);
                }
            }
        };
        for (at, (_, set)) in self.all().enumerate().filter(|(_, (list, _))| !list.is_all()) {
            add(set, mark(at));
        }
        for (at, set) in [&*BARE, &*KMS, &*S3, &*UNDER_RCP].into_iter().enumerate() {
            add(set, mark(usize::MAX - at));
        }
        for number in relevant.intersection(&SPECIAL).numbers() {
            if let Some(own) = marks.get_mut(number) {
                *own = own.wrapping_add(mark(usize::MAX / 2 - number));
            }
        }
        // Of the actions that are decided alike the gravest stands for all.
        let mut kinds: HashMap<u128, &Action> = HashMap::new();
        for number in relevant.numbers() {
            let (Some(action), Some(kind)) = (catalogue().actions().get(number), marks.get(number)) else { continue };
            let known = kinds.entry(*kind).or_insert(action);
            if gravity(action) > gravity(known) {
                *known = action;
            }
        }
        let mut out: Vec<&Action> = kinds.into_values().collect();
        out.sort_by_key(|action| (Reverse(gravity(action)), action.number));
        let class =
            |action: &Action| Class { action: ActionName::new(action.name), holds: self.holds_number(action.number) };
        out.into_iter().map(class).collect()
    }

    /// Actions that the catalogue does not list; `None` where there are too many kinds of them.
    fn unlisted(&self, changes: &Changes) -> Option<Vec<Class>> {
        let open = |list: &Actions<'_>| list.not || list.patterns.iter().any(|pattern| pattern.is_all());
        let changed = |at: &usize| changes.everything || changes.actions.contains(at);
        let concerned: Vec<&Actions<'_>> =
            self.both.actions.all.iter().enumerate().filter(|(at, _)| changed(at)).map(|(_, list)| list).collect();
        let any = changes.everything || concerned.iter().any(|list| open(list));
        let mut by_service: BTreeMap<&str, Vec<Steps>> = BTreeMap::new();
        for list in &self.both.actions.all {
            for pattern in &list.patterns {
                let Some(service) = pattern.service().filter(|service| !service.is_empty()) else { continue };
                if service.contains(['*', '?']) || catalogue().number(pattern.as_str()).is_some() {
                    continue;
                }
                by_service.entry(service).or_default().push(Steps::generous(pattern.name()));
            }
        }
        if !any {
            let services: BTreeSet<&str> =
                concerned.iter().flat_map(|list| &list.patterns).filter_map(|pattern| pattern.service()).collect();
            by_service.retain(|service, _| services.contains(service));
        }
        let mut out = Vec::new();
        let mut push = |name: String| {
            let holds = self.holds_name(&name);
            let relevant = changes.everything || changes.actions.iter().any(|at| holds.get(*at) == Some(&true));
            if relevant {
                out.push(Class { action: ActionName::new(&name), holds });
            }
        };
        for (service, patterns) in by_service {
            for name in names(&patterns)? {
                let name = format!("{service}:{name}");
                if catalogue().number(&name).is_none() {
                    push(name);
                }
            }
        }
        if any {
            push("unlisted:Action".to_owned());
            // One that takes RCPs, and one that does not, of which nobody speaks.
            push("s3:UnlistedAction".to_owned());
        }
        Some(out)
    }
}

/// Names of actions of a service: one for each set of patterns that a name can match together.
fn names(patterns: &[Steps]) -> Option<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    let mut seen: HashSet<Vec<bool>> = HashSet::new();
    let set = |name: &str| -> Vec<bool> { patterns.iter().map(|pattern| pattern.matches(name)).collect() };
    let nice = patterns.iter().map(|pattern| pattern.example("Unlisted")).chain(["UnlistedAction".to_owned()]);
    for name in nice.filter(|name| !name.is_empty()) {
        if seen.insert(set(&name)) {
            out.push(name);
        }
    }
    if patterns.len() > 1 {
        let without = [':', '*', '?'];
        let asked = Asked { patterns, universe: &[], forbidden: &[], wanted: &[], without: &without };
        let mut left = MOST_STATES;
        for found in together(&asked, &mut left)? {
            if !found.text.is_empty() && seen.insert(found.matched) {
                out.push(found.text);
            }
        }
    }
    Some(out)
}

/// The actions in which the stacks may differ; the second is whether that is all of them.
pub(super) fn classes(both: &Both<'_>, changes: &Changes, endpoint: bool) -> (Vec<Class>, bool) {
    let sets = both.actions.all.iter().map(Actions::listed).collect();
    let lists = Lists { both, sets };
    let never_refused = !endpoint && both.requester.kind() != Kind::Anonymous && both.sample.has_own_policies();
    let mut out = lists.listed(changes, never_refused);
    // What is listed stands for what is not, where both are decided alike.
    let kind =
        |class: &Class| (class.holds.clone(), takes_rcps(class.action.service()), class.action.service() == "kms");
    let special = |class: &Class| SPECIAL.contains(class.action.as_str());
    let known: HashSet<_> = out.iter().filter(|c| c.action.on_resources() && !special(c)).map(kind).collect();
    let unlisted = lists.unlisted(changes);
    let complete = unlisted.is_some();
    out.extend(unlisted.into_iter().flatten().filter(|class| !known.contains(&kind(class))));
    // Actions without rules of their own make the plainer examples.
    out.sort_by_key(|class| (special(class), class.action.number().is_none()));
    (out, complete)
}
