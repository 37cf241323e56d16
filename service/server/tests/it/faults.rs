//! `AccessDenied` for each action in turn: nothing that was open resolves, and whatever rules can no
//! longer tell is Unknown, with the action in the reason.

use crate::support::Harness;
use rolecall_audit::evaluate::RuleTally;
use rolecall_collect::{Holder, PermissionUse};
use rolecall_store::FindingFilter;
use std::collections::{BTreeMap, BTreeSet};

/// Actions whose answers no rule needs today: they feed pages. A rule that comes to need one is a
/// reason to take it off this list.
const NEEDED_BY_NO_RULE: &[&str] = &["iam:GetOpenIDConnectProvider", "iam:ListOpenIDConnectProviders"];

type Counts = BTreeMap<(String, String), (u64, u64, u64, u64, u64)>;

fn counts(tallies: &[RuleTally]) -> Counts {
    let row = |tally: &RuleTally| {
        let key = (tally.rule.clone(), tally.account_id.to_string());
        (key, (tally.pass, tally.fail, tally.not_applicable, tally.unknown, tally.error))
    };
    tallies.iter().map(row).collect()
}

/// Answers other than "unknown" and "the rule failed".
fn decided(counts: &Counts) -> u64 {
    counts.values().map(|(pass, fail, not_applicable, ..)| pass + fail + not_applicable).sum()
}

async fn tallies(harness: &Harness) -> Vec<RuleTally> {
    harness.store.latest_tallies(None).await.unwrap().unwrap().1
}

async fn open(harness: &Harness) -> BTreeSet<String> {
    let workflow = vec![rolecall_audit::finding::Workflow::Open];
    let filter = FindingFilter { workflow, folded: true, ..FindingFilter::default() };
    let sort = rolecall_store::FindingSort::Number;
    let rows = harness.store.findings(&filter, sort, None, 10_000).await.unwrap();
    rows.into_iter().map(|row| row.fingerprint.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_action_resolves_nothing_and_is_named() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    let first = harness.audit().await.unwrap();
    assert_eq!(first.unseen, [], "the demo estate is seen whole");
    let seen_whole = counts(&tallies(&harness).await);
    let findings = open(&harness).await;
    assert!(!findings.is_empty());

    let mut unneeded = BTreeSet::new();
    let mut costs = vec![format!("{:45} {:>9}", "of all answers", decided(&seen_whole))];
    let of_looks = |permission: &PermissionUse| !matches!(permission.holder, Holder::Trails | Holder::Outgoing);
    for permission in rolecall_collect::actions().into_iter().filter(of_looks) {
        let action = permission.action;
        harness.sandbox.faults().clear();
        harness.sandbox.faults().deny(action);
        let summary = harness.audit().await.unwrap();
        assert_eq!(summary.findings_resolved, 0, "{action}: a finding resolved");
        assert!(findings.is_subset(&open(&harness).await), "{action}: an open finding is gone");
        assert!(
            summary.unseen.iter().any(|gap| gap.action == action),
            "{action}: no gap names it: {:?}",
            summary.unseen
        );

        let blind = tallies(&harness).await;
        let changed: Vec<&RuleTally> = blind
            .iter()
            .filter(|tally| {
                let now = counts(std::slice::from_ref(*tally));
                now.iter().any(|(key, count)| seen_whole.get(key) != Some(count))
            })
            .collect();
        for tally in &changed {
            let named = tally.reasons.iter().any(|reason| reason.contains(action));
            assert!(
                tally.unknown > 0 && named,
                "{action}: {} answers otherwise without saying why: {tally:?}",
                tally.rule
            );
            let (pass, ..) =
                seen_whole.get(&(tally.rule.clone(), tally.account_id.to_string())).copied().unwrap_or_default();
            assert!(tally.pass <= pass, "{action}: {} passes on what it did not see: {tally:?}", tally.rule);
        }
        for key in seen_whole.keys() {
            assert!(counts(&blind).contains_key(key), "{action}: {key:?} has no answer at all");
        }
        if changed.is_empty() {
            unneeded.insert(action);
        }
        let lost = decided(&seen_whole) - decided(&counts(&blind));
        costs.push(format!("{action:45} {lost:>9} unknown, {:>3} findings stale", summary.findings_stale));
    }
    // What each refused call costs: a number that grows is a verdict that was lost without need.
    insta::assert_snapshot!(costs.join("\n"));
    assert_eq!(unneeded, NEEDED_BY_NO_RULE.iter().copied().collect());

    harness.sandbox.faults().clear();
    let last = harness.audit().await.unwrap();
    assert_eq!((last.findings_resolved, last.findings_stale), (0, 0), "seen whole again, all is as before");
    assert_eq!(counts(&tallies(&harness).await), seen_whole);
    assert_eq!(open(&harness).await, findings);
}
