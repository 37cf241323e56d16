//! What a text with wildcards and policy variables is compiled to.

use crate::context::{Context, ContextValue, KeyName};
use crate::truth::Why;

/// How the wildcards of a text are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// There are none.
    Literal,
    /// There are none, and letters match in either case.
    LiteralNoCase,
    /// `*` is any text.
    Wild,
    /// `*` is any text, and ASCII letters match in either case.
    WildNoCase,
    /// A resource ARN: `*` stays in its segment unless it ends the segment.
    Resource,
    /// An ARN condition: each of the six segments is compared apart.
    Arn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Counts,
    Ascii,
    Unicode,
}

/// One step of a compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// This text.
    Lit(Box<str>),
    /// The text that this variable stands for.
    Var(usize),
    /// Any one character.
    One,
    /// Any one character but a colon.
    OneWithin,
    /// Any characters.
    Any,
    /// Any characters but colons.
    Within,
}

/// A policy variable: `${key}` or `${key, 'default'}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(super) text: Box<str>,
    pub(super) key: KeyName,
    pub(super) default: Option<Box<str>>,
}

/// Why a text with variables stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// A variable's key is absent, and it has no default: nothing equals it.
    Missing,
    /// A variable's value is not known.
    Unknown(Why),
}

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    pub(super) pieces: Box<[Piece]>,
    pub(super) variables: Box<[Variable]>,
    pub(super) case: Case,
    pub(super) early: bool,
}

impl Piece {
    /// What it stands for where it is no wildcard.
    pub(super) fn text<'a>(&'a self, values: &[&'a str]) -> &'a str {
        match self {
            Self::Lit(text) => text,
            Self::Var(n) => values.get(*n).copied().unwrap_or_default(),
            _ => "",
        }
    }
}

impl Variable {
    pub(super) fn value<'a>(&'a self, context: &'a Context) -> Result<&'a str, Unresolved> {
        match context.value_of(&self.key) {
            ContextValue::Known([one]) => Ok(one),
            // A key with several values cannot be a variable.
            ContextValue::Known(_) | ContextValue::List(_) | ContextValue::Absent => {
                self.default.as_deref().ok_or(Unresolved::Missing)
            }
            ContextValue::Unknown(why) => Err(Unresolved::Unknown(why.clone())),
            ContextValue::Open => Err(Unresolved::Unknown(Why::Key(self.text.to_string()))),
        }
    }
}
