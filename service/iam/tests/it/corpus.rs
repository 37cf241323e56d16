//! Every policy document of our corpus, and of third parties where that is there, parses, or is refused for a
//! reason that is true.

use crate::{corpora, shared};
use rolecall_iam::Document;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// Every object with a `Statement` within a JSON value.
pub fn documents(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) if map.contains_key("Statement") => out.push(value.to_string()),
        Value::Object(map) => map.values().for_each(|v| documents(v, out)),
        Value::Array(list) => list.iter().for_each(|v| documents(v, out)),
        _ => {}
    }
}

fn refused(texts: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for text in texts {
        let document = Document::new(text);
        match &document.parsed {
            Ok(policy) => {
                let again = Document::new(&policy.canonical());
                assert_eq!(again.digest, document.digest, "the canonical form has another address: {text}");
                let pointers = |d: &Document| d.statements().iter().map(|s| s.pointer.clone()).collect::<Vec<_>>();
                assert_eq!(pointers(&again), pointers(&document), "{text}");
            }
            Err(error) => {
                assert!(!error.remedy.is_empty());
                out.push(error.to_string());
            }
        }
    }
    out
}

#[test]
fn a_broken_policy_is_told_by_its_line_and_pointer() {
    let text = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\n    \"Effect\": \"Deny\",\n    \
                \"Action\": [\"iam:CreateUser\" \"iam:DeleteUser\"],\n    \"Resource\": \"*\"\n  }]\n}";
    let error = Document::new(text).parsed.unwrap_err();
    assert!(error.message.contains("line 5"), "{error:?}");
    assert!(error.pointer.starts_with("/Statement/0/Action"), "{error:?}");
    let Some(folder) = shared("scp-rcp") else { return };
    let mut broken = Vec::new();
    let mut read = 0;
    for path in files(&folder).iter().filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let text = std::fs::read_to_string(path).unwrap();
        read += 1;
        if let Err(error) = Document::new(&text).parsed {
            broken.push((path.file_name().unwrap().to_string_lossy().into_owned(), error));
        }
    }
    assert!(read > 60, "{read}");
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].0, "deny-service-specific-credential-by-type.json");
    assert!(broken[0].1.message.contains("line 15"), "{:?}", broken[0].1);
    assert!(broken[0].1.pointer.starts_with("/Statement"), "{:?}", broken[0].1);
}

#[test]
fn documents_within_other_files_parse() {
    for folder in corpora(&["trust-policies", "estate-small", "iam-authz", "evaluation-cases"]) {
        let mut texts = Vec::new();
        for path in files(&folder).iter().filter(|p| p.extension().is_none_or(|e| e == "json")) {
            if let Ok(value) = serde_json::from_slice(&std::fs::read(path).unwrap()) {
                documents(&value, &mut texts);
            }
        }
        assert!(!texts.is_empty(), "{}", folder.display());
        // Some of our cases are about policies that cannot be parsed.
        let broken = if folder.ends_with("cases") { 20 } else { 0 };
        let refused = refused(&texts);
        assert!(refused.len() <= broken, "{}: {refused:?}", folder.display());
    }
}

#[test]
fn what_a_linter_calls_malformed_is_refused_and_nothing_else() {
    let own: [(&str, bool); 8] = [
        (r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#, false),
        (r#"{"Statement":{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::b/*"}}"#, false),
        (r#"{"Statement":{"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"}}"#, true),
        (r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, true),
        (r#"{"Statement":{"Effect":"Maybe","Action":"s3:*","Resource":"*"}}"#, true),
        (r#"{"Version":"2012-10-17"}"#, true),
        (r#"{"Statement":{"Effect":"Allow","Action":7,"Resource":"*"}}"#, true),
        ("not a policy", true),
    ];
    for (text, malformed) in own {
        assert_eq!(Document::new(text).parsed.is_err(), malformed, "{text}");
    }
    let Some(folder) = shared("policy-lint") else { return };
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("parliament-findings.json")).unwrap()).unwrap();
    for case in &cases {
        let text = case["policy_text"].as_str().unwrap();
        let findings: Vec<&str> = case["findings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let refused = Document::new(text).parsed.err();
        // The last is a template whose resource is not a text yet.
        let malformed = findings.iter().any(|f| f.starts_with("MALFORMED"))
            || case["name"].as_str().unwrap().ends_with("test_resource_with_sub");
        assert_eq!(refused.is_some(), malformed, "{findings:?} {refused:?} {text}");
    }
}
