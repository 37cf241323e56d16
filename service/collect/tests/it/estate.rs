//! A small organisation with one of everything, and how it is looked at.
//!
//! `111111111111` is the hub and the management account, `222222222222` holds the workloads,
//! `333333333333` is suspended.

use chrono::{DateTime, TimeDelta, Utc};
use rolecall_collect::{CannotStart, Hub, Plan, Settings, Summary, collect};
use rolecall_estate::Observation;
use rolecall_estate::coverage::{GapReason, Scope};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_sandbox::estate::{Account, Cluster, Event, Member, OrgPolicy, Organization, Region as Place, Unit};
use rolecall_sandbox::{Estate, Faults, HUB_ACCESS_KEY, Options, Sandbox};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const HUB: &str = "111111111111";
pub(crate) const WORK: &str = "222222222222";
pub(crate) const SUSPENDED: &str = "333333333333";

pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn trust() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"],
    }]})
}

pub(crate) fn role(account: &str, path: &str, name: &str) -> Value {
    json!({
        "Path": path, "RoleName": name, "RoleId": format!("AROA{}", name.to_uppercase()),
        "Arn": format!("arn:aws:iam::{account}:role{path}{name}"), "CreateDate": "2025-01-02T03:04:05Z",
        "AssumeRolePolicyDocument": trust(),
        "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": [], "Tags": [], "RoleLastUsed": {},
    })
}

fn rich_role() -> Value {
    let mut role = role(WORK, "/team/", "api");
    role["RolePolicyList"] = json!([
        {"PolicyName": "z", "PolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        {"PolicyName": "a", "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a b/+/*"}]}},
    ]);
    role["AttachedManagedPolicies"] = json!([
        {"PolicyName": "own", "PolicyArn": format!("arn:aws:iam::{WORK}:policy/own")},
        {"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
    ]);
    role["PermissionsBoundary"] = json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": format!("arn:aws:iam::{WORK}:policy/own")});
    role["Tags"] = json!([{"Key": "team", "Value": "payments & co <x>"}]);
    role["RoleLastUsed"] = json!({"LastUsedDate": "2026-11-20T00:00:00Z", "Region": "eu-west-1"});
    role["InstanceProfileList"] = json!([{
        "Path": "/", "InstanceProfileName": "p", "InstanceProfileId": "AIPAX",
        "Arn": format!("arn:aws:iam::{WORK}:instance-profile/p"), "CreateDate": "2025-01-02T03:04:05Z", "Roles": [],
    }]);
    role
}

fn policy(arn: &str, name: &str) -> Value {
    json!({
        "PolicyName": name, "PolicyId": format!("ANPA{}", name.to_uppercase()), "Arn": arn, "Path": "/",
        "DefaultVersionId": "v2", "AttachmentCount": 1, "IsAttachable": true,
        "CreateDate": "2025-01-02T03:04:05Z", "UpdateDate": "2025-02-02T03:04:05Z",
        "PolicyVersionList": [
            {"VersionId": "v1", "IsDefaultVersion": false, "CreateDate": "2025-01-02T03:04:05Z",
             "Document": {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}},
            {"VersionId": "v2", "IsDefaultVersion": true, "CreateDate": "2025-02-02T03:04:05Z",
             "Document": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}},
        ],
    })
}

pub(crate) fn association(service_account: &str, id: &str) -> Value {
    json!({
        "clusterName": "prod", "namespace": "payments", "serviceAccount": service_account, "associationId": id,
        "roleArn": format!("arn:aws:iam::{WORK}:role/team/api"),
        "associationArn": format!("arn:aws:eks:eu-west-1:{WORK}:podidentityassociation/prod/{id}"),
        "tags": {"team": "payments"}, "createdAt": "2026-01-01T00:00:00Z", "modifiedAt": "2026-02-01T00:00:00Z",
        "disableSessionTags": false,
    })
}

fn prod() -> Cluster {
    let mut with_target = association("api", "a-aaaaaaaaaaaaaaaa1");
    with_target["targetRoleArn"] = json!(format!("arn:aws:iam::{HUB}:role/data"));
    with_target["externalId"] = json!(format!("eu-west-1/{WORK}/prod/payments/api"));
    let mut with_policy = association("job", "a-aaaaaaaaaaaaaaaa2");
    with_policy["disableSessionTags"] = json!(true);
    with_policy["policy"] = json!(r#"{"Version":"2012-10-17","Statement":[]}"#);
    let mut of_tomorrow = association("web", "a-aaaaaaaaaaaaaaaa3");
    of_tomorrow["workloadIdentityConfig"] = json!({"enabled": true, "templates": ["x"]});
    of_tomorrow["ownerArn"] = json!(format!("arn:aws:eks:eu-west-1:{WORK}:addon/prod/agent/1"));
    Cluster {
        detail: json!({
            "name": "prod", "arn": format!("arn:aws:eks:eu-west-1:{WORK}:cluster/prod"), "createdAt": "2025-09-03T00:00:00Z",
            "version": "1.34", "status": "ACTIVE", "roleArn": format!("arn:aws:iam::{WORK}:role/cluster"),
            "identity": {"oidc": {"issuer": "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"}},
            "accessConfig": {"authenticationMode": "API"}, "computeConfig": {"enabled": false}, "tags": {"env": "prod"},
        }),
        associations: vec![with_target, with_policy, of_tomorrow],
        addons: vec![
            json!({"addonName": "vpc-cni", "clusterName": "prod", "status": "ACTIVE", "addonVersion": "v1.20",
                   "health": {"issues": []}, "serviceAccountRoleArn": format!("arn:aws:iam::{WORK}:role/cni")}),
            json!({"addonName": "eks-pod-identity-agent", "clusterName": "prod", "status": "DEGRADED", "addonVersion": "v1.3",
                   "health": {"issues": [{"code": "InsufficientNumberOfReplicas", "message": "m"}]},
                   "podIdentityAssociations": [format!("arn:aws:eks:eu-west-1:{WORK}:podidentityassociation/prod/a-aaaaaaaaaaaaaaaa3")]}),
        ],
        access_entries: vec![
            json!({"clusterName": "prod", "principalArn": format!("arn:aws:iam::{WORK}:role/ops"), "kubernetesGroups": ["viewers"],
            "type": "STANDARD", "associatedAccessPolicies": [
                {"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy", "accessScope": {"type": "namespace", "namespaces": ["payments"]}},
                {"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminViewPolicy", "accessScope": {"type": "cluster", "namespaces": []}},
            ]}),
            json!({"clusterName": "prod", "principalArn": format!("arn:aws:iam::{WORK}:role/node"), "kubernetesGroups": [],
                   "type": "EC2_LINUX", "associatedAccessPolicies": []}),
        ],
    }
}

fn legacy() -> Cluster {
    Cluster {
        detail: json!({
            "name": "legacy", "arn": format!("arn:aws:eks:eu-west-1:{WORK}:cluster/legacy"), "createdAt": "2022-09-03T00:00:00Z",
            "version": "1.30", "status": "ACTIVE", "accessConfig": {"authenticationMode": "CONFIG_MAP"}, "tags": {},
        }),
        ..Cluster::default()
    }
}

pub(crate) fn session_record(id: &str, region: &str, at: &str, name: &str) -> Value {
    let source = if name == "AssumeRoleForPodIdentity" { "eks-auth.amazonaws.com" } else { "sts.amazonaws.com" };
    json!({
        "eventVersion": "1.11", "eventID": id, "eventName": name, "eventSource": source, "eventTime": at, "awsRegion": region,
        "recipientAccountId": WORK, "sourceIPAddress": "198.51.100.7", "readOnly": true, "managementEvent": true,
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
        "requestParameters": {"roleArn": format!("arn:aws:iam::{WORK}:role/team/api"), "roleSessionName": "eks-prod-api-x"},
        "responseElements": {"credentials": {"accessKeyId": "ASIANEW", "sessionToken": "SECRET"}},
    })
}

fn events(records: &[Value]) -> Vec<Arc<Event>> {
    records.iter().map(|record| Arc::new(Event::of_record(record).unwrap())).collect()
}

pub(crate) fn estate() -> Estate {
    let trail = |account: &str, name: &str, selectors: Value| {
        json!({
            "Name": name, "S3BucketName": "log", "HomeRegion": "eu-west-1", "IsMultiRegionTrail": true, "IsOrganizationTrail": false, "IsLogging": true,
            "TrailARN": format!("arn:aws:cloudtrail:eu-west-1:{account}:trail/{name}"), "EventSelectors": selectors,
        })
    };
    let own_policy = format!("arn:aws:iam::{WORK}:policy/own");
    let hub = Account {
        name: "hub".to_owned(),
        roles: vec![role(HUB, "/", "data")],
        trails: vec![trail(HUB, "all", json!([{"ReadWriteType": "All", "IncludeManagementEvents": true}]))],
        ..Account::default()
    };
    let workloads = Place {
        clusters: vec![prod(), legacy()],
        events: events(&[
            session_record("e-1", "eu-west-1", "2026-11-23T09:00:00Z", "AssumeRole"),
            session_record("e-2", "eu-west-1", "2026-11-23T09:00:00Z", "AssumeRoleForPodIdentity"),
            session_record("e-old", "eu-west-1", "2026-11-20T09:00:00Z", "AssumeRole"),
            session_record("e-other", "eu-west-1", "2026-11-23T09:00:00Z", "GetCallerIdentity"),
        ]),
    };
    let global = Place {
        events: events(&[session_record("e-3", "us-east-1", "2026-11-23T09:00:00Z", "AssumeRoleWithWebIdentity")]),
        ..Place::default()
    };
    let work = Account {
        name: "work".to_owned(),
        roles: vec![rich_role(), role(WORK, "/", "ops"), role(WORK, "/", "node")],
        policies: vec![policy(&own_policy, "own"), policy("arn:aws:iam::aws:policy/ReadOnlyAccess", "ReadOnlyAccess")],
        oidc_providers: vec![
            json!({"Arn": format!("arn:aws:iam::{WORK}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"), "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": [], "Tags": [{"Key": "team", "Value": "edge"}]}),
        ],
        trails: vec![trail(WORK, "writes", json!([{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": true}]))],
        regions: [("eu-west-1".to_owned(), workloads), ("us-east-1".to_owned(), global)].into(),
        ..Account::default()
    };
    let member = |id: &str, status: &str, parent: &str| Member {
        id: id.to_owned(),
        name: format!("name-{id}"),
        status: status.to_owned(),
        parent: parent.to_owned(),
    };
    let unit = |id: &str, name: &str, parent: &str| Unit {
        id: id.to_owned(),
        name: name.to_owned(),
        parent: parent.to_owned(),
    };
    let control = |id: &str, kind: &str, targets: &[&str]| OrgPolicy {
        id: id.to_owned(),
        name: format!("policy {id}"),
        kind: kind.to_owned(),
        aws_managed: false,
        content: format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"{id}","Effect":"Deny","Action":"s3:*","Resource":"*"}}]}}"#
        ),
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
    };
    Estate {
        hub: HUB.to_owned(),
        organization: Some(Organization {
            id: "o-exampleorg".to_owned(),
            management: HUB.to_owned(),
            root: "r-aaaa".to_owned(),
            units: vec![
                unit("ou-aaaa-11111111", "workloads", "r-aaaa"),
                unit("ou-aaaa-22222222", "prod", "ou-aaaa-11111111"),
            ],
            members: vec![
                member(HUB, "ACTIVE", "r-aaaa"),
                member(WORK, "ACTIVE", "ou-aaaa-22222222"),
                member(SUSPENDED, "SUSPENDED", "ou-aaaa-11111111"),
            ],
            policies: vec![
                control("p-scp00001", "SERVICE_CONTROL_POLICY", &["r-aaaa", WORK]),
                control("p-rcp00001", "RESOURCE_CONTROL_POLICY", &["ou-aaaa-22222222"]),
            ],
        }),
        accounts: [(HUB.to_owned(), hub), (WORK.to_owned(), work)].into(),
    }
}

pub(crate) async fn sandbox_of(estate: Estate) -> Sandbox {
    let options = Options { now: Some(now()), lookups_per_second: None, ..Options::default() };
    Sandbox::start_with(estate, Faults::none(), options).await.unwrap()
}

pub(crate) async fn sandbox() -> Sandbox {
    sandbox_of(estate()).await
}

pub(crate) fn settings(sandbox: &Sandbox) -> Settings {
    Settings {
        hub: Hub::keys(sandbox.endpoint(), "us-east-1".parse().unwrap(), HUB_ACCESS_KEY, "sandbox"),
        session_name: "rolecall-test".to_owned(),
        attempts: 1,
        call_timeout: Duration::from_secs(30),
        trail_lookback: TimeDelta::days(1),
        lookups_per_second: 1000,
        ..Settings::default()
    }
}

pub(crate) type ByAccount = BTreeMap<String, Observation>;

pub(crate) async fn look(settings: Settings) -> (ByAccount, Summary) {
    try_look(settings).await.unwrap()
}

pub(crate) async fn try_look(settings: Settings) -> Result<(ByAccount, Summary), CannotStart> {
    let plan = Plan::new(settings).unwrap();
    let (sink, mut taken) = tokio::sync::mpsc::channel::<Observation>(4);
    let take = async {
        let mut observations = ByAccount::new();
        while let Some(observation) = taken.recv().await {
            let id = observation.account.as_ref().unwrap().id.to_string();
            assert!(observations.insert(id, observation).is_none(), "an account was observed twice");
        }
        observations
    };
    let (summary, observations) = tokio::join!(collect(&plan, &(), sink, now()), take);
    Ok((observations, summary?))
}

/// A scope as text: `222222222222 addons eu-west-1 prod`.
pub(crate) fn name(scope: &Scope) -> String {
    let Scope { account_id, kind, region, cluster } = scope;
    let mut name = format!("{account_id} {kind}");
    for part in region.iter().map(Region::as_str).chain(cluster.iter().map(ClusterName::as_str)) {
        name.push(' ');
        name.push_str(part);
    }
    name
}

/// All gaps but those of the suspended account: scope, action, reason.
pub(crate) fn gaps(observations: &ByAccount) -> BTreeSet<(String, String, GapReason)> {
    let gaps = observations.values().flat_map(|observation| observation.coverage.gaps());
    gaps.map(|gap| (name(&gap.scope), gap.action.clone(), gap.reason))
        .filter(|gap| !gap.0.starts_with(SUSPENDED))
        .collect()
}

/// All scopes that were read to their end.
pub(crate) fn complete(observations: &ByAccount) -> BTreeSet<String> {
    let scopes = observations.values().flat_map(|observation| observation.coverage.scopes());
    scopes.filter(|(_, gaps)| gaps.is_empty()).map(|(scope, _)| name(scope)).collect()
}
