//! The access report: what its sentence says, and when sessions are all there were.

use chrono::{DateTime, Utc};
use rolecall_audit::report::{
    About, AccessReport, Caller, Could, Material, Period, ReportSubject, SessionGroup, access_report,
};
use rolecall_estate::{AttributionMethod, CompleteRange, EventScope, SessionKind};
use std::collections::BTreeSet;

const ROLE: &str = "arn:aws:iam::111122223333:role/r";

fn at(day: u32) -> DateTime<Utc> {
    format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
}

fn range(source: &str, from: u32, to: u32, all_regions: bool) -> CompleteRange {
    CompleteRange {
        source: source.to_owned(),
        account_id: "111122223333".parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        from: at(from),
        to: at(to),
        event_scope: EventScope::Sessions,
        all_regions,
    }
}

fn group(caller: Caller, sessions: u64, refused: u64) -> SessionGroup {
    let (kind, role_arn) = (SessionKind::PodIdentity, Some(ROLE.to_owned()));
    SessionGroup { role_arn, caller, kind, sessions, refused, first: at(3), last: at(4) }
}

fn workload(namespace: &str, name: &str) -> Caller {
    Caller::Workload(format!("111122223333/eu-west-1/c/{namespace}/{name}").parse().unwrap())
}

fn pods(method: AttributionMethod) -> Caller {
    Caller::Pods { method, cluster: None, namespace: None, service_account: None }
}

/// Of 2 to 9 November, with one scan that does not show the role.
fn report(sessions: Vec<SessionGroup>, complete: Vec<CompleteRange>) -> AccessReport {
    access_report(Material {
        subject: ReportSubject::Role(ROLE.parse().unwrap()),
        period: Period { since: at(2), until: at(9) },
        could: vec![(at(1), Could::Role(None))],
        has_begin: true,
        more_scans: false,
        sessions,
        more_sessions: false,
        accounts: BTreeSet::from(["111122223333".parse().unwrap()]),
        complete,
        trails: Vec::new(),
        is_limited: false,
    })
}

fn missing(report: &AccessReport) -> Vec<&str> {
    let of_sessions = report.not_seen.iter().filter(|it| it.about == About::Sessions);
    of_sessions.map(|it| it.reason.text()).collect()
}

#[test]
fn sessions_are_complete_only_where_everything_was_read() {
    let head = "the CloudTrail events of account 111122223333 are not known to be complete";
    let cases: [(&[CompleteRange], Option<&str>); 7] = [
        (&[range("a", 1, 10, true)], None),
        (&[range("a", 2, 9, true)], None),
        (&[range("a", 1, 5, true), range("b", 4, 10, true)], None),
        (&[], Some("")),
        (&[range("a", 1, 10, false)], Some(": other Regions may have events that were not read")),
        (&[range("a", 1, 8, true)], Some(" from 2026-11-08 00:00 UTC to 2026-11-09 00:00 UTC")),
        (
            &[range("a", 3, 4, true), range("b", 6, 7, true)],
            Some(
                " from 2026-11-02 00:00 UTC to 2026-11-03 00:00 UTC and from 2026-11-04 00:00 UTC to 2026-11-06 00:00 UTC \
                 and from 2026-11-07 00:00 UTC to 2026-11-09 00:00 UTC",
            ),
        ),
    ];
    for (complete, expected) in cases {
        let found = report(Vec::new(), complete.to_vec());
        let expected: Vec<String> = expected.iter().map(|rest| format!("{head}{rest}")).collect();
        assert_eq!(missing(&found), expected, "{complete:?}");
        assert_eq!(found.sessions_complete, expected.is_empty());
        assert_eq!(found.answer.ends_with("This does not show that there was none."), !expected.is_empty());
    }
}

#[test]
fn the_answer_names_who_did() {
    let whole = || vec![range("a", 1, 10, true)];
    let principal = || Caller::Principal("arn:aws:sts::111122223333:assumed-role/ci".to_owned());
    let none = "No session of the role is known in this period.";
    let complete = "Coverage of sessions is complete.";
    let cases = [
        (vec![], format!("{none} {complete}")),
        (
            vec![group(workload("pay", "api"), 4, 0), group(workload("pay", "job"), 1, 1)],
            format!(
                "In this period the role was assumed by 2 workloads of one namespace (pay/api in cluster c, pay/job in \
                 cluster c). 1 attempt was refused or failed. {complete}"
            ),
        ),
        (
            vec![group(principal(), 1, 0), group(workload("pay", "api"), 4, 0)],
            format!(
                "In this period the role was assumed by 1 workload (pay/api in cluster c), and by 1 other principal \
                 (arn:aws:sts::111122223333:assumed-role/ci). {complete}"
            ),
        ),
        (vec![group(principal(), 0, 3)], format!("{none} 3 attempts were refused or failed. {complete}")),
        (
            vec![group(pods(AttributionMethod::Ambiguous), 2, 0)],
            "In this period the role was assumed by pods that are attributed to no one workload. Coverage of sessions is \
             not complete: 2 sessions of pods can be of several workloads."
                .to_owned(),
        ),
        (
            vec![group(pods(AttributionMethod::None), 1, 0), group(workload("pay", "api"), 4, 0)],
            "In this period the role was assumed by 1 workload (pay/api in cluster c), and by pods that are attributed to \
             no one workload. Coverage of sessions is not complete: 1 session of pods is attributed to no workload."
                .to_owned(),
        ),
    ];
    for (sessions, expected) in cases {
        assert_eq!(report(sessions, whole()).answer, expected);
    }
}
