//! The life of a finding.

use crate::fixture::*;
use rolecall_audit::finding::*;
use rolecall_iam::Digest;
use rolecall_store::{ApplyCounts, FindingRow, RunId, Store, Tally};
use serde_json::json;
use std::collections::BTreeMap;

pub fn failure(name: &str, severity: Severity, message: &str) -> Failure {
    Failure {
        fingerprint: Fingerprint(format!("v1:{name}")),
        rule: format!("rule-{}", name.chars().next().unwrap()),
        subject: Subject {
            kind: SubjectKind::Association,
            key: key("web", "api").to_string(),
            account_id: account(),
            region: Some(REGION.into()),
            cluster: Some(CLUSTER.into()),
            namespace: Some("web".into()),
            service_account: Some("api".into()),
            role_arn: Some(role_arn("api")),
            target_role_arn: Some(role_arn("target")),
        },
        severity,
        severity_because: None,
        part_of: None,
        assumptions: Vec::new(),
        workloads: Vec::new(),
        message: message.into(),
        evidence: vec![Evidence {
            label: "allows all".into(),
            document: Some(Digest::of(b"d")),
            source: "inline policy read".into(),
            pointer: "/Statement/0".into(),
            value: json!({"Effect": "Allow", "Sid": "a\0"}),
        }],
        evidence_digest: Digest::of(message.as_bytes()),
        params: BTreeMap::from([("max".to_owned(), EffectiveParam { value: json!(3), origin: "rule default".into() })]),
        exception: None,
        happened_at: None,
    }
}

fn exception() -> ExceptionRef {
    ExceptionRef {
        name: "legacy".into(),
        owner: "team-a".into(),
        reason: "moves next quarter".into(),
        ticket: Some("SEC-1".into()),
        expires: at(10_000),
        origin: "exceptions/a.yaml:3".into(),
    }
}

async fn apply(store: &Store, minute: i64, actions: &[FindingAction]) -> (RunId, ApplyCounts) {
    let run = begin(store, minute).await;
    (run, store.apply(run, actions, &[], at(minute)).await.unwrap())
}

async fn find(store: &Store, name: &str) -> FindingRow {
    store.finding_by_fingerprint(&Fingerprint(format!("v1:{name}"))).await.unwrap().unwrap()
}

async fn steps(store: &Store, name: &str) -> Vec<String> {
    let finding = find(store, name).await;
    let events = store.finding_events(&finding).await.unwrap();
    assert_eq!(events.last().map(|event| event.change_seq), Some(finding.change_seq));
    events.into_iter().map(|event| event.kind).collect()
}

fn refresh(failure: Failure, changed: bool) -> FindingAction {
    FindingAction::Refresh { failure, changed }
}

#[tokio::test]
async fn a_finding_opens_stays_changes_goes_and_comes_back() {
    let database = database().await;
    let store = &database.store;
    let first = failure("a", Severity::High, "s3:* is allowed");
    let (opened_by, counts) = apply(store, 0, &[FindingAction::Open(first.clone())]).await;
    assert_eq!(counts, ApplyCounts { opened: 1, ..ApplyCounts::default() });
    let row = find(store, "a").await;
    assert_eq!((row.number, row.version, row.workflow, row.detection), (1, 1, Workflow::Open, Detection::Active));
    assert_eq!((&row.subject, &row.message, &row.params), (&first.subject, &first.message, &first.params));
    assert_eq!(row.evidence[0].value, json!({"Effect": "Allow", "Sid": "a\u{fffd}"}));
    assert_eq!(row.evidence_digest, first.evidence_digest);

    // Seen again, the same: no step, no new version.
    let (seen_by, counts) = apply(store, 10, &[refresh(first.clone(), false)]).await;
    assert_eq!(counts, ApplyCounts { unchanged: 1, ..ApplyCounts::default() });
    let same = find(store, "a").await;
    assert_eq!((same.version, same.updated_at, same.last_seen_at), (1, at(0), at(10)));
    assert_eq!((same.first_run, same.last_run), (opened_by, seen_by));

    let worse = failure("a", Severity::Critical, "* is allowed");
    let (_, counts) = apply(store, 20, &[refresh(worse.clone(), true)]).await;
    assert_eq!(counts, ApplyCounts { changed: 1, ..ApplyCounts::default() });
    let row = find(store, "a").await;
    assert_eq!((row.severity, row.version), (Severity::Critical, 2));
    let event = store.finding_events(&row).await.unwrap().pop().unwrap();
    assert_eq!(event.detail["severity"], json!({"from": "high", "to": "critical"}));

    let resolve = FindingAction::Resolve { fingerprint: worse.fingerprint.clone(), why: Resolution::SubjectGone };
    let (_, counts) = apply(store, 30, std::slice::from_ref(&resolve)).await;
    assert_eq!(counts, ApplyCounts { resolved: 1, ..ApplyCounts::default() });
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.detection), (Workflow::Resolved, Detection::Cleared));
    assert_eq!((row.resolution.as_deref(), row.resolved_at), (Some("subject_gone"), Some(at(30))));
    // Too late, and harmless.
    let (_, counts) = apply(store, 31, &[resolve]).await;
    assert_eq!(counts, ApplyCounts::default());

    let (_, counts) = apply(store, 40, &[FindingAction::Reopen(worse)]).await;
    assert_eq!(counts, ApplyCounts { reopened: 1, ..ApplyCounts::default() });
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.detection, row.resolution), (Workflow::Open, Detection::Active, None));
    assert_eq!((row.reopened_count, row.opened_at, row.first_seen_at), (1, at(40), at(0)));
    assert_eq!(row.number, 1);
    assert_eq!(steps(store, "a").await, ["opened", "changed", "resolved", "reopened"]);
}

#[tokio::test]
async fn what_could_not_be_decided_is_stale_and_nothing_more() {
    let database = database().await;
    let store = &database.store;
    let known = failure("a", Severity::High, "m");
    apply(store, 0, &[FindingAction::Open(known.clone())]).await;
    let stale = |why: &str| FindingAction::MarkStale { fingerprint: known.fingerprint.clone(), why: vec![why.into()] };
    let (_, counts) = apply(store, 10, &[stale("roles not seen")]).await;
    assert_eq!(counts, ApplyCounts { stale: 1, ..ApplyCounts::default() });
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.detection, row.last_seen_at), (Workflow::Open, Detection::Stale, at(0)));
    assert_eq!(row.stale_why, ["roles not seen"]);
    apply(store, 20, &[stale("roles not seen")]).await;
    apply(store, 30, &[stale("no entry")]).await;
    apply(store, 40, &[refresh(known.clone(), false)]).await;
    let row = find(store, "a").await;
    assert_eq!((row.detection, row.stale_why, row.last_seen_at), (Detection::Active, vec![], at(40)));
    assert_eq!(steps(store, "a").await, ["opened", "stale", "stale", "seen_again"]);
    // A finding that ended is not stale.
    apply(store, 50, &[FindingAction::Resolve { fingerprint: known.fingerprint.clone(), why: Resolution::Passed }])
        .await;
    let (_, counts) = apply(store, 60, &[stale("no entry")]).await;
    assert_eq!(counts, ApplyCounts::default());
    assert_eq!(find(store, "a").await.detection, Detection::Cleared);
}

#[tokio::test]
async fn an_exception_suppresses_in_the_open_and_ends() {
    let database = database().await;
    let store = &database.store;
    let plain = failure("a", Severity::High, "m");
    let excepted = Failure { exception: Some(exception()), ..plain.clone() };
    let (_, counts) = apply(store, 0, &[FindingAction::Open(excepted.clone())]).await;
    assert_eq!(counts, ApplyCounts { opened: 1, suppressed: 1, ..ApplyCounts::default() });
    let row = find(store, "a").await;
    assert_eq!(
        (row.workflow, row.detection, row.exception),
        (Workflow::Suppressed, Detection::Active, Some(exception()))
    );
    apply(store, 10, &[refresh(excepted.clone(), false)]).await;
    apply(store, 20, &[refresh(plain.clone(), true)]).await;
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.exception), (Workflow::Open, None));
    apply(store, 30, &[refresh(excepted.clone(), true)]).await;
    apply(store, 40, &[FindingAction::Resolve { fingerprint: plain.fingerprint.clone(), why: Resolution::Passed }])
        .await;
    apply(store, 50, &[FindingAction::Reopen(excepted)]).await;
    assert_eq!(find(store, "a").await.workflow, Workflow::Suppressed);
    assert_eq!(
        steps(store, "a").await,
        ["opened", "suppressed", "suppression_expired", "suppressed", "resolved", "reopened", "suppressed"]
    );
}

#[tokio::test]
async fn known_findings_are_what_was_applied() {
    let database = database().await;
    let store = &database.store;
    let (mut a, b) = (failure("a", Severity::High, "m"), failure("b", Severity::Low, "n"));
    a.happened_at = Some(at(-9));
    apply(store, 0, &[FindingAction::Open(a.clone()), FindingAction::Open(b.clone())]).await;
    a.happened_at = Some(at(-3));
    apply(store, 1, &[refresh(a.clone(), false)]).await;
    apply(store, 1, &[FindingAction::Resolve { fingerprint: b.fingerprint.clone(), why: Resolution::RuleDisabled }])
        .await;
    let known = |failure: &Failure, detection, workflow| KnownFinding {
        fingerprint: failure.fingerprint.clone(),
        rule: failure.rule.clone(),
        subject: failure.subject.clone(),
        detection,
        workflow,
        evidence_digest: failure.evidence_digest,
        severity: failure.severity,
        message: failure.message.clone(),
        happened_at: failure.happened_at,
        assumptions: failure.assumptions.clone(),
    };
    assert_eq!(
        store.known_findings().await.unwrap(),
        [known(&a, Detection::Active, Workflow::Open), known(&b, Detection::Cleared, Workflow::Resolved)]
    );
}

#[tokio::test]
async fn changes_are_numbered_without_a_gap_however_many_apply() {
    let database = database().await;
    let appliers = (0..4).map(|n| {
        let store = database.store.clone();
        tokio::spawn(async move {
            let run = begin(&store, n).await;
            for m in 0..5 {
                let open = FindingAction::Open(failure(&format!("{n}-{m}"), Severity::Low, "m"));
                store.apply(run, &[open], &[], at(n)).await.unwrap();
            }
        })
    });
    for applier in appliers.collect::<Vec<_>>() {
        applier.await.unwrap();
    }
    let mut numbers = Vec::new();
    let mut changes = Vec::new();
    let all = Default::default();
    for row in database.store.findings(&all, rolecall_store::FindingSort::Number, None, 100).await.unwrap() {
        numbers.push(row.number);
        changes.push(row.change_seq);
    }
    changes.sort_unstable();
    assert_eq!(numbers, (1..=20).rev().collect::<Vec<i64>>());
    assert_eq!(changes, (1..=20).collect::<Vec<i64>>());
}

#[tokio::test]
async fn tallies_are_kept_by_run() {
    let database = database().await;
    let store = &database.store;
    assert_eq!(store.latest_tallies().await.unwrap(), None);
    let tally = |rule: &str, account_id, fail| Tally {
        rule: rule.into(),
        account_id,
        pass: 5,
        fail,
        not_applicable: 1,
        unknown: 2,
        error: 0,
        assumed: 3,
        reasons: vec!["roles not seen".into()],
    };
    let (first, second) = (begin(store, 0).await, begin(store, 1).await);
    store.apply(first, &[], &[tally("a", account(), 1)], at(0)).await.unwrap();
    let both = [tally("a", account(), 3), tally("a", other(), 4)];
    store.apply(second, &[], &both, at(1)).await.unwrap();
    assert_eq!(store.latest_tallies().await.unwrap(), Some((second, both.to_vec())));
    assert_eq!(store.tallies(first).await.unwrap(), [tally("a", account(), 1)]);
}
