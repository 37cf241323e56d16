//! Every rule on every subject, and what came of it.
//!
//! Refuses to know what becomes of findings: that is [`crate::finding`]'s.

use crate::finding::Verdict;
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};

/// What an audit decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// One for each rule and subject, by rule and subject.
    pub verdicts: Vec<Verdict>,
    /// The same counted, one for each rule and account, by rule and account.
    pub tallies: Vec<RuleTally>,
}

/// How often a rule came to which answer in an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTally {
    /// The rule's slug.
    pub rule: String,
    /// The account of the subjects.
    pub account_id: AccountId,
    /// Subjects that pass.
    pub pass: u32,
    /// Subjects that fail.
    pub fail: u32,
    /// Subjects that the rule does not concern.
    pub not_applicable: u32,
    /// Subjects about which nothing can be said; at least one where the listing of the subjects
    /// themselves was not seen whole.
    pub unknown: u32,
    /// Subjects on which the rule itself failed.
    pub error: u32,
    /// Why not known, each reason once.
    pub reasons: Vec<String>,
}
