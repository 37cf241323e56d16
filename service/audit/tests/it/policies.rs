//! The rules that ship: they load against the facts, say what they say in their own tests, and
//! are told apart by fail, pass and unknown.

use rolecall_audit::facts;
use rolecall_rules::{RuleSet, SourceFile};
use std::path::Path;

/// Every file of a folder of `policies/`, by name.
pub(crate) fn files(folder: &str) -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    paths.sort();
    let read = |path: &std::path::PathBuf| SourceFile {
        path: format!("policies/{}", path.file_name().unwrap().to_string_lossy()),
        text: std::fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(read).collect()
}

/// The rules that ship, without the example bindings.
pub(crate) fn builtin() -> RuleSet {
    load(&files("builtin"))
}

/// Rules from files that must be without mistakes.
pub(crate) fn load(files: &[SourceFile]) -> RuleSet {
    RuleSet::load(files, facts::schema()).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"));
    })
}

#[test]
fn every_rule_that_ships_passes_its_own_tests() {
    let rules = builtin();
    let failed: Vec<String> = rules
        .test()
        .into_iter()
        .filter(|test| !test.passed)
        .map(|test| format!("{} / {}: expected {}, answered {}", test.rule, test.name, test.expected, test.answered))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(rules.untested(), []);
}

#[test]
fn every_message_says_what_decided_whatever_else_is_not_known() {
    let found = rolecall_rules::messages(&builtin(), facts::schema());
    assert!(found.vague.is_empty(), "{}", found.vague.join("\n"));
    assert!(found.judged > 20, "only {} messages were about a fact that did not decide", found.judged);
}

#[test]
fn what_the_handbook_shows_can_be_loaded() {
    let handbook = include_str!("../../../../policies/README.md");
    let blocks: Vec<&str> = handbook.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 3, "a rule, a binding and an exception");
    let text = blocks.join("---\n").replace(", \"category:least-privilege\"", "");
    let set = load(&[SourceFile { path: "handbook.yaml".to_owned(), text }]);
    assert_eq!(set.untested(), []);
    let wrong: Vec<_> = set.test().into_iter().filter(|result| !result.passed).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_rules_that_are_promised_are_there() {
    let promised = [
        "admin-equivalent",
        "association-role-missing",
        "default-service-account",
        "not-action-allow",
        "pass-role-any",
        "role-shared-across-namespaces",
        "session-name-convention",
        "session-name-grammar",
        "session-name-imitation",
        "target-role-without-external-id",
        "trust-admits-outsider",
        "trust-lacks-tag-session",
        "trust-without-source",
        "unreadable-policy-document",
        "wildcard-action",
        "wildcard-resource",
    ];
    let rules = builtin();
    for id in promised {
        let rule = rules.rule(id).unwrap_or_else(|| panic!("no rule {id}"));
        assert!(!rule.meta().references.is_empty(), "{id} has no reference");
        assert!(rule.origin().contains(id), "{id} stands in {}", rule.origin());
    }
}

#[test]
fn the_sample_bindings_and_exceptions_load_with_the_rules() {
    let mut all = files("builtin");
    all.extend(files("bindings"));
    all.extend(files("exceptions"));
    let rules = load(&all);
    assert!(!rules.exceptions().is_empty());
}
