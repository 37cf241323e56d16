//! Findings in the formats of others: OCSF events and batches for Security Hub.
//!
//! What the formats demand is written here as facts of OCSF 1.8.0 and of the Security Hub API reference.

use crate::support::{Folder, Harness, run_beside};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// OCSF 1.8.0: what both classes require, of those profiles that the events name.
const REQUIRED: [&str; 9] = [
    "activity_id",
    "category_uid",
    "class_uid",
    "cloud",
    "finding_info",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
];
/// What each class has besides, of what the events may hold.
const COMMON: [&str; 14] = [
    "activity_name",
    "assignee",
    "category_name",
    "class_name",
    "message",
    "resources",
    "severity",
    "src_url",
    "status",
    "status_detail",
    "status_id",
    "tickets",
    "unmapped",
    "vendor_attributes",
];

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path} in {value}"))
}

fn is_ocsf(event: &Value) {
    let names: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(REQUIRED.iter().all(|name| names.contains(name)), "{event}");
    let class = event["class_uid"].as_u64().unwrap();
    let own: &[&str] = match class {
        2003 => &["compliance", "remediation"],
        2008 => &["access_analysis_result", "permission_analysis_results", "user"],
        other => panic!("class {other}"),
    };
    let known: BTreeSet<&str> = REQUIRED.into_iter().chain(COMMON).chain(own.iter().copied()).collect();
    assert!(names.is_subset(&known), "{:?}", names.difference(&known));
    match class {
        // The class requires one of its analyses.
        2008 => {
            assert!(names.contains("access_analysis_result") || names.contains("permission_analysis_results"));
            for result in event["permission_analysis_results"].as_array().into_iter().flatten() {
                assert!(result["policy"]["name"].is_string(), "{result}");
            }
            for accessor in
                event.pointer("/access_analysis_result/accessors").and_then(Value::as_array).into_iter().flatten()
            {
                assert!(accessor["uid"].is_string() && accessor["type_id"] == 4, "{accessor}");
            }
        }
        _ => assert!([0, 1, 3].map(Value::from).contains(&event["compliance"]["status_id"]), "{event}"),
    }
    let activity = event["activity_id"].as_u64().unwrap();
    assert!((1..=3).contains(&activity) && event["type_uid"] == class * 100 + activity && event["category_uid"] == 2);
    assert!((1..=5).contains(&event["severity_id"].as_u64().unwrap()));
    assert!((1..=4).contains(&event["status_id"].as_u64().unwrap()));
    assert!(event["time"].as_i64().unwrap() > 1_700_000_000_000, "milliseconds");
    assert_eq!((text(event, "/metadata/version"), text(event, "/cloud/provider")), ("1.8.0", "AWS"));
    assert_eq!(event["finding_info"]["analytic"]["type_id"], 1);
    for resource in event["resources"].as_array().unwrap() {
        assert!(resource["uid"].is_string(), "{resource}");
    }
}

fn is_asff(finding: &Value) {
    for (path, most) in [
        ("/SchemaVersion", 10),
        ("/Id", 512),
        ("/ProductArn", 2_048),
        ("/GeneratorId", 512),
        ("/AwsAccountId", 12),
        ("/CreatedAt", 24),
        ("/UpdatedAt", 24),
        ("/Title", 256),
        ("/Description", 1_024),
    ] {
        assert!((1..=most).contains(&text(finding, path).chars().count()), "{path}: {finding}");
    }
    let (account, region) = (text(finding, "/AwsAccountId"), text(finding, "/Region"));
    let arn = format!("arn:aws:securityhub:{region}:{account}:product/{account}/default");
    assert_eq!(text(finding, "/ProductArn"), arn);
    for (path, words) in [
        ("/Severity/Label", &["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"][..]),
        ("/Workflow/Status", &["NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"]),
        ("/RecordState", &["ACTIVE", "ARCHIVED"]),
        ("/Compliance/Status", &["PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"]),
    ] {
        assert!(words.contains(&text(finding, path)), "{path}: {finding}");
    }
    let resources = finding["Resources"].as_array().unwrap();
    assert!((1..=32).contains(&resources.len()));
    for resource in resources {
        assert!(
            (1..=512).contains(&text(resource, "/Id").chars().count()) && resource["Type"].is_string(),
            "{resource}"
        );
    }
    let fields = finding["ProductFields"].as_object().unwrap();
    assert!(fields.len() <= 50);
    assert!(fields.iter().all(|(key, value)| key.len() <= 128 && value.as_str().unwrap().chars().count() <= 2_048));
    if let Some(recommendation) = finding.pointer("/Remediation/Recommendation/Text") {
        assert!((1..=512).contains(&recommendation.as_str().unwrap().chars().count()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_told_in_the_formats_of_others_with_the_same_filters() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    harness.audit().await.unwrap();
    let folder = Folder::new();
    let export = |words: &[&str]| {
        let mut command = harness.rolecall(&folder);
        command.arg("export").args(words);
        run_beside(command)
    };
    let rows = lines(&export(&["findings"]).await.out);
    let rows: BTreeMap<&str, &Value> = rows.iter().map(|row| (text(row, "/fingerprint"), row)).collect();
    let events = lines(&export(&["findings", "--format", "ocsf"]).await.out);
    let told: BTreeSet<&str> = events.iter().map(|event| text(event, "/finding_info/uid")).collect();
    assert_eq!(told, rows.keys().copied().collect());
    let mut classes = BTreeSet::new();
    for event in &events {
        is_ocsf(event);
        classes.insert(event["class_uid"].as_u64().unwrap());
        let row = rows[text(event, "/finding_info/uid")];
        assert_eq!((&event["message"], &event["cloud"]["account"]["uid"]), (&row["message"], &row["account_id"]));
    }
    assert_eq!(classes, [2003, 2008].into());

    let batches = lines(&export(&["findings", "--format", "asff"]).await.out);
    let mut told = BTreeSet::new();
    for batch in &batches {
        let findings = batch["Findings"].as_array().unwrap();
        assert!((1..=100).contains(&findings.len()) && batch.to_string().len() <= 240_100);
        let of: BTreeSet<_> = findings.iter().map(|it| (text(it, "/AwsAccountId"), text(it, "/Region"))).collect();
        assert_eq!(of.len(), 1);
        findings.iter().for_each(is_asff);
        told.extend(findings.iter().map(|it| text(it, "/Id")));
    }
    assert_eq!(told, rows.keys().copied().collect());

    let grave = ["findings", "--severity", "critical", "--state", "open"];
    let wanted = lines(&export(&grave).await.out).len();
    let events = export(&[&grave[..], &["--format", "ocsf"]].concat()).await;
    assert!(wanted > 0 && wanted < rows.len());
    assert_eq!(lines(&events.out).len(), wanted);
    let refused = export(&["roles", "--format", "ocsf"]).await;
    refused.one_line(&["not one of ndjson, csv;"]);
}

#[test]
fn what_is_wrong_with_policy_files_is_told_as_sarif() {
    let folder = Folder::new();
    folder.write("policies/custom/broken.yaml", "id: broken\nseverity: dreadful\n");
    let words = ["--format", "sarif", "policies", "check", "--dir", "policies"];
    let ended = crate::support::run(crate::support::rolecall(folder.path()).args(words));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let log = ended.json();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let place = &result["locations"][0]["physicalLocation"];
        assert!(text(place, "/artifactLocation/uri").ends_with("custom/broken.yaml"), "{result}");
        assert!(place["region"]["startLine"].as_u64() >= Some(1) && place["region"]["startColumn"].as_u64() >= Some(1));
        assert!(!text(result, "/message/text").is_empty());
    }
    let sound =
        crate::support::run(crate::support::rolecall(folder.path()).args(["--format", "sarif", "policies", "check"]));
    assert_eq!((sound.code, &sound.json()["runs"][0]["results"]), (Some(0), &serde_json::json!([])));
}
