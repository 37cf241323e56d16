//! From where and by what program sessions were used, and whether that is new to their workload.
//!
//! Knows what calls of earlier sessions of the same cluster, or of the same role where no cluster is
//! known, came from. What is too young to be a history says nothing. Refuses to know which networks
//! are expected: a binding says that.

use super::session_group::{Group, New, Observed, UseKey, UseSeen};
use crate::index::ClusterKey;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_cloudtrail::neighbourhood;
use rolecall_estate::{Estate, Origin, SessionAttribution, UsedFrom};
use std::collections::{BTreeMap, HashMap};

/// So long must calls have been recorded before something can be new, unless there are sessions enough.
const LEARNED: TimeDelta = TimeDelta::days(7);
/// With so many sessions a workload has a history, however short.
const ENOUGH: usize = 5;
/// What was first used so long before is known.
const KNOWN_AFTER: TimeDelta = TimeDelta::days(1);
/// What so many earlier sessions used is known.
const SHARED: usize = 3;
/// A cluster with more places than this has no fixed ones, as with nodes in public subnets.
const FIXED: usize = 32;
/// So many uses are kept of a group.
const USES_KEPT: usize = 200;

/// From where all sessions were used.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    by_key: HashMap<Box<str>, Vec<Origin>>,
    clusters: HashMap<ClusterKey, Past>,
    roles: HashMap<Box<str>, Past>,
    /// By association, and by role where there is none.
    workloads: HashMap<Box<str>, Past>,
}

/// What earlier calls came from. What comes later never makes a use known: a finding would end as soon
/// as somebody goes on.
#[derive(Debug, Default)]
struct Past {
    all: Firsts,
    /// By network or VPC endpoint.
    places: BTreeMap<String, Firsts>,
    regions: BTreeMap<String, Firsts>,
    programs: BTreeMap<String, Firsts>,
}

/// The first call of each of the first sessions.
#[derive(Debug, Default)]
struct Firsts(BTreeMap<(Box<str>, i32), DateTime<Utc>>);

impl Firsts {
    fn add(&mut self, used: &UsedFrom) {
        for (session, at) in &used.sessions {
            let first = self.0.entry((used.role_arn.as_str().into(), *session)).or_insert(*at);
            *first = (*first).min(*at);
        }
    }

    fn since(&self) -> Option<DateTime<Utc>> {
        self.0.values().min().copied()
    }

    /// How many sessions there were before a moment.
    fn before(&self, at: DateTime<Utc>) -> usize {
        self.0.values().filter(|first| **first < at).count()
    }

    fn is_known(&self, at: DateTime<Utc>) -> bool {
        self.since().is_some_and(|since| since + KNOWN_AFTER <= at) || self.before(at) >= SHARED
    }
}

impl Past {
    fn add<K: std::hash::Hash + Eq>(pasts: &mut HashMap<K, Self>, key: K, used: &UsedFrom) {
        let past = pasts.entry(key).or_default();
        past.all.add(used);
        past.regions.entry(used.region.to_string()).or_default().add(used);
        if let Some(agent) = &used.agent {
            past.programs.entry(agent.clone()).or_default().add(used);
        }
        if let Some(place) = place(used.endpoint.as_deref(), used.network.as_deref()) {
            past.places.entry(place).or_default().add(used);
        }
    }

    fn knows_place(&self, place: &str, at: DateTime<Utc>) -> bool {
        self.places.get(place).is_some_and(|firsts| firsts.is_known(at))
    }
}

/// A VPC endpoint, else the network about an address.
fn place(endpoint: Option<&str>, network: Option<&str>) -> Option<String> {
    endpoint.map(str::to_owned).or_else(|| network.map(neighbourhood))
}

fn workload(association_id: Option<&str>, role_arn: &str) -> Box<str> {
    association_id.unwrap_or(role_arn).into()
}

impl Origins {
    pub(crate) fn new(estate: &Estate) -> Self {
        let mut origins = Self::default();
        for origin in &estate.memory.origins {
            if let Some(key) = &origin.access_key_id {
                origins.by_key.entry(key.as_str().into()).or_default().push(origin.clone());
            }
        }
        let present = estate.associations.iter().map(|found| (found.association_id.as_str(), &found.key));
        let past = estate.association_history.iter().map(|span| (span.association_id.as_str(), &span.key));
        let keys: HashMap<&str, _> = past.chain(present).collect();
        for used in &estate.memory.used_from {
            if let Some(key) = used.association_id.as_deref().and_then(|id| keys.get(id)) {
                let cluster = (key.account_id, key.region.clone(), key.cluster.clone());
                Past::add(&mut origins.clusters, cluster, used);
            }
            Past::add(&mut origins.roles, used.role_arn.as_str().into(), used);
            Past::add(&mut origins.workloads, workload(used.association_id.as_deref(), &used.role_arn), used);
        }
        origins
    }

    /// Adds to a group of sessions how one of them was used.
    pub(crate) fn note(
        &self,
        group: &mut Group,
        key: Option<&str>,
        attribution: &SessionAttribution,
        observed: &dyn Fn() -> Observed,
    ) {
        for origin in key.and_then(|key| self.by_key.get(key)).into_iter().flatten() {
            if origin.is_rest {
                group.more_uses = true;
                continue;
            }
            let from = UseKey {
                endpoint: origin.endpoint.clone(),
                network: origin.network.clone(),
                region: origin.region.to_string(),
                agent: origin.agent.clone(),
            };
            let is_new = |seen: Option<&UseSeen>| seen.is_none_or(|seen| origin.first < seen.origin.first);
            if !group.uses.contains_key(&from) && group.uses.len() >= USES_KEPT {
                group.more_uses = true;
                continue;
            }
            let known = group.uses.get(&from);
            let (sessions, last) = known.map_or((0, origin.last), |seen| (seen.sessions, seen.last.max(origin.last)));
            let seen = if is_new(known) {
                UseSeen {
                    origin: origin.clone(),
                    observed: observed(),
                    pod: attribution.pod.clone(),
                    new: self.judge(origin, attribution),
                    sessions: 0,
                    last,
                }
            } else {
                let Some(seen) = group.uses.remove(&from) else { continue };
                seen
            };
            group.uses.insert(from, UseSeen { sessions: sessions + 1, last, ..seen });
        }
    }

    fn judge(&self, origin: &Origin, attribution: &SessionAttribution) -> New {
        let first = origin.first;
        let cluster =
            attribution.association.as_ref().map(|key| (key.account_id, key.region.clone(), key.cluster.clone()));
        let of_cluster = cluster.as_ref().and_then(|key| self.clusters.get(key));
        let around = of_cluster.or_else(|| self.roles.get(origin.role_arn.as_str()));
        let own = self.workloads.get(&*workload(attribution.association_id.as_deref(), &origin.role_arn));
        let has_sessions = own.is_some_and(|past| past.all.before(first) >= ENOUGH);
        let is_new = |past: Option<&Past>, has_enough: bool, is_known: &dyn Fn(&Past) -> bool| {
            let since = past.and_then(|past| past.all.since());
            let (Some(past), Some(since)) = (past, since) else {
                return Err("no earlier call of its workload is recorded".to_owned());
            };
            if is_known(past) {
                return Ok(false);
            }
            if since + LEARNED > first && !has_enough {
                return Err(format!("calls of its workload are recorded since {} only", since.to_rfc3339()));
            }
            Ok(true)
        };
        let at = place(origin.endpoint.as_deref(), origin.network.as_deref());
        let place = at.map_or(Ok(false), |at| {
            // Credentials that are in use at their pod's place, and at another.
            let in_two_places = has_sessions && self.is_used_at_home(origin, own);
            match is_new(around, in_two_places, &|past| past.knows_place(&at, first)) {
                Ok(true) if around.is_some_and(|past| past.places.len() > FIXED) => {
                    Err("the addresses of its cluster change all the time".to_owned())
                }
                found => found,
            }
        });
        let region = origin.region.to_string();
        let knows = |firsts: Option<&Firsts>| firsts.is_some_and(|firsts| firsts.is_known(first));
        New {
            place,
            region: is_new(own, has_sessions, &|past| knows(past.regions.get(&region))),
            program: origin
                .agent
                .as_ref()
                .map_or(Ok(false), |agent| is_new(own, has_sessions, &|past| knows(past.programs.get(agent)))),
        }
    }

    /// Whether the same credentials were used too from where earlier sessions of the workload were.
    fn is_used_at_home(&self, origin: &Origin, own: Option<&Past>) -> bool {
        let others = origin.access_key_id.as_deref().and_then(|key| self.by_key.get(key)).into_iter().flatten();
        others.filter(|other| other.key() != origin.key()).any(|other| {
            let at = place(other.endpoint.as_deref(), other.network.as_deref());
            at.zip(own).is_some_and(|(at, own)| own.knows_place(&at, origin.first))
        })
    }
}
