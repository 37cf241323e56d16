//! Trails as a whole: what is counted once however it comes.

use crate::fixture::{AWAY, HOME, at, call, opening, settle, wrap};
use chrono::TimeDelta;
use proptest::prelude::*;
use rolecall_cloudtrail::{AggregatedBatch, EventAggregator, Limits, ProblemKind, TrailDay, TrailFile, Use};
use rolecall_estate::{Networks, Session};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

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

fn other(id: usize) -> Value {
    let mut record = call(id, HOME, 0, 0, 0, 0, 0);
    record["userIdentity"] = json!({"type": "IAMUser", "accountId": HOME, "accessKeyId": "AKIA"});
    record
}

fn event() -> impl Strategy<Value = (usize, usize, usize, usize, u32, usize, usize)> {
    (0..8_usize, 0..2_usize, 0..2_usize, 0..4_usize, 0..72_u32, 0..3_usize, 0..2_usize)
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
