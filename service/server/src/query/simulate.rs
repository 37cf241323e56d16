//! A question to what is stored: loads what it needs, puts it, and gives the answer a form.
//!
//! One road for the command and the API. Refuses to know how a question is written down.

use rolecall_audit::access::simulate::{AskError, Question, accounts, ask};
use rolecall_iam::{AccountId, Explanation};
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
