//! Which calls change what is watched, and by what each names it.
//!
//! Parameters are named as CloudTrail writes them, which is not always as the API does. Sources: the API
//! references of IAM, EKS, Organizations, CloudTrail and EC2, and their pages on CloudTrail, such as
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html>.

use super::{Evidence, changed, of_arn, only_named, text, within};
use rolecall_estate::{ChangedResource, resource_type};
use serde_json::Value;

const ROLE: &str = "AWS::IAM::Role";
const POLICY: &str = "AWS::IAM::ManagedPolicy";
const PROFILE: &str = "AWS::IAM::InstanceProfile";
const OIDC: &str = "AWS::IAM::OIDCProvider";
const SAML: &str = "AWS::IAM::SAMLProvider";
const CLUSTER: &str = "AWS::EKS::Cluster";
const ASSOCIATION: &str = "AWS::EKS::PodIdentityAssociation";
const ORG_POLICY: &str = "AWS::Organizations::Policy";
const ORG_ACCOUNT: &str = "AWS::Organizations::Account";
const UNIT: &str = "AWS::Organizations::OrganizationalUnit";
const ORGANIZATION: &str = "AWS::Organizations::Organization";
const TRAIL: &str = "AWS::CloudTrail::Trail";

/// The names of calls that change what is watched, by which `LookupEvents` finds them: those that are recorded
/// where they are made, and those of IAM and Organizations, which are recorded in one region of a partition.
pub(crate) const REGIONAL: [&str; 36] = [
    "AssociateAccessPolicy",
    "AssociateEncryptionConfig",
    "AssociateIamInstanceProfile",
    "AssociateIdentityProviderConfig",
    "CreateAccessEntry",
    "CreateAddon",
    "CreateCluster",
    "CreateFargateProfile",
    "CreateNodegroup",
    "CreatePodIdentityAssociation",
    "CreateTrail",
    "DeleteAccessEntry",
    "DeleteAddon",
    "DeleteCluster",
    "DeleteFargateProfile",
    "DeleteNodegroup",
    "DeletePodIdentityAssociation",
    "DeleteTrail",
    "DeregisterCluster",
    "DisassociateAccessPolicy",
    "DisassociateIamInstanceProfile",
    "DisassociateIdentityProviderConfig",
    "PutEventSelectors",
    "RegisterCluster",
    "ReplaceIamInstanceProfileAssociation",
    "StartLogging",
    "StopLogging",
    "TagResource",
    "UntagResource",
    "UpdateAccessEntry",
    "UpdateAddon",
    "UpdateClusterConfig",
    "UpdateClusterVersion",
    "UpdateNodegroupConfig",
    "UpdatePodIdentityAssociation",
    "UpdateTrail",
];
/// See [`REGIONAL`].
pub(crate) const GLOBAL: [&str; 66] = [
    "AcceptHandshake",
    "AccountDepartedOrganization",
    "AccountJoinedOrganization",
    "AcquireRole",
    "AddClientIDToOpenIDConnectProvider",
    "AddRoleToInstanceProfile",
    "AttachPolicy",
    "AttachRolePolicy",
    "CloseAccount",
    "CloseAccountResult",
    "CreateAccount",
    "CreateAccountResult",
    "CreateGovCloudAccount",
    "CreateInstanceProfile",
    "CreateOpenIDConnectProvider",
    "CreateOrganization",
    "CreateOrganizationalUnit",
    "CreatePolicy",
    "CreatePolicyVersion",
    "CreateRole",
    "CreateSAMLProvider",
    "CreateServiceLinkedRole",
    "DeleteInstanceProfile",
    "DeleteOpenIDConnectProvider",
    "DeleteOrganization",
    "DeleteOrganizationalUnit",
    "DeletePolicy",
    "DeletePolicyVersion",
    "DeleteRole",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DeleteSAMLProvider",
    "DeleteServiceLinkedRole",
    "DetachPolicy",
    "DetachRolePolicy",
    "DisablePolicyType",
    "EnableAllFeatures",
    "EnablePolicyType",
    "InviteAccountToOrganization",
    "LeaveOrganization",
    "MoveAccount",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "RemoveAccountFromOrganization",
    "RemoveClientIDFromOpenIDConnectProvider",
    "RemoveRoleFromInstanceProfile",
    "SetDefaultPolicyVersion",
    "TagInstanceProfile",
    "TagOpenIDConnectProvider",
    "TagPolicy",
    "TagResource",
    "TagRole",
    "TagSAMLProvider",
    "UntagInstanceProfile",
    "UntagOpenIDConnectProvider",
    "UntagPolicy",
    "UntagResource",
    "UntagRole",
    "UntagSAMLProvider",
    "UpdateAssumeRolePolicy",
    "UpdateOpenIDConnectProviderThumbprint",
    "UpdateOrganizationalUnit",
    "UpdatePolicy",
    "UpdateRole",
    "UpdateRoleDescription",
    "UpdateSAMLProvider",
];

/// By what a call names what it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Role,
    ServiceRole,
    ManagedPolicy,
    InstanceProfile,
    Oidc,
    Saml,
    Association,
    Addon,
    AccessEntry,
    Cluster,
    Nodegroup,
    FargateProfile,
    Tagged,
    OrgPolicy,
    OrgPolicyType,
    OrgAccount,
    /// The account in whose trail the record stands.
    OwnAccount,
    Invitation,
    Unit,
    Organization,
    Trail,
    Instance,
}

/// The services whose calls change what is watched.
const SOURCES: [&str; 5] = [
    "iam.amazonaws.com",
    "eks.amazonaws.com",
    "organizations.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "ec2.amazonaws.com",
];

/// Whether a record may be of a call that changes what is watched, by as much of its names as is known.
pub(crate) fn is_watched(source: Option<&str>, name: Option<&str>) -> bool {
    match (source, name) {
        (Some(source), Some(name)) => call_of(source, name).is_some(),
        (Some(source), None) => SOURCES.contains(&source),
        (None, Some(name)) => SOURCES.into_iter().any(|source| call_of(source, name).is_some()),
        (None, None) => true,
    }
}

/// What a call changes, by CloudTrail's names; `None` where it is nothing that is watched.
pub(crate) fn call_of(source: &str, name: &str) -> Option<Call> {
    match source {
        "iam.amazonaws.com" => iam(name),
        "eks.amazonaws.com" => eks(name),
        "organizations.amazonaws.com" => organizations(name),
        "cloudtrail.amazonaws.com" => cloudtrail(name),
        "ec2.amazonaws.com" => match name {
            "AssociateIamInstanceProfile"
            | "DisassociateIamInstanceProfile"
            | "ReplaceIamInstanceProfileAssociation" => Some(Call::Instance),
            _ => None,
        },
        _ => None,
    }
}

fn iam(name: &str) -> Option<Call> {
    Some(match name {
        "CreateRole"
        | "AcquireRole"
        | "DeleteRole"
        | "DeleteServiceLinkedRole"
        | "UpdateRole"
        | "UpdateRoleDescription"
        | "UpdateAssumeRolePolicy"
        | "PutRolePolicy"
        | "DeleteRolePolicy"
        | "AttachRolePolicy"
        | "DetachRolePolicy"
        | "PutRolePermissionsBoundary"
        | "DeleteRolePermissionsBoundary"
        | "TagRole"
        | "UntagRole" => Call::Role,
        "CreateServiceLinkedRole" => Call::ServiceRole,
        "CreatePolicy"
        | "CreatePolicyVersion"
        | "SetDefaultPolicyVersion"
        | "DeletePolicyVersion"
        | "DeletePolicy"
        | "TagPolicy"
        | "UntagPolicy" => Call::ManagedPolicy,
        "CreateInstanceProfile"
        | "DeleteInstanceProfile"
        | "AddRoleToInstanceProfile"
        | "RemoveRoleFromInstanceProfile"
        | "TagInstanceProfile"
        | "UntagInstanceProfile" => Call::InstanceProfile,
        "CreateOpenIDConnectProvider"
        | "DeleteOpenIDConnectProvider"
        | "AddClientIDToOpenIDConnectProvider"
        | "RemoveClientIDFromOpenIDConnectProvider"
        | "UpdateOpenIDConnectProviderThumbprint"
        | "TagOpenIDConnectProvider"
        | "UntagOpenIDConnectProvider" => Call::Oidc,
        "CreateSAMLProvider" | "UpdateSAMLProvider" | "DeleteSAMLProvider" | "TagSAMLProvider"
        | "UntagSAMLProvider" => Call::Saml,
        _ => return None,
    })
}

fn eks(name: &str) -> Option<Call> {
    Some(match name {
        "CreatePodIdentityAssociation" | "UpdatePodIdentityAssociation" | "DeletePodIdentityAssociation" => {
            Call::Association
        }
        "CreateAddon" | "UpdateAddon" | "DeleteAddon" => Call::Addon,
        "CreateAccessEntry"
        | "UpdateAccessEntry"
        | "DeleteAccessEntry"
        | "AssociateAccessPolicy"
        | "DisassociateAccessPolicy" => Call::AccessEntry,
        "CreateCluster"
        | "DeleteCluster"
        | "RegisterCluster"
        | "DeregisterCluster"
        | "UpdateClusterConfig"
        | "UpdateClusterVersion"
        | "AssociateIdentityProviderConfig"
        | "DisassociateIdentityProviderConfig"
        | "AssociateEncryptionConfig" => Call::Cluster,
        "CreateNodegroup" | "UpdateNodegroupConfig" | "DeleteNodegroup" => Call::Nodegroup,
        "CreateFargateProfile" | "DeleteFargateProfile" => Call::FargateProfile,
        "TagResource" | "UntagResource" => Call::Tagged,
        _ => return None,
    })
}

fn organizations(name: &str) -> Option<Call> {
    Some(match name {
        "CreatePolicy" | "UpdatePolicy" | "DeletePolicy" | "AttachPolicy" | "DetachPolicy" => Call::OrgPolicy,
        "EnablePolicyType" | "DisablePolicyType" => Call::OrgPolicyType,
        "MoveAccount"
        | "CreateAccount"
        | "CreateGovCloudAccount"
        | "CreateAccountResult"
        | "CloseAccount"
        | "CloseAccountResult"
        | "RemoveAccountFromOrganization"
        | "AccountJoinedOrganization"
        | "AccountDepartedOrganization" => Call::OrgAccount,
        "LeaveOrganization" | "AcceptHandshake" => Call::OwnAccount,
        "InviteAccountToOrganization" => Call::Invitation,
        "CreateOrganizationalUnit" | "UpdateOrganizationalUnit" | "DeleteOrganizationalUnit" => Call::Unit,
        "CreateOrganization" | "DeleteOrganization" | "EnableAllFeatures" => Call::Organization,
        "TagResource" | "UntagResource" => Call::Tagged,
        _ => return None,
    })
}

fn cloudtrail(name: &str) -> Option<Call> {
    match name {
        "CreateTrail" | "UpdateTrail" | "DeleteTrail" | "StartLogging" | "StopLogging" | "PutEventSelectors" => {
            Some(Call::Trail)
        }
        _ => None,
    }
}

/// What a call named.
pub(super) fn resources(call: Call, evidence: &Evidence<'_>) -> Vec<ChangedResource> {
    let mut found = Vec::new();
    match call {
        Call::Role => role(evidence, &mut found),
        Call::ServiceRole => {
            // The name of a new one is in the answer only.
            found.extend(evidence.answered(&["role", "arn"]).map(|arn| changed(ROLE, arn)));
        }
        Call::ManagedPolicy => {
            let created = || evidence.answered(&["policy", "arn"]).map(str::to_owned);
            let named = || {
                let name = evidence.asked("policyName")?;
                Some(evidence.iam("policy", evidence.asked("path").unwrap_or("/"), name))
            };
            let arn = evidence.asked("policyArn").map(str::to_owned).or_else(created).or_else(named);
            found.extend(arn.map(|arn| changed(POLICY, arn)));
        }
        Call::InstanceProfile => {
            if let Some(name) = evidence.asked("instanceProfileName") {
                let arn = evidence.answered(&["instanceProfile", "arn"]).map(str::to_owned);
                let arn = arn
                    .unwrap_or_else(|| evidence.iam("instance-profile", evidence.asked("path").unwrap_or("/"), name));
                found.push(changed(PROFILE, arn));
            }
            // A role that is added to a profile can be used by instances: the role changes, too.
            found.extend(evidence.asked("roleName").map(|name| changed(ROLE, evidence.iam("role", "/", name))));
        }
        Call::Oidc => {
            let created = || evidence.answered(&["openIDConnectProviderArn"]).map(str::to_owned);
            let named = || {
                let url = evidence.asked("url")?;
                let url = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
                Some(evidence.iam("oidc-provider", "/", url))
            };
            let arn = evidence.asked("openIDConnectProviderArn").map(str::to_owned).or_else(created).or_else(named);
            found.extend(arn.map(|arn| changed(OIDC, arn)));
        }
        Call::Saml => {
            let created = || evidence.answered(&["sAMLProviderArn"]).map(str::to_owned);
            let named = || evidence.asked("name").map(|name| evidence.iam("saml-provider", "/", name));
            let arn = evidence.asked("sAMLProviderArn").map(str::to_owned).or_else(created).or_else(named);
            found.extend(arn.map(|arn| changed(SAML, arn)));
        }
        Call::Association => association(evidence, &mut found),
        Call::Addon => {
            if let (Some(cluster), Some(addon)) = (cluster(evidence), evidence.asked("addonName")) {
                let arn = evidence.answered(&["addon", "addonArn"]).map(str::to_owned);
                let arn = arn.unwrap_or_else(|| evidence.regional("eks", &format!("addon/{cluster}/{addon}")));
                found.push(changed("AWS::EKS::Addon", arn));
            }
        }
        Call::AccessEntry => access_entry(evidence, &mut found),
        Call::Cluster => found.extend(cluster(evidence).map(|name| {
            let arn = evidence.answered(&["cluster", "arn"]).map(str::to_owned);
            changed(CLUSTER, arn.unwrap_or_else(|| evidence.regional("eks", &format!("cluster/{name}"))))
        })),
        Call::Nodegroup => of_cluster(
            evidence,
            ("AWS::EKS::Nodegroup", "nodegroup"),
            "nodegroupName",
            &["nodegroup", "nodegroupArn"],
            &mut found,
        ),
        Call::FargateProfile => of_cluster(
            evidence,
            ("AWS::EKS::FargateProfile", "fargateprofile"),
            "fargateProfileName",
            &["fargateProfile", "fargateProfileArn"],
            &mut found,
        ),
        Call::Tagged => {
            if let Some(arn) = evidence.asked("resourceArn") {
                found.extend(resource_type(arn).map(|kind| of_arn(kind, arn)));
            }
            found.extend(evidence.asked("resourceId").and_then(of_organization));
        }
        Call::OrgPolicy => {
            let created = || within(evidence.response, &["policy", "policySummary", "arn"]);
            let id = created().or_else(|| evidence.asked("policyId"));
            found.extend(id.map(|id| changed(ORG_POLICY, id)));
            found.extend(evidence.asked("targetId").and_then(of_organization).map(only_named));
        }
        Call::OrgPolicyType => {
            found.extend(evidence.asked("rootId").map(|id| changed(ORGANIZATION, id)));
        }
        Call::OrgAccount => org_account(evidence, &mut found),
        Call::OwnAccount => found.push(changed(ORG_ACCOUNT, evidence.account.to_string())),
        Call::Invitation => {
            let id = within(evidence.request, &["target", "id"]);
            found.extend(id.and_then(of_organization).filter(|resource| resource.resource_type == ORG_ACCOUNT));
        }
        Call::Unit => {
            let created = || within(evidence.response, &["organizationalUnit", "arn"]);
            let id = created().or_else(|| evidence.asked("organizationalUnitId"));
            found.extend(id.map(|id| changed(UNIT, id)));
            found.extend(evidence.asked("parentId").and_then(of_organization).map(only_named));
        }
        Call::Organization => {
            let arn = within(evidence.response, &["organization", "arn"]);
            found.extend(arn.map(|arn| changed(ORGANIZATION, arn)));
        }
        Call::Trail => {
            let named = || evidence.asked("name").or_else(|| evidence.asked("trailName"));
            if let Some(name) = evidence.answered(&["trailARN"]).or_else(named) {
                let arn = if name.starts_with("arn:") {
                    name.to_owned()
                } else {
                    evidence.regional("cloudtrail", &format!("trail/{name}"))
                };
                found.push(changed(TRAIL, arn));
            }
        }
        Call::Instance => {
            let mut named = Vec::new();
            everywhere(evidence.request, 4, &mut |name, value| {
                named.push((name.to_ascii_lowercase(), value.to_owned()));
            });
            everywhere(evidence.response, 8, &mut |name, value| {
                named.push((name.to_ascii_lowercase(), value.to_owned()));
            });
            for (name, value) in named {
                match name.as_str() {
                    "instanceid" => {
                        let arn = evidence.regional("ec2", &format!("instance/{value}"));
                        found.push(changed("AWS::EC2::Instance", arn));
                    }
                    "arn" if resource_type(&value) == Some(PROFILE) => {
                        found.push(only_named(changed(PROFILE, value)));
                    }
                    "name" => {
                        let arn = evidence.iam("instance-profile", "/", &value);
                        found.push(only_named(changed(PROFILE, arn)));
                    }
                    _ => {}
                }
            }
        }
    }
    found
}

fn role(evidence: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    if let Some(name) = evidence.asked("roleName") {
        let created = evidence.answered(&["role", "arn"]).map(str::to_owned);
        let arn = created.unwrap_or_else(|| evidence.iam("role", evidence.asked("path").unwrap_or("/"), name));
        found.push(changed(ROLE, arn));
    } else {
        found.extend(evidence.answered(&["role", "arn"]).map(|arn| changed(ROLE, arn)));
    }
    for named in ["policyArn", "permissionsBoundary"] {
        let arn = evidence.asked(named).filter(|arn| resource_type(arn) == Some(POLICY));
        found.extend(arn.map(|arn| only_named(changed(POLICY, arn))));
    }
}

/// The cluster of a call of EKS: some name it `name`, others `clusterName`.
fn cluster<'t>(evidence: &Evidence<'t>) -> Option<&'t str> {
    text(evidence.request, "clusterName").or_else(|| text(evidence.request, "name"))
}

fn association(evidence: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    let Some(cluster) = cluster(evidence) else { return };
    let answered = |name| evidence.answered(&["association", name]);
    let id = evidence.asked("associationId").or_else(|| answered("associationId"));
    let namespace = evidence.asked("namespace").or_else(|| answered("namespace"));
    let service_account = evidence.asked("serviceAccount").or_else(|| answered("serviceAccount"));
    let key =
        namespace.zip(service_account).and_then(|(namespace, name)| evidence.association(cluster, namespace, name));
    let resource = match (key, id) {
        (Some(key), _) => key.to_string(),
        (None, Some(id)) => evidence.regional("eks", &format!("podidentityassociation/{cluster}/{id}")),
        (None, None) => return,
    };
    let association_id = id.map(str::to_owned);
    found.push(ChangedResource { association_id, ..changed(ASSOCIATION, resource) });
    for named in ["roleArn", "targetRoleArn"] {
        let arn = evidence.asked(named).filter(|arn| resource_type(arn) == Some(ROLE));
        found.extend(arn.map(|arn| only_named(changed(ROLE, arn))));
    }
}

fn access_entry(evidence: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    let (Some(cluster), Some(principal)) = (cluster(evidence), evidence.asked("principalArn")) else { return };
    let of_principal = || {
        let ["arn", _, "iam", _, account, rest] = crate::shape::parts(principal)? else { return None };
        let kind = rest.split('/').next()?;
        let name = rest.rsplit('/').next()?;
        Some(evidence.regional("eks", &format!("access-entry/{cluster}/{kind}/{account}/{name}")))
    };
    let arn = evidence.answered(&["accessEntry", "accessEntryArn"]).map(str::to_owned).or_else(of_principal);
    found.extend(arn.map(|arn| changed("AWS::EKS::AccessEntry", arn)));
    found
        .extend(resource_type(principal).filter(|kind| *kind == ROLE).map(|kind| only_named(changed(kind, principal))));
}

/// A part of a cluster, whose ARN is in the answer only as a whole.
fn of_cluster(
    evidence: &Evidence<'_>,
    (kind, prefix): (&str, &str),
    name: &str,
    answered: &[&str],
    found: &mut Vec<ChangedResource>,
) {
    if let (Some(cluster), Some(name)) = (cluster(evidence), evidence.asked(name)) {
        let arn = evidence.answered(answered).map(str::to_owned);
        let arn = arn.unwrap_or_else(|| evidence.regional("eks", &format!("{prefix}/{cluster}/{name}")));
        found.push(changed(kind, arn));
    }
}

fn org_account(evidence: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    let mut id = evidence.asked("accountId").map(str::to_owned);
    // An account is made after the call that asks for it; a later event that is no call tells its id.
    for place in [evidence.details, evidence.response] {
        if id.is_none() {
            everywhere(place, 4, &mut |name, value| {
                if name.eq_ignore_ascii_case("accountId") {
                    id.get_or_insert_with(|| value.to_owned());
                }
            });
        }
    }
    found.extend(id.and_then(|id| of_organization(&id)));
    for named in ["sourceParentId", "destinationParentId"] {
        found.extend(evidence.asked(named).and_then(of_organization).map(only_named));
    }
}

/// A resource of Organizations by the form of its id.
fn of_organization(id: &str) -> Option<ChangedResource> {
    let kind = match id.as_bytes() {
        [b'p', b'-', ..] => ORG_POLICY,
        [b'o', b'u', b'-', ..] => UNIT,
        [b'r' | b'o', b'-', ..] => ORGANIZATION,
        digits if digits.len() == 12 && digits.iter().all(u8::is_ascii_digit) => ORG_ACCOUNT,
        _ => return None,
    };
    Some(changed(kind, id))
}

/// All members of a value that are texts, to a depth.
fn everywhere(value: &Value, depth: usize, found: &mut impl FnMut(&str, &str)) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(value) = value.as_str().filter(|value| value.len() <= 2048) {
                    found(name, value);
                }
                everywhere(value, depth, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| everywhere(item, depth, found)),
        _ => {}
    }
}
