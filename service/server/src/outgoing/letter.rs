//! An e-mail as it is kept: a subject and a text.
//!
//! Refuses to know addresses, which stand in the configuration alone, and how mail is sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The most characters of a text that somebody else wrote.
const LONGEST: usize = 200;

/// An e-mail before it has addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// `digest` or `webhook.test`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made.
    pub timestamp: DateTime<Utc>,
    /// One line.
    pub subject: String,
    /// What it says.
    pub text: String,
}

impl Letter {
    /// As it is kept: JSON.
    #[must_use]
    pub fn body(&self) -> String {
        // Texts and a time are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One that says only that letters arrive.
    #[must_use]
    pub fn test(kind: &str, now: DateTime<Utc>, actor: &str, url: &str) -> Self {
        let actor = cleaned(actor);
        Self {
            kind: kind.to_owned(),
            timestamp: now,
            subject: "Rolecall: test of this webhook".to_owned(),
            text: format!("{actor} asked for it. Digests of Rolecall arrive here.\n\n{url}\n"),
        }
    }
}

/// A text that somebody else wrote, as part of one line.
#[must_use]
pub fn cleaned(text: &str) -> String {
    let line = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|part| !part.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_stays_on_its_line() {
        assert_eq!(cleaned("a\r\n.\r\nSubject: b\u{85}c\u{2028}d\t e"), "a . Subject: b c d e");
        assert_eq!(cleaned(&"ü".repeat(300)).chars().count(), LONGEST + 1);
    }
}
