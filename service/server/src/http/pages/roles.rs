//! `/roles` and one role: who uses it, who may assume it, what it may do.

use super::associations::{Pair, SessionLine, lines};
use super::baselines::BaselineCard;
use super::changes::History;
use super::estate::PageContext;
use super::list::{ListFrame, ListOf, Select, select};
use super::parts::{DocumentCard, FindingLine, Seen, association_href, numbered, role_href, tags_line};
use super::tools::ListTools;
use super::usage::UsageCard;
use crate::http::as_of::AT;
use crate::http::error::AppError;
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::inventory::{digests, sessions_since};
use crate::http::list_pages::ROLES;
use crate::http::listing;
use crate::http::query::{encode, query};
use crate::http::rule_text::titles;
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery};
use rolecall_audit::drift::baseline::Configuration;
use rolecall_estate::{Documents, Role};
use rolecall_iam::{Digest, RoleArn};
use rolecall_rules::Evidence;
use rolecall_store::{
    AsOf, AssociationFilter, AssociationRow, Finding, FindingFilter, FindingSort, PolicyRow, RoleRow, SessionFilter,
    UsageOf,
};
use std::collections::BTreeMap;

const PATH: &str = "/roles";

query! {
    /// A page of one thing shows it as of a moment.
    OneQuery = &[AT]
}

/// A row of the list.
struct Line {
    href: String,
    name: String,
    path: String,
    account_name: String,
    account_id: String,
    policies: usize,
    associations: u64,
    /// When IAM last saw it used.
    last_used: Option<Stamp>,
    /// When a session of it was opened, where that is known and later.
    later_session: Option<Stamp>,
    /// `None`: they are not told of a time that has passed.
    findings: Option<u64>,
    last_used_region: String,
    boundary: String,
    instance_profiles: String,
    created: Option<Stamp>,
    role_id: String,
    resource_tags: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/roles.html")]
pub(crate) struct RolesPage {
    chrome: Chrome,
    seen: Seen,
    list: ListFrame,
    tools: ListTools,
    lines: Vec<Line>,
}

/// `GET /roles`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<RolesPage, AppError> {
    let params = ROLES.parse(raw.as_deref())?;
    let context = PageContext::as_of(&app, &params, PATH, &mut chrome).await?;
    let list = filters::roles_in_order(&params, context.as_of);
    let slice = listing::shown(&app, &params, &list).await?;
    let total = app.store.count_roles(&list.filter).await?;
    let tools = ListTools::load(&app, &chrome, &ROLES, &params).await?;
    let of = ListOf {
        page: &ROLES,
        api: "/api/v1/roles",
        table: filters::ROLES,
        one: "role",
        many: "roles",
        searched: "part of the ARN",
        params: &params,
    };
    let selects = selects(&params, &context);
    Ok(RolesPage {
        tools,
        list: ListFrame::new(&of, &chrome.origin(&app), selects, &slice, total, &context.seen),
        lines: slice.rows.iter().map(|row| Line::new(row, &context)).collect(),
        seen: context.seen,
        chrome,
    })
}

fn selects(params: &crate::http::query::Params, context: &PageContext) -> Vec<Select> {
    let used =
        [("true", "By an association"), ("false", "By no association")].map(|(v, l)| (v.to_owned(), l.to_owned()));
    vec![select("account_id", "Account", context.names.choices(), params), select("associated", "Used", used, params)]
}

impl Line {
    fn new(row: &RoleRow, context: &PageContext) -> Self {
        let role = &row.role;
        Self {
            href: context.href(&role_href(role.arn.as_str())),
            name: role.arn.name().to_owned(),
            path: role.arn.path().to_owned(),
            account_name: context.names.name(role.arn.account_id()).to_owned(),
            account_id: role.arn.account_id().to_string(),
            policies: role.inline.len() + role.attached.len(),
            associations: row.associations,
            last_used: row.last_used_at.map(|at| Stamp::new(at, context.now)),
            later_session: row
                .last_session_at
                .filter(|at| row.last_used_at.is_none_or(|used| *at > used))
                .map(|at| Stamp::new(at, context.now)),
            findings: row.open_findings,
            last_used_region: row.last_used_region.clone().unwrap_or_default(),
            boundary: role.boundary.as_ref().map(ToString::to_string).unwrap_or_default(),
            instance_profiles: role.instance_profiles.join(", "),
            created: role.created_at.map(|at| Stamp::new(at, context.now)),
            role_id: role.role_id.clone(),
            resource_tags: tags_line(&role.tags),
        }
    }
}

/// An association that names the role.
struct User {
    href: String,
    name: String,
    place: String,
    part: &'static str,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/role.html")]
pub(crate) struct RolePage {
    chrome: Chrome,
    name: String,
    arn: String,
    simulate: String,
    assumable_by: String,
    report: String,
    json: String,
    account: String,
    account_id: String,
    role_id: String,
    created: Option<Stamp>,
    last_used: Option<Stamp>,
    last_used_region: String,
    last_session: Option<Stamp>,
    boundary: String,
    instance_profiles: Vec<String>,
    tags: Vec<Pair>,
    users: Vec<User>,
    user_count: String,
    documents: Vec<DocumentCard>,
    unseen: Vec<String>,
    usage: UsageCard,
    baseline: Option<BaselineCard>,
    history: History,
    sessions: Vec<SessionLine>,
    findings: Vec<FindingLine>,
    all_findings: String,
}

/// `GET /roles/{arn}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(arn): Path<String>,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<RolePage, AppError> {
    let params = OneQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("role `{arn}`"));
    let wanted: RoleArn = arn.parse().map_err(|_| unknown())?;
    let context = PageContext::as_of(&app, &params, &role_href(wanted.as_str()), &mut chrome).await?;
    let row = app.store.role(&wanted, context.as_of).await?.ok_or_else(unknown)?;
    let since = sessions_since(&app, context.now);
    let policies = app.store.policies_of(&row.role, context.as_of).await?;
    let documents = app.store.documents(&digests(&row.role, &policies)).await?;
    let used_by =
        AssociationFilter { role_arn: Some(arn.clone()), as_of: context.as_of, ..AssociationFilter::default() };
    let users = app.store.associations(&used_by, None, 100, since).await?;
    let concerning = FindingFilter { role_arn: Some(arn.clone()), ..FindingFilter::default() };
    let findings = app.store.findings(&concerning, FindingSort::Severity, None, 50).await?;
    let of_role = SessionFilter {
        role_arn: Some(arn),
        since: Some(since),
        until: context.as_of.map(AsOf::at),
        ..SessionFilter::default()
    };
    let sessions = app.store.sessions(&of_role, None, 20).await?;
    let accounts = [row.role.arn.account_id()];
    let used = UsageOf::Role(row.role.arn.to_string());
    let usage =
        UsageCard::load(&app, used, super::parts::unused_access_of_role(row.role.arn.as_str()), &accounts, &context)
            .await?;
    let history = History::of_resource(&app, row.role.arn.as_str(), &context).await?;
    let baseline = match context.as_of {
        Some(_) => None,
        None => {
            let (arn, present) = (&row.role.arn, Configuration::Role(Box::new(row.role.clone())));
            let card = BaselineCard::of_resource(&app, arn.account_id(), present, arn.as_str(), &chrome, &context);
            Some(card.await?)
        }
    };
    let mut page = RolePage::new(chrome, &row, &users, (usage, history), &context);
    page.findings = lines(&findings, &titles(&app), &context);
    // What findings are about may have been otherwise then.
    let findings = if context.as_of.is_some() { Vec::new() } else { app.store.decided(findings).await? };
    (page.documents, page.unseen) = cards(&row.role, &policies, &documents, &findings);
    page.baseline = baseline;
    page.sessions = sessions.iter().map(|session| SessionLine::new(session, context.now)).collect();
    Ok(page)
}

/// Every document of the role, with what open findings mark in it; and what was not seen.
fn cards(
    role: &Role,
    policies: &[PolicyRow],
    documents: &Documents,
    findings: &[Finding],
) -> (Vec<DocumentCard>, Vec<String>) {
    let open = |finding: &&Finding| finding.row.resolved_at.is_none();
    let evidence: Vec<&Evidence> = findings.iter().filter(open).flat_map(|finding| &finding.evidence).collect();
    let marks = |digest: Digest| {
        let mut marks: BTreeMap<String, String> = BTreeMap::new();
        for e in evidence.iter().filter(|e| e.document == Some(digest)) {
            marks.entry(e.pointer.clone()).or_insert_with(|| e.label.clone());
        }
        marks
    };
    let (mut cards, mut unseen) = (Vec::new(), Vec::new());
    let mut add = |title: String, subtitle: &str, digest: Option<Digest>| match digest.and_then(|d| documents.get(&d)) {
        Some(document) => {
            let digest = document.digest;
            cards.push(DocumentCard::new(&title, subtitle, Some(digest), &document.text, &marks(digest)));
        }
        None => unseen.push(title),
    };
    add("Trust policy".to_owned(), "who may assume the role", role.trust);
    for policy in &role.inline {
        add(format!("Inline policy {}", policy.name), "", Some(policy.document));
    }
    for attached in &role.attached {
        let found = policies.iter().find(|row| !row.is_boundary && row.policy.arn == attached.arn);
        add(
            format!("Managed policy {}", attached.name),
            attached.arn.as_str(),
            found.and_then(|row| row.policy.document),
        );
    }
    if let Some(boundary) = &role.boundary {
        let found = policies.iter().find(|row| row.is_boundary);
        add("Permissions boundary".to_owned(), boundary.as_str(), found.and_then(|row| row.policy.document));
    }
    (numbered(cards, "document"), unseen)
}

impl RolePage {
    fn new(
        chrome: Chrome,
        row: &RoleRow,
        users: &[AssociationRow],
        (usage, history): (UsageCard, History),
        context: &PageContext,
    ) -> Self {
        let role = &row.role;
        let arn = role.arn.as_str();
        let account_id = role.arn.account_id();
        let user = |user: &AssociationRow| {
            let key = &user.association.key;
            let as_role = user.association.detail.as_ref().is_some_and(|d| d.role_arn == arn);
            User {
                href: context.href(&association_href(&key.to_string())),
                name: format!("{}/{}", key.namespace, key.service_account),
                place: format!("{}, {}, {}", key.cluster, key.region, context.names.of(key.account_id)),
                part: if as_role { "role" } else { "target role" },
            }
        };
        Self {
            chrome,
            name: role.arn.name().to_owned(),
            simulate: context.and_at(super::simulate::href(arn)),
            assumable_by: context.and_at(super::assumable_by::href(arn)),
            report: super::access_report::of_role(arn),
            json: context.href(&format!("/api/v1/roles/{}", encode(arn).replace('/', "%2F"))),
            account: context.names.of(account_id),
            account_id: account_id.to_string(),
            role_id: role.role_id.clone(),
            created: role.created_at.map(|at| Stamp::new(at, context.now)),
            last_used: row.last_used_at.map(|at| Stamp::new(at, context.now)),
            last_used_region: row.last_used_region.clone().unwrap_or_default(),
            last_session: row.last_session_at.map(|at| Stamp::new(at, context.now)),
            boundary: role.boundary.as_ref().map(ToString::to_string).unwrap_or_default(),
            instance_profiles: role.instance_profiles.clone(),
            tags: role.tags.iter().map(|(name, value)| Pair { name: name.clone(), value: value.clone() }).collect(),
            users: users.iter().map(user).collect(),
            user_count: words::count_u64(row.associations),
            documents: Vec::new(),
            unseen: Vec::new(),
            usage,
            baseline: None,
            history,
            sessions: Vec::new(),
            findings: Vec::new(),
            all_findings: format!("/findings?state=open,acknowledged,suppressed,resolved&role_arn={}", encode(arn)),
            arn: arn.to_owned(),
        }
    }
}
