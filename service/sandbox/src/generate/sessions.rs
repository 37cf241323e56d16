//! Sessions of a generated estate: of every pod, and of some who are not what they seem.

use super::draft::{Draft, Place, Use};
use crate::build::with;
use crate::estate::account_of;
use crate::ids;
use crate::trail::{Pod, Start, session_identity};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Where pods and people come from.
const NETWORK: &str = "192.0.2.40";

fn record(draft: &mut Draft, region: &str, record: &Value) {
    let recipient = record.get("recipientAccountId").and_then(Value::as_str).unwrap_or_default().to_owned();
    draft.estate.record(&recipient, region, record);
}

/// Sessions of the associations that are used, evenly over the last seven days.
pub(super) fn add(draft: &mut Draft, events: usize) {
    let step = Duration::seconds(7 * 86_400 / i64::try_from(events.max(1)).unwrap_or(i64::MAX));
    for n in 0..events {
        let at = draft.stream.below(draft.uses.len());
        let Some(used) = draft.uses.get(at).cloned() else { return };
        let at = draft.now - step * i32::try_from(n + 1).unwrap_or(i32::MAX);
        let turn = u64::try_from(n).unwrap_or(0);
        let pod = Pod::new(&used.place.arn(), &used.namespace, &used.service_account, turn);
        let id = format!("{}/{n}", used.place.arn());
        let session = pod.session_name(&id);
        let start = Start { id: &id, at, region: used.place.region, role_arn: &used.role, session: &session };
        record(draft, used.place.region, &start.by_pod(&pod, true));
    }
}

/// One of each kind of strange session; `n` is its turn.
pub(super) fn problems(draft: &mut Draft, n: usize) {
    let Some(place) = draft.place(n) else { return };
    let at = |draft: &Draft, hours: i64| {
        draft.now - Duration::hours(hours) - Duration::minutes(i64::try_from(n).unwrap_or(0))
    };
    let namespace = "sessions";
    let bucket = format!("arn:aws:s3:::sessions-{}/*", place.account);
    let role = |draft: &mut Draft, base: &str| {
        let pod = format!("{base}-{n:02}");
        let role = draft.pod_role(&place, (namespace, &pod), vec![crate::build::allow(&["s3:GetObject"], &[&bucket])]);
        (role, pod)
    };

    // EKS itself names every session by the same grammar.
    let (arn, name) = role(draft, "unnamed");
    let pod = Pod::new(&place.arn(), namespace, &name, 0);
    let id = format!("unnamed/{}/{n}", place.arn());
    let start = Start { id: &id, at: at(draft, 5), region: place.region, role_arn: &arn, session: &name };
    record(draft, place.region, &start.by_pod(&pod, true));
    draft.problem("name-breaks-grammar", &arn, &["session-name-grammar"], None);

    let (arn, _) = role(draft, "orphan");
    let pod = Pod::new(&place.arn(), namespace, &format!("nobody-{n:02}"), 0);
    let id = format!("orphan/{}/{n}", place.arn());
    let session = pod.session_name(&id);
    let start = Start { id: &id, at: at(draft, 6), region: place.region, role_arn: &arn, session: &session };
    record(draft, place.region, &start.by_pod(&pod, true));
    draft.problem("no-association", &arn, &["session-without-association"], None);

    by_people(draft, n, &place, at(draft, 7));
    let used = Use {
        role: role(draft, "stolen").0,
        place,
        namespace: namespace.to_owned(),
        service_account: format!("stolen-{n:02}"),
    };
    stolen(draft, n, &used, at(draft, 30));
}

/// A pod has a session by IRSA, yesterday.
pub(super) fn by_irsa(draft: &mut Draft, place: &Place, pod: (&str, &str), role: &str) {
    let issuer = crate::build::issuer(&place.account, place.region, &place.name);
    let at = draft.now - Duration::days(1);
    let session = at.timestamp_millis().to_string();
    let start = Start { id: role, at, region: place.region, role_arn: role, session: &session };
    record(draft, place.region, &start.by_irsa(&issuer, pod.0, pod.1));
}

/// A pipeline opens sessions under a default name, and under a pod's.
fn by_people(draft: &mut Draft, n: usize, place: &Place, at: DateTime<Utc>) {
    let id = place.account.as_str();
    let caller_role = draft.role(
        crate::build::Role::new(
            id,
            &format!("pipeline-{n:02}"),
            crate::build::trust_service("codebuild.amazonaws.com"),
        )
        .inline(
            "assume",
            crate::build::document(vec![crate::build::allow(
                &["sts:AssumeRole"],
                &[&super::draft::role_arn(id, &format!("handover-*-{n:02}"))],
            )]),
        ),
    );
    let key = ids::access_key(&format!("{caller_role}/{n}"));
    let caller = session_identity(&caller_role, "pipeline", &key, at - Duration::hours(1));
    let pod = Pod::new(&place.arn(), "sessions", &format!("imitated-{n:02}"), 0);
    let imitated = pod.session_name(&format!("imitated/{n}"));
    for (kind, base, session, rule) in [
        (
            "default-session-name",
            "default",
            "botocore-session-1790000000",
            &["session-name-default"] as &'static [&'static str],
        ),
        ("imitates-a-pod", "imitated", imitated.as_str(), &["session-name-imitation"]),
    ] {
        let name = format!("handover-{base}-{n:02}");
        let arn = draft.role(
            crate::build::Role::new(id, &name, super::draft::trust_arn(&caller_role))
                .inline("access", crate::build::document(vec![crate::build::allow(&["ecr:DescribeImages"], &["*"])])),
        );
        let start = format!("{name}/{id}");
        let start = Start { id: &start, at, region: place.region, role_arn: &arn, session };
        record(draft, place.region, &start.by(&caller, NETWORK, "aws-cli/2.31.0"));
        draft.problem(kind, &arn, rule, None);
    }
}

/// A pod's sessions are used from its own network for ten days, and then, at `at`, one of them from
/// elsewhere.
fn stolen(draft: &mut Draft, n: usize, used: &Use, at: DateTime<Utc>) {
    let Use { place, namespace, service_account, role } = used;
    let pod = Pod::new(&place.arn(), namespace, service_account, 0);
    for turn in 0..6 {
        let id = format!("stolen/{}/{n}/{turn}", place.arn());
        let session = pod.session_name(&id);
        let at = at - Duration::days(2 * (5 - turn));
        let start = Start { id: &id, at, region: place.region, role_arn: role, session: &session };
        record(draft, place.region, &start.by_pod(&pod, true));
        let key = ids::access_key(&id);
        for minute in 1..4 {
            let identity = session_identity(role, &session, &key, at);
            let (address, agent) = if turn == 5 && minute > 1 {
                ("203.0.113.66", "aws-cli/2.31.0")
            } else {
                (NETWORK, "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.2")
            };
            let call = called(&format!("{id}/{minute}"), at + Duration::minutes(minute), identity, place.region);
            let call = with(with(call, "sourceIPAddress", json!(address)), "userAgent", json!(agent));
            record(draft, place.region, &call);
        }
    }
    draft.problem("keys-used-elsewhere", role, &["session-used-unusually", "session-used-outside-networks"], None);
}

/// A management event of a session.
fn called(id: &str, at: DateTime<Utc>, identity: Value, region: &str) -> Value {
    let account = identity.get("arn").and_then(Value::as_str).map(account_of).unwrap_or_default().to_owned();
    let made = json!({
        "eventVersion": "1.11", "userIdentity": null, "eventTime": at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets", "awsRegion": region, "sourceIPAddress": null,
        "userAgent": null, "requestParameters": null, "responseElements": null,
        "requestID": ids::uuid(&format!("request/{id}")), "eventID": ids::uuid(&format!("event/{id}")), "readOnly": true,
        "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
    });
    with(made, "userIdentity", identity)
}
