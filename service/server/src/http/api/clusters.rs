//! `/api/v1/clusters`

use super::shape::{Listed, counts, listed};
use crate::http::as_of::{self, AT};
use crate::http::error::{AppError, Problem};
use crate::http::query::{CURSOR, LIMIT, TOTAL, api_query};
use crate::http::visible::Visible;
use crate::http::{filters, listing};
use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use chrono::{DateTime, Utc};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AccessEntry, Addon};
use rolecall_iam::AccountId;
use rolecall_store::ClusterRow;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

api_query! {
    /// Query of clusters.
    ClustersQuery = filters::CLUSTERS, &[LIMIT, CURSOR, TOTAL]
}
api_query! {
    /// One thing, as of a time.
    OneQuery = &[AT]
}

/// An EKS cluster.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterJson {
    pub(crate) arn: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) name: String,
    /// When it was made; null where it was not described.
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// The Kubernetes version.
    #[schema(example = "1.33")]
    pub(crate) version: Option<String>,
    #[schema(example = "ACTIVE")]
    pub(crate) status: Option<String>,
    /// The cluster's own IAM role.
    pub(crate) role_arn: Option<String>,
    pub(crate) oidc_issuer: Option<String>,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub(crate) authentication_mode: Option<String>,
    /// Whether EKS Auto Mode is on, which has the Pod Identity agent built in.
    pub(crate) auto_mode: Option<bool>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Null where they were not listed.
    pub(crate) addons: Option<Vec<AddonJson>>,
    /// Whether add-ons were listed to the end: one that is not there does not exist.
    pub(crate) addons_complete: bool,
    /// Null where they were not listed.
    pub(crate) access_entries: Option<Vec<AccessEntryJson>>,
    /// Whether access entries were listed to the end.
    pub(crate) access_entries_complete: bool,
    /// Pod Identity associations in it.
    pub(crate) associations: u64,
    /// Namespaces that have one.
    pub(crate) namespaces: u64,
    /// Findings that are open or acknowledged: about it and what is in it, and about roles that its workloads reach;
    /// null of a time that has passed.
    pub(crate) open_findings: Option<u64>,
    /// The worst severity among them; null where there is none.
    pub(crate) worst_severity: Option<&'static str>,
}

/// An add-on of a cluster.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddonJson {
    #[schema(example = "eks-pod-identity-agent")]
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    #[schema(example = "ACTIVE")]
    pub(crate) status: Option<String>,
    /// Its IAM role for service accounts (IRSA).
    pub(crate) service_account_role_arn: Option<String>,
    /// Associations that it owns, by ARN.
    pub(crate) association_arns: Vec<String>,
    /// Codes of the health issues that EKS reports.
    pub(crate) health_issues: Vec<String>,
}

impl From<Addon> for AddonJson {
    fn from(it: Addon) -> Self {
        let Addon { name, version, status, service_account_role_arn, association_arns, health_issues } = it;
        Self { name, version, status, service_account_role_arn, association_arns, health_issues }
    }
}

/// An access entry of a cluster.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessEntryJson {
    pub(crate) principal_arn: String,
    #[serde(rename = "type")]
    #[schema(example = "STANDARD")]
    pub(crate) kind: Option<String>,
    pub(crate) kubernetes_groups: Vec<String>,
    pub(crate) access_policies: Vec<AccessPolicyJson>,
}

/// An EKS access policy of an access entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessPolicyJson {
    pub(crate) arn: String,
    /// Empty where it is associated with the whole cluster.
    pub(crate) namespaces: Vec<String>,
}

impl From<AccessEntry> for AccessEntryJson {
    fn from(it: AccessEntry) -> Self {
        let policies = it.policies.into_iter();
        Self {
            principal_arn: it.principal_arn,
            kind: it.kind,
            kubernetes_groups: it.groups,
            access_policies: policies
                .map(|policy| AccessPolicyJson { arn: policy.arn, namespaces: policy.namespaces })
                .collect(),
        }
    }
}

impl From<ClusterRow> for ClusterJson {
    fn from(row: ClusterRow) -> Self {
        let it = row.cluster;
        Self {
            account_id: it.account_id.to_string(),
            region: it.region.to_string(),
            name: it.name.to_string(),
            arn: it.arn,
            created_at: it.created_at,
            version: it.version,
            status: it.status,
            role_arn: it.role_arn,
            oidc_issuer: it.oidc_issuer,
            authentication_mode: it.authentication_mode,
            auto_mode: it.auto_mode,
            tags: it.tags,
            addons_complete: row.has_all_addons,
            access_entries_complete: row.has_all_access_entries,
            addons: it.addons.map(|all| all.into_iter().map(AddonJson::from).collect()),
            access_entries: it.access_entries.map(|all| all.into_iter().map(AccessEntryJson::from).collect()),
            associations: row.associations,
            namespaces: row.namespaces,
            open_findings: row.open_findings,
            worst_severity: row.worst.map(rolecall_rules::Severity::as_str),
        }
    }
}

/// EKS clusters, by account, region and name.
#[utoipa::path(
    get, path = "/api/v1/clusters", tag = "inventory", operation_id = "list_clusters", params(ClustersQuery),
    responses((status = 200, body = Listed<ClusterJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = ClustersQuery::parse(raw.as_deref())?;
    let list = filters::clusters_in_order(&params, as_of::of(&app.store, &params).await?);
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    let total = if counts(&params) { Some(app.store.count_clusters(&list.filter).await?) } else { None };
    listed("/api/v1/clusters", &params, slice, total, ClusterJson::from)
}

/// One cluster.
#[utoipa::path(
    get, path = "/api/v1/clusters/{account_id}/{region}/{name}", tag = "inventory", operation_id = "get_cluster",
    params(("account_id" = String, Path), ("region" = String, Path), ("name" = String, Path), OneQuery),
    responses((status = 200, body = ClusterJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    Visible(app): Visible,
    Path((account, region, name)): Path<(String, String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ClusterJson>, AppError> {
    let params = OneQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("cluster `{account}/{region}/{name}`"));
    let account_id: AccountId = account.parse().map_err(|_| unknown())?;
    let at: Region = region.parse().map_err(|_| unknown())?;
    let named: ClusterName = name.parse().map_err(|_| unknown())?;
    let as_of = as_of::of(&app.store, &params).await?;
    let row = app.store.cluster(account_id, &at, &named, as_of).await?;
    Ok(Json(row.ok_or_else(unknown)?.into()))
}
