//! Whatever breaks a file, the reader keeps the rest, names what it left, and reads the same at
//! once and through a window.

use super::*;
use proptest::prelude::*;
use std::io::{Read, Write as _};

/// Remembers event ids.
#[derive(Default)]
struct Ids(Vec<String>);

impl Sink for Ids {
    fn event(&mut self, event: &Event<'_>, _: &mut Tally) -> Result<(), Fault> {
        self.0.push(event.event_id()?.to_owned());
        Ok(())
    }
}

fn at_once(bytes: &[u8]) -> (Vec<String>, Tally) {
    let (mut ids, mut tally) = (Ids::default(), Tally::default());
    Reader::new("f", &mut ids, &mut tally, u64::MAX).bytes(&mut Inflater::default(), bytes);
    (ids.0, tally)
}

/// Gives few bytes at a time.
struct Drip<'d>(&'d [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(out.len()).min(7);
        let (now, later) = self.0.split_at(n);
        out[..n].copy_from_slice(now);
        self.0 = later;
        Ok(n)
    }
}

fn through_a_window(bytes: &[u8]) -> (Vec<String>, Tally) {
    let (mut ids, mut tally) = (Ids::default(), Tally::default());
    let mut window = Window::over(Box::new(Drip(bytes)), false);
    let mut reader = Reader::new("f", &mut ids, &mut tally, u64::MAX);
    while window.step(&mut reader) {}
    (ids.0, tally)
}

fn record(n: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"Root","note":"a \"quoted\" {{ brace ]"}},"eventName":"Call","eventID":"e-{n}","list":[1,{{"x":null}},"y"]}}"#
    )
}

/// The same records in every wrapping.
fn wrapped(n: usize, how: usize) -> String {
    let records: Vec<String> = (0..n).map(record).collect();
    match how {
        0 => format!("{{\"Records\":[{}]}}", records.join(",")),
        1 => format!("[\n  {}\n]\n", records.join(",\n  ")),
        2 => records.join("\n"),
        3 => format!("{{\"NextToken\":\"\", \"Events\" : [ {} ], \"More\": {{\"Records\": 7}}}}", records.join(" , ")),
        _ => {
            let rows = records.iter().map(|r| format!("{{\"CloudTrailEvent\":{}}}", serde_json::json!(r)));
            format!("{{\"Events\":[{}]}}", rows.collect::<Vec<_>>().join(","))
        }
    }
}

proptest! {
    #[test]
    fn a_window_reads_what_is_read_at_once(n in 1_usize..6, how in 0_usize..5) {
        let text = wrapped(n, how);
        let expected: Vec<String> = (0..n).map(|n| format!("e-{n}")).collect();
        for (ids, tally) in [at_once(text.as_bytes()), through_a_window(text.as_bytes())] {
            prop_assert_eq!(&ids, &expected);
            prop_assert_eq!((tally.malformed, tally.problems.len()), (0, 0));
        }
    }

    #[test]
    fn damage_is_named_and_costs_the_same_both_ways(
        n in 1_usize..5,
        how in 0_usize..5,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = wrapped(n, how).into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if bytes.starts_with(&[0x1f, 0x8b]) || is_utf16(&bytes) {
            return Ok(());
        }
        let (ids, tally) = at_once(&bytes);
        let (windowed, windowed_tally) = through_a_window(&bytes);
        prop_assert!(ids.len() <= n + 1);
        prop_assert!(tally.malformed > 0 || !tally.problems.is_empty() || tally.events > 0 || bytes.is_empty());
        // Records that a first pass read before the damage are kept as they were, and those after it
        // are found again in the same way.
        prop_assert_eq!((&ids, tally.events), (&windowed, windowed_tally.events));
    }

    #[test]
    fn a_gzip_stream_that_is_damaged_is_named_or_whole(n in 1_usize..40, place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(wrapped(n, 0).as_bytes()).unwrap();
        let mut bytes = encoder.finish().unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let (ids, tally) = at_once(&bytes);
        let expected: Vec<String> = (0..n).map(|n| format!("e-{n}")).collect();
        prop_assert!(!tally.problems.is_empty() || ids == expected, "{:?}", ids);
    }
}

/// Every byte of a text is replaced in turn by each that means something to JSON.
#[test]
fn no_single_wrong_byte_makes_the_two_ways_differ() {
    for how in 0..5 {
        let text = wrapped(3, how).into_bytes();
        for place in 0..text.len() {
            for byte in *b"0-.et\"\\{}[],: \n\xff" {
                let mut bytes = text.clone();
                bytes[place] = byte;
                let ((ids, tally), (windowed, windowed_tally)) = (at_once(&bytes), through_a_window(&bytes));
                let told = String::from_utf8_lossy(&bytes);
                assert_eq!((&ids, tally.events), (&windowed, windowed_tally.events), "{told}");
                assert!(ids.len() == 3 || tally.malformed > 0, "{told}: {ids:?}");
            }
        }
    }
}

#[test]
fn one_broken_record_costs_only_itself() {
    let records: Vec<String> = (0..5).map(record).collect();
    for broken in [
        r#"{"eventVersion":"1.1", "eventName" "x"}"#,
        r#"{"eventVersion":nul}"#,
        r#"{"a":[}]}"#,
        r#"{"eventName":"open}"#,
    ] {
        let text = format!("{{\"Records\":[{},{},{broken},{},{}]}}", records[0], records[1], records[3], records[4]);
        for (ids, tally) in [at_once(text.as_bytes()), through_a_window(text.as_bytes())] {
            assert_eq!(ids, ["e-0", "e-1", "e-3", "e-4"], "{broken}");
            assert!(tally.malformed >= 1 && tally.kinds.contains_key(&ProblemKind::Json), "{broken}: {tally:?}");
        }
    }
}

#[test]
fn many_members_are_one_file() {
    let member = |range: std::ops::Range<usize>| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for n in range {
            encoder.write_all(format!("{}\n", record(n)).as_bytes()).unwrap();
        }
        encoder.finish().unwrap()
    };
    // Members of one size: their trailer alone does not tell that there are two.
    let bytes = [member(0..3), member(3..6), member(6..9)].concat();
    let (ids, tally) = at_once(&bytes);
    assert_eq!((ids.len(), tally.problems.len()), (9, 0), "{:?}", tally.problems);
    let mut lying = member(0..3);
    let size = lying.len() - 4;
    lying[size..].copy_from_slice(&5_u32.to_le_bytes());
    assert_eq!(at_once(&lying).0.len(), 3, "a size that is not true costs nothing");
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_named() {
    let mut bytes = wrapped(2, 0).into_bytes();
    let at = bytes.windows(6).position(|w| w == b"quoted").unwrap();
    bytes[at] = 0xff;
    for (ids, tally) in [at_once(&bytes), through_a_window(&bytes)] {
        assert_eq!(ids, ["e-0", "e-1"]);
        assert_eq!(tally.kinds.get(&ProblemKind::Text), Some(&1));
    }
}

/// Records around one of that many megabytes, an object or a text.
fn giant(object: bool, megabytes: u64) -> Box<dyn Read + Send> {
    let inside =
        if object { "{\"eventName\":\"Call\",\"eventID\":\"giant\",\"requestParameters\":{\"x\":\"" } else { "\"" };
    let after = if object { "\"}}" } else { "\"" };
    let start = format!("{{\"Records\":[{},{inside}", record(0));
    let end = format!("{after},{}]}}", record(1));
    Box::new(
        std::io::Cursor::new(start.into_bytes())
            .chain(std::io::repeat(b'x').take(megabytes * 1024 * 1024))
            .chain(std::io::Cursor::new(end.into_bytes())),
    )
}

#[test]
fn a_giant_record_is_skipped_within_a_bound_of_memory() {
    for (object, megabytes) in [(true, 200), (false, 40)] {
        let (mut ids, mut tally) = (Ids::default(), Tally::default());
        let mut reading = Reading::new("g", giant(object, megabytes));
        while reading.piece(&mut Inflater::default(), &mut ids, &mut tally, u64::MAX).unwrap() {}
        assert_eq!(ids.0, ["e-0", "e-1"]);
        assert_eq!((tally.malformed, tally.kinds.get(&ProblemKind::Giant)), (1, Some(&1)));
        assert_eq!((tally.problems[0].record, &*tally.problems[0].field), (Some(1), "/Records/1"));
    }
}

#[test]
fn a_source_that_fails_is_an_error_and_no_end() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the wire was cut"))
        }
    }
    let (mut ids, mut tally) = (Ids::default(), Tally::default());
    let long = std::io::repeat(b' ').take(u64::try_from(MAX_TEXT).unwrap() + 10);
    let sources: [Box<dyn Read + Send>; 2] = [Box::new(long.chain(Broken)), Box::new(Broken)];
    for source in sources {
        let mut reading = Reading::new("b", source);
        let ended = std::iter::repeat_with(|| reading.piece(&mut Inflater::default(), &mut ids, &mut tally, u64::MAX));
        assert!(ended.take_while(|piece| !matches!(piece, Ok(false))).any(|piece| piece.is_err()));
    }
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Records as others hand them on.
fn enveloped(n: usize) -> Vec<(&'static str, String)> {
    let records: Vec<String> = (0..n).map(record).collect();
    let quoted: Vec<String> = records.iter().map(|record| serde_json::json!(record).to_string()).collect();
    let each = |of: &[String], make: &dyn Fn(&str) -> String, between: &str| {
        of.iter().map(|record| make(record)).collect::<Vec<_>>().join(between)
    };
    let bridge = |record: &str| {
        format!(
            r#"{{"version":"0","id":"x","detail-type":"AWS API Call via CloudTrail","source":"aws.sts","resources":[],"detail":{record},"region":"eu-west-1"}}"#
        )
    };
    let line = |record: &str| format!(r#"{{"id":"1","timestamp":1790845500000,"message":{record}}}"#);
    let subscription = |record: &str| {
        format!(r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logEvents":[{}]}}"#, line(record))
    };
    let filebeat = |record: &str| {
        format!(r#"{{"@timestamp":"2026-10-01T09:10:00Z","event":{{"kind":"event","original":{record}}}}}"#)
    };
    vec![
        ("one after the other", records.concat()),
        ("EventBridge, one after the other", each(&records, &bridge, "")),
        ("EventBridge, one a line", each(&records, &bridge, "\n")),
        ("EventBridge, a list", format!("[{}]", each(&records, &bridge, ","))),
        ("subscription", format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{}]}}"#, each(&quoted, &line, ","))),
        ("subscriptions through Firehose", each(&quoted, &subscription, "")),
        (
            "filter-log-events",
            format!("{{\n  \"events\": [{}],\n  \"searchedLogStreams\": []\n}}", each(&quoted, &line, ",")),
        ),
        (
            "get-log-events",
            format!(
                r#"{{"events":[{}],"nextForwardToken":"f/1","nextBackwardToken":"b/1"}}"#,
                each(&quoted, &line, ",")
            ),
        ),
        ("Filebeat", each(&quoted, &filebeat, "\n")),
        ("export", each(&records, &|record| format!("2026-10-01T09:11:00.000Z {record}"), "\n")),
    ]
}

#[test]
fn envelopes_are_opened_in_any_encoding() {
    for n in [1, 3] {
        let expected: Vec<String> = (0..n).map(|n| format!("e-{n}")).collect();
        for (how, text) in enveloped(n) {
            let utf16: Vec<u8> =
                std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
            let big_endian: Vec<u8> =
                std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
            let marked = format!("\u{feff}{text}").into_bytes();
            let once = zipped(text.as_bytes());
            let ways = [text.into_bytes(), marked, zipped(&utf16), utf16, big_endian, zipped(&once), once];
            for (way, bytes) in ways.into_iter().enumerate() {
                let (ids, tally) = at_once(&bytes);
                assert_eq!(ids, expected, "{how}, {way}: {:?}", tally.problems);
                assert_eq!((tally.malformed, tally.problems.len()), (0, 0), "{how}, {way}: {:?}", tally.problems);
                assert!(crate::records::begins_as_records(&bytes), "{how}, {way}");
            }
        }
    }
}

#[test]
fn what_is_beside_an_event_in_its_envelope_is_no_part_of_it() {
    let text = format!(r#"{{"eventID":"outer","detail":{},"eventID":"after"}}"#, record(0));
    assert_eq!(at_once(text.as_bytes()).0, ["e-0"]);
    let control = r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","message":"CWL CONTROL MESSAGE: Checking health of destination"}]}"#;
    let (ids, tally) = at_once(control.as_bytes());
    assert_eq!((ids.len(), tally.events, tally.malformed, tally.problems.len()), (0, 0, 0, 0));
    let other =
        r#"{"detail-type":"EC2 Instance State-change Notification","detail":{"instance-id":"i-1","state":"running"}}"#;
    assert_eq!(at_once(other.as_bytes()).1.malformed, 1, "what is no record is counted");
}

#[test]
fn a_page_that_names_a_next_is_not_all() {
    for (text, is_page) in [
        (format!("{{\"Events\":[{}],\"NextToken\":\"t\"}}", record(0)), true),
        (format!("{{\"nextToken\":\"t\",\"events\":[{}]}}", record(0)), true),
        (format!("{{\"Events\":[{}],\"NextToken\":\"\"}}", record(0)), false),
        (format!("{{\"Events\":[{}],\"NextToken\":null}}", record(0)), false),
    ] {
        for (ids, tally) in [at_once(text.as_bytes()), through_a_window(text.as_bytes())] {
            assert_eq!(ids, ["e-0"]);
            assert_eq!(tally.kinds.get(&ProblemKind::Page).copied(), is_page.then_some(1), "{text}");
            assert_eq!((tally.damaged.contains("f"), tally.malformed), (is_page, 0));
        }
    }
}

/// Values of so many levels, in lists, objects and both.
fn nests(levels: usize) -> [String; 3] {
    let objects = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let mixed = format!("{}{}", "[{\"a\":".repeat(levels / 2), if levels % 2 == 1 { "[]" } else { "null" });
    [format!("{}{}", "[".repeat(levels), "]".repeat(levels)), objects, format!("{mixed}{}", "}]".repeat(levels / 2))]
}

/// Where in a record a value may lie, and how many levels are around it.
const PLACES: [(&str, &str, usize); 16] = [
    ("\"unheard\":", "", 1),
    ("\"tlsDetails\":", "", 1),
    ("\"requestParameters\":", "", 1),
    ("\"requestParameters\":{\"roleArn\":\"r\",\"x\":", "}", 2),
    ("\"requestParameters\":{\"roleArn\":", "}", 2),
    ("\"requestParameters\":{\"durationSeconds\":", "}", 2),
    ("\"requestParameters\":{\"tags\":", "}", 2),
    ("\"requestParameters\":{\"tags\":[{\"key\":\"k\",\"value\":", "}]}", 4),
    ("\"requestParameters\":{\"principalTags\":{\"k\":", "}}", 3),
    ("\"responseElements\":{\"credentials\":{\"sessionToken\":", "}}", 3),
    ("\"resources\":", "", 1),
    ("\"resources\":[{\"ARN\":", "}]", 3),
    ("\"userIdentity\":", "", 1),
    ("\"userIdentity\":{\"sessionContext\":{\"sessionIssuer\":{\"x\":", "}}}", 4),
    ("\"eventVersion\":\"1.11\",\"userAgent\":", "", 1),
    ("\"note\":\"[[[{{{ \\\" [{\",\"additionalEventData\":", "", 1),
];

#[test]
fn a_record_that_is_too_deep_costs_only_itself_wherever_it_is_deep() {
    for (place, (before, after, around)) in PLACES.into_iter().enumerate() {
        for levels in [30, 33, 36, 127, 128, 129, 25_000].map(|levels| levels - around) {
            for (n, nested) in nests(levels).into_iter().enumerate() {
                if levels > 1_000 && n != place % 3 {
                    continue;
                }
                let deep = format!("{{\"eventID\":\"deep\",\"eventName\":\"AssumeRole\",{before}{nested}{after}}}");
                let told = format!("{before} {levels} {n}");
                let fits = levels + around <= DEEPEST;
                check_deep(&deep, fits, &told);
            }
        }
    }
}

fn check_deep(deep: &str, fits: bool, told: &str) {
    let quoted = |record: &str| serde_json::json!(record).to_string();
    let ways = [
        format!("{{\"Records\":[{},{deep},{}]}}", record(0), record(1)),
        format!("[{},\n{deep},\n{}]", record(0), record(1)),
        format!("{}\n{deep}\n{}\n", record(0), record(1)),
        format!("{}{deep}{}", record(0), record(1)),
        format!("{{\"Records\":[{}]}}\n{{\"Records\":[{deep}]}}\n{{\"Records\":[{}]}}", record(0), record(1)),
        format!(
            "{{\"logEvents\":[{{\"message\":{}}},{{\"message\":{}}},{{\"message\":{}}}]}}",
            quoted(&record(0)),
            quoted(deep),
            quoted(&record(1))
        ),
        format!(
            "{{\"Events\":[{{\"CloudTrailEvent\":{}}},{{\"CloudTrailEvent\":{}}},{{\"CloudTrailEvent\":{}}}]}}",
            quoted(&record(0)),
            quoted(deep),
            quoted(&record(1))
        ),
    ];
    let expected: &[&str] = if fits { &["e-0", "deep", "e-1"] } else { &["e-0", "e-1"] };
    let lost = u64::from(!fits);
    for (way, text) in ways.iter().enumerate() {
        for (ids, tally) in
            [at_once(text.as_bytes()), at_once(&zipped(text.as_bytes())), through_a_window(text.as_bytes())]
        {
            assert_eq!(ids, expected, "{told}, {way}: {:?}", tally.problems);
            assert_eq!((tally.malformed, tally.damaged.contains("f")), (lost, !fits), "{told}, {way}");
            let kinds: Vec<_> = tally.kinds.into_iter().collect();
            assert_eq!(kinds, if fits { vec![] } else { vec![(ProblemKind::Deep, 1)] }, "{told}, {way}");
            assert!(tally.unread.is_empty(), "to read it again would give no more: {told}, {way}");
        }
    }
}

#[test]
fn what_is_deep_around_records_is_passed_over() {
    for levels in [30, 33, 128, 25_000] {
        for nested in nests(levels) {
            let texts = [
                format!("{{\"before\":{nested},\"Records\":[{}]}}", record(0)),
                format!("{{\"Records\":[{}],\"after\":{nested}}}", record(0)),
                format!("{{\"Records\":[{}],\"NextToken\":{nested}}}", record(0)),
                format!("{{\"Records\":{{\"x\":{nested}}},\"Events\":[{}]}}", record(0)),
            ];
            for text in texts {
                for (ids, tally) in [at_once(text.as_bytes()), through_a_window(text.as_bytes())] {
                    assert_eq!(
                        (&*ids, tally.malformed),
                        (&["e-0".to_owned()][..], 0),
                        "{levels}: {:?}",
                        tally.problems
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_nothing_but_deep_is_named() {
    for (levels, kinds) in [(129, 3), (25_000, 3), (5_000_000, 1)] {
        for nested in nests(levels).into_iter().take(kinds) {
            let envelope = format!("{{\"detail-type\":\"x\",\"detail\":{{\"eventID\":\"deep\",\"x\":{nested}}}}}");
            let filebeat = format!("{{\"event\":{{\"original\":{nested}}}}}");
            let digest = format!("{{\"digestStartTime\":\"x\",\"logFiles\":{nested}}}");
            let insight = format!("{{\"Records\":[{{\"eventID\":\"i\",\"insightDetails\":{nested}}}]}}");
            let row = format!("{{\"Events\":[{{\"EventId\":{nested}}}]}}");
            for text in [format!("[{nested}]"), envelope, filebeat, digest, insight, row] {
                let (ids, tally) = at_once(text.as_bytes());
                assert_eq!((ids.len(), tally.malformed), (0, 1), "{levels}: {:?}", tally.problems);
                assert_eq!(tally.kinds.get(&ProblemKind::Deep), Some(&1), "{levels}: {:?}", tally.problems);
            }
            // Neither an end nor anything else: what opens and never closes.
            let open = format!("{{\"Records\":[{},{{\"x\":{}", record(0), nested.split_at(levels).0);
            for (ids, tally) in [at_once(open.as_bytes()), through_a_window(open.as_bytes())] {
                assert_eq!((&*ids, tally.malformed), (&["e-0".to_owned()][..], 1), "{levels}: {:?}", tally.problems);
                assert!(tally.unread.contains_key("f"));
            }
        }
    }
}

#[test]
fn what_stands_within_a_record_that_is_too_deep_is_no_record() {
    let forged = record(7);
    let deep = format!(
        "{{\"eventVersion\":\"1.11\",\"eventID\":\"deep\",\"requestParameters\":{{\"x\":{},\"y\":{forged}}}}}",
        nests(200)[0]
    );
    for text in [format!("{{\"Records\":[{deep},{}]}}", record(1)), format!("{deep}\n{}", record(1))] {
        for (ids, tally) in [at_once(text.as_bytes()), through_a_window(text.as_bytes())] {
            assert_eq!((&*ids, tally.malformed), (&["e-1".to_owned()][..], 1));
        }
    }
}

#[test]
fn what_the_quick_way_refuses_and_is_right_is_read() {
    // Numbers that no float holds and halves of pairs are nothing that a record needs.
    for odd in ["1e999", "-1e999", "\"\\ud800\"", "{\"\\udc00\":1}", "[1e999,\"\\ud800\"]"] {
        let text = format!("{{\"Records\":[{},{{\"eventID\":\"odd\",\"x\":{odd}}},{}]}}", record(0), record(1));
        for (ids, tally) in [at_once(text.as_bytes()), through_a_window(text.as_bytes())] {
            assert_eq!((&*ids, tally.malformed), (&["e-0", "odd", "e-1"].map(str::to_owned)[..], 0), "{odd}");
        }
    }
}

#[test]
fn a_text_of_nothing_but_beginnings_is_not_looked_through_from_each() {
    let filler = "x".repeat(16_000);
    let text = format!("[{}", format!("{{\"eventVersion\":\"{filler}\",\"x\":").repeat(600));
    let (ids, tally) = at_once(text.as_bytes());
    assert!(ids.is_empty());
    let last = tally.problems.last().unwrap();
    assert!(last.message.contains("too much of it is broken"), "{last}");
    assert!(tally.unread.contains_key("f") && tally.damaged.contains("f"));
}

proptest! {
    #[test]
    fn lines_are_counted_on_from_the_last(text in "[a\n ü]{0,40}", places in proptest::collection::vec(0_usize..60, 1..8)) {
        let mut splitter = Splitter::new("");
        for place in places {
            let before = text.as_bytes().get(..place).unwrap_or(text.as_bytes()).trim_ascii_end();
            let lines = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(splitter.line(&text, place), lines);
        }
    }

    #[test]
    fn a_text_is_too_deep_as_its_brackets_say(text in r#"[\[\]{}"\\ a]{0,60}"#, around in 100_usize..140) {
        let text = format!("{}{text}", "[".repeat(around));
        let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'[' | b'{' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        prop_assert_eq!(is_deeper(&text, DEEPEST), deepest > DEEPEST);
    }
}
