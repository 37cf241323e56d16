//! A rule's answer about a subject, and the identity of the finding that it makes.

use chrono::{DateTime, Utc};
use rolecall_estate::assumption::Assumption;
use rolecall_iam::Digest;
use rolecall_rules::{EffectiveParam, ExceptionRef, Outcome, Severity, Subject, SubjectKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Identity of a finding: `v1:` and 26 base32 characters of the SHA-256 over
/// `["v1", rule, subject kind, key…]`. Never over severity, message, parameters, evidence or time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// One rule's answer about one subject, with everything a finding needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The rule's immutable slug.
    pub rule: String,
    /// About what; all verdicts about it share it.
    pub subject: Arc<Subject>,
    /// The answer.
    pub outcome: Outcome,
    /// After bindings.
    pub severity: Severity,
    /// What the severity follows from, where it is neither the rule's own nor a binding's.
    pub severity_because: Option<String>,
    /// What was stated and not seen, and the answer rests on; each once, in order.
    pub assumptions: Vec<Assumption>,
    /// Parameters in force, with where each came from.
    pub params: Arc<BTreeMap<String, EffectiveParam>>,
    /// The exception that covers this subject, if any is in force.
    pub exception: Option<Arc<ExceptionRef>>,
    /// Of a subject that is an event, as sessions are: when it last happened.
    pub happened_at: Option<DateTime<Utc>>,
}

impl Fingerprint {
    /// The identity of what a rule finds about a subject.
    ///
    /// `rule` is the rule's root id: the oldest slug that it supersedes, so that a renamed rule
    /// keeps its findings. Changing anything here orphans every kept finding and its ticket.
    #[must_use]
    pub fn new(rule: &str, kind: SubjectKind, key: &str, discriminator: &[String]) -> Self {
        let mut parts = vec!["v1", rule, kind.as_str(), key];
        parts.extend(discriminator.iter().map(String::as_str));
        let canonical = serde_json::Value::from(parts).to_string();
        let text: String = base32(Digest::sha256(canonical.as_bytes()).as_bytes()).take(26).collect();
        Self(format!("v1:{text}"))
    }
}

/// RFC 4648 base32 in lower case, without padding and without the last incomplete group.
fn base32(bytes: &[u8]) -> impl Iterator<Item = char> {
    const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz234567";
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |shift| usize::from((byte >> shift) & 1)));
    let mut group = (0_usize, 0_u8);
    bits.filter_map(move |bit| {
        group = (group.0 * 2 + bit, group.1 + 1);
        (group.1 == 5).then(|| {
            let letter = ALPHABET.chars().nth(group.0).unwrap_or('a');
            group = (0, 0);
            letter
        })
    })
}

impl Verdict {
    /// The identity of the finding that a failing verdict makes, under the rule's root id; `None`
    /// for other verdicts.
    #[must_use]
    pub fn fingerprint(&self, root: &str) -> Option<Fingerprint> {
        let Outcome::Fail { discriminator, .. } = &self.outcome else { return None };
        Some(Fingerprint::new(root, self.subject.kind, &self.subject.key, discriminator))
    }
}
