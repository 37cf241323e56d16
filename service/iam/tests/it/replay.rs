//! The fuzz targets' functions over the kept corpus and over random bytes.

#[path = "../../../../fuzz/src/language.rs"]
mod language;

use proptest::prelude::*;
use std::path::Path;

/// A target's name and its function.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 6] = [
    ("document", language::document),
    ("pattern", language::pattern),
    ("condition", language::condition),
    ("arn", language::arn),
    ("decide", language::decide),
    ("case", language::case),
];

#[test]
fn the_kept_corpus_breaks_no_law() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{name}");
        for file in files {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn drawn_requests_come_to_every_outcome() {
    let mut counts = std::collections::BTreeMap::new();
    let mut state = 7_u64;
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..120)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        *counts.entry(language::drawn(&bytes)).or_insert(0) += 1;
    }
    assert!(counts.len() == 4 && counts.values().all(|count| *count >= 4), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn decisions_keep_their_laws(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        language::decide(&bytes);
    }

    #[test]
    fn conditions_keep_their_laws(
        operator in "(ForA(ny|ll)Values?:)?(String(Not)?(Equals|Like)(IgnoreCase)?|Numeric(Not)?Equals|Date(Not)?Equals|(Not)?IpAddress|Arn(Not)?Like|Bool|Null)(IfExists)?",
        actual in "[a1.*:/-]{0,6}", values in prop::collection::vec("[a1.*?:/-]{0,6}|\\$\\{k:k\\}|\\$\\{x:y, '1'\\}", 0..3),
    ) {
        language::condition([operator, actual].into_iter().chain(values).collect::<Vec<_>>().join("\n").as_bytes());
    }

    #[test]
    fn names_keep_their_laws(text in "arn(:[a-z0-9]{0,3}){3}:(111122223333)?:(role/)?[a-z/:*]{0,9}|[0-9]{11,13}") {
        language::arn(text.as_bytes());
    }
}
