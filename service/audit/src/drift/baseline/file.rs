//! Baselines as a file of JSON: one file for each account, to be reviewed in version control.
//!
//! Knows the shape, and names each fault with line, field and remedy; what can be read of the rest is read.
//! Refuses to know the file system, and whose signatures count.

use super::{API_VERSION, Baseline, Configuration, KIND, Signature};
use crate::drift::{Approval, Resource, ResourceType};
use chrono::{DateTime, Utc};
use rolecall_iam::{AccountId, Digest, Document};
use rolecall_rules::LoadError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// So many bytes a file may have.
pub const LARGEST: u64 = 64 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'f> {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    account: String,
    #[serde(borrow)]
    resources: Vec<&'f RawValue>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "type")]
    kind: ResourceType,
    resource: String,
    digest: Digest,
    approved: Approved,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observed_at: Option<DateTime<Utc>>,
    configuration: Value,
    #[serde(default)]
    documents: BTreeMap<Digest, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approved {
    at: DateTime<Utc>,
    by: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

pub(super) fn approved(of: &Baseline) -> Approved {
    Approved {
        at: of.at,
        by: of.by.clone(),
        reason: of.approval.reason().to_owned(),
        ticket: of.approval.ticket().map(str::to_owned),
        until: of.approval.until(),
    }
}

/// A baseline as it stands in a file and in the database.
#[must_use]
pub fn entry(of: &Baseline) -> Value {
    let mut configuration = serde_json::to_value(&of.configuration).unwrap_or_default();
    drop_nulls(&mut configuration);
    let documents = of.documents.iter().map(|(digest, text)| {
        // What does not parse as a policy has the address of its text, as it is written.
        let is_policy = Document::new(text).parsed.is_ok();
        let value = is_policy.then(|| serde_json::from_str::<Value>(text).ok()).flatten();
        (*digest, value.unwrap_or_else(|| Value::String(text.clone())))
    });
    let entry = Entry {
        kind: of.resource.kind,
        resource: of.resource.name.clone(),
        digest: of.digest,
        approved: approved(of),
        observed_at: of.observed_at,
        configuration: configuration.get("configuration").cloned().unwrap_or_default(),
        documents: documents.collect(),
        signature: of.signature.clone(),
    };
    serde_json::to_value(entry).unwrap_or_default()
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The file of an account's baselines, by type and name.
#[must_use]
pub fn write<'b>(account: AccountId, baselines: impl IntoIterator<Item = &'b Baseline>) -> String {
    let mut sorted: Vec<&Baseline> = baselines.into_iter().collect();
    sorted.sort_by(|a, b| (&a.resource, a.at).cmp(&(&b.resource, b.at)));
    let file = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "account": account.to_string(),
        "resources": sorted.into_iter().map(entry).collect::<Vec<_>>(),
    });
    format!("{}\n", serde_json::to_string_pretty(&file).unwrap_or_default())
}

/// Reads a file: baselines, each with the line where it begins, and faults. What is wrong with one resource leaves the
/// others.
#[must_use]
pub fn parse(file: &str, text: &str) -> (Vec<(usize, Baseline)>, Vec<LoadError>) {
    let fault = |line: usize, column: usize, field: &str, message: String, remedy: &str| LoadError {
        file: file.to_owned(),
        line,
        column: column.max(1),
        field: field.to_owned(),
        message,
        remedy: remedy.to_owned(),
    };
    let parsed: File<'_> = match serde_json::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = without_place(&error);
            return (Vec::new(), vec![fault(error.line().max(1), error.column(), "", message, EXPORT)]);
        }
    };
    let mut faults = Vec::new();
    for (field, found, expected) in [("apiVersion", &parsed.api_version, API_VERSION), ("kind", &parsed.kind, KIND)] {
        if found != expected {
            let remedy = format!("write `{expected}`");
            faults.push(fault(1, 1, field, format!("`{found}` is not known"), &remedy));
        }
    }
    let account: AccountId = match parsed.account.parse() {
        Ok(account) => account,
        Err(_) => {
            let message = format!("`{}` is no account", parsed.account);
            faults.push(fault(1, 1, "account", message, "write the 12 digits in quotes"));
            return (Vec::new(), faults);
        }
    };
    if !faults.is_empty() {
        return (Vec::new(), faults);
    }
    let mut found: Vec<(usize, Baseline)> = Vec::with_capacity(parsed.resources.len());
    let mut named: BTreeSet<Resource> = BTreeSet::new();
    for (index, raw) in parsed.resources.into_iter().enumerate() {
        // Where the resource begins: its text is a piece of the file's.
        let start = raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let above = text.as_bytes().get(..start).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        let at = format!("resources[{index}]");
        match serde_json::from_str::<Entry>(raw.get()) {
            Err(error) => {
                let line = above + error.line().max(1);
                faults.push(fault(line, error.column(), &at, without_place(&error), EXPORT));
            }
            Ok(entry) => match checked(account, entry) {
                Ok(baseline) if !named.insert(baseline.resource.clone()) => {
                    let message = format!("`{}` stands in this file twice", baseline.resource.name);
                    let field = format!("{at}.resource");
                    faults.push(fault(above + 1, 1, &field, message, "keep one of them"));
                }
                Ok(baseline) => found.push((above + 1, baseline)),
                Err((field, message, remedy)) => {
                    faults.push(fault(above + 1, 1, &format!("{at}.{field}"), message, remedy));
                }
            },
        }
    }
    (found, faults)
}

/// Reads one baseline of an account, as [`entry`] writes it.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn parse_entry(account: AccountId, value: Value) -> Result<Baseline, String> {
    let entry: Entry = serde_json::from_value(value).map_err(|error| error.to_string())?;
    checked(account, entry).map_err(|(field, message, _)| format!("{field}: {message}"))
}

const EXPORT: &str = "write the file with `rolecall baselines export`";
const UNCHANGED: &str = "a baseline is not edited: approve the resource anew and export it";

type Fault = (String, String, &'static str);

fn checked(account: AccountId, entry: Entry) -> Result<Baseline, Fault> {
    let Entry { kind, resource, digest, approved, observed_at, configuration, documents, signature } = entry;
    let wrong = |field: &str, message: String, remedy| (field.to_owned(), message, remedy);
    let mut tagged = Map::new();
    tagged.insert("type".to_owned(), Value::String(kind.as_str().to_owned()));
    tagged.insert("configuration".to_owned(), configuration);
    let configuration: Configuration = serde_json::from_value(Value::Object(tagged))
        .map_err(|error| wrong("configuration", error.to_string(), UNCHANGED))?;
    let configuration = configuration.normal();
    if configuration.digest() != digest {
        let message = format!("the digest of the configuration is {}, not this one", configuration.digest());
        return Err(wrong("digest", message, UNCHANGED));
    }
    let (of, name) = configuration.identity();
    if of.is_some_and(|of| of != account) {
        let message = format!("the configuration is of a resource of another account than {account}");
        return Err(wrong("configuration", message, UNCHANGED));
    }
    if name.is_some_and(|name| name != resource) {
        return Err(wrong("resource", format!("the configuration is not that of `{resource}`"), UNCHANGED));
    }
    let mut texts: BTreeMap<Digest, String> = BTreeMap::new();
    for (address, document) in documents {
        let document = match document {
            Value::String(text) => Document::new(&text),
            other => Document::new(&other.to_string()),
        };
        if document.digest != address {
            let message = format!("the digest of the document is {}, not {address}", document.digest);
            return Err(wrong("documents", message, UNCHANGED));
        }
        texts.insert(address, document.canonical());
    }
    if let Some(lacking) = configuration.documents().into_iter().find(|it| !texts.contains_key(it)) {
        return Err(wrong("documents", format!("the document {lacking} is missing"), EXPORT));
    }
    let Approved { at, by, reason, ticket, until } = approved;
    if by.trim().is_empty() {
        return Err(wrong("approved.by", "it is empty".to_owned(), "name who approved it"));
    }
    let approval = Approval::new(&reason, ticket.as_deref(), until, at).map_err(|faults| {
        let first = faults.into_iter().next();
        let (field, message) = first.map_or(("reason", String::new()), |it| (it.field, it.message));
        wrong(&format!("approved.{field}"), message, UNCHANGED)
    })?;
    Ok(Baseline {
        account_id: account,
        resource: Resource::new(kind, &resource),
        digest,
        configuration,
        documents: texts,
        approval,
        by,
        at,
        observed_at,
        signature,
    })
}

/// The message of a fault without the place at its end, which is told beside it.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}
