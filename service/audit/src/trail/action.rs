//! Which IAM actions an event of CloudTrail's is.
//!
//! Knows the catalogue's answer. Refuses to guess: an event that it does not have stays unmapped.

/// The IAM actions that a call needs permission for; none where it is not known.
pub(super) fn actions_of_event(source: &str, name: &str) -> Vec<Box<str>> {
    let service = source.strip_suffix(".amazonaws.com").unwrap_or(source);
    rolecall_iam::catalogue::catalogue()
        .find(&format!("{service}:{name}"))
        .map(|action| Box::from(action.name))
        .into_iter()
        .collect()
}
