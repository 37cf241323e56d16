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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }
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

/// A value that is one of the shapes that records use; everything else is `Other`.
enum Leaf<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(u64),
    Other,
}

macro_rules! visit_others {
    ($other:expr; $($method:ident: $of:ty),*) => {
        $(fn $method<E>(self, _: $of) -> Result<Self::Value, E> { Ok($other) })*
    };
}

impl<'de> serde::Deserialize<'de> for Leaf<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LeafVisitor;
        impl<'de> Visitor<'de> for LeafVisitor {
            type Value = Leaf<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Text(Cow::Owned(v.to_owned())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Number(v))
            }
            fn visit_unit<E>(self) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Null)
            }
            visit_others!(Leaf::Other; visit_bool: bool, visit_i64: i64, visit_f64: f64);
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Leaf<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Leaf::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Leaf<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Leaf::Other)
            }
        }
        deserializer.deserialize_any(LeafVisitor)
    }
}

pub(super) type Text<'a> = Field<Cow<'a, str>>;

pub(super) fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Text<'de>, A::Error> {
    Ok(match map.next_value()? {
        Leaf::Null => Field::Absent,
        Leaf::Text(text) => Field::Is(text),
        Leaf::Number(_) | Leaf::Other => Field::Other,
    })
}

pub(super) fn number<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Field<u64>, A::Error> {
    Ok(match map.next_value()? {
        Leaf::Null => Field::Absent,
        Leaf::Number(number) => Field::Is(number),
        // Older records write numbers as text.
        Leaf::Text(text) => text.parse().map_or(Field::Other, Field::Is),
        Leaf::Other => Field::Other,
    })
}

/// An object of which some fields are taken; any other shape is `Other`.
pub(super) trait Object<'de>: Default {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

pub(super) struct ObjectSeed<T>(pub(super) std::marker::PhantomData<T>);

impl<'de, T: Object<'de>> DeserializeSeed<'de> for ObjectSeed<T> {
    type Value = Field<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for ObjectSeed<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }
    visit_others!(Field::Other; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<T>, A::Error> {
        let mut object = T::default();
        while let Some(Key(key)) = map.next_key()? {
            object.take(&key, &mut map)?;
        }
        Ok(Field::Is(object))
    }
}

pub(super) fn object<'de, T: Object<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<Field<T>, A::Error> {
    map.next_value_seed(ObjectSeed(std::marker::PhantomData))
}

/// An object that is large and seldom there.
pub(super) fn boxed<'de, T: Object<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<Field<Box<T>>, A::Error> {
    Ok(match object(map)? {
        Field::Absent => Field::Absent,
        Field::Is(object) => Field::Is(Box::new(object)),
        Field::Other => Field::Other,
    })
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

pub(super) fn list<'de, T: Object<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<List<T>, A::Error> {
    struct ListVisitor<T>(std::marker::PhantomData<T>);
    impl<'de, T: Object<'de>> DeserializeSeed<'de> for ListVisitor<T> {
        type Value = List<T>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<T>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de, T: Object<'de>> Visitor<'de> for ListVisitor<T> {
        type Value = List<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_unit<E>(self) -> Result<List<T>, E> {
            Ok(List::default())
        }
        visit_others!(List::default(); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<T>, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(List::default())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = seq.next_element_seed(ObjectSeed::<T>(std::marker::PhantomData))? {
                if let Field::Is(item) = item {
                    list.push(item);
                }
            }
            Ok(List(list))
        }
    }
    map.next_value_seed(ListVisitor(std::marker::PhantomData))
}

macro_rules! fields {
    ($name:ident { $($key:literal => $field:ident: $type:ty = $read:ident),* $(,)? }) => {
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> { $(pub(super) $field: $type),* }

        impl<'a> Object<'a> for $name<'a> {
            fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($key => self.$field = $read(map)?,)*
                    _ => skip(map)?,
                }
                Ok(())
            }
        }
    };
}

pub(super) use {fields, visit_others};
