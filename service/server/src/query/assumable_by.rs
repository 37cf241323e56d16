//! Who can assume a stored role: loads the accounts that its trust policy names, and asks.
//!
//! One road for the API and the page. Refuses to know how the answer is shown.

use crate::app::App;
use rolecall_audit::access::assumable_by::{AssumableBy, NoRole, accounts, assumable_by};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, Store};
use std::collections::BTreeSet;

/// Who can assume a role, as far as whoever asks may see them.
pub(crate) struct Shown {
    pub(crate) answer: AssumableBy,
    /// Roles that are left out.
    pub(crate) roles_not_shown: usize,
    /// Workloads that are left out.
    pub(crate) workloads_not_shown: usize,
}

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

/// Who can assume a role that is seen. It is worked out over all that is stored: with limited eyes a policy that is not
/// seen would be one that is not there. Roles and workloads that are not seen are counted; principals are told as the
/// trust policy, which is seen with the role, has them.
pub(crate) async fn answer_seen(app: &App, role: RoleArn, as_of: Option<AsOf>) -> Result<Shown, Failure> {
    if !app.store.is_limited() {
        let answer = answer(&app.store, role, as_of).await?;
        return Ok(Shown { answer, roles_not_shown: 0, workloads_not_shown: 0 });
    }
    if app.store.shown_roles(&[role.to_string()]).await?.is_empty() {
        return Err(NoRole(role).into());
    }
    let mut answer = answer(app.whole(), role, as_of).await?;
    let of_all = (answer.roles.len(), answer.workloads.len());
    keep_shown(&app.store, &mut answer).await?;
    let roles_not_shown = of_all.0.saturating_sub(answer.roles.len());
    let workloads_not_shown = of_all.1.saturating_sub(answer.workloads.len());
    Ok(Shown { answer, roles_not_shown, workloads_not_shown })
}

/// Leaves out roles and workloads that are not seen, and their names in reasons.
pub(super) async fn keep_shown(seen: &Store, answer: &mut AssumableBy) -> Result<(), rolecall_store::Error> {
    let arns: Vec<String> = answer.roles.iter().map(|it| it.role_arn.to_string()).collect();
    let keys: Vec<String> = answer.workloads.iter().map(|it| it.association.to_string()).collect();
    let (roles, workloads) = (seen.shown_roles(&arns).await?, seen.shown_associations(&keys).await?);
    answer.roles.retain(|it| roles.contains(it.role_arn.as_str()));
    answer.workloads.retain(|it| workloads.contains(&it.association.to_string()));
    let unknown = answer.principals.iter_mut().map(|it| &mut it.unknown);
    let unknown = unknown.chain(answer.roles.iter_mut().map(|it| &mut it.unknown));
    let unknown = unknown.chain(answer.workloads.iter_mut().map(|it| &mut it.unknown));
    for reasons in unknown.chain([&mut answer.missing]) {
        *reasons = seen.shown_reasons(std::mem::take(reasons)).await?;
    }
    Ok(())
}

/// Who can assume a role, or could at a moment, by what was known then.
async fn answer(store: &Store, role: RoleArn, as_of: Option<AsOf>) -> Result<AssumableBy, Failure> {
    let own: BTreeSet<AccountId> = BTreeSet::from([role.account_id()]);
    let first = store.estate_of(&own, as_of).await?;
    let wanted = accounts(&first, &role);
    let estate = if wanted.is_subset(&own) { first } else { store.estate_of(&wanted, as_of).await? };
    // Long enough on a large account to be kept off the threads that serve requests.
    let asking = tokio::task::spawn_blocking(move || assumable_by(&estate, &role));
    Ok(asking.await.map_err(Failure::Stopped)??)
}
