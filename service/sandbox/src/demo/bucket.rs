//! The bucket of the demo's trails: files as CloudTrail delivers them.
//!
//! A file follows from its day, so that a day that was read is known again on the next. Among the
//! files are digests, one file that ends in the middle, and one record without its time, as every
//! bucket has some. Refuses to know what a record tells.

use super::{COMMERCE, MANAGEMENT, PAYMENTS};
use crate::estate::{Estate, Event};
use crate::ids;
use crate::trail::session_identity;
use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;

/// A bucket with trail files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailBucket {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Keys and what is under them.
    pub objects: Vec<(String, Vec<u8>)>,
}

impl TrailBucket {
    /// What of it was there when a day began.
    #[must_use]
    pub fn before(&self, day: NaiveDate) -> Self {
        let is_older = |key: &str| day_of(key).is_some_and(|of| of < day);
        let objects = self.objects.iter().filter(|(key, _)| is_older(key)).cloned().collect();
        Self { name: self.name.clone(), region: self.region.clone(), objects }
    }
}

/// The day in a key, which ends in `YEAR/MONTH/DAY/FILE`.
fn day_of(key: &str) -> Option<NaiveDate> {
    let mut parts = key.rsplit('/').skip(1);
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// The name of the bucket that the demo's trails write to.
pub const BUCKET: &str = "org-trail-logs-111122223333";
/// Its region.
pub const BUCKET_REGION: &str = "eu-west-1";

/// Whether an account's trail records all management events, into the bucket.
pub(super) fn records(account: &str) -> bool {
    [MANAGEMENT, PAYMENTS, COMMERCE].contains(&account)
}

/// Account, region, day, and which half of it.
type Name = (String, String, NaiveDate, bool);

/// Files in the making.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<Name, Vec<String>>);

impl Files {
    pub(super) fn add(&mut self, account: &str, region: &str, at: DateTime<Utc>, record: &Value) {
        self.push(account, region, at, record.to_string());
    }

    fn push(&mut self, account: &str, region: &str, at: DateTime<Utc>, record: String) {
        let name = (account.to_owned(), region.to_owned(), at.date_naive(), at.hour() >= 12);
        self.0.entry(name).or_default().push(record);
    }

    /// Takes in what the event history of the recorded accounts holds.
    pub(super) fn add_history(&mut self, estate: &Estate) {
        for (account, held) in estate.accounts.iter().filter(|(account, _)| records(account)) {
            for (region, held) in &held.regions {
                for event in &held.events {
                    self.push(account, region, event.time, event.record.clone());
                }
            }
        }
    }

    /// Files that hold nothing else, and nothing that is wrong with them.
    pub(super) fn of_events<'e>(events: impl Iterator<Item = (&'e str, &'e str, &'e Event)>) -> TrailBucket {
        let mut files = Self::default();
        for (account, region, event) in events.filter(|(account, ..)| records(account)) {
            files.push(account, region, event.time, event.record.clone());
        }
        let object = |((account, region, day, late), lines): (Name, Vec<String>)| {
            let seed = format!("changes/{account}/{region}/{day}/{late}");
            (key(&account, &region, day, late, &seed), zipped(&records_of(&lines)))
        };
        let objects = files.0.into_iter().map(object).collect();
        TrailBucket { name: BUCKET.to_owned(), region: BUCKET_REGION.to_owned(), objects }
    }

    pub(super) fn bucket(self) -> TrailBucket {
        let mut objects = Vec::new();
        for ((account, region, day, late), mut lines) in self.0 {
            let turn = day.num_days_from_ce().rem_euclid(14);
            if (account.as_str(), region.as_str(), late, turn) == (COMMERCE, "us-east-1", true, 9) {
                lines.push(undated(&account, &region, day).to_string());
            }
            let mut bytes = zipped(&records_of(&lines));
            if (account.as_str(), region.as_str(), late, turn) == (PAYMENTS, "eu-central-1", true, 5) {
                bytes.truncate(bytes.len() / 2);
            }
            let name = key(&account, &region, day, late, &format!("file/{account}/{region}/{day}/{late}"));
            objects.push((name.clone(), bytes));
            let digest = json!({"awsAccountId": account, "digestStartTime": format!("{day}T00:00:00Z"), "digestS3Bucket": BUCKET,
                "digestSignatureAlgorithm": "SHA256withRSA", "logFiles": [{"s3Bucket": BUCKET, "hashAlgorithm": "SHA-256",
                    "hashValue": ids::hex(&name, 64)}]});
            let (path, date) = (day.format("%Y/%m/%d"), day.format("%Y%m%d"));
            let at = if late { "2355" } else { "1155" };
            objects.push((
                format!("AWSLogs/{account}/CloudTrail-Digest/{region}/{path}/{account}_CloudTrail-Digest_{region}_everything_eu-west-1_{date}T{at}00Z.json.gz"),
                zipped(&digest.to_string()),
            ));
        }
        TrailBucket { name: BUCKET.to_owned(), region: BUCKET_REGION.to_owned(), objects }
    }
}

/// The key of a file of half a day.
fn key(account: &str, region: &str, day: NaiveDate, late: bool, seed: &str) -> String {
    let (path, date) = (day.format("%Y/%m/%d"), day.format("%Y%m%d"));
    let at = if late { "2355" } else { "1155" };
    let unique: String = ids::access_key(seed).chars().skip(4).collect();
    format!("AWSLogs/{account}/CloudTrail/{region}/{path}/{account}_CloudTrail_{region}_{date}T{at}Z_{unique}.json.gz")
}

fn records_of(lines: &[String]) -> String {
    format!("{{\"Records\":[{}]}}", lines.join(","))
}

/// A record that lost its time.
fn undated(account: &str, region: &str, day: NaiveDate) -> Value {
    let role = format!("arn:aws:iam::{account}:role/commerce-edge-use1-node");
    let since = day.and_time(chrono::NaiveTime::MIN).and_utc();
    json!({"eventVersion": "1.11", "userIdentity": session_identity(&role, "i-0b1c2d3e4f5061728", &ids::access_key("undated"), since),
        "eventSource": "ec2.amazonaws.com", "eventName": "DescribeInstances", "awsRegion": region,
        "eventID": ids::uuid(&format!("undated/{account}/{day}")), "recipientAccountId": account, "eventCategory": "Management"})
}

fn zipped(text: &str) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail.
    zip.write_all(text.as_bytes()).and_then(|()| zip.finish()).unwrap_or_default()
}
