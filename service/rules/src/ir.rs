//! A checked expression: every name resolved to a number, every pattern compiled.
//!
//! Refuses to know how it was written and what it means.

use super::cel::{Arith, Comparison, Each};
use super::schema::Native;
use super::value::Value;
use std::sync::Arc;

/// Places of variables while an expression is judged: subject, `now`, the element of `each`, `because`,
/// and one for each comprehension that is open (at most [`DEEPEST_COMPREHENSION`]).
pub(super) const SLOTS: usize = 6;
/// The subject's place.
pub(super) const SUBJECT: usize = 0;
/// The place of `now`.
pub(super) const NOW: usize = 1;
/// The place of the element of `each`.
pub(super) const ELEMENT: usize = 2;
/// The place of `because`.
pub(super) const BECAUSE: usize = 3;
/// The place of the outermost comprehension's variable.
pub(super) const FIRST_VARIABLE: usize = 4;
/// Comprehensions within comprehensions, at most.
pub(super) const DEEPEST_COMPREHENSION: usize = SLOTS - FIRST_VARIABLE;

/// A checked expression.
#[derive(Clone)]
pub(super) enum Ir {
    Const(Value),
    Slot(usize),
    Param(usize),
    Field(Box<Ir>, usize),
    Present(Box<Ir>),
    Not(Box<Ir>),
    Negate(Box<Ir>),
    And(Vec<Ir>),
    Or(Vec<Ir>),
    Cond(Box<[Ir; 3]>),
    Compare(Comparison, Box<[Ir; 2]>),
    Arith(Arith, Box<[Ir; 2]>),
    In(Box<[Ir; 2]>),
    Index(Box<[Ir; 2]>),
    List(Vec<Ir>),
    Map(Vec<(Ir, Ir)>),
    Each { how: Each, list: Box<Ir>, slot: usize, only: Option<Box<Ir>>, body: Box<Ir> },
    Call(Builtin, Vec<Ir>),
    Matches(Box<Ir>, Arc<regex::Regex>),
    Native { name: Arc<str>, native: Native, args: Vec<Ir> },
}

/// The language's own functions. The receiver of a method is the first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    MatchesParam,
    LowerAscii,
    UpperAscii,
    Trim,
    Split,
    Join,
    Distinct,
    Flatten,
    Keys,
    OrValue,
    Min,
    Max,
    ToText,
    ToInt,
    ToDouble,
    ToTimestamp,
    ToDuration,
    GlobMatches,
    GlobLookup,
    Evidence,
}

/// Every function of the language with its signature as people read it and what it does: the source
/// of the suggestions and of the documentation. A method is written with its receiver.
pub(super) const BUILTINS: &[(&str, Builtin, &str)] = &[
    ("size", Builtin::Size, "list.size(), map.size(), string.size() -> int: elements, entries or characters."),
    ("contains", Builtin::Contains, "string.contains(part: string) -> bool"),
    ("startsWith", Builtin::StartsWith, "string.startsWith(prefix: string) -> bool"),
    ("endsWith", Builtin::EndsWith, "string.endsWith(suffix: string) -> bool"),
    (
        "matches",
        Builtin::MatchesParam,
        "string.matches(regex) -> bool: a literal pattern, or a `regex` parameter; finds it anywhere, so anchor it with ^ and $.",
    ),
    ("lowerAscii", Builtin::LowerAscii, "string.lowerAscii() -> string"),
    ("upperAscii", Builtin::UpperAscii, "string.upperAscii() -> string"),
    ("trim", Builtin::Trim, "string.trim() -> string"),
    ("split", Builtin::Split, "string.split(separator: string) -> list(string)"),
    ("join", Builtin::Join, "list(string).join(separator: string) -> string"),
    ("distinct", Builtin::Distinct, "list(T).distinct() -> list(T): the first of each."),
    ("flatten", Builtin::Flatten, "list(list(T)).flatten() -> list(T): the elements of each, in order."),
    ("keys", Builtin::Keys, "map(T).keys() -> list(string), sorted."),
    ("orValue", Builtin::OrValue, "optional(T).orValue(other: T) -> T: the value, or the other where it is absent."),
    ("min", Builtin::Min, "min(a: T, b: T), list(T).min() -> T: an error on an empty list."),
    ("max", Builtin::Max, "max(a: T, b: T), list(T).max() -> T: an error on an empty list."),
    ("string", Builtin::ToText, "string(value) -> string"),
    ("int", Builtin::ToInt, "int(value) -> int: from a double or a string."),
    ("double", Builtin::ToDouble, "double(value) -> double: from an int or a string."),
    ("timestamp", Builtin::ToTimestamp, "timestamp(text: string) -> timestamp: RFC 3339, or a date."),
    ("duration", Builtin::ToDuration, "duration(text: string) -> duration: as in `90d`, `12h`, `1h30m`."),
    (
        "glob.matches",
        Builtin::GlobMatches,
        "glob.matches(pattern: string, text: string) -> bool: `*` and `?`, whole text.",
    ),
    (
        "glob.lookup",
        Builtin::GlobLookup,
        "glob.lookup(map: map(T), text: string, otherwise: T) -> T: the entry whose key, a glob, matches and is the most specific; without `otherwise`, no match is an error.",
    ),
    ("evidence", Builtin::Evidence, "evidence(label: string, value) -> Evidence: a fact that decided."),
];
