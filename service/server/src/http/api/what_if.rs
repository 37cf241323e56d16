//! `/api/v1/what-if`: what proposed changes would come to, for workloads and for findings.

use super::changes::{AccessJson, AffectedJson, RoleEscalationJson, StateJson, escalations};
use super::shape::{ReasonJson, SubjectJson};
use crate::error::Error;
use crate::http::error::{AppError, Code, FieldError, Problem};
use crate::http::query::api_query;
use crate::http::visible::Visible;
use crate::query::what_if;
use axum::Json;
use axum::body::Bytes;
use axum::extract::RawQuery;
use rolecall_audit::finding::Resolution;
use rolecall_audit::what_if::{
    Answer, Defaults, FindingChange, Note, Place, Problem as ProposalProblem, Proposed, ProposedChange, Undecided,
    parse, parse_plan,
};
use rolecall_rules::Severity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// The body says it all.
    NoQuery = &[]
}

/// Proposed changes.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposalsJson {
    /// The account of proposals that do not name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    account: Option<String>,
    /// The region of proposals that do not name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// Each as `{"kind", "resource", …}`, or as the input of an AWS CLI command such as `put-role-policy`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    changes: Vec<serde_json::Value>,
    /// A Terraform plan as `terraform show -json` prints it, in the place of `changes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    plan: Option<serde_json::Value>,
}

impl ProposalsJson {
    fn proposals(&self) -> Result<(Vec<Proposed>, Vec<ProposalProblem>), AppError> {
        let Some(plan) = &self.plan else {
            let asked = serde_json::to_value(self).map_err(AppError::internal)?;
            return Ok(parse("", &asked, &Defaults::default()));
        };
        let wrong = |what: &str| AppError::new(Code::InvalidParameter, what.to_owned());
        if !self.changes.is_empty() {
            return Err(wrong("the body has both `changes` and `plan`; give one of them"));
        }
        let account = self.account.as_ref().map(|text| text.parse()).transpose();
        let region = self.region.as_ref().map(|text| text.parse()).transpose();
        let defaults = Defaults {
            account: account.map_err(|_| wrong("`account` is no account id; give twelve digits"))?,
            region: region.map_err(|_| wrong("`region` is no region of AWS"))?,
        };
        let bytes = serde_json::to_vec(plan).map_err(AppError::internal)?;
        parse_plan("", &bytes, &defaults)
            .ok_or_else(|| wrong("`plan` is no Terraform plan; give what `terraform show -json PLAN` prints"))
    }
}

/// What proposed changes would come to.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfJson {
    /// All of them together: `widened`, `narrowed`, `mixed`, `none` or `unknown`.
    pub(crate) effect: &'static str,
    /// The changes, roots before what follows from them.
    pub(crate) changes: Vec<ProposedChangeJson>,
    /// The workloads that they reach.
    pub(crate) workloads: Vec<AffectedJson>,
    /// Findings that would be opened, the worst first.
    pub(crate) opens: Vec<FindingChangeJson>,
    /// Findings that would be closed, the worst first.
    pub(crate) closes: Vec<FindingChangeJson>,
    /// Findings that would have another severity.
    pub(crate) regrades: Vec<FindingChangeJson>,
    /// What can be decided now, and could not be afterwards.
    pub(crate) undecided: Vec<UndecidedJson>,
    /// What cannot be told of a proposal, and why.
    pub(crate) notes: Vec<NoteJson>,
    /// Proposals that cannot be read or applied; they count nowhere else.
    pub(crate) problems: Vec<ProposalProblemJson>,
}

/// A change that would be seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProposedChangeJson {
    pub(crate) change_id: String,
    /// CloudFormation's name of the type.
    #[schema(example = "AWS::IAM::Role")]
    pub(crate) resource_type: String,
    /// The ARN; of an association `account/region/cluster/namespace/service account`.
    pub(crate) resource: String,
    pub(crate) account_id: String,
    pub(crate) region: Option<String>,
    /// What changes, such as `trust_policy_changed`.
    pub(crate) change: String,
    /// Which part of the resource: a policy's name or ARN, a field.
    pub(crate) part: Option<String>,
    pub(crate) before: Option<StateJson>,
    pub(crate) after: Option<StateJson>,
    /// `widened`, `narrowed`, `mixed`, `none` or `unknown`.
    pub(crate) effect: &'static str,
    pub(crate) gained: Option<AccessJson>,
    pub(crate) lost: Option<AccessJson>,
    /// Why the effect is what it is.
    pub(crate) because: String,
    /// What it comes to for each workload.
    pub(crate) workloads: Vec<AffectedJson>,
    /// The change that this one follows from.
    pub(crate) caused_by: Option<String>,
    /// Whether it makes an administrator (`true`) or ends that (`false`).
    pub(crate) administrator: Option<bool>,
    /// The privilege-escalation paths, and administrators, that it opens.
    pub(crate) opens: Vec<RoleEscalationJson>,
    /// Those that it closes.
    pub(crate) closes: Vec<RoleEscalationJson>,
    /// Why it may open or close others; null where those are all.
    pub(crate) escalations_unknown: Option<String>,
    pub(crate) proposal: PlaceJson,
    /// RFC 6901 pointer of the statement that decides, where the proposal has its document.
    pub(crate) statement: Option<String>,
}

impl From<ProposedChange> for ProposedChangeJson {
    fn from(it: ProposedChange) -> Self {
        let ProposedChange { change, place, statement } = it;
        Self {
            change_id: change.id,
            resource_type: change.resource.kind.as_str().to_owned(),
            resource: change.resource.name,
            account_id: change.account_id.to_string(),
            region: change.region.map(|region| region.to_string()),
            change: change.change,
            part: change.part,
            before: change.before.map(StateJson::from),
            after: change.after.map(StateJson::from),
            effect: change.effect.as_str(),
            gained: change.gained.map(AccessJson::from),
            lost: change.lost.map(AccessJson::from),
            because: change.because,
            workloads: change.affected.into_iter().map(AffectedJson::from).collect(),
            caused_by: change.caused_by,
            administrator: change.administrator,
            opens: escalations(&change.escalations.opens),
            closes: escalations(&change.escalations.closes),
            escalations_unknown: change.escalations.unknown,
            proposal: place.into(),
            statement,
        }
    }
}

/// Where a proposal stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlaceJson {
    /// The file; null where there is none.
    pub(crate) file: Option<String>,
    /// RFC 6901 pointer.
    #[schema(example = "/changes/0")]
    pub(crate) pointer: String,
}

impl From<Place> for PlaceJson {
    fn from(it: Place) -> Self {
        Self { file: (!it.file.is_empty()).then_some(it.file), pointer: it.pointer }
    }
}

/// A finding that would be opened or closed, or have another severity.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingChangeJson {
    /// Identity: the same as of the finding in `/api/v1/findings`.
    #[schema(example = "v1:mzxw6ytboi4dk5tbnruxg5dsmu")]
    pub(crate) fingerprint: String,
    /// The rule's immutable id.
    pub(crate) rule_id: String,
    pub(crate) subject: SubjectJson,
    /// Afterwards; of a finding that would be closed, before.
    pub(crate) severity: &'static str,
    /// Before, where it was there with another one.
    pub(crate) severity_before: Option<&'static str>,
    /// One sentence.
    pub(crate) message: String,
    /// Whether an exception covers it.
    pub(crate) suppressed: bool,
    /// Why it would be closed: `passed`, `subject_gone` or `not_applicable`.
    pub(crate) resolution: Option<&'static str>,
    /// Why nobody knows whether it is open already; empty where that is known.
    pub(crate) unknown_before: Vec<ReasonJson>,
    pub(crate) proposal: PlaceJson,
    /// RFC 6901 pointer of the statement that decides, where the proposal has its document.
    pub(crate) statement: Option<String>,
}

impl From<FindingChange> for FindingChangeJson {
    fn from(it: FindingChange) -> Self {
        Self {
            fingerprint: it.fingerprint.0,
            rule_id: it.rule,
            subject: it.subject.into(),
            severity: it.severity.as_str(),
            severity_before: it.severity_before.map(Severity::as_str),
            message: it.message,
            suppressed: it.is_suppressed,
            resolution: it.resolution.map(Resolution::as_str),
            unknown_before: it.unknown_before.iter().map(ReasonJson::from).collect(),
            proposal: it.place.into(),
            statement: it.statement,
        }
    }
}

/// A rule whose result for a subject would be unknown.
#[derive(Serialize, ToSchema)]
pub(crate) struct UndecidedJson {
    pub(crate) rule_id: String,
    pub(crate) subject: SubjectJson,
    pub(crate) why: Vec<ReasonJson>,
}

impl From<Undecided> for UndecidedJson {
    fn from(it: Undecided) -> Self {
        Self { rule_id: it.rule, subject: it.subject.into(), why: it.why.iter().map(ReasonJson::from).collect() }
    }
}

/// What cannot be told of a proposal.
#[derive(Serialize, ToSchema)]
pub(crate) struct NoteJson {
    pub(crate) proposal: PlaceJson,
    pub(crate) message: String,
}

impl From<Note> for NoteJson {
    fn from(it: Note) -> Self {
        Self { proposal: it.place.into(), message: it.message }
    }
}

/// A proposal that cannot be read or applied.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalProblemJson {
    pub(crate) proposal: PlaceJson,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl From<ProposalProblem> for ProposalProblemJson {
    fn from(it: ProposalProblem) -> Self {
        Self { proposal: it.place.into(), message: it.message, remedy: it.remedy }
    }
}

impl From<Answer> for WhatIfJson {
    fn from(it: Answer) -> Self {
        Self {
            effect: it.effect.as_str(),
            changes: it.changes.into_iter().map(ProposedChangeJson::from).collect(),
            workloads: it.workloads.into_iter().map(AffectedJson::from).collect(),
            opens: it.opens.into_iter().map(FindingChangeJson::from).collect(),
            closes: it.closes.into_iter().map(FindingChangeJson::from).collect(),
            regrades: it.regrades.into_iter().map(FindingChangeJson::from).collect(),
            undecided: it.undecided.into_iter().map(UndecidedJson::from).collect(),
            notes: it.notes.into_iter().map(NoteJson::from).collect(),
            problems: it.problems.into_iter().map(ProposalProblemJson::from).collect(),
        }
    }
}

/// Refuses proposals that cannot be read or applied: each by its pointer.
fn refuse(problems: Vec<ProposalProblem>) -> Result<(), AppError> {
    if problems.is_empty() {
        return Ok(());
    }
    let field = |it: ProposalProblem| FieldError {
        parameter: it.place.pointer,
        message: format!("{}: {}", it.message, it.remedy),
    };
    Err(AppError::of_fields(Code::InvalidParameter, problems.into_iter().map(field).collect()))
}

/// Says what proposed changes would come to: what workloads would gain and lose, and which findings would be
/// opened and closed, against the policies of the latest scan. Changes nothing.
#[utoipa::path(
    post, path = "/api/v1/what-if", tag = "changes", operation_id = "what_if", request_body = ProposalsJson,
    responses((status = 200, body = WhatIfJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn what_if(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    body: Bytes,
) -> Result<Json<WhatIfJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let asked: ProposalsJson = serde_json::from_slice(&body).map_err(|error| {
        AppError::new(Code::InvalidParameter, format!("the body holds no proposed changes: {error}"))
    })?;
    let (proposed, problems) = asked.proposals()?;
    refuse(problems)?;
    let asked = what_if::of_store(&app.store, &app.config, app.rules.clone(), proposed).await;
    let mut answer = asked.map_err(|error| match error {
        Error::Store(error) => AppError::from(error),
        error => AppError::from(error),
    })?;
    refuse(std::mem::take(&mut answer.problems))?;
    Ok(Json(answer.into()))
}
