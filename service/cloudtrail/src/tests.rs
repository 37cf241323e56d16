//! Records of every kind, in every wrapping, and what is said of those that cannot be read.

use super::*;
use crate::event::PODS;
use crate::problem::MAX_NAMED;
use rolecall_estate::{Session, SessionKind, VpcEndpoint};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const UUID: &str = "0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11";

fn base(name: &str, source: &str) -> serde_json::Value {
    serde_json::json!({
        "eventVersion": "1.11", "eventID": "e-1", "eventName": name, "eventSource": source,
        "eventTime": "2026-11-20T09:20:04Z", "awsRegion": "us-west-2", "recipientAccountId": "111122223333",
        "sourceIPAddress": "198.51.100.7", "readOnly": true, "eventCategory": "Management",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAPOD:s", "accountId": "111122223333", "accessKeyId": "ASIAPARENT",
            "arn": "arn:aws:sts::111122223333:assumed-role/api/s",
            "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::111122223333:role/api"}},
        },
        "requestParameters": {"roleArn": "arn:aws:iam::444455556666:role/data", "roleSessionName": "hop"},
        "responseElements": {
            "credentials": {"accessKeyId": "ASIANEW", "sessionToken": "SECRETTOKEN", "expiration": "Nov 20, 2026"},
            "assumedRoleUser": {"arn": "arn:aws:sts::444455556666:assumed-role/data/hop"},
            "packedPolicySize": 56,
        },
    })
}

fn with(mut value: serde_json::Value, pointer: &str, new: serde_json::Value) -> serde_json::Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), new);
    value
}

fn sts() -> serde_json::Value {
    base("AssumeRole", "sts.amazonaws.com")
}

fn session(value: &serde_json::Value) -> Session {
    read_event(&value.to_string()).unwrap().expect("a session")
}

fn incoming() -> serde_json::Value {
    serde_json::json!({
        "eks-cluster-arn": "arn:aws:eks:us-west-2:111122223333:cluster/prod", "eks-cluster-name": "prod",
        "kubernetes-namespace": "payments", "kubernetes-service-account": "api",
    })
}

#[test]
fn a_session_says_who_what_and_when_but_never_the_token() {
    let session = session(&sts());
    assert!(!format!("{session:?}").contains("SECRETTOKEN"));
    assert_eq!(session.role_arn.as_deref(), Some("arn:aws:iam::444455556666:role/data"));
    assert_eq!(session.session_name.as_deref(), Some("hop"));
    assert_eq!(session.access_key_id.as_deref(), Some("ASIANEW"));
    assert_eq!(session.parent_access_key_id.as_deref(), Some("ASIAPARENT"));
    assert_eq!(session.principal, "arn:aws:sts::111122223333:assumed-role/api/s");
    assert_eq!(session.packed_policy_size, Some(56));
    assert_eq!(session.at.to_rfc3339(), "2026-11-20T09:20:04+00:00");
    assert_eq!((session.kind, session.error), (SessionKind::AssumeRole, None));
}

#[test]
fn the_kind_comes_from_what_cannot_be_forged() {
    let service = |by: &str| with(sts(), "/userIdentity", serde_json::json!({"type": "AWSService", "invokedBy": by}));
    let matching = with(
        with(sts(), "/requestParameters/incomingTransitiveTags", incoming()),
        "/requestParameters/externalId",
        "us-west-2/111122223333/prod/payments/api".into(),
    );
    let imitation = format!("eks-prod-api-{UUID}");
    let cases = [
        (service(PODS), SessionKind::PodIdentity),
        (service("ec2.amazonaws.com"), SessionKind::Service),
        (with(sts(), "/userIdentity/invokedBy", PODS.into()), SessionKind::PodIdentityTarget),
        (with(sts(), "/sourceIPAddress", PODS.into()), SessionKind::PodIdentityTarget),
        (matching.clone(), SessionKind::PodIdentityTarget),
        (
            with(matching, "/requestParameters/externalId", "us-west-2/111122223333/prod/payments/other".into()),
            SessionKind::AssumeRole,
        ),
        (with(sts(), "/requestParameters/incomingTransitiveTags", incoming()), SessionKind::AssumeRole),
        (with(sts(), "/requestParameters/roleSessionName", imitation.into()), SessionKind::AssumeRole),
        (with(sts(), "/userAgent", PODS.into()), SessionKind::AssumeRole),
        (base("AssumeRoleWithWebIdentity", "sts.amazonaws.com"), SessionKind::WebIdentity),
        (base("AssumeRoleWithSAML", "sts.amazonaws.com"), SessionKind::Saml),
        (base("AssumeRoleForPodIdentity", "eks-auth.amazonaws.com"), SessionKind::AgentRequest),
    ];
    for (record, kind) in cases {
        assert_eq!(session(&record).kind, kind, "{record}");
    }
}

#[test]
fn a_refused_request_without_parameters_gets_its_role_from_the_message() {
    for suffix in [
        "",
        " because no identity-based policy allows the sts:AssumeRole action",
        " with an explicit deny in a service control policy",
    ] {
        let mut record = with(sts(), "/errorCode", "AccessDenied".into());
        record = with(record, "/requestParameters", serde_json::Value::Null);
        record = with(record, "/responseElements", serde_json::Value::Null);
        let message = format!(
            "User: arn:aws:sts::111122223333:assumed-role/api/s is not authorized to perform: sts:TagSession on resource: arn:aws:iam::444455556666:role/team/data{suffix}"
        );
        let session = session(&with(record, "/errorMessage", message.into()));
        assert_eq!(session.role_arn.as_deref(), Some("arn:aws:iam::444455556666:role/team/data"));
        assert_eq!(session.error.as_deref(), Some("AccessDenied"));
        assert_eq!((session.session_name, session.access_key_id), (None, None));
    }
}

#[test]
fn a_vpc_endpoint_is_kept_with_its_owner() {
    let record = |rest: &str| {
        format!(
            r#"{{"eventVersion":"1.11","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","eventID":"e","awsRegion":"eu-west-1","eventTime":"2026-11-20T09:00:00Z","recipientAccountId":"111122223333","sourceIPAddress":"10.0.0.1","userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/eve"}}{rest}}}"#
        )
    };
    let endpoint = |rest: &str| read_event(&record(rest)).unwrap().unwrap().vpc_endpoint;
    assert_eq!(endpoint(""), None);
    assert_eq!(endpoint(r#","vpcEndpointAccountId":"444455556666""#), None);
    let id = "vpce-0a1b2c3d".to_owned();
    assert_eq!(endpoint(r#","vpcEndpointId":"vpce-0a1b2c3d""#), Some(VpcEndpoint { id: id.clone(), account_id: None }));
    assert_eq!(
        endpoint(r#","vpcEndpointId":"vpce-0a1b2c3d","vpcEndpointAccountId":"444455556666""#),
        Some(VpcEndpoint { id, account_id: Some("444455556666".to_owned()) })
    );
}

#[test]
fn tags_come_from_lists_maps_and_from_the_callers_session() {
    let record =
        with(sts(), "/requestParameters/tags", serde_json::json!([{"key": "team", "value": "pay"}, {"key": "flag"}]));
    let record = with(record, "/requestParameters/incomingTransitiveTags", incoming());
    let session = session(&record);
    assert_eq!(session.tags.get("team").map(String::as_str), Some("pay"));
    assert_eq!(session.tags.get("flag").map(String::as_str), Some(""));
    assert_eq!(session.tags.get("kubernetes-namespace").map(String::as_str), Some("payments"));
    assert_eq!(session.cluster.as_deref(), Some("prod"));
    let agent = with(
        base("AssumeRoleForPodIdentity", "eks-auth.amazonaws.com"),
        "/requestParameters",
        serde_json::json!({"clusterName": "c1"}),
    );
    let agent = self::session(&with(agent, "/responseElements", serde_json::Value::Null));
    assert_eq!((agent.cluster.as_deref(), agent.role_arn), (Some("c1"), None));
}

#[test]
fn the_principal_is_what_people_know_the_caller_by() {
    let identities = [
        (serde_json::json!({"type": "AWSService", "invokedBy": PODS}), PODS),
        (
            serde_json::json!({"type": "WebIdentityUser", "principalId": "x", "userName": "system:serviceaccount:payments:api"}),
            "system:serviceaccount:payments:api",
        ),
        (serde_json::json!({"type": "AWSAccount", "principalId": "AROAX:s", "accountId": "111122223333"}), "AROAX:s"),
        (serde_json::json!({"type": "AWSAccount", "accountId": "111122223333"}), "111122223333"),
    ];
    for (identity, principal) in identities {
        assert_eq!(session(&with(sts(), "/userIdentity", identity)).principal, principal);
    }
}

#[test]
fn an_old_record_belongs_to_its_callers_account() {
    let mut record = sts();
    record.as_object_mut().unwrap().remove("recipientAccountId");
    assert_eq!(session(&record).account_id.to_string(), "111122223333");
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_wrapping_gives_the_same_records() {
    let (one, other) = (sts(), base("GetObject", "s3.amazonaws.com"));
    let lookup = serde_json::json!({"Events": [
        {"EventId": "e-1", "EventName": "AssumeRole", "EventTime": 1.5, "Resources": [{}], "CloudTrailEvent": one.to_string()},
        {"CloudTrailEvent": other.to_string(), "EventId": "e-2"},
    ], "NextToken": null});
    let records = serde_json::json!({"Records": [one, other]});
    let texts = [
        records.to_string(),
        serde_json::to_string_pretty(&records).unwrap(),
        format!("\u{feff}{records}"),
        serde_json::json!([one, other]).to_string(),
        serde_json::to_string_pretty(&serde_json::json!([one, other])).unwrap(),
        format!("{one}\n{other}\n"),
        format!("{one}\r\n\r\n{other}"),
        format!("{}\n{}", serde_json::json!({"Records": [one]}), serde_json::json!({"Records": [other]})),
        lookup.to_string(),
        serde_json::to_string_pretty(&lookup).unwrap(),
    ];
    for text in texts {
        for bytes in [text.as_bytes().to_vec(), gz(text.as_bytes())] {
            let read = read_file("f", &bytes);
            assert_eq!(read.problems, [], "{text}");
            assert_eq!((read.events, &*read.sessions), (2, &[session(&one)][..]), "{text}");
        }
    }
    assert_eq!(read_file("f", one.to_string().as_bytes()).sessions, [session(&one)]);
}

#[test]
fn a_malformed_record_is_named_and_the_others_are_kept() {
    let broken = [
        (with(sts(), "/eventTime", "yesterday".into()), "/Records/1/eventTime"),
        (with(sts(), "/awsRegion", 7.into()), "/Records/1/awsRegion"),
        (with(sts(), "/eventID", serde_json::Value::Null), "/Records/1/eventID"),
        (with(sts(), "/recipientAccountId", "12".into()), "/Records/1/recipientAccountId"),
        (with(sts(), "/recipientAccountId", 5.into()), "/Records/1/recipientAccountId"),
        (serde_json::json!({"hello": "world"}), "/Records/1/eventName"),
        (serde_json::json!("text"), "/Records/1"),
        (serde_json::json!([[]]), "/Records/1"),
        (serde_json::json!(null), "/Records/1"),
        (serde_json::json!({"CloudTrailEvent": "{"}), "/Records/1/CloudTrailEvent"),
    ];
    for (record, field) in broken {
        let read =
            read_file("trail.json", serde_json::json!({"Records": [sts(), record, sts()]}).to_string().as_bytes());
        assert_eq!((read.sessions.len(), read.events, read.malformed), (2, 2, 1), "{record}");
        let [problem] = &*read.problems else { panic!("one problem, not {:?}", read.problems) };
        assert_eq!((&*problem.field, problem.record, &*problem.file), (field, Some(1), "trail.json"));
        assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
        assert!(problem.to_string().starts_with(&format!("trail.json: {field}: ")), "{problem}");
    }
}

#[test]
fn fields_of_an_unexpected_type_spoil_nothing_that_does_not_need_them() {
    let mut record = sts();
    for pointer in ["/requestParameters", "/responseElements", "/resources", "/sourceIPAddress", "/userIdentity/arn"] {
        record = with(record, pointer, serde_json::json!([1, {"a": [true, -1, 1.5]}]));
    }
    let session = session(&record);
    assert_eq!((session.role_arn, session.source_ip), (None, None));
    assert_eq!(session.principal, "AROAPOD:s");
}

#[test]
fn a_broken_line_or_a_torn_file_loses_only_itself() {
    let lines = format!("{}\n{{\"eventName\": \n{}\n", sts(), sts());
    let read = read_file("l", lines.as_bytes());
    assert_eq!((read.sessions.len(), read.problems.len(), read.problems[0].line), (2, 1, Some(2)));

    let whole = serde_json::json!({"Records": [sts(), sts()]}).to_string();
    let torn = read_file("t", &whole.as_bytes()[..whole.len() - 20]);
    assert_eq!((torn.sessions.len(), torn.problems.len(), torn.problems[0].line), (1, 1, Some(1)));

    let zipped = gz(serde_json::Value::Array(vec![sts(); 300]).to_string().as_bytes());
    let read = read_file("z", &zipped[..zipped.len() - 12]);
    assert_eq!(read.problems.len(), 1);
    assert!(read.problems[0].message.contains("gzip"), "{:?}", read.problems);

    for junk in ["", "nonsense", "7", "\u{0}\u{1}"] {
        assert_eq!(read_file("j", junk.as_bytes()).problems.len(), 1, "{junk:?}");
    }
}

#[test]
fn a_file_that_grows_past_the_limit_is_read_up_to_it() {
    let text = serde_json::Value::Array(vec![sts(); 100]).to_string();
    let limit = u64::try_from(text.len()).unwrap();
    assert_eq!(read_bounded("b", &gz(text.as_bytes()), limit).sessions.len(), 100);
    let read = read_bounded("b", &gz(text.as_bytes()), limit - 1);
    assert_eq!((read.sessions.len(), read.problems.len()), (100, 1), "all but the closing bracket lies within");
    let read = read_bounded("b", &gz(text.as_bytes()), limit / 2);
    assert_eq!((read.sessions.len(), read.problems.len()), (50, 1));
    assert!(read.problems[0].message.contains("decompresses to more than"), "{:?}", read.problems);
}

#[test]
fn a_flood_of_problems_is_counted_but_not_all_named() {
    let read = read_file("f", serde_json::Value::Array(vec![1.into(); 1000]).to_string().as_bytes());
    assert_eq!((read.malformed, read.problems.len()), (1000, MAX_NAMED));
}

/// A folder of third-party records beside the workspace, where it is there.
fn reference_data(under: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(under);
    path.exists().then_some(path)
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// How many events a folder's files hold, and how many sessions of each kind; none has a problem.
fn sessions_below(root: &Path, skip: &[&str]) -> (usize, std::collections::BTreeMap<String, u64>) {
    let (mut paths, mut events, mut kinds) = (Vec::new(), 0, std::collections::BTreeMap::new());
    files(root, &mut paths);
    for path in paths.iter().filter(|path| !skip.iter().any(|name| path.ends_with(name))) {
        let read = read_file(&path.display().to_string(), &std::fs::read(path).unwrap());
        assert_eq!(read.problems, []);
        events += read.events;
        for session in read.sessions {
            assert!(session.session_name.is_some() || session.kind != SessionKind::PodIdentity);
            *kinds.entry(format!("{:?}", session.kind)).or_insert(0) += 1;
        }
    }
    (events, kinds)
}

#[test]
fn records_of_many_hands_are_read_without_loss() {
    let counted = |kinds: &[(&str, u64)]| kinds.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect();
    let own = std::env::temp_dir().join(format!("rolecall-cloudtrail-read-{}", std::process::id()));
    rolecall_sandbox::demo::estate("2026-11-23T06:00:00Z".parse().unwrap()).to_dir(&own).unwrap();
    let found = sessions_below(&own.join("trail"), &[]);
    std::fs::remove_dir_all(&own).unwrap();
    let kinds = [
        ("AgentRequest", 644),
        ("AssumeRole", 40),
        ("PodIdentity", 658),
        ("PodIdentityTarget", 56),
        ("Service", 84),
        ("WebIdentity", 84),
    ];
    assert_eq!(found, (1601, counted(&kinds)));

    if let Some(root) = reference_data("cloudtrail") {
        // These two hold API answers and names, not records.
        let found = sessions_below(&root, &["api-samples.json", "session-names.json"]);
        let kinds = [("AgentRequest", 1), ("AssumeRole", 12), ("PodIdentity", 1), ("Service", 1)];
        assert_eq!(found, (314, counted(&kinds)));
    }
    if let Some(root) = reference_data("estate-small/trail") {
        let kinds = [
            ("AgentRequest", 245),
            ("AssumeRole", 12),
            ("PodIdentity", 235),
            ("PodIdentityTarget", 95),
            ("Service", 137),
        ];
        assert_eq!(sessions_below(&root, &[]), (8058, counted(&kinds)));
    }
}

#[test]
fn a_beginning_tells_whether_records_follow() {
    use std::io::Write as _;
    let zip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let records = r#"{"Records":[{"eventVersion":"1.11"}]}"#;
    let padded = format!("{}{records}", " ".repeat(5_000));
    assert!(begins_as_records(records.as_bytes()) && begins_as_records(&zip(records)));
    let zipped = zip(&format!("{padded}{}", "x".repeat(100_000)));
    assert!(begins_as_records(&zipped[..zipped.len() - 9]), "the beginning of a larger file");
    assert!(begins_as_records(br#"{"Events":[{"CloudTrailEvent":"{}"}]}"#));
    for other in [&b"{\"RoleDetailList\":[]}"[..], b"", &zip("{}"), b"\x1f\x8b"] {
        assert!(!begins_as_records(other));
    }
}
