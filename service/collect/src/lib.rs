//! AWS, looked at from outside: accounts, roles, clusters, associations, trails, sessions.
//!
//! Knows: credentials, AWS calls, paging, throttling, percent-encoding, and how each refused,
//! throttled-out, timed-out or malformed answer becomes a gap while the scan goes on. Refuses to
//! know storage, rules, findings and HTTP pages; it never reads another look.
//! [`publish`] looks at nothing: it sends a message, with the same credentials.
//!
//! One [`Observation`] is sent for each account as soon as that account is done. A scope in it is
//! complete only after the last page of every listing that makes it up. Scopes depend on each
//! other: a gap of `Entry` is a gap in the whole account; a gap of `Clusters` without a region means
//! that regions may be missing; one of `Clusters` in a region, that clusters of it may be missing.
//!
//! The listing of associations tells neither role nor time of change, and `associationId` stays the
//! same through an update. So every association is described in every scan, side by side.

mod account;
mod account_scan;
mod call;
mod doctor;
mod eks;
mod entry;
mod iam;
mod organization;
mod plan;
pub mod publish;
mod regions;
mod trail;
pub mod trails;

pub use call::{Holder, PermissionUse};
pub use doctor::{Answer, Probe, doctor, missing_statement};
pub use entry::CannotStart;
pub use plan::{Accounts, Hub, Keys, Plan, PlanError, Regions, Settings, Target};

use account_scan::AccountScan;
use call::{Caller, Deadline};
use chrono::{DateTime, Utc};
use entry::HubSession;
use futures::StreamExt as _;
use rolecall_estate::coverage::Scope;
use rolecall_estate::{Account, Observation};
use rolecall_iam::AccountId;
use std::collections::BTreeMap;
use tokio::sync::mpsc::Sender;

/// Something that a person who watches may want to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The accounts to look at are known.
    Discovered {
        /// How many.
        accounts: usize,
    },
    /// An account is being looked at.
    Begun {
        /// Which.
        account: &'a Account,
    },
    /// A scope was read.
    ScopeDone {
        /// Which.
        scope: &'a Scope,
        /// Whether to its end.
        complete: bool,
    },
    /// An account is done.
    Finished {
        /// Which.
        account_id: AccountId,
        /// How many gaps there were.
        gaps: usize,
    },
}

/// Who watches a scan. Called from the task that looks, so it must not block.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn on(&self, event: &Event<'_>);
}

/// Nobody watches.
impl Progress for () {
    fn on(&self, _: &Event<'_>) {}
}

/// What a scan came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The hub's own account.
    pub hub: AccountId,
    /// Accounts observed; those that could not be entered are among them.
    pub accounts: usize,
    /// Gaps over all accounts.
    pub gaps: usize,
    /// Calls made, by IAM action; the SDK's retries are not counted.
    pub calls: BTreeMap<&'static str, u64>,
    /// Whether the scan ended early, because nobody took the observations any more.
    pub interrupted: bool,
}

/// Looks at every account of the plan and sends one observation for each, in no order.
///
/// Dropping the future ends the scan. A closed `sink` ends it, too.
///
/// # Errors
/// Only what keeps the scan from beginning. Everything later is a gap in some observation.
pub async fn collect(
    plan: &Plan,
    progress: &dyn Progress,
    sink: Sender<Observation>,
    now: DateTime<Utc>,
) -> Result<Summary, CannotStart> {
    let until = Deadline::after(plan.settings.run_deadline, "run");
    let caller = Caller::new(plan.settings.max_concurrent_calls);
    let hub = HubSession::open(plan, &caller).await?;
    let mut summary =
        Summary { hub: hub.account_id, accounts: 0, gaps: 0, calls: caller.into_calls(), interrupted: false };
    let organization = AccountScan::at(hub.account_id, plan, progress, now, until);
    let mut accounts = organization::discover(&organization, &hub).await;
    if let Some(only) = &plan.settings.only {
        accounts.retain(|found| only.contains(&found.account.id));
    }
    let (mut of_hub, caller) = organization.finish();
    count(&mut summary.calls, caller);
    progress.on(&Event::Discovered { accounts: accounts.len() });

    let mut scans = futures::stream::iter(accounts)
        .map(|found| account::observe(found, &hub, plan, progress, now, until))
        .buffer_unordered(plan.settings.max_concurrent_accounts);
    while let Some((mut observation, caller)) = scans.next().await {
        count(&mut summary.calls, caller);
        let account_id = observation.account.as_ref().map(|account| account.id);
        if account_id == Some(hub.account_id) {
            observation.snapshot.absorb(std::mem::take(&mut of_hub).snapshot);
        }
        let gaps = observation.coverage.gaps().count();
        summary.accounts += 1;
        summary.gaps += gaps;
        if let Some(account_id) = account_id {
            progress.on(&Event::Finished { account_id, gaps });
        }
        if sink.send(observation).await.is_err() {
            summary.interrupted = true;
            break;
        }
    }
    Ok(summary)
}

fn count(calls: &mut BTreeMap<&'static str, u64>, caller: Caller) {
    for (action, n) in caller.into_calls() {
        *calls.entry(action).or_default() += n;
    }
}

/// Every IAM action that we call, by name. `sts:GetCallerIdentity` is called too, but needs no
/// permission.
#[must_use]
pub fn actions() -> Vec<PermissionUse> {
    let of_scans =
        [&entry::ACTIONS[..], &organization::ACTIONS, &iam::ACTIONS, &regions::ACTIONS, &eks::ACTIONS, &trail::ACTIONS];
    let all = of_scans.into_iter().chain([&trails::ACTIONS[..], &publish::ACTIONS]);
    let mut all: Vec<PermissionUse> = all.flatten().map(|permission| **permission).collect();
    all.sort_by_key(|permission| permission.action);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: &T) {}

    #[test]
    fn a_look_may_run_on_any_thread() {
        let plan = Plan::new(Settings::default()).unwrap();
        let (sink, _observations) = tokio::sync::mpsc::channel(1);
        is_send(&collect(&plan, &(), sink, DateTime::UNIX_EPOCH));
        is_send(&doctor(&plan));
    }

    #[test]
    fn every_action_is_named_once_and_has_a_reason() {
        let actions = actions();
        let mut names: Vec<&str> = actions.iter().map(|permission| permission.action).collect();
        names.dedup();
        assert_eq!(names.len(), actions.len());
        assert!(actions.iter().all(|permission| !permission.why.is_empty() && permission.action.contains(':')));
    }
}
