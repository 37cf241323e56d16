//! What to do about one finding, with its real names, and fitted to how the policy is attached.
//!
//! A change of policies is offered with its document only where it is verified: applied to the estate, the rule no
//! longer fails for the subject, and the comparison of before and after proves that less is allowed (or, for what an
//! association lacks, shows exactly what is gained). Otherwise the commands lead to the policy that the evidence names,
//! and its editing is left to a person. Refuses to run anything, and to guess a value that is not known.

mod change;
mod edit;
mod place;
mod values;

pub use change::Step;

use crate::access::index::AccessIndex;
use crate::access::stack::own_policies;
use crate::access::unused::UsageReport;
use crate::evaluate::outcomes_of;
use crate::what_if::{Place as ProposalPlace, Proposed, apply};
use change::{Change, steps};
use chrono::{DateTime, Utc};
use place::{Part, Target, targets};
use rolecall_estate::{Documents, Estate};
use rolecall_iam::{Asker, Comparison, Document, PolicyRef, PolicySet, Relation, Requester, compare};
use rolecall_rules::{Evidence, Outcome, Rule, Subject, Tool};
use std::collections::{BTreeMap, BTreeSet};

/// A command, or code, to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// What it is for.
    pub tool: Tool,
    /// The text.
    pub text: String,
}

/// What was proved of the changes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How what is allowed after stands to what was allowed before.
    pub relation: Relation,
    /// A request that is no longer allowed: its action and resource.
    pub lost: Option<(String, String)>,
    /// A request that is allowed then and was not before.
    pub gained: Option<(String, String)>,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remediation {
    /// In the rule's words.
    pub text: String,
    /// Changes of the policies that the evidence names.
    pub steps: Vec<Step>,
    /// What was proved of the steps; `None` where they hold no document.
    pub verified: Option<Verified>,
    /// The rule's commands and code, with the values of the finding.
    pub snippets: Vec<Snippet>,
}

/// The finding.
#[derive(Debug, Clone, Copy)]
pub struct Concern<'a> {
    /// The rule that fails.
    pub rule: &'a Rule,
    /// For what.
    pub subject: &'a Subject,
    /// What decided.
    pub evidence: &'a [Evidence],
}

impl Concern<'_> {
    /// The rule's commands and code, with what the finding alone tells.
    #[must_use]
    pub fn snippets(&self) -> Vec<Snippet> {
        self.filled(None)
    }

    fn filled(&self, estate: Option<&Estate>) -> Vec<Snippet> {
        let values = values::of(self, estate);
        let each = self.rule.meta().remediation.snippets();
        each.map(|(tool, template)| Snippet { tool, text: template.fill(tool, &values) }).collect()
    }
}

/// What to do about a finding of an estate. `estate` holds the accounts of the subject and of its roles; `usage` is what
/// is known of the use of the subject's role; `now` is the time by which the rule judges.
#[must_use]
pub fn remediate(
    concern: &Concern<'_>,
    estate: &Estate,
    usage: Option<&UsageReport>,
    now: DateTime<Utc>,
) -> Remediation {
    let targets = targets(estate, concern.subject, concern.evidence);
    if targets.is_empty() {
        return by_hand(concern, estate);
    }
    let world = Asked { concern, estate, index: AccessIndex::new(estate), now };
    let still_fails = world.outcomes(estate).iter().any(|it| matches!(it, Outcome::Fail { .. }));
    let found = still_fails.then(|| {
        let all = change::candidates(estate, concern.subject, &targets, usage);
        all.into_iter().find_map(|changes| world.verified(&changes).map(|proved| (changes, proved)))
    });
    if let Some((changes, proved)) = found.flatten() {
        let text = concern.rule.meta().remediation.text.trim().to_owned();
        return Remediation { text, steps: steps(&changes, estate), verified: Some(proved), snippets: Vec::new() };
    }
    by_hand(concern, estate)
}

/// What is left to a person: commands that lead to the policies, and no document, since nothing could be proved of it.
fn by_hand(concern: &Concern<'_>, estate: &Estate) -> Remediation {
    let mut snippets = concern.filled(Some(estate));
    let steps: Vec<Step> = targets(estate, concern.subject, concern.evidence).iter().map(change::by_hand).collect();
    if !steps.is_empty() {
        // The commands of the steps lead to the policies themselves.
        snippets.retain(|snippet| snippet.tool != Tool::AwsCli);
    }
    let text = concern.rule.meta().remediation.text.trim().to_owned();
    Remediation { text, steps, verified: None, snippets }
}

struct Asked<'a> {
    concern: &'a Concern<'a>,
    estate: &'a Estate,
    index: AccessIndex,
    now: DateTime<Utc>,
}

impl Asked<'_> {
    fn outcomes(&self, estate: &Estate) -> Vec<Outcome> {
        outcomes_of(estate, self.concern.rule, self.concern.subject, self.now)
    }

    /// What is proved of changes; `None` where the rule would not pass, or more would be allowed than is meant.
    fn verified(&self, changes: &[Change]) -> Option<Verified> {
        let proposed: Vec<Proposed> = changes.iter().map(|change| proposed(change.proposal())).collect();
        let applied = apply(self.estate, &proposed);
        if changes.is_empty() || !applied.problems.is_empty() {
            return None;
        }
        let outcomes = self.outcomes(&applied.estate);
        let is_fine = |it: &Outcome| matches!(it, Outcome::Pass | Outcome::NotApplicable);
        if outcomes.is_empty() || !outcomes.iter().all(is_fine) {
            return None;
        }
        let after = AccessIndex::new(&applied.estate);
        let mut all: Option<Verified> = None;
        let mut seen: BTreeSet<(&str, bool)> = BTreeSet::new();
        for change in changes {
            let is_trust = change.target.part == Part::Trust;
            if !seen.insert((change.target.role.arn.as_str(), is_trust)) {
                continue;
            }
            let found = self.compared(change, &after, &applied.estate.documents)?;
            let is_meant = match found.relation {
                Relation::Narrowed => true,
                Relation::Widened | Relation::Mixed => change.widens,
                Relation::Equal | Relation::Unknown => false,
            };
            if !is_meant {
                return None;
            }
            let request = |it: rolecall_iam::compare::Witness| (it.action, it.resource);
            let next =
                Verified { relation: found.relation, lost: found.lost.map(request), gained: found.gained.map(request) };
            all = Some(match all {
                None => next,
                Some(known) => Verified {
                    relation: if known.relation == next.relation { known.relation } else { Relation::Mixed },
                    lost: known.lost.or(next.lost),
                    gained: known.gained.or(next.gained),
                },
            });
        }
        all
    }

    fn compared(&self, change: &Change, after: &AccessIndex, documents: &Documents) -> Option<Comparison> {
        let arn = change.target.role.arn.as_str();
        let (was, is) = (self.index.role_or_unseen(arn).0?, after.role_or_unseen(arn).0?);
        if change.target.part == Part::Trust {
            let policies = |documents: &Documents, role: &rolecall_estate::Role| {
                let trust: &Document = documents.get(role.trust.as_ref()?)?;
                let trust = Some(PolicyRef::known("trust policy", trust));
                Some(PolicySet { trust, ..PolicySet::default() })
            };
            let (was, is) = (policies(&self.estate.documents, was)?, policies(documents, is)?);
            return Some(compare(&Asker::default(), &was, &is));
        }
        let (account, name) = (was.arn.account_id(), was.arn.name());
        let session = format!("arn:{}:sts::{account}:assumed-role/{name}/session", was.arn.arn().partition());
        let asker = Asker { principal: Requester::parse(&session), resource_account: None };
        Some(compare(&asker, &own_policies(&self.index, was, None), &own_policies(after, is, None)))
    }
}

fn proposed(proposal: crate::what_if::Proposal) -> Proposed {
    Proposed { place: ProposalPlace::default(), proposal, documents: BTreeMap::new() }
}

/// The target, as people call it.
impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let role = self.role.arn.name();
        match &self.part {
            Part::Trust => write!(f, "the trust policy of role {role}"),
            Part::Inline(name) => write!(f, "inline policy {name} of role {role}"),
            Part::Customer(arn) | Part::Aws(arn) => write!(f, "policy {arn} of role {role}"),
            Part::Boundary(arn) => write!(f, "permissions boundary {arn} of role {role}"),
        }
    }
}
