//! A question to what is stored: loads what it needs, puts it, and gives the answer a form.
//!
//! One road for the command and the API. Refuses to know how a question is written down.

use chrono::Utc;
use rolecall_audit::access::simulate::{AskError, Question, accounts, ask};
use rolecall_estate::AssociationKey;
use rolecall_iam::{AccountId, Explanation, RoleArn};
use rolecall_store::{AsOf, Store};
use std::collections::BTreeSet;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The database fails.
    #[error("the stored estate cannot be read")]
    Store(#[from] rolecall_store::Error),
    /// Invalid request.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// The answer to a question.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Policy by policy.
    pub explanation: Explanation,
    /// The principal that asks, as policies see it.
    pub principal: String,
    /// The resource, as policies see it.
    pub resource: String,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Puts a question for somebody who may see what `seen` shows. A pod or a role that they see may be asked for, and a
/// role that they see be asked about; what decides it, such as an SCP, is then looked for in all that is stored: a
/// policy that they do not see would otherwise be one that is not there.
///
/// # Errors
/// As [`answer`]; what they do not see is told from what is not there by nothing.
pub(crate) async fn answer_seen(
    seen: &Store,
    whole: &Store,
    question: &Question,
    as_of: Option<AsOf>,
) -> Result<Answer, SimulateError> {
    if seen.is_limited() {
        let principal = &question.principal;
        if let Ok(key) = principal.parse::<AssociationKey>() {
            if seen.association(&key, Utc::now(), as_of).await?.is_none() {
                return Err(AskError::Association(format!("no association was seen for {key}")).into());
            }
        } else if !is_seen_role(seen, principal, as_of).await? {
            return Err(AskError::Role(principal.clone()).into());
        }
        if question.resource.parse::<RoleArn>().is_ok() && !is_seen_role(seen, &question.resource, as_of).await? {
            return Err(AskError::Role(question.resource.clone()).into());
        }
    }
    answer(whole, question, as_of).await
}

async fn is_seen_role(seen: &Store, arn: &str, as_of: Option<AsOf>) -> Result<bool, SimulateError> {
    let Ok(arn) = arn.parse::<RoleArn>() else { return Ok(false) };
    Ok(seen.role(&arn, as_of).await?.is_some())
}

/// Puts a question to the stored estate, as it is or as it was known at a moment.
///
/// # Errors
/// Where the database fails, or the question cannot be put.
pub async fn answer(store: &Store, question: &Question, as_of: Option<AsOf>) -> Result<Answer, SimulateError> {
    let mut needed: BTreeSet<AccountId> = BTreeSet::new();
    let mut estate = store.estate_of(&needed, as_of).await?;
    // An association leads to roles of accounts that only it names: two steps at most.
    for _ in 0..2 {
        let more = accounts(&estate, question);
        if more.is_subset(&needed) {
            break;
        }
        needed.extend(more);
        estate = store.estate_of(&needed, as_of).await?;
    }
    let asked = ask(&estate, question)?;
    Ok(Answer {
        explanation: asked.explain(),
        principal: asked.request.principal().text().to_owned(),
        resource: asked.request.resource().as_str().to_owned(),
        notes: asked.notes,
    })
}
