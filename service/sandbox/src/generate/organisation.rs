//! The organisation around the accounts, and what every account has.

use super::draft::{Accounts, Draft, role_arn, trust_arn};
use super::truth::Severity;
use crate::build::{self, Role, allow, deny, document, trust_service, trust_service_for, with};
use crate::estate::{Account, Member, OrgPolicy, Organization, Unit};
use crate::ids;
use serde_json::{Value, json};

pub(super) const ID: &str = "o-generated0";
const ROOT: &str = "r-gen0";
const SSO_PATH: &str = "/aws-reserved/sso.amazonaws.com/eu-west-1/";

/// Accounts by what they are for, from their number.
pub(super) fn accounts(ids: &[String]) -> Accounts {
    let mut rest = ids.iter().cloned();
    let management = rest.next().unwrap_or_default();
    let mut accounts = Accounts { management, ..Accounts::default() };
    if ids.len() >= 4 {
        accounts.locked = rest.next();
        accounts.fenced = rest.next();
    }
    accounts.workloads = rest.collect();
    if accounts.workloads.is_empty() {
        accounts.workloads.push(accounts.management.clone());
    }
    accounts
}

fn unit(accounts: &Accounts, id: &str, turn: usize) -> &'static str {
    if id == accounts.management {
        ROOT
    } else if accounts.locked.as_deref() == Some(id) {
        "ou-gen0-locked00"
    } else if accounts.fenced.as_deref() == Some(id) {
        "ou-gen0-fenced00"
    } else if turn.is_multiple_of(3) {
        "ou-gen0-dev00000"
    } else {
        "ou-gen0-prod0000"
    }
}

/// The organisation: four units below two, guardrails on all workloads, IAM locked in one unit, and
/// one that only the organisation's own principals may enter.
pub(super) fn organisation(accounts: &Accounts, names: &[(String, String)]) -> Organization {
    let units = [
        ("ou-gen0-work0000", "workloads", ROOT),
        ("ou-gen0-prod0000", "prod", "ou-gen0-work0000"),
        ("ou-gen0-dev00000", "dev", "ou-gen0-work0000"),
        ("ou-gen0-locked00", "locked", ROOT),
        ("ou-gen0-fenced00", "fenced", ROOT),
    ];
    let own = |value: &str| value.to_owned();
    // AWS attaches its own policies to everything: what no level allows is denied.
    let everywhere: Vec<String> = std::iter::once(ROOT)
        .chain(units.iter().map(|(id, ..)| *id))
        .chain(names.iter().map(|(id, _)| id.as_str()))
        .map(own)
        .collect();
    let policy = |id: &str, name: &str, kind: &str, content: Value, targets: &[String]| OrgPolicy {
        id: own(id),
        name: own(name),
        kind: own(kind),
        aws_managed: id.contains("FullAWSAccess"),
        content: content.to_string(),
        targets: targets.to_vec(),
    };
    let (scp, rcp) = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY");
    let everything = document(vec![allow(&["*"], &["*"])]);
    let for_anyone = document(vec![with(allow(&["*"], &["*"]), "Principal", json!("*"))]);
    let guardrails = document(vec![deny(
        &["organizations:LeaveOrganization", "cloudtrail:DeleteTrail", "cloudtrail:StopLogging", "guardduty:Delete*"],
        &["*"],
    )]);
    let locked = document(vec![deny(
        &[
            "iam:Add*",
            "iam:Attach*",
            "iam:Create*",
            "iam:Delete*",
            "iam:Detach*",
            "iam:PassRole",
            "iam:Put*",
            "iam:Set*",
            "iam:Update*",
        ],
        &["*"],
    )]);
    let fenced = document(vec![with(
        with(deny(&["sts:AssumeRole"], &["*"]), "Principal", json!("*")),
        "Condition",
        json!({"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ID}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}),
    )]);
    Organization {
        id: own(ID),
        management: accounts.management.clone(),
        root: own(ROOT),
        units: units
            .iter()
            .map(|(id, name, parent)| Unit { id: own(id), name: own(name), parent: own(parent) })
            .collect(),
        members: names
            .iter()
            .enumerate()
            .map(|(turn, (id, name))| Member {
                id: id.clone(),
                name: name.clone(),
                status: own("ACTIVE"),
                parent: own(unit(accounts, id, turn)),
            })
            .collect(),
        policies: vec![
            policy("p-FullAWSAccess", "FullAWSAccess", scp, everything, &everywhere),
            policy("p-RCPFullAWSAccess", "RCPFullAWSAccess", rcp, for_anyone, &everywhere),
            policy("p-guardrl0", "guardrails", scp, guardrails, &[own("ou-gen0-work0000")]),
            policy("p-locked00", "no-writes-to-iam", scp, locked, &[own("ou-gen0-locked00")]),
            policy("p-fenced00", "only-the-organisation", rcp, fenced, &[own("ou-gen0-fenced00")]),
        ],
    }
}

const LINKED: [(&str, &str); 4] = [
    ("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS"),
    ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
    ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    ("organizations.amazonaws.com", "AWSServiceRoleForOrganizations"),
];

/// What every account has: service-linked roles, those of Identity Center, the organisation's way
/// in, an auditor, a trail that records everything, and a person of old.
pub(super) fn common(draft: &mut Draft, id: &str) {
    for (service, name) in LINKED {
        let role = Role::at(id, &format!("/aws-service-role/{service}/"), name, trust_service(service))
            .attach_aws("aws-service-role/AmazonEKSServiceRolePolicy");
        let role = draft.role(role);
        draft.truth.tidy("service-linked", &role, Severity::Info);
    }
    let saml = format!("arn:aws:iam::{id}:saml-provider/AWSSSO_0a1b2c3d_DO_NOT_DELETE");
    let trust = document(vec![
        json!({"Effect": "Allow", "Principal": {"Federated": saml}, "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"],
        "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}}),
    ]);
    for (set, policy) in [("AdministratorAccess", "AdministratorAccess"), ("ReadOnly", "ReadOnlyAccess")] {
        let name = format!("AWSReservedSSO_{set}_{}", ids::hex(&format!("{id}/{set}"), 16));
        let role = draft.role(Role::at(id, SSO_PATH, &name, trust.clone()).attach_aws(policy));
        if set == "ReadOnly" {
            draft.truth.tidy("identity-center", &role, Severity::Medium);
        } else {
            draft.decoy("identity-center-administrator", &role, &["escalates-to-administrator"], Severity::Low);
        }
    }
    let management = draft.accounts.management.clone();
    if id != management {
        let trust = trust_arn(&format!("arn:aws:iam::{management}:root"));
        let role = draft.role(Role::new(id, "OrganizationAccountAccessRole", trust).attach_aws("AdministratorAccess"));
        draft.decoy(
            "organization-access",
            &role,
            &["escalates-to-administrator", "trust-admits-outsider"],
            Severity::Low,
        );
    }
    let trust = trust_arn(&format!("arn:aws:iam::{management}:root"));
    let role = draft.role(Role::new(id, "security-audit", trust).attach_aws("SecurityAudit").tag("owner", "security"));
    draft.truth.tidy("auditor", &role, Severity::Medium);

    let account = draft.account(id);
    account.trails = vec![trail(id)];
    account.oidc_providers.push(build::oidc_provider(id, "token.actions.githubusercontent.com"));
    account.users.push(user(id, "legacy-integration"));
}

fn trail(id: &str) -> Value {
    json!({"Name": "everything", "S3BucketName": format!("cloudtrail-{id}"), "IncludeGlobalServiceEvents": true,
        "IsMultiRegionTrail": true, "HomeRegion": "eu-west-1", "LogFileValidationEnabled": true,
        "TrailARN": format!("arn:aws:cloudtrail:eu-west-1:{id}:trail/everything"), "HasCustomEventSelectors": false,
        "HasInsightSelectors": false, "IsOrganizationTrail": false,
        "EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": [],
            "ExcludeManagementEventSources": []}]})
}

fn user(id: &str, name: &str) -> Value {
    let arn = format!("arn:aws:iam::{id}:user/{name}");
    json!({"Path": "/", "UserName": name, "UserId": ids::role_id(&arn).replacen("AROA", "AIDA", 1), "Arn": arn,
        "CreateDate": "2021-02-03T04:05:06Z", "GroupList": [], "AttachedManagedPolicies": [], "Tags": [],
        "UserPolicyList": []})
}

/// Adds a cluster with its own roles.
pub(super) fn cluster(draft: &mut Draft, place: &super::draft::Place, agent: bool) {
    let (id, name) = (place.account.as_str(), place.name.as_str());
    let mut cluster = build::cluster(id, place.region, name);
    cluster.addons = vec![build::addon(&cluster, "vpc-cni", "v1.20.4-eksbuild.1")];
    if agent {
        cluster.addons.push(build::addon(&cluster, "eks-pod-identity-agent", "v1.3.9-eksbuild.3"));
    }
    let entry = |principal: String, kind: &str, policies: Value| {
        json!({"clusterName": name, "principalArn": principal, "type": kind, "kubernetesGroups": [], "username": "",
            "createdAt": "2025-03-04T05:06:07Z", "modifiedAt": "2025-03-04T05:06:07Z", "tags": {},
            "associatedAccessPolicies": policies})
    };
    cluster.access_entries = vec![
        entry(role_arn(id, &format!("{name}-node")), "EC2_LINUX", json!([])),
        entry(
            role_arn(id, "security-audit"),
            "STANDARD",
            json!([{"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
                "accessScope": {"type": "cluster", "namespaces": []}, "associatedAt": "2025-03-04T05:06:07Z"}]),
        ),
    ];
    let issuer = build::issuer(id, place.region, name);
    let account: &mut Account = draft.account(id);
    account.oidc_providers.push(build::oidc_provider(id, &issuer));
    account.region(place.region).clusters.push(cluster);
    let own = Role::new(id, &format!("{name}-cluster"), trust_service_for("eks.amazonaws.com", id))
        .attach_aws("AmazonEKSClusterPolicy");
    let own = draft.role(own);
    draft.truth.tidy("cluster", &own, Severity::Medium);
    let node = Role::new(id, &format!("{name}-node"), trust_service("ec2.amazonaws.com"))
        .attach_aws("AmazonEKSWorkerNodePolicy")
        .attach_aws("AmazonEKS_CNI_Policy")
        .attach_aws("AmazonEC2ContainerRegistryPullOnly")
        .attach_aws("AmazonSSMManagedInstanceCore")
        .profile();
    let node = draft.role(node);
    draft.decoy(
        "node",
        &node,
        &["admin-equivalent", "escalates-to-administrator", "takes-over-other-principals"],
        Severity::Medium,
    );
}
