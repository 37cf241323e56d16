//! What an audit owes between what it read and its findings, and what the next one takes over.
//!
//! Knows what of a part that is kept would be lost with the process: since when its sessions are to be
//! judged, which accounts its records named, and what could not be read and does not come again.
//! Refuses to know how a debt is stored and when it is settled.

use crate::audit::ingested::{FILES, Ingested, Named, Places, READ_TRAIL};
use crate::error::Error;
use rolecall_cloudtrail::ProblemKind;
use rolecall_collect::trails::TrailGap;
use rolecall_estate::Observation;
use rolecall_estate::coverage::GapReason;
use rolecall_iam::AccountId;
use rolecall_import::{named_by_records, trail_gap, trail_place};
use rolecall_store::{Owed, Store, TrailBatch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What the next snapshot is to say of a part.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Unreported {
    /// Accounts that records of files named. What a scan covers needs no record to be known.
    #[serde(default)]
    named: Vec<(AccountId, Named)>,
    /// Files that could not be read to their end, each of them the place of its name.
    #[serde(default)]
    broken: Vec<(String, ProblemKind)>,
    /// What was not seen of other sources.
    #[serde(default)]
    gaps: Vec<TrailGap>,
}

impl Unreported {
    /// Of a source of files, gaps are files that could not be read either.
    fn new(kind: &str, read: &Ingested, gaps: &[TrailGap]) -> Self {
        if kind != FILES {
            return Self { gaps: gaps.iter().cloned().chain(read.unread()).collect(), ..Self::default() };
        }
        let problems = read.problems.iter().map(|problem| (problem.file.clone(), problem.kind));
        let missed = gaps.iter().map(|gap| (gap.location.clone(), ProblemKind::Json));
        // Only some problems are named, and each place counts.
        let named: BTreeSet<&str> = read.problems.iter().map(|problem| &*problem.file).collect();
        let unnamed = read.broken.values().filter(|broken| !named.contains(&*broken.file));
        let unnamed = unnamed.map(|broken| (broken.file.clone(), ProblemKind::Json));
        Self {
            named: read.named.iter().map(|(account, named)| (*account, named.clone())).collect(),
            broken: problems.chain(missed).chain(unnamed).collect(),
            gaps: Vec::new(),
        }
    }
}

/// Owes the judgement of a part, in the transaction that keeps it. `None` where there is nothing to
/// judge of it.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn owe(
    trail_batch: &mut TrailBatch<'_>,
    kind: &str,
    part: &Ingested,
    gaps: &[TrailGap],
) -> Result<Option<Uuid>, Error> {
    let unreported = Unreported::new(kind, part, gaps);
    let unreported =
        (unreported != Unreported::default()).then(|| serde_json::to_value(&unreported).unwrap_or_default());
    if part.oldest.is_none() && unreported.is_none() {
        return Ok(None);
    }
    Ok(Some(trail_batch.owe(part.oldest, unreported.as_ref()).await?))
}

/// What audits before this one read and did not come to say.
#[derive(Debug, Default)]
pub struct Left {
    /// What could not be read.
    pub seen: Observation,
    /// Accounts that records named.
    pub named: BTreeMap<AccountId, Named>,
    /// The debts, to be said in the snapshot of whoever takes them over.
    pub owed: Vec<Uuid>,
}

/// Takes over what is owed. `places` are those that a scan has come to, beside those that the store
/// knows.
///
/// # Errors
/// Where the database fails.
pub async fn left(store: &Store, places: Places) -> Result<Left, Error> {
    let mut left = Left::default();
    let mut unseen = Ingested::default();
    let mut broken = Vec::new();
    for debt in store.owed().await? {
        let Some(unreported) = read(&debt) else { continue };
        left.owed.push(debt.id);
        for (account, Named { regions, newest }) in unreported.named {
            let named = left.named.entry(account).or_insert(Named { regions: BTreeSet::new(), newest });
            named.regions.extend(regions);
            named.newest = named.newest.max(newest);
        }
        broken.extend(unreported.broken);
        unseen.gaps.extend(unreported.gaps);
    }
    if !unseen.gaps.is_empty() {
        left.seen.coverage = unseen.coverage(&places.with_known(store).await?.all());
    }
    for (file, kind) in broken {
        if let Some(place) = trail_place(&file) {
            left.seen.coverage.gap(trail_gap(place, &file, kind));
        }
    }
    Ok(left)
}

/// Accounts of which nothing is known but what records tell: for everything else they have gaps. One
/// that was `seen` now, or looked at before, stays as it was seen.
///
/// # Errors
/// Where the database fails.
pub async fn accounts_named_only(
    store: &Store,
    named: &BTreeMap<AccountId, Named>,
    seen: &BTreeSet<AccountId>,
) -> Result<Vec<Observation>, Error> {
    let (mut accounts_named_only, now) = (Vec::new(), store.now().await?);
    for (account, named) in named.iter().filter(|(account, _)| !seen.contains(*account)) {
        if store.coverage(&[*account]).await?.is_empty() {
            let known = named_by_records(*account, &named.regions);
            accounts_named_only.push(Observation { as_of: Some(named.newest.min(now)), ..known });
        }
    }
    Ok(accounts_named_only)
}

/// What a debt tells. What another version of the program told and this one cannot read hides in
/// every place that it can be of.
fn read(debt: &Owed) -> Option<Unreported> {
    let unreported = debt.unreported.clone()?;
    Some(serde_json::from_value(unreported).unwrap_or_else(|error| Unreported {
        gaps: vec![TrailGap {
            account_id: None,
            region: None,
            day: None,
            action: READ_TRAIL.to_owned(),
            reason: GapReason::Malformed,
            detail: format!("what an audit that did not end could not read is not known any more: {error}"),
            location: "an earlier audit".to_owned(),
        }],
        ..Unreported::default()
    }))
}
