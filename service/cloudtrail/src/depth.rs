//! How deep JSON may nest before a parser that has no limit of its own sees it.
//!
//! What a record has and nobody needs is skipped, and sonic-rs skips by recursion without a limit:
//! 25,000 brackets are enough to overflow a stack. So a text is measured before it is read
//! ([`is_deeper`]), or read with all that is skipped being visited level by level ([`Limited`]), which
//! is faster for a text of many records, and refuses more. Refuses to know what a record means.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A record may have so many levels. CloudTrail's own have less than 20.
pub(super) const DEEPEST: usize = 128;
/// A parser that recurses may be given so many: it takes up to 20 KB of stack for each, where it is built
/// without optimisation.
pub(super) const SHALLOW: usize = 32;

/// Whether a text opens more brackets within each other, whatever else is wrong with it.
pub(super) fn is_deeper(text: &str, than: usize) -> bool {
    // Nearly all texts have fewer brackets, and counting them is much faster than telling which of
    // them stand in strings.
    let (chunks, rest) = text.as_bytes().as_chunks::<128>();
    let brackets: usize = chunks.iter().map(|chunk| opening(chunk)).sum();
    brackets + opening(rest) > than && reaches(text.as_bytes(), than + 1)
}

/// How many brackets are opened in a few bytes.
fn opening(bytes: &[u8]) -> usize {
    // In a byte the processor adds many at once.
    usize::from(bytes.iter().fold(0_u8, |n, byte| n.wrapping_add(u8::from(matches!(byte, b'[' | b'{')))))
}

/// Whether a text opens so many brackets within each other.
fn reaches(bytes: &[u8], deep: usize) -> bool {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => match string_end(bytes, at) {
                Some(end) => at = end,
                None => return false,
            },
            b'[' | b'{' => {
                depth += 1;
                if depth >= deep {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Where a string ends that began before.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// A deserializer, and every part of one, that visits what is to be ignored instead of asking the
/// parser to skip it, and fails where that is too deep. Numbers and texts that are ignored are read,
/// too: what it refuses may be right, and is to be measured and read again without it.
pub(super) struct Limited<T>(pub(super) T);

macro_rules! forward {
    ($($method:ident),*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Limited(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Limited<D> {
    type Error = D::Error;

    forward!(deserialize_any, deserialize_str);

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Skip(SHALLOW))?;
        visitor.visit_unit()
    }

    // Nothing of the reader asks for these.
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

macro_rules! visit {
    ($($method:ident: $of:ty),*) => {
        $(#[inline]
        fn $method<E: serde::de::Error>(self, value: $of) -> Result<V::Value, E> { self.0.$method(value) })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Limited<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
    visit!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_borrowed_str: &'de str);
    #[inline]
    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }
    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Limited(seq))
    }
    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Limited(map))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Limited<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Limited(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Limited<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Limited(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Limited<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Limited(seed))
    }
    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Limited(seed))
    }
}

/// Passes over a value of at most so many levels.
struct Skip(usize);

impl Skip {
    #[inline]
    fn within<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("values lie too deep within each other"))
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    super::json::visit_others!((); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    #[inline]
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let within = self.within()?.0;
        while seq.next_element_seed(Self(within))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let within = self.within()?.0;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Self(within))?;
        }
        Ok(())
    }
}
