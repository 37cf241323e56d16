//! The name of an action, with its number in the catalogue.

use crate::catalogue::catalogue;

/// The name of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionName {
    text: Box<str>,
    lower: Box<str>,
    number: Option<usize>,
    pub(crate) on_resources: bool,
}

impl ActionName {
    /// Any text; letter case does not count. What the catalogue does not list is taken to act on
    /// resources.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let number = catalogue().number(text);
        let listed = number.and_then(|n| catalogue().actions().get(n));
        Self {
            text: text.into(),
            lower: text.to_ascii_lowercase().into(),
            number,
            on_resources: listed.is_none_or(|action| action.on_resources),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In lower case.
    #[must_use]
    pub fn lower(&self) -> &str {
        &self.lower
    }

    /// The service prefix in lower case; empty where there is no colon.
    #[must_use]
    pub fn service(&self) -> &str {
        self.lower.split_once(':').map_or("", |(service, _)| service)
    }

    /// Its number in the catalogue, where it is listed.
    #[must_use]
    pub fn number(&self) -> Option<usize> {
        self.number
    }

    /// Whether a policy can limit it to resources; otherwise it only takes `*`.
    #[must_use]
    pub fn on_resources(&self) -> bool {
        self.on_resources
    }
}
