//! `/api/v1`: JSON for programs.
//!
//! Shapes are this module's own and never domain types, so that a change inside is no change of the
//! contract; the contract is `openapi.json`, made from the same routes. Refuses to know SQL and HTML.

mod compare;
mod findings;
mod granted;
mod inventory;
mod judged;
mod shape;
mod simulate;
mod usage;

use crate::app::App;
use axum::Json;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Rolecall",
        description = "Findings and inventory of EKS Pod Identity over many AWS accounts.\n\n\
            Lists are paged by opaque cursors; a cursor fits only the filters that it came with. An unknown query \
            parameter is refused. Every failure is an `application/problem+json` document. Every answer has an \
            `X-Request-Id`. Additions within v1 are compatible; ignore fields that you do not know.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(super::error::Problem, super::error::FieldError)),
    tags(
        (name = "findings", description = "Findings and their history"),
        (name = "inventory", description = "Resources and coverage"),
        (name = "rules", description = "Rules"),
        (name = "scans", description = "Collections and evaluations")
    )
)]
struct Document;

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(findings::list))
        .routes(routes!(findings::one))
        .routes(routes!(findings::events))
        .routes(routes!(inventory::accounts))
        .routes(routes!(inventory::coverage))
        .routes(routes!(inventory::associations))
        .routes(routes!(inventory::association))
        .routes(routes!(inventory::roles))
        .routes(routes!(inventory::role))
        .routes(routes!(inventory::sessions))
        .routes(routes!(usage::session))
        .routes(routes!(usage::of_association))
        .routes(routes!(usage::of_role))
        .routes(routes!(granted::of_association))
        .routes(routes!(granted::of_role))
        .routes(routes!(usage::ingestion))
        .routes(routes!(judged::rules))
        .routes(routes!(judged::rule))
        .routes(routes!(judged::runs, judged::start))
        .routes(routes!(judged::run))
        .routes(routes!(simulate::simulate))
        .routes(routes!(compare::compare))
}

/// The contract of the API, as `openapi.json` holds it.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = routes().into_openapi();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("rlc_…").build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    document.security = Some(vec![utoipa::openapi::security::SecurityRequirement::new("token", [""; 0])]);
    document
}

/// Every endpoint, and the contract itself.
pub(crate) fn router() -> axum::Router<App> {
    let (router, _) = routes().split_for_parts();
    router.route("/api/v1/openapi.json", axum::routing::get(async || Json(openapi())))
}
