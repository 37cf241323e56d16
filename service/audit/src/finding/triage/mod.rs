//! What people do with a finding: acknowledge, suppress, open again, assign, comment.
//!
//! The scanner owns detection and is the only one that resolves; people own workflow. What suppresses a finding
//! always ends: an exception from the policy files, or a suppression that somebody asked for. Refuses to know who may
//! do what, and how steps are kept.
//!
//! INVARIANT: a finding that is not resolved is suppressed exactly while an exception or a suppression is in force.

pub mod due;

use super::Workflow;
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;

/// The most characters of a justification.
pub const JUSTIFICATION: usize = 1_000;
/// The most characters of a comment.
pub const COMMENT: usize = 4_000;
/// The most characters of an assignee.
pub const ASSIGNEE: usize = 200;
/// For so many days a finding is suppressed where no end is given.
pub const DEFAULT_DAYS: i64 = 90;
/// For so many days at most.
pub const LONGEST_DAYS: i64 = 365;

rolecall_iam::vocabulary! {
    /// Why somebody suppresses a finding.
    pub enum SuppressionReason: "a reason for a suppression" {
        /// What the rule says is not so.
        FalsePositive = "false_positive",
        /// It is so, and accepted.
        RiskAccepted = "risk_accepted",
        /// Something else prevents the harm.
        CompensatingControl = "compensating_control",
        /// It is there to test something.
        Test = "test",
    }
}

/// What is wrong with a field of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriageFault {
    /// Such as `justification`.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A suppression as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    reason: SuppressionReason,
    justification: String,
    until: DateTime<Utc>,
}

impl Suppression {
    /// A suppression asked for at a moment; without an end it lasts [`DEFAULT_DAYS`].
    ///
    /// # Errors
    /// Every fault, by field: a justification that is blank or too long, an end that is not after `now` or more than
    /// [`LONGEST_DAYS`] after it.
    pub fn new(
        reason: SuppressionReason,
        justification: &str,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, Vec<TriageFault>> {
        let mut faults = Vec::new();
        let justification = match text("justification", justification, JUSTIFICATION) {
            Ok(text) => text,
            Err(fault) => {
                faults.push(fault);
                String::new()
            }
        };
        let until = until.unwrap_or(now + TimeDelta::days(DEFAULT_DAYS));
        let mut wrong = |message: String| faults.push(TriageFault { field: "until", message });
        if until <= now {
            wrong(format!("`until` is {until}, which is past; give a later time"));
        } else if until - now > TimeDelta::days(LONGEST_DAYS) {
            wrong(format!("`until` is {until}; a suppression ends within {LONGEST_DAYS} days"));
        }
        if faults.is_empty() { Ok(Self { reason, justification, until }) } else { Err(faults) }
    }

    /// Why, in one word.
    #[must_use]
    pub fn reason(&self) -> SuppressionReason {
        self.reason
    }

    /// Why, in the words of who asked.
    #[must_use]
    pub fn justification(&self) -> &str {
        &self.justification
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }
}

/// Who works on a finding: the name of a person or a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignee(String);

impl Assignee {
    /// A name.
    ///
    /// # Errors
    /// Where it is blank, too long, or more than one line.
    pub fn new(name: &str) -> Result<Self, TriageFault> {
        let name = text("assignee", name, ASSIGNEE)?;
        if name.chars().any(char::is_control) {
            let message = "`assignee` is one line, without control characters".to_owned();
            return Err(TriageFault { field: "assignee", message });
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What somebody says about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment(String);

impl Comment {
    /// A comment.
    ///
    /// # Errors
    /// Where it is blank or too long.
    pub fn new(words: &str) -> Result<Self, TriageFault> {
        text("comment", words, COMMENT).map(Self)
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn text(field: &'static str, given: &str, most: usize) -> Result<String, TriageFault> {
    let given = given.trim();
    let fault = |message| Err(TriageFault { field, message });
    match given.chars().count() {
        0 => fault(format!("`{field}` is missing; give some words")),
        n if n > most => fault(format!("`{field}` has {n} characters; {most} are the most")),
        _ => Ok(given.to_owned()),
    }
}

/// A step that a person or a program takes in a finding's workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowStep {
    /// Somebody is on it.
    Acknowledge,
    /// It is to be looked at again; a suppression ends by it.
    Open,
    /// It is accepted until a date.
    Suppress(Suppression),
}

/// Everything that is asked of a finding at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Triage {
    /// A step in its workflow.
    pub step: Option<WorkflowStep>,
    /// A new assignee, or none (`Some(None)`).
    pub assignee: Option<Option<Assignee>>,
    /// A comment.
    pub comment: Option<Comment>,
}

impl Triage {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.step.is_none() && self.assignee.is_none() && self.comment.is_none()
    }
}

/// Why a step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is resolved, and opens only where the rule fails again.
    Resolved,
    /// It is suppressed by an exception of the policy files, which only the file ends.
    Excepted,
    /// It is suppressed, and must be opened first.
    Suppressed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolved => "it is resolved; it opens by itself if the rule fails again",
            Self::Excepted => {
                "an exception from the policy files suppresses it; change or delete the exception in its file"
            }
            Self::Suppressed => "it is suppressed; open it first",
        })
    }
}

/// Where a finding stands on people's side, and what holds it suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The workflow state.
    pub workflow: Workflow,
    /// Whether an exception from the policy files is in force, as the latest scan found.
    pub exception: bool,
    /// Whether a suppression that somebody asked for is in force.
    pub suppression: bool,
}

impl Standing {
    /// Where it stands after a scan in which the rule failed, with an exception in force for it or not.
    #[must_use]
    pub fn after_fail(self, exception: bool) -> Self {
        let workflow = match self.workflow {
            _ if exception || self.suppression => Workflow::Suppressed,
            Workflow::Resolved | Workflow::Suppressed => Workflow::Open,
            kept @ (Workflow::Open | Workflow::Acknowledged) => kept,
        };
        Self { workflow, exception, ..self }
    }

    /// Where it stands after its suppression has ended.
    #[must_use]
    pub fn after_suppression(self) -> Self {
        let opens = self.workflow == Workflow::Suppressed && !self.exception;
        Self { workflow: if opens { Workflow::Open } else { self.workflow }, suppression: false, ..self }
    }

    /// Where it stands after a person's step.
    ///
    /// # Errors
    /// Why the step is not taken.
    pub fn after(self, step: &WorkflowStep) -> Result<Self, Refused> {
        match (step, self.workflow) {
            // What is resolved stays so; its suppression may end before the rule fails again.
            (WorkflowStep::Open, Workflow::Resolved) if self.suppression => Ok(self.after_suppression()),
            (_, Workflow::Resolved) => Err(Refused::Resolved),
            (WorkflowStep::Open | WorkflowStep::Suppress(_), _) if self.exception => Err(Refused::Excepted),
            (WorkflowStep::Open, _) => Ok(Self { workflow: Workflow::Open, suppression: false, ..self }),
            (WorkflowStep::Suppress(_), _) => Ok(Self { workflow: Workflow::Suppressed, suppression: true, ..self }),
            (WorkflowStep::Acknowledge, Workflow::Suppressed) => {
                Err(if self.exception { Refused::Excepted } else { Refused::Suppressed })
            }
            (WorkflowStep::Acknowledge, Workflow::Open | Workflow::Acknowledged) => {
                Ok(Self { workflow: Workflow::Acknowledged, ..self })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-03-02T08:00:00Z".parse().unwrap()
    }

    fn suppression() -> Suppression {
        Suppression::new(SuppressionReason::RiskAccepted, "moves next quarter", None, now()).unwrap()
    }

    #[test]
    fn a_suppression_says_why_and_ends_within_a_year() {
        let after = |days: i64| Some(now() + TimeDelta::days(days));
        let (longest, long) = ("x".repeat(JUSTIFICATION), "x".repeat(JUSTIFICATION + 1));
        for (justification, until, wrong) in [
            ("meant", None, &[][..]),
            (&longest, after(LONGEST_DAYS), &[]),
            (" \n", None, &["justification"]),
            (&long, after(0), &["justification", "until"]),
            ("meant", after(-1), &["until"]),
            ("meant", after(LONGEST_DAYS + 1), &["until"]),
        ] {
            let given = Suppression::new(SuppressionReason::Test, justification, until, now());
            let faults = given.err().unwrap_or_default();
            assert_eq!(faults.iter().map(|fault| fault.field).collect::<Vec<_>>(), wrong);
        }
        assert_eq!(suppression().until(), now() + TimeDelta::days(DEFAULT_DAYS));
        assert!(Assignee::new(" ").is_err() && Assignee::new("a\nb").is_err());
        assert_eq!(Assignee::new(" payments ").unwrap().as_str(), "payments");
        assert!(Comment::new("").is_err() && Comment::new(&"x".repeat(COMMENT + 1)).is_err());
        assert_eq!(Comment::new("two\nlines").unwrap().as_str(), "two\nlines");
    }

    /// The table of the lifecycle, row by row.
    #[test]
    fn the_table() {
        let at = |workflow, exception, suppression| Standing { workflow, exception, suppression };
        let (open, acknowledged) = (at(Workflow::Open, false, false), at(Workflow::Acknowledged, false, false));
        let suppressed = at(Workflow::Suppressed, false, true);
        let excepted = at(Workflow::Suppressed, true, false);
        let resolved = at(Workflow::Resolved, false, false);
        let suppress = WorkflowStep::Suppress(suppression());
        for (from, step, to) in [
            (open, &WorkflowStep::Acknowledge, Ok(acknowledged)),
            (open, &suppress, Ok(suppressed)),
            (open, &WorkflowStep::Open, Ok(open)),
            (acknowledged, &WorkflowStep::Open, Ok(open)),
            (acknowledged, &suppress, Ok(suppressed)),
            (suppressed, &WorkflowStep::Open, Ok(open)),
            (suppressed, &suppress, Ok(suppressed)),
            (suppressed, &WorkflowStep::Acknowledge, Err(Refused::Suppressed)),
            (excepted, &WorkflowStep::Acknowledge, Err(Refused::Excepted)),
            (excepted, &WorkflowStep::Open, Err(Refused::Excepted)),
            (excepted, &suppress, Err(Refused::Excepted)),
            (resolved, &WorkflowStep::Acknowledge, Err(Refused::Resolved)),
            (resolved, &WorkflowStep::Open, Err(Refused::Resolved)),
            (resolved, &suppress, Err(Refused::Resolved)),
            (at(Workflow::Resolved, false, true), &WorkflowStep::Open, Ok(resolved)),
        ] {
            assert_eq!(from.after(step), to, "{from:?} {step:?}");
        }
        assert_eq!(suppressed.after_suppression(), open);
        assert_eq!(resolved.after_fail(false), open);
        assert_eq!(at(Workflow::Resolved, false, true).after_fail(false), suppressed);
        assert_eq!(excepted.after_fail(false), open);
        assert_eq!(acknowledged.after_fail(true), excepted);
    }

    /// What can happen to a finding.
    #[derive(Debug, Clone)]
    enum Happens {
        Fails(bool),
        Passes,
        Ends,
        Step(WorkflowStep),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            any::<bool>().prop_map(Happens::Fails),
            Just(Happens::Passes),
            Just(Happens::Ends),
            Just(Happens::Step(WorkflowStep::Acknowledge)),
            Just(Happens::Step(WorkflowStep::Open)),
            Just(Happens::Step(WorkflowStep::Suppress(suppression()))),
        ]
    }

    proptest! {
        #[test]
        fn laws(story in proptest::collection::vec(happens(), 0..40)) {
            let mut standing = Standing { workflow: Workflow::Open, exception: false, suppression: false };
            for what in story {
                let before = standing;
                standing = match &what {
                    Happens::Fails(exception) => before.after_fail(*exception),
                    Happens::Passes => Standing { workflow: Workflow::Resolved, ..before },
                    Happens::Ends => before.after_suppression(),
                    Happens::Step(step) => before.after(step).unwrap_or(before),
                };
                let is_resolved = standing.workflow == Workflow::Resolved;
                // Suppressed exactly while something holds it so.
                if !is_resolved {
                    let held = standing.exception || standing.suppression;
                    prop_assert_eq!(standing.workflow == Workflow::Suppressed, held, "{:?}", &what);
                }
                // Only the scanner resolves, and only a fail ends that.
                if is_resolved != (before.workflow == Workflow::Resolved) {
                    prop_assert!(matches!(what, Happens::Passes | Happens::Fails(_)), "{:?}", &what);
                }
                match &what {
                    // A fail takes back no acknowledgement, and ends nobody's suppression.
                    Happens::Fails(_) => {
                        prop_assert_eq!(standing.suppression, before.suppression);
                        if standing.workflow == Workflow::Acknowledged {
                            prop_assert_eq!(before.workflow, Workflow::Acknowledged);
                        }
                    }
                    // A person ends no exception of a file.
                    Happens::Step(_) => {
                        prop_assert_eq!(standing.exception, before.exception);
                    }
                    Happens::Passes | Happens::Ends => {}
                }
                // The same again changes nothing more.
                let again = match &what {
                    Happens::Fails(exception) => standing.after_fail(*exception),
                    Happens::Passes => standing,
                    Happens::Ends => standing.after_suppression(),
                    Happens::Step(step) => standing.after(step).unwrap_or(standing),
                };
                prop_assert_eq!(again, standing);
            }
        }
    }
}
