//! One message in place of many: where a scan opens, or resolves, more findings than an endpoint wants messages.
//!
//! A summary says how many, how severe, in which accounts, and where each of them is told: the feed has them all.
//! Refuses to know when it is sent.

use super::message::{EventItem, Message, fitting, words};
use crate::config::outgoing::{Route, WebhookKind};
use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rolecall_outgoing::slack;
use rolecall_rules::Severity;
use rolecall_store::RunId;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Accounts that a summary names.
const ACCOUNTS: usize = 20;

/// Events of one kind, of one scan, that one message stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Of which scan.
    pub run: RunId,
    /// Of which kind, such as `finding.opened`.
    pub kind: String,
    /// How many.
    pub count: u64,
    first_seq: i64,
    last_seq: i64,
    at: DateTime<Utc>,
    severities: BTreeMap<Severity, u64>,
    accounts: BTreeSet<String>,
}

impl Summary {
    /// Whether events of a kind may be told by one message: steps of findings, of which a scan may take thousands.
    #[must_use]
    pub fn may_stand_for(kind: &str) -> bool {
        kind.starts_with("finding.")
    }

    /// Of no event yet.
    #[must_use]
    pub fn new(run: RunId, item: EventItem<'_>) -> Self {
        let event = item.event;
        Self {
            run,
            kind: event.kind.clone(),
            count: 0,
            first_seq: event.seq,
            last_seq: event.seq,
            at: event.at,
            severities: BTreeMap::new(),
            accounts: BTreeSet::new(),
        }
    }

    /// Counts an event.
    pub fn add(&mut self, item: EventItem<'_>) {
        self.count = self.count.saturating_add(1);
        self.first_seq = self.first_seq.min(item.event.seq);
        self.last_seq = self.last_seq.max(item.event.seq);
        self.at = self.at.max(item.event.at);
        if let Some(finding) = item.finding {
            let count = self.severities.entry(finding.severity).or_default();
            *count = count.saturating_add(1);
        }
        self.accounts.extend(item.event.account_id.map(|account| account.to_string()));
    }

    /// `findings.opened` where the events are `finding.opened`.
    #[must_use]
    pub fn message_kind(&self) -> String {
        self.kind.replacen("finding.", "findings.", 1)
    }

    /// The last event that it stands for.
    #[must_use]
    pub fn last_seq(&self) -> i64 {
        self.last_seq
    }

    /// What makes it another summary than one of other events: gone through again, the same events are the same one.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}\n{}\n{}", self.message_kind(), self.first_seq, self.last_seq)
    }

    fn by_severity(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = |severity: Severity| Some((severity.as_str(), *self.severities.get(&severity)?));
        Severity::WORST_FIRST.into_iter().filter_map(counted)
    }

    /// The message, in the form of a kind of endpoint. `base` is where this service is reached.
    #[must_use]
    pub fn message(&self, kind: WebhookKind, id: &str, route: &Route, base: &str) -> Message {
        let page = self.page(route);
        let url = format!("{base}{page}");
        let body = match kind {
            WebhookKind::Slack => slack::body(&self.chat(url)),
            WebhookKind::Standard | WebhookKind::Sns | WebhookKind::EventBridge | WebhookKind::Email => {
                self.standard(id, route, &url, base)
            }
        };
        Message { page, body: fitting(body) }
    }

    /// The list of the findings, as far as its filters can be those of the route; otherwise the scan.
    fn page(&self, route: &Route) -> String {
        if self.kind != "finding.opened" || route.namespaces.len() > 1 {
            return format!("/scans/{}", self.run.0);
        }
        let mut query = vec!["include=folded".to_owned(), "sort=opened".to_owned()];
        query.extend(route.severity_min.map(|least| format!("severity_min={least}")));
        let mut list = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                query.push(format!("{name}={}", values.join(",")));
            }
        };
        let encoded = |values: &BTreeSet<String>| {
            values.iter().map(|value| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()).collect::<Vec<_>>()
        };
        list("account_id", route.account_ids.iter().map(ToString::to_string).collect());
        list("namespace", encoded(&route.namespaces));
        list("assignee", encoded(&route.assignees));
        format!("/findings?{}", query.join("&"))
    }

    fn standard(&self, id: &str, route: &Route, url: &str, base: &str) -> Value {
        let severities: Map<String, Value> =
            self.by_severity().map(|(severity, count)| (severity.to_owned(), count.into())).collect();
        let named: Vec<&String> = self.accounts.iter().take(ACCOUNTS).collect();
        let feed = format!("{base}/api/v1/events?after={}&kind={}", self.first_seq.saturating_sub(1), self.kind);
        json!({
            "type": self.message_kind(), "id": id, "timestamp": self.at,
            "data": {
                "seq": self.last_seq, "first_seq": self.first_seq, "last_seq": self.last_seq, "actor": "scanner",
                "account_id": null, "count": self.count, "severities": severities,
                "account_count": self.accounts.len(), "account_ids": named,
                "scan": {"number": self.run.0, "url": format!("{base}/scans/{}", self.run.0)},
                "filters": {
                    "severity_min": route.severity_min.map(Severity::as_str),
                    "account_ids": route.account_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "namespaces": route.namespaces, "assignees": route.assignees,
                },
                "events_url": feed, "url": url,
            },
        })
    }

    fn chat(&self, url: String) -> slack::Message {
        let severities = self.by_severity().map(|(severity, count)| format!("{count} {severity}"));
        slack::Message {
            title: format!("{} findings: {}", self.count, words(&self.kind)),
            text: format!("Scan {} took more such steps than are sent one by one.", self.run.0),
            fields: vec![
                ("Severity", severities.collect::<Vec<_>>().join(", ")),
                ("Accounts", self.accounts.len().to_string()),
            ],
            url,
        }
    }
}
