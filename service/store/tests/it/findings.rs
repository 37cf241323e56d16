//! The life of a finding.

use crate::fixture::*;
use rolecall_audit::evaluate::RuleTally;
use rolecall_audit::finding::*;
use rolecall_audit::verdict::*;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Cause, Reason};
use rolecall_iam::Digest;
use rolecall_rules::*;
use rolecall_store::{
    ApplyCounts, DoneJudgement, Finding, FindingFilter, FindingRow, FindingSort, FindingVia, RuleResults, RunId, Store,
};
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
            document: Some(Digest::sha256(b"d")),
            source: "inline policy read".into(),
            pointer: "/Statement/0".into(),
            value: json!({"Effect": "Allow", "Sid": "a\0"}),
        }],
        evidence_digest: Digest::sha256(message.as_bytes()),
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
    (run, store.apply(run, actions, &[], &DoneJudgement::default(), at(minute)).await.unwrap())
}

async fn whole(store: &Store, name: &str) -> Finding {
    store.finding_by_fingerprint(&Fingerprint(format!("v1:{name}"))).await.unwrap().unwrap()
}

async fn find(store: &Store, name: &str) -> FindingRow {
    whole(store, name).await.row
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
    let found = whole(store, "a").await;
    let row = &found.row;
    assert_eq!((row.number, row.version, row.workflow, row.detection), (1, 1, Workflow::Open, Detection::Active));
    assert_eq!((&row.subject, &row.message, &found.params), (&first.subject, &first.message, &first.params));
    assert_eq!(found.evidence[0].value, json!({"Effect": "Allow", "Sid": "a␀"}));
    assert_eq!(found.evidence_digest, first.evidence_digest);

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

    let resolve =
        FindingAction::Resolve { fingerprint: worse.fingerprint.clone(), why: Resolution::SubjectGone, by: None };
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
    assert_eq!((row.stale_why.clone(), row.stale_why[0].cause()), (vec!["roles not seen".into()], None));
    apply(store, 20, &[stale("roles not seen")]).await;
    let listing = Scope::global("111122223333".parse().unwrap(), ScopeKind::Roles);
    let cause = Cause::Gap(listing);
    let unseen = Reason::new("no entry", cause.clone());
    let marked = FindingAction::MarkStale { fingerprint: known.fingerprint.clone(), why: vec![unseen] };
    apply(store, 30, &[marked]).await;
    assert_eq!(find(store, "a").await.stale_why[0].cause(), Some(&cause));
    apply(store, 40, &[refresh(known.clone(), false)]).await;
    let row = find(store, "a").await;
    assert_eq!((row.detection, row.stale_why, row.last_seen_at), (Detection::Active, vec![], at(40)));
    assert_eq!(steps(store, "a").await, ["opened", "stale", "stale", "seen_again"]);
    // A finding that ended is not stale.
    apply(
        store,
        50,
        &[FindingAction::Resolve { fingerprint: known.fingerprint.clone(), why: Resolution::Passed, by: None }],
    )
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
    apply(
        store,
        40,
        &[FindingAction::Resolve { fingerprint: plain.fingerprint.clone(), why: Resolution::Passed, by: None }],
    )
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
    apply(
        store,
        1,
        &[FindingAction::Resolve { fingerprint: b.fingerprint.clone(), why: Resolution::RuleDisabled, by: None }],
    )
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
        assumptions: failure.assumptions.clone(),
        happened_at: failure.happened_at,
        suppressed: false,
        owner: None,
    };
    assert_eq!(
        store.known_findings().await.unwrap(),
        [known(&a, Detection::Active, Workflow::Open), known(&b, Detection::Cleared, Workflow::Resolved)]
    );
}

#[tokio::test]
async fn changes_are_numbered_without_a_gap_however_many_apply() {
    let database = database().await;
    let mut runs = Vec::new();
    for n in 0..4 {
        runs.push((n, begin(&database.store, n).await));
    }
    let appliers = runs.into_iter().map(|(n, run)| {
        let store = database.store.clone();
        tokio::spawn(async move {
            for m in 0..5 {
                let open = FindingAction::Open(failure(&format!("{n}-{m}"), Severity::Low, "m"));
                store.apply(run, &[open], &[], &DoneJudgement::default(), at(n)).await.unwrap();
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
    // The begin of each run has a number, too.
    assert_eq!(changes, (5..=24).collect::<Vec<i64>>());
}

#[tokio::test]
async fn tallies_are_kept_by_run() {
    let database = database().await;
    let store = &database.store;
    assert_eq!(store.latest_tallies(None).await.unwrap(), None);
    assert!(store.latest_results().await.unwrap().is_empty());
    let tally = |rule: &str, account_id, fail| RuleTally {
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
    store.apply(first, &[], &[tally("a", account(), 1)], &DoneJudgement::default(), at(0)).await.unwrap();
    let both = [tally("a", account(), 3), tally("a", other(), 4)];
    store.apply(second, &[], &both, &DoneJudgement::default(), at(1)).await.unwrap();
    assert_eq!(store.latest_tallies(None).await.unwrap(), Some((second, both.to_vec())));
    assert_eq!(store.latest_tallies(Some("b")).await.unwrap(), Some((second, vec![])));
    assert_eq!(store.tallies(first, None).await.unwrap(), [tally("a", account(), 1)]);
    let results = store.latest_results().await.unwrap();
    assert_eq!(results.keys().collect::<Vec<_>>(), ["a"]);
    let RuleResults { pass, fail, not_applicable, unknown, error, reasons } = &results["a"];
    assert_eq!((*pass, *fail, *not_applicable, *unknown, *error), (10, 7, 2, 4, 0));
    assert_eq!(reasons.len(), 1, "a reason of two accounts is one: {reasons:?}");
    assert!(reasons.iter().all(|reason| *reason == "roles not seen"), "{reasons:?}");
}

fn workload(namespace: &str, via: rolecall_audit::access::reach::Via) -> rolecall_audit::access::reach::Workload {
    rolecall_audit::access::reach::Workload { association: key(namespace, "api"), via }
}

/// A finding on a role that these workloads reach.
fn on_role(name: &str, severity: Severity, workloads: &[(&str, rolecall_audit::access::reach::Via)]) -> Failure {
    let mut failure = failure(name, severity, "m");
    failure.subject = Subject {
        kind: SubjectKind::Role,
        key: role_arn(name),
        account_id: account(),
        region: None,
        cluster: None,
        namespace: None,
        service_account: None,
        role_arn: Some(role_arn(name)),
        target_role_arn: None,
    };
    failure.workloads = workloads.iter().map(|(namespace, via)| workload(namespace, *via)).collect();
    failure.evidence_digest = Digest::sha256(format!("{workloads:?}").as_bytes());
    failure
}

async fn numbers(store: &Store, filter: FindingFilter) -> Vec<i64> {
    let mut numbers: Vec<i64> =
        store.findings(&filter, FindingSort::Severity, None, 100).await.unwrap().iter().map(|row| row.number).collect();
    assert_eq!(store.count_findings(&filter).await.unwrap(), rolecall_store::Total::Exact(numbers.len() as u64));
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_finding_on_a_role_is_found_by_the_workloads_that_reach_it() {
    use rolecall_audit::access::reach::Via;
    let database = database().await;
    let store = &database.store;
    let one = on_role("a", Severity::High, &[("billing", Via::Direct), ("web", Via::Target)]);
    let two = on_role("b", Severity::Low, &[("etl", Via::Chain)]);
    let alone = on_role("c", Severity::Low, &[]);
    let own = failure("d", Severity::Medium, "m");
    let all = [&one, &two, &alone, &own].map(|failure| FindingAction::Open(failure.clone()));
    apply(store, 0, &all).await;

    let place = |namespace: &str, via: &[FindingVia]| FindingFilter {
        namespace: Some(namespace.into()),
        via: via.to_vec(),
        ..FindingFilter::default()
    };
    let (subject, role, direct, target) =
        (FindingVia::Subject, FindingVia::Role, FindingVia::Reach(Via::Direct), FindingVia::Reach(Via::Target));
    for (namespace, via, found) in [
        ("billing", vec![], vec![1]),
        ("web", vec![], vec![1, 4]),
        ("web", vec![subject], vec![4]),
        ("web", vec![role], vec![1]),
        ("web", vec![direct], vec![]),
        ("web", vec![target, subject], vec![1, 4]),
        ("etl", vec![FindingVia::Reach(Via::Chain)], vec![2]),
        ("nobody", vec![], vec![]),
    ] {
        assert_eq!(numbers(store, place(namespace, &via)).await, found, "{namespace} {via:?}");
    }
    let whole = FindingFilter::default;
    assert_eq!(numbers(store, FindingFilter { via: vec![role], ..whole() }).await, [1, 2]);
    assert_eq!(numbers(store, FindingFilter { via: vec![subject], ..whole() }).await, [4]);
    assert_eq!(numbers(store, FindingFilter { cluster: Some(CLUSTER.into()), ..whole() }).await, [1, 2, 4]);
    assert_eq!(numbers(store, FindingFilter { association: Some(key("web", "api")), ..whole() }).await, [1, 4]);
    assert_eq!(
        numbers(store, FindingFilter { association: Some(key("web", "other")), ..whole() }).await,
        Vec::<i64>::new()
    );
    // The place and another filter both narrow.
    let both = FindingFilter { severity_min: Some(Severity::High), ..place("web", &[]) };
    assert_eq!(numbers(store, both).await, [1]);

    let row = find(store, "a").await;
    assert_eq!((row.workload_count, row.workloads), (2, one.workloads.clone()));
    // A pod that goes is a change, and named.
    let fewer = on_role("a", Severity::High, &[("billing", Via::Direct), ("shop", Via::Direct)]);
    let (_, counts) = apply(store, 1, &[refresh(fewer.clone(), true)]).await;
    assert_eq!((counts.changed, counts.unchanged), (1, 0));
    let row = find(store, "a").await;
    assert_eq!(store.workloads_of(&row, 10).await.unwrap(), fewer.workloads);
    let event = store.finding_events(&row).await.unwrap().pop().unwrap();
    let (came, went) = (key("shop", "api").to_string(), key("web", "api").to_string());
    assert_eq!(event.detail["workloads"], json!({"from": 2, "to": 2, "added": [came], "removed": [went]}));
    assert_eq!(numbers(store, place("web", &[])).await, [4]);
}

#[tokio::test]
async fn what_a_workload_counts_follows_the_life_of_its_findings() {
    use rolecall_audit::access::reach::Via;
    let database = database().await;
    let store = &database.store;
    look(store, 0, &estate()).await;
    let web = [("web", Via::Chain), ("billing", Via::Direct)];
    let mut many: Vec<_> = (0..12).map(|n| (format!("ns-{n:02}"), Via::Target)).collect();
    many.push(("web".to_owned(), Via::Direct));
    let many: Vec<_> = many.iter().map(|(namespace, via)| (namespace.as_str(), *via)).collect();
    let (a, b) = (on_role("a", Severity::High, &web), on_role("b", Severity::Low, &many));
    let own = failure("c", Severity::Medium, "m");
    let counts = async || {
        let row = store.association(&key("web", "api"), at(0), None).await.unwrap().unwrap();
        (row.open_findings.unwrap(), row.open_role_findings.unwrap(), row.worst)
    };
    apply(store, 1, &[&a, &b, &own].map(|failure| FindingAction::Open(failure.clone()))).await;
    assert_eq!(counts().await, (3, 2, Some(Severity::High)));
    let row = find(store, "b").await;
    assert_eq!((row.workload_count, row.workloads.len(), row.workloads[0].via), (13, 10, Via::Direct));
    assert_kept_as_counted(store, at(1)).await;

    // Another severity, and nothing else.
    let graver = Failure { severity: Severity::Critical, ..b.clone() };
    apply(store, 2, &[refresh(graver.clone(), true)]).await;
    assert_eq!(counts().await, (3, 2, Some(Severity::Critical)));
    assert_kept_as_counted(store, at(2)).await;
    // Listed under another, and alone again.
    let part = Failure { part_of: Some(b.fingerprint.clone()), ..a.clone() };
    apply(store, 3, &[refresh(part, true)]).await;
    assert_eq!(counts().await, (2, 1, Some(Severity::Critical)));
    assert_kept_as_counted(store, at(3)).await;
    apply(store, 4, &[refresh(a.clone(), true)]).await;
    assert_eq!(counts().await, (3, 2, Some(Severity::Critical)));
    // Suppressed by a file, and not any more.
    let excepted = Failure { exception: Some(exception()), ..graver.clone() };
    apply(store, 5, &[refresh(excepted, true)]).await;
    assert_eq!(counts().await, (2, 1, Some(Severity::High)));
    assert_kept_as_counted(store, at(5)).await;
    apply(store, 6, &[refresh(graver, true)]).await;
    assert_eq!(counts().await, (3, 2, Some(Severity::Critical)));
    // Gone, and back without the workload.
    let gone = FindingAction::Resolve { fingerprint: b.fingerprint.clone(), why: Resolution::Passed, by: None };
    apply(store, 7, &[gone]).await;
    assert_eq!(counts().await, (2, 1, Some(Severity::High)));
    assert_kept_as_counted(store, at(7)).await;
    apply(store, 8, &[FindingAction::Reopen(on_role("b", Severity::Low, &[("etl", Via::Direct)]))]).await;
    assert_eq!(counts().await, (2, 1, Some(Severity::High)));
    assert_kept_as_counted(store, at(8)).await;
}

#[tokio::test]
async fn a_finding_that_is_listed_under_another_is_left_out_until_that_one_ends() {
    let database = database().await;
    let store = &database.store;
    let head = on_role("a", Severity::Critical, &[]);
    let mut part = on_role("b", Severity::High, &[]);
    part.part_of = Some(head.fingerprint.clone());
    part.severity_because = Some("the role reads one bucket".into());
    part.assumptions = vec![rolecall_estate::assumption::Assumption::NoScps];
    let (_, counts) = apply(store, 0, &[FindingAction::Open(head.clone()), FindingAction::Open(part.clone())]).await;
    assert_eq!((counts.opened, counts.folded), (1, 1));
    let row = find(store, "b").await;
    assert_eq!((&row.part_of, &row.severity_because), (&part.part_of, &part.severity_because));
    assert_eq!(row.assumptions, part.assumptions);
    assert_eq!(find(store, "a").await.parts, 1);
    assert_kept_as_counted(store, at(1)).await;
    assert_eq!(store.trends(at(1), 1, 1).await.unwrap().days[0].opened, 1);

    let all = FindingFilter::default;
    assert_eq!(numbers(store, all()).await, [1]);
    assert_eq!(numbers(store, FindingFilter { folded: true, ..all() }).await, [1, 2]);
    assert_eq!(numbers(store, FindingFilter { part_of: part.part_of.clone(), ..all() }).await, [2]);
    assert_eq!(numbers(store, FindingFilter { severity: vec![Severity::High], ..all() }).await, Vec::<i64>::new());
    let overview = store.overview().await.unwrap();
    assert_eq!((overview.open[&Severity::Critical], overview.open[&Severity::High]), (1, 0));
    assert_eq!(overview.rules.iter().map(|rule| rule.open).sum::<u64>(), 1);
    assert_eq!(store.accounts().await.unwrap().iter().filter_map(|account| account.open_findings).sum::<u64>(), 0);

    // The head ends while the part cannot be decided: it stands by itself, and is not lost from sight.
    let ended = FindingAction::Resolve { fingerprint: head.fingerprint.clone(), why: Resolution::Passed, by: None };
    let stale = FindingAction::MarkStale { fingerprint: part.fingerprint.clone(), why: vec!["roles not seen".into()] };
    apply(store, 1, &[ended, stale]).await;
    let open = FindingFilter { workflow: vec![Workflow::Open], ..all() };
    assert_eq!(numbers(store, open).await, [2]);
    assert_eq!(steps(store, "b").await, ["opened", "stale", "changed"]);
    assert_kept_as_counted(store, at(2)).await;
    assert_eq!(store.trends(at(2), 1, 1).await.unwrap().days[0].opened, 2);
}

#[tokio::test]
async fn an_audit_that_changes_nothing_writes_no_finding() {
    let database = database().await;
    let store = &database.store;
    let names: Vec<String> = (0..1100).map(|n| format!("n{n}")).collect();
    let all: Vec<Failure> = names.iter().map(|name| failure(name, Severity::Low, "m")).collect();
    let (_, counts) = apply(store, 0, &all.iter().cloned().map(FindingAction::Open).collect::<Vec<_>>()).await;
    assert_eq!(counts.opened, 1100);
    let mut connection = database.connect().await.unwrap();
    let versions = "select sum(xmin::text::bigint)::text from finding";
    let before: String = sqlx::query_scalar(versions).fetch_one(&mut connection).await.unwrap();
    let again: Vec<_> = all.iter().cloned().map(|failure| refresh(failure, false)).collect();
    let (run, counts) = apply(store, 10, &again).await;
    assert_eq!(counts, ApplyCounts { unchanged: 1100, ..ApplyCounts::default() });
    let after: String = sqlx::query_scalar(versions).fetch_one(&mut connection).await.unwrap();
    assert_eq!(before, after);
    let row = find(store, "n7").await;
    assert_eq!((row.last_seen_at, row.last_run, row.version), (at(10), run, 1));
}

#[tokio::test]
async fn who_is_not_seen_any_more_was_last_seen_by_the_run_before() {
    let database = database().await;
    let store = &database.store;
    let (a, b) = (failure("a", Severity::High, "m"), failure("b", Severity::High, "m"));
    apply(store, 0, &[FindingAction::Open(a.clone()), FindingAction::Open(b.clone())]).await;
    let (second, _) = apply(store, 10, &[refresh(a.clone(), false), refresh(b.clone(), false)]).await;
    let gone = FindingAction::Resolve { fingerprint: a.fingerprint.clone(), why: Resolution::Passed, by: None };
    let stale = FindingAction::MarkStale { fingerprint: b.fingerprint.clone(), why: vec!["roles not seen".into()] };
    apply(store, 20, &[gone, stale.clone()]).await;
    apply(store, 30, &[stale]).await;
    for name in ["a", "b"] {
        let row = find(store, name).await;
        assert_eq!((row.last_seen_at, row.last_run), (at(10), second), "{name}");
    }
    let (last, _) = apply(store, 40, &[refresh(b, false)]).await;
    let row = find(store, "b").await;
    assert_eq!((row.last_seen_at, row.last_run), (at(40), last));
    let seen = store.findings(&FindingFilter::default(), FindingSort::LastSeen, None, 10).await.unwrap();
    assert_eq!(seen.iter().map(|row| row.number).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn evidence_of_any_size_is_written_in_parts() {
    let database = database().await;
    let store = &database.store;
    let large = |name: &str| {
        let mut failure = failure(name, Severity::Low, "m");
        failure.evidence[0].value = json!("x".repeat(3 << 20));
        FindingAction::Open(failure)
    };
    let (_, counts) = apply(store, 0, &[large("a"), large("b"), large("c")]).await;
    assert_eq!(counts.opened, 3);
    assert_eq!(whole(store, "c").await.evidence[0].value.as_str().map(str::len), Some(3 << 20));
}
