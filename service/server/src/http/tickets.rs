//! Tickets of findings: one way for the API and for forms to link and unlink them, with what refuses it said in the
//! same words. Refuses to know SQL and which systems there are.

use super::auth::token::random;
use super::error::{AppError, Code, FieldError};
use super::principal::Principal;
use crate::app::App;
use rolecall_audit::finding::ticket::{Ticket, TicketSystem};
use rolecall_audit::finding::triage::TriageFault;
use rolecall_iam::Digest;
use rolecall_store::NotTicketed;

/// Links a filed ticket to a finding, and gives the finding's number. `token` is that of a reservation.
pub(super) async fn link(
    app: &App,
    id: &str,
    system: &str,
    (key, url): (&str, &str),
    token: Option<&str>,
    who: &Principal,
) -> Result<i64, AppError> {
    let (system, ticket) = match (TicketSystem::new(system), Ticket::new(key, url)) {
        (Ok(system), Ok(ticket)) => (system, ticket),
        (system, ticket) => {
            return Err(faults(system.err().into_iter().chain(ticket.err().unwrap_or_default()).collect()));
        }
    };
    let digest = token.map(|token| Digest::sha256(token.as_bytes()));
    let linked = who.store(app).link_ticket(id, &system, &ticket, digest.as_ref(), &fresh_key(), &who.label()).await?;
    linked.map_err(|why| refused(id, &system, &why))
}

/// Takes a ticket away from a finding, or gives a reservation back, and gives the finding's number.
pub(super) async fn remove(
    app: &App,
    id: &str,
    system: &str,
    token: Option<&str>,
    who: &Principal,
) -> Result<i64, AppError> {
    let system = TicketSystem::new(system).map_err(|fault| faults(vec![fault]))?;
    let digest = token.map(|token| Digest::sha256(token.as_bytes()));
    let removed = who.store(app).remove_ticket(id, &system, digest.as_ref(), &who.label()).await?;
    removed.map_err(|why| refused(id, &system, &why))
}

pub(super) fn fresh_key() -> String {
    format!("rolecall-{}", random(16))
}

pub(super) fn faults(faults: Vec<TriageFault>) -> AppError {
    let each = faults.into_iter().map(|it| FieldError { parameter: it.field.to_owned(), message: it.message });
    AppError::of_fields(Code::InvalidParameter, each.collect())
}

pub(super) fn refused(id: &str, system: &TicketSystem, why: &NotTicketed) -> AppError {
    let system = system.as_str();
    match why {
        NotTicketed::Absent => AppError::not_found(format!("finding `{id}`")),
        NotTicketed::NoTicket => {
            AppError::not_found(format!("a ticket or reservation of finding `{id}` in `{system}`"))
        }
        NotTicketed::Held(row) => {
            let holder = row.holder.as_deref().unwrap_or("another worker");
            let by = row.reserved_by.as_deref().unwrap_or("an earlier one");
            let until = row.lease_until.map(|at| format!(" until {at}")).unwrap_or_default();
            let detail = format!("finding `{id}`: its ticket in `{system}` is reserved by `{holder}` ({by}){until}");
            AppError::new(Code::TicketHeld, detail)
        }
        NotTicketed::Filed(row) => {
            let (key, url) = (row.key.as_deref().unwrap_or_default(), row.url.as_deref().unwrap_or_default());
            AppError::new(Code::TicketFiled, format!("finding `{id}`: its ticket in `{system}` is {key}, {url}"))
        }
    }
}
