//! Sessions by day as columns of an SVG, drawn on the server.
//!
//! Sessions that are attributed to one association are solid, all others hatched and outlined; a day of
//! which nothing was read has a dashed frame, as no session there means nothing. Refuses to know
//! what was read.

use super::trend::{Rule, ceiling};
use super::words;
use chrono::NaiveDate;

/// Height of the field in which columns stand.
const FIELD: u64 = 96;
const TOP: u64 = 8;

/// A day's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// In UTC.
    pub day: NaiveDate,
    /// Attributed to one association.
    pub attributed: u64,
    /// Several associations can have led to them.
    pub ambiguous: u64,
    /// All others.
    pub unattributed: u64,
    /// Whether anything of the day's trail was read.
    pub read: bool,
}

/// A part of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whether it shows sessions that are not attributed.
    pub loose: bool,
    /// Top, in pixels.
    pub y: u64,
    /// Height, in pixels.
    pub h: u64,
}

/// A day's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Left edge, in percent.
    pub x: String,
    /// Width, in percent.
    pub w: String,
    /// From below; none where the day has no session.
    pub parts: Vec<Part>,
    /// Nothing of the day was read, and no session of it is known.
    pub unread: bool,
    /// The day and its numbers in words.
    pub title: String,
}

/// A day in the table below the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The day.
    pub day: String,
    /// Attributed to one association.
    pub attributed: String,
    /// Several associations can have led to them.
    pub ambiguous: String,
    /// All others.
    pub unattributed: String,
    /// Whether anything of the day was read.
    pub read: bool,
}

/// The drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Columns, oldest first.
    pub columns: Vec<Column>,
    /// Lines across.
    pub rules: Vec<Rule>,
    /// Where the frame of a day that was not read begins, and how high it is.
    pub frame: (u64, u64),
    /// The first day.
    pub first: String,
    /// The last day.
    pub last: String,
    /// The same in one sentence.
    pub summary: String,
    /// The same as a table, newest first.
    pub table: Vec<Row>,
}

/// Draws days, oldest first; `None` where there is none.
#[must_use]
pub fn timeline(days: &[Day]) -> Option<Timeline> {
    let (first, last) = (days.first()?, days.last()?);
    let sum = |day: &Day| day.attributed.saturating_add(day.ambiguous).saturating_add(day.unattributed);
    let whole = ceiling(days.iter().map(sum).max().unwrap_or(0));
    let count = u64::try_from(days.len()).unwrap_or(1).max(1);
    // Thousandths of the width; the left 9 percent hold the numbers.
    let (left, slot) = (9_000, 91_000 / count);
    let percent = |n: u64| format!("{}.{:03}", n / 1_000, n % 1_000);
    let height = |n: u64| (n.saturating_mul(FIELD) / whole).max(u64::from(n > 0) * 2);
    let columns = days.iter().enumerate().map(|(at, day)| {
        let loose = day.ambiguous.saturating_add(day.unattributed);
        let (low, high) = (height(day.attributed), height(loose));
        let floor = TOP + FIELD;
        let mut parts = Vec::new();
        if low > 0 {
            parts.push(Part { loose: false, y: floor.saturating_sub(low), h: low });
        }
        if high > 0 {
            parts.push(Part { loose: true, y: floor.saturating_sub(low + high), h: high });
        }
        let unread = !day.read && sum(day) == 0;
        let numbers =
            format!("{} attributed, {} ambiguous, {} not attributed", day.attributed, day.ambiguous, day.unattributed);
        let said = match (unread, day.read) {
            (true, _) => "no CloudTrail data of this day".to_owned(),
            (false, true) => numbers,
            (false, false) => format!("{numbers}; completeness of this day is unknown"),
        };
        Column {
            x: percent(left + slot * u64::try_from(at).unwrap_or(0)),
            w: percent(slot * 4 / 5),
            parts,
            unread,
            title: format!("{}: {said}", day.day),
        }
    });
    let rules = [0, whole / 2, whole].into_iter().map(|n| {
        let y = TOP + FIELD - n * FIELD / whole;
        Rule { y, text_y: y + 4, label: words::count_u64(n) }
    });
    let row = |day: &Day| Row {
        day: day.day.to_string(),
        attributed: words::count_u64(day.attributed),
        ambiguous: words::count_u64(day.ambiguous),
        unattributed: words::count_u64(day.unattributed),
        read: day.read,
    };
    let total = |of: fn(&Day) -> u64| words::count_u64(days.iter().map(of).fold(0, u64::saturating_add));
    Some(Timeline {
        columns: columns.collect(),
        rules: rules.collect(),
        frame: (TOP, FIELD),
        first: first.day.to_string(),
        last: last.day.to_string(),
        summary: format!(
            "Sessions by day, {} to {}: {} attributed, {} ambiguous, {} not attributed",
            first.day,
            last.day,
            total(|d| d.attributed),
            total(|d| d.ambiguous),
            total(|d| d.unattributed)
        ),
        table: days.iter().rev().map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32, attributed: u64, unattributed: u64, read: bool) -> Day {
        Day { day: NaiveDate::from_ymd_opt(2026, 1, n).unwrap(), attributed, ambiguous: 0, unattributed, read }
    }

    #[test]
    fn a_day_that_was_not_read_is_not_a_day_without_sessions() {
        assert_eq!(timeline(&[]), None);
        let drawn =
            timeline(&[day(1, 0, 0, false), day(2, 0, 0, true), day(3, 30, 10, true), day(4, 0, 1, false)]).unwrap();
        assert_eq!(drawn.columns.iter().map(|c| c.unread).collect::<Vec<_>>(), [true, false, false, false]);
        assert!(drawn.columns[0].title.contains("no CloudTrail data of this day"));
        assert!(drawn.columns[1].parts.is_empty());
        assert_eq!(
            drawn.columns[2].parts,
            [Part { loose: false, y: TOP + 24, h: 72 }, Part { loose: true, y: TOP, h: 24 }],
            "both fill the field"
        );
        assert!(drawn.columns[3].title.ends_with("is unknown"));
        assert_eq!(drawn.table.len(), 4);
    }
}
