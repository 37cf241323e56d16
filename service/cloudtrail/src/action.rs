//! Which IAM actions an event of CloudTrail's is.
//!
//! Knows the catalogue's answer. Refuses to guess: an event that it does not have stays as
//! CloudTrail names it.

use rolecall_iam::{EventActions, actions_of_event};

/// What a call is, in IAM's terms.
#[derive(Debug)]
pub(super) enum Meaning {
    /// These actions; where they are several, the call's parameters say which of them it was.
    Actions(Vec<Box<str>>),
    /// A call that needs no permission.
    Free,
    /// Not known.
    Unknown,
}

/// What the event is, by CloudTrail's names.
pub(super) fn meaning(source: &str, name: &str) -> Meaning {
    match actions_of_event(source, name) {
        EventActions::Needs { used, .. } => Meaning::Actions(used.iter().map(|action| action.name.into()).collect()),
        EventActions::NoPermission => Meaning::Free,
        EventActions::NotKnown => Meaning::Unknown,
    }
}
