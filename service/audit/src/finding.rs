//! What a finding is, when two are the same, and how its life goes on from one audit to the next.
//!
//! The scanner owns *detection*, people own *workflow*. Only a pass, or a subject proven gone,
//! resolves; an unknown leaves a finding as it was and marks it stale. Refuses to know SQL, HTTP
//! and tickets.

use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Untidy.
    Low,
    /// Should be fixed.
    Medium,
    /// Must be fixed soon.
    High,
    /// Must be fixed now.
    Critical,
}

impl Severity {
    /// From the worst to the least.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// The snake-case name.
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

impl std::str::FromStr for Severity {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|v| v.as_str() == s).ok_or_else(|| format!("`{s}` is not a severity"))
    }
}

/// What the scanner last saw of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detection {
    /// The rule fails.
    Active,
    /// The rule could not be decided in the latest audit; the last answer was a fail.
    Stale,
    /// The rule passes, or the subject is gone.
    Cleared,
}

impl Detection {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stale => "stale",
            Self::Cleared => "cleared",
        }
    }
}

/// What people made of a finding, except that the scanner resolves and reopens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workflow {
    /// To be looked at.
    Open,
    /// Somebody is on it.
    Acknowledged,
    /// Accepted until a date.
    Suppressed,
    /// Done.
    Resolved,
}

impl Workflow {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Suppressed => "suppressed",
            Self::Resolved => "resolved",
        }
    }
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// An IAM role; key: its ARN.
    Role,
    /// A managed policy; key: its ARN.
    Policy,
    /// An association; key: [`crate::estate::AssociationKey`] as text.
    Association,
    /// A session (one AssumeRole); key: role ARN and the shape of the session name.
    Session,
    /// A cluster; key: its ARN.
    Cluster,
    /// A whole account; key: its id.
    Account,
}

impl SubjectKind {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Policy => "policy",
            Self::Association => "association",
            Self::Session => "session",
            Self::Cluster => "cluster",
            Self::Account => "account",
        }
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

/// Identity of a finding: `v1:` and 26 base32 characters of the SHA-256 over
/// `["v1", rule, subject kind, key…]`. Never over severity, message, parameters, evidence or time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

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
    },
    /// The rule holds.
    Pass,
    /// The rule does not concern this subject.
    NotApplicable,
    /// Something that the rule needs was not seen, or not understood.
    Unknown {
        /// Why, in full sentences; the gaps' texts among them.
        why: Vec<String>,
    },
    /// The rule itself failed (cost limit).
    Error {
        /// What went wrong.
        message: String,
    },
}

/// One rule's answer about one subject, with everything a finding needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The rule's immutable slug.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// The answer.
    pub outcome: Outcome,
    /// After bindings.
    pub severity: Severity,
    /// Parameters in force, with where each came from.
    pub params: BTreeMap<String, EffectiveParam>,
    /// The exception that covers this subject, if any is in force.
    pub exception: Option<ExceptionRef>,
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

/// What is known of a finding before an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownFinding {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// Scanner's side.
    pub detection: Detection,
    /// People's side.
    pub workflow: Workflow,
    /// Digest of the evidence last seen.
    pub evidence_digest: rolecall_iam::Digest,
    /// Severity last given.
    pub severity: Severity,
    /// Message last given.
    pub message: String,
}

/// Why a finding was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The rule passes now.
    Passed,
    /// The subject is gone, as complete listings show.
    SubjectGone,
    /// The rule does not concern the subject any more, as seen.
    NotApplicable,
    /// The rule was removed or switched off.
    RuleDisabled,
}

impl Resolution {
    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::SubjectGone => "subject_gone",
            Self::NotApplicable => "not_applicable",
            Self::RuleDisabled => "rule_disabled",
        }
    }
}

/// Everything that a failing verdict says about a finding, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// The rule.
    pub rule: String,
    /// About what.
    pub subject: Subject,
    /// After bindings.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// What decided.
    pub evidence: Vec<Evidence>,
    /// Digest of the evidence.
    pub evidence_digest: rolecall_iam::Digest,
    /// Parameters in force.
    pub params: BTreeMap<String, EffectiveParam>,
    /// The exception in force, if any: the finding is then suppressed, not hidden.
    pub exception: Option<ExceptionRef>,
}

/// What is to be done to the kept findings after an audit. Applied in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum FindingAction {
    /// New.
    Open(Failure),
    /// Resolved before, and fails again.
    Reopen(Failure),
    /// Still fails. `changed` says whether evidence, message, severity or exception differ.
    Refresh {
        /// What it says now.
        failure: Failure,
        /// Whether anything that people see differs.
        changed: bool,
    },
    /// Passed, or gone.
    Resolve {
        /// Which.
        fingerprint: Fingerprint,
        /// Why.
        why: Resolution,
    },
    /// Could not be decided: stays as it is, marked stale.
    MarkStale {
        /// Which.
        fingerprint: Fingerprint,
        /// Why not decided.
        why: Vec<String>,
    },
}
