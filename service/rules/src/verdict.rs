//! The words of a verdict, which rules and findings share: the subject, the answer, its severity and evidence.

use chrono::{DateTime, Utc};
use rolecall_estate::Reason;
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};

rolecall_iam::vocabulary! {
    /// How bad.
    pub enum Severity: "a severity" {
        /// Worth knowing.
        Info = "info",
        /// Untidy.
        Low = "low",
        /// Should be fixed.
        Medium = "medium",
        /// Must be fixed soon.
        High = "high",
        /// Must be fixed now.
        Critical = "critical",
    }
}

impl Severity {
    /// From the worst to the least.
    pub const WORST_FIRST: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];
}

rolecall_iam::vocabulary! {
    /// What a rule is about.
    pub enum SubjectKind: "a kind of subject" {
        /// An IAM role; key: its ARN.
        Role = "role",
        /// A managed policy; key: its ARN.
        Policy = "policy",
        /// An association; key: `rolecall_estate::AssociationKey` as text.
        Association = "association",
        /// A session (one AssumeRole); key: role ARN and the shape of the session name.
        Session = "session",
        /// A cluster; key: its ARN.
        Cluster = "cluster",
        /// A whole account; key: its id.
        Account = "account",
        /// A change between two scans; key: its id.
        Change = "change",
    }
}

/// What a finding is about, with what people need to find it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Immutable identity, unique within the kind.
    pub key: String,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// Region, where it has one.
    pub region: Option<String>,
    /// Cluster, where it has one.
    pub cluster: Option<String>,
    /// Namespace, where it has one.
    pub namespace: Option<String>,
    /// Service account, where it has one.
    pub service_account: Option<String>,
    /// The role concerned, where there is one.
    pub role_arn: Option<String>,
    /// The target role concerned, where there is one.
    pub target_role_arn: Option<String>,
}

/// A statement that decided, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the statement shows, in a few words.
    pub label: String,
    /// The document, where there is one: its digest.
    pub document: Option<rolecall_iam::Digest>,
    /// How people call the document: `trust policy`, `inline policy x`, a policy ARN, `session policy`.
    pub source: String,
    /// RFC 6901 pointer into the document, such as `/Statement/0`.
    pub pointer: String,
    /// The statement itself, or the fact, as JSON.
    pub value: serde_json::Value,
}

/// A severity that follows from facts about the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// The severity.
    pub severity: Severity,
    /// What it follows from, in one sentence.
    pub because: String,
}

/// A rule's answer about a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The rule fails: one finding for each discriminated failure.
    Fail {
        /// One sentence that names the values.
        message: String,
        /// What decided.
        evidence: Vec<Evidence>,
        /// Further key parts, where one subject can fail in several ways.
        discriminator: Vec<String>,
        /// What the rule's `severity_when` makes of it; `None` where the rule's own severity, or a
        /// binding's, is in force.
        graded: Option<Graded>,
    },
    /// The rule holds.
    Pass,
    /// The rule does not concern this subject.
    NotApplicable,
    /// Something that the rule needs was not seen, or not understood.
    Unknown {
        /// Why; gaps among them.
        why: Vec<Reason>,
    },
    /// The rule itself failed (cost limit).
    Error {
        /// What went wrong.
        message: String,
    },
}

impl Outcome {
    /// The severity that follows from facts, of a failure that has one.
    #[must_use]
    pub fn graded(&self) -> Option<&Graded> {
        match self {
            Self::Fail { graded, .. } => graded.as_ref(),
            _ => None,
        }
    }

    /// Leaves the severity to the rule or its binding.
    pub(crate) fn ungrade(&mut self) {
        if let Self::Fail { graded, .. } = self {
            *graded = None;
        }
    }
}

/// A parameter in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectiveParam {
    /// The value.
    pub value: serde_json::Value,
    /// `rule default`, or the binding's name with file and line.
    pub origin: String,
}

/// An exception from `policies/exceptions/` that is in force for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionRef {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: Option<String>,
    /// Until when.
    pub expires: DateTime<Utc>,
    /// File and line.
    pub origin: String,
}
