//! `/api/v1`: JSON for programs.
//!
//! Shapes are this module's own and never domain types, so that a change inside is no change of the
//! contract; the contract is `openapi.json`, made from the same routes. Refuses to know SQL and HTML.

pub(crate) mod access_report;
mod assumable_by;
pub(crate) mod audit_log;
pub(crate) mod baselines;
pub(crate) mod change_events;
pub(crate) mod changes;
pub(crate) mod clusters;
mod compare;
mod events;
pub(crate) mod exceptions;
mod findings;
mod granted;
mod inventory;
mod judged;
mod remediation;
mod shape;
mod simulate;
mod tickets;
mod tokens;
mod usage;
mod views;
mod webhooks;
pub(crate) mod what_if;
mod who_can;

pub(crate) use shape::{AccountJson, SuppressionJson};

use super::limits;
use super::principal::Scope;
use super::routes::Routes;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Rolecall",
        description = "Findings and inventory of EKS Pod Identity over many AWS accounts.\n\n\
            Lists are paged by opaque cursors; a cursor fits only the filters that it came with. An unknown query \
            parameter is refused. What is read has an `ETag`: with `If-None-Match` an answer that is the same is a \
            304 without a body. `RateLimit` and `RateLimit-Policy` tell how many requests the credential has left, \
            429 that it has none, with `Retry-After`. Every failure is an `application/problem+json` document. Every answer has an \
            `X-Request-Id`. Additions within v1 are compatible; ignore fields that you do not know.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(super::error::Problem, super::error::FieldError)),
    tags(
        (name = "findings", description = "Findings and their history"),
        (name = "events", description = "All that happened, in one order"),
        (name = "changes", description = "What changed, who made it, and whether it is approved"),
        (name = "inventory", description = "Resources and coverage"),
        (name = "rules", description = "Rules"),
        (name = "views", description = "Lists with their filters, under names"),
        (name = "webhooks", description = "Endpoints that receive events"),
        (name = "scans", description = "Collections and evaluations"),
        (name = "access", description = "Tokens, and who did what")
    )
)]
struct Document;

/// What the contract says beside its paths.
pub(crate) fn document() -> OpenApi {
    let mut document = Document::openapi();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("rlc_…").build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    document.security = Some(vec![utoipa::openapi::security::SecurityRequirement::new("token", [""; 0])]);
    document
}

/// Every endpoint, with the scope that it requires. What simulate, compare and what-if are sent is only decided:
/// they change nothing.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .api(Scope::FindingsRead, routes!(findings::list))
        .api(Scope::FindingsRead, routes!(findings::one))
        .api(Scope::FindingsRead, routes!(findings::events))
        .api(Scope::FindingsRead, routes!(remediation::one))
        .api(Scope::FindingsTriage, routes!(findings::update))
        .api(Scope::FindingsTriage, routes!(findings::comment))
        .api(Scope::FindingsTriage, routes!(findings::update_all))
        .api(Scope::TicketsWrite, routes!(tickets::reserve))
        .api(Scope::TicketsWrite, routes!(tickets::link))
        .api(Scope::TicketsWrite, routes!(tickets::remove))
        .api(Scope::FindingsRead, routes!(events::list))
        .api(Scope::FindingsRead, routes!(exceptions::list))
        .api(Scope::FindingsRead, routes!(views::list))
        .api(Scope::FindingsRead, routes!(views::create))
        .api(Scope::FindingsRead, routes!(views::delete))
        .api(Scope::WebhooksManage, routes!(webhooks::list))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::WebhooksManage, routes!(webhooks::deliveries))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::WebhooksManage, routes!(webhooks::test))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::WebhooksManage, routes!(webhooks::enable))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::WebhooksManage, routes!(webhooks::replay))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::WebhooksManage, routes!(webhooks::replay_delivery))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::InventoryRead, routes!(changes::list))
        .api(Scope::InventoryRead, routes!(changes::one))
        .api(Scope::InventoryRead, routes!(changes::steps))
        .api(Scope::ChangesApprove, routes!(changes::approve))
        .api(Scope::ChangesApprove, routes!(changes::withdraw))
        .api(Scope::ChangesApprove, routes!(changes::approve_all))
        .api(Scope::InventoryRead, routes!(baselines::list))
        .api(Scope::InventoryRead, routes!(baselines::one))
        .api(Scope::ChangesApprove, routes!(baselines::create))
        .of_everything(limits::BASELINES)
        .api(Scope::ChangesApprove, routes!(baselines::withdraw))
        .of_everything(limits::BASELINES)
        .api(Scope::InventoryRead, routes!(inventory::accounts))
        .api(Scope::InventoryRead, routes!(inventory::coverage))
        .api(Scope::InventoryRead, routes!(clusters::list))
        .api(Scope::InventoryRead, routes!(clusters::one))
        .api(Scope::InventoryRead, routes!(inventory::associations))
        .api(Scope::InventoryRead, routes!(inventory::association))
        .api(Scope::InventoryRead, routes!(inventory::roles))
        .api(Scope::InventoryRead, routes!(inventory::role))
        .api(Scope::InventoryRead, routes!(assumable_by::of_role))
        .api(Scope::InventoryRead, routes!(access_report::access))
        .api(Scope::InventoryRead, routes!(inventory::sessions))
        .api(Scope::InventoryRead, routes!(change_events::list))
        .api(Scope::InventoryRead, routes!(usage::session))
        .api(Scope::InventoryRead, routes!(usage::of_association))
        .api(Scope::InventoryRead, routes!(usage::of_role))
        .api(Scope::InventoryRead, routes!(granted::of_association))
        .api(Scope::InventoryRead, routes!(granted::of_role))
        .api(Scope::InventoryRead, routes!(usage::ingestion))
        .of_everything(limits::INGESTION)
        .api(Scope::PoliciesRead, routes!(judged::rules))
        .api(Scope::PoliciesRead, routes!(judged::rule))
        .api(Scope::ScansRead, routes!(judged::runs))
        .of_everything(limits::SCANS)
        .api(Scope::ScansWrite, routes!(judged::start))
        .of_everything(limits::SCANS)
        .api(Scope::ScansRead, routes!(judged::run))
        .of_everything(limits::SCANS)
        .api(Scope::InventoryRead, routes!(simulate::simulate))
        .api(Scope::InventoryRead, routes!(who_can::who_can))
        .api(Scope::InventoryRead, routes!(compare::compare))
        .api(Scope::InventoryRead, routes!(what_if::what_if))
        .of_everything(limits::WHAT_IF)
        .api(Scope::AuditRead, routes!(audit_log::list))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::Admin, routes!(tokens::list))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::Admin, routes!(tokens::create))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::Admin, routes!(tokens::rotate))
        .of_everything(limits::CREDENTIALS)
        .api(Scope::Admin, routes!(tokens::revoke))
        .of_everything(limits::CREDENTIALS)
}
