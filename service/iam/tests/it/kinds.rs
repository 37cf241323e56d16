//! Policies of many hands, each checked as what it is: how many AWS would refuse, and why.

use crate::corpus::files;
use crate::shared;
use rolecall_iam::lint::{Severity, check};
use rolecall_iam::{Document, PolicyType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A policy document, the file that holds it, and what it is.
struct Sample {
    file: String,
    kind: PolicyType,
    text: String,
}

/// Every policy document within a value, by the key that it stands under.
fn within(value: &Value, under: &str, file: &str, out: &mut Vec<Sample>) {
    match value {
        Value::Object(map) if map.contains_key("Statement") => {
            let kind = match under {
                "AssumeRolePolicyDocument" | "policy" | "trust" => PolicyType::Trust,
                "Policy" => PolicyType::Resource,
                "Content" => PolicyType::Scp,
                _ => PolicyType::Identity,
            };
            out.push(Sample { file: file.to_owned(), kind, text: value.to_string() });
        }
        // AWS keeps to no quota in its own policies.
        Value::Object(map) if map.get("Arn").and_then(Value::as_str).is_some_and(|a| a.contains("::aws:policy/")) => {}
        Value::Object(map) => map.iter().for_each(|(key, value)| within(value, key, file, out)),
        Value::Array(list) => list.iter().for_each(|value| within(value, under, file, out)),
        _ => {}
    }
}

/// The faults of all samples: a line for each file and message that AWS refuses or takes, with how
/// often it is there.
fn faults(name: &str, samples: &[Sample]) -> BTreeMap<(Severity, String), usize> {
    let mut out = BTreeMap::new();
    let mut clean = 0;
    for sample in samples {
        let problems = check(&Document::new(&sample.text), sample.kind);
        clean += usize::from(problems.is_empty());
        for problem in problems {
            assert!(!problem.remedy.is_empty(), "{problem:?}");
            let line = format!("{} {} {}", sample.file, problem.pointer, problem.message);
            *out.entry((problem.severity, line)).or_default() += 1;
        }
    }
    println!("{name}: {} documents, {clean} without a fault", samples.len());
    for ((severity, line), count) in &out {
        println!("  {severity:?} {count} x {line}");
    }
    out
}

fn refusals(faults: &BTreeMap<(Severity, String), usize>) -> Vec<&str> {
    faults.keys().filter(|(severity, _)| *severity == Severity::Refused).map(|(_, line)| line.as_str()).collect()
}

#[test]
fn our_policies_are_what_aws_takes() {
    let document = |statement: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
    let deny = r#"{"Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}"#;
    let rcp = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}"#;
    let trust = r#"{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"}"#;
    let bad = r#"{"Effect":"Allow","Action":"<action>","Resource":"here"}"#;
    let cases: [(&str, PolicyType, &str, &[&str]); 8] = [
        ("scp", PolicyType::Scp, deny, &[]),
        ("identity", PolicyType::Identity, deny, &[]),
        ("rcp", PolicyType::Rcp, rcp, &[]),
        ("trust", PolicyType::Trust, trust, &[]),
        (
            "placeholders",
            PolicyType::Scp,
            bad,
            &[
                "placeholders /Statement/0/Action `<action>` has no service prefix",
                "placeholders /Statement/0/Resource `here` is neither an ARN nor `*`",
            ],
        ),
        (
            "a key without a prefix",
            PolicyType::Identity,
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"team":"a"}}}"#,
            &["a key without a prefix /Statement/0/Condition/StringEquals/team the condition key `team` has no prefix"],
        ),
        (
            "no operator",
            PolicyType::Identity,
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Resembles":{"aws:SourceVpc":"a"}}}"#,
            &["no operator /Statement/0/Condition/Resembles `Resembles` is no condition operator"],
        ),
        (
            "one Sid twice",
            PolicyType::Identity,
            r#"{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"sqs:*","Resource":"*"}"#,
            &["one Sid twice /Statement/1/Sid the Sid `A` is there twice"],
        ),
    ];
    for (name, kind, statement, expected) in cases {
        let sample = Sample { file: name.to_owned(), kind, text: document(statement) };
        assert_eq!(refusals(&faults(name, &[sample])), expected);
    }
    // And where they are there, those of third parties.
    organization_policies_of_others();
    account_policies_of_others();
    a_linter_and_we_name_the_same_faults();
}

fn organization_policies_of_others() {
    let Some(folder) = shared("scp-rcp") else { return };
    let mut samples = Vec::new();
    for path in files(&folder).iter().filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let whole = path.to_string_lossy();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let kind = match file.as_str() {
            "api_gateway_policy.json" | "sns_topic_policy.json" => PolicyType::Resource,
            _ if whole.contains("resource_control_policies") => PolicyType::Rcp,
            _ if whole.contains("vpc_endpoint_policies") => PolicyType::VpcEndpoint,
            _ => PolicyType::Scp,
        };
        samples.push(Sample { file, kind, text: std::fs::read_to_string(path).unwrap() });
    }
    let found = faults("scp-rcp", &samples);
    assert_eq!((samples.len(), found.len()), (86, 21));
    // One that is broken on purpose, and templates whose placeholders stand where no text can.
    let expected = [
        "deny-service-specific-credential-by-type.json \
         /Statement/0/Condition/StringEqualsIfExists/iam:ServiceSpecificCredentialServiceName/3 \
         expected `,` or `]` at line 15 column 13",
        "resource_perimeter_scp.json /Statement/0/NotResource/34 `<third-party-resource>` is neither an ARN nor `*`",
        "resource_perimeter_scp.json /Statement/2/Resource/0 `<third-party-resource>` is neither an ARN nor `*`",
        "s3_endpoint_policy.json /Statement/4/Action `<action>` has no service prefix",
        "s3_endpoint_policy.json /Statement/5/Action `<action>` has no service prefix",
    ];
    assert_eq!(refusals(&found), expected);
}

fn account_policies_of_others() {
    let mut refused = Vec::new();
    let mut counts = Vec::new();
    for name in ["estate-small", "iam-authz", "trust-policies", "evaluation-cases"] {
        let Some(folder) = shared(name) else { return };
        let mut samples = Vec::new();
        for path in files(&folder).iter().filter(|p| p.extension().is_none_or(|e| e == "json")) {
            let Ok(value) = serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()) else { continue };
            within(&value, "", &path.file_name().unwrap().to_string_lossy(), &mut samples);
        }
        let found = faults(name, &samples);
        counts.push((name, samples.len(), found.len()));
        refused.extend(refusals(&found).into_iter().map(str::to_owned));
    }
    let expected =
        [("estate-small", 429, 0), ("iam-authz", 45, 5), ("trust-policies", 14, 2), ("evaluation-cases", 22, 0)];
    assert_eq!(counts, expected);
    let expected = [
        "batch-resource.json /Statement there is no statement",
        "pods-eks-trust-samples.json /Statement/0/Condition/StringEquals/k8s.io~1pod~1name \
         the condition key `k8s.io/pod/name` has no prefix",
        "pods-eks-trust-samples.json /Statement/0/Condition/StringEquals/k8s.io~1pod~1namespace \
         the condition key `k8s.io/pod/namespace` has no prefix",
    ];
    assert_eq!(refused, expected);
}

fn a_linter_and_we_name_the_same_faults() {
    let Some(folder) = shared("policy-lint") else { return };
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("parliament-findings.json")).unwrap()).unwrap();
    let mut table = BTreeSet::new();
    for case in &cases {
        let text = case["policy_text"].as_str().unwrap();
        let kind = if text.contains("\"Principal\"") { PolicyType::Resource } else { PolicyType::Identity };
        let problems = check(&Document::new(text), kind);
        let ours: Vec<String> = problems.into_iter().map(|p| format!("{:?}: {}", p.severity, p.message)).collect();
        let theirs = case["findings"].as_array().unwrap().iter().filter_map(Value::as_str);
        // What the linter says of the actions' meaning is no fault of the form.
        let theirs: Vec<&str> = theirs.filter(|f| !f.starts_with("RESOURCE_") && !f.ends_with("_FOR_MFA")).collect();
        if !ours.is_empty() || !theirs.is_empty() {
            println!("{theirs:?} | {ours:?}");
            table.insert((theirs.join(" "), ours.join("; ")));
        }
    }
    assert_eq!(cases.len(), 46);
    let expected = [
        ("DUPLICATE_SID", "Refused: the Sid `stmt` is there twice"),
        ("INVALID_ARN", "Refused: not a text"),
        (
            "INVALID_SID",
            "Refused: the Sid `Statement With Spaces And Special Chars!?` has more than letters and digits",
        ),
        ("MALFORMED", "Refused: both `Action` and `NotAction`"),
        ("MALFORMED", "Refused: the policy has no `Statement`"),
        ("MALFORMED", "Refused: the statement names no action"),
        ("MALFORMED_JSON", "Refused: expected ident at line 1 column 2"),
        // Which values a key takes is the service's to say, not the language's.
        ("MISMATCHED_TYPE", ""),
        ("MISMATCHED_TYPE", "Lenient: `DateGreaterThan` cannot compare `bad`"),
        ("MISMATCHED_TYPE", "Lenient: `NumericEquals` cannot compare `home/${aws:username}/*`"),
        ("MISMATCHED_TYPE UNKNOWN_OPERATOR", "Refused: `bad` is no condition operator"),
        ("MISMATCHED_TYPE_BUT_USABLE", ""),
        // So are the actions that it has, and the keys that they send.
        ("UNKNOWN_ACTION", ""),
        ("UNKNOWN_CONDITION_FOR_ACTION", ""),
        ("UNKNOWN_CONDITION_FOR_ACTION", "Refused: the condition key `bad` has no prefix"),
    ];
    let expected: BTreeSet<(String, String)> = expected.into_iter().map(|(a, b)| (a.into(), b.into())).collect();
    assert_eq!(table, expected);
}
