//! What a workload may do, against what it did.
//!
//! Every action that the policies of a role allow is used, unused, or unknown with the
//! reason. Unused is said of an action only where its calls would have been seen: the trail of the
//! account was read to the end over the window, its selectors record such events, the calls of the role can
//! be told apart by workload, and no call that was made can have needed it besides. Everything else
//! that no call shows is unknown. Refuses to know where the calls are kept, and what day it is.

use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::id::Region;
use rolecall_estate::{Cause, CompleteRange, Estate, EventScope, Reason, Recorded, Role, Trail, Used};
use rolecall_iam::catalogue::{AccessLevel, Action, catalogue};
use rolecall_iam::escalation::{self, Found, Holder};
use rolecall_iam::{AccountId, ActionSet, Arn, Grants, PolicySet, RoleArn, recording};
use std::collections::{BTreeMap, BTreeSet};

/// Longer ago than this the trail says little of today.
const STALE: TimeDelta = TimeDelta::days(3);

/// What is known of the trail.
#[derive(Debug, Clone, Copy)]
pub struct Window<'w> {
    /// So many days are looked back, from where the trail was read to.
    pub days: u16,
    /// Now.
    pub now: DateTime<Utc>,
    /// The ranges that were read to the end.
    pub complete: &'w [CompleteRange],
}

/// An action that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedAction {
    /// The action.
    pub action: &'static Action,
    /// Calls, errors, refusals and times, added up.
    pub used: Used,
    /// Whether the stack allows it on every resource, whatever the condition keys.
    pub is_certain: bool,
}

/// How far the trail of one region was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRegion {
    /// The region.
    pub region: Region,
    /// The range that serves best; `None` where there is none.
    pub complete: Option<CompleteRange>,
}

/// The window, and whether a call within it would have been seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// In whose trail the calls stand.
    pub account_id: AccountId,
    /// The first moment of the window, at midnight UTC.
    pub since: DateTime<Utc>,
    /// Up to when the trail was read to the end; calls after it count as calls, their absence as nothing.
    pub until: DateTime<Utc>,
    /// Each region that calls may stand in.
    pub regions: Vec<ReadRegion>,
    /// Why the window was not read to the end; empty where it was.
    pub gaps: Vec<Reason>,
}

/// Actions that nobody can say were not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Why.
    pub why: Reason,
    /// The actions. Each stands under one reason, the first that holds.
    pub actions: ActionSet,
}

/// A privilege-escalation path that the grants open, and which of its actions were not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedPath {
    /// The path.
    pub found: Found,
    /// Its actions that were not used: without any of them the path is closed.
    pub unused: Vec<&'static str>,
}

/// What was granted, beside what was used.
#[derive(Debug, Clone)]
pub struct UsageReport {
    /// The role whose policies grant.
    pub role_arn: RoleArn,
    /// The window.
    pub covered: Covered,
    /// What the stack can allow.
    pub granted: ActionSet,
    /// What was called and let through at least once, by number of action.
    pub used: Vec<UsedAction>,
    /// What was called and let through, though the stack as it was seen does not allow it: the policies
    /// changed, or a resource's policy allowed it.
    pub used_outside_grants: Vec<UsedAction>,
    /// What was called and always refused.
    pub refused: Vec<UsedAction>,
    /// Calls whose action is not known.
    pub unmapped: Vec<Used>,
    /// What was granted and not used.
    pub unused: ActionSet,
    /// The rest, by reason.
    pub unknown: Vec<Open>,
    /// Patterns that grant what the catalogue does not know.
    pub unlisted: Vec<String>,
    /// Why the grants may be others than those that were seen.
    pub unseen: Vec<Reason>,
    /// The privilege-escalation paths among the grants.
    pub escalation_paths: Vec<GrantedPath>,
}

impl UsageReport {
    /// The granted actions that were used.
    #[must_use]
    pub fn used_set(&self) -> ActionSet {
        ActionSet::from_numbers(self.used.iter().map(|used| used.action.number))
    }

    /// The granted actions of which nobody can say.
    #[must_use]
    pub fn unknown_set(&self) -> ActionSet {
        ActionSet::union_of(self.unknown.iter().map(|open| &open.actions))
    }

    /// What of the unused grants matters most: actions of privilege-escalation paths, and those that manage
    /// permissions.
    #[must_use]
    pub fn unused_at_risk(&self) -> ActionSet {
        let paths = ActionSet::from_names(self.escalation_paths.iter().flat_map(|path| path.unused.iter().copied()));
        let managing = self.unused.of_level(AccessLevel::PermissionsManagement);
        self.unused.intersection(&paths).union(&managing)
    }
}

/// Compares what a set of policies grants with the calls. `remembered`: why the role may be another than the one at hand.
pub(crate) fn usage_report(
    stack: &PolicySet,
    grants: &Grants,
    role: &Role,
    trails: &[Trail],
    remembered: &[Reason],
    uses: &[Used],
    window: Covered,
) -> UsageReport {
    let calls = Calls::new(uses, role.arn.as_str(), window.since);
    let granted = grants.actions().clone();

    let mut report = UsageReport {
        role_arn: role.arn.clone(),
        granted: granted.clone(),
        used: Vec::new(),
        used_outside_grants: Vec::new(),
        refused: Vec::new(),
        unmapped: calls.unmapped,
        unused: ActionSet::default(),
        unknown: Vec::new(),
        unlisted: grants.unlisted_patterns(),
        unseen: grants.unseen().map(Reason::from).chain(remembered.iter().cloned()).collect(),
        escalation_paths: Vec::new(),
        covered: window,
    };
    report.unseen.dedup();
    for (number, used) in calls.own {
        let Some(action) = catalogue().actions().get(number) else { continue };
        let is_certain = grants.certainly_allowed().contains_number(number);
        let of = if used.denied >= used.calls {
            &mut report.refused
        } else if granted.contains_number(number) {
            &mut report.used
        } else {
            &mut report.used_outside_grants
        };
        of.push(UsedAction { action, used, is_certain });
    }

    let mut left = granted.minus(&report.used_set());
    let mut set_aside = |why: Reason, actions: ActionSet| {
        let actions = left.intersection(&actions);
        if !actions.is_empty() {
            left = left.minus(&actions);
            report.unknown.push(Open { why, actions });
        }
    };
    if let Some(why) = remembered.first() {
        let why = why.reworded(format!("the grants are known only as they were last seen: {why}"));
        set_aside(why, ActionSet::all().clone());
    }
    set_aside(
        "it was called, and refused each time".into(),
        ActionSet::from_numbers(report.refused.iter().map(|used| used.action.number)),
    );
    set_aside(
        "sessions of the role that no workload is known of called it".into(),
        ActionSet::from_numbers(calls.others),
    );
    for used in &report.used {
        let besides = ActionSet::from_numbers(used.action.dependent_actions().iter().map(|action| action.number));
        set_aside(format!("a call of {} may have needed it besides", used.action.name).into(), besides);
    }
    for (why, actions) in unseen_calls(trails, &report.covered, &left_of(&granted, &report.used)) {
        set_aside(why, actions);
    }
    report.unused = left;

    let own: Vec<Arn> = role.attached.iter().map(|p| p.arn.clone()).filter(|arn| arn.account() != "aws").collect();
    for found in escalation::find(stack, Holder { role: &role.arn, policies: &own, boundary: role.boundary.as_ref() }) {
        let unused = found.path.actions().filter(|action| report.unused.contains(action)).collect();
        report.escalation_paths.push(GrantedPath { found, unused });
    }
    report
}

fn left_of(granted: &ActionSet, used: &[UsedAction]) -> ActionSet {
    granted.minus(&ActionSet::from_numbers(used.iter().map(|used| used.action.number)))
}

/// Calls since a moment, by action.
#[derive(Default)]
struct Calls {
    own: BTreeMap<usize, Used>,
    /// Actions that only sessions called which may be another workload's.
    others: BTreeSet<usize>,
    unmapped: Vec<Used>,
}

impl Calls {
    fn new(uses: &[Used], role_arn: &str, since: DateTime<Utc>) -> Self {
        let mut calls = Self::default();
        let mut unmapped: BTreeMap<&str, Used> = BTreeMap::new();
        for used in uses.iter().filter(|used| used.role_arn == role_arn && used.last >= since) {
            match catalogue().find(&used.action) {
                Some(action) if used.is_own => add(calls.own.entry(action.number), used),
                Some(action) => drop(calls.others.insert(action.number)),
                None if used.is_own => add(unmapped.entry(&used.action), used),
                None => {}
            }
        }
        calls.unmapped = unmapped.into_values().collect();
        calls
    }
}

fn add<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Used>, used: &Used) {
    let nothing = Used { calls: 0, errors: 0, denied: 0, ..used.clone() };
    let sum = entry.or_insert(nothing);
    sum.calls = sum.calls.saturating_add(used.calls);
    sum.errors = sum.errors.saturating_add(used.errors);
    sum.denied = sum.denied.saturating_add(used.denied);
    sum.first = sum.first.min(used.first);
    sum.last = sum.last.max(used.last);
}

/// Whether the trail of a role's account was read to the end over the window, in each region that calls may
/// stand in.
#[must_use]
pub fn covered(estate: &Estate, role: &RoleArn, window: Window<'_>) -> Covered {
    covered_by(&estate.coverage, role, window)
}

/// As [`covered`], by what was looked at.
pub(crate) fn covered_by(coverage: &Coverage, role: &RoleArn, window: Window<'_>) -> Covered {
    let account_id = role.account_id();
    let of_account: Vec<&CompleteRange> =
        window.complete.iter().filter(|range| range.account_id == account_id).collect();
    let mut gaps = Vec::new();
    // Sources that would have shown any region: a region that such a source does not have had no events.
    let everywhere: BTreeMap<&str, CompleteRange> = everywhere(&of_account);
    let looked_at = coverage.scopes().filter(|(scope, _)| {
        scope.account_id == account_id && matches!(scope.kind, ScopeKind::Trails | ScopeKind::Clusters)
    });
    let mut regions: BTreeSet<Region> = looked_at.filter_map(|(scope, _)| scope.region.clone()).collect();
    regions.extend(of_account.iter().map(|range| range.region.clone()));
    regions.extend(Region::of_global_services(role.arn().partition()));
    let best = |region: &Region| {
        let own = of_account.iter().filter(|range| range.region == *region).map(|range| (*range).clone());
        let without = everywhere
            .values()
            .filter(|range| !of_account.iter().any(|other| other.source == range.source && other.region == *region));
        let candidates = own.chain(without.cloned()).filter(|range| range.event_scope != EventScope::Sessions);
        let long = TimeDelta::days(i64::from(window.days));
        // Of those that reach back far enough the one that has more kinds of events.
        candidates.max_by_key(|range| {
            let reach = range.to - range.from;
            (reach.min(long), matches!(range.event_scope, EventScope::Bucket(_)), range.to)
        })
    };
    let regions: Vec<ReadRegion> =
        regions.into_iter().map(|region| ReadRegion { complete: best(&region), region }).collect();
    let until = regions.iter().filter_map(|read| Some(read.complete.as_ref()?.to)).min().unwrap_or(window.now);
    let since = until - TimeDelta::days(i64::from(window.days));
    // Calls are counted by day.
    let since = since.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let mut short: BTreeMap<Option<DateTime<Utc>>, Vec<&Region>> = BTreeMap::new();
    for read in &regions {
        let from = read.complete.as_ref().map(|range| range.from);
        if from.is_none_or(|from| from > since) {
            short.entry(from).or_default().push(&read.region);
        }
    }
    for (from, regions) in short {
        let names = regions.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ");
        let text = match from {
            None => format!("completeness of the trail of {names} is unknown"),
            Some(from) => format!("the trail of {names} is complete only from {} on", day(from)),
        };
        let listing = |region: &&Region| Scope::regional(account_id, ScopeKind::Sessions, (*region).clone());
        let cause = regions.first().map(listing).map(Cause::Gap);
        gaps.push(cause.map_or_else(|| Reason::from(text.as_str()), |cause| Reason::new(text.as_str(), cause)));
    }
    if everywhere.is_empty() {
        let listing = Scope::global(account_id, ScopeKind::Clusters);
        gaps.extend(coverage.blind_spots(&listing));
    }
    if regions.is_empty() {
        gaps.push("no region is known in which calls would stand".into());
    }
    if window.now - until > STALE {
        gaps.push(format!("the trail is complete up to {}", day(until)).into());
    }
    Covered { account_id, since, until, regions, gaps }
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// What each source that sees every region read to the end in all of them.
fn everywhere<'w>(of_account: &[&'w CompleteRange]) -> BTreeMap<&'w str, CompleteRange> {
    let mut sources: BTreeMap<&str, CompleteRange> = BTreeMap::new();
    for range in of_account.iter().filter(|range| range.all_regions) {
        let least = sources.entry(&range.source).or_insert_with(|| (*range).clone());
        least.from = least.from.max(range.from);
        least.to = least.to.min(range.to);
    }
    sources.retain(|_, range| range.from < range.to);
    sources
}

/// What of these actions could have been called without being seen, and why.
pub(crate) fn unseen_calls(trails: &[Trail], covered: &Covered, actions: &ActionSet) -> Vec<(Reason, ActionSet)> {
    let mut open = Vec::new();
    if let Some(why) = covered.gaps.first() {
        let more = match covered.gaps.len() {
            1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        return vec![(why.reworded(format!("{why}{more}")), actions.clone())];
    }
    let never = "AWS does not say that calls of it are recorded, or it is never a call of its own";
    open.push((never.into(), recording::unrecorded().clone()));
    let shown = ActionSet::union_of(recording::data().map(|(_, set)| set).chain([recording::management()]));
    let not_known = "nothing is known of where calls of it would show";
    open.push((not_known.into(), ActionSet::all().minus(&shown).minus(recording::unrecorded())));
    for read in &covered.regions {
        let Some(range) = &read.complete else { continue };
        let region = &read.region;
        let recorded = match &range.event_scope {
            EventScope::Sessions => Err("only events that begin sessions are read".to_owned()),
            EventScope::Management => {
                Ok(vec![Recorded { management_reads: true, management_writes: true, ..Recorded::default() }])
            }
            EventScope::Bucket(bucket) => {
                let fits = |trail: &&Trail| trail.bucket.as_deref() == Some(bucket.as_str());
                selectors(trails, covered, region, fits, &format!("deliver to {bucket}"))
            }
            EventScope::Stated => selectors(trails, covered, region, |_| true, "record it"),
        };
        let recorded = match recorded {
            Ok(recorded) => recorded,
            Err(why) => {
                let text = format!("what the trails of {region} record is not known: {why}");
                let listing = Scope::regional(covered.account_id, ScopeKind::Trails, region.clone());
                open.push((Reason::new(text, Cause::Gap(listing)), ActionSet::all().clone()));
                continue;
            }
        };
        let both = |one: &&Recorded| one.management_reads && one.management_writes;
        // What every such trail leaves out.
        let excluded = recorded.iter().filter(both).map(|one| one.excluded_sources.clone());
        match excluded.reduce(|a, b| a.intersection(&b).cloned().collect()) {
            None => open.push((
                format!("no trail of {region} records both reading and writing management events").into(),
                recording::management().clone(),
            )),
            Some(sources) => {
                for source in sources {
                    let why = format!("the trail of {region} leaves out the events of {source}");
                    open.push((why.into(), recording::of_source(&source)));
                }
            }
        }
        for (kind, actions) in recording::data() {
            if !recorded.iter().any(|one| one.data.contains(kind)) {
                open.push((
                    format!("data events of {kind} are not recorded for every resource").into(),
                    actions.clone(),
                ));
            }
        }
    }
    open
}

/// What the trails record that have a region's events and fit.
fn selectors(
    trails: &[Trail],
    covered: &Covered,
    region: &Region,
    fits: impl Fn(&&Trail) -> bool,
    what: &str,
) -> Result<Vec<Recorded>, String> {
    let there = |trail: &&Trail| {
        (trail.account_id == covered.account_id || trail.is_organization)
            && (trail.is_multi_region || trail.region == *region)
    };
    let trails: Vec<&Trail> = trails.iter().filter(there).filter(fits).collect();
    if trails.is_empty() {
        return Err(format!("no trail was seen to {what}"));
    }
    let is_whole = |trail: &&&Trail| !trail.is_interrupted(covered.since, covered.until);
    let logging: Vec<&Trail> = trails.iter().filter(is_whole).copied().collect();
    if let (Some(stopped), []) = (trails.first(), logging.as_slice()) {
        return Err(format!("trail {} was not logging for all of the time", stopped.name));
    }
    let trails = logging;
    let recorded: Vec<Recorded> = trails.iter().filter_map(|trail| trail.recorded.clone()).collect();
    if recorded.is_empty() {
        return Err("their selectors were not seen".to_owned());
    }
    Ok(recorded)
}

/// Why calls of some of these actions may be missing from what was read to the end.
pub(crate) fn unseen_in(trails: &[Trail], range: &CompleteRange, actions: &ActionSet) -> Option<Reason> {
    let read = ReadRegion { region: range.region.clone(), complete: Some(range.clone()) };
    let covered = Covered {
        account_id: range.account_id,
        since: range.from,
        until: range.to,
        regions: vec![read],
        gaps: Vec::new(),
    };
    unseen_calls(trails, &covered, actions).into_iter().find_map(|(why, set)| {
        let open = set.intersection(actions);
        let first = open.iter().next()?.name;
        Some(why.reworded(match open.len() {
            1 => format!("{first}: {why}"),
            n => format!("{first} and {} more: {why}", n - 1),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rolecall_estate::TrailStatus;

    #[test]
    fn a_trail_that_was_stopped_shows_not_all_of_its_time() {
        let at = |hour: u32| format!("2026-11-20T{hour:02}:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let range = CompleteRange {
            source: "org".to_owned(),
            account_id: "111122223333".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            from: at(10),
            to: at(12),
            event_scope: EventScope::Bucket("b".to_owned()),
            all_regions: true,
        };
        let trail = |is_logging: bool, stopped_at| Trail {
            account_id: range.account_id,
            region: range.region.clone(),
            arn: "arn:aws:cloudtrail:eu-west-1:111122223333:trail/t".to_owned(),
            name: "t".to_owned(),
            bucket: Some("b".to_owned()),
            is_multi_region: true,
            is_organization: false,
            records_read_only_management: Some(true),
            recorded: Some(Recorded { management_reads: true, management_writes: true, ..Recorded::default() }),
            status: Some(TrailStatus { is_logging, started_at: None, stopped_at }),
        };
        let asked = ActionSet::from_names(["kms:Decrypt"]);
        let (on, off, later) = (trail(true, None), trail(false, Some(at(11))), trail(false, Some(at(13))));
        for (trails, is_shown) in [
            (vec![on.clone()], true),
            (vec![later], true),
            (vec![off.clone()], false),
            // Another trail has the same events.
            (vec![off, on], true),
        ] {
            let why = unseen_in(&trails, &range, &asked);
            assert_eq!(why.is_none(), is_shown, "{why:?}");
            assert!(why.is_none_or(|why| why.contains("trail t was not logging for all of the time")));
        }
    }

    #[test]
    fn what_a_trail_would_not_show_is_told() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let why = |event_scope, names: &[&str]| {
            let range = CompleteRange {
                source: "org".to_owned(),
                account_id: "111122223333".parse().unwrap(),
                region: "eu-west-1".parse().unwrap(),
                from: at,
                to: at,
                event_scope,
                all_regions: true,
            };
            unseen_in(&[], &range, &ActionSet::from_names(names.iter().copied()))
        };
        assert_eq!(why(EventScope::Management, &["kms:Decrypt", "ec2:RunInstances"]), None);
        for (holds, names, expected) in [
            (EventScope::Management, ["s3:GetObject", "s3:PutObject"], "s3:GetObject and 1 more: data events"),
            (EventScope::Bucket("b".to_owned()), ["kms:Decrypt", "kms:Decrypt"], "kms:Decrypt: what the trails of"),
            (EventScope::Stated, ["kms:Decrypt", "kms:Decrypt"], "no trail was seen to record it"),
        ] {
            let why = why(holds, &names).unwrap();
            assert!(why.contains(expected), "{why}");
        }
    }
}
