//! Records out of the values that wrap them.

use super::{Reader, Sink};
use crate::event::{Element, Record, RecordSeed};
use crate::json::{Field, Key};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The outermost value: an array of records, a wrapper, or one record.
pub(super) struct Top<'t, 's, S>(pub(super) &'t mut Reader<'s, S>);

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
                crate::json::text(&mut token, &mut map)?;
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

pub(super) fn wrapper(key: &str) -> Option<&'static str> {
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
pub(super) fn is_token(key: &str) -> bool {
    matches!(key, "NextToken" | "nextToken")
}

/// So many bytes the time before a record has at most.
const LONGEST_TIME: usize = 40;

/// A line of an export of CloudWatch Logs, without the time before it. What is no such line is left
/// after its first bytes: it may be a whole file.
pub(super) fn untimed(line: &str) -> Option<&str> {
    let head = line.as_bytes();
    let head = head.get(..LONGEST_TIME + 2).unwrap_or(head);
    let end = head.windows(2).position(|two| two == b" {")?;
    let time = head.get(..end)?;
    let is_time = time.first().is_some_and(u8::is_ascii_digit)
        && time.iter().all(|byte| byte.is_ascii_digit() || b"TZ:.+- ".contains(byte));
    if is_time { line.get(end + 1..) } else { None }
}

/// An array of records; `false` where it is another thing.
pub(super) struct Records<'r, 's, S>(&'r mut Reader<'s, S>);

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

    crate::json::visit_others!(false; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

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
