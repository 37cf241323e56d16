//! The policies of a case, as AWS hands them out or as a file holds them.

use crate::cases::json::{Problem, kind, member, problem};
use crate::evaluate::policy_set::{Level, PolicyRef, PolicySet};
use crate::policy::document::Document;
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) fn layers(policies: &Map<String, Value>) -> Result<PolicySet, Problem> {
    Ok(PolicySet {
        identity: documents(policies, "identity", "identity policy")?,
        boundary: documents(policies, "boundary", "permissions boundary")?,
        session: documents(policies, "session", "session policy")?,
        scp: levels(policies, "scp", "SCP")?.map(Into::into),
        rcp: levels(policies, "rcp", "RCP")?.map(Into::into),
        resource: only(policies, "resource", "resource policy")?,
        trust: only(policies, "trust", "trust policy")?,
        vpc_endpoint: documents(policies, "vpc_endpoint", "VPC endpoint policy")?,
    })
}

/// A policy: a document, its text (percent-encoded or not), or either within what AWS's APIs wrap
/// around it.
pub(crate) fn document(value: &Value, source: &str, at: &str) -> Result<PolicyRef, Problem> {
    match value {
        Value::String(text) => Ok(PolicyRef::known(source, &Document::new(text))),
        Value::Object(map) => {
            let wrapped = ["PolicyDocument", "Document", "Policy"].iter().find_map(|name| map.get(*name));
            match wrapped.filter(|_| !map.contains_key("Statement")) {
                Some(inner) => document(inner, source, at),
                None => Ok(PolicyRef::known(source, &Document::new(&value.to_string()))),
            }
        }
        other => Err(problem(at, format!("there is {}", kind(other)), "give a policy document, or its text")),
    }
}

fn documents(policies: &Map<String, Value>, name: &str, source: &str) -> Result<Option<Vec<PolicyRef>>, Problem> {
    let at = format!("/policies/{name}");
    match member(policies, name) {
        None => Ok(None),
        Some(Value::Array(list)) => list_of(list, source, "", &at).map(Some),
        Some(one) => Ok(Some(vec![document(one, source, &at)?])),
    }
}

pub(crate) fn list_of(list: &[Value], source: &str, place: &str, at: &str) -> Result<Vec<PolicyRef>, Problem> {
    let named = |n: usize| match list.len() {
        1 => format!("{source}{place}"),
        _ => format!("{source} {}{place}", n + 1),
    };
    list.iter().enumerate().map(|(n, value)| document(value, &named(n), &format!("{at}/{n}"))).collect()
}

fn only(policies: &Map<String, Value>, name: &str, source: &str) -> Result<Option<PolicyRef>, Problem> {
    let at = format!("/policies/{name}");
    match documents(policies, name, source)? {
        None => Ok(None),
        Some(list) if list.len() > 1 => {
            Err(problem(at, format!("there are {} policies", list.len()), "give one: a resource has one policy"))
        }
        Some(list) => Ok(list.into_iter().next()),
    }
}

fn levels(policies: &Map<String, Value>, name: &str, source: &str) -> Result<Option<Vec<Level>>, Problem> {
    let at = format!("/policies/{name}");
    let remedy = "give a list of levels from the root down, each as {\"level\": …, \"policies\": […]}";
    let list = match member(policies, name) {
        None => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(problem(at, format!("there is {}", kind(other)), remedy)),
    };
    let level = |(n, value): (usize, &Value)| {
        let at = format!("{at}/{n}");
        let Value::Object(map) = value else {
            return Err(problem(at, format!("there is {}", kind(value)), remedy));
        };
        let name = match map.get("level").or_else(|| map.get("name")) {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(name)) => name.to_string(),
            _ => format!("level {}", n + 1),
        };
        let policies = match member(map, "policies") {
            _ if map.get("policies").is_some_and(Value::is_null) => Vec::new(),
            Some(Value::Array(list)) => list_of(list, source, &format!(" of `{name}`"), &format!("{at}/policies"))?,
            Some(other) => return Err(problem(format!("{at}/policies"), format!("there is {}", kind(other)), remedy)),
            None => return Err(problem(format!("{at}/policies"), "it is missing", remedy)),
        };
        Ok(Level { name: name.into(), policies })
    };
    list.iter().enumerate().map(level).collect::<Result<_, _>>().map(Some)
}

/// Adds what is in play but was not seen.
pub(crate) fn unseen(case: &Map<String, Value>, layers: &mut PolicySet) -> Result<(), Problem> {
    let remedy = "give a list of identity, boundary, session, scp, rcp, resource, trust and vpc_endpoint";
    let list = match member(case, "unseen") {
        None => return Ok(()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(problem("/unseen", format!("there is {}", kind(other)), remedy)),
    };
    let missing = |source: &str| PolicyRef::missing(source, "the case says so");
    for (n, name) in list.iter().enumerate() {
        let at = format!("/unseen/{n}");
        let below = |levels: &mut Option<Arc<[Level]>>, source: &str| {
            let level = Level { name: "an unseen level".into(), policies: vec![missing(source)] };
            let seen = levels.iter().flat_map(|levels| levels.iter()).cloned();
            *levels = Some(seen.chain([level]).collect());
        };
        let alone = |layer: &mut Option<PolicyRef>, source: &str| {
            if layer.is_some() {
                return Err(problem(at.clone(), "its policy is given as well", "leave out one of the two"));
            }
            *layer = Some(missing(source));
            Ok(())
        };
        match name.as_str().unwrap_or_default() {
            "identity" => layers.identity.get_or_insert_default().push(missing("identity policy")),
            "boundary" => layers.boundary.get_or_insert_default().push(missing("permissions boundary")),
            "session" => layers.session.get_or_insert_default().push(missing("session policy")),
            "vpc_endpoint" => layers.vpc_endpoint.get_or_insert_default().push(missing("VPC endpoint policy")),
            "scp" => below(&mut layers.scp, "SCP"),
            "rcp" => below(&mut layers.rcp, "RCP"),
            "resource" => alone(&mut layers.resource, "resource policy")?,
            "trust" => alone(&mut layers.trust, "trust policy")?,
            _ => return Err(problem(at, format!("`{name}` is no layer"), remedy)),
        }
    }
    Ok(())
}
