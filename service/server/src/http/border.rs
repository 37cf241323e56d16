//! What a request may hold before anything reads it: text that is complete, and that PostgreSQL takes.
//!
//! A percent-encoding that is broken, bytes that are no UTF-8 and NUL are refused here, once for every
//! address, in paths, query strings, forms and JSON, and the answer names the parameter. PostgreSQL's
//! `text` holds every other character. Refuses to know what an address does with its parameters.

use super::error::{AppError, Code, FieldError};
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Lets a request through whose texts can be read and kept; names what is wrong with any other.
pub(crate) async fn border(request: Request, next: Next) -> Response {
    match check(request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn check(request: Request) -> Result<Request, AppError> {
    let mut wrong = Vec::new();
    if let Some(matched) = request.extensions().get::<MatchedPath>() {
        of_path(matched.as_str(), request.uri().path(), &mut wrong);
    }
    of_pairs(request.uri().query().unwrap_or_default(), &mut wrong);
    refuse(wrong)?;
    let (parts, body) = request.into_parts();
    // The layer before this one limits the body.
    let body = to_bytes(body, usize::MAX).await.map_err(AppError::unread_body)?;
    let mut wrong = Vec::new();
    of_body(&parts.headers, &body, &mut wrong);
    refuse(wrong)?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn refuse(wrong: Vec<FieldError>) -> Result<(), AppError> {
    if wrong.is_empty() { Ok(()) } else { Err(AppError::of_fields(Code::InvalidParameter, wrong)) }
}

/// The parameters of a path, by the names that its route gives them.
fn of_path(route: &str, path: &str, wrong: &mut Vec<FieldError>) {
    let mut steps = path.split('/');
    for part in route.split('/') {
        let Some(name) = part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
            steps.next();
            continue;
        };
        match name.strip_prefix('*') {
            Some(name) => steps.by_ref().for_each(|step| note(name, step, wrong)),
            None => note(name, steps.next().unwrap_or_default(), wrong),
        }
    }
}

/// The names and values of a query string, or of a form.
fn of_pairs(pairs: &str, wrong: &mut Vec<FieldError>) {
    for pair in pairs.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let shown = shown(&percent_decode_str(name).decode_utf8_lossy());
        note(&shown, name, wrong);
        note(&shown, value, wrong);
    }
}

fn of_body(headers: &HeaderMap, body: &[u8], wrong: &mut Vec<FieldError>) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Ok(text) = std::str::from_utf8(body) else {
        wrong.push(fault("body", "is not UTF-8"));
        return;
    };
    if kind == "application/x-www-form-urlencoded" {
        of_pairs(text, wrong);
    } else if let Ok(value) = serde_json::from_str::<Value>(text) {
        // Whatever it is called: what is no JSON is refused by whoever reads it.
        of_json(&value, &mut String::new(), wrong);
    } else if text.contains('\0') {
        wrong.push(fault("body", NUL));
    }
}

/// Texts and names in JSON, each under its RFC 6901 pointer.
fn of_json(value: &Value, pointer: &mut String, wrong: &mut Vec<FieldError>) {
    let at = pointer.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            wrong.push(fault(if pointer.is_empty() { "body" } else { pointer }, NUL));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                of_json(item, pointer, wrong);
                pointer.truncate(at);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                pointer.push('/');
                pointer.push_str(&shown(&name.replace('~', "~0").replace('/', "~1")));
                if name.contains('\0') {
                    wrong.push(fault(pointer, NUL));
                }
                of_json(field, pointer, wrong);
                pointer.truncate(at);
            }
        }
        _ => {}
    }
}

const NUL: &str = "holds NUL, a character that no name has; leave it out";

/// Notes what is wrong with a percent-encoded text.
fn note(name: &str, encoded: &str, wrong: &mut Vec<FieldError>) {
    let why = match percent_decode_str(encoded).decode_utf8() {
        _ if !escapes_are_whole(encoded) => "has a `%` without two hexadecimal digits; write `%25` for a percent sign",
        Err(_) => "is not UTF-8 once its percent-encoding is read",
        Ok(text) if text.contains('\0') => NUL,
        Ok(_) => return,
    };
    let found = fault(name, why);
    if !wrong.contains(&found) {
        wrong.push(found);
    }
}

fn fault(parameter: &str, why: &str) -> FieldError {
    FieldError { parameter: parameter.to_owned(), message: format!("`{parameter}` {why}") }
}

/// A name as it can be shown: short, and with control characters escaped.
fn shown(name: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    name.chars().take(60).map(escaped).collect()
}

fn escapes_are_whole(encoded: &str) -> bool {
    let digits = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    encoded.split('%').skip(1).all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wrong: &[FieldError]) -> Vec<&str> {
        wrong.iter().map(|fault| fault.parameter.as_str()).collect()
    }

    #[test]
    fn a_path_s_parameter_is_named_as_its_route_names_it() {
        for (route, path, want) in [
            ("/scans/{id}", "/scans/%00", &["id"][..]),
            ("/scans/{id}", "/scans/1", &[]),
            ("/scans/{id}", "/scans/%zz", &["id"]),
            ("/roles/{*arn}", "/roles/arn:aws:iam::1:role/a/%FF", &["arn"]),
            ("/sessions/{account}/{event}", "/sessions/%00/%C3", &["account", "event"]),
            ("/sessions/{account}/{event}", "/sessions/1/%E2%90%80", &[]),
        ] {
            let mut wrong = Vec::new();
            of_path(route, path, &mut wrong);
            assert_eq!(names(&wrong), want, "{path}");
        }
    }

    #[test]
    fn a_query_s_and_a_body_s_parameters_are_named() {
        for (query, want) in [
            ("q=a%00b", &["q"][..]),
            ("q=%ff&region=%", &["q", "region"]),
            ("a%00=b", &["a\\u{0}"]),
            ("q=%41+b&x", &[]),
            ("q=100%", &["q"]),
        ] {
            let mut wrong = Vec::new();
            of_pairs(query, &mut wrong);
            assert_eq!(names(&wrong), want, "{query}");
        }
        for (kind, body, want) in [
            ("application/json", &br#"{"a":{"b/c":["x","y\u0000"]}}"#[..], &["/a/b~1c/1"][..]),
            ("application/json", br#""\u0000""#, &["body"]),
            ("application/json", b"{\"a\":\"\xff\"}", &["body"]),
            ("application/x-www-form-urlencoded; charset=utf-8", b"a=%00&b=1", &["a"]),
            ("text/plain", b"a\0", &["body"]),
            ("application/json", br#"{"a":"\ud800"}"#, &[]),
            ("", b"", &[]),
        ] {
            let headers: HeaderMap = [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
            let mut wrong = Vec::new();
            of_body(&headers, body, &mut wrong);
            assert_eq!(names(&wrong), want, "{body:?}");
        }
    }
}
