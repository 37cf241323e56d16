//! What is told to services of others: which events, in which words, and to whom; findings in the formats of others.
//!
//! An event is told by its position in the feed, as what it is about stands when it is told. Refuses to know when
//! something is sent and what is kept of it.

pub mod asff;
mod attributes;
pub mod digest;
pub mod endpoint;
mod letter;
pub mod message;
pub mod ocsf;
pub mod summary;

use crate::audit::rules::Rules;
use rolecall_audit::remediation::{Concern, Snippet};
use rolecall_rules::{Meta, Subject, Tool};
use rolecall_store::Finding;

/// What a finding does not say itself: its rule's words, and where its page is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The rules in force.
    pub rules: &'a Rules,
    /// Where this service is reached.
    pub base: &'a str,
}

impl<'a> Place<'a> {
    /// What a rule says of itself; `None` where it is there no more.
    #[must_use]
    pub fn meta(&self, rule: &str) -> Option<&'a Meta> {
        self.rules.set.rule(rule).map(|rule| rule.meta())
    }

    /// What to do about a finding, in the rule's words and with its commands; empty where the rule is there no more.
    #[must_use]
    pub fn remediation(&self, found: &Finding) -> String {
        let Some(rule) = self.rules.set.rule(&found.row.rule) else { return String::new() };
        let concern = Concern { rule, subject: &found.row.subject, evidence: &found.evidence };
        let is_command = |snippet: &Snippet| matches!(snippet.tool, Tool::AwsCli | Tool::Kubectl);
        let commands = concern.snippets().into_iter().filter(is_command).map(|snippet| snippet.text);
        let text = rule.meta().remediation.text.trim().to_owned();
        [text].into_iter().chain(commands).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    /// The whole address of a finding's page.
    #[must_use]
    pub fn url(&self, number: i64) -> String {
        format!("{}/findings/{number}", self.base)
    }

    /// The AWS partition of a subject, as its ARNs tell it.
    #[must_use]
    pub fn partition<'s>(&self, subject: &'s Subject) -> &'s str {
        let arns = [Some(&subject.key), subject.role_arn.as_ref(), subject.target_role_arn.as_ref()];
        let of = |arn: &'s String| arn.strip_prefix("arn:")?.split(':').next();
        arns.into_iter().flatten().find_map(of).unwrap_or("aws")
    }
}
