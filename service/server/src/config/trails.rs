//! `[[trails]]`: where CloudTrail's files are read from.

use super::read::Reader;
use super::values::{DURATION, duration};
use chrono::TimeDelta;
use rolecall_collect::trails::{ByQueue, Events, InBucket, Limits, LookupConfig, TrailConfig, TrailKind};
use rolecall_estate::id::{IdError, Region};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrail {
    name: Spanned<String>,
    kind: Spanned<String>,
    bucket: Option<Spanned<String>>,
    prefix: Option<Spanned<String>>,
    queue_url: Option<Spanned<String>>,
    region: Option<Spanned<String>>,
    regions: Option<Spanned<Vec<Spanned<String>>>>,
    role_arn: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
    lookback_days: Option<Spanned<i64>>,
    late_days: Option<Spanned<i64>>,
    wait: Option<Spanned<String>>,
    visibility: Option<Spanned<String>>,
    max_receives: Option<Spanned<i64>>,
    events: Option<Spanned<String>>,
    overlap: Option<Spanned<String>>,
}

/// The names of sources that are there without being configured: how far each was read is kept by name.
const RESERVED: [&str; 1] = [super::IMPORTED];

const KIND: &str = "write \"s3\", \"sqs\" or \"lookup\"";
const BUCKET: &str = "write the name of the bucket that the trail delivers to";
const QUEUE_URL: &str = "write the queue's URL, such as \"https://sqs.eu-west-1.amazonaws.com/111122223333/trail\"";

/// Which options each kind has, beside `name` and `kind`.
const OPTIONS: [(&str, &[&str]); 3] = [
    ("s3", &["bucket", "prefix", "region", "regions", "role_arn", "external_id", "lookback_days", "late_days"]),
    ("sqs", &["bucket", "queue_url", "region", "role_arn", "external_id", "wait", "visibility", "max_receives"]),
    ("lookup", &["lookback_days", "events", "overlap"]),
];

impl RawTrail {
    /// The options that are there: name and place.
    fn given(&self) -> Vec<(&'static str, usize)> {
        fn at<T>(option: Option<&Spanned<T>>) -> Option<usize> {
            option.map(|value| value.span().start)
        }
        let options = [
            ("bucket", at(self.bucket.as_ref())),
            ("prefix", at(self.prefix.as_ref())),
            ("queue_url", at(self.queue_url.as_ref())),
            ("region", at(self.region.as_ref())),
            ("regions", at(self.regions.as_ref())),
            ("role_arn", at(self.role_arn.as_ref())),
            ("external_id", at(self.external_id.as_ref())),
            ("lookback_days", at(self.lookback_days.as_ref())),
            ("late_days", at(self.late_days.as_ref())),
            ("wait", at(self.wait.as_ref())),
            ("visibility", at(self.visibility.as_ref())),
            ("max_receives", at(self.max_receives.as_ref())),
            ("events", at(self.events.as_ref())),
            ("overlap", at(self.overlap.as_ref())),
        ];
        options.into_iter().filter_map(|(name, at)| Some((name, at?))).collect()
    }
}

impl Reader<'_> {
    pub(super) fn trails(&mut self, raw: Vec<RawTrail>) -> Vec<TrailConfig> {
        let mut trails: Vec<TrailConfig> = Vec::new();
        for raw in raw {
            let (at, name) = (raw.name.span().start, raw.name.get_ref().clone());
            let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !fits {
                let message = format!("`{name}` cannot be a trail's name");
                self.problem(at, "trails.name", &message, "write up to 64 letters, digits and hyphens");
            } else if RESERVED.contains(&name.as_str()) {
                let message = format!("`{name}` is the name of a source that Rolecall has itself");
                self.problem(at, "trails.name", &message, "give the trail another name");
            } else if trails.iter().any(|other| other.id == name) {
                let message = format!("two trails are named `{name}`");
                self.problem(
                    at,
                    "trails.name",
                    &message,
                    "give each its own name, by which it is known how far it was read",
                );
            }
            if let Some(kind) = self.kind(raw) {
                trails.push(TrailConfig { id: name, kind, limits: Limits::default() });
            }
        }
        trails
    }

    fn kind(&mut self, raw: RawTrail) -> Option<TrailKind> {
        let (at, kind) = (raw.kind.span().start, raw.kind.get_ref().clone());
        let Some((_, options)) = OPTIONS.iter().find(|(known, _)| *known == kind) else {
            self.problem(at, "trails.kind", &format!("`{kind}` is no kind of trail"), KIND);
            return None;
        };
        for (option, at) in raw.given() {
            if !options.contains(&option) {
                let message = format!("a trail of kind \"{kind}\" has no such option");
                let remedy = format!("leave it out; there are {}", options.join(", "));
                self.problem(at, &format!("trails.{option}"), &message, &remedy);
            }
        }
        match kind.as_str() {
            "s3" => self.bucket(at, raw).map(TrailKind::Bucket),
            "sqs" => self.queue(at, raw).map(TrailKind::Queue),
            _ => Some(TrailKind::Lookup(self.lookup(raw))),
        }
    }

    fn bucket(&mut self, at: usize, raw: RawTrail) -> Option<InBucket> {
        let mut prefix = String::new();
        self.parsed("trails.prefix", raw.prefix, &mut prefix, "write only what comes before `AWSLogs/`", |text| {
            let whole = text.split('/').any(|part| part == "AWSLogs");
            if whole { Err(format!("`{text}` goes on past the prefix")) } else { Ok(text.to_owned()) }
        });
        let mut regions = BTreeSet::new();
        for region in raw.regions.map(Spanned::into_inner).unwrap_or_default() {
            match region.get_ref().parse::<Region>() {
                Ok(region) => _ = regions.insert(region),
                Err(error) => {
                    let remedy = "write region codes, or leave it out to read all";
                    self.problem(region.span().start, "trails.regions", &error.to_string(), remedy);
                }
            }
        }
        let (mut lookback, mut late_days) = (30, 2);
        self.number("trails.lookback_days", raw.lookback_days, &mut lookback, 1..=3650, "");
        self.number("trails.late_days", raw.late_days, &mut late_days, 0..=365, "");
        let region = self.region(raw.region);
        let entry = self.entry("trails", raw.role_arn, raw.external_id);
        let bucket = self.bucket_name(at, raw.bucket)?;
        let lookback = TimeDelta::days(lookback);
        Some(InBucket { bucket, prefix, region, entry, regions, lookback, late_days })
    }

    fn queue(&mut self, at: usize, raw: RawTrail) -> Option<ByQueue> {
        let (mut wait, mut visibility) = (Duration::from_secs(20), Duration::from_secs(300));
        let mut max_receives = 5;
        self.parsed("trails.wait", raw.wait, &mut wait, DURATION, |text| within(text, "0s", "20s"));
        self.parsed("trails.visibility", raw.visibility, &mut visibility, DURATION, |text| within(text, "30s", "1h"));
        self.number("trails.max_receives", raw.max_receives, &mut max_receives, 1..=1000, "");
        let mut url = None;
        if raw.queue_url.is_none() {
            self.problem(at, "trails.queue_url", "it is missing", QUEUE_URL);
        }
        self.parsed("trails.queue_url", raw.queue_url, &mut url, QUEUE_URL, |text| {
            let fits =
                ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) && text.matches('/').count() >= 4;
            if fits { Ok(Some(text.to_owned())) } else { Err(format!("`{text}` is not a queue's URL")) }
        });
        let region = self.region(raw.region);
        let entry = self.entry("trails", raw.role_arn, raw.external_id);
        let bucket = self.bucket_name(at, raw.bucket);
        Some(ByQueue { url: url?, bucket: bucket?, region, entry, wait, visibility, max_receives })
    }

    fn lookup(&mut self, raw: RawTrail) -> LookupConfig {
        let (mut events, mut lookback, mut overlap) = (Events::Sessions, 7, Duration::from_secs(1800));
        self.parsed("trails.events", raw.events, &mut events, "write \"sessions\", \"changes\" or \"all\"", |text| {
            match text {
                "sessions" => Ok(Events::Sessions),
                "changes" => Ok(Events::Changes),
                "all" => Ok(Events::All),
                _ => Err(format!("`{text}` is none of these")),
            }
        });
        let why = "; CloudTrail looks up no further back";
        self.number("trails.lookback_days", raw.lookback_days, &mut lookback, 1..=90, why);
        self.parsed("trails.overlap", raw.overlap, &mut overlap, DURATION, |text| within(text, "5m", "1d"));
        let overlap = TimeDelta::from_std(overlap).unwrap_or(TimeDelta::minutes(30));
        LookupConfig { places: BTreeSet::new(), events, lookback: TimeDelta::days(lookback), overlap }
    }

    fn bucket_name(&mut self, at: usize, raw: Option<Spanned<String>>) -> Option<String> {
        if raw.is_none() {
            self.problem(at, "trails.bucket", "it is missing", BUCKET);
        }
        let mut bucket = None;
        self.parsed("trails.bucket", raw, &mut bucket, BUCKET, |text| {
            let in_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
            let fits = (3..=63).contains(&text.len()) && text.bytes().all(in_name);
            if fits { Ok(Some(text.to_owned())) } else { Err(format!("`{text}` is not a bucket's name")) }
        });
        bucket
    }

    fn region(&mut self, raw: Option<Spanned<String>>) -> Option<Region> {
        let mut region = None;
        self.parsed("trails.region", raw, &mut region, "write a region code such as \"eu-west-1\"", |text| {
            text.parse().map(Some).map_err(|error: IdError| error.to_string())
        });
        region
    }
}

/// A length of time between two others.
fn within(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    let fits = (duration(least)?..=duration(most)?).contains(&length);
    if fits { Ok(length) } else { Err(format!("`{text}` is not between \"{least}\" and \"{most}\"")) }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Vec<TrailConfig>, Vec<String>> {
        let read = Config::parse(Path::new("rolecall.toml"), text);
        read.map(|config| config.trails).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_kind_has_its_options_and_defaults() {
        let trails = read(
            "[[trails]]\nname = \"a\"\nkind = \"s3\"\nbucket = \"logs\"\nprefix = \"x/y\"\nlate_days = 0\n\
             role_arn = \"arn:aws:iam::111122223333:role/r\"\nexternal_id = \"hunter-2\"\nregions = [\"eu-west-1\"]\n\
             [[trails]]\nname = \"b\"\nkind = \"sqs\"\nbucket = \"logs\"\nwait = \"1s\"\n\
             queue_url = \"https://sqs.eu-west-1.amazonaws.com/111122223333/q\"\n\
             [[trails]]\nname = \"c\"\nkind = \"lookup\"\nevents = \"all\"\noverlap = \"1h\"\n",
        )
        .unwrap();
        assert!(!format!("{trails:?}").contains("hunter"));
        let [TrailKind::Bucket(a), TrailKind::Queue(b), TrailKind::Lookup(c)] =
            &trails.iter().map(|trail| trail.kind.clone()).collect::<Vec<_>>()[..]
        else {
            panic!("{trails:?}")
        };
        assert_eq!(
            (a.bucket.as_str(), a.prefix.as_str(), a.late_days, a.lookback),
            ("logs", "x/y", 0, TimeDelta::days(30))
        );
        assert_eq!(a.entry.as_ref().unwrap().external_id.as_deref(), Some("hunter-2"));
        assert_eq!(
            (a.regions.len(), b.wait, b.visibility.as_secs(), b.max_receives),
            (1, Duration::from_secs(1), 300, 5)
        );
        assert_eq!((c.events, c.overlap, c.lookback), (Events::All, TimeDelta::hours(1), TimeDelta::days(7)));
    }

    #[test]
    fn every_mistake_is_named_with_line_field_and_remedy() {
        let found = read(
            "[[trails]]\nname = \"a b\"\nkind = \"s3\"\nbucket = \"Logs\"\nprefix = \"x/AWSLogs/o-1\"\nwait = \"1s\"\n\
             [[trails]]\nname = \"q\"\nkind = \"sqs\"\nvisibility = \"1s\"\nexternal_id = \"xx\"\n\
             [[trails]]\nname = \"l\"\nkind = \"lookup\"\nevents = \"some\"\nlookback_days = 91\n\
             [[trails]]\nname = \"l\"\nkind = \"lake\"\n\
             [[trails]]\nname = \"l\"\nkind = \"lookup\"\n",
        )
        .unwrap_err();
        let expected = [
            ("rolecall.toml:2: trails.name: `a b` ", "letters"),
            ("rolecall.toml:4: trails.bucket: `Logs` is not a bucket's name; ", "delivers"),
            ("rolecall.toml:5: trails.prefix: ", "before `AWSLogs/`"),
            ("rolecall.toml:6: trails.wait: a trail of kind \"s3\" has no such option; ", "late_days"),
            ("rolecall.toml:9: trails.queue_url: it is missing; ", "https://sqs."),
            ("rolecall.toml:9: trails.bucket: it is missing; ", "bucket"),
            ("rolecall.toml:10: trails.visibility: `1s` is not between \"30s\" and \"1h\"; ", "\"30s\""),
            ("rolecall.toml:11: trails.external_id: there is no role", "role_arn"),
            ("rolecall.toml:15: trails.events: `some` is none of these; ", "\"all\""),
            ("rolecall.toml:16: trails.lookback_days: out of range; ", "1 to 90"),
            ("rolecall.toml:18: trails.name: two trails are named `l`; ", "own name"),
            ("rolecall.toml:19: trails.kind: `lake` is no kind of trail; ", "\"sqs\""),
            ("rolecall.toml:21: trails.name: two trails are named `l`; ", "own name"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (start, remedy) in expected {
            assert!(found.iter().any(|line| line.starts_with(start) && line.contains(remedy)), "{start}: {found:#?}");
        }
    }
}
