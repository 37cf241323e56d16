//! EKS: clusters and what hangs on them.

use super::{Call, Input, MALFORMED};
use crate::estate::{Cluster, Region, text};
use crate::wire::{Answer, Page, Problem, page};
use chrono::DateTime;
use serde_json::{Value, json};

pub(super) fn action(method: &str, path: &[&str]) -> Option<&'static str> {
    if method != "GET" {
        return None;
    }
    Some(match path {
        ["clusters"] => "ListClusters",
        ["clusters", _] => "DescribeCluster",
        ["clusters", _, "pod-identity-associations"] => "ListPodIdentityAssociations",
        ["clusters", _, "pod-identity-associations", _] => "DescribePodIdentityAssociation",
        ["clusters", _, "addons"] => "ListAddons",
        ["clusters", _, "addons", _] => "DescribeAddon",
        ["clusters", _, "access-entries"] => "ListAccessEntries",
        ["clusters", _, "access-entries", _] => "DescribeAccessEntry",
        ["clusters", _, "access-entries", _, "access-policies"] => "ListAssociatedAccessPolicies",
        _ => return None,
    })
}

pub(super) fn answer(call: &Call<'_>, input: &Input) -> Result<Answer, Problem> {
    let Input::Rest { path, .. } = input else { return Err(call.unknown()) };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let empty = Region::default();
    let account = call.snapshot.estate.accounts.get(&call.caller.account);
    let region = account.and_then(|a| a.regions.get(call.region)).unwrap_or(&empty);
    let cluster = |name: &str| {
        region
            .clusters
            .iter()
            .find(|c| c.name() == name)
            .ok_or_else(|| gone(format!("No cluster found for name: {name}.")))
    };
    let body = match (call.operation, path.as_slice()) {
        ("ListClusters", _) => {
            let names: Vec<&str> = region.clusters.iter().map(Cluster::name).collect();
            let page = cut(call, input, "clusters", &names)?;
            json!({"clusters": page.items, "nextToken": page.next})
        }
        ("DescribeCluster", [_, name]) => json!({"cluster": timed(&cluster(name)?.detail)}),
        ("ListPodIdentityAssociations", [_, name, _]) => associations(call, input, cluster(name)?)?,
        ("DescribePodIdentityAssociation", [_, name, _, id]) => {
            let found = cluster(name)?.associations.iter().find(|a| text(a, "associationId") == *id);
            let found = found.ok_or_else(|| gone(format!("No pod identity association found for id: {id}.")))?;
            json!({"association": association(call, found)})
        }
        ("ListAddons", [_, name, _]) => {
            let names: Vec<&str> = cluster(name)?.addons.iter().map(|a| text(a, "addonName")).collect();
            let page = cut(call, input, &format!("addons {name}"), &names)?;
            json!({"addons": page.items, "nextToken": page.next})
        }
        ("DescribeAddon", [_, name, _, addon]) => {
            let found = cluster(name)?.addons.iter().find(|a| text(a, "addonName") == *addon);
            json!({"addon": timed(found.ok_or_else(|| gone(format!("No addon: {addon} found in cluster: {name}")))?)})
        }
        ("ListAccessEntries", [_, name, _]) => {
            let cluster = cluster(name)?;
            let policy = input.form("associatedPolicyArn");
            let arns: Vec<&str> = cluster
                .access_entries
                .iter()
                .filter(|e| policy.is_none_or(|p| policies(e).iter().any(|a| text(a, "policyArn") == p)))
                .map(|e| text(e, "principalArn"))
                .collect();
            let page = cut(call, input, &format!("entries {name} {policy:?}"), &arns)?;
            json!({"accessEntries": page.items, "nextToken": page.next})
        }
        ("DescribeAccessEntry", [_, name, _, principal]) => {
            let mut found = entry(cluster(name)?, principal)?.clone();
            if let Some(members) = found.as_object_mut() {
                members.shift_remove("associatedAccessPolicies");
            }
            json!({"accessEntry": timed(&found)})
        }
        ("ListAssociatedAccessPolicies", [_, name, _, principal, _]) => {
            let found = entry(cluster(name)?, principal)?;
            let listed: Vec<Value> = policies(found).iter().map(timed).collect();
            let page = cut(call, input, &format!("policies {name} {principal}"), &listed)?;
            json!({"clusterName": name, "principalArn": principal, "associatedAccessPolicies": page.items,
                "nextToken": page.next})
        }
        _ => return Err(call.unknown()),
    };
    Ok(Answer::ok(body.to_string()))
}

fn gone(message: String) -> Problem {
    Problem::Named(404, "ResourceNotFoundException", message)
}

fn invalid(message: &str) -> Problem {
    Problem::Named(400, "InvalidParameterException", message.to_owned())
}

fn policies(entry: &Value) -> &[Value] {
    entry.get("associatedAccessPolicies").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn entry<'a>(cluster: &'a Cluster, principal: &str) -> Result<&'a Value, Problem> {
    let found = cluster.access_entries.iter().find(|e| text(e, "principalArn") == principal);
    found.ok_or_else(|| {
        gone(format!(
            "The specified principalArn could not be found. You can view your available access entries with \
             'list-access-entries': {principal}"
        ))
    })
}

fn cut<'a, T>(call: &Call<'_>, input: &Input, listing: &str, items: &'a [T]) -> Result<Page<'a, T>, Problem> {
    let asked = input.form("maxResults").map_or(Ok(100), str::parse).unwrap_or(0);
    if !(1..=100).contains(&asked) {
        return Err(invalid("maxResults needs to be between 1 and 100"));
    }
    let listing = format!("{} {} {listing}", call.caller.account, call.region);
    // Some clients ask for the first page with an empty token.
    let token = input.form("nextToken").filter(|t| !t.is_empty());
    page(items, &listing, token, call.limit(asked), call.paging).map_err(|_| invalid("nextToken is invalid"))
}

fn associations(call: &Call<'_>, input: &Input, cluster: &Cluster) -> Result<Value, Problem> {
    let (namespace, account) = (input.form("namespace"), input.form("serviceAccount"));
    let asked =
        |wanted: Option<&str>, association: &Value, key: &str| wanted.is_none_or(|w| text(association, key) == w);
    let listed: Vec<Value> = cluster
        .associations
        .iter()
        .filter(|a| asked(namespace, a, "namespace") && asked(account, a, "serviceAccount"))
        .map(|a| {
            // The summary leaves out the roles: they have to be described one by one.
            let told = ["clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn"];
            told.iter()
                .filter_map(|key| Some(((*key).to_owned(), a.get(*key)?.clone())))
                .collect::<serde_json::Map<_, _>>()
        })
        .map(Value::Object)
        .collect();
    let listing = format!("associations {} {namespace:?} {account:?}", cluster.name());
    let page = cut(call, input, &listing, &listed)?;
    Ok(json!({"associations": page.items, "nextToken": page.next}))
}

fn association(call: &Call<'_>, found: &Value) -> Value {
    let mut told = timed(found);
    if let Some(policy) = told.get_mut("policy") {
        *policy = if call.malformed_policy { json!(MALFORMED) } else { json!(crate::estate::document_text(policy)) };
    }
    told
}

/// Times as EKS sends them: seconds since the epoch instead of a text.
fn timed(value: &Value) -> Value {
    let epoch = |text: &str| {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium fit a double exactly")]
        let seconds = time.timestamp_millis() as f64 / 1000.0;
        Some(json!(seconds))
    };
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| {
                let time = matches!(key.as_str(), "createdAt" | "modifiedAt" | "associatedAt");
                let told = member.as_str().filter(|_| time).and_then(epoch).unwrap_or_else(|| timed(member));
                (key.clone(), told)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(timed).collect(),
        other => other.clone(),
    }
}
