//! Trails with their selectors, as `describe-trails` and `get-event-selectors` print them.
//!
//! Knows which selectors record `AssumeRole`, a read-only management event. Refuses to know what the
//! trails recorded.

use super::item::{Fault, Item, Read};
use super::{Builder, Source};
use crate::coverage::{Scope, ScopeKind};
use crate::estate::Trail;
use rolecall_iam::{AccountId, Arn};
use serde_json::Value;

impl Builder {
    pub(super) fn trails(&mut self, source: Source<'_>, value: &Value) -> usize {
        let key = if value.get("trails").is_some() { "trails" } else { "trailList" };
        let list = value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut read = 0;
        if let Some(account) = source.place.account {
            let look = self.look(account);
            look.held = true;
            look.trails = true;
        }
        for (i, value) in list.iter().enumerate() {
            match Item::of(value, format!("/{key}/{i}")).and_then(|item| trail(&item, source)) {
                Ok(trail) => {
                    let look = self.look(trail.account_id);
                    look.held = true;
                    let known = look.observation.trails.iter().any(|t| t.arn == trail.arn && t.region == trail.region);
                    if !known {
                        look.observation.trails.push(trail);
                    }
                    read += 1;
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    if let Some(account) = source.place.account {
                        let scope = Scope::global(account, ScopeKind::Trails);
                        self.malformed(scope, "cloudtrail:DescribeTrails", source.path);
                        self.look(account).trails = false;
                    }
                }
            }
        }
        read
    }
}

fn trail(item: &Item<'_>, source: Source<'_>) -> Read<Trail> {
    let arn: Arn = item.parsed("TrailARN")?;
    let owner: Option<AccountId> = source.place.account.or_else(|| arn.account_id());
    let nobody = || {
        Fault::new(format!("{}/TrailARN", item.pointer), "the ARN names no account", "give the ARN as AWS printed it")
    };
    let region = if item.get("HomeRegion").is_some() { item.parsed("HomeRegion")? } else { region_of(item, &arn)? };
    let basic = item.items("EventSelectors")?;
    let advanced = item.items("AdvancedEventSelectors")?;
    let records = if basic.is_empty() && advanced.is_empty() {
        None
    } else {
        let mut any = false;
        for selector in &basic {
            any |= basic_records(selector)?;
        }
        for selector in &advanced {
            any |= advanced_records(selector)?;
        }
        Some(any)
    };
    Ok(Trail {
        account_id: owner.ok_or_else(nobody)?,
        region,
        name: item.owned("Name")?.unwrap_or_default(),
        bucket: item.owned("S3BucketName")?,
        is_multi_region: item.flag("IsMultiRegionTrail")?.unwrap_or(false),
        is_organization: item.flag("IsOrganizationTrail")?.unwrap_or(false),
        records_read_only_management: records,
        recorded: None,
        arn: arn.as_str().to_owned(),
    })
}

fn region_of(item: &Item<'_>, arn: &Arn) -> Read<crate::id::Region> {
    let refused = |error: crate::id::IdError| {
        Fault::new(format!("{}/TrailARN", item.pointer), error.to_string(), "give the trail with its HomeRegion")
    };
    arn.region().parse().map_err(refused)
}

fn basic_records(selector: &Item<'_>) -> Read<bool> {
    let management = selector.flag("IncludeManagementEvents")?.unwrap_or(true);
    Ok(management && matches!(selector.maybe_text("ReadWriteType")?, None | Some("All" | "ReadOnly")))
}

fn advanced_records(selector: &Item<'_>) -> Read<bool> {
    let mut management = false;
    for field in selector.items("FieldSelectors")? {
        let name = field.text("Field")?;
        let value = match name {
            "eventCategory" => "Management",
            "readOnly" => "true",
            "eventSource" => "sts.amazonaws.com",
            "eventName" => "AssumeRole",
            "eventType" => "AwsApiCall",
            // Some of the events, then, and not all.
            _ => return Ok(false),
        };
        let compare = |key: &str, test: fn(&str, &str) -> bool| -> Read<Option<bool>> {
            let values = field.texts(key)?;
            Ok(if values.is_empty() { None } else { Some(values.iter().any(|v| test(value, v))) })
        };
        let wanted = [
            compare("Equals", |a, b| a == b)?,
            compare("StartsWith", |a, b| a.starts_with(b))?,
            compare("EndsWith", |a, b| a.ends_with(b))?,
        ];
        let refused = [
            compare("NotEquals", |a, b| a == b)?,
            compare("NotStartsWith", |a, b| a.starts_with(b))?,
            compare("NotEndsWith", |a, b| a.ends_with(b))?,
        ];
        let taken = wanted.iter().all(Option::is_none) || wanted.contains(&Some(true));
        if !taken || refused.contains(&Some(true)) {
            return Ok(false);
        }
        management |= name == "eventCategory" && wanted.contains(&Some(true));
    }
    Ok(management)
}
