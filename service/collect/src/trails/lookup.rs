//! `LookupEvents`, for those who have no trail in reach.
//!
//! A lane is an account's region; AWS allows it two requests a second. A lane reads from its cursor
//! to now, oldest window first, so that what was read stays read however long the catching up takes.
//! Answers come newest first: a window counts once its last page is there. The cursor stays behind
//! now by an overlap, since events come late; what comes twice is told apart by its event.

use super::{
    Batch, Body, Content, Counts, Cursor, FinishedBatch, Held, Missed, Object, Outcome, Position, Progress, Room,
    TrailGap, TrailSource, finish_by_position, unsettled,
};
use crate::call::{Caller, Fresh, Pages, Refusal, listed};
use crate::trail::LOOKUP_EVENTS;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::types::{Event, LookupAttribute, LookupAttributeKey};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use futures::{FutureExt as _, Stream};
use rolecall_cloudtrail::change::names_in;
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_estate::{CompleteRange, EventScope};
use rolecall_iam::AccountId;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Which events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Events {
    /// Those that begin sessions.
    #[default]
    Sessions,
    /// Those that begin sessions, and those of calls that change what is watched, each asked for by its name:
    /// a request or more for each name and window. IAM's and Organizations' are asked for in the region of the
    /// partition that records them, too.
    Changes,
    /// All management events: what sessions did, too. A busy account has more than can be read.
    All,
}

impl Events {
    /// The names to ask for in a lane, in turn; `None` for all.
    fn names(self, lane: &Lane) -> Vec<Option<&'static str>> {
        let sessions = SESSIONS.into_iter().filter(|_| lane.has_sessions).map(Some);
        match self {
            Self::Sessions => sessions.collect(),
            Self::Changes => sessions.chain(names_in(&lane.region).map(Some)).collect(),
            Self::All => vec![None],
        }
    }

    fn scope(self) -> EventScope {
        match self {
            // Nobody rests on it that no change is missing.
            Self::Sessions | Self::Changes => EventScope::Sessions,
            Self::All => EventScope::Management,
        }
    }
}

/// The events that begin sessions.
const SESSIONS: [&str; 3] = ["AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleForPodIdentity"];

/// Pauses after a page that AWS throttled to the end of the SDK's retries.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16)];

/// The shortest and the longest window.
const SHORTEST: TimeDelta = TimeDelta::minutes(5);
const LONGEST: TimeDelta = TimeDelta::days(7);
/// With more pages than this, the next window is shorter; with fewer than [`FEW_PAGES`], longer.
const MANY_PAGES: usize = 30;
const FEW_PAGES: usize = 6;

/// Pages of a batch: half a minute of one lane.
const PAGES: usize = 60;

/// An account's region, with what asks for it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) account_id: AccountId,
    pub(crate) region: Region,
    /// Whether sessions are looked for, or changes alone.
    pub(crate) has_sessions: bool,
    /// Or why the account cannot be entered.
    pub(crate) client: Result<Client, Refusal>,
}

/// How lanes are read.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) events: Events,
    pub(crate) lookback: TimeDelta,
    pub(crate) overlap: TimeDelta,
    /// Between two requests of a lane.
    pub(crate) pace: Duration,
    pub(crate) caller: Arc<Caller>,
}

pub(crate) struct Lookup {
    id: String,
    lanes: Vec<Arc<Lane>>,
    manner: Arc<Manner>,
    room: Room,
    counts: Arc<Counts>,
    positions: BTreeMap<(AccountId, Region), DateTime<Utc>>,
    /// From when on each lane is read completely in this pass, as long as it is.
    whole_from: BTreeMap<(AccountId, Region), DateTime<Utc>>,
    held: Held,
    /// Behind a lock only so that the source can be shared: a stream cannot.
    pass: Mutex<Pass>,
    left: VecDeque<Found>,
}

enum Pass {
    Before,
    Under(BoxStream<'static, Found>),
    Ended,
}

enum Found {
    Page(Box<Object>),
    Gap(TrailGap),
}

impl Lookup {
    pub(crate) fn new(id: &str, lanes: Vec<Lane>, manner: Manner, room: Room, cursors: Vec<Cursor>) -> Self {
        let own = cursors.into_iter().filter(|cursor| cursor.source == id);
        let at = |position: &str| Some(DateTime::parse_from_rfc3339(position).ok()?.to_utc());
        let positions =
            own.filter_map(|cursor| Some(((cursor.account_id, cursor.region), at(&cursor.position)?))).collect();
        Self {
            id: id.to_owned(),
            lanes: lanes.into_iter().map(Arc::new).collect(),
            manner: Arc::new(manner),
            room,
            counts: Arc::default(),
            positions,
            whole_from: BTreeMap::new(),
            held: Held::new(),
            pass: Mutex::new(Pass::Before),
            left: VecDeque::new(),
        }
    }

    fn begin(&mut self, now: DateTime<Utc>) -> BoxStream<'static, Found> {
        self.held.clear();
        self.left.clear();
        // CloudTrail keeps 90 days, and what it does not keep it leaves out silently.
        let kept = now - TimeDelta::days(90);
        let whole_from = &mut self.whole_from;
        let lanes: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| {
                let owner = (lane.account_id, lane.region.clone());
                let from = self.positions.get(&owner).copied().unwrap_or(now - self.manner.lookback);
                // Of a lane that is asked for changes alone, nothing is complete.
                if lane.has_sessions || self.manner.events == Events::All {
                    whole_from.insert(owner, from.max(kept));
                }
                let lost = (from < kept).then(|| {
                    let reason = "CloudTrail keeps 90 days, and the reading stopped longer ago";
                    Found::Gap(gap(lane, &Refusal::not_reached(&LOOKUP_EVENTS, reason), (from, kept)))
                });
                let read = read(lane.clone(), self.manner.clone(), self.counts.clone(), from.max(kept), now);
                stream::iter(lost).chain(read).boxed()
            })
            .collect();
        // All at once: each waits for its own pace most of the time.
        stream::iter(lanes).flatten_unordered(None).boxed()
    }

    /// Puts the pass into a state, and gives that before.
    fn turn(&mut self, to: Pass) -> Pass {
        std::mem::replace(self.pass.get_mut().unwrap_or_else(PoisonError::into_inner), to)
    }

    async fn batch(&mut self, now: DateTime<Utc>) -> Option<Batch> {
        let mut pass = match self.turn(Pass::Before) {
            Pass::Ended => return None,
            Pass::Under(pass) => pass,
            Pass::Before => self.begin(now),
        };
        let mut batch = Batch::default();
        let full = PAGES.min(self.room.limits.batch_objects.max(1));
        while batch.objects.len() < full {
            match self.left.pop_front() {
                Some(Found::Page(page)) => batch.objects.push(*page),
                Some(Found::Gap(gap)) => batch.gaps.push(gap),
                None => match pass.next().await {
                    Some(found) => self.left.push_back(found),
                    None if batch.objects.is_empty() && batch.gaps.is_empty() => return None,
                    None => {
                        self.turn(Pass::Ended);
                        return Some(batch);
                    }
                },
            }
        }
        self.turn(Pass::Under(pass));
        Some(batch)
    }
}

impl TrailSource for Lookup {
    fn id(&self) -> &str {
        &self.id
    }

    fn next(&mut self, now: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>> {
        self.batch(now).boxed()
    }

    fn fetch<'a>(&'a self, object: &'a Object) -> BoxFuture<'a, Result<Body, Missed>> {
        async move {
            let Content::Here(bytes) = &object.content else { return Err(unsettled()) };
            self.room.within(object.size, async { Ok(bytes.to_vec()) }).await
        }
        .boxed()
    }

    fn finish_batch(&mut self, batch: Batch, outcomes: Vec<Outcome>) -> FinishedBatch {
        for (object, outcome) in batch.objects.iter().zip(&outcomes) {
            // An answer that is given up tells of a moment that nobody knows: the lane is complete again
            // from where the next pass begins.
            let owner = object.account_id.zip(object.region.clone());
            if let (Outcome::Missed(Missed { gone: true, .. }) | Outcome::Unreadable(_), Some(owner)) = (outcome, owner)
            {
                self.whole_from.remove(&owner);
            }
        }
        let mut settlement = finish_by_position(&self.id, batch, outcomes, &mut self.held);
        settlement.cursors.retain(|cursor| {
            let stored = self.positions.get(&(cursor.account_id, cursor.region.clone()));
            let reached = DateTime::parse_from_rfc3339(&cursor.position).ok();
            stored.is_none_or(|stored| reached.is_some_and(|reached| *stored < reached))
        });
        for cursor in &settlement.cursors {
            let owner = (cursor.account_id, cursor.region.clone());
            if let (Some(from), Ok(to)) = (self.whole_from.get(&owner), DateTime::parse_from_rfc3339(&cursor.position))
            {
                settlement.complete_ranges.push(CompleteRange {
                    source: self.id.clone(),
                    account_id: cursor.account_id,
                    region: cursor.region.clone(),
                    from: *from,
                    to: to.to_utc(),
                    event_scope: self.manner.events.scope(),
                    all_regions: false,
                });
            }
        }
        settlement
    }

    fn acknowledge(&mut self, settlement: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>> {
        for Cursor { account_id, region, position, .. } in settlement.cursors {
            if let Ok(reached) = DateTime::parse_from_rfc3339(&position) {
                self.positions.insert((account_id, region), reached.to_utc());
            }
        }
        let slowest = self.positions.values().min().copied();
        if self.positions.len() == self.lanes.len() {
            self.counts.note(|progress| progress.newest = progress.newest.max(slowest));
        }
        async { Vec::new() }.boxed()
    }

    fn progress(&self) -> Progress {
        self.counts.progress()
    }
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn gap(lane: &Lane, refusal: &Refusal, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> TrailGap {
    TrailGap {
        day: None,
        account_id: Some(lane.account_id),
        region: Some(lane.region.clone()),
        action: refusal.action.to_owned(),
        reason: refusal.reason,
        detail: refusal.detail.clone(),
        location: format!("events from {} to {}", rfc3339(from), rfc3339(to)),
    }
}

/// What a lane reads next.
struct Step {
    /// The window.
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    width: TimeDelta,
    /// The name's place, and the page of it.
    name: usize,
    token: Option<String>,
    seen: Pages,
    fresh: Fresh,
    pages: usize,
}

impl Step {
    fn window(from: DateTime<Utc>, width: TimeDelta, now: DateTime<Utc>) -> Self {
        let to = from.checked_add_signed(width).map_or(now, |to| to.min(now));
        let (seen, fresh) = (Pages::long(&LOOKUP_EVENTS), Fresh::default());
        Self { from, to, width, name: 0, token: None, seen, fresh, pages: 0 }
    }

    /// What follows the window, which was asked for so many names; `None` at now.
    fn after(&self, now: DateTime<Utc>, names: usize) -> Option<Self> {
        // Each name has a page, however little there is: that says nothing of the window.
        let width = match self.pages.saturating_sub(names.saturating_sub(SESSIONS.len())) {
            pages if pages > MANY_PAGES => self.width / 4,
            pages if pages < FEW_PAGES => self.width * 4,
            _ => self.width,
        };
        (self.to < now).then(|| Self::window(self.to, width.clamp(SHORTEST, LONGEST), now))
    }
}

/// Reads a lane from a time to now, one page after the other.
fn read(
    lane: Arc<Lane>,
    manner: Arc<Manner>,
    counts: Arc<Counts>,
    from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> impl Stream<Item = Found> + Send + 'static {
    let begin = (from < now).then(|| Step::window(from, TimeDelta::days(1), now));
    let turn = Arc::new(Mutex::new(Instant::now()));
    stream::unfold(begin, move |step| {
        let (lane, manner, counts, turn) = (lane.clone(), manner.clone(), counts.clone(), turn.clone());
        async move {
            let mut step = step?;
            let page = match &lane.client {
                Ok(client) => {
                    let name = manner.events.names(&lane).get(step.name).copied().flatten();
                    page(client, &manner, &step, name, &turn).await
                }
                Err(refusal) => Err(refusal.clone()),
            };
            let followed = page.and_then(|(events, token)| {
                step.fresh.page(&LOOKUP_EVENTS, events.iter().filter_map(|event| event.event_id()))?;
                Ok((events, step.seen.next(token)?))
            });
            let (events, token) = match followed {
                Ok(page) => page,
                Err(refusal) => {
                    counts.note(|progress| progress.missed += 1);
                    return Some((Found::Gap(gap(&lane, &refusal, (step.from, now))), None));
                }
            };
            step.pages += 1;
            step.token = token;
            let mut object = answer(&lane, &step, &events);
            counts.note(|progress| {
                progress.listed += 1;
                progress.fetched += 1;
                progress.bytes += object.size.unwrap_or_default();
            });
            if step.token.is_some() {
                return Some((Found::Page(Box::new(object)), Some(step)));
            }
            step.name += 1;
            step.seen = Pages::long(&LOOKUP_EVENTS);
            step.fresh = Fresh::default();
            let names = manner.events.names(&lane).len();
            if step.name < names {
                return Some((Found::Page(Box::new(object)), Some(step)));
            }
            let reached = step.to.min(now - manner.overlap);
            if reached > from {
                let (account_id, region) = (lane.account_id, lane.region.clone());
                object.position = Some(Position { account_id, region, text: rfc3339(reached) });
            }
            Some((Found::Page(Box::new(object)), step.after(now, names)))
        }
    })
}

/// One page, at the lane's pace. Throttled, it is asked for again: nobody gains by giving up a
/// window that was read half.
async fn page(
    client: &Client,
    manner: &Manner,
    step: &Step,
    name: Option<&'static str>,
    turn: &Mutex<Instant>,
) -> Result<(Vec<Event>, Option<String>), Refusal> {
    let attribute = match name {
        None => None,
        Some(name) => Some(
            LookupAttribute::builder()
                .attribute_key(LookupAttributeKey::EventName)
                .attribute_value(name)
                .build()
                .map_err(|error| Refusal::malformed(&LOOKUP_EVENTS, error.to_string()))?,
        ),
    };
    let time = |at: DateTime<Utc>| aws_sdk_cloudtrail::primitives::DateTime::from_secs(at.timestamp());
    let mut pauses = PAUSES.iter();
    loop {
        let at = {
            let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*turn).max(Instant::now());
            *turn = at + manner.pace;
            at
        };
        sleep_until(at).await;
        let request = client
            .lookup_events()
            .set_lookup_attributes(attribute.clone().map(|attribute| vec![attribute]))
            .start_time(time(step.from))
            .end_time(time(step.to))
            .max_results(50)
            .set_next_token(step.token.clone());
        match manner.caller.call(&LOOKUP_EVENTS, request.send()).await {
            Ok(page) => return Ok((listed(&LOOKUP_EVENTS, page.events)?, page.next_token)),
            Err(refusal) if refusal.reason == GapReason::Throttled => match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(refusal),
            },
            Err(refusal) => return Err(refusal),
        }
    }
}

/// A page in the form in which the AWS CLI prints it, as far as a reader of trails needs it.
fn answer(lane: &Lane, step: &Step, events: &[Event]) -> Object {
    let events: Vec<_> = events
        .iter()
        .map(|event| json!({"EventId": event.event_id, "CloudTrailEvent": event.cloud_trail_event.as_deref().unwrap_or_default()}))
        .collect();
    let text = json!({ "Events": events }).to_string();
    let (account, region) = (lane.account_id, lane.region.clone());
    Object {
        identity: None,
        location: format!(
            "LookupEvents of {account} in {region}, {} to {}, page {}",
            rfc3339(step.from),
            rfc3339(step.to),
            step.pages
        ),
        account_id: Some(account),
        region: Some(region),
        day: None,
        at: None,
        etag: None,
        size: u64::try_from(text.len()).ok(),
        content: Content::Here(text.into_bytes().into()),
        position: None,
    }
}
