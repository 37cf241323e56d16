//! JSON values that are read for one shape and skipped in any other.
//!
//! Knows how to take a text, a number, an object or a list out of borrowed JSON in one pass, so that
//! a field of an unexpected type spoils its record and not the file. Refuses to know what the fields
//! mean.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A JSON value of which only one shape is of use. Any other shape is skipped and remembered, so
/// that a field of an unexpected type spoils its record and not the file.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Is(T),
    Other,
}

impl<T> Field<T> {
    pub(super) fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Other => None,
        }
    }
}

pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }
            #[inline]
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

macro_rules! visit_others {
    ($other:expr; $($method:ident: $of:ty),*) => {
        $(fn $method<E>(self, _: $of) -> Result<Self::Value, E> { Ok($other) })*
    };
}

macro_rules! pass_over {
    ($other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

pub(super) type Text<'a> = Field<Cow<'a, str>>;

/// Reads a text into its field.
#[inline]
pub(super) fn text<'de, A: MapAccess<'de>>(into: &mut Text<'de>, map: &mut A) -> Result<(), A::Error> {
    struct TextSeed;
    impl<'de> DeserializeSeed<'de> for TextSeed {
        type Value = Text<'de>;
        #[inline]
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for TextSeed {
        type Value = Text<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        #[inline]
        fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Text<'de>, E> {
            Ok(Field::Is(Cow::Borrowed(v)))
        }
        fn visit_str<E>(self, v: &str) -> Result<Text<'de>, E> {
            Ok(Field::Is(Cow::Owned(v.to_owned())))
        }
        fn visit_unit<E>(self) -> Result<Text<'de>, E> {
            Ok(Field::Absent)
        }
        visit_others!(Field::Other; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
        pass_over!(Field::Other);
    }
    *into = map.next_value_seed(TextSeed)?;
    Ok(())
}

/// Reads a number into its field.
pub(super) fn number<'de, A: MapAccess<'de>>(into: &mut Field<u64>, map: &mut A) -> Result<(), A::Error> {
    struct NumberSeed;
    impl<'de> DeserializeSeed<'de> for NumberSeed {
        type Value = Field<u64>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<u64>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for NumberSeed {
        type Value = Field<u64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        // Older records write numbers as text.
        fn visit_str<E>(self, v: &str) -> Result<Field<u64>, E> {
            Ok(v.parse().map_or(Field::Other, Field::Is))
        }
        fn visit_u64<E>(self, v: u64) -> Result<Field<u64>, E> {
            Ok(Field::Is(v))
        }
        fn visit_unit<E>(self) -> Result<Field<u64>, E> {
            Ok(Field::Absent)
        }
        visit_others!(Field::Other; visit_bool: bool, visit_i64: i64, visit_f64: f64);
        pass_over!(Field::Other);
    }
    *into = map.next_value_seed(NumberSeed)?;
    Ok(())
}

/// An object of which some fields are taken; any other shape is `Other`.
pub(super) trait Object<'de>: Default {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Where an object is read to. It is filled in place: the fields of a record are many words, and
/// each would be moved as often as objects are nested.
#[derive(Debug, Default)]
pub(super) struct Slot<T> {
    shape: Field<()>,
    /// Of no meaning unless the shape is right.
    value: T,
}

impl<T> Slot<T> {
    pub(super) fn get(&self) -> Option<&T> {
        self.shape.get().map(|()| &self.value)
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        let Self { shape, value } = self;
        shape.get().map(|()| value)
    }

    /// Forgets the object. Its memory is used again by the next.
    pub(super) fn clear(&mut self) {
        self.shape = Field::Absent;
    }
}

pub(super) struct ObjectSeed<'s, T>(pub(super) &'s mut T);

impl<'de, T: Object<'de>> DeserializeSeed<'de> for ObjectSeed<'_, T> {
    type Value = Field<()>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<()>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for ObjectSeed<'_, T> {
    type Value = Field<()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Field<()>, E> {
        Ok(Field::Absent)
    }
    visit_others!(Field::Other; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<()>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<()>, A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            self.0.take(&key, &mut map)?;
        }
        Ok(Field::Is(()))
    }
}

/// Reads an object into its place.
#[inline]
pub(super) fn object<'de, T: Object<'de>, A: MapAccess<'de>>(into: &mut Slot<T>, map: &mut A) -> Result<(), A::Error> {
    into.shape = Field::Absent;
    into.value = T::default();
    into.shape = map.next_value_seed(ObjectSeed(&mut into.value))?;
    Ok(())
}

/// An object that is large and seldom there.
pub(super) type Boxed<T> = Option<Box<Slot<T>>>;

pub(super) fn boxed<'de, T: Object<'de>, A: MapAccess<'de>>(into: &mut Boxed<T>, map: &mut A) -> Result<(), A::Error> {
    object(into.get_or_insert_default(), map)
}

/// Reads an object from a value that was kept.
pub(super) fn boxed_of<'de, T: Object<'de>>(into: &mut Boxed<T>, value: serde_json::Value) {
    let slot = into.get_or_insert_default();
    slot.value = T::default();
    slot.shape = ObjectSeed(&mut slot.value).deserialize(value).unwrap_or(Field::Other);
}

pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// A list of objects of one kind; what is no object in it, or no list, is left out.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

pub(super) fn list<'de, T: Object<'de>, A: MapAccess<'de>>(into: &mut List<T>, map: &mut A) -> Result<(), A::Error> {
    struct ListSeed<'l, T>(&'l mut Vec<T>);
    impl<'de, T: Object<'de>> DeserializeSeed<'de> for ListSeed<'_, T> {
        type Value = ();
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de, T: Object<'de>> Visitor<'de> for ListSeed<'_, T> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        visit_others!((); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            let mut item = T::default();
            while let Some(shape) = seq.next_element_seed(ObjectSeed(&mut item))? {
                let read = std::mem::take(&mut item);
                if shape.get().is_some() {
                    self.0.push(read);
                }
            }
            Ok(())
        }
    }
    into.0.clear();
    map.next_value_seed(ListSeed(&mut into.0))
}

macro_rules! fields {
    ($name:ident { $($key:literal => $field:ident: $type:ty = $read:ident),* $(,)? }) => {
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> { $(pub(super) $field: $type),* }

        impl<'a> Object<'a> for $name<'a> {
            fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($key => $read(&mut self.$field, map)?,)*
                    _ => skip(map)?,
                }
                Ok(())
            }
        }
    };
}

pub(super) use {fields, visit_others};
