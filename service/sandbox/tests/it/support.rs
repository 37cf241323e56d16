//! A small estate, and SDK clients that talk to it.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use rolecall_sandbox::estate::{Account, Cluster, Event, Member, OrgPolicy, Organization, Unit};
use rolecall_sandbox::{Estate, Faults, HUB_ACCESS_KEY, Options, SECRET, Sandbox};
use serde_json::{Value, json};
use std::sync::Arc;

pub const HUB: &str = "111122223333";
pub const MEMBER: &str = "444455556666";
pub const REGION: &str = "eu-west-1";

fn role(account: &str, name: &str) -> Value {
    json!({
        "Path": "/", "RoleName": name, "RoleId": format!("AROA{name:X>17}"),
        "Arn": format!("arn:aws:iam::{account}:role/{name}"), "CreateDate": "2026-01-02T03:04:05Z",
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]},
        "InstanceProfileList": [],
        "RolePolicyList": [{"PolicyName": "in & out", "PolicyDocument": {"Version": "2012-10-17", "Statement": []}}],
        "AttachedManagedPolicies": [], "Tags": [{"Key": "team", "Value": "a<b"}], "RoleLastUsed": {},
    })
}

/// A lookup-worthy event at a second of the estate's day.
pub fn event(n: u32, name: &str) -> Arc<Event> {
    let record = json!({
        "eventID": format!("00000000-0000-4000-8000-{n:012}"), "eventName": name, "eventSource": "sts.amazonaws.com",
        "eventTime": format!("2026-03-01T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60), "readOnly": true,
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"}, "managementEvent": true,
        "requestParameters": {"roleArn": format!("arn:aws:iam::{HUB}:role/r{}", n % 3)},
    });
    Arc::new(Event::of_record(&record).unwrap())
}

pub fn estate() -> Estate {
    let mut hub = Account { name: "hub".into(), ..Account::default() };
    hub.roles = (0..5).map(|n| role(HUB, &format!("r{n}"))).collect();
    hub.policies = vec![json!({
        "PolicyName": "p", "PolicyId": "ANPAXXXXXXXXXXXXXXXXX", "Arn": format!("arn:aws:iam::{HUB}:policy/p"), "Path": "/",
        "DefaultVersionId": "v1", "AttachmentCount": 0, "IsAttachable": true, "CreateDate": "2026-01-02T03:04:05Z",
        "UpdateDate": "2026-01-02T03:04:05Z", "PolicyVersionList": [{"Document": {"Version": "2012-10-17", "Statement": []},
            "VersionId": "v1", "IsDefaultVersion": true, "CreateDate": "2026-01-02T03:04:05Z"}],
    })];
    hub.oidc_providers = vec![
        json!({"Arn": format!("arn:aws:iam::{HUB}:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/A"), "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": []}),
    ];
    hub.trails = vec![json!({"Name": "all", "TrailARN": format!("arn:aws:cloudtrail:us-east-1:{HUB}:trail/all"),
        "HomeRegion": "us-east-1", "S3BucketName": "logs", "IsMultiRegionTrail": true, "IsOrganizationTrail": true,
        "EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": true, "DataResources": []}]})];
    let association = |n: u32| {
        let id = format!("a-{n:017}");
        json!({"clusterName": "main", "namespace": if n.is_multiple_of(2) { "even" } else { "odd" }, "serviceAccount": format!("s{n}"),
            "roleArn": format!("arn:aws:iam::{HUB}:role/r{n}"), "associationId": id,
            "associationArn": format!("arn:aws:eks:{REGION}:{HUB}:podidentityassociation/main/{id}"),
            "disableSessionTags": true, "policy": {"Version": "2012-10-17", "Statement": []}, "tags": {"a": "b"},
            "createdAt": "2026-01-02T03:04:05Z", "modifiedAt": "2026-01-02T03:04:05.250Z"})
    };
    let principal = format!("arn:aws:iam::{HUB}:role/team/r0");
    let region = hub.region(REGION);
    region.clusters = vec![Cluster {
        detail: json!({"name": "main", "arn": format!("arn:aws:eks:{REGION}:{HUB}:cluster/main"), "version": "1.34",
            "createdAt": "2026-01-02T03:04:05Z", "status": "ACTIVE", "accessConfig": {"authenticationMode": "API"}}),
        associations: (0..7).map(association).collect(),
        addons: vec![json!({"addonName": "eks-pod-identity-agent", "clusterName": "main", "status": "ACTIVE",
            "addonVersion": "v1.3.9-eksbuild.3", "createdAt": "2026-01-02T03:04:05Z", "health": {"issues": []}})],
        access_entries: vec![json!({"clusterName": "main", "principalArn": principal, "type": "STANDARD",
            "kubernetesGroups": ["g"], "createdAt": "2026-01-02T03:04:05Z", "associatedAccessPolicies": [{
                "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                "accessScope": {"type": "namespace", "namespaces": ["even"]}, "associatedAt": "2026-01-02T03:04:05Z"}]})],
    }];
    region.events =
        (0..120).map(|n| event(n, if n.is_multiple_of(2) { "AssumeRole" } else { "DescribeStacks" })).collect();
    let member = Account { name: "member".into(), roles: vec![role(MEMBER, "only")], ..Account::default() };
    let kind = "SERVICE_CONTROL_POLICY".to_owned();
    Estate {
        hub: HUB.into(),
        accounts: [(HUB.into(), hub), (MEMBER.into(), member)].into(),
        organization: Some(Organization {
            id: "o-exampleorg".into(),
            management: HUB.into(),
            root: "r-abcd".into(),
            units: vec![Unit { id: "ou-abcd-11111111".into(), name: "prod".into(), parent: "r-abcd".into() }],
            members: vec![
                Member { id: HUB.into(), name: "hub".into(), status: "ACTIVE".into(), parent: "r-abcd".into() },
                Member {
                    id: MEMBER.into(),
                    name: "member".into(),
                    status: "ACTIVE".into(),
                    parent: "ou-abcd-11111111".into(),
                },
            ],
            policies: vec![OrgPolicy {
                id: "p-FullAWSAccess".into(),
                name: "FullAWSAccess".into(),
                kind,
                aws_managed: true,
                content: "{}".into(),
                targets: vec!["r-abcd".into(), "ou-abcd-11111111".into(), MEMBER.into()],
            }],
        }),
    }
}

/// A sandbox over [`estate`], at noon of its events' day, without a limit on lookups.
pub async fn sandbox() -> Sandbox {
    with(Options { lookups_per_second: None, ..options() }).await
}

pub fn options() -> Options {
    Options { now: Some("2026-03-01T12:00:00Z".parse().unwrap()), ..Options::default() }
}

pub async fn with(options: Options) -> Sandbox {
    Sandbox::start_with(estate(), Faults::none(), options).await.unwrap()
}

/// SDK configuration with an access key, in the estate's region, without retries.
pub async fn config(sandbox: &Sandbox, key: &str, token: Option<&str>) -> SdkConfig {
    let credentials = Credentials::new(key, SECRET, token.map(str::to_owned), None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(sandbox.endpoint())
        .credentials_provider(credentials)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .load()
        .await
}

/// The same with the hub's key.
pub async fn hub(sandbox: &Sandbox) -> SdkConfig {
    config(sandbox, HUB_ACCESS_KEY, None).await
}
