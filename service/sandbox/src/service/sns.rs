//! SNS: publishing to the topics that were made.

use super::{Call, Input};
use crate::wire::{Answer, Problem, Xml};
use serde_json::{Map, Value, json};

/// The most bytes of a message with its attributes.
const LARGEST: usize = 256 * 1024;

fn invalid(message: &str) -> Problem {
    Problem::Named(400, "InvalidParameter", format!("Invalid parameter: {message}"))
}

pub(super) fn answer(call: &Call<'_>, input: &Input) -> Result<Answer, Problem> {
    if call.operation != "Publish" {
        return Err(call.unknown());
    }
    let given = |name: &str| input.form(name).unwrap_or_default();
    let (arn, message) = (given("TopicArn"), given("Message"));
    if message.is_empty() {
        return Err(invalid("Empty message"));
    }
    let is_fifo = arn.ends_with(".fifo");
    if is_fifo && given("MessageGroupId").is_empty() {
        return Err(invalid("The MessageGroupId parameter is required for FIFO topics"));
    }
    let mut attributes = Map::new();
    let mut size = message.len();
    for at in 1.. {
        let part = |name: &str| input.form(&format!("MessageAttributes.entry.{at}.{name}"));
        let Some(name) = part("Name") else { break };
        let (data_type, value) = (part("Value.DataType"), part("Value.StringValue"));
        let (Some(data_type), Some(value)) = (data_type, value.filter(|value| !value.is_empty())) else {
            return Err(invalid("the message attribute must contain a type and a value"));
        };
        size += name.len() + data_type.len() + value.len();
        attributes.insert(name.to_owned(), json!({"Type": data_type, "Value": value}));
    }
    if size > LARGEST {
        return Err(invalid("Message too long"));
    }
    let told = json!({
        "Message": message, "MessageAttributes": attributes, "MessageGroupId": input.form("MessageGroupId"),
        "MessageDeduplicationId": input.form("MessageDeduplicationId"), "By": call.caller.arn,
    });
    let id = publish(call, arn, told)?;
    let mut xml = Xml::default();
    xml.leaf("MessageId", &id);
    Ok(Answer::query(call.service, call.operation, call.request_id, &xml))
}

fn publish(call: &Call<'_>, arn: &str, told: Value) -> Result<String, Problem> {
    let missing = || Problem::Named(404, "NotFound", "Topic does not exist".to_owned());
    // A topic is reached in its own region alone.
    let region = arn.split(':').nth(3).unwrap_or_default();
    if region != call.region {
        return Err(invalid("TopicArn"));
    }
    call.state.shelf.published().get_mut(arn).ok_or_else(missing)?.push(told);
    Ok(uuid::Uuid::new_v4().to_string())
}
