//! What buckets, queues, topics and event buses hold.
//!
//! Knows visibility, receipt handles and receive counts. Refuses to know protocols and estates; a
//! bucket may be read by everybody, as no policy is evaluated here.

use crate::ids;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// An object of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) etag: String,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) region: String,
    pub(crate) objects: BTreeMap<String, Stored>,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) received: u32,
    /// The handle of the last receipt.
    pub(crate) handle: Option<String>,
    sent: DateTime<Utc>,
    visible: Instant,
}

impl Message {
    pub(crate) fn sent(&self) -> DateTime<Utc> {
        self.sent
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) visibility: Duration,
    pub(crate) messages: Vec<Message>,
}

impl Queue {
    pub(crate) fn send(&mut self, body: String) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let (sent, visible) = (Utc::now(), Instant::now());
        self.messages.push(Message { id: id.clone(), body, received: 0, handle: None, sent, visible });
        id
    }

    /// Takes up to a number of the messages that are visible.
    pub(crate) fn receive(&mut self, most: usize, visibility: Duration) -> Vec<Message> {
        let now = Instant::now();
        let visible = self.messages.iter_mut().filter(|message| message.visible <= now).take(most);
        visible
            .map(|message| {
                message.received += 1;
                message.handle = Some(uuid::Uuid::new_v4().simple().to_string());
                message.visible = now + visibility;
                message.clone()
            })
            .collect()
    }

    /// Sets anew until when a message is hidden; `false`: no such handle.
    pub(crate) fn hide(&mut self, handle: &str, visibility: Duration) -> bool {
        let found = self.messages.iter_mut().find(|message| message.handle.as_deref() == Some(handle));
        found.map(|message| message.visible = Instant::now() + visibility).is_some()
    }

    /// Deletes by handle. One that is out of date deletes nothing, and is no error.
    pub(crate) fn delete(&mut self, handle: &str) {
        self.messages.retain(|message| message.handle.as_deref() != Some(handle));
    }

    /// Messages that are visible, and those that are not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let now = Instant::now();
        let visible = self.messages.iter().filter(|message| message.visible <= now).count();
        (visible, self.messages.len() - visible)
    }

    pub(crate) fn lapse(&mut self) {
        let now = Instant::now();
        for message in &mut self.messages {
            message.visible = now;
        }
    }
}

/// All buckets, all queues by account and name, and all topics and event buses by ARN.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    queues: Mutex<BTreeMap<(String, String), Queue>>,
    published: Mutex<BTreeMap<String, Vec<Value>>>,
    /// Event buses that take nothing.
    full: Mutex<BTreeSet<String>>,
    pub(crate) sent: Notify,
}

impl Shelf {
    pub(crate) fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, BTreeMap<(String, String), Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was published to each topic and event bus that was made.
    pub(crate) fn published(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Value>>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_full(&self, bus: &str) -> bool {
        self.full.lock().unwrap_or_else(PoisonError::into_inner).contains(bus)
    }

    pub(crate) fn set_full(&self, bus: &str, is_full: bool) {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if is_full {
            full.insert(bus.to_owned());
        } else {
            full.remove(bus);
        }
    }

    pub(crate) fn make_bucket(&self, name: &str, region: &str) {
        let made = Bucket { region: region.to_owned(), objects: BTreeMap::new() };
        self.buckets().entry(name.to_owned()).or_insert(made);
    }

    pub(crate) fn make_queue(&self, account: &str, name: &str, visibility: Duration) {
        let made = Queue { visibility, messages: Vec::new() };
        self.queues().entry((account.to_owned(), name.to_owned())).or_insert(made);
    }

    /// Puts an object; `None`: no such bucket.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: &[u8], at: DateTime<Utc>) -> Option<String> {
        let etag = ids::hex(&String::from_utf8_lossy(bytes), 32);
        let stored = Stored { bytes: bytes.into(), etag: etag.clone(), at };
        self.buckets().get_mut(bucket)?.objects.insert(key.to_owned(), stored);
        Some(etag)
    }
}
