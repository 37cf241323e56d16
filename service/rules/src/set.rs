//! All rules together: loaded at once, tested, digested, and described for editors.
//!
//! Refuses to know where files lie and what is judged.

use super::binding::Exception;
use super::ir::BUILTINS;
use super::load;
use super::rule::{Expect, Rule, TestResult};
use super::schema::{SUBJECTS, Schema};
use super::yaml::{LoadError, SourceFile};
use rolecall_iam::Digest;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Checked rules with their bindings and exceptions.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    exceptions: Vec<Arc<Exception>>,
    digest: Digest,
}

impl RuleSet {
    /// Reads policy files.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files.
    pub fn load(files: &[SourceFile], schema: &Schema) -> Result<Self, Vec<LoadError>> {
        let (set, errors) = Self::load_lenient(files, schema);
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Reads policy files and keeps what is good: the rules without mistakes, under the bindings and
    /// exceptions without mistakes.
    #[must_use]
    pub fn load_lenient(files: &[SourceFile], schema: &Schema) -> (Self, Vec<LoadError>) {
        let loaded = load::load(files, schema);
        let mut digests: Vec<String> = loaded.rules.iter().map(|rule| rule.digest.to_string()).collect();
        digests.extend(loaded.digests.iter().map(ToString::to_string));
        digests.sort();
        let set = Self {
            rules: loaded.rules.into_iter().map(Arc::new).collect(),
            exceptions: loaded.exceptions,
            digest: Digest::sha256(digests.join("\n").as_bytes()),
        };
        (set, loaded.errors)
    }

    /// Every rule, by id.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// A rule by its id or by one that it supersedes.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Arc<Rule>> {
        let own = self.rules.iter().find(|rule| rule.id() == id);
        own.or_else(|| self.rules.iter().find(|rule| rule.meta.supersedes.iter().any(|old| old == id)))
    }

    /// Every exception, in force or not.
    #[must_use]
    pub fn exceptions(&self) -> &[Arc<Exception>] {
        &self.exceptions
    }

    /// Digest over rules, bindings and exceptions: another digest, other answers.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Runs every embedded test.
    #[must_use]
    pub fn test(&self) -> Vec<TestResult> {
        self.rules.iter().flat_map(|rule| rule.test()).collect()
    }

    /// What a rule needs before it may ship: a test that fails, one that passes and one that is unknown.
    #[must_use]
    pub fn untested(&self) -> Vec<LoadError> {
        let mut errors = Vec::new();
        for rule in &self.rules {
            let missing: Vec<&str> = [Expect::Fail, Expect::Pass, Expect::Unknown]
                .into_iter()
                .filter(|expect| rule.tests.iter().all(|test| test.expect != *expect))
                .map(Expect::as_str)
                .collect();
            if !missing.is_empty() {
                errors.push(LoadError {
                    file: rule.file.clone(),
                    line: rule.line,
                    column: 1,
                    field: "tests".to_owned(),
                    message: format!("rule `{}` has no test that expects {}", rule.id(), missing.join(", ")),
                    remedy: "every rule shows when it fails, when it passes, and when it cannot know".to_owned(),
                });
            }
        }
        errors
    }
}

/// A JSON Schema of the policy files, with the facts and functions that rules may name: for editors
/// (`rolecall policies schema`) and for the documentation.
#[must_use]
pub fn json_schema(schema: &Schema) -> Json {
    let subjects: Vec<&str> =
        SUBJECTS.iter().filter(|kind| schema.subject(**kind).is_some()).map(|kind| kind.as_str()).collect();
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let slug = json!({ "type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "maxLength": 64 });
    let severity = json!({ "enum": ["critical", "high", "medium", "low", "info"] });
    let expression = |what: &str| json!({ "type": "string", "description": what, "maxLength": 8192 });
    let moment = json!({ "type": "string", "description": "RFC 3339, or a date: its beginning in UTC" });
    let closed = |needed: &[&str], fields: Json| json!({ "type": "object", "additionalProperties": false, "required": needed, "properties": fields });
    let select = closed(
        &[],
        json!({
            "ou": { "type": "string", "description": "OU path such as /workloads/prod; * within a name, ** for any names; / is the whole organisation" },
            "accounts": { "type": "array", "items": { "type": ["string", "integer"] }, "description": "account ids" },
            "clusters": { "type": "array", "items": text, "description": "cluster names with * and ?" },
            "namespaces": { "type": "array", "items": text, "description": "namespaces with * and ?" },
        }),
    );
    let rules = json!({ "type": "array", "items": text, "minItems": 1, "description": "rule ids, category:…, or *" });
    let named = closed(&["name"], json!({ "name": slug }));
    let param = closed(
        &["type", "default"],
        json!({
            "type": { "type": "string", "pattern": "^(bool|int|double|string|duration|timestamp|regex|(list|map)\\(.+\\))$" },
            "default": {}, "min": {}, "max": {}, "description": text,
        }),
    );
    let mut test = json!({
        "name": text,
        "expect": { "enum": ["fail", "pass", "unknown", "not_applicable"] },
        "message": { "type": "string", "description": "the message that one of the findings must have" },
        "severity": severity,
        "because": { "type": "string", "description": "what one of the findings must say that its severity follows from" },
        "params": { "type": "object" },
        "now": moment,
    });
    if let Json::Object(fields) = &mut test {
        for kind in SUBJECTS {
            if let Some(object) = schema.subject(kind) {
                fields.insert(kind.as_str().to_owned(), json!({ "$ref": format!("#/$defs/facts/{}", object.name) }));
            }
        }
    }
    let rule = closed(
        &["apiVersion", "kind", "metadata", "spec"],
        json!({
            "apiVersion": { "const": "rolecall/v1" },
            "kind": { "const": "Rule" },
            "metadata": closed(
                &["id", "title", "severity", "category", "description", "risk", "remediation"],
                json!({
                    "id": slug, "title": text, "severity": severity, "category": slug, "description": text, "risk": text,
                    "remediation": closed(&["text"], json!({ "text": text, "cli": text, "kubectl": text, "terraform": text, "cloudformation": text })),
                    "references": texts, "since": text, "supersedes": texts,
                }),
            ),
            "spec": closed(
                &["subject", "match", "message"],
                json!({
                    "subject": { "enum": subjects },
                    "params": { "type": "object", "additionalProperties": param },
                    "applies": expression("bool: where false, the rule does not concern the subject"),
                    "each": closed(&["in", "as"], json!({ "in": expression("list: one finding for each element that matches"), "as": text })),
                    "match": { "oneOf": [
                        expression("bool: true means the rule fails"),
                        { "type": "array", "minItems": 1, "description": "causes, of which one is enough",
                          "items": closed(&["when", "because"], json!({
                            "when": expression("bool: true means the rule fails"),
                            "because": expression("string: what to say of it; `because` in `message` lists those that are certainly there"),
                          })) },
                    ] },
                    "message": expression("string: one sentence that names the values"),
                    "evidence": expression("list(Evidence): what decided"),
                    "discriminator": expression("list(string): tells findings about one subject apart; never changes"),
                    "part_of": {
                        "type": "array", "items": slug,
                        "description": "ids of rules about the same kind of subject: where one of them fails, this rule's finding is listed under that one",
                    },
                    "severity_when": {
                        "type": "array",
                        "description": "what the severity follows from: the first condition that is true decides; where none is, the rule's own severity holds. A binding's severity goes before all of them",
                        "items": closed(
                            &["when", "severity", "because"],
                            json!({
                                "when": expression("bool: an unknown one never lowers the severity below the rule's own"),
                                "severity": severity,
                                "because": expression("string: what the severity follows from, in one sentence"),
                            }),
                        ),
                    },
                }),
            ),
            "tests": { "type": "array", "items": closed(&["name", "expect"], test) },
        }),
    );
    let binding = closed(
        &["apiVersion", "kind", "metadata", "spec"],
        json!({
            "apiVersion": { "const": "rolecall/v1" },
            "kind": { "const": "Binding" },
            "metadata": named,
            "spec": closed(
                &["rules"],
                json!({
                    "rules": rules, "select": select, "params": { "type": "object" }, "severity": severity,
                    "enabled": { "type": "boolean" },
                    "locked": { "type": "boolean", "description": "narrower bindings may not change what this one sets" },
                }),
            ),
        }),
    );
    let exception = closed(
        &["apiVersion", "kind", "metadata", "spec"],
        json!({
            "apiVersion": { "const": "rolecall/v1" },
            "kind": { "const": "Exception" },
            "metadata": named,
            "spec": closed(
                &["rules", "owner", "reason", "since", "expires"],
                json!({
                    "rules": rules, "select": select,
                    "subject": { "type": "string", "description": "the subject's key, with * and ?" },
                    "owner": text, "reason": text, "ticket": text, "since": moment, "expires": moment,
                }),
            ),
        }),
    );
    let facts: serde_json::Map<String, Json> = schema
        .objects()
        .iter()
        .map(|object| {
            let fields: serde_json::Map<String, Json> = object
                .fields
                .iter()
                .map(|field| (field.name.to_string(), json!({ "description": format!("{}: {}", field.ty, field.doc) })))
                .collect();
            (object.name.to_string(), json!({ "type": "object", "description": object.doc, "properties": fields }))
        })
        .collect();
    let functions: Vec<Json> = schema
        .functions()
        .iter()
        .map(|function| json!({ "signature": function.signature(), "description": function.doc }))
        .collect();
    let language: Vec<&str> = BUILTINS.iter().map(|(_, _, doc)| *doc).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rolecall policies: rules, bindings and exceptions",
        "oneOf": [rule, binding, exception],
        "$defs": { "facts": facts },
        "x-functions": functions,
        "x-language": language,
    })
}
