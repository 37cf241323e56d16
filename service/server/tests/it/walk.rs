//! Every action that a scan calls, under every kind of fault: nothing resolves, the coverage names the
//! action, and the scan ends.
//!
//! All pairs take some minutes: `ROLECALL_FAULTS=all`; a call or a fault in its place names some of
//! them. Otherwise a sample is drawn, by the seed in
//! `ROLECALL_SEED` where there is one; the seed is printed.

use crate::support::Harness;
use chrono::Utc;
use rolecall_audit::finding::Workflow;
use rolecall_collect::Holder;
use rolecall_rules::SubjectKind;
use rolecall_sandbox::{Fault, FaultKind};
use rolecall_store::{FindingFilter, FindingSort};
use std::collections::BTreeSet;
use std::time::Duration;

/// Draws the same sample each time: a check must not fail by chance on a change that is innocent of it.
const SEED: u64 = 1_795_985_728;

/// Pairs that are tried without being asked for more.
const SAMPLE: usize = 24;

/// No scan of the demo's estate takes this long: one that does would not end.
const AT_MOST: Duration = Duration::from_secs(120);

/// A list of so many things or fewer may be empty all at once: nothing contradicts that
/// (`rolecall_estate::loss`). Findings on what these listings show resolve by an empty answer.
const MAY_BE_EMPTY: &[&str] = &["eks:ListClusters", "eks:ListPodIdentityAssociations", "cloudtrail:DescribeTrails"];

/// What goes wrong, and whether the answer must be told from a true one.
fn kinds() -> Vec<(&'static str, FaultKind, u32)> {
    vec![
        ("denied", FaultKind::Deny, 0),
        ("throttled", FaultKind::Throttle, 0),
        ("500", FaultKind::Fail, 0),
        ("HTML", FaultKind::MalformedBody, 0),
        ("an empty body", FaultKind::EmptyBody, 0),
        ("cut", FaultKind::CutBody, 0),
        ("lists absent", FaultKind::NoLists, 0),
        ("lists empty", FaultKind::EmptyLists, 0),
        ("text for lists", FaultKind::TextForLists, 0),
        ("no items in lists", FaultKind::NoItems, 0),
        ("expired", FaultKind::ExpiredToken, 0),
        ("expired after the first page", FaultKind::ExpiredToken, 1),
        ("the same token again", FaultKind::Circle, 0),
        ("endless pages", FaultKind::Endless, 0),
        ("pages that break off", FaultKind::BreakPaging, 0),
        ("huge", FaultKind::Padding(33 << 20), 0),
        ("slow", FaultKind::Latency(Duration::from_secs(60)), 0),
        ("no answer", FaultKind::DropConnection, 0),
    ]
}

/// A draw that anybody can repeat.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Of `all`, those to be tried: a sample, all, or all whose call or fault is named so.
fn drawn<T: std::fmt::Debug>(mut all: Vec<T>) -> Vec<T> {
    match std::env::var("ROLECALL_FAULTS") {
        Ok(which) if which == "all" => return all,
        Ok(which) => {
            all.retain(|pair| format!("{pair:?}").contains(&which));
            return all;
        }
        Err(_) => {}
    }
    let seed = std::env::var("ROLECALL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(SEED);
    println!("ROLECALL_SEED={seed}");
    let mut draw = Draw(seed);
    (0..SAMPLE.min(all.len())).map(|_| all.swap_remove(draw.below(all.len()))).collect()
}

/// Open findings about what is there. What an empty list took away comes back as a change, which is a finding of
/// its own.
async fn open(harness: &Harness) -> BTreeSet<String> {
    let filter = FindingFilter { workflow: vec![Workflow::Open], folded: true, ..FindingFilter::default() };
    let mut rows = harness.store.findings(&filter, FindingSort::Number, None, 10_000).await.unwrap();
    rows.retain(|row| row.subject.kind != SubjectKind::Change);
    rows.into_iter().map(|row| row.fingerprint.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_any_call_resolves_anything_or_goes_unnoticed() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(Utc::now())).await;
    let first = harness.patient_audit().await.unwrap();
    assert_eq!(first.unseen, [], "the demo estate is seen whole");
    let findings = open(&harness).await;

    let mut pairs = Vec::new();
    for permission in
        rolecall_collect::actions().into_iter().filter(|of| !matches!(of.holder, Holder::Trails | Holder::Outgoing))
    {
        for kind in kinds() {
            pairs.push((permission.action, kind));
        }
    }
    let mut faults = Vec::new();
    for (action, (what, kind, after)) in drawn(pairs) {
        harness.sandbox.faults().clear();
        let fault = Fault::new(kind.clone(), action);
        harness.sandbox.faults().inject(if after > 0 { fault.after(after) } else { fault });
        harness.sandbox.reset_calls();
        let Ok(summary) = tokio::time::timeout(AT_MOST, harness.impatient_audit()).await else {
            panic!("{action}, {what}: the scan does not end");
        };
        let met = harness.sandbox.calls().of(action) > u64::from(after);
        let told = match &summary {
            // What cannot be believed of the hub itself ends the scan: nothing was written.
            Err(_) => true,
            Ok(summary) => summary.unseen.iter().any(|gap| gap.action == action || after > 0),
        };
        let left = open(&harness).await;
        let believed = matches!(kind, FaultKind::EmptyLists);
        let gone = findings.difference(&left).count();
        if gone > 0 && !(believed && MAY_BE_EMPTY.contains(&action)) {
            faults.push(format!("{action}, {what}: {gone} open findings are gone"));
        }
        if believed {
            // What an empty list took away, and what opened for want of it, is as before again.
            harness.sandbox.faults().clear();
            harness.patient_audit().await.unwrap();
            harness.patient_audit().await.unwrap();
        }
        // Only that of paging may do nothing: most calls have one page.
        let unpaged = matches!(kind, FaultKind::Circle | FaultKind::Endless | FaultKind::BreakPaging);
        if !told && !believed && !unpaged && met {
            faults.push(format!("{action}, {what}: no gap names it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    // Whatever was believed wrongly comes back, and nothing else has changed.
    harness.sandbox.faults().clear();
    harness.patient_audit().await.unwrap();
    let last = harness.patient_audit().await.unwrap();
    assert_eq!((last.unseen.as_slice(), last.findings_stale), (&[][..], 0), "seen whole again");
    assert_eq!(open(&harness).await, findings);
}
