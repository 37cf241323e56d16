//! Failures, as HTTP tells them.
//!
//! Knows the closed list of problem codes, and how one failure reads as `application/problem+json`
//! under `/api` and as a page elsewhere. A handler returns an [`AppError`]; [`super::edge`] gives it
//! its form, so that also what axum itself refuses comes out in that form. Refuses to know what
//! caused a failure beyond its source chain, and never shows that chain to a client.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

macro_rules! codes {
    ($($name:ident $text:literal $status:ident $title:literal $meaning:literal;)*) => {
        /// What went wrong, in one word that clients may match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The snake-case word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// A short title, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    BadRequest "bad_request" BAD_REQUEST "Bad request" "The request could not be read; the detail says where.";
    UnknownParameter "unknown_parameter" BAD_REQUEST "Unknown parameter" "A query parameter that does not exist here; the detail names the nearest one that does.";
    InvalidParameter "invalid_parameter" BAD_REQUEST "Invalid parameter" "A parameter's value is not allowed; the detail names the values that are.";
    CursorMismatch "cursor_mismatch" BAD_REQUEST "Cursor does not fit" "The cursor was altered, or belongs to other filters; start again without it.";
    Unauthenticated "unauthenticated" UNAUTHORIZED "Not signed in" "No valid credential came with the request; send `Authorization: Bearer rlc_…`.";
    SignInFailed "sign_in_failed" UNAUTHORIZED "Sign-in failed" "The identity provider's answer is not one that signs a person in; the detail says what to do.";
    Forbidden "forbidden" FORBIDDEN "Not allowed" "The credential is valid but lacks the scope that the detail names.";
    CrossSite "cross_site" FORBIDDEN "Cross-site request refused" "A form was sent from another site, or its token is missing; open the page again.";
    NotFound "not_found" NOT_FOUND "Not found" "Nothing is known under this address.";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "Method not allowed" "The address exists, but not with this method; `Allow` lists the methods.";
    Timeout "timeout" REQUEST_TIMEOUT "Took too long" "The answer was not ready in time; narrow the filters.";
    Conflict "conflict" CONFLICT "Conflict" "The request does not fit the present state; the detail says why.";
    TicketHeld "ticket_held" CONFLICT "Ticket reserved" "Another worker files the ticket; the detail says which, and until when it may. Take the next finding.";
    TicketFiled "ticket_filed" CONFLICT "Ticket filed" "The finding has a ticket in this system; the detail names it.";
    Gone "gone" GONE "No longer kept" "What happened after this number is not kept whole; begin anew without `after`.";
    PreconditionFailed "precondition_failed" PRECONDITION_FAILED "Changed meanwhile" "What `If-Match` names is not the present version; read it again.";
    KeyReused "key_reused" UNPROCESSABLE_ENTITY "Key used before" "This `Idempotency-Key` came with another request; take a new key for each request.";
    TooManyRequests "too_many_requests" TOO_MANY_REQUESTS "Too many requests" "The credential has asked too often; `Retry-After` says when to ask again.";
    TooLarge "too_large" PAYLOAD_TOO_LARGE "Too large" "The body is larger than this address takes.";
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "Unsupported media type" "The body's `Content-Type` is not one that this address reads.";
    WrongHost "wrong_host" MISDIRECTED_REQUEST "Wrong host" "The `Host` header names an address that this service does not answer to; set `auth.public_url`.";
    Internal "internal" INTERNAL_SERVER_ERROR "Internal error" "A fault of the service; the log has it under the request id.";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "Not available" "The database cannot be reached at the moment; try again.";
}

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The query parameter, or an RFC 6901 pointer into the body.
    #[schema(example = "severity")]
    pub parameter: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// A failed request, before it has its form.
#[derive(Debug, Clone)]
pub struct AppError {
    /// Which kind.
    pub code: Code,
    /// One sentence for the client.
    pub detail: String,
    /// Single faults, where there are several.
    pub errors: Vec<FieldError>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl AppError {
    /// A failure with its sentence for the client.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), source: None }
    }

    /// Nothing is known of `what`.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} is not known here"))
    }

    /// A fault of ours. The client learns nothing of the source.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..Self::new(Code::Internal, Code::Internal.meaning()) }
    }

    /// A body that did not come whole: it was too large, or its sender broke off.
    pub fn unread_body(source: axum::Error) -> Self {
        let source = source.into_inner();
        let mut causes = std::iter::successors(Some(&*source as &(dyn std::error::Error + 'static)), |e| e.source());
        if causes.any(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
            return Self::new(Code::TooLarge, Code::TooLarge.meaning());
        }
        Self::new(Code::BadRequest, "the body ended before it was whole")
    }

    /// Faults of single parameters, reported together.
    #[must_use]
    pub fn of_fields(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(code, detail) }
    }

    /// The same failure with where it came from.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The failure that a bare status stands for, where axum refused by itself.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let code = Code::ALL.iter().copied().find(|c| {
            c.status() == status
                && !matches!(
                    c,
                    Code::UnknownParameter | Code::InvalidParameter | Code::CursorMismatch | Code::KeyReused
                )
        });
        let code = code.unwrap_or(if status.is_client_error() { Code::BadRequest } else { Code::Internal });
        Self::new(code, code.meaning())
    }

    /// The source chain in one line, for the log.
    #[must_use]
    pub fn chain(&self) -> Option<String> {
        let mut text = self.source.as_ref()?.to_string();
        let mut next = self.source.as_ref()?.source();
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&error.to_string());
            next = error.source();
        }
        Some(text)
    }
}

impl From<rolecall_store::Error> for AppError {
    fn from(error: rolecall_store::Error) -> Self {
        use rolecall_store::Error as Store;
        let away = matches!(
            error,
            Store::Refused { .. } | Store::Unreachable { .. } | Store::NoAnswer { .. } | Store::Lost { .. }
        );
        let (code, detail) = match &error {
            Store::Busy => (Code::Unavailable, "all connections to the database are busy; try again"),
            _ if away => (Code::Unavailable, Code::Unavailable.meaning()),
            _ => (Code::Internal, Code::Internal.meaning()),
        };
        let mut failed = Self::new(code, detail);
        failed.source = Some(Arc::new(error));
        failed
    }
}

impl From<crate::error::Error> for AppError {
    fn from(error: crate::error::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if self.code == Code::Unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        if self.code == Code::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// RFC 9457 problem details.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems#unknown_parameter")]
    pub kind: String,
    /// Short title, the same for every occurrence of the code.
    #[schema(example = "Unknown parameter")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// One sentence about this occurrence.
    #[schema(example = "unknown parameter `sevrity`; did you mean `severity`?")]
    pub detail: String,
    /// The path asked for.
    #[schema(example = "/api/v1/findings")]
    pub instance: String,
    /// The word to match on.
    #[schema(example = "unknown_parameter")]
    pub code: &'static str,
    /// The same as `X-Request-Id`.
    pub request_id: String,
    /// Single faults; empty where the detail says it all.
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// The problem that tells this failure.
    #[must_use]
    pub fn new(error: &AppError, path: &str, request_id: &str) -> Self {
        Self {
            kind: format!("/problems#{}", error.code.as_str()),
            title: error.code.title(),
            status: error.code.status().as_u16(),
            detail: error.detail.clone(),
            instance: path.to_owned(),
            code: error.code.as_str(),
            request_id: request_id.to_owned(),
            errors: error.errors.clone(),
        }
    }
}

/// Marks an answer that is meant as it is though its status says failure.
#[derive(Debug, Clone, Copy)]
pub struct PassThrough;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_status_keeps_its_number_where_we_have_a_code_for_it() {
        for status in [400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 421, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(AppError::of_status(status).code.status(), status);
        }
        assert_eq!(AppError::of_status(StatusCode::UNPROCESSABLE_ENTITY).code, Code::BadRequest);
        assert_eq!(AppError::of_status(StatusCode::BAD_GATEWAY).code, Code::Internal);
    }

    #[test]
    fn codes_are_unique_words() {
        let words: std::collections::BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
