//! What an audit of a generated estate has to find, and what it must not.
//!
//! Written by AWS's documentation of what each thing can do. Refuses to know what any audit says.

use serde_json::{Value, json};

/// How grave a finding is, in the words that findings use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// To know, nothing to do.
    Info,
    /// Some day.
    Low,
    /// This quarter.
    Medium,
    /// This month.
    High,
    /// This week.
    Critical,
}

impl Severity {
    /// `critical`, `high`, `medium`, `low` or `info`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Why something is in the estate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A problem that is there on purpose.
    Problem,
    /// It looks like a problem and is none.
    Decoy,
    /// As it should be.
    Tidy,
}

impl Class {
    /// `problem`, `decoy` or `tidy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Decoy => "decoy",
            Self::Tidy => "tidy",
        }
    }
}

/// What is right about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Why it is in the estate.
    pub class: Class,
    /// What it is, such as `retrusts-administrator`.
    pub kind: &'static str,
    /// A role's or cluster's ARN, an account's id, or an association as
    /// `account/region/cluster/namespace/service account`; for sessions the role's ARN.
    pub subject: String,
    /// Of a problem: ids of built-in rules of which at least one finds it. Of a decoy: those that must
    /// not. Empty for what is tidy.
    pub rules: &'static [&'static str],
    /// The least severity of the finding by one of the rules; `None`: any.
    pub at_least: Option<Severity>,
    /// The gravest severity that any finding about the subject may have.
    pub at_most: Severity,
}

/// What is right about all subjects that are in an estate on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// In the order in which they were made.
    pub entries: Vec<Entry>,
}

impl Truth {
    /// The entries of a class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.class == class)
    }

    /// A list of objects: `class`, `kind`, `subject`, `rules`, `at_least` (or null), `at_most`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let entries = self.entries.iter().map(|entry| {
            json!({
                "class": entry.class.as_str(), "kind": entry.kind, "subject": entry.subject, "rules": entry.rules,
                "at_least": entry.at_least.map(Severity::as_str), "at_most": entry.at_most.as_str(),
            })
        });
        Value::Array(entries.collect())
    }

    pub(super) fn problem(
        &mut self,
        kind: &'static str,
        subject: &str,
        rules: &'static [&'static str],
        at_least: Option<Severity>,
    ) {
        let subject = subject.to_owned();
        self.entries.push(Entry { class: Class::Problem, kind, subject, rules, at_least, at_most: Severity::Critical });
    }

    pub(super) fn decoy(
        &mut self,
        kind: &'static str,
        subject: &str,
        rules: &'static [&'static str],
        at_most: Severity,
    ) {
        let subject = subject.to_owned();
        self.entries.push(Entry { class: Class::Decoy, kind, subject, rules, at_least: None, at_most });
    }

    pub(super) fn tidy(&mut self, kind: &'static str, subject: &str, at_most: Severity) {
        let subject = subject.to_owned();
        self.entries.push(Entry { class: Class::Tidy, kind, subject, rules: &[], at_least: None, at_most });
    }
}
