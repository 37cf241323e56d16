//! CloudTrail records into sessions, and into what was done with them.
//!
//! Knows every wrapping in which records come: a trail file (`{"Records": […]}`), a bare array,
//! JSON lines, values one after the other, one record, the answer of `LookupEvents`, the envelopes of
//! EventBridge, CloudWatch Logs and Filebeat, lines of an export with a time before; each gzipped or
//! not, in UTF-8 or with the mark of UTF-16; which records are
//! sessions: STS `AssumeRole`, `AssumeRoleWithWebIdentity`, `AssumeRoleWithSAML` and eks-auth
//! `AssumeRoleForPodIdentity`, granted or refused; how calls of role sessions add up to uses; and
//! to which association a session belongs. Reads in one pass and borrows from the bytes, so that a
//! file costs little more than its decompressed size.
//!
//! A record that cannot be read is counted and named; the others are kept. Session tokens are never
//! copied out of the bytes. Refuses to know where the bytes came from and where the result is kept.

mod action;
pub mod change;
mod depth;
mod event;
pub mod evidence;
mod harvest;
mod json;
mod origin;
mod reader;
mod shape;
mod tie;
mod whole;

pub use harvest::{Harvest, Limits, Place, Settled, Stats, TrailFile, Use, UseKey, is_denial};
pub use origin::{Origin, OriginKey, neighbourhood};
pub use shape::Networks;
pub use tie::{AssociationSpan, History, SpanDetail, Tie, TiedBy, best, tie_all};
pub use whole::{Holds, Torn, Whole};

use crate::encoding;
use crate::estate::Session;
use event::{Element, Event};
use reader::{Inflater, Reader, Sink};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;

/// How many bytes a gzipped file may grow to, unless the caller says otherwise.
pub const MAX_DECOMPRESSED: u64 = 4 * 1024 * 1024 * 1024;

/// How many problems of one file are named; the others are only counted.
const MAX_NAMED: usize = 100;

const PODS: &str = "pods.eks.amazonaws.com";

/// So much of a gzipped beginning is looked at.
const HEAD: u64 = 256 * 1024;

/// Whether a file that begins so, gzipped or not, holds CloudTrail records: each has its version, and
/// the output of `LookupEvents` has records as text.
#[must_use]
pub fn begins_as_records(head: &[u8]) -> bool {
    let head = plain_head(head);
    // Within a text that holds a record, its quotes are escaped.
    [&b"\"eventVersion\""[..], b"\\\"eventVersion\\\"", b"\"CloudTrailEvent\""]
        .into_iter()
        .any(|mark| memchr::memmem::find(&head, mark).is_some())
}

/// The beginning of a file as text: without its compression, and as UTF-8.
#[must_use]
pub fn plain_head(head: &[u8]) -> Cow<'_, [u8]> {
    let mut head = Cow::Borrowed(head);
    // CloudWatch Logs zips what it hands on, and Firehose zips that again.
    for _ in 0..2 {
        if head.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            // A beginning ends in the middle of the stream: what comes before that is enough.
            let _cut = flate2::bufread::MultiGzDecoder::new(&*head).take(HEAD).read_to_end(&mut plain);
            head = Cow::Owned(plain);
        }
    }
    if encoding::is_utf16(&head) {
        return Cow::Owned(encoding::Utf16::new(&*head).all().unwrap_or_default());
    }
    head
}

/// Something in a file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}{}: {message}; {remedy}", Prefixed(":", *.line), if .field.is_empty() { String::new() } else { format!(": {}", .field) })]
pub struct ReadProblem {
    /// Of what kind.
    pub kind: ProblemKind,
    /// The file, as the caller names it; empty for a single event.
    pub file: String,
    /// The line, where the text itself is broken.
    pub line: Option<usize>,
    /// The record's place in its file, from 0.
    pub record: Option<usize>,
    /// JSON pointer of the offending field; empty for the whole file or line.
    pub field: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

struct Prefixed(&'static str, Option<usize>);

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.map_or(Ok(()), |n| write!(f, "{}{n}", self.0))
    }
}

/// What kind of problem a file or a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A gzip stream is cut, broken, or grows without bound.
    Compression,
    /// Bytes are not UTF-8, or cannot be had.
    Text,
    /// JSON is broken, or is no record.
    Json,
    /// A record is longer than any of CloudTrail's.
    Giant,
    /// Values of a record lie deeper within each other than in any of CloudTrail's.
    Deep,
    /// A field that is needed is missing.
    Missing,
    /// A field is not what it should be.
    Field,
    /// A time that cannot be: unreadable, before CloudTrail, or still to come.
    Time,
    /// A time written for people: read, and named.
    LocalTime,
    /// A version of the record that is not known: read, and named.
    Version,
    /// One page of several: a token says that there is more.
    Page,
}

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailRead {
    /// Sessions and refused requests for one, in the file's order.
    pub sessions: Vec<Session>,
    /// Records read, sessions or not; malformed ones are not among them.
    pub events: usize,
    /// Records that could not be read.
    pub malformed: usize,
    /// What could not be read, by name: the first hundred.
    pub problems: Vec<ReadProblem>,
}

/// Reads a CloudTrail file, gzipped or plain, with the default limit on its decompressed size.
#[must_use]
pub fn read_file(path: &str, bytes: &[u8]) -> TrailRead {
    read_bounded(path, bytes, MAX_DECOMPRESSED)
}

/// Reads a CloudTrail file that may grow to `max_decompressed` bytes: what comes before is kept.
#[must_use]
pub fn read_bounded(path: &str, bytes: &[u8], max_decompressed: u64) -> TrailRead {
    let (mut sessions, mut tally) = (Sessions::default(), Tally::default());
    Reader::new(path, &mut sessions, &mut tally, max_decompressed).bytes(&mut Inflater::default(), bytes);
    let fitting = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    TrailRead {
        sessions: sessions.0,
        events: fitting(tally.events),
        malformed: fitting(tally.malformed),
        problems: tally.problems,
    }
}

/// Reads one record, such as the `CloudTrailEvent` of a `LookupEvents` answer. `None`: a record,
/// but not a session.
///
/// # Errors
/// The text is not JSON, or a field that a session needs is missing or malformed.
pub fn read_event(json: &str) -> Result<Option<Session>, Box<ReadProblem>> {
    let record = reader::one_record(json);
    let session = record.and_then(|record| match record.is {
        Element::Event if record.event.is_not_a_call()? => Ok(None),
        Element::Event => record.event.session(),
        Element::Embedded(..) | Element::NotAnObject => {
            Err(Fault::new(ProblemKind::Json, "", "a record must be an object", "remove it"))
        }
    });
    session.map_err(|fault| Box::new(fault.named("", None)))
}

/// Keeps sessions alone.
#[derive(Default)]
struct Sessions(Vec<Session>);

impl Sink for Sessions {
    fn event(&mut self, event: &Event<'_>, _: &mut Tally) -> Result<(), Fault> {
        if !event.is_not_a_call()? {
            self.0.extend(event.session()?);
        }
        Ok(())
    }
}

/// Counts of a reading, and what went wrong in it.
#[derive(Debug, Default)]
struct Tally {
    /// The file that is read.
    file: String,
    events: u64,
    malformed: u64,
    problems: Vec<ReadProblem>,
    kinds: BTreeMap<ProblemKind, u64>,
    /// Files that are to be read again, with what is wrong with each first: every one of them,
    /// however many problems are named.
    unread: BTreeMap<String, String>,
    /// Files of which a record could not be read: every one of them.
    damaged: BTreeSet<String>,
}

impl Tally {
    /// Counts a record that could not be read.
    fn lose_a_record(&mut self) {
        self.malformed += 1;
        if !self.damaged.contains(&self.file) {
            self.damaged.insert(self.file.clone());
        }
    }

    /// Says that the file that is read was not read whole, and why.
    fn left_unread(&mut self, why: &str) {
        if !self.unread.contains_key(&self.file) {
            self.unread.insert(self.file.clone(), why.to_owned());
        }
    }

    fn name(&mut self, kind: ProblemKind, problem: impl FnOnce() -> ReadProblem) {
        *self.kinds.entry(kind).or_default() += 1;
        if self.problems.len() < MAX_NAMED {
            self.problems.push(problem());
        }
    }

    /// Counts what is odd and was read all the same; named once a file.
    fn note(&mut self, kind: ProblemKind, field: &str, message: &str) {
        *self.kinds.entry(kind).or_default() += 1;
        let named =
            |problem: &ReadProblem| problem.file == self.file && problem.field == field && problem.message == message;
        if self.problems.len() < MAX_NAMED && !self.problems.iter().rev().any(named) {
            self.problems.push(ReadProblem {
                kind,
                file: self.file.clone(),
                line: None,
                record: None,
                field: field.to_owned(),
                message: message.to_owned(),
                remedy: "nothing is lost".to_owned(),
            });
        }
    }
}

/// A fault in one record.
#[derive(Debug)]
struct Fault {
    kind: ProblemKind,
    field: String,
    message: String,
    remedy: String,
}

impl Fault {
    fn new(kind: ProblemKind, field: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, field: field.to_owned(), message: message.into(), remedy: remedy.into() }
    }

    /// The same fault, of a record that stands in a field.
    fn under(mut self, field: &str) -> Self {
        self.field.insert_str(0, field);
        self
    }

    /// What is wrong with a text that is not JSON.
    fn what(&self) -> &str {
        self.message.strip_prefix("not JSON: ").unwrap_or(&self.message)
    }

    fn named(self, file: &str, record: Option<(&str, usize)>) -> ReadProblem {
        let field = match record {
            Some((pointer, n)) => format!("{pointer}/{n}{}", self.field),
            None => self.field,
        };
        ReadProblem {
            kind: self.kind,
            file: file.to_owned(),
            line: None,
            record: record.map(|(_, n)| n),
            field,
            message: self.message,
            remedy: self.remedy,
        }
    }
}

#[cfg(test)]
mod tests;
