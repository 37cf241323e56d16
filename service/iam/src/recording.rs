//! Where a use of an action shows in CloudTrail, if it shows at all.
//!
//! A call that no trail has was not made only if a trail would have it. Most actions are calls that
//! management events tell; some are data events, which a trail records only where it is told to; some
//! are never a call of their own, such as `iam:PassRole`. Knows the lists of `data/recording.txt`
//! and `data/calls.txt`. Refuses to guess: of an action that they do not name nothing is known.

use crate::catalogue::cloudtrail;
use crate::catalogue::{Action, catalogue};
use crate::matching::action_set::ActionSet;
use crate::matching::pattern::ActionPattern;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Where a use of an action shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shown {
    /// In management events.
    Management,
    /// In data events of this resource type, such as `AWS::S3::Object`.
    Data(&'static str),
    /// AWS does not say that calls of it are recorded, or it is never a call of its own.
    Unrecorded,
    /// Nothing is known: a new action, a permission without an operation, or a service that is not listed.
    NotKnown,
}

struct Lists {
    management: ActionSet,
    data: BTreeMap<&'static str, ActionSet>,
    unrecorded: ActionSet,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let mut services = BTreeSet::new();
    let (mut unrecorded, mut called) = (Vec::new(), vec![called()]);
    let mut data: BTreeMap<&'static str, Vec<ActionSet>> = BTreeMap::new();
    let named = |pattern: &str| ActionSet::named_by(&ActionPattern::new(pattern));
    for line in include_str!("../data/recording.txt").lines() {
        let mut words = line.split(' ');
        match words.next() {
            Some("management") => services.extend(words),
            Some("data") => {
                if let Some(kind) = words.next() {
                    data.entry(kind).or_default().extend(words.map(named));
                }
            }
            Some("unrecorded") => unrecorded.extend(words.map(named)),
            Some("call") => called.extend(words.map(named)),
            _ => {}
        }
    }
    let unrecorded = ActionSet::union_of(&unrecorded);
    let data: BTreeMap<_, _> = data.into_iter().map(|(kind, sets)| (kind, ActionSet::union_of(&sets))).collect();
    let recorded = ActionSet::union_of(&services.into_iter().map(ActionSet::service).collect::<Vec<_>>());
    let elsewhere = ActionSet::union_of(data.values().chain([&unrecorded]));
    let management = recorded.intersection(&ActionSet::union_of(&called)).minus(&elsewhere);
    Lists { management, data, unrecorded }
});

/// Actions that an operation is checked against by itself.
fn called() -> ActionSet {
    let mut numbers = Vec::new();
    for line in include_str!("../data/calls.txt").lines() {
        let Some((service, ranges)) = line.split_once(' ') else { continue };
        let Some(service) = catalogue().service_named(service) else { continue };
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
                numbers.extend((first..=last).map(|number| service.actions.start + number));
            }
        }
    }
    ActionSet::from_numbers(numbers)
}

/// The actions whose use shows in management events.
#[must_use]
pub fn management() -> &'static ActionSet {
    &LISTS.management
}

/// The actions whose use shows in data events, by the resource type that a selector must name.
pub fn data() -> impl Iterator<Item = (&'static str, &'static ActionSet)> {
    LISTS.data.iter().map(|(kind, set)| (*kind, set))
}

/// The actions of which AWS does not say that they are recorded.
#[must_use]
pub fn unrecorded() -> &'static ActionSet {
    &LISTS.unrecorded
}

/// Where a use of the action shows.
#[must_use]
pub fn shown(action: &Action) -> Shown {
    let has = |set: &ActionSet| set.contains_number(action.number);
    if has(management()) {
        Shown::Management
    } else if let Some((kind, _)) = data().find(|(_, set)| has(set)) {
        Shown::Data(kind)
    } else if has(unrecorded()) {
        Shown::Unrecorded
    } else {
        Shown::NotKnown
    }
}

/// The actions whose events have this source: `kms.amazonaws.com`.
#[must_use]
pub fn of_source(event_source: &str) -> ActionSet {
    let services = cloudtrail::services_of(event_source);
    ActionSet::union_of(&services.into_iter().map(ActionSet::service).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_shows_where_aws_says() {
        let cases = [
            ("ec2:DescribeInstances", Shown::Management),
            ("kms:Decrypt", Shown::Management),
            ("s3:GetBucketPolicy", Shown::Management),
            ("s3:ListAllMyBuckets", Shown::Management),
            ("sts:AssumeRole", Shown::Management),
            ("eks:CreatePodIdentityAssociation", Shown::Management),
            ("s3:GetObject", Shown::Data("AWS::S3::Object")),
            ("dynamodb:Query", Shown::Data("AWS::DynamoDB::Table")),
            ("dynamodb:CreateTable", Shown::Management),
            ("sqs:SendMessage", Shown::Data("AWS::SQS::Queue")),
            ("iam:PassRole", Shown::Unrecorded),
            ("logs:PutLogEvents", Shown::Unrecorded),
            // Permissions that no operation has the name of, and services that are not listed.
            ("sts:TagSession", Shown::NotKnown),
            ("s3:BypassGovernanceRetention", Shown::NotKnown),
            ("execute-api:Invoke", Shown::NotKnown),
        ];
        for (name, expected) in cases {
            assert_eq!(shown(catalogue().find(name).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn every_word_of_the_list_names_something() {
        for line in include_str!("../data/recording.txt").lines().filter(|line| !line.starts_with('#')) {
            let (kind, words) = line.split_once(' ').unwrap();
            for word in words.split(' ').filter(|word| !word.starts_with("AWS::")) {
                let named = match kind {
                    "management" => ActionSet::service(word),
                    "data" | "unrecorded" | "call" => ActionSet::named_by(&ActionPattern::new(word)),
                    other => panic!("{other}"),
                };
                assert!(!named.is_empty(), "{line}: {word}");
            }
        }
        assert!(management().len() > 3_000, "{}", management().len());
        assert!(management().minus(&called()).len() < 30);
        assert!(of_source("kms.amazonaws.com").contains("kms:Decrypt"));
        assert!(of_source("rdsdata.amazonaws.com").contains("rds-data:ExecuteStatement"));
    }
}
