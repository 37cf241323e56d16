//! A trail's bucket, read by listing it.
//!
//! An account's region has one prefix. Keys below it begin with the day, so one listing of it from the
//! cursor's day, less the days that late files may need, and one request for its oldest file is all
//! that a pass costs where nothing is new. Digests and insights lie under prefixes that are never
//! listed.
//!
//! What was listed to its end, and read, is complete from the first day listed; but not from before the
//! account's oldest file, as nobody knows whether a trail was there before, or what a lifecycle took.

use super::bucket::{Bucket, LIST_BUCKET};
use super::{
    Batch, Body, Content, Counts, Cursor, FinishedBatch, Held, LogFile, Missed, Object, Outcome, Position, Progress,
    Room, TrailGap, TrailSource, finish_by_position, unsettled,
};
use crate::call::{Pages, Refusal};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SubsecRound as _, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use futures::{FutureExt as _, Stream};
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_estate::{CompleteRange, EventScope};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Listings under way at the same time.
const LISTINGS: usize = 8;

/// CloudTrail delivers within about five minutes of a call, and seldom later than a quarter of an hour:
/// what happened less than this before a listing may still come.
const DELIVERY: TimeDelta = TimeDelta::hours(1);

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
    /// As stored: the last key of each account and region.
    positions: BTreeMap<(AccountId, Region), String>,
    held: Held,
    /// Behind a lock only so that the source can be shared: a stream cannot.
    pass: Mutex<Pass>,
    left: VecDeque<Left>,
    began: DateTime<Utc>,
    /// What the pass lists of each account.
    accounts: BTreeMap<AccountId, Account>,
}

/// What was listed and not handed out, each listing's end behind its objects.
enum Left {
    Object(Box<Object>),
    Ended(Ended),
}

/// The end of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    account_id: AccountId,
    region: Region,
    /// Whether nothing of it was refused.
    is_complete: bool,
    /// The first day that was listed.
    from: NaiveDate,
    /// When the oldest file was delivered that lies there, listed or not.
    oldest: Option<DateTime<Utc>>,
}

/// What a pass lists of an account.
#[derive(Default)]
struct Account {
    /// Listings that have not ended.
    under_way: usize,
    /// Whether each of its regions is listed.
    all_regions: bool,
    ended: Vec<Ended>,
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
    Ended(Ended),
}

/// What of a region's prefix is asked for next.
enum Step {
    Oldest,
    Page { oldest: Option<DateTime<Utc>>, token: Option<String>, pages: Pages },
    End { oldest: Option<DateTime<Utc>>, is_complete: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RegionPrefix {
    account_id: AccountId,
    region: Region,
    prefix: String,
}

impl Listing {
    pub(crate) fn new(id: &str, layout: Layout, room: Room, cursors: Vec<Cursor>) -> Self {
        let own = cursors.into_iter().filter(|cursor| cursor.source == id);
        let positions = own.map(|cursor| ((cursor.account_id, cursor.region), cursor.position)).collect();
        let shared = Arc::new(Shared { layout, room, counts: Counts::default() });
        Self {
            id: id.to_owned(),
            shared,
            positions,
            held: Held::new(),
            pass: Mutex::new(Pass::Before),
            left: VecDeque::new(),
            began: DateTime::UNIX_EPOCH,
            accounts: BTreeMap::new(),
        }
    }

    /// The first day of a region that is listed.
    fn first_day(&self, prefix: &(AccountId, Region), now: DateTime<Utc>) -> NaiveDate {
        match self.positions.get(prefix).and_then(|position| self.window(position)) {
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
        self.accounts.clear();
        self.left.clear();
        self.began = now;
        let (prefixes, missed) = self.shared.prefixes().await;
        let all_accounts = missed.iter().all(|gap| gap.account_id.is_some());
        for prefix in &prefixes {
            let refused = missed.iter().any(|gap| gap.account_id == Some(prefix.account_id));
            let account = self.accounts.entry(prefix.account_id).or_default();
            account.under_way += 1;
            account.all_regions = self.shared.layout.regions.is_empty() && all_accounts && !refused;
        }
        gaps.extend(missed);
        let listings: Vec<_> = prefixes
            .into_iter()
            .map(|prefix| {
                let from = self.first_day(&(prefix.account_id, prefix.region.clone()), now);
                self.shared.clone().listed(prefix, from).boxed()
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
            // An end goes with the last of its objects, however full the batch is.
            while batch.objects.len() < full || matches!(self.left.front(), Some(Left::Ended(_))) {
                match self.left.pop_front() {
                    Some(Left::Object(object)) => batch.objects.push(*object),
                    Some(Left::Ended(ended)) => batch.ended.push(ended),
                    None => break,
                }
            }
            if batch.objects.len() >= full {
                self.turn(Pass::Under(pass));
                break;
            }
            match pass.next().await {
                Some(Found::Objects(objects)) => {
                    self.left.extend(objects.into_iter().map(|object| Left::Object(Box::new(object))));
                }
                Some(Found::Gap(gap)) => batch.gaps.push(gap),
                Some(Found::Ended(ended)) => self.left.push_back(Left::Ended(ended)),
                None if batch.objects.is_empty() && batch.gaps.is_empty() && batch.ended.is_empty() => return None,
                None => {
                    self.turn(Pass::Ended);
                    break;
                }
            }
        }
        self.shared.counts.handed_out(&batch.objects);
        Some(batch)
    }

    /// What is complete once a listing has ended: all of its account, when that was the last one. A
    /// region that is not complete would not be missed among the others, so they tell of it.
    fn complete_ranges(&mut self, ended: Ended) -> Vec<CompleteRange> {
        let account_id = ended.account_id;
        let Some(account) = self.accounts.get_mut(&account_id) else { return Vec::new() };
        account.under_way = account.under_way.saturating_sub(1);
        account.ended.push(ended);
        if account.under_way > 0 {
            return Vec::new();
        }
        let Some(account) = self.accounts.remove(&account_id) else { return Vec::new() };
        let Some(oldest) = account.ended.iter().filter_map(|ended| ended.oldest).min() else { return Vec::new() };
        // A region may lie under several prefixes: all of them make it whole.
        let mut regions: BTreeMap<Region, Option<NaiveDate>> = BTreeMap::new();
        for Ended { region, is_complete, from, .. } in account.ended {
            let is_complete = is_complete && !self.held.contains(&(account_id, region.clone()));
            let listed = regions.entry(region).or_insert(Some(NaiveDate::MIN));
            *listed = listed.filter(|_| is_complete).map(|known| known.max(from));
        }
        let all_regions = account.all_regions && regions.values().all(Option::is_some);
        let to = (self.began - DELIVERY).trunc_subsecs(0);
        let range = regions.into_iter().filter_map(|(region, from)| {
            let from = from?.and_time(NaiveTime::MIN).and_utc().max(oldest);
            let event_scope = EventScope::Bucket(self.shared.layout.bucket.name.clone());
            Some(CompleteRange { source: self.id.clone(), account_id, region, from, to, event_scope, all_regions })
        });
        range.filter(|range| !range.is_empty()).collect()
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

    fn finish_batch(&mut self, mut batch: Batch, outcomes: Vec<Outcome>) -> FinishedBatch {
        let ended = std::mem::take(&mut batch.ended);
        let mut settlement = finish_by_position(&self.id, batch, outcomes, &mut self.held);
        settlement.complete_ranges = ended.into_iter().flat_map(|ended| self.complete_ranges(ended)).collect();
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

    fn acknowledge(&mut self, settlement: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>> {
        for Cursor { account_id, region, position, .. } in settlement.cursors {
            self.positions.insert((account_id, region), position);
        }
        async { Vec::new() }.boxed()
    }

    fn progress(&self) -> Progress {
        self.shared.counts.progress()
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
            day: None,
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
        let (mut pages, mut token, mut found) = (Pages::new(&LIST_BUCKET), None, Vec::new());
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
    async fn prefixes(&self) -> (Vec<RegionPrefix>, Vec<TrailGap>) {
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
        let mut prefixes = Vec::new();
        for (account_id, folders, prefix) in listed {
            match folders {
                Err(refusal) => gaps.push(self.gap(&refusal, &prefix, Some(account_id), None)),
                Ok(folders) => prefixes.extend(folders.into_iter().filter_map(|folder| {
                    let region: Region = folder.parse().ok()?;
                    let wanted = self.layout.regions.is_empty() || self.layout.regions.contains(&region);
                    wanted.then(|| RegionPrefix { account_id, region, prefix: format!("{prefix}{folder}/") })
                })),
            }
        }
        if prefixes.is_empty() && gaps.is_empty() {
            let detail = "no trail's files are under this prefix".to_owned();
            let nothing = Refusal { action: LIST_BUCKET.action, reason: GapReason::NotProvided, detail, code: None };
            gaps.push(self.gap(&nothing, &root, None, None));
        }
        (prefixes, gaps)
    }

    /// When the oldest file of a region was delivered, where that can be told of it.
    async fn oldest(&self, prefix: &RegionPrefix) -> Result<Option<DateTime<Utc>>, Refusal> {
        let page = self.layout.bucket.list(&prefix.prefix, false, None, None, Some(1)).await?;
        let file = page.contents().first().and_then(|first| LogFile::of_key(first.key()?).ok());
        Ok(file.map(|file| file.at))
    }

    /// The files of a region from a day on, page by page, and the end of them.
    fn listed(self: Arc<Self>, prefix: RegionPrefix, from: NaiveDate) -> impl Stream<Item = Found> + Send + 'static {
        // No key is just this; every key of the day lies behind it.
        let after = format!("{}{}", prefix.prefix, from.format("%Y/%m/%d/"));
        stream::unfold(Some(Step::Oldest), move |step| {
            let (shared, prefix, after) = (self.clone(), prefix.clone(), after.clone());
            async move {
                let refused = |refusal: &Refusal| {
                    let region = Some(prefix.region.clone());
                    let gap = shared.gap(refusal, &prefix.prefix, Some(prefix.account_id), region);
                    (Found::Gap(gap), Some(Step::End { oldest: None, is_complete: false }))
                };
                Some(match step? {
                    Step::Oldest => match shared.oldest(&prefix).await {
                        Ok(oldest) => {
                            let pages = Pages::long(&LIST_BUCKET);
                            (Found::Objects(Vec::new()), Some(Step::Page { oldest, token: None, pages }))
                        }
                        Err(refusal) => refused(&refusal),
                    },
                    Step::Page { oldest, token, mut pages } => {
                        let page = shared.layout.bucket.list(&prefix.prefix, false, Some(&after), token, None).await;
                        let read = page.and_then(|page| {
                            let objects = shared.files(&prefix, page.contents());
                            Ok((objects, pages.next(page.next_continuation_token)?))
                        });
                        match read {
                            Ok((objects, None)) => {
                                (Found::Objects(objects), Some(Step::End { oldest, is_complete: true }))
                            }
                            Ok((objects, token)) => {
                                (Found::Objects(objects), Some(Step::Page { oldest, token, pages }))
                            }
                            Err(refusal) => refused(&refusal),
                        }
                    }
                    Step::End { oldest, is_complete } => {
                        let RegionPrefix { account_id, region, .. } = prefix;
                        (Found::Ended(Ended { account_id, region, is_complete, from, oldest }), None)
                    }
                })
            }
        })
    }

    fn files(&self, prefix: &RegionPrefix, listed: &[aws_sdk_s3::types::Object]) -> Vec<Object> {
        let count = |objects: usize| u64::try_from(objects).unwrap_or_default();
        let files: Vec<Object> = listed
            .iter()
            .filter_map(|listed| {
                let key = listed.key()?;
                let file = LogFile::of_key(key).ok()?;
                let mut object = log_object(&self.layout.bucket.name, key, file);
                object.account_id = Some(prefix.account_id);
                object.region = Some(prefix.region.clone());
                object.etag = listed.e_tag().map(|tag| tag.trim_matches('"').to_owned());
                object.size = listed.size().and_then(|size| u64::try_from(size).ok());
                object.position = Some(Position {
                    account_id: prefix.account_id,
                    region: prefix.region.clone(),
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
