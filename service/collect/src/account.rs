//! One account, from the door to the last region.

use crate::call::{Caller, Deadline, Refusal};
use crate::entry::{ASSUME_ROLE, HubSession};
use crate::look::Look;
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
const GLOBAL: [ScopeKind; 4] = [ScopeKind::Roles, ScopeKind::Policies, ScopeKind::OidcProviders, ScopeKind::Clusters];

pub(crate) async fn observe(
    found: Found,
    hub: &HubSession,
    plan: &Plan,
    progress: &dyn Progress,
    now: DateTime<Utc>,
    until: Deadline,
) -> (Observation, Caller) {
    progress.on(&Event::Begun { account: &found.account });
    let look = Look::at(found.account.id, plan, progress, now, until);
    let entry = match found.closed() {
        None => hub.enter(plan, &found.target, &look.caller).await,
        Some(status) => Err(Refusal::not_reached(&ASSUME_ROLE, format!("the account is {status}"))),
    };
    match &entry {
        Err(refusal) => {
            look.gap(&look.global(ScopeKind::Entry), refusal);
            let missed = Refusal::not_reached(&ASSUME_ROLE, "the account could not be entered");
            for kind in GLOBAL {
                look.missed(&look.global(kind), &missed);
            }
            if let Regions::Listed(listed) = &plan.settings.regions {
                for region in listed {
                    for kind in [ScopeKind::Clusters, ScopeKind::Trails] {
                        look.missed(&look.regional(kind, region), &missed);
                    }
                }
            }
        }
        Ok((config, entered)) => {
            let in_regions = async {
                let regions = regions::find(&look, config, hub).await;
                let (clusters, ()) = futures::join!(
                    join_all(regions.iter().map(|region| eks::region(&look, config, region))),
                    trail::trails(&look, config, &regions),
                );
                if !plan.settings.trail_lookback.is_zero() {
                    all_sessions(&look, config, hub, &regions, clusters).await;
                }
            };
            futures::join!(iam::account(&look, config, hub, entered.as_deref()), in_regions);
        }
    }
    look.settle(&look.global(ScopeKind::Entry));
    let (mut observation, caller) = look.finish();
    observation.account = Some(found.account);
    (observation, caller)
}

/// Reads the sessions of every region that has clusters, and of the one that holds those of the
/// global STS endpoint. A region whose clusters were not listed is not read, and its sessions get no
/// gap of their own: the gap of its clusters stands for them, and goes when the listing is back.
async fn all_sessions(
    look: &Look<'_>,
    config: &SdkConfig,
    hub: &HubSession,
    regions: &BTreeSet<Region>,
    clusters: Vec<usize>,
) {
    let mut read: BTreeSet<Region> = hub.global_region().into_iter().collect();
    if let Regions::Listed(listed) = &look.plan.settings.regions {
        read.retain(|region| listed.contains(region));
    }
    read.extend(regions.iter().zip(clusters).filter(|(_, clusters)| *clusters > 0).map(|(region, _)| region.clone()));
    join_all(read.iter().map(|region| trail::sessions(look, config, region))).await;
}
