//! Ways to change an estate of files, each with the calls that it takes and the change that it is.

use crate::subsets::{ACCOUNTS, REGION, whole};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rolecall_audit::drift::{Attribution, Effect};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) type Files = BTreeMap<String, Value>;

pub(crate) const HOME: &str = ACCOUNTS[0];
pub(crate) const ROLE: &str = "AWS::IAM::Role";
pub(crate) const POLICY: &str = "AWS::IAM::ManagedPolicy";
const ASSOCIATION: &str = "AWS::EKS::PodIdentityAssociation";
const ADDON: &str = "AWS::EKS::Addon";
const ENTRY: &str = "AWS::EKS::AccessEntry";
pub(crate) const CLUSTER: &str = "AWS::EKS::Cluster";
const PROVIDER: &str = "AWS::IAM::OIDCProvider";

/// Roles that the estate has besides, each with an association of its own in cluster `green`.
const WORKLOADS: usize = 30;

fn statement(action: &Value) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": "arn:aws:s3:::orders/*"})
}

fn allow(action: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [statement(action)]})
}

fn read() -> Value {
    allow(&json!("s3:GetObject"))
}

pub(crate) fn more() -> Value {
    allow(&json!(["s3:GetObject", "s3:DeleteObject"]))
}

fn pods() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]
    }]})
}

pub(crate) fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{HOME}:role/{name}")
}

fn policy_arn(name: &str) -> String {
    format!("arn:aws:iam::{HOME}:policy/{name}")
}

pub(crate) fn workload(name: &str) -> String {
    format!("{HOME}/{REGION}/green/shop/{name}")
}

fn role_json(name: &str) -> Value {
    json!({
        "Path": "/", "RoleName": name, "RoleId": format!("AROA{name}"), "CreateDate": "2025-01-02T03:04:05Z",
        "Arn": role_arn(name), "AssumeRolePolicyDocument": pods(), "InstanceProfileList": [],
        "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": read()}], "AttachedManagedPolicies": [], "Tags": [],
        "RoleLastUsed": {"LastUsedDate": "2026-05-20T00:00:00Z", "Region": REGION},
    })
}

fn policy_json(name: &str, document: &Value) -> Value {
    json!({
        "PolicyName": name, "PolicyId": format!("ANPA{name}"), "Arn": policy_arn(name), "DefaultVersionId": "v1",
        "AttachmentCount": 1,
        "PolicyVersionList": [{"VersionId": "v1", "IsDefaultVersion": true, "Document": document}]
    })
}

fn association_json(name: &str, role: &str) -> Value {
    let id = format!("a-{name}");
    json!({
        "clusterName": "green", "namespace": "shop", "serviceAccount": name, "associationId": id,
        "associationArn": format!("arn:aws:eks:{REGION}:{HOME}:podidentityassociation/green/{id}"),
        "roleArn": role_arn(role), "tags": {}, "disableSessionTags": false,
        "createdAt": "2026-04-01T10:00:00Z", "modifiedAt": "2026-04-02T10:00:00Z",
    })
}

fn details(files: &mut Files) -> &mut Value {
    files.get_mut(&format!("iam/{HOME}/gaad.json")).unwrap()
}

fn list<'a>(value: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    value[name].as_array_mut().unwrap()
}

pub(crate) fn role<'a>(files: &'a mut Files, name: &str) -> &'a mut Value {
    list(details(files), "RoleDetailList").iter_mut().find(|role| role["RoleName"] == name).unwrap()
}

fn policy<'a>(files: &'a mut Files, name: &str) -> &'a mut Value {
    list(details(files), "Policies").iter_mut().find(|policy| policy["PolicyName"] == name).unwrap()
}

fn eks<'a>(files: &'a mut Files, file: &str, name: &str) -> &'a mut Vec<Value> {
    list(files.get_mut(&format!("eks/{HOME}/{REGION}/{file}.json")).unwrap(), name)
}

fn associations(files: &mut Files) -> &mut Vec<Value> {
    eks(files, "pod_identity_associations", "associations")
}

fn association<'a>(files: &'a mut Files, name: &str) -> &'a mut Value {
    associations(files).iter_mut().find(|it| it["namespace"] == "shop" && it["serviceAccount"] == name).unwrap()
}

fn attach(role: &mut Value, policy: &str) {
    list(role, "AttachedManagedPolicies").push(json!({"PolicyArn": policy_arn(policy), "PolicyName": policy}));
}

fn bound(role: &mut Value, policy: &str) {
    role["PermissionsBoundary"] =
        json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": policy_arn(policy)});
}

fn version(policy: &mut Value, document: &Value) {
    policy["DefaultVersionId"] = "v2".into();
    policy["PolicyVersionList"] = json!([{"VersionId": "v2", "IsDefaultVersion": true, "Document": document}]);
}

fn addon(cluster: &str, name: &str, version: &str) -> Value {
    json!({
        "addonName": name, "clusterName": cluster, "addonVersion": version, "status": "ACTIVE",
        "podIdentityAssociations": [], "addonArn": format!("arn:aws:eks:{REGION}:{HOME}:addon/{cluster}/{name}/1")
    })
}

pub(crate) fn before() -> Files {
    let mut files = whole();
    let names: Vec<String> = (1..=WORKLOADS).map(|n| format!("w{n}")).collect();
    for name in &names {
        list(details(&mut files), "RoleDetailList").push(role_json(name));
        associations(&mut files).push(association_json(name, name));
    }
    for (name, document) in [
        ("extra", more()),
        ("narrow", allow(&json!("s3:ListBucket"))),
        ("wide", more()),
        ("spread", read()),
        ("limit", more()),
        ("unused", read()),
    ] {
        list(details(&mut files), "Policies").push(policy_json(name, &document));
    }
    list(role(&mut files, "w6"), "RolePolicyList").push(json!({"PolicyName": "second", "PolicyDocument": more()}));
    attach(role(&mut files, "w8"), "extra");
    bound(role(&mut files, "w10"), "narrow");
    bound(role(&mut files, "w11"), "wide");
    attach(role(&mut files, "w18"), "spread");
    bound(role(&mut files, "w19"), "limit");
    let hop = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": role_arn("target")}
    ]});
    role(&mut files, "w21")["RolePolicyList"][0]["PolicyDocument"] = hop;
    let mut target = role_json("target");
    target["AssumeRolePolicyDocument"] = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": role_arn("w21")}, "Action": ["sts:AssumeRole", "sts:TagSession"]
    }]});
    list(details(&mut files), "RoleDetailList").push(target);
    files
}

/// What a change should be: type, resource, kind, effect, attribution.
pub(crate) type Expected = (&'static str, String, &'static str, Effect, Attribution);

/// A way to change the estate: what it does to the files, the calls that it takes, and what is expected.
pub(crate) struct Mutation {
    change: fn(&mut Files),
    calls: Vec<(&'static str, &'static str, Value)>,
    pub(crate) expected: Vec<Expected>,
}

pub(crate) fn mutations() -> Vec<Mutation> {
    use Attribution::{Candidates, Exact};
    use Effect::{Mixed, Narrowed, None, Widened};
    let of_role = |change, calls: Vec<(&'static str, Value)>, name: &str, kind, effect, made| Mutation {
        change,
        calls: calls.into_iter().map(|(call, request)| ("iam", call, request)).collect(),
        expected: vec![(ROLE, role_arn(name), kind, effect, made)],
    };
    let put = |name: &str, policy: &str, document: Value| {
        vec![("PutRolePolicy", json!({"roleName": name, "policyName": policy, "policyDocument": document.to_string()}))]
    };
    let of_association = |change, calls: Vec<(&'static str, Value)>, expected: Vec<Expected>| Mutation {
        change,
        calls: calls.into_iter().map(|(call, request)| ("eks", call, request)).collect(),
        expected,
    };
    let update = |name: &str, field: &str, value: Value| {
        let mut request = json!({"name": "green", "associationId": format!("a-{name}")});
        request[field] = value;
        vec![("UpdatePodIdentityAssociation", request)]
    };
    let same = json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::orders/*"]
    }]});
    let mut open = pods();
    open["Statement"][0]["Principal"]["AWS"] = "arn:aws:iam::999988887777:root".into();
    let closed = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"
    }]});
    let named = |name: &str, rest: Value| {
        let mut request = json!({"roleName": name});
        request.as_object_mut().unwrap().extend(rest.as_object().cloned().unwrap_or_default());
        request
    };
    vec![
        of_role(
            |files| role(files, "w1")["RolePolicyList"][0]["PolicyDocument"] = more(),
            put("w1", "own", more()),
            "w1",
            "inline_policy_changed",
            Widened,
            Exact,
        ),
        of_role(
            |files| role(files, "w2")["RolePolicyList"][0]["PolicyDocument"] = allow(&json!("s3:GetObjectAcl")),
            put("w2", "own", allow(&json!("s3:GetObjectAcl"))),
            "w2",
            "inline_policy_changed",
            Mixed,
            Exact,
        ),
        of_role(
            |files| {
                role(files, "w3")["RolePolicyList"][0]["PolicyDocument"] = json!({"Version": "2012-10-17", "Statement": [
                    statement(&json!("s3:GetObject")),
                    {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::orders/secret/*"}
                ]});
            },
            vec![("PutRolePolicy", json!({"roleName": "W3", "policyName": "own"}))],
            "w3",
            "inline_policy_changed",
            Narrowed,
            Exact,
        ),
        of_role(
            |files| {
                role(files, "w4")["RolePolicyList"][0]["PolicyDocument"] = json!({"Version": "2012-10-17", "Statement": [{
                    "Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::orders/*"]
                }]});
            },
            put("w4", "own", same),
            "w4",
            "inline_policy_changed",
            None,
            Exact,
        ),
        of_role(
            |files| {
                list(role(files, "w5"), "RolePolicyList").push(json!({"PolicyName": "new", "PolicyDocument": more()}));
            },
            put("w5", "new", more()),
            "w5",
            "inline_policy_added",
            Widened,
            Exact,
        ),
        of_role(
            |files| drop(list(role(files, "w6"), "RolePolicyList").pop()),
            vec![("DeleteRolePolicy", named("w6", json!({"policyName": "second"})))],
            "w6",
            "inline_policy_removed",
            Narrowed,
            Exact,
        ),
        of_role(
            |files| attach(role(files, "w7"), "extra"),
            vec![("AttachRolePolicy", named("w7", json!({"policyArn": policy_arn("extra")})))],
            "w7",
            "policy_attached",
            Widened,
            Exact,
        ),
        of_role(
            |files| list(role(files, "w8"), "AttachedManagedPolicies").clear(),
            vec![("DetachRolePolicy", named("w8", json!({"policyArn": policy_arn("extra")})))],
            "w8",
            "policy_detached",
            Narrowed,
            Exact,
        ),
        of_role(
            |files| bound(role(files, "w9"), "narrow"),
            vec![("PutRolePermissionsBoundary", named("w9", json!({"permissionsBoundary": policy_arn("narrow")})))],
            "w9",
            "permissions_boundary_set",
            Narrowed,
            Exact,
        ),
        of_role(
            |files| drop(role(files, "w10").as_object_mut().unwrap().remove("PermissionsBoundary")),
            vec![("DeleteRolePermissionsBoundary", named("w10", json!({})))],
            "w10",
            "permissions_boundary_removed",
            Widened,
            Exact,
        ),
        of_role(
            |files| bound(role(files, "w11"), "narrow"),
            vec![("PutRolePermissionsBoundary", named("w11", json!({"permissionsBoundary": policy_arn("narrow")})))],
            "w11",
            "permissions_boundary_changed",
            Narrowed,
            Exact,
        ),
        of_role(
            |files| {
                role(files, "w12")["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"] =
                    "arn:aws:iam::999988887777:root".into();
            },
            vec![
                ("UpdateAssumeRolePolicy", named("w12", json!({"policyDocument": pods().to_string()}))),
                ("UpdateAssumeRolePolicy", named("w12", json!({"policyDocument": open.to_string()}))),
            ],
            "w12",
            "trust_policy_changed",
            Widened,
            Exact,
        ),
        of_role(
            |files| {
                role(files, "w13")["AssumeRolePolicyDocument"] = json!({"Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"
                }]});
            },
            vec![("UpdateAssumeRolePolicy", named("w13", json!({"policyDocument": closed.to_string()})))],
            "w13",
            "trust_policy_changed",
            Mixed,
            Exact,
        ),
        of_role(
            |files| {
                role(files, "w14")["RoleId"] = "AROAANOTHER".into();
                role(files, "w14")["RolePolicyList"][0]["PolicyDocument"] = more();
            },
            vec![("DeleteRole", named("w14", json!({}))), ("CreateRole", named("w14", json!({"path": "/"})))],
            "w14",
            "recreated",
            Widened,
            Exact,
        ),
        of_role(
            |files| list(details(files), "RoleDetailList").retain(|role| role["RoleName"] != "w15"),
            vec![("DeleteRole", named("w15", json!({})))],
            "w15",
            "removed",
            Narrowed,
            Exact,
        ),
        of_role(
            |files| list(details(files), "RoleDetailList").push(role_json("fresh")),
            vec![("CreateRole", named("fresh", json!({"path": "/"})))],
            "fresh",
            "added",
            Widened,
            Exact,
        ),
        of_role(
            |files| role(files, "w16")["Tags"] = json!([{"Key": "team", "Value": "pay"}]),
            vec![("TagRole", named("w16", json!({}))), ("TagRole", named("w16", json!({})))],
            "w16",
            "tags_changed",
            None,
            Candidates,
        ),
        of_role(
            |files| {
                list(role(files, "w17"), "InstanceProfileList").push(
                    json!({"Arn": format!("arn:aws:iam::{HOME}:instance-profile/node"), "InstanceProfileName": "node"}),
                );
            },
            vec![("AddRoleToInstanceProfile", named("w17", json!({"instanceProfileName": "node"})))],
            "w17",
            "added_to_instance_profile",
            None,
            Exact,
        ),
        Mutation {
            change: |files| version(policy(files, "spread"), &more()),
            calls: vec![(
                "iam",
                "CreatePolicyVersion",
                json!({"policyArn": policy_arn("spread"), "setAsDefault": true}),
            )],
            expected: vec![
                (POLICY, policy_arn("spread"), "default_version_changed", Widened, Exact),
                (ROLE, role_arn("w18"), "attached_policy_version_changed", Widened, Exact),
            ],
        },
        Mutation {
            change: |files| version(policy(files, "limit"), &allow(&json!("s3:ListBucket"))),
            calls: vec![(
                "iam",
                "SetDefaultPolicyVersion",
                json!({"policyArn": policy_arn("limit"), "versionId": "v2"}),
            )],
            expected: vec![
                (POLICY, policy_arn("limit"), "default_version_changed", Narrowed, Exact),
                (ROLE, role_arn("w19"), "permissions_boundary_version_changed", Narrowed, Exact),
            ],
        },
        Mutation {
            change: |files| list(details(files), "Policies").push(policy_json("newer", &read())),
            calls: vec![("iam", "CreatePolicy", json!({"policyName": "newer", "path": "/"}))],
            expected: vec![(POLICY, policy_arn("newer"), "added", None, Exact)],
        },
        Mutation {
            change: |files| list(details(files), "Policies").retain(|policy| policy["PolicyName"] != "unused"),
            calls: vec![("iam", "DeletePolicy", json!({"policyArn": policy_arn("unused")}))],
            expected: vec![(POLICY, policy_arn("unused"), "removed", None, Exact)],
        },
        of_association(
            |files| association(files, "w20")["roleArn"] = role_arn("admin").into(),
            update("w20", "roleArn", role_arn("admin").into()),
            vec![(ASSOCIATION, workload("w20"), "role_changed", Widened, Exact)],
        ),
        of_association(
            |files| {
                association(files, "w21")["targetRoleArn"] = role_arn("target").into();
                association(files, "w21")["externalId"] = "x".into();
            },
            update("w21", "targetRoleArn", role_arn("target").into()),
            vec![
                (ASSOCIATION, workload("w21"), "target_role_set", Mixed, Exact),
                (ASSOCIATION, workload("w21"), "external_id_changed", None, Exact),
            ],
        ),
        of_association(
            |files| association(files, "w22")["policy"] = allow(&json!("s3:ListBucket")).to_string().into(),
            update("w22", "policy", allow(&json!("s3:ListBucket")).to_string().into()),
            vec![(ASSOCIATION, workload("w22"), "session_policy_set", Narrowed, Exact)],
        ),
        of_association(
            |files| association(files, "w23")["disableSessionTags"] = true.into(),
            update("w23", "disableSessionTags", true.into()),
            vec![(ASSOCIATION, workload("w23"), "session_tags_disabled", None, Exact)],
        ),
        of_association(
            |files| associations(files).push(association_json("late", "w1")),
            vec![(
                "CreatePodIdentityAssociation",
                json!({"name": "green", "namespace": "shop", "serviceAccount": "late", "roleArn": role_arn("w1")}),
            )],
            vec![(ASSOCIATION, workload("late"), "added", Widened, Exact)],
        ),
        of_association(
            |files| associations(files).retain(|it| it["serviceAccount"] != "w24"),
            vec![("DeletePodIdentityAssociation", json!({"name": "green", "associationId": "a-w24"}))],
            vec![(ASSOCIATION, workload("w24"), "removed", Narrowed, Exact)],
        ),
        of_association(
            |files| association(files, "w25")["associationId"] = "a-again".into(),
            vec![
                ("DeletePodIdentityAssociation", json!({"name": "green", "associationId": "a-w25"})),
                (
                    "CreatePodIdentityAssociation",
                    json!({"name": "green", "namespace": "shop", "serviceAccount": "w25", "roleArn": role_arn("w25")}),
                ),
            ],
            vec![(ASSOCIATION, workload("w25"), "recreated", None, Exact)],
        ),
        of_association(
            |files| association(files, "w26")["tags"] = json!({"team": "pay"}),
            vec![(
                "TagResource",
                json!({"resourceArn": format!("arn:aws:eks:{REGION}:{HOME}:podidentityassociation/green/a-w26"), "tags": {}}),
            )],
            vec![(ASSOCIATION, workload("w26"), "tags_changed", None, Exact)],
        ),
        of_association(
            |files| eks(files, "addons", "addons").push(addon("blue", "vpc-cni", "v1")),
            vec![("CreateAddon", json!({"name": "blue", "addonName": "vpc-cni"}))],
            vec![(ADDON, format!("arn:aws:eks:{REGION}:{HOME}:addon/blue/vpc-cni"), "added", None, Exact)],
        ),
        of_association(
            |files| eks(files, "addons", "addons")[1]["addonVersion"] = "v2".into(),
            vec![("UpdateAddon", json!({"name": "green", "addonName": "vpc-cni", "addonVersion": "v2"}))],
            vec![(ADDON, format!("arn:aws:eks:{REGION}:{HOME}:addon/green/vpc-cni"), "changed", None, Exact)],
        ),
        of_association(
            |files| eks(files, "addons", "addons").push(addon("green", "eks-pod-identity-agent", "v1")),
            vec![("CreateAddon", json!({"name": "green", "addonName": "eks-pod-identity-agent"}))],
            vec![(
                ADDON,
                format!("arn:aws:eks:{REGION}:{HOME}:addon/green/eks-pod-identity-agent"),
                "added",
                Widened,
                Exact,
            )],
        ),
        of_association(
            |files| {
                eks(files, "access_entries", "accessEntries").push(json!({
                    "clusterName": "blue", "principalArn": role_arn("open"), "type": "STANDARD", "kubernetesGroups": [],
                    "accessEntryArn": format!("arn:aws:eks:{REGION}:{HOME}:access-entry/blue/role/{HOME}/open/1"),
                    "associatedAccessPolicies": []
                }));
            },
            vec![("CreateAccessEntry", json!({"name": "blue", "principalArn": role_arn("open")}))],
            vec![(
                ENTRY,
                format!("arn:aws:eks:{REGION}:{HOME}:access-entry/blue/role/{HOME}/open"),
                "added",
                Widened,
                Exact,
            )],
        ),
        of_association(
            |files| {
                eks(files, "access_entries", "accessEntries")[0]["kubernetesGroups"] = json!(["masters"]);
            },
            vec![("UpdateAccessEntry", json!({"name": "blue", "principalArn": role_arn("admin")}))],
            vec![(
                ENTRY,
                format!("arn:aws:eks:{REGION}:{HOME}:access-entry/blue/role/{HOME}/admin"),
                "changed",
                Widened,
                Exact,
            )],
        ),
        of_association(
            |files| eks(files, "clusters", "clusters")[0]["version"] = "1.34".into(),
            vec![("UpdateClusterVersion", json!({"name": "blue", "version": "1.34"}))],
            vec![(CLUSTER, format!("arn:aws:eks:{REGION}:{HOME}:cluster/blue"), "field_changed", None, Exact)],
        ),
        Mutation {
            change: |files| {
                list(files.get_mut(&format!("iam/{HOME}/oidc_providers.json")).unwrap(), "OpenIDConnectProviderList")
                    .push(json!({"Arn": format!("arn:aws:iam::{HOME}:oidc-provider/gitlab.com")}));
            },
            calls: vec![("iam", "CreateOpenIDConnectProvider", json!({"url": "https://gitlab.com"}))],
            expected: vec![(PROVIDER, format!("arn:aws:iam::{HOME}:oidc-provider/gitlab.com"), "added", None, Exact)],
        },
        Mutation {
            change: |files| {
                list(files.get_mut(&format!("iam/{HOME}/oidc_providers.json")).unwrap(), "OpenIDConnectProviderList")
                    [0]["ClientIDList"] = json!(["sts.amazonaws.com", "another"]);
            },
            calls: vec![(
                "iam",
                "AddClientIDToOpenIDConnectProvider",
                json!({"openIDConnectProviderArn": format!("arn:aws:iam::{HOME}:oidc-provider/token.actions.githubusercontent.com"),
                    "clientID": "another"}),
            )],
            expected: vec![(
                PROVIDER,
                format!("arn:aws:iam::{HOME}:oidc-provider/token.actions.githubusercontent.com"),
                "client_id_added",
                None,
                Exact,
            )],
        },
        // Nobody called: the trail has no event.
        of_role(
            |files| role(files, "w27")["RolePolicyList"][0]["PolicyDocument"] = more(),
            vec![],
            "w27",
            "inline_policy_changed",
            Widened,
            Attribution::None,
        ),
    ]
}

/// The record of a call that was made so many seconds after the time.
pub(crate) fn event(
    from: DateTime<Utc>,
    number: usize,
    (service, name, request): &(&str, &str, Value),
    error: Option<&str>,
) -> Value {
    let at = from + TimeDelta::seconds(i64::try_from(number).unwrap());
    let region = if ["iam", "organizations"].contains(service) { "us-east-1" } else { REGION };
    let mut event = json!({
        "eventVersion": "1.09", "eventSource": format!("{service}.amazonaws.com"), "eventName": name,
        "userIdentity": {
            "type": "AssumedRole", "arn": format!("arn:aws:sts::{HOME}:assumed-role/deployer/build"), "accountId": HOME,
            "accessKeyId": "ASIADEPLOYER", "sessionContext": {"sessionIssuer": {
                "type": "Role", "arn": role_arn("deployer"), "accountId": HOME
            }}
        },
        "eventTime": at.to_rfc3339_opts(SecondsFormat::Secs, true), "awsRegion": region,
        "sourceIPAddress": "198.51.100.7", "userAgent": "APN/1.0 HashiCorp/1.0 Terraform/1.9.0",
        "eventID": format!("change-{number}"), "requestParameters": request, "responseElements": null,
        "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": HOME,
        "eventCategory": "Management"
    });
    if let Some(error) = error {
        event["errorCode"] = error.into();
    }
    event
}

/// A call and its error.
pub(crate) type Call = ((&'static str, &'static str, Value), Option<&'static str>);

/// The estate after every mutation, the changes that are to be found, and the calls.
pub(crate) fn mutated(first: &Files) -> (Files, Vec<Expected>, Vec<Call>) {
    let (mut second, mut expected, mut events) = (first.clone(), Vec::new(), Vec::new());
    let mutations = mutations();
    assert!(mutations.len() >= 35, "{}", mutations.len());
    for mutation in mutations {
        (mutation.change)(&mut second);
        events.extend(mutation.calls.into_iter().map(|call| (call, None)));
        expected.extend(mutation.expected);
    }
    let refused = json!({"roleName": "w27", "policyName": "own", "policyDocument": more().to_string()});
    events.push((("iam", "PutRolePolicy", refused), Some("AccessDenied")));
    (second, expected, events)
}

/// Puts the trail of calls beside an estate.
pub(crate) fn put_trail(files: &mut Files, from: DateTime<Utc>, events: &[Call]) {
    for region in ["us-east-1", REGION] {
        let of_region = events.iter().enumerate().map(|(n, (call, error))| event(from, n, call, *error));
        let records: Vec<Value> = of_region.filter(|event| event["awsRegion"] == region).collect();
        let path = format!("trail/AWSLogs/{HOME}/CloudTrail/{region}/{}/x.json", from.format("%Y/%m/%d"));
        files.insert(path, json!({ "Records": records }));
    }
}
