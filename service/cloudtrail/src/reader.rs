//! Bytes into records, whatever wraps them, within a bound of memory.
//!
//! Knows gzip (one member or many) and every wrapping of records. A file that fits is inflated at
//! once and read in one pass over borrowed text; when its text is broken, or the file is large, it
//! is split into records first, through a window, so that one broken record costs only itself and
//! one giant record no memory. Refuses to know what a record says.

use super::depth::{DEEPEST, Limited, SHALLOW, is_deeper, string_end};
use super::event::{Element, Event, Record, RecordSeed};
use super::json::{Field, Key};
use crate::encoding::{Utf16, is_utf16};
use crate::problem::{Fault, ProblemKind, ReadProblem, Tally};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::{BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

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

/// A file that is read piece by piece, each into whatever takes the records by then.
pub(super) struct Reading<'r> {
    pub(super) name: String,
    stage: Stage<'r>,
    /// How many bytes came, and how the source failed: a decoder over it may read that as an end.
    source: Arc<Mutex<(u64, std::io::Result<()>)>>,
    /// What is wrong with what was read of it so far.
    unread: Option<String>,
    is_damaged: bool,
}

enum Stage<'r> {
    Begins(Box<dyn Read + Send + 'r>),
    GoesOn(Window<'r>),
    Ended,
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'r> Reading<'r> {
    pub(super) fn new(name: &str, source: Box<dyn Read + Send + 'r>) -> Self {
        let told = Arc::new(Mutex::new((0, Ok(()))));
        let stage = Stage::Begins(Box::new(Noted { source, told: Arc::clone(&told) }));
        Self { name: name.to_owned(), stage, source: told, unread: None, is_damaged: false }
    }

    /// Whether nothing was read yet.
    pub(super) fn is_at_start(&self) -> bool {
        matches!(self.stage, Stage::Begins(_))
    }

    /// How many bytes came since this was asked.
    pub(super) fn bytes(&self) -> u64 {
        std::mem::take(&mut self.source.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Reads a piece; `false` after the last.
    pub(super) fn piece<S: Sink>(
        &mut self,
        inflater: &mut Inflater,
        sink: &mut S,
        tally: &mut Tally,
        max_decompressed: u64,
    ) -> std::io::Result<bool> {
        if self.is_damaged {
            tally.damaged.insert(self.name.clone());
        }
        if let Some(why) = &self.unread {
            tally.unread.entry(self.name.clone()).or_insert_with(|| why.clone());
        }
        let mut reader = Reader::new(&self.name, sink, tally, max_decompressed);
        let goes_on = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Begins(source) => match begun(&mut reader, inflater, source)? {
                Some(window) => {
                    self.stage = Stage::GoesOn(window);
                    true
                }
                None => false,
            },
            Stage::GoesOn(mut window) => {
                let goes_on = window.step(&mut reader);
                if goes_on {
                    self.stage = Stage::GoesOn(window);
                }
                goes_on
            }
            Stage::Ended => false,
        };
        self.is_damaged = tally.damaged.contains(&self.name);
        self.unread = tally.unread.get(&self.name).cloned();
        let failed = &mut self.source.lock().unwrap_or_else(PoisonError::into_inner).1;
        std::mem::replace(failed, Ok(())).map(|()| goes_on)
    }
}

/// Reads a file that fits; otherwise says how it goes on.
fn begun<'r, S: Sink>(
    reader: &mut Reader<'_, S>,
    inflater: &mut Inflater,
    mut source: Box<dyn Read + Send + 'r>,
) -> std::io::Result<Option<Window<'r>>> {
    let mut start = Vec::new();
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    Read::take(&mut source, limit).read_to_end(&mut start)?;
    if start.len() <= MAX_TEXT && reader.at_once(inflater, &start) {
        return Ok(None);
    }
    let zipped = is_gzip(&start);
    let all = std::io::BufReader::new(std::io::Cursor::new(start).chain(source));
    Ok(Some(Window::new(Box::new(all), zipped)))
}

/// A text that is read through a window as large as a record, at most.
struct Window<'r> {
    source: Box<dyn Read + Send + 'r>,
    zipped: bool,
    bytes: Vec<u8>,
    splitter: Option<Splitter>,
    total: u64,
    wanted: usize,
    replaced: bool,
    /// Where the reader stood after the last step.
    pointer: &'static str,
    is_page: bool,
}

impl<'r> Window<'r> {
    /// Of a source that is zipped, or not; what is in it may be zipped a second time, as Firehose does
    /// with what CloudWatch Logs zipped, or be UTF-16.
    fn new(source: Box<dyn BufRead + Send + 'r>, zipped: bool) -> Self {
        let plain: Box<dyn Read + Send + 'r> =
            if zipped { Box::new(flate2::bufread::MultiGzDecoder::new(source)) } else { Box::new(source) };
        let begun = Begun::new(plain);
        let source = if zipped && is_gzip(&begun.start) {
            let inner = flate2::bufread::MultiGzDecoder::new(std::io::BufReader::new(begun));
            decoded(Begun::new(Box::new(inner)))
        } else {
            decoded(begun)
        };
        Self::over(source, zipped)
    }

    fn over(source: Box<dyn Read + Send + 'r>, zipped: bool) -> Self {
        Self {
            source,
            zipped,
            bytes: Vec::new(),
            splitter: None,
            total: 0,
            wanted: WINDOW,
            replaced: false,
            pointer: "",
            is_page: false,
        }
    }

    /// Reads as many records as the window holds; `false` after the last.
    fn step<S: Sink>(&mut self, reader: &mut Reader<'_, S>) -> bool {
        (reader.pointer, reader.is_page) = (self.pointer, self.is_page);
        let missing = u64::try_from(self.wanted.saturating_sub(self.bytes.len())).unwrap_or(u64::MAX);
        let before = self.bytes.len();
        let read = Read::take(&mut self.source, missing).read_to_end(&mut self.bytes);
        self.total = self.total.saturating_add(u64::try_from(self.bytes.len() - before).unwrap_or(u64::MAX));
        let excess = if self.zipped { self.total.saturating_sub(reader.max_decompressed) } else { 0 };
        let cut_off = excess > 0 || read.is_err();
        if excess > 0 {
            let kept = self.bytes.len().saturating_sub(usize::try_from(excess).unwrap_or(usize::MAX));
            self.bytes.truncate(kept);
            let message = format!("the file decompresses to more than {} bytes", reader.max_decompressed);
            reader.problem(ProblemKind::Compression, None, message, "split the file, or raise the limit".to_owned());
        } else if let Err(error) = &read {
            // The kind alone: an error's text may hold a piece of the file.
            let (kind, what) = if self.zipped {
                (ProblemKind::Compression, "the gzip stream is broken")
            } else {
                (ProblemKind::Text, "the file could not be read further")
            };
            reader.problem(kind, None, format!("{what}: {}", error.kind()), "fetch the file again".to_owned());
        }
        let last = cut_off || matches!(read, Ok(0));
        let whole = match std::str::from_utf8(&self.bytes) {
            Ok(_) => self.bytes.len(),
            // A character that the window cuts.
            Err(error) if error.error_len().is_none() && !last => error.valid_up_to(),
            // Nobody can say what followed where the stream broke.
            Err(error) if error.error_len().is_none() && cut_off => error.valid_up_to(),
            Err(_) => {
                if !std::mem::replace(&mut self.replaced, true) {
                    reader.not_utf8();
                }
                self.bytes = String::from_utf8_lossy(&self.bytes).into_owned().into_bytes();
                self.bytes.len()
            }
        };
        let text = self.bytes.get(..whole).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let splitter = self.splitter.get_or_insert_with(|| Splitter::new(text));
        splitter.is_truncated = cut_off;
        let used = splitter.feed(reader, text, last);
        self.bytes.drain(..used);
        let held = self.bytes.len();
        self.wanted = held.saturating_add(if used == 0 { held.max(WINDOW) } else { WINDOW });
        (self.pointer, self.is_page) = (reader.pointer, reader.is_page);
        !last
    }
}

fn decoded<'r>(source: Begun<'r>) -> Box<dyn Read + Send + 'r> {
    if is_utf16(&source.start) { Box::new(Utf16::new(source)) } else { Box::new(source) }
}

/// Remembers how many bytes came, and how the source failed.
struct Noted<'n> {
    source: Box<dyn Read + Send + 'n>,
    told: Arc<Mutex<(u64, std::io::Result<()>)>>,
}

impl Read for Noted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(out);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match &read {
            Ok(n) => told.0 += u64::try_from(*n).unwrap_or(u64::MAX),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => told.1 = Err(std::io::Error::new(error.kind(), error.to_string())),
        }
        read
    }
}

/// A source of which the first bytes were looked at.
struct Begun<'b> {
    start: Vec<u8>,
    given: usize,
    failed: Option<std::io::Error>,
    source: Box<dyn Read + Send + 'b>,
}

impl<'b> Begun<'b> {
    fn new(mut source: Box<dyn Read + Send + 'b>) -> Self {
        let mut start = Vec::new();
        let failed = Read::take(&mut source, 2).read_to_end(&mut start).err();
        Self { start, given: 0, failed, source }
    }
}

impl Read for Begun<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut start = self.start.get(self.given..).unwrap_or_default();
        if !start.is_empty() {
            let read = start.read(out)?;
            self.given += read;
            return Ok(read);
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.source.read(out),
        }
    }
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

/// The outermost value: an array of records, a wrapper, or one record.
struct Top<'t, 's, S>(&'t mut Reader<'s, S>);

impl<'de, S: Sink> DeserializeSeed<'de> for Top<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Top<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloudTrail records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.0.pointer = "";
        Records(self.0).visit_seq(seq).map(|_| ())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut wrapped = false;
        let mut record = Record::default();
        while let Some(Key(key)) = map.next_key()? {
            if let Some(pointer) = wrapper(&key) {
                self.0.pointer = pointer;
                wrapped |= map.next_value_seed(Records(&mut *self.0))?;
            } else if is_token(&key) {
                let mut token = Field::Absent;
                super::json::text(&mut token, &mut map)?;
                if token.get().is_some_and(|token| !token.is_empty()) {
                    self.0.page();
                }
            } else {
                record.take(&key, &mut map)?;
            }
        }
        if !wrapped {
            self.0.pointer = "";
            self.0.deliver(&record, None);
        }
        Ok(())
    }
}

fn wrapper(key: &str) -> Option<&'static str> {
    match key {
        "Records" => Some("/Records"),
        "Events" => Some("/Events"),
        // A subscription of CloudWatch Logs, and what `filter-log-events` prints.
        "logEvents" => Some("/logEvents"),
        "events" => Some("/events"),
        _ => None,
    }
}

/// Whether a field names the next page. `nextForwardToken` of CloudWatch Logs does not: the last page
/// has it, too.
fn is_token(key: &str) -> bool {
    matches!(key, "NextToken" | "nextToken")
}

/// A line of an export of CloudWatch Logs, without the time before it.
fn untimed(line: &str) -> Option<&str> {
    let (time, _) = line.split_once(" {")?;
    let is_time = time.starts_with(|first: char| first.is_ascii_digit())
        && time.len() <= 40
        && time.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:.+- ".contains(&byte));
    if is_time { line.get(time.len() + 1..) } else { None }
}

/// An array of records; `false` where it is another thing.
struct Records<'r, 's, S>(&'r mut Reader<'s, S>);

impl<'de, S: Sink> DeserializeSeed<'de> for Records<'_, '_, S> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Records<'_, '_, S> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of CloudTrail records")
    }

    super::json::visit_others!(false; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        // A number has no end of its own: it is one only if what follows it is no part of it. Told too
        // early, a second pass over a broken text would take the record after it for this one.
        let mut unended = None;
        let mut place = 0;
        let mut record = Record::default();
        loop {
            let next = seq.next_element_seed(RecordSeed(&mut record))?;
            if let Some(place) = unended.take() {
                self.0.deliver(&Record::not_an_object(), Some(place));
            }
            match (next, &record.is) {
                (None, _) => return Ok(true),
                (Some(()), Element::NotAnObject) => unended = Some(place),
                (Some(()), Element::Event | Element::Embedded(..)) => self.0.deliver(&record, Some(place)),
            }
            place += 1;
        }
    }
}

/// Where in a text the splitter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between outermost values.
    Top,
    /// In an array of records, before the one of this place.
    Array { wrapped: bool, place: usize },
    /// In a wrapper, after its records.
    Wrapper,
    /// In a giant record, so deep, in a string or not.
    Giant { depth: usize, in_string: bool, escaped: bool, back: Back },
    /// In a line of which the rest is of no use.
    Line,
    /// After what cannot be read further.
    Lost,
}

/// Where to go on after a giant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    Top,
    Array { wrapped: bool, place: usize },
    Wrapper,
}

/// Splits a text into records without reading them, so that each can be read alone.
#[derive(Debug)]
struct Splitter {
    state: State,
    /// One value a line: a broken one ends with its line.
    by_line: bool,
    /// Lines of the text that were left behind.
    lines: usize,
    /// The text was cut, and this was named: its last record says nothing new.
    is_truncated: bool,
    /// Whether any value was seen.
    seen: bool,
    /// Up to where in the text lines were counted, and how many there are.
    counted: (usize, usize),
    /// How many bytes were looked through for records that were broken.
    searched: usize,
}

/// What one step of the splitter did.
enum Step {
    /// Went on to this place.
    To(usize),
    /// Needs more text from here on.
    More,
}

impl Splitter {
    fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().map(str::trim_ascii).filter(|line| !line.is_empty());
        // No valid JSON text has two lines in a row that open an object, but for JSON lines.
        let opens = |line: Option<&str>| line.is_some_and(|line| line.starts_with('{'));
        let first = lines.next();
        let by_line = (opens(first) && opens(lines.next())) || first.and_then(untimed).is_some();
        Self { state: State::Top, by_line, lines: 0, is_truncated: false, seen: false, counted: (0, 0), searched: 0 }
    }

    /// Reads as far as it can and says how far; all of it if this is the end of the text.
    fn feed<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, last: bool) -> usize {
        let mut at =
            if self.seen || self.lines > 0 { 0 } else { text.len() - text.trim_start_matches('\u{feff}').len() };
        while at < text.len() {
            match self.step(reader, text, at, last) {
                Step::To(next) => at = next,
                Step::More => {
                    if text.len() - at > MAX_TEXT {
                        self.giant(reader, text, at);
                        continue;
                    }
                    break;
                }
            }
        }
        if last && !self.is_truncated {
            let line = self.line(text, text.len());
            match self.state {
                State::Top if !self.seen => reader.not_json(line, "the file is empty"),
                State::Array { .. } | State::Wrapper => reader.not_json(line, "it ends before its list does"),
                State::Giant { .. } => reader.not_json(line, "it ends in the middle of a record"),
                State::Top | State::Line | State::Lost => {}
            }
        }
        let used = text.get(..at).unwrap_or(text);
        self.lines += memchr::memchr_iter(b'\n', used.as_bytes()).count();
        self.counted = (0, 0);
        used.len()
    }

    /// The line of a place. Counts on from the last one that was asked for, as a text may have as many
    /// faults as bytes.
    fn line(&mut self, text: &str, at: usize) -> usize {
        let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes()).trim_ascii_end();
        let (from, lines) = if self.counted.0 <= before.len() { self.counted } else { (0, 0) };
        let more = memchr::memchr_iter(b'\n', before.get(from..).unwrap_or_default()).count();
        self.counted = (before.len(), lines + more);
        self.lines + 1 + lines + more
    }

    fn step<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, at: usize, last: bool) -> Step {
        let bytes = text.as_bytes();
        match self.state {
            State::Lost => return Step::To(text.len()),
            State::Line => {
                let end = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest));
                if end.is_some() {
                    self.state = State::Top;
                }
                return Step::To(end.map_or(text.len(), |n| at + n + 1));
            }
            State::Giant { depth, in_string, escaped, back } => {
                return Step::To(self.pass_giant(bytes, at, (depth, in_string, escaped), back));
            }
            State::Top | State::Array { .. } | State::Wrapper => {}
        }
        let at = blank_end(bytes, at);
        let Some(first) = bytes.get(at) else { return Step::To(at) };
        self.seen = true;
        match self.state {
            State::Top if self.by_line => self.one_line(reader, text, at, last),
            State::Top => match first {
                b'[' => {
                    reader.pointer = "";
                    self.state = State::Array { wrapped: false, place: 0 };
                    Step::To(at + 1)
                }
                b'{' => self.outermost(reader, text, at, last),
                _ => {
                    reader.not_json(self.line(text, at + 1), "it is neither an object nor an array");
                    self.state = State::Lost;
                    Step::To(text.len())
                }
            },
            State::Array { wrapped, place } => match first {
                b',' => Step::To(at + 1),
                b']' => {
                    self.state = if wrapped { State::Wrapper } else { State::Top };
                    Step::To(at + 1)
                }
                _ => self.element(reader, text, at, last, (wrapped, place)),
            },
            _ => match first {
                b',' => Step::To(at + 1),
                b'}' => {
                    self.state = State::Top;
                    Step::To(at + 1)
                }
                _ => match member(bytes, at, last) {
                    Member::List(next, pointer) => {
                        reader.pointer = pointer;
                        self.state = State::Array { wrapped: true, place: 0 };
                        Step::To(next)
                    }
                    Member::Other(next) => Step::To(next),
                    Member::Token(next) => {
                        reader.page();
                        Step::To(next)
                    }
                    Member::More if !last => Step::More,
                    Member::More | Member::Broken => self.lost(reader, text, at),
                },
            },
        }
    }

    /// Reads one line, which is one value.
    fn one_line<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, at: usize, last: bool) -> Step {
        let Some(rest) = text.get(at..) else { return Step::To(text.len()) };
        let end = match memchr::memchr(b'\n', rest.as_bytes()) {
            Some(end) => end,
            None if last => rest.len(),
            None => return Step::More,
        };
        let line = rest.get(..end).unwrap_or(rest).trim_ascii();
        let line = untimed(line).unwrap_or(line);
        if line.len() > MAX_TEXT {
            self.name_giant(reader, text, at, None);
            return Step::To(at + end);
        }
        let truncated = last && self.is_truncated && at + end == text.len();
        if is_deeper(line, SHALLOW) {
            // Its records are told apart without a parser, and each is measured alone.
            let lines = self.line(text, at + 1).saturating_sub(1);
            let mut inside = Self { by_line: false, lines, is_truncated: truncated, ..Self::new("") };
            inside.feed(reader, line, true);
            return Step::To(at + end);
        }
        let mut de = sonic_rs::Deserializer::from_str(line);
        let read = Top(&mut *reader).deserialize(&mut de);
        match read.and_then(|()| de.end()) {
            Err(error) if !truncated => reader.not_json(self.line(text, at + 1), &what(&error)),
            _ => {}
        }
        Step::To(at + end)
    }

    /// An object that is not in an array: a wrapper, or one record.
    fn outermost<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, at: usize, last: bool) -> Step {
        let bytes = text.as_bytes();
        let mut next = at + 1;
        loop {
            next = blank_end(bytes, next);
            match bytes.get(next) {
                Some(b',') => next += 1,
                Some(b'}') => break,
                None if !last => return Step::More,
                None => return self.lost(reader, text, at),
                Some(_) => match member(bytes, next, last) {
                    Member::List(list, pointer) => {
                        reader.pointer = pointer;
                        self.state = State::Array { wrapped: true, place: 0 };
                        return Step::To(list);
                    }
                    Member::Other(after) => next = after,
                    Member::Token(after) => {
                        reader.page();
                        next = after;
                    }
                    Member::More if !last => return Step::More,
                    Member::More | Member::Broken => return self.lost(reader, text, at),
                },
            }
        }
        let end = next + 1;
        reader.pointer = "";
        match one_record(text.get(at..end).unwrap_or_default()) {
            Ok(record) => reader.deliver(&record, None),
            Err(fault) if fault.kind == ProblemKind::Deep => {
                let line = self.line(text, at + 1);
                reader.refuse(fault, Some(line), None);
            }
            Err(fault) => reader.not_json(self.line(text, at + 1), fault.what()),
        }
        Step::To(end)
    }

    /// An element of an array of records.
    fn element<S: Sink>(
        &mut self,
        reader: &mut Reader<'_, S>,
        text: &str,
        at: usize,
        last: bool,
        (wrapped, place): (bool, usize),
    ) -> Step {
        let bytes = text.as_bytes();
        let next = State::Array { wrapped, place: place + 1 };
        let end = match value_end(bytes, at, last) {
            Some(end) if end - at > MAX_TEXT => {
                self.name_giant(reader, text, at, Some(place));
                self.state = next;
                return Step::To(end);
            }
            Some(end) if end > at => end,
            None if !last => return Step::More,
            Some(_) | None => return self.lost(reader, text, at),
        };
        match one_record(text.get(at..end).unwrap_or_default()) {
            Ok(record) => reader.deliver(&record, Some(place)),
            Err(fault) => {
                let line = self.line(text, at + 1);
                // A quote too few turns strings inside out: then the end is not to be believed. What is
                // merely deep has its end where it seems, and what is in it is no record of the file.
                let swallows = if fault.kind == ProblemKind::Deep {
                    reader.refuse(fault, Some(line), Some(place));
                    false
                } else {
                    reader.not_json(line, fault.what());
                    text.get(at + 1..end).is_some_and(|inside| inside.contains(BEGINNING))
                };
                let after = blank_end(bytes, end);
                if swallows || !matches!(bytes.get(after), Some(b',' | b']') | None) {
                    return self.resume(reader, text, (at, end), (wrapped, place));
                }
            }
        }
        self.state = next;
        Step::To(end)
    }

    /// Names what is lost, and goes on at the next record that can be made out.
    fn lost<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, at: usize) -> Step {
        if !self.is_truncated {
            reader.not_json(self.line(text, at + 1), "a record is broken, or ends too early");
        }
        let (wrapped, place) = match self.state {
            State::Array { wrapped, place } => (wrapped, place),
            _ => (false, 0),
        };
        self.resume(reader, text, (at, text.len()), (wrapped, place))
    }

    /// Goes on where the next record begins, after one that was looked through to `end`.
    fn resume<S: Sink>(
        &mut self,
        reader: &mut Reader<'_, S>,
        text: &str,
        (at, end): (usize, usize),
        (wrapped, place): (bool, usize),
    ) -> Step {
        self.searched = self.searched.saturating_add(end - at);
        if self.searched > PATIENCE {
            reader.not_json(self.line(text, at + 1), "too much of it is broken to go on");
            self.state = State::Lost;
            return Step::To(text.len());
        }
        let after = text.as_bytes().get(at + 1..).unwrap_or_default();
        if let Some(found) = memchr::memmem::find(after, BEGINNING.as_bytes()) {
            self.state = State::Array { wrapped, place: place + 1 };
            Step::To(at + 1 + found)
        } else {
            self.state = State::Lost;
            Step::To(text.len())
        }
    }

    fn name_giant<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, at: usize, place: Option<usize>) {
        reader.tally.lose_a_record();
        if place.is_none() {
            reader.tally.left_unread("a record is too long to be one of CloudTrail's");
        }
        let problem = ReadProblem {
            kind: ProblemKind::Giant,
            file: reader.file.to_owned(),
            line: Some(self.line(text, at + 1)),
            record: place,
            field: place.map_or_else(String::new, |place| format!("{}/{place}", reader.pointer)),
            message: format!("the record is longer than {MAX_TEXT} bytes and was skipped"),
            remedy: "CloudTrail's records have 256 KiB at most: fetch the file again".to_owned(),
        };
        reader.tally.name(ProblemKind::Giant, || problem);
    }

    /// Leaves a record that no window can hold.
    fn giant<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, at: usize) {
        let place = if let State::Array { place, .. } = self.state { Some(place) } else { None };
        self.name_giant(reader, text, at, place);
        self.state = match self.state {
            State::Top if self.by_line => State::Line,
            State::Top => State::Giant { depth: 0, in_string: false, escaped: false, back: Back::Top },
            State::Array { wrapped, place } => State::Giant {
                depth: 0,
                in_string: false,
                escaped: false,
                back: Back::Array { wrapped, place: place + 1 },
            },
            _ => State::Giant { depth: 0, in_string: false, escaped: false, back: Back::Wrapper },
        };
    }

    /// Passes over a giant, to its end or to the end of the window.
    fn pass_giant(
        &mut self,
        bytes: &[u8],
        start: usize,
        (mut depth, mut in_string, mut escaped): (usize, bool, bool),
        back: Back,
    ) -> usize {
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            if escaped {
                escaped = false;
                at += 1;
                continue;
            }
            if in_string {
                let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else { break };
                at += found;
                escaped = bytes.get(at) == Some(&b'\\');
                in_string = escaped;
                at += 1;
                continue;
            }
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth += 1,
                // The end of what the giant stands in: the giant was no object.
                b'}' | b']' if depth == 0 => {
                    self.state = back.state();
                    return at;
                }
                b',' if depth == 0 => {
                    self.state = back.state();
                    return at;
                }
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.state = back.state();
                        return at + 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        self.state = State::Giant { depth, in_string, escaped, back };
        bytes.len()
    }
}

impl Back {
    fn state(self) -> State {
        match self {
            Self::Top => State::Top,
            Self::Array { wrapped, place } => State::Array { wrapped, place },
            Self::Wrapper => State::Wrapper,
        }
    }
}

fn what(error: &sonic_rs::Error) -> String {
    if error.is_eof() { "it ends too early".to_owned() } else { format!("broken at column {}", error.column()) }
}

/// A member of an object that may wrap records.
enum Member {
    /// Its list of records begins here.
    List(usize, &'static str),
    /// Another thing, which ends here.
    Other(usize),
    /// The token of a further page, which ends here.
    Token(usize),
    /// The text ends before it does.
    More,
    Broken,
}

fn member(bytes: &[u8], at: usize, last: bool) -> Member {
    if bytes.get(at) != Some(&b'"') {
        return Member::Broken;
    }
    let Some(key_end) = value_end(bytes, at, last) else { return Member::More };
    let colon = blank_end(bytes, key_end);
    match bytes.get(colon) {
        Some(b':') => {}
        None => return Member::More,
        Some(_) => return Member::Broken,
    }
    let value = blank_end(bytes, colon + 1);
    let key = bytes.get(at + 1..key_end.saturating_sub(1)).and_then(|key| std::str::from_utf8(key).ok());
    match (bytes.get(value), key.and_then(wrapper)) {
        (Some(b'['), Some(pointer)) => Member::List(value + 1, pointer),
        (None, _) => Member::More,
        (Some(_), _) => match value_end(bytes, value, last) {
            Some(end) if bytes.get(value) == Some(&b'"') && end > value + 2 && key.is_some_and(is_token) => {
                Member::Token(end)
            }
            Some(end) if end > value => Member::Other(end),
            Some(_) => Member::Broken,
            None => Member::More,
        },
    }
}

fn blank_end(bytes: &[u8], at: usize) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    at + bytes.get(at..).unwrap_or_default().iter().take_while(blank).count()
}

/// Where a value ends, by its brackets and quotes; `None` where the text ends first.
fn value_end(bytes: &[u8], start: usize, last: bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes.get(at) {
            None => return (last && depth == 0 && at > start).then_some(at),
            Some(b'"') => {
                at = string_end(bytes, at + 1)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']' | b',') if depth == 0 => return Some(at),
            Some(b'}' | b']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            Some(b' ' | b'\n' | b'\r' | b'\t') if depth == 0 => return Some(at),
            Some(_) => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests;
