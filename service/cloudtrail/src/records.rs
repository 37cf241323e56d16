//! Sessions out of one file, or one record.

use crate::encoding;
use crate::event::{Element, Event};
use crate::problem::{Fault, ProblemKind, ReadProblem, Tally};
use crate::reader::{self, Inflater, MAX_DECOMPRESSED, Reader, Sink};
use rolecall_estate::Session;
use std::borrow::Cow;
use std::io::Read as _;

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
