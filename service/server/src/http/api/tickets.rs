//! `/api/v1/findings/{id}/tickets`: who files the ticket of a finding, and where it is.

use super::findings::{answer, body};
use super::shape::FindingJson;
use crate::http::auth::token::random;
use crate::http::error::{AppError, Problem};
use crate::http::listing::Origin;
use crate::http::principal::Principal;
use crate::http::query::{Kind, api_query, param};
use crate::http::tickets::{self, faults, fresh_key, refused};
use crate::http::visible::Visible;
use crate::http::whole;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use rolecall_audit::finding::ticket::Reservation;
use rolecall_iam::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

api_query! {
    /// Query of a removal.
    RemoveQuery = &[param("token", Kind::Text, "The reservation's `token`, where a reservation is given back.")]
}
api_query! {
    /// One thing takes no parameter.
    NoQuery = &[]
}

/// A reservation that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReserveJson {
    /// How the installation calls the ticket system: 40 lower-case letters, digits, `-` and `_` at most.
    #[schema(example = "jira", pattern = "^[a-z0-9_-]{1,40}$")]
    system: String,
    /// The worker that files: a name that no other one has that runs at the same time. One that was started anew and
    /// asks with the same name and token gets its reservation again.
    #[schema(
        example = "ticket-bot-0",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*\S[^\x00-\x1f\x7f-\x9f]*$"
    )]
    holder: String,
    /// For how long, from 1 to 3,600 seconds; 600 if left out.
    #[serde(default, deserialize_with = "whole::or_none")]
    #[schema(example = 600, minimum = 1, maximum = 3600)]
    lease_seconds: Option<u64>,
}

/// A reservation: whoever has it files the ticket, and nobody else does.
#[derive(Serialize, ToSchema)]
pub(super) struct ReservationJson {
    /// In which system.
    #[schema(example = "jira")]
    system: String,
    /// What the ticket is to be marked with, so that it can be searched for. The same whoever reserves, until a ticket
    /// is taken away from the finding.
    #[schema(example = "rolecall-Q7gd0TmzR5uWcKx2")]
    idempotency_key: String,
    /// Shows that the reservation is the sender's: for the link of the ticket, and to give the reservation back.
    #[schema(example = "u1S0cFqP9zYwXbVn3kJmLr7tGhDe5aBc")]
    token: String,
    /// The worker that has it.
    #[schema(example = "ticket-bot-0")]
    holder: String,
    /// Until then nobody else gets it.
    lease_until: DateTime<Utc>,
    /// Whether somebody reserved it before: there may be a ticket that was never linked. Search the system for
    /// `idempotency_key` first.
    reserved_before: bool,
    /// The worker that did so last.
    #[schema(example = "ticket-bot-1")]
    earlier_holder: Option<String>,
    /// When it did.
    earlier_reserved_at: Option<DateTime<Utc>>,
}

/// A ticket that was filed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkJson {
    /// How the system calls the ticket; 200 characters at most.
    #[schema(
        example = "SEC-1204",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*\S[^\x00-\x1f\x7f-\x9f]*$"
    )]
    key: String,
    /// Where people read it: an `https` or `http` address.
    #[schema(
        example = "https://tracker.example/browse/SEC-1204",
        max_length = 2000,
        pattern = "^https?://[!-.0-~][!-~]*$"
    )]
    url: String,
    /// The reservation's `token`. Without one a ticket is linked where nothing is reserved.
    #[serde(default)]
    #[schema(example = "u1S0cFqP9zYwXbVn3kJmLr7tGhDe5aBc")]
    token: Option<String>,
}

/// Reserves the ticket of a finding in a system, so that of several workers one files it.
///
/// 409 `ticket_held` says who has it and until when, 409 `ticket_filed` that there is a ticket. A reservation whose
/// lease has ended is given to whoever asks next; `reserved_before` then says that the one before may have filed.
#[utoipa::path(
    post, path = "/api/v1/findings/{id}/tickets", tag = "findings", operation_id = "reserve_ticket",
    params(("id" = String, Path, description = "Number or fingerprint")), request_body = ReserveJson,
    responses((status = 201, body = ReservationJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn reserve(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<ReservationJson>), AppError> {
    NoQuery::parse(raw.as_deref())?;
    let ReserveJson { system, holder, lease_seconds } = body(&bytes)?;
    let asked = Reservation::new(&system, &holder, lease_seconds).map_err(faults)?;
    let token = random(32);
    let digest = Digest::sha256(token.as_bytes());
    let reserved = who.store(&app).reserve_ticket(&id, &asked, &digest, &fresh_key(), &who.label()).await?;
    let reserved = reserved.map_err(|why| refused(&id, asked.system(), &why))?;
    let earlier = reserved.before;
    let ticket = reserved.ticket;
    let answer = ReservationJson {
        system: ticket.system,
        idempotency_key: ticket.idempotency_key,
        token,
        holder: ticket.holder.unwrap_or_default(),
        lease_until: ticket.lease_until.unwrap_or_default(),
        reserved_before: earlier.is_some(),
        earlier_reserved_at: earlier.as_ref().and_then(|(_, at)| *at),
        earlier_holder: earlier.and_then(|(holder, _)| holder),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Links a filed ticket to a finding.
///
/// With a reservation its `token` is asked for. The same link again changes nothing; another ticket is a 409
/// `ticket_filed` until the first one is taken away.
#[utoipa::path(
    put, path = "/api/v1/findings/{id}/tickets/{system}", tag = "findings", operation_id = "link_ticket",
    params(("id" = String, Path, description = "Number or fingerprint"), ("system" = String, Path, pattern = "^[a-z0-9_-]{1,40}$")),
    request_body = LinkJson,
    responses(
        (status = 200, body = FindingJson, headers(("ETag" = String, description = "The finding's version, quoted"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn link(
    Visible(app): Visible,
    Path((id, system)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
    origin: Origin,
    Extension(who): Extension<Principal>,
    bytes: Bytes,
) -> Result<Response, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let LinkJson { key, url, token } = body(&bytes)?;
    let number = tickets::link(&app, &id, &system, (&key, &url), token.as_deref(), &who).await?;
    answer(&app, &number.to_string(), &origin).await
}

/// Takes a ticket away from a finding, or gives a reservation back.
///
/// Afterwards another ticket can be reserved; after a link was taken away, with another `idempotency_key`. While a
/// reservation holds, its `token` is asked for.
#[utoipa::path(
    delete, path = "/api/v1/findings/{id}/tickets/{system}", tag = "findings", operation_id = "remove_ticket",
    params(("id" = String, Path, description = "Number or fingerprint"), ("system" = String, Path, pattern = "^[a-z0-9_-]{1,40}$"), RemoveQuery),
    responses(
        (status = 200, body = FindingJson, headers(("ETag" = String, description = "The finding's version, quoted"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn remove(
    Visible(app): Visible,
    Path((id, system)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
    origin: Origin,
    Extension(who): Extension<Principal>,
) -> Result<Response, AppError> {
    let params = RemoveQuery::parse(raw.as_deref())?;
    let number = tickets::remove(&app, &id, &system, params.text("token"), &who).await?;
    answer(&app, &number.to_string(), &origin).await
}
