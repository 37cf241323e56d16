//! Whether a change is approved: who says that it is meant to be, why, and until when.
//!
//! Knows what an approval must say, and that only what is still there can be approved. Refuses to know who
//! may approve, and where approvals are kept.

use super::difference::kind;
use super::{Change, State};
use chrono::{DateTime, TimeDelta, Utc};

/// The longest reason, in characters.
const REASON: usize = 1_000;
/// The longest ticket, in characters.
const TICKET: usize = 200;

/// The longest that an approval with an end may hold.
#[must_use]
pub fn longest() -> TimeDelta {
    TimeDelta::days(366)
}

/// What somebody says who approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    reason: String,
    ticket: Option<String>,
    until: Option<DateTime<Utc>>,
}

/// What is wrong with a field of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalFault {
    /// `reason`, `ticket` or `until`.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Approval {
    /// An approval given at a moment. A blank ticket is none.
    ///
    /// # Errors
    /// Every fault, by field: a reason that is blank or longer than 1,000 characters, a ticket longer than
    /// 200, an end that is not after `now` or more than a year (366 days) after it.
    pub fn new(
        reason: &str,
        ticket: Option<&str>,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, Vec<ApprovalFault>> {
        let mut faults = Vec::new();
        let mut fault = |field, message: String| faults.push(ApprovalFault { field, message });
        let reason = reason.trim();
        if let Err(message) = reason_of(reason) {
            fault("reason", message);
        }
        let ticket = ticket.map(str::trim).filter(|text| !text.is_empty());
        if ticket.is_some_and(|text| text.chars().count() > TICKET) {
            fault("ticket", format!("`ticket` has {TICKET} characters at most"));
        }
        match until {
            Some(at) if at <= now => fault("until", format!("`until` is {at}, which is past; give a later time")),
            Some(at) if at - now > longest() => {
                fault("until", format!("`until` is {at}; an approval that ends does so within a year"));
            }
            _ => {}
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { reason: reason.to_owned(), ticket: ticket.map(str::to_owned), until })
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The ticket that it stands in.
    #[must_use]
    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// When it ends; never where there is none.
    #[must_use]
    pub fn until(&self) -> Option<DateTime<Utc>> {
        self.until
    }
}

/// Why an approval is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal(String);

impl Withdrawal {
    /// A reason.
    ///
    /// # Errors
    /// Where it is blank or longer than 1,000 characters.
    pub fn new(reason: &str) -> Result<Self, ApprovalFault> {
        let reason = reason.trim();
        reason_of(reason).map_err(|message| ApprovalFault { field: "reason", message })?;
        Ok(Self(reason.to_owned()))
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0
    }
}

fn reason_of(reason: &str) -> Result<(), String> {
    match reason.chars().count() {
        0 => Err("`reason` is missing; say why".to_owned()),
        n if n > REASON => Err(format!("`reason` has {n} characters; {REASON} are the most")),
        _ => Ok(()),
    }
}

rolecall_iam::vocabulary! {
    /// What an approval is now.
    pub enum ApprovalState: "a state of an approval" {
        /// It holds.
        Approved = "approved",
        /// It has ended.
        Expired = "expired",
        /// It was withdrawn.
        Withdrawn = "withdrawn",
    }
}

/// A step of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalStep {
    /// What it came to. Of a step that others followed, `expired` says that it has ended since.
    pub state: ApprovalState,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The ticket that it stands in.
    pub ticket: Option<String>,
    /// When it ends.
    pub until: Option<DateTime<Utc>>,
    /// The baseline that it was approved with.
    pub baseline: Option<String>,
}

/// The change that took the place of what `change` brought, if any did. `later` are the changes of the same
/// resource that later scans show, the oldest first. A thing that was changed and changed back is there
/// again.
#[must_use]
pub fn replaced_by<'a>(change: &Change, later: impl IntoIterator<Item = &'a Change>) -> Option<&'a Change> {
    let mut replaced: Option<&Change> = None;
    for other in later {
        if of_whole(other) {
            // What was deleted is gone with all its parts, also where something new has its name since.
            replaced = match change.change.as_str() {
                kind::REMOVED => (other.change != kind::REMOVED).then_some(other),
                _ => replaced.filter(|it| of_whole(it)).or(Some(other)),
            };
        } else if !of_whole(change) && same_part(change, other) && !replaced.is_some_and(of_whole) {
            replaced = (other.after != change.after).then_some(other);
        }
    }
    replaced
}

/// Whether a change is of a resource as a whole: it came, went, or was made anew.
pub(crate) fn of_whole(change: &Change) -> bool {
    [kind::ADDED, kind::REMOVED, kind::RECREATED].contains(&change.change.as_str())
}

/// Whether two changes of one resource are of the same part of it.
pub(crate) fn same_part(one: &Change, other: &Change) -> bool {
    if of_whole(one) || of_whole(other) {
        return of_whole(one) && of_whole(other);
    }
    let (group, named) = part(&one.change);
    let (other_group, _) = part(&other.change);
    group == other_group && (!named || one.part == other.part)
}

/// What a kind of change is about, and whether a resource may have several of it, each with its name.
fn part(change: &str) -> (&str, bool) {
    const GROUPS: &[(&[&str], bool)] = &[
        (&[kind::DEFAULT_VERSION, kind::DOCUMENT], false),
        (&[kind::INLINE_ADDED, kind::INLINE_CHANGED, kind::INLINE_REMOVED], true),
        (&[kind::ATTACHED, kind::DETACHED], true),
        (&[kind::BOUNDARY_SET, kind::BOUNDARY_CHANGED, kind::BOUNDARY_REMOVED], false),
        (&[kind::PROFILE_ADDED, kind::PROFILE_REMOVED], true),
        (&[kind::TARGET_SET, kind::TARGET_CHANGED, kind::TARGET_REMOVED], false),
        (&[kind::SESSION_TAGS_OFF, kind::SESSION_TAGS_ON], false),
        (&[kind::SESSION_POLICY_SET, kind::SESSION_POLICY_CHANGED, kind::SESSION_POLICY_REMOVED], false),
        (&[kind::TARGET_ATTACHED, kind::TARGET_DETACHED], true),
        (&[kind::LOGGING_STOPPED, kind::LOGGING_STARTED], false),
        (&[kind::CLIENT_ID_ADDED, kind::CLIENT_ID_REMOVED], true),
    ];
    let found = GROUPS.iter().find(|(kinds, _)| kinds.contains(&change));
    found.and_then(|(kinds, named)| Some((*kinds.first()?, *named))).unwrap_or((change, true))
}

/// What a part is after a change, in a few words; `nothing` where it is gone.
#[must_use]
pub fn state_words(state: Option<&State>) -> String {
    match state {
        None => "nothing".to_owned(),
        Some(State::Document(digest)) => format!("the document with digest {digest}"),
        Some(State::Text(text)) => format!("`{}`", text.chars().take(200).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_says_why_and_ends_within_a_year_or_never() {
        let now: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
        let after = |days: i64| Some(now + TimeDelta::days(days));
        let (long, ticket) = ("x".repeat(1_001), "x".repeat(201));
        let (longest, longest_ticket) = ("x".repeat(1_000), "x".repeat(200));
        for (reason, ticket, until, wrong) in [
            ("meant", None, None, &[][..]),
            (" meant ", Some(" "), after(366), &[]),
            (&longest, Some(&*longest_ticket), after(1), &[]),
            ("", None, None, &["reason"]),
            (" \n", None, after(0), &["reason", "until"]),
            (&long, Some(&*ticket), after(367), &["reason", "ticket", "until"]),
            ("meant", None, after(-1), &["until"]),
        ] {
            let found = Approval::new(reason, ticket, until, now);
            let fields: Vec<&str> = found.as_ref().err().into_iter().flatten().map(|it| it.field).collect();
            assert_eq!(fields, wrong, "{reason:.9} {ticket:?} {until:?}");
            if let Ok(approval) = found {
                assert_eq!((approval.reason(), approval.until()), (reason.trim(), until));
                assert_eq!(approval.ticket(), ticket.filter(|text| !text.trim().is_empty()));
            }
        }
        assert!(Withdrawal::new(" ").is_err() && Withdrawal::new(&long).is_err());
        assert_eq!(Withdrawal::new(" gone ").unwrap().reason(), "gone");
    }

    #[test]
    fn every_state_reads_as_it_is_written() {
        for state in ApprovalState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("none".parse::<ApprovalState>().is_err());
    }
}
