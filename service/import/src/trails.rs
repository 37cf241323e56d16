//! Trails with their selectors and status, as `describe-trails`, `get-event-selectors` and `get-trail-status` print
//! them.
//!
//! Refuses to know what selectors mean, and what the trails recorded.

use super::item::{Item, Read};
use super::{Builder, Source};
use rolecall_cloudtrail::selectors::{BasicSelector, FieldSelector, Selector, set_recorded};
use rolecall_estate::Trail;
use rolecall_estate::aws::{TrailDescription, TrailStatusAnswer};
use rolecall_estate::coverage::{Scope, ScopeKind};
use serde_json::Value;

impl Builder {
    pub(super) fn trails(&mut self, source: Source<'_>, value: &Value) -> usize {
        let key = if value.get("trails").is_some() { "trails" } else { "trailList" };
        let list = value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut read = 0;
        let page = source.page(value, source.is_below("cloudtrail"));
        if let Some(account) = source.place.account {
            self.page(account, (ScopeKind::Trails, None, None), page.clone());
        }
        for (i, value) in list.iter().enumerate() {
            match Item::new(value, format!("/{key}/{i}")).and_then(|item| trail(&item, source)) {
                Ok(trail) => {
                    self.page(trail.account_id, (ScopeKind::Trails, None, None), page.clone());
                    let draft = self.draft(trail.account_id);
                    draft.held = true;
                    let known = draft.observation.trails.iter().any(|t| t.arn == trail.arn && t.region == trail.region);
                    if !known {
                        draft.observation.trails.push(trail);
                    }
                    read += 1;
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    if let Some(account) = source.place.account {
                        let scope = Scope::global(account, ScopeKind::Trails);
                        self.malformed(scope, "cloudtrail:DescribeTrails", source.path);
                    }
                }
            }
        }
        read
    }
}

fn trail(item: &Item<'_>, source: Source<'_>) -> Read<Trail> {
    let description = TrailDescription {
        trail_arn: item.owned("TrailARN")?,
        name: item.owned("Name")?,
        home_region: item.owned("HomeRegion")?,
        s3_bucket_name: item.owned("S3BucketName")?,
        is_multi_region_trail: item.flag("IsMultiRegionTrail")?,
        is_organization_trail: item.flag("IsOrganizationTrail")?,
    };
    let mut selectors = Vec::new();
    for selector in item.items("EventSelectors")? {
        selectors.push(basic_selector(&selector)?);
    }
    for selector in item.items("AdvancedEventSelectors")? {
        selectors.push(advanced_selector(&selector)?);
    }
    let (_, mut trail) = description.into_trail(source.place.account).map_err(|error| item.fault(&error))?;
    set_recorded(&mut trail, &selectors);
    let answer = TrailStatusAnswer {
        is_logging: item.flag("IsLogging")?,
        start_logging_time: item.time("StartLoggingTime")?,
        stop_logging_time: item.time("StopLoggingTime")?,
    };
    trail.status = answer.into_status();
    Ok(trail)
}

fn basic_selector(selector: &Item<'_>) -> Read<Selector> {
    let of_type = |of: &Item<'_>| Ok((of.owned("Type")?.unwrap_or_default(), of.texts("Values")?));
    Ok(Selector::Basic(BasicSelector {
        read_write: selector.owned("ReadWriteType")?,
        management: selector.flag("IncludeManagementEvents")?,
        excluded_sources: selector.texts("ExcludeManagementEventSources")?,
        data: selector.items("DataResources")?.iter().map(of_type).collect::<Read<_>>()?,
    }))
}

fn advanced_selector(selector: &Item<'_>) -> Read<Selector> {
    let field = |field: &Item<'_>| {
        Ok(FieldSelector {
            field: field.text("Field")?.to_owned(),
            equals: field.texts("Equals")?,
            starts_with: field.texts("StartsWith")?,
            ends_with: field.texts("EndsWith")?,
            not_equals: field.texts("NotEquals")?,
            not_starts_with: field.texts("NotStartsWith")?,
            not_ends_with: field.texts("NotEndsWith")?,
        })
    };
    let fields = selector.items("FieldSelectors")?;
    Ok(Selector::Advanced(fields.iter().map(field).collect::<Read<_>>()?))
}
