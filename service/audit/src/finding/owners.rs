//! Whose findings are after an audit, where that differs from what is kept.
//!
//! Refuses to decide whose anything is: [`crate::owner`] does.

use super::{FindingAction, KnownFinding, Workflow};
use crate::access::reach::Reach;
use crate::owner::{Owned, Owner, OwnerChange, Owners};
use crate::verdict::Fingerprint;
use rolecall_rules::Subject;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What differs of findings. One that does not fail in this audit keeps its owner where a new one is not known.
#[must_use]
pub fn finding_owners(
    known: &[KnownFinding],
    actions: &[FindingAction],
    reach: &Reach,
    owners: &Owners<'_>,
) -> Vec<OwnerChange> {
    let mut failing = HashMap::new();
    let mut resolved = BTreeSet::new();
    for action in actions {
        match action {
            FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
                failing.insert(&failure.fingerprint, failure);
            }
            FindingAction::Resolve { fingerprint, .. } => drop(resolved.insert(fingerprint)),
            FindingAction::MarkStale { .. } => {}
        }
    }
    let mut changes = Vec::new();
    let mut note = |subject: &Subject, fingerprint: &Fingerprint, from: Option<&Owner>, to: Owner| {
        if from != Some(&to) {
            let (account_id, fingerprint) = (subject.account_id, fingerprint.clone());
            changes.push(OwnerChange { account_id, fingerprint, from: from.cloned(), to });
        }
    };
    for finding in known {
        let (fingerprint, from) = (&finding.fingerprint, finding.owner.as_ref());
        if let Some(failure) = failing.remove(fingerprint) {
            note(&failure.subject, fingerprint, from, owners.of_subject(&failure.subject, &failure.workloads));
        } else if finding.workflow != Workflow::Resolved && !resolved.contains(fingerprint) {
            let to = owners.of_subject(&finding.subject, &reach.of_subject(&finding.subject));
            if to.owned() != Owned::Unknown || from.is_none() {
                note(&finding.subject, fingerprint, from, to);
            }
        }
    }
    for (fingerprint, failure) in failing.into_iter().collect::<BTreeMap<_, _>>() {
        note(&failure.subject, fingerprint, None, owners.of_subject(&failure.subject, &failure.workloads));
    }
    changes
}
