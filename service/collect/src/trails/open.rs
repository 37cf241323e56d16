//! Opening a source by its configuration, and trying what it will call.
//!
//! Refuses to know where configuration and cursors are kept.

use super::bucket::{Bucket, DECRYPT, GET_OBJECT, LIST_BUCKET};
use super::listing::{Layout, Listing};
use super::lookup::{Events, Lane, Lookup, Manner};
use super::queue::{ATTRIBUTES, DELETE, EXTEND, Queue, RECEIVE, Subscription};
use super::{
    Batch, Body, Cursor, FinishedBatch, Limits, Missed, Object, Outcome, Progress, Room, TrailGap, TrailSource,
    unsettled,
};
use crate::account_scan::client;
use crate::call::{Caller, Deadline, PermissionUse, Refusal};
use crate::doctor::{Answer, Probe, answer};
use crate::entry::{CannotStart, HubSession, partition, sdk_region};
use crate::plan::{Accounts, Plan, Target};
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rolecall_cloudtrail::change::global_region;
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, RoleArn};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A source of trail files in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailConfig {
    /// Its name. Cursors go by it.
    pub id: String,
    /// Where the files are.
    pub kind: TrailKind,
    /// Bounds of what it holds at once.
    pub limits: Limits,
}

/// Where trail files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailKind {
    /// In a bucket that is listed.
    Bucket(InBucket),
    /// In a bucket whose new objects a queue tells of.
    Queue(ByQueue),
    /// In CloudTrail's own history.
    Lookup(LookupConfig),
}

/// The role by which a trail is read, where the hub's own principal may not.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The role.
    pub role_arn: RoleArn,
    /// The external id to send.
    pub external_id: Option<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let external_id = self.external_id.as_ref().map(|_| "…");
        f.debug_struct("Entry").field("role_arn", &self.role_arn).field("external_id", &external_id).finish()
    }
}

/// A bucket that is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InBucket {
    /// Its name.
    pub bucket: String,
    /// What comes before `AWSLogs/`; may be empty.
    pub prefix: String,
    /// Its region; found out where it is not given or another.
    pub region: Option<Region>,
    /// By which role it is read.
    pub entry: Option<Entry>,
    /// Regions whose events are read; empty: all.
    pub regions: BTreeSet<Region>,
    /// How far back the first reading begins.
    pub lookback: TimeDelta,
    /// For how many days behind the newest file read another is still looked for.
    pub late_days: u16,
}

/// A queue of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByQueue {
    /// The queue's URL.
    pub url: String,
    /// The trail's bucket. Messages that name another are set aside.
    pub bucket: String,
    /// The bucket's and the queue's region, where the URL does not say it.
    pub region: Option<Region>,
    /// By which role both are read.
    pub entry: Option<Entry>,
    /// How long a call waits for a message, up to 20 s.
    pub wait: Duration,
    /// For how long a message in work is kept from others at a time, from 1 s.
    pub visibility: Duration,
    /// After how many deliveries a message is set aside whose file cannot be read.
    pub max_receives: u32,
}

/// `LookupEvents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupConfig {
    /// Where. Accounts are entered as for a scan.
    pub places: BTreeSet<(AccountId, Region)>,
    /// Which events.
    pub events: Events,
    /// How far back the first reading begins; CloudTrail keeps 90 days.
    pub lookback: TimeDelta,
    /// How much of what was read is read again, since events come late.
    pub overlap: TimeDelta,
}

/// The actions that a source calls.
#[must_use]
pub fn actions_of(kind: &TrailKind) -> Vec<PermissionUse> {
    let called: &[&PermissionUse] = match kind {
        TrailKind::Bucket(_) => &[&DECRYPT, &GET_OBJECT, &LIST_BUCKET],
        TrailKind::Queue(_) => &[&DECRYPT, &GET_OBJECT, &EXTEND, &DELETE, &ATTRIBUTES, &RECEIVE],
        TrailKind::Lookup(_) => &[&crate::trail::LOOKUP_EVENTS],
    };
    called.iter().map(|permission| **permission).collect()
}

pub(crate) static ACTIONS: [&PermissionUse; 7] =
    [&DECRYPT, &GET_OBJECT, &LIST_BUCKET, &EXTEND, &DELETE, &ATTRIBUTES, &RECEIVE];

/// Opens a source where its cursors say. `cursors` of other sources are left alone.
///
/// A role that cannot be assumed keeps no source from opening: it is a gap of its first batch.
///
/// # Errors
/// Only what keeps a scan from beginning, too.
pub async fn open(
    plan: &Plan,
    config: &TrailConfig,
    cursors: Vec<Cursor>,
) -> Result<Box<dyn TrailSource>, CannotStart> {
    let door = Door::open(plan).await?;
    let room = Room::new(config.limits.clone());
    let shut = |refusal: &Refusal| -> Box<dyn TrailSource> { Box::new(Shut::new(&config.id, refusal)) };
    Ok(match &config.kind {
        TrailKind::Bucket(wanted) => match door.bucket_of(wanted).await {
            Ok(bucket) => {
                let layout = Layout {
                    bucket,
                    prefix: slashed(&wanted.prefix),
                    regions: wanted.regions.clone(),
                    lookback: wanted.lookback,
                    late_days: wanted.late_days,
                };
                Box::new(Listing::new(&config.id, layout, room, cursors))
            }
            Err(refusal) => shut(&refusal),
        },
        TrailKind::Queue(wanted) => match door.queue_of(wanted).await {
            Ok((subscription, bucket)) => Box::new(Queue::new(&config.id, subscription, bucket, room)),
            Err(refusal) => shut(&refusal),
        },
        TrailKind::Lookup(wanted) => {
            let lanes = door.lanes_of(wanted).await;
            let manner = Manner {
                events: wanted.events,
                lookback: wanted.lookback,
                overlap: wanted.overlap,
                pace: Duration::from_secs(1) / plan.settings.lookups_per_second,
                caller: door.caller.clone(),
            };
            Box::new(Lookup::new(&config.id, lanes, manner, room, cursors))
        }
    })
}

fn slashed(prefix: &str) -> String {
    let bare = prefix.trim_matches('/');
    if bare.is_empty() { String::new() } else { format!("{bare}/") }
}

/// The hub, with what is needed to reach a trail from it.
struct Door<'p> {
    plan: &'p Plan,
    hub: HubSession,
    caller: Arc<Caller>,
}

impl<'p> Door<'p> {
    async fn open(plan: &'p Plan) -> Result<Self, CannotStart> {
        let settings = &plan.settings;
        // What was read by then is kept, and the next run goes on from there.
        let until = Deadline::after(settings.run_deadline, "trail");
        let caller = Caller::new(settings.max_concurrent_calls).within(until, settings.listing_deadline);
        let caller = Arc::new(caller);
        let hub = HubSession::open(plan, &caller).await?;
        Ok(Self { plan, hub, caller })
    }

    async fn enter(&self, entry: Option<&Entry>) -> Result<(SdkConfig, AccountId), Refusal> {
        let Some(entry) = entry else { return Ok((self.hub.config.clone(), self.hub.account_id)) };
        let account_id = entry.role_arn.account_id();
        let target = Target {
            account_id,
            name: None,
            role_arn: Some(entry.role_arn.clone()),
            external_id: entry.external_id.clone(),
        };
        let (config, _) = self.hub.enter(self.plan, &target, &self.caller).await?;
        Ok((config, account_id))
    }

    fn bucket(&self, name: &str, region: Option<&Region>, config: &SdkConfig, account_id: AccountId) -> Bucket {
        let region = region.unwrap_or(&self.hub.region);
        Bucket::new(name, region, config, account_id, self.caller.clone(), self.plan.settings.call_timeout)
    }

    async fn bucket_of(&self, wanted: &InBucket) -> Result<Bucket, Refusal> {
        let (config, account_id) = self.enter(wanted.entry.as_ref()).await?;
        Ok(self.bucket(&wanted.bucket, wanted.region.as_ref(), &config, account_id))
    }

    async fn queue_of(&self, wanted: &ByQueue) -> Result<(Subscription, Bucket), Refusal> {
        let (config, account_id) = self.enter(wanted.entry.as_ref()).await?;
        let region = region_of(&wanted.url).or_else(|| wanted.region.clone());
        let bucket = self.bucket(&wanted.bucket, region.as_ref(), &config, account_id);
        let region = region.as_ref().unwrap_or(&self.hub.region);
        let settings = &self.plan.settings;
        // A call that waits for messages takes that much longer.
        let attempt = settings.call_timeout + wanted.wait;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(settings.call_timeout.min(Duration::from_secs(5)))
            .operation_attempt_timeout(attempt)
            .operation_timeout(attempt.saturating_mul(settings.attempts))
            .build();
        let builder = aws_sdk_sqs::config::Builder::from(&config)
            .region(sdk_region(region))
            .timeout_config(timeouts)
            .retry_partition(partition("sqs", region.as_str(), &account_id.to_string()));
        let subscription = Subscription {
            client: aws_sdk_sqs::Client::from_conf(builder.build()),
            url: wanted.url.clone(),
            caller: self.caller.clone(),
            wait: wanted.wait.min(Duration::from_secs(20)),
            visibility: wanted.visibility.max(Duration::from_secs(1)),
            max_receives: wanted.max_receives.max(1),
        };
        Ok((subscription, bucket))
    }

    async fn lanes_of(&self, wanted: &LookupConfig) -> Vec<Lane> {
        let listed: &[Target] = match &self.plan.settings.accounts {
            Accounts::Listed(targets) => targets,
            Accounts::Organization | Accounts::HubOnly => &[],
        };
        let mut entered: BTreeMap<AccountId, Result<SdkConfig, Refusal>> = BTreeMap::new();
        for (account_id, _) in &wanted.places {
            if entered.contains_key(account_id) {
                continue;
            }
            let target = listed.iter().find(|target| target.account_id == *account_id).cloned();
            let usual = Target { account_id: *account_id, name: None, role_arn: None, external_id: None };
            let target = target.unwrap_or(usual);
            entered
                .insert(*account_id, self.hub.enter(self.plan, &target, &self.caller).await.map(|(config, _)| config));
        }
        let lane = |place: &(AccountId, Region)| {
            let (account_id, region) = place;
            let config = entered.get(account_id)?;
            let client = config.as_ref().map_err(Clone::clone);
            let client = client.map(|config| client!(aws_sdk_cloudtrail, config, region, account_id));
            let has_sessions = wanted.places.contains(place);
            Some(Lane { account_id: *account_id, region: region.clone(), has_sessions, client })
        };
        let mut places = wanted.places.clone();
        if wanted.events == Events::Changes {
            // There the calls of global services are recorded, whatever region has clusters.
            let global =
                wanted.places.iter().filter_map(|(id, region)| Some((*id, global_region(region).parse().ok()?)));
            places.extend(global);
        }
        places.iter().filter_map(lane).collect()
    }
}

/// The region in a queue's URL: `https://sqs.eu-west-1.amazonaws.com/…`, or the older
/// `https://eu-west-1.queue.amazonaws.com/…`.
fn region_of(url: &str) -> Option<Region> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?;
    let mut labels = host.split('.');
    match (labels.next()?, labels.next()?) {
        ("sqs", region) | (region, "queue") => {
            region.parse().ok().filter(|region: &Region| region.as_str().contains('-'))
        }
        _ => None,
    }
}

/// A source whose door is shut: it has nothing but the reason.
struct Shut {
    id: String,
    gap: TrailGap,
    told: bool,
}

impl Shut {
    fn new(id: &str, refusal: &Refusal) -> Self {
        let gap = TrailGap {
            day: None,
            account_id: None,
            region: None,
            action: refusal.action.to_owned(),
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            location: format!("trail {id}"),
        };
        Self { id: id.to_owned(), gap, told: false }
    }
}

impl TrailSource for Shut {
    fn id(&self) -> &str {
        &self.id
    }

    fn next(&mut self, _: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>> {
        self.told = !self.told;
        let batch = self.told.then(|| Batch { gaps: vec![self.gap.clone()], ..Batch::default() });
        async { batch }.boxed()
    }

    fn fetch<'a>(&'a self, _: &'a Object) -> BoxFuture<'a, Result<Body, Missed>> {
        async { Err(unsettled()) }.boxed()
    }

    fn finish_batch(&mut self, batch: Batch, _: Vec<Outcome>) -> FinishedBatch {
        FinishedBatch { gaps: batch.gaps, ..FinishedBatch::default() }
    }

    fn acknowledge(&mut self, _: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>> {
        async { Vec::new() }.boxed()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// A receipt handle that nothing bears.
const NO_HANDLE: &str = "rolecall-doctor";
/// A key that nothing bears.
const NO_KEY: &str = "AWSLogs/rolecall-doctor";

/// Tries once what each bucket and queue needs. Receiving makes one message, if there is any,
/// visible again at once; it counts as received once more.
///
/// # Errors
/// Only what keeps a scan from beginning, too.
pub async fn doctor(plan: &Plan, trails: &[TrailConfig]) -> Result<Vec<Probe>, CannotStart> {
    let door = Door::open(plan).await?;
    let mut probes = Vec::new();
    for trail in trails {
        let entry = match &trail.kind {
            TrailKind::Bucket(wanted) => wanted.entry.as_ref(),
            TrailKind::Queue(wanted) => wanted.entry.as_ref(),
            // The scan's own doctor has tried it.
            TrailKind::Lookup(_) => continue,
        };
        let account_id = entry.map_or(door.hub.account_id, |entry| entry.role_arn.account_id());
        let answers = match &trail.kind {
            TrailKind::Bucket(wanted) => match door.bucket_of(wanted).await {
                Ok(bucket) => Ok(try_bucket(&bucket, &slashed(&wanted.prefix)).await),
                Err(refusal) => Err(refusal),
            },
            TrailKind::Queue(wanted) => match door.queue_of(wanted).await {
                Ok((subscription, bucket)) => Ok(try_queue(&subscription, &bucket).await),
                Err(refusal) => Err(refusal),
            },
            TrailKind::Lookup(_) => continue,
        };
        let probe = |permission: PermissionUse, answer| Probe { account_id, permission, answer };
        match answers {
            Ok(answers) => probes.extend(answers.into_iter().map(|(permission, answer)| probe(*permission, answer))),
            Err(refusal) => {
                probes.push(probe(crate::entry::ASSUME_ROLE, answer::<()>(Err(refusal))));
                probes
                    .extend(actions_of(&trail.kind).into_iter().map(|permission| probe(permission, Answer::NotTried)));
            }
        }
    }
    Ok(probes)
}

type Answers = Vec<(&'static PermissionUse, Answer)>;

async fn try_bucket(bucket: &Bucket, prefix: &str) -> Answers {
    let listed = bucket.list(prefix, false, None, None, Some(1)).await;
    let first = listed.as_ref().ok().and_then(|page| page.contents().first()?.key().map(str::to_owned));
    let mut answers = vec![(&LIST_BUCKET, answer(listed))];
    answers.extend(try_object(bucket, first).await);
    answers
}

/// Without an object to read, what S3 says of one that is not there tells of `GetObject` alone, and
/// nothing of the key.
async fn try_object(bucket: &Bucket, key: Option<String>) -> Answers {
    let is_there = key.is_some();
    match bucket.try_get(key.as_deref().unwrap_or(NO_KEY)).await {
        Err(refusal) if refusal.action == DECRYPT.action => {
            vec![(&GET_OBJECT, Answer::Granted), (&DECRYPT, answer::<()>(Err(refusal)))]
        }
        Ok(()) if is_there => vec![(&GET_OBJECT, Answer::Granted), (&DECRYPT, Answer::Granted)],
        outcome => vec![(&GET_OBJECT, answer(outcome))],
    }
}

async fn try_queue(at: &Subscription, bucket: &Bucket) -> Answers {
    let received = at.client.receive_message().queue_url(&at.url).max_number_of_messages(1).visibility_timeout(0);
    let extended =
        at.client.change_message_visibility().queue_url(&at.url).receipt_handle(NO_HANDLE).visibility_timeout(0);
    let deleted = at.client.delete_message().queue_url(&at.url).receipt_handle(NO_HANDLE);
    let asked = at.client.get_queue_attributes().queue_url(&at.url);
    let mut answers = vec![
        (&RECEIVE, answer(at.caller.call(&RECEIVE, received.send()).await)),
        (&EXTEND, answer(at.caller.call(&EXTEND, extended.send()).await)),
        (&DELETE, answer(at.caller.call(&DELETE, deleted.send()).await)),
        (&ATTRIBUTES, answer(at.caller.call(&ATTRIBUTES, asked.send()).await)),
    ];
    answers.extend(try_object(bucket, None).await);
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_s_url_names_its_region() {
        let cases = [
            ("https://sqs.eu-west-1.amazonaws.com/111122223333/trail", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/trail", Some("cn-north-1")),
            ("https://eu-west-1.queue.amazonaws.com/111122223333/trail", Some("eu-west-1")),
            ("http://127.0.0.1:4566/111122223333/trail", None),
            ("http://localhost/111122223333/trail", None),
            ("trail", None),
        ];
        for (url, region) in cases {
            assert_eq!(region_of(url).as_ref().map(Region::as_str), region, "{url}");
        }
    }

    #[test]
    fn a_prefix_ends_with_one_slash_or_is_empty() {
        for (given, expected) in [("", ""), ("/", ""), ("org", "org/"), ("/a/b/", "a/b/")] {
            assert_eq!(slashed(given), expected);
        }
    }
}
