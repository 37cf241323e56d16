//! What decided, and what an answer rests on.

use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_estate::{Cause, Reason};
use rolecall_rules::{EffectiveParam, Evidence, Subject};
use serde::Serialize;
use utoipa::ToSchema;

/// Why something is not known.
#[derive(Debug, Clone, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Serialize, ToSchema)]
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
#[derive(Clone, Serialize, ToSchema)]
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
#[derive(Clone, Serialize, ToSchema)]
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
#[derive(Clone, Serialize, ToSchema)]
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
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct ExceptionJson {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) origin: String,
}

/// A workload that reaches the role that a finding is about.
#[derive(Clone, Serialize, ToSchema)]
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
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct AssumptionJson {
    /// As it is stated, such as `scp=none`.
    pub(crate) name: &'static str,
    /// The same as a sentence.
    pub(crate) sentence: &'static str,
}

pub(super) fn assumption(assumption: rolecall_estate::assumption::Assumption) -> AssumptionJson {
    AssumptionJson { name: assumption.as_str(), sentence: assumption.sentence() }
}
