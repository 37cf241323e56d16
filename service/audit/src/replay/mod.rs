//! Changes told from calls alone: what was done between two scans, and is seen by neither.
//!
//! Knows how to put calls, one after the other, into the estate as the scan before left it, by the machinery of
//! [`crate::what_if`], and to label each step as a difference between two scans. A step is told only where a
//! later call undid it or put something else in its place, where the scan after does not show it, or where there
//! is no scan after it yet: what the scan after shows is its change. Refuses to know where events and estates
//! are kept, and who reads them.

mod request;

use crate::drift::{
    Attributed, Attribution, Change, Ended, Escalations, Resource, ResourceType, SLACK, Scans, State, changes,
    digest_id, kind, of_whole, replaced_by, same_part, unlabelled,
};
use crate::what_if::{Applied, PROPOSED, Place, Proposed, apply, listed};
use chrono::{DateTime, Utc};
use request::{Asked, Requested};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Estate, ResourceKind};
use rolecall_iam::{AccountId, Document};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The calls between two scans of an account, with the estates that these left.
#[derive(Debug, Clone, Copy)]
pub struct Between<'a> {
    /// The estate as the scan before the calls left it.
    pub before: &'a Estate,
    /// The scan after them; `None`: there is none yet.
    pub after: Option<ScanAfter<'a>>,
    /// The calls of one account, in any order. Those that failed change nothing.
    pub calls: &'a [ChangeEvent],
    /// Ids of events that changes between scans are attributed to.
    pub attributed: &'a BTreeSet<String>,
    /// Resources that a scan shows as added or made anew: whatever was called about them is part of that.
    pub made: &'a BTreeSet<Resource>,
}

/// The scan after some calls.
#[derive(Debug, Clone, Copy)]
pub struct ScanAfter<'a> {
    /// The estate as it left it.
    pub estate: &'a Estate,
    /// When it began to read the account: a call after that may have come too late for it.
    pub begun_at: DateTime<Utc>,
    /// Of what date it is.
    pub at: DateTime<Utc>,
}

/// What calls come to.
#[derive(Debug, Clone, Default)]
pub struct Replayed {
    /// Changes that no scan shows, by the time of their calls.
    pub changes: Vec<EventChange>,
    /// Calls of which the scan after cannot tell whether what they did is there: the next one may.
    pub open: Vec<ChangeEvent>,
}

/// A change that is known from its call alone.
#[derive(Debug, Clone)]
pub struct EventChange {
    /// The change. Its id follows from the event's.
    pub change: Change,
    /// The call, without its parameters.
    pub call: ChangeEvent,
    /// When it was over; `None`: no scan has shown it yet, and no call undid it.
    pub ended: Option<Ended>,
    /// The documents that its states name.
    pub documents: Vec<Document>,
}

impl EventChange {
    /// Who made it: the one call that it is told from.
    #[must_use]
    pub fn attributed(&self) -> Attributed {
        Attributed {
            attribution: Attribution::Exact,
            because: format!("It is told from the call of {} alone: no scan shows it", self.call.event_name),
            calls: vec![self.call.clone()],
            is_trail_complete: false,
        }
    }
}

/// Whether calls of a kind are told at all, where no scan shows what they did.
#[must_use]
pub fn is_replayed(call: &ChangeEvent) -> bool {
    call.error_code.is_none() && request::is_replayed(call)
}

/// What one call did to one part of a resource.
struct Step<'a> {
    call: &'a ChangeEvent,
    change: Change,
    documents: Vec<Document>,
    /// Whether it is known what the call asked for, and what was there before.
    is_known: bool,
}

/// Says what calls did that neither the scan before them nor the one after shows.
#[must_use]
pub fn replay(between: &Between<'_>) -> Replayed {
    let mut calls: Vec<&ChangeEvent> = between.calls.iter().filter(|call| is_replayed(call)).collect();
    // CloudTrail tells no fraction of a second.
    calls.sort_by_key(|call| (call.event_time, request::rank(&call.event_name), call.event_id.clone()));
    calls.dedup_by(|a, b| a.event_id == b.event_id && a.region == b.region);
    let (steps, last) = steps(between, &calls);
    let shown = between.after.map(|after| {
        let last = adopted(last.into_owned(), after.estate, between.before);
        let listed = &after.estate.coverage;
        unlabelled(&Scans {
            before: &last,
            after: after.estate,
            listed_before: listed,
            listed_after: listed,
            roles_of: None,
            pair: "",
        })
    });
    let mut out = Replayed::default();
    for (at, step) in steps.iter().enumerate() {
        if between.attributed.contains(&step.call.event_id) || between.made.contains(&step.change.resource) {
            continue;
        }
        let is_same = |other: &&Step<'_>| other.change.resource == step.change.resource;
        let first = steps
            .iter()
            .take(at)
            .filter(is_same)
            .find(|other| other.is_known && same_part(&other.change, &step.change));
        // It puts back what was there before.
        if first.is_some_and(|first| step.is_known && first.change.before == step.change.after) {
            continue;
        }
        let mut later: Vec<&Change> = Vec::new();
        let mut ended = None;
        for other in steps.iter().skip(at + 1).filter(is_same) {
            later.push(&other.change);
            if replaced_by(&step.change, later.iter().copied()).is_some() {
                ended = Some(Ended { at: other.call.event_time, by: Some(other.call.event_id.clone()) });
                break;
            }
        }
        if let (None, Some(after), Some(shown)) = (&ended, between.after, &shown) {
            if !is_covered(after.estate, &step.change) {
                out.open.push(step.call.clone());
                continue;
            }
            later.extend(shown.iter().filter(|other| other.resource == step.change.resource));
            if replaced_by(&step.change, later.iter().copied()).is_none() {
                continue;
            }
            if step.call.event_time >= after.begun_at.checked_sub_signed(SLACK).unwrap_or(after.begun_at) {
                out.open.push(step.call.clone());
                continue;
            }
            ended = Some(Ended { at: after.at, by: None });
        }
        // What is taken from a resource before it is deleted is part of that.
        if is_on_the_way_out(step, &later) {
            continue;
        }
        out.changes.push(EventChange {
            change: step.change.clone(),
            call: ChangeEvent { request: Value::Null, ..step.call.clone() },
            ended,
            documents: step.documents.clone(),
        });
    }
    out.open.dedup_by(|a, b| a.event_id == b.event_id);
    out
}

/// Whether a step takes away what must be gone before its resource can be deleted, and the next that concerns it
/// is that deletion.
fn is_on_the_way_out(step: &Step<'_>, later: &[&Change]) -> bool {
    let takes = [kind::INLINE_REMOVED, kind::DETACHED, kind::PROFILE_REMOVED, kind::TARGET_DETACHED];
    takes.contains(&step.change.change.as_str())
        && later.last().is_some_and(|last| last.change == kind::REMOVED && last.resource == step.change.resource)
}

/// Puts the calls into the estate, one after the other: what each did, and the estate after the last.
fn steps<'a>(between: &Between<'a>, calls: &[&'a ChangeEvent]) -> (Vec<Step<'a>>, Cow<'a, Estate>) {
    let mut state: Cow<'a, Estate> = Cow::Borrowed(between.before);
    let mut steps = Vec::new();
    for call in calls {
        let after = between.after.map(|after| after.estate);
        let Requested { what, asked } = request::read(call, [Some(between.before), after]);
        let what = what.filter(|what| !is_of_another_kind(&state, what));
        let proposals = match asked {
            Asked::Nothing => continue,
            Asked::NotKnown(why) => {
                steps.extend(what.map(|what| unknown_step(call, what, &why)));
                continue;
            }
            Asked::For(proposals) => proposals,
        };
        let proposed: Vec<Proposed> = proposals
            .into_iter()
            .map(|proposal| Proposed { place: Place::default(), proposal, documents: BTreeMap::new() })
            .collect();
        let Applied { estate: mut next, touched, notes, problems } = apply(&state, &proposed);
        if let Some(problem) = problems.first() {
            let why = format!("what was there before is not known: {}", problem.message);
            steps.extend(what.map(|what| unknown_step(call, what, &why)));
            continue;
        }
        restore_versions(&mut next, between.before);
        let listed = listed(&state.coverage, &touched);
        let roles_of = BTreeSet::from([call.account_id]);
        let scans = Scans {
            before: &state,
            after: &next,
            listed_before: &listed,
            listed_after: &listed,
            roles_of: Some(&roles_of),
            pair: &call.event_id,
        };
        // What a scan shows is labelled there.
        let found = if between.attributed.contains(&call.event_id) { unlabelled(&scans) } else { changes(&scans) };
        for mut change in found.into_iter().filter(|change| change.caused_by.is_none()) {
            let doubt = touched.iter().find(|it| it.resource == change.resource).and_then(|it| it.doubt(&state));
            if let Some(why) = doubt.or_else(|| notes.first().map(|note| note.message.clone())) {
                change.unproved(&why);
            }
            change.id = id(call, &change);
            let digests = [&change.before, &change.after].into_iter().filter_map(|state| match state {
                Some(State::Document(digest)) => next.documents.get(digest).cloned(),
                _ => None,
            });
            steps.push(Step { call, documents: digests.collect(), change, is_known: true });
        }
        state = Cow::Owned(next);
    }
    (steps, state)
}

fn id(call: &ChangeEvent, change: &Change) -> String {
    let part = change.part.as_deref().unwrap_or_default();
    digest_id(&["event", &call.account_id.to_string(), call.region.as_str(), &call.event_id, &change.change, part])
}

/// The types of resources that are in a region.
const REGIONAL: [ResourceType; 5] = [
    ResourceType::Association,
    ResourceType::Trail,
    ResourceType::Cluster,
    ResourceType::Addon,
    ResourceType::AccessEntry,
];

/// A step of which it is known that it was made, and not what it came to.
fn unknown_step<'a>(call: &'a ChangeEvent, what: request::What, why: &str) -> Step<'a> {
    let mut change = Change {
        id: String::new(),
        account_id: call.account_id,
        region: REGIONAL.contains(&what.resource.kind).then(|| call.region.clone()),
        resource: what.resource,
        change: what.change.to_owned(),
        part: what.part,
        before: None,
        after: what.is_there.then(|| State::Text(format!("what event {} asked for", call.event_id))),
        effect: crate::drift::Effect::Unknown,
        gained: None,
        lost: None,
        because: why.to_owned(),
        affected: Vec::new(),
        caused_by: None,
        takes_hold: crate::drift::TakesHold::AtOnce,
        administrator: None,
        escalations: Escalations::default(),
        trusted: None,
        aliases: Vec::new(),
    };
    change.id = id(call, &change);
    Step { call, change, documents: Vec::new(), is_known: false }
}

/// Whether it is an organization policy of a kind that is not listed: complete listings do not have it.
fn is_of_another_kind(estate: &Estate, what: &request::What) -> bool {
    let id = what.resource.name.rsplit('/').next().unwrap_or_default();
    let is_complete =
        |scope: &Scope| scope.kind == ScopeKind::OrgPolicies && estate.coverage.blind_spots(scope).is_empty();
    what.resource.kind == ResourceType::OrgPolicy
        && what.change != kind::ADDED
        && !estate.org_policies.iter().any(|policy| policy.id == id)
        && estate.coverage.scopes().any(|(scope, _)| is_complete(scope))
}

/// A policy that has the document of the scan before again has that version again.
fn restore_versions(estate: &mut Estate, before: &Estate) {
    for policy in estate.policies.iter_mut().filter(|policy| policy.default_version == PROPOSED) {
        let was = before.policies.iter().find(|was| was.account_id == policy.account_id && was.arn == policy.arn);
        if let Some(was) = was.filter(|was| was.policy_id == policy.policy_id && was.document == policy.document) {
            policy.default_version.clone_from(&was.default_version);
        }
    }
}

/// What calls made has the ids that the scan after tells, where that shows something new under the name.
fn adopted(mut estate: Estate, after: &Estate, before: &Estate) -> Estate {
    for role in estate.roles.iter_mut().filter(|role| role.role_id == PROPOSED) {
        let known = before.roles.iter().find(|was| was.arn == role.arn).map(|was| &was.role_id);
        let shown = after.roles.iter().find(|is| is.arn == role.arn);
        if let Some(is) = shown.filter(|is| Some(&is.role_id) != known) {
            role.role_id.clone_from(&is.role_id);
        }
    }
    for policy in &mut estate.policies {
        let of = |it: &&rolecall_estate::ManagedPolicy| it.account_id == policy.account_id && it.arn == policy.arn;
        let known = before.policies.iter().find(of).map(|was| &was.policy_id);
        let Some(is) = after.policies.iter().find(of) else { continue };
        if policy.policy_id == PROPOSED && Some(&is.policy_id) != known {
            policy.policy_id.clone_from(&is.policy_id);
        }
        if policy.default_version == PROPOSED && is.document == policy.document {
            policy.default_version.clone_from(&is.default_version);
        }
    }
    for made in estate.associations.iter_mut().filter(|it| it.association_id == PROPOSED) {
        let known = before.associations.iter().find(|was| was.key == made.key).map(|was| &was.association_id);
        let shown = after.associations.iter().find(|is| is.key == made.key);
        if let Some(is) = shown.filter(|is| Some(&is.association_id) != known) {
            made.association_id.clone_from(&is.association_id);
        }
    }
    estate
}

/// Whether a scan tells how a resource is: it shows it, or its listing is complete and does not have it.
fn is_covered(estate: &Estate, change: &Change) -> bool {
    let (name, account) = (change.resource.name.as_str(), change.account_id);
    let is_old = |kinds: &[ResourceKind], key: &str, account: AccountId| {
        kinds.iter().any(|kind| estate.unconfirmed.contains(*kind, account, key))
    };
    let is_listed = |scope: Scope| estate.coverage.blind_spots(&scope).is_empty();
    match change.resource.kind {
        ResourceType::Role => match estate.roles.iter().any(|role| role.arn.as_str() == name) {
            true => !is_old(&[ResourceKind::Role], name, account),
            false => is_listed(Scope::global(account, ScopeKind::Roles)),
        },
        ResourceType::ManagedPolicy => match estate.policies.iter().any(|policy| policy.arn.as_str() == name) {
            true => !is_old(&[ResourceKind::Policy, ResourceKind::PolicyDocument], name, account),
            false => is_listed(Scope::global(account, ScopeKind::Policies)),
        },
        ResourceType::Association => {
            match estate.associations.iter().find(|it| it.key.to_string() == name).map(|it| &it.key) {
                Some(_) => !is_old(&[ResourceKind::Association, ResourceKind::AssociationDetail], name, account),
                None => name.parse().is_ok_and(|key: rolecall_estate::AssociationKey| {
                    let rolecall_estate::AssociationKey { account_id, region, cluster, .. } = key;
                    is_listed(Scope::of_cluster(account_id, ScopeKind::Associations, region, cluster))
                }),
            }
        }
        ResourceType::OrgPolicy => {
            let id = name.rsplit('/').next().unwrap_or(name);
            match estate.org_policies.iter().find(|policy| policy.id == id) {
                Some(policy) => !is_old(&[ResourceKind::OrgPolicy], id, policy.account_id),
                None => is_listed(Scope::global(account, ScopeKind::OrgPolicies)),
            }
        }
        ResourceType::Trail => {
            let found = estate.trails.iter().find(|trail| trail.arn == name);
            found.is_some_and(|trail| {
                let is_seen =
                    if change.change == kind::SELECTORS { trail.recorded.is_some() } else { trail.status.is_some() };
                is_seen && !is_old(&[ResourceKind::Trail, ResourceKind::TrailSelectors], name, account)
            })
        }
        ResourceType::OidcProvider => {
            let found = estate.oidc_providers.iter().find(|it| it.arn.as_str() == name);
            let is_whole = of_whole(change);
            found.map_or_else(
                || is_listed(Scope::global(account, ScopeKind::OidcProviders)),
                |it| (is_whole || it.detail.is_some()) && !is_old(&[ResourceKind::OidcProvider], name, account),
            )
        }
        ResourceType::Cluster | ResourceType::Addon | ResourceType::AccessEntry => {
            let Some((region, cluster)) = change.region.as_ref().zip(change.resource.cluster()) else { return false };
            let found = estate
                .clusters
                .iter()
                .find(|it| (it.account_id, &it.region, it.name.as_str()) == (account, region, cluster));
            let Some(found) = found else {
                return is_listed(Scope::regional(account, ScopeKind::Clusters, region.clone()));
            };
            let part = |kind| is_listed(Scope::of_cluster(account, kind, region.clone(), found.name.clone()));
            match change.resource.kind {
                ResourceType::Cluster => !is_old(&[ResourceKind::Cluster], &found.key(), account),
                ResourceType::Addon => found.addons.is_some() && part(ScopeKind::Addons),
                _ => found.access_entries.is_some() && part(ScopeKind::AccessEntries),
            }
        }
        ResourceType::Account => {
            let is_placed = estate.accounts.iter().any(|it| it.id == account && it.ou_path.is_some());
            let manager = estate.org_units.first().map(|unit| unit.account_id);
            is_placed && manager.is_some_and(|it| is_listed(Scope::global(it, ScopeKind::Organization)))
        }
        ResourceType::OrgUnit => {
            let manager = estate.org_units.first().map(|unit| unit.account_id);
            let is_old_unit = |id: &str| manager.is_some_and(|it| is_old(&[ResourceKind::OrgUnit], id, it));
            let id = name.rsplit('/').next().unwrap_or(name);
            !is_old_unit(id) && manager.is_some_and(|it| is_listed(Scope::global(it, ScopeKind::Organization)))
        }
    }
}

/// The resources that changes between scans show as added or made anew.
pub fn made<'a>(shown: impl IntoIterator<Item = &'a Change>) -> BTreeSet<Resource> {
    let is_new = |change: &&Change| [kind::ADDED, kind::RECREATED].contains(&change.change.as_str());
    shown.into_iter().filter(is_new).map(|change| change.resource.clone()).collect()
}
