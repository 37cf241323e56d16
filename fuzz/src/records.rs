//! The laws of what is read from trails and from files.

use rolecall_audit::import::{FileKind, InputFile, read_files};
use rolecall_audit::trail::read_bounded;

const PATHS: [&str; 5] = [
    "loose.json",
    "iam/111122223333/gaad.json",
    "eks/111122223333/eu-west-1/pod_identity_associations.json",
    "trail/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/01/x.json",
    "organizations/tree.json",
];

/// Any bytes are CloudTrail records or problems.
pub fn trail(bytes: &[u8]) {
    let read = read_bounded("x.json", bytes, 1 << 20);
    assert!(read.sessions.len() <= read.events);
}

/// Any bytes are read or named as a problem; a scope without a gap is never claimed of a file that
/// could not be read, nor of a loose one in which AWS does not say that it is the last page. The first byte says which file it is.
pub fn import(bytes: &[u8]) {
    let (first, bytes) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let path = PATHS.get(usize::from(first) % PATHS.len()).copied().unwrap_or_default().to_owned();
    let is_loose = path == "loose.json";
    let import = read_files(&[InputFile { path, bytes: bytes.to_vec() }]);
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    if is_loose && !text.contains("istruncated") && !bytes.starts_with(&[0x1f, 0x8b]) && !text.contains('\0') {
        let complete = import.observations.iter().flat_map(|o| o.coverage.scopes()).filter(|(_, gaps)| gaps.is_empty());
        let complete = complete.map(|(scope, _)| scope.kind.as_str());
        assert!(complete.into_iter().all(|kind| matches!(kind, "entry" | "association_details")));
    }
    assert_eq!(import.read.len(), 1);
    if import.read.iter().any(|file| file.kind == FileKind::Unrecognised) {
        assert!(!import.problems.is_empty());
        let complete = import.observations.iter().flat_map(|o| o.coverage.scopes());
        assert!(complete.filter(|(scope, _)| scope.kind.as_str() != "entry").all(|(_, gaps)| !gaps.is_empty()));
    }
}
