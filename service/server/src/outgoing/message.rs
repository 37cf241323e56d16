//! An event in the words of a message.
//!
//! A message is a part of what the API says of the same thing, under the same names, and small: 20 kB at most, as
//! Standard Webhooks advises. Refuses to know who gets it.

use super::letter::Letter;
use crate::audit::rules::Rules;
use crate::config::outgoing::{Route, WebhookKind};
use chrono::{DateTime, Utc};
use rolecall_audit::owner::Owner;
use rolecall_iam::AccountId;
use rolecall_outgoing::slack;
use rolecall_store::{ChangeRow, Event, EventSubject, FindingRow};
use serde::Serialize;
use serde_json::{Value, json};

/// The most bytes of a message.
pub const LARGEST: usize = 20_000;
/// Workloads that a message names.
const WORKLOADS: usize = 10;
/// What a test is called.
pub const TEST: &str = "webhook.test";

/// What happened, with what it is about.
#[derive(Debug, Clone, Copy)]
pub struct EventItem<'a> {
    /// What happened.
    pub event: &'a Event,
    /// The finding, as it is now, with every workload that the route asks about.
    pub finding: Option<&'a FindingRow>,
    /// The change, as it is now.
    pub change: Option<&'a ChangeRow>,
}

/// A message, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The page of what it is about; empty where it has none.
    pub page: String,
    /// JSON.
    pub body: String,
}

impl Route {
    /// Whether an event of a kind that is asked for is asked for.
    #[must_use]
    pub fn wants(&self, item: EventItem<'_>) -> bool {
        self.meets(item.event.account_id, item.finding, item.change)
    }

    fn meets(&self, account: Option<AccountId>, finding: Option<&FindingRow>, change: Option<&ChangeRow>) -> bool {
        let grave = |least| finding.is_some_and(|finding| finding.severity >= least);
        let assignee = finding.and_then(|finding| finding.assignee.as_ref());
        let owner = finding.and_then(|finding| finding.owner.as_ref()?.name());
        self.severity_min.is_none_or(grave)
            && (self.account_ids.is_empty() || account.is_some_and(|account| self.account_ids.contains(&account)))
            && (self.assignees.is_empty() || assignee.is_some_and(|assignee| self.assignees.contains(assignee)))
            && (self.owners.is_empty() || owner.is_some_and(|owner| self.owners.contains(owner)))
            && (self.namespaces.is_empty()
                || namespaces(finding, change).any(|namespace| self.namespaces.contains(namespace)))
    }
}

fn namespaces<'a>(finding: Option<&'a FindingRow>, change: Option<&'a ChangeRow>) -> impl Iterator<Item = &'a str> {
    let own = finding.and_then(|finding| finding.subject.namespace.as_deref());
    let reaching = finding.into_iter().flat_map(|finding| &finding.workloads);
    let reaching = reaching.map(|workload| workload.association.namespace.as_str());
    let affected = change.into_iter().flat_map(|change| &change.change.affected);
    own.into_iter().chain(reaching).chain(affected.map(|it| it.workload.namespace.as_str()))
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    timestamp: DateTime<Utc>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    seq: i64,
    actor: &'a str,
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<FindingData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ChangeData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan: Option<ScanData>,
}

#[derive(Serialize)]
struct FindingData<'a> {
    number: i64,
    fingerprint: &'a str,
    version: i64,
    rule_id: &'a str,
    title: &'a str,
    message: &'a str,
    severity: &'static str,
    state: &'static str,
    detection: &'static str,
    subject: SubjectData<'a>,
    workload_count: u64,
    workloads: Vec<String>,
    assignee: Option<&'a str>,
    owner: Option<&'a str>,
    due_at: Option<DateTime<Utc>>,
    url: String,
}

#[derive(Serialize)]
struct SubjectData<'a> {
    kind: &'static str,
    key: &'a str,
    account_id: String,
    region: Option<&'a str>,
    cluster: Option<&'a str>,
    namespace: Option<&'a str>,
    service_account: Option<&'a str>,
    role_arn: Option<&'a str>,
    target_role_arn: Option<&'a str>,
}

#[derive(Serialize)]
struct ChangeData<'a> {
    change_id: &'a str,
    resource_type: &'static str,
    resource: &'a str,
    change: &'a str,
    effect: &'static str,
    because: &'a str,
    detected_at: DateTime<Utc>,
    actor: Option<&'a str>,
    approval: Option<&'static str>,
    url: String,
}

#[derive(Serialize)]
struct ScanData {
    number: i64,
    url: String,
}

/// An event as a message of a kind, under an id. `base` is where this service is reached.
#[must_use]
pub fn message(kind: WebhookKind, id: &str, item: EventItem<'_>, rules: &Rules, base: &str) -> Message {
    let event = item.event;
    let page = match &event.subject {
        EventSubject::Finding(_) => item.finding.map(|finding| format!("/findings/{}", finding.number)),
        EventSubject::Change(id) => Some(format!("/changes/{id}")),
        EventSubject::Run(run) => Some(format!("/scans/{}", run.0)),
    };
    let page = page.unwrap_or_default();
    let url = format!("{base}{page}");
    let meta = item.finding.and_then(|finding| rules.set.rule(&finding.rule));
    let meta = meta.as_ref().map(|rule| rule.meta());
    let title = meta.map(|meta| meta.title.as_str()).or(item.finding.map(|finding| finding.rule.as_str()));
    let body = match kind {
        WebhookKind::Slack => slack::body(&chat(item, title.unwrap_or_default(), url)),
        // Events go into digests, and none is an e-mail of its own.
        WebhookKind::Standard | WebhookKind::Sns | WebhookKind::EventBridge | WebhookKind::Email => {
            standard(id, item, title.unwrap_or_default(), &url)
        }
    };
    Message { page, body: fitting(body) }
}

/// A message that says only that messages arrive.
#[must_use]
pub fn test(kind: WebhookKind, id: &str, now: DateTime<Utc>, actor: &str, base: &str) -> Message {
    let page = "/settings/webhooks".to_owned();
    let url = format!("{base}{page}");
    let body = match kind {
        WebhookKind::Email => return Message { body: Letter::test(TEST, now, actor, &url).body(), page },
        WebhookKind::Slack => slack::body(&slack::Message {
            title: "Test of this webhook".to_owned(),
            text: format!("{actor} asked for it. Messages of Rolecall arrive here."),
            fields: Vec::new(),
            url,
        }),
        WebhookKind::Standard | WebhookKind::Sns | WebhookKind::EventBridge => {
            json!({"type": TEST, "id": id, "timestamp": now, "data": {"actor": actor, "url": url}})
        }
    };
    Message { page, body: fitting(body) }
}

fn standard(id: &str, item: EventItem<'_>, title: &str, url: &str) -> Value {
    let event = item.event;
    let finding = item.finding.map(|finding| FindingData {
        number: finding.number,
        fingerprint: &finding.fingerprint.0,
        version: finding.version,
        rule_id: &finding.rule,
        title,
        message: &finding.message,
        severity: finding.severity.as_str(),
        state: finding.workflow.as_str(),
        detection: finding.detection.as_str(),
        subject: SubjectData {
            kind: finding.subject.kind.as_str(),
            key: &finding.subject.key,
            account_id: finding.subject.account_id.to_string(),
            region: finding.subject.region.as_deref(),
            cluster: finding.subject.cluster.as_deref(),
            namespace: finding.subject.namespace.as_deref(),
            service_account: finding.subject.service_account.as_deref(),
            role_arn: finding.subject.role_arn.as_deref(),
            target_role_arn: finding.subject.target_role_arn.as_deref(),
        },
        workload_count: finding.workload_count,
        workloads: finding.workloads.iter().take(WORKLOADS).map(|it| it.association.to_string()).collect(),
        assignee: finding.assignee.as_deref(),
        owner: finding.owner.as_ref().and_then(Owner::name),
        due_at: finding.due.and_then(|due| due.at),
        url: url.to_owned(),
    });
    let change = item.change.map(|row| ChangeData {
        change_id: &row.change.id,
        resource_type: row.change.resource.kind.as_str(),
        resource: &row.change.resource.name,
        change: &row.change.change,
        effect: row.change.effect.as_str(),
        because: &row.change.because,
        detected_at: row.detected_at,
        actor: row.attributed.actor(),
        approval: row.approval.as_ref().map(|step| step.state.as_str()),
        url: url.to_owned(),
    });
    let scan = match &event.subject {
        EventSubject::Run(run) => Some(ScanData { number: run.0, url: url.to_owned() }),
        EventSubject::Finding(_) | EventSubject::Change(_) => None,
    };
    let account_id = event.account_id.map(|account| account.to_string());
    let data = Data { seq: event.seq, actor: &event.actor, account_id, finding, change, scan };
    // These are texts and numbers under texts: they are always JSON.
    serde_json::to_value(Payload { kind: &event.kind, id, timestamp: event.at, data }).unwrap_or_default()
}

fn chat(item: EventItem<'_>, title: &str, url: String) -> slack::Message {
    let event = item.event;
    let what = words(&event.kind);
    let account = || event.account_id.map(|account| account.to_string()).unwrap_or_default();
    match (item.finding, item.change) {
        (Some(finding), _) => slack::Message {
            title: format!("{}: {what}", capital(finding.severity.as_str())),
            text: format!("{title}\n{}", finding.message),
            fields: vec![
                ("Severity", finding.severity.as_str().to_owned()),
                ("State", finding.workflow.as_str().to_owned()),
                ("Account", account()),
                ("Cluster", finding.subject.cluster.clone().unwrap_or_default()),
                ("Workloads", workloads(finding)),
                ("Owner", finding.owner.as_ref().and_then(Owner::name).unwrap_or_default().to_owned()),
                ("Assignee", finding.assignee.clone().unwrap_or_default()),
                ("By", event.actor.clone()),
            ],
            url,
        },
        (None, Some(row)) => slack::Message {
            title: capital(&what),
            text: format!("{} {}\n{}", row.change.resource.kind.as_str(), row.change.resource.name, row.change.because),
            fields: vec![
                ("Change", row.change.change.clone()),
                ("Effect", row.change.effect.as_str().to_owned()),
                ("Account", account()),
                ("Made by", row.attributed.actor().unwrap_or_default().to_owned()),
            ],
            url,
        },
        (None, None) => {
            slack::Message { title: capital(&what), text: String::new(), fields: vec![("Account", account())], url }
        }
    }
}

fn workloads(finding: &FindingRow) -> String {
    let named = finding.workloads.iter().take(3).map(|workload| {
        let key = &workload.association;
        format!("{}/{}", key.namespace, key.service_account)
    });
    let named = named.collect::<Vec<_>>().join(", ");
    match finding.workload_count {
        0..=3 => named,
        more => format!("{named} and {} more", more - 3),
    }
}

/// `finding.seen_again` as `finding seen again`.
pub(super) fn words(kind: &str) -> String {
    kind.replace(['.', '_'], " ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The text of a message that is not too large: where it would be, its texts are cut, the longest first.
pub(super) fn fitting(mut body: Value) -> String {
    let mut text = body.to_string();
    for most in [4_000, 1_000, 300, 100] {
        if text.len() <= LARGEST {
            break;
        }
        cut(&mut body, most);
        text = body.to_string();
    }
    text
}

fn cut(value: &mut Value, most: usize) {
    match value {
        Value::String(text) if text.chars().count() > most => {
            *text = text.chars().take(most).chain(['…']).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut(item, most)),
        // An address that is cut leads nowhere.
        Value::Object(members) => {
            members.iter_mut().filter(|(name, _)| *name != "url").for_each(|(_, item)| cut(item, most));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_cut_and_stays_json() {
        for text in ["x".repeat(60_000), "\u{1}".repeat(60_000), "ü".repeat(60_000), "x".repeat(10)] {
            let address = "https://rolecall.example/findings/1";
            let body = fitting(json!({"data": {"message": text, "workloads": vec![text.clone(); 10], "url": address}}));
            assert!(body.len() <= LARGEST, "{}", body.len());
            let read: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(read["data"]["url"], address);
            assert_eq!(read["data"]["message"].as_str().unwrap().ends_with('…'), text.len() > 10);
        }
    }
}
