//! `/api/v1/findings/{id}/remediation`: what to do about a finding.

use super::findings::find;
use crate::http::error::{AppError, Problem};
use crate::http::query::api_query;
use crate::http::remediation;
use crate::http::visible::Visible;
use axum::Json;
use axum::extract::{Path, RawQuery};
use rolecall_audit::remediation::{Remediation, Snippet, Step, Verified};
use serde::Serialize;
use utoipa::ToSchema;

api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// What to do about a finding.
#[derive(Serialize, ToSchema)]
pub(super) struct RemediationJson {
    /// In the rule's words; empty where the rule was removed.
    #[schema(example = "Add conditions to the statement that allows `sts:AssumeRole`.")]
    text: String,
    /// Changes of the policies that the evidence names, fitted to how each is attached; made together.
    steps: Vec<RemediationStepJson>,
    /// What was proved of the steps; null where they hold no document, and a person edits the policies.
    verified: Option<VerifiedJson>,
    /// The rule's commands and code, with the finding's values. What is not known is a variable.
    snippets: Vec<SnippetJson>,
}

/// A change of one policy.
#[derive(Serialize, ToSchema)]
pub(super) struct RemediationStepJson {
    /// What is done.
    #[schema(example = "Replace the trust policy of role api: with the clusters as its source")]
    title: String,
    /// What to know before it is done; empty where there is nothing.
    note: String,
    /// The policy document afterwards; null where the policy is detached, deleted, or edited by a person.
    document: Option<String>,
    /// How.
    snippets: Vec<SnippetJson>,
}

/// A command, or code.
#[derive(Serialize, ToSchema)]
pub(super) struct SnippetJson {
    /// `aws_cli`, `kubectl`, `terraform` or `cloudformation`.
    #[schema(example = "aws_cli")]
    tool: &'static str,
    /// The text; every value of AWS or Kubernetes in it is quoted for its language.
    #[schema(example = "aws iam delete-role-policy --role-name api --policy-name everything")]
    text: String,
}

/// What was proved of changes of policies: with them the rule no longer fails.
#[derive(Serialize, ToSchema)]
pub(super) struct VerifiedJson {
    /// How what is allowed after stands to what was allowed before: `narrowed`, `widened` or `mixed`.
    #[schema(example = "narrowed")]
    relation: &'static str,
    /// A request that is no longer allowed.
    lost: Option<LostOrGainedJson>,
    /// A request that is allowed in addition.
    gained: Option<LostOrGainedJson>,
}

/// A request that is allowed on one side only.
#[derive(Serialize, ToSchema)]
pub(super) struct LostOrGainedJson {
    /// The action.
    #[schema(example = "s3:DeleteBucket")]
    action: String,
    /// The resource's ARN, or `*`.
    #[schema(example = "arn:aws:s3:::orders")]
    resource: String,
}

impl From<Snippet> for SnippetJson {
    fn from(snippet: Snippet) -> Self {
        Self { tool: snippet.tool.as_str(), text: snippet.text }
    }
}

impl From<Step> for RemediationStepJson {
    fn from(step: Step) -> Self {
        let snippets = step.snippets.into_iter().map(SnippetJson::from).collect();
        Self { title: step.title, note: step.note, document: step.document, snippets }
    }
}

impl From<Verified> for VerifiedJson {
    fn from(proved: Verified) -> Self {
        let request = |(action, resource): (String, String)| LostOrGainedJson { action, resource };
        Self { relation: proved.relation.as_str(), lost: proved.lost.map(request), gained: proved.gained.map(request) }
    }
}

impl From<Remediation> for RemediationJson {
    fn from(remediation: Remediation) -> Self {
        Self {
            text: remediation.text,
            steps: remediation.steps.into_iter().map(RemediationStepJson::from).collect(),
            verified: remediation.verified.map(VerifiedJson::from),
            snippets: remediation.snippets.into_iter().map(SnippetJson::from).collect(),
        }
    }
}

/// What to do about a finding, with its real names, fitted to how the policy is attached.
///
/// A document is given only where it is verified: with it the rule no longer fails, and the comparison of before and
/// after proves what changes. To whoever has limits no document is given.
#[utoipa::path(
    get, path = "/api/v1/findings/{id}/remediation", tag = "findings", operation_id = "get_finding_remediation",
    params(("id" = String, Path, description = "Number or fingerprint")),
    responses((status = 200, body = RemediationJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<RemediationJson>, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let found = find(&app, &id).await?;
    let none = || RemediationJson { text: String::new(), steps: Vec::new(), verified: None, snippets: Vec::new() };
    Ok(Json(remediation::of(&app, &found).await?.map_or_else(none, RemediationJson::from)))
}
