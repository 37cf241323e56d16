//! What the trail says of associations and roles: when they were last used, and where it is complete.

use super::origins::Origins;
use super::unused::unseen_in;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_cloudtrail::evidence::BothCredentials;
use rolecall_cloudtrail::{History, attribute_sessions, evidence};
use rolecall_estate::id::Region;
use rolecall_estate::{
    AssociationKey, AssociationSpan, CompleteRange, Estate, EventScope, Reason, Session, SessionAttribution, Trail,
    TrailMemory,
};
use rolecall_iam::{AccountId, ActionSet};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// From one moment up to, and without, another.
pub(crate) type Span = (DateTime<Utc>, DateTime<Utc>);

/// What the trail tells of associations and roles.
#[derive(Debug, Default)]
pub(crate) struct TrailEvidence {
    pub history: History,
    /// Since when the trail was read completely.
    pub since: Option<DateTime<Utc>>,
    /// What is remembered beyond the sessions that are judged.
    pub memory: TrailMemory,
    /// The ranges of each place's trail that were read completely and show sessions.
    pub stretches: BTreeMap<(AccountId, Region), Vec<Span>>,
    /// From when to when an account's sessions were read completely wherever they can be.
    pub everywhere: BTreeMap<AccountId, Vec<Span>>,
    pub used: HashMap<AssociationKey, LastSession>,
    /// By association id: the last session that can be this association's or another's.
    pub possible: HashMap<String, DateTime<Utc>>,
    pub roles: HashMap<Box<str>, LastSession>,
    pub both_credentials: BTreeMap<(AccountId, String, String), BothCredentials>,
    /// From where sessions were used.
    pub origins: Origins,
}

impl TrailEvidence {
    /// Works out where sessions were read completely.
    fn remember(&mut self, trails: &[Trail]) {
        let (stretches, everywhere) = read(trails, &self.memory.complete_ranges);
        for (place, range, unseen) in stretches {
            if unseen.is_none() {
                self.stretches.entry(place).or_default().push((range.from, range.to));
            }
        }
        self.everywhere = everywhere;
    }

    /// Whether a session of the window is the association's.
    pub(crate) fn has_session(&self, key: &AssociationKey) -> bool {
        self.used.contains_key(key)
    }

    /// Whether a session of the window can be the association's.
    pub(crate) fn may_have_session(&self, association_id: &str) -> bool {
        self.possible.contains_key(association_id)
    }

    /// Since when ranges show everything up to now, going back from where `since` does already.
    pub(crate) fn back(&self, since: Option<DateTime<Utc>>, stretches: Option<&Vec<Span>>) -> Option<DateTime<Utc>> {
        let mut left: Vec<_> = stretches.into_iter().flatten().copied().collect();
        let up_to_now = |to: DateTime<Utc>| self.memory.at.is_some_and(|at| to + LAG >= at);
        let mut since = since;
        while let Some(found) =
            left.iter().position(|(_, to)| since.map_or_else(|| up_to_now(*to), |since| *to >= since))
        {
            let (from, _) = left.swap_remove(found);
            since = Some(since.map_or(from, |since| since.min(from)));
        }
        since
    }
}

/// Each range with its place and why sessions may be missing from it.
type ReadRange<'r> = ((AccountId, Region), &'r CompleteRange, Option<Reason>);

/// The ranges, and from when to when an account's sessions were read completely wherever they can be.
fn read<'r>(trails: &[Trail], ranges: &'r [CompleteRange]) -> (Vec<ReadRange<'r>>, BTreeMap<AccountId, Vec<Span>>) {
    let begins = ActionSet::from_names(["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"]);
    let mut sources: BTreeMap<(AccountId, &str), Vec<(&CompleteRange, bool)>> = BTreeMap::new();
    let mut each = Vec::with_capacity(ranges.len());
    for range in ranges {
        let is_sessions = range.event_scope == EventScope::Sessions;
        let unseen = if is_sessions { None } else { unseen_in(trails, range, &begins) };
        sources.entry((range.account_id, &range.source)).or_default().push((range, unseen.is_none()));
        each.push(((range.account_id, range.region.clone()), range, unseen));
    }
    let mut everywhere: BTreeMap<AccountId, Vec<Span>> = BTreeMap::new();
    for ((account, _), regions) in sources {
        let from = regions.iter().map(|(range, _)| range.from).max();
        let to = regions.iter().map(|(range, _)| range.to).min();
        let all = regions.iter().all(|(_, shows)| *shows) && regions.iter().any(|(range, _)| range.all_regions);
        if let (true, Some(from), Some(to)) = (all, from, to) {
            everywhere.entry(account).or_default().push((from, to));
        }
    }
    (each, everywhere)
}

/// From when to when an account's sessions were read completely wherever they can be; and why not, where a range is
/// there that does not show them.
pub(crate) fn sessions_read(
    trails: &[Trail],
    ranges: &[CompleteRange],
    account: AccountId,
) -> (Vec<Span>, Option<Reason>) {
    let of_account: Vec<CompleteRange> = ranges.iter().filter(|range| range.account_id == account).cloned().collect();
    let (each, mut everywhere) = read(trails, &of_account);
    let unseen = each.into_iter().find_map(|(.., unseen)| unseen);
    let spans = everywhere.remove(&account).unwrap_or_default();
    let is_of_some = spans.is_empty() && !of_account.is_empty();
    let regions = || is_of_some.then(|| Reason::from("other Regions may have events that were not read"));
    (spans, unseen.or_else(regions))
}

/// So far may a trail that was read completely lag behind.
pub(crate) const LAG: TimeDelta = TimeDelta::hours(6);

/// The last session of many.
#[derive(Debug, Clone)]
pub(crate) struct LastSession {
    pub at: DateTime<Utc>,
    pub event_id: String,
    pub name: Option<String>,
}

impl LastSession {
    fn new(session: &Session) -> Self {
        Self { at: session.at, event_id: session.event_id.clone(), name: session.session_name.clone() }
    }
}

/// The attribution of every session of the estate, in their order. As the store has it, since it knows what
/// opened a session that is not among these; sessions that did not come from there are attributed here.
fn attributions<'e>(estate: &'e Estate, history: &History) -> Vec<Cow<'e, SessionAttribution>> {
    let stored = estate.sessions.iter().map(|session| session.attribution.as_deref().map(Cow::Borrowed)).collect();
    let worked_out = || attribute_sessions(&estate.sessions, history, &|_| None).into_iter().map(Cow::Owned).collect();
    let stored: Option<Vec<_>> = stored;
    stored.unwrap_or_else(worked_out)
}

/// The attribution of every session of the estate, in their order, and the sum of what follows.
pub(crate) fn evidence_of(estate: &Estate) -> (TrailEvidence, Vec<Cow<'_, SessionAttribution>>) {
    let history = History::new(spans(estate));
    let attributions = attributions(estate, &history);
    let mut facts = TrailEvidence {
        history,
        since: estate.sessions_since,
        memory: estate.memory.clone(),
        ..TrailEvidence::default()
    };
    facts.remember(&estate.confirmed_trails());
    facts.origins = Origins::new(estate);
    for (session, attribution) in
        estate.sessions.iter().zip(&attributions).filter(|(session, _)| session.error.is_none())
    {
        let newer = |last: Option<&LastSession>| last.is_none_or(|last| last.at < session.at);
        if let Some(role) = session.role_arn.as_deref()
            && newer(facts.roles.get(role))
        {
            facts.roles.insert(role.into(), LastSession::new(session));
        }
        if let Some(key) = &attribution.association
            && newer(facts.used.get(key))
        {
            facts.used.insert(key.clone(), LastSession::new(session));
        }
        for id in &attribution.candidates {
            let last = facts.possible.entry(id.clone()).or_insert(session.at);
            *last = session.at.max(*last);
        }
    }
    facts.both_credentials =
        evidence::both_credentials(estate.sessions.iter().zip(attributions.iter().map(AsRef::as_ref)))
            .into_iter()
            .map(|both| ((both.account_id, both.namespace.clone(), both.service_account.clone()), both))
            .collect();
    (facts, attributions)
}

/// Associations over time: as scans found them, and those of the present that no scan dates.
fn spans(estate: &Estate) -> Vec<AssociationSpan> {
    let mut spans = estate.association_history.clone();
    let dated: BTreeSet<AssociationKey> =
        spans.iter().filter(|span| span.to.is_none()).map(|span| span.key.clone()).collect();
    let undated = estate.associations.iter().filter(|association| !dated.contains(&association.key));
    // Nobody says when it was first seen: only its own dates tell its beginning.
    spans.extend(undated.map(|association| AssociationSpan::new(association, DateTime::<Utc>::MAX_UTC, None)));
    spans
}
