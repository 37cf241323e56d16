//! `/api/v1/roles/{arn}/assumable-by`: who can assume a role.

use super::shape::ReasonJson;
use crate::http::as_of::{self, AT};
use crate::http::error::{AppError, Problem};
use crate::http::query::api_query;
use crate::http::visible::Visible;
use crate::query::assumable_by::{Failure, Shown, answer_seen};
use axum::Json;
use axum::extract::{Path, RawQuery};
use rolecall_audit::access::assumable_by::{AssumingRole, AssumingWorkload, TrustedPrincipal};
use rolecall_estate::Reason;
use rolecall_iam::RoleArn;
use serde::Serialize;
use utoipa::ToSchema;

api_query! {
    /// Query of who can assume a role.
    AssumableByQuery = &[AT]
}

/// Who can assume a role. Whoever is not listed cannot, unless `missing` says why it is not known.
#[derive(Serialize, ToSchema)]
pub(super) struct AssumableByJson {
    role_arn: String,
    /// Whom the trust policy lets in, in the order of its statements.
    principals: Vec<TrustedPrincipalJson>,
    /// The roles that can assume it, by ARN: of its own account, and of accounts that the trust policy names.
    roles: Vec<AssumingRoleJson>,
    /// The workloads whose pods get to it, in one step from the role that they end up with.
    workloads: Vec<AssumingWorkloadJson>,
    /// Why there may be others; empty where there are none.
    missing: Vec<ReasonJson>,
    /// Further roles that can assume it, or may, and that the credential's limits do not show; 0 without limits.
    roles_not_shown: usize,
    /// Further workloads that get to it, or may, and that the credential's limits do not show; 0 without limits.
    workloads_not_shown: usize,
}

/// A principal that a statement of the trust policy lets in, or may let in.
#[derive(Serialize, ToSchema)]
struct TrustedPrincipalJson {
    /// As the policy has it; an account by its id, everyone as `*`.
    principal: String,
    /// `anyone`, `all_but`, `account`, `role`, `user`, `session`, `service`, `oidc_provider`, `saml_provider`,
    /// `provider` or `other`.
    kind: &'static str,
    /// The STS actions that it is let in by.
    actions: Vec<&'static str>,
    /// Whether a condition of the statement can refuse it.
    conditional: bool,
    /// RFC 6901 pointer of the statement in the trust policy.
    pointer: String,
    sid: Option<String>,
    /// Why it may not be let in; empty where the trust policy can let it in.
    unknown_reasons: Vec<ReasonJson>,
}

/// A role that can assume the role, or may.
#[derive(Serialize, ToSchema)]
struct AssumingRoleJson {
    role_arn: String,
    /// Whether the trust policy alone lets it in, without a permission of its own.
    by_trust_policy: bool,
    /// Why it may not; empty where it can.
    unknown_reasons: Vec<ReasonJson>,
}

/// A workload whose pods get to the role, or may.
#[derive(Serialize, ToSchema)]
struct AssumingWorkloadJson {
    /// `account/region/cluster/namespace/service account`.
    association: String,
    /// `role` and `target_role`: its association names the role so; `assume_role`: the role that its pods end up with
    /// can assume it.
    via: &'static str,
    /// The role that its pods come with.
    through_role_arn: String,
    /// Why it may not; empty where it does.
    unknown_reasons: Vec<ReasonJson>,
}

fn reasons(why: &[Reason]) -> Vec<ReasonJson> {
    why.iter().map(ReasonJson::from).collect()
}

impl From<Shown> for AssumableByJson {
    fn from(shown: Shown) -> Self {
        let Shown { answer: found, roles_not_shown, workloads_not_shown } = shown;
        Self {
            roles_not_shown,
            workloads_not_shown,
            role_arn: found.role_arn.to_string(),
            principals: found.principals.into_iter().map(TrustedPrincipalJson::from).collect(),
            roles: found.roles.into_iter().map(AssumingRoleJson::from).collect(),
            workloads: found.workloads.into_iter().map(AssumingWorkloadJson::from).collect(),
            missing: reasons(&found.missing),
        }
    }
}

impl From<TrustedPrincipal> for TrustedPrincipalJson {
    fn from(found: TrustedPrincipal) -> Self {
        let TrustedPrincipal { principal, kind, actions, conditional, pointer, sid, unknown } = found;
        Self { principal, kind, actions, conditional, pointer, sid, unknown_reasons: reasons(&unknown) }
    }
}

impl From<AssumingRole> for AssumingRoleJson {
    fn from(found: AssumingRole) -> Self {
        Self {
            role_arn: found.role_arn.to_string(),
            by_trust_policy: found.by_trust_policy,
            unknown_reasons: reasons(&found.unknown),
        }
    }
}

impl From<AssumingWorkload> for AssumingWorkloadJson {
    fn from(found: AssumingWorkload) -> Self {
        Self {
            association: found.association.to_string(),
            via: found.via.as_str(),
            through_role_arn: found.through,
            unknown_reasons: reasons(&found.unknown),
        }
    }
}

impl From<Failure> for AppError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::Role(error) => Self::not_found(format!("role `{}`", error.0)),
            Failure::Stopped(error) => Self::internal(error),
        }
    }
}

/// Who can assume a role: whom its trust policy lets in, and which roles and workloads get in by it.
#[utoipa::path(
    get, path = "/api/v1/roles/{arn}/assumable-by", tag = "inventory", operation_id = "get_role_assumable_by",
    params(("arn" = String, Path, description = "The ARN, with its slashes as %2F"), AssumableByQuery),
    responses((status = 200, body = AssumableByJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn of_role(
    Visible(app): Visible,
    Path(arn): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<AssumableByJson>, AppError> {
    let params = AssumableByQuery::parse(raw.as_deref())?;
    let role: RoleArn = arn.parse().map_err(|_| AppError::not_found(format!("role `{arn}`")))?;
    let as_of = as_of::of(&app.store, &params).await?;
    Ok(Json(answer_seen(&app, role, as_of).await?.into()))
}
