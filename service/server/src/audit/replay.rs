//! What was changed and changed back between two scans: told from the calls alone, as scans show neither.
//!
//! Knows the order of the steps: which calls must be told again, between which scans they lie, and that what a
//! scan cannot tell goes on to the next. Refuses to know what a call did and SQL.

use super::drift::{blocking, pages};
use crate::error::Error;
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{Attribution, SeenIn};
use rolecall_audit::replay::{Between, EventChange, Replayed, ScanAfter, is_replayed, made, replay};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_estate::Estate;
use rolecall_iam::{AccountId, Document};
use rolecall_store::{AccountScan, ChangeEventFilter, ChangeRow, OwedReplay, RunId, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Tells again what must be, and says how many changes are new.
///
/// # Errors
/// Where the database fails; what is not kept is owed still.
pub(super) async fn work_out(store: &Store) -> Result<u64, Error> {
    let owed = store.owed_replays().await?;
    let mut estates = Estates { store, accounts: owed.iter().map(|it| it.account_id).collect(), left: BTreeMap::new() };
    let mut kept = 0;
    for owed in &owed {
        kept += of_account(store, owed, &mut estates).await?;
    }
    Ok(kept)
}

/// Estates as runs left them, each read once.
struct Estates<'a> {
    store: &'a Store,
    accounts: BTreeSet<AccountId>,
    left: BTreeMap<RunId, Arc<Estate>>,
}

impl Estates<'_> {
    async fn left_by(&mut self, run: RunId) -> Result<Arc<Estate>, Error> {
        if let Some(known) = self.left.get(&run) {
            return Ok(Arc::clone(known));
        }
        let estate = Arc::new(self.store.estate_left_by(run, &self.accounts).await?);
        self.left.insert(run, Arc::clone(&estate));
        Ok(estate)
    }
}

async fn of_account(store: &Store, owed: &OwedReplay, estates: &mut Estates<'_>) -> Result<u64, Error> {
    let scans = store.scans_of(owed.account_id, owed.since).await?;
    // Nobody knows what was there before the first scan.
    let Some(first) = scans.first() else { return Ok(store.keep_event_changes(owed, None, &[]).await?) };
    let filter =
        ChangeEventFilter { accounts: vec![owed.account_id], since: Some(first.at), ..ChangeEventFilter::default() };
    let mut calls = pages(store, &filter).await?;
    calls.retain(is_replayed);
    let shown = store.changes_shown(owed.account_id, first.begun_at).await?;
    let attributed: BTreeSet<String> = shown
        .iter()
        .filter(|row| row.attributed.attribution != Attribution::None)
        .flat_map(|row| row.attributed.calls.iter().map(|call| call.event_id.clone()))
        .collect();
    let attributed = Arc::new(attributed);
    let mut rows: Vec<(ChangeRow, Vec<Document>)> = Vec::new();
    let mut open: Vec<ChangeEvent> = Vec::new();
    for (at, scan) in scans.iter().enumerate() {
        let next = scans.get(at + 1);
        let is_between =
            |call: &&ChangeEvent| call.event_time > scan.at && next.is_none_or(|next| call.event_time <= next.at);
        let mut calls: Vec<ChangeEvent> = calls.iter().filter(is_between).cloned().collect();
        calls.append(&mut open);
        if calls.iter().all(|call| attributed.contains(&call.event_id)) {
            continue;
        }
        let before = estates.left_by(scan.run).await?;
        let after = match next {
            Some(next) => Some((*next, estates.left_by(next.run).await?)),
            None => None,
        };
        let of_next = shown.iter().filter(|row| next.is_some_and(|next| next.run == row.run));
        let made = made(of_next.map(|row| &row.change));
        let attributed = Arc::clone(&attributed);
        let Replayed { changes, open: left } = blocking(move || {
            let after = after.as_ref().map(|(scan, estate)| ScanAfter { estate, begun_at: scan.begun_at, at: scan.at });
            replay(&Between { before: &before, after, calls: &calls, attributed: &attributed, made: &made })
        })
        .await?;
        open = left;
        let latest = scans.last().unwrap_or(scan);
        rows.extend(changes.into_iter().map(|told| row(latest, told)));
    }
    Ok(store.keep_event_changes(owed, Some(first.at), &rows).await?)
}

/// A change as it is kept: found when the latest scan is the one that is known, or by its call after that.
fn row(latest: &AccountScan, told: EventChange) -> (ChangeRow, Vec<Document>) {
    let made_at: DateTime<Utc> = told.call.event_time;
    let attributed = told.attributed();
    let row = ChangeRow {
        run: latest.run,
        effective_at: told.change.effective_at(made_at),
        detected_at: made_at.max(latest.at),
        since: Some(made_at),
        until: made_at,
        attributed,
        approval: None,
        seen_in: SeenIn::Events,
        ended: told.ended,
        change: told.change,
    };
    (row, told.documents)
}
