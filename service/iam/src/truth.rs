//! Three values: true, false, and unknown with the reasons.
//!
//! Knows Kleene's logic. Refuses to know what a question is about.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// So many reasons of a kind are kept: nobody reads more.
const MOST_REASONS: usize = 64;

/// Why something is not decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It depends on a condition key whose value the context leaves open.
    Key(String),
    /// Something was seen that this version does not understand.
    NotUnderstood(String),
    /// Something that may decide was not seen.
    NotSeen(NotSeen),
    /// To judge it takes more steps than one analysis may take; see [`crate::steps`].
    Exceeded {
        /// What is judged.
        of: &'static str,
        /// So many steps it may take.
        steps: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "it depends on the value of `{key}`"),
            Self::NotUnderstood(what) => f.write_str(what),
            Self::NotSeen(what) => f.write_str(&what.text),
            Self::Exceeded { of, steps } => write!(
                f,
                "{of} would take more than {steps} steps to judge: merge statements, or replace patterns with several `*` by fewer and plainer ones"
            ),
        }
    }
}

/// Something that was not seen: a sentence, and what the caller knows it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotSeen {
    text: String,
    origin: Option<Arc<str>>,
}

impl NotSeen {
    /// The sentence, without a full stop.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the caller knows it by, as given.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The same, with what the caller knows it by. The engine hands that on without reading it.
    #[must_use]
    pub fn with_origin(self, origin: &str) -> Self {
        Self { origin: Some(origin.into()), ..self }
    }

    /// The same in another sentence.
    #[must_use]
    pub fn reworded(&self, text: String) -> Self {
        Self { text, origin: self.origin.clone() }
    }
}

impl From<String> for NotSeen {
    fn from(text: String) -> Self {
        Self { text, origin: None }
    }
}

impl From<&str> for NotSeen {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// True, false, or unknown with the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// Certain.
    True,
    /// Certain.
    False,
    /// Not decided; never empty, sorted, without repetitions.
    Unknown(Vec<Why>),
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    /// Unknown for one reason.
    #[must_use]
    pub fn unknown(why: Why) -> Self {
        Self::Unknown(vec![why])
    }

    /// Certainly true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        *self == Self::True
    }

    /// Certainly false.
    #[must_use]
    pub fn is_false(&self) -> bool {
        *self == Self::False
    }

    /// The reasons, as sentences; empty where it is decided.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Unknown(why) => why.iter().map(ToString::to_string).collect(),
            Self::True | Self::False => Vec::new(),
        }
    }

    #[cold]
    fn merged(mut a: Vec<Why>, b: Vec<Why>) -> Self {
        a.extend(b);
        a.sort();
        a.dedup();
        if a.len() > MOST_REASONS {
            // INVARIANT: of both kinds some stay where there were some: keys alone count as possible.
            let (mut keys, mut others) = (0_usize, 0_usize);
            a.retain(|why| {
                let count = if matches!(why, Why::Key(_)) { &mut keys } else { &mut others };
                *count += 1;
                *count <= MOST_REASONS / 2
            });
        }
        Self::Unknown(a)
    }

    /// False if either is; else unknown if either is.
    #[inline]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, x) | (x, Self::True) => x,
            (Self::Unknown(a), Self::Unknown(b)) => Self::merged(a, b),
        }
    }

    /// True if either is; else unknown if either is.
    #[inline]
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::True, _) | (_, Self::True) => Self::True,
            (Self::False, x) | (x, Self::False) => x,
            (Self::Unknown(a), Self::Unknown(b)) => Self::merged(a, b),
        }
    }

    /// Whether it can be true for some value of the keys that are left open: a free key counts as
    /// yes, anything not understood or not seen stays unknown.
    #[must_use]
    pub fn possible(self) -> Self {
        match self {
            Self::Unknown(mut why) => {
                why.retain(|w| !matches!(w, Why::Key(_)));
                if why.is_empty() { Self::True } else { Self::Unknown(why) }
            }
            decided => decided,
        }
    }
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            unknown @ Self::Unknown(_) => unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certain_answer_beats_an_unknown_one() {
        let unknown = || Truth::unknown(Why::Key("aws:SourceArn".into()));
        assert_eq!(unknown().and(Truth::False), Truth::False);
        assert_eq!(unknown().or(Truth::True), Truth::True);
        assert_eq!(unknown().and(Truth::True), unknown());
        assert_eq!(!unknown(), unknown());
    }

    #[test]
    fn a_free_key_is_possible_and_the_not_understood_is_not() {
        let free = Truth::unknown(Why::Key("a:b".into()));
        assert_eq!(free.clone().possible(), Truth::True);
        let mixed = free.and(Truth::unknown(Why::NotUnderstood("x".into())));
        assert_eq!(mixed.possible(), Truth::unknown(Why::NotUnderstood("x".into())));
        assert_eq!(Truth::False.possible(), Truth::False);
    }
}
