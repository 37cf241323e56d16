//! What the clocks of this process and of the database tell, held against time that only passes.
//!
//! The database's clock says what is due, as all replicas share it; but it may be wrong as well, and
//! with a private PostgreSQL it is this machine's. A clock that was just set is not believed until it
//! is as it was, or has run evenly for a while. Refuses to know what is held back meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use rolecall_store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Further off than this is no delay of an answer.
const TOLERANCE: TimeDelta = TimeDelta::seconds(30);
/// A clock that was set is believed when it has run evenly for this long.
const STEADY: Duration = Duration::from_secs(600);

/// What is known of the clocks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<State>>);

/// How the clocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// As they should.
    Even,
    /// This process's clock is off the database's by so much, which is what counts.
    Apart(TimeDelta),
    /// The database's clock was set by so much: what is due waits.
    Set(TimeDelta),
}

impl Condition {
    /// Whether what is due may be started by the database's clock.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        !matches!(self, Self::Set(_))
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let off = |by: &TimeDelta| (by.num_seconds().abs(), if *by > TimeDelta::zero() { "ahead" } else { "back" });
        match self {
            Self::Even => f.write_str("ok"),
            Self::Apart(by) => {
                let (seconds, way) = off(by);
                write!(f, "warning: this process's clock is {seconds} s {way} of the database's; check NTP on both")
            }
            Self::Set(by) => {
                let (seconds, way) = off(by);
                write!(
                    f,
                    "warning: the database's clock was set {seconds} s {way}; audits and cleanup wait until it is as it was, or has run evenly for {} minutes; check NTP",
                    STEADY.as_secs() / 60
                )
            }
        }
    }
}

/// The database's clock is asked this often where it is asked all the time.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// What the database's clock tells, for whoever would ask it with each request: told by time that passes
/// here in between. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DatabaseTime(Arc<Mutex<Option<AskedAt>>>);

/// When it was asked, and what it told.
type AskedAt = (Instant, DateTime<Utc>);

impl DatabaseTime {
    /// The database's time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn now(&self, store: &Store) -> Result<DateTime<Utc>, rolecall_store::Error> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, reading)) = known
            && let passed = asked.elapsed()
            && passed < ASKED_EVERY
        {
            return Ok(reading + passed);
        }
        let asked = Instant::now();
        let reading = store.now().await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, reading));
        Ok(reading)
    }
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    database: DateTime<Utc>,
}

impl Reading {
    /// What the database's clock should tell at a moment.
    fn expected(self, at: Instant) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(at.duration_since(self.at)).unwrap_or(TimeDelta::MAX);
        self.database.checked_add_signed(passed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

#[derive(Debug, Default)]
struct State {
    /// The latest reading that was believed.
    believed: Option<Reading>,
    latest: Option<Reading>,
    /// Since when the clock runs evenly, though off what was believed.
    even_since: Option<Instant>,
    /// How far this process's clock is ahead of the database's.
    apart: TimeDelta,
    off: TimeDelta,
}

impl State {
    fn observe(&mut self, at: Instant, database: DateTime<Utc>, local: DateTime<Utc>) {
        let reading = Reading { at, database };
        let off = |from: Option<Reading>| from.map_or(TimeDelta::zero(), |from| database - from.expected(at));
        let jumped = off(self.latest).abs() > TOLERANCE;
        self.off = off(self.believed);
        self.apart = local - database;
        self.latest = Some(reading);
        if jumped || self.even_since.is_none() {
            self.even_since = Some(at);
        }
        let even_for = self.even_since.map_or(Duration::ZERO, |since| at.duration_since(since));
        if self.off.abs() <= TOLERANCE || even_for >= STEADY {
            self.believed = Some(reading);
            self.off = TimeDelta::zero();
        }
    }

    fn condition(&self) -> Condition {
        if self.off != TimeDelta::zero() {
            Condition::Set(self.off)
        } else if self.apart.abs() > TOLERANCE {
            Condition::Apart(self.apart)
        } else {
            Condition::Even
        }
    }
}

impl Clock {
    /// Takes note of what both clocks told at a moment; says how they stand, and whether that is news.
    pub fn observe(&self, at: Instant, database: DateTime<Utc>, local: DateTime<Utc>) -> (Condition, bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::discriminant(&state.condition());
        state.observe(at, database, local);
        let condition = state.condition();
        (condition, std::mem::discriminant(&condition) != before)
    }

    /// How the clocks stood when they were last looked at.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).condition()
    }

    /// Seconds by which this process's clock was last ahead of the database's.
    #[must_use]
    pub fn apart(&self) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).apart.num_seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(15);

    /// A machine whose clock can be set while time passes.
    struct Machine {
        clock: Clock,
        at: Instant,
        passed: Duration,
        set: TimeDelta,
        local: TimeDelta,
    }

    impl Machine {
        fn new() -> Self {
            let zero = TimeDelta::zero();
            let machine =
                Self { clock: Clock::default(), at: Instant::now(), passed: Duration::ZERO, set: zero, local: zero };
            assert_eq!(machine.condition(), Condition::Even);
            machine
        }

        fn condition(&self) -> Condition {
            let true_time = DateTime::from_timestamp(1_780_000_000, 0).unwrap() + self.passed;
            let database = true_time + self.set;
            self.clock.observe(self.at + self.passed, database, database + self.local).0
        }

        fn tick(&mut self) -> Condition {
            self.passed += TICK;
            self.condition()
        }

        /// For how long the clock is not believed, up to an hour.
        fn doubted(&mut self) -> Duration {
            let begun = self.passed;
            while !self.tick().is_trusted() {
                assert!(self.passed - begun < Duration::from_secs(3_600), "for ever");
            }
            self.passed - begun
        }
    }

    #[test]
    fn a_clock_that_is_set_and_set_back_is_believed_at_once() {
        for by in [TimeDelta::days(30), -TimeDelta::days(30), TimeDelta::minutes(2)] {
            let mut machine = Machine::new();
            assert_eq!(machine.tick(), Condition::Even);
            machine.set = by;
            for _ in 0..3 {
                assert_eq!(machine.tick(), Condition::Set(by));
            }
            machine.set = TimeDelta::zero();
            assert_eq!(machine.tick(), Condition::Even);
        }
    }

    #[test]
    fn a_clock_that_stays_as_it_was_set_is_believed_after_a_while() {
        for by in [TimeDelta::days(30), -TimeDelta::days(30)] {
            let mut machine = Machine::new();
            machine.set = by;
            let doubted = machine.doubted();
            assert!(doubted >= STEADY && doubted <= STEADY + 2 * TICK, "{doubted:?}");
            assert_eq!(machine.tick(), Condition::Even);
            // Back again is a change like any other.
            machine.set = TimeDelta::zero();
            assert!(machine.doubted() >= STEADY);
        }
    }

    #[test]
    fn a_clock_that_jumps_about_is_not_believed() {
        let mut machine = Machine::new();
        for n in 1..200 {
            machine.set = TimeDelta::hours(1 + n % 7);
            assert!(!machine.tick().is_trusted());
        }
    }

    #[test]
    fn a_clock_that_is_slewed_stays_believed() {
        let mut machine = Machine::new();
        for _ in 0..10_000 {
            machine.set += TimeDelta::milliseconds(500);
            assert_eq!(machine.tick(), Condition::Even);
        }
    }

    #[test]
    fn a_process_whose_clock_is_off_is_told_and_goes_on() {
        let mut machine = Machine::new();
        machine.local = TimeDelta::seconds(120);
        assert_eq!(machine.tick(), Condition::Apart(TimeDelta::seconds(120)));
        assert!(machine.tick().is_trusted());
        assert_eq!(machine.clock.apart(), 120);
        let text = machine.tick().to_string();
        assert!(text.contains("120 s ahead") && text.contains("NTP"), "{text}");
    }
}
