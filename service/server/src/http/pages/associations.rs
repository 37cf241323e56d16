//! `/associations` and one association: who gets which role, and what is known around it.

use super::baselines::BaselineCard;
use super::chain;
use super::changes::History;
use super::estate::PageContext;
use super::list::{ListFrame, ListOf, select};
use super::owner::{OwnerLine, owned_choices};
use super::parts::{
    Badge, DocumentCard, FindingLine, Node, Seen, SeverityMark, association_href, badge, role_href, session_href,
    tags_line,
};
use super::tools::ListTools;
use super::usage::UsageCard;
use crate::app::App;
use crate::http::as_of::AT;
use crate::http::error::AppError;
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::inventory::{read_key, sessions_since};
use crate::http::list_pages::ASSOCIATIONS;
use crate::http::listing;
use crate::http::lists::Associations;
use crate::http::query::{encode, query};
use crate::http::rule_text::titles;
use crate::http::view::words::{self, Stamp, short_name};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::baseline::Configuration;
use rolecall_audit::finding::Workflow;
use rolecall_estate::{Association, AssociationKey, Session};
use rolecall_iam::RoleArn;
use rolecall_store::{AsOf, AssociationRow, FindingFilter, FindingSort, SessionFilter, UsageOf};
use std::collections::{BTreeMap, BTreeSet};

const PATH: &str = "/associations";

query! {
    /// A page of one thing shows it as of a moment.
    OneQuery = &[AT]
}

/// A role in a cell: its name, where it leads, and whether it is known.
struct RoleCell {
    name: String,
    href: String,
    note: &'static str,
}

/// A row of the list.
struct Line {
    href: String,
    name: String,
    cluster: String,
    region: String,
    account_name: String,
    account_id: String,
    role: Option<RoleCell>,
    target: Option<RoleCell>,
    tags: Badge,
    owner: OwnerLine,
    /// `None`: they are not told of a time that has passed.
    findings: Option<u64>,
    findings_href: String,
    worst: Option<SeverityMark>,
    sessions: String,
    last_session: Option<Stamp>,
    /// Whether what `DescribePodIdentityAssociation` shows was seen.
    described: bool,
    association_id: String,
    external_id: String,
    owner_arn: String,
    created: Option<Stamp>,
    modified: Option<Stamp>,
    resource_tags: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/associations.html")]
pub(crate) struct AssociationsPage {
    chrome: Chrome,
    seen: Seen,
    list: ListFrame,
    tools: ListTools,
    lines: Vec<Line>,
}

/// `GET /associations`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<AssociationsPage, AppError> {
    let params = ASSOCIATIONS.parse(raw.as_deref())?;
    let context = PageContext::as_of(&app, &params, PATH, &mut chrome).await?;
    let filter = filters::associations(&params, context.as_of);
    let list = Associations { filter, sessions_since: sessions_since(&app, context.now) };
    let slice = listing::shown(&app, &params, &list).await?;
    let total = app.store.count_associations(&list.filter).await?;
    let tools = ListTools::load(&app, &chrome, &ASSOCIATIONS, &params).await?;
    let of = ListOf {
        page: &ASSOCIATIONS,
        api: "/api/v1/associations",
        table: filters::ASSOCIATIONS,
        one: "association",
        many: "associations",
        searched: "cluster, namespace, service account or role",
        params: &params,
    };
    let selects = vec![
        select("account_id", "Account", context.names.choices(), &params),
        select("owned", "Has an owner", owned_choices(), &params),
    ];
    Ok(AssociationsPage {
        tools,
        list: ListFrame::new(&of, &chrome.origin(&app), selects, &slice, total, &context.seen),
        lines: slice.rows.iter().map(|row| Line::new(row, &context)).collect(),
        seen: context.seen,
        chrome,
    })
}

impl Line {
    fn new(row: &AssociationRow, context: &PageContext) -> Self {
        let Association { key, detail, .. } = &row.association;
        let cell = |arn: &str, exists: Option<bool>| RoleCell {
            name: short_name(arn).to_owned(),
            href: if exists == Some(true) { context.href(&role_href(arn)) } else { String::new() },
            note: if exists == Some(true) { "" } else { "not in the inventory" },
        };
        Self {
            href: context.href(&association_href(&key.to_string())),
            name: format!("{}/{}", key.namespace, key.service_account),
            cluster: key.cluster.to_string(),
            region: key.region.to_string(),
            account_name: context.names.name(key.account_id).to_owned(),
            account_id: key.account_id.to_string(),
            role: detail.as_ref().map(|d| cell(&d.role_arn, row.role_exists)),
            target: detail.as_ref().and_then(|d| Some(cell(d.target_role_arn.as_deref()?, row.target_role_exists))),
            tags: tags(&row.association),
            owner: OwnerLine::new(row.owner.as_ref()),
            findings: row.open_findings,
            findings_href: format!("/findings?association={}", encode(&key.to_string())),
            worst: row.worst.map(SeverityMark::from),
            sessions: words::count_u64(row.role_sessions),
            last_session: row.role_last_session.map(|at| Stamp::new(at, context.now)),
            described: detail.is_some(),
            association_id: row.association.association_id.clone(),
            external_id: detail.as_ref().and_then(|it| it.external_id.clone()).unwrap_or_default(),
            owner_arn: row.association.owner_arn.clone().unwrap_or_default(),
            created: detail.as_ref().and_then(|it| it.created_at).map(|at| Stamp::new(at, context.now)),
            modified: detail.as_ref().and_then(|it| it.modified_at).map(|at| Stamp::new(at, context.now)),
            resource_tags: detail.as_ref().map(|it| tags_line(&it.tags)).unwrap_or_default(),
        }
    }
}

fn tags(association: &Association) -> Badge {
    match &association.detail {
        None => badge("unseen", "Not seen"),
        Some(detail) if detail.disable_session_tags => badge("", "Off"),
        Some(_) => badge("ok", "On"),
    }
}

/// A session in a table.
pub(super) struct SessionLine {
    pub(super) href: String,
    pub(super) at: Stamp,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) principal: String,
    pub(super) refused: String,
}

impl SessionLine {
    /// The line of a session.
    pub(super) fn new(session: &Session, now: DateTime<Utc>) -> Self {
        Self {
            href: session_href(session),
            at: Stamp::new(session.at, now),
            name: session.session_name.clone().unwrap_or_else(|| "no name".to_owned()),
            kind: words::session_kind(session.kind),
            principal: session.principal.clone(),
            refused: session.error.clone().unwrap_or_default(),
        }
    }
}

/// A name with its value.
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/association.html")]
pub(crate) struct AssociationPage {
    chrome: Chrome,
    name: String,
    cluster: String,
    region: String,
    account: String,
    account_id: String,
    report: String,
    simulate: String,
    json: String,
    described: bool,
    chain: Vec<Node>,
    tags: Badge,
    external_id: String,
    association_id: String,
    arn: String,
    add_on: String,
    owner: OwnerLine,
    created: Option<Stamp>,
    modified: Option<Stamp>,
    resource_tags: Vec<Pair>,
    extra: Vec<Pair>,
    policy: Option<DocumentCard>,
    usage: UsageCard,
    baseline: Option<BaselineCard>,
    history: History,
    sessions: Vec<SessionLine>,
    session_count: String,
    days: u16,
    findings: Vec<FindingLine>,
    /// Why there may be more findings than are shown; empty where there are not.
    findings_note: String,
    all_findings: String,
}

/// `GET /associations/{account}/{region}/{cluster}/{namespace}/{service account}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(path): Path<String>,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<AssociationPage, AppError> {
    let params = OneQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("association `{path}`"));
    let key = read_key(&path).ok_or_else(unknown)?;
    let context = PageContext::as_of(&app, &params, &association_href(&key.to_string()), &mut chrome).await?;
    let since = sessions_since(&app, context.now);
    let row = app.store.association(&key, since, context.as_of).await?.ok_or_else(unknown)?;
    let detail = row.association.detail.as_ref();
    let documents = app.store.documents(detail.and_then(|d| d.policy).as_slice()).await?;
    let of_role = |arn: &String| SessionFilter {
        role_arn: Some(arn.clone()),
        since: Some(since),
        until: context.as_of.map(AsOf::at),
        ..SessionFilter::default()
    };
    let sessions = match detail.map(|d| of_role(&d.role_arn)) {
        Some(filter) => app.store.sessions(&filter, None, 20).await?,
        None => Vec::new(),
    };
    let findings = findings_of(&app, &key).await?;
    let mut accounts = BTreeSet::from([key.account_id]);
    let roles = detail.iter().flat_map(|d| [Some(&d.role_arn), d.target_role_arn.as_ref()]).flatten();
    accounts.extend(roles.filter_map(|arn| Some(arn.parse::<RoleArn>().ok()?.account_id())));
    let accounts: Vec<_> = accounts.into_iter().collect();
    let of = UsageOf::Association(row.association.association_id.clone());
    let usage =
        UsageCard::load(&app, of, super::parts::unused_access_of_pods(&key.to_string()), &accounts, &context).await?;
    let coverage = match context.as_of {
        None => app.store.coverage(&accounts).await?,
        Some(as_of) => app.store.coverage_at(as_of, &accounts).await?,
    };
    let chain = chain::of_association(&row, &context, &coverage);
    let days = app.config.aws.trail_lookback_days;
    let history = History::of_workload(&app, &key, &context).await?;
    let baseline = match context.as_of {
        Some(_) => None,
        None => {
            let (name, present) = (key.to_string(), Configuration::Association(Box::new(row.association.clone())));
            Some(BaselineCard::of_resource(&app, key.account_id, present, &name, &chrome, &context).await?)
        }
    };
    let mut page = AssociationPage::new(chrome, &row, &context, &sessions, (usage, history), days);
    page.chain = chain;
    page.baseline = baseline;
    page.policy = detail.and_then(|d| documents.get(&d.policy?)).map(|document| {
        DocumentCard::new("Session policy", "", Some(document.digest), &document.text, &BTreeMap::new())
    });
    let titles = titles(&app);
    page.findings = lines(&findings, &titles, &context);
    Ok(page)
}

/// Findings of one subject, as lines.
pub(super) fn lines(
    rows: &[rolecall_store::FindingRow],
    titles: &BTreeMap<String, String>,
    context: &PageContext,
) -> Vec<FindingLine> {
    let title = |rule: &str| titles.get(rule).cloned().unwrap_or_else(|| rule.to_owned());
    rows.iter().map(|row| FindingLine::new(row, title(&row.rule), &context.names, context.now)).collect()
}

/// What is open about an association and the roles that it reaches, the worst first.
async fn findings_of(app: &App, key: &AssociationKey) -> Result<Vec<rolecall_store::FindingRow>, AppError> {
    let open = vec![Workflow::Open, Workflow::Acknowledged, Workflow::Suppressed];
    let filter = FindingFilter { association: Some(key.clone()), workflow: open, ..FindingFilter::default() };
    Ok(app.store.findings(&filter, FindingSort::Severity, None, 50).await?)
}

impl AssociationPage {
    fn new(
        chrome: Chrome,
        row: &AssociationRow,
        context: &PageContext,
        sessions: &[Session],
        (usage, history): (UsageCard, History),
        days: u16,
    ) -> Self {
        let Association { key, detail, association_id, arn, owner_arn } = &row.association;
        let path = key.to_string();
        let stamp = |at: Option<DateTime<Utc>>| at.map(|at| Stamp::new(at, context.now));
        let pair = |(name, value): (&String, String)| Pair { name: name.clone(), value };
        let detail = detail.as_ref();
        Self {
            chrome,
            name: format!("{}/{}", key.namespace, key.service_account),
            cluster: key.cluster.to_string(),
            region: key.region.to_string(),
            account: context.names.of(key.account_id),
            account_id: key.account_id.to_string(),
            report: super::access_report::of_workload(&path),
            simulate: context.and_at(super::simulate::href(&path)),
            json: context.href(&format!("/api/v1{}", association_href(&path))),
            described: detail.is_some(),
            chain: Vec::new(),
            tags: tags(&row.association),
            external_id: detail.and_then(|d| d.external_id.clone()).unwrap_or_default(),
            association_id: association_id.clone(),
            arn: arn.clone(),
            add_on: owner_arn.clone().unwrap_or_default(),
            owner: OwnerLine::new(row.owner.as_ref()),
            created: stamp(detail.and_then(|d| d.created_at)),
            modified: stamp(detail.and_then(|d| d.modified_at)),
            resource_tags: detail.iter().flat_map(|d| d.tags.iter().map(|(n, v)| pair((n, v.clone())))).collect(),
            extra: detail.iter().flat_map(|d| d.extra.iter().map(|(n, v)| pair((n, v.to_string())))).collect(),
            policy: None,
            usage,
            baseline: None,
            history,
            sessions: sessions.iter().map(|session| SessionLine::new(session, context.now)).collect(),
            session_count: words::count_u64(row.role_sessions),
            days,
            findings: Vec::new(),
            findings_note: match row.association.detail {
                Some(_) => String::new(),
                None => "Its role is unknown, so findings on the role are not included.".to_owned(),
            },
            all_findings: format!(
                "/findings?state=open,acknowledged,suppressed,resolved&association={}",
                encode(&path)
            ),
        }
    }
}
