//! Any import of any part of an estate, after the whole of it, resolves nothing that is still there.

use crate::support::{Folder, import};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use rolecall::audit::import::ImportOptions;
use rolecall_audit::finding::Detection;
use rolecall_estate::assumption::Assumption;
use rolecall_store::Store;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) const ACCOUNTS: [&str; 2] = ["222233334444", "555566667777"];
pub(crate) const REGION: &str = "eu-north-1";

/// Files by their paths, those of the estate layout.
type Files = BTreeMap<String, Vec<u8>>;

fn trust(principal: &Value, condition: &Value) -> Value {
    let mut statement =
        json!({"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"]});
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn role(account: &str, path: &str, name: &str, trust: &Value, allows: &Value, attached: &[String]) -> Value {
    let attached: Vec<Value> =
        attached.iter().map(|arn| json!({"PolicyArn": arn, "PolicyName": arn.rsplit('/').next()})).collect();
    let inline =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": allows, "Resource": "*"}]});
    json!({
        "Path": path, "RoleName": name, "RoleId": format!("AROA{account}{name}"), "CreateDate": "2025-01-02T03:04:05Z",
        "Arn": format!("arn:aws:iam::{account}:role{path}{name}"), "AssumeRolePolicyDocument": trust,
        "InstanceProfileList": [], "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": inline}],
        "AttachedManagedPolicies": attached, "Tags": [],
        "RoleLastUsed": {"LastUsedDate": "2026-05-20T00:00:00Z", "Region": REGION},
    })
}

fn details(account: &str) -> Value {
    let pods = trust(&json!({"Service": "pods.eks.amazonaws.com"}), &Value::Null);
    let support = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy".to_owned();
    let shared = format!("arn:aws:iam::{account}:policy/shared");
    let policy = |arn: &str, actions: &Value| {
        json!({"PolicyName": arn.rsplit('/').next(), "PolicyId": format!("ANPA{account}"), "Arn": arn, "DefaultVersionId": "v1",
            "AttachmentCount": 1, "PolicyVersionList": [{"VersionId": "v1", "IsDefaultVersion": true,
                "Document": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}}]})
    };
    json!({
        "UserDetailList": [], "GroupDetailList": [],
        "RoleDetailList": [
            role(account, "/", "api", &pods, &json!("s3:*"), std::slice::from_ref(&shared)),
            role(account, "/", "admin", &pods, &json!("*"), &[]),
            role(account, "/", "open", &trust(&json!("*"), &Value::Null), &json!(["iam:PassRole", "lambda:*"]), &[]),
            role(account, "/team/", "batch", &trust(&json!({"AWS": "arn:aws:iam::999988887777:root"}), &Value::Null), &json!("sqs:*"), &[]),
            role(account, "/aws-service-role/support.amazonaws.com/", "AWSServiceRoleForSupport",
                &trust(&json!({"Service": "support.amazonaws.com"}), &Value::Null), &json!("s3:ListAllMyBuckets"), std::slice::from_ref(&support)),
        ],
        "Policies": [policy(&support, &json!("ec2:Describe*")), policy(&shared, &json!("secretsmanager:*"))],
    })
}

fn association(account: &str, cluster: &str, namespace: &str, name: &str, role: &str) -> Value {
    let id = format!("a-{cluster}-{namespace}-{name}");
    json!({
        "clusterName": cluster, "namespace": namespace, "serviceAccount": name, "associationId": id,
        "associationArn": format!("arn:aws:eks:{REGION}:{account}:podidentityassociation/{cluster}/{id}"),
        "roleArn": format!("arn:aws:iam::{account}:role/{role}"), "tags": {}, "disableSessionTags": false,
        "createdAt": "2026-04-01T10:00:00Z", "modifiedAt": "2026-04-02T10:00:00Z",
    })
}

/// The whole estate, in its layout.
pub(crate) fn whole() -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    files.insert(
        "accounts.json".to_owned(),
        json!({"accounts": ACCOUNTS.map(|id| json!({"id": id, "name": format!("n{id}")}))}),
    );
    for account in ACCOUNTS {
        let cluster = |name: &str| {
            json!({"name": name, "arn": format!("arn:aws:eks:{REGION}:{account}:cluster/{name}"), "createdAt": "2026-01-01T00:00:00Z",
                "version": "1.33", "status": "ACTIVE", "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}, "tags": {}})
        };
        let associations = [
            association(account, "blue", "pay", "api", "api"),
            association(account, "blue", "pay", "job", "gone"),
            association(account, "blue", "ops", "admin", "admin"),
            association(account, "green", "pay", "api", "api"),
            association(account, "green", "web", "front", "missing"),
        ];
        let addon = |cluster: &str, name: &str, status: &str| {
            json!({"addonName": name, "clusterName": cluster, "addonVersion": "v1", "status": status, "podIdentityAssociations": [],
                "addonArn": format!("arn:aws:eks:{REGION}:{account}:addon/{cluster}/{name}/1")})
        };
        let entry = json!({"clusterName": "blue", "principalArn": format!("arn:aws:iam::{account}:role/admin"), "type": "STANDARD",
            "accessEntryArn": format!("arn:aws:eks:{REGION}:{account}:access-entry/blue/role/{account}/admin/1"), "kubernetesGroups": [],
            "associatedAccessPolicies": []});
        let eks = format!("eks/{account}/{REGION}");
        files.insert(format!("iam/{account}/gaad.json"), details(account));
        files.insert(
            format!("iam/{account}/oidc_providers.json"),
            json!({"OpenIDConnectProviderList":
            [{"Arn": format!("arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"),
                "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": []}]}),
        );
        files.insert(format!("{eks}/clusters.json"), json!({"clusters": [cluster("blue"), cluster("green")]}));
        files.insert(format!("{eks}/pod_identity_associations.json"), json!({"associations": associations}));
        files.insert(
            format!("{eks}/addons.json"),
            json!({"addons":
            [addon("blue", "eks-pod-identity-agent", "DEGRADED"), addon("green", "vpc-cni", "ACTIVE")]}),
        );
        files.insert(format!("{eks}/access_entries.json"), json!({"accessEntries": [entry]}));
        files.insert(
            format!("cloudtrail/{account}/trails.json"),
            json!({"trails": [{"Name": "t", "HomeRegion": REGION,
            "TrailARN": format!("arn:aws:cloudtrail:{REGION}:{account}:trail/t"), "IsMultiRegionTrail": true}]}),
        );
    }
    files
}

/// What becomes of one file.
#[derive(Debug, Clone)]
enum Fate {
    Kept,
    Left,
    /// The first so many of its list, and a token in this spelling.
    Cut(prop::sample::Index, &'static str),
    /// As `--filter` and `--query` leave authorization details, or a list from which all was filtered.
    Emptied(Vec<bool>),
    /// The list alone, without what AWS puts around it.
    Bare(prop::sample::Index),
    /// Associations of one namespace, or of one service account.
    Filtered(prop::sample::Index, bool),
    /// Somewhere else, and of its list only some.
    Loose(Vec<bool>),
    /// Ends too early.
    Torn(prop::sample::Index),
    /// A byte that no JSON has.
    Damaged(prop::sample::Index),
    /// In UTF-16, as PowerShell writes it.
    Utf16,
}

fn fate() -> impl Strategy<Value = Fate> {
    let index = any::<prop::sample::Index>;
    let token = prop::sample::select(vec!["NextToken", "nextToken", "Marker", "NextMarker"]);
    prop_oneof![
        3 => Just(Fate::Kept),
        2 => Just(Fate::Left),
        2 => (index(), token).prop_map(|(at, token)| Fate::Cut(at, token)),
        2 => prop::collection::vec(any::<bool>(), 4).prop_map(Fate::Emptied),
        1 => index().prop_map(Fate::Bare),
        3 => (index(), any::<bool>()).prop_map(|(at, by_name)| Fate::Filtered(at, by_name)),
        2 => prop::collection::vec(any::<bool>(), 8).prop_map(Fate::Loose),
        1 => index().prop_map(Fate::Torn),
        1 => index().prop_map(Fate::Damaged),
        1 => Just(Fate::Utf16),
    ]
}

const LISTS: [&str; 9] = [
    "RoleDetailList",
    "Policies",
    "OpenIDConnectProviderList",
    "clusters",
    "associations",
    "addons",
    "accessEntries",
    "trails",
    "accounts",
];

fn lists(value: &mut Value) -> impl Iterator<Item = &mut Vec<Value>> {
    value
        .as_object_mut()
        .unwrap()
        .iter_mut()
        .filter(|(key, _)| LISTS.contains(&key.as_str()))
        .filter_map(|(_, list)| list.as_array_mut())
}

/// The files after their fates.
fn spoiled(whole: &BTreeMap<String, Value>, fates: &[Fate]) -> Files {
    let mut out = Files::new();
    for (n, ((path, value), fate)) in whole.iter().zip(fates).enumerate() {
        let (mut path, mut value) = (path.clone(), value.clone());
        let mut bytes = None;
        match fate {
            Fate::Kept => {}
            Fate::Left => continue,
            Fate::Cut(at, token) => {
                for list in lists(&mut value) {
                    list.truncate(at.index(list.len().max(1)));
                }
                value[*token] = "eyJ0b2tlbiI6IDF9".into();
            }
            Fate::Emptied(which) => {
                let mut which = which.iter();
                for list in lists(&mut value) {
                    if which.next() == Some(&true) {
                        list.clear();
                    }
                }
            }
            Fate::Bare(keep) => {
                let list = lists(&mut value).next().unwrap();
                list.truncate(keep.index(list.len()) + 1);
                value = Value::Array(std::mem::take(list));
            }
            Fate::Filtered(at, by_name) => {
                if let Some(list) = value.get_mut("associations").and_then(Value::as_array_mut) {
                    let key = if *by_name { "serviceAccount" } else { "namespace" };
                    let only = at.get(list)[key].clone();
                    list.retain(|association| association[key] == only);
                }
            }
            Fate::Loose(keep) => {
                path = format!("loose/{n}.json");
                for list in lists(&mut value) {
                    let mut keep = keep.iter().cycle();
                    list.retain(|_| *keep.next().unwrap());
                }
            }
            Fate::Torn(at) => {
                let text = value.to_string().into_bytes();
                bytes = Some(text[..at.index(text.len())].to_vec());
            }
            Fate::Damaged(at) => {
                let mut text = value.to_string().into_bytes();
                *at.get_mut(&mut text) = 0;
                bytes = Some(text);
            }
            Fate::Utf16 => {
                let units = std::iter::once(0xfeff).chain(value.to_string().encode_utf16().collect::<Vec<_>>());
                bytes = Some(units.flat_map(u16::to_le_bytes).collect());
            }
        }
        out.insert(path, bytes.unwrap_or_else(|| value.to_string().into_bytes()));
    }
    out
}

fn plain(whole: &BTreeMap<String, Value>) -> Files {
    whole.iter().map(|(path, value)| (path.clone(), value.to_string().into_bytes())).collect()
}

fn folder(files: &Files) -> Folder {
    let folder = Folder::new();
    for (path, bytes) in files {
        folder.write_bytes(path, bytes);
    }
    folder
}

/// What is there: resources and open findings.
async fn standing(store: &Store) -> (usize, BTreeMap<String, String>) {
    let estate = store.estate(chrono::DateTime::UNIX_EPOCH).await.unwrap();
    let resources = estate.roles.len()
        + estate.policies.len()
        + estate.clusters.len()
        + estate.associations.len()
        + estate.oidc_providers.len()
        + estate.trails.len();
    let known = store.known_findings().await.unwrap();
    let open = known.iter().filter(|finding| finding.detection != Detection::Cleared);
    (resources, open.map(|finding| (finding.fingerprint.0.clone(), finding.rule.clone())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_import_of_a_part_resolves_what_is_still_there() {
    let database = rolecall_store::testing::database().await.unwrap();
    let store = &database.store;
    // Without SCPs, what roles may do would be unknown before anything is cut.
    let options = ImportOptions { assume: vec![Assumption::NoScps], ..ImportOptions::default() };
    let estate = whole();
    let all = folder(&plain(&estate));
    for _ in 0..2 {
        import(store, all.path(), options.clone()).await.unwrap();
    }
    let (resources, open) = standing(store).await;
    let rules: std::collections::BTreeSet<&String> = open.values().collect();
    assert!(open.len() >= 12 && rules.len() >= 6, "the estate has what may be resolved: {rules:?}");

    let cases = (Config::default().cases / 16).max(1);
    let mut runner = TestRunner::deterministic();
    let fates = prop::collection::vec(fate(), estate.len());
    for case in 0..cases {
        let fates = fates.new_tree(&mut runner).unwrap().current();
        let part = folder(&spoiled(&estate, &fates));
        // A listing closes what it lacks only when it was complete twice.
        for _ in 0..2 {
            match import(store, part.path(), options.clone()).await {
                Ok(summary) => assert_eq!(summary.findings_resolved, 0, "case {case}: {fates:#?}"),
                // No file of it holds anything.
                Err(error) => assert!(error.to_string().contains("nothing was read"), "{error}"),
            }
        }
        let (still, open_now) = standing(store).await;
        assert!(still >= resources, "case {case}: {fates:#?}");
        assert!(open.keys().all(|finding| open_now.contains_key(finding)), "case {case}: {fates:#?}");
    }

    // The same files again give the same findings, and what is gone from complete listings is resolved.
    import(store, all.path(), options.clone()).await.unwrap();
    assert_eq!(standing(store).await, (resources, open.clone()));
    let mut fewer = estate.clone();
    for (path, value) in &mut fewer {
        if path.ends_with("gaad.json") {
            lists(value).for_each(|list| list.retain(|role| role["RoleName"] != "open"));
        }
    }
    let fewer = folder(&plain(&fewer));
    let mut resolved = 0;
    for _ in 0..2 {
        resolved += import(store, fewer.path(), options.clone()).await.unwrap().findings_resolved;
    }
    assert!(resolved > 0, "a role that is gone takes its findings with it");
    assert_eq!(standing(store).await.0, resources - ACCOUNTS.len());
}
