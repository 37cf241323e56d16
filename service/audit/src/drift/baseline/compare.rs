//! How resources stand against their baselines.
//!
//! What differs is found and labelled as between two scans: the estate with the approved states put into it is
//! the scan before.

use super::configuration::{Present, is_proven_absent, present};
use super::{Baseline, BaselineState, Configuration};
use crate::drift::approval::{of_whole, same_part};
use crate::drift::difference::kind;
use crate::drift::{Change, Effect, Resource, ResourceType, Scans, changes};
use rolecall_estate::{Estate, Snapshot};
use rolecall_iam::{AccountId, Document};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a resource stands against its baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The state; never `expired`, which is a matter of time.
    pub state: BaselineState,
    /// What the difference comes to, where there is one.
    pub effect: Option<Effect>,
    /// Why, in a sentence.
    pub because: String,
    /// What differs: `before` is the baseline's, `after` the present one.
    pub differences: Vec<Change>,
}

impl Compared {
    fn plain(state: BaselineState, because: &str) -> Self {
        Self { state, effect: None, because: because.to_owned(), differences: Vec::new() }
    }

    /// The state of a baseline that was just taken.
    #[must_use]
    pub fn taken() -> Self {
        Self::plain(BaselineState::Matches, MATCHES)
    }

    /// The state of a baseline that was not compared yet.
    #[must_use]
    pub fn not_yet() -> Self {
        Self::plain(BaselineState::Unknown, "no scan was compared with it yet")
    }
}

const MATCHES: &str = "the resource is as it was approved";
const UNTOLD: &str =
    "the latest scan did not see all that was approved: the digests differ, and no difference was seen";

/// How the resources of baselines stand now, one for each baseline. There is at most one baseline of a resource.
#[must_use]
pub fn compare(baselines: &[Baseline], now: &Estate) -> Vec<Compared> {
    let wanted: BTreeSet<(AccountId, &Resource)> = baselines.iter().map(|it| (it.account_id, &it.resource)).collect();
    let found: BTreeMap<(AccountId, Resource), Present<'_>> = present(now)
        .into_iter()
        .filter(|it| wanted.contains(&(it.account_id, &it.resource)))
        .map(|it| ((it.account_id, it.resource.clone()), it))
        .collect();
    let mut out: Vec<Compared> = Vec::with_capacity(baselines.len());
    // What differs is compared together: several differences are told apart there.
    let mut differ: BTreeMap<usize, Configuration> = BTreeMap::new();
    for (index, baseline) in baselines.iter().enumerate() {
        out.push(match found.get(&(baseline.account_id, baseline.resource.clone())) {
            None if is_proven_absent(now, &baseline.configuration) => {
                Compared::plain(BaselineState::Removed, "complete listings show that it is not there any more")
            }
            None => Compared::plain(BaselineState::Unknown, "no complete listing shows whether it is there"),
            Some(present) => match present.unseen(now) {
                Some(why) => Compared::plain(BaselineState::Unknown, &why),
                None => {
                    let configuration = present.configuration();
                    if configuration.digest() != baseline.digest {
                        differ.insert(index, configuration);
                    }
                    Compared::taken()
                }
            },
        });
    }
    if differ.is_empty() {
        return out;
    }
    let mut told = differences(baselines, &differ, now);
    for index in differ.into_keys() {
        let Some(compared) = out.get_mut(index) else { continue };
        let Some(found) = told.remove(&index) else {
            // Drift passes over what one side did not come to see: that does not make the states equal.
            *compared = Compared::plain(BaselineState::Unknown, UNTOLD);
            continue;
        };
        let effect = found.iter().map(|change| change.effect).reduce(Effect::and);
        let because = match found.as_slice() {
            [only] => only.because.clone(),
            several => format!("{} parts differ from what was approved", several.len()),
        };
        *compared = Compared { state: BaselineState::Differs, effect, because, differences: found };
    }
    out
}

/// What differs, by the index of the baseline; nothing where it was not seen.
fn differences(
    baselines: &[Baseline],
    differ: &BTreeMap<usize, Configuration>,
    now: &Estate,
) -> BTreeMap<usize, Vec<Change>> {
    let (mut before, mut after) = (plain(now), plain(now));
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (index, configuration) in differ {
        let Some(baseline) = baselines.get(*index) else { continue };
        for text in baseline.documents.values() {
            before.documents.add(Document::new(text));
        }
        old.push(baseline.configuration.clone());
        new.push(configuration.clone());
    }
    put(&mut before, old);
    put(&mut after, new);
    let roles_of = now.roles.iter().map(|role| role.arn.account_id()).collect();
    let found = changes(&Scans {
        before: &before,
        after: &after,
        listed_before: &now.coverage,
        listed_after: &now.coverage,
        roles_of: Some(&roles_of),
        pair: "baseline",
    });
    let mut of: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
    for change in found {
        let place = differ.keys().find(|index| {
            baselines
                .get(**index)
                .is_some_and(|it| it.account_id == change.account_id && it.resource == subject(&change.resource))
        });
        // What follows from another difference is told with that one.
        if let Some(index) = place.filter(|_| !is_version_of_policy(&change)) {
            of.entry(*index).or_default().push(change);
        }
    }
    of
}

/// A role follows a managed policy that has a baseline of its own.
fn is_version_of_policy(change: &Change) -> bool {
    [kind::ATTACHED_VERSION, kind::BOUNDARY_VERSION].contains(&change.change.as_str())
}

/// The estate as far as drift compares it.
fn plain(estate: &Estate) -> Estate {
    let of = &estate.snapshot;
    Estate {
        accounts: estate.accounts.clone(),
        snapshot: Snapshot {
            documents: of.documents.clone(),
            roles: of.roles.clone(),
            policies: of.policies.clone(),
            oidc_providers: of.oidc_providers.clone(),
            clusters: of.clusters.clone(),
            associations: of.associations.clone(),
            trails: of.trails.clone(),
            org_policies: of.org_policies.clone(),
            org_units: of.org_units.clone(),
            coverage: of.coverage.clone(),
            ..Snapshot::default()
        },
        unconfirmed: estate.unconfirmed.clone(),
        assumed: estate.assumed.clone(),
        ..Estate::default()
    }
}

/// Puts these states in the place of those that the estate has.
fn put(estate: &mut Estate, states: Vec<Configuration>) {
    let keys: BTreeSet<String> = states.iter().filter_map(key_of).collect();
    let other = |key: String| !keys.contains(&key);
    estate.roles.retain(|it| other(format!("r {}", it.arn)));
    estate.policies.retain(|it| other(format!("p {} {}", it.account_id, it.arn)));
    estate.oidc_providers.retain(|it| other(format!("i {}", it.arn)));
    estate.clusters.retain(|it| other(format!("c {}", it.arn)));
    estate.associations.retain(|it| other(format!("a {}", it.key)));
    estate.org_policies.retain(|it| other(format!("o {} {}", it.account_id, it.id)));
    estate.trails.retain(|it| other(format!("t {} {}", it.account_id, it.arn)));
    for state in states {
        match state {
            Configuration::Role(it) => estate.roles.push(*it),
            Configuration::ManagedPolicy(it) => estate.policies.push(*it),
            Configuration::OidcProvider(it) => estate.oidc_providers.push(*it),
            Configuration::Association(it) => estate.associations.push(*it),
            Configuration::Cluster(it) => estate.clusters.push(*it),
            Configuration::OrgPolicy(it) => estate.org_policies.push(*it),
            Configuration::Trail(it) => estate.trails.push(*it),
        }
    }
}

fn key_of(state: &Configuration) -> Option<String> {
    Some(match state {
        Configuration::Role(it) => format!("r {}", it.arn),
        Configuration::ManagedPolicy(it) => format!("p {} {}", it.account_id, it.arn),
        Configuration::OidcProvider(it) => format!("i {}", it.arn),
        Configuration::Association(it) => format!("a {}", it.key),
        Configuration::Cluster(it) => format!("c {}", it.arn),
        Configuration::OrgPolicy(it) => format!("o {} {}", it.account_id, it.id),
        Configuration::Trail(it) => format!("t {} {}", it.account_id, it.arn),
    })
}

/// The resource whose baseline tells of a resource: of an add-on or access entry its cluster's.
fn subject(resource: &Resource) -> Resource {
    let part = match resource.kind {
        ResourceType::Addon => ":addon/",
        ResourceType::AccessEntry => ":access-entry/",
        _ => return resource.clone(),
    };
    let cluster = resource.name.split_once(part).and_then(|(head, rest)| Some((head, rest.split('/').next()?)));
    cluster.map_or_else(
        || resource.clone(),
        |(head, name)| Resource::new(ResourceType::Cluster, &format!("{head}:cluster/{name}")),
    )
}

/// Whether a change, whose result is there, led to the approved state: the part that it is of is as it was approved.
/// A change of the resource as a whole did, where the resource is as it was approved.
#[must_use]
pub fn covers(baseline: &Baseline, compared: &Compared, change: &Change) -> bool {
    if change.account_id != baseline.account_id || subject(&change.resource) != baseline.resource {
        return false;
    }
    match compared.state {
        BaselineState::Matches => change.change != kind::REMOVED || change.resource != baseline.resource,
        BaselineState::Differs if of_whole(change) => false,
        BaselineState::Differs => compared
            .differences
            .iter()
            .all(|other| other.resource != change.resource || !(of_whole(other) || same_part(change, other))),
        BaselineState::Removed | BaselineState::Unknown | BaselineState::Expired => false,
    }
}
