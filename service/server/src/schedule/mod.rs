//! When a scheduled audit is due, and the one heartbeat that asks.
//!
//! Knows cron expressions of five fields, time zones and daylight saving, and is the only file
//! that names `tokio-cron-scheduler`: it gives us one UTC heartbeat and nothing more, since its own
//! jobs overlap, freeze the zone's offset when they are made and are not made up after an outage.
//! Refuses to know what is started when a slot is due, and who may start it.

pub mod clock;
pub mod job;

use crate::config::{Cron, ScheduleConfig};
use chrono::{DateTime, DurationRound as _, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// The log filter for what the heartbeat's crate says of its own insides.
pub const HEARTBEAT_LOG: &str = "tokio_cron_scheduler=warn";

/// A clock change moves local time by at most a few hours; a day was skipped once (Apia, 2011).
const LONGEST_CHANGE: TimeDelta = TimeDelta::hours(26);
/// Stretches to search, in minutes, from an hour to eight years: a minutely expression is found in
/// the first, 29 February in the last.
const WINDOWS: [i64; 5] = [60, 2 * 1_440, 35 * 1_440, 400 * 1_440, 8 * 366 * 1_440];
/// Between ticks.
const EVERY: Duration = Duration::from_secs(15);
/// Without a tick for this long, the process is not ready.
pub const TICK_LIMIT: Duration = Duration::from_secs(60);

/// When a cron expression is due in a time zone.
///
/// Wall-clock minutes are matched first and then placed on the time line. An expression with a
/// fixed hour and minute fires once a day: a minute that a clock change skips fires at the end of
/// the gap, one that happens twice fires the first time. Others follow real time, so `*/15 * * * *`
/// fires in both passes of a repeated hour and never in a skipped one.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
}

impl Timetable {
    /// Joins an expression and its zone.
    #[must_use]
    pub fn new(cron: Cron, zone: Tz) -> Self {
        Self { cron, zone }
    }

    /// When audits start by themselves.
    #[must_use]
    pub fn of_audits(schedule: &ScheduleConfig) -> Self {
        Self::new(schedule.cron.clone(), schedule.timezone)
    }

    /// The first slot after a moment, if there is one within eight years.
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        WINDOWS.into_iter().find_map(|minutes| {
            let until = after.checked_add_signed(TimeDelta::minutes(minutes))?;
            self.between(after, until).first().copied()
        })
    }

    /// The latest slot at or before a moment, if there was one within eight years.
    #[must_use]
    pub fn latest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        WINDOWS.into_iter().find_map(|minutes| {
            let since = now.checked_sub_signed(TimeDelta::minutes(minutes))?;
            self.between(since, now).last().copied()
        })
    }

    /// Slots after the first moment, up to and including the second.
    fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let local = |at: DateTime<Utc>| at.with_timezone(&self.zone).naive_local();
        // Minutes that do not exist are made up for fixed times only, and only they can move far.
        let reach = if self.follows_real_time() { TimeDelta::hours(3) } else { LONGEST_CHANGE };
        let (Some(mut wall), Some(end)) =
            (local(after).checked_sub_signed(reach), local(until).checked_add_signed(reach))
        else {
            return BTreeSet::new();
        };
        // The search keeps what the start has beyond its whole minute, and a slot is a whole minute:
        // with a fraction of it, each tick would see a slot of its own.
        wall = wall.duration_trunc(TimeDelta::minutes(1)).unwrap_or(wall);
        let mut slots = BTreeSet::new();
        // UTC stands for "no zone": the calendar is matched here, the zone is ours to apply.
        while let Ok(found) = self.cron.pattern().find_next_occurrence(&wall.and_utc(), false) {
            wall = found.naive_utc();
            if wall > end {
                break;
            }
            slots.extend(self.place(wall).into_iter().filter(|slot| *slot > after && *slot <= until));
        }
        slots
    }

    /// The instants of a wall-clock minute.
    fn place(&self, wall: NaiveDateTime) -> Vec<DateTime<Utc>> {
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(at) => vec![at.to_utc()],
            LocalResult::Ambiguous(first, second) if self.follows_real_time() => vec![first.to_utc(), second.to_utc()],
            LocalResult::Ambiguous(first, _) => vec![first.to_utc()],
            LocalResult::None if self.follows_real_time() => Vec::new(),
            LocalResult::None => {
                let mut after = wall;
                for _ in 0..LONGEST_CHANGE.num_minutes() {
                    after += TimeDelta::minutes(1);
                    if let Some(at) = self.zone.from_local_datetime(&after).earliest() {
                        return vec![at.to_utc()];
                    }
                }
                Vec::new()
            }
        }
    }

    fn follows_real_time(&self) -> bool {
        self.cron.as_str().split(' ').take(2).any(|field| field.contains('*'))
    }
}

/// When it ticked, by both kinds of clock.
type Tick = (Instant, DateTime<Utc>);

/// Shows that time passes: when the heartbeat last ticked, by a clock that nobody sets.
#[derive(Debug, Clone, Default)]
pub struct HeartbeatLog(Arc<Mutex<Option<Tick>>>);

impl HeartbeatLog {
    /// Notes a tick.
    pub fn beat(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), now));
    }

    /// The last tick; `None` before the first, and where no worker runs in this process.
    #[must_use]
    pub fn last(&self) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|(_, now)| now)
    }

    /// Whether it ticked lately.
    #[must_use]
    pub fn beats(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(at, _)| at.elapsed() <= TICK_LIMIT)
    }
}

/// Why a heartbeat does not start.
pub type HeartbeatError = JobSchedulerError;

/// The running heartbeat; it ends with [`Heartbeat::stop`].
pub struct Heartbeat {
    scheduler: JobScheduler,
    watch: JoinHandle<()>,
}

impl Heartbeat {
    /// Calls `tick` every 15 seconds, never twice at a time: a tick that comes while the one before
    /// is still at work is dropped, as the next will see the same slots.
    ///
    /// The scheduler waits for a moment of this machine's clock. Where that is set back, it would wait
    /// as long as the clock was ahead; so a tick that does not come is made up for by time that passes.
    ///
    /// # Errors
    /// Where the scheduler does not start.
    pub async fn start<F>(tick: impl Fn() -> F + Send + Sync + 'static) -> Result<Self, HeartbeatError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let scheduler = JobScheduler::new().await?;
        let beats = Arc::new(Beats { tick, last: Mutex::new(Instant::now()), busy: tokio::sync::Mutex::default() });
        let beating = beats.clone();
        let job = Job::new_async("*/15 * * * * *", move |_, _| {
            let beats = beating.clone();
            let beat: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { beats.beat().await });
            beat
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        let watch = tokio::spawn(async move { beats.make_up().await });
        Ok(Self { scheduler, watch })
    }

    /// Ends the ticking. A tick at work is not waited for.
    pub async fn stop(mut self) {
        self.watch.abort();
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the heartbeat did not stop cleanly");
        }
    }
}

/// Ticks, whoever says that it is time.
struct Beats<T> {
    tick: T,
    last: Mutex<Instant>,
    busy: tokio::sync::Mutex<()>,
}

impl<T, F> Beats<T>
where
    T: Fn() -> F,
    F: Future<Output = ()>,
{
    async fn beat(&self) {
        if let Ok(_alone) = self.busy.try_lock() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            (self.tick)().await;
        }
    }

    /// Ticks where nobody has for longer than it should take.
    async fn make_up(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let silent = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            if silent > EVERY + EVERY / 2 {
                self.beat().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timetable(cron: &str, zone: &str) -> Timetable {
        Timetable::new(cron.parse().unwrap(), zone.parse().unwrap())
    }

    fn slots(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let timetable = timetable(cron, zone);
        let mut at: DateTime<Utc> = from.parse().unwrap();
        let mut slots = Vec::new();
        for _ in 0..count {
            at = timetable.next(at).unwrap();
            slots.push(at.format("%m-%dT%H:%MZ").to_string());
        }
        slots
    }

    #[test]
    fn a_fixed_hour_keeps_the_wall_clock_across_both_changes() {
        // London leaves GMT on 2026-03-29 and returns on 2026-10-25.
        assert_eq!(
            slots("0 3 * * *", "Europe/London", "2026-03-27T12:00:00Z", 3),
            ["03-28T03:00Z", "03-29T02:00Z", "03-30T02:00Z"]
        );
        assert_eq!(
            slots("0 3 * * *", "Europe/London", "2026-10-23T12:00:00Z", 3),
            ["10-24T02:00Z", "10-25T03:00Z", "10-26T03:00Z"]
        );
    }

    #[test]
    fn a_skipped_minute_fires_once_at_the_end_of_the_gap() {
        assert_eq!(
            slots("30 1 * * *", "Europe/London", "2026-03-28T00:00:00Z", 3),
            ["03-28T01:30Z", "03-29T01:00Z", "03-30T00:30Z"]
        );
        assert_eq!(
            slots("15,45 1 * * *", "Europe/London", "2026-03-29T00:00:00Z", 2),
            ["03-29T01:00Z", "03-30T00:15Z"]
        );
    }

    #[test]
    fn a_repeated_minute_fires_the_first_time_only() {
        assert_eq!(slots("30 1 * * *", "Europe/London", "2026-10-24T12:00:00Z", 2), ["10-25T00:30Z", "10-26T01:30Z"]);
        // Asked between the two passes.
        assert_eq!(slots("30 1 * * *", "Europe/London", "2026-10-25T01:10:00Z", 1), ["10-26T01:30Z"]);
    }

    #[test]
    fn an_interval_follows_real_time_through_both_changes() {
        assert_eq!(
            slots("*/30 * * * *", "Europe/London", "2026-03-29T00:15:00Z", 3),
            ["03-29T00:30Z", "03-29T01:00Z", "03-29T01:30Z"]
        );
        assert_eq!(
            slots("*/30 * * * *", "Europe/London", "2026-10-25T00:15:00Z", 5),
            ["10-25T00:30Z", "10-25T01:00Z", "10-25T01:30Z", "10-25T02:00Z", "10-25T02:30Z"]
        );
    }

    #[test]
    fn a_skipped_day_is_made_up_when_it_is_over() {
        // Samoa had no 30 December 2011.
        assert_eq!(slots("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 2), ["12-30T10:00Z", "12-30T22:00Z"]);
    }

    #[test]
    fn the_latest_slot_is_found_however_rare() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let now = at("2026-11-23T20:07:30Z");
        for (cron, slot) in [
            ("* * * * *", "2026-11-23T20:07:00Z"),
            ("0 3 * * *", "2026-11-23T03:00:00Z"),
            ("0 3 1 * *", "2026-11-01T03:00:00Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(timetable(cron, "UTC").latest(now), Some(at(slot)), "{cron}");
        }
    }

    /// Slots of a fixed number of days, each a whole minute, found minute by minute.
    fn every_slot(timetable: &Timetable, from: DateTime<Utc>, until: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        std::iter::successors(timetable.next(from), |slot| timetable.next(*slot))
            .take_while(|slot| *slot <= until)
            .collect()
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        /// Replicas tick at random moments, fall behind, restart, and have clocks that differ; between
        /// them every slot is claimed once, as the table of slots lets only the first claim of an
        /// instant through.
        #[test]
        fn replicas_claim_each_slot_once(
            replicas in 1usize..=3,
            start in 0i64..40_000_000,
            skew in proptest::collection::vec(-30_000i64..30_000, 3),
            gaps in proptest::collection::vec(1i64..15_000, 400),
            cron in proptest::sample::select(vec!["14 9 * * *", "* * * * *", "*/7 * * * *", "30 1 * * *", "0 2 * * SUN"]),
            zone in proptest::sample::select(vec!["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            let timetable = timetable(cron, zone);
            let from = DateTime::from_timestamp_millis(1_740_000_000_000 + start * 1_000 + 123).unwrap();
            let mut at = from;
            let mut claimed = BTreeSet::new();
            // The first tick sees a slot of before; the ticks after it, each of the following ones.
            claimed.extend(timetable.latest(at));
            for (n, gap) in gaps.iter().enumerate() {
                at += TimeDelta::milliseconds(*gap);
                let clock = at + TimeDelta::milliseconds(skew[n % replicas]);
                claimed.extend(timetable.latest(clock));
            }
            let (first, last) = (*claimed.first().unwrap(), *claimed.last().unwrap());
            let mut wanted = every_slot(&timetable, first, last);
            wanted.insert(first);
            proptest::prop_assert_eq!(&claimed, &wanted);
            for slot in claimed {
                proptest::prop_assert_eq!(slot.timestamp_millis() % 60_000, 0);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_next_slot_is_later_and_nothing_lies_between(minutes in 0i64..2_000_000, step in 1i64..3000) {
            for cron in ["30 1 * * *", "*/20 * * * *", "15 2 * * SUN"] {
                let timetable = timetable(cron, "America/New_York");
                let from = DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap();
                let next = timetable.next(from).unwrap();
                proptest::prop_assert!(next > from);
                let between = from + TimeDelta::minutes(step);
                if between < next {
                    proptest::prop_assert_eq!(timetable.next(between).unwrap(), next);
                }
                proptest::prop_assert_eq!(timetable.latest(next), Some(next));
            }
        }
    }
}
