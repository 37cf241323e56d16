//! How a difference is noted, and what may be said of a thing that one scan lacks.

use super::kind;
use crate::drift::{Resource, State};
use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AssociationKey, Tags};
use rolecall_iam::{AccountId, Arn, Digest};
use serde::Serialize;
use std::collections::BTreeMap;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::drift) struct Difference {
    pub(in crate::drift) resource: Resource,
    pub(in crate::drift) account_id: AccountId,
    pub(in crate::drift) region: Option<Region>,
    pub(in crate::drift) change: &'static str,
    pub(in crate::drift) part: Option<String>,
    pub(in crate::drift) before: Option<State>,
    pub(in crate::drift) after: Option<State>,
    pub(in crate::drift) aliases: Vec<String>,
    /// What it is about, for whoever labels it.
    pub(in crate::drift) about: About,
}

/// What a difference is about, in the estate's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::drift) enum About {
    Role(String),
    Policy(Arn),
    Association(AssociationKey),
    Addon { cluster: ClusterKey, name: String },
    AccessEntry { principal: String },
    Cluster(ClusterKey),
    OidcProvider(String),
    OrgPolicy,
    OrgUnit { id: String },
    Account(AccountId),
    Trail,
}

pub(in crate::drift) type ClusterKey = (AccountId, Region, ClusterName);

/// Differences of one resource, as they are found.
pub(super) struct Notes<'a> {
    pub(super) resource: Resource,
    pub(super) account_id: AccountId,
    pub(super) region: Option<&'a Region>,
    pub(super) about: About,
    pub(super) aliases: Vec<String>,
    pub(super) out: &'a mut Vec<Difference>,
}

impl Notes<'_> {
    pub(super) fn note(
        &mut self,
        change: &'static str,
        part: Option<String>,
        before: Option<State>,
        after: Option<State>,
    ) {
        self.out.push(Difference {
            resource: self.resource.clone(),
            account_id: self.account_id,
            region: self.region.cloned(),
            change,
            part,
            before,
            after,
            aliases: self.aliases.clone(),
            about: self.about.clone(),
        });
    }

    pub(super) fn presence<T: Serialize>(&mut self, presence: Option<Presence>, was: Option<&T>, is: Option<&T>) {
        let Some(presence) = presence else { return };
        let change = if presence == Presence::Added { kind::ADDED } else { kind::REMOVED };
        self.note(change, None, was.map(json), is.map(json));
    }

    /// A value that may be absent on either side, under the kinds for set, changed and removed.
    pub(super) fn optional<T: PartialEq>(
        &mut self,
        kinds: [&'static str; 3],
        was: Option<&T>,
        is: Option<&T>,
        state: impl Fn(&T) -> State,
    ) {
        if was == is {
            return;
        }
        let [set, changed, removed] = kinds;
        let change = match (was, is) {
            (None, _) => set,
            (_, None) => removed,
            _ => changed,
        };
        self.note(change, None, was.map(&state), is.map(&state));
    }

    pub(super) fn field<T: PartialEq + ToString>(&mut self, name: &str, was: Option<&T>, is: Option<&T>) {
        if was != is {
            let state = |value: &T| State::Text(value.to_string());
            self.note(kind::FIELD, Some(name.to_owned()), was.map(state), is.map(state));
        }
    }

    pub(super) fn tags(&mut self, was: &Tags, is: &Tags) {
        if was != is {
            self.note(kind::TAGS, None, Some(json(was)), Some(json(is)));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Added,
    Removed,
}

pub(super) fn json(value: &impl Serialize) -> State {
    State::Text(serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn text(value: &impl ToString) -> State {
    State::Text(value.to_string())
}

pub(super) fn document(digest: &Digest) -> State {
    State::Document(*digest)
}

/// What the listings of both scans had in scope.
#[derive(Clone, Copy)]
pub(super) struct ListedScopes<'a> {
    pub(super) before: &'a Coverage,
    pub(super) after: &'a Coverage,
}

impl ListedScopes<'_> {
    /// What may be said of a thing that one side lacks.
    pub(super) fn presence(self, was_there: bool, scope: &Scope) -> Option<Presence> {
        let is_complete = |coverage: &Coverage| coverage.blind_spots(scope).is_empty();
        match was_there {
            true => (is_complete(self.before) && is_complete(self.after)).then_some(Presence::Removed),
            false => is_complete(self.before).then_some(Presence::Added),
        }
    }

    /// An association is also proven absent where its cluster is.
    pub(super) fn association(self, was_there: bool, key: &AssociationKey) -> Option<Presence> {
        let (account_id, region) = (key.account_id, key.region.clone());
        let clusters = Scope::regional(account_id, ScopeKind::Clusters, region.clone());
        let own = Scope::of_cluster(account_id, ScopeKind::Associations, region, key.cluster.clone());
        let is_complete = |coverage: &Coverage| {
            coverage.blind_spots(&own).is_empty()
                || (coverage.gaps_of(&own).is_none() && coverage.blind_spots(&clusters).is_empty())
        };
        match was_there {
            true => (is_complete(self.before) && is_complete(self.after)).then_some(Presence::Removed),
            false => is_complete(self.before).then_some(Presence::Added),
        }
    }

    /// An account, which the organization's listing shows, whosever it is.
    pub(super) fn member(self, was_there: bool) -> Option<Presence> {
        let is_complete = |coverage: &Coverage| {
            let mut listings = coverage.scopes().filter(|(scope, _)| scope.kind == ScopeKind::Organization).peekable();
            listings.peek().is_some() && listings.all(|(_, gaps)| gaps.is_empty())
        };
        match was_there {
            true => (is_complete(self.before) && is_complete(self.after)).then_some(Presence::Removed),
            false => is_complete(self.before).then_some(Presence::Added),
        }
    }
}

/// Walks two lists side by side, by key.
pub(super) fn each<'a, T, K: Ord>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&'a T) -> K,
    mut see: impl FnMut(K, Option<&'a T>, Option<&'a T>),
) {
    let mut both: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for was in before {
        both.entry(key(was)).or_default().0 = Some(was);
    }
    for is in after {
        both.entry(key(is)).or_default().1 = Some(is);
    }
    for (key, (was, is)) in both {
        see(key, was, is);
    }
}

/// Prefixes of aliases from which the cause of a difference is read.
pub(super) const OWNED_BY: &str = "owned by ";
pub(super) const STAYS_IN: &str = "stays in ";
