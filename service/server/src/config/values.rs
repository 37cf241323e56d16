//! Values that a configuration holds: schedules, secrets, durations.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A cron expression of five fields.
#[derive(Debug, Clone)]
pub struct Cron {
    pub(super) text: String,
    pub(super) pattern: croner::Cron,
}

impl Cron {
    /// A quiet hour of every day.
    #[must_use]
    pub fn daily() -> Self {
        #[expect(clippy::expect_used, reason = "a constant, covered by the test of the example file")]
        let cron = "0 3 * * *".parse().expect("five fields");
        cron
    }

    /// When people begin to work, every day.
    #[must_use]
    pub fn morning() -> Self {
        #[expect(clippy::expect_used, reason = "a constant, covered by the test of the example file")]
        let cron = "0 8 * * *".parse().expect("five fields");
        cron
    }

    /// Every five minutes, which is about how long CloudTrail takes to deliver.
    #[must_use]
    pub fn five_minutes() -> Self {
        #[expect(clippy::expect_used, reason = "a constant, covered by the test of the example file")]
        let cron = "*/5 * * * *".parse().expect("five fields");
        cron
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed expression.
    #[must_use]
    pub fn pattern(&self) -> &croner::Cron {
        &self.pattern
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Disallowed)
            .year(croner::parser::Year::Disallowed)
            .build();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let pattern = parser.parse(&text).map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
        match pattern.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH, true) {
            Ok(_) => Ok(Self { text, pattern }),
            Err(_) => Err(format!("`{text}` never comes")),
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

pub(super) const DURATION: &str = "write a number with its unit: \"500ms\", \"30s\", \"5m\", \"12h\" or \"90d\"";

pub(super) fn positive(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() { Err("nothing would be left of it".to_owned()) } else { Ok(duration) }
}

/// Reads `500ms`, `30s`, `5m`, `12h`, `90d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // A century is more than any clock of ours is asked to add.
    number.checked_mul(millis).filter(|ms| *ms <= 3_155_760_000_000).map(Duration::from_millis).ok_or_else(wrong)
}
