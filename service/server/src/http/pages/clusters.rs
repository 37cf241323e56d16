//! `/clusters` and one cluster: its namespaces, add-ons and access entries, and what was found in it.

use super::associations::lines;
use super::baselines::BaselineCard;
use super::changes::History;
use super::estate::PageContext;
use super::list::{ListFrame, ListOf, select};
use super::parts::{Badge, FindingLine, Seen, SeverityMark, badge, cluster_href, role_href, tags_line};
use super::tools::ListTools;
use crate::app::App;
use crate::http::as_of::AT;
use crate::http::error::AppError;
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::list_pages::CLUSTERS;
use crate::http::listing;
use crate::http::query::{encode, query};
use crate::http::rule_text::titles;
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery};
use rolecall_audit::drift::baseline::Configuration;
use rolecall_audit::finding::Workflow;
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AccessEntry, AccessPolicy, Addon, Cluster};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, ClusterRow, FindingFilter, FindingSort, NamespaceRow};
use std::collections::BTreeSet;

const PATH: &str = "/clusters";
/// So many findings are shown of one cluster.
const FINDINGS: u32 = 20;

query! {
    /// Query of one cluster: as of a time.
    OneQuery = &[AT]
}

/// A row of the list.
struct Line {
    href: String,
    name: String,
    region: String,
    account_name: String,
    account_id: String,
    version: String,
    agent: Badge,
    associations: u64,
    associations_href: String,
    /// `None`: they are not told of a time that has passed.
    findings: Option<u64>,
    findings_href: String,
    worst: Option<SeverityMark>,
    namespaces: u64,
    status: String,
    authentication: String,
    role: String,
    created: Option<Stamp>,
    resource_tags: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/clusters.html")]
pub(crate) struct ClustersPage {
    chrome: Chrome,
    seen: Seen,
    list: ListFrame,
    tools: ListTools,
    lines: Vec<Line>,
}

/// `GET /clusters`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<ClustersPage, AppError> {
    let params = CLUSTERS.parse(raw.as_deref())?;
    let context = PageContext::as_of(&app, &params, PATH, &mut chrome).await?;
    let list = filters::clusters_in_order(&params, context.as_of);
    let slice = listing::shown(&app, &params, &list).await?;
    let total = app.store.count_clusters(&list.filter).await?;
    let tools = ListTools::load(&app, &chrome, &CLUSTERS, &params).await?;
    let of = ListOf {
        page: &CLUSTERS,
        api: "/api/v1/clusters",
        table: filters::CLUSTERS,
        one: "cluster",
        many: "clusters",
        searched: "cluster name or ARN",
        params: &params,
    };
    let selects = vec![select("account_id", "Account", context.names.choices(), &params)];
    Ok(ClustersPage {
        tools,
        list: ListFrame::new(&of, &chrome.origin(&app), selects, &slice, total, &context.seen),
        lines: slice.rows.iter().map(|row| Line::new(row, &context)).collect(),
        seen: context.seen,
        chrome,
    })
}

impl Line {
    fn new(row: &ClusterRow, context: &PageContext) -> Self {
        let Cluster { account_id, region, name, .. } = &row.cluster;
        Self {
            href: context.href(&cluster_href(*account_id, region.as_str(), name.as_str())),
            name: name.to_string(),
            region: region.to_string(),
            account_name: context.names.name(*account_id).to_owned(),
            account_id: account_id.to_string(),
            version: row.cluster.version.clone().unwrap_or_default(),
            agent: agent(row),
            associations: row.associations,
            associations_href: associations_href(&row.cluster),
            findings: row.open_findings,
            findings_href: findings_href(&row.cluster),
            worst: row.worst.map(SeverityMark::from),
            namespaces: row.namespaces,
            status: row.cluster.status.clone().unwrap_or_default(),
            authentication: row.cluster.authentication_mode.clone().unwrap_or_default(),
            role: row.cluster.role_arn.clone().unwrap_or_default(),
            created: row.cluster.created_at.map(|at| Stamp::new(at, context.now)),
            resource_tags: tags_line(&row.cluster.tags),
        }
    }
}

/// Whether pods can get credentials: by the add-on, or as EKS Auto Mode has the agent built in.
fn agent(row: &ClusterRow) -> Badge {
    const AGENT: &str = "eks-pod-identity-agent";
    if row.cluster.auto_mode == Some(true) {
        return badge("ok", "Built in (Auto Mode)");
    }
    match row.cluster.addons.as_ref().map(|addons| addons.iter().find(|addon| addon.name == AGENT)) {
        Some(None) if row.has_all_addons => badge("", "No add-on"),
        None | Some(None) => badge("unseen", "Not seen"),
        Some(Some(addon)) => match addon.status.as_deref() {
            Some("ACTIVE") => badge("ok", "Active"),
            _ => badge("bad", "Not active"),
        },
    }
}

/// Associations in the cluster.
fn associations_href(cluster: &Cluster) -> String {
    let Cluster { account_id, region, name, .. } = cluster;
    format!("/associations?account_id={account_id}&region={region}&cluster={}", encode(name.as_str()))
}

/// Findings in the cluster, and on roles that its workloads reach.
fn findings_href(cluster: &Cluster) -> String {
    let Cluster { account_id, region, name, .. } = cluster;
    format!("/findings?region={region}&cluster={}&cluster_account_id={account_id}", encode(name.as_str()))
}

/// A namespace of the cluster.
struct NamespaceLine {
    name: String,
    associations: u64,
    associations_href: String,
    /// `None`: they are not told of a time that has passed.
    findings: Option<u64>,
    findings_href: String,
    worst: Option<SeverityMark>,
}

/// An add-on of the cluster.
struct AddonLine {
    name: String,
    version: String,
    status: String,
    health: String,
    role: RoleLink,
}

/// A role, with a link where the inventory has it.
struct RoleLink {
    arn: String,
    /// Empty where it is no role of the inventory.
    href: String,
}

/// An access entry of the cluster.
struct EntryLine {
    principal: RoleLink,
    kind: String,
    /// Each access policy with its scope.
    policies: Vec<String>,
    groups: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/cluster.html")]
pub(crate) struct ClusterPage {
    chrome: Chrome,
    name: String,
    arn: String,
    account: String,
    account_id: String,
    region: String,
    json: String,
    version: String,
    status: String,
    created: Option<Stamp>,
    authentication_mode: String,
    agent: Badge,
    issuer: String,
    role: RoleLink,
    tags: Vec<(String, String)>,
    associations: String,
    associations_href: String,
    /// Empty: they are not told of a time that has passed.
    open_findings: String,
    findings_href: String,
    namespace_count: String,
    namespaces: Vec<NamespaceLine>,
    /// `None` where they were not seen.
    addons: Option<Vec<AddonLine>>,
    has_all_addons: bool,
    /// `None` where they were not seen.
    entries: Option<Vec<EntryLine>>,
    has_all_entries: bool,
    coverage_href: String,
    findings: Vec<FindingLine>,
    baseline: Option<BaselineCard>,
    history: History,
}

/// `GET /clusters/{account_id}/{region}/{name}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path((account, region, name)): Path<(String, String, String)>,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<ClusterPage, AppError> {
    let params = OneQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("cluster `{account}/{region}/{name}`"));
    let id: AccountId = account.parse().map_err(|_| unknown())?;
    let place: Region = region.parse().map_err(|_| unknown())?;
    let named: ClusterName = name.parse().map_err(|_| unknown())?;
    let path = cluster_href(id, place.as_str(), named.as_str());
    let context = PageContext::as_of(&app, &params, &path, &mut chrome).await?;
    let row = app.store.cluster(id, &place, &named, context.as_of).await?.ok_or_else(unknown)?;
    let here = FindingFilter {
        region: Some(region),
        cluster: Some(name),
        cluster_account: Some(id),
        workflow: vec![Workflow::Open, Workflow::Acknowledged],
        ..FindingFilter::default()
    };
    let (namespaces, findings, known) = tokio::try_join!(
        app.store.namespaces(id, &place, &named, context.as_of),
        app.store.findings(&here, FindingSort::Severity, None, FINDINGS),
        known_roles(&app, &row.cluster, context.as_of),
    )?;
    let history = History::of_resource(&app, &row.cluster.arn, &context).await?;
    let baseline = match context.as_of {
        Some(_) => None,
        None => {
            let (arn, present) = (row.cluster.arn.clone(), Configuration::Cluster(Box::new(row.cluster.clone())));
            Some(BaselineCard::of_resource(&app, id, present, &arn, &chrome, &context).await?)
        }
    };
    let mut page = ClusterPage::new(chrome, row, &known, history, &context);
    page.baseline = baseline;
    page.namespaces = namespaces.into_iter().map(|it| NamespaceLine::new(it, &page)).collect();
    if context.as_of.is_none() {
        page.findings = lines(&findings, &titles(&app), &context);
    }
    Ok(page)
}

/// Of the roles that the cluster names, those of the inventory.
async fn known_roles(
    app: &App,
    cluster: &Cluster,
    as_of: Option<AsOf>,
) -> Result<BTreeSet<String>, rolecall_store::Error> {
    let of_addons = cluster.addons.iter().flatten().filter_map(|addon| addon.service_account_role_arn.as_deref());
    let of_entries = cluster.access_entries.iter().flatten().map(|entry| entry.principal_arn.as_str());
    let named = cluster.role_arn.as_deref().into_iter().chain(of_addons).chain(of_entries);
    let roles: Vec<RoleArn> = named.filter_map(|arn| arn.parse().ok()).collect();
    app.store.roles_among(&roles, as_of).await
}

impl ClusterPage {
    fn new(chrome: Chrome, row: ClusterRow, known: &BTreeSet<String>, history: History, context: &PageContext) -> Self {
        let associations_href = associations_href(&row.cluster);
        let findings_href = findings_href(&row.cluster);
        let agent = agent(&row);
        let Cluster { account_id, region, name, .. } = &row.cluster;
        let link = |arn: String| RoleLink {
            href: if known.contains(&arn) { context.href(&role_href(&arn)) } else { String::new() },
            arn,
        };
        Self {
            chrome,
            json: context.href(&format!("/api/v1/clusters/{account_id}/{region}/{}", encode(name.as_str()))),
            account: context.names.of(*account_id),
            account_id: account_id.to_string(),
            region: region.to_string(),
            name: name.to_string(),
            version: row.cluster.version.unwrap_or_default(),
            status: row.cluster.status.unwrap_or_default(),
            created: row.cluster.created_at.map(|at| Stamp::new(at, context.now)),
            authentication_mode: row.cluster.authentication_mode.unwrap_or_default(),
            agent,
            issuer: row.cluster.oidc_issuer.unwrap_or_default(),
            role: link(row.cluster.role_arn.unwrap_or_default()),
            tags: row.cluster.tags.into_iter().collect(),
            associations: words::count_u64(row.associations),
            associations_href,
            open_findings: row.open_findings.map(words::count_u64).unwrap_or_default(),
            findings_href,
            namespace_count: words::count_u64(row.namespaces),
            namespaces: Vec::new(),
            has_all_addons: row.has_all_addons,
            has_all_entries: row.has_all_access_entries,
            addons: row.cluster.addons.map(|all| all.into_iter().map(|it| AddonLine::new(it, link)).collect()),
            entries: row.cluster.access_entries.map(|all| all.into_iter().map(|it| EntryLine::new(it, link)).collect()),
            coverage_href: format!("{}#scopes-h", context.href(&format!("/accounts/{}", row.cluster.account_id))),
            findings: Vec::new(),
            baseline: None,
            history,
            arn: row.cluster.arn,
        }
    }
}

impl NamespaceLine {
    fn new(row: NamespaceRow, page: &ClusterPage) -> Self {
        let narrowed = |href: &str| format!("{href}&namespace={}", encode(&row.namespace));
        Self {
            associations_href: narrowed(&page.associations_href),
            findings_href: narrowed(&page.findings_href),
            associations: row.associations,
            findings: row.open_findings,
            worst: row.worst.map(SeverityMark::from),
            name: row.namespace,
        }
    }
}

impl AddonLine {
    fn new(addon: Addon, link: impl Fn(String) -> RoleLink) -> Self {
        Self {
            name: addon.name,
            version: addon.version.unwrap_or_default(),
            status: addon.status.unwrap_or_default(),
            health: addon.health_issues.join(", "),
            role: link(addon.service_account_role_arn.unwrap_or_default()),
        }
    }
}

impl EntryLine {
    fn new(entry: AccessEntry, link: impl Fn(String) -> RoleLink) -> Self {
        Self {
            principal: link(entry.principal_arn),
            kind: entry.kind.unwrap_or_default(),
            policies: entry.policies.iter().map(access_policy).collect(),
            groups: entry.groups.join(", "),
        }
    }
}

fn access_policy(policy: &AccessPolicy) -> String {
    let scope = match policy.namespaces.as_slice() {
        [] => "cluster".to_owned(),
        [one] => format!("namespace {one}"),
        several => format!("namespaces {}", several.join(", ")),
    };
    format!("{} ({scope})", words::short_name(&policy.arn))
}
