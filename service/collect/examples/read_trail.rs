//! Reads a trail from AWS to its end, twice, and prints what came of it as lines of JSON.
//!
//! ```text
//! read_trail s3 BUCKET [PREFIX]
//! read_trail sqs QUEUE_URL BUCKET
//! ```
//!
//! Credentials, region and endpoint are those of the environment. It keeps what a consumer has to
//! keep (cursors, and marks of what was read) in memory alone, and shows in which order.

use chrono::{DateTime, TimeDelta, Utc};
use rolecall_collect::trails::{
    ByQueue, Cursor, InBucket, Limits, Outcome, TrailConfig, TrailKind, TrailSource, fetch_each, open,
};
use rolecall_collect::{Plan, Settings};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;

/// What a database would hold.
#[derive(Default)]
struct Kept {
    marks: BTreeSet<String>,
    cursors: BTreeMap<String, Cursor>,
}

fn kind(arguments: &[String]) -> Option<TrailKind> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["s3", bucket, ref prefix @ ..] => Some(TrailKind::Bucket(InBucket {
            bucket: bucket.to_owned(),
            prefix: prefix.first().copied().unwrap_or_default().to_owned(),
            region: None,
            entry: None,
            regions: BTreeSet::new(),
            lookback: TimeDelta::days(3650),
            late_days: 2,
        })),
        ["sqs", url, bucket] => Some(TrailKind::Queue(ByQueue {
            url: url.to_owned(),
            bucket: bucket.to_owned(),
            region: None,
            entry: None,
            wait: Duration::from_secs(1),
            visibility: Duration::from_secs(60),
            max_receives: 3,
        })),
        _ => None,
    }
}

fn say(line: &serde_json::Value) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}

async fn pass(source: &mut dyn TrailSource, kept: &mut Kept) -> Result<(), Box<dyn Error>> {
    let now: DateTime<Utc> = {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        DateTime::UNIX_EPOCH + TimeDelta::from_std(since_epoch)?
    };
    while let Some(batch) = source.next(now).await {
        let is_known = |identity: &Option<String>| identity.as_ref().is_some_and(|known| kept.marks.contains(known));
        let unread: Vec<_> =
            batch.objects.iter().enumerate().filter(|(_, object)| !is_known(&object.identity)).collect();
        let mut outcomes = vec![Outcome::Known; batch.objects.len()];
        {
            let mut fetches = std::pin::pin!(fetch_each(&*source, unread, 16));
            while let Some((index, fetched)) = fetches.next().await {
                let outcome = match fetched {
                    Ok(body) => {
                        let digest: String = Sha256::digest(&*body).iter().map(|byte| format!("{byte:02x}")).collect();
                        let object = batch.objects.get(index);
                        say(&json!({"read": object.map(|object| &object.location), "sha256": digest}))?;
                        Outcome::Read
                    }
                    Err(missed) => Outcome::Missed(missed),
                };
                if let Some(place) = outcomes.get_mut(index) {
                    *place = outcome;
                }
            }
        }
        let marks: Vec<String> = batch.objects.iter().filter_map(|object| object.identity.clone()).collect();
        let settlement = source.finish_batch(batch, outcomes);
        // The commit: here everything of the batch is stored, or nothing.
        kept.marks.extend(marks);
        for cursor in &settlement.cursors {
            kept.cursors.insert(format!("{} {}", cursor.account_id, cursor.region.as_str()), cursor.clone());
        }
        for gap in &settlement.gaps {
            say(&json!({"gap": gap.action, "reason": gap.reason.as_str(), "detail": gap.detail, "at": gap.location}))?;
        }
        for aside in &settlement.set_aside {
            say(&json!({"set_aside": aside.id, "reason": aside.reason, "excerpt": aside.excerpt}))?;
        }
        for gap in source.acknowledge(settlement).await {
            say(&json!({"gap": gap.action, "reason": gap.reason.as_str(), "detail": gap.detail, "at": gap.location}))?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let kind = kind(&arguments).ok_or("read_trail s3 BUCKET [PREFIX] | read_trail sqs QUEUE_URL BUCKET")?;
    let trail = TrailConfig { id: "trail".to_owned(), kind, limits: Limits::default() };
    let plan = Plan::new(Settings::default()).map_err(|errors| format!("{errors:?}"))?;
    let mut kept = Kept::default();
    for _ in 0..2 {
        let cursors = kept.cursors.values().cloned().collect();
        let mut source = open(&plan, &trail, cursors).await?;
        pass(source.as_mut(), &mut kept).await?;
        let progress = source.progress();
        say(&json!({"pass": {
            "listed": progress.listed, "ignored": progress.ignored, "fetched": progress.fetched, "bytes": progress.bytes,
            "missed": progress.missed, "set_aside": progress.set_aside, "waiting": progress.waiting,
        }}))?;
    }
    Ok(())
}
