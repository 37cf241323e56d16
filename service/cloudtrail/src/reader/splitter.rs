//! A text into records without holding all of it, and without its structure where that is broken.

use super::wrapping::{Top, is_token, untimed, wrapper};
use super::{BEGINNING, MAX_TEXT, PATIENCE, Reader, Sink, one_record};
use crate::depth::{SHALLOW, is_deeper, string_end};
use crate::problem::{ProblemKind, ReadProblem};
use serde::de::DeserializeSeed;

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
pub(super) struct Splitter {
    state: State,
    /// One value a line: a broken one ends with its line.
    pub(super) by_line: bool,
    /// Lines of the text that were left behind.
    lines: usize,
    /// The text was cut, and this was named: its last record says nothing new.
    pub(super) is_truncated: bool,
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
    pub(super) fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let first = text.trim_ascii_start();
        let second = || {
            let end = memchr::memchr(b'\n', first.as_bytes())?;
            first.get(end..).map(str::trim_ascii_start)
        };
        // No valid JSON text has two lines in a row that open an object, but for JSON lines.
        let by_line =
            (first.starts_with('{') && second().is_some_and(|line| line.starts_with('{'))) || untimed(first).is_some();
        Self { state: State::Top, by_line, lines: 0, is_truncated: false, seen: false, counted: (0, 0), searched: 0 }
    }

    /// Reads as far as it can and says how far; all of it if this is the end of the text.
    pub(super) fn feed<S: Sink>(&mut self, reader: &mut Reader<'_, S>, text: &str, last: bool) -> usize {
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
    pub(super) fn line(&mut self, text: &str, at: usize) -> usize {
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

pub(super) fn what(error: &sonic_rs::Error) -> String {
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
