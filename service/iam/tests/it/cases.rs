//! Decisions that the AWS documentation states.

use crate::shared;
use rolecall_iam::trust::Trust;
use rolecall_iam::{Arn, Context, Document, PolicyRef, PolicySet, Requester, Truth};
use serde_json::Value;

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        other => vec![other.to_string()],
    }
}

fn context(case: &Value) -> Context {
    let keys = case["request"]["context"].as_object().into_iter().flatten();
    keys.fold(Context::closed(), |context, (key, value)| context.set(key, texts(value)))
}

fn layers(value: Option<&Value>, source: &str) -> Vec<PolicyRef> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|document| PolicyRef::known(source, &Document::new(&document.to_string()))).collect()
}

/// Cases that a trust policy decides alone, or a role's own policies on its own account's resources.
fn is_of_one_side(case: &Value) -> bool {
    let request = &case["request"];
    let types: Vec<&str> = case["policies"].as_object().unwrap().keys().map(String::as_str).collect();
    let principal = request["principal"].as_str().unwrap();
    if types == ["trust"] {
        return !principal.starts_with("arn:");
    }
    let own = types.iter().all(|name| ["identity", "boundary", "session"].contains(name));
    let role = principal.contains(":assumed-role/") || principal.contains(":role/");
    let account = principal.split(':').nth(4);
    own && role && types.contains(&"identity") && account == request["resource_account"].as_str()
}

#[test]
fn documented_cases_are_decided_as_documented() {
    let own = ["pod-identity", "boundary", "session"]
        .map(|name| std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases").join(format!("{name}.json")));
    let others = shared("evaluation-cases").map(|folder| folder.join("pod-identity.json"));
    let read =
        |path: std::path::PathBuf| -> Vec<Value> { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let cases: Vec<Value> =
        own.into_iter().flat_map(read).filter(is_of_one_side).chain(others.into_iter().flat_map(read)).collect();
    assert!(cases.len() >= 40, "{}", cases.len());
    for case in &cases {
        let request = &case["request"];
        let action = request["action"].as_str().unwrap();
        let policies = case["policies"].as_object().unwrap();
        let decision = if let Some(trust) = policies.get("trust") {
            let principal = request["principal"].as_str().unwrap();
            let caller = match principal.parse::<Arn>() {
                Ok(arn) => Requester::principal(&arn),
                Err(_) => Requester::service(principal),
            };
            let trust = Trust::new("trust policy", &Document::new(&trust.to_string()));
            trust.decide(&caller, action, &context(case)).outcome
        } else {
            let stack = PolicySet {
                identity: Some(layers(policies.get("identity"), "inline policy")),
                boundary: Some(layers(policies.get("boundary"), "boundary")),
                session: Some(layers(policies.get("session"), "session policy")),
                ..PolicySet::default()
            };
            let resource = request["resource"].as_str().unwrap();
            stack.decide_by_own_policies(action, resource, &context(case)).outcome
        };
        let expected = case["expected"].as_str().unwrap();
        assert_eq!(decision.as_str(), expected, "{} {}", case["id"], case["name"]);
    }
}

/// What each sample of our trust policies for pods comes to, by its name.
#[test]
fn trust_samples_are_assessed_by_deciding() {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/trust-for-pods.json");
    let samples: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let source = ["aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID"];
    let tags = [
        "aws:RequestTag/eks-cluster-arn",
        "aws:RequestTag/eks-cluster-name",
        "aws:RequestTag/kubernetes-namespace",
        "aws:RequestTag/kubernetes-service-account",
    ];
    // Admitted for AssumeRole and TagSession, limited by source, limited by tags.
    let expected = [
        ("no conditions", [true, true, false, false]),
        ("a list of clusters", [true, true, false, true]),
        ("cluster and namespaces", [true, true, false, true]),
        ("namespace and service accounts", [true, true, false, true]),
        ("namespace, service account and cluster ARN", [true, true, false, true]),
        ("source account and cluster, with a tag", [true, true, true, true]),
        ("source is an association", [true, true, true, false]),
        ("without TagSession", [true, false, false, false]),
        ("keys that EKS never sends", [false, false, true, true]),
        ("another service", [false, false, true, true]),
    ];
    for (name, [assume, tag, by_source, by_tags]) in expected {
        let sample =
            samples["samples"].as_array().unwrap().iter().find(|s| s["name"].as_str().unwrap().starts_with(name));
        let sample = sample.unwrap_or_else(|| panic!("no sample `{name}`"));
        let trust = Trust::new("trust policy", &Document::new(&sample["policy"].to_string()));
        let caller = Requester::service("pods.eks.amazonaws.com");
        let actual = [
            trust.admits(&caller, "sts:AssumeRole").truth,
            trust.admits(&caller, "sts:TagSession").truth,
            trust.constrained_by(&caller, &["sts:AssumeRole"], &source).foreign.truth,
            trust.constrained_by(&caller, &["sts:AssumeRole"], &tags).foreign.truth,
        ];
        assert_eq!(actual, [assume, tag, by_source, by_tags].map(Truth::from), "{name}");
    }
}
