//! Estates of any size, for benches, for trying the program at scale, and with the truth about them.
//!
//! Knows realistic sizes and shares. With problems it puts in what is wrong on purpose, beside what
//! only looks so, and says which is which: [`Truth`] holds what an audit has to find, by AWS's
//! documentation. Refuses to know how an audit decides.

mod associations;
mod decoys;
mod draft;
mod ordinary;
mod organisation;
mod problems;
mod sessions;
mod truth;

pub use truth::{Class, Entry, Severity, Truth};

use crate::estate::Estate;
use crate::managed;
use chrono::{DateTime, Utc};
use draft::{Draft, Place};

/// How large an estate is to be. Numbers but `accounts` are of the whole estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Accounts, at least 1; the first is the hub and the management account. From four on, one is
    /// locked by a service control policy, and one fenced by a resource control policy.
    pub accounts: usize,
    /// Roles, those that every account and cluster has and those with problems among them; more
    /// where these alone are more.
    pub roles: usize,
    /// Associations of ordinary pods, spread over the clusters.
    pub associations: usize,
    /// Clusters, spread over the accounts for workloads; at least 1 where there are associations.
    pub clusters: usize,
    /// Sessions begun in the last seven days.
    pub events: usize,
    /// How many of each kind of problem, and of each kind of what only looks like one.
    pub problems: usize,
    /// The same seed gives the same estate.
    pub seed: u64,
    /// The end of the trail.
    pub now: DateTime<Utc>,
}

impl GenerateOptions {
    /// The size of the project's bench: one account, 1,000 roles, 120 associations, no problems.
    #[must_use]
    pub fn bench(now: DateTime<Utc>) -> Self {
        Self { accounts: 1, roles: 1000, associations: 120, clusters: 3, events: 600, problems: 0, seed: 1, now }
    }

    /// An organisation with two of each kind of problem among 400 roles, for tests.
    #[must_use]
    pub fn with_problems(seed: u64, now: DateTime<Utc>) -> Self {
        Self { accounts: 6, roles: 400, associations: 60, clusters: 4, events: 300, problems: 2, seed, now }
    }
}

/// An estate, and what is right about it.
#[derive(Debug, Clone, Default)]
pub struct Generated {
    /// The estate.
    pub estate: Estate,
    /// What an audit of it has to find, and what it must not.
    pub truth: Truth,
}

const TEAMS: [&str; 12] = [
    "billing",
    "catalogue",
    "checkout",
    "fraud",
    "identity",
    "inventory",
    "ledger",
    "media",
    "payments",
    "pricing",
    "search",
    "shipping",
];
const PARTS: [&str; 10] =
    ["api", "batch", "consumer", "cron", "exporter", "importer", "indexer", "loader", "sync", "worker"];
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "eu-central-1"];

/// Makes an estate.
#[must_use]
pub fn generate(options: &GenerateOptions) -> Estate {
    generate_with_truth(options).estate
}

/// Makes an estate, and says what is right about it.
#[must_use]
pub fn generate_with_truth(options: &GenerateOptions) -> Generated {
    let count = options.accounts.max(1);
    let number = |n: usize| 100_000_000_001_u64 + 7_919 * u64::try_from(n).unwrap_or(0);
    let names: Vec<(String, String)> =
        (0..count).map(|n| (format!("{:012}", number(n)), format!("account-{n:03}"))).collect();
    let ids: Vec<String> = names.iter().map(|(id, _)| id.clone()).collect();
    let accounts = organisation::accounts(&ids);
    let mut draft = Draft {
        estate: Estate::default(),
        truth: Truth::default(),
        stream: crate::ids::Stream::new(options.seed),
        clusters: places(&accounts.workloads, options),
        accounts,
        uses: Vec::new(),
        now: options.now,
    };
    for (id, name) in &names {
        draft.account(id).name.clone_from(name);
        organisation::common(&mut draft, id);
    }
    for place in draft.clusters.clone() {
        organisation::cluster(&mut draft, &place, true);
    }
    for n in 0..options.problems {
        problems::add(&mut draft, n);
        associations::add(&mut draft, n);
        decoys::add(&mut draft, n);
        sessions::problems(&mut draft, n);
    }
    let share = |whole: usize, among: usize, n: usize| {
        whole.checked_div(among).unwrap_or(0) + usize::from(n < whole.checked_rem(among).unwrap_or(0))
    };
    let mut pods = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        pods.extend(ordinary::fill(&mut draft, id, share(options.roles, count, n)));
    }
    let clusters = draft.clusters.clone();
    for (c, place) in clusters.iter().enumerate() {
        let own: Vec<_> = pods.iter().filter(|(_, _, at)| at.name == place.name).collect();
        for n in 0..share(options.associations, clusters.len(), c) {
            let at = draft.stream.below(own.len());
            let Some((role, team, _)) = own.get(at) else { continue };
            let pod = format!("{}-{n:03}", draft.stream.pick(&PARTS));
            draft.associate(place, (team, &pod), role);
        }
    }
    sessions::add(&mut draft, options.events);
    draft.estate.accounts.values_mut().for_each(managed::complete);
    draft.estate.organization = Some(organisation::organisation(&draft.accounts, &names));
    draft.estate.hub.clone_from(&draft.accounts.management);
    Generated { estate: draft.estate, truth: draft.truth }
}

fn places(workloads: &[String], options: &GenerateOptions) -> Vec<Place> {
    let count = if options.associations > 0 { options.clusters.max(1) } else { options.clusters };
    let place = |n: usize| {
        let account = workloads.get(n.checked_rem(workloads.len())?)?.clone();
        let region = REGIONS.get(n % REGIONS.len()).copied()?;
        Some(Place { account, region, name: format!("workloads-{n:02}") })
    };
    (0..count).filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::text;
    use std::collections::BTreeSet;

    fn counts(estate: &Estate) -> [usize; 4] {
        let accounts = || estate.accounts.values();
        let clusters = || accounts().flat_map(|a| a.regions.values()).flat_map(|r| &r.clusters);
        [
            accounts().map(|a| a.roles.len()).sum(),
            clusters().count(),
            clusters().map(|c| c.associations.len()).sum(),
            accounts().flat_map(|a| a.regions.values()).map(|r| r.events.len()).sum(),
        ]
    }

    fn now() -> DateTime<Utc> {
        "2026-03-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_estate_has_the_size_asked_for_and_follows_from_its_seed() {
        let bench = GenerateOptions::bench(now());
        let made = generate(&bench);
        assert_eq!(counts(&made), [1000, 3, 120, 600]);
        assert_eq!(format!("{made:?}"), format!("{:?}", generate(&bench)));
        let other =
            GenerateOptions { accounts: 3, roles: 300, associations: 7, clusters: 4, events: 11, seed: 2, ..bench };
        let other = generate(&other);
        assert_eq!((other.accounts.len(), counts(&other)), (3, [300, 4, 7, 11]));
    }

    #[test]
    fn the_truth_speaks_of_what_is_there_and_of_each_thing_once() {
        let made = generate_with_truth(&GenerateOptions::with_problems(1, now()));
        let mut subjects = BTreeSet::new();
        for (id, account) in &made.estate.accounts {
            let roles: Vec<&str> = account.roles.iter().map(|role| text(role, "Arn")).collect();
            let distinct: BTreeSet<&str> = roles.iter().copied().collect();
            assert_eq!(distinct.len(), roles.len(), "two roles of one name in {id}");
            subjects.extend(roles.into_iter().map(str::to_owned));
            for (region, held) in &account.regions {
                for cluster in &held.clusters {
                    let keys: Vec<String> = cluster
                        .associations
                        .iter()
                        .map(|a| {
                            format!(
                                "{id}/{region}/{}/{}/{}",
                                cluster.name(),
                                text(a, "namespace"),
                                text(a, "serviceAccount")
                            )
                        })
                        .collect();
                    let distinct: BTreeSet<&String> = keys.iter().collect();
                    assert_eq!(distinct.len(), keys.len(), "two associations of one service account");
                    subjects.extend(keys);
                    subjects.insert(text(&cluster.detail, "arn").to_owned());
                }
            }
        }
        let mut seen = BTreeSet::new();
        for entry in &made.truth.entries {
            assert!(subjects.contains(&entry.subject), "{entry:?}");
            assert!(seen.insert((entry.kind, &entry.subject)), "{entry:?} twice");
            assert!(entry.at_least.is_none_or(|least| least <= entry.at_most), "{entry:?}");
        }
        for class in [Class::Problem, Class::Decoy, Class::Tidy] {
            assert!(made.truth.of(class).count() > 20, "{class:?}");
        }
        assert_eq!(made.truth.to_json().as_array().map(Vec::len), Some(made.truth.entries.len()));
    }

    #[test]
    fn policies_that_are_attached_are_there() {
        let made = generate(&GenerateOptions::with_problems(1, now()));
        for account in made.accounts.values() {
            let known: BTreeSet<&str> = account.policies.iter().map(|p| text(p, "Arn")).collect();
            for policy in account.roles.iter().flat_map(|role| role["AttachedManagedPolicies"].as_array().unwrap()) {
                assert!(known.contains(text(policy, "PolicyArn")), "{policy}");
            }
        }
    }
}
