//! Whole numbers in the body of a request, as JSON Schema has them: `7.0` is one.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// A field that has to be there.
pub(super) fn number<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer)?.fit()
}

/// A field that may be null or, by `default`, left out.
pub(super) fn or_none<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Whole>::deserialize(deserializer)?.map(Whole::fit).transpose()
}

struct Whole(i128);

impl Whole {
    fn fit<T: TryFrom<i128>, E: Error>(self) -> Result<T, E> {
        T::try_from(self.0).map_err(|_| E::custom(format!("{} is not a number that is taken here", self.0)))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Whole;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
                // Written without a fraction; what is too large for its type is refused as such.
                let text = format!("{value:.0}");
                match text.parse() {
                    Ok(whole) if value.fract() == 0.0 => Ok(Whole(whole)),
                    _ => Err(E::custom(format!("{value} is not a whole number"))),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, serde::Deserialize)]
    struct Body {
        #[serde(deserialize_with = "super::number")]
        after: u64,
        #[serde(default, deserialize_with = "super::or_none")]
        days: Option<i64>,
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        for (text, after, days) in [
            (r#"{"after": 7}"#, 7, None),
            (r#"{"after": 7.0, "days": 719.0}"#, 7, Some(719)),
            (r#"{"after": 1e3, "days": null}"#, 1000, None),
            (r#"{"after": 18446744073709551615, "days": -1}"#, u64::MAX, Some(-1)),
        ] {
            let body: Body = serde_json::from_str(text).unwrap();
            assert_eq!((body.after, body.days), (after, days), "{text}");
        }
        for text in [r#"{"after": 7.5}"#, r#"{"after": -1}"#, r#"{"after": "7"}"#, r#"{"after": 1e300}"#, "{}"] {
            assert!(serde_json::from_str::<Body>(text).is_err(), "{text}");
        }
    }
}
