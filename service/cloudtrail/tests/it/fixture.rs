//! Records, associations and sessions as the tests make them.

use chrono::{DateTime, TimeDelta, Utc};
use rolecall_cloudtrail::{AggregatedBatch, EventAggregator, History, Limits, attribute_sessions};
use rolecall_estate::{
    Association, AssociationDetail, AssociationKey, AssociationSpan, Session, SessionAttribution, SessionKind,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;

pub(crate) const UUID: &str = "0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11";
pub(crate) const HOME: &str = "111122223333";
pub(crate) const AWAY: &str = "444455556666";

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn call(id: usize, account: &str, role: usize, key: usize, deed: usize, hour: u32, error: usize) -> Value {
    let (source, name, resource) = [
        ("s3.amazonaws.com", "GetObject", Some(format!("arn:aws:s3:::ledger/{id}"))),
        ("s3.amazonaws.com", "HeadObject", Some(format!("arn:aws:s3:::ledger/x/{id}"))),
        ("kms.amazonaws.com", "Decrypt", Some("arn:aws:kms:eu-west-1:111122223333:key/k".to_owned())),
        ("nobody.amazonaws.com", "KnowsThis", None),
    ][deed]
        .clone();
    let mut record = json!({
        "eventVersion": "1.11", "eventID": format!("e-{id}"), "eventName": name, "eventSource": source,
        "eventTime": format!("2026-11-{:02}T{:02}:20:04Z", 20 + hour / 24, hour % 24), "awsRegion": "eu-west-1",
        "recipientAccountId": account, "sourceIPAddress": format!("10.0.0.{}", id % 7), "eventCategory": "Data",
        "userIdentity": {
            "type": "AssumedRole", "accountId": account, "accessKeyId": format!("ASIA{key}"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/r{role}/s{key}"),
            "sessionContext": {"sessionIssuer": {"arn": format!("arn:aws:iam::{account}:role/team/r{role}")}},
        },
    });
    if let Some(resource) = resource {
        record["resources"] = json!([{"ARN": resource}]);
    }
    if let Some(code) = [None, Some("AccessDenied"), Some("NoSuchKey")][error] {
        record["errorCode"] = json!(code);
    }
    record
}

pub(crate) fn opening(id: usize, account: &str, role: usize, key: usize, hour: u32) -> Value {
    let mut record = call(id, account, role, key, 0, hour, 0);
    record["eventSource"] = json!("sts.amazonaws.com");
    record["eventName"] = json!("AssumeRole");
    record["requestParameters"] =
        json!({"roleArn": format!("arn:aws:iam::{account}:role/r{role}"), "roleSessionName": "hop"});
    record["responseElements"] =
        json!({"credentials": {"accessKeyId": format!("ASIANEW{id}"), "sessionToken": "SECRET"}});
    record
}

pub(crate) fn wrap(records: &[Value], how: usize) -> Vec<u8> {
    let text = match how % 4 {
        0 => json!({"Records": records}).to_string(),
        1 => serde_json::to_string_pretty(records).unwrap(),
        2 => records.iter().map(|record| format!("{record}\n")).collect(),
        _ => {
            let rows: Vec<Value> =
                records.iter().map(|record| json!({"CloudTrailEvent": record.to_string()})).collect();
            json!({"Events": rows}).to_string()
        }
    };
    if how < 4 {
        return text.into_bytes();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn settle(records: &[Value]) -> AggregatedBatch {
    let mut aggregator = EventAggregator::new(Limits { latest: Some(at("2026-11-23T00:00:00Z")), ..Limits::default() });
    aggregator.read("f", &wrap(records, 0));
    aggregator.finish_batch(&BTreeMap::new())
}

pub(crate) fn key(cluster: &str, service_account: &str) -> AssociationKey {
    AssociationKey {
        account_id: HOME.parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        cluster: cluster.parse().unwrap(),
        namespace: "payments".parse().unwrap(),
        service_account: service_account.parse().unwrap(),
    }
}

pub(crate) fn association(
    cluster: &str,
    service_account: &str,
    role: &str,
    target: Option<&str>,
    no_tags: bool,
) -> Association {
    Association {
        key: key(cluster, service_account),
        association_id: format!("a-{cluster}-{service_account}"),
        arn: String::new(),
        detail: Some(AssociationDetail {
            role_arn: format!("arn:aws:iam::{HOME}:role/{role}"),
            target_role_arn: target.map(|target| format!("arn:aws:iam::{AWAY}:role/{target}")),
            external_id: None,
            disable_session_tags: no_tags,
            policy: None,
            tags: BTreeMap::new(),
            created_at: Some(at("2026-11-01T00:00:00Z")),
            modified_at: Some(at("2026-11-01T00:00:00Z")),
            extra: BTreeMap::new(),
        }),
        owner_arn: None,
    }
}

pub(crate) fn seen(association: &Association) -> AssociationSpan {
    AssociationSpan::new(association, at("2026-11-22T00:00:00Z"), None)
}

pub(crate) fn session(n: usize, kind: SessionKind, role: &str, name: &str) -> Session {
    Session {
        event_id: format!("e-{n}"),
        account_id: HOME.parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        at: at("2026-11-20T09:00:00Z"),
        kind,
        role_arn: Some(format!("arn:aws:iam::{HOME}:role/{role}")),
        session_name: Some(name.to_owned()),
        access_key_id: Some(format!("ASIA{n}")),
        principal: "pods.eks.amazonaws.com".to_owned(),
        principal_type: "AWSService".to_owned(),
        parent_access_key_id: None,
        source_ip: None,
        tags: BTreeMap::new(),
        external_id: None,
        duration_seconds: None,
        vpc_endpoint: None,
        packed_policy_size: None,
        attribution: None,
        error: None,
        cluster: None,
    }
}

pub(crate) fn tagged(mut session: Session, cluster: &str, service_account: &str) -> Session {
    for (tag, value) in [
        ("eks-cluster-arn", format!("arn:aws:eks:eu-west-1:{HOME}:cluster/{cluster}")),
        ("eks-cluster-name", cluster.to_owned()),
        ("kubernetes-namespace", "payments".to_owned()),
        ("kubernetes-service-account", service_account.to_owned()),
        ("kubernetes-pod-name", "api-7d9f6c5b8-x2x9z".to_owned()),
    ] {
        session.tags.insert(tag.to_owned(), value);
    }
    session
}

pub(crate) fn child(n: usize, of: usize, role: &str) -> Session {
    Session {
        principal: format!("arn:aws:sts::{HOME}:assumed-role/api/x"),
        principal_type: "AssumedRole".to_owned(),
        parent_access_key_id: Some(format!("ASIA{of}")),
        at: at("2026-11-20T09:00:00Z") + TimeDelta::seconds(i64::try_from(n).unwrap()),
        ..session(n, SessionKind::AssumeRole, role, "hop")
    }
}

pub(crate) fn attribution(sessions: &[Session], associations: &[Association]) -> Vec<SessionAttribution> {
    attribute_sessions(sessions, &History::new(associations.iter().map(seen).collect()), &|_| None)
}

pub(crate) fn name(cluster: &str, pod: &str) -> String {
    rolecall_cloudtrail::session_name::pod_identity_name(cluster, pod, UUID)
}
