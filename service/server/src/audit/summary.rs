//! What an audit saw, changed and found, in one value: printed as text or JSON, and kept as the
//! run's report.

use crate::audit::ingested::Ingested;
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_cloudtrail::Stats;
use rolecall_estate::Observation;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Gap, GapReason};
use rolecall_estate::declared::Declared;
use rolecall_rules::Severity;
use rolecall_store::{AttributionCount, SetAside};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// So many problems of declared state are kept by name.
const PROBLEMS_KEPT: usize = 100;

/// An audit's summary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's number.
    pub run: i64,
    /// What was seen in this run.
    #[serde(flatten)]
    pub seen: Seen,
    /// Policy documents that the store did not have.
    pub documents_written: u64,
    /// Resources that are new, changed or gone.
    pub resources_changed: u64,
    /// Changes between scans that were worked out.
    #[serde(default)]
    pub changes: u64,
    /// Sessions that the store did not have.
    pub sessions_written: u64,
    /// Documents, resources and sessions written.
    pub rows_written: u64,
    /// Calls made to AWS, retries included.
    pub api_calls: u64,
    /// Open findings, by severity.
    pub findings: BySeverity,
    /// Of these, opened or reopened by this run.
    pub findings_new: u64,
    /// Findings that this run resolved.
    pub findings_resolved: u64,
    /// Open findings that could not be decided this time.
    pub findings_stale: u64,
    /// Verdicts that could not be decided.
    pub unknown: u64,
    /// What was stated where nobody provided it.
    #[serde(default)]
    pub assumed: BTreeSet<Assumption>,
    /// Answers that rest on it.
    #[serde(default)]
    pub rest_on_assumptions: u64,
    /// Verdicts that are unknown for want of what could be stated and is not, by what that is.
    #[serde(default)]
    pub could_be_assumed: BTreeMap<Assumption, u64>,
    /// What infrastructure code declares, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<DeclaredFigures>,
    /// How many holes there are in what was seen.
    pub gaps: u64,
    /// The holes.
    pub unseen: Vec<Unseen>,
    /// Figures of the trail, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<TrailFigures>,
    /// What processes died at and nothing reads or judges until somebody has it tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// The newest date in the files that were imported; `None` where it was AWS that answered. Ages
    /// are counted up to there, for each account up to the newest date of its own files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<DateTime<Utc>>,
    /// Files of imported folders that hold nothing that is read.
    #[serde(default)]
    pub passed_over: u64,
    /// The first of them, by their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over_files: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What infrastructure code declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredFigures {
    /// Declared resources.
    pub resources: u64,
    /// Of these, remembered: what declares them could not be read now.
    pub remembered: u64,
    /// What could not be read, with file and line: the first of it.
    pub problems: Vec<String>,
    /// How many more problems there are.
    pub more_problems: u64,
}

impl From<&Declared> for DeclaredFigures {
    fn from(declared: &Declared) -> Self {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let remembered = declared.declarations.iter().filter(|it| it.remembered.is_some()).count();
        Self {
            resources: number(declared.declarations.len()),
            remembered: number(remembered),
            problems: declared.problems.iter().take(PROBLEMS_KEPT).map(ToString::to_string).collect(),
            more_problems: number(declared.problems.len().saturating_sub(PROBLEMS_KEPT)) + declared.unnamed,
        }
    }
}

/// What was read of trails in this run, and what is known of all sessions that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailFigures {
    /// What was read.
    pub read: Stats,
    /// Files that had been read before.
    pub files_known: u64,
    /// Sessions that the store did not have.
    pub sessions_written: u64,
    /// Rows of use that were made or added to.
    pub uses_written: u64,
    /// Change events that the store did not have.
    #[serde(default)]
    pub change_events_written: u64,
    /// All sessions that are kept: by kind, by what they are tied, and why not.
    pub attributions: Vec<AttributionFigure>,
}

/// Sessions of one kind that are attributed by the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributionFigure {
    /// Such as `pod_identity`.
    pub kind: String,
    /// What the attributions rest on.
    pub attribution_method: String,
    /// Why there is none, or no certain one.
    pub reason: Option<String>,
    /// How many.
    pub sessions: u64,
}

impl TrailFigures {
    /// Of what was read, and of the attributions that are kept.
    #[must_use]
    pub fn new(read: &Ingested, attributions: Vec<AttributionCount>) -> Self {
        let attributions = attributions.into_iter().map(|attribution| AttributionFigure {
            kind: attribution.kind,
            attribution_method: attribution.attribution_method.unwrap_or_else(|| "due".to_owned()),
            reason: attribution.why,
            sessions: attribution.sessions,
        });
        Self {
            read: read.stats.clone(),
            files_known: read.known,
            sessions_written: read.sessions_written,
            uses_written: read.uses_written,
            change_events_written: read.changes_written,
            attributions: attributions.collect(),
        }
    }

    fn text(&self) -> String {
        let Stats { files, bytes, events, malformed, duplicates, calls, copies, network, refused, uses, .. } =
            &self.read;
        let copies = copies + network;
        let mut out = format!(
            "\nTrail     {}, {} read before, {bytes} bytes\n          \
             {}, {malformed} malformed, {duplicates} duplicates, {calls} of role sessions, {copies} recorded twice\n          \
             {} of {} distinct uses\n          \
             {}, {} of them failed, {} new\n",
            count(*files, "file"),
            self.files_known,
            count(*events, "event"),
            count(self.uses_written, "row"),
            uses,
            count(self.read.change_events, "change event"),
            self.read.failed_change_events,
            self.change_events_written,
        );
        let mut list = |title: &str, numbers: Vec<(String, u64)>| {
            if !numbers.is_empty() {
                out.push_str(title);
                out.push('\n');
            }
            for (name, number) in numbers {
                // Writing to a string cannot fail.
                let _infallible = writeln!(out, "          {number:>10}  {name}");
            }
        };
        let named = |numbers: &std::collections::BTreeMap<String, u64>| -> Vec<(String, u64)> {
            numbers.iter().map(|(name, number)| (name.clone(), *number)).collect()
        };
        let mut sessions = named(&self.read.sessions);
        if *refused > 0 {
            sessions.push(("failed, among these".to_owned(), *refused));
        }
        list("Sessions  read, by type", sessions);
        let attributions = self.attributions.iter().map(|attribution| {
            let why = attribution.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            (
                format!("{} attributed by {}{why}", attribution.kind, attribution.attribution_method),
                attribution.sessions,
            )
        });
        list("Attribution of all stored sessions", attributions.collect());
        let problems = self.read.problems.iter().map(|(kind, number)| (word(kind), *number));
        list("Problems  by kind", problems.collect());
        list("Calls     of other principals, by type", named(&self.read.others));
        list("Unmapped  events without a known IAM action", named(&self.read.unmapped));
        out
    }
}

/// The name that a value has in JSON.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Counts of what was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Accounts.
    pub accounts: u64,
    /// Roles.
    pub roles: u64,
    /// Managed policies, AWS's own among them.
    pub policies: u64,
    /// Customer-managed policies.
    pub local_policies: u64,
    /// EKS clusters.
    pub clusters: u64,
    /// Pod Identity associations.
    pub associations: u64,
    /// AssumeRole events.
    pub sessions: u64,
    #[serde(skip)]
    account_ids: BTreeSet<rolecall_iam::AccountId>,
}

impl Seen {
    /// Counts an observation.
    pub fn count(&mut self, observation: &Observation) {
        let own = observation.account.iter().map(|account| account.id);
        let looked_at = observation.coverage.scopes().map(|(scope, _)| scope.account_id);
        self.account_ids.extend(own.chain(looked_at));
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.accounts = number(self.account_ids.len());
        self.roles += number(observation.roles.len());
        self.policies += number(observation.policies.len());
        self.local_policies += number(observation.policies.iter().filter(|policy| !is_aws_managed(policy)).count());
        self.clusters += number(observation.clusters.len());
        self.associations += number(observation.associations.len());
        self.sessions += number(observation.sessions.len());
    }
}

fn is_aws_managed(policy: &rolecall_estate::ManagedPolicy) -> bool {
    policy.arn.account() == "aws"
}

/// A number for each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySeverity {
    /// Critical.
    pub critical: u64,
    /// High.
    pub high: u64,
    /// Medium.
    pub medium: u64,
    /// Low.
    pub low: u64,
    /// Info.
    pub info: u64,
}

impl BySeverity {
    /// The number of a severity.
    #[must_use]
    pub fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => self.info,
        }
    }

    /// One more of a severity.
    pub fn add(&mut self, severity: Severity, number: u64) {
        *match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Info => &mut self.info,
        } += number;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        Severity::WORST_FIRST.into_iter().map(|severity| self.of(severity)).sum()
    }

    /// Whether there is any of a severity, or of a worse one.
    #[must_use]
    pub fn any_from(&self, least: Severity) -> bool {
        Severity::WORST_FIRST.into_iter().any(|severity| severity >= least && self.of(severity) > 0)
    }
}

/// A hole in what was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unseen {
    /// The account.
    pub account_id: String,
    /// The region, where it is of one.
    pub region: Option<String>,
    /// The cluster, where it is of one.
    pub cluster: Option<String>,
    /// What is listed there, such as `associations`.
    pub scope: String,
    /// The action that was refused or failed.
    pub action: String,
    /// Such as `denied`.
    pub reason: String,
    /// What AWS said.
    pub detail: String,
    /// Where only CloudTrail files of one day were not read completely, that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<NaiveDate>,
}

impl From<&Gap> for Unseen {
    fn from(gap: &Gap) -> Self {
        let scope = &gap.scope;
        Self {
            account_id: scope.account_id.to_string(),
            region: scope.region.as_ref().map(ToString::to_string),
            cluster: scope.cluster.as_ref().map(ToString::to_string),
            scope: scope.kind.to_string(),
            action: gap.action.clone(),
            reason: gap.reason.as_str().to_owned(),
            detail: gap.detail.clone(),
            day: gap.day,
        }
    }
}

/// How many files that were passed over the text names.
const FILES_NAMED: usize = 5;
/// Of how many gaps the text names each.
const GAPS_NAMED: usize = 20;

impl Summary {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Seen { accounts, roles, policies, clusters, associations, sessions, .. } = &self.seen;
        // Writing to a string cannot fail.
        let _infallible = write!(
            out,
            "Scan {run} took {seconds:.1} s\n\n\
             Seen      {}, {}, {}, {}, {}, {}\n\
             Stored    {} written, {} changed, {} new\n\n",
            count(*accounts, "account"),
            count(*roles, "role"),
            if *policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") },
            count(*clusters, "cluster"),
            count(*associations, "association"),
            count(*sessions, "session"),
            count(self.documents_written, "document"),
            count(self.resources_changed, "resource"),
            count(self.sessions_written, "session"),
            run = self.run,
            seconds = self.seconds,
        );
        if self.changes > 0 {
            let text = count(self.changes, "change");
            let _infallible = writeln!(out, "{text} since the scan before: `rolecall export changes`\n");
        }
        if let Some(as_of) = self.as_of {
            let _infallible =
                writeln!(out, "As of     {}, the newest date in the files\n", as_of.format("%Y-%m-%d %H:%M UTC"));
        }
        let _infallible = writeln!(out, "Findings  {:<10}{:>6}", "severity", "open");
        for severity in Severity::WORST_FIRST {
            let _infallible = writeln!(out, "          {:<10}{:>6}", severity.as_str(), self.findings.of(severity));
        }
        let _infallible = writeln!(
            out,
            "          {:<10}{:>6}   {} new, {} resolved, {} undetermined\n",
            "all",
            self.findings.total(),
            self.findings_new,
            self.findings_resolved,
            self.findings_stale
        );
        if self.unseen.is_empty() {
            out.push_str("Coverage  complete\n");
        } else {
            let _infallible =
                writeln!(out, "Coverage  {}: rules that depend on them return Unknown", count(self.gaps, "gap"));
            for gap in self.unseen.iter().take(GAPS_NAMED) {
                let place = [Some(&gap.account_id), gap.region.as_ref(), gap.cluster.as_ref()];
                let place = place.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
                let _infallible =
                    writeln!(out, "          {place}: {} incomplete: {} {}", gap.scope, gap.action, gap.reason);
            }
            let more = self.unseen.len().saturating_sub(GAPS_NAMED);
            if more > 0 {
                let _infallible = writeln!(out, "          and {more} more: `rolecall export gaps`");
            }
        }
        if let Some(declared) = &self.declared {
            let DeclaredFigures { resources, remembered, problems, more_problems } = declared;
            let of = if *remembered > 0 { format!(", {remembered} of them remembered") } else { String::new() };
            let _infallible = writeln!(out, "Declared  {}{of}", count(*resources, "resource"));
            for problem in problems.iter().take(GAPS_NAMED) {
                let _infallible = writeln!(out, "          {problem}");
            }
            let more = u64::try_from(problems.len().saturating_sub(GAPS_NAMED)).unwrap_or(u64::MAX) + more_problems;
            if more > 0 {
                let _infallible = writeln!(out, "          and {}", count(more, "more problem"));
            }
        }
        let loose = GapReason::Unproven.as_str();
        if self.unseen.iter().any(|gap| gap.reason == loose) {
            out.push_str("          If the files hold complete listings, pass `--complete`\n");
        }
        for aside in self.set_aside.iter().take(GAPS_NAMED) {
            let SetAside { source, unit, deaths, .. } = aside;
            let _infallible = writeln!(
                out,
                "Set aside {unit} ({source}), after {deaths} processes died at it: \
                 `rolecall admin set-aside retry` tries it again"
            );
        }
        if self.passed_over > 0 {
            let names = self.passed_over_files.iter().take(FILES_NAMED).map(String::as_str).collect::<Vec<_>>();
            let more = if self.passed_over > FILES_NAMED as u64 { ", …" } else { "" };
            let count = count(self.passed_over, "file");
            let _infallible = writeln!(out, "Skipped   {count} without readable content: {}{more}", names.join(", "));
        }
        if !self.assumed.is_empty() {
            let stated: Vec<&str> = self.assumed.iter().map(|assumption| assumption.as_str()).collect();
            let answers = count(self.rest_on_assumptions, "result");
            let _infallible = writeln!(out, "Assumed   {}, for {answers}", stated.join(", "));
        }
        for (assumption, number) in &self.could_be_assumed {
            let _infallible = writeln!(
                out,
                "Unknown   {}, since {}: provide it, or pass `--assume {}`",
                count(*number, "result"),
                assumption.missing(),
                assumption.as_str()
            );
        }
        if let Some(trail) = &self.trail {
            out.push_str(&trail.text());
        }
        out
    }
}

fn count(number: u64, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_was_not_seen() {
        let mut summary = Summary { documents_written: 1, ..Summary::default() };
        assert!(summary.text().contains("1 document written"), "{}", summary.text());
        assert!(summary.text().contains("Coverage  complete"));
        summary.gaps = 1;
        summary.unseen.push(Unseen {
            account_id: "111122223333".to_owned(),
            region: Some("eu-west-1".to_owned()),
            cluster: None,
            scope: "clusters".to_owned(),
            action: "eks:ListClusters".to_owned(),
            reason: "denied".to_owned(),
            detail: String::new(),
            day: None,
        });
        let text = summary.text();
        assert!(text.contains("111122223333 eu-west-1: clusters incomplete: eks:ListClusters denied"), "{text}");
        assert!(!text.contains("Coverage  complete"), "{text}");
    }

    #[test]
    fn the_text_names_what_could_be_stated_and_what_was() {
        let mut summary = Summary::default();
        summary.could_be_assumed.insert(Assumption::NoScps, 12);
        let text = summary.text();
        assert!(
            text.contains("12 results, since the organization's service control policies were not provided"),
            "{text}"
        );
        assert!(text.contains("`--assume scp=none`"), "{text}");
        summary.assumed.insert(Assumption::OrganizationIsFiles);
        summary.rest_on_assumptions = 1;
        assert!(summary.text().contains("Assumed   organization=files, for 1 result"), "{}", summary.text());
    }

    #[test]
    fn a_threshold_counts_what_is_worse() {
        let mut findings = BySeverity::default();
        findings.add(Severity::High, 2);
        assert!(findings.any_from(Severity::High) && findings.any_from(Severity::Low));
        assert!(!findings.any_from(Severity::Critical));
        assert_eq!(findings.total(), 2);
    }
}
