//! Shapes of the API's answers, and how rows become them.
//!
//! Absent is `null`, names are `snake_case`, instants RFC 3339 in UTC. INVARIANT: no domain type is
//! serialised here but through a field of these.

use crate::http::error::AppError;
use crate::http::filters::session_kind;
use crate::http::listing::Slice;
use crate::http::query::Params;
use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_estate::{Cause, Reason};
use rolecall_rules::{EffectiveParam, Evidence, Subject};
use rolecall_store::{
    AccountRow, AssociationRow, CoverageRow, Finding, FindingEvent, FindingRow, RoleRow, Run, SessionRow, Total,
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the list goes on; null at its end. Also in `Link`, as `rel="next"`.
    pub(crate) next_cursor: Option<String>,
    /// How many items there are in all; null with `total=none`.
    pub(crate) total: Option<TotalCount>,
}

/// How many items there are in all.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotalCount {
    /// The count.
    pub(crate) count: u64,
    /// `exact`, or `at_least` where counting stopped.
    #[serde(rename = "type")]
    pub(crate) kind: TotalKind,
}

/// Whether all were counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TotalKind {
    /// All were counted.
    Exact,
    /// There are more.
    AtLeast,
}

impl From<Total> for TotalCount {
    fn from(total: Total) -> Self {
        match total {
            Total::Exact(count) => Self { count, kind: TotalKind::Exact },
            Total::AtLeast(count) => Self { count, kind: TotalKind::AtLeast },
        }
    }
}

/// The answer of a list.
pub(crate) fn listed<R, T: Serialize>(
    path: &str,
    params: &Params,
    slice: Slice<R>,
    total: Option<Total>,
    item: impl Fn(R) -> T,
) -> Result<Response, AppError> {
    let link = slice.next.as_ref().map(|cursor| params.with("cursor", cursor).link(path));
    let items = slice.rows.into_iter().map(item).collect();
    let body = Listed { items, next_cursor: slice.next, total: total.map(TotalCount::from) };
    let mut response = Json(body).into_response();
    if let Some(link) = link {
        let value = HeaderValue::try_from(format!("<{link}>; rel=\"next\"")).map_err(AppError::internal)?;
        response.headers_mut().insert(header::LINK, value);
    }
    Ok(response)
}

/// Whether the caller wants items counted.
pub(crate) fn counts(params: &Params) -> bool {
    params.text("total") != Some("none")
}

/// Why something is not known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonJson {
    /// `gap` (an incomplete listing), `assumption` (data that was not provided and could be stated),
    /// `document` (one that cannot be parsed), `condition_key` (one whose value is open), `budget` (an
    /// analysis of too many steps) or `other`.
    pub(crate) kind: &'static str,
    /// One sentence without a full stop.
    pub(crate) text: String,
    /// The incomplete listing; only with `gap`.
    pub(crate) scope: Option<ReasonScopeJson>,
    /// What could be stated, such as `scp=none`; only with `assumption`.
    pub(crate) assumption: Option<&'static str>,
    /// The condition key; only with `condition_key`.
    pub(crate) condition_key: Option<String>,
}

/// The listing that a reason is about: a row of `/api/v1/coverage`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonScopeJson {
    pub(crate) account_id: String,
    /// As in `/api/v1/coverage`.
    pub(crate) scope: &'static str,
    /// Null for a global service.
    pub(crate) region: Option<String>,
    /// Null where the listing is not of one cluster.
    pub(crate) cluster: Option<String>,
}

impl From<&Reason> for ReasonJson {
    fn from(reason: &Reason) -> Self {
        let mut json = Self {
            kind: reason.kind(),
            text: reason.text().to_owned(),
            scope: None,
            assumption: None,
            condition_key: None,
        };
        match reason.cause() {
            Some(Cause::Gap(scope)) => {
                json.scope = Some(ReasonScopeJson {
                    account_id: scope.account_id.to_string(),
                    scope: scope.kind.as_str(),
                    region: scope.region.as_ref().map(ToString::to_string),
                    cluster: scope.cluster.as_ref().map(ToString::to_string),
                });
            }
            Some(Cause::Assumption(assumption)) => json.assumption = Some(assumption.as_str()),
            Some(Cause::ConditionKey(key)) => json.condition_key = Some(key.clone()),
            Some(Cause::Document | Cause::Budget) | None => {}
        }
        json
    }
}

/// What a finding is about.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubjectJson {
    /// `role`, `policy`, `association`, `session`, `cluster` or `account`.
    pub(crate) kind: &'static str,
    /// Immutable identity within the kind.
    pub(crate) key: String,
    pub(crate) account_id: String,
    pub(crate) region: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) service_account: Option<String>,
    pub(crate) role_arn: Option<String>,
    pub(crate) target_role_arn: Option<String>,
}

impl From<Subject> for SubjectJson {
    fn from(s: Subject) -> Self {
        Self {
            kind: s.kind.as_str(),
            key: s.key,
            account_id: s.account_id.to_string(),
            region: s.region,
            cluster: s.cluster,
            namespace: s.namespace,
            service_account: s.service_account,
            role_arn: s.role_arn,
            target_role_arn: s.target_role_arn,
        }
    }
}

/// A statement or fact that decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct EvidenceJson {
    /// What it shows.
    pub(crate) label: String,
    /// SHA-256 of the document's canonical form.
    pub(crate) document: Option<String>,
    /// Where it stands, such as `trust policy`.
    pub(crate) source: String,
    /// RFC 6901 pointer into the document.
    #[schema(example = "/Statement/0")]
    pub(crate) pointer: String,
    /// The statement or fact itself.
    pub(crate) value: serde_json::Value,
}

impl From<Evidence> for EvidenceJson {
    fn from(e: Evidence) -> Self {
        let document = e.document.map(|digest| digest.to_string());
        Self { label: e.label, document, source: e.source, pointer: e.pointer, value: e.value }
    }
}

/// A parameter in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct ParamJson {
    pub(crate) value: serde_json::Value,
    /// `rule default`, or the binding with file and line.
    pub(crate) origin: String,
}

impl From<EffectiveParam> for ParamJson {
    fn from(p: EffectiveParam) -> Self {
        Self { value: p.value, origin: p.origin }
    }
}

/// An exception in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExceptionJson {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) origin: String,
}

/// A workload that reaches the role that a finding is about.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkloadJson {
    /// The key of its association.
    pub(crate) association: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) cluster: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    /// How it reaches the role: `direct` as the association's role, `target` as its target role, or
    /// `chain` by assuming further roles.
    pub(crate) via: &'static str,
}

impl From<Workload> for WorkloadJson {
    fn from(workload: Workload) -> Self {
        let key = workload.association;
        Self {
            association: key.to_string(),
            account_id: key.account_id.to_string(),
            region: key.region.to_string(),
            cluster: key.cluster.to_string(),
            namespace: key.namespace.to_string(),
            service_account: key.service_account.to_string(),
            via: workload.via.as_str(),
        }
    }
}

/// A statement about what was not provided.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssumptionJson {
    /// As it is stated, such as `scp=none`.
    pub(crate) name: &'static str,
    /// The same as a sentence.
    pub(crate) sentence: &'static str,
}

/// A finding that is listed under another.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartJson {
    pub(crate) number: i64,
    pub(crate) fingerprint: String,
    pub(crate) rule_id: String,
    pub(crate) severity: &'static str,
    pub(crate) state: &'static str,
    pub(crate) message: String,
}

impl From<FindingRow> for PartJson {
    fn from(row: FindingRow) -> Self {
        Self {
            number: row.number,
            fingerprint: row.fingerprint.0,
            rule_id: row.rule,
            severity: row.severity.as_str(),
            state: row.workflow.as_str(),
            message: row.message,
        }
    }
}

/// A finding with what decided it.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingDetailJson {
    #[serde(flatten)]
    pub(crate) finding: FindingJson,
    pub(crate) evidence: Vec<EvidenceJson>,
    pub(crate) params: BTreeMap<String, ParamJson>,
    /// The findings that are listed under this one, the worst first; at most 100.
    pub(crate) parts: Vec<PartJson>,
}

impl FindingDetailJson {
    /// The whole finding; `workloads` are all of them, `parts` what is listed under it.
    pub(crate) fn new(finding: Finding, workloads: Vec<Workload>, parts: Vec<FindingRow>) -> Self {
        Self {
            evidence: finding.evidence.into_iter().map(EvidenceJson::from).collect(),
            params: finding.params.into_iter().map(|(name, param)| (name, param.into())).collect(),
            parts: parts.into_iter().map(PartJson::from).collect(),
            finding: FindingRow { workloads, ..finding.row }.into(),
        }
    }
}

/// A finding.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingJson {
    /// For people; unique in the installation.
    pub(crate) number: i64,
    /// Identity: the same in every scan. Use it to avoid a second ticket.
    #[schema(example = "v1:mzxw6ytboi4dk5tbnruxg5dsmu")]
    pub(crate) fingerprint: String,
    /// The rule's immutable id.
    pub(crate) rule_id: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub(crate) severity: &'static str,
    /// What the severity follows from; null where it is the rule's own or a binding's.
    pub(crate) severity_because: Option<String>,
    pub(crate) subject: SubjectJson,
    /// How many workloads reach the role that the finding is about.
    pub(crate) workload_count: u64,
    /// These workloads, the nearest first: ten in a list, at most 1000 of one finding.
    pub(crate) workloads: Vec<WorkloadJson>,
    /// The fingerprint of the graver finding about the same statement under which this one is listed.
    pub(crate) part_of: Option<String>,
    /// How many findings that are not resolved are listed under this one.
    pub(crate) part_count: u64,
    /// What was stated and not seen, and the finding rests on.
    pub(crate) assumptions: Vec<AssumptionJson>,
    /// What the scanner last saw: `active`, `stale` (could not be decided) or `cleared`.
    pub(crate) detection: &'static str,
    /// `open`, `acknowledged`, `suppressed` or `resolved`.
    pub(crate) state: &'static str,
    /// Why it is resolved.
    pub(crate) resolution: Option<String>,
    /// One sentence.
    pub(crate) message: String,
    pub(crate) exception: Option<ExceptionJson>,
    /// Why it could not be decided; empty unless stale.
    pub(crate) stale_reasons: Vec<ReasonJson>,
    pub(crate) first_seen_at: DateTime<Utc>,
    /// Begin of the present episode.
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) resolved_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) reopened_count: u32,
    pub(crate) first_scan: i64,
    pub(crate) last_scan: i64,
    /// Grows with every step.
    pub(crate) version: i64,
    /// The finding's page.
    #[schema(example = "/findings/17")]
    pub(crate) page: String,
}

fn assumption(assumption: rolecall_estate::assumption::Assumption) -> AssumptionJson {
    AssumptionJson { name: assumption.as_str(), sentence: assumption.sentence() }
}

impl From<FindingRow> for FindingJson {
    fn from(row: FindingRow) -> Self {
        let exception = row.exception.map(|e| ExceptionJson {
            name: e.name,
            owner: e.owner,
            reason: e.reason,
            ticket: e.ticket,
            expires: e.expires,
            origin: e.origin,
        });
        Self {
            page: format!("/findings/{}", row.number),
            number: row.number,
            fingerprint: row.fingerprint.0,
            rule_id: row.rule,
            severity: row.severity.as_str(),
            subject: row.subject.into(),
            detection: row.detection.as_str(),
            state: row.workflow.as_str(),
            resolution: row.resolution,
            message: row.message,
            severity_because: row.severity_because,
            workload_count: row.workload_count,
            workloads: row.workloads.into_iter().map(WorkloadJson::from).collect(),
            part_of: row.part_of.map(|head| head.0),
            part_count: row.parts,
            assumptions: row.assumptions.into_iter().map(assumption).collect(),
            exception,
            stale_reasons: row.stale_why.iter().map(ReasonJson::from).collect(),
            first_seen_at: row.first_seen_at,
            opened_at: row.opened_at,
            last_seen_at: row.last_seen_at,
            resolved_at: row.resolved_at,
            updated_at: row.updated_at,
            reopened_count: row.reopened_count,
            first_scan: row.first_run.0,
            last_scan: row.last_run.0,
            version: row.version,
        }
    }
}

/// A step of a finding's life.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventJson {
    /// Place in the one order of all steps.
    pub(crate) change_seq: i64,
    /// `opened`, `reopened`, `changed`, `seen_again`, `resolved`, `stale`, `suppressed` or `suppression_expired`.
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    /// `scanner`, or who did it.
    pub(crate) actor: String,
    pub(crate) scan: Option<i64>,
    /// Values before and after.
    pub(crate) detail: serde_json::Value,
}

impl From<FindingEvent> for EventJson {
    fn from(e: FindingEvent) -> Self {
        let scan = e.run.map(|run| run.0);
        Self { change_seq: e.change_seq, kind: e.kind, at: e.at, actor: e.actor, scan, detail: e.detail }
    }
}

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
    pub(crate) open_findings: u64,
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
    pub(crate) scanned_at: DateTime<Utc>,
    pub(crate) scan: i64,
    /// When it was last read to its end; null: never.
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
    /// What only describing it shows; null where that was refused.
    pub(crate) detail: Option<AssociationDetailJson>,
    /// Findings that are open or acknowledged: about it, and about roles that it reaches.
    pub(crate) open_findings: u64,
    /// Of these, those about roles that it reaches.
    pub(crate) open_role_findings: u64,
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
    /// Associations that name it, as role or as target role.
    pub(crate) associations: u64,
    pub(crate) open_findings: u64,
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

/// An AssumeRole, or the refusal of one.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionJson {
    pub(crate) event_id: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) at: DateTime<Utc>,
    /// Such as `pod_identity`.
    pub(crate) kind: &'static str,
    pub(crate) role_arn: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) access_key_id: Option<String>,
    /// Who asked.
    pub(crate) principal: String,
    pub(crate) principal_type: String,
    pub(crate) parent_access_key_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) external_id: Option<String>,
    pub(crate) duration_seconds: Option<u32>,
    pub(crate) packed_policy_size: Option<u8>,
    /// The error code of a refused call.
    pub(crate) error: Option<String>,
    /// The cluster that tags, event or attribution name.
    pub(crate) cluster: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) service_account: Option<String>,
    /// The pod, or the part of its name that is known.
    pub(crate) pod: Option<String>,
    /// The association that was valid at that moment.
    pub(crate) association_id: Option<String>,
    /// How the session was attributed: `tags`, `access_key`, `chain`, `name`, `ambiguous` or `none`; null while it
    /// is not attributed yet.
    pub(crate) attribution_method: Option<String>,
    /// Why there is no attribution, or no certain one.
    pub(crate) attribution_reason: Option<String>,
    /// Ids of the associations that it can belong to, where there are several.
    pub(crate) candidates: Vec<String>,
    /// How many sessions lie between it and the one that EKS opened.
    pub(crate) depth: u8,
}

impl From<SessionRow> for SessionJson {
    fn from(row: SessionRow) -> Self {
        let (s, attribution) = (row.session, row.attribution);
        let attribution_method = attribution.as_ref().map(|found| found.method.as_str().to_owned());
        let attribution = attribution.unwrap_or_default();
        Self {
            namespace: attribution.namespace,
            service_account: attribution.service_account,
            pod: attribution.pod,
            association_id: attribution.association_id,
            attribution_method,
            attribution_reason: attribution.reason,
            candidates: attribution.candidates,
            depth: attribution.depth,
            event_id: s.event_id,
            account_id: s.account_id.to_string(),
            region: s.region.to_string(),
            at: s.at,
            kind: session_kind(s.kind),
            role_arn: s.role_arn,
            session_name: s.session_name,
            access_key_id: s.access_key_id,
            principal: s.principal,
            principal_type: s.principal_type,
            parent_access_key_id: s.parent_access_key_id,
            source_ip: s.source_ip,
            tags: s.tags,
            external_id: s.external_id,
            duration_seconds: s.duration_seconds,
            packed_policy_size: s.packed_policy_size,
            error: s.error,
            cluster: s.cluster,
        }
    }
}

/// A scan: one collection of AWS or of files, with its evaluation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScanJson {
    pub(crate) id: i64,
    /// Such as `scan` or `import`.
    pub(crate) kind: String,
    /// Who or what began it.
    pub(crate) trigger: String,
    /// `running`, `done`, `failed` or `interrupted`.
    pub(crate) state: &'static str,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// When what it saw became visible; null where it saw nothing to its end.
    pub(crate) snapshot_at: Option<DateTime<Utc>>,
    pub(crate) report: serde_json::Value,
    pub(crate) error: Option<String>,
}

impl From<Run> for ScanJson {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.0,
            kind: run.kind,
            trigger: run.trigger,
            state: run.state.as_str(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            snapshot_at: run.snapshot_at,
            report: run.report,
            error: run.error,
        }
    }
}

/// The result of requesting a scan.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScanRequestedJson {
    /// `queued`, or `already_waiting` where one is queued or running.
    pub(crate) state: &'static str,
    /// The job, if one was queued. The scan has its number once a worker has started it.
    pub(crate) job_id: Option<String>,
}

/// How often a rule gave each answer.
#[derive(Serialize, ToSchema, Default)]
pub(crate) struct RuleResultsJson {
    pub(crate) pass: u64,
    pub(crate) fail: u64,
    /// Something that the rule needs was not seen.
    pub(crate) unknown: u64,
    pub(crate) error: u64,
    pub(crate) not_applicable: u64,
}

/// A parameter as the rule declares it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleParamJson {
    pub(crate) name: String,
    /// Such as `list(string)`.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) about: String,
    /// As JSON text.
    pub(crate) default: String,
}

/// A rule and its results in the latest scan.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleJson {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: &'static str,
    pub(crate) category: String,
    pub(crate) subject_kind: &'static str,
    pub(crate) description: String,
    pub(crate) risk: String,
    pub(crate) remediation: String,
    pub(crate) references: Vec<String>,
    /// When the rule concerns a subject; empty: always.
    pub(crate) applies: String,
    /// When it fails.
    pub(crate) expression: String,
    pub(crate) params: Vec<RuleParamJson>,
    /// File and line.
    pub(crate) origin: String,
    pub(crate) digest: String,
    /// Null where it was not judged yet.
    pub(crate) results: Option<RuleResultsJson>,
    /// Why some results are `unknown`.
    pub(crate) unknown_reasons: Vec<ReasonJson>,
}
