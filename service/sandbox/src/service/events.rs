//! EventBridge: putting events on the buses that were made.

use super::Call;
use crate::estate::text;
use crate::wire::{Answer, Problem};
use serde_json::{Value, json};

pub(super) fn answer(call: &Call<'_>, input: &Value) -> Result<Answer, Problem> {
    if call.operation != "PutEvents" {
        return Err(call.unknown());
    }
    let entries = input.get("Entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() || entries.len() > 10 {
        let message = "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have \
                       length less than or equal to 10, and greater than or equal to 1";
        return Err(Problem::Named(400, "ValidationException", message.to_owned()));
    }
    let told: Vec<Value> = entries.iter().map(|entry| put(call, entry)).collect();
    let failed = told.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
    Ok(Answer::ok(json!({"FailedEntryCount": failed, "Entries": told}).to_string()))
}

/// What became of an entry: the answer as a whole is a success even where none was taken.
fn put(call: &Call<'_>, entry: &Value) -> Value {
    let failed = |code: &str, message: &str| json!({"ErrorCode": code, "ErrorMessage": message});
    let detail = serde_json::from_str::<Value>(text(entry, "Detail")).ok().filter(Value::is_object);
    let Some(detail) = detail else { return failed("MalformedDetail", "Detail is malformed.") };
    for name in ["Source", "DetailType"] {
        if text(entry, name).is_empty() {
            return failed("InvalidArgument", &format!("Parameter {name} is not valid. Reason: {name} is required."));
        }
    }
    let bus = text(entry, "EventBusName");
    let told = json!({
        "source": text(entry, "Source"), "detail-type": text(entry, "DetailType"), "detail": detail,
        "time": entry.get("Time"), "region": call.region, "account": call.caller.account,
    });
    if call.state.shelf.is_full(bus) {
        return failed("ThrottlingException", "Rate exceeded");
    }
    match call.state.shelf.published().get_mut(bus) {
        Some(events) => events.push(told),
        None => return failed("InvalidArgument", "Event bus does not exist."),
    }
    json!({ "EventId": uuid::Uuid::new_v4().to_string() })
}
