//! Examples in the contract: what a parameter may be, and a request with its answer for each endpoint.
//!
//! Requests and answers are files of `examples/`, one for each `operationId`, as a server gave them;
//! `tests/contract/run.py` sends each again and compares. Refuses to know what an endpoint does.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder};
use utoipa::openapi::{Content, RefOr};

/// The files, by the name of the operation.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// A request and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// The address that was asked: for whoever reads the file.
    #[serde(rename = "path")]
    _path: String,
    /// The body that was sent.
    #[serde(default)]
    request: Option<Value>,
    /// The status of the answer.
    status: u16,
    /// The body of the answer.
    #[serde(default)]
    response: Option<Value>,
}

/// Every example; of a file that is no example there is none, and a test says so.
static EXCHANGES: LazyLock<BTreeMap<&str, Exchange>> =
    LazyLock::new(|| FILES.iter().filter_map(|(name, text)| Some((*name, serde_json::from_str(text).ok()?))).collect());

/// What parameters may be that are free text or a number, by their names; `operation.parameter` where a name means
/// something else in one operation. Words and flags are their schema's first.
const PARAMETERS: &[(&str, &str)] = &[
    ("list_baselines.resource", "arn:aws:iam::111122223333:role/payments-api"),
    ("list_change_events.actor", "DeploymentRole"),
    ("list_change_events.resource", "arn:aws:iam::111122223333:role/payments-api"),
    ("list_audit_log.actor", "token tickets"),
    ("delete_view.id", "payments-overdue"),
    ("get_rule.id", "trust-without-source"),
    ("who_can.action", "s3:GetObject"),
    ("who_can.resource", "arn:aws:s3:::orders/2026/11/1.json"),
    ("get_change.id", "chg_398627ad918fcecdd78c544c9da56938"),
    ("list_approval_steps.id", "chg_398627ad918fcecdd78c544c9da56938"),
    ("approve_change.id", "chg_398627ad918fcecdd78c544c9da56938"),
    ("withdraw_approval.id", "chg_398627ad918fcecdd78c544c9da56938"),
    ("get_baseline.id", "bl_a5687aa1c221bee31cd0c3c789952dd6"),
    ("withdraw_baseline.id", "bl_a5687aa1c221bee31cd0c3c789952dd6"),
    ("revoke_token.id", "QHwuQ7F5"),
    ("rotate_token.id", "QHwuQ7F5"),
    ("replay_webhook_delivery.id", "msg_4b1ecb424c854bb381714242efb3a16a"),
    ("after", "1024"),
    ("access_key_id", "ASIAIOSFODNN7EXAMPLE"),
    ("account_id", "111122223333"),
    ("actor", "arn:aws:iam::111122223333:role/DeploymentRole"),
    ("arn", "arn:aws:iam::111122223333:role/payments-api"),
    ("assignee", "payments"),
    ("association", "111122223333/eu-west-1/prod/payments/api"),
    ("association_id", "a-7341rc4ojdlnvfykx"),
    ("at", "2026-10-31T23:59:59Z"),
    ("change", "trust_policy_changed"),
    ("closes", "administrator"),
    ("cluster", "prod"),
    ("cluster_account_id", "111122223333"),
    ("cursor", "eyJvIjoic2V2ZXJpdHkifQ.c2lnbmF0dXJl"),
    ("days", "90"),
    ("ending_within_days", "30"),
    ("event_id", "f2b1c9d4-5e6a-4b3c-8d7e-9f0a1b2c3d4e"),
    ("event_name", "PutRolePolicy"),
    ("first_seen_after", "2026-10-01T00:00:00Z"),
    ("id", "17"),
    ("kind", "finding.opened"),
    ("limit", "100"),
    ("name", "prod"),
    ("namespace", "payments"),
    ("object", "17"),
    ("opens", "administrator"),
    ("owner", "payments"),
    ("part_of", "v1:uqhi5rkbnkbfzefdya23czmj2f"),
    ("principal", "pods.eks.amazonaws.com"),
    ("q", "payments"),
    ("reason", "Replaced by the role of the new release"),
    ("region", "eu-west-1"),
    ("resource", "arn:aws:iam::111122223333:role/payments-api"),
    ("resource_account", "111122223333"),
    ("resource_type", "AWS::IAM::Role"),
    ("role", "arn:aws:iam::111122223333:role/payments-api"),
    ("role_arn", "arn:aws:iam::111122223333:role/payments-api"),
    ("rule_id", "trust-without-source"),
    ("service_account", "api"),
    ("session_name", "eks-prod-api"),
    ("shapes", "true"),
    ("since", "2026-10-01T00:00:00Z"),
    ("subject_key", "arn:aws:iam::111122223333:role/payments-api"),
    ("system", "jira"),
    ("ticket", "none"),
    ("token", "u1S0cFqP9zYwXbVn3kJmLr7tGhDe5aBc"),
    ("until", "2026-10-31T00:00:00Z"),
    ("updated_since", "2026-10-31T08:00:00Z"),
    ("wait", "20"),
    ("webhook", "soc"),
    ("workload", "111122223333/eu-west-1/prod/payments/api"),
    ("If-Match", "\"3\""),
];

/// Puts its examples beside an operation's parameters and bodies.
pub(super) fn add(operation: &mut Operation) {
    let name = operation.operation_id.clone().unwrap_or_default();
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(it) = parameter
            && let Some(example) = of_parameter(&name, it)
        {
            *parameter = RefOr::T(ParameterBuilder::from(it.clone()).example(Some(example)).build());
        }
    }
    let Some(exchange) = EXCHANGES.get(name.as_str()) else { return };
    let put = |content: &mut RefOr<Content>, example: &Option<Value>| {
        if let RefOr::T(content) = content {
            content.example.clone_from(example);
        }
    };
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(|content| put(content, &exchange.request));
    }
    if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut(&exchange.status.to_string()) {
        answer.content.values_mut().for_each(|content| put(content, &exchange.response));
    }
}

fn of_parameter(operation: &str, parameter: &Parameter) -> Option<Value> {
    let declared = serde_json::to_value(parameter).ok()?;
    if declared.get("example").is_some() {
        return None;
    }
    let schema = serde_json::to_value(parameter.schema.as_ref()?).ok()?;
    let is_list = schema.get("type").and_then(Value::as_str) == Some("array");
    let item = if is_list { schema.get("items")? } else { &schema };
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let own = format!("{operation}.{}", parameter.name);
    let text = [own.as_str(), parameter.name.as_str()]
        .into_iter()
        .find_map(|name| PARAMETERS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text));
    let value = match (item.get("enum").and_then(Value::as_array), kind) {
        (Some(words), _) => words.first()?.clone(),
        (None, "boolean") => Value::Bool(true),
        (None, "integer") => serde_json::from_str(text?).ok()?,
        (None, _) => Value::String(text?.to_owned()),
    };
    Some(if is_list { Value::Array(vec![value]) } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_the_example_of_an_operation() {
        let contract = serde_json::to_value(crate::http::openapi()).unwrap();
        let items = contract["paths"].as_object().unwrap().values();
        let operations = items.flat_map(|item| item.as_object().unwrap().values());
        let names: BTreeSet<&str> = operations.map(|it| it["operationId"].as_str().unwrap()).collect();
        for (name, text) in FILES {
            assert!(names.contains(name), "examples/{name}.json is of no operation");
            if let Err(error) = serde_json::from_str::<Exchange>(text) {
                panic!("examples/{name}.json: {error}");
            }
        }
    }
}
