//! A change as rules judge it: what became of what it brought, and what is known around it.
//!
//! Knows that a change is over only where a later one put the part back as it was, or the resource is gone:
//! another state in its place may keep what was gained. Refuses to know where changes are kept, and which
//! change is bad.

use super::difference::kind;
use super::{ApprovalState, ApprovalStep, Attributed, Change, ResourceType, State, replaced_by};
use chrono::{DateTime, Utc};
use rolecall_estate::{AgentClass, Association, Recorded, Trail};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};

/// An account whose principals a role's trust policy lets in, and did not before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedAccount {
    /// The account; `None` where principals of any account are let in.
    pub account_id: Option<AccountId>,
    /// The principal as the policy writes it: `*`, an account id, or an ARN.
    pub principal: String,
    /// Whether it is certain that it is let in, and that it was not.
    pub is_certain: bool,
}

/// What became of what a change brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is there.
    There,
    /// This later change took it back.
    Reversed(String),
    /// This later change put something else in its place, which may keep what was gained. Whoever approves
    /// that one approves what is left of this one.
    Superseded {
        /// The later change.
        by: String,
        /// The last step of its approval.
        approval: Option<ApprovalStep>,
    },
}

/// A later change of the same resource.
#[derive(Debug, Clone, Copy)]
pub struct Later<'a> {
    /// The change.
    pub change: &'a Change,
    /// The last step of its approval.
    pub approval: Option<&'a ApprovalStep>,
}

rolecall_iam::vocabulary! {
    /// What shows a change.
    pub enum SeenIn: "what shows a change" {
        /// Two scans differ by it.
        Snapshots = "snapshots",
        /// The call that made it alone: the scans before and after do not differ by it, or there is no scan
        /// after it yet.
        Events = "events",
    }
}

/// When a change that no scan shows was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When the call that undid it was made; where no such call is known, the date of the scan that does not
    /// show it.
    pub at: DateTime<Utc>,
    /// The event of that call.
    pub by: Option<String>,
}

/// Which programs changed a resource before a change, as far as events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EarlierCalls {
    /// The kinds of program, each once.
    pub agents: Vec<AgentClass>,
    /// Whether the call that made the resource is among them.
    pub is_from_creation: bool,
}

/// A change that is to be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenChange {
    /// What changed.
    pub change: Change,
    /// The date of the scan that shows it.
    pub detected_at: DateTime<Utc>,
    /// When it takes hold, at the latest.
    pub effective_at: DateTime<Utc>,
    /// Who made it, as far as events tell.
    pub attributed: Attributed,
    /// The last step of its approval.
    pub approval: Option<ApprovalStep>,
    /// What became of what it brought.
    pub standing: Standing,
    /// Who changed the resource before.
    pub earlier: EarlierCalls,
    /// When it was over, where no scan shows it.
    pub ended: Option<Ended>,
}

impl OpenChange {
    /// The approval that holds, of the change or of the one that took its place.
    #[must_use]
    pub fn approval(&self) -> Option<&ApprovalStep> {
        let later = match &self.standing {
            Standing::Superseded { approval, .. } => approval.as_ref(),
            Standing::There | Standing::Reversed(_) => None,
        };
        let holds = |step: &&ApprovalStep| step.state == ApprovalState::Approved;
        self.approval.as_ref().filter(holds).or(later.filter(holds))
    }

    /// The change that took it back.
    #[must_use]
    pub fn reversed_by(&self) -> Option<&str> {
        match &self.standing {
            Standing::Reversed(by) => Some(by),
            Standing::There | Standing::Superseded { .. } => None,
        }
    }
}

/// What became of what a change brought. `later` are the changes of the same resource that later scans show,
/// the oldest first. What was once taken back stays so: who brings it again makes another change.
#[must_use]
pub fn standing<'a>(change: &Change, later: impl IntoIterator<Item = Later<'a>>) -> Standing {
    let later: Vec<Later<'a>> = later.into_iter().collect();
    let mut replaced: Option<Later<'a>> = None;
    for (index, other) in later.iter().enumerate() {
        let until = later.iter().take(index + 1).map(|it| it.change);
        let by = replaced_by(change, until);
        if by.is_some_and(|by| takes_back(change, by)) {
            return Standing::Reversed(other.change.id.clone());
        }
        replaced = by.map(|by| later.iter().find(|it| it.change.id == by.id).copied().unwrap_or(*other));
    }
    match replaced {
        None => Standing::There,
        Some(by) => Standing::Superseded { by: by.change.id.clone(), approval: by.approval.cloned() },
    }
}

/// Whether a change that took the place of another leaves nothing of it.
fn takes_back(change: &Change, by: &Change) -> bool {
    match (change.change.as_str(), by.change.as_str()) {
        (kind::REMOVED, _) | (_, kind::REMOVED) => true,
        // What is new under the name may allow the same as what is gone.
        (_, kind::ADDED | kind::RECREATED) => false,
        _ => by.after == change.before,
    }
}

impl Change {
    /// The roles that an association leads to by this change: its role and its target role. `None` of any
    /// other change.
    #[must_use]
    pub fn leads_to(&self) -> Option<Vec<String>> {
        if self.resource.kind != ResourceType::Association {
            return None;
        }
        let Some(State::Text(after)) = &self.after else { return None };
        match self.change.as_str() {
            kind::ROLE | kind::TARGET_SET | kind::TARGET_CHANGED => Some(vec![after.clone()]),
            kind::ADDED | kind::RECREATED => {
                let detail = serde_json::from_str::<Association>(after).ok()?.detail?;
                Some(std::iter::once(detail.role_arn).chain(detail.target_role_arn).collect())
            }
            _ => None,
        }
    }

    /// Whether a trail records less by this change; `None` where the states do not tell, or it is no change
    /// of a trail.
    #[must_use]
    pub fn records_less(&self) -> Option<bool> {
        if self.resource.kind != ResourceType::Trail {
            return None;
        }
        let text = |state: &'_ Option<State>| match state {
            Some(State::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let (was, is) = (text(&self.before), text(&self.after));
        match (self.change.as_str(), self.part.as_deref()) {
            (kind::REMOVED | kind::LOGGING_STOPPED, _) => Some(true),
            (kind::ADDED, _) => Some(false),
            (kind::RECREATED, _) => {
                let read = |text: Option<String>| serde_json::from_str::<Trail>(&text?).ok()?.recorded;
                Some(less(&read(was)?, &read(is)?))
            }
            (kind::SELECTORS, _) => {
                let read = |text: &Option<String>| serde_json::from_str::<Recorded>(text.as_deref()?).ok();
                match (read(&was), read(&is)) {
                    (Some(was), Some(is)) => Some(less(&was, &is)),
                    // Only whether read-only management events are recorded is known.
                    _ => Some(was?.ends_with("true") && is?.ends_with("false")),
                }
            }
            (kind::FIELD, Some("multi_region" | "organization")) => Some(was? == "true" && is? == "false"),
            _ => Some(false),
        }
    }
}

fn less(was: &Recorded, is: &Recorded) -> bool {
    (was.management_reads && !is.management_reads)
        || (was.management_writes && !is.management_writes)
        || !is.excluded_sources.is_subset(&was.excluded_sources)
        || !was.data.is_subset(&is.data)
}
