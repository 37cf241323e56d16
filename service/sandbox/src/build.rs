//! AWS-shaped objects in the making: roles, policies, clusters, associations.
//!
//! Knows what the services' answers look like. Refuses to know why an estate has what it has.

use crate::estate::{Cluster, account_of, text};
use crate::ids;
use serde_json::{Map, Value, json};

pub(crate) const PODS: &str = "pods.eks.amazonaws.com";

/// A policy document of statements.
pub(crate) fn document(statements: Vec<Value>) -> Value {
    with(json!({"Version": "2012-10-17"}), "Statement", Value::Array(statements))
}

/// An Allow of actions on resources.
pub(crate) fn allow(actions: &[&str], resources: &[&str]) -> Value {
    json!({"Effect": "Allow", "Action": one_or_many(actions), "Resource": one_or_many(resources)})
}

/// A Deny of actions on resources.
pub(crate) fn deny(actions: &[&str], resources: &[&str]) -> Value {
    json!({"Effect": "Deny", "Action": one_or_many(actions), "Resource": one_or_many(resources)})
}

/// A statement with a member added or replaced.
pub(crate) fn with(mut statement: Value, member: &str, value: Value) -> Value {
    if let Some(map) = statement.as_object_mut() {
        map.insert(member.to_owned(), value);
    }
    statement
}

fn one_or_many(items: &[&str]) -> Value {
    match items {
        [one] => json!(one),
        many => json!(many),
    }
}

/// Pod Identity's trust, as the EKS guide shows it.
pub(crate) fn trust_pods() -> Value {
    document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"]}),
    ])
}

/// Pod Identity's trust for one cluster, and one namespace.
pub(crate) fn trust_pods_of(cluster_arn: &str, namespace: &str) -> Value {
    let condition = json!({"StringEquals": {
        "aws:SourceAccount": account_of(cluster_arn),
        "aws:RequestTag/eks-cluster-arn": cluster_arn, "aws:RequestTag/kubernetes-namespace": namespace,
    }});
    document(vec![json!({"Sid": "PodIdentity", "Effect": "Allow", "Principal": {"Service": PODS},
        "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": condition})])
}

/// A service's trust.
pub(crate) fn trust_service(service: &str) -> Value {
    document(vec![json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})])
}

/// A service's trust, for its use on behalf of one account.
pub(crate) fn trust_service_for(service: &str, account: &str) -> Value {
    let condition = json!({"StringEquals": {"aws:SourceAccount": account}});
    document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", "Condition": condition}),
    ])
}

/// The trust of an IRSA role.
pub(crate) fn trust_irsa(account: &str, issuer: &str, namespace: &str, service_account: &str) -> Value {
    let condition = json!({"StringEquals": {
        format!("{issuer}:sub"): format!("system:serviceaccount:{namespace}:{service_account}"),
        format!("{issuer}:aud"): "sts.amazonaws.com",
    }});
    document(vec![
        json!({"Effect": "Allow", "Principal": {"Federated": format!("arn:aws:iam::{account}:oidc-provider/{issuer}")},
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition}),
    ])
}

/// A role in the making.
#[derive(Debug, Clone)]
pub(crate) struct Role(Map<String, Value>);

impl Role {
    pub(crate) fn new(account: &str, name: &str, trust: Value) -> Self {
        Self::at(account, "/", name, trust)
    }

    pub(crate) fn at(account: &str, path: &str, name: &str, trust: Value) -> Self {
        let arn = format!("arn:aws:iam::{account}:role{path}{name}");
        let day = ids::hash(&arn);
        let created = format!(
            "202{}-{:02}-{:02}T{:02}:{:02}:11Z",
            3 + day % 3,
            1 + day / 7 % 12,
            1 + day / 97 % 28,
            day / 11 % 24,
            day / 13 % 60
        );
        let value = json!({
            "Path": path, "RoleName": name, "RoleId": ids::role_id(&arn), "Arn": arn, "CreateDate": created,
            "AssumeRolePolicyDocument": null, "InstanceProfileList": [], "RolePolicyList": [],
            "AttachedManagedPolicies": [], "Tags": [], "RoleLastUsed": {},
        });
        let value = with(value, "AssumeRolePolicyDocument", trust);
        Self(if let Value::Object(map) = value { map } else { Map::new() })
    }

    fn push(mut self, list: &str, item: Value) -> Self {
        if let Some(Value::Array(items)) = self.0.get_mut(list) {
            items.push(item);
        }
        self
    }

    pub(crate) fn inline(self, name: &str, document: Value) -> Self {
        self.push("RolePolicyList", with(json!({"PolicyName": name}), "PolicyDocument", document))
    }

    pub(crate) fn attach(self, arn: &str) -> Self {
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        self.push("AttachedManagedPolicies", json!({"PolicyName": name, "PolicyArn": arn}))
    }

    /// One of AWS's own policies, by its path and name, such as `service-role/AWSLambdaRole`.
    pub(crate) fn attach_aws(self, name: &str) -> Self {
        self.attach(&format!("arn:aws:iam::aws:policy/{name}"))
    }

    pub(crate) fn tag(self, key: &str, value: &str) -> Self {
        self.push("Tags", json!({"Key": key, "Value": value}))
    }

    pub(crate) fn boundary(mut self, arn: &str) -> Self {
        self.0.insert("PermissionsBoundary".to_owned(), crate::estate::boundary(arn));
        self
    }

    /// An instance profile of the same name.
    pub(crate) fn profile(self) -> Self {
        let arn = self.0.get("Arn").and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        let profile = arn.replace(":role/", ":instance-profile/");
        self.push(
            "InstanceProfileList",
            json!({"Path": "/", "InstanceProfileName": name,
            "InstanceProfileId": format!("AIPA{}", ids::role_id(&profile).trim_start_matches("AROA")),
            "Arn": profile, "CreateDate": "2024-05-06T07:08:09Z", "Roles": []}),
        )
    }

    pub(crate) fn last_used(mut self, at: &str, region: &str) -> Self {
        self.0.insert("RoleLastUsed".to_owned(), json!({"LastUsedDate": at, "Region": region}));
        self
    }

    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// A managed policy with its document, in its first or a later version.
pub(crate) fn policy(arn: &str, version: &str, document: &Value) -> Value {
    let (path, name) =
        arn.split_once(":policy/").map_or(("", arn), |(_, tail)| tail.rsplit_once('/').unwrap_or(("", tail)));
    let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
    json!({
        "PolicyName": name, "PolicyId": ids::policy_id(arn), "Arn": arn, "Path": path, "DefaultVersionId": version,
        "AttachmentCount": 0, "PermissionsBoundaryUsageCount": 0, "IsAttachable": true,
        "CreateDate": "2023-02-03T04:05:06Z", "UpdateDate": "2025-02-03T04:05:06Z",
        "PolicyVersionList": [{"Document": document, "VersionId": version, "IsDefaultVersion": true,
            "CreateDate": "2025-02-03T04:05:06Z"}],
    })
}

/// The ARN of a cluster.
pub(crate) fn cluster_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:eks:{region}:{account}:cluster/{name}")
}

/// An OIDC identity provider of IAM for an issuer (without `https://`), which takes tokens for AWS STS.
#[must_use]
pub fn oidc_provider(account: &str, issuer: &str) -> Value {
    json!({"Arn": format!("arn:aws:iam::{account}:oidc-provider/{issuer}"), "ClientIDList": ["sts.amazonaws.com"],
        "ThumbprintList": ["06b25927c42a721631c1efd9431e648fa62e1e39"], "CreateDate": "2025-02-03T09:00:00Z"})
}

/// The OIDC issuer of a cluster, without `https://`.
pub(crate) fn issuer(account: &str, region: &str, name: &str) -> String {
    format!("oidc.eks.{region}.amazonaws.com/id/{}", ids::issuer(&cluster_arn(account, region, name)))
}

/// A cluster with its own role `NAME-cluster`, and nothing on it.
pub(crate) fn cluster(account: &str, region: &str, name: &str) -> Cluster {
    let arn = cluster_arn(account, region, name);
    let issuer = issuer(account, region, name);
    let host = issuer.rsplit('/').next().unwrap_or_default();
    Cluster {
        detail: json!({
            "name": name, "arn": arn, "createdAt": "2025-03-04T05:06:07Z", "version": "1.34",
            "endpoint": format!("https://{host}.gr7.{region}.eks.amazonaws.com"),
            "roleArn": format!("arn:aws:iam::{account}:role/{name}-cluster"),
            "resourcesVpcConfig": {"endpointPublicAccess": false, "endpointPrivateAccess": true, "publicAccessCidrs": []},
            "identity": {"oidc": {"issuer": format!("https://{issuer}")}}, "status": "ACTIVE", "platformVersion": "eks.12",
            "accessConfig": {"authenticationMode": "API"}, "computeConfig": {"enabled": false}, "tags": {},
        }),
        ..Cluster::default()
    }
}

/// An add-on that is well.
pub(crate) fn addon(cluster: &Cluster, name: &str, version: &str) -> Value {
    let arn = text(&cluster.detail, "arn").replace(":cluster/", ":addon/");
    json!({
        "addonName": name, "clusterName": cluster.name(), "status": "ACTIVE", "addonVersion": version, "health": {"issues": []},
        "addonArn": format!("{arn}/{name}/{}", ids::uuid(&format!("{arn}/{name}"))), "createdAt": "2025-03-04T06:06:07Z",
        "modifiedAt": "2025-03-04T06:06:07Z", "tags": {},
    })
}

/// An association of a cluster.
pub(crate) fn association(cluster: &Cluster, namespace: &str, service_account: &str, role_arn: &str) -> Value {
    let (arn, name) = (text(&cluster.detail, "arn"), cluster.name());
    let id = ids::association_id(&format!("{arn}/{namespace}/{service_account}"));
    json!({
        "clusterName": name, "namespace": namespace, "serviceAccount": service_account, "roleArn": role_arn,
        "associationArn": format!("{}/{id}", arn.replace(":cluster/", ":podidentityassociation/")),
        "associationId": id, "tags": {}, "createdAt": "2025-04-05T06:07:08Z", "modifiedAt": "2025-04-05T06:07:08Z",
        "disableSessionTags": false,
    })
}

/// The external id that EKS makes for an association's hop to its target role.
pub(crate) fn external_id(cluster: &Cluster, namespace: &str, service_account: &str) -> String {
    let arn = text(&cluster.detail, "arn");
    let region = arn.split(':').nth(3).unwrap_or_default();
    format!("{region}/{}/{}/{namespace}/{service_account}", account_of(arn), cluster.name())
}
