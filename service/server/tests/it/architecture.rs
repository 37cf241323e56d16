//! The borders between the crates, as their manifests and sources draw them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates without effects, each with those of the service that it may depend on.
const PURE: [(&str, &[&str]); 7] = [
    ("iam", &[]),
    ("estate", &["iam"]),
    ("cloudtrail", &["iam", "estate"]),
    ("import", &["iam", "estate", "cloudtrail"]),
    ("declared", &["iam", "estate"]),
    ("rules", &["iam", "estate"]),
    ("audit", &["iam", "estate", "cloudtrail", "declared", "rules"]),
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

/// A crate's `src`.
fn src(krate: &str) -> PathBuf {
    let folder = if krate == "xtask" { root() } else { root().join("service") };
    folder.join(krate).join("src")
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
    walk(&src(krate), &mut found);
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
            "declared",
            "estate",
            "iam",
            "import",
            "outgoing",
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
        "granit-parser",
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
    for krate in PURE.map(|(krate, _)| krate).into_iter().chain(["collect", "outgoing", "postgres", "store", "sandbox"])
    {
        assert!(!dependencies(krate, "dependencies").contains("rolecall"), "{krate} depends on the service");
    }
}

#[test]
fn sql_is_in_the_store_and_aws_in_the_collectors() {
    for krate in crates() {
        for name in dependencies(&krate, "dependencies") {
            assert!(name != "sqlx" || ["store", "postgres"].contains(&&*krate), "{krate} depends on sqlx");
            // A library of cryptography, and no client of AWS.
            let is_client = name.starts_with("aws-") && name != "aws-lc-rs";
            assert!(!is_client || krate == "collect", "{krate} depends on {name}");
        }
    }
}

/// What a handler asks of everything that is stored, it asks about something that whoever asks has seen; see each
/// place before a file is added.
#[test]
fn few_files_of_the_web_ask_for_more_than_may_be_seen() {
    let root = root().join("service/server/src/http");
    let found: BTreeSet<String> = sources("server")
        .into_iter()
        .filter(|(path, text)| {
            path.starts_with(&root) && (text.contains(".whole()") || text.contains("Unlimited(app)"))
        })
        .map(|(path, _)| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    let known = [
        "api/granted.rs",
        "api/simulate.rs",
        "api/usage.rs",
        "auth/oidc.rs",
        "auth/sign_in.rs",
        "frame.rs",
        "health.rs",
        "listing.rs",
        "metrics.rs",
        "pages/download.rs",
        "pages/grants.rs",
        "pages/overview.rs",
        "pages/session.rs",
        "pages/sessions.rs",
        "pages/settings.rs",
        "pages/simulate.rs",
        "who_can.rs",
    ];
    assert_eq!(found, known.map(str::to_owned).into());
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

fn before_at(text: &str, at: usize) -> &str {
    text.split_at(at).0
}

fn after(text: &str, at: usize) -> &str {
    text.split_at(at).1
}

/// Paths that begin with `crate`, `super` or `self` in a source, each group of a `use` written out.
fn paths(source: &str) -> Vec<Vec<String>> {
    fn tree(text: &str, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
        let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let mut path = before.to_vec();
        path.push(before_at(text, length).to_owned());
        let Some(rest) = after(text, length).strip_prefix("::") else {
            found.push(path);
            return length;
        };
        let mut at = length + 2;
        if !rest.starts_with('{') {
            return at + tree(rest, &path, found);
        }
        loop {
            at += 1;
            at += after(text, at).find(|c: char| !c.is_whitespace()).unwrap_or(0);
            if after(text, at).starts_with('}') || after(text, at).is_empty() {
                return at + 1;
            }
            at += tree(after(text, at), &path, found);
            at += after(text, at).find([',', '}']).unwrap_or(text.len() - at);
            if !after(text, at).starts_with(',') {
                return at + 1;
            }
        }
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = ["crate::", "super::", "self::"].iter().filter_map(|root| after(source, at).find(root)).min()
    {
        at += next;
        let is_begin = !before_at(source, at).ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        at += if is_begin { tree(after(source, at), &[], &mut found) } else { 1 };
    }
    found
}

/// What a source says besides comments and unit tests.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    let end = text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| {
        let declaration = after(&text, *at).lines().nth(1).unwrap_or_default();
        declaration.trim_end().ends_with('{')
    });
    before_at(&text, end.map_or(text.len(), |(at, _)| at)).to_owned()
}

/// Each module that is compiled outside of tests with the paths in it, both below the crate's root.
fn modules(krate: &str) -> Vec<(Vec<String>, Vec<Vec<String>>)> {
    let src = src(krate);
    let mut tests = BTreeSet::new();
    let mut found = Vec::new();
    for (path, text) in sources(krate) {
        let mut module: Vec<String> = path
            .strip_prefix(&src)
            .unwrap()
            .with_extension("")
            .components()
            .map(|part| part.as_os_str().to_str().unwrap().to_owned())
            .collect();
        if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
            module.pop();
        }
        for (at, _) in text.match_indices("#[cfg(test)]\nmod ") {
            let name = after(&text, at).lines().nth(1).unwrap_or_default().trim_start_matches("mod ");
            tests.extend(name.strip_suffix(';').map(|name| [module.as_slice(), &[name.to_owned()]].concat()));
        }
        let absolute = |path: Vec<String>| {
            let ups = path.iter().filter(|part| *part == "super").count();
            let rest = path.iter().skip_while(|part| ["crate", "super", "self"].contains(&part.as_str())).cloned();
            let base = if path[0] == "crate" { &[] } else { &module[..module.len().saturating_sub(ups)] };
            base.iter().cloned().chain(rest).collect::<Vec<_>>()
        };
        let named = paths(&code(&text)).into_iter().map(absolute).collect();
        found.push((module, named));
    }
    found.retain(|(module, _)| !tests.iter().any(|test| module.starts_with(test)));
    found
}

/// Modules of which some children import each other in a circle, each with these children.
fn knots(krate: &str) -> Vec<(String, BTreeSet<String>)> {
    let modules = modules(krate);
    let all: BTreeSet<&[String]> = modules.iter().map(|(module, _)| module.as_slice()).collect();
    // Between children of one module, by that module.
    let mut edges: BTreeMap<&[String], BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (module, named) in &modules {
        for path in named {
            let length = (0..=path.len()).rev().find(|length| all.contains(&path[..*length])).unwrap_or(0);
            let other = &path[..length];
            let shared = module.iter().zip(other).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.get(shared), other.get(shared)) {
                edges.entry(&module[..shared]).or_default().entry(from).or_default().insert(to);
            }
        }
    }
    let tied = edges.into_iter().map(|(parent, mut edges)| {
        // What leads nowhere, and where nothing leads, is in no circle.
        loop {
            let before: usize = edges.values().map(BTreeSet::len).sum();
            let from: BTreeSet<&str> = edges.keys().copied().collect();
            let to: BTreeSet<&str> = edges.values().flatten().copied().collect();
            edges.values_mut().for_each(|to| to.retain(|to| from.contains(to)));
            edges.retain(|from, leads| to.contains(from) && !leads.is_empty());
            if edges.values().map(BTreeSet::len).sum::<usize>() == before {
                break;
            }
        }
        let name = [&[krate.to_owned()], parent].concat().join("::");
        (name, edges.into_keys().map(str::to_owned).collect::<BTreeSet<_>>())
    });
    tied.filter(|(_, children)| !children.is_empty()).collect()
}

#[test]
fn modules_do_not_import_each_other_in_a_circle() {
    let all = crates().into_iter().chain(["xtask".to_owned()]);
    let found: Vec<_> = all.flat_map(|krate| knots(&krate)).collect();
    assert!(found.is_empty(), "children of these modules import each other: {found:#?}");
}

#[test]
fn answers_about_access_know_no_rule_values() {
    let values = ["Value", "View", "Def", "Object", "Schema"];
    for (path, text) in sources("audit").into_iter().filter(|(path, _)| path.to_string_lossy().contains("src/access/"))
    {
        let code = code(&text);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        // JSON has values of its own.
        let code = words.collect::<Vec<_>>().join(" ").replace("serde_json Value", "");
        for value in values {
            assert!(!code.split(' ').any(|word| word == value), "{} names {value}", path.display());
        }
    }
}

#[test]
fn imports_are_read_from_sources() {
    let source =
        "use crate::a::{self, b::{C, D as E}, f};\nuse super::super::g;\nfn h() { crate::i::j(); self::k::L {} }\n";
    let read: Vec<String> = paths(&code(source)).iter().map(|path| path.join("::")).collect();
    let expected = ["crate::a::self", "crate::a::b::C", "crate::a::b::D", "crate::a::f", "super::super::g"];
    assert_eq!(read, [&expected[..], &["crate::i::j", "self::k::L"]].concat());
    assert_eq!(
        code("a // crate::b\n#[cfg(test)]\nmod x;\nc\n#[cfg(test)]\nmod tests {\nd"),
        "a \n#[cfg(test)]\nmod x;\nc\n"
    );
}
