//! Names that somebody else chose: kept, shown harmless, and given to programs as they are.

use crate::support::{Ended, Folder, rolecall, run};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";

/// What `aws iam get-account-authorization-details` prints, with roles of these names.
fn roles(names: &[&str]) -> Value {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }],
    });
    let role = |name: &&str| {
        json!({
            "Path": "/", "RoleName": name, "RoleId": format!("AROA{}", names.iter().position(|n| n == name).unwrap()),
            "Arn": format!("arn:aws:iam::{ACCOUNT}:role/{name}"), "CreateDate": "2026-01-01T00:00:00Z",
            "AssumeRolePolicyDocument": trust, "InstanceProfileList": [], "RolePolicyList": [],
            "AttachedManagedPolicies": [{ "PolicyName": name, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess" }],
            "Tags": [{ "Key": name, "Value": name }],
        })
    };
    let details: Vec<Value> = names.iter().map(role).collect();
    json!({ "UserDetailList": [], "GroupDetailList": [], "RoleDetailList": details, "Policies": [] })
}

/// Nothing that a terminal obeys, and nothing that turns what is read.
#[track_caller]
fn is_harmless(text: &str) {
    let odd = |c: &char| (c.is_control() && *c != '\n' && *c != '\t') || "\u{202e}\u{2066}\u{200f}\u{61c}".contains(*c);
    assert_eq!(text.chars().find(odd), None, "{text:?}");
}

const NAMES: [&str; 5] =
    ["esc\u{1b}[2J\u{1b}]0;owned\u{7}", "c1\u{9b}31m", "cr\rroot", "bidi\u{202e}nimda\u{2066}", "bs\u{8}\u{7f}"];

#[test]
fn escapes_in_names_reach_no_terminal_and_every_program() {
    let folder = Folder::new();
    let database = tokio::runtime::Runtime::new().unwrap().block_on(rolecall_store::testing::database()).unwrap();
    let rolecall =
        |words: &[&str]| -> Ended { run(rolecall(folder.path()).env("DATABASE_URL", &database.url).args(words)) };
    folder.write("in/roles.json", &roles(&NAMES).to_string());
    // One file that cannot be read, under a name of the same kind.
    folder.write("in/odd\u{1b}[31m\u{202e}.json", "{\"RoleDetailList\":[{\"Arn\":\"\u{1b}[5mnone\"}]}");
    let imported = rolecall(&["--log", "debug", "import", "in"]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    is_harmless(&imported.out);
    is_harmless(&imported.err);
    assert!(imported.err.contains(r"odd\u{1b}[31m"), "{}", imported.err);
    for name in NAMES {
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let asked = ["simulate", "--principal", &arn, "--action", "s3:GetObject", "--resource", "*"];
        let answer = rolecall(&asked);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        is_harmless(&answer.out);
        is_harmless(&answer.err);
        let exact = rolecall(&[&["--format", "json"], &asked[..]].concat());
        assert_eq!(exact.json()["principal"].as_str().map(|text| text.contains(name)), Some(true), "{exact:?}");
    }
    let exported = rolecall(&["export", "roles"]).out;
    let arns: Vec<String> = exported
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["role_arn"]
                .as_str()
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned()
        })
        .collect();
    for name in NAMES {
        assert!(arns.contains(&format!("arn:aws:iam::{ACCOUNT}:role/{name}")), "{arns:?}");
    }
    // An error repeats what was given.
    let wrong = rolecall(&["--config", "no\u{1b}[31m\u{202e}where.toml", "scan"]);
    assert_eq!(wrong.code, Some(2));
    is_harmless(&wrong.err);
}

#[test]
fn one_odd_name_fails_no_import() {
    let folder = Folder::new();
    let database = tokio::runtime::Runtime::new().unwrap().block_on(rolecall_store::testing::database()).unwrap();
    let rolecall =
        |words: &[&str]| -> Ended { run(rolecall(folder.path()).env("DATABASE_URL", &database.url).args(words)) };
    let huge = "x".repeat(2 << 20);
    // Of a text that does not become small where it is compressed.
    let long: String = (0..200_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    folder.write("in/roles.json", &roles(&["plain", "a\0b", &huge, &long]).to_string());
    let imported = rolecall(&["--format", "json", "import", "in"]);
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    let exported = rolecall(&["export", "roles"]).out;
    for (name, kept) in [("plain", "plain"), ("a\0b", "a␀b")] {
        assert!(exported.contains(&format!("{ACCOUNT}:role/{kept}\"")), "{name:?}: {exported}");
    }
    assert_eq!(exported.lines().count(), 2);
    // Again, and with findings on all of them.
    let again = rolecall(&["--format", "json", "import", "in"]);
    assert_eq!(again.json()["resources_changed"], 0, "{again:?}");
    let findings = rolecall(&["export", "findings"]).out;
    assert!(findings.contains("role a␀b admits"), "{findings}");
    let text = rolecall(&["import", "in"]).out;
    assert!(text.contains("roles incomplete: iam:GetAccountAuthorizationDetails malformed"), "{text}");
    let gaps = rolecall(&["export", "gaps"]).out;
    for length in [huge.len(), long.len()] {
        let said = format!(
            "a name of {} bytes, where 2048 are the most that is kept",
            length + "arn:aws:iam::111122223333:role/".len()
        );
        assert!(gaps.contains(&said), "{said}: {gaps}");
    }
}
