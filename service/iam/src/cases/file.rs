//! Reads a file of cases one by one: a JSON array, one case, or one case a line.
//!
//! Memory does not grow with the number of cases; one broken case never stops the others.

use crate::cases::answer::CaseError;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Where a case stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The file is this case.
    Whole,
    /// An element of the array, from 0.
    Element(usize),
    /// A line, from 1.
    Line(usize),
}

impl Place {
    pub(crate) fn pointer(self) -> String {
        match self {
            Self::Whole | Self::Line(_) => String::new(),
            Self::Element(n) => format!("/{n}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("1"),
            Self::Element(n) => write!(f, "/{n}"),
            Self::Line(n) => write!(f, "line {n}"),
        }
    }
}

/// As `each`, for cases of any kind.
pub(crate) fn each_read<T>(
    file: &str,
    bytes: &[u8],
    read: impl Fn(&str, Place, &Value) -> Result<T, CaseError>,
    mut call: impl FnMut(Result<T, CaseError>),
) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace());
    match start.and_then(|at| bytes.get(at)) {
        Some(b'[') => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            let mut count = 0;
            let elements = Elements(|n, value: Value| {
                count = n + 1;
                call(read(file, Place::Element(n), &value));
            });
            let end = json.deserialize_seq(elements).and_then(|()| json.end());
            if let Err(error) = end {
                call(Err(syntax(file, Place::Element(count), &error)));
            }
        }
        Some(_) => lines(file, bytes, &read, &mut call),
        None => call(Err(CaseError {
            file: file.to_owned(),
            id: "1".to_owned(),
            pointer: String::new(),
            message: "there is no case".to_owned(),
            remedy: "give a JSON array of cases, one case, or one case a line".to_owned(),
        })),
    }
}

fn syntax(file: &str, place: Place, error: &serde_json::Error) -> CaseError {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    let (lines, remedy) = match place {
        Place::Line(line) => (line - 1, "correct the JSON there"),
        _ => (0, "correct the JSON there: what follows it is not read"),
    };
    CaseError {
        file: file.to_owned(),
        id: place.to_string(),
        pointer: place.pointer(),
        // Where a case begins on a later line, the parser counts from there.
        message: format!("{} in line {}, column {}", said, lines + error.line(), error.column()),
        remedy: remedy.to_owned(),
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(usize, Value)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of cases")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut n = 0;
        while let Some(value) = seq.next_element()? {
            (self.0)(n, value);
            n += 1;
        }
        Ok(())
    }
}

/// Cases one after another, each over as many lines as it likes.
fn lines<T>(
    file: &str,
    bytes: &[u8],
    read: &impl Fn(&str, Place, &Value) -> Result<T, CaseError>,
    call: &mut impl FnMut(Result<T, CaseError>),
) {
    let (mut rest, mut line, mut first) = (bytes, 1, true);
    loop {
        let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let (space, tail) = rest.split_at_checked(blank).unwrap_or((rest, &[]));
        line += count_lines(space);
        if tail.is_empty() {
            return;
        }
        let mut values = serde_json::Deserializer::from_slice(tail).into_iter::<Value>();
        let value = values.next();
        let used = values.byte_offset();
        let after = tail.get(used..).unwrap_or_default();
        match value {
            Some(Ok(value)) => {
                let alone = first && after.iter().all(u8::is_ascii_whitespace);
                let place = if alone { Place::Whole } else { Place::Line(line) };
                call(read(file, place, &value));
                line += count_lines(tail.get(..used).unwrap_or_default());
                rest = after;
            }
            Some(Err(error)) => {
                call(Err(syntax(file, Place::Line(line), &error)));
                // The next case begins where a line begins with a brace.
                let next = memchr::memmem::find(tail, b"\n{").map_or(tail.len(), |at| at + 1);
                let (skipped, tail) = tail.split_at_checked(next).unwrap_or((tail, &[]));
                line += count_lines(skipped);
                rest = tail;
            }
            None => return,
        }
        first = false;
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}
