//! `/changes` and one change: who gains or loses what, who made it, when it takes hold, and whether it is
//! approved.

use super::estate::PageContext;
use super::list::{Chip, Empty, Pager, SHAPE, Select, carried, chips, curl, empty, select};
use super::parts::{
    Badge, DocumentCard, Link, Seen, association_href, badge, numbered, plural, role_href, workload_history_href,
};
use super::tools::ListTools;
use crate::app::App;
use crate::http::approval::{self, Asked};
use crate::http::error::{AppError, Code, FieldError};
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::list_pages::CHANGES;
use crate::http::listing;
use crate::http::principal::Principal;
use crate::http::query::{encode, instant, pairs, query};
use crate::http::view::words::Stamp;
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Redirect;
use chrono::{NaiveDate, TimeDelta};
use rolecall_audit::drift::{
    Access, ApprovalState, ApprovalStep, Attribution, Change, Effect, Ended, Resource, ResourceType, RoleEscalation,
    SeenIn, State as Of, TakesHold, kinds,
};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_estate::{AssociationKey, Documents};
use rolecall_iam::{AccountId, Digest};
use rolecall_store::{ChangeFilter, ChangeRow, MOST_APPROVED, WorkloadChange, WorkloadPart};
use serde_json::Value;
use std::collections::BTreeMap;

const PATH: &str = "/changes";
/// So many changes of one resource or workload its own page shows.
const HISTORY: u32 = 20;

query! {
    /// Query of the form that approves a list: its filters.
    ApproveQuery = filters::CHANGES
}
query! {
    /// A page of one thing takes no parameter.
    NoQuery = &[]
}

/// A change, in a row.
pub(crate) struct ChangeLine {
    pub(crate) href: String,
    pub(crate) effect: Badge,
    pub(crate) what: String,
    pub(crate) resource: String,
    pub(crate) kind: &'static str,
    pub(crate) part: String,
    pub(crate) meaning: String,
    pub(crate) workloads: String,
    pub(crate) account: String,
    pub(crate) actor: String,
    pub(crate) attribution: String,
    pub(crate) at: Stamp,
    pub(crate) follows: bool,
    pub(crate) approval: Option<Badge>,
}

/// The changes of one day.
pub(super) struct DayGroup {
    pub(super) day: String,
    pub(super) lines: Vec<ChangeLine>,
}

/// Changes in groups of a day each, in their order.
pub(super) fn by_day(lines: impl IntoIterator<Item = (NaiveDate, ChangeLine)>) -> Vec<DayGroup> {
    let mut days: Vec<(NaiveDate, DayGroup)> = Vec::new();
    for (day, line) in lines {
        match days.last_mut() {
            Some((last, group)) if *last == day => group.lines.push(line),
            _ => days.push((day, DayGroup { day: day.format("%Y-%m-%d").to_string(), lines: vec![line] })),
        }
    }
    days.into_iter().map(|(_, group)| group).collect()
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/changes.html")]
pub(crate) struct ChangesPage {
    chrome: Chrome,
    seen: Seen,
    selects: Vec<Select>,
    actor: String,
    workload: String,
    carried: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    clear: String,
    tools: ListTools,
    days: Vec<DayGroup>,
    pager: Pager,
    empty: Option<Empty>,
    curl: String,
    to_approve: u64,
    approve: String,
}

pub(super) fn effect_badge(effect: Effect) -> Badge {
    let (class, label) = match effect {
        Effect::Widened => ("bad", "Widened"),
        Effect::Mixed => ("bad", "Mixed"),
        Effect::Narrowed => ("ok", "Narrowed"),
        Effect::None => ("", "No effect"),
        Effect::Unknown => ("unseen", "Unknown"),
    };
    badge(class, label)
}

fn approval_badge(state: ApprovalState) -> Badge {
    match state {
        ApprovalState::Approved => badge("ok", "Approved"),
        ApprovalState::Expired => badge("bad", "Approval expired"),
        ApprovalState::Withdrawn => badge("bad", "Approval withdrawn"),
    }
}

/// `trust_policy_changed` as words.
fn change_words(change: &str) -> String {
    let text = change.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

pub(super) fn of_type(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Role => "Role",
        ResourceType::ManagedPolicy => "Managed policy",
        ResourceType::OidcProvider => "OIDC provider",
        ResourceType::Association => "Association",
        ResourceType::Addon => "Add-on",
        ResourceType::AccessEntry => "Access entry",
        ResourceType::Cluster => "Cluster",
        ResourceType::OrgPolicy => "Organization policy",
        ResourceType::OrgUnit => "Organizational unit",
        ResourceType::Account => "Account",
        ResourceType::Trail => "Trail",
    }
}

/// What a resource is to a workload, in words.
fn part_words(part: WorkloadPart) -> &'static str {
    match part {
        WorkloadPart::Association => "Association",
        WorkloadPart::Role => "Role",
        WorkloadPart::TargetRole => "Target role",
        WorkloadPart::Policy => "Managed policy",
        WorkloadPart::Boundary => "Permissions boundary",
    }
}

/// A resource's name as people call it: an ARN without what is before its last colon.
pub(super) fn short(resource: &Resource) -> String {
    if resource.kind == ResourceType::Association {
        let mut parts = resource.name.rsplitn(3, '/');
        let (name, namespace) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return format!("{namespace}/{name}");
    }
    let last = resource.name.splitn(6, ':').last().unwrap_or(&resource.name);
    last.split_once('/').map_or(last, |(_, name)| name).to_owned()
}

fn workload(key: &AssociationKey) -> String {
    format!("{}/{}", key.namespace, key.service_account)
}

/// Who gains or loses what, in a line.
fn meaning(row: &ChangeRow) -> String {
    let change = &row.change;
    let in_words = |access: &Option<Access>| access.as_ref().map(|it| it.words.clone());
    let said = match (in_words(&change.gained), in_words(&change.lost)) {
        (Some(gained), Some(lost)) => format!("gained {gained}; lost {lost}"),
        (Some(gained), None) => format!("gained {gained}"),
        (None, Some(lost)) => format!("lost {lost}"),
        (None, None) => change.because.clone(),
    };
    match &row.ended {
        Some(ended) => format!("{said}, until {}", ended.at.format("%Y-%m-%d %H:%M UTC")),
        None => said,
    }
}

impl ChangeLine {
    /// The line of a change in the history of a workload: what it came to for that one.
    pub(super) fn of_workload(found: &WorkloadChange, key: &AssociationKey, context: &PageContext) -> Self {
        let WorkloadChange { row, part } = found;
        let own = row.change.affected.iter().find(|it| it.workload == *key);
        let line = Self::new(row, context);
        let line = Self { kind: part.map_or(line.kind, part_words), ..line };
        match own {
            None => line,
            Some(own) => {
                let words = |access: &Option<Access>| access.as_ref().map(|it| it.words.clone());
                let said = match (words(&own.gained), words(&own.lost)) {
                    (Some(gained), Some(lost)) => format!("gained {gained}; lost {lost}"),
                    (Some(gained), None) => format!("gained {gained}"),
                    (None, Some(lost)) => format!("lost {lost}"),
                    (None, None) => line.meaning,
                };
                Self { effect: effect_badge(own.effect), meaning: said, ..line }
            }
        }
    }

    pub(super) fn new(row: &ChangeRow, context: &PageContext) -> Self {
        let change = &row.change;
        let workloads = match change.affected.as_slice() {
            [] => String::new(),
            [one] => workload(&one.workload),
            [first, rest @ ..] => format!("{} and {} more", workload(&first.workload), rest.len()),
        };
        let actor = row.attributed.actor().map(|arn| arn.rsplit(['/', ':']).next().unwrap_or(arn).to_owned());
        Self {
            href: href(&change.id),
            effect: effect_badge(change.effect),
            what: change_words(&change.change),
            resource: short(&change.resource),
            kind: of_type(change.resource.kind),
            part: change.part.clone().unwrap_or_default(),
            meaning: meaning(row),
            workloads,
            account: context.names.of(change.account_id),
            actor: actor.unwrap_or_default(),
            attribution: match row.attributed.attribution {
                Attribution::Exact if row.seen_in == SeenIn::Events => "no scan shows it".to_owned(),
                Attribution::Exact => String::new(),
                Attribution::Candidates => plural(row.attributed.calls.len(), "candidate event", "candidate events"),
                Attribution::None => "no event".to_owned(),
            },
            at: Stamp::new(row.attributed.event_time().unwrap_or(row.detected_at), context.now),
            follows: change.caused_by.is_some(),
            approval: row.approval.as_ref().map(|step| approval_badge(step.state)),
        }
    }
}

/// A change's page.
fn href(id: &str) -> String {
    format!("{PATH}/{id}")
}

/// `GET /changes`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<ChangesPage, AppError> {
    let params = CHANGES.parse(raw.as_deref())?;
    let list = filters::changes_in_order(&params);
    let slice = listing::shown(&app, &params, &list).await?;
    let context = PageContext::load(&app).await?;
    let effects = Effect::ALL.map(|it| (it.as_str().to_owned(), effect_badge(it).label));
    let types = ResourceType::ALL.map(|it| (it.as_str().to_owned(), of_type(it).to_owned()));
    let made = [("exact", "One event"), ("candidates", "Candidate events"), ("none", "No event")];
    let made = made.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let days = by_day(slice.rows.iter().map(|row| (row.detected_at.date_naive(), ChangeLine::new(row, &context))));
    let opens = [("administrator".to_owned(), "To administrator access".to_owned())];
    let seen_in = [("snapshots", "By scans"), ("events", "By events alone")];
    let seen_in = seen_in.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let approvals =
        [("none", "Not approved"), ("approved", "Approved"), ("expired", "Expired"), ("withdrawn", "Withdrawn")];
    let approvals = approvals.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let known =
        ["account_id", "effect", "opens", "resource_type", "attribution", "seen_in", "approval", "actor", "workload"];
    let open = app.store.changes_to_approve(&list.filter).await?;
    let tools = ListTools::load(&app, &chrome, &CHANGES, &params).await?;
    let filtered: Vec<&str> = filters::CHANGES.iter().map(|param| param.name).collect();
    Ok(ChangesPage {
        selects: vec![
            select("effect", "Effect", effects, &params),
            select("account_id", "Account", context.names.choices(), &params),
            select("resource_type", "Resource", types, &params),
            select("opens", "Opens", opens, &params),
            select("attribution", "Attribution", made, &params),
            select("seen_in", "Shown", seen_in, &params),
            select("approval", "Approval", approvals, &params),
        ],
        actor: params.list("actor").join(","),
        workload: params.text("workload").unwrap_or_default().to_owned(),
        carried: carried(&params, &known),
        chips: chips(PATH, &params, &[]),
        clear: params.only(&SHAPE).without("cursor").link(PATH),
        tools,
        pager: Pager::new(
            PATH,
            &params,
            &slice.turns,
            plural(slice.rows.len(), "change on this page", "changes on this page"),
        ),
        empty: slice.rows.is_empty().then(|| empty("change", params.filters(), PATH, &context.seen)),
        curl: curl(&chrome.origin(&app), "/api/v1/changes", &params, filters::CHANGES),
        days,
        to_approve: if open > u64::from(MOST_APPROVED) { 0 } else { open },
        approve: params.only(&filtered).link("/changes/approvals"),
        seen: context.seen,
        chrome,
    })
}

/// The changes of one resource or workload, for its own page.
pub(super) struct History {
    pub(super) lines: Vec<ChangeLine>,
    pub(super) all: String,
}

impl History {
    /// Those of a resource by its name.
    pub(super) async fn of_resource(app: &App, resource: &str, context: &PageContext) -> Result<Self, AppError> {
        let filter = ChangeFilter { resource: Some(resource.to_owned()), ..ChangeFilter::default() };
        let all = format!("{PATH}?resource={}", encode(resource));
        Self::load(app, &filter, all, context).await
    }

    /// Those of an account's resources.
    pub(super) async fn of_account(app: &App, account: AccountId, context: &PageContext) -> Result<Self, AppError> {
        let filter = ChangeFilter { account_id: vec![account.to_string()], ..ChangeFilter::default() };
        let all = format!("{PATH}?account_id={account}");
        Self::load(app, &filter, all, context).await
    }

    /// Those of what a workload rests on, and those that reach it.
    pub(super) async fn of_workload(app: &App, key: &AssociationKey, context: &PageContext) -> Result<Self, AppError> {
        let rows = app.store.workload_history(key, context.as_of, HISTORY).await?;
        let lines = rows.iter().map(|found| ChangeLine::of_workload(found, key, context)).collect();
        Ok(Self { lines, all: context.and_at(workload_history_href(key)) })
    }

    async fn load(app: &App, filter: &ChangeFilter, all: String, context: &PageContext) -> Result<Self, AppError> {
        // What came later was not known then.
        let until = context.as_of.map(|as_of| as_of.at() + TimeDelta::microseconds(1));
        let rows = app.store.changes(&ChangeFilter { until, ..filter.clone() }, None, HISTORY).await?;
        Ok(Self { lines: rows.iter().map(|row| ChangeLine::new(row, context)).collect(), all })
    }
}

/// A workload that the change reaches.
struct Reached {
    workload: Link,
    effect: Badge,
    gained: String,
    lost: String,
}

/// A role's name, and how whoever has it gets further.
fn escalation_line(it: &RoleEscalation) -> String {
    format!("{}: {}", it.role.rsplit('/').next().unwrap_or(&it.role), it.words())
}

/// A call.
struct Call {
    name: String,
    at: Stamp,
    actor: String,
    source: String,
    agent: String,
    id: String,
}

impl Call {
    fn new(call: &ChangeEvent, context: &PageContext) -> Self {
        Self {
            name: format!("{}:{}", call.event_source.split('.').next().unwrap_or_default(), call.event_name),
            at: Stamp::new(call.event_time, context.now),
            actor: call.actor.principal().unwrap_or("not named").to_owned(),
            source: call.source_ip.clone().unwrap_or_default(),
            agent: call.user_agent.clone().unwrap_or_default(),
            id: call.event_id.clone(),
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/change.html")]
pub(crate) struct ChangePage {
    chrome: Chrome,
    what: String,
    effect: Badge,
    kind: &'static str,
    resource: String,
    resource_href: String,
    part: String,
    account: String,
    account_id: String,
    about: &'static str,
    gained: String,
    lost: String,
    because: String,
    administrator: &'static str,
    opens: Vec<String>,
    closes: Vec<String>,
    escalations_unknown: String,
    reached: Vec<Reached>,
    before: Option<DocumentCard>,
    after: Option<DocumentCard>,
    detected: Stamp,
    made: Option<Stamp>,
    effective: Stamp,
    ended: Option<Stamp>,
    ended_by: String,
    takes_hold: &'static str,
    attribution: Badge,
    attribution_because: String,
    calls: Vec<Call>,
    caused_by: String,
    followers: Vec<ChangeLine>,
    scan: String,
    json: String,
    id: String,
    approval: Badge,
    approved: bool,
    steps: Vec<StepLine>,
    baselines_href: String,
    today: String,
    latest: String,
}

/// A step of the approval.
struct StepLine {
    what: Badge,
    at: Stamp,
    who: String,
    reason: String,
    ticket: String,
    until: Option<Stamp>,
    /// The page of the baseline that it was approved with.
    baseline: String,
}

impl StepLine {
    fn new(step: ApprovalStep, context: &PageContext) -> Self {
        Self {
            what: approval_badge(step.state),
            at: Stamp::new(step.at, context.now),
            who: step.who,
            reason: step.reason,
            ticket: step.ticket.unwrap_or_default(),
            until: step.until.map(|at| Stamp::new(at, context.now)),
            baseline: step.baseline.map(|id| format!("/baselines/{id}")).unwrap_or_default(),
        }
    }
}

/// `GET /changes/{id}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<ChangePage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let row = app.store.change(&id).await?.ok_or_else(|| AppError::not_found(format!("change `{id}`")))?;
    let context = PageContext::load(&app).await?;
    let change = &row.change;
    let digests: Vec<Digest> = [&change.before, &change.after]
        .into_iter()
        .filter_map(|state| match state {
            Some(Of::Document(digest)) => Some(*digest),
            _ => None,
        })
        .collect();
    let documents = app.store.documents(&digests).await?;
    let (before, after) = side_by_side(change.before.as_ref(), change.after.as_ref(), &documents);
    let same_scan = ChangeFilter {
        account_id: vec![change.account_id.to_string()],
        since: Some(row.detected_at),
        until: Some(row.detected_at + chrono::TimeDelta::microseconds(1)),
        ..ChangeFilter::default()
    };
    let beside = app.store.changes(&same_scan, None, 500).await?;
    let followers = beside.iter().filter(|other| other.change.caused_by.as_ref() == Some(&change.id));
    let in_words = |access: &Option<Access>| access.as_ref().map(|it| it.words.clone()).unwrap_or_default();
    let reached = change.affected.iter().map(|it| Reached {
        workload: Link {
            href: association_href(&it.workload.to_string()),
            name: workload(&it.workload),
            place: format!(
                "{}, {}, {}",
                it.workload.cluster,
                it.workload.region,
                context.names.of(it.workload.account_id)
            ),
        },
        effect: effect_badge(it.effect),
        gained: in_words(&it.gained),
        lost: in_words(&it.lost),
    });
    let known = row.attributed.attribution;
    let steps = app.store.approval_steps(change.caused_by.as_deref().unwrap_or(&change.id)).await?;
    let state = row.approval.as_ref().map(|step| step.state);
    let day = |days: i64| (context.now + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    Ok(ChangePage {
        what: change_words(&change.change),
        effect: effect_badge(change.effect),
        kind: of_type(change.resource.kind),
        resource: change.resource.name.clone(),
        resource_href: match change.resource.kind {
            ResourceType::Role if change.change != "removed" => role_href(&change.resource.name),
            ResourceType::Association if change.change != "removed" => association_href(&change.resource.name),
            _ => String::new(),
        },
        part: change.part.clone().unwrap_or_default(),
        account: context.names.of(change.account_id),
        account_id: change.account_id.to_string(),
        about: kinds().iter().find(|(name, _)| *name == change.change).map_or("", |(_, about)| about),
        gained: in_words(&change.gained),
        lost: in_words(&change.lost),
        because: change.because.clone(),
        administrator: match change.administrator {
            Some(true) => "The workload can act as an administrator now.",
            Some(false) => "The workload can no longer act as an administrator.",
            None => "",
        },
        opens: change.escalations.opens.iter().map(escalation_line).collect(),
        closes: change.escalations.closes.iter().map(escalation_line).collect(),
        escalations_unknown: change.escalations.unknown.clone().unwrap_or_default(),
        reached: reached.collect(),
        before,
        after,
        detected: Stamp::new(row.detected_at, context.now),
        made: row.attributed.event_time().map(|at| Stamp::new(at, context.now)),
        effective: Stamp::new(row.effective_at, context.now),
        ended: row.ended.as_ref().map(|it| Stamp::new(it.at, context.now)),
        ended_by: match (&row.ended, row.seen_in) {
            (None, SeenIn::Snapshots) => String::new(),
            (None, SeenIn::Events) => "no scan has shown yet whether it is there".to_owned(),
            (Some(Ended { by: Some(event), .. }), _) => format!("undone by event {event}"),
            (Some(_), _) => "the scan of this date does not show it; no call that undid it is known".to_owned(),
        },
        takes_hold: match change.takes_hold {
            TakesHold::AtOnce => "at once: policies are evaluated with each request",
            TakesHold::NextCredentials => "at the next fetch of credentials: pods keep theirs up to 6 hours",
            TakesHold::NextCredentialsOfTargetRole => {
                "at the next fetch of credentials: pods keep those of a target role up to 59 minutes"
            }
        },
        attribution: match known {
            Attribution::Exact => badge("ok", "One event"),
            Attribution::Candidates => badge("unseen", "Candidate events"),
            Attribution::None => badge("unseen", "No event"),
        },
        attribution_because: row.attributed.because.clone(),
        calls: row.attributed.calls.iter().map(|call| Call::new(call, &context)).collect(),
        baselines_href: match change.resource.kind {
            ResourceType::Role if change.change != "removed" => {
                format!("{}#baseline", role_href(&change.resource.name))
            }
            ResourceType::Association if change.change != "removed" => {
                format!("{}#baseline", association_href(&change.resource.name))
            }
            _ => String::new(),
        },
        caused_by: change.caused_by.as_deref().map(href).unwrap_or_default(),
        followers: followers.map(|row| ChangeLine::new(row, &context)).collect(),
        scan: row.run.0.to_string(),
        json: format!("/api/v1/changes/{}", change.id),
        id: change.id.clone(),
        approval: state.map_or_else(|| badge("unseen", "Not approved"), approval_badge),
        approved: state == Some(ApprovalState::Approved),
        steps: steps.into_iter().rev().map(|step| StepLine::new(step, &context)).collect(),
        today: day(1),
        latest: day(365),
        chrome,
    })
}

pub(super) fn sent(body: &str, name: &str) -> String {
    pairs(body).find(|(field, _)| field == name).map(|(_, value)| value).unwrap_or_default()
}

pub(super) fn asked(body: &str) -> Result<Asked, AppError> {
    let wrong = |name: &str, message: String| {
        AppError::of_fields(Code::InvalidParameter, vec![FieldError { parameter: name.to_owned(), message }])
    };
    let until = sent(body, "until");
    let until = match until.trim() {
        "" => None,
        day => Some(
            instant(day).ok_or_else(|| wrong("until", format!("`until`: `{day}` is not a day such as 2026-01-31")))?,
        ),
    };
    Ok(Asked { reason: sent(body, "reason"), ticket: Some(sent(body, "ticket")), until })
}

/// `POST /changes/{id}/approval`
pub(crate) async fn approve(
    Visible(app): Visible,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let row = approval::approve(&app, &id, &asked(&body)?, &who).await?;
    Ok(Redirect::to(&href(&row.change.id)))
}

/// `POST /changes/{id}/withdrawal`
pub(crate) async fn withdraw(
    Visible(app): Visible,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let row = approval::withdraw(&app, &id, &sent(&body, "reason"), &who).await?;
    Ok(Redirect::to(&href(&row.change.id)))
}

/// `POST /changes/approvals`: approves the list that the page shows, if it still is as long.
pub(crate) async fn approve_all(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let params = ApproveQuery::parse(raw.as_deref())?;
    let expected = sent(&body, "expected").parse().unwrap_or_default();
    approval::approve_all(&app, &filters::changes(&params), expected, &asked(&body)?, &who).await?;
    Ok(Redirect::to(&params.without("approval").link(PATH)))
}

/// A part that differs from a baseline.
pub(super) struct Differing {
    pub(super) what: String,
    pub(super) part: String,
    pub(super) effect: Badge,
    pub(super) meaning: String,
    pub(super) approved: Option<DocumentCard>,
    pub(super) present: Option<DocumentCard>,
}

/// The parts that differ from a baseline, each with both states.
pub(super) async fn differing(app: &App, differences: &[Change]) -> Result<Vec<Differing>, AppError> {
    let named = |state: &Option<Of>| match state {
        Some(Of::Document(digest)) => Some(*digest),
        _ => None,
    };
    let digests: Vec<Digest> =
        differences.iter().flat_map(|it| [named(&it.before), named(&it.after)]).flatten().collect();
    let documents = app.store.documents(&digests).await?;
    let told = |access: &Option<Access>| access.as_ref().map(|it| it.words.clone());
    let each = differences.iter().enumerate().map(|(number, change)| {
        let (approved, present) = side_by_side(change.before.as_ref(), change.after.as_ref(), &documents);
        let numbered = |card: Option<DocumentCard>, side: &str, title: &str| {
            card.map(|card| DocumentCard { id: format!("{side}-{}", number + 1), title: title.to_owned(), ..card })
        };
        Differing {
            what: change_words(&change.change),
            part: change.part.clone().unwrap_or_default(),
            effect: effect_badge(change.effect),
            meaning: match (told(&change.gained), told(&change.lost)) {
                (Some(gained), Some(lost)) => format!("gained {gained}; lost {lost}"),
                (Some(gained), None) => format!("gained {gained}"),
                (None, Some(lost)) => format!("lost {lost}"),
                (None, None) => change.because.clone(),
            },
            approved: numbered(approved, "approved", "Approved"),
            present: numbered(present, "present", "Present"),
        }
    });
    Ok(each.collect())
}

/// Both sides in canonical form, with what differs marked.
fn side_by_side(
    before: Option<&Of>,
    after: Option<&Of>,
    documents: &Documents,
) -> (Option<DocumentCard>, Option<DocumentCard>) {
    let text = |state: Option<&Of>| match state? {
        Of::Document(digest) => documents.get(digest).map(|document| (Some(*digest), document.canonical())),
        Of::Text(text) => Some((None, text.clone())),
    };
    let (was, is) = (text(before), text(after));
    let value = |side: &Option<(Option<Digest>, String)>| -> Value {
        side.as_ref()
            .map_or(Value::Null, |(_, text)| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())))
    };
    let (old, new) = (value(&was), value(&is));
    let (mut gone, mut come) = (BTreeMap::new(), BTreeMap::new());
    if was.is_some() && is.is_some() {
        differ("", &old, &new, &mut gone, &mut come);
    }
    let card = |title: &str, side: Option<(Option<Digest>, String)>, marks: &BTreeMap<String, String>| {
        side.map(|(digest, text)| {
            let shown = if digest.is_some() || text.starts_with(['{', '[']) {
                text
            } else {
                serde_json::to_string(&text).unwrap_or(text)
            };
            DocumentCard::new(title, "", digest, &shown, marks)
        })
    };
    let cards = [card("Before", was, &gone), card("After", is, &come)];
    let [before, after] = cards;
    let both = [before.is_some(), after.is_some()];
    let mut numbered = numbered(before.into_iter().chain(after).collect(), "state").into_iter();
    let [had, has] = both.map(|there| there.then(|| numbered.next()).flatten());
    (had, has)
}

/// Pointers of values that only one side has, or has otherwise.
fn differ(
    at: &str,
    old: &Value,
    new: &Value,
    gone: &mut BTreeMap<String, String>,
    come: &mut BTreeMap<String, String>,
) {
    match (old, new) {
        (Value::Object(was), Value::Object(is)) => {
            for (key, value) in was {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match is.get(key) {
                    Some(other) => differ(&place, value, other, gone, come),
                    None => drop(gone.insert(place, "only before".to_owned())),
                }
            }
            for key in is.keys().filter(|key| !was.contains_key(*key)) {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                come.insert(place, "only after".to_owned());
            }
        }
        // Statements and values are told apart by what they are, wherever they stand.
        (Value::Array(was), Value::Array(is)) => {
            let alone = |list: &[Value], other: &[Value]| -> Vec<usize> {
                list.iter().enumerate().filter(|(_, it)| !other.contains(it)).map(|(n, _)| n).collect()
            };
            let (left, right) = (alone(was, is), alone(is, was));
            match (left.as_slice(), right.as_slice()) {
                ([one], [other]) => {
                    if let (Some(a), Some(b)) = (was.get(*one), is.get(*other)) {
                        let (mut here, mut there) = (BTreeMap::new(), BTreeMap::new());
                        differ("", a, b, &mut here, &mut there);
                        gone.extend(here.into_iter().map(|(place, note)| (format!("{at}/{one}{place}"), note)));
                        come.extend(there.into_iter().map(|(place, note)| (format!("{at}/{other}{place}"), note)));
                    }
                }
                _ => {
                    gone.extend(left.into_iter().map(|n| (format!("{at}/{n}"), "only before".to_owned())));
                    come.extend(right.into_iter().map(|n| (format!("{at}/{n}"), "only after".to_owned())));
                }
            }
        }
        (a, b) if a == b => {}
        _ => {
            gone.insert(at.to_owned(), "before".to_owned());
            come.insert(at.to_owned(), "after".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_marked_where_it_stands() {
        for (old, new, gone, come) in [
            (json!({"a": 1}), json!({"a": 1}), vec![], vec![]),
            (json!({"a": 1}), json!({"a": 2}), vec!["/a"], vec!["/a"]),
            (json!({"a": 1}), json!({"b/c": 1}), vec!["/a"], vec!["/b~1c"]),
            (json!(["x", "y"]), json!(["y", "x"]), vec![], vec![]),
            (json!(["x", "y"]), json!(["y", "z", "u"]), vec!["/0"], vec!["/1", "/2"]),
            (json!([{"a": 1, "b": 2}]), json!([{"a": 1, "b": 3}]), vec!["/0/b"], vec!["/0/b"]),
        ] {
            let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
            differ("", &old, &new, &mut left, &mut right);
            let places = |map: BTreeMap<String, String>| map.into_keys().collect::<Vec<_>>();
            assert_eq!(
                (places(left), places(right)),
                (gone.iter().map(ToString::to_string).collect(), come.iter().map(ToString::to_string).collect()),
                "{old} {new}"
            );
        }
    }
}
