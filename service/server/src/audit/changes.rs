//! Judging changes: which are loaded, which need not be again, and judging them again when an approval is given,
//! withdrawn or has ended.
//!
//! Refuses to know which change is bad, and SQL.

use crate::audit::load::{Judging, load};
use crate::audit::rules::Rules;
use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::cancel::{Cancel, Cancelled};
use rolecall_audit::drift::OpenChange;
use rolecall_audit::evaluate::{Evaluation, evaluate_changes};
use rolecall_audit::finding::finding_owners;
use rolecall_audit::finding::{FindingAction, reconcile};
use rolecall_audit::owner::Owners;
use rolecall_estate::Documents;
use rolecall_estate::assumption::Assumption;
use rolecall_rules::{Outcome, SubjectKind};
use rolecall_store::{PassedChanges, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A rule that is new, or has another parameter, judges changes of so long ago, and those that have a finding or
/// were approved.
const LOOKS_BACK: TimeDelta = TimeDelta::days(90);

/// The changes to judge at a moment.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn open(store: &Store, rules: &Rules, now: DateTime<Utc>) -> Result<Vec<Arc<OpenChange>>, Error> {
    Ok(store.open_changes(rules.set.digest(), now - LOOKS_BACK).await?)
}

/// The changes on which every rule passed, or that a later one took back. What will be judged otherwise by and
/// by, as under an approval that ends, is not among them.
pub(crate) fn passed(
    changes: &[Arc<OpenChange>],
    evaluation: &Evaluation,
    rules: &Rules,
    loaded_at: DateTime<Utc>,
) -> PassedChanges {
    let about = evaluation.verdicts.iter().filter(|verdict| verdict.subject.kind == SubjectKind::Change);
    let undecided: BTreeSet<&str> = about
        .filter(|verdict| !matches!(verdict.outcome, Outcome::Pass | Outcome::NotApplicable))
        .map(|verdict| verdict.subject.key.as_str())
        .collect();
    let lasts = |open: &&Arc<OpenChange>| open.approval().is_none_or(|step| step.until.is_none());
    let done = changes.iter().filter(lasts).map(|open| open.change.id.clone());
    PassedChanges {
        rules: rules.set.digest().to_string(),
        ids: done.filter(|id| !undecided.contains(id.as_str())).collect(),
        loaded_at: Some(loaded_at),
    }
}

/// Judges the open changes, and nothing else, by what is stored. Says how many findings that touched.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn judge_again(
    store: &Store,
    rules: &Arc<Rules>,
    assumed: &BTreeSet<Assumption>,
) -> Result<usize, Error> {
    let now = store.now().await?;
    let changes = open(store, rules, now).await?;
    if changes.is_empty() {
        return Ok(0);
    }
    let judging = Judging { since: now, read_since: None, now, kept: Duration::MAX, assumed: assumed.clone() };
    let estate = load(store, &judging, Documents::default()).await?;
    let mut known = store.known_findings().await?;
    known.retain(|finding| finding.subject.kind == SubjectKind::Change);
    let cancel = Cancel::default();
    let _until_dropped = cancel.on_drop();
    let rules = Arc::clone(rules);
    let judged = tokio::task::spawn_blocking(move || {
        let evaluation = evaluate_changes(&estate, &changes, &rules.set, now, &cancel)?;
        let actions: Vec<FindingAction> = reconcile(&known, &evaluation, &rules.set, &estate);
        let owners = Owners::new(&rules.ownership, &estate);
        let owners = finding_owners(&known, &actions, &evaluation.reach, &owners);
        Ok((actions, passed(&changes, &evaluation, &rules, now), owners))
    });
    let (actions, passed, owners) = judged.await.map_err(Error::Judging)?.map_err(|Cancelled| Error::Interrupted)?;
    store.apply_changes(&actions, &passed, &owners, now).await?;
    Ok(actions.len())
}
