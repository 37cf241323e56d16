//! Requests that are sent again: those that change something get their first answer, and those that read get none of
//! what they have already.
//!
//! A request with an `Idempotency-Key` is done once for its credential and key, and answered the same for a day. One
//! that was refused changed nothing, so that its key is free again. Refuses to know what an address does.

use super::cursor::same;
use super::error::{AppError, Code, FieldError};
use super::principal::Principal;
use crate::app::App;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rolecall_iam::Digest;
use rolecall_store::{KeptAnswer, TakenKey};
use std::time::Duration;

/// The header that names a request.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// For so long an answer is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// A request that was not answered for so long never will be: every request has less time.
const ABANDONED: Duration = Duration::from_secs(60);
/// The longest key.
const LONGEST: usize = 200;
/// What is given again beside status and body.
const HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION, header::LINK];

/// Marks an answer with a secret that is kept nowhere, so that it is not given again either.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldsSecret;

/// Does a request that has a key once.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let Some(given) = request.headers().get(KEY).filter(|_| !reads) else { return next.run(request).await };
    let key = match read_key(given) {
        Ok(key) => key,
        Err(error) => return error.into_response(),
    };
    let Some(credential) = request.extensions().get::<Principal>().map(holder) else {
        return next.run(request).await;
    };
    match keyed(&app, &credential, &key, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// Whose key it is: an answer is given again to nobody who may see something else.
fn holder(principal: &Principal) -> String {
    match principal.visibility().limits() {
        None => principal.label(),
        Some(limits) => format!("{} {}", principal.label(), Digest::sha256(limits.join(" ").as_bytes())),
    }
}

async fn keyed(app: &App, credential: &str, key: &str, request: Request, next: Next) -> Result<Response, AppError> {
    let (parts, body) = request.into_parts();
    // What came in is small by now.
    let body = to_bytes(body, usize::MAX).await.map_err(AppError::unread_body)?;
    let target = parts.uri.path_and_query().map(axum::http::uri::PathAndQuery::as_str).unwrap_or_default();
    let condition = parts.headers.get(header::IF_MATCH).map(HeaderValue::as_bytes).unwrap_or_default();
    let all = [parts.method.as_str().as_bytes(), b"\0", target.as_bytes(), b"\0", condition, b"\0", &body].concat();
    match app.store.take_key(credential, key, &Digest::sha256(&all), KEPT, ABANDONED).await? {
        TakenKey::Fresh => {}
        TakenKey::Answered(answer) => return Ok(replay(answer)),
        TakenKey::UnderWay => {
            let detail = "the request of this `Idempotency-Key` is under way; send it again in a few seconds";
            return Err(AppError::new(Code::Conflict, detail));
        }
        TakenKey::Other => {
            return Err(AppError::new(Code::KeyReused, Code::KeyReused.meaning()));
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() || response.extensions().get::<HoldsSecret>().is_some() {
        app.store.release_key(credential, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(AppError::internal)?;
    let kept = |name: &HeaderName| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()));
    let answer = KeptAnswer {
        status: parts.status.as_u16(),
        headers: HEADERS.iter().filter_map(kept).collect(),
        body: body.to_vec(),
    };
    app.store.keep_answer(credential, key, &answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(answer: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// A key, as it is or in the quotes that structured fields have.
fn read_key(given: &HeaderValue) -> Result<String, AppError> {
    let text = given.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
        let message = format!("`Idempotency-Key` has 1 to {LONGEST} visible ASCII characters, such as those of a UUID");
        let fault = FieldError { parameter: "Idempotency-Key".to_owned(), message };
        return Err(AppError::of_fields(Code::InvalidParameter, vec![fault]));
    }
    Ok(text.to_owned())
}

/// Gives what is read a tag, and says 304 to whoever has it already.
pub(crate) async fn tagged(request: Request, next: Next) -> Response {
    let reads = *request.method() == Method::GET;
    let known = known(request.headers());
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => return AppError::internal(error).into_response(),
    };
    let tag = tag(&parts.headers, &body);
    if let Ok(value) = HeaderValue::try_from(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    let fits = |known: &String| known == "*" || same(known.as_bytes(), tag.trim_start_matches("W/").as_bytes());
    if known.iter().any(fits) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// The tag of an answer: of its body, behind the version that its address gives, where it gives one. What an item
/// shows changes with time, too, and not with its version alone.
fn tag(headers: &HeaderMap, body: &Bytes) -> String {
    let digest: String = Digest::sha256(body).to_string().chars().take(16).collect();
    let version = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(|tag| tag.trim_matches('"'));
    version.map_or_else(|| format!("W/\"{digest}\""), |version| format!("\"{version}-{digest}\""))
}

/// The tags that the sender has. Whether they are weak is the same here.
fn known(headers: &HeaderMap) -> Vec<String> {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_visible() {
        for (given, key) in [
            ("abc", Some("abc")),
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            (" a-1 ", Some("a-1")),
            ("", None),
            ("\"\"", None),
            ("a b", None),
            ("a\"b", None),
        ] {
            let read = read_key(&HeaderValue::from_static(given));
            assert_eq!(read.ok().as_deref(), key, "{given}");
        }
        assert!(read_key(&HeaderValue::try_from("x".repeat(LONGEST + 1)).unwrap()).is_err());
    }

    #[test]
    fn tags_are_told_apart_by_body_and_version() {
        let mut headers = HeaderMap::new();
        let weak = tag(&headers, &Bytes::from_static(b"a"));
        assert!(weak.starts_with("W/\"") && weak != tag(&headers, &Bytes::from_static(b"b")));
        headers.insert(header::ETAG, HeaderValue::from_static("\"7\""));
        assert!(tag(&headers, &Bytes::from_static(b"a")).starts_with("\"7-"));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("W/\"x\", \"y\""));
        assert_eq!(known(&headers), ["\"x\"", "\"y\""]);
    }
}
