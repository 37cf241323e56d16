//! Accounts, associations and roles.

use super::owner::OwnerBecauseJson;
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_audit::owner::{Owned, Owner};
use rolecall_store::{AccountRow, AssociationRow, CoverageRow, RoleRow};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An account and how well it is seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountJson {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    /// Such as `/workloads/prod`; null where not known.
    pub(crate) ou_path: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) is_management: Option<bool>,
    pub(crate) roles: u64,
    pub(crate) clusters: u64,
    pub(crate) associations: u64,
    /// Null as of a time that has passed.
    pub(crate) open_findings: Option<u64>,
    /// Listings that are complete in the latest scan.
    pub(crate) complete_scopes: u64,
    /// Listings that were not.
    pub(crate) gap_scopes: u64,
    pub(crate) last_scanned_at: Option<DateTime<Utc>>,
}

impl From<AccountRow> for AccountJson {
    fn from(row: AccountRow) -> Self {
        let account = row.account;
        Self {
            id: row.id.to_string(),
            name: account.as_ref().and_then(|a| a.name.clone()),
            ou_path: account.as_ref().and_then(|a| a.ou_path.clone()),
            status: account.as_ref().and_then(|a| a.status.clone()),
            is_management: account.as_ref().map(|a| a.is_management),
            roles: row.roles,
            clusters: row.clusters,
            associations: row.associations,
            open_findings: row.open_findings,
            complete_scopes: row.complete_scopes,
            gap_scopes: row.gap_scopes,
            last_scanned_at: row.last_look_at,
        }
    }
}

/// A hole in what was seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct GapJson {
    /// The IAM action that was refused or failed.
    pub(crate) action: String,
    /// Such as `denied`, `throttled`, `timeout`.
    pub(crate) reason: &'static str,
    /// What AWS said.
    pub(crate) detail: String,
    /// Where only CloudTrail files of one day were not read completely, that day; null: anything of the listing may be
    /// missing.
    pub(crate) day: Option<NaiveDate>,
}

/// The latest scan of a listing.
#[derive(Serialize, ToSchema)]
pub(crate) struct CoverageJson {
    pub(crate) account_id: String,
    /// What is listed, such as `roles`.
    pub(crate) scope: &'static str,
    pub(crate) region: Option<String>,
    pub(crate) cluster: Option<String>,
    /// Whether it was read to its end.
    pub(crate) complete: bool,
    pub(crate) gaps: Vec<GapJson>,
    /// Null as of a time that has passed.
    pub(crate) scanned_at: Option<DateTime<Utc>>,
    /// The latest scan of it; as of a time that has passed, the scan since which it stood so.
    pub(crate) scan: i64,
    /// When it was last read to its end; null: never, and as of a time that has passed.
    pub(crate) last_complete_at: Option<DateTime<Utc>>,
}

impl From<CoverageRow> for CoverageJson {
    fn from(row: CoverageRow) -> Self {
        let gap = |gap: rolecall_estate::coverage::Gap| GapJson {
            action: gap.action,
            reason: gap.reason.as_str(),
            detail: gap.detail,
            day: gap.day,
        };
        Self {
            account_id: row.scope.account_id.to_string(),
            scope: row.scope.kind.as_str(),
            region: row.scope.region.map(|r| r.to_string()),
            cluster: row.scope.cluster.map(|c| c.to_string()),
            complete: row.complete,
            gaps: row.gaps.into_iter().map(gap).collect(),
            scanned_at: row.looked_at,
            scan: row.run.0,
            last_complete_at: row.last_complete_at,
        }
    }
}

/// A Pod Identity association.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssociationJson {
    /// `account/region/cluster/namespace/service account`: immutable.
    pub(crate) key: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) cluster: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    /// Changes when the association is made anew.
    pub(crate) association_id: String,
    pub(crate) arn: String,
    /// The add-on that owns it.
    pub(crate) owner_arn: Option<String>,
    /// Whose it is; null where nobody's, and where that is not known.
    #[schema(example = "payments")]
    pub(crate) owner: Option<String>,
    /// `true`: somebody's; `false`: nobody's, as ownership rules and tags show; `unknown`: what decides it was not seen.
    #[schema(example = "true")]
    pub(crate) owned: &'static str,
    /// What says so; null where it was not determined yet.
    pub(crate) owner_because: Option<OwnerBecauseJson>,
    /// What only describing it shows; null where that was refused.
    pub(crate) detail: Option<AssociationDetailJson>,
    /// Findings that are open or acknowledged: about it, and about roles that it reaches; null as of a time that has
    /// passed.
    pub(crate) open_findings: Option<u64>,
    /// Of these, those about roles that it reaches; null as of a time that has passed.
    pub(crate) open_role_findings: Option<u64>,
    /// The worst severity among them; null where there is none.
    pub(crate) worst_severity: Option<&'static str>,
    /// Sessions of its role in the lookback window; associations may share a role.
    pub(crate) role_sessions: u64,
    pub(crate) role_last_session_at: Option<DateTime<Utc>>,
}

/// What only describing an association shows.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssociationDetailJson {
    pub(crate) role_arn: String,
    /// Whether the role is among those seen.
    pub(crate) role_seen: bool,
    pub(crate) target_role_arn: Option<String>,
    pub(crate) target_role_seen: Option<bool>,
    pub(crate) external_id: Option<String>,
    /// Whether the six session tags are sent.
    pub(crate) session_tags: bool,
    /// SHA-256 of the session policy.
    pub(crate) session_policy: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created_at: Option<DateTime<Utc>>,
    pub(crate) modified_at: Option<DateTime<Utc>>,
    /// Fields of AWS that this version does not know, as they came.
    pub(crate) extra: BTreeMap<String, serde_json::Value>,
}

impl From<AssociationRow> for AssociationJson {
    fn from(row: AssociationRow) -> Self {
        let (role_seen, target_role_seen) = (row.role_exists == Some(true), row.target_role_exists);
        let a = row.association;
        let detail = a.detail.map(|d| AssociationDetailJson {
            role_arn: d.role_arn,
            role_seen,
            target_role_arn: d.target_role_arn,
            target_role_seen,
            external_id: d.external_id,
            session_tags: !d.disable_session_tags,
            session_policy: d.policy.map(|digest| digest.to_string()),
            tags: d.tags,
            created_at: d.created_at,
            modified_at: d.modified_at,
            extra: d.extra,
        });
        Self {
            key: a.key.to_string(),
            account_id: a.key.account_id.to_string(),
            region: a.key.region.to_string(),
            cluster: a.key.cluster.to_string(),
            namespace: a.key.namespace.to_string(),
            service_account: a.key.service_account.to_string(),
            association_id: a.association_id,
            arn: a.arn,
            owner_arn: a.owner_arn,
            owner: row.owner.as_ref().and_then(Owner::name).map(str::to_owned),
            owned: row.owner.as_ref().map_or(Owned::Unknown, Owner::owned).as_str(),
            owner_because: row.owner.as_ref().map(OwnerBecauseJson::from),
            detail,
            open_findings: row.open_findings,
            open_role_findings: row.open_role_findings,
            worst_severity: row.worst.map(rolecall_rules::Severity::as_str),
            role_sessions: row.role_sessions,
            role_last_session_at: row.role_last_session,
        }
    }
}

/// A policy with its document's address.
#[derive(Serialize, ToSchema)]
pub(crate) struct InlinePolicyJson {
    pub(crate) name: String,
    /// SHA-256 of the document.
    pub(crate) document: String,
}

/// A managed policy of a role.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttachedPolicyJson {
    pub(crate) arn: String,
    pub(crate) name: String,
}

/// An IAM role.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoleJson {
    pub(crate) arn: String,
    pub(crate) account_id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    /// Changes when the role is made anew.
    pub(crate) role_id: String,
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// SHA-256 of the trust policy.
    pub(crate) trust_policy: Option<String>,
    pub(crate) inline_policies: Vec<InlinePolicyJson>,
    pub(crate) attached_policies: Vec<AttachedPolicyJson>,
    pub(crate) permissions_boundary: Option<String>,
    pub(crate) instance_profiles: Vec<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    pub(crate) last_used_region: Option<String>,
    /// When CloudTrail last recorded that a session of it was opened; null where no such event was read.
    pub(crate) last_session_at: Option<DateTime<Utc>>,
    /// Associations that name it, as role or as target role.
    pub(crate) associations: u64,
    /// Null as of a time that has passed.
    pub(crate) open_findings: Option<u64>,
}

impl From<RoleRow> for RoleJson {
    fn from(row: RoleRow) -> Self {
        let role = row.role;
        let inline =
            role.inline.into_iter().map(|p| InlinePolicyJson { name: p.name, document: p.document.to_string() });
        let attached = role.attached.into_iter().map(|p| AttachedPolicyJson { arn: p.arn.to_string(), name: p.name });
        Self {
            account_id: role.arn.account_id().to_string(),
            name: role.arn.name().to_owned(),
            path: role.arn.path().to_owned(),
            arn: role.arn.to_string(),
            role_id: role.role_id,
            created_at: role.created_at,
            trust_policy: role.trust.map(|digest| digest.to_string()),
            inline_policies: inline.collect(),
            attached_policies: attached.collect(),
            permissions_boundary: role.boundary.map(|arn| arn.to_string()),
            instance_profiles: role.instance_profiles,
            tags: role.tags,
            last_used_at: row.last_used_at,
            last_used_region: row.last_used_region,
            last_session_at: row.last_session_at,
            associations: row.associations,
            open_findings: row.open_findings,
        }
    }
}

/// A managed policy as it was seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct ManagedPolicyJson {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) default_version: String,
    /// SHA-256 of the document in force; null where it was not seen.
    pub(crate) document: Option<String>,
    pub(crate) is_boundary: bool,
}

/// A role with its policies and every document that was seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoleDetailJson {
    #[serde(flatten)]
    pub(crate) role: RoleJson,
    pub(crate) managed_policies: Vec<ManagedPolicyJson>,
    /// The documents' texts by SHA-256, as AWS returned them.
    pub(crate) documents: BTreeMap<String, String>,
}
