//! Trails of an account, and the sessions that `LookupEvents` still knows.
//!
//! `LookupEvents` allows two requests a second for each account and region, so its requests are
//! spaced out on our side. Every look reads its whole window: events arrive late and in no order,
//! and who keeps them tells them apart by event id.
//!
//! [`crate::trails`] reads `LookupEvents` as well, and on purpose apart. That one goes on from where
//! it stopped and counts what sessions did; what it knows is kept whatever becomes of an audit. This
//! one is part of a scan: its scope is complete or has a gap in the same snapshot as the listings
//! that its sessions are judged with, its window is read anew each time, and it says nothing of
//! sessions where clusters were not listed. With a position kept between looks, a scope could not be
//! said to be complete by what one scan saw.

use crate::account_scan::{AccountScan, client};
use crate::call::{Fresh, Holder, Pages, PermissionUse, Refusal, listed};
use aws_config::SdkConfig;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::operation::get_event_selectors::GetEventSelectorsOutput;
use aws_sdk_cloudtrail::operation::get_trail_status::GetTrailStatusOutput;
use aws_sdk_cloudtrail::types::{AdvancedFieldSelector, EventSelector, LookupAttribute, LookupAttributeKey};
use futures::future::join_all;
use rolecall_cloudtrail::read_event;
use rolecall_cloudtrail::selectors::{BasicSelector, FieldSelector, Selector, set_recorded};
use rolecall_estate::aws::{TrailDescription, TrailStatusAnswer};
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::id::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

pub(crate) static DESCRIBE_TRAILS: PermissionUse = PermissionUse {
    action: "cloudtrail:DescribeTrails",
    holder: Holder::Member,
    why: "to know which trails record the account",
};
pub(crate) static EVENT_SELECTORS: PermissionUse = PermissionUse {
    action: "cloudtrail:GetEventSelectors",
    holder: Holder::Member,
    why: "to know what a trail records, AssumeRole among it",
};
pub(crate) static TRAIL_STATUS: PermissionUse = PermissionUse {
    action: "cloudtrail:GetTrailStatus",
    holder: Holder::Member,
    why: "to know whether a trail was stopped",
};
pub(crate) static LOOKUP_EVENTS: PermissionUse =
    PermissionUse { action: "cloudtrail:LookupEvents", holder: Holder::Member, why: "to read recent sessions" };

pub(crate) static ACTIONS: [&PermissionUse; 4] = [&DESCRIBE_TRAILS, &EVENT_SELECTORS, &TRAIL_STATUS, &LOOKUP_EVENTS];

/// The events that tell of sessions of workloads.
const EVENTS: [&str; 3] = ["AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleForPodIdentity"];

/// Looks at the trails that record the account. One of many regions is listed in each of them, but
/// reported once, with its home region.
pub(crate) async fn trails(scan: &AccountScan<'_>, config: &SdkConfig, regions: &BTreeSet<Region>) {
    let by_region = join_all(regions.iter().map(|region| async move {
        let client = client!(aws_sdk_cloudtrail, config, region, scan.account_id);
        let request = client.describe_trails().include_shadow_trails(true);
        let answer = scan.caller.call(&DESCRIBE_TRAILS, request.send()).await;
        match answer.and_then(|answer| listed(&DESCRIBE_TRAILS, answer.trail_list)) {
            Ok(trails) => trails,
            Err(refusal) => {
                scan.gap(&scan.regional(ScopeKind::Trails, region), &refusal);
                Vec::new()
            }
        }
    }))
    .await;
    let mut trails = BTreeMap::new();
    for (region, trails_there) in regions.iter().zip(by_region) {
        for trail in trails_there {
            match description(trail).into_trail(Some(scan.account_id)) {
                Ok((arn, trail)) => {
                    trails.entry(arn).or_insert((region, trail));
                }
                Err(error) => {
                    let refusal = Refusal::malformed(&DESCRIBE_TRAILS, format!("a trail: {error}"));
                    scan.gap(&scan.regional(ScopeKind::Trails, region), &refusal);
                }
            }
        }
    }
    let selected = join_all(trails.into_iter().map(|(arn, (seen_in, mut trail))| async move {
        // An organisation's trail belongs to another account, which alone may say what it records.
        if arn.account_id() == Some(scan.account_id) {
            let client = client!(aws_sdk_cloudtrail, config, &trail.region, scan.account_id);
            let request = client.get_event_selectors().trail_name(arn.as_str());
            match scan.caller.call(&EVENT_SELECTORS, request.send()).await.and_then(|answer| {
                let missing = || Refusal::malformed(&EVENT_SELECTORS, "the answer holds no selectors");
                set_recorded(&mut trail, &selectors(&answer)).then_some(()).ok_or_else(missing)
            }) {
                Ok(()) => {}
                Err(refusal) if refusal.is_gone() => return None,
                Err(refusal) => {
                    let home = if regions.contains(&trail.region) { &trail.region } else { seen_in };
                    scan.gap(&scan.regional(ScopeKind::Trails, home), &refusal);
                }
            }
            let request = client.get_trail_status().name(arn.as_str());
            match scan.caller.call(&TRAIL_STATUS, request.send()).await.and_then(|answer| {
                let missing =
                    || Refusal::malformed(&TRAIL_STATUS, "the answer does not say whether the trail is logging");
                status(&answer).into_status().ok_or_else(missing)
            }) {
                Ok(status) => trail.status = Some(status),
                Err(refusal) if refusal.is_gone() => return None,
                Err(refusal) => {
                    let home = if regions.contains(&trail.region) { &trail.region } else { seen_in };
                    scan.gap(&scan.regional(ScopeKind::Trails, home), &refusal);
                }
            }
        }
        Some(trail)
    }))
    .await;
    scan.with(|seen| seen.trails.extend(selected.into_iter().flatten()));
    for region in regions {
        scan.close_scope(&scan.regional(ScopeKind::Trails, region));
    }
}

fn description(trail: aws_sdk_cloudtrail::types::Trail) -> TrailDescription {
    TrailDescription {
        trail_arn: trail.trail_arn,
        name: trail.name,
        home_region: trail.home_region,
        s3_bucket_name: trail.s3_bucket_name,
        is_multi_region_trail: trail.is_multi_region_trail,
        is_organization_trail: trail.is_organization_trail,
    }
}

fn status(answer: &GetTrailStatusOutput) -> TrailStatusAnswer {
    let at = |time: Option<&aws_sdk_cloudtrail::primitives::DateTime>| {
        time.and_then(|time| chrono::DateTime::from_timestamp(time.secs(), time.subsec_nanos()))
    };
    TrailStatusAnswer {
        is_logging: answer.is_logging,
        start_logging_time: at(answer.start_logging_time()),
        stop_logging_time: at(answer.stop_logging_time()),
    }
}

/// The selectors of an answer.
fn selectors(answer: &GetEventSelectorsOutput) -> Vec<Selector> {
    let basic = |selector: &EventSelector| {
        let data = selector.data_resources().iter();
        Selector::Basic(BasicSelector {
            read_write: selector.read_write_type().map(|kind| kind.as_str().to_owned()),
            management: selector.include_management_events(),
            excluded_sources: selector.exclude_management_event_sources().to_vec(),
            data: data.map(|of| (of.r#type().unwrap_or_default().to_owned(), of.values().to_vec())).collect(),
        })
    };
    let field = |selector: &AdvancedFieldSelector| FieldSelector {
        field: selector.field().to_owned(),
        equals: selector.equals().to_vec(),
        starts_with: selector.starts_with().to_vec(),
        ends_with: selector.ends_with().to_vec(),
        not_equals: selector.not_equals().to_vec(),
        not_starts_with: selector.not_starts_with().to_vec(),
        not_ends_with: selector.not_ends_with().to_vec(),
    };
    let advanced = answer.advanced_event_selectors().iter();
    let advanced = advanced.map(|selector| Selector::Advanced(selector.field_selectors().iter().map(field).collect()));
    answer.event_selectors().iter().map(basic).chain(advanced).collect()
}

/// Reads the sessions of a region's window.
pub(crate) async fn sessions(scan: &AccountScan<'_>, config: &SdkConfig, region: &Region) {
    let scope = scan.regional(ScopeKind::Sessions, region);
    let client = client!(aws_sdk_cloudtrail, config, region, scan.account_id);
    let mut pace = interval(Duration::from_secs(1) / scan.plan.settings.lookups_per_second);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for name in EVENTS {
        if let Err(refusal) = lookup(scan, &client, &mut pace, region, name).await {
            scan.gap(&scope, &refusal);
            if refusal.reason != rolecall_estate::coverage::GapReason::NotReached {
                break;
            }
        }
    }
    scan.close_scope(&scope);
}

async fn lookup(
    scan: &AccountScan<'_>,
    client: &Client,
    pace: &mut Interval,
    region: &Region,
    name: &str,
) -> Result<(), Refusal> {
    let settings = &scan.plan.settings;
    let attribute = LookupAttribute::builder()
        .attribute_key(LookupAttributeKey::EventName)
        .attribute_value(name)
        .build()
        .map_err(|error| Refusal::malformed(&LOOKUP_EVENTS, error.to_string()))?;
    let sdk_time =
        |at: chrono::DateTime<chrono::Utc>| aws_sdk_cloudtrail::primitives::DateTime::from_secs(at.timestamp());
    // Bounded by the number of events, and by the account's deadline.
    let mut pages = Pages::long(&LOOKUP_EVENTS);
    let mut token = None;
    let (mut events, mut fresh) = (0, Fresh::default());
    loop {
        pace.tick().await;
        let request = client
            .lookup_events()
            .lookup_attributes(attribute.clone())
            .start_time(sdk_time(scan.now - settings.trail_lookback))
            .end_time(sdk_time(scan.now))
            .max_results(50)
            .set_next_token(token);
        let page = scan.caller.call(&LOOKUP_EVENTS, request.send()).await?;
        let listed = listed(&LOOKUP_EVENTS, page.events)?;
        fresh.page(&LOOKUP_EVENTS, listed.iter().filter_map(|event| event.event_id()))?;
        for event in listed {
            events += 1;
            match read_event(event.cloud_trail_event.as_deref().unwrap_or_default()) {
                Ok(session) => scan.with(|seen| seen.sessions.extend(session)),
                Err(problem) => {
                    let id = event.event_id.unwrap_or_default();
                    let refusal = Refusal::malformed(&LOOKUP_EVENTS, format!("event {id}{problem}"));
                    scan.gap(&scan.regional(ScopeKind::Sessions, region), &refusal);
                }
            }
        }
        token = pages.next(page.next_token)?;
        if token.is_none() {
            return Ok(());
        }
        if events >= settings.max_lookup_events {
            return Err(Refusal::not_reached(
                &LOOKUP_EVENTS,
                format!("reading stopped after {events} {name} events; older ones of the window were not read"),
            ));
        }
    }
}
