//! An element where a record is expected, with the envelopes of single records.

use super::Event;
use crate::json::{Field, Key, Object, ObjectSeed, Slot, Text, fields, object, skip, text, visit_others};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// An element where a record is expected. One is used for all elements of a list, one after the
/// other.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    pub(crate) is: Element<'a>,
    /// Of no meaning unless the element is an event.
    pub(crate) event: Event<'a>,
    /// The event came in an envelope: what stands beside it there is no part of it.
    is_sealed: bool,
}

/// What an element is.
#[derive(Debug, Default)]
pub(crate) enum Element<'a> {
    #[default]
    Event,
    /// The record is in it as text: a row of `LookupEvents`, a line of a log group.
    Embedded(&'static str, Text<'a>),
    NotAnObject,
}

// What Filebeat keeps of a line.
fields!(Original { "original" => text: Text<'a> = text });

impl<'a> Record<'a> {
    pub(crate) fn not_an_object() -> Self {
        Self { is: Element::NotAnObject, ..Self::default() }
    }

    pub(crate) fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "CloudTrailEvent" => {
                let mut row = Field::Absent;
                text(&mut row, map)?;
                self.is = Element::Embedded("/CloudTrailEvent", row);
                Ok(())
            }
            // A line of CloudWatch Logs. No record has such a field.
            "message" => self.embedded("/message", map, text),
            "event" => self.embedded("/event/original", map, |row, map| {
                let mut original = Slot::<Original<'a>>::default();
                object(&mut original, map)?;
                if let Some(original) = original.get_mut() {
                    *row = std::mem::take(&mut original.text);
                }
                Ok(())
            }),
            // An event of EventBridge.
            "detail" if matches!(self.is, Element::Event) => {
                self.event.clear();
                self.is_sealed = map.next_value_seed(ObjectSeed(&mut self.event))?.get().is_some();
                Ok(())
            }
            _ if matches!(self.is, Element::Event) && !self.is_sealed => self.event.take(key, map),
            _ => skip(map),
        }
    }

    /// Takes a record that stands in a field as text; of any other thing the field is passed over.
    fn embedded<A: MapAccess<'a>>(
        &mut self,
        field: &'static str,
        map: &mut A,
        read: impl FnOnce(&mut Text<'a>, &mut A) -> Result<(), A::Error>,
    ) -> Result<(), A::Error> {
        let mut row = Field::Absent;
        read(&mut row, map)?;
        if let (Field::Is(_), Element::Event) = (&row, &self.is) {
            self.is = Element::Embedded(field, row);
        }
        Ok(())
    }
}

/// Reads an element, into a record that is cleared first.
pub(crate) struct RecordSeed<'r, 'a>(pub(crate) &'r mut Record<'a>);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self(record) = self;
        record.is = Element::Event;
        record.is_sealed = false;
        record.event.clear();
        if !deserializer.deserialize_any(RecordVisitor(record))? {
            record.is = Element::NotAnObject;
        }
        Ok(())
    }
}

struct RecordVisitor<'r, 'a>(&'r mut Record<'a>);

impl<'de> Visitor<'de> for RecordVisitor<'_, 'de> {
    /// Whether it is an object.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudTrail record")
    }
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
    visit_others!(false; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }
    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            self.0.take(&key, &mut map)?;
        }
        Ok(true)
    }
}
