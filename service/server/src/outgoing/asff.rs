//! Findings in the AWS Security Finding Format, in batches for `securityhub:BatchImportFindings`:
//! <https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format-syntax.html>.
//!
//! Lengths: <https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFinding.html> and
//! <https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html>. Refuses to know
//! who sends the batches.

use super::Place;
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_audit::owner::Owner;
use rolecall_rules::{Severity, SubjectKind};
use rolecall_store::Finding;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The most findings of one request.
const MOST: usize = 100;
/// The most bytes of the findings of one request.
const LARGEST: usize = 240_000;
/// The most resources of a finding.
const RESOURCES: usize = 32;
/// Workloads that a finding names in its fields.
const WORKLOADS: usize = 10;
const TYPE: &str = "Software and Configuration Checks/AWS Security Best Practices";

/// Findings on their way into batches, each of one account and one Region: Security Hub takes findings of the account
/// that sends them only.
#[derive(Debug, Default)]
pub struct Batches(BTreeMap<(String, String), (Vec<Value>, usize)>);

impl Batches {
    /// Adds a finding, and gives the batch that is full by it.
    pub fn add(&mut self, finding: Value) -> Option<Value> {
        let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text("/AwsAccountId"), text("/Region"));
        let size = finding.to_string().len() + 1;
        let (batch, bytes) = self.0.entry(key).or_default();
        let full = batch.len() >= MOST || *bytes + size > LARGEST;
        let taken = full.then(|| {
            *bytes = 0;
            json!({ "Findings": std::mem::take(batch) })
        });
        batch.push(finding);
        *bytes += size;
        taken
    }

    /// The batches that are left.
    pub fn rest(self) -> impl Iterator<Item = Value> {
        self.0.into_values().map(|(batch, _)| json!({ "Findings": batch }))
    }
}

/// A finding, with every workload that reaches it.
#[must_use]
pub fn finding(found: &Finding, workloads: &[Workload], place: &Place<'_>) -> Value {
    let row = &found.row;
    let subject = &row.subject;
    let meta = place.meta(&row.rule);
    let title = meta.map_or(row.rule.as_str(), |meta| meta.title.as_str());
    let (account, partition) = (subject.account_id.to_string(), place.partition(subject));
    // IAM is global; its findings are kept in the Region in which it is administered.
    let home = match partition {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        _ => "us-east-1",
    };
    let region = subject.region.as_deref().unwrap_or(home);
    let label = match row.severity {
        Severity::Info => "INFORMATIONAL",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    };
    let workflow = match row.workflow {
        Workflow::Open => "NEW",
        Workflow::Acknowledged => "NOTIFIED",
        Workflow::Suppressed => "SUPPRESSED",
        Workflow::Resolved => "RESOLVED",
    };
    let compliance = match (row.workflow, row.detection) {
        (Workflow::Resolved, _) => "PASSED",
        (_, Detection::Stale) => "NOT_AVAILABLE",
        _ => "FAILED",
    };
    let url = place.url(row.number);
    let mut fields = Map::new();
    let named = workloads.iter().take(WORKLOADS).map(|it| it.association.to_string()).collect::<Vec<_>>().join(", ");
    for (name, value) in [
        ("rolecall/fingerprint", row.fingerprint.0.clone()),
        ("rolecall/number", row.number.to_string()),
        ("rolecall/category", meta.map(|meta| meta.category.clone()).unwrap_or_default()),
        ("rolecall/state", row.workflow.as_str().to_owned()),
        ("rolecall/assignee", row.assignee.clone().unwrap_or_default()),
        ("rolecall/owner", row.owner.as_ref().and_then(Owner::name).unwrap_or_default().to_owned()),
        ("rolecall/workload_count", row.workload_count.to_string()),
        ("rolecall/workloads", named),
    ] {
        if !value.is_empty() {
            fields.insert(name.to_owned(), cut(&value, 2_048).into());
        }
    }
    let mut resources = vec![resource(resource_type(subject.kind), &subject.key, partition, region, found)];
    for role in [&subject.role_arn, &subject.target_role_arn].into_iter().flatten() {
        if *role != subject.key {
            resources
                .push(json!({ "Type": "AwsIamRole", "Id": cut(role, 512), "Partition": partition, "Region": region }));
        }
    }
    resources.truncate(RESOURCES);
    let mut finding = json!({
        "SchemaVersion": "2018-10-08",
        "Id": cut(&row.fingerprint.0, 512),
        "ProductArn": format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default"),
        "ProductName": "Rolecall",
        "CompanyName": "Rolecall",
        "Region": region,
        "GeneratorId": cut(&row.rule, 512),
        "AwsAccountId": account,
        "Types": [TYPE],
        "FirstObservedAt": time(row.first_seen_at),
        "LastObservedAt": time(row.last_seen_at),
        "CreatedAt": time(row.opened_at),
        "UpdatedAt": time(row.updated_at),
        "Severity": { "Label": label, "Original": row.severity.as_str() },
        "Title": cut(title, 256),
        "Description": cut(&row.message, 1_024),
        "SourceUrl": url,
        "ProductFields": fields,
        "Resources": resources,
        "Compliance": { "Status": compliance },
        "Workflow": { "Status": workflow },
        "RecordState": if row.workflow == Workflow::Resolved { "ARCHIVED" } else { "ACTIVE" },
        "FindingProviderFields": { "Severity": { "Label": label, "Original": row.severity.as_str() }, "Types": [TYPE] },
    });
    let remediation = place.remediation(found);
    if let (false, Some(finding)) = (remediation.is_empty(), finding.as_object_mut()) {
        let recommendation = json!({ "Text": cut(&remediation, 512), "Url": url });
        finding.insert("Remediation".to_owned(), json!({ "Recommendation": recommendation }));
    }
    finding
}

fn resource(kind: &str, id: &str, partition: &str, region: &str, found: &Finding) -> Value {
    let subject = &found.row.subject;
    let mut details = Map::new();
    for (name, value) in [
        ("cluster", &subject.cluster),
        ("namespace", &subject.namespace),
        ("service_account", &subject.service_account),
    ] {
        if let Some(value) = value {
            details.insert(name.to_owned(), cut(value, 1_024).into());
        }
    }
    let mut resource = json!({ "Type": kind, "Id": cut(id, 512), "Partition": partition, "Region": region });
    if let (false, Some(resource)) = (details.is_empty(), resource.as_object_mut()) {
        resource.insert("Details".to_owned(), json!({ "Other": details }));
    }
    resource
}

/// The types of resources that Security Hub knows; `Other` for the rest.
fn resource_type(kind: SubjectKind) -> &'static str {
    match kind.as_str() {
        "role" => "AwsIamRole",
        "policy" => "AwsIamPolicy",
        "cluster" => "AwsEksCluster",
        "account" => "AwsAccount",
        _ => "Other",
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_of_one_account_and_keep_to_the_limits() {
        let mut batches = Batches::default();
        let mut full = Vec::new();
        for n in 0..250 {
            let account = if n % 2 == 0 { "111122223333" } else { "444455556666" };
            full.extend(batches.add(json!({"AwsAccountId": account, "Region": "eu-west-1", "n": n})));
        }
        for n in 0..20 {
            let long = "x".repeat(30_000);
            full.extend(
                batches.add(json!({"AwsAccountId": "777788889999", "Region": "eu-west-1", "n": n, "long": long})),
            );
        }
        full.extend(batches.rest());
        let mut count = 0;
        for batch in &full {
            let findings = batch["Findings"].as_array().unwrap();
            assert!(!findings.is_empty() && findings.len() <= MOST && batch.to_string().len() <= LARGEST + 16);
            assert!(findings.iter().all(|finding| finding["AwsAccountId"] == findings[0]["AwsAccountId"]));
            count += findings.len();
        }
        assert_eq!(count, 270);
    }
}
