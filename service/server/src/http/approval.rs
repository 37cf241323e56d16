//! Approving changes and withdrawing that: one way for the API and for forms, with what refuses it said in
//! the same words. What is approved or no longer approved is judged again. Refuses to know SQL and what replaces a change.

use super::error::{AppError, Code, FieldError};
use super::principal::Principal;
use crate::app::App;
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{Approval, ApprovalFault, Withdrawal, state_words};
use rolecall_store::{AllApproved, Approved, ChangeFilter, ChangeRow, MOST_APPROVED, Withdrawn};

/// An approval as it was asked for.
pub(super) struct Asked {
    pub(super) reason: String,
    pub(super) ticket: Option<String>,
    pub(super) until: Option<DateTime<Utc>>,
}

impl Asked {
    pub(super) async fn read(&self, app: &App) -> Result<Approval, AppError> {
        let now = app.store.now().await?;
        Approval::new(&self.reason, self.ticket.as_deref(), self.until, now)
            .map_err(|faults| AppError::of_fields(Code::InvalidParameter, faults.into_iter().map(fault).collect()))
    }
}

pub(super) fn fault(it: ApprovalFault) -> FieldError {
    FieldError { parameter: it.field.to_owned(), message: it.message }
}

/// Approves one change.
pub(super) async fn approve(app: &App, id: &str, asked: &Asked, who: &Principal) -> Result<ChangeRow, AppError> {
    let approval = asked.read(app).await?;
    match who.store(app).approve_change(id, &approval, &who.label()).await? {
        Approved::Done(row) => {
            app.judge_changes(&who.label()).await?;
            Ok(*row)
        }
        Approved::Absent => Err(AppError::not_found(format!("change `{id}`"))),
        Approved::Follows(root) => Err(follows(id, &root)),
        Approved::Replaced(later) => Err(AppError::of_fields(
            Code::Conflict,
            vec![FieldError { parameter: "id".into(), message: replaced(id, &later) }],
        )),
    }
}

/// Approves all changes of a filter that are not approved, and gives their ids.
pub(super) async fn approve_all(
    app: &App,
    filter: &ChangeFilter,
    expected: u64,
    asked: &Asked,
    who: &Principal,
) -> Result<Vec<String>, AppError> {
    let approval = asked.read(app).await?;
    if expected == 0 || expected > u64::from(MOST_APPROVED) {
        let message = format!("`expected` is {expected}; approve from 1 to {MOST_APPROVED} changes together");
        return Err(AppError::of_fields(
            Code::InvalidParameter,
            vec![FieldError { parameter: "expected".into(), message }],
        ));
    }
    match who.store(app).approve_changes(filter, expected, &approval, &who.label()).await? {
        AllApproved::Done(ids) => {
            app.judge_changes(&who.label()).await?;
            Ok(ids)
        }
        AllApproved::Unexpected(found) => {
            let more = if found > u64::from(MOST_APPROVED) { "more than 1,000".to_owned() } else { found.to_string() };
            let detail = format!(
                "`expected` is {expected}, and {more} changes match that are not approved and follow from no other; \
                 look at the list again, or narrow it"
            );
            Err(AppError::new(Code::Conflict, detail))
        }
        AllApproved::Replaced(found) => {
            let error =
                |(id, later): &(String, ChangeRow)| FieldError { parameter: id.clone(), message: replaced(id, later) };
            Err(AppError::of_fields(Code::Conflict, found.iter().map(error).collect()))
        }
    }
}

/// Withdraws the approval of a change.
pub(super) async fn withdraw(app: &App, id: &str, reason: &str, who: &Principal) -> Result<ChangeRow, AppError> {
    let why =
        Withdrawal::new(reason).map_err(|wrong| AppError::of_fields(Code::InvalidParameter, vec![fault(wrong)]))?;
    match who.store(app).withdraw_approval(id, &why, &who.label()).await? {
        Withdrawn::Done(row) => {
            app.judge_changes(&who.label()).await?;
            Ok(*row)
        }
        Withdrawn::Absent => Err(AppError::not_found(format!("change `{id}`"))),
        Withdrawn::Follows(root) => Err(follows(id, &root)),
        Withdrawn::NotApproved => {
            Err(AppError::new(Code::Conflict, format!("change `{id}` is not approved: there is nothing to withdraw")))
        }
    }
}

fn follows(id: &str, root: &str) -> AppError {
    let detail = format!("change `{id}` follows from change `{root}` and is approved with it; approve that one");
    AppError::new(Code::Conflict, detail)
}

/// What changed meanwhile.
fn replaced(id: &str, later: &ChangeRow) -> String {
    let change = &later.change;
    format!(
        "what change `{id}` brought is not there any more: scan {} shows `{}` of `{}`, which is now {}; look at change \
         `{}`",
        later.run.0,
        change.change,
        change.resource.name,
        state_words(change.after.as_ref()),
        change.id
    )
}
