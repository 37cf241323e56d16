//! `/metrics`: the numbers that a monitor watches, in Prometheus' text format.
//!
//! Few series, none named after an ARN. Refuses to keep anything: each number is asked of the store.

use crate::http::error::AppError;
use crate::http::visible::Unlimited;
use axum::http::header;
use axum::response::IntoResponse;
use chrono::Utc;
use rolecall_store::{AccountRow, Overview, RuleResults};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// `GET /metrics`
pub(crate) async fn metrics(Unlimited(app): Unlimited) -> Result<impl IntoResponse, AppError> {
    let overview = app.store.overview().await?;
    let accounts = app.store.accounts().await?;
    let results = app.store.latest_results().await?;
    let mut text = Text::default();
    findings(&mut text, &overview);
    looks(&mut text, &accounts, Utc::now().timestamp());
    answers(&mut text, &results);
    if let Some(last) = app.heartbeat.last() {
        text.family("rolecall_heartbeat_timestamp_seconds", "When the scheduler of this process last ticked.");
        text.sample("rolecall_heartbeat_timestamp_seconds", &[], last.timestamp());
    }
    let late = match app.overdue().await? {
        Some(due) => (app.store.now().await? - due).num_seconds(),
        None => 0,
    };
    text.family("rolecall_scan_overdue_seconds", "For how long the last due audit has not run; 0 where it has.");
    text.sample("rolecall_scan_overdue_seconds", &[], late);
    if !app.config.outgoing.webhooks.is_empty() {
        let disabled = app.disabled_webhooks().await?;
        text.family("rolecall_webhook_disabled", "1 while nothing is sent to the webhook.");
        for webhook in &app.config.outgoing.webhooks {
            let value = i64::from(disabled.contains(&webhook.name));
            text.sample("rolecall_webhook_disabled", &[("webhook", &webhook.name)], value);
        }
    }
    if app.works {
        let trusted = i64::from(app.clock.condition().is_trusted());
        text.family("rolecall_clock_trusted", "0 while the database's clock was just set, and what is due waits.");
        text.sample("rolecall_clock_trusted", &[], trusted);
        text.family("rolecall_clock_ahead_seconds", "How far this process's clock is ahead of the database's.");
        text.sample("rolecall_clock_ahead_seconds", &[], app.clock.apart());
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0))
}

fn findings(text: &mut Text, overview: &Overview) {
    text.family("rolecall_open_findings", "Findings that are open or acknowledged.");
    for (severity, n) in &overview.open {
        text.sample("rolecall_open_findings", &[("severity", severity.as_str())], number(*n));
    }
    text.family("rolecall_stale_findings", "Open findings that are undetermined in the latest scan.");
    text.sample("rolecall_stale_findings", &[], number(overview.stale));
    text.family("rolecall_suppressed_findings", "Findings that an exception suppresses.");
    text.sample("rolecall_suppressed_findings", &[], number(overview.suppressed));
    if let Some(end) = overview.last_run.as_ref().and_then(|run| run.finished_at) {
        text.family("rolecall_last_run_timestamp_seconds", "When the last run that ended well ended.");
        text.sample("rolecall_last_run_timestamp_seconds", &[], end.timestamp());
    }
}

fn looks(text: &mut Text, accounts: &[AccountRow], now: i64) {
    text.family("rolecall_scopes", "Listings of an account by whether they are complete in the latest scan.");
    for row in accounts {
        let id = row.id.to_string();
        text.sample("rolecall_scopes", &[("account_id", &id), ("state", "complete")], number(row.complete_scopes));
        text.sample("rolecall_scopes", &[("account_id", &id), ("state", "gaps")], number(row.gap_scopes));
    }
    text.family("rolecall_scan_age_seconds", "Age of the latest scan of an account.");
    for row in accounts {
        if let Some(at) = row.last_look_at {
            text.sample("rolecall_scan_age_seconds", &[("account_id", &row.id.to_string())], now - at.timestamp());
        }
    }
}

fn answers(text: &mut Text, results: &BTreeMap<String, RuleResults>) {
    text.family("rolecall_rule_results", "Results of a rule in the latest scan.");
    for (rule, of) in results {
        let counts = [("pass", of.pass), ("fail", of.fail), ("unknown", of.unknown), ("error", of.error)];
        for (answer, n) in counts {
            text.sample("rolecall_rule_results", &[("rule", rule), ("answer", answer)], number(n));
        }
    }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The text format: families with their help, then samples.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: i64) {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escape(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"\\\n"), ("b", "c")], 3);
        text.sample("y", &[], -1);
        assert_eq!(text.0, "x{a=\"q\\\"\\\\\\n\",b=\"c\"} 3\ny -1\n");
    }
}
