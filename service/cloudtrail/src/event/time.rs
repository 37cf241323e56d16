//! Times as CloudTrail writes them, and as people do.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// A time, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) at: DateTime<Utc>,
    /// Written for people, not as RFC 3339.
    pub(crate) is_local: bool,
}

/// `2026-01-31T09:00:00Z`, which is how CloudTrail writes times, without a general parser; any
/// other RFC 3339 with one.
pub(super) fn plain_time(text: &str) -> Option<DateTime<Utc>> {
    if let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] =
        text.as_bytes()
    {
        let number = |digits: &[&u8]| {
            digits.iter().try_fold(0_u32, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit.wrapping_sub(b'0')))
            })
        };
        let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
        let day = NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)?;
        return Some(day.and_hms_opt(number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?)?.and_utc());
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// `Nov 20, 2026, 3:20:04 PM`, with or without the second comma, as some tools print times.
pub(super) fn local_time(text: &str) -> Option<When> {
    if text.len() > 64 {
        return None;
    }
    // Newer locales put a narrow no-break space before the half of the day.
    let text = text.replace(['\u{202f}', '\u{a0}'], " ");
    ["%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .map(|at| When { at: at.and_utc(), is_local: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_cloudtrail_and_as_people_write_them() {
        let read = |text: &str| {
            plain_time(text)
                .map(|at| (at.to_rfc3339(), false))
                .or_else(|| local_time(text).map(|w| (w.at.to_rfc3339(), true)))
        };
        let at = |text: &str, is_local| Some((text.to_owned(), is_local));
        let cases = [
            ("2026-11-20T15:20:04Z", at("2026-11-20T15:20:04+00:00", false)),
            ("2026-11-20T15:20:04.123Z", at("2026-11-20T15:20:04.123+00:00", false)),
            ("2026-11-20T15:20:04+01:00", at("2026-11-20T14:20:04+00:00", false)),
            ("Nov 20, 2026, 3:20:04 PM", at("2026-11-20T15:20:04+00:00", true)),
            ("Nov 20, 2026, 3:20:04\u{202f}PM", at("2026-11-20T15:20:04+00:00", true)),
            ("Jul 10, 2023 12:09:21 PM", at("2023-07-10T12:09:21+00:00", true)),
            ("2026-13-20T15:20:04Z", None),
            ("2026-1a-20T15:20:04Z", None),
            ("2026-11-20T25:20:04Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
