//! A state is approved, signed, exported, reviewed in a folder and read by another installation; what was edited is
//! refused; a change that leads away is a finding, and one that comes back is none.

use crate::mutations::{Files, before, more, role, role_arn};
use crate::support::{Ended, Folder, Serving, rolecall, run};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rolecall_audit::finding::Workflow;
use rolecall_store::testing::{Database, database};
use rolecall_store::{FindingFilter, FindingSort};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A new private key in a file that only its owner may read; the public key as Base64.
fn key(folder: &Folder, name: &str) -> String {
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = STANDARD.encode(pair.to_pkcs8v1().unwrap());
    let path = folder.write(name, &format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    STANDARD.encode(pair.public_key().as_ref())
}

struct Installation<'f> {
    home: &'f Folder,
    database: Database,
    config: &'static str,
}

impl Installation<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = rolecall(self.home.path());
        command.env("DATABASE_URL", &self.database.url).args(["--config", self.config]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let ended = run(&mut self.command(arguments));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    fn import(&self, files: &Files) {
        let folder = Folder::new();
        for (path, content) in files {
            folder.write(path, &content.to_string());
        }
        self.run(&["import", "--complete", folder.path().to_str().unwrap()]);
    }

    fn export(&self, what: &str) -> Vec<Value> {
        let out = self.run(&["export", what]).out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn open(&self) -> usize {
        let filter = FindingFilter {
            rules: vec!["change-widens-access".to_owned()],
            workflow: vec![Workflow::Open],
            ..FindingFilter::default()
        };
        self.database.store.findings(&filter, FindingSort::Severity, None, 100).await.unwrap().len()
    }

    /// Waits until a worker has judged.
    async fn until_open(&self, expected: usize) {
        for _ in 0..600 {
            if self.open().await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(self.open().await, expected);
    }
}

fn state(rows: &[Value]) -> Vec<(&str, Option<&str>)> {
    rows.iter().map(|row| (row["state"].as_str().unwrap(), row["effect"].as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_state_goes_from_one_installation_to_another() {
    let home = Folder::new();
    let (trusted, other) = (key(&home, "key.pem"), key(&home, "other.pem"));
    home.write("one.toml", "[baselines]\nsigning_key_file = \"key.pem\"\n");
    home.write("two.toml", &format!("[policies]\ndir = \"policies\"\n[baselines]\ntrusted_keys = [\"{trusted}\"]\n"));
    home.write(
        "stranger.toml",
        &format!("[policies]\ndir = \"policies\"\n[baselines]\ntrusted_keys = [\"{other}\"]\n"),
    );
    let first = before();
    let mut second = first.clone();
    role(&mut second, "w1")["RolePolicyList"][0]["PolicyDocument"] = more();
    let one = Installation { home: &home, database: database().await.unwrap(), config: "one.toml" };
    one.import(&first);
    one.import(&second);
    assert_eq!(one.open().await, 1, "an unapproved change that widens access");

    // Approved: the finding about the change that led there resolves. Withdrawn: it is open again.
    let scopes = ["--scope", "findings:read", "--scope", "inventory:read", "--scope", "changes:approve"];
    let create = [&["admin", "token", "create", "--name", "t", "--days", "1"], &scopes[..]].concat();
    let token = one.run(&create).out.trim().to_owned();
    let serving = Serving::start(one.command(&["serve", "--bind", "127.0.0.1:0"]));
    let bearer = format!("Authorization: Bearer {token}");
    let body = json!({"resource": role_arn("w1"), "reason": "Reviewed", "ticket": "SEC-9"}).to_string();
    let approve = || {
        let (status, answer) = serving.send("POST", "/api/v1/baselines", &bearer, &body);
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["baselines"][0].clone()
    };
    let baseline = approve();
    assert_eq!(baseline["signed_by"], *trusted, "{baseline}");
    one.until_open(0).await;
    let path = format!("/api/v1/baselines/{}?reason=mistake", baseline["baseline_id"].as_str().unwrap());
    let (status, answer) = serving.send("DELETE", &path, &bearer, "");
    assert_eq!(status, 200, "{answer}");
    one.until_open(1).await;
    approve();
    one.until_open(0).await;
    serving.stop();
    assert_eq!(state(&one.export("baselines")), [("matches", None)]);

    // A change that leads away is not approved, and differs by what it gained; one that comes back is no drift.
    let mut third = second.clone();
    role(&mut third, "w1")["RolePolicyList"][0]["PolicyDocument"] = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::orders/*"}
    ]});
    one.import(&third);
    assert_eq!(state(&one.export("baselines")), [("differs", Some("widened"))]);
    assert_eq!(one.open().await, 1);
    one.import(&second);
    assert_eq!(state(&one.export("baselines")), [("matches", None)]);
    assert_eq!(one.open().await, 0);
    let approvals: Vec<Value> = one.export("changes").into_iter().map(|row| row["approval"].clone()).collect();
    assert_eq!(approvals.iter().filter(|it| it.is_null()).count(), 1, "only what led away: {approvals:?}");

    // Exported, and read by another installation that trusts the key.
    let folder = home.path().join("policies/baselines");
    one.run(&["baselines", "export", folder.to_str().unwrap()]);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let text = std::fs::read_to_string(file).unwrap();
    one.run(&["baselines", "export", "--resource", &role_arn("w1"), folder.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), text, "the same in the same order");
    let two = Installation { home: &home, database: database().await.unwrap(), config: "two.toml" };
    assert!(two.run(&["policies", "check"]).out.contains("1 baselines in 1 files count"));
    two.import(&first);
    let listed = two.export("baselines");
    assert_eq!(state(&listed), [("differs", Some("narrowed"))], "{listed:?}");
    assert_eq!((&listed[0]["signed_by"], &listed[0]["reason"]), (&json!(trusted), &json!("Reviewed")));
    two.import(&second);
    assert_eq!(state(&two.export("baselines")), [("matches", None)]);
    assert_eq!(two.open().await, 0, "what leads to the approved state is approved");

    // Whatever is edited is refused, by file, place and remedy, and what counted before still does.
    for (config, edited, said) in [
        ("two.toml", text.replace("Reviewed", "Approved"), "does not fit the contents"),
        ("two.toml", text.replace("SEC-9", "SEC-1"), "does not fit the contents"),
        ("two.toml", text.replace("\"ticket\": \"SEC-9\"", "\"ticket\": \"SEC-9\", \"until\": null"), ""),
        ("two.toml", text.replacen("s3:deleteobject", "s3:*", 1), "the digest of the document"),
        ("two.toml", unsigned(&text), "it is not signed"),
        ("stranger.toml", text.clone(), "which `[baselines] trusted_keys` does not have"),
        ("two.toml", text.replacen("\"resources\"", "\"resuorces\"", 1), "resuorces"),
    ] {
        std::fs::write(file, &edited).unwrap();
        let asked = Installation { config, database: two.database.clone(), home: &home };
        let checked = run(&mut asked.command(&["policies", "check"]));
        let is_sound = said.is_empty();
        assert_eq!(checked.code, Some(if is_sound { 0 } else { 2 }), "{said}: {checked:?}");
        assert!(checked.err.contains(said), "{said}: {checked:?}");
        assert!(is_sound || checked.err.contains(file_name(file)), "{checked:?}");
    }
    let database = database().await.unwrap();
    std::fs::write(file, text.replace("Reviewed", "Approved")).unwrap();
    let three = Installation { home: &home, database, config: "two.toml" };
    three.import(&first);
    three.import(&second);
    assert_eq!(three.export("baselines"), Vec::<Value>::new());
    assert_eq!(three.open().await, 1);
    two.import(&second);
    assert_eq!(two.export("baselines")[0]["reason"], "Reviewed");

    // A file that is gone takes its baselines with it.
    std::fs::remove_file(file).unwrap();
    two.import(&second);
    assert_eq!(two.export("baselines"), Vec::<Value>::new());
    assert_eq!(two.open().await, 1);

    // A key that others may read is refused before anything is served.
    std::fs::set_permissions(home.path().join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&mut one.command(&["serve", "--bind", "127.0.0.1:0"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("key.pem") && refused.err.contains("chmod 600"), "{refused:?}");
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn unsigned(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    for entry in value["resources"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("signature");
    }
    value.to_string()
}
