//! A listing that lost much at once is looked at twice before it counts.
//!
//! A listing that AWS, a proxy or a change of permissions thins out looks like any other that is
//! complete. So where a scope lost more than half of what was known of it, and at least ten things, the
//! loss is held, and so is one that leaves nothing of three things or more: the scope gets a gap, and
//! nothing of it closes. What the next scan lacks as well is gone. Refuses to know where anything is
//! remembered.

use crate::before::Before;
use crate::coverage::{Gap, GapReason, Scope, ScopeKind};
use crate::id::{ClusterName, Region};
use crate::snapshot::Observation;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Fewer things than this may all go at once: a small cluster is taken down in one change.
const AT_LEAST: usize = 10;

/// So few things may all go at once; of more, that nothing at all is left is held, however small the
/// scope: a list that came empty by a fault looks just so.
const FEW: usize = 2;

/// Of what was known, one in so many must be lost before it is held. Half: a change that people make
/// on purpose seldom takes most of what there is, and a listing of which pages are lost does.
const ONE_IN: usize = 2;

/// Takes the proof from listings that lost much since the latest scan. `before` is what is known;
/// `held` are the scopes whose latest scan was held for the same reason. Of those, what that look
/// lacked too is confirmed to be gone; what only this scan lacks is a loss of its own.
pub fn hold(seen: &mut Observation, before: &[Before], held: &BTreeSet<Scope>) {
    let mut known: BTreeMap<&Scope, Vec<&Before>> = BTreeMap::new();
    for thing in before {
        known.entry(&thing.scope).or_default().push(thing);
    }
    for (scope, things) in &known {
        if !seen.coverage.is_complete(scope) {
            continue;
        }
        let Some(shown) = shown(seen, scope) else { continue };
        let own = things.iter().map(|thing| (*thing, shown.contains(&thing.name)));
        let inside = if scope.kind == ScopeKind::Clusters { inside(seen, scope, &known) } else { Vec::new() };
        let confirmed = held.contains(*scope);
        let counted = own.chain(inside).filter(|(thing, _)| !(confirmed && thing.was_missing));
        let (of, lost) = counted.fold((0, 0), |(of, lost), (_, here)| (of + 1, lost + usize::from(!here)));
        let emptied = lost == of && of > FEW;
        if emptied || lost >= AT_LEAST && lost.saturating_mul(ONE_IN) > of {
            seen.coverage.gap(Gap {
                scope: (*scope).clone(),
                action: action(scope.kind).to_owned(),
                reason: GapReason::Lost,
                detail: format!("lost {lost} of {of}; confirmed by the next listing that lacks them, too"),
                day: None,
            });
        }
    }
}

/// The associations known of each cluster of a region, and whether that cluster is listed: with a
/// cluster all of them go.
fn inside<'b>(
    seen: &Observation,
    region: &Scope,
    known: &BTreeMap<&Scope, Vec<&'b Before>>,
) -> Vec<(&'b Before, bool)> {
    let listed: BTreeSet<(&Region, &ClusterName)> = seen.clusters.iter().map(|c| (&c.region, &c.name)).collect();
    let here = |scope: &Scope| scope.kind == ScopeKind::Associations && scope.region == region.region;
    let of = known.iter().filter(|(scope, _)| scope.account_id == region.account_id && here(scope));
    of.flat_map(|(scope, things)| {
        let cluster = scope.region.as_ref().zip(scope.cluster.as_ref());
        let is_listed = cluster.is_some_and(|cluster| listed.contains(&cluster));
        things.iter().map(move |thing| (*thing, is_listed))
    })
    .collect()
}

/// The names of what this scan shows of a scope, as [`Before::name`] gives them; `None` for scopes
/// whose things are not told apart.
fn shown(seen: &Observation, scope: &Scope) -> Option<HashSet<String>> {
    let region = scope.region.as_ref();
    Some(match scope.kind {
        ScopeKind::Roles => seen.roles.iter().map(|role| role.arn.to_string()).collect(),
        ScopeKind::Policies => seen.policies.iter().map(|policy| policy.arn.to_string()).collect(),
        ScopeKind::OidcProviders => seen.oidc_providers.iter().map(|provider| provider.arn.to_string()).collect(),
        ScopeKind::OrgPolicies => seen.org_policies.iter().map(|policy| policy.id.clone()).collect(),
        ScopeKind::Organization => seen.org_units.iter().map(|unit| unit.id.clone()).collect(),
        ScopeKind::Clusters => {
            let here = seen.clusters.iter().filter(|cluster| Some(&cluster.region) == region);
            here.map(|cluster| cluster.name.to_string()).collect()
        }
        ScopeKind::Trails => seen.trails.iter().map(|trail| trail.arn.clone()).collect(),
        ScopeKind::Associations => {
            let here = seen.associations.iter().map(|association| &association.key);
            let here = here.filter(|key| Some(&key.region) == region && Some(&key.cluster) == scope.cluster.as_ref());
            here.map(ToString::to_string).collect()
        }
        _ => return None,
    })
}

fn action(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Roles => "iam:GetAccountAuthorizationDetails",
        other => crate::before::action(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::OidcProvider;
    use crate::snapshot::Snapshot;
    use rolecall_iam::AccountId;

    fn known(scope: &Scope, names: impl IntoIterator<Item = usize>, missing: &[usize]) -> Vec<Before> {
        let thing = |n: usize| Before {
            name: format!("arn:aws:iam::111122223333:oidc-provider/{n}"),
            was_missing: missing.contains(&n),
            ..Before::new(scope.clone())
        };
        names.into_iter().map(thing).collect()
    }

    fn providers(shown: impl IntoIterator<Item = usize>) -> Observation {
        let arn = |n| format!("arn:aws:iam::111122223333:oidc-provider/{n}").parse().unwrap();
        let oidc_providers = shown.into_iter().map(|n| OidcProvider { arn: arn(n), detail: None }).collect();
        Snapshot { oidc_providers, ..Snapshot::default() }.into()
    }

    #[test]
    fn a_loss_of_more_than_half_and_ten_is_held_until_the_next_look_lacks_the_same() {
        let account: AccountId = "111122223333".parse().unwrap();
        let scope = Scope::global(account, ScopeKind::OidcProviders);
        let (none, lacked): (&[usize], Vec<usize>) = (&[], (0..11).collect());
        let cases = [
            // Known, what the latest scan lacked and was held for, shown, whether this one is held.
            (20, none, 11..20, true),
            (20, none, 10..20, false),
            (20, none, 100..120, true),
            (9, none, 8..9, false),
            (9, none, 9..9, true),
            (3, none, 3..3, true),
            (2, none, 2..2, false),
            (10, none, 10..10, true),
            (10, none, 0..12, false),
            (0, none, 0..0, false),
            // The same is lacking, and little more.
            (20, &lacked, 11..20, false),
            (20, &lacked, 13..20, false),
            (20, &lacked, 0..20, false),
            // Something else is: that is a loss of its own.
            (40, &lacked, 0..12, true),
            (20, &lacked, 20..20, true),
        ];
        for (known_there, lacked, shown, expected) in cases {
            let mut seen = providers(shown.clone());
            seen.coverage.complete(scope.clone());
            let held = (!lacked.is_empty()).then(|| scope.clone()).into_iter().collect();
            hold(&mut seen, &known(&scope, 0..known_there, lacked), &held);
            let what = format!("{known_there} known, {shown:?} shown, {lacked:?} lacking before");
            assert_eq!(!seen.coverage.is_complete(&scope), expected, "{what}");
        }
    }

    #[test]
    fn what_an_earlier_look_lacked_for_another_reason_confirms_nothing() {
        let scope = Scope::global("111122223333".parse().unwrap(), ScopeKind::OidcProviders);
        let mut seen = providers(11..20);
        seen.coverage.complete(scope.clone());
        let lacked: Vec<usize> = (0..11).collect();
        hold(&mut seen, &known(&scope, 0..20, &lacked), &BTreeSet::new());
        assert!(!seen.coverage.is_complete(&scope), "the latest look was refused, not held");
    }

    #[test]
    fn a_cluster_takes_its_associations_into_the_count() {
        let account: AccountId = "111122223333".parse().unwrap();
        let region: Region = "eu-west-1".parse().unwrap();
        let clusters = Scope::regional(account, ScopeKind::Clusters, region.clone());
        let inside = Scope::of_cluster(account, ScopeKind::Associations, region, "prod".parse().unwrap());
        let mut before = vec![Before { name: "prod".to_owned(), ..Before::new(clusters.clone()) }];
        before.extend((0..10).map(|n| Before { name: format!("{n}"), ..Before::new(inside.clone()) }));
        let mut seen = Observation::default();
        seen.coverage.complete(clusters.clone());
        hold(&mut seen, &before, &BTreeSet::new());
        let gaps = seen.coverage.gaps_of(&clusters).unwrap();
        assert_eq!(gaps[0].detail, "lost 11 of 11; confirmed by the next listing that lacks them, too");
        assert_eq!(gaps[0].reason, GapReason::Lost);
    }
}
