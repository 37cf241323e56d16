//! What the contract says of every endpoint alike: the scope that it requires, what each status means, and what
//! the parts of an address are. Refuses to know what an endpoint does.

use super::principal::AccessRequirement;
use super::{examples, fields};
use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

/// The parts of addresses, by their names. A name means the same in each.
const PARTS: [(&str, &str); 12] = [
    ("account_id", "The twelve-digit AWS account id."),
    ("region", "The AWS Region, such as `eu-west-1`."),
    ("cluster", "The EKS cluster's name."),
    ("namespace", "The Kubernetes namespace."),
    ("service_account", "The Kubernetes service account."),
    ("name", "The EKS cluster's name."),
    ("event_id", "CloudTrail's id of the event that began the session."),
    ("role_arn", "The role's ARN, with `/` as `%2F`."),
    ("number", "The finding's number."),
    (
        "system",
        "How the installation calls the ticket system, such as `jira`; not `none` or `any`, which are words of the filter `ticket`.",
    ),
    ("webhook", "The webhook's name in the configuration."),
    ("id", "The item's id, as the list gives it."),
];

/// Says what the fields of an object are, where they do not say so themselves.
fn describe(object: &str, schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(it) => {
            for (field, of) in &mut it.properties {
                if let Some(text) = fields::meaning(object, field) {
                    say(of, text);
                }
            }
        }
        Schema::AllOf(it) => it.items.iter_mut().for_each(|item| describe(object, item)),
        Schema::OneOf(it) => it.items.iter_mut().for_each(|item| describe(object, item)),
        _ => {}
    }
}

fn say(schema: &mut RefOr<Schema>, text: &str) {
    let place = match schema {
        RefOr::Ref(reference) => {
            if reference.description.is_empty() {
                text.clone_into(&mut reference.description);
            }
            return;
        }
        RefOr::T(Schema::Object(it)) => &mut it.description,
        RefOr::T(Schema::Array(it)) => &mut it.description,
        RefOr::T(Schema::OneOf(it)) => &mut it.description,
        RefOr::T(Schema::AllOf(it)) => &mut it.description,
        RefOr::T(Schema::AnyOf(it)) => &mut it.description,
        RefOr::T(_) => return,
    };
    place.get_or_insert_with(|| text.to_owned());
}

/// Completes what the endpoints themselves do not say.
pub(super) fn complete(contract: &mut OpenApi, required: impl Fn(&Method, &str) -> Option<AccessRequirement>) {
    for (object, schema) in contract.components.iter_mut().flat_map(|components| &mut components.schemas) {
        describe(object, schema);
    }
    for (path, item) in &mut contract.paths.paths {
        for (method, operation) in operations(item) {
            let scope = match required(&method, path) {
                Some(AccessRequirement::Scope(scope)) => format!("Requires a token with the scope `{scope}`."),
                _ => "Requires a token.".to_owned(),
            };
            operation.description = Some(match operation.description.take() {
                Some(text) => format!("{text}\n\n{scope}"),
                None => scope,
            });
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                let known = PARTS.iter().find(|(name, _)| *name == parameter.name).map(|(_, text)| (*text).to_owned());
                parameter.description = parameter.description.take().or(known);
            }
            if method != Method::GET {
                operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
            }
            examples::add(operation);
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    meaning(status).clone_into(&mut response.description);
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The key of a request that may be sent again.
fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A name of this request, new for each, such as a UUID: sent again with the same one within 24 hours, it is \
             not done again and has the same answer, with `Idempotency-Replayed: true`. 409: it is under way; 422: the \
             name came with another request. One that was refused leaves its name free.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(200))
                .pattern(Some("^[!#-~]+$"))
                .build(),
        ))
        .example(Some("8e03978e-40d5-43dd-bc93-6894a57f9324".into()))
        .build()
}

/// What a status means, whatever the endpoint.
fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "The answer.",
        "201" => "It was made.",
        "202" => "It was queued.",
        "204" => "It is done; there is nothing to say.",
        "304" => "Nothing has changed since the `ETag` that was sent.",
        "401" => "No token, or one that is not valid.",
        "403" => "The token lacks the scope.",
        "404" => "There is no such item.",
        "409" => "The item has changed meanwhile, or the request does not fit its state.",
        "410" => "What was asked for is not kept any more.",
        "412" => "The item is of another version than `If-Match` names.",
        "422" => "The request is well formed and cannot be done.",
        "429" => "Too many requests; `Retry-After` says when to send the next.",
        other if other.starts_with('5') => "The service failed; the log has the request id.",
        _ => "The request was refused; `code` says why, `errors` where.",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// OpenAPI demands a description of each response, and readers one of each parameter and operation.
    #[test]
    fn every_operation_parameter_and_response_is_described() {
        let contract = serde_json::to_value(crate::http::openapi()).unwrap();
        let is_described = |of: &Value| of["description"].as_str().is_some_and(|text| text.len() > 5);
        for (path, item) in contract["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let at = format!("{method} {path}");
                assert!(operation["summary"].is_string() && is_described(operation), "{at}");
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    assert!(is_described(parameter), "{at}: {}", parameter["name"]);
                }
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert!(is_described(response), "{at}: {status}");
                }
            }
        }
    }

    /// What lacks one is named: a request for it goes into `tests/contract/examples.py`.
    #[test]
    fn every_operation_has_an_example() {
        let contract = serde_json::to_value(crate::http::openapi()).unwrap();
        let mut lacking = Vec::new();
        for item in contract["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    if parameter["example"].is_null() {
                        lacking.push(format!("{name}: the parameter {}", parameter["name"]));
                    }
                }
                let answers = operation["responses"].as_object().unwrap().iter();
                let good = answers.filter(|(status, _)| status.starts_with('2'));
                let parts = good.map(|(status, answer)| (status.as_str(), answer));
                for (part, of) in parts.chain([("the body", &operation["requestBody"])]) {
                    for content in of["content"].as_object().into_iter().flat_map(|it| it.values()) {
                        if content["example"].is_null() {
                            lacking.push(format!("{name}: {part}"));
                        }
                    }
                }
            }
        }
        assert_eq!(lacking, Vec::<String>::new());
    }

    /// A field that says nothing of itself is one that readers guess at.
    #[test]
    fn every_field_is_described() {
        let contract = serde_json::to_value(crate::http::openapi()).unwrap();
        let mut silent = Vec::new();
        for (name, schema) in contract["components"]["schemas"].as_object().unwrap() {
            let parts = ["allOf", "oneOf"].iter().filter_map(|word| schema[word].as_array()).flatten();
            for part in std::iter::once(schema).chain(parts) {
                for (field, of) in part["properties"].as_object().into_iter().flatten() {
                    if of["description"].as_str().is_none_or(str::is_empty) {
                        silent.push(format!("{name}.{field}"));
                    }
                }
            }
        }
        assert_eq!(silent, Vec::<String>::new());
    }
}
