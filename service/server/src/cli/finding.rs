//! `rolecall findings NUMBER`: one finding, with what decided it and what to do.

use super::{Context, Format, print, print_json, with_existing_database};
use crate::audit::rules::Rules;
use crate::error::Error;
use crate::http::export::finding_row;
use crate::http::rule_text::RuleText;
use crate::http::view::words::{self, Stamp};
use crate::progress::Progress;
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::verdict::Fingerprint;
use rolecall_store::Finding;
use std::fmt::Write as _;
use std::process::ExitCode;

/// So many workloads are named.
const WORKLOADS: usize = 20;

/// Runs the command.
///
/// # Errors
/// A finding that is not known, and what else stopped it.
pub(super) async fn run(context: Context, id: &str) -> Result<ExitCode, Error> {
    let (found, workloads, now) = with_existing_database(&context, &Progress::silent(), async |database| {
        let store = database.store.with_due_days(context.config.triage.due);
        let found = match id.trim_start_matches('#').parse() {
            Ok(number) => store.finding(number).await?,
            Err(_) => store.finding_by_fingerprint(&Fingerprint(id.to_owned())).await?,
        };
        let found = found.ok_or_else(|| Error::Usage {
            what: format!("the finding `{id}` is not known"),
            remedy: "`rolecall findings` lists those that are open with their numbers".to_owned(),
        })?;
        let workloads = store.workloads_of(&found.row, u32::MAX).await?;
        Ok((found, workloads, store.now().await?))
    })
    .await?;
    if context.format == Format::Json {
        print_json(&finding_row(&found, &workloads))?;
    } else {
        let rules = Rules::load(context.config.policies.dir.as_deref())?;
        let rule = rules.set.rules().iter().find(|rule| rule.id() == found.row.rule);
        print(&text(&found, &workloads, rule.map(|rule| RuleText::from(&**rule)).as_ref(), now))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(found: &Finding, workloads: &[Workload], rule: Option<&RuleText>, now: DateTime<Utc>) -> String {
    let row = &found.row;
    let mut text = format!("#{} {}: {}\n\n", row.number, words::severity(row.severity), row.message);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<13}{value}");
        }
    };
    let stamp = |at| {
        let Stamp { text, ago, .. } = Stamp::new(at, now);
        format!("{text} ({ago})")
    };
    let title = rule.map(|rule| format!(": {}", rule.title)).unwrap_or_default();
    line("Rule", &format!("{}{title}", row.rule));
    line("Subject", &format!("{} {}", words::subject(row.subject.kind).to_lowercase(), row.subject.key));
    line("Account", &row.subject.account_id.to_string());
    line("State", words::workflow(row.workflow));
    line("Detection", words::detection(row.detection));
    for why in &row.stale_why {
        line("", &why.to_string());
    }
    line("Severity", row.severity_because.as_deref().unwrap_or_default());
    line("Assignee", row.assignee.as_deref().unwrap_or_default());
    if let Some(due) = row.due {
        line("Due", &due.at.map_or_else(|| due.state.as_str().to_owned(), stamp));
    }
    line("First seen", &stamp(row.first_seen_at));
    line("Last seen", &stamp(row.last_seen_at));
    line("Fingerprint", &row.fingerprint.0);
    if let Some(suppression) = &row.suppression {
        line("Suppressed", &format!("{}, until {}", suppression.justification, stamp(suppression.until)));
    }
    if let Some(exception) = &row.exception {
        line("Exception", &format!("{}: {}, until {}", exception.name, exception.reason, stamp(exception.expires)));
    }
    for ticket in row.tickets.iter().filter(|ticket| ticket.key.is_some()) {
        line("Ticket", &format!("{} {}", ticket.system, ticket.key.as_deref().unwrap_or_default()));
    }
    for assumption in &row.assumptions {
        line("Assumption", assumption.sentence());
    }
    if !workloads.is_empty() {
        let _ = writeln!(text, "\nWorkloads that reach the role: {}", workloads.len());
        for workload in workloads.iter().take(WORKLOADS) {
            let _ = writeln!(text, "  {} ({})", workload.association, workload.via.as_str());
        }
        if workloads.len() > WORKLOADS {
            let _ = writeln!(text, "  and {} more", workloads.len() - WORKLOADS);
        }
    }
    if !found.evidence.is_empty() {
        text.push_str("\nWhat decided\n");
    }
    for evidence in &found.evidence {
        let _ = writeln!(text, "  {}: {} {}", evidence.label, evidence.source, evidence.pointer);
        let value = serde_json::to_string_pretty(&evidence.value).unwrap_or_default();
        for line in value.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    if let Some(rule) = rule.filter(|rule| rule.has_remedy()) {
        let _ = writeln!(text, "\nWhat to do\n  {}", rule.remedy_text.trim().replace('\n', "\n  "));
        for code in &rule.remedy_code {
            let _ = writeln!(text, "\n  {}:\n    {}", code.label, code.text.trim().replace('\n', "\n    "));
        }
        for reference in &rule.references {
            let _ = writeln!(text, "\n  {reference}");
        }
    }
    text
}
