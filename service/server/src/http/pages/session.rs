//! One session as a story: from which pod or caller it comes, what it became, and what it called.

use super::associations::Pair;
use super::estate::PageContext;
use super::parts::{AttributionMark, Link, Node, association_links, role_href, session_href};
use super::sessions::association_names;
use super::usage::{UseLine, use_line};
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::query;
use crate::http::view::words::{self, Stamp, short_name};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery};
use futures::TryStreamExt as _;
use rolecall_estate::{Session, SessionKind};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{UsageOf, UsageWindow};

/// Sessions below that are listed; the API gives more.
const BELOW: usize = 50;

query! {
    /// A page of one thing takes no parameter.
    NoQuery = &[]
}

/// A session that follows from this one.
struct After {
    href: String,
    at: Stamp,
    name: String,
    kind: &'static str,
    role: String,
    account: String,
    error: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/session.html")]
pub(crate) struct SessionPage {
    chrome: Chrome,
    name: String,
    kind: &'static str,
    at: Stamp,
    account: String,
    account_id: String,
    json: String,
    error: String,
    chain: Vec<Node>,
    orphan: String,
    attribution: AttributionMark,
    association: Option<Link>,
    candidates: Vec<Link>,
    role: Option<Link>,
    facts: Vec<Pair>,
    tags: Vec<Pair>,
    after: Vec<After>,
    more: bool,
    calls: Vec<UseLine>,
    no_calls: &'static str,
}

/// `GET /sessions/{account}/{event}`
pub(crate) async fn page(
    Visible(app): Visible,
    Path((account_id, event_id)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<SessionPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("session `{account_id}/{event_id}`"));
    let account: AccountId = account_id.parse().map_err(|_| unknown())?;
    let session = app.store.session(account, &event_id).await?.ok_or_else(unknown)?;
    let context = PageContext::load(&app).await?;
    let names = association_names(&app, std::slice::from_ref(&session)).await?;
    let calls: Vec<UseLine> = match session.access_key_id.clone() {
        Some(key) => {
            let rows: Vec<_> =
                app.whole().usage(&UsageOf::Key(key), UsageWindow::default(), true).try_collect().await?;
            rows.iter().map(|row| use_line(row, context.now)).collect()
        }
        None => Vec::new(),
    };
    let day = session.at.date_naive();
    let role: Option<RoleArn> = session.role_arn.as_deref().and_then(|arn| arn.parse().ok());
    let mut recorders = vec![account];
    recorders.extend(role.as_ref().map(RoleArn::account_id));
    let read = app.store.trail_days(&recorders, UsageWindow { since: Some(day), until: None }).await?;
    let no_calls = match (&session.access_key_id, read.is_empty()) {
        (None, _) => "The event has no access key, so no call can be attributed to this session.",
        (Some(_), true) => {
            "No CloudTrail data of this account was read since, so the calls of the session are unknown."
        }
        (Some(_), false) => {
            "No call with its access key was read. Calls of older keys are kept by role and association only."
        }
    };
    let present = match &role {
        Some(arn) => app.store.role(arn, None).await?.is_some(),
        None => false,
    };
    let chain = app.store.chain(session.clone()).await?;
    let attribution = session.attribution.as_deref().cloned().unwrap_or_default();
    Ok(SessionPage {
        name: session.session_name.clone().unwrap_or_else(|| "Session without a name".to_owned()),
        kind: words::session_kind(session.kind),
        at: Stamp::new(session.at, context.now),
        account: context.names.of(account),
        account_id: account.to_string(),
        json: format!("/api/v1{}", session_href(&session)),
        error: session.error.clone().unwrap_or_default(),
        orphan: orphan(&chain.up),
        attribution: AttributionMark::new(session.attribution.as_deref()),
        association: association_links(attribution.association_id.as_slice(), &names).pop(),
        candidates: association_links(&attribution.candidates, &names),
        role: session.role_arn.as_ref().map(|arn| Link {
            name: arn.clone(),
            place: if present { "" } else { "not in the inventory" }.to_owned(),
            href: if present { role_href(arn) } else { String::new() },
        }),
        facts: facts(&session),
        tags: session.tags.iter().map(|(n, v)| Pair { name: n.clone(), value: v.clone() }).collect(),
        after: chain.down.iter().take(BELOW).map(|row| After::new(row, &context)).collect(),
        more: chain.more || chain.down.len() > BELOW,
        chain: story(&chain.up, &context),
        calls,
        no_calls,
        chrome,
    })
}

/// Where the story begins before anything that was seen.
fn orphan(up: &[Session]) -> String {
    let Some(session) = up.first() else { return String::new() };
    match &session.parent_access_key_id {
        Some(key)
            if session.kind != SessionKind::PodIdentity
                && session.attribution.as_ref().is_none_or(|found| found.association_id.is_none()) =>
        {
            format!("The first session was created with access key {key}. A session that owns this key is unknown.")
        }
        _ => String::new(),
    }
}

/// Who it was at first, then each session; the last is the one asked for.
fn story(up: &[Session], context: &PageContext) -> Vec<Node> {
    let Some(first) = up.first() else { return Vec::new() };
    let mut nodes = vec![origin(first)];
    for (at, session) in up.iter().enumerate() {
        let last = at + 1 == up.len();
        let mut notes = vec![words::session_kind(session.kind).to_owned()];
        notes.extend(session.session_name.iter().cloned());
        notes.push(Stamp::new(session.at, context.now).text);
        let role: Option<RoleArn> = session.role_arn.as_deref().and_then(|arn| arn.parse().ok());
        notes.push(context.names.of(role.map_or(session.account_id, |arn| arn.account_id())));
        notes.extend(session.error.iter().map(|error| format!("refused: {error}")));
        nodes.push(Node {
            class: if last { "subject" } else { "" },
            icon: "role",
            kind: "Assumed role".to_owned(),
            name: session.role_arn.as_deref().map_or("a role that the event does not name", short_name).to_owned(),
            href: if last { String::new() } else { session_href(session) },
            notes,
        });
    }
    nodes
}

fn origin(session: &Session) -> Node {
    let attribution = session.attribution.as_deref().cloned().unwrap_or_default();
    let of_pod =
        matches!(session.kind, SessionKind::PodIdentity | SessionKind::PodIdentityTarget | SessionKind::AgentRequest);
    let workload = match (&attribution.namespace, &attribution.service_account) {
        (Some(namespace), Some(account)) => Some(format!("{namespace}/{account}")),
        (Some(namespace), None) => Some(format!("namespace {namespace}")),
        _ => None,
    };
    let notes = [
        attribution.pod.as_ref().map(|pod| format!("pod {pod}")),
        session.cluster.as_ref().map(|c| format!("cluster {c}")),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    let node = |class, icon, kind: &str, name: String, notes| Node {
        class,
        icon,
        kind: kind.to_owned(),
        name,
        href: String::new(),
        notes,
    };
    match workload {
        Some(name) => node("", "cluster", "Pod", name, notes),
        None if of_pod => {
            let why = attribution.reason.clone().unwrap_or_else(|| "not attributed to an association".to_owned());
            node("unseen", "cluster", "Pod", "not known".to_owned(), notes.into_iter().chain([why]).collect())
        }
        None => {
            let name = if session.principal.is_empty() { "not named" } else { short_name(&session.principal) };
            node(
                "",
                "person",
                "Caller",
                name.to_owned(),
                vec![session.principal_type.clone(), session.principal.clone()],
            )
        }
    }
}

fn facts(session: &Session) -> Vec<Pair> {
    let pair = |name: &str, value: Option<String>| {
        Some(Pair { name: name.to_owned(), value: value.filter(|v| !v.is_empty())? })
    };
    [
        pair("Caller", Some(session.principal.clone())),
        pair("Caller type", Some(session.principal_type.clone())),
        pair("Source IP address", session.source_ip.clone()),
        pair("Region", Some(session.region.to_string())),
        pair("Access key id", session.access_key_id.clone()),
        pair("Access key id of the caller", session.parent_access_key_id.clone()),
        pair("Cluster", session.cluster.clone()),
        pair("Pod", session.attribution.as_ref().and_then(|found| found.pod.clone())),
        pair("External id", session.external_id.clone()),
        pair("Requested duration", session.duration_seconds.map(|s| words::span(i64::from(s) * 1_000))),
        pair("Packed policy size", session.packed_policy_size.map(|p| format!("{p} % of the limit"))),
        pair("Event id", Some(session.event_id.clone())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl After {
    fn new(session: &Session, context: &PageContext) -> Self {
        Self {
            href: session_href(session),
            at: Stamp::new(session.at, context.now),
            name: session.session_name.clone().unwrap_or_else(|| "no name".to_owned()),
            kind: words::session_kind(session.kind),
            role: session.role_arn.as_deref().map(short_name).unwrap_or_default().to_owned(),
            account: context.names.of(session.account_id),
            error: session.error.clone().unwrap_or_default(),
        }
    }
}
