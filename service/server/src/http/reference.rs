//! `/docs/api`: the contract of the API as a page, with nothing that has to run in the browser.
//!
//! Knows how OpenAPI says things. Refuses to know what any endpoint does: the page says what `openapi.json` says.

use super::frame::Chrome;
use askama::Template;
use askama_web::WebTemplate;
use serde_json::Value;
use std::sync::OnceLock;

/// Endpoints of one tag.
struct Section {
    id: String,
    name: String,
    description: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    /// Paragraphs.
    description: Vec<String>,
    parameters: Vec<Line>,
    body: Option<Type>,
    /// A body as it may be sent; empty where none is.
    body_example: String,
    answers: Vec<Answer>,
}

struct Answer {
    status: String,
    description: String,
    body: Option<Type>,
    /// An answer as it may be; empty where there is no body.
    example: String,
}

/// A parameter or a field.
struct Line {
    name: String,
    kind: Type,
    is_required: bool,
    description: String,
    example: String,
}

/// The type of a value, in words, and the object that it is or holds.
struct Type {
    words: String,
    object: String,
}

struct Object {
    name: String,
    description: String,
    fields: Vec<Line>,
}

/// Everything that the page shows; the same for every request.
struct Reference {
    title: String,
    introduction: Vec<String>,
    sections: Vec<Section>,
    objects: Vec<Object>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/reference.html")]
pub(crate) struct ReferencePage {
    chrome: Chrome,
    reference: &'static Reference,
}

/// `GET /docs/api`
pub(crate) async fn page(chrome: Chrome) -> ReferencePage {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    let read = || Reference::new(&serde_json::to_value(super::openapi()).unwrap_or_default());
    ReferencePage { chrome, reference: REFERENCE.get_or_init(read) }
}

impl Reference {
    fn new(contract: &Value) -> Self {
        let mut sections: Vec<Section> = each(contract, "tags")
            .map(|tag| Section {
                id: format!("tag-{}", text(tag, "name")),
                name: capital(&text(tag, "name")),
                description: text(tag, "description"),
                operations: Vec::new(),
            })
            .collect();
        for (path, item) in members(contract, "paths") {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let tag = each(operation, "tags").next().and_then(Value::as_str).unwrap_or_default();
                if let Some(section) = sections.iter_mut().find(|section| section.id == format!("tag-{tag}")) {
                    section.operations.push(Operation::new(&method.to_uppercase(), path, operation));
                }
            }
        }
        let schemas = contract.pointer("/components/schemas").unwrap_or(&Value::Null);
        Self {
            title: contract.pointer("/info/title").and_then(Value::as_str).unwrap_or_default().to_owned(),
            introduction: paragraphs(contract.pointer("/info/description")),
            sections,
            objects: schemas.as_object().into_iter().flatten().map(|(name, it)| Object::new(name, it)).collect(),
        }
    }
}

impl Operation {
    fn new(method: &str, path: &str, operation: &Value) -> Self {
        let answer = |(status, answer): (&String, &Value)| Answer {
            status: status.clone(),
            description: text(answer, "description"),
            body: body(answer),
            example: body_example(answer),
        };
        Self {
            id: text(operation, "operationId"),
            method: method.to_owned(),
            path: path.to_owned(),
            summary: text(operation, "summary"),
            description: paragraphs(operation.get("description")),
            parameters: each(operation, "parameters").map(Line::of_parameter).collect(),
            body: operation.get("requestBody").and_then(body),
            body_example: operation.get("requestBody").map(body_example).unwrap_or_default(),
            answers: members(operation, "responses").map(answer).collect(),
        }
    }
}

impl Line {
    fn of_parameter(parameter: &Value) -> Self {
        let schema = parameter.get("schema").unwrap_or(&Value::Null);
        let place = text(parameter, "in");
        let mut kind = Type::new(schema);
        if place != "query" {
            kind.words = format!("{}, in the {place}", kind.words);
        }
        Self {
            name: text(parameter, "name"),
            kind,
            is_required: parameter.get("required").and_then(Value::as_bool).unwrap_or_default(),
            description: text(parameter, "description"),
            example: example(parameter),
        }
    }
}

impl Object {
    fn new(name: &str, schema: &Value) -> Self {
        let parts = ["allOf", "oneOf"].iter().flat_map(|word| each(schema, word));
        let mut fields = Vec::new();
        for part in std::iter::once(schema).chain(parts) {
            if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
                let object = object_of(reference);
                let description = "Its fields are fields of this one, too.".to_owned();
                let kind = Type { words: "all of".to_owned(), object };
                fields.push(Line {
                    name: "…".to_owned(),
                    kind,
                    is_required: true,
                    description,
                    example: String::new(),
                });
            }
            let required: Vec<&str> = each(part, "required").filter_map(Value::as_str).collect();
            fields.extend(members(part, "properties").map(|(name, of)| Line {
                name: name.clone(),
                kind: Type::new(of),
                is_required: required.contains(&name.as_str()),
                description: text(of, "description"),
                example: example(of),
            }));
        }
        Self { name: name.to_owned(), description: text(schema, "description"), fields }
    }
}

impl Type {
    fn new(schema: &Value) -> Self {
        let plain = |words: &str| Self { words: words.to_owned(), object: String::new() };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return Self { words: String::new(), object: object_of(reference) };
        }
        if let Some(of) = ["oneOf", "anyOf", "allOf"].iter().find_map(|word| schema.get(word)?.as_array()) {
            let is_null = |it: &&Value| it.get("type").and_then(Value::as_str) == Some("null");
            let others: Vec<Self> = of.iter().filter(|it| !is_null(it)).map(Self::new).collect();
            let null = if of.iter().any(|it| is_null(&it)) { " or null" } else { "" };
            let words: Vec<&str> = others.iter().map(|it| it.words.as_str()).filter(|it| !it.is_empty()).collect();
            let object = others.iter().map(|it| it.object.clone()).find(|it| !it.is_empty()).unwrap_or_default();
            return Self { words: format!("{}{null}", words.join(" or ")), object };
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
            return plain(&words.join(", "));
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let null = if types.contains(&"null") { " or null" } else { "" };
        let of = |word: &str| schema.get(word).filter(|it| it.is_object()).map(Self::new);
        let held = match types.iter().find(|it| **it != "null").copied() {
            Some("array") => of("items").map(|it| ("list of ", it)),
            Some("object") => of("additionalProperties").map(|it| ("by name: ", it)),
            _ => None,
        };
        if let Some((words, it)) = held {
            return Self { words: format!("{words}{}{null}", it.words), object: it.object };
        }
        let format = schema.get("format").and_then(Value::as_str).map(|it| format!(" ({it})")).unwrap_or_default();
        let kind = types.iter().find(|it| **it != "null").copied().unwrap_or("any JSON");
        plain(&format!("{kind}{format}{null}"))
    }
}

fn body(of: &Value) -> Option<Type> {
    members(of, "content").next().and_then(|(_, content)| content.get("schema")).map(Type::new)
}

/// The example of a body, as JSON that is laid out.
fn body_example(of: &Value) -> String {
    let example = members(of, "content").next().and_then(|(_, content)| content.get("example"));
    example.and_then(|example| serde_json::to_string_pretty(example).ok()).unwrap_or_default()
}

fn object_of(reference: &str) -> String {
    reference.rsplit('/').next().unwrap_or_default().to_owned()
}

fn example(of: &Value) -> String {
    match of.get("example").or_else(|| of.get("examples")?.as_array()?.first()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn paragraphs(of: Option<&Value>) -> Vec<String> {
    of.and_then(Value::as_str).unwrap_or_default().split("\n\n").map(|it| it.replace('\n', " ")).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

fn each<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn members<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    of.get(name).and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_and_object_is_there_and_every_link_leads_somewhere() {
        let contract = serde_json::to_value(crate::http::openapi()).unwrap();
        let reference = Reference::new(&contract);
        let operations: Vec<&Operation> = reference.sections.iter().flat_map(|it| &it.operations).collect();
        let paths = contract["paths"].as_object().unwrap();
        let wanted: usize = paths.values().map(|item| item.as_object().unwrap().len()).sum();
        assert_eq!(operations.len(), wanted);
        for operation in &operations {
            assert_ne!(operation.body.is_some(), operation.body_example.is_empty(), "{}", operation.id);
            let good = operation.answers.iter().filter(|answer| answer.status.starts_with('2'));
            assert!(good.clone().all(|it| it.body.is_some() != it.example.is_empty()), "{}", operation.id);
        }
        let objects: BTreeSet<&str> = reference.objects.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(objects.len(), contract["components"]["schemas"].as_object().unwrap().len());
        let of_operations = operations.iter().flat_map(|it| {
            let answers = it.answers.iter().filter_map(|answer| answer.body.as_ref());
            it.body.iter().chain(answers).chain(it.parameters.iter().map(|line| &line.kind))
        });
        let of_objects = reference.objects.iter().flat_map(|it| &it.fields).map(|line| &line.kind);
        let mut links = 0;
        for kind in of_operations.chain(of_objects) {
            assert!(!kind.words.is_empty() || !kind.object.is_empty());
            if !kind.object.is_empty() {
                assert!(objects.contains(kind.object.as_str()), "{}", kind.object);
                links += 1;
            }
        }
        assert!(links > 100, "{links}");
    }

    #[test]
    fn types_are_said_in_words() {
        for (schema, words, object) in [
            (serde_json::json!({"type": "string", "format": "date-time"}), "string (date-time)", ""),
            (serde_json::json!({"type": ["integer", "null"]}), "integer or null", ""),
            (serde_json::json!({"type": "array", "items": {"$ref": "#/components/schemas/A"}}), "list of ", "A"),
            (serde_json::json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/A"}]}), " or null", "A"),
            (serde_json::json!({"type": "string", "enum": ["a", "b"]}), "`a`, `b`", ""),
            (serde_json::json!({}), "any JSON", ""),
        ] {
            let kind = Type::new(&schema);
            assert_eq!((kind.words.as_str(), kind.object.as_str()), (words, object), "{schema}");
        }
    }
}
