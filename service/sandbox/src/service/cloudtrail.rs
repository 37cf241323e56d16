//! CloudTrail: 90 days of management events, and what the trails record.

use super::Call;
use crate::estate::{Event, text};
use crate::wire::{Answer, Paging, Problem};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn answer(call: &Call<'_>, input: &Value) -> Result<Answer, Problem> {
    let body = match call.operation {
        "LookupEvents" => lookup(call, input)?,
        "DescribeTrails" => trails(call, input),
        "GetEventSelectors" => selectors(call, input)?,
        "GetTrailStatus" => status(call, input)?,
        _ => return Err(call.unknown()),
    };
    Ok(Answer::ok(body))
}

fn refused(code: &'static str, message: &str) -> Problem {
    Problem::Named(400, code, message.to_owned())
}

/// What a lookup asks for.
enum Wanted<'a> {
    All,
    Of(&'a str, &'a str),
}

impl Wanted<'_> {
    fn is(&self, event: &Event) -> bool {
        let Self::Of(key, value) = self else { return true };
        match *key {
            "EventId" => event.id == *value,
            "EventName" => event.name == *value,
            "ReadOnly" => event.read_only.to_string() == *value,
            "Username" => event.username.as_deref() == Some(value),
            "ResourceType" => event.resources.iter().any(|(kind, _)| kind == value),
            "ResourceName" => event.resources.iter().any(|(_, name)| name == value),
            "EventSource" => event.source == *value,
            _ => event.access_key.as_deref() == Some(value),
        }
    }
}

const ATTRIBUTES: [&str; 8] =
    ["EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"];

fn lookup(call: &Call<'_>, input: &Value) -> Result<String, Problem> {
    if !call.state.may_lookup_events(&call.caller.account, call.region) {
        return Err(Problem::Throttled);
    }
    let attributes = input.get("LookupAttributes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let wanted = match attributes {
        [] => Wanted::All,
        [one] if ATTRIBUTES.contains(&text(one, "AttributeKey")) => {
            Wanted::Of(text(one, "AttributeKey"), text(one, "AttributeValue"))
        }
        _ => {
            return Err(refused(
                "InvalidLookupAttributesException",
                "You can specify only one lookup attribute, of the keys that exist.",
            ));
        }
    };
    let asked = input.get("MaxResults").map_or(Some(50), Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let Some(asked) = asked.filter(|n| (1..=50).contains(n)) else {
        return Err(refused(
            "InvalidMaxResultsException",
            "A maximum of 50 results, and at least 1, can be asked for.",
        ));
    };
    let now = call.state.now();
    let start = time(input, "StartTime");
    let end = time(input, "EndTime");
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(refused("InvalidTimeRangeException", "The start time must not be after the end time."));
    }
    // Event history holds 90 days; what was asked beyond is silently left out, as in AWS.
    let oldest = start.unwrap_or(now).min(now) - if start.is_none() { Duration::days(90) } else { Duration::zero() };
    let oldest = oldest.max(now - Duration::days(90));
    let newest = end.unwrap_or(now).min(now);
    let mut parameters = input.clone();
    if let Some(map) = parameters.as_object_mut() {
        map.shift_remove("NextToken");
    }
    let seal = crate::ids::hash(&format!("{} {} {parameters}", call.caller.account, call.region));
    let after = match input.get("NextToken").and_then(Value::as_str) {
        None => None,
        Some(_) if call.paging.begins_again() => None,
        Some(token) => Some(position(token, seal).ok_or_else(|| {
            refused(
                "InvalidNextTokenException",
                "The token is invalid, or was not used with the parameters that it was given for.",
            )
        })?),
    };
    let history = call.snapshot.history(&call.caller.account, call.region);
    let limit = call.limit(asked);
    let mut found: Vec<&Arc<Event>> = history
        .iter()
        .filter(|e| e.time >= oldest && e.time <= newest && wanted.is(e))
        // Newest first: what follows the last one seen is older, or as old with a lesser id. New
        // events at the top move nothing.
        .filter(|e| after.as_ref().is_none_or(|(time, id)| (e.time, &e.id) < (*time, id)))
        .take(limit + 1)
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = match found.last() {
        _ if call.paging != Paging::Plain => call.paging.next(),
        Some(last) if more => Some(format!("{seal:016x}.{}.{}", last.time.timestamp(), last.id)),
        _ => None,
    };
    let events: Vec<Value> = found.into_iter().map(|e| event_json(e)).collect();
    Ok(json!({"Events": events, "NextToken": next}).to_string())
}

/// A time in seconds since the epoch, to the second.
fn time(input: &Value, key: &str) -> Option<DateTime<Utc>> {
    let value = input.get(key)?;
    #[expect(clippy::cast_possible_truncation, reason = "out of range is saturated, and then no valid time")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|f| f as i64))?;
    DateTime::from_timestamp(seconds, 0)
}

fn position(token: &str, seal: u64) -> Option<(DateTime<Utc>, String)> {
    let mut parts = token.splitn(3, '.');
    if parts.next()? != format!("{seal:016x}") {
        return None;
    }
    let time = DateTime::from_timestamp(parts.next()?.parse().ok()?, 0)?;
    Some((time, parts.next()?.to_owned()))
}

fn event_json(event: &Event) -> Value {
    let resources: Vec<Value> =
        event.resources.iter().map(|(kind, name)| json!({"ResourceType": kind, "ResourceName": name})).collect();
    let mut answer = json!({
        "EventId": event.id, "EventName": event.name, "ReadOnly": event.read_only.to_string(),
        "EventTime": event.time.timestamp(), "EventSource": event.source, "Resources": resources,
        "CloudTrailEvent": event.record,
    });
    for (key, value) in [("AccessKeyId", &event.access_key), ("Username", &event.username)] {
        if let (Some(value), Some(map)) = (value, answer.as_object_mut()) {
            map.insert(key.to_owned(), json!(value));
        }
    }
    answer
}

/// Trails that an account sees in a region: its own of that region, its multi-region ones
/// everywhere, and the organisation's.
fn visible(call: &Call<'_>, everywhere: bool) -> Vec<Value> {
    let estate = &call.snapshot.estate;
    let own = estate.accounts.get(&call.caller.account).map(|a| a.trails.as_slice()).unwrap_or_default();
    let management = estate.organization.as_ref().map(|o| &o.management).filter(|m| **m != call.caller.account);
    let shared = management.and_then(|m| estate.accounts.get(m)).map(|a| a.trails.as_slice()).unwrap_or_default();
    let is = |trail: &Value, key: &str| trail.get(key).and_then(Value::as_bool).unwrap_or(false);
    own.iter()
        .chain(shared.iter().filter(|t| is(t, "IsOrganizationTrail")))
        .filter(|t| text(t, "HomeRegion") == call.region || (everywhere && is(t, "IsMultiRegionTrail")))
        .cloned()
        .collect()
}

fn named(trail: &Value, name: &str) -> bool {
    text(trail, "Name") == name || text(trail, "TrailARN") == name
}

fn trails(call: &Call<'_>, input: &Value) -> String {
    let names = input.get("trailNameList").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shadows = input.get("includeShadowTrails").and_then(Value::as_bool).unwrap_or(true);
    let mut listed = visible(call, shadows);
    listed.retain(|t| names.is_empty() || names.iter().filter_map(Value::as_str).any(|n| named(t, n)));
    for trail in &mut listed {
        if let Some(map) = trail.as_object_mut() {
            for key in SELECTORS.into_iter().chain(STATUS) {
                map.shift_remove(key);
            }
        }
    }
    json!({"trailList": listed}).to_string()
}

const SELECTORS: [&str; 2] = ["EventSelectors", "AdvancedEventSelectors"];
const STATUS: [&str; 3] = ["IsLogging", "StartLoggingTime", "StopLoggingTime"];

fn find(call: &Call<'_>, name: &str) -> Result<Value, Problem> {
    let message = || format!("Unknown trail: {name} for the user: {}", call.caller.account);
    let found = visible(call, true).into_iter().find(|t| named(t, name));
    found.ok_or_else(|| refused("TrailNotFoundException", &message()))
}

/// A trail of which nothing else is said is logging.
fn status(call: &Call<'_>, input: &Value) -> Result<String, Problem> {
    let found = find(call, text(input, "Name"))?;
    let mut answer = json!({"IsLogging": true});
    if let Some(map) = answer.as_object_mut() {
        for key in STATUS {
            let Some(value) = found.get(key) else { continue };
            let seconds = value.as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok()).map(|at| at.timestamp());
            map.insert(key.to_owned(), seconds.map_or_else(|| value.clone(), Value::from));
        }
    }
    Ok(answer.to_string())
}

fn selectors(call: &Call<'_>, input: &Value) -> Result<String, Problem> {
    let found = find(call, text(input, "TrailName"))?;
    let mut answer = json!({"TrailARN": text(&found, "TrailARN")});
    if let Some(map) = answer.as_object_mut() {
        for key in SELECTORS {
            if let Some(value) = found.get(key) {
                map.insert(key.to_owned(), value.clone());
            }
        }
        if map.len() == 1 {
            // A trail that nobody configured records all management events.
            let all = json!([{"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": [],
                "ExcludeManagementEventSources": []}]);
            map.insert("EventSelectors".to_owned(), all);
        }
    }
    Ok(answer.to_string())
}
