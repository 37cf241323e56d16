//! A listing that lost much at once is looked at twice before it counts.
//!
//! A listing that AWS, a proxy or a change of permissions thins out looks like any other that is
//! complete. So where a scope lost more than half of what was known of it, and at least ten things, the
//! loss is held, and so is one that leaves nothing of three things or more: the scope gets a gap, and
//! nothing of it closes. The next look that shows the same settles it. Refuses to know where anything
//! is remembered.

use crate::coverage::{Gap, GapReason, Scope, ScopeKind};
use crate::estate::Observation;
use crate::id::{ClusterName, Region};
use crate::import::Before;
use std::collections::{BTreeMap, BTreeSet};

/// Fewer things than this may all go at once: a small cluster is taken down in one change.
const AT_LEAST: usize = 10;

/// So few things may all go at once; of more, that nothing at all is left is held, however small the
/// scope: a list that came empty by a fault looks just so.
const FEW: usize = 2;

/// Of what was known, one in so many must be lost before it is held. Half: a change that people make
/// on purpose seldom takes most of what there is, and a listing of which pages are lost does.
const ONE_IN: usize = 2;

/// Takes the proof from listings that lost much since the latest look. `before` is what is known;
/// `held` are the scopes whose latest look was held for the same reason: this look confirms it.
pub fn hold(seen: &mut Observation, before: &[Before], held: &BTreeSet<Scope>) {
    let mut known: BTreeMap<&Scope, usize> = BTreeMap::new();
    for thing in before {
        *known.entry(&thing.scope).or_default() += 1;
    }
    for (scope, known_there) in &known {
        if held.contains(*scope) || !seen.coverage.is_complete(scope) {
            continue;
        }
        let Some(shown) = shown(seen, scope) else { continue };
        let (of, lost) = if scope.kind == ScopeKind::Clusters {
            let inside: Vec<(bool, usize)> = inside(seen, scope, &known);
            let lost: usize = inside.iter().filter(|(here, _)| !here).map(|(_, things)| things).sum();
            let all: usize = inside.iter().map(|(_, things)| things).sum();
            (known_there + all, known_there.saturating_sub(shown) + lost)
        } else {
            (*known_there, known_there.saturating_sub(shown))
        };
        let emptied = lost == of && of > FEW;
        if emptied || lost >= AT_LEAST && lost.saturating_mul(ONE_IN) > of {
            seen.coverage.gap(Gap {
                scope: (*scope).clone(),
                action: action(scope.kind).to_owned(),
                reason: GapReason::Lost,
                detail: format!("lost {lost} of {of}; confirmed by the next listing"),
            });
        }
    }
}

/// The associations known of each cluster of a region, and whether that cluster is listed: with a
/// cluster all of them go.
fn inside(seen: &Observation, region: &Scope, known: &BTreeMap<&Scope, usize>) -> Vec<(bool, usize)> {
    let listed: BTreeSet<(&Region, &ClusterName)> = seen.clusters.iter().map(|c| (&c.region, &c.name)).collect();
    let here = |scope: &Scope| scope.kind == ScopeKind::Associations && scope.region == region.region;
    let of = known.iter().filter(|(scope, _)| scope.account_id == region.account_id && here(scope));
    of.map(|(scope, things)| {
        let cluster = scope.region.as_ref().zip(scope.cluster.as_ref());
        (cluster.is_some_and(|cluster| listed.contains(&cluster)), *things)
    })
    .collect()
}

/// How much of a scope this look shows; `None` for scopes whose things are not told apart.
fn shown(seen: &Observation, scope: &Scope) -> Option<usize> {
    let region = scope.region.as_ref();
    Some(match scope.kind {
        ScopeKind::Roles => seen.roles.len(),
        // Those of AWS are not remembered one by one.
        ScopeKind::Policies => seen.policies.iter().filter(|policy| policy.arn.account_id().is_some()).count(),
        ScopeKind::OidcProviders => seen.oidc_providers.len(),
        ScopeKind::OrgPolicies => seen.org_policies.len(),
        ScopeKind::Organization => seen.org_units.len(),
        ScopeKind::Clusters => seen.clusters.iter().filter(|cluster| Some(&cluster.region) == region).count(),
        ScopeKind::Trails => seen.trails.iter().filter(|trail| Some(&trail.region) == region).count(),
        ScopeKind::Associations => {
            let here = seen.associations.iter().map(|association| &association.key);
            here.filter(|key| Some(&key.region) == region && Some(&key.cluster) == scope.cluster.as_ref()).count()
        }
        _ => return None,
    })
}

fn action(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Roles => "iam:GetAccountAuthorizationDetails",
        other => crate::import::action_of(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::OidcProvider;
    use rolecall_iam::AccountId;

    #[test]
    fn a_loss_of_more_than_half_and_ten_is_held_once() {
        let account: AccountId = "111122223333".parse().unwrap();
        let scope = Scope::global(account, ScopeKind::OidcProviders);
        let providers = |n: usize| {
            let arn = |i| format!("arn:aws:iam::111122223333:oidc-provider/{i}").parse().unwrap();
            (0..n).map(|i| OidcProvider { arn: arn(i) }).collect::<Vec<_>>()
        };
        let cases = [
            // Known, shown, whether the latest look was held, whether this one is.
            (20, 9, false, true),
            (20, 10, false, false),
            (9, 1, false, false),
            (9, 0, false, true),
            (3, 0, false, true),
            (2, 0, false, false),
            (10, 0, false, true),
            (10, 0, true, false),
            (10, 12, false, false),
            (0, 0, false, false),
        ];
        for (known, shown, was_held, expected) in cases {
            let mut seen = Observation { oidc_providers: providers(shown), ..Observation::default() };
            seen.coverage.complete(scope.clone());
            let before: Vec<Before> = (0..known).map(|_| Before { scope: scope.clone(), pod: None }).collect();
            let held = was_held.then(|| scope.clone()).into_iter().collect();
            hold(&mut seen, &before, &held);
            assert_eq!(!seen.coverage.is_complete(&scope), expected, "{known} known, {shown} shown, held {was_held}");
        }
    }

    #[test]
    fn a_cluster_takes_its_associations_into_the_count() {
        let account: AccountId = "111122223333".parse().unwrap();
        let region: Region = "eu-west-1".parse().unwrap();
        let clusters = Scope::regional(account, ScopeKind::Clusters, region.clone());
        let inside = Scope::of_cluster(account, ScopeKind::Associations, region, "prod".parse().unwrap());
        let mut before = vec![Before { scope: clusters.clone(), pod: None }];
        before.extend((0..10).map(|_| Before { scope: inside.clone(), pod: None }));
        let mut seen = Observation::default();
        seen.coverage.complete(clusters.clone());
        hold(&mut seen, &before, &BTreeSet::new());
        let gaps = seen.coverage.gaps_of(&clusters).unwrap();
        assert_eq!(gaps[0].detail, "lost 11 of 11; confirmed by the next listing");
        assert_eq!(gaps[0].reason, GapReason::Lost);
    }
}
