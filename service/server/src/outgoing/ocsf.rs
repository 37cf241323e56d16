//! Findings as OCSF 1.8 events: <https://schema.ocsf.io/1.8.0>.
//!
//! What a role may do, and who may assume it, is an IAM Analysis Finding (class 2008) where the finding holds the
//! policies or the accessors that the class asks for; everything else is a Compliance Finding (class 2003). Refuses to
//! know where the events go.

use super::Place;
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::Workload;
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_audit::owner::Owner;
use rolecall_rules::{Evidence, Severity, SubjectKind};
use rolecall_store::Finding;
use serde_json::{Map, Value, json};

const VERSION: &str = "1.8.0";
/// Findings.
const CATEGORY: u32 = 2;
const IAM_ANALYSIS: u32 = 2008;
const COMPLIANCE: u32 = 2003;
/// The categories of rules on what a role may do, and who may assume it.
const ACCESS: [&str; 8] = [
    "abac",
    "blast-radius",
    "data-access",
    "least-privilege",
    "privilege",
    "privilege-escalation",
    "trust",
    "attribution",
];

/// A finding as an event, with every workload that reaches it.
#[must_use]
pub fn event(found: &Finding, workloads: &[Workload], place: &Place<'_>) -> Value {
    let row = &found.row;
    let meta = place.meta(&row.rule);
    let category = meta.map_or("", |meta| meta.category.as_str());
    let mut event = Map::new();
    let mut analysis = Map::new();
    if ACCESS.contains(&category) && row.subject.role_arn.is_some() {
        let results: Vec<Value> = found.evidence.iter().filter_map(permission_analysis).collect();
        let accessors: Vec<Value> = workloads.iter().map(accessor).collect();
        if !results.is_empty() {
            analysis.insert("permission_analysis_results".to_owned(), results.into());
        }
        if !accessors.is_empty() {
            analysis.insert("access_analysis_result".to_owned(), json!({ "accessors": accessors }));
        }
    }
    let class = if analysis.is_empty() { COMPLIANCE } else { IAM_ANALYSIS };
    let (activity, activity_name) = match (row.workflow, row.version) {
        (Workflow::Resolved, _) => (3, "Close"),
        (_, ..=1) => (1, "Create"),
        _ => (2, "Update"),
    };
    let (status, status_name) = match row.workflow {
        Workflow::Open => (1, "New"),
        Workflow::Acknowledged => (2, "In Progress"),
        Workflow::Suppressed => (3, "Suppressed"),
        Workflow::Resolved => (4, "Resolved"),
    };
    let (severity, severity_name) = severity(row.severity);
    let title = meta.map_or(row.rule.as_str(), |meta| meta.title.as_str());
    let url = place.url(row.number);
    let mut set = |name: &str, value: Value| {
        event.insert(name.to_owned(), value);
    };
    set("class_uid", class.into());
    set("class_name", (if class == COMPLIANCE { "Compliance Finding" } else { "IAM Analysis Finding" }).into());
    set("category_uid", CATEGORY.into());
    set("category_name", "Findings".into());
    set("activity_id", activity.into());
    set("activity_name", activity_name.into());
    set("type_uid", (class * 100 + activity).into());
    set("time", millis(row.updated_at));
    set("severity_id", severity.into());
    set("severity", severity_name.into());
    set("status_id", status.into());
    set("status", status_name.into());
    if let Some(detail) = row.resolution.clone().or_else(|| stale(row.detection)) {
        set("status_detail", detail.into());
    }
    set("message", row.message.as_str().into());
    set(
        "metadata",
        json!({
            "version": VERSION,
            "product": { "name": "Rolecall", "vendor_name": "Rolecall", "version": env!("CARGO_PKG_VERSION") },
            "profiles": ["cloud", "incident"],
            "uid": format!("{}:{}", row.fingerprint.0, row.version),
        }),
    );
    let partition = place.partition(&row.subject);
    let mut cloud = json!({
        "provider": "AWS",
        "account": { "uid": row.subject.account_id, "type": "AWS Account", "type_id": 10 },
        "cloud_partition": partition,
    });
    if let (Some(region), Some(cloud)) = (&row.subject.region, cloud.as_object_mut()) {
        cloud.insert("region".to_owned(), region.as_str().into());
    }
    set("cloud", cloud);
    set(
        "finding_info",
        json!({
            "uid": row.fingerprint.0,
            "uid_alt": row.number.to_string(),
            "title": title,
            "desc": meta.map_or(row.message.as_str(), |meta| meta.description.trim()),
            "types": [category],
            "analytic": { "uid": row.rule, "name": title, "type": "Rule", "type_id": 1, "category": category },
            "created_time": millis(row.opened_at),
            "first_seen_time": millis(row.first_seen_at),
            "last_seen_time": millis(row.last_seen_at),
            "modified_time": millis(row.updated_at),
            "src_url": url,
        }),
    );
    set("src_url", url.as_str().into());
    set("resources", resources(found, partition).into());
    if let Some(assignee) = &row.assignee {
        set("assignee", json!({ "name": assignee }));
    }
    let tickets =
        row.tickets.iter().filter_map(|ticket| Some(json!({ "uid": ticket.key.as_ref()?, "src_url": ticket.url })));
    let tickets: Vec<Value> = tickets.collect();
    if !tickets.is_empty() {
        set("tickets", tickets.into());
    }
    let text = place.remediation(found);
    if !text.is_empty() {
        let references = meta.map(|meta| meta.references.clone()).unwrap_or_default();
        set("remediation", json!({ "desc": text, "references": references }));
    }
    if class == COMPLIANCE {
        let (result, result_name) = match (row.workflow, row.detection) {
            (Workflow::Resolved, _) => (1, "Pass"),
            (_, Detection::Stale) => (0, "Unknown"),
            _ => (3, "Fail"),
        };
        let parameters: Vec<Value> = found
            .params
            .iter()
            .map(|(name, param)| json!({ "name": name, "value": param.value.to_string() }))
            .collect();
        set(
            "compliance",
            json!({
                "control": row.rule,
                "desc": title,
                "category": category,
                "status": result_name,
                "status_id": result,
                "control_parameters": parameters,
                "checks": [{
                    "uid": row.rule, "name": title, "status": result_name, "status_id": result,
                    "severity": severity_name, "severity_id": severity,
                }],
            }),
        );
    } else {
        // The class has no place for what to do.
        event.remove("remediation");
        let role = row.subject.role_arn.as_deref().unwrap_or_default();
        let name = role.rsplit('/').next().unwrap_or_default();
        event.insert("user".to_owned(), json!({ "uid": role, "name": name, "type": "Service", "type_id": 4 }));
        event.append(&mut analysis);
    }
    Value::Object(event)
}

/// A statement of a policy, as the result of its analysis. A fact that is no statement is none.
fn permission_analysis(evidence: &Evidence) -> Option<Value> {
    evidence.document?;
    let actions = evidence.value.get("Action").or_else(|| evidence.value.get("NotAction"));
    let actions: Vec<String> = match actions {
        Some(Value::String(action)) => vec![action.clone()],
        Some(Value::Array(actions)) => actions.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let granted = evidence.value.get("Action").is_some() && evidence.value.get("Effect") == Some(&json!("Allow"));
    let mut result = json!({
        "policy": { "name": evidence.source, "desc": evidence.label, "data": evidence.value, "is_applied": true },
    });
    if let (true, false, Some(result)) = (granted, actions.is_empty(), result.as_object_mut()) {
        result.insert("granted_privileges".to_owned(), actions.into());
    }
    Some(result)
}

fn accessor(workload: &Workload) -> Value {
    let key = &workload.association;
    let name = format!("{}/{}", key.namespace, key.service_account);
    json!({ "uid": key.to_string(), "name": name, "type": "Service", "type_id": 4 })
}

fn resources(found: &Finding, partition: &str) -> Vec<Value> {
    let subject = &found.row.subject;
    let mut resources = vec![json!({
        "uid": subject.key,
        "type": resource_type(subject.kind),
        "provider": "AWS",
        "cloud_partition": partition,
    })];
    if let (Some(owner), Some(first)) =
        (found.row.owner.as_ref().and_then(Owner::name), resources.first_mut().and_then(Value::as_object_mut))
    {
        first.insert("owner".to_owned(), json!({ "name": owner }));
    }
    for (name, value) in [("region", &subject.region), ("namespace", &subject.namespace)] {
        if let (Some(value), Some(first)) = (value, resources.first_mut().and_then(Value::as_object_mut)) {
            first.insert(name.to_owned(), value.as_str().into());
        }
    }
    for role in [&subject.role_arn, &subject.target_role_arn].into_iter().flatten() {
        if *role != subject.key {
            let kind = resource_type(SubjectKind::Role);
            resources.push(json!({ "uid": role, "type": kind, "provider": "AWS", "cloud_partition": partition }));
        }
    }
    resources
}

/// The type of a resource, as CloudFormation names it where it does.
pub(super) fn resource_type(kind: SubjectKind) -> &'static str {
    match kind.as_str() {
        "role" => "AWS::IAM::Role",
        "policy" => "AWS::IAM::ManagedPolicy",
        "association" => "AWS::EKS::PodIdentityAssociation",
        "cluster" => "AWS::EKS::Cluster",
        "account" => "AWS::::Account",
        "session" => "AWS::STS::AssumedRole",
        _ => "Other",
    }
}

fn stale(detection: Detection) -> Option<String> {
    (detection == Detection::Stale).then(|| "undetermined in the latest scan".to_owned())
}

fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

fn millis(at: DateTime<Utc>) -> Value {
    at.timestamp_millis().into()
}
