//! Condition operators.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>.

use std::cmp::Ordering;

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Text { fold: bool, wild: bool },
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

/// What kind of values a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Compares {
    Text,
    Arn,
    Number,
    Date,
    Bool,
    Bytes,
    Network,
    Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// How the values of a key count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// The key has one value.
    Single,
    /// Every value must pass; no value at all passes too.
    ForAll,
    /// At least one value must pass.
    ForAny,
}

/// A condition operator as it is written, and what is understood of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    text: Box<str>,
    pub(super) known: Option<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) quantifier: Quantifier,
    pub(super) test: Test,
    pub(super) negated: bool,
    pub(super) if_exists: bool,
}

impl Operator {
    /// Reads an operator. Any text is kept; see [`Operator::is_known`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), known: known_operator(&text.to_ascii_lowercase()) }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this version understands it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Whether a match of the values refuses (`StringNotEquals`, `NotIpAddress`, …).
    #[must_use]
    pub fn is_negated(&self) -> bool {
        self.known.is_some_and(|k| k.negated)
    }

    /// Whether it passes where the key is absent because of `IfExists`.
    #[must_use]
    pub fn is_if_exists(&self) -> bool {
        self.known.is_some_and(|k| k.if_exists)
    }

    /// How several values of the key count; [`Quantifier::Single`] where it is not understood.
    #[must_use]
    pub fn quantifier(&self) -> Quantifier {
        self.known.map_or(Quantifier::Single, |k| k.quantifier)
    }

    /// Whether this is `Null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.known.is_some_and(|k| k.test == Test::Null)
    }
}

fn known_operator(lower: &str) -> Option<Known> {
    let (quantifier, rest) = match lower.split_once(':') {
        Some(("forallvalues", rest)) => (Quantifier::ForAll, rest),
        Some(("foranyvalue", rest)) => (Quantifier::ForAny, rest),
        Some(_) => return None,
        None => (Quantifier::Single, lower),
    };
    let (rest, if_exists) = rest.strip_suffix("ifexists").map_or((rest, false), |rest| (rest, true));
    let text = |fold, wild| Test::Text { fold, wild };
    let (test, negated) = match rest {
        "stringequals" => (text(false, false), false),
        "stringnotequals" => (text(false, false), true),
        "stringequalsignorecase" => (text(true, false), false),
        "stringnotequalsignorecase" => (text(true, false), true),
        "stringlike" => (text(false, true), false),
        "stringnotlike" => (text(false, true), true),
        "numericequals" => (Test::Numeric(Order::Equal), false),
        "numericnotequals" => (Test::Numeric(Order::Equal), true),
        "numericlessthan" => (Test::Numeric(Order::Less), false),
        "numericlessthanequals" => (Test::Numeric(Order::LessOrEqual), false),
        "numericgreaterthan" => (Test::Numeric(Order::Greater), false),
        "numericgreaterthanequals" => (Test::Numeric(Order::GreaterOrEqual), false),
        "dateequals" => (Test::Date(Order::Equal), false),
        "datenotequals" => (Test::Date(Order::Equal), true),
        "datelessthan" => (Test::Date(Order::Less), false),
        "datelessthanequals" => (Test::Date(Order::LessOrEqual), false),
        "dategreaterthan" => (Test::Date(Order::Greater), false),
        "dategreaterthanequals" => (Test::Date(Order::GreaterOrEqual), false),
        "bool" => (Test::Bool, false),
        "binaryequals" => (Test::Binary, false),
        "ipaddress" => (Test::Ip, false),
        "notipaddress" => (Test::Ip, true),
        "arnequals" | "arnlike" => (Test::Arn, false),
        "arnnotequals" | "arnnotlike" => (Test::Arn, true),
        // AWS refuses `IfExists` and set operators on it; they would change nothing.
        "null" => (Test::Null, false),
        _ => return None,
    };
    Some(Known { quantifier, test, negated, if_exists })
}
