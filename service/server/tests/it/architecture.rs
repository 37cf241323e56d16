//! The borders between the crates, as their manifests and sources draw them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The crates without effects, each with those of the service that it may depend on.
const PURE: [(&str, &[&str]); 6] = [
    ("iam", &[]),
    ("estate", &["iam"]),
    ("cloudtrail", &["iam", "estate"]),
    ("import", &["iam", "estate", "cloudtrail"]),
    ("rules", &["iam", "estate"]),
    ("audit", &["iam", "estate", "cloudtrail", "rules"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest(krate: &str) -> toml::Table {
    let path = root().join("service").join(krate).join("Cargo.toml");
    std::fs::read_to_string(&path).unwrap().parse().unwrap()
}

fn dependencies(krate: &str, table: &str) -> BTreeSet<String> {
    let manifest = manifest(krate);
    let names = manifest.get(table).and_then(toml::Value::as_table).map(|table| table.keys().cloned().collect());
    names.unwrap_or_default()
}

fn crates() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("service"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every Rust file of a crate's `src`, with its text.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("service").join(krate).join("src"), &mut found);
    found
}

#[test]
fn the_crates_are_those_of_the_architecture() {
    assert_eq!(
        crates(),
        [
            "audit",
            "cloudtrail",
            "collect",
            "estate",
            "iam",
            "import",
            "postgres",
            "rules",
            "sandbox",
            "server",
            "store"
        ]
    );
}

#[test]
fn pure_crates_depend_on_nothing_that_acts() {
    // Parsing, hashing, matching, and time without a clock.
    let pure: BTreeSet<&str> = [
        "serde",
        "serde_json",
        "thiserror",
        "sha2",
        "regex",
        "percent-encoding",
        "strsim",
        "chrono",
        "cel",
        "serde-saphyr",
        "flate2",
        "libdeflater",
        "sonic-rs",
        "hashbrown",
        "memchr",
    ]
    .into();
    for (krate, own) in PURE {
        for name in dependencies(krate, "dependencies") {
            assert!(
                pure.contains(name.as_str()) || own.iter().any(|own| name == format!("rolecall-{own}")),
                "{krate} depends on {name}"
            );
        }
        assert!(dependencies(krate, "build-dependencies").is_empty(), "{krate} has a build script's dependencies");
    }
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let chrono = &workspace["workspace"]["dependencies"]["chrono"];
    assert_eq!(chrono["default-features"].as_bool(), Some(false));
    let features: Vec<&str> = chrono["features"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    assert!(
        !features.contains(&"clock") && !features.contains(&"now"),
        "chrono lends the pure crates a clock: {features:?}"
    );
}

#[test]
fn pure_crates_name_nothing_that_acts() {
    let acts = [
        "std::fs",
        "std::env",
        "std::net::Tcp",
        "std::net::Udp",
        "ToSocketAddrs",
        "std::process",
        "std::time::SystemTime",
        "std::time::Instant",
        "Utc::now",
        "async fn",
        "println!",
        "eprintln!",
    ];
    for (krate, _) in PURE {
        for (path, text) in sources(krate) {
            // Tests may read their cases from files.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
                continue;
            }
            for word in acts {
                assert!(!code.contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn looking_and_remembering_do_not_know_each_other() {
    for (krate, other) in [("collect", "rolecall-store"), ("store", "rolecall-collect")] {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            assert!(!dependencies(krate, table).contains(other), "{krate} names {other} in {table}");
        }
    }
    for krate in PURE.map(|(krate, _)| krate).into_iter().chain(["collect", "postgres", "store", "sandbox"]) {
        assert!(!dependencies(krate, "dependencies").contains("rolecall"), "{krate} depends on the service");
    }
}

#[test]
fn sql_is_in_the_store_and_aws_in_the_collectors() {
    for krate in crates() {
        for name in dependencies(&krate, "dependencies") {
            assert!(name != "sqlx" || ["store", "postgres"].contains(&&*krate), "{krate} depends on sqlx");
            assert!(!name.starts_with("aws-") || krate == "collect", "{krate} depends on {name}");
        }
    }
}

#[test]
fn one_file_names_the_scheduler() {
    for (path, text) in sources("server") {
        let names_it = text.contains("tokio_cron_scheduler");
        assert!(!names_it || path.ends_with("schedule/mod.rs"), "{} names tokio_cron_scheduler", path.display());
    }
}

#[test]
fn every_module_says_what_it_is() {
    for krate in crates() {
        for (path, text) in sources(&krate) {
            assert!(text.starts_with("//!"), "{} does not open with `//!`", path.display());
        }
    }
}
