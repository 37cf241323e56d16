//! Condition blocks: every operator, `…IfExists`, `ForAllValues:`, `ForAnyValue:`, `Null`, policy
//! variables, and what they come to when part of the context is not known.
//!
//! An operator that this version does not know makes the condition unknown, in Allow and in Deny
//! alike. A value that its operator cannot compare (`NumericEquals` with a word, on either side)
//! passes for no operator, negated or not. A key that takes several values needs a set operator:
//! a plain one never passes on it. Refuses to know which keys a service sends: the context says
//! what is there.

pub(crate) mod operator;
pub(crate) mod scalar;

use crate::condition::operator::{Compares, Known, Operator, Quantifier, Test};
use crate::condition::scalar::{Decimal, Moment, Network, Number, base64};
use crate::context::{Context, ContextValue, KeyName};
use crate::matching::glob::{Glob, Mode, Unresolved};
use crate::matching::pattern::arn_mode;
use crate::truth::{Truth, Why};
use crate::version::Version;
use std::net::IpAddr;

/// A value of a condition, compiled for its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// For string and ARN operators: as plain text, and with its variables where it has any.
    Text(Glob, Option<Box<Glob>>),
    Number(Decimal),
    Date(Moment),
    Bool(bool),
    Bytes(Box<[u8]>),
    Net(Network),
    /// Nothing that the operator compares.
    Malformed,
}

impl Wanted {
    fn new(test: Test, text: &str) -> Self {
        let glob = |mode| Self::Text(Glob::plain(text, mode), Glob::with_variables(text, mode).map(Box::new));
        let read = match test {
            Test::Text { fold: true, .. } => Some(glob(Mode::LiteralNoCase)),
            Test::Text { wild: true, .. } => Some(glob(Mode::Wild)),
            Test::Text { .. } => Some(glob(Mode::Literal)),
            Test::Arn => Some(glob(arn_mode(text))),
            Test::Numeric(_) => Decimal::parse(text).map(Self::Number),
            Test::Date(_) => Moment::parse(text).map(Self::Date),
            Test::Bool | Test::Null => boolean(text).map(Self::Bool),
            Test::Binary => base64(text).map(Self::Bytes),
            Test::Ip => Network::parse(text).map(Self::Net),
        };
        read.unwrap_or(Self::Malformed)
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

/// One operator, one key, its values.
///
/// The values are compiled when it is made: what is written is there to be read, not to be changed.
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
    name: KeyName,
    /// One for each value; empty where the operator is not understood.
    wanted: Box<[Wanted]>,
}

/// Whether all conditions hold.
#[must_use]
pub fn all_hold(conditions: &[Condition], context: &Context, language: Version) -> Truth {
    let mut truth = Truth::True;
    for condition in conditions {
        match condition.holds(context, language) {
            Truth::True => {}
            Truth::False => return Truth::False,
            unknown @ Truth::Unknown(_) => truth = truth.and(unknown),
        }
    }
    truth
}

impl Condition {
    /// Compiles a condition.
    #[must_use]
    pub fn new(operator: Operator, key: &str, values: Vec<String>, pointer: String) -> Self {
        let wanted = operator.known.map(|k| values.iter().map(|value| Wanted::new(k.test, value)).collect());
        Self { operator, key: key.into(), values, pointer, name: KeyName::new(key), wanted: wanted.unwrap_or_default() }
    }

    /// Whether it holds in the context.
    #[must_use]
    pub fn holds(&self, context: &Context, language: Version) -> Truth {
        let Some(known) = self.operator.known else {
            let operator = self.operator.as_str();
            return Truth::unknown(Why::NotUnderstood(format!(
                "the condition operator `{operator}` is not understood"
            )));
        };
        let value = context.value_of(&self.name);
        if known.test == Test::Null {
            return self.null(value);
        }
        match value {
            ContextValue::List(_) if known.quantifier == Quantifier::Single => Truth::False,
            ContextValue::Known(actual) | ContextValue::List(actual) => {
                self.values_pass(known, actual, context, language)
            }
            ContextValue::Absent => Truth::from(match known.quantifier {
                Quantifier::Single => known.negated || known.if_exists,
                Quantifier::ForAll => true,
                // `IfExists` counts for each value, of which there is none.
                Quantifier::ForAny => false,
            }),
            ContextValue::Unknown(why) => self.whatever_the_value(known, || why.clone()),
            ContextValue::Open => self.whatever_the_value(known, || Why::Key(self.key.to_string())),
        }
    }

    fn values_pass(&self, known: Known, actual: &[String], context: &Context, language: Version) -> Truth {
        let all = known.quantifier == Quantifier::ForAll;
        // AWS: the values may come to nothing, "such as an empty string", as if the key were absent.
        if known.quantifier == Quantifier::ForAll && actual.iter().all(String::is_empty) {
            return Truth::True;
        }
        let mut truth = Truth::from(all);
        for one in actual {
            let passes = match self.matches(known.test, one, context, language) {
                None => Truth::False,
                Some(matched) if known.negated => !matched,
                Some(matched) => matched,
            };
            match passes {
                Truth::True if !all => return Truth::True,
                Truth::False if all => return Truth::False,
                Truth::Unknown(_) => truth = if all { truth.and(passes) } else { truth.or(passes) },
                Truth::True | Truth::False => {}
            }
        }
        truth
    }

    /// What its values are; `None` where the operator is not understood.
    pub(crate) fn compares(&self) -> Option<Compares> {
        self.operator.known.map(|known| match known.test {
            Test::Text { .. } => Compares::Text,
            Test::Arn => Compares::Arn,
            Test::Numeric(_) => Compares::Number,
            Test::Date(_) => Compares::Date,
            Test::Bool => Compares::Bool,
            Test::Binary => Compares::Bytes,
            Test::Ip => Compares::Network,
            Test::Null => Compares::Presence,
        })
    }

    /// Its values as they are compared with texts, in a policy of this version.
    pub(crate) fn texts(&self, language: Version) -> impl Iterator<Item = &Glob> {
        self.wanted.iter().filter_map(move |wanted| match wanted {
            Wanted::Text(_, Some(filled)) if language == Version::V2012 => Some(&**filled),
            Wanted::Text(plain, _) => Some(plain),
            _ => None,
        })
    }

    /// Whether it holds in every context, whatever its key holds and even if it is absent; that a
    /// key which takes several values needs a set operator aside.
    #[must_use]
    pub fn is_always_true(&self) -> bool {
        let Some(known) = self.operator.known else { return false };
        let passes_on_none = match known.quantifier {
            Quantifier::Single => known.if_exists,
            Quantifier::ForAll => true,
            Quantifier::ForAny => false,
        };
        !known.negated && passes_on_none && self.takes_any_value(known)
    }

    /// Whether it asks for a tag of the resource, or for a key of the action's own service, and so may
    /// leave some of an account's resources out. Other global keys say from where, when and by whom a
    /// request comes, whatever it is about.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
    #[must_use]
    pub fn is_on_resource(&self) -> bool {
        let key = self.key.to_ascii_lowercase();
        key.strip_prefix("aws:").is_none_or(|name| name.starts_with("resourcetag/"))
    }

    /// Whether a key that is present passes whatever its value, as with `StringLike: "*"`.
    #[must_use]
    pub fn takes_every_value(&self) -> bool {
        self.operator.known.is_some_and(|known| !known.negated && self.takes_any_value(known))
    }

    /// The values that the operator cannot compare, such as a word for `NumericEquals`.
    pub fn malformed_values(&self) -> impl Iterator<Item = &str> {
        let pairs = self.values.iter().zip(&self.wanted);
        pairs.filter(|(_, wanted)| **wanted == Wanted::Malformed).map(|(value, _)| value.as_str())
    }

    /// Whether a value holds a policy variable, which only version `2012-10-17` reads.
    #[must_use]
    pub fn has_variable(&self) -> bool {
        self.wanted.iter().any(|wanted| matches!(wanted, Wanted::Text(_, Some(_))))
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

    fn null(&self, value: ContextValue<'_>) -> Truth {
        let absent = match value {
            ContextValue::Known(_) | ContextValue::List(_) => false,
            ContextValue::Absent => true,
            ContextValue::Unknown(_) | ContextValue::Open if self.always_or_never_null() => {
                return Truth::True;
            }
            ContextValue::Unknown(why) => return Truth::unknown(why.clone()),
            ContextValue::Open => return Truth::unknown(Why::Key(self.key.to_string())),
        };
        self.wanted.contains(&Wanted::Bool(absent)).into()
    }

    /// Whether `Null` is asked both ways, which one of them answers.
    fn always_or_never_null(&self) -> bool {
        self.wanted.contains(&Wanted::Bool(true)) && self.wanted.contains(&Wanted::Bool(false))
    }

    fn whatever_the_value(&self, known: Known, why: impl FnOnce() -> Why) -> Truth {
        if self.values.is_empty() && !known.negated && !known.if_exists && known.quantifier != Quantifier::ForAll {
            return Truth::False;
        }
        if self.is_always_true() { Truth::True } else { Truth::unknown(why()) }
    }

    /// Whether any value matches; `None` where none does and one cannot be compared.
    fn any(&self, matches: impl Fn(&Wanted) -> Option<bool>) -> Option<Truth> {
        let mut compared = true;
        for wanted in &self.wanted {
            match matches(wanted) {
                Some(true) => return Some(Truth::True),
                Some(false) => {}
                None => compared = false,
            }
        }
        compared.then_some(Truth::False)
    }

    /// Whether any value matches that may hold variables.
    fn any_text(&self, actual: &str, context: &Context, language: Version) -> Truth {
        let mut truth = Truth::False;
        for wanted in &self.wanted {
            let Wanted::Text(plain, filled) = wanted else { continue };
            let matched = match filled {
                Some(filled) if language == Version::V2012 => match filled.matches_in(actual, context) {
                    Ok(matched) => matched,
                    // AWS: the value is null, and nothing is equal to it or like it.
                    Err(Unresolved::Missing) => false,
                    Err(Unresolved::Unknown(why)) => {
                        truth = truth.or(Truth::unknown(why));
                        continue;
                    }
                },
                _ => plain.matches(actual),
            };
            if matched {
                return Truth::True;
            }
        }
        truth
    }

    /// Whether one value of the key matches any of the condition's; `None` where none does and
    /// something cannot be compared.
    fn matches(&self, test: Test, actual: &str, context: &Context, language: Version) -> Option<Truth> {
        match test {
            Test::Text { .. } => Some(self.any_text(actual, context, language)),
            Test::Arn if actual.bytes().filter(|b| *b == b':').count() >= 5 => {
                Some(self.any_text(actual, context, language))
            }
            // What is no ARN is matched by `*` alone.
            Test::Arn => self.any(|wanted| match wanted {
                Wanted::Text(plain, _) if plain.is_everything() => Some(true),
                _ => None,
            }),
            Test::Bool => {
                let actual = boolean(actual);
                self.any(|wanted| match wanted {
                    Wanted::Bool(wanted) => Some(*wanted == actual?),
                    _ => None,
                })
            }
            Test::Binary => self.any(|wanted| match wanted {
                // A context may give the bytes themselves, or their base64 text.
                Wanted::Bytes(bytes) => {
                    Some(**bytes == *actual.as_bytes() || base64(actual).is_some_and(|actual| actual == *bytes))
                }
                _ => None,
            }),
            Test::Numeric(order) => {
                let actual = Number::parse(actual);
                self.any(|wanted| match wanted {
                    Wanted::Number(wanted) => Some(order.holds(wanted.order(actual?))),
                    _ => None,
                })
            }
            Test::Date(order) => {
                let actual = Moment::parse(actual);
                self.any(|wanted| match wanted {
                    Wanted::Date(wanted) => Some(order.holds(actual?.cmp(wanted))),
                    _ => None,
                })
            }
            Test::Ip => {
                let actual: Option<IpAddr> = actual.trim().parse().ok();
                self.any(|wanted| match wanted {
                    Wanted::Net(net) => Some(net.has(actual?)),
                    _ => None,
                })
            }
            Test::Null => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(operator: &str, key: &str, values: &[&str]) -> Condition {
        Condition::new(Operator::new(operator), key, values.iter().map(ToString::to_string).collect(), String::new())
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
            ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9"),
            ("NumericEquals", "9007199254740993", "9007199254740993.0"),
            ("NumericNotEquals", "9007199254740993", "9007199254740992"),
            ("BinaryEquals", "QmluYXJ5", "Binary"),
            ("DateLessThan", "1577836800.5", "2020-01-01T00:00:00Z"),
            ("ArnLike", "*", "anything"),
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
    fn what_cannot_be_compared_passes_for_no_operator() {
        let cases = [
            ("NumericEquals", "one", "1"),
            ("NumericLessThan", "1", "one"),
            ("DateEquals", "yesterday", "2020-01-01"),
            ("DateGreaterThan", "2020-01-01", "today"),
            ("IpAddress", "home", "203.0.113.9"),
            ("IpAddress", "203.0.113.9", "AWS Internal"),
            ("Bool", "yes", "true"),
            ("Bool", "false", "no"),
            ("BinaryEquals", "?", "?"),
        ];
        for (operator, wanted, actual) in cases {
            assert_eq!(holds(operator, &[wanted], &[actual]), Truth::False, "{operator}");
        }
        for (operator, wanted, actual) in [
            ("NumericNotEquals", "one", "1"),
            ("NumericNotEquals", "1", "one"),
            ("DateNotEquals", "yesterday", "2020-01-01"),
            ("NotIpAddress", "home", "203.0.113.9"),
            ("ArnNotLike", "arn:aws:s3:::b", "anything"),
        ] {
            assert_eq!(holds(operator, &[wanted], &[actual]), Truth::False, "{operator}");
        }
        assert_eq!(holds("NumericNotEquals", &["one", "1"], &["1"]), Truth::False);
        assert_eq!(holds("NumericNotEquals", &["one", "1"], &["2"]), Truth::False);
        assert_eq!(holds("NumericEquals", &["one", "1"], &["1"]), Truth::True);
        assert_eq!(condition("NumericEquals", "k", &["one", "1"]).malformed_values().collect::<Vec<_>>(), ["one"]);
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        for operator in ["StringMatches", "ForEachValue:StringEquals", "BoolNotEquals"] {
            assert!(matches!(holds(operator, &["true"], &["true"]), Truth::Unknown(_)), "{operator}");
        }
        assert_eq!(holds("Null", &["maybe"], &["x"]), Truth::False);
        assert_eq!(holds("NullIfExists", &["true"], &[]), Truth::True);
        assert_eq!(holds("ForAllValues:Null", &["false"], &[]), Truth::False);
        assert_eq!(holds("Null", &["maybe", "false"], &["x"]), Truth::True);
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
            ("ForAnyValue:StringEqualsIfExists", false),
            ("ForAllValues:StringEqualsIfExists", true),
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
        assert_eq!(holds("ForAllValues:StringEquals", &["a"], &[""]), Truth::True);
        assert_eq!(holds("ForAllValues:StringEquals", &["a"], &["", "b"]), Truth::False);
    }

    #[test]
    fn a_key_that_takes_several_values_needs_a_set_operator() {
        let one = Context::closed().set_list("k:k", ["a"]);
        for operator in ["StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringNotEqualsIfExists"] {
            for wanted in ["a", "c"] {
                assert_eq!(holds(operator, &[wanted], &["b", "a"]), Truth::False, "{operator}");
                let of_one = condition(operator, "k:k", &[wanted]).holds(&one, Version::V2012);
                assert_eq!(of_one, Truth::False, "{operator}");
            }
        }
        let of = |operator: &str, wanted: &str| condition(operator, "k:k", &[wanted]).holds(&one, Version::V2012);
        assert_eq!(of("ForAnyValue:StringEquals", "a"), Truth::True);
        assert_eq!(of("ForAllValues:StringEquals", "a"), Truth::True);
        assert_eq!(of("Null", "false"), Truth::True);
        assert_eq!(of("ForAnyValue:StringEquals", "${k:k}"), Truth::False);
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
        // Documented: nothing equals a variable without a value, so an inverted operator passes.
        assert_eq!(
            condition("StringNotEquals", "k:k", &["${aws:nobody}"]).holds(&context, Version::V2012),
            Truth::True
        );
        let many = Context::closed().set("k:k", ["a"]).set("aws:TagKeys", ["a", "b"]);
        assert_eq!(condition("StringEquals", "k:k", &["${aws:TagKeys}"]).holds(&many, Version::V2012), Truth::False);
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
