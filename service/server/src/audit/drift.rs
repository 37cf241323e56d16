//! What changed: the changes that snapshots owe, worked out, labelled, and joined to the events of trails.
//!
//! Knows the order of the steps, and that a change of which nobody knew who made it is asked about again when
//! more of the trails was read. Refuses to know what a change means and SQL.

use crate::error::Error;
use chrono::TimeDelta;
use rolecall_audit::drift::{Attribution, Calls, Change, Records, Scans, SeenIn, Window, attribute, changes, span};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_estate::{CompleteRange, Trail};
use rolecall_iam::AccountId;
use rolecall_store::{ChangeEventAfter, ChangeEventFilter, ChangeRow, ChangedScan, RunId, Store};
use std::collections::BTreeMap;

/// CloudTrail delivers within minutes and a source may lie behind by days: so long a change waits for its
/// event.
const WAITS: TimeDelta = TimeDelta::days(14);

/// Events asked for at a time.
const PAGE: u32 = 1_000;

/// Works out every change that is owed, and asks again who made those before. Says how many are new.
///
/// # Errors
/// Where the database fails; what is not kept is owed still.
pub async fn work_out(store: &Store) -> Result<u64, Error> {
    let mut kept = 0;
    for run in store.owed_changes().await? {
        kept += of_run(store, run).await?;
    }
    ask_again(store).await?;
    Ok(kept)
}

async fn of_run(store: &Store, run: RunId) -> Result<u64, Error> {
    let scan = store.changed_scan(run).await?;
    let windows: BTreeMap<AccountId, Window> = scan
        .windows
        .iter()
        .map(|(account, (since, until))| (*account, Window { since: *since, until: *until }))
        .collect();
    let events = events(store, windows.values().copied()).await?;
    let complete_ranges = store.complete_ranges(&[]).await?;
    let rows = blocking(move || rows(&scan, &windows, &events, &complete_ranges)).await?;
    Ok(store.keep_changes(run, &rows).await?)
}

fn rows(
    scan: &ChangedScan,
    windows: &BTreeMap<AccountId, Window>,
    events: &[ChangeEvent],
    complete_ranges: &[CompleteRange],
) -> Vec<ChangeRow> {
    let pair = format!("{}-{}", scan.run.0.saturating_sub(1), scan.run.0);
    let found = changes(&Scans {
        before: &scan.before,
        after: &scan.after,
        listed_before: &scan.listed_before,
        listed_after: &scan.listed_after,
        roles_of: scan.roles_of.as_ref(),
        pair: &pair,
    });
    let calls = Calls::new(events);
    let records = Records { complete_ranges, trails: &scan.after.trails };
    let mut rows: Vec<ChangeRow> = Vec::with_capacity(found.len());
    for change in found {
        let Some(window) = windows.get(&change.account_id) else { continue };
        rows.push(row(scan.run, change, *window, &calls, records));
    }
    follow(&mut rows);
    rows
}

fn row(run: RunId, change: Change, window: Window, calls: &Calls<'_>, records: Records<'_>) -> ChangeRow {
    let attributed = attribute(&change, window, calls, records);
    let made_at = attributed.event_time().unwrap_or(window.until);
    ChangeRow {
        run,
        effective_at: change.effective_at(made_at),
        detected_at: window.until,
        since: window.since,
        until: window.until,
        attributed,
        approval: None,
        seen_in: SeenIn::Snapshots,
        ended: None,
        change,
    }
}

/// What follows from another change was made by whoever made that.
fn follow(rows: &mut [ChangeRow]) {
    let roots: BTreeMap<String, _> = rows.iter().map(|row| (row.change.id.clone(), row.attributed.clone())).collect();
    for row in rows.iter_mut().filter(|row| row.attributed.attribution == Attribution::None) {
        let Some(root) = row.change.caused_by.as_ref().and_then(|id| roots.get(id)) else { continue };
        row.attributed.clone_from(root);
        row.effective_at = row.change.effective_at(root.event_time().unwrap_or(row.until));
    }
}

/// Asks again who made changes of which nobody knew it.
async fn ask_again(store: &Store) -> Result<(), Error> {
    let now = store.now().await?;
    let waiting = store.unattributed_changes(now - WAITS).await?;
    let windows = waiting.iter().map(|row| Window { since: row.since, until: row.until });
    let events = events(store, windows).await?;
    if events.is_empty() {
        return Ok(());
    }
    let complete_ranges = store.complete_ranges(&[]).await?;
    let trails: Vec<Trail> = store.estate_of(&std::collections::BTreeSet::new(), None).await?.snapshot.trails;
    let told = blocking(move || {
        let calls = Calls::new(&events);
        let records = Records { complete_ranges: &complete_ranges, trails: &trails };
        let mut told: Vec<(ChangeRow, ChangeRow)> = Vec::new();
        for was in waiting {
            let window = Window { since: was.since, until: was.until };
            let is = row(was.run, was.change.clone(), window, &calls, records);
            told.push((was, is));
        }
        let mut rows: Vec<ChangeRow> = told.iter().map(|(_, is)| is.clone()).collect();
        follow(&mut rows);
        let changed = told.into_iter().zip(rows).filter(|((was, _), is)| was.attributed != is.attributed);
        changed.map(|(_, is)| is).collect::<Vec<_>>()
    })
    .await?;
    for row in &told {
        store.attribute_change(row).await?;
    }
    Ok(())
}

/// The events that may have made changes between these moments.
async fn events(store: &Store, windows: impl Iterator<Item = Window>) -> Result<Vec<ChangeEvent>, Error> {
    let Some((since, until)) = span(windows) else { return Ok(Vec::new()) };
    let filter =
        ChangeEventFilter { since, until: Some(until + TimeDelta::seconds(1)), ..ChangeEventFilter::default() };
    pages(store, &filter).await
}

/// Every event of a filter.
pub(super) async fn pages(store: &Store, filter: &ChangeEventFilter) -> Result<Vec<ChangeEvent>, Error> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.change_events(filter, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(ChangeEventAfter::new(last));
        found.extend(page);
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Judging)
}
