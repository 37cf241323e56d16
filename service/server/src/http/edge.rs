//! What holds for every request and every answer, whoever handles it.
//!
//! Request ids, security headers, the `Host` check, panics, and the form of failures: problem+json
//! under `/api`, a page elsewhere. Whatever fails inside, axum's own refusals too, leaves here in
//! that form. Refuses to know what any address does.

use super::error::{AppError, Code, PassThrough, Problem};
use super::frame::{Chrome, Theme, error_page};
use crate::app::App;
use crate::config::auth::{host_of, is_loopback_name};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use tracing::Instrument as _;

/// The id under which a request is logged and answered.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// How a credential stands to its limit.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What the limit is.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The policy that every page is under. No script and no style stands inside a page.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()",
    ),
];

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

/// Runs a request between its id and its headers.
pub async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let theme = Theme::new(request.headers());
    let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.path = %path);
    let inside = async {
        match check_host(&app, request.headers(), &path) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    let answer = AssertUnwindSafe(inside.instrument(span.clone())).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| AppError::internal(Panicked).into_response());
    let mut answer = shape(answer, &path, &id, theme, &span);
    harden(answer.headers_mut(), &app, &id);
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(http.status = answer.status().as_u16(), duration_ms = milliseconds, "answered"));
    answer
}

/// Gives a failure its form, and logs it if it is ours.
fn shape(answer: Response, path: &str, id: &str, theme: Theme, span: &tracing::Span) -> Response {
    let status = answer.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || answer.extensions().get::<PassThrough>().is_some() {
        return answer;
    }
    let error = answer.extensions().get::<AppError>().cloned().unwrap_or_else(|| AppError::of_status(status));
    if error.code.status().is_server_error() {
        let cause = error.chain().unwrap_or_else(|| error.detail.clone());
        span.in_scope(|| tracing::error!(cause, code = error.code.as_str(), "request failed"));
    }
    let kept = [
        header::ALLOW,
        header::WWW_AUTHENTICATE,
        header::RETRY_AFTER,
        header::SET_COOKIE,
        RATE_LIMIT,
        RATE_LIMIT_POLICY,
    ];
    let headers: HeaderMap =
        answer.headers().iter().filter(|(n, _)| kept.contains(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
    let body = if of_api(path) {
        problem(&error, path, id)
    } else {
        let chrome = answer.extensions().get::<Chrome>().cloned();
        error_page(chrome, theme, &error, id)
    };
    let mut shaped = (error.code.status(), body).into_response();
    shaped.headers_mut().extend(headers);
    shaped
}

/// Whether an address is a program's rather than a person's.
#[must_use]
pub fn of_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || path == "/metrics"
}

fn problem(error: &AppError, path: &str, id: &str) -> Response {
    let text = serde_json::to_string(&Problem::new(error, path, id)).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/problem+json")], Body::from(text)).into_response()
}

fn harden(headers: &mut HeaderMap, app: &App, id: &str) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.config.auth.https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
}

/// The caller's id where it is a plain one, so that a proxy's log and ours meet; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|v| v.to_str().ok());
    let plain = |id: &&str| (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    given.filter(plain).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// Refuses a `Host` that is not ours, so that a foreign name that resolves to this address (DNS
/// rebinding) reaches nothing. Addresses are let through: a browser that shows one talks to it.
fn check_host(app: &App, headers: &HeaderMap, path: &str) -> Result<(), AppError> {
    if matches!(path, "/livez" | "/readyz") {
        return Ok(());
    }
    let given = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let host = host_of(&given);
    let listed = |allowed: &str| allowed == given || allowed == host;
    let ours = is_loopback_name(host)
        || host.parse::<IpAddr>().is_ok()
        || app.config.auth.public_url.as_ref().is_some_and(|url| listed(url.authority()))
        || app.config.server.allowed_hosts.iter().any(|allowed| listed(allowed));
    if ours {
        return Ok(());
    }
    let shown: String = given.chars().take(80).collect();
    let detail = format!("`{shown}` is not a name of this service; set `auth.public_url` or `server.allowed_hosts`");
    Err(AppError::new(Code::WrongHost, detail))
}

/// What is said to an address that does not exist.
pub(crate) async fn no_such_address() -> AppError {
    AppError::new(Code::NotFound, "there is nothing at this address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_request_ids_are_taken_over() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_static(value));
            request_id(&headers)
        };
        assert_eq!(of("abc-12345"), "abc-12345");
        for odd in ["short", "has space in it", "<script>alert(1)</script>"] {
            assert_ne!(of(odd), odd);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn programs_and_people_have_their_own_addresses() {
        for (path, api) in
            [("/api", true), ("/api/v1/findings", true), ("/metrics", true), ("/apiary", false), ("/", false)]
        {
            assert_eq!(of_api(path), api, "{path}");
        }
    }
}
