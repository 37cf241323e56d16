//! What a role was granted and its sessions did not use, as facts.
//!
//! Knows how far back the trail of the role's account was read whole, and weighs the role's grants
//! against its calls over all of that time. Only actions that change something count: what merely
//! reads is too much and too seldom called to be told one by one. Refuses to say how long is too long.

use super::CachedIndex;
use super::permissions;
use super::view::{Def, Facts, count, fact, text};
use crate::index::{join, reasons};
use crate::unused::{UsageReport, Window, covered_by, usage_report};
use chrono::{DateTime, Utc};
use rolecall_estate::Role;
use rolecall_iam::ActionSet;
use rolecall_iam::grants::writes;
use rolecall_rules::{Reasons, Type, Value};
use std::collections::BTreeMap;

/// So many names stand in one text.
const NAMED: usize = 8;
/// The longest that is looked back.
const LONGEST: i64 = 400;

/// Actions of one service that the role may do, with how long they have not been called.
#[derive(Debug, Clone)]
pub(super) struct UnusedFacts {
    service: &'static str,
    actions: ActionSet,
    at_risk: bool,
    /// The last call, or since when the trail shows that there was none.
    proven: DateTime<Utc>,
    /// The last call; unknown where it may lie before the trail begins.
    since: Result<DateTime<Utc>, Reasons>,
}

/// What the role may do that changes something, with how long it did not.
pub(super) fn of_role(world: &CachedIndex, role: &Role) -> Value {
    let memory = &world.trail.memory;
    let stack = permissions::stack(world, role, None);
    let grants = world.grants.get(&stack);
    // What else may be granted, and so unused.
    let unlisted = grants.unlisted_patterns().into_iter().map(|pattern| format!("what `{pattern}` names is not known"));
    let more = reasons(grants.unseen_grants().iter().map(ToString::to_string).chain(unlisted));
    if !grants.actions().intersects(writes()) {
        return Value::list_seen([], more);
    }
    let Some(now) = memory.at else { return Value::unknown("calls were not counted") };
    let look = |days: u16| covered_by(&world.coverage, &role.arn, Window { days, now, whole: &memory.whole });
    let shortest = look(1);
    if let Some(why) = reasons(shortest.gaps.iter().cloned()) {
        return Value::Unknown(why);
    }
    let begin = shortest.regions.iter().filter_map(|read| Some(read.whole.as_ref()?.from)).max();
    let days = begin.map_or(1, |begin| (shortest.until - begin).num_days() - 1).clamp(1, LONGEST);
    let window = look(u16::try_from(days).unwrap_or(1));
    let uses = memory.calls.get(role.arn.as_str()).map(Vec::as_slice).unwrap_or_default();
    let weighed = usage_report(&stack, &grants, role, &world.trails, &[], uses, window);
    let missing = weighed.unknown.iter().filter(|open| open.actions.intersects(writes()));
    let missing = join(reasons(missing.map(|open| open.why.clone())), more.as_ref());
    Value::list_seen(groups(&weighed).into_iter().map(Facts::into_value), missing)
}

fn groups(weighed: &UsageReport) -> Vec<UnusedFacts> {
    let risk = weighed.unused_at_risk();
    let before = format!("the trail is complete only from {} on", weighed.covered.since.to_rfc3339());
    let mut groups: Vec<UnusedFacts> = Vec::new();
    for at_risk in [true, false] {
        let unused = weighed.unused.intersection(writes());
        let unused = if at_risk { unused.intersection(&risk) } else { unused.minus(&risk) };
        for service in unused.services() {
            groups.push(UnusedFacts {
                service,
                actions: unused.intersection(&ActionSet::service(service)),
                at_risk,
                proven: weighed.covered.since,
                since: Err(Reasons::one(before.as_str())),
            });
        }
    }
    let mut called: BTreeMap<(&'static str, DateTime<Utc>), Vec<usize>> = BTreeMap::new();
    for used in weighed.used.iter().filter(|used| used.action.level.changes()) {
        called.entry((used.action.service(), used.used.last)).or_default().push(used.action.number);
    }
    groups.extend(called.into_iter().map(|((service, last), actions)| UnusedFacts {
        service,
        actions: ActionSet::from_numbers(actions),
        at_risk: false,
        proven: last,
        since: Ok(last),
    }));
    groups
}

impl Facts for UnusedFacts {
    const NAME: &'static str = "UnusedGrant";
    const DOC: &'static str =
        "Actions of one service that a role may do and that change something, with since when they were not called.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("service", || Type::String, "The prefix of the service.", |g| text(g.service)),
        Def::<Self>::new("count", || Type::Int, "How many actions.", |g| count(g.actions.len())),
        Def::<Self>::new(
            "actions",
            || Type::String,
            "Their names, the first of them.",
            |g| {
                let mut names: Vec<&str> = g.actions.iter().take(NAMED).map(|action| action.name).collect();
                let more = format!("{} more", g.actions.len().saturating_sub(NAMED));
                if g.actions.len() > NAMED {
                    names.push(&more);
                }
                text(&names.join(", "))
            },
        ),
        Def::<Self>::new(
            "at_risk",
            || Type::Bool,
            "Whether they manage permissions, or are part of a privilege-escalation path.",
            |g| g.at_risk.into(),
        ),
        Def::<Self>::new(
            "proven",
            || Type::Timestamp,
            "Since when, as far as the trail shows: the last call, or where the trail begins.",
            |g| g.proven.into(),
        ),
        Def::<Self>::new(
            "since",
            || Type::Timestamp,
            "The last call; unknown where it may lie before the trail begins.",
            |g| match &g.since {
                Ok(at) => (*at).into(),
                Err(why) => Value::Unknown(why.clone()),
            },
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The service, the actions and since when.",
            |g| {
                let names: Vec<&str> = g.actions.iter().take(200).map(|action| action.name).collect();
                let said =
                    format!("{} of {}, not called since {}", g.actions.len(), g.service, g.proven.format("%Y-%m-%d"));
                fact("granted and not used", said, names.into())
            },
        ),
    ];
}
