//! Any bytes are read or named as a problem; a scope without a gap is never claimed of a file that
//! could not be read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_audit::import::{FileKind, InputFile, read_files};

const PATHS: [&str; 5] = [
    "loose.json",
    "iam/111122223333/gaad.json",
    "eks/111122223333/eu-west-1/pod_identity_associations.json",
    "trail/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/01/x.json",
    "organizations/tree.json",
];

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (path, bytes) = input;
    let path = PATHS[usize::from(path) % PATHS.len()].to_owned();
    let import = read_files(&[InputFile { path, bytes }]);
    assert_eq!(import.read.len(), 1);
    if import.read[0].kind == FileKind::Unrecognised {
        assert!(!import.problems.is_empty());
        let complete = import.observations.iter().flat_map(|o| o.coverage.scopes());
        assert!(complete.filter(|(scope, _)| scope.kind.as_str() != "entry").all(|(_, gaps)| !gaps.is_empty()));
    }
});
