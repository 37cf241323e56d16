//! Every evaluation case, ours and those of the shared corpus, is decided as it should be.

use crate::shared;
use rolecall_iam::cases::{self, Case};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
    "StringEqualsIfExists",
    "StringLikeIfExists",
    "StringNotEqualsIfExists",
    "BoolIfExists",
    "ForAllValues:StringEquals",
    "ForAllValues:StringLike",
    "ForAllValues:StringNotEquals",
    "ForAnyValue:StringEquals",
    "ForAnyValue:StringLike",
    "ForAnyValue:StringNotEquals",
];

const LAYERS: &[&str] = &["identity", "boundary", "session", "scp", "rcp", "resource", "trust", "vpc_endpoint"];

const CATEGORIES: &[&str] = &[
    "identity",
    "statement/action",
    "statement/notaction",
    "statement/resource",
    "statement/notresource",
    "statement/wildcard-only",
    "statement/version",
    "boundary",
    "session",
    "root",
    "scp",
    "rcp",
    "principal",
    "notprincipal",
    "protected",
    "cross-account",
    "variable",
    "condition/several",
    "condition/ifexists",
    "condition/forallvalues",
    "condition/foranyvalue",
    "trust",
    "trust/external-id",
    "trust/service",
    "trust/tag-session",
    "trust/source-identity",
    "trust/chain",
    "trust/web-identity",
    "trust/saml",
    "pod-identity/trust",
    "pod-identity/target-role",
    "pod-identity/abac",
    "pod-identity/association-policy",
    "pod-identity/pass-role",
    "resource/kms",
    "resource/s3",
    "resource/service-principal",
    "vpc-endpoint",
    "unknown/layer",
    "unknown/document",
    "unknown/operator",
    "unknown/key",
    "odd-input",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut out: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    out.sort();
    out
}

fn ours() -> Vec<PathBuf> {
    files(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases"))
}

fn read(path: &Path) -> Vec<Case> {
    let name = path.file_name().unwrap().to_string_lossy();
    let cases = cases::parse(&name, &std::fs::read(path).unwrap());
    cases.into_iter().map(|case| case.unwrap_or_else(|error| panic!("{error}; {}", error.remedy))).collect()
}

/// Runs the cases and fails with every disagreement at once.
fn run(files: &[PathBuf]) -> usize {
    let (mut count, mut wrong) = (0, Vec::new());
    for case in files.iter().flat_map(|path| read(path)) {
        count += 1;
        let answer = case.answer();
        assert!(!answer.because.is_empty(), "{}: an answer without a reason", case.id);
        let expected = case.expected.as_deref().unwrap_or("nothing");
        if case.agrees(answer.decision) != Some(true) {
            wrong.push(format!(
                "{} [{}]: expected {expected}: {}\n    decided {}: {}",
                case.id, case.category, case.reason, answer.decision, answer.because
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases differ:\n{}", wrong.len(), wrong.join("\n"));
    count
}

#[test]
fn our_cases_are_decided_as_documented() {
    let count = run(&ours());
    assert!(count >= 400, "{count} cases are too few");
    if let Some(folder) = shared("evaluation-cases") {
        assert!(run(&files(&folder)) >= 18);
    }
}

#[test]
fn our_cases_cover_every_layer_operator_and_rule_both_ways() {
    let mut ids = BTreeSet::new();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in ours() {
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in &cases {
            let text = |name: &str| case[name].as_str().unwrap_or_else(|| panic!("{case} lacks `{name}`")).to_owned();
            let id = text("id");
            for needed in ["name", "reason", "source", "tier"] {
                assert!(!text(needed).is_empty(), "{id} has no {needed}");
            }
            assert!(ids.insert(id.clone()), "two cases are called {id}");
            let mut note = |what: String| {
                let outcome = if text("expected") == "Allow" { "+" } else { "-" };
                let set = seen.entry(what).or_default();
                set.insert(format!("{outcome}{id}"));
            };
            note(text("category"));
            for layer in case["policies"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
                note(format!("layer {}", layer.0));
            }
            let mut operators = BTreeSet::new();
            conditions(&case["policies"], &mut operators);
            for operator in operators {
                note(format!("operator {operator}"));
            }
        }
    }
    let operators = OPERATORS.iter().map(|name| format!("operator {name}"));
    let layers = LAYERS.iter().map(|name| format!("layer {name}"));
    for needed in operators.chain(layers).chain(CATEGORIES.iter().map(ToString::to_string)) {
        let cases = seen.get(&needed).cloned().unwrap_or_default();
        assert!(cases.len() >= 2, "{needed}: {cases:?}");
        let both = ["+", "-"].iter().all(|sign| cases.iter().any(|case| case.starts_with(sign)));
        assert!(both, "{needed} is only ever decided one way: {cases:?}");
    }
}

/// The operators of every `Condition` within a value.
fn conditions(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| conditions(value, out)),
        Value::Object(map) => {
            if let Some(Value::Object(condition)) = map.get("Condition") {
                out.extend(condition.keys().cloned());
            }
            map.values().for_each(|value| conditions(value, out));
        }
        _ => {}
    }
}
