//! How two scans of the same estate differ, thing by thing.
//!
//! Knows which fields are configuration (a status is none), what replaces what, and which difference
//! follows from which. Refuses to know what a difference comes to.

mod eks;
mod iam;
pub(crate) mod kind;
mod note;
mod organization;
mod trails;

pub(in crate::drift) use note::{About, ClusterKey, Difference};

use super::Scans;
use note::{ListedScopes, OWNED_BY, STAYS_IN};

/// Every difference, in a fixed order: what others may follow from comes first.
pub(in crate::drift) fn all(scans: &Scans<'_>) -> Vec<Difference> {
    let listed = ListedScopes { before: scans.listed_before, after: scans.listed_after };
    let mut out = Vec::new();
    organization::organization(scans, listed, &mut out);
    iam::policies(scans, listed, &mut out);
    iam::roles(scans, listed, &mut out);
    iam::providers(scans, listed, &mut out);
    eks::clusters(scans, listed, &mut out);
    eks::associations(scans, listed, &mut out);
    trails::trails(scans, listed, &mut out);
    out
}

/// The difference that one follows from, where there is one.
pub(in crate::drift) fn cause(index: usize, all: &[Difference]) -> Option<usize> {
    let it = all.get(index)?;
    let find = |of: &dyn Fn(&Difference) -> bool| all.iter().position(of);
    match &it.about {
        About::Association(key) if [kind::ADDED, kind::REMOVED, kind::RECREATED].contains(&it.change) => {
            let place = (key.account_id, key.region.clone(), key.cluster.clone());
            let cluster = find(&|other| {
                other.about == About::Cluster(place.clone())
                    && [kind::ADDED, kind::REMOVED, kind::RECREATED].contains(&other.change)
            });
            // A cluster that was just made has none of its associations by itself.
            let cluster =
                cluster.filter(|at| it.change != kind::ADDED && all.get(*at).is_some_and(|c| c.change != kind::ADDED));
            let owner = it.aliases.iter().find_map(|alias| alias.strip_prefix(OWNED_BY));
            let addon = owner.and_then(|owner| {
                find(&|other| {
                    matches!(&other.about, About::Addon { cluster, name } if *cluster == place && name == owner)
                })
            });
            cluster.or(addon)
        }
        // EKS makes the external id together with a target role.
        About::Association(_) if it.change == kind::EXTERNAL_ID => find(&|other| {
            other.about == it.about
                && [kind::TARGET_SET, kind::TARGET_CHANGED, kind::TARGET_REMOVED].contains(&other.change)
        }),
        // The add-ons and access entries of a cluster go and come with it.
        About::Addon { cluster, .. } if it.change != kind::CHANGED => find(&|other| {
            other.about == About::Cluster(cluster.clone()) && [kind::REMOVED, kind::RECREATED].contains(&other.change)
        }),
        // An account whose unit was renamed or moved has another path, and is where it was.
        About::Account(_) if it.change == kind::MOVED => {
            let unit = it.aliases.iter().find_map(|alias| alias.strip_prefix(STAYS_IN))?;
            find(&|other| {
                matches!(&other.about, About::OrgUnit { id } if id == unit)
                    && [kind::MOVED, kind::RENAMED].contains(&other.change)
            })
        }
        _ => None,
    }
}
