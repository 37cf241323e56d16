//! Generated organisations whose problems are known: each is found, nothing that only looks so and
//! nothing tidy is called grave, and what is grave is so rare that people read all of it.

use crate::support::Harness;
use rolecall::config::Config;
use rolecall_audit::finding::Workflow;
use rolecall_rules::Severity;
use rolecall_sandbox::generate::{Class, Entry};
use rolecall_sandbox::{Estate, GenerateOptions, Truth, generate_with_truth};
use rolecall_store::{FindingFilter, FindingRow, FindingSort};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

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

/// The organization's trail: what its pods call is in no answer of `LookupEvents` that is asked for.
const TRAIL: &str = "[[trails]]\nname = \"org\"\nkind = \"s3\"\nbucket = \"org-trail\"\nlookback_days = 20\n";

/// The objects that CloudTrail delivers of an estate's events: one of each account, region and day.
fn delivered(estate: &Estate) -> BTreeMap<String, Vec<Value>> {
    let mut files = BTreeMap::<String, Vec<Value>>::new();
    for (id, account) in &estate.accounts {
        for (region, events) in account.regions.iter().map(|(name, region)| (name, &region.events)) {
            for event in events {
                let (day, at) = (event.time.format("%Y/%m/%d"), event.time.format("%Y%m%dT2359Z"));
                let key = format!(
                    "AWSLogs/{id}/CloudTrail/{region}/{day}/{id}_CloudTrail_{region}_{at}_0123456789abcdef.json.gz"
                );
                files.entry(key).or_default().push(serde_json::from_str(&event.record).unwrap());
            }
        }
    }
    files
}

/// Audits a generated organisation in which some actions are refused.
async fn judged(seed: u64, refused: &[&str]) -> Judged {
    let made = generate_with_truth(&GenerateOptions::with_problems(seed, chrono::Utc::now()));
    let roles = made.estate.accounts.values().map(|account| account.roles.len()).sum();
    let objects = delivered(&made.estate);
    let harness = Harness::over(made.estate).await;
    harness.sandbox.make_bucket("org-trail", "us-east-1");
    for (key, records) in objects {
        assert!(harness.sandbox.put_object("org-trail", &key, json!({ "Records": records }).to_string().as_bytes()));
    }
    for action in refused {
        harness.sandbox.faults().deny(action);
    }
    let config = Config::parse(Path::new("rolecall.toml"), TRAIL).unwrap();
    harness.audit_with(&config.trails).await.unwrap();
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
        // Each kind of problem is there twice, which is far denser than where people work.
        assert!(critical * 100 <= judged.roles * 8 && high * 100 <= judged.roles * 6, "{critical} and {high}");
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
