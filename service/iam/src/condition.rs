//! Condition blocks: every operator, `…IfExists`, `ForAllValues:`, `ForAnyValue:`, `Null`, policy
//! variables, and what they come to when part of the context is not known.
//!
//! An operator that this version does not know makes the condition unknown, in Allow and in Deny
//! alike. Refuses to know which keys a service sends: the context says what is there.

use crate::document::Version;
use crate::pattern::{Glob, Mode, Unresolved, Variable, arn_mode};
use crate::truth::{Truth, Why};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Text { fold: bool, wild: bool },
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
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
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    quantifier: Quantifier,
    test: Test,
    negated: bool,
    if_exists: bool,
}

impl Operator {
    /// Reads an operator. Any text is kept; see [`Operator::is_known`].
    #[must_use]
    pub fn read(text: &str) -> Self {
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
        "null" if quantifier == Quantifier::Single && !if_exists => (Test::Null, false),
        _ => return None,
    };
    Some(Known { quantifier, test, negated, if_exists })
}

/// One operator, one key, its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The operator.
    pub operator: Operator,
    /// The condition key as written; letter case does not count.
    pub key: Box<str>,
    /// The values; several count as alternatives (for negated operators: none may match).
    pub values: Vec<String>,
    /// RFC 6901 pointer within the document.
    pub pointer: String,
}

/// What a condition key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// These values; most keys have one.
    Known(Vec<String>),
    /// The request does not have the key.
    Absent,
    /// Not known, and why.
    Unknown(Why),
}

/// What is known of a request's condition keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    keys: BTreeMap<String, Value>,
    /// Prefixes of keys that are absent unless named.
    absent: Vec<String>,
    /// Prefixes of keys that may hold anything, or be absent, unless named.
    open: Vec<String>,
}

impl Context {
    /// Keys that are not named are absent.
    #[must_use]
    pub fn closed() -> Self {
        Self { keys: BTreeMap::new(), absent: Vec::new(), open: Vec::new() }
    }

    /// Keys that are not named may hold anything, or be absent.
    #[must_use]
    pub fn open() -> Self {
        Self::open_under(&[""])
    }

    /// Keys with one of these prefixes may hold anything, or be absent; others that are not named
    /// are absent.
    #[must_use]
    pub fn open_under(prefixes: &[&str]) -> Self {
        Self { open: prefixes.iter().map(|p| p.to_ascii_lowercase()).collect(), ..Self::closed() }
    }

    /// Says what a key holds. No values at all means that it is absent.
    #[must_use]
    pub fn set<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        let value = if values.is_empty() { Value::Absent } else { Value::Known(values) };
        self.keys.insert(key.to_ascii_lowercase(), value);
        self
    }

    /// Says that a key is absent.
    #[must_use]
    pub fn absent(mut self, key: &str) -> Self {
        self.keys.insert(key.to_ascii_lowercase(), Value::Absent);
        self
    }

    /// Says that every key with this prefix is absent unless named, such as `aws:RequestTag/`.
    #[must_use]
    pub fn absent_under(mut self, prefix: &str) -> Self {
        self.absent.push(prefix.to_ascii_lowercase());
        self
    }

    /// Says that a key's value is not known.
    #[must_use]
    pub fn unknown(mut self, key: &str, why: &str) -> Self {
        self.keys.insert(key.to_ascii_lowercase(), Value::Unknown(Why::NotSeen(why.to_owned())));
        self
    }

    /// Says what a key holds where nothing was said yet.
    #[must_use]
    pub fn or_set(self, key: &str, value: &str) -> Self {
        if self.keys.contains_key(&key.to_ascii_lowercase()) { self } else { self.set(key, [value]) }
    }

    /// Says that a key is absent where nothing was said yet.
    #[must_use]
    pub fn or_absent(self, key: &str) -> Self {
        if self.keys.contains_key(&key.to_ascii_lowercase()) { self } else { self.absent(key) }
    }

    /// What a key holds.
    #[must_use]
    pub fn get(&self, key: &str) -> Value {
        let lower = key.to_ascii_lowercase();
        if let Some(value) = self.keys.get(&lower) {
            return value.clone();
        }
        let under = |prefixes: &[String]| prefixes.iter().any(|prefix| lower.starts_with(prefix));
        if !under(&self.open) || under(&self.absent) {
            return Value::Absent;
        }
        Value::Unknown(Why::Key(key.to_owned()))
    }

    /// What a policy variable stands for. A key with several values is none.
    pub(crate) fn variable(&self, key: &str) -> Variable {
        match self.get(key) {
            Value::Known(values) => match <[String; 1]>::try_from(values) {
                Ok([one]) => Variable::Text(one),
                Err(_) => Variable::Missing,
            },
            Value::Absent => Variable::Missing,
            Value::Unknown(why) => Variable::Unknown(why),
        }
    }
}

/// Whether all conditions hold.
#[must_use]
pub fn all_hold(conditions: &[Condition], context: &Context, language: Version) -> Truth {
    conditions.iter().fold(Truth::True, |truth, condition| truth.and(condition.holds(context, language)))
}

impl Condition {
    /// Whether it holds in the context.
    #[must_use]
    pub fn holds(&self, context: &Context, language: Version) -> Truth {
        let Some(known) = self.operator.known else {
            let operator = self.operator.as_str();
            return Truth::unknown(Why::NotUnderstood(format!(
                "the condition operator `{operator}` is not understood"
            )));
        };
        let value = context.get(&self.key);
        if known.test == Test::Null {
            return self.null(&value);
        }
        match value {
            Value::Unknown(why) => self.whatever_the_value(known, why),
            Value::Absent => Truth::from(match known.quantifier {
                _ if known.if_exists => true,
                Quantifier::Single => known.negated,
                Quantifier::ForAll => true,
                Quantifier::ForAny => false,
            }),
            Value::Known(actual) => {
                let lookup = |key: &str| context.variable(key);
                let each = actual.iter().map(|one| self.passes(known, one, language, &lookup));
                match known.quantifier {
                    // Of a key with several values AWS says nothing for plain operators: any match counts.
                    Quantifier::Single if known.negated => each.fold(Truth::True, Truth::and),
                    Quantifier::ForAll => each.fold(Truth::True, Truth::and),
                    Quantifier::Single | Quantifier::ForAny => each.fold(Truth::False, Truth::or),
                }
            }
        }
    }

    /// Whether it holds in every context, whatever its key holds and even if it is absent.
    #[must_use]
    pub fn is_always_true(&self) -> bool {
        let Some(known) = self.operator.known else { return false };
        !known.negated && (known.if_exists || known.quantifier == Quantifier::ForAll) && self.takes_any_value(known)
    }

    /// Whether a key that is present passes whatever its value, as with `StringLike: "*"`.
    #[must_use]
    pub fn takes_every_value(&self) -> bool {
        self.operator.known.is_some_and(|known| !known.negated && self.takes_any_value(known))
    }

    fn takes_any_value(&self, known: Known) -> bool {
        let has = |wanted: &str| self.values.iter().any(|value| value == wanted);
        match known.test {
            Test::Text { wild: true, .. } | Test::Arn => {
                self.values.iter().any(|value| !value.is_empty() && value.bytes().all(|b| b == b'*'))
            }
            Test::Ip => has("0.0.0.0/0") && has("::/0"),
            _ => false,
        }
    }

    fn null(&self, value: &Value) -> Truth {
        let absent = match value {
            Value::Known(values) => Truth::from(values.is_empty()),
            Value::Absent => Truth::True,
            Value::Unknown(why) => Truth::unknown(why.clone()),
        };
        self.values.iter().fold(Truth::False, |truth, wanted| {
            truth.or(match wanted.to_ascii_lowercase().as_str() {
                "true" => absent.clone(),
                "false" => !absent.clone(),
                _ => self.malformed(wanted),
            })
        })
    }

    fn whatever_the_value(&self, known: Known, why: Why) -> Truth {
        if self.values.is_empty() && !known.negated && !known.if_exists && known.quantifier != Quantifier::ForAll {
            return Truth::False;
        }
        if self.is_always_true() { Truth::True } else { Truth::unknown(why) }
    }

    fn malformed(&self, value: &str) -> Truth {
        let operator = self.operator.as_str();
        Truth::unknown(Why::NotUnderstood(format!("`{value}` is no value that `{operator}` can compare")))
    }

    /// Whether one value of the key passes.
    fn passes(&self, known: Known, actual: &str, language: Version, lookup: &dyn Fn(&str) -> Variable) -> Truth {
        let mut matched = Truth::False;
        for wanted in &self.values {
            let truth = match self.matches(known.test, wanted, actual, language, lookup) {
                Ok(truth) => truth,
                // A variable without a value: no match, and a negated operator does not pass on it.
                Err(Unresolved::Missing) if known.negated => return Truth::False,
                Err(Unresolved::Missing) => Truth::False,
                Err(Unresolved::Unknown(why)) => Truth::unknown(why),
            };
            matched = matched.or(truth);
        }
        if known.negated { !matched } else { matched }
    }

    fn matches(
        &self,
        test: Test,
        wanted: &str,
        actual: &str,
        language: Version,
        lookup: &dyn Fn(&str) -> Variable,
    ) -> Result<Truth, Unresolved> {
        let glob = |text: &str, mode| match language {
            Version::V2012 if text.contains("${") => Glob::with_variables(text, mode, lookup),
            _ => Ok(Glob::plain(text, mode)),
        };
        let both = |a: Option<bool>| a.map_or_else(|| self.malformed(wanted), Truth::from);
        Ok(match test {
            Test::Text { fold, wild } => {
                let mode = if wild { Mode::Wild } else { Mode::Literal };
                if fold {
                    let lower = |key: &str| match lookup(key) {
                        Variable::Text(text) => Variable::Text(text.to_lowercase()),
                        other => other,
                    };
                    let wanted = wanted.to_lowercase();
                    let glob = match language {
                        Version::V2012 if wanted.contains("${") => Glob::with_variables(&wanted, mode, &lower)?,
                        _ => Glob::plain(&wanted, mode),
                    };
                    glob.matches(&actual.to_lowercase()).into()
                } else {
                    glob(wanted, mode)?.matches(actual).into()
                }
            }
            Test::Arn => {
                let everything = wanted.bytes().all(|b| b == b'*') && !wanted.is_empty();
                let is_arn = actual.splitn(6, ':').count() == 6;
                (everything || (is_arn && glob(wanted, arn_mode(wanted))?.matches(actual))).into()
            }
            Test::Binary => (wanted == actual).into(),
            Test::Bool => match (wanted.to_ascii_lowercase().as_str(), actual.to_ascii_lowercase()) {
                (wanted @ ("true" | "false"), actual) => (wanted == actual).into(),
                _ => self.malformed(wanted),
            },
            Test::Numeric(order) => both(number(wanted).zip(number(actual)).map(|(w, a)| order.holds(&a, &w))),
            Test::Date(order) => both(date(wanted).zip(date(actual)).map(|(w, a)| order.holds(&a, &w))),
            Test::Ip => both(network(wanted).zip(actual.parse::<IpAddr>().ok()).map(|(net, ip)| within(net, ip))),
            Test::Null => self.malformed(wanted),
        })
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

/// ISO 8601 in the forms that IAM takes, or seconds since 1970.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>()
        && text.len() > 4
    {
        return DateTime::from_timestamp(seconds, 0);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    for format in ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(at.and_utc());
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(|at| at.and_utc())
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.trim().parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

fn within((network, bits): (IpAddr, u32), ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            net.to_bits() & mask == ip.to_bits() & mask
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            net.to_bits() & mask == ip.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(operator: &str, key: &str, values: &[&str]) -> Condition {
        Condition {
            operator: Operator::read(operator),
            key: key.into(),
            values: values.iter().map(ToString::to_string).collect(),
            pointer: String::new(),
        }
    }

    fn holds(operator: &str, wanted: &[&str], actual: &[&str]) -> Truth {
        let context = Context::closed().set("k:k", actual.iter().copied());
        condition(operator, "K:k", wanted).holds(&context, Version::V2012)
    }

    #[test]
    fn every_operator_compares_as_documented() {
        let yes = [
            ("StringEquals", "a", "a"),
            ("StringNotEquals", "a", "A"),
            ("StringEqualsIgnoreCase", "aB", "Ab"),
            ("StringNotEqualsIgnoreCase", "a", "b"),
            ("StringLike", "a*c?", "abbbcd"),
            ("StringNotLike", "a*", "ba"),
            ("NumericEquals", "1.0", "1"),
            ("NumericNotEquals", "1", "2"),
            ("NumericLessThan", "5", "4"),
            ("NumericLessThanEquals", "5", "5"),
            ("NumericGreaterThan", "5", "6"),
            ("NumericGreaterThanEquals", "5", "5"),
            ("DateEquals", "2020-01-01T00:00:00Z", "1577836800"),
            ("DateNotEquals", "2020-01-01", "2020-01-02"),
            ("DateLessThan", "2020-01-01T00:00Z", "2019-12-31T23:59:59Z"),
            ("DateLessThanEquals", "2020-01-01", "2020-01-01T00:00:00+00:00"),
            ("DateGreaterThan", "2020-01-01", "2021-01-01"),
            ("DateGreaterThanEquals", "2020-01-01", "2020-01-01"),
            ("Bool", "TRUE", "true"),
            ("BinaryEquals", "QmluYXJ5", "QmluYXJ5"),
            ("IpAddress", "203.0.113.0/24", "203.0.113.9"),
            ("IpAddress", "203.0.113.9", "203.0.113.9"),
            ("IpAddress", "0.0.0.0/0", "203.0.113.9"),
            ("NotIpAddress", "203.0.113.0/24", "2001:db8::1"),
            ("IpAddress", "2001:db8::/32", "2001:db8::1"),
            ("ArnEquals", "arn:aws:s3:::b*", "arn:aws:s3:::bucket"),
            ("ArnLike", "arn:aws:eks:*:111122223333:cluster/*", "arn:aws:eks:eu-west-1:111122223333:cluster/a/b:c"),
            ("ArnNotEquals", "arn:aws:s3:::b", "arn:aws:s3:::c"),
            ("ArnNotLike", "arn:aws:iam::1*3:role/x", "arn:aws:iam::12:role/13:role/x"),
            ("stringequals", "a", "a"),
        ];
        for (operator, wanted, actual) in yes {
            assert_eq!(holds(operator, &[wanted], &[actual]), Truth::True, "{operator} {wanted} {actual}");
        }
        let no = [
            ("StringEquals", "a*", "ab"),
            ("StringLike", "A*", "ab"),
            ("NumericLessThan", "5", "5"),
            ("Bool", "true", "false"),
            ("IpAddress", "203.0.113.0/25", "203.0.113.200"),
            ("ArnLike", "arn:aws:s3:*:*:b", "arn:aws:s3:x:y:z:b"),
            ("ArnLike", "arn:aws:s3:::*", "bucket"),
        ];
        for (operator, wanted, actual) in no {
            assert_eq!(holds(operator, &[wanted], &[actual]), Truth::False, "{operator} {wanted} {actual}");
        }
    }

    #[test]
    fn what_cannot_be_compared_or_is_not_known_is_unknown() {
        for (operator, wanted, actual) in [
            ("StringMatches", "a", "a"),
            ("ForEachValue:StringEquals", "a", "a"),
            ("NumericEquals", "one", "1"),
            ("DateEquals", "yesterday", "2020-01-01"),
            ("IpAddress", "home", "203.0.113.9"),
            ("Bool", "yes", "true"),
            ("NullIfExists", "true", "x"),
        ] {
            assert!(matches!(holds(operator, &[wanted], &[actual]), Truth::Unknown(_)), "{operator}");
        }
    }

    #[test]
    fn an_absent_key_passes_only_where_aws_says_so() {
        for (operator, expected) in [
            ("StringEquals", false),
            ("StringNotEquals", true),
            ("StringEqualsIfExists", true),
            ("StringNotEqualsIfExists", true),
            ("ForAllValues:StringEquals", true),
            ("ForAnyValue:StringEquals", false),
            ("ForAnyValue:StringNotEquals", false),
            ("ForAnyValue:StringEqualsIfExists", true),
            ("NotIpAddress", true),
            ("Bool", false),
        ] {
            assert_eq!(holds(operator, &["a"], &[]), Truth::from(expected), "{operator}");
        }
        assert_eq!(holds("Null", &["true"], &[]), Truth::True);
        assert_eq!(holds("Null", &["false"], &[]), Truth::False);
        assert_eq!(holds("Null", &["false"], &["x"]), Truth::True);
    }

    #[test]
    fn values_are_alternatives_and_negation_takes_none() {
        assert_eq!(holds("StringEquals", &["a", "b"], &["b"]), Truth::True);
        assert_eq!(holds("StringNotEquals", &["a", "b"], &["b"]), Truth::False);
        assert_eq!(holds("ForAllValues:StringEquals", &["a", "b"], &["a", "b"]), Truth::True);
        assert_eq!(holds("ForAllValues:StringEquals", &["a", "b"], &["a", "c"]), Truth::False);
        assert_eq!(holds("ForAnyValue:StringEquals", &["a", "b"], &["c", "b"]), Truth::True);
        assert_eq!(holds("ForAllValues:StringNotEquals", &["a"], &["b", "a"]), Truth::False);
        assert_eq!(holds("ForAnyValue:StringNotEquals", &["a"], &["b", "a"]), Truth::True);
        assert_eq!(holds("StringEquals", &[], &["a"]), Truth::False);
    }

    #[test]
    fn variables_need_the_newer_version_and_a_value() {
        let context = Context::closed().set("aws:username", ["ann"]).set("k:k", ["ann"]);
        let equals = condition("StringEquals", "k:k", &["${AWS:UserName}"]);
        assert_eq!(equals.holds(&context, Version::V2012), Truth::True);
        assert_eq!(equals.holds(&context, Version::V2008), Truth::False);
        let shouted = Context::closed().set("aws:username", ["ANN"]).set("k:k", ["ann"]);
        let fold = condition("StringEqualsIgnoreCase", "k:k", &["${aws:username}"]);
        assert_eq!(fold.holds(&shouted, Version::V2012), Truth::True);
        let missing = condition("StringEquals", "k:k", &["${aws:nobody}"]);
        assert_eq!(missing.holds(&context, Version::V2012), Truth::False);
        assert_eq!(
            condition("StringNotEquals", "k:k", &["${aws:nobody}"]).holds(&context, Version::V2012),
            Truth::False
        );
        let default = condition("StringEquals", "k:k", &["${aws:nobody, 'ann'}"]);
        assert_eq!(default.holds(&context, Version::V2012), Truth::True);
        let open =
            condition("StringEquals", "k:k", &["${x:y}"]).holds(&Context::open().set("k:k", ["a"]), Version::V2012);
        assert_eq!(open, Truth::unknown(Why::Key("x:y".into())));
    }

    #[test]
    fn a_free_key_is_unknown_unless_every_value_and_absence_pass() {
        let open = Context::open().absent_under("aws:RequestTag/");
        let of =
            |operator: &str, key: &str, value: &str| condition(operator, key, &[value]).holds(&open, Version::V2012);
        assert_eq!(of("StringEquals", "a:b", "x"), Truth::unknown(Why::Key("a:b".into())));
        assert_eq!(of("StringLike", "a:b", "*"), Truth::unknown(Why::Key("a:b".into())));
        assert_eq!(of("StringLikeIfExists", "a:b", "*"), Truth::True);
        assert_eq!(of("StringEquals", "AWS:requesttag/x", "y"), Truth::False);
        let anywhere = |values: &[&str]| condition("IpAddressIfExists", "aws:SourceIp", values).is_always_true();
        assert!(anywhere(&["0.0.0.0/0", "::/0"]) && !anywhere(&["0.0.0.0/0", "10.0.0.0/8"]));
    }
}
