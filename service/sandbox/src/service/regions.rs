//! Which regions an account has: EC2's `DescribeRegions` and Account Management's `ListRegions`.
//!
//! The answer is AWS's default-enabled regions and whatever further region the estate uses.

use super::{Call, Input};
use crate::wire::{Answer, Problem, Service, Xml, page};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Enabled in every account, and not to be switched off.
const DEFAULT: [&str; 17] = [
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
];

pub(super) fn action(method: &str, path: &[&str]) -> Option<&'static str> {
    (method == "POST" && path == ["listRegions"]).then_some("ListRegions")
}

pub(super) fn answer(call: &Call<'_>, input: &Input) -> Result<Answer, Problem> {
    let account = call.snapshot.estate.accounts.get(&call.caller.account);
    let used = account.into_iter().flat_map(|a| a.regions.keys().map(String::as_str));
    let all: BTreeSet<&str> = DEFAULT.into_iter().chain(used).collect();
    let status = |region: &str| DEFAULT.contains(&region);
    match (call.service, call.operation) {
        (Service::Ec2, "DescribeRegions") => {
            let mut xml = Xml::default();
            xml.element("regionInfo", |x| {
                for region in all {
                    x.element("item", |x| {
                        x.leaf("regionName", region);
                        x.leaf("regionEndpoint", &format!("ec2.{region}.amazonaws.com"));
                        x.leaf("optInStatus", if status(region) { "opt-in-not-required" } else { "opted-in" });
                    });
                }
            });
            Ok(Answer::query(call.service, call.operation, call.request_id, &xml))
        }
        (Service::Account, "ListRegions") => {
            let body = input.json();
            let wanted: Vec<&str> = body
                .get("RegionOptStatusContains")
                .and_then(Value::as_array)
                .map(|list| list.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let regions: Vec<Value> = all
                .into_iter()
                .map(|region| (region, if status(region) { "ENABLED_BY_DEFAULT" } else { "ENABLED" }))
                .filter(|(_, status)| wanted.is_empty() || wanted.contains(status))
                .map(|(region, status)| json!({"RegionName": region, "RegionOptStatus": status}))
                .collect();
            let asked = body.get("MaxResults").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let token = body.get("NextToken").and_then(Value::as_str);
            let listing = format!("regions {} {wanted:?}", call.caller.account);
            let page = page(&regions, &listing, token, call.limit(asked.unwrap_or(50)), call.paging)
                .map_err(|_| Problem::Named(400, "ValidationException", "Invalid NextToken".to_owned()))?;
            Ok(Answer::ok(json!({"Regions": page.items, "NextToken": page.next}).to_string()))
        }
        _ => Err(call.unknown()),
    }
}
