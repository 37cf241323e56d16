//! A file piece by piece, within the same bound of memory whatever its size.

use super::splitter::Splitter;
use super::{Inflater, MAX_TEXT, Reader, Sink, WINDOW, is_gzip};
use crate::encoding::{Utf16, is_utf16};
use crate::problem::{ProblemKind, Tally};
use std::fmt;
use std::io::{BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that is read piece by piece, each into whatever takes the records by then.
pub(crate) struct Reading<'r> {
    pub(crate) name: String,
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
    pub(crate) fn new(name: &str, source: Box<dyn Read + Send + 'r>) -> Self {
        let noted = Arc::new(Mutex::new((0, Ok(()))));
        let stage = Stage::Begins(Box::new(Noted { source, noted: Arc::clone(&noted) }));
        Self { name: name.to_owned(), stage, source: noted, unread: None, is_damaged: false }
    }

    /// Whether nothing was read yet.
    pub(crate) fn is_at_start(&self) -> bool {
        matches!(self.stage, Stage::Begins(_))
    }

    /// How many bytes came since this was asked.
    pub(crate) fn bytes(&self) -> u64 {
        std::mem::take(&mut self.source.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Reads a piece; `false` after the last.
    pub(crate) fn piece<S: Sink>(
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
pub(super) struct Window<'r> {
    pub(super) source: Box<dyn Read + Send + 'r>,
    pub(super) zipped: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) splitter: Option<Splitter>,
    pub(super) total: u64,
    pub(super) wanted: usize,
    pub(super) replaced: bool,
    /// Where the reader stood after the last step.
    pub(super) pointer: &'static str,
    pub(super) is_page: bool,
}

impl<'r> Window<'r> {
    /// Of a source that is zipped, or not; what is in it may be zipped a second time, as Firehose does
    /// with what CloudWatch Logs zipped, or be UTF-16.
    pub(super) fn new(source: Box<dyn BufRead + Send + 'r>, zipped: bool) -> Self {
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

    pub(super) fn over(source: Box<dyn Read + Send + 'r>, zipped: bool) -> Self {
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
    pub(super) fn step<S: Sink>(&mut self, reader: &mut Reader<'_, S>) -> bool {
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
    noted: Arc<Mutex<(u64, std::io::Result<()>)>>,
}

impl Read for Noted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(out);
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        match &read {
            Ok(n) => noted.0 += u64::try_from(*n).unwrap_or(u64::MAX),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => noted.1 = Err(std::io::Error::new(error.kind(), error.to_string())),
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
    pub(super) fn new(mut source: Box<dyn Read + Send + 'b>) -> Self {
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
