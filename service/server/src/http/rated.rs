//! The limit of requests to the API, for each credential, told in the headers of the IETF's draft `RateLimit header
//! fields for HTTP`. Pages and what they are made of have none.

use super::edge::{RATE_LIMIT, RATE_LIMIT_POLICY, of_api};
use super::error::{AppError, Code};
use super::principal::Principal;
use crate::app::App;
use crate::rate::Standing;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::{Duration, Instant};

/// Lets a request through, or says when to send it again.
pub(crate) async fn rated(State(app): State<App>, request: Request, next: Next) -> Response {
    let credential = request.extensions().get::<Principal>().filter(|_| of_api(request.uri().path()));
    let limit = app.config.server.requests_per_minute;
    let standing = credential.and_then(|who| app.rates.count(&who.label(), limit, Instant::now()));
    let Some(standing) = standing else { return next.run(request).await };
    let mut response = match standing.wait {
        None => next.run(request).await,
        Some(wait) => {
            let detail = format!("{limit} requests a minute are allowed; ask again in {} s", seconds(wait));
            let mut refused = AppError::new(Code::TooManyRequests, detail).into_response();
            insert(refused.headers_mut(), header::RETRY_AFTER, seconds(wait).to_string());
            refused
        }
    };
    tell(response.headers_mut(), &standing);
    response
}

fn tell(headers: &mut HeaderMap, standing: &Standing) {
    let Standing { limit, remaining, reset, .. } = standing;
    insert(headers, RATE_LIMIT_POLICY, format!("\"default\";q={limit};w=60"));
    insert(headers, RATE_LIMIT, format!("\"default\";r={remaining};t={}", seconds(*reset)));
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Rounded up: whoever comes after so many does not come too early.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
