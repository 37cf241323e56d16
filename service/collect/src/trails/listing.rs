//! A trail's bucket, read by listing it.
//!
//! A stretch is an account's region. Keys begin with the day, so one listing of a stretch from the
//! cursor's day, less the days that late files may need, is all that a pass costs where nothing is
//! new. Digests and insights lie under prefixes that are never listed.

use super::bucket::{Bucket, LIST_BUCKET};
use super::{
    Batch, Body, Content, Counts, Cursor, Held, LogFile, Missed, Object, Outcome, Position, Progress, Room, Settlement,
    TrailGap, TrailSource, settle_by_position, unsettled,
};
use crate::call::{Pages, Refusal};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use futures::{FutureExt as _, Stream};
use rolecall_audit::coverage::GapReason;
use rolecall_audit::id::Region;
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Listings under way at the same time.
const LISTINGS: usize = 8;

/// What is listed, and how.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) bucket: Bucket,
    /// What comes before `AWSLogs/`; empty, or with a `/` at its end.
    pub(crate) prefix: String,
    /// Regions whose events are wanted; empty: all.
    pub(crate) regions: BTreeSet<Region>,
    pub(crate) lookback: TimeDelta,
    pub(crate) late_days: u16,
}

pub(crate) struct Listing {
    id: String,
    shared: Arc<Shared>,
    /// As stored: each stretch's last key.
    positions: BTreeMap<(AccountId, Region), String>,
    held: Held,
    /// Behind a lock only so that the source can be shared: a stream cannot.
    pass: Mutex<Pass>,
    left: VecDeque<Object>,
}

enum Pass {
    Before,
    Under(BoxStream<'static, Found>),
    Ended,
}

struct Shared {
    layout: Layout,
    room: Room,
    counts: Counts,
}

enum Found {
    Objects(Vec<Object>),
    Gap(TrailGap),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    account_id: AccountId,
    region: Region,
    prefix: String,
}

impl Listing {
    pub(crate) fn new(id: &str, layout: Layout, room: Room, cursors: Vec<Cursor>) -> Self {
        let own = cursors.into_iter().filter(|cursor| cursor.source == id);
        let positions = own.map(|cursor| ((cursor.account_id, cursor.region), cursor.position)).collect();
        let shared = Arc::new(Shared { layout, room, counts: Counts::default() });
        let (held, pass, left) = (Held::new(), Mutex::new(Pass::Before), VecDeque::new());
        Self { id: id.to_owned(), shared, positions, held, pass, left }
    }

    /// The first day of a stretch that is listed.
    fn first_day(&self, stretch: &(AccountId, Region), now: DateTime<Utc>) -> NaiveDate {
        match self.positions.get(stretch).and_then(|position| self.window(position)) {
            Some(day) => day,
            None => (now - self.shared.layout.lookback).date_naive(),
        }
    }

    /// The first day that is listed anew once a key was reached.
    fn window(&self, position: &str) -> Option<NaiveDate> {
        let day = LogFile::of_key(position).ok()?.day;
        day.checked_sub_days(Days::new(u64::from(self.shared.layout.late_days)))
    }

    async fn begin(&mut self, now: DateTime<Utc>, gaps: &mut Vec<TrailGap>) -> BoxStream<'static, Found> {
        self.held.clear();
        let (stretches, missed) = self.shared.stretches().await;
        gaps.extend(missed);
        let listings: Vec<_> = stretches
            .into_iter()
            .map(|stretch| {
                let from = self.first_day(&(stretch.account_id, stretch.region.clone()), now);
                self.shared.clone().listed(stretch, from).boxed()
            })
            .collect();
        stream::iter(listings).flatten_unordered(LISTINGS).boxed()
    }

    /// Puts the pass into a state, and gives that before.
    fn turn(&mut self, to: Pass) -> Pass {
        std::mem::replace(self.pass.get_mut().unwrap_or_else(PoisonError::into_inner), to)
    }

    async fn batch(&mut self, now: DateTime<Utc>) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut pass = match self.turn(Pass::Before) {
            Pass::Ended => return None,
            Pass::Under(pass) => pass,
            Pass::Before => self.begin(now, &mut batch.gaps).await,
        };
        let full = self.shared.room.limits.batch_objects.max(1);
        loop {
            let take = full.saturating_sub(batch.objects.len()).min(self.left.len());
            batch.objects.extend(self.left.drain(..take));
            if batch.objects.len() >= full {
                self.turn(Pass::Under(pass));
                break;
            }
            match pass.next().await {
                Some(Found::Objects(objects)) => self.left.extend(objects),
                Some(Found::Gap(gap)) => batch.gaps.push(gap),
                None if batch.objects.is_empty() && batch.gaps.is_empty() => return None,
                None => {
                    self.turn(Pass::Ended);
                    break;
                }
            }
        }
        self.shared.counts.handed_out(&batch.objects);
        Some(batch)
    }
}

impl TrailSource for Listing {
    fn id(&self) -> &str {
        &self.id
    }

    fn next(&mut self, now: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>> {
        self.batch(now).boxed()
    }

    fn fetch<'a>(&'a self, object: &'a Object) -> BoxFuture<'a, Result<Body, Missed>> {
        let Shared { layout, room, counts } = &*self.shared;
        fetch(&layout.bucket, room, counts, object).boxed()
    }

    fn settle(&mut self, batch: Batch, outcomes: Vec<Outcome>) -> Settlement {
        let mut settlement = settle_by_position(&self.id, batch, outcomes, &mut self.held);
        settlement.cursors.retain_mut(|cursor| {
            cursor.from_day = self.window(&cursor.position);
            // Late files lie before what was reached long ago.
            let stored = self.positions.get(&(cursor.account_id, cursor.region.clone()));
            stored.is_none_or(|stored| *stored < cursor.position)
        });
        let given_up = u64::try_from(settlement.set_aside.len()).unwrap_or_default();
        self.shared.counts.note(|progress| progress.set_aside += given_up);
        settlement
    }

    fn acknowledge(&mut self, settlement: Settlement) -> BoxFuture<'_, Vec<TrailGap>> {
        for Cursor { account_id, region, position, .. } in settlement.cursors {
            self.positions.insert((account_id, region), position);
        }
        async { Vec::new() }.boxed()
    }

    fn progress(&self) -> Progress {
        self.shared.counts.told()
    }
}

/// Fetches a file of a bucket within the room.
pub(crate) async fn fetch(bucket: &Bucket, room: &Room, counts: &Counts, object: &Object) -> Result<Body, Missed> {
    let Content::Key(key) = &object.content else { return Err(unsettled()) };
    let too_large = object.size.and_then(|size| room.too_large(super::bucket::GET_OBJECT.action, size));
    let outcome = match too_large {
        Some(missed) => Err(missed),
        None => room.within(object.size, bucket.bytes(key, object.size, room)).await,
    };
    counts.fetched(&outcome);
    outcome
}

impl Shared {
    fn gap(&self, refusal: &Refusal, prefix: &str, account_id: Option<AccountId>, region: Option<Region>) -> TrailGap {
        TrailGap {
            account_id,
            region,
            action: refusal.action.to_owned(),
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            location: format!("s3://{}/{prefix}", self.layout.bucket.name),
        }
    }

    /// The folders under a prefix: their names, without the prefix and the `/`.
    async fn folders(&self, prefix: &str) -> Result<Vec<String>, Refusal> {
        let (mut pages, mut token, mut found) = (Pages::of(&LIST_BUCKET), None, Vec::new());
        loop {
            let page = self.layout.bucket.list(prefix, true, None, token, None).await?;
            let names = page.common_prefixes().iter().filter_map(|folder| folder.prefix()?.strip_prefix(prefix));
            found.extend(names.map(|name| name.trim_end_matches('/').to_owned()));
            token = pages.next(page.next_continuation_token)?;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Every account's regions, those of organisations too.
    async fn stretches(&self) -> (Vec<Stretch>, Vec<TrailGap>) {
        let (mut accounts, mut gaps) = (Vec::new(), Vec::new());
        let root = format!("{}AWSLogs/", self.layout.prefix);
        let mut left = vec![root.clone()];
        while let Some(prefix) = left.pop() {
            match self.folders(&prefix).await {
                Err(refusal) => gaps.push(self.gap(&refusal, &prefix, None, None)),
                Ok(folders) => {
                    for folder in folders {
                        if let Ok(account_id) = folder.parse::<AccountId>() {
                            accounts.push((account_id, format!("{prefix}{folder}/CloudTrail/")));
                        } else if prefix == root && folder.starts_with("o-") {
                            left.push(format!("{prefix}{folder}/"));
                        }
                    }
                }
            }
        }
        let listed: Vec<_> = stream::iter(accounts)
            .map(|(account_id, prefix)| async move { (account_id, self.folders(&prefix).await, prefix) })
            .buffered(LISTINGS)
            .collect()
            .await;
        let mut stretches = Vec::new();
        for (account_id, folders, prefix) in listed {
            match folders {
                Err(refusal) => gaps.push(self.gap(&refusal, &prefix, Some(account_id), None)),
                Ok(folders) => stretches.extend(folders.into_iter().filter_map(|folder| {
                    let region: Region = folder.parse().ok()?;
                    let wanted = self.layout.regions.is_empty() || self.layout.regions.contains(&region);
                    wanted.then(|| Stretch { account_id, region, prefix: format!("{prefix}{folder}/") })
                })),
            }
        }
        if stretches.is_empty() && gaps.is_empty() {
            let detail = "no trail's files are under this prefix".to_owned();
            let nothing = Refusal { action: LIST_BUCKET.action, reason: GapReason::NotProvided, detail, code: None };
            gaps.push(self.gap(&nothing, &root, None, None));
        }
        (stretches, gaps)
    }

    /// A stretch's files from a day on, page by page.
    fn listed(self: Arc<Self>, stretch: Stretch, from: NaiveDate) -> impl Stream<Item = Found> + Send + 'static {
        // No key is just this; every key of the day lies behind it.
        let after = format!("{}{}", stretch.prefix, from.format("%Y/%m/%d/"));
        let begin = Some((None, Pages::of(&LIST_BUCKET)));
        stream::unfold(begin, move |state| {
            let (shared, stretch, after) = (self.clone(), stretch.clone(), after.clone());
            async move {
                let (token, mut pages) = state?;
                let page = shared.layout.bucket.list(&stretch.prefix, false, Some(&after), token, None).await;
                let read = page.and_then(|page| {
                    let objects = shared.files(&stretch, page.contents());
                    Ok((objects, pages.next(page.next_continuation_token)?))
                });
                Some(match read {
                    Ok((objects, None)) => (Found::Objects(objects), None),
                    Ok((objects, token)) => (Found::Objects(objects), Some((token, pages))),
                    Err(refusal) => {
                        let region = Some(stretch.region.clone());
                        let gap = shared.gap(&refusal, &stretch.prefix, Some(stretch.account_id), region);
                        (Found::Gap(gap), None)
                    }
                })
            }
        })
    }

    fn files(&self, stretch: &Stretch, listed: &[aws_sdk_s3::types::Object]) -> Vec<Object> {
        let count = |objects: usize| u64::try_from(objects).unwrap_or_default();
        let files: Vec<Object> = listed
            .iter()
            .filter_map(|listed| {
                let key = listed.key()?;
                let file = LogFile::of_key(key).ok()?;
                let mut object = log_object(&self.layout.bucket.name, key, file);
                object.account_id = Some(stretch.account_id);
                object.region = Some(stretch.region.clone());
                object.etag = listed.e_tag().map(|tag| tag.trim_matches('"').to_owned());
                object.size = listed.size().and_then(|size| u64::try_from(size).ok());
                object.position = Some(Position {
                    account_id: stretch.account_id,
                    region: stretch.region.clone(),
                    text: key.to_owned(),
                });
                Some(object)
            })
            .collect();
        self.counts.note(|progress| {
            progress.listed += count(listed.len());
            progress.ignored += count(listed.len() - files.len());
        });
        files
    }
}

/// A log file of a bucket.
pub(crate) fn log_object(bucket: &str, key: &str, file: LogFile) -> Object {
    Object {
        identity: Some(file.name),
        location: format!("s3://{bucket}/{key}"),
        account_id: Some(file.account_id),
        region: Some(file.region),
        day: Some(file.day),
        at: Some(file.at),
        etag: None,
        size: None,
        content: Content::Key(key.to_owned()),
        position: None,
    }
}
