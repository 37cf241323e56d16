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
pub(super) fn resources(call: Call, told: &Evidence<'_>) -> Vec<ChangedResource> {
    let mut found = Vec::new();
    match call {
        Call::Role => role(told, &mut found),
        Call::ServiceRole => {
            // The name of a new one is in the answer only.
            found.extend(told.answered(&["role", "arn"]).map(|arn| changed(ROLE, arn)));
        }
        Call::ManagedPolicy => {
            let created = || told.answered(&["policy", "arn"]).map(str::to_owned);
            let named = || {
                let name = told.asked("policyName")?;
                Some(told.iam("policy", told.asked("path").unwrap_or("/"), name))
            };
            let arn = told.asked("policyArn").map(str::to_owned).or_else(created).or_else(named);
            found.extend(arn.map(|arn| changed(POLICY, arn)));
        }
        Call::InstanceProfile => {
            if let Some(name) = told.asked("instanceProfileName") {
                let arn = told.answered(&["instanceProfile", "arn"]).map(str::to_owned);
                let arn = arn.unwrap_or_else(|| told.iam("instance-profile", told.asked("path").unwrap_or("/"), name));
                found.push(changed(PROFILE, arn));
            }
            // A role that is added to a profile can be used by instances: the role changes, too.
            found.extend(told.asked("roleName").map(|name| changed(ROLE, told.iam("role", "/", name))));
        }
        Call::Oidc => {
            let created = || told.answered(&["openIDConnectProviderArn"]).map(str::to_owned);
            let named = || {
                let url = told.asked("url")?;
                let url = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
                Some(told.iam("oidc-provider", "/", url))
            };
            let arn = told.asked("openIDConnectProviderArn").map(str::to_owned).or_else(created).or_else(named);
            found.extend(arn.map(|arn| changed(OIDC, arn)));
        }
        Call::Saml => {
            let created = || told.answered(&["sAMLProviderArn"]).map(str::to_owned);
            let named = || told.asked("name").map(|name| told.iam("saml-provider", "/", name));
            let arn = told.asked("sAMLProviderArn").map(str::to_owned).or_else(created).or_else(named);
            found.extend(arn.map(|arn| changed(SAML, arn)));
        }
        Call::Association => association(told, &mut found),
        Call::Addon => {
            if let (Some(cluster), Some(addon)) = (cluster(told), told.asked("addonName")) {
                let arn = told.answered(&["addon", "addonArn"]).map(str::to_owned);
                let arn = arn.unwrap_or_else(|| told.regional("eks", &format!("addon/{cluster}/{addon}")));
                found.push(changed("AWS::EKS::Addon", arn));
            }
        }
        Call::AccessEntry => access_entry(told, &mut found),
        Call::Cluster => found.extend(cluster(told).map(|name| {
            let arn = told.answered(&["cluster", "arn"]).map(str::to_owned);
            changed(CLUSTER, arn.unwrap_or_else(|| told.regional("eks", &format!("cluster/{name}"))))
        })),
        Call::Nodegroup => of_cluster(
            told,
            ("AWS::EKS::Nodegroup", "nodegroup"),
            "nodegroupName",
            &["nodegroup", "nodegroupArn"],
            &mut found,
        ),
        Call::FargateProfile => of_cluster(
            told,
            ("AWS::EKS::FargateProfile", "fargateprofile"),
            "fargateProfileName",
            &["fargateProfile", "fargateProfileArn"],
            &mut found,
        ),
        Call::Tagged => {
            if let Some(arn) = told.asked("resourceArn") {
                found.extend(resource_type(arn).map(|kind| of_arn(kind, arn)));
            }
            found.extend(told.asked("resourceId").and_then(of_organization));
        }
        Call::OrgPolicy => {
            let created = || within(told.response, &["policy", "policySummary", "arn"]);
            let id = created().or_else(|| told.asked("policyId"));
            found.extend(id.map(|id| changed(ORG_POLICY, id)));
            found.extend(told.asked("targetId").and_then(of_organization).map(only_named));
        }
        Call::OrgPolicyType => {
            found.extend(told.asked("rootId").map(|id| changed(ORGANIZATION, id)));
        }
        Call::OrgAccount => org_account(told, &mut found),
        Call::OwnAccount => found.push(changed(ORG_ACCOUNT, told.account.to_string())),
        Call::Invitation => {
            let id = within(told.request, &["target", "id"]);
            found.extend(id.and_then(of_organization).filter(|resource| resource.resource_type == ORG_ACCOUNT));
        }
        Call::Unit => {
            let created = || within(told.response, &["organizationalUnit", "arn"]);
            let id = created().or_else(|| told.asked("organizationalUnitId"));
            found.extend(id.map(|id| changed(UNIT, id)));
            found.extend(told.asked("parentId").and_then(of_organization).map(only_named));
        }
        Call::Organization => {
            let arn = within(told.response, &["organization", "arn"]);
            found.extend(arn.map(|arn| changed(ORGANIZATION, arn)));
        }
        Call::Trail => {
            let named = || told.asked("name").or_else(|| told.asked("trailName"));
            if let Some(name) = told.answered(&["trailARN"]).or_else(named) {
                let arn = if name.starts_with("arn:") {
                    name.to_owned()
                } else {
                    told.regional("cloudtrail", &format!("trail/{name}"))
                };
                found.push(changed(TRAIL, arn));
            }
        }
        Call::Instance => {
            let mut named = Vec::new();
            everywhere(told.request, 4, &mut |name, value| named.push((name.to_ascii_lowercase(), value.to_owned())));
            everywhere(told.response, 8, &mut |name, value| named.push((name.to_ascii_lowercase(), value.to_owned())));
            for (name, value) in named {
                match name.as_str() {
                    "instanceid" => {
                        let arn = told.regional("ec2", &format!("instance/{value}"));
                        found.push(changed("AWS::EC2::Instance", arn));
                    }
                    "arn" if resource_type(&value) == Some(PROFILE) => {
                        found.push(only_named(changed(PROFILE, value)));
                    }
                    "name" => {
                        let arn = told.iam("instance-profile", "/", &value);
                        found.push(only_named(changed(PROFILE, arn)));
                    }
                    _ => {}
                }
            }
        }
    }
    found
}

fn role(told: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    if let Some(name) = told.asked("roleName") {
        let created = told.answered(&["role", "arn"]).map(str::to_owned);
        let arn = created.unwrap_or_else(|| told.iam("role", told.asked("path").unwrap_or("/"), name));
        found.push(changed(ROLE, arn));
    } else {
        found.extend(told.answered(&["role", "arn"]).map(|arn| changed(ROLE, arn)));
    }
    for named in ["policyArn", "permissionsBoundary"] {
        let arn = told.asked(named).filter(|arn| resource_type(arn) == Some(POLICY));
        found.extend(arn.map(|arn| only_named(changed(POLICY, arn))));
    }
}

/// The cluster of a call of EKS: some name it `name`, others `clusterName`.
fn cluster<'t>(told: &Evidence<'t>) -> Option<&'t str> {
    text(told.request, "clusterName").or_else(|| text(told.request, "name"))
}

fn association(told: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    let Some(cluster) = cluster(told) else { return };
    let answered = |name| told.answered(&["association", name]);
    let id = told.asked("associationId").or_else(|| answered("associationId"));
    let namespace = told.asked("namespace").or_else(|| answered("namespace"));
    let service_account = told.asked("serviceAccount").or_else(|| answered("serviceAccount"));
    let key = namespace.zip(service_account).and_then(|(namespace, name)| told.association(cluster, namespace, name));
    let resource = match (key, id) {
        (Some(key), _) => key.to_string(),
        (None, Some(id)) => told.regional("eks", &format!("podidentityassociation/{cluster}/{id}")),
        (None, None) => return,
    };
    let association_id = id.map(str::to_owned);
    found.push(ChangedResource { association_id, ..changed(ASSOCIATION, resource) });
    for named in ["roleArn", "targetRoleArn"] {
        let arn = told.asked(named).filter(|arn| resource_type(arn) == Some(ROLE));
        found.extend(arn.map(|arn| only_named(changed(ROLE, arn))));
    }
}

fn access_entry(told: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    let (Some(cluster), Some(principal)) = (cluster(told), told.asked("principalArn")) else { return };
    let of_principal = || {
        let ["arn", _, "iam", _, account, rest] = crate::shape::parts(principal)? else { return None };
        let kind = rest.split('/').next()?;
        let name = rest.rsplit('/').next()?;
        Some(told.regional("eks", &format!("access-entry/{cluster}/{kind}/{account}/{name}")))
    };
    let arn = told.answered(&["accessEntry", "accessEntryArn"]).map(str::to_owned).or_else(of_principal);
    found.extend(arn.map(|arn| changed("AWS::EKS::AccessEntry", arn)));
    found
        .extend(resource_type(principal).filter(|kind| *kind == ROLE).map(|kind| only_named(changed(kind, principal))));
}

/// A part of a cluster, whose ARN is in the answer only as a whole.
fn of_cluster(
    told: &Evidence<'_>,
    (kind, prefix): (&str, &str),
    name: &str,
    answered: &[&str],
    found: &mut Vec<ChangedResource>,
) {
    if let (Some(cluster), Some(name)) = (cluster(told), told.asked(name)) {
        let arn = told.answered(answered).map(str::to_owned);
        let arn = arn.unwrap_or_else(|| told.regional("eks", &format!("{prefix}/{cluster}/{name}")));
        found.push(changed(kind, arn));
    }
}

fn org_account(told: &Evidence<'_>, found: &mut Vec<ChangedResource>) {
    let mut id = told.asked("accountId").map(str::to_owned);
    // An account is made after the call that asks for it; a later event that is no call tells its id.
    for place in [told.details, told.response] {
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
        found.extend(told.asked(named).and_then(of_organization).map(only_named));
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
