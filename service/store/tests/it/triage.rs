//! What people and programs do with findings, between and after scans.

use crate::findings::failure;
use crate::fixture::*;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::finding::triage::due::{DueDays, DueState};
use rolecall_audit::finding::triage::{
    Assignee, Comment, Refused, Suppression, SuppressionReason, Triage, WorkflowStep,
};
use rolecall_audit::finding::*;
use rolecall_audit::verdict::Fingerprint;
use rolecall_rules::{ExceptionRef, Severity};
use rolecall_store::{
    ApplyCounts, DoneJudgement, FindingFilter, FindingRow, FindingSort, NotDecided, NotTriaged, Store,
    SuppressionFilter, SuppressionState, TriageOf, TriagedAll, TriagedBy,
};
use serde_json::{Value, json};

const ALONE: TriagedBy<'static> = TriagedBy { who: "ann", approver_required: false };
const APPROVED: TriagedBy<'static> = TriagedBy { who: "ann", approver_required: true };

async fn judge(store: &Store, actions: &[FindingAction], now: DateTime<Utc>) -> ApplyCounts {
    let run = begin(store, 0).await;
    store.apply(run, actions, &[], &DoneJudgement::default(), now).await.unwrap()
}

async fn find(store: &Store, name: &str) -> FindingRow {
    store.finding_by_fingerprint(&Fingerprint(format!("v1:{name}"))).await.unwrap().unwrap().row
}

/// Kind, actor and what was said of every step, from the first.
async fn told(store: &Store, name: &str) -> Vec<(String, String)> {
    let row = find(store, name).await;
    let events = store.finding_events(&row).await.unwrap();
    assert_eq!(events.last().map(|event| event.change_seq), Some(row.change_seq));
    assert!(events.windows(2).all(|two| two[0].change_seq < two[1].change_seq));
    events.into_iter().map(|event| (event.kind, event.actor)).collect()
}

async fn last(store: &Store, name: &str) -> Value {
    store.finding_events(&find(store, name).await).await.unwrap().pop().unwrap().detail
}

fn suppression(until: DateTime<Utc>, now: DateTime<Utc>) -> WorkflowStep {
    let reason = SuppressionReason::RiskAccepted;
    WorkflowStep::Suppress(Suppression::new(reason, "moves next quarter", Some(until), now).unwrap())
}

fn step(step: WorkflowStep) -> Triage {
    Triage { step: Some(step), ..Triage::default() }
}

async fn take(store: &Store, id: &str, asked: &Triage, by: TriagedBy<'_>) -> Result<i64, NotTriaged> {
    store.triage_finding(id, asked, None, by).await.unwrap()
}

#[tokio::test]
async fn steps_are_kept_in_the_order_of_the_finding_with_who_took_them() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    judge(store, &[FindingAction::Open(failure("a", Severity::High, "m"))], now).await;
    let all = Triage {
        step: Some(WorkflowStep::Acknowledge),
        assignee: Some(Some(Assignee::new("payments").unwrap())),
        comment: Some(Comment::new("SEC-1\nsoon").unwrap()),
    };
    assert_eq!(take(store, "v1:a", &all, ALONE).await, Ok(1));
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.assignee.as_deref(), row.version), (Workflow::Acknowledged, Some("payments"), 2));
    assert!(row.updated_at >= now);
    assert_eq!(last(store, "a").await, json!({"comment": "SEC-1\nsoon"}));
    // The same again is no step, but a comment is one.
    let same = Triage { comment: None, ..all.clone() };
    assert_eq!(take(store, "1", &same, ALONE).await, Ok(1));
    assert_eq!(find(store, "a").await.version, 2);

    // A scan that finds the same leaves it as it is; one that cannot decide, too.
    let again = FindingAction::Refresh { failure: failure("a", Severity::High, "m"), changed: false };
    judge(store, std::slice::from_ref(&again), now).await;
    let stale = FindingAction::MarkStale { fingerprint: Fingerprint("v1:a".into()), why: vec!["not seen".into()] };
    judge(store, &[stale], now).await;
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.detection), (Workflow::Acknowledged, Detection::Stale));
    let nobody = Triage { assignee: Some(None), ..step(WorkflowStep::Open) };
    assert_eq!(take(store, "1", &nobody, TriagedBy { who: "token bot", ..ALONE }).await, Ok(1));
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.assignee), (Workflow::Open, None));
    let kinds = told(store, "a").await;
    let kinds: Vec<_> = kinds.iter().map(|(kind, who)| (kind.as_str(), who.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("opened", "scanner"),
            ("acknowledged", "ann"),
            ("assigned", "ann"),
            ("commented", "ann"),
            ("stale", "scanner"),
            ("unacknowledged", "token bot"),
            ("assigned", "token bot"),
        ]
    );
    assert_eq!(take(store, "2", &nobody, ALONE).await, Err(NotTriaged::Absent));
    let at_version = store.triage_finding("1", &all, Some(row.version - 1), ALONE).await.unwrap();
    assert_eq!(at_version, Err(NotTriaged::Changed(row.version)));
    assert_eq!(find(store, "a").await.version, row.version);
    assert_eq!(store.triage_finding("1", &all, Some(row.version), ALONE).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_suppression_outlives_a_pass_and_ends_by_its_date() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    let found = failure("a", Severity::Critical, "m");
    judge(store, &[FindingAction::Open(found.clone())], now).await;
    let until = now + TimeDelta::days(30);
    assert_eq!(take(store, "1", &step(suppression(until, now)), ALONE).await, Ok(1));
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.exception.is_some()), (Workflow::Suppressed, false));
    let kept = row.suppression.unwrap();
    assert_eq!((kept.reason, kept.requested_by.as_str()), (SuppressionReason::RiskAccepted, "ann"));
    assert_eq!(kept.until.timestamp_millis(), until.timestamp_millis());
    assert_eq!(row.due.map(|due| (due.at, due.state)), Some((None, DueState::Paused)));
    assert_eq!(
        take(store, "1", &step(WorkflowStep::Acknowledge), ALONE).await,
        Err(NotTriaged::Refused(Refused::Suppressed))
    );
    assert!(store.known_findings().await.unwrap()[0].suppressed);

    // It fails on, passes, and comes back: suppressed all the time.
    let refresh = FindingAction::Refresh { failure: failure("a", Severity::Critical, "other"), changed: true };
    judge(store, &[refresh], now + TimeDelta::days(1)).await;
    assert_eq!(find(store, "a").await.workflow, Workflow::Suppressed);
    let pass = FindingAction::Resolve { fingerprint: found.fingerprint.clone(), why: Resolution::Passed, by: None };
    judge(store, &[pass], now + TimeDelta::days(2)).await;
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.suppression.is_some(), row.due), (Workflow::Resolved, true, None));
    assert_eq!(
        take(store, "1", &step(WorkflowStep::Acknowledge), ALONE).await,
        Err(NotTriaged::Refused(Refused::Resolved))
    );
    let counts = judge(store, &[FindingAction::Reopen(found.clone())], now + TimeDelta::days(3)).await;
    assert_eq!((counts.reopened, counts.suppressed), (1, 1));
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.reopened_count), (Workflow::Suppressed, 1));

    // Its end opens it, by whatever scan, also where nothing else changed.
    let same = FindingAction::Refresh { failure: found, changed: false };
    judge(store, &[same], until + TimeDelta::seconds(1)).await;
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.suppression), (Workflow::Open, None));
    let kinds = told(store, "a").await;
    let kinds: Vec<_> = kinds.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["opened", "suppressed", "changed", "resolved", "reopened", "suppressed", "suppression_expired"]);
    let ended = store.suppressions(&SuppressionFilter::default(), None, 9).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].state, ended[0].ended_because.as_deref()), (SuppressionState::Ended, Some("expired")));
}

#[tokio::test]
async fn a_suppression_ends_without_a_scan_and_by_opening() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    for name in ["a", "b"] {
        judge(store, &[FindingAction::Open(failure(name, Severity::High, "m"))], now).await;
    }
    let until = now + TimeDelta::days(1);
    for id in ["1", "2"] {
        take(store, id, &step(suppression(until, now)), ALONE).await.unwrap();
    }
    assert_eq!(store.end_suppressions(now).await.unwrap(), 0);
    take(store, "2", &step(WorkflowStep::Open), TriagedBy { who: "ben", ..ALONE }).await.unwrap();
    assert_eq!(store.end_suppressions(until).await.unwrap(), 1);
    assert_eq!(store.end_suppressions(until).await.unwrap(), 0);
    assert_eq!(told(store, "a").await.last(), Some(&("suppression_expired".to_owned(), "scanner".to_owned())));
    assert_eq!(told(store, "b").await.last(), Some(&("suppression_ended".to_owned(), "ben".to_owned())));
    for name in ["a", "b"] {
        let row = find(store, name).await;
        assert_eq!((row.workflow, row.suppression), (Workflow::Open, None), "{name}");
    }
    // A second one, changed to end later: the first is replaced.
    take(store, "1", &step(suppression(until, now)), ALONE).await.unwrap();
    take(store, "1", &step(suppression(until + TimeDelta::days(5), now)), ALONE).await.unwrap();
    let row = find(store, "a").await;
    assert!(row.suppression.unwrap().until > until);
    let all = store.suppressions(&SuppressionFilter::default(), None, 9).await.unwrap();
    let mut ends: Vec<_> = all.iter().map(|it| (it.finding, it.ended_because.as_deref().unwrap_or("-"))).collect();
    ends.sort_unstable();
    assert_eq!(ends, [(1, "-"), (1, "expired"), (1, "replaced"), (2, "opened")]);
    let page = store.suppressions(&SuppressionFilter::default(), None, 3).await.unwrap();
    let rest = store.suppressions(&SuppressionFilter::default(), Some(&page[2].after()), 3).await.unwrap();
    assert_eq!([page, rest].concat(), all);
    let in_force = SuppressionFilter { states: vec![SuppressionState::InForce], ..SuppressionFilter::default() };
    assert_eq!(store.suppressions(&in_force, None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_person_approves_what_needs_approval() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    judge(store, &[FindingAction::Open(failure("a", Severity::High, "m"))], now).await;
    let until = now + TimeDelta::days(9);
    assert_eq!(store.decide_suppression("1", true, "ben").await.unwrap(), Err(NotDecided::NotRequested));
    take(store, "1", &step(suppression(until, now)), APPROVED).await.unwrap();
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.suppression.is_some(), row.requested.is_some()), (Workflow::Open, false, true));
    assert!(!store.known_findings().await.unwrap()[0].suppressed);
    // Meanwhile somebody works on it.
    take(store, "1", &step(WorkflowStep::Acknowledge), ALONE).await.unwrap();
    assert_eq!(store.decide_suppression("1", true, "ann").await.unwrap(), Err(NotDecided::SamePerson));
    assert_eq!(store.decide_suppression("1", true, "ben").await.unwrap(), Ok(1));
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.requested), (Workflow::Suppressed, None));
    let kept = row.suppression.unwrap();
    assert_eq!((kept.requested_by.as_str(), kept.approved_by.as_deref()), ("ann", Some("ben")));

    // Another is asked for while the first holds, and declined: the first holds on.
    take(store, "1", &step(suppression(until + TimeDelta::days(9), now)), APPROVED).await.unwrap();
    assert_eq!(store.decide_suppression("1", false, "ben").await.unwrap(), Ok(1));
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.requested), (Workflow::Suppressed, None));
    assert_eq!(row.suppression.unwrap().until, kept.until);
    // A request whose end comes before anybody agreed is over.
    take(store, "1", &step(WorkflowStep::Open), ALONE).await.unwrap();
    take(store, "1", &step(suppression(until, now)), APPROVED).await.unwrap();
    assert_eq!(store.end_suppressions(until).await.unwrap(), 1);
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.requested), (Workflow::Open, None));
    let kinds = told(store, "a").await;
    let kinds: Vec<_> = kinds.iter().map(|(kind, who)| (kind.as_str(), who.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("opened", "scanner"),
            ("suppression_requested", "ann"),
            ("acknowledged", "ann"),
            ("suppressed", "ben"),
            ("suppression_requested", "ann"),
            ("suppression_declined", "ben"),
            ("suppression_ended", "ann"),
            ("suppression_requested", "ann"),
            ("suppression_declined", "scanner"),
        ]
    );
}

#[tokio::test]
async fn an_exception_of_a_file_is_the_file_s() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    let exception = ExceptionRef {
        name: "legacy".into(),
        owner: "team-a".into(),
        reason: "r".into(),
        ticket: None,
        expires: now + TimeDelta::days(3),
        origin: "exceptions/a.yaml:3".into(),
    };
    let plain = failure("a", Severity::High, "m");
    let excepted = Failure { exception: Some(exception), ..plain.clone() };
    judge(store, &[FindingAction::Open(excepted.clone())], now).await;
    let until = now + TimeDelta::days(9);
    for wanted in [WorkflowStep::Open, WorkflowStep::Acknowledge, suppression(until, now)] {
        let refused = take(store, "1", &step(wanted), ALONE).await;
        assert_eq!(refused, Err(NotTriaged::Refused(Refused::Excepted)));
    }
    let comment = Triage { comment: Some(Comment::new("why?").unwrap()), ..Triage::default() };
    assert_eq!(take(store, "1", &comment, ALONE).await, Ok(1));
    assert_eq!(store.excepted_findings().await.unwrap(), [("legacy".to_owned(), 1)].into());
    // One that comes over a suppression leaves it in force.
    judge(store, &[FindingAction::Refresh { failure: plain.clone(), changed: true }], now).await;
    take(store, "1", &step(suppression(until, now)), ALONE).await.unwrap();
    judge(store, &[FindingAction::Refresh { failure: excepted, changed: true }], now).await;
    judge(store, &[FindingAction::Refresh { failure: plain, changed: true }], now).await;
    let row = find(store, "a").await;
    assert_eq!((row.workflow, row.exception, row.suppression.is_some()), (Workflow::Suppressed, None, true));
}

#[tokio::test]
async fn what_is_suppressed_hides_nothing() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    let head = failure("a", Severity::Critical, "m");
    let under = |name: &str| Failure { part_of: Some(head.fingerprint.clone()), ..failure(name, Severity::Low, "m") };
    let open = [head.clone(), under("b"), under("c")].map(FindingAction::Open);
    judge(store, &open, now).await;
    assert_eq!(store.findings(&FindingFilter::default(), FindingSort::Number, None, 9).await.unwrap().len(), 1);
    let until = now + TimeDelta::days(9);
    // One that is listed under another is suppressed: it is listed by itself.
    let (b, a) = (find(store, "b").await.number.to_string(), find(store, "a").await.number.to_string());
    take(store, &b, &step(suppression(until, now)), ALONE).await.unwrap();
    assert_eq!(find(store, "b").await.part_of, None);
    assert!(find(store, "c").await.part_of.is_some());
    take(store, &a, &step(suppression(until, now)), ALONE).await.unwrap();
    assert_eq!(find(store, "c").await.part_of, None);
    // A scan that was loaded before comes too late to hide them.
    let stale = [head.clone(), under("b"), under("c")].map(|failure| FindingAction::Refresh { failure, changed: true });
    judge(store, &stale, now).await;
    for name in ["a", "b", "c"] {
        assert_eq!(find(store, name).await.part_of, None, "{name}");
    }
    assert_kept_as_counted(store, now).await;
}

#[tokio::test]
async fn of_many_each_takes_the_step_or_is_refused_and_a_dry_run_keeps_nothing() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    for name in ["a", "b", "c"] {
        judge(store, &[FindingAction::Open(failure(name, Severity::High, name))], now).await;
    }
    let pass = |name: &str| FindingAction::Resolve {
        fingerprint: Fingerprint(format!("v1:{name}")),
        why: Resolution::Passed,
        by: None,
    };
    judge(store, &[pass("b")], now).await;
    let ids = TriageOf::Ids(["3", "2", "v1:a", "1", "77"].map(str::to_owned).into());
    let asked = Triage { comment: Some(Comment::new("all").unwrap()), ..step(WorkflowStep::Acknowledge) };
    let wanted = TriagedAll::Done {
        processed: vec![3, 1],
        unprocessed: vec![("2".into(), NotTriaged::Refused(Refused::Resolved)), ("77".into(), NotTriaged::Absent)],
    };
    let before = (find(store, "a").await, find(store, "c").await);
    assert_eq!(store.triage_findings(&ids, &asked, ALONE, true).await.unwrap(), wanted);
    assert_eq!((find(store, "a").await, find(store, "c").await), before);
    assert_eq!(store.triage_findings(&ids, &asked, ALONE, false).await.unwrap(), wanted);
    assert_eq!(find(store, "a").await.workflow, Workflow::Acknowledged);
    assert_eq!(told(store, "b").await.len(), 2);

    let open = FindingFilter { workflow: vec![Workflow::Acknowledged], ..FindingFilter::default() };
    let of = |expected| TriageOf::Filter(Box::new(open.clone()), expected);
    let assign = Triage { assignee: Some(Some(Assignee::new("team-a").unwrap())), ..Triage::default() };
    assert_eq!(store.triage_findings(&of(3), &assign, ALONE, false).await.unwrap(), TriagedAll::Unexpected(2));
    assert_eq!(find(store, "a").await.assignee, None);
    let done = store.triage_findings(&of(2), &assign, ALONE, false).await.unwrap();
    assert_eq!(done, TriagedAll::Done { processed: vec![3, 1], unprocessed: vec![] });
    let filter = FindingFilter { assignees: vec!["team-a".into(), "x".into()], ..FindingFilter::default() };
    assert_eq!(store.findings(&filter, FindingSort::Number, None, 9).await.unwrap().len(), 2);
    let nobody = FindingFilter { assigned: Some(false), ..FindingFilter::default() };
    assert_eq!(store.findings(&nobody, FindingSort::Number, None, 9).await.unwrap()[0].number, 2);
}

/// The filter, which the database decides, and what a row says are the same.
#[tokio::test]
async fn due_states_are_those_of_the_rows() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    let days = DueDays { low: 0, ..DueDays::default() };
    let mut numbers = 0;
    for (n, ago) in [0, 2, 6, 8, 24, 31, 84, 91, 400].into_iter().enumerate() {
        for severity in [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info] {
            let name = format!("{}{n}", severity.as_str());
            judge(store, &[FindingAction::Open(failure(&name, severity, &name))], now - TimeDelta::days(ago)).await;
            numbers += 1;
            if ago == 8 {
                take(store, &numbers.to_string(), &step(suppression(now + TimeDelta::days(1), now)), ALONE)
                    .await
                    .unwrap();
            }
        }
    }
    let store = store.with_due_days(days);
    let all = store.findings(&FindingFilter::default(), FindingSort::Number, None, 100).await.unwrap();
    assert_eq!(all.len(), 45);
    for state in DueState::ALL {
        let filter = FindingFilter { due: vec![state], ..FindingFilter::default() };
        let found = store.findings(&filter, FindingSort::Number, None, 100).await.unwrap();
        let wanted: Vec<&FindingRow> = all.iter().filter(|row| row.due.is_some_and(|due| due.state == state)).collect();
        assert!(!wanted.is_empty(), "{state}");
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{state}");
        assert_eq!(store.count_findings(&filter).await.unwrap(), rolecall_store::Total::Exact(wanted.len() as u64));
        let place = FindingFilter { namespace: Some("web".into()), ..filter };
        assert_eq!(store.findings(&place, FindingSort::Severity, None, 100).await.unwrap().len(), wanted.len());
    }
}

/// While it is suppressed its time stands still.
#[tokio::test]
async fn the_time_of_a_suppressed_finding_stands_still() {
    let database = database().await;
    let store = &database.store;
    let now = store.now().await.unwrap();
    let opened = now - TimeDelta::days(6);
    judge(store, &[FindingAction::Open(failure("a", Severity::Critical, "m"))], opened).await;
    assert_eq!(find(store, "a").await.due.unwrap().state, DueState::DueSoon);
    take(store, "1", &step(suppression(now + TimeDelta::days(3), now)), ALONE).await.unwrap();
    let end = now + TimeDelta::days(3) + TimeDelta::seconds(1);
    assert_eq!(store.end_suppressions(end).await.unwrap(), 1);
    let due = find(store, "a").await.due.unwrap().at.unwrap();
    let paused = due - (opened + TimeDelta::days(7));
    assert!(
        paused >= TimeDelta::days(3) - TimeDelta::seconds(60) && paused <= TimeDelta::days(3) + TimeDelta::seconds(2),
        "{paused}"
    );
}
