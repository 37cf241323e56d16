//! Open findings by day and severity, and what was opened and resolved by week, as columns of an SVG drawn on the
//! server.
//!
//! Widths are in percent and heights in pixels, so the drawing fits any width without scaling its
//! words. Days before anything was known are hatched: not zero, but not seen.

use super::words;
use rolecall_rules::Severity;
use rolecall_store::{TrendDay, TrendWeek};

/// Height of the field in which columns stand.
const FIELD: u64 = 120;
const TOP: u64 = 8;
/// Thousandths of the width; the left 9 percent hold the numbers.
const LEFT: u64 = 9_000;

/// A part of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it is of.
    pub class: &'static str,
    /// Left edge, in percent.
    pub x: String,
    /// Width, in percent.
    pub w: String,
    /// Top, in pixels.
    pub y: u64,
    /// Height, in pixels.
    pub h: u64,
    /// Nothing was known of this time.
    pub unseen: bool,
    /// The time and its numbers in words.
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

/// A drawing, and the same as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// Columns, oldest first.
    pub columns: Vec<Column>,
    /// Lines across.
    pub rules: Vec<Rule>,
    /// The first time.
    pub first: String,
    /// The last time.
    pub last: String,
    /// The same in one sentence.
    pub summary: String,
    /// What colours mean.
    pub legend: Vec<(&'static str, &'static str)>,
    /// Whether a time is hatched.
    pub has_unseen: bool,
    /// The heads of the table.
    pub heads: Vec<&'static str>,
    /// Only times of which something is known, the latest first.
    pub table: Vec<(String, Vec<String>)>,
}

fn percent(n: u64) -> String {
    format!("{}.{:03}", n / 1_000, n % 1_000)
}

/// The columns of one field.
struct Field {
    slot: u64,
    whole: u64,
}

impl Field {
    fn new(columns: usize, most: u64) -> Self {
        let count = u64::try_from(columns).unwrap_or(1).max(1);
        Self { slot: (100_000 - LEFT) / count, whole: ceiling(most) }
    }

    fn height(&self, n: u64) -> u64 {
        n * FIELD / self.whole
    }

    /// The place of a column, or of one of several side by side.
    fn place(&self, at: usize, part: u64, parts: u64) -> (String, String) {
        let at = u64::try_from(at).unwrap_or(0);
        let w = self.slot * 4 / 5 / parts;
        (percent(LEFT + self.slot * at + w * part), percent(w))
    }

    fn rules(&self) -> Vec<Rule> {
        let rule = |n: u64| {
            let y = TOP + FIELD - self.height(n);
            Rule { y, text_y: y + 4, label: words::count_u64(n) }
        };
        [0, self.whole / 2, self.whole].map(rule).to_vec()
    }

    fn unseen(&self, at: usize, title: String) -> Column {
        let (x, w) = self.place(at, 0, 1);
        Column { class: "unseen-day", x, w, y: TOP, h: FIELD, unseen: true, title }
    }
}

fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "c-critical",
        Severity::High => "c-high",
        Severity::Medium => "c-medium",
        Severity::Low => "c-low",
        Severity::Info => "c-info",
    }
}

/// Draws the open findings of each day, by severity; `None` where nothing is known of any day.
#[must_use]
pub fn trend(days: &[TrendDay]) -> Option<Trend> {
    let known = days.iter().position(|day| day.open() > 0 || day.opened > 0 || day.resolved > 0)?;
    let field = Field::new(days.len(), days.iter().map(TrendDay::open).max().unwrap_or(0));
    let mut columns = Vec::new();
    for (at, day) in days.iter().enumerate() {
        if at < known {
            columns.push(field.unseen(at, format!("{}: not scanned yet", day.day)));
            continue;
        }
        let each: Vec<String> = Severity::WORST_FIRST
            .into_iter()
            .map(|severity| (severity, day.of(severity)))
            .filter(|(_, n)| *n > 0)
            .map(|(severity, n)| format!("{n} {}", words::severity(severity).to_lowercase()))
            .collect();
        let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
        let title = format!("{}: {} open{each}, {} opened, {} resolved", day.day, day.open(), day.opened, day.resolved);
        let (x, w) = field.place(at, 0, 1);
        let mut below = 0;
        for severity in Severity::WORST_FIRST {
            let n = day.of(severity);
            let (from, to) = (field.height(below), field.height(below + n));
            below += n;
            if n > 0 {
                // What is there is seen, however little it is.
                let h = (to - from).max(1);
                let y = TOP + FIELD - from - h;
                let (x, w, title) = (x.clone(), w.clone(), title.clone());
                columns.push(Column { class: class(severity), x, w, y, h, unseen: false, title });
            }
        }
    }
    let row = |day: &TrendDay| {
        let each = Severity::WORST_FIRST.map(|severity| day.of(severity));
        let numbers = [day.opened, day.resolved, day.open()].into_iter().chain(each);
        (day.day.to_string(), numbers.map(words::count_u64).collect())
    };
    let (first, last, begin) = (days.first()?, days.last()?, days.get(known)?);
    let heads = ["Opened", "Resolved", "Open"].into_iter().chain(Severity::WORST_FIRST.map(words::severity));
    Some(Trend {
        columns,
        rules: field.rules(),
        first: first.day.to_string(),
        last: last.day.to_string(),
        summary: format!("Open findings by day: {} on {}, {} on {}", begin.open(), begin.day, last.open(), last.day),
        legend: Severity::WORST_FIRST.map(|severity| (class(severity), words::severity(severity))).to_vec(),
        has_unseen: known > 0,
        heads: heads.collect(),
        table: days.iter().skip(known).rev().map(row).collect(),
    })
}

/// Draws what was opened and what was resolved in each week; `None` where nothing was.
#[must_use]
pub fn weeks(weeks: &[TrendWeek]) -> Option<Trend> {
    let known = weeks.iter().position(|week| week.opened > 0 || week.resolved > 0)?;
    let field = Field::new(weeks.len(), weeks.iter().map(|week| week.opened.max(week.resolved)).max().unwrap_or(0));
    let mut columns = Vec::new();
    for (at, week) in weeks.iter().enumerate() {
        if at < known {
            columns.push(field.unseen(at, format!("week of {}: not scanned yet", week.monday)));
            continue;
        }
        let title = format!(
            "week of {}: {} opened, {} resolved{}",
            week.monday,
            week.opened,
            week.resolved,
            age(week, ", median age ")
        );
        for (part, class, n) in [(0, "c-trend", week.opened), (1, "c-pass", week.resolved)] {
            if n > 0 {
                let (x, w) = field.place(at, part, 2);
                let h = field.height(n).max(1);
                columns.push(Column { class, x, w, y: TOP + FIELD - h, h, unseen: false, title: title.clone() });
            }
        }
    }
    let row = |week: &TrendWeek| {
        let numbers = vec![words::count_u64(week.opened), words::count_u64(week.resolved), age(week, "")];
        (format!("Week of {}", week.monday), numbers)
    };
    let sum = |of: fn(&TrendWeek) -> u64| weeks.iter().map(of).sum::<u64>();
    let (first, last) = (weeks.first()?, weeks.last()?);
    Some(Trend {
        columns,
        rules: field.rules(),
        first: first.monday.to_string(),
        last: last.monday.to_string(),
        summary: format!(
            "Findings by week: {} opened and {} resolved in {} weeks",
            sum(|week| week.opened),
            sum(|week| week.resolved),
            weeks.len()
        ),
        legend: vec![("c-trend", "Opened"), ("c-pass", "Resolved")],
        has_unseen: known > 0,
        heads: vec!["Opened", "Resolved", "Median age when resolved"],
        table: weeks.iter().skip(known).rev().map(row).collect(),
    })
}

/// The median age of what was resolved in a week, in words; empty where nothing was.
fn age(week: &TrendWeek, before: &str) -> String {
    week.median_age.map_or_else(String::new, |age| match (age.num_days(), age.num_hours()) {
        (0, hours) => format!("{before}{hours} h"),
        (days, _) => format!("{before}{days} d"),
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

    fn day(n: u32, critical: u64, low: u64) -> TrendDay {
        let by_severity = [(Severity::Critical, critical), (Severity::Low, low)].into();
        TrendDay { day: NaiveDate::from_ymd_opt(2026, 1, n).unwrap(), opened: 0, resolved: 0, by_severity }
    }

    #[test]
    fn days_before_the_first_scan_are_not_zero() {
        assert_eq!(trend(&[day(1, 0, 0), day(2, 0, 0)]), None);
        let drawn = trend(&[day(1, 0, 0), day(2, 7, 30), day(3, 0, 0)]).unwrap();
        let seen: Vec<_> = drawn.columns.iter().map(|c| (c.class, c.y, c.h)).collect();
        let (seven, all) = (7 * FIELD / 40, 37 * FIELD / 40);
        let base = TOP + FIELD;
        assert_eq!(
            seen,
            [("unseen-day", TOP, FIELD), ("c-critical", base - seven, seven), ("c-low", base - all, all - seven)]
        );
        assert_eq!(drawn.columns[0].title, "2026-01-01: not scanned yet");
        assert!(drawn.columns[1].title.contains("37 open (7 critical, 30 low)"), "{}", drawn.columns[1].title);
        assert_eq!(drawn.rules.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), ["0", "20", "40"]);
        assert_eq!(drawn.table.len(), 2);
        assert!(drawn.table.iter().all(|(_, cells)| cells.len() == drawn.heads.len()));
    }

    #[test]
    fn weeks_have_a_column_for_each_side() {
        let week = |n: u32, opened, resolved| TrendWeek {
            monday: NaiveDate::from_ymd_opt(2026, 1, n).unwrap(),
            opened,
            resolved,
            median_age: (resolved > 0).then(|| chrono::TimeDelta::hours(30)),
        };
        assert_eq!(weeks(&[week(5, 0, 0)]), None);
        let drawn = weeks(&[week(5, 0, 0), week(12, 10, 0), week(19, 0, 4)]).unwrap();
        let seen: Vec<_> = drawn.columns.iter().map(|c| (c.class, c.h)).collect();
        assert_eq!(seen, [("unseen-day", FIELD), ("c-trend", FIELD), ("c-pass", 4 * FIELD / 10)]);
        assert_eq!(drawn.table[0], ("Week of 2026-01-19".to_owned(), vec!["0".into(), "4".into(), "1 d".into()]));
    }

    #[test]
    fn the_scale_is_round() {
        for (n, round) in [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (41, 100), (101, 200)] {
            assert_eq!(ceiling(n), round, "{n}");
        }
    }
}
