//! Who made a change: the CloudTrail events that name its resource, between the two scans.
//!
//! Knows which calls can make which change, that of several calls which each write the whole the last one
//! counts, and what it takes for a trail to have shown a call. Refuses to guess: where several calls may
//! have made a change, all of them are named.

use super::difference::kind;
use super::{Change, ResourceType, State};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_cloudtrail::change::{ChangeEvent, resource_key};
use rolecall_estate::id::Region;
use rolecall_estate::{CompleteRange, EventScope, Trail};
use rolecall_iam::{ArnText, Document};
use serde_json::Value;
use std::collections::HashMap;

/// IAM and EKS show a change to one reader before another, and clocks differ: a call counts for a window that
/// it misses by no more.
pub const SLACK: TimeDelta = TimeDelta::minutes(5);

rolecall_iam::vocabulary! {
    /// How far it is known who made a change.
    pub enum Attribution: "an attribution of a change" {
        /// One call made it.
        Exact = "exact",
        /// Several calls may have made it.
        Candidates = "candidates",
        /// No call is known that may have made it.
        None = "none",
    }
}

/// Who made a change, as far as events tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributed {
    /// How far it is known.
    pub attribution: Attribution,
    /// Why, in a sentence; of none, whether the trail could have shown the call.
    pub because: String,
    /// The calls, the latest last, without their parameters.
    pub calls: Vec<ChangeEvent>,
    /// Where no call is known: whether the trail was read completely and records such calls, so that it
    /// would have shown one.
    pub is_trail_complete: bool,
}

impl Attributed {
    /// When the change was made, where one call made it.
    #[must_use]
    pub fn event_time(&self) -> Option<DateTime<Utc>> {
        (self.attribution == Attribution::Exact).then(|| self.calls.last().map(|call| call.event_time)).flatten()
    }

    /// The ARN of who made it: of the principal, or of the role whose session called. Of several calls, where
    /// all are of the same.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.same(|call| call.actor.principal())
    }

    /// What all calls have in common.
    #[must_use]
    pub fn same<'a>(&'a self, of: impl Fn(&'a ChangeEvent) -> Option<&'a str>) -> Option<&'a str> {
        let first = of(self.calls.first()?)?;
        self.calls.iter().all(|call| of(call) == Some(first)).then_some(first)
    }
}

/// What was read of trails.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    /// Stretches that were read completely.
    pub complete_ranges: &'a [CompleteRange],
    /// What trails record.
    pub trails: &'a [Trail],
}

/// Between which moments a change was made: after the earlier scan, and before the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The date of the earlier scan; `None` where it is not known.
    pub since: Option<DateTime<Utc>>,
    /// The date of the later scan.
    pub until: DateTime<Utc>,
}

/// Events by the resources that they change.
#[derive(Debug)]
pub struct Calls<'a>(HashMap<(&'a str, String), Vec<&'a ChangeEvent>>);

impl<'a> Calls<'a> {
    /// Sorts events by what they change. Those that failed change nothing.
    #[must_use]
    pub fn new(events: &'a [ChangeEvent]) -> Self {
        let mut by: HashMap<(&str, String), Vec<&ChangeEvent>> = HashMap::new();
        for event in events.iter().filter(|event| event.error_code.is_none()) {
            for resource in event.resources.iter().filter(|resource| resource.is_changed) {
                let kind = resource.resource_type.as_str();
                let keys = std::iter::once(resource.key()).chain(resource.association_id.clone());
                for key in keys {
                    let list = by.entry((kind, key)).or_default();
                    if list.last().is_none_or(|last| last.event_id != event.event_id) {
                        list.push(event);
                    }
                }
            }
        }
        Self(by)
    }

    fn on(&self, change: &Change) -> Vec<&'a ChangeEvent> {
        let kind = change.resource.kind.as_str();
        let own = resource_key(kind, &change.resource.name);
        let keys = std::iter::once(&own).chain(&change.aliases);
        let mut found: Vec<&ChangeEvent> =
            keys.filter_map(|key| self.0.get(&(kind, key.clone()))).flatten().copied().collect();
        found.sort_by(|a, b| (a.event_time, &a.event_id).cmp(&(b.event_time, &b.event_id)));
        found.dedup_by(|a, b| a.event_id == b.event_id);
        found
    }
}

/// Says who made a change. What follows from another change is asked of that one.
#[must_use]
pub fn attribute(change: &Change, window: Window, calls: &Calls<'_>, records: Records<'_>) -> Attributed {
    // Nobody called anything about the role: the call was about the policy.
    if [kind::ATTACHED_VERSION, kind::BOUNDARY_VERSION].contains(&change.change.as_str()) {
        return none(change, window, records);
    }
    let within = |event: &&ChangeEvent| {
        let since = window.since.and_then(|since| since.checked_sub_signed(SLACK));
        let until = window.until.checked_add_signed(SLACK).unwrap_or(window.until);
        since.is_none_or(|since| event.event_time >= since) && event.event_time <= until
    };
    let made = |event: &&ChangeEvent| {
        let names = names(change);
        (names.is_empty() || names.contains(&event.event_name.as_str())) && names_part(change, event)
    };
    let found: Vec<&ChangeEvent> = calls.on(change).into_iter().filter(within).filter(made).collect();
    let bare = |event: &ChangeEvent| ChangeEvent { request: Value::Null, ..event.clone() };
    let exact = |event: &ChangeEvent, because: String| Attributed {
        attribution: Attribution::Exact,
        because,
        calls: vec![bare(event)],
        is_trail_complete: false,
    };
    match found.as_slice() {
        [] => none(change, window, records),
        [one] => exact(one, format!("{} is the only call between the two scans that may have made it", one.event_name)),
        several => {
            let last = several.last().copied();
            let wrote = |event: &&&ChangeEvent| wrote(change, event);
            if let Some(event) = several.iter().rev().find(wrote) {
                return exact(event, format!("{} is the last call that wrote what is there now", event.event_name));
            }
            match last.filter(|_| replaces(change)) {
                Some(last) => exact(
                    last,
                    format!("{} is the last of {} calls, and each undoes those before", last.event_name, several.len()),
                ),
                None => Attributed {
                    attribution: Attribution::Candidates,
                    because: format!("{} calls between the two scans may have made it", several.len()),
                    calls: several.iter().map(|event| bare(event)).collect(),
                    is_trail_complete: false,
                },
            }
        }
    }
}

/// No call is known: whether the trail could have shown one.
fn none(change: &Change, window: Window, records: Records<'_>) -> Attributed {
    let region = home(change);
    let since = window.since.unwrap_or(DateTime::<Utc>::MIN_UTC);
    let late = window.until.checked_sub_signed(SLACK).unwrap_or(window.until);
    let of_place = |range: &&CompleteRange| {
        range.account_id == change.account_id && region.as_ref().is_none_or(|region| range.region == *region)
    };
    let records_writes = |of: &dyn Fn(&Trail) -> bool| {
        let mut trails = records.trails.iter().filter(|trail| of(trail));
        trails.any(|trail| {
            trail.recorded.as_ref().is_some_and(|it| it.management_writes)
                && !trail.is_interrupted(window.since.unwrap_or(window.until), late)
        })
    };
    let ours = |trail: &Trail| trail.account_id == change.account_id || trail.is_organization;
    let mut of_account = records.complete_ranges.iter().filter(of_place).peekable();
    let mut is_trail_complete = false;
    let because = if of_account.peek().is_none() {
        "the trail of its account and region was not read completely".to_owned()
    } else {
        let covering: Vec<&CompleteRange> =
            of_account.filter(|range| range.from <= since && range.to >= late).collect();
        let shown = covering.iter().any(|range| match &range.event_scope {
            EventScope::Sessions => false,
            EventScope::Management => true,
            EventScope::Bucket(bucket) => records_writes(&|trail| trail.bucket.as_ref() == Some(bucket)),
            EventScope::Stated => records_writes(&ours),
        });
        is_trail_complete = shown;
        match (covering.is_empty(), shown) {
            (true, _) => "the trail was not read completely for all of the time between the two scans".to_owned(),
            (false, true) => "the trail was read completely and records such calls: it has none, so the change was \
                              made by AWS or by a call that CloudTrail does not record"
                .to_owned(),
            (false, false) => "it is not known that the trail which was read records such calls".to_owned(),
        }
    };
    Attributed { attribution: Attribution::None, because, calls: Vec::new(), is_trail_complete }
}

/// Where CloudTrail records calls about a resource; `None` for those of the organization, whose region
/// follows from its partition.
fn home(change: &Change) -> Option<Region> {
    if let Some(region) = &change.region {
        return Some(region.clone());
    }
    Region::of_global_services(ArnText(&change.resource.name).partition().unwrap_or("aws"))
}

/// The calls that can make a change; empty: any that changes the resource.
fn names(change: &Change) -> &'static [&'static str] {
    use ResourceType as Of;
    match (change.resource.kind, change.change.as_str()) {
        (Of::Role, kind::ADDED | kind::RECREATED) => &["CreateRole", "CreateServiceLinkedRole", "AcquireRole"],
        (Of::Role, kind::REMOVED) => &["DeleteRole", "DeleteServiceLinkedRole"],
        (Of::Role, kind::TRUST) => &["UpdateAssumeRolePolicy"],
        (Of::Role, kind::INLINE_ADDED | kind::INLINE_CHANGED) => &["PutRolePolicy"],
        (Of::Role, kind::INLINE_REMOVED) => &["DeleteRolePolicy"],
        (Of::Role, kind::ATTACHED) => &["AttachRolePolicy"],
        (Of::Role, kind::DETACHED) => &["DetachRolePolicy"],
        (Of::Role, kind::BOUNDARY_SET | kind::BOUNDARY_CHANGED) => &["PutRolePermissionsBoundary"],
        (Of::Role, kind::BOUNDARY_REMOVED) => &["DeleteRolePermissionsBoundary"],
        (Of::Role, kind::TAGS) => &["TagRole", "UntagRole"],
        (Of::Role, kind::PROFILE_ADDED) => &["AddRoleToInstanceProfile"],
        (Of::Role, kind::PROFILE_REMOVED) => &["RemoveRoleFromInstanceProfile", "DeleteInstanceProfile"],
        (Of::ManagedPolicy, kind::ADDED | kind::RECREATED) => &["CreatePolicy"],
        (Of::ManagedPolicy, kind::REMOVED) => &["DeletePolicy"],
        (Of::ManagedPolicy, _) => &["CreatePolicyVersion", "SetDefaultPolicyVersion"],
        (Of::OidcProvider, kind::ADDED) => &["CreateOpenIDConnectProvider"],
        (Of::OidcProvider, kind::REMOVED) => &["DeleteOpenIDConnectProvider"],
        (Of::OidcProvider, kind::CLIENT_ID_ADDED) => &["AddClientIDToOpenIDConnectProvider"],
        (Of::OidcProvider, kind::CLIENT_ID_REMOVED) => &["RemoveClientIDFromOpenIDConnectProvider"],
        (Of::OidcProvider, kind::THUMBPRINTS) => &["UpdateOpenIDConnectProviderThumbprint"],
        (Of::OidcProvider, kind::TAGS) => &["TagOpenIDConnectProvider", "UntagOpenIDConnectProvider"],
        (Of::Association, kind::ADDED | kind::RECREATED) => &["CreatePodIdentityAssociation"],
        (Of::Association, kind::REMOVED) => &["DeletePodIdentityAssociation"],
        (Of::Association, kind::TAGS) => &["TagResource", "UntagResource"],
        (Of::Association, _) => &["UpdatePodIdentityAssociation"],
        (Of::Addon, kind::ADDED) => &["CreateAddon"],
        (Of::Addon, kind::REMOVED) => &["DeleteAddon"],
        (Of::Addon, _) => &["UpdateAddon"],
        (Of::AccessEntry, kind::ADDED) => &["CreateAccessEntry"],
        (Of::AccessEntry, kind::REMOVED) => &["DeleteAccessEntry"],
        (Of::AccessEntry, _) => &["UpdateAccessEntry", "AssociateAccessPolicy", "DisassociateAccessPolicy"],
        (Of::Cluster, kind::ADDED | kind::RECREATED) => &["CreateCluster", "RegisterCluster"],
        (Of::Cluster, kind::REMOVED) => &["DeleteCluster", "DeregisterCluster"],
        (Of::Cluster, kind::TAGS) => &["TagResource", "UntagResource"],
        (Of::Cluster, _) => &["UpdateClusterVersion", "UpdateClusterConfig"],
        (Of::OrgPolicy, kind::ADDED) => &["CreatePolicy"],
        (Of::OrgPolicy, kind::REMOVED) => &["DeletePolicy"],
        (Of::OrgPolicy, kind::TARGET_ATTACHED) => &["AttachPolicy"],
        (Of::OrgPolicy, kind::TARGET_DETACHED) => &["DetachPolicy"],
        (Of::OrgPolicy, _) => &["UpdatePolicy"],
        (Of::OrgUnit, kind::ADDED) => &["CreateOrganizationalUnit"],
        (Of::OrgUnit, kind::REMOVED) => &["DeleteOrganizationalUnit"],
        (Of::OrgUnit, _) => &["UpdateOrganizationalUnit"],
        (Of::Account, kind::MOVED) => &["MoveAccount"],
        (Of::Account, kind::STATUS) => &["CloseAccount", "CloseAccountResult"],
        (Of::Role | Of::OidcProvider | Of::Account, _) => &[],
        (Of::Trail, kind::ADDED) => &["CreateTrail"],
        (Of::Trail, kind::REMOVED) => &["DeleteTrail"],
        (Of::Trail, kind::SELECTORS) => &["PutEventSelectors"],
        (Of::Trail, kind::LOGGING_STOPPED) => &["StopLogging"],
        (Of::Trail, kind::LOGGING_STARTED) => &["StartLogging"],
        (Of::Trail, _) => &["UpdateTrail"],
    }
}

/// The calls that make a resource of those whose changes are told.
pub fn creating_calls() -> impl Iterator<Item = &'static str> {
    [
        "CreateRole",
        "CreateServiceLinkedRole",
        "AcquireRole",
        "CreatePolicy",
        "CreateOpenIDConnectProvider",
        "CreatePodIdentityAssociation",
        "CreateAddon",
        "CreateAccessEntry",
        "CreateCluster",
        "RegisterCluster",
        "CreateOrganizationalUnit",
        "CreateTrail",
    ]
    .into_iter()
}

/// A parameter of a call, whatever the letter case of its name.
fn asked<'v>(event: &'v ChangeEvent, name: &str) -> Option<&'v str> {
    let object = event.request.as_object()?;
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
}

/// Whether a call may be about the part of the resource that changed. Parameters that were cut off may.
fn names_part(change: &Change, event: &ChangeEvent) -> bool {
    let Some(part) = &change.part else { return true };
    let is = |name: &str| asked(event, name).is_none_or(|value| value == part);
    match change.change.as_str() {
        kind::INLINE_ADDED | kind::INLINE_CHANGED | kind::INLINE_REMOVED => is("policyName"),
        kind::ATTACHED | kind::DETACHED => is("policyArn"),
        kind::TARGET_ATTACHED | kind::TARGET_DETACHED => is("targetId"),
        kind::PROFILE_ADDED | kind::PROFILE_REMOVED => {
            asked(event, "instanceProfileName").is_none_or(|name| part.rsplit('/').next() == Some(name))
        }
        kind::FIELD if change.resource.kind == ResourceType::Cluster => match part.as_str() {
            "version" => event.event_name == "UpdateClusterVersion",
            _ => event.event_name != "UpdateClusterVersion",
        },
        _ => true,
    }
}

/// Whether a call wrote what is there after the change.
fn wrote(change: &Change, event: &ChangeEvent) -> bool {
    match &change.after {
        Some(State::Document(digest)) => {
            let texts = ["policyDocument", "assumeRolePolicyDocument", "policy", "content"];
            let mut texts = texts.into_iter().filter_map(|name| asked(event, name));
            texts.any(|text| Document::new(text).digest == *digest)
        }
        Some(State::Text(text)) => {
            let names = match change.change.as_str() {
                kind::ROLE => "roleArn",
                kind::TARGET_SET | kind::TARGET_CHANGED => "targetRoleArn",
                kind::BOUNDARY_SET | kind::BOUNDARY_CHANGED => "permissionsBoundary",
                _ => return false,
            };
            asked(event, names) == Some(text)
        }
        None => false,
    }
}

/// Whether each of several such calls undoes those before, so that the last one made what is there.
fn replaces(change: &Change) -> bool {
    matches!(
        change.change.as_str(),
        kind::ADDED
            | kind::REMOVED
            | kind::RECREATED
            | kind::INLINE_REMOVED
            | kind::ATTACHED
            | kind::DETACHED
            | kind::BOUNDARY_REMOVED
            | kind::TARGET_ATTACHED
            | kind::TARGET_DETACHED
            | kind::PROFILE_ADDED
            | kind::PROFILE_REMOVED
            | kind::MOVED
            | kind::LOGGING_STOPPED
            | kind::LOGGING_STARTED
    )
}

/// From when to when events are wanted that may have made changes between these moments; `None` for none.
#[must_use]
pub fn span(windows: impl IntoIterator<Item = Window>) -> Option<(Option<DateTime<Utc>>, DateTime<Utc>)> {
    let mut span: Option<(Option<DateTime<Utc>>, DateTime<Utc>)> = None;
    for window in windows {
        let since = window.since.and_then(|since| since.checked_sub_signed(SLACK));
        let until = window.until.checked_add_signed(SLACK).unwrap_or(window.until);
        span = Some(match span {
            None => (since, until),
            Some((old, new)) => (old.zip(since).map(|(a, b)| a.min(b)), new.max(until)),
        });
    }
    span
}
