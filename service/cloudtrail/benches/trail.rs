//! How fast trail files become sessions and uses, beside the bare limit of the machine.
//!
//! Makes about 350,000 events of its own in the form of a trail bucket's files, and in one process,
//! in alternation, measures: libdeflate and sonic-rs taking 12 fields of each event and nothing
//! else; and the aggregator, settled batch by batch. Prints both and their ratio, in CPU time where
//! the system tells it. Arguments: the number of events; `--rounds N`;
//! `--write FOLDER` to keep the files.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::expect_used,
    reason = "a bench prints its figures"
)]

use rolecall_cloudtrail::{AggregatedBatch, EventAggregator, Limits};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const EVENTS_A_FILE: usize = 350;
/// Events of one day.
const EVENTS_A_DAY: usize = 175_000;
const WORKLOADS: usize = 20;
/// Pods of a workload in each account and region.
const PODS: usize = 2;
/// What is heavier is settled, as ingestion does it.
const HEAVY: usize = 16 << 20;

/// Lays the files down as a trail's bucket holds them.
fn write(folder: &std::path::Path, files: &[Vec<u8>]) {
    let folder = folder.join("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/23");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    for (n, file) in files.iter().enumerate() {
        let name = format!("111122223333_CloudTrail_eu-west-1_20261123T0000Z_{n:016}.json.gz");
        std::fs::write(folder.join(name), file).expect("the file can be written");
    }
}

fn main() {
    let mut events = 350_000;
    let mut rounds = 5;
    let mut written = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(rounds),
            "--write" => written = arguments.next(),
            other => events = other.parse().unwrap_or(events),
        }
    }
    let (files, plain) = Generator::new(7).files(events);
    if let Some(folder) = written {
        write(std::path::Path::new(&folder), &files);
    }
    let zipped: usize = files.iter().map(Vec::len).sum();
    println!(
        "{events} events in {} files, {:.1} MB of JSON, {:.1} MB gzipped",
        files.len(),
        plain as f64 / 1e6,
        zipped as f64 / 1e6
    );

    let mut best = (Duration::MAX, Duration::MAX);
    let mut last = None;
    for _ in 0..rounds {
        let (time, sum) = timed(|| bare(&files));
        best.0 = best.0.min(time);
        let (time, total) = timed(|| ours(&files));
        best.1 = best.1.min(time);
        last = Some((sum, total));
    }
    let rate = |time: Duration| events as f64 / time.as_secs_f64();
    let speed = |time: Duration| plain as f64 / 1e6 / time.as_secs_f64();
    println!("bare limit: {:>9.0} events/s, {:>5.0} MB/s", rate(best.0), speed(best.0));
    println!("aggregator:    {:>9.0} events/s, {:>5.0} MB/s", rate(best.1), speed(best.1));
    println!("ratio:      {:.1} %", 100.0 * best.0.as_secs_f64() / best.1.as_secs_f64());
    if let Some(((count, bytes), total)) = last {
        println!("bare limit took {bytes} bytes of {count} events");
        println!(
            "aggregator: {} events, {} sessions, {} uses, {} calls, {} malformed, at most {:.1} MB held",
            total.events,
            total.sessions,
            total.uses,
            total.calls,
            total.malformed,
            total.weight as f64 / 1e6
        );
    }
}

/// CPU time of this process, where the system tells it, else the clock's.
fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let on_cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (before, clock) = (on_cpu(), Instant::now());
    let value = run();
    let spent = match (before, on_cpu()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => clock.elapsed(),
    };
    (spent, value)
}

#[derive(Default)]
struct Totals {
    events: u64,
    malformed: u64,
    calls: u64,
    sessions: usize,
    uses: usize,
    weight: usize,
}

fn ours(files: &[Vec<u8>]) -> Totals {
    let mut totals = Totals::default();
    let mut aggregator = EventAggregator::new(Limits::default());
    let mut files = files.iter().peekable();
    while let Some(file) = files.next() {
        aggregator.read("a file.json.gz", file);
        if aggregator.weight() < HEAVY && files.peek().is_some() {
            continue;
        }
        let mut batch = std::mem::replace(&mut aggregator, EventAggregator::new(Limits::default()));
        totals.weight = totals.weight.max(batch.weight());
        let fingerprints = batch.fingerprints();
        let counted = fingerprints.into_keys().map(|place| (place, Vec::new())).collect();
        let AggregatedBatch { sessions, uses, stats, .. } = batch.finish_batch(&counted);
        totals.events += stats.events;
        totals.malformed += stats.malformed;
        totals.calls += stats.calls;
        totals.sessions += sessions.len();
        totals.uses += uses.len();
    }
    totals
}

/// Borrowed where the text has no escapes.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> serde::de::Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    event_time: Text<'a>,
    #[serde(borrow)]
    event_source: Text<'a>,
    #[serde(borrow)]
    event_name: Text<'a>,
    #[serde(borrow)]
    aws_region: Text<'a>,
    #[serde(rename = "sourceIPAddress")]
    #[serde(borrow)]
    source_ip: Text<'a>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(rename = "eventID")]
    #[serde(borrow)]
    event_id: Text<'a>,
    #[serde(borrow)]
    user_identity: Identity<'a>,
    #[serde(borrow)]
    request_parameters: Option<Parameters<'a>>,
    #[serde(borrow)]
    response_elements: Option<Answer<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(rename = "type")]
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    access_key_id: Option<Text<'a>>,
    #[serde(borrow)]
    session_context: Option<Context<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    #[serde(borrow)]
    session_issuer: Option<Issuer<'a>>,
}

#[derive(Deserialize)]
struct Issuer<'a> {
    #[serde(borrow)]
    arn: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<'a> {
    #[serde(borrow)]
    role_arn: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    credentials: Option<Credentials<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    #[serde(borrow)]
    access_key_id: Option<Text<'a>>,
}

/// The limit: inflate, take 12 fields, keep nothing. Gives events and bytes taken.
fn bare(files: &[Vec<u8>]) -> (usize, usize) {
    let mut inflate = libdeflater::Decompressor::new();
    let mut plain = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    for file in files {
        let size = file.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
        let size = usize::try_from(size).unwrap_or_default();
        if plain.len() < size {
            plain.resize(size, 0);
        }
        let Some(out) = plain.get_mut(..size) else { continue };
        let Ok(text) = inflate.gzip_decompress(file, out).map(|_| &*out) else { continue };
        let Ok(file) = sonic_rs::from_slice::<File<'_>>(text) else { continue };
        let len = |text: &Option<Text<'_>>| text.as_ref().map_or(0, |text| text.0.len());
        for record in &file.records {
            events += 1;
            let issuer = record.user_identity.session_context.as_ref().and_then(|c| c.session_issuer.as_ref());
            bytes += record.event_time.0.len()
                + record.event_source.0.len()
                + record.event_name.0.len()
                + record.aws_region.0.len()
                + record.source_ip.0.len()
                + record.event_id.0.len()
                + len(&record.error_code)
                + len(&record.user_identity.kind)
                + len(&record.user_identity.access_key_id)
                + issuer.map_or(0, |issuer| len(&issuer.arn))
                + record.request_parameters.as_ref().map_or(0, |p| len(&p.role_arn))
                + record
                    .response_elements
                    .as_ref()
                    .and_then(|r| r.credentials.as_ref())
                    .map_or(0, |c| len(&c.access_key_id));
        }
    }
    (events, bytes)
}

/// Makes events of a few hundred pods over some days. One event in fifty opens a session with a key of
/// its own, which the pod's calls have until it gets the next.
struct Generator {
    state: u64,
    events: u64,
    /// The key of each pod, by number.
    keys: Vec<u64>,
    opened: u64,
}

const ACCOUNTS: [&str; 4] = ["111122223333", "444455556666", "777788889999", "123456789012"];
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "us-west-2"];
const CALLS: [(&str, &str, &str); 14] = [
    (
        "s3",
        "GetObject",
        r#"{"bucketName":"BUCKET","Host":"BUCKET.s3.REGION.amazonaws.com","key":"data/2026/11/ID.parquet"}"#,
    ),
    (
        "s3",
        "PutObject",
        r#"{"bucketName":"BUCKET","Host":"BUCKET.s3.REGION.amazonaws.com","key":"out/ID.json","x-amz-acl":"bucket-owner-full-control"}"#,
    ),
    (
        "s3",
        "ListObjects",
        r#"{"bucketName":"BUCKET","Host":"BUCKET.s3.REGION.amazonaws.com","prefix":"data/","list-type":"2"}"#,
    ),
    (
        "kms",
        "Decrypt",
        r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::BUCKET/data/ID"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
    ),
    (
        "kms",
        "GenerateDataKey",
        r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::BUCKET/out/ID"},"keyId":"arn:aws:kms:REGION:ACCOUNT:key/KEY","keySpec":"AES_256"}"#,
    ),
    ("dynamodb", "GetItem", r#"{"tableName":"TABLE","key":{"pk":"ID"},"consistentRead":false}"#),
    ("secretsmanager", "GetSecretValue", r#"{"secretId":"arn:aws:secretsmanager:REGION:ACCOUNT:secret:TABLE-AbCdEf"}"#),
    (
        "sqs",
        "ReceiveMessage",
        r#"{"queueUrl":"https://sqs.REGION.amazonaws.com/ACCOUNT/TABLE","maxNumberOfMessages":10}"#,
    ),
    ("logs", "CreateLogStream", r#"{"logGroupName":"/aws/TABLE","logStreamName":"ID"}"#),
    (
        "ec2",
        "DescribeInstances",
        r#"{"instancesSet":{},"filterSet":{"items":[{"name":"tag:team","valueSet":{"items":[{"value":"TABLE"}]}}]}}"#,
    ),
    (
        "elasticloadbalancing",
        "DescribeTargetHealth",
        r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/TABLE/ID"}"#,
    ),
    ("ssm", "GetParameter", r#"{"name":"/TABLE/config","withDecryption":true}"#),
    ("route53", "ListResourceRecordSets", r#"{"hostedZoneId":"Z0ID","maxItems":"300"}"#),
    ("autoscaling", "DescribeAutoScalingGroups", r#"{"maxRecords":100}"#),
];

impl Generator {
    fn new(seed: u64) -> Self {
        let pods = ACCOUNTS.len() * REGIONS.len() * WORKLOADS * PODS;
        let keys: Vec<u64> = (1_u64..).take(pods).collect();
        let opened = keys.last().copied().unwrap_or_default();
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, events: 0, keys, opened }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or_default() % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let n = self.below(of.len());
        of.get(n).copied()
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// Gzipped files, and how many bytes they hold.
    fn files(&mut self, events: usize) -> (Vec<Vec<u8>>, usize) {
        let level = libdeflater::CompressionLvl::default();
        let mut compressor = libdeflater::Compressor::new(level);
        let (mut files, mut plain, mut left) = (Vec::new(), 0, events);
        while left > 0 {
            let here = left.min(EVENTS_A_FILE);
            left -= here;
            let account = self.pick(&ACCOUNTS).unwrap_or_default();
            let region = self.pick(&REGIONS).unwrap_or_default();
            // In the order of a bucket, days come one after the other.
            let day = 1 + (files.len() * EVENTS_A_FILE / EVENTS_A_DAY).min(27);
            let mut text = String::from("{\"Records\":[");
            for n in 0..here {
                if n > 0 {
                    text.push(',');
                }
                self.event(&mut text, account, region, day);
            }
            text.push_str("]}");
            plain += text.len();
            let mut zipped = vec![0; compressor.gzip_compress_bound(text.len())];
            let length = compressor.gzip_compress(text.as_bytes(), &mut zipped).unwrap_or_default();
            zipped.truncate(length);
            files.push(zipped);
        }
        (files, plain)
    }

    fn event(&mut self, out: &mut String, account: &str, region: &str, day: usize) {
        self.events += 1;
        let workload = self.below(WORKLOADS);
        let pod = self.below(PODS);
        let kind = self.below(100);
        let of = |list: &[&str], own: &str| list.iter().position(|one| *one == own).unwrap_or_default();
        let place = of(&ACCOUNTS, account) * REGIONS.len() + of(&REGIONS, region);
        let slot = self.keys.get_mut((place * WORKLOADS + workload) * PODS + pod).map_or(0, |key| {
            if kind < 2 {
                self.opened += 1;
                *key = self.opened;
            }
            *key
        });
        let time = format!("2026-11-{day:02}T{:02}:{:02}:{:02}Z", self.below(24), self.below(60), self.below(60));
        let name = format!("eks-prod-clust-api-{workload:02}-{pod}-0d2f9d5e-52a1-4f0b-9f38-6d5b{slot:08}");
        let role = format!("workload-{workload:02}");
        let (id, request) = (self.uuid(), self.uuid());
        let tail = |category: &str, management: bool| {
            format!(
                r#""requestID":"{request}","eventID":"{id}","readOnly":true,"eventType":"AwsApiCall","managementEvent":{management},"recipientAccountId":"{account}","eventCategory":"{category}","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"service.{region}.amazonaws.com"}}}}"#
            )
        };
        let session = format!(
            r#""userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE{workload:010}:{name}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{name}","accountId":"{account}","accessKeyId":"ASIAEXAMPLE{slot:09}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{workload:010}","arn":"arn:aws:iam::{account}:role/team/{role}","accountId":"{account}","userName":"{role}"}},"attributes":{{"creationDate":"{time}","mfaAuthenticated":"false"}}}}}}"#
        );
        let node = format!(
            r#""userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLENODE:i-0{place:016x}","arn":"arn:aws:sts::{account}:assumed-role/node/i-0{place:016x}","accountId":"{account}","accessKeyId":"ASIANODE{place:04}{day:04}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLENODE","arn":"arn:aws:iam::{account}:role/node","accountId":"{account}","userName":"node"}},"attributes":{{"creationDate":"{time}","mfaAuthenticated":"false"}}}}}}"#
        );
        let place = format!(
            r#""awsRegion":"{region}","sourceIPAddress":"10.{}.{}.{}","userAgent":"aws-sdk-go-v2/1.32.0 os/linux lang/go#1.23 md/GOARCH#amd64 api/service#1.7.0""#,
            workload,
            pod,
            workload + pod
        );
        let done = match kind {
            0..2 => {
                let token: String = (0..60).map(|_| format!("{:016x}", self.next())).collect();
                write!(
                    out,
                    r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AWSService","invokedBy":"pods.eks.amazonaws.com"}},"eventTime":"{time}","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"{region}","sourceIPAddress":"pods.eks.amazonaws.com","userAgent":"pods.eks.amazonaws.com","requestParameters":{{"roleArn":"arn:aws:iam::{account}:role/team/{role}","roleSessionName":"{name}","durationSeconds":21600,"tags":[{{"key":"eks-cluster-arn","value":"arn:aws:eks:{region}:{account}:cluster/prod-cluster"}},{{"key":"eks-cluster-name","value":"prod-cluster"}},{{"key":"kubernetes-namespace","value":"team"}},{{"key":"kubernetes-service-account","value":"{role}"}},{{"key":"kubernetes-pod-name","value":"api-{workload:02}-{pod}-7d9f6c5b8-x2x9z"}},{{"key":"kubernetes-pod-uid","value":"{id}"}}],"transitiveTagKeys":["eks-cluster-arn","eks-cluster-name","kubernetes-namespace"]}},"responseElements":{{"credentials":{{"accessKeyId":"ASIAEXAMPLE{slot:09}","sessionToken":"{token}","expiration":"Nov 20, 2026, 3:20:04 PM"}},"assumedRoleUser":{{"assumedRoleId":"AROAEXAMPLE{workload:010}:{name}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{name}"}},"packedPolicySize":56}},"resources":[{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/team/{role}"}}],{}"#,
                    tail("Management", true)
                )
            }
            2..4 => write!(
                out,
                r#"{{"eventVersion":"1.09",{node},"eventTime":"{time}","eventSource":"eks-auth.amazonaws.com","eventName":"AssumeRoleForPodIdentity",{place},"requestParameters":{{"clusterName":"prod-cluster","token":"HIDDEN_DUE_TO_SECURITY_REASONS"}},"responseElements":null,{}"#,
                tail("Management", true)
            ),
            4..14 => write!(
                out,
                r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::{account}:user/ci","accountId":"{account}","accessKeyId":"AKIAEXAMPLE","userName":"ci"}},"eventTime":"{time}","eventSource":"ecr.amazonaws.com","eventName":"BatchGetImage",{place},"requestParameters":{{"repositoryName":"{role}","imageIds":[{{"imageTag":"v1"}}]}},"responseElements":null,{}"#,
                tail("Management", true)
            ),
            n => {
                // A workload does few things, and does them often.
                let habit = (workload + self.below(4)) % CALLS.len();
                let (service, call, parameters) = CALLS.get(habit).copied().unwrap_or_default();
                let object = self.uuid();
                let parameters = parameters
                    .replace("BUCKET", &format!("{role}-data"))
                    .replace("REGION", region)
                    .replace("ACCOUNT", account)
                    .replace("TABLE", &role)
                    .replace("KEY", "0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11")
                    .replace("ID", &object);
                let resources = match service {
                    "s3" => format!(
                        r#""resources":[{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::{role}-data/data/{object}"}},{{"accountId":"{account}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{role}-data"}}],"#
                    ),
                    "kms" => format!(
                        r#""resources":[{{"accountId":"{account}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{region}:{account}:key/0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11"}}],"#
                    ),
                    "dynamodb" => format!(
                        r#""resources":[{{"accountId":"{account}","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:{region}:{account}:table/{role}"}}],"#
                    ),
                    _ => String::new(),
                };
                let error = if n < 18 {
                    r#""errorCode":"AccessDenied","errorMessage":"User is not authorized to perform this action because no identity-based policy allows it","#
                } else {
                    ""
                };
                let more = format!(
                    r#""additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{request}","bytesTransferredOut":{}}},"#,
                    self.below(100_000)
                );
                write!(
                    out,
                    r#"{{"eventVersion":"1.11",{session},"eventTime":"{time}","eventSource":"{service}.amazonaws.com","eventName":"{call}",{place},{error}"requestParameters":{parameters},"responseElements":null,{more}{resources}{}"#,
                    tail("Data", false)
                )
            }
        };
        debug_assert!(done.is_ok());
    }
}
