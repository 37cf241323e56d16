//! The events of real and generated trails map to actions.

use crate::shared;
use rolecall_iam::{EventActions, actions_of_event};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

fn text(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).unwrap();
    let name = path.to_string_lossy();
    if name.ends_with(".json.gz") {
        let size: [u8; 4] = bytes.last_chunk().copied().unwrap();
        let mut out = vec![0; usize::try_from(u32::from_le_bytes(size)).unwrap()];
        libdeflater::Decompressor::new().gzip_decompress(&bytes, &mut out).unwrap();
        return Some(String::from_utf8(out).unwrap());
    }
    name.ends_with(".json").then(|| String::from_utf8(bytes).unwrap())
}

/// Every pair of `eventSource` and `eventName` within a JSON value, also within texts that are JSON.
fn pairs(value: &Value, out: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(map) => {
            let field = |key: &str| map.get(key).and_then(Value::as_str);
            if let (Some(source), Some(name)) = (field("eventSource"), field("eventName")) {
                out.insert((source.to_owned(), name.to_owned()));
                return;
            }
            map.values().for_each(|value| pairs(value, out));
        }
        Value::Array(list) => list.iter().for_each(|value| pairs(value, out)),
        Value::String(text) if text.starts_with('{') && text.contains("eventSource") => {
            serde_json::from_str(text).iter().for_each(|value| pairs(value, out));
        }
        _ => {}
    }
}

/// Calls of everyday work, by the first part of their event source.
const CALLS: [(&str, &[&str]); 14] = [
    ("s3", &["GetObject", "PutObject", "DeleteObject", "ListBuckets", "GetBucketPolicy", "CreateMultipartUpload"]),
    ("sts", &["AssumeRole", "AssumeRoleWithWebIdentity"]),
    ("iam", &["CreateRole", "PutRolePolicy", "AttachRolePolicy", "GetRole", "CreatePolicyVersion"]),
    ("ec2", &["DescribeInstances", "RunInstances", "CreateNetworkInterface", "DescribeVpcs"]),
    ("eks", &["DescribeCluster", "CreatePodIdentityAssociation", "ListPodIdentityAssociations"]),
    ("kms", &["Decrypt", "GenerateDataKey", "Encrypt"]),
    ("secretsmanager", &["GetSecretValue", "DescribeSecret"]),
    ("ssm", &["GetParameter", "GetParametersByPath", "SendCommand"]),
    ("dynamodb", &["GetItem", "PutItem", "Query", "DescribeTable"]),
    ("sqs", &["SendMessage", "ReceiveMessage", "DeleteMessage"]),
    ("sns", &["Publish", "Subscribe"]),
    ("lambda", &["Invoke", "UpdateFunctionCode20150331v2", "GetFunction20150331v2"]),
    ("monitoring", &["PutMetricData", "GetMetricData"]),
    ("logs", &["CreateLogStream", "PutLogEvents"]),
];

#[test]
fn calls_of_everyday_work_map() {
    for (source, names) in CALLS {
        for name in names {
            let actions = actions_of_event(&format!("{source}.amazonaws.com"), name);
            assert_ne!(actions, EventActions::NotKnown, "{source} {name}");
        }
    }
    assert_eq!(actions_of_event("s3.amazonaws.com", "InventNothing"), EventActions::NotKnown);
    // And where they are there, trails of third parties.
    nearly_every_event_of_other_trails_maps();
}

fn nearly_every_event_of_other_trails_maps() {
    let (Some(trails), Some(estate)) = (shared("cloudtrail"), shared("estate-small")) else { return };
    let mut paths = Vec::new();
    files(&trails, &mut paths);
    files(&estate.join("trail"), &mut paths);
    let mut all = BTreeSet::new();
    for text in paths.iter().filter_map(|path| text(path)) {
        pairs(&serde_json::from_str(&text).unwrap(), &mut all);
    }
    assert!(all.len() > 150, "{} pairs", all.len());
    let mut missing = Vec::new();
    for (source, name) in &all {
        if actions_of_event(source, name) == EventActions::NotKnown {
            missing.push(format!("{source} {name}"));
        }
    }
    eprintln!("{} of {} pairs map; not known: {missing:?}", all.len() - missing.len(), all.len());
    assert!(missing.len() * 100 <= all.len() * 3, "{missing:?}");
}
