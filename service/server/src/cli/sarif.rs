//! SARIF 2.1.0 logs (OASIS, "Static Analysis Results Interchange Format Version 2.1.0").

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The place of a result: its resource and, where it stands in a file, that and its line.
pub(super) fn location(file: &str, line: Option<usize>, resource: &str) -> Value {
    let logical = json!([{"fullyQualifiedName": resource, "kind": "resource"}]);
    if file.is_empty() || file == "-" {
        return json!([{"logicalLocations": logical}]);
    }
    let file = file.trim_start_matches("./").replace('\\', "/");
    let mut physical = json!({"artifactLocation": {"uri": file}});
    if let (Some(line), Some(physical)) = (line, physical.as_object_mut()) {
        physical.insert("region".to_owned(), json!({"startLine": line}));
    }
    json!([{"logicalLocations": logical, "physicalLocation": physical}])
}

/// A log of one run. `rules`: the id of each with what it is about.
pub(super) fn log(rules: BTreeMap<String, &str>, results: &[Value], notifications: &[Value]) -> Value {
    let rules: Vec<Value> =
        rules.into_iter().map(|(id, text)| json!({"id": id, "shortDescription": {"text": text}})).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "Rolecall", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "invocations": [{"executionSuccessful": notifications.is_empty(),
                "toolExecutionNotifications": notifications}],
            "results": results,
        }],
    })
}
