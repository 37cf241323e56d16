//! Which regions an account uses.
//!
//! `account:ListRegions` is asked, since it needs no SDK of the size of EC2's. Its listing is the
//! scope `Clusters` without a region: as long as regions may be missing, so may clusters.

use crate::account_scan::{AccountScan, client};
use crate::call::{Holder, PermissionUse, Refusal, pages};
use crate::entry::HubSession;
use crate::plan::Regions;
use aws_config::SdkConfig;
use aws_sdk_account::types::RegionOptStatus;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::id::Region;
use std::collections::BTreeSet;

pub(crate) static LIST_REGIONS: PermissionUse =
    PermissionUse { action: "account:ListRegions", holder: Holder::Member, why: "to know the enabled regions" };

pub(crate) static ACTIONS: [&PermissionUse; 1] = [&LIST_REGIONS];

/// The regions that every account has and nobody can disable: those that AWS opened before 20 March
/// 2019 ("enabled by default" in AWS's list of regions), by partition. A region of later times is of
/// an account only if it opted in.
const BY_DEFAULT: [(&str, &[&str]); 3] = [
    (
        "aws",
        &[
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ca-central-1",
            "eu-central-1",
            "eu-north-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "sa-east-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ],
    ),
    ("aws-cn", &["cn-north-1", "cn-northwest-1"]),
    ("aws-us-gov", &["us-gov-east-1", "us-gov-west-1"]),
];

/// The regions to look at. When AWS does not tell them, those that no account is without are looked at
/// nevertheless, and the hub's own; the gap stands for those that the account opted into.
pub(crate) async fn find(scan: &AccountScan<'_>, config: &SdkConfig, hub: &HubSession) -> BTreeSet<Region> {
    let scope = scan.global(ScopeKind::Clusters);
    let mut regions = BTreeSet::new();
    match &scan.plan.settings.regions {
        Regions::Listed(listed) => regions.extend(listed.iter().cloned()),
        Regions::Found => {
            let client = client!(aws_sdk_account, config, &hub.region, scan.account_id);
            let request = || {
                client
                    .list_regions()
                    .max_results(50)
                    .region_opt_status_contains(RegionOptStatus::Enabled)
                    .region_opt_status_contains(RegionOptStatus::EnabledByDefault)
                    .region_opt_status_contains(RegionOptStatus::Disabling)
            };
            let ended = pages!(scan, &LIST_REGIONS, |token| request().set_next_token(token), regions, |listed| {
                for region in listed {
                    match region.region_name.unwrap_or_default().parse() {
                        Ok(region) => {
                            regions.insert(region);
                        }
                        Err(error) => scan.gap(&scope, &Refusal::malformed(&LIST_REGIONS, format!("{error}"))),
                    }
                }
            });
            if let Some(refusal) = ended {
                scan.gap(&scope, &refusal);
            }
            if regions.is_empty() {
                // No account is without a region: an answer that names none is not to be believed.
                if scan.with(|seen| seen.coverage.gaps_of(&scope).is_none()) {
                    scan.gap(&scope, &Refusal::malformed(&LIST_REGIONS, "the answer names no region"));
                }
            }
            if scan.with(|seen| seen.coverage.gaps_of(&scope).is_some()) {
                let everywhere = BY_DEFAULT.iter().filter(|(partition, _)| *partition == hub.partition);
                regions.extend(everywhere.flat_map(|(_, names)| *names).filter_map(|name| name.parse().ok()));
                regions.insert(hub.region.clone());
            }
        }
    }
    scan.close_scope(&scope);
    regions
}
