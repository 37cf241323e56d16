//! `/findings/{number}`: why it is one, what decided, and what to do.

use super::associations::lines;
use super::chain;
use super::estate::PageContext;
use super::owner::OwnerLine;
use super::parts::{
    Badge, DocumentCard, FindingLine, Node, ReasonLine, SeverityMark, TicketLine, WorkloadLine, due_badge, numbered,
    subject_href,
};
use super::triage::{self, SuppressForm, SuppressionLine};
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::principal::Principal;
use crate::http::query::query;
use crate::http::remediation;
use crate::http::rule_text::{RemedyCode, RuleText, rule, titles};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use chrono::{DateTime, Utc};
use rolecall_audit::finding::{Detection, Resolution, Workflow};
use rolecall_audit::remediation::{Remediation, Snippet, Verified};
use rolecall_estate::Documents;
use rolecall_iam::Relation;
use rolecall_rules::{EffectiveParam, Evidence, ExceptionRef};
use rolecall_store::{Finding, FindingEvent, FindingRow};
use std::collections::BTreeMap;

/// So many workloads are named.
const WORKLOADS: u32 = 100;
/// So many findings that are listed under this one are shown.
const PARTS: u32 = 100;

query! {
    /// The page takes no parameter.
    NoQuery = &[]
}

/// A parameter in force.
struct ParamLine {
    name: String,
    value: String,
    origin: String,
}

/// A step of the finding's life.
struct Step {
    at: Stamp,
    what: String,
    /// What was said with it; empty where nothing was.
    said: String,
    actor: String,
    run: Option<i64>,
}

/// An exception in force.
struct ExceptionLine {
    name: String,
    owner: String,
    reason: String,
    ticket: String,
    expires: Stamp,
    origin: String,
}

/// Which steps the finding takes as it is.
struct Can {
    acknowledge: bool,
    open: bool,
    suppress: bool,
}

impl Can {
    fn new(row: &FindingRow) -> Self {
        let excepted = row.exception.is_some();
        Self {
            acknowledge: row.workflow == Workflow::Open,
            open: match row.workflow {
                Workflow::Open => false,
                Workflow::Acknowledged => true,
                Workflow::Suppressed => !excepted,
                Workflow::Resolved => row.suppression.is_some(),
            },
            suppress: row.workflow != Workflow::Resolved && (row.workflow != Workflow::Suppressed || !excepted),
        }
    }
}

/// A change of a policy.
struct RemedyStep {
    title: String,
    note: String,
    code: Vec<RemedyCode>,
}

/// What to do.
#[derive(Default)]
struct Remedy {
    steps: Vec<RemedyStep>,
    /// What was proved of the steps; empty where nothing was.
    verified: String,
    code: Vec<RemedyCode>,
}

impl Remedy {
    fn new(remediation: Remediation) -> Self {
        let code = |at: &str, snippets: Vec<Snippet>| {
            let each = snippets.into_iter().map(|snippet| {
                RemedyCode::new(format!("remedy-{at}{}", snippet.tool.as_str()), snippet.tool, snippet.text)
            });
            each.collect::<Vec<_>>()
        };
        let steps = remediation.steps.into_iter().zip(1..).map(|(step, n)| RemedyStep {
            title: step.title,
            note: step.note,
            code: code(&format!("{n}-"), step.snippets),
        });
        Self {
            steps: steps.collect(),
            verified: remediation.verified.as_ref().map(verified).unwrap_or_default(),
            code: code("", remediation.snippets),
        }
    }
}

/// What was proved, in words.
fn verified(proved: &Verified) -> String {
    let request = |(action, resource): &(String, String)| format!("`{action}` on `{resource}`");
    let lost = proved.lost.as_ref().map(|it| format!(" No longer allowed, among others: {}.", request(it)));
    let gained = proved.gained.as_ref().map(|it| format!(" Allowed in addition: {}.", request(it)));
    let narrows =
        if proved.relation == Relation::Narrowed { ", and nothing is allowed that was not before" } else { "" };
    format!(
        "Verified: with these changes the rule no longer fails{narrows}.{}{}",
        lost.unwrap_or_default(),
        gained.unwrap_or_default()
    )
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/finding.html")]
pub(crate) struct FindingPage {
    chrome: Chrome,
    number: i64,
    message: String,
    rule: Option<RuleText>,
    remedy: Remedy,
    rule_id: String,
    severity: SeverityMark,
    severity_because: String,
    assumptions: Vec<String>,
    /// The finding that this one is listed under, with its number and message.
    head: Option<(i64, String)>,
    parts: Vec<FindingLine>,
    workloads: Vec<WorkloadLine>,
    workload_count: String,
    more_workloads: bool,
    state: Badge,
    detection: &'static str,
    stale: bool,
    stale_why: Vec<ReasonLine>,
    resolution: String,
    /// The page of the change that took back the one that it is about.
    reversed_by: String,
    exception: Option<ExceptionLine>,
    suppression: Option<SuppressionLine>,
    requested: Option<SuppressionLine>,
    /// Whether whoever looks asked for the suppression that awaits approval.
    is_own_request: bool,
    can: Can,
    suppress: SuppressForm,
    assignee: String,
    owner: OwnerLine,
    due: Option<Badge>,
    tickets: Vec<TicketLine>,
    version: i64,
    chain: Vec<Node>,
    params: Vec<ParamLine>,
    documents: Vec<DocumentCard>,
    facts: Vec<DocumentCard>,
    steps: Vec<Step>,
    account: String,
    account_id: String,
    subject_kind: &'static str,
    subject_key: String,
    subject_href: String,
    fingerprint: String,
    first_seen: Stamp,
    opened: Stamp,
    last_seen: Stamp,
    reopened: u32,
    last_run: i64,
}

/// `GET /findings/{number}`
pub(crate) async fn page(
    Visible(app): Visible,
    Path(number): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    chrome: Chrome,
) -> Result<FindingPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("finding `{number}`"));
    let found = app.store.finding(number.parse().map_err(|_| unknown())?).await?.ok_or_else(unknown)?;
    let events = app.store.finding_events(&found.row).await?;
    let digests: Vec<_> = found.evidence.iter().filter_map(|e| e.document).collect();
    let documents = app.store.documents(&digests).await?;
    let context = PageContext::load(&app).await?;
    let workloads = app.store.workloads_of(&found.row, WORKLOADS).await?;
    let head = match &found.row.part_of {
        Some(head) => app.store.finding_by_fingerprint(head).await?.map(|head| (head.row.number, head.row.message)),
        None => None,
    };
    let parts = app.store.parts_of(&found.row.fingerprint, PARTS).await?;
    let remediation = remediation::of(&app, &found).await?;
    let mut page = FindingPage::new(chrome, found, &events, &documents, &context, |id| rule(&app, id));
    page.head = head;
    page.remedy = remediation.map(Remedy::new).unwrap_or_default();
    page.is_own_request = page.requested.as_ref().is_some_and(|asked| asked.requested_by == who.label());
    page.parts = lines(&parts, &titles(&app), &context);
    page.workloads = workloads.iter().map(|workload| WorkloadLine::new(workload, &context.names)).collect();
    Ok(page)
}

impl FindingPage {
    fn new(
        chrome: Chrome,
        found: Finding,
        events: &[FindingEvent],
        documents: &Documents,
        context: &PageContext,
        rule: impl Fn(&str) -> Option<RuleText>,
    ) -> Self {
        let now = context.now;
        let Finding { row, evidence, params, .. } = found;
        let can = Can::new(&row);
        let href = subject_href(&row.subject);
        Self {
            chrome,
            number: row.number,
            rule: rule(&row.rule),
            remedy: Remedy::default(),
            severity: row.severity.into(),
            severity_because: row.severity_because.unwrap_or_default(),
            assumptions: row.assumptions.iter().map(|a| format!("{} ({})", a.sentence(), a.as_str())).collect(),
            head: None,
            parts: Vec::new(),
            workloads: Vec::new(),
            workload_count: words::count_u64(row.workload_count),
            more_workloads: row.workload_count > u64::from(WORKLOADS),
            state: row.workflow.into(),
            detection: words::detection(row.detection),
            stale: row.detection == Detection::Stale,
            resolution: row.resolution.as_deref().map(resolution).unwrap_or_default().to_owned(),
            reversed_by: reversed_by(row.resolution.as_deref(), events),
            exception: row
                .exception
                .as_ref()
                .filter(|_| row.workflow == Workflow::Suppressed)
                .map(|e| exception(e, now)),
            suppression: row.suppression.as_ref().map(|row| SuppressionLine::new(row, now)),
            requested: row.requested.as_ref().map(|row| SuppressionLine::new(row, now)),
            is_own_request: false,
            can,
            suppress: SuppressForm::at(now),
            assignee: row.assignee.clone().unwrap_or_default(),
            owner: OwnerLine::new(row.owner.as_ref()),
            due: row.due.map(due_badge),
            tickets: row.tickets.iter().filter_map(|ticket| TicketLine::new(ticket, now)).collect(),
            version: row.version,
            chain: chain::of_subject(&row.subject, href.clone(), context),
            params: param_lines(&params),
            documents: numbered(document_cards(&evidence, documents), "document"),
            facts: numbered(facts(&evidence, documents), "fact"),
            steps: events.iter().rev().map(|event| step(event, now)).collect(),
            account: context.names.of(row.subject.account_id),
            account_id: row.subject.account_id.to_string(),
            subject_kind: words::subject(row.subject.kind),
            subject_href: href,
            first_seen: Stamp::new(row.first_seen_at, now),
            opened: Stamp::new(row.opened_at, now),
            last_seen: Stamp::new(row.last_seen_at, now),
            reopened: row.reopened_count,
            last_run: row.last_run.0,
            fingerprint: row.fingerprint.0,
            subject_key: row.subject.key,
            stale_why: ReasonLine::each(&row.stale_why),
            message: row.message,
            rule_id: row.rule,
        }
    }
}

fn param_lines(params: &BTreeMap<String, EffectiveParam>) -> Vec<ParamLine> {
    let line = |(name, param): (&String, &EffectiveParam)| ParamLine {
        name: name.clone(),
        value: param.value.to_string(),
        origin: param.origin.clone(),
    };
    params.iter().map(line).collect()
}

fn exception(e: &ExceptionRef, now: DateTime<Utc>) -> ExceptionLine {
    ExceptionLine {
        name: e.name.clone(),
        owner: e.owner.clone(),
        reason: e.reason.clone(),
        ticket: e.ticket.clone().unwrap_or_default(),
        expires: Stamp::new(e.expires, now),
        origin: e.origin.clone(),
    }
}

fn resolution(word: &str) -> &'static str {
    if word == Resolution::Passed.as_str() {
        "The rule passes."
    } else if word == Resolution::SubjectGone.as_str() {
        "The subject was deleted: complete listings no longer contain it."
    } else if word == Resolution::NotApplicable.as_str() {
        "The rule no longer applies to the subject."
    } else if word == Resolution::Expired.as_str() {
        "The session is older than the retention period."
    } else if word == Resolution::Reversed.as_str() {
        "A later change took it back."
    } else {
        "The rule was removed or disabled."
    }
}

/// The page of the change that took back what a finding is about, as its last end tells.
fn reversed_by(resolution: Option<&str>, events: &[FindingEvent]) -> String {
    if resolution != Some(Resolution::Reversed.as_str()) {
        return String::new();
    }
    let end = events.iter().rev().find(|event| event.kind == "resolved");
    let by = end.and_then(|event| event.detail.get("change")?.as_str());
    by.map(|by| format!("/changes/{by}")).unwrap_or_default()
}

/// Each document once, with everything in it that decided marked.
fn document_cards(evidence: &[Evidence], documents: &Documents) -> Vec<DocumentCard> {
    // In the order of the evidence: what decided comes first.
    let mut marked: Vec<((String, rolecall_iam::Digest), BTreeMap<String, String>)> = Vec::new();
    for e in evidence {
        if let Some(digest) = e.document.filter(|digest| documents.get(digest).is_some()) {
            let key = (e.source.clone(), digest);
            let known = marked.iter().position(|(known, _)| *known == key);
            let at = known.unwrap_or(marked.len());
            if known.is_none() {
                marked.push((key, BTreeMap::new()));
            }
            let Some((_, marks)) = marked.get_mut(at) else { continue };
            let note = marks.entry(e.pointer.clone()).or_default();
            if !note.is_empty() && *note != e.label {
                note.push_str("; ");
            }
            if !note.contains(&e.label) {
                note.push_str(&e.label);
            }
        }
    }
    // A policy of the organization only lets through what another one allows.
    marked.sort_by_key(|((source, _), _)| source.starts_with("SCP ") || source.starts_with("RCP "));
    let card = |((source, digest), marks): &((String, rolecall_iam::Digest), BTreeMap<String, String>)| {
        let text = documents.get(digest)?.text.clone();
        let pointers = marks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Some(DocumentCard::new(source, &pointers, Some(*digest), &text, marks))
    };
    marked.iter().filter_map(card).collect()
}

/// Evidence and stands in no document that is kept.
fn facts(evidence: &[Evidence], documents: &Documents) -> Vec<DocumentCard> {
    let alone = evidence.iter().filter(|e| e.document.is_none_or(|digest| documents.get(&digest).is_none()));
    let fact = |e: &Evidence| {
        let value = match &e.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        DocumentCard::new(&e.label, &e.source, None, &value, &BTreeMap::new())
    };
    alone.map(fact).collect()
}

/// What a person said with a step.
fn said(event: &FindingEvent) -> String {
    let text = |pointer: &str| event.detail.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    match event.kind.as_str() {
        "commented" => text("/comment").to_owned(),
        "assigned" => match (text("/from"), text("/to")) {
            ("", to) => format!("to {to}"),
            (from, "") => format!("to nobody; it was {from}"),
            (from, to) => format!("to {to}; it was {from}"),
        },
        "changed" if event.detail.get("owner").is_some() => {
            let named =
                |end: &str| Some(text(&format!("/owner/{end}"))).filter(|name| !name.is_empty()).unwrap_or("none");
            format!("owner {}; it was {}", named("to"), named("from"))
        }
        "ticket_reserved" => format!("in {} for {}", text("/system"), text("/holder")),
        "ticket_linked" | "ticket_removed" => format!("{} in {}", text("/key"), text("/system")),
        "ticket_released" => format!("in {}", text("/system")),
        "suppressed"
        | "suppression_requested"
        | "suppression_declined"
        | "suppression_ended"
        | "suppression_expired" => {
            let reason = text("/suppression/reason").parse().map(triage::reason).unwrap_or_default();
            let until: Option<DateTime<Utc>> = text("/suppression/until").parse().ok();
            let until = until.map(|at| format!(", until {}", at.format("%Y-%m-%d"))).unwrap_or_default();
            match text("/suppression/justification") {
                "" => String::new(),
                words => format!("{reason}: {words}{until}"),
            }
        }
        _ => String::new(),
    }
}

fn step(event: &FindingEvent, now: DateTime<Utc>) -> Step {
    let what = match event.kind.as_str() {
        "opened" => "Opened",
        "reopened" => "Reopened",
        "changed" => "Changed",
        "seen_again" => "Seen again",
        "resolved" => "Resolved",
        "stale" => "Undetermined",
        "suppressed" if event.detail.get("exception").is_some() => "Suppressed by an exception",
        "suppressed" => "Suppressed",
        "suppression_expired" if event.detail.get("exception").is_some() => "Exception expired",
        "suppression_expired" => "Suppression expired",
        "acknowledged" => "Acknowledged",
        "unacknowledged" => "Opened again",
        "suppression_requested" => "Suppression requested",
        "suppression_declined" => "Suppression not approved",
        "suppression_ended" => "Suppression ended",
        "assigned" => "Assigned",
        "commented" => "Comment",
        "ticket_reserved" => "Ticket reserved",
        "ticket_linked" => "Ticket linked",
        "ticket_released" => "Ticket reservation given back",
        "ticket_removed" => "Ticket removed",
        other => other,
    };
    Step {
        at: Stamp::new(event.at, now),
        what: what.to_owned(),
        said: said(event),
        actor: event.actor.clone(),
        run: event.run.map(|run| run.0),
    }
}
