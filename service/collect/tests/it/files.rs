//! What is collected, and what is imported from the same answers in files, is the same.

use crate::estate::{HUB, SUSPENDED, WORK, estate, look, role, sandbox_of, settings};
use rolecall_estate::Observation;
use rolecall_import::{InputFile, read_files};
use rolecall_sandbox::Sandbox;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn files_below(root: &Path, folder: &Path, found: &mut Vec<InputFile>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push(InputFile { path: name, bytes: std::fs::read(&path).unwrap() });
        }
    }
}

fn import(sandbox: &Sandbox) -> Vec<Observation> {
    let folder = Folder(std::env::temp_dir().join(format!("rolecall-{}", uuid::Uuid::new_v4())));
    std::fs::create_dir_all(&folder.0).unwrap();
    sandbox.mutate(|estate| estate.to_dir(&folder.0).unwrap());
    let mut files = Vec::new();
    files_below(&folder.0, &folder.0, &mut files);
    let import = read_files(&files);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    import.observations
}

#[tokio::test]
async fn calls_and_files_give_the_same_facts() {
    let mut given = estate();
    let work = given.accounts.get_mut(WORK).unwrap();
    // What the two sides could read in two ways.
    let mut sparse = role(WORK, "/", "sparse");
    sparse["PermissionsBoundary"] = json!({"PermissionsBoundaryType": "", "PermissionsBoundaryArn": ""});
    sparse["AttachedManagedPolicies"] = json!([
        {"PolicyName": "own", "PolicyArn": format!("arn:aws:iam::{WORK}:policy/own")},
        {"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
    ]);
    sparse["InstanceProfileList"] = ["z", "a"]
        .map(|name| {
            json!({"Path": "/", "InstanceProfileName": name, "InstanceProfileId": "AIPAX", "Roles": [],
            "Arn": format!("arn:aws:iam::{WORK}:instance-profile/{name}"), "CreateDate": "2025-01-02T03:04:05Z"})
        })
        .into();
    work.roles.push(sparse);
    let prod = &mut work.regions.get_mut("eu-west-1").unwrap().clusters[0];
    prod.detail["createdAt"] = json!("2025-09-03T00:00:00.25Z");
    prod.associations[0]["createdAt"] = json!(1_770_000_000.125);
    prod.addons[0]["health"] = json!({"issues": [{"code": "B"}, {"code": "A"}]});
    prod.addons[0]["podIdentityAssociations"] = json!(["arn:b", "arn:a"]);
    let sandbox = sandbox_of(given).await;
    let (mut collected, _) = look(settings(&sandbox)).await;
    // The role with which accounts are read is the stand-in's own.
    collected.values_mut().for_each(|seen| seen.roles.retain(|role| role.arn.name() != "RolecallReadOnly"));
    let imported = import(&sandbox);
    for id in [HUB, WORK, SUSPENDED] {
        let by_calls = &collected[id];
        let named = |it: &&Observation| it.account.as_ref().is_some_and(|account| account.id.to_string() == id);
        let by_files = imported.iter().find(named).unwrap();
        macro_rules! same {
            ($($list:ident by $key:expr),*) => {$(
                let (mut left, mut right) = (by_calls.$list.clone(), by_files.$list.clone());
                left.sort_by_key($key);
                right.sort_by_key($key);
                assert_eq!(left, right, "{id}");
            )*};
        }
        assert_eq!(by_calls.account, by_files.account, "{id}");
        same!(
            roles by |it| it.arn.to_string(),
            last_used by |it| it.role.to_string(),
            policies by |it| it.arn.to_string(),
            oidc_providers by |it| it.arn.to_string(),
            clusters by |it| it.arn.clone(),
            associations by |it| it.key.clone(),
            trails by |it| it.arn.clone(),
            org_policies by |it| it.id.clone(),
            org_units by |it| it.id.clone()
        );
        for document in by_files.documents.iter() {
            let other = by_calls.documents.get(&document.digest);
            assert_eq!(other.map(|it| it.parsed.is_ok()), Some(document.parsed.is_ok()), "{id} {}", document.text);
        }
    }
    assert_eq!(collected[WORK].roles.len(), 4);
    assert_eq!(collected[WORK].associations.len(), 3);
}
