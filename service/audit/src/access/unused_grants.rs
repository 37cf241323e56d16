//! What a role was granted and its sessions did not use, as far back as the trail of its account is
//! complete.
//!
//! Only actions that change something count: what merely reads is too much and too seldom called to be
//! told one by one. Refuses to say how long is too long.

use super::answer::{Known, Listed, Partial};
use super::index::AccessIndex;
use super::stack::policy_set;
use super::unused::{UsageReport, Window, covered_by, usage_report};
use crate::index::{join, reasons};
use chrono::{DateTime, Utc};
use rolecall_estate::{Reason, Role};
use rolecall_iam::ActionSet;
use rolecall_iam::grants::writes;
use rolecall_rules::Reasons;
use std::collections::BTreeMap;

/// The longest that is looked back.
const LONGEST: i64 = 400;

/// Actions of one service that the role may do, with how long they have not been called.
#[derive(Debug, Clone)]
pub(crate) struct UnusedActions {
    pub service: &'static str,
    pub actions: ActionSet,
    pub at_risk: bool,
    /// The last call, or since when the trail shows that there was none.
    pub proven: DateTime<Utc>,
    /// The last call; unknown where it may lie before the trail begins.
    pub since: Known<DateTime<Utc>>,
}

/// What the role may do that changes something, with how long it did not.
pub(crate) fn of_role(index: &AccessIndex, role: &Role) -> Listed<UnusedActions> {
    let memory = &index.trail.memory;
    let stack = policy_set(index, role, None);
    let grants = index.grants.get(&stack);
    // What else may be granted, and so unused.
    let unlisted = grants.unlisted_patterns().into_iter();
    let unlisted = unlisted.map(|pattern| Reason::from(format!("what `{pattern}` names is not known")));
    let more = reasons(grants.unseen_grants().iter().map(Reason::from).chain(unlisted));
    if !grants.actions().intersects(writes()) {
        return Ok(Partial { items: Vec::new(), missing: more });
    }
    let Some(now) = memory.at else { return Err(Reasons::one("calls were not counted")) };
    let covered =
        |days: u16| covered_by(&index.coverage, &role.arn, Window { days, now, complete: &memory.complete_ranges });
    let shortest = covered(1);
    if let Some(why) = reasons(shortest.gaps.iter().cloned()) {
        return Err(why);
    }
    let begin = shortest.regions.iter().filter_map(|read| Some(read.complete.as_ref()?.from)).max();
    let days = begin.map_or(1, |begin| (shortest.until - begin).num_days() - 1).clamp(1, LONGEST);
    let window = covered(u16::try_from(days).unwrap_or(1));
    let uses = memory.calls.get(role.arn.as_str()).map(Vec::as_slice).unwrap_or_default();
    let usage = usage_report(&stack, &grants, role, &index.trails, &[], uses, window);
    let missing = usage.unknown.iter().filter(|open| open.actions.intersects(writes()));
    let missing = join(reasons(missing.map(|open| open.why.clone())), more.as_ref());
    Ok(Partial { items: groups(&usage), missing })
}

fn groups(usage: &UsageReport) -> Vec<UnusedActions> {
    let risk = usage.unused_at_risk();
    let before = format!("the trail is complete only from {} on", usage.covered.since.to_rfc3339());
    let mut groups: Vec<UnusedActions> = Vec::new();
    for at_risk in [true, false] {
        let unused = usage.unused.intersection(writes());
        let unused = if at_risk { unused.intersection(&risk) } else { unused.minus(&risk) };
        for service in unused.services() {
            groups.push(UnusedActions {
                service,
                actions: unused.intersection(&ActionSet::service(service)),
                at_risk,
                proven: usage.covered.since,
                since: Err(Reasons::one(before.as_str())),
            });
        }
    }
    let mut called: BTreeMap<(&'static str, DateTime<Utc>), Vec<usize>> = BTreeMap::new();
    for used in usage.used.iter().filter(|used| used.action.level.changes()) {
        called.entry((used.action.service(), used.used.last)).or_default().push(used.action.number);
    }
    groups.extend(called.into_iter().map(|((service, last), actions)| UnusedActions {
        service,
        actions: ActionSet::from_numbers(actions),
        at_risk: false,
        proven: last,
        since: Ok(last),
    }));
    groups
}
