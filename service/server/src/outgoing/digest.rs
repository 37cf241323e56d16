//! What happened in a while, as one text: which findings opened, opened again and were resolved, by severity and owner.
//!
//! Refuses to know when a digest is due, and how it is sent.

use super::letter::{Letter, cleaned};
use super::message::{EventItem, words};
use crate::audit::rules::Rules;
use chrono::{DateTime, Utc};
use rolecall_rules::Severity;
use rolecall_store::EventSubject;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a digest is called among deliveries.
pub const KIND: &str = "digest";
/// The gravest first, then by owner and number; what is of no finding comes last.
type Place = (Reverse<Option<Severity>>, String, i64);

/// Events of one kind.
#[derive(Debug, Default)]
struct Section {
    count: u64,
    severities: BTreeMap<Reverse<Severity>, u64>,
    entries: BTreeMap<Place, String>,
}

/// Events that one letter tells of.
#[derive(Debug)]
pub struct Digest<'a> {
    rules: &'a Rules,
    base: &'a str,
    /// So many events of each kind are listed; the others are counted.
    most: usize,
    sections: BTreeMap<String, Section>,
}

impl<'a> Digest<'a> {
    /// Of no event yet. `base` is where this service is reached.
    #[must_use]
    pub fn new(rules: &'a Rules, base: &'a str, most: usize) -> Self {
        Self { rules, base, most, sections: BTreeMap::new() }
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Adds an event.
    pub fn add(&mut self, item: EventItem<'_>) {
        let severity = item.finding.map(|finding| finding.severity);
        let owner = item.finding.and_then(|finding| finding.owner.as_ref()?.name()).map(cleaned);
        let entry = self.entry(item, owner.as_deref());
        let section = self.sections.entry(item.event.kind.clone()).or_default();
        section.count = section.count.saturating_add(1);
        if let Some(severity) = severity {
            let count = section.severities.entry(Reverse(severity)).or_default();
            *count = count.saturating_add(1);
        }
        // Without an owner after those that have one.
        let owner = owner.unwrap_or_else(|| char::MAX.to_string());
        section.entries.insert((Reverse(severity), owner, item.event.seq), entry);
        if section.entries.len() > self.most {
            section.entries.pop_last();
        }
    }

    fn entry(&self, item: EventItem<'_>, owner: Option<&str>) -> String {
        let (event, base) = (item.event, self.base);
        let account = event.account_id.map(|account| format!(", account {account}")).unwrap_or_default();
        match (&event.subject, item.finding, item.change) {
            (EventSubject::Finding(_), Some(finding), _) => {
                let rule = self.rules.set.rule(&finding.rule);
                let title = rule.map_or_else(|| finding.rule.clone(), |rule| rule.meta().title.clone());
                let subject = cleaned(&finding.subject.key);
                let owner = owner.map(|owner| format!(", owner {owner}")).unwrap_or_default();
                let (severity, number) = (finding.severity.as_str(), finding.number);
                let title = cleaned(&title);
                format!("{severity}: {title}\n    {subject}{account}{owner}\n    {base}/findings/{number}\n")
            }
            (EventSubject::Change(id), _, Some(row)) => {
                let (what, of) = (row.change.resource.kind.as_str(), cleaned(&row.change.resource.name));
                format!("{what} {of}{account}\n    {base}/changes/{id}\n")
            }
            (EventSubject::Change(id), _, None) => format!("a change{account}\n    {base}/changes/{id}\n"),
            (EventSubject::Run(run), _, _) => format!("scan {}\n    {base}/scans/{}\n", run.0, run.0),
            // It was dropped since.
            (EventSubject::Finding(_), None, _) => format!("a finding that is no longer kept{account}\n"),
        }
    }

    /// The letter, of the time from one moment to another.
    #[must_use]
    pub fn letter(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> Letter {
        let told: Vec<String> = self.sections.iter().map(|(kind, section)| heading(kind, section)).collect();
        let subject = match told.as_slice() {
            [] => "Rolecall: nothing happened".to_owned(),
            told => format!("Rolecall: {}", told.join("; ")),
        };
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
        let mut text = format!("From {} to {}.\n", time(since), time(until));
        if told.is_empty() {
            text.push_str("\nNothing happened that this digest tells of.\n");
        }
        for ((kind, section), heading) in self.sections.iter().zip(&told) {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "\n{}\n{}\n\n", heading, "-".repeat(heading.chars().count()));
            for entry in section.entries.values() {
                let _infallible = writeln!(text, "{entry}");
            }
            let listed = u64::try_from(section.entries.len()).unwrap_or(u64::MAX);
            let more = section.count.saturating_sub(listed);
            if more > 0 {
                let page = if kind.starts_with("finding.") { "/findings" } else { "/changes" };
                let _infallible = writeln!(text, "and {more} more: {}{page}\n", self.base);
            }
        }
        Letter { kind: KIND.to_owned(), timestamp: until, subject, text }
    }
}

/// `2 findings opened (1 critical, 1 low)`
fn heading(kind: &str, section: &Section) -> String {
    let count = section.count;
    let what = match (kind.strip_prefix("finding."), count) {
        (Some(step), 1) => format!("1 finding {}", words(step)),
        (Some(step), _) => format!("{count} findings {}", words(step)),
        (None, _) => format!("{count} times {}", words(kind)),
    };
    let severities = section.severities.iter().map(|(severity, count)| format!("{count} {}", severity.0.as_str()));
    let severities = severities.collect::<Vec<_>>().join(", ");
    if severities.is_empty() { what } else { format!("{what} ({severities})") }
}
