//! A file's text into values, each as AWS would have answered it.
//!
//! Knows values one after the other, as shell loops leave them; lists of answers (`jq -s`) and of bare
//! records (`--query`); and what eksctl prints. Refuses to know what a record means.

use super::FileKind;
use super::item::Fault;
use super::kind_of;
use super::listing::Shape;
use serde_json::{Map, Value, json};

/// A file that would hold more is not read: a value takes some 70 bytes of memory, whatever it takes in
/// the file, and an object four times as much.
const MOST_VALUES: usize = 32 * 1024 * 1024;
/// Lists within lists, deeper than any tool prints.
const MAX_DEPTH: usize = 4;

/// A value, and how it was given.
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) shape: Shape,
}

/// What stops the reading of a text, and the line.
pub(super) type Broken = (Fault, Option<usize>);

/// The values of a text, and what broke off the reading.
pub(super) fn parse(text: &[u8]) -> (Vec<Given>, Option<Broken>) {
    if weight(text) > MOST_VALUES {
        let message = format!("more than {MOST_VALUES} values");
        return (Vec::new(), Some((Fault::new("", message, super::decompress::TOO_LARGE), None)));
    }
    let mut out = Vec::new();
    let mut any = false;
    for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        any = true;
        match value {
            Ok(value) => spread(value, 0, &mut out),
            Err(error) => {
                let line = Some(error.line()).filter(|line| *line > 0);
                return (out, Some((not_json(error.to_string()), line)));
            }
        }
    }
    let empty = (!any).then(|| (not_json("the file is empty".to_owned()), None));
    (out, empty)
}

/// How many values a text has at most; an object counts as four.
fn weight(text: &[u8]) -> usize {
    let of = |byte: &u8| match byte {
        b'{' => 4,
        b'[' | b',' => 1,
        _ => 0_u16,
    };
    // In two bytes the processor adds many at once.
    text.chunks(4096).map(|chunk| usize::from(chunk.iter().map(of).sum::<u16>())).sum()
}

fn not_json(what: String) -> Fault {
    Fault::new("", what, "give the file as AWS printed it: plain or gzipped JSON")
}

fn spread(value: Value, depth: usize, out: &mut Vec<Given>) {
    match value {
        Value::Array(list) if depth < MAX_DEPTH && list.iter().any(|value| value.is_object() || value.is_array()) => {
            for value in list {
                spread(value, depth + 1, out);
            }
        }
        Value::Object(_) if kind_of(&value) != FileKind::Unrecognised => {
            let shape = if is_one(&value) { Shape::Records } else { Shape::Answer };
            out.push(Given { value, shape });
        }
        Value::Object(map) => out.push(match record(&map) {
            Some((value, true)) => Given { value, shape: Shape::Records },
            Some((value, false)) => Given { value, shape: if depth == 0 { Shape::Records } else { Shape::Bare } },
            None => Given { value: Value::Object(map), shape: Shape::Answer },
        }),
        other => out.push(Given { value: other, shape: Shape::Answer }),
    }
}

/// Whether it describes one thing, and lists nothing.
fn is_one(value: &Value) -> bool {
    ["cluster", "association", "addon", "accessEntry", "Policy"].iter().any(|key| value.get(key).is_some())
}

/// A record without what AWS puts around it, with that; and whether a tool prints it so by itself.
fn record(map: &Map<String, Value>) -> Option<(Value, bool)> {
    let has = |key: &str| map.contains_key(key);
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    let whole = || Value::Object(map.clone());
    let bare = |value: Value| Some((value, false));
    if has("associationId") && has("serviceAccount") {
        bare(json!({ "association": whole() }))
    } else if let Some(association) = of_eksctl(map) {
        Some((json!({ "association": association }), true))
    } else if is_cluster(text("arn")) && has("name") {
        bare(json!({ "cluster": whole() }))
    } else if is_cluster(text("Arn")) && has("Name") {
        Some((json!({ "cluster": in_camel_case(&whole()) }), true))
    } else if has("addonName") && has("clusterName") {
        bare(json!({ "addon": whole() }))
    } else if has("principalArn") && has("clusterName") {
        bare(json!({ "accessEntry": whole() }))
    } else if has("AssumeRolePolicyDocument") && (has("RolePolicyList") || has("AttachedManagedPolicies")) {
        bare(json!({ "RoleDetailList": [whole()] }))
    } else if has("PolicyVersionList") && has("DefaultVersionId") {
        bare(json!({ "Policies": [whole()] }))
    } else if has("TrailARN") {
        bare(json!({ "trailList": [whole()] }))
    } else if text("Arn").contains(":oidc-provider/") {
        bare(json!({ "OpenIDConnectProviderList": [whole()] }))
    } else if has("PolicySummary") && has("Content") {
        bare(json!({ "Policy": whole() }))
    } else if text("Id").len() == 12 && (has("Status") || has("Email")) {
        bare(json!({ "Accounts": [whole()] }))
    } else {
        map.get("Account").filter(|account| account.is_object()).map(|account| (json!({ "Accounts": [account] }), true))
    }
}

fn is_cluster(arn: &str) -> bool {
    arn.contains(":eks:") && arn.contains(":cluster/")
}

/// An association as `eksctl get podidentityassociation -o json` prints it.
fn of_eksctl(map: &Map<String, Value>) -> Option<Value> {
    const FIELDS: [(&str, &str); 9] = [
        ("Namespace", "namespace"),
        ("ServiceAccountName", "serviceAccount"),
        ("RoleARN", "roleArn"),
        ("TargetRoleARN", "targetRoleArn"),
        ("OwnerARN", "ownerArn"),
        ("DisableSessionTags", "disableSessionTags"),
        ("ExternalID", "externalId"),
        ("Policy", "policy"),
        ("Tags", "tags"),
    ];
    let arn = map.get("AssociationARN")?.as_str()?;
    let (_, place) = arn.split_once(":podidentityassociation/")?;
    let (cluster, id) = place.split_once('/')?;
    let mut out = Map::new();
    for (key, value) in [("associationArn", arn), ("clusterName", cluster), ("associationId", id)] {
        out.insert(key.to_owned(), value.into());
    }
    for (from, to) in FIELDS {
        if let Some(value) = map.get(from) {
            out.insert(to.to_owned(), value.clone());
        }
    }
    Some(Value::Object(out))
}

/// With every field's name in AWS's spelling: eksctl writes `RoleArn` for `roleArn`.
fn in_camel_case(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let field = |(key, value): (&String, &Value)| {
                let mut letters = key.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase());
                let name: String = first.into_iter().chain(letters).collect();
                // The keys of tags are names that people gave.
                let value = if name == "tags" { value.clone() } else { in_camel_case(value) };
                (name, value)
            };
            Value::Object(map.iter().map(field).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(in_camel_case).collect()),
        other => other.clone(),
    }
}
