//! Closed lists of words: the one way by which an enum has its words.
//!
//! The API, the store, files, messages and the command line use the same word for a variant, so that each is
//! written once.

use serde::de::{Deserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// A text that is none of a list's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// The text.
    pub text: String,
    /// What the words are, with an article: `a severity`.
    pub what: &'static str,
    /// Every word of the list.
    pub words: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.text.chars().take(64).collect();
        write!(f, "`{shown}` is not {}; known are {}", self.what, self.words.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// Reads a word of a list; what [`vocabulary!`](crate::vocabulary) uses.
///
/// # Errors
/// The value is no text, or none of the words.
#[doc(hidden)]
pub fn deserialize<'de, T: FromStr<Err = UnknownWord>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Words<T>(PhantomData<T>);
    impl<T: FromStr<Err = UnknownWord>> Visitor<'_> for Words<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word of a closed list")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Words(PhantomData))
}

/// Declares an enum whose variants are words: `ALL` in the order of the declaration, `as_str`, `Display`,
/// `FromStr` with an error that lists the words, and serde as the word.
///
/// ```
/// rolecall_iam::vocabulary! {
///     /// A colour.
///     pub enum Colour: "a colour" {
///         /// As blood.
///         Red = "red",
///         /// As the sea.
///         DeepBlue = "deep_blue",
///     }
/// }
/// assert_eq!(Colour::ALL.map(Colour::as_str), ["red", "deep_blue"]);
/// assert_eq!("deep_blue".parse(), Ok(Colour::DeepBlue));
/// let error = "green".parse::<Colour>().unwrap_err().to_string();
/// assert_eq!(error, "`green` is not a colour; known are red, deep_blue");
/// ```
#[macro_export]
macro_rules! vocabulary {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident: $what:literal {
            $($(#[$about:meta])* $variant:ident = $word:literal),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$about])* $variant,)*
        }

        impl $name {
            /// Each of them.
            $vis const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The word for it, the same everywhere.
            #[must_use]
            $vis fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::vocabulary::UnknownWord;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
                found.ok_or_else(|| $crate::vocabulary::UnknownWord {
                    text: text.to_owned(),
                    what: $what,
                    words: &[$($word),*],
                })
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                $crate::vocabulary::deserialize(deserializer)
            }
        }
    };
}
