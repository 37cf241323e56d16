//! What files prove of what they do not hold: pages, filters, forms and dates.

use rolecall_estate::before::{Before, doubt};
use rolecall_estate::coverage::{GapReason, Scope, ScopeKind};
use rolecall_estate::{Observation, OrgPolicyKind};
use rolecall_import::{FileKind, Given, Import, InputFile, read_files, read_files_given};
use serde_json::{Value, json};

const ACCOUNT: &str = "444455556666";
const LAYOUT: &str = "eks/444455556666/us-east-2/pod_identity_associations.json";
const DETAILS: &str = "iam/444455556666/gaad.json";

fn file(path: &str, text: impl Into<Vec<u8>>) -> InputFile {
    InputFile { path: path.to_owned(), bytes: text.into() }
}

fn read(files: &[(&str, &Value)]) -> Import {
    read_files(&files.iter().map(|(path, value)| file(path, value.to_string())).collect::<Vec<_>>())
}

fn stated(files: &[(&str, &Value)]) -> Import {
    let files: Vec<_> = files.iter().map(|(path, value)| file(path, value.to_string())).collect();
    read_files_given(&files, &Given { complete: true, ..Given::default() })
}

fn global(kind: ScopeKind) -> Scope {
    Scope::global(ACCOUNT.parse().unwrap(), kind)
}

fn in_region(kind: ScopeKind) -> Scope {
    Scope::regional(ACCOUNT.parse().unwrap(), kind, "us-east-2".parse().unwrap())
}

fn of_cluster(kind: ScopeKind, cluster: &str) -> Scope {
    Scope::of_cluster(ACCOUNT.parse().unwrap(), kind, "us-east-2".parse().unwrap(), cluster.parse().unwrap())
}

fn own(import: &Import) -> &Observation {
    import.observations.iter().find(|seen| seen.account.as_ref().unwrap().id.to_string() == ACCOUNT).unwrap()
}

/// Why a scope is not complete; `None` where it is.
fn why(import: &Import, scope: &Scope) -> Option<GapReason> {
    let gaps = own(import).coverage.gaps_of(scope).unwrap_or_else(|| panic!("{scope} was not looked at"));
    gaps.first().map(|gap| gap.reason)
}

fn role(path: &str, name: &str, attached: &[&str]) -> Value {
    let attached: Vec<Value> =
        attached.iter().map(|arn| json!({"PolicyArn": arn, "PolicyName": arn.rsplit('/').next()})).collect();
    json!({
        "Path": path, "RoleName": name, "RoleId": format!("AROA{name}"), "CreateDate": "2026-02-03T04:05:06Z",
        "Arn": format!("arn:aws:iam::{ACCOUNT}:role{path}{name}"),
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
        "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": attached, "Tags": [{"Key": "team", "Value": ""}],
    })
}

fn policy(arn: &str) -> Value {
    json!({
        "PolicyName": arn.rsplit('/').next(), "PolicyId": "ANPA1", "Arn": arn, "DefaultVersionId": "v1",
        "PolicyVersionList": [{"VersionId": "v1", "Document": {"Version": "2012-10-17", "Statement": []}}],
    })
}

const SUPPORT: &str = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy";

/// As the AWS CLI prints it for an account: a role of its own, and one that AWS made.
fn details() -> Value {
    json!({
        "UserDetailList": [], "GroupDetailList": [],
        "RoleDetailList": [role("/", "checkout", &[]), role("/aws-service-role/support.amazonaws.com/", "AWSServiceRoleForSupport", &[SUPPORT])],
        "Policies": [policy(SUPPORT)],
    })
}

fn with(mut value: Value, key: &str, new: Value) -> Value {
    value[key] = new;
    value
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value
}

fn association(cluster: &str, namespace: &str, name: &str) -> Value {
    let id = format!("a-{cluster}{namespace}{name}");
    json!({
        "clusterName": cluster, "namespace": namespace, "serviceAccount": name,
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/checkout"), "associationId": id,
        "associationArn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:podidentityassociation/{cluster}/{id}"),
        "tags": {}, "createdAt": "2026-04-01T10:00:00Z", "modifiedAt": "2026-04-02T10:00:00Z", "disableSessionTags": false,
    })
}

fn cluster(name: &str) -> Value {
    json!({
        "name": name, "arn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:cluster/{name}"), "createdAt": "2026-01-01T00:00:00Z",
        "version": "1.33", "status": "ACTIVE", "tags": {},
    })
}

#[test]
fn a_token_in_any_kind_of_file_makes_it_a_page() {
    let clusters = json!({"clusters": [cluster("east")]});
    let addon = json!({"addonName": "vpc-cni", "clusterName": "east", "addonArn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:addon/east/vpc-cni/1")});
    let entry = json!({"principalArn": format!("arn:aws:iam::{ACCOUNT}:role/ops"), "clusterName": "east",
        "accessEntryArn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:access-entry/east/role/{ACCOUNT}/ops/1")});
    let trail = json!({"Name": "t", "TrailARN": format!("arn:aws:cloudtrail:us-east-2:{ACCOUNT}:trail/t"), "HomeRegion": "us-east-2"});
    let tree = json!({"management": ACCOUNT, "roots": [{"Id": "r-1", "Name": "Root"}], "units": [], "accounts": []});
    let scp = json!({"Id": "p-1", "Name": "guard", "Type": "SERVICE_CONTROL_POLICY", "Content": "{\"Statement\":[]}", "Targets": ["r-1"]});
    let rcp = json!({"Id": "p-2", "Name": "guard", "Type": "RESOURCE_CONTROL_POLICY", "Content": "{\"Statement\":[]}", "Targets": ["r-1"]});
    let cases: [(&str, Value, Vec<Scope>); 9] = [
        (DETAILS, details(), vec![global(ScopeKind::Roles), global(ScopeKind::Policies)]),
        (
            "iam/444455556666/oidc.json",
            json!({"OpenIDConnectProviderList": []}),
            vec![global(ScopeKind::OidcProviders)],
        ),
        ("eks/444455556666/us-east-2/clusters.json", clusters.clone(), vec![in_region(ScopeKind::Clusters)]),
        (
            LAYOUT,
            json!({"associations": [association("east", "shop", "web")]}),
            vec![of_cluster(ScopeKind::Associations, "east")],
        ),
        (
            "eks/444455556666/us-east-2/addons.json",
            json!({"addons": [addon]}),
            vec![of_cluster(ScopeKind::Addons, "east")],
        ),
        (
            "eks/444455556666/us-east-2/access_entries.json",
            json!({"accessEntries": [entry]}),
            vec![of_cluster(ScopeKind::AccessEntries, "east")],
        ),
        ("cloudtrail/444455556666/trails.json", json!({"trails": [trail]}), vec![in_region(ScopeKind::Trails)]),
        ("organizations/tree.json", tree, vec![global(ScopeKind::Organization)]),
        (
            "organizations/policies.json",
            json!({"management": ACCOUNT, "policies": [scp, rcp]}),
            vec![global(ScopeKind::OrgPolicies)],
        ),
    ];
    for (path, value, scopes) in cases {
        let beside = ("eks/444455556666/us-east-2/clusters.json", &clusters);
        let given =
            |value: &Value| if path == beside.0 { read(&[(path, value)]) } else { read(&[(path, value), beside]) };
        let whole = given(&value);
        for scope in &scopes {
            assert_eq!(why(&whole, scope), None, "{path}: {:?}", own(&whole).coverage.gaps_of(scope));
        }
        for (key, token) in [("NextToken", "x"), ("nextToken", "x"), ("Marker", "x"), ("NextMarker", "x")] {
            let cut = with(value.clone(), key, token.into());
            for import in [given(&cut), stated(&[(path, &cut), beside])] {
                for scope in &scopes {
                    assert_eq!(why(&import, scope), Some(GapReason::Truncated), "{path} with {key}");
                }
                assert!(import.read[0].records > 0 || path.ends_with("oidc.json"), "what a page holds is read: {path}");
            }
        }
        let cut = with(value, "IsTruncated", true.into());
        assert!(scopes.iter().all(|scope| why(&given(&cut), scope) == Some(GapReason::Truncated)), "{path}");
    }
    let accounts = json!({"management": ACCOUNT, "Accounts": [{"Id": ACCOUNT, "Name": "shop", "Status": "ACTIVE"}], "NextToken": "x"});
    assert_eq!(
        why(&read(&[("accounts.json", &accounts)]), &global(ScopeKind::Organization)),
        Some(GapReason::Truncated)
    );
}

#[test]
fn authorization_details_are_complete_by_their_form_and_by_what_they_hold() {
    let roles = |import: &Import| (why(import, &global(ScopeKind::Roles)), why(import, &global(ScopeKind::Policies)));
    let (filtered, unproven) = (Some(GapReason::Filtered), Some(GapReason::Unproven));
    let own_role = json!([role("/", "checkout", &[])]);
    let last = |value: Value| with(value, "IsTruncated", false.into());
    let only_roles = with(details(), "Policies", json!([]));
    let no_service_role = with(with(details(), "RoleDetailList", own_role.clone()), "Policies", json!([]));
    let cases = [
        ("in the layout, with the roles that no account lacks", DETAILS, details(), (None, None), (None, None)),
        ("in the layout, with other roles only", DETAILS, no_service_role.clone(), (unproven, unproven), (None, None)),
        ("as AWS ends its answer", "x.json", last(no_service_role.clone()), (None, None), (None, None)),
        ("loose", "x.json", details(), (unproven, unproven), (None, None)),
        (
            "--filter User",
            DETAILS,
            last(with(only_roles.clone(), "RoleDetailList", json!([]))),
            (filtered, filtered),
            (filtered, filtered),
        ),
        ("--filter Role", DETAILS, only_roles.clone(), (None, filtered), (None, filtered)),
        (
            "--query of two lists",
            DETAILS,
            without(without(details(), "UserDetailList"), "GroupDetailList"),
            (filtered, filtered),
            (None, None),
        ),
        (
            "--query of one list",
            DETAILS,
            json!([role("/", "checkout", &[])]),
            (filtered, Some(GapReason::NotProvided)),
            (None, Some(GapReason::NotProvided)),
        ),
    ];
    for (what, path, value, alone, said) in cases {
        assert_eq!(roles(&read(&[(path, &with_account(&value))])), alone, "{what}");
        assert_eq!(roles(&stated(&[(path, &with_account(&value))])), said, "{what}, and said to be complete");
    }
    // Filtered apart and given together.
    let policies_alone = with(details(), "RoleDetailList", json!([]));
    let both = [("iam/444455556666/roles.json", &only_roles), ("iam/444455556666/policies.json", &policies_alone)];
    assert_eq!(roles(&read(&both)), (None, None));
}

/// The same; a list of no role names the account in another place.
fn with_account(value: &Value) -> Value {
    let mut value = value.clone();
    if value.get("UserDetailList").is_some() {
        value["UserDetailList"] = json!([{"UserName": "u", "Arn": format!("arn:aws:iam::{ACCOUNT}:user/u"), "CreateDate": "2026-01-01T00:00:00Z"}]);
    }
    value
}

#[test]
fn pages_given_together_are_complete_where_none_can_be_missing() {
    let page = |of: &[&str], token: Option<&str>| {
        let roles: Vec<Value> = of.iter().map(|name| role("/", name, &[])).collect();
        let page = with(details(), "RoleDetailList", json!(roles));
        let page = with(page, "IsTruncated", token.is_some().into());
        token.map_or(page.clone(), |token| with(page, "Marker", token.into()))
    };
    let (first, second, third) = (page(&["a", "b"], Some("1")), page(&["c"], Some("2")), page(&["d"], None));
    let numbered = [("d/details-1.json", &first), ("d/details-2.json", &second), ("d/details-3.json", &third)];
    let import = read(&numbered);
    assert_eq!((why(&import, &global(ScopeKind::Roles)), own(&import).roles.len()), (None, 4));
    for missing in 0..3 {
        let some: Vec<_> = numbered.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, page)| *page).collect();
        let import = read(&some);
        assert_eq!(why(&import, &global(ScopeKind::Roles)), Some(GapReason::Truncated), "without page {missing}");
        assert_eq!(own(&import).roles.len(), if missing == 0 { 2 } else { 3 }, "what pages hold is read");
    }
    let one = [&first, &second, &third].map(ToString::to_string).concat();
    let import = read_files(&[file("all.json", one)]);
    assert_eq!((why(&import, &global(ScopeKind::Roles)), own(&import).roles.len()), (None, 4));
}

#[test]
fn associations_are_listed_of_what_the_file_names() {
    let layout = json!({"associations": [association("east", "shop", "web")]});
    let clusters = json!({"clusters": [cluster("east"), cluster("west")]});
    let beside = ("eks/444455556666/us-east-2/clusters.json", &clusters);
    let reasons = |import: &Import| {
        ["east", "west"].map(|cluster| {
            let scope = of_cluster(ScopeKind::Associations, cluster);
            (why(import, &scope), why(import, &of_cluster(ScopeKind::AssociationDetails, cluster)))
        })
    };
    let (unproven, nothing) = (Some(GapReason::Unproven), Some(GapReason::NotProvided));
    assert_eq!(reasons(&read(&[(LAYOUT, &layout), beside])), [(None, None), (None, None)]);
    let loose = [("east.json", &layout), beside];
    assert_eq!(reasons(&read(&loose)), [(unproven, None), (nothing, nothing)]);
    assert_eq!(reasons(&stated(&loose)), [(None, None), (nothing, nothing)]);
    let other_name = [("eks/444455556666/us-east-2/east.json", &layout), beside];
    assert_eq!(reasons(&read(&other_name)), [(unproven, None), (nothing, nothing)], "perhaps of one namespace");
}

#[test]
fn a_list_that_lost_what_a_filter_would_take_proves_nothing_gone() {
    let known = |pods: &[(&str, &str, &str)]| -> Vec<Before> {
        pods.iter()
            .map(|(cluster, namespace, name)| Before {
                pod: Some((namespace.parse().unwrap(), name.parse().unwrap())),
                ..Before::new(of_cluster(ScopeKind::Associations, cluster))
            })
            .collect()
    };
    let before =
        known(&[("east", "shop", "web"), ("east", "shop", "api"), ("east", "pay", "api"), ("east", "ops", "job")]);
    let cases: [(&[(&str, &str)], bool); 8] = [
        (&[("shop", "web"), ("shop", "api")], false),
        (&[("shop", "web"), ("pay", "api")], true),
        (&[("shop", "api"), ("pay", "api")], false),
        (&[], false),
        (&[("shop", "web"), ("shop", "api"), ("pay", "api"), ("ops", "job")], true),
        (&[("new", "one")], false),
        (&[("shop", "web")], false),
        (&[("pay", "api"), ("ops", "job")], true),
    ];
    let clusters = json!({"clusters": [cluster("east")]});
    for (listed, complete) in cases {
        let list: Vec<Value> = listed.iter().map(|(namespace, name)| association("east", namespace, name)).collect();
        let files =
            [(LAYOUT, json!({"associations": list})), ("eks/444455556666/us-east-2/clusters.json", clusters.clone())];
        let mut import = read(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]);
        let scope = of_cluster(ScopeKind::Associations, "east");
        assert_eq!(why(&import, &scope), None);
        doubt(&mut import.observations, &before);
        assert_eq!(why(&import, &scope), (!complete).then_some(GapReason::Unproven), "{listed:?}");
        assert_eq!(own(&import).associations.len(), listed.len(), "what is listed was seen");
    }
    let empty = json!({"clusters": []});
    let mut import = read(&[("eks/444455556666/us-east-2/clusters.json", &empty)]);
    doubt(&mut import.observations, &[Before::new(in_region(ScopeKind::Clusters))]);
    assert_eq!(why(&import, &in_region(ScopeKind::Clusters)), Some(GapReason::Unproven));
    let bare = with(cluster("east"), "status", "ACTIVE".into());
    let files = (json!({"clusters": [bare]}), json!({"addons": []}));
    let mut import = read(&[
        ("eks/444455556666/us-east-2/clusters.json", &files.0),
        ("eks/444455556666/us-east-2/addons.json", &files.1),
    ]);
    assert_eq!(own(&import).clusters[0].addons.as_deref(), Some(&[][..]));
    doubt(&mut import.observations, &[Before::new(of_cluster(ScopeKind::Addons, "east"))]);
    assert_eq!(own(&import).clusters[0].addons, None);
}

#[test]
fn what_shell_loops_and_other_tools_leave_is_read() {
    let described = |name: &str| json!({"association": association("east", "shop", name)});
    let eksctl = json!([{
        "AssociationARN": format!("arn:aws:eks:us-east-2:{ACCOUNT}:podidentityassociation/east/a-eastshopweb"),
        "Namespace": "shop", "ServiceAccountName": "web", "RoleARN": format!("arn:aws:iam::{ACCOUNT}:role/checkout"),
        "OwnerARN": "", "TargetRoleARN": "", "DisableSessionTags": false,
    }]);
    let text =
        |values: &[Value], between: &str| values.iter().map(|v| format!("{v:#}")).collect::<Vec<_>>().join(between);
    let forms: Vec<(&str, String, usize)> = vec![
        ("a loop over describe", text(&[described("web"), described("api")], "\n"), 2),
        ("values without anything between", text(&[described("web"), described("api")], ""), 2),
        ("jq -s", json!([described("web"), described("api")]).to_string(), 2),
        ("a bare record", association("east", "shop", "web").to_string(), 1),
        (
            "a list of bare records",
            json!([association("east", "shop", "web"), association("east", "shop", "api")]).to_string(),
            2,
        ),
        ("eksctl", eksctl.to_string(), 1),
        ("lists in a list", json!([[described("web")], [described("api")]]).to_string(), 2),
    ];
    for (what, text, count) in forms {
        let import = read_files(&[file("out.json", text)]);
        assert!(import.problems.is_empty(), "{what}: {:?}", import.problems);
        assert_eq!((import.read[0].kind, import.read[0].records), (FileKind::Association, count), "{what}");
        assert_eq!(own(&import).associations.len(), count, "{what}");
        let detail = own(&import).associations.iter().all(|a| a.detail.is_some() && a.owner_arn.is_none());
        assert!(detail, "{what}");
        let expected = if what == "a list of bare records" { GapReason::Filtered } else { GapReason::Unproven };
        // What `--query` prints may be all, and may not.
        let reason = why(&import, &of_cluster(ScopeKind::Associations, "east"));
        assert!(reason == Some(expected) || reason == Some(GapReason::Unproven), "{what}: {reason:?}");
    }
    let clusters = text(&[json!({"cluster": cluster("east")}), json!({"cluster": cluster("west")})], "\n");
    let import = read_files(&[file("eks/444455556666/us-east-2/all.json", clusters)]);
    assert_eq!(
        (own(&import).clusters.len(), why(&import, &in_region(ScopeKind::Clusters))),
        (2, Some(GapReason::Unproven))
    );
    let pascal = json!([{"Name": "east", "Arn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:cluster/east"), "RoleArn": "arn:x",
        "Identity": {"Oidc": {"Issuer": "https://oidc"}}, "Tags": {"Team": "shop"}}]);
    let import = read(&[("clusters.json", &pascal)]);
    let read = &own(&import).clusters[0];
    assert_eq!((read.oidc_issuer.as_deref(), read.tags["Team"].as_str()), (Some("https://oidc"), "shop"));
    let broken = format!("{}\n{{\"association\": ", described("web"));
    let import = read_files(&[file(LAYOUT, broken)]);
    assert_eq!((own(&import).associations.len(), import.problems.len()), (1, 1), "what comes before a break is read");
    assert_eq!(why(&import, &in_region(ScopeKind::Clusters)), Some(GapReason::Malformed));
}

#[test]
fn utf16_is_read_as_utf8_is() {
    for little_endian in [true, false] {
        let unit = |unit: u16| if little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() };
        let text = details().to_string().replace("checkout", "käufe");
        let bytes: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(unit).collect();
        let import = read_files(&[file(DETAILS, bytes)]);
        assert!(import.problems.len() <= 1, "{:?}", import.problems);
        assert!(!own(&import).roles.is_empty());
        let clean: Vec<u8> =
            std::iter::once(0xfeff).chain(details().to_string().encode_utf16()).flat_map(unit).collect();
        let import = read_files(&[file(DETAILS, clean)]);
        assert!(import.problems.is_empty(), "{:?}", import.problems);
        assert_eq!((own(&import).roles.len(), why(&import, &global(ScopeKind::Roles))), (2, None));
    }
    let marked = format!("\u{feff}{}", details());
    assert_eq!(own(&read_files(&[file(DETAILS, marked)])).roles.len(), 2);
}

#[test]
fn an_empty_text_is_what_is_not_set() {
    let mut set = association("east", "shop", "web");
    for key in ["targetRoleArn", "externalId", "policy", "ownerArn", "modifiedAt"] {
        set[key] = "".into();
    }
    let mut unset = association("east", "shop", "api");
    for key in ["targetRoleArn", "externalId", "policy", "ownerArn", "disableSessionTags"] {
        unset[key] = Value::Null;
    }
    let mut role = role("/", "checkout", &[]);
    role["PermissionsBoundary"] = json!({"PermissionsBoundaryArn": ""});
    role["RoleLastUsed"] = json!({"LastUsedDate": "", "Region": ""});
    let mut cluster = cluster("east");
    for key in ["roleArn", "version", "createdAt"] {
        cluster[key] = "".into();
    }
    let addon = json!({"addons": [{"addonName": "vpc-cni", "clusterName": "east", "serviceAccountRoleArn": "", "addonArn": "", "addonVersion": ""}]});
    let import = read(&[
        (LAYOUT, &json!({"associations": [set, unset]})),
        (DETAILS, &with(details(), "RoleDetailList", json!([role]))),
        ("eks/444455556666/us-east-2/clusters.json", &json!({"clusters": [cluster]})),
        ("eks/444455556666/us-east-2/addons.json", &addon),
        ("accounts.json", &json!({"accounts": [{"Id": ACCOUNT, "Name": "", "Status": ""}]})),
    ]);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let seen = own(&import);
    for association in &seen.associations {
        let detail = association.detail.as_ref().unwrap();
        assert_eq!((&association.owner_arn, &detail.target_role_arn, &detail.external_id), (&None, &None, &None));
        assert!(detail.policy.is_none() && !detail.disable_session_tags);
    }
    assert_eq!((&seen.roles[0].boundary, seen.last_used.len(), seen.roles[0].tags["team"].as_str()), (&None, 0, ""));
    assert_eq!((&seen.clusters[0].role_arn, &seen.clusters[0].version), (&None, &None));
    assert_eq!(seen.clusters[0].addons.as_ref().unwrap()[0].service_account_role_arn, None);
    assert_eq!(seen.account.as_ref().unwrap().name, None);
}

#[test]
fn files_have_the_newest_date_in_them() {
    let day = |import: &Import| own(import).as_of.unwrap().format("%Y-%m-%d").to_string();
    assert_eq!(day(&read(&[(DETAILS, &details())])), "2026-02-03");
    let mut used = details();
    used["RoleDetailList"][0]["RoleLastUsed"] = json!({"LastUsedDate": "2026-05-06T00:00:00Z"});
    assert_eq!(day(&read(&[(DETAILS, &used)])), "2026-05-06");
    used["UserDetailList"] = json!([{"UserName": "u", "Arn": format!("arn:aws:iam::{ACCOUNT}:user/u"), "PasswordLastUsed": "2026-06-01T00:00:00Z"}]);
    used["RoleDetailList"][0]["AssumeRolePolicyDocument"] =
        json!({"Statement": [{"Condition": {"DateLessThan": {"CreateDate": "2030-01-01T00:00:00Z"}}}]});
    assert_eq!(day(&read(&[(DETAILS, &used)])), "2026-06-01", "users have dates, and documents none");
    assert_eq!(day(&read(&[(LAYOUT, &json!({"associations": [association("east", "shop", "web")]}))])), "2026-04-02");
    let undated =
        json!({"associations": [without(without(association("east", "shop", "web"), "createdAt"), "modifiedAt")]});
    assert_eq!(day(&read(&[(LAYOUT, &undated)])), "1970-01-01", "without any date nothing has an age");
}

#[test]
fn a_digest_and_insights_are_no_faults() {
    let digest = json!({"awsAccountId": ACCOUNT, "digestStartTime": "2026-01-01T00:00:00Z", "digestEndTime": "2026-01-01T01:00:00Z",
        "digestPublicKeyFingerprint": "0", "logFiles": []});
    let import = read(&[("AWSLogs/444455556666/CloudTrail-Digest/us-east-2/2026/01/01/x.json", &digest)]);
    assert_eq!((import.read[0].kind, import.problems.len(), import.observations.len()), (FileKind::TrailDigest, 0, 0));
    let insight = json!({"Records": [{"eventVersion": "1.08", "eventTime": "2026-01-01T00:00:00Z", "awsRegion": "us-east-2", "eventID": "e",
        "eventType": "AwsCloudTrailInsight", "recipientAccountId": ACCOUNT, "eventCategory": "Insight", "insightDetails": {"state": "Start"}}]});
    let import = read(&[("AWSLogs/444455556666/CloudTrail-Insight/us-east-2/2026/01/01/x.json", &insight)]);
    assert_eq!((import.read[0].kind, import.problems.len()), (FileKind::Trail, 0), "{:?}", import.problems);
}

#[test]
fn an_account_that_only_records_name_has_gaps_for_all_else() {
    let record = json!({"Records": [{"eventVersion": "1.09", "eventID": "e", "eventName": "AssumeRole", "eventSource": "sts.amazonaws.com",
        "eventTime": "2026-03-01T08:00:00Z", "awsRegion": "us-east-2", "recipientAccountId": ACCOUNT, "sourceIPAddress": "pods.eks.amazonaws.com",
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
        "requestParameters": {"roleArn": format!("arn:aws:iam::{ACCOUNT}:role/checkout"), "roleSessionName": "eks-east-web-1"},
        "responseElements": {"credentials": {"accessKeyId": "ASIA1"}}}]});
    let import = read(&[("events.json", &record)]);
    assert_eq!(own(&import).sessions.len(), 1);
    let named = rolecall_import::named_by_records(ACCOUNT.parse().unwrap(), &["us-east-2".parse().unwrap()].into());
    for seen in [own(&import), &named] {
        let complete: Vec<String> = seen
            .coverage
            .scopes()
            .filter(|(_, gaps)| gaps.is_empty())
            .map(|(scope, _)| scope.kind.to_string())
            .collect();
        assert_eq!(complete, ["entry"]);
        let reason = |scope: &Scope| seen.coverage.gaps_of(scope).unwrap()[0].reason;
        assert_eq!(reason(&in_region(ScopeKind::Sessions)), GapReason::Unproven);
        for scope in [global(ScopeKind::Roles), in_region(ScopeKind::Clusters), global(ScopeKind::OidcProviders)] {
            assert_eq!(reason(&scope), GapReason::NotProvided, "{scope}");
        }
    }
}

/// `list-policies` answers for one kind at a time, and nothing in an answer tells of the other.
#[test]
fn policies_of_one_kind_prove_nothing_of_the_other() {
    for (given, lacking) in
        [("SERVICE_CONTROL_POLICY", OrgPolicyKind::Rcp), ("RESOURCE_CONTROL_POLICY", OrgPolicyKind::Scp)]
    {
        let policy =
            json!({"Id": "p-1", "Name": "guard", "Type": given, "Content": "{\"Statement\":[]}", "Targets": ["r-1"]});
        let policies = json!({"management": ACCOUNT, "policies": [policy]});
        let files = [("organizations/policies.json", &policies)];
        let import = read(&files);
        let gaps = own(&import).coverage.gaps_of(&global(ScopeKind::OrgPolicies)).unwrap();
        let told: Vec<_> = gaps.iter().map(|gap| (gap.action.as_str(), gap.reason)).collect();
        assert_eq!(told, [(lacking.listing(), GapReason::NotProvided)], "{given}");
        assert_eq!(why(&stated(&files), &global(ScopeKind::OrgPolicies)), None, "they are said to be all");
    }
}

#[test]
fn what_a_cut_list_of_a_cluster_shows_was_seen() {
    let cluster = json!({"name": "east", "arn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:cluster/east")});
    let clusters = json!({"clusters": [cluster]});
    let addon = json!({"addonName": "vpc-cni", "clusterName": "east", "addonArn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:addon/east/vpc-cni/1")});
    let entry = json!({"clusterName": "east", "principalArn": format!("arn:aws:iam::{ACCOUNT}:role/a"), "accessEntryArn": format!("arn:aws:eks:us-east-2:{ACCOUNT}:access-entry/east/role/{ACCOUNT}/a/1")});
    let (addons, entries) =
        (json!({"addons": [addon], "NextToken": "more"}), json!({"accessEntries": [entry], "nextToken": "more"}));
    let import = read(&[
        ("eks/444455556666/us-east-2/clusters.json", &clusters),
        ("eks/444455556666/us-east-2/addons.json", &addons),
        ("eks/444455556666/us-east-2/access_entries.json", &entries),
    ]);
    let seen = own(&import).clusters.first().unwrap();
    assert_eq!(seen.addons.as_ref().map(Vec::len), Some(1), "{:?}", import.problems);
    assert_eq!(seen.access_entries.as_ref().map(Vec::len), Some(1), "{:?}", import.problems);
    for kind in [ScopeKind::Addons, ScopeKind::AccessEntries] {
        assert_eq!(why(&import, &of_cluster(kind, "east")), Some(GapReason::Truncated), "{kind}");
    }
}
