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

#[test]
fn documented_cases_are_decided_as_documented() {
    let Some(folder) = shared("evaluation-cases") else { return };
    let text = std::fs::read(folder.join("pod-identity.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert!(cases.len() >= 18);
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

/// What each sample of the shared trust policies comes to, by a word in its name.
#[test]
fn trust_samples_are_assessed_by_deciding() {
    let Some(folder) = shared("trust-policies") else { return };
    let text = std::fs::read(folder.join("pods-eks-trust-samples.json")).unwrap();
    let samples: Value = serde_json::from_slice(&text).unwrap();
    let source = ["aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID"];
    let tags = [
        "aws:RequestTag/eks-cluster-arn",
        "aws:RequestTag/eks-cluster-name",
        "aws:RequestTag/kubernetes-namespace",
        "aws:RequestTag/kubernetes-service-account",
    ];
    // Admitted for AssumeRole and TagSession, limited by source, limited by tags.
    let expected = [
        ("default (EKS docs", [true, true, false, false]),
        ("cluster name list", [true, true, false, true]),
        ("cluster + namespaces", [true, true, false, true]),
        ("namespace + service accounts", [true, true, false, true]),
        ("namespace + service account + cluster ARN", [true, true, false, true]),
        ("SourceAccount + SourceArn", [true, true, true, true]),
        ("SourceArn = podidentityassociation", [true, true, true, false]),
        ("missing sts:TagSession", [true, false, false, false]),
        ("invented condition keys", [false, false, true, true]),
        ("wrong service principal", [false, false, true, true]),
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
