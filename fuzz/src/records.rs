//! The laws of what is read from trails and from files.

use rolecall_audit::{drift, facts};
use rolecall_cloudtrail::session_name::PodIdentityName;
use rolecall_cloudtrail::{EventAggregator, Limits, ProblemKind, TrailFile, read_bounded, read_event, session_name};
use rolecall_declared::{Defaults, Reader};
use rolecall_import::{FileKind, InputFile, read_files};
use rolecall_rules::{RuleSet, SourceFile};
use std::collections::BTreeMap;
use std::io::Read;

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

/// Any bytes declare something, are passed over, or are named as a problem; each with a line that the file
/// has. Terraform, CloudFormation, eksctl and Kubernetes are told by what the file holds.
pub fn declared(bytes: &[u8]) {
    let mut reader = Reader::new(Defaults::default());
    reader.file("f", bytes);
    let declared = reader.finish();
    let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(declared.problems.iter().all(|it| (1..=lines).contains(&it.line)));
    assert!(declared.declarations.iter().all(|it| (1..=lines).contains(&it.place.line)));
    assert!(declared.unplaced.iter().all(|it| (1..=lines).contains(&it.place.line)));
}

/// Any text is baselines, each with a line that the file has, or faults; what was read is written as it was read.
pub fn baseline(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (found, faults) = drift::baseline::parse("f", &text);
    let lines = text.split('\n').count();
    assert!(
        found.iter().map(|(line, _)| *line).chain(faults.iter().map(|it| it.line)).all(|it| (1..=lines).contains(&it))
    );
    let Some((_, first)) = found.first() else { return };
    let written = drift::baseline::write(first.account_id, found.iter().map(|(_, it)| it));
    let (again, faults) = drift::baseline::parse("f", &written);
    assert!(faults.is_empty(), "{faults:?}");
    let sorted = |mut list: Vec<drift::baseline::Baseline>| {
        list.sort_by(|a, b| a.resource.cmp(&b.resource));
        list
    };
    let plain = |list: Vec<(usize, drift::baseline::Baseline)>| sorted(list.into_iter().map(|(_, it)| it).collect());
    assert_eq!(plain(again), plain(found));
}

/// Gives few bytes at a time.
struct Drip<'d>(&'d [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let few = self.0.get(..7).unwrap_or(self.0);
        let n = (&*few).read(out)?;
        self.0 = self.0.get(n..).unwrap_or_default();
        Ok(n)
    }
}

/// A file is read the same from memory and piece by piece, and after UTF-16's mark anything is read or
/// named, too.
pub fn pieces(bytes: &[u8]) {
    let marked = [&[0xff, 0xfe], bytes].concat();
    for bytes in [bytes, &marked] {
        let limits = Limits { max_decompressed: 1 << 20, latest: None };
        let (mut whole, mut pieces) = (EventAggregator::new(limits), EventAggregator::new(limits));
        whole.read("x", bytes);
        let mut file = TrailFile::new("x", Drip(bytes));
        while pieces.read_piece(&mut file).expect("memory does not fail") {}
        let (whole, pieces) = (whole.finish_batch(&BTreeMap::new()), pieces.finish_batch(&BTreeMap::new()));
        assert_eq!(whole.stats, pieces.stats);
        assert_eq!((whole.uses, whole.unread, whole.damaged), (pieces.uses, pieces.unread, pieces.damaged));
    }
}

/// Fields under which records, and what is around them, keep others.
const FIELDS: [&str; 16] = [
    "Records",
    "Events",
    "logEvents",
    "detail",
    "userIdentity",
    "sessionContext",
    "sessionIssuer",
    "requestParameters",
    "responseElements",
    "resources",
    "tags",
    "credentials",
    "tlsDetails",
    "RoleDetailList",
    "associations",
    "Statement",
];

/// JSON as deep and as large as the bytes say, closed or not.
#[must_use]
pub fn nested(bytes: &[u8]) -> String {
    let (mut text, mut open) = (String::new(), Vec::new());
    for byte in bytes.iter().take(256) {
        // Mostly few, now and then many.
        let many = usize::from(byte >> 3);
        let many = if many >= 28 { 1 << (many - 16) } else { many % 4 + 1 };
        if text.len() + many * 24 > 1 << 20 {
            break;
        }
        let field = FIELDS.get(usize::from(byte >> 4)).copied().unwrap_or_default();
        match byte % 8 {
            0 => (0..many).for_each(|_| {
                text.push('[');
                open.push(']');
            }),
            1 => (0..many).for_each(|_| {
                text.push_str("{\"a\":");
                open.push('}');
            }),
            2 => {
                text.push_str(&format!("{{\"{field}\":"));
                open.push('}');
            }
            3 => text.push_str(&format!("\"{}\"", "x[{".repeat(many))),
            4 => (0..many).for_each(|_| text.extend(open.pop())),
            5 => text.push_str(",\"b\":"),
            6 => text.push_str("{\"eventVersion\":\"1.11\",\"eventID\":\"e\","),
            _ => {
                text.push_str([",", "1", "null", "\n", "\"", "1e999", ":", "\"\\ud800\""].get(many % 8).unwrap_or(&""));
            }
        }
    }
    if bytes.last().is_some_and(|last| last % 2 == 0) {
        text.extend(open.iter().rev());
    }
    text
}

/// However deep and large, a text is read or named by every reader.
pub fn deep(bytes: &[u8]) {
    let text = nested(bytes);
    trail(text.as_bytes());
    let record = read_event(&text);
    let levels = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    assert!(levels > 128 || record.as_ref().err().is_none_or(|problem| problem.kind != ProblemKind::Deep));
    import([&[bytes.len().to_le_bytes()[0]], text.as_bytes()].concat().as_slice());
    rules(text.as_bytes());
}

const RULE: &str = "apiVersion: rolecall/v1\nkind: Rule\nmetadata: {id: x, title: x, severity: low, category: trust, description: x, risk: x, remediation: {text: x}}\nspec:\n  subject: role\n  message: \"'x'\"\n  match: ";

/// Any text is rules or mistakes that have a place and something to say; an expression likewise.
pub fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let quoted = format!("{RULE}'{}'\n", text.replace('\'', "''"));
    for text in [text.into_owned(), quoted] {
        let file = SourceFile { path: "r.yaml".to_owned(), text };
        let (rules, mistakes) = RuleSet::load_lenient(&[file], facts::schema());
        assert!(mistakes.iter().all(|it| it.line > 0 && it.column > 0 && !it.message.is_empty()));
        assert!(rules.rules().iter().all(|rule| !rule.meta().id.is_empty()));
    }
}

/// Any text is a session's name of some shape, or of none, and no cut is longer than the whole.
pub fn names(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes);
    let cut = session_name::cut(&name);
    assert!(cut.len() <= name.len());
    let shape = session_name::shape(&name);
    assert_eq!(session_name::shape(&shape).into_owned(), shape, "{name}");
    let _of = (session_name::producer(&name), session_name::is_instance_id(&name), session_name::is_default(&name));
    if let Some(parsed) = PodIdentityName::parse(&name) {
        assert!(session_name::is_valid(&name) && name.ends_with(parsed.uuid()));
        assert!(parsed.readings().count() <= name.len());
    }
}
