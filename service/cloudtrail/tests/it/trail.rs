//! Trails as a whole: what is counted once however it comes, and which pod each session belongs to.

use crate::shared;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rolecall_cloudtrail::evidence::Disagreement;
use rolecall_cloudtrail::{
    AggregatedBatch, EventAggregator, History, Limits, ProblemKind, Stats, TrailDay, TrailFile, Use,
    attribute_sessions, evidence,
};
use rolecall_estate::{
    Association, AssociationDetail, AssociationKey, AssociationSpan, AttributionMethod, Networks, Session,
    SessionAttribution, SessionKind,
};
use rolecall_import::{InputFile, read_files};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

const UUID: &str = "0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11";
const HOME: &str = "111122223333";
const AWAY: &str = "444455556666";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What the store keeps, and how it takes a batch: all of it, or nothing.
#[derive(Debug, Default, Clone, PartialEq)]
struct Kept {
    sessions: BTreeMap<(String, String), Session>,
    uses: BTreeMap<String, Use>,
    seen: BTreeMap<TrailDay, BTreeSet<u64>>,
}

impl Kept {
    fn settle(&self, mut aggregator: EventAggregator) -> AggregatedBatch {
        let counted = aggregator
            .fingerprints()
            .into_iter()
            .map(|(place, all)| {
                let seen = self.seen.get(&place);
                let known = all.into_iter().filter(|f| seen.is_some_and(|seen| seen.contains(f))).collect();
                (place, known)
            })
            .collect();
        aggregator.finish_batch(&counted)
    }

    fn save(&mut self, settled: &AggregatedBatch) {
        for session in &settled.sessions {
            let key = (session.account_id.to_string(), session.event_id.clone());
            assert!(self.sessions.insert(key, session.clone()).is_none(), "a session is new or not there");
        }
        for one in &settled.uses {
            self.uses
                .entry(format!("{:?}", one.key()))
                .and_modify(|kept| kept.absorb(one))
                .or_insert_with(|| one.clone());
        }
        for one in &settled.withdrawn {
            let key = format!("{:?}", one.key());
            let kept = self.uses.get_mut(&key).expect("what is taken off was counted");
            kept.count -= one.count;
            kept.errors -= one.errors;
            kept.denied -= one.denied;
            if kept.count == 0 {
                self.uses.remove(&key);
            }
        }
        for (place, new) in &settled.fingerprints {
            self.seen.entry(place.clone()).or_default().extend(new);
        }
    }
}

fn call(id: usize, account: &str, role: usize, key: usize, deed: usize, hour: u32, error: usize) -> Value {
    let (source, name, resource) = [
        ("s3.amazonaws.com", "GetObject", Some(format!("arn:aws:s3:::ledger/{id}"))),
        ("s3.amazonaws.com", "HeadObject", Some(format!("arn:aws:s3:::ledger/x/{id}"))),
        ("kms.amazonaws.com", "Decrypt", Some("arn:aws:kms:eu-west-1:111122223333:key/k".to_owned())),
        ("nobody.amazonaws.com", "KnowsThis", None),
    ][deed]
        .clone();
    let mut record = json!({
        "eventVersion": "1.11", "eventID": format!("e-{id}"), "eventName": name, "eventSource": source,
        "eventTime": format!("2026-11-{:02}T{:02}:20:04Z", 20 + hour / 24, hour % 24), "awsRegion": "eu-west-1",
        "recipientAccountId": account, "sourceIPAddress": format!("10.0.0.{}", id % 7), "eventCategory": "Data",
        "userIdentity": {
            "type": "AssumedRole", "accountId": account, "accessKeyId": format!("ASIA{key}"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/r{role}/s{key}"),
            "sessionContext": {"sessionIssuer": {"arn": format!("arn:aws:iam::{account}:role/team/r{role}")}},
        },
    });
    if let Some(resource) = resource {
        record["resources"] = json!([{"ARN": resource}]);
    }
    if let Some(code) = [None, Some("AccessDenied"), Some("NoSuchKey")][error] {
        record["errorCode"] = json!(code);
    }
    record
}

fn opening(id: usize, account: &str, role: usize, key: usize, hour: u32) -> Value {
    let mut record = call(id, account, role, key, 0, hour, 0);
    record["eventSource"] = json!("sts.amazonaws.com");
    record["eventName"] = json!("AssumeRole");
    record["requestParameters"] =
        json!({"roleArn": format!("arn:aws:iam::{account}:role/r{role}"), "roleSessionName": "hop"});
    record["responseElements"] =
        json!({"credentials": {"accessKeyId": format!("ASIANEW{id}"), "sessionToken": "SECRET"}});
    record
}

fn other(id: usize) -> Value {
    let mut record = call(id, HOME, 0, 0, 0, 0, 0);
    record["userIdentity"] = json!({"type": "IAMUser", "accountId": HOME, "accessKeyId": "AKIA"});
    record
}

fn event() -> impl Strategy<Value = (usize, usize, usize, usize, u32, usize, usize)> {
    (0..8_usize, 0..2_usize, 0..2_usize, 0..4_usize, 0..72_u32, 0..3_usize, 0..2_usize)
}

fn wrap(records: &[Value], how: usize) -> Vec<u8> {
    let text = match how % 4 {
        0 => json!({"Records": records}).to_string(),
        1 => serde_json::to_string_pretty(records).unwrap(),
        2 => records.iter().map(|record| format!("{record}\n")).collect(),
        _ => {
            let rows: Vec<Value> =
                records.iter().map(|record| json!({"CloudTrailEvent": record.to_string()})).collect();
            json!({"Events": rows}).to_string()
        }
    };
    if how < 4 {
        return text.into_bytes();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// What one reading of everything, in order and once, gives.
fn plainly(records: &[Value]) -> Kept {
    let mut kept = Kept::default();
    let mut aggregator = EventAggregator::new(Limits::default());
    aggregator.read("all", &wrap(records, 0));
    let settled = kept.settle(aggregator);
    assert_eq!(settled.stats.duplicates, 0);
    kept.save(&settled);
    kept
}

/// What a VPC endpoint records of a call that passes it.
fn network_activity(call: &Value) -> Value {
    let mut record = call.clone();
    let fields = record.as_object_mut().unwrap();
    for field in ["resources", "requestParameters", "responseElements", "userAgent", "errorCode"] {
        fields.remove(field);
    }
    record["eventID"] = json!(format!("n-{}", call["eventID"].as_str().unwrap()));
    record["eventType"] = json!("AwsVpceEvent");
    record["eventCategory"] = json!("NetworkActivity");
    record["vpcEndpointId"] = json!("vpce-0b1");
    record
}

fn refused_by_endpoint(call: &Value) -> Value {
    let mut record = network_activity(call);
    record["errorCode"] = json!("VpceAccessDenied");
    record
}

/// What is kept of records that come each at least once, some several times, in any order, in any
/// files and batches, which are saved, lost before saving, or saved and yet delivered again.
fn deliver(
    records: &[Value],
    extra: &[prop::sample::Index],
    order: &[u32],
    files: &[(usize, usize)],
    batches: &[(usize, u8)],
) -> Result<Kept, TestCaseError> {
    let delivered = records.iter().chain(extra.iter().map(|index| index.get(records)));
    let mut keyed: Vec<(u32, &Value)> = order.iter().copied().cycle().zip(delivered).collect();
    keyed.sort_by_key(|(order, _)| *order);
    let mut rest: Vec<Value> = keyed.into_iter().map(|(_, record)| record.clone()).collect();
    let mut queue: std::collections::VecDeque<Vec<u8>> = std::collections::VecDeque::new();
    for (size, how) in files.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let file: Vec<Value> = rest.drain(..(*size).min(rest.len())).collect();
        queue.push_back(wrap(&file, *how));
    }
    let mut kept = Kept::default();
    let mut plan = batches.iter();
    while !queue.is_empty() {
        let (size, fate) = plan.next().copied().unwrap_or((3, 0));
        let files: Vec<Vec<u8>> = queue.drain(..size.min(queue.len())).collect();
        let mut aggregator = EventAggregator::new(Limits::default());
        for file in &files {
            aggregator.read("f", file);
        }
        let settled = kept.settle(aggregator);
        prop_assert_eq!(&settled.problems, &[]);
        if fate != 1 {
            kept.save(&settled);
        }
        if matches!(fate, 1 | 2) {
            queue.extend(files);
        }
    }
    Ok(kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn splits_orders_duplicates_and_crashes_change_nothing(
        events in proptest::collection::vec(event(), 1..24),
        extra in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        order in proptest::collection::vec(any::<u32>(), 40),
        files in proptest::collection::vec((1_usize..5, 0_usize..8), 40),
        batches in proptest::collection::vec((1_usize..4, 0_u8..4), 200),
    ) {
        let records: Vec<Value> = events
            .iter()
            .enumerate()
            .map(|(id, (kind, role, key, deed, hour, error, away))| {
                let account = [HOME, AWAY][*away];
                match kind {
                    0..5 => call(id, account, *role, *key, *deed, *hour, *error),
                    5..7 => opening(id, account, *role, *key, *hour),
                    _ => other(id),
                }
            })
            .collect();
        let expected = plainly(&records);

        let kept = deliver(&records, &extra, &order, &files, &batches)?;
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn a_call_and_its_network_activity_event_count_once_however_they_come(
        events in proptest::collection::vec((0..4_usize, 0..2_usize, 0..4_usize, 0..23_u32, 0..2_usize), 1..16),
        extra in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        order in proptest::collection::vec(any::<u32>(), 40),
        files in proptest::collection::vec((1_usize..4, 0_usize..8), 40),
        batches in proptest::collection::vec((1_usize..3, 0_u8..4), 200),
    ) {
        let calls = |id: usize, (kind, key, deed, hour, error): &(usize, usize, usize, u32, usize)| -> Vec<Value> {
            let mut own = call(id, HOME, 0, *key, *deed, *hour, 2 * error);
            own["requestID"] = json!(format!("q-{id}"));
            let twin = network_activity(&own);
            let refused = refused_by_endpoint(&own);
            match kind {
                0 => vec![own],
                1 => vec![own, twin],
                2 => vec![twin],
                _ => vec![refused],
            }
        };
        let records: Vec<Value> = events.iter().enumerate().flat_map(|(id, event)| calls(id, event)).collect();
        let expected = plainly(&records);
        prop_assert_eq!(expected.uses.values().map(|one| one.count).sum::<u64>(), u64::try_from(events.len()).unwrap());
        let kept = deliver(&records, &extra, &order, &files, &batches)?;
        let totals = |kept: &Kept| -> BTreeMap<String, (u64, u64, u64)> {
            kept.uses.iter().map(|(key, one)| (key.clone(), (one.count, one.errors, one.denied))).collect()
        };
        prop_assert_eq!(totals(&kept), totals(&expected));
        prop_assert_eq!(kept.sessions, expected.sessions);
    }

    #[test]
    fn uses_add_up_in_any_order(counts in proptest::collection::vec((1_u64..9, 0_i64..99, 1_u8..32, 0_usize..4), 2..6), turn in 0_usize..6) {
        let one = |(count, minutes, networks, source): &(u64, i64, u8, usize)| {
            let time = at("2026-11-20T09:00:00Z") + TimeDelta::minutes(*minutes);
            let mut aggregator = EventAggregator::new(Limits::default());
            aggregator.read("f", &wrap(&[call(1, HOME, 0, 0, 0, 9, 0)], 0));
            let mut one = aggregator.finish_batch(&BTreeMap::new()).uses.remove(0);
            one.count = *count;
            one.first = time;
            one.last = time;
            one.networks = Networks::from_bits(*networks);
            one.source = [None, Some("a"), Some("b"), Some("c")][*source].map(str::to_owned);
            one
        };
        let uses: Vec<Use> = counts.iter().map(one).collect();
        let sum = |uses: &[Use]| {
            let (first, rest) = uses.split_first().unwrap();
            let mut sum = first.clone();
            rest.iter().for_each(|other| sum.absorb(other));
            sum
        };
        let mut turned = uses.clone();
        turned.rotate_left(turn % uses.len());
        prop_assert_eq!(sum(&turned), sum(&uses));
        let (left, right) = uses.split_at(1 + turn % (uses.len() - 1));
        prop_assert_eq!(sum(&[sum(left), sum(right)]), sum(&uses));
    }
}

fn settle(records: &[Value]) -> AggregatedBatch {
    let mut aggregator = EventAggregator::new(Limits { latest: Some(at("2026-11-23T00:00:00Z")), ..Limits::default() });
    aggregator.read("f", &wrap(records, 0));
    aggregator.finish_batch(&BTreeMap::new())
}

#[test]
fn calls_add_up_by_what_was_done_to_what() {
    let settled = settle(&[
        call(1, HOME, 0, 0, 0, 9, 0),
        call(2, HOME, 0, 0, 1, 10, 1),
        call(3, HOME, 0, 0, 0, 8, 2),
        call(4, HOME, 0, 0, 3, 8, 0),
        call(5, HOME, 0, 0, 2, 30, 0),
        other(6),
    ]);
    let brief = |one: &Use| (one.action.clone(), one.mapped, one.shape.clone(), one.count, one.errors, one.denied);
    let uses: Vec<_> = settled.uses.iter().map(brief).collect();
    let shape = |text: &str| Some(text.to_owned());
    assert_eq!(
        uses,
        [
            ("nobody.amazonaws.com:KnowsThis".to_owned(), false, None, 1, 0, 0),
            ("s3:GetObject".to_owned(), true, shape("arn:aws:s3:::ledger/*"), 3, 2, 1),
            ("kms:Decrypt".to_owned(), true, shape("arn:aws:kms:eu-west-1:111122223333:key/k"), 1, 0, 0),
        ]
    );
    let read = &settled.uses[1];
    assert_eq!((read.first, read.last), (at("2026-11-20T08:20:04Z"), at("2026-11-20T10:20:04Z")));
    assert_eq!(read.role_arn, "arn:aws:iam::111122223333:role/team/r0");
    assert_eq!(read.source.as_deref(), Some("10.0.0.1"));
    assert_eq!(settled.stats.unmapped, [("nobody.amazonaws.com:KnowsThis".to_owned(), 1)].into());
    assert_eq!((settled.stats.calls, settled.stats.others.get("IAMUser")), (5, Some(&1)));
}

#[test]
fn network_activity_is_counted_with_its_call_or_alone() {
    let own = |id: usize, name: &str, request: &str| {
        let mut record = call(id, HOME, 0, 0, 0, 9, 0);
        record["eventName"] = json!(name);
        record["requestID"] = json!(request);
        record
    };
    let (list, get, put) = (own(1, "ListBuckets", "A1"), own(2, "GetObject", "A2"), own(3, "PutObject", "A3"));
    let lone = network_activity(&own(4, "DeleteObject", "A4"));
    // A digest or an event of CloudTrail Insights is no call, whatever it names.
    let mut insight = own(5, "PutObject", "A5");
    insight["eventCategory"] = json!("Insight");
    let records =
        [network_activity(&list), list, get.clone(), network_activity(&get), refused_by_endpoint(&put), lone, insight];
    let settled = settle(&records);
    let told: Vec<_> = settled
        .uses
        .iter()
        .map(|one| (one.action.as_str(), one.shape.as_deref(), one.count, one.errors, one.denied))
        .collect();
    assert_eq!(
        told,
        [
            ("s3:DeleteObject", None, 1, 0, 0),
            ("s3:GetObject", Some("arn:aws:s3:::ledger/*"), 1, 0, 0),
            ("s3:ListAllMyBuckets", Some("arn:aws:s3:::ledger/*"), 1, 0, 0),
            ("s3:PutObject", None, 1, 1, 1),
        ]
    );
    let stats = &settled.stats;
    assert_eq!((stats.calls, stats.network, stats.duplicates, stats.malformed), (4, 2, 0, 0));
    assert!(settled.uses.iter().all(|one| one.networks.has(Networks::PRIVATE)));

    // A network activity event of a session's opening opens none.
    let mut opening = opening(6, HOME, 0, 0, 9);
    opening["requestID"] = json!("A6");
    let settled = settle(&[network_activity(&opening)]);
    assert_eq!((settled.sessions.len(), settled.stats.calls), (0, 1));
}

#[test]
fn the_places_of_a_sessions_calls_are_kept_as_networks() {
    let from = |id: usize, hour: u32, address: &str, agent: &str| {
        let mut record = call(id, HOME, 0, 0, 0, hour, 0);
        record["sourceIPAddress"] = json!(address);
        record["userAgent"] = json!(agent);
        record
    };
    let (boto, cli) = ("Boto3/1.35.1 ua/2.0 os/linux#6.1", "aws-cli/2.17.0 ua/2.0 os/macos#23.6.0");
    let mut through = from(4, 12, "10.0.4.9", boto);
    through["vpcEndpointId"] = json!("vpce-0b1");
    let records = [
        from(1, 11, "10.0.3.2", boto),
        from(2, 9, "10.0.3.1", boto),
        from(3, 23, "198.51.100.7", cli),
        through,
        // What AWS calls for the session is from nowhere.
        from(5, 10, "athena.amazonaws.com", "athena.amazonaws.com"),
    ];
    type Told = (Option<String>, Option<String>, Option<String>, String, Option<String>);
    let told = |settled: &AggregatedBatch| -> Vec<Told> {
        let each = settled.origins.iter().map(|one| {
            let first = one.first.format("%H").to_string();
            (one.network.clone(), one.endpoint.clone(), one.agent.clone(), first, one.source.clone())
        });
        each.collect()
    };
    let some = |text: &str| Some(text.to_owned());
    let boto = some("boto3 on linux");
    let expected = vec![
        (some("10.0.0.0/16"), None, boto.clone(), "09".to_owned(), some("10.0.3.1")),
        (some("10.0.0.0/16"), some("vpce-0b1"), boto, "12".to_owned(), some("10.0.4.9")),
        (some("198.51.100.7"), None, some("aws-cli on macos"), "23".to_owned(), some("198.51.100.7")),
    ];
    assert_eq!(told(&settle(&records)), expected);
    // In any order, and however often they come.
    let mut reversed: Vec<Value> = records.iter().rev().cloned().collect();
    reversed.extend(records.iter().cloned());
    assert_eq!(settle(&reversed).origins, settle(&records).origins);

    // A session that calls from everywhere is bounded, and says so.
    let many: Vec<Value> = (0..200).map(|n| from(n, 9, &format!("198.51.100.{n}"), "x")).collect();
    let origins = settle(&many).origins;
    assert_eq!((origins.len(), origins.iter().filter(|one| one.is_rest).count()), (65, 1));
}

#[test]
fn a_call_is_counted_in_its_callers_account_only() {
    let mut copy = call(1, HOME, 0, 0, 0, 9, 0);
    copy["recipientAccountId"] = json!(AWAY);
    let settled = settle(&[copy]);
    assert_eq!((settled.uses.len(), settled.stats.copies, settled.stats.calls), (0, 1, 0));
}

#[test]
fn resources_that_only_parameters_name_are_known_too() {
    let cases = [
        ("s3", "PutBucketTagging", json!({"bucketName": "b"}), "arn:aws:s3:::b"),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({"secretId": "db"}),
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db",
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({"secretId": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf"}),
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf",
        ),
        (
            "sqs",
            "SendMessage",
            json!({"queueUrl": "https://sqs.eu-west-1.amazonaws.com/111122223333/jobs"}),
            "arn:aws:sqs:eu-west-1:111122223333:jobs",
        ),
        ("ssm", "GetParameter", json!({"name": "/team/x"}), "arn:aws:ssm:eu-west-1:111122223333:parameter/team/x"),
        ("lambda", "Invoke", json!({"functionName": "f"}), "arn:aws:lambda:eu-west-1:111122223333:function:f"),
        ("dynamodb", "GetItem", json!({"tableName": "t"}), "arn:aws:dynamodb:eu-west-1:111122223333:table/t"),
    ];
    for (service, name, parameters, shape) in cases {
        let mut record = call(1, HOME, 0, 0, 3, 9, 0);
        record["eventSource"] = json!(format!("{service}.amazonaws.com"));
        record["eventName"] = json!(name);
        record["requestParameters"] = parameters;
        let settled = settle(&[record]);
        assert_eq!(settled.uses[0].shape.as_deref(), Some(shape), "{service}:{name}");
    }
}

#[test]
fn whatever_is_wrong_with_an_event_is_counted_and_named_and_stops_nothing() {
    let change = |pointer: &str, value: Value| {
        let mut record = call(7, HOME, 0, 0, 0, 9, 0);
        record[pointer] = value;
        record
    };
    let mut nobody = change("userIdentity", json!({"type": "AssumedRole", "accountId": HOME}));
    nobody["recipientAccountId"] = json!(HOME);
    let deep = (0..200).fold(json!({}), |within, _| json!([within]));
    let cases = [
        (change("eventTime", json!("2031-01-01T00:00:00Z")), ProblemKind::Time, "/Records/0/eventTime", 1),
        (change("eventTime", json!("1970-01-01T00:00:00Z")), ProblemKind::Time, "/Records/0/eventTime", 1),
        (change("eventTime", json!("soon")), ProblemKind::Time, "/Records/0/eventTime", 1),
        (change("eventTime", json!("Nov 20, 2026, 9:20:04 AM")), ProblemKind::LocalTime, "/eventTime", 2),
        (change("eventVersion", json!("2.0")), ProblemKind::Version, "/eventVersion", 2),
        (change("eventID", Value::Null), ProblemKind::Missing, "/Records/0/eventID", 1),
        (change("awsRegion", json!("Nowhere!")), ProblemKind::Field, "/Records/0/awsRegion", 1),
        (change("recipientAccountId", json!(HOME.repeat(2))), ProblemKind::Field, "/Records/0/recipientAccountId", 1),
        (change("eventSource", Value::Null), ProblemKind::Missing, "/Records/0/eventSource", 1),
        (change("eventName", Value::Null), ProblemKind::Missing, "/Records/0/eventName", 1),
        (nobody, ProblemKind::Missing, "/Records/0/userIdentity/sessionContext/sessionIssuer/arn", 1),
        (json!(7), ProblemKind::Json, "/Records/0", 1),
        (change("requestParameters", deep), ProblemKind::Deep, "/Records/0", 1),
    ];
    for (record, kind, field, counted) in cases {
        let mut record = record;
        if record["recipientAccountId"] == json!(HOME.repeat(2)) {
            record["userIdentity"]["accountId"] = json!(HOME.repeat(2));
        }
        let settled = settle(&[record.clone(), call(8, HOME, 0, 0, 0, 9, 0)]);
        assert_eq!(settled.stats.problems, [(kind, 1)].into(), "{record}");
        assert_eq!(settled.uses.iter().map(|one| one.count).sum::<u64>(), counted, "{record}");
        assert_eq!((settled.problems.len(), &*settled.problems[0].field), (1, field), "{record}");
        assert!(!settled.problems[0].remedy.is_empty());
        let lost = counted == 1;
        assert_eq!((settled.unread.len(), settled.damaged.len()), (0, usize::from(lost)), "{record}");
    }
}

#[test]
fn files_that_were_not_read_to_their_end_are_told() {
    let whole = wrap(&[call(1, HOME, 0, 0, 0, 9, 0), call(2, HOME, 0, 0, 0, 9, 0)], 0);
    let zipped = wrap(&[call(1, HOME, 0, 0, 0, 9, 0), call(2, HOME, 0, 0, 0, 9, 0)], 4);
    let lines = wrap(&[json!(7), call(1, HOME, 0, 0, 0, 9, 0)], 2);
    let mut aggregator = EventAggregator::new(Limits::default());
    aggregator.read("whole", &whole);
    aggregator.read("cut", &whole[..whole.len() - 40]);
    aggregator.read("cut.gz", &zipped[..zipped.len() - 12]);
    aggregator.read("nonsense", b"nonsense");
    aggregator.read("lines", &lines);
    let settled = aggregator.finish_batch(&BTreeMap::new());
    let unread: Vec<&str> = settled.unread.keys().map(String::as_str).collect();
    assert_eq!(unread, ["cut", "cut.gz", "lines", "nonsense"]);
    assert!(settled.problems.iter().all(|problem| problem.file != "whole"));
    assert_eq!(settled.problems[0].kind, ProblemKind::Json);
}

#[test]
fn every_torn_file_is_told_however_many_problems_there_are() {
    let mut aggregator = EventAggregator::new(Limits::default());
    aggregator.read("noise", &wrap(&vec![json!({"eventName": "AssumeRole"}); 500], 0));
    let whole = wrap(&[call(1, HOME, 0, 0, 0, 9, 0)], 0);
    let torn: Vec<String> = (0..300).map(|n| format!("torn-{n:03}")).collect();
    for name in &torn {
        aggregator.read(name, &whole[..whole.len() - 40]);
    }
    aggregator.read("whole", &whole);
    let settled = aggregator.finish_batch(&BTreeMap::new());
    assert!(settled.problems.len() <= 100);
    assert_eq!(settled.unread.keys().collect::<Vec<_>>(), torn.iter().collect::<Vec<_>>());
    assert!(settled.unread.values().all(|why| !why.is_empty()));
}

#[test]
fn pieces_of_a_file_may_go_to_several_batches() {
    let padding = "x".repeat(60_000);
    let record = |n: usize| {
        let mut record = call(n, HOME, 0, 0, 0, 9, 0);
        record["padding"] = json!("PADDING");
        record
    };
    let mut records: Vec<Value> = (0..700).map(record).collect();
    records[3] = json!({"eventName": "AssumeRole"});
    for how in [0, 2] {
        let whole = String::from_utf8(wrap(&records, how)).unwrap().replace("PADDING", &padding).into_bytes();
        assert!(whole.len() > 40 << 20, "too large to be read at once");
        let torn = &whole[..whole.len() - 9];
        for (bytes, unread) in [(&*whole, false), (torn, true)] {
            let mut file = TrailFile::new("f", bytes);
            let (mut goes_on, mut pieces, mut calls, mut files) = (true, 0, 0, 0);
            let mut last = AggregatedBatch::default();
            while goes_on {
                let mut aggregator = EventAggregator::new(Limits::default());
                goes_on = aggregator.read_piece(&mut file).unwrap();
                assert!(aggregator.weight() < 1 << 20, "no more is held than a piece");
                last = aggregator.finish_batch(&BTreeMap::new());
                (pieces, calls, files) = (pieces + 1, calls + last.stats.calls, files + last.stats.files);
            }
            assert!(pieces > 30 && files == 1, "{pieces} {files}");
            assert_eq!(calls, 699 - u64::from(unread), "{how}");
            // What was wrong in the first piece is known with the last.
            assert_eq!((last.damaged.contains("f"), last.unread.contains_key("f")), (true, unread), "{how}");
        }
    }
}

#[test]
fn events_that_are_months_late_count_on_their_own_day() {
    let mut late = call(1, HOME, 0, 0, 0, 9, 0);
    late["eventTime"] = json!("2026-02-03T04:05:06Z");
    let settled = settle(&[late]);
    let places: Vec<String> = settled.fingerprints.keys().map(|place| place.day.to_string()).collect();
    assert_eq!((places, settled.uses[0].day.to_string()), (vec!["2026-02-03".to_owned()], "2026-02-03".to_owned()));
}

#[test]
fn what_is_kept_never_holds_a_token() {
    let settled = settle(&[opening(1, HOME, 0, 0, 9)]);
    assert!(!format!("{settled:?}").contains("SECRET"));
    assert_eq!((settled.sessions.len(), settled.uses[0].action.as_str()), (1, "sts:AssumeRole"));
}

// Ties.

fn key(cluster: &str, service_account: &str) -> AssociationKey {
    AssociationKey {
        account_id: HOME.parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        cluster: cluster.parse().unwrap(),
        namespace: "payments".parse().unwrap(),
        service_account: service_account.parse().unwrap(),
    }
}

fn association(cluster: &str, service_account: &str, role: &str, target: Option<&str>, no_tags: bool) -> Association {
    Association {
        key: key(cluster, service_account),
        association_id: format!("a-{cluster}-{service_account}"),
        arn: String::new(),
        detail: Some(AssociationDetail {
            role_arn: format!("arn:aws:iam::{HOME}:role/{role}"),
            target_role_arn: target.map(|target| format!("arn:aws:iam::{AWAY}:role/{target}")),
            external_id: None,
            disable_session_tags: no_tags,
            policy: None,
            tags: BTreeMap::new(),
            created_at: Some(at("2026-11-01T00:00:00Z")),
            modified_at: Some(at("2026-11-01T00:00:00Z")),
            extra: BTreeMap::new(),
        }),
        owner_arn: None,
    }
}

fn seen(association: &Association) -> AssociationSpan {
    AssociationSpan::new(association, at("2026-11-22T00:00:00Z"), None)
}

fn session(n: usize, kind: SessionKind, role: &str, name: &str) -> Session {
    Session {
        event_id: format!("e-{n}"),
        account_id: HOME.parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        at: at("2026-11-20T09:00:00Z"),
        kind,
        role_arn: Some(format!("arn:aws:iam::{HOME}:role/{role}")),
        session_name: Some(name.to_owned()),
        access_key_id: Some(format!("ASIA{n}")),
        principal: "pods.eks.amazonaws.com".to_owned(),
        principal_type: "AWSService".to_owned(),
        parent_access_key_id: None,
        source_ip: None,
        tags: BTreeMap::new(),
        external_id: None,
        duration_seconds: None,
        vpc_endpoint: None,
        packed_policy_size: None,
        attribution: None,
        error: None,
        cluster: None,
    }
}

fn tagged(mut session: Session, cluster: &str, service_account: &str) -> Session {
    for (tag, value) in [
        ("eks-cluster-arn", format!("arn:aws:eks:eu-west-1:{HOME}:cluster/{cluster}")),
        ("eks-cluster-name", cluster.to_owned()),
        ("kubernetes-namespace", "payments".to_owned()),
        ("kubernetes-service-account", service_account.to_owned()),
        ("kubernetes-pod-name", "api-7d9f6c5b8-x2x9z".to_owned()),
    ] {
        session.tags.insert(tag.to_owned(), value);
    }
    session
}

fn child(n: usize, of: usize, role: &str) -> Session {
    Session {
        principal: format!("arn:aws:sts::{HOME}:assumed-role/api/x"),
        principal_type: "AssumedRole".to_owned(),
        parent_access_key_id: Some(format!("ASIA{of}")),
        at: at("2026-11-20T09:00:00Z") + TimeDelta::seconds(i64::try_from(n).unwrap()),
        ..session(n, SessionKind::AssumeRole, role, "hop")
    }
}

fn attribution(sessions: &[Session], associations: &[Association]) -> Vec<SessionAttribution> {
    attribute_sessions(sessions, &History::new(associations.iter().map(seen).collect()), &|_| None)
}

fn name(cluster: &str, pod: &str) -> String {
    rolecall_cloudtrail::session_name::pod_identity_name(cluster, pod, UUID)
}

#[test]
fn a_session_keeps_the_attribution_that_it_has() {
    let mut pod = session(1, SessionKind::PodIdentity, "api", "eks-prod-api");
    let known = SessionAttribution {
        method: AttributionMethod::Tags,
        association_id: Some("a-elsewhere".to_owned()),
        ..SessionAttribution::default()
    };
    pod.attribution = Some(Box::new(known.clone()));
    let attributions = attribution(&[pod, child(2, 1, "data")], &[]);
    assert_eq!(attributions[0], known);
    // What it opened follows from it.
    assert_eq!((attributions[1].method, attributions[1].depth), (AttributionMethod::Chain, 1));
    assert_eq!(attributions[1].association_id, known.association_id);
}

#[test]
fn tags_tie_a_session_to_the_association_that_was_valid() {
    let api = association("prod", "api", "api", None, false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let attributions = attribution(from_ref(&pod), from_ref(&api));
    assert_eq!(
        (attributions[0].method, attributions[0].association.as_ref()),
        (AttributionMethod::Tags, Some(&api.key))
    );
    assert_eq!(attributions[0].pod.as_deref(), Some("api-7d9f6c5b8-x2x9z"));

    let reason = |spans: Vec<AssociationSpan>, pod: &Session| {
        let attribution = attribute_sessions(from_ref(pod), &History::new(spans), &|_| None).remove(0);
        assert_eq!((attribution.method, &attribution.association), (AttributionMethod::Tags, &None));
        assert_eq!((attribution.service_account.as_deref(), attribution.association.is_none()), (Some("api"), true));
        attribution.reason.unwrap()
    };
    assert!(reason(vec![], &pod).contains("no association"));
    let ended = AssociationSpan::new(&api, at("2026-11-02T00:00:00Z"), Some(at("2026-11-10T00:00:00Z")));
    assert!(reason(vec![ended], &pod).contains("gone"));
    let early = Session { at: at("2026-10-01T00:00:00Z"), ..pod.clone() };
    assert!(reason(vec![seen(&api)], &early).contains("later"));

    // Changed after the session, but the same association.
    let mut changed = api.clone();
    changed.detail.as_mut().unwrap().modified_at = Some(at("2026-11-21T00:00:00Z"));
    assert_eq!(attribution(&[pod], &[changed])[0].association_id.as_deref(), Some("a-prod-api"));
}

#[test]
fn without_tags_role_and_name_decide_or_say_that_they_cannot() {
    let associations = [
        association("prod", "api", "shared", None, true),
        association("prod", "web", "shared", None, true),
        association("development", "api", "shared", None, true),
        association("prod", "solo", "solo", None, true),
        association("prod", "talks", "shared", None, false),
    ];
    let cases = [
        ("solo", name("prod", "api"), AttributionMethod::Name, vec![], Some("prod"), Some("solo")),
        ("shared", name("development", "api"), AttributionMethod::Name, vec![], Some("development"), Some("api")),
        (
            "shared",
            name("prod", "api"),
            AttributionMethod::Ambiguous,
            vec!["a-prod-api", "a-prod-web"],
            Some("prod"),
            None,
        ),
        ("shared", name("elsewhere", "api"), AttributionMethod::None, vec![], None, None),
        ("unknown", name("prod", "api"), AttributionMethod::None, vec![], None, None),
    ];
    for (role, name, by, candidates, cluster, account) in cases {
        let attribution = attribution(&[session(1, SessionKind::PodIdentity, role, &name)], &associations).remove(0);
        assert_eq!(
            (attribution.method, attribution.candidates, attribution.cluster.as_deref()),
            (by, candidates.iter().map(ToString::to_string).collect(), cluster),
            "{role} {name}"
        );
        assert_eq!(attribution.service_account.as_deref(), account, "{role} {name}");
        assert_eq!(attribution.reason.is_none(), by == AttributionMethod::Name);
    }
}

#[test]
fn a_chain_of_sessions_is_one_story_in_any_order() {
    let api = association("prod", "api", "api", Some("data"), false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let target = Session { kind: SessionKind::PodIdentityTarget, ..child(2, 1, "data") };
    let further = child(3, 2, "more");
    let last = child(4, 3, "most");
    let copy = Session {
        event_id: "copy".to_owned(),
        account_id: AWAY.parse().unwrap(),
        parent_access_key_id: None,
        principal: "AROAX:hop".to_owned(),
        ..further.clone()
    };
    let all = [last, copy, further, target, pod];
    for turn in 0..all.len() {
        let mut turned = all.to_vec();
        turned.rotate_left(turn);
        let attributions = attribution(&turned, from_ref(&api));
        let of = |id: &str| &attributions[turned.iter().position(|s| s.event_id == id).unwrap()];
        for (id, by, depth) in [
            ("e-1", AttributionMethod::Tags, 0),
            ("e-2", AttributionMethod::Chain, 1),
            ("e-3", AttributionMethod::Chain, 2),
            ("copy", AttributionMethod::AccessKey, 2),
            ("e-4", AttributionMethod::Chain, 3),
        ] {
            let attribution = of(id);
            assert_eq!(
                (attribution.method, attribution.depth, attribution.association.as_ref()),
                (by, depth, Some(&api.key)),
                "{id}"
            );
        }
        assert_eq!(of("e-4").parent.as_deref(), Some("ASIA3"));
    }
}

/// Sessions of which any may have opened any other, at any time.
fn stories() -> impl Strategy<Value = Vec<Session>> {
    let one = (0_usize..8, prop::option::of(0_usize..10), 0_u8..6, -30_i64..30, any::<bool>());
    prop::collection::vec(one, 1..14).prop_map(|drawn| {
        let sessions = drawn.into_iter().enumerate().map(|(n, (key, parent, kind, seconds, away))| {
            let api = name("prod", "api");
            let (kind, role) = match kind {
                0 | 1 => (SessionKind::PodIdentity, "api"),
                2 => (SessionKind::PodIdentity, "shared"),
                3 => (SessionKind::PodIdentityTarget, "data"),
                _ => (SessionKind::AssumeRole, "more"),
            };
            let mut session = session(n, kind, role, &api);
            session.access_key_id = Some(format!("ASIA{key}"));
            session.at += TimeDelta::seconds(seconds);
            if kind != SessionKind::PodIdentity {
                session.parent_access_key_id = parent.map(|parent| format!("ASIA{parent}"));
                session.principal = format!("arn:aws:sts::{HOME}:assumed-role/api/{api}");
            } else if role == "api" {
                session = tagged(session, "prod", if away { "api" } else { "web" });
            }
            if away {
                session.account_id = AWAY.parse().unwrap();
            }
            session
        });
        sessions.collect()
    })
}

proptest! {
    #[test]
    fn ties_do_not_depend_on_the_order_or_on_clocks((told, shuffled) in stories().prop_flat_map(|told| {
        (Just(told.clone()), Just(told).prop_shuffle())
    })) {
        let associations = [
            association("prod", "api", "api", Some("data"), false),
            association("prod", "web", "api", None, false),
            association("prod", "one", "shared", None, true),
            association("prod", "two", "shared", None, true),
        ];
        let by_event = |sessions: &[Session]| -> BTreeMap<String, SessionAttribution> {
            let attributions = attribution(sessions, &associations);
            sessions.iter().zip(attributions).map(|(session, attribution)| (session.event_id.clone(), attribution)).collect()
        };
        let expected = by_event(&told);
        prop_assert_eq!(&expected, &by_event(&shuffled));
        let mut askew = told;
        for session in &mut askew {
            session.at = at("2026-11-20T09:00:00Z");
        }
        prop_assert_eq!(expected, by_event(&askew));
    }
}

#[test]
fn a_parent_that_comes_late_mends_the_tie() {
    let api = association("prod", "api", "api", None, false);
    let history = History::new(vec![seen(&api)]);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let hop = child(2, 1, "more");
    let alone = attribute_sessions(from_ref(&hop), &history, &|_| None).remove(0);
    assert_eq!((alone.method, alone.association.is_none()), (AttributionMethod::None, true));
    let parent = attribute_sessions(from_ref(&pod), &history, &|_| None).remove(0);
    let known = |key: &str| (key == "ASIA1").then(|| parent.clone());
    let later = attribute_sessions(from_ref(&hop), &history, &known).remove(0);
    let together = attribute_sessions(&[hop, pod], &history, &|_| None).remove(0);
    assert_eq!((&later, later.association.is_none()), (&together, false));
    assert_eq!(later.method, AttributionMethod::Chain);
}

#[test]
fn what_a_caller_says_of_itself_ties_nothing() {
    let api = association("prod", "api", "api", Some("data"), true);
    // Tags and a name of a pod's, set by somebody with a key of his own.
    let imitation = tagged(child(2, 1, "api"), "prod", "api");
    let imitation = Session {
        session_name: Some(name("prod", "api")),
        principal: "arn:aws:sts::111122223333:assumed-role/dev/mallory".to_owned(),
        ..imitation
    };
    assert_eq!(attribution(from_ref(&imitation), from_ref(&api))[0].method, AttributionMethod::None);
    // The parent is known, and is no pod.
    let parent = Session { kind: SessionKind::Saml, ..session(1, SessionKind::Saml, "dev", "mallory") };
    let attributions = attribution(&[imitation, parent], &[api]);
    assert_eq!((attributions[0].method, attributions[0].parent.as_deref()), (AttributionMethod::None, Some("ASIA1")));
    assert!(attributions[0].reason.as_deref().unwrap().contains("no pod"));
}

#[test]
fn a_parent_of_a_later_second_is_the_parent() {
    let api = association("prod", "api", "api", None, false);
    let mut pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    pod.at += TimeDelta::seconds(9);
    let hop = child(2, 1, "more");
    let history = History::new(vec![seen(&api)]);
    let parent = attribute_sessions(from_ref(&pod), &history, &|_| None).remove(0);
    let later = attribute_sessions(from_ref(&hop), &history, &|key| (key == "ASIA1").then(|| parent.clone())).remove(0);
    assert!(pod.at > hop.at);
    let together = attribute_sessions(&[hop, pod], &history, &|_| None).remove(0);
    assert_eq!((together.method, &together), (AttributionMethod::Chain, &later));
}

#[test]
fn closed_and_long_chains_end() {
    let api = association("prod", "api", "api", None, false);
    let mut ring: Vec<Session> = (0..5).map(|n| child(n, (n + 1) % 5, "r")).collect();
    for session in &mut ring {
        session.at = at("2026-11-20T09:00:00Z");
    }
    assert!(attribution(&ring, from_ref(&api)).iter().all(|attribution| attribution.method == AttributionMethod::None));
    let mut chain = vec![tagged(session(0, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api")];
    chain.extend((1..5000).map(|n| child(n, n - 1, "r")));
    chain.reverse();
    let attributions = attribution(&chain, &[api]);
    assert!(attributions.iter().all(|attribution| attribution.association.is_some()));
    assert_eq!(attributions[0].depth, u8::MAX);
}

// Evidence.

fn disagreements(session: &Session, spans: Vec<AssociationSpan>) -> Vec<Disagreement> {
    let history = History::new(spans);
    let attribution = attribute_sessions(from_ref(session), &history, &|_| None).remove(0);
    evidence::disagreements(session, &attribution, &history)
}

#[test]
fn a_session_that_differs_from_its_association_says_how() {
    let api = association("prod", "api", "api", None, false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api-7d9f6c5b8-x2x9z")), "prod", "api");
    assert_eq!(disagreements(&pod, vec![seen(&api)]), []);

    let off = association("prod", "api", "api", None, true);
    assert_eq!(disagreements(&pod, vec![seen(&off)]), [Disagreement::TagsWhileOff]);
    assert_eq!(disagreements(&pod, vec![]), [Disagreement::NoAssociation]);
    let early = Session { at: at("2026-10-01T00:00:00Z"), ..pod.clone() };
    assert_eq!(disagreements(&early, vec![seen(&api)]), [Disagreement::BeforeAssociation]);
    let bare = Session { tags: BTreeMap::new(), ..pod.clone() };
    assert_eq!(disagreements(&bare, vec![seen(&api)]), [Disagreement::TagsMissing]);
    let renamed = Session { session_name: Some(name("other", "api")), ..pod.clone() };
    assert_eq!(disagreements(&renamed, vec![seen(&api)]), [Disagreement::NameOfOtherCluster]);
    let renamed = Session { session_name: Some(name("prod", "web")), ..pod.clone() };
    assert_eq!(disagreements(&renamed, vec![seen(&api)]), [Disagreement::NameOfOtherPod]);

    // Gone, or changed: within the cache window pods may still hold what they had.
    for (hours, target, is_ghost) in [(5, None, false), (7, None, true), (5, Some("data"), true)] {
        let change = pod.at - TimeDelta::hours(hours);
        let old = association("prod", "api", "api", target, false);
        let ended = AssociationSpan::new(&old, at("2026-11-02T00:00:00Z"), Some(change));
        assert_eq!(disagreements(&pod, vec![ended.clone()]), [Disagreement::AfterEnd { ended: change, is_ghost }]);
        let mut new = association("prod", "api", "stronger", target, false);
        new.detail.as_mut().unwrap().modified_at = Some(change);
        let expected = "arn:aws:iam::111122223333:role/stronger".to_owned();
        let found = disagreements(&pod, vec![ended, AssociationSpan::new(&new, change, None)]);
        assert_eq!(found, [Disagreement::Role { expected, since: change, is_ghost }]);
    }
}

#[test]
fn a_service_account_with_irsa_and_pod_identity_is_seen_with_both() {
    let api = association("prod", "api", "api", None, false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let web = Session {
        principal: "system:serviceaccount:payments:api".to_owned(),
        ..session(2, SessionKind::WebIdentity, "irsa", "token-file-web-identity")
    };
    let stranger = Session { principal: "system:serviceaccount:payments:web".to_owned(), ..web.clone() };
    let denied = Session { error: Some("AccessDenied".to_owned()), ..web.clone() };
    let found =
        |sessions: &[Session]| evidence::both_credentials(sessions.iter().zip(&attribution(sessions, from_ref(&api))));
    let both = found(&[pod.clone(), web.clone(), web]);
    assert_eq!((both.len(), both[0].irsa.sessions, both[0].pod_identity.sessions), (1, 2, 1));
    assert_eq!(both[0].irsa.roles, ["arn:aws:iam::111122223333:role/irsa".to_owned()].into());
    assert_eq!(found(&[pod, stranger, denied]), []);
}

#[test]
fn calls_of_instances_are_known_by_the_name_of_their_session() {
    let mut by_node = call(1, HOME, 0, 0, 0, 9, 0);
    by_node["userIdentity"]["arn"] = json!("arn:aws:sts::111122223333:assumed-role/node/i-0123456789abcdef0");
    let uses = settle(&[by_node, call(2, HOME, 1, 1, 2, 9, 0)]).uses;
    let found = evidence::instance_uses(&uses, &[]);
    assert_eq!((found.len(), found[0].action.as_str(), found[0].calls), (1, "s3:GetObject", 1));
    assert!(found[0].role_arn.contains(":role/"));
    assert_eq!(evidence::instance_uses(&[], &[]), []);
}

#[test]
fn networks_beyond_the_expected_ones_are_told() {
    let mut outside = call(1, HOME, 0, 0, 0, 9, 0);
    outside["sourceIPAddress"] = json!("198.51.100.7");
    let uses = settle(&[outside, call(2, HOME, 1, 1, 2, 9, 0)]).uses;
    let found = evidence::unexpected_networks(&uses, Networks::PRIVATE.and(Networks::ENDPOINT));
    assert_eq!(
        found.iter().map(|(one, beyond)| (&*one.action, *beyond)).collect::<Vec<_>>(),
        [("s3:GetObject", Networks::PUBLIC)]
    );
}

// Data of others.

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

fn harvest(root: &Path, skip: &[&str]) -> AggregatedBatch {
    let mut paths = Vec::new();
    files(root, &mut paths);
    let mut aggregator = EventAggregator::new(Limits { latest: Some(at("2026-11-23T00:00:00Z")), ..Limits::default() });
    for path in paths.iter().filter(|path| !skip.iter().any(|name| path.ends_with(name))) {
        aggregator.read(&path.display().to_string(), &std::fs::read(path).unwrap());
    }
    aggregator.finish_batch(&BTreeMap::new())
}

/// Counts of ties, with a session of a pod that is neither tied nor explained as a failure.
fn figures(sessions: &[Session], attributions: &[SessionAttribution]) -> Figures {
    let mut figures = BTreeMap::new();
    for (session, attribution) in sessions.iter().zip(attributions) {
        assert!(
            attribution.association.is_some() || attribution.reason.as_ref().is_some_and(|why| !why.is_empty()),
            "{session:?} {attribution:?}"
        );
        *figures.entry((session.kind.as_str(), attribution.method.as_str())).or_insert(0) += 1;
    }
    figures
}

/// The files of an invented company, with the trail of fourteen days; gone when it is dropped.
struct Demo(PathBuf);

impl Demo {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rolecall-cloudtrail-{name}-{}", std::process::id()));
        rolecall_sandbox::demo::estate("2026-11-23T06:00:00Z".parse().unwrap()).to_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // What stays in a folder for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Figures = BTreeMap<(&'static str, &'static str), usize>;

/// The associations and the trail of an estate's folder: counts of sessions by kind and attribution, of their
/// reasons, and what the trail held.
fn attributed(root: &Path) -> (usize, Figures, BTreeMap<String, usize>, Stats) {
    let mut paths = Vec::new();
    files(&root.join("eks"), &mut paths);
    let input: Vec<InputFile> = paths
        .into_iter()
        .map(|path| InputFile {
            path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
            bytes: std::fs::read(&path).unwrap(),
        })
        .collect();
    let associations: Vec<Association> =
        read_files(&input).observations.into_iter().flat_map(|observation| observation.snapshot.associations).collect();
    let batch = harvest(&root.join("trail"), &[]);
    let history = History::new(associations.iter().map(seen).collect());
    let attributions = attribute_sessions(&batch.sessions, &history, &|_| None);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (session, attribution) in batch.sessions.iter().zip(&attributions) {
        if let Some(reason) = &attribution.reason {
            *reasons.entry(format!("{}: {reason}", session.kind.as_str())).or_insert(0) += 1;
        }
    }
    (associations.len(), figures(&batch.sessions, &attributions), reasons, batch.stats)
}

#[test]
fn every_session_of_an_estate_is_attributed_or_says_why() {
    let demo = Demo::new("attributed");
    let (associations, figures, reasons, stats) = attributed(&demo.0);
    assert_eq!((associations, stats.malformed, &stats.problems), (51, 0, &BTreeMap::new()));
    assert_eq!(
        figures,
        [
            (("agent_request", "none"), 644),
            (("assume_role", "chain"), 14),
            (("assume_role", "name"), 7),
            (("assume_role", "none"), 19),
            (("pod_identity", "name"), 28),
            (("pod_identity", "tags"), 630),
            (("pod_identity_target", "chain"), 14),
            (("pod_identity_target", "name"), 28),
            (("pod_identity_target", "tags"), 14),
            (("service", "none"), 84),
            (("web_identity", "none"), 84),
        ]
        .into()
    );
    assert_eq!(reasons.get("pod_identity: no association of its service account is known"), Some(&14));

    let Some(root) = shared("estate-small") else { return };
    let (associations, figures, reasons, stats) = attributed(&root);
    assert_eq!(associations, 42);
    assert_eq!((stats.events, stats.malformed, &stats.problems), (8058, 0, &BTreeMap::new()));
    assert_eq!(
        figures,
        [
            (("agent_request", "none"), 245),
            (("assume_role", "access_key"), 6),
            (("assume_role", "chain"), 6),
            (("pod_identity", "name"), 28),
            (("pod_identity", "tags"), 207),
            (("pod_identity_target", "tags"), 95),
            (("service", "none"), 137),
        ]
        .into()
    );
    assert_eq!(reasons.get("pod_identity: no association of its service account is known"), Some(&3));
    assert_eq!((stats.calls, stats.refused, &stats.unmapped), (7647, 16, &BTreeMap::new()));
}

#[test]
fn records_of_many_kinds_give_uses_and_no_problem() {
    let demo = Demo::new("records");
    let own = harvest(&demo.0.join("trail"), &[]).stats;
    assert_eq!((own.events, own.malformed), (1601, 0));

    let Some(root) = shared("cloudtrail") else { return };
    // These two hold API answers and names, not records.
    let settled = harvest(&root, &["api-samples.json", "session-names.json"]);
    assert_eq!((settled.stats.events, settled.stats.malformed), (314, 0));
}
