//! Which time ranges of a trail are complete: from one moment to another nothing is missing of what
//! CloudTrail delivered there. Only within such a range is a call that is not there a call that was
//! not made. Refuses to know what a trail's selectors leave out.

use crate::id::Region;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};

/// A time range of the trail of an account's region that one source read completely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteRange {
    /// The name of the source.
    pub source: String,
    /// Whose events.
    pub account_id: AccountId,
    /// Of which region.
    pub region: Region,
    /// The first moment of which nothing is missing.
    pub from: DateTime<Utc>,
    /// Up to, and without, this moment.
    pub to: DateTime<Utc>,
    /// Which events it would have had.
    pub event_scope: EventScope,
    /// Whether the source would have shown another region of the account, had it any events.
    pub all_regions: bool,
}

/// Which events a source has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventScope {
    /// Those that begin sessions: `LookupEvents`, asked for them alone.
    Sessions,
    /// Every management event: `LookupEvents`.
    Management,
    /// What the trails record that deliver to this bucket.
    Bucket(String),
    /// Whatever the trail records, of which nobody says what it is: files that somebody says are complete.
    Stated,
}

/// A day of a region's trail of which something was given up: it will not be read any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IncompleteDay {
    /// Whose events.
    pub account_id: AccountId,
    /// Of which region.
    pub region: Region,
    /// The day under which it lay, in UTC.
    pub day: NaiveDate,
}

impl CompleteRange {
    /// Whether there is no moment in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    /// What is kept of a source's region once it tells of a range. Ranges that meet become one.
    /// Of two that lie apart the later is kept, as what is between them was not read; of two that
    /// hold different events the later one told. The beginning never moves back: something may have
    /// been given up before it.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if next.is_empty() || next.to <= self.from {
            return self;
        }
        if self.event_scope != next.event_scope || self.to < next.from {
            return Self { from: self.from.max(next.from), ..next };
        }
        Self { from: self.from, to: self.to.max(next.to), ..next }
    }

    /// What is kept once something of a day was given up: only what lies behind that day.
    #[must_use]
    pub fn without(self, day: NaiveDate) -> Self {
        let next = day.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, |next| next.and_time(NaiveTime::MIN).and_utc());
        let from = self.from.max(next);
        Self { from, to: self.to.max(from), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Reading {
        Range(i64, i64, bool),
        IncompleteDay(i64),
    }

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn range(from: i64, to: i64, sessions: bool) -> CompleteRange {
        CompleteRange {
            source: "trail".into(),
            account_id: "111122223333".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            from: hour(from),
            to: hour(to),
            event_scope: if sessions { EventScope::Sessions } else { EventScope::Management },
            all_regions: false,
        }
    }

    fn readings() -> impl Strategy<Value = Reading> {
        prop_oneof![
            4 => (0..240_i64, 0..60_i64, prop::bool::weighted(0.1))
                .prop_map(|(from, length, sessions)| Reading::Range(from, from + length, sessions)),
            1 => (0..10_i64).prop_map(Reading::IncompleteDay),
        ]
    }

    proptest! {
        /// Hour by hour: what is kept was read completely, of the same events, and no day that
        /// something was given up of is in it, however late it is read again.
        #[test]
        fn nothing_is_complete_that_was_not_read_or_was_given_up(all in prop::collection::vec(readings(), 1..12)) {
            let mut kept = range(0, 0, false);
            for (n, step) in all.iter().enumerate() {
                let before = kept.clone();
                kept = match step {
                    Reading::Range(from, to, sessions) => kept.then(range(*from, *to, *sessions)),
                    Reading::IncompleteDay(day) => kept.without(hour(day * 24).date_naive()),
                };
                prop_assert!(before.from <= kept.from && kept.from <= kept.to);
                let sessions = kept.event_scope == EventScope::Sessions;
                for h in (0..300).filter(|h| kept.from <= hour(*h) && hour(*h) < kept.to) {
                    let so_far = all.iter().take(n + 1);
                    let was_read = so_far.clone().any(|reading| {
                        matches!(reading, Reading::Range(from, to, of) if *of == sessions && *from <= h && h < *to)
                    });
                    let was_given_up = so_far.clone().any(|reading| matches!(reading, Reading::IncompleteDay(day) if h / 24 == *day));
                    prop_assert!(was_read && !was_given_up, "hour {h} of {kept:?}");
                }
            }
        }
    }

    #[test]
    fn ranges_that_meet_become_one_and_others_do_not() {
        type Span = (i64, i64);
        let cases: [(Span, Span, Span); 7] = [
            ((0, 10), (10, 20), (0, 20)),
            ((0, 10), (5, 20), (0, 20)),
            ((0, 10), (2, 4), (0, 10)),
            ((5, 10), (0, 20), (5, 20)),
            ((0, 10), (11, 20), (11, 20)),
            ((11, 20), (0, 10), (11, 20)),
            ((24, 24), (20, 30), (24, 30)),
        ];
        for (kept, next, expected) in cases {
            let joined = range(kept.0, kept.1, true).then(range(next.0, next.1, true));
            assert_eq!(joined, range(expected.0, expected.1, true), "{kept:?} then {next:?}");
        }
        let other = range(0, 30, false).then(range(5, 20, true));
        assert_eq!(other, range(5, 20, true), "what held other events says nothing of these");
        assert_eq!(range(0, 30, true).without(hour(3).date_naive()), range(24, 30, true));
        assert_eq!(range(0, 10, true).without(hour(3).date_naive()), range(24, 24, true));
    }
}
