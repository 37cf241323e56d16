//! `/api/v1/who-can`: which workloads and roles may do something to a resource.

use super::shape::ReasonJson;
use crate::http::as_of;
use crate::http::error::{AppError, Problem};
use crate::http::visible::Visible;
use crate::http::who_can::{WhoCanQuery, ask};
use axum::Json;
use axum::extract::RawQuery;
use rolecall_audit::access::who_can::{Permitted, WhoCan};
use rolecall_estate::Reason;
use serde::Serialize;
use utoipa::ToSchema;

/// Who can do something to a resource. Whoever is not listed cannot, unless `missing` or `resource_policy_unknown`
/// says why it is not known. Service-linked roles are left out.
#[derive(Serialize, ToSchema)]
pub(super) struct WhoCanJson {
    /// The action.
    #[schema(example = "s3:GetObject")]
    action: String,
    /// The resource.
    #[schema(example = "arn:aws:s3:::orders/2026/11/1.json")]
    resource: String,
    /// The workloads that can, or may: those that are allowed first.
    workloads: Vec<PermittedJson>,
    /// The roles that can, or may: those that are allowed first.
    roles: Vec<PermittedJson>,
    /// How many workloads were asked.
    asked_workloads: usize,
    /// How many roles were asked.
    asked_roles: usize,
    /// Why there may be others; empty where there are none.
    missing: Vec<ReasonJson>,
    /// Whether a policy on the resource, which is not collected, may refuse these, or let in others.
    resource_policy_unknown: bool,
}

/// A principal that can, or may.
#[derive(Serialize, ToSchema)]
struct PermittedJson {
    /// The association of a workload (`account/region/cluster/namespace/service account`), or the ARN of a role.
    principal: String,
    /// The role whose policies decide; of a workload the role that its pods end up with.
    role_arn: String,
    /// `allowed`; `allowed_with_resource_policy`, where the resource is in another account, whose policy on it must
    /// allow it, too; or `unknown`.
    permission: &'static str,
    /// What decided, in one sentence.
    because: String,
    /// Why it is not known; empty where it is.
    unknown_reasons: Vec<ReasonJson>,
}

fn reasons(why: &[Reason]) -> Vec<ReasonJson> {
    why.iter().map(ReasonJson::from).collect()
}

fn permitted<P: ToString>(found: Permitted<P>) -> PermittedJson {
    let Permitted { principal, role_arn, permission, because, unknown } = found;
    PermittedJson {
        principal: principal.to_string(),
        role_arn,
        permission: permission.as_str(),
        because,
        unknown_reasons: reasons(&unknown),
    }
}

/// Lists the workloads and roles that may do something to a resource: each is asked as `simulate` asks one, by the
/// policies of the latest scan, or those that were known at a time.
#[utoipa::path(
    get, path = "/api/v1/who-can", tag = "inventory", operation_id = "who_can", params(WhoCanQuery),
    responses((status = 200, body = WhoCanJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn who_can(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Json<WhoCanJson>, AppError> {
    let params = WhoCanQuery::parse(raw.as_deref())?;
    let as_of = as_of::of(&app.store, &params).await?;
    let (question, found) = ask(&app, &params, as_of).await?;
    let WhoCan { workloads, roles, asked_workloads, asked_roles, missing, resource_policy_unknown } = found;
    Ok(Json(WhoCanJson {
        action: question.action,
        resource: question.resource,
        workloads: workloads.into_iter().map(permitted).collect(),
        roles: roles.into_iter().map(permitted).collect(),
        asked_workloads,
        asked_roles,
        missing: reasons(&missing),
        resource_policy_unknown,
    }))
}
