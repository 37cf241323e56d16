//! Until when a finding should be mended.
//!
//! The time runs from the begin of the present episode, also while somebody is on it; it stands still while the
//! finding is suppressed, and begins anew when it comes back.

use crate::finding::Workflow;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_rules::Severity;

/// A finding is due soon in the last quarter of its time, and in the last so many days at most.
const SOON_DAYS: i64 = 7;

rolecall_iam::vocabulary! {
    /// How a finding stands to its due date.
    pub enum DueState: "a due state" {
        /// There is time.
        Ok = "ok",
        /// It is due soon.
        DueSoon = "due_soon",
        /// The due date has passed.
        Overdue = "overdue",
        /// It is suppressed, and the time stands still.
        Paused = "paused",
    }
}

/// For how many days a finding may be open, by severity; 0: without end. What is only for information is never due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueDays {
    /// Of critical findings.
    pub critical: u16,
    /// Of high ones.
    pub high: u16,
    /// Of medium ones.
    pub medium: u16,
    /// Of low ones.
    pub low: u16,
}

impl Default for DueDays {
    fn default() -> Self {
        Self { critical: 7, high: 30, medium: 90, low: 180 }
    }
}

/// How long the present episode of a finding has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed {
    /// Its begin.
    pub opened_at: DateTime<Utc>,
    /// For how long it was suppressed before.
    pub paused: TimeDelta,
}

/// A finding's due date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The date; `None` while the time stands still.
    pub at: Option<DateTime<Utc>>,
    /// How it stands to it.
    pub state: DueState,
}

impl DueDays {
    /// How long a finding may be open; `None`: without end.
    #[must_use]
    pub fn within(&self, severity: Severity) -> Option<TimeDelta> {
        let days = match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => 0,
        };
        (days > 0).then(|| TimeDelta::days(days.into()))
    }

    /// So long before the due date a finding is due soon.
    #[must_use]
    pub fn soon(&self, severity: Severity) -> Option<TimeDelta> {
        let within = self.within(severity)?;
        Some((within / 4).min(TimeDelta::days(SOON_DAYS)))
    }

    /// When a finding is due; `None` where it is resolved or never due.
    #[must_use]
    pub fn due(&self, severity: Severity, workflow: Workflow, elapsed: Elapsed, now: DateTime<Utc>) -> Option<Due> {
        let (within, soon) = (self.within(severity)?, self.soon(severity)?);
        match workflow {
            Workflow::Resolved => return None,
            Workflow::Suppressed => return Some(Due { at: None, state: DueState::Paused }),
            Workflow::Open | Workflow::Acknowledged => {}
        }
        let at = elapsed.opened_at.checked_add_signed(elapsed.paused)?.checked_add_signed(within)?;
        let state = if at <= now {
            DueState::Overdue
        } else if at - soon <= now {
            DueState::DueSoon
        } else {
            DueState::Ok
        };
        Some(Due { at: Some(at), state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_due_by_severity_and_its_time_stands_still_while_suppressed() {
        let opened_at: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
        let days = DueDays { low: 0, ..DueDays::default() };
        for (severity, workflow, paused, hours, state) in [
            (Severity::Critical, Workflow::Open, 0, 0, Some(DueState::Ok)),
            (Severity::Critical, Workflow::Open, 0, 5 * 24 + 5, Some(DueState::Ok)),
            (Severity::Critical, Workflow::Acknowledged, 0, 5 * 24 + 6, Some(DueState::DueSoon)),
            (Severity::Critical, Workflow::Open, 0, 7 * 24 - 1, Some(DueState::DueSoon)),
            (Severity::Critical, Workflow::Open, 0, 7 * 24, Some(DueState::Overdue)),
            (Severity::Critical, Workflow::Open, 1, 7 * 24, Some(DueState::DueSoon)),
            (Severity::Critical, Workflow::Suppressed, 0, 70 * 24, Some(DueState::Paused)),
            (Severity::Critical, Workflow::Resolved, 0, 70 * 24, None),
            (Severity::High, Workflow::Open, 0, 23 * 24, Some(DueState::DueSoon)),
            (Severity::Medium, Workflow::Open, 0, 83 * 24 - 1, Some(DueState::Ok)),
            (Severity::Medium, Workflow::Open, 0, 83 * 24, Some(DueState::DueSoon)),
            (Severity::Low, Workflow::Open, 0, 900 * 24, None),
            (Severity::Info, Workflow::Open, 0, 900 * 24, None),
        ] {
            let elapsed = Elapsed { opened_at, paused: TimeDelta::hours(paused) };
            let due = days.due(severity, workflow, elapsed, opened_at + TimeDelta::hours(hours));
            assert_eq!(due.map(|due| due.state), state, "{severity} {workflow} {hours}");
        }
    }
}
