//! Notifications of new files in a queue.
//!
//! A message is kept from others while its batch is in work, deleted after the commit, and left to
//! come again otherwise. One that no further attempt would help is handed over to be stored and
//! shown, and deleted only then. A message can name any bucket and whoever may send one could have
//! us read forged events, so only the trail's bucket is read.

use super::bucket::Bucket;
use super::listing::{fetch, log_object};
use super::notice::{excerpt, parse};
use super::{
    Batch, Body, Counts, FinishedBatch, LogFile, Message, Missed, Object, Outcome, Progress, Room, SetAside, TrailGap,
    TrailSource, gap_of, unsettled,
};
use crate::call::{Caller, CompleteAnswer, Holder, PermissionUse, Refusal};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
    QueueAttributeName,
};
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rolecall_estate::coverage::GapReason;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;

pub(crate) static RECEIVE: PermissionUse =
    PermissionUse { action: "sqs:ReceiveMessage", holder: Holder::Trails, why: "to be told of new files of a trail" };
pub(crate) static EXTEND: PermissionUse = PermissionUse {
    action: "sqs:ChangeMessageVisibility",
    holder: Holder::Trails,
    why: "to keep a message while its files are read",
};
pub(crate) static DELETE: PermissionUse =
    PermissionUse { action: "sqs:DeleteMessage", holder: Holder::Trails, why: "to be done with what was stored" };
pub(crate) static ATTRIBUTES: PermissionUse =
    PermissionUse { action: "sqs:GetQueueAttributes", holder: Holder::Trails, why: "to show how many messages wait" };

/// As many as one call takes.
const AT_ONCE: usize = 10;

/// A queue, and how it is read.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) caller: Arc<Caller>,
    pub(crate) wait: Duration,
    pub(crate) visibility: Duration,
    pub(crate) max_receives: u32,
}

pub(crate) struct Queue {
    id: String,
    at: Arc<Subscription>,
    bucket: Bucket,
    room: Room,
    counts: Counts,
    in_work: InWork,
    /// The last receive was refused, which was told: whoever asks on is to pause first.
    refused: bool,
    keeper: JoinHandle<()>,
}

/// Receipt handles of messages whose batch, or settlement, is alive.
type InWork = Arc<Mutex<BTreeMap<String, Weak<()>>>>;

impl Queue {
    pub(crate) fn new(id: &str, at: Subscription, bucket: Bucket, room: Room) -> Self {
        let (at, in_work) = (Arc::new(at), InWork::default());
        let keeper = tokio::spawn(keep(at.clone(), in_work.clone()));
        Self { id: id.to_owned(), at, bucket, room, counts: Counts::default(), in_work, refused: false, keeper }
    }

    async fn batch(&mut self) -> Option<Batch> {
        if std::mem::take(&mut self.refused) {
            return None;
        }
        let mut batch = Batch::default();
        let mut wait = self.at.wait;
        while batch.objects.len() < self.room.limits.batch_objects.max(1) && batch.messages.len() < MOST_MESSAGES {
            match self.at.receive(wait).await {
                Err(refusal) => {
                    batch.gaps.push(self.at.gap(&refusal));
                    self.refused = true;
                    break;
                }
                Ok(messages) if messages.is_empty() => break,
                Ok(messages) => {
                    for message in messages {
                        self.take(message, &mut batch);
                    }
                }
            }
            // Whatever more is there already is taken along.
            wait = Duration::ZERO;
        }
        if let Some(waiting) = self.at.waiting().await {
            self.counts.note(|progress| progress.waiting = Some(waiting));
        }
        self.counts.handed_out(&batch.objects);
        (!batch.messages.is_empty() || !batch.gaps.is_empty()).then_some(batch)
    }

    fn take(&self, received: aws_sdk_sqs::types::Message, batch: &mut Batch) {
        let Some(handle) = received.receipt_handle else { return };
        let attributes = received.attributes.unwrap_or_default();
        let count = attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount);
        let body = received.body.unwrap_or_default();
        let alive = Arc::new(());
        self.in_work.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.clone(), Arc::downgrade(&alive));
        let mut message = Message {
            id: received.message_id.unwrap_or_default(),
            handle,
            received: count.and_then(|count| count.parse().ok()).unwrap_or(1),
            excerpt: excerpt(&body),
            fault: None,
            objects: Vec::new(),
            _alive: alive,
        };
        match parse(&body) {
            Err(why) => message.fault = Some(why),
            Ok(named) => {
                for named in named {
                    self.counts.note(|progress| progress.listed += 1);
                    if named.bucket != self.bucket.name {
                        message.fault = Some(format!("it names bucket `{}`, which is not the trail's", named.bucket));
                        continue;
                    }
                    let Ok(file) = LogFile::of_key(&named.key) else {
                        self.counts.note(|progress| progress.ignored += 1);
                        continue;
                    };
                    let object = log_object(&named.bucket, &named.key, file);
                    message.objects.push(batch.objects.len());
                    batch.objects.push(Object { size: named.size, etag: named.etag, ..object });
                }
            }
        }
        batch.messages.push(message);
    }

    /// What becomes of a message, by what became of its objects.
    fn finish_message(
        &self,
        message: Message,
        objects: &[Object],
        outcomes: &[Outcome],
        settlement: &mut FinishedBatch,
    ) {
        let mut reasons: Vec<String> = message.fault.iter().cloned().collect();
        let mut comes_again = false;
        for index in &message.objects {
            let Some(object) = objects.get(*index) else { continue };
            match outcomes.get(*index) {
                Some(Outcome::Read | Outcome::Known) => {}
                Some(Outcome::Unreadable(why)) if message.received >= self.at.max_receives => {
                    reasons.push(format!("{}: {why}", object.location));
                }
                Some(Outcome::Unreadable(why)) => {
                    comes_again = true;
                    let reason = GapReason::Malformed;
                    let action = super::bucket::GET_OBJECT.action.to_owned();
                    settlement.gaps.push(gap_of(object, Missed { action, reason, detail: why.clone(), gone: false }));
                }
                Some(Outcome::Missed(missed)) if missed.gone => reasons.push(format!("{}: {missed}", object.location)),
                Some(Outcome::Missed(missed)) => {
                    comes_again = true;
                    settlement.gaps.push(gap_of(object, missed.clone()));
                }
                None => {
                    comes_again = true;
                    settlement.gaps.push(gap_of(object, unsettled()));
                }
            }
        }
        if comes_again {
            return;
        }
        if !reasons.is_empty() {
            self.counts.note(|progress| progress.set_aside += 1);
            settlement.set_aside.push(SetAside {
                id: message.id.clone(),
                identity: None,
                reason: reasons.join("; "),
                excerpt: message.excerpt.clone(),
                received: message.received,
            });
        }
        settlement.done.push(message);
    }
}

/// Of one batch, so that messages without objects end it, too.
const MOST_MESSAGES: usize = 1000;

impl Drop for Queue {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl TrailSource for Queue {
    fn id(&self) -> &str {
        &self.id
    }

    fn next(&mut self, _: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>> {
        self.batch().boxed()
    }

    fn fetch<'a>(&'a self, object: &'a Object) -> BoxFuture<'a, Result<Body, Missed>> {
        fetch(&self.bucket, &self.room, &self.counts, object).boxed()
    }

    fn finish_batch(&mut self, batch: Batch, outcomes: Vec<Outcome>) -> FinishedBatch {
        let mut settlement = FinishedBatch { gaps: batch.gaps, ..FinishedBatch::default() };
        for message in batch.messages {
            self.finish_message(message, &batch.objects, &outcomes, &mut settlement);
        }
        settlement
    }

    fn acknowledge(&mut self, settlement: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>> {
        async move {
            let mut gaps = Vec::new();
            for messages in settlement.done.chunks(AT_ONCE) {
                if let Err(refusal) = self.at.delete(messages).await {
                    gaps.push(self.at.gap(&refusal));
                }
            }
            gaps
        }
        .boxed()
    }

    fn progress(&self) -> Progress {
        self.counts.progress()
    }
}

fn whole_seconds(length: Duration) -> i32 {
    i32::try_from(length.as_secs()).unwrap_or(i32::MAX)
}

impl Subscription {
    fn gap(&self, refusal: &Refusal) -> TrailGap {
        TrailGap {
            day: None,
            account_id: None,
            region: None,
            action: refusal.action.to_owned(),
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            location: self.url.clone(),
        }
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<aws_sdk_sqs::types::Message>, Refusal> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .visibility_timeout(whole_seconds(self.visibility))
            .wait_time_seconds(whole_seconds(wait));
        let answer = self.caller.call(&RECEIVE, request.customize().interceptor(CompleteAnswer).send()).await?;
        // An empty queue answers without a list.
        Ok(answer.messages.unwrap_or_default())
    }

    /// Messages that wait; `None` where that is not told.
    pub(crate) async fn waiting(&self) -> Option<u64> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let answer = self.caller.call(&ATTRIBUTES, request.send()).await.ok()?;
        answer.attributes()?.get(&name)?.parse().ok()
    }

    async fn delete(&self, messages: &[Message]) -> Result<(), Refusal> {
        let malformed = |error: String| Refusal::malformed(&DELETE, error);
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (n, message) in messages.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(&message.handle);
            request = request.entries(entry.build().map_err(|error| malformed(error.to_string()))?);
        }
        let answer = self.caller.call(&DELETE, request.send()).await?;
        match answer.failed.first() {
            Some(failed) => Err(malformed(format!(
                "{} of {} messages were not deleted ({}) and will come again",
                answer.failed.len(),
                messages.len(),
                failed.code
            ))),
            None => Ok(()),
        }
    }

    async fn extend(&self, handles: &[String]) {
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (n, handle) in handles.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(n.to_string())
                .receipt_handle(handle)
                .visibility_timeout(whole_seconds(self.visibility));
            if let Ok(entry) = entry.build() {
                request = request.entries(entry);
            }
        }
        // Refused, the message comes again while it is in work: read twice, counted once.
        if let Err(refusal) = self.caller.call(&EXTEND, request.send()).await {
            tracing::warn!(action = refusal.action, detail = %refusal.detail, "messages may come again while in work");
        }
    }
}

/// Keeps the messages in work from coming again, for as long as the source lives.
async fn keep(at: Arc<Subscription>, in_work: InWork) {
    loop {
        tokio::time::sleep(at.visibility / 3).await;
        let handles: Vec<String> = {
            let mut in_work = in_work.lock().unwrap_or_else(PoisonError::into_inner);
            in_work.retain(|_, alive| alive.strong_count() > 0);
            in_work.keys().cloned().collect()
        };
        for handles in handles.chunks(AT_ONCE) {
            at.extend(handles).await;
        }
    }
}
