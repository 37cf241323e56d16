//! Approving the present state of resources and withdrawing that: one way for the API and for forms, with what refuses
//! it said in the same words. What changes by it is judged again. Refuses to know SQL and what a state is.

use super::approval::{Asked, fault};
use super::error::{AppError, Code, FieldError};
use super::principal::Principal;
use crate::app::App;
use crate::audit::baselines::compare_and_approve;
use rolecall_audit::drift::baseline::{Compared, Selection, Taken, take as take_states};
use rolecall_audit::drift::{Resource, Withdrawal};
use rolecall_iam::AccountId;
use rolecall_store::{BaselineRow, BaselineWithdrawn, NewBaseline};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is to be approved.
pub(super) struct AskedState {
    pub(super) resource: Option<String>,
    pub(super) account_id: Option<AccountId>,
    pub(super) expected_digest: Option<String>,
    pub(super) asked: Asked,
}

/// What was approved.
pub(super) struct TakenRows {
    pub(super) rows: Vec<BaselineRow>,
    pub(super) skipped: Vec<(Resource, String)>,
}

fn wrong(parameter: &str, message: impl Into<String>) -> AppError {
    let error = FieldError { parameter: parameter.to_owned(), message: message.into() };
    AppError::of_fields(Code::InvalidParameter, vec![error])
}

/// The account that a resource's name tells.
fn account_of(name: &str) -> Option<AccountId> {
    let part = if name.starts_with("arn:") { name.split(':').nth(4) } else { name.split('/').next() };
    part?.parse().ok()
}

/// Approves the present state of a resource, or of every resource of an account.
pub(super) async fn take(app: &App, wanted: AskedState, who: &Principal) -> Result<TakenRows, AppError> {
    let approval = wanted.asked.read(app).await?;
    let AskedState { resource, account_id, expected_digest, .. } = wanted;
    let account = match (&resource, account_id) {
        (_, Some(account)) => account,
        (Some(name), None) => account_of(name)
            .ok_or_else(|| wrong("account_id", format!("`{name}` names no account; give `account_id`, too")))?,
        (None, None) => return Err(wrong("resource", "give `resource`, `account_id` or both")),
    };
    if resource.is_none() && expected_digest.is_some() {
        return Err(wrong("expected_digest", "`expected_digest` is of one resource; give `resource`, too"));
    }
    let estate = Arc::new(app.store.estate_of(&BTreeSet::from([account]), None).await?);
    let at = app.store.now().await?;
    let what = Selection { account_id: Some(account), resource: resource.clone() };
    let Taken { baselines, skipped } = {
        let (estate, by) = (estate.clone(), who.label());
        let taking = tokio::task::spawn_blocking(move || take_states(&estate, &what, &approval, &by, at));
        taking.await.map_err(AppError::internal)?
    };
    let name = resource.as_deref();
    match (baselines.first(), skipped.first()) {
        (None, None) => {
            return Err(AppError::not_found(match name {
                Some(name) => format!("resource `{name}` that can have a baseline"),
                None => format!("resource of account {account} that can have a baseline"),
            }));
        }
        (None, Some((resource, why))) => {
            let detail = format!("`{}` cannot be approved: {why}; scan it again", resource.name);
            return Err(AppError::new(Code::Conflict, detail));
        }
        (Some(found), _) => {
            let digest = found.digest.to_string();
            if expected_digest.is_some_and(|expected| expected != digest) {
                let detail = format!(
                    "the state of `{}` has changed: its digest is {digest} now; look at it again",
                    found.resource.name
                );
                return Err(AppError::new(Code::Conflict, detail));
            }
        }
    }
    let sign = |mut baseline: rolecall_audit::drift::baseline::Baseline| {
        baseline.signature = app.signing_key.as_ref().map(|key| key.sign(&baseline.signed_bytes()));
        NewBaseline {
            signed_by: baseline.signature.as_ref().map(|signature| signature.key.clone()),
            compared: Compared::taken(),
            file: None,
            baseline,
        }
    };
    let new: Vec<NewBaseline> = baselines.into_iter().map(sign).collect();
    let kept: BTreeSet<String> = who.store(app).keep_baselines(&new).await?.into_iter().collect();
    compare_and_approve(&who.store(app), estate, &[account]).await?;
    app.judge_changes(&who.label()).await?;
    let rows = app.store.baselines_in_force(&[account]).await?;
    Ok(TakenRows { rows: rows.into_iter().filter(|row| kept.contains(&row.id)).collect(), skipped })
}

/// Withdraws a baseline, with the approvals that were given with it.
pub(super) async fn withdraw(app: &App, id: &str, reason: &str, who: &Principal) -> Result<BaselineRow, AppError> {
    let why =
        Withdrawal::new(reason).map_err(|wrong| AppError::of_fields(Code::InvalidParameter, vec![fault(wrong)]))?;
    match who.store(app).withdraw_baseline(id, &why, &who.label()).await? {
        BaselineWithdrawn::Done(row) => {
            app.judge_changes(&who.label()).await?;
            Ok(*row)
        }
        BaselineWithdrawn::Absent => Err(AppError::not_found(format!("baseline `{id}`"))),
        BaselineWithdrawn::Ended(_) => Err(AppError::new(
            Code::Conflict,
            format!("baseline `{id}` is not in force any more: there is nothing to withdraw"),
        )),
    }
}
