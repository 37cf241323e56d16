//! Whose something is, as pages show it.

use crate::http::query::encode;
use rolecall_audit::owner::{Owned, Owner};
use rolecall_estate::Reason;

/// The choices of a list by whether things have an owner.
pub(super) fn owned_choices() -> Vec<(String, String)> {
    let choices = [("true", "Has an owner"), ("false", "Has none"), ("unknown", "Not known")];
    choices.map(|(value, label)| (value.to_owned(), label.to_owned())).into()
}

/// The word for whether findings of a group have an owner, where they have no owner's name.
pub(super) fn owned_word(owned: Owned) -> &'static str {
    match owned {
        Owned::Yes => "Has an owner",
        Owned::No => "No owner",
        Owned::Unknown => "Owner not known",
    }
}

/// An owner and what says so.
pub(crate) struct OwnerLine {
    /// Empty without one.
    pub(crate) name: String,
    /// Where it has no name: `none`, or `Undetermined` in the words of the page.
    pub(crate) is_unknown: bool,
    /// How the owner is reached; empty where nobody said.
    pub(crate) contact: String,
    /// What says so.
    pub(crate) because: String,
    /// Open findings of the owner.
    pub(crate) href: String,
}

impl OwnerLine {
    /// An owner as last decided.
    pub(crate) fn new(owner: Option<&Owner>) -> Self {
        let name = owner.and_then(Owner::name).unwrap_or_default().to_owned();
        let because = match owner {
            None => "it is decided at the next scan".to_owned(),
            Some(Owner::Rule { origin, .. }) => format!("ownership rule {origin}"),
            Some(Owner::Tag { key, resource, .. }) if resource.is_empty() => format!("tag {key}"),
            Some(Owner::Tag { key, resource, .. }) => format!("tag {key} of {resource}"),
            Some(Owner::Nobody { several: false }) => "no ownership rule and no tag names one".to_owned(),
            Some(Owner::Nobody { several: true }) => "what uses it does not all have the same owner".to_owned(),
            Some(Owner::Unknown { why }) => why.iter().map(Reason::to_string).collect::<Vec<_>>().join("; "),
        };
        let contact = match owner {
            Some(Owner::Rule { contact: Some(contact), .. }) => contact.clone(),
            _ => String::new(),
        };
        Self {
            is_unknown: owner.map_or(Owned::Unknown, Owner::owned) == Owned::Unknown,
            href: format!("/findings?owner={}", encode(&name)),
            name,
            contact,
            because,
        }
    }
}
