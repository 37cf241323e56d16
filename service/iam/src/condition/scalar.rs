//! The values that conditions compare: numbers, moments, networks, bytes.
//!
//! Knows how IAM writes each, and compares them exactly. Refuses to guess: a text that is none of
//! its kind is `None`. Reading a request's value does not allocate.

use std::cmp::Ordering;
use std::net::IpAddr;

/// A decimal number over borrowed digits: `0.DIGITS` times ten to the power of `point`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a> {
    negative: bool,
    point: i64,
    whole: &'a [u8],
    fraction: &'a [u8],
}

/// A decimal number of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal(Box<str>);

impl Decimal {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Number::parse(text).map(|_| Self(text.into()))
    }

    /// How a request's number stands to this one.
    pub(crate) fn order(&self, other: Number<'_>) -> Ordering {
        Number::parse(&self.0).map_or(Ordering::Equal, |own| other.order(own))
    }
}

fn without_leading(digits: &[u8]) -> &[u8] {
    digits.get(digits.iter().take_while(|d| **d == b'0').count()..).unwrap_or_default()
}

fn without_trailing(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|d| **d == b'0').count();
    digits.get(..digits.len().saturating_sub(zeros)).unwrap_or_default()
}

impl<'a> Number<'a> {
    /// Digits with an optional sign, fraction and power of ten.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, i64::from(power.parse::<i32>().ok()?)),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return None;
        }
        let (mut whole, mut fraction) = (without_leading(whole.as_bytes()), fraction.as_bytes());
        let mut point = i64::try_from(whole.len()).ok()?;
        if whole.is_empty() {
            let significant = without_leading(fraction);
            point = -i64::try_from(fraction.len() - significant.len()).ok()?;
            fraction = significant;
        }
        fraction = without_trailing(fraction);
        if fraction.is_empty() {
            whole = without_trailing(whole);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Some(Self { negative: false, point: 0, whole, fraction });
        }
        Some(Self { negative, point: point + power, whole, fraction })
    }

    fn sign(&self) -> i8 {
        match (self.whole.is_empty() && self.fraction.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    pub(crate) fn order(&self, other: Self) -> Ordering {
        let by_sign = self.sign().cmp(&other.sign());
        if by_sign != Ordering::Equal || self.sign() == 0 {
            return by_sign;
        }
        let digits = self.whole.iter().chain(self.fraction);
        let size = self.point.cmp(&other.point).then_with(|| digits.cmp(other.whole.iter().chain(other.fraction)));
        if self.negative { size.reverse() } else { size }
    }
}

/// A moment: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64, u32);

/// Takes a fixed number of digits off the front.
fn digits<'a>(text: &mut &'a str, count: usize) -> Option<i64> {
    let (head, tail): (&'a str, &'a str) = (text.get(..count)?, text.get(count..)?);
    if !head.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    *text = tail;
    head.parse().ok()
}

fn take(text: &mut &str, symbol: char) -> Option<()> {
    *text = text.strip_prefix(symbol)?;
    Some(())
}

/// Takes a fraction of a second off the front, as nanoseconds.
fn fraction(text: &mut &str) -> Option<u32> {
    let Some(rest) = text.strip_prefix('.') else { return Some(0) };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (mut nanos, mut unit) = (0, 100_000_000);
    for digit in rest.bytes().take(count.min(9)) {
        nanos += u32::from(digit - b'0') * unit;
        unit /= 10;
    }
    *text = rest.get(count..)?;
    (count > 0).then_some(nanos)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, which repeats every 400 years.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=most).contains(&day) {
        return None;
    }
    // A year that begins in March ends with its leap day.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

impl Moment {
    /// Seconds since 1970 and nanoseconds.
    pub(crate) fn parts(self) -> (i64, u32) {
        (self.0, self.1)
    }

    /// A W3C date (`2026`, `2026-01`, `2026-01-31`, `…T12:00Z`, `…T12:00:00.5+02:00`) or seconds
    /// since 1970. Four digits are a year. A time without a zone is UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let count = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        if (negative || count != 4) && count > 0 {
            let seconds: i64 = unsigned.get(..count)?.parse().ok()?;
            let mut rest = unsigned.get(count..)?;
            let nanos = fraction(&mut rest)?;
            if !rest.is_empty() {
                return None;
            }
            return Some(match (negative, nanos) {
                (false, _) => Self(seconds, nanos),
                (true, 0) => Self(-seconds, 0),
                (true, _) => Self(-seconds - 1, 1_000_000_000 - nanos),
            });
        }
        Self::date(text)
    }

    fn date(mut text: &str) -> Option<Self> {
        let rest = &mut text;
        let year = digits(rest, 4)?;
        let (mut month, mut day) = (1, 1);
        if take(rest, '-').is_some() {
            month = digits(rest, 2)?;
            if take(rest, '-').is_some() {
                day = digits(rest, 2)?;
            }
        }
        let midnight = days(year, month, day)? * 86_400;
        if rest.is_empty() {
            return Some(Self(midnight, 0));
        }
        *rest = rest.strip_prefix(['T', 't', ' '])?;
        let hour = digits(rest, 2)?;
        take(rest, ':')?;
        let minute = digits(rest, 2)?;
        let (mut second, mut nanos) = (0, 0);
        if take(rest, ':').is_some() {
            second = digits(rest, 2)?;
            nanos = fraction(rest)?;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(Self(midnight + hour * 3_600 + minute * 60 + second - zone(rest)?, nanos))
    }
}

/// Seconds east of Greenwich.
fn zone(text: &str) -> Option<i64> {
    let (sign, mut rest) = match (text, text.get(..1)?, text.get(1..)?) {
        (_, "Z" | "z", "") => return Some(0),
        (_, "+", rest) => (1, rest),
        (_, "-", rest) => (-1, rest),
        _ => return None,
    };
    let hours = digits(&mut rest, 2)?;
    rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = if rest.is_empty() { 0 } else { digits(&mut rest, 2)? };
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    V4 { start: u32, mask: u32 },
    V6 { start: u128, mask: u128 },
}

impl Network {
    /// CIDR notation; an address alone is a network of one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) if bits.bytes().all(|b| b.is_ascii_digit()) => (address, Some(bits.parse().ok()?)),
            Some(_) => return None,
            None => (text.trim(), None),
        };
        Some(match (address.parse().ok()?, bits) {
            (IpAddr::V4(ip), bits) => Self::v4(ip.to_bits(), bits.unwrap_or(32))?,
            (IpAddr::V6(ip), bits) => match (ip.to_ipv4_mapped(), bits.unwrap_or(128)) {
                (Some(mapped), bits @ 96..=128) => Self::v4(mapped.to_bits(), bits - 96)?,
                (_, bits @ 0..=128) => {
                    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                    Self::V6 { start: ip.to_bits() & mask, mask }
                }
                _ => return None,
            },
        })
    }

    fn v4(ip: u32, bits: u32) -> Option<Self> {
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
        Some(Self::V4 { start: ip & mask, mask })
    }

    pub(crate) fn has(self, ip: IpAddr) -> bool {
        match (self, ip) {
            (Self::V4 { start, mask }, IpAddr::V4(ip)) => ip.to_bits() & mask == start,
            (Self::V6 { start, mask }, IpAddr::V6(ip)) if ip.to_bits() & mask == start => true,
            // `::ffff:192.0.2.1` is how a dual-stack listener writes 192.0.2.1.
            (Self::V4 { .. }, IpAddr::V6(ip)) => ip.to_ipv4_mapped().is_some_and(|ip| self.has(IpAddr::V4(ip))),
            _ => false,
        }
    }
}

/// The bytes that a base64 text stands for; the padding may be missing.
pub(crate) fn base64(text: &str) -> Option<Box<[u8]>> {
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 || body.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.extend(u8::try_from(bits >> held & 0xff).ok());
        }
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_exact() {
        let order = |a: &str, b: &str| Number::parse(a).unwrap().order(Number::parse(b).unwrap());
        for (a, b) in [
            ("1", "1.0"),
            ("0", "-0.00"),
            ("1e3", "1000"),
            ("0.05", "5e-2"),
            ("+7", "007"),
            ("100", "1e2"),
            (".5", "0.50"),
        ] {
            assert_eq!(order(a, b), Ordering::Equal, "{a} {b}");
        }
        let rising =
            ["-10", "-9.5", "-0.001", "0", "0.001", "0.01", "9", "9007199254740992", "9007199254740993", "1e30"];
        for pair in rising.windows(2) {
            assert_eq!(order(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(order(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        for bad in ["", "-", ".", "1.2.3", "0x1", "one", "1e", "1e1.5", "NaN", "inf", "1 2"] {
            assert!(Number::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn numbers_order_as_integers_do(a in -10_000_i64..10_000, b in -10_000_i64..10_000, zeros in 0_usize..3) {
            let text = format!("{b}.{}", "0".repeat(zeros + 1));
            prop_assert_eq!(Number::parse(&a.to_string()).unwrap().order(Number::parse(&text).unwrap()), a.cmp(&b));
        }

        #[test]
        fn moments_are_those_of_the_calendar(seconds in -62_000_000_000_i64..250_000_000_000) {
            let text = chrono::DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339();
            prop_assert_eq!(Moment::parse(&text), Some(Moment(seconds, 0)), "{}", text);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,12}") {
            let _ = (Number::parse(&text), Moment::parse(&text), Network::parse(&text), base64(&text));
        }
    }

    #[test]
    fn moments_have_several_spellings() {
        for (a, b) in [
            ("2026", "2026-01-01"),
            ("2026-02", "2026-02-01T00:00Z"),
            ("2026-02-01T01:30+01:30", "2026-02-01T00:00:00Z"),
            ("2026-02-01T00:00:00.500-0100", "1769907600.5"),
            ("1970-01-01", "0"),
            ("1969-12-31T23:59:59.75Z", "-0.25"),
        ] {
            assert_eq!(Moment::parse(a), Moment::parse(b), "{a} {b}");
            assert!(Moment::parse(a).is_some(), "{a}");
        }
        for bad in
            ["", "yesterday", "2026-13", "2026-02-30", "2026-01-01T25:00Z", "2026-01-01T00Z", "2026-01-01T00:00+1"]
        {
            assert!(Moment::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn networks_hold_addresses_of_their_kind() {
        let has = |net: &str, ip: &str| Network::parse(net).unwrap().has(ip.parse().unwrap());
        assert!(has("10.1.2.3/8", "10.9.9.9") && !has("10.0.0.0/8", "11.0.0.0"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1") && has("::/0", "::1"));
        assert!(has("2001:db8::/33", "2001:db8:7fff::1") && !has("2001:db8::/33", "2001:db8:8000::1"));
        assert!(has("192.0.2.0/24", "::ffff:192.0.2.9") && has("::ffff:192.0.2.0/120", "192.0.2.9"));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0", "home", "fe80::1%eth0"] {
            assert!(Network::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn base64_is_decoded() {
        assert_eq!(base64("QmluYXJ5").as_deref(), Some(&b"Binary"[..]));
        assert_eq!(base64("QQ==").as_deref(), Some(&b"A"[..]));
        assert_eq!(base64("QQ").as_deref(), Some(&b"A"[..]));
        for bad in ["Q", "Q===", "Q Q=", "?"] {
            assert!(base64(bad).is_none(), "{bad}");
        }
    }
}
