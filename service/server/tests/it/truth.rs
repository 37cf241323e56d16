//! Generated organisations whose problems are known: each is found, nothing that only looks so and
//! nothing tidy is called grave, and what is grave is so rare that people read all of it.

use crate::support::Harness;
use rolecall_audit::finding::{Severity, Workflow};
use rolecall_sandbox::generate::{Class, Entry};
use rolecall_sandbox::{GenerateOptions, Truth, generate_with_truth};
use rolecall_store::{FindingFilter, FindingRow, FindingSort};

struct Judged {
    truth: Truth,
    findings: Vec<FindingRow>,
    roles: usize,
}

/// Open findings, those listed under another one too.
async fn open(harness: &Harness) -> Vec<FindingRow> {
    let filter = FindingFilter { workflow: vec![Workflow::Open], folded: true, ..FindingFilter::default() };
    harness.store.findings(&filter, FindingSort::Number, None, 100_000).await.unwrap()
}

/// Audits a generated organisation in which some actions are refused.
async fn judged(seed: u64, refused: &[&str]) -> Judged {
    let made = generate_with_truth(&GenerateOptions::with_problems(seed, chrono::Utc::now()));
    let roles = made.estate.accounts.values().map(|account| account.roles.len()).sum();
    let harness = Harness::over(made.estate).await;
    for action in refused {
        harness.sandbox.faults().deny(action);
    }
    harness.audit().await.unwrap();
    Judged { truth: made.truth, findings: open(&harness).await, roles }
}

fn severity(of: rolecall_sandbox::generate::Severity) -> Severity {
    of.as_str().parse().unwrap()
}

impl Judged {
    /// Findings about a subject: of its own, and of its sessions.
    fn about<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a FindingRow> {
        self.findings.iter().filter(move |finding| {
            finding.subject.key == subject || finding.subject.role_arn.as_deref() == Some(subject)
        })
    }

    /// What is wrong with the findings about one subject.
    fn wrong(&self, entry: &Entry) -> Vec<String> {
        let mut wrong = Vec::new();
        let by_rule = || self.about(&entry.subject).filter(|finding| entry.rules.contains(&finding.rule.as_str()));
        match entry.class {
            Class::Problem => {
                let gravest = by_rule().map(|finding| finding.severity).max();
                match (gravest, entry.at_least.map(severity)) {
                    (None, _) => wrong.push(format!("not found by any of {:?}", entry.rules)),
                    (Some(found), Some(least)) if found < least => {
                        wrong.push(format!("{} where it is at least {}", found.as_str(), least.as_str()));
                    }
                    _ => {}
                }
            }
            Class::Decoy => wrong.extend(by_rule().map(|finding| format!("{}: {}", finding.rule, finding.message))),
            Class::Tidy => {}
        }
        let most = severity(entry.at_most);
        // What is listed under another finding is read with that one.
        let graver = self.about(&entry.subject).filter(|finding| finding.part_of.is_none() && finding.severity > most);
        wrong.extend(graver.map(|finding| {
            let (found, most) = (finding.severity.as_str(), most.as_str());
            format!("{found} where at most {most} is right: {}: {}", finding.rule, finding.message)
        }));
        wrong
            .into_iter()
            .map(|why| format!("{} {} {}: {why}", entry.class.as_str(), entry.kind, entry.subject))
            .collect()
    }

    fn all_wrong(&self) -> Vec<String> {
        self.truth.entries.iter().flat_map(|entry| self.wrong(entry)).collect()
    }

    /// Findings that lists show by themselves.
    fn listed(&self) -> impl Iterator<Item = (usize, &FindingRow)> {
        self.findings.iter().enumerate().filter(|(_, finding)| finding.part_of.is_none())
    }

    fn count(&self, severity: Severity) -> usize {
        self.listed().filter(|(_, finding)| finding.severity == severity).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_found_and_nothing_else_is_called_grave() {
    for seed in [1, 2, 3] {
        let judged = judged(seed, &[]).await;
        let wrong = judged.all_wrong();
        let (critical, high) = (judged.count(Severity::Critical), judged.count(Severity::High));
        eprintln!(
            "seed {seed}: {} roles, {} findings, {critical} critical, {high} high",
            judged.roles,
            judged.listed().count(),
        );
        assert!(wrong.is_empty(), "seed {seed}, {} of them:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The region that is read when nobody says which ones there are, within an association's key.
const HUB_REGION: &str = "/us-east-1/";

/// A refused list of regions hides regions that nobody named, and no cluster that was read.
#[tokio::test(flavor = "multi_thread")]
async fn associations_are_judged_though_the_list_of_regions_is_refused() {
    let judged = judged(4, &["account:ListRegions"]).await;
    let of_associations = |entry: &&Entry| entry.class == Class::Problem && entry.subject.contains(HUB_REGION);
    let wrong: Vec<String> =
        judged.truth.entries.iter().filter(of_associations).flat_map(|entry| judged.wrong(entry)).collect();
    assert!(judged.truth.entries.iter().filter(of_associations).count() >= 12);
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
