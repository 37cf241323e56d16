//! SQS: sending, receiving, hiding and deleting messages of the queues that were made.

use super::Call;
use crate::estate::text;
use crate::shelf::{Message, Queue};
use crate::state::State;
use crate::wire::{Answer, Problem};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// The longest that a call may wait.
const LONGEST_WAIT: u64 = 20;

fn refused(code: &'static str, message: &str) -> Problem {
    Problem::Named(400, code, message.to_owned())
}

/// Account and name, by a queue's URL.
fn key(input: &Value) -> Option<(String, String)> {
    let mut parts = text(input, "QueueUrl").rsplit('/');
    let name = parts.next()?;
    Some((parts.next()?.to_owned(), name.to_owned()))
}

fn on<T>(state: &State, input: &Value, with: impl FnOnce(&mut Queue) -> T) -> Result<T, Problem> {
    let missing = || refused("QueueDoesNotExist", "The specified queue does not exist.");
    let key = key(input).ok_or_else(missing)?;
    state.shelf.queues().get_mut(&key).map(with).ok_or_else(missing)
}

/// Waits until there is something to receive, for as long as the call says.
pub(crate) async fn wait(state: &State, input: &Value) {
    let seconds = input.get("WaitTimeSeconds").and_then(Value::as_u64).unwrap_or(0).min(LONGEST_WAIT);
    let until = Instant::now() + Duration::from_secs(seconds);
    // A message may become visible again without anybody's doing.
    let look_again = Duration::from_millis(50);
    while Instant::now() < until {
        if on(state, input, |queue| queue.counts().0 > 0) != Ok(false) {
            return;
        }
        let _either = tokio::time::timeout(look_again, state.shelf.sent.notified()).await;
    }
}

pub(super) fn answer(call: &Call<'_>, input: &Value) -> Result<Answer, Problem> {
    let state = call.state;
    let body = match call.operation {
        "SendMessage" => {
            let id = on(state, input, |queue| queue.send(text(input, "MessageBody").to_owned()))?;
            state.shelf.sent.notify_waiters();
            json!({ "MessageId": id })
        }
        "ReceiveMessage" => receive(call, input)?,
        "DeleteMessage" => {
            let handle = handle(input).ok_or_else(invalid_handle)?;
            on(state, input, |queue| queue.delete(handle))?;
            json!({})
        }
        "DeleteMessageBatch" => batch(call, input, |queue, entry| {
            let handle = handle(entry).ok_or_else(invalid_handle)?;
            queue.delete(handle);
            Ok(())
        })?,
        "ChangeMessageVisibility" => on(state, input, |queue| hide(queue, input))?.map(|()| json!({}))?,
        "ChangeMessageVisibilityBatch" => batch(call, input, hide)?,
        "GetQueueAttributes" => on(state, input, |queue| {
            let (visible, hidden) = queue.counts();
            json!({"Attributes": {
                "ApproximateNumberOfMessages": visible.to_string(),
                "ApproximateNumberOfMessagesNotVisible": hidden.to_string(),
                "VisibilityTimeout": queue.visibility.as_secs().to_string(),
            }})
        })?,
        _ => return Err(call.unknown()),
    };
    Ok(Answer::ok(body.to_string()))
}

/// The receipt handle of a call or an entry; `None`: it is of no form that this service gives.
fn handle(input: &Value) -> Option<&str> {
    let handle = text(input, "ReceiptHandle");
    (handle.len() == 32 && handle.bytes().all(|b| b.is_ascii_hexdigit())).then_some(handle)
}

fn invalid_handle() -> Problem {
    refused("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
}

fn hide(queue: &mut Queue, input: &Value) -> Result<(), Problem> {
    let handle = handle(input).ok_or_else(invalid_handle)?;
    let seconds = input.get("VisibilityTimeout").and_then(Value::as_u64).unwrap_or(0);
    if queue.hide(handle, Duration::from_secs(seconds)) {
        Ok(())
    } else {
        Err(refused("MessageNotInflight", "The specified message isn't in flight."))
    }
}

fn receive(call: &Call<'_>, input: &Value) -> Result<Value, Problem> {
    let asked = input.get("MaxNumberOfMessages").map_or(Some(1), Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let Some(asked) = asked.filter(|n| (1..=10).contains(n)) else {
        return Err(refused("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10, if provided."));
    };
    let named = ["MessageSystemAttributeNames", "AttributeNames"].map(|key| input.get(key).and_then(Value::as_array));
    let wants = |name: &str| named.iter().copied().flatten().flatten().any(|asked| asked == name || asked == "All");
    let told = |message: &Message| {
        let mut attributes = Map::new();
        if wants("ApproximateReceiveCount") {
            attributes.insert("ApproximateReceiveCount".to_owned(), json!(message.received.to_string()));
        }
        if wants("SentTimestamp") {
            attributes.insert("SentTimestamp".to_owned(), json!(message.sent().timestamp_millis().to_string()));
        }
        json!({"MessageId": message.id, "ReceiptHandle": message.handle, "Body": message.body, "Attributes": attributes})
    };
    let most = call.limit(asked);
    on(call.state, input, |queue| {
        let own = input.get("VisibilityTimeout").and_then(Value::as_u64).map(Duration::from_secs);
        let received = queue.receive(most, own.unwrap_or(queue.visibility));
        // As the service does, an empty answer holds no list.
        if received.is_empty() { json!({}) } else { json!({"Messages": received.iter().map(told).collect::<Vec<_>>()}) }
    })
}

/// Answers each entry of a batch by itself.
fn batch(
    call: &Call<'_>,
    input: &Value,
    each: impl Fn(&mut Queue, &Value) -> Result<(), Problem>,
) -> Result<Value, Problem> {
    let entries = input.get("Entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() || entries.len() > 10 {
        return Err(refused("InvalidParameterValue", "A batch has 1 to 10 entries."));
    }
    on(call.state, input, |queue| {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = text(entry, "Id");
            match each(queue, entry) {
                Err(Problem::Named(_, code, message)) => {
                    failed.push(json!({"Id": id, "Code": code, "Message": message, "SenderFault": true}));
                }
                _ => done.push(json!({ "Id": id })),
            }
        }
        json!({"Successful": done, "Failed": failed})
    })
}
