//! The trend of open findings as columns of an SVG, drawn on the server.
//!
//! Widths are in percent and heights in pixels, so the drawing fits any width without scaling its
//! words. Days before anything was known are hatched: not zero, but not seen.

use super::words;
use rolecall_store::TrendDay;

/// Height of the field in which columns stand.
const FIELD: u64 = 120;
const TOP: u64 = 8;

/// A day's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Left edge, in percent.
    pub x: String,
    /// Width, in percent.
    pub w: String,
    /// Top, in pixels.
    pub y: u64,
    /// Height, in pixels.
    pub h: u64,
    /// Nothing was known on this day.
    pub unseen: bool,
    /// The day and its numbers in words.
    pub title: String,
}

/// A line across the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its height, in pixels.
    pub y: u64,
    /// Where its word stands.
    pub text_y: u64,
    /// Its number.
    pub label: String,
}

/// A day in the table below the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The day.
    pub day: String,
    /// Opened or came back.
    pub opened: String,
    /// Resolved.
    pub resolved: String,
    /// Open at its end.
    pub open: String,
}

/// The drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// Columns, oldest first.
    pub columns: Vec<Column>,
    /// Lines across.
    pub rules: Vec<Rule>,
    /// The first day.
    pub first: String,
    /// The last day.
    pub last: String,
    /// The same in one sentence.
    pub summary: String,
    /// The same as a table; only days of which something is known.
    pub table: Vec<Row>,
}

/// Draws the trend; `None` where nothing is known of any day.
#[must_use]
pub fn trend(days: &[TrendDay]) -> Option<Trend> {
    let known = days.iter().position(|day| day.open > 0 || day.opened > 0 || day.resolved > 0)?;
    let most = days.iter().map(|day| day.open).max().unwrap_or(0);
    let whole = ceiling(most);
    let count = u64::try_from(days.len()).unwrap_or(1).max(1);
    // Thousandths of the width; the left 9 percent hold the numbers.
    let (left, slot) = (9_000, 91_000 / count);
    let percent = |n: u64| format!("{}.{:03}", n / 1_000, n % 1_000);
    let columns = days.iter().enumerate().map(|(at, day)| {
        let unseen = at < known;
        let h = if unseen { FIELD } else { (day.open * FIELD / whole).max(u64::from(day.open > 0) * 2) };
        let numbers = format!("{} open, {} opened, {} resolved", day.open, day.opened, day.resolved);
        Column {
            x: percent(left + slot * u64::try_from(at).unwrap_or(0)),
            w: percent(slot * 4 / 5),
            y: TOP + FIELD - h,
            h,
            unseen,
            title: format!("{}: {}", day.day, if unseen { "not scanned yet" } else { &numbers }),
        }
    });
    let rules = [0, whole / 2, whole].into_iter().map(|n| {
        let y = TOP + FIELD - n * FIELD / whole;
        Rule { y, text_y: y + 4, label: words::count_u64(n) }
    });
    let row = |day: &TrendDay| Row {
        day: day.day.to_string(),
        opened: words::count_u64(day.opened),
        resolved: words::count_u64(day.resolved),
        open: words::count_u64(day.open),
    };
    let (first, last) = (days.first()?, days.last()?);
    let begin = days.get(known)?;
    Some(Trend {
        columns: columns.collect(),
        rules: rules.collect(),
        first: first.day.to_string(),
        last: last.day.to_string(),
        summary: format!("Open findings by day: {} on {}, {} on {}", begin.open, begin.day, last.open, last.day),
        table: days.iter().skip(known).rev().map(row).collect(),
    })
}

/// A round number at or above: 2, 4, 10, 20, 40, 100, …
pub(super) fn ceiling(n: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [2, 4, 10] {
            if let Some(round) = unit.checked_mul(step).filter(|round| *round >= n) {
                return round;
            }
        }
        match unit.checked_mul(10) {
            Some(next) => unit = next,
            None => return n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn day(n: u32, open: u64) -> TrendDay {
        TrendDay { day: NaiveDate::from_ymd_opt(2026, 1, n).unwrap(), opened: 0, resolved: 0, open }
    }

    #[test]
    fn days_before_the_first_look_are_not_zero() {
        assert_eq!(trend(&[day(1, 0), day(2, 0)]), None);
        let drawn = trend(&[day(1, 0), day(2, 37), day(3, 0)]).unwrap();
        let seen: Vec<_> = drawn.columns.iter().map(|c| (c.unseen, c.h)).collect();
        assert_eq!(seen, [(true, FIELD), (false, 37 * FIELD / 40), (false, 0)]);
        assert_eq!(drawn.columns[0].title, "2026-01-01: not scanned yet");
        assert_eq!(drawn.rules.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), ["0", "20", "40"]);
        assert_eq!(drawn.table.len(), 2);
    }

    #[test]
    fn the_scale_is_round() {
        for (n, round) in [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (41, 100), (101, 200)] {
            assert_eq!(ceiling(n), round, "{n}");
        }
    }
}
