//! What `import` reads, from whole estates down to single broken records.

use rolecall_estate::coverage::{GapReason, Scope, ScopeKind};
use rolecall_estate::{Observation, OrgPolicyKind, Recorded};
use rolecall_import::{FileKind, Given, Import, Importer, InputFile, read_files};
use std::io::Write as _;

fn file(path: &str, text: &str) -> InputFile {
    InputFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn read(files: &[(&str, &str)]) -> Import {
    read_files(&files.iter().map(|(path, text)| file(path, text)).collect::<Vec<_>>())
}

fn sum(import: &Import, of: impl Fn(&Observation) -> usize) -> usize {
    import.observations.iter().map(of).sum()
}

const ACCOUNT: &str = "111122223333";

fn scope(kind: ScopeKind) -> Scope {
    Scope::global(ACCOUNT.parse().unwrap(), kind)
}

fn in_region(kind: ScopeKind) -> Scope {
    Scope::regional(ACCOUNT.parse().unwrap(), kind, "eu-west-1".parse().unwrap())
}

fn of_cluster(kind: ScopeKind) -> Scope {
    Scope::of_cluster(ACCOUNT.parse().unwrap(), kind, "eu-west-1".parse().unwrap(), "prod".parse().unwrap())
}

fn reason(observation: &Observation, scope: &Scope) -> Option<GapReason> {
    observation.coverage.gaps_of(scope)?.first().map(|gap| gap.reason)
}

const ROLE: &str = r#"{"Path":"/","RoleName":"api","RoleId":"AROAEXAMPLE000000001","Arn":"arn:aws:iam::111122223333:role/api",
  "CreateDate":"2026-01-01T00:00:00Z","AssumeRolePolicyDocument":TRUST,"InstanceProfileList":[{"Arn":"arn:aws:iam::111122223333:instance-profile/p"}],
  "RolePolicyList":[{"PolicyName":"b","PolicyDocument":{"Version":"2012-10-17","Statement":[]}},{"PolicyName":"a","PolicyDocument":"{\"Statement\":[]}"}],
  "AttachedManagedPolicies":[{"PolicyName":"P","PolicyArn":"arn:aws:iam::aws:policy/P"}],
  "PermissionsBoundary":{"PermissionsBoundaryType":"PermissionsBoundaryPolicy","PermissionsBoundaryArn":"arn:aws:iam::111122223333:policy/B"},
  "Tags":[{"Key":"team","Value":"pay"}],"RoleLastUsed":{"LastUsedDate":"2026-02-01T00:00:00Z","Region":"eu-west-1"}}"#;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn gaad(trust: &str) -> String {
    format!(r#"{{"RoleDetailList":[{}],"Policies":[]}}"#, ROLE.replace("TRUST", trust))
}

/// As AWS answers: with all four lists.
fn authorization_details(rest: &str) -> String {
    let role = ROLE.replace("TRUST", TRUST).replace("arn:aws:iam::aws:policy/P", "arn:aws:iam::111122223333:policy/B");
    let policy = r#"{"PolicyName":"B","PolicyId":"ANPA1","Arn":"arn:aws:iam::111122223333:policy/B","DefaultVersionId":"v1",
        "PolicyVersionList":[{"VersionId":"v1","Document":{"Statement":[]}}]}"#;
    format!(r#"{{"UserDetailList":[],"GroupDetailList":[],"RoleDetailList":[{role}],"Policies":[{policy}]{rest}}}"#)
}

const DETAIL: &str = r#"{"clusterName":"prod","namespace":"pay","serviceAccount":"api","roleArn":"arn:aws:iam::111122223333:role/api",
  "associationArn":"arn:aws:eks:eu-west-1:111122223333:podidentityassociation/prod/a-1","associationId":"a-1",
  "disableSessionTags":true,"policy":"{\"Statement\":[]}","tags":{"team":"pay"},"createdAt":1770000000.25,"modifiedAt":"2026-03-01T00:00:00+01:00",
  "workloadIdentity":{"enabled":true}}"#;

const SUMMARY: &str = r#"{"clusterName":"prod","namespace":"pay","serviceAccount":"api",
  "associationArn":"arn:aws:eks:eu-west-1:111122223333:podidentityassociation/prod/a-1","associationId":"a-1"}"#;

const CLUSTER: &str = r#"{"name":"prod","arn":"arn:aws:eks:eu-west-1:111122223333:cluster/prod","createdAt":"2026-01-01T00:00:00Z",
  "identity":{"oidc":{"issuer":"https://oidc"}},"accessConfig":{"authenticationMode":"API"},"computeConfig":{"enabled":true},"tags":{}}"#;

/// A CloudTrail record of an `AssumeRole` that Pod Identity made.
fn record(id: &str, account: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","eventID":"{id}","eventName":"AssumeRole","eventSource":"sts.amazonaws.com",
        "eventTime":"2026-06-28T09:20:04Z","awsRegion":"eu-west-1","recipientAccountId":"{account}","sourceIPAddress":"pods.eks.amazonaws.com",
        "readOnly":true,"eventCategory":"Management","userIdentity":{{"type":"AWSService","invokedBy":"pods.eks.amazonaws.com"}},
        "requestParameters":{{"roleArn":"arn:aws:iam::{account}:role/api","roleSessionName":"eks-prod-api-0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11"}},
        "responseElements":{{"credentials":{{"accessKeyId":"ASIAEXAMPLE00000{id}"}}}}}}"#
    )
}

/// An estate of two accounts in the layout that `import` reads, each with a role, a policy, a cluster, an
/// association and two records.
fn estate() -> Vec<InputFile> {
    let accounts = ["111122223333", "444455556666"];
    let mut files = vec![file(
        "accounts.json",
        &format!(
            r#"{{"accounts":[{{"id":"{}","name":"pay"}},{{"id":"{}","name":"search"}}]}}"#,
            accounts[0], accounts[1]
        ),
    )];
    for (n, account) in accounts.iter().enumerate() {
        let own = |text: &str| text.replace(ACCOUNT, account);
        files.push(file(&format!("iam/{account}/gaad.json"), &own(&authorization_details(r#","IsTruncated":false"#))));
        let eks = format!("eks/{account}/eu-west-1");
        files.push(file(&format!("{eks}/clusters.json"), &own(&format!(r#"{{"clusters":[{CLUSTER}]}}"#))));
        let associations = own(&format!(r#"{{"associations":[{DETAIL}]}}"#));
        files.push(file(&format!("{eks}/pod_identity_associations.json"), &associations));
        let records = [format!("{n}1"), format!("{n}2")].map(|id| record(&id, account)).join(",");
        let trail = format!("trail/AWSLogs/{account}/CloudTrail/eu-west-1/2026/06/28/x.json");
        files.push(file(&trail, &format!(r#"{{"Records":[{records}]}}"#)));
    }
    files
}

#[test]
fn a_whole_estate_is_read_and_what_it_lacks_is_a_gap() {
    let import = read_files(&estate());
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let counts = [
        sum(&import, |o| o.roles.len()),
        sum(&import, |o| o.policies.len()),
        sum(&import, |o| o.clusters.len()),
        sum(&import, |o| o.associations.len()),
        sum(&import, |o| o.sessions.len()),
        import.observations.len(),
    ];
    assert_eq!(counts, [2, 2, 2, 2, 4, 2]);
    for observation in &import.observations {
        let account = observation.account.as_ref().unwrap();
        assert!(account.name.is_some());
        let global = |kind| Scope::global(account.id, kind);
        for kind in [ScopeKind::Entry, ScopeKind::Roles, ScopeKind::Policies] {
            assert_eq!(observation.coverage.gaps_of(&global(kind)), Some(&[][..]), "{kind}");
        }
        for kind in [ScopeKind::OidcProviders, ScopeKind::OrgPolicies, ScopeKind::Organization] {
            assert_eq!(reason(observation, &global(kind)), Some(GapReason::NotProvided), "{kind}");
        }
        let cluster = &observation.clusters[0];
        let of = |kind| Scope::of_cluster(account.id, kind, cluster.region.clone(), cluster.name.clone());
        assert!(observation.coverage.is_complete(&of(ScopeKind::Associations)));
        assert!(observation.coverage.is_complete(&of(ScopeKind::AssociationDetails)));
        assert_eq!(reason(observation, &of(ScopeKind::Addons)), Some(GapReason::NotProvided));
        let sessions = Scope::regional(account.id, ScopeKind::Sessions, cluster.region.clone());
        assert!(observation.coverage.is_complete(&sessions));
        assert!(observation.documents.iter().all(|document| document.parsed.is_ok()));
        let named = observation.roles.iter().flat_map(|r| r.trust.iter().chain(r.inline.iter().map(|i| &i.document)));
        assert!(named.into_iter().all(|digest| observation.documents.get(digest).is_some()));
    }
}

#[test]
fn authorization_details_import_without_loss_whatever_lists_they_have() {
    let whole = authorization_details("");
    let two = ROLE.replace("TRUST", TRUST).replace("role/api", "role/other").replace(r#""api""#, r#""other""#);
    let two = format!(
        r#"{{"RoleDetailList":[{},{}],"Policies":[]}}"#,
        ROLE.replace("TRUST", TRUST),
        two.replace("0001", "0002")
    );
    let cases = [
        (whole.clone(), 1, 1),
        (gaad(TRUST), 1, 0),
        (two, 2, 0),
        (whole.replace("\n", "\r\n"), 1, 1),
        (format!("\u{feff}{whole}"), 1, 1),
    ];
    for (n, (text, roles, policies)) in cases.iter().enumerate() {
        let import = read(&[("loose.json", text)]);
        assert!(import.problems.is_empty(), "{n}: {:?}", import.problems);
        assert_eq!(import.read[0].kind, FileKind::AuthorizationDetails, "{n}");
        assert_eq!((sum(&import, |o| o.roles.len()), sum(&import, |o| o.policies.len())), (*roles, *policies), "{n}");
    }
}

#[test]
fn cloudtrail_records_are_read_wherever_they_lie() {
    let (one, other) = (record("01", ACCOUNT), record("02", ACCOUNT));
    let line = |text: &str| text.replace('\n', " ");
    let cases = [
        (format!(r#"{{"Records":[{one},{other}]}}"#), 2),
        (format!("[{one},{other}]"), 2),
        (one.clone(), 1),
        (format!("{}\n{}\n", line(&one), line(&other)), 2),
    ];
    for (n, (text, records)) in cases.iter().enumerate() {
        let import = read(&[("loose.json", text)]);
        assert!(import.problems.is_empty(), "{n}: {:?}", import.problems);
        assert_eq!((import.read[0].kind, import.read[0].records), (FileKind::Trail, *records), "{n}");
        for observation in &import.observations {
            let complete =
                observation.coverage.scopes().any(|(s, gaps)| s.kind == ScopeKind::Sessions && gaps.is_empty());
            assert!(!complete, "a loose file is no whole listing: {n}");
        }
    }
    // Names of events are no records.
    let names = read(&[("names.json", r#"{"names":["AssumeRole","AssumeRoleWithWebIdentity"]}"#)]);
    assert_eq!(names.read[0].kind, FileKind::Unrecognised);
    assert!(!names.problems.is_empty());
}

#[test]
fn associations_as_the_cli_prints_them() {
    let cases =
        [(format!(r#"{{"associations":[{SUMMARY}]}}"#), false), (format!(r#"{{"association":{DETAIL}}}"#), true)];
    for (text, is_detailed) in &cases {
        let import = read(&[("answer.json", text)]);
        assert!(import.problems.is_empty(), "{:?}", import.problems);
        assert_eq!(sum(&import, |o| o.associations.len()), 1);
        let detailed = import.observations.iter().flat_map(|o| &o.associations).all(|a| a.detail.is_some());
        assert_eq!(detailed, *is_detailed, "{text}");
    }
}

#[test]
fn organisation_policies_without_targets_are_named() {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}]}"#;
    let broken = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [}\n}\n";
    let import = read(&[("deny.json", policy), ("broken.json", broken)]);
    assert!(import.read.iter().all(|file| file.kind == FileKind::Unrecognised));
    let of = |path: &str| import.problems.iter().find(|p| p.file == path).unwrap();
    assert!(of("deny.json").message.contains("attached"), "{}", of("deny.json"));
    assert_eq!(of("broken.json").line, Some(3));
}

#[test]
fn a_role_keeps_all_that_is_said_of_it() {
    let encoded = TRUST.replace('{', "%7B").replace('"', "%22");
    for trust in [TRUST.to_owned(), format!("{TRUST:?}"), format!("{encoded:?}")] {
        let import = read(&[("x.json", &gaad(&trust))]);
        assert!(import.problems.is_empty(), "{:?}", import.problems);
        let observation = &import.observations[0];
        let role = &observation.roles[0];
        let document = observation.documents.get(role.trust.as_ref().unwrap()).unwrap();
        assert!(document.parsed.is_ok(), "{trust}");
        assert_eq!(role.inline.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(role.attached[0].arn.as_str(), "arn:aws:iam::aws:policy/P");
        assert_eq!(role.boundary.as_ref().unwrap().as_str(), "arn:aws:iam::111122223333:policy/B");
        assert_eq!(role.tags["team"], "pay");
        assert_eq!(role.instance_profiles.len(), 1);
        assert_eq!(observation.last_used[0].region.as_deref(), Some("eu-west-1"));
        assert_eq!(reason(observation, &scope(ScopeKind::Roles)), Some(GapReason::Filtered));
    }
}

#[test]
fn the_policy_version_in_force_counts() {
    let policy = |default: &str| {
        format!(
            r#"{{"Policies":[{{"PolicyName":"p","PolicyId":"ANPA1","Arn":"arn:aws:iam::111122223333:policy/p","DefaultVersionId":"{default}",
            "PolicyVersionList":[{{"VersionId":"v2","Document":{{"Statement":[]}}}},{{"VersionId":"v1","Document":{TRUST}}}]}}]}}"#
        )
    };
    let import = read(&[("x.json", &policy("v1"))]);
    let observation = &import.observations[0];
    let document = observation.documents.get(observation.policies[0].document.as_ref().unwrap()).unwrap();
    assert_eq!(document.statements().len(), 1);
    assert_eq!(reason(observation, &scope(ScopeKind::Roles)), Some(GapReason::NotProvided));
    assert_eq!(reason(observation, &scope(ScopeKind::Policies)), Some(GapReason::Filtered));
    let import = read(&[("x.json", &policy("v3"))]);
    assert!(import.problems[0].message.contains("v3"));
    assert_eq!(reason(&import.observations[0], &scope(ScopeKind::Policies)), Some(GapReason::Malformed));
}

#[test]
fn a_listing_and_a_description_make_one_association() {
    let listed = format!(r#"{{"associations":[{SUMMARY}]}}"#);
    let described = format!(r#"{{"association":{DETAIL}}}"#);
    let (list, detail) = (("list.json", listed.as_str()), ("one.json", described.as_str()));
    for files in [[list, detail], [detail, list]] {
        let import = read(&files);
        assert!(import.problems.is_empty(), "{:?}", import.problems);
        let observation = &import.observations[0];
        let detail = observation.associations[0].detail.as_ref().unwrap();
        assert!(detail.disable_session_tags && detail.policy.is_some());
        assert_eq!(detail.extra["workloadIdentity"]["enabled"], true);
        assert_eq!(detail.created_at.unwrap().timestamp(), 1_770_000_000);
        assert_eq!(reason(observation, &of_cluster(ScopeKind::Associations)), Some(GapReason::Unproven));
        assert!(observation.coverage.is_complete(&of_cluster(ScopeKind::AssociationDetails)));
    }
    let import = read(&[list]);
    let observation = &import.observations[0];
    assert!(observation.associations[0].detail.is_none());
    assert_eq!(reason(observation, &of_cluster(ScopeKind::Associations)), Some(GapReason::Unproven));
    assert_eq!(reason(observation, &of_cluster(ScopeKind::AssociationDetails)), Some(GapReason::NotProvided));
    let import = read(&[detail]);
    assert_eq!(reason(&import.observations[0], &of_cluster(ScopeKind::Associations)), Some(GapReason::Unproven));
}

#[test]
fn clusters_say_what_they_are() {
    let listed = format!(r#"{{"clusters":[{CLUSTER}]}}"#);
    let import = read(&[("eks/111122223333/eu-west-1/clusters.json", &listed)]);
    let observation = &import.observations[0];
    let cluster = &observation.clusters[0];
    assert_eq!((cluster.auto_mode, cluster.oidc_issuer.as_deref()), (Some(true), Some("https://oidc")));
    assert_eq!(cluster.authentication_mode.as_deref(), Some("API"));
    assert!(observation.coverage.is_complete(&in_region(ScopeKind::Clusters)));
    assert_eq!(reason(observation, &in_region(ScopeKind::Sessions)), Some(GapReason::NotProvided));
    assert_eq!(reason(observation, &in_region(ScopeKind::Trails)), Some(GapReason::NotProvided));
    let import = read(&[("one.json", &format!(r#"{{"cluster":{CLUSTER}}}"#))]);
    assert_eq!(reason(&import.observations[0], &in_region(ScopeKind::Clusters)), Some(GapReason::Unproven));
    let names = read(&[("names.json", r#"{"clusters":["prod"]}"#)]);
    assert!(names.problems[0].message.contains("names only"));
}

#[test]
fn a_broken_record_is_named_and_the_rest_is_read() {
    let two = gaad(TRUST).replacen(
        r#""RoleDetailList":["#,
        r#""RoleDetailList":[{"Arn":"arn:aws:iam::111122223333:user/x"},7,"#,
        1,
    );
    let import = read(&[("iam/111122223333/gaad.json", &two)]);
    let observation = &import.observations[0];
    assert_eq!(observation.roles.len(), 1);
    assert_eq!(import.problems.iter().map(|p| p.record).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert_eq!(import.problems[0].field, "/RoleDetailList/0/Arn");
    assert_eq!(reason(observation, &scope(ScopeKind::Roles)), Some(GapReason::Malformed));

    let two =
        format!(r#"{{"associations":[{DETAIL},{}]}}"#, SUMMARY.replace("\"pay\"", "7").replace("\"api\"", "\"b\""));
    let import = read(&[("eks/111122223333/eu-west-1/pod_identity_associations.json", &two)]);
    assert_eq!(import.observations[0].associations.len(), 1);
    assert_eq!(import.problems[0].field, "/associations/1/namespace");
    assert_eq!(reason(&import.observations[0], &of_cluster(ScopeKind::Associations)), Some(GapReason::Malformed));
}

#[test]
fn a_broken_file_is_a_hole_where_it_lies() {
    let import = read(&[("iam/111122223333/gaad.json", "{\"RoleDetailList\":[\n{\"Arn\":]}")]);
    assert_eq!((import.problems[0].line, import.read[0].kind), (Some(2), FileKind::Unrecognised));
    assert_eq!(reason(&import.observations[0], &scope(ScopeKind::Roles)), Some(GapReason::Malformed));
    let beside = read(&[
        ("iam/111122223333/README.md", "notes"),
        ("iam/111122223333/other.json", "{}"),
        ("iam/111122223333/gaad.json", &authorization_details(r#","IsTruncated":false"#)),
    ]);
    assert_eq!(beside.problems.len(), 2);
    assert!(
        beside.observations[0].coverage.is_complete(&scope(ScopeKind::Roles)),
        "a note beside a listing is no hole in it"
    );
    let import = read(&[("eks/111122223333/eu-west-1/clusters.json", "")]);
    assert_eq!(reason(&import.observations[0], &in_region(ScopeKind::Clusters)), Some(GapReason::Malformed));
}

#[test]
fn a_role_that_lost_a_list_or_its_boundary_is_refused_and_not_half_read() {
    let cases = [
        ("RolePolicyList", "RoleDetailList/0/RolePolicyList"),
        ("AttachedManagedPolicies", "RoleDetailList/0/AttachedManagedPolicies"),
        ("InstanceProfileList", "RoleDetailList/0/InstanceProfileList"),
        ("PermissionsBoundaryArn", "RoleDetailList/0/PermissionsBoundary/PermissionsBoundaryArn"),
        ("RoleId", "RoleDetailList/0/RoleId"),
    ];
    for (key, field) in cases {
        let text = gaad(TRUST).replace(&format!("\"{key}\""), "\"Other\"");
        let import = read(&[("iam/111122223333/gaad.json", &text)]);
        assert_eq!(import.problems[0].field, format!("/{field}"));
        assert!(import.observations[0].roles.is_empty(), "{key}");
        assert_eq!(reason(&import.observations[0], &scope(ScopeKind::Roles)), Some(GapReason::Malformed), "{key}");
    }
}

#[test]
fn parts_of_a_cluster_that_are_given_twice_are_one() {
    let addon = |name: &str| format!(r#"{{"addon":{{"addonName":"{name}","clusterName":"prod"}}}}"#);
    let entry = |name: &str| {
        format!(r#"{{"accessEntry":{{"clusterName":"prod","principalArn":"arn:aws:iam::111122223333:role/{name}"}}}}"#)
    };
    let folder = "eks/111122223333/eu-west-1";
    let import = read(&[
        (&format!("{folder}/clusters.json"), &format!(r#"{{"clusters":[{CLUSTER}]}}"#)),
        (&format!("{folder}/1.json"), &addon("z")),
        (&format!("{folder}/2.json"), &addon("a")),
        (&format!("{folder}/3.json"), &addon("z")),
        (&format!("{folder}/4.json"), &entry("z")),
        (&format!("{folder}/5.json"), &entry("a")),
        (&format!("{folder}/6.json"), &entry("z")),
    ]);
    let cluster = &import.observations[0].clusters[0];
    let addons: Vec<&str> = cluster.addons.as_ref().unwrap().iter().map(|it| it.name.as_str()).collect();
    let entries: Vec<&str> =
        cluster.access_entries.as_ref().unwrap().iter().filter_map(|it| it.principal_arn.rsplit('/').next()).collect();
    assert_eq!((addons, entries), (vec!["a", "z"], vec!["a", "z"]));
}

#[test]
fn an_account_has_the_state_of_its_record_or_the_status_of_an_older_one() {
    for (fields, expected) in [
        (r#""State":"SUSPENDED","Status":"ACTIVE""#, "SUSPENDED"),
        (r#""State":"PENDING_CLOSURE""#, "PENDING_CLOSURE"),
        (r#""Status":"ACTIVE""#, "ACTIVE"),
    ] {
        let import = read(&[("a.json", &format!(r#"{{"Accounts":[{{"Id":"{ACCOUNT}",{fields}}}]}}"#))]);
        assert_eq!(import.observations[0].account.as_ref().unwrap().status.as_deref(), Some(expected));
    }
}

#[test]
fn times_keep_their_fraction_in_either_form() {
    for (text, expected) in [
        ("1770000000.25", "2026-02-02T02:40:00.250Z"),
        ("1770000000", "2026-02-02T02:40:00Z"),
        ("\"2026-02-02T02:40:00.25+00:00\"", "2026-02-02T02:40:00.250Z"),
    ] {
        let cluster = CLUSTER.replace("\"2026-01-01T00:00:00Z\"", text);
        let import = read(&[("clusters.json", &format!(r#"{{"clusters":[{cluster}]}}"#))]);
        let created_at = import.observations[0].clusters[0].created_at.unwrap();
        assert_eq!(created_at, expected.parse::<chrono::DateTime<chrono::Utc>>().unwrap(), "{text}");
    }
}

#[test]
fn the_same_role_told_twice_must_be_the_same() {
    let other = gaad(TRUST).replace("AROAEXAMPLE000000001", "AROAEXAMPLE000000002");
    let import = read(&[("a.json", &gaad(TRUST)), ("b.json", &gaad(TRUST)), ("c.json", &other)]);
    assert_eq!(import.observations[0].roles.len(), 1);
    assert_eq!(import.problems.len(), 1);
    assert!(import.problems[0].file == "c.json" && import.problems[0].message.contains("not the same"));
}

#[test]
fn an_organisation_gives_paths_and_policies_with_targets() {
    let tree = r#"{"Id":"r-1","Arn":"arn:aws:organizations::999999999999:root/o-1/r-1","Name":"Root","Children":[
        {"Id":"ou-1","Name":"workloads","Children":[{"Id":"ou-2","Name":"prod","Children":[{"Id":"111122223333","Name":"pay","Status":"ACTIVE"}]}]},
        {"Id":"999999999999","Name":"management"}]}"#;
    let policies = r#"{"policies":[{"Id":"p-1","Name":"guard","Type":"SERVICE_CONTROL_POLICY","Content":"{\"Statement\":[]}","Targets":[{"TargetId":"ou-1"},"r-1"]},
        {"Id":"p-2","Type":"TAG_POLICY","Content":"{}"}]}"#;
    let import = read(&[("organizations/tree.json", tree), ("organizations/policies.json", policies)]);
    let of = |id: &str| import.observations.iter().find(|o| o.account.as_ref().unwrap().id.to_string() == id).unwrap();
    let (member, manager) = (of(ACCOUNT), of("999999999999"));
    assert_eq!(member.account.as_ref().unwrap().ou_path.as_deref(), Some("/workloads/prod"));
    assert_eq!(member.account.as_ref().unwrap().status.as_deref(), Some("ACTIVE"));
    assert!(manager.account.as_ref().unwrap().is_management);
    let paths: Vec<&str> = manager.org_units.iter().map(|u| u.path.as_str()).collect();
    assert_eq!(paths, ["/", "/workloads", "/workloads/prod"]);
    assert_eq!(manager.org_policies[0].targets, ["ou-1", "r-1"]);
    assert_eq!(import.problems.len(), 1);
    assert_eq!(import.problems[0].field, "/policies/1/Type");
    assert_eq!(reason(member, &scope(ScopeKind::Entry)), Some(GapReason::NotProvided));
    let lone = read(&[("policies.json", policies)]);
    assert!(lone.problems[0].remedy.contains("`management`"));
}

#[test]
fn an_organisation_may_be_told_flat_and_its_policies_first() {
    let accounts = r#"{"organization":"o-1","management":"999999999999","hub":"888888888888","accounts":[{"id":"111122223333","name":"pay"}]}"#;
    let tree = r#"{"organization":{"Id":"o-1","MasterAccountId":"999999999999"},"roots":[{"Id":"r-1","Name":"Root"}],
        "units":[{"Id":"ou-2","Name":"prod","ParentId":"ou-1"},{"Id":"ou-1","Name":"workloads","ParentId":"r-1"}],
        "accounts":[{"Id":"111122223333","Name":"pay","Status":"ACTIVE","ParentId":"ou-2"},{"Id":"999999999999","ParentId":"r-1"}]}"#;
    let policies = r#"{"policies":[{"PolicySummary":{"Id":"p-1","Name":"guard","Type":"RESOURCE_CONTROL_POLICY"},"Content":"{\"Statement\":[]}","Targets":[{"TargetId":"ou-1"}]}]}"#;
    let import = read(&[
        ("organizations/policies.json", policies),
        ("organizations/tree.json", tree),
        ("accounts.json", accounts),
    ]);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    assert_eq!(import.read[0].records, 1);
    let of = |id: &str| import.observations.iter().find(|o| o.account.as_ref().unwrap().id.to_string() == id).unwrap();
    assert_eq!(of(ACCOUNT).account.as_ref().unwrap().ou_path.as_deref(), Some("/workloads/prod"));
    assert!(of("999999999999").account.as_ref().unwrap().is_management);
    let holder = import.observations.iter().find(|o| !o.org_policies.is_empty()).unwrap();
    let id = holder.account.as_ref().unwrap().id;
    assert_eq!((id.to_string().as_str(), holder.org_units.len()), ("888888888888", 3));
    let told: Vec<_> = holder.coverage.gaps_of(&Scope::global(id, ScopeKind::OrgPolicies)).unwrap().to_vec();
    assert!(told.iter().all(|gap| gap.action == OrgPolicyKind::Scp.listing()), "no SCP is among them: {told:?}");
    assert_eq!(of(ACCOUNT).coverage.gaps_of(&scope(ScopeKind::OrgPolicies)), None);
    let orphan = tree.replace(r#""ParentId":"ou-1""#, r#""ParentId":"ou-9""#);
    let import = read(&[("organizations/tree.json", &orphan)]);
    assert!(import.problems[0].message.contains("below nothing"), "{:?}", import.problems);
}

#[test]
fn parts_of_clusters_and_trails_are_read_where_they_are_given() {
    let clusters = format!(r#"{{"clusters":[{CLUSTER}]}}"#);
    let addons = r#"{"addons":[{"addonName":"eks-pod-identity-agent","clusterName":"prod","addonVersion":"v1","status":"DEGRADED",
        "addonArn":"arn:aws:eks:eu-west-1:111122223333:addon/prod/eks-pod-identity-agent/u","health":{"issues":[{"code":"Conflict"}]},
        "podIdentityAssociations":["arn:x"]}]}"#;
    let entries = r#"{"accessEntries":[{"clusterName":"prod","principalArn":"arn:aws:iam::111122223333:role/ops","kubernetesGroups":["g"],
        "type":"STANDARD","associatedAccessPolicies":[{"policyArn":"arn:p","accessScope":{"type":"namespace","namespaces":["pay"]}}]}]}"#;
    let trails = r#"{"trails":[{"Name":"t","TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/t","HomeRegion":"eu-west-1",
        "IsMultiRegionTrail":true,"S3BucketName":"b","IsLogging":false,"StopLoggingTime":"2026-11-20T10:00:00Z","EventSelectors":[{"ReadWriteType":"WriteOnly","IncludeManagementEvents":true},
        {"ReadWriteType":"All","IncludeManagementEvents":false,"DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]},
        {"Name":"u","TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/u",
        "AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},
            {"Field":"eventSource","NotEquals":["kms.amazonaws.com"]}]}]},
        {"Name":"v","TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/v"}]}"#;
    let import = read(&[
        ("eks/111122223333/eu-west-1/addons.json", addons),
        ("eks/111122223333/eu-west-1/access_entries.json", entries),
        ("eks/111122223333/eu-west-1/clusters.json", &clusters),
        ("cloudtrail/111122223333/trails.json", trails),
    ]);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let observation = &import.observations[0];
    let cluster = &observation.clusters[0];
    let addon = &cluster.addons.as_ref().unwrap()[0];
    assert_eq!(
        (addon.name.as_str(), addon.health_issues.as_slice()),
        ("eks-pod-identity-agent", &["Conflict".to_owned()][..])
    );
    assert_eq!(cluster.access_entries.as_ref().unwrap()[0].policies[0].namespaces, ["pay"]);
    for kind in [ScopeKind::Addons, ScopeKind::AccessEntries] {
        assert!(observation.coverage.is_complete(&of_cluster(kind)), "{kind}");
    }
    let records: Vec<Option<bool>> = observation.trails.iter().map(|t| t.records_read_only_management).collect();
    assert_eq!(records, [Some(false), Some(true), None]);
    let logging: Vec<Option<bool>> = observation.trails.iter().map(rolecall_estate::Trail::is_logging).collect();
    assert_eq!(logging, [Some(false), None, None]);
    let stopped = observation.trails[0].status.as_ref().unwrap().stopped_at.unwrap();
    assert_eq!(stopped.to_rfc3339(), "2026-11-20T10:00:00+00:00");
    let recorded = |reads: bool, writes: bool, excluded: &[&str], data: &[&str]| {
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let (excluded_sources, data) = (texts(excluded), texts(data));
        Some(Recorded { management_reads: reads, management_writes: writes, excluded_sources, data })
    };
    let found: Vec<_> = observation.trails.iter().map(|t| t.recorded.clone()).collect();
    let expected =
        [recorded(false, true, &[], &["AWS::S3::Object"]), recorded(true, true, &["kms.amazonaws.com"], &[]), None];
    assert_eq!(found, expected);
    assert!(observation.coverage.is_complete(&in_region(ScopeKind::Trails)));
    let import = read(&[("clusters.json", &clusters), ("addon.json", r#"{"addon":{"addonName":"x"}}"#)]);
    assert!(import.observations[0].clusters[0].addons.is_none() && !import.problems.is_empty());
}

#[test]
fn gzip_is_read_like_plain() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(gaad(TRUST).as_bytes()).unwrap();
    let bytes = gz.finish().unwrap();
    let import = read_files(&[InputFile { path: "gaad.json.gz".into(), bytes: bytes.clone() }]);
    assert_eq!(sum(&import, |o| o.roles.len()), 1);
    let cut = bytes[..bytes.len() - 12].to_vec();
    let import = read_files(&[InputFile { path: "gaad.json.gz".into(), bytes: cut }]);
    assert!(import.problems[0].message.contains("gzip"), "{:?}", import.problems);
}

#[test]
fn other_kinds_are_named_with_what_to_give_instead() {
    for (text, remedy) in [
        (r#"{"Role":{"RoleName":"x"}}"#, "get-account-authorization-details"),
        (r#"{"Statement":[]}"#, "targets"),
        ("[1]", "AWS CLI"),
        ("apiVersion: eksctl.io/v1alpha5", "JSON"),
    ] {
        let import = read(&[("x", text)]);
        assert!(import.problems[0].remedy.contains(remedy), "{text}: {:?}", import.problems);
        assert!(import.observations.is_empty());
    }
}

/// Gzips as many bytes as are wanted, of one kind, between a beginning and an end.
fn bomb(before: &str, inside: &str, times: usize, after: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(before.as_bytes()).unwrap();
    let many = inside.repeat((1 << 20) / inside.len());
    for _ in 0..times {
        encoder.write_all(many.as_bytes()).unwrap();
    }
    encoder.write_all(after.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_grows_beyond_any_answer_of_aws_is_refused_by_name() {
    let path = "iam/111122223333/gaad.json.gz";
    // Megabytes, and what is said of them.
    let cases = [(" ", 65, "when decompressed"), ("[],", 51, "values")];
    for (inside, megabytes, said) in cases {
        let bytes = bomb("{\"RoleDetailList\":[", inside, megabytes, "1]}");
        let import =
            read_files(&[InputFile { path: path.to_owned(), bytes }, file("trails.json", "{\"trailList\":[]}")]);
        assert!(import.problems[0].message.contains(said), "{inside}: {:?}", import.problems[0]);
        assert_eq!(import.problems[0].file, path);
        let seen = &import.observations[0];
        assert_eq!(reason(seen, &scope(ScopeKind::Roles)), Some(GapReason::Malformed), "{inside}");
        assert_eq!(import.read[1].kind, FileKind::Trails, "the next file is read");
    }
    // As large, and like what AWS answers: roles are not alike.
    let mut n = 0_u64;
    let role = || {
        n += 1;
        format!("{{\"RoleName\":\"{}\",\"x\":\"{}\"}},", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), "policy".repeat(200))
    };
    let text: String = std::iter::repeat_with(role).take(56_000).collect();
    let import = read_files(&[InputFile {
        path: path.to_owned(),
        bytes: bomb("{\"RoleDetailList\":[", &text, 0, &format!("{text}1]}}")),
    }]);
    assert_eq!(import.read[0].kind, FileKind::AuthorizationDetails, "{:?}", import.problems.first());
}

#[test]
fn however_much_is_wrong_little_of_it_is_kept() {
    let items = "7,".repeat(200_000);
    let long = "x".repeat(100_000);
    let files = [
        file("iam/111122223333/gaad.json", &format!("{{\"RoleDetailList\":[{items}7],\"Policies\":[{items}7]}}")),
        file("long.json", &format!("{{\"trailList\":[{{\"TrailARN\":\"{long}\"}}]}}")),
    ];
    let import = read_files(&files);
    assert_eq!((import.problems.len(), import.unnamed), (1_000, 400_002 + 1 - 1_000));
    let seen = &import.observations[0];
    for kind in [ScopeKind::Roles, ScopeKind::Policies] {
        let malformed = seen.coverage.gaps_of(&scope(kind)).unwrap().iter();
        assert_eq!(malformed.filter(|gap| gap.reason == GapReason::Malformed).count(), 1, "{kind:?}");
    }
    let told = read_files(&files[1..]).problems.remove(0);
    assert!(told.message.len() < 600 && told.message.ends_with('…'), "{}", told.message.len());
}

#[test]
fn an_oidc_provider_s_settings_come_with_the_list_or_beside_it() {
    const LIST: &str =
        r#"{"OpenIDConnectProviderList":[{"Arn":"arn:aws:iam::111122223333:oidc-provider/gitlab.com"}]}"#;
    const FULL: &str = r#"{"OpenIDConnectProviderList":[{"Arn":"arn:aws:iam::111122223333:oidc-provider/gitlab.com",
        "ClientIDList":["https://gitlab.com"],"ThumbprintList":[]}]}"#;
    const ANSWER: &str = r#"{"Url":"gitlab.com","ClientIDList":["https://gitlab.com"],"ThumbprintList":[],"Tags":[]}"#;
    const OTHER: &str = r#"{"Url":"gitlab.com","ClientIDList":["another"],"ThumbprintList":[]}"#;
    let (list, own) = ("iam/111122223333/oidc_providers.json", "iam/111122223333/gitlab.json");
    for (files, ids, gap, problems) in [
        (&[(list, LIST)][..], None, Some(GapReason::NotProvided), 0),
        (&[(list, FULL)], Some("https://gitlab.com"), None, 0),
        (&[(list, LIST), (own, ANSWER)], Some("https://gitlab.com"), None, 0),
        (&[(own, ANSWER), (list, LIST)], Some("https://gitlab.com"), None, 0),
        (&[(list, FULL), (own, ANSWER)], Some("https://gitlab.com"), None, 0),
        (&[(list, FULL), (own, OTHER)], Some("https://gitlab.com"), Some(GapReason::Malformed), 1),
    ] {
        let import = read(files);
        let seen = &import.observations[0];
        let [provider] = &seen.oidc_providers[..] else { panic!("{files:?}: {:?}", seen.oidc_providers) };
        let first = provider.detail.as_ref().and_then(|detail| detail.client_ids.first());
        assert_eq!(first.map(String::as_str), ids, "{files:?}");
        assert_eq!(reason(seen, &scope(ScopeKind::OidcProviderDetails)), gap, "{files:?}");
        assert_eq!(import.problems.len(), problems, "{files:?}: {:?}", import.problems);
    }
    let nobody = read(&[("gitlab.json", ANSWER)]);
    assert!(nobody.problems[0].message.contains("does not say whose provider"), "{:?}", nobody.problems);
}

#[test]
fn what_cannot_be_had_proves_nothing_and_spoils_what_is_said_of_all() {
    let estate = [
        (
            "iam/111122223333/gaad.json",
            r#"{"RoleDetailList":[],"Policies":[],"UserDetailList":[],"GroupDetailList":[]}"#,
        ),
        ("trails.json", r#"{"trailList":[]}"#),
    ];
    let given = Given { complete: true, ..Given::default() };
    let read = |unread: Option<&str>| {
        let mut importer = Importer::new(&given);
        for (path, text) in estate {
            importer.file(&file(path, text));
        }
        unread.into_iter().for_each(|path| importer.unread(path, "permission denied"));
        importer.finish()
    };
    let complete = |import: &Import| import.observations[0].coverage.is_complete(&scope(ScopeKind::OidcProviders));
    let with = |text: &'static str| {
        let mut importer = Importer::new(&given);
        importer.file(&file("iam/111122223333/oidc.json", text));
        importer
    };
    let listed = r#"{"OpenIDConnectProviderList":[{"Arn":"arn:aws:iam::111122223333:oidc-provider/x"}]}"#;
    assert!(complete(&with(listed).finish()));
    let mut loose = with(listed);
    loose.unread("secret.json", "permission denied");
    let loose = loose.finish();
    assert!(loose.problems[0].to_string().contains("secret.json: cannot be read: permission denied"));
    assert_eq!(
        complete(&loose),
        complete(&{
            let mut importer = Importer::new(&Given::default());
            importer.file(&file("iam/111122223333/oidc.json", listed));
            importer.finish()
        })
    );
    let import = read(Some("iam/111122223333/more.json"));
    assert_eq!(reason(&import.observations[0], &scope(ScopeKind::Roles)), Some(GapReason::Malformed));
    assert!(read(None).problems.is_empty());
}
