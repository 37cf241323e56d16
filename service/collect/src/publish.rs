//! Publishing one message: to an SNS topic, or as an event of an EventBridge bus.
//!
//! Knows which credentials that takes, and which answer says that a message was taken. Refuses to know what a message
//! says, to whom it is of use, and when it is sent again.

use crate::call::{Caller, CompleteAnswer, Holder, PermissionUse, Refusal};
use crate::entry::{assume, sdk_config, sdk_region};
use crate::plan::Plan;
use crate::trails::Entry;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_types::DateTime as AwsTime;
use aws_smithy_types::retry::RetryConfig;
use chrono::{DateTime, Utc};
use rolecall_estate::id::Region;
use rolecall_iam::Arn;
use std::fmt;
use std::str::FromStr;
use tokio::sync::OnceCell;

pub(crate) static PUBLISH: PermissionUse =
    PermissionUse { action: "sns:Publish", holder: Holder::Outgoing, why: "to send messages to a topic" };
pub(crate) static PUT_EVENTS: PermissionUse =
    PermissionUse { action: "events:PutEvents", holder: Holder::Outgoing, why: "to send messages to an event bus" };

pub(crate) static ACTIONS: [&PermissionUse; 2] = [&PUBLISH, &PUT_EVENTS];

/// `source` of every event.
pub const SOURCE: &str = "rolecall";

/// The service that messages go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Sns,
    EventBridge,
}

/// Where messages go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    service: Service,
    arn: Arn,
    region: Region,
}

/// A text that is no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither the ARN of an SNS topic nor of an event bus")]
pub struct DestinationError(String);

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let wrong = || DestinationError(text.escape_debug().to_string());
        let arn: Arn = text.parse().map_err(|_| wrong())?;
        let region = arn.region().parse().map_err(|_| wrong())?;
        let fits = |name: &str, others: &[u8]| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
        };
        let service = match (arn.service(), arn.account_id(), arn.resource().strip_prefix("event-bus/")) {
            ("sns", Some(_), None) if fits(arn.resource(), b"-_.") => Service::Sns,
            ("events", Some(_), Some(bus)) if fits(bus, b"-_./") => Service::EventBridge,
            _ => return Err(wrong()),
        };
        Ok(Self { service, arn, region })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arn.as_str())
    }
}

impl Destination {
    /// Whether it is a topic, and no bus.
    #[must_use]
    pub fn is_topic(&self) -> bool {
        self.service == Service::Sns
    }

    /// A topic that keeps messages in order, and takes each once.
    fn is_fifo(&self) -> bool {
        self.is_topic() && self.arn.resource().ends_with(".fifo")
    }
}

/// A message.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The same however often it is sent.
    pub id: &'a str,
    /// What kind of message it is.
    pub kind: &'a str,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// JSON.
    pub body: &'a str,
    /// What a subscription may ask for, by name; each with one value or more.
    pub attributes: &'a [(&'static str, Vec<String>)],
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {detail}")]
pub struct NotTaken {
    /// The call.
    pub action: &'static str,
    /// What AWS said, or why it said nothing.
    pub detail: String,
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self { action: refusal.action, detail: refusal.detail }
    }
}

/// What sends messages to one destination. Nothing is asked of AWS before the first.
pub struct Publisher {
    plan: Plan,
    destination: Destination,
    entry: Option<Entry>,
    caller: Caller,
    client: OnceCell<Client>,
}

enum Client {
    Sns(aws_sdk_sns::Client),
    EventBridge(aws_sdk_eventbridge::Client),
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("destination", &self.destination).field("entry", &self.entry).finish()
    }
}

impl Publisher {
    /// Sends with the credentials of the plan's hub, or by a role that is assumed with these.
    #[must_use]
    pub fn new(plan: Plan, destination: Destination, entry: Option<Entry>) -> Self {
        let caller = Caller::new(plan.settings.max_concurrent_calls);
        Self { plan, destination, entry, caller, client: OnceCell::new() }
    }

    /// Sends a message, once: whoever calls sends it again.
    ///
    /// # Errors
    /// Where it was not taken, or no answer says that it was.
    pub async fn publish(&self, message: Published<'_>) -> Result<(), NotTaken> {
        match self.client.get_or_try_init(|| self.open()).await? {
            Client::Sns(client) => Ok(self.to_topic(client, message).await?),
            Client::EventBridge(client) => Ok(self.to_bus(client, message).await?),
        }
    }

    async fn open(&self) -> Result<Client, Refusal> {
        let region = sdk_region(&self.destination.region);
        let base = sdk_config(&self.plan).await.into_builder().region(region).build();
        let config: SdkConfig = match &self.entry {
            None => base,
            Some(Entry { role_arn, external_id }) => {
                assume(&self.plan, &base, role_arn, external_id.as_deref(), &self.caller).await?
            }
        };
        // A topic takes a message twice that is sent twice, and each attempt is counted where it is noted.
        let once = RetryConfig::disabled();
        Ok(match self.destination.service {
            Service::Sns => {
                let config = aws_sdk_sns::config::Builder::from(&config).retry_config(once).interceptor(CompleteAnswer);
                Client::Sns(aws_sdk_sns::Client::from_conf(config.build()))
            }
            Service::EventBridge => {
                let config = aws_sdk_eventbridge::config::Builder::from(&config);
                let config = config.retry_config(once).interceptor(CompleteAnswer);
                Client::EventBridge(aws_sdk_eventbridge::Client::from_conf(config.build()))
            }
        })
    }

    async fn to_topic(&self, client: &aws_sdk_sns::Client, message: Published<'_>) -> Result<(), Refusal> {
        let mut request = client.publish().topic_arn(self.destination.arn.as_str()).message(message.body);
        for (name, values) in message.attributes {
            let (data_type, value) = match values.as_slice() {
                [] => continue,
                [value] => ("String", value.clone()),
                values => ("String.Array", serde_json::Value::from(values).to_string()),
            };
            let value = MessageAttributeValue::builder().data_type(data_type).string_value(value).build();
            let value = value.map_err(|error| Refusal::malformed(&PUBLISH, error.to_string()))?;
            request = request.message_attributes(*name, value);
        }
        if self.destination.is_fifo() {
            request = request.message_group_id(SOURCE).message_deduplication_id(message.id);
        }
        let answer = self.caller.call(&PUBLISH, request.send()).await?;
        match answer.message_id() {
            Some(_) => Ok(()),
            None => Err(Refusal::malformed(&PUBLISH, "the answer names no message")),
        }
    }

    async fn to_bus(&self, client: &aws_sdk_eventbridge::Client, message: Published<'_>) -> Result<(), Refusal> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(self.destination.arn.as_str())
            .source(SOURCE)
            .detail_type(message.kind)
            .detail(message.body)
            .time(AwsTime::from_secs(message.at.timestamp()));
        let answer = self.caller.call(&PUT_EVENTS, client.put_events().entries(entry.build()).send()).await?;
        // Refused entries come with a status of 200.
        match (answer.failed_entry_count(), answer.entries()) {
            (0, [entry]) if entry.event_id().is_some() => Ok(()),
            (_, entries) => {
                let failed = entries.iter().find(|entry| entry.error_code().is_some());
                let code = failed.and_then(|entry| entry.error_code()).unwrap_or("no event was taken");
                let why = failed.and_then(|entry| entry.error_message()).unwrap_or_default();
                Err(Refusal::malformed(&PUT_EVENTS, format!("{code}: {why}").trim_end_matches(": ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_strictly() {
        for (text, is_topic, is_fifo) in [
            ("arn:aws:sns:eu-west-1:111122223333:findings", true, false),
            ("arn:aws-cn:sns:cn-north-1:111122223333:findings.fifo", true, true),
            ("arn:aws:events:eu-west-1:111122223333:event-bus/default", false, false),
            ("arn:aws:events:us-east-1:111122223333:event-bus/a/b.fifo", false, false),
        ] {
            let read: Destination = text.parse().unwrap();
            assert_eq!((read.is_topic(), read.is_fifo(), read.to_string().as_str()), (is_topic, is_fifo, text));
        }
        for text in [
            "",
            "findings",
            "arn:aws:sns:eu-west-1:111122223333:findings:3f1b9c0d-8e7a-4b6f-93d5-c1e0a7b8f642",
            "arn:aws:sns::111122223333:findings",
            "arn:aws:sns:eu-west-1:11112222333:findings",
            "arn:aws:sns:eu-west-1:111122223333:find ings",
            "arn:aws:sqs:eu-west-1:111122223333:findings",
            "arn:aws:events:eu-west-1:111122223333:rule/findings",
            "arn:aws:events:eu-west-1:111122223333:event-bus/",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
