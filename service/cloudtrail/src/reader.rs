//! Bytes into records, whatever wraps them, within a bound of memory.
//!
//! Knows gzip (one member or many) and every wrapping of records. A file that fits is inflated at
//! once and read in one pass over borrowed text; when its text is broken, or the file is large, it
//! is split into records first, through a window, so that one broken record costs only itself and
//! one giant record no memory. Refuses to know what a record says.

mod splitter;
mod window;
mod wrapping;

use super::depth::{DEEPEST, Limited, SHALLOW, is_deeper};
use super::event::{Element, Event, Record, RecordSeed};
use super::json::Field;
use crate::encoding::is_utf16;
use crate::problem::{Fault, ProblemKind, ReadProblem, Tally};
use serde::de::DeserializeSeed;
use splitter::Splitter;
use std::fmt;
pub(crate) use window::Reading;
use window::Window;
use wrapping::Top;

/// How many bytes a gzipped file may grow to, unless the caller says otherwise.
pub const MAX_DECOMPRESSED: u64 = 4 * 1024 * 1024 * 1024;

/// A text of so many bytes is read at once; a record of more is a giant.
///
/// One number for both: whether a record is a giant must not depend on the file around it.
pub(super) const MAX_TEXT: usize = 32 * 1024 * 1024;

/// How much is read at a time of what is not read at once.
const WINDOW: usize = 1024 * 1024;

/// How CloudTrail begins a record. Within a string its quotes would be escaped.
const BEGINNING: &str = "{\"eventVersion\"";

/// So much of a text is looked through for where records go on after broken ones. A text of nothing but
/// beginnings would otherwise be looked through to its end from each of them.
const PATIENCE: usize = 8 * MAX_TEXT;

/// Deflate cannot expand more than this.
const MOST_EXPANSION: usize = 1040;

/// Takes records as they are read.
pub(super) trait Sink {
    /// Takes one; a fault makes it a malformed one.
    fn event(&mut self, event: &Event<'_>, tally: &mut Tally) -> Result<(), Fault>;
}

/// Inflates, keeping its memory from one file to the next.
pub(super) struct Inflater {
    plain: Vec<u8>,
    decompressor: libdeflater::Decompressor,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("capacity", &self.plain.len()).finish_non_exhaustive()
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self { plain: Vec::new(), decompressor: libdeflater::Decompressor::new() }
    }
}

impl Inflater {
    /// How many bytes it keeps.
    pub(super) fn held(&self) -> usize {
        self.plain.capacity()
    }

    /// The whole text of a file of one member, if its size is told, sane and true. A file of many
    /// members tells the size and the checksum of its last one only, and so is not taken for one.
    fn whole(&mut self, zipped: &[u8], limit: u64) -> Option<&[u8]> {
        let (_, trailer) = zipped.split_at_checked(zipped.len().checked_sub(8)?)?;
        let (checksum, size) = trailer.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(size.try_into().ok()?)).ok()?;
        let sane = (1..=MAX_TEXT).contains(&size) && size / MOST_EXPANSION <= zipped.len();
        if !sane || u64::try_from(size).is_ok_and(|size| size > limit) {
            return None;
        }
        if self.plain.len() < size {
            self.plain.resize(size, 0);
        }
        let out = self.plain.get_mut(..size)?;
        let done = match zipped.split_first_chunk() {
            // The plain header, without a name or anything else: then one checksum, ours, is enough.
            Some(([0x1f, 0x8b, 8, 0, _, _, _, _, _, _], rest)) => self.decompressor.deflate_decompress(rest, out),
            _ => self.decompressor.gzip_decompress(zipped, out),
        };
        (done.ok()? == size && libdeflater::crc32(out) == u32::from_le_bytes(*checksum)).then_some(&*out)
    }
}

/// Reads one file into a sink.
pub(super) struct Reader<'s, S> {
    pub(super) file: &'s str,
    pub(super) sink: &'s mut S,
    pub(super) tally: &'s mut Tally,
    pub(super) max_decompressed: u64,
    /// Where the records lie: `/Records`, `/Events`, or empty.
    pointer: &'static str,
    /// Records that were given to the sink.
    delivered: usize,
    /// So many records were given to the sink by an earlier pass over the same text.
    skip: usize,
    /// A token said that there are further pages.
    is_page: bool,
}

impl<'s, S: Sink> Reader<'s, S> {
    pub(super) fn new(file: &'s str, sink: &'s mut S, tally: &'s mut Tally, max_decompressed: u64) -> Self {
        file.clone_into(&mut tally.file);
        Self { file, sink, tally, max_decompressed, pointer: "", delivered: 0, skip: 0, is_page: false }
    }

    /// Reads a file that is at hand, gzipped or plain.
    pub(super) fn bytes(&mut self, inflater: &mut Inflater, bytes: &[u8]) {
        if !self.at_once(inflater, bytes) {
            let mut piece = Window::new(Box::new(bytes), is_gzip(bytes));
            while piece.step(self) {}
        }
    }

    /// Reads a file that is at hand, if its text fits.
    fn at_once(&mut self, inflater: &mut Inflater, bytes: &[u8]) -> bool {
        if !is_gzip(bytes) {
            let fits = bytes.len() <= MAX_TEXT && !is_utf16(bytes);
            if fits {
                self.plain(bytes);
            }
            return fits;
        }
        match inflater.whole(bytes, self.max_decompressed) {
            Some(plain) if !is_gzip(plain) && !is_utf16(plain) => {
                self.plain(plain);
                true
            }
            _ => false,
        }
    }

    fn plain(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text),
            Err(_) => {
                self.not_utf8();
                self.text(&String::from_utf8_lossy(bytes));
            }
        }
    }

    fn not_utf8(&mut self) {
        self.problem(
            ProblemKind::Text,
            None,
            "bytes that are not UTF-8 were replaced".to_owned(),
            "fetch the file again".to_owned(),
        );
    }

    fn problem(&mut self, kind: ProblemKind, line: Option<usize>, message: String, remedy: String) {
        self.tally.left_unread(&message);
        let problem =
            ReadProblem { kind, file: self.file.to_owned(), line, record: None, field: String::new(), message, remedy };
        self.tally.name(kind, || problem);
    }

    /// Says that a token names a further page.
    fn page(&mut self) {
        if !std::mem::replace(&mut self.is_page, true) {
            self.tally.damaged.insert(self.file.to_owned());
            let problem = ReadProblem {
                kind: ProblemKind::Page,
                file: self.file.to_owned(),
                line: None,
                record: None,
                field: String::new(),
                message: "one page of several: a token names the next".to_owned(),
                remedy: "give the other pages too; whether they are all no file can tell".to_owned(),
            };
            self.tally.name(ProblemKind::Page, || problem);
        }
    }

    fn not_json(&mut self, line: usize, what: &str) {
        self.tally.lose_a_record();
        self.problem(
            ProblemKind::Json,
            Some(line),
            format!("not JSON: {what}"),
            "CloudTrail records are needed: `{\"Records\": […]}`, an array, one record a line, or the output of LookupEvents"
                .to_owned(),
        );
    }

    /// Reads a whole text at once; where it is broken, again and record by record.
    fn text(&mut self, text: &str) {
        let mut splitter = Splitter::new(text);
        // Lines are read one by one anyway, each as far as it can be.
        if splitter.by_line || self.whole(text.strip_prefix('\u{feff}').unwrap_or(text)).is_err() {
            self.skip = self.delivered;
            self.delivered = 0;
            self.pointer = "";
            splitter.feed(self, text, true);
            self.skip = 0;
        }
    }

    /// Reads value after value, until one is broken.
    fn whole(&mut self, text: &str) -> Result<(), sonic_rs::Error> {
        let mut rest = text;
        loop {
            let mut de = sonic_rs::Deserializer::from_str(rest);
            Top(&mut *self).deserialize(Limited(&mut de))?;
            // An error looks for its line from the beginning of the text: there must be none where, as
            // nearly always, nothing follows the first value.
            let Err(error) = de.end() else { return Ok(()) };
            // What follows begins with the byte that was not to be there.
            match rest.get(error.offset()..) {
                Some(next) if next.len() < rest.len() => rest = next,
                _ => return Err(error),
            }
        }
    }

    /// Gives a record to the sink, unless an earlier pass did.
    fn deliver(&mut self, record: &Record<'_>, place: Option<usize>) {
        self.delivered += 1;
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let result = match &record.is {
            Element::Event => self.sink.event(&record.event, self.tally),
            Element::NotAnObject => Err(Fault::new(ProblemKind::Json, "", "a record must be an object", "remove it")),
            // CloudWatch Logs looks whether its destination takes anything.
            Element::Embedded("/message", Field::Is(line)) if line.starts_with("CWL CONTROL MESSAGE") => return,
            Element::Embedded(field, Field::Is(json)) => self.embedded(field, json),
            Element::Embedded(..) => Err(Fault::new(
                ProblemKind::Missing,
                "/CloudTrailEvent",
                "a record as JSON text is needed",
                "keep the row as LookupEvents gave it",
            )),
        };
        match result {
            Ok(()) => self.tally.events += 1,
            Err(fault) => self.refuse(fault, None, place),
        }
    }

    /// Counts and names a record that cannot be read.
    fn refuse(&mut self, fault: Fault, line: Option<usize>, place: Option<usize>) {
        self.tally.lose_a_record();
        let (file, pointer, kind) = (self.file, self.pointer, fault.kind);
        let named = || ReadProblem { line, ..fault.named(file, place.map(|n| (pointer, n))) };
        self.tally.name(kind, named);
    }

    fn embedded(&mut self, field: &str, json: &str) -> Result<(), Fault> {
        let at = |fault: Fault| fault.under(field);
        let record = one_record(json).map_err(at)?;
        match record.is {
            Element::Event => self.sink.event(&record.event, self.tally).map_err(at),
            Element::Embedded(..) | Element::NotAnObject => {
                Err(at(Fault::new(ProblemKind::Json, "", "a record must be an object", "remove it")))
            }
        }
    }
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Reads one record and nothing after it. The fault does not quote the text, which may hold secrets.
pub(super) fn one_record(json: &str) -> Result<Record<'_>, Fault> {
    if is_deeper(json, DEEPEST) {
        let message = format!("values lie more than {DEEPEST} levels deep within each other");
        let remedy = "CloudTrail's records have less than 20 levels: fetch the file again, or take the record out";
        return Err(Fault::new(ProblemKind::Deep, "", message, remedy));
    }
    let mut record = Record::default();
    let into = RecordSeed(&mut record);
    let read = if is_deeper(json, SHALLOW) {
        // Slower, and skips without recursion.
        let mut de = serde_json::Deserializer::from_str(json);
        let read = into.deserialize(&mut de).and_then(|()| de.end());
        read.map_err(|error| (error.is_eof(), format!("from line {}, column {} on", error.line(), error.column())))
    } else {
        let mut de = sonic_rs::Deserializer::from_str(json);
        let read = into.deserialize(&mut de).and_then(|()| de.end());
        read.map_err(|error| (error.is_eof(), format!("from byte {} on", error.offset())))
    };
    read.map(|()| record).map_err(|(is_eof, place)| {
        let what = if is_eof { "it ends too early" } else { &*place };
        Fault::new(ProblemKind::Json, "", format!("not JSON: {what}"), "one CloudTrail record is needed")
    })
}

#[cfg(test)]
mod tests;
