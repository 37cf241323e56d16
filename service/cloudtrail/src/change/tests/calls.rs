//! Each call that changes what is watched, and what it names.

use super::*;

#[test]
fn each_call_names_what_it_changes() {
    const API: &str = "*IAM::Role arn:aws:iam::111122223333:role/api";
    const READ: &str = "arn:aws:iam::111122223333:policy/read";
    const CHANGED: &str = "*IAM::ManagedPolicy arn:aws:iam::111122223333:policy/read";
    const OIDC: &str = "*IAM::OIDCProvider arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/1";
    const SAML: &str = "*IAM::SAMLProvider arn:aws:iam::111122223333:saml-provider/corp";
    const PROFILE: &str = "*IAM::InstanceProfile arn:aws:iam::111122223333:instance-profile/node";
    const ADDON: &str = "*EKS::Addon arn:aws:eks:eu-west-1:111122223333:addon/shop/vpc-cni";
    const ENTRY: &str = "*EKS::AccessEntry arn:aws:eks:eu-west-1:111122223333:access-entry/shop/role/111122223333/ops";
    const OPS: &str = "IAM::Role arn:aws:iam::111122223333:role/ops";
    const SHOP: &str = "*EKS::Cluster arn:aws:eks:eu-west-1:111122223333:cluster/shop";
    const TRAIL: &str = "*CloudTrail::Trail arn:aws:cloudtrail:us-east-1:111122223333:trail/main";
    let role = json!({"roleName": "api"});
    let with = |more: Value| {
        let mut all = json!({"roleName": "api"});
        merge(&mut all, &more);
        all
    };
    let oidc = json!({"openIDConnectProviderArn": "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/1"});
    let saml = json!({"sAMLProviderArn": "arn:aws:iam::111122223333:saml-provider/corp"});
    let entry = json!({"name": "shop", "principalArn": "arn:aws:iam::111122223333:role/ops"});
    let addon = json!({"name": "shop", "addonName": "vpc-cni"});
    let policy = json!({"policyArn": READ});
    let association = json!({"clusterName": "shop", "associationId": "a-1"});
    let answered = json!({"association": {"clusterName": "shop", "namespace": "shop", "serviceAccount": "api",
        "associationId": "a-1"}});
    const KEY: &str = "*EKS::PodIdentityAssociation 111122223333/eu-west-1/shop/shop/api a-1";
    let cases: Vec<(&str, &str, Value, Value, Vec<&str>)> = vec![
        (
            "iam",
            "CreateRole",
            with(json!({"path": "/team/"})),
            Value::Null,
            vec!["*IAM::Role arn:aws:iam::111122223333:role/team/api"],
        ),
        (
            "iam",
            "CreateRole",
            role.clone(),
            json!({"role": {"arn": "arn:aws:iam::111122223333:role/api", "roleId": "AROA1"}}),
            vec![API],
        ),
        ("iam", "AcquireRole", role.clone(), Value::Null, vec![API]),
        ("iam", "DeleteRole", role.clone(), Value::Null, vec![API]),
        ("iam", "DeleteServiceLinkedRole", role.clone(), Value::Null, vec![API]),
        (
            "iam",
            "CreateServiceLinkedRole",
            json!({"aWSServiceName": "eks.amazonaws.com"}),
            json!({"role": {"arn": "arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS"}}),
            vec![
                "*IAM::Role arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS",
            ],
        ),
        ("iam", "UpdateRole", role.clone(), Value::Null, vec![API]),
        ("iam", "UpdateRoleDescription", role.clone(), Value::Null, vec![API]),
        ("iam", "UpdateAssumeRolePolicy", with(json!({"policyDocument": "{}"})), Value::Null, vec![API]),
        ("iam", "PutRolePolicy", with(json!({"policyName": "p", "policyDocument": "{}"})), Value::Null, vec![API]),
        ("iam", "DeleteRolePolicy", with(json!({"policyName": "p"})), Value::Null, vec![API]),
        (
            "iam",
            "AttachRolePolicy",
            with(policy.clone()),
            Value::Null,
            vec!["IAM::ManagedPolicy arn:aws:iam::111122223333:policy/read", API],
        ),
        (
            "iam",
            "DetachRolePolicy",
            with(policy.clone()),
            Value::Null,
            vec!["IAM::ManagedPolicy arn:aws:iam::111122223333:policy/read", API],
        ),
        (
            "iam",
            "PutRolePermissionsBoundary",
            with(json!({"permissionsBoundary": READ})),
            Value::Null,
            vec!["IAM::ManagedPolicy arn:aws:iam::111122223333:policy/read", API],
        ),
        ("iam", "DeleteRolePermissionsBoundary", role.clone(), Value::Null, vec![API]),
        ("iam", "TagRole", with(json!({"tags": [{"key": "team", "value": "a"}]})), Value::Null, vec![API]),
        ("iam", "UntagRole", with(json!({"tagKeys": ["team"]})), Value::Null, vec![API]),
        (
            "iam",
            "CreatePolicy",
            json!({"policyName": "read", "path": "/"}),
            json!({"policy": {"arn": READ}}),
            vec![CHANGED],
        ),
        (
            "iam",
            "CreatePolicy",
            json!({"policyName": "read", "path": "/t/"}),
            Value::Null,
            vec!["*IAM::ManagedPolicy arn:aws:iam::111122223333:policy/t/read"],
        ),
        ("iam", "CreatePolicyVersion", policy.clone(), Value::Null, vec![CHANGED]),
        ("iam", "SetDefaultPolicyVersion", policy.clone(), Value::Null, vec![CHANGED]),
        ("iam", "DeletePolicyVersion", policy.clone(), Value::Null, vec![CHANGED]),
        ("iam", "DeletePolicy", policy.clone(), Value::Null, vec![CHANGED]),
        ("iam", "TagPolicy", policy.clone(), Value::Null, vec![CHANGED]),
        ("iam", "UntagPolicy", policy.clone(), Value::Null, vec![CHANGED]),
        ("iam", "CreateInstanceProfile", json!({"instanceProfileName": "node"}), Value::Null, vec![PROFILE]),
        ("iam", "DeleteInstanceProfile", json!({"instanceProfileName": "node"}), Value::Null, vec![PROFILE]),
        (
            "iam",
            "AddRoleToInstanceProfile",
            with(json!({"instanceProfileName": "node"})),
            Value::Null,
            vec![PROFILE, API],
        ),
        (
            "iam",
            "RemoveRoleFromInstanceProfile",
            with(json!({"instanceProfileName": "node"})),
            Value::Null,
            vec![PROFILE, API],
        ),
        ("iam", "TagInstanceProfile", json!({"instanceProfileName": "node"}), Value::Null, vec![PROFILE]),
        ("iam", "UntagInstanceProfile", json!({"instanceProfileName": "node"}), Value::Null, vec![PROFILE]),
        (
            "iam",
            "CreateOpenIDConnectProvider",
            json!({"url": "https://oidc.example.com/id/1", "clientIDList": ["sts.amazonaws.com"]}),
            Value::Null,
            vec![OIDC],
        ),
        ("iam", "DeleteOpenIDConnectProvider", oidc.clone(), Value::Null, vec![OIDC]),
        ("iam", "AddClientIDToOpenIDConnectProvider", oidc.clone(), Value::Null, vec![OIDC]),
        ("iam", "RemoveClientIDFromOpenIDConnectProvider", oidc.clone(), Value::Null, vec![OIDC]),
        ("iam", "UpdateOpenIDConnectProviderThumbprint", oidc.clone(), Value::Null, vec![OIDC]),
        ("iam", "TagOpenIDConnectProvider", oidc.clone(), Value::Null, vec![OIDC]),
        ("iam", "UntagOpenIDConnectProvider", oidc, Value::Null, vec![OIDC]),
        ("iam", "CreateSAMLProvider", json!({"name": "corp", "sAMLMetadataDocument": "<x/>"}), Value::Null, vec![SAML]),
        ("iam", "UpdateSAMLProvider", saml.clone(), Value::Null, vec![SAML]),
        ("iam", "DeleteSAMLProvider", saml.clone(), Value::Null, vec![SAML]),
        ("iam", "TagSAMLProvider", saml.clone(), Value::Null, vec![SAML]),
        ("iam", "UntagSAMLProvider", saml, Value::Null, vec![SAML]),
        (
            "eks",
            "CreatePodIdentityAssociation",
            json!({"clusterName": "shop", "namespace": "shop", "serviceAccount": "api",
            "roleArn": "arn:aws:iam::111122223333:role/api", "targetRoleArn": "arn:aws:iam::444455556666:role/ledger"}),
            answered.clone(),
            vec![
                KEY,
                "IAM::Role arn:aws:iam::111122223333:role/api",
                "IAM::Role arn:aws:iam::444455556666:role/ledger",
            ],
        ),
        (
            "eks",
            "CreatePodIdentityAssociation",
            json!({"clusterName": "shop", "namespace": "shop", "serviceAccount": "api"}),
            Value::Null,
            vec!["*EKS::PodIdentityAssociation 111122223333/eu-west-1/shop/shop/api"],
        ),
        ("eks", "UpdatePodIdentityAssociation", association.clone(), answered.clone(), vec![KEY]),
        ("eks", "DeletePodIdentityAssociation", association.clone(), answered, vec![KEY]),
        (
            "eks",
            "DeletePodIdentityAssociation",
            association,
            Value::Null,
            vec!["*EKS::PodIdentityAssociation arn:aws:eks:eu-west-1:111122223333:podidentityassociation/shop/a-1 a-1"],
        ),
        (
            "eks",
            "CreateAddon",
            addon.clone(),
            json!({"addon": {"addonArn": "arn:aws:eks:eu-west-1:111122223333:addon/shop/vpc-cni/ab"}}),
            vec!["*EKS::Addon arn:aws:eks:eu-west-1:111122223333:addon/shop/vpc-cni/ab"],
        ),
        ("eks", "UpdateAddon", addon.clone(), Value::Null, vec![ADDON]),
        ("eks", "DeleteAddon", addon, Value::Null, vec![ADDON]),
        ("eks", "CreateAccessEntry", entry.clone(), Value::Null, vec![ENTRY, OPS]),
        ("eks", "UpdateAccessEntry", entry.clone(), Value::Null, vec![ENTRY, OPS]),
        ("eks", "DeleteAccessEntry", entry.clone(), Value::Null, vec![ENTRY, OPS]),
        ("eks", "AssociateAccessPolicy", entry.clone(), Value::Null, vec![ENTRY, OPS]),
        ("eks", "DisassociateAccessPolicy", entry, Value::Null, vec![ENTRY, OPS]),
        ("eks", "CreateCluster", json!({"name": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "DeleteCluster", json!({"name": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "RegisterCluster", json!({"name": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "DeregisterCluster", json!({"name": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "UpdateClusterConfig", json!({"name": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "UpdateClusterVersion", json!({"name": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "AssociateIdentityProviderConfig", json!({"clusterName": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "DisassociateIdentityProviderConfig", json!({"clusterName": "shop"}), Value::Null, vec![SHOP]),
        ("eks", "AssociateEncryptionConfig", json!({"clusterName": "shop"}), Value::Null, vec![SHOP]),
        (
            "eks",
            "CreateNodegroup",
            json!({"name": "shop", "nodegroupName": "n"}),
            Value::Null,
            vec!["*EKS::Nodegroup arn:aws:eks:eu-west-1:111122223333:nodegroup/shop/n"],
        ),
        (
            "eks",
            "UpdateNodegroupConfig",
            json!({"name": "shop", "nodegroupName": "n"}),
            Value::Null,
            vec!["*EKS::Nodegroup arn:aws:eks:eu-west-1:111122223333:nodegroup/shop/n"],
        ),
        (
            "eks",
            "DeleteNodegroup",
            json!({"name": "shop", "nodegroupName": "n"}),
            Value::Null,
            vec!["*EKS::Nodegroup arn:aws:eks:eu-west-1:111122223333:nodegroup/shop/n"],
        ),
        (
            "eks",
            "CreateFargateProfile",
            json!({"name": "shop", "fargateProfileName": "f"}),
            Value::Null,
            vec!["*EKS::FargateProfile arn:aws:eks:eu-west-1:111122223333:fargateprofile/shop/f"],
        ),
        (
            "eks",
            "DeleteFargateProfile",
            json!({"name": "shop", "fargateProfileName": "f"}),
            Value::Null,
            vec!["*EKS::FargateProfile arn:aws:eks:eu-west-1:111122223333:fargateprofile/shop/f"],
        ),
        (
            "eks",
            "TagResource",
            json!({"resourceArn": "arn:aws:eks:eu-west-1:111122223333:cluster/shop"}),
            Value::Null,
            vec![SHOP],
        ),
        (
            "eks",
            "UntagResource",
            json!({"resourceArn": "arn:aws:eks:eu-west-1:111122223333:podidentityassociation/shop/a-1"}),
            Value::Null,
            vec!["*EKS::PodIdentityAssociation arn:aws:eks:eu-west-1:111122223333:podidentityassociation/shop/a-1 a-1"],
        ),
        (
            "organizations",
            "CreatePolicy",
            json!({"name": "deny", "type": "SERVICE_CONTROL_POLICY", "content": "{}"}),
            json!({"policy": {"policySummary": {"id": "p-1", "arn": "arn:aws:organizations::111122223333:policy/o-1/service_control_policy/p-1"}}}),
            vec!["*Organizations::Policy arn:aws:organizations::111122223333:policy/o-1/service_control_policy/p-1"],
        ),
        ("organizations", "UpdatePolicy", json!({"policyId": "p-1"}), Value::Null, vec!["*Organizations::Policy p-1"]),
        ("organizations", "DeletePolicy", json!({"policyId": "p-1"}), Value::Null, vec!["*Organizations::Policy p-1"]),
        (
            "organizations",
            "AttachPolicy",
            json!({"policyId": "p-1", "targetId": "444455556666"}),
            Value::Null,
            vec!["Organizations::Account 444455556666", "*Organizations::Policy p-1"],
        ),
        (
            "organizations",
            "DetachPolicy",
            json!({"policyId": "p-1", "targetId": "ou-1-2"}),
            Value::Null,
            vec!["Organizations::OrganizationalUnit ou-1-2", "*Organizations::Policy p-1"],
        ),
        (
            "organizations",
            "EnablePolicyType",
            json!({"rootId": "r-1"}),
            Value::Null,
            vec!["*Organizations::Organization r-1"],
        ),
        (
            "organizations",
            "DisablePolicyType",
            json!({"rootId": "r-1"}),
            Value::Null,
            vec!["*Organizations::Organization r-1"],
        ),
        (
            "organizations",
            "MoveAccount",
            json!({"accountId": "444455556666", "sourceParentId": "r-1", "destinationParentId": "ou-1-2"}),
            Value::Null,
            vec![
                "*Organizations::Account 444455556666",
                "Organizations::Organization r-1",
                "Organizations::OrganizationalUnit ou-1-2",
            ],
        ),
        (
            "organizations",
            "CreateAccount",
            json!({"accountName": "new"}),
            json!({"createAccountStatus": {"id": "car-1"}}),
            vec![],
        ),
        ("organizations", "CreateGovCloudAccount", json!({"accountName": "new"}), Value::Null, vec![]),
        (
            "organizations",
            "CloseAccount",
            json!({"accountId": "444455556666"}),
            Value::Null,
            vec!["*Organizations::Account 444455556666"],
        ),
        (
            "organizations",
            "RemoveAccountFromOrganization",
            json!({"accountId": "444455556666"}),
            Value::Null,
            vec!["*Organizations::Account 444455556666"],
        ),
        ("organizations", "LeaveOrganization", Value::Null, Value::Null, vec!["*Organizations::Account 111122223333"]),
        (
            "organizations",
            "AcceptHandshake",
            json!({"handshakeId": "h-1"}),
            Value::Null,
            vec!["*Organizations::Account 111122223333"],
        ),
        (
            "organizations",
            "InviteAccountToOrganization",
            json!({"target": {"id": "444455556666", "type": "ACCOUNT"}}),
            Value::Null,
            vec!["*Organizations::Account 444455556666"],
        ),
        (
            "organizations",
            "CreateOrganizationalUnit",
            json!({"name": "prod", "parentId": "r-1"}),
            json!({"organizationalUnit": {"arn": "arn:aws:organizations::111122223333:ou/o-1/ou-1-2"}}),
            vec![
                "Organizations::Organization r-1",
                "*Organizations::OrganizationalUnit arn:aws:organizations::111122223333:ou/o-1/ou-1-2",
            ],
        ),
        (
            "organizations",
            "UpdateOrganizationalUnit",
            json!({"organizationalUnitId": "ou-1-2"}),
            Value::Null,
            vec!["*Organizations::OrganizationalUnit ou-1-2"],
        ),
        (
            "organizations",
            "DeleteOrganizationalUnit",
            json!({"organizationalUnitId": "ou-1-2"}),
            Value::Null,
            vec!["*Organizations::OrganizationalUnit ou-1-2"],
        ),
        (
            "organizations",
            "CreateOrganization",
            json!({"featureSet": "ALL"}),
            json!({"organization": {"arn": "arn:aws:organizations::111122223333:organization/o-1"}}),
            vec!["*Organizations::Organization arn:aws:organizations::111122223333:organization/o-1"],
        ),
        ("organizations", "DeleteOrganization", Value::Null, Value::Null, vec![]),
        ("organizations", "EnableAllFeatures", Value::Null, Value::Null, vec![]),
        (
            "organizations",
            "TagResource",
            json!({"resourceId": "444455556666"}),
            Value::Null,
            vec!["*Organizations::Account 444455556666"],
        ),
        (
            "organizations",
            "UntagResource",
            json!({"resourceId": "444455556666"}),
            Value::Null,
            vec!["*Organizations::Account 444455556666"],
        ),
        (
            "cloudtrail",
            "CreateTrail",
            json!({"name": "main"}),
            json!({"trailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/main"}),
            vec![TRAIL],
        ),
        ("cloudtrail", "UpdateTrail", json!({"name": "main"}), Value::Null, vec![TRAIL]),
        (
            "cloudtrail",
            "DeleteTrail",
            json!({"name": "arn:aws:cloudtrail:us-east-1:111122223333:trail/main"}),
            Value::Null,
            vec![TRAIL],
        ),
        ("cloudtrail", "StartLogging", json!({"name": "main"}), Value::Null, vec![TRAIL]),
        ("cloudtrail", "StopLogging", json!({"name": "main"}), Value::Null, vec![TRAIL]),
        ("cloudtrail", "PutEventSelectors", json!({"trailName": "main"}), Value::Null, vec![TRAIL]),
        (
            "ec2",
            "AssociateIamInstanceProfile",
            json!({"AssociateIamInstanceProfileRequest": {"InstanceId": "i-1", "IamInstanceProfile": {"Name": "node"}}}),
            Value::Null,
            vec![
                "*EC2::Instance arn:aws:ec2:us-east-1:111122223333:instance/i-1",
                "IAM::InstanceProfile arn:aws:iam::111122223333:instance-profile/node",
            ],
        ),
        (
            "ec2",
            "DisassociateIamInstanceProfile",
            json!({"DisassociateIamInstanceProfileRequest": {"AssociationId": "iip-assoc-1"}}),
            json!({"DisassociateIamInstanceProfileResponse": {"iamInstanceProfileAssociation": {"instanceId": "i-1", "iamInstanceProfile": {"arn": "arn:aws:iam::111122223333:instance-profile/node"}}}}),
            vec![
                "*EC2::Instance arn:aws:ec2:us-east-1:111122223333:instance/i-1",
                "IAM::InstanceProfile arn:aws:iam::111122223333:instance-profile/node",
            ],
        ),
        (
            "ec2",
            "ReplaceIamInstanceProfileAssociation",
            json!({"ReplaceIamInstanceProfileAssociationRequest": {"AssociationId": "iip-assoc-1", "IamInstanceProfile": {"Name": "node"}}}),
            Value::Null,
            vec!["IAM::InstanceProfile arn:aws:iam::111122223333:instance-profile/node"],
        ),
    ];
    let mut met = std::collections::BTreeSet::new();
    for (service, name, request, response, expected) in cases {
        met.insert(name);
        let source = format!("{service}.amazonaws.com");
        let event = one(&record(&source, name, &json!({"requestParameters": request, "responseElements": response})));
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        let mut found = named(&event);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{source} {name}");
        assert_eq!((event.event_source, event.event_name, event.request), (source, name.to_owned(), request));
        assert_eq!((event.error_code, event.is_request_cut), (None, false), "{name}");
    }
    // What a lookup asks for, but events that are no calls.
    let global: Region = "us-east-1".parse().unwrap();
    let named: std::collections::BTreeSet<&str> = names_in(&global).collect();
    met.extend([
        "CreateAccountResult",
        "CloseAccountResult",
        "AccountJoinedOrganization",
        "AccountDepartedOrganization",
    ]);
    assert_eq!(named, met);
    assert_eq!(names_in(&global).count(), named.len(), "each once");
    let regional: Vec<&str> = names_in(&"eu-west-1".parse().unwrap()).collect();
    assert!(regional.contains(&"CreatePodIdentityAssociation") && !regional.contains(&"CreateRole"));
    for (region, expected) in
        [("cn-northwest-1", "cn-north-1"), ("us-gov-east-1", "us-gov-west-1"), ("eu-west-1", "us-east-1")]
    {
        assert_eq!(global_region(&region.parse().unwrap()), expected);
    }
}
