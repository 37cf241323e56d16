//! Policy documents as JSON, with statements taken out, narrowed, or given a condition.
//!
//! Order and spelling of what is not touched stay as AWS returned them. Refuses to know what an edit is good for: the
//! engine decides on the document that comes out.

use crate::access::trust::{PODS, TAG};
use crate::access::unused::UsageReport;
use rolecall_iam::{ActionSet, Clause, Document, Effect, Statement};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// So many actions are written out in place of a wildcard; more nobody reads.
const MOST_ACTIONS: usize = 60;

/// The statements of a document, as a list, with the rest around them.
fn parts(document: &Document) -> Option<(Map<String, Value>, Vec<Value>)> {
    let Value::Object(whole) = serde_json::from_str(&document.text).ok()? else { return None };
    let statements = match whole.get("Statement")? {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    // What JSON reads and the parser of policies does not agree about is left alone.
    (statements.len() == document.statements().len()).then_some((whole, statements))
}

/// The document with other statements; `None` where none are left.
fn with(mut whole: Map<String, Value>, statements: Vec<Value>) -> Option<Document> {
    if statements.is_empty() {
        return None;
    }
    whole.insert("Statement".to_owned(), Value::Array(statements));
    let text = serde_json::to_string_pretty(&Value::Object(whole)).ok()?;
    Some(Document::new(&text))
}

/// Each statement of the document as `edit` leaves it; outside of an `Option` nothing changed, inside no statement is
/// left.
fn edited(
    document: &Document,
    mut edit: impl FnMut(&Statement, &mut Map<String, Value>) -> Edit,
) -> Option<Option<Document>> {
    let (whole, list) = parts(document)?;
    let mut touched = false;
    let mut left = Vec::new();
    for (statement, value) in document.statements().iter().zip(list) {
        let Value::Object(mut value) = value else { return None };
        match edit(statement, &mut value) {
            Edit::Kept => left.push(Value::Object(value)),
            Edit::Changed => {
                touched = true;
                left.push(Value::Object(value));
            }
            Edit::Removed => touched = true,
        }
    }
    touched.then(|| with(whole, left))
}

enum Edit {
    Kept,
    Changed,
    Removed,
}

fn is_allowed(statement: &Statement, among: &BTreeSet<usize>) -> bool {
    statement.effect == Effect::Allow && among.contains(&statement.index)
}

/// Without the Allow statements among these.
pub(super) fn without(document: &Document, statements: &BTreeSet<usize>) -> Option<Option<Document>> {
    edited(document, |statement, _| if is_allowed(statement, statements) { Edit::Removed } else { Edit::Kept })
}

/// With the actions of these Allow statements that were used, or of which nobody can say.
pub(super) fn right_sized(
    document: &Document,
    statements: &BTreeSet<usize>,
    usage: &UsageReport,
) -> Option<Option<Document>> {
    let kept = usage.used_set().union(&usage.unknown_set());
    let mut too_many = false;
    let edited = edited(document, |statement, value| {
        if !is_allowed(statement, statements) {
            return Edit::Kept;
        }
        let Clause::In(patterns) = &statement.actions else { return Edit::Kept };
        let granted = ActionSet::union_of(&patterns.iter().map(ActionSet::named_by).collect::<Vec<_>>());
        let names = granted.intersection(&kept).names();
        too_many |= names.len() > MOST_ACTIONS;
        if names.is_empty() {
            return Edit::Removed;
        }
        value.insert("Action".to_owned(), json!(names));
        Edit::Changed
    });
    edited.filter(|_| !too_many)
}

/// With a condition on each Allow statement that names EKS Pod Identity and has no source yet.
pub(super) fn with_source(document: &Document, clusters: &[String], accounts: &[String]) -> Option<Option<Document>> {
    let has_source = |statement: &Statement| statement.conditions.iter().any(|it| it.key.eq_ignore_ascii_case(SOURCE));
    edited(document, |statement, value| {
        if !names_pods(statement) || has_source(statement) {
            return Edit::Kept;
        }
        condition(value, "ArnEquals", SOURCE, clusters);
        condition(value, "StringEquals", "aws:SourceAccount", accounts);
        Edit::Changed
    })
}

const SOURCE: &str = "aws:SourceArn";

/// With the source of each statement for EKS Pod Identity set to a cluster, instead of what is asked for now.
pub(super) fn with_other_source(document: &Document, cluster: &str, account: &str) -> Option<Option<Document>> {
    edited(document, |statement, value| {
        if !names_pods(statement) {
            return Edit::Kept;
        }
        let mut asked = false;
        if let Some(Value::Object(operators)) = value.get_mut("Condition") {
            for keys in operators.values_mut().filter_map(Value::as_object_mut) {
                let is_source =
                    |key: &str| key.eq_ignore_ascii_case(SOURCE) || key.eq_ignore_ascii_case("aws:SourceAccount");
                let before = keys.len();
                keys.retain(|key, _| !is_source(key));
                asked |= keys.len() < before;
            }
            operators.retain(|_, keys| keys.as_object().is_none_or(|keys| !keys.is_empty()));
        }
        if !asked {
            return Edit::Kept;
        }
        condition(value, "ArnEquals", SOURCE, &[cluster.to_owned()]);
        condition(value, "StringEquals", "aws:SourceAccount", &[account.to_owned()]);
        Edit::Changed
    })
}

/// With `sts:TagSession` in each statement that lets EKS Pod Identity assume the role.
pub(super) fn with_tag_session(document: &Document) -> Option<Option<Document>> {
    edited(document, |statement, value| {
        let Clause::In(patterns) = &statement.actions else { return Edit::Kept };
        if !names_pods(statement) || statement.names_action(TAG) {
            return Edit::Kept;
        }
        let names: Vec<&str> = patterns.iter().map(rolecall_iam::ActionPattern::as_str).chain([TAG]).collect();
        value.insert("Action".to_owned(), json!(names));
        Edit::Changed
    })
}

/// With a condition on these Allow statements, where they do not ask for the key yet.
pub(super) fn with_condition(
    document: &Document,
    statements: &BTreeSet<usize>,
    key: &str,
    value_of: &str,
) -> Option<Option<Document>> {
    edited(document, |statement, value| {
        let has_key = statement.conditions.iter().any(|it| it.key.eq_ignore_ascii_case(key));
        if !is_allowed(statement, statements) || has_key {
            return Edit::Kept;
        }
        condition(value, "StringEquals", key, &[value_of.to_owned()]);
        Edit::Changed
    })
}

/// Without principals that IAM shows by their unique id, since they were deleted.
pub(super) fn without_deleted(document: &Document, statements: &BTreeSet<usize>) -> Option<Option<Document>> {
    let is_id = |it: &Value| {
        let text = it.as_str().unwrap_or_default();
        text.len() > 16 && text.starts_with('A') && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    edited(document, |statement, value| {
        if !is_allowed(statement, statements) {
            return Edit::Kept;
        }
        let Some(Value::Object(kinds)) = value.get_mut("Principal") else { return Edit::Kept };
        let Some(named) = kinds.get_mut("AWS") else { return Edit::Kept };
        let all: Vec<Value> = named.as_array().cloned().unwrap_or_else(|| vec![named.clone()]);
        let left: Vec<Value> = all.iter().filter(|it| !is_id(it)).cloned().collect();
        if left.len() == all.len() {
            return Edit::Kept;
        }
        *named = Value::Array(left);
        if named.as_array().is_some_and(Vec::is_empty) {
            kinds.remove("AWS");
        }
        if kinds.is_empty() { Edit::Removed } else { Edit::Changed }
    })
}

/// With one more statement, that lets the pods of a cluster in.
pub(super) fn with_pods(document: &Document, cluster: &str, account: &str) -> Option<Document> {
    let (whole, mut statements) = parts(document)?;
    statements.push(json!({
        "Effect": "Allow",
        "Principal": { "Service": PODS },
        "Action": ["sts:AssumeRole", TAG],
        "Condition": { "ArnEquals": { SOURCE: cluster }, "StringEquals": { "aws:SourceAccount": account } },
    }));
    with(whole, statements)
}

/// Whether these Allow statements name no identity provider, or only such as are not there.
pub(super) fn name_no_provider(
    document: &Document,
    statements: &BTreeSet<usize>,
    is_there: impl Fn(&str) -> bool,
) -> bool {
    let allowed = document.statements().iter().filter(|statement| is_allowed(statement, statements));
    allowed.flat_map(|statement| federated(&statement.value)).all(|provider| !is_there(&provider))
}

fn federated(statement: &Value) -> Vec<String> {
    match statement.pointer("/Principal/Federated") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn names_pods(statement: &Statement) -> bool {
    let service = |it: &Value| it.as_str() == Some(PODS);
    statement.effect == Effect::Allow
        && match statement.value.pointer("/Principal/Service") {
            Some(Value::Array(list)) => list.iter().any(service),
            Some(one) => service(one),
            None => false,
        }
}

/// Adds a key to a condition operator of a statement.
fn condition(statement: &mut Map<String, Value>, operator: &str, key: &str, values: &[String]) {
    let all = statement.entry("Condition").or_insert_with(|| json!({}));
    let Some(all) = all.as_object_mut() else { return };
    let keys = all.entry(operator).or_insert_with(|| json!({}));
    let Some(keys) = keys.as_object_mut() else { return };
    let value = match values {
        [one] => json!(one),
        several => json!(several),
    };
    keys.insert(key.to_owned(), value);
}
