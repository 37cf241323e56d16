//! Where trail files come from: a bucket that is listed, a queue of notifications, `LookupEvents`,
//! files on this machine. All give the same thing, in batches, behind [`TrailSource`].
//!
//! Delivery is at least once: what was handed out and not acknowledged comes again. To count it
//! exactly once is the consumer's part, who alone knows what was stored. One batch goes so:
//!
//! 1. [`TrailSource::next`] gives objects: named and placed, not fetched. Those whose identity the
//!    consumer has marked as read cost no more than that.
//! 2. [`TrailSource::fetch`] gives the bytes of one. [`fetch_each`] gives those of many, several
//!    fetched at once within the source's room.
//! 3. [`TrailSource::finish_batch`] takes what became of each, and says what to store **in the same
//!    transaction** as what was read: cursors, gaps, messages set aside.
//! 4. [`TrailSource::acknowledge`], after the commit, lets go of the batch.
//!
//! A consumer that could not commit drops the source and opens it anew with the cursors that it
//! has stored. `next` gives `None` when there is nothing more for now; asked again it looks again.
//!
//! Refuses to know what is in a file, and what was read before but for its own cursors.

pub(crate) mod bucket;
mod files;
mod key;
mod listing;
mod lookup;
mod notice;
mod open;
pub(crate) mod queue;

pub(crate) use open::ACTIONS;

pub use files::{files, open_file};
pub use key::{LogFile, NotALog};
pub use lookup::Events;
pub use open::{ByQueue, Entry, InBucket, LookupConfig, TrailConfig, TrailKind, actions_of, doctor, open};

use crate::call::Refusal;
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, Stream, StreamExt as _};
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_estate::{CompleteRange, IncompleteDay};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Something that trail files come from.
pub trait TrailSource: Send + Sync {
    /// The source's name, as configured. Cursors go by it.
    fn id(&self) -> &str;

    /// The next batch; `None`: nothing more for now. A queue is waited for up to its long poll.
    ///
    /// `now` bounds what is asked for. A refusal is no error but a gap of the batch, which may hold
    /// no object at all.
    fn next(&mut self, now: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>>;

    /// The bytes of an object. Waits for room: see [`Body`].
    fn fetch<'a>(&'a self, object: &'a Object) -> BoxFuture<'a, Result<Body, Missed>>;

    /// What to store along with what was read. `outcomes` are in the order of the batch's objects;
    /// an object without one counts as missed, and comes again.
    fn finish_batch(&mut self, batch: Batch, outcomes: Vec<Outcome>) -> FinishedBatch;

    /// Lets go of a batch, once everything of it is committed. What is not let go of for want of an
    /// answer comes again; the gaps say why.
    fn acknowledge(&mut self, settlement: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>>;

    /// How far it is.
    fn progress(&self) -> Progress;
}

/// How far a source is, since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects listed or notified, those known before among them.
    pub listed: u64,
    /// Objects that are no log files: digests, insights, and whatever else lies there.
    pub ignored: u64,
    /// Objects fetched.
    pub fetched: u64,
    /// Bytes fetched, as they lie there.
    pub bytes: u64,
    /// Fetches that failed.
    pub missed: u64,
    /// Messages set aside.
    pub set_aside: u64,
    /// Delivery time of the newest object handed out; for `LookupEvents`, up to when was read. The
    /// lag is what is between it and now.
    pub newest: Option<DateTime<Utc>>,
    /// Messages that wait in the queue, where that was asked and told.
    pub waiting: Option<u64>,
}

/// An account's region of a source, and how far it was read. To be stored and given back, never read:
/// `position` means something to its source alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The source's name.
    pub source: String,
    /// Whose events it holds.
    pub account_id: AccountId,
    /// Of which region.
    pub region: Region,
    /// Up to where.
    pub position: String,
    /// Objects of this region of an earlier day are not handed out again, so the marks of such
    /// objects may be dropped.
    pub from_day: Option<NaiveDate>,
}

/// A file of a trail, or an answer of `LookupEvents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What to mark it by, once read: the same for the same content by whatever way it comes. `None`:
    /// what is marked would hide something, so it is always read and its events told apart.
    pub identity: Option<String>,
    /// Where it lies, for people: `s3://bucket/key`, a path, a window.
    pub location: String,
    /// Whose events, where its place says so.
    pub account_id: Option<AccountId>,
    /// Of which region, where its place says so.
    pub region: Option<Region>,
    /// The day under which it lies, where its place says so. Its events may be of others.
    pub day: Option<NaiveDate>,
    /// When it was delivered, where its name says so.
    pub at: Option<DateTime<Utc>>,
    /// The entity tag, where one was told.
    pub etag: Option<String>,
    /// Its size in bytes, where it was told.
    pub size: Option<u64>,
    pub(crate) content: Content,
    /// The region's position once everything up to this object is stored, where it moves.
    pub(crate) position: Option<Position>,
}

/// Where the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    File(PathBuf),
    Key(String),
    Here(Arc<[u8]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) account_id: AccountId,
    pub(crate) region: Region,
    pub(crate) text: String,
}

/// The bytes of an object, gzipped or not, as they lie there.
///
/// It keeps its place in the source's room until it is dropped: whoever collects bodies without
/// dropping any waits for ever for the next.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why the bytes of an object were not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action} {}: {detail}", reason.as_str())]
pub struct Missed {
    /// The IAM action that was refused or failed; `local:ReadFile` for a file of this machine.
    pub action: String,
    /// Why.
    pub reason: GapReason,
    /// What was said, without secrets.
    pub detail: String,
    /// Whether it is not there any more, so that asking again is of no use.
    pub gone: bool,
}

impl Missed {
    pub(crate) fn new(refusal: Refusal) -> Self {
        let gone = refusal.is_gone() || matches!(refusal.code.as_deref(), Some("NoSuchKey"));
        Self { action: refusal.action.to_owned(), reason: refusal.reason, detail: refusal.detail, gone }
    }
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was read; single records of it may have been malformed.
    Read,
    /// It was read before.
    Known,
    /// Its bytes are here, but no trail file: a torn gzip stream, something that is not JSON.
    Unreadable(String),
    /// Its bytes were not had.
    Missed(Missed),
}

/// Objects to be read and committed together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What there is to read, in the order of its places.
    pub objects: Vec<Object>,
    /// What was not seen while listing.
    pub gaps: Vec<TrailGap>,
    pub(crate) messages: Vec<Message>,
    /// Listings of which nothing comes after this batch.
    pub(crate) ended: Vec<listing::Ended>,
}

/// A message of a queue in work.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) handle: String,
    pub(crate) received: u32,
    pub(crate) excerpt: String,
    /// Why it is no notification of anything, where it is none.
    pub(crate) fault: Option<String>,
    /// Its objects' places in the batch.
    pub(crate) objects: Vec<usize>,
    /// While this lives, the message is kept from coming again.
    pub(crate) _alive: Arc<()>,
}

/// Something of a trail that was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailGap {
    /// Whose events; `None`: of every account that the source holds.
    pub account_id: Option<AccountId>,
    /// Of which region; `None`: of every one.
    pub region: Option<Region>,
    /// The day under which it lies, where it is one file; `None`: of any.
    #[serde(default)]
    pub day: Option<NaiveDate>,
    /// The IAM action that was refused or failed.
    pub action: String,
    /// Why.
    pub reason: GapReason,
    /// What was said, without secrets.
    pub detail: String,
    /// What was asked for: an object, a prefix, a queue, a window.
    pub location: String,
}

/// A message or an object that no further attempt would help. It is not handed out again, so whoever
/// reads the trail must be shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The message's id, or the object's location.
    pub id: String,
    /// For an object, what to mark it by: unmarked, a listing gives it again for some days.
    pub identity: Option<String>,
    /// Why.
    pub reason: String,
    /// The beginning of the message, without secrets; empty for an object that came without one.
    pub excerpt: String,
    /// How often it was received.
    pub received: u32,
}

/// What to store in the transaction that stores what was read of a batch.
#[derive(Debug, Clone, Default)]
pub struct FinishedBatch {
    /// In the place of the cursors of the same source, account and region.
    pub cursors: Vec<Cursor>,
    /// What was not seen. It will be tried again.
    pub gaps: Vec<TrailGap>,
    /// What was given up.
    pub set_aside: Vec<SetAside>,
    /// Which time ranges are complete, with this batch.
    pub complete_ranges: Vec<CompleteRange>,
    /// Days of which something was given up. It may not come again, so this is told once.
    pub incomplete: Vec<IncompleteDay>,
    /// Messages to delete.
    pub(crate) done: Vec<Message>,
}

/// Bounds of what a source holds at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Files fetched at the same time.
    pub fetches: usize,
    /// Bytes of bodies alive at the same time. A larger body waits until it is alone.
    pub bytes: u64,
    /// The largest object that is fetched, in bytes.
    pub object_bytes: u64,
    /// Objects of a batch.
    pub batch_objects: usize,
}

impl Default for Limits {
    /// CloudTrail's files are of up to 50 MB, most of some KB.
    fn default() -> Self {
        Self { fetches: 16, bytes: 64 << 20, object_bytes: 64 << 20, batch_objects: 500 }
    }
}

/// The room that bodies share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) limits: Limits,
    fetches: Semaphore,
    /// In KiB, as permits are counted in 32 bits.
    kib: Arc<Semaphore>,
    all_kib: u32,
}

impl Room {
    pub(crate) fn new(limits: Limits) -> Self {
        let all_kib = u32::try_from(limits.bytes >> 10).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        let kib = Arc::new(Semaphore::new(usize::try_from(all_kib).unwrap_or(usize::MAX)));
        Self { fetches: Semaphore::new(limits.fetches.max(1)), kib, all_kib, limits }
    }

    /// Fetches within the room. `size`: as told beforehand; unknown, it is taken for a small one.
    pub(crate) async fn within(
        &self,
        size: Option<u64>,
        fetch: impl Future<Output = Result<Vec<u8>, Missed>>,
    ) -> Result<Body, Missed> {
        let kib = u32::try_from(size.unwrap_or(1 << 20).div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, self.all_kib);
        // The semaphores are never closed; without a permit the fetch would only be less bounded.
        let room = self.kib.clone().acquire_many_owned(kib).await.ok();
        let _turn = self.fetches.acquire().await.ok();
        Ok(Body { bytes: fetch.await?, _room: room })
    }

    /// Why an object is too large, if it is.
    pub(crate) fn too_large(&self, action: &str, size: u64) -> Option<Missed> {
        let limit = self.limits.object_bytes;
        (size > limit).then(|| Missed {
            action: action.to_owned(),
            reason: GapReason::Malformed,
            detail: format!("{size} bytes are more than the {limit} that a trail file may have"),
            gone: false,
        })
    }
}

/// Fetches objects, several at once, in no order. Give those of a batch that are not known.
pub fn fetch_each<'a>(
    source: &'a dyn TrailSource,
    objects: impl IntoIterator<Item = (usize, &'a Object)> + 'a,
    at_once: usize,
) -> impl Stream<Item = (usize, Result<Body, Missed>)> + 'a {
    let fetches = objects.into_iter().map(move |(index, object)| async move { (index, source.fetch(object).await) });
    stream::iter(fetches).buffer_unordered(at_once.max(1))
}

/// Counters that a shared source keeps.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Progress>);

impl Counts {
    pub(crate) fn note(&self, note: impl FnOnce(&mut Progress)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn progress(&self) -> Progress {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn fetched(&self, outcome: &Result<Body, Missed>) {
        self.note(|progress| match outcome {
            Ok(body) => {
                progress.fetched += 1;
                progress.bytes += u64::try_from(body.len()).unwrap_or_default();
            }
            Err(_) => progress.missed += 1,
        });
    }

    pub(crate) fn handed_out(&self, objects: &[Object]) {
        self.note(|progress| {
            let newest = objects.iter().filter_map(|object| object.at).max();
            progress.newest = progress.newest.max(newest);
        });
    }
}

/// Finishes a batch whose regions advance by position: up to the first object that was missed. An
/// object that cannot be had or read by asking again is set aside, and the region goes on.
pub(crate) fn finish_by_position(source: &str, batch: Batch, outcomes: Vec<Outcome>, held: &mut Held) -> FinishedBatch {
    let mut settlement = FinishedBatch { gaps: batch.gaps, ..FinishedBatch::default() };
    let mut outcomes = outcomes.into_iter();
    let mut reached = std::collections::BTreeMap::new();
    for object in batch.objects {
        let outcome = outcomes.next().unwrap_or_else(|| Outcome::Missed(unsettled()));
        let owner = object.account_id.zip(object.region.clone());
        match outcome {
            Outcome::Missed(missed) if !missed.gone => {
                held.extend(owner.clone());
                settlement.gaps.push(gap_of(&object, missed));
                continue;
            }
            Outcome::Missed(missed) => {
                settlement.incomplete.extend(incomplete(&object));
                settlement.set_aside.push(given_up(&object, &missed.to_string()));
            }
            Outcome::Unreadable(reason) => {
                settlement.incomplete.extend(incomplete(&object));
                settlement.set_aside.push(given_up(&object, &reason));
            }
            Outcome::Read | Outcome::Known => {}
        }
        if let Some(position) = object.position
            && !held.contains(&(position.account_id, position.region.clone()))
        {
            reached.insert((position.account_id, position.region), position.text);
        }
    }
    settlement.cursors = reached
        .into_iter()
        .map(|((account_id, region), position)| Cursor {
            source: source.to_owned(),
            account_id,
            region,
            position,
            from_day: None,
        })
        .collect();
    settlement
}

fn incomplete(object: &Object) -> Option<IncompleteDay> {
    Some(IncompleteDay { account_id: object.account_id?, region: object.region.clone()?, day: object.day? })
}

/// Stretches that do not advance in this pass, since something of them was missed.
pub(crate) type Held = std::collections::BTreeSet<(AccountId, Region)>;

pub(crate) fn unsettled() -> Missed {
    Missed {
        action: "trail:Read".to_owned(),
        reason: GapReason::NotReached,
        detail: "it was handed out and not read".to_owned(),
        gone: false,
    }
}

/// An object that was not had, as a gap of its place.
#[must_use]
pub fn gap_of(object: &Object, missed: Missed) -> TrailGap {
    TrailGap {
        account_id: object.account_id,
        region: object.region.clone(),
        day: object.day,
        action: missed.action,
        reason: missed.reason,
        detail: missed.detail,
        location: object.location.clone(),
    }
}

pub(crate) fn given_up(object: &Object, reason: &str) -> SetAside {
    SetAside {
        id: object.location.clone(),
        identity: object.identity.clone(),
        reason: reason.to_owned(),
        excerpt: String::new(),
        received: 1,
    }
}
