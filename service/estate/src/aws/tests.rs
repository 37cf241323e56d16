//! AWS's answers, as they come from calls and from files.

use super::*;
use crate::resource::{Documents, OrgPolicyKind};
use rolecall_iam::AccountId;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn account() -> AccountId {
    "111122223333".parse().unwrap()
}

fn role() -> RoleDetail {
    RoleDetail {
        arn: some("arn:aws:iam::111122223333:role/api"),
        role_id: some("AROAEXAMPLE000000001"),
        role_policy_list: Some(vec![]),
        attached_managed_policies: Some(vec![]),
        instance_profiles: Some(vec![]),
        ..RoleDetail::default()
    }
}

#[test]
fn a_role_with_a_part_that_cannot_be_read_is_refused_by_its_field() {
    type Change = fn(&mut RoleDetail);
    let cases: [(Change, &str); 11] = [
        (|it| it.arn = some("arn:aws:iam::111122223333:user/api"), "/Arn"),
        (|it| it.arn = None, "/Arn"),
        (|it| it.role_id = some(""), "/RoleId"),
        (|it| it.role_policy_list = None, "/RolePolicyList"),
        (|it| it.attached_managed_policies = None, "/AttachedManagedPolicies"),
        (|it| it.instance_profiles = None, "/InstanceProfileList"),
        (|it| it.instance_profiles = Some(vec![some("a"), None]), "/InstanceProfileList/1/Arn"),
        (
            |it| it.role_policy_list = Some(vec![RolePolicy { policy_name: some("a"), policy_document: some("") }]),
            "/RolePolicyList/0/PolicyDocument",
        ),
        (
            |it| it.role_policy_list = Some(vec![RolePolicy { policy_name: None, policy_document: some("{}") }]),
            "/RolePolicyList/0/PolicyName",
        ),
        (
            |it| {
                it.attached_managed_policies =
                    Some(vec![AttachedManagedPolicy { policy_arn: some("P"), policy_name: None }]);
            },
            "/AttachedManagedPolicies/0/PolicyArn",
        ),
        (
            |it| it.permissions_boundary = Some(PermissionsBoundary::default()),
            "/PermissionsBoundary/PermissionsBoundaryArn",
        ),
    ];
    for (change, field) in cases {
        let mut detail = role();
        change(&mut detail);
        let mut documents = Documents::default();
        assert_eq!(detail.into_role(&mut documents).unwrap_err().field, field);
        assert!(documents.is_empty(), "{field}: nothing of a refused role is kept");
    }
}

#[test]
fn a_role_is_sorted_and_its_texts_are_kept_as_they_came() {
    let policy = |name: &str, text: &str| RolePolicy { policy_name: some(name), policy_document: some(text) };
    let attached = |arn: &str, name: Option<&str>| AttachedManagedPolicy {
        policy_arn: some(arn),
        policy_name: name.map(str::to_owned),
    };
    let detail = RoleDetail {
        assume_role_policy_document: some("not a policy"),
        role_policy_list: Some(vec![policy("b", "%7B%22Statement%22%3A%5B%5D%7D"), policy("a", "{\"Statement\":[]}")]),
        attached_managed_policies: Some(vec![
            attached("arn:aws:iam::aws:policy/path/Z", None),
            attached("arn:aws:iam::aws:policy/A", Some("A")),
        ]),
        permissions_boundary: Some(PermissionsBoundary { permissions_boundary_arn: some("") }),
        instance_profiles: Some(vec![some("b"), some("a")]),
        role_last_used: Some(LastUsed::default()),
        ..role()
    };
    let mut documents = Documents::default();
    let (role, last_used) = detail.into_role(&mut documents).unwrap();
    assert_eq!(last_used, None, "a role that was never used");
    assert_eq!(role.inline.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(role.inline[0].document, role.inline[1].document, "percent-encoding is no difference");
    assert_eq!(role.attached.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["A", "Z"]);
    assert_eq!(role.boundary, None, "a boundary with an empty ARN is not set");
    assert_eq!(role.instance_profiles, ["a", "b"]);
    assert!(documents.get(&role.trust.unwrap()).is_some(), "a text that is no policy stays");
}

#[test]
fn the_document_of_a_policy_is_that_of_its_default_version() {
    let version = |id: &str, is_default: bool| PolicyVersion {
        version_id: some(id),
        is_default_version: is_default,
        document: Some(format!("{{\"Statement\":[],\"Id\":\"{id}\"}}")),
    };
    // `DefaultVersionId`, versions with `IsDefaultVersion`, and the version in force with that of its document.
    type Case<'a> = (Option<&'a str>, &'a [(&'a str, bool)], Option<(&'a str, Option<&'a str>)>);
    let cases: [Case<'_>; 5] = [
        (Some("v2"), &[("v1", false), ("v2", true)], Some(("v2", Some("v2")))),
        (None, &[("v1", false), ("v2", true)], Some(("v2", Some("v2")))),
        (Some("v2"), &[("v2", false)], Some(("v2", Some("v2")))),
        // Which one is in force is said, and it is not there.
        (Some("v3"), &[("v2", true)], Some(("v3", None))),
        (None, &[("v1", false)], None),
    ];
    for (default, versions, expected) in cases {
        let mut documents = Documents::default();
        let detail = ManagedPolicyDetail {
            arn: some("arn:aws:iam::111122223333:policy/P"),
            policy_id: some("ANPA1"),
            default_version_id: default.map(str::to_owned),
            policy_version_list: versions.iter().map(|(id, is_default)| version(id, *is_default)).collect(),
            ..ManagedPolicyDetail::default()
        };
        let policy = detail.into_policy(account(), &mut documents).ok();
        let found = policy.map(|policy| {
            let text = policy.document.map(|digest| documents.get(&digest).unwrap().text.clone());
            (policy.default_version, text.and_then(|text| text.split('"').nth_back(1).map(str::to_owned)))
        });
        assert_eq!(found, expected.map(|(version, text)| (version.to_owned(), text.map(str::to_owned))), "{default:?}");
    }
}

#[test]
fn a_policy_without_an_id_is_a_policy() {
    let detail = ManagedPolicyDetail {
        arn: some("arn:aws:iam::111122223333:policy/P"),
        default_version_id: some("v1"),
        ..ManagedPolicyDetail::default()
    };
    let policy = detail.into_policy(account(), &mut Documents::default()).unwrap();
    assert_eq!((policy.policy_id.as_str(), policy.name.as_str()), ("", "P"));
}

#[test]
fn an_arn_that_is_not_given_is_made_in_the_partition_of_its_region() {
    let cases = [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
    ];
    for (region, partition) in cases {
        let cluster = ClusterDescription { name: some("prod"), arn: some(""), ..ClusterDescription::default() };
        let cluster = cluster.into_cluster(account(), region.parse().unwrap()).unwrap();
        assert_eq!(cluster.arn, format!("arn:{partition}:eks:{region}:111122223333:cluster/prod"));
        let summary = AssociationSummary {
            cluster_name: some("prod"),
            namespace: some("pay"),
            service_account: some("api"),
            association_id: some("a-1"),
            ..AssociationSummary::default()
        };
        let association = summary.into_association(account(), region.parse().unwrap()).unwrap();
        let expected = format!("arn:{partition}:eks:{region}:111122223333:podidentityassociation/prod/a-1");
        assert_eq!(association.arn, expected);
    }
}

#[test]
fn an_access_entry_with_a_policy_without_an_arn_is_refused() {
    let entry = |policies: &[Option<&str>]| AccessEntryDescription {
        principal_arn: some("arn:aws:iam::111122223333:role/ops"),
        associated_access_policies: policies
            .iter()
            .map(|arn| AssociatedAccessPolicy { policy_arn: arn.map(str::to_owned), namespaces: vec![] })
            .collect(),
        ..AccessEntryDescription::default()
    };
    assert_eq!(entry(&[Some("arn:p")]).into_entry().unwrap().policies.len(), 1);
    let error = entry(&[Some("arn:p"), None]).into_entry().unwrap_err();
    assert_eq!(error.field, "/associatedAccessPolicies/1/policyArn");
}

#[test]
fn an_account_has_the_state_that_organizations_has_now() {
    let cases = [
        (some("SUSPENDED"), some("ACTIVE"), Some("SUSPENDED")),
        (None, some("ACTIVE"), Some("ACTIVE")),
        (some(""), some("ACTIVE"), Some("ACTIVE")),
        (None, None, None),
    ];
    for (state, status, expected) in cases {
        let listed = OrganizationAccount { id: some("444455556666"), state, status, ..OrganizationAccount::default() };
        assert_eq!(listed.into_account().unwrap().0.status.as_deref(), expected);
    }
    let arns = [
        ("arn:aws:organizations::111122223333:account/o-example/444455556666", Some("o-example"), Some(account())),
        ("arn:aws:iam::111122223333:role/o-example", None, None),
        ("444455556666", None, None),
    ];
    for (arn, organization, management) in arns {
        let listed = OrganizationAccount { id: some("444455556666"), arn: some(arn), ..OrganizationAccount::default() };
        let (account, named) = listed.into_account().unwrap();
        assert_eq!((account.organization_id.as_deref(), named), (organization, management), "{arn}");
    }
}

#[test]
fn a_control_policy_is_read_with_all_that_it_binds_or_not_at_all() {
    let policy = || OrganizationPolicy {
        id: some("p-1"),
        kind: some("RESOURCE_CONTROL_POLICY"),
        content: some("{\"Statement\":[]}"),
        targets: vec![some("r-1"), some("ou-1"), some("r-1")],
        ..OrganizationPolicy::default()
    };
    let read = policy().into_policy(account(), &mut Documents::default()).unwrap();
    assert_eq!((read.kind, read.name.as_str()), (OrgPolicyKind::Rcp, "p-1"));
    assert_eq!(read.targets, ["ou-1", "r-1"]);
    type Change = fn(&mut OrganizationPolicy);
    let cases: [(Change, &str); 4] = [
        (|it| it.id = None, "/Id"),
        (|it| it.kind = some("TAG_POLICY"), "/Type"),
        (|it| it.content = some(""), "/Content"),
        (|it| it.targets = vec![some("r-1"), None], "/Targets/1/TargetId"),
    ];
    for (change, field) in cases {
        let mut policy = policy();
        change(&mut policy);
        assert_eq!(policy.into_policy(account(), &mut Documents::default()).unwrap_err().field, field);
    }
}

#[test]
fn the_home_of_a_trail_is_in_its_arn_where_nothing_else_says_it() {
    let trail = |home: Option<&str>| TrailDescription {
        trail_arn: some("arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"),
        home_region: home.map(str::to_owned),
        ..TrailDescription::default()
    };
    for (home, expected) in [(None, "eu-west-1"), (Some(""), "eu-west-1"), (Some("us-east-1"), "us-east-1")] {
        let (_, trail) = trail(home).into_trail(None).unwrap();
        assert_eq!((trail.region.as_str(), trail.name.as_str()), (expected, "main"));
        assert_eq!(trail.account_id, account());
    }
    assert_eq!(trail(Some("here")).into_trail(None).unwrap_err().field, "/HomeRegion");
}
