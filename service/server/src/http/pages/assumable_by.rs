//! `/assumable-by`: who can assume a role, as it is or as it was at a time that has passed.

use super::estate::PageContext;
use super::parts::{Badge, ReasonLine, association_href, badge, plural, role_href};
use crate::http::as_of::AT;
use crate::http::error::{AppError, Code};
use crate::http::frame::Chrome;
use crate::http::query::{Kind, encode, param, query};
use crate::http::visible::Visible;
use crate::query::assumable_by::{Shown, answer_seen};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use rolecall_audit::access::assumable_by::{
    AssumableBy, AssumingRole, AssumingVia, AssumingWorkload, TrustedPrincipal,
};
use rolecall_estate::Reason;
use rolecall_iam::RoleArn;

/// So many rows of a table are shown; the API has all.
const SHOWN: usize = 200;

query! {
    /// Query of who can assume a role.
    AssumableByQuery = &[param("role", Kind::Text, "The ARN of the role."), AT]
}

/// Where to ask who can assume a role.
pub(super) fn href(arn: &str) -> String {
    format!("/assumable-by?role={}", encode(arn))
}

/// Whether somebody can assume the role, and why that is not known.
struct Can {
    badge: Badge,
    reasons: Vec<ReasonLine>,
}

impl Can {
    fn new(unknown: &[Reason]) -> Self {
        let badge = if unknown.is_empty() { badge("ok", "Can assume") } else { badge("unseen", "Unknown") };
        Self { badge, reasons: unknown.iter().map(ReasonLine::from).collect() }
    }
}

/// A principal that the trust policy names.
struct PrincipalRow {
    principal: String,
    kind: &'static str,
    actions: String,
    statement: String,
    condition: &'static str,
    reasons: Vec<ReasonLine>,
}

impl From<&TrustedPrincipal> for PrincipalRow {
    fn from(found: &TrustedPrincipal) -> Self {
        Self {
            principal: found.principal.clone(),
            kind: match found.kind {
                "anyone" => "Everyone",
                "all_but" => "Everyone but these",
                "account" => "Account",
                "role" => "Role",
                "user" => "User",
                "session" => "Session",
                "service" => "AWS service",
                "oidc_provider" => "OIDC provider",
                "saml_provider" => "SAML provider",
                "provider" => "Identity provider",
                _ => "Other",
            },
            actions: found.actions.join(", "),
            statement: found.sid.clone().unwrap_or_else(|| found.pointer.clone()),
            condition: if found.conditional { "with conditions" } else { "without conditions" },
            reasons: found.unknown.iter().map(ReasonLine::from).collect(),
        }
    }
}

/// A role that can assume it.
struct RoleRow {
    name: String,
    href: String,
    arn: String,
    account: String,
    by: &'static str,
    can: Can,
}

impl RoleRow {
    fn new(found: &AssumingRole, context: &PageContext) -> Self {
        Self {
            name: found.role_arn.name().to_owned(),
            href: context.href(&role_href(found.role_arn.as_str())),
            arn: found.role_arn.to_string(),
            account: context.names.of(found.role_arn.account_id()),
            by: if found.by_trust_policy { "the trust policy alone" } else { "the trust policy and its own policies" },
            can: Can::new(&found.unknown),
        }
    }
}

/// A workload whose pods get to it.
struct WorkloadRow {
    name: String,
    href: String,
    place: String,
    by: String,
    can: Can,
}

impl WorkloadRow {
    fn new(found: &AssumingWorkload, context: &PageContext) -> Self {
        let key = &found.association;
        Self {
            name: format!("{}/{}", key.namespace, key.service_account),
            href: context.href(&association_href(&key.to_string())),
            place: format!("{}, {}, {}", key.cluster, key.region, context.names.of(key.account_id)),
            by: match found.via {
                AssumingVia::Role => "the association’s role".to_owned(),
                AssumingVia::TargetRole => format!("target role, by way of {}", found.through),
                AssumingVia::AssumeRole => format!("assumed by {}", found.through),
            },
            can: Can::new(&found.unknown),
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/assumable_by.html")]
pub(crate) struct AssumableByPage {
    chrome: Chrome,
    name: String,
    arn: String,
    back: String,
    json: String,
    missing: Vec<ReasonLine>,
    principals: Vec<PrincipalRow>,
    roles: Vec<RoleRow>,
    more_roles: usize,
    workloads: Vec<WorkloadRow>,
    more_workloads: usize,
    /// What your limits leave out; empty where they leave out nothing.
    not_shown: String,
}

/// What the limits of whoever asks leave out.
fn not_shown_words(roles: usize, workloads: usize) -> String {
    let some = |n: usize, words: String| (n > 0).then_some(words);
    let left = [
        some(roles, plural(roles, "further role", "further roles")),
        some(workloads, plural(workloads, "further workload", "further workloads")),
    ];
    let left: Vec<String> = left.into_iter().flatten().collect();
    if left.is_empty() {
        return String::new();
    }
    format!("Your limits do not show {} that can assume this role, or may.", left.join(" and "))
}

/// `GET /assumable-by`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<AssumableByPage, AppError> {
    let params = AssumableByQuery::parse(raw.as_deref())?;
    let given = params.text("role").ok_or_else(|| AppError::new(Code::BadRequest, "give `role`, the ARN of a role"))?;
    let role: RoleArn = given.parse().map_err(|_| AppError::not_found(format!("role `{given}`")))?;
    let context = PageContext::as_of(&app, &params, "/assumable-by", &mut chrome).await?;
    let Shown { answer, roles_not_shown, workloads_not_shown } = answer_seen(&app, role, context.as_of).await?;
    let AssumableBy { role_arn, principals, roles, workloads, missing } = answer;
    let arn = role_arn.as_str();
    Ok(AssumableByPage {
        not_shown: not_shown_words(roles_not_shown, workloads_not_shown),
        name: role_arn.name().to_owned(),
        back: context.href(&role_href(arn)),
        json: context.href(&format!("/api/v1/roles/{}/assumable-by", encode(arn).replace('/', "%2F"))),
        missing: ReasonLine::each(&missing),
        principals: principals.iter().map(PrincipalRow::from).collect(),
        more_roles: roles.len().saturating_sub(SHOWN),
        roles: roles.iter().take(SHOWN).map(|found| RoleRow::new(found, &context)).collect(),
        more_workloads: workloads.len().saturating_sub(SHOWN),
        workloads: workloads.iter().take(SHOWN).map(|found| WorkloadRow::new(found, &context)).collect(),
        arn: arn.to_owned(),
        chrome,
    })
}
