//! Changes that no scan shows: told from the calls between two scans, case by case.

use crate::small::{API, BOUND, HOME, REGION, Small, allow, id};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{Effect, ResourceType, Scans, changes};
use rolecall_audit::replay::{Between, EventChange, Replayed, ScanAfter, made, replay};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_cloudtrail::{EventAggregator, Limits};
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{AccessEntry, Addon, OidcProvider, OidcProviderDetail, TrailStatus};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const POLICY: &str = "arn:aws:iam::111122223333:policy/p";
const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;
const ALL_OF_S3: &str = r#""Action":"s3:*","Resource":"*""#;
const EVERYTHING: &str = r#""Action":"*","Resource":"*""#;

fn at(minute: u32) -> DateTime<Utc> {
    format!("2026-11-03T10:{minute:02}:00Z").parse().unwrap()
}

/// The event of a call made so many minutes after ten, as a trail has it: `e1` at the first minute.
fn record((minute, name, request): &(u32, &str, Value)) -> Value {
    let source = match *name {
        name if ["PodIdentity", "Cluster", "Addon", "Access"].iter().any(|part| name.contains(part)) => "eks",
        name if name.contains("OrganizationalUnit") => "organizations",
        "AttachPolicy" | "DetachPolicy" | "UpdatePolicy" | "MoveAccount" => "organizations",
        "StartLogging" | "StopLogging" | "PutEventSelectors" => "cloudtrail",
        _ => "iam",
    };
    let response = request.get("answer").cloned().unwrap_or(Value::Null);
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole", "arn": format!("arn:aws:sts::{HOME}:assumed-role/deployer/ana"), "accountId": HOME,
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": format!("arn:aws:iam::{HOME}:role/deployer")}},
        },
        "eventTime": at(*minute), "eventSource": format!("{source}.amazonaws.com"), "eventName": name,
        "awsRegion": if ["eks", "cloudtrail"].contains(&source) { REGION } else { "us-east-1" }, "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.17.0", "requestParameters": request, "responseElements": response,
        "eventID": format!("e{minute}"), "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true,
        "recipientAccountId": HOME, "eventCategory": "Management",
    })
}

fn events(calls: &[(u32, &str, Value)]) -> Vec<ChangeEvent> {
    let records: Vec<Value> = calls.iter().map(record).collect();
    let mut aggregator = EventAggregator::new(Limits::default());
    aggregator.read("a.json", json!({ "Records": records }).to_string().as_bytes());
    let batch = aggregator.finish_batch(&BTreeMap::new());
    assert_eq!(batch.problems, []);
    assert_eq!(batch.changes.len(), calls.len());
    batch.changes
}

/// Replays calls between a scan at ten and one an hour later, or none.
fn between(before: &Small, calls: &[(u32, &str, Value)], after: Option<&Small>) -> Replayed {
    let (hour, calls) = (at(59), events(calls));
    let scans = after.map(|after| Scans {
        before: &before.0,
        after: &after.0,
        listed_before: &before.0.coverage,
        listed_after: &after.0.coverage,
        roles_of: None,
        pair: "1-2",
    });
    let shown = scans.map(|scans| changes(&scans)).unwrap_or_default();
    replay(&Between {
        before: &before.0,
        after: after.map(|after| ScanAfter { estate: &after.0, begun_at: hour, at: hour }),
        calls: &calls,
        attributed: &BTreeSet::new(),
        made: &made(&shown),
    })
}

/// A row as `KIND EFFECT FROM-UNTIL`: by which event it began, and by which it ended.
fn told(changes: &[EventChange]) -> Vec<String> {
    let told = |it: &EventChange| {
        let until = match &it.ended {
            None => "now".to_owned(),
            Some(ended) => ended.by.clone().unwrap_or_else(|| format!("the scan of {}", ended.at.format("%H:%M"))),
        };
        format!("{} {} {}-{until}", it.change.change, it.change.effect.as_str(), it.call.event_id)
    };
    changes.iter().map(told).collect()
}

fn put(document: &str) -> Value {
    json!({"roleName": "api", "policyName": "own", "policyDocument": allow(document)})
}

fn of_api(more: &Value) -> Value {
    let mut request = json!({"roleName": "api"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

type Case<'a> = (&'a str, Small, Vec<(u32, &'a str, Value)>, Option<Small>, Vec<&'a str>);

#[test]
fn what_no_scan_shows_is_told_from_its_calls() {
    let small = Small::new();
    let managed = small.clone().managed(POLICY, &allow(EVERYTHING));
    let bounded = small.clone().managed(POLICY, &allow(r#""Action":"ec2:*","Resource":"*""#)).boundary(POLICY);
    let policy = |arn: &str| json!({"roleName": "api", "policyArn": arn});
    let open = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]},
        {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":"sts:AssumeRole"}]}"#;
    let trust = |text: &str| json!({"roleName": "api", "policyDocument": text});
    let version =
        |document: &str| json!({"policyArn": POLICY, "policyDocument": allow(document), "setAsDefault": true});
    let attached = small.clone().managed(POLICY, &allow(READ)).attach(POLICY);
    let association = |name: &str, more: Value| {
        let mut request = json!({"name": "prod", "associationId": "a-pay-api"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = json!({"association": {"associationId": request["associationId"], "namespace": "pay", "serviceAccount": name}});
        request["answer"] = answer;
        request
    };
    let admin = format!("arn:aws:iam::{HOME}:role/admin");
    let with_admin = small.clone().role(&admin, BOUND, &[("all", &allow(EVERYTHING))]);
    let refuse = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;
    let guarded = small.clone().scp("guard", refuse, &["ou-1"]);
    let guard = json!({"policyId": "p-guard", "targetId": "ou-1"});
    let cut = json!({"roleName": "api", "policyName": "own", "policyDocument": "{\"Version\":"});
    let mut without = attached.clone();
    without.0.roles.clear();
    let logging = |is_logging: bool| {
        let mut small = small.clone();
        small.0.trails[0].status = Some(TrailStatus { is_logging, started_at: None, stopped_at: None });
        small
    };
    let trail = json!({"name": "all"});
    let selectors = |of: &str, buckets: &[&str]| {
        json!({"trailName": "all", "eventSelectors": [{"readWriteType": of, "includeManagementEvents": true,
            "dataResources": [{"type": "AWS::S3::Object", "values": buckets}], "excludeManagementEventSources": []}]})
    };
    let new_unit = |id: &str, name: &str| {
        let arn = format!("arn:aws:organizations::{HOME}:ou/o-1/{id}");
        json!({"name": name, "parentId": "r-1", "answer": {"organizationalUnit": {"arn": arn, "id": id, "name": name}}})
    };
    let mut far_unit = new_unit("ou-9", "far");
    far_unit["parentId"] = json!("ou-77");
    let mut unread = small.clone();
    unread.0.trails[0].recorded = None;
    let mut configured = small.clone();
    (configured.0.clusters[0].version, configured.0.clusters[0].auto_mode) = (Some("1.33".to_owned()), Some(false));
    let stop_and_start = vec![(1, "StopLogging", trail.clone()), (7, "StartLogging", trail.clone())];
    let principal = format!("arn:aws:iam::{HOME}:role/ops");
    let entry = |more: Value| {
        let mut request = json!({"name": "prod", "principalArn": principal});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let admin_policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";
    let member = AccessEntry {
        principal_arn: principal.clone(),
        groups: Vec::new(),
        kind: Some("STANDARD".to_owned()),
        policies: Vec::new(),
    };
    let mut entered = small.clone();
    entered.0.clusters[0].access_entries = Some(Vec::new());
    let mut small_agent = small.clone();
    small_agent.0.clusters[0].addons =
        Some(vec![Addon { version: Some("v1".to_owned()), ..Addon::new("eks-pod-identity-agent".to_owned()) }]);
    small_agent.0.clusters[0].auto_mode = Some(false);
    let agent = small_agent;
    let gitlab = format!("arn:aws:iam::{HOME}:oidc-provider/gitlab.com");
    let trust_gitlab =
        allow(&format!(r#""Principal":{{"Federated":"{gitlab}"}},"Action":"sts:AssumeRoleWithWebIdentity""#));
    let web = small.clone().role(&format!("arn:aws:iam::{HOME}:role/ci"), &trust_gitlab, &[]);
    let mut provided = web.clone();
    provided.0.oidc_providers.push(OidcProvider {
        arn: gitlab.parse().unwrap(),
        detail: Some(OidcProviderDetail {
            client_ids: BTreeSet::from(["x".to_owned()]),
            thumbprints: BTreeSet::new(),
            tags: BTreeMap::new(),
        }),
    });
    let placed = guarded.clone();
    let cases: Vec<Case<'_>> = vec![
        (
            "a trail that was stopped for six minutes",
            logging(true),
            stop_and_start.clone(),
            Some(logging(true)),
            vec!["logging_stopped none e1-e7"],
        ),
        (
            "a trail that is stopped, as the scan shows",
            logging(true),
            vec![(1, "StopLogging", trail.clone())],
            Some(logging(false)),
            vec![],
        ),
        (
            "a trail that was stopped already",
            logging(false),
            vec![(1, "StopLogging", trail.clone())],
            Some(logging(false)),
            vec![],
        ),
        (
            "a trail that is stopped, before any scan shows it",
            logging(true),
            vec![(1, "StopLogging", trail.clone())],
            None,
            vec!["logging_stopped none e1-now"],
        ),
        (
            "a trail of which nobody knew whether it was logging",
            small.clone(),
            stop_and_start,
            None,
            vec!["logging_stopped unknown e1-e7", "logging_started unknown e7-now"],
        ),
        (
            "made and undone",
            small.clone(),
            vec![(1, "PutRolePolicy", put(ALL_OF_S3)), (7, "PutRolePolicy", put(READ))],
            Some(small.clone()),
            vec!["inline_policy_changed widened e1-e7"],
        ),
        (
            "what a scan shows is its change",
            small.clone(),
            vec![(1, "PutRolePolicy", put(ALL_OF_S3))],
            Some(small.clone().may(&allow(ALL_OF_S3))),
            vec![],
        ),
        (
            "of several states, the one in between",
            small.clone(),
            vec![(1, "PutRolePolicy", put(EVERYTHING)), (7, "PutRolePolicy", put(ALL_OF_S3))],
            Some(small.clone().may(&allow(ALL_OF_S3))),
            vec!["inline_policy_changed widened e1-e7"],
        ),
        (
            "twice there and back",
            small.clone(),
            vec![
                (1, "PutRolePolicy", put(ALL_OF_S3)),
                (2, "PutRolePolicy", put(READ)),
                (3, "PutRolePolicy", put(ALL_OF_S3)),
                (4, "PutRolePolicy", put(READ)),
            ],
            Some(small.clone()),
            vec!["inline_policy_changed widened e1-e2", "inline_policy_changed widened e3-e4"],
        ),
        (
            "the same document again is nothing",
            small.clone(),
            vec![(1, "PutRolePolicy", put(READ)), (7, "PutRolePolicy", put(READ))],
            Some(small.clone()),
            vec![],
        ),
        (
            "no scan yet",
            small.clone(),
            vec![(1, "PutRolePolicy", put(ALL_OF_S3))],
            None,
            vec!["inline_policy_changed widened e1-now"],
        ),
        (
            "undone by nobody who is known",
            small.clone(),
            vec![(1, "PutRolePolicy", put(ALL_OF_S3))],
            Some(small.clone()),
            vec!["inline_policy_changed widened e1-the scan of 10:59"],
        ),
        (
            "an attached policy",
            managed.clone(),
            vec![(1, "AttachRolePolicy", policy(POLICY)), (7, "DetachRolePolicy", policy(POLICY))],
            Some(managed.clone()),
            vec!["policy_attached widened e1-e7"],
        ),
        (
            "a detached policy",
            attached.clone(),
            vec![(1, "DetachRolePolicy", policy(POLICY)), (7, "AttachRolePolicy", policy(POLICY))],
            Some(attached.clone()),
            vec!["policy_detached none e1-e7"],
        ),
        (
            "a policy that a role had for minutes",
            small.clone(),
            vec![
                (
                    1,
                    "PutRolePolicy",
                    json!({"roleName": "api", "policyName": "x", "policyDocument": allow(EVERYTHING)}),
                ),
                (7, "DeleteRolePolicy", json!({"roleName": "api", "policyName": "x"})),
            ],
            Some(small.clone()),
            vec!["inline_policy_added widened e1-e7"],
        ),
        (
            "a boundary that is away",
            bounded.clone(),
            vec![
                (1, "DeleteRolePermissionsBoundary", of_api(&json!({}))),
                (7, "PutRolePermissionsBoundary", of_api(&json!({"permissionsBoundary": POLICY}))),
            ],
            Some(bounded.clone()),
            vec!["permissions_boundary_removed widened e1-e7"],
        ),
        (
            // Each was over before the other began.
            "a boundary away, then a grant that it holds back",
            small
                .clone()
                .may(&allow(r#""Action":"ec2:RunInstances","Resource":"*""#))
                .managed(POLICY, &allow(r#""Action":"ec2:*","Resource":"*""#))
                .boundary(POLICY),
            vec![
                (1, "DeleteRolePermissionsBoundary", of_api(&json!({}))),
                (2, "PutRolePermissionsBoundary", of_api(&json!({"permissionsBoundary": POLICY}))),
                (3, "PutRolePolicy", json!({"roleName": "api", "policyName": "x", "policyDocument": allow(ALL_OF_S3)})),
                (4, "DeleteRolePolicy", json!({"roleName": "api", "policyName": "x"})),
            ],
            None,
            vec!["permissions_boundary_removed none e1-e2", "inline_policy_added none e3-e4"],
        ),
        (
            "a trust policy",
            small.clone(),
            vec![(1, "UpdateAssumeRolePolicy", trust(open)), (7, "UpdateAssumeRolePolicy", trust(BOUND))],
            Some(small.clone()),
            vec!["trust_policy_changed widened e1-e7"],
        ),
        (
            "a version, and the one before again",
            attached.clone(),
            vec![
                (1, "CreatePolicyVersion", version(ALL_OF_S3)),
                (7, "SetDefaultPolicyVersion", json!({"policyArn": POLICY, "versionId": "v1"})),
            ],
            Some(attached.clone()),
            vec!["default_version_changed widened e1-e7"],
        ),
        (
            "a version that nobody saw",
            attached.clone(),
            vec![
                (1, "SetDefaultPolicyVersion", json!({"policyArn": POLICY, "versionId": "v0"})),
                (7, "CreatePolicyVersion", version(ALL_OF_S3)),
                (9, "SetDefaultPolicyVersion", json!({"policyArn": POLICY, "versionId": "v1"})),
            ],
            Some(attached.clone()),
            vec!["default_version_changed unknown e1-e7", "default_version_changed widened e7-e9"],
        ),
        (
            "a version that is not the default version",
            attached.clone(),
            vec![(1, "CreatePolicyVersion", json!({"policyArn": POLICY, "policyDocument": allow(EVERYTHING)}))],
            None,
            vec![],
        ),
        (
            "an association's role",
            with_admin.clone(),
            vec![
                (1, "UpdatePodIdentityAssociation", association("api", json!({"roleArn": admin}))),
                (7, "UpdatePodIdentityAssociation", association("api", json!({"roleArn": API}))),
            ],
            Some(with_admin.clone()),
            vec!["role_changed widened e1-e7"],
        ),
        (
            "an association that was there for minutes",
            with_admin.clone(),
            vec![
                (
                    1,
                    "CreatePodIdentityAssociation",
                    association(
                        "job",
                        json!({"namespace": "pay", "serviceAccount": "job", "roleArn": admin, "associationId": "a-9"}),
                    ),
                ),
                (7, "DeletePodIdentityAssociation", association("job", json!({"associationId": "a-9"}))),
            ],
            Some(with_admin.clone()),
            vec!["added widened e1-e7"],
        ),
        (
            "an SCP that was away",
            guarded.clone(),
            vec![(1, "DetachPolicy", guard.clone()), (7, "AttachPolicy", guard.clone())],
            Some(guarded.clone()),
            vec!["detached_from_target widened e1-e7"],
        ),
        (
            "a policy of another kind of the organization",
            guarded.clone(),
            vec![(1, "UpdatePolicy", json!({"policyId": "p-tags", "content": "{}"}))],
            None,
            vec![],
        ),
        (
            "a role that was there for minutes",
            small.clone(),
            vec![
                (1, "CreateRole", json!({"roleName": "x", "path": "/", "assumeRolePolicyDocument": open})),
                (2, "PutRolePolicy", json!({"roleName": "x", "policyName": "p", "policyDocument": allow(EVERYTHING)})),
                (6, "DeleteRolePolicy", json!({"roleName": "x", "policyName": "p"})),
                (7, "DeleteRole", json!({"roleName": "x"})),
            ],
            Some(small.clone()),
            vec!["added none e1-e7", "inline_policy_added widened e2-e6"],
        ),
        (
            "what is taken from a role before it is deleted",
            attached.clone(),
            vec![
                (5, "DetachRolePolicy", policy(POLICY)),
                (6, "DeleteRolePolicy", json!({"roleName": "api", "policyName": "own"})),
                (7, "DeleteRole", json!({"roleName": "api"})),
            ],
            Some(without),
            vec![],
        ),
        (
            "a document that the event does not have",
            small.clone(),
            vec![(1, "PutRolePolicy", cut), (7, "PutRolePolicy", put(ALL_OF_S3)), (9, "PutRolePolicy", put(READ))],
            Some(small.clone()),
            vec!["inline_policy_changed unknown e1-e7", "inline_policy_changed widened e7-e9"],
        ),
        (
            "a role that nobody saw",
            small.clone().gap(ScopeKind::Roles),
            vec![(1, "PutRolePolicy", json!({"roleName": "y", "policyName": "x", "policyDocument": allow(READ)}))],
            None,
            vec!["inline_policy_changed unknown e1-now"],
        ),
        (
            "tags",
            small.clone(),
            vec![
                (1, "TagRole", of_api(&json!({"tags": [{"key": "team", "value": "pay"}]}))),
                (7, "UntagRole", of_api(&json!({"tagKeys": ["team"]}))),
            ],
            Some(small.clone()),
            vec!["tags_changed none e1-e7"],
        ),
        (
            "entry to the cluster for seven minutes",
            entered.clone(),
            vec![
                (1, "CreateAccessEntry", entry(json!({}))),
                (
                    2,
                    "AssociateAccessPolicy",
                    entry(json!({"policyArn": admin_policy, "accessScope": {"type": "cluster"}})),
                ),
                (8, "DeleteAccessEntry", entry(json!({}))),
            ],
            Some(entered.clone()),
            vec!["added widened e1-e8", "changed widened e2-e8"],
        ),
        (
            "an access policy of an entry that is there",
            {
                let mut there = entered.clone();
                there.0.clusters[0].access_entries = Some(vec![member.clone()]);
                there
            },
            vec![
                (
                    1,
                    "AssociateAccessPolicy",
                    entry(
                        json!({"policyArn": admin_policy, "accessScope": {"type": "namespace", "namespaces": ["pay"]}}),
                    ),
                ),
                (3, "UpdateAccessEntry", entry(json!({"kubernetesGroups": ["masters"]}))),
                (8, "DisassociateAccessPolicy", entry(json!({"policyArn": admin_policy}))),
                (9, "UpdateAccessEntry", entry(json!({"kubernetesGroups": []}))),
            ],
            Some({
                let mut there = entered.clone();
                there.0.clusters[0].access_entries = Some(vec![member.clone()]);
                there
            }),
            vec!["changed widened e1-e3", "changed widened e3-e8", "changed narrowed e8-e9"],
        ),
        (
            "entries that were not looked at",
            {
                let mut unseen = small.clone();
                unseen.0.clusters[0].access_entries = None;
                unseen
            },
            vec![(1, "CreateAccessEntry", entry(json!({}))), (8, "DeleteAccessEntry", entry(json!({})))],
            None,
            vec!["added unknown e1-e8", "removed unknown e8-now"],
        ),
        (
            "an identity provider for six minutes",
            web.clone(),
            vec![
                (
                    1,
                    "CreateOpenIDConnectProvider",
                    json!({"url": "https://gitlab.com", "clientIDList": ["x"], "thumbprintList": ["ab"]}),
                ),
                (7, "DeleteOpenIDConnectProvider", json!({"openIDConnectProviderArn": gitlab})),
            ],
            Some(web.clone()),
            vec!["added widened e1-e7"],
        ),
        (
            "a client id for six minutes",
            provided.clone(),
            vec![
                (1, "AddClientIDToOpenIDConnectProvider", json!({"openIDConnectProviderArn": gitlab, "clientID": "y"})),
                (
                    7,
                    "RemoveClientIDFromOpenIDConnectProvider",
                    json!({"openIDConnectProviderArn": gitlab, "clientID": "y"}),
                ),
            ],
            Some(provided.clone()),
            vec!["client_id_added widened e1-e7"],
        ),
        (
            "the agent was away",
            agent.clone(),
            vec![
                (1, "DeleteAddon", json!({"name": "prod", "addonName": "eks-pod-identity-agent"})),
                (
                    7,
                    "CreateAddon",
                    json!({"name": "prod", "addonName": "eks-pod-identity-agent", "addonVersion": "v1"}),
                ),
            ],
            Some(agent.clone()),
            vec!["removed narrowed e1-e7"],
        ),
        (
            "a cluster for an hour",
            small.clone(),
            vec![(1, "CreateCluster", json!({"name": "pop-up"})), (50, "DeleteCluster", json!({"name": "pop-up"}))],
            Some(small.clone()),
            vec!["added none e1-e50"],
        ),
        (
            "an account out of the unit that guards it, and back",
            placed.clone(),
            vec![
                (1, "MoveAccount", json!({"accountId": HOME, "sourceParentId": "ou-1", "destinationParentId": "r-1"})),
                (7, "MoveAccount", json!({"accountId": HOME, "sourceParentId": "r-1", "destinationParentId": "ou-1"})),
            ],
            Some(placed.clone()),
            vec!["moved widened e1-e7"],
        ),
        (
            "an account in a new unit for six minutes",
            placed.clone(),
            vec![
                (1, "CreateOrganizationalUnit", new_unit("ou-9", "sandbox")),
                (2, "MoveAccount", json!({"accountId": HOME, "sourceParentId": "ou-1", "destinationParentId": "ou-9"})),
                (7, "MoveAccount", json!({"accountId": HOME, "sourceParentId": "ou-9", "destinationParentId": "ou-1"})),
                (8, "DeleteOrganizationalUnit", json!({"organizationalUnitId": "ou-9"})),
            ],
            Some(placed.clone()),
            vec!["added none e1-e8", "moved widened e2-e7"],
        ),
        (
            "a unit had another name",
            placed.clone(),
            vec![
                (1, "UpdateOrganizationalUnit", json!({"organizationalUnitId": "ou-1", "name": "live"})),
                (7, "UpdateOrganizationalUnit", json!({"organizationalUnitId": "ou-1", "name": "prod"})),
            ],
            Some(placed.clone()),
            vec!["renamed none e1-e7"],
        ),
        (
            "a unit of a parent that nobody knows",
            placed.clone(),
            vec![(1, "CreateOrganizationalUnit", far_unit)],
            None,
            vec!["added unknown e1-now"],
        ),
        (
            "a trail recorded changes alone for six minutes",
            logging(true),
            vec![
                (1, "PutEventSelectors", selectors("WriteOnly", &["arn:aws:s3"])),
                (7, "PutEventSelectors", selectors("All", &["arn:aws:s3"])),
            ],
            Some(logging(true)),
            vec!["event_selectors_changed none e1-e7"],
        ),
        (
            "a trail recorded no data events, by advanced selectors",
            small.clone(),
            vec![(
                1,
                "PutEventSelectors",
                json!({"trailName": "all", "advancedEventSelectors": [{"name": "m", "fieldSelectors": [
                    {"field": "eventCategory", "equals": ["Management"]}]}]}),
            )],
            None,
            vec!["event_selectors_changed none e1-now"],
        ),
        (
            "selectors that cannot be read",
            small.clone(),
            vec![(1, "PutEventSelectors", json!({"trailName": "all", "eventSelectors": [{"readWriteType": 7}]}))],
            None,
            vec!["event_selectors_changed unknown e1-now"],
        ),
        (
            "what a trail recorded was not seen",
            unread.clone(),
            vec![(1, "PutEventSelectors", selectors("All", &[]))],
            None,
            vec!["event_selectors_changed unknown e1-now"],
        ),
        (
            "auto mode for six minutes, and a new version",
            configured.clone(),
            vec![
                (1, "UpdateClusterConfig", json!({"name": "prod", "computeConfig": {"enabled": true}})),
                (3, "UpdateClusterConfig", json!({"name": "prod", "logging": {"clusterLogging": []}})),
                (5, "UpdateClusterVersion", json!({"name": "prod", "version": "1.34"})),
                (7, "UpdateClusterConfig", json!({"name": "prod", "computeConfig": {"enabled": false}})),
            ],
            None,
            vec!["field_changed none e1-e7", "field_changed none e5-now"],
        ),
        (
            "an authentication mode that was not seen before",
            small.clone(),
            vec![(1, "UpdateClusterConfig", json!({"name": "prod", "accessConfig": {"authenticationMode": "API"}}))],
            None,
            vec!["field_changed unknown e1-now"],
        ),
    ];
    for (name, before, calls, after, expected) in cases {
        let found = between(&before, &calls, after.as_ref());
        assert_eq!(told(&found.changes), expected, "{name}: {:#?}", found.changes);
        assert_eq!(found.open, [], "{name}");
        for it in &found.changes {
            let unknown = it.change.effect == Effect::Unknown;
            assert!(!unknown || !it.change.because.is_empty(), "{name}");
            assert!(it.attributed().calls[0].request.is_null(), "{name}");
        }
    }
}

#[test]
fn what_a_role_of_a_new_name_has_is_part_of_it() {
    let fresh = format!("arn:aws:iam::{HOME}:role/ci/fresh");
    let after = Small::new().role(&fresh, BOUND, &[("own", &allow(READ))]);
    let create = json!({"roleName": "fresh", "path": "/ci/", "assumeRolePolicyDocument": BOUND});
    let own = |document: &str| json!({"roleName": "fresh", "policyName": "own", "policyDocument": allow(document)});
    let calls = [(1, "CreateRole", create), (2, "PutRolePolicy", own(ALL_OF_S3)), (3, "PutRolePolicy", own(READ))];
    assert_eq!(told(&between(&Small::new(), &calls, Some(&after)).changes), [""; 0]);
    // Before a scan shows it, each call is told.
    let found = between(&Small::new(), &calls, None);
    let expected = ["added none e1-now", "inline_policy_added widened e2-e3", "inline_policy_changed narrowed e3-now"];
    assert_eq!(told(&found.changes), expected);
    assert!(found.changes.iter().all(|it| it.change.resource.name == fresh), "{found:#?}");
}

#[test]
fn a_row_says_who_gained_what_from_when_to_when() {
    let small = Small::new();
    let calls = [(1, "PutRolePolicy", put(EVERYTHING)), (7, "PutRolePolicy", put(READ))];
    let found = between(&small, &calls, Some(&small)).changes;
    let [row] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(row.change.resource.kind, ResourceType::Role);
    assert_eq!((row.change.account_id, row.change.part.as_deref()), (id(HOME), Some("own")));
    assert_eq!(row.change.administrator, Some(true));
    assert_eq!(row.change.affected.len(), 1, "{row:#?}");
    assert_eq!(row.call.event_time, at(1));
    assert_eq!(row.ended.as_ref().map(|it| (it.at, it.by.as_deref())), Some((at(7), Some("e7"))));
    assert_eq!(row.attributed().actor(), Some("arn:aws:iam::111122223333:role/deployer"));
    assert_eq!(row.documents.len(), 2);
    // The same calls give the same row, whatever else is known by then.
    let pending = between(&small, &calls[..1], None).changes;
    assert_eq!(pending[0].change.id, row.change.id);
}

#[test]
fn what_a_scan_cannot_tell_goes_on_to_the_next() {
    let small = Small::new();
    let put = [(1, "PutRolePolicy", put(ALL_OF_S3))];
    let gone = between(&small, &put, Some(&small.clone().gap(ScopeKind::Roles)));
    assert_eq!((told(&gone.changes), gone.open.len()), (vec![], 1), "roles were not listed");
    // The scan began to read while the call was made.
    let late = [(58, "PutRolePolicy", put[0].2.clone())];
    let late = between(&small, &late, Some(&small));
    assert_eq!((told(&late.changes), late.open.len()), (vec![], 1));
}

#[test]
fn what_a_change_of_scans_is_attributed_to_is_not_told_again() {
    let small = Small::new();
    let calls = events(&[(1, "PutRolePolicy", put(EVERYTHING)), (7, "PutRolePolicy", put(READ))]);
    let replayed = |attributed: &[&str]| {
        let attributed = attributed.iter().map(|it| (*it).to_owned()).collect();
        let made = BTreeSet::new();
        replay(&Between { before: &small.0, after: None, calls: &calls, attributed: &attributed, made: &made })
    };
    assert_eq!(told(&replayed(&["e1", "e7"]).changes), [""; 0]);
    assert_eq!(told(&replayed(&["e7"]).changes), ["inline_policy_changed widened e1-e7"]);
    let failed: Vec<ChangeEvent> =
        calls.iter().map(|call| ChangeEvent { error_code: Some("AccessDenied".into()), ..call.clone() }).collect();
    let (attributed, made) = (BTreeSet::new(), BTreeSet::new());
    let found =
        replay(&Between { before: &small.0, after: None, calls: &failed, attributed: &attributed, made: &made });
    assert_eq!(told(&found.changes), [""; 0], "an attempt changes nothing");
}
