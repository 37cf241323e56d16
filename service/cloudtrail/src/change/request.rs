//! Parameters and answers of calls that change something, within bounds and without secrets.
//!
//! CloudTrail hides what its services mark as secret, with the same word as here; what a caller may put into
//! a field that is not marked (an add-on's configuration, a private key of an identity provider) is hidden
//! by the field's name. Refuses to know what a parameter means.

use crate::json::{Boxed, Key, Object, boxed_of};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// So many bytes of texts, names of fields included, are kept of one value.
const MOST_TEXT: usize = 64 * 1024;
/// So deep may it be.
const DEEPEST: usize = 16;
/// So many values it may have.
const MOST_VALUES: usize = 4096;
/// What stands for a secret.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// What a record says was asked for, and what was answered.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// `requestParameters`.
    pub(crate) request: Read,
    /// `responseElements`: read to find what was made, and not kept.
    pub(crate) response: Read,
    /// `serviceEventDetails`, of an event that is no call.
    pub(crate) details: Read,
}

/// A value as far as it is within the bounds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) value: Value,
    /// Something was left out, here or by CloudTrail.
    pub(crate) is_cut: bool,
    /// Bytes of its texts.
    pub(crate) bytes: usize,
}

impl Read {
    /// Reads a field's value.
    pub(crate) fn take<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error> {
        let mut room = Room { text: MOST_TEXT, values: MOST_VALUES, is_cut: false };
        let value = map.next_value_seed(Seed { room: &mut room, depth: DEEPEST })?;
        // CloudTrail leaves out what would make a record too long, and says so in its place.
        let omitted = value.get("omitted").and_then(Value::as_bool) == Some(true);
        Ok(Self { value, is_cut: room.is_cut || omitted, bytes: MOST_TEXT - room.text })
    }

    /// The fields that a session needs, for a record that does not say by now what it is.
    pub(crate) fn fields<'de, T: Object<'de>>(&self, into: &mut Boxed<T>) {
        boxed_of(into, self.value.clone());
    }
}

/// What may still be kept.
struct Room {
    text: usize,
    values: usize,
    is_cut: bool,
}

impl Room {
    fn text(&mut self, text: &str) -> Value {
        match self.text.checked_sub(text.len()) {
            Some(left) => {
                self.text = left;
                Value::from(text)
            }
            None => self.cut(),
        }
    }

    fn cut(&mut self) -> Value {
        self.is_cut = true;
        Value::Null
    }

    /// Whether there is room for one value more, with its name.
    fn has_for(&mut self, name: &str) -> bool {
        match (self.values.checked_sub(1), self.text.checked_sub(name.len())) {
            (Some(values), Some(text)) => {
                (self.values, self.text) = (values, text);
                true
            }
            _ => {
                self.is_cut = true;
                false
            }
        }
    }
}

/// Whether a field of this name may hold a secret, or a person's address.
fn is_secret(name: &str) -> bool {
    const MARKS: [&str; 9] = [
        "password",
        "secret",
        "privatekey",
        "sessiontoken",
        "credentialtoken",
        "configurationvalues",
        "userdata",
        "email",
        "authorization",
    ];
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    // The name of a secret is none.
    MARKS.iter().any(|mark| plain.contains(mark)) && plain != "secretid" && plain != "secretarn"
}

struct Seed<'r> {
    room: &'r mut Room,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(self.room.text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(self.room.cut());
        };
        let mut items = Vec::new();
        loop {
            if !self.room.has_for("") {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Value::Array(items));
            }
            let Some(item) = seq.next_element_seed(Seed { room: &mut *self.room, depth })? else { break };
            items.push(item);
        }
        self.room.values += 1;
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let depth = self.depth.checked_sub(1);
        let mut members = Map::new();
        while let Some(Key(name)) = map.next_key()? {
            let Some(depth) = depth.filter(|_| self.room.has_for(&name)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = if is_secret(&name) {
                map.next_value::<IgnoredAny>()?;
                Value::from(HIDDEN)
            } else {
                map.next_value_seed(Seed { room: &mut *self.room, depth })?
            };
            members.insert(name.into_owned(), value);
        }
        if depth.is_none() { Ok(self.room.cut()) } else { Ok(Value::Object(members)) }
    }
}
