//! Scans of single accounts, because calls changed something there after their last scan.
//!
//! Knows which accounts are due, and that what is not read again stays as it was. Refuses to know SQL, and what
//! a call did.

use super::scan::collect_and_read;
use super::{drift, replay};
use crate::audit::run::Collected;
use crate::error::Error;
use crate::progress::Progress;
use chrono::TimeDelta;
use rolecall_collect::Settings;
use rolecall_estate::Observation;
use rolecall_iam::AccountId;
use rolecall_store::{RunId, Store};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;

/// The accounts in which a call changed something after their last scan, where that is not more recent than this.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn due(store: &Store, distance: Duration) -> Result<BTreeSet<AccountId>, Error> {
    Ok(store.accounts_to_rescan(distance).await?)
}

/// Tells what calls did that no scan has shown yet.
///
/// # Errors
/// Where the database fails; what is not kept is owed still.
pub(crate) async fn tell(store: &Store) -> Result<(), Error> {
    drift::work_out(store).await?;
    replay::work_out(store).await?;
    Ok(())
}

/// Looks at some accounts. Trails are not read, and what they told stays.
///
/// # Errors
/// What keeps the look from beginning; where the database fails.
pub(crate) async fn collect(
    store: &Store,
    accounts: BTreeSet<AccountId>,
    settings: Settings,
    run: RunId,
    sender: mpsc::Sender<Observation>,
    progress: &Progress,
) -> Result<Collected, Error> {
    let lookback = settings.trail_lookback;
    let settings = Settings { only: Some(accounts), trail_lookback: TimeDelta::zero(), ..settings };
    let now = store.now().await?;
    let collected = Box::pin(collect_and_read(store, &[], settings, run, sender, progress)).await?;
    Ok(Collected { read_since: Some(now - lookback), ..collected })
}
