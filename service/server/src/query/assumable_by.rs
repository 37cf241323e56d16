//! Who can assume a stored role: loads the accounts that its trust policy names, and asks.
//!
//! One road for the API and the page. Refuses to know how the answer is shown.

use rolecall_audit::access::assumable_by::{AssumableBy, NoRole, accounts, assumable_by};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, Store};
use std::collections::BTreeSet;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database fails.
    #[error("what is stored cannot be read")]
    Store(#[from] rolecall_store::Error),
    /// There is no such role.
    #[error(transparent)]
    Role(#[from] NoRole),
    /// The task that decides was stopped.
    #[error("deciding was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

/// Who can assume a role, or could at a moment, by what was known then.
pub(crate) async fn answer(store: &Store, role: RoleArn, as_of: Option<AsOf>) -> Result<AssumableBy, Failure> {
    let own: BTreeSet<AccountId> = BTreeSet::from([role.account_id()]);
    let first = store.estate_of(&own, as_of).await?;
    let wanted = accounts(&first, &role);
    let estate = if wanted.is_subset(&own) { first } else { store.estate_of(&wanted, as_of).await? };
    // Long enough on a large account to be kept off the threads that serve requests.
    let asking = tokio::task::spawn_blocking(move || assumable_by(&estate, &role));
    Ok(asking.await.map_err(Failure::Stopped)??)
}
