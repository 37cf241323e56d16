//! Who can do something to a resource, of what is stored: loads every account, and asks.
//!
//! One road for the API and the page. Refuses to know how the answer is shown.

use rolecall_audit::access::simulate::{AskError, Question};
use rolecall_audit::access::who_can::{WhoCan, who_can};
use rolecall_estate::Estate;
use rolecall_iam::AccountId;
use rolecall_store::{AsOf, Store};
use std::collections::BTreeSet;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database fails.
    #[error("what is stored cannot be read")]
    Store(#[from] rolecall_store::Error),
    /// Invalid request.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The task that decides was stopped.
    #[error("deciding was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

/// Who can, or could at a moment, of the workloads and roles that `seen` shows. What decides, such as an SCP, is looked
/// for in all that is stored.
pub(crate) async fn answer(
    seen: &Store,
    whole: &Store,
    question: Question,
    as_of: Option<AsOf>,
) -> Result<WhoCan, Failure> {
    let estate = every_account(whole, as_of).await?;
    let keys: Vec<String> = estate.associations.iter().map(|it| it.key.to_string()).collect();
    let arns: Vec<String> = estate.roles.iter().map(|it| it.arn.to_string()).collect();
    // Long enough on a large estate to be kept off the threads that serve requests.
    let asking = tokio::task::spawn_blocking(move || who_can(&estate, &question));
    let mut found = asking.await.map_err(Failure::Stopped)??;
    if seen.is_limited() {
        let (workloads, roles) = (seen.shown_associations(&keys).await?, seen.shown_roles(&arns).await?);
        found.workloads.retain(|it| workloads.contains(&it.principal.to_string()));
        found.roles.retain(|it| roles.contains(it.principal.as_str()));
        (found.asked_workloads, found.asked_roles) = (workloads.len(), roles.len());
        let unknown = found.workloads.iter_mut().map(|it| &mut it.unknown);
        let unknown = unknown.chain(found.roles.iter_mut().map(|it| &mut it.unknown));
        for reasons in unknown.chain([&mut found.missing]) {
            *reasons = seen.shown_reasons(std::mem::take(reasons)).await?;
        }
    }
    Ok(found)
}

async fn every_account(store: &Store, as_of: Option<AsOf>) -> Result<Estate, rolecall_store::Error> {
    let accounts: BTreeSet<AccountId> =
        store.estate_of(&BTreeSet::new(), as_of).await?.accounts.iter().map(|account| account.id).collect();
    store.estate_of(&accounts, as_of).await
}
