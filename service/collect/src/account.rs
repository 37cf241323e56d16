//! One account, from the door to the last region.

use crate::account_scan::AccountScan;
use crate::call::{Caller, Deadline, Refusal};
use crate::entry::{ASSUME_ROLE, HubSession};
use crate::organization::Found;
use crate::plan::{Plan, Regions};
use crate::{Event, Progress, eks, iam, regions, trail};
use aws_config::SdkConfig;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use rolecall_estate::Observation;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::id::Region;
use std::collections::BTreeSet;

/// What is asked for without knowing any region.
const GLOBAL: [ScopeKind; 5] = [
    ScopeKind::Roles,
    ScopeKind::Policies,
    ScopeKind::OidcProviders,
    ScopeKind::OidcProviderDetails,
    ScopeKind::Clusters,
];

pub(crate) async fn observe(
    found: Found,
    hub: &HubSession,
    plan: &Plan,
    progress: &dyn Progress,
    now: DateTime<Utc>,
    until: Deadline,
) -> (Observation, Caller) {
    progress.on(&Event::Begun { account: &found.account });
    let scan = AccountScan::at(found.account.id, plan, progress, now, until);
    let entry = match found.closed() {
        None => hub.enter(plan, &found.target, &scan.caller).await,
        Some(status) => Err(Refusal::not_reached(&ASSUME_ROLE, format!("the account is {status}"))),
    };
    match &entry {
        Err(refusal) => {
            scan.gap(&scan.global(ScopeKind::Entry), refusal);
            let missed = Refusal::not_reached(&ASSUME_ROLE, "the account could not be entered");
            for kind in GLOBAL {
                scan.missed(&scan.global(kind), &missed);
            }
            if let Regions::Listed(listed) = &plan.settings.regions {
                for region in listed {
                    for kind in [ScopeKind::Clusters, ScopeKind::Trails] {
                        scan.missed(&scan.regional(kind, region), &missed);
                    }
                }
            }
        }
        Ok((config, entered)) => {
            let in_regions = async {
                let regions = regions::find(&scan, config, hub).await;
                let (clusters, ()) = futures::join!(
                    join_all(regions.iter().map(|region| eks::region(&scan, config, region))),
                    trail::trails(&scan, config, &regions),
                );
                if !plan.settings.trail_lookback.is_zero() {
                    all_sessions(&scan, config, hub, &regions, clusters).await;
                }
            };
            futures::join!(iam::account(&scan, config, hub, entered.as_deref()), in_regions);
        }
    }
    scan.close_scope(&scan.global(ScopeKind::Entry));
    let (mut observation, caller) = scan.finish();
    observation.account = Some(found.account);
    (observation, caller)
}

/// Reads the sessions of every region that has clusters, and of the one that holds those of the
/// global STS endpoint. A region whose clusters were not listed is not read, and its sessions get no
/// gap of their own: the gap of its clusters stands for them, and goes when the listing is back.
async fn all_sessions(
    scan: &AccountScan<'_>,
    config: &SdkConfig,
    hub: &HubSession,
    regions: &BTreeSet<Region>,
    clusters: Vec<usize>,
) {
    let mut read: BTreeSet<Region> = hub.global_region().into_iter().collect();
    if let Regions::Listed(listed) = &scan.plan.settings.regions {
        read.retain(|region| listed.contains(region));
    }
    read.extend(regions.iter().zip(clusters).filter(|(_, clusters)| *clusters > 0).map(|(region, _)| region.clone()));
    join_all(read.iter().map(|region| trail::sessions(scan, config, region))).await;
}
